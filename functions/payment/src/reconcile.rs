//! Reconciliation: what the providers say happened, beside our payments and books, an hour after the other.
//!
//! *Paid but unknown*: reports are fetched from the provider and taken in like those it sends, so that one that never came, or came
//! while nobody could take it in, still does what it would have done; and what was left undone about its payment is done.
//! *Known but unpaid*: every entry in the books must be among those reports, or be found when the provider is asked for it by name.
//! What is not is a difference that only people can explain: it is looked at again with every run, and as long as there is one the job
//! fails, and the alarm tells them.

use crate::providers::Providers;
use crate::worker::settle;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashSet;
use std::time::Duration;
use tessera::app::App;
use tessera::db::Replace;
use tessera::error::{Code, Refusal, Result};
use tessera::id::PaymentId;
use tessera::payment::ledger::{Entry, Happening};
use tessera::payment::refund::{Progress, RefundState};
use tessera::payment::store::{Reconciled, noted, reconciled};
use tessera::payment::{Fact, Payment, Provider, State, store};

/// Reports are looked for once they are so old: those under way have come.
const SETTLED: SignedDuration = SignedDuration::from_mins(5);
/// One step.
const STEP: SignedDuration = SignedDuration::from_hours(6);
/// What is shorter waits for the next run.
const SHORTEST: SignedDuration = SignedDuration::from_mins(1);
/// Steps overlap: a provider may list something late.
const OVERLAP: SignedDuration = SignedDuration::from_mins(15);
/// The first look goes back so far.
const BACK: SignedDuration = SignedDuration::from_hours(24);
/// A provider that was not compared with for so long: somebody must look.
const TOO_LONG: SignedDuration = SignedDuration::from_hours(48);
/// A run has 25 seconds; the next one goes on.
const ENOUGH: Duration = Duration::from_secs(12);

/// So many entries that nobody can explain are kept: by then, somebody looks.
const MOST_UNEXPLAINED: usize = 100;

/// What a look found.
#[derive(Default)]
struct Found {
    /// Reports.
    reports: u32,
    /// Of them, those that said something new.
    healed: u32,
    /// Entries that the provider knows nothing of.
    unexplained: Vec<Entry>,
}

/// Goes on comparing with each provider where the last run ended. With one that does not answer it goes on when it answers: that it
/// does not has had an alarm of its own.
///
/// # Errors
/// What kept a provider from being looked at, after the others were; `internal` for differences that nobody can explain, and for a
/// provider that was not compared with for two days.
pub async fn reconcile(app: &App, providers: &Providers) -> Result<()> {
    let (mut outcome, mut differences) = (Ok(()), 0);
    for provider in providers.offered() {
        match catch_up(app, providers, provider).await {
            Ok(unexplained) => differences += unexplained,
            Err(refusal) if refusal.code == Code::ProviderUnavailable => {
                match put_off(app, provider, refusal).await {
                    Ok(unexplained) => differences += unexplained,
                    Err(refusal) => outcome = Err(refusal),
                }
            }
            Err(refusal) => outcome = Err(refusal),
        }
    }
    outcome?;
    match differences {
        0 => Ok(()),
        _ => Err(Code::Internal
            .caused_by(format!("{differences} entries in the books are unknown to their provider"))),
    }
}

/// What a provider that does not answer leaves: how many entries nobody could explain before.
async fn put_off(app: &App, provider: Provider, refusal: Refusal) -> Result<usize> {
    tracing::warn!(provider = provider.word(), %refusal, "comparing is put off");
    let now = app.clock.now();
    let known = match reconciled(&app.db, provider).await? {
        Some(known) => known,
        // From now on it counts how long it was not compared with.
        None => {
            let from = Reconciled { provider, until: now - BACK, unexplained: Vec::new() };
            app.db.put_new(from, Vec::new(), now).await?.stored()
        }
    };
    match now.duration_since(known.value.until) > TOO_LONG {
        true => Err(refusal),
        false => Ok(known.value.unexplained.len()),
    }
}

