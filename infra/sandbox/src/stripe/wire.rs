//! HTTP: keys, idempotency, faults, and answers as Stripe spells them.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::api::{self, Caller};
use super::error::{Error, Result};
use super::form::Form;
use super::store::{self, Cause, Remembered};
use super::{Stripe, page};
use crate::random;
use crate::wire::{merge_switches, respond};

/// Serves the API below `/v1/`, the pay page at `/pay/{payment_intent}`, and the switches at `/_switches` (GET shows
/// them, POST changes those it names; JSON, see [`super::Switches`]). Mount it where [`super::StripeOptions::base_url`] says.
pub fn router(stripe: Arc<Stripe>) -> Router {
    Router::new()
        .route("/v1/{*path}", get(answer).post(answer).delete(answer))
        .route("/pay/{intent}", get(page::show).post(page::act))
        .route("/_switches", get(show_switches).post(change_switches))
        .fallback(unknown)
        .with_state(stripe)
}

async fn unknown(method: Method, uri: axum::http::Uri) -> Response {
    let error = Error::invalid(format!("Unrecognized request URL ({method}: {}).", uri.path())).status(404);
    respond(404, error.body("req_none").to_string())
}

async fn show_switches(State(stripe): State<Arc<Stripe>>) -> Response {
    axum::Json(stripe.switches()).into_response()
}

async fn change_switches(State(stripe): State<Arc<Stripe>>, body: Bytes) -> Response {
    match merge_switches(&stripe.sandbox, &body) {
        Ok(switches) => axum::Json(switches).into_response(),
        Err(refusal) => respond(400, Error::invalid(refusal).body("req_none").to_string()),
    }
}

/// One API call as it came.
struct Call<'a> {
    post: bool,
    path: &'a str,
    headers: &'a HeaderMap,
    form: Form,
    request: String,
}

/// What an API call is answered with.
struct Answer {
    status: u16,
    body: String,
    /// The request that was answered so first, if this is a repetition.
    first: Option<String>,
}

async fn answer(
    State(stripe): State<Arc<Stripe>>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = match random::id("req_") {
        Ok(request) => request,
        Err(cause) => return respond(500, Error::from(cause).body("req_none").to_string()),
    };
    let form = Form::parse(query.unwrap_or_default().as_bytes(), &body);
    let call = Call { post: method == Method::POST, path: &path, headers: &headers, form, request };
    let mut response = if method == Method::DELETE {
        let error = Error::invalid(format!("Unrecognized request URL (DELETE: /v1/{path}).")).status(404);
        respond(404, error.body(&call.request).to_string())
    } else {
        serve(&stripe, &call).await
    };
    let version = headers.get("stripe-version").cloned();
    let version = version.or_else(|| HeaderValue::from_str(&stripe.options.api_version).ok());
    let echoed = response.headers_mut();
    if let Some(version) = version {
        echoed.insert("stripe-version", version);
    }
    if let Ok(request) = HeaderValue::from_str(&call.request) {
        echoed.insert("request-id", request);
    }
    if let Some(key) = headers.get("idempotency-key") {
        echoed.insert("idempotency-key", key.clone());
    }
    response
}

