//! What identity does when it hears of something that belongs into an audit log, or that somebody is to be forgotten.

use crate::{erasure, export};
use futures_util::future::BoxFuture;
use tessera::app::App;
use tessera::error::{Code, Result};
use tessera::identity::audit::Note;
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
            Message::AuditNoted(note) => write(app, envelope, note).await,
            Message::AccountErased { account, .. } => erasure::forget(app, *account).await,
            Message::ExportAsked { export } => export::make(app, *export).await,
            Message::AccountChanged { account, change, .. } => {
                write(app, envelope, &Note::changed(*account, *change)).await
            }
            Message::AccountCodeRequested { .. }
            | Message::InvitationMade { .. }
            | Message::OrderErased { .. }
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
            | Message::PictureSent { .. }
            | Message::PictureRemoved { .. }
            | Message::MailingContinued { .. } => {
                Err(Code::Internal.caused_by("this message is not for identity"))
            }
        }
    })
}

async fn write(app: &App, told: &Envelope, note: &Note) -> Result<()> {
    store::note(&app.db, told.id, told.at, note, app.clock.now()).await
}

fn tick<'a>(app: &'a App, (): &'a (), job: &'a Job) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        match job.job.as_str() {
            "sweep" => erasure::sweep(app).await,
            other => Err(Code::Internal.caused_by(format!("identity has no job {other}"))),
        }
    })
}
