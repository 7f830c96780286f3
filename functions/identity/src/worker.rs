//! What identity does when it hears of something that belongs into an audit log.

use futures_util::future::BoxFuture;
use tessera::app::App;
use tessera::error::{Code, Result};
use tessera::identity::store;
use tessera::message::{Envelope, Message};
use tessera::queue::{Job, Worker};

/// The worker.
#[must_use]
pub fn worker(app: App) -> Worker {
    Worker::with(app, (), work, tick)
}

fn work<'a>(app: &'a App, (): &'a (), envelope: &'a Envelope) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        match &envelope.message {
            Message::AuditNoted(note) => {
                store::note(&app.db, envelope.id, envelope.at, note, app.clock.now()).await
            }
            Message::AccountCodeRequested { .. }
            | Message::AccountChanged { .. }
            | Message::InvitationMade { .. }
            | Message::EventPublished { .. }
            | Message::EventChanged { .. }
            | Message::EventCancelled { .. }
            | Message::ProductShelved { .. }
            | Message::StockMoved { .. }
            | Message::OrderFreePlaced { .. }
            | Message::OrderCancelled { .. }
            | Message::InvoiceDue { .. }
            | Message::InvoiceIssued { .. }
            | Message::PaymentAuthorized { .. }
            | Message::PaymentPromised { .. }
            | Message::GiftCreditDue { .. }
            | Message::PaymentReceived { .. }
            | Message::ReceiptNoted { .. }
            | Message::PaymentReminderDue { .. }
            | Message::PaymentCaptured { .. }
            | Message::PaymentVoided { .. }
            | Message::PaymentResumed { .. }
            | Message::RefundDue { .. }
            | Message::RefundDone { .. }
            | Message::RefundFailed { .. }
            | Message::PaymentRefunded { .. }
            | Message::WaitlistJoined { .. }
            | Message::WaitlistOffered { .. }
            | Message::WaitlistLeft { .. }
            | Message::ApplicationDecided { .. }
            | Message::BookingMoved { .. }
            | Message::BookingConfirmed { .. }
            | Message::BookingReserved { .. }
            | Message::BookingLost { .. }
            | Message::BookingCancelled { .. }
            | Message::BookingEventCancelling { .. }
            | Message::EntryIssued { .. }
            | Message::MailingContinued { .. } => {
                Err(Code::Internal.caused_by("this message is not for identity"))
            }
        }
    })
}

fn tick<'a>(_: &'a App, (): &'a (), job: &'a Job) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move { Err(Code::Internal.caused_by(format!("identity has no job {}", job.job))) })
}
