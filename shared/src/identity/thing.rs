//! API keys and devices: things that act for an organisation, each with a credential of its own.
//!
//! A credential is `tsk_` (a server's key) or `tsd_` (a device's), 8 characters by which it is found, 32 random ones (190
//! bits), and 6 of a CRC-32 over all before, in the manner of GitHub's tokens
//! (<https://github.blog/engineering/behind-githubs-new-authentication-token-formats/>): scanners find it where it does
//! not belong, and a mistyped one is refused without a look into the table. Only its SHA-256 is kept: with that much
//! randomness nothing slower is needed.

use super::rights::Rights;
use crate::auth::Actor;
use crate::error::{Code, Refusal, Result};
use crate::id::{AccountId, DeviceId, KeyId, OrganisationId};
use crate::text::{Text, sha256};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a key is good for if nothing else is said, days.
pub const KEY_DAYS: i64 = 365;
/// How long a key may be good for, days.
pub const KEY_DAYS_MOST: i64 = 730;
/// How long a pairing code is good for, minutes.
pub const PAIRING_MINUTES: i64 = 15;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const NAME: usize = 8;
const SECRET: usize = 32;
const CHECK: usize = 6;

/// Whose credential it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A server's.
    Key,
    /// A scanner's or till's.
    Device,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Key => "tsk_",
            Self::Device => "tsd_",
        }
    }
}

/// A credential, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Whose.
    pub kind: Kind,
    /// By which it is found.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// Characters of the alphabet from bytes of which each is as likely as the others; `None` if they do not suffice.
fn letters<const N: usize>(bytes: &[u8]) -> Option<String> {
    // 248 is the largest multiple of 62 in a byte: what is above would make the first letters likelier.
    let fair = bytes.iter().filter(|byte| **byte < 248);
    let text: String = fair.take(N).map(|byte| char::from(ALPHABET[*byte as usize % 62])).collect();
    (text.len() == N).then_some(text)
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

impl Credential {
    /// The name that a request leads to: the same request to the same one. It is no secret.
    #[must_use]
    pub fn name(parts: &[&str]) -> String {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        let mut bits = crate::id::hashed(&parts).as_u128();
        let mut name = String::with_capacity(NAME);
        for _ in 0..NAME {
            name.push(char::from(ALPHABET[(bits % 62) as usize]));
            bits /= 62;
        }
        name
    }

    /// A new one of this name.
    ///
    /// # Errors
    /// `internal` if the bytes are anything but random.
    pub fn new(kind: Kind, name: &str, random: &[u8; 64]) -> Result<Self> {
        let secret = letters::<SECRET>(random).ok_or(Code::Internal)?;
        let body = format!("{}{name}{secret}", kind.prefix());
        Ok(Self { kind, name: name.to_owned(), text: format!("{body}{}", checksum(&body)) })
    }

    /// Whether a text looks like one, good or not.
    #[must_use]
    pub fn resembles(text: &str) -> bool {
        text.starts_with(Kind::Key.prefix()) || text.starts_with(Kind::Device.prefix())
    }

    /// Takes one apart whose checksum is right.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let kind = [Kind::Key, Kind::Device].into_iter().find(|kind| text.starts_with(kind.prefix()))?;
        let rest = &text[kind.prefix().len()..];
        if rest.len() != NAME + SECRET + CHECK || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let (body, check) = text.split_at(text.len() - CHECK);
        (checksum(body) == check).then(|| Self { kind, name: rest[..NAME].to_owned(), text: text.to_owned() })
    }

    /// What of it people may see, to tell it from others.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}{}", self.kind.prefix(), self.name)
    }

    /// What is kept of it: SHA-256, hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        sha256(&self.text)
    }

    fn is(&self, hash: &str) -> bool {
        verify_slices_are_equal(self.hash().as_bytes(), hash.as_bytes()).is_ok()
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}…", self.shown())
    }
}

/// Something that acts for an organisation, as what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Thing {
    /// The key or device.
    pub actor: Actor,
    /// For whom.
    pub organisation: OrganisationId,
    /// As what.
    pub rights: Rights,
}

/// What a server calls with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    /// The id: follows from the credential's name.
    pub id: KeyId,
    /// For whom.
    pub organisation: OrganisationId,
    /// What people call it.
    pub label: Text<1, 80>,
    /// The credential's beginning.
    pub shown: String,
    /// The credential's SHA-256.
    pub hash: String,
    /// As what.
    pub rights: Rights,
    /// Until when.
    pub expires: Timestamp,
    /// Since when.
    pub created: Timestamp,
    /// Who made it.
    pub by: AccountId,
    /// Since when it is revoked.
    pub revoked: Option<Timestamp>,
    /// The print of the request that made it.
    pub print: String,
}

