//! Who has joined, and how far a line has come.
//!
//! | item | table | pk | sk |
//! |---|---|---|---|
//! | line: the pointer and its history | booking | event id | `line#` number |
//! | ledger: who has which position, by lot | pool | `room#` event id `#` line `#` first 6 bits of the lots | next 8 bits |
//! | arrivals: a quarter of a second | pool | `room#` event id `#` line `#a` first 6 bits of the lots | quarters since the draw |
//!
//! A join is an entry in the ledger item that its lot falls into: the lot for a name, and for a value 0 (the lot is the
//! position) or 1 + the milliseconds since the draw. The condition is that the name is not there yet, so a repeated join
//! changes nothing, counts nothing, and is answered with what the first one was given. Because lots are uniform, 16,384
//! items in 64 partitions share the rush before the draw evenly: 20,000 joins a second are 313 writes a second for a
//! partition and one or two for an item, and a million people fit into items of one write unit each. Who arrives after
//! the draw is written a second time, by time, so that the next in line are found without reading everybody.
//!
//! Two buyers of one lot (one pair in 2³²) share a place; the second is not counted. Who stops between the two writes is
//! counted when they try again.

use super::{Fate, LOTS, Line, Phase, Reach, Room, Scene, Supply};
use crate::app::App;
use crate::auth::Buyer;
use crate::booking::store::tidy_lanes;
use crate::catalogue::SaleStatus;
use crate::catalogue::store::Programme;
use crate::db::{Attributes, Db, Item, Key, Put, Replace, Stored, Table, store_error};
use crate::error::{Code, Result};
use crate::id::EventId;
use crate::pool::store::{read, update};
use crate::pool::{Lane, Pool};
use crate::sign::{Purpose, Sealer};
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How long a line is believed, milliseconds: within it, a poll costs no store operation.
pub const FRESH_MS: i128 = 1_000;
/// Partitions of the ledger, and of the arrivals.
const PARTITIONS: u64 = 64;
/// One item of arrivals is so many milliseconds of one partition.
const QUARTER: u64 = 250;
/// Items of arrivals that one look reads from each partition.
const LOOK: i32 = 40;
/// Arrivals younger than this are not looked at yet: some of them may still be on their way to the store.
const SETTLING_MS: u64 = 2_000;
/// Lanes in which one move looks up the fate of ended holds.
const TIDY: usize = 24;
/// A line and its joins are kept for so long after the sale.
const KEEP: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Item for Line {
    const TABLE: Table = Table::Booking;
    fn key(&self) -> Key {
        Key::new(self.event, format!("line#{:04}", self.line))
    }
    fn forget(&self) -> Option<Timestamp> {
        Some(self.closes + KEEP)
    }
}

/// What this process lately read of lines.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Known>>);

/// By event and number: when it was read, and what was read.
type Known = HashMap<(EventId, u32), (Timestamp, Line)>;

impl Lines {
    fn recent(&self, of: (EventId, u32), now: Timestamp) -> Option<Line> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |at: Timestamp| now.duration_since(at).as_millis().abs() < FRESH_MS;
        known.get(&of).filter(|(at, _)| fresh(*at)).map(|(_, line)| line.clone())
    }

    fn saw(&self, line: &Line, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > 1_000 {
            known.clear();
        }
        known.insert((line.event, line.line), (now, line.clone()));
    }
}

/// How far a line has come, at most [`FRESH_MS`] old or, while somebody moves it, a little more. Whoever finds it due
/// moves it: the first to claim it looks at the pools, all others go by what is there.
///
/// # Errors
/// The store's own.
pub async fn line(
    app: &App,
    programme: &Programme,
    room: &Room,
    length: SignedDuration,
    now: Timestamp,
) -> Result<Line> {
    let blank = Line::new(programme.event.id, room, programme.closes()?);
    // Before the draw there is nothing to read.
    if room.rules.phase(now) != Phase::Running {
        return Ok(blank);
    }
    if let Some(line) = app.lines.recent((blank.event, blank.line), now) {
        return Ok(line);
    }
    let line = match claim(app, programme, &blank, now).await? {
        Ok(mine) => advance(app, programme, room, mine, length, now).await?,
        Err(theirs) => theirs,
    };
    app.lines.saw(&line, now);
    Ok(line)
}

