//! Time comes from a [`Clock`] that was handed in. Rules take `now` as an argument and never ask.

use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The system's time plus an offset. The offset is zero in AWS; the local home and tests move it forward.
/// Clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Now, in whole milliseconds: what is stored reads back equal.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        #[allow(clippy::disallowed_methods, reason = "the one door through which time comes in")]
        let system = Timestamp::now();
        let ms = system.as_millisecond().saturating_add(self.offset_ms.load(Ordering::Relaxed));
        Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
    }

    /// How far this clock has been moved, milliseconds.
    #[must_use]
    pub fn moved_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }

    /// Moves every clone of this clock by `by`.
    pub fn advance(&self, by: SignedDuration) {
        self.offset_ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

/// An instant as text that sorts as instants do: always three digits of a second. (The usual form leaves out zeros at the
/// end, and `.1Z` sorts behind `.12Z`.)
#[must_use]
pub fn sortable(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Whether an instant is in the years 1970 to 2199: so far from the ends of what an instant can be that days may be added to it. What
/// people send us is checked before anything is reckoned with it.
#[must_use]
pub fn is_near(at: Timestamp) -> bool {
    (0..7_258_118_400).contains(&at.as_second())
}

/// What is said of an instant that is not.
pub const NOT_NEAR: &str = "must be in the years 1970 to 2199";

/// The second in which an instant lies: marks in lanes have no finer end.
#[must_use]
pub fn whole_second(at: Timestamp) -> Timestamp {
    // Never fails: the seconds of an instant are an instant.
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_at_the_edge_of_time_are_not_near() {
        let near = |text: &str| is_near(text.parse().unwrap());
        assert!(near("1970-01-01T00:00:00Z") && near("2199-12-31T23:59:59.999Z"));
        assert!(!near("1969-12-31T23:59:59Z") && !near("2200-01-01T00:00:00Z"));
        assert!(!is_near(Timestamp::MIN) && !is_near(Timestamp::MAX));
    }

    #[test]
    fn instants_sort_as_text() {
        let texts =
            [0, 5, 50, 120, 999, 1_000, 1_100].map(|ms| sortable(Timestamp::from_millisecond(ms).unwrap()));
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts[2], "1970-01-01T00:00:00.050Z");
    }

    #[test]
    fn moving_one_clone_moves_them_all() {
        let clock = Clock::default();
        let twin = clock.clone();
        let before = twin.now();
        clock.advance(SignedDuration::from_hours(2));
        assert!(twin.now().duration_since(before) >= SignedDuration::from_hours(2));
    }
}
