//! Payments: an order's money, with one provider each; authorised first, captured only once the places are secured, and given back
//! in one or several refunds.
//!
//! What a provider reports arrives late, twice and in any order. Each report is a [`Fact`]; a payment's state and each of its
//! refunds only move up, so that every order of reports ends in the same state. What must be done follows from two things alone,
//! the payment and the [`Fate`] of its booking ([`Payment::follow`]): whoever hears that either changed works out what is left to do,
//! does it, and may die and begin again at any point.
//!
//! A refund is owed before it is asked for ([`Payment::owe`]): what is owed can never be more than what was taken, whoever asks at
//! once, because it is all in one item. [`store`] has the kept form, [`promise`] what is different about transfers and cash,
//! [`gift`] how a gift card pays a part.

pub mod circuit;
pub mod gift;
pub mod ledger;
pub mod promise;
pub mod refund;
pub mod store;

use crate::auth::Buyer;
use crate::booking::Subject;
use crate::error::{Code, Result};
use crate::id::{OrderId, OrganisationId, PaymentId, RefundId};
use crate::identity::Resource;
use crate::message::Message;
use crate::money::Money;
use crate::order::Order;
use crate::price::Part;
use gift::Credit;
use jiff::Timestamp;
use promise::{Promise, Receipt};
use refund::{Refund, RefundFact, Wanted, Why};
use serde::{Deserialize, Serialize};

/// Who moves the money.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Stripe: PaymentIntents with manual capture.
    Stripe,
    /// Razorpay: orders, of whose payments one is captured.
    Razorpay,
    /// Bank transfers to the seller's account: promised, then seen.
    Transfer,
    /// Cash: promised, then seen.
    Cash,
    /// Nobody: a gift card pays all of it.
    Gift,
}

impl Provider {
    /// Every provider.
    pub const ALL: &'static [Self] = &[Self::Stripe, Self::Razorpay, Self::Transfer, Self::Cash, Self::Gift];

    /// Whether people move its money, and say so.
    #[must_use]
    pub const fn is_by_hand(self) -> bool {
        match self {
            Self::Stripe | Self::Razorpay | Self::Gift => false,
            Self::Transfer | Self::Cash => true,
        }
    }

    /// The least that it pays back, minor units. Razorpay: 100, <https://razorpay.com/docs/api/refunds/create-normal/>.
    #[must_use]
    pub const fn least_refund(self) -> i64 {
        match self {
            Self::Razorpay => 100,
            Self::Stripe | Self::Transfer | Self::Cash | Self::Gift => 1,
        }
    }

    /// With whom this payment of an order is.
    #[must_use]
    pub fn of(order: OrderId, payment: PaymentId) -> Option<Self> {
        Self::ALL.iter().copied().find(|with| Payment::id_of(order, *with) == payment)
    }

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Razorpay => "razorpay",
            Self::Transfer => "transfer",
            Self::Cash => "cash",
            Self::Gift => "gift",
        }
    }
}

/// The provider's own name for the payment, and what the client needs to pay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Intent {
    /// `pi_…`, `order_…`; of a gift card its id, of a transfer the reference that its buyer writes, `TS-7Q2K-94MX-3`.
    pub id: String,
    /// With it the buyer's browser, and only it, can pay; where the provider has such a thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
}

/// Where a payment stands. What went back is said by its refunds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// The buyer has not paid.
    Open,
    /// The provider keeps the money ready; or it was promised, and is waited for.
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
}

/// A payment's state in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PaymentStatus)]
pub enum Status {
    /// The buyer has not paid.
    Open,
    /// The provider keeps the money ready.
    Authorized,
    /// The buyer has promised to transfer it, or to bring it.
    Promised,
    /// The money was taken.
    Captured,
    /// Let go without taking anything.
    Voided,
    /// Taken, and a part of it given back.
    PartlyRefunded,
    /// Taken, and all of it given back.
    Refunded,
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
        /// Which attempt to pay it was, where the provider tells attempts apart.
        charge: Option<String>,
    },
    /// The money was taken.
    Captured {
        /// In which attempt.
        charge: Option<String>,
    },
    /// The authorisation is gone.
    Cancelled,
    /// Something about a refund.
    Refund(RefundFact),
}

/// What must be done to follow a decision about the booking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Take the money.
    Capture,
    /// Let it go.
    Void,
    /// Owe so much of it, because of the booking.
    Owe(Money),
}

/// What the booking's fate asks of a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The places are sold, for this payment.
    Confirmed,
    /// There are no places: never sold, sold for another payment, or cancelled since.
    Gone {
        /// How much goes back, if it is not all of it.
        back: Option<Money>,
    },
}

