//! Orders: what a buyer asked to buy, from the quote to the tickets. States go forward only.
//!
//! An order that is not paid in time needs no write to expire: it is *pending*, its hold is over, and it reads as
//! expired. Should its money still arrive, the register decides whether it gets its places. [`store`] has the kept form, [`invoice`]
//! the papers that a sale needs.

pub mod invoice;
pub mod store;

use crate::booking::Quote;
use crate::error::{Code, Result};
use crate::id::{BookingId, OrderId, RefundId};
use crate::message::Message;
use crate::money::Money;
use crate::payment::Provider;
use crate::text::{Email, Text};
use invoice::BillTo;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Who buys, as they want to be addressed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// The name on the tickets.
    #[schema(example = "Ada Lovelace")]
    pub name: Text<1, 120>,
    /// Where the tickets go.
    pub email: Email,
}

impl Contact {
    /// Instead of a person whose data were erased.
    #[must_use]
    pub fn nobody() -> Self {
        Self { name: Text::nobody(), email: Email::nowhere() }
    }
}

/// Why an order ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The buyer gave it up before paying.
    Buyer,
    /// The places were gone when the money came.
    PlacesGone,
    /// Its booking was cancelled.
    BookingCancelled,
}

/// Where an order stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// Waiting for the money.
    Pending,
    /// The places are kept for money that was promised.
    Reserved {
        /// The booking.
        booking: BookingId,
        /// Until when it is waited for.
        until: Timestamp,
        /// Since when.
        at: Timestamp,
    },
    /// The places are sold.
    Confirmed {
        /// The booking.
        booking: BookingId,
        /// Since when.
        at: Timestamp,
    },
    /// It ended.
    Cancelled {
        /// Why.
        reason: Reason,
        /// Since when.
        at: Timestamp,
    },
}

/// What an order answers as its status.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OrderStatus)]
pub enum Status {
    /// Waiting for the money, the places are kept.
    Pending,
    /// Not paid in time; money that still arrives ends as places or goes back.
    Expired,
    /// The places are kept for money that was promised.
    Reserved,
    /// The places are sold.
    Confirmed,
    /// It ended.
    Cancelled,
}

/// What can happen to an order, as its history tells it. Each happens at most once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It was placed.
    Placed,
    /// The places are kept for money that was promised.
    Reserved,
    /// The places are sold.
    Confirmed,
    /// The money was taken.
    Paid,
    /// The tickets exist.
    TicketsIssued,
    /// It ended.
    Cancelled,
    /// The authorisation was let go.
    PaymentVoided,
    /// The money went back.
    Refunded,
}

/// One step of the history.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Step {
    /// What happened.
    pub what: What,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Money of an order that went back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = OrderRefund)]
pub struct Refunded {
    /// The refund.
    pub id: RefundId,
    /// How much.
    pub amount: Money,
    /// Asked for the how-many-th time.
    pub attempt: u32,
    /// Whether it came back after all; it is asked for again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returned: bool,
}

/// An order. One hold makes one order: they share their 128 bits, so a double click finds the first one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// What was promised.
    pub quote: Quote,
    /// Who buys.
    pub contact: Contact,
    /// What its buyer wants on the invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill_to: Option<BillTo>,
    /// With whom the payment is that its invoice is for; nothing if its seller issued none when it was sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoiced: Option<Provider>,
    /// Where it stands.
    pub state: State,
    /// What happened.
    pub history: Vec<Step>,
    /// What went back of its money.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<Refunded>,
    /// The print of the request that made it.
    pub print: String,
}

impl Order {
    /// A new order from a verified quote.
    ///
    /// # Errors
    /// `hold_gone` when the quote's time is over.
    pub fn place(
        quote: Quote,
        contact: Contact,
        bill_to: Option<BillTo>,
        print: String,
        now: Timestamp,
    ) -> Result<(Self, Vec<Message>)> {
        if quote.expires <= now {
            return Code::HoldGone.refuse();
        }
        let id = OrderId::from_uuid(quote.hold.uuid());
        let free = quote.total.is_zero();
        let history = vec![Step { what: What::Placed, at: now }];
        let (state, refunds, invoiced) = (State::Pending, Vec::new(), None);
        let order = Self { id, quote, contact, bill_to, invoiced, state, history, refunds, print };
        Ok((order, if free { vec![Message::OrderFreePlaced { order: id }] } else { Vec::new() }))
    }

    /// Without the person who bought: what was sold for how much stays, for whom does not. `None` if it is so already.
    #[must_use]
    pub fn without_person(&self) -> Option<(Self, Vec<Message>)> {
        // The language says nothing of a person, and invoices that are still to come need it.
        let language = self.bill_to.as_ref().and_then(|bill_to| bill_to.language);
        let bill_to = language.map(|_| BillTo { language, ..BillTo::default() });
        let next = Self { contact: Contact::nobody(), bill_to, ..self.clone() };
        (next != *self).then(|| (next, vec![Message::OrderErased { order: self.id }]))
    }

