//! Codes that come by mail. None is stored: a code follows from the deployment's secret and a salt, and the salt is what
//! is kept and told. Who reads a table or a queue has no code.
//!
//! `7Q2K-94MX`: 40 bits, because whoever likes may ask for codes, and for as many as they like. Of six digits with five
//! tries each, 200,000 requests would guess one. Only tries that begin like the code count, so that nobody who has not seen
//! it uses it up; and who asks again within seven minutes is mailed the same one, so that nobody voids what has arrived.

use crate::error::{Code, Result};
use crate::id::AccountId;
use crate::message::CodePurpose;
use crate::sign::{Purpose, Sealer};
use crate::text::{SPOKEN, hex, typed_code};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a mailed code is good for.
pub const CODE_MINUTES: i64 = 10;
/// How many wrong tries a mailed code survives.
pub const CODE_TRIES: u8 = 5;

/// A code sent by mail.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MailedCode {
    /// What it follows from, hexadecimal.
    #[serde(alias = "hash")]
    pub salt: String,
    /// Until when.
    pub expires: Timestamp,
    /// Wrong tries so far.
    pub tries: u8,
}

/// What a typed code is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guess {
    /// The code.
    Right,
    /// Not the code, and counted.
    Wrong,
    /// Not even like the code.
    Far,
}

impl MailedCode {
    /// A code that begins now.
    #[must_use]
    pub fn new(salt: [u8; 16], now: Timestamp) -> Self {
        let salt = hex(salt);
        Self { salt, expires: now + SignedDuration::from_mins(CODE_MINUTES), tries: 0 }
    }

    /// Whether it is worth mailing once more: whoever asks again and again must not make the one useless that has arrived.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.tries < CODE_TRIES && self.expires > now + SignedDuration::from_mins(CODE_MINUTES / 3)
    }

    /// This one, unless the one that is known is fresh.
    #[must_use]
    pub fn unless_fresh(self, known: Option<&Self>, now: Timestamp) -> Self {
        known.filter(|known| known.is_fresh(now)).cloned().unwrap_or(self)
    }

    /// A try with it: nothing is left of it if it is right, and what is to be stored if not.
    ///
    /// # Errors
    /// `code_wrong` when it has expired, was tried too often, or there is nothing to be stored.
    pub fn tried(&self, guess: impl FnOnce(&str) -> Guess, now: Timestamp) -> Result<Option<Self>> {
        if self.expires <= now || self.tries >= CODE_TRIES {
            return Code::CodeWrong.refuse();
        }
        match guess(&self.salt) {
            Guess::Right => Ok(None),
            Guess::Wrong => Ok(Some(Self { tries: self.tries + 1, ..self.clone() })),
            Guess::Far => Code::CodeWrong.refuse(),
        }
    }
}

/// The code that follows from a salt: what is mailed.
#[must_use]
pub fn text(sealer: &Sealer, account: AccountId, purpose: CodePurpose, salt: &str) -> String {
    written(sealer.tag(Purpose::MailedCode, &about(account, purpose, salt)))
}

/// What a typed code is. It was mailed under any of the secrets in force.
#[must_use]
pub fn guess(sealer: &Sealer, account: AccountId, purpose: CodePurpose, salt: &str, typed: &str) -> Guess {
    let typed = typed_code(typed);
    let mut best = Guess::Far;
    for tag in sealer.tags(Purpose::MailedCode, &about(account, purpose, salt)) {
        let code = typed_code(&written(tag));
        let begins = |length: usize| typed.len() == code.len() && typed.get(..length) == code.get(..length);
        if begins(code.len()) {
            return Guess::Right;
        }
        if begins(code.len() / 2) {
            best = Guess::Wrong;
        }
    }
    best
}

fn about(account: AccountId, purpose: CodePurpose, salt: &str) -> Vec<u8> {
    format!("{account}.{}.{salt}", purpose.word()).into_bytes()
}

