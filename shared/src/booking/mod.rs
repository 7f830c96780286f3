//! Bookings: the decision of every hold.
//!
//! A hold lives in lanes ([`crate::pool`]) and in the signed [`Quote`] that its buyer carries. What becomes of it is
//! decided once, by the first write of its [`Register`]: **confirmed**, which is the booking itself, or **ended**.
//! Paying, expiring, releasing and replacing race for that one item, never for clocks. [`store`] has the flow, [`proof`] recounts
//! a pool from its ledger and the registers, [`waitlist`] and [`application`] keep places for people under keys of their own, [`movement`] is what comes into stock and goes, [`policy`] what comes back to who cancels, [`want`] says where in the lanes something can be had.

pub mod application;
pub mod movement;
pub mod policy;
pub mod proof;
pub mod store;
pub mod waitlist;
pub mod want;

use crate::auth::Buyer;
use crate::catalogue::Offer;
use crate::error::{Code, Result};
use crate::id::{
    BookingId, EventId, HoldId, NotAnId, OfferId, OrderId, OrganisationId, PackageId, ProductId, ServiceId,
    StoreId,
};
use crate::identity::{Resource, rights};
use crate::message::Message;
use crate::money::Money;
use crate::payment::Provider;
use crate::pool::{Claim, Mark, Pool};
use crate::price::{self, Extras, Tax};
use jiff::Timestamp;
use policy::RefundPolicy;
use serde::{Deserialize, Serialize};
use std::fmt;
use want::{Want, add_up};

/// What a basket is of: everything in it is sold by one of these.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An event: tickets.
    Event(EventId),
    /// A vendor's service: times.
    Service(ServiceId),
    /// A store: products.
    Store(StoreId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(id) => id.fmt(f),
            Self::Service(id) => id.fmt(f),
            Self::Store(id) => id.fmt(f),
        }
    }
}

impl From<Subject> for rights::Part {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Event(id) => Self::Event(id),
            Subject::Service(id) => Self::Service(id),
            Subject::Store(id) => Self::Store(id),
        }
    }
}

impl std::str::FromStr for Subject {
    type Err = NotAnId;
    fn from_str(text: &str) -> std::result::Result<Self, NotAnId> {
        let event = text.parse().map(Self::Event);
        event.or_else(|_| text.parse().map(Self::Service)).or_else(|_| text.parse().map(Self::Store))
    }
}

impl Subject {
    /// The event, if it is of one.
    #[must_use]
    pub const fn event(self) -> Option<EventId> {
        match self {
            Self::Event(id) => Some(id),
            Self::Service(_) | Self::Store(_) => None,
        }
    }
}

/// What a line is of.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// A ticket type.
    Offer(OfferId),
    /// A package of a service.
    Package(PackageId),
    /// A product.
    Product(ProductId),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offer(id) => id.fmt(f),
            Self::Package(id) => id.fmt(f),
            Self::Product(id) => id.fmt(f),
        }
    }
}

impl Item {
    /// The ticket type, if it is one.
    #[must_use]
    pub const fn offer(self) -> Option<OfferId> {
        match self {
            Self::Offer(id) => Some(id),
            Self::Package(_) | Self::Product(_) => None,
        }
    }

    /// The product, if it is one.
    #[must_use]
    pub const fn product(self) -> Option<ProductId> {
        match self {
            Self::Product(id) => Some(id),
            Self::Offer(_) | Self::Package(_) => None,
        }
    }
}

/// A time that is booked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Slot {
    /// From.
    #[schema(value_type = String, format = DateTime)]
    pub starts: Timestamp,
    /// Until.
    #[schema(value_type = String, format = DateTime)]
    pub ends: Timestamp,
}

/// One line of a basket, priced.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Line {
    /// The offer, the package or the product.
    #[serde(flatten)]
    pub item: Item,
    /// Its name when it was quoted.
    pub name: String,
    /// Places.
    pub quantity: u32,
    /// The section, if it is of seats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Stalls")]
    pub section: Option<String>,
    /// When, if it is a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// Which seats, if it is of seats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["A-12", "A-13"]))]
    pub seats: Vec<String>,
    /// Price of one place.
    pub unit: Money,
    /// Price of all of them.
    pub amount: Money,
    /// What coupons take off that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Money>,
    /// The tax on what is left, if the seller has said how it is taxed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Tax>,
    /// What comes back if its buyer cancels; everything if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<RefundPolicy>,
}

