//! Capacity: pools split into lanes, each lane one item that carries its own ledger of holds.
//!
//! Everything that can run out is a [`Pool`]. A pool of 1,600 places is 34 lanes of about 47; a pool of 50 is two. A
//! hold is one conditional update of one lane: it takes from `a` (what is left) and writes an entry under the hold's
//! [`HoldKey`], both or neither. Because the entry is in the same item as the count, a repeated request finds its own
//! entry, and whoever finds the lane short sees in the refused write's answer which entries have expired.
//!
//! An expired entry is not free yet: its buyer may be paying. Who decides is the *register* of that hold (see
//! [`crate::booking`]): one item, written once, "confirmed" or "ended". Only a hold that the register has ended is
//! reclaimed; one that it has confirmed is marked as sold in the lane ([`Mark::sold`]) and never looked at again.
//!
//! Stock *settles*: it turns over for years, so its lanes do not keep what was sold. A sold entry leaves the lane together with its
//! units. Then an absent entry says nothing any more, and whoever brings units back, or in, leaves a mark of no units under a key of
//! its own ([`Mark::spent`]): it comes back once, however often that is told. `tests/proof/src/stock.rs` has the rules of it.
//!
//! This module is pure: layout, marks, and the [`plan`] of where to take from. [`store`] has the lane writes.
//!
//! # Sizes
//! A lane item stays under 1,024 bytes, so that every lane write is one write unit: 48 entries of 20 bytes (12 for the
//! key, at most 8 for the number) plus 48 for the rest make 1,008. Lanes of a pool are spread over partition keys, 24
//! lanes each, so that no partition meets its bound of 1,000 write units a second before the others.

pub mod store;

use crate::db::Key;
use crate::id::{CouponId, HoldId, OfferId, PoolId, ServiceId, StoreId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Entries of one place each that fit into a lane item of 1 KB.
pub const LANE_CAPACITY: u32 = 48;
/// Lanes that share a partition key.
const LANES_PER_PARTITION: u32 = 24;
/// Holds that a lane of stock has room for: so many baskets of one product can be held at once in each. Fewer than places,
/// because its counts are longer.
pub const LANE_SLOTS: u32 = 44;
/// The largest pool, places. 2,084 lanes.
pub const MAX_CAPACITY: u32 = 100_000;
/// Marks count seconds from 2025-01-01T00:00:00Z: nine digits until 2056, one byte less than ten.
const MARK_EPOCH: i64 = 1_735_689_600;

/// 72 bits that name a hold in lanes and registers: 40 that the caller's identity leads to, 32 from the
/// Idempotency-Key. Short, because 48 of them must fit into a lane; a collision can only refuse ("use a new key"),
/// never sell, because the register stores the whole hold id and compares.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoldKey([u8; 9]);

impl HoldKey {
    /// Of nobody: who has no hold looks from the first lane on.
    pub const FIRST: Self = Self([0; 9]);

    /// The key of a caller's hold. `tag` and `hash` come from keyed hashes: nobody can aim at another's tag.
    #[must_use]
    pub fn new(tag: &[u8; 32], hash: &[u8; 32]) -> Self {
        let mut bytes = [0; 9];
        bytes[..5].copy_from_slice(&tag[..5]);
        bytes[5..].copy_from_slice(&hash[..4]);
        Self(bytes)
    }

    /// The key of a hold that is made for somebody who waits or applied, in one of their turns: from no Idempotency-Key, so that
    /// nobody else can have it.
    #[must_use]
    pub fn of_turn(tag: &[u8; 32], kind: &str, id: uuid::Uuid, turn: u32) -> Self {
        let hash = crate::id::hashed(&[kind.as_bytes(), id.as_bytes(), &turn.to_be_bytes()]);
        let mut wide = [0; 32];
        wide[..16].copy_from_slice(hash.as_bytes());
        Self::new(tag, &wide)
    }

    /// Whether the hold belongs to the caller of this tag (up to one in 2⁴⁰).
    #[must_use]
    pub fn belongs_to(self, tag: &[u8; 32]) -> bool {
        self.0[..5] == tag[..5]
    }

    /// The one further hold that a payment may try when it came after the end of this one.
    #[must_use]
    pub fn again(self) -> Self {
        self.derived(b"again")
    }

    /// Another key of the same caller, that only this one leads to.
    fn derived(self, what: &[u8]) -> Self {
        let hash = crate::id::hashed(&[what, &self.0]);
        let mut bytes = self.0;
        bytes[5..].copy_from_slice(&hash.as_bytes()[..4]);
        Self(bytes)
    }

    /// The key under which it is marked and noted that the units of what became a booking are back.
    #[must_use]
    pub fn back(self) -> Self {
        self.derived(b"back")
    }

    /// The hold's id. The 72 bits are in it, so that the id leads to the lane entry and the register.
    #[must_use]
    pub fn id(self) -> HoldId {
        let mut bytes = *crate::id::hashed(&[b"hold", &self.0]).as_bytes();
        bytes[..6].copy_from_slice(&self.0[..6]);
        bytes[9..12].copy_from_slice(&self.0[6..]);
        HoldId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The key inside an id; `None` if the id was not made by [`Self::id`].
    #[must_use]
    pub fn of(id: HoldId) -> Option<Self> {
        let uuid = id.uuid();
        let mut bytes = [0; 9];
        bytes[..6].copy_from_slice(&uuid.as_bytes()[..6]);
        bytes[6..].copy_from_slice(&uuid.as_bytes()[9..12]);
        Some(Self(bytes)).filter(|key| key.id() == id)
    }

    /// Where in the circle of `lanes` this hold begins to look. The same for every retry.
    const fn start(self, lanes: u32) -> u32 {
        self.lot() % lanes
    }

    /// A number that is this hold's alone, nearly: to choose by.
    #[must_use]
    pub const fn lot(self) -> u32 {
        u32::from_be_bytes([self.0[5], self.0[6], self.0[7], self.0[8]])
    }

    /// Whether this hold is one of the few, one in 32, that look for themselves before an old answer is over: so that not
    /// everybody looks when it is.
    #[must_use]
    pub const fn is_early(self) -> bool {
        self.0[5].is_multiple_of(32)
    }
}

impl fmt::Display for HoldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for HoldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for HoldKey {
    type Err = ();
    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(drop)?;
        bytes.try_into().map(Self).map_err(drop)
    }
}

/// Some of a lane's cells: seats of a row, quarter hours of a half day. A bit for each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cells(u64);

/// The most cells that a lane may have.
pub const MAX_CELLS: u32 = 48;

impl Cells {
    /// None.
    pub const NONE: Self = Self(0);

    /// The first `count`.
    #[must_use]
    pub const fn first(count: u32) -> Self {
        Self((1 << count) - 1)
    }

    /// One more.
    #[must_use]
    pub const fn with(self, cell: u32) -> Self {
        Self(self.0 | 1 << cell)
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// These but not those.
    #[must_use]
    pub const fn without(self, less: Self) -> Self {
        Self(self.0 & !less.0)
    }

    /// Whether any cell is in both.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether this cell is among them.
    #[must_use]
    pub const fn has(self, cell: u32) -> bool {
        self.0 & 1 << cell != 0
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their places in the lane, in order.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..MAX_CELLS).filter(move |cell| self.has(*cell))
    }
}

impl FromIterator<u32> for Cells {
    fn from_iter<T: IntoIterator<Item = u32>>(cells: T) -> Self {
        cells.into_iter().fold(Self::NONE, Self::with)
    }
}

/// What a lane notes of a hold, as one number: `((cells × 10¹⁰ + seconds) × 1000 + print) × 100 + quantity`. At most 30
/// digits, of 38 that the store keeps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mark {
    /// Seconds since [`MARK_EPOCH`]; 0 once sold.
    until: u32,
    /// Three digits of the request's print: a key used for another request is noticed.
    pub print: u16,
    /// Places, 1 to 99; none for a mark of what was done.
    pub quantity: u32,
    /// Which, where it matters: so many as `quantity`, or none.
    pub cells: Cells,
}

