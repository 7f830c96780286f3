//! Gift cards: money that a seller owes to whoever has a code, and that pays an order, whole or in part.
//!
//! A card is a means of payment, not a discount: prices, taxes and invoices know nothing of it. What it pays is a part of the order's one
//! payment ([`Credit`]), whose provider is asked for the rest; so all that holds of a payment holds of both parts at once.
//!
//! The card's item says what each payment has of it ([`Use`]): held when the payment is opened, as long as the places are; claimed
//! for good once the rest is authorised, and only then is the booking told. If the card has been emptied by then, the rest is let
//! go. Whoever hears of a change makes the card follow the payment, and may do so twice.

use crate::auth::Actor;
use crate::error::{Code, Refusal, Result};
use crate::id::{GiftCardId, OrganisationId, PaymentId, RefundId};
use crate::money::Money;
use crate::text::{SPOKEN, Text, spoken};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most payments that one card can be a part of.
pub const MAX_USES: usize = 100;

/// What is written on a card: 80 bits in Crockford's Base32 (<https://www.crockford.com/base32.html>), in groups of four. Read
/// with or without dashes, in either case, and with the letters that look like others.
#[derive(Clone, PartialEq, Eq)]
pub struct GiftCode(String);

impl GiftCode {
    /// The code of these bits, of which the first 80 count.
    #[must_use]
    pub fn of(bits: &[u8; 32]) -> Self {
        let bits = bits[..10].iter().fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
        let letter = |place: u32| char::from(SPOKEN[(bits >> (75 - 5 * place) & 31) as usize]);
        Self((0..16).map(letter).collect())
    }

    /// The id of an organisation's card of this code.
    #[must_use]
    pub fn card(&self, organisation: OrganisationId) -> GiftCardId {
        GiftCardId::derive(&[&organisation.to_string(), &self.0])
    }
}

impl fmt::Display for GiftCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |place: usize| &self.0[4 * place..4 * place + 4];
        write!(f, "{}-{}-{}-{}", group(0), group(1), group(2), group(3))
    }
}

/// It is money: logs show none of it.
impl fmt::Debug for GiftCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GiftCode")
    }
}

impl std::str::FromStr for GiftCode {
    type Err = &'static str;
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let read = |c: char| Some(spoken(c)).filter(|c| SPOKEN.iter().any(|known| char::from(*known) == *c));
        let letters = text.chars().filter(|c| !matches!(c, '-' | ' ')).take(17);
        let code: Option<String> = letters.map(read).collect();
        code.filter(|code| code.len() == 16).map(Self).ok_or("must be a gift card's code")
    }
}

impl<'de> Deserialize<'de> for GiftCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for GiftCode {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("A gift card's code"))
            .min_length(Some(16))
            .max_length(Some(40))
            .examples([serde_json::json!("7Q2K-94MX-0V5T-DGW8")])
            .into()
    }
}
impl utoipa::ToSchema for GiftCode {}

/// What a card pays of a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Credit {
    /// Which card.
    pub card: GiftCardId,
    /// How much.
    pub amount: Money,
    /// Whether the card has let go of it for good: before that, its booking is not told.
    #[serde(default)]
    pub claimed: bool,
}

/// What went back to a card.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = GiftCardBack)]
pub struct CardBack {
    /// By which refund.
    pub refund: RefundId,
    /// How much, minor units.
    pub amount: i64,
}

/// What a payment has of a card.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = GiftCardUse)]
pub struct Use {
    /// Which payment.
    pub payment: PaymentId,
    /// How much, minor units.
    pub amount: i64,
    /// Until when it is held for that; for good if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// What of it went back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backs: Vec<CardBack>,
}

impl Use {
    /// How much of the card it has now, minor units.
    fn has(&self, now: Timestamp) -> i64 {
        match self.until {
            Some(until) if until <= now => 0,
            Some(_) | None => self.amount - self.backs.iter().map(|back| back.amount).sum::<i64>(),
        }
    }
}

/// A gift card.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GiftCard {
    /// Its id, from its code.
    pub id: GiftCardId,
    /// Who owes it.
    pub organisation: OrganisationId,
    /// How much it was made for.
    pub amount: Money,
    /// The last characters of its code, by which people tell cards apart.
    pub ending: String,
    /// Until when it can be used; for ever if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Whether it is stopped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// What its seller wrote about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text<1, 200>>,
    /// Who made it.
    pub by: Actor,
    /// When.
    pub created: Timestamp,
    /// Who has what of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<Use>,
    /// The print of the request that made it.
    pub print: String,
}

