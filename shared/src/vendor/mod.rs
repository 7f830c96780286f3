//! Vendors' services: what is done for people at times of their own, by packages with a length and a price.
//!
//! Time is cut into quarter hours of UTC, the cells of a lane of half a day; summer time moves the working hours over them
//! and nothing else. A booking takes every quarter hour from its buffer before to its buffer after, in one of the
//! service's units (two photographers are two units): that two bookings of a unit never overlap is the condition of the
//! write that takes them, not a look at the calendar before. [`store`] has the kept form.

pub mod store;

use crate::booking::policy::RefundPolicy;
use crate::catalogue::price_fault;
use crate::error::{Code, Fault, Refusal, Result};
use crate::id::{OrganisationId, PackageId, ServiceId};
use crate::identity::Resource;
use crate::identity::rights::Part;
use crate::money::Money;
use crate::pool::{Cells, MAX_CELLS};
use crate::price::{Place, TaxCode};
use crate::text::Text;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// Minutes of a cell.
pub const CELL_MINUTES: i64 = 15;
/// Seconds of a lane: 48 cells, half a day.
const LANE_SECONDS: i64 = CELL_MINUTES * 60 * MAX_CELLS as i64;
/// Lanes are counted from 2025-01-01T00:00:00Z.
const EPOCH: i64 = 1_735_689_600;
/// The longest package, minutes: a day.
pub const MAX_MINUTES: u32 = 24 * 60;

/// What kind of service it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// A place for an event.
    Venue,
    /// Food and drink.
    Catering,
    /// Pictures and films.
    Photography,
    /// Planning.
    Planning,
    /// Music and shows.
    Entertainment,
    /// Anything else.
    Other,
}

/// A day of the week.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the day of that name")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl From<Weekday> for Day {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Monday => Self::Monday,
            Weekday::Tuesday => Self::Tuesday,
            Weekday::Wednesday => Self::Wednesday,
            Weekday::Thursday => Self::Thursday,
            Weekday::Friday => Self::Friday,
            Weekday::Saturday => Self::Saturday,
            Weekday::Sunday => Self::Sunday,
        }
    }
}

/// Hours in which work is done, local time of the service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// On which day.
    pub day: Day,
    /// From.
    #[schema(value_type = String, example = "09:00", pattern = "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$")]
    pub from: Time,
    /// Until; midnight is the end of the day.
    #[schema(value_type = String, example = "18:00", pattern = "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$")]
    pub until: Time,
}

/// When the price is another one. All rules that apply add up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceRule {
    /// What it is for: the customer sees it.
    #[schema(example = "weekend")]
    pub name: Text<1, 60>,
    /// On these days; on every day if there are none.
    #[serde(default)]
    #[schema(max_items = 7)]
    pub days: Vec<Day>,
    /// For times that begin at this local time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "18:00")]
    pub from: Option<Time>,
    /// For times that begin before this local time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "23:00")]
    pub until: Option<Time>,
    /// From this date on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2027-06-01")]
    pub first: Option<Date>,
    /// Up to and with this date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2027-08-31")]
    pub last: Option<Date>,
    /// For who books less than so many hours ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_hours: Option<u32>,
    /// So much more, or less, than the package's price: -90 to 300.
    #[schema(minimum = -90, maximum = 300)]
    pub percent: i32,
}

