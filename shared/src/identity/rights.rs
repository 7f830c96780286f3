//! Organisations, and who may do what in them: one question, [`Rights::allow`], with no as the answer unless something
//! says yes.
//!
//! A *role* names a set of actions. Somebody has a role in the whole organisation, or in a *part* of it: one event, one gate
//! of an event, one service, one store. People have roles of their own and those of their teams; API keys and devices
//! have theirs. What is asked for names the part that it is about; a role in the whole organisation reaches every
//! part, a role at an event its gates, and a role in a part never the whole.

use crate::error::{Code, Refusal, Result};
use crate::id::{AccountId, EventId, InvitationId, OrganisationId, ServiceId, StoreId, TeamId};
use crate::text::Text;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many roles in parts somebody may have: an item has bounds.
pub const GRANTS: usize = 50;
/// How many teams somebody may be in, and an organisation may have.
pub const TEAMS: usize = 20;

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

/// What somebody is, and by that may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything: members, teams, keys too. Of people alone, and of the whole organisation alone.
    Owner,
    /// Everything but members, teams and keys.
    Manager,
    /// Events, services, stores, and what they sell.
    Editor,
    /// Bookings and orders, the entry log.
    Support,
    /// Refunds, transfers, the books.
    Accountant,
    /// Taking cash.
    Cashier,
    /// Scanning tickets, taking cash at the door.
    Gate,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Owner,
        Self::Manager,
        Self::Editor,
        Self::Support,
        Self::Accountant,
        Self::Cashier,
        Self::Gate,
    ];
}

/// What somebody wants to do in an organisation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Members, teams, invitations, API keys; read the audit log.
    ManageMembers,
    /// Pair and remove scanners and tills.
    ManageDevices,
    /// Write events, services, stores and what they sell; publish, cancel.
    ManageEvents,
    /// Read and cancel bookings and orders, read the entry log.
    ManageBookings,
    /// Refund, read the books.
    ManageMoney,
    /// Say that cash was received.
    TakeCash,
    /// Scan tickets.
    Scan,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ManageMembers,
        Self::ManageDevices,
        Self::ManageEvents,
        Self::ManageBookings,
        Self::ManageMoney,
        Self::TakeCash,
        Self::Scan,
    ];
}

impl Role {
    /// Whether this role allows the action. Every pair is decided by name.
    #[must_use]
    pub const fn allows(self, action: Action) -> bool {
        match (self, action) {
            (
                Self::Owner,
                Action::ManageMembers
                | Action::ManageDevices
                | Action::ManageEvents
                | Action::ManageBookings
                | Action::ManageMoney
                | Action::TakeCash
                | Action::Scan,
            )
            | (
                Self::Manager,
                Action::ManageDevices
                | Action::ManageEvents
                | Action::ManageBookings
                | Action::ManageMoney
                | Action::TakeCash
                | Action::Scan,
            )
            | (Self::Editor, Action::ManageEvents)
            | (Self::Support, Action::ManageBookings)
            | (Self::Accountant, Action::ManageMoney | Action::TakeCash)
            | (Self::Cashier, Action::TakeCash)
            | (Self::Gate, Action::TakeCash | Action::Scan) => true,
            (Self::Manager, Action::ManageMembers)
            | (
                Self::Editor,
                Action::ManageMembers
                | Action::ManageDevices
                | Action::ManageBookings
                | Action::ManageMoney
                | Action::TakeCash
                | Action::Scan,
            )
            | (
                Self::Support,
                Action::ManageMembers
                | Action::ManageDevices
                | Action::ManageEvents
                | Action::ManageMoney
                | Action::TakeCash
                | Action::Scan,
            )
            | (
                Self::Accountant,
                Action::ManageMembers
                | Action::ManageDevices
                | Action::ManageEvents
                | Action::ManageBookings
                | Action::Scan,
            )
            | (
                Self::Cashier,
                Action::ManageMembers
                | Action::ManageDevices
                | Action::ManageEvents
                | Action::ManageBookings
                | Action::ManageMoney
                | Action::Scan,
            )
            | (
                Self::Gate,
                Action::ManageMembers
                | Action::ManageDevices
                | Action::ManageEvents
                | Action::ManageBookings
                | Action::ManageMoney,
            ) => false,
        }
    }
}

