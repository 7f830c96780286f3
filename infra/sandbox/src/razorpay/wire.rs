//! HTTP: keys, idempotent refunds, faults, and answers as Razorpay spells them.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::{Error, Result};
use super::params::Params;
use super::{Razorpay, api, page, store};
use crate::wire::{merge_switches, respond};

/// Serves the API below `/v1/`, the hosted checkout at `/v1/checkout/embedded` (POST) and, for a link, at
/// `/pay/{order}` (GET), and the switches at `/_switches` (GET shows them, POST changes those it names; JSON, see
/// [`super::Switches`]). Mount it where [`super::RazorpayOptions::base_url`] says.
pub fn router(razorpay: Arc<Razorpay>) -> Router {
    Router::new()
        .route("/v1/checkout/embedded", post(page::embedded))
        .route("/v1/{*path}", get(answer).post(answer).patch(answer).put(answer).delete(answer))
        .route("/pay/{order}", get(page::show).post(page::act))
        .route("/_switches", get(show_switches).post(change_switches))
        .fallback(unknown)
        .with_state(razorpay)
}

async fn unknown() -> Response {
    refuse(&Error::general(400, "The requested URL was not found on the server."))
}

async fn show_switches(State(razorpay): State<Arc<Razorpay>>) -> Response {
    axum::Json(razorpay.switches()).into_response()
}

async fn change_switches(State(razorpay): State<Arc<Razorpay>>, body: Bytes) -> Response {
    match merge_switches(&razorpay.sandbox, &body) {
        Ok(switches) => axum::Json(switches).into_response(),
        Err(refusal) => refuse(&Error::invalid(refusal)),
    }
}

fn refuse(error: &Error) -> Response {
    respond(error.status, error.body().to_string())
}

/// One API call as it came.
struct Call<'a> {
    verb: Method,
    path: &'a str,
    headers: &'a HeaderMap,
    query: &'a [u8],
    body: &'a [u8],
}

async fn answer(
    State(razorpay): State<Arc<Razorpay>>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    verb: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = razorpay.sandbox.take_fault();
    if let Some(fault) = fault
        && let Some(status) = fault.before().await
    {
        return refuse(&switched_off(status));
    }
    let query = query.unwrap_or_default();
    let call = Call { verb, path: &path, headers: &headers, query: query.as_bytes(), body: &body };
    // Held until the answer is on its way, or the caller has hung up.
    let key = idempotency_key(&call);
    let Some(_in_flight) = razorpay.sandbox.claim(key) else {
        return refuse(&Error::general(
            409,
            "Another request with the same idempotency key is still in progress.",
        ));
    };
    let response = match carry_out(&razorpay, &call, key) {
        Ok(body) => respond(200, body),
        Err(error) => {
            if error.status == 500 {
                tracing::error!(path, %error, "the payment sandbox failed");
            }
            refuse(&error)
        }
    };
    match fault {
        Some(fault) => fault.after(response).await,
        None => response,
    }
}

fn switched_off(status: u16) -> Error {
    let error = Error::general(status, "We are facing some trouble completing your request at the moment.");
    let code = match status {
        502 | 504 => "GATEWAY_ERROR",
        500.. => "SERVER_ERROR",
        _ => "BAD_REQUEST_ERROR",
    };
    Error { code, ..error }
}

/// The key of a refund; Razorpay knows none for anything else here.
fn idempotency_key<'a>(call: &Call<'a>) -> Option<&'a str> {
    let refunds = call.verb == Method::POST && (call.path.ends_with("/refund") || call.path == "refunds");
    let key = call.headers.get("x-refund-idempotency").filter(|_| refunds)?;
    // One that is no text has characters that are refused, as an empty one is too short.
    Some(key.to_str().unwrap_or("?"))
}

/// Answers a call, or gives again the answer that its idempotency key got before.
fn carry_out(razorpay: &Razorpay, call: &Call<'_>, key: Option<&str>) -> Result<String> {
    authenticate(razorpay, call.headers)?;
    let params = Params::parse(call.query, call.body)?;
    let Some(key) = key else {
        let object = razorpay.transact(|work| api::call(work, &call.verb, call.path, &params))?;
        return Ok(object.to_string());
    };
    check_key(key)?;
    let text = format!("{} {}", call.path, params.canonical());
    let fingerprint = STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()));
    razorpay.transact(|work| {
        if let Some((first, body)) = store::remembered(work.tx, key)? {
            let message = "Different request with the same idempotency key has already been processed.";
            return if first == fingerprint { Ok(body) } else { Err(Error::general(409, message)) };
        }
        let body = api::call(work, &call.verb, call.path, &params)?.to_string();
        store::remember(work.tx, key, &fingerprint, &body)?;
        Ok(body)
    })
}

fn check_key(key: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !key.bytes().all(allowed) {
        let message =
            "The idempotency key must only contain alphanumeric characters, underscores, and hyphens";
        return Err(Error::general(400, message));
    }
    if key.len() < 10 {
        return Err(Error::general(400, "The idempotency key must be at least 10 characters long."));
    }
    Ok(())
}

/// Lets in who has the key and its secret, by `Authorization: Basic`, spelt so and not otherwise.
fn authenticate(razorpay: &Razorpay, headers: &HeaderMap) -> Result<()> {
    let refuse = |description| Err(Error::general(401, description));
    let Some(header) = headers.get(header::AUTHORIZATION) else {
        return refuse("Please provide your api key for authentication purposes.");
    };
    let pair = header.to_str().ok().and_then(|header| header.strip_prefix("Basic "));
    let pair = pair.and_then(|pair| STANDARD.decode(pair).ok()).and_then(|pair| String::from_utf8(pair).ok());
    match pair.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((id, _)) if id != razorpay.options.key_id => refuse("The api key provided is invalid"),
        Some((_, secret)) if secret == razorpay.options.key_secret => Ok(()),
        _ => refuse("Authentication failed"),
    }
}
