//! Events and offers: what is for sale, when, and for how much.
//!
//! An event is a draft, then published, then perhaps cancelled; never back. Where it takes place decides its time: the
//! local time and the IANA zone are stored as written, and the instant is worked out from them, so that "10:00 in
//! Berlin" stays 10:00 when a government changes the rules of summer time. [`store`] has the kept form.

pub mod store;

use crate::booking::policy::RefundPolicy;
use crate::clock::{NOT_NEAR, is_near};
use crate::error::{Code, Fault, Refusal, Result};
use crate::id::{EventId, OfferId, OrganisationId, PictureId, PoolId, VenueId};
use crate::identity::Resource;
use crate::identity::rights::Part;
use crate::message::Message;
use crate::money::Money;
use crate::pool::MAX_CAPACITY;
use crate::price::{Place, TaxCode};
use crate::room::{Room, WaitingRoom};
use crate::seating::{Kind, SectionCode};
use crate::text::Text;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// A local time and the zone it is meant in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalTime {
    /// Wall-clock time at the place, without offset.
    #[schema(value_type = String, example = "2027-06-01T19:30:00", pattern = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$")]
    pub local: DateTime,
    /// IANA time zone.
    #[schema(example = "Europe/Berlin", max_length = 64)]
    pub zone: String,
}

impl LocalTime {
    /// The instant. A time that occurs twice (clocks go back) is its first occurrence.
    ///
    /// # Errors
    /// A sentence: the zone is unknown, or clocks skip this time on that day.
    pub fn instant(&self) -> Result<Timestamp, String> {
        let zone =
            TimeZone::get(&self.zone).map_err(|_| format!("{} is not an IANA time zone", self.zone))?;
        let ambiguous = zone.to_ambiguous_zoned(self.local);
        if matches!(ambiguous.offset(), jiff::tz::AmbiguousOffset::Gap { .. }) {
            return Err("clocks skip this time on that day".to_owned());
        }
        ambiguous.compatible().map(|zoned| zoned.timestamp()).map_err(|error| error.to_string())
    }
}

/// Who may find an event.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Visibility {
    /// Listed by city, readable by everybody.
    #[default]
    Public,
    /// Readable, and on sale, only with its code.
    Private {
        /// The code, 4 to 64 characters.
        code: Text<4, 64>,
    },
}

/// What an organiser writes about an event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EventDetails)]
pub struct Details {
    /// Its name.
    #[schema(example = "Midsummer Night")]
    pub name: Text<1, 200>,
    /// What to expect.
    #[serde(default)]
    pub description: Text<0, 5000>,
    /// The city it is found by.
    #[schema(example = "Berlin")]
    pub city: Text<1, 100>,
    /// Where exactly.
    #[schema(example = "Kulturhaus, Hauptstraße 1")]
    pub venue: Text<1, 300>,
    /// When it begins.
    pub starts: LocalTime,
    /// When it ends, in the same zone; twelve hours after the start if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<LocalTime>,
    /// Who may find it.
    #[serde(default)]
    pub visibility: Visibility,
    /// Where it is taxed, if not at the seller's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_place: Option<Place>,
    /// A picture of it that is ready, the organisation's own: everybody sees it at `/v1/pictures/{id}/{size}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureId>,
}

impl Details {
    /// Checks the times against each other.
    ///
    /// # Errors
    /// `invalid_input` with every fault.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        let near = |at: Timestamp| if is_near(at) { Ok(at) } else { Err(NOT_NEAR.to_owned()) };
        let mut instant = |pointer: &str, time: &LocalTime| match time.instant().and_then(near) {
            Ok(instant) => Some(instant),
            Err(detail) => {
                faults.push(Fault { pointer: pointer.to_owned(), detail });
                None
            }
        };
        let starts = instant("/starts", &self.starts);
        let ends = self.ends.as_ref().and_then(|ends| instant("/ends", ends));
        if let (Some(starts), Some(ends)) = (starts, ends)
            && ends <= starts
        {
            faults.push(Fault { pointer: "/ends".to_owned(), detail: "must be after the start".to_owned() });
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal { faults, ..Code::InvalidInput.into() }) }
    }
}

