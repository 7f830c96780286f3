//! What comes into a store's stock and what leaves it otherwise than by a sale, each once.
//!
//! A [`Movement`] is written first, with how it is spread over lanes and a message that finishes it whatever happens. Then each lane
//! is changed by one write that leaves a mark under the movement's key, so that a second telling finds it done, or found to be
//! impossible. When all lanes have answered, the outcome is noted in the movement, and last the register under the same key
//! says that it is over: from then on the tidy may drop the marks. `tests/proof/src/stock.rs` has the rules of it.

use super::Ending;
use super::store::{MARKS_KEPT, end, register_of, tag};
use crate::app::App;
use crate::auth::Actor;
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Stored, Table};
use crate::error::{Code, Refusal, Result};
use crate::id::{MovementId, PoolId};
use crate::message::Message;
use crate::pool::store::{bring, opened_pool, read};
use crate::pool::{HoldKey, Lane, Pool};
use crate::text::Text;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most that one movement brings or takes, units.
pub const MAX_UNITS: i64 = 1_000_000;

/// Why units came, or went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Delivered to the store.
    Received,
    /// Brought back by a customer.
    Returned,
    /// Broken, or past its date.
    Damaged,
    /// Not where it should be.
    Lost,
    /// Counted, and found to be more or fewer.
    Counted,
}

/// What somebody says about units that came or went.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MovementTerms {
    /// How many came; below zero, how many went. Up to 1,000,000, not 0. What is held or sold does not go.
    #[schema(minimum = -1_000_000, maximum = 1_000_000, example = 24)]
    pub quantity: i64,
    /// Why.
    pub cause: Cause,
    /// Whatever else is to be known of it.
    #[serde(default)]
    pub note: Text<0, 500>,
}

/// Units that came into a stock, or left it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Movement {
    /// Its id.
    pub id: MovementId,
    /// Of which stock.
    pub pool: PoolId,
    /// What was said.
    pub terms: MovementTerms,
    /// By whom.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// How it is spread: lanes, and how many units in each.
    pub parts: Vec<(u32, i64)>,
    /// How many really came or went, once that is known: of what was to go, some may have been sold meanwhile.
    pub done: Option<i64>,
    /// The print of the request that made it.
    pub print: String,
}

impl Item for Movement {
    const TABLE: Table = Table::Booking;
    fn key(&self) -> Key {
        Key::new(self.pool, self.id)
    }
    fn second(&self) -> Option<(String, String)> {
        Some((self.pool.to_string(), format!("{}#{}", sortable(self.at), self.id)))
    }
}

/// A movement, if there is one of this id.
///
/// # Errors
/// As [`Db::get`].
pub async fn movement(db: &Db, pool: PoolId, id: MovementId) -> Result<Option<Stored<Movement>>> {
    db.get(&Key::new(pool, id)).await
}

