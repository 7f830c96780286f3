//! The second factor: an app's codes, recovery codes, and what they are asked for.

use crate::credentials::{exhaust, long_code, sign_in};
use crate::support::{Answer, World, text};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tessera::identity::second_factor::shown;

const PASSWORD: &str = "correct horse";
const EMAIL: &str = "ada@example.org";

/// Somebody with an app.
struct Ada {
    token: String,
    secret: Vec<u8>,
    recovery: Vec<String>,
}

fn base_32(text: &str) -> Vec<u8> {
    let digits = text.bytes().map(|letter| match letter {
        b'A'..=b'Z' => letter - b'A',
        digit => digit - b'2' + 26,
    });
    let bits: Vec<u8> = digits.flat_map(|digit| (0..5).rev().map(move |at| digit >> at & 1)).collect();
    bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}

impl Ada {
    /// What the app shows.
    fn code(&self, world: &World) -> String {
        shown(&self.secret, world.whole.clock().now())
    }

    /// What the app shows next: the present code is used up.
    async fn next(&self, world: &World) -> String {
        world.advance(SignedDuration::from_secs(30)).await;
        self.code(world)
    }
}

async fn enrol(world: &World, token: &str, password: &str) -> Answer {
    world.post("/v1/me/second-factor").by(token).json(json!({"password": password})).send().await
}

async fn first_code(world: &World, token: &str, code: &str) -> Answer {
    world.post("/v1/me/second-factor/confirm").by(token).json(json!({"code": code})).send().await
}

async fn ada(world: &World) -> Ada {
    let token = text(&world.account(EMAIL).await["access_token"]);
    let secret = base_32(&text(&enrol(world, &token, PASSWORD).await.ok()["secret"]));
    let ada = Ada { token, secret, recovery: Vec::new() };
    let on = first_code(world, &ada.token, &ada.code(world)).await.ok();
    let recovery = on["recovery_codes"].as_array().unwrap().iter().map(text).collect();
    Ada { recovery, ..ada }
}

/// Somebody switches it on. The answer is the token that they had, and the secret.
pub async fn switched_on(world: &World, token: &str) -> (String, Vec<u8>) {
    let secret = base_32(&text(&enrol(world, token, PASSWORD).await.ok()["secret"]));
    first_code(world, token, &shown(&secret, world.whole.clock().now())).await.ok();
    (token.to_owned(), secret)
}

/// Somebody signs in with the code that their app shows next.
pub async fn signs_in(world: &World, email: &str, secret: &[u8]) {
    // The present one may have been used.
    world.advance(SignedDuration::from_secs(60)).await;
    let needed = sign_in(world, email, PASSWORD).await.refused(401, "second_factor_needed");
    let code = shown(secret, world.whole.clock().now());
    answer(world, &needed["challenge"], "code", &code).await.ok();
}

async fn challenge(world: &World) -> Value {
    sign_in(world, EMAIL, PASSWORD).await.refused(401, "second_factor_needed")["challenge"].clone()
}

async fn answer(world: &World, challenge: &Value, kind: &str, code: &str) -> Answer {
    let body = json!({"challenge": challenge, kind: code});
    world.post("/v1/sessions/second-factor").json(body).send().await
}