impl GiftCard {
    /// What is left on it.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Money {
        let gone: i64 = self.uses.iter().map(|used| used.has(now)).sum();
        Money::new(self.amount.amount - gone, self.amount.currency)
    }

    /// Whether it can pay now.
    ///
    /// # Errors
    /// `invalid_input` that says why not.
    pub fn usable(&self, now: Timestamp) -> Result<()> {
        let fault = |detail| Err(Refusal::invalid("/gift_card", detail));
        match (self.stopped, self.expires) {
            (true, _) => fault("is stopped"),
            (false, Some(expires)) if expires <= now => fault("has expired"),
            (false, _) if self.left(now).amount < 1 => fault("has nothing left"),
            (false, _) => Ok(()),
        }
    }

    fn with(&self, used: Use, now: Timestamp) -> Self {
        let mut next = self.clone();
        // What has nothing of it, nor can have, is forgotten.
        next.uses.retain(|known| known.payment != used.payment && known.has(now) > 0);
        next.uses.push(used);
        next
    }

    /// Holds so much for a payment. Of a payment that holds something already, this much instead.
    ///
    /// # Errors
    /// `invalid_input` if it is not usable; `wrong_state` if there is less than that, or it has been used too often.
    pub fn hold(
        &self,
        payment: PaymentId,
        amount: i64,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Self>> {
        match self.uses.iter().find(|known| known.payment == payment) {
            Some(Use { until: None, .. }) => return Ok(None),
            Some(known) if known.amount == amount && known.until == Some(until) => return Ok(None),
            Some(_) => {}
            None => self.usable(now)?,
        }
        let others = Self {
            uses: self.uses.iter().filter(|known| known.payment != payment).cloned().collect(),
            ..self.clone()
        };
        if others.left(now).amount < amount {
            return Err(Code::WrongState.because("the gift card has less than that by now"));
        }
        if others.uses.iter().filter(|known| known.has(now) > 0).count() >= MAX_USES {
            return Err(Code::WrongState.because("the gift card has been used a hundred times"));
        }
        Ok(Some(others.with(Use { payment, amount, until: Some(until), backs: Vec::new() }, now)))
    }

    /// Makes it a payment's for good, whether or not its hold is over. Repeating it changes nothing.
    ///
    /// # Errors
    /// `wrong_state` if there is less than that.
    pub fn claim(&self, payment: PaymentId, amount: i64, now: Timestamp) -> Result<Option<Self>> {
        let known = self.uses.iter().find(|known| known.payment == payment);
        if known.is_some_and(|known| known.until.is_none()) {
            return Ok(None);
        }
        let own = known.map_or(0, |known| known.has(now));
        if self.left(now).amount + own < amount {
            return Err(Code::WrongState.because("the gift card has less than that by now"));
        }
        Ok(Some(self.with(Use { payment, amount, until: None, backs: Vec::new() }, now)))
    }

    /// Takes back what a payment had of it that came to nothing. Repeating it changes nothing.
    #[must_use]
    pub fn release(&self, payment: PaymentId) -> Option<Self> {
        let mut next = self.clone();
        next.uses.retain(|known| known.payment != payment);
        (next.uses.len() < self.uses.len()).then_some(next)
    }

    /// Takes back what a refund gives of a payment. Repeating it changes nothing; nor does what the payment never had.
    #[must_use]
    pub fn give_back(&self, payment: PaymentId, back: CardBack) -> Option<Self> {
        let mut next = self.clone();
        let used = next.uses.iter_mut().find(|known| known.payment == payment)?;
        if used.until.is_some() {
            return self.release(payment);
        }
        if used.backs.iter().any(|known| known.refund == back.refund) {
            return None;
        }
        used.backs.push(back);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn card(amount: i64) -> GiftCard {
        let organisation = OrganisationId::derive(&["o"]);
        let code = GiftCode::of(&[7; 32]);
        GiftCard {
            id: code.card(organisation),
            organisation,
            amount: Money::new(amount, "EUR".parse().unwrap()),
            ending: String::new(),
            expires: None,
            stopped: false,
            note: None,
            by: Actor::Account(crate::id::AccountId::derive(&["a"])),
            created: at(0),
            uses: Vec::new(),
            print: String::new(),
        }
    }

    fn payment(nth: u8) -> PaymentId {
        PaymentId::derive(&[&nth.to_string()])
    }

    fn back(name: u8, amount: i64) -> CardBack {
        CardBack { refund: RefundId::derive(&[&name.to_string()]), amount }
    }

    #[test]
    fn a_code_is_read_as_people_write_it() {
        let mut bits = [0; 32];
        bits[..10].copy_from_slice(&[0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf]);
        let code = GiftCode::of(&bits);
        assert_eq!(code.to_string(), "0123-4567-89AB-CDEF");
        for same in ["0123456789abcdef", "oi23-4567-89ab-cdef", " OL23 4567 89AB CDEF "] {
            assert_eq!(same.parse::<GiftCode>(), Ok(code.clone()), "{same}");
        }
        for other in
            ["", "0123-4567-89AB-CDE", "0123-4567-89AB-CDEF0", "0123-4567-89AB-CDEU", "０123456789ABCDEF"]
        {
            assert!(other.parse::<GiftCode>().is_err(), "{other}");
        }
        assert_eq!(format!("{code:?}"), "GiftCode");
        let (one, two) = (OrganisationId::derive(&["1"]), OrganisationId::derive(&["2"]));
        assert_ne!(code.card(one), code.card(two), "a code is good at its own seller");
    }

    #[test]
    fn what_is_held_is_nobody_elses_until_its_time_is_over() {
        let held = card(1000).hold(payment(1), 700, at(600), at(0)).unwrap().unwrap();
        assert_eq!((held.left(at(0)).amount, held.left(at(600)).amount), (300, 1000));
        assert_eq!(held.hold(payment(1), 700, at(600), at(1)).unwrap(), None, "again");
        assert_eq!(held.hold(payment(2), 301, at(600), at(1)).unwrap_err(), Code::WrongState);
        let more = held.hold(payment(1), 1000, at(700), at(1)).unwrap().unwrap();
        assert_eq!(more.left(at(600)).amount, 0, "its own is no hindrance");
        assert_eq!(more.hold(payment(2), 1, at(700), at(1)).unwrap_err(), Code::InvalidInput);
        let over = held.hold(payment(2), 1000, at(1300), at(700)).unwrap().unwrap();
        assert_eq!(over.uses.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn what_is_claimed_stays_and_what_somebody_else_was_faster_with_is_refused() {
        let held = card(1000).hold(payment(1), 700, at(600), at(0)).unwrap().unwrap();
        let claimed = held.claim(payment(1), 700, at(1)).unwrap().unwrap();
        assert_eq!(claimed.left(at(9999)).amount, 300);
        assert_eq!(claimed.claim(payment(1), 700, at(2)).unwrap(), None);
        assert_eq!(claimed.hold(payment(1), 700, at(999), at(2)).unwrap(), None);
        // Late, but it is still there; or it is not.
        assert!(held.claim(payment(1), 700, at(700)).unwrap().is_some());
        let other = held.claim(payment(2), 400, at(700)).unwrap().unwrap();
        assert_eq!(other.claim(payment(1), 700, at(701)).unwrap_err(), Code::WrongState);
    }

    #[test]
    fn what_goes_back_goes_back_once() {
        let claimed = card(1000).claim(payment(1), 700, at(0)).unwrap().unwrap();
        let once = claimed.give_back(payment(1), back(1, 200)).unwrap();
        assert_eq!((once.left(at(1)).amount, once.give_back(payment(1), back(1, 200))), (500, None));
        let all = once.give_back(payment(1), back(2, 500)).unwrap();
        assert_eq!(all.left(at(1)).amount, 1000);
        assert_eq!(claimed.give_back(payment(2), back(1, 200)), None, "it never had any");
        let held = card(1000).hold(payment(1), 700, at(600), at(0)).unwrap().unwrap();
        assert_eq!(held.give_back(payment(1), back(1, 700)).unwrap().left(at(1)).amount, 1000);
        assert_eq!(held.release(payment(1)).unwrap().release(payment(1)), None);
    }

    #[test]
    fn a_card_that_cannot_pay_says_why() {
        let expired = GiftCard { expires: Some(at(10)), ..card(100) };
        assert!(expired.usable(at(9)).is_ok());
        let why = |card: &GiftCard| card.usable(at(10)).unwrap_err().faults[0].detail.clone();
        assert_eq!(why(&expired), "has expired");
        assert_eq!(why(&GiftCard { stopped: true, ..card(100) }), "is stopped");
        assert_eq!(why(&card(100).claim(payment(1), 100, at(0)).unwrap().unwrap()), "has nothing left");
        // What was promised before counts.
        assert!(expired.claim(payment(1), 100, at(20)).unwrap().is_some());
        let mut worn = card(1000);
        for nth in 0..MAX_USES {
            worn = worn.claim(PaymentId::derive(&[&nth.to_string()]), 1, at(0)).unwrap().unwrap();
        }
        assert_eq!(worn.hold(PaymentId::derive(&["more"]), 1, at(600), at(0)).unwrap_err(), Code::WrongState);
    }

    proptest! {
        /// Whatever happens in whatever order: never more than there was, never less than nothing, and what all gave back is whole.
        #[test]
        fn a_card_is_never_overdrawn(
            steps in proptest::collection::vec((0u8..4, 0u8..4, 1i64..800), 1..40),
        ) {
            let (mut known, mut now) = (card(1000), 0);
            for (kind, who, amount) in steps {
                now += 100;
                let (who, until) = (payment(who), at(now + 300));
                let next = match kind {
                    0 => known.hold(who, amount, until, at(now)).unwrap_or(None),
                    1 => known.claim(who, amount, at(now)).unwrap_or(None),
                    2 => known.release(who),
                    _ => {
                        let has = known.uses.iter().find(|used| used.payment == who).map_or(0, |used| used.has(at(now)));
                        known.give_back(who, back(kind, has.min(amount)))
                    }
                };
                known = next.unwrap_or(known);
                let left = known.left(at(now)).amount;
                prop_assert!((0..=1000).contains(&left), "{left}");
            }
            for who in 0..4 {
                known = known.release(payment(who)).unwrap_or(known);
            }
            prop_assert_eq!(known.left(at(now)).amount, 1000);
        }
    }
}
