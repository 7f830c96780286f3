//! A sandbox of the houses that say who somebody is: keys as Google and Apple publish them, and id tokens signed with them.
//!
//! Tokens are made by the methods of [`Issuer`], or by `POST /{provider}/tokens` with the claims as JSON, so that an app can
//! be tried by hand. What is not said is filled in: who says it, since and until when. Keys live in memory: each start has
//! new ones, which is also what a rotation is to those who check.

use crate::Clock;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How each names itself.
const ISSUERS: [(&str, &str); 2] =
    [("google", "https://accounts.google.com"), ("apple", "https://appleid.apple.com")];
/// How long a token lasts, seconds.
const LASTS: i64 = 3600;

/// There is no such provider, or no key could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

struct Key {
    id: String,
    pair: KeyPair,
}

/// Both houses: they share their key, which matters to nobody who asks for the one or the other.
pub struct Issuer {
    clock: Clock,
    key: Mutex<Option<Arc<Key>>>,
    down: AtomicBool,
    asked: AtomicU64,
}

impl Issuer {
    /// One without a key: the first is made when it is needed, because that takes a moment.
    #[must_use]
    pub fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            key: Mutex::default(),
            down: AtomicBool::default(),
            asked: AtomicU64::default(),
        })
    }

    fn key(&self) -> Result<Arc<Key>, Error> {
        let mut known = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match &*known {
            Some(key) => key.clone(),
            None => new_key()?,
        };
        *known = Some(key.clone());
        Ok(key)
    }

    /// Signs with another key from now on, and publishes that one alone.
    ///
    /// # Errors
    /// If none can be made.
    pub fn rotate(&self) -> Result<(), Error> {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = Some(new_key()?);
        Ok(())
    }

    /// Whether its keys cannot be fetched.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// How often its keys were asked for.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// If there is no such provider.
    pub fn token(&self, provider: &str, claims: &Value) -> Result<String, Error> {
        let issuer = ISSUERS.iter().find(|(name, _)| *name == provider).map(|(_, issuer)| *issuer);
        let issuer = issuer.ok_or_else(|| Error(format!("there is no provider {provider}")))?;
        let now = (self.clock)() / 1000;
        let mut all = Map::new();
        all.insert("iss".to_owned(), json!(issuer));
        all.insert("iat".to_owned(), json!(now));
        all.insert("exp".to_owned(), json!(now + LASTS));
        all.extend(claims.as_object().cloned().unwrap_or_default());
        let key = self.key()?;
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "RS256", "kid": key.id, "typ": "JWT"});
        let signed = format!("{}.{}", part(&header), part(&Value::Object(all)));
        let mut signature = vec![0; key.pair.public_modulus_len()];
        let done = key.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature);
        done.map_err(|_| Error("nothing can be signed".to_owned()))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The key, as it is published (RFC 7517).
    fn published(&self) -> Result<Value, Error> {
        let key = self.key()?;
        let public = key.pair.public_key();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let n = number(public.modulus().big_endian_without_leading_zero());
        let e = number(public.exponent().big_endian_without_leading_zero());
        Ok(json!({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": key.id, "n": n, "e": e}]}))
    }
}

fn new_key() -> Result<Arc<Key>, Error> {
    let none = |_| Error("no key can be made".to_owned());
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(none)?;
    let der = pair.public_key().as_der().map_err(none)?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der.as_ref());
    Ok(Arc::new(Key { id: URL_SAFE_NO_PAD.encode(&digest.as_ref()[..12]), pair }))
}

/// Where it answers: `GET /{provider}/keys`, `POST /{provider}/tokens`.
pub fn router(issuer: Arc<Issuer>) -> Router {
    Router::new()
        .route("/{provider}/keys", get(keys))
        .route("/{provider}/tokens", post(tokens))
        .with_state(issuer)
}

async fn keys(State(issuer): State<Arc<Issuer>>) -> Response {
    issuer.asked.fetch_add(1, Ordering::SeqCst);
    if issuer.down.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    answer(issuer.published())
}

async fn tokens(
    State(issuer): State<Arc<Issuer>>,
    Path(provider): Path<String>,
    Json(claims): Json<Value>,
) -> Response {
    answer(issuer.token(&provider, &claims).map(|token| json!({"id_token": token})))
}

fn answer(value: Result<Value, Error>) -> Response {
    match value {
        Ok(value) => ([(header::CACHE_CONTROL, "public, max-age=3600")], Json(value)).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}