async fn newest_mail(world: &World) -> String {
    world.settle().await;
    world.mail_to(EMAIL).subject
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_asked_for_only_after_a_first_code_has_come_back() {
    let world = World::new().await;
    let phone = text(&world.account(EMAIL).await["access_token"]);
    let laptop = text(&sign_in(&world, EMAIL, PASSWORD).await.ok()["access_token"]);
    first_code(&world, &phone, "000000").await.refused(409, "wrong_state");
    enrol(&world, &phone, "wrong horse").await.refused(403, "password_wrong");
    let offer = enrol(&world, &phone, PASSWORD).await.ok();
    let secret = text(&offer["secret"]);
    let uri = text(&offer["otpauth_uri"]);
    assert!(uri.starts_with("otpauth://totp/Tessera:ada%40example.org?secret=") && uri.contains(&secret));
    sign_in(&world, EMAIL, PASSWORD).await.ok();
    first_code(&world, &phone, "12345").await.refused(400, "code_wrong");
    let code = shown(&base_32(&secret), world.whole.clock().now());
    let on = first_code(&world, &phone, &code).await.ok();
    assert_eq!(on["recovery_codes"].as_array().unwrap().len(), 10);
    world.get("/v1/me").by(&laptop).send().await.refused(401, "session_ended");
    let me = world.get("/v1/me").by(&phone).send().await.ok();
    assert_eq!(me["second_factor"], json!({"on": true, "recovery_codes_left": 10, "few": false}));
    assert_eq!(newest_mail(&world).await, "A second factor is on");
    enrol(&world, &phone, PASSWORD).await.refused(409, "wrong_state");
    sign_in(&world, EMAIL, "wrong horse").await.refused(401, "sign_in_failed");
    challenge(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_says_what_the_link_says() {
    let world = World::new().await;
    let token = text(&world.account(EMAIL).await["access_token"]);
    let offer = enrol(&world, &token, PASSWORD).await.ok();
    let svg = text(&offer["qr"]);
    let side: usize = svg.split("0 0 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let mut dark = vec![false; side * side];
    for module in svg.rsplit("d=\"").next().unwrap().split('M').skip(1) {
        let (x, rest) = module.split_once(' ').unwrap();
        let y: usize = rest.split('h').next().unwrap().parse().unwrap();
        dark[y * side + x.parse::<usize>().unwrap()] = true;
    }
    let scale = 4;
    let picture = rqrr::PreparedImage::prepare_from_greyscale(side * scale, side * scale, |x, y| {
        if dark[y / scale * side + x / scale] { 0 } else { 255 }
    });
    let mut picture = picture;
    let (_, read) = picture.detect_grids()[0].decode().unwrap();
    assert_eq!(read, text(&offer["otpauth_uri"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_signs_in_once_even_if_it_is_used_many_times_at_once() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let first = challenge(&world).await;
    answer(&world, &first, "code", &ada.code(&world)).await.refused(400, "code_wrong");
    let code = ada.next(&world).await;
    let answers = join_all((0..4).map(|_| answer(&world, &first, "code", &code))).await;
    let signed_in: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(signed_in.len(), 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    let token = text(&signed_in[0].body["access_token"]);
    world.get("/v1/me").by(&token).send().await.ok();
    answer(&world, &challenge(&world).await, "code", &code).await.refused(400, "code_wrong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_good_for_five_minutes_and_for_the_password_it_was_made_with() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let old = challenge(&world).await;
    world.advance(SignedDuration::from_secs(300)).await;
    answer(&world, &old, "code", &ada.code(&world)).await.refused(401, "sign_in_failed");
    for forged in [json!("x.y"), json!(ada.token)] {
        answer(&world, &forged, "code", &ada.code(&world)).await.refused(401, "sign_in_failed");
    }
    let before = challenge(&world).await;
    let change = json!({"current_password": PASSWORD, "password": "battery staple"});
    assert_eq!(world.put("/v1/me/password").by(&ada.token).json(change).send().await.status, 204);
    answer(&world, &before, "code", &ada.code(&world)).await.refused(401, "sign_in_failed");
    let both = json!({"challenge": before, "code": "000000", "recovery_code": "x"});
    world.post("/v1/sessions/second-factor").json(both).send().await.refused(400, "invalid_input");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_signs_in_once_and_its_owner_is_told() {
    let world = World::new().await;
    let ada = ada(&world).await;
    for (used, code) in ada.recovery.iter().enumerate() {
        let challenge = challenge(&world).await;
        let typed = code.to_lowercase().replace('-', " ");
        assert_eq!(answer(&world, &challenge, "recovery_code", &typed).await.status, 201);
        answer(&world, &challenge, "recovery_code", code).await.refused(400, "code_wrong");
        let me = world.get("/v1/me").by(&ada.token).send().await.ok();
        let left = 9 - used;
        assert_eq!(me["second_factor"], json!({"on": true, "recovery_codes_left": left, "few": left <= 3}));
        world.settle().await;
        let mail = world.mail_to(EMAIL);
        assert_eq!(mail.subject, "A recovery code was used");
        assert_eq!(mail.text.unwrap().contains("Get new ones soon"), left <= 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guessed_codes_are_slowed_down_and_recovery_codes_never() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let challenge = challenge(&world).await;
    let answers = join_all((0..30).map(|_| answer(&world, &challenge, "code", "0"))).await;
    let wrong = answers.iter().filter(|answer| answer.status == 400).count();
    // Seconds may pass meanwhile.
    assert!(wrong <= 8, "{wrong} guesses were looked at");
    exhaust(&world, async || answer(&world, &challenge, "code", "0").await).await;
    answer(&world, &challenge, "code", &ada.code(&world)).await.refused(429, "too_many_tries");
    answer(&world, &challenge, "recovery_code", &ada.recovery[0]).await.ok();
    // Signing in with the password goes on as ever, and so do sessions.
    self::challenge(&world).await;
    world.get("/v1/me").by(&ada.token).send().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_by_mail_does_not_switch_it_off() {
    let world = World::new().await;
    let ada = ada(&world).await;
    world.post("/v1/accounts/reset").json(json!({"email": EMAIL})).send().await.ok();
    let code = long_code(&world, EMAIL).await;
    let new = json!({"email": EMAIL, "code": code, "password": "battery staple"});
    assert_eq!(world.post("/v1/accounts/reset/confirm").json(new).send().await.status, 204);
    world.get("/v1/me").by(&ada.token).send().await.refused(401, "session_ended");
    let needed = sign_in(&world, EMAIL, "battery staple").await.refused(401, "second_factor_needed");
    answer(&world, &needed["challenge"], "code", &ada.next(&world).await).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_switched_off_with_the_password_and_a_code_together() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let off =
        async |body: Value| world.post("/v1/me/second-factor/off").by(&ada.token).json(body).send().await;
    let other = challenge(&world).await;
    let other = answer(&world, &other, "code", &ada.next(&world).await).await.ok();
    off(json!({"password": "wrong horse", "code": ada.next(&world).await}))
        .await
        .refused(403, "password_wrong");
    off(json!({"password": PASSWORD, "code": "0"})).await.refused(400, "code_wrong");
    off(json!({"password": PASSWORD})).await.refused(400, "invalid_input");
    assert_eq!(off(json!({"password": PASSWORD, "code": ada.next(&world).await})).await.status, 204);
    assert_eq!(newest_mail(&world).await, "The second factor is off");
    world.get("/v1/me").by(&text(&other["access_token"])).send().await.refused(401, "session_ended");
    off(json!({"password": PASSWORD, "code": "0"})).await.refused(409, "wrong_state");
    sign_in(&world, EMAIL, PASSWORD).await.ok();
    // And on again, with a recovery code as the way out.
    let secret = base_32(&text(&enrol(&world, &ada.token, PASSWORD).await.ok()["secret"]));
    let code = shown(&secret, world.whole.clock().now());
    let codes = first_code(&world, &ada.token, &code).await.ok();
    let body = json!({"password": PASSWORD, "recovery_code": ada.recovery[0]});
    off(body).await.refused(400, "code_wrong");
    let body = json!({"password": PASSWORD, "recovery_code": codes["recovery_codes"][0]});
    assert_eq!(off(body).await.status, 204);
}
