//! Sandboxes of the outside world, embedded by the local home.
//!
//! Each speaks its provider's own protocol well enough that the provider's own client libraries work against it
//! unchanged, keeps what it answered in SQLite (the death of the process loses nothing acknowledged; the last
//! moments before a power cut may be lost), and has switches that make it fail the ways the real one does. Nothing
//! here is for the open internet: serve it on loopback.
//!
//! | module | holds |
//! |---|---|
//! | this one | what all share: [`Clock`] and [`Storage`] |
//! | [`stripe`] | payments: payment intents, charges, refunds, events, signed webhooks, the page where a buyer pays |
//! | [`razorpay`] | payments: orders, payments, refunds, signed webhooks, the checkout where a buyer pays |
//! | `sandbox`, `events`, `switches`, `wire`, `page` | what the two payment sandboxes share |
//! | [`issuer`] | id tokens of Google and Apple, and the keys to check them |
//! | [`mail`] | SES v2: takes mail by SendEmail, and shows what was sent |

mod events;
pub mod issuer;
pub mod mail;
mod page;
mod random;
pub mod razorpay;
mod sandbox;
mod storage;
pub mod stripe;
mod switches;
mod trouble;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;

/// Milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Where a sandbox keeps its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory, gone with the sandbox.
    Memory,
    /// In this SQLite file (and its `-wal` beside it), made if it is not there, locked for this process. Each
    /// sandbox has a file of its own.
    File(PathBuf),
}
