//! Money that no provider moves: bank transfers, and cash. It is promised first; then people see it arrive, and say so.
//!
//! A promise secures the places until it is [`Promise::until`]: the payment is [`Authorized`](State::Authorized) as with a card, only
//! that nobody can take the money. What arrives is a [`Receipt`], told by hand or read from a bank statement, each once by its id.
//! Enough of them take the payment. What is over, or came too late, is owed back ([`Payment::surplus`]) and paid back by hand; so are
//! refunds ([`Payment::refund_made`]).
//!
//! A payment whose promise was broken is let go, and stays so: money that arrives afterwards takes it all the same, and goes back. Its
//! places may be somebody else's by then.

pub mod iban;

use super::refund::{Progress, RefundFact, RefundState};
use super::{Payment, Provider, State};
use crate::auth::Actor;
use crate::error::{Code, Fault, Refusal, Result};
use crate::id::{OrganisationId, RefundId};
use crate::message::Message;
use crate::money::Money;
use crate::text::Text;
use iban::Iban;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The most receipts of one payment.
pub const MAX_RECEIPTS: usize = 50;
/// What a payment reference begins with.
pub const REFERENCE: &str = "TS";

/// The account to which buyers transfer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BankAccount {
    /// Whose it is: banks compare it.
    #[schema(example = "Kulturhaus GmbH")]
    pub holder: Text<1, 70>,
    /// The account.
    pub iban: Iban,
    /// The bank's BIC (ISO 9362), for those abroad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 8, max_length = 11, example = "COBADEFFXXX")]
    pub bic: Option<Text<8, 11>>,
}

/// How long a promise is believed, hours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromiseTerms {
    /// To be paid within so many hours of the order.
    #[schema(minimum = 1, maximum = 2160, example = 168)]
    pub within: u32,
    /// And so many hours before it begins.
    #[serde(default)]
    #[schema(maximum = 2160, example = 48)]
    pub before: u32,
    /// Kept for so many hours after that: a transfer takes a day or two.
    #[serde(default)]
    #[schema(maximum = 720, example = 48)]
    pub grace: u32,
    /// The buyer is reminded so many hours before it is due; never if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2160, example = 48)]
    pub remind: Option<u32>,
}

/// Paying by bank transfer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferMeans {
    /// To which account.
    pub account: BankAccount,
    /// How long it is waited for.
    pub terms: PromiseTerms,
}

/// Paying in cash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CashMeans {
    /// Where and when, as the buyer reads it.
    #[schema(example = "At the box office, Mondays to Fridays from 10 to 18.")]
    pub place: Text<1, 300>,
    /// How long it is waited for.
    pub terms: PromiseTerms,
}

/// How an organisation's buyers can pay besides the providers of the deployment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentMeans {
    /// By bank transfer, if they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferMeans>,
    /// In cash, if they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cash: Option<CashMeans>,
}

/// The kept form of an organisation's [`PaymentMeans`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Means {
    /// Whose.
    pub organisation: OrganisationId,
    /// Which.
    #[serde(flatten)]
    pub means: PaymentMeans,
}

impl PromiseTerms {
    fn faults(&self, at: &str) -> Vec<Fault> {
        let bounds = [
            ("within", Some(self.within), 1, 2160),
            ("before", Some(self.before), 0, 2160),
            ("grace", Some(self.grace), 0, 720),
            ("remind", self.remind, 1, 2160),
        ];
        let outside = |(name, hours, least, most): (&str, Option<u32>, u32, u32)| {
            let detail = format!("must be {least} to {most} hours");
            let fault = Fault { pointer: format!("/{at}/terms/{name}"), detail };
            hours.filter(|hours| !(least..=most).contains(hours)).map(|_| fault)
        };
        bounds.into_iter().filter_map(outside).collect()
    }

    /// What is promised by whoever orders now something that begins then.
    ///
    /// # Errors
    /// `wrong_state` with less than an hour left to pay.
    pub fn promise(&self, pay: PayTo, starts: Option<Timestamp>, now: Timestamp) -> Result<Promise> {
        let hours = |hours: u32| SignedDuration::from_hours(i64::from(hours));
        let within = now + hours(self.within);
        let due = starts.map_or(within, |starts| within.min(starts - hours(self.before)));
        if due < now + hours(1) {
            return Err(Code::WrongState.because("it begins too soon to be paid like this"));
        }
        let remind = self.remind.map(|before| due - hours(before)).filter(|at| *at > now);
        Ok(Promise { pay, due, until: due + hours(self.grace), remind })
    }
}

