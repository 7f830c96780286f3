//! The test cards: what each does when it is charged. Names, numbers and codes are those of Stripe's published
//! list of test cards.

use super::error::Error;

/// What happens when a card is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Pays,
    /// Pays, and a refund to it fails after it was answered as succeeded.
    PaysButRefundsFail,
    /// Pays once the buyer's bank has been asked.
    Authenticates,
    Declines(Decline),
}

/// Why a card is declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decline {
    pub(crate) code: &'static str,
    pub(crate) decline_code: Option<&'static str>,
    pub(crate) message: &'static str,
}

/// A test card. Its number stays in this table: nothing keeps what a buyer typed.
#[derive(Debug)]
pub(crate) struct Card {
    /// The payment method's name without `pm_card_`.
    pub(crate) name: &'static str,
    number: &'static str,
    pub(crate) brand: &'static str,
    pub(crate) behaviour: Behaviour,
}

const fn declined(decline_code: &'static str, message: &'static str) -> Behaviour {
    Behaviour::Declines(Decline { code: "card_declined", decline_code: Some(decline_code), message })
}

const fn refused(code: &'static str, message: &'static str) -> Behaviour {
    Behaviour::Declines(Decline { code, decline_code: None, message })
}

const fn card(name: &'static str, number: &'static str, brand: &'static str, behaviour: Behaviour) -> Card {
    Card { name, number, brand, behaviour }
}

/// The generic decline, also what the switch "decline the next" answers.
pub(crate) const GENERIC: Decline = Decline {
    code: "card_declined",
    decline_code: Some("generic_decline"),
    message: "Your card was declined.",
};

static CARDS: [Card; 14] = [
    card("visa", "4242424242424242", "visa", Behaviour::Pays),
    card("mastercard", "5555555555554444", "mastercard", Behaviour::Pays),
    card("amex", "378282246310005", "amex", Behaviour::Pays),
    card("refundFail", "4000000000005126", "visa", Behaviour::PaysButRefundsFail),
    card("authenticationRequired", "4000002500003155", "visa", Behaviour::Authenticates),
    card("threeDSecure2Required", "4000000000003220", "visa", Behaviour::Authenticates),
    card("chargeDeclined", "4000000000000002", "visa", Behaviour::Declines(GENERIC)),
    card(
        "chargeDeclinedInsufficientFunds",
        "4000000000009995",
        "visa",
        declined("insufficient_funds", "Your card has insufficient funds."),
    ),
    card(
        "chargeDeclinedLostCard",
        "4000000000009987",
        "visa",
        declined("lost_card", "Your card was declined."),
    ),
    card(
        "chargeDeclinedStolenCard",
        "4000000000009979",
        "visa",
        declined("stolen_card", "Your card was declined."),
    ),
    card(
        "chargeDeclinedFraudulent",
        "4100000000000019",
        "visa",
        declined("fraudulent", "Your card was declined."),
    ),
    card(
        "chargeDeclinedExpiredCard",
        "4000000000000069",
        "visa",
        refused("expired_card", "Your card has expired."),
    ),
    card(
        "chargeDeclinedIncorrectCvc",
        "4000000000000127",
        "visa",
        refused("incorrect_cvc", "Your card's security code is incorrect."),
    ),
    card(
        "chargeDeclinedProcessingError",
        "4000000000000119",
        "visa",
        refused(
            "processing_error",
            "An error occurred while processing your card. Try again in a little bit.",
        ),
    ),
];

impl Card {
    /// The card a payment method such as `pm_card_visa` or `pm_card_visa_chargeDeclined` stands for.
    pub(crate) fn of_payment_method(id: &str) -> Option<&'static Self> {
        let name = id.strip_prefix("pm_card_")?;
        let name = name.strip_prefix("visa_").unwrap_or(name);
        Self::named(name)
    }

    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        CARDS.iter().find(|card| card.name == name)
    }

    /// The card with this number, blanks and hyphens aside.
    pub(crate) fn numbered(number: &str) -> Option<&'static Self> {
        let mut digits = number.chars().filter(|c| !matches!(c, ' ' | '-'));
        let digits: String = digits.by_ref().take(20).collect();
        CARDS.iter().find(|card| card.number == digits)
    }

    /// The last four digits, which are no secret.
    pub(crate) fn last4(&self) -> &'static str {
        self.number.get(self.number.len() - 4..).unwrap_or_default()
    }

    pub(crate) fn declines(&self) -> Option<Decline> {
        match self.behaviour {
            Behaviour::Declines(decline) => Some(decline),
            _ => None,
        }
    }
}

impl Decline {
    /// The refusal a client sees.
    pub(crate) fn error(self) -> Error {
        let error = Error {
            status: 402,
            kind: "card_error",
            code: Some(self.code),
            message: self.message.into(),
            param: None,
            more: None,
        };
        match self.decline_code {
            Some(decline_code) => error.with("decline_code", decline_code),
            None => error,
        }
    }
}
