//! The waiting room of a sale: who may take holds, in which order, and how fast.
//!
//! Everybody who waits has a **position** on one axis. Who joins before the draw has a lot in `0..LOTS`: a keyed hash of
//! event, line and buyer, so that coming early, late or twice changes nothing and nobody can aim. Who joins afterwards
//! stands behind all of them, at [`LOTS`] plus the milliseconds since the draw. A **pointer** moves along the same axis,
//! never backwards: whoever it has passed is admitted. Both are numbers, so a client compares its own position with a
//! pointer that is the same for everybody, and that answer can be kept by any cache.
//!
//! The organiser's rules ([`WaitingRoom`]) are part of the event. The pointer is in the [`Line`], one item, moved about
//! once a second by whoever polls and finds it older. How far it moves is decided here, by [`Line::paced`] and
//! [`Line::fits`], from what [`Scene`] tells of the pools. [`store`] has the kept form and the joins.

pub mod store;

use crate::auth::Buyer;
use crate::clock::{NOT_NEAR, is_near};
use crate::error::{Code, Fault, Refusal, Result};
use crate::id::EventId;
use crate::pool::Lane;
use crate::text::Text;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Positions below are lots, positions from here on are arrivals: milliseconds since the draw.
pub const LOTS: u64 = 1 << 32;
/// How long an admission is good for, counted from the end of the half minute in which the pointer passed.
pub const ADMISSION: SignedDuration = SignedDuration::from_mins(15);
/// The pointer's history is kept by slots of so many seconds: 31 of them cover an admission in half a kilobyte.
const SLOT: i64 = 30;
/// Who was admitted so long ago and has taken nothing is presumed to have left, and somebody else is let in.
const COMING: SignedDuration = SignedDuration::from_secs(120);
/// A pointer older than this is moved by whoever finds it.
const BEAT: SignedDuration = SignedDuration::from_secs(1);
/// How long one mover is left to work before another tries.
const MOVING: SignedDuration = SignedDuration::from_secs(3);
/// The most that is made up for after nobody polled, milliseconds' worth of the pace.
const BURST_MS: i64 = 10_000;
/// From so long before the draw its time stands: functions believe what they read of an event for two seconds.
const SETTLED: SignedDuration = SignedDuration::from_secs(10);
/// Of so many holds the usual size is known.
const USUAL: u64 = 20;

/// How an organiser lets people in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitingRoom {
    /// From this instant one can join.
    #[schema(value_type = String, format = DateTime, example = "2027-05-01T09:00:00Z")]
    pub doors: Timestamp,
    /// The draw: who has joined by now stands in an order that is drawn by lot, who joins later stands behind them. The
    /// first are admitted.
    #[schema(value_type = String, format = DateTime, example = "2027-05-01T10:00:00Z")]
    pub starts: Timestamp,
    /// At most so many people are admitted a minute, 1 to 100,000.
    #[schema(minimum = 1, maximum = 100_000, example = 600)]
    pub per_minute: u32,
    /// Only who is signed in may join. Guests cost nothing: one person can join as a thousand of them.
    #[serde(default)]
    pub accounts_only: bool,
    /// Your own page, https, where the waiting page sends who is admitted. It gets `event`, `admission`, `expires` and, for
    /// guests, `guest_token` in the fragment, which browsers keep to themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://shop.example.org/midsummer")]
    pub shop: Option<Text<1, 400>>,
}

/// Where a waiting room stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Nobody can join yet.
    Early,
    /// Who joins now takes part in the draw.
    Gathering,
    /// The draw is over; people are admitted, and who joins stands behind.
    Running,
}

