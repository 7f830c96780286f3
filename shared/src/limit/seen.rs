//! What one instance remembers of one bucket: which requests it lets pass, and which it refuses, without asking the store.

use super::Quota;
use super::bucket::{Bucket, SECOND};

/// How long the first request is let pass once, seconds. Longer would cost more (each request after the first is a
/// write), shorter would let more pass that nobody counts.
pub const WINDOW_SECONDS: i64 = 10;
/// A bucket smaller than this has none to give away.
const SMALL: u32 = 10;

impl Quota {
    /// So many pass in a window before the store is asked.
    const fn free(self) -> u32 {
        match self.burst {
            ..SMALL => 0,
            SMALL..2_000 => 1,
            2_000.. => self.burst / 1_000,
        }
    }
}

/// What is to be done with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Let it pass; it will be charged with the next one.
    Pass,
    /// Charge so many in the store: it, and those that passed before.
    Ask {
        /// Tokens, at least 1.
        tokens: u32,
    },
    /// Refuse it: so many will not be there before this many seconds are over.
    Refuse {
        /// Whole seconds, at least 1.
        seconds: u32,
    },
}

/// What is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The window's beginning.
    since: i64,
    /// Let pass in this window.
    passed: u32,
    /// Of these, not yet charged.
    owed: u32,
    /// The bucket as it was when last heard of. It can only have become emptier.
    pub known: Bucket,
}

impl Default for Seen {
    fn default() -> Self {
        Self { since: i64::MIN / 2, passed: 0, owed: 0, known: Bucket::FULL }
    }
}

impl Seen {
    /// A request comes.
    #[must_use]
    pub fn meet(&mut self, quota: Quota, now: i64, strict: bool) -> Step {
        if now - self.since >= WINDOW_SECONDS * SECOND {
            (self.since, self.passed, self.owed) = (now, 0, 0);
        }
        let tokens = 1 + self.owed;
        if self.known.take(quota, now, tokens).is_none() {
            return Step::Refuse { seconds: self.known.wait(quota, now, tokens) };
        }
        if !strict && self.passed < quota.free() {
            self.passed += 1;
            self.owed += 1;
            return Step::Pass;
        }
        Step::Ask { tokens }
    }

    /// The store has charged so many.
    pub fn charged(&mut self, bucket: Bucket, tokens: u32) {
        self.owed = self.owed.saturating_sub(tokens - 1);
        self.known = self.known.max(bucket);
    }

    /// The store has refused, and this is what is there.
    pub fn refused(&mut self, bucket: Bucket) {
        self.known = self.known.max(bucket);
    }

    /// Whether there is anything left to remember.
    #[must_use]
    pub fn is_stale(&self, now: i64) -> bool {
        now - self.since >= WINDOW_SECONDS * SECOND && self.known.tat <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_800_000_000 * SECOND;
    const QUOTA: Quota = Quota { burst: 60, seconds: 60 };

    #[test]
    fn the_first_is_free_the_second_pays_for_both_and_each_after_that_for_itself() {
        let mut seen = Seen::default();
        assert_eq!(seen.meet(QUOTA, NOW, false), Step::Pass);
        assert_eq!(seen.meet(QUOTA, NOW, false), Step::Ask { tokens: 2 });
        // Not charged: it is still owed.
        assert_eq!(seen.meet(QUOTA, NOW, false), Step::Ask { tokens: 2 });
        seen.charged(Bucket { tat: NOW + 2 * SECOND }, 2);
        assert_eq!(seen.meet(QUOTA, NOW, false), Step::Ask { tokens: 1 });
        let later = NOW + WINDOW_SECONDS * SECOND;
        assert_eq!(seen.meet(QUOTA, later - 1, false), Step::Ask { tokens: 1 });
        assert_eq!(seen.meet(QUOTA, later, false), Step::Pass);
    }

    #[test]
    fn nothing_is_free_where_it_is_strict_and_in_a_small_bucket() {
        assert_eq!(Seen::default().meet(QUOTA, NOW, true), Step::Ask { tokens: 1 });
        let small = Quota { burst: SMALL - 1, seconds: 60 };
        assert_eq!(Seen::default().meet(small, NOW, false), Step::Ask { tokens: 1 });
        for (burst, free) in [(SMALL, 1), (1_999, 1), (2_000, 2), (10_000_000, 10_000)] {
            assert_eq!(Quota { burst, seconds: 1 }.free(), free);
        }
    }

    #[test]
    fn who_is_known_to_be_over_the_limit_is_refused_until_there_is_room() {
        for strict in [true, false] {
            let mut seen = Seen::default();
            seen.refused(Bucket { tat: NOW + 60 * SECOND });
            // In a new window, too.
            assert_eq!(seen.meet(QUOTA, NOW, strict), Step::Refuse { seconds: 1 });
            assert_eq!(seen.meet(QUOTA, NOW + SECOND - 1, strict), Step::Refuse { seconds: 1 });
            assert!(!matches!(seen.meet(QUOTA, NOW + SECOND, strict), Step::Refuse { .. }));
            assert!(!seen.is_stale(NOW + 59 * SECOND) && seen.is_stale(NOW + 60 * SECOND));
        }
    }

    proptest! {
        /// Many instances, one bucket: more than the limit pass only by one per instance and window.
        #[test]
        fn instances_let_one_more_pass_in_a_window_and_none_where_it_is_strict(
            strict: bool,
            burst in 1_u32..80,
            seconds in 1_u32..120,
            asks in proptest::collection::vec((0_i64..1_500, 0_usize..8), 1..400),
        ) {
            let quota = Quota { burst, seconds };
            let mut instances = [Seen::default(); 8];
            let (mut bucket, mut now, mut through) = (Bucket::FULL, NOW, 0_u64);
            for (ms, instance) in asks {
                now += ms * SECOND / 1_000;
                let seen = &mut instances[instance];
                match seen.meet(quota, now, strict) {
                    Step::Pass => through += 1,
                    Step::Refuse { .. } => {
                        prop_assert!(bucket.take(quota, now, 1 + seen.owed).is_none(), "what it knows is true");
                    }
                    Step::Ask { tokens } => match bucket.take(quota, now, tokens) {
                        Some(next) => {
                            (bucket, through) = (next, through + 1);
                            seen.charged(next, tokens);
                        }
                        None => seen.refused(bucket),
                    },
                }
            }
            let span = now - NOW;
            let came = u64::try_from(span / quota.interval()).unwrap();
            let windows = u64::try_from(span / (WINDOW_SECONDS * SECOND)).unwrap() + 1;
            let more = if strict { 0 } else { 8 * windows };
            prop_assert!(through <= u64::from(burst) + came + more, "{}", through);
        }
    }
}
