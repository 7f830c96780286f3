//! Outbox: how far each table's stream has been carried to the queues.
//!
//! The stream's own checkpoint belongs to Lambda and forgets after 24 hours. This one is ours: every batch notes the
//! newest instant it carried. If a table's note falls behind, the sweep reads the stored messages themselves and sends
//! those that are newer than the note. Consumers know messages they have had, so sending one again does no harm.

use crate::db::{Db, Item, Key, Stored, Table};
use crate::error::Result;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How far a table has been carried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The table's word.
    pub table: String,
    /// Messages stored before this have been sent.
    pub at: Timestamp,
}

impl Item for Checkpoint {
    const TABLE: Table = Table::Outbox;
    fn key(&self) -> Key {
        Key::new(&self.table, "-")
    }
}

/// How far behind a note may be before the sweep looks at the table itself.
pub const BEHIND: SignedDuration = SignedDuration::from_hours(1);
/// How far before the note the sweep begins: batches of one table may finish out of order.
pub const OVERLAP: SignedDuration = SignedDuration::from_mins(5);

/// A table's note.
///
/// # Errors
/// As [`Db::get`].
pub async fn checkpoint(db: &Db, table: Table) -> Result<Option<Stored<Checkpoint>>> {
    db.get(&Key::new(table.word(), "-")).await
}
