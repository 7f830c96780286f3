//! How the memory of what was mailed is kept. Mails themselves are not: they hold what others' tables hold.
//!
//! | item | pk | sk |
//! |---|---|---|
//! | sent mail, for 90 days | mail id | `-` |
//! | mailing to an event's attendees, | mail id | `mailing` |

use super::{Mailing, Sent};
use crate::db::{Db, Item, Key, Stored, Table};
use crate::error::Result;
use crate::id::MailId;
use jiff::{SignedDuration, Timestamp};

const KEPT: SignedDuration = SignedDuration::from_hours(24 * 90);

impl Item for Sent {
    const TABLE: Table = Table::Notification;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn forget(&self) -> Option<Timestamp> {
        Some(self.at + KEPT)
    }
}

impl Item for Mailing {
    const TABLE: Table = Table::Notification;
    fn key(&self) -> Key {
        Key::new(self.id, "mailing")
    }
}

/// The memory of a mail, if it was sent.
///
/// # Errors
/// As [`Db::get`].
pub async fn sent(db: &Db, id: MailId) -> Result<Option<Stored<Sent>>> {
    db.get(&Key::new(id, "-")).await
}

/// How far a mailing has come, if it began.
///
/// # Errors
/// As [`Db::get`].
pub async fn mailing(db: &Db, id: MailId) -> Result<Option<Stored<Mailing>>> {
    db.get(&Key::new(id, "mailing")).await
}
