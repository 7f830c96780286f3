//! Coupons: who may use which code, on what, and how much it takes off.
//!
//! A coupon has one code, or it is a batch: so many codes of one use each (or a few), none of which is written down. Such a code
//! is its batch's code and ten characters in Crockford's Base32 (no I, L, O, U; <https://www.crockford.com/base32.html>): 17 bits
//! that are its number, 33 that follow from it and the batch's secret seed. The number is covered by the other bits, so that codes
//! do not look alike; of a full batch, one in 10 billion guesses is right.
//!
//! Uses are pools ([`crate::pool::Quota::Coupon`]): they are taken with the places and come back with them, so that a limit holds
//! however many try at once.

use super::{Charge, Discount, left};
use crate::auth::Buyer;
use crate::booking::{Item, Subject};
use crate::catalogue::MAX_PRICE;
use crate::error::{Code, Fault, Refusal, Result};
use crate::id::{CouponId, EventId, OfferId, OrganisationId, PackageId, ProductId, ServiceId, StoreId};
use crate::money::{Money, Percent, split};
use crate::pool::{MAX_CAPACITY, Pool, Quota};
use crate::text::{SPOKEN, spoken};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most codes that a batch can have.
pub const MAX_CODES: u32 = 100_000;
/// The most coupons that can be named for one basket.
pub const MAX_NAMED: usize = 5;
/// The longest code that a batch can have: the rest of the 32 is for what each of its codes adds.
const MAX_BATCH_CODE: usize = 20;

/// A coupon's code as it is kept: capital letters, digits and dashes, 3 to 32. Read from any case, with or without spaces.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct CouponCode(String);

impl CouponCode {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// If it looks like one of a batch: the batch's code, and the 50 bits.
    fn of_batch(&self) -> Option<(Self, u64)> {
        let (front, second) = self.0.rsplit_once('-')?;
        let (batch, first) = front.rsplit_once('-')?;
        if first.len() != 5 || second.len() != 5 {
            return None;
        }
        let digit = |bits: u64, letter| {
            let value = SPOKEN.iter().position(|known| char::from(*known) == spoken(letter))?;
            Some(bits << 5 | value as u64)
        };
        let bits = first.chars().chain(second.chars()).try_fold(0, digit)?;
        Some((batch.parse().ok()?, bits))
    }
}

impl std::str::FromStr for CouponCode {
    type Err = &'static str;
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let code: String =
            text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_uppercase()).collect();
        let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        let good = (3..=32).contains(&code.len()) && code.bytes().all(known) && !code.starts_with('-');
        if good { Ok(Self(code)) } else { Err("must be 3 to 32 letters, digits and dashes") }
    }
}

impl fmt::Display for CouponCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CouponCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for CouponCode {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .min_length(Some(3))
            .max_length(Some(32))
            .pattern(Some("^[A-Za-z0-9][A-Za-z0-9 -]*$"))
            .examples([serde_json::json!("SUMMER10")])
            .into()
    }
}
impl utoipa::ToSchema for CouponCode {}

/// What a coupon takes off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    /// So much of what is left of the lines it is for; more than 0.
    Percent(Percent),
    /// So much, or all that is left of the lines it is for. In baskets of another currency nothing.
    Amount(Money),
}

/// One thing that a coupon is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum For {
    /// Everything of an event.
    Event(EventId),
    /// Everything of a service.
    Service(ServiceId),
    /// Everything of a store.
    Store(StoreId),
    /// A ticket type.
    Offer(OfferId),
    /// A package.
    Package(PackageId),
    /// A product.
    Product(ProductId),
}

impl For {
    fn has(self, subject: Subject, item: Item) -> bool {
        match self {
            Self::Event(id) => subject == Subject::Event(id),
            Self::Service(id) => subject == Subject::Service(id),
            Self::Store(id) => subject == Subject::Store(id),
            Self::Offer(id) => item == Item::Offer(id),
            Self::Package(id) => item == Item::Package(id),
            Self::Product(id) => item == Item::Product(id),
        }
    }
}

