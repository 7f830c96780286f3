//! What is counted while the sale runs.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a buyer or a gate waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Looking at the event.
    Page,
    /// Taking places.
    Hold,
    /// Ordering.
    Order,
    /// Opening the payment.
    Payment,
    /// Paying at the provider's sandbox.
    Pay,
    /// Scanning a ticket.
    Scan,
}

impl Action {
    /// All, in the order of the story.
    pub const ALL: [Self; 6] = [Self::Page, Self::Hold, Self::Order, Self::Payment, Self::Pay, Self::Scan];

    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Hold => "hold",
            Self::Order => "order",
            Self::Payment => "payment",
            Self::Pay => "pay",
            Self::Scan => "scan",
        }
    }
}

/// How long an action took, as those who waited felt it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Which.
    pub action: Action,
    /// How many were answered.
    pub count: u64,
    /// Half took less.
    pub p50: Duration,
    /// Nine of ten took less.
    pub p90: Duration,
    /// Ninety-nine of a hundred took less.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// A counter that many tasks raise.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u32) {
        self.0.fetch_add(u64::from(more), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Tally {
    waits: Mutex<BTreeMap<Action, Histogram<u64>>>,
    /// Places held in the rush, and when after its opening.
    held: Mutex<Vec<(Duration, u32)>>,
    /// When purchases of the rush were paid, after its opening.
    paid: Mutex<Vec<Duration>>,
    /// The latest end of any hold, seconds since 1970 by the server's clock.
    last_hold: AtomicI64,
    /// Places whose payment was accepted.
    pub(crate) sold: Count,
    /// Answers "sold out".
    pub(crate) refusals: Count,
    /// Buyers who went without.
    pub(crate) refused: Count,
    /// Places of abandoned holds and orders.
    pub(crate) abandoned: Count,
    /// Cards that were declined.
    pub(crate) declined: Count,
    /// Requests repeated because no answer came.
    pub(crate) lost_answers: Count,
    /// Requests repeated because the server asked for it.
    pub(crate) asked_to_wait: Count,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A counter of a task that panicked is still a counter.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    /// Nothing counted yet. Waits are kept in microseconds, up to ten minutes, to two digits.
    ///
    /// # Errors
    /// If the library refuses these bounds.
    pub(crate) fn new() -> Result<Self, hdrhistogram::CreationError> {
        let wait = Histogram::new_with_bounds(1, 600_000_000, 2)?;
        Ok(Self {
            waits: Mutex::new(Action::ALL.into_iter().map(|action| (action, wait.clone())).collect()),
            held: Mutex::default(),
            paid: Mutex::default(),
            last_hold: AtomicI64::default(),
            sold: Count::default(),
            refusals: Count::default(),
            refused: Count::default(),
            abandoned: Count::default(),
            declined: Count::default(),
            lost_answers: Count::default(),
            asked_to_wait: Count::default(),
        })
    }

    pub(crate) fn waited(&self, action: Action, time: Duration) {
        if let Some(wait) = lock(&self.waits).get_mut(&action) {
            wait.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
    }

    pub(crate) fn held(&self, at: Option<Duration>, places: u32, expires: i64) {
        self.last_hold.fetch_max(expires, Ordering::Relaxed);
        lock(&self.held).extend(at.map(|at| (at, places)));
    }

    pub(crate) fn paid(&self, at: Option<Duration>, places: u32) {
        self.sold.add(places);
        lock(&self.paid).extend(at);
    }

    pub(crate) fn last_hold(&self) -> i64 {
        self.last_hold.load(Ordering::Relaxed)
    }

    pub(crate) fn latencies(&self) -> Vec<Latency> {
        let waits = lock(&self.waits);
        let one = |(action, wait): (&Action, &Histogram<u64>)| Latency {
            action: *action,
            count: wait.len(),
            p50: Duration::from_micros(wait.value_at_quantile(0.5)),
            p90: Duration::from_micros(wait.value_at_quantile(0.9)),
            p99: Duration::from_micros(wait.value_at_quantile(0.99)),
            max: Duration::from_micros(wait.max()),
        };
        waits.iter().filter(|(_, wait)| !wait.is_empty()).map(one).collect()
    }

    /// The most purchases within any one second of the rush.
    pub(crate) fn peak(&self) -> usize {
        peak(&mut lock(&self.paid), Duration::from_secs(1))
    }

    /// When the last place of the rush was taken.
    pub(crate) fn taken(&self, capacity: u32) -> Option<Duration> {
        taken(&mut lock(&self.held), capacity)
    }
}

/// The most of these moments that lie within one `window`.
fn peak(moments: &mut [Duration], window: Duration) -> usize {
    moments.sort_unstable();
    let within = |(first, from): (usize, &Duration)| {
        moments.partition_point(|moment| *moment < *from + window) - first
    };
    moments.iter().enumerate().map(within).max().unwrap_or_default()
}

/// When these takings first add up to the capacity.
fn taken(held: &mut [(Duration, u32)], capacity: u32) -> Option<Duration> {
    held.sort_unstable();
    let mut sum = 0;
    held.iter().find_map(|(at, places)| {
        sum += places;
        (sum >= capacity).then_some(*at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_peak_looks_through_a_sliding_window() {
        let mut moments = [at(2_600), at(900), at(1_100), at(1_850), at(1_899), at(1_901)];
        assert_eq!(peak(&mut moments, at(1_000)), 4);
        assert_eq!(peak(&mut moments, at(1_002)), 5);
        assert_eq!(peak(&mut [], at(1_000)), 0);
    }

    #[test]
    fn sold_out_is_when_the_last_place_was_taken_in_whatever_order_it_was_told() {
        let mut held = [(at(30), 2), (at(10), 1), (at(20), 2), (at(40), 1)];
        assert_eq!(taken(&mut held, 5), Some(at(30)));
        assert_eq!(taken(&mut held, 7), None);
    }

    #[test]
    fn waits_are_kept_by_action() {
        let tally = Tally::new().unwrap();
        for milliseconds in 1..=100 {
            tally.waited(Action::Hold, at(milliseconds));
        }
        let [hold] = tally.latencies().try_into().unwrap();
        assert_eq!((hold.action, hold.count), (Action::Hold, 100));
        assert!(hold.p50 >= at(49) && hold.p50 <= at(52), "{hold:?}");
        assert!(hold.p99 <= hold.max);
    }
}
