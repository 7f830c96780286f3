//! How venues and seatings are kept.
//!
//! | item | pk | sk | g2 |
//! |---|---|---|---|
//! | venue | venue id | `-` | `venues#` organisation, by creation |
//! | section as drawn | venue id | `section#` code | |
//! | seating | event id | `seating#` pool id | |

use super::{Drawn, Seating, Venue};
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Listing, Query, Stored, Table};
use crate::error::{Code, Result};
use crate::id::{EventId, PoolId, VenueId};

impl Item for Venue {
    const TABLE: Table = Table::Catalogue;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn second(&self) -> Option<(String, String)> {
        Some((format!("venues#{}", self.organisation), format!("{}#{}", sortable(self.created), self.id)))
    }
}

impl Item for Drawn {
    const TABLE: Table = Table::Catalogue;
    fn key(&self) -> Key {
        section_key(self.venue, self.code.as_str())
    }
}

impl Item for Seating {
    const TABLE: Table = Table::Catalogue;
    fn key(&self) -> Key {
        seating_key(self.event, self.pool)
    }
}

fn section_key(venue: VenueId, code: &str) -> Key {
    Key::new(venue, format!("section#{code}"))
}

fn seating_key(event: EventId, pool: PoolId) -> Key {
    Key::new(event, format!("seating#{pool}"))
}

/// A venue.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn venue(db: &Db, id: VenueId) -> Result<Stored<Venue>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}

/// A venue's sections, by code.
///
/// # Errors
/// As [`Db::list`].
pub async fn sections(db: &Db, venue: VenueId) -> Result<Vec<Stored<Drawn>>> {
    db.list_all(&Query::of(Listing::Primary, venue).starting("section#")).await
}

/// One of its sections, if it has been drawn.
///
/// # Errors
/// As [`Db::get`].
pub async fn section(db: &Db, venue: VenueId, code: &str) -> Result<Option<Stored<Drawn>>> {
    db.get(&section_key(venue, code)).await
}

/// A section as an event sells it.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn seating(db: &Db, event: EventId, pool: PoolId) -> Result<Seating> {
    let stored: Option<Stored<Seating>> = db.get(&seating_key(event, pool)).await?;
    Ok(stored.ok_or(Code::NotFound)?.value)
}

/// Every section that an event sells.
///
/// # Errors
/// As [`Db::list`].
pub async fn seatings(db: &Db, event: EventId) -> Result<Vec<Seating>> {
    let found: Vec<Stored<Seating>> =
        db.list_all(&Query::of(Listing::Primary, event).starting("seating#")).await?;
    Ok(found.into_iter().map(|seating| seating.value).collect())
}
