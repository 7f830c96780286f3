//! What happened in a payment sandbox, kept until the shop has heard of it and after.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde_json::Value;

use crate::trouble::Result;

/// Sequences order lists, newest first, and are never used twice (AUTOINCREMENT). `delivered` is when the webhook
/// was, in milliseconds.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS event (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,
  kind TEXT NOT NULL, payment TEXT NOT NULL, delivered INTEGER, attempts INTEGER NOT NULL DEFAULT 0, status INTEGER,
  trouble TEXT, body TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS event_undelivered ON event(sequence) WHERE delivered IS NULL;
CREATE INDEX IF NOT EXISTS event_payment ON event(payment);";

/// An event and how its delivery goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The provider's identifier: Stripe's `evt_…`, Razorpay's 14 letters and digits.
    pub id: String,
    /// Such as `payment_intent.succeeded` or `payment.captured`.
    pub kind: String,
    /// The payment it is about.
    pub payment: String,
    /// Seconds since 1970.
    pub created: i64,
    /// When the receiver took it first, in milliseconds since 1970; `None` while it has not.
    pub delivered_ms: Option<i64>,
    /// How often it was sent, repetitions of one attempt not counted.
    pub attempts: u32,
    /// What the receiver answered last, an HTTP status.
    pub status: Option<u16>,
    /// Why the last attempt had no answer.
    pub trouble: Option<String>,
    /// The event as the provider writes it.
    pub body: Value,
}

const EVENT: &str = "id, kind, payment, created, delivered, attempts, status, trouble, body";

fn read(row: &Row<'_>) -> rusqlite::Result<(Event, String)> {
    let event = Event {
        id: row.get(0)?,
        kind: row.get(1)?,
        payment: row.get(2)?,
        created: row.get(3)?,
        delivered_ms: row.get(4)?,
        attempts: row.get(5)?,
        status: row.get(6)?,
        trouble: row.get(7)?,
        body: Value::Null,
    };
    Ok((event, row.get(8)?))
}

fn with_body((mut event, text): (Event, String)) -> Result<(Event, String)> {
    event.body = serde_json::from_str(&text)?;
    Ok((event, text))
}

/// Keeps an event of this moment, in seconds since 1970; answers its sequence.
pub(crate) fn insert(
    tx: &Transaction<'_>,
    (id, kind, payment): (&str, &str, &str),
    now: i64,
    body: &str,
) -> Result<i64> {
    let mut insert =
        tx.prepare_cached("INSERT INTO event (id, created, kind, payment, body) VALUES (?, ?, ?, ?, ?)")?;
    Ok(insert.insert(params![id, now, kind, payment, body])?)
}

pub(crate) fn one(db: &Connection, id: &str) -> Result<Option<Event>> {
    let mut one = db.prepare_cached(&format!("SELECT {EVENT} FROM event WHERE id = ?"))?;
    Ok(one.query_row([id], read).optional()?.map(with_body).transpose()?.map(|(event, _)| event))
}

/// The event of this sequence, and the very text it was written as.
pub(crate) fn at(db: &Connection, sequence: i64) -> Result<Option<(Event, String)>> {
    let mut at = db.prepare_cached(&format!("SELECT {EVENT} FROM event WHERE sequence = ?"))?;
    at.query_row([sequence], read).optional()?.map(with_body).transpose()
}

pub(crate) fn sequence(db: &Connection, id: &str) -> Result<Option<i64>> {
    let mut sequence = db.prepare_cached("SELECT sequence FROM event WHERE id = ?")?;
    Ok(sequence.query_row([id], |row| row.get(0)).optional()?)
}

/// Up to `most` events after the first `skip`, newest first, of one payment or of all.
pub(crate) fn list(db: &Connection, payment: Option<&str>, skip: u32, most: u32) -> Result<Vec<Event>> {
    let mut list = db.prepare_cached(&format!(
        "SELECT {EVENT} FROM event WHERE ?1 IS NULL OR payment = ?1 ORDER BY sequence DESC LIMIT ?2 OFFSET ?3"
    ))?;
    let rows = list.query_map(params![payment, most, skip], read)?;
    rows.map(|row| Ok(with_body(row?)?.0)).collect()
}

/// The events nobody took yet, oldest first.
pub(crate) fn undelivered(db: &Connection) -> Result<Vec<i64>> {
    let mut waiting = db.prepare("SELECT sequence FROM event WHERE delivered IS NULL ORDER BY sequence")?;
    Ok(waiting.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Notes an attempt to deliver.
pub(crate) fn note_attempt(
    tx: &Transaction<'_>,
    sequence: i64,
    delivered_ms: Option<i64>,
    status: Option<u16>,
    trouble: Option<&str>,
) -> Result<()> {
    tx.prepare_cached(
        "UPDATE event SET attempts = attempts + 1, delivered = coalesce(delivered, ?2), status = ?3, trouble = ?4
         WHERE sequence = ?1",
    )?
    .execute(params![sequence, delivered_ms, status, trouble])?;
    Ok(())
}
