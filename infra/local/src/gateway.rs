//! The API as API Gateway serves it: routes of the template, payload format 2.0, limits and CORS.
//!
//! A request becomes the very JSON that Lambda would get, goes through the same conversion as there, and the JSON that
//! comes back becomes the answer. Measured against the service: the path arrives decoded, the query does not; cookies
//! are taken out of the headers; bodies are base64 unless their type is text.

mod cors;
mod event;
mod routes;

use crate::invoke::{Function, Unanswered, request_id};
use crate::template::Cors;
use axum::Router;
use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::Timestamp;
use routes::Routes;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tessera::clock::Clock;
use tokio::time::Instant;
use tower::ServiceExt;

pub(crate) use routes::Target;

/// The largest request, bytes.
const MAX_REQUEST: usize = 10 * 1024 * 1024;
/// The largest answer of a function, bytes of its JSON.
const MAX_ANSWER: usize = 6 * 1024 * 1024;
/// How many requests are remembered.
const REMEMBERED: usize = 200;

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recorded {
    /// When it came.
    pub at: Timestamp,
    /// Its method.
    pub method: String,
    /// Its path, undecoded, without the query.
    pub path: String,
    /// The answer's status.
    pub status: u16,
    /// How long the answer took, milliseconds.
    pub ms: u64,
    /// The request id.
    pub request_id: String,
    /// The function's name in the template; `None` if no route led to one.
    pub function: Option<String>,
}

/// Serves the API.
pub(crate) struct Gateway {
    routes: Routes,
    cors: Option<Cors>,
    clock: Clock,
    account: String,
    port: u16,
    recorded: Mutex<VecDeque<Recorded>>,
    /// Other routers by prefix, before the API's own routes.
    extra: RwLock<Vec<(String, Router)>>,
}

impl Gateway {
    pub(crate) fn new(
        functions: &[Arc<Function>],
        cors: Option<Cors>,
        clock: Clock,
        account: String,
        port: u16,
    ) -> Self {
        Self {
            routes: Routes::new(functions),
            cors,
            clock,
            account,
            port,
            recorded: Mutex::default(),
            extra: RwLock::default(),
        }
    }

    /// Puts a router in front of everything under `prefix`; it sees paths without the prefix.
    pub(crate) fn plug(&self, prefix: &str, router: Router) {
        let mut extra = self.extra.write().unwrap_or_else(PoisonError::into_inner);
        extra.push((prefix.trim_end_matches('/').to_owned(), router));
        // The longest first, so that one prefix may lie within another.
        extra.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    }

