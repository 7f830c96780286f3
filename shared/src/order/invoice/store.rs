//! How invoices are kept and numbered.
//!
//! | item | pk | sk | g1 |
//! |---|---|---|---|
//! | settings | organisation id | `invoicing` | |
//! | numbering: the last number that was taken, and what for | organisation id | `numbering` | |
//! | invoice, credit note | invoice id | `-` | `invoices#` organisation, by issue, then number |
//! | note that it was drawn and may be sent | invoice id | `drawn` | |
//! | note that its number is asked for anew | invoice id | `queued` | |
//!
//! # Numbers without a gap
//!
//! A number is taken by replacing the organisation's [`Numbering`] under its version, and used by the first write of a document. A
//! function may die between the two. What keeps the numbers whole, with any number of functions at work:
//!
//! 1. The numbering says what its last number is for. Whoever takes the next one first makes sure that this one's document is there,
//!    and writes it if it is not. So at every moment at most the last number has no document yet: no gap.
//! 2. It is replaced under the version that was read. So nobody takes a number twice, and none is passed over.
//! 3. A document's key follows from what it is for, and it is looked for *after* the numbering was read. If it is not there and the
//!    last number is not for it either, it has none, and can only get one by a newer version of the numbering: then the replacement
//!    fails. So nothing gets two numbers.
//! 4. Documents are written once. Two who write the same one, with settings that changed in between, leave the first.
//! 5. Everything that a document is made of is read before its number is taken, and stays readable: what cannot be written takes no
//!    number.
//! 6. A credit note looks for its invoice first, and has it numbered if need be: it says its number.
//!
//! `tests/proof/src/numbering.rs` checks this in every interleaving, and that the first four are needed.
//!
//! Who loses a race reads again; each loss means that somebody else has a number. Who loses [`TRIES`] times in a row asks anew with a new
//! message ([`ask_again`]): that many want numbers at once delays them, but never fills the dead letters.

use super::{Draft, Invoice, InvoiceSettings, Invoicing, Numbering, Paper, Supply, Taken};
use crate::booking::Subject;
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Listing, Put, Query, Replace, Stored, Table};
use crate::error::{Code, Result};
use crate::id::{InvoiceId, OrganisationId};
use crate::message::Message;
use crate::order::Order;
use crate::{catalogue, order, payment, retail, vendor};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// So many races are lost before a number is asked for anew: the nine others of a batch, and some.
pub const TRIES: u32 = 12;

impl Item for Invoicing {
    const TABLE: Table = Table::Order;
    fn key(&self) -> Key {
        Key::new(self.organisation, "invoicing")
    }
}

impl Item for Numbering {
    const TABLE: Table = Table::Order;
    fn key(&self) -> Key {
        Key::new(self.organisation, "numbering")
    }
}

impl Item for Invoice {
    const TABLE: Table = Table::Order;
    fn key(&self) -> Key {
        key(self.id)
    }
    fn first(&self) -> Option<(String, String)> {
        Some((listed(self.organisation), format!("{}#{:010}", sortable(self.issued), self.sequence)))
    }
}

/// The PDF of a document is stored, and its buyer is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drawn {
    /// Which document.
    pub invoice: InvoiceId,
}

impl Item for Drawn {
    const TABLE: Table = Table::Order;
    fn key(&self) -> Key {
        Key::new(self.invoice, "drawn")
    }
}

/// Too many wanted numbers at once: this one was asked for anew.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Queued {
    /// Which document.
    invoice: InvoiceId,
    /// How often.
    turns: u32,
}

impl Item for Queued {
    const TABLE: Table = Table::Order;
    fn key(&self) -> Key {
        Key::new(self.invoice, "queued")
    }
}

fn key(id: InvoiceId) -> Key {
    Key::new(id, "-")
}

/// The partition in which an organisation's documents are listed.
#[must_use]
pub fn listed(organisation: OrganisationId) -> String {
    format!("invoices#{organisation}")
}

/// An organisation's documents from an instant to before another, by number.
#[must_use]
pub fn issued(organisation: OrganisationId, from: Timestamp, until: Timestamp) -> Query {
    Query::of(Listing::First, listed(organisation)).between(sortable(from), sortable(until))
}

/// Where a document's PDF is.
#[must_use]
pub fn document(id: InvoiceId) -> String {
    format!("invoices/{id}.pdf")
}

/// An organisation's settings, if it has written any.
///
/// # Errors
/// As [`Db::get`].
pub async fn invoicing(db: &Db, organisation: OrganisationId) -> Result<Option<Stored<Invoicing>>> {
    db.get(&Key::new(organisation, "invoicing")).await
}

/// A document.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn invoice(db: &Db, id: InvoiceId) -> Result<Stored<Invoice>> {
    db.get(&key(id)).await?.ok_or_else(|| Code::NotFound.into())
}

/// An order's documents, by number.
///
/// # Errors
/// As [`Db::get_many`].
pub async fn invoices_of(db: &Db, order: &Order) -> Result<Vec<Invoice>> {
    let mut found = Vec::new();
    let papers = order.papers();
    let keys: Vec<Key> = papers.iter().map(|paper| key(paper.id())).collect();
    for chunk in keys.chunks(100) {
        found.extend(db.get_many::<Invoice>(chunk).await?.into_iter().map(|invoice| invoice.value));
    }
    found.sort_by_key(|invoice| invoice.sequence);
    Ok(found)
}

async fn settings(db: &Db, organisation: OrganisationId) -> Result<InvoiceSettings> {
    match invoicing(db, organisation).await? {
        Some(known) => Ok(known.value.settings),
        None => Err(Code::Internal.caused_by(format!("{organisation} has no settings for its invoices"))),
    }
}