impl Mark {
    /// A hold of `quantity` places until `until`.
    #[must_use]
    pub fn new(quantity: u32, until: Timestamp, print: u16) -> Self {
        Self {
            until: u32::try_from(until.as_second() - MARK_EPOCH).unwrap_or(u32::MAX),
            print: print % 1000,
            quantity,
            cells: Cells::NONE,
        }
    }

    /// A hold of these cells until `until`.
    #[must_use]
    pub fn of(cells: Cells, until: Timestamp, print: u16) -> Self {
        Self { cells, ..Self::new(cells.count(), until, print) }
    }

    /// A mark of no units, under the key of what was brought back or in: it is not done twice while this is there. `done` is
    /// false if it was found that it cannot be done. Goes some time after `until`, once a register says that all is done.
    #[must_use]
    pub fn spent(until: Timestamp, done: bool) -> Self {
        Self::new(0, until, u16::from(!done))
    }

    /// Whether it is one of those.
    #[must_use]
    pub const fn is_spent(self) -> bool {
        self.quantity == 0
    }

    /// Whether what it is about was done.
    #[must_use]
    pub const fn was_done(self) -> bool {
        self.print == 0
    }

    /// The same entry once its booking is known: it has no end any more.
    #[must_use]
    pub const fn sold(self) -> Self {
        Self { until: 0, ..self }
    }

    /// Sold entries are never looked at again.
    #[must_use]
    pub const fn is_sold(self) -> bool {
        self.until == 0
    }

    /// The end of the hold; `None` once sold.
    #[must_use]
    pub fn until(self) -> Option<Timestamp> {
        if self.is_sold() { None } else { Timestamp::from_second(MARK_EPOCH + i64::from(self.until)).ok() }
    }

    /// Whether the hold's time is over. Its fate is the register's to say.
    #[must_use]
    pub fn expired(self, now: Timestamp) -> bool {
        !self.is_sold() && MARK_EPOCH + i64::from(self.until) <= now.as_second()
    }

    /// The number a lane stores.
    #[must_use]
    pub fn number(self) -> u128 {
        let dated = u128::from(self.cells.0) * SECONDS + u128::from(self.until);
        (dated * 1000 + u128::from(self.print)) * 100 + u128::from(self.quantity)
    }

