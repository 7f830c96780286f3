//! Orders with their payments and refunds: the rules by which they change, and how Razorpay shows them.
//!
//! One order, all attempts to pay it and their refunds are one record: everything an operation changes is in it. Every
//! change notes the events it causes, each with a picture of its objects at that moment; the store keeps both in one
//! write. States, shapes and words follow Razorpay's published documentation (razorpay.com/docs: `api/orders`,
//! `api/payments`, `api/refunds`, `webhooks`, `payments/payments/capture-settings/api`,
//! `payments/payments/late-authorisation`).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::{Cause, Error, Result};
use super::params::Notes;
use crate::random;

/// The letters and digits of an identifier after its prefix.
pub(crate) const LETTERS: usize = 14;

/// How long a bank may be silent before a payment counts as failed, in seconds; it may answer still.
const SILENCE: i64 = 600;

/// Where an order stands. The words are Razorpay's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Made, and nobody has tried to pay.
    Created,
    /// Somebody has tried to pay, and nothing was taken.
    Attempted,
    /// Paid; it stays so when the money goes back.
    Paid,
}

/// Where a payment stands. The words are Razorpay's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The bank has not answered.
    Created,
    /// The money is set aside, and waits to be taken.
    Authorized,
    /// Paid.
    Captured,
    /// All of it went back to the buyer.
    Refunded,
    /// Not paid; a bank that was silent may still say that it was.
    Failed,
}

/// What becomes of an attempt to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The bank sets the money aside at once.
    Success,
    /// The bank declines.
    Failure,
    /// The bank is silent; see [`super::Razorpay::answer`]. After ten minutes the payment counts as failed.
    Silence,
}

/// By which means a buyer pays. The words are Razorpay's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A card.
    #[default]
    Card,
    /// The unified payments interface.
    Upi,
    /// A bank's own site.
    Netbanking,
    /// A prepaid wallet.
    Wallet,
}

impl OrderStatus {
    /// Razorpay's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Attempted => "attempted",
            Self::Paid => "paid",
        }
    }
}

impl Status {
    /// Razorpay's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Refunded => "refunded",
            Self::Failed => "failed",
        }
    }
}

impl Method {
    /// Razorpay's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Upi => "upi",
            Self::Netbanking => "netbanking",
            Self::Wallet => "wallet",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Card, Self::Upi, Self::Netbanking, Self::Wallet]
            .into_iter()
            .find(|method| method.name() == name)
    }
}

/// When authorised payments are captured, and when they go back. Both bounds count minutes from when a payment was
/// made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// Payments that are authorised within this time are captured at once; `None` leaves all to the shop.
    pub automatic_minutes: Option<i64>,
    /// Payments that are not captured within this time are refunded.
    pub refund_minutes: i64,
}

/// Five days, the longest that Razorpay leaves a payment uncaptured, in minutes.
pub(crate) const MOST_MINUTES: i64 = 7_200;

impl Default for Capture {
    /// As accounts are at first: captured at once, and refunded after five days.
    fn default() -> Self {
        Self { automatic_minutes: Some(MOST_MINUTES), refund_minutes: MOST_MINUTES }
    }
}

/// Something that happened to a payment, and the objects it is about as they were then.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    pub(crate) kind: &'static str,
    pub(crate) payment: String,
    /// Each with the name of its kind.
    pub(crate) objects: Vec<(&'static str, Value)>,
}

/// Who pays, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buyer {
    pub(crate) method: Method,
    pub(crate) email: Option<String>,
    pub(crate) contact: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) notes: Notes,
}

/// Why a payment failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    code: String,
    pub(crate) description: String,
    source: String,
    step: String,
    reason: String,
}

impl Failure {
    fn new(description: &str, cause: Cause) -> Self {
        Self {
            code: "BAD_REQUEST_ERROR".into(),
            description: description.into(),
            source: cause.source.into(),
            step: cause.step.into(),
            reason: cause.reason.into(),
        }
    }

    fn declined() -> Self {
        let description = "Your payment didn't go through as it was declined by the bank. Try another payment method \
                           or contact your bank.";
        Self::new(
            description,
            Cause { source: "bank", step: "payment_authorization", reason: "payment_failed" },
        )
    }

