//! What payment does when a booking's fate is known: take the money, let it go, or give it back.

use crate::stripe::Stripe;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tessera::app::App;
use tessera::booking::{self, Register};
use tessera::db::Key;
use tessera::error::{Code, Result};
use tessera::id::{BookingId, OrderId};
use tessera::message::{Envelope, Message};
use tessera::payment::{Fate, Payment, Provider};
use tessera::queue::{Job, Worker};

/// The worker, with its provider at hand.
#[must_use]
pub fn worker(app: App, stripe: Arc<Stripe>) -> Worker {
    Worker::with(app, stripe, work, tick)
}

fn work<'a>(app: &'a App, stripe: &'a Arc<Stripe>, envelope: &'a Envelope) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        match &envelope.message {
            Message::BookingConfirmed { booking, order } | Message::BookingCancelled { booking, order } => {
                follow(app, stripe, *order, fate(app, *booking).await?).await
            }
            Message::BookingLost { order, .. } => follow(app, stripe, *order, Fate::None).await,
            Message::AccountCodeRequested { .. }
            | Message::EventPublished { .. }
            | Message::ProductShelved { .. }
            | Message::StockMoved { .. }
            | Message::EventChanged { .. }
            | Message::EventCancelled { .. }
            | Message::OrderFreePlaced { .. }
            | Message::OrderCancelled { .. }
            | Message::PaymentAuthorized { .. }
            | Message::PaymentCaptured { .. }
            | Message::PaymentVoided { .. }
            | Message::PaymentRefunded { .. }
            | Message::BookingEventCancelling { .. }
            | Message::EntryIssued { .. }
            | Message::MailingContinued { .. }
            | Message::WaitlistJoined { .. }
            | Message::WaitlistOffered { .. }
            | Message::WaitlistLeft { .. }
            | Message::ApplicationDecided { .. }
            | Message::BookingMoved { .. } => {
                Err(Code::Internal.caused_by("this message is not for payment"))
            }
        }
    })
}

fn tick<'a>(_: &'a App, _: &'a Arc<Stripe>, job: &'a Job) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move { Err(Code::Internal.caused_by(format!("payment has no job {}", job.job))) })
}

/// The register tells, not the message: of two messages the older may come last.
async fn fate(app: &App, booking: BookingId) -> Result<Fate> {
    match booking::store::booking(&app.db, booking).await?.0.value {
        Register::Confirmed { .. } => Ok(Fate::Confirmed),
        Register::Cancelled { .. } | Register::Ended { .. } | Register::Lost { .. } => Ok(Fate::None),
    }
}

async fn follow(app: &App, stripe: &Stripe, order: OrderId, fate: Fate) -> Result<()> {
    let id = Payment::id_of(order, Provider::Stripe);
    // An order that costs nothing has no payment.
    let Some(payment) = app.db.get::<Payment>(&Key::new(id, "-")).await? else { return Ok(()) };
    let (Some(act), Some(intent)) = (payment.value.follow(fate), &payment.value.intent) else {
        return Ok(());
    };
    if let Some(fact) = stripe.act(act, &payment.value, &intent.id).await? {
        let now = app.clock.now();
        app.db.change(payment, now, |payment| payment.learn(&fact, now)).await?;
    }
    Ok(())
}
