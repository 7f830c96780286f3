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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_one_clone_moves_them_all() {
        let clock = Clock::default();
        let twin = clock.clone();
        let before = twin.now();
        clock.advance(SignedDuration::from_hours(2));
        assert!(twin.now().duration_since(before) >= SignedDuration::from_hours(2));
    }
}