impl WaitingRoom {
    /// Checks the bounds. `begins` is the start of the event.
    ///
    /// # Errors
    /// `invalid_input` with every fault.
    pub fn check(&self, begins: Timestamp) -> Result<()> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, detail: &str| {
            faults.push(Fault { pointer: pointer.into(), detail: detail.into() })
        };
        for (pointer, at) in [("/doors", self.doors), ("/starts", self.starts)] {
            if !is_near(at) {
                fault(pointer, NOT_NEAR);
            }
        }
        if self.starts < self.doors {
            fault("/starts", "must not be before the doors open");
        }
        if self.starts >= begins {
            fault("/starts", "must be before the event begins");
        }
        if !(1..=100_000).contains(&self.per_minute) {
            fault("/per_minute", "must be between 1 and 100000");
        }
        let plain = |url: &str| url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if self.shop.as_ref().is_some_and(|url| !url.as_str().starts_with("https://") || !plain(url.as_str()))
        {
            fault("/shop", "must be an https URL without a fragment");
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal { faults, ..Code::InvalidInput.into() }) }
    }

    /// Where it stands at `now`.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> Phase {
        match (now >= self.starts, now >= self.doors) {
            (true, _) => Phase::Running,
            (false, true) => Phase::Gathering,
            (false, false) => Phase::Early,
        }
    }

    /// Whether this buyer may join.
    ///
    /// # Errors
    /// `doors_closed`; `unauthenticated` for guests where only accounts may.
    pub fn may_join(&self, buyer: Buyer, now: Timestamp) -> Result<()> {
        self.may_be(buyer)?;
        match self.phase(now) {
            Phase::Early => Err(Refusal::from(Code::DoorsClosed).with("doors", self.doors)),
            Phase::Gathering | Phase::Running => Ok(()),
        }
    }

    /// Whether such a buyer may be here at all.
    ///
    /// # Errors
    /// `unauthenticated` for guests where only accounts may.
    pub fn may_be(&self, buyer: Buyer) -> Result<()> {
        match buyer {
            Buyer::Guest(_) if self.accounts_only => {
                Err(Code::Unauthenticated.because("only who is signed in may join this line"))
            }
            Buyer::Guest(_) | Buyer::Account(_) => Ok(()),
        }
    }

    /// The position of somebody who joins at `now` and whose lot this is.
    #[must_use]
    pub fn position(&self, lot: u32, now: Timestamp) -> u64 {
        match self.phase(now) {
            Phase::Early | Phase::Gathering => u64::from(lot),
            Phase::Running => {
                LOTS + u64::try_from(now.duration_since(self.starts).as_millis()).unwrap_or_default()
            }
        }
    }

    /// How much is made up for after a pause, milliseconds: enough for one person at the slowest pace.
    fn burst_ms(&self) -> i64 {
        BURST_MS.max(self.ms_for(1))
    }

    /// The time that admitting so many takes, milliseconds, rounded up.
    fn ms_for(&self, people: u64) -> i64 {
        let ms = people.saturating_mul(60_000).div_ceil(u64::from(self.per_minute.max(1)));
        i64::try_from(ms).unwrap_or(i64::MAX)
    }
}

/// An event's waiting room, on or off. It is numbered, so that places in a line that was given up are good for nothing in
/// the next one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Room {
    /// The how manieth line, from 1.
    pub line: u32,
    /// Whether holds need an admission.
    pub on: bool,
    /// How people are let in.
    pub rules: WaitingRoom,
}

impl Room {
    /// Switches it on with these rules, or changes them. When the draw is near or over, its time stands.
    ///
    /// # Errors
    /// `wrong_state` for another time of a draw that is near or over.
    pub fn switched_on(known: Option<&Self>, rules: WaitingRoom, now: Timestamp) -> Result<Self> {
        let Some(known) = known else { return Ok(Self { line: 1, on: true, rules }) };
        if !known.on {
            return Ok(Self { line: known.line + 1, on: true, rules });
        }
        let same = (rules.doors, rules.starts) == (known.rules.doors, known.rules.starts);
        if !same && now >= known.rules.starts - SETTLED {
            return Err(Code::WrongState
                .because("the draw cannot be moved any more: switch off, and on again for a new line"));
        }
        Ok(Self { line: known.line, on: true, rules })
    }

    /// Switches it off.
    #[must_use]
    pub fn switched_off(&self) -> Self {
        Self { on: false, ..self.clone() }
    }

    /// Whether this buyer may take a hold with what they show.
    ///
    /// # Errors
    /// `admission_needed` unless it is an admission of theirs to this line that has not ended.
    pub fn admits(
        &self,
        shown: Option<&Admission>,
        event: EventId,
        buyer: Buyer,
        now: Timestamp,
    ) -> Result<()> {
        let good = |admission: &Admission| {
            (admission.event, admission.line, admission.buyer) == (event, self.line, buyer)
                && now < admission.until
        };
        match (self.on, shown) {
            (false, _) => Ok(()),
            (true, Some(admission)) if good(admission) => self.rules.may_be(buyer),
            (true, Some(_)) => {
                Err(Code::AdmissionNeeded.because("the admission is another's, for another sale, or over"))
            }
            (true, None) => Code::AdmissionNeeded.refuse(),
        }
    }
}

