//! Logs and counts: structured lines on standard output, and the request id that follows a request through every queue.
//!
//! [`Meter`] adds up round trips and capacity units per action from the store's own accounting. It is switched on where
//! somebody looks at the figures (the local home, tests); in AWS the same figures come from the service's metrics.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What runs now: which request it began with and which action it is counted under.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The request id, carried by messages as their correlation.
    pub correlation: Option<String>,
    /// `POST /v1/holds` or `booking booking.confirmed.v1`.
    pub action: Arc<str>,
}

tokio::task_local! {
    static SCOPE: Scope;
}

/// Runs `work` inside `scope`.
pub async fn within<T>(scope: Scope, work: impl Future<Output = T>) -> T {
    SCOPE.scope(scope, work).await
}

/// The running request's id.
#[must_use]
pub fn correlation() -> Option<String> {
    SCOPE.try_with(|scope| scope.correlation.clone()).ok().flatten()
}

/// The running action's name.
#[must_use]
pub fn action() -> Arc<str> {
    SCOPE.try_with(|scope| scope.action.clone()).unwrap_or_default()
}

/// Sums for one action.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// How often the action ran to its end.
    pub runs: u64,
    /// Calls to the store.
    pub round_trips: u64,
    /// Capacity units consumed by calls that write.
    pub write_units: f64,
    /// Capacity units consumed by calls that read.
    pub read_units: f64,
    /// Passwords hashed, which is the time that signing in takes.
    pub passwords: u64,
}

/// Counts store calls and the capacity they consumed, by action.
#[derive(Debug, Default)]
pub struct Meter(Mutex<BTreeMap<Arc<str>, Tally>>);

impl Meter {
    fn with(&self, action: Arc<str>, change: impl FnOnce(&mut Tally)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(action).or_default());
    }

    /// One finished run of an action.
    pub fn ran(&self, action: &Arc<str>) {
        self.with(action.clone(), |tally| tally.runs += 1);
    }

    /// One call that writes.
    pub fn wrote(&self, units: f64) {
        self.with(action(), |tally| {
            tally.round_trips += 1;
            tally.write_units += units;
        });
    }

    /// One call that reads.
    pub fn read(&self, units: f64) {
        self.with(action(), |tally| {
            tally.round_trips += 1;
            tally.read_units += units;
        });
    }

    /// One password hashed.
    pub fn hashed(&self) {
        self.with(action(), |tally| tally.passwords += 1);
    }

    /// The sums so far, by action.
    #[must_use]
    pub fn tallies(&self) -> BTreeMap<Arc<str>, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Which lines are wanted: `RUST_LOG`, as `info` or `warn,tessera=debug`; `otherwise` if it says nothing readable.
#[must_use]
pub fn wanted(otherwise: &str) -> Targets {
    let wish = std::env::var("RUST_LOG").ok().and_then(|wish| wish.parse().ok());
    wish.or_else(|| otherwise.parse().ok()).unwrap_or_default()
}

/// Starts logging as JSON lines, level from `RUST_LOG` (default `info`). Called once by each `main`; a second call is ignored.
pub fn start() {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).without_time();
    if tracing_subscriber::registry().with(lines.with_filter(wanted("info"))).try_init().is_err() {
        tracing::debug!("logging was already started");
    }
}