    /// The status at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        match self.state {
            State::Pending if self.quote.expires <= now => Status::Expired,
            State::Pending => Status::Pending,
            State::Reserved { .. } => Status::Reserved,
            State::Confirmed { .. } => Status::Confirmed,
            State::Cancelled { .. } => Status::Cancelled,
        }
    }

    /// Whether its places are sold.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        match self.state {
            State::Confirmed { .. } => true,
            State::Pending | State::Reserved { .. } | State::Cancelled { .. } => false,
        }
    }

    /// Whether it ended.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        match self.state {
            State::Pending | State::Reserved { .. } | State::Confirmed { .. } => false,
            State::Cancelled { .. } => true,
        }
    }

    /// Whether `what` is in the history.
    #[must_use]
    pub fn has(&self, what: What) -> bool {
        self.history.iter().any(|step| step.what == what)
    }

    fn step(&self, state: State, what: What, at: Timestamp) -> Self {
        let mut next = Self { state, ..self.clone() };
        next.history.push(Step { what, at });
        next
    }

    /// The places are sold, for the payment with this provider if its seller issues invoices. An order that was cancelled meanwhile
    /// stays cancelled; its booking is cancelled after it. It was sold all the same: what is kept of the money needs an invoice.
    #[must_use]
    pub fn confirm(&self, booking: BookingId, invoiced: Option<Provider>, now: Timestamp) -> Option<Self> {
        match self.state {
            State::Pending | State::Reserved { .. } => {
                let next = self.step(State::Confirmed { booking, at: now }, What::Confirmed, now);
                Some(Self { invoiced, ..next })
            }
            State::Cancelled { .. } if self.invoiced.is_none() && invoiced.is_some() => {
                Some(Self { invoiced, ..self.clone() })
            }
            State::Confirmed { .. } | State::Cancelled { .. } => None,
        }
    }

    /// The places are kept for money that was promised.
    #[must_use]
    pub fn reserve(&self, booking: BookingId, until: Timestamp, now: Timestamp) -> Option<Self> {
        match self.state {
            State::Pending => {
                Some(self.step(State::Reserved { booking, until, at: now }, What::Reserved, now))
            }
            State::Reserved { .. } | State::Confirmed { .. } | State::Cancelled { .. } => None,
        }
    }

    /// Another booking took the place of its own.
    #[must_use]
    pub fn moved(&self, from: BookingId, to: BookingId) -> Option<Self> {
        match self.state {
            State::Confirmed { booking, at } if booking == from => {
                Some(Self { state: State::Confirmed { booking: to, at }, ..self.clone() })
            }
            State::Reserved { booking, until, at } if booking == from => {
                Some(Self { state: State::Reserved { booking: to, until, at }, ..self.clone() })
            }
            State::Pending | State::Reserved { .. } | State::Confirmed { .. } | State::Cancelled { .. } => {
                None
            }
        }
    }

    /// It ends, because of something that happened elsewhere.
    #[must_use]
    pub fn end(&self, reason: Reason, now: Timestamp) -> Option<Self> {
        match self.state {
            State::Pending | State::Reserved { .. } | State::Confirmed { .. } => {
                Some(self.step(State::Cancelled { reason, at: now }, What::Cancelled, now))
            }
            State::Cancelled { .. } => None,
        }
    }

    /// The buyer gives up before paying.
    ///
    /// # Errors
    /// `wrong_state` once booked: cancel the booking instead.
    pub fn give_up(&self, now: Timestamp) -> Result<Option<(Self, Vec<Message>)>> {
        match self.state {
            State::Pending => Ok(self
                .end(Reason::Buyer, now)
                .map(|next| (next, vec![Message::OrderCancelled { order: self.id }]))),
            State::Reserved { .. } | State::Confirmed { .. } => {
                Err(Code::WrongState.because("it is booked: cancel the booking instead"))
            }
            State::Cancelled { .. } => Ok(None),
        }
    }

    /// Notes in the history what happened elsewhere, once.
    #[must_use]
    pub fn note(&self, what: What, now: Timestamp) -> Option<Self> {
        (!self.has(what)).then(|| self.step(self.state, what, now))
    }

    /// Notes money that went back, or that came back after all. Of two reports of one refund, the later attempt counts, and of one
    /// attempt that it came back.
    #[must_use]
    pub fn refunded(&self, refund: Refunded) -> Option<Self> {
        let mut next = self.clone();
        match next.refunds.iter_mut().find(|known| known.id == refund.id) {
            Some(known) if (known.attempt, known.returned) >= (refund.attempt, refund.returned) => {
                return None;
            }
            Some(known) => *known = refund,
            None => next.refunds.push(refund),
        }
        Some(next)
    }

    /// Whether a payment may be opened.
    ///
    /// # Errors
    /// `wrong_state` when it costs nothing or has ended; `hold_gone` when the places are no longer kept.
    pub fn may_pay(&self, now: Timestamp) -> Result<()> {
        match self.status(now) {
            Status::Pending if self.quote.total.is_zero() => {
                Err(Code::WrongState.because("it costs nothing"))
            }
            Status::Pending => Ok(()),
            Status::Expired => Code::HoldGone.refuse(),
            Status::Reserved => Err(Code::WrongState.because("its payment is promised already")),
            Status::Confirmed => Err(Code::WrongState.because("it is confirmed")),
            Status::Cancelled => Err(Code::WrongState.because("it is cancelled")),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::auth::Buyer;
    use crate::booking::Subject;
    use crate::id::{EventId, GuestId, HoldId, OrganisationId};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn quote(amount: i64) -> Quote {
        Quote {
            hold: HoldId::derive(&["h"]),
            buyer: Buyer::Guest(GuestId::derive(&["g"])),
            organisation: OrganisationId::derive(&["o"]),
            subject: Subject::Event(EventId::derive(&["e"])),
            lines: vec![],
            extras: crate::price::Extras::default(),
            total: Money::new(amount, "EUR".parse().unwrap()),
            claims: vec![],
            expires: at(600),
        }
    }

    fn contact() -> Contact {
        Contact { name: Text::parse("Ada").unwrap(), email: "ada@example.org".parse().unwrap() }
    }

    fn order(amount: i64) -> Order {
        Order::place(quote(amount), contact(), None, String::new(), at(0)).unwrap().0
    }

    #[test]
    fn a_quote_makes_one_order_until_its_time_is_over() {
        let (order, told) = Order::place(quote(2500), contact(), None, String::new(), at(599)).unwrap();
        assert_eq!((order.id.uuid(), told), (order.quote.hold.uuid(), vec![]));
        let (free, told) = Order::place(quote(0), contact(), None, String::new(), at(0)).unwrap();
        assert_eq!(told, [Message::OrderFreePlaced { order: free.id }]);
        assert_eq!(
            Order::place(quote(0), contact(), None, String::new(), at(600)).unwrap_err(),
            Code::HoldGone
        );
    }

    /// Every state × every transition.
    #[test]
    fn the_grid_of_an_order() {
        let booking = BookingId::derive(&["b"]);
        let pending = order(2500);
        let confirmed = pending.confirm(booking, None, at(1)).unwrap();
        let cancelled = pending.end(Reason::PlacesGone, at(1)).unwrap();
        assert_eq!(confirmed.state, State::Confirmed { booking, at: at(1) });
        assert_eq!(confirmed.confirm(booking, Some(Provider::Stripe), at(2)), None);
        assert_eq!(cancelled.confirm(booking, None, at(2)), None, "cancelled stays cancelled");
        let sold = cancelled.confirm(booking, Some(Provider::Stripe), at(2)).unwrap();
        assert_eq!((sold.state, sold.invoiced), (cancelled.state, Some(Provider::Stripe)));
        assert_eq!(sold.confirm(booking, Some(Provider::Stripe), at(3)), None);

        assert_eq!(
            pending.end(Reason::Buyer, at(2)).unwrap().state,
            State::Cancelled { reason: Reason::Buyer, at: at(2) }
        );
        assert!(confirmed.end(Reason::BookingCancelled, at(2)).is_some());
        assert_eq!(cancelled.end(Reason::Buyer, at(2)), None);

        assert_eq!(
            pending.give_up(at(2)).unwrap().unwrap().1,
            [Message::OrderCancelled { order: pending.id }]
        );
        assert_eq!(confirmed.give_up(at(2)).unwrap_err(), Code::WrongState);
        assert_eq!(cancelled.give_up(at(2)).unwrap(), None);

        for order in [&pending, &confirmed, &cancelled] {
            let noted = order.note(What::Paid, at(3)).unwrap();
            assert_eq!((noted.state, noted.note(What::Paid, at(4))), (order.state, None), "once");
        }
    }

    #[test]
    fn an_order_reads_as_expired_without_a_write_and_is_payable_before_only() {
        let pending = order(2500);
        assert_eq!((pending.status(at(599)), pending.status(at(600))), (Status::Pending, Status::Expired));
        assert!(pending.may_pay(at(599)).is_ok());
        assert_eq!(pending.may_pay(at(600)).unwrap_err(), Code::HoldGone);
        assert_eq!(order(0).may_pay(at(0)).unwrap_err(), Code::WrongState);
        let confirmed = pending.confirm(BookingId::derive(&["b"]), None, at(1)).unwrap();
        assert_eq!(confirmed.may_pay(at(2)).unwrap_err(), Code::WrongState);
        assert_eq!(pending.end(Reason::Buyer, at(1)).unwrap().may_pay(at(2)).unwrap_err(), Code::WrongState);
    }
}
