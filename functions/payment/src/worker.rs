//! What payment does when something became known: about a booking, or about a payment. It looks at both, does what is left to do, and
//! writes down in the books what was done.

use crate::providers::Providers;
use crate::reconcile::reconcile;
use crate::waiting::{or_wait, resume, resumed};
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use tessera::app::App;
use tessera::booking::store::fate_of;
use tessera::booking::{By, Register};
use tessera::db::{Put, Stored};
use tessera::error::{Code, Result};
use tessera::id::{OrderId, PaymentId, RefundId};
use tessera::message::{Envelope, Message};
use tessera::money::Money;
use tessera::payment::gift::CardBack;
use tessera::payment::ledger::Entry;
use tessera::payment::refund::{Progress, Refund, RefundFact, RefundState};
use tessera::payment::{Act, Fact, Fate, Payment, Provider, State, store};
use tessera::queue::{Job, Worker};

/// The worker, with its provider at hand.
#[must_use]
pub fn worker(app: App, providers: Arc<Providers>) -> Worker {
    Worker::with(app, providers, work, tick)
}

fn work<'a>(
    app: &'a App,
    providers: &'a Arc<Providers>,
    envelope: &'a Envelope,
) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let at = envelope.at;
        match &envelope.message {
            Message::BookingConfirmed { order, .. }
            | Message::BookingCancelled { order, .. }
            | Message::BookingLost { order, .. }
            | Message::BookingReserved { order, .. }
            | Message::PaymentPromised { order, .. }
            | Message::PaymentAuthorized { order, .. } => settle(app, providers, *order, at).await,
            Message::PaymentCaptured { payment, order } => {
                let known = store::payment(&app.db, *payment).await?.value;
                note(app, Entry::captured(&known, at)?).await?;
                // What became of the booking while the money was being taken.
                settle(app, providers, *order, at).await
            }
            Message::PaymentResumed { payment, order, since } => {
                resumed(app, providers, *payment, *order, *since).await
            }
            Message::ReceiptNoted { payment, receipt } => {
                let known = store::payment(&app.db, *payment).await?.value;
                note(app, Entry::receipt(&known, receipt, at)?).await
            }
            Message::GiftCreditDue { payment } => credit(app, providers, *payment, at).await,
            Message::RefundDue { payment, refund, attempt } => {
                ask(app, providers, *payment, *refund, *attempt, at).await
            }
            Message::RefundDone { payment, refund, attempt, .. } => {
                let known = store::payment(&app.db, *payment).await?.value;
                let refund = known.refund(*refund).ok_or(Code::NotFound)?;
                note(app, Entry::refunded(&known, refund, *attempt, false, at)?).await
            }
            Message::RefundFailed { payment, refund, attempt, was_done, .. } => {
                let known = store::payment(&app.db, *payment).await?.value;
                let refund = known.refund(*refund).ok_or(Code::NotFound)?;
                tracing::error!(%payment, refund = %refund.id, attempt, state = ?refund.state, "a refund failed");
                match was_done {
                    true => note(app, Entry::refunded(&known, refund, *attempt, true, at)?).await,
                    false => Ok(()),
                }
            }
            Message::AccountCodeRequested { .. }
            | Message::AuditNoted(_)
            | Message::InvitationMade { .. }
            | Message::AccountErased { .. }
            | Message::OrderErased { .. }
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
            | Message::PaymentReceived { .. }
            | Message::PaymentReminderDue { .. }
            | Message::InvoiceIssued { .. }
            | Message::PaymentVoided { .. }
            | Message::PaymentRefunded { .. }
            | Message::BookingEventCancelling { .. }
            | Message::EntryIssued { .. }
            | Message::MailingContinued { .. }
            | Message::WaitlistJoined { .. }
            | Message::WaitlistOffered { .. }
            | Message::WaitlistLeft { .. }
            | Message::ApplicationDecided { .. }
            | Message::PictureSent { .. }
            | Message::PictureRemoved { .. }
            | Message::BookingMoved { .. } => {
                Err(Code::Internal.caused_by("this message is not for payment"))
            }
        }
    })
}

fn tick<'a>(app: &'a App, providers: &'a Arc<Providers>, job: &'a Job) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        match job.job.as_str() {
            "refunds" => refunds(app).await,
            "resume" => resume(app, providers).await,
            "reconcile" => reconcile(app, providers).await,
            "promises" => promises(app).await,
            other => Err(Code::Internal.caused_by(format!("payment has no job {other}"))),
        }
    })
}

