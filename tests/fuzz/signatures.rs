//! Nothing is genuine but what we made, or what a provider signed.

use crate::{ACCESS_SEED, NOW, WEBHOOK_SECRET, app, config, now, play, play_text};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tessera::auth::Keys;
use tessera::entry::{Signer, Verifier};
use tessera::id::{AccountId, EventId, SessionId, TicketId};
use tessera::identity::code::{self, Guess};
use tessera::identity::{Credential, thing};
use tessera::message::CodePurpose;
use tessera::sign::{Purpose, Sealer};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac(body: &[u8]) -> String {
    hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, WEBHOOK_SECRET.as_bytes()), body).as_ref())
}

fn claims() -> Value {
    json!({
        "iss": "fuzz", "aud": "tessera", "sub": AccountId::derive(&["a"]), "sid": SessionId::derive(&["s"]),
        "nbf": NOW, "iat": NOW, "exp": NOW + 900
    })
}

fn token(header: &Header, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, &claims(), key).unwrap()
}

/// PKCS #8 of an Ed25519 seed (RFC 8410 §7).
fn private_key() -> EncodingKey {
    let front = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
    EncodingKey::from_ed_der(&[&front[..], &ACCESS_SEED[..]].concat())
}

#[test]
fn access_token() {
    let keys = Keys::new(&config()).unwrap();
    let usual =
        Header { typ: Some("at+jwt".into()), kid: Some("k1".into()), ..Header::new(Algorithm::EdDSA) };
    let good = token(&usual, &private_key());
    assert!(keys.check(&good, now()).is_ok());
    let by_public_key = EncodingKey::from_secret(&crate::public(&ACCESS_SEED));
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let none = part(r#"{"alg":"none","typ":"at+jwt","kid":"k1"}"#);
    let samples = [
        good.clone(),
        token(&Header { alg: Algorithm::HS256, ..usual.clone() }, &by_public_key),
        token(&Header { typ: Some("JWT".into()), ..usual.clone() }, &private_key()),
        token(&Header { kid: None, ..usual }, &private_key()),
        format!("{none}.{}.", part(&claims().to_string())),
    ];
    play_text(samples, |text: &str| {
        assert!(keys.check(text, now()).is_err() || text == good, "{text}");
        let _nothing = keys.check(text, jiff::Timestamp::MAX).is_ok();
    });
}

#[test]
fn sealed() {
    let sealer = Sealer::new(&config()).unwrap();
    let value = json!({"list": "events", "place": ["a", "b"], "amount": 2500});
    let purposes = [
        Purpose::Quote,
        Purpose::Cursor,
        Purpose::Guest,
        Purpose::Admission,
        Purpose::Place,
        Purpose::Challenge,
    ];
    let samples = purposes.map(|purpose| sealer.seal(purpose, &value).unwrap());
    play_text(samples.clone(), |text: &str| {
        for (purpose, made) in purposes.iter().zip(&samples) {
            let open = sealer.open::<Value>(*purpose, text);
            assert_eq!(open.is_some(), text == made, "{purpose:?}: {text}");
        }
    });
}

#[test]
fn locked() {
    let sealer = Sealer::new(&config()).unwrap();
    let made = sealer.lock(Purpose::SecondFactor, "ada", b"a secret of twenty b").unwrap();
    play_text([made.clone()], |text: &str| {
        let open = sealer.unlock(Purpose::SecondFactor, "ada", text);
        assert_eq!(open.is_some(), text == made, "{text}");
        assert!(sealer.unlock(Purpose::SecondFactor, "eve", text).is_none());
    });
}

#[test]
fn refresh_token() {
    let session = SessionId::derive(&["s"]);
    let secret = URL_SAFE_NO_PAD.encode([7; 32]);
    play_text([format!("{session}.1.{secret}"), format!("{session}.4294967295.{secret}")], |text: &str| {
        if let Ok(read) = identity::token::Presented::parse(text) {
            let (front, _) = text.rsplit_once('.').unwrap();
            assert_eq!(front, format!("{}.{}", read.session, read.generation), "{text}");
        }
    });
}

#[test]
fn ticket_code() {
    let (signer, verifier) = (Signer::new(&config()).unwrap(), Verifier::new(&config()).unwrap());
    let (ticket, event, other) = (TicketId::derive(&["t"]), EventId::derive(&["e"]), EventId::derive(&["o"]));
    let made = signer.code(ticket, event);
    play_text([made.clone(), signer.code(ticket, other)], |text: &str| match verifier.check(text, event) {
        Ok(found) => assert!(found == ticket && text.trim() == made, "{text}"),
        Err(_) => assert_ne!(text, made),
    });
}

/// What Stripe and Razorpay send.
fn reports() -> Vec<String> {
    let documented: Value = serde_json::from_str(include_str!("../fixtures/stripe.json")).unwrap();
    let objects = documented.as_object().unwrap().values();
    let kinds = [
        "payment_intent.amount_capturable_updated",
        "payment_intent.succeeded",
        "charge.refunded",
        "refund.failed",
    ];
    let stripe = objects.flat_map(|object| {
        kinds.map(|kind| {
            json!({"id": "evt_1", "type": kind, "created": NOW, "data": {"object": object}}).to_string()
        })
    });
    let payment = json!({"entity": {
        "id": "pay_1", "entity": "payment", "amount": 2500, "currency": "INR", "status": "captured", "order_id": "order_1",
        "captured": true, "amount_refunded": 0, "refund_status": null, "error_code": null, "created_at": NOW
    }});
    let refund = json!({"entity": {
        "id": "rfnd_1", "entity": "refund", "amount": 2500, "currency": "INR", "payment_id": "pay_1", "status": "processed",
        "notes": {"refund": "rfd_1"}, "receipt": "rfd_1", "created_at": NOW
    }});
    let razorpay =
        ["payment.authorized", "payment.captured", "payment.failed", "refund.processed", "refund.failed"]
            .map(|event| {
                json!({"entity": "event", "event": event, "payload": {"payment": payment, "refund": refund}})
                    .to_string()
            });
    stripe.chain(razorpay).collect()
}

#[test]
fn stripe_body() {
    let stripe = payment::stripe::Stripe::new(&app()).unwrap().unwrap();
    let (mine, time) = (br#"{"id":"evt_1","type":"x","data":{"object":{}}}"#, NOW.to_string());
    let header = format!("t={time},v1={}", mac(&[time.as_bytes(), b".", mine].concat()));
    play(reports(), |body: &[u8]| {
        assert!(
            stripe.report(&header, body, now()).is_err() || body == mine,
            "another body under this signature"
        );
        // Signed as it is, whatever it is: it is read, or refused.
        let signed = format!("t={time},v1={}", mac(&[time.as_bytes(), b".", body].concat()));
        let _read = stripe.report(&signed, body, now()).is_ok();
    });
}

#[test]
fn stripe_header() {
    let stripe = payment::stripe::Stripe::new(&app()).unwrap().unwrap();
    let body = br#"{"id":"evt_1","type":"x","data":{"object":{}}}"#;
    let signed = |time: &str| format!("t={time},v1={}", mac(&[time.as_bytes(), b".", &body[..]].concat()));
    let good = mac(&[NOW.to_string().as_bytes(), b".", &body[..]].concat());
    // Times that were signed, at the ends of what a number can be.
    let samples = [
        signed(&NOW.to_string()),
        signed(&i64::MIN.to_string()),
        signed(&i64::MAX.to_string()),
        signed("-0"),
    ];
    play_text(samples, |header: &str| {
        if stripe.report(header, body, now()).is_ok() {
            assert!(header.to_ascii_lowercase().contains(&good), "{header}");
        }
    });
}

#[test]
fn razorpay_report() {
    let razorpay = payment::razorpay::Razorpay::new(&app()).unwrap().unwrap();
    let mine = br#"{"event":"x","payload":{}}"#;
    let signature = mac(mine);
    play(reports(), |body: &[u8]| {
        assert!(razorpay.report(&signature, body).is_err() || body == mine);
        let _read = razorpay.report(&mac(body), body).is_ok();
        let text = String::from_utf8_lossy(body);
        assert!(razorpay.report(&text, mine).is_err() || text.to_ascii_lowercase().trim() == signature);
    });
}

#[test]
fn razorpay_signature() {
    let razorpay = payment::razorpay::Razorpay::new(&app()).unwrap().unwrap();
    let mine = br#"{"event":"x","payload":{}}"#;
    let good = mac(mine);
    assert!(razorpay.report(&good, mine).is_ok());
    play_text([good.clone()], |text: &str| {
        assert!(razorpay.report(text, mine).is_err() || text.trim().eq_ignore_ascii_case(&good), "{text}");
    });
}

#[test]
fn mailed_code() {
    let sealer = Sealer::new(&config()).unwrap();
    let account = AccountId::derive(&["ada"]);
    let made = code::text(&sealer, account, CodePurpose::Reset, "5a");
    let other = code::text(&sealer, account, CodePurpose::Verify, "5a");
    let bare = |text: &str| -> String {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|c| c.to_ascii_uppercase()).map(|c| if c == 'O' { '0' } else { c }).collect()
    };
    play_text([made.clone(), other], |text: &str| {
        let right = code::guess(&sealer, account, CodePurpose::Reset, "5a", text) == Guess::Right;
        assert_eq!(right, bare(text).replace(['I', 'L'], "1") == bare(&made), "{text}");
    });
}

#[test]
fn credential() {
    let made = [thing::Kind::Key, thing::Kind::Device].map(|kind| {
        let name = Credential::name(&["org", "k"]);
        Credential::new(kind, &name, &std::array::from_fn(|place| place as u8)).unwrap().text
    });
    play_text(made.clone(), |text: &str| {
        if let Some(read) = Credential::parse(text) {
            assert!(read.text == text && Credential::resembles(text) && text.starts_with(&read.shown()));
            assert!(made.contains(&read.text), "a checksum that nobody computed: {text}");
        }
    });
}