impl Line {
    /// So many of something, at their full price.
    ///
    /// # Errors
    /// `invalid_input` when the amount is too large.
    pub fn new(item: Item, name: String, quantity: u32, unit: Money) -> Result<Self> {
        let amount = unit.times(quantity)?;
        let (section, slot, seats, discount, tax, refund) = (None, None, Vec::new(), None, None, None);
        Ok(Self { item, name, quantity, section, slot, seats, unit, amount, discount, tax, refund })
    }

    /// What is paid for it, minor units: what is left after discounts, and a tax that comes on top.
    #[must_use]
    pub fn paid(&self) -> i64 {
        let on_top = self.tax.as_ref().filter(|tax| !tax.included).map_or(0, |tax| tax.amount.amount);
        price::left(self) + on_top
    }

    /// The seat of its `nth` place, from 0, with the section: `Stalls A-12`.
    #[must_use]
    pub fn seat(&self, nth: usize) -> Option<String> {
        let (seat, section) = (self.seats.get(nth)?, self.section.as_ref()?);
        Some(format!("{section} {seat}"))
    }
}

/// What a hold answers: everything that was promised, signed. The order step verifies the seal and asks nobody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Quote {
    /// The hold.
    pub hold: HoldId,
    /// Whose.
    pub buyer: Buyer,
    /// Who sells.
    pub organisation: OrganisationId,
    /// What it is of.
    #[serde(flatten)]
    pub subject: Subject,
    /// The lines.
    pub lines: Vec<Line>,
    /// What else is in the total.
    #[serde(flatten)]
    pub extras: Extras,
    /// What is to be paid.
    pub total: Money,
    /// What was taken, lane by lane.
    pub claims: Vec<Claim>,
    /// The end of the hold.
    pub expires: Timestamp,
}

impl From<&Quote> for Resource {
    fn from(it: &Quote) -> Self {
        Self::of(it.organisation, it.subject)
    }
}

/// Why a hold ended without a booking.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Its time was over and somebody needed the places, or the sweep came by.
    Expired,
    /// Its buyer let go.
    Released,
    /// Its buyer took another hold instead.
    Replaced,
    /// A basket of several pools could not be held whole.
    Refused,
}

/// Places that are sold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Booking {
    /// Its id: the hold's, under another name.
    pub id: BookingId,
    /// The hold it came from.
    pub hold: HoldId,
    /// The order that pays.
    pub order: OrderId,
    /// With whom the payment was made that it was sold for; absent if it costs nothing. An order's other payments are let go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_by: Option<Provider>,
    /// Until when its money is waited for, which was promised and is not here yet. Its places are sold, but nobody has tickets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<Timestamp>,
    /// Whose.
    pub buyer: Buyer,
    /// Who sold.
    pub organisation: OrganisationId,
    /// What it is of.
    #[serde(flatten)]
    pub subject: Subject,
    /// The lines.
    pub lines: Vec<Line>,
    /// What was paid.
    pub total: Money,
    /// What it holds, lane by lane. An entry in a lane that is not named here is a stray and is reclaimed.
    pub claims: Vec<Claim>,
    /// Since when.
    pub confirmed: Timestamp,
    /// The hold it moves to, or has moved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<HoldId>,
    /// The booking it was moved from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<BookingId>,
}

impl From<&Booking> for Resource {
    fn from(it: &Booking) -> Self {
        Self::of(it.organisation, it.subject)
    }
}

impl Booking {
    /// Whether this entry in this lane is its, marked as sold or not. What is not is a stray.
    #[must_use]
    pub fn names(&self, pool: &Pool, lane: u32, mark: Mark) -> bool {
        let key = pool.key(lane);
        self.claims.iter().any(|claim| claim.key() == key && (claim.m == mark || claim.m.sold() == mark))
    }

    /// What is told when it comes about, and again when what it waits for is here.
    #[must_use]
    pub const fn told(&self) -> Message {
        let (booking, order) = (self.id, self.order);
        match self.awaits {
            Some(until) => Message::BookingReserved { booking, order, until },
            None => Message::BookingConfirmed { booking, order },
        }
    }

    /// The first of its times, if it is of times.
    #[must_use]
    pub fn starts(&self) -> Option<Timestamp> {
        self.lines.iter().filter_map(|line| line.slot).map(|slot| slot.starts).min()
    }
}