/// 40 bits of a tag as a code.
fn written(tag: [u8; 32]) -> String {
    let bits = tag.iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    let letter = |place: usize| char::from(SPOKEN[(bits >> (place * 5)) as usize & 31]);
    let half = |from: usize| (from..from + 4).map(letter).collect::<String>();
    format!("{}-{}", half(0), half(4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn sealer(secrets: &[u8]) -> Sealer {
        let list: Vec<_> = secrets.iter().map(|byte| STANDARD.encode([*byte; 32])).collect();
        Sealer::new(&[("TOKEN_SECRETS".to_owned(), list.join(","))].into_iter().collect()).unwrap()
    }

    #[test]
    fn a_code_is_for_one_account_one_purpose_and_one_salt() {
        use CodePurpose::{Move, Reset, Verify};
        let (ada, eve) = (AccountId::derive(&["ada"]), AccountId::derive(&["eve"]));
        let code = text(&sealer(&[1]), ada, Reset, "5a");
        assert!(code.len() == 9 && code.chars().nth(4) == Some('-'), "{code}");
        let is = |secrets: &[u8], account, purpose, salt: &str, typed: &str| {
            guess(&sealer(secrets), account, purpose, salt, typed) == Guess::Right
        };
        assert!(is(&[1], ada, Reset, "5a", &code) && is(&[2, 1], ada, Reset, "5a", &code));
        assert!(is(&[1], ada, Reset, "5a", &code.to_lowercase().replace('-', " ")));
        for (secrets, account, purpose, salt) in
            [(2, ada, Reset, "5a"), (1, eve, Reset, "5a"), (1, ada, Move, "5a"), (1, ada, Reset, "5b")]
        {
            assert!(!is(&[secrets], account, purpose, salt, &code), "{secrets} {purpose:?} {salt}");
        }
        assert!(!is(&[1], ada, Verify, "5a", &code));
    }

    #[test]
    fn only_who_has_seen_half_of_a_code_can_use_it_up() {
        let (sealer, ada) = (sealer(&[1]), AccountId::derive(&["ada"]));
        let code = text(&sealer, ada, CodePurpose::Reset, "5a");
        let try_ = |purpose, typed: &str| guess(&sealer, ada, purpose, "5a", typed);
        let other = |half: &str| half.chars().map(|c| if c == 'Z' { 'Y' } else { 'Z' }).collect::<String>();
        assert_eq!(try_(CodePurpose::Reset, &format!("{}-{}", &code[..4], other(&code[5..]))), Guess::Wrong);
        for typed in ["", "0", &format!("{}-{}", other(&code[..4]), &code[5..]), &code[..4]] {
            assert_eq!(try_(CodePurpose::Reset, typed), Guess::Far, "{typed}");
        }
    }

    #[test]
    fn a_code_works_once_in_time_and_not_after_five_wrong_tries() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let code = MailedCode::new([7; 16], at(0));
        assert_eq!(
            code.tried(|salt| if salt == "07".repeat(16) { Guess::Right } else { Guess::Far }, at(599))
                .unwrap(),
            None
        );
        assert_eq!(code.tried(|_| Guess::Right, at(600)).unwrap_err(), Code::CodeWrong, "expired");
        assert_eq!(code.tried(|_| Guess::Far, at(1)).unwrap_err(), Code::CodeWrong, "and nothing is counted");
        let mut worn = code.clone();
        for _ in 0..CODE_TRIES {
            assert!(worn.is_fresh(at(1)));
            worn = worn.tried(|_| Guess::Wrong, at(1)).unwrap().unwrap();
        }
        assert_eq!(worn.tried(|_| Guess::Right, at(1)).unwrap_err(), Code::CodeWrong, "even the right one");
        assert!(!worn.is_fresh(at(1)) && code.is_fresh(at(419)) && !code.is_fresh(at(420)));
    }
}
