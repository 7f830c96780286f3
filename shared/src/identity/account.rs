//! Accounts: an address, how it is proven, and what its owner signs in with.

use super::code::{Guess, MailedCode};
use super::second_factor::SecondFactor;
use super::session::ACCESS_SECONDS;
use crate::error::{Code, Result};
use crate::id::{AccountId, SessionId};
use crate::message::{Farewell, Message};
use crate::text::{Email, Text};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// When an erased account is gone through once more: later than any access token of its owner lasts, in minutes.
pub const SWEEP_MINUTES: i64 = ACCESS_SECONDS / 60 + 15;

/// Whether the address has been proven.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// Not yet: nobody can sign in.
    Unverified,
    /// Since then.
    Active {
        /// When the code came back.
        at: Timestamp,
    },
    /// Its owner had it erased. The id stays, so that money and audit logs name somebody, of whom nothing else is known.
    Erased {
        /// When.
        at: Timestamp,
        /// Whether all of it was gone through once more, when no access token of theirs was good any longer.
        swept: bool,
    },
}

/// Another address that its owner wants, until the code comes back that was sent there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Moving {
    /// Where to.
    pub email: Email,
    /// What was sent there.
    pub code: MailedCode,
}

/// A person with an e-mail address and a password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Account {
    /// The id.
    pub id: AccountId,
    /// As written.
    pub email: Email,
    /// The name to greet.
    pub name: Text<1, 120>,
    /// argon2id in PHC form; empty before there is one.
    pub password: String,
    /// Whether the address has been proven.
    pub state: State,
    /// The code that is under way to prove it.
    pub code: Option<MailedCode>,
    /// When it was first stored.
    pub created: Timestamp,
    /// The code that is under way for a new password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<MailedCode>,
    /// The address it is about to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<Moving>,
    /// What is asked for besides the password.
    #[serde(default)]
    pub second_factor: SecondFactor,
    /// Grows when sessions must end: those of an earlier era have ended, all of them by one write.
    #[serde(default)]
    pub era: u32,
    /// The session that went on when the era began: the one in which it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spared: Option<SessionId>,
}

/// What came of a try with a mailed code: the account to store, and whether the code was right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tried {
    /// What is to be stored.
    pub account: Account,
    /// Whether the code was right.
    pub proven: bool,
}

impl Account {
    /// An account of whose address nothing is proven. It has no password before that.
    #[must_use]
    pub const fn new(id: AccountId, email: Email, name: Text<1, 120>, now: Timestamp) -> Self {
        Self {
            id,
            email,
            name,
            password: String::new(),
            state: State::Unverified,
            code: None,
            created: now,
            reset: None,
            moving: None,
            second_factor: SecondFactor::Off,
            era: 0,
            spared: None,
        }
    }

    /// Signs up: an unproven address takes the newest name. `None` if the address is proven already: nothing of a proven
    /// account changes here.
    #[must_use]
    pub fn sign_up_again(&self, name: Text<1, 120>, code: MailedCode, now: Timestamp) -> Option<Self> {
        match self.state {
            State::Unverified => Some(Self { name, ..self.clone() }.awaiting(code, now)),
            State::Active { .. } | State::Erased { .. } => None,
        }
    }

    /// With a code that proves the address: the one that was mailed a moment ago, or this.
    #[must_use]
    pub fn awaiting(self, code: MailedCode, now: Timestamp) -> Self {
        let code = code.unless_fresh(self.code.as_ref(), now);
        Self { code: Some(code), ..self }
    }

    /// Tries the code that proves the address. If it is right, the password is what came with it: whoever signed up before
    /// with this address, and never saw its mail, does not come in by theirs.
    ///
    /// # Errors
    /// `code_wrong` when there is no code under way, it has expired, or it was tried too often.
    pub fn try_code(
        &self,
        guess: impl FnOnce(&str) -> Guess,
        password: &str,
        now: Timestamp,
    ) -> Result<Tried> {
        match self.code.as_ref().ok_or(Code::CodeWrong)?.tried(guess, now)? {
            None => {
                let (state, password) = (State::Active { at: now }, password.to_owned());
                Ok(Tried { account: Self { state, password, code: None, ..self.clone() }, proven: true })
            }
            code => Ok(Tried { account: Self { code, ..self.clone() }, proven: false }),
        }
    }

    /// Its owner forgot the password: the code to mail is in `reset` then. One that was mailed a moment ago stays good.
    /// `None` for an address that was never proven: signing up again is the way.
    #[must_use]
    pub fn forgot(&self, code: MailedCode, now: Timestamp) -> Option<Self> {
        match self.state {
            State::Unverified | State::Erased { .. } => None,
            State::Active { .. } => {
                let code = code.unless_fresh(self.reset.as_ref(), now);
                Some(Self { reset: Some(code), ..self.clone() })
            }
        }
    }

