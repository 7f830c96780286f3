//! How the line is kept, and how freed places are passed on.
//!
//! | item | table | pk | sk | g1 | g2 |
//! |---|---|---|---|---|---|
//! | waiter | booking | waiter id | `-` | `waits#` buyer, by joining | `waits#` event, by joining |
//! | place in line | booking | `line#` event | joining `#` waiter id | | |
//!
//! The waiter is what counts; the place in line says where to look, and goes when the turn has come. Two who pass places
//! on at once may both take for the same waiter: only what the waiter's item says is theirs, the other passes on what it
//! took. Whoever dies in between leaves an entry under the waiter's own key, which the next try finds and offers.

use super::{Offered, Place, State, Waiter};
use crate::app::App;
use crate::auth::Buyer;
use crate::booking::store::{Wish, end, give_back, hold, register_of, tag};
use crate::booking::want::Want;
use crate::booking::{Ending, Register, Subject};
use crate::catalogue::Offer;
use crate::catalogue::store::Programme;
use crate::clock::{sortable, whole_second};
use crate::db::{Db, Item, Key, Listing, Query, Stored, Table};
use crate::error::{Code, Result};
use crate::id::{EventId, OfferId, PoolId, WaiterId};
use crate::message::Message;
use crate::pool::store::{
    LaneWrite, Opened, Outcome, Waited, keep, keep_no_more, opened_pool, read, read_one, unflag, write,
};
use crate::pool::{Claim, HoldKey, Lane, Mark, Pool, Turn, first_end, within_reach};
use crate::seating::Party;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

/// How long somebody has to accept and order, at most: two hours, and never past the end of the sale.
pub const OFFER_MINUTES: i64 = 120;
/// How far down the line one looks for somebody who fits.
const DEPTH: u16 = 100;

impl Item for Waiter {
    const TABLE: Table = Table::Booking;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn first(&self) -> Option<(String, String)> {
        Some((list_of_buyer(self.buyer), spot(self.joined, self.id)))
    }
    fn second(&self) -> Option<(String, String)> {
        Some((list_of_event(self.event), spot(self.joined, self.id)))
    }
}

/// The list of a buyer's places in lines, by joining.
#[must_use]
pub fn list_of_buyer(buyer: Buyer) -> String {
    format!("waits#{buyer}")
}

/// The list of all who wait for an event, by joining.
#[must_use]
pub fn list_of_event(event: EventId) -> String {
    format!("waits#{event}")
}

impl Item for Place {
    const TABLE: Table = Table::Booking;
    fn key(&self) -> Key {
        Key::new(line(self.event), spot(self.joined, self.waiter))
    }
    fn forget(&self) -> Option<Timestamp> {
        // Long after any sale one would wait for.
        Some(self.joined + SignedDuration::from_hours(24 * 400))
    }
}

fn line(event: EventId) -> String {
    format!("line#{event}")
}

fn spot(joined: Timestamp, waiter: WaiterId) -> String {
    format!("{}#{waiter}", sortable(joined))
}

/// A waiter.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn waiter(db: &Db, id: WaiterId) -> Result<Stored<Waiter>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}

/// Who is in line for an event, the first first, as many as one looks at.
async fn in_line(db: &Db, event: EventId) -> Result<Vec<Stored<Place>>> {
    Ok(db.list(&Query::of(Listing::Primary, line(event)).limit(DEPTH), None).await?.0)
}

/// How many are in line before this waiter, as far as a hundred; `None` beyond.
///
/// # Errors
/// As [`Db::list`].
pub async fn before(db: &Db, waiter: &Waiter) -> Result<Option<usize>> {
    let own = spot(waiter.joined, waiter.id);
    let line = in_line(db, waiter.event).await?;
    let ahead = line.iter().filter(|place| spot(place.value.joined, place.value.waiter) < own).count();
    Ok(Some(ahead).filter(|ahead| *ahead < usize::from(DEPTH)))
}