impl ApiKey {
    /// Until when a key made now is good, if this is asked for.
    ///
    /// # Errors
    /// `invalid_input`.
    pub fn end(asked: Option<Timestamp>, now: Timestamp) -> Result<Timestamp> {
        let after = |days: i64| now + SignedDuration::from_hours(24 * days);
        let end = asked.unwrap_or_else(|| after(KEY_DAYS));
        if end > now && end <= after(KEY_DAYS_MOST) {
            return Ok(end);
        }
        Err(Refusal::invalid("/expires", format!("must be within the next {KEY_DAYS_MOST} days")))
    }

    /// What calls with this credential.
    ///
    /// # Errors
    /// `token_invalid` when it is another one, is over, or was revoked.
    pub fn call(self, with: &Credential, now: Timestamp) -> Result<Thing> {
        if !with.is(&self.hash) {
            return Err(Code::TokenInvalid.caused_by("another secret"));
        }
        if self.revoked.is_some() || self.expires <= now {
            return Err(Code::TokenInvalid.caused_by("the key is over"));
        }
        Ok(Thing { actor: Actor::Key(self.id), organisation: self.organisation, rights: self.rights })
    }

    /// It ends. Repeating it changes nothing.
    #[must_use]
    pub fn revoke(&self, now: Timestamp) -> Option<Self> {
        self.revoked.is_none().then(|| Self { revoked: Some(now), ..self.clone() })
    }
}

/// Where a device stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// A code is out by which it can be paired.
    Waiting {
        /// Keyed hash of the code, hexadecimal.
        code: String,
        /// Until when.
        until: Timestamp,
    },
    /// It has its credential.
    Paired {
        /// The credential's SHA-256.
        hash: String,
        /// Since when.
        at: Timestamp,
    },
    /// It may no more.
    Removed {
        /// Since when.
        at: Timestamp,
    },
}

/// A scanner or a till.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Device {
    /// The id: follows from the credential's name.
    pub id: DeviceId,
    /// For whom.
    pub organisation: OrganisationId,
    /// What people call it.
    pub label: Text<1, 80>,
    /// The credential's name.
    pub name: String,
    /// As what.
    pub rights: Rights,
    /// Where it stands.
    pub state: State,
    /// Since when it is known.
    pub created: Timestamp,
    /// Who made it.
    pub by: AccountId,
    /// The print of the request that made it.
    pub print: String,
}

impl Device {
    /// A new code is out; a credential it had is void at once.
    ///
    /// # Errors
    /// `wrong_state` once it is removed.
    pub fn await_pairing(&self, code: String, now: Timestamp) -> Result<Self> {
        match self.state {
            State::Waiting { .. } | State::Paired { .. } => {
                let until = now + SignedDuration::from_mins(PAIRING_MINUTES);
                Ok(Self { state: State::Waiting { code, until }, ..self.clone() })
            }
            State::Removed { .. } => Code::WrongState.refuse(),
        }
    }

    /// The code came back: it has this credential from now on.
    ///
    /// # Errors
    /// `code_wrong` when that is not the code, it is over, or it was used.
    pub fn pair(&self, code: &str, hash: String, now: Timestamp) -> Result<Self> {
        match &self.state {
            State::Waiting { code: known, until } if known == code && *until > now => {
                Ok(Self { state: State::Paired { hash, at: now }, ..self.clone() })
            }
            State::Waiting { .. } | State::Paired { .. } | State::Removed { .. } => Code::CodeWrong.refuse(),
        }
    }

    /// What calls with this credential.
    ///
    /// # Errors
    /// `token_invalid` when it is another one, or the device was removed or is paired anew.
    pub fn call(self, with: &Credential) -> Result<Thing> {
        match &self.state {
            State::Paired { hash, .. } if with.is(hash) => Ok(Thing {
                actor: Actor::Device(self.id),
                organisation: self.organisation,
                rights: self.rights,
            }),
            State::Waiting { .. } | State::Paired { .. } | State::Removed { .. } => {
                Err(Code::TokenInvalid.caused_by("the device is not paired with this"))
            }
        }
    }

