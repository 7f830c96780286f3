//! A provider's circuit, as one instance of a function sees it: read at most every few seconds, written when a call fails, and when the
//! first works after that.

use crate::call::Failure;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Mutex, PoisonError};
use tessera::app::App;
use tessera::clock::Clock;
use tessera::db::{Db, Put, Replace, Stored};
use tessera::error::Result;
use tessera::payment::circuit::{Admission, Circuit, State};
use tessera::payment::{Provider, store};

/// How long what was read is believed, milliseconds.
const FRESH_MS: i128 = 3_000;

/// The circuit, as it is kept; nothing if the provider has never failed.
type Known = Option<Stored<Circuit>>;

/// A circuit at hand.
pub(crate) struct Breaker {
    provider: Provider,
    db: Db,
    clock: Clock,
    seen: Mutex<Option<(Timestamp, Known)>>,
}

/// That a call may be made.
pub(crate) enum Pass {
    /// Like everybody's.
    Call(Known),
    /// To see whether the provider answers again, under this lease.
    Probe(Stored<Circuit>),
}

impl Breaker {
    /// The circuit of a provider.
    pub(crate) fn new(app: &App, provider: Provider) -> Self {
        Self { provider, db: app.db.clone(), clock: app.clock.clone(), seen: Mutex::default() }
    }

    /// Whether a call may be made.
    pub(crate) async fn pass(&self) -> Result<Pass, Failure> {
        let now = self.clock.now();
        let mut known = self.known(now).await.map_err(Failure::Unknown)?;
        // Who finds that another was faster looks at what is there now: twice at most, as that one has just begun to probe.
        for _ in 0..2 {
            let Some(stored) = &known else { return Ok(Pass::Call(known)) };
            let probing = match stored.value.admit(now) {
                Admission::Call => return Ok(Pass::Call(known)),
                Admission::Wait { until } => return Err(Failure::Open(until.duration_since(now))),
                Admission::Probe(probing) => probing,
            };
            let written = self.db.replace(stored, probing, Vec::new(), now).await;
            known = match written.map_err(Failure::Unknown)? {
                Replace::Done(lease) => {
                    self.remember(now, Some(lease.clone()));
                    return Ok(Pass::Probe(lease));
                }
                Replace::Changed(current) => current,
            };
            self.remember(now, known.clone());
        }
        Err(Failure::Open(SignedDuration::from_secs(1)))
    }

    /// Tells how a call ended. What cannot be written is told by the next call, or the lease runs out.
    pub(crate) async fn report(&self, pass: Pass, worked: bool) {
        let now = self.clock.now();
        let done = match (pass, worked) {
            (Pass::Call(None), true) => Ok(()),
            (Pass::Call(Some(seen)), true) => self.change(seen, now, Circuit::worked).await,
            (Pass::Call(None), false) => self.fail_first(now).await,
            (Pass::Call(Some(seen)), false) => self.change(seen, now, |circuit| circuit.failed(now)).await,
            (Pass::Probe(lease), worked) => {
                let held = lease.value.clone();
                let mine = |circuit: &Circuit| circuit.probed(worked, now).filter(|_| *circuit == held);
                self.change(lease, now, mine).await
            }
        };
        if let Err(refusal) = done {
            tracing::warn!(provider = self.provider.word(), worked, %refusal, "how a call ended could not be noted");
        }
    }

    /// The circuit, at most a few seconds old.
    pub(crate) async fn circuit(&self) -> Result<Circuit> {
        let known = self.known(self.clock.now()).await?;
        Ok(known.map_or_else(|| Circuit::new(self.provider), |known| known.value))
    }

    async fn known(&self, now: Timestamp) -> Result<Known> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, known)) = seen
            && now.duration_since(at).as_millis().abs() < FRESH_MS
        {
            return Ok(known);
        }
        let known = store::circuit(&self.db, self.provider).await?;
        self.remember(now, known.clone());
        Ok(known)
    }

    /// Keeps what was seen, unless something newer was: calls of one instance overlap where it runs at home.
    fn remember(&self, now: Timestamp, known: Known) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let version = |known: &Known| known.as_ref().map(|known| known.version);
        let newer = seen.as_ref().is_some_and(|(_, seen)| known.is_some() && version(seen) > version(&known));
        if !newer {
            *seen = Some((now, known));
        }
    }

    /// The first failure ever.
    async fn fail_first(&self, now: Timestamp) -> Result<()> {
        let Some(first) = Circuit::new(self.provider).failed(now) else { return Ok(()) };
        match self.db.put_new(first, Vec::new(), now).await? {
            Put::Done(stored) => self.remember(now, Some(stored)),
            Put::Existed(stored) => self.change(stored, now, |circuit| circuit.failed(now)).await?,
        }
        Ok(())
    }

    /// Writes what follows, if anything does.
    async fn change(
        &self,
        seen: Stored<Circuit>,
        now: Timestamp,
        rule: impl Fn(&Circuit) -> Option<Circuit> + Send + Sync,
    ) -> Result<()> {
        let mut next = None;
        let follow = |circuit: &Circuit| {
            next = rule(circuit);
            Ok(next.clone())
        };
        let stored = self.db.amend(seen, now, follow).await?;
        // Only who wrote it tells.
        if let Some(next) = next {
            self.tell(&next);
        }
        self.remember(now, Some(stored));
        Ok(())
    }

    /// The template has an alarm on the first of these lines: one for each time that a provider goes out of service.
    fn tell(&self, circuit: &Circuit) {
        let provider = self.provider.word();
        match circuit.state {
            State::Open { pauses: 1, until } => tracing::error!(provider, %until, "a circuit opened"),
            State::Open { pauses, until } => tracing::warn!(provider, pauses, %until, "a circuit stays open"),
            State::Closed => tracing::info!(provider, "a circuit closed"),
            State::Failing { .. } | State::Probing { .. } => {}
        }
    }
}
