//! One caller's bucket of one class, by the generic cell rate algorithm (ITU-T I.371): all there is to remember is one
//! instant, the *theoretical arrival time* at which the bucket will be full of tokens again.
//!
//! With `i` microseconds between two tokens and a burst of `b`, the tokens left at `now` are `(now + b·i − tat) / i`, at most
//! `b`. Taking `n` moves `tat` to `max(tat, now) + n·i`, if that is not later than `now + b·i`. Nothing runs
//! in between, a bucket that was never used is one that is full, and so is one that was forgotten after its `tat`.
//!
//! `tat` never falls. So what one instance knows of a bucket is a bound for what there is: tokens that it lacks now,
//! nobody can have given back.

use super::Quota;
use jiff::Timestamp;

/// Microseconds of a second.
pub const SECOND: i64 = 1_000_000;

/// A clock so far ahead of ours is no clock of ours: an instant beyond was written under other limits, or by a clock that
/// has been put right, and does not count.
const CLOCKS_DIFFER: i64 = 60 * SECOND;

/// Microseconds since 1970.
#[must_use]
pub fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

impl Quota {
    /// Microseconds between two tokens, rounded down: at least 1.
    #[must_use]
    pub fn interval(self) -> i64 {
        (i64::from(self.seconds) * SECOND / i64::from(self.burst)).max(1)
    }

    /// Microseconds in which an empty bucket is full.
    fn depth(self) -> i64 {
        self.interval() * i64::from(self.burst)
    }
}

/// How full a bucket is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Bucket {
    /// When it will be full of tokens again, microseconds since 1970.
    pub tat: i64,
}

impl Bucket {
    /// One that nobody has taken from.
    pub const FULL: Self = Self { tat: i64::MIN };

    /// From which instant taking counts: not from one that is over, and not from one that cannot be.
    const fn from(self, quota_depth: i64, now: i64) -> i64 {
        if self.tat > now && self.tat <= now + quota_depth + CLOCKS_DIFFER { self.tat } else { now }
    }

    /// Whether it is full of tokens, or what is kept of it means nothing: taking begins anew.
    #[must_use]
    pub fn is_full(self, quota: Quota, now: i64) -> bool {
        self.from(quota.depth(), now) == now
    }

    /// The bucket after so many are taken; `None` if there are not as many.
    #[must_use]
    pub fn take(self, quota: Quota, now: i64, tokens: u32) -> Option<Self> {
        let tat = self.from(quota.depth(), now) + quota.interval() * i64::from(tokens);
        (tat <= now + quota.depth()).then_some(Self { tat })
    }

    /// The latest `tat` from which so many can be taken.
    #[must_use]
    pub fn last_room(quota: Quota, now: i64, tokens: u32) -> i64 {
        now + quota.depth() - quota.interval() * i64::from(tokens)
    }

    /// From when on a stored instant means nothing.
    #[must_use]
    pub fn beyond(quota: Quota, now: i64) -> i64 {
        now + quota.depth() + CLOCKS_DIFFER
    }

    /// When the store may forget the bucket, seconds since 1970: no sooner than every clock has passed its `tat`.
    #[must_use]
    pub fn forget(quota: Quota, now: i64) -> i64 {
        Self::beyond(quota, now) / SECOND + 1
    }

    /// Tokens that are left.
    #[must_use]
    pub fn left(self, quota: Quota, now: i64) -> u32 {
        let room = now + quota.depth() - self.from(quota.depth(), now);
        u32::try_from(room.max(0) / quota.interval()).unwrap_or(u32::MAX).min(quota.burst)
    }

    /// Whole seconds until it is full again.
    #[must_use]
    pub fn refills_in(self, quota: Quota, now: i64) -> u32 {
        seconds(self.from(quota.depth(), now) - now)
    }

    /// Whole seconds until so many can be taken, at least 1.
    #[must_use]
    pub fn wait(self, quota: Quota, now: i64, tokens: u32) -> u32 {
        let room = Self::last_room(quota, now, tokens);
        seconds(self.from(quota.depth(), now) - room).max(1)
    }
}

