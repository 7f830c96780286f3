//! Reads a table's stream for a function: in order, at least once, as Lambda does with one shard.
//!
//! A batch that fails is tried again until it works, or the template's bounds are reached; with bisection it is halved
//! first, so that one bad record holds up no more than itself. What is given up is told to the on-failure queue. Records
//! of different keys may run in parallel, records of one key never do.

use super::positions::Positions;
use super::{Context, failures};
use crate::invoke::Function;
use crate::sources::filter;
use crate::stores::dynamodb::{Record, Tables};
use crate::template::StreamSource;
use crate::{HomeError, template::Settings};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tessera::clock::Clock;
use tessera_sqs::NewMessage;

/// One table's stream feeding one function.
pub(crate) struct Reader {
    pub(crate) context: Context,
    pub(crate) settings: Settings,
    pub(crate) function: Arc<Function>,
    pub(crate) source: StreamSource,
    pub(crate) tables: Arc<Tables>,
    pub(crate) positions: Arc<Positions>,
    pub(crate) progress: Arc<Progress>,
}

/// How far a reader is, for those who wait for it.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) table: String,
    /// Everything up to here was worked on.
    pub(crate) passed: AtomicI64,
    /// So many writes had happened when nothing was left to read.
    pub(crate) drained: AtomicU64,
}

/// What came of one call.
enum Outcome {
    Done,
    /// Failed from this record on.
    From(usize),
    Failed,
}

impl Reader {
    fn name(&self) -> String {
        format!("{}/{}", self.function.logical(), self.source.event)
    }

    /// Runs until the home stops.
    pub(crate) async fn run(self) {
        let Some(changes) = self.tables.changes(&self.source.table) else {
            tracing::error!(table = self.source.table, "a table without a stream is to be read");
            return;
        };
        let mut changes = changes.subscribe();
        loop {
            // Before reading: a write that happens meanwhile makes the next wait short.
            let written = *changes.borrow_and_update();
            tokio::select! {
                () = self.context.faults.wait_for_life() => {}
                () = self.context.stopped() => return,
            }
            match self.step().await {
                Ok(Step::Worked) => {}
                Ok(Step::Stopped) => return,
                Ok(Step::Nothing) => {
                    self.progress.drained.store(written, Ordering::SeqCst);
                    tokio::select! {
                        changed = changes.changed() => {
                            if changed.is_err() {
                                return;
                            }
                        }
                        () = self.context.stopped() => return,
                    }
                }
                Err(error) => {
                    tracing::error!(source = self.name(), %error, "a stream cannot be read");
                    if !self.context.pause().await {
                        return;
                    }
                }
            }
        }
    }

    /// Where to begin: where an earlier run ended, or where the template says.
    pub(crate) fn begin(&self) -> Result<(), HomeError> {
        let name = self.name();
        let position = match self.positions.get(&name)? {
            Some(position) => position,
            None => {
                let position =
                    if self.source.from_start { 0 } else { self.tables.newest(&self.source.table)? };
                self.positions.put(&name, position)?;
                position
            }
        };
        self.progress.passed.store(position, Ordering::SeqCst);
        Ok(())
    }

    async fn read(&self) -> Result<Vec<Record>, HomeError> {
        let (tables, table) = (self.tables.clone(), self.source.table.clone());
        let after = self.progress.passed.load(Ordering::SeqCst);
        let most = (self.source.batch * self.source.parallel).min(10_000);
        let read = tokio::task::spawn_blocking(move || tables.read(&table, after, most)).await;
        read.map_err(HomeError::store("reading a stream"))?
    }