/// A gate's name, as its event calls it.
pub type Gate = Text<1, 40>;

/// A part of an organisation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// All of it, and what belongs to no part.
    Whole,
    /// One event with all its gates.
    Event(EventId),
    /// One gate of an event.
    Gate(EventId, Gate),
    /// One vendor's service.
    Service(ServiceId),
    /// One store.
    Store(StoreId),
}

impl Part {
    /// Whether a role in this part reaches `other`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Whole,
                Self::Whole | Self::Event(_) | Self::Gate(..) | Self::Service(_) | Self::Store(_),
            ) => true,
            (Self::Event(mine), Self::Event(other) | Self::Gate(other, _)) => mine == other,
            (Self::Gate(mine, gate), Self::Gate(other, at)) => mine == other && gate == at,
            (Self::Service(mine), Self::Service(other)) => mine == other,
            (Self::Store(mine), Self::Store(other)) => mine == other,
            (Self::Event(_), Self::Whole | Self::Service(_) | Self::Store(_))
            | (Self::Gate(..), Self::Whole | Self::Event(_) | Self::Service(_) | Self::Store(_))
            | (Self::Service(_), Self::Whole | Self::Event(_) | Self::Gate(..) | Self::Store(_))
            | (Self::Store(_), Self::Whole | Self::Event(_) | Self::Gate(..) | Self::Service(_)) => false,
        }
    }
}

/// What a request is about: a part of an organisation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// Whose it is.
    pub organisation: OrganisationId,
    /// Where in it.
    pub part: Part,
}

impl Resource {
    /// A part of an organisation.
    #[must_use]
    pub fn of(organisation: OrganisationId, part: impl Into<Part>) -> Self {
        Self { organisation, part: part.into() }
    }
}

impl From<OrganisationId> for Resource {
    fn from(organisation: OrganisationId) -> Self {
        Self { organisation, part: Part::Whole }
    }
}

/// A role in a part of an organisation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "GrantForm", into = "GrantForm")]
pub struct Grant {
    /// As what.
    pub role: Role,
    /// Where.
    pub on: Part,
}

/// A role at one event, at one gate of an event, in one service or in one store.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Grant)]
pub struct GrantForm {
    /// As what; nobody owns a part.
    role: Role,
    /// At this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<EventId>,
    /// At this gate of the event alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gate: Option<Gate>,
    /// In this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<ServiceId>,
    /// In this store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    store: Option<StoreId>,
}

impl TryFrom<GrantForm> for Grant {
    type Error = &'static str;
    fn try_from(form: GrantForm) -> Result<Self, Self::Error> {
        let GrantForm { role, event, gate, service, store } = form;
        let on = match (event, gate, service, store) {
            (Some(event), None, None, None) => Part::Event(event),
            (Some(event), Some(gate), None, None) => Part::Gate(event, gate),
            (None, None, Some(service), None) => Part::Service(service),
            (None, None, None, Some(store)) => Part::Store(store),
            _ => {
                return Err(
                    "must name one event, perhaps with one of its gates, or one service, or one store",
                );
            }
        };
        if role == Role::Owner { Err("nobody owns a part of an organisation") } else { Ok(Self { role, on }) }
    }
}

impl From<Grant> for GrantForm {
    fn from(Grant { role, on }: Grant) -> Self {
        let form = Self { role, event: None, gate: None, service: None, store: None };
        match on {
            Part::Whole => form,
            Part::Event(event) => Self { event: Some(event), ..form },
            Part::Gate(event, gate) => Self { event: Some(event), gate: Some(gate), ..form },
            Part::Service(service) => Self { service: Some(service), ..form },
            Part::Store(store) => Self { store: Some(store), ..form },
        }
    }
}

/// The roles that somebody or something has.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// In the whole organisation, if there at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// In parts of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<GrantForm>, max_items = 50)]
    pub grants: Vec<Grant>,
}

