//! What the adapters share: one call to a provider, how it ended, and one layer of retries for those who wait. What the worker could
//! not ask for waits (see [`crate::waiting`]).

use crate::breaker::Breaker;
use aws_lc_rs::hmac;
use jiff::SignedDuration;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use tessera::app::App;
use tessera::config::ConfigError;
use tessera::error::{Code, Refusal};
use tessera::payment::Provider;
use tessera::sign::random;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(8);
/// How often a call is tried while somebody waits.
const TRIES: u32 = 3;

/// How a call ended, other than well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was not made: the provider has failed time and again. It is worth asking again after so long.
    Open(SignedDuration),
    /// The provider is in no state to answer: this counts.
    Down {
        /// What happened.
        why: String,
        /// Whether nothing came until the deadline.
        late: bool,
    },
    /// It answers, but not this, or not now.
    Passing(String),
    /// A refusal that will stay one: the `error` object of the answer.
    Final(Value),
    /// The store did not say whether it may be made.
    Unknown(Refusal),
}

impl Failure {
    /// How it is said to whoever asked.
    pub(crate) fn refusal(self, provider: &str) -> Refusal {
        match self {
            Self::Open(wait) => {
                let seconds = wait.as_millis().unsigned_abs().div_ceil(1_000);
                let retry_after = Some(u32::try_from(seconds).unwrap_or(u32::MAX).max(1));
                let said = format!("{provider} has not answered for a while, and is not asked now");
                Refusal { retry_after, ..Code::ProviderUnavailable.because(said) }
            }
            Self::Down { why, .. } | Self::Passing(why) => {
                Code::ProviderUnavailable.caused_by(format!("{provider}: {why}"))
            }
            Self::Final(error) => Code::Internal.caused_by(format!("{provider} refused: {}", reason(&error))),
            Self::Unknown(refusal) => refusal,
        }
    }
}

/// Whom a provider would send us to is nobody we know: an answer that leads elsewhere is none.
fn client() -> reqwest::Result<reqwest::Client> {
    let elsewhere = reqwest::redirect::Policy::none();
    reqwest::Client::builder().timeout(DEADLINE).tcp_nodelay(true).redirect(elsewhere).build()
}

/// The way to a provider: every call goes through its circuit.
pub(crate) struct Line {
    http: reqwest::Client,
    /// Whether it is asked.
    pub(crate) breaker: Breaker,
}

impl Line {
    /// One with our deadline.
    ///
    /// # Errors
    /// Names the setting of the provider's address, though nothing of it is wrong, if there can be no client.
    pub(crate) fn new(app: &App, provider: Provider, setting: &str) -> Result<Self, ConfigError> {
        let http = client().map_err(|error| app.config.wrong(setting, &error.to_string()))?;
        Ok(Self { http, breaker: Breaker::new(app, provider) })
    }

    /// A call to come.
    pub(crate) fn get(&self, url: &str) -> reqwest::RequestBuilder {
        self.http.get(url)
    }

    /// A call to come.
    pub(crate) fn post(&self, url: &str) -> reqwest::RequestBuilder {
        self.http.post(url)
    }

    /// Makes a call, unless the circuit is open.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        call: reqwest::RequestBuilder,
    ) -> Result<T, Failure> {
        let pass = self.breaker.pass().await?;
        let answer = exchange(call).await;
        let worked = !matches!(answer, Err(Failure::Down { .. }));
        self.breaker.report(pass, worked).await;
        answer
    }
}

/// The page on which a buyer pays, and where it sends them afterwards, under the name that the provider has for that.
pub(crate) fn pay_page(page: &str, (back, return_url): (&str, Option<&str>)) -> Option<String> {
    let mut url = reqwest::Url::parse(page).ok()?;
    if let Some(return_url) = return_url {
        url.query_pairs_mut().append_pair(back, return_url);
    }
    Some(url.into())
}

/// Secrets in force, comma-separated.
pub(crate) fn secrets(text: &str) -> Vec<String> {
    text.split(',').map(|secret| secret.trim().to_owned()).filter(|secret| !secret.is_empty()).collect()
}

