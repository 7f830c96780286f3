//! Which message leads to which mail to whom.

use crate::account::{self, Recipient, Told};
use crate::mail::{Attachment, Letter, Post};
use futures_util::future::{BoxFuture, try_join_all};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use minijinja::context;
use std::sync::Arc;
use tessera::app::App;
use tessera::booking::application::State as Applied;
use tessera::booking::{By, Line, Register, Subject};
use tessera::catalogue::Details;
use tessera::db::{Listing, Query};
use tessera::error::{Code, Result};
use tessera::id::{ApplicationId, BookingId, EventId, InvoiceId, MailId, OrderId, PaymentId, WaiterId};
use tessera::message::{Envelope, Farewell, Message};
use tessera::money::Money;
use tessera::notification::{Kind, Mailing};
use tessera::order::Order;
use tessera::order::invoice::Kind as Paper;
use tessera::payment::Payment;
use tessera::payment::promise::{BankAccount, PayTo};
use tessera::payment::refund::Why;
use tessera::queue::Job;
use tessera::retail::StoreDetails;
use tessera::{booking, calendar, catalogue, entry, identity, notification, order, payment, retail, vendor};

/// One message.
pub fn work<'a>(app: &'a App, post: &'a Arc<Post>, envelope: &'a Envelope) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let id = mail_id(&envelope.id.to_string());
        match &envelope.message {
            Message::AccountCodeRequested { account, email, name, code, purpose, salt } => {
                let (to, told) =
                    (Recipient { account: *account, email, name }, Told { code, salt: salt.as_deref() });
                account::code_requested(app, post, id, to, *purpose, told).await
            }
            Message::AccountChanged { account, email, name, change } => {
                account::changed(app, post, id, Recipient { account: *account, email, name }, *change).await
            }
            Message::AccountErased { account, farewell: Some(Farewell { email, name }) } => {
                account::erased(app, post, id, Recipient { account: *account, email, name }).await
            }
            Message::AccountErased { farewell: None, .. } => Ok(()),
            Message::InvitationMade { email, organisation, by, .. } => {
                let values =
                    context! { organisation, by, days => tessera::identity::invitation::INVITATION_DAYS };
                let kind = Kind::Invitation;
                post.send(app, Letter { id, kind, to: email, name: "", values, attachments: Vec::new() })
                    .await
            }
            Message::EntryIssued { order, .. } => confirmation(app, post, id, *order).await,
            Message::BookingCancelled { booking, order } => {
                cancellation(app, post, id, *booking, *order).await
            }
            // What a cancellation gives back is told by its own mail.
            Message::RefundDone { why: Why::Booking, .. } => Ok(()),
            Message::RefundDone { order, amount, reason, .. } => {
                refund(app, post, id, *order, *amount, reason.as_deref()).await
            }
            Message::BookingReserved { booking, order, .. } => {
                let paid_by = booking::store::booking(&app.db, *booking).await?.1.paid_by;
                let payment = paid_by.map(|with| Payment::id_of(*order, with)).ok_or(Code::NotFound)?;
                awaited(app, post, id, Kind::Reserved, *order, payment).await
            }
            Message::PaymentReminderDue { order, payment } => {
                awaited(app, post, id, Kind::PaymentReminder, *order, *payment).await
            }
            Message::BookingLost { order, .. } => {
                tell(app, post, id, Kind::PlacesGone, *order, "", Vec::new()).await
            }
            Message::WaitlistOffered { waiter, turn } => {
                places_came_back(app, post, id, *waiter, *turn).await
            }
            Message::ApplicationDecided { application, turn } => {
                decided(app, post, id, *application, *turn).await
            }
            Message::BookingMoved { to, order, .. } => moved(app, post, id, *to, *order).await,
            Message::InvoiceIssued { invoice } => issued(app, post, id, *invoice).await,
            Message::EventChanged { event, changes } => begin_mailing(app, id, *event, changes.clone()).await,
            Message::MailingContinued { mailing, page } => mail_page(app, post, *mailing, *page).await,
            Message::AuditNoted(_)
            | Message::OrderErased { .. }
            | Message::ExportAsked { .. }
            | Message::EventPublished { .. }
            | Message::ProductShelved { .. }
            | Message::StockMoved { .. }
            | Message::EventCancelled { .. }
            | Message::OrderFreePlaced { .. }
            | Message::OrderCancelled { .. }
            | Message::InvoiceDue { .. }
            | Message::PaymentPromised { .. }
            | Message::PaymentReceived { .. }
            | Message::ReceiptNoted { .. }
            | Message::GiftCreditDue { .. }
            | Message::PaymentAuthorized { .. }
            | Message::PaymentCaptured { .. }
            | Message::PaymentVoided { .. }
            | Message::PaymentRefunded { .. }
            | Message::PaymentResumed { .. }
            | Message::RefundDue { .. }
            | Message::RefundFailed { .. }
            | Message::BookingConfirmed { .. }
            | Message::BookingEventCancelling { .. }
            | Message::WaitlistJoined { .. }
            | Message::PictureSent { .. }
            | Message::PictureRemoved { .. }
            | Message::WaitlistLeft { .. } => {
                Err(Code::Internal.caused_by("this message is not for notification"))
            }
        }
    })
}

