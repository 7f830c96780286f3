//! How a function runs: what each `main` calls, and the one type by which the local home holds them all.

use crate::app::{App, Process};
use crate::config::Config;
use crate::queue::{Error, Worker};
use lambda_http::LambdaEvent;
use lambda_runtime::service_fn;
use serde_json::Value;

/// A function of the template.
#[derive(Clone)]
pub enum Handler {
    /// Called by the gateway.
    Api(axum::Router),
    /// Called by queues, streams and schedules.
    Worker(Worker),
}

/// Starts logging and builds the function's world from its environment.
///
/// # Errors
/// The first setting that is missing or malformed.
pub fn start() -> Result<App, Error> {
    crate::telemetry::start();
    Ok(App::new(&Config::from_env(), &Process::default())?)
}

/// Serves API Gateway events until Lambda ends the process.
///
/// # Errors
/// When the Lambda Runtime API cannot be spoken to.
pub async fn api(router: axum::Router) -> Result<(), Error> {
    lambda_http::run(router).await
}

/// Serves queue, stream and schedule events until Lambda ends the process.
///
/// # Errors
/// When the Lambda Runtime API cannot be spoken to.
pub async fn worker(worker: Worker) -> Result<(), Error> {
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let worker = worker.clone();
        async move { worker.call(event.payload).await }
    }))
    .await
}