    /// It may no more. Repeating it changes nothing.
    #[must_use]
    pub fn remove(&self, now: Timestamp) -> Option<Self> {
        match self.state {
            State::Waiting { .. } | State::Paired { .. } => {
                Some(Self { state: State::Removed { at: now }, ..self.clone() })
            }
            State::Removed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Role;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn credential(kind: Kind, seed: u8) -> Credential {
        Credential::new(kind, &Credential::name(&["org", "k"]), &[seed; 64]).unwrap()
    }

    #[test]
    fn a_credential_is_read_as_it_was_written_and_a_mistyped_one_is_none() {
        for kind in [Kind::Key, Kind::Device] {
            let good = credential(kind, 7);
            assert_eq!(good.text.len(), 4 + NAME + SECRET + CHECK);
            assert_eq!(Credential::parse(&good.text), Some(good.clone()));
            for place in 0..good.text.len() {
                let mut bytes = good.text.clone().into_bytes();
                bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
                assert_eq!(Credential::parse(std::str::from_utf8(&bytes).unwrap()), None, "at {place}");
            }
            assert!(!format!("{good:?}").contains(&good.text[12..44]), "debugging shows no secret");
        }
        for none in ["", "tsk_", "tsk_ü", "ghp_0123456789", &"tsk_0".repeat(12)] {
            assert_eq!(Credential::parse(none), None);
        }
    }

    #[test]
    fn letters_come_from_fair_bytes_alone() {
        let mut bytes = [255; 64];
        assert_eq!(letters::<4>(&bytes), None, "none of these is fair");
        bytes[10..14].copy_from_slice(&[0, 61, 62, 247]);
        assert_eq!(letters::<4>(&bytes).unwrap(), "0z0z");
    }

    fn key() -> (ApiKey, Credential) {
        let credential = credential(Kind::Key, 7);
        let key = ApiKey {
            id: KeyId::derive(&[&credential.name]),
            organisation: OrganisationId::derive(&["o"]),
            label: Text::parse("Till sync").unwrap(),
            shown: credential.shown(),
            hash: credential.hash(),
            rights: Rights::of(Role::Editor),
            expires: at(100),
            created: at(0),
            by: AccountId::derive(&["a"]),
            revoked: None,
            print: String::new(),
        };
        (key, credential)
    }

    #[test]
    fn a_key_calls_until_it_is_over_or_revoked() {
        let (key, good) = key();
        assert_eq!(key.clone().call(&good, at(99)).unwrap().actor, Actor::Key(key.id));
        assert_eq!(key.clone().call(&good, at(100)).unwrap_err(), Code::TokenInvalid);
        assert_eq!(key.clone().call(&credential(Kind::Key, 8), at(1)).unwrap_err(), Code::TokenInvalid);
        let revoked = key.revoke(at(5)).unwrap();
        assert_eq!(revoked.clone().call(&good, at(6)).unwrap_err(), Code::TokenInvalid);
        assert_eq!(revoked.revoke(at(7)), None);
    }

    #[test]
    fn a_key_ends_within_two_years() {
        assert_eq!(ApiKey::end(None, at(0)).unwrap(), at(365 * 86_400));
        assert_eq!(ApiKey::end(Some(at(730 * 86_400)), at(0)).unwrap(), at(730 * 86_400));
        assert!(ApiKey::end(Some(at(730 * 86_400 + 1)), at(0)).is_err());
        assert!(ApiKey::end(Some(at(0)), at(0)).is_err());
    }

    /// Every state × everything that can happen to it.
    #[test]
    fn the_grid_of_devices() {
        let good = credential(Kind::Device, 7);
        let device = |state: State| Device {
            id: DeviceId::derive(&[&good.name]),
            organisation: OrganisationId::derive(&["o"]),
            label: Text::parse("North 1").unwrap(),
            name: good.name.clone(),
            rights: Rights::of(Role::Gate),
            state,
            created: at(0),
            by: AccountId::derive(&["a"]),
            print: String::new(),
        };
        let waiting = device(State::Waiting { code: "h".into(), until: at(900) });
        let paired = device(State::Paired { hash: good.hash(), at: at(1) });
        let removed = device(State::Removed { at: at(2) });

        assert_eq!(waiting.pair("h", good.hash(), at(1)).unwrap(), paired);
        assert_eq!(waiting.pair("other", good.hash(), at(1)).unwrap_err(), Code::CodeWrong);
        assert_eq!(waiting.pair("h", good.hash(), at(900)).unwrap_err(), Code::CodeWrong, "over");
        assert_eq!(paired.pair("h", good.hash(), at(1)).unwrap_err(), Code::CodeWrong, "used");
        assert_eq!(removed.pair("h", good.hash(), at(1)).unwrap_err(), Code::CodeWrong);

        assert!(matches!(waiting.await_pairing("n".into(), at(5)).unwrap().state, State::Waiting { .. }));
        let anew = paired.await_pairing("n".into(), at(5)).unwrap();
        assert_eq!(anew.clone().call(&good).unwrap_err(), Code::TokenInvalid, "the old one is void");
        assert_eq!(removed.await_pairing("n".into(), at(5)).unwrap_err(), Code::WrongState);

        assert_eq!(paired.clone().call(&good).unwrap().actor, Actor::Device(paired.id));
        assert_eq!(paired.clone().call(&credential(Kind::Device, 8)).unwrap_err(), Code::TokenInvalid);
        assert_eq!(waiting.clone().call(&good).unwrap_err(), Code::TokenInvalid);
        assert_eq!(removed.clone().call(&good).unwrap_err(), Code::TokenInvalid);

        assert!(waiting.remove(at(9)).is_some() && paired.remove(at(9)).is_some());
        assert_eq!(removed.remove(at(9)), None);
    }
}
