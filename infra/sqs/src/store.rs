//! Queues and messages in SQLite: every rule that reads or changes what is stored.
//!
//! One process owns the file (it is locked exclusively), so the queues' settings are also held in memory. Every
//! method is one transaction at most, and takes the time it happens at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use crate::error::{Code, Error, Result};
use crate::message::{Message, NewMessage, Receipt, Receive, Sent, sequence_number};
use crate::queue::{self, Queue};

/// The five minutes in which a FIFO queue takes a repeated send for the first one, in milliseconds.
const DEDUPLICATION_MS: i64 = 300_000;
/// The longest a message stays invisible, from its receipt on, in milliseconds.
const LONGEST_INVISIBLE_MS: i64 = 43_200_000;
/// How often expired messages are deleted, in milliseconds; until then they are only passed over.
const SWEEP_MS: i64 = 60_000;

/// How long to wait for a process that is just ending to let go of the file.
const PREDECESSOR: Duration = Duration::from_millis(500);

/// `visible` is the time from which a message may be received. The sequence is never used twice (AUTOINCREMENT):
/// receipt handles name it. Columns read when counting stand before the long ones.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS queue (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, attributes TEXT NOT NULL,
  created INTEGER NOT NULL, modified INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS message (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL, visible INTEGER NOT NULL,
  sent INTEGER NOT NULL, receives INTEGER NOT NULL DEFAULT 0, received INTEGER, first_received INTEGER,
  id TEXT NOT NULL, group_id TEXT, deduplication_id TEXT, source TEXT, trace TEXT, attributes TEXT,
  body TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS message_visible ON message(queue, visible);
CREATE INDEX IF NOT EXISTS message_order ON message(queue) WHERE group_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS message_group ON message(queue, group_id, visible) WHERE group_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS deduplication (
  queue INTEGER NOT NULL, key TEXT NOT NULL, until INTEGER NOT NULL, id TEXT NOT NULL,
  sequence INTEGER NOT NULL, PRIMARY KEY (queue, key)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS move_task (
  number INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, destination TEXT, started INTEGER NOT NULL,
  moved INTEGER NOT NULL, stayed INTEGER NOT NULL) STRICT;";

const COLUMNS: &str = "sequence, visible, sent, receives, first_received, id, group_id, deduplication_id, source, \
                       trace, attributes, body";

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ready to be received.
    pub visible: i64,
    /// Received, and neither deleted nor visible again.
    pub in_flight: i64,
    /// Sent with a delay that is not over.
    pub delayed: i64,
}

/// A finished move of dead letters. The move itself happens at once, so there is no unfinished one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveTask {
    /// Counts the tasks of this store, from 1.
    pub number: i64,
    /// The dead-letter queue.
    pub source: String,
    /// Where to; `None` means each message's own source queue.
    pub destination: Option<String>,
    /// Milliseconds since 1970.
    pub started_ms: i64,
    /// The messages moved.
    pub moved: i64,
    /// The messages left because their source queue is unknown or gone; more than 0 means the task failed.
    pub stayed: i64,
}

pub(crate) struct Store {
    connection: Connection,
    queues: BTreeMap<String, Arc<Queue>>,
    swept: i64,
}

