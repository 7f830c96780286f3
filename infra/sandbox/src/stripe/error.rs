//! Refusals, as Stripe words them.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::trouble::Trouble;

/// A refusal as Stripe answers it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{status} {kind}: {message}")]
pub struct Error {
    /// The HTTP status: 400, 401, 402, 404, 409, 429, or 500 when the sandbox's own store failed.
    pub status: u16,
    /// Stripe's `type`, such as `card_error`.
    pub kind: &'static str,
    /// Stripe's `code`, where there is one.
    pub code: Option<&'static str>,
    /// A sentence for people.
    pub message: String,
    /// The parameter at fault.
    pub param: Option<String>,
    /// What else the error object holds: `decline_code`, `payment_intent`, `charge`, `payment_method`.
    pub more: Option<Box<Map<String, Value>>>,
}

/// The result of every operation here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The most usual refusal: 400, `invalid_request_error`.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status: 400, kind: "invalid_request_error", code: None, message, param: None, more: None }
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.get_or_insert_default().insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn missing(param: &str) -> Self {
        Self::invalid(format!("Missing required param: {param}.")).code("parameter_missing").param(param)
    }

    /// Something that a path names and that is not there; in a parameter it would be a 400.
    pub(crate) fn no_such(what: &str, id: &str, param: &str) -> Self {
        Self::invalid(format!("No such {what}: '{id}'")).code("resource_missing").param(param).status(404)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::invalid(message).status(401)
    }

    /// A parameter that makes no sense beside this state of the payment.
    pub(crate) fn unexpected_state(message: impl Into<String>) -> Self {
        Self::invalid(message).code("payment_intent_unexpected_state")
    }

    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        let message = cause.to_string();
        Self { status: 500, kind: "api_error", code: None, message, param: None, more: None }
    }

    /// Whether the call got as far as acting, so that its answer is kept under the idempotency key. Stripe keeps
    /// none for what failed validation.
    pub(crate) fn acted(&self) -> bool {
        self.status == 402 || self.code == Some("payment_intent_unexpected_state")
    }

    /// The answer's body.
    pub(crate) fn body(&self, request_id: &str) -> Value {
        let mut error = self.more.as_deref().cloned().unwrap_or_default();
        error.insert("type".into(), self.kind.into());
        error.insert("message".into(), self.message.as_str().into());
        if let Some(code) = self.code {
            error.insert("code".into(), code.into());
            error.insert("doc_url".into(), format!("https://stripe.com/docs/error-codes/{code}").into());
        }
        if let Some(param) = &self.param {
            error.insert("param".into(), param.as_str().into());
        }
        error.insert(
            "request_log_url".into(),
            format!("https://dashboard.stripe.com/test/logs/{request_id}").into(),
        );
        json!({ "error": error })
    }
}

impl From<Trouble> for Error {
    fn from(cause: Trouble) -> Self {
        Self::internal(cause)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(cause: rusqlite::Error) -> Self {
        Trouble::from(cause).into()
    }
}

impl From<serde_json::Error> for Error {
    fn from(cause: serde_json::Error) -> Self {
        Trouble::from(cause).into()
    }
}

impl From<getrandom::Error> for Error {
    fn from(cause: getrandom::Error) -> Self {
        Trouble::from(cause).into()
    }
}
