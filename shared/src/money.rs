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

    /// The difference.
    ///
    /// # Errors
    /// [`BadSum`] for two currencies or an overflow.
    pub fn minus(self, other: Self) -> Result<Self, BadSum> {
        if self.currency != other.currency {
            return Err(BadSum);
        }
        self.amount.checked_sub(other.amount).map(|amount| Self { amount, ..self }).ok_or(BadSum)
    }

    /// Nothing to pay.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.amount == 0
    }
}

impl Money {
    /// The number, with the decimals of its currency: `25.00`, `2500`, `-1.250`.
    #[must_use]
    pub fn decimal(self) -> String {
        let sign = if self.amount < 0 { "-" } else { "" };
        let (units, decimals) = (self.amount.unsigned_abs(), self.currency.decimals());
        let scale = 10u64.pow(decimals);
        match decimals {
            0 => format!("{sign}{units}"),
            _ => format!("{sign}{}.{:0width$}", units / scale, units % scale, width = decimals as usize),
        }
    }
}

/// `25.00 EUR`, `2500 JPY`, `1.250 KWD`: unambiguous in every language.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency.code())
    }
}

/// So many hundredths, in thousandths: 0 to 100, written `19` or `8.875`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Percent(u32);

/// The text is no percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a text such as \"19\" or \"8.875\", from 0 to 100")]
pub struct NotAPercentage;

/// A percentage of 100.
const WHOLE: i128 = 100_000;

impl Percent {
    /// All of it.
    pub const ALL: Self = Self(100_000);

    /// So much of an amount of minor units, 0 or more: rounded half up.
    #[must_use]
    pub fn of(self, amount: i64) -> i64 {
        rounded(i128::from(amount) * i128::from(self.0), WHOLE)
    }

    /// How much an amount contains of it, if it was added to the rest: 19 of 119. Rounded half up.
    #[must_use]
    pub fn within(self, amount: i64) -> i64 {
        rounded(i128::from(amount) * i128::from(self.0), WHOLE + i128::from(self.0))
    }

    /// Nothing of it.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// Half up, for what is not negative. A part of a 64-bit amount is one.
fn rounded(above: i128, below: i128) -> i64 {
    i64::try_from((2 * above + below) / (2 * below)).unwrap_or(i64::MAX)
}

/// Spreads an amount over weights, all of them 0 or more, by largest remainder (Hamilton's method): the parts sum to the amount
/// exactly, each is within one unit of its share, nothing goes where the weight is 0. Of equal remainders the first is served
/// first. If every weight is 0, the first takes all.
#[must_use]
pub fn split(amount: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    if sum == 0 {
        return (0..weights.len()).map(|place| if place == 0 { amount } else { 0 }).collect();
    }
    let exact = |weight: &i64| i128::from(amount) * i128::from(*weight);
    let mut parts: Vec<i128> = weights.iter().map(|weight| exact(weight).div_euclid(sum)).collect();
    let missing = i128::from(amount) - parts.iter().sum::<i128>();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(exact(&weights[*place]).rem_euclid(sum)));
    for place in order.into_iter().take(usize::try_from(missing).unwrap_or(0)) {
        parts[place] += 1;
    }
    // A part of a 64-bit amount is one.
    parts.into_iter().map(|part| i64::try_from(part).unwrap_or(i64::MAX)).collect()
}

impl std::str::FromStr for Percent {
    type Err = NotAPercentage;
    fn from_str(text: &str) -> Result<Self, NotAPercentage> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str, most| {
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 3) || !digits(part, 3) {
            return Err(NotAPercentage);
        }
        let thousandths = format!("{whole}{part:0<3}").parse().map_err(|_| NotAPercentage)?;
        Some(Self(thousandths)).filter(|percent| *percent <= Self::ALL).ok_or(NotAPercentage)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 / 1000)?;
        match self.0 % 1000 {
            0 => Ok(()),
            part => f.write_str(format!(".{part:03}").trim_end_matches('0')),
        }
    }
}

impl Serialize for Percent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Percent {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("Percent, 0 to 100, with at most three decimals"))
            .pattern(Some("^(100(\\.0{1,3})?|[0-9]{1,2}(\\.[0-9]{1,3})?)$"))
            .examples([serde_json::json!("19")])
            .into()
    }
}
impl utoipa::ToSchema for Percent {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn a_percentage_reads_as_it_is_written() {
        for (text, shown) in
            [("19", "19"), ("8.875", "8.875"), ("7.50", "7.5"), ("0", "0"), ("100.000", "100")]
        {
            assert_eq!(text.parse::<Percent>().unwrap().to_string(), shown);
        }
        for text in ["", "-1", "100.001", "1.2345", "1.", ".5", "1,5", "+5", "19%", "1000"] {
            assert_eq!(text.parse::<Percent>(), Err(NotAPercentage), "{text}");
        }
    }

    #[test]
    fn percentages_are_rounded_half_up() {
        let vat: Percent = "19".parse().unwrap();
        assert_eq!((vat.of(10_000), vat.within(11_900)), (1900, 1900));
        assert_eq!((vat.of(50), vat.of(49)), (10, 9), "9.5 and 9.31");
        assert_eq!("8.875".parse::<Percent>().unwrap().of(1999), 177, "177.41");
        assert_eq!(Percent::ALL.of(i64::MAX), i64::MAX);
        assert_eq!((Percent::ALL.within(5), Percent::default().within(5)), (3, 0));
    }

    #[test]
    fn what_cannot_be_shared_evenly_goes_to_the_largest_remainders() {
        assert_eq!(split(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(split(10, &[3, 0, 7]), [3, 0, 7]);
        assert_eq!(split(1, &[1, 2, 2]), [0, 1, 0]);
        assert_eq!(split(5, &[0, 0]), [5, 0]);
        assert_eq!(split(-1, &[1, 1]), [0, -1]);
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_whole_and_none_is_more_than_a_unit_off(
            amount in 0i64..1_000_000_000_000, weights in proptest::collection::vec(0i64..1_000_000_000_000, 1..30)
        ) {
            let parts = split(amount, &weights);
            prop_assert_eq!(parts.iter().sum::<i64>(), amount);
            let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
            for (part, weight) in parts.iter().zip(&weights) {
                let off = i128::from(*part) * sum - i128::from(amount) * i128::from(*weight);
                prop_assert!(sum == 0 || off.abs() < sum, "{} of {}", part, weight);
                prop_assert!(*weight > 0 || *part == 0 || sum == 0);
            }
        }

        /// A price that is put together from net and tax contains that tax, to the unit.
        #[test]
        fn a_tax_that_was_added_is_what_the_sum_contains(net in 0i64..10_000_000_000, rate in 0u32..=100_000) {
            let percent = Percent(rate);
            let tax = percent.of(net);
            prop_assert!((percent.within(net + tax) - tax).abs() <= 1);
            prop_assert_eq!(percent.to_string().parse::<Percent>(), Ok(percent));
        }
    }
}
