//! Lanes in the store: the guarded counter, the second of the two shapes of write.
//!
//! A lane item has `c` (its places in all), `a` (places left) and one number per hold under the hold's key, all at the top level: a 12-character
//! attribute is an entry. A lane of cells has one attribute of two digits for each cell that is taken (true) or blocked
//! (false) besides, so that a condition can ask for just the wanted ones: whose they are, the entries say. `w` is there
//! while people wait for the pool (see [`crate::booking::waitlist`]): whoever takes or frees places without having seen it
//! is refused. A lane of stock has `f` (holds that it has room for) besides, and its `c` is what is on hand: it falls with what is sold
//! and rises with what comes in. A quota's lane has `u` (places used) instead of both: its limit is the asker's to say. No index, no stream, no transaction touches a lane: each would double its cost or make concurrent writes
//! fail.

use super::{
    Cells, Claim, HoldKey, LANE_SLOTS, Lane, MAX_CELLS, Mark, Pool, Quota, Turn, even, lanes_for, respread,
};
use crate::app::App;
use crate::booking::Subject;
use crate::db::{Attributes, Db, Key, Table, store_error};
use crate::error::{Code, Refusal, Result};
use crate::id::PoolId;
use crate::vendor;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

/// The partition that lists the opened pools, for the sweep.
const OPENED: &str = "opened";
/// How long a half day is kept after it is over, seconds.
const HOURS_KEPT: i64 = 400 * 86_400;
/// How long what was read of an opened pool is believed, milliseconds.
pub const FRESH_MS: i128 = 2_000;

/// One update of one lane: perhaps take, and put right what was found out about ended holds. All or nothing.
#[derive(Clone, Debug, Default)]
pub struct LaneWrite<'a> {
    /// Take this many places under this key.
    pub take: Option<(HoldKey, Mark)>,
    /// Give back the places of these ended holds.
    pub reclaim: &'a [(HoldKey, Mark)],
    /// Note these as sold; where the pool settles, they leave the lane with their units.
    pub settle: &'a [(HoldKey, Mark)],
    /// Who takes, if people wait for the pool.
    pub turn: Turn,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; so many places are left in the lane.
    Done {
        /// Places left.
        available: u32,
    },
    /// The lane has an entry under this key already.
    Mine(Mark),
    /// Not enough, or the ledger moved on; the lane as it is.
    Short(Lane),
    /// There is no such lane: the pool has not been opened.
    Missing,
}