/// Who cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The buyer.
    Buyer,
    /// The organiser.
    Organiser,
    /// The event was cancelled.
    Event,
    /// The money was not to be had after all.
    Payment,
    /// It was moved to another time: another booking took its place.
    Moved,
}

/// The decision of one hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Register {
    /// It ended; nothing was sold.
    Ended {
        /// The hold.
        hold: HoldId,
        /// Why.
        why: Ending,
        /// When.
        at: Timestamp,
    },
    /// It ended, and afterwards an order came for it in vain.
    Lost {
        /// The hold.
        hold: HoldId,
        /// The order that was told.
        order: OrderId,
        /// When.
        at: Timestamp,
    },
    /// It became a booking.
    Confirmed {
        /// The booking.
        booking: Booking,
    },
    /// It became a booking that was cancelled.
    Cancelled {
        /// The booking.
        booking: Booking,
        /// By whom.
        by: By,
        /// How much of the money goes back, if it is not all of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        back: Option<Money>,
        /// When.
        at: Timestamp,
    },
}

impl Register {
    /// The hold that is decided here.
    #[must_use]
    pub const fn hold(&self) -> HoldId {
        match self {
            Self::Ended { hold, .. } | Self::Lost { hold, .. } => *hold,
            Self::Confirmed { booking } | Self::Cancelled { booking, .. } => booking.hold,
        }
    }

    /// The booking, if it ever became one.
    #[must_use]
    pub const fn booking(&self) -> Option<&Booking> {
        match self {
            Self::Ended { .. } | Self::Lost { .. } => None,
            Self::Confirmed { booking } | Self::Cancelled { booking, .. } => Some(booking),
        }
    }

    /// Cancels the booking; all of the money goes back. Repeating it changes nothing.
    ///
    /// # Errors
    /// `wrong_state` if it never became one.
    pub fn cancel(&self, by: By, now: Timestamp) -> Result<Option<(Self, Vec<Message>)>> {
        self.cancel_for(by, None, now)
    }

    /// As [`Self::cancel`], but perhaps not all of the money goes back, if there is any yet.
    ///
    /// # Errors
    /// As [`Self::cancel`].
    pub fn cancel_for(
        &self,
        by: By,
        back: Option<Money>,
        now: Timestamp,
    ) -> Result<Option<(Self, Vec<Message>)>> {
        match self {
            Self::Ended { .. } | Self::Lost { .. } => {
                Err(Code::WrongState.because("this hold never became a booking"))
            }
            Self::Cancelled { .. } => Ok(None),
            // Whoever cancels finishes the move first.
            Self::Confirmed { booking } if booking.moving.is_some() => {
                Err(Code::WrongState.because("it is being moved: repeat the request"))
            }
            Self::Confirmed { booking } => {
                let told = Message::BookingCancelled { booking: booking.id, order: booking.order };
                // What was promised and comes after this all goes back.
                let back = back.filter(|_| booking.awaits.is_none());
                Ok(Some((Self::Cancelled { booking: booking.clone(), by, back, at: now }, vec![told])))
            }
        }
    }

    /// What was promised is here. Repeating it changes nothing.
    ///
    /// # Errors
    /// `busy` while it is being moved: whoever tells this finishes the move first.
    pub fn received(&self) -> Result<Option<(Self, Vec<Message>)>> {
        match self {
            Self::Confirmed { booking } if booking.awaits.is_none() => Ok(None),
            Self::Confirmed { booking } if booking.moving.is_some() => Code::Busy.refuse(),
            Self::Confirmed { booking } => {
                let booking = Booking { awaits: None, ..booking.clone() };
                let told = booking.told();
                Ok(Some((Self::Confirmed { booking }, vec![told])))
            }
            Self::Ended { .. } | Self::Lost { .. } | Self::Cancelled { .. } => Ok(None),
        }
    }

