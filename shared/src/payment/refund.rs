//! Refunds of a payment: owed, asked for, done; or failed, and asked for again.
//!
//! A refund is spread over the parts of the payment, lines and fees, so that credit notes and books can say what it was for. What went
//! back of a part includes its share of the part's tax, worked out on the sum so far: however many refunds it takes, at the end
//! exactly the tax that was paid has gone back.

use super::{Fact, Payment, State};
use crate::auth::Actor;
use crate::error::{Code, Refusal, Result};
use crate::id::RefundId;
use crate::message::Message;
use crate::money::{Money, split};
use crate::price::Part;
use crate::text::Text;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most refunds that one payment can have.
pub const MAX_REFUNDS: usize = 50;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(amount: &i64) -> bool {
    *amount == 0
}

/// Why something is given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RefundWhy)]
pub enum Why {
    /// The booking was cancelled, or never came about.
    Booking,
    /// The seller decided to.
    Seller,
    /// Somebody did it at the provider.
    Provider,
}

/// What goes back of one part of the payment, in minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = RefundedPart)]
pub struct Back {
    /// Which part of the payment, from 0: its lines, then its fees.
    pub part: u32,
    /// How much, tax included.
    pub gross: i64,
    /// The tax in it.
    pub tax: i64,
}

/// Where a refund stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum RefundState {
    /// The provider is to be asked.
    Due {
        /// For the how-many-th time, from 1.
        attempt: u32,
    },
    /// The provider has begun.
    Pending {
        /// Asked for the how-many-th time.
        attempt: u32,
        /// The provider's name for it.
        id: String,
    },
    /// It is done.
    Done {
        /// Asked for the how-many-th time.
        attempt: u32,
        /// The provider's name for it.
        id: String,
        /// Since when.
        at: Timestamp,
    },
    /// The provider could not do it.
    Failed {
        /// Asked for the how-many-th time.
        attempt: u32,
        /// Why, in the provider's words.
        code: String,
        /// Since when.
        at: Timestamp,
    },
}

impl RefundState {
    /// Asked for the how-many-th time.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        match self {
            Self::Due { attempt }
            | Self::Pending { attempt, .. }
            | Self::Done { attempt, .. }
            | Self::Failed { attempt, .. } => *attempt,
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Due { .. } => 0,
            Self::Pending { .. } => 1,
            Self::Done { .. } => 2,
            // A bank may send back what seemed done.
            Self::Failed { .. } => 3,
        }
    }
}

/// Something that is owed, or went back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// How much.
    pub amount: Money,
    /// What of it goes back to the gift card, minor units: what was paid otherwise goes back first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub to_card: i64,
    /// Of what.
    pub backs: Vec<Back>,
    /// Why.
    pub why: Why,
    /// What the seller said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<1, 500>>,
    /// Who decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// The print of the request that made it, if a request did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub print: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Where it stands.
    pub state: RefundState,
}

impl Refund {
    /// What its provider is asked for: all but what goes back to the gift card.
    #[must_use]
    pub fn asked(&self) -> Money {
        Money::new(self.amount.amount - self.to_card, self.amount.currency)
    }

    /// Whether the money went back.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        match self.state {
            RefundState::Done { .. } => true,
            RefundState::Due { .. } | RefundState::Pending { .. } | RefundState::Failed { .. } => false,
        }
    }
}

/// What is to go back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// So much, of everything alike.
    Amount(Money),
    /// So much of these parts, in minor units.
    Parts(Vec<(u32, i64)>),
}

/// A refund that is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct New {
    /// Its id.
    pub id: RefundId,
    /// What is to go back.
    pub wanted: Wanted,
    /// Why.
    pub why: Why,
    /// What the seller says about it.
    pub reason: Option<Text<1, 500>>,
    /// Who decided it.
    pub by: Option<Actor>,
    /// The print of the request that decided it.
    pub print: Option<String>,
}

/// What a provider says about a refund.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefundFact {
    /// The provider's name for it.
    pub id: String,
    /// Which of ours, asked for the how-many-th time; nothing if somebody made it at the provider.
    pub ours: Option<(RefundId, u32)>,
    /// How much.
    pub amount: Money,
    /// Where it stands.
    pub progress: Progress,
}

/// How far a provider is with a refund.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It has begun.
    Pending,
    /// It is done.
    Done,
    /// It could not be done, or came back.
    Failed {
        /// Why, in the provider's words.
        code: String,
    },
}

