//! How holds are taken, decided and given back: the flow over lanes and registers.
//!
//! | item | table | pk | sk | g1 | g2 |
//! |---|---|---|---|---|---|
//! | lane | pool | pool id `#` partition | lane number | | |
//! | register | booking | hold key | `-` | buyer, by confirmation | event, service or store, by confirmation |
//! | what a buyer may take of an offer | pool | offer id `#` buyer | lane number | | |
//! | movement of stock | booking | pool id | movement id | | pool id, by time |
//! | opened pool | pool | `opened` | pool id | | |
//! | sold out, as some function found | pool | `sold#` first partition | `-` | | |
//! | cancelling of an event | booking | event id | `cancelling` | | |

use super::waitlist;
use super::want::{Look, Want};
use super::{Booking, By, CONFIRM_DAYS, Ending, Line, Quote, Register, Subject, TOMBSTONE_DAYS};
use crate::app::App;
use crate::auth::Agent;
use crate::catalogue;
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Position, Stored, Table};
use crate::error::{Code, Refusal, Result};
use crate::id::{BookingId, EventId, HoldId, OrderId, StoreId};
use crate::identity::{Action, Resource};
use crate::message::Message;
use crate::order::Order;
use crate::payment::Provider;
use crate::pool::store::{
    Back, LaneWrite, Outcome, read, read_near, read_one, release, take_back, tell, told, write,
};
use crate::pool::{Cells, Claim, HoldKey, Lane, Mark, Part, Pool, Turn, exactly, still_there};
use crate::sign::Purpose;
use crate::{retail, vendor};
use futures_util::future::{join_all, try_join_all};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

impl Item for Register {
    const TABLE: Table = Table::Booking;
    fn key(&self) -> Key {
        match HoldKey::of(self.hold()) {
            Some(key) => register_key(key),
            // Not reachable: holds are made from their keys. Such an item would be found by nobody.
            None => Key::new(self.hold(), "-"),
        }
    }
    fn first(&self) -> Option<(String, String)> {
        self.booking().map(|booking| (booking.buyer.to_string(), place(booking)))
    }
    fn second(&self) -> Option<(String, String)> {
        self.booking().map(|booking| (booking.subject.to_string(), place(booking)))
    }
    fn forget(&self) -> Option<Timestamp> {
        match self {
            Self::Ended { at, .. } | Self::Lost { at, .. } => {
                Some(*at + SignedDuration::from_hours(24 * TOMBSTONE_DAYS))
            }
            Self::Confirmed { .. } | Self::Cancelled { .. } => None,
        }
    }
}

fn place(booking: &Booking) -> String {
    format!("{}#{}", sortable(booking.confirmed), booking.id)
}

fn register_key(key: HoldKey) -> Key {
    Key::new(key, "-")
}

/// How far the cancelling of an event's bookings has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelling {
    /// The event.
    pub event: EventId,
    /// Pages done.
    pub page: u32,
    /// Where the next one begins; nothing once all are done.
    pub after: Option<Position>,
}

impl Item for Cancelling {
    const TABLE: Table = Table::Booking;
    fn key(&self) -> Key {
        Key::new(self.event, "cancelling")
    }
}

/// How far the cancelling of this event has come, if it began.
///
/// # Errors
/// As [`Db::get`].
pub async fn cancelling(db: &Db, event: EventId) -> Result<Option<Stored<Cancelling>>> {
    db.get(&Key::new(event, "cancelling")).await
}

/// A hold that is wanted.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// Its key.
    pub holder: HoldKey,
    /// What is wanted of which pool, each pool once.
    pub wants: &'a [(Pool, Want)],
    /// The end of the hold.
    pub until: Timestamp,
    /// Three digits of the request's print.
    pub print: u16,
    /// Own holds that give way to this one.
    pub replaces: &'a [HoldKey],
    /// The pools in which those may hold something.
    pub around: &'a [Pool],
    /// Whether it is their turn, where people wait.
    pub turn: Turn,
}

/// The tag that marks a caller's holds in lanes.
#[must_use]
pub fn tag(app: &App, buyer: &str) -> [u8; 32] {
    app.sealer.tag(Purpose::HoldTag, buyer.as_bytes())
}

/// The key of a caller's hold: the same caller and Idempotency-Key lead to the same one.
#[must_use]
pub fn holder(app: &App, buyer: &str, idempotency_key: &str) -> HoldKey {
    let hash = app.sealer.tag(Purpose::HoldTag, format!("{buyer}\0{idempotency_key}").as_bytes());
    HoldKey::new(&tag(app, buyer), &hash)
}