/// What was sold, as it is called now.
async fn supply(db: &Db, order: &Order) -> Result<Supply> {
    let (name, zone, day) = match order.quote.subject {
        Subject::Event(id) => {
            let details = catalogue::store::event(db, id).await?.value.details;
            (details.name.to_string(), details.starts.zone, Some(details.starts.local.date()))
        }
        Subject::Service(id) => {
            let details = vendor::store::service(db, id).await?.value.details;
            (details.name.to_string(), details.zone, None)
        }
        Subject::Store(id) => {
            let details = retail::store::store(db, id).await?.value.details;
            (details.name.to_string(), details.zone, None)
        }
    };
    let place = TimeZone::get(&zone).map_err(|error| Code::Internal.caused_by(error))?;
    let first = order.quote.lines.iter().filter_map(|line| line.slot).map(|slot| slot.starts).min();
    Ok(Supply { name, date: day.or_else(|| Some(place.to_datetime(first?).date())), zone })
}

/// What a document will say; nothing if there is to be none.
async fn draft(db: &Db, paper: Paper) -> Result<Option<Draft>> {
    let order = order::store::order(db, paper.order()).await?.value;
    let (Some(paid), organisation) = (order.invoiced_payment(), order.quote.organisation) else {
        return Ok(None);
    };
    let settings = settings(db, organisation).await?;
    match paper {
        Paper::Invoice { .. } => Draft::of_order(&order, settings, supply(db, &order).await?),
        Paper::CreditNote { refund, .. } => {
            let invoice = invoice(db, Paper::Invoice { order: order.id }.id()).await?.value;
            let payment = payment::store::payment(db, paid).await?.value;
            // Another payment's refund: an order that was paid twice was sold once.
            match payment.refund(refund) {
                Some(refund) => Draft::of_refund(&invoice, settings, refund),
                None => Ok(None),
            }
        }
    }
}

/// Issues a document, and a credit note's invoice before it: under the next number, unless it has one. Nothing if there is to be none.
///
/// # Errors
/// `busy` after [`TRIES`] lost races; the store's own.
pub async fn issue(db: &Db, paper: Paper, now: Timestamp) -> Result<Option<Invoice>> {
    if let Paper::CreditNote { order, .. } = paper {
        let invoice = Paper::Invoice { order };
        if db.get::<Invoice>(&key(invoice.id())).await?.is_none() {
            numbered(db, invoice, now).await?;
        }
    }
    numbered(db, paper, now).await
}

async fn numbered(db: &Db, paper: Paper, now: Timestamp) -> Result<Option<Invoice>> {
    let Some(draft) = draft(db, paper).await? else { return Ok(None) };
    let organisation = draft.organisation();
    let mut known: Option<Stored<Numbering>> = db.get(&Key::new(organisation, "numbering")).await?;
    for _ in 0..TRIES {
        let last = known.as_ref().map(|known| known.value.last);
        if let Some(invoice) = settled(db, paper, last).await? {
            return Ok(Some(invoice));
        }
        let taken = Taken::after(last.as_ref(), paper, now);
        let next = Numbering { organisation, last: taken };
        known = match &known {
            Some(known) => match db.replace(known, next, Vec::new(), now).await? {
                Replace::Done(_) => return write(db, &draft, &taken, now).await.map(Some),
                Replace::Changed(current) => current,
            },
            None => match db.put_new(next, Vec::new(), now).await? {
                Put::Done(_) => return write(db, &draft, &taken, now).await.map(Some),
                Put::Existed(current) => Some(current),
            },
        };
    }
    Code::Busy.refuse()
}

/// Makes sure that the last number has its document. The answer is the one that is looked for, if it is there.
async fn settled(db: &Db, paper: Paper, last: Option<Taken>) -> Result<Option<Invoice>> {
    let mut keys = vec![key(paper.id())];
    keys.extend(last.filter(|last| last.paper != paper).map(|last| key(last.paper.id())));
    let found = db.get_many::<Invoice>(&keys).await?;
    let there = |paper: Paper| found.iter().find(|known| known.value.id == paper.id());
    if let Some(known) = there(paper) {
        return Ok(Some(known.value.clone()));
    }
    let Some(last) = last.filter(|last| there(last.paper).is_none()) else { return Ok(None) };
    let draft = draft(db, last.paper).await?;
    let draft = draft.ok_or_else(|| Code::Internal.caused_by("a number was taken for nothing"))?;
    let written = write(db, &draft, &last, last.at).await?;
    Ok((last.paper == paper).then_some(written))
}

async fn write(db: &Db, draft: &Draft, taken: &Taken, now: Timestamp) -> Result<Invoice> {
    Ok(db.put_new(draft.numbered(taken), Vec::new(), now).await?.stored().value)
}

/// Asks for a number anew, with a message that nobody has tried to deliver yet.
///
/// # Errors
/// The store's own.
pub async fn ask_again(db: &Db, paper: Paper, now: Timestamp) -> Result<()> {
    let invoice = paper.id();
    let told = vec![paper.due()];
    // Who is faster here asks the same.
    match db.get::<Queued>(&Key::new(invoice, "queued")).await? {
        Some(known) => {
            let next = Queued { turns: known.value.turns + 1, ..known.value.clone() };
            db.replace(&known, next, told, now).await.map(drop)
        }
        None => db.put_new(Queued { invoice, turns: 1 }, told, now).await.map(drop),
    }
}

/// Notes that a document's PDF is stored, and tells.
///
/// # Errors
/// The store's own.
pub async fn drawn(db: &Db, invoice: InvoiceId, now: Timestamp) -> Result<()> {
    db.put_new(Drawn { invoice }, vec![Message::InvoiceIssued { invoice }], now).await.map(drop)
}