/// An update under construction: what it sets and removes, and what must be so.
#[derive(Default)]
struct Update {
    set: Vec<String>,
    remove: Vec<String>,
    demand: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Update {
    /// The placeholder of a number, the next of this letter.
    fn number(&mut self, letter: char, number: impl ToString) -> String {
        let name = format!(":{letter}");
        let name = format!("{name}{}", self.values.keys().filter(|known| known.starts_with(&name)).count());
        self.values.insert(name.clone(), AttributeValue::N(number.to_string()));
        name
    }

    /// The placeholder of a hold's entry, the next of this letter.
    fn entry(&mut self, letter: char, holder: HoldKey) -> String {
        let name = format!("#{letter}");
        let name = format!("{name}{}", self.names.keys().filter(|known| known.starts_with(&name)).count());
        self.names.insert(name.clone(), holder.to_string());
        name
    }

    /// The placeholder of a cell.
    fn cell(&mut self, cell: u32) -> String {
        let name = format!("#c{cell}");
        self.names.insert(name.clone(), cell_name(cell));
        name
    }

    /// Sets these cells to taken (true) or blocked (false).
    fn set_cells(&mut self, cells: Cells, taken: bool) {
        let value = format!(":{taken}");
        for cell in cells.iter() {
            let name = self.cell(cell);
            self.values.insert(value.clone(), AttributeValue::Bool(taken));
            self.set.push(format!("{name} = {value}"));
        }
    }

    fn remove_cells(&mut self, cells: Cells) {
        for cell in cells.iter() {
            let name = self.cell(cell);
            self.remove.push(name);
        }
    }

    fn demand_free(&mut self, cells: Cells) {
        for cell in cells.iter() {
            let name = self.cell(cell);
            self.demand.push(format!("attribute_not_exists({name})"));
        }
    }

    async fn write(self, db: &Db, key: &Key) -> Result<Result<Attributes, Option<Attributes>>> {
        let mut expression = String::new();
        for (word, pieces) in [("SET", &self.set), ("REMOVE", &self.remove)] {
            if !pieces.is_empty() {
                expression += &format!("{word} {} ", pieces.join(", "));
            }
        }
        let names = (!self.names.is_empty()).then_some(self.names);
        update(db, key, expression, self.demand.join(" AND "), names, self.values).await
    }
}

fn cell_name(cell: u32) -> String {
    format!("{cell:02}")
}

/// Writes one lane.
///
/// # Errors
/// `unavailable` when the store does not answer. A refused condition is no error.
pub async fn write(db: &Db, pool: &Pool, lane: u32, change: &LaneWrite<'_>) -> Result<Outcome> {
    let key = pool.key(lane);
    let taken = change.take.map_or(0, |(_, mark)| i64::from(mark.quantity));
    let back: i64 = change.reclaim.iter().map(|(_, mark)| i64::from(mark.quantity)).sum();

    let mut update = Update::default();
    let net = update.number('n', taken - back);
    // A lane of places must exist; an allowance begins with its limit.
    match pool {
        Pool::Places { .. } => {
            update.set.push(format!("a = a - {net}"));
            update.demand.push(format!("a >= {net}"));
        }
        // The cells say whether there is room.
        Pool::Seats { .. } => update.set.push(format!("a = a - {net}")),
        Pool::Stock { .. } => {
            update.set.push(format!("a = a - {net}"));
            update.demand.push(format!("a >= {net}"));
            let gone: u32 = change.settle.iter().map(|(_, mark)| mark.quantity).sum();
            if gone > 0 {
                let gone = update.number('g', gone);
                update.set.push(format!("c = c - {gone}"));
            }
            let leave = change.reclaim.iter().chain(change.settle).filter(|(_, mark)| !mark.is_spent());
            let room = update.number('f', i64::from(change.take.is_some()) - leave.count() as i64);
            update.set.push(format!("f = f - {room}"));
            update.demand.push(format!("f >= {room}"));
        }
        Pool::Hours { .. } => {
            let (all, end) =
                (update.number('l', MAX_CELLS), update.number('e', vendor::lane_end(lane) + HOURS_KEPT));
            update.names.insert("#ttl".to_owned(), "ttl".to_owned());
            update.set.push(format!("a = if_not_exists(a, {all}) - {net}, #ttl = {end}"));
        }
        Pool::Quota { of, .. } => {
            let none = update.number('z', 0);
            update.set.push(format!("u = if_not_exists(u, {none}) + {net}"));
            let room = i64::from(pool.share(lane).unwrap_or_default()) - (taken - back);
            if change.take.is_some() {
                let most = update.number('l', room);
                // Who wants more than there can be is refused by an unused lane, too.
                update.demand.push(match room < 0 {
                    true => format!("u <= {most}"),
                    false => format!("(attribute_not_exists(u) OR u <= {most})"),
                });
            }
            if let Quota::Window { starts, .. } = of {
                let end = update.number('e', starts + HOURS_KEPT);
                update.names.insert("#ttl".to_owned(), "ttl".to_owned());
                update.set.push(format!("#ttl = {end}"));
            }
        }
    }
    // What is left is those people's who wait.
    match (change.turn, pool) {
        (Turn::WalkIn, Pool::Places { .. } | Pool::Seats { .. }) if change.take.is_some() => {
            update.demand.push("attribute_not_exists(w)".to_owned());
        }
        (Turn::WalkIn | Turn::Theirs, _) => {}
    }
    let freed = change.reclaim.iter().fold(Cells::NONE, |cells, (_, mark)| cells.and(mark.cells));
    let wanted = change.take.map_or(Cells::NONE, |(_, mark)| mark.cells);
    if let Some((holder, mark)) = change.take {
        let (entry, number) = (update.entry('h', holder), update.number('h', mark.number()));
        update.set.push(format!("{entry} = {number}"));
        update.demand.push(format!("attribute_not_exists({entry})"));
        update.set_cells(wanted, true);
        update.demand_free(wanted.without(freed));
    }
    for (holder, mark) in change.settle {
        let (entry, held) = (update.entry('s', *holder), update.number('s', mark.number()));
        update.demand.push(format!("{entry} = {held}"));
        if pool.settles() {
            update.remove.push(entry);
        } else {
            let sold = update.number('t', mark.sold().number());
            update.set.push(format!("{entry} = {sold}"));
        }
    }
    for (holder, mark) in change.reclaim {
        let (entry, held) = (update.entry('d', *holder), update.number('d', mark.number()));
        update.demand.push(format!("{entry} = {held}"));
        update.remove.push(entry);
    }
    update.remove_cells(freed.without(wanted));
    match update.write(db, &key).await? {
        Ok(item) => Ok(Outcome::Done {
            available: match pool.share(lane) {
                None => number_of(&item, "a")?,
                Some(share) => share.saturating_sub(number_of(&item, "u")?),
            },
        }),
        Err(None) => Ok(pool.unused(lane).map_or(Outcome::Missing, Outcome::Short)),
        Err(Some(item)) => {
            let lane = read_lane(pool, lane, &item)?;
            let mine = change.take.and_then(|(holder, _)| lane.entries.get(&holder).copied());
            Ok(mine.map_or(Outcome::Short(lane), Outcome::Mine))
        }
    }
}

/// What came of giving back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Back {
    /// The places are free, or had been given back before.
    Done,
    /// The entry is still there: people wait for the pool, and the places are to be passed on to them.
    Waited(Lane),
}

/// Gives back what one claim took, if its entry is still there; a second time does nothing. Only to be called once the
/// register has ended the hold or cancelled the booking; what was booked of a pool that settles goes back by [`take_back`].
///
/// # Errors
/// `unavailable` when the store does not answer.
pub async fn release(db: &Db, holder: HoldKey, claim: &Claim) -> Result<Back> {
    let mut update = Update::default();
    let (entry, back) = (update.entry('h', holder), update.number('q', claim.m.quantity));
    let (held, sold) = (update.number('m', claim.m.number()), update.number('s', claim.m.sold().number()));
    update.demand.push(format!("({entry} = {held} OR {entry} = {sold})"));
    let pool = claim.pool();
    match &pool {
        None => update.set.push(format!("u = u - {back}")),
        Some(Pool::Stock { .. }) => {
            let one = update.number('f', 1);
            update.set.push(format!("a = a + {back}, f = f + {one}"));
        }
        Some(_) => update.set.push(format!("a = a + {back}")),
    }
    if let Some(Pool::Places { .. } | Pool::Seats { .. }) = pool {
        update.demand.push("attribute_not_exists(w)".to_owned());
    }
    update.remove.push(entry);
    update.remove_cells(claim.m.cells);
    if let Err(Some(item)) = update.write(db, &claim.key()).await? {
        // Of a quota nobody waits for a lane.
        let Some(pool) = pool else { return Ok(Back::Done) };
        let lane = read_lane(&pool, claim.lane().unwrap_or_default(), &item)?;
        let mark = lane.entries.get(&holder);
        if lane.waited.is_some() && mark.is_some_and(|mark| *mark == claim.m || *mark == claim.m.sold()) {
            return Ok(Back::Waited(lane));
        }
        tracing::debug!(hold = %holder, lane = claim.l, "was given back before");
    }
    Ok(Back::Done)
}