/// The line as one's own to move, or as it is.
async fn claim(
    app: &App,
    programme: &Programme,
    blank: &Line,
    now: Timestamp,
) -> Result<std::result::Result<Stored<Line>, Line>> {
    let over = programme.is_over(now)?;
    let known = match app.db.get::<Line>(&blank.key()).await? {
        None if over => return Ok(Err(blank.clone())),
        None => match app.db.put_new(blank.claimed(now), Vec::new(), now).await? {
            Put::Done(mine) => return Ok(Ok(mine)),
            Put::Existed(theirs) => theirs,
        },
        Some(known) => known,
    };
    if over || !known.value.is_due(now) {
        return Ok(Err(known.value));
    }
    let claimed = known.value.claimed(now);
    match app.db.replace(&known, claimed, Vec::new(), now).await? {
        Replace::Done(mine) => Ok(Ok(mine)),
        Replace::Changed(Some(theirs)) => Ok(Err(theirs.value)),
        Replace::Changed(None) => Code::NotFound.refuse(),
    }
}

/// Moves a line that is one's own to move, as far as its pace and the pools allow.
async fn advance(
    app: &App,
    programme: &Programme,
    room: &Room,
    mine: Stored<Line>,
    length: SignedDuration,
    now: Timestamp,
) -> Result<Line> {
    let pools = match pools(app, programme, now).await {
        // The event was published a moment ago: its lanes are being made.
        Err(refusal) if refusal.code == Code::Opening => return Ok(mine.value),
        pools => pools?,
    };
    let line = &mine.value;
    let seen = look(app, &pools).await?;
    let mut scene = Scene::of(&seen.concat(), length, now);
    let paced = line.paced(&room.rules, now);
    if scene.ended > 0 && line.fits(&scene, now) < paced {
        // Places of ended holds are nobody's and not free either, until somebody looks their holds up.
        for (pool, lanes) in pools.iter().zip(&seen) {
            free(app, pool, lanes, now).await?;
        }
        scene = Scene::of(&look(app, &pools).await?.concat(), length, now);
    }
    let want = paced.min(line.fits(&scene, now));
    let reach = match want {
        0 => Reach { pointer: line.pointer, people: 0 },
        _ => ahead(&app.db, room, line, want, now).await?,
    };
    let supply = if pools.is_empty() { Supply::Some } else { scene.supply() };
    let (pointer, claimed) = (line.pointer, line.claimed);
    let moved = app.db.change(mine, now, |line| {
        // When this took so long that somebody else was let try, theirs counts.
        let ours = (line.pointer, line.claimed) == (pointer, claimed);
        Ok(ours.then(|| (line.admit(&room.rules, reach, supply, now), Vec::new())))
    });
    Ok(moved.await?.value)
}

/// The pools from which something can be bought now, each once.
async fn pools(app: &App, programme: &Programme, now: Timestamp) -> Result<Vec<Pool>> {
    let mut pools: Vec<Pool> = Vec::new();
    for offer in &programme.offers {
        if offer.sale_status(&programme.event, now)? == SaleStatus::Open {
            let pool = app.opened(offer.pool).await?.pool();
            if !pools.contains(&pool) {
                pools.push(pool);
            }
        }
    }
    Ok(pools)
}

async fn look(app: &App, pools: &[Pool]) -> Result<Vec<Vec<Lane>>> {
    try_join_all(pools.iter().map(|pool| read(&app.db, pool))).await
}

/// Gives back what ended holds have in some of these lanes.
async fn free(app: &App, pool: &Pool, lanes: &[Lane], now: Timestamp) -> Result<()> {
    let ended = |lane: &&Lane| lane.entries.values().any(|mark| mark.expired(now));
    let some = lanes.iter().filter(ended).take(TIDY);
    try_join_all(some.map(|lane| tidy_lanes(app, pool, std::slice::from_ref(lane), now))).await?;
    Ok(())
}

/// Takes a place in a line, or finds the one that was taken before. One write before the draw, two after it.
///
/// # Errors
/// `busy` if the same buyer joins anew twice at once; the store's own.
pub async fn join(
    app: &App,
    programme: &Programme,
    room: &Room,
    buyer: Buyer,
    length: SignedDuration,
    now: Timestamp,
) -> Result<u64> {
    let event = programme.event.id;
    let lot = lot(&app.sealer, event, room.line, buyer);
    let ledger = Ledger { event, line: room.line, forget: programme.closes()? + KEEP };
    let mut position = room.rules.position(lot, now);
    if let Some(known) = ledger.enter(&app.db, ledger.by_lot(lot), lot, position, None).await? {
        match self::line(app, programme, room, length, now).await?.fate(known, now) {
            Fate::Waiting | Fate::Admitted { .. } => position = known,
            // Their turn is over: behind the others, if nobody did the same meanwhile.
            Fate::Over => {
                let again = ledger.enter(&app.db, ledger.by_lot(lot), lot, position, Some(known));
                if again.await?.is_some() {
                    return Code::Busy.refuse();
                }
            }
        }
    }
    if position >= LOTS {
        ledger.enter(&app.db, ledger.by_time(lot, position), lot, position, None).await?;
    }
    Ok(position)
}

