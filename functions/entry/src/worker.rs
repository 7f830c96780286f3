//! What entry does when it hears of a booking: issue its tickets, or void them.

use crate::document;
use futures_util::future::{BoxFuture, try_join_all};
use std::sync::Arc;
use tessera::app::App;
use tessera::booking::{self, Booking, Register, Subject};
use tessera::catalogue::Event;
use tessera::entry::store::{self, Issue};
use tessera::entry::{Signer, State, Ticket};
use tessera::error::{Code, Result};
use tessera::id::{BookingId, EventId, OrderId, OrganisationId, TicketId};
use tessera::message::{Envelope, Message};
use tessera::queue::{Job, Worker};
use tessera::{catalogue, identity, order};

/// The worker, with its signing key at hand.
#[must_use]
pub fn worker(app: App, signer: Arc<Signer>) -> Worker {
    Worker::with(app, signer, work, tick)
}

fn work<'a>(app: &'a App, signer: &'a Arc<Signer>, envelope: &'a Envelope) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        match &envelope.message {
            Message::BookingConfirmed { booking, .. } => issue(app, signer, *booking).await,
            Message::BookingCancelled { order, .. } => void(app, *order).await,
            Message::OrderErased { order } => forget(app, signer, *order).await,
            Message::AccountCodeRequested { .. }
            | Message::AuditNoted(_)
            | Message::InvitationMade { .. }
            | Message::AccountErased { .. }
            | Message::ExportAsked { .. }
            | Message::AccountChanged { .. }
            | Message::EventPublished { .. }
            | Message::ProductShelved { .. }
            | Message::StockMoved { .. }
            | Message::EventChanged { .. }
            | Message::EventCancelled { .. }
            | Message::OrderFreePlaced { .. }
            | Message::OrderCancelled { .. }
            | Message::InvoiceDue { .. }
            | Message::PaymentPromised { .. }
            | Message::PaymentReceived { .. }
            | Message::PaymentReminderDue { .. }
            | Message::ReceiptNoted { .. }
            | Message::GiftCreditDue { .. }
            | Message::BookingReserved { .. }
            | Message::InvoiceIssued { .. }
            | Message::PaymentAuthorized { .. }
            | Message::PaymentCaptured { .. }
            | Message::PaymentVoided { .. }
            | Message::PaymentRefunded { .. }
            | Message::PaymentResumed { .. }
            | Message::RefundDue { .. }
            | Message::RefundFailed { .. }
            | Message::RefundDone { .. }
            | Message::BookingLost { .. }
            | Message::BookingEventCancelling { .. }
            | Message::EntryIssued { .. }
            | Message::MailingContinued { .. }
            | Message::WaitlistJoined { .. }
            | Message::WaitlistOffered { .. }
            | Message::WaitlistLeft { .. }
            | Message::ApplicationDecided { .. }
            | Message::PictureSent { .. }
            | Message::PictureRemoved { .. }
            | Message::BookingMoved { .. } => Err(Code::Internal.caused_by("this message is not for entry")),
        }
    })
}

fn tick<'a>(_: &'a App, _: &'a Arc<Signer>, job: &'a Job) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move { Err(Code::Internal.caused_by(format!("entry has no job {}", job.job))) })
}