/// The pools of what somebody would take that can still be sold, with the offer of each.
async fn choices<'a>(
    app: &App,
    programme: &'a Programme,
    offers: &[OfferId],
    quantity: u32,
    now: Timestamp,
) -> Result<Vec<(&'a Offer, Pool)>> {
    let mut choices = Vec::new();
    for id in offers {
        let offer = programme.offers.iter().find(|offer| offer.id == *id);
        // Never after the sale has closed, nor more than one order may have.
        let Some(offer) = offer.filter(|offer| offer.may_sell(&programme.event, quantity, now).is_ok())
        else {
            continue;
        };
        choices.push((offer, app.opened(offer.pool).await?.pool()));
    }
    Ok(choices)
}

/// Whether anybody in line would fit into what these lanes of the pool have, or would have if ended holds gave back.
///
/// # Errors
/// The store's own.
pub async fn fits_somebody(app: &App, pool: &Pool, lanes: &[Lane], now: Timestamp) -> Result<bool> {
    let Some(id) = pool.opened() else { return Ok(false) };
    let reach = within_reach(lanes, &[], now);
    let Subject::Event(event) = app.opened(id).await?.subject else { return Ok(false) };
    let programme = app.programme(event).await?;
    for place in in_line(&app.db, programme.event.id).await? {
        let Place { offers, quantity, .. } = place.value;
        let choices = choices(app, &programme, &offers, quantity, now).await?;
        if quantity <= reach && choices.iter().any(|(_, choice)| choice.is(pool)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts somebody who joined into the line, keeps what is left for those who wait, and serves the line. Repeating it
/// changes nothing.
///
/// # Errors
/// The store's own.
pub async fn join(app: &App, id: WaiterId) -> Result<()> {
    let (waiter, now) = (waiter(&app.db, id).await?.value, app.clock.now());
    if waiter.state != State::Waiting {
        return Ok(());
    }
    app.db.put_new(Place::of(&waiter, &tag(app, &waiter.buyer.to_string())), Vec::new(), now).await?;
    let programme = app.programme(waiter.event).await?;
    for offer in programme.offers.iter().filter(|offer| waiter.offers.contains(&offer.id)) {
        keep(&app.db, offer.pool).await?;
    }
    serve(app, waiter.event).await
}

/// Somebody left, or declined: what was kept for them is passed on.
///
/// # Errors
/// The store's own.
pub async fn left(app: &App, id: WaiterId, turn: u32) -> Result<()> {
    let waiter = waiter(&app.db, id).await?.value;
    if waiter.turn != turn {
        return Ok(());
    }
    let who = tag(app, &waiter.buyer.to_string());
    let holder = waiter.holder(&who);
    take_off(&app.db, &Place::of(&waiter, &who)).await?;
    if let State::Declined { offered, .. } = &waiter.state
        && end(&app.db, holder, Ending::Released, app.clock.now()).await?.booking().is_none()
    {
        give_back(app, holder, &offered.claims).await?;
    }
    settle(app, waiter.event).await
}

async fn take_off(db: &Db, place: &Place) -> Result<()> {
    for _ in 0..3 {
        let stored: Option<Stored<Place>> = db.get(&place.key()).await?;
        let Some(stored) = stored else { return Ok(()) };
        match db.delete(&stored).await {
            Err(refusal) if refusal.code == Code::Busy => {}
            done => return done,
        }
    }
    Code::Busy.refuse()
}

/// Passes on the places of an entry that is dead, in a lane that is waited for: to the first in line whom they fit, in the
/// write that frees them; if there is none, they stay kept for whoever they fit later.
///
/// # Errors
/// `busy` after too many lost races; the store's own.
pub fn pass_on<'a>(app: &'a App, claim: &'a Claim, lane: Lane, holder: HoldKey) -> BoxFuture<'a, Result<()>> {
    // Boxed: passing on may take for somebody else, and give back, and pass on.
    Box::pin(passing_on(app, claim, lane, holder))
}

async fn passing_on(app: &App, claim: &Claim, mut lane: Lane, holder: HoldKey) -> Result<()> {
    let opened = claim.pool().and_then(|pool| Some((pool, pool.opened()?)));
    let (pool, id) =
        opened.ok_or_else(|| Code::Internal.caused_by("a claim on a pool that was never opened"))?;
    let (mut dead, mut done) = (holder, false);
    let Subject::Event(event) = app.opened(id).await?.subject else {
        return Err(Code::Internal.caused_by("only an event's pools are waited for"));
    };
    for _ in 0..24 {
        let now = app.clock.now();
        let Some(mark) = lane.entries.get(&dead).copied() else {
            done = true;
            break;
        };
        let entry = [(dead, mark)];
        let room = lane.available + mark.quantity;
        let next = match lane.waited {
            Some(_) if mark.cells.is_empty() => next(app, event, &pool, room, now).await?,
            // Seats that fit a party need not be in one lane: they are freed, kept, and given out from there.
            Some(_) | None => None,
        };
        let take = next.as_ref().map(|next| (next.holder, next.mark()));
        let change = LaneWrite { take, reclaim: &entry, turn: Turn::Theirs, ..LaneWrite::default() };
        match (write(&app.db, &pool, lane.number, &change).await?, next) {
            (Outcome::Done { .. }, None) => done = true,
            (Outcome::Done { .. }, Some(next)) => {
                let taken = next.mark();
                done =
                    offer(app, &next, vec![Claim::new(pool.key(lane.number), taken)], now).await?.is_empty();
                // It was no longer their turn: what was just taken for them is passed on, too.
                dead = next.holder;
            }
            // An earlier try has taken for them here, and did not come to offering it.
            (Outcome::Mine(mark), Some(next)) => {
                if !offer(app, &next, vec![Claim::new(pool.key(lane.number), mark)], now).await?.is_empty() {
                    dead = next.holder;
                }
            }
            (Outcome::Mine(_) | Outcome::Short(_) | Outcome::Missing, _) => {}
        }
        if done {
            break;
        }
        lane = read_one(&app.db, &pool, lane.number).await?;
    }
    if !done {
        return Code::Busy.refuse();
    }
    serve(app, event).await
}

/// Whose turn it is, and what they get.
struct Next {
    place: Place,
    offer: OfferId,
    holder: HoldKey,
    until: Timestamp,
}

impl Next {
    /// The entry of a lane that has all they get.
    fn mark(&self) -> Mark {
        Mark::new(self.place.quantity, self.until, 0)
    }
}

/// The first in line whom so many places of this pool fit.
async fn next(app: &App, event: EventId, pool: &Pool, room: u32, now: Timestamp) -> Result<Option<Next>> {
    let programme = app.programme(event).await?;
    for place in in_line(&app.db, event).await? {
        let place = place.value;
        if place.quantity > room {
            continue;
        }
        let choices = choices(app, &programme, &place.offers, place.quantity, now).await?;
        // Who has a limit to keep takes from two pools: that is for `serve`.
        let here = |(offer, choice): &&(&Offer, Pool)| choice.is(pool) && offer.terms.per_buyer.is_none();
        let Some((offer, _)) = choices.iter().find(here) else { continue };
        let Some(holder) = HoldKey::of(place.hold) else { continue };
        if waits_on(app, &place).await?.is_none() {
            continue;
        }
        return Ok(Some(Next { offer: offer.id, holder, until: until(&programme, offer, now)?, place }));
    }
    Ok(None)
}

/// The waiter, if it is still their turn to wait; a place of an earlier turn goes.
async fn waits_on(app: &App, place: &Place) -> Result<Option<Waiter>> {
    let known = waiter(&app.db, place.waiter).await?.value;
    if known.state == State::Waiting && known.turn == place.turn {
        return Ok(Some(known));
    }
    take_off(&app.db, place).await?;
    Ok(None)
}

fn until(programme: &Programme, offer: &Offer, now: Timestamp) -> Result<Timestamp> {
    let closes = offer.closes(&programme.event)?;
    Ok(whole_second(closes.min(now + SignedDuration::from_mins(OFFER_MINUTES))))
}

/// Offers what was taken to whose turn it is, and takes them off the line. The answer is what of it is not theirs: two who
/// serve the line at once may take for the same waiter, and what both found must not be given back.
async fn offer(app: &App, next: &Next, claims: Vec<Claim>, now: Timestamp) -> Result<Vec<Claim>> {
    let known = waiter(&app.db, next.place.waiter).await?;
    let until = first_end(&claims, next.until);
    let offered = Offered { offer: next.offer, claims: claims.clone(), at: now, until };
    let turn = next.place.turn;
    let changed = app.db.change(known, now, |waiter| waiter.offer(turn, offered.clone())).await;
    match changed {
        Ok(_) => {
            take_off(&app.db, &next.place).await?;
            Ok(Vec::new())
        }
        Err(refusal) if refusal.code == Code::WrongState => {
            let known = waiter(&app.db, next.place.waiter).await?.value;
            let theirs = known.has(turn).to_vec();
            Ok(claims.into_iter().filter(|claim| !theirs.contains(claim)).collect())
        }
        Err(refusal) => Err(refusal),
    }
}

/// Gives what is kept for the line to those whom it fits, in their order. Repeating it changes nothing.
///
/// # Errors
/// The store's own; `busy` after too many lost races.
pub async fn serve(app: &App, event: EventId) -> Result<()> {
    let programme = app.programme(event).await?;
    let mut pools: Vec<(PoolId, Vec<Lane>)> = Vec::new();
    for place in in_line(&app.db, event).await? {
        let (place, now) = (place.value, app.clock.now());
        let Some(own) = HoldKey::of(place.hold) else { continue };
        for (choice, pool) in choices(app, &programme, &place.offers, place.quantity, now).await? {
            if !pools.iter().any(|(known, _)| *known == choice.pool) {
                pools.push((choice.pool, read(&app.db, &pool).await?));
            }
            let lanes =
                pools.iter().find(|(known, _)| *known == choice.pool).map(|(_, lanes)| lanes.as_slice());
            let has = lanes.is_some_and(|lanes| lanes.iter().any(|lane| lane.entries.contains_key(&own)));
            if !has && within_reach(lanes.unwrap_or_default(), &[], now) < place.quantity {
                continue;
            }
            let Some(known) = waits_on(app, &place).await? else { break };
            let who = tag(app, &known.buyer.to_string());
            let until = until(&programme, choice, now)?;
            let next = Next { offer: choice.id, holder: own, until, place: place.clone() };
            let want = match &choice.seats {
                None => Want::Places(place.quantity),
                Some(seats) => Want::Seats {
                    seating: app.seating(event, choice.pool).await?,
                    picked: Vec::new(),
                    parties: vec![Party {
                        quantity: place.quantity,
                        wheelchairs: 0,
                        kinds: seats.kinds.clone(),
                    }],
                },
            };
            let wants = crate::booking::wanted([(choice, place.quantity, pool, Some(want))], &who)?;
            let wish = Wish {
                holder: own,
                wants: &wants,
                until: next.until,
                print: 0,
                replaces: &[],
                around: &[],
                turn: Turn::Theirs,
            };
            let taken = hold(app, &wish, now).await;
            pools.retain(|(known, _)| *known != choice.pool);
            match taken {
                Ok(claims) => {
                    let strays = offer(app, &next, claims, now).await?;
                    give_back(app, own, &strays).await?;
                    break;
                }
                Err(refusal) if [Code::SoldOut, Code::LimitReached].contains(&refusal.code) => {}
                // This turn's hold has ended: they left, or an offer that nobody noted ran out.
                Err(refusal) if [Code::HoldGone, Code::HoldDecided].contains(&refusal.code) => {
                    lose_turn(app, &next.place, own, now).await?;
                    break;
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }
    settle(app, event).await
}

/// A turn whose hold ended before it was offered: they wait on, at their old place, under another key.
async fn lose_turn(app: &App, place: &Place, holder: HoldKey, now: Timestamp) -> Result<()> {
    // Taken for them, and its time is over: nobody can have been told of it.
    end(&app.db, holder, Ending::Expired, now).await?;
    let stored = waiter(&app.db, place.waiter).await?;
    let again = |waiter: &Waiter| {
        let next = Waiter { turn: place.turn + 1, ..waiter.clone() };
        let told = Message::WaitlistJoined { waiter: waiter.id };
        Ok((waiter.state == State::Waiting && waiter.turn == place.turn).then(|| (next, vec![told])))
    };
    app.db.change(stored, now, again).await?;
    take_off(&app.db, place).await
}

/// Leaves the pools of an event to everybody again for which nobody waits any more.
async fn settle(app: &App, event: EventId) -> Result<()> {
    let programme = app.programme(event).await?;
    let mut pools: Vec<PoolId> = programme.offers.iter().map(|offer| offer.pool).collect();
    pools.sort_unstable();
    pools.dedup();
    for id in pools {
        let known = match opened_pool(&app.db, id).await {
            Err(refusal) if refusal.code == Code::Opening => continue,
            known => known?,
        };
        let Waited::Is(times) = known.waited else { continue };
        if !waits(app, &programme, id).await? && keep_no_more(&app.db, &known, times).await? {
            leave_to_all(app, &programme, &known, times).await?;
        }
    }
    Ok(())
}

/// The tidy's look at a pool that is noted as not kept, though a lane still is: whoever left it to everybody died half-way.
///
/// # Errors
/// The store's own.
pub async fn finish_leaving(app: &App, known: &Opened, times: u64) -> Result<()> {
    let Subject::Event(event) = known.subject else { return Ok(()) };
    let programme = app.programme(event).await?;
    leave_to_all(app, &programme, known, times).await
}

/// The lanes follow the note. Whoever came into the line before the note was changed found the pool kept, and must find it
/// so; whoever came after it keeps the lanes anew.
async fn leave_to_all(app: &App, programme: &Programme, known: &Opened, times: u64) -> Result<()> {
    match waits(app, programme, known.id).await? {
        true => keep(&app.db, known.id).await,
        false => unflag(&app.db, known, times).await,
    }
}

/// Whether anybody in line would take places of this pool.
async fn waits(app: &App, programme: &Programme, pool: PoolId) -> Result<bool> {
    let offers: Vec<OfferId> =
        programme.offers.iter().filter(|offer| offer.pool == pool).map(|offer| offer.id).collect();
    let (query, mut after) = (Query::of(Listing::Primary, line(programme.event.id)).limit(DEPTH), None);
    loop {
        let (found, next): (Vec<Stored<Place>>, _) = app.db.list(&query, after).await?;
        if found.iter().any(|place| place.value.offers.iter().any(|offer| offers.contains(offer))) {
            return Ok(true);
        }
        match next {
            None => return Ok(false),
            next => after = next,
        }
    }
}

/// Whether what they were offered became a booking.
///
/// # Errors
/// The store's own.
pub async fn accepted(app: &App, waiter: &Waiter) -> Result<bool> {
    let holder = waiter.holder(&tag(app, &waiter.buyer.to_string()));
    let register = register_of(&app.db, holder).await?.map(|register| register.value);
    Ok(matches!(register, Some(Register::Confirmed { .. } | Register::Cancelled { .. })))
}
