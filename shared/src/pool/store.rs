//! Lanes in the store: the guarded counter, the second of the two shapes of write.
//!
//! A lane item has `c` (its places in all), `a` (places left) and one number per hold under the hold's key, all at the top level: a 12-character
//! attribute is an entry. No index, no stream, no transaction touches a lane: each would double its cost or make
//! concurrent writes fail.

use super::{Claim, HoldKey, Lane, Mark, Pool, even, lanes_for, respread};
use crate::app::App;
use crate::db::{Attributes, Db, Key, Table, store_error};
use crate::error::{Code, Refusal, Result};
use crate::id::{EventId, PoolId};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// The partition that lists the opened pools, for the sweep.
const OPENED: &str = "opened";
/// How long what was read of an opened pool is believed, milliseconds.
pub const FRESH_MS: i128 = 2_000;

/// One update of one lane: perhaps take, and put right what was found out about ended holds. All or nothing.
#[derive(Clone, Debug, Default)]
pub struct LaneWrite<'a> {
    /// Take this many places under this key.
    pub take: Option<(HoldKey, Mark)>,
    /// Give back the places of these ended holds.
    pub reclaim: &'a [(HoldKey, Mark)],
    /// Note these as sold.
    pub settle: &'a [(HoldKey, Mark)],
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

/// Writes one lane.
///
/// # Errors
/// `unavailable` when the store does not answer. A refused condition is no error.
pub async fn write(db: &Db, pool: &Pool, lane: u32, change: &LaneWrite<'_>) -> Result<Outcome> {
    let key = pool.key(lane);
    let taken = change.take.map_or(0, |(_, mark)| i64::from(mark.quantity));
    let back: i64 = change.reclaim.iter().map(|(_, mark)| i64::from(mark.quantity)).sum();
    let net = taken - back;

    let number = |value: u64| AttributeValue::N(value.to_string());
    let mut names = HashMap::new();
    let mut values = HashMap::from([(":n".to_owned(), AttributeValue::N(net.to_string()))]);
    // A lane of places must exist; an allowance begins with its limit.
    let (mut set, mut condition) = match pool {
        Pool::Places { .. } => ("SET a = a - :n".to_owned(), "a >= :n".to_owned()),
        Pool::Allowance { limit, .. } => {
            values.insert(":limit".to_owned(), number(u64::from(*limit)));
            (
                "SET a = if_not_exists(a, :limit) - :n".to_owned(),
                "(attribute_not_exists(a) OR a >= :n)".to_owned(),
            )
        }
    };
    let mut remove = String::new();
    let put = |text: &mut String, piece: std::fmt::Arguments<'_>| {
        text.write_fmt(piece).map_err(|error| Code::Internal.caused_by(error))
    };
    if let Some((holder, mark)) = change.take {
        names.insert("#h".to_owned(), holder.to_string());
        values.insert(":h".to_owned(), number(mark.number()));
        put(&mut set, format_args!(", #h = :h"))?;
        put(&mut condition, format_args!(" AND attribute_not_exists(#h)"))?;
    }
    for (place, (holder, mark)) in change.settle.iter().enumerate() {
        names.insert(format!("#s{place}"), holder.to_string());
        values.insert(format!(":s{place}"), number(mark.number()));
        values.insert(format!(":t{place}"), number(mark.sold().number()));
        put(&mut set, format_args!(", #s{place} = :t{place}"))?;
        put(&mut condition, format_args!(" AND #s{place} = :s{place}"))?;
    }
    for (place, (holder, mark)) in change.reclaim.iter().enumerate() {
        names.insert(format!("#d{place}"), holder.to_string());
        values.insert(format!(":d{place}"), number(mark.number()));
        put(&mut remove, format_args!("{} #d{place}", if place == 0 { " REMOVE" } else { "," }))?;
        put(&mut condition, format_args!(" AND #d{place} = :d{place}"))?;
    }
    let names = (!names.is_empty()).then_some(names);
    match update(db, &key, set + &remove, condition, names, values).await? {
        Ok(item) => Ok(Outcome::Done { available: number_of(&item, "a")? }),
        Err(None) => Ok(Outcome::Missing),
        Err(Some(item)) => {
            let lane = read_lane(lane, &item)?;
            let mine = change.take.and_then(|(holder, _)| lane.entries.get(&holder).copied());
            Ok(mine.map_or(Outcome::Short(lane), Outcome::Mine))
        }
    }
}

