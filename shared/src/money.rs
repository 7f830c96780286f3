//! Money: integer minor units and an ISO 4217 code. Arithmetic is checked and never mixes currencies; no floats anywhere.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

/// The text is no ISO 4217 code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 4217 currency code")]
pub struct NotACurrency;

impl Currency {
    /// Digits after the decimal point: 0 for JPY, 2 for EUR, 3 for KWD. Currencies without minor units (gold) count as 0.
    #[must_use]
    pub fn decimals(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }

    /// The three letters.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }
}

impl std::str::FromStr for Currency {
    type Err = NotACurrency;
    fn from_str(text: &str) -> Result<Self, NotACurrency> {
        iso_currency::Currency::from_code(text).map(Self).ok_or(NotACurrency)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Currency {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("ISO 4217 code"))
            .pattern(Some("^[A-Z]{3}$"))
            .examples([serde_json::json!("EUR")])
            .into()
    }
}
impl utoipa::ToSchema for Currency {}

/// An amount in minor units (cents, yen, fils) of one currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units: 2500 with EUR is 25 euros; 2500 with JPY is 2500 yen.
    #[schema(example = 2500)]
    pub amount: i64,
    /// The currency of the amount.
    pub currency: Currency,
}

/// Two currencies met, or the sum left the 64-bit range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("amounts of different currencies, or a sum out of range")]
pub struct BadSum;

impl Money {
    /// `amount` minor units of `currency`.
    #[must_use]
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// The sum.
    ///
    /// # Errors
    /// [`BadSum`] for two currencies or an overflow.
    pub fn plus(self, other: Self) -> Result<Self, BadSum> {
        if self.currency != other.currency {
            return Err(BadSum);
        }
        self.amount.checked_add(other.amount).map(|amount| Self { amount, ..self }).ok_or(BadSum)
    }

    /// This amount `count` times.
    ///
    /// # Errors
    /// [`BadSum`] on overflow.
    pub fn times(self, count: u32) -> Result<Self, BadSum> {
        self.amount.checked_mul(i64::from(count)).map(|amount| Self { amount, ..self }).ok_or(BadSum)
    }

    /// Nothing to pay.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.amount == 0
    }
}

/// `25.00 EUR`, `2500 JPY`, `1.250 KWD`: unambiguous in every language.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.amount < 0 { "-" } else { "" };
        let (units, decimals) = (self.amount.unsigned_abs(), self.currency.decimals());
        let scale = 10u64.pow(decimals);
        write!(f, "{sign}{}", units / scale)?;
        if decimals > 0 {
            write!(f, ".{:0width$}", units % scale, width = decimals as usize)?;
        }
        write!(f, " {}", self.currency.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: i64, code: &str) -> Money {
        Money::new(amount, code.parse().unwrap())
    }

    #[test]
    fn amounts_are_written_with_the_decimals_of_their_currency() {
        assert_eq!(money(2500, "EUR").to_string(), "25.00 EUR");
        assert_eq!(money(5, "EUR").to_string(), "0.05 EUR");
        assert_eq!(money(2500, "JPY").to_string(), "2500 JPY");
        assert_eq!(money(-1250, "KWD").to_string(), "-1.250 KWD");
    }

    #[test]
    fn currencies_do_not_mix_and_sums_do_not_wrap() {
        assert_eq!(money(1, "EUR").plus(money(1, "USD")), Err(BadSum));
        assert_eq!(money(i64::MAX, "EUR").plus(money(1, "EUR")), Err(BadSum));
        assert_eq!(money(i64::MAX, "EUR").times(2), Err(BadSum));
        assert_eq!(money(3, "KWD").times(4), Ok(money(12, "KWD")));
    }

    #[test]
    fn an_amount_with_a_fraction_or_an_unknown_currency_is_no_money() {
        assert!(serde_json::from_str::<Money>(r#"{"amount":1.5,"currency":"EUR"}"#).is_err());
        assert!(serde_json::from_str::<Money>(r#"{"amount":1,"currency":"EURO"}"#).is_err());
    }
}