    async fn step(&self) -> Result<Step, HomeError> {
        let mut records = self.read().await?;
        let window = self.context.window(self.source.window_seconds);
        if !records.is_empty() && records.len() < self.source.batch && !window.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(window) => {}
                () = self.context.stopped() => return Ok(Step::Stopped),
            }
            records = self.read().await?;
        }
        let Some(last) = records.last().map(|record| record.sequence) else { return Ok(Step::Nothing) };
        records.retain(|record| {
            self.source.filters.is_empty()
                || self.source.filters.iter().any(|pattern| filter::matches(pattern, &record.event))
        });
        let lanes = self.lanes(records);
        if !join_all(lanes.into_iter().map(|lane| self.work(lane))).await.into_iter().all(|done| done) {
            return Ok(Step::Stopped);
        }
        self.positions.put(&self.name(), last)?;
        self.progress.passed.store(last, Ordering::SeqCst);
        Ok(Step::Worked)
    }

    /// Batches that may run at once: by key, so that the records of one key stay in their order.
    fn lanes(&self, records: Vec<Record>) -> Vec<Vec<Record>> {
        let count = self.source.parallel.max(1);
        if count == 1 {
            return vec![records];
        }
        let mut lanes: Vec<Vec<Record>> = vec![Vec::new(); count];
        for record in records {
            let mut hasher = DefaultHasher::new();
            record.event["dynamodb"]["Keys"].to_string().hash(&mut hasher);
            let lane = usize::try_from(hasher.finish() % (count as u64)).unwrap_or(0);
            if let Some(lane) = lanes.get_mut(lane) {
                lane.push(record);
            }
        }
        lanes
    }

    /// Works through records until each is done or given up; false if the home stops first.
    async fn work(&self, records: Vec<Record>) -> bool {
        let batch = self.source.batch.max(1);
        let mut waiting: VecDeque<(Vec<Record>, u32)> =
            records.chunks(batch).map(|some| (some.to_vec(), 0)).collect();
        while let Some((records, tries)) = waiting.pop_front() {
            let records = self.young_enough(records, tries).await;
            if records.is_empty() {
                continue;
            }
            let outcome = self.call(&records).await;
            if self.context.faults.crashed() {
                // The process died: whoever comes after it begins anew.
                tokio::select! {
                    () = self.context.faults.wait_for_life() => {}
                    () = self.context.stopped() => return false,
                }
                waiting.push_front((records, tries));
                continue;
            }
            let rest = match outcome {
                Outcome::Done => continue,
                Outcome::From(first) => records.get(first..).unwrap_or_default().to_vec(),
                Outcome::Failed => records,
            };
            if self.source.bisect && rest.len() > 1 {
                // Halving does not count as a try.
                let (first, second) = rest.split_at(rest.len() / 2);
                waiting.push_front((second.to_vec(), tries));
                waiting.push_front((first.to_vec(), tries));
            } else if self.source.retries.is_some_and(|most| tries >= most) {
                self.give_up(&rest, tries, "RetryAttemptsExhausted");
                continue;
            } else {
                waiting.push_front((rest, tries + 1));
            }
            if !self.context.pause().await {
                return false;
            }
        }
        true
    }

    /// Gives up the records that are older than the template allows.
    async fn young_enough(&self, records: Vec<Record>, tries: u32) -> Vec<Record> {
        let Some(most) = self.source.max_age_seconds else { return records };
        // Records are stamped by the machine's clock: moving the home's does not make them old.
        let oldest = Clock::default().now().as_second() - i64::from(most);
        let (young, old): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.created >= oldest);
        if !old.is_empty() {
            self.give_up(&old, tries, "RecordAgeExceeded");
        }
        young
    }

    async fn call(&self, records: &[Record]) -> Outcome {
        let event = json!({"Records": records.iter().map(|record| &record.event).collect::<Vec<_>>()});
        match self.function.call(event).await {
            Err(_) => Outcome::Failed,
            Ok(answer) if self.source.partial => {
                let place = |number: &str| records.iter().position(|record| record.number == number);
                match failures(&answer, |number| place(number).is_some()) {
                    None => Outcome::Failed,
                    // Everything from the first failure on comes again, as the service does it.
                    Some(failed) => match failed.iter().filter_map(|number| place(number)).min() {
                        Some(first) => Outcome::From(first),
                        None => Outcome::Done,
                    },
                }
            }
            Ok(_) => Outcome::Done,
        }
    }

    /// Tells the on-failure queue which records nobody will see again.
    fn give_up(&self, records: &[Record], tries: u32, condition: &str) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        tracing::error!(
            source = self.name(),
            records = records.len(),
            condition,
            "stream records were given up"
        );
        let Some(queue) = &self.source.on_failure else { return };
        let time =
            |seconds: i64| jiff::Timestamp::from_second(seconds).map(|at| at.to_string()).unwrap_or_default();
        let message: Value = json!({
            "requestContext": {
                "functionArn": self.settings.arn("lambda", &format!("function:{}", self.function.name())),
                "condition": condition,
                "approximateInvokeCount": tries + 1,
            },
            "version": "1.0",
            "timestamp": self.context.clock.now().to_string(),
            "DDBStreamBatchInfo": {
                "shardId": "shardId-00000000000000000000-00000000",
                "startSequenceNumber": first.number,
                "endSequenceNumber": last.number,
                "approximateArrivalOfFirstRecord": time(first.created),
                "approximateArrivalOfLastRecord": time(last.created),
                "batchSize": records.len(),
                "streamArn": self.settings.stream_arn(&self.source.table),
            },
        });
        if let Err(error) = self.context.sqs.send(queue, &NewMessage::new(message.to_string())) {
            tracing::error!(queue, %error, "the on-failure queue could not be told");
        }
    }
}

enum Step {
    Nothing,
    Worked,
    Stopped,
}