/// A buyer's lot: the same whenever and however often they join, another one in every line.
fn lot(sealer: &Sealer, event: EventId, line: u32, buyer: Buyer) -> u32 {
    let tag = sealer.tag(Purpose::Lot, format!("{event}\0{line}\0{buyer}").as_bytes());
    u32::from_be_bytes([tag[0], tag[1], tag[2], tag[3]])
}

/// Where the joins of one line are.
struct Ledger {
    event: EventId,
    line: u32,
    forget: Timestamp,
}

fn name(lot: u32) -> String {
    URL_SAFE_NO_PAD.encode(lot.to_be_bytes())
}

impl Ledger {
    fn partition(&self, partition: u64) -> String {
        format!("room#{}#{}#{partition}", self.event, self.line)
    }

    fn arrivals(&self, partition: u64) -> String {
        format!("room#{}#{}#a{partition}", self.event, self.line)
    }

    fn by_lot(&self, lot: u32) -> Key {
        Key::new(self.partition(u64::from(lot >> 26)), format!("{:03}", lot >> 18 & 255))
    }

    fn by_time(&self, lot: u32, position: u64) -> Key {
        Key::new(self.arrivals(u64::from(lot >> 26)), quarter(position))
    }

    /// Enters a position under a lot, if nothing is there (or, with `instead`, if that is there); otherwise the position
    /// that is.
    async fn enter(
        &self,
        db: &Db,
        key: Key,
        lot: u32,
        position: u64,
        instead: Option<u64>,
    ) -> Result<Option<u64>> {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let kept = |position: u64| number((position + 1).saturating_sub(LOTS));
        let names = HashMap::from([("#j".to_owned(), name(lot)), ("#t".to_owned(), "ttl".to_owned())]);
        let forget = AttributeValue::N(self.forget.as_second().to_string());
        let mut values = HashMap::from([(":j".to_owned(), kept(position)), (":t".to_owned(), forget)]);
        let condition = match instead {
            None => "attribute_not_exists(#j)",
            Some(known) => {
                values.insert(":k".to_owned(), kept(known));
                "#j = :k"
            }
        };
        let set = "SET #j = :j, #t = if_not_exists(#t, :t)".to_owned();
        Ok(match update(db, &key, set, condition.to_owned(), Some(names), values).await? {
            Ok(_) => None,
            Err(item) => item
                .and_then(|item| {
                    let known = item.get(&name(lot))?.as_n().ok()?.parse().ok()?;
                    Some(position_of(lot, known))
                })
                .or(Some(position)),
        })
    }
}

fn quarter(position: u64) -> String {
    format!("{:010}", position.saturating_sub(LOTS) / QUARTER)
}

/// The position that an entry stands for.
fn position_of(lot: u32, kept: u64) -> u64 {
    if kept == 0 { u64::from(lot) } else { LOTS + kept - 1 }
}

/// The positions in an item of the ledger or of the arrivals.
fn positions(item: &Attributes) -> impl Iterator<Item = u64> {
    item.iter().filter_map(|(name, value)| {
        let lot: [u8; 4] = URL_SAFE_NO_PAD.decode(name).ok()?.try_into().ok()?;
        Some(position_of(u32::from_be_bytes(lot), value.as_n().ok()?.parse().ok()?))
    })
}

/// How far the pointer must go to pass `want` people, or all there are.
async fn ahead(db: &Db, room: &Room, line: &Line, want: u64, now: Timestamp) -> Result<Reach> {
    let ledger = Ledger { event: line.event, line: line.line, forget: line.closes + KEEP };
    let mut reach = Reach { pointer: line.pointer, people: 0 };
    if reach.pointer < LOTS {
        reach = lots(db, &ledger, reach.pointer, want).await?;
    }
    if reach.pointer >= LOTS && reach.people < want {
        let open = u64::try_from(now.duration_since(room.rules.starts).as_millis()).unwrap_or_default();
        let until = LOTS + open.saturating_sub(SETTLING_MS);
        let more = arrivals(db, &ledger, reach.pointer, until, want - reach.people).await?;
        reach = Reach { pointer: more.pointer, people: reach.people + more.people };
    }
    Ok(reach)
}

/// Passes lots: partitions in their order, first one, then two, four and so on, until enough people are found.
async fn lots(db: &Db, ledger: &Ledger, pointer: u64, want: u64) -> Result<Reach> {
    let (mut next, mut width, mut found) = (pointer >> 26, 1, Vec::new());
    while next < PARTITIONS {
        let end = (next + width).min(PARTITIONS);
        let pages = (next..end).map(|partition| entries(db, ledger.partition(partition), None));
        for item in try_join_all(pages).await?.iter().flat_map(|(items, _)| items) {
            found.extend(positions(item).filter(|position| (pointer..LOTS).contains(position)));
        }
        if found.len() as u64 >= want {
            found.sort_unstable();
            let last = found[want as usize - 1];
            return Ok(Reach { pointer: last + 1, people: want });
        }
        (next, width) = (end, width * 2);
    }
    Ok(Reach { pointer: LOTS, people: found.len() as u64 })
}