/// Where an event stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// Being prepared; only its organisation sees it.
    Draft,
    /// On sale in its offers' windows.
    Published {
        /// Since when.
        at: Timestamp,
    },
    /// It will not take place.
    Cancelled {
        /// Since when.
        at: Timestamp,
    },
}

/// Something people attend.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Who organises and is paid.
    pub organisation: OrganisationId,
    /// What is written about it.
    pub details: Details,
    /// Where it stands.
    pub state: State,
    /// When it was first stored.
    pub created: Timestamp,
    /// The print of the request that made it.
    pub print: String,
    /// Its waiting room, if it ever had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Room>,
    /// What is on its picture, for those who do not see it, as it was said of the picture when the event took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture_description: Option<Text<1, 300>>,
}

impl From<&Event> for Resource {
    fn from(it: &Event) -> Self {
        Self::of(it.organisation, Part::Event(it.id))
    }
}

impl Event {
    /// The instant it begins. Details were checked before they were stored.
    ///
    /// # Errors
    /// `internal` if the zone's rules changed so that the time no longer exists.
    pub fn starts(&self) -> Result<Timestamp> {
        self.details.starts.instant().map_err(|error| Code::Internal.caused_by(error))
    }

    /// The instant it ends.
    ///
    /// # Errors
    /// As [`Self::starts`].
    pub fn ends(&self) -> Result<Timestamp> {
        match &self.details.ends {
            Some(ends) => ends.instant().map_err(|error| Code::Internal.caused_by(error)),
            None => Ok(self.starts()? + jiff::SignedDuration::from_hours(12)),
        }
    }

    /// Whether somebody who says `code` may see it (its organisation always may).
    #[must_use]
    pub fn visible_to(&self, code: Option<&str>) -> bool {
        match (&self.state, &self.details.visibility) {
            (State::Draft, _) => false,
            (State::Published { .. } | State::Cancelled { .. }, Visibility::Public) => true,
            (State::Published { .. } | State::Cancelled { .. }, Visibility::Private { code: wanted }) => {
                code == Some(wanted.as_str())
            }
        }
    }

    /// Its waiting room, if that is switched on.
    #[must_use]
    pub fn waiting_room(&self) -> Option<&Room> {
        self.room.as_ref().filter(|room| room.on)
    }

    /// Switches its waiting room on, or changes the rules of it. The same rules again change nothing.
    ///
    /// # Errors
    /// `wrong_state` when cancelled, or for another time of a draw that is near or over; `invalid_input`.
    pub fn open_room(&self, rules: WaitingRoom, now: Timestamp) -> Result<Option<Self>> {
        match self.state {
            State::Cancelled { .. } => return Err(Code::WrongState.because("the event is cancelled")),
            State::Draft | State::Published { .. } => {}
        }
        rules.check(self.starts()?)?;
        let room = Room::switched_on(self.room.as_ref(), rules, now)?;
        Ok((self.room.as_ref() != Some(&room)).then(|| Self { room: Some(room), ..self.clone() }))
    }

    /// Switches its waiting room off. Without one there is nothing to do.
    #[must_use]
    pub fn close_room(&self) -> Option<Self> {
        let room = self.waiting_room()?.switched_off();
        Some(Self { room: Some(room), ..self.clone() })
    }

