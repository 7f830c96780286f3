//! Payment intents with their charges and refunds: the rules by which they change, and how Stripe shows them.
//!
//! One intent, its charges and their refunds are one record: everything an operation changes is in it. Every change
//! notes the events it causes, each with a picture of its object at that moment; the store keeps both in one write.
//! The shapes follow the example objects Stripe publishes with its OpenAPI description (repository stripe/openapi,
//! fixtures, MIT).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::card::{Behaviour, Card, Decline};
use super::error::{Error, Result};
use crate::random;

/// Where a payment stands. The words are Stripe's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Made, or declined: the buyer has to give a means of payment.
    RequiresPaymentMethod,
    /// Has a means of payment, and nobody has said "pay" yet.
    RequiresConfirmation,
    /// The buyer's bank asks the buyer.
    RequiresAction,
    /// The money is set aside, and waits to be taken.
    RequiresCapture,
    /// Given up.
    Canceled,
    /// Paid.
    Succeeded,
}

impl Status {
    /// Stripe's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::RequiresCapture => "requires_capture",
            Self::Canceled => "canceled",
            Self::Succeeded => "succeeded",
        }
    }
}

/// The states in which the buyer has still to pay.
const UNPAID: [Status; 3] =
    [Status::RequiresPaymentMethod, Status::RequiresConfirmation, Status::RequiresAction];

/// Something that happened, and its object as it was then.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    pub(crate) kind: &'static str,
    pub(crate) object: Value,
}

/// A payment method in use: a test card under an identifier of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Method {
    pub(crate) id: String,
    card: String,
    created: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Charge {
    pub(crate) id: String,
    amount: i64,
    captured: i64,
    refunded: i64,
    created: i64,
    method: Method,
    /// The code and message of a decline.
    failure: Option<(String, String)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) charge: String,
    amount: i64,
    created: i64,
    pub(crate) metadata: BTreeMap<String, String>,
    reason: Option<String>,
    failed: bool,
}

/// Money that came into the shop's account or left it: Stripe's balance transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Movement {
    pub(crate) id: String,
    /// `charge`, `refund` or `refund_failure`.
    pub(crate) kind: String,
    /// The charge or refund.
    pub(crate) source: String,
    /// Negative if it left.
    amount: i64,
    fee: i64,
    pub(crate) created: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) client_secret: String,
    pub(crate) amount: i64,
    pub(crate) received: i64,
    pub(crate) currency: String,
    pub(crate) status: Status,
    pub(crate) capture_method: String,
    /// What `automatic_payment_methods[allow_redirects]` says, if these are enabled.
    pub(crate) automatic: Option<String>,
    pub(crate) method_types: Vec<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Text parameters that are shown again and otherwise mean nothing here.
    pub(crate) texts: BTreeMap<String, String>,
    /// Seconds since 1970, as Stripe counts.
    pub(crate) created: i64,
    canceled: Option<(i64, Option<String>)>,
    pub(crate) method: Option<Method>,
    last_error: Option<Value>,
    return_url: Option<String>,
    pub(crate) charges: Vec<Charge>,
    pub(crate) refunds: Vec<Refund>,
    #[serde(default)]
    pub(crate) movements: Vec<Movement>,
    #[serde(skip)]
    pub(crate) happenings: Vec<Happening>,
}

/// The parameters that are shown again as they were given.
pub(crate) const TEXTS: [&str; 8] = [
    "description",
    "receipt_email",
    "customer",
    "on_behalf_of",
    "setup_future_usage",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
];

/// What a confirmation finds out of doors.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Confirmation<'a> {
    /// A decline that comes instead of the card's own behaviour.
    pub(crate) decline: Option<Decline>,
    /// Where the buyer goes after being asked by the bank.
    pub(crate) return_url: Option<&'a str>,
}

impl Intent {
    /// A new intent with nothing decided; it has not happened until [`Intent::announce`].
    pub(crate) fn new(amount: i64, currency: &str, now: i64) -> Result<Self> {
        let id = random::id("pi_3")?;
        Ok(Self {
            client_secret: random::id(&format!("{id}_secret_"))?,
            id,
            amount,
            received: 0,
            currency: currency.into(),
            status: Status::RequiresPaymentMethod,
            capture_method: "automatic_async".into(),
            automatic: None,
            method_types: vec!["card".into()],
            metadata: BTreeMap::new(),
            texts: BTreeMap::new(),
            created: now,
            canceled: None,
            method: None,
            last_error: None,
            return_url: None,
            charges: Vec::new(),
            refunds: Vec::new(),
            movements: Vec::new(),
            happenings: Vec::new(),
        })
    }

