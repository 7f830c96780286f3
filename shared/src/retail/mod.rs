//! Stores and what they sell from stock, perhaps delivered in a window of time.
//!
//! A product is an organisation's; a [`Shelf`] says that a store sells it, from a pool of its own: stock is always of one store.
//! What comes in and goes is [`crate::booking::movement`]; what is sold is held and booked like anything else, on lanes that settle
//! (see [`crate::pool`]). A delivery window has room for so many orders: a [`Quota`] that nobody has to open. [`store`] has the
//! kept form.

pub mod store;

use crate::booking::policy::RefundPolicy;
use crate::catalogue::price_fault;
use crate::error::{Code, Refusal, Result};
use crate::id::{OrganisationId, PoolId, ProductId, StoreId};
use crate::identity::Resource;
use crate::identity::rights::Part;
use crate::money::Money;
use crate::pool::{LANE_SLOTS, Pool, Quota};
use crate::price::{Place, TaxCode};
use crate::text::Text;
use crate::vendor::{Hours, Week, refused};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest look ahead at delivery windows, days.
pub const MAX_HORIZON_DAYS: u32 = 60;

/// How a store delivers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// How long a window is, minutes: a multiple of 15, up to a day. Windows follow each other from the beginning of the store's hours.
    #[schema(minimum = 15, maximum = 1440, multiple_of = 15)]
    pub minutes: u32,
    /// How many orders fit into a window, 1 to 1,000. A change counts for windows that orders are in already, too.
    #[schema(minimum = 1, maximum = 1000)]
    pub capacity: u32,
    /// A window can be chosen until so many minutes before it begins, up to 10,080.
    #[serde(default)]
    #[schema(maximum = 10080, default = 0)]
    pub notice_minutes: u32,
    /// And at most so many days ahead, 1 to 60.
    #[serde(default = "week_ahead")]
    #[schema(minimum = 1, maximum = 60, default = 7)]
    pub horizon_days: u32,
}

const fn week_ahead() -> u32 {
    7
}

/// What is written about a store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreDetails {
    /// Its name.
    #[schema(example = "Corner Pharmacy")]
    pub name: Text<1, 200>,
    /// The city it is found by.
    #[schema(example = "Berlin")]
    pub city: Text<1, 100>,
    /// Where it is.
    #[serde(default)]
    #[schema(example = "Torstraße 1")]
    pub address: Text<0, 300>,
    /// IANA time zone of its hours.
    #[schema(example = "Europe/Berlin", max_length = 64)]
    pub zone: String,
    /// When it is open, and delivers: 1 to 21.
    #[schema(min_items = 1, max_items = 21)]
    pub hours: Vec<Hours>,
    /// Days on which it is not.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 200)]
    pub closed: Vec<Date>,
    /// How it delivers; if it does not, what is bought is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// Where it is taxed, if not at the seller's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_place: Option<Place>,
}

/// A place that sells products.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Store {
    /// Its id.
    pub id: StoreId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// What is written about it.
    pub details: StoreDetails,
    /// Whether it can be found and bought from.
    pub open: bool,
    /// When it was first stored.
    pub created: Timestamp,
    /// The print of the request that made it.
    pub print: String,
}

impl From<&Store> for Resource {
    fn from(it: &Store) -> Self {
        Self::of(it.organisation, Part::Store(it.id))
    }
}

/// What is written about a product.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductTerms {
    /// Its name.
    #[schema(example = "Ibuprofen 400 mg, 20 tablets")]
    pub name: Text<1, 200>,
    /// The seller's own number for it.
    #[serde(default)]
    #[schema(example = "IBU-400-20")]
    pub sku: Text<0, 64>,
    /// What to know about it.
    #[serde(default)]
    pub description: Text<0, 5000>,
    /// Its price.
    pub price: Money,
    /// What it would cost otherwise; at least its price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_price: Option<Money>,
    /// At most so many in one basket, 1 to 40.
    #[serde(default = "forty")]
    #[schema(minimum = 1, maximum = 40, default = 40)]
    pub per_order: u32,
    /// What it is for the tax office; `standard` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_code: Option<TaxCode>,
    /// What comes back if a buyer cancels; everything if nothing is said. What was quoted before stays as quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<RefundPolicy>,
}

