//! Invitations into an organisation, to an address.
//!
//! Nothing secret is mailed: whoever has proven the address, by an account of theirs, may accept. That is all that a link
//! with a code would prove, without the code.

use super::rights::{Member, Rights};
use crate::error::{Code, Result};
use crate::id::{AccountId, InvitationId, OrganisationId, TeamId};
use crate::text::Email;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long an invitation stands, days.
pub const INVITATION_DAYS: i64 = 14;

/// Where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// Nobody has answered.
    Open,
    /// Accepted.
    Accepted {
        /// By whom.
        by: AccountId,
        /// When.
        at: Timestamp,
    },
    /// Declined, or taken back.
    Closed {
        /// When.
        at: Timestamp,
    },
}

/// A place in an organisation that somebody is offered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Invitation {
    /// The id.
    pub id: InvitationId,
    /// Into which organisation.
    pub organisation: OrganisationId,
    /// To whom.
    pub email: Email,
    /// As what.
    pub rights: Rights,
    /// Into which teams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<TeamId>,
    /// Who invites: it stands as long as they may.
    pub by: AccountId,
    /// Since when.
    pub created: Timestamp,
    /// Where it stands.
    pub state: State,
    /// The print of the request that made it.
    pub print: String,
}

impl Invitation {
    /// When it is over in any case.
    #[must_use]
    pub fn ends(&self) -> Timestamp {
        self.created + SignedDuration::from_hours(24 * INVITATION_DAYS)
    }

    /// Whether it can be answered.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        match self.state {
            State::Open => self.ends() > now,
            State::Accepted { .. } | State::Closed { .. } => false,
        }
    }

    /// This account accepts, whose address is the invited one: its place, and the invitation as it stands then. Accepting
    /// again leads to the same.
    ///
    /// # Errors
    /// `wrong_state` once it is over, closed, or somebody else's.
    pub fn accept(&self, by: AccountId, now: Timestamp) -> Result<(Member, Self)> {
        let at = match self.state {
            State::Open if self.ends() > now => now,
            State::Accepted { by: known, at } if known == by => at,
            State::Open | State::Accepted { .. } | State::Closed { .. } => return Code::WrongState.refuse(),
        };
        let (rights, teams) = (self.rights.clone(), self.teams.clone());
        let (organisation, invitation) = (self.organisation, Some(self.id));
        let member = Member { organisation, account: by, rights, teams, since: at, invitation };
        Ok((member, Self { state: State::Accepted { by, at }, ..self.clone() }))
    }

    /// It is declined or taken back. Repeating it changes nothing.
    ///
    /// # Errors
    /// `wrong_state` once it was accepted.
    pub fn close(&self, now: Timestamp) -> Result<Option<Self>> {
        match self.state {
            State::Open => Ok(Some(Self { state: State::Closed { at: now }, ..self.clone() })),
            State::Closed { .. } => Ok(None),
            State::Accepted { .. } => Code::WrongState.refuse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Role;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// Every state × every answer.
    #[test]
    fn the_grid_of_invitations() {
        let (ada, eve) = (AccountId::derive(&["ada"]), AccountId::derive(&["eve"]));
        let of = |state: State| Invitation {
            id: InvitationId::derive(&["i"]),
            organisation: OrganisationId::derive(&["o"]),
            email: "ada@example.org".parse().unwrap(),
            rights: Rights::of(Role::Gate),
            teams: Vec::new(),
            by: eve,
            created: at(0),
            state,
            print: String::new(),
        };
        let end = at(INVITATION_DAYS * 86_400);
        let open = of(State::Open);
        let accepted = of(State::Accepted { by: ada, at: at(5) });
        let closed = of(State::Closed { at: at(5) });

        let (member, next) = open.accept(ada, at(5)).unwrap();
        assert_eq!((member.account, member.rights.role, member.since), (ada, Some(Role::Gate), at(5)));
        assert_eq!(next, accepted);
        assert_eq!(open.accept(ada, end).unwrap_err(), Code::WrongState, "over");
        assert_eq!(accepted.accept(ada, at(9)).unwrap(), (member, accepted.clone()), "again");
        assert_eq!(accepted.accept(eve, at(9)).unwrap_err(), Code::WrongState);
        assert_eq!(closed.accept(ada, at(9)).unwrap_err(), Code::WrongState);

        assert_eq!(open.close(at(5)).unwrap(), Some(closed.clone()));
        assert_eq!(closed.close(at(9)).unwrap(), None);
        assert_eq!(accepted.close(at(9)).unwrap_err(), Code::WrongState);
        assert!(open.is_open(at(9)) && !open.is_open(end) && !accepted.is_open(at(9)));
    }
}
