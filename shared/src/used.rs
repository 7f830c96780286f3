//! When keys and devices were last used: what nobody uses can be revoked, and what should be silent and is not is seen.
//!
//! Whoever answers them writes it down, in the one table that every function may write. Not each time: an instance does
//! so once in [`QUARTER`], which is how exact it is.

use crate::app::App;
use crate::auth::Actor;
use crate::db::{Db, Item, Key, Table};
use crate::error::Result;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// An instance writes a use down if it has not done so for this long.
pub const QUARTER: SignedDuration = SignedDuration::from_mins(15);
/// So long it is known. No key lasts longer without being made anew.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 400);
/// So many are remembered by an instance; then it begins anew.
const REMEMBERED: usize = 10_000;

/// The last use of a key or a device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LastUse {
    /// Of what.
    pub of: Actor,
    /// When.
    pub at: Timestamp,
}

impl Item for LastUse {
    const TABLE: Table = Table::Limit;
    fn key(&self) -> Key {
        key(self.of)
    }
    fn forget(&self) -> Option<Timestamp> {
        Some(self.at + KEPT)
    }
}

fn key(of: Actor) -> Key {
    Key::new(format!("used#{of}"), "-")
}

/// What one instance has written down, and when.
#[derive(Clone, Default)]
pub struct Uses(Arc<Mutex<HashMap<Actor, Timestamp>>>);

impl Uses {
    /// Whether this use is to be written down.
    fn is_news(&self, of: Actor, now: Timestamp) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.get(&of).is_some_and(|at| now.duration_since(*at) < QUARTER) {
            return false;
        }
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(of, now);
        true
    }
}

/// Somebody uses a key or a device. That this could not be written down is no reason to refuse them.
pub async fn note(app: &App, of: Actor) {
    let at = app.clock.now();
    if app.uses.is_news(of, at)
        && let Err(error) = app.db.put_later(LastUse { of, at }, at).await
    {
        tracing::warn!(%error, %of, "its use was not written down");
    }
}

/// When each of these was last used, of those that were.
///
/// # Errors
/// As [`Db::get_many`].
pub async fn last(db: &Db, of: impl IntoIterator<Item = Actor>) -> Result<HashMap<Actor, Timestamp>> {
    let keys: Vec<Key> = of.into_iter().map(key).collect();
    let mut found = HashMap::new();
    for keys in keys.chunks(100) {
        let uses = db.get_many::<LastUse>(keys).await?.into_iter().map(|used| used.value);
        found.extend(uses.map(|used| (used.of, used.at)));
    }
    Ok(found)
}