const fn forty() -> u32 {
    40
}

/// Something that is sold from stock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// What is written about it.
    pub terms: ProductTerms,
    /// When it was first stored.
    pub created: Timestamp,
    /// The print of the request that made it.
    pub print: String,
}

/// How a store sells a product.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShelfTerms {
    /// Whether it is sold there.
    pub listed: bool,
    /// Its price there, if it is another one, in the same currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// In how many baskets it may be at once before they are paid, 1 to 1,056. More spread its stock over more places, which
    /// makes the last units of it harder to find; never fewer than before.
    #[serde(default = "one_lane")]
    #[schema(minimum = 1, maximum = 1056, default = 44)]
    pub baskets: u32,
}

const fn one_lane() -> u32 {
    LANE_SLOTS
}

/// A product in a store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shelf {
    /// Which store.
    pub store: StoreId,
    /// Which product.
    pub product: ProductId,
    /// How it is sold.
    pub terms: ShelfTerms,
}

impl Delivery {
    /// Whether an order may be delivered in the window that begins at this instant, as far as the hours go; whether there is
    /// room in it is the lanes' to say.
    ///
    /// # Errors
    /// `invalid_input` with the reason.
    fn may_begin(&self, week: Week<'_>, starts: Timestamp, now: Timestamp) -> Result<()> {
        let no = |detail: &str| Err(Refusal::invalid("/delivery", detail));
        let (first, last) = self.within(now);
        if starts < first {
            return no("begins too soon");
        }
        if starts > last {
            return no("begins too far ahead");
        }
        let found = self.begin_between(week, starts, starts + SignedDuration::from_secs(1))?;
        if found.contains(&starts) { Ok(()) } else { no("is not the beginning of a window") }
    }

    /// The first and the last instant at which what can be chosen now may begin.
    fn within(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let notice = SignedDuration::from_mins(self.notice_minutes.into());
        (now + notice, now + SignedDuration::from_hours(24 * i64::from(self.horizon_days)))
    }

    fn length(&self) -> SignedDuration {
        SignedDuration::from_mins(self.minutes.into())
    }

    fn pool(&self, store: StoreId, starts: Timestamp) -> Pool {
        let of = Quota::Window { store, starts: starts.as_second() };
        Pool::Quota { of, limit: self.capacity }
    }

    /// The beginnings of windows from `from` until before `until`.
    fn begin_between(&self, week: Week<'_>, from: Timestamp, until: Timestamp) -> Result<Vec<Timestamp>> {
        let mut found = Vec::new();
        for (opens, closes) in week.work(from, until)? {
            let mut at = opens;
            while at + self.length() <= closes && at < until {
                if at >= from {
                    found.push(at);
                }
                at += self.length();
            }
        }
        Ok(found)
    }
}

