//! The queue's edge: SQS batches in, with partial failures; sends out, by the outbox alone.

use crate::app::App;
use crate::error::Result;
use crate::message::Envelope;
use crate::telemetry::{self, Scope};
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::future::{BoxFuture, join_all};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// A scheduled event, as the template's schedules send it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Which of the capability's scheduled jobs to run.
    pub job: String,
}

/// What a worker does with one message.
pub type Work = for<'a> fn(&'a App, &'a Envelope) -> BoxFuture<'a, Result<()>>;
/// What a worker does when a schedule fires.
pub type Tick = for<'a> fn(&'a App, &'a Job) -> BoxFuture<'a, Result<()>>;
/// [`Work`] of a worker that has something of its own at hand: a provider, a signing key.
pub type WorkWith<T> = for<'a> fn(&'a App, &'a T, &'a Envelope) -> BoxFuture<'a, Result<()>>;
/// [`Tick`] of such a worker.
pub type TickWith<T> = for<'a> fn(&'a App, &'a T, &'a Job) -> BoxFuture<'a, Result<()>>;
/// A boxed error, as the Lambda runtime takes it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A function that is not called over HTTP: JSON in, JSON out.
#[derive(Clone)]
pub struct Worker(Arc<dyn Fn(Value) -> BoxFuture<'static, Result<Value, Error>> + Send + Sync>);

impl Worker {
    /// A worker from any function of JSON.
    pub fn new(
        call: impl Fn(Value) -> BoxFuture<'static, Result<Value, Error>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(call))
    }

    /// The worker of a capability: SQS batches go to `work`, schedules to `tick`.
    #[must_use]
    pub fn of(app: App, work: Work, tick: Tick) -> Self {
        Self::with(
            app,
            (work, tick),
            |app, (work, _), envelope| work(app, envelope),
            |app, (_, tick), job| tick(app, job),
        )
    }

    /// As [`Self::of`], with something of the worker's own.
    pub fn with<T: Clone + Send + Sync + 'static>(
        app: App,
        own: T,
        work: WorkWith<T>,
        tick: TickWith<T>,
    ) -> Self {
        Self::new(move |event| {
            let (app, own) = (app.clone(), own.clone());
            Box::pin(async move {
                if event.get("Records").is_some() {
                    let event: SqsEvent = serde_json::from_value(event)?;
                    return Ok(serde_json::to_value(batch(&app, &own, event, work).await)?);
                }
                let job: Job = serde_json::from_value(event)?;
                let action: Arc<str> = format!("schedule {}", job.job).into();
                let scope = Scope { correlation: None, action: action.clone() };
                let done = telemetry::within(scope, tick(&app, &own, &job)).await;
                count(&app, &action);
                done.inspect_err(
                    |refusal| tracing::error!(action = &*action, %refusal, "a scheduled job failed"),
                )?;
                Ok(Value::Null)
            })
        })
    }

    /// Runs it.
    ///
    /// # Errors
    /// What the function could not handle at all; single messages of a batch are reported inside the answer.
    pub async fn call(&self, event: Value) -> Result<Value, Error> {
        (self.0)(event).await
    }
}

fn count(app: &App, action: &Arc<str>) {
    if let Some(meter) = &app.meter {
        meter.ran(action);
    }
}

/// Works through a batch, all messages at once; those that failed are named, and only those come back.
async fn batch<T: Sync>(app: &App, own: &T, event: SqsEvent, work: WorkWith<T>) -> SqsBatchResponse {
    let failed = join_all(event.records.into_iter().map(|record| async move {
        let id = record.message_id.clone().unwrap_or_default();
        match one(app, own, &record, work).await {
            Ok(()) => None,
            Err(error) => {
                let tries = record.attributes.get("ApproximateReceiveCount").map_or("?", String::as_str);
                tracing::warn!(sqs_message = id, tries, %error, "a message failed and will come again");
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = id;
                Some(failure)
            }
        }
    }));
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed.await.into_iter().flatten().collect();
    response
}

async fn one<T: Sync>(app: &App, own: &T, record: &SqsMessage, work: WorkWith<T>) -> Result<(), Error> {
    let envelope: Envelope = serde_json::from_str(record.body.as_deref().unwrap_or_default())?;
    let kind = kind(&envelope);
    let queue = record.event_source_arn.as_deref().and_then(|arn| arn.rsplit(['-', ':']).next());
    let action: Arc<str> = format!("{} {kind}", queue.unwrap_or("queue")).into();
    let scope = Scope { correlation: envelope.correlation.clone(), action: action.clone() };
    let done = telemetry::within(scope, work(app, own, &envelope)).await;
    count(app, &action);
    done?;
    tracing::info!(message = %envelope.id, kind, request_id = envelope.correlation, "done");
    Ok(())
}

/// The message's type as it is written, `booking.confirmed.v1`.
#[must_use]
pub fn kind(envelope: &Envelope) -> String {
    match serde_json::to_value(&envelope.message) {
        Ok(Value::Object(map)) => map.get("type").and_then(Value::as_str).unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

#[cfg(feature = "queues")]
pub use sending::Queues;

#[cfg(feature = "queues")]
mod sending {
    use crate::app::{Aws, client};
    use crate::config::Config;
    use crate::error::{Code, Result};
    use crate::message::{Envelope, Queue};
    use aws_sdk_sqs::Client;
    use aws_sdk_sqs::error::DisplayErrorContext;
    use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
    use std::collections::HashMap;
    use std::sync::Arc;

    /// The queues of one deployment. Used by the outbox alone.
    #[derive(Clone)]
    pub struct Queues {
        client: Client,
        urls: Arc<HashMap<Queue, String>>,
    }

    impl Queues {
        pub(crate) fn new(config: &Config, aws: &Aws) -> Self {
            let client = Client::from_conf(client!(aws_sdk_sqs, aws, config, "AWS_ENDPOINT_URL_SQS").build());
            let url = |queue: &Queue| {
                config.optional(&format!("QUEUE_URL_{}", queue.word().to_uppercase())).map(str::to_owned)
            };
            let urls = Queue::ALL.iter().filter_map(|queue| Some((*queue, url(queue)?))).collect();
            Self { client, urls: Arc::new(urls) }
        }

        /// Sends messages to one queue, ten at a time (SQS's bound).
        ///
        /// # Errors
        /// `unavailable` if any was not accepted: the caller sends all of them again, and consumers know the ones
        /// that did arrive.
        pub async fn send(&self, queue: Queue, envelopes: &[&Envelope]) -> Result<()> {
            let url = self.urls.get(&queue).ok_or_else(|| {
                Code::Internal
                    .caused_by(format!("setting QUEUE_URL_{} is missing", queue.word().to_uppercase()))
            })?;
            for chunk in envelopes.chunks(10) {
                let mut entries = Vec::with_capacity(chunk.len());
                for (place, envelope) in chunk.iter().enumerate() {
                    let body =
                        serde_json::to_string(envelope).map_err(|error| Code::Internal.caused_by(error))?;
                    let entry =
                        SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(body);
                    entries.push(entry.build().map_err(|error| Code::Internal.caused_by(error))?);
                }
                let sent =
                    self.client.send_message_batch().queue_url(url).set_entries(Some(entries)).send().await;
                let sent = sent
                    .map_err(|error| Code::Unavailable.caused_by(DisplayErrorContext(error).to_string()))?;
                if let Some(failed) = sent.failed().first() {
                    return Err(Code::Unavailable.caused_by(format!(
                        "{} were not accepted, the first: {failed:?}",
                        sent.failed().len()
                    )));
                }
            }
            Ok(())
        }
    }
}
