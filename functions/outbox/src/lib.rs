//! The outbox: carries the messages that writes have stored to the queues of those who should hear them.
//!
//! A table's stream brings every item that was written. Those with an `out` attribute carry messages; this function
//! sends them and does nothing else. If it dies, the stream brings the batch again. The scheduled `sweep` finds what a
//! stream outage missed (see [`tessera::outbox`]).

use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tessera::app::App;
use tessera::config::ConfigError;
use tessera::db::Table;
use tessera::error::{Code, Result};
use tessera::message::{Envelope, Queue};
use tessera::outbox::{BEHIND, Checkpoint, OVERLAP, checkpoint};
use tessera::queue::{Error, Job, Worker};
use tessera::telemetry::{self, Scope};

/// The part of a stream record that matters.
#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventSourceARN")]
    source: String,
    dynamodb: Change,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    sequence_number: String,
    #[serde(default)]
    new_image: Image,
}

#[derive(Default, Deserialize)]
struct Image {
    out: Option<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    #[serde(rename = "S")]
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failures {
    batch_item_failures: Vec<Failure>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

/// When each table's note was last written by this process.
type Noted = Arc<Mutex<HashMap<&'static str, Timestamp>>>;

/// The function that streams and the schedule call.
///
/// # Errors
/// None today.
pub fn worker(app: App) -> Result<Worker, ConfigError> {
    let noted = Noted::default();
    Ok(Worker::new(move |event| {
        let (app, noted) = (app.clone(), noted.clone());
        Box::pin(async move {
            let action: Arc<str> = "outbox".into();
            let scope = Scope { correlation: None, action: action.clone() };
            let done = telemetry::within(scope, handle(&app, &noted, event)).await;
            if let Some(meter) = &app.meter {
                meter.ran(&action);
            }
            done
        })
    }))
}

async fn handle(app: &App, noted: &Noted, event: serde_json::Value) -> Result<serde_json::Value, Error> {
    if let Some(records) = event.get("Records") {
        let records: Vec<Record> = Deserialize::deserialize(records)?;
        return Ok(serde_json::to_value(carry(app, noted, records).await)?);
    }
    let job: Job = serde_json::from_value(event)?;
    match job.job.as_str() {
        "sweep" => sweep(app).await?,
        other => return Err(format!("outbox has no job {other}").into()),
    }
    Ok(serde_json::Value::Null)
}

/// Sends what the records carry. The first record that cannot be carried is named, and the stream brings it and those
/// after it again.
async fn carry(app: &App, noted: &Noted, records: Vec<Record>) -> Failures {
    let mut good = Vec::new();
    let mut bad = None;
    for record in &records {
        match envelopes(record) {
            Ok(mut envelopes) => good.append(&mut envelopes),
            Err(error) => {
                tracing::error!(%error, source = record.source, sequence = record.dynamodb.sequence_number, "not a message");
                bad = Some(record.dynamodb.sequence_number.clone());
                break;
            }
        }
    }
    if let Err(error) = send(app, &good).await {
        tracing::warn!(%error, "messages could not be sent and will come again");
        bad = records.first().map(|record| record.dynamodb.sequence_number.clone());
    } else if let (Some(newest), Some(record)) =
        (good.iter().map(|envelope| envelope.at).max(), records.first())
        && let Err(error) = note(app, noted, &record.source, newest).await
    {
        // The messages are on their way; the note is only late.
        tracing::warn!(%error, "the outbox's note was not written");
    }
    let batch_item_failures = bad.into_iter().map(|item_identifier| Failure { item_identifier }).collect();
    Failures { batch_item_failures }
}

fn envelopes(record: &Record) -> Result<Vec<Envelope>, serde_json::Error> {
    record.dynamodb.new_image.out.as_ref().map_or(Ok(Vec::new()), |out| serde_json::from_str(&out.text))
}

/// To every queue that should hear, all queues at once, each in order.
async fn send(app: &App, envelopes: &[Envelope]) -> Result<()> {
    let mut by_queue: BTreeMap<&str, (Queue, Vec<&Envelope>)> = BTreeMap::new();
    for envelope in envelopes {
        for queue in envelope.message.queues() {
            by_queue.entry(queue.word()).or_insert((*queue, Vec::new())).1.push(envelope);
        }
    }
    try_join_all(by_queue.values().map(|(queue, envelopes)| app.queues.send(*queue, envelopes))).await?;
    Ok(())
}

/// The table that a stream belongs to: `arn:…:table/NAME/stream/…`.
fn table_of(app: &App, source: &str) -> Option<Table> {
    let name = source.split('/').nth(1)?;
    Table::WITH_MESSAGES.iter().copied().find(|table| app.db.table(*table) == name)
}

/// Notes how far a table has been carried, at most every ten seconds from each process: a write per batch would double
/// the outbox's cost and buy nothing.
async fn note(app: &App, noted: &Noted, source: &str, newest: Timestamp) -> Result<()> {
    let table = table_of(app, source)
        .ok_or_else(|| Code::Internal.caused_by(format!("{source} is no stream of ours")))?;
    let now = app.clock.now();
    let recent = noted.lock().unwrap_or_else(PoisonError::into_inner).get(table.word()).copied();
    if recent.is_some_and(|at| now.duration_since(at).as_secs() < 10) {
        return Ok(());
    }
    write_note(app, table, newest).await?;
    noted.lock().unwrap_or_else(PoisonError::into_inner).insert(table.word(), now);
    Ok(())
}

async fn write_note(app: &App, table: Table, at: Timestamp) -> Result<()> {
    let now = app.clock.now();
    let new = Checkpoint { table: table.word().to_owned(), at };
    let stored = app.db.put_new(new.clone(), Vec::new(), now).await?.stored();
    app.db.change(stored, now, |known| Ok((known.at < at).then(|| (new.clone(), Vec::new())))).await?;
    Ok(())
}

/// Looks at tables whose note is an hour behind: either nothing happened there, or the stream has stopped. Reading the
/// table tells. It costs one read of the whole table an hour while a deployment idles; the alarm on the stream's age
/// tells an operator much earlier.
async fn sweep(app: &App) -> Result<()> {
    let now = app.clock.now();
    for table in Table::WITH_MESSAGES {
        let known = checkpoint(&app.db, *table).await?.map(|note| note.value.at);
        if known.is_some_and(|at| now.duration_since(at) < BEHIND) {
            continue;
        }
        let since = known.unwrap_or(now - SignedDuration::from_hours(24)) - OVERLAP;
        let (mut sent, mut after) = (0, None);
        loop {
            let (mut envelopes, next) = app.db.scan_messages(*table, after).await?;
            envelopes.retain(|envelope| envelope.at > since);
            send(app, &envelopes).await?;
            sent += envelopes.len();
            match next {
                Some(_) => after = next,
                None => break,
            }
        }
        write_note(app, *table, now).await?;
        if sent > 0 {
            tracing::warn!(
                table = table.word(),
                sent,
                "the sweep found messages that the stream had not carried"
            );
        }
    }
    Ok(())
}