impl Store {
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        connection.busy_timeout(PREDECESSOR)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
        )?;
        connection.execute_batch(SCHEMA)?;
        let mut queues = BTreeMap::new();
        let mut read = connection.prepare("SELECT id, name, attributes, created, modified FROM queue")?;
        let mut rows = read.query([])?;
        while let Some(row) = rows.next()? {
            let (name, attributes): (String, String) = (row.get(1)?, row.get(2)?);
            let attributes = serde_json::from_str(&attributes).map_err(Error::internal)?;
            let found = Queue::new(row.get(0)?, &name, attributes, (row.get(3)?, row.get(4)?));
            queues.insert(name, Arc::new(found));
        }
        drop(rows);
        drop(read);
        Ok(Self { connection, queues, swept: i64::MIN })
    }

    pub(crate) fn queue(&self, name: &str) -> Result<Arc<Queue>> {
        self.queues
            .get(name)
            .cloned()
            .ok_or_else(|| Error::new(Code::QueueDoesNotExist, "The specified queue does not exist."))
    }

    /// All queues, by name.
    pub(crate) fn queues(&self) -> impl Iterator<Item = &Arc<Queue>> {
        self.queues.values()
    }

    /// The queues whose dead letters go to `target`, by name.
    pub(crate) fn sources(&self, target: &str) -> impl Iterator<Item = &Arc<Queue>> {
        self.queues().filter(move |queue| queue.redrive.as_ref().is_some_and(|r| r.target() == target))
    }

    pub(crate) fn create(&mut self, name: &str, given: &BTreeMap<String, String>, now: i64) -> Result<()> {
        let fifo = given.get("FifoQueue").is_some_and(|value| value == "true");
        queue::check_name(name, fifo)?;
        let given = queue::check_attributes(given, fifo)?;
        if let Some(queue) = self.queues.get(name) {
            let differs = |(name, value): &(&String, &String)| {
                queue.attributes.get(*name).map_or("", String::as_str) != value.as_str()
            };
            return given.iter().find(differs).map_or(Ok(()), |(attribute, _)| {
                let message = format!(
                    "A queue already exists with the same name and a different value for attribute {attribute}"
                );
                Err(Error::new(Code::QueueNameExists, message))
            });
        }
        let mut attributes = queue::default_attributes(fifo);
        attributes.extend(given);
        attributes.retain(|_, value| !value.is_empty());
        let mut queue = Queue::new(0, name, attributes, (now, now));
        self.check_redrive(&queue)?;
        self.connection.execute(
            "INSERT INTO queue (name, attributes, created, modified) VALUES (?, ?, ?, ?)",
            params![name, json(&queue.attributes)?, now, now],
        )?;
        queue.id = self.connection.last_insert_rowid();
        self.queues.insert(name.to_owned(), Arc::new(queue));
        Ok(())
    }

    pub(crate) fn set_attributes(
        &mut self,
        name: &str,
        given: &BTreeMap<String, String>,
        now: i64,
    ) -> Result<()> {
        let old = self.queue(name)?;
        if let Some(fixed) = given.keys().find(|name| name.as_str() == "FifoQueue") {
            return Err(Error::new(Code::InvalidAttributeName, format!("Unknown Attribute {fixed}.")));
        }
        let mut attributes = old.attributes.clone();
        attributes.extend(queue::check_attributes(given, old.fifo)?);
        attributes.retain(|_, value| !value.is_empty());
        let mut queue = Queue::new(old.id, name, attributes, (old.created_ms, now));
        self.check_redrive(&queue)?;
        // Those who wait hold on to this bell.
        queue.arrivals = Arc::clone(&old.arrivals);
        self.connection.execute(
            "UPDATE queue SET attributes = ?, modified = ? WHERE id = ?",
            params![json(&queue.attributes)?, now, queue.id],
        )?;
        self.queues.insert(name.to_owned(), Arc::new(queue));
        Ok(())
    }

    fn check_redrive(&self, queue: &Queue) -> Result<()> {
        let Some(redrive) = &queue.redrive else { return Ok(()) };
        let reason = match self.queues.get(redrive.target()) {
            Some(target) if target.name == queue.name => "A queue cannot take its own dead letters.",
            None => "Dead letter target does not exist.",
            Some(target) if target.fifo != queue.fifo => {
                "Dead-letter queue must be same type of queue as the source."
            }
            Some(_) => return Ok(()),
        };
        Err(Error::parameter("RedrivePolicy", &redrive.target_arn, reason))
    }

    pub(crate) fn delete_queue(&mut self, name: &str) -> Result<()> {
        let queue = self.queue(name)?;
        let work = self.connection.transaction()?;
        for table in ["message WHERE queue", "deduplication WHERE queue", "queue WHERE id"] {
            work.execute(&format!("DELETE FROM {table} = ?"), [queue.id])?;
        }
        work.commit()?;
        self.queues.remove(name);
        queue.arrivals.notify_waiters();
        Ok(())
    }

    pub(crate) fn purge(&mut self, name: &str) -> Result<()> {
        let queue = self.queue(name)?;
        self.connection.execute("DELETE FROM message WHERE queue = ?", [queue.id])?;
        Ok(())
    }

    pub(crate) fn counts(&self, queue: &Queue, now: i64) -> Result<Counts> {
        let mut count = self.connection.prepare_cached(
            "SELECT count(*) FILTER (WHERE visible <= ?2), count(*) FILTER (WHERE visible > ?2 AND receives > 0),
             count(*) FILTER (WHERE visible > ?2 AND receives = 0) FROM message WHERE queue = ?1 AND sent > ?3",
        )?;
        Ok(count.query_row(params![queue.id, now, queue.retention_edge(now)], |row| {
            Ok(Counts { visible: row.get(0)?, in_flight: row.get(1)?, delayed: row.get(2)? })
        })?)
    }

    /// Stores those messages of a batch that pass, all or none on a failure of the store.
    pub(crate) fn send(&mut self, name: &str, batch: &[NewMessage], now: i64) -> Result<Vec<Result<Sent>>> {
        let queue = self.queue(name)?;
        let work = self.connection.transaction()?;
        let mut answers = Vec::with_capacity(batch.len());
        for message in batch {
            answers.push(match message.check(&queue) {
                Ok(deduplication_id) => Ok(insert(&work, &queue, message, deduplication_id, now)?),
                Err(refusal) => Err(refusal),
            });
        }
        work.commit()?;
        queue.arrivals.notify_waiters();
        Ok(answers)
    }

    /// Receives what is visible now, moving dead letters out of the way first. With nothing to receive, also
    /// answers when the next message becomes visible, if one will.
    pub(crate) fn receive(
        &mut self,
        name: &str,
        how: &Receive,
        now: i64,
    ) -> Result<(Vec<Message>, Option<i64>)> {
        how.check()?;
        self.sweep(now)?;
        let queue = self.queue(name)?;
        let invisible = how.visibility_seconds.unwrap_or_else(|| queue.number("VisibilityTimeout"));
        let dead_letters = queue.redrive.as_ref().and_then(|redrive| {
            Some((self.queues.get(redrive.target())?.clone(), redrive.max_receive_count))
        });
        let work = self.connection.transaction()?;
        // Read again while any were dead letters: their places in the ten, and in their groups, are free then.
        let mut found = loop {
            let found = candidates(&work, &queue, how.max, now)?;
            let Some((target, most)) = &dead_letters else { break found };
            let dead = found.iter().filter(|(_, message)| message.receive_count >= *most);
            let mut moved = false;
            for (sequence, _) in dead {
                bury(&work, &queue, target, *sequence, now)?;
                moved = true;
            }
            if !moved {
                break found;
            }
            target.arrivals.notify_waiters();
        };
        for (sequence, message) in &mut found {
            message.receive_count += 1;
            message.first_received_ms.get_or_insert(now);
            message.visible_ms = now + invisible * 1_000;
            let receipt = Receipt { queue: queue.id, sequence: *sequence, count: message.receive_count };
            message.receipt_handle = Some(receipt.handle());
            work.prepare_cached(
                "UPDATE message SET visible = ?, receives = ?, received = ?, first_received = ? \
                 WHERE sequence = ?",
            )?
            .execute(params![
                message.visible_ms,
                message.receive_count,
                now,
                message.first_received_ms,
                *sequence
            ])?;
        }
        let next = if found.is_empty() {
            work.prepare_cached("SELECT min(visible) FROM message WHERE queue = ? AND visible > ?")?
                .query_row([queue.id, now], |row| row.get(0))?
        } else {
            None
        };
        work.commit()?;
        Ok((found.into_iter().map(|(_, message)| message).collect(), next))
    }

    /// Deletes by receipt handle. A message already gone, and for a standard queue one received again since,
    /// is no error: SQS says the same.
    pub(crate) fn delete(&mut self, name: &str, handles: &[&str], now: i64) -> Result<Vec<Result<()>>> {
        let queue = self.queue(name)?;
        let work = self.connection.transaction()?;
        let mut answers = Vec::with_capacity(handles.len());
        for handle in handles {
            answers.push(match Receipt::parse(handle, queue.id) {
                Ok(receipt) => delete_one(&work, &queue, handle, receipt, now)?,
                Err(refusal) => Err(refusal),
            });
        }
        work.commit()?;
        if queue.fifo {
            // Each may have been holding up its group.
            queue.arrivals.notify_waiters();
        }
        Ok(answers)
    }

    /// Changes when received messages become visible again, to so many seconds from now.
    pub(crate) fn change_visibility(
        &mut self,
        name: &str,
        batch: &[(&str, i64)],
        now: i64,
    ) -> Result<Vec<Result<()>>> {
        let queue = self.queue(name)?;
        let work = self.connection.transaction()?;
        let mut answers = Vec::with_capacity(batch.len());
        for (handle, seconds) in batch {
            answers.push(match Receipt::parse(handle, queue.id) {
                Ok(receipt) => change_one(&work, handle, receipt, *seconds, now)?,
                Err(refusal) => Err(refusal),
            });
        }
        work.commit()?;
        queue.arrivals.notify_waiters();
        Ok(answers)
    }

    /// The messages of a queue in the order of their sending, without receiving them.
    pub(crate) fn peek(&self, name: &str, skip: i64, most: i64, now: i64) -> Result<Vec<Message>> {
        let queue = self.queue(name)?;
        let mut read = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM message WHERE queue = ? AND sent > ? ORDER BY sequence LIMIT ? OFFSET ?"
        ))?;
        let rows = read.query(params![queue.id, queue.retention_edge(now), most, skip])?;
        Ok(messages(rows, &queue)?.into_iter().map(|(_, message)| message).collect())
    }

    /// Moves dead letters back (all that are visible, or `only` the one with this id) and records the task.
    /// They count as new messages: with new ids, never received, sent now.
    pub(crate) fn move_back(
        &mut self,
        source: &str,
        destination: Option<&str>,
        only: Option<&str>,
        now: i64,
    ) -> Result<MoveTask> {
        let from = self.queue(source)?;
        if self.sources(source).next().is_none() {
            let reason = "Source queue must be configured as a Dead Letter Queue.";
            return Err(Error::parameter("SourceArn", source, reason));
        }
        let to = destination.map(|name| self.queue(name)).transpose()?;
        if let Some(to) = to.as_ref().filter(|to| to.fifo != from.fifo || to.id == from.id) {
            let reason = "It must be another queue of the same type as the source.";
            return Err(Error::parameter("DestinationArn", &to.name, reason));
        }
        let work = self.connection.transaction()?;
        let dead: Vec<(i64, Option<String>)> = work
            .prepare_cached(
                "SELECT sequence, source FROM message WHERE queue = ?1 AND visible <= ?2 AND sent > ?3
                 AND id = coalesce(?4, id) ORDER BY sequence",
            )?
            .query_map(params![from.id, now, from.retention_edge(now), only], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        if let (Some(id), true) = (only, dead.is_empty()) {
            return Err(Error::parameter("MessageId", id, "No such message is visible in this queue."));
        }
        let mut task = MoveTask {
            number: 0,
            source: source.to_owned(),
            destination: destination.map(str::to_owned),
            started_ms: now,
            moved: 0,
            stayed: 0,
        };
        let mut reached = BTreeSet::new();
        for (sequence, origin) in dead {
            let origin = || self.queues.get(origin.as_deref()?);
            let Some(to) = to.as_ref().or_else(origin).filter(|to| to.id != from.id) else {
                task.stayed += 1;
                continue;
            };
            work.prepare_cached(
                "INSERT INTO message (queue, visible, sent, id, group_id, deduplication_id, trace, attributes, body)
                 SELECT ?, ?, ?, ?, group_id, deduplication_id, trace, attributes, body
                 FROM message WHERE sequence = ?",
            )?
            .execute(params![to.id, now, now, new_id()?, sequence])?;
            work.prepare_cached("DELETE FROM message WHERE sequence = ?")?.execute([sequence])?;
            task.moved += 1;
            reached.insert(to.name.clone());
        }
        work.prepare_cached(
            "INSERT INTO move_task (source, destination, started, moved, stayed) VALUES (?, ?, ?, ?, ?)",
        )?
        .execute(params![task.source, task.destination, now, task.moved, task.stayed])?;
        task.number = work.last_insert_rowid();
        work.commit()?;
        self.queues.values().filter(|q| reached.contains(&q.name)).for_each(|q| q.arrivals.notify_waiters());
        Ok(task)
    }

    /// The latest moves out of a dead-letter queue, the latest first; `None` asks for those of all queues.
    pub(crate) fn move_tasks(&self, source: Option<&str>, most: i64) -> Result<Vec<MoveTask>> {
        let mut read = self.connection.prepare_cached(
            "SELECT number, source, destination, started, moved, stayed FROM move_task
             WHERE source = coalesce(?1, source) ORDER BY number DESC LIMIT ?2",
        )?;
        let tasks = read.query_map(params![source, most], |row| {
            Ok(MoveTask {
                number: row.get(0)?,
                source: row.get(1)?,
                destination: row.get(2)?,
                started_ms: row.get(3)?,
                moved: row.get(4)?,
                stayed: row.get(5)?,
            })
        })?;
        Ok(tasks.collect::<rusqlite::Result<_>>()?)
    }

    /// Deletes what has expired. Nothing depends on it but the size of the file.
    fn sweep(&mut self, now: i64) -> Result<()> {
        if self.swept <= now && now < self.swept.saturating_add(SWEEP_MS) {
            return Ok(());
        }
        let work = self.connection.transaction()?;
        for queue in self.queues.values() {
            work.execute(
                "DELETE FROM message WHERE queue = ? AND sent <= ?",
                [queue.id, queue.retention_edge(now)],
            )?;
        }
        work.execute("DELETE FROM deduplication WHERE until <= ?", [now])?;
        work.commit()?;
        self.swept = now;
        Ok(())
    }
}