/// A payment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Payment {
    /// Its id, from the order and the provider: a double click finds the first one.
    pub id: PaymentId,
    /// The order it pays.
    pub order: OrderId,
    /// Who sells.
    pub organisation: OrganisationId,
    /// What the order is of.
    #[serde(flatten)]
    pub subject: Subject,
    /// Who pays.
    pub buyer: Buyer,
    /// Who moves the money.
    pub provider: Provider,
    /// How much.
    pub amount: Money,
    /// What of it a gift card pays; the provider is asked for the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit: Option<Credit>,
    /// What for: lines and fees, which sum to the amount.
    pub parts: Vec<Part>,
    /// What the seller bears of fees, out of the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub borne: Option<Money>,
    /// The provider's side of it, once opened there.
    pub intent: Option<Intent>,
    /// The attempt that was authorised, where the provider tells attempts apart: it is captured and refunded by this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Why the last attempt failed.
    pub declined: Option<String>,
    /// What was promised, if nobody can take the money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<Promise>,
    /// What arrived of what was promised, in the order in which it was told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<Receipt>,
    /// What is owed, or went back, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<Refund>,
    /// Since when something is to be done that its provider could not be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Timestamp>,
    /// When it was first stored.
    pub created: Timestamp,
}

impl From<&Payment> for Resource {
    fn from(it: &Payment) -> Self {
        Self::of(it.organisation, it.subject)
    }
}

impl Payment {
    /// The id of an order's payment with this provider.
    #[must_use]
    pub fn id_of(order: OrderId, provider: Provider) -> PaymentId {
        PaymentId::derive(&[&order.to_string(), provider.word()])
    }

    /// A payment that is to be opened.
    #[must_use]
    pub fn new(order: &Order, provider: Provider, now: Timestamp) -> Self {
        let quote = &order.quote;
        Self {
            id: Self::id_of(order.id, provider),
            order: order.id,
            organisation: quote.organisation,
            subject: quote.subject,
            buyer: quote.buyer,
            provider,
            amount: quote.total,
            credit: None,
            parts: crate::price::parts(&quote.lines, &quote.extras),
            borne: quote.extras.borne,
            intent: None,
            charge: None,
            state: State::Open,
            declined: None,
            promise: None,
            receipts: Vec::new(),
            refunds: Vec::new(),
            waits: None,
            created: now,
        }
    }

    /// What its provider is asked for: all but what a gift card pays.
    #[must_use]
    pub fn charged(&self) -> Money {
        let credit = self.credit.map_or(0, |credit| credit.amount.amount);
        Money::new(self.amount.amount - credit, self.amount.currency)
    }

    /// What its booking is to hear now that its money is ready, or promised; its gift card goes first.
    fn ready(&self) -> Message {
        let (payment, order) = (self.id, self.order);
        match (self.credit, &self.promise) {
            (Some(Credit { claimed: false, .. }), _) => Message::GiftCreditDue { payment },
            (_, Some(promise)) => Message::PaymentPromised { payment, order, until: promise.until },
            (_, None) => Message::PaymentAuthorized { payment, order },
        }
    }

    /// Its gift card has let go of its part for good: now its booking is told. Nothing if it was told, or there is nothing to tell.
    #[must_use]
    pub fn credited(&self) -> Option<(Self, Vec<Message>)> {
        let credit = self.credit.filter(|credit| !credit.claimed)?;
        match self.state {
            State::Open | State::Voided { .. } => None,
            State::Authorized { .. } | State::Captured { .. } => {
                let next = Self { credit: Some(Credit { claimed: true, ..credit }), ..self.clone() };
                let told = next.ready();
                Some((next, vec![told]))
            }
        }
    }

