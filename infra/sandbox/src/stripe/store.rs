//! Payments and idempotent answers in SQLite; events are kept by [`crate::events`].

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde_json::json;

use super::error::{Error, Result};
use super::intent::Intent;
use crate::events::{self, Event};

/// How long the answer to an idempotent call is kept, in seconds.
const REMEMBERED: i64 = 86_400;

/// Sequences order lists, newest first, and are never used twice (AUTOINCREMENT).
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS payment (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,
  body TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS charge (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, payment TEXT NOT NULL,
  created INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS charge_payment ON charge(payment);
CREATE TABLE IF NOT EXISTS refund (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, payment TEXT NOT NULL,
  created INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS refund_payment ON refund(payment);
CREATE TABLE IF NOT EXISTS balance_transaction (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, payment TEXT NOT NULL,
  created INTEGER NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS balance_transaction_source ON balance_transaction(source);
CREATE TABLE IF NOT EXISTS idempotency (
  key TEXT PRIMARY KEY, created INTEGER NOT NULL, fingerprint TEXT NOT NULL, status INTEGER NOT NULL,
  request TEXT NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_created ON idempotency(created);";

/// What a list is cut to: newest first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cut<'a> {
    /// Only those older than this one.
    pub(crate) after: Option<&'a str>,
    /// Only those newer than this one.
    pub(crate) before: Option<&'a str>,
    /// From and to these seconds, both included.
    pub(crate) created: (Option<i64>, Option<i64>),
    /// Those of this payment.
    pub(crate) payment: Option<&'a str>,
    /// Those of these kinds, events and balance transactions only; all if empty.
    pub(crate) kinds: &'a [&'a str],
    /// Those of this charge or refund, balance transactions only.
    pub(crate) source: Option<&'a str>,
    pub(crate) skip: u32,
    pub(crate) most: u32,
}

/// The tables that can be listed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Table {
    Payment,
    Charge,
    Refund,
    Event,
    Balance,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::Event => "event",
            Self::Balance => "balance_transaction",
        }
    }
}

/// Who caused an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause<'a> {
    pub(crate) request: Option<&'a str>,
    pub(crate) idempotency_key: Option<&'a str>,
    pub(crate) api_version: &'a str,
}

/// An answer that is given again.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub(crate) fingerprint: String,
    pub(crate) status: u16,
    pub(crate) request: String,
    pub(crate) body: String,
}

pub(crate) fn payment(db: &Connection, id: &str) -> Result<Option<Intent>> {
    let mut read = db.prepare_cached("SELECT body FROM payment WHERE id = ?")?;
    let body: Option<String> = read.query_row([id], |row| row.get(0)).optional()?;
    Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
}

/// The payment that a charge, refund or balance transaction belongs to.
pub(crate) fn payment_of(db: &Connection, table: Table, id: &str) -> Result<Option<Intent>> {
    let mut read = db.prepare_cached(&format!(
        "SELECT body FROM payment WHERE id = (SELECT payment FROM {} WHERE id = ?)",
        table.name()
    ))?;
    let body: Option<String> = read.query_row([id], |row| row.get(0)).optional()?;
    Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
}

/// Keeps a payment as it is now and what happened to it; answers the events' sequences.
pub(crate) fn save(
    tx: &Transaction<'_>,
    intent: &mut Intent,
    cause: Cause<'_>,
    now: i64,
) -> Result<Vec<i64>> {
    let happenings = std::mem::take(&mut intent.happenings);
    tx.prepare_cached(
        "INSERT INTO payment (id, created, body) VALUES (?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET body = excluded.body",
    )?
    .execute(params![intent.id, intent.created, serde_json::to_string(intent)?])?;
    let mut charge =
        tx.prepare_cached("INSERT OR IGNORE INTO charge (id, payment, created) VALUES (?, ?, ?)")?;
    for id in intent.charges.iter().map(|charge| &charge.id) {
        charge.execute(params![id, intent.id, now])?;
    }
    let mut refund =
        tx.prepare_cached("INSERT OR IGNORE INTO refund (id, payment, created) VALUES (?, ?, ?)")?;
    for id in intent.refunds.iter().map(|refund| &refund.id) {
        refund.execute(params![id, intent.id, now])?;
    }
    let mut movement = tx.prepare_cached(
        "INSERT OR IGNORE INTO balance_transaction (id, payment, created, kind, source) VALUES (?, ?, ?, ?, ?)",
    )?;
    for one in &intent.movements {
        movement.execute(params![one.id, intent.id, one.created, one.kind, one.source])?;
    }
    let mut sequences = Vec::with_capacity(happenings.len());
    for happening in happenings {
        let id = crate::random::id("evt_3")?;
        let body = json!({
            "id": id,
            "object": "event",
            "api_version": cause.api_version,
            "created": now,
            "data": {"object": happening.object},
            "livemode": false,
            "pending_webhooks": 1,
            "request": {"id": cause.request, "idempotency_key": cause.idempotency_key},
            "type": happening.kind,
        });
        let names = (id.as_str(), happening.kind, intent.id.as_str());
        sequences.push(events::insert(tx, names, now, &body.to_string())?);
    }
    Ok(sequences)
}

