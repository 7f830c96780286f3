//! Signing in with what another house says about somebody: an OpenID Connect id token of Google or Apple. Pure rules; the
//! signature is checked by whoever calls them.
//!
//! | rule | source |
//! |---|---|
//! | issuer, audience, times and nonce are ours to check | OpenID Connect Core 1.0 §3.1.3.7 |
//! | a person is the `sub`, never the address | the same, §5.7 |
//! | Google speaks for an address only if it runs the mailbox: `@gmail.com`, or a verified one with `hd` | "Verify the Google ID token on your server side", developers.google.com |
//! | Apple has verified every address it tells, and writes booleans as text, too | "Authenticating users with Sign in with Apple", developer.apple.com |
//!
//! Why the third one matters: somebody may have opened a Google account with an address that was theirs then and is
//! another person's now. Whoever could link by that would come into the account of the other.

use crate::error::{Code, Refusal, Result};
use crate::id::AccountId;
use crate::text::{Email, Text, sha256};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How far clocks may differ, seconds.
const LEEWAY: i64 = 60;
/// An id token is not older than this when it is shown, seconds.
const OLDEST: i64 = 60 * 60;
/// How long a nonce is good, seconds: somebody may have to find their password there.
pub const NONCE_SECONDS: i64 = 15 * 60;

/// Another house that says who somebody is.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum IdentityProvider {
    /// Sign in with Google.
    Google,
    /// Sign in with Apple.
    Apple,
}

impl IdentityProvider {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Google, Self::Apple];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Apple => "apple",
        }
    }

    /// How it names itself in its tokens.
    #[must_use]
    pub const fn issuers(self) -> &'static [&'static str] {
        match self {
            Self::Google => &["https://accounts.google.com", "accounts.google.com"],
            Self::Apple => &["https://appleid.apple.com"],
        }
    }

    /// Where it publishes its keys.
    #[must_use]
    pub const fn keys_url(self) -> &'static str {
        match self {
            Self::Google => "https://www.googleapis.com/oauth2/v3/certs",
            Self::Apple => "https://appleid.apple.com/auth/keys",
        }
    }
}

/// One audience, or several.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several: `azp` says for whom it was made.
    Many(Vec<String>),
}

/// Yes or no, as a boolean or as a word.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Truth {
    /// As JSON means it.
    Plain(bool),
    /// As Apple may write it.
    Word(String),
}

impl Truth {
    fn is_true(&self) -> bool {
        match self {
            Self::Plain(truth) => *truth,
            Self::Word(word) => word == "true",
        }
    }
}

/// What an id token says, as far as it matters.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Claims {
    /// Who says it.
    pub iss: String,
    /// About whom: the name that lasts.
    pub sub: String,
    /// To whom.
    pub aud: Audience,
    /// For which client it was made, if that is said.
    #[serde(default)]
    pub azp: Option<String>,
    /// Until when.
    pub exp: i64,
    /// Since when.
    pub iat: i64,
    /// What whoever asked gave along.
    #[serde(default)]
    pub nonce: Option<String>,
    /// An address.
    #[serde(default)]
    pub email: Option<String>,
    /// Whether it was verified.
    #[serde(default)]
    pub email_verified: Option<Truth>,
    /// The Google Workspace domain.
    #[serde(default)]
    pub hd: Option<String>,
    /// The name.
    #[serde(default)]
    pub name: Option<String>,
}

/// Who somebody is, as their provider says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// Who says so.
    pub provider: IdentityProvider,
    /// A hash of their name there.
    pub subject: String,
    /// An address for which the provider may speak.
    pub email: Option<Email>,
    /// What they are called there.
    pub name: Option<Text<1, 120>>,
}

impl Claims {
    /// Who it is, if the token is for one of these clients and came of this nonce.
    ///
    /// # Errors
    /// `sign_in_failed`, with the reason as its private cause.
    pub fn person(
        &self,
        provider: IdentityProvider,
        clients: &[String],
        nonce: &str,
        now: Timestamp,
    ) -> Result<Person> {
        let bad = |why: &str| -> Result<Person> { Err(refused(why)) };
        let ours = |name: &String| clients.contains(name);
        let for_us = match &self.aud {
            Audience::One(name) => ours(name),
            Audience::Many(names) => names.iter().any(ours) && self.azp.as_ref().is_some_and(ours),
        };
        let seconds = now.as_second();
        if !provider.issuers().contains(&self.iss.as_str()) {
            return bad("another issuer");
        }
        if !for_us || self.azp.as_ref().is_some_and(|name| !ours(name)) {
            return bad("for another client");
        }
        if self.exp <= seconds - LEEWAY || self.iat < seconds - OLDEST || self.iat > seconds + LEEWAY {
            return bad("not of this time");
        }
        // Apple's own software hashes what it is given.
        let hashed = sha256(nonce);
        if !self.nonce.as_ref().is_some_and(|told| told == nonce || *told == hashed) {
            return bad("another nonce");
        }
        if !(1..=255).contains(&self.sub.len()) {
            return bad("no subject");
        }
        let text = format!("{}\0{}", provider.word(), self.sub);
        let subject = sha256(text);
        let name = self.name.as_deref().and_then(|name| Text::parse(name).ok());
        Ok(Person { provider, subject, email: self.address(provider), name })
    }