/// The register tells, not the message: of two messages the older may come last.
async fn fate(app: &App, order: OrderId) -> Result<Option<Decided>> {
    let Some(register) = fate_of(&app.db, order).await? else { return Ok(None) };
    Ok(Some(match register.value {
        // What this order's hold kept was taken by another order's booking, which was moved there.
        Register::Confirmed { booking } | Register::Cancelled { booking, .. } if booking.order != order => {
            Decided { paid_by: None, back: None }
        }
        Register::Confirmed { booking } => Decided { paid_by: booking.paid_by, back: None },
        // Where a booking was moved to is followed; that it says so here is a race that another message ends.
        Register::Cancelled { by: By::Moved, .. } => return Ok(None),
        Register::Cancelled { booking, back, .. } => {
            Decided { paid_by: None, back: booking.paid_by.zip(back) }
        }
        Register::Ended { .. } | Register::Lost { .. } => Decided { paid_by: None, back: None },
    }))
}

/// What was decided about an order's places.
#[derive(Clone, Copy)]
struct Decided {
    /// They are sold, for this payment.
    paid_by: Option<Provider>,
    /// They were given back, and of this payment only so much goes back.
    back: Option<(Provider, Money)>,
}

impl Decided {
    fn of(self, provider: Provider) -> Fate {
        match self {
            Self { paid_by: Some(paid_by), .. } if paid_by == provider => Fate::Confirmed,
            Self { back: Some((paid_by, back)), .. } if paid_by == provider => {
                Fate::Gone { back: Some(back) }
            }
            Self { .. } => Fate::Gone { back: None },
        }
    }
}

/// Does what is left to do about an order's payments. Repeating it changes nothing, and it may die anywhere. What does not get through
/// to its provider waits, as it may have done since an earlier instant.
pub(crate) async fn settle(app: &App, providers: &Providers, order: OrderId, since: Timestamp) -> Result<()> {
    let Some(decided) = fate(app, order).await? else { return Ok(()) };
    for payment in store::payments_of(&app.db, &[order]).await? {
        let (id, fate) = (payment.value.id, decided.of(payment.value.provider));
        let done = follow(app, providers, payment, fate).await;
        or_wait(app, id, since, done).await?;
    }
    Ok(())
}

async fn follow(app: &App, providers: &Providers, mut payment: Stored<Payment>, fate: Fate) -> Result<()> {
    // Captured first, then owed: two steps at most, and one in which somebody else was faster.
    for _ in 0..4 {
        let now = app.clock.now();
        let Some(act) = payment.value.follow(fate) else { return Ok(()) };
        // What was never opened at the provider has nothing there.
        let Some(intent) = payment.value.intent.clone() else { return Ok(()) };
        let fact = match act {
            Act::Owe(amount) => {
                payment = app.db.change(payment, now, |payment| payment.owe_for_booking(amount, now)).await?;
                continue;
            }
            Act::Capture => providers.capture(&payment.value, &intent).await?,
            Act::Void => providers.void(&payment.value, &intent).await?,
        };
        let Some(fact) = fact else { return Ok(()) };
        payment = app.db.change(payment, now, |payment| payment.learn(&fact, now)).await?;
    }
    Code::Busy.refuse()
}

/// Makes a gift card follow its payment: it lets go of its part for good, and the booking is told; or it has it back. Repeating it
/// changes nothing, and it may die anywhere.
pub(crate) async fn credit(
    app: &App,
    providers: &Providers,
    payment: PaymentId,
    since: Timestamp,
) -> Result<()> {
    // A second look, because the payment may be let go while the card is asked.
    for _ in 0..4 {
        let (now, payment) = (app.clock.now(), store::payment(&app.db, payment).await?);
        let Some(credit) = payment.value.credit else { return Ok(()) };
        let (of, amount) = (payment.value.id, credit.amount.amount);
        match payment.value.state {
            State::Open => return Ok(()),
            State::Authorized { .. } | State::Captured { .. } if credit.claimed => return Ok(()),
            State::Voided { .. } => {
                let card = store::gift_card(&app.db, credit.card).await?;
                return app.db.amend(card, now, |card| Ok(card.release(of))).await.map(drop);
            }
            State::Authorized { .. } | State::Captured { .. } => {
                let card = store::gift_card(&app.db, credit.card).await?;
                match app.db.amend(card, now, |card| card.claim(of, amount, now)).await {
                    Ok(_) => drop(app.db.change(payment, now, |payment| Ok(payment.credited())).await?),
                    // Somebody else has emptied it: without its part there is no booking.
                    Err(refusal) if refusal.code == Code::WrongState => {
                        tracing::info!(payment = %of, card = %credit.card, "the gift card was used elsewhere");
                        let done = follow(app, providers, payment, Fate::Gone { back: None }).await;
                        return or_wait(app, of, since, done).await;
                    }
                    Err(refusal) => return Err(refusal),
                }
            }
        }
    }
    Code::Busy.refuse()
}

/// Asks the provider for a refund that is due, if it still is; it waits as in [`settle`].
pub(crate) async fn ask(
    app: &App,
    providers: &Providers,
    payment: PaymentId,
    refund: RefundId,
    attempt: u32,
    since: Timestamp,
) -> Result<()> {
    let done = ask_now(app, providers, payment, refund, attempt).await;
    or_wait(app, payment, since, done).await
}