    /// Reads the number back.
    #[must_use]
    pub fn from_number(number: u128) -> Option<Self> {
        let (rest, quantity) = (number / 100, (number % 100) as u32);
        let (dated, print) = (rest / 1000, (rest % 1000) as u16);
        let cells = Cells(u64::try_from(dated / SECONDS).ok()?);
        Some(Self { until: u32::try_from(dated % SECONDS).ok()?, print, quantity, cells })
    }
}

/// One more than the largest number of seconds in a mark.
const SECONDS: u128 = 10_000_000_000;

/// As text: not every reader of JSON keeps 30 digits.
impl Serialize for Mark {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(&self.number())
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse()
            .ok()
            .and_then(Self::from_number)
            .ok_or_else(|| serde::de::Error::custom("not a lane mark"))
    }
}

/// Something that can run out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Pool {
    /// Capacity that was opened with its lanes: a missing lane refuses.
    Places {
        /// Which.
        id: PoolId,
        /// How many lanes it has, 1 or more.
        lanes: u32,
    },
    /// Seats: lanes of cells, rows as a rule. Opened with its lanes.
    Seats {
        /// Which.
        id: PoolId,
        /// How many lanes it has, 1 or more.
        lanes: u32,
    },
    /// Times: half days of one unit of a service, a cell a quarter of an hour (see [`crate::vendor`]). A lane is made by its
    /// first use.
    Hours {
        /// Whose.
        service: ServiceId,
        /// Which of its units, from 0.
        unit: u8,
    },
    /// Units of a product in a store: they settle. Opened with its lanes, empty.
    Stock {
        /// Which.
        id: PoolId,
        /// How many lanes it has, 1 or more.
        lanes: u32,
    },
    /// So many uses of something that nobody opens: its lanes are made by their first use, and its limit counts as it is now.
    Quota {
        /// Of what.
        of: Quota,
        /// How many in all, 1 to [`MAX_CAPACITY`].
        limit: u32,
    },
}

/// What a limit is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Quota {
    /// What one buyer may take of one offer.
    Buyer {
        /// Of which offer.
        offer: OfferId,
        /// Whose: the tag of the buyer's holds.
        buyer: [u8; 5],
    },
    /// What a store can deliver in one window.
    Window {
        /// Which store.
        store: StoreId,
        /// When the window begins, seconds since 1970.
        starts: i64,
    },
    /// How often a coupon may be used.
    Coupon {
        /// Which.
        coupon: CouponId,
        /// By whom, if it is what one buyer may: the tag of the buyer's holds.
        buyer: Option<[u8; 5]>,
    },
}

impl Pool {
    /// What the buyer of this tag may take of an offer.
    #[must_use]
    pub fn allowance(offer: OfferId, tag: &[u8; 32], limit: u32) -> Self {
        let mut buyer = [0; 5];
        buyer.copy_from_slice(&tag[..5]);
        Self::Quota { of: Quota::Buyer { offer, buyer }, limit }
    }

    /// Whether sold entries leave its lanes.
    #[must_use]
    pub const fn settles(&self) -> bool {
        matches!(self, Self::Stock { .. })
    }

    /// The most that one of its lanes can have; nothing where the lane itself says so.
    #[must_use]
    pub fn share(&self, lane: u32) -> Option<u32> {
        match self {
            Self::Quota { limit, .. } => even(*limit, self.lanes()).nth(lane as usize).or(Some(0)),
            Self::Places { .. } | Self::Seats { .. } | Self::Stock { .. } | Self::Hours { .. } => None,
        }
    }

    /// A lane that has not been made, if its first use makes it.
    #[must_use]
    pub fn unused(&self, lane: u32) -> Option<Lane> {
        let capacity = match self {
            Self::Quota { .. } => self.share(lane)?,
            Self::Hours { .. } => MAX_CELLS,
            Self::Places { .. } | Self::Seats { .. } | Self::Stock { .. } => return None,
        };
        Some(Lane { number: lane, capacity, available: capacity, ..Lane::default() })
    }

    /// How many lanes.
    #[must_use]
    pub const fn lanes(&self) -> u32 {
        match self {
            Self::Places { lanes, .. } | Self::Seats { lanes, .. } | Self::Stock { lanes, .. } => *lanes,
            // Half days have no end; nobody looks through all of them.
            Self::Hours { .. } => 1,
            Self::Quota { limit, .. } => {
                let lanes = lanes_for(*limit);
                if lanes == 0 { 1 } else { lanes }
            }
        }
    }

    /// How many partitions hold the lanes.
    #[must_use]
    pub const fn partitions(&self) -> u32 {
        self.lanes().div_ceil(LANES_PER_PARTITION)
    }