/// Whether one of these secrets signed these bytes with HMAC-SHA256, written as 64 hexadecimal digits.
pub(crate) fn signed_by(secrets: &[String], signed: &[u8], signature: &str) -> bool {
    let Some(signature) = unhex(signature.trim()) else { return false };
    secrets.iter().any(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hmac::verify(&key, signed, &signature).is_ok()
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    // `from_str_radix` would take a sign for a digit.
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// Makes a call. What counts against the provider is what says nothing about the call itself:
///
/// - no answer, a broken one, none until the deadline, 5xx, 429 (too many at once);
/// - 401: a key that is refused is refused for every call, until an operator puts it right.
///
/// 403 (this key may not do this) and 409 (the same idempotency key in flight) are about one call, and will pass: until then, nothing
/// that was to be done is given up.
async fn exchange<T: DeserializeOwned>(call: reqwest::RequestBuilder) -> Result<T, Failure> {
    let lost = |error: reqwest::Error| Failure::Down { late: error.is_timeout(), why: error.to_string() };
    let answer = call.send().await.map_err(lost)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(lost)?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| match error.is_data() {
            // It is JSON, but not of the form that we know. (What was met instead is somebody's data.)
            true => Failure::Passing(format!("{status} of another form, at column {}", error.column())),
            false => Failure::Down { why: error.to_string(), late: false },
        });
    }
    if status.is_server_error() || matches!(status.as_u16(), 401 | 429) {
        return Err(Failure::Down { why: why(status, &body), late: false });
    }
    if matches!(status.as_u16(), 403 | 409) {
        return Err(Failure::Passing(why(status, &body)));
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(mut body) if body["error"].is_object() => Err(Failure::Final(body["error"].take())),
        _ => Err(Failure::Passing(format!("{status} without an error object"))),
    }
}

/// What may be logged of an answer that is no success.
fn why(status: reqwest::StatusCode, body: &[u8]) -> String {
    let error = serde_json::from_slice::<Value>(body).unwrap_or_default();
    format!("{status}: {}", reason(&error["error"]))
}

/// What may be logged of a provider's `error`: which one it is. All else may be somebody's: Stripe's errors have the whole payment in
/// them, with its client secret and whoever pays, and sentences quote what was sent. The provider's own log has the rest.
pub(crate) fn reason(error: &Value) -> String {
    let word = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_[].".contains(&byte))
    };
    let said = |name: &&str| Some(format!("{name}={}", error[name].as_str().filter(word)?));
    let names = ["type", "code", "decline_code", "param", "reason", "field", "step", "source"];
    let words: Vec<_> = names.iter().filter_map(said).collect();
    if words.is_empty() { "no error that is known".to_owned() } else { words.join(" ") }
}

/// After a try that failed in passing, a random pause of up to 0.2, then 0.4 seconds ("full jitter"): then it is to be tried again. Who
/// has waited until a deadline is not asked to wait for another: API Gateway and our own function would give up first.
///
/// # Errors
/// The failure, if it will stay one, or was the last.
pub(crate) async fn pause(what: &str, tries: u32, failure: Failure) -> Result<(), Failure> {
    match failure {
        Failure::Down { why, late: false } | Failure::Passing(why) if tries < TRIES => {
            tracing::warn!(what, tries, why, "a provider's call failed in passing");
            let bound = 200u64 << (tries - 1);
            let random = random::<8>().map(u64::from_be_bytes).unwrap_or(bound / 2);
            tokio::time::sleep(Duration::from_millis(random % bound)).await;
            Ok(())
        }
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::{Read, Write};

    #[tokio::test]
    async fn a_redirect_is_no_answer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 307 T\r\nLocation: /away\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        assert_eq!(client().unwrap().get(url).send().await.unwrap().status(), 307);
        served.join().unwrap();
    }

    #[test]
    fn of_a_refusal_only_its_kind_is_logged() {
        let error = json!({
            "type": "invalid_request_error", "code": "payment_intent_unexpected_state", "param": "metadata[order]",
            "message": "Invalid email address: ada@example.org",
            "payment_intent": {"client_secret": "pi_1_secret_2", "receipt_email": "ada@example.org"},
        });
        let kind = "type=invalid_request_error code=payment_intent_unexpected_state param=metadata[order]";
        assert_eq!(reason(&error), kind);
        let refusal = Failure::Final(error.clone()).refusal("stripe");
        assert_eq!(format!("{refusal}"), format!("internal (caused by \"stripe refused: {kind}\")"));
        let body = json!({"error": error}).to_string();
        assert_eq!(why(reqwest::StatusCode::CONFLICT, body.as_bytes()), format!("409 Conflict: {kind}"));
        let odd = json!({"code": "ada@example.org", "reason": ["x"], "step": ""});
        assert_eq!(reason(&odd), "no error that is known");
        assert_eq!(
            why(reqwest::StatusCode::BAD_GATEWAY, b"<html>ada@example.org"),
            "502 Bad Gateway: no error that is known"
        );
    }
}
