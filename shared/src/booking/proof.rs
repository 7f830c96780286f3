//! The proof of a pool: its places recounted from the ledger in the lanes and from the registers, and what differs.
//!
//! Three things are true of every pool at every moment, by the conditions of its writes:
//!
//! 1. in each lane, what is left and what its entries took sum to its capacity;
//! 2. every confirmed booking has its entry in each lane it names (of stock: until it was taken out with its units);
//! 3. an entry that is marked as sold belongs to a booking.
//!
//! Nothing that Tessera does can break them; a restored backup, a hand in the console or a bug can. Whoever recounts
//! while the sale goes on sees things that are half done, so that what looks wrong is looked at a second time.

use super::Register;
use super::store::{register_of, registers_of};
use crate::app::App;
use crate::db::{Key, Listing, Query, Stored};
use crate::error::Result;
use crate::id::{BookingId, HoldId};
use crate::pool::store::{Kind, LaneWrite, Opened, Outcome, read, read_one, recount, write};
use crate::pool::{Claim, HoldKey, Lane, Pool, Turn};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashMap;

/// What differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Difference {
    /// A lane has more or fewer places left than its entries leave of it.
    Sum {
        /// The lane.
        lane: u32,
        /// Its places in all.
        capacity: u32,
        /// What it says is left.
        available: u32,
        /// What its entries took.
        taken: u32,
    },
    /// A confirmed booking lacks its entry in a lane: its places may be sold again.
    Missing {
        /// The lane.
        lane: u32,
        /// The booking.
        booking: BookingId,
        /// Its places there.
        places: u32,
    },
    /// An entry is marked as sold, and there is no booking: its places cannot be sold.
    Phantom {
        /// The lane.
        lane: u32,
        /// The hold whose entry it is.
        hold: HoldId,
        /// Its places there.
        places: u32,
    },
    /// The lanes together have not the size that is noted for the pool.
    Size {
        /// What is noted.
        noted: u32,
        /// What the lanes have.
        lanes: u32,
    },
}

impl Difference {
    fn sum(lane: &Lane) -> Self {
        let Lane { number, capacity, available, .. } = *lane;
        Self::Sum { lane: number, capacity, available, taken: lane.taken() }
    }
}

/// Where every place of a pool is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Proof {
    /// Places in all: the sum of the next four.
    pub capacity: u32,
    /// Left.
    pub free: u32,
    /// In holds whose time is not over.
    pub held: u32,
    /// In holds whose time is over, or that have ended: free for whoever asks.
    pub ended: u32,
    /// In confirmed bookings.
    pub sold: u32,
    /// Lanes.
    pub lanes: u32,
    /// What differs; nothing, as it should be.
    pub differences: Vec<Difference>,
}

/// Recounts a pool.
///
/// # Errors
/// `opening`; the store's own.
pub async fn prove(app: &App, opened: &Opened, now: Timestamp) -> Result<Proof> {
    let pool = opened.pool();
    let lanes = read(&app.db, &pool).await?;
    let holders = lanes.iter().flat_map(|lane| lane.entries.keys().copied());
    let registers = registers_of(&app.db, holders).await?;
    let mut proof = Proof { lanes: opened.lanes, ..Proof::default() };
    for lane in &lanes {
        proof.capacity += lane.capacity;
        proof.free += lane.available;
        if !lane.is_balanced() {
            proof.differences.push(Difference::sum(lane));
        }
        // Of stock, marks of what came in or back take nothing.
        for (holder, mark) in lane.entries.iter().filter(|(_, mark)| !mark.is_spent()) {
            match registers.get(holder) {
                Some(Register::Confirmed { booking }) if booking.names(&pool, lane.number, *mark) => {
                    proof.sold += mark.quantity;
                }
                // Cancelled a moment ago, as a rule: its places are on their way back.
                Some(Register::Cancelled { .. }) => proof.ended += mark.quantity,
                Some(Register::Confirmed { .. } | Register::Ended { .. } | Register::Lost { .. })
                    if !mark.is_sold() =>
                {
                    proof.ended += mark.quantity;
                }
                None if !mark.is_sold() && !mark.expired(now) => proof.held += mark.quantity,
                None if !mark.is_sold() => proof.ended += mark.quantity,
                None | Some(Register::Confirmed { .. } | Register::Ended { .. } | Register::Lost { .. }) => {
                    proof.sold += mark.quantity;
                    if phantom(app, &pool, lane.number, *holder).await? {
                        let (lane, places) = (lane.number, mark.quantity);
                        proof.differences.push(Difference::Phantom { lane, hold: holder.id(), places });
                    }
                }
            }
        }
    }
    // Seats are blocked and opened one by one, stock comes and goes: their lanes alone say how many there are.
    if opened.kind == Kind::Places && proof.capacity != opened.capacity {
        proof.differences.push(Difference::Size { noted: opened.capacity, lanes: proof.capacity });
    }
    // What was sold of stock leaves the lanes.
    if !pool.settles() {
        proof.differences.extend(missing(app, opened, &lanes).await?);
    }
    Ok(proof)
}