impl Rights {
    /// A role in the whole organisation.
    #[must_use]
    pub const fn of(role: Role) -> Self {
        Self { role: Some(role), grants: Vec::new() }
    }

    /// Whether they allow `action` in `part`. Nothing does unless a role says so.
    #[must_use]
    pub fn allow(&self, action: Action, part: &Part) -> bool {
        self.role.is_some_and(|role| role.allows(action))
            || self.grants.iter().any(|grant| grant.role.allows(action) && grant.on.covers(part))
    }

    /// Whether there are none.
    #[must_use]
    pub const fn are_none(&self) -> bool {
        self.role.is_none() && self.grants.is_empty()
    }

    /// These, within their bounds.
    ///
    /// # Errors
    /// `invalid_input`.
    pub fn bounded(self) -> Result<Self> {
        if self.grants.len() > GRANTS {
            return Err(Refusal::invalid("/grants", format!("must be at most {GRANTS}")));
        }
        Ok(self)
    }

    /// These, for others than one person: those own nothing, and without a role they would be of no use.
    ///
    /// # Errors
    /// `invalid_input`.
    pub fn shared(self) -> Result<Self> {
        if self.role == Some(Role::Owner) {
            return Err(Refusal::invalid("/role", "people own an organisation, one by one"));
        }
        if self.are_none() {
            return Err(Refusal::invalid("", "needs a role, or a role in a part of the organisation"));
        }
        self.bounded()
    }
}

impl Rights {
    /// These, for a scanner or a till: it stands about, so it has the roles of those who scan and take cash alone.
    ///
    /// # Errors
    /// `invalid_input`.
    pub fn of_a_device(self) -> Result<Self> {
        let fits = |role: Role| match role {
            Role::Cashier | Role::Gate => true,
            Role::Owner | Role::Manager | Role::Editor | Role::Support | Role::Accountant => false,
        };
        if !self.role.is_none_or(fits) {
            return Err(Refusal::invalid("/role", "a device is cashier or gate"));
        }
        if !self.grants.iter().all(|grant| fits(grant.role)) {
            return Err(Refusal::invalid("/grants", "a device is cashier or gate"));
        }
        self.shared()
    }
}

impl std::fmt::Display for Rights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match serde_json::to_string(self) {
            Ok(text) => f.write_str(&text),
            Err(_) => Err(std::fmt::Error),
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
    /// What they have by themselves.
    #[serde(flatten)]
    pub rights: Rights,
    /// Whose roles they have as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<TeamId>,
    /// Since when.
    pub since: Timestamp,
    /// The invitation that led here, if one did: it leads here once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<InvitationId>,
}

impl Member {
    /// Whether they were removed: the item stays, so that an invitation that was accepted before brings nobody back.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        self.rights.are_none() && self.teams.is_empty()
    }

    /// They are removed. Repeating it changes nothing.
    #[must_use]
    pub fn remove(&self) -> Option<Self> {
        let gone = Self { rights: Rights::default(), teams: Vec::new(), ..self.clone() };
        (!self.is_gone()).then_some(gone)
    }

    /// What follows for somebody who is known already when an invitation leads to `new`: nothing if it did so before.
    ///
    /// # Errors
    /// `already_exists` for members.
    pub fn invited(&self, new: &Self) -> Result<Option<Self>> {
        if self.invitation == new.invitation {
            return Ok(None);
        }
        if self.is_gone() { Ok(Some(new.clone())) } else { Code::AlreadyExists.refuse() }
    }

    /// With these roles and teams instead, within their bounds.
    ///
    /// # Errors
    /// `invalid_input`.
    pub fn with(self, rights: Rights, teams: Vec<TeamId>) -> Result<Self> {
        if teams.len() > TEAMS {
            return Err(Refusal::invalid("/teams", format!("must be at most {TEAMS}")));
        }
        if teams.is_empty() && rights.are_none() {
            return Err(Refusal::invalid("", "a member has a role, a role in a part, or a team"));
        }
        Ok(Self { rights: rights.bounded()?, teams, ..self })
    }

    /// Whether they may do `action` in `part`; `teams` are those of theirs that still exist.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn check(&self, teams: &[Team], action: Action, part: &Part) -> Result<()> {
        let mut of_mine = teams.iter().filter(|team| self.teams.contains(&team.id));
        if self.rights.allow(action, part) || of_mine.any(|team| team.rights.allow(action, part)) {
            return Ok(());
        }
        Code::Forbidden.refuse()
    }
}