async fn ask_now(
    app: &App,
    providers: &Providers,
    payment: PaymentId,
    id: RefundId,
    attempt: u32,
) -> Result<()> {
    let payment = store::payment(&app.db, payment).await?;
    let refund = payment.value.refund(id).ok_or(Code::NotFound)?.clone();
    if refund.state != (RefundState::Due { attempt }) {
        return Ok(());
    }
    let intent = payment.value.intent.clone().ok_or(Code::NotFound)?;
    if let Some(credit) = payment.value.credit.filter(|_| refund.to_card > 0) {
        let back = CardBack { refund: id, amount: refund.to_card };
        let card = store::gift_card(&app.db, credit.card).await?;
        let of = payment.value.id;
        app.db.amend(card, app.clock.now(), |card| Ok(card.give_back(of, back))).await?;
    }
    let fact = match refund.asked().is_zero() {
        true => {
            let (ours, progress) = (Some((id, attempt)), Progress::Done);
            Some(Fact::Refund(RefundFact { id: id.to_string(), ours, amount: refund.amount, progress }))
        }
        false => providers.refund(&payment.value, &intent, &refund).await?,
    };
    if let Some(fact) = fact {
        let now = app.clock.now();
        app.db.change(payment, now, |payment| payment.learn(&fact, now)).await?;
    }
    Ok(())
}

/// Writes an entry into the books, once.
async fn note(app: &App, entry: Entry) -> Result<()> {
    match app.db.put_new(entry, Vec::new(), app.clock.now()).await? {
        Put::Done(_) | Put::Existed(_) => Ok(()),
    }
}

/// How long after a failed attempt the provider is asked again: after an hour, then four, then a day each, ten times in all.
const AGAIN_AFTER_HOURS: [i64; 9] = [1, 4, 24, 24, 24, 24, 24, 24, 24];

/// Asks again for refunds that failed, each in its time. What has failed too often fails the job: somebody must look.
async fn refunds(app: &App) -> Result<()> {
    let (now, mut stuck) = (app.clock.now(), 0);
    for shard in 0..store::SHARDS {
        for listed in app.db.list_all::<Payment>(&store::owing_in(shard)).await? {
            let due = |refund: &Refund| match &refund.state {
                RefundState::Failed { attempt, at, .. } => again(*attempt, *at, now),
                RefundState::Due { .. } | RefundState::Pending { .. } | RefundState::Done { .. } => {
                    Again::Not
                }
            };
            for refund in &listed.value.refunds {
                match due(refund) {
                    Again::Not => {}
                    Again::Never => {
                        tracing::error!(payment = %listed.value.id, refund = %refund.id, state = ?refund.state, "a refund has failed too often");
                        stuck += 1;
                    }
                    Again::Now => {
                        let payment = store::payment(&app.db, listed.value.id).await?;
                        app.db.change(payment, now, |payment| payment.retry(refund.id)).await?;
                    }
                }
            }
        }
    }
    match stuck {
        0 => Ok(()),
        _ => Err(Code::Internal.caused_by(format!("{stuck} refunds have failed too often"))),
    }
}

/// Reminds of what was promised, and lets go what was not kept.
async fn promises(app: &App) -> Result<()> {
    let now = app.clock.now();
    for shard in 0..store::SHARDS {
        for listed in app.db.list_all::<Payment>(&store::awaking_in(shard, now)).await? {
            // The listing lags.
            let payment = store::payment(&app.db, listed.value.id).await?;
            app.db.change(payment, now, |payment| payment.wake(now)).await?;
        }
    }
    Ok(())
}

/// Whether a failed refund is to be asked for again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Again {
    Not,
    Now,
    Never,
}

fn again(attempt: u32, failed: Timestamp, now: Timestamp) -> Again {
    let place = usize::try_from(attempt).unwrap_or(usize::MAX).saturating_sub(1);
    match AGAIN_AFTER_HOURS.get(place) {
        None => Again::Never,
        Some(hours) if now >= failed + SignedDuration::from_hours(*hours) => Again::Now,
        Some(_) => Again::Not,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_refund_is_asked_for_again_later_and_later_and_then_somebody_must_look() {
        let failed = Timestamp::from_second(1_800_000_000).unwrap();
        let after = |attempt, hours| again(attempt, failed, failed + SignedDuration::from_hours(hours));
        assert_eq!(
            [after(1, 0), after(1, 1), after(2, 3), after(2, 4)],
            [Again::Not, Again::Now, Again::Not, Again::Now]
        );
        assert_eq!([after(9, 23), after(9, 24), after(10, 1000)], [Again::Not, Again::Now, Again::Never]);
    }
}
