//! What the adapters share: one call to a provider, how it ended, and one layer of retries for those who wait. The worker's calls are
//! repeated by the queue.

use aws_lc_rs::hmac;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use tessera::config::{Config, ConfigError};
use tessera::error::{Code, Refusal};
use tessera::sign::random;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(8);
/// How often a call is tried while somebody waits.
const TRIES: u32 = 3;

/// How a call ended, other than well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No answer, or one that says "later".
    Passing(String),
    /// A refusal that will stay one: the `error` object of the answer.
    Final(Value),
}

impl Failure {
    /// How it is said to whoever asked.
    pub(crate) fn refusal(self, provider: &str) -> Refusal {
        match self {
            Self::Passing(why) => Code::ProviderUnavailable.caused_by(format!("{provider}: {why}")),
            Self::Final(error) => Code::Internal.caused_by(format!("{provider} refused: {error}")),
        }
    }
}

/// An HTTP client with our deadline.
///
/// # Errors
/// Names the setting of the provider's address, though nothing of it is wrong, if there can be no client.
pub(crate) fn client(config: &Config, setting: &str) -> Result<reqwest::Client, ConfigError> {
    let client = reqwest::Client::builder().timeout(DEADLINE).tcp_nodelay(true).build();
    client.map_err(|error| config.wrong(setting, &error.to_string()))
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
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// Makes a call.
pub(crate) async fn send<T: DeserializeOwned>(call: reqwest::RequestBuilder) -> Result<T, Failure> {
    let passing = |error: &dyn std::fmt::Display| Failure::Passing(error.to_string());
    let answer = call.send().await.map_err(|error| passing(&error))?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|error| passing(&error))?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| passing(&error));
    }
    // 409 is the same key in flight, 429 is too many at once. A key that is refused (401, 403) is put right by an operator: until
    // then, nothing that was to be done is given up.
    if status.is_server_error() || matches!(status.as_u16(), 401 | 403 | 409 | 429) {
        return Err(Failure::Passing(format!("{status}: {}", String::from_utf8_lossy(&body))));
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(mut body) if body["error"].is_object() => Err(Failure::Final(body["error"].take())),
        _ => Err(Failure::Passing(format!("{status} without an error object"))),
    }
}

/// After a try that failed in passing, a random pause of up to 0.2, then 0.4 seconds ("full jitter"): then it is to be tried again.
///
/// # Errors
/// The failure, if it will stay one, or was the last.
pub(crate) async fn pause(what: &str, tries: u32, failure: Failure) -> Result<(), Failure> {
    match failure {
        Failure::Passing(why) if tries < TRIES => {
            tracing::warn!(what, tries, why, "a provider's call failed in passing");
            let bound = 200u64 << (tries - 1);
            let random = random::<8>().map(u64::from_be_bytes).unwrap_or(bound / 2);
            tokio::time::sleep(Duration::from_millis(random % bound)).await;
            Ok(())
        }
        other => Err(other),
    }
}