/// Notification has no scheduled jobs yet.
pub fn tick<'a>(_: &'a App, _: &'a Arc<Post>, job: &'a Job) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move { Err(Code::Internal.caused_by(format!("notification has no job {}", job.job))) })
}

fn mail_id(cause: &str) -> MailId {
    MailId::derive(&[cause])
}

/// A mail about an order to the one who placed it.
async fn tell(
    app: &App,
    post: &Post,
    id: MailId,
    kind: Kind,
    order: OrderId,
    why: &str,
    attachments: Vec<Attachment>,
) -> Result<()> {
    let order = order::store::order(&app.db, order).await?.value;
    let occasion = Occasion::of(app, order.quote.subject, &order.quote.lines).await?;
    let values = about(app, post, &order, &occasion, why);
    let (to, name) = (order.contact.email.as_str(), order.contact.name.as_str());
    post.send(app, Letter { id, kind, to, name, values, attachments }).await
}

/// What an order is of, as people are told.
struct Occasion {
    name: String,
    venue: String,
    city: String,
    starts: Option<DateTime>,
    /// The end of what begins then, for deliveries.
    ends: Option<DateTime>,
    zone: String,
}

impl Occasion {
    /// Read anew: the mail may be about what has just changed.
    async fn of(app: &App, subject: Subject, lines: &[Line]) -> Result<Self> {
        match subject {
            Subject::Event(id) => {
                let Details { name, venue, city, starts, .. } =
                    catalogue::store::event(&app.db, id).await?.value.details;
                let (name, venue, city) = (name.to_string(), venue.to_string(), city.to_string());
                Ok(Self { name, venue, city, starts: Some(starts.local), ends: None, zone: starts.zone })
            }
            Subject::Service(id) => {
                let service = vendor::store::service(&app.db, id).await?.value;
                let vendor = identity::store::organisation(&app.db, service.organisation).await?.value;
                let vendor::Details { name, city, zone, .. } = service.details;
                let (starts, ends) = when(lines, &zone)?;
                let (name, venue, city) = (name.to_string(), vendor.name.to_string(), city.to_string());
                Ok(Self { name, venue, city, starts, ends, zone })
            }
            Subject::Store(id) => {
                let store = retail::store::store(&app.db, id).await?.value;
                let StoreDetails { name, city, address, zone, .. } = store.details;
                let (starts, ends) = when(lines, &zone)?;
                let (name, venue, city) = (name.to_string(), address.to_string(), city.to_string());
                Ok(Self { name, venue, city, starts, ends, zone })
            }
        }
    }
}

/// The first time that the lines are of, where they are, and its end.
fn when(lines: &[Line], zone: &str) -> Result<(Option<DateTime>, Option<DateTime>)> {
    let place = TimeZone::get(zone).map_err(|error| Code::Internal.caused_by(error))?;
    let first = lines.iter().filter_map(|line| line.slot).min_by_key(|slot| slot.starts);
    Ok(first.map(|slot| (place.to_datetime(slot.starts), place.to_datetime(slot.ends))).unzip())
}

