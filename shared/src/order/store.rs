//! How orders are kept.
//!
//! | item | pk | sk | g1 | g2 |
//! |---|---|---|---|---|
//! | order | order id | `-` | buyer, by placing | what it is of, by placing |

use super::Order;
use crate::app::App;
use crate::auth::{Buyer, Caller};
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Listing, Query, Stored, Table};
use crate::error::{Code, Result};
use crate::id::OrderId;
use crate::identity::Action;
use crate::sign::Purpose;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

impl Item for Order {
    const TABLE: Table = Table::Order;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn first(&self) -> Option<(String, String)> {
        Some((self.quote.buyer.to_string(), place(self)))
    }
    fn second(&self) -> Option<(String, String)> {
        Some((self.quote.subject.to_string(), place(self)))
    }
}

fn place(order: &Order) -> String {
    let placed = order.history.first().map(|step| sortable(step.at)).unwrap_or_default();
    format!("{placed}#{}", order.id)
}

/// A buyer's orders, the oldest first.
#[must_use]
pub fn of_buyer(buyer: Buyer) -> Query {
    Query::of(Listing::First, buyer)
}

/// An order.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn order(db: &Db, id: OrderId) -> Result<Stored<Order>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}

/// The secret of an order's link, from the query string.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The secret of the mailed link, instead of a credential.
    pub key: Option<String>,
}

impl App {
    /// The secret of the link to an order, or to a place on a waitlist: who has it may do what its buyer may.
    #[must_use]
    pub fn link_secret(&self, id: &impl ToString) -> String {
        URL_SAFE_NO_PAD.encode(self.sealer.tag(Purpose::OrderLink, id.to_string().as_bytes()))
    }

    /// Whether a link carries that secret.
    #[must_use]
    pub fn opens(&self, id: &impl ToString, link: &Link) -> bool {
        let tag = link.key.as_ref().and_then(|secret| URL_SAFE_NO_PAD.decode(secret).ok());
        tag.is_some_and(|tag| self.sealer.knows(Purpose::OrderLink, id.to_string().as_bytes(), &tag))
    }

    /// An order for a caller who may see it: its buyer, or whoever has its link.
    ///
    /// # Errors
    /// `not_found` for everybody else.
    pub async fn order_for(&self, id: OrderId, buyer: Option<Buyer>, link: &Link) -> Result<Stored<Order>> {
        let order = order(&self.db, id).await?;
        if self.is_for(&order.value, buyer, link) { Ok(order) } else { Code::NotFound.refuse() }
    }

    /// As [`Self::order_for`], or for whoever handles its seller's money.
    ///
    /// # Errors
    /// `not_found` for everybody else; `forbidden` for members of its seller without that right.
    pub async fn order_or_money(
        &self,
        id: OrderId,
        caller: Option<Caller>,
        link: &Link,
    ) -> Result<Stored<Order>> {
        let order = order(&self.db, id).await?;
        if self.is_for(&order.value, caller.as_ref().and_then(Caller::buyer), link) {
            return Ok(order);
        }
        let agent = caller.and_then(Caller::agent).ok_or(Code::NotFound)?;
        self.authorize(&agent, Action::ManageMoney, &order.value.quote).await?;
        Ok(order)
    }

    fn is_for(&self, order: &Order, buyer: Option<Buyer>, link: &Link) -> bool {
        buyer == Some(order.quote.buyer) || self.opens(&order.id, link)
    }
}