    fn timed_out() -> Self {
        let description = "Your payment could not be completed on time.";
        Self::new(
            description,
            Cause { source: "customer", step: "payment_authentication", reason: "payment_timed_out" },
        )
    }

    /// As a form that a browser posts spells it.
    pub(crate) fn pairs(&self, order: &str, payment: &str) -> Vec<(String, String)> {
        let metadata = json!({"payment_id": payment, "order_id": order}).to_string();
        let pairs = [
            ("code", &self.code),
            ("description", &self.description),
            ("source", &self.source),
            ("step", &self.step),
            ("reason", &self.reason),
            ("metadata", &metadata),
        ];
        pairs.into_iter().map(|(name, value)| (format!("error[{name}]"), value.clone())).collect()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) id: String,
    pub(crate) status: Status,
    pub(crate) captured: bool,
    pub(crate) refunded: i64,
    pub(crate) method: Method,
    pub(crate) email: Option<String>,
    pub(crate) contact: Option<String>,
    description: Option<String>,
    pub(crate) notes: Notes,
    /// The fee with its tax, and the tax in it, once captured.
    fee: Option<(i64, i64)>,
    pub(crate) failure: Option<Failure>,
    /// What the bank calls it, as far as it answered.
    reference: Option<String>,
    pub(crate) created: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RefundStatus {
    Pending,
    Processed,
    Failed,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) payment: String,
    amount: i64,
    pub(crate) notes: Notes,
    pub(crate) receipt: Option<String>,
    status: RefundStatus,
    speed: String,
    pub(crate) created: i64,
}

/// What a shop says about a refund.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// All that is left if not given.
    pub(crate) amount: Option<i64>,
    pub(crate) speed: Option<String>,
    pub(crate) notes: Notes,
    pub(crate) receipt: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sale {
    pub(crate) id: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) receipt: Option<String>,
    pub(crate) notes: Notes,
    pub(crate) capture: Capture,
    pub(crate) created: i64,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) refunds: Vec<Refund>,
    #[serde(skip)]
    pub(crate) happenings: Vec<Happening>,
}

impl Sale {
    pub(crate) fn new(amount: i64, currency: &str, capture: Capture, now: i64) -> Result<Self> {
        Ok(Self {
            id: random::id_of::<LETTERS>("order_")?,
            amount,
            currency: currency.into(),
            receipt: None,
            notes: Notes::new(),
            capture,
            created: now,
            attempts: Vec::new(),
            refunds: Vec::new(),
            happenings: Vec::new(),
        })
    }

    pub(crate) fn status(&self) -> OrderStatus {
        if self.attempts.iter().any(|attempt| attempt.captured) {
            OrderStatus::Paid
        } else if self.attempts.is_empty() {
            OrderStatus::Created
        } else {
            OrderStatus::Attempted
        }
    }

    /// Whether some bank has ever set the money aside.
    pub(crate) fn authorized(&self) -> bool {
        let set_aside = [Status::Authorized, Status::Captured, Status::Refunded];
        self.attempts.iter().any(|attempt| set_aside.contains(&attempt.status))
    }

    /// What was paid, whatever went back since.
    pub(crate) fn paid(&self) -> i64 {
        if self.status() == OrderStatus::Paid { self.amount } else { 0 }
    }