fn insert(
    work: &Transaction<'_>,
    queue: &Queue,
    message: &NewMessage,
    deduplication_id: Option<String>,
    now: i64,
) -> Result<Sent> {
    // With the wider scope, ids are told apart per queue; with the narrower one, per group. A key starts with
    // the length of its group, so that no two pairs of group and id spell the same key.
    let key = deduplication_id.as_ref().map(|id| {
        let per_group =
            queue.attributes.get("DeduplicationScope").is_some_and(|scope| scope == "messageGroup");
        let group = message.group_id.as_deref().filter(|_| per_group).unwrap_or_default();
        format!("{}:{group}{id}", group.len())
    });
    if let Some(key) = &key {
        let first: Option<(String, i64)> = work
            .prepare_cached(
                "SELECT id, sequence FROM deduplication WHERE queue = ? AND key = ? AND until > ?",
            )?
            .query_row(params![queue.id, key, now], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((id, sequence)) = first {
            return Ok(Sent::new(message, id, Some(sequence_number(sequence))));
        }
    }
    let id = new_id()?;
    let delay = message.delay_seconds.filter(|_| !queue.fifo).unwrap_or_else(|| queue.number("DelaySeconds"));
    let attributes = if message.attributes.is_empty() { None } else { Some(json(&message.attributes)?) };
    work.prepare_cached(
        "INSERT INTO message (queue, visible, sent, id, group_id, deduplication_id, trace, attributes, body)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        queue.id,
        now + delay * 1_000,
        now,
        id,
        message.group_id,
        deduplication_id,
        message.trace_header,
        attributes,
        message.body
    ])?;
    let sequence = work.last_insert_rowid();
    if let Some(key) = key {
        work.prepare_cached("INSERT OR REPLACE INTO deduplication VALUES (?, ?, ?, ?, ?)")?
            .execute(params![queue.id, key, now + DEDUPLICATION_MS, id, sequence])?;
    }
    Ok(Sent::new(message, id, queue.fifo.then(|| sequence_number(sequence))))
}