/// What an organisation says about a coupon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CouponTerms {
    /// What it takes off.
    pub off: Off,
    /// The lines it is for must cost so much at least, before anything is taken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Money>,
    /// It takes off so much at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<Money>,
    /// From this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Timestamp>,
    /// Until before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// What it is for, at most 100; everything the organisation sells if nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub only: Vec<For>,
    /// Baskets that may use it in all (of a batch: each of its codes), 1 to 100,000. A basket that is cancelled gives its use back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100_000)]
    pub uses: Option<u32>,
    /// Baskets of one buyer that may use it, 1 to 40. Such a coupon is for those alone who are signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 40)]
    pub per_buyer: Option<u32>,
    /// Whether others may be used beside it that say the same.
    #[serde(default)]
    pub stackable: bool,
    /// Whether it can be used at all.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub active: bool,
}

const fn yes() -> bool {
    true
}

/// A coupon, or a batch of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Coupon {
    /// Its id.
    pub id: CouponId,
    /// Whose.
    pub organisation: OrganisationId,
    /// Its code, or what the codes of the batch begin with.
    pub code: CouponCode,
    /// Its codes, if it is a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// What is said about it.
    pub terms: CouponTerms,
    /// When it was first stored.
    pub created: Timestamp,
    /// The print of the request that made it.
    pub print: String,
}

/// The codes of a batch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// How many.
    pub codes: u32,
    /// What they follow from: 128 random bits, as text. Kept with the batch, because printed codes outlive every secret of the
    /// deployment.
    pub seed: String,
}

/// A coupon that somebody named: of a batch, the one code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Its own id, or that of the one code.
    pub id: CouponId,
    /// What is said about it.
    pub terms: CouponTerms,
}

/// Why a coupon takes nothing off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The seller has no such code.
    Unknown,
    /// The seller has stopped it.
    Stopped,
    /// Its time has not come.
    NotYet,
    /// Its time is over.
    Ended,
    /// It is for other things, or nothing is left of the price of these.
    NotForThis,
    /// It takes off an amount of another currency.
    OtherCurrency,
    /// What it is for costs less than its minimum.
    BelowMinimum,
    /// It, or another that was named before it, goes with no other.
    NotWithOthers,
    /// It is for those who are signed in.
    SignInNeeded,
    /// This buyer has used it as often as one may.
    UsedByYou,
    /// It has been used as often as it may be. A use comes back if a basket is let go or cancelled.
    UsedUp,
}

/// What became of a code that was named.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = CouponVerdict)]
pub struct Verdict {
    /// The code.
    #[schema(example = "SUMMER10")]
    pub code: String,
    /// What it takes off; absent if it takes nothing off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Why it takes nothing off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// What is missing, for `below_minimum`: the minimum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Money>,
}

impl CouponTerms {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_input` with every fault.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, detail: &str| {
            faults.push(Fault { pointer: pointer.into(), detail: detail.into() })
        };
        match self.off {
            Off::Percent(percent) if percent.is_zero() => fault("/off/percent", "must be more than 0"),
            Off::Percent(_) => {}
            Off::Amount(money) if !(1..=MAX_PRICE).contains(&money.amount) => {
                fault("/off/amount/amount", "must be between 1 and 100000000 minor units");
            }
            Off::Amount(_) => {}
        }
        for (pointer, money) in [("/minimum", self.minimum), ("/most", self.most)] {
            let Some(money) = money else { continue };
            if !(1..=MAX_PRICE).contains(&money.amount) {
                fault(pointer, "must be between 1 and 100000000 minor units");
            }
            if let Off::Amount(off) = self.off
                && off.currency != money.currency
            {
                fault(pointer, "must be in the currency of what it takes off");
            }
        }
        if let (Some(minimum), Some(most)) = (self.minimum, self.most)
            && minimum.currency != most.currency
        {
            fault("/most", "must be in the currency of the minimum");
        }
        if let (Some(from), Some(until)) = (self.from, self.until)
            && until <= from
        {
            fault("/until", "must be after from");
        }
        if self.only.len() > 100 {
            fault("/only", "must be at most 100");
        }
        if self.uses.is_some_and(|uses| !(1..=MAX_CAPACITY).contains(&uses)) {
            fault("/uses", "must be between 1 and 100000");
        }
        if self.per_buyer.is_some_and(|uses| !(1..=40).contains(&uses)) {
            fault("/per_buyer", "must be between 1 and 40");
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal { faults, ..Code::InvalidInput.into() }) }
    }

    fn is_for(&self, subject: Subject, item: Item) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.has(subject, item))
    }

    /// Its currency, if it has one.
    fn currency(&self) -> Option<crate::money::Currency> {
        let off = match self.off {
            Off::Percent(_) => None,
            Off::Amount(money) => Some(money),
        };
        off.or(self.minimum).or(self.most).map(|money| money.currency)
    }

    /// How much it takes off lines of which so much is left.
    fn takes(&self, left: i64) -> i64 {
        let off = match self.off {
            Off::Percent(percent) => percent.of(left),
            Off::Amount(money) => money.amount.min(left),
        };
        self.most.map_or(off, |most| off.min(most.amount))
    }
}

impl Coupon {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_input`.
    pub fn check(&self) -> Result<()> {
        if let Some(batch) = &self.batch {
            if !(1..=MAX_CODES).contains(&batch.codes) {
                return Err(Refusal::invalid("/codes", "must be between 1 and 100000"));
            }
            if self.code.as_str().len() > MAX_BATCH_CODE {
                return Err(Refusal::invalid(
                    "/code",
                    "must have at most 20 characters where it is a batch's",
                ));
            }
        }
        self.terms.check()
    }