    /// Begins to move the booking to what another hold keeps. Repeating it changes nothing, also once it has moved there.
    ///
    /// # Errors
    /// `wrong_state` if it never became a booking, was cancelled, or moves elsewhere.
    pub fn move_to(&self, to: HoldId) -> Result<Option<(Self, Vec<Message>)>> {
        match self {
            Self::Ended { .. } | Self::Lost { .. } => {
                Err(Code::WrongState.because("this hold never became a booking"))
            }
            Self::Confirmed { booking } | Self::Cancelled { booking, by: By::Moved, .. }
                if booking.moving == Some(to) =>
            {
                Ok(None)
            }
            Self::Confirmed { booking } if booking.moving.is_none() => {
                let booking = Booking { moving: Some(to), ..booking.clone() };
                Ok(Some((Self::Confirmed { booking }, Vec::new())))
            }
            Self::Confirmed { .. } | Self::Cancelled { .. } => {
                Err(Code::WrongState.because("it was cancelled or moved elsewhere"))
            }
        }
    }

    /// Ends the move to this hold: either that took its place, or nothing came of it. A move to elsewhere, begun since, is
    /// left to those who know of it.
    #[must_use]
    pub fn moved(&self, to: HoldId, done: bool, now: Timestamp) -> Option<(Self, Vec<Message>)> {
        match self {
            Self::Ended { .. } | Self::Lost { .. } | Self::Cancelled { .. } => None,
            Self::Confirmed { booking } if booking.moving != Some(to) => None,
            Self::Confirmed { booking } if done => {
                let (booking, by) = (booking.clone(), By::Moved);
                Some((Self::Cancelled { booking, by, back: None, at: now }, Vec::new()))
            }
            Self::Confirmed { booking } => {
                let booking = Booking { moving: None, ..booking.clone() };
                Some((Self::Confirmed { booking }, Vec::new()))
            }
        }
    }

    /// Tells an order that came too late that its places are gone. Repeating it changes nothing.
    ///
    /// # Errors
    /// `hold_decided` if it became a booking; `wrong_state` if another order was told.
    pub fn lose(&self, to: OrderId, now: Timestamp) -> Result<Option<(Self, Vec<Message>)>> {
        match self {
            Self::Confirmed { .. } | Self::Cancelled { .. } => Code::HoldDecided.refuse(),
            Self::Lost { order, .. } if *order == to => Ok(None),
            Self::Lost { .. } => Err(Code::WrongState.because("another order was told")),
            Self::Ended { hold, .. } => {
                let told = Message::BookingLost { hold: *hold, order: to };
                Ok(Some((Self::Lost { hold: *hold, order: to, at: now }, vec![told])))
            }
        }
    }
}

/// What a basket takes, each pool once: of each line what it wants of its offer's pool (if another line has not said it
/// already), and where there is a limit per buyer the allowance of the buyer of this tag. Allowances come first: they
/// refuse more cheaply than places are given back.
///
/// # Errors
/// As [`add_up`].
pub fn wanted<'a>(
    lines: impl IntoIterator<Item = (&'a Offer, u32, Pool, Option<Want>)>,
    tag: &[u8; 32],
) -> Result<Vec<(Pool, Want)>> {
    let (mut allowances, mut wanted) = (Vec::new(), Vec::new());
    for (offer, quantity, pool, want) in lines {
        wanted.extend(want.map(|want| (pool, want)));
        let allowance = |limit| (Pool::allowance(offer.id, tag, limit), Want::Places(quantity));
        allowances.extend(offer.terms.per_buyer.map(allowance));
    }
    add_up(allowances.into_iter().chain(wanted))
}

/// Until when a buyer may cancel: as long as the event has not begun. [`policy`] says what comes back.
///
/// # Errors
/// `wrong_state` once it has begun.
pub fn may_cancel(by: By, starts: Timestamp, now: Timestamp) -> Result<()> {
    match by {
        By::Buyer if now >= starts => Err(Code::WrongState.because("the event has begun")),
        By::Buyer | By::Organiser | By::Event | By::Payment | By::Moved => Ok(()),
    }
}