    pub(crate) fn attempt(&self, id: &str) -> Result<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.id == id).ok_or_else(|| Error::no_such("pay_", id))
    }

    pub(crate) fn attempt_mut(&mut self, id: &str) -> Result<&mut Attempt> {
        let found = self.attempts.iter_mut().find(|attempt| attempt.id == id);
        found.ok_or_else(|| Error::no_such("pay_", id))
    }

    /// Takes an attempt to pay; answers the payment's identifier. Only a paid order takes none: another payment may be
    /// under way, even authorised.
    pub(crate) fn pay(&mut self, outcome: Outcome, buyer: Buyer, now: i64) -> Result<String> {
        self.check_unpaid()?;
        let id = random::id_of::<LETTERS>("pay_")?;
        self.attempts.push(Attempt {
            id: id.clone(),
            status: Status::Created,
            captured: false,
            refunded: 0,
            method: buyer.method,
            email: buyer.email,
            contact: buyer.contact,
            description: buyer.description,
            notes: buyer.notes,
            fee: None,
            failure: None,
            reference: None,
            created: now,
        });
        match outcome {
            Outcome::Success => self.authorize(&id, now)?,
            Outcome::Failure => self.fail(&id, Failure::declined())?,
            Outcome::Silence => {}
        }
        Ok(id)
    }

    /// What the bank answers after its silence. A payment that failed meanwhile can be authorised still.
    pub(crate) fn answer(&mut self, id: &str, approve: bool, now: i64) -> Result<()> {
        let attempt = self.attempt(id)?;
        let late = attempt.status == Status::Failed && attempt.failure == Some(Failure::timed_out());
        if attempt.status != Status::Created && !late {
            return Err(Error::invalid(format!(
                "The bank has answered: the payment is {}.",
                attempt.status.name()
            )));
        }
        if approve {
            self.authorize(id, now)
        } else if late {
            Ok(())
        } else {
            self.fail(id, Failure::declined())
        }
    }

    fn authorize(&mut self, id: &str, now: i64) -> Result<()> {
        let reference = random::up_to(999_999_999)?.to_string();
        let automatic = self.capture.automatic_minutes;
        let unpaid = self.status() != OrderStatus::Paid;
        let attempt = self.attempt_mut(id)?;
        attempt.status = Status::Authorized;
        attempt.failure = None;
        attempt.reference = Some(format!("{reference:0>12}"));
        let in_time = automatic.is_some_and(|minutes| now <= attempt.created + minutes * 60);
        self.happen_to_payment("payment.authorized", id)?;
        // Whoever pays an order that is paid already gets the money back, unless the shop does so first.
        if in_time && unpaid { self.take(id) } else { Ok(()) }
    }

    fn fail(&mut self, id: &str, failure: Failure) -> Result<()> {
        let attempt = self.attempt_mut(id)?;
        attempt.status = Status::Failed;
        attempt.failure = Some(failure);
        self.happen_to_payment("payment.failed", id)
    }

    /// Takes what was set aside, all of it.
    pub(crate) fn capture(&mut self, id: &str, amount: i64, currency: Option<&str>) -> Result<()> {
        let attempt = self.attempt(id)?;
        if attempt.captured {
            return Err(Error::invalid("This payment has already been captured"));
        }
        if attempt.status != Status::Authorized {
            let message = "Only payments which have been authorized and not yet captured can be captured";
            return Err(Error::invalid(message));
        }
        if currency.is_some_and(|currency| currency != self.currency) {
            let message = "Payment currency does not match the currency of capture";
            return Err(Error::invalid(message).field("currency"));
        }
        if amount != self.amount {
            let message = "Capture amount must be equal to the amount authorized";
            return Err(Error::invalid(message).field("amount"));
        }
        self.check_unpaid()?;
        self.take(id)
    }

    fn take(&mut self, id: &str) -> Result<()> {
        let fee = fee(self.amount);
        let attempt = self.attempt_mut(id)?;
        attempt.status = Status::Captured;
        attempt.captured = true;
        attempt.fee = Some(fee);
        self.happen_to_payment("payment.captured", id)?;
        let objects = vec![("payment", self.show_payment(self.attempt(id)?)), ("order", self.show())];
        self.happenings.push(Happening { kind: "order.paid", payment: id.into(), objects });
        Ok(())
    }

    fn check_unpaid(&self) -> Result<()> {
        if self.status() != OrderStatus::Paid {
            return Ok(());
        }
        let message = "Your payment has been declined as the order is already paid. Please initiate the payment with \
                       a new order.";
        Err(Error::invalid(message))
    }

    /// Gives back a part of what was taken, or all that is left of it; answers the refund's identifier. One that
    /// `fails`, which is asked once it can be made, is shown as pending first.
    pub(crate) fn refund(
        &mut self,
        id: &str,
        wish: Wish,
        fails: impl FnOnce() -> bool,
        now: i64,
    ) -> Result<String> {
        let attempt = self.attempt(id)?;
        match attempt.status {
            Status::Captured => {}
            Status::Refunded => return Err(Error::invalid("The payment has been fully refunded already")),
            Status::Created | Status::Authorized | Status::Failed => {
                let message = "The payment status should be captured for action to be taken";
                return Err(Error::invalid(message));
            }
        }
        let left = self.amount - attempt.refunded;
        if wish.amount.is_some_and(|amount| amount > left) {
            let message = "The refund amount provided is greater than amount captured";
            return Err(Error::invalid(message).field("amount"));
        }
        let (fails, amount) = (fails(), wish.amount.or(Some(left)));
        let refund = self.give_back(id, Wish { amount, ..wish }, fails, now)?;
        if fails {
            self.fail_refund(&refund)?;
        } else {
            self.happen_to_refund("refund.processed", &refund)?;
        }
        Ok(refund)
    }

    fn give_back(&mut self, id: &str, wish: Wish, fails: bool, now: i64) -> Result<String> {
        let all = self.amount;
        let amount = wish.amount.unwrap_or(all);
        let attempt = self.attempt_mut(id)?;
        attempt.refunded += amount;
        if attempt.refunded == all {
            attempt.status = Status::Refunded;
        }
        let refund = random::id_of::<LETTERS>("rfnd_")?;
        self.refunds.push(Refund {
            id: refund.clone(),
            payment: id.into(),
            amount,
            notes: wish.notes,
            receipt: wish.receipt,
            status: if fails { RefundStatus::Pending } else { RefundStatus::Processed },
            speed: wish.speed.unwrap_or_else(|| "normal".into()),
            created: now,
        });
        self.happen_to_refund("refund.created", &refund)?;
        Ok(refund)
    }

    /// The buyer's bank could not take a refund: the money is here again.
    pub(crate) fn fail_refund(&mut self, id: &str) -> Result<()> {
        let refund = self.refunds.iter_mut().find(|refund| refund.id == id);
        let refund = refund.ok_or_else(|| Error::no_such("rfnd_", id))?;
        if refund.status == RefundStatus::Failed {
            return Ok(());
        }
        refund.status = RefundStatus::Failed;
        let (amount, payment) = (refund.amount, refund.payment.clone());
        let attempt = self.attempt_mut(&payment)?;
        attempt.refunded -= amount;
        attempt.status = if attempt.captured { Status::Captured } else { Status::Authorized };
        self.happen_to_refund("refund.failed", id)
    }

    /// When time alone changes a payment next, in seconds since 1970.
    pub(crate) fn due(&self, attempt: &Attempt) -> Option<i64> {
        match attempt.status {
            Status::Created => Some(attempt.created + SILENCE),
            // One whose automatic refund failed is not refunded again and again.
            Status::Authorized if !self.refunds.iter().any(|refund| refund.payment == attempt.id) => {
                Some(attempt.created + self.capture.refund_minutes * 60)
            }
            Status::Authorized | Status::Captured | Status::Refunded | Status::Failed => None,
        }
    }

    /// What time alone changes: silence is a failure, and what nobody captured goes back.
    pub(crate) fn pass_time(&mut self, now: i64) -> Result<()> {
        let due = |attempt: &&Attempt| self.due(attempt).is_some_and(|due| due <= now);
        let due: Vec<_> = self.attempts.iter().filter(due).map(|one| (one.id.clone(), one.status)).collect();
        for (id, status) in due {
            if status == Status::Created {
                self.fail(&id, Failure::timed_out())?;
            } else {
                let refund = self.give_back(&id, Wish::default(), false, now)?;
                self.happen_to_refund("refund.processed", &refund)?;
            }
        }
        Ok(())
    }

    fn happen_to_payment(&mut self, kind: &'static str, id: &str) -> Result<()> {
        let objects = vec![("payment", self.show_payment(self.attempt(id)?))];
        self.happenings.push(Happening { kind, payment: id.into(), objects });
        Ok(())
    }

    fn happen_to_refund(&mut self, kind: &'static str, id: &str) -> Result<()> {
        let refund = self.refund_of(id)?;
        let payment = refund.payment.clone();
        let objects = vec![
            ("refund", self.show_refund(refund)),
            ("payment", self.show_payment(self.attempt(&payment)?)),
        ];
        self.happenings.push(Happening { kind, payment, objects });
        Ok(())
    }

    pub(crate) fn refund_of(&self, id: &str) -> Result<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id).ok_or_else(|| Error::no_such("rfnd_", id))
    }

    /// The order as the API shows it.
    pub(crate) fn show(&self) -> Value {
        json!({
            "id": self.id,
            "entity": "order",
            "amount": self.amount,
            "amount_paid": self.paid(),
            "amount_due": self.amount - self.paid(),
            "currency": self.currency,
            "receipt": self.receipt,
            "offer_id": null,
            "status": self.status().name(),
            "attempts": self.attempts.len(),
            "notes": show_notes(&self.notes),
            "created_at": self.created,
        })
    }

    pub(crate) fn show_payment(&self, attempt: &Attempt) -> Value {
        let failure = attempt.failure.as_ref();
        let (reference, method) = (attempt.reference.as_deref(), attempt.method);
        let only = |wanted: Method, text: &'static str| (method == wanted).then_some(text);
        let acquirer = match method {
            Method::Card => json!({"auth_code": reference.and_then(|reference| reference.get(..6))}),
            Method::Upi => json!({"rrn": reference}),
            Method::Netbanking => json!({"bank_transaction_id": reference}),
            Method::Wallet => json!({"transaction_id": reference}),
        };
        let refund_status = match attempt.refunded {
            0 => None,
            refunded if refunded == self.amount => Some("full"),
            _ => Some("partial"),
        };
        json!({
            "id": attempt.id,
            "entity": "payment",
            "amount": self.amount,
            "currency": self.currency,
            "status": attempt.status.name(),
            "order_id": self.id,
            "invoice_id": null,
            "international": false,
            "method": method.name(),
            "amount_refunded": attempt.refunded,
            "refund_status": refund_status,
            "captured": attempt.captured,
            "description": attempt.description,
            "card_id": (method == Method::Card).then(|| attempt.id.replacen("pay_", "card_", 1)),
            "bank": only(Method::Netbanking, "HDFC"),
            "wallet": only(Method::Wallet, "payzapp"),
            "vpa": only(Method::Upi, "success@razorpay"),
            "email": attempt.email,
            "contact": attempt.contact,
            "notes": show_notes(&attempt.notes),
            "fee": attempt.fee.map(|(fee, _)| fee),
            "tax": attempt.fee.map(|(_, tax)| tax),
            "error_code": failure.map(|failure| &failure.code),
            "error_description": failure.map(|failure| &failure.description),
            "error_source": failure.map(|failure| &failure.source),
            "error_step": failure.map(|failure| &failure.step),
            "error_reason": failure.map(|failure| &failure.reason),
            "acquirer_data": acquirer,
            "created_at": attempt.created,
        })
    }

    pub(crate) fn show_refund(&self, refund: &Refund) -> Value {
        json!({
            "id": refund.id,
            "entity": "refund",
            "amount": refund.amount,
            "currency": self.currency,
            "payment_id": refund.payment,
            "notes": show_notes(&refund.notes),
            "receipt": refund.receipt,
            "acquirer_data": {"arn": null},
            "created_at": refund.created,
            "batch_id": null,
            "status": refund.status,
            "speed_processed": "normal",
            "speed_requested": refund.speed,
        })
    }
}

/// Two per cent, and 18 per cent of tax on that: together, and the tax alone. The fee is rounded half up, the tax
/// down, which gives the figures of Razorpay's own examples.
fn fee(amount: i64) -> (i64, i64) {
    let fee = (amount * 2 + 50) / 100;
    let tax = fee * 18 / 100;
    (fee + tax, tax)
}

/// No notes are an empty list, as PHP writes them.
fn show_notes(notes: &Notes) -> Value {
    if notes.is_empty() { json!([]) } else { Value::Object(notes.clone()) }
}
