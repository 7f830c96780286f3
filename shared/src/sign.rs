//! Sealed tokens: JSON that a client carries and cannot change: quotes, cursors, guest credentials, order links.
//!
//! `base64url(json) . base64url(HMAC-SHA256(secret, purpose 0x00 json))`. The purpose keeps a token of one kind from
//! passing as another. Several secrets may be set while one is being replaced: the first signs, all verify.
//!
//! What we must read again ourselves is locked instead ([`Sealer::lock`]): AES-256-GCM, bound to what it belongs to.

use crate::config::{Config, ConfigError};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// What a sealed token is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A hold's quote.
    Quote,
    /// Where a list goes on.
    Cursor,
    /// A guest's credential.
    Guest,
    /// The secret link of an order.
    OrderLink,
    /// A refresh token's secret part.
    Refresh,
    /// A code sent by mail.
    MailedCode,
    /// A code by which a device is paired.
    PairingCode,
    /// The tag that marks a buyer's holds in a lane.
    HoldTag,
    /// A gift card's code.
    GiftCode,
    /// A buyer's lot in a waiting room.
    Lot,
    /// A place in a waiting room.
    Place,
    /// An admission from a waiting room.
    Admission,
    /// Whose guesses are counted: an address does not become a key in clear.
    Guesses,
    /// A right password that waits for its second factor.
    Challenge,
    /// The secret of a second factor.
    SecondFactor,
    /// What names a caller in the books of the rate limits.
    Limit,
    /// What an app gives to Google or Apple when somebody signs in there.
    Nonce,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Quote => b"quote\0",
            Self::Cursor => b"cursor\0",
            Self::Guest => b"guest\0",
            Self::OrderLink => b"order-link\0",
            Self::Refresh => b"refresh\0",
            Self::MailedCode => b"mailed-code\0",
            Self::PairingCode => b"pairing-code\0",
            Self::HoldTag => b"hold-tag\0",
            Self::GiftCode => b"gift-code\0",
            Self::Lot => b"lot\0",
            Self::Place => b"place\0",
            Self::Admission => b"admission\0",
            Self::Guesses => b"guesses\0",
            Self::Challenge => b"challenge\0",
            Self::SecondFactor => b"second-factor\0",
            Self::Limit => b"limit\0",
            Self::Nonce => b"nonce\0",
        }
    }
}

/// Seals and opens tokens.
#[derive(Clone)]
pub struct Sealer(Arc<[hmac::Key]>);

impl Sealer {
    /// Reads `TOKEN_SECRETS`: comma-separated, base64, 32 bytes each.
    ///
    /// # Errors
    /// Names the setting when it is missing or a secret is too short.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let keys = config
            .require("TOKEN_SECRETS")?
            .split(',')
            .map(|secret| {
                let bytes = STANDARD.decode(secret.trim()).ok().filter(|bytes| bytes.len() >= 32);
                bytes.map(|bytes| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| config.wrong("TOKEN_SECRETS", "needs base64 of at least 32 bytes each"))?;
        Ok(Self(keys.into()))
    }

    fn mac(key: &hmac::Key, purpose: Purpose, data: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(key);
        context.update(purpose.label());
        context.update(data);
        context.sign()
    }

    /// 32 bytes that only holders of the present secret can compute.
    #[must_use]
    pub fn tag(&self, purpose: Purpose, data: &[u8]) -> [u8; 32] {
        let mut tag = [0; 32];
        tag.copy_from_slice(Self::mac(&self.0[0], purpose, data).as_ref());
        tag
    }

    /// What [`Self::tag`] gives with each of the secrets in force, the present one first.
    pub fn tags(&self, purpose: Purpose, data: &[u8]) -> impl Iterator<Item = [u8; 32]> {
        self.0.iter().map(move |key| {
            let mut tag = [0; 32];
            tag.copy_from_slice(Self::mac(key, purpose, data).as_ref());
            tag
        })
    }

    /// Whether `tag` was made by [`Self::tag`] with any secret in force. Takes the same time for every wrong tag.
    #[must_use]
    pub fn knows(&self, purpose: Purpose, data: &[u8], tag: &[u8]) -> bool {
        self.0.iter().any(|key| {
            let mut all = purpose.label().to_vec();
            all.extend_from_slice(data);
            hmac::verify(key, &all, tag).is_ok()
        })
    }

    /// Seals a value.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn seal<T: Serialize>(&self, purpose: Purpose, value: &T) -> Result<String, serde_json::Error> {
        let json = serde_json::to_vec(value)?;
        let tag = self.tag(purpose, &json);
        Ok(format!("{}.{}", URL_SAFE_NO_PAD.encode(&json), URL_SAFE_NO_PAD.encode(tag)))
    }

    /// The value inside, if the seal is ours and for this purpose.
    #[must_use]
    pub fn open<T: DeserializeOwned>(&self, purpose: Purpose, token: &str) -> Option<T> {
        let (json, tag) = token.split_once('.')?;
        let (json, tag) = (URL_SAFE_NO_PAD.decode(json).ok()?, URL_SAFE_NO_PAD.decode(tag).ok()?);
        if !self.knows(purpose, &json, &tag) {
            return None;
        }
        serde_json::from_slice(&json).ok()
    }

