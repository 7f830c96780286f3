//! An archive of all that is known of somebody, asked for by them.

use crate::id::{AccountId, ExportId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long an archive is kept, days. The bucket's lifecycle deletes it then (`template.yaml`).
pub const KEPT_DAYS: i64 = 7;

/// An archive that is there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Archive {
    /// Its size.
    pub bytes: u64,
    /// Since when.
    pub at: Timestamp,
}

/// That somebody wants an archive.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Export {
    /// Its id.
    pub id: ExportId,
    /// Of whom.
    pub account: AccountId,
    /// When it was asked for.
    pub asked: Timestamp,
    /// What came of it.
    pub archive: Option<Archive>,
}

impl Export {
    /// Until when it is kept.
    #[must_use]
    pub fn ends(&self) -> Timestamp {
        self.asked + SignedDuration::from_hours(24 * KEPT_DAYS)
    }

    /// Whether it is kept no longer.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ends() <= now
    }
}
