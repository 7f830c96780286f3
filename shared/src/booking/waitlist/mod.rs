//! The waitlist: who wants places of a sold-out sale, in order of joining, and what they are offered.
//!
//! A pool that somebody waits for says so in each of its lanes (see [`crate::pool::store`]): walk-ins then find no room in
//! them, by the same condition that finds room otherwise, and whoever frees places passes them on. The first in line who
//! fits gets a hold of their own, under a key that is theirs alone, in the very write that frees the places. Accepting is
//! asking for the quote of that hold; from there on it is an order like any other. Declining, and letting the time go by,
//! pass the places on. [`store`] has the line and the flow.

pub mod store;

use crate::auth::Buyer;
use crate::error::{Code, Refusal, Result};
use crate::id::{EventId, HoldId, OfferId, OrganisationId, WaiterId};
use crate::message::Message;
use crate::order::Contact;
use crate::pool::{Claim, HoldKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Somebody who waits, or has waited, for places of an event. One for each buyer and event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Waiter {
    /// The id, from the event and the buyer.
    pub id: WaiterId,
    /// Of which event.
    pub event: EventId,
    /// Who sells it.
    pub organisation: OrganisationId,
    /// Who waits.
    pub buyer: Buyer,
    /// Whom to write to.
    pub contact: Contact,
    /// Any of these would do, the first best: 1 to 5.
    pub offers: Vec<OfferId>,
    /// How many places, all or none.
    pub quantity: u32,
    /// How many times they joined, from 1: each time is another hold.
    pub turn: u32,
    /// When they joined, this time.
    pub joined: Timestamp,
    /// Where they stand.
    pub state: State,
}

/// What somebody in line is offered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offered {
    /// Places of this.
    pub offer: OfferId,
    /// What was taken, lane by lane.
    pub claims: Vec<Claim>,
    /// Since when.
    pub at: Timestamp,
    /// Until when they may accept and order.
    pub until: Timestamp,
}

/// Where somebody stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// In line.
    Waiting,
    /// Places are kept for them.
    Offered {
        /// What, and until when.
        offered: Offered,
    },
    /// They did not want the places.
    Declined {
        /// What they were offered.
        offered: Offered,
        /// When.
        at: Timestamp,
    },
    /// They left before their turn came.
    Left {
        /// When.
        at: Timestamp,
    },
}

impl Waiter {
    /// The key of the hold that this turn may become. Nobody else can have it: it is made from the id and not from an
    /// Idempotency-Key.
    #[must_use]
    pub fn holder(&self, tag: &[u8; 32]) -> HoldKey {
        HoldKey::of_turn(tag, "waiter", self.id.uuid(), self.turn)
    }

    /// Joins again, at the end of the line, after an earlier turn came to nothing. Who is in line, or has an offer, keeps
    /// their place.
    #[must_use]
    pub fn rejoin(&self, wish: &Self, now: Timestamp) -> Option<(Self, Vec<Message>)> {
        let over = match &self.state {
            State::Waiting => false,
            State::Offered { offered } => offered.until <= now,
            State::Declined { .. } | State::Left { .. } => true,
        };
        let next = || Self { turn: self.turn + 1, joined: now, state: State::Waiting, ..wish.clone() };
        over.then(|| (next(), vec![Message::WaitlistJoined { waiter: self.id }]))
    }

    /// Places are kept for them. `None` if another write was faster with the same places.
    ///
    /// # Errors
    /// `wrong_state` when it is no longer their turn: the places are somebody else's.
    pub fn offer(&self, turn: u32, offered: Offered) -> Result<Option<(Self, Vec<Message>)>> {
        match &self.state {
            State::Waiting if self.turn == turn => {
                let told = Message::WaitlistOffered { waiter: self.id, turn };
                Ok(Some((Self { state: State::Offered { offered }, ..self.clone() }, vec![told])))
            }
            State::Offered { offered: known } if self.turn == turn && known.claims == offered.claims => {
                Ok(None)
            }
            State::Waiting | State::Offered { .. } | State::Declined { .. } | State::Left { .. } => {
                Err(Code::WrongState.because("it is no longer their turn"))
            }
        }
    }

    /// What is kept for them in this turn.
    #[must_use]
    pub fn has(&self, turn: u32) -> &[Claim] {
        match &self.state {
            State::Offered { offered } if self.turn == turn => &offered.claims,
            State::Waiting | State::Offered { .. } | State::Declined { .. } | State::Left { .. } => &[],
        }
    }

    /// Leaves the line, or declines the offer. Repeating it changes nothing.
    #[must_use]
    pub fn leave(&self, now: Timestamp) -> Option<(Self, Vec<Message>)> {
        let state = match &self.state {
            State::Waiting => State::Left { at: now },
            State::Offered { offered } => State::Declined { offered: offered.clone(), at: now },
            State::Declined { .. } | State::Left { .. } => return None,
        };
        Some((
            Self { state, ..self.clone() },
            vec![Message::WaitlistLeft { waiter: self.id, turn: self.turn }],
        ))
    }

    /// Without the person who waits: `None` if it is so already.
    #[must_use]
    pub fn without_person(&self) -> Option<Self> {
        let next = Self { contact: Contact::nobody(), ..self.clone() };
        Some(next).filter(|next| next != self)
    }