/// Brings the units of a cancelled booking back into a lane of stock, whether they have left it or not, and marks that under
/// [`HoldKey::back`]; a second time does nothing, as long as the mark of the first is there. Only to be called while the
/// register of that key does not say that they are back.
///
/// # Errors
/// `unavailable` when the store does not answer; `internal` if there is no such lane.
pub async fn take_back(db: &Db, holder: HoldKey, claim: &Claim, until: Timestamp) -> Result<()> {
    let Some(pool @ Pool::Stock { .. }) = claim.pool() else {
        return Err(malformed("only what settles is taken back"));
    };
    let lane = claim.lane().unwrap_or_default();
    // As if the units were still there, and if they are not, as ones that have left: an entry with this mark does not come again.
    for there in [true, false] {
        let mut update = Update::default();
        let (back, mark) = (update.entry('b', holder.back()), Mark::spent(until, true));
        let (mark, quantity) = (update.number('m', mark.number()), update.number('q', claim.m.quantity));
        update.set.push(format!("{back} = {mark}, a = a + {quantity}"));
        update.demand.push(format!("attribute_not_exists({back})"));
        if there {
            let (entry, one) = (update.entry('h', holder), update.number('f', 1));
            let held = update.number('h', claim.m.number());
            update.set.push(format!("f = f + {one}"));
            update.demand.push(format!("{entry} = {held}"));
            update.remove.push(entry);
        } else {
            // They come into the lane anew. Another entry under this key is a stray, which goes by itself.
            update.set.push(format!("c = c + {quantity}"));
        }
        match update.write(db, &claim.key()).await? {
            Ok(_) => return Ok(()),
            Err(None) => return Err(malformed("a lane of stock is gone")),
            Err(Some(item)) if read_lane(&pool, lane, &item)?.entries.contains_key(&holder.back()) => {
                tracing::debug!(hold = %holder, lane = claim.l, "was taken back before");
                return Ok(());
            }
            Err(Some(_)) => {}
        }
    }
    Err(malformed("a lane of stock took nothing back"))
}

/// Brings units into a lane of stock, or takes some that are free out of it for good, once: what came of it is marked under
/// `holder`, and told again whenever it is asked for. False if there were not enough.
///
/// # Errors
/// `opening` if there is no such lane; `busy` after too many lost races; `unavailable` when the store does not answer.
pub async fn bring(
    db: &Db,
    pool: &Pool,
    lane: u32,
    holder: HoldKey,
    by: i64,
    until: Timestamp,
) -> Result<bool> {
    let mut done = true;
    for _ in 0..4 {
        let mut update = Update::default();
        let entry = update.entry('h', holder);
        let mark = update.number('m', Mark::spent(until, done).number());
        update.set.push(format!("{entry} = {mark}"));
        update.demand.push(format!("attribute_not_exists({entry})"));
        if done {
            let by_placeholder = update.number('q', by);
            update.set.push(format!("a = a + {by_placeholder}, c = c + {by_placeholder}"));
            let least = update.number('l', (-by).max(0));
            update.demand.push(format!("a >= {least}"));
        }
        match update.write(db, &pool.key(lane)).await? {
            Ok(_) => return Ok(done),
            Err(None) => return Code::Opening.refuse(),
            Err(Some(item)) => {
                let lane = read_lane(pool, lane, &item)?;
                if let Some(mark) = lane.entries.get(&holder) {
                    return Ok(mark.was_done());
                }
                done = i64::from(lane.available) + by >= 0;
            }
        }
    }
    Code::Busy.refuse()
}

/// One conditional update of one item of this table: its new values, or the item that did not meet the condition.
pub(crate) async fn update(
    db: &Db,
    key: &Key,
    expression: String,
    condition: String,
    names: Option<HashMap<String, String>>,
    values: HashMap<String, AttributeValue>,
) -> Result<Result<Attributes, Option<Attributes>>> {
    db.update(Table::Pool, key, expression, condition, names, values).await
}

/// Reads every lane of a pool, strongly consistent, in order. Those of a quota that were never used read as free.
///
/// # Errors
/// `opening` when lanes are missing; `unavailable` when the store does not answer.
pub async fn read(db: &Db, pool: &Pool) -> Result<Vec<Lane>> {
    let mut lanes = read_near(db, pool, HoldKey::FIRST, pool.partitions()).await?;
    lanes.sort_by_key(|lane| lane.number);
    Ok(lanes)
}

/// Reads one lane, strongly consistent.
///
/// # Errors
/// `opening` if it is missing; `unavailable` when the store does not answer.
pub async fn read_one(db: &Db, pool: &Pool, lane: u32) -> Result<Lane> {
    match get(db, pool.key(lane), true).await? {
        Some(item) => read_lane(pool, lane, &item),
        None => pool.unused(lane).map_or_else(|| Code::Opening.refuse(), Ok),
    }
}

/// Reads the lanes of these numbers that there are, strongly consistent.
///
/// # Errors
/// `unavailable` when the store does not answer.
pub async fn read_between(db: &Db, pool: &Pool, lanes: RangeInclusive<u32>) -> Result<Vec<Lane>> {
    let names = pool.names(&lanes);
    let pages = try_join_all(names.into_iter().map(|partition| partition_lanes(db, pool, partition)));
    let mut found: Vec<Lane> = pages.await?.into_iter().flatten().collect();
    found.retain(|lane| lanes.contains(&lane.number));
    Ok(found)
}

/// Reads one item of the table.
async fn get(db: &Db, key: Key, consistent: bool) -> Result<Option<Attributes>> {
    let request = db.client().get_item().table_name(db.table(Table::Pool)).consistent_read(consistent);
    let request = request.key("pk", AttributeValue::S(key.pk)).key("sk", AttributeValue::S(key.sk));
    let output =
        request.set_return_consumed_capacity(db.wants_capacity()).send().await.map_err(store_error)?;
    db.count_read(output.consumed_capacity());
    Ok(output.item)
}