async fn serve(stripe: &Stripe, call: &Call<'_>) -> Response {
    let fault = stripe.sandbox.take_fault();
    if let Some(fault) = fault
        && let Some(status) = fault.before().await
    {
        return respond(status, switched_off(status).body(&call.request).to_string());
    }
    // Held until the answer is on its way, or the caller has hung up.
    let key = call.headers.get("idempotency-key").and_then(|key| key.to_str().ok()).filter(|_| call.post);
    let Some(_in_flight) = stripe.sandbox.claim(key) else {
        let message = format!(
            "There is currently another in-progress request using this Idempotent Key (that probably means you \
             submitted twice, and the other request is still going through): {}. Please try again later.",
            key.unwrap_or_default()
        );
        let mut error = Error::invalid(message).status(409).code("idempotency_key_in_use");
        error.kind = "idempotency_error";
        return respond(409, error.body(&call.request).to_string());
    };
    let answer = carry_out(stripe, call, key).unwrap_or_else(|error| {
        if error.status == 500 {
            tracing::error!(path = call.path, %error, "the payment sandbox failed");
        }
        Answer { status: error.status, body: pretty(&error.body(&call.request)), first: None }
    });
    let mut response = respond(answer.status, answer.body);
    if let Some(first) = answer.first.and_then(|first| HeaderValue::from_str(&first).ok()) {
        response.headers_mut().insert("original-request", first);
        response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    match fault {
        Some(fault) => fault.after(response).await,
        None => response,
    }
}

fn switched_off(status: u16) -> Error {
    let mut error = Error::invalid("An unknown error occurred (a switch of the sandbox).").status(status);
    if status == 429 {
        error = error.code("rate_limit");
    } else if status >= 500 {
        error.kind = "api_error";
    }
    error
}

/// Answers a call, or gives again the answer that its idempotency key got before.
fn carry_out(stripe: &Stripe, call: &Call<'_>, key: Option<&str>) -> Result<Answer> {
    let caller = authenticate(stripe, call)?;
    // Said before anything is read or kept: a card number has no business here, not even in a digest.
    if call.form.has("[number]") {
        let message = "Sending credit card numbers directly to the Stripe API is generally unsafe. Use test payment \
                       methods such as pm_card_visa instead.";
        return Err(Error::invalid(message));
    }
    if key.is_some_and(|key| key.is_empty() || key.len() > 255) {
        return Err(Error::invalid("Idempotency keys are 1 to 255 characters long.").param("Idempotency-Key"));
    }
    let cause = Cause {
        request: Some(&call.request),
        idempotency_key: key,
        api_version: &stripe.options.api_version,
    };
    stripe.transact(cause, |work| {
        let fingerprint = key.map(|_| fingerprint(call));
        if let (Some(key), Some(fingerprint)) = (key, &fingerprint)
            && let Some(first) = store::remembered(work.tx, key, work.now)?
        {
            if first.fingerprint != *fingerprint {
                let message = format!(
                    "Keys for idempotent requests can only be used with the same parameters they were first used \
                     with. Try using a key other than '{key}' if you meant to execute a different request."
                );
                let mut error = Error::invalid(message);
                error.kind = "idempotency_error";
                return Err(error);
            }
            return Ok(Answer { status: first.status, body: first.body, first: Some(first.request) });
        }
        let outcome = api::call(work, call.post, call.path, &call.form, caller);
        let keep = outcome.as_ref().map_or_else(Error::acted, |_| true);
        let answer = match outcome {
            Ok(object) => Answer { status: 200, body: pretty(&object), first: None },
            Err(error) if keep => {
                Answer { status: error.status, body: pretty(&error.body(&call.request)), first: None }
            }
            Err(error) => return Err(error),
        };
        if let (Some(key), Some(fingerprint)) = (key, fingerprint) {
            let (status, body) = (answer.status, answer.body.clone());
            let first = Remembered { fingerprint, status, request: call.request.clone(), body };
            store::remember(work.tx, key, &first, work.now)?;
        }
        Ok(answer)
    })
}

/// Who calls: by `Authorization: Bearer`, `Authorization: Basic` with the key as user, or a browser's `key`.
fn authenticate(stripe: &Stripe, call: &Call<'_>) -> Result<Caller> {
    let header = call.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = match header.and_then(|value| value.split_once(' ')) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Some(key.trim().to_owned()),
        Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => {
            let pair = STANDARD.decode(pair.trim()).ok().and_then(|pair| String::from_utf8(pair).ok());
            pair.and_then(|pair| pair.split(':').next().map(str::to_owned))
        }
        _ => call.form.get("key").map(str::to_owned),
    };
    match key {
        Some(key) if key == stripe.options.secret_key => Ok(Caller::Shop),
        Some(key) if key == stripe.options.publishable_key => Ok(Caller::Buyer),
        Some(key) => {
            let shown: String = key.chars().take(8).collect();
            Err(Error::unauthorized(format!("Invalid API Key provided: {shown}****")))
        }
        None => Err(Error::unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using \
             Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )),
    }
}

/// By which two calls under one idempotency key are compared.
fn fingerprint(call: &Call<'_>) -> String {
    let text = format!("{} {}", call.path, call.form.canonical());
    STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// As Stripe does, with line breaks: whoever checks a signature must not rely on one spelling of JSON.
pub(crate) fn pretty(object: &Value) -> String {
    format!("{object:#}")
}
