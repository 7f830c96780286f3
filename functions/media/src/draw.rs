//! A picture read with bounds, and drawn anew in every size.
//!
//! Only pixels come through: what a camera wrote beside them is left out, but for which way is up.

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngDecoder, PngEncoder};
use image::codecs::webp::WebPDecoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageError, ImageResult, Limits, Rgb, RgbImage};
use std::io::Cursor;
use tessera::error::{Code, Refusal};
use tessera::media::{Drawn, Fault, File, Form, MAX_EDGE, MAX_PIXELS, SIZES, Sha256};

/// The most memory that reading a picture may take beside its pixels, bytes.
const MAX_MEMORY: u64 = 512 << 20;
/// Of 100: what eyes do not tell from the original, and what is good enough for noise.
const QUALITIES: [u8; 2] = [82, 50];
/// The largest file that is shown: an answer of a function has 6 MB at most (AWS Lambda, invocation payload), and bytes are a third
/// more in base64. A transparent picture that needs more is drawn on white, a noisy one more roughly.
const MAX_SHOWN: usize = 4 << 20;

/// A picture in every size.
pub struct Drawing {
    /// The largest.
    pub drawn: Drawn,
    /// One for each of [`SIZES`].
    pub files: [Vec<u8>; SIZES.len()],
}

/// Looks at what was uploaded, and draws it.
///
/// # Errors
/// `internal` if what was read cannot be drawn. That it is not what it should be is an answer: the fault.
pub fn draw(uploaded: &[u8], file: &File) -> Result<Result<Drawing, Fault>, Refusal> {
    match read(uploaded, file) {
        Ok(picture) => write(picture).map(Ok).map_err(|error| Code::Internal.caused_by(error)),
        Err(fault) => Ok(Err(fault)),
    }
}

/// The pixels, the right way up.
fn read(bytes: &[u8], file: &File) -> Result<DynamicImage, Fault> {
    if bytes.len() as u64 != file.bytes || Sha256::of(bytes) != file.sha256 {
        return Err(Fault::Altered);
    }
    if Form::of(bytes) != Some(file.content_type) {
        return Err(Fault::OtherType);
    }
    let cursor = Cursor::new(bytes);
    match file.content_type {
        Form::Jpeg => decode(JpegDecoder::new(cursor)),
        Form::Png => decode(PngDecoder::with_limits(cursor, limits())),
        Form::Webp => decode(WebPDecoder::new(cursor)),
    }
}

fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_EDGE);
    limits.max_image_height = Some(MAX_EDGE);
    limits.max_alloc = Some(MAX_MEMORY);
    limits
}

fn decode(decoder: ImageResult<impl ImageDecoder>) -> Result<DynamicImage, Fault> {
    let fault = |error: ImageError| match error {
        ImageError::Limits(_) => Fault::TooLarge,
        ImageError::Decoding(_)
        | ImageError::Encoding(_)
        | ImageError::Parameter(_)
        | ImageError::Unsupported(_)
        | ImageError::IoError(_) => Fault::Unreadable,
    };
    let mut decoder = decoder.map_err(fault)?;
    // Before a pixel is read: a small file can say that it is enormous.
    let (width, height) = decoder.dimensions();
    if width.max(height) > MAX_EDGE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Fault::TooLarge);
    }
    decoder.set_limits(limits()).map_err(fault)?;
    let up = decoder.orientation().map_err(fault)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(fault)?;
    picture.apply_orientation(up);
    Ok(picture)
}

fn write(picture: DynamicImage) -> ImageResult<Drawing> {
    let sizes = sizes(picture);
    let [_, _, largest] = &sizes;
    let size = |form| Drawn { form, width: largest.width(), height: largest.height() };
    if largest.color().has_alpha() {
        let [small, middle, large] = sizes.each_ref().map(png);
        let large = large?;
        if large.len() <= MAX_SHOWN {
            return Ok(Drawing { drawn: size(Form::Png), files: [small?, middle?, large] });
        }
    }
    let [small, middle, large] = sizes.each_ref().map(|picture| jpeg(&on_white(picture)));
    Ok(Drawing { drawn: size(Form::Jpeg), files: [small?, middle?, large?] })
}

/// Each size from the next larger one.
fn sizes(picture: DynamicImage) -> [DynamicImage; SIZES.len()] {
    // Eight bits a colour; transparency only where there is any.
    let picture = match picture.color().has_alpha() {
        true => DynamicImage::from(picture.into_rgba8()),
        false => DynamicImage::from(picture.into_rgb8()),
    };
    let [small, middle, large] = SIZES;
    let large = opaque_if_it_is(within(&picture, large));
    let middle = within(&large, middle);
    let small = within(&middle, small);
    [small, middle, large]
}

