//! What booking does when it hears of something, and when the clock strikes.

use crate::{applications, waitlist as lines};
use futures_util::future::{BoxFuture, try_join_all};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use tessera::app::App;
use tessera::booking::store::{self, Cancelling, Paid};
use tessera::booking::{By, Ending, Register, Subject, movement, proof, waitlist};
use tessera::catalogue;
use tessera::db::{Listing, Query, Stored};
use tessera::error::{Code, Result};
use tessera::id::{BookingId, EventId, OrderId, PaymentId, ProductId, StoreId};
use tessera::message::{Envelope, Message};
use tessera::order;
use tessera::payment::Provider;
use tessera::pool::store::Waited;
use tessera::pool::{self, HoldKey};
use tessera::queue::Job;
use tessera::retail::{self, Shelf};

/// One message.
pub fn work<'a>(app: &'a App, envelope: &'a Envelope) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        match &envelope.message {
            Message::EventPublished { event } => open(app, *event).await,
            Message::ProductShelved { store, product } => shelve(app, *store, *product).await,
            Message::StockMoved { pool, movement } => {
                let known = movement::movement(&app.db, *pool, *movement).await?.ok_or(Code::NotFound)?;
                movement::carry_out(app, known, app.clock.now()).await.map(drop)
            }
            Message::OrderFreePlaced { order } => decide(app, *order, Paid::default()).await,
            Message::PaymentAuthorized { order, payment } => {
                decide(app, *order, Paid { by: Some(with(*order, *payment)?), awaits: None }).await
            }
            Message::PaymentPromised { order, payment, until } => {
                decide(app, *order, Paid { by: Some(with(*order, *payment)?), awaits: Some(*until) }).await
            }
            Message::PaymentReceived { order, payment } => received(app, *order, *payment).await,
            Message::OrderCancelled { order } => order_cancelled(app, *order).await,
            Message::PaymentVoided { order, payment } => unpaid(app, *order, *payment).await,
            Message::BookingCancelled { booking, .. } => free(app, *booking).await,
            Message::BookingMoved { from, .. } => {
                let (register, _) = store::booking(&app.db, *from).await?;
                store::finish_move(app, register, app.clock.now()).await.map(drop)
            }
            Message::WaitlistJoined { waiter } => waitlist::store::join(app, *waiter).await,
            Message::WaitlistLeft { waiter, turn } => waitlist::store::left(app, *waiter, *turn).await,
            Message::AccountErased { account, .. } => {
                lines::forget(app, *account).await?;
                applications::forget(app, *account).await
            }
            Message::EventCancelled { event } => begin_cancelling(app, *event).await,
            Message::BookingEventCancelling { event, page } => cancel_page(app, *event, *page).await,
            Message::AccountCodeRequested { .. }
            | Message::AuditNoted(_)
            | Message::InvitationMade { .. }
            | Message::OrderErased { .. }
            | Message::ExportAsked { .. }
            | Message::AccountChanged { .. }
            | Message::EventChanged { .. }
            | Message::InvoiceDue { .. }
            | Message::PaymentReminderDue { .. }
            | Message::ReceiptNoted { .. }
            | Message::GiftCreditDue { .. }
            | Message::BookingReserved { .. }
            | Message::InvoiceIssued { .. }
            | Message::PaymentCaptured { .. }
            | Message::PaymentRefunded { .. }
            | Message::PaymentResumed { .. }
            | Message::RefundDue { .. }
            | Message::RefundDone { .. }
            | Message::RefundFailed { .. }
            | Message::BookingConfirmed { .. }
            | Message::BookingLost { .. }
            | Message::EntryIssued { .. }
            | Message::MailingContinued { .. }
            | Message::WaitlistOffered { .. }
            | Message::PictureSent { .. }
            | Message::PictureRemoved { .. }
            | Message::ApplicationDecided { .. } => {
                Err(Code::Internal.caused_by("this message is not for booking"))
            }
        }
    })
}

/// The schedule's jobs.
pub fn tick<'a>(app: &'a App, job: &'a Job) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        match job.job.as_str() {
            "tidy" => tidy(app).await,
            "prove" => prove(app).await,
            other => Err(Code::Internal.caused_by(format!("booking has no job {other}"))),
        }
    })
}

/// Opens the pools of an event that went on sale.
async fn open(app: &App, event: EventId) -> Result<()> {
    let offers = catalogue::store::offers(&app.db, event).await?;
    let until =
        catalogue::store::event(&app.db, event).await?.value.ends()? + SignedDuration::from_hours(24 * 30);
    let mut opened = Vec::new();
    for offer in offers {
        let (pool, capacity) = (offer.value.pool, offer.value.capacity);
        if opened.contains(&pool) {
            continue;
        }
        match offer.value.seats {
            None => pool::store::open(&app.db, pool, Subject::Event(event), capacity, until).await?,
            Some(_) => {
                let opening = app.seating(event, pool).await?.section.opening();
                pool::store::open_seats(&app.db, pool, Subject::Event(event), &opening, until).await?;
            }
        }
        opened.push(pool);
    }
    Ok(())
}