/// Compares up to now, or as far as one run gets: how many entries nobody can explain.
async fn catch_up(app: &App, providers: &Providers, provider: Provider) -> Result<usize> {
    let begun = tokio::time::Instant::now();
    let mut known = reconciled(&app.db, provider).await?;
    let before = known.as_ref().map(|known| known.value.unexplained.clone()).unwrap_or_default();
    let mut unexplained = Vec::new();
    for entry in before {
        if !explained(app, providers, &entry, &HashSet::new(), &HashSet::new()).await? {
            unexplained.push(entry);
        }
    }
    loop {
        let now = app.clock.now();
        let from = known.as_ref().map_or(now - BACK, |known| known.value.until);
        let until = (from + STEP).min(now - SETTLED);
        if until < from + SHORTEST || begun.elapsed() > ENOUGH {
            return Ok(unexplained.len());
        }
        let found = compare(app, providers, provider, (from - OVERLAP, until)).await?;
        let Found { reports, healed, .. } = found;
        tracing::info!(provider = provider.word(), %from, %until, reports, healed, "reconciled");
        unexplained.extend(found.unexplained);
        unexplained.truncate(MOST_UNEXPLAINED);
        let next = Reconciled { provider, until, unexplained: unexplained.clone() };
        let written = match &known {
            None => Some(app.db.put_new(next, Vec::new(), now).await?.stored()),
            Some(known) => match app.db.replace(known, next, Vec::new(), now).await? {
                Replace::Done(stored) => Some(stored),
                Replace::Changed(_) => None,
            },
        };
        // Another run is at it: it found the same.
        let Some(written) = written else { return Ok(unexplained.len()) };
        known = Some(written);
    }
}

async fn compare(
    app: &App,
    providers: &Providers,
    provider: Provider,
    (from, until): (Timestamp, Timestamp),
) -> Result<Found> {
    let mut found = Found::default();
    let (mut taken, mut back) = (HashSet::<PaymentId>::new(), HashSet::<String>::new());
    for report in providers.reports(provider, from, until).await? {
        found.reports += 1;
        let fact = report.fact().clone();
        let known = match report.take_in(app, providers).await {
            Ok(Some(known)) => known,
            Ok(None) => continue,
            // What cannot be understood yet is looked at again with the next step, which overlaps; then somebody must look.
            Err(refusal) if refusal.code == Code::Unavailable => {
                tracing::warn!(?refusal, "a fetched report is not understood yet");
                continue;
            }
            Err(refusal) => return Err(refusal),
        };
        let payment = known.payment.value;
        match fact {
            Fact::Captured { .. } => drop(taken.insert(payment.id)),
            Fact::Refund(refund) => drop(back.insert(refund.id)),
            Fact::Authorized { .. } | Fact::Cancelled | Fact::Declined { .. } => {}
        }
        if known.news {
            found.healed += 1;
            tracing::warn!(payment = %payment.id, state = ?payment.state, "a report that had not come was fetched");
        }
        // Authorised for minutes: whatever was to be done about it went wrong.
        if matches!(payment.state, State::Authorized { .. }) {
            settle(app, providers, payment.order, app.clock.now()).await?;
        }
    }
    for entry in noted(&app.db, provider, from + OVERLAP, until).await? {
        if !explained(app, providers, &entry, &taken, &back).await? {
            tracing::error!(entry = %entry.id, payment = %entry.payment, what = ?entry.what, "the provider knows nothing of it");
            found.unexplained.push(entry);
        }
    }
    Ok(found)
}

/// Whether the provider knows of what an entry says.
async fn explained(
    app: &App,
    providers: &Providers,
    entry: &Entry,
    taken: &HashSet<PaymentId>,
    back: &HashSet<String>,
) -> Result<bool> {
    let payment = async || -> Result<Payment> { Ok(store::payment(&app.db, entry.payment).await?.value) };
    match entry.what {
        Happening::Captured if taken.contains(&entry.payment) => Ok(true),
        Happening::Captured => {
            let fact = providers.look(&payment().await?).await?;
            Ok(matches!(fact, Some(Fact::Captured { .. })))
        }
        Happening::Refunded { refund, .. } => {
            let payment = payment().await?;
            let refund = payment.refund(refund);
            if refund.is_some_and(|refund| refund.asked().is_zero()) {
                return Ok(true);
            }
            match refund.map(|refund| &refund.state) {
                Some(RefundState::Done { id, .. }) if back.contains(id) => Ok(true),
                Some(RefundState::Done { id, .. }) => {
                    let fact = providers.look_at_refund(&payment, id).await?;
                    Ok(matches!(fact, Some(Fact::Refund(fact)) if fact.progress == Progress::Done))
                }
                // It came back since; that has an entry of its own.
                Some(RefundState::Due { .. } | RefundState::Pending { .. } | RefundState::Failed { .. }) => {
                    Ok(true)
                }
                None => Ok(false),
            }
        }
        // That it failed was the provider's own report; what arrived was told by people, or by their bank.
        Happening::RefundReturned { .. } | Happening::Receipt { .. } => Ok(true),
    }
}
