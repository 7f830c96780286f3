//! What providers report, taken in: sent by them, or fetched from them because a report may never have come. It is merged into the
//! payment, so that lateness, repetition and disorder do no harm.

use crate::stripe::Stripe;
use crate::{razorpay, stripe};
use tessera::app::App;
use tessera::db::Stored;
use tessera::error::{Code, Result};
use tessera::id::PaymentId;
use tessera::payment::{Fact, Payment, store};

/// What a report was about, and whether it said anything new.
pub struct Taken {
    /// The payment as it is now.
    pub payment: Stored<Payment>,
    /// Whether it was another before.
    pub news: bool,
}

/// Takes in what Stripe reports. Nothing for what other systems do with the same account, which is none of our business.
///
/// # Errors
/// `unavailable` for what cannot be understood yet: Stripe reports it again; the store's own.
pub async fn from_stripe(app: &App, stripe: &Stripe, report: stripe::Report) -> Result<Option<Taken>> {
    let stripe::Report { payment, intent, fact } = report;
    // A refund that somebody made at Stripe does not say which payment of ours it is of; its intent does.
    let payment = match (payment, &intent, &fact) {
        (None, Some(intent), Fact::Refund(_)) => stripe.payment_of(intent).await?,
        (payment, _, _) => payment,
    };
    let Some(id) = payment.and_then(|id| id.parse().ok()) else { return Ok(None) };
    let Some(payment) = ours(app, id).await? else { return Ok(None) };
    if payment.value.intent.as_ref().map(|known| &known.id) != intent.as_ref() {
        let why = format!("{id}: reported for {intent:?}, which we have not stored");
        return Err(Code::Unavailable.caused_by(why));
    }
    learn(app, payment, &fact).await.map(Some)
}

/// Takes in what Razorpay reports, as [`from_stripe`] does.
///
/// # Errors
/// As [`from_stripe`].
pub async fn from_razorpay(app: &App, report: razorpay::Report) -> Result<Option<Taken>> {
    let razorpay::Report { order, charge, fact } = report;
    let Some(id) = store::known(&app.db, &order).await? else { return Ok(None) };
    let Some(payment) = ours(app, id).await? else { return Ok(None) };
    let other = payment.value.charge.as_ref().is_some_and(|known| *known != charge);
    match fact {
        // Another attempt to pay the same order: it is never captured, and goes back by itself.
        Fact::Captured { .. } | Fact::Cancelled | Fact::Refund(_) if other => {
            tracing::warn!(%order, charge, "razorpay reports about another attempt than the one that counts");
            Ok(Some(Taken { payment, news: false }))
        }
        fact => learn(app, payment, &fact).await.map(Some),
    }
}

async fn ours(app: &App, id: PaymentId) -> Result<Option<Stored<Payment>>> {
    match store::payment(&app.db, id).await {
        Ok(payment) => Ok(Some(payment)),
        Err(refusal) if refusal.code == Code::NotFound => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

async fn learn(app: &App, payment: Stored<Payment>, fact: &Fact) -> Result<Taken> {
    let (now, version) = (app.clock.now(), payment.version);
    let payment = app.db.change(payment, now, |payment| payment.learn(fact, now)).await?;
    Ok(Taken { news: payment.version != version, payment })
}