/// The tax in so much of a part: rounded half up on the sum so far.
fn tax_in(part: &Part, gross: i64) -> i64 {
    if part.gross == 0 {
        return 0;
    }
    let (above, below) = (i128::from(part.tax) * i128::from(gross), i128::from(part.gross));
    i64::try_from((2 * above + below) / (2 * below)).unwrap_or(part.tax)
}

impl Payment {
    /// How much of each part is owed already.
    fn owed(&self) -> Vec<i64> {
        let mut owed = vec![0; self.parts.len()];
        for back in self.refunds.iter().flat_map(|refund| &refund.backs) {
            if let Some(sum) = owed.get_mut(back.part as usize) {
                *sum += back.gross;
            }
        }
        owed
    }

    /// How much of each part can still go back, in minor units.
    #[must_use]
    pub fn rests(&self) -> Vec<i64> {
        self.parts.iter().zip(self.owed()).map(|(part, owed)| part.gross - owed).collect()
    }

    /// Spreads what is wanted over the parts.
    fn spread(&self, wanted: &Wanted) -> Result<Vec<Back>> {
        let (owed, rests) = (self.owed(), self.rests());
        let shares: Vec<i64> = match wanted {
            Wanted::Amount(money) if money.currency != self.amount.currency => {
                return Err(Refusal::invalid("/amount/currency", "must be the payment's"));
            }
            Wanted::Amount(money) if money.amount < 1 => {
                return Err(Refusal::invalid("/amount", "must be more than 0"));
            }
            Wanted::Amount(money) if money.amount > rests.iter().sum() => {
                return Err(Refusal::from(Code::RefundTooLarge).with("remaining", self.remaining()));
            }
            Wanted::Amount(money) => split(money.amount, &rests),
            Wanted::Parts(parts) => {
                let mut shares = vec![0; rests.len()];
                for (part, amount) in parts {
                    let share = shares
                        .get_mut(*part as usize)
                        .ok_or_else(|| Refusal::invalid("/lines", "there is no such line"))?;
                    *share += amount;
                }
                shares
            }
        };
        let mut backs = Vec::new();
        for (place, share) in shares.into_iter().enumerate().filter(|(_, share)| *share != 0) {
            if share < 0 || share > rests[place] {
                return Err(Refusal::from(Code::RefundTooLarge).with("remaining", self.remaining()));
            }
            let part = &self.parts[place];
            let tax = tax_in(part, owed[place] + share) - tax_in(part, owed[place]);
            backs.push(Back { part: u32::try_from(place).unwrap_or(u32::MAX), gross: share, tax });
        }
        if backs.is_empty() {
            return Err(Refusal::invalid("/amount", "must be more than 0"));
        }
        Ok(backs)
    }

    /// Owes something of what was taken. The same id again changes nothing.
    ///
    /// # Errors
    /// `wrong_state` if nothing was taken, or there are too many refunds; `refund_too_large`; `invalid_input`.
    pub fn owe(&self, new: New, now: Timestamp) -> Result<Option<(Self, Vec<Message>)>> {
        if self.refund(new.id).is_some() {
            return Ok(None);
        }
        match self.state {
            State::Captured { .. } => {}
            State::Open | State::Authorized { .. } | State::Voided { .. } => {
                return Err(Code::WrongState.because("nothing was taken"));
            }
        }
        if self.refunds.len() >= MAX_REFUNDS {
            return Err(Code::WrongState.because("there are 50 refunds of it already"));
        }
        let backs = self.spread(&new.wanted)?;
        let amount = Money::new(backs.iter().map(|back| back.gross).sum(), self.amount.currency);
        let New { id, why, reason, by, print, .. } = new;
        let state = RefundState::Due { attempt: 1 };
        let moved: i64 = self.refunds.iter().map(|known| known.asked().amount).sum();
        let to_card = (amount.amount - (self.charged().amount - moved).max(0)).max(0);
        let refund = Refund { id, amount, to_card, backs, why, reason, by, print, at: now, state };
        let asked = refund.asked().amount;
        // Asked for, it would only fail, and go on failing. What a policy gives back is owed all the same.
        if why == Why::Seller && (1..self.provider.least_refund()).contains(&asked) {
            return Err(Refusal::invalid("/amount", "is less than its provider pays back"));
        }
        let told = Message::RefundDue { payment: self.id, refund: id, attempt: 1 };
        Ok(Some((self.with(refund), vec![told])))
    }

