//! What is logged while any test runs: no line of it may have something in it that looks like a secret, or like somebody's address.
//!
//! `redaction.rs` looks for what was really said and received. This looks for what such things look like, in every test.

use std::io::Write;
use std::sync::{Mutex, Once};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

/// Everything at `info`, all of ours at `debug`. The embedded stores are part of the local home and of no function.
pub const WANTED: &str = "info,dynoxide=off,s3s=off,s3s_fs=off,tessera=debug,tessera_local=debug,identity=debug,catalogue=debug,\
    booking=debug,order=debug,payment=debug,entry=debug,notification=debug,outbox=debug,docs=debug,media=debug,\
    tessera_paper=debug,tessera_statement=debug";

static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        if let Some(why) = secret(&line) {
            FOUND.lock().unwrap().push(format!("{why}: {line}"));
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Listens to the whole process, unless somebody else does, and fails at its end if a line was logged that should not have been.
pub struct Watch(());

impl Watch {
    pub fn begin() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).without_time();
            let layer = layer.with_writer(|| Lines).with_filter(WANTED.parse::<Targets>().unwrap());
            drop(tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)));
        });
        Self(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let found = std::mem::take(&mut *FOUND.lock().unwrap());
        let (count, lines) = (found.len(), found.concat());
        assert!(found.is_empty() || std::thread::panicking(), "{count} lines tell too much:\n{lines}");
    }
}

/// What a line has in it that is nobody's business.
pub fn secret(line: &str) -> Option<&'static str> {
    for (part, what) in [
        ("@example.", "a mail address"),
        ("correct horse", "a password"),
        ("$argon2", "a password's hash"),
        ("Bearer ", "a credential"),
        ("eyJ", "a token"),
        ("_secret_", "a payment's secret"),
        ("whsec_", "a webhook's secret"),
        ("otpauth:", "the secret of a second factor"),
        ("X-Amz-Signature", "a signed address"),
    ] {
        if line.contains(part) {
            return Some(what);
        }
    }
    let sign = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.');
    line.split(sign).find_map(|word| {
        let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        let groups = || word.split('-').all(|group| group.len() == 4 && group.chars().all(capital));
        let tag = |word: &str| word.rsplit_once('.').is_some_and(|(_, tag)| tag.len() == 43);
        // Every tenth time in milliseconds has the check digit, too. Issuers of cards begin with 3 to 6, and give out none of 13 digits.
        let issued = word.len() > 13 && word.starts_with(|first| matches!(first, '3'..='6'));
        if issued && card_number(word) {
            Some("a card number")
        } else if word.contains('-') && groups() && word.chars().any(|c| c.is_ascii_alphabetic()) {
            Some("a code")
        } else if tag(word) {
            Some("a sealed token")
        } else {
            None
        }
    })
}

/// A number that could be a card's: 13 to 19 digits by themselves, with the check digit of ISO/IEC 7812.
pub fn card_number(word: &str) -> bool {
    let digits: Vec<u32> = word.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits.iter().rev().enumerate().fold(0, |sum, (place, digit)| {
        sum + if place % 2 == 0 { *digit } else { digit * 2 / 10 + digit * 2 % 10 }
    });
    digits.len() == word.len() && (13..=19).contains(&word.len()) && sum.is_multiple_of(10)
}

#[test]
fn what_looks_like_a_secret_is_found() {
    for line in [
        "{\"to\":\"ada@example.org\"}",
        "password=correct horse",
        "authorization: Bearer x",
        "token eyJhbGciOiJFZERTQSJ9",
        "code 7Q2K-94MX came",
        "recovery KQRT-7WZM-2HXA-5JDN-Q3TB-VLE6",
        "card 4242424242424242",
        "quote e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "pi_1_secret_2",
    ] {
        assert!(secret(line).is_some(), "{line}");
    }
    for line in [
        "{\"order\":\"ord_01kb0000000000000000000000\",\"at\":\"2026-11-22T12:00:00Z\"}",
        "traceparent 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "1795219200000 is a time",
        "took 12-34 ms of 2026-11",
    ] {
        assert_eq!(secret(line), None, "{line}");
    }
}
