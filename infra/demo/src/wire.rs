//! Requests that survive the death of the server.
//!
//! Everything the demo sends may be sent again: GETs by nature, POSTs by their Idempotency-Key or because the API
//! answers a repetition with the first result. So one rule does for all: no answer, or "later", means the very same
//! bytes again, after a growing pause, until patience ends.

use crate::DemoError;
use crate::random::Random;
use crate::tally::{Action, Tally};
use reqwest::{Method, StatusCode, Url, header};
use serde::de::DeserializeOwned;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Connections at once.
pub(crate) const CONNECTIONS: usize = 256;
/// How long a request is repeated before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long one attempt may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// The first pause after a lost answer, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How often "something went wrong on our side" is tried again.
const INTERNAL_TRIES: u32 = 3;

/// One request, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    bearer: Option<String>,
    key: Option<String>,
    body: Option<(&'static str, Vec<u8>)>,
    action: Option<Action>,
}

impl Call {
    fn new(method: Method, path: impl Into<String>) -> Self {
        let path = path.into();
        Self { method, path, query: Vec::new(), bearer: None, key: None, body: None, action: None }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(crate) fn bearer(mut self, token: impl Into<String>) -> Self {
        self.bearer = Some(token.into());
        self
    }

    pub(crate) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    pub(crate) fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = Some(("application/json", body.to_string().into_bytes()));
        self
    }

    pub(crate) fn form(mut self, fields: &[(&str, &str)]) -> Self {
        // A URL's query is the same encoding as a form.
        if let Ok(mut url) = Url::parse("form:") {
            url.query_pairs_mut().extend_pairs(fields);
            let body = url.query().unwrap_or_default().as_bytes().to_vec();
            self.body = Some(("application/x-www-form-urlencoded", body));
        }
        self
    }

    /// How long it takes is part of the report.
    pub(crate) const fn timed(mut self, action: Action) -> Self {
        self.action = Some(action);
        self
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// An answer that came whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    what: String,
    pub(crate) status: u16,
    body: Vec<u8>,
}

#[derive(serde::Deserialize)]
struct Problem {
    code: Option<String>,
}

impl Answer {
    /// The stable code of a problem document.
    pub(crate) fn code(&self) -> Option<String> {
        serde_json::from_slice::<Problem>(&self.body).ok()?.code
    }

    /// Whether this is the problem of that code.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code().as_deref() == Some(code)
    }

    pub(crate) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// What a successful answer says.
    ///
    /// # Errors
    /// [`DemoError::Unexpected`] if it is none, or of another shape.
    pub(crate) fn value<T: DeserializeOwned>(&self) -> Result<T, DemoError> {
        if !self.is_success() {
            return Err(self.unexpected());
        }
        serde_json::from_slice(&self.body).map_err(|error| self.wrong(error.to_string()))
    }

    /// What any answer says, whatever its status.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, DemoError> {
        serde_json::from_slice(&self.body).map_err(|error| self.wrong(error.to_string()))
    }

    /// This answer as an error.
    pub(crate) fn unexpected(&self) -> DemoError {
        let text: String = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        self.wrong(text)
    }

    fn wrong(&self, why: String) -> DemoError {
        DemoError::Unexpected { what: self.what.clone(), status: self.status, why }
    }
}

/// What became of one attempt.
enum Attempt {
    Answered(Answer),
    Later(Answer, Duration),
    Lost(reqwest::Error),
}

/// The server, seen through a pool of connections.
#[derive(Debug)]
pub(crate) struct Wire {
    http: reqwest::Client,
    base: String,
    open: Semaphore,
    patience: Duration,
    jitter: Mutex<Random>,
    pub(crate) tally: Tally,
}

impl Wire {
    /// # Errors
    /// If the address is no http URL, or no client can be made.
    pub(crate) fn new(url: &str, seed: u64, tally: Tally) -> Result<Self, DemoError> {
        let base = url.trim_end_matches('/').to_owned();
        let wrong = |why: String| DemoError::Options(format!("url {url}: {why}"));
        let parsed = Url::parse(&base).map_err(|error| wrong(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(wrong("must be http or https".to_owned()));
        }
        let http = reqwest::Client::builder()
            .timeout(DEADLINE)
            .tcp_nodelay(true)
            .no_proxy()
            .pool_max_idle_per_host(CONNECTIONS)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let (open, jitter) = (Semaphore::new(CONNECTIONS), Mutex::new(Random::new(seed, u64::MAX)));
        Ok(Self { http, base, open, patience: PATIENCE, jitter, tally })
    }

    /// Sends until there is an answer other than "later". Timed calls count from here: waiting for a connection and
    /// every repetition included, as a buyer feels it.
    ///
    /// # Errors
    /// [`DemoError::Unreachable`] when patience ends without an answer.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, DemoError> {
        let (began, mut pause, mut internal) = (Instant::now(), PAUSES.0, 0);
        let answer = loop {
            let (wait, last) = match self.attempt(call).await? {
                Attempt::Answered(answer) if answer.status == 500 && internal < INTERNAL_TRIES => {
                    internal += 1;
                    (Duration::from_millis(500), Ok(answer))
                }
                Attempt::Answered(answer) => break answer,
                Attempt::Later(answer, wait) => {
                    self.tally.asked_to_wait.add(1);
                    (wait, Ok(answer))
                }
                Attempt::Lost(error) => {
                    self.tally.lost_answers.add(1);
                    pause = (pause * 2).min(PAUSES.1);
                    (pause, Err(error))
                }
            };
            if began.elapsed() + wait > self.patience {
                match last {
                    Ok(answer) => break answer,
                    Err(cause) => return Err(DemoError::Unreachable { what: call.name(), cause }),
                }
            }
            tokio::time::sleep(wait.mul_f64(self.spread())).await;
        };
        if let Some(action) = call.action {
            self.tally.waited(action, began.elapsed());
        }
        Ok(answer)
    }