    /// Asks once more for a refund that failed. One that did not is left alone.
    ///
    /// # Errors
    /// `not_found`.
    pub fn retry(&self, id: RefundId) -> Result<Option<(Self, Vec<Message>)>> {
        let refund = self.refund(id).ok_or(Code::NotFound)?;
        let RefundState::Failed { attempt, .. } = refund.state else { return Ok(None) };
        let attempt = attempt + 1;
        let next = Refund { state: RefundState::Due { attempt }, ..refund.clone() };
        Ok(Some((self.with(next), vec![Message::RefundDue { payment: self.id, refund: id, attempt }])))
    }

    fn with(&self, refund: Refund) -> Self {
        let mut next = self.clone();
        match next.refunds.iter_mut().find(|known| known.id == refund.id) {
            Some(known) => *known = refund,
            None => next.refunds.push(refund),
        }
        next
    }

    /// Takes in what the provider says about a refund.
    ///
    /// # Errors
    /// `unavailable` for a refund that somebody made at the provider of what we do not know to be taken: the news of that is on
    /// its way, or it was an authorisation that was let go, which is reported alike.
    pub(super) fn learn_refund(
        &self,
        fact: &RefundFact,
        now: Timestamp,
    ) -> Result<Option<(Self, Vec<Message>)>> {
        if !self.is_captured() && fact.ours.is_none() {
            return Err(
                Code::Unavailable.caused_by(format!("{}: {} came before its payment", self.id, fact.id))
            );
        }
        // What we asked for was taken, even if nobody has told us yet.
        let (payment, mut told) =
            self.learn(&Fact::Captured { charge: None }, now)?.unwrap_or_else(|| (self.clone(), Vec::new()));
        let news = |payment, told: Vec<Message>| Ok((!told.is_empty()).then_some((payment, told)));
        let foreign = || (RefundId::derive(&[&self.id.to_string(), &fact.id]), 1);
        let (id, attempt) = fact.ours.unwrap_or_else(foreign);
        let refund = match payment.refund(id) {
            Some(known) if known.state.attempt() == attempt => known.clone(),
            // An earlier attempt: it failed, or it would not have been asked for again.
            Some(_) => return news(payment, told),
            None => payment.foreign(id, attempt, fact.amount, now),
        };
        let name = fact.id.clone();
        let state = match &fact.progress {
            Progress::Pending => RefundState::Pending { attempt, id: name },
            Progress::Done => RefundState::Done { attempt, id: name, at: now },
            Progress::Failed { code } => RefundState::Failed { attempt, code: code.clone(), at: now },
        };
        if state.rank() <= refund.state.rank() {
            return news(payment, told);
        }
        let (of, order, amount) = (payment.id, payment.order, refund.amount);
        match state {
            RefundState::Due { .. } | RefundState::Pending { .. } => {}
            RefundState::Done { .. } => {
                let (why, reason) = (refund.why, refund.reason.as_ref().map(ToString::to_string));
                told.push(Message::RefundDone {
                    payment: of,
                    order,
                    refund: id,
                    attempt,
                    amount,
                    why,
                    reason,
                });
            }
            RefundState::Failed { .. } => {
                let was_done = refund.is_done();
                told.push(Message::RefundFailed {
                    payment: of,
                    order,
                    refund: id,
                    attempt,
                    was_done,
                    amount,
                });
            }
        }
        let next = payment.with(Refund { state, ..refund });
        if next.refunded() == next.amount {
            told.push(Message::PaymentRefunded { payment: of, order });
        }
        Ok(Some((next, told)))
    }

    /// A refund that somebody made at the provider. Of what refunds of ours owe already nothing is counted twice: those will be
    /// refused.
    fn foreign(&self, id: RefundId, attempt: u32, amount: Money, now: Timestamp) -> Refund {
        let rest = self.rests().iter().sum::<i64>().min(amount.amount);
        let backs = self.spread(&Wanted::Amount(Money { amount: rest, ..amount })).unwrap_or_default();
        let (why, state) = (Why::Provider, RefundState::Due { attempt });
        Refund { id, amount, to_card: 0, backs, why, reason: None, by: None, print: None, at: now, state }
    }

    /// Whether a refund is still to be asked for, or to be heard of.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.refunded().amount < self.amount.amount && self.refunds.iter().any(|refund| !refund.is_done())
    }
}