/// A place in a line: sealed, in its buyer's hands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Of which event.
    pub event: EventId,
    /// In which line.
    pub line: u32,
    /// Whose.
    pub buyer: Buyer,
    /// Where.
    pub position: u64,
}

/// An admission: sealed, shown with holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Admission {
    /// To which event.
    pub event: EventId,
    /// By which line.
    pub line: u32,
    /// Whose.
    pub buyer: Buyer,
    /// Its end.
    pub until: Timestamp,
}

/// What is to be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supply {
    /// Something, or something may come back.
    Some,
    /// Everything is sold.
    SoldOut,
}

/// Where the pointer was at the end of a slot, and how many people it had passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step(i64, u64, u64);

impl Step {
    fn end(self) -> Timestamp {
        Timestamp::from_second((self.0 + 1) * SLOT).unwrap_or(Timestamp::MAX)
    }
}

/// A line: how far it has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Of which event.
    pub event: EventId,
    /// The how manieth.
    pub line: u32,
    /// Every position before it is admitted.
    pub pointer: u64,
    /// How many people that are.
    pub admitted: u64,
    /// Whether there is anything to wait for.
    pub supply: Supply,
    /// When it was last worked out how far the pointer may move.
    pub moved: Timestamp,
    /// Until then somebody is at it.
    pub claimed: Timestamp,
    /// Up to when the pace has been used.
    pub credit: Timestamp,
    /// The pointer's history, the oldest first: what an admission's length covers and the one step before.
    pub steps: Vec<Step>,
    /// The end of the sale.
    pub closes: Timestamp,
}

/// What became of a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The pointer has not passed it.
    Waiting,
    /// It is admitted, with this end.
    Admitted {
        /// The end, the same however often one asks.
        until: Timestamp,
    },
    /// It was admitted, and its time is over.
    Over,
}

/// How far the pointer may go, and how many people it passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    /// The new pointer.
    pub pointer: u64,
    /// People it passes.
    pub people: u64,
}

impl Line {
    /// A line in which nobody has been admitted.
    #[must_use]
    pub fn new(event: EventId, room: &Room, closes: Timestamp) -> Self {
        let before = room.rules.starts - SignedDuration::from_millis(room.rules.burst_ms());
        Self {
            event,
            line: room.line,
            pointer: 0,
            admitted: 0,
            supply: Supply::Some,
            moved: before,
            claimed: before,
            credit: before,
            steps: Vec::new(),
            closes,
        }
    }