/// What is far too large is first averaged down, which is as good to the eye and many times cheaper than weighing each of its
/// pixels.
fn within(picture: &DynamicImage, edge: u32) -> DynamicImage {
    let whole = Drawn { form: Form::Png, width: picture.width(), height: picture.height() };
    let (width, height) = whole.within(edge);
    if (width, height) == (whole.width, whole.height) {
        return picture.clone();
    }
    let (rough_width, rough_height) = whole.within(edge.saturating_mul(2));
    picture.thumbnail_exact(rough_width, rough_height).resize_exact(width, height, FilterType::CatmullRom)
}

fn opaque_if_it_is(picture: DynamicImage) -> DynamicImage {
    let opaque = picture.as_rgba8().is_some_and(|pixels| pixels.pixels().all(|pixel| pixel.0[3] == u8::MAX));
    if opaque { DynamicImage::from(picture.into_rgb8()) } else { picture }
}

fn on_white(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let picture = picture.to_rgba8();
    let mut flat = RgbImage::new(picture.width(), picture.height());
    for (pixel, target) in picture.pixels().zip(flat.pixels_mut()) {
        let [red, green, blue, alpha] = pixel.0.map(u16::from);
        let over_white =
            |part: u16| u8::try_from((part * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX);
        *target = Rgb([red, green, blue].map(over_white));
    }
    flat
}

fn jpeg(picture: &RgbImage) -> ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    for quality in QUALITIES {
        bytes.clear();
        picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality))?;
        if bytes.len() <= MAX_SHOWN {
            break;
        }
    }
    Ok(bytes)
}

fn png(picture: &DynamicImage) -> ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, PngFilter::Adaptive);
    picture.write_with_encoder(encoder)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GenericImageView, ImageFormat, Rgba, RgbaImage};

    fn drawn(picture: &DynamicImage, format: ImageFormat, content_type: Form) -> Drawing {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        let bytes = bytes.into_inner();
        let file = File { content_type, bytes: bytes.len() as u64, sha256: Sha256::of(&bytes) };
        draw(&bytes, &file).unwrap().unwrap_or_else(|fault| panic!("{fault:?}"))
    }

    fn edges(drawing: &Drawing) -> Vec<(u32, u32)> {
        drawing.files.iter().map(|file| image::load_from_memory(file).unwrap().dimensions()).collect()
    }

    #[test]
    fn a_picture_is_drawn_in_three_sizes_and_never_enlarged() {
        let grey = |width, height| DynamicImage::new_rgb8(width, height);
        let drawing = drawn(&grey(4000, 1000), ImageFormat::Jpeg, Form::Jpeg);
        assert_eq!(drawing.drawn, Drawn { form: Form::Jpeg, width: 1920, height: 480 });
        assert_eq!(edges(&drawing), [(320, 80), (960, 240), (1920, 480)]);
        let drawing = drawn(&grey(500, 4), ImageFormat::Png, Form::Png);
        assert_eq!(edges(&drawing), [(320, 2), (500, 4), (500, 4)]);
        let drawing = drawn(&grey(1, 1), ImageFormat::WebP, Form::Webp);
        assert_eq!(edges(&drawing), [(1, 1); 3]);
    }

    #[test]
    fn what_is_transparent_stays_so_unless_that_takes_too_much_room() {
        let glass = |edge: u32, pixel: fn(u32) -> [u8; 4]| {
            DynamicImage::from(RgbaImage::from_fn(edge, edge, |x, y| {
                Rgba(pixel(x.wrapping_mul(7919) ^ (y << 3)))
            }))
        };
        let half = drawn(&glass(400, |_| [200, 0, 0, 128]), ImageFormat::Png, Form::Png);
        assert_eq!(half.drawn.form, Form::Png);
        assert_eq!(image::load_from_memory(&half.files[0]).unwrap().get_pixel(3, 3), Rgba([200, 0, 0, 128]));
        let opaque = drawn(&glass(400, |_| [200, 0, 0, 255]), ImageFormat::Png, Form::Png);
        assert_eq!(opaque.drawn.form, Form::Jpeg);
        let noise = |n: u32| (n.wrapping_mul(2_654_435_761) ^ (n >> 3)).to_le_bytes();
        let noisy = drawn(&glass(1900, noise), ImageFormat::Png, Form::Png);
        assert_eq!(noisy.drawn.form, Form::Jpeg);
        assert!(noisy.files[2].len() <= MAX_SHOWN, "{}", noisy.files[2].len());
    }

    #[test]
    fn deep_colours_and_grey_are_read() {
        let deep = DynamicImage::from(DynamicImage::new_rgb8(9, 9).to_rgb16());
        assert_eq!(drawn(&deep, ImageFormat::Png, Form::Png).drawn.form, Form::Jpeg);
        let grey = DynamicImage::new_luma8(9, 9);
        assert_eq!(drawn(&grey, ImageFormat::Jpeg, Form::Jpeg).drawn.form, Form::Jpeg);
    }
}
