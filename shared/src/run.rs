//! How a function runs: what each `main` calls, and the one type by which the local home holds them all.

use crate::app::{App, Process};
use crate::config::Config;
use crate::queue::{Error, Worker};
use lambda_http::http::header::{HOST, HeaderName};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, LambdaEvent};
use lambda_runtime::service_fn;
use serde_json::Value;
use tower::ServiceExt;

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
    lambda_runtime::run(service_fn(move |event: LambdaEvent<LambdaRequest>| {
        let event = LambdaEvent { payload: mended(event.payload), context: event.context };
        Adapter::from(router.clone()).oneshot(event)
    }))
    .await
}

/// An event of the gateway without what `lambda_http` 1.3 panics at (`build_request_uri`, `into_api_gateway_v2_request`), which
/// would end the process: a host or a scheme that is none, a query with characters that no address has (RFC 3986 §3.4). Clients write
/// all three. Nobody here reads the first two; of the query, what must be encoded is.
#[must_use]
pub fn mended(mut event: LambdaRequest) -> LambdaRequest {
    // No other gateway calls us.
    if let LambdaRequest::ApiGatewayV2(event) = &mut event {
        event.headers.remove(HOST);
        event.headers.remove(HeaderName::from_static("x-forwarded-proto"));
        event.raw_query_string = event.raw_query_string.take().map(|query| encoded(&query));
    }
    event
}

fn encoded(query: &str) -> String {
    let mut encoded = String::with_capacity(query.len());
    for byte in query.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => encoded.push(byte.into()),
            // Sub-delimiters, unreserved signs, and what is encoded already.
            _ if b"-._~!$&'()*+,;=:@/?%".contains(&byte) => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_as_it_was_but_for_what_no_address_has() {
        let fine = "from=2026-01-01T00:00:00+01:00&a=%C3%A4&b='x'(y)*~/?@:;,!$";
        assert_eq!(encoded(fine), fine);
        assert_eq!(
            encoded("a=ä b\"<>#{}|\\^[]`\u{1}"),
            "a=%C3%A4%20b%22%3C%3E%23%7B%7D%7C%5C%5E%5B%5D%60%01"
        );
        assert!(format!("/?{}", encoded("\u{202e}\n\0%")).parse::<axum::http::Uri>().is_ok());
    }
}
