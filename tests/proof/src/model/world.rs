//! What the model's world is made of: lanes, registers, and everything that a step may read or write.

use super::Engine;
use super::flow::Run;
use crate::model::Rule;
use jiff::Timestamp;
use std::collections::BTreeMap;
use tessera::auth::Buyer;
use tessera::booking::{Booking, By, Ending, Register, Subject};
use tessera::id::{BookingId, EventId, GuestId, HoldId, OrderId, OrganisationId};
use tessera::money::Money;
use tessera::pool::{HoldKey, Lane, Mark};

/// Which hold, by number: a buyer's holds come first, then the second tries of late money in the same order.
pub type Holder = u8;

/// The moment that the model's clock shows.
pub fn at(time: u8) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + i64::from(time)).unwrap_or(Timestamp::MAX)
}

/// A lane as it is, or as it was when it was read. The count may go below zero: a model must be able to show it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct LaneNow {
    /// Places left.
    pub available: i32,
    /// The ledger.
    pub entries: BTreeMap<Holder, Mark>,
}

/// What a hold took from one lane.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Taken {
    /// The lane.
    pub lane: u8,
    /// The entry.
    pub mark: Mark,
}

/// What was decided about a hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Fate {
    /// It ended; nothing was sold.
    Ended,
    /// It ended, and its order was told.
    Lost,
    /// It became a booking that holds this.
    Confirmed(Vec<Taken>),
    /// It became a booking that was cancelled.
    Cancelled(Vec<Taken>),
}

impl Fate {
    pub fn is_booking(&self) -> bool {
        matches!(self, Self::Confirmed(_) | Self::Cancelled(_))
    }
}

/// A promise that an answer broke.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Broken {
    /// "Sold out", though at no instant of the call fewer places were to be had than wished for.
    SoldOut,
    /// A repeated request was told that its key belongs to another.
    Reused,
}

/// The whole state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    /// How often the clock struck.
    pub time: u8,
    /// How many more requests or deliveries may die half-way.
    pub crashes: u8,
    /// All lanes of all pools.
    pub lanes: Vec<LaneNow>,
    /// What was decided, hold by hold.
    pub registers: Vec<Option<Fate>>,
    /// Whether a hold was ever ended, and ever confirmed.
    pub history: Vec<(bool, bool)>,
    /// The promises that a buyer was given, hold by hold.
    pub quotes: Vec<Vec<Vec<Taken>>>,
    /// The promise that the order was placed with.
    pub orders: Vec<Option<Vec<Taken>>>,
    /// Whether the order was given up.
    pub given_up: Vec<bool>,
    /// Whether the order was told that it has its places, and that it has not.
    pub told: Vec<(bool, bool)>,
    /// How far each request and delivery has come.
    pub runs: Vec<Run>,
    /// The first promise that was broken.
    pub broken: Option<Broken>,
}

/// One write of one lane, as `tessera::pool::store::LaneWrite`.
#[derive(Default)]
pub struct Change<'a> {
    pub take: Option<(Holder, Mark)>,
    pub reclaim: &'a [(Holder, Mark)],
    pub settle: &'a [(Holder, Mark)],
}

impl World {
    /// One conditional update of one lane: all of it, or nothing and `false`.
    pub fn write(&mut self, engine: &Engine, lane: u8, change: &Change<'_>) -> bool {
        let item = &mut self.lanes[usize::from(lane)];
        let sum = |marks: &[(Holder, Mark)]| marks.iter().map(|(_, mark)| places(mark)).sum::<i32>();
        let net = change.take.map_or(0, |(_, mark)| places(&mark)) - sum(change.reclaim);
        let is = |(holder, mark): &(Holder, Mark)| item.entries.get(holder) == Some(mark);
        let allowed = (!engine.has(Rule::Count) || item.available >= net)
            && change
                .take
                .is_none_or(|(holder, _)| !engine.has(Rule::NewEntry) || !item.entries.contains_key(&holder))
            && (!engine.has(Rule::SettleSame) || change.settle.iter().all(is))
            && (!engine.has(Rule::ReclaimSame) || change.reclaim.iter().all(is));
        if allowed {
            item.available -= net;
            item.entries.extend(change.take);
            item.entries.extend(change.settle.iter().map(|(holder, mark)| (*holder, mark.sold())));
            for (holder, _) in change.reclaim {
                item.entries.remove(holder);
            }
        }
        allowed
    }

    /// Gives one claim back, if its entry is still there.
    pub fn release(&mut self, engine: &Engine, holder: Holder, claim: Taken) {
        let item = &mut self.lanes[usize::from(claim.lane)];
        let there = item.entries.get(&holder).is_some_and(|mark| same(*mark, claim.mark));
        if there || !engine.has(Rule::ReleaseSame) {
            item.available += places(&claim.mark);
            item.entries.remove(&holder);
        }
    }

