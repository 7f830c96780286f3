//! Reads a queue for a function: gathers batches, calls, deletes what worked and lets the rest come again.

use super::{Context, failures};
use crate::invoke::Function;
use crate::template::QueueSource;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tessera_sqs::{Message, Receive, md5_of_body};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How many batches of one queue run at once if the template does not say.
const PARALLEL: usize = 5;
/// The longest wait SQS offers.
const WAIT_SECONDS: i64 = 20;

/// One queue feeding one function.
#[derive(Clone)]
pub(crate) struct Poller {
    pub(crate) context: Context,
    pub(crate) function: Arc<Function>,
    pub(crate) source: QueueSource,
    pub(crate) arn: String,
}

impl Poller {
    /// Runs until the home stops, and then until the batches under way are done.
    pub(crate) async fn run(self) {
        let most = u32::try_from(self.source.concurrency.unwrap_or(PARALLEL)).unwrap_or(u32::MAX);
        let permits = Arc::new(Semaphore::new(most as usize));
        loop {
            let Ok(permit) = permits.clone().acquire_owned().await else { break };
            tokio::select! {
                () = self.context.faults.wait_for_life() => {}
                () = self.context.stopped() => break,
            }
            let Some(batch) = self.gather().await else { break };
            if batch.is_empty() {
                continue;
            }
            let poller = self.clone();
            tokio::spawn(async move {
                poller.work(batch).await;
                drop(permit);
            });
        }
        // All permits back means no batch is under way.
        let _idle = permits.acquire_many(most).await.is_ok();
    }

    /// Up to a batch of messages; `None` when the home stops.
    async fn gather(&self) -> Option<Vec<Message>> {
        let mut batch: Vec<Message> = Vec::new();
        let window = self.context.window(self.source.window_seconds);
        let mut deadline: Option<Instant> = None;
        while batch.len() < self.source.batch {
            let max = i64::try_from((self.source.batch - batch.len()).min(10)).unwrap_or(10);
            let wait_seconds = Some(if batch.is_empty() { WAIT_SECONDS } else { 1 });
            let how = Receive { max, wait_seconds, ..Receive::default() };
            let end = deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(600));
            let received = tokio::select! {
                received = self.context.sqs.receive(&self.source.queue, &how) => received,
                () = tokio::time::sleep_until(end) => break,
                () = self.context.stopped() => {
                    // What was received already is worked on; nothing more is taken.
                    return (!batch.is_empty()).then_some(batch);
                }
            };
            match received {
                Ok(messages) => batch.extend(messages),
                Err(error) => {
                    tracing::error!(queue = self.source.queue, %error, "a queue cannot be read");
                    if !self.context.pause().await {
                        return None;
                    }
                }
            }
            if batch.is_empty() || window.is_zero() {
                break;
            }
            deadline.get_or_insert_with(|| Instant::now() + window);
        }
        Some(batch)
    }

    async fn work(&self, batch: Vec<Message>) {
        let event = json!({"Records": batch.iter().map(|message| self.record(message)).collect::<Vec<_>>()});
        let answer = self.function.call(event).await;
        let all = || batch.iter().map(|message| message.message_id.clone()).collect::<Vec<_>>();
        let failed = match answer {
            // Whatever came of it, the process that would have said so is dead.
            _ if self.context.faults.crashed() => all(),
            Err(_) => all(),
            Ok(answer) if self.source.partial => {
                let known = |id: &str| batch.iter().any(|message| message.message_id == id);
                failures(&answer, known).unwrap_or_else(all)
            }
            Ok(_) => Vec::new(),
        };
        let (failed, done): (Vec<_>, Vec<_>) =
            batch.iter().partition(|message| failed.contains(&message.message_id));
        let handles = |messages: Vec<&Message>| -> Vec<String> {
            messages.into_iter().filter_map(|message| message.receipt_handle.clone()).collect()
        };
        for some in handles(done).chunks(10) {
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            self.note("deleted", self.context.sqs.delete_batch(&self.source.queue, &some));
        }
        let Some(delay) = self.context.retry_delay else { return };
        let seconds = i64::try_from(delay.as_millis().div_ceil(1_000)).unwrap_or(0);
        for some in handles(failed).chunks(10) {
            let some: Vec<(&str, i64)> = some.iter().map(|handle| (handle.as_str(), seconds)).collect();
            self.note("given back", self.context.sqs.change_visibility_batch(&self.source.queue, &some));
        }
    }

    /// Logs what could not be done: the message comes again when its visibility timeout is over.
    fn note(&self, what: &str, done: tessera_sqs::Result<Vec<tessera_sqs::Result<()>>>) {
        let errors = match done {
            Ok(each) => each.into_iter().filter_map(Result::err).collect(),
            Err(error) => vec![error],
        };
        for error in errors {
            tracing::warn!(queue = self.source.queue, %error, "a message could not be {what}");
        }
    }

    /// A message as Lambda gets it.
    fn record(&self, message: &Message) -> Value {
        let mut attributes = json!({
            "ApproximateReceiveCount": message.receive_count.to_string(),
            "SentTimestamp": message.sent_ms.to_string(),
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": message.first_received_ms.unwrap_or(message.sent_ms).to_string(),
        });
        for (name, value) in [
            ("MessageGroupId", &message.group_id),
            ("MessageDeduplicationId", &message.deduplication_id),
            ("SequenceNumber", &message.sequence_number),
            ("AWSTraceHeader", &message.trace_header),
        ] {
            if let Some(value) = value {
                attributes[name] = value.clone().into();
            }
        }
        let own = message.attributes.iter().map(|(name, attribute)| {
            let mut shown =
                json!({"stringListValues": [], "binaryListValues": [], "dataType": attribute.data_type});
            if let Some(text) = &attribute.string_value {
                shown["stringValue"] = text.clone().into();
            }
            if let Some(encoded) = &attribute.binary_value {
                shown["binaryValue"] = encoded.clone().into();
            }
            (name.clone(), shown)
        });
        json!({
            "messageId": message.message_id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": attributes,
            "messageAttributes": own.collect::<serde_json::Map<_, _>>(),
            "md5OfBody": md5_of_body(&message.body),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn,
            "awsRegion": self.context.region,
        })
    }
}
