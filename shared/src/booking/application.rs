//! Applications: offers that are sold to whom the organiser approves.
//!
//! Approving takes the capacity: the places are held under a key that belongs to the application alone, and the applicant
//! asks for the quote of that hold when they accept. Of two applications for the last place one can be approved.
//!
//! | item | table | pk | sk | g1 | g2 |
//! |---|---|---|---|---|---|
//! | application | booking | application id | `-` | `applies#` buyer, by creation | `applies#` event `#` status, by creation |

use crate::auth::{Actor, Buyer};
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Stored, Table};
use crate::error::{Code, Result};
use crate::id::{ApplicationId, EventId, OfferId, OrganisationId};
use crate::message::Message;
use crate::order::Contact;
use crate::pool::{Claim, HoldKey};
use crate::text::Text;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Somebody who asks to be let in. One for each buyer and offer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Application {
    /// The id, from the offer and the buyer.
    pub id: ApplicationId,
    /// Of which event.
    pub event: EventId,
    /// Who sells it.
    pub organisation: OrganisationId,
    /// For what.
    pub offer: OfferId,
    /// How many places.
    pub quantity: u32,
    /// Who asks.
    pub buyer: Buyer,
    /// Whom to write to.
    pub contact: Contact,
    /// What they say about themselves.
    pub letter: Text<0, 2000>,
    /// How many times they have asked, from 1: each time is another hold.
    pub turn: u32,
    /// When they asked, this time.
    pub asked: Timestamp,
    /// Where it stands.
    pub state: State,
    /// What was decided, by whom, over all turns; the newest 20.
    pub history: Vec<Decision>,
}

/// Where an application stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// Nobody has decided.
    Pending,
    /// Places are kept for them.
    Approved {
        /// What was taken, lane by lane.
        claims: Vec<Claim>,
        /// Until when they may accept and order.
        until: Timestamp,
    },
    /// They are not let in.
    Declined,
    /// They do not want it any more.
    Withdrawn,
}

/// What an organiser can decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Let them in.
    Approve,
    /// Do not, or no longer.
    Decline,
}

/// A line of the audit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Decision {
    /// What.
    pub verdict: Verdict,
    /// By whom.
    pub by: Actor,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Why: the applicant is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<1, 500>>,
}

/// Places that are kept for an application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// What was taken, lane by lane.
    pub claims: Vec<Claim>,
    /// Until when.
    pub until: Timestamp,
}

const HISTORY: usize = 20;

impl Application {
    /// The key of the hold that this turn may become.
    #[must_use]
    pub fn holder(&self, tag: &[u8; 32]) -> HoldKey {
        HoldKey::of_turn(tag, "application", self.id.uuid(), self.turn)
    }

    fn decided(&self, state: State, decision: Decision) -> (Self, Vec<Message>) {
        let mut history = self.history.clone();
        history.push(decision);
        let skip = history.len().saturating_sub(HISTORY);
        let next = Self { state, history: history.split_off(skip), ..self.clone() };
        (next, vec![Message::ApplicationDecided { application: self.id, turn: self.turn }])
    }

    /// Approves: `kept` has been taken for this turn. Repeating it changes nothing.
    ///
    /// # Errors
    /// `wrong_state` when it was withdrawn or declined meanwhile: what was kept is nobody's.
    pub fn approve(
        &self,
        turn: u32,
        kept: &Kept,
        decision: Decision,
    ) -> Result<Option<(Self, Vec<Message>)>> {
        match &self.state {
            State::Pending if self.turn == turn => {
                let Kept { claims, until } = kept.clone();
                Ok(Some(self.decided(State::Approved { claims, until }, decision)))
            }
            State::Approved { claims, .. } if self.turn == turn && *claims == kept.claims => Ok(None),
            State::Pending | State::Approved { .. } | State::Declined | State::Withdrawn => {
                Err(Code::WrongState.because("it has been decided or withdrawn"))
            }
        }
    }

    /// What is kept for them in this turn.
    #[must_use]
    pub fn has(&self, turn: u32) -> &[Claim] {
        match &self.state {
            State::Approved { claims, .. } if self.turn == turn => claims,
            State::Pending | State::Approved { .. } | State::Declined | State::Withdrawn => &[],
        }
    }

    /// Declines, or takes an approval back that has not been ordered. Repeating it changes nothing.
    ///
    /// # Errors
    /// `wrong_state` when it was withdrawn.
    pub fn decline(&self, decision: Decision) -> Result<Option<(Self, Vec<Message>)>> {
        match &self.state {
            State::Pending | State::Approved { .. } => Ok(Some(self.decided(State::Declined, decision))),
            State::Declined => Ok(None),
            State::Withdrawn => Err(Code::WrongState.because("it was withdrawn")),
        }
    }

    /// The applicant does not want it any more. Repeating it changes nothing.
    ///
    /// # Errors
    /// `wrong_state` when it was declined.
    pub fn withdraw(&self) -> Result<Option<(Self, Vec<Message>)>> {
        match &self.state {
            State::Pending | State::Approved { .. } => {
                Ok(Some((Self { state: State::Withdrawn, ..self.clone() }, Vec::new())))
            }
            State::Withdrawn => Ok(None),
            State::Declined => Err(Code::WrongState.because("it was declined")),
        }
    }

    /// Without the person who asked, and what they said about themselves: `None` if it is so already.
    #[must_use]
    pub fn without_person(&self) -> Option<Self> {
        let next = Self { contact: Contact::nobody(), letter: Text::default(), ..self.clone() };
        Some(next).filter(|next| next != self)
    }

