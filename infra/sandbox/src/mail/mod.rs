//! A sandbox of SES v2: takes mail as SendEmail does, keeps it, and shows it.
//!
//! The SES client of an AWS SDK works against it with its endpoint set to where [`router`] is mounted. Signatures are
//! not checked. What was sent is read through the methods of [`Mail`], or as JSON.
//!
//! | module | holds |
//! |---|---|
//! | this one | [`Mail`], and what is kept |
//! | `message` | what is sent made into a raw message, and raw messages taken apart |
//! | `wire` | [`router`]: SendEmail and its errors as SES spells them, and the JSON of what was sent |
//!
//! Left out: templates, bulk mail, identities and their verification, configuration sets, suppression lists, bounces
//! and complaints. What a SendEmail says about these is accepted and ignored, but a template is refused.

mod message;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

pub use message::{Attachment, Message};
pub use wire::router;

use crate::{Clock, Storage, random, storage};
use message::Outgoing;

/// A refusal as SES answers it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Error {
    /// 400 or 429; 404 for a message that is not there; 500 if the store failed.
    pub status: u16,
    /// SES's name for it, such as `MessageRejected`.
    pub kind: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// The result of every operation here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into() }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequestException", message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "NotFoundException", "There is no such message.")
    }

    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalServiceErrorException", cause.to_string())
    }
}

impl From<rusqlite::Error> for Error {
    fn from(cause: rusqlite::Error) -> Self {
        Self::internal(format_args!("mail store: {cause}"))
    }
}

impl From<getrandom::Error> for Error {
    fn from(cause: getrandom::Error) -> Self {
        Self::internal(format_args!("randomness: {cause}"))
    }
}

/// How the sandbox misbehaves; all off at first. Numbers are used up. They last as long as the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// So many of the next sends fail with status 500.
    pub fail_next: u32,
    /// So many of the next sends fail with `TooManyRequestsException`, status 429.
    pub throttle_next: u32,
    /// So many of the next sends fail with `MessageRejected`, status 400.
    pub reject_next: u32,
    /// Sends to one of these addresses fail with `MessageRejected`; capitals make no difference.
    pub reject: Vec<String>,
    /// So many of the next sends are taken, and the connection breaks instead of the answer.
    pub lose_next: u32,
    /// Every send is answered so many milliseconds later. Up to 600,000.
    pub delay_ms: u64,
}

/// `number` orders the messages and is never used twice (AUTOINCREMENT). Addresses are in small letters.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS message (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, received INTEGER NOT NULL, sender TEXT NOT NULL,
  recipients TEXT NOT NULL, raw BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS recipient (
  address TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (address, number)) STRICT, WITHOUT ROWID;";

/// The sandbox. Each method fails with status 500 if the store cannot be read or written, and has then changed
/// nothing.
pub struct Mail {
    clock: Clock,
    store: Mutex<Connection>,
    switches: Mutex<Switches>,
}

impl Mail {
    /// Opens or makes the store.
    ///
    /// # Errors
    /// Status 500 if the file cannot be opened, is no store, or belongs to a running process.
    pub fn open(storage: &Storage, clock: Clock) -> Result<Arc<Self>> {
        let store = Mutex::new(storage::open(storage, SCHEMA)?);
        Ok(Arc::new(Self { clock, store, switches: Mutex::default() }))
    }

    /// Up to `most` messages after the first `skip`, newest first, to one recipient (capitals make no difference) or
    /// to all.
    ///
    /// # Errors
    /// If the store fails.
    pub fn list(&self, to: Option<&str>, skip: u32, most: u32) -> Result<Vec<Message>> {
        let store = self.store();
        let mut read = store.prepare_cached(
            "SELECT id, received, sender, recipients, raw FROM message
             WHERE ?1 IS NULL OR number IN (SELECT number FROM recipient WHERE address = ?1)
             ORDER BY number DESC LIMIT ?2 OFFSET ?3",
        )?;
        let to = to.map(str::to_lowercase);
        let rows = read.query_map(params![to, most, skip], read_message)?;
        rows.map(|row| row.map_err(Error::from)).collect()
    }

