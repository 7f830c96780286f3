//! Accounts: an address, how it is proven, and what its owner signs in with.

use crate::error::{Code, Result};
use crate::id::AccountId;
use crate::text::{Email, Text};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How long a mailed code is good for.
pub const CODE_MINUTES: i64 = 15;
/// How many wrong tries a mailed code survives.
pub const CODE_TRIES: u8 = 5;

/// A code sent by mail.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MailedCode {
    /// Keyed hash of the code, hexadecimal.
    pub hash: String,
    /// Until when.
    pub expires: Timestamp,
    /// Wrong tries so far.
    pub tries: u8,
}

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
    /// argon2id in PHC form.
    pub password: String,
    /// Whether the address has been proven.
    pub state: State,
    /// The code that is under way.
    pub code: Option<MailedCode>,
    /// When it was first stored.
    pub created: Timestamp,
}

/// What came of a try with a mailed code: the account to store, and whether the code was right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tried {
    /// What is to be stored.
    pub account: Account,
    /// Whether the address is proven now.
    pub proven: bool,
}

impl Account {
    /// Signs up: an unproven address takes the newest name, password and code, because only the one who receives the
    /// code can prove it. `None` if the address is proven already: the password of a proven account never changes here.
    #[must_use]
    pub fn sign_up_again(&self, name: Text<1, 120>, password: String, code: MailedCode) -> Option<Self> {
        match self.state {
            State::Unverified => Some(Self { name, password, code: Some(code), ..self.clone() }),
            State::Active { .. } => None,
        }
    }

    /// Tries a code by its hash.
    ///
    /// # Errors
    /// `code_wrong` when there is no code under way, it has expired, or it was tried too often.
    pub fn try_code(&self, matches: impl FnOnce(&str) -> bool, now: Timestamp) -> Result<Tried> {
        let code = self
            .code
            .as_ref()
            .filter(|code| code.expires > now && code.tries < CODE_TRIES)
            .ok_or(Code::CodeWrong)?;
        if matches(&code.hash) {
            let account = Self { state: State::Active { at: now }, code: None, ..self.clone() };
            return Ok(Tried { account, proven: true });
        }
        let code = MailedCode { tries: code.tries + 1, ..code.clone() };
        Ok(Tried { account: Self { code: Some(code), ..self.clone() }, proven: false })
    }

    /// Whether it may sign in.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        match self.state {
            State::Unverified => false,
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

    fn code(tries: u8) -> MailedCode {
        MailedCode { hash: "h".into(), expires: at(900), tries }
    }

    fn account(state: State, code: Option<MailedCode>) -> Account {
        Account {
            id: AccountId::derive(&["a"]),
            email: "ada@example.org".parse().unwrap(),
            name: Text::parse("Ada").unwrap(),
            password: "old".into(),
            state,
            code,
            created: at(0),
        }
    }

    #[test]
    fn signing_up_again_replaces_what_is_unproven_and_never_what_is_proven() {
        let name = || Text::parse("Eve").unwrap();
        let again =
            account(State::Unverified, Some(code(4))).sign_up_again(name(), "new".into(), code(0)).unwrap();
        assert_eq!((again.password.as_str(), again.code), ("new", Some(code(0))));
        assert_eq!(
            account(State::Active { at: at(0) }, None).sign_up_again(name(), "new".into(), code(0)),
            None
        );
    }

    #[test]
    fn a_code_works_once_in_time_and_not_after_five_wrong_tries() {
        let waiting = account(State::Unverified, Some(code(0)));
        let right = waiting.try_code(|hash| hash == "h", at(899)).unwrap();
        assert!(right.proven && right.account.is_active() && right.account.code.is_none());
        assert_eq!(right.account.try_code(|_| true, at(1)).unwrap_err(), Code::CodeWrong, "used up");
        assert_eq!(waiting.try_code(|_| true, at(900)).unwrap_err(), Code::CodeWrong, "expired");
        let mut current = waiting;
        for _ in 0..CODE_TRIES {
            let tried = current.try_code(|_| false, at(1)).unwrap();
            assert!(!tried.proven);
            current = tried.account;
        }
        assert_eq!(current.try_code(|_| true, at(1)).unwrap_err(), Code::CodeWrong, "even the right one");
    }
}
