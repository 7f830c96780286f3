//! The second factor: codes by the minute (TOTP, RFC 6238) from an app that shares a secret, and codes on paper for when
//! the app is gone.
//!
//! The time step of the last code that was taken is remembered: a code is good once, whoever sees it typed. The secret is
//! kept encrypted, and opened where a code is compared ([`crate::sign::Sealer::unlock`]). A recovery code has 80 random
//! bits: nobody guesses it, so that guesses are not counted, and a plain hash hides it. It is not keyed with the
//! deployment's secret, which changes: what is on paper must not end with it.

use super::account::Account;
use crate::error::{Code, Result};
use crate::id::{AccountId, SessionId};
use crate::text::sha256;
use aws_lc_rs::hmac;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a code is shown, seconds: the time step of RFC 6238 §4.1.
pub const STEP_SECONDS: i64 = 30;
/// How many steps clocks may differ: what RFC 6238 §5.2 allows for.
pub const STEPS_OFF: i64 = 1;
/// Bytes of a secret: the length of the hash, as RFC 4226 §4 R6 wants it.
pub const SECRET_BYTES: usize = 20;
/// How many recovery codes there are.
pub const RECOVERY_CODES: usize = 10;
/// So few of them are worth a word.
pub const FEW_CODES: usize = 3;
/// How long a secret waits for its first code.
pub const ENROL_MINUTES: i64 = 15;

/// RFC 4648 §6.
const BASE_32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What is asked for besides the password.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum SecondFactor {
    /// Nothing.
    #[default]
    Off,
    /// Nothing yet: a secret was given out, and waits for the first code that follows from it.
    Enrolling {
        /// The secret, encrypted.
        secret: String,
        /// Until when.
        until: Timestamp,
    },
    /// A code.
    On {
        /// The secret, encrypted.
        secret: String,
        /// Since when.
        since: Timestamp,
        /// The time step of the last code that was taken.
        step: i64,
        /// Hashes of the recovery codes that are left, hexadecimal.
        recovery: Vec<String>,
    },
}

impl SecondFactor {
    /// The encrypted secret, if there is one.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Off => None,
            Self::Enrolling { secret, .. } | Self::On { secret, .. } => Some(secret),
        }
    }

    /// Whether it is asked for.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        match self {
            Self::Off | Self::Enrolling { .. } => false,
            Self::On { .. } => true,
        }
    }

    /// How many recovery codes are left.
    #[must_use]
    pub fn recovery_left(&self) -> usize {
        match self {
            Self::Off | Self::Enrolling { .. } => 0,
            Self::On { recovery, .. } => recovery.len(),
        }
    }
}

/// The code of a time step: HOTP (RFC 4226 §5.3) with HMAC-SHA-1 over the step, six digits.
fn code_at(secret: &[u8], step: i64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let from = usize::from(tag.last().copied().unwrap_or_default() & 15);
    let four = tag.iter().skip(from).take(4).fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
    (four & 0x7fff_ffff) % 1_000_000
}

/// The code that an app shows at `now`: what people type.
#[must_use]
pub fn shown(secret: &[u8], now: Timestamp) -> String {
    format!("{:06}", code_at(secret, now.as_second().div_euclid(STEP_SECONDS)))
}

/// Which step later than `after` a typed code is of, at `now`.
fn step_of(secret: &[u8], typed: &str, after: i64, now: Timestamp) -> Option<i64> {
    let typed: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let present = now.as_second().div_euclid(STEP_SECONDS);
    let mut found = None;
    // All of them, whichever it is: how long it takes says nothing.
    for step in present - STEPS_OFF..=present + STEPS_OFF {
        let code = format!("{:06}", code_at(secret, step));
        let right =
            aws_lc_rs::constant_time::verify_slices_are_equal(code.as_bytes(), typed.as_bytes()).is_ok();
        if right && step > after && found.is_none() {
            found = Some(step);
        }
    }
    found
}

/// A secret as apps take it in: base 32 without padding.
#[must_use]
pub fn base_32(bytes: &[u8]) -> String {
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let digit = |place: usize| (0..5).fold(0usize, |digit, at| digit << 1 | usize::from(bit(place * 5 + at)));
    (0..(bytes.len() * 8).div_ceil(5)).map(|place| char::from(BASE_32[digit(place) & 31])).collect()
}

/// What the QR code says (the Key Uri Format of Google Authenticator): who and with which secret. Everything else is as
/// apps assume it, and said for those that do not.
#[must_use]
pub fn uri(email: &str, secret: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let account: String = email
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let secret = base_32(secret);
    format!(
        "otpauth://totp/Tessera:{account}?secret={secret}&issuer=Tessera&algorithm=SHA1&digits=6&period={STEP_SECONDS}"
    )
}

