//! Orders with all that belongs to them, and idempotent answers, in SQLite; events are kept by [`crate::events`].

use rusqlite::{Connection, OptionalExtension as _, ToSql, Transaction, params};
use serde_json::Value;

use super::error::Result;
use super::sale::{Happening, LETTERS, Sale};
use crate::{events, random};

/// Sequences order lists, newest first, and are never used twice (AUTOINCREMENT). `due` is when time alone changes a
/// payment, in seconds.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS sale (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created INTEGER NOT NULL, receipt TEXT,
  authorized INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS sale_receipt ON sale(receipt);
CREATE TABLE IF NOT EXISTS payment (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, sale TEXT NOT NULL, created INTEGER NOT NULL,
  due INTEGER) STRICT;
CREATE INDEX IF NOT EXISTS payment_due ON payment(due) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS refund (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, sale TEXT NOT NULL, payment TEXT NOT NULL,
  created INTEGER NOT NULL, receipt TEXT UNIQUE) STRICT;
CREATE INDEX IF NOT EXISTS refund_payment ON refund(payment);
CREATE TABLE IF NOT EXISTS idempotency (
  key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;";

/// The tables that can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Sale,
    Payment,
    Refund,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Payment => "payment",
            Self::Refund => "refund",
        }
    }

    /// The column that names the order.
    fn sale(self) -> &'static str {
        if self == Self::Sale { "id" } else { "sale" }
    }
}

/// What a list is cut to: newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut<'a> {
    /// From and to these seconds, both included.
    pub(crate) created: (Option<i64>, Option<i64>),
    /// Orders with this receipt.
    pub(crate) receipt: Option<&'a str>,
    /// Orders that some bank has ever set money aside for, or none has.
    pub(crate) authorized: Option<bool>,
    /// Refunds of this payment.
    pub(crate) payment: Option<&'a str>,
    pub(crate) skip: u32,
    pub(crate) most: u32,
}

fn read(body: Option<String>) -> Result<Option<Sale>> {
    Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
}

/// The order that this order, payment or refund belongs to.
pub(crate) fn sale_of(db: &Connection, table: Table, id: &str) -> Result<Option<Sale>> {
    let (column, name) = (table.sale(), table.name());
    let sql = format!("SELECT body FROM sale WHERE id = (SELECT {column} FROM {name} WHERE id = ?)");
    let mut find = db.prepare_cached(&sql)?;
    read(find.query_row([id], |row| row.get(0)).optional()?)
}

/// The orders with payments that time alone has changed by now.
pub(crate) fn due(db: &Connection, now: i64) -> Result<Vec<Sale>> {
    let mut due = db.prepare_cached(
        "SELECT body FROM sale WHERE id IN (SELECT sale FROM payment WHERE due <= ?) ORDER BY sequence",
    )?;
    let bodies = due.query_map([now], |row| row.get::<_, String>(0))?;
    bodies.map(|body| Ok(serde_json::from_str(&body?)?)).collect()
}

