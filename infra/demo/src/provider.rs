//! The payment provider's sandbox: what a browser does there, and what its books say.

use crate::DemoError;
use crate::books::Intent;
use crate::tally::Action;
use crate::wire::{Call, Wire};
use serde::Deserialize;

/// A card that pays.
pub(crate) const GOOD_CARD: &str = "pm_card_visa";
/// A card that is declined.
pub(crate) const BAD_CARD: &str = "pm_card_chargeDeclined";

/// What a payment at the provider is to a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkout {
    pub(crate) intent: String,
    secret: String,
}

/// How an attempt to pay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paid {
    /// The money is ready or taken.
    Accepted,
    /// The card was declined.
    Declined,
    /// The payment had been let go: nothing can be paid any more.
    LetGo,
}

#[derive(Deserialize)]
struct Shown {
    status: String,
    amount: i64,
    #[serde(default)]
    amount_received: Option<i64>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    status: String,
    amount_received: i64,
    #[serde(default)]
    metadata: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct List {
    data: Vec<Listed>,
    has_more: bool,
}

impl Checkout {
    /// A client secret is `pi_…_secret_…`; what precedes is the payment's name.
    pub(crate) fn new(secret: String) -> Option<Self> {
        let (intent, _) = secret.split_once("_secret_")?;
        Some(Self { intent: intent.to_owned(), secret })
    }

    /// What the provider's form in the browser sends to pay with a card.
    pub(crate) fn confirm(&self, key: &str, card: &str) -> Call {
        let form = [("key", key), ("client_secret", self.secret.as_str()), ("payment_method", card)];
        Call::post(format!("/_stripe/v1/payment_intents/{}/confirm", self.intent)).form(&form)
    }

    /// Pays with a card, as the provider's form in the browser does.
    ///
    /// # Errors
    /// [`DemoError::Unexpected`] if the provider refuses the call rather than the card; as [`Wire::send`].
    pub(crate) async fn pay(&self, wire: &Wire, key: &str, card: &str) -> Result<Paid, DemoError> {
        let answer = wire.send(&self.confirm(key, card).timed(Action::Pay)).await?;
        let shown = match answer.status {
            402 => return Ok(Paid::Declined),
            // Paid or let go already: by the other click, or by an attempt whose answer was lost.
            400 if error_code(&answer).as_deref() == Some("payment_intent_unexpected_state") => {
                self.look(wire, key).await?
            }
            _ => answer.value()?,
        };
        match shown.status.as_str() {
            "requires_capture" | "succeeded" => Ok(Paid::Accepted),
            "canceled" => Ok(Paid::LetGo),
            "requires_payment_method" => Ok(Paid::Declined),
            _ => Err(answer.unexpected()),
        }
    }

    async fn look(&self, wire: &Wire, key: &str) -> Result<Shown, DemoError> {
        let call = Call::get(format!("/_stripe/v1/payment_intents/{}", self.intent));
        wire.send(&call.query("key", key).query("client_secret", self.secret.as_str())).await?.value()
    }

    /// What the provider's books say of this payment. A browser is not told how much was taken; payments here are
    /// taken whole.
    ///
    /// # Errors
    /// As [`Checkout::pay`].
    pub(crate) async fn entry(&self, wire: &Wire, key: &str, order: &str) -> Result<Intent, DemoError> {
        let Shown { status, amount, amount_received } = self.look(wire, key).await?;
        let taken = if status == "succeeded" { amount } else { 0 };
        Ok(Intent {
            id: self.intent.clone(),
            order: order.to_owned(),
            captured: amount_received.unwrap_or(taken),
            kept_ready: status == "requires_capture",
        })
    }
}

fn error_code(answer: &crate::wire::Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Outer {
        error: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        code: Option<String>,
    }
    answer.json::<Outer>().ok()?.error.code
}

/// The provider's list of payments for orders of ours, read with the shop's secret key.
///
/// # Errors
/// [`DemoError::Unexpected`] if the key is refused; as [`Wire::send`].
pub(crate) async fn list(
    wire: &Wire,
    secret_key: &str,
    ours: impl Fn(&str) -> bool,
) -> Result<Vec<Intent>, DemoError> {
    let (mut intents, mut after) = (Vec::new(), None);
    loop {
        let mut call = Call::get("/_stripe/v1/payment_intents").query("limit", "100").bearer(secret_key);
        if let Some(after) = after {
            call = call.query("starting_after", after);
        }
        let List { data, has_more } = wire.send(&call).await?.value()?;
        after = data.last().map(|intent| intent.id.clone());
        for Listed { id, status, amount_received, mut metadata } in data {
            // What other sales left behind is none of this one's books.
            if let Some(order) = metadata.remove("order_id").filter(|order| ours(order)) {
                let kept_ready = status == "requires_capture";
                intents.push(Intent { id, order, captured: amount_received, kept_ready });
            }
        }
        if !has_more || after.is_none() {
            return Ok(intents);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_secret_names_its_payment() {
        let checkout = Checkout::new("pi_3abc_secret_xyz".to_owned()).unwrap();
        assert_eq!(checkout.intent, "pi_3abc");
        assert_eq!(Checkout::new("nonsense".to_owned()), None);
    }
}