/// Takes everything wished for, or nothing. One lane write when the basket is of one pool and its lane has room.
///
/// A repeated wish answers with what the first one took.
///
/// # Errors
/// `sold_out`, `limit_reached` (an allowance), `opening`, `hold_gone` (the key's hold has ended), `key_reused` (the key
/// holds something else), `busy` (too many lost races), and the store's own.
pub async fn hold(app: &App, wish: &Wish<'_>, now: Timestamp) -> Result<Vec<Claim>> {
    let (mut claims, mut refused) = (Vec::new(), None);
    // Limits one by one, because they refuse more cheaply than places are given back; then all places at once.
    let limits = wish.wants.iter().take_while(|(pool, _)| matches!(pool, Pool::Quota { .. })).count();
    let (limits, rest) = wish.wants.split_at(limits);
    for (pool, want) in limits {
        match take(app, wish, pool, want, now).await {
            Ok(mut taken) => claims.append(&mut taken),
            Err(refusal) => {
                refused = Some(refusal);
                break;
            }
        }
    }
    if refused.is_none() {
        for taken in join_all(rest.iter().map(|(pool, want)| take(app, wish, pool, want, now))).await {
            match taken {
                Ok(mut taken) => claims.append(&mut taken),
                Err(refusal) => refused = refused.or(Some(refusal)),
            }
        }
    }
    if let Some(refusal) = refused {
        if !claims.is_empty() {
            // Half a basket: the register first, so that nobody can confirm what is being given back.
            give_up(app, wish.holder, &claims, now).await?;
        }
        return Err(refusal);
    }
    for replaced in wish.replaces {
        // Whatever of the replaced hold was not needed for this one goes back, too.
        if end(&app.db, *replaced, Ending::Replaced, now).await?.booking().is_none() {
            clear(app, wish.around, *replaced).await?;
        }
    }
    Ok(claims)
}

