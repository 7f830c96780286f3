//! Sessions: a sign-in on one device, and the tokens that follow one another in it.

use super::account::Account;
use crate::error::{Code, Result};
use crate::id::{AccountId, SessionId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long an access token is good for, seconds.
pub const ACCESS_SECONDS: i64 = 15 * 60;
/// How long a session lives, however often it is refreshed.
pub const SESSION_DAYS: i64 = 90;
/// How long it lives without being refreshed.
pub const IDLE_DAYS: i64 = 30;
/// How long the token before the present one is answered with the same successor: the answer was lost on the way.
pub const GRACE_SECONDS: i64 = 20;

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Its owner signed out, here or from another device.
    SignedOut,
    /// A token that had been replaced was used again: one of the two users is a thief.
    Reused,
}

/// A sign-in on one device: a family of refresh tokens of which only the newest is good.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The id.
    pub id: SessionId,
    /// Whose.
    pub account: AccountId,
    /// What the device calls itself.
    pub device: String,
    /// Random, hexadecimal: with the deployment's secret it makes the tokens, none of which is stored.
    pub salt: String,
    /// Which token is good: the first is 1.
    pub generation: u32,
    /// Since when.
    pub rotated: Timestamp,
    /// When the person signed in.
    pub created: Timestamp,
    /// Set once it has ended.
    pub ended: Option<(Timestamp, Ending)>,
    /// The account's era in which it began.
    #[serde(default)]
    pub era: u32,
}

/// What a presented refresh token leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refresh {
    /// The next generation, to be stored.
    Rotate(Session),
    /// The successor was given out a moment ago: give out the same one.
    Same,
    /// The whole family ends, to be stored; the caller is refused.
    Revoke(Session),
}

impl Session {
    /// When it ends if it is not refreshed any more.
    #[must_use]
    pub fn ends(&self) -> Timestamp {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        (self.created + days(SESSION_DAYS)).min(self.rotated + days(IDLE_DAYS))
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ended.is_some() || self.ends() <= now
    }

    /// Whether whoever has it is signed in to this account: it is not over, and the account has not ended it since.
    #[must_use]
    pub fn is_live(&self, account: &Account, now: Timestamp) -> bool {
        let lasts = self.era == account.era || account.spared == Some(self.id);
        self.account == account.id && account.is_active() && lasts && !self.is_over(now)
    }

    /// What a genuine token of `generation` leads to.
    ///
    /// # Errors
    /// `session_ended`.
    pub fn refresh(&self, generation: u32, now: Timestamp) -> Result<Refresh> {
        if self.is_over(now) {
            return Code::SessionEnded.refuse();
        }
        let fresh = now.duration_since(self.rotated) <= SignedDuration::from_secs(GRACE_SECONDS);
        if generation == self.generation {
            Ok(Refresh::Rotate(Self { generation: generation + 1, rotated: now, ..self.clone() }))
        } else if generation + 1 == self.generation && fresh {
            Ok(Refresh::Same)
        } else {
            Ok(Refresh::Revoke(Self { ended: Some((now, Ending::Reused)), ..self.clone() }))
        }
    }

    /// Its owner signs out. Repeating it changes nothing.
    #[must_use]
    pub fn sign_out(&self, now: Timestamp) -> Option<Self> {
        self.ended.is_none().then(|| Self { ended: Some((now, Ending::SignedOut)), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::State;
    use crate::text::Text;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn session() -> Session {
        Session {
            id: SessionId::derive(&["s"]),
            account: AccountId::derive(&["a"]),
            device: String::new(),
            salt: String::new(),
            generation: 3,
            rotated: at(0),
            created: at(0),
            ended: None,
            era: 0,
        }
    }

    #[test]
    fn an_account_ends_its_sessions_but_the_one_it_spares() {
        let (email, name) = ("ada@example.org".parse().unwrap(), Text::parse("Ada").unwrap());
        let unproven = Account::new(AccountId::derive(&["a"]), email, name, at(0));
        let account = Account { state: State::Active { at: at(0) }, ..unproven.clone() };
        let other = Account { id: AccountId::derive(&["b"]), ..account.clone() };
        let (mine, theirs) = (session(), Session { id: SessionId::derive(&["t"]), ..session() });
        let spares = account.clone().in_new_era(Some(mine.id));
        let spares_nobody = spares.clone().in_new_era(None);
        let new = Session { id: SessionId::derive(&["n"]), era: 1, ..session() };
        for (session, account, live) in [
            (&mine, &account, true),
            (&mine, &unproven, false),
            (&mine, &other, false),
            (&mine, &spares, true),
            (&theirs, &spares, false),
            (&new, &spares, true),
            (&mine, &spares_nobody, false),
            (&new, &spares_nobody, false),
            (&Session { era: 2, ..new.clone() }, &spares_nobody, true),
        ] {
            assert_eq!(session.is_live(account, at(1)), live, "{} {}", session.era, account.era);
        }
        assert!(!mine.sign_out(at(1)).unwrap().is_live(&account, at(1)), "what has ended itself");
        assert!(!mine.is_live(&account, mine.ends()));
    }

    #[test]
    fn the_newest_token_rotates_the_one_before_is_forgiven_briefly_and_older_ones_end_the_family() {
        let Refresh::Rotate(next) = session().refresh(3, at(5)).unwrap() else { panic!("rotates") };
        assert_eq!((next.generation, next.rotated), (4, at(5)));
        assert_eq!(session().refresh(2, at(20)).unwrap(), Refresh::Same);
        for (generation, now) in [(2, at(21)), (1, at(1)), (4, at(1))] {
            let Refresh::Revoke(ended) = session().refresh(generation, now).unwrap() else { panic!("ends") };
            assert_eq!(ended.ended, Some((now, Ending::Reused)));
            assert_eq!(ended.refresh(3, now).unwrap_err(), Code::SessionEnded);
        }
        let out = session().sign_out(at(1)).unwrap();
        assert_eq!((out.sign_out(at(2)), out.is_over(at(2))), (None, true));
    }

    #[test]
    fn a_session_ends_after_thirty_days_without_use_and_after_ninety_in_any_case() {
        let (day, mut session) = (24 * 3600, session());
        assert!(!session.is_over(at(30 * day - 1)) && session.is_over(at(30 * day)));
        assert_eq!(session.refresh(3, at(30 * day)).unwrap_err(), Code::SessionEnded);
        for days in [29, 58, 87] {
            let Refresh::Rotate(next) = session.refresh(session.generation, at(days * day)).unwrap() else {
                panic!("rotates")
            };
            session = next;
        }
        assert!(!session.is_over(at(90 * day - 1)) && session.is_over(at(90 * day)));
    }
}
