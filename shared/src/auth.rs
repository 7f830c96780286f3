//! Who calls: access tokens, guest credentials, and the typed callers that handlers take as arguments.
//!
//! Access tokens are JWTs signed with Ed25519 (RFC 8037), profile RFC 9068: `typ: at+jwt`, `kid`, and all of `iss`,
//! `aud`, `sub`, `exp`, `nbf`, at most 15 minutes. Time is compared with the handed-in clock, and `typ` and `crit` are
//! checked by hand, because jsonwebtoken does neither.

use crate::app::App;
use crate::config::{Config, ConfigError};
use crate::error::{Code, Refusal, Result};
use crate::id::{AccountId, DeviceId, GuestId, KeyId, SessionId};
use crate::identity::{self, Credential, Thing};
use crate::sign::Purpose;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The audience of every access token.
pub const AUDIENCE: &str = "tessera";
/// The media type in a token's header, RFC 9068 §2.1.
pub const TOKEN_TYPE: &str = "at+jwt";
/// How far clocks may differ, seconds.
const LEEWAY: i64 = 5;

/// What an access token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: this deployment.
    pub iss: String,
    /// Audience: [`AUDIENCE`].
    pub aud: String,
    /// The account.
    pub sub: AccountId,
    /// The session it was made for.
    pub sid: SessionId,
    /// Not before, seconds since 1970.
    pub nbf: i64,
    /// Issued at, seconds since 1970.
    pub iat: i64,
    /// Expires, seconds since 1970.
    pub exp: i64,
}

/// The published keys: checks access tokens without asking anybody.
pub struct Keys {
    issuer: String,
    keys: HashMap<String, DecodingKey>,
    /// The key set as it is published.
    pub set: JwkSet,
}

impl Keys {
    /// Reads `ISSUER` and `ACCESS_PUBLIC_KEYS` (a JWK set, RFC 7517).
    ///
    /// # Errors
    /// Names the setting that is missing or malformed.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let set: JwkSet = serde_json::from_str(config.require("ACCESS_PUBLIC_KEYS")?)
            .map_err(|_| config.wrong("ACCESS_PUBLIC_KEYS", "is not a JWK set"))?;
        let keys = set
            .keys
            .iter()
            .map(|jwk| Some((jwk.common.key_id.clone()?, DecodingKey::from_jwk(jwk).ok()?)))
            .collect::<Option<_>>()
            .ok_or_else(|| {
                config.wrong("ACCESS_PUBLIC_KEYS", "has a key without kid or of an unknown kind")
            })?;
        Ok(Self { issuer: config.require("ISSUER")?.to_owned(), keys, set })
    }

    /// The claims of a valid token, at `now`.
    ///
    /// # Errors
    /// `token_invalid`, with the reason as its private cause.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<Claims> {
        let bad = |why: &str| Code::TokenInvalid.caused_by(why.to_owned());
        let header = jsonwebtoken::decode_header(token).map_err(|error| bad(&error.to_string()))?;
        if header.typ.as_deref().map(str::to_ascii_lowercase).as_deref() != Some(TOKEN_TYPE) {
            return Err(bad("typ is not at+jwt"));
        }
        if header.crit.is_some() {
            return Err(bad("crit names extensions that are not understood"));
        }
        let kid = header.kid.ok_or_else(|| bad("no kid"))?;
        let key = self.keys.get(&kid).ok_or_else(|| bad("unknown kid"))?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_audience(&[AUDIENCE]);
        rules.set_issuer(&[&self.issuer]);
        rules.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        // The library would ask the system's clock.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &rules)
            .map_err(|error| bad(&error.to_string()))?
            .claims;
        let seconds = now.as_second();
        if claims.exp <= seconds - LEEWAY {
            return Err(bad("expired"));
        }
        if claims.nbf > seconds + LEEWAY || claims.iat > seconds + LEEWAY {
            return Err(bad("not valid yet"));
        }
        Ok(claims)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

/// A caller who signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Account {
    /// The account.
    pub id: AccountId,
    /// The session the token was made for.
    pub session: SessionId,
}

/// A caller who may buy: signed in, or a guest with the credential of a first hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Buyer {
    /// Signed in.
    Account(AccountId),
    /// A guest.
    Guest(GuestId),
}

/// Who did something for an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A person.
    Account(AccountId),
    /// A server, by its key.
    Key(KeyId),
    /// A scanner or a till.
    Device(DeviceId),
}