/// Reads the lanes of the `count` partitions where `holder` looks first, strongly consistent.
///
/// # Errors
/// As [`read`].
pub async fn read_near(db: &Db, pool: &Pool, holder: HoldKey, count: u32) -> Result<Vec<Lane>> {
    let (names, wanted) = pool.near(holder, count);
    let pages = try_join_all(names.iter().map(|partition| partition_lanes(db, pool, partition.clone())));
    let mut lanes: Vec<Lane> = pages.await?.into_iter().flatten().collect();
    if let Pool::Quota { .. } = pool {
        let known: HashSet<u32> = lanes.iter().map(|lane| lane.number).collect();
        let missing =
            (0..pool.lanes()).filter(|lane| !known.contains(lane) && names.contains(&pool.key(*lane).pk));
        lanes.extend(missing.filter_map(|lane| pool.unused(lane)));
    }
    // Lanes that were made for a growth that has not been noted yet are nobody's yet.
    lanes.retain(|lane| lane.number < pool.lanes());
    // A shelf is told of more lanes a moment before they are there; what there is can be sold.
    let enough = if pool.settles() { usize::from(wanted > 0) } else { wanted };
    if lanes.len() < enough {
        return Code::Opening.refuse();
    }
    Ok(lanes)
}

async fn partition_lanes(db: &Db, pool: &Pool, partition: String) -> Result<Vec<Lane>> {
    // At most 24 KB: always one page.
    let request = db.client().query().table_name(db.table(Table::Pool)).key_condition_expression("pk = :p");
    let request =
        request.expression_attribute_values(":p", AttributeValue::S(partition)).consistent_read(true);
    let output =
        request.set_return_consumed_capacity(db.wants_capacity()).send().await.map_err(store_error)?;
    db.count_read(output.consumed_capacity());
    let lane = |item: Attributes| {
        let number = item.get("sk").and_then(|sk| sk.as_s().ok()?.parse().ok());
        read_lane(pool, number.ok_or_else(|| malformed("a lane has no number"))?, &item)
    };
    output.items.unwrap_or_default().into_iter().map(lane).collect()
}

fn malformed(what: &str) -> Refusal {
    Code::Internal.caused_by(what.to_owned())
}

fn number_of(item: &Attributes, name: &str) -> Result<u32> {
    let number = item.get(name).and_then(|number| number.as_n().ok()?.parse().ok());
    number.ok_or_else(|| malformed("a lane or its pool lacks a number"))
}

fn read_lane(pool: &Pool, number: u32, item: &Attributes) -> Result<Lane> {
    let mut lane = Lane { number, ..Lane::default() };
    for (name, value) in item {
        // Entries are the attributes with a hold's key for a name, cells those with a number.
        if name.len() == 12
            && let Ok(holder) = name.parse()
        {
            let mark = value.as_n().ok().and_then(|n| Mark::from_number(n.parse().ok()?));
            lane.entries.insert(holder, mark.ok_or_else(|| malformed("a lane has a broken entry"))?);
        } else if name.len() == 2
            && let Ok(cell) = name.parse()
            && cell < MAX_CELLS
        {
            let taken = *value.as_bool().map_err(|_| malformed("a lane has a broken cell"))?;
            let cells = if taken { &mut lane.taken_cells } else { &mut lane.blocked };
            *cells = cells.with(cell);
        }
    }
    lane.waited = item.get("w").map(|_| number_of(item, "w")).transpose()?.map(u64::from);
    (lane.capacity, lane.available) = match (pool, pool.share(number)) {
        // The limit may be lower by now than what was taken under another one.
        (_, Some(share)) => {
            let used = number_of(item, "u")?;
            lane.excess = used.saturating_sub(share);
            (share.max(used), share.saturating_sub(used))
        }
        // A half day is made by its first use, and does not say.
        (Pool::Hours { .. }, None) => {
            let available = number_of(item, "a")?;
            (available + lane.taken(), available)
        }
        (_, None) => (number_of(item, "c")?, number_of(item, "a")?),
    };
    if pool.settles() {
        lane.slots = Some(number_of(item, "f")?);
    }
    Ok(lane)
}

/// A pool as it was opened, and resized since.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Which.
    pub id: PoolId,
    /// What it is of.
    pub subject: Subject,
    /// How many places in all.
    pub capacity: u32,
    /// How many lanes; never fewer than before.
    pub lanes: u32,
    /// What is in its lanes.
    pub kind: Kind,
    /// Whether people wait for it.
    pub waited: Waited,
}

/// What is in the lanes of an opened pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Places, one as good as another.
    Places,
    /// Seats: cells.
    Seats,
    /// Units of a product.
    Stock,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Places, Self::Seats, Self::Stock];

    const fn word(self) -> &'static str {
        match self {
            Self::Places => "places",
            Self::Seats => "seats",
            Self::Stock => "stock",
        }
    }
}

/// Whether people wait for a pool, and how many times they have begun to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waited {
    /// Nobody does, any more.
    Not(u64),
    /// Somebody does.
    Is(u64),
}

impl Waited {
    fn read(item: &Attributes) -> Self {
        let number: i64 = item.get("w").and_then(|number| number.as_n().ok()?.parse().ok()).unwrap_or(0);
        if number > 0 { Self::Is(number.unsigned_abs()) } else { Self::Not(number.unsigned_abs()) }
    }

    fn number(self) -> i64 {
        match self {
            Self::Not(times) => -i64::try_from(times).unwrap_or(i64::MAX),
            Self::Is(times) => i64::try_from(times).unwrap_or(i64::MAX),
        }
    }
}