/// The messages that may be received now, in order. In a FIFO queue a group waits while one of its messages is
/// in flight, and a message waits for the delayed ones before it.
fn candidates(work: &Transaction<'_>, queue: &Queue, most: i64, now: i64) -> Result<Vec<(i64, Message)>> {
    let sql = if queue.fifo {
        format!(
            "SELECT {COLUMNS} FROM message m INDEXED BY message_order
             WHERE queue = ?1 AND visible <= ?2 AND sent > ?3 AND group_id IS NOT NULL AND NOT EXISTS (
               SELECT 1 FROM message b INDEXED BY message_group
               WHERE b.queue = ?1 AND b.group_id = m.group_id AND b.visible > ?2 AND b.sent > ?3
                 AND (b.receives > 0 OR b.sequence < m.sequence))
             ORDER BY sequence LIMIT ?4"
        )
    } else {
        format!(
            "SELECT {COLUMNS} FROM message INDEXED BY message_visible
             WHERE queue = ?1 AND visible <= ?2 AND sent > ?3 ORDER BY visible, sequence LIMIT ?4"
        )
    };
    let mut read = work.prepare_cached(&sql)?;
    messages(read.query(params![queue.id, now, queue.retention_edge(now), most])?, queue)
}

fn messages(mut rows: rusqlite::Rows<'_>, queue: &Queue) -> Result<Vec<(i64, Message)>> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(message(row, queue)?);
    }
    Ok(found)
}

