//! What goes wrong on purpose: refusals, lost connections and crashes, in front of every store.
//!
//! Every call to a store has a number, counted from 1 over all services. A test runs a story once to learn how many
//! calls it takes, and then again for each number with [`Faults::crash_at`]: from that call on nothing works, before or
//! after the call was carried out, until [`Faults::clear`]. What reads queues and streams pauses meanwhile, and work that
//! was under way counts as failed, as if the process had died.

use super::endpoint::answer;
use super::tamper::Hand;
use axum::body::Body;
use http::{Response, StatusCode};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Tables.
    DynamoDb,
    /// Objects.
    S3,
    /// Queues.
    Sqs,
}

/// How a call goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The service refuses it as too much: `ThrottlingException` and its like.
    Throttle,
    /// The service fails: `InternalServerError` and its like.
    InternalError,
    /// The connection closes; nothing was done.
    DropCall,
    /// The connection closes; it was done.
    DropAnswer,
}

/// Which calls go wrong, how, and how often.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Rule {
    /// Only calls of this store.
    #[serde(default)]
    pub service: Option<Service>,
    /// Only this operation, `PutItem`.
    #[serde(default)]
    pub operation: Option<String>,
    /// Only calls on a table, queue or bucket whose name contains this.
    #[serde(default)]
    pub resource: Option<String>,
    /// What happens.
    pub fault: Fault,
    /// To how many calls.
    pub times: u32,
}

/// One call of a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Counted from 1 over all stores.
    pub number: u64,
    /// The store.
    pub service: Service,
    /// The operation, as its API names it.
    pub operation: String,
    /// The tables, queues or buckets it names.
    pub resources: Vec<String>,
}

/// Before a call is carried out, or after, when its answer has not been sent yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// Nothing is done yet.
    Before,
    /// It is done, and nobody knows.
    After,
}

/// Told of every call, twice.
pub type Hook = Arc<dyn Fn(&Call, Side) + Send + Sync>;

/// The faults of one home. All of it may be switched while everything runs.
pub struct Faults {
    calls: AtomicU64,
    /// Whether `state` has anything to say: calls look only here as a rule.
    armed: AtomicBool,
    state: Mutex<State>,
    crashed: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    crash: Option<(u64, Side)>,
    hook: Option<Hook>,
    hand: Option<Hand>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            calls: AtomicU64::new(0),
            armed: AtomicBool::new(false),
            state: Mutex::default(),
            crashed: watch::Sender::new(false),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

impl Faults {
    /// Adds a rule. Of several that fit a call, the oldest acts.
    pub fn add(&self, rule: Rule) {
        self.change(|state| state.rules.push(rule));
    }

    /// The rules that have calls left.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        self.state().rules.clone()
    }

    /// Everything fails from this call on, until cleared.
    pub fn crash_at(&self, number: u64, side: Side) {
        self.change(|state| state.crash = Some((number, side)));
    }

    /// Whether the call to crash at was reached.
    #[must_use]
    pub fn crashed(&self) -> bool {
        *self.crashed.borrow()
    }

    /// Tells this function of every call; `None` stops it. It must not wait for a call itself.
    pub fn on_call(&self, hook: Option<Hook>) {
        self.change(|state| state.hook = hook);
    }

    /// Puts a hand on the wire to the tables; `None` takes it away.
    pub fn tamper(&self, hand: Option<Hand>) {
        self.change(|state| state.hand = hand);
    }

    /// The hand on the wire to the tables.
    pub(super) fn hand(&self) -> Option<Hand> {
        if self.armed.load(Ordering::SeqCst) { self.state().hand.clone() } else { None }
    }

    /// How many calls there were.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Takes back every rule and ends a crash. A hook and a hand stay.
    pub fn clear(&self) {
        self.change(|state| {
            state.rules.clear();
            state.crash = None;
            self.crashed.send_replace(false);
        });
    }