    /// Tries the code that was mailed for a new password. If it is right, the password is the new one and every session
    /// has ended; a second factor is asked for as before.
    ///
    /// # Errors
    /// `code_wrong` when there is no code under way, it has expired, or it was tried too often.
    pub fn try_reset(
        &self,
        guess: impl FnOnce(&str) -> Guess,
        password: &str,
        now: Timestamp,
    ) -> Result<Tried> {
        match self.reset.as_ref().ok_or(Code::CodeWrong)?.tried(guess, now)? {
            None => Ok(Tried { account: self.with_password(password, None), proven: true }),
            reset => Ok(Tried { account: Self { reset, ..self.clone() }, proven: false }),
        }
    }

    /// Has another password: every session but `spared` has ended, and a code that was mailed for a new one is void.
    #[must_use]
    pub fn with_password(&self, password: &str, spared: Option<SessionId>) -> Self {
        Self { password: password.to_owned(), reset: None, ..self.clone() }.in_new_era(spared)
    }

    /// Every session has ended but this one.
    #[must_use]
    pub fn in_new_era(self, spared: Option<SessionId>) -> Self {
        Self { era: self.era + 1, spared, ..self }
    }

    /// Its owner wants another address. A code that went to the same one a moment ago stays good.
    #[must_use]
    pub fn move_to(&self, email: &Email, code: MailedCode, now: Timestamp) -> Self {
        let known = self.moving.as_ref().filter(|known| known.email == *email && known.code.is_fresh(now));
        let moving = known.cloned().unwrap_or_else(|| Moving { email: email.clone(), code });
        Self { moving: Some(moving), ..self.clone() }
    }

    /// Tries the code that went to the other address. If it is right, that is the address; what was mailed to the old one
    /// is void.
    ///
    /// # Errors
    /// `code_wrong` when there is no code under way, it has expired, or it was tried too often.
    pub fn try_move(&self, guess: impl FnOnce(&str) -> Guess, now: Timestamp) -> Result<Tried> {
        let Moving { email, code } = self.moving.clone().ok_or(Code::CodeWrong)?;
        match code.tried(guess, now)? {
            None => {
                let account = Self { email, moving: None, reset: None, code: None, ..self.clone() };
                Ok(Tried { account, proven: true })
            }
            Some(code) => {
                let moving = Some(Moving { email, code });
                Ok(Tried { account: Self { moving, ..self.clone() }, proven: false })
            }
        }
    }

    /// Nothing is known of its owner any more, and every session has ended; others are told to forget them. `None` if it
    /// was erased before.
    #[must_use]
    pub fn erase(&self, now: Timestamp) -> Option<(Self, Vec<Message>)> {
        let farewell = match self.state {
            State::Unverified => None,
            State::Active { .. } => {
                Some(Farewell { email: self.email.as_str().to_owned(), name: self.name.to_string() })
            }
            State::Erased { .. } => return None,
        };
        let next = Self {
            state: State::Erased { at: now, swept: false },
            era: self.era + 1,
            ..Self::new(self.id, Email::nowhere(), Text::nobody(), self.created)
        };
        Some((next, vec![Message::AccountErased { account: self.id, farewell }]))
    }

    /// Since when it is erased and waits to be gone through once more.
    #[must_use]
    pub const fn unswept(&self) -> Option<Timestamp> {
        match self.state {
            State::Erased { at, swept: false } => Some(at),
            State::Erased { swept: true, .. } | State::Unverified | State::Active { .. } => None,
        }
    }

    /// Has others told once more to forget its owner: for [`SWEEP_MINUTES`] an access token was still good somewhere, and
    /// what was under way may have been written since. `None` before that, and once it is done.
    #[must_use]
    pub fn sweep(&self, now: Timestamp) -> Option<(Self, Vec<Message>)> {
        let at = self.unswept().filter(|at| *at + SignedDuration::from_mins(SWEEP_MINUTES) <= now)?;
        let state = State::Erased { at, swept: true };
        let told = Message::AccountErased { account: self.id, farewell: None };
        Some((Self { state, ..self.clone() }, vec![told]))
    }

    /// The hash of its password, if it has one: whoever signs in with Google or Apple needs none.
    #[must_use]
    pub fn hash(&self) -> Option<String> {
        Some(self.password.clone()).filter(|hash| !hash.is_empty())
    }

    /// Whether this is its address.
    #[must_use]
    pub fn has(&self, email: &Email) -> bool {
        self.email.normal() == email.normal()
    }

