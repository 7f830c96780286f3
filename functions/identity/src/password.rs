//! Passwords: argon2id with m=19456 KiB, t=2, p=1, the first choice of the OWASP Password Storage Cheat Sheet.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::Deserialize;
use std::sync::LazyLock;
use tessera::error::{Code, Result};

/// A password as typed: 8 to 128 characters, no composition rules (NIST SP 800-63B §3.1.1.2), never shown.
#[derive(Clone)]
pub struct Password(String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.chars().count() {
            8..=128 => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("must have 8 to 128 characters")),
        }
    }
}

impl utoipa::PartialSchema for Password {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Password)))
            .min_length(Some(8))
            .max_length(Some(128))
            .write_only(true)
            .into()
    }
}
impl utoipa::ToSchema for Password {}

fn hasher() -> Argon2<'static> {
    // The parameters are within the library's bounds; its default is the same if that should ever change.
    let params = Params::new(19_456, 2, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// What an unknown address is compared with, so that it takes the same time as a known one.
static NOBODY: LazyLock<String> =
    LazyLock::new(|| hasher().hash_password(b"nobody").map(|hash| hash.to_string()).unwrap_or_default());

impl Password {
    /// Hashes with a random salt, off the async threads: it takes about 20 ms.
    ///
    /// # Errors
    /// `internal` when there is no randomness.
    pub async fn hash(self) -> Result<String> {
        let hash = tokio::task::spawn_blocking(move || {
            hasher().hash_password(self.0.as_bytes()).map(|hash| hash.to_string())
        });
        hash.await
            .map_err(|error| Code::Internal.caused_by(error))?
            .map_err(|error| Code::Internal.caused_by(error.to_string()))
    }

    /// Whether it is the password of this hash. Without one, the same work is done and the answer is no.
    ///
    /// # Errors
    /// `internal` when the worker thread died.
    pub async fn matches(self, hash: Option<String>) -> Result<bool> {
        let check = tokio::task::spawn_blocking(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODY.clone());
            let right = PasswordHash::new(&hash)
                .is_ok_and(|hash| hasher().verify_password(self.0.as_bytes(), &hash).is_ok());
            right && known
        });
        check.await.map_err(|error| Code::Internal.caused_by(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_matches_and_nobody_has_one() {
        let hash = Password("correct horse".into()).hash().await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(Password("correct horse".into()).matches(Some(hash.clone())).await.unwrap());
        assert!(!Password("wrong horse".into()).matches(Some(hash)).await.unwrap());
        assert!(!Password("nobody".into()).matches(None).await.unwrap());
    }
}