    /// The key to what is locked: one block of HKDF-Expand (RFC 5869 §2.3) with the purpose as its info. The secrets are
    /// random already, which is when §3.3 leaves out the first half.
    fn key(key: &hmac::Key, purpose: Purpose) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, Self::mac(key, purpose, &[1]).as_ref()).ok().map(LessSafeKey::new)
    }

    /// Encrypts with the present secret, so that it can be read again only together with `context`.
    ///
    /// # Errors
    /// `internal` when there is no randomness.
    pub fn lock(&self, purpose: Purpose, context: &str, plain: &[u8]) -> crate::error::Result<String> {
        let failed = || crate::error::Code::Internal.caused_by("it could not be encrypted");
        let nonce = random::<NONCE_LEN>()?;
        let mut bytes = plain.to_vec();
        let key = Self::key(&self.0[0], purpose).ok_or_else(failed)?;
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context.as_bytes()),
            &mut bytes,
        )
        .map_err(|_| failed())?;
        Ok(STANDARD.encode([nonce.as_slice(), &bytes].concat()))
    }

    /// What was locked under any secret in force, and whether that is the present one: if not, it is to be locked again.
    #[must_use]
    pub fn unlock(&self, purpose: Purpose, context: &str, locked: &str) -> Option<(Vec<u8>, bool)> {
        let bytes = STANDARD.decode(locked).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        self.0.iter().enumerate().find_map(|(place, key)| {
            let mut sealed = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let plain =
                Self::key(key, purpose)?.open_in_place(nonce, Aad::from(context.as_bytes()), &mut sealed);
            Some((plain.ok()?.to_vec(), place == 0))
        })
    }
}

/// Fresh random bytes from the operating system.
///
/// # Errors
/// When the operating system has none to give.
pub fn random<const N: usize>() -> crate::error::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| crate::error::Code::Internal.caused_by(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(secrets: &[u8]) -> Sealer {
        let list: Vec<_> = secrets.iter().map(|byte| STANDARD.encode([*byte; 32])).collect();
        Sealer::new(&[("TOKEN_SECRETS".to_owned(), list.join(","))].into_iter().collect()).unwrap()
    }

    #[test]
    fn a_token_opens_for_its_own_purpose_only() {
        let token = sealer(&[1]).seal(Purpose::Quote, &42).unwrap();
        assert_eq!(sealer(&[1]).open::<u32>(Purpose::Quote, &token), Some(42));
        assert_eq!(sealer(&[1]).open::<u32>(Purpose::Cursor, &token), None);
    }

    #[test]
    fn changing_any_character_breaks_the_seal() {
        let token = sealer(&[1]).seal(Purpose::Quote, &"two places").unwrap();
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            // The last character of an unpadded group has bits that carry nothing; a strict decoder refuses those too.
            assert!(
                changed == token || sealer(&[1]).open::<String>(Purpose::Quote, &changed).is_none(),
                "at {place}"
            );
        }
    }

    #[test]
    fn the_previous_secret_still_verifies_and_a_dropped_one_does_not() {
        let token = sealer(&[1]).seal(Purpose::Guest, &1).unwrap();
        assert_eq!(sealer(&[2, 1]).open::<u32>(Purpose::Guest, &token), Some(1));
        assert_eq!(sealer(&[2]).open::<u32>(Purpose::Guest, &token), None);
    }

    #[test]
    fn what_is_locked_is_read_with_its_secret_its_purpose_and_its_context_alone() {
        let locked = sealer(&[1]).lock(Purpose::SecondFactor, "ada", b"hush").unwrap();
        let unlock = |secrets: &[u8], purpose, context: &str, locked: &str| {
            sealer(secrets).unlock(purpose, context, locked)
        };
        let plain = |present| Some((b"hush".to_vec(), present));
        assert_eq!(unlock(&[1], Purpose::SecondFactor, "ada", &locked), plain(true));
        assert_eq!(
            unlock(&[2, 1], Purpose::SecondFactor, "ada", &locked),
            plain(false),
            "to be locked again"
        );
        assert_eq!(unlock(&[2], Purpose::SecondFactor, "ada", &locked), None);
        assert_eq!(unlock(&[1], Purpose::SecondFactor, "eve", &locked), None);
        assert_eq!(unlock(&[1], Purpose::Challenge, "ada", &locked), None);
        assert_ne!(locked, sealer(&[1]).lock(Purpose::SecondFactor, "ada", b"hush").unwrap());
        let mut bytes = STANDARD.decode(&locked).unwrap();
        for place in 0..bytes.len() {
            bytes[place] ^= 1;
            assert_eq!(unlock(&[1], Purpose::SecondFactor, "ada", &STANDARD.encode(&bytes)), None, "{place}");
            bytes[place] ^= 1;
        }
        assert_eq!(unlock(&[1], Purpose::SecondFactor, "ada", "AAAA"), None);
    }

    #[test]
    fn a_short_secret_is_refused_at_start() {
        let config = [("TOKEN_SECRETS".to_owned(), STANDARD.encode([1; 16]))].into_iter().collect();
        assert!(Sealer::new(&config).is_err());
    }
}