    /// Puts it on sale. Publishing twice changes nothing.
    ///
    /// # Errors
    /// `wrong_state` without offers, when cancelled, or when it has begun.
    pub fn publish(&self, offers: usize, now: Timestamp) -> Result<Option<(Self, Message)>> {
        match self.state {
            State::Published { .. } => Ok(None),
            State::Cancelled { .. } => Err(Code::WrongState.because("the event is cancelled")),
            State::Draft if offers == 0 => Err(Code::WrongState.because("add an offer first")),
            State::Draft if self.starts()? <= now => Err(Code::WrongState.because("the event has begun")),
            State::Draft => {
                let next = Self { state: State::Published { at: now }, ..self.clone() };
                Ok(Some((next, Message::EventPublished { event: self.id })))
            }
        }
    }

    /// Calls it off. Cancelling twice changes nothing; a draft just ends.
    pub fn cancel(&self, now: Timestamp) -> Option<(Self, Vec<Message>)> {
        let next = || Self { state: State::Cancelled { at: now }, ..self.clone() };
        match self.state {
            State::Cancelled { .. } => None,
            State::Draft => Some((next(), Vec::new())),
            State::Published { .. } => Some((next(), vec![Message::EventCancelled { event: self.id }])),
        }
    }

    /// Replaces what is written. Attendees of a published event are told of another time, place or name.
    ///
    /// # Errors
    /// `wrong_state` when cancelled; `invalid_input` for bad times.
    pub fn edit(&self, details: Details) -> Result<(Self, Vec<Message>)> {
        details.check()?;
        let old = &self.details;
        let mut changes = Vec::new();
        if old.name != details.name {
            changes.push("name".to_owned());
        }
        if old.starts != details.starts || old.ends != details.ends {
            changes.push("time".to_owned());
        }
        if old.venue != details.venue || old.city != details.city {
            changes.push("place".to_owned());
        }
        let messages = match self.state {
            State::Cancelled { .. } => return Err(Code::WrongState.because("the event is cancelled")),
            State::Published { .. } if !changes.is_empty() => {
                vec![Message::EventChanged { event: self.id, changes }]
            }
            State::Draft | State::Published { .. } => Vec::new(),
        };
        Ok((Self { details, ..self.clone() }, messages))
    }
}

/// When an offer may be bought.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sale {
    /// From this instant; at once if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub opens: Option<Timestamp>,
    /// Until this instant; until the event begins if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closes: Option<Timestamp>,
}

/// What an organiser writes about an offer, apart from its capacity.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The ticket type.
    #[schema(example = "Standing")]
    pub name: Text<1, 100>,
    /// Price of one place.
    pub price: Money,
    /// When it may be bought.
    #[serde(default)]
    pub sale: Sale,
    /// At most so many in one order, 1 to 40.
    #[serde(default = "ten")]
    #[schema(minimum = 1, maximum = 40, default = 10)]
    pub per_order: u32,
    /// At most so many for one signed-in buyer over all orders, 1 to 40.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 40)]
    pub per_buyer: Option<u32>,
    /// Whether it is sold to approved applicants alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
    /// What it is for the tax office; `standard` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_code: Option<TaxCode>,
    /// What comes back if a buyer cancels; everything if nothing is said. What was quoted before stays as quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<RefundPolicy>,
}

const fn ten() -> u32 {
    10
}

/// The largest price, minor units.
pub const MAX_PRICE: i64 = 100_000_000;

/// What is wrong with a price, by field.
#[must_use]
pub fn price_fault(price: Money) -> Option<(&'static str, &'static str)> {
    let fault = ("/price/amount", "must be between 0 and 100000000 minor units");
    (!(0..=MAX_PRICE).contains(&price.amount)).then_some(fault)
}