/// A recovery code from 120 random bits: `KQRT-7WZM-2HXA-5JDN-Q3TB-VLE6`. What is kept of it needs no salt and no slow hash then (OWASP
/// ASVS 5.0, 6.5.2: from 112 bits).
#[must_use]
pub fn recovery_code(random: [u8; 15]) -> String {
    let letters = base_32(&random);
    let groups: Vec<&str> = (0..6).filter_map(|group| letters.get(group * 4..group * 4 + 4)).collect();
    groups.join("-")
}

/// What is kept of a recovery code. People type it with small letters and without dashes, too.
#[must_use]
pub fn recovery_hash(account: AccountId, code: &str) -> String {
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    let text = format!("recovery\0{account}\0{}", code.to_ascii_uppercase());
    sha256(text)
}

impl Account {
    /// Gives out a secret, encrypted here. An earlier one that waits is forgotten.
    ///
    /// # Errors
    /// `wrong_state` if a second factor is on.
    pub fn enrol(&self, secret: String, now: Timestamp) -> Result<Self> {
        match self.second_factor {
            SecondFactor::Off | SecondFactor::Enrolling { .. } => {
                let until = now + SignedDuration::from_mins(ENROL_MINUTES);
                Ok(Self { second_factor: SecondFactor::Enrolling { secret, until }, ..self.clone() })
            }
            SecondFactor::On { .. } => {
                Err(Code::WrongState.because("a second factor is on: switch it off first"))
            }
        }
    }

    /// Switches the second factor on by a first code of the secret that was given out. Every session but `spared` has ended.
    ///
    /// # Errors
    /// `wrong_state` if no secret waits; `code_wrong`.
    pub fn switch_on(
        &self,
        secret: &[u8],
        typed: &str,
        recovery: Vec<String>,
        spared: SessionId,
        now: Timestamp,
    ) -> Result<Self> {
        let SecondFactor::Enrolling { secret: sealed, until } = &self.second_factor else {
            return Err(Code::WrongState.because("ask for a secret first"));
        };
        if *until <= now {
            return Err(Code::WrongState.because("the secret has waited too long: ask for another one"));
        }
        let step = step_of(secret, typed, i64::MIN, now).ok_or(Code::CodeWrong)?;
        let on = SecondFactor::On { secret: sealed.clone(), since: now, step, recovery };
        Ok(Self { second_factor: on, ..self.clone() }.in_new_era(Some(spared)))
    }

    /// Takes a code of the app: it is used up, and so are all before it. `renewed` is the secret, encrypted anew, if that
    /// is due.
    ///
    /// # Errors
    /// `code_wrong`; `wrong_state` if no second factor is on.
    pub fn take_code(
        &self,
        secret: &[u8],
        typed: &str,
        renewed: Option<String>,
        now: Timestamp,
    ) -> Result<Self> {
        let SecondFactor::On { secret: sealed, since, step, recovery } = &self.second_factor else {
            return Code::WrongState.refuse();
        };
        let step = step_of(secret, typed, *step, now).ok_or(Code::CodeWrong)?;
        let (secret, recovery) = (renewed.unwrap_or_else(|| sealed.clone()), recovery.clone());
        let on = SecondFactor::On { secret, since: *since, step, recovery };
        Ok(Self { second_factor: on, ..self.clone() })
    }

    /// Takes a recovery code: it is used up.
    ///
    /// # Errors
    /// `code_wrong`; `wrong_state` if no second factor is on.
    pub fn take_recovery(&self, typed: &str) -> Result<Self> {
        let SecondFactor::On { secret, since, step, recovery } = &self.second_factor else {
            return Code::WrongState.refuse();
        };
        let hash = recovery_hash(self.id, typed);
        let left: Vec<String> = recovery.iter().filter(|known| **known != hash).cloned().collect();
        if left.len() == recovery.len() {
            return Code::CodeWrong.refuse();
        }
        let on = SecondFactor::On { secret: secret.clone(), since: *since, step: *step, recovery: left };
        Ok(Self { second_factor: on, ..self.clone() })
    }