    pub(crate) fn announce(&mut self, base_url: &str) {
        self.happen("payment_intent.created", base_url);
    }

    /// Whether it can still be paid.
    pub(crate) fn unpaid(&self) -> bool {
        UNPAID.contains(&self.status)
    }

    /// What is set aside and not taken.
    pub(crate) fn capturable(&self) -> i64 {
        if self.status == Status::RequiresCapture { self.amount } else { 0 }
    }

    /// What went back to the buyer.
    pub(crate) fn refunded(&self) -> i64 {
        self.refunds.iter().filter(|refund| !refund.failed).map(|refund| refund.amount).sum()
    }

    /// Gives it a payment method without paying.
    pub(crate) fn attach(&mut self, card: &Card, now: i64) -> Result<()> {
        self.method = Some(Method { id: random::id("pm_1")?, card: card.name.into(), created: now });
        if self.status == Status::RequiresPaymentMethod {
            self.status = Status::RequiresConfirmation;
        }
        Ok(())
    }

    /// Why the last attempt to pay failed, in a sentence for the buyer.
    pub(crate) fn last_message(&self) -> Option<&str> {
        self.last_error.as_ref()?.get("message")?.as_str()
    }

    /// The card of the attached payment method.
    pub(crate) fn card(&self) -> Option<&'static Card> {
        self.method.as_ref().and_then(|method| Card::named(&method.card))
    }

    /// Pays with the attached payment method. A decline changes the intent too.
    pub(crate) fn confirm(&mut self, how: Confirmation<'_>, now: i64, base_url: &str) -> Result<()> {
        match self.status {
            Status::Succeeded => {
                let message = "You cannot confirm this PaymentIntent because it has already succeeded after being \
                               previously confirmed.";
                return Err(Error::unexpected_state(message).with("payment_intent", self.show(base_url)));
            }
            _ => self.check_state("confirmed", &UNPAID, base_url)?,
        }
        let (Some(method), Some(card)) = (self.method.clone(), self.card()) else {
            let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either \
                           update the PaymentIntent with a payment method and then confirm it again, or confirm it \
                           again directly with a payment method or ConfirmationToken.";
            return Err(Error::unexpected_state(message).with("payment_intent", self.show(base_url)));
        };
        if let Some(return_url) = how.return_url {
            self.return_url = Some(return_url.into());
        }
        match how.decline.or(card.declines()) {
            Some(decline) => self.decline(decline, method, now, base_url),
            None if card.behaviour == Behaviour::Authenticates => {
                self.status = Status::RequiresAction;
                self.last_error = None;
                self.happen("payment_intent.requires_action", base_url);
                Ok(())
            }
            None => self.charge(method, now, base_url),
        }
    }

    /// What the buyer answered the bank.
    pub(crate) fn authenticate(&mut self, approved: bool, now: i64, base_url: &str) -> Result<()> {
        self.check_state("authenticated", &[Status::RequiresAction], base_url)?;
        let Some(method) = self.method.clone() else {
            return Err(Error::internal("a payment that asks the bank has no card"));
        };
        if approved {
            return self.charge(method, now, base_url);
        }
        self.last_error = Some(json!({
            "type": "invalid_request_error",
            "code": "payment_intent_authentication_failure",
            "message": "The provided PaymentMethod has failed authentication. You can provide payment_method_data \
                        or a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
            "payment_method": show_method(&method),
        }));
        self.fail(base_url);
        Ok(())
    }

    fn charge(&mut self, method: Method, now: i64, base_url: &str) -> Result<()> {
        let manual = self.capture_method == "manual";
        let captured = if manual { 0 } else { self.amount };
        let id = random::id("ch_3")?;
        self.charges.push(Charge {
            id: id.clone(),
            amount: self.amount,
            captured,
            refunded: 0,
            created: now,
            method,
            failure: None,
        });
        self.last_error = None;
        if manual {
            self.status = Status::RequiresCapture;
            self.happen("payment_intent.amount_capturable_updated", base_url);
        } else {
            self.status = Status::Succeeded;
            self.received = captured;
            self.move_money("charge", &id, captured, now)?;
            self.happen("payment_intent.succeeded", base_url);
        }
        Ok(())
    }

    fn decline(&mut self, decline: Decline, method: Method, now: i64, base_url: &str) -> Result<()> {
        let charge = random::id("ch_3")?;
        let error =
            decline.error().with("charge", charge.as_str()).with("payment_method", show_method(&method));
        self.last_error = Some(last_error(&error));
        self.charges.push(Charge {
            id: charge,
            amount: self.amount,
            captured: 0,
            refunded: 0,
            created: now,
            method,
            failure: Some((decline.code.into(), decline.message.into())),
        });
        self.fail(base_url);
        Err(error.with("payment_intent", self.show(base_url)))
    }

    fn fail(&mut self, base_url: &str) {
        self.status = Status::RequiresPaymentMethod;
        self.method = None;
        self.happen("payment_intent.payment_failed", base_url);
    }

    /// Takes what was set aside, or a part of it; the rest goes back to the buyer at once.
    pub(crate) fn capture(&mut self, amount: Option<i64>, now: i64, base_url: &str) -> Result<()> {
        self.check_state("captured", &[Status::RequiresCapture], base_url)?;
        let amount = amount.unwrap_or(self.amount);
        if amount > self.amount {
            let message = "The amount_to_capture is greater than the amount that can be captured for this PaymentIntent.";
            return Err(Error::invalid(message).code("amount_too_large").param("amount_to_capture"));
        }
        let charge = self.charges.last_mut();
        let charge =
            charge.ok_or_else(|| Error::internal("a payment that waits for capture has no charge"))?;
        charge.captured = amount;
        let id = charge.id.clone();
        self.received = amount;
        self.status = Status::Succeeded;
        self.move_money("charge", &id, amount, now)?;
        self.happen_to_charge("charge.captured", self.charges.len() - 1);
        self.happen("payment_intent.succeeded", base_url);
        Ok(())
    }

    /// Gives up the payment; what was set aside goes back to the buyer.
    pub(crate) fn cancel(&mut self, reason: Option<&str>, now: i64, base_url: &str) -> Result<()> {
        let [first, second, third] = UNPAID;
        self.check_state("canceled", &[first, second, third, Status::RequiresCapture], base_url)?;
        let held = self.status == Status::RequiresCapture;
        self.status = Status::Canceled;
        self.canceled = Some((now, reason.map(Into::into)));
        if held && let Some(charge) = self.charges.last_mut() {
            charge.refunded = charge.amount;
            self.happen_to_charge("charge.refunded", self.charges.len() - 1);
        }
        self.happen("payment_intent.canceled", base_url);
        Ok(())
    }

    /// Gives back a part of what was taken, or all that is left of it. Answers the refund as it was made, even if
    /// it fails right afterwards.
    pub(crate) fn refund(
        &mut self,
        amount: Option<i64>,
        reason: Option<&str>,
        metadata: BTreeMap<String, String>,
        now: i64,
        base_url: &str,
    ) -> Result<usize> {
        if self.status != Status::Succeeded {
            let message = format!(
                "This PaymentIntent ({}) does not have a successful charge to refund: its status is {}.",
                self.id,
                self.status.name()
            );
            return Err(Error::unexpected_state(message).with("payment_intent", self.show(base_url)));
        }
        let at = self.charges.len().checked_sub(1);
        let charge = at.and_then(|at| self.charges.get_mut(at));
        let charge = charge.ok_or_else(|| Error::internal("a payment that succeeded has no charge"))?;
        let left = charge.captured - charge.refunded;
        if left == 0 {
            let message = format!("Charge {} has already been refunded.", charge.id);
            return Err(Error::invalid(message).code("charge_already_refunded"));
        }
        let amount = amount.unwrap_or(left);
        if amount > left {
            let message = format!(
                "Refund amount ({amount}) is greater than unrefunded amount on charge ({left}) in {}",
                self.currency
            );
            return Err(Error::invalid(message).param("amount"));
        }
        charge.refunded += amount;
        let refund = Refund {
            id: random::id("re_3")?,
            charge: charge.id.clone(),
            amount,
            created: now,
            metadata,
            reason: reason.map(Into::into),
            failed: false,
        };
        let fails = Card::named(&charge.method.card)
            .is_some_and(|card| card.behaviour == Behaviour::PaysButRefundsFail);
        let id = refund.id.clone();
        let (charge, refund) = (self.charges.len() - 1, {
            self.refunds.push(refund);
            self.refunds.len() - 1
        });
        self.move_money("refund", &id, -amount, now)?;
        self.happen_to_refund("refund.created", refund);
        self.happen_to_charge("charge.refunded", charge);
        if fails {
            self.fail_refund(refund, now)?;
        }
        Ok(refund)
    }

    /// The buyer's bank could not take a refund: the money is here again.
    pub(crate) fn fail_refund(&mut self, at: usize, now: i64) -> Result<()> {
        let gone = || Error::internal("a refund without its charge");
        let refund = self.refunds.get_mut(at).ok_or_else(gone)?;
        if refund.failed {
            return Ok(());
        }
        refund.failed = true;
        let charge = self.charges.iter_mut().find(|charge| charge.id == refund.charge).ok_or_else(gone)?;
        charge.refunded -= refund.amount;
        let (id, amount) = (refund.id.clone(), refund.amount);
        self.move_money("refund_failure", &id, amount, now)?;
        self.happen_to_refund("refund.updated", at);
        self.happen_to_refund("refund.failed", at);
        Ok(())
    }

    fn move_money(&mut self, kind: &str, source: &str, amount: i64, now: i64) -> Result<()> {
        let fee = if kind == "charge" { fee(amount) } else { 0 };
        let (id, kind, source) = (random::id("txn_3")?, kind.into(), source.into());
        self.movements.push(Movement { id, kind, source, amount, fee, created: now });
        Ok(())
    }

    /// The identifier of the money that moved for a charge or refund.
    fn movement(&self, kind: &str, source: &str) -> Option<&str> {
        let moved = self.movements.iter().find(|one| one.kind == kind && one.source == source);
        moved.map(|one| one.id.as_str())
    }

    pub(crate) fn update_refund(&mut self, at: usize) {
        self.happen_to_refund("refund.updated", at);
    }

    pub(crate) fn check_state(&self, done: &str, allowed: &[Status], base_url: &str) -> Result<()> {
        if allowed.contains(&self.status) {
            return Ok(());
        }
        let names: Vec<_> = allowed.iter().map(|status| status.name()).collect();
        let message = format!(
            "This PaymentIntent could not be {done} because it has a status of {}. Only a PaymentIntent with one of \
             the following statuses may be {done}: {}.",
            self.status.name(),
            names.join(", ")
        );
        Err(Error::unexpected_state(message).with("payment_intent", self.show(base_url)))
    }

    fn happen(&mut self, kind: &'static str, base_url: &str) {
        let object = self.show(base_url);
        self.happenings.push(Happening { kind, object });
    }

    fn happen_to_charge(&mut self, kind: &'static str, at: usize) {
        if let Some(object) = self.charges.get(at).map(|charge| self.show_charge(charge)) {
            self.happenings.push(Happening { kind, object });
        }
    }

    fn happen_to_refund(&mut self, kind: &'static str, at: usize) {
        if let Some(object) = self.refunds.get(at).map(|refund| self.show_refund(refund)) {
            self.happenings.push(Happening { kind, object });
        }
    }

    /// The intent as the API shows it.
    pub(crate) fn show(&self, base_url: &str) -> Value {
        let text = |name: &str| self.texts.get(name);
        let automatic = self.automatic.as_ref();
        let action = (self.status == Status::RequiresAction).then(|| self.next_action(base_url));
        json!({
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": self.capturable(),
            "amount_details": {"tip": {}},
            "amount_received": self.received,
            "application": null,
            "application_fee_amount": null,
            "automatic_payment_methods":
                automatic.map(|redirects| json!({"allow_redirects": redirects, "enabled": true})),
            "canceled_at": self.canceled.as_ref().map(|(at, _)| at),
            "cancellation_reason": self.canceled.as_ref().and_then(|(_, reason)| reason.as_ref()),
            "capture_method": self.capture_method,
            "client_secret": self.client_secret,
            "confirmation_method": "automatic",
            "created": self.created,
            "currency": self.currency,
            "customer": text("customer"),
            "description": text("description"),
            "last_payment_error": self.last_error,
            "latest_charge": self.charges.last().map(|charge| &charge.id),
            "livemode": false,
            "metadata": self.metadata,
            "next_action": action,
            "on_behalf_of": text("on_behalf_of"),
            "payment_method": self.method.as_ref().map(|method| &method.id),
            "payment_method_configuration_details": null,
            "payment_method_options": {},
            "payment_method_types": self.method_types,
            "processing": null,
            "receipt_email": text("receipt_email"),
            "review": null,
            "setup_future_usage": text("setup_future_usage"),
            "shipping": null,
            "source": null,
            "statement_descriptor": text("statement_descriptor"),
            "statement_descriptor_suffix": text("statement_descriptor_suffix"),
            "status": self.status.name(),
            "transfer_data": null,
            "transfer_group": text("transfer_group"),
        })
    }

    /// Where the buyer goes to be asked by the bank: the pay page, which asks.
    fn next_action(&self, base_url: &str) -> Value {
        let mut url = format!("{base_url}/pay/{}?client_secret={}", self.id, self.client_secret);
        let Some(return_url) = &self.return_url else {
            return json!({"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect",
                          "stripe_js": url}});
        };
        url.push_str("&return_url=");
        url.extend(form_urlencoded::byte_serialize(return_url.as_bytes()));
        json!({"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}})
    }

    pub(crate) fn show_charge(&self, charge: &Charge) -> Value {
        let method = &charge.method;
        let card = Card::named(&method.card);
        let failure = charge.failure.as_ref();
        let paid = failure.is_none();
        json!({
            "id": charge.id,
            "object": "charge",
            "amount": charge.amount,
            "amount_captured": charge.captured,
            "amount_refunded": charge.refunded,
            "application": null,
            "application_fee": null,
            "application_fee_amount": null,
            "balance_transaction": self.movement("charge", &charge.id),
            "billing_details": billing(),
            "calculated_statement_descriptor": null,
            "captured": charge.captured > 0,
            "created": charge.created,
            "currency": self.currency,
            "customer": self.texts.get("customer"),
            "description": self.texts.get("description"),
            "disputed": false,
            "failure_balance_transaction": null,
            "failure_code": failure.map(|(code, _)| code),
            "failure_message": failure.map(|(_, message)| message),
            "fraud_details": {},
            "livemode": false,
            "metadata": self.metadata,
            "on_behalf_of": null,
            "outcome": {
                "network_status": if paid { "approved_by_network" } else { "declined_by_network" },
                "reason": failure.map(|(code, _)| code),
                "risk_level": "normal",
                "seller_message": if paid { "Payment complete." } else { "The bank did not return any further details." },
                "type": if paid { "authorized" } else { "issuer_declined" },
            },
            "paid": paid,
            "payment_intent": self.id,
            "payment_method": method.id,
            "payment_method_details": {"type": "card", "card": {
                "amount_authorized": paid.then_some(charge.amount),
                "brand": card.map(|card| card.brand),
                "country": "US",
                "exp_month": 8,
                "exp_year": 2035,
                "funding": "credit",
                "last4": card.map(|card| card.last4()),
                "network": card.map(|card| card.brand),
                "three_d_secure": null,
                "wallet": null,
            }},
            "receipt_email": self.texts.get("receipt_email"),
            "receipt_number": null,
            "receipt_url": null,
            "refunded": charge.refunded > 0 && charge.refunded >= charge.captured,
            "review": null,
            "shipping": null,
            "source_transfer": null,
            "statement_descriptor": self.texts.get("statement_descriptor"),
            "statement_descriptor_suffix": self.texts.get("statement_descriptor_suffix"),
            "status": if paid { "succeeded" } else { "failed" },
            "transfer_data": null,
            "transfer_group": self.texts.get("transfer_group"),
        })
    }

    pub(crate) fn show_refund(&self, refund: &Refund) -> Value {
        let mut object = json!({
            "id": refund.id,
            "object": "refund",
            "amount": refund.amount,
            "balance_transaction": self.movement("refund", &refund.id),
            "charge": refund.charge,
            "created": refund.created,
            "currency": self.currency,
            "destination_details": {"type": "card", "card": {"type": "refund"}},
            "metadata": refund.metadata,
            "payment_intent": self.id,
            "reason": refund.reason,
            "receipt_number": null,
            "source_transfer_reversal": null,
            "status": if refund.failed { "failed" } else { "succeeded" },
            "transfer_reversal": null,
        });
        if refund.failed
            && let Some(object) = object.as_object_mut()
        {
            object.insert("failure_reason".into(), "expired_or_canceled_card".into());
            let returned = self.movement("refund_failure", &refund.id);
            object.insert("failure_balance_transaction".into(), returned.into());
        }
        object
    }

    /// Money that moved, at the shop's disposal at once.
    pub(crate) fn show_movement(&self, movement: &Movement) -> Value {
        let Movement { id, kind, source, amount, fee, created } = movement;
        let details = match fee {
            0 => json!([]),
            _ => json!([{
                "amount": fee,
                "application": null,
                "currency": self.currency,
                "description": "Stripe processing fees",
                "type": "stripe_fee",
            }]),
        };
        json!({
            "id": id,
            "object": "balance_transaction",
            "amount": amount,
            "available_on": created,
            "balance_type": "payments",
            "created": created,
            "currency": self.currency,
            "description": self.texts.get("description"),
            "exchange_rate": null,
            "fee": fee,
            "fee_details": details,
            "net": amount - fee,
            "reporting_category": kind,
            "source": source,
            "status": "available",
            "type": kind,
        })
    }

    /// Replaces the identifiers named by `expand[]` with the objects they stand for.
    pub(crate) fn expand(&self, object: &mut Value, paths: &[&str], base_url: &str) -> Result<()> {
        for path in paths {
            self.expand_one(object, path, base_url)?;
        }
        Ok(())
    }

    fn charge_named(&self, id: &str) -> Option<Value> {
        self.charges.iter().find(|charge| charge.id == id).map(|charge| self.show_charge(charge))
    }

    fn expand_one(&self, object: &mut Value, path: &str, base_url: &str) -> Result<()> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let refuse = || Error::invalid(format!("This property cannot be expanded ({path}).")).param("expand");
        let place = object.get_mut(name).ok_or_else(refuse)?;
        if let Some(id) = place.as_str() {
            let found = match name {
                "latest_charge" | "charge" => self.charge_named(id),
                "balance_transaction" | "failure_balance_transaction" => {
                    let moved = self.movements.iter().find(|movement| movement.id == id);
                    moved.map(|movement| self.show_movement(movement))
                }
                "source" => self.charge_named(id).or_else(|| {
                    let refund = self.refunds.iter().find(|refund| refund.id == id);
                    refund.map(|refund| self.show_refund(refund))
                }),
                "payment_intent" => Some(self.show(base_url)),
                "payment_method" => {
                    let charged = self.charges.iter().map(|charge| &charge.method);
                    charged.chain(&self.method).find(|method| method.id == id).map(show_method)
                }
                // Nobody made a customer here: the identifier is all there is.
                _ => return Err(refuse()),
            };
            *place = found.ok_or_else(refuse)?;
        } else if !place.is_null() && !place.is_object() {
            return Err(refuse());
        }
        match rest {
            Some(rest) if !place.is_null() => self.expand_one(place, rest, base_url),
            _ => Ok(()),
        }
    }
}

