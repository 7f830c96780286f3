//! Tokens: access tokens that every function checks by itself, refresh tokens that only this one can follow.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use tessera::app::App;
use tessera::auth::{AUDIENCE, Claims, TOKEN_TYPE};
use tessera::config::{Config, ConfigError};
use tessera::error::{Code, Result};
use tessera::id::SessionId;
use tessera::identity::{ACCESS_SECONDS, Session};
use tessera::limit::Class;
use tessera::sign::Purpose;

/// Makes access tokens.
pub struct Issuer {
    issuer: String,
    kid: String,
    key: EncodingKey,
}

impl Issuer {
    /// Reads `ISSUER` and `ACCESS_PRIVATE_KEY` (base64 of a 32-byte Ed25519 seed). The key must be one of the published
    /// ones, or nobody could check what it signs.
    ///
    /// # Errors
    /// Names the setting that is missing, malformed or unpublished.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let wrong = |problem: &str| config.wrong("ACCESS_PRIVATE_KEY", problem);
        let seed =
            STANDARD.decode(config.require("ACCESS_PRIVATE_KEY")?).map_err(|_| wrong("is not base64"))?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| wrong("is not a 32-byte seed"))?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let set = tessera::auth::Keys::new(config)?.set;
        let kid = set.keys.iter().find_map(|jwk| match &jwk.algorithm {
            jsonwebtoken::jwk::AlgorithmParameters::OctetKeyPair(okp) if okp.x == x => {
                jwk.common.key_id.clone()
            }
            _ => None,
        });
        let der = pair.to_pkcs8v1().map_err(|_| wrong("cannot be used"))?;
        Ok(Self {
            issuer: config.require("ISSUER")?.to_owned(),
            kid: kid.ok_or_else(|| wrong("is not among ACCESS_PUBLIC_KEYS"))?,
            key: EncodingKey::from_ed_der(der.as_ref()),
        })
    }

    fn access(&self, session: &Session, now: Timestamp) -> Result<String> {
        let header = Header {
            typ: Some(TOKEN_TYPE.to_owned()),
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        let seconds = now.as_second();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: session.account,
            sid: session.id,
            nbf: seconds,
            iat: seconds,
            exp: seconds + ACCESS_SECONDS,
        };
        jsonwebtoken::encode(&header, &claims, &self.key).map_err(|error| Code::Internal.caused_by(error))
    }

    /// Both tokens of a session's present generation.
    ///
    /// # Errors
    /// `internal` when signing fails.
    pub fn tokens(&self, app: &App, session: &Session, now: Timestamp) -> Result<Tokens> {
        Ok(Tokens {
            session: session.id,
            access_token: self.access(session, now)?,
            token_type: "Bearer",
            expires_in: ACCESS_SECONDS,
            refresh_token: refresh(app, session),
        })
    }
}

/// What signing in and refreshing answer.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Tokens {
    /// The session.
    pub session: SessionId,
    /// Send it as `Authorization: Bearer …`.
    pub access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    /// How long the access token is good for, seconds.
    #[schema(example = 900)]
    pub expires_in: i64,
    /// Good once, for the next pair.
    pub refresh_token: String,
}

/// The refresh token of a session's present generation: `session.generation.mac`, 256 bits of which nobody can guess.
/// It is computed, not stored: whoever reads the table cannot make one, and a repeated request gets the very same.
fn refresh(app: &App, session: &Session) -> String {
    let secret =
        app.sealer.tag(Purpose::Refresh, signed(session.id, session.generation, &session.salt).as_bytes());
    format!("{}.{}.{}", session.id, session.generation, URL_SAFE_NO_PAD.encode(secret))
}

fn signed(session: SessionId, generation: u32, salt: &str) -> String {
    format!("{session}.{generation}.{salt}")
}

/// A refresh token taken apart; whether it is genuine is checked against its session's salt.
pub struct Presented {
    /// Which session it names.
    pub session: SessionId,
    /// Which generation it claims to be.
    pub generation: u32,
    secret: Vec<u8>,
}

impl Presented {
    /// Takes a token apart.
    ///
    /// # Errors
    /// `session_ended`, as for every token that is of no use.
    pub fn parse(token: &str) -> Result<Self> {
        let mut parts = token.splitn(3, '.');
        let mut next = || parts.next().ok_or(Code::SessionEnded);
        let (session, number, secret) = (next()?.parse(), next()?, URL_SAFE_NO_PAD.decode(next()?));
        // A token has one form: `+1` and `01` are none.
        let generation = number.parse().ok().filter(|generation: &u32| generation.to_string() == number);
        match (session, generation, secret) {
            (Ok(session), Some(generation), Ok(secret)) => Ok(Self { session, generation, secret }),
            _ => Code::SessionEnded.refuse(),
        }
    }

    /// Whether we made it.
    #[must_use]
    pub fn is_genuine(&self, app: &App, session: &Session) -> bool {
        app.sealer.knows(
            Purpose::Refresh,
            signed(self.session, self.generation, &session.salt).as_bytes(),
            &self.secret,
        )
    }
}

/// The published keys, RFC 7517.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "identity", extensions(("x-limit" = json!(Class::Open))),
    responses((status = 200, description = "JWK set", content_type = "application/json", body = Object)))]
pub async fn jwks(State(app): State<App>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(app.keys.set.clone()))
}
