//! Lanes in the store: the guarded counter, the second of the two shapes of write.
//!
//! A lane item has `a` (places left) and one number per hold under the hold's key, all at the top level: a 12-character
//! attribute is an entry. No index, no stream, no transaction touches a lane: each would double its cost or make
//! concurrent writes fail.

use super::{Claim, HoldKey, Lane, Mark, Pool};
use crate::db::{Attributes, Db, Key, Table, store_error};
use crate::error::{Code, Refusal, Result};
use crate::id::PoolId;
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
        Ok(item) => Ok(Outcome::Done { available: read_lane(lane, &item)?.available }),
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

async fn update(
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
    let pages = try_join_all(pool.partitions().into_iter().map(|partition| partition_lanes(db, partition)));
    let mut lanes: Vec<Lane> = pages.await?.into_iter().flatten().collect();
    if let (Pool::Allowance { limit, .. }, true) = (pool, lanes.is_empty()) {
        lanes.push(Lane { number: 0, available: *limit, entries: Default::default() });
    }
    if lanes.len() != pool.lanes() as usize {
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

fn read_lane(number: u32, item: &Attributes) -> Result<Lane> {
    let available = item
        .get("a")
        .and_then(|a| a.as_n().ok()?.parse().ok())
        .ok_or_else(|| malformed("a lane has no count"))?;
    let mut lane = Lane { number, available, entries: Default::default() };
    for (name, value) in item {
        // Entries are the attributes with a hold's key for a name.
        if name.len() == 12
            && let Ok(holder) = name.parse()
        {
            let mark = value.as_n().ok().and_then(|n| Mark::from_number(n.parse().ok()?));
            lane.entries.insert(holder, mark.ok_or_else(|| malformed("a lane has a broken entry"))?);
        }
    }
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

/// Makes a pool's lanes, each full, and notes the pool for the sweep until `until`. Lanes that exist are left as they are.
///
/// # Errors
/// `unavailable` when the store does not answer; what is missing is made by the next call.
pub async fn open(db: &Db, id: PoolId, capacity: u32, until: Timestamp) -> Result<()> {
    let pool = Pool::Places { id, capacity };
    let number = |number: u32| AttributeValue::N(number.to_string());
    for first in (0..pool.lanes()).step_by(25) {
        let chunk = first..(first + 25).min(pool.lanes());
        let lane = |lane: u32| put_new(db, pool.key(lane), [("a", number(pool.lane_capacity(lane)))].into());
        try_join_all(chunk.map(lane)).await?;
    }
    let ttl = AttributeValue::N(until.as_second().to_string());
    put_new(db, Key::new(OPENED, id), [("c", number(capacity)), ("ttl", ttl)].into()).await
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
pub async fn opened(db: &Db) -> Result<Vec<Pool>> {
    let (mut pools, mut after) = (Vec::new(), None);
    loop {
        let request =
            db.client().query().table_name(db.table(Table::Pool)).key_condition_expression("pk = :p");
        let request = request.expression_attribute_values(":p", AttributeValue::S(OPENED.to_owned()));
        let output = request.set_exclusive_start_key(after).send().await.map_err(store_error)?;
        for item in output.items.unwrap_or_default() {
            let id = item.get("sk").and_then(|id| id.as_s().ok()?.parse().ok());
            let capacity = item.get("c").and_then(|c| c.as_n().ok()?.parse().ok());
            let (Some(id), Some(capacity)) = (id, capacity) else {
                return Err(malformed("an opened pool is not readable"));
            };
            pools.push(Pool::Places { id, capacity });
        }
        match output.last_evaluated_key {
            None => return Ok(pools),
            next => after = next,
        }
    }
}

/// What this process last saw of lanes: where there is room, and which pools were sold out a moment ago. Guesses only:
/// they choose where to try, the conditions decide. A verdict of "sold out" is believed for one second.
#[derive(Clone, Debug, Default)]
pub struct Hints(Arc<Mutex<HashMap<String, Hint>>>);

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
    fn with<T>(&self, pool: &Pool, look: impl FnOnce(&mut Hint) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A process sees few pools; one that sees many forgets them all rather than grow.
        if all.len() > 10_000 {
            all.clear();
        }
        let hint = all.entry(pool.partition(0)).or_default();
        hint.lanes.resize(pool.lanes() as usize, None);
        look(hint)
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