    /// The first decision of a hold stays; the answer is what is decided now, and whether it is this one.
    pub fn decide(&mut self, engine: &Engine, holder: Holder, fate: Fate) -> (Fate, bool) {
        let place = usize::from(holder);
        match &self.registers[place] {
            Some(known) if engine.has(Rule::FirstDecision) => (known.clone(), false),
            Some(_) | None => {
                let history = &mut self.history[place];
                *history = (history.0 || !fate.is_booking(), history.1 || fate.is_booking());
                self.registers[place] = Some(fate.clone());
                (fate, true)
            }
        }
    }

    /// Cancels what became a booking, by the register's own rule.
    pub fn cancel(&mut self, holder: Holder) -> bool {
        let Some(Fate::Confirmed(claims)) = self.registers[usize::from(holder)].clone() else { return false };
        let cancelled = register(&Fate::Confirmed(claims.clone())).cancel(By::Buyer, at(0));
        let done = matches!(cancelled, Ok(Some((Register::Cancelled { .. }, _))));
        if done {
            self.registers[usize::from(holder)] = Some(Fate::Cancelled(claims));
        }
        done
    }

    /// Tells an order that its hold was lost, by the register's own rule.
    pub fn lose(&mut self, holder: Holder) {
        let Some(fate) = self.registers[usize::from(holder)].clone() else { return };
        if let Ok(Some((Register::Lost { .. }, _))) = register(&fate).lose(order(), at(0)) {
            self.registers[usize::from(holder)] = Some(Fate::Lost);
            let first = usize::from(holder) % self.told.len();
            self.told[first].1 = true;
        }
    }

    /// What the register says of an entry whose time is over: whether it is a sold one. The rule of
    /// `tessera::booking::store`'s `judge`.
    pub fn is_sold(engine: &Engine, fate: &Fate, lane: u8, mark: Mark) -> bool {
        match fate {
            Fate::Confirmed(claims) => {
                !engine.has(Rule::NamedLane)
                    || claims.iter().any(|claim| claim.lane == lane && claim.mark == mark)
            }
            Fate::Cancelled(_) | Fate::Ended | Fate::Lost => false,
        }
    }

    /// Places of these lanes that `holder` might have: those that are neither sold, nor held by somebody else's hold
    /// whose time is not over or whose fate is open, nor of a booking just cancelled and about to come back.
    pub fn within_reach(&self, lanes: std::ops::Range<u8>, holder: Holder) -> i32 {
        let reach = |lane: u8| {
            let item = &self.lanes[usize::from(lane)];
            let others = item.entries.iter().filter(|(other, _)| **other != holder);
            let free = others.filter(|(other, mark)| {
                mark.expired(at(self.time))
                    && match &self.registers[usize::from(**other)] {
                        None => false,
                        Some(Fate::Ended | Fate::Lost | Fate::Cancelled(_)) => true,
                        Some(Fate::Confirmed(claims)) => {
                            !claims.iter().any(|claim| claim.lane == lane && same(**mark, claim.mark))
                        }
                    }
            });
            let own = item.entries.get(&holder).map_or(0, places);
            item.available + own + free.map(|(_, mark)| places(mark)).sum::<i32>()
        };
        lanes.map(reach).sum()
    }
}

/// Whether an entry is what a claim noted, settled or not.
pub fn same(entry: Mark, claim: Mark) -> bool {
    entry == claim || entry == claim.sold()
}

pub fn places(mark: &Mark) -> i32 {
    i32::try_from(mark.quantity).unwrap_or(i32::MAX)
}

/// The real key of a hold, so that real rules can be asked.
pub fn key(holder: Holder) -> HoldKey {
    HoldKey::new(&[holder; 32], &[holder; 32])
}

/// A lane as the real rules know it.
pub fn lane(number: u8, now: &LaneNow) -> Lane {
    let mut lane = Lane {
        number: number.into(),
        available: u32::try_from(now.available).unwrap_or_default(),
        entries: now.entries.iter().map(|(holder, mark)| (key(*holder), *mark)).collect(),
        ..Lane::default()
    };
    lane.capacity = lane.available + lane.taken();
    lane
}

fn order() -> OrderId {
    OrderId::from_uuid(key(0).id().uuid())
}

/// A real register in the same state: its transitions are the ones that are checked.
fn register(fate: &Fate) -> Register {
    let hold: HoldId = key(0).id();
    let booking = || Booking {
        id: BookingId::from_uuid(hold.uuid()),
        hold,
        order: order(),
        paid_by: None,
        awaits: None,
        buyer: Buyer::Guest(GuestId::from_uuid(hold.uuid())),
        organisation: OrganisationId::from_uuid(hold.uuid()),
        subject: Subject::Event(EventId::from_uuid(hold.uuid())),
        lines: Vec::new(),
        total: Money::new(0, "EUR".parse().unwrap()),
        claims: Vec::new(),
        confirmed: at(0),
        moving: None,
        moved_from: None,
    };
    match fate {
        Fate::Ended => Register::Ended { hold, why: Ending::Expired, at: at(0) },
        Fate::Lost => Register::Lost { hold, order: order(), at: at(0) },
        Fate::Confirmed(_) => Register::Confirmed { booking: booking() },
        Fate::Cancelled(_) => {
            Register::Cancelled { booking: booking(), by: By::Buyer, back: None, at: at(0) }
        }
    }
}
