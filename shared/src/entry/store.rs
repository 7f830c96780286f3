//! How tickets and the entry log are kept.
//!
//! | item | pk | sk |
//! |---|---|---|
//! | ticket | ticket id | `-` |
//! | issue: which tickets an order has | order id | `-` |
//! | log line | `log#` event id | instant `#` scan id |

use super::{Entry, Ticket};
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Stored, Table};
use crate::error::{Code, Result};
use crate::id::{BookingId, EventId, OrderId, TicketId};
use serde::{Deserialize, Serialize};

impl Item for Ticket {
    const TABLE: Table = Table::Entry;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
}

impl Item for Entry {
    const TABLE: Table = Table::Entry;
    fn key(&self) -> Key {
        Key::new(log(self.event), format!("{}#{}", sortable(self.at), self.scan))
    }
}

/// The partition of an event's entry log.
#[must_use]
pub fn log(event: EventId) -> String {
    format!("log#{event}")
}

/// Which tickets an order has: written once, when all of them and their documents are stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Issue {
    /// The order.
    pub order: OrderId,
    /// The booking they belong to.
    pub booking: BookingId,
    /// The tickets, in order.
    pub tickets: Vec<TicketId>,
}

impl Item for Issue {
    const TABLE: Table = Table::Entry;
    fn key(&self) -> Key {
        Key::new(self.order, "-")
    }
}

/// A ticket.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn ticket(db: &Db, id: TicketId) -> Result<Stored<Ticket>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}

/// The tickets of an order, in order; none while they are not issued.
///
/// # Errors
/// As [`Db::get_many`].
pub async fn tickets_of(db: &Db, order: OrderId) -> Result<Vec<Stored<Ticket>>> {
    let Some(issue) = db.get::<Issue>(&Key::new(order, "-")).await? else { return Ok(Vec::new()) };
    let keys: Vec<Key> = issue.value.tickets.iter().map(|id| Key::new(id, "-")).collect();
    let mut tickets: Vec<Stored<Ticket>> = db.get_many(&keys).await?;
    tickets.sort_by_key(|ticket| ticket.value.place);
    Ok(tickets)
}

/// Where a ticket's PDF is stored.
#[must_use]
pub fn document(ticket: TicketId) -> String {
    format!("tickets/{ticket}.pdf")
}