    /// Whether it may sign in.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        match self.state {
            State::Unverified | State::Erased { .. } => false,
            State::Active { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn code(salt: u8) -> MailedCode {
        MailedCode::new([salt; 16], at(0))
    }

    fn name() -> Text<1, 120> {
        Text::parse("Ada").unwrap()
    }

    fn account(state: State) -> Account {
        let email = "ada@example.org".parse().unwrap();
        let new = Account::new(AccountId::derive(&["a"]), email, name(), at(0));
        Account { state, password: "old".into(), code: Some(code(1)), ..new }
    }

    const ACTIVE: State = State::Active { at: Timestamp::UNIX_EPOCH };

    #[test]
    fn signing_up_over_a_proven_address_changes_nothing() {
        assert_eq!(account(ACTIVE).sign_up_again(name(), code(2), at(1)), None);
        let again = |seconds| account(State::Unverified).sign_up_again(name(), code(2), at(seconds)).unwrap();
        assert_eq!(again(419).code, Some(code(1)), "the one that has arrived stays good");
        assert_eq!(again(420).code, Some(code(2)), "not for ever");
    }

    #[test]
    fn a_code_proves_the_address_once_and_the_password_is_that_of_whoever_has_it() {
        let right = account(State::Unverified).try_code(|_| Guess::Right, "new", at(1)).unwrap();
        assert!(right.proven && right.account.is_active() && right.account.code.is_none());
        assert_eq!(right.account.password, "new");
        let again = right.account.try_code(|_| Guess::Right, "newer", at(1));
        assert_eq!(again.unwrap_err(), Code::CodeWrong, "used up");
        let wrong = account(State::Unverified).try_code(|_| Guess::Wrong, "new", at(1)).unwrap();
        assert!(!wrong.proven && !wrong.account.is_active() && wrong.account.password == "old");
        assert_eq!(wrong.account.code.unwrap().tries, 1);
    }

    /// Every state × what is asked for.
    #[test]
    fn only_a_proven_address_is_mailed_a_code_for_a_new_password() {
        assert_eq!(account(State::Unverified).forgot(code(2), at(0)), None);
        let asked = account(ACTIVE).forgot(code(2), at(0)).unwrap();
        assert_eq!(asked.reset, Some(code(2)));
        let again = asked.forgot(code(3), at(419)).unwrap();
        assert_eq!(again.reset, Some(code(2)), "the one that has arrived stays good");
        assert_eq!(asked.forgot(code(3), at(420)).unwrap().reset, Some(code(3)), "not for ever");
        assert_eq!(account(ACTIVE).try_reset(|_| Guess::Right, "new", at(1)).unwrap_err(), Code::CodeWrong);
    }

    #[test]
    fn a_new_password_ends_every_session_and_every_other_code_for_one() {
        let asked = account(ACTIVE).forgot(code(2), at(0)).unwrap();
        let wrong = asked.try_reset(|_| Guess::Wrong, "new", at(1)).unwrap();
        assert_eq!((wrong.account.password.as_str(), wrong.account.era, wrong.proven), ("old", 0, false));
        let right = asked.try_reset(|_| Guess::Right, "new", at(1)).unwrap().account;
        assert_eq!((right.password.as_str(), right.era, right.spared, right.reset), ("new", 1, None, None));
        let mine = SessionId::derive(&["mine"]);
        let changed = asked.with_password("new", Some(mine));
        assert_eq!((changed.era, changed.spared, changed.reset), (1, Some(mine), None));
    }

    #[test]
    fn the_address_changes_when_the_code_comes_back_and_what_went_to_the_old_one_is_void() {
        let to: Email = "ada@example.net".parse().unwrap();
        let asked = account(ACTIVE).forgot(code(2), at(0)).unwrap().move_to(&to, code(3), at(0));
        assert!(!asked.has(&to));
        assert_eq!(
            asked.move_to(&to, code(4), at(1)).moving,
            asked.moving,
            "the one that has arrived stays good"
        );
        let other: Email = "eve@example.net".parse().unwrap();
        assert_eq!(
            asked.move_to(&other, code(4), at(1)).moving.unwrap().code,
            code(4),
            "for that address alone"
        );
        let wrong = asked.try_move(|_| Guess::Wrong, at(1)).unwrap();
        assert_eq!((wrong.proven, wrong.account.moving.unwrap().code.tries), (false, 1));
        let right = asked.try_move(|_| Guess::Right, at(1)).unwrap().account;
        assert!(right.has(&"ADA@example.net".parse().unwrap()));
        assert_eq!((&right.moving, &right.reset, right.era), (&None, &None, 0));
        assert_eq!(right.try_move(|_| Guess::Right, at(1)).unwrap_err(), Code::CodeWrong);
    }
}