impl Opened {
    /// As the engine sees it.
    #[must_use]
    pub const fn pool(&self) -> Pool {
        let Self { id, lanes, .. } = *self;
        match self.kind {
            Kind::Places => Pool::Places { id, lanes },
            Kind::Seats => Pool::Seats { id, lanes },
            Kind::Stock => Pool::Stock { id, lanes },
        }
    }

    fn read(item: &Attributes) -> Result<Self> {
        let text = |name: &str| item.get(name).and_then(|text| text.as_s().ok());
        let (id, subject) =
            (text("sk").and_then(|id| id.parse().ok()), text("e").and_then(|id| id.parse().ok()));
        let kind = text("k").and_then(|word| Kind::ALL.into_iter().find(|kind| kind.word() == word));
        let (Some(id), Some(subject), Some(kind)) = (id, subject, kind) else {
            return Err(malformed("an opened pool is not readable"));
        };
        let (capacity, lanes) = (number_of(item, "c")?, number_of(item, "n")?);
        Ok(Self { id, subject, capacity, lanes, kind, waited: Waited::read(item) })
    }
}

/// What some function has found out for all: that so many places were not to be had, and when. Eventually consistent.
/// A large pool that is sold out is asked for by hundreds of functions; without this, each would read it whole every
/// second (simulated at 20,000 requests a second on 50,000 places: 891 read units a paid booking, 86 with it).
///
/// # Errors
/// `unavailable` when the store does not answer.
pub async fn told(db: &Db, pool: &Pool) -> Result<Option<(u32, Timestamp)>> {
    let Some(item) = get(db, told_key(pool), false).await? else { return Ok(None) };
    let at = item.get("t").and_then(|at| Timestamp::from_millisecond(at.as_n().ok()?.parse().ok()?).ok());
    Ok(Some((number_of(&item, "q")?, at.ok_or_else(|| malformed("a verdict has no time"))?)))
}

/// Tells all functions that so many places were not to be had at `at`; an older verdict does not replace a newer one.
///
/// # Errors
/// `unavailable` when the store does not answer.
pub async fn tell(db: &Db, pool: &Pool, least: u32, at: Timestamp) -> Result<()> {
    let number = |number: i64| AttributeValue::N(number.to_string());
    let values = HashMap::from([
        (":q".to_owned(), number(least.into())),
        (":t".to_owned(), number(at.as_millisecond())),
        (":e".to_owned(), number(at.as_second() + 3_600)),
    ]);
    let names = HashMap::from([("#e".to_owned(), "ttl".to_owned())]);
    let set = "SET q = :q, t = :t, #e = :e".to_owned();
    let newer = "(attribute_not_exists(t) OR t < :t)".to_owned();
    if update(db, &told_key(pool), set, newer, Some(names), values).await?.is_err() {
        tracing::debug!("somebody has told of it already");
    }
    Ok(())
}

fn told_key(pool: &Pool) -> Key {
    Key::new(format!("sold#{}", pool.partition(0)), "-")
}

/// Makes a pool's lanes, each full, and notes the pool for the sweep until `until`. What exists is left as it is.
///
/// # Errors
/// `unavailable` when the store does not answer; what is missing is made by the next call.
pub async fn open(db: &Db, id: PoolId, subject: Subject, capacity: u32, until: Timestamp) -> Result<()> {
    let lanes = lanes_for(capacity);
    let opened = Opened { id, subject, capacity, lanes, kind: Kind::Places, waited: Waited::Not(0) };
    make_lanes(db, &opened.pool(), (0..).zip(even(capacity, lanes)).map(|lane| (lane, Cells::NONE))).await?;
    note_opened(db, opened, Some(until)).await
}

/// Makes the lanes of seats, each with its cells and those of them that are blocked, as [`open`] does.
///
/// # Errors
/// As [`open`].
pub async fn open_seats(
    db: &Db,
    id: PoolId,
    subject: Subject,
    opening: &[(Cells, Cells)],
    until: Timestamp,
) -> Result<()> {
    let lane = |(number, (all, blocked)): (u32, &(Cells, Cells))| {
        ((number, all.without(*blocked).count()), *blocked)
    };
    let lanes: Vec<_> = (0..).zip(opening).map(lane).collect();
    let capacity = lanes.iter().map(|((_, capacity), _)| capacity).sum();
    let (count, waited) = (lanes.len() as u32, Waited::Not(0));
    let opened = Opened { id, subject, capacity, lanes: count, kind: Kind::Seats, waited };
    make_lanes(db, &opened.pool(), lanes.into_iter()).await?;
    note_opened(db, opened, Some(until)).await
}

/// Makes the lanes of stock, empty, or as many more as it lacks, and notes the pool for good.
///
/// # Errors
/// As [`open`]; `busy` if somebody else noted another number of lanes meanwhile.
pub async fn open_stock(db: &Db, id: PoolId, subject: Subject, lanes: u32) -> Result<()> {
    let opened = Opened { id, subject, capacity: 0, lanes, kind: Kind::Stock, waited: Waited::Not(0) };
    make_lanes(db, &opened.pool(), (0..lanes).map(|lane| ((lane, 0), Cells::NONE))).await?;
    note_opened(db, opened, None).await?;
    let known = opened_pool(db, id).await?;
    if known.lanes < lanes && !note(db, &known, &Opened { lanes, ..known }).await? {
        return Code::Busy.refuse();
    }
    Ok(())
}

async fn note_opened(db: &Db, opened: Opened, until: Option<Timestamp>) -> Result<()> {
    let number = |number: i64| AttributeValue::N(number.to_string());
    let mut rest = HashMap::from([
        ("c".to_owned(), number(opened.capacity.into())),
        ("n".to_owned(), number(opened.lanes.into())),
        ("e".to_owned(), AttributeValue::S(opened.subject.to_string())),
        ("k".to_owned(), AttributeValue::S(opened.kind.word().to_owned())),
        ("w".to_owned(), number(0)),
    ]);
    if let Some(until) = until {
        rest.insert("ttl".to_owned(), number(until.as_second()));
    }
    put_new(db, Key::new(OPENED, opened.id), rest).await
}

