//! How pictures are kept.
//!
//! | item | table | pk | sk | g1 | g2 |
//! |---|---|---|---|---|---|
//! | picture | media | picture id | `-` | organisation, by asking | |
//!
//! In the bucket: what was uploaded under `uploads/` picture id, what is shown under `pictures/` picture id `/` size.

use super::{Picture, SIZES, State};
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Listing, Query, Stored, Table};
use crate::error::{Code, Result};
use crate::id::{OrganisationId, PictureId};
use jiff::{SignedDuration, Timestamp};

/// How long a picture that never came, was refused or removed is remembered, days.
const REMEMBERED_DAYS: i64 = 30;

impl Item for Picture {
    const TABLE: Table = Table::Media;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn first(&self) -> Option<(String, String)> {
        match self.state {
            State::Waiting | State::Sent { .. } | State::Ready { .. } | State::Refused { .. } => {
                Some((self.organisation.to_string(), format!("{}#{}", sortable(self.created), self.id)))
            }
            State::Removed { .. } => None,
        }
    }
    fn forget(&self) -> Option<Timestamp> {
        let after = |at: Timestamp| Some(at + SignedDuration::from_hours(24 * REMEMBERED_DAYS));
        match self.state {
            State::Waiting => after(self.created),
            State::Refused { at, .. } | State::Removed { at } => after(at),
            State::Sent { .. } | State::Ready { .. } => None,
        }
    }
}

/// A picture.
///
/// # Errors
/// `not_found`, also once it was removed; as [`Db::get`].
pub async fn picture(db: &Db, id: PictureId) -> Result<Stored<Picture>> {
    let known = kept(db, id).await?.filter(|known| !matches!(known.value.state, State::Removed { .. }));
    known.ok_or_else(|| Code::NotFound.into())
}

/// A picture, though it was removed.
///
/// # Errors
/// As [`Db::get`].
pub async fn kept(db: &Db, id: PictureId) -> Result<Option<Stored<Picture>>> {
    db.get(&Key::new(id, "-")).await
}

/// An organisation's pictures, the newest first.
#[must_use]
pub fn of_organisation(id: OrganisationId) -> Query {
    Query::of(Listing::First, id).newest_first()
}

/// Where what was uploaded waits.
#[must_use]
pub fn upload(id: PictureId) -> String {
    format!("uploads/{id}")
}

/// Where a picture of one size is.
#[must_use]
pub fn drawing(id: PictureId, size: u32) -> String {
    format!("pictures/{id}/{size}")
}

/// All that is stored of a picture.
pub fn files(id: PictureId) -> impl Iterator<Item = String> {
    SIZES.into_iter().map(move |size| drawing(id, size)).chain([upload(id)])
}