/// What a vendor writes about a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServiceDetails)]
pub struct Details {
    /// Its name.
    #[schema(example = "Studio Linse")]
    pub name: Text<1, 200>,
    /// What kind it is.
    pub category: Category,
    /// What to expect.
    #[serde(default)]
    pub description: Text<0, 5000>,
    /// The city it is found by.
    #[schema(example = "Berlin")]
    pub city: Text<1, 100>,
    /// IANA time zone of its hours.
    #[schema(example = "Europe/Berlin", max_length = 64)]
    pub zone: String,
    /// When work is done: 1 to 21.
    #[schema(min_items = 1, max_items = 21)]
    pub hours: Vec<Hours>,
    /// Days on which nothing is done.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 200)]
    pub closed: Vec<Date>,
    /// How many can be served at once, 1 to 20.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 20, default = 1)]
    pub units: u8,
    /// Minutes kept free before each booking, a multiple of 15, up to 240.
    #[serde(default)]
    #[schema(maximum = 240, default = 0)]
    pub buffer_before: u32,
    /// Minutes kept free after each booking, a multiple of 15, up to 240.
    #[serde(default)]
    #[schema(maximum = 240, default = 0)]
    pub buffer_after: u32,
    /// Booked at least so many hours ahead, up to 8,760.
    #[serde(default)]
    #[schema(maximum = 8760, default = 0)]
    pub notice_hours: u32,
    /// Booked at most so many days ahead, 1 to 730.
    #[serde(default = "half_a_year")]
    #[schema(minimum = 1, maximum = 730, default = 180)]
    pub horizon_days: u32,
    /// When the price is another one: up to 20 rules.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub prices: Vec<PriceRule>,
    /// Where it is taxed, if not at the seller's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_place: Option<Place>,
}

const fn one() -> u8 {
    1
}

const fn half_a_year() -> u32 {
    180
}

/// What a vendor does for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// The vendor.
    pub organisation: OrganisationId,
    /// What is written about it.
    pub details: Details,
    /// Whether it can be found and booked.
    pub open: bool,
    /// When it was first stored.
    pub created: Timestamp,
    /// The print of the request that made it.
    pub print: String,
}

impl From<&Service> for Resource {
    fn from(it: &Service) -> Self {
        Self::of(it.organisation, Part::Service(it.id))
    }
}

/// One way to buy a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Package {
    /// Its id.
    pub id: PackageId,
    /// Of which service.
    pub service: ServiceId,
    /// What is written about it.
    pub terms: PackageTerms,
    /// When it was first stored.
    pub created: Timestamp,
    /// The print of the request that made it.
    pub print: String,
}

/// What a vendor writes about a package.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageTerms {
    /// Its name.
    #[schema(example = "Half day")]
    pub name: Text<1, 100>,
    /// What is in it.
    #[serde(default)]
    pub description: Text<0, 2000>,
    /// How long it takes, minutes: a multiple of 15, up to a day.
    #[schema(minimum = 15, maximum = 1440, multiple_of = 15)]
    pub minutes: u32,
    /// Its price before the rules.
    pub price: Money,
    /// For at least so many guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guests_from: Option<u32>,
    /// For at most so many guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guests_to: Option<u32>,
    /// What it is for the tax office; `standard` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_code: Option<TaxCode>,
    /// What comes back if a buyer cancels; everything if nothing is said. What was quoted before stays as quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<RefundPolicy>,
}

/// Refuses what has faults.
///
/// # Errors
/// `invalid_input` with all of them.
pub fn refused(faults: Vec<(&str, &str)>) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let fault = |(pointer, detail): (&str, &str)| Fault { pointer: pointer.into(), detail: detail.into() };
    Err(Refusal { faults: faults.into_iter().map(fault).collect(), ..Code::InvalidInput.into() })
}

