//! Pictures that somebody uploads: read with bounds, or refused.

use crate::play;
use image::{DynamicImage, ImageFormat};
use media::draw::draw;
use std::io::Cursor;
use tessera::media::{File, Form, MAX_BYTES, SIZES, Sha256};

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn pictures() {
    let colours =
        DynamicImage::from(image::RgbImage::from_fn(24, 9, |x, y| image::Rgb([x as u8, y as u8, 7])));
    let grey = DynamicImage::from(colours.to_luma_alpha8());
    let deep = DynamicImage::from(colours.to_rgba16());
    let samples = [
        encoded(&colours, ImageFormat::Jpeg),
        encoded(&DynamicImage::from(colours.to_luma8()), ImageFormat::Jpeg),
        encoded(&colours, ImageFormat::Png),
        encoded(&grey, ImageFormat::Png),
        encoded(&deep, ImageFormat::Png),
        encoded(&colours, ImageFormat::WebP),
        encoded(&DynamicImage::from(colours.to_rgba8()), ImageFormat::WebP),
    ];
    play(samples, |bytes| {
        let content_type = Form::of(bytes).unwrap_or(Form::Png);
        let file = File { content_type, bytes: bytes.len() as u64, sha256: Sha256::of(bytes) };
        let Ok(drawing) = draw(bytes, &file).unwrap() else { return };
        assert!(drawing.drawn.width.max(drawing.drawn.height) <= SIZES[2]);
        for file in &drawing.files {
            assert_eq!(Form::of(file), Some(drawing.drawn.form));
            assert!((file.len() as u64) < MAX_BYTES);
        }
    });
}