    /// Takes all plugged routers away.
    pub(crate) fn unplug(&self) {
        self.extra.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The last requests to functions, newest first.
    pub(crate) fn recorded(&self) -> Vec<Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    /// Answers any request.
    pub(crate) async fn serve(&self, from: SocketAddr, request: Request<Body>) -> Response<Body> {
        if let Some((prefix, router)) = self.plugged(request.uri().path()) {
            let Ok(response) =
                router.oneshot(without(&prefix, request)).await.map_err(|never| match never {});
            return response;
        }
        let origin = request.headers().get(header::ORIGIN).cloned();
        if let (Some(cors), Some(origin), true) = (&self.cors, &origin, cors::is_preflight(&request)) {
            return cors::preflight(cors, origin);
        }
        let mut response = self.record(from, request).await;
        if let (Some(cors), Some(origin)) = (&self.cors, &origin) {
            cors::decorate(cors, origin, &mut response);
        }
        response
    }

    fn plugged(&self, path: &str) -> Option<(String, Router)> {
        let extra = self.extra.read().unwrap_or_else(PoisonError::into_inner);
        let fits = |(prefix, _): &&(String, Router)| {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        extra.iter().find(fits).cloned()
    }

    async fn record(&self, from: SocketAddr, request: Request<Body>) -> Response<Body> {
        let (at, start, id) = (self.clock.now(), Instant::now(), request_id());
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let decoded = event::decode(&path);
        let target = self.routes.find(request.method().as_str(), &decoded);
        let function = target.as_ref().map(|target| target.function.logical().to_owned());
        let mut response = match target {
            Some(target) => self.call(from, request, &decoded, &target, at, &id).await,
            None => message(StatusCode::NOT_FOUND, "Not Found"),
        };
        let status = response.status().as_u16();
        let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(HeaderName::from_static("apigw-requestid"), id);
        }
        tracing::info!(function, request = id, status, ms, "{method} {path}");
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.len() == REMEMBERED {
            recorded.pop_front();
        }
        recorded.push_back(Recorded { at, method, path, status, ms, request_id: id, function });
        drop(recorded);
        response
    }

    async fn call(
        &self,
        from: SocketAddr,
        request: Request<Body>,
        path: &str,
        target: &Target,
        at: Timestamp,
        id: &str,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = match Limited::new(body, MAX_REQUEST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
            }
            Err(error) => {
                tracing::debug!(error, "a request ended early");
                return message(StatusCode::BAD_REQUEST, "Bad Request");
            }
        };
        let surroundings =
            event::Surroundings { from, path, target, at, id, account: &self.account, port: self.port };
        let event = match event::build(&parts, &body, &surroundings) {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(request = id, %error, "an event could not be made");
                return message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
            }
        };
        match target.function.request(id, event, target.timeout).await {
            Ok(answer) if answer.len() > MAX_ANSWER => {
                tracing::error!(
                    request = id,
                    bytes = answer.len(),
                    "the answer is larger than Lambda allows"
                );
                message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
            Ok(answer) => respond(&answer).unwrap_or_else(|error| {
                tracing::error!(request = id, error, "the function's answer is malformed");
                message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }),
            Err(Unanswered::TimedOut) => {
                tracing::warn!(request = id, function = target.function.logical(), "no answer in time");
                message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
            }
            Err(Unanswered::Failed(error)) => {
                tracing::error!(
                    request = id,
                    function = target.function.logical(),
                    error,
                    "the function failed"
                );
                message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        }
    }
}

/// An answer of the gateway itself.
fn message(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::json!({"message": text}).to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The request as a plugged router sees it.
fn without(prefix: &str, mut request: Request<Body>) -> Request<Body> {
    let whole = request.uri().path_and_query().map_or("/", |whole| whole.as_str());
    let rest = whole.strip_prefix(prefix).unwrap_or(whole);
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    // What is left of a valid target is a valid target.
    if let Ok(uri) = rest.parse() {
        *request.uri_mut() = uri;
    }
    request
}

/// What a function answers, payload format 2.0.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    status_code: u16,
    #[serde(default, borrow)]
    headers: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(default, borrow)]
    cookies: Vec<Cow<'a, str>>,
    #[serde(default, borrow)]
    body: Option<Cow<'a, str>>,
    #[serde(default)]
    is_base64_encoded: bool,
}

fn respond(answer: &[u8]) -> Result<Response<Body>, String> {
    use base64::Engine;
    let answer: Answer<'_> = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let body = match answer.body {
        None => Vec::new(),
        Some(body) if answer.is_base64_encoded => base64::engine::general_purpose::STANDARD
            .decode(body.as_bytes())
            .map_err(|error| error.to_string())?,
        Some(body) => body.into_owned().into_bytes(),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(answer.status_code).map_err(|error| error.to_string())?;
    let headers = response.headers_mut();
    for (name, value) in &answer.headers {
        // The gateway frames the answer itself.
        if matches!(name.as_ref(), "content-length" | "transfer-encoding" | "connection") {
            continue;
        }
        let name = HeaderName::try_from(name.as_ref()).map_err(|error| error.to_string())?;
        headers.append(name, HeaderValue::try_from(value.as_ref()).map_err(|error| error.to_string())?);
    }
    for cookie in &answer.cookies {
        let cookie = HeaderValue::try_from(cookie.as_ref()).map_err(|error| error.to_string())?;
        headers.append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

#[cfg(test)]
mod tests;