fn about(app: &App, post: &Post, order: &Order, occasion: &Occasion, why: &str) -> minijinja::Value {
    let line = |line: &Line| {
        context! {
            quantity => line.quantity, name => line.name.clone(), amount => line.amount.to_string()
        }
    };
    let lines: Vec<_> = order.quote.lines.iter().map(line).collect();
    let said =
        |format: &str| occasion.starts.map(|starts| starts.strftime(format).to_string()).unwrap_or_default();
    context! {
        name => order.contact.name.as_str(),
        order => order.id.to_string(),
        link => post.order_link(app, order.id),
        total => order.quote.total.to_string(),
        free => order.quote.total.is_zero(),
        lines,
        why,
        tickets => order.quote.subject.event().is_some(),
        goods => matches!(order.quote.subject, Subject::Store(_)),
        event => context! {
            name => occasion.name.as_str(),
            venue => occasion.venue.as_str(),
            city => occasion.city.as_str(),
            date => said("%A, %-d %B %Y"),
            time => said("%H:%M"),
            ends => occasion.ends.map(|ends| ends.strftime("%H:%M").to_string()).unwrap_or_default(),
            zone => occasion.zone.as_str(),
        },
    }
}

/// The tickets, with their documents and the event for the calendar.
async fn confirmation(app: &App, post: &Post, id: MailId, order: OrderId) -> Result<()> {
    let tickets = entry::store::tickets_of(&app.db, order).await?;
    let documents = tickets.iter().map(|ticket| async {
        let ticket = &ticket.value;
        let bytes = app.blobs.get(&entry::store::document(ticket.id)).await?;
        let bytes =
            bytes.ok_or_else(|| Code::Internal.caused_by(format!("{} has no document", ticket.id)))?;
        Ok::<_, tessera::error::Refusal>(Attachment {
            kind: "application/pdf",
            name: format!("{}.pdf", ticket.number),
            bytes,
        })
    });
    let mut attachments = try_join_all(documents).await?;
    if let Some(ticket) = tickets.first() {
        let event = catalogue::store::event(&app.db, ticket.value.event).await?.value;
        let text = calendar::file(&event, &post.event_link(event.id), app.clock.now())?;
        attachments.push(Attachment {
            kind: "text/calendar",
            name: "event.ics".to_owned(),
            bytes: text.into_bytes(),
        });
    }
    tell(app, post, id, Kind::Confirmation, order, "", attachments).await
}

async fn cancellation(app: &App, post: &Post, id: MailId, booking: BookingId, order: OrderId) -> Result<()> {
    let register = booking::store::booking(&app.db, booking).await?.0.value;
    let why = match &register {
        Register::Cancelled { by: By::Buyer, .. } => "as you asked",
        Register::Cancelled { by: By::Organiser, .. } => "by the organiser",
        Register::Cancelled { by: By::Event, .. } => "because the event will not take place",
        Register::Cancelled { by: By::Moved, .. } => "because it was moved",
        Register::Cancelled { by: By::Payment, booking, .. } if booking.awaits.is_some() => {
            "because it was not paid in time"
        }
        Register::Cancelled { by: By::Payment, .. } => "because the payment did not go through",
        Register::Confirmed { .. } | Register::Ended { .. } | Register::Lost { .. } => {
            return Err(Code::Internal.caused_by("told of a cancellation that is not in the register"));
        }
    };
    let order = order::store::order(&app.db, order).await?.value;
    let occasion = Occasion::of(app, order.quote.subject, &order.quote.lines).await?;
    let back = match &register {
        Register::Cancelled { back, .. } => back.unwrap_or(order.quote.total),
        Register::Confirmed { .. } | Register::Ended { .. } | Register::Lost { .. } => order.quote.total,
    };
    let about = about(app, post, &order, &occasion, why);
    let (kept, none) = (back != order.quote.total, back.is_zero());
    // What has come of a promise goes back by hand, and is told by whoever pays it back.
    let unpaid = register.booking().is_some_and(|booking| booking.awaits.is_some());
    let values = context! { back => back.to_string(), kept, none, unpaid, ..about };
    let (to, name) = (order.contact.email.as_str(), order.contact.name.as_str());
    post.send(app, Letter { id, kind: Kind::Cancellation, to, name, values, attachments: Vec::new() }).await
}