impl PaymentMeans {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_input`.
    pub fn check(&self) -> Result<()> {
        let transfer = self.transfer.iter().flat_map(|transfer| transfer.terms.faults("transfer"));
        let cash = self.cash.iter().flat_map(|cash| cash.terms.faults("cash"));
        let faults: Vec<Fault> = transfer.chain(cash).collect();
        match faults.is_empty() {
            true => Ok(()),
            false => Err(Refusal { faults, ..Code::InvalidInput.into() }),
        }
    }

    /// Those that are offered.
    pub fn offered(&self) -> impl Iterator<Item = Provider> {
        let transfer = self.transfer.as_ref().map(|_| Provider::Transfer);
        transfer.into_iter().chain(self.cash.as_ref().map(|_| Provider::Cash))
    }

    /// What whoever pays with this promises; nothing if it is not offered, or not such a thing.
    ///
    /// # Errors
    /// As [`PromiseTerms::promise`].
    pub fn promise(
        &self,
        provider: Provider,
        starts: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Promise>> {
        let (pay, terms) = match provider {
            Provider::Stripe | Provider::Razorpay | Provider::Gift => return Ok(None),
            Provider::Transfer => match &self.transfer {
                Some(TransferMeans { account, terms }) => (PayTo::Account(account.clone()), terms),
                None => return Ok(None),
            },
            Provider::Cash => match &self.cash {
                Some(CashMeans { place, terms }) => (PayTo::Place(place.clone()), terms),
                None => return Ok(None),
            },
        };
        terms.promise(pay, starts, now).map(Some)
    }
}

/// Where the money is to go, as the buyer was told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayTo {
    /// To this account.
    Account(BankAccount),
    /// In cash, here.
    Place(Text<1, 300>),
}

/// What was promised.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Promise {
    /// Where it is to be paid.
    pub pay: PayTo,
    /// Until when.
    pub due: Timestamp,
    /// Until when it is waited for.
    pub until: Timestamp,
    /// When the buyer is to be reminded, if that is still to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind: Option<Timestamp>,
}

impl Promise {
    /// When something is to be done about it.
    #[must_use]
    pub fn wakes(&self) -> Timestamp {
        self.remind.map_or(self.until, |remind| remind.min(self.until))
    }
}

/// Which way money went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From the buyer.
    #[default]
    In,
    /// Back to the buyer, of what was over or too late. Refunds are told as refunds.
    Out,
}

/// Money that was seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Receipt {
    /// Its id: of the request that told it, or of the line in the statement.
    #[schema(max_length = 200)]
    pub id: String,
    /// Which way.
    #[serde(default)]
    pub way: Way,
    /// How much.
    pub amount: Money,
    /// The day of the bank, if a statement told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub booked: Option<Date>,
    /// What whoever told it says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text<1, 200>>,
    /// Who told it.
    pub by: Actor,
    /// When it was told.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

type Change = (Payment, Vec<Message>);

impl Payment {
    /// Promises the money: the places are to be secured.
    #[must_use]
    pub fn promised(&self, promise: Promise, now: Timestamp) -> Option<Change> {
        match self.state {
            State::Open => {
                let next =
                    Self { state: State::Authorized { at: now }, promise: Some(promise), ..self.clone() };
                let told = next.ready();
                Some((next, vec![told]))
            }
            State::Authorized { .. } | State::Captured { .. } | State::Voided { .. } => None,
        }
    }

    /// The promise, while it is waited for.
    #[must_use]
    pub const fn awaited(&self) -> Option<&Promise> {
        match self.state {
            State::Authorized { .. } => self.promise.as_ref(),
            State::Open | State::Captured { .. } | State::Voided { .. } => None,
        }
    }

    /// What was received and has not gone back, as receipts tell it.
    #[must_use]
    pub fn received(&self) -> Money {
        let signed = |receipt: &Receipt| match receipt.way {
            Way::In => receipt.amount.amount,
            Way::Out => -receipt.amount.amount,
        };
        Money::new(self.receipts.iter().map(signed).sum(), self.amount.currency)
    }

    /// What was received and is for nothing: more than the amount, or too late. It is owed back.
    #[must_use]
    pub fn surplus(&self) -> Money {
        let kept = match self.state {
            // All of it may still be wanted.
            State::Open | State::Authorized { .. } => return Money::new(0, self.amount.currency),
            State::Captured { .. } => self.charged().amount,
            State::Voided { .. } => 0,
        };
        Money::new(self.received().amount - kept, self.amount.currency)
    }

    /// How much is still waited for.
    #[must_use]
    pub fn outstanding(&self) -> Money {
        let rest = self.awaited().map_or(0, |_| self.charged().amount - self.received().amount);
        Money::new(rest, self.amount.currency)
    }

    /// Takes in what was seen to arrive or to go back. The same id again changes nothing.
    ///
    /// # Errors
    /// `wrong_state` if nothing was promised, or there are too many; `key_reused` for other money under the same id; `refund_too_large`
    /// for more than is over; `invalid_input`.
    pub fn receive(&self, receipt: Receipt, now: Timestamp) -> Result<Option<Change>> {
        if self.promise.is_none() {
            return Err(Code::WrongState.because("its provider reports what arrives"));
        }
        if let Some(known) = self.receipts.iter().find(|known| known.id == receipt.id) {
            return match (known.way, known.amount) == (receipt.way, receipt.amount) {
                true => Ok(None),
                false => Code::KeyReused.refuse(),
            };
        }
        if receipt.amount.currency != self.amount.currency {
            return Err(Refusal::invalid("/amount/currency", "must be the payment's"));
        }
        if receipt.amount.amount < 1 {
            return Err(Refusal::invalid("/amount", "must be more than 0"));
        }
        if self.receipts.len() >= MAX_RECEIPTS {
            return Err(Code::WrongState.because("there are 50 receipts of it already"));
        }
        if receipt.way == Way::Out && receipt.amount.amount > self.surplus().amount {
            return Err(Refusal::from(Code::RefundTooLarge).with("remaining", self.surplus()));
        }
        let (payment, order) = (self.id, self.order);
        let mut told = vec![Message::ReceiptNoted { payment, receipt: receipt.id.clone() }];
        let mut next = self.clone();
        next.receipts.push(receipt);
        let enough = next.received().amount >= self.charged().amount;
        match self.state {
            State::Authorized { .. } if enough => {
                next.state = State::Captured { at: now };
                told.extend([
                    Message::PaymentReceived { payment, order },
                    Message::PaymentCaptured { payment, order },
                ]);
            }
            // Too late: it is taken, so that all of it is given back as any other money is.
            State::Voided { .. } if enough => {
                next.state = State::Captured { at: now };
                told.push(Message::PaymentCaptured { payment, order });
            }
            State::Open | State::Authorized { .. } | State::Captured { .. } | State::Voided { .. } => {}
        }
        Ok(Some((next, told)))
    }

    /// The time has come: the buyer is reminded, or the promise is broken and the payment let go.
    ///
    /// # Errors
    /// As [`Payment::learn`].
    pub fn wake(&self, now: Timestamp) -> Result<Option<Change>> {
        let Some(promise) = self.awaited() else { return Ok(None) };
        if promise.until <= now {
            return self.learn(&super::Fact::Cancelled, now);
        }
        if promise.remind.is_none_or(|remind| remind > now) {
            return Ok(None);
        }
        let promise = Some(Promise { remind: None, ..promise.clone() });
        let (payment, order) = (self.id, self.order);
        Ok(Some((Self { promise, ..self.clone() }, vec![Message::PaymentReminderDue { payment, order }])))
    }

    /// Somebody has paid a refund back by hand; whoever says so, or the line of the statement that does, is named. Saying so again
    /// changes nothing.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` if its provider does that.
    pub fn refund_made(&self, id: RefundId, name: &str, now: Timestamp) -> Result<Option<Change>> {
        let refund = self.refund(id).ok_or(Code::NotFound)?;
        if self.promise.is_none() {
            return Err(Code::WrongState.because("its provider pays it back"));
        }
        match refund.state {
            RefundState::Due { attempt } => {
                let (id, ours) = (name.to_owned(), Some((id, attempt)));
                let fact = RefundFact { id, ours, amount: refund.amount, progress: Progress::Done };
                self.learn_refund(&fact, now)
            }
            RefundState::Pending { .. } | RefundState::Done { .. } | RefundState::Failed { .. } => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
