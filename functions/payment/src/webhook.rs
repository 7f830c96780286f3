//! What the provider reports. The signature is checked over the raw bytes; what it says is merged into the payment, so
//! that lateness, repetition and disorder do no harm.

use crate::providers::Providers;
use crate::reports::{from_razorpay, from_stripe};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use tessera::app::App;
use tessera::error::{Code, Result};
use tessera::http::too_large;
use tessera::limit::Class;
use tessera::payment::store::Reported;
use tessera::payment::{Provider, store};

/// Stripe reports here. Answered quickly: everything that follows is done by queues.
#[utoipa::path(post, path = "/v1/webhooks/stripe", tag = "payment", extensions(("x-limit" = json!(Class::Open))),
    params(("Stripe-Signature" = String, Header, description = "t=…,v1=…")),
    request_body(content = Object, description = "A Stripe event, signed"),
    responses((status = 204, description = "Noted")))]
pub async fn stripe(
    State(app): State<App>,
    Extension(providers): Extension<Arc<Providers>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode> {
    let (body, now) = (body.map_err(too_large)?, app.clock.now());
    let header = headers.get("stripe-signature").and_then(|header| header.to_str().ok());
    let header = header.ok_or_else(|| Code::SignatureInvalid.because("Stripe-Signature is missing"))?;
    let stripe = providers.stripe()?;
    if let Some(report) = stripe.report(header, &body, now)? {
        from_stripe(&app, stripe, report).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Razorpay reports here. Answered quickly: everything that follows is done by queues. Its signature covers no time, so that whoever
/// records a report can send it again; it says nothing new then, and the report's id is remembered, too.
#[utoipa::path(post, path = "/v1/webhooks/razorpay", tag = "payment", extensions(("x-limit" = json!(Class::Open))),
    params(("X-Razorpay-Signature" = String, Header, description = "HMAC-SHA256 of the body, hexadecimal"),
        ("x-razorpay-event-id" = Option<String>, Header, description = "The same when a report comes again")),
    request_body(content = Object, description = "A Razorpay event, signed"),
    responses((status = 204, description = "Noted")))]
pub async fn razorpay(
    State(app): State<App>,
    Extension(providers): Extension<Arc<Providers>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode> {
    let (body, now) = (body.map_err(too_large)?, app.clock.now());
    let header = |name: &str| headers.get(name).and_then(|header| header.to_str().ok());
    let signature = header("x-razorpay-signature");
    let signature =
        signature.ok_or_else(|| Code::SignatureInvalid.because("X-Razorpay-Signature is missing"))?;
    let Some(report) = providers.razorpay()?.report(signature, &body)? else {
        return Ok(StatusCode::NO_CONTENT);
    };
    let event = header("x-razorpay-event-id").filter(|id| (1..=64).contains(&id.len()));
    if let Some(id) = event
        && store::was_reported(&app.db, Provider::Razorpay, id).await?
    {
        return Ok(StatusCode::NO_CONTENT);
    }
    from_razorpay(&app, report).await?;
    if let Some(id) = event {
        // After the effect: a crash in between costs a repetition, which changes nothing.
        let reported = Reported { provider: Provider::Razorpay, id: id.to_owned(), at: now };
        app.db.put_new(reported, Vec::new(), now).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
