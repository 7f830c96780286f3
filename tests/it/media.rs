//! Pictures: uploaded past us, looked at, drawn anew, shown, removed.

use crate::support::{Answer, Organiser, World, merge, text, uuid};
use futures_util::future::join;
use image::{DynamicImage, GenericImageView, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::io::Cursor;
use tessera::media::Sha256;
use tessera_local::stores::faults::Side;

/// What a camera wrote beside the picture: lay it on its side (TIFF tag 274, value 6), and where it was taken.
const EXIF: &[u8] =
    b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0 52.52 N 13.40 E, at home";

pub fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Blue at the left, red at the right.
pub fn photo(width: u32, height: u32) -> DynamicImage {
    let colour = |x: u32| if x < width / 2 { Rgb([10, 20, 200]) } else { Rgb([200, 20, 10]) };
    RgbImage::from_fn(width, height, |x, _| colour(x)).into()
}

fn photo_of_a_phone(width: u32, height: u32) -> Vec<u8> {
    let plain = encoded(&photo(width, height), ImageFormat::Jpeg);
    let length = u16::try_from(EXIF.len() + 2).unwrap().to_be_bytes();
    [&plain[..2], b"\xff\xe1", &length, EXIF, &plain[2..]].concat()
}

fn announced(kind: &str, bytes: &[u8]) -> Value {
    json!({"description": "The hall", "file": {"content_type": kind, "bytes": bytes.len(), "sha256": Sha256::of(bytes).as_str()}})
}

async fn ask(world: &World, seller: &Organiser, body: Value) -> Answer {
    let path = format!("/v1/organisations/{}/pictures", seller.organisation);
    world.post(&path).by(&seller.token).key(&uuid()).json(body).send().await
}

/// Uploads as a browser does; the status.
async fn upload(world: &World, upload: &Value, bytes: &[u8]) -> u16 {
    let mut put = world.http.put(text(&upload["url"])).body(bytes.to_vec());
    for (name, value) in upload["headers"].as_object().unwrap() {
        put = put.header(name, text(value));
    }
    put.send().await.unwrap().status().as_u16()
}

async fn sent(world: &World, seller: &Organiser, picture: &Value) -> Answer {
    world.post(&format!("/v1/pictures/{}/sent", text(&picture["id"]))).by(&seller.token).send().await
}

async fn read(world: &World, seller: &Organiser, picture: &Value) -> Value {
    world.get(&format!("/v1/pictures/{}", text(&picture["id"]))).by(&seller.token).send().await.ok()
}

/// What came of a file.
pub async fn taken(world: &World, seller: &Organiser, kind: &str, bytes: &[u8]) -> Value {
    let asked = ask(world, seller, announced(kind, bytes)).await.ok();
    assert_eq!(asked["status"], "waiting");
    assert_eq!(upload(world, &asked["upload"], bytes).await, 200);
    sent(world, seller, &asked).await.ok();
    world.settle().await;
    read(world, seller, &asked).await
}

async fn shown(world: &World, picture: &Value, size: u32) -> reqwest::Response {
    let path = format!("{}/v1/pictures/{}/{size}", world.whole.url(), text(&picture["id"]));
    world.http.get(path).send().await.unwrap()
}

/// Keys of the bucket under this prefix.
fn stored(world: &World, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = std::fs::read_dir(world.whole.home().data().join("s3")).unwrap().collect();
    while let Some(Ok(entry)) = folders.pop() {
        let path = entry.path();
        if path.is_dir() {
            folders.extend(std::fs::read_dir(path).unwrap());
        } else {
            found.push(path.display().to_string());
        }
    }
    found.retain(|path| path.contains(prefix));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_picture_is_drawn_anew_and_everybody_sees_it() {
    let world = World::new().await;
    let seller = world.organiser("kulturhaus").await;
    let bytes = photo_of_a_phone(2400, 1600);
    let picture = taken(&world, &seller, "image/jpeg", &bytes).await;
    assert_eq!(picture["status"], "ready", "{picture}");
    // Upright: the camera lay on its side.
    let sizes: Vec<_> = [320, 960, 1920].map(|size| (size * 2 / 3, size)).into();
    for (image, (width, height)) in picture["images"].as_array().unwrap().iter().zip(sizes) {
        assert_eq!((image["width"].as_u64(), image["height"].as_u64()), (Some(width), Some(height)));
        let seen =
            world.http.get(format!("{}{}", world.whole.url(), text(&image["path"]))).send().await.unwrap();
        let header = |name: &str| seen.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((seen.status().as_u16(), header("content-type")), (200, "image/jpeg".to_owned()));
        assert_eq!(header("cache-control"), "public, max-age=3600");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cross-origin-resource-policy"), "cross-origin");
        assert!(header("content-disposition").starts_with("inline; filename=\"pic_"));
        let tag = header("etag");
        let bytes = seen.bytes().await.unwrap();
        assert!(
            !bytes.windows(4).any(|four| four == b"Exif" || four == b"home"),
            "where it was taken is left out"
        );
        let drawn = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg).unwrap();
        assert_eq!((u64::from(drawn.width()), u64::from(drawn.height())), (width, height));
        let (top, bottom) = (drawn.get_pixel(5, 5), drawn.get_pixel(5, drawn.height() - 5));
        assert!(top[2] > 150 && bottom[0] > 150, "blue above red: {top:?} {bottom:?}");
        let path = text(&image["path"]);
        assert_eq!(world.get(&path).header("if-none-match", &tag).send().await.status, 304);
    }
    assert_eq!(stored(&world, "/uploads/"), Vec::<String>::new());
    assert_eq!(shown(&world, &picture, 500).await.status(), 404);
    let listed = format!("/v1/organisations/{}/pictures", seller.organisation);
    let listed = world.get(&listed).by(&seller.token).send().await.ok();
    assert_eq!(listed["items"], json!([picture]));

    // An event shows it, and others than its organisation's own it cannot.
    let id = &picture["id"];
    let event = world.draft(&seller, json!({"picture": id})).await;
    let path = format!("/v1/organisations/{}/events/{event}", seller.organisation);
    let full = world.get(&path).by(&seller.token).send().await;
    let tag = full.header("etag").to_owned();
    let full = full.ok();
    assert_eq!((&full["picture"], &full["picture_description"]), (id, &json!("The hall")));
    let other = world.organiser("elsewhere").await;
    let mut body = json!({"organisation": other.organisation, "name": "N", "city": "C", "venue": "V",
        "starts": full["starts"], "picture": id});
    let create = async |body: &Value| {
        let asked = world.post("/v1/events").by(&other.token).key(&uuid()).json(body.clone()).send().await;
        asked.refused(400, "invalid_input")["errors"][0]["pointer"].clone()
    };
    assert_eq!(create(&body).await, "/picture");
    let waiting = ask(&world, &other, announced("image/jpeg", &bytes)).await.ok();
    merge(&mut body, json!({"picture": waiting["id"]}));
    assert_eq!(create(&body).await, "/picture");

    // Removed, it is gone, and the event can be changed all the same.
    let path = format!("/v1/pictures/{}", text(id));
    for _ in 0..2 {
        let removed = world.delete(&path).by(&seller.token).send().await;
        assert!([204, 404].contains(&removed.status));
        world.settle().await;
        world.get(&path).by(&seller.token).send().await.refused(404, "not_found");
    }
    for size in [320, 960, 1920] {
        assert_eq!(shown(&world, &picture, size).await.status(), 404);
    }
    assert_eq!(stored(&world, "/pictures/"), Vec::<String>::new());
    sent(&world, &seller, &picture).await.refused(404, "not_found");
    let details = json!({"name": "Another name", "city": full["city"], "venue": full["venue"],
        "starts": full["starts"], "picture": id});
    let path = format!("/v1/events/{event}");
    world.put(&path).by(&seller.token).header("If-Match", &tag).json(details).send().await.ok();
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_for_uploading_takes_what_was_announced_and_once() {
    let world = World::new().await;
    let seller = world.organiser("kulturhaus").await;
    let bytes = encoded(&photo(40, 30), ImageFormat::Png);
    let (body, key) = (announced("image/png", &bytes), uuid());
    let path = format!("/v1/organisations/{}/pictures", seller.organisation);
    let again =
        async |body: &Value| world.post(&path).by(&seller.token).key(&key).json(body.clone()).send().await;
    let asked = again(&body).await.ok();
    let signed = &asked["upload"];
    assert_eq!(signed["method"], "PUT");
    sent(&world, &seller, &asked).await.refused(409, "wrong_state");

    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(upload(&world, signed, &other).await, 400, "the same size, another digest");
    let longer = [bytes.clone(), vec![0]].concat();
    assert!(text(&signed["url"]).contains("SignedHeaders=content-length"), "the size is signed: {signed}");
    assert!([400, 403].contains(&upload(&world, signed, &longer).await), "another size");
    for (name, value) in [
        ("content-type", json!("text/html")),
        ("x-amz-checksum-sha256", json!(Sha256::of(&other).as_str())),
        ("if-none-match", json!("\"other\"")),
    ] {
        assert!(signed["headers"][name].is_string(), "{name} is signed: {signed}");
        let mut bent = signed.clone();
        bent["headers"][name] = value;
        let sent = if name == "x-amz-checksum-sha256" { &other } else { &bytes };
        assert_eq!(upload(&world, &bent, sent).await, 403, "another {name}");
        bent["headers"].as_object_mut().unwrap().remove(name);
        assert_eq!(upload(&world, &bent, &bytes).await, 403, "no {name}");
    }
    let elsewhere = text(&signed["url"]).replace("/uploads/", "/pictures/");
    let mut bent = signed.clone();
    bent["url"] = elsewhere.into();
    assert_eq!(upload(&world, &bent, &bytes).await, 403, "another place");
    assert_eq!(stored(&world, "/uploads/"), Vec::<String>::new());

    assert_eq!(upload(&world, signed, &bytes).await, 200);
    assert_eq!(upload(&world, signed, &bytes).await, 412, "a second time");
    let anew = again(&body).await.ok();
    assert_eq!(anew["id"], asked["id"]);
    assert_eq!(upload(&world, &anew["upload"], &bytes).await, 412, "by another address of the same");
    again(&announced("image/png", &other)).await.refused(422, "key_reused");
    for _ in 0..2 {
        sent(&world, &seller, &asked).await.ok();
        world.settle().await;
    }
    assert_eq!(read(&world, &seller, &asked).await["status"], "ready");
    assert!(again(&body).await.ok()["upload"].is_null(), "nothing is awaited any more");

    let unused = ask(&world, &seller, body.clone()).await.ok();
    world.advance(SignedDuration::from_hours(24)).await;
    let seller = world.sign_in("kulturhaus", &seller).await;
    assert_eq!(read(&world, &seller, &unused).await["status"], "waiting");
    world.advance(SignedDuration::from_hours(24 * 31)).await;
    let seller = world.sign_in("kulturhaus", &seller).await;
    let path = format!("/v1/pictures/{}", text(&unused["id"]));
    world.get(&path).by(&seller.token).send().await.refused(404, "not_found");
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_announced_has_bounds() {
    let world = World::new().await;
    let seller = world.organiser("kulturhaus").await;
    let fine = announced("image/png", b"x");
    for (change, pointer) in [
        (json!({"file": {"bytes": 0}}), "/file/bytes"),
        (json!({"file": {"bytes": (15 << 20) + 1}}), "/file/bytes"),
        (json!({"file": {"bytes": -1}}), "/file/bytes"),
        (json!({"file": {"sha256": "x"}}), "/file/sha256"),
        (json!({"file": {"content_type": "image/svg+xml"}}), "/file/content_type"),
        (json!({"file": {"name": "../../etc/passwd"}}), "/file/name"),
        (json!({"description": ""}), "/description"),
    ] {
        let mut body = fine.clone();
        for (name, value) in change.as_object().unwrap() {
            match value.as_object() {
                Some(_) => merge(&mut body[name], value.clone()),
                None => body[name] = value.clone(),
            }
        }
        let refused = ask(&world, &seller, body).await.refused(400, "invalid_input");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_is_refused_and_never_shown() {
    let world = World::new().await;
    let seller = world.organiser("kulturhaus").await;
    let jpeg = encoded(&photo(640, 480), ImageFormat::Jpeg);
    let png = encoded(&photo(64, 48), ImageFormat::Png);
    // A header that says 60,000 by 60,000 pixels.
    let mut enormous = png.clone();
    enormous[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let sum = crc(&enormous[12..29]);
    enormous[29..33].copy_from_slice(&sum.to_be_bytes());
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>";
    for (kind, bytes, fault) in [
        ("image/png", &svg[..], "other_type"),
        ("image/png", b"%PDF-1.7\n", "other_type"),
        ("image/webp", &jpeg, "other_type"),
        ("image/jpeg", &jpeg[..40], "unreadable"),
        ("image/png", &png[..png.len() / 2], "unreadable"),
        ("image/webp", b"RIFF\x20\0\0\0WEBPVP8 \x14\0\0\0 nothing of a picture", "unreadable"),
        ("image/png", &enormous, "too_large"),
    ] {
        let picture = taken(&world, &seller, kind, bytes).await;
        assert_eq!((&picture["status"], &picture["fault"]), (&json!("refused"), &json!(fault)), "{kind}");
        assert_eq!(picture["images"], json!([]));
        assert_eq!(shown(&world, &picture, 320).await.status(), 404);
    }
    assert_eq!(stored(&world, "/uploads/"), Vec::<String>::new());
    assert_eq!(stored(&world, "/pictures/"), Vec::<String>::new());

    // What follows a picture in its file stays behind.
    let both = [&png[..], b"<script>alert(1)</script>"].concat();
    let picture = taken(&world, &seller, "image/png", &both).await;
    assert_eq!(picture["status"], "ready");
    let seen = shown(&world, &picture, 1920).await.bytes().await.unwrap();
    assert!(!seen.windows(7).any(|seven| seven == b"<script"));

    // Transparent parts stay so.
    let glass = RgbaImage::from_fn(700, 500, |x, y| Rgba([200, 30, 30, ((x + y) % 256) as u8]));
    let glass = encoded(&glass.into(), ImageFormat::WebP);
    let picture = taken(&world, &seller, "image/webp", &glass).await;
    assert_eq!(picture["images"][2]["width"], 700, "{picture}");
    let seen = shown(&world, &picture, 1920).await;
    assert_eq!(seen.headers()["content-type"], "image/png");
    assert_eq!(world.dead_letters(), 0);
}

/// CRC-32 as PNG has it (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 },
        )
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_while_it_is_looked_at_or_removed_leaves_nothing_half_done() {
    let world = World::new().await;
    let seller = world.organiser("kulturhaus").await;
    let bytes = encoded(&photo(400, 300), ImageFormat::Jpeg);
    let (mut step, mut most) = (0, 0);
    loop {
        let crash = |half| (step > 0).then_some((step, if half { Side::After } else { Side::Before }));
        for half in [true, false] {
            // Twenty in ten minutes are what one caller may upload.
            world.advance(SignedDuration::from_mins(2)).await;
            let seller = world.sign_in("kulturhaus", &seller).await;
            let asked = ask(&world, &seller, announced("image/jpeg", &bytes)).await.ok();
            assert_eq!(upload(&world, &asked["upload"], &bytes).await, 200);
            let calls = world.crashing(crash(half), async || sent(&world, &seller, &asked).await).await;
            world.settle().await;
            let picture = read(&world, &seller, &asked).await;
            assert_eq!(picture["status"], "ready", "{step} {half}");
            for size in [320, 960, 1920] {
                assert_eq!(shown(&world, &picture, size).await.status(), 200);
            }
            assert_eq!(stored(&world, "/uploads/"), Vec::<String>::new(), "{step} {half}");
            let path = format!("/v1/pictures/{}", text(&picture["id"]));
            let remove = async || {
                let answer = world.delete(&path).by(&seller.token).send().await;
                // The answer was lost: it is gone already.
                if answer.status == 404 { world.get("/v1/events").send().await } else { answer }
            };
            let removing = world.crashing(crash(half), remove).await;
            world.settle().await;
            assert_eq!(stored(&world, "/pictures/"), Vec::<String>::new(), "{step} {half}");
            most = most.max(calls).max(removing);
        }
        step += 1;
        if step > most {
            break;
        }
    }
    assert!(most > 8, "{most}");
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_while_it_is_looked_at_leaves_no_file() {
    let world = World::new().await;
    let seller = world.organiser("kulturhaus").await;
    for edge in [20, 200, 600, 1200, 2000] {
        let bytes = encoded(&photo(edge, edge), ImageFormat::Jpeg);
        let asked = ask(&world, &seller, announced("image/jpeg", &bytes)).await.ok();
        assert_eq!(upload(&world, &asked["upload"], &bytes).await, 200);
        let path = format!("/v1/pictures/{}", text(&asked["id"]));
        let (said, removed) =
            join(sent(&world, &seller, &asked), world.delete(&path).by(&seller.token).send()).await;
        assert!([200, 404, 409].contains(&said.status), "{}", said.status);
        assert_eq!(removed.status, 204);
        world.settle().await;
        assert_eq!(shown(&world, &asked, 320).await.status(), 404);
        assert_eq!(stored(&world, "/pictures/"), Vec::<String>::new(), "{edge}");
        assert_eq!(stored(&world, "/uploads/"), Vec::<String>::new(), "{edge}");
    }
    assert_eq!(world.dead_letters(), 0);
}