impl StoreDetails {
    fn week(&self) -> Week<'_> {
        Week { zone: &self.zone, hours: &self.hours, closed: &self.closed }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_input` with every fault.
    pub fn check(&self) -> Result<()> {
        let mut faults = self.week().faults();
        if let Some(delivery) = &self.delivery {
            if !(15..=1440).contains(&delivery.minutes) || !delivery.minutes.is_multiple_of(15) {
                faults.push(("/delivery/minutes", "must be a multiple of 15, from 15 to 1440"));
            }
            if !(1..=1000).contains(&delivery.capacity) {
                faults.push(("/delivery/capacity", "must be between 1 and 1000"));
            }
            if delivery.notice_minutes > 10_080 {
                faults.push(("/delivery/notice_minutes", "must be at most 10080"));
            }
            if !(1..=MAX_HORIZON_DAYS).contains(&delivery.horizon_days) {
                faults.push(("/delivery/horizon_days", "must be between 1 and 60"));
            }
        }
        refused(faults)
    }

    /// The window that begins at this instant, as a pool, with its end.
    ///
    /// # Errors
    /// `invalid_input` if the store does not deliver, or not then.
    pub fn window(&self, store: StoreId, starts: Timestamp, now: Timestamp) -> Result<(Pool, Timestamp)> {
        let Some(delivery) = &self.delivery else {
            return Err(Refusal::invalid("/delivery", "this store does not deliver"));
        };
        delivery.may_begin(self.week(), starts, now)?;
        Ok((delivery.pool(store, starts), starts + delivery.length()))
    }

    /// The windows that can be chosen now and begin from `from` until before `until`, at most 100: as pools, with their
    /// beginnings and ends.
    ///
    /// # Errors
    /// `internal` if the zone is no longer known.
    pub fn windows(
        &self,
        store: StoreId,
        (from, until): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> Result<Vec<(Pool, Timestamp, Timestamp)>> {
        let Some(delivery) = &self.delivery else { return Ok(Vec::new()) };
        let (first, last) = delivery.within(now);
        let found = delivery.begin_between(self.week(), from.max(first), until.min(last))?.into_iter();
        let window = |starts| (delivery.pool(store, starts), starts, starts + delivery.length());
        Ok(found.take(100).map(window).collect())
    }

    /// The pool of a window that an order is in, whether or not it could still be chosen.
    #[must_use]
    pub fn chosen(&self, store: StoreId, starts: Timestamp) -> Option<Pool> {
        self.delivery.as_ref().map(|delivery| delivery.pool(store, starts))
    }
}

impl ProductTerms {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_input` with every fault.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::from_iter(price_fault(self.price));
        faults.extend(self.refund.iter().flat_map(|policy| policy.faults(self.price)));
        if let Some(list) = self.list_price
            && (list.currency != self.price.currency || list.amount < self.price.amount)
        {
            faults.push(("/list_price", "must be at least the price, in the same currency"));
        }
        if !(1..=40).contains(&self.per_order) {
            faults.push(("/per_order", "must be between 1 and 40"));
        }
        refused(faults)
    }
}

