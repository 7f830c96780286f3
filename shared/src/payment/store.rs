//! How payments and books are kept. A provider's report names the payment (we gave the provider our id), so no index is needed to find
//! it; an order's payments have ids that follow from the order.
//!
//! | item | pk | sk | g1 | g2 |
//! |---|---|---|---|---|
//! | payment | payment id | `-` | `owing#` shard, by creation, while a refund is not done or something waits for the provider; `awaited#` shard, by when something is to be done, while a promise is waited for | `awaited#` or `byhand#` organisation, by creation, while it is waited for, or something is to be paid back by hand |
//! | a provider's name for a payment | name | `-` | | |
//! | a report that was taken in | `reported#` provider `#` id | `-` | | |
//! | how far was compared | `reconciled#` provider | `-` | | |
//! | whether a provider is asked | `circuit#` provider | `-` | | |
//! | ledger entry | `ledger#` organisation | time `#` entry id | `noted#` provider `#` day, by time | |
//! | how else can be paid | organisation id | `means` | | |
//! | gift card | gift card id | `-` | `cards#` organisation, by creation | |

use super::circuit::Circuit;
use super::gift::GiftCard;
use super::ledger::Entry;
use super::promise::Means;
use super::{Payment, Provider};
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Listing, Query, Stored, Table};
use crate::error::{Code, Result};
use crate::id::{GiftCardId, OrderId, OrganisationId, PaymentId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Over so many partitions are payments spread that owe a refund, wait, or are waited for: a cancelled event owes thousands at once.
pub const SHARDS: u8 = 8;

impl Item for Payment {
    const TABLE: Table = Table::Payment;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn first(&self) -> Option<(String, String)> {
        let shard = self.id.uuid().as_bytes()[15] % SHARDS;
        match self.awaited() {
            Some(promise) => Some((awaited(shard), format!("{}#{}", sortable(promise.wakes()), self.id))),
            None if self.promise.is_some() => None,
            None => (self.owes() || self.waits.is_some()).then(|| (owing(shard), self.place())),
        }
    }
    fn second(&self) -> Option<(String, String)> {
        let list = self.by_hand()?;
        Some((by_hand(self.organisation, list), self.place()))
    }
}

/// Which of an organisation's lists a payment is in that no provider moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ByHand {
    /// Its money is waited for.
    Awaited,
    /// Something is to be paid back.
    Owed,
}

impl Payment {
    fn place(&self) -> String {
        format!("{}#{}", sortable(self.created), self.id)
    }

    /// Which of its organisation's lists it is in, if people have something to do about it.
    #[must_use]
    pub fn by_hand(&self) -> Option<ByHand> {
        self.promise.as_ref()?;
        match self.awaited() {
            Some(_) => Some(ByHand::Awaited),
            None => (self.owes() || !self.surplus().is_zero()).then_some(ByHand::Owed),
        }
    }
}

/// The partition of one of an organisation's lists.
#[must_use]
pub fn by_hand(organisation: OrganisationId, list: ByHand) -> String {
    match list {
        ByHand::Awaited => format!("awaited#{organisation}"),
        ByHand::Owed => format!("byhand#{organisation}"),
    }
}

impl Item for GiftCard {
    const TABLE: Table = Table::Payment;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn first(&self) -> Option<(String, String)> {
        Some((cards_of(self.organisation), format!("{}#{}", sortable(self.created), self.id)))
    }
}

/// The partition of an organisation's gift cards.
#[must_use]
pub fn cards_of(organisation: OrganisationId) -> String {
    format!("cards#{organisation}")
}

/// A gift card.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn gift_card(db: &Db, id: GiftCardId) -> Result<Stored<GiftCard>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}

impl Item for Means {
    const TABLE: Table = Table::Payment;
    fn key(&self) -> Key {
        means_key(self.organisation)
    }
}

fn means_key(organisation: OrganisationId) -> Key {
    Key::new(organisation, "means")
}

/// How else can be paid with an organisation, if it has said so.
///
/// # Errors
/// As [`Db::get`].
pub async fn means(db: &Db, organisation: OrganisationId) -> Result<Option<Stored<Means>>> {
    db.get(&means_key(organisation)).await
}

/// A provider's name for a payment of ours.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Known {
    /// The provider's name.
    pub name: String,
    /// Our payment.
    pub payment: PaymentId,
}

impl Item for Known {
    const TABLE: Table = Table::Payment;
    fn key(&self) -> Key {
        Key::new(&self.name, "-")
    }
}

/// Which payment a provider calls so.
///
/// # Errors
/// As [`Db::get`].
pub async fn known(db: &Db, name: &str) -> Result<Option<PaymentId>> {
    Ok(db.get::<Known>(&Key::new(name, "-")).await?.map(|known| known.value.payment))
}

/// A report that was taken in. Those that come again are known by it, for a month.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reported {
    /// Who reported.
    pub provider: Provider,
    /// The provider's id for it.
    pub id: String,
    /// When.
    pub at: Timestamp,
}