    /// The address, if the provider may speak for it.
    fn address(&self, provider: IdentityProvider) -> Option<Email> {
        let email: Email = self.email.as_deref()?.parse().ok()?;
        let verified = self.email_verified.as_ref().is_some_and(Truth::is_true);
        let speaks = match provider {
            IdentityProvider::Google => self.hd.is_some() || email.normal().ends_with("@gmail.com"),
            IdentityProvider::Apple => true,
        };
        Some(email).filter(|_| verified && speaks)
    }
}

/// Why a token is no good is for the log alone.
#[must_use]
pub fn refused(why: &str) -> Refusal {
    Code::SignInFailed.caused_by(why.to_owned())
}

/// Which account somebody of a provider has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Link {
    /// Whose word it is.
    pub provider: IdentityProvider,
    /// A hash of their name there.
    pub subject: String,
    /// The account.
    pub account: AccountId,
    /// Since when.
    pub at: Timestamp,
}

/// What an app gives to the provider, so that a token cannot be shown twice, or for somebody else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Nonce {
    /// What makes it one of its kind.
    pub salt: String,
    /// Until when, seconds since 1970.
    pub exp: i64,
}

/// That a nonce was used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Spent {
    /// A hash of the nonce.
    pub hash: String,
    /// Until when it would be good.
    pub until: Timestamp,
}

impl Spent {
    /// The mark of a nonce that is ours.
    #[must_use]
    pub fn of(nonce: &str, now: Timestamp) -> Self {
        let until = now + SignedDuration::from_secs(NONCE_SECONDS);
        Self { hash: sha256(nonce), until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn good() -> Value {
        json!({"iss": "https://accounts.google.com", "sub": "1234", "aud": "ours", "azp": "ours",
            "iat": 1_800_000_000, "exp": 1_800_003_600, "nonce": "n", "email": "ada@gmail.com",
            "email_verified": true, "name": "Ada"})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        claims[name] = value;
        claims
    }

    fn person(claims: Value, seconds: i64) -> Option<Person> {
        let claims: Claims = serde_json::from_value(claims).unwrap();
        claims.person(IdentityProvider::Google, &["ours".into(), "also".into()], "n", at(seconds)).ok()
    }

    #[test]
    fn a_token_is_good_for_us_now_and_once() {
        let ada = person(good(), 0).unwrap();
        assert_eq!((ada.email.unwrap().as_str(), ada.name.unwrap().as_str()), ("ada@gmail.com", "Ada"));
        assert!(person(with("aud", json!(["ours", "theirs"])), 0).is_some());
        let hashed = sha256("n");
        assert!(person(with("nonce", json!(hashed)), 0).is_some());
        for (name, value) in [
            ("iss", json!("https://accounts.google.com.evil.example")),
            ("iss", json!("https://appleid.apple.com")),
            ("aud", json!("theirs")),
            ("aud", json!([])),
            ("azp", json!("theirs")),
            ("nonce", json!("m")),
            ("nonce", Value::Null),
            ("sub", json!("")),
            ("sub", json!("x".repeat(256))),
            ("exp", json!(1_799_999_940)),
            ("iat", json!(1_799_996_399)),
            ("iat", json!(1_800_000_061)),
        ] {
            assert_eq!(person(with(name, value.clone()), 0), None, "{name} {value}");
        }
        let mut nobodys = with("aud", json!(["ours", "theirs"]));
        nobodys["azp"] = Value::Null;
        assert_eq!(person(nobodys, 0), None, "of several audiences, one asked for it");
    }

    #[test]
    fn a_provider_speaks_for_the_mailboxes_it_runs() {
        let of = |provider: IdentityProvider, claims: Value| {
            serde_json::from_value::<Claims>(claims).unwrap().address(provider).is_some()
        };
        let google = |claims| of(IdentityProvider::Google, claims);
        assert!(google(good()));
        assert!(!google(with("email_verified", json!(false))));
        assert!(
            !google(with("email", json!("ada@example.org"))),
            "an address elsewhere may have changed hands"
        );
        assert!(!google(with("email", json!("ada@gmail.com.evil.example"))));
        assert!(!google(with("email", json!("ada"))) && !google(with("email", Value::Null)));
        let mut workspace = with("email", json!("ada@example.org"));
        workspace["hd"] = json!("example.org");
        assert!(google(workspace.clone()));
        assert!(of(IdentityProvider::Apple, with("email", json!("x1@privaterelay.appleid.com"))));
        for (word, verified) in [("true", true), ("false", false), ("yes", false)] {
            assert_eq!(of(IdentityProvider::Apple, with("email_verified", json!(word))), verified);
        }
    }

    #[test]
    fn one_name_at_two_providers_is_two_people() {
        let claims: Claims = serde_json::from_value(good()).unwrap();
        let apple = Claims { iss: "https://appleid.apple.com".into(), ..claims.clone() };
        let subject = |claims: &Claims, provider| {
            claims.person(provider, &["ours".into()], "n", at(0)).unwrap().subject
        };
        assert_ne!(subject(&claims, IdentityProvider::Google), subject(&apple, IdentityProvider::Apple));
    }
}
