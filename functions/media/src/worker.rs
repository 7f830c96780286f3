//! What media does when it hears of a picture: look at it and draw it anew, or forget it.

use crate::draw::{Drawing, draw};
use futures_util::future::{BoxFuture, try_join_all};
use tessera::app::App;
use tessera::error::{Code, Result};
use tessera::id::PictureId;
use tessera::media::{Drawn, Fault, Picture, SIZES, State, store};
use tessera::message::{Envelope, Message};
use tessera::queue::Job;

/// What a message leads to.
#[must_use]
pub fn work<'a>(app: &'a App, envelope: &'a Envelope) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        match &envelope.message {
            Message::PictureSent { picture } => look(app, *picture).await,
            Message::PictureRemoved { picture } => forget(app, *picture).await,
            Message::AccountCodeRequested { .. }
            | Message::AccountChanged { .. }
            | Message::AccountErased { .. }
            | Message::ExportAsked { .. }
            | Message::OrderErased { .. }
            | Message::InvitationMade { .. }
            | Message::AuditNoted(_)
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
            | Message::BookingConfirmed { .. }
            | Message::BookingReserved { .. }
            | Message::BookingLost { .. }
            | Message::BookingCancelled { .. }
            | Message::BookingEventCancelling { .. }
            | Message::EntryIssued { .. }
            | Message::MailingContinued { .. }
            | Message::BookingMoved { .. } => Err(Code::Internal.caused_by("this message is not for media")),
        }
    })
}

/// What a schedule leads to.
#[must_use]
pub fn tick<'a>(_: &'a App, job: &'a Job) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move { Err(Code::Internal.caused_by(format!("media has no job {}", job.job))) })
}

/// The files first, what came of it second, and what was uploaded goes last. Repeating it draws the same again.
async fn look(app: &App, id: PictureId) -> Result<()> {
    // Forgotten by now: long ago, or never sent.
    let Some(picture) = store::kept(&app.db, id).await? else { return Ok(()) };
    match picture.value.state {
        State::Sent { .. } => {
            let verdict = drawn(app, picture.value.clone()).await?;
            let now = app.clock.now();
            let after = app.db.amend(picture, now, |picture| Ok(picture.judge(verdict, now))).await?.value;
            if matches!(after.state, State::Removed { .. }) {
                // Removed meanwhile: whoever forgot its files may have done so before there were any.
                return forget(app, id).await;
            }
            app.blobs.delete(&store::upload(id)).await
        }
        State::Ready { .. } | State::Refused { .. } => app.blobs.delete(&store::upload(id)).await,
        State::Removed { .. } => forget(app, id).await,
        State::Waiting => Err(Code::Internal.caused_by("a picture that was not sent")),
    }
}

async fn drawn(app: &App, picture: Picture) -> Result<Result<Drawn, Fault>> {
    let Some(uploaded) = app.blobs.get(&store::upload(picture.id)).await? else {
        return Ok(Err(Fault::Altered));
    };
    let (id, file) = (picture.id, picture.file);
    let drawing = tokio::task::spawn_blocking(move || draw(&uploaded, &file)).await;
    let Drawing { drawn, files } = match drawing.map_err(|error| Code::Internal.caused_by(error))?? {
        Ok(drawing) => drawing,
        Err(fault) => return Ok(Err(fault)),
    };
    let kind = drawn.form.media_type();
    let each = SIZES.into_iter().zip(files);
    try_join_all(each.map(async |(size, bytes)| app.blobs.put(&store::drawing(id, size), kind, bytes).await))
        .await?;
    Ok(Ok(drawn))
}

async fn forget(app: &App, id: PictureId) -> Result<()> {
    try_join_all(store::files(id).map(async |key| app.blobs.delete(&key).await)).await?;
    Ok(())
}