async fn make_lanes(db: &Db, pool: &Pool, lanes: impl Iterator<Item = ((u32, u32), Cells)>) -> Result<()> {
    let lanes: Vec<_> = lanes.collect();
    for chunk in lanes.chunks(25) {
        try_join_all(chunk.iter().map(|((lane, capacity), blocked)| {
            let places = AttributeValue::N(capacity.to_string());
            let cells = blocked.iter().map(|cell| (cell_name(cell), AttributeValue::Bool(false)));
            let counts = [("a".to_owned(), places.clone()), ("c".to_owned(), places)];
            let room = pool.settles().then(|| ("f".to_owned(), AttributeValue::N(LANE_SLOTS.to_string())));
            put_new(db, pool.key(*lane), cells.chain(counts).chain(room).collect())
        }))
        .await?;
    }
    Ok(())
}

/// Blocks a cell that is free, or opens one that is blocked. False if it is neither.
///
/// # Errors
/// `unavailable` when the store does not answer.
pub async fn block(db: &Db, pool: &Pool, lane: u32, cell: u32, blocked: bool) -> Result<bool> {
    let mut update = Update::default();
    let (name, one) = (update.cell(cell), update.number('n', 1));
    let sign = if blocked { '-' } else { '+' };
    update.set.push(format!("a = a {sign} {one}"));
    update.set.push(format!("c = c {sign} {one}"));
    if blocked {
        update.set_cells(Cells::NONE.with(cell), false);
        update.demand.push(format!("attribute_not_exists({name})"));
    } else {
        update.remove.push(name.clone());
        update.values.insert(":false".to_owned(), AttributeValue::Bool(false));
        update.demand.push(format!("{name} = :false"));
    }
    Ok(update.write(db, &pool.key(lane)).await?.is_ok())
}

/// Reads what is kept of an opened pool, strongly consistent.
///
/// # Errors
/// `opening` if it has not been opened; `unavailable` when the store does not answer.
pub async fn opened_pool(db: &Db, id: PoolId) -> Result<Opened> {
    get(db, Key::new(OPENED, id), true).await?.as_ref().map_or_else(|| Code::Opening.refuse(), Opened::read)
}

/// Gives a pool another size while it sells. Lanes that are missing are made first, empty; then what is wanted is noted,
/// and the lanes follow, each with one guarded update. Of two who want another size at once, the one who noted it last
/// has their way. Whoever recounts the pool after a crash finds the note and goes on.
///
/// # Errors
/// `below_taken` if more places are held or sold; `busy` if somebody noted another size meanwhile, or after too many
/// lost races; `opening`; the store's own.
pub async fn resize(db: &Db, id: PoolId, wanted: u32) -> Result<Opened> {
    let mut noted = false;
    for _ in 0..24 {
        let known = opened_pool(db, id).await?;
        match known.kind {
            Kind::Places => {}
            Kind::Seats => return Err(Code::WrongState.because("seats are blocked and opened one by one")),
            Kind::Stock => return Err(Code::WrongState.because("stock changes by what comes in and goes")),
        }
        // Superseded: what this call has changed meanwhile must not stay as it is. It helps the newer wish.
        let superseded = noted && known.capacity != wanted;
        let target = if superseded { known.capacity } else { wanted };
        let lanes = known.lanes.max(lanes_for(target));
        let next = Opened { capacity: target, lanes, ..known };
        make_lanes(db, &next.pool(), (known.lanes..lanes).map(|lane| ((lane, 0), Cells::NONE))).await?;
        let seen = read(db, &next.pool()).await?;
        let Some(steps) = respread(&seen, target) else {
            // What could not be done is not to be tried again by whoever recounts.
            let capacity = seen.iter().map(|lane| lane.capacity).sum();
            if capacity == known.capacity || note(db, &known, &Opened { capacity, ..known }).await? {
                let taken: u32 = seen.iter().map(Lane::taken).sum();
                return Err(Refusal::from(Code::BelowTaken).with("taken", taken));
            }
            continue;
        };
        if known != next && !note(db, &known, &next).await? {
            continue;
        }
        noted = true;
        if let (true, Waited::Is(times)) = (known.lanes < next.lanes, opened_pool(db, id).await?.waited) {
            // What the pool grows by is theirs who wait. Whoever begins to wait from here on finds the new lanes noted.
            flag(db, &next, times).await?;
        }
        if steps.is_empty() {
            return if superseded { Code::Busy.refuse() } else { Ok(next) };
        }
        let pool = next.pool();
        let resized = steps.iter().map(|(lane, to)| resize_lane(db, &pool, &seen[*lane as usize], *to));
        try_join_all(resized).await?;
    }
    Code::Busy.refuse()
}

/// Notes a pool's new size, if it has the lanes it had: a lane that somebody else made must not be forgotten.
async fn note(db: &Db, known: &Opened, next: &Opened) -> Result<bool> {
    let number = |number: u32| AttributeValue::N(number.to_string());
    let values = HashMap::from([
        (":n".to_owned(), number(known.lanes)),
        (":m".to_owned(), number(next.lanes)),
        (":c".to_owned(), number(next.capacity)),
    ]);
    let (key, set) = (Key::new(OPENED, known.id), "SET c = :c, n = :m".to_owned());
    Ok(update(db, &key, set, "n = :n".to_owned(), None, values).await?.is_ok())
}

