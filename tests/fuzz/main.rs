//! Whatever arrives: every parser and every signature against input that is damaged or arbitrary.
//!
//! Each test plays two thousand random inputs, or as many as `PROPTEST_CASES` says (see `shared/docs/contributing.md`), and shrinks what
//! breaks. Not bolero, which was tried: it holds `indexmap` of the whole workspace back by its old `toml_edit`.
//!
//! Random bytes seldom get past the first character of a parser. So most inputs are something valid with up to eight edits. What is
//! asked of each: it does not panic; what parses is written as something that parses to the same; nothing is genuine but what we made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod http;
mod parsers;
mod pictures;
mod signatures;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tessera::app::{App, Process};
use tessera::config::Config;

/// What happens to something valid on its way. Places count around.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Another byte at this place.
    Put(u16, u8),
    /// One more byte.
    Insert(u16, u8),
    /// So many bytes are missing.
    Cut(u16, u8),
    /// So many bytes come again.
    Repeat(u16, u8),
    /// What parsers have seen too seldom.
    Odd(u16, usize),
    /// Nothing follows.
    End(u16),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<u16>;
    prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Put(at, byte)),
        4 => (place(), b' '..=b'~').prop_map(|(at, byte)| Edit::Put(at, byte)),
        2 => (place(), b' '..=b'~').prop_map(|(at, byte)| Edit::Insert(at, byte)),
        2 => (place(), any::<u8>()).prop_map(|(at, length)| Edit::Cut(at, length)),
        2 => (place(), 1..8u8).prop_map(|(at, length)| Edit::Cut(at, length)),
        1 => (place(), any::<u8>()).prop_map(|(at, length)| Edit::Repeat(at, length)),
        3 => (place(), 0..ODD.len()).prop_map(|(at, which)| Edit::Odd(at, which)),
        1 => place().prop_map(Edit::End),
    ]
}

const ODD: [&str; 24] = [
    "\0",
    "\u{feff}",
    "\u{202e}",
    "ß",
    "😀",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "-",
    "+",
    ".",
    ",",
    "e9",
    "null",
    "{}",
    "[]",
    "-9223372036854775808",
    "9223372036854775807",
    "18446744073709551616",
    "9999-12-30T21:59:59Z",
    "-009999-01-02T02:00:00Z",
    "0.0000001",
    "1e400",
];

/// Something valid with these edits.
pub fn damaged(sample: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for edit in edits {
        let place = |place: &u16| usize::from(*place) % (bytes.len() + 1);
        let stretch =
            |from: &u16, length: &u8| place(from)..(place(from) + usize::from(*length)).min(bytes.len());
        match edit {
            Edit::Put(at, byte) => {
                let at = place(at);
                if let Some(there) = bytes.get_mut(at) {
                    *there = *byte;
                }
            }
            Edit::Insert(at, byte) => bytes.insert(place(at), *byte),
            Edit::Cut(at, length) => drop(bytes.drain(stretch(at, length))),
            Edit::Repeat(at, length) => {
                let again = bytes[stretch(at, length)].to_vec();
                let at = place(at);
                bytes.splice(at..at, again);
            }
            Edit::Odd(at, which) => {
                let at = place(at);
                bytes.splice(at..at, ODD[*which].bytes());
            }
            Edit::End(at) => bytes.truncate(place(at)),
        }
    }
    bytes
}

/// Checks values of a strategy, as many as are wanted.
pub fn check<S: Strategy>(strategy: S, check: impl Fn(S::Value)) {
    let cases = std::env::var("PROPTEST_CASES").map_or(2_000, |number| number.parse().expect("a number"));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let played = TestRunner::new(config).run(&strategy, |value| {
        check(value);
        Ok(())
    });
    played.unwrap_or_else(|found| panic!("{found}"));
}

/// Plays a check with these samples, damaged.
pub fn play<T: Into<Vec<u8>>>(samples: impl IntoIterator<Item = T>, each: impl Fn(&[u8])) {
    let samples: Vec<Vec<u8>> = samples.into_iter().map(Into::into).collect();
    let edits = proptest::collection::vec(edit(), 0..=8);
    check((0..samples.len(), edits), |(which, edits)| each(&damaged(&samples[which], &edits)));
}

/// As [`play`], for what reads text: bytes that are none are replaced.
pub fn play_text<T: Into<Vec<u8>>>(samples: impl IntoIterator<Item = T>, each: impl Fn(&str)) {
    play(samples, |bytes| each(&String::from_utf8_lossy(bytes)));
}

pub const NOW: i64 = 1_800_000_000;

pub fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

pub const ACCESS_SEED: [u8; 32] = [3; 32];
pub const TICKET_SEED: [u8; 32] = [4; 32];
pub const WEBHOOK_SECRET: &str = "whsec_of_the_tests";

pub fn public(seed: &[u8; 32]) -> Vec<u8> {
    use aws_lc_rs::signature::KeyPair;
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(seed).unwrap();
    pair.public_key().as_ref().to_vec()
}

/// The published keys of the tests.
pub fn key_set() -> String {
    let x = URL_SAFE_NO_PAD.encode(public(&ACCESS_SEED));
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"k1","x":"{x}"}}]}}"#)
}

pub fn config() -> Config {
    let settings = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
        ("TABLE_PREFIX", "fuzz"),
        // Nobody is there: nothing that is played here is to ask a store.
        ("DYNAMODB_ENDPOINT", "http://127.0.0.1:9"),
        ("ISSUER", "fuzz"),
        ("ACCESS_PUBLIC_KEYS", &key_set()),
        ("TOKEN_SECRETS", &STANDARD.encode([1; 32])),
        ("TICKET_PRIVATE_KEY", &STANDARD.encode(TICKET_SEED)),
        ("TICKET_PUBLIC_KEYS", &STANDARD.encode(public(&TICKET_SEED))),
        ("STRIPE_SECRET_KEY", "sk"),
        ("STRIPE_WEBHOOK_SECRETS", WEBHOOK_SECRET),
        ("RAZORPAY_KEY_ID", "rzp"),
        ("RAZORPAY_KEY_SECRET", "secret"),
        ("RAZORPAY_WEBHOOK_SECRETS", WEBHOOK_SECRET),
    ];
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub fn app() -> App {
    App::new(&config(), &Process::default()).unwrap()
}
