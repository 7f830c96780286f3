//! Organisations, and who may do what in them.

use crate::id::{AccountId, OrganisationId};
use crate::text::Text;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