impl Terms {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_input` with every fault.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, detail: &str| {
            faults.push(Fault { pointer: pointer.into(), detail: detail.into() })
        };
        if let Some((pointer, detail)) = price_fault(self.price) {
            fault(pointer, detail);
        }
        if !(1..=40).contains(&self.per_order) {
            fault("/per_order", "must be between 1 and 40");
        }
        if self.per_buyer.is_some_and(|limit| !(1..=40).contains(&limit)) {
            fault("/per_buyer", "must be between 1 and 40");
        }
        for (pointer, detail) in self.refund.iter().flat_map(|policy| policy.faults(self.price)) {
            fault(pointer, detail);
        }
        for (pointer, at) in [("/sale/opens", self.sale.opens), ("/sale/closes", self.sale.closes)] {
            if at.is_some_and(|at| !is_near(at)) {
                fault(pointer, NOT_NEAR);
            }
        }
        if let Sale { opens: Some(opens), closes: Some(closes) } = self.sale
            && closes <= opens
        {
            fault("/sale/closes", "must be after opens");
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal { faults, ..Code::InvalidInput.into() }) }
    }
}

/// A ticket type with a price, drawing from a pool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// Its id.
    pub id: OfferId,
    /// Of which event.
    pub event: EventId,
    /// The capacity it draws from; offers may share one.
    pub pool: PoolId,
    /// The size with which the pool is opened, the same in every offer that shares it. What it has become since is
    /// the pool's to say.
    pub capacity: u32,
    /// Which seats it sells, if it sells seats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<Seats>,
    /// What is written about it.
    pub terms: Terms,
    /// When it was first stored.
    pub created: Timestamp,
    /// The print of the request that made it.
    pub print: String,
}

/// The seats of an offer: those of some kinds of one section.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Seats {
    /// The venue.
    pub venue: VenueId,
    /// The section's code.
    #[schema(value_type = String, example = "STALLS", min_length = 1, max_length = 8)]
    pub section: SectionCode,
    /// The kinds of seats; every kind if nothing is said.
    #[serde(default = "every_kind")]
    #[schema(min_items = 1, max_items = 4)]
    pub kinds: Vec<Kind>,
}

fn every_kind() -> Vec<Kind> {
    Kind::ALL.to_vec()
}

/// Where an offer's sale stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SaleStatus {
    /// Not yet.
    Upcoming,
    /// Now.
    Open,
    /// No more.
    Closed,
}

impl Offer {
    /// The end of the sale: when the event begins, if nothing is said.
    ///
    /// # Errors
    /// As [`Event::starts`].
    pub fn closes(&self, event: &Event) -> Result<Timestamp> {
        self.terms.sale.closes.map_or_else(|| event.starts(), Ok)
    }

    /// Where the sale stands at `now`, for an event in this state.
    ///
    /// # Errors
    /// As [`Event::starts`].
    pub fn sale_status(&self, event: &Event, now: Timestamp) -> Result<SaleStatus> {
        let closes = self.closes(event)?;
        Ok(match event.state {
            State::Cancelled { .. } => SaleStatus::Closed,
            State::Draft => SaleStatus::Upcoming,
            State::Published { .. } if now >= closes => SaleStatus::Closed,
            State::Published { .. } if self.terms.sale.opens.is_some_and(|opens| now < opens) => {
                SaleStatus::Upcoming
            }
            State::Published { .. } => SaleStatus::Open,
        })
    }

    /// Whether `quantity` may be held now.
    ///
    /// # Errors
    /// `sale_not_open`, `sale_closed`, `limit_reached`.
    pub fn may_sell(&self, event: &Event, quantity: u32, now: Timestamp) -> Result<()> {
        match self.sale_status(event, now)? {
            SaleStatus::Upcoming => {
                let refusal = Refusal::from(Code::SaleNotOpen);
                Err(match self.terms.sale.opens {
                    Some(opens) => refusal.with("sale_opens", opens),
                    None => refusal,
                })
            }
            SaleStatus::Closed => Code::SaleClosed.refuse(),
            SaleStatus::Open if quantity > self.terms.per_order => {
                Err(Code::LimitReached
                    .because(format!("at most {} of this in one order", self.terms.per_order)))
            }
            SaleStatus::Open => Ok(()),
        }
    }
}

/// Checks the size of a pool.
///
/// # Errors
/// `invalid_input` naming `/capacity`.
pub fn check_capacity(capacity: u32) -> Result<()> {
    if (1..=MAX_CAPACITY).contains(&capacity) {
        return Ok(());
    }
    Err(Refusal::invalid("/capacity", format!("must be between 1 and {MAX_CAPACITY}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn details(local: &str, zone: &str) -> Details {
        serde_json::from_value(serde_json::json!({
            "name": "Midsummer", "city": "Berlin", "venue": "Hall 1", "starts": {"local": local, "zone": zone}
        }))
        .unwrap()
    }

    fn event(state: State) -> Event {
        Event {
            id: EventId::derive(&["e"]),
            organisation: OrganisationId::derive(&["o"]),
            details: details("2027-06-01T19:30:00", "Europe/Berlin"),
            state,
            created: at("2027-01-01T00:00:00Z"),
            print: String::new(),
            room: None,
            picture_description: None,
        }
    }

    fn offer(sale: Sale) -> Offer {
        let price = Money::new(2500, "EUR".parse().unwrap());
        let terms = Terms {
            name: Text::parse("Standing").unwrap(),
            price,
            sale,
            per_order: 4,
            per_buyer: None,
            approval: false,
            tax_code: None,
            refund: None,
        };
        let id = OfferId::derive(&["f"]);
        let event = EventId::derive(&["e"]);
        Offer {
            id,
            event,
            pool: PoolId::derive(&["p"]),
            capacity: 50,
            seats: None,
            terms,
            created: at("2027-01-01T00:00:00Z"),
            print: String::new(),
        }
    }

    const NOW: &str = "2027-05-01T12:00:00Z";

    #[test]
    fn local_time_survives_daylight_saving() {
        let time = |local: &str| LocalTime { local: local.parse().unwrap(), zone: "Europe/Berlin".into() };
        assert_eq!(time("2027-01-15T10:00:00").instant(), Ok(at("2027-01-15T09:00:00Z")));
        assert_eq!(time("2027-07-15T10:00:00").instant(), Ok(at("2027-07-15T08:00:00Z")));
        assert!(time("2027-03-28T02:30:00").instant().unwrap_err().contains("skip"));
        assert_eq!(time("2027-10-31T02:30:00").instant(), Ok(at("2027-10-31T00:30:00Z")), "the first of two");
    }

    #[test]
    fn bad_times_are_pointed_at() {
        let mut bad = details("2027-06-01T19:30:00", "Europe/Atlantis");
        assert_eq!(bad.check().unwrap_err().faults[0].pointer, "/starts");
        bad = details("2027-06-01T19:30:00", "Europe/Berlin");
        bad.ends =
            Some(LocalTime { local: "2027-06-01T19:00:00".parse().unwrap(), zone: "Europe/Berlin".into() });
        assert_eq!(bad.check().unwrap_err().faults[0].pointer, "/ends");
    }

    /// Every state × every transition.
    #[test]
    fn the_grid_of_an_event() {
        let (now, earlier) = (at(NOW), at("2027-04-01T00:00:00Z"));
        let (draft, published, cancelled) = (
            event(State::Draft),
            event(State::Published { at: earlier }),
            event(State::Cancelled { at: earlier }),
        );

        assert_eq!(draft.publish(0, now).unwrap_err(), Code::WrongState);
        assert_eq!(draft.publish(1, now).unwrap().unwrap().0.state, State::Published { at: now });
        assert_eq!(
            draft.publish(1, at("2027-06-02T00:00:00Z")).unwrap_err(),
            Code::WrongState,
            "it has begun"
        );
        assert_eq!(published.publish(1, now).unwrap(), None);
        assert_eq!(cancelled.publish(1, now).unwrap_err(), Code::WrongState);

        assert_eq!(
            draft.cancel(now).unwrap(),
            (event(State::Cancelled { at: now }), vec![]),
            "nobody to tell"
        );
        assert_eq!(published.cancel(now).unwrap().1, [Message::EventCancelled { event: published.id }]);
        assert_eq!(cancelled.cancel(now), None);

        let later = details("2027-06-01T20:00:00", "Europe/Berlin");
        assert_eq!(draft.edit(later.clone()).unwrap().1, []);
        let told = Message::EventChanged { event: published.id, changes: vec!["time".into()] };
        assert_eq!(published.edit(later.clone()).unwrap().1, [told]);
        assert_eq!(published.edit(published.details.clone()).unwrap().1, [], "nothing changed, nobody told");
        assert_eq!(cancelled.edit(later).unwrap_err(), Code::WrongState);
    }

    #[test]
    fn a_waiting_room_belongs_to_an_event_that_takes_place() {
        let rules = WaitingRoom {
            doors: at("2027-05-02T09:00:00Z"),
            starts: at("2027-05-02T10:00:00Z"),
            per_minute: 60,
            accounts_only: true,
            shop: None,
        };
        let now = at(NOW);
        for state in [State::Draft, State::Published { at: now }] {
            let open = event(state).open_room(rules.clone(), now).unwrap().unwrap();
            assert_eq!(open.waiting_room().map(|room| room.line), Some(1));
            assert_eq!(open.open_room(rules.clone(), now).unwrap(), None, "the same again");
            let edited = open.edit(details("2027-06-01T20:00:00", "Europe/Berlin")).unwrap().0;
            assert_eq!(edited.room, open.room, "writing about an event leaves its waiting room alone");
            let closed = open.close_room().unwrap();
            assert_eq!((closed.waiting_room(), closed.close_room()), (None, None));
        }
        let cancelled = event(State::Cancelled { at: now });
        assert_eq!(cancelled.open_room(rules.clone(), now).unwrap_err(), Code::WrongState);
        let late = WaitingRoom { starts: at("2027-06-01T17:30:00Z"), ..rules };
        assert_eq!(event(State::Draft).open_room(late, now).unwrap_err(), Code::InvalidInput);
    }

    #[test]
    fn an_offer_sells_in_its_window_and_never_after_the_start() {
        let published = event(State::Published { at: at("2027-04-01T00:00:00Z") });
        let window =
            Sale { opens: Some(at("2027-05-01T10:00:00Z")), closes: Some(at("2027-05-02T10:00:00Z")) };
        let check =
            |offer: &Offer, now: &str| offer.may_sell(&published, 1, at(now)).map_err(|refusal| refusal.code);
        let offer_in = offer(window);
        assert_eq!(check(&offer_in, "2027-05-01T09:59:59Z"), Err(Code::SaleNotOpen));
        assert_eq!(check(&offer_in, "2027-05-01T10:00:00Z"), Ok(()));
        assert_eq!(check(&offer_in, "2027-05-02T10:00:00Z"), Err(Code::SaleClosed));
        assert_eq!(
            check(&offer(Sale::default()), "2027-06-01T17:30:00Z"),
            Err(Code::SaleClosed),
            "it has begun"
        );
        assert_eq!(offer(Sale::default()).may_sell(&published, 5, at(NOW)).unwrap_err(), Code::LimitReached);
        assert_eq!(
            offer(Sale::default()).may_sell(&event(State::Draft), 1, at(NOW)).unwrap_err(),
            Code::SaleNotOpen
        );
        let cancelled = event(State::Cancelled { at: at(NOW) });
        assert_eq!(offer(Sale::default()).may_sell(&cancelled, 1, at(NOW)).unwrap_err(), Code::SaleClosed);
    }

    #[test]
    fn a_private_event_shows_itself_to_its_code_only() {
        let mut hidden = event(State::Published { at: at(NOW) });
        hidden.details.visibility = Visibility::Private { code: Text::parse("open sesame").unwrap() };
        assert!(hidden.visible_to(Some("open sesame")));
        assert!(!hidden.visible_to(None) && !hidden.visible_to(Some("sesame")));
        assert!(!event(State::Draft).visible_to(None));
    }
}