/// Gives back what one claim took, if its entry is still there; a second time does nothing. Only to be called once the
/// register has ended the hold or cancelled the booking.
///
/// # Errors
/// `unavailable` when the store does not answer.
pub async fn release(db: &Db, holder: HoldKey, claim: &Claim) -> Result<()> {
    let names = HashMap::from([("#h".to_owned(), holder.to_string())]);
    let values = HashMap::from([
        (":q".to_owned(), AttributeValue::N(claim.m.quantity.to_string())),
        (":m".to_owned(), AttributeValue::N(claim.m.number().to_string())),
        (":s".to_owned(), AttributeValue::N(claim.m.sold().number().to_string())),
    ]);
    let set = "SET a = a + :q REMOVE #h".to_owned();
    match update(db, &claim.key(), set, "#h = :m OR #h = :s".to_owned(), Some(names), values).await? {
        Ok(_) => {}
        Err(_) => tracing::debug!(hold = %holder, lane = claim.l, "was given back before"),
    }
    Ok(())
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
    let request = db
        .client()
        .update_item()
        .table_name(db.table(Table::Pool))
        .key("pk", AttributeValue::S(key.pk.clone()))
        .key("sk", AttributeValue::S(key.sk.clone()))
        .update_expression(expression)
        .condition_expression(condition)
        .set_expression_attribute_names(names)
        .set_expression_attribute_values(Some(values))
        .return_values(ReturnValue::UpdatedNew)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .set_return_consumed_capacity(db.wants_capacity());
    match request.send().await {
        Ok(output) => {
            db.count_write(output.consumed_capacity());
            Ok(Ok(output.attributes.unwrap_or_default()))
        }
        Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
            db.count_failed_write();
            match service.into_err() {
                UpdateItemError::ConditionalCheckFailedException(failed) => {
                    Ok(Err(failed.item.filter(|item| !item.is_empty())))
                }
                other => Err(Code::Internal.caused_by(other)),
            }
        }
        Err(error) => Err(store_error(error)),
    }
}

/// Reads every lane of a pool, strongly consistent, in order. An allowance that was never used reads as one full lane.
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
    let item = get(db, pool.key(lane), true).await?;
    item.map_or_else(|| Code::Opening.refuse(), |item| read_lane(lane, &item))
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
    let pages = try_join_all(names.into_iter().map(|partition| partition_lanes(db, partition)));
    let mut lanes: Vec<Lane> = pages.await?.into_iter().flatten().collect();
    if let (Pool::Allowance { limit, .. }, true) = (pool, lanes.is_empty()) {
        lanes.push(Lane { number: 0, capacity: *limit, available: *limit, entries: Default::default() });
    }
    // Lanes that were made for a growth that has not been noted yet are nobody's yet.
    lanes.retain(|lane| lane.number < pool.lanes());
    if lanes.len() != wanted {
        return Code::Opening.refuse();
    }
    Ok(lanes)
}

