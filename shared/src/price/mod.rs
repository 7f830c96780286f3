//! Prices: what a basket costs, from its lines to the total that is paid.
//!
//! The steps, in their order, and the only places where anything is rounded (always half up, in minor units):
//!
//! 1. A line is its unit price times its quantity: exact.
//! 2. Coupons, in the order they were named, each on what the ones before it have left of the lines it is for. A percentage is
//!    rounded once for all of them together, then spread over the lines by largest remainder ([`Money::split`]).
//! 3. Fees, on what is left: the percentage rounded once per fee. The buyer pays them, or the seller bears them.
//! 4. Taxes, on lines and paid fees, once per rate for all of them together, then spread the same way: what an invoice says per
//!    rate is exact, and the lines sum to it. A tax is contained in the price, or comes on top.
//! 5. The total: what is left of the lines, the fees that the buyer pays, and the taxes that come on top.
//!
//! Everything is pure and happens once, when a hold is taken: the sealed quote carries the result. [`store`] has the kept form,
//! [`coupon`] who may use which.

pub mod coupon;
pub mod store;

use crate::booking::{Item, Line};
use crate::error::{Code, Fault, Refusal, Result};
use crate::id::{CouponId, OrganisationId};
use crate::money::{Currency, Money, Percent, split};
use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where something is taxed: a country (ISO 3166-1), perhaps with a part of it (ISO 3166-2): `DE`, `US-NY`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Place(String);

impl Place {
    /// The country alone.
    #[must_use]
    pub fn country(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }
}

impl std::str::FromStr for Place {
    type Err = &'static str;
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (country, part) =
            text.split_once('-').map_or((text, None), |(country, part)| (country, Some(part)));
        let good = country.len() == 2
            && country.bytes().all(|byte| byte.is_ascii_uppercase())
            && part.is_none_or(|part| {
                (1..=3).contains(&part.len())
                    && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            });
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be a country such as DE, or a part of one such as US-NY")
        }
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl utoipa::PartialSchema for Place {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("ISO 3166-1 country, or ISO 3166-2 part of one"))
            .pattern(Some("^[A-Z]{2}(-[A-Z0-9]{1,3})?$"))
            .examples([serde_json::json!("DE")])
            .into()
    }
}
impl utoipa::ToSchema for Place {}

/// The kind of thing that something is for the tax office: `standard`, `reduced`, `books`. The seller's own words.
pub type TaxCode = Text<1, 32>;

/// The tax code of what says nothing about it.
pub const STANDARD: &str = "standard";

/// What one tax code is taxed with at one place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxRate {
    /// Of which kind of things.
    #[schema(example = "standard")]
    pub code: TaxCode,
    /// Where. A rate of a country counts in those parts of it that have none of their own.
    pub place: Place,
    /// What the tax is called there.
    #[schema(example = "VAT")]
    pub name: Text<1, 30>,
    /// How much.
    pub percent: Percent,
}

/// How an organisation's sales are taxed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxRules {
    /// Whether prices contain the tax (as shown to consumers in Europe) or it comes on top (as in the United States).
    pub included: bool,
    /// Where things are taxed that do not say where.
    pub place: Place,
    /// The rates, 1 to 100: one of `standard` at that place among them.
    #[schema(min_items = 1, max_items = 100)]
    pub rates: Vec<TaxRate>,
}

/// Who pays a fee.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaidBy {
    /// The buyer, on top of the prices.
    Buyer,
    /// The seller, out of the prices.
    Seller,
}

/// A fee on every basket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeeRule {
    /// What it is called.
    #[schema(example = "Booking fee")]
    pub name: Text<1, 60>,
    /// So much of what the lines cost.
    #[serde(default)]
    pub percent: Percent,
    /// So much for each place or unit that costs something. In baskets of another currency the whole fee is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Money>,
    /// So much for a basket that costs something. In baskets of another currency the whole fee is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basket: Option<Money>,
    /// Who pays it.
    pub paid_by: PaidBy,
    /// What it is for the tax office, if the buyer pays it; `standard` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 32)]
    pub tax_code: Option<TaxCode>,
}

/// What an organisation's prices are worked out with.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceRules {
    /// Its taxes; without rules, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxRules>,
    /// Its fees, at most 5.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 5)]
    pub fees: Vec<FeeRule>,
}

/// The price rules of an organisation, as they are kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pricing {
    /// Whose.
    pub organisation: OrganisationId,
    /// What they say.
    pub rules: PriceRules,
}

/// A tax as it was worked out for a line or a fee.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = LineTax)]
pub struct Tax {
    /// What it is called.
    #[schema(example = "VAT")]
    pub name: String,
    /// How much of the net price.
    pub percent: Percent,
    /// Whether the price contains it.
    pub included: bool,
    /// How much it is.
    pub amount: Money,
}