/// Passes arrivals before `until`, as far as every partition has been read.
async fn arrivals(db: &Db, ledger: &Ledger, pointer: u64, until: u64, want: u64) -> Result<Reach> {
    if until <= pointer {
        return Ok(Reach { pointer, people: 0 });
    }
    let range = (quarter(pointer), quarter(until));
    let pages = (0..PARTITIONS).map(|partition| entries(db, ledger.arrivals(partition), Some(range.clone())));
    let (mut until, mut found) = (until, Vec::new());
    for (items, last) in try_join_all(pages).await? {
        if let Some(last) = last {
            until = until.min(LOTS + (last + 1) * QUARTER);
        }
        found.extend(items.iter().flat_map(positions));
    }
    found.retain(|position| (pointer..until).contains(position));
    found.sort_unstable();
    let people = want.min(found.len() as u64);
    let last = people.checked_sub(1).map(|last| found[last as usize]);
    // Who came in the same millisecond as the last one is admitted with them.
    let people = found.iter().take_while(|position| Some(**position) <= last).count() as u64;
    Ok(Reach { pointer: last.map_or(pointer, |last| last + 1), people })
}

/// The items of a partition: all, or the first of a range and, if there are more, the number of the last one read.
async fn entries(
    db: &Db,
    partition: String,
    range: Option<(String, String)>,
) -> Result<(Vec<Attributes>, Option<u64>)> {
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let mut condition = "pk = :p".to_owned();
        let mut request = db
            .client()
            .query()
            .table_name(db.table(Table::Pool))
            .expression_attribute_values(":p", AttributeValue::S(partition.clone()))
            .set_exclusive_start_key(after)
            .set_return_consumed_capacity(db.wants_capacity());
        if let Some((from, to)) = &range {
            condition.push_str(" AND sk BETWEEN :a AND :b");
            request = request
                .limit(LOOK)
                .expression_attribute_values(":a", AttributeValue::S(from.clone()))
                .expression_attribute_values(":b", AttributeValue::S(to.clone()));
        }
        let output = request.key_condition_expression(condition).send().await.map_err(store_error)?;
        db.count_read(output.consumed_capacity());
        items.extend(output.items.unwrap_or_default());
        after = output.last_evaluated_key;
        if let (Some(last), true) = (&after, range.is_some()) {
            let number = last.get("sk").and_then(|sk| sk.as_s().ok()?.parse().ok());
            return Ok((items, number));
        }
        if after.is_none() {
            return Ok((items, None));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AccountId, GuestId};

    #[test]
    fn lots_are_drawn_evenly() {
        let secret = base64::engine::general_purpose::STANDARD.encode([7; 32]);
        let sealer = Sealer::new(&[("TOKEN_SECRETS".to_owned(), secret)].into_iter().collect()).unwrap();
        let event = EventId::derive(&["e"]);
        for line in 1..=3 {
            let buyers = (0..1_000).map(|n: u32| match n % 2 {
                0 => Buyer::Account(AccountId::derive(&[&n.to_string()])),
                _ => Buyer::Guest(GuestId::derive(&[&n.to_string()])),
            });
            let mut sixteenths = [0u64; 16];
            for buyer in buyers {
                let drawn = lot(&sealer, event, line, buyer);
                assert_eq!(drawn, lot(&sealer, event, line, buyer));
                sixteenths[(drawn >> 28) as usize] += 1;
            }
            // Chi-square, 15 degrees of freedom: even lots exceed 37.7 once in a thousand draws. In 16ths of 1,000.
            let squares: u64 = sixteenths.iter().map(|count| (count * 16).abs_diff(1_000).pow(2)).sum();
            assert!(squares / (16 * 1_000) < 38, "{sixteenths:?}");
        }
    }

    #[test]
    fn an_entry_reads_back_as_the_position_it_stands_for() {
        for (lot, position) in [(7, 7), (u32::MAX, LOTS - 1), (0, 0), (7, LOTS), (7, LOTS + 99_999)] {
            let kept = (position + 1).saturating_sub(LOTS);
            let item = Attributes::from([
                ("pk".to_owned(), AttributeValue::S("room#".to_owned())),
                ("ttl".to_owned(), AttributeValue::N("1800000000".to_owned())),
                (name(lot), AttributeValue::N(kept.to_string())),
            ]);
            assert_eq!(positions(&item).collect::<Vec<_>>(), [position]);
        }
        assert_eq!(quarter(LOTS + 1_249), "0000000004");
    }
}