    /// Its state in one word.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.state {
            State::Open => Status::Open,
            State::Authorized { .. } if self.promise.is_some() => Status::Promised,
            State::Authorized { .. } => Status::Authorized,
            State::Voided { .. } => Status::Voided,
            State::Captured { .. } if self.refunded() == self.amount => Status::Refunded,
            State::Captured { .. } if self.refunded().is_zero() => Status::Captured,
            State::Captured { .. } => Status::PartlyRefunded,
        }
    }

    /// What went back.
    #[must_use]
    pub fn refunded(&self) -> Money {
        self.sum(Refund::is_done)
    }

    /// What was taken and is not owed.
    #[must_use]
    pub fn remaining(&self) -> Money {
        let owed = self.sum(|_| true);
        Money::new(self.amount.amount - owed.amount, self.amount.currency)
    }

    fn sum(&self, which: impl Fn(&Refund) -> bool) -> Money {
        let amounts = self.refunds.iter().filter(|refund| which(refund)).map(|refund| refund.amount.amount);
        Money::new(amounts.sum(), self.amount.currency)
    }

    /// The refund of this id.
    #[must_use]
    pub fn refund(&self, id: RefundId) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    const fn is_captured(&self) -> bool {
        match self.state {
            State::Captured { .. } => true,
            State::Open | State::Authorized { .. } | State::Voided { .. } => false,
        }
    }

    /// Takes in a report. `None` when it tells nothing new.
    ///
    /// # Errors
    /// `internal` when the provider authorised another amount than was asked for; `unavailable` for what cannot be understood yet.
    pub fn learn(&self, fact: &Fact, now: Timestamp) -> Result<Option<(Self, Vec<Message>)>> {
        let (payment, order) = (self.id, self.order);
        let authorized = self.ready();
        let captured = Message::PaymentCaptured { payment, order };
        let charge = match fact {
            Fact::Authorized { charge, .. } | Fact::Captured { charge } => charge,
            Fact::Declined { .. } | Fact::Cancelled | Fact::Refund(_) => &None,
        };
        let charge = self.charge.clone().or_else(|| charge.clone());
        let moved = |state, told| Ok(Some((Self { state, charge, declined: None, ..self.clone() }, told)));
        match (fact, self.state) {
            (Fact::Declined { code }, State::Open) if self.declined.as_deref() != Some(code) => {
                Ok(Some((Self { declined: Some(code.clone()), ..self.clone() }, Vec::new())))
            }
            (Fact::Declined { .. }, _) => Ok(None),
            (Fact::Authorized { amount, .. }, _) if *amount != self.charged() => Err(Code::Internal
                .caused_by(format!("{payment}: authorised {amount}, asked for {}", self.charged()))),
            (Fact::Authorized { .. }, State::Open) => moved(State::Authorized { at: now }, vec![authorized]),
            // Taken without our asking (by hand, at the provider): the places must still be secured, or the money goes back.
            (Fact::Captured { .. }, State::Open) => {
                moved(State::Captured { at: now }, vec![authorized, captured])
            }
            // Let go, as we thought, but it had been taken: the answer to that was lost. It is known now, and goes back.
            (Fact::Captured { .. }, State::Authorized { .. } | State::Voided { .. }) => {
                moved(State::Captured { at: now }, vec![captured])
            }
            (Fact::Cancelled, State::Open | State::Authorized { .. }) => {
                let freed = self.credit.map(|_| Message::GiftCreditDue { payment });
                let told = std::iter::once(Message::PaymentVoided { payment, order }).chain(freed);
                moved(State::Voided { at: now }, told.collect())
            }
            // Money that was taken can be given back, not let go.
            (Fact::Authorized { .. } | Fact::Captured { .. } | Fact::Cancelled, _) => Ok(None),
            (Fact::Refund(_), State::Voided { .. }) => Ok(None),
            (Fact::Refund(refund), _) => self.learn_refund(refund, now),
        }
    }

    /// What is to be done now that the booking's fate is known. Nothing, once it is done.
    #[must_use]
    pub fn follow(&self, fate: Fate) -> Option<Act> {
        match (self.state, fate) {
            // It comes by itself, and what has not come is not waited for.
            (State::Authorized { .. }, Fate::Confirmed) if self.promise.is_some() => None,
            (State::Authorized { .. }, Fate::Gone { .. }) if self.promise.is_some() => Some(Act::Void),
            (State::Authorized { .. }, Fate::Confirmed) => Some(Act::Capture),
            // The seller keeps a part of it: that must be taken first.
            (State::Authorized { .. }, Fate::Gone { back: Some(back) }) if back != self.amount => {
                Some(Act::Capture)
            }
            (State::Open | State::Authorized { .. }, Fate::Gone { .. }) => Some(Act::Void),
            (State::Captured { .. }, Fate::Gone { back }) => {
                let due = back.unwrap_or(self.amount).amount.min(self.remaining().amount);
                let owed = self.refund(self.booking_refund()).is_some();
                (due > 0 && !owed).then(|| Act::Owe(Money::new(due, self.amount.currency)))
            }
            (State::Open | State::Captured { .. } | State::Voided { .. }, Fate::Confirmed)
            | (State::Voided { .. }, Fate::Gone { .. }) => None,
        }
    }

    /// Notes that something is to be done that its provider could not be asked for. Nothing, if that is known.
    #[must_use]
    pub fn wait(&self, since: Timestamp) -> Option<(Self, Vec<Message>)> {
        let known = self.waits.is_some_and(|known| known <= since);
        (!known).then(|| (Self { waits: Some(since), ..self.clone() }, Vec::new()))
    }

    /// Lets what waits be tried again. The mark goes in the write that tells of it, so that whoever fails again sets a new one.
    #[must_use]
    pub fn resume(&self) -> Option<(Self, Vec<Message>)> {
        let since = self.waits?;
        let told = Message::PaymentResumed { payment: self.id, order: self.order, since };
        Some((Self { waits: None, ..self.clone() }, vec![told]))
    }

    /// The id of the one refund that the booking's fate can ask for.
    #[must_use]
    pub fn booking_refund(&self) -> RefundId {
        RefundId::derive(&[&self.id.to_string(), "booking"])
    }

    /// Owes what the booking's fate asks for.
    ///
    /// # Errors
    /// As [`Self::owe`].
    pub fn owe_for_booking(&self, amount: Money, now: Timestamp) -> Result<Option<(Self, Vec<Message>)>> {
        let (id, why) = (self.booking_refund(), Why::Booking);
        let new =
            refund::New { id, wanted: Wanted::Amount(amount), why, reason: None, by: None, print: None };
        self.owe(new, now)
    }
}

#[cfg(test)]
mod tests;