/// How to pay what was promised. What has been paid or let go since is told by its own message.
async fn awaited(
    app: &App,
    post: &Post,
    id: MailId,
    kind: Kind,
    order: OrderId,
    payment: PaymentId,
) -> Result<()> {
    let payment = payment::store::payment(&app.db, payment).await?.value;
    let Some((promise, intent)) = payment.awaited().zip(payment.intent.as_ref()) else { return Ok(()) };
    let order = order::store::order(&app.db, order).await?.value;
    let occasion = Occasion::of(app, order.quote.subject, &order.quote.lines).await?;
    let (account, place) = match &promise.pay {
        PayTo::Account(BankAccount { holder, iban, bic }) => {
            let bic = bic.as_ref().map(ToString::to_string);
            (Some(context! { holder => holder.as_str(), iban => iban.to_string(), bic }), None)
        }
        PayTo::Place(place) => (None, Some(place.to_string())),
    };
    let (outstanding, part) = (payment.outstanding(), !payment.received().is_zero());
    let values = context! {
        account,
        place,
        part,
        outstanding => outstanding.to_string(),
        reference => intent.id.as_str(),
        due => local(promise.due, &occasion.zone)?,
        until => local(promise.until, &occasion.zone)?,
        ..about(app, post, &order, &occasion, "")
    };
    let (to, name) = (order.contact.email.as_str(), order.contact.name.as_str());
    post.send(app, Letter { id, kind, to, name, values, attachments: Vec::new() }).await
}

/// Money went back although the places stay sold.
async fn refund(
    app: &App,
    post: &Post,
    id: MailId,
    order: OrderId,
    amount: Money,
    reason: Option<&str>,
) -> Result<()> {
    let order = order::store::order(&app.db, order).await?.value;
    let occasion = Occasion::of(app, order.quote.subject, &order.quote.lines).await?;
    let about = about(app, post, &order, &occasion, "");
    let values = context! { amount => amount.to_string(), reason, ..about };
    let (to, name) = (order.contact.email.as_str(), order.contact.name.as_str());
    post.send(app, Letter { id, kind: Kind::Refund, to, name, values, attachments: Vec::new() }).await
}

/// A booking took another one's place.
async fn moved(app: &App, post: &Post, id: MailId, to: BookingId, order: OrderId) -> Result<()> {
    let (register, booking) = booking::store::booking(&app.db, to).await?;
    // What was moved on or cancelled since is told by its own message.
    if !matches!(register.value, Register::Confirmed { .. }) {
        return Ok(());
    }
    let order = order::store::order(&app.db, order).await?.value;
    let occasion = Occasion::of(app, booking.subject, &booking.lines).await?;
    let values = about(app, post, &order, &occasion, "");
    let (to, name) = (order.contact.email.as_str(), order.contact.name.as_str());
    post.send(app, Letter { id, kind: Kind::Moved, to, name, values, attachments: Vec::new() }).await
}

/// An invoice or a credit note, with its PDF.
async fn issued(app: &App, post: &Post, id: MailId, invoice: InvoiceId) -> Result<()> {
    let invoice = order::invoice::store::invoice(&app.db, invoice).await?.value;
    let bytes = app.blobs.get(&order::invoice::store::document(invoice.id)).await?;
    let bytes = bytes.ok_or_else(|| Code::Internal.caused_by(format!("{} has no document", invoice.id)))?;
    let corrects = match &invoice.kind {
        Paper::Invoice => None,
        Paper::CreditNote { number, .. } => Some(number.as_str()),
    };
    let values = context! {
        name => invoice.buyer.name.as_str(),
        seller => invoice.seller.name.as_str(),
        number => invoice.number.as_str(),
        corrects,
        total => invoice.total.to_string(),
        about => invoice.supply.name.as_str(),
        order => invoice.order.to_string(),
        link => post.order_link(app, invoice.order),
    };
    let (to, name) = (invoice.buyer.email.as_str(), invoice.buyer.name.as_str());
    let attachments = vec![Attachment { kind: "application/pdf", name: invoice.file(), bytes }];
    post.send(app, Letter { id, kind: Kind::Invoice, to, name, values, attachments }).await
}