/// A group of members with roles in common.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Team {
    /// The id.
    pub id: TeamId,
    /// Of which organisation.
    pub organisation: OrganisationId,
    /// What it is called.
    pub name: Text<1, 80>,
    /// As what.
    pub rights: Rights,
    /// The print of the request that made it.
    pub print: String,
}

impl Team {
    /// Whether it was removed: the item stays, without rights, because the log is told of the removal by it.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        self.rights.are_none()
    }

    /// It is removed. Repeating it changes nothing.
    #[must_use]
    pub fn remove(&self) -> Option<Self> {
        (!self.is_gone()).then(|| Self { rights: Rights::default(), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Every role × every action.
    #[test]
    fn the_grid_of_roles() {
        use Action::{ManageBookings, ManageDevices, ManageEvents, ManageMoney, Scan, TakeCash};
        for role in Role::ALL {
            let allowed: &[Action] = match role {
                Role::Owner => &Action::ALL,
                Role::Manager => &[ManageDevices, ManageEvents, ManageBookings, ManageMoney, TakeCash, Scan],
                Role::Editor => &[ManageEvents],
                Role::Support => &[ManageBookings],
                Role::Accountant => &[ManageMoney, TakeCash],
                Role::Cashier => &[TakeCash],
                Role::Gate => &[TakeCash, Scan],
            };
            for action in Action::ALL {
                assert_eq!(role.allows(action), allowed.contains(&action), "{role:?} {action:?}");
            }
        }
    }

    fn parts() -> [Part; 8] {
        let event = |name: &str| EventId::derive(&[name]);
        let gate = |name: &str| Gate::parse(name).unwrap();
        [
            Part::Whole,
            Part::Event(event("a")),
            Part::Event(event("b")),
            Part::Gate(event("a"), gate("north")),
            Part::Gate(event("a"), gate("south")),
            Part::Gate(event("b"), gate("north")),
            Part::Service(ServiceId::derive(&["a"])),
            Part::Store(StoreId::derive(&["a"])),
        ]
    }

    /// Every part × every part.
    #[test]
    fn the_grid_of_parts() {
        let parts = parts();
        for (mine, part) in parts.iter().enumerate() {
            let reached: &[usize] = match mine {
                0 => &[0, 1, 2, 3, 4, 5, 6, 7],
                1 => &[1, 3, 4],
                2 => &[2, 5],
                _ => &[mine],
            };
            for (other, asked) in parts.iter().enumerate() {
                assert_eq!(part.covers(asked), reached.contains(&other), "{part:?} {asked:?}");
            }
        }
    }

    fn member() -> Member {
        Member {
            organisation: OrganisationId::derive(&["o"]),
            account: AccountId::derive(&["a"]),
            rights: Rights::of(Role::Manager),
            teams: Vec::new(),
            since: "2027-01-01T00:00:00Z".parse().unwrap(),
            invitation: None,
        }
    }

    #[test]
    fn nothing_is_allowed_that_no_role_says() {
        for part in parts() {
            for action in Action::ALL {
                assert!(!Rights::default().allow(action, &part));
                assert!(!Rights::of(Role::Gate).allow(Action::ManageMoney, &part));
            }
        }
    }

    #[test]
    fn a_role_in_a_part_reaches_no_other_and_a_team_counts_only_for_its_members() {
        let [whole, a, b, ..] = parts();
        let grant = Grant { role: Role::Manager, on: a.clone() };
        let team = Team {
            id: TeamId::derive(&["t"]),
            organisation: OrganisationId::derive(&["o"]),
            name: Text::parse("Stewards").unwrap(),
            rights: Rights { role: None, grants: vec![grant] },
            print: String::new(),
        };
        let of = |teams: Vec<TeamId>| member().with(Rights::of(Role::Gate), teams).unwrap();
        let may = |member: &Member, part: &Part| {
            member.check(std::slice::from_ref(&team), Action::ManageEvents, part).is_ok()
        };
        assert!(may(&of(vec![team.id]), &a));
        assert!(!may(&of(vec![team.id]), &b) && !may(&of(vec![team.id]), &whole));
        assert!(!may(&of(Vec::new()), &a), "somebody else's team");
        assert!(of(vec![team.id]).check(&[], Action::Scan, &b).is_ok(), "their own role");
        assert_eq!(of(vec![team.id]).check(&[], Action::ManageEvents, &a).unwrap_err(), Code::Forbidden);
    }

    #[test]
    fn a_grant_names_one_part_and_is_written_as_it_is_read() {
        let event = EventId::derive(&["a"]);
        for good in [
            json!({"role": "gate", "event": event, "gate": "north"}),
            json!({"role": "manager", "event": event}),
            json!({"role": "editor", "service": ServiceId::derive(&["a"])}),
            json!({"role": "cashier", "store": StoreId::derive(&["a"])}),
        ] {
            let grant: Grant = serde_json::from_value(good.clone()).unwrap();
            assert_eq!(serde_json::to_value(grant).unwrap(), good);
        }
        for bad in [
            json!({"role": "gate"}),
            json!({"role": "gate", "gate": "north"}),
            json!({"role": "owner", "event": event}),
            json!({"role": "gate", "event": event, "store": StoreId::derive(&["a"])}),
            json!({"role": "gate", "event": event, "everything": true}),
        ] {
            assert!(serde_json::from_value::<Grant>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_stored_with_a_role_alone_is_read_still() {
        let old = json!({"organisation": OrganisationId::derive(&["o"]), "account": AccountId::derive(&["a"]),
            "role": "manager", "since": "2027-01-01T00:00:00Z"});
        let read: Member = serde_json::from_value(old.clone()).unwrap();
        assert_eq!(read, member());
        assert_eq!(serde_json::to_value(read).unwrap(), old);
    }

    #[test]
    fn an_invitation_leads_to_membership_once() {
        let by =
            |invitation: &str| Member { invitation: Some(InvitationId::derive(&[invitation])), ..member() };
        assert_eq!(by("first").invited(&by("first")).unwrap(), None, "again");
        assert_eq!(by("first").invited(&by("second")).unwrap_err(), Code::AlreadyExists);
        let gone = by("first").remove().unwrap();
        assert!(gone.is_gone() && gone.remove().is_none());
        assert_eq!(gone.invited(&by("first")).unwrap(), None, "nobody comes back by an old invitation");
        assert_eq!(gone.invited(&by("second")).unwrap(), Some(by("second")));
    }

    #[test]
    fn a_device_scans_and_takes_cash_and_no_more() {
        for role in Role::ALL {
            let fits = matches!(role, Role::Gate | Role::Cashier);
            assert_eq!(Rights::of(role).of_a_device().is_ok(), fits, "{role:?}");
            let grant = Grant { role, on: parts()[1].clone() };
            assert_eq!(Rights { role: None, grants: vec![grant] }.of_a_device().is_ok(), fits, "{role:?}");
        }
    }

    #[test]
    fn things_own_nothing_and_have_bounds() {
        assert!(Rights::of(Role::Owner).shared().is_err());
        assert!(Rights::default().shared().is_err());
        assert!(Rights::of(Role::Manager).shared().is_ok());
        let grant = Grant { role: Role::Gate, on: parts()[1].clone() };
        let many = Rights { role: None, grants: vec![grant; GRANTS + 1] };
        assert!(many.bounded().is_err());
        let team = TeamId::derive(&["t"]);
        assert!(member().with(Rights::default(), Vec::new()).is_err());
        assert!(member().with(Rights::default(), vec![team]).is_ok());
        assert!(member().with(Rights::default(), vec![team; TEAMS + 1]).is_err());
    }
}