    /// Waits while crashed.
    pub(crate) async fn wait_for_life(&self) {
        let mut crashed = self.crashed.subscribe();
        // The sender lives as long as `self`, so this cannot end otherwise.
        let _alive = crashed.wait_for(|crashed| !crashed).await.is_ok();
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let armed =
            !state.rules.is_empty() || state.crash.is_some() || state.hook.is_some() || state.hand.is_some();
        self.armed.store(armed, Ordering::SeqCst);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Crashes while the state is held: a [`Faults::clear`] between decision and crash would be forgotten, and the home stay dead.
    fn crash_if_due(&self, state: &State, number: u64, side: Side) {
        if state.crash.is_some_and(|(at, when)| when == side && number >= at) {
            self.crashed.send_replace(true);
        }
    }

    /// Counts a call and decides its fate. `resources` is asked only if it matters.
    pub(super) fn begin(
        &self,
        service: Service,
        operation: &str,
        resources: impl FnOnce() -> Vec<String>,
    ) -> Verdict {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if !self.armed.load(Ordering::SeqCst) {
            return Verdict { fault: None, call: None };
        }
        let call = Call { number, service, operation: operation.to_owned(), resources: resources() };
        let mut state = self.state();
        let fits = |rule: &Rule| {
            rule.times > 0
                && rule.service.is_none_or(|wanted| wanted == service)
                && rule.operation.as_ref().is_none_or(|wanted| wanted == operation)
                && rule
                    .resource
                    .as_ref()
                    .is_none_or(|part| call.resources.iter().any(|name| name.contains(part)))
        };
        let fault = state.rules.iter().position(fits).and_then(|place| {
            let rule = state.rules.get_mut(place)?;
            rule.times -= 1;
            let fault = rule.fault;
            if rule.times == 0 {
                state.rules.remove(place);
            }
            Some(fault)
        });
        self.crash_if_due(&state, number, Side::Before);
        let hook = state.hook.clone();
        drop(state);
        if let Some(hook) = hook {
            hook(&call, Side::Before);
        }
        let fault = if self.crashed() { Some(Fault::DropCall) } else { fault };
        Verdict { fault, call: Some(call) }
    }

    /// Whether the answer of a call that was carried out is lost.
    pub(super) fn end(&self, verdict: &Verdict) -> bool {
        let Some(call) = &verdict.call else { return false };
        let state = self.state();
        self.crash_if_due(&state, call.number, Side::After);
        let hook = state.hook.clone();
        drop(state);
        if let Some(hook) = hook {
            hook(call, Side::After);
        }
        self.crashed() || verdict.fault == Some(Fault::DropAnswer)
    }
}

/// What becomes of a call.
pub(super) struct Verdict {
    fault: Option<Fault>,
    call: Option<Call>,
}

impl Verdict {
    /// The answer instead of the call's own: `Some(None)` is no answer at all.
    pub(super) fn instead(&self, service: Service) -> Option<Option<Response<Body>>> {
        match self.fault? {
            Fault::DropAnswer => None,
            Fault::DropCall => Some(None),
            Fault::Throttle => Some(Some(refusal(service, true))),
            Fault::InternalError => Some(Some(refusal(service, false))),
        }
    }
}

/// A refusal as the service spells it.
fn refusal(service: Service, throttle: bool) -> Response<Body> {
    let json = "application/x-amz-json-1.0";
    match (service, throttle) {
        (Service::DynamoDb, true) => answer(
            StatusCode::BAD_REQUEST,
            json,
            r#"{"__type":"com.amazon.coral.availability#ThrottlingException","message":"Rate of requests exceeds the allowed throughput."}"#,
        ),
        (Service::DynamoDb, false) => answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            json,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"Internal server error"}"#,
        ),
        (Service::Sqs, true) => answer(
            StatusCode::BAD_REQUEST,
            json,
            r#"{"__type":"com.amazon.coral.availability#ThrottlingException","message":"Rate exceeded"}"#,
        ),
        (Service::Sqs, false) => answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            json,
            r#"{"__type":"com.amazonaws.sqs#InternalFailure","message":"Internal failure"}"#,
        ),
        (Service::S3, true) => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "application/xml",
            "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
        ),
        (Service::S3, false) => answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            "application/xml",
            "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_that_is_cleared_while_it_happens_is_over() {
        for side in [Side::Before, Side::After] {
            let faults = Arc::new(Faults::default());
            let (clears, crashed) = (faults.clone(), Arc::new(AtomicBool::new(false)));
            let seen = crashed.clone();
            faults.on_call(Some(Arc::new(move |_, at| {
                if at == side {
                    seen.store(clears.crashed(), Ordering::SeqCst);
                    clears.clear();
                }
            })));
            faults.crash_at(1, side);
            let verdict = faults.begin(Service::Sqs, "SendMessage", Vec::new);
            let lost = faults.end(&verdict);
            assert!(crashed.load(Ordering::SeqCst), "{side:?}: it did crash");
            assert!(!faults.crashed() && !lost, "{side:?}: and lives again");
        }
    }
}