/// Keeps an order as it is now and what happened to it; answers the events' sequences.
pub(crate) fn save(tx: &Transaction<'_>, sale: &mut Sale, account: &str, now: i64) -> Result<Vec<i64>> {
    let happenings = std::mem::take(&mut sale.happenings);
    tx.prepare_cached(
        "INSERT INTO sale (id, created, receipt, authorized, body) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET authorized = excluded.authorized, body = excluded.body",
    )?
    .execute(params![
        sale.id,
        sale.created,
        sale.receipt,
        sale.authorized(),
        serde_json::to_string(sale)?
    ])?;
    let mut payment = tx.prepare_cached(
        "INSERT INTO payment (id, sale, created, due) VALUES (?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET due = excluded.due",
    )?;
    for attempt in &sale.attempts {
        payment.execute(params![attempt.id, sale.id, attempt.created, sale.due(attempt)])?;
    }
    let mut refund = tx.prepare_cached(
        "INSERT INTO refund (id, sale, payment, created, receipt) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    )?;
    for one in &sale.refunds {
        refund.execute(params![one.id, sale.id, one.payment, one.created, one.receipt])?;
    }
    let mut sequences = Vec::with_capacity(happenings.len());
    for happening in &happenings {
        let id = random::id_of::<LETTERS>("")?;
        let names = (id.as_str(), happening.kind, happening.payment.as_str());
        sequences.push(events::insert(tx, names, now, &write(happening, account, now))?);
    }
    Ok(sequences)
}

/// An event's body, in the order and the spelling that Razorpay's PHP gives it: whoever checks a signature must not
/// rely on another's spelling of JSON.
fn write(happening: &Happening, account: &str, now: i64) -> String {
    let contains: Vec<_> = happening.objects.iter().map(|(kind, _)| Value::from(*kind)).collect();
    let payload: Vec<_> =
        happening.objects.iter().map(|(kind, object)| format!(r#""{kind}":{{"entity":{object}}}"#)).collect();
    let written = format!(
        r#"{{"entity":"event","account_id":{},"event":"{}","contains":{},"payload":{{{}}},"created_at":{now}}}"#,
        Value::from(account),
        happening.kind,
        Value::from(contains),
        payload.join(","),
    );
    let mut php = String::with_capacity(written.len());
    let mut units = [0; 2];
    for letter in written.chars() {
        match letter {
            '/' => php.push_str(r"\/"),
            ascii if ascii.is_ascii() => php.push(ascii),
            other => {
                other.encode_utf16(&mut units).iter().for_each(|unit| php.push_str(&format!(r"\u{unit:04x}")))
            }
        }
    }
    php
}

/// The identifiers in a table, newest first.
pub(crate) fn list(db: &Connection, table: Table, cut: &Cut<'_>) -> Result<Vec<String>> {
    let mut clauses = String::from("1");
    let mut values: Vec<&dyn ToSql> = Vec::new();
    for (clause, value) in [
        ("created >=", cut.created.0.as_ref().map(|value| value as &dyn ToSql)),
        ("created <=", cut.created.1.as_ref().map(|value| value as &dyn ToSql)),
        ("receipt =", cut.receipt.as_ref().map(|value| value as &dyn ToSql)),
        ("authorized =", cut.authorized.as_ref().map(|value| value as &dyn ToSql)),
        ("payment =", cut.payment.as_ref().map(|value| value as &dyn ToSql)),
    ] {
        if let Some(value) = value {
            clauses.push_str(&format!(" AND {clause} ?"));
            values.push(value);
        }
    }
    let (name, most, skip) = (table.name(), cut.most, cut.skip);
    let sql =
        format!("SELECT id FROM {name} WHERE {clauses} ORDER BY sequence DESC LIMIT {most} OFFSET {skip}");
    let mut list = db.prepare_cached(&sql)?;
    let ids = list.query_map(values.as_slice(), |row| row.get(0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// Whether some refund has this receipt.
pub(crate) fn receipt_taken(db: &Connection, receipt: &str) -> Result<bool> {
    let mut taken = db.prepare_cached("SELECT EXISTS (SELECT 1 FROM refund WHERE receipt = ?)")?;
    Ok(taken.query_row([receipt], |row| row.get(0))?)
}

/// The fingerprint of the request that used this key first, and its answer.
pub(crate) fn remembered(db: &Connection, key: &str) -> Result<Option<(String, String)>> {
    let mut find = db.prepare_cached("SELECT fingerprint, body FROM idempotency WHERE key = ?")?;
    Ok(find.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

pub(crate) fn remember(tx: &Transaction<'_>, key: &str, fingerprint: &str, body: &str) -> Result<()> {
    tx.prepare_cached("INSERT INTO idempotency VALUES (?, ?, ?)")?.execute([key, fingerprint, body])?;
    Ok(())
}