    /// How many messages there are, to one recipient or to all.
    ///
    /// # Errors
    /// If the store fails.
    pub fn count(&self, to: Option<&str>) -> Result<u64> {
        let sql = match to {
            Some(_) => "SELECT count(*) FROM recipient WHERE address = ?1",
            None => "SELECT count(*) FROM message WHERE ?1 IS NULL",
        };
        let to = to.map(str::to_lowercase);
        Ok(self.store().prepare_cached(sql)?.query_row([to], |row| row.get(0))?)
    }

    /// One message.
    ///
    /// # Errors
    /// Status 404 if there is none with this identifier.
    pub fn get(&self, id: &str) -> Result<Message> {
        let store = self.store();
        let mut read =
            store.prepare_cached("SELECT id, received, sender, recipients, raw FROM message WHERE id = ?")?;
        read.query_row([id], read_message).optional()?.ok_or_else(Error::not_found)
    }

    /// A message as it was sent, headers and all.
    ///
    /// # Errors
    /// Status 404 if there is none with this identifier.
    pub fn raw(&self, id: &str) -> Result<Vec<u8>> {
        let store = self.store();
        let mut read = store.prepare_cached("SELECT raw FROM message WHERE id = ?")?;
        read.query_row([id], |row| row.get(0)).optional()?.ok_or_else(Error::not_found)
    }

    /// The content of a message's attachment, counted from 0.
    ///
    /// # Errors
    /// Status 404 if there is no such message or attachment.
    pub fn attachment(&self, id: &str, number: usize) -> Result<(Attachment, Vec<u8>)> {
        message::attachment(&self.raw(id)?, number).ok_or_else(Error::not_found)
    }

    /// Forgets all messages.
    ///
    /// # Errors
    /// If the store fails.
    pub fn clear(&self) -> Result<()> {
        let mut store = self.store();
        let tx = store.transaction()?;
        tx.execute_batch("DELETE FROM recipient; DELETE FROM message;")?;
        Ok(tx.commit()?)
    }

    /// How it misbehaves now.
    #[must_use]
    pub fn switches(&self) -> Switches {
        self.lock_switches().clone()
    }

    /// Changes how it misbehaves.
    ///
    /// # Errors
    /// Status 400, with nothing changed, if the delay is out of its bounds.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) -> Result<Switches> {
        let mut switches = self.lock_switches();
        let mut changed = switches.clone();
        change(&mut changed);
        if changed.delay_ms > 600_000 {
            return Err(Error::bad("delay_ms is up to 600000."));
        }
        switches.clone_from(&changed);
        Ok(changed)
    }

    /// Keeps a message; answers SES's identifier for it.
    fn keep(&self, outgoing: &Outgoing) -> Result<String> {
        let now = (self.clock)();
        let [a, b] = [random::bytes::<8>()?, random::bytes::<8>()?].map(u64::from_be_bytes);
        // The look of SES's own: the time, something unique, and a count of what was split off it.
        let id = format!(
            "{now:016x}-{:08x}-{:04x}-{:04x}-{:04x}-{:012x}-000000",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xffff,
            b >> 48,
            b & 0xffff_ffff_ffff
        );
        let recipients = serde_json::to_string(&outgoing.recipients).map_err(Error::internal)?;
        let mut store = self.store();
        let tx = store.transaction()?;
        let number = tx
            .prepare_cached(
                "INSERT INTO message (id, received, sender, recipients, raw) VALUES (?, ?, ?, ?, ?)",
            )?
            .insert(params![id, now, outgoing.sender, recipients, outgoing.raw])?;
        for address in &outgoing.recipients {
            tx.prepare_cached("INSERT OR IGNORE INTO recipient (address, number) VALUES (?, ?)")?
                .execute(params![address, number])?;
        }
        tx.commit()?;
        Ok(id)
    }

    /// A panic in another thread leaves the store usable: its transaction was rolled back on the way.
    fn store(&self) -> MutexGuard<'_, Connection> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_switches(&self) -> MutexGuard<'_, Switches> {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_message(row: &rusqlite::Row<'_>) -> rusqlite::Result<Message> {
    let (sender, recipients): (String, String) = (row.get(2)?, row.get(3)?);
    let wrong =
        |cause| rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(cause));
    let recipients = serde_json::from_str(&recipients).map_err(wrong)?;
    let raw: Vec<u8> = row.get(4)?;
    Ok(Message::read(row.get(0)?, row.get(1)?, sender, recipients, &raw))
}