/// Rounded up.
fn seconds(micros: i64) -> u32 {
    u32::try_from((micros.max(0) + SECOND - 1) / SECOND).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_800_000_000 * SECOND;

    fn quota(burst: u32, seconds: u32) -> Quota {
        Quota { burst, seconds }
    }

    #[test]
    fn the_first_request_finds_a_full_bucket_and_the_one_after_the_burst_an_empty_one() {
        for (burst, seconds) in
            [(1, 60), (2, 1), (7, 3), (60, 60), (120, 60), (1_000_000, 1), (10_000_000, 60)]
        {
            let quota = quota(burst, seconds);
            assert_eq!(Bucket::FULL.left(quota, NOW), burst);
            assert_eq!(Bucket::FULL.refills_in(quota, NOW), 0);
            let all = Bucket::FULL.take(quota, NOW, burst).unwrap();
            assert_eq!((all.left(quota, NOW), all.take(quota, NOW, 1)), (0, None), "{quota}");
            assert_eq!(all.refills_in(quota, NOW), seconds, "{quota}");
            assert!(Bucket::FULL.take(quota, NOW, burst + 1).is_none());
        }
    }

    #[test]
    fn a_bucket_decides_by_its_instant_and_the_clock() {
        // Ten, one a second.
        let quota = quota(10, 10);
        for (ahead, tokens, room, wait) in [
            // In the past, and just now: full.
            (-5, 10, true, 1),
            (0, 10, true, 1),
            (0, 11, false, 1),
            // Three are out.
            (3, 7, true, 1),
            (3, 8, false, 1),
            (3, 10, false, 3),
            // All are out.
            (10, 1, false, 1),
            // Somebody's clock is ahead: what they took counts.
            (15, 1, false, 6),
            (70, 1, false, 61),
            // Nobody's clock is that far ahead.
            (71, 10, true, 1),
        ] {
            let bucket = Bucket { tat: NOW + ahead * SECOND };
            assert_eq!(bucket.take(quota, NOW, tokens).is_some(), room, "{ahead} {tokens}");
            assert_eq!(bucket.wait(quota, NOW, tokens), wait, "{ahead} {tokens}");
        }
    }

    proptest! {
        /// Whoever asks, at whatever instants, by clocks that differ by up to `skew`: in no span of time are there more than
        /// a burst and what has come back since, and what comes back while the clocks differ.
        #[test]
        fn never_more_than_the_burst_and_what_came_back(
            burst in 1_u32..50,
            seconds in 1_u32..100,
            skew in 0_i64..30,
            asks in proptest::collection::vec((0_i64..4_000, 0_i64..=1_000, 1_u32..4), 1..300),
        ) {
            let quota = quota(burst, seconds);
            let (mut bucket, mut time, mut through) = (Bucket::FULL, NOW, Vec::new());
            for (ms, share, tokens) in asks {
                time += ms * SECOND / 1_000;
                let clock = time + skew * SECOND * share / 1_000;
                let before = bucket;
                if let Some(next) = bucket.take(quota, clock, tokens) {
                    prop_assert!(next >= before, "an instant never falls");
                    bucket = next;
                    through.push((time, u64::from(tokens)));
                } else {
                    // Refused: nothing was taken, and what was promised is true.
                    prop_assert_eq!(bucket, before);
                    let later = clock + i64::from(bucket.wait(quota, clock, tokens)) * SECOND;
                    prop_assert!(tokens > burst || bucket.take(quota, later, tokens).is_some());
                }
            }
            for (first, (from, _)) in through.iter().enumerate() {
                let mut sum = 0;
                for (until, tokens) in &through[first..] {
                    sum += tokens;
                    let came = u64::try_from((until - from + skew * SECOND) / quota.interval()).unwrap();
                    prop_assert!(sum <= u64::from(burst) + came, "{} in {} µs", sum, until - from);
                }
            }
        }
    }
}