    /// Sends once, for those who count answers; `None` if none comes.
    ///
    /// # Errors
    /// [`DemoError::Options`] if the path is none.
    pub(crate) async fn once(&self, call: &Call) -> Result<Option<Answer>, DemoError> {
        Ok(match self.attempt(call).await? {
            Attempt::Answered(answer) | Attempt::Later(answer, _) => Some(answer),
            Attempt::Lost(_) => None,
        })
    }

    /// Between one and one and a half: a crowd that was cut off does not come back in one instant.
    fn spread(&self) -> f64 {
        1.0 + 0.5 * self.jitter.lock().unwrap_or_else(PoisonError::into_inner).unit()
    }

    async fn attempt(&self, call: &Call) -> Result<Attempt, DemoError> {
        let address = format!("{}{}", self.base, call.path);
        let mut url =
            Url::parse(&address).map_err(|error| DemoError::Options(format!("{address}: {error}")))?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.http.request(call.method.clone(), url);
        if let Some(token) = &call.bearer {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &call.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some((kind, body)) = &call.body {
            request = request.header(header::CONTENT_TYPE, *kind).body(body.clone());
        }
        // The semaphore is never closed.
        let _permit = self.open.acquire().await.map_err(|error| DemoError::Options(error.to_string()))?;
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(Attempt::Lost(error)),
        };
        let status = response.status();
        let wait = response.headers().get(header::RETRY_AFTER).and_then(|wait| wait.to_str().ok());
        let wait = wait.and_then(|wait| wait.parse().ok()).unwrap_or(1).clamp(1, 5);
        let body = match response.bytes().await {
            Ok(body) => body.to_vec(),
            Err(error) => return Ok(Attempt::Lost(error)),
        };
        let answer = Answer { what: call.name(), status: status.as_u16(), body };
        let later = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        Ok(if later { Attempt::Later(answer, Duration::from_secs(wait)) } else { Attempt::Answered(answer) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers each connection's one request with the next text, then closes; an empty text closes without an answer.
    /// Hands back what it was sent.
    async fn server(answers: &[&'static str]) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut answers: VecDeque<_> = answers.iter().copied().collect();
        let heard = tokio::spawn(async move {
            let mut heard = Vec::new();
            while let Some(answer) = answers.pop_front() {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 4096];
                let read = stream.read(&mut buffer).await.unwrap();
                heard.push(String::from_utf8_lossy(&buffer[..read]).into_owned());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            heard
        });
        (url, heard)
    }

    fn wire(url: &str) -> Wire {
        Wire::new(url, 1, Tally::new().unwrap()).unwrap()
    }

    const DONE: &str = "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{\"id\":\"x\"";

    #[tokio::test]
    async fn no_answer_and_a_broken_answer_lead_to_the_very_same_request_again() {
        let cut = "HTTP/1.1 201 Created\r\ncontent-length: 900\r\n\r\n{\"id\":";
        let done = "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 10\r\n\r\n{\"id\":\"x\"}";
        let (url, heard) = server(&["", cut, done]).await;
        let wire = wire(&url);
        let call = Call::post("/v1/holds").key("k-1").json(&serde_json::json!({"lines": []}));
        let answer = wire.send(&call.timed(Action::Hold)).await.unwrap();
        assert_eq!(answer.value::<serde_json::Value>().unwrap()["id"], "x");
        assert_eq!(wire.tally.lost_answers.get(), 2);
        assert_eq!(wire.tally.latencies()[0].count, 1, "one wait, however often it was sent");
        let heard = heard.await.unwrap();
        assert!(heard.iter().all(|request| request.to_lowercase().contains("idempotency-key: k-1")));
        assert!(heard.iter().all(|request| request.ends_with("{\"lines\":[]}")));
    }

    #[tokio::test]
    async fn later_is_waited_for_and_a_refusal_is_final() {
        let later = "HTTP/1.1 503 Busy\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let gone =
            "HTTP/1.1 409 Conflict\r\nconnection: close\r\ncontent-length: 19\r\n\r\n{\"code\":\"sold_out\"}";
        let (url, _heard) = server(&[later, gone]).await;
        let wire = wire(&url);
        let answer = wire.send(&Call::post("/v1/holds")).await.unwrap();
        assert!(answer.is("sold_out") && answer.status == 409);
        assert_eq!(wire.tally.asked_to_wait.get(), 1);
        assert!(matches!(answer.value::<()>(), Err(DemoError::Unexpected { status: 409, .. })));
    }

    #[tokio::test]
    async fn a_shape_that_is_not_understood_is_an_error_not_a_guess() {
        let (url, _heard) = server(&[DONE]).await;
        let answer = wire(&url).send(&Call::get("/v1/me")).await.unwrap();
        assert!(answer.value::<serde_json::Value>().is_err());
    }

    #[test]
    fn forms_are_encoded() {
        let call = Call::post("/").form(&[("client_secret", "pi_1_secret_a b&c"), ("key", "pk")]);
        let (kind, body) = call.body.unwrap();
        assert_eq!(kind, "application/x-www-form-urlencoded");
        assert_eq!(body, b"client_secret=pi_1_secret_a+b%26c&key=pk");
    }
}
