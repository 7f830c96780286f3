//! HTTP that payment sandboxes share: answers, broken answers, and the switches for those who have no Rust at hand.

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value};

use crate::sandbox::Sandbox;
use crate::switches::Switches;

/// A JSON answer.
pub(crate) fn respond(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A response that announces the body of another and breaks off: the connection closes under the caller.
pub(crate) fn lost(answer: &Response) -> Response {
    let broken = futures_util::stream::once(async {
        Err::<Bytes, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    });
    let mut response = Response::new(Body::from_stream(broken));
    let length = answer.body().size_hint().exact().unwrap_or(1).max(1);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// Changes the switches that a JSON object names, and leaves the others; refuses in a sentence.
pub(crate) fn merge_switches(sandbox: &Sandbox, body: &[u8]) -> Result<Switches, String> {
    let refuse = |cause: serde_json::Error| format!("Not the JSON of switches: {cause}");
    let given: Map<String, Value> = serde_json::from_slice(body).map_err(refuse)?;
    let mut outcome = Ok(());
    let switches = sandbox.switch(|switches| {
        outcome = serde_json::to_value(&*switches).and_then(|mut all| {
            if let Some(all) = all.as_object_mut() {
                all.extend(given);
            }
            *switches = serde_json::from_value(all)?;
            Ok(())
        });
    })?;
    outcome.map_err(refuse)?;
    Ok(switches)
}
