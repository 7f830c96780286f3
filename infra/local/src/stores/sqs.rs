//! The queue server's endpoint, and the queues of the template.

use super::endpoint::{Dropped, Handler, answer};
use super::faults::{Faults, Service};
use crate::HomeError;
use crate::template::Queue;
use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use std::sync::Arc;
use tessera_sqs::{Code, Sqs};
use tower::ServiceExt;

/// Makes the queues of the template, or gives stored ones the template's attributes.
pub(crate) fn ensure(sqs: &Sqs, queues: &[Queue]) -> Result<(), HomeError> {
    // Dead-letter queues first: a queue names its own.
    let (failing, others): (Vec<_>, Vec<_>) =
        queues.iter().partition(|queue| queue.attributes.contains_key("RedrivePolicy"));
    for queue in others.into_iter().chain(failing) {
        let what = || format!("queue {}", queue.name);
        match sqs.create_queue(&queue.name, &queue.attributes) {
            Ok(_) => {}
            Err(error) if error.code == Code::QueueNameExists => {
                let mut attributes = queue.attributes.clone();
                // Whether a queue is FIFO is decided for life, and by its name.
                attributes.remove("FifoQueue");
                sqs.set_attributes(&queue.name, &attributes).map_err(HomeError::store(what()))?;
            }
            Err(error) => return Err(HomeError::store(what())(error)),
        }
    }
    Ok(())
}

/// The queues' endpoint.
#[derive(Clone)]
pub(crate) struct Queues {
    router: Router,
    faults: Arc<Faults>,
}

impl Queues {
    pub(crate) fn new(sqs: Arc<Sqs>, faults: &Arc<Faults>) -> Self {
        Self { router: tessera_sqs::router(sqs), faults: faults.clone() }
    }
}

impl Handler for Queues {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = target
            .and_then(|target| target.split_once('.'))
            .map(|(_, name)| name)
            .unwrap_or_default()
            .to_owned();
        let verdict = self.faults.begin(Service::Sqs, &operation, || {
            let request: Value = serde_json::from_slice(&body).unwrap_or_default();
            let name = request["QueueUrl"].as_str().or(request["QueueName"].as_str());
            name.and_then(|name| name.rsplit('/').next()).map(str::to_owned).into_iter().collect()
        });
        if let Some(instead) = verdict.instead(Service::Sqs) {
            return instead.ok_or(Dropped);
        }
        let answered = self.router.clone().oneshot(Request::from_parts(parts, Body::from(body))).await;
        if self.faults.end(&verdict) {
            return Err(Dropped);
        }
        Ok(answered.unwrap_or_else(|_| answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "")))
    }
}