/// Makes the stock of a product that a store begins to sell, or as many more lanes as it needs now.
async fn shelve(app: &App, store: StoreId, product: ProductId) -> Result<()> {
    let shelf = retail::store::shelf(&app.db, store, product).await?.ok_or(Code::NotFound)?.value;
    let (id, subject) = (Shelf::pool_id(store, product), Subject::Store(store));
    pool::store::open_stock(&app.db, id, subject, shelf.lanes()).await
}

/// With whom this payment of an order is.
fn with(order: OrderId, payment: PaymentId) -> Result<Provider> {
    Provider::of(order, payment).ok_or_else(|| Code::NotFound.into())
}

async fn decide(app: &App, order: OrderId, paid: Paid) -> Result<()> {
    let order = order::store::order(&app.db, order).await?.value;
    store::decide(app, &order, paid, app.clock.now()).await
}

/// Money that was promised is here. It may be heard of before the promise is, and decides then.
async fn received(app: &App, order: OrderId, payment: PaymentId) -> Result<()> {
    let (now, paid_by) = (app.clock.now(), with(order, payment)?);
    decide(app, order, Paid { by: Some(paid_by), awaits: None }).await?;
    let Some(register) = settled_fate(app, order).await? else { return Ok(()) };
    if register.value.booking().is_some_and(|booking| booking.paid_by == Some(paid_by)) {
        app.db.change(register, now, Register::received).await?;
    }
    Ok(())
}

/// What became of an order, with no move of it half done.
async fn settled_fate(app: &App, order: OrderId) -> Result<Option<Stored<Register>>> {
    let Some(register) = store::fate_of(&app.db, order).await? else { return Ok(None) };
    let register = store::finish_move(app, register, app.clock.now()).await?;
    match register.value {
        Register::Cancelled { by: By::Moved, .. } => {
            Err(Code::Busy.caused_by("it has just been moved: once more, with what it was moved to"))
        }
        Register::Confirmed { .. }
        | Register::Cancelled { .. }
        | Register::Ended { .. }
        | Register::Lost { .. } => Ok(Some(register)),
    }
}

/// The buyer gave an order up. If the money was faster, the booking it made is cancelled.
async fn order_cancelled(app: &App, order: OrderId) -> Result<()> {
    let now = app.clock.now();
    let order = order::store::order(&app.db, order).await?.value;
    let holder = HoldKey::of(order.quote.hold).ok_or(Code::NotFound)?;
    let mut claims = order.quote.claims.as_slice();
    // Late money may have had a second hold, or may be about to take it: both are decided.
    for holder in [holder, holder.again()] {
        match store::end(&app.db, holder, Ending::Released, now).await? {
            Register::Ended { .. } | Register::Lost { .. } => store::give_back(app, holder, claims).await?,
            Register::Cancelled { .. } => {}
            Register::Confirmed { booking } => {
                let (register, _) = store::booking(&app.db, booking.id).await?;
                let register = store::finish_move(app, register, now).await?;
                app.db.change(register, now, |register| register.cancel(By::Buyer, now)).await?;
            }
        }
        // What the second took is known to whoever took it; its entries end with their time.
        claims = &[];
    }
    Ok(())
}

/// A payment is gone. Mostly because the booking is; but an authorisation can also run out before it is captured, or a promise be
/// broken, and then the booking it had secured ends.
async fn unpaid(app: &App, order: OrderId, payment: PaymentId) -> Result<()> {
    let (now, paid_by) = (app.clock.now(), with(order, payment)?);
    let Some(register) = settled_fate(app, order).await? else { return Ok(()) };
    if register.value.booking().is_some_and(|booking| booking.paid_by == Some(paid_by)) {
        app.db.change(register, now, |register| register.cancel(By::Payment, now)).await?;
    }
    Ok(())
}

/// Gives the places of a cancelled booking back.
async fn free(app: &App, booking: BookingId) -> Result<()> {
    let (register, booking) = store::booking(&app.db, booking).await?;
    match register.value {
        Register::Cancelled { .. } => store::give_back_booked(app, &booking, app.clock.now()).await,
        Register::Confirmed { .. } | Register::Ended { .. } | Register::Lost { .. } => {
            Err(Code::Internal.caused_by("told of a cancellation that is not in the register"))
        }
    }
}

async fn begin_cancelling(app: &App, event: EventId) -> Result<()> {
    let first = Cancelling { event, page: 0, after: None };
    app.db.put_new(first, vec![Message::BookingEventCancelling { event, page: 0 }], app.clock.now()).await?;
    Ok(())
}

