//! What calls functions besides the gateway: queues, table streams and the clock, as Lambda's event sources do.
//!
//! | module | holds |
//! |---|---|
//! | `queues` | batches from a queue, partial failures, retries |
//! | `streams` | records of a table's stream in their order, bisection, retries, what was given up |
//! | [`filter`] | which records a function wants to see |
//! | [`schedules`] | `rate`, `cron` and `at` by the home's clock |
//! | `positions` | how far each stream has been read, over restarts |

pub mod filter;
pub(crate) mod positions;
pub(crate) mod queues;
pub mod schedules;
pub(crate) mod streams;

use crate::invoke::Activity;
use crate::stores::faults::Faults;
use std::sync::Arc;
use std::time::Duration;
use tessera_sqs::Sqs;
use tokio::sync::watch;

/// What every source needs.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) sqs: Arc<Sqs>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) clock: tessera::clock::Clock,
    pub(crate) region: String,
    /// After which time failed work is tried again; `None` is what the deployment would do.
    pub(crate) retry_delay: Option<Duration>,
    /// The longest a batch is gathered, whatever the template says.
    pub(crate) longest_window: Duration,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Context {
    /// Waits until the home stops.
    pub(crate) async fn stopped(&self) {
        // The sender going away means the same.
        let _stopped = self.stop.clone().wait_for(|stop| *stop).await.is_ok();
    }

    /// The window of a source, bounded.
    pub(crate) fn window(&self, seconds: u32) -> Duration {
        Duration::from_secs(seconds.into()).min(self.longest_window)
    }

    /// Waits before another try; false if the home stops. Without any delay what never works would take a core.
    pub(crate) async fn pause(&self) -> bool {
        let delay = self.retry_delay.unwrap_or(Duration::from_secs(1)).max(Duration::from_millis(5));
        tokio::select! {
            () = tokio::time::sleep(delay) => true,
            () = self.stopped() => false,
        }
    }
}

/// The items a function says have failed, by identifier; `None` if its answer names an item that is not in the batch
/// or none at all, which Lambda takes as a failure of everything.
fn failures<'a>(answer: &serde_json::Value, known: impl Fn(&str) -> bool + 'a) -> Option<Vec<String>> {
    let Some(listed) = answer.get("batchItemFailures").filter(|listed| !listed.is_null()) else {
        return Some(Vec::new());
    };
    let name = |item: &serde_json::Value| {
        let name = item.get("itemIdentifier")?.as_str()?;
        known(name).then(|| name.to_owned())
    };
    listed.as_array()?.iter().map(name).collect()
}
