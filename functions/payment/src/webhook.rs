//! What the provider reports. The signature is checked over the raw bytes; what it says is merged into the payment, so
//! that lateness, repetition and disorder do no harm.

use crate::providers::Providers;
use crate::{razorpay, stripe};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use tessera::app::App;
use tessera::error::{Code, Result};
use tessera::http::too_large;
use tessera::payment::store::Reported;
use tessera::payment::{Fact, Provider, store};

/// Stripe reports here. Answered quickly: everything that follows is done by queues.
#[utoipa::path(post, path = "/v1/webhooks/stripe", tag = "payment",
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
    let Some(stripe::Report { payment, intent, fact }) = stripe.report(header, &body, now)? else {
        return Ok(StatusCode::NO_CONTENT);
    };
    // A refund that somebody made at Stripe does not say which payment of ours it is of; its intent does.
    let payment = match (payment, &intent, &fact) {
        (None, Some(intent), Fact::Refund(_)) => stripe.payment_of(intent).await?,
        (payment, _, _) => payment,
    };
    // What other systems do with the same Stripe account is none of our business.
    let Some(id) = payment.and_then(|id| id.parse().ok()) else { return Ok(StatusCode::NO_CONTENT) };
    let payment = match store::payment(&app.db, id).await {
        Ok(payment) => payment,
        Err(refusal) if refusal.code == Code::NotFound => return Ok(StatusCode::NO_CONTENT),
        Err(refusal) => return Err(refusal),
    };
    if payment.value.intent.as_ref().map(|known| &known.id) != intent.as_ref() {
        return Err(
            Code::Unavailable.caused_by(format!("{id}: reported for {intent:?}, which we have not stored"))
        );
    }
    app.db.change(payment, now, |payment| payment.learn(&fact, now)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Razorpay reports here. Answered quickly: everything that follows is done by queues. Its signature covers no time, so that whoever
/// records a report can send it again; it says nothing new then, and the report's id is remembered, too.
#[utoipa::path(post, path = "/v1/webhooks/razorpay", tag = "payment",
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
    let report = providers.razorpay()?.report(signature, &body)?;
    let Some(razorpay::Report { order, charge, fact }) = report else { return Ok(StatusCode::NO_CONTENT) };
    let event = header("x-razorpay-event-id").filter(|id| (1..=64).contains(&id.len()));
    if let Some(id) = event
        && store::was_reported(&app.db, Provider::Razorpay, id).await?
    {
        return Ok(StatusCode::NO_CONTENT);
    }
    // What other systems do with the same account is none of our business.
    let Some(payment) = store::known(&app.db, &order).await? else { return Ok(StatusCode::NO_CONTENT) };
    let payment = store::payment(&app.db, payment).await?;
    let other = payment.value.charge.as_ref().is_some_and(|known| *known != charge);
    match fact {
        // Another attempt to pay the same order: it is never captured, and goes back by itself.
        Fact::Captured { .. } | Fact::Cancelled | Fact::Refund(_) if other => {
            tracing::warn!(%order, charge, "razorpay reports about another attempt than the one that counts");
        }
        fact => drop(app.db.change(payment, now, |payment| payment.learn(&fact, now)).await?),
    }
    if let Some(id) = event {
        // After the effect: a crash in between costs a repetition, which changes nothing.
        let reported = Reported { provider: Provider::Razorpay, id: id.to_owned(), at: now };
        app.db.put_new(reported, Vec::new(), now).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