/// Cancels one page of an event's bookings; the note of how far it came carries the message for the next.
async fn cancel_page(app: &App, event: EventId, page: u32) -> Result<()> {
    let now = app.clock.now();
    let progress = store::cancelling(&app.db, event).await?.ok_or(Code::NotFound)?;
    if progress.value.page != page {
        return Ok(());
    }
    let query = Query::of(Listing::Second, event).limit(50);
    let (found, next) = app.db.list::<Register>(&query, progress.value.after.clone()).await?;
    let ids = found.iter().filter_map(|register| register.value.booking()).map(|booking| booking.id);
    try_join_all(ids.map(|id| async move {
        // The listing lags: the register itself is read before it is changed.
        let (register, _) = store::booking(&app.db, id).await?;
        app.db.change(register, now, |register| register.cancel(By::Event, now)).await
    }))
    .await?;
    let told = next.is_some().then_some(Message::BookingEventCancelling { event, page: page + 1 });
    let done = Cancelling { event, page: page + 1, after: next };
    app.db.replace(&progress, done, told.into_iter().collect(), now).await?;
    Ok(())
}

/// So many pools are looked through in one run, which has 25 seconds: a few milliseconds each, more where there is something to do.
const POOLS_A_RUN: usize = 400;
/// How often the schedule says `tidy`, seconds.
const TIDY_EVERY: i64 = 5 * 60;
/// How often the schedule says `prove`, seconds.
const PROVE_EVERY: i64 = 6 * 3600;

/// Whose turn it is in this run: all of them, or the next share where there are many (a store has a pool for each product).
fn share<T>(all: Vec<T>, now: Timestamp, every: i64) -> impl Iterator<Item = T> {
    let shares = all.len().div_ceil(POOLS_A_RUN).max(1);
    let turn = usize::try_from(now.as_second() / every).unwrap_or(0) % shares;
    all.into_iter().skip(turn * POOLS_A_RUN).take(POOLS_A_RUN)
}

/// Ends holds whose time is over and notes sold ones as sold, pool by pool. Nothing depends on it: whoever needs a place
/// does the same for the lane they need. It keeps the availability that people are shown near the truth.
async fn tidy(app: &App) -> Result<()> {
    let (now, mut back, mut waited) = (app.clock.now(), 0, BTreeSet::new());
    for opened in share(pool::store::opened(&app.db).await?, now, TIDY_EVERY) {
        let (came, kept) = store::tidy(app, &opened.pool(), now).await?;
        back += came;
        match opened.waited {
            Waited::Is(_) => {
                pool::store::keep(&app.db, opened.id).await?;
                waited.extend(opened.subject.event());
            }
            Waited::Not(times) if kept => {
                waitlist::store::finish_leaving(app, &opened, times).await?;
                waited.extend(opened.subject.event());
            }
            Waited::Not(_) => {}
        }
    }
    // What came back is theirs who wait: nobody else passes on an offer whose time went by.
    for event in waited {
        waitlist::store::serve(app, event).await?;
    }
    tracing::info!(back, "tidied");
    Ok(())
}

/// Recounts every pool and puts right what differs. What cannot be put right fails the job, and the alarm tells somebody.
async fn prove(app: &App) -> Result<()> {
    let now = app.clock.now();
    let mut beyond = 0;
    for opened in share(pool::store::opened(&app.db).await?, now, PROVE_EVERY) {
        let counted = proof::prove(app, &opened, now).await?;
        if counted.differences.is_empty() {
            continue;
        }
        tracing::error!(pool = %opened.id, differences = ?counted.differences, "a pool's books do not balance");
        let left = proof::repair(app, &opened, &counted, now).await?;
        for difference in &left {
            tracing::error!(pool = %opened.id, ?difference, "could not be put right");
        }
        beyond += left.len();
    }
    match beyond {
        0 => Ok(()),
        _ => Err(Code::Internal.caused_by(format!("{beyond} differences could not be put right"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_pools_have_their_turn_in_every_run_and_many_one_after_the_other() {
        let run = |count: usize, nth: i64| -> Vec<usize> {
            let now = Timestamp::from_second(nth * TIDY_EVERY + 7).unwrap();
            share((0..count).collect(), now, TIDY_EVERY).collect()
        };
        for few in [0, 1, POOLS_A_RUN] {
            assert_eq!(run(few, 41), (0..few).collect::<Vec<_>>());
        }
        let many = 3 * POOLS_A_RUN + 1;
        let mut seen: Vec<usize> = (100..104).flat_map(|nth| run(many, nth)).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..many).collect::<Vec<_>>(), "four runs, each pool once");
    }
}