/// Keeps what is left of a pool for those who wait: first noted with the pool, then in every lane. Repeating it mends what
/// was left half done.
///
/// # Errors
/// `opening`; `busy` after too many lost races; the store's own.
pub async fn keep(db: &Db, id: PoolId) -> Result<()> {
    for _ in 0..12 {
        let known = opened_pool(db, id).await?;
        let times = match known.waited {
            Waited::Is(times) => times,
            Waited::Not(times) if turn(db, &known, Waited::Is(times + 1)).await? => times + 1,
            Waited::Not(_) => continue,
        };
        // Lanes that were noted before are known now; those that are noted later are flagged by who notes them.
        return flag(db, &opened_pool(db, id).await?, times).await;
    }
    Code::Busy.refuse()
}

/// Notes that a pool is not to be kept any more: whoever begins to wait from here on keeps it anew. `known` must have been
/// read before nobody was found waiting; false if it is not as it was.
///
/// # Errors
/// The store's own.
pub async fn keep_no_more(db: &Db, known: &Opened, times: u64) -> Result<bool> {
    turn(db, known, Waited::Not(times)).await
}

/// Leaves lanes to everybody that are kept for a line of so many times ago, or an earlier one. Only once
/// [`keep_no_more`] has been noted, and nobody who came before the note was found after it.
///
/// # Errors
/// The store's own.
pub async fn unflag(db: &Db, known: &Opened, times: u64) -> Result<()> {
    let pool = known.pool();
    let lanes = read(db, &opened_pool(db, known.id).await?.pool()).await?;
    let flagged = lanes.iter().filter(|lane| lane.waited.is_some_and(|waited| waited <= times));
    try_join_all(flagged.map(|lane| async {
        let mut update = Update::default();
        let waited = update.number('w', lane.waited.unwrap_or_default());
        update.remove.push("w".to_owned());
        update.demand.push(format!("w = {waited}"));
        update.write(db, &pool.key(lane.number)).await
    }))
    .await?;
    Ok(())
}

async fn turn(db: &Db, known: &Opened, next: Waited) -> Result<bool> {
    let mut update = Update::default();
    let (was, is) = (update.number('o', known.waited.number()), update.number('w', next.number()));
    update.set.push(format!("w = {is}"));
    update.demand.push(format!("w = {was}"));
    Ok(update.write(db, &Key::new(OPENED, known.id)).await?.is_ok())
}

async fn flag(db: &Db, known: &Opened, times: u64) -> Result<()> {
    let pool = known.pool();
    let lanes = read(db, &pool).await?;
    let missing: Vec<&Lane> =
        lanes.iter().filter(|lane| lane.waited.is_none_or(|waited| waited < times)).collect();
    for chunk in missing.chunks(25) {
        try_join_all(chunk.iter().map(|lane| async {
            let mut update = Update::default();
            let waited = update.number('w', times);
            update.set.push(format!("w = {waited}"));
            update.demand.push(format!("(attribute_not_exists(w) OR w < {waited})"));
            update.write(db, &pool.key(lane.number)).await
        }))
        .await?;
    }
    Ok(())
}

async fn resize_lane(db: &Db, pool: &Pool, lane: &Lane, to: u32) -> Result<()> {
    let by = i64::from(to) - i64::from(lane.capacity);
    let number = |number: i64| AttributeValue::N(number.to_string());
    let values = HashMap::from([
        (":c".to_owned(), number(lane.capacity.into())),
        (":t".to_owned(), number(to.into())),
        (":b".to_owned(), number(by)),
        (":l".to_owned(), number((-by).max(0))),
    ]);
    let set = "SET a = a + :b, c = :t".to_owned();
    let resized =
        update(db, &pool.key(lane.number), set, "c = :c AND a >= :l".to_owned(), None, values).await?;
    if resized.is_err() {
        tracing::debug!(lane = lane.number, "was not resized: somebody was faster");
    }
    Ok(())
}

/// Sets what is left in a lane to what its entries leave of it, and its cells to theirs, if it still has `lane.available`.
/// Every change of the ledger but an even swap changes that number, and after an even swap the sum is the same. A cell
/// that is marked without an entry is out of everybody's reach meanwhile.
///
/// # Errors
/// `unavailable` when the store does not answer.
pub async fn recount(db: &Db, pool: &Pool, lane: &Lane) -> Result<bool> {
    let Some(left) = lane.capacity.checked_sub(lane.taken()) else { return Ok(false) };
    let mut update = Update::default();
    let (read, right) = (update.number('a', lane.available), update.number('l', left));
    update.set.push(format!("a = {right}"));
    update.demand.push(format!("a = {read}"));
    let cells = lane.cells(|_, _| true);
    let unmarked = cells.without(lane.taken_cells);
    update.set_cells(unmarked, true);
    update.demand_free(unmarked);
    update.remove_cells(lane.taken_cells.without(cells));
    if lane.slots.is_some() {
        let room = update.number('f', lane.slots_left());
        update.set.push(format!("f = {room}"));
    }
    Ok(update.write(db, &pool.key(lane.number)).await?.is_ok())
}