impl PackageTerms {
    /// Whether it is for so many guests.
    #[must_use]
    pub fn serves(&self, guests: u32) -> bool {
        self.guests_from.is_none_or(|from| guests >= from) && self.guests_to.is_none_or(|to| guests <= to)
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_input` with every fault.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        if !(15..=MAX_MINUTES).contains(&self.minutes) || !self.minutes.is_multiple_of(15) {
            faults.push(("/minutes", "must be a multiple of 15, from 15 to 1440"));
        }
        faults.extend(price_fault(self.price));
        faults.extend(self.refund.iter().flat_map(|policy| policy.faults(self.price)));
        if let (Some(from), Some(to)) = (self.guests_from, self.guests_to)
            && from > to
        {
            faults.push(("/guests_to", "must be at least guests_from"));
        }
        refused(faults)
    }
}

/// When work is done: hours of the week, in a zone, but not on some days.
#[derive(Clone, Copy, Debug)]
pub struct Week<'a> {
    /// The IANA time zone.
    pub zone: &'a str,
    /// The hours.
    pub hours: &'a [Hours],
    /// Days on which nothing is done.
    pub closed: &'a [Date],
}

impl Week<'_> {
    /// What is wrong with it, by field.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let mut faults = Vec::new();
        let quarter =
            |time: Time| time.minute() % 15 == 0 && time.second() == 0 && time.subsec_nanosecond() == 0;
        if TimeZone::get(self.zone).is_err() {
            faults.push(("/zone", "is not an IANA time zone"));
        }
        if !(1..=21).contains(&self.hours.len()) {
            faults.push(("/hours", "must have 1 to 21 entries"));
        }
        if self.hours.iter().any(|hours| !quarter(hours.from) || !quarter(hours.until)) {
            faults.push(("/hours", "must begin and end at quarters of an hour"));
        }
        if self.hours.iter().any(|hours| hours.until <= hours.from && hours.until != Time::midnight()) {
            faults.push(("/hours", "must end after they begin"));
        }
        if self.closed.len() > 200 {
            faults.push(("/closed", "must have at most 200 days"));
        }
        faults
    }

    fn zone(&self) -> Result<TimeZone> {
        TimeZone::get(self.zone).map_err(|error| Code::Internal.caused_by(error))
    }

    /// The stretches of work that touch a local day, as instants. Where clocks go forward or back inside them, they are as
    /// long as they are.
    fn work_on(&self, date: Date) -> Result<Vec<(Timestamp, Timestamp)>> {
        if self.closed.contains(&date) {
            return Ok(Vec::new());
        }
        let zone = self.zone()?;
        let instant = |date: Date, time: Time| {
            let zoned = zone.to_ambiguous_zoned(date.to_datetime(time)).compatible();
            zoned.map(|zoned| zoned.timestamp()).map_err(|error| Code::Internal.caused_by(error))
        };
        let day = Day::from(date.weekday());
        let mut work = Vec::new();
        for hours in self.hours.iter().filter(|hours| hours.day == day) {
            let end = match hours.until == Time::midnight() {
                true => date.checked_add(1.day()).map_err(|error| Code::Internal.caused_by(error))?,
                false => date,
            };
            work.push((instant(date, hours.from)?, instant(end, hours.until)?));
        }
        work.sort_unstable();
        Ok(work)
    }

    /// The stretches of work between two instants, joined where one goes over into the next (over midnight).
    ///
    /// # Errors
    /// `internal` if the zone is no longer known.
    pub fn work(&self, from: Timestamp, until: Timestamp) -> Result<Vec<(Timestamp, Timestamp)>> {
        let zone = self.zone()?;
        let (mut date, last) = (zone.to_datetime(from).date(), zone.to_datetime(until).date());
        let mut work: Vec<(Timestamp, Timestamp)> = Vec::new();
        date = date.yesterday().map_err(|error| Code::Internal.caused_by(error))?;
        while date <= last {
            for (starts, ends) in self.work_on(date)? {
                match work.last_mut() {
                    Some(before) if before.1 >= starts => before.1 = before.1.max(ends),
                    _ => work.push((starts, ends)),
                }
            }
            date = date.tomorrow().map_err(|error| Code::Internal.caused_by(error))?;
        }
        Ok(work)
    }
}

impl Details {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_input` with every fault.
    pub fn check(&self) -> Result<()> {
        let mut faults = self.week().faults();
        if !(1..=20).contains(&self.units) {
            faults.push(("/units", "must be between 1 and 20"));
        }
        for (pointer, minutes) in
            [("/buffer_before", self.buffer_before), ("/buffer_after", self.buffer_after)]
        {
            if minutes > 240 || !minutes.is_multiple_of(15) {
                faults.push((pointer, "must be a multiple of 15, up to 240"));
            }
        }
        if self.notice_hours > 8_760 {
            faults.push(("/notice_hours", "must be at most 8760"));
        }
        if !(1..=730).contains(&self.horizon_days) {
            faults.push(("/horizon_days", "must be between 1 and 730"));
        }
        if self.prices.len() > 20 {
            faults.push(("/prices", "must have at most 20 rules"));
        }
        if self.prices.iter().any(|rule| !(-90..=300).contains(&rule.percent) || rule.days.len() > 7) {
            faults.push(("/prices", "must change the price by -90 to 300 percent"));
        }
        refused(faults)
    }

    fn week(&self) -> Week<'_> {
        Week { zone: &self.zone, hours: self.hours.as_slice(), closed: self.closed.as_slice() }
    }