    /// Whether the pointer is to be worked out anew.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.moved + BEAT && now >= self.claimed
    }

    /// The line while somebody is at it.
    #[must_use]
    pub fn claimed(&self, now: Timestamp) -> Self {
        Self { claimed: now + MOVING, ..self.clone() }
    }

    /// The beginning of the time within which who was admitted may still be on the way: a whole slot's.
    #[must_use]
    pub fn coming_since(now: Timestamp) -> Timestamp {
        let slot = (now - COMING).as_second().div_euclid(SLOT);
        Timestamp::from_second(slot * SLOT).unwrap_or(now)
    }

    /// How many the pace allows to admit now.
    #[must_use]
    pub fn paced(&self, rules: &WaitingRoom, now: Timestamp) -> u64 {
        let ms = now.duration_since(self.credit).as_millis().clamp(0, i128::from(rules.burst_ms()));
        u64::try_from(ms * i128::from(rules.per_minute) / 60_000).unwrap_or_default()
    }

    /// How many there is room for: as many as the free places are usually enough for, less those who were admitted
    /// lately and have not taken anything yet. Places come free when holds lapse, and people who stay away make room for
    /// others after [`COMING`].
    #[must_use]
    pub fn fits(&self, scene: &Scene, now: Timestamp) -> u64 {
        let since = Self::coming_since(now);
        let before = self.steps.iter().rev().find(|step| step.end() <= since).map_or(0, |step| step.2);
        let coming = (self.admitted - before).saturating_sub(scene.took);
        scene.people().saturating_sub(coming)
    }

    /// The line after the pointer has moved; it never moves backwards.
    #[must_use]
    pub fn admit(&self, rules: &WaitingRoom, reach: Reach, supply: Supply, now: Timestamp) -> Self {
        let pointer = self.pointer.max(reach.pointer);
        let people = if pointer > self.pointer { reach.people } else { 0 };
        let admitted = self.admitted + people;
        let from = self.credit.max(now - SignedDuration::from_millis(rules.burst_ms()));
        let credit = from + SignedDuration::from_millis(rules.ms_for(people));
        let mut steps = self.steps.clone();
        if pointer > self.pointer {
            let slot = now.as_second().div_euclid(SLOT);
            let last = steps.last().map(|step| step.0);
            // Not all clocks agree: a slot that has been passed is not entered again.
            let step = Step(last.map_or(slot, |last| last.max(slot)), pointer, admitted);
            if last == Some(step.0) {
                steps.pop();
            }
            steps.push(step);
        }
        let gone = steps.iter().filter(|step| step.end() + ADMISSION <= now).count();
        steps.drain(..gone.saturating_sub(1));
        let claimed = now;
        Self { pointer, admitted, supply, moved: now, claimed, credit, steps, ..self.clone() }
    }

    /// What became of a position by `now`. Its end does not depend on when one asks: it is counted from the end of the
    /// slot in which the pointer passed.
    #[must_use]
    pub fn fate(&self, position: u64, now: Timestamp) -> Fate {
        let Some(step) = self.steps.iter().find(|step| step.1 > position) else { return Fate::Waiting };
        let until = (step.end() + ADMISSION).min(self.closes);
        if now < until { Fate::Admitted { until } } else { Fate::Over }
    }

    /// How far the pointer moved in the last minutes, axis units a minute: by it a client guesses how long it will wait.
    /// Lots and arrivals are not the same measure; over the change only arrivals count.
    #[must_use]
    pub fn pace(&self, rules: &WaitingRoom, now: Timestamp) -> u64 {
        let since = Self::coming_since(now);
        let before = self.steps.iter().rev().find(|step| step.end() <= since).map_or(0, |step| step.1);
        let before = if self.pointer >= LOTS { before.max(LOTS) } else { before };
        let ms = now.duration_since(since.max(rules.starts)).as_millis().max(1_000);
        let way = i128::from(self.pointer.saturating_sub(before));
        u64::try_from(way * 60_000 / ms).unwrap_or_default()
    }
}

/// What the pools of a sale look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scene {
    /// Places that can be had.
    pub free: u64,
    /// Places of holds whose time is not over; the paid ones among them, too.
    pub held: u64,
    /// Places of holds whose time is over and whose fate nobody has looked up yet.
    pub ended: u64,
    /// Places that are taken, all together.
    pub taken: u64,
    /// Holds that took them.
    pub holds: u64,
    /// Holds that were taken since [`Line::coming_since`].
    pub took: u64,
}

impl Scene {
    /// What these lanes tell. Holds last `length`.
    #[must_use]
    pub fn of(lanes: &[Lane], length: SignedDuration, now: Timestamp) -> Self {
        let since = Line::coming_since(now);
        let (mut scene, mut holds, mut took) = (Self::default(), HashSet::new(), HashSet::new());
        for lane in lanes {
            // What people wait for is theirs already.
            scene.free += if lane.waited.is_none() { u64::from(lane.available) } else { 0 };
            for (holder, mark) in &lane.entries {
                let places = u64::from(mark.quantity);
                holds.insert(*holder);
                scene.taken += places;
                match mark.until() {
                    None => {}
                    Some(_) if mark.expired(now) => scene.ended += places,
                    Some(until) => {
                        scene.held += places;
                        // What is kept for longer than a hold was not taken by somebody who was let in.
                        if (since..=now).contains(&(until - length)) {
                            took.insert(*holder);
                        }
                    }
                }
            }
        }
        (scene.holds, scene.took) = (holds.len() as u64, took.len() as u64);
        scene
    }

    /// How many people the free places are usually enough for: by the size of the holds so far, once there are some.
    fn people(&self) -> u64 {
        if self.holds < USUAL {
            self.free
        } else {
            (self.free * self.holds).div_ceil(self.taken.max(1)).min(self.free)
        }
    }