/// The identifiers in a table, newest first (oldest first only to cut; the answer is turned round).
pub(crate) fn list(db: &Connection, table: Table, cut: &Cut<'_>) -> Result<Vec<String>> {
    let name = table.name();
    let payment = if matches!(table, Table::Payment) { "id" } else { "payment" };
    let order = if cut.before.is_some() { "ASC" } else { "DESC" };
    let mut clauses = String::from("1");
    let mut values: Vec<&dyn rusqlite::ToSql> = Vec::new();
    let position = |id: &str, param: &str| {
        let mut read = db.prepare_cached(&format!("SELECT sequence FROM {name} WHERE id = ?"))?;
        let sequence: Option<i64> = read.query_row([id], |row| row.get(0)).optional()?;
        sequence.ok_or_else(|| Error::no_such(name, id, param).status(400))
    };
    let after = cut.after.map(|id| position(id, "starting_after")).transpose()?;
    let before = cut.before.map(|id| position(id, "ending_before")).transpose()?;
    for (clause, value) in [
        ("sequence <", &after as &dyn rusqlite::ToSql),
        ("sequence >", &before),
        ("created >=", &cut.created.0),
        ("created <=", &cut.created.1),
    ] {
        values.push(value);
        let place = values.len();
        clauses.push_str(&format!(" AND (?{place} IS NULL OR {clause} ?{place})"));
    }
    if let Some(id) = &cut.payment {
        values.push(id);
        clauses.push_str(&format!(" AND {payment} = ?{}", values.len()));
    }
    if let Some(id) = &cut.source {
        values.push(id);
        clauses.push_str(&format!(" AND source = ?{}", values.len()));
    }
    if !cut.kinds.is_empty() {
        let first = values.len();
        values.extend(cut.kinds.iter().map(|kind| kind as &dyn rusqlite::ToSql));
        let places: Vec<_> = (first + 1..=values.len()).map(|place| format!("?{place}")).collect();
        clauses.push_str(&format!(" AND kind IN ({})", places.join(", ")));
    }
    let sql = format!(
        "SELECT id FROM {name} WHERE {clauses} ORDER BY sequence {order} LIMIT {} OFFSET {}",
        cut.most, cut.skip
    );
    let mut read = db.prepare_cached(&sql)?;
    let ids = read.query_map(values.as_slice(), |row| row.get(0))?;
    let mut ids: Vec<String> = ids.collect::<rusqlite::Result<_>>()?;
    if cut.before.is_some() {
        ids.reverse();
    }
    Ok(ids)
}

/// An event as Stripe shows it: one that was delivered has no webhooks pending.
pub(crate) fn shown(mut event: Event) -> Event {
    if event.delivered_ms.is_some()
        && let Some(object) = event.body.as_object_mut()
    {
        object.insert("pending_webhooks".into(), 0.into());
    }
    event
}

pub(crate) fn remembered(db: &Connection, key: &str, now: i64) -> Result<Option<Remembered>> {
    let mut read = db.prepare_cached(
        "SELECT fingerprint, status, request, body FROM idempotency WHERE key = ? AND created > ?",
    )?;
    let row = read.query_row(params![key, now - REMEMBERED], |row| {
        Ok(Remembered {
            fingerprint: row.get(0)?,
            status: row.get(1)?,
            request: row.get(2)?,
            body: row.get(3)?,
        })
    });
    Ok(row.optional()?)
}

pub(crate) fn remember(tx: &Transaction<'_>, key: &str, answer: &Remembered, now: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM idempotency WHERE created <= ?")?.execute([now - REMEMBERED])?;
    tx.prepare_cached("INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?)")?.execute(params![
        key,
        now,
        answer.fingerprint,
        answer.status,
        answer.request,
        answer.body
    ])?;
    Ok(())
}