    /// Whether a package may be booked from this instant, as far as the hours and the rules go; whether it is free is the
    /// lanes' to say. Buffers may lie outside of the working hours.
    ///
    /// # Errors
    /// `invalid_input` with the reason.
    pub fn may_book(&self, package: &PackageTerms, starts: Timestamp, now: Timestamp) -> Result<()> {
        let no = |detail: &str| Err(Refusal::invalid("/lines", detail));
        if starts.as_second() % (CELL_MINUTES * 60) != 0 || starts.subsec_nanosecond() != 0 {
            return no("must begin at a quarter of an hour");
        }
        if starts < now + SignedDuration::from_hours(self.notice_hours.into()) {
            return no("begins too soon");
        }
        if starts > now + SignedDuration::from_hours(24 * i64::from(self.horizon_days)) {
            return no("begins too far ahead");
        }
        let ends = starts + SignedDuration::from_mins(package.minutes.into());
        if !self.week().work(starts, ends)?.iter().any(|(from, until)| *from <= starts && ends <= *until) {
            return no("is outside of the working hours");
        }
        Ok(())
    }

    /// The price of a package at a time, with the names of the rules that apply. Percents add up; half a minor unit goes up.
    ///
    /// # Errors
    /// `internal` if the zone is no longer known.
    pub fn price(
        &self,
        package: &PackageTerms,
        starts: Timestamp,
        now: Timestamp,
    ) -> Result<(Money, Vec<String>)> {
        let local = self.week().zone()?.to_datetime(starts);
        let applies = |rule: &&PriceRule| {
            (rule.days.is_empty() || rule.days.contains(&Day::from(local.date().weekday())))
                && rule.from.is_none_or(|from| local.time() >= from)
                && rule.until.is_none_or(|until| local.time() < until)
                && rule.first.is_none_or(|first| local.date() >= first)
                && rule.last.is_none_or(|last| local.date() <= last)
                && rule
                    .within_hours
                    .is_none_or(|hours| starts < now + SignedDuration::from_hours(hours.into()))
        };
        let rules: Vec<&PriceRule> = self.prices.iter().filter(applies).collect();
        let percent: i64 = rules.iter().map(|rule| i64::from(rule.percent)).sum::<i64>().clamp(-90, 6_000);
        let amount = (package.price.amount * (100 + percent) + 50).div_euclid(100);
        let names = rules.iter().map(|rule| rule.name.to_string()).collect();
        Ok((Money::new(amount, package.price.currency), names))
    }

    /// The cells that a booking takes, lane by lane, buffers and all.
    #[must_use]
    pub fn cells(&self, minutes: u32, starts: Timestamp) -> Vec<(u32, Cells)> {
        let from = starts - SignedDuration::from_mins(self.buffer_before.into());
        let until = starts + SignedDuration::from_mins((minutes + self.buffer_after).into());
        let mut cells: Vec<(u32, Cells)> = Vec::new();
        let mut at = from;
        while at < until {
            let (lane, cell) = place(at);
            match cells.last_mut() {
                Some((known, cells)) if *known == lane => *cells = cells.with(cell),
                _ => cells.push((lane, Cells::NONE.with(cell))),
            }
            at += SignedDuration::from_mins(CELL_MINUTES);
        }
        cells
    }

