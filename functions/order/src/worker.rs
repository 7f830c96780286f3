//! What order does when it hears of something: it moves forward, or notes it. Repeats and any order end the same.
//!
//! Whatever becomes due of invoices and credit notes with a step is asked for in the step's own write, by a message to itself: a number
//! that many want at once delays no order.

use crate::document;
use futures_util::future::BoxFuture;
use tessera::app::App;
use tessera::auth::Buyer;
use tessera::booking;
use tessera::db::Stored;
use tessera::error::{Code, Refusal, Result};
use tessera::id::{AccountId, BookingId, OrderId};
use tessera::message::{Envelope, Message};
use tessera::order::invoice::{Paper, store as invoices};
use tessera::order::{Order, Reason, Refunded, What, store};
use tessera::payment::Provider;
use tessera::queue::Job;

/// One message.
pub fn work<'a>(app: &'a App, envelope: &'a Envelope) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let now = app.clock.now();
        match &envelope.message {
            Message::BookingConfirmed { booking, order } => {
                let order = store::order(&app.db, *order).await?;
                let invoiced = invoiced(app, &order.value, *booking).await?;
                change_known(app, order, |order| order.confirm(*booking, invoiced, now)).await
            }
            Message::BookingReserved { booking, order, until } => {
                change(app, *order, |order| order.reserve(*booking, *until, now)).await
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
            Message::AccountErased { account, .. } => forget(app, *account).await,
            Message::InvoiceDue { order, refund } => issue(app, Paper::asked(*order, *refund)).await,
            Message::AccountCodeRequested { .. }
            | Message::AuditNoted(_)
            | Message::InvitationMade { .. }
            | Message::OrderErased { .. }
            | Message::ExportAsked { .. }
            | Message::AccountChanged { .. }
            | Message::InvoiceIssued { .. }
            | Message::PaymentPromised { .. }
            | Message::PaymentReceived { .. }
            | Message::PaymentReminderDue { .. }
            | Message::ReceiptNoted { .. }
            | Message::GiftCreditDue { .. }
            | Message::EventPublished { .. }
            | Message::ProductShelved { .. }
            | Message::StockMoved { .. }
            | Message::EventChanged { .. }
            | Message::EventCancelled { .. }
            | Message::OrderFreePlaced { .. }
            | Message::OrderCancelled { .. }
            | Message::PaymentAuthorized { .. }
            | Message::PaymentResumed { .. }
            | Message::RefundDue { .. }
            | Message::BookingEventCancelling { .. }
            | Message::MailingContinued { .. }
            | Message::WaitlistJoined { .. }
            | Message::WaitlistOffered { .. }
            | Message::WaitlistLeft { .. }
            | Message::PictureSent { .. }
            | Message::PictureRemoved { .. }
            | Message::ApplicationDecided { .. } => {
                Err(Code::Internal.caused_by("this message is not for order"))
            }
        }
    })
}

/// Every order of an account forgets whom it was for, and tells those who wrote the name down elsewhere. A function that runs
/// out of time begins anew, and passes over what is done.
async fn forget(app: &App, account: AccountId) -> Result<()> {
    let (query, now) = (store::of_buyer(Buyer::Account(account)), app.clock.now());
    let mut after = None;
    loop {
        let (orders, next) = app.db.list::<Order>(&query, after).await?;
        for order in orders {
            app.db.change(order, now, |order| Ok(order.without_person())).await?;
        }
        match next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

/// Order has no scheduled jobs.
pub fn tick<'a>(_: &'a App, job: &'a Job) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move { Err(Code::Internal.caused_by(format!("order has no job {}", job.job))) })
}

async fn change(app: &App, id: OrderId, rule: impl Fn(&Order) -> Option<Order> + Send + Sync) -> Result<()> {
    change_known(app, store::order(&app.db, id).await?, rule).await
}

async fn change_known(
    app: &App,
    order: Stored<Order>,
    rule: impl Fn(&Order) -> Option<Order> + Send + Sync,
) -> Result<()> {
    let step = |order: &Order| {
        rule(order).map(|next| {
            let told = next.newly_due(order);
            (next, told)
        })
    };
    app.db.change(order, app.clock.now(), |order| Ok(step(order))).await?;
    Ok(())
}

/// With whom the payment is that an order was sold for, if it costs something and its seller issues invoices.
async fn invoiced(app: &App, order: &Order, booking: BookingId) -> Result<Option<Provider>> {
    let quote = &order.quote;
    if quote.total.is_zero() || invoices::invoicing(&app.db, quote.organisation).await?.is_none() {
        return Ok(None);
    }
    Ok(booking::store::booking(&app.db, booking).await?.1.paid_by)
}

/// The document first, under its number; its PDF; and last the note that tells. Repeating it finds the document and draws it again.
async fn issue(app: &App, paper: Paper) -> Result<()> {
    let now = app.clock.now();
    let invoice = match invoices::issue(&app.db, paper, now).await {
        Ok(Some(invoice)) => invoice,
        Ok(None) => return Ok(()),
        Err(Refusal { code: Code::Busy, .. }) => return invoices::ask_again(&app.db, paper, now).await,
        Err(refusal) => return Err(refusal),
    };
    let id = invoice.id;
    let draw = tokio::task::spawn_blocking(move || document::pdf(&invoice));
    let pdf = draw.await.map_err(|error| Code::Internal.caused_by(error))??;
    app.blobs.put(&invoices::document(id), "application/pdf", pdf).await?;
    invoices::drawn(&app.db, id, now).await
}