    /// The limit of its uses in all; none where nothing is limited, or where each code of a batch has its own.
    #[must_use]
    pub const fn limit(&self) -> Option<Pool> {
        match (&self.batch, self.terms.uses) {
            (None, Some(limit)) => {
                Some(Pool::Quota { of: Quota::Coupon { coupon: self.id, buyer: None }, limit })
            }
            (None, None) | (Some(_), _) => None,
        }
    }

    /// Every code of a batch; none of a coupon.
    pub fn codes(&self) -> impl Iterator<Item = CouponCode> {
        let batches = self.batch.iter();
        batches.flat_map(|batch| (0..batch.codes).map(|number| batch.code(&self.code, number)))
    }
}

impl Batch {
    fn code(&self, front: &CouponCode, number: u32) -> CouponCode {
        let proof = self.proof(number);
        let bits = u64::from(number ^ self.cover(proof)) << PROOF_BITS | proof;
        let letter = |place: u32| SPOKEN[(bits >> (45 - 5 * place) & 31) as usize] as char;
        let (first, second): (String, String) = ((0..5).map(letter).collect(), (5..10).map(letter).collect());
        CouponCode(format!("{front}-{first}-{second}"))
    }

    fn number_of(&self, bits: u64) -> Option<u32> {
        let proof = bits & ((1 << PROOF_BITS) - 1);
        let number = (bits >> PROOF_BITS) as u32 ^ self.cover(proof);
        (number < self.codes && self.proof(number) == proof).then_some(number)
    }

    fn proof(&self, number: u32) -> u64 {
        self.bits(b"proof", &number.to_be_bytes()) >> (64 - PROOF_BITS)
    }

    /// What a number is covered with: 17 bits.
    fn cover(&self, proof: u64) -> u32 {
        (self.bits(b"cover", &proof.to_be_bytes()) >> 47) as u32
    }

    fn bits(&self, what: &[u8], of: &[u8]) -> u64 {
        let hash = crate::id::hashed(&[self.seed.as_bytes(), what, of]);
        (hash.as_u128() >> 64) as u64
    }
}

/// How many bits of a code follow from its number and the seed. The other 17 of 50 are enough for [`MAX_CODES`].
const PROOF_BITS: u32 = 33;

/// The codes under which to look for what somebody named: itself, and the batch it may be of.
#[must_use]
pub fn look_under(code: &CouponCode) -> Vec<CouponCode> {
    std::iter::once(code.clone()).chain(code.of_batch().map(|(batch, _)| batch)).collect()
}

/// What somebody named, among what was found. A coupon of exactly this code comes before a batch: one code of a batch can be
/// stopped by a coupon that is not active.
#[must_use]
pub fn named(code: &CouponCode, found: &[Coupon]) -> Option<Named> {
    if let Some(coupon) = found.iter().find(|coupon| coupon.code == *code && coupon.batch.is_none()) {
        return Some(Named { id: coupon.id, terms: coupon.terms.clone() });
    }
    let (front, bits) = code.of_batch()?;
    let coupon = found.iter().find(|coupon| coupon.code == front)?;
    let number = coupon.batch.as_ref()?.number_of(bits)?;
    let id = CouponId::derive(&[&coupon.id.to_string(), &number.to_string()]);
    // Each code is good for one basket, if nothing else is said.
    let terms = CouponTerms { uses: coupon.terms.uses.or(Some(1)), ..coupon.terms.clone() };
    Some(Named { id, terms })
}