    /// The `count` partitions where this holder looks first, and how many lanes they have together.
    #[must_use]
    pub fn near(&self, holder: HoldKey, count: u32) -> (Vec<String>, usize) {
        let (all, own) = (self.partitions(), holder.start(self.lanes()) / LANES_PER_PARTITION);
        let near = (0..count.min(all)).map(|step| (own + step) % all);
        let lanes =
            |partition: u32| LANES_PER_PARTITION.min(self.lanes() - partition * LANES_PER_PARTITION) as usize;
        near.fold((Vec::new(), 0), |(mut names, sum), partition| {
            names.push(self.partition(partition));
            (names, sum + lanes(partition))
        })
    }

    /// The partitions of these lanes.
    #[must_use]
    pub fn names(&self, lanes: &std::ops::RangeInclusive<u32>) -> Vec<String> {
        let partitions = lanes.start() / LANES_PER_PARTITION..=lanes.end() / LANES_PER_PARTITION;
        partitions.map(|partition| self.partition(partition)).collect()
    }

    /// Its id, if it is one that was opened with its lanes.
    #[must_use]
    pub const fn opened(&self) -> Option<PoolId> {
        match self {
            Self::Places { id, .. } | Self::Seats { id, .. } | Self::Stock { id, .. } => Some(*id),
            Self::Hours { .. } | Self::Quota { .. } => None,
        }
    }

    /// Whether it is the same one, though seen with more lanes.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.partition(0) == other.partition(0)
    }

    fn partition(&self, partition: u32) -> String {
        match self {
            Self::Places { id, .. } | Self::Seats { id, .. } => format!("{id}#{partition}"),
            Self::Hours { service, unit } => format!("{service}/{unit}#{partition}"),
            Self::Stock { id, .. } => format!("{STOCK}{id}#{partition}"),
            // One partition each: what one buyer may is little.
            Self::Quota { of: Quota::Buyer { offer, buyer }, .. } => {
                format!("{offer}#{}", URL_SAFE_NO_PAD.encode(buyer))
            }
            Self::Quota { of: Quota::Coupon { coupon, buyer: Some(buyer) }, .. } => {
                format!("{coupon}#{}", URL_SAFE_NO_PAD.encode(buyer))
            }
            Self::Quota { of: Quota::Coupon { coupon, buyer: None }, .. } => format!("{coupon}@{partition}"),
            Self::Quota { of: Quota::Window { store, starts }, .. } => {
                format!("{store}@{starts}#{partition}")
            }
        }
    }

    /// A lane's key.
    #[must_use]
    pub fn key(&self, lane: u32) -> Key {
        Key::new(self.partition(lane / LANES_PER_PARTITION), format!("{lane:04}"))
    }
}

/// What the partitions of stock begin with.
const STOCK: &str = "stock:";

/// How many lanes a capacity needs.
#[must_use]
pub const fn lanes_for(capacity: u32) -> u32 {
    capacity.div_ceil(LANE_CAPACITY)
}

/// What each of `lanes` lanes begins with: they differ by at most one and sum to the capacity.
pub fn even(capacity: u32, lanes: u32) -> impl Iterator<Item = u32> {
    (0..lanes).map(move |lane| capacity / lanes + u32::from(lane < capacity % lanes))
}

/// The new capacities of lanes that must change so that all together have `wanted` places; `None` if more than that is
/// taken. Growing fills the smallest lanes first, shrinking takes from those with most room.
#[must_use]
pub fn respread(lanes: &[Lane], wanted: u32) -> Option<Vec<(u32, u32)>> {
    let have: u32 = lanes.iter().map(|lane| lane.capacity).sum();
    let mut order: Vec<&Lane> = lanes.iter().collect();
    let mut changes = Vec::new();
    let mut missing = wanted.abs_diff(have);
    if wanted >= have {
        order.sort_by_key(|lane| lane.capacity);
    } else {
        order.sort_by_key(|lane| std::cmp::Reverse(lane.available));
    }
    for lane in order {
        let room = if wanted >= have { LANE_CAPACITY.saturating_sub(lane.capacity) } else { lane.available };
        let step = room.min(missing);
        if step > 0 {
            let to = if wanted >= have { lane.capacity + step } else { lane.capacity - step };
            changes.push((lane.number, to));
            missing -= step;
        }
    }
    (missing == 0).then_some(changes)
}

/// A lane as it was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lane {
    /// Which lane of its pool.
    pub number: u32,
    /// How many places it has in all.
    pub capacity: u32,
    /// Places left.
    pub available: u32,
    /// The ledger.
    pub entries: BTreeMap<HoldKey, Mark>,
    /// Cells that are marked as taken; those of the entries, always.
    pub taken_cells: Cells,
    /// Cells that nobody may have.
    pub blocked: Cells,
    /// Set while people wait for the pool: what is left is theirs. A larger number was set later.
    pub waited: Option<u64>,
    /// Holds that it still has room for, if it settles: then sold ones make room.
    pub slots: Option<u32>,
    /// So many more are taken than may be, by now: the limit was higher. They come back to nobody.
    pub excess: u32,
}

/// Who takes, where people wait for a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Turn {
    /// Anybody: what is waited for is not theirs.
    #[default]
    WalkIn,
    /// Somebody whose turn it is, or who found that it would fit nobody in line.
    Theirs,
}

