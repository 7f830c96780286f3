//! What the provider reports. The signature is checked over the raw bytes; what it says is merged into the payment, so
//! that lateness, repetition and disorder do no harm.

use crate::stripe::{Report, Stripe};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use tessera::app::App;
use tessera::error::{Code, Result};
use tessera::http::too_large;
use tessera::payment::{Fact, store};

/// Stripe reports here. Answered quickly: everything that follows is done by queues.
#[utoipa::path(post, path = "/v1/webhooks/stripe", tag = "payment",
    params(("Stripe-Signature" = String, Header, description = "t=…,v1=…")),
    request_body(content = Object, description = "A Stripe event, signed"),
    responses((status = 204, description = "Noted")))]
pub async fn stripe(
    State(app): State<App>,
    Extension(stripe): Extension<Arc<Stripe>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode> {
    let (body, now) = (body.map_err(too_large)?, app.clock.now());
    let header = headers.get("stripe-signature").and_then(|header| header.to_str().ok());
    let header = header.ok_or_else(|| Code::SignatureInvalid.because("Stripe-Signature is missing"))?;
    let Some(Report { payment, intent, fact }) = stripe.report(header, &body, now)? else {
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