/// A fee that the buyer pays.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Fee {
    /// What it is called.
    #[schema(example = "Booking fee")]
    pub name: String,
    /// How much, without a tax that comes on top.
    pub amount: Money,
    /// Its tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Tax>,
}

/// What a coupon took off.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Discount {
    /// The code as it was named.
    pub code: String,
    /// The coupon; of a code of many, the code's own.
    pub coupon: CouponId,
    /// How much it took off.
    pub amount: Money,
    /// How often it may be used in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// How often by one buyer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_buyer: Option<u32>,
}

/// What is in a total besides the lines.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Extras {
    /// What coupons took off; each line says its share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<Discount>,
    /// Fees that the buyer pays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fees: Vec<Fee>,
    /// Fees that the seller bears, in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub borne: Option<Money>,
}

/// A basket with its price.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bill {
    /// The lines, each with its share of discounts and its tax.
    pub lines: Vec<Line>,
    /// What else is in the total.
    pub extras: Extras,
    /// What is to be paid.
    pub total: Money,
}

/// What a payment is for: a line or a fee, with its tax.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = PaymentPart)]
pub struct Part {
    /// Of what; absent for a fee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<Item>,
    /// What it is called.
    pub name: String,
    /// How much, all taxes included, minor units.
    pub gross: i64,
    /// The tax in it, minor units.
    pub tax: i64,
    /// The tax's name and rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "VAT 19 %")]
    pub rate: Option<String>,
}

/// What the total is for: each line after its discount, then each fee. They sum to it.
#[must_use]
pub fn parts(lines: &[Line], extras: &Extras) -> Vec<Part> {
    let part = |item, name: &str, amount: i64, tax: Option<&Tax>| {
        let on_top = tax.filter(|tax| !tax.included).map_or(0, |tax| tax.amount.amount);
        Part {
            item,
            name: name.to_owned(),
            gross: amount + on_top,
            tax: tax.map_or(0, |tax| tax.amount.amount),
            rate: tax.map(|tax| format!("{} {} %", tax.name, tax.percent)),
        }
    };
    let lines = lines.iter().map(|line| part(Some(line.item), &line.name, left(line), line.tax.as_ref()));
    lines
        .chain(extras.fees.iter().map(|fee| part(None, &fee.name, fee.amount.amount, fee.tax.as_ref())))
        .collect()
}

/// A line that is to be priced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charge {
    /// The line; what it has of discount and tax is worked out anew.
    pub line: Line,
    /// What it is for the tax office; `standard` if nothing is said.
    pub tax_code: Option<TaxCode>,
}