impl Item for Reported {
    const TABLE: Table = Table::Payment;
    fn key(&self) -> Key {
        reported_key(self.provider, &self.id)
    }
    fn forget(&self) -> Option<Timestamp> {
        Some(self.at + SignedDuration::from_hours(24 * 30))
    }
}

fn reported_key(provider: Provider, id: &str) -> Key {
    Key::new(format!("reported#{}#{id}", provider.word()), "-")
}

/// Whether this report was taken in already.
///
/// # Errors
/// As [`Db::get`].
pub async fn was_reported(db: &Db, provider: Provider, id: &str) -> Result<bool> {
    Ok(db.get::<Reported>(&reported_key(provider, id)).await?.is_some())
}

/// Until when what a provider says was compared with our books.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reconciled {
    /// Which provider.
    pub provider: Provider,
    /// Until before this instant.
    pub until: Timestamp,
    /// Entries of which the provider knows nothing, the first 100: looked at again until it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unexplained: Vec<Entry>,
}

impl Item for Reconciled {
    const TABLE: Table = Table::Payment;
    fn key(&self) -> Key {
        reconciled_key(self.provider)
    }
}

fn reconciled_key(provider: Provider) -> Key {
    Key::new(format!("reconciled#{}", provider.word()), "-")
}

/// Until when a provider was compared with, if it ever was.
///
/// # Errors
/// As [`Db::get`].
pub async fn reconciled(db: &Db, provider: Provider) -> Result<Option<Stored<Reconciled>>> {
    db.get(&reconciled_key(provider)).await
}

impl Item for Circuit {
    const TABLE: Table = Table::Payment;
    fn key(&self) -> Key {
        circuit_key(self.provider)
    }
}

fn circuit_key(provider: Provider) -> Key {
    Key::new(format!("circuit#{}", provider.word()), "-")
}

/// A provider's circuit; nothing if it has never failed.
///
/// # Errors
/// As [`Db::get`].
pub async fn circuit(db: &Db, provider: Provider) -> Result<Option<Stored<Circuit>>> {
    db.get(&circuit_key(provider)).await
}

impl Item for Entry {
    const TABLE: Table = Table::Payment;
    fn key(&self) -> Key {
        Key::new(books(self.organisation), self.place())
    }
    fn first(&self) -> Option<(String, String)> {
        Some((noted_on(self.provider, self.at), self.place()))
    }
}

impl Entry {
    fn place(&self) -> String {
        format!("{}#{}", sortable(self.at), self.id)
    }
}

/// The partition of the entries of a day (UTC) about what a provider did.
fn noted_on(provider: Provider, at: Timestamp) -> String {
    format!("noted#{}#{}", provider.word(), at.strftime("%Y-%m-%d"))
}

/// The entries of all organisations about what a provider did from an instant to before another, a few hours later.
///
/// # Errors
/// As [`Db::list`].
pub async fn noted(db: &Db, provider: Provider, from: Timestamp, until: Timestamp) -> Result<Vec<Entry>> {
    let mut days = vec![noted_on(provider, from), noted_on(provider, until)];
    days.dedup();
    let mut found = Vec::new();
    for day in days {
        let query = Query::of(Listing::First, day).between(sortable(from), sortable(until));
        found.extend(db.list_all::<Entry>(&query).await?.into_iter().map(|entry| entry.value));
    }
    Ok(found)
}

fn owing(shard: u8) -> String {
    format!("owing#{shard}")
}

fn awaited(shard: u8) -> String {
    format!("awaited#{shard}")
}

/// The payments of one shard about whose promise something is to be done before this instant.
#[must_use]
pub fn awaking_in(shard: u8, until: Timestamp) -> Query {
    Query::of(Listing::First, awaited(shard)).between("0", sortable(until))
}

/// The partition of an organisation's books.
#[must_use]
pub fn books(organisation: OrganisationId) -> String {
    format!("ledger#{organisation}")
}

/// What is in an organisation's books from an instant to before another.
#[must_use]
pub fn entries(organisation: OrganisationId, from: Timestamp, until: Timestamp) -> Query {
    Query::of(Listing::Primary, books(organisation)).between(sortable(from), sortable(until))
}

/// The payments of one shard that owe a refund or wait, the oldest first.
#[must_use]
pub fn owing_in(shard: u8) -> Query {
    Query::of(Listing::First, owing(shard))
}

/// A payment.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn payment(db: &Db, id: PaymentId) -> Result<Stored<Payment>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}

/// The payments of these orders, with every provider.
///
/// # Errors
/// As [`Db::get_many`].
pub async fn payments_of(db: &Db, orders: &[OrderId]) -> Result<Vec<Stored<Payment>>> {
    let ids = orders.iter().flat_map(|order| Provider::ALL.iter().map(|with| Payment::id_of(*order, *with)));
    let keys: Vec<Key> = ids.map(|id| Key::new(id, "-")).collect();
    let mut found = Vec::new();
    for chunk in keys.chunks(100) {
        found.extend(db.get_many::<Payment>(chunk).await?);
    }
    Ok(found)
}
