//! Passwords: argon2id with m=19456 KiB, t=2, p=1, the first choice of the OWASP Password Storage Cheat Sheet. Which ones
//! are taken is in [`tessera::identity::password`].

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::Deserialize;
use std::sync::LazyLock;
use tessera::app::App;
use tessera::error::{Code, Refusal, Result};
use tessera::identity::password;
use tessera::text::Email;

/// A password as typed, in its normal form: 8 to 128 characters, no composition rules, never shown.
#[derive(Clone)]
pub struct Password(String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = password::normal(&String::deserialize(deserializer)?);
        if password::fits(&text) {
            Ok(Self(text))
        } else {
            Err(serde::de::Error::custom("must have 8 to 128 characters"))
        }
    }
}

impl utoipa::PartialSchema for Password {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Password)))
            .min_length(Some(password::SHORTEST))
            .max_length(Some(password::LONGEST))
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
    /// Refuses what is guessed first. It needs nothing that is stored: the answer says nothing about who has an account.
    ///
    /// # Errors
    /// `invalid_input` at `/password`.
    pub fn check(&self, email: &Email, name: &str) -> Result<()> {
        match password::fault(&self.0, email.as_str(), name) {
            Some(sentence) => Err(Refusal::invalid("/password", sentence)),
            None => Ok(()),
        }
    }

    /// Whether a hash was made with weaker parameters than today's: the next right password is the occasion to make it anew.
    #[must_use]
    pub fn is_outdated(hash: &str) -> bool {
        let of = |name| PasswordHash::new(hash).ok().and_then(|hash| hash.params.get_decimal(name));
        let today = hasher();
        let today = today.params();
        [("m", today.m_cost()), ("t", today.t_cost()), ("p", today.p_cost())]
            .into_iter()
            .any(|(name, wanted)| of(name).is_none_or(|had| had < wanted))
    }

    /// Hashes with a random salt, off the async threads: it takes about 20 ms.
    ///
    /// # Errors
    /// `internal` when there is no randomness.
    pub async fn hash(self, app: &App) -> Result<String> {
        counted(app);
        self.hashed().await
    }

    async fn hashed(self) -> Result<String> {
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
    pub async fn matches(self, app: &App, hash: Option<String>) -> Result<bool> {
        counted(app);
        self.compared(hash).await
    }

    async fn compared(self, hash: Option<String>) -> Result<bool> {
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

/// How often the work is done is what an answer's time says: a test counts it.
fn counted(app: &App) {
    if let Some(meter) = &app.meter {
        meter.hashed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_of_weaker_parameters_is_made_anew() {
        let hash = |params: &str| format!("$argon2id$v=19${params}$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA");
        for (params, outdated) in [
            ("m=19456,t=2,p=1", false),
            ("m=65536,t=3,p=1", false),
            ("m=12288,t=3,p=1", true),
            ("m=19456,t=1,p=1", true),
        ] {
            assert_eq!(Password::is_outdated(&hash(params)), outdated, "{params}");
        }
        assert!(Password::is_outdated("what nobody understands"));
    }

    #[tokio::test]
    async fn the_right_password_matches_and_nobody_has_one() {
        let hash = Password("correct horse".into()).hashed().await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(Password("correct horse".into()).compared(Some(hash.clone())).await.unwrap());
        assert!(!Password("wrong horse".into()).compared(Some(hash)).await.unwrap());
        assert!(!Password("nobody".into()).compared(None).await.unwrap());
    }
}