/// Takes one use of something limited, before the rest of a wish; nothing if the limit is reached. A repeated wish finds what the
/// first one took.
///
/// # Errors
/// As [`hold`], but for `limit_reached`.
pub async fn take_use(
    app: &App,
    wish: &Wish<'_>,
    limit: &Pool,
    now: Timestamp,
) -> Result<Option<Vec<Claim>>> {
    match take(app, wish, limit, &Want::Places(1), now).await {
        Ok(taken) => Ok(Some(taken)),
        Err(refusal) if refusal.code == Code::LimitReached => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

async fn take(app: &App, wish: &Wish<'_>, pool: &Pool, want: &Want, now: Timestamp) -> Result<Vec<Claim>> {
    let quantity = want.quantity();
    let past_line = wish.turn == Turn::Theirs;
    let look = Look { holder: wish.holder, yields: wish.replaces, now, round: 0, past_line };
    if let Pool::Quota { limit, .. } = pool
        && quantity > *limit
    {
        return Err(want.refusal(pool, &[], &look));
    }
    if wish.replaces.is_empty() && !past_line && app.hints.is_sold_out(pool, wish.holder, quantity, now) {
        return Err(want.refusal(pool, &[], &look));
    }
    let mut width = 1;
    // Where it may be had at once: wherever there seems to be room, or in the lanes of the wanted cells.
    let guess = match want {
        Want::Places(_) => {
            app.hints.choose(pool, wish.holder, quantity).map(|lane| vec![(lane, Cells::NONE)])
        }
        Want::Cells(_) | Want::Seats { .. } => want.exact().cloned(),
    };
    let mut claims = Vec::new();
    for (lane, cells) in guess.iter().flatten() {
        let mark = match cells.is_empty() {
            true => Mark::new(quantity, wish.until, wish.print),
            false => Mark::of(*cells, wish.until, wish.print),
        };
        let change = LaneWrite { take: Some((wish.holder, mark)), turn: wish.turn, ..LaneWrite::default() };
        match write(&app.db, pool, *lane, &change).await? {
            Outcome::Done { available } => {
                app.hints.saw(pool, *lane, available);
                claims.push(Claim::new(pool.key(*lane), mark));
                continue;
            }
            // It may be anywhere, and whoever looks only near their start would take a second time.
            Outcome::Mine(_) => width = pool.partitions(),
            Outcome::Short(seen) => app.hints.saw(pool, *lane, seen.available),
            // A lane of stock that is not there yet: others are.
            Outcome::Missing if pool.settles() => app.hints.saw(pool, *lane, 0),
            Outcome::Missing => return Code::Opening.refuse(),
        }
        break;
    }
    if !claims.is_empty() && claims.len() == guess.map_or(0, |guess| guess.len()) {
        return Ok(claims);
    }
    look_and_take(app, wish, pool, want, width, now).await
}

/// The lanes in which it may be had: those of the wanted cells, or those of `width` partitions near the holder's start.
async fn look_at(app: &App, wish: &Wish<'_>, pool: &Pool, want: &Want, width: u32) -> Result<Vec<Lane>> {
    match (want, want.lanes()) {
        (_, Some(lanes)) => try_join_all(lanes.into_iter().map(|lane| read_one(&app.db, pool, lane))).await,
        (Want::Places(_), None) => read_near(&app.db, pool, wish.holder, width).await,
        (Want::Cells(_) | Want::Seats { .. }, None) => read(&app.db, pool).await,
    }
}

/// The slow path: read lanes, those of `width` partitions first, find what an earlier try took, plan, judge ended holds,
/// take. At most [`ROUNDS`] times, because every round can lose a race.
async fn look_and_take(
    app: &App,
    wish: &Wish<'_>,
    pool: &Pool,
    want: &Want,
    mut width: u32,
    asked: Timestamp,
) -> Result<Vec<Claim>> {
    const ROUNDS: u32 = 10;
    // An entry of ours may belong to a hold that has ended already; ours must not have.
    if let Some(register) = register_of(&app.db, wish.holder).await? {
        return Err(refused_by(&register.value));
    }
    // First where this hold begins to look anyway, then around, then everywhere: whoever looks everywhere finds the same
    // few lanes with room as everybody else. Cells are where they are.
    let (quantity, counted) = (want.quantity(), matches!(want, Want::Places(_)));
    let all = if counted { pool.partitions() } else { 1 };
    let mut before: Option<Vec<Lane>> = None;
    for round in 0..ROUNDS {
        let lanes = look_at(app, wish, pool, want, width).await?;
        // By the time after the look: what ended while it was under way is in nobody's way.
        let now = app.clock.now();
        let past_line = wish.turn == Turn::Theirs;
        let mut look = Look { holder: wish.holder, yields: wish.replaces, now, round, past_line };
        for lane in &lanes {
            app.hints.saw(pool, lane.number, lane.available);
        }
        let mine = own(pool, &lanes, wish.holder);
        if mine.iter().any(|claim| claim.m.expired(now)) {
            return Code::HoldGone.refuse();
        }
        if mine.iter().any(|claim| claim.m.print != wish.print % 1000) {
            return Code::KeyReused.refuse();
        }
        // Two tries of one request may have taken in different lanes: what is exactly enough is the answer, the rest is
        // a stray.
        if let Some(enough) = exactly(&mine, quantity) {
            return Ok(enough);
        }
        let taken: u32 = mine.iter().map(|claim| claim.m.quantity).sum();
        if taken > quantity {
            return Code::KeyReused.refuse();
        }
        if width < all && !mine.is_empty() {
            // The rest of it may be elsewhere.
            width = all;
            continue;
        }
        let mut parts = want.plan(&lanes, &look, &mine, pool);
        // What people wait for is anybody's whom it fits, if it fits none of them.
        if parts.is_none()
            && !past_line
            && lanes.iter().any(|lane| lane.waited.is_some())
            && !waitlist::store::fits_somebody(app, pool, &lanes, now).await?
        {
            look.past_line = true;
            parts = want.plan(&lanes, &look, &mine, pool);
        }
        let Some(parts) = parts else {
            if width < all {
                if width == 1
                    && wish.replaces.is_empty()
                    && wish.turn != Turn::Theirs
                    && let Some(at) = known_sold_out(app, wish.holder, pool, quantity, now).await?
                {
                    app.hints.sold_out(pool, quantity, &lanes, at);
                    return Err(want.refusal(pool, &lanes, &look));
                }
                width = if width == 1 { 4 } else { all };
                continue;
            }
            // A lane that has an entry of ours takes no second one, but its room is room.
            let room = want.has_room(&lanes, &look, taken);
            // Lanes are read one after the other: "sold out" is true if no place came back between two looks. A cell that
            // somebody has needs no second look.
            let believed = lanes.len() == 1
                || want.exact().is_some()
                || before.is_some_and(|before| still_there(&before, &lanes));
            if !room && !believed {
                before = Some(lanes);
                continue;
            }
            if !mine.is_empty() {
                give_up(app, wish.holder, &mine, now).await?;
            }
            if room {
                return Code::Busy.refuse();
            }
            if counted {
                app.hints.sold_out(pool, quantity, &lanes, asked);
            }
            if all > 1 {
                tell(&app.db, pool, quantity, asked).await?;
            }
            return Err(want.refusal(pool, &lanes, &look));
        };
        before = None;
        let (mut have, wanted) = (mine, parts.len());
        let already = have.len();
        let crowded = parts.iter().any(|part| part.crowded);
        for part in parts {
            match take_part(app, wish, pool, &part, now).await? {
                Some(claim) => have.push(claim),
                None => break,
            }
        }
        if have.len() == already + wanted {
            return Ok(have);
        }
        // Every lane is full of others who hold and have not paid: looking on would not change it.
        if crowded && round > 0 {
            break;
        }
    }
    Code::Busy.refuse()
}

/// When another function found out, within the last second, that so many places are not to be had.
async fn known_sold_out(
    app: &App,
    holder: HoldKey,
    pool: &Pool,
    quantity: u32,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    if !app.hints.believes() {
        return Ok(None);
    }
    let good_for = if holder.is_early() { 600 } else { 1000 };
    let fresh = |at: Timestamp| (0..good_for).contains(&now.duration_since(at).as_millis());
    let told = told(&app.db, pool).await?;
    Ok(told.filter(|(least, at)| quantity >= *least && fresh(*at)).map(|(_, at)| at))
}

/// Ends a hold that could not be had whole, and gives back what it had taken. Unless another try of the same request was
/// whole, and has become a booking meanwhile: then everything stays.
///
/// # Errors
/// `hold_decided` if it did; the store's own.
pub async fn give_up(app: &App, holder: HoldKey, claims: &[Claim], now: Timestamp) -> Result<()> {
    if end(&app.db, holder, Ending::Refused, now).await?.booking().is_some() {
        return Code::HoldDecided.refuse();
    }
    give_back(app, holder, claims).await
}

/// Takes one part of a plan; `None` if somebody was faster: the next look at the lanes tells what is still missing.
async fn take_part(
    app: &App,
    wish: &Wish<'_>,
    pool: &Pool,
    part: &Part,
    now: Timestamp,
) -> Result<Option<Claim>> {
    let Judged { dead, sold } = judge(&app.db, pool, part.lane, &part.judge, wish.replaces, now).await?;
    // If entries turned out to be sold, the part may not fit any more; putting the lane right is still worth the write.
    let fits = part.fits(&dead, &sold);
    let mark = match part.cells.is_empty() {
        true => Mark::new(part.quantity, wish.until, wish.print),
        false => Mark::of(part.cells, wish.until, wish.print),
    };
    if !fits && dead.is_empty() && sold.is_empty() {
        return Ok(None);
    }
    let turn = if part.waited { Turn::Theirs } else { wish.turn };
    let change = LaneWrite { take: fits.then_some((wish.holder, mark)), reclaim: &dead, settle: &sold, turn };
    match write(&app.db, pool, part.lane, &change).await? {
        Outcome::Done { available } => {
            app.hints.saw(pool, part.lane, available);
            Ok(fits.then(|| Claim::new(pool.key(part.lane), mark)))
        }
        Outcome::Mine(_) | Outcome::Short(_) | Outcome::Missing => Ok(None),
    }
}

fn own(pool: &Pool, lanes: &[Lane], holder: HoldKey) -> Vec<Claim> {
    let claim = |lane: &Lane| lane.entries.get(&holder).map(|mark| Claim::new(pool.key(lane.number), *mark));
    lanes.iter().filter_map(claim).collect()
}

fn refused_by(register: &Register) -> Refusal {
    match register {
        Register::Ended { .. } | Register::Lost { .. } => Code::HoldGone.into(),
        Register::Confirmed { .. } | Register::Cancelled { .. } => Code::HoldDecided.into(),
    }
}

struct Judged {
    /// Holds that the register has ended: their places may be taken back.
    dead: Vec<(HoldKey, Mark)>,
    /// Holds that became bookings which name this lane.
    sold: Vec<(HoldKey, Mark)>,
}

/// For so long what was sold of stock stays in its lane: whoever repeats the request that held it still finds it there, and
/// whoever takes under the same key later writes another entry, which no booking names.
const SETTLE_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// For so long a mark of what came back, or in, stays in its lane. Nobody works for longer who looked at the register before:
/// a function runs for 15 minutes at most.
pub const MARKS_KEPT: SignedDuration = SignedDuration::from_hours(1);

/// Finds out the fate of entries whose time is over, and of those of a crowded lane. Those nobody has decided are ended here and
/// now, if their time is over; a read comes first, because a refused write costs five times as much.
async fn judge(
    db: &Db,
    pool: &Pool,
    lane: u32,
    entries: &[(HoldKey, Mark)],
    replaced: &[HoldKey],
    now: Timestamp,
) -> Result<Judged> {
    let mut judged = Judged { dead: Vec::new(), sold: Vec::new() };
    if entries.is_empty() {
        return Ok(judged);
    }
    let known = registers_of(db, entries.iter().map(|(holder, _)| *holder)).await?;
    let fates = try_join_all(entries.iter().map(|(holder, mark)| {
        let known = known.get(holder);
        let replaced = replaced.contains(holder);
        let why = if replaced { Ending::Replaced } else { Ending::Expired };
        async move {
            let register = match known {
                Some(register) => Some(register.clone()),
                // Nobody has decided: it is still held, or what the mark is about is still being done.
                None if mark.is_spent() || !(replaced || mark.expired(now)) => None,
                None => Some(end(db, *holder, why, now).await?),
            };
            Ok::<_, Refusal>((*holder, *mark, register))
        }
    }));
    let settles = pool.settles();
    for (holder, mark, register) in fates.await? {
        let Some(register) = register else { continue };
        match register {
            Register::Confirmed { booking } if booking.names(pool, lane, mark) => {
                if !settles || now.duration_since(booking.confirmed) >= SETTLE_AFTER {
                    judged.sold.push((holder, mark));
                }
            }
            // Its units are about to be brought back.
            Register::Cancelled { booking, .. } if settles && booking.names(pool, lane, mark) => {}
            // Also a booking's stray entry in a lane it does not name: a retry that had reached another lane.
            Register::Confirmed { .. }
            | Register::Cancelled { .. }
            | Register::Ended { .. }
            | Register::Lost { .. } => {
                judged.dead.push((holder, mark));
            }
        }
    }
    Ok(judged)
}

/// Ends a hold that nobody has decided yet, and answers with what is decided now.
///
/// # Errors
/// The store's own.
pub async fn end(db: &Db, holder: HoldKey, why: Ending, now: Timestamp) -> Result<Register> {
    let ended = Register::Ended { hold: holder.id(), why, at: now };
    Ok(db.put_new(ended, Vec::new(), now).await?.stored().value)
}

/// Gives back what claims took. The register must have been decided before.
///
/// # Errors
/// The store's own.
pub async fn give_back(app: &App, holder: HoldKey, claims: &[Claim]) -> Result<()> {
    let backs = try_join_all(claims.iter().map(|claim| release(&app.db, holder, claim))).await?;
    for (claim, back) in claims.iter().zip(backs) {
        if let Back::Waited(lane) = back {
            waitlist::store::pass_on(app, claim, lane, holder).await?;
        }
    }
    Ok(())
}

/// Gives back what a cancelled booking took. Repeating it changes nothing.
///
/// # Errors
/// The store's own; `busy` after too many lost races.
pub async fn give_back_booked(app: &App, booking: &Booking, now: Timestamp) -> Result<()> {
    let holder = HoldKey::of(booking.hold).ok_or(Code::NotFound)?;
    let settles = |claim: &Claim| claim.pool().is_some_and(|pool| pool.settles());
    let (units, places): (Vec<Claim>, Vec<Claim>) = booking.claims.iter().cloned().partition(settles);
    give_back(app, holder, &places).await?;
    if units.is_empty() || register_of(&app.db, holder.back()).await?.is_some() {
        return Ok(());
    }
    try_join_all(units.iter().map(|claim| take_back(&app.db, holder, claim, now + MARKS_KEPT))).await?;
    // From here on the marks may go.
    end(&app.db, holder.back(), Ending::Released, now).await.map(drop)
}

/// Gives back whatever an ended hold still has in these pools.
///
/// # Errors
/// The store's own.
pub async fn clear(app: &App, pools: &[Pool], holder: HoldKey) -> Result<()> {
    for pool in pools {
        let lanes = read(&app.db, pool).await?;
        give_back(app, holder, &own(pool, &lanes, holder)).await?;
    }
    Ok(())
}

/// The register of a hold, if it has been decided.
///
/// # Errors
/// The store's own.
pub async fn register_of(db: &Db, holder: HoldKey) -> Result<Option<Stored<Register>>> {
    db.get(&register_key(holder)).await
}

/// The registers of those of these holds that have been decided.
///
/// # Errors
/// The store's own.
pub async fn registers_of(
    db: &Db,
    holders: impl IntoIterator<Item = HoldKey>,
) -> Result<HashMap<HoldKey, Register>> {
    // A hold over several lanes is asked for once: no key may come twice in a batch.
    let holders: BTreeSet<HoldKey> = holders.into_iter().collect();
    let keys: Vec<Key> = holders.into_iter().map(register_key).collect();
    let mut found = HashMap::new();
    for chunk in keys.chunks(100) {
        for register in db.get_many::<Register>(chunk).await? {
            if let Some(holder) = HoldKey::of(register.value.hold()) {
                found.insert(holder, register.value);
            }
        }
    }
    Ok(found)
}

/// A booking's register.
///
/// # Errors
/// `not_found`, also for a hold that never became a booking.
pub async fn booking(db: &Db, id: BookingId) -> Result<(Stored<Register>, Booking)> {
    let holder = HoldKey::of(HoldId::from_uuid(id.uuid())).ok_or(Code::NotFound)?;
    let stored = register_of(db, holder).await?.ok_or(Code::NotFound)?;
    let booking = stored.value.booking().cloned().filter(|booking| booking.id == id).ok_or(Code::NotFound)?;
    Ok((stored, booking))
}

/// Ends a hold because its buyer lets go.
///
/// # Errors
/// `hold_decided` if it has become a booking; the store's own.
pub async fn let_go(app: &App, holder: HoldKey, now: Timestamp) -> Result<()> {
    match end(&app.db, holder, Ending::Released, now).await?.booking() {
        Some(_) => Code::HoldDecided.refuse(),
        None => Ok(()),
    }
}

/// How an order is paid, as far as its booking must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Paid {
    /// With whom; nobody if it costs nothing.
    pub by: Option<Provider>,
    /// Until when the money is waited for, if it was promised.
    pub awaits: Option<Timestamp>,
}

/// Decides an order's hold: the places are sold, or were gone. Repeating it changes nothing.
///
/// Money that comes after the end of its hold gets one fresh hold of the same places; if that fails, the order is told
/// that it lost, and the payment is let go.
///
/// # Errors
/// The store's own, and `busy` after too many lost races: the message comes again.
pub async fn decide(app: &App, order: &Order, paid: Paid, now: Timestamp) -> Result<()> {
    let quote = &order.quote;
    let holder = HoldKey::of(quote.hold)
        .ok_or_else(|| Code::Internal.caused_by("an order's hold has a foreign id"))?;
    if now.duration_since(quote.expires) > SignedDuration::from_hours(24 * CONFIRM_DAYS) {
        end(&app.db, holder, Ending::Expired, now).await?;
    }
    let off = order.is_cancelled() || called_off(app, quote.subject, false).await?;
    let mut decided = match off {
        true => end(&app.db, holder, Ending::Released, now).await?,
        false => confirm(app, holder, &quote.claims, (order, paid), now).await?,
    };
    if let Register::Ended { .. } = decided {
        if !off {
            again(app, holder.again(), (order, paid), now).await?;
        }
        // Another delivery of the same message may be about to take the second hold: before the order is told that it
        // lost, that one is decided, too.
        let second = end(&app.db, holder.again(), Ending::Refused, now).await?;
        if second.booking().is_some() {
            decided = second;
        }
    }
    match decided {
        Register::Cancelled { .. } | Register::Lost { .. } => {}
        // Calling an event off writes the event and then lists its bookings: either that list has this one, or this
        // look sees the event called off. It comes after every delivery, so a crash before it loses nothing.
        Register::Confirmed { booking } => {
            if called_off(app, quote.subject, true).await? {
                let (stored, _) = self::booking(&app.db, booking.id).await?;
                app.db.change(stored, now, |register| register.cancel(By::Event, now)).await?;
            }
        }
        Register::Ended { .. } => {
            let stored = register_of(&app.db, holder).await?.ok_or(Code::NotFound)?;
            app.db.change(stored, now, |register| register.lose(order.id, now)).await?;
        }
    }
    Ok(())
}

async fn confirm(
    app: &App,
    holder: HoldKey,
    claims: &[Claim],
    (order, Paid { by, awaits }): (&Order, Paid),
    now: Timestamp,
) -> Result<Register> {
    let quote = &order.quote;
    let booking = Booking {
        id: BookingId::from_uuid(holder.id().uuid()),
        hold: holder.id(),
        order: order.id,
        paid_by: by,
        awaits,
        buyer: quote.buyer,
        organisation: quote.organisation,
        subject: quote.subject,
        lines: quote.lines.clone(),
        total: quote.total,
        claims: claims.to_vec(),
        confirmed: now,
        moving: None,
        moved_from: None,
    };
    let told = booking.told();
    Ok(app.db.put_new(Register::Confirmed { booking }, vec![told], now).await?.stored().value)
}

/// The last register of an order: what became of its hold, or of the second one that late money tried, or of what the booking was
/// moved to. Nothing as long as it may still be decided either way. It may tell of another order's booking, which was moved to what
/// this order's hold kept.
///
/// # Errors
/// The store's own.
pub async fn fate_of(db: &Db, order: OrderId) -> Result<Option<Stored<Register>>> {
    let holder = HoldKey::of(HoldId::from_uuid(order.uuid())).ok_or(Code::NotFound)?;
    let Some(mut register) = register_of(db, holder).await? else { return Ok(None) };
    if let Register::Ended { .. } = register.value {
        let second = register_of(db, holder.again()).await?;
        match second.filter(|second| second.value.booking().is_some()) {
            Some(second) => register = second,
            None => return Ok(None),
        }
    }
    loop {
        let next = match &register.value {
            Register::Cancelled { booking, by: By::Moved, .. } => booking.moving.and_then(HoldKey::of),
            Register::Cancelled { .. } | Register::Confirmed { .. } => None,
            Register::Ended { .. } | Register::Lost { .. } => None,
        };
        match next {
            Some(next) => register = register_of(db, next).await?.ok_or(Code::NotFound)?,
            None => return Ok(Some(register)),
        }
    }
}

/// Moves a booking to what another hold keeps: that is booked first, then the old places go back. Three writes, each of which
/// says what is to come: the old register that it moves (so that it can move to one place only, and cannot be cancelled
/// meanwhile), the new register, and the old one's end. Whoever finds it half done finishes it: see [`finish_move`].
///
/// # Errors
/// `hold_gone` if the new hold has ended; `wrong_state` if the booking was cancelled or moved elsewhere; the store's own.
pub async fn reschedule(app: &App, old: Stored<Register>, to: &Quote, now: Timestamp) -> Result<Register> {
    let holder =
        HoldKey::of(to.hold).ok_or_else(|| Code::Internal.caused_by("a quote's hold has a foreign id"))?;
    let ended = register_of(&app.db, holder).await?.is_some_and(|known| known.value.booking().is_none());
    if to.expires <= now || ended {
        return Code::HoldGone.refuse();
    }
    let Some(from) = old.value.booking().cloned() else { return Code::NotFound.refuse() };
    let old = match from.moving {
        Some(other) if other != to.hold => finish_move(app, old, now).await?,
        Some(_) | None => old,
    };
    let old = app.db.change(old, now, |register| register.move_to(to.hold)).await?;
    // As it is now that it can only move: its money may have come meanwhile.
    let Some(from) = old.value.booking().cloned() else { return Code::NotFound.refuse() };
    let moved = Booking {
        id: BookingId::from_uuid(to.hold.uuid()),
        hold: to.hold,
        lines: to.lines.clone(),
        claims: to.claims.clone(),
        confirmed: now,
        moving: None,
        moved_from: Some(from.id),
        ..from.clone()
    };
    let told = Message::BookingMoved { from: from.id, to: moved.id, order: from.order };
    let new = app.db.put_new(Register::Confirmed { booking: moved }, vec![told], now).await?.stored();
    finish_move(app, old, now).await?;
    match new.value {
        Register::Confirmed { .. } | Register::Cancelled { .. } => Ok(new.value),
        Register::Ended { .. } | Register::Lost { .. } => Code::HoldGone.refuse(),
    }
}

/// Finishes a move that was begun: if the new hold became a booking, the old one ends and its places go back; if not, it never
/// will, and the old one stays. A booking that does not move is left alone.
///
/// # Errors
/// The store's own.
pub async fn finish_move(app: &App, old: Stored<Register>, now: Timestamp) -> Result<Stored<Register>> {
    let Some(booking) = old.value.booking().cloned() else { return Ok(old) };
    let Some(to) = booking.moving else { return Ok(old) };
    let Some(holder) = HoldKey::of(to) else { return Ok(old) };
    let moved = end(&app.db, holder, Ending::Released, now).await?.booking().is_some();
    let old = app.db.change(old, now, |register| Ok(register.moved(to, moved, now))).await?;
    if moved {
        give_back_booked(app, &booking, now).await?;
    }
    Ok(old)
}

/// Whether what was sold will not take place, as it was seen lately or (`anew`) as it is.
async fn called_off(app: &App, subject: Subject, anew: bool) -> Result<bool> {
    let Subject::Event(id) = subject else { return Ok(false) };
    let state = match anew {
        true => catalogue::store::event(&app.db, id).await?.value.state,
        false => app.programme(id).await?.event.state,
    };
    Ok(matches!(state, catalogue::State::Cancelled { .. }))
}

/// What an order's hold had taken, once more: the same seats and times, as many places.
async fn again_wanted(app: &App, order: &Order) -> Result<Vec<(Pool, Want)>> {
    let quote = &order.quote;
    let Subject::Event(event) = quote.subject else {
        return match quote.subject {
            Subject::Store(store) => goods_again(app, store, &quote.lines).await,
            Subject::Service(_) | Subject::Event(_) => Ok(Want::all_again(&quote.claims)),
        };
    };
    let programme = app.programme(event).await?;
    let (mut lines, mut celled) = (Vec::new(), Vec::<Pool>::new());
    for line in &quote.lines {
        let offer = programme.offers.iter().find(|offer| Some(offer.id) == line.item.offer());
        let offer = offer.ok_or(Code::NotFound)?;
        let pool = app.opened(offer.pool).await?.pool();
        let want = match pool {
            Pool::Places { .. } | Pool::Stock { .. } | Pool::Quota { .. } | Pool::Hours { .. } => {
                Some(Want::Places(line.quantity))
            }
            // The same seats, once for all lines.
            Pool::Seats { .. } if celled.iter().any(|known| known.is(&pool)) => None,
            Pool::Seats { .. } => {
                celled.push(pool);
                Some(Want::again(&pool, &quote.claims))
            }
        };
        lines.push((offer, line.quantity, pool, want));
    }
    super::wanted(lines, &tag(app, &quote.buyer.to_string()))
}

/// The uses of its coupons.
fn coupons_again(app: &App, order: &Order) -> Vec<(Pool, Want)> {
    let tag = tag(app, &order.quote.buyer.to_string());
    let limits = order.quote.extras.discounts.iter().flat_map(|discount| discount.limits(&tag));
    limits.map(|limit| (limit, Want::Places(1))).collect()
}

/// The same products, and room in the same window.
async fn goods_again(app: &App, store: StoreId, lines: &[Line]) -> Result<Vec<(Pool, Want)>> {
    let products = lines.iter().filter_map(|line| line.item.product()).collect();
    let known = retail::store::goods(&app.db, store, &products).await?;
    let mut wants = Vec::new();
    if let Some(slot) = lines.iter().find_map(|line| line.slot) {
        let details = retail::store::store(&app.db, store).await?.value.details;
        wants.extend(details.chosen(store, slot.starts).map(|window| (window, Want::Places(1))));
    }
    for line in lines {
        let (_, shelf) = line.item.product().and_then(|product| known.get(&product)).ok_or(Code::NotFound)?;
        wants.push((shelf.pool(), Want::Places(line.quantity)));
    }
    Ok(wants)
}

/// One fresh hold for money that came late, and its confirmation, if there is something to be had.
async fn again(app: &App, holder: HoldKey, (order, paid): (&Order, Paid), now: Timestamp) -> Result<()> {
    // An earlier delivery of the same message may have got this far.
    if register_of(&app.db, holder).await?.is_some() {
        return Ok(());
    }
    let mut wants = coupons_again(app, order);
    wants.extend(again_wanted(app, order).await?);
    let until = now + SignedDuration::from_mins(10);
    let wish =
        Wish { holder, wants: &wants, until, print: 0, replaces: &[], around: &[], turn: Turn::default() };
    let claims = match hold(app, &wish, now).await {
        Ok(claims) => claims,
        Err(refusal)
            if [
                Code::SoldOut,
                Code::SeatTaken,
                Code::SlotTaken,
                Code::LimitReached,
                Code::HoldGone,
                Code::HoldDecided,
            ]
            .contains(&refusal.code) =>
        {
            return Ok(());
        }
        Err(refusal) => return Err(refusal),
    };
    confirm(app, holder, &claims, (order, paid), now).await?;
    Ok(())
}

/// A caller's own holds in a pool that are neither decided nor over.
///
/// # Errors
/// The store's own.
pub async fn own_holds(app: &App, pool: &Pool, buyer: &str, now: Timestamp) -> Result<Vec<(HoldKey, Claim)>> {
    let tag = tag(app, buyer);
    let lanes = read(&app.db, pool).await?;
    let mut found: Vec<(HoldKey, Claim)> = Vec::new();
    for lane in &lanes {
        let live =
            |(key, mark): &(&HoldKey, &Mark)| key.belongs_to(&tag) && !mark.is_sold() && !mark.expired(now);
        found.extend(
            lane.entries
                .iter()
                .filter(live)
                .map(|(key, mark)| (*key, Claim::new(pool.key(lane.number), *mark))),
        );
    }
    let decided = registers_of(&app.db, found.iter().map(|(key, _)| *key)).await?;
    found.retain(|(key, _)| !decided.contains_key(key));
    Ok(found)
}

/// Tidies one pool: ends holds whose time is over, gives their places back, notes sold ones as sold. Answers with how
/// many places came back, and whether a lane is kept for people who wait.
///
/// # Errors
/// The store's own. Lost races are left to the next sweep.
pub async fn tidy(app: &App, pool: &Pool, now: Timestamp) -> Result<(u32, bool)> {
    let lanes = read(&app.db, pool).await?;
    let kept = lanes.iter().any(|lane| lane.waited.is_some());
    Ok((tidy_lanes(app, pool, &lanes, now).await?, kept))
}

/// As [`tidy`], for lanes that were read a moment ago. Answers with how many places came back.
///
/// # Errors
/// As [`tidy`].
pub async fn tidy_lanes(app: &App, pool: &Pool, lanes: &[Lane], now: Timestamp) -> Result<u32> {
    let mut back = 0;
    for lane in lanes {
        let over: Vec<_> = lane
            .entries
            .iter()
            .filter(|(_, mark)| mark.expired(now))
            .map(|(key, mark)| (*key, *mark))
            .collect();
        if over.is_empty() {
            continue;
        }
        let Judged { dead, sold } = judge(&app.db, pool, lane.number, &over, &[], now).await?;
        // Where people wait, what comes back stays theirs: it is passed on next.
        let change = LaneWrite { reclaim: &dead, settle: &sold, ..LaneWrite::default() };
        if let Outcome::Done { available } = write(&app.db, pool, lane.number, &change).await? {
            app.hints.saw(pool, lane.number, available);
            back += dead.iter().map(|(_, mark)| mark.quantity).sum::<u32>();
        }
    }
    Ok(back)
}

impl App {
    /// Checks that somebody may do `action` with what this sells.
    ///
    /// # Errors
    /// `not_found`; as [`App::authorize`].
    pub async fn manages(&self, agent: &Agent, action: Action, subject: Subject) -> Result<()> {
        let organisation = match subject {
            Subject::Event(id) => self.programme(id).await?.event.organisation,
            Subject::Service(id) => vendor::store::service(&self.db, id).await?.value.organisation,
            Subject::Store(id) => retail::store::store(&self.db, id).await?.value.organisation,
        };
        self.authorize(agent, action, Resource::of(organisation, subject)).await
    }
}