/// Written as the id that is inside: its prefix says which.
macro_rules! written_as_ids {
    ($($name:ident: $($variant:ident)*;)*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self { $(Self::$variant(id) => std::fmt::Display::fmt(id, f)),* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::id::NotAnId;
            fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
                let none = Err(crate::id::NotAnId(""));
                none$(.or_else(|_| text.parse().map(Self::$variant)))*
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

pub(crate) use written_as_ids;

impl utoipa::PartialSchema for Actor {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^(acc|key|dev)_[0-7][0-9a-hjkmnp-tv-z]{25}$"))
            .examples([serde_json::json!("acc_06f5k2v8s1xg4w7m3q9c0hrtbn")])
            .into()
    }
}
impl utoipa::ToSchema for Actor {}

written_as_ids! {
    Buyer: Account Guest;
    Actor: Account Key Device;
}

/// How long a guest's credential lasts: longer than any hold and the payment after it.
pub const GUEST_SECONDS: i64 = 24 * 3600;

#[derive(Serialize, Deserialize)]
struct GuestCredential {
    guest: GuestId,
    exp: i64,
}

impl App {
    /// A guest's credential, valid for a day.
    ///
    /// # Errors
    /// `internal` if it cannot be written.
    pub fn guest_credential(&self, guest: GuestId, now: Timestamp) -> Result<String> {
        let credential = GuestCredential { guest, exp: now.as_second() + GUEST_SECONDS };
        self.sealer.seal(Purpose::Guest, &credential).map_err(|error| Code::Internal.caused_by(error))
    }

    /// Who calls, by the `Authorization` header; `None` without one. A person's token and a guest's credential are
    /// checked here; for a key or a device, one item is read.
    ///
    /// # Errors
    /// `token_invalid`; for keys and devices as [`Db::get`](crate::db::Db::get).
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>> {
        let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
        let token = header.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let token = token.ok_or_else(|| Code::TokenInvalid.because("Authorization must be: Bearer TOKEN"))?;
        let now = self.clock.now();
        if Credential::resembles(token) {
            let credential = Credential::parse(token).ok_or(Code::TokenInvalid)?;
            return Ok(Some(Caller::Thing(Arc::new(
                identity::store::thing(&self.db, &credential, now).await?,
            ))));
        }
        // A JWT has two dots, a guest's sealed credential one.
        if token.bytes().filter(|byte| *byte == b'.').count() == 1 {
            let open = self.sealer.open::<GuestCredential>(Purpose::Guest, token);
            let valid = open.filter(|credential| credential.exp > now.as_second());
            return valid
                .map(|credential| Some(Caller::Guest(credential.guest)))
                .ok_or_else(|| Code::TokenInvalid.into());
        }
        let claims = self.keys.check(token, now)?;
        Ok(Some(Caller::Account(Account { id: claims.sub, session: claims.sid })))
    }

    /// As [`Self::caller`], of a request that [`crate::http`] may have looked at already.
    async fn caller_of(&self, parts: &Parts) -> Result<Option<Caller>> {
        match parts.extensions.get::<Caller>() {
            Some(caller) => Ok(Some(caller.clone())),
            None => self.caller(&parts.headers).await,
        }
    }
}

/// Everybody who can be told from the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Signed in.
    Account(Account),
    /// A guest.
    Guest(GuestId),
    /// A server or a device.
    Thing(Arc<Thing>),
}

/// The id, as it is logged.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(account) => account.id.fmt(f),
            Self::Guest(guest) => guest.fmt(f),
            Self::Thing(thing) => thing.actor.fmt(f),
        }
    }
}

impl Caller {
    /// As somebody who buys.
    #[must_use]
    pub fn buyer(&self) -> Option<Buyer> {
        match self {
            Self::Account(account) => Some(Buyer::Account(account.id)),
            Self::Guest(guest) => Some(Buyer::Guest(*guest)),
            Self::Thing(_) => None,
        }
    }

    /// As somebody who acts for an organisation.
    #[must_use]
    pub fn agent(self) -> Option<Agent> {
        match self {
            Self::Account(account) => Some(Agent::Account(account)),
            Self::Guest(_) => None,
            Self::Thing(thing) => Some(Agent::Thing(thing)),
        }
    }
}

/// A caller who may act for an organisation: what they may is asked of [`App::authorize`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agent {
    /// A person.
    Account(Account),
    /// A server or a device.
    Thing(Arc<Thing>),
}

impl Agent {
    /// Who it is, as it is written down.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Account(account) => Actor::Account(account.id),
            Self::Thing(thing) => thing.actor,
        }
    }
}

impl FromRequestParts<App> for Account {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        match app.caller_of(parts).await? {
            Some(Caller::Account(account)) => Ok(account),
            Some(Caller::Guest(_)) => Err(Code::Unauthenticated.because("a guest cannot do this: sign in")),
            Some(Caller::Thing(_)) => Err(Code::Unauthenticated.because("only a person can do this")),
            None => Code::Unauthenticated.refuse(),
        }
    }
}

impl FromRequestParts<App> for Agent {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        match app.caller_of(parts).await? {
            Some(Caller::Account(account)) => Ok(Self::Account(account)),
            Some(Caller::Thing(thing)) => Ok(Self::Thing(thing)),
            Some(Caller::Guest(_)) => Err(Code::Unauthenticated.because("a guest cannot do this: sign in")),
            None => Code::Unauthenticated.refuse(),
        }
    }
}

/// A caller who may or may not have a credential, of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaybeCaller(pub Option<Caller>);

impl FromRequestParts<App> for MaybeCaller {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        app.caller_of(parts).await.map(Self)
    }
}

/// A caller who may or may not have signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaybeBuyer(pub Option<Buyer>);

impl FromRequestParts<App> for MaybeBuyer {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let Some(caller) = app.caller_of(parts).await? else { return Ok(Self(None)) };
        let buyer = caller.buyer();
        buyer
            .ok_or_else(|| Code::Unauthenticated.because("a key or a device buys nothing"))
            .map(|buyer| Self(Some(buyer)))
    }
}

impl FromRequestParts<App> for Buyer {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        MaybeBuyer::from_request_parts(parts, app).await?.0.ok_or_else(|| Code::Unauthenticated.into())
    }
}
