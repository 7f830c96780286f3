//! Payments: one per order and provider; authorised first, captured only once the places are secured.
//!
//! What a provider reports arrives late, twice and in any order. Each report is a [`Fact`]; facts have ranks, and a
//! payment only moves up: a refund that is heard of before its capture ends in the same state. [`store`] has the kept form.

pub mod store;

use crate::auth::Buyer;
use crate::error::{Code, Result};
use crate::id::{OrderId, PaymentId};
use crate::message::Message;
use crate::money::Money;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Who moves the money.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Stripe: PaymentIntents with manual capture.
    Stripe,
}

/// The provider's own name for the payment, and what the client needs to pay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Intent {
    /// `pi_…`
    pub id: String,
    /// With it the buyer's browser, and only it, can pay.
    pub client_secret: String,
}

/// Where a payment stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// The buyer has not paid.
    Open,
    /// The provider keeps the money ready.
    Authorized {
        /// Since when.
        at: Timestamp,
    },
    /// The money is ours.
    Captured {
        /// Since when.
        at: Timestamp,
    },
    /// Let go without taking anything.
    Voided {
        /// Since when.
        at: Timestamp,
    },
    /// Taken and given back.
    Refunded {
        /// Since when.
        at: Timestamp,
    },
}

impl State {
    const fn rank(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Authorized { .. } => 1,
            Self::Captured { .. } => 2,
            Self::Voided { .. } => 3,
            Self::Refunded { .. } => 4,
        }
    }
}

/// What a provider reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    /// An attempt failed; the buyer may try again.
    Declined {
        /// The provider's code, `card_declined`.
        code: String,
    },
    /// The money is kept ready.
    Authorized {
        /// How much.
        amount: Money,
    },
    /// The money was taken.
    Captured,
    /// The authorisation is gone.
    Cancelled,
    /// The money was given back in full.
    Refunded,
}

/// What must be done at the provider to follow a decision about the booking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Take the money.
    Capture,
    /// Let it go.
    Void,
    /// Give it back.
    Refund,
}

/// What the booking's fate asks of its payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The places are sold.
    Confirmed,
    /// There are no places: never sold, or cancelled since.
    None,
}

/// A payment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Payment {
    /// Its id, from the order and the provider: a double click finds the first one.
    pub id: PaymentId,
    /// The order it pays.
    pub order: OrderId,
    /// Who pays.
    pub buyer: Buyer,
    /// Who moves the money.
    pub provider: Provider,
    /// How much.
    pub amount: Money,
    /// The provider's side of it, once opened there.
    pub intent: Option<Intent>,
    /// Where it stands.
    pub state: State,
    /// Why the last attempt failed.
    pub declined: Option<String>,
    /// When it was first stored.
    pub created: Timestamp,
}

impl Payment {
    /// The id of an order's payment with this provider.
    #[must_use]
    pub fn id_of(order: OrderId, provider: Provider) -> PaymentId {
        let provider = match provider {
            Provider::Stripe => "stripe",
        };
        PaymentId::derive(&[&order.to_string(), provider])
    }

    /// A payment that is to be opened.
    #[must_use]
    pub fn new(order: OrderId, buyer: Buyer, provider: Provider, amount: Money, now: Timestamp) -> Self {
        let id = Self::id_of(order, provider);
        Self {
            id,
            order,
            buyer,
            provider,
            amount,
            intent: None,
            state: State::Open,
            declined: None,
            created: now,
        }
    }

    /// Takes in a report. `None` when it tells nothing new.
    ///
    /// # Errors
    /// `internal` when the provider authorised another amount than was asked for.
    pub fn learn(&self, fact: &Fact, now: Timestamp) -> Result<Option<(Self, Vec<Message>)>> {
        let (payment, order) = (self.id, self.order);
        let authorized = Message::PaymentAuthorized { payment, order };
        let (next, messages) = match fact {
            Fact::Declined { code }
                if self.state == State::Open && self.declined.as_deref() != Some(code) =>
            {
                return Ok(Some((Self { declined: Some(code.clone()), ..self.clone() }, Vec::new())));
            }
            Fact::Declined { .. } => return Ok(None),
            Fact::Authorized { amount } if *amount != self.amount => {
                return Err(Code::Internal
                    .caused_by(format!("{payment}: authorised {amount}, asked for {}", self.amount)));
            }
            Fact::Authorized { .. } => (State::Authorized { at: now }, vec![authorized]),
            // Taken without our asking (by hand, at the provider): the places must still be secured, or the money goes back.
            Fact::Captured if self.state == State::Open => {
                (State::Captured { at: now }, vec![authorized, Message::PaymentCaptured { payment, order }])
            }
            Fact::Captured => {
                (State::Captured { at: now }, vec![Message::PaymentCaptured { payment, order }])
            }
            // Money that was taken can be given back, not let go.
            Fact::Cancelled if matches!(self.state, State::Captured { .. }) => return Ok(None),
            Fact::Cancelled => (State::Voided { at: now }, vec![Message::PaymentVoided { payment, order }]),
            Fact::Refunded => {
                (State::Refunded { at: now }, vec![Message::PaymentRefunded { payment, order }])
            }
        };
        let voided = matches!(self.state, State::Voided { .. });
        if next.rank() <= self.state.rank() || voided {
            return Ok(None);
        }
        Ok(Some((Self { state: next, declined: None, ..self.clone() }, messages)))
    }