async fn partition_lanes(db: &Db, partition: String) -> Result<Vec<Lane>> {
    // At most 24 KB: always one page.
    let request = db.client().query().table_name(db.table(Table::Pool)).key_condition_expression("pk = :p");
    let request =
        request.expression_attribute_values(":p", AttributeValue::S(partition)).consistent_read(true);
    let output =
        request.set_return_consumed_capacity(db.wants_capacity()).send().await.map_err(store_error)?;
    db.count_read(output.consumed_capacity());
    let lane = |item: Attributes| {
        let number = item.get("sk").and_then(|sk| sk.as_s().ok()?.parse().ok());
        read_lane(number.ok_or_else(|| malformed("a lane has no number"))?, &item)
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

fn read_lane(number: u32, item: &Attributes) -> Result<Lane> {
    let mut lane =
        Lane { number, capacity: 0, available: number_of(item, "a")?, entries: Default::default() };
    for (name, value) in item {
        // Entries are the attributes with a hold's key for a name.
        if name.len() == 12
            && let Ok(holder) = name.parse()
        {
            let mark = value.as_n().ok().and_then(|n| Mark::from_number(n.parse().ok()?));
            lane.entries.insert(holder, mark.ok_or_else(|| malformed("a lane has a broken entry"))?);
        }
    }
    // An allowance does not say: it began with what it is now.
    lane.capacity = match item.contains_key("c") {
        true => number_of(item, "c")?,
        false => lane.available + lane.taken(),
    };
    Ok(lane)
}

/// What is left of a pool, all lanes together, at most a second old: one read a second for each pool and process.
///
/// # Errors
/// As [`read`].
pub async fn left(db: &Db, hints: &Hints, pool: &Pool, now: Timestamp) -> Result<u32> {
    let fresh = |at: Timestamp| now.duration_since(at).as_millis().abs() < 1000;
    let known = hints.with(pool, |hint| hint.left.filter(|(_, at)| fresh(*at)));
    if let Some((left, _)) = known {
        return Ok(left);
    }
    let left = read(db, pool).await?.iter().map(|lane| lane.available).sum();
    hints.with(pool, |hint| hint.left = Some((left, now)));
    Ok(left)
}

/// A pool as it was opened, and resized since.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Which.
    pub id: PoolId,
    /// Whose event.
    pub event: EventId,
    /// How many places in all.
    pub capacity: u32,
    /// How many lanes; never fewer than before.
    pub lanes: u32,
}

impl Opened {
    /// As the engine sees it.
    #[must_use]
    pub const fn pool(&self) -> Pool {
        Pool::Places { id: self.id, lanes: self.lanes }
    }

    fn read(item: &Attributes) -> Result<Self> {
        let text = |name: &str| item.get(name).and_then(|text| text.as_s().ok());
        let (id, event) =
            (text("sk").and_then(|id| id.parse().ok()), text("e").and_then(|id| id.parse().ok()));
        let (Some(id), Some(event)) = (id, event) else {
            return Err(malformed("an opened pool is not readable"));
        };
        Ok(Self { id, event, capacity: number_of(item, "c")?, lanes: number_of(item, "n")? })
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
pub async fn open(db: &Db, id: PoolId, event: EventId, capacity: u32, until: Timestamp) -> Result<()> {
    let lanes = lanes_for(capacity);
    make_lanes(db, id, (0..).zip(even(capacity, lanes))).await?;
    let number = |number: i64| AttributeValue::N(number.to_string());
    let rest = [
        ("c", number(capacity.into())),
        ("n", number(lanes.into())),
        ("e", AttributeValue::S(event.to_string())),
        ("ttl", number(until.as_second())),
    ];
    put_new(db, Key::new(OPENED, id), rest.into()).await
}

async fn make_lanes(db: &Db, id: PoolId, lanes: impl Iterator<Item = (u32, u32)>) -> Result<()> {
    let lanes: Vec<_> = lanes.collect();
    let pool = &Pool::Places { id, lanes: 1 };
    for chunk in lanes.chunks(25) {
        try_join_all(chunk.iter().map(|(lane, capacity)| {
            let places = AttributeValue::N(capacity.to_string());
            put_new(db, pool.key(*lane), [("a", places.clone()), ("c", places)].into())
        }))
        .await?;
    }
    Ok(())
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
        // Superseded: what this call has changed meanwhile must not stay as it is. It helps the newer wish.
        let superseded = noted && known.capacity != wanted;
        let target = if superseded { known.capacity } else { wanted };
        let lanes = known.lanes.max(lanes_for(target));
        make_lanes(db, id, (known.lanes..lanes).map(|lane| (lane, 0))).await?;
        let next = Opened { capacity: target, lanes, ..known };
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

/// Sets what is left in a lane to what its entries leave of it, if it still has `lane.available`. Every change of the
/// ledger but an even swap changes that number, and after an even swap the sum is the same.
///
/// # Errors
/// `unavailable` when the store does not answer.
pub async fn recount(db: &Db, pool: &Pool, lane: &Lane) -> Result<bool> {
    let Some(left) = lane.capacity.checked_sub(lane.taken()) else { return Ok(false) };
    let values = HashMap::from([
        (":a".to_owned(), AttributeValue::N(lane.available.to_string())),
        (":l".to_owned(), AttributeValue::N(left.to_string())),
    ]);
    let set = "SET a = :l".to_owned();
    Ok(update(db, &pool.key(lane.number), set, "a = :a".to_owned(), None, values).await?.is_ok())
}

async fn put_new(db: &Db, key: Key, rest: HashMap<&str, AttributeValue>) -> Result<()> {
    let request = db
        .client()
        .put_item()
        .table_name(db.table(Table::Pool))
        .condition_expression("attribute_not_exists(pk)");
    let mut item: Attributes = rest.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
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
    left: Option<(u32, Timestamp)>,
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
            (0..lanes)
                .map(|step| (start + step) % lanes)
                .find(|lane| hint.lanes[*lane as usize].is_none_or(|left| left >= quantity))
        })
    }

    /// Notes what a lane has left.
    pub fn saw(&self, pool: &Pool, lane: u32, available: u32) {
        self.with(pool, |hint| hint.lanes[lane as usize] = Some(available));
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
