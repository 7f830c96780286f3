//! What order does when it hears of something: it moves forward, or notes it. Repeats and any order end the same.

use futures_util::future::BoxFuture;
use tessera::app::App;
use tessera::error::{Code, Result};
use tessera::id::OrderId;
use tessera::message::{Envelope, Message};
use tessera::order::{Order, Reason, Refunded, What, store};
use tessera::queue::Job;

/// One message.
pub fn work<'a>(app: &'a App, envelope: &'a Envelope) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let now = app.clock.now();
        match &envelope.message {
            Message::BookingConfirmed { booking, order } => {
                change(app, *order, |order| order.confirm(*booking, now)).await
            }
            Message::BookingMoved { from, to, order } => {
                change(app, *order, |order| order.moved(*from, *to)).await
            }
            Message::BookingLost { order, .. } => {
                change(app, *order, |order| order.end(Reason::PlacesGone, now)).await
            }
            Message::BookingCancelled { order, .. } => {
                change(app, *order, |order| order.end(Reason::BookingCancelled, now)).await
            }
            Message::PaymentCaptured { order, .. } => {
                change(app, *order, |order| order.note(What::Paid, now)).await
            }
            Message::PaymentVoided { order, .. } => {
                change(app, *order, |order| order.note(What::PaymentVoided, now)).await
            }
            Message::PaymentRefunded { order, .. } => {
                change(app, *order, |order| order.note(What::Refunded, now)).await
            }
            Message::RefundDone { order, refund, attempt, amount, .. } => {
                let (id, amount, attempt) = (*refund, *amount, *attempt);
                change(app, *order, |order| order.refunded(Refunded { id, amount, attempt, returned: false }))
                    .await
            }
            Message::RefundFailed { was_done: false, .. } => Ok(()),
            Message::RefundFailed { order, refund, attempt, amount, .. } => {
                let (id, amount, attempt) = (*refund, *amount, *attempt);
                change(app, *order, |order| order.refunded(Refunded { id, amount, attempt, returned: true }))
                    .await
            }
            Message::EntryIssued { order, .. } => {
                change(app, *order, |order| order.note(What::TicketsIssued, now)).await
            }
            Message::AccountCodeRequested { .. }
            | Message::EventPublished { .. }
            | Message::ProductShelved { .. }
            | Message::StockMoved { .. }
            | Message::EventChanged { .. }
            | Message::EventCancelled { .. }
            | Message::OrderFreePlaced { .. }
            | Message::OrderCancelled { .. }
            | Message::PaymentAuthorized { .. }
            | Message::RefundDue { .. }
            | Message::BookingEventCancelling { .. }
            | Message::MailingContinued { .. }
            | Message::WaitlistJoined { .. }
            | Message::WaitlistOffered { .. }
            | Message::WaitlistLeft { .. }
            | Message::ApplicationDecided { .. } => {
                Err(Code::Internal.caused_by("this message is not for order"))
            }
        }
    })
}

/// Order has no scheduled jobs.
pub fn tick<'a>(_: &'a App, job: &'a Job) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move { Err(Code::Internal.caused_by(format!("order has no job {}", job.job))) })
}

async fn change(app: &App, id: OrderId, rule: impl Fn(&Order) -> Option<Order> + Send + Sync) -> Result<()> {
    let order = store::order(&app.db, id).await?;
    app.db.change(order, app.clock.now(), |order| Ok(rule(order).map(|next| (next, Vec::new())))).await?;
    Ok(())
}