    /// Whether anything is left, held, or may have come back.
    #[must_use]
    pub const fn supply(&self) -> Supply {
        if self.free + self.held + self.ended == 0 { Supply::SoldOut } else { Supply::Some }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AccountId, GuestId};
    use crate::pool::{HoldKey, Mark};
    use proptest::prelude::*;

    const T: i64 = 1_800_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(T * 1000 + ms).unwrap()
    }

    fn rules(per_minute: u32) -> WaitingRoom {
        WaitingRoom { doors: at(-60_000), starts: at(0), per_minute, accounts_only: false, shop: None }
    }

    fn room(per_minute: u32) -> Room {
        Room { line: 1, on: true, rules: rules(per_minute) }
    }

    fn line(per_minute: u32) -> Line {
        Line::new(EventId::derive(&["e"]), &room(per_minute), at(100_000_000))
    }

    fn free(places: u64) -> Scene {
        Scene { free: places, ..Scene::default() }
    }

    fn account(name: &str) -> Buyer {
        Buyer::Account(AccountId::derive(&[name]))
    }

    #[test]
    fn who_joins_before_the_draw_has_a_lot_and_who_joins_after_it_stands_behind() {
        let rules = rules(60);
        assert_eq!(rules.may_join(account("a"), at(-60_001)).unwrap_err(), Code::DoorsClosed);
        assert_eq!(rules.position(7, at(-60_000)), 7);
        assert_eq!(rules.position(u32::MAX, at(-1)), LOTS - 1);
        assert_eq!(rules.position(7, at(0)), LOTS);
        assert_eq!(rules.position(7, at(1_500)), LOTS + 1_500);
    }

    #[test]
    fn rules_out_of_bounds_are_pointed_at() {
        let pointers = |rules: &WaitingRoom| -> Vec<String> {
            let checked = rules.check(at(1)).err();
            checked.into_iter().flat_map(|refusal| refusal.faults).map(|fault| fault.pointer).collect()
        };
        assert_eq!(pointers(&rules(1)), Vec::<String>::new());
        assert_eq!(pointers(&WaitingRoom { doors: at(1), ..rules(0) }), ["/starts", "/per_minute"]);
        assert_eq!(pointers(&WaitingRoom { starts: at(1), ..rules(100_001) }), ["/starts", "/per_minute"]);
        for wrong in ["http://shop.example", "javascript:alert(1)", "https://a b", "https://a#b"] {
            let shop = Some(Text::parse(wrong).unwrap());
            assert_eq!(pointers(&WaitingRoom { shop, ..rules(1) }), ["/shop"], "{wrong}");
        }
    }

    /// Off, on before the draw, on after it × on with the same time, with another, off.
    #[test]
    fn the_grid_of_a_room() {
        let moved = WaitingRoom { starts: at(60_000), ..rules(60) };
        let on = |known: Option<&Room>, rules: &WaitingRoom, ms: i64| {
            Room::switched_on(known, rules.clone(), at(ms))
                .map(|room| (room.line, room.on, room.rules.starts))
        };
        assert_eq!(on(None, &rules(60), 0).unwrap(), (1, true, at(0)));
        assert_eq!(on(Some(&room(60)), &moved, -10_001).unwrap(), (1, true, at(60_000)));
        assert_eq!(on(Some(&room(60)), &moved, -10_000).unwrap_err(), Code::WrongState);
        let faster = Room::switched_on(Some(&room(60)), rules(600), at(5_000)).unwrap();
        assert_eq!((faster.line, faster.rules.per_minute), (1, 600), "the pace may change at any time");
        let off = room(60).switched_off();
        assert_eq!(off, off.switched_off());
        assert_eq!(on(Some(&off), &moved, 5_000).unwrap(), (2, true, at(60_000)));
    }

    #[test]
    fn only_ones_own_admission_to_this_line_admits_and_only_until_its_end() {
        let (room, event) = (room(60), EventId::derive(&["e"]));
        let good = Admission { event, line: 1, buyer: account("a"), until: at(1_000) };
        let check = |room: &Room, shown: Option<&Admission>, ms: i64| {
            room.admits(shown, event, account("a"), at(ms)).map_err(|refusal| refusal.code)
        };
        assert_eq!(check(&room, Some(&good), 999), Ok(()));
        assert_eq!(check(&room, Some(&good), 1_000), Err(Code::AdmissionNeeded));
        assert_eq!(check(&room, None, 0), Err(Code::AdmissionNeeded));
        assert_eq!(check(&room.switched_off(), None, 0), Ok(()));
        for wrong in [
            Admission { event: EventId::derive(&["other"]), ..good.clone() },
            Admission { line: 2, ..good.clone() },
            Admission { buyer: account("b"), ..good.clone() },
        ] {
            assert_eq!(check(&room, Some(&wrong), 0), Err(Code::AdmissionNeeded));
        }
        let mut strict = room;
        strict.rules.accounts_only = true;
        let guest = Buyer::Guest(GuestId::derive(&["g"]));
        let theirs = Admission { buyer: guest, ..good };
        assert_eq!(strict.admits(Some(&theirs), event, guest, at(0)).unwrap_err(), Code::Unauthenticated);
        assert_eq!(strict.rules.may_join(guest, at(0)).unwrap_err(), Code::Unauthenticated);
    }

    #[test]
    fn people_on_their_way_count_until_they_take_something_or_stay_away_too_long() {
        let rules = rules(6_000);
        let line = line(6_000).admit(&rules, Reach { pointer: 9, people: 40 }, Supply::Some, at(0));
        assert_eq!(line.fits(&free(50), at(1_000)), 10);
        assert_eq!(line.fits(&Scene { free: 35, took: 15, ..Scene::default() }, at(1_000)), 10);
        assert_eq!(line.fits(&free(30), at(1_000)), 0);
        assert_eq!(line.fits(&free(50), at(149_999)), 10);
        assert_eq!(line.fits(&free(50), at(150_000)), 50, "they stayed away");
    }

    #[test]
    fn where_people_take_two_places_each_half_as_many_are_let_in() {
        let scene = |holds: u64| Scene { free: 50, taken: holds * 2, holds, ..Scene::default() };
        assert_eq!(line(60).fits(&scene(19), at(0)), 50, "too few to tell");
        assert_eq!(line(60).fits(&scene(20), at(0)), 25);
    }

    #[test]
    fn a_slow_pace_admits_one_after_the_other_and_a_pause_is_made_up_for_in_part() {
        let slow = rules(1);
        let mut line = line(1);
        assert_eq!(line.paced(&slow, at(0)), 1);
        line = line.admit(&slow, Reach { pointer: 5, people: 1 }, Supply::Some, at(0));
        assert_eq!((line.paced(&slow, at(59_999)), line.paced(&slow, at(60_000))), (0, 1));
        let quick = rules(600);
        let line = self::line(600).admit(&quick, Reach { pointer: 5, people: 100 }, Supply::Some, at(0));
        assert_eq!((line.paced(&quick, at(1_000)), line.paced(&quick, at(3_600_000))), (10, 100));
    }

    #[test]
    fn an_admission_ends_at_the_same_instant_however_often_one_asks() {
        let rules = rules(6_000);
        let first = line(6_000).admit(&rules, Reach { pointer: 10, people: 1 }, Supply::Some, at(1_000));
        let until = at(30_000) + ADMISSION;
        assert_eq!(first.fate(9, at(1_000)), Fate::Admitted { until });
        assert_eq!(first.fate(10, at(1_000)), Fate::Waiting);
        let second = first.admit(&rules, Reach { pointer: 20, people: 1 }, Supply::Some, at(29_000));
        let third = second.admit(&rules, Reach { pointer: 30, people: 1 }, Supply::Some, at(31_000));
        assert_eq!(third.fate(9, at(31_000)), Fate::Admitted { until });
        assert_eq!(third.fate(19, at(31_000)), Fate::Admitted { until });
        assert_eq!(third.fate(29, at(31_000)), Fate::Admitted { until: at(60_000) + ADMISSION });
        assert_eq!(third.fate(9, until), Fate::Over);
        let short = Line { closes: at(40_000), ..third };
        assert_eq!(short.fate(9, at(39_999)), Fate::Admitted { until: at(40_000) });
        assert_eq!(short.fate(9, at(40_000)), Fate::Over, "never after the sale");
    }

    #[test]
    fn the_scene_is_what_the_lanes_say() {
        let key = |byte: u8| HoldKey::new(&[byte; 32], &[byte; 32]);
        let length = SignedDuration::from_mins(10);
        let entry = |byte: u8, quantity: u32, taken_ms: i64| {
            (key(byte), Mark::new(quantity, at(taken_ms) + length, 0))
        };
        let lanes = [
            Lane {
                number: 0,
                capacity: 20,
                available: 3,
                entries: [
                    entry(1, 2, -1_000),
                    entry(2, 4, -700_000),
                    (key(3), Mark::new(8, at(0), 0).sold()),
                ]
                .into(),
                ..Lane::default()
            },
            Lane {
                number: 1,
                capacity: 9,
                available: 5,
                entries: [entry(1, 1, -1_000), entry(4, 3, -300_000)].into(),
                ..Lane::default()
            },
        ];
        let scene = Scene::of(&lanes, length, at(0));
        assert_eq!(scene, Scene { free: 8, held: 6, ended: 4, taken: 18, holds: 4, took: 1 });
        assert_eq!(scene.supply(), Supply::Some);
        assert_eq!(Scene { taken: 5, holds: 2, ..Scene::default() }.supply(), Supply::SoldOut);
    }

    proptest! {
        /// A whole sale, second by second: people come and take what they find, some stay away, some let lapse.
        #[test]
        fn a_sale_is_paced_by_its_places_and_its_pace(
            per_minute in 1u32..6_000,
            places in 0u64..400,
            waiting in 0u64..1_000,
            polls in proptest::collection::vec((200i64..40_000, 0u64..8, 0u64..4), 1..120),
        ) {
            let rules = rules(per_minute);
            let (mut line, mut scene) = (line(per_minute), free(places));
            let (mut now, mut ahead, mut taken) = (0i64, waiting, Vec::<i64>::new());
            let mut moves: Vec<(i64, u64)> = Vec::new();
            for (after, take, lapse) in polls {
                now += after;
                let since = Line::coming_since(at(now));
                scene.took = taken.iter().filter(|ms| at(**ms) >= since).count() as u64;
                let (paced, fits) = (line.paced(&rules, at(now)), line.fits(&scene, at(now)));
                let people = paced.min(fits).min(ahead);
                prop_assert!(people <= scene.free);
                let reach = Reach { pointer: line.pointer + people, people };
                let next = line.admit(&rules, reach, scene.supply(), at(now));
                prop_assert!(next.pointer >= line.pointer && next.admitted == line.admitted + people);
                // Backwards is nowhere.
                let back = next.admit(&rules, Reach { pointer: 0, people: 9 }, Supply::Some, at(now));
                prop_assert_eq!((back.pointer, back.admitted), (next.pointer, next.admitted));
                for position in [0, line.pointer / 2, line.pointer.saturating_sub(1)] {
                    if let Fate::Admitted { until } = line.fate(position, at(now)) {
                        prop_assert_eq!(next.fate(position, at(now)), Fate::Admitted { until });
                    }
                }
                prop_assert!(next.steps.len() <= 33, "{} steps", next.steps.len());
                moves.push((now, people));
                let minute: u64 = moves.iter().filter(|(ms, _)| *ms > now - 60_000).map(|(_, people)| people).sum();
                let most = (60_000 + rules.burst_ms()) as u64 * u64::from(per_minute) / 60_000 + 1;
                prop_assert!(minute <= most, "{minute} in a minute, {most} allowed");
                line = next;
                ahead -= people;
                let take = take.min(scene.free).min(line.admitted - taken.len() as u64);
                taken.extend((0..take).map(|_| now));
                scene.free -= take;
                scene.free += lapse.min(places - scene.free);
            }
        }

        /// Everybody's turn comes while places come back: nobody waits for ever.
        #[test]
        fn while_places_come_back_everybody_gets_in(per_minute in 1u32..6_000, waiting in 1u64..300) {
            let rules = rules(per_minute);
            let (mut line, mut now) = (line(per_minute), 0i64);
            for _ in 0..20_000 {
                let people = line.paced(&rules, at(now)).min(line.fits(&free(1), at(now)));
                line = line.admit(&rules, Reach { pointer: line.pointer + people, people }, Supply::Some, at(now));
                if line.admitted >= waiting {
                    return Ok(());
                }
                now += 60_000;
            }
            prop_assert!(false, "{} of {waiting} after two weeks", line.admitted);
        }
    }
}