    /// The instants at which a package could begin between two instants, every `step` minutes from the beginning of the
    /// working hours; whether they are free is the lanes' to say.
    ///
    /// # Errors
    /// `internal` if the zone is no longer known.
    pub fn starts(
        &self,
        package: &PackageTerms,
        (from, until): (Timestamp, Timestamp),
        step: u32,
        now: Timestamp,
    ) -> Result<Vec<Timestamp>> {
        let (step, length) =
            (SignedDuration::from_mins(step.into()), SignedDuration::from_mins(package.minutes.into()));
        let mut found = Vec::new();
        for (opens, closes) in self.week().work(from, until)? {
            let mut at = opens;
            while at + length <= closes && at < until {
                if at >= from && self.may_book(package, at, now).is_ok() {
                    found.push(at);
                }
                at += step;
            }
        }
        Ok(found)
    }
}

/// The lane and the cell of a quarter of an hour. Before 2025 there is nothing to book.
fn place(at: Timestamp) -> (u32, u32) {
    let seconds = (at.as_second() - EPOCH).max(0);
    let cell = seconds % LANE_SECONDS / (CELL_MINUTES * 60);
    (u32::try_from(seconds / LANE_SECONDS).unwrap_or(u32::MAX), u32::try_from(cell).unwrap_or(0))
}

/// The lanes between two instants.
#[must_use]
pub fn lanes_between(from: Timestamp, until: Timestamp) -> std::ops::RangeInclusive<u32> {
    place(from).0..=place(until).0
}