impl Lane {
    /// Places that its entries took. With what is left they make its capacity, always: see
    /// [`crate::booking::proof`].
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.entries.values().map(|mark| mark.quantity).sum()
    }

    /// Whether they do, and whether the cells that are marked as taken are those of the entries, and the room for entries is what
    /// they leave.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.available + self.taken() == self.capacity
            && self.taken_cells == self.cells(|_, _| true)
            && self.slots.is_none_or(|slots| slots == self.slots_left())
    }

    /// Holds that a lane of stock has room for beside those it has. Marks of what was done need none: sales do not wait for
    /// them, and a lane that gets many of them costs a second write unit for an hour.
    #[must_use]
    pub fn slots_left(&self) -> u32 {
        let holds = self.entries.values().filter(|mark| !mark.is_spent()).count() as u32;
        LANE_SLOTS.saturating_sub(holds)
    }

    /// Whether no hold fits in before others have gone.
    #[must_use]
    pub const fn is_crowded(&self) -> bool {
        matches!(self.slots, Some(0))
    }

    /// The cells of those entries.
    pub fn cells(&self, of: impl Fn(HoldKey, Mark) -> bool) -> Cells {
        let some = self.entries.iter().filter(|(holder, mark)| of(**holder, **mark));
        some.fold(Cells::NONE, |cells, (_, mark)| cells.and(mark.cells))
    }
}

/// What a hold took from one lane: enough to give it back, and to know it again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// The lane's partition.
    pub p: String,
    /// The lane's place in it.
    pub l: String,
    /// The entry as it was written.
    pub m: Mark,
}

impl Claim {
    /// A claim on a lane.
    #[must_use]
    pub fn new(key: Key, mark: Mark) -> Self {
        Self { p: key.pk, l: key.sk, m: mark }
    }

    /// The lane's key.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::new(&self.p, &self.l)
    }

    /// The pool, as far as the claim knows it; nothing for a quota.
    #[must_use]
    pub fn pool(&self) -> Option<Pool> {
        let ((name, _), lanes) = (self.p.split_once('#')?, self.lane()? + 1);
        if let Some((service, unit)) = name.split_once('/') {
            return Some(Pool::Hours { service: service.parse().ok()?, unit: unit.parse().ok()? });
        }
        if let Some(id) = name.strip_prefix(STOCK) {
            return Some(Pool::Stock { id: id.parse().ok()?, lanes });
        }
        let id = name.parse().ok()?;
        let seated = !self.m.cells.is_empty();
        Some(if seated { Pool::Seats { id, lanes } } else { Pool::Places { id, lanes } })
    }

    /// Whether it is on a lane of this pool.
    #[must_use]
    pub fn is_of(&self, pool: &Pool) -> bool {
        self.lane().is_some_and(|lane| pool.key(lane) == self.key())
    }

    /// The lane's number.
    #[must_use]
    pub fn lane(&self) -> Option<u32> {
        self.l.parse().ok()
    }
}

/// When the first of these claims ends; `otherwise` if none of them does.
#[must_use]
pub fn first_end(claims: &[Claim], otherwise: Timestamp) -> Timestamp {
    claims.iter().filter_map(|claim| claim.m.until()).min().unwrap_or(otherwise)
}

/// Take `quantity` from one lane, after the fate of these entries has been found out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// The lane.
    pub lane: u32,
    /// How many places.
    pub quantity: u32,
    /// Which, where it matters.
    pub cells: Cells,
    /// Places that were left in the lane.
    pub available: u32,
    /// Entries that must be judged first because the lane is short without them.
    pub judge: Vec<(HoldKey, Mark)>,
    /// Whether the lane was waited for: who planned it may have it all the same.
    pub waited: bool,
    /// Whether no hold fits into the lane before one of those has gone.
    pub crowded: bool,
    /// So many have to come back before there is anything to take.
    pub excess: u32,
}

impl Part {
    const fn of(lane: &Lane, quantity: u32, judge: Vec<(HoldKey, Mark)>) -> Self {
        let Lane { number, available, waited, .. } = *lane;
        let (waited, crowded, excess) = (waited.is_some(), lane.is_crowded(), lane.excess);
        Self { lane: number, quantity, cells: Cells::NONE, available, judge, waited, crowded, excess }
    }

    /// Whether it can be had when these of its judged entries are dead and those are sold.
    #[must_use]
    pub fn fits(&self, dead: &[(HoldKey, Mark)], sold: &[(HoldKey, Mark)]) -> bool {
        if self.crowded && dead.iter().chain(sold).all(|(_, mark)| mark.is_spent()) {
            return false;
        }
        if self.cells.is_empty() {
            let back: u32 = dead.iter().map(|(_, mark)| mark.quantity).sum();
            return self.available + back >= self.quantity + self.excess;
        }
        sold.iter().all(|(_, mark)| !mark.cells.meets(self.cells))
    }
}

/// Whether an entry's places may come back: its time is over, or its holder lets go of it for this very wish.
fn over(holder: HoldKey, mark: Mark, yields: &[HoldKey], now: Timestamp) -> bool {
    mark.expired(now) || (yields.contains(&holder) && !mark.is_sold())
}

