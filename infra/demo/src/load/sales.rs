//! The events on sale, and whether their places add up afterwards.

use super::Wanted;
use crate::staff::{CURRENCY, PRICE, Page, Staff, ZONE};
use crate::tally::Count;
use crate::wire::{Call, Wire};
use crate::{DemoError, fresh_key, ledger};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a page may take to show what was published or taken: availability is a second old.
const SHOWN: Duration = Duration::from_secs(30);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(100);
/// The events are so far away.
const AHEAD: SignedDuration = SignedDuration::from_hours(240);

/// Who sells, and for which organisation.
#[derive(Debug)]
pub(crate) struct Organiser {
    staff: Staff,
    organisation: String,
}

/// An event with one offer.
#[derive(Debug)]
pub(crate) struct Sale {
    event: String,
    offer: String,
    capacity: u32,
    /// Places that clients were told are theirs.
    pub(crate) taken: Count,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

impl Sale {
    /// What is sent to hold one place.
    pub(crate) fn basket(&self) -> Value {
        json!({"lines": [{"offer": self.offer, "quantity": 1}]})
    }

    async fn page(&self, wire: &Wire) -> Result<Page, DemoError> {
        wire.send(&Call::get(format!("/v1/events/{}", self.event))).await?.value()
    }

    /// Places left, as the page says; asked until they are as many as expected, or that has taken too long.
    async fn left(&self, wire: &Wire, expected: u32) -> Result<u32, DemoError> {
        let began = Instant::now();
        loop {
            let page = self.page(wire).await?;
            let left = page.offers.first().and_then(|offer| offer.available).unwrap_or_default();
            if left == expected || began.elapsed() > SHOWN {
                return Ok(left);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn opened(&self, wire: &Wire) -> Result<(), DemoError> {
        let began = Instant::now();
        loop {
            let page = self.page(wire).await?;
            if page.offers.iter().any(|offer| offer.sale_status == "open" && offer.available.is_some()) {
                return Ok(());
            }
            if began.elapsed() > SHOWN {
                let what = format!("GET /v1/events/{}", self.event);
                return Err(DemoError::Unexpected { what, status: 200, why: "it is not on sale".to_owned() });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Organiser {
    /// Signs up, and founds an organisation.
    ///
    /// # Errors
    /// As [`Staff::join`].
    pub(crate) async fn join(wire: &Wire) -> Result<Self, DemoError> {
        let tag: String = fresh_key()?.chars().take(8).collect();
        let staff = Staff::join(wire, format!("load.{tag}@example.org"), "Emma Feld").await?;
        let found = Call::post("/v1/organisations").key(fresh_key()?);
        let found = found.json(&json!({"name": format!("Load {tag}")}));
        let Identified { id: organisation } = staff.send(wire, found).await?.value()?;
        Ok(Self { staff, organisation })
    }

    /// So many events of so many places each, all on sale.
    ///
    /// # Errors
    /// [`DemoError::Unexpected`] if a step is refused, or a page does not show the sale; as [`Wire::send`].
    pub(crate) async fn open(
        &self,
        wire: &Wire,
        events: usize,
        capacity: u32,
    ) -> Result<Vec<Sale>, DemoError> {
        let now = self.staff.sign_in(wire).await?;
        let mut sales = Vec::new();
        for _ in 0..events {
            sales.push(self.open_one(wire, now, capacity).await?);
        }
        for sale in &sales {
            sale.opened(wire).await?;
        }
        Ok(sales)
    }

    async fn open_one(&self, wire: &Wire, now: Timestamp, capacity: u32) -> Result<Sale, DemoError> {
        let zone = TimeZone::get(ZONE).map_err(|error| DemoError::Options(error.to_string()))?;
        let starts = (now + AHEAD).to_zoned(zone).datetime();
        let create = Call::post("/v1/events").key(fresh_key()?).json(&json!({
            "organisation": self.organisation,
            "name": "Camp on the Hill",
            "city": "Ledbury",
            "venue": "Eastnor Deer Park",
            "starts": {"local": starts, "zone": ZONE},
        }));
        let Identified { id: event } = self.staff.send(wire, create).await?.value()?;
        let offer = Call::post(format!("/v1/events/{event}/offers")).key(fresh_key()?).json(&json!({
            "capacity": capacity,
            "name": "Full weekend",
            "price": {"amount": PRICE, "currency": CURRENCY},
        }));
        let Identified { id: offer } = self.staff.send(wire, offer).await?.value()?;
        let publish = self.staff.send(wire, Call::post(format!("/v1/events/{event}/publish"))).await?;
        if !publish.is_success() {
            return Err(publish.unexpected());
        }
        Ok(Sale { event, offer, capacity, taken: Count::default() })
    }

    /// What is wrong with the places afterwards, in words: taken and left must be all there were, and what was booked
    /// must be what buyers were told.
    ///
    /// # Errors
    /// As [`Wire::send`], and if an answer has another shape.
    pub(crate) async fn check(
        &self,
        wire: &Wire,
        wanted: Wanted,
        sales: &[Sale],
        done: u64,
    ) -> Result<Vec<String>, DemoError> {
        let (mut faults, mut sold) = (Vec::new(), 0);
        for sale in sales {
            let (event, capacity, taken) = (&sale.event, sale.capacity, sale.taken.get());
            let expected = u64::from(capacity).checked_sub(taken).and_then(|left| u32::try_from(left).ok());
            match expected {
                None => faults.push(format!("{event}: {taken} places taken of {capacity}")),
                Some(expected) => {
                    let left = sale.left(wire, expected).await?;
                    if left != expected {
                        faults.push(format!("{event}: {taken} taken and {left} left of {capacity}"));
                    }
                }
            }
            if wanted == Wanted::Bookings {
                sold += u64::from(ledger::sold(wire, &self.staff, event).await?);
            }
        }
        if wanted == Wanted::Bookings && sold != done {
            faults.push(format!("{sold} places sold, and buyers were told of {done}"));
        }
        Ok(faults)
    }
}

/// Takes every place of each sale.
///
/// # Errors
/// As [`Wire::send`]; [`DemoError::Unexpected`] if a place is not given.
pub(crate) async fn sell_out(wire: &Wire, sales: &[Sale]) -> Result<(), DemoError> {
    for sale in sales {
        for _ in 0..sale.capacity {
            let hold = Call::post("/v1/holds").key(fresh_key()?).json(&sale.basket());
            let answer = wire.send(&hold).await?;
            if !answer.is_success() {
                return Err(answer.unexpected());
            }
            sale.taken.add(1);
        }
    }
    Ok(())
}
