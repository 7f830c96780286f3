//! How payments are kept. A provider's report names the payment (we gave the provider our id), so no index is needed.
//!
//! | item | pk | sk |
//! |---|---|---|
//! | payment | payment id | `-` |

use super::Payment;
use crate::db::{Db, Item, Key, Stored, Table};
use crate::error::{Code, Result};
use crate::id::PaymentId;

impl Item for Payment {
    const TABLE: Table = Table::Payment;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
}

/// A payment.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn payment(db: &Db, id: PaymentId) -> Result<Stored<Payment>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}