impl ShelfTerms {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_input` with every fault.
    pub fn check(&self, product: &ProductTerms) -> Result<()> {
        let mut faults = Vec::new();
        if let Some(price) = self.price {
            if price.currency != product.price.currency {
                faults.push(("/price/currency", "must be the product's"));
            }
            faults.extend(price_fault(price));
        }
        if !(1..=24 * LANE_SLOTS).contains(&self.baskets) {
            faults.push(("/baskets", "must be between 1 and 1056"));
        }
        refused(faults)
    }
}

impl Shelf {
    /// The pool's id: of one store and one product there is one.
    #[must_use]
    pub fn pool_id(store: StoreId, product: ProductId) -> PoolId {
        PoolId::derive(&[&store.to_string(), &product.to_string()])
    }

    /// How many lanes its stock is spread over.
    #[must_use]
    pub const fn lanes(&self) -> u32 {
        self.terms.baskets.div_ceil(LANE_SLOTS)
    }

    /// Its stock.
    #[must_use]
    pub fn pool(&self) -> Pool {
        Pool::Stock { id: Self::pool_id(self.store, self.product), lanes: self.lanes() }
    }

    /// What a unit costs here.
    #[must_use]
    pub fn price(&self, product: &ProductTerms) -> Money {
        self.terms.price.unwrap_or(product.price)
    }

    /// The same shelf with other terms. Stock is never on fewer lanes than before.
    ///
    /// # Errors
    /// `invalid_input`, as [`ShelfTerms::check`].
    pub fn with(&self, terms: ShelfTerms, product: &ProductTerms) -> Result<Self> {
        terms.check(product)?;
        let baskets = terms.baskets.max(self.terms.baskets);
        Ok(Self { terms: ShelfTerms { baskets, ..terms }, ..self.clone() })
    }

    /// Refuses what is not sold.
    ///
    /// # Errors
    /// `not_found` if it is not listed; `limit_reached` for more than one basket may have.
    pub fn may_sell(&self, product: &ProductTerms, quantity: u32) -> Result<()> {
        if !self.terms.listed {
            return Code::NotFound.refuse();
        }
        if quantity > product.per_order {
            return Err(Refusal::from(Code::LimitReached).with("limit", product.per_order));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendor::Day;
    use jiff::civil::time;

    fn store(delivery: Delivery) -> StoreDetails {
        let day = |day| Hours { day, from: time(9, 0, 0, 0), until: time(12, 0, 0, 0) };
        StoreDetails {
            name: Text::parse("Corner").unwrap(),
            city: Text::parse("Berlin").unwrap(),
            address: Text::default(),
            zone: "Europe/Berlin".to_owned(),
            hours: vec![day(Day::Saturday), day(Day::Sunday)],
            closed: Vec::new(),
            delivery: Some(delivery),
            tax_place: None,
        }
    }

    #[test]
    fn windows_follow_the_hours_the_notice_and_the_clocks() {
        let delivery = Delivery { minutes: 60, capacity: 5, notice_minutes: 90, horizon_days: 60 };
        let (details, id) = (store(delivery), StoreId::derive(&["s"]));
        details.check().unwrap();
        // Saturday, before the night in which summer time ends in Berlin.
        let now: Timestamp = "2026-10-24T06:00:00Z".parse().unwrap();
        let until = now + SignedDuration::from_hours(48);
        let found = details.windows(id, (now, until), now).unwrap();
        let starts: Vec<String> = found.iter().map(|(_, starts, _)| starts.to_string()).collect();
        let expected = [
            "2026-10-24T08:00:00Z",
            "2026-10-24T09:00:00Z",
            "2026-10-25T08:00:00Z",
            "2026-10-25T09:00:00Z",
            "2026-10-25T10:00:00Z",
        ];
        assert_eq!(starts, expected, "nine o'clock on Saturday is within the notice");
        for (pool, starts, ends) in found {
            assert_eq!(details.window(id, starts, now).unwrap(), (pool, ends));
            assert_eq!(details.chosen(id, starts), Some(pool));
        }
        for wrong in
            ["2026-10-24T07:00:00Z", "2026-10-24T08:30:00Z", "2026-10-24T10:00:00Z", "2027-01-02T08:00:00Z"]
        {
            assert_eq!(
                details.window(id, wrong.parse().unwrap(), now).unwrap_err(),
                Code::InvalidInput,
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let wrong = store(Delivery { minutes: 20, capacity: 0, notice_minutes: 20_000, horizon_days: 61 });
        assert_eq!(wrong.check().unwrap_err().faults.len(), 4);
        let euro = |amount| Money::new(amount, "EUR".parse().unwrap());
        let terms = ProductTerms {
            name: Text::parse("Ibuprofen").unwrap(),
            sku: Text::default(),
            description: Text::default(),
            price: euro(500),
            list_price: Some(euro(400)),
            per_order: 41,
            tax_code: None,
            refund: None,
        };
        assert_eq!(terms.check().unwrap_err().faults.len(), 2);
        let shelf =
            ShelfTerms { listed: true, price: Some(Money::new(-1, "USD".parse().unwrap())), baskets: 0 };
        assert_eq!(shelf.check(&terms).unwrap_err().faults.len(), 3);
    }

    #[test]
    fn a_shelf_never_has_fewer_lanes_than_before() {
        let euro = |amount| Money::new(amount, "EUR".parse().unwrap());
        let product = ProductTerms {
            name: Text::parse("Ibuprofen").unwrap(),
            sku: Text::default(),
            description: Text::default(),
            price: euro(500),
            list_price: None,
            per_order: 3,
            tax_code: None,
            refund: None,
        };
        let terms = |baskets, price| ShelfTerms { listed: true, price, baskets };
        let (store, id) = (StoreId::derive(&["s"]), ProductId::derive(&["p"]));
        let shelf = Shelf { store, product: id, terms: terms(100, None) };
        assert_eq!((shelf.lanes(), shelf.price(&product)), (3, euro(500)));
        let next = shelf.with(terms(44, Some(euro(450))), &product).unwrap();
        assert_eq!((next.lanes(), next.price(&product)), (3, euro(450)));
        assert_eq!(next.may_sell(&product, 4).unwrap_err(), Code::LimitReached);
        let gone = next.with(ShelfTerms { listed: false, ..terms(44, None) }, &product).unwrap();
        assert_eq!(gone.may_sell(&product, 1).unwrap_err(), Code::NotFound);
    }
}