    /// Switches the second factor off. Every session but `spared` has ended.
    #[must_use]
    pub fn switch_off(&self, spared: SessionId) -> Self {
        Self { second_factor: SecondFactor::Off, ..self.clone() }.in_new_era(Some(spared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Text;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    /// RFC 6238, appendix B, and RFC 4226, appendix D: the last six of their digits.
    const RFC: &[u8] = b"12345678901234567890";

    fn account(second_factor: SecondFactor) -> Account {
        let (id, email) = (AccountId::derive(&["a"]), "ada@example.org".parse().unwrap());
        let account = Account::new(id, email, Text::parse("Ada").unwrap(), at(0));
        Account { second_factor, ..account }
    }

    fn on(step: i64) -> SecondFactor {
        let recovery = vec![recovery_hash(AccountId::derive(&["a"]), "AAAA-BBBB-CCCC-DDDD")];
        SecondFactor::On { secret: "s".into(), since: at(0), step, recovery }
    }

    fn mine() -> SessionId {
        SessionId::derive(&["mine"])
    }

    #[test]
    fn codes_are_those_of_the_rfcs() {
        for (seconds, digits) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(shown(RFC, at(seconds)), digits[2..], "{seconds}");
        }
        let hotp: Vec<u32> = (0..10).map(|step| code_at(RFC, step)).collect();
        assert_eq!(
            hotp,
            [755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871, 520_489]
        );
    }

    #[test]
    fn base_32_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base_32(bytes.as_bytes()), text);
        }
        assert_eq!(
            uri("ada+x@example.org", RFC),
            "otpauth://totp/Tessera:ada%2Bx%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Tessera&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn a_code_is_taken_once_a_step_early_or_late_and_none_before_it_afterwards() {
        let now = at(1_800_000_000);
        let present = 60_000_000;
        for (off, taken) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let code = shown(RFC, now + SignedDuration::from_secs(off * STEP_SECONDS));
            let next = account(on(0)).take_code(RFC, &code, None, now);
            assert_eq!(next.is_ok(), taken, "{off}");
            let Ok(next) = next else { continue };
            assert_eq!(next.second_factor, on(present + off));
            assert_eq!(next.take_code(RFC, &code, None, now).unwrap_err(), Code::CodeWrong, "once");
            let before = shown(RFC, now - SignedDuration::from_secs(STEP_SECONDS));
            assert_eq!(
                next.take_code(RFC, &before, None, now).unwrap_err(),
                Code::CodeWrong,
                "none before it"
            );
        }
        let code = shown(RFC, now);
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        let renewed = account(on(0)).take_code(RFC, &spaced, Some("new".into()), now).unwrap();
        assert_eq!(renewed.second_factor.secret(), Some("new"));
        for typed in ["", "0", "1234567", &code[..5]] {
            assert_eq!(
                account(on(0)).take_code(RFC, typed, None, now).unwrap_err(),
                Code::CodeWrong,
                "{typed}"
            );
        }
    }

    /// Every state × every way on.
    #[test]
    fn it_is_on_only_after_a_first_code_and_off_only_by_its_owner() {
        let now = at(1_800_000_000);
        let code = shown(RFC, now);
        let waits = |until| SecondFactor::Enrolling { secret: "s".into(), until };
        let later = now + SignedDuration::from_secs(1);
        for (state, enrols, switches_on, takes) in [
            (SecondFactor::Off, true, false, false),
            (waits(later), true, true, false),
            (waits(now), true, false, false),
            (on(0), false, false, true),
        ] {
            let account = account(state.clone());
            assert_eq!(account.enrol("new".into(), now).is_ok(), enrols, "{state:?}");
            assert_eq!(
                account.switch_on(RFC, &code, Vec::new(), mine(), now).is_ok(),
                switches_on,
                "{state:?}"
            );
            assert_eq!(account.take_code(RFC, &code, None, now).is_ok(), takes, "{state:?}");
            assert_eq!(account.take_recovery("aaaabbbbccccdddd").is_ok(), takes, "{state:?}");
            let off = account.switch_off(mine());
            assert_eq!((off.second_factor, off.era, off.spared), (SecondFactor::Off, 1, Some(mine())));
        }
        let waiting = account(waits(later));
        assert_eq!(waiting.switch_on(RFC, "000000", Vec::new(), mine(), now).unwrap_err(), Code::CodeWrong);
        let now_on = waiting.switch_on(RFC, &code, vec!["h".into()], mine(), now).unwrap();
        assert_eq!((now_on.era, now_on.spared, now_on.second_factor.recovery_left()), (1, Some(mine()), 1));
        assert_eq!(
            now_on.take_code(RFC, &code, None, now).unwrap_err(),
            Code::CodeWrong,
            "the first code is used up"
        );
    }

    #[test]
    fn a_recovery_code_is_used_up_and_is_its_accounts_alone() {
        let used = account(on(0)).take_recovery("aaaa-bbbb-cccc-dddd").unwrap();
        assert_eq!(used.second_factor.recovery_left(), 0);
        assert_eq!(used.take_recovery("AAAA-BBBB-CCCC-DDDD").unwrap_err(), Code::CodeWrong);
        let other = AccountId::derive(&["b"]);
        assert_ne!(recovery_hash(other, "AAAA"), recovery_hash(AccountId::derive(&["a"]), "AAAA"));
        let code = recovery_code([0xff; 15]);
        assert_eq!(code, "7777-7777-7777-7777-7777-7777");
    }
}
