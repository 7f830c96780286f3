//! Identity: accounts, sessions, organisations. Pure rules; [`store`] has the kept form.
//!
//! Nothing here tells a stranger whether an address has an account: signing up answers the same for both, and the
//! difference is in the mail.

pub mod store;

use crate::error::{Code, Result};
use crate::id::{AccountId, OrganisationId, SessionId};
use crate::text::{Email, Text};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a mailed code is good for.
pub const CODE_MINUTES: i64 = 15;
/// How many wrong tries a mailed code survives.
pub const CODE_TRIES: u8 = 5;
/// How long an access token is good for, seconds.
pub const ACCESS_SECONDS: i64 = 15 * 60;
/// How long a session lives, however often it is refreshed.
pub const SESSION_DAYS: i64 = 90;
/// How long the token before the present one is answered with the same successor: the answer was lost on the way.
pub const GRACE_SECONDS: i64 = 20;

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
    /// When it ends in any case.
    #[must_use]
    pub fn ends(&self) -> Timestamp {
        self.created + SignedDuration::from_hours(24 * SESSION_DAYS)
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ended.is_some() || self.ends() <= now
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

/// A team that publishes and sells.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Organisation {
    /// The id.
    pub id: OrganisationId,
    /// Its name, as buyers read it.
    pub name: Text<1, 120>,
    /// When it was first stored.
    pub created: Timestamp,
    /// The print of the request that made it.
    pub print: String,
}

/// What a member may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, members too.
    Owner,
    /// Events, offers, bookings, gates.
    Manager,
    /// Gates.
    Gate,
}

/// What somebody wants to do in an organisation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Add, change and remove members.
    ManageMembers,
    /// Write events and offers, publish, cancel.
    ManageEvents,
    /// Read and cancel bookings, read the entry log.
    ManageBookings,
    /// Refund, read the books.
    ManageMoney,
    /// Say that cash was received.
    TakeCash,
    /// Scan tickets.
    Scan,
}

impl Role {
    /// Whether this role allows the action. What is not listed is denied.
    #[must_use]
    pub const fn allows(self, action: Action) -> bool {
        match (self, action) {
            (
                Self::Owner,
                Action::ManageMembers
                | Action::ManageEvents
                | Action::ManageBookings
                | Action::ManageMoney
                | Action::TakeCash
                | Action::Scan,
            )
            | (
                Self::Manager,
                Action::ManageEvents
                | Action::ManageBookings
                | Action::ManageMoney
                | Action::TakeCash
                | Action::Scan,
            )
            | (Self::Gate, Action::TakeCash | Action::Scan) => true,
            (Self::Manager, Action::ManageMembers)
            | (
                Self::Gate,
                Action::ManageMembers | Action::ManageEvents | Action::ManageBookings | Action::ManageMoney,
            ) => false,
        }
    }
}

/// An account's place in an organisation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Where.
    pub organisation: OrganisationId,
    /// Who.
    pub account: AccountId,
    /// As what.
    pub role: Role,
    /// Since when.
    pub since: Timestamp,
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
        }
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
        let old = at(90 * 24 * 3600);
        assert_eq!(session().refresh(3, old).unwrap_err(), Code::SessionEnded, "the absolute end");
        let out = session().sign_out(at(1)).unwrap();
        assert_eq!((out.sign_out(at(2)), out.is_over(at(2))), (None, true));
    }

    /// Every role × every action.
    #[test]
    fn the_grid_of_roles() {
        use Action::{ManageBookings, ManageEvents, ManageMembers, Scan};
        for (role, allowed) in [
            (Role::Owner, &[ManageMembers, ManageEvents, ManageBookings, Scan][..]),
            (Role::Manager, &[ManageEvents, ManageBookings, Scan]),
            (Role::Gate, &[Scan]),
        ] {
            for action in [ManageMembers, ManageEvents, ManageBookings, Scan] {
                assert_eq!(role.allows(action), allowed.contains(&action), "{role:?} {action:?}");
            }
        }
    }
}