/// It is somebody's turn. Told only while the offer stands: a late mail would promise what has been passed on.
async fn places_came_back(app: &App, post: &Post, id: MailId, waiter: WaiterId, turn: u32) -> Result<()> {
    let waiter = booking::waitlist::store::waiter(&app.db, waiter).await?.value;
    let Ok(offered) = waiter.offered(app.clock.now()) else { return Ok(()) };
    if waiter.turn != turn {
        return Ok(());
    }
    let programme = app.programme(waiter.event).await?;
    let details = &programme.event.details;
    let offer = programme.offers.iter().find(|offer| offer.id == offered.offer).ok_or(Code::NotFound)?;
    let (to, name) = (waiter.contact.email.as_str(), waiter.contact.name.as_str());
    let values = context! {
        name,
        quantity => waiter.quantity,
        offer => offer.terms.name.as_str(),
        until => local(offered.until, &details.starts.zone)?,
        link => post.waitlist_link(app, waiter.id),
        event => context! { name => details.name.as_str() },
    };
    post.send(app, Letter { id, kind: Kind::WaitlistOffer, to, name, values, attachments: Vec::new() }).await
}

/// The organiser has decided. What was decided anew meanwhile is told by its own message.
async fn decided(app: &App, post: &Post, id: MailId, application: ApplicationId, turn: u32) -> Result<()> {
    let known = booking::application::application(&app.db, application).await?.value;
    let (kind, until) = match &known.state {
        Applied::Approved { until, .. } if *until > app.clock.now() => (Kind::Approved, Some(*until)),
        Applied::Declined => (Kind::Declined, None),
        Applied::Pending | Applied::Approved { .. } | Applied::Withdrawn => return Ok(()),
    };
    if known.turn != turn {
        return Ok(());
    }
    let programme = app.programme(known.event).await?;
    let details = &programme.event.details;
    let offer = programme.offers.iter().find(|offer| offer.id == known.offer).ok_or(Code::NotFound)?;
    let reason = known.history.last().and_then(|last| last.reason.as_ref()).map(ToString::to_string);
    let (to, name) = (known.contact.email.as_str(), known.contact.name.as_str());
    let values = context! {
        name,
        quantity => known.quantity,
        offer => offer.terms.name.as_str(),
        until => until.map(|until| local(until, &details.starts.zone)).transpose()?.unwrap_or_default(),
        reason => reason.unwrap_or_default(),
        link => post.application_link(app, known.id),
        event => context! { name => details.name.as_str() },
    };
    post.send(app, Letter { id, kind, to, name, values, attachments: Vec::new() }).await
}

/// An instant as people at the place of the event read it.
fn local(at: Timestamp, zone: &str) -> Result<String> {
    let place = TimeZone::get(zone).map_err(|error| Code::Internal.caused_by(error))?;
    Ok(format!("{} ({zone})", place.to_datetime(at).strftime("%A, %-d %B, %H:%M")))
}

async fn begin_mailing(app: &App, id: MailId, event: EventId, changes: Vec<String>) -> Result<()> {
    let first = Mailing { id, event, changes, page: 0, after: None };
    app.db.put_new(first, vec![Message::MailingContinued { mailing: id, page: 0 }], app.clock.now()).await?;
    Ok(())
}

/// Mails one page of an event's attendees; the note of how far it came carries the message for the next.
async fn mail_page(app: &App, post: &Post, mailing: MailId, page: u32) -> Result<()> {
    let now: Timestamp = app.clock.now();
    let progress = notification::store::mailing(&app.db, mailing).await?.ok_or(Code::NotFound)?;
    if progress.value.page != page {
        return Ok(());
    }
    let query = Query::of(Listing::Second, progress.value.event).limit(25);
    let (found, next) = app.db.list::<Register>(&query, progress.value.after.clone()).await?;
    let booked = found.iter().filter_map(|register| match &register.value {
        Register::Confirmed { booking } => Some(booking.order),
        Register::Cancelled { .. } | Register::Ended { .. } | Register::Lost { .. } => None,
    });
    let what = progress.value.changes.join(" and ");
    try_join_all(booked.map(|order| {
        let id = mail_id(&format!("{mailing}/{order}"));
        tell(app, post, id, Kind::EventChanged, order, &what, Vec::new())
    }))
    .await?;
    let told = next.is_some().then_some(Message::MailingContinued { mailing, page: page + 1 });
    let done = Mailing { page: page + 1, after: next, ..progress.value.clone() };
    app.db.replace(&progress, done, told.into_iter().collect(), now).await?;
    Ok(())
}
