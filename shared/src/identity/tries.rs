//! Guesses: how many are free, and how long the next one waits.
//!
//! A guess is counted before it is looked at, by a conditional write: any number of them at once come to as many as one
//! after the other. What was right is taken back afterwards.

use crate::error::{Code, Refusal, Result};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Wrong guesses in a row that cost nothing.
pub const FREE_GUESSES: u32 = 5;
/// The longest wait after one more, seconds.
pub const LONGEST_WAIT: i64 = 15 * 60;
/// Wrong guesses in a day.
pub const DAILY_GUESSES: u32 = 100;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The guesses at one thing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tries {
    /// At what.
    pub at: String,
    /// Wrong ones in a row.
    pub failures: u32,
    /// When the next is taken.
    pub next: Timestamp,
    /// When the day began in which they are counted.
    pub day: Timestamp,
    /// Wrong ones in that day.
    pub today: u32,
}

/// How long the next guess waits after so many wrong ones: not at all after four, then a second, doubling.
#[must_use]
pub fn wait(failures: u32) -> SignedDuration {
    let seconds = failures.checked_sub(FREE_GUESSES).map_or(0, |more| 1i64 << more.min(20));
    SignedDuration::from_secs(seconds.min(LONGEST_WAIT))
}

impl Tries {
    /// None so far.
    #[must_use]
    pub const fn none(at: String, now: Timestamp) -> Self {
        Self { at, failures: 0, next: now, day: now, today: 0 }
    }

    /// One more, counted as wrong until it is known to be right.
    ///
    /// # Errors
    /// `too_many_tries`, with when to come back.
    pub fn one_more(&self, now: Timestamp) -> Result<Self> {
        if self.day + DAY <= now {
            return Self::none(self.at.clone(), now).one_more(now);
        }
        let open = if self.today >= DAILY_GUESSES { self.day + DAY } else { self.next };
        if open > now {
            return Err(too_many(open.duration_since(now)));
        }
        let failures = self.failures + 1;
        Ok(Self { failures, next: now + wait(failures), today: self.today + 1, ..self.clone() })
    }

    /// The last one was right: it is not counted, and the row of wrong ones is over. Those of the day stay, so that whoever
    /// guesses between somebody's own sign-ins gets no more of them.
    #[must_use]
    pub fn right(&self, now: Timestamp) -> Self {
        Self { failures: 0, next: now, today: self.today.saturating_sub(1), ..self.clone() }
    }

    /// Whether there is anything to forgive.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.failures > 0 || self.today > 0
    }

    /// From when on nothing of it counts, and no guess that was counted is still being looked at.
    #[must_use]
    pub fn ends(&self) -> Timestamp {
        self.day + DAY + SignedDuration::from_hours(1)
    }
}

fn too_many(wait: SignedDuration) -> Refusal {
    // Rounded up: who comes back then is not told the same again.
    let seconds = u32::try_from((wait.as_millis() + 999) / 1000).unwrap_or(u32::MAX);
    Refusal { retry_after: Some(seconds), ..Code::TooManyTries.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn five_are_free_then_each_wait_is_twice_the_last_up_to_a_quarter_of_an_hour() {
        let waits: Vec<i64> = (0..18).map(|failures| wait(failures).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        assert_eq!(wait(u32::MAX).as_secs(), 900);
        let mut tries = Tries::none("x".into(), at(0));
        for _ in 0..5 {
            tries = tries.one_more(at(0)).unwrap();
        }
        let refused = tries.one_more(at(0)).unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (Code::TooManyTries, Some(1)));
        let later = tries.one_more(at(1)).unwrap();
        assert_eq!(later.one_more(at(2)).unwrap_err().retry_after, Some(1));
        assert!(later.one_more(at(3)).is_ok());
    }

    #[test]
    fn a_hundred_wrong_ones_are_a_day_whatever_is_right_between_them() {
        let (mut tries, mut now, mut wrong) = (Tries::none("x".into(), at(0)), 0, 0);
        loop {
            now += 1;
            // Somebody signs in after each wrong guess, so that there is no wait.
            let Ok(one) = tries.one_more(at(now)) else { break };
            wrong += 1;
            assert!(wrong <= 100);
            tries = one.one_more(at(now)).map_or(one, |right| right.right(at(now)));
        }
        assert_eq!(wrong, 100);
        assert!(tries.one_more(at(86_399)).is_err());
        assert_eq!(tries.one_more(at(86_400)).unwrap().today, 1, "another day");
    }

    #[test]
    fn a_right_one_ends_the_row() {
        let mut tries = Tries::none("x".into(), at(0));
        for second in [0, 0, 0, 0, 0, 1] {
            tries = tries.one_more(at(second)).unwrap();
        }
        let clear = tries.right(at(1));
        assert_eq!((clear.failures, clear.today, clear.next, clear.any()), (0, 5, at(1), true));
        assert!(clear.one_more(at(1)).is_ok());
    }
}