impl PriceRules {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_input` with every fault.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        let mut fault =
            |pointer: String, detail: &str| faults.push(Fault { pointer, detail: detail.to_owned() });
        if let Some(tax) = &self.tax {
            if !(1..=100).contains(&tax.rates.len()) {
                fault("/tax/rates".into(), "must be 1 to 100 rates");
            }
            for (place, rate) in tax.rates.iter().enumerate() {
                if tax.rates[..place].iter().any(|other| other.code == rate.code && other.place == rate.place)
                {
                    fault(format!("/tax/rates/{place}"), "is said twice");
                }
            }
            if tax.rate(None, &tax.place).is_none() {
                fault("/tax/rates".into(), "must have a rate of standard at the place of the rules");
            }
        }
        if self.fees.len() > 5 {
            fault("/fees".into(), "must be at most 5");
        }
        for (place, fee) in self.fees.iter().enumerate() {
            for (name, money) in [("each", fee.each), ("basket", fee.basket)] {
                if money.is_some_and(|money| !(0..=crate::catalogue::MAX_PRICE).contains(&money.amount)) {
                    fault(
                        format!("/fees/{place}/{name}/amount"),
                        "must be between 0 and 100000000 minor units",
                    );
                }
            }
            if let (Some(each), Some(basket)) = (fee.each, fee.basket)
                && each.currency != basket.currency
            {
                fault(format!("/fees/{place}/basket/currency"), "must be that of each");
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal { faults, ..Code::InvalidInput.into() }) }
    }
}

impl TaxRules {
    /// The rate of a tax code at a place: the place's own, or its country's.
    fn rate(&self, code: Option<&TaxCode>, place: &Place) -> Option<&TaxRate> {
        let code = code.map_or(STANDARD, TaxCode::as_str);
        let at =
            |place: &str| self.rates.iter().find(|rate| rate.code.as_str() == code && rate.place.0 == place);
        at(&place.0).or_else(|| at(place.country()))
    }
}

impl FeeRule {
    /// What it makes of lines that cost this much, with so many places or units that cost something; `None` in another currency.
    fn amount(&self, left: Money, units: u32) -> Result<Option<Money>> {
        let foreign = |money: Option<Money>| money.is_some_and(|money| money.currency != left.currency);
        if foreign(self.each) || foreign(self.basket) {
            return Ok(None);
        }
        let mut fee = Money::new(self.percent.of(left.amount), left.currency);
        if let Some(each) = self.each {
            fee = fee.plus(each.times(units)?)?;
        }
        if let Some(basket) = self.basket.filter(|_| units > 0) {
            fee = fee.plus(basket)?;
        }
        Ok(Some(fee))
    }
}

/// What is left of a line after its discount.
#[must_use]
pub fn left(line: &Line) -> i64 {
    line.amount.amount - line.discount.map_or(0, |discount| discount.amount)
}

/// Works out the price of a basket, of which coupons have taken off what its lines say. `place` is where it is taxed, if not at
/// the seller's home.
///
/// # Errors
/// `invalid_input` without lines, for lines of two currencies, or a sum out of range; `tax_unknown` for a tax code without a rate.
pub fn bill(
    charges: Vec<Charge>,
    discounts: Vec<Discount>,
    rules: &PriceRules,
    place: Option<&Place>,
) -> Result<Bill> {
    let currency = charges.first().ok_or(Code::InvalidInput)?.line.amount.currency;
    let (mut lines, mut codes): (Vec<Line>, Vec<Option<TaxCode>>) =
        charges.into_iter().map(|charge| (charge.line, charge.tax_code)).unzip();
    if lines.iter().any(|line| line.amount.currency != currency) {
        return Err(Refusal::invalid("/lines", "must all be of one currency"));
    }
    let mut net = Money::new(0, currency);
    for line in &lines {
        net = net.plus(Money::new(left(line), currency))?;
    }
    let units = lines.iter().filter(|line| left(line) > 0).map(|line| line.quantity).sum();
    let (mut fees, mut borne, mut total) = (Vec::new(), Money::new(0, currency), net);
    for rule in &rules.fees {
        match rule.amount(net, units)?.filter(|amount| !amount.is_zero()) {
            None => {}
            Some(amount) if rule.paid_by == PaidBy::Seller => borne = borne.plus(amount)?,
            Some(amount) => {
                total = total.plus(amount)?;
                fees.push(Fee { name: rule.name.to_string(), amount, tax: None });
                codes.push(rule.tax_code.clone());
            }
        }
    }
    if let Some(tax) = &rules.tax {
        let bases =
            lines.iter().map(left).chain(fees.iter().map(|fee| fee.amount.amount)).collect::<Vec<_>>();
        let taxes = taxes(tax, place.unwrap_or(&tax.place), &codes, &bases, currency)?;
        for (at, tax) in taxes.into_iter().enumerate() {
            if !tax.included {
                total = total.plus(tax.amount)?;
            }
            match lines.get_mut(at) {
                Some(line) => line.tax = Some(tax),
                None => fees[at - lines.len()].tax = Some(tax),
            }
        }
    }
    let borne = Some(borne).filter(|borne| !borne.is_zero());
    Ok(Bill { lines, extras: Extras { discounts, fees, borne }, total })
}

/// The tax of each of these, once per rate: rounded for all of them together, then spread.
fn taxes(
    rules: &TaxRules,
    place: &Place,
    codes: &[Option<TaxCode>],
    bases: &[i64],
    currency: Currency,
) -> Result<Vec<Tax>> {
    let rates: Vec<&TaxRate> = codes
        .iter()
        .map(|code| {
            rules.rate(code.as_ref(), place).ok_or_else(|| {
                let code = code.as_ref().map_or(STANDARD, TaxCode::as_str);
                Code::TaxUnknown.because(format!("there is no rate for {code} at {place}"))
            })
        })
        .collect::<Result<_>>()?;
    let mut amounts = vec![0; bases.len()];
    let same = |one: &TaxRate, other: &TaxRate| one.percent == other.percent && one.name == other.name;
    for (at, rate) in rates.iter().enumerate() {
        if rates[..at].iter().any(|other| same(other, rate)) {
            continue;
        }
        let places: Vec<usize> = (at..bases.len()).filter(|other| same(rates[*other], rate)).collect();
        let weights: Vec<i64> = places.iter().map(|place| bases[*place]).collect();
        let sum =
            weights.iter().try_fold(0, |sum: i64, base| sum.checked_add(*base)).ok_or(Code::InvalidInput)?;
        let tax = if rules.included { rate.percent.within(sum) } else { rate.percent.of(sum) };
        for (place, share) in places.into_iter().zip(split(tax, &weights)) {
            amounts[place] = share;
        }
    }
    let tax = |(rate, amount): (&&TaxRate, i64)| Tax {
        name: rate.name.to_string(),
        percent: rate.percent,
        included: rules.included,
        amount: Money::new(amount, currency),
    };
    Ok(rates.iter().zip(amounts).map(tax).collect())
}

#[cfg(test)]
mod tests;