/// Puts right what differs; what could not be put right is the answer. A missing entry whose places are gone by now is
/// an oversell that only people can solve.
///
/// # Errors
/// The store's own.
pub async fn repair(app: &App, opened: &Opened, proof: &Proof, now: Timestamp) -> Result<Vec<Difference>> {
    let pool = opened.pool();
    let mut left = Vec::new();
    // Entries first: the sums follow from them.
    for difference in &proof.differences {
        let done = match difference {
            Difference::Missing { lane, booking, .. } => restore(app, &pool, *lane, *booking).await?,
            Difference::Phantom { lane, hold, .. } => match HoldKey::of(*hold) {
                Some(holder) => drop_phantom(app, &pool, *lane, holder, now).await?,
                None => false,
            },
            Difference::Sum { .. } => true,
            Difference::Size { noted, .. } => {
                crate::pool::store::resize(&app.db, opened.id, *noted).await.is_ok()
            }
        };
        if !done {
            left.push(difference.clone());
        }
    }
    for lane in read(&app.db, &pool).await? {
        if !lane.is_balanced() && !recount(&app.db, &pool, &lane).await? {
            left.push(Difference::sum(&lane));
        }
    }
    Ok(left)
}

/// Looks again: the register may have been written after it was read, and the entry may be gone.
async fn phantom(app: &App, pool: &Pool, lane: u32, holder: HoldKey) -> Result<bool> {
    let register = register_of(&app.db, holder).await?.map(|register| register.value);
    let mark = read_one(&app.db, pool, lane).await?.entries.get(&holder).copied();
    Ok(match (mark, register) {
        (None, _) | (_, Some(Register::Cancelled { .. })) => false,
        (Some(mark), Some(Register::Confirmed { booking })) => !booking.names(pool, lane, mark),
        (Some(mark), None | Some(Register::Ended { .. } | Register::Lost { .. })) => mark.is_sold(),
    })
}

/// The confirmed bookings of the pool's event that lack an entry.
async fn missing(app: &App, opened: &Opened, lanes: &[Lane]) -> Result<Vec<Difference>> {
    let (pool, mut found, mut after) = (opened.pool(), Vec::new(), None);
    let numbers: HashMap<Key, u32> = (0..pool.lanes()).map(|lane| (pool.key(lane), lane)).collect();
    loop {
        let query = Query::of(Listing::Second, opened.subject);
        let (page, next): (Vec<Stored<Register>>, _) = app.db.list(&query, after).await?;
        for register in page {
            let Register::Confirmed { booking } = &register.value else { continue };
            for claim in &booking.claims {
                let Some(lane) = numbers.get(&claim.key()) else { continue };
                let Some(holder) = HoldKey::of(booking.hold) else { continue };
                let seen = lanes.get(*lane as usize);
                if seen.is_some_and(|lane| lane.entries.contains_key(&holder)) {
                    continue;
                }
                if still_missing(app, &pool, *lane, holder, claim).await? {
                    let (lane, places) = (*lane, claim.m.quantity);
                    found.push(Difference::Missing { lane, booking: booking.id, places });
                }
            }
        }
        match next {
            None => return Ok(found),
            next => after = next,
        }
    }
}

/// Looks again, at the register after the lane: the listing lags, and lanes were read before it.
async fn still_missing(app: &App, pool: &Pool, lane: u32, holder: HoldKey, claim: &Claim) -> Result<bool> {
    if read_one(&app.db, pool, lane).await?.entries.contains_key(&holder) {
        return Ok(false);
    }
    let register = register_of(&app.db, holder).await?.map(|register| register.value);
    Ok(matches!(register, Some(Register::Confirmed { booking }) if booking.claims.contains(claim)))
}

/// Writes a booking's entry into its lane again, if the places are still there.
async fn restore(app: &App, pool: &Pool, lane: u32, booking: BookingId) -> Result<bool> {
    let (_, booking) = super::store::booking(&app.db, booking).await?;
    let key = pool.key(lane);
    let claim = booking.claims.iter().find(|claim| claim.key() == key);
    let (Some(claim), Some(holder)) = (claim, HoldKey::of(booking.hold)) else { return Ok(false) };
    // If only the entry was lost and its places were never given back, the count comes right afterwards; if they were
    // sold again, there is not enough.
    let seen = read_one(&app.db, pool, lane).await?;
    if seen.taken() + claim.m.quantity > seen.capacity {
        return Ok(false);
    }
    if !seen.is_balanced() {
        recount(&app.db, pool, &seen).await?;
    }
    let take = Some((holder, claim.m.sold()));
    let change = LaneWrite { take, turn: Turn::Theirs, ..LaneWrite::default() };
    Ok(matches!(write(&app.db, pool, lane, &change).await?, Outcome::Done { .. } | Outcome::Mine(_)))
}

async fn drop_phantom(app: &App, pool: &Pool, lane: u32, holder: HoldKey, now: Timestamp) -> Result<bool> {
    let mark = read_one(&app.db, pool, lane).await?.entries.get(&holder).copied();
    let Some(mark) = mark.filter(|mark| mark.is_sold()) else { return Ok(true) };
    // The register first, as ever: whoever might still confirm this hold finds it ended.
    match super::store::end(&app.db, holder, super::Ending::Expired, now).await? {
        Register::Confirmed { booking } if booking.names(pool, lane, mark) => Ok(true),
        Register::Confirmed { .. }
        | Register::Cancelled { .. }
        | Register::Ended { .. }
        | Register::Lost { .. } => {
            super::store::give_back(app, holder, &[Claim::new(pool.key(lane), mark)]).await?;
            Ok(true)
        }
    }
}
