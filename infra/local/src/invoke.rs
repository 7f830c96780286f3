//! The functions of a home, and how they are called.

use crate::error::Unbuilt;
use crate::template;
use lambda_http::Adapter;
use lambda_http::request::LambdaRequest;
use lambda_http::{Context, LambdaEvent};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tessera::app::Process;
use tessera::clock::Clock;
use tessera::config::Config;
use tessera::queue::Worker;
use tessera::run::{Handler, mended};
use tokio::time::Instant;
use tower::Service;

/// Builds a function from the name of its program and its settings.
pub type Registry = Arc<dyn Fn(&str, &Config, &Process) -> Result<Handler, Unbuilt> + Send + Sync>;

/// How many calls run, and how many there ever were.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    running: AtomicUsize,
    begun: AtomicU64,
}

impl Activity {
    /// Counts a call as running until the answer is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.running.fetch_add(1, Ordering::SeqCst);
        Busy(self.clone())
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }
}

/// A call that runs.
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A function that can be called.
pub(crate) struct Function {
    pub(crate) template: template::Function,
    arn: String,
    handler: Handler,
    activity: Arc<Activity>,
    clock: Clock,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Function").field(&self.template.logical).finish()
    }
}

/// Why the gateway gets no answer from a function.
#[derive(Debug)]
pub(crate) enum Unanswered {
    TimedOut,
    Failed(String),
}

impl Function {
    /// Builds a function, and refuses one whose kind does not fit what calls it.
    pub(crate) fn new(
        template: template::Function,
        config: &Config,
        process: &Process,
        registry: &Registry,
        activity: &Arc<Activity>,
        settings: &template::Settings,
    ) -> Result<Self, Unbuilt> {
        let handler = registry(&template.binary, config, process)?;
        let by_event =
            !(template.queues.is_empty() && template.streams.is_empty() && template.schedules.is_empty());
        match &handler {
            Handler::Api(_) if by_event => {
                return Err(Unbuilt::Kind(
                    "it answers HTTP, and has queues, streams or schedules".to_owned(),
                ));
            }
            Handler::Worker(_) if !template.routes.is_empty() => {
                return Err(Unbuilt::Kind("it works on events, and has routes".to_owned()));
            }
            _ => {}
        }
        let arn = settings.arn("lambda", &format!("function:{}", template.name));
        Ok(Self { template, arn, handler, activity: activity.clone(), clock: process.clock.clone() })
    }

    pub(crate) fn logical(&self) -> &str {
        &self.template.logical
    }

    pub(crate) fn name(&self) -> &str {
        &self.template.name
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.template.timeout_seconds.into())
    }

    /// Calls it with an event that is no HTTP request.
    ///
    /// # Errors
    /// What the function answers, or that it panicked or took longer than the template allows. It has been logged.
    pub(crate) async fn call(&self, event: Value) -> Result<Value, String> {
        let Handler::Worker(worker) = &self.handler else {
            return Err("it answers HTTP only".to_owned());
        };
        let busy = self.activity.begin();
        let (id, start, records) =
            (request_id(), Instant::now(), event["Records"].as_array().map_or(0, Vec::len));
        let outcome = self.bounded(run(worker.clone(), event)).await;
        let ms = start.elapsed().as_millis();
        drop(busy);
        let function = self.logical();
        match outcome {
            Ok(Ok(answer)) => {
                let failed = answer["batchItemFailures"].as_array().map_or(0, Vec::len);
                tracing::info!(function, request = id, records, failed, ms, "worked");
                Ok(answer)
            }
            Ok(Err(error)) | Err(Unanswered::Failed(error)) => {
                tracing::warn!(function, request = id, records, ms, error, "failed");
                Err(error)
            }
            Err(Unanswered::TimedOut) => {
                let seconds = self.template.timeout_seconds;
                tracing::warn!(function, request = id, records, ms, "took longer than its {seconds} s");
                Err(format!("took longer than {seconds} s"))
            }
        }
    }

    /// Calls it with an HTTP event, through the very conversion that runs in Lambda: JSON in, JSON out.
    pub(crate) async fn request(
        &self,
        id: &str,
        event: Vec<u8>,
        limit: Duration,
    ) -> Result<Vec<u8>, Unanswered> {
        let Handler::Api(router) = &self.handler else {
            return Err(Unanswered::Failed("it does not answer HTTP".to_owned()));
        };
        let _busy = self.activity.begin();
        let mut context = Context::default();
        id.clone_into(&mut context.request_id);
        context.invoked_function_arn.clone_from(&self.arn);
        let end = self.clock.now().as_millisecond() + i64::try_from(self.timeout().as_millis()).unwrap_or(0);
        context.deadline = end.unsigned_abs();
        let router = router.clone();
        let work = async move {
            let payload: LambdaRequest = serde_json::from_slice(&event).map_err(|error| error.to_string())?;
            // The adapter cannot be held over an await; a router is always ready, so that none is needed before.
            let answered = Adapter::from(router).call(LambdaEvent { payload: mended(payload), context });
            let answered = answered.await;
            let Ok(answer) = answered.map_err(|never| match never {});
            serde_json::to_vec(&answer).map_err(|error| error.to_string())
        };
        // A task of its own: a panic ends the task and not the gateway's connection.
        let timeout = self.timeout().min(limit);
        let mut task = tokio::spawn(work);
        match tokio::time::timeout(timeout, &mut task).await {
            Ok(Ok(answer)) => answer.map_err(Unanswered::Failed),
            Ok(Err(error)) => Err(Unanswered::Failed(error.to_string())),
            Err(_) => {
                task.abort();
                Err(Unanswered::TimedOut)
            }
        }
    }

    async fn bounded<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let mut task = tokio::spawn(work);
        match tokio::time::timeout(self.timeout(), &mut task).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Unanswered::Failed(error.to_string())),
            Err(_) => {
                task.abort();
                Err(Unanswered::TimedOut)
            }
        }
    }
}

async fn run(worker: Worker, event: Value) -> Result<Value, String> {
    worker.call(event).await.map_err(|error| error.to_string())
}

/// A new request id, in the form of a random UUID.
pub(crate) fn request_id() -> String {
    let mut bytes = [0; 16];
    if let Err(error) = getrandom::fill(&mut bytes) {
        // An id that repeats is better than a request that is refused.
        tracing::error!(%error, "the system has no random bytes");
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