impl Discount {
    /// The limits that its use takes from, the cheaper to refuse first: what one buyer may, then what all may.
    #[must_use]
    pub fn limits(&self, tag: &[u8; 32]) -> Vec<Pool> {
        let mut buyer = [0; 5];
        buyer.copy_from_slice(&tag[..5]);
        let limit = |buyer, limit: Option<u32>| {
            limit.map(|limit| Pool::Quota { of: Quota::Coupon { coupon: self.coupon, buyer }, limit })
        };
        limit(Some(buyer), self.per_buyer).into_iter().chain(limit(None, self.uses)).collect()
    }
}

/// Takes off what the named coupons take off, in their order, and says what became of each. `spent` are those of which it was
/// found that their limits are reached.
#[must_use]
pub fn apply(
    charges: &mut [Charge],
    subject: Subject,
    buyer: Buyer,
    coupons: &[(CouponCode, Option<Named>)],
    spent: &[(CouponId, Why)],
    now: Timestamp,
) -> (Vec<Discount>, Vec<Verdict>) {
    let (mut discounts, mut verdicts) = (Vec::<Discount>::new(), Vec::new());
    let mut alone = false;
    for (code, named) in coupons {
        let mut verdict = Verdict { code: code.to_string(), amount: None, why: None, minimum: None };
        let Some(Named { id, terms }) = named else {
            verdicts.push(Verdict { why: Some(Why::Unknown), ..verdict });
            continue;
        };
        let known = spent.iter().find(|(other, _)| other == id).map(|(_, why)| *why);
        let others = !discounts.is_empty() && (alone || !terms.stackable);
        let outcome = match known {
            Some(why) => Err(why),
            None if others || discounts.iter().any(|discount| discount.coupon == *id) => {
                Err(Why::NotWithOthers)
            }
            None => take_off(charges, subject, buyer, terms, now),
        };
        match outcome {
            Ok(amount) => {
                alone = !terms.stackable;
                verdict.amount = Some(amount);
                let (code, coupon, uses, per_buyer) = (code.to_string(), *id, terms.uses, terms.per_buyer);
                discounts.push(Discount { code, coupon, amount, uses, per_buyer });
            }
            Err(why) => {
                verdict.minimum = terms.minimum.filter(|_| why == Why::BelowMinimum);
                verdict.why = Some(why);
            }
        }
        verdicts.push(verdict);
    }
    (discounts, verdicts)
}

fn take_off(
    charges: &mut [Charge],
    subject: Subject,
    buyer: Buyer,
    terms: &CouponTerms,
    now: Timestamp,
) -> std::result::Result<Money, Why> {
    if !terms.active {
        return Err(Why::Stopped);
    }
    if terms.from.is_some_and(|from| now < from) {
        return Err(Why::NotYet);
    }
    if terms.until.is_some_and(|until| now >= until) {
        return Err(Why::Ended);
    }
    if terms.per_buyer.is_some() && matches!(buyer, Buyer::Guest(_)) {
        return Err(Why::SignInNeeded);
    }
    let lines = charges.iter_mut().map(|charge| &mut charge.line);
    let mut lines: Vec<_> = lines.filter(|line| terms.is_for(subject, line.item)).collect();
    let currency = lines.first().ok_or(Why::NotForThis)?.amount.currency;
    if terms.currency().is_some_and(|other| other != currency) {
        return Err(Why::OtherCurrency);
    }
    // Bounded: 20 lines of at most 40 units at 100,000,000 each.
    let full: i64 = lines.iter().map(|line| line.amount.amount).sum();
    if terms.minimum.is_some_and(|minimum| full < minimum.amount) {
        return Err(Why::BelowMinimum);
    }
    let rests: Vec<i64> = lines.iter().map(|line| left(line)).collect();
    let off = terms.takes(rests.iter().sum());
    if off == 0 {
        return Err(Why::NotForThis);
    }
    for (line, share) in lines.iter_mut().zip(split(off, &rests)) {
        let discount = line.discount.map_or(0, |discount| discount.amount) + share;
        line.discount = Some(Money::new(discount, currency)).filter(|discount| !discount.is_zero());
    }
    Ok(Money::new(off, currency))
}