/// Tickets first, each with its document; the note that names them all, and tells, last. Repeating it stores the same
/// tickets under the same ids.
async fn issue(app: &App, signer: &Arc<Signer>, booking: BookingId) -> Result<()> {
    let (register, booking) = booking::store::booking(&app.db, booking).await?;
    if matches!(register.value, Register::Cancelled { .. }) {
        return Ok(());
    }
    let now = app.clock.now();
    let Subject::Event(id) = booking.subject else {
        // Nothing admits to a time or a product; that it is settled is told all the same.
        let issue = Issue { order: booking.order, booking: booking.id, tickets: Vec::new() };
        let told = Message::EntryIssued { order: booking.order, tickets: Vec::new() };
        app.db.put_new(issue, vec![told], now).await?;
        return Ok(());
    };
    let holder = order::store::order(&app.db, booking.order).await?.value.contact.name.to_string();
    let paper = Paper::read(app, signer, id, booking.organisation).await?;
    let tickets = tickets(&booking, id, &holder, now);
    try_join_all(tickets.iter().map(|ticket| async {
        let ticket = app.db.put_new(ticket.clone(), Vec::new(), now).await?.stored().value;
        paper.draw(app, ticket).await
    }))
    .await?;
    let ids: Vec<TicketId> = tickets.iter().map(|ticket| ticket.id).collect();
    let issue = Issue { order: booking.order, booking: booking.id, tickets: ids.clone() };
    app.db.put_new(issue, vec![Message::EntryIssued { order: booking.order, tickets: ids }], now).await?;
    // A cancellation may have looked for tickets before they were there. It was in the register by then.
    match booking::store::booking(&app.db, booking.id).await?.0.value {
        Register::Cancelled { .. } => void(app, booking.order).await,
        Register::Confirmed { .. } | Register::Ended { .. } | Register::Lost { .. } => Ok(()),
    }
}

fn tickets(booking: &Booking, event: EventId, holder: &str, now: jiff::Timestamp) -> Vec<Ticket> {
    let singles =
        booking.lines.iter().flat_map(|line| (0..line.quantity as usize).map(move |nth| (line, nth)));
    singles
        .zip(1..)
        .filter_map(|((line, nth), place)| {
            let id = TicketId::derive(&[&booking.id.to_string(), &place.to_string()]);
            Some(Ticket {
                id,
                number: Ticket::number_of(id),
                event,
                organisation: booking.organisation,
                order: booking.order,
                booking: booking.id,
                offer: line.item.offer()?,
                offer_name: line.name.clone(),
                seat: line.seat(nth),
                price: line.unit,
                holder: holder.to_owned(),
                place,
                state: State::Valid,
                issued: now,
            })
        })
        .collect()
}

/// The tickets of an order lose the name on them, their documents too.
async fn forget(app: &App, signer: &Arc<Signer>, order: OrderId) -> Result<()> {
    let (tickets, now) = (store::tickets_of(&app.db, order).await?, app.clock.now());
    let Some(Ticket { event, organisation, .. }) = tickets.first().map(|ticket| ticket.value.clone()) else {
        return Ok(());
    };
    let paper = Paper::read(app, signer, event, organisation).await?;
    try_join_all(tickets.into_iter().map(|ticket| async {
        let ticket = app.db.amend(ticket, now, |ticket| Ok(ticket.without_person())).await?.value;
        // Drawn even if the name was gone already: the function may have died between the two.
        paper.draw(app, ticket).await
    }))
    .await?;
    Ok(())
}

/// What is on every ticket of an event, and what signs it.
struct Paper {
    event: Event,
    organiser: String,
    signer: Arc<Signer>,
}

impl Paper {
    async fn read(app: &App, signer: &Arc<Signer>, event: EventId, by: OrganisationId) -> Result<Arc<Self>> {
        let event = catalogue::store::event(&app.db, event).await?.value;
        let organiser = identity::store::organisation(&app.db, by).await?.value.name.to_string();
        Ok(Arc::new(Self { event, organiser, signer: signer.clone() }))
    }

    async fn draw(self: &Arc<Self>, app: &App, ticket: Ticket) -> Result<()> {
        let (paper, key) = (self.clone(), store::document(ticket.id));
        let draw = move || document::pdf(&ticket, &paper.event, &paper.organiser, &paper.signer);
        let pdf =
            tokio::task::spawn_blocking(draw).await.map_err(|error| Code::Internal.caused_by(error))??;
        app.blobs.put(&key, "application/pdf", pdf).await
    }
}

async fn void(app: &App, order: OrderId) -> Result<()> {
    let now = app.clock.now();
    let tickets = store::tickets_of(&app.db, order).await?;
    let void = |ticket: &Ticket| Ok(ticket.void(now));
    try_join_all(tickets.into_iter().map(|ticket| app.db.amend(ticket, now, void))).await?;
    Ok(())
}