    /// What they are offered now.
    ///
    /// # Errors
    /// `hold_gone` when the time is over; `wrong_state` when nothing was offered.
    pub fn offered(&self, now: Timestamp) -> Result<&Offered> {
        match &self.state {
            State::Offered { offered } if now < offered.until => Ok(offered),
            State::Offered { .. } => Code::HoldGone.refuse(),
            State::Waiting | State::Declined { .. } | State::Left { .. } => {
                Err(Code::WrongState.because("nothing is offered now"))
            }
        }
    }
}

/// Checks what somebody wants to wait for.
///
/// # Errors
/// `invalid_input`.
pub fn check(offers: &[OfferId], quantity: u32) -> Result<()> {
    if !(1..=5).contains(&offers.len()) {
        return Err(Refusal::invalid("/offers", "must have 1 to 5 offers"));
    }
    if offers.iter().enumerate().any(|(place, offer)| offers[..place].contains(offer)) {
        return Err(Refusal::invalid("/offers", "names an offer twice"));
    }
    if !(1..=40).contains(&quantity) {
        return Err(Refusal::invalid("/quantity", "must be between 1 and 40"));
    }
    Ok(())
}

/// Somebody's place in the line of an event: what has to be known to see whether they fit. Goes when their turn has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The event.
    pub event: EventId,
    /// When they joined.
    pub joined: Timestamp,
    /// Who.
    pub waiter: WaiterId,
    /// Which time.
    pub turn: u32,
    /// The hold that this turn may become.
    pub hold: HoldId,
    /// Any of these would do.
    pub offers: Vec<OfferId>,
    /// How many places.
    pub quantity: u32,
}

impl Place {
    /// The place of this turn. `tag` is the buyer's.
    #[must_use]
    pub fn of(waiter: &Waiter, tag: &[u8; 32]) -> Self {
        let Waiter { id, event, joined, turn, offers, quantity, .. } = waiter.clone();
        Self { event, joined, waiter: id, turn, hold: waiter.holder(tag).id(), offers, quantity }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::GuestId;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn waiter(state: State) -> Waiter {
        Waiter {
            id: WaiterId::derive(&["w"]),
            event: EventId::derive(&["e"]),
            organisation: OrganisationId::derive(&["o"]),
            buyer: Buyer::Guest(GuestId::derive(&["g"])),
            contact: serde_json::from_value(serde_json::json!({"name": "Ada", "email": "ada@example.org"}))
                .unwrap(),
            offers: vec![OfferId::derive(&["f"])],
            quantity: 2,
            turn: 1,
            joined: at(0),
            state,
        }
    }

    fn offered() -> Offered {
        Offered { offer: OfferId::derive(&["f"]), claims: vec![], at: at(1), until: at(60) }
    }

    /// Every state × every transition.
    #[test]
    fn the_grid_of_a_waiter() {
        let waiting = waiter(State::Waiting);
        let has_offer = waiter(State::Offered { offered: offered() });
        let declined = waiter(State::Declined { offered: offered(), at: at(5) });
        let left = waiter(State::Left { at: at(5) });

        let (next, told) = waiting.offer(1, offered()).unwrap().unwrap();
        assert_eq!(next, has_offer);
        assert_eq!(told, [Message::WaitlistOffered { waiter: waiting.id, turn: 1 }]);
        assert_eq!(has_offer.offer(1, offered()).unwrap(), None, "told twice");
        assert!(waiting.offer(2, offered()).is_err(), "an earlier turn's");
        assert!(has_offer.offer(2, offered()).is_err());
        assert!(declined.offer(1, offered()).is_err() && left.offer(1, offered()).is_err());

        let (next, told) = waiting.leave(at(5)).unwrap();
        assert_eq!((next, told), (left.clone(), vec![Message::WaitlistLeft { waiter: left.id, turn: 1 }]));
        assert_eq!(has_offer.leave(at(5)).unwrap().0, declined);
        assert!(declined.leave(at(6)).is_none() && left.leave(at(6)).is_none());

        assert!(waiting.rejoin(&waiting, at(9)).is_none(), "who waits keeps their place");
        assert!(has_offer.rejoin(&waiting, at(59)).is_none());
        for over in [(&has_offer, 60), (&declined, 9), (&left, 9)] {
            let (again, told) = over.0.rejoin(&waiting, at(over.1)).unwrap();
            assert_eq!((again.turn, again.joined, &again.state), (2, at(over.1), &State::Waiting));
            assert_eq!(told, [Message::WaitlistJoined { waiter: again.id }]);
            assert_ne!(again.holder(&[1; 32]), waiting.holder(&[1; 32]), "another turn is another hold");
        }

        assert!(has_offer.offered(at(59)).is_ok());
        assert_eq!(has_offer.offered(at(60)).unwrap_err(), Code::HoldGone);
        assert_eq!(waiting.offered(at(0)).unwrap_err(), Code::WrongState);
    }

    #[test]
    fn what_one_can_wait_for_is_bounded() {
        let offer = |n: u8| OfferId::derive(&[&n.to_string()]);
        assert!(check(&[offer(1), offer(2)], 2).is_ok());
        assert!(check(&[], 2).is_err() && check(&[offer(1), offer(1)], 2).is_err());
        assert!(check(&[offer(1)], 0).is_err() && check(&[offer(1)], 41).is_err());
    }
}