fn message(row: &Row<'_>, queue: &Queue) -> Result<(i64, Message)> {
    let sequence = row.get(0)?;
    let attributes: Option<String> = row.get(10)?;
    let attributes =
        attributes.map(|text| serde_json::from_str(&text).map_err(Error::internal)).transpose()?;
    let read = Message {
        message_id: row.get(5)?,
        receipt_handle: None,
        body: row.get(11)?,
        attributes: attributes.unwrap_or_default(),
        sent_ms: row.get(2)?,
        visible_ms: row.get(1)?,
        first_received_ms: row.get(4)?,
        receive_count: row.get(3)?,
        group_id: row.get(6)?,
        deduplication_id: row.get(7)?,
        sequence_number: queue.fifo.then(|| sequence_number(sequence)),
        trace_header: row.get(9)?,
        dead_letter_source: row.get(8)?,
    };
    Ok((sequence, read))
}

/// Moves a message to the dead-letter queue. Its receive count and, in a standard queue, its age go with it.
fn bury(work: &Transaction<'_>, from: &Queue, to: &Queue, sequence: i64, now: i64) -> Result<()> {
    work.prepare_cached(
        "UPDATE message SET queue = ?, visible = ?, source = ?, sent = CASE WHEN ? THEN ? ELSE sent END
         WHERE sequence = ?",
    )?
    .execute(params![to.id, now, from.name, to.fifo, now, sequence])?;
    Ok(())
}