impl Lane {
    /// Cells that nobody can have: blocked, or in an entry that is sold or still held.
    #[must_use]
    pub fn gone(&self, yields: &[HoldKey], now: Timestamp) -> Cells {
        let back = self.cells(|holder, mark| over(holder, mark, yields, now));
        self.blocked.and(self.taken_cells.without(back))
    }

    /// These cells, after the entries that have them and are over have been judged; `None` if one of them is gone.
    #[must_use]
    pub fn part(&self, cells: Cells, yields: &[HoldKey], now: Timestamp) -> Option<Part> {
        if self.gone(yields, now).meets(cells) {
            return None;
        }
        let there = |(_, mark): &(&HoldKey, &Mark)| mark.cells.meets(cells);
        let judge = self.entries.iter().filter(there).map(|(holder, mark)| (*holder, *mark)).collect();
        Some(Part { cells, ..Part::of(self, cells.count(), judge) })
    }
}

/// Where to take `quantity` places from, looking at all lanes: one lane that has them all, else one that would have
/// them if its ended holds gave back, else several. `None` when even that is not enough: sold out.
///
/// `yields` are holds that give back although their time is not over (the caller's own, being replaced).
#[must_use]
pub fn plan(
    lanes: &[Lane],
    holder: HoldKey,
    quantity: u32,
    yields: &[HoldKey],
    now: Timestamp,
) -> Option<Vec<Part>> {
    let count = u32::try_from(lanes.len()).ok().filter(|count| *count > 0)?;
    let start = holder.start(count) as usize;
    let ring =
        || lanes[start..].iter().chain(&lanes[..start]).filter(|lane| !lane.entries.contains_key(&holder));
    if let Some(lane) = ring().find(|lane| lane.available >= quantity && !lane.is_crowded()) {
        return Some(vec![Part::of(lane, quantity, Vec::new())]);
    }
    // In a crowded lane also those that may have been sold meanwhile: they make room, though they give nothing back.
    let ended = |lane: &Lane| -> Vec<(HoldKey, Mark)> {
        let over = |(holder, mark): &(&HoldKey, &Mark)| {
            over(**holder, **mark, yields, now) || (lane.is_crowded() && !mark.is_spent())
        };
        lane.entries.iter().filter(over).map(|(holder, mark)| (*holder, *mark)).collect()
    };
    let reach = |lane: &Lane, judge: &[(HoldKey, Mark)]| {
        let back = judge.iter().filter(|(holder, mark)| over(*holder, *mark, yields, now));
        (lane.available + back.map(|(_, mark)| mark.quantity).sum::<u32>()).saturating_sub(lane.excess)
    };
    let mut parts: Vec<(u32, Part)> = Vec::new();
    for lane in ring() {
        let judge = ended(lane);
        let reach = reach(lane, &judge);
        if reach >= quantity {
            return Some(vec![Part::of(lane, quantity, judge)]);
        }
        parts.push((reach, Part::of(lane, reach, judge)));
    }
    // The fullest lanes first: the fewest parts.
    parts.sort_by_key(|(reach, _)| std::cmp::Reverse(*reach));
    let mut missing = quantity;
    let mut chosen = Vec::new();
    for (reach, mut part) in parts {
        if missing == 0 || reach == 0 {
            break;
        }
        part.quantity = reach.min(missing);
        missing -= part.quantity;
        chosen.push(part);
    }
    (missing == 0).then_some(chosen)
}

/// Some of these claims that are together exactly `quantity`, if there are any; all of them if they are.
#[must_use]
pub fn exactly(claims: &[Claim], quantity: u32) -> Option<Vec<Claim>> {
    if claims.iter().map(|claim| claim.m.quantity).sum::<u32>() == quantity {
        return Some(claims.to_vec());
    }
    let (first, rest) = claims.split_first()?;
    let with = quantity.checked_sub(first.m.quantity).and_then(|missing| exactly(rest, missing));
    let with = with.map(|some| std::iter::once(first.clone()).chain(some).collect());
    with.or_else(|| exactly(rest, quantity))
}

/// How many places there would be if every hold that is over, or yields, gave back.
#[must_use]
pub fn within_reach(lanes: &[Lane], yields: &[HoldKey], now: Timestamp) -> u32 {
    let over = |(holder, mark): &(&HoldKey, &Mark)| over(**holder, **mark, yields, now);
    let reach = |lane: &Lane| {
        let back: u32 = lane.entries.iter().filter(over).map(|(_, mark)| mark.quantity).sum();
        (lane.available + back).saturating_sub(lane.excess)
    };
    lanes.iter().map(reach).sum()
}