    /// What must be done at the provider now that the booking's fate is known. Nothing, once it is done.
    #[must_use]
    pub const fn follow(&self, fate: Fate) -> Option<Act> {
        match (self.state, fate) {
            (State::Authorized { .. }, Fate::Confirmed) => Some(Act::Capture),
            (State::Open | State::Authorized { .. }, Fate::None) => Some(Act::Void),
            (State::Captured { .. }, Fate::None) => Some(Act::Refund),
            (State::Open | State::Captured { .. }, Fate::Confirmed)
            | (State::Voided { .. } | State::Refunded { .. }, Fate::Confirmed | Fate::None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn euros(amount: i64) -> Money {
        Money::new(amount, "EUR".parse().unwrap())
    }

    fn payment(state: State) -> Payment {
        let buyer = Buyer::Guest(crate::id::GuestId::derive(&["g"]));
        let new = Payment::new(OrderId::derive(&["o"]), buyer, Provider::Stripe, euros(2500), at(0));
        Payment { state, ..new }
    }

    const STATES: fn() -> [State; 5] = || {
        let at = at(0);
        [
            State::Open,
            State::Authorized { at },
            State::Captured { at },
            State::Voided { at },
            State::Refunded { at },
        ]
    };

    /// Every state × every report: the state it leads to (by rank) and how many messages it causes; `None` is "nothing new".
    #[test]
    fn the_grid_of_reports() {
        let facts =
            [Fact::Authorized { amount: euros(2500) }, Fact::Captured, Fact::Cancelled, Fact::Refunded];
        let expected: [[Option<(u8, usize)>; 4]; 5] = [
            [Some((1, 1)), Some((2, 2)), Some((3, 1)), Some((4, 1))], // open
            [None, Some((2, 1)), Some((3, 1)), Some((4, 1))],         // authorized
            [None, None, None, Some((4, 1))],                         // captured
            [None, None, None, None],                                 // voided
            [None, None, None, None],                                 // refunded
        ];
        for (state, row) in STATES().into_iter().zip(expected) {
            for (fact, expected) in facts.iter().zip(row) {
                let next = payment(state).learn(fact, at(1)).unwrap();
                assert_eq!(
                    next.map(|(next, told)| (next.state.rank(), told.len())),
                    expected,
                    "{state:?} + {fact:?}"
                );
            }
        }
    }

    /// Every state × every fate.
    #[test]
    fn the_grid_of_fates() {
        let expected = [
            (None, Some(Act::Void)),
            (Some(Act::Capture), Some(Act::Void)),
            (None, Some(Act::Refund)),
            (None, None),
            (None, None),
        ];
        for (state, (confirmed, none)) in STATES().into_iter().zip(expected) {
            assert_eq!(payment(state).follow(Fate::Confirmed), confirmed, "{state:?}");
            assert_eq!(payment(state).follow(Fate::None), none, "{state:?}");
        }
    }

    #[test]
    fn a_decline_is_noted_while_open_and_forgotten_once_paid() {
        let declined = Fact::Declined { code: "card_declined".into() };
        let (open, told) = payment(State::Open).learn(&declined, at(1)).unwrap().unwrap();
        assert_eq!(
            (open.state, open.declined.as_deref(), told.len()),
            (State::Open, Some("card_declined"), 0)
        );
        assert_eq!(open.learn(&declined, at(2)).unwrap(), None);
        assert_eq!(open.learn(&Fact::Captured, at(2)).unwrap().unwrap().0.declined, None);
        assert_eq!(payment(State::Captured { at: at(0) }).learn(&declined, at(1)).unwrap(), None);
    }

    #[test]
    fn another_amount_than_asked_for_is_an_alarm() {
        let fact = Fact::Authorized { amount: euros(1) };
        assert_eq!(payment(State::Open).learn(&fact, at(1)).unwrap_err(), Code::Internal);
    }

    proptest! {
        /// Captured and refunded, heard in any order and any number of times, end as refunded, and each message is told once.
        #[test]
        fn any_order_and_any_repetition_of_reports_ends_the_same(order in proptest::collection::vec(0usize..3, 0..12)) {
            let facts = [Fact::Authorized { amount: euros(2500) }, Fact::Captured, Fact::Refunded];
            let all = order.into_iter().chain([2, 1, 0]);
            let (mut current, mut refunds) = (payment(State::Open), 0);
            for fact in all {
                if let Some((next, told)) = current.learn(&facts[fact], at(1)).unwrap() {
                    refunds += told.iter().filter(|told| matches!(told, Message::PaymentRefunded { .. })).count();
                    current = next;
                }
            }
            prop_assert_eq!(current.state.rank(), 4);
            prop_assert_eq!(refunds, 1);
        }
    }
}