fn delete_one(
    work: &Transaction<'_>,
    queue: &Queue,
    handle: &str,
    receipt: Receipt,
    now: i64,
) -> Result<Result<()>> {
    let deleted = work
        .prepare_cached(
            "DELETE FROM message WHERE sequence = ?1 AND queue = ?2 AND receives = ?3 \
             AND (visible > ?4 OR NOT ?5)",
        )?
        .execute(params![receipt.sequence, queue.id, receipt.count, now, queue.fifo])?;
    if deleted == 0 && queue.fifo && state(work, receipt)?.is_some() {
        let reason = "The receipt handle has expired.";
        return Ok(Err(Error::parameter("ReceiptHandle", handle, reason)));
    }
    Ok(Ok(()))
}

fn change_one(
    work: &Transaction<'_>,
    handle: &str,
    receipt: Receipt,
    seconds: i64,
    now: i64,
) -> Result<Result<()>> {
    if !(0..=43_200).contains(&seconds) {
        let reason = "VisibilityTimeout must be an integer between 0 and 43200.";
        return Ok(Err(Error::parameter("VisibilityTimeout", seconds, reason)));
    }
    let until = now + seconds * 1_000;
    Ok(match state(work, receipt)? {
        Some((count, visible, received)) if count == receipt.count => {
            if visible <= now {
                let message = format!("The message referred to by {handle} is not in flight.");
                Err(Error::new(Code::MessageNotInflight, message))
            } else if until > received + LONGEST_INVISIBLE_MS {
                let reason = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds].";
                Err(Error::parameter("VisibilityTimeout", seconds, reason))
            } else {
                work.prepare_cached("UPDATE message SET visible = ? WHERE sequence = ?")?
                    .execute([until, receipt.sequence])?;
                Ok(())
            }
        }
        _ => {
            let reason = "Message does not exist or is not available for visibility timeout change.";
            Err(Error::parameter("ReceiptHandle", handle, reason))
        }
    })
}

/// How often the message of a receipt was received, until when it is invisible, and when it was last received.
fn state(work: &Transaction<'_>, receipt: Receipt) -> Result<Option<(i64, i64, i64)>> {
    Ok(work
        .prepare_cached("SELECT receives, visible, received FROM message WHERE sequence = ? AND queue = ?")?
        .query_row([receipt.sequence, receipt.queue], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?)
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

fn new_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
}