/// When a lane ends.
#[must_use]
pub fn lane_end(lane: u32) -> i64 {
    EPOCH + (i64::from(lane) + 1) * LANE_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn details(more: serde_json::Value) -> Details {
        let mut details = serde_json::json!({
            "name": "Studio Linse", "category": "photography", "city": "Berlin", "zone": "Europe/Berlin",
            "hours": [{"day": "monday", "from": "09:00:00", "until": "18:00:00"},
                {"day": "saturday", "from": "18:00:00", "until": "00:00:00"},
                {"day": "sunday", "from": "00:00:00", "until": "06:00:00"}]
        });
        for (name, value) in more.as_object().unwrap() {
            details[name] = value.clone();
        }
        serde_json::from_value(details).unwrap()
    }

    fn package(minutes: u32) -> PackageTerms {
        serde_json::from_value(serde_json::json!({
            "name": "Half day", "minutes": minutes, "price": {"amount": 10_001, "currency": "EUR"}
        }))
        .unwrap()
    }

    const NOW: &str = "2027-03-01T08:00:00Z";

    #[test]
    fn times_lie_within_the_working_hours_and_may_go_over_midnight() {
        let studio = details(serde_json::json!({}));
        studio.check().unwrap();
        let may =
            |starts: &str, minutes: u32| studio.may_book(&package(minutes), at(starts), at(NOW)).is_ok();
        // Monday 8 March 2027, Berlin is one hour ahead.
        assert!(may("2027-03-08T08:00:00Z", 60));
        assert!(!may("2027-03-08T07:45:00Z", 60), "before the hours");
        assert!(may("2027-03-08T16:00:00Z", 60) && !may("2027-03-08T16:15:00Z", 60), "over at six");
        assert!(!may("2027-03-08T08:10:00Z", 60), "no quarter");
        assert!(may("2027-03-06T22:00:00Z", 180), "from Saturday night into Sunday");
        assert!(!may("2027-03-09T10:00:00Z", 60), "nothing on Tuesdays");
        assert!(!may("2027-03-01T07:00:00Z", 60), "in the past");
        assert!(!may("2027-12-06T10:00:00Z", 60), "beyond the horizon");
        let closed = details(serde_json::json!({"closed": ["2027-03-08"], "notice_hours": 24}));
        assert!(closed.may_book(&package(60), at("2027-03-08T10:00:00Z"), at(NOW)).is_err());
        assert!(closed.may_book(&package(60), at("2027-03-01T10:00:00Z"), at(NOW)).is_err(), "too soon");
    }

    #[test]
    fn nine_oclock_stays_nine_oclock_when_clocks_change() {
        let studio = details(serde_json::json!({}));
        let first = |day: &str| {
            let from = at(&format!("{day}T00:00:00Z"));
            let found =
                studio.starts(&package(60), (from, from + SignedDuration::from_hours(24)), 60, at(NOW));
            found.unwrap().first().copied()
        };
        // Clocks go forward on 28 March 2027.
        assert_eq!(first("2027-03-22"), Some(at("2027-03-22T08:00:00Z")));
        assert_eq!(first("2027-03-29"), Some(at("2027-03-29T07:00:00Z")));
        // The night of the change is an hour shorter: six hours until six are five.
        let night = (at("2027-03-27T23:00:00Z"), at("2027-03-28T12:00:00Z"));
        let studio = details(
            serde_json::json!({"hours": [{"day": "sunday", "from": "00:00:00", "until": "06:00:00"}]}),
        );
        assert_eq!(studio.starts(&package(60), night, 60, at(NOW)).unwrap().len(), 5);
    }

    #[test]
    fn a_booking_takes_its_buffers_and_may_reach_over_lanes() {
        let studio = details(serde_json::json!({"buffer_before": 15, "buffer_after": 30}));
        let cells = studio.cells(60, at("2027-03-08T10:00:00Z"));
        assert_eq!(cells.iter().map(|(_, cells)| cells.count()).sum::<u32>(), 7);
        let over_noon = studio.cells(120, at("2027-03-08T11:30:00Z"));
        assert_eq!(over_noon.len(), 2);
        assert_eq!(over_noon[0].0 + 1, over_noon[1].0);
        assert_eq!(over_noon.iter().map(|(_, cells)| cells.count()).sum::<u32>(), 11);
        let next = studio.cells(60, at("2027-03-08T11:45:00Z"));
        assert!(next[0].1.iter().all(|cell| !cells[0].1.has(cell)), "a gap of both buffers is enough");
        let close = studio.cells(60, at("2027-03-08T11:30:00Z"));
        assert!(close[0].1.meets(cells[0].1));
    }

    #[test]
    fn rules_add_up_and_half_a_unit_goes_up() {
        let studio = details(serde_json::json!({"prices": [
            {"name": "weekend", "days": ["saturday", "sunday"], "percent": 50},
            {"name": "late", "from": "20:00:00", "percent": 10},
            {"name": "season", "first": "2027-06-01", "last": "2027-08-31", "percent": 25},
            {"name": "last minute", "within_hours": 48, "percent": -30}
        ]}));
        studio.check().unwrap();
        let price = |starts: &str| {
            let (money, names) = studio.price(&package(60), at(starts), at(NOW)).unwrap();
            (money.amount, names.join(", "))
        };
        assert_eq!(price("2027-03-08T10:00:00Z"), (10_001, String::new()));
        // 10,001 × 1.5 = 15,001.5
        assert_eq!(price("2027-03-06T18:30:00Z"), (15_002, "weekend".to_owned()));
        assert_eq!(price("2027-03-06T19:30:00Z"), (16_002, "weekend, late".to_owned()));
        assert_eq!(price("2027-06-07T10:00:00Z"), (12_501, "season".to_owned()));
        assert_eq!(price("2027-03-01T10:00:00Z"), (7_001, "last minute".to_owned()));
    }

    #[test]
    fn what_is_written_wrong_is_named() {
        let wrong = details(
            serde_json::json!({"zone": "Moon/Base", "units": 0, "buffer_after": 20, "horizon_days": 0,
            "hours": [{"day": "monday", "from": "09:10:00", "until": "08:00:00"}], "prices": [{"name": "x", "percent": 400}]}),
        );
        let faults: Vec<_> =
            wrong.check().unwrap_err().faults.into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(
            faults,
            ["/zone", "/hours", "/hours", "/units", "/buffer_after", "/horizon_days", "/prices"]
        );
        let mut terms = package(20);
        (terms.guests_from, terms.guests_to) = (Some(9), Some(3));
        assert_eq!(terms.check().unwrap_err().faults.len(), 2);
    }
}