/// Whether every entry of an earlier look is in a later one: then no place came back between the two, and what the
/// earlier look found was so at one instant, in all lanes at once. (An entry is the same if it was sold meanwhile.)
#[must_use]
pub fn still_there(earlier: &[Lane], later: &[Lane]) -> bool {
    let kept = |(earlier, later): (&Lane, &Lane)| {
        let there = |(holder, mark): (&HoldKey, &Mark)| {
            later.entries.get(holder).is_some_and(|entry| entry == mark || *entry == mark.sold())
        };
        earlier.capacity == later.capacity && earlier.entries.iter().all(there)
    };
    earlier.len() == later.len() && earlier.iter().zip(later).all(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn key(byte: u8) -> HoldKey {
        HoldKey::new(&[byte; 32], &[0; 32])
    }

    fn lane(number: u32, available: u32, entries: &[(u8, Mark)]) -> Lane {
        let entries: BTreeMap<_, _> = entries.iter().map(|(byte, mark)| (key(*byte), *mark)).collect();
        let taken: u32 = entries.values().map(|mark| mark.quantity).sum();
        Lane { number, capacity: available + taken, available, entries, ..Lane::default() }
    }

    #[test]
    fn lanes_sum_to_the_capacity_and_differ_by_at_most_one() {
        for capacity in [1, 47, 48, 49, 50, 1_600, 50_000, MAX_CAPACITY] {
            let sizes: Vec<_> = even(capacity, lanes_for(capacity)).collect();
            assert_eq!(sizes.iter().sum::<u32>(), capacity);
            assert!(sizes.iter().all(|size| *size <= LANE_CAPACITY && *size + 1 >= sizes[0]));
        }
    }

    #[test]
    fn a_pool_grows_into_its_smallest_lanes_and_shrinks_where_there_is_room() {
        let sold = Mark::new(20, at(0), 0).sold();
        let lanes = [lane(0, 5, &[(1, sold)]), lane(1, 25, &[]), lane(2, 0, &[])];
        assert_eq!(respread(&lanes, 50), Some(vec![]));
        assert_eq!(respread(&lanes, 60), Some(vec![(2, 10)]));
        assert_eq!(respread(&lanes, 110), Some(vec![(2, 48), (0, 37)]));
        assert_eq!(respread(&lanes, 144), Some(vec![(2, 48), (0, 48), (1, 48)]));
        assert_eq!(respread(&lanes, 145), None, "three lanes hold no more");
        assert_eq!(respread(&lanes, 22), Some(vec![(1, 0), (0, 22)]));
        assert_eq!(respread(&lanes, 19), None, "twenty are sold");
    }

    #[test]
    fn a_full_lane_of_single_places_stays_under_a_kilobyte() {
        let pool = Pool::Places { id: PoolId::derive(&["p"]), lanes: lanes_for(MAX_CAPACITY) };
        let Key { pk, sk } = pool.key(pool.lanes() - 1);
        // Sizes as DynamoDB counts them: names and text in bytes, a number as half its digits plus one.
        let digits = Mark::new(1, at(0), 999).number().to_string().len();
        let entry = key(1).to_string().len() + digits.div_ceil(2) + 1;
        let item = "pk".len() + pk.len() + "sk".len() + sk.len() + "a".len() + 2 + "c".len() + 2;
        assert!(item + LANE_CAPACITY as usize * entry <= 1024, "{}", item + LANE_CAPACITY as usize * entry);
    }

    #[test]
    fn a_crowded_lane_of_stock_stays_under_a_kilobyte_and_makes_room_of_what_was_sold() {
        let pool = Pool::Stock { id: PoolId::derive(&["p"]), lanes: 20 };
        let Key { pk, sk } = pool.key(19);
        let digits = Mark::new(1, at(0), 999).number().to_string().len();
        let entry = key(1).to_string().len() + digits.div_ceil(2) + 1;
        let counts = 3 * (1 + 5);
        let item = "pk".len() + pk.len() + "sk".len() + sk.len() + counts;
        assert!(item + LANE_SLOTS as usize * entry <= 1024, "{}", item + LANE_SLOTS as usize * entry);

        let (live, over) = (Mark::new(2, at(99), 0), Mark::new(3, at(5), 0));
        let mut full = lane(0, 7, &[(1, live), (2, over), (3, Mark::spent(at(99), true))]);
        full.slots = Some(0);
        let parts = plan(&[full.clone()], key(9), 7, &[], at(10)).unwrap();
        assert_eq!(parts[0].judge, [(key(1), live), (key(2), over)], "not the mark of what came back");
        assert!(parts[0].fits(&[], &[(key(1), live)]) && !parts[0].fits(&[], &[]));
        assert_eq!(plan(&[full.clone()], key(9), 11, &[], at(10)), None, "what is held gives nothing back");
        let roomy = Lane { number: 1, slots: Some(1), ..lane(1, 7, &[]) };
        assert_eq!(plan(&[full, roomy], HoldKey::FIRST, 7, &[], at(10)).unwrap()[0].lane, 1);
    }

    #[test]
    fn a_limit_is_spread_over_its_lanes_and_a_claim_knows_its_pool() {
        let store = StoreId::derive(&["s"]);
        let window = Pool::Quota { of: Quota::Window { store, starts: 1_800_000_000 }, limit: 100 };
        assert_eq!(window.lanes(), 3);
        assert_eq!((0..3).filter_map(|lane| window.share(lane)).collect::<Vec<_>>(), [34, 33, 33]);
        let claim = |pool: Pool| Claim::new(pool.key(0), Mark::new(1, at(0), 0)).pool();
        assert_eq!(claim(window), None);
        let stock = Pool::Stock { id: PoolId::derive(&["p"]), lanes: 1 };
        assert_eq!(claim(stock), Some(stock));
        let places = Pool::Places { id: PoolId::derive(&["p"]), lanes: 1 };
        assert_eq!(claim(places), Some(places));
    }

    #[test]
    fn a_hold_id_leads_back_to_its_key_and_a_foreign_id_does_not() {
        assert_eq!(HoldKey::of(key(7).id()), Some(key(7)));
        assert_eq!(HoldKey::of(HoldId::derive(&["elsewhere"])), None);
        assert_eq!(key(7).to_string().parse(), Ok(key(7)));
        assert!(key(7).again().belongs_to(&[7; 32]) && key(7).again() != key(7));
    }

    #[test]
    fn a_mark_reads_back_and_knows_its_end() {
        let mark = Mark::new(4, at(60), 987);
        assert_eq!(Mark::from_number(mark.number()), Some(mark));
        assert!(!mark.expired(at(59)) && mark.expired(at(60)));
        assert!(!mark.sold().expired(at(10_000)) && mark.sold().is_sold());
    }

    #[test]
    fn one_lane_with_room_is_preferred_to_anything_else() {
        let lanes = [lane(0, 1, &[(1, Mark::new(5, at(0), 0))]), lane(1, 3, &[])];
        let plan = plan(&lanes, key(9), 2, &[], at(10)).unwrap();
        assert_eq!(
            plan,
            [Part {
                lane: 1,
                quantity: 2,
                cells: Cells::NONE,
                available: 3,
                judge: vec![],
                waited: false,
                crowded: false,
                excess: 0,
            }]
        );
    }

    #[test]
    fn ended_holds_are_judged_when_the_lane_is_short_and_live_or_sold_ones_are_not() {
        let mark = Mark::new(2, at(5), 0);
        let lanes = [lane(0, 0, &[(1, mark), (2, Mark::new(2, at(99), 0)), (3, mark.sold())])];
        assert_eq!(plan(&lanes, key(9), 2, &[], at(10)).unwrap()[0].judge, [(key(1), mark)]);
        assert_eq!(plan(&lanes, key(9), 3, &[], at(10)), None);
        assert_eq!(
            plan(&lanes, key(9), 4, &[key(2)], at(10)).unwrap()[0].judge.len(),
            2,
            "the replaced hold gives back"
        );
    }

    #[test]
    fn a_party_is_split_over_lanes_only_when_no_lane_has_room() {
        let lanes = [lane(0, 1, &[]), lane(1, 2, &[]), lane(2, 1, &[])];
        let parts = plan(&lanes, key(9), 4, &[], at(0)).unwrap();
        assert_eq!(parts.iter().map(|part| part.quantity).sum::<u32>(), 4);
        assert_eq!(parts[0].lane, 1);
        assert_eq!(plan(&lanes, key(9), 5, &[], at(0)), None);
    }

    #[test]
    fn a_holder_looks_near_its_own_start_first_and_everywhere_in_the_end() {
        let pool = Pool::Places { id: PoolId::derive(&["p"]), lanes: 50 };
        for byte in 0..50 {
            let holder = HoldKey::new(&[byte; 32], &[byte.wrapping_mul(37); 32]);
            let (near, lanes) = pool.near(holder, 1);
            assert!(
                near == [pool.key(holder.start(50)).pk] && (lanes == 24 || lanes == 2),
                "{near:?} {lanes}"
            );
            let (all, lanes) = pool.near(holder, 99);
            assert_eq!((all.len(), lanes), (3, 50));
        }
    }

    #[test]
    fn what_two_tries_took_is_enough_if_some_of_it_is_exactly_that() {
        let claim = |lane: u32, quantity: u32| {
            let pool = Pool::Places { id: PoolId::derive(&["p"]), lanes: 3 };
            Claim::new(pool.key(lane), Mark::new(quantity, at(9), 0))
        };
        let three = [claim(0, 2), claim(1, 3), claim(2, 2)];
        assert_eq!(exactly(&three, 7).unwrap().len(), 3);
        assert_eq!(exactly(&three, 3), Some(vec![claim(1, 3)]));
        assert_eq!(exactly(&three, 4), Some(vec![claim(0, 2), claim(2, 2)]));
        assert_eq!(exactly(&three, 6), None);
        assert_eq!(exactly(&[], 1), None);
    }

    #[test]
    fn two_looks_agree_while_no_place_came_back() {
        let (held, over) = (Mark::new(2, at(99), 0), Mark::new(1, at(5), 0));
        let first = [lane(0, 0, &[(1, held)]), lane(1, 0, &[(2, over)])];
        assert!(still_there(&first, &first));
        assert!(still_there(&first, &[lane(0, 0, &[(1, held.sold())]), first[1].clone()]));
        assert!(!still_there(&first, &[lane(0, 2, &[]), first[1].clone()]));
        assert!(
            !still_there(&first, &[lane(0, 0, &[(3, held)]), first[1].clone()]),
            "it came back and went again"
        );
        assert_eq!(within_reach(&first, &[], at(10)), 1);
        assert_eq!(within_reach(&first, &[key(1)], at(10)), 3);
    }
}