impl MovementTerms {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_input`.
    pub fn check(&self) -> Result<()> {
        if self.quantity == 0 || self.quantity.abs() > MAX_UNITS {
            return Err(Refusal::invalid("/quantity", "must be between -1000000 and 1000000, and not 0"));
        }
        Ok(())
    }
}

/// How a movement is spread: what comes makes lanes as equal as it can, what goes is taken where there is most. `None` if
/// there is not so much.
#[must_use]
pub fn spread(lanes: &[Lane], quantity: i64) -> Option<Vec<(u32, i64)>> {
    let all: i64 = lanes.iter().map(|lane| i64::from(lane.available)).sum();
    if lanes.is_empty() || all + quantity < 0 {
        return None;
    }
    // What comes fills the emptiest lanes first, what goes empties the fullest: so many of them that they reach the next one.
    let sign = quantity.signum();
    let mut left: Vec<(i64, u32)> =
        lanes.iter().map(|lane| (sign * i64::from(lane.available), lane.number)).collect();
    left.sort_unstable();
    let mut count = 0;
    let mut sum = 0;
    for (signed, _) in &left {
        if count > 0 && count * signed - sum >= quantity.abs() {
            break;
        }
        (count, sum) = (count + 1, sum + signed);
    }
    let total = sign * sum + quantity;
    let level = |nth: i64| total / count + i64::from(nth < total % count);
    let parts = (0..count).zip(&left).map(|(nth, (signed, lane))| (*lane, level(nth) - sign * signed));
    Some(parts.filter(|(_, by)| *by != 0).collect())
}

/// Writes a movement down and carries it out. Repeating it answers with what came of it.
///
/// # Errors
/// `below_taken` if less is free than is to go; `key_reused`; `opening`; the store's own.
pub async fn begin(app: &App, new: Movement, now: Timestamp) -> Result<Movement> {
    if let Some(known) = movement(&app.db, new.pool, new.id).await? {
        return repeated(app, known, &new.print, now).await;
    }
    let lanes = read(&app.db, &opened_pool(&app.db, new.pool).await?.pool()).await?;
    let Some(parts) = spread(&lanes, new.terms.quantity) else {
        let free: u32 = lanes.iter().map(|lane| lane.available).sum();
        return Err(Refusal::from(Code::BelowTaken).with("free", free));
    };
    let told = Message::StockMoved { pool: new.pool, movement: new.id };
    let (print, new) = (new.print.clone(), Movement { parts, ..new });
    let stored = app.db.put_new(new, vec![told], now).await?.stored();
    repeated(app, stored, &print, now).await
}

async fn repeated(app: &App, known: Stored<Movement>, print: &str, now: Timestamp) -> Result<Movement> {
    if known.value.print != print {
        return Code::KeyReused.refuse();
    }
    Ok(carry_out(app, known, now).await?.value)
}

/// Carries a movement out, or what is left of it. Repeating it changes nothing.
///
/// # Errors
/// The store's own; `busy` after too many lost races.
pub async fn carry_out(app: &App, known: Stored<Movement>, now: Timestamp) -> Result<Stored<Movement>> {
    let Movement { id, pool, .. } = known.value;
    let holder = HoldKey::of_turn(&tag(app, &pool.to_string()), "movement", id.uuid(), 0);
    if known.value.done.is_some() && register_of(&app.db, holder).await?.is_some() {
        return Ok(known);
    }
    let (until, parts) = (now + MARKS_KEPT, &known.value.parts);
    // A lane's place does not depend on how many there are.
    let stock = Pool::Stock { id: pool, lanes: 1 };
    let moved = parts.iter().map(|(lane, by)| bring(&app.db, &stock, *lane, holder, *by, until));
    let moved = try_join_all(moved).await?;
    let done = parts.iter().zip(moved).filter(|(_, moved)| *moved).map(|((_, by), _)| by).sum();
    let noted = app.db.change(known, now, |movement: &Movement| {
        Ok(movement.done.is_none().then(|| (Movement { done: Some(done), ..movement.clone() }, Vec::new())))
    });
    let noted = noted.await?;
    // From here on the marks may go.
    end(&app.db, holder, Ending::Released, now).await?;
    Ok(noted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(left: &[u32]) -> Vec<Lane> {
        let lane = |(number, available): (u32, &u32)| Lane {
            number,
            available: *available,
            capacity: *available,
            ..Lane::default()
        };
        (0..).zip(left).map(lane).collect()
    }

    fn after(left: &[u32], quantity: i64) -> Option<Vec<i64>> {
        let parts = spread(&lanes(left), quantity)?;
        let mut left: Vec<i64> = left.iter().map(|left| i64::from(*left)).collect();
        for (lane, by) in parts {
            left[lane as usize] += by;
        }
        Some(left)
    }

    #[test]
    fn what_comes_levels_lanes_and_what_goes_is_taken_where_there_is_most() {
        assert_eq!(after(&[0, 0, 0], 10), Some(vec![4, 3, 3]));
        assert_eq!(after(&[9, 0, 2], 4), Some(vec![9, 3, 3]));
        assert_eq!(after(&[9, 0, 2], 1), Some(vec![9, 1, 2]));
        assert_eq!(after(&[9, 0, 2], -5), Some(vec![4, 0, 2]));
        assert_eq!(after(&[5, 5], -10), Some(vec![0, 0]));
        assert_eq!(after(&[5, 5], -11), None);
        assert_eq!(after(&[], 1), None);
    }

    /// For every small stock and movement: it sums up, and no lane goes below nothing.
    #[test]
    fn a_movement_is_spread_to_the_last_unit() {
        for state in 0..4_u32.pow(4) {
            let left: Vec<u32> = (0..4).map(|lane| state / 4_u32.pow(lane) % 4).collect();
            let all: i64 = left.iter().map(|left| i64::from(*left)).sum();
            for quantity in -all..=9 {
                let after = after(&left, quantity).unwrap();
                assert_eq!(after.iter().sum::<i64>(), all + quantity, "{left:?} {quantity}");
                assert!(after.iter().all(|left| *left >= 0), "{left:?} {quantity} {after:?}");
            }
        }
    }
}
