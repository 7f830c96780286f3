//! HTTP: SendEmail and its errors as SES spells them, and what was sent as JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::message::{MAX_MESSAGE_BYTES, SendEmail};
use super::{Error, Mail, Result, Switches};

/// The largest message in base64, twice over for the JSON around it.
const MAX_REQUEST_BYTES: usize = 2 * MAX_MESSAGE_BYTES;
/// How many messages a list has unless told, and at most.
const PAGE: (u32, u32) = (50, 500);

/// Serves SendEmail at `/v2/email/outbound-emails`, and for people and tests, as JSON:
///
/// | request | answer |
/// |---|---|
/// | `GET /messages?to=&skip=&limit=` | `{"total", "messages": [...]}`, newest first, each a [`super::Message`] |
/// | `GET /messages/{id}` | one [`super::Message`] |
/// | `GET /messages/{id}/raw` | the message as it was sent |
/// | `GET /messages/{id}/attachments/{number}` | an attachment's content, counted from 0 |
/// | `DELETE /messages` | forgets all, 204 |
/// | `GET`, `POST /_switches` | shows the [`Switches`], changes those it names |
pub fn router(mail: Arc<Mail>) -> Router {
    Router::new()
        .route("/v2/email/outbound-emails", post(send))
        .route("/messages", get(list).delete(clear))
        .route("/messages/{id}", get(one))
        .route("/messages/{id}/raw", get(raw))
        .route("/messages/{id}/attachments/{number}", get(attachment))
        .route("/_switches", get(show_switches).post(change_switches))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(mail)
}

async fn unknown() -> Response {
    refuse(&Error::new(404, "UnknownOperationException", "This sandbox serves SendEmail only."))
}

/// An error as SES answers it: its name in a header and in the body.
fn refuse(error: &Error) -> Response {
    if error.status == 500 {
        tracing::error!(%error, "the mail sandbox failed");
    }
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"__type": error.kind, "message": error.message});
    (status, [("x-amzn-errortype", error.kind)], axum::Json(body)).into_response()
}

async fn send(State(mail): State<Arc<Mail>>, body: Bytes) -> Response {
    let delay = mail.switches().delay_ms;
    let outcome = take(&mail, &body);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    match outcome {
        Ok((_, true)) => lost(),
        Ok((id, false)) => axum::Json(json!({"MessageId": id})).into_response(),
        Err(error) => refuse(&error),
    }
}

/// Takes a message unless a switch is against it; answers its identifier, and whether the answer is to be lost.
fn take(mail: &Mail, body: &[u8]) -> Result<(String, bool)> {
    let mut trouble = None;
    mail.switch(|switches| trouble = switches.take_trouble())?;
    match trouble {
        None | Some(Trouble::Lose) => {}
        Some(Trouble::Refuse(error)) => return Err(error),
    }
    let outgoing = SendEmail::parse(body)?.outgoing((mail.clock)())?;
    let barred = mail.switches().reject;
    let barred = barred.iter().map(|address| address.to_lowercase());
    if let Some(address) = barred.into_iter().find(|address| outgoing.recipients.contains(address)) {
        let message =
            format!("Email address is not verified. The following identities failed the check: {address}");
        return Err(Error::new(400, "MessageRejected", message));
    }
    Ok((mail.keep(&outgoing)?, trouble.is_some()))
}

/// What befalls a send.
enum Trouble {
    Refuse(Error),
    Lose,
}

impl Switches {
    fn take_trouble(&mut self) -> Option<Trouble> {
        let mut use_up = |counter: fn(&mut Self) -> &mut u32| {
            let counter = counter(self);
            let left = counter.checked_sub(1);
            *counter = left.unwrap_or(0);
            left.is_some()
        };
        let refuse = |status, kind, message: &str| Some(Trouble::Refuse(Error::new(status, kind, message)));
        if use_up(|switches| &mut switches.fail_next) {
            return refuse(500, "InternalServiceErrorException", "A switch of the sandbox.");
        }
        if use_up(|switches| &mut switches.throttle_next) {
            return refuse(429, "TooManyRequestsException", "Maximum sending rate exceeded.");
        }
        if use_up(|switches| &mut switches.reject_next) {
            return refuse(400, "MessageRejected", "Email address is not verified.");
        }
        use_up(|switches| &mut switches.lose_next).then_some(Trouble::Lose)
    }
}

/// A response that announces a body and breaks off: the connection closes under the caller.
fn lost() -> Response {
    let broken = futures_util::stream::once(async {
        Err::<Bytes, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    });
    let mut response = Response::new(Body::from_stream(broken));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("100"));
    response
}

/// The query of a list.
#[derive(Deserialize)]
struct Asked {
    to: Option<String>,
    #[serde(default)]
    skip: u32,
    limit: Option<u32>,
}

async fn list(State(mail): State<Arc<Mail>>, Query(asked): Query<Asked>) -> Response {
    let to = asked.to.as_deref();
    let most = asked.limit.unwrap_or(PAGE.0).min(PAGE.1);
    let page = mail.list(to, asked.skip, most).and_then(|messages| Ok((mail.count(to)?, messages)));
    answer(page, |(total, messages)| {
        axum::Json(json!({"total": total, "messages": messages})).into_response()
    })
}

async fn one(State(mail): State<Arc<Mail>>, Path(id): Path<String>) -> Response {
    answer(mail.get(&id), |message| axum::Json(message).into_response())
}

async fn raw(State(mail): State<Arc<Mail>>, Path(id): Path<String>) -> Response {
    answer(mail.raw(&id), |raw| file("message/rfc822", raw))
}

async fn attachment(State(mail): State<Arc<Mail>>, Path((id, number)): Path<(String, usize)>) -> Response {
    answer(mail.attachment(&id, number), |(attachment, bytes)| file(&attachment.media_type, bytes))
}

async fn clear(State(mail): State<Arc<Mail>>) -> Response {
    answer(mail.clear(), |()| StatusCode::NO_CONTENT.into_response())
}

fn answer<T>(outcome: Result<T>, show: impl FnOnce(T) -> Response) -> Response {
    match outcome {
        Ok(found) => show(found),
        Err(error) => refuse(&error),
    }
}

/// Content from whoever sent it: the browser must neither guess its type nor run it here.
fn file(media_type: &str, content: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(content));
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_str(media_type);
    headers.insert(
        header::CONTENT_TYPE,
        media_type.unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream")),
    );
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    response
}

async fn show_switches(State(mail): State<Arc<Mail>>) -> Response {
    axum::Json(mail.switches()).into_response()
}

async fn change_switches(State(mail): State<Arc<Mail>>, body: Bytes) -> Response {
    answer(merge_switches(&mail, &body), |switches| axum::Json(switches).into_response())
}

/// Changes the switches that a JSON object names, and leaves the others.
fn merge_switches(mail: &Mail, body: &[u8]) -> Result<Switches> {
    let refuse = |cause: serde_json::Error| Error::bad(format!("Not the JSON of switches: {cause}"));
    let given: Map<String, Value> = serde_json::from_slice(body).map_err(refuse)?;
    let mut outcome = Ok(());
    let switches = mail.switch(|switches| {
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