/// 1.4 per cent and 25 of the smallest unit, rounded half up. Stripe keeps it when the money goes back.
fn fee(amount: i64) -> i64 {
    (amount * 14 + 500) / 1_000 + 25
}

fn billing() -> Value {
    json!({
        "address": {"city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null},
        "email": null,
        "name": null,
        "phone": null,
        "tax_id": null,
    })
}

fn show_method(method: &Method) -> Value {
    let card = Card::named(&method.card);
    json!({
        "id": method.id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing(),
        "card": {
            "brand": card.map(|card| card.brand),
            "checks": {"address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass"},
            "country": "US",
            "display_brand": card.map(|card| card.brand),
            "exp_month": 8,
            "exp_year": 2035,
            "funding": "credit",
            "generated_from": null,
            "last4": card.map(|card| card.last4()),
            "networks": {"available": [card.map(|card| card.brand)], "preferred": null},
            "three_d_secure_usage": {"supported": true},
            "wallet": null,
        },
        "created": method.created,
        "customer": null,
        "livemode": false,
        "metadata": {},
        "type": "card",
    })
}

/// A decline as the intent remembers it.
fn last_error(error: &Error) -> Value {
    let mut object = error.more.as_deref().cloned().unwrap_or_default();
    object.insert("code".into(), error.code.into());
    object.insert("message".into(), error.message.as_str().into());
    object.insert("type".into(), error.kind.into());
    Value::Object(object)
}
