//! Codes that come by mail. None is stored: a code follows from the deployment's secret and a salt, and the salt is what
//! is kept and told. Who reads a table or a queue has no code.
//!
//! | for | form | what others can do to it |
//! |---|---|---|
//! | proving an address | `042137` | five wrong tries use it up |
//! | a new password, another address | `7Q2K-94MX`, 40 bits | nothing: only tries that begin like it count |
//!
//! The longer one has to stand against whoever may ask for it as often as they like: guessing it takes too long however
//! many there are, and nobody who has not seen it uses it up.

use crate::error::{Code, Result};
use crate::id::AccountId;
use crate::message::CodePurpose;
use crate::sign::{Purpose, Sealer};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a mailed code is good for.
pub const CODE_MINUTES: i64 = 15;
/// How many wrong tries a mailed code survives.
pub const CODE_TRIES: u8 = 5;

/// Crockford's base 32: no letter that looks like a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

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
        let salt = salt.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { salt, expires: now + SignedDuration::from_mins(CODE_MINUTES), tries: 0 }
    }

    /// Whether it is worth mailing once more: whoever asks again and again must not make the one useless that has arrived.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.tries < CODE_TRIES && self.expires > now + SignedDuration::from_mins(CODE_MINUTES / 3)
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
    written(sealer.tag(Purpose::MailedCode, &about(account, purpose, salt)), purpose)
}

/// What a typed code is. It was mailed under any of the secrets in force.
#[must_use]
pub fn guess(sealer: &Sealer, account: AccountId, purpose: CodePurpose, salt: &str, typed: &str) -> Guess {
    let typed = read(typed);
    let mut best = Guess::Far;
    for tag in sealer.tags(Purpose::MailedCode, &about(account, purpose, salt)) {
        let code = read(&written(tag, purpose));
        let begins = |length: usize| typed.len() == code.len() && typed.get(..length) == code.get(..length);
        if begins(code.len()) {
            return Guess::Right;
        }
        if begins(if six(purpose) { 0 } else { code.len() / 2 }) {
            best = Guess::Wrong;
        }
    }
    // Six digits of any length are a try.
    if six(purpose) { Guess::Wrong } else { best }
}

fn about(account: AccountId, purpose: CodePurpose, salt: &str) -> Vec<u8> {
    format!("{account}.{}.{salt}", purpose.word()).into_bytes()
}

const fn six(purpose: CodePurpose) -> bool {
    match purpose {
        CodePurpose::Verify | CodePurpose::AlreadyRegistered | CodePurpose::AddressTaken => true,
        CodePurpose::Reset | CodePurpose::Move => false,
    }
}

/// 64 bits of a tag as a code: modulo a million the bias is below one in 10^13, and 2^40 divides them.
fn written(tag: [u8; 32], purpose: CodePurpose) -> String {
    let bits = tag.iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    if six(purpose) {
        return format!("{:06}", bits % 1_000_000);
    }
    let letter = |place: usize| char::from(ALPHABET[(bits >> (place * 5)) as usize & 31]);
    let half = |from: usize| (from..from + 4).map(letter).collect::<String>();
    format!("{}-{}", half(0), half(4))
}

/// As people type it: dashes, spaces and small letters, O for 0, I and L for 1.
fn read(typed: &str) -> String {
    typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect()
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
        let digits = text(&sealer(&[1]), ada, Verify, "5a");
        assert!(digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
        assert!(is(&[1], ada, Verify, "5a", &digits));
    }

    #[test]
    fn only_who_has_seen_half_of_a_long_code_can_use_it_up() {
        let (sealer, ada) = (sealer(&[1]), AccountId::derive(&["ada"]));
        let code = text(&sealer, ada, CodePurpose::Reset, "5a");
        let try_ = |purpose, typed: &str| guess(&sealer, ada, purpose, "5a", typed);
        let other = |half: &str| half.chars().map(|c| if c == 'Z' { 'Y' } else { 'Z' }).collect::<String>();
        assert_eq!(try_(CodePurpose::Reset, &format!("{}-{}", &code[..4], other(&code[5..]))), Guess::Wrong);
        for typed in ["", "0", &format!("{}-{}", other(&code[..4]), &code[5..]), &code[..4]] {
            assert_eq!(try_(CodePurpose::Reset, typed), Guess::Far, "{typed}");
        }
        for typed in ["", "0", "000000000"] {
            assert_eq!(try_(CodePurpose::Verify, typed), Guess::Wrong, "{typed}");
        }
    }

    #[test]
    fn a_code_works_once_in_time_and_not_after_five_wrong_tries() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let code = MailedCode::new([7; 16], at(0));
        assert_eq!(
            code.tried(|salt| if salt == "07".repeat(16) { Guess::Right } else { Guess::Far }, at(899))
                .unwrap(),
            None
        );
        assert_eq!(code.tried(|_| Guess::Right, at(900)).unwrap_err(), Code::CodeWrong, "expired");
        assert_eq!(code.tried(|_| Guess::Far, at(1)).unwrap_err(), Code::CodeWrong, "and nothing is counted");
        let mut worn = code.clone();
        for _ in 0..CODE_TRIES {
            assert!(worn.is_fresh(at(1)));
            worn = worn.tried(|_| Guess::Wrong, at(1)).unwrap().unwrap();
        }
        assert_eq!(worn.tried(|_| Guess::Right, at(1)).unwrap_err(), Code::CodeWrong, "even the right one");
        assert!(!worn.is_fresh(at(1)) && code.is_fresh(at(599)) && !code.is_fresh(at(600)));
    }
}