    /// Asks again, after it was withdrawn or the approval ran out unused.
    #[must_use]
    pub fn ask_again(&self, wish: &Self, now: Timestamp) -> Option<(Self, Vec<Message>)> {
        let over = match &self.state {
            State::Pending | State::Declined => false,
            State::Approved { until, .. } => *until <= now,
            State::Withdrawn => true,
        };
        let history = self.history.clone();
        let next = Self { turn: self.turn + 1, asked: now, state: State::Pending, history, ..wish.clone() };
        over.then(|| (next, Vec::new()))
    }

    /// What is kept for them now.
    ///
    /// # Errors
    /// `hold_gone` when the time is over; `wrong_state` unless approved.
    pub fn kept(&self, now: Timestamp) -> Result<Kept> {
        match &self.state {
            State::Approved { claims, until } if now < *until => {
                Ok(Kept { claims: claims.clone(), until: *until })
            }
            State::Approved { .. } => Code::HoldGone.refuse(),
            State::Pending | State::Declined | State::Withdrawn => {
                Err(Code::WrongState.because("it is not approved"))
            }
        }
    }
}

impl State {
    /// Its word, in lists.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved { .. } => "approved",
            Self::Declined => "declined",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// The list of a buyer's applications, by creation.
#[must_use]
pub fn list_of_buyer(buyer: Buyer) -> String {
    format!("applies#{buyer}")
}

/// The partition that lists an event's applications of one status.
#[must_use]
pub fn list_of(event: EventId, status: &str) -> String {
    format!("applies#{event}#{status}")
}

impl Item for Application {
    const TABLE: Table = Table::Booking;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn first(&self) -> Option<(String, String)> {
        Some((list_of_buyer(self.buyer), format!("{}#{}", sortable(self.asked), self.id)))
    }
    fn second(&self) -> Option<(String, String)> {
        Some((list_of(self.event, self.state.word()), format!("{}#{}", sortable(self.asked), self.id)))
    }
}

/// An application.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn application(db: &Db, id: ApplicationId) -> Result<Stored<Application>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::GuestId;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn application(state: State) -> Application {
        Application {
            id: ApplicationId::derive(&["a"]),
            event: EventId::derive(&["e"]),
            organisation: OrganisationId::derive(&["o"]),
            offer: OfferId::derive(&["f"]),
            quantity: 1,
            buyer: Buyer::Guest(GuestId::derive(&["g"])),
            contact: serde_json::from_value(serde_json::json!({"name": "Ada", "email": "ada@example.org"}))
                .unwrap(),
            letter: Text::default(),
            turn: 1,
            asked: at(0),
            state,
            history: vec![],
        }
    }

    fn decision(verdict: Verdict) -> Decision {
        Decision {
            verdict,
            by: Actor::Account(crate::id::AccountId::derive(&["organiser"])),
            at: at(1),
            reason: None,
        }
    }

    /// Every state × every transition.
    #[test]
    fn the_grid_of_an_application() {
        let kept = Kept { claims: vec![], until: at(60) };
        let pending = application(State::Pending);
        let approved = application(State::Approved { claims: vec![], until: at(60) });
        let (declined, withdrawn) = (application(State::Declined), application(State::Withdrawn));
        let yes = || decision(Verdict::Approve);
        let no = || decision(Verdict::Decline);

        let (next, told) = pending.approve(1, &kept, yes()).unwrap().unwrap();
        assert_eq!((&next.state, next.history.len()), (&approved.state, 1));
        assert_eq!(told, [Message::ApplicationDecided { application: pending.id, turn: 1 }]);
        assert_eq!(approved.approve(1, &kept, yes()).unwrap(), None);
        for (other, turn) in [(&pending, 2), (&approved, 2), (&declined, 1), (&withdrawn, 1)] {
            assert_eq!(other.approve(turn, &kept, yes()).unwrap_err(), Code::WrongState);
        }
        assert_eq!(pending.decline(no()).unwrap().unwrap().0.state, State::Declined);
        assert_eq!(approved.decline(no()).unwrap().unwrap().0.state, State::Declined);
        assert_eq!(declined.decline(no()).unwrap(), None);
        assert_eq!(withdrawn.decline(no()).unwrap_err(), Code::WrongState);

        assert_eq!(pending.withdraw().unwrap().unwrap().0.state, State::Withdrawn);
        assert_eq!(approved.withdraw().unwrap().unwrap().0.state, State::Withdrawn);
        assert_eq!(withdrawn.withdraw().unwrap(), None);
        assert_eq!(declined.withdraw().unwrap_err(), Code::WrongState);

        assert!(
            pending.ask_again(&pending, at(9)).is_none() && declined.ask_again(&pending, at(9)).is_none()
        );
        assert!(approved.ask_again(&pending, at(59)).is_none());
        for over in [(&approved, 60), (&withdrawn, 9)] {
            let (again, _) = over.0.ask_again(&pending, at(over.1)).unwrap();
            assert_eq!((again.turn, &again.state), (2, &State::Pending));
            assert_ne!(again.holder(&[1; 32]), pending.holder(&[1; 32]));
        }

        assert_eq!(approved.kept(at(59)).unwrap(), kept);
        assert_eq!(approved.kept(at(60)).unwrap_err(), Code::HoldGone);
        assert_eq!(pending.kept(at(0)).unwrap_err(), Code::WrongState);
    }
}