/// A confirmation is believed only within this time after the hold's end: tombstones outlive it, so a hold whose
/// tombstone the store has forgotten can never be confirmed.
pub const CONFIRM_DAYS: i64 = 7;
/// How long an ended hold's register is kept.
pub const TOMBSTONE_DAYS: i64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn booking() -> Booking {
        Booking {
            id: BookingId::derive(&["b"]),
            hold: HoldId::derive(&["h"]),
            order: OrderId::derive(&["o"]),
            paid_by: None,
            awaits: None,
            buyer: Buyer::Guest(crate::id::GuestId::derive(&["g"])),
            organisation: OrganisationId::derive(&["org"]),
            subject: Subject::Event(EventId::derive(&["e"])),
            lines: vec![],
            total: Money::new(0, "EUR".parse().unwrap()),
            claims: vec![],
            confirmed: at(0),
            moving: None,
            moved_from: None,
        }
    }

    /// Every state × every transition.
    #[test]
    fn the_grid_of_a_register() {
        let (hold, order, other) = (booking().hold, booking().order, OrderId::derive(&["other"]));
        let ended = Register::Ended { hold, why: Ending::Expired, at: at(0) };
        let lost = Register::Lost { hold, order, at: at(0) };
        let confirmed = Register::Confirmed { booking: booking() };
        let cancelled = Register::Cancelled { booking: booking(), by: By::Buyer, back: None, at: at(0) };

        assert_eq!(ended.cancel(By::Buyer, at(1)).unwrap_err(), Code::WrongState);
        assert_eq!(lost.cancel(By::Buyer, at(1)).unwrap_err(), Code::WrongState);
        assert_eq!(cancelled.cancel(By::Organiser, at(1)).unwrap(), None, "the first canceller stays");
        let (next, told) = confirmed.cancel(By::Buyer, at(1)).unwrap().unwrap();
        assert_eq!(next, Register::Cancelled { booking: booking(), by: By::Buyer, back: None, at: at(1) });
        assert_eq!(told, [Message::BookingCancelled { booking: booking().id, order }]);

        let (next, told) = ended.lose(order, at(1)).unwrap().unwrap();
        assert_eq!(next, Register::Lost { hold, order, at: at(1) });
        assert_eq!(told, [Message::BookingLost { hold, order }]);
        assert_eq!(lost.lose(order, at(1)).unwrap(), None);
        assert_eq!(lost.lose(other, at(1)).unwrap_err(), Code::WrongState);
        assert_eq!(confirmed.lose(order, at(1)).unwrap_err(), Code::HoldDecided);
        assert_eq!(cancelled.lose(order, at(1)).unwrap_err(), Code::HoldDecided);
    }

    /// Every state × the transitions of a move.
    #[test]
    fn the_grid_of_a_move() {
        let (to, other) = (HoldId::derive(&["to"]), HoldId::derive(&["other"]));
        let (hold, order) = (booking().hold, booking().order);
        let moving = |to: HoldId| Booking { moving: Some(to), ..booking() };
        let ended = Register::Ended { hold, why: Ending::Expired, at: at(0) };
        let lost = Register::Lost { hold, order, at: at(0) };
        let still = Register::Confirmed { booking: booking() };
        let under_way = Register::Confirmed { booking: moving(to) };
        let gone = Register::Cancelled { booking: moving(to), by: By::Moved, back: None, at: at(0) };
        let cancelled = Register::Cancelled { booking: booking(), by: By::Buyer, back: None, at: at(0) };

        assert_eq!(still.move_to(to).unwrap().unwrap().0, under_way);
        assert_eq!((under_way.move_to(to).unwrap(), gone.move_to(to).unwrap()), (None, None));
        for no in [&ended, &lost, &cancelled] {
            assert_eq!(no.move_to(to).unwrap_err(), Code::WrongState);
        }
        assert_eq!(under_way.move_to(other).unwrap_err(), Code::WrongState);
        assert_eq!(gone.move_to(other).unwrap_err(), Code::WrongState);
        assert_eq!(under_way.moved(to, true, at(0)).unwrap(), (gone.clone(), vec![]));
        assert_eq!(under_way.moved(to, false, at(0)).unwrap(), (still.clone(), vec![]));
        assert_eq!((under_way.moved(other, true, at(0)), under_way.moved(other, false, at(0))), (None, None));
        for no in [&ended, &lost, &still, &gone, &cancelled] {
            assert_eq!((no.moved(to, true, at(1)), no.moved(to, false, at(1))), (None, None));
        }
        assert_eq!(under_way.cancel(By::Buyer, at(1)).unwrap_err(), Code::WrongState);
        assert_eq!(gone.cancel(By::Buyer, at(1)).unwrap(), None);
    }

    #[test]
    fn a_buyer_cancels_before_the_start_an_organiser_at_any_time() {
        assert!(may_cancel(By::Buyer, at(10), at(9)).is_ok());
        assert_eq!(may_cancel(By::Buyer, at(10), at(10)).unwrap_err(), Code::WrongState);
        assert!(may_cancel(By::Organiser, at(10), at(11)).is_ok());
    }
}