async fn put_new(db: &Db, key: Key, mut item: Attributes) -> Result<()> {
    let request = db
        .client()
        .put_item()
        .table_name(db.table(Table::Pool))
        .condition_expression("attribute_not_exists(pk)");
    item.extend([("pk".to_owned(), AttributeValue::S(key.pk)), ("sk".to_owned(), AttributeValue::S(key.sk))]);
    match request.set_item(Some(item)).set_return_consumed_capacity(db.wants_capacity()).send().await {
        Ok(output) => db.count_write(output.consumed_capacity()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
        {
            db.count_failed_write();
        }
        Err(error) => return Err(store_error(error)),
    }
    Ok(())
}

/// The pools that have been opened.
///
/// # Errors
/// `unavailable` when the store does not answer.
pub async fn opened(db: &Db) -> Result<Vec<Opened>> {
    let (mut pools, mut after) = (Vec::new(), None);
    loop {
        let request =
            db.client().query().table_name(db.table(Table::Pool)).key_condition_expression("pk = :p");
        let request = request.expression_attribute_values(":p", AttributeValue::S(OPENED.to_owned()));
        let output = request.set_exclusive_start_key(after).send().await.map_err(store_error)?;
        for item in output.items.unwrap_or_default() {
            pools.push(Opened::read(&item)?);
        }
        match output.last_evaluated_key {
            None => return Ok(pools),
            next => after = next,
        }
    }
}

impl App {
    /// The lanes of a pool, at most a second old: one read a second for each pool and process.
    ///
    /// # Errors
    /// As [`read`].
    pub async fn lanes(&self, pool: &Pool) -> Result<Arc<Vec<Lane>>> {
        let now = self.clock.now();
        let fresh = |at: Timestamp| now.duration_since(at).as_millis().abs() < 1000;
        let known = self.hints.with(pool, |hint| hint.seen.clone().filter(|(_, at)| fresh(*at)));
        if let Some((lanes, _)) = known {
            return Ok(lanes);
        }
        let lanes = Arc::new(read(&self.db, pool).await?);
        self.hints.with(pool, |hint| hint.seen = Some((lanes.clone(), now)));
        Ok(lanes)
    }

    /// An opened pool, at most [`FRESH_MS`] old. Who sees fewer lanes than there are by now sells from those.
    ///
    /// # Errors
    /// As [`opened_pool`].
    pub async fn opened(&self, id: PoolId) -> Result<Opened> {
        let now = self.clock.now();
        let fresh = |at: Timestamp| now.duration_since(at).as_millis().abs() < FRESH_MS;
        let known =
            self.hints.all(|seen| seen.opened.get(&id).filter(|(_, at)| fresh(*at)).map(|(known, _)| *known));
        if let Some(known) = known {
            return Ok(known);
        }
        let known = opened_pool(&self.db, id).await?;
        self.hints.all(|seen| seen.opened.insert(id, (known, now)));
        Ok(known)
    }
}

/// What this process last saw of lanes: where there is room, and which pools were sold out a moment ago. Guesses only:
/// they choose where to try, the conditions decide. A verdict of "sold out" is believed for one second.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    seen: Arc<Mutex<Seen>>,
    /// Believes nothing that others have found out.
    doubts: bool,
}

#[derive(Debug, Default)]
struct Seen {
    pools: HashMap<String, Hint>,
    opened: HashMap<PoolId, (Opened, Timestamp)>,
}

#[derive(Debug, Default)]
struct Hint {
    lanes: Vec<Option<u32>>,
    sold_out: Option<SoldOut>,
    seen: Option<(Arc<Vec<Lane>>, Timestamp)>,
}

/// So many places were not to be had, a moment ago.
#[derive(Debug)]
struct SoldOut {
    least: u32,
    at: Timestamp,
    /// Who held something then: their repeated requests are not refused, but find what they have.
    holders: HashSet<HoldKey>,
}

impl Hints {
    /// Hints that believe no other function's verdict: for proofs, in which nothing may be a second old.
    #[must_use]
    pub fn doubting() -> Self {
        Self { doubts: true, ..Self::default() }
    }

    /// Whether another function's verdict is worth asking for.
    #[must_use]
    pub const fn believes(&self) -> bool {
        !self.doubts
    }

    fn all<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // A process sees few pools; one that sees many forgets them all rather than grow.
        if seen.pools.len() + seen.opened.len() > 10_000 {
            *seen = Seen::default();
        }
        look(&mut seen)
    }

    fn with<T>(&self, pool: &Pool, look: impl FnOnce(&mut Hint) -> T) -> T {
        self.all(|seen| {
            let hint = seen.pools.entry(pool.partition(0)).or_default();
            // Never fewer: a caller may have seen the pool before it grew.
            let lanes = hint.lanes.len().max(pool.lanes() as usize);
            hint.lanes.resize(lanes, None);
            look(hint)
        })
    }

    /// The first lane, from the holder's own start, that may have room; lanes never seen count as full of room.
    #[must_use]
    pub fn choose(&self, pool: &Pool, holder: HoldKey, quantity: u32) -> Option<u32> {
        let (lanes, start) = (pool.lanes(), holder.start(pool.lanes()));
        self.with(pool, |hint| {
            (0..lanes).map(|step| (start + step) % lanes).find(|lane| {
                hint.lanes[*lane as usize].or_else(|| pool.share(*lane)).is_none_or(|left| left >= quantity)
            })
        })
    }

    /// Notes what a lane has left.
    pub fn saw(&self, pool: &Pool, lane: u32, available: u32) {
        self.with(pool, |hint| {
            if let Some(known) = hint.lanes.get_mut(lane as usize) {
                *known = Some(available);
            }
        });
    }

    /// Notes that `quantity` places were not to be had in these lanes.
    pub fn sold_out(&self, pool: &Pool, quantity: u32, lanes: &[Lane], now: Timestamp) {
        let held = lanes.iter().flat_map(|lane| &lane.entries).filter(|(_, mark)| !mark.is_sold());
        let holders = held.map(|(holder, _)| *holder).collect();
        self.with(pool, |hint| hint.sold_out = Some(SoldOut { least: quantity, at: now, holders }));
    }

    /// Whether so many were not to be had within the last second, and this holder had none.
    #[must_use]
    pub fn is_sold_out(&self, pool: &Pool, holder: HoldKey, quantity: u32, now: Timestamp) -> bool {
        self.with(pool, |hint| {
            hint.sold_out.as_ref().is_some_and(|verdict| {
                quantity >= verdict.least
                    && now.duration_since(verdict.at).as_millis().abs() < 1000
                    && !verdict.holders.contains(&holder)
            })
        })
    }
}
