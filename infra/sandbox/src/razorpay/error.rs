//! Refusals, as Razorpay words them.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::trouble::Trouble;

/// A refusal as Razorpay answers it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {code}: {description}")]
pub struct Error {
    /// The HTTP status: 400, 401, 409, 429, or 500 when the sandbox's own store failed.
    pub status: u16,
    /// `BAD_REQUEST_ERROR`, `GATEWAY_ERROR` or `SERVER_ERROR`.
    pub code: &'static str,
    /// A sentence for people.
    pub description: String,
    /// Whose fault it is, at which stage, and why.
    pub cause: Cause,
    /// The parameter at fault.
    pub field: Option<String>,
}

/// What Razorpay tells apart: `source`, `step` and `reason` of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Such as `business`, `bank` or `customer`; `NA` if nothing is known.
    pub source: &'static str,
    /// Such as `payment_initiation`.
    pub step: &'static str,
    /// Such as `input_validation_failed`.
    pub reason: &'static str,
}

/// What has no cause worth telling.
pub(crate) const UNTOLD: Cause = Cause { source: "NA", step: "NA", reason: "NA" };

const INPUT: Cause =
    Cause { source: "business", step: "payment_initiation", reason: "input_validation_failed" };

/// The result of every operation here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The most usual refusal: 400, a parameter or a state that does not fit.
    pub(crate) fn invalid(description: impl Into<String>) -> Self {
        let description = description.into();
        Self { status: 400, code: "BAD_REQUEST_ERROR", description, cause: INPUT, field: None }
    }

    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// A refusal that is not about a parameter.
    pub(crate) fn general(status: u16, description: impl Into<String>) -> Self {
        Self { status, cause: UNTOLD, ..Self::invalid(description) }
    }

    pub(crate) fn missing(field: &str) -> Self {
        Self::invalid(format!("The {} field is required.", field.replace('_', " "))).field(field)
    }

    /// Something that is named and is not there; Razorpay answers 400 to that, not 404.
    pub(crate) fn no_such(prefix: &str, id: &str) -> Self {
        let letters = id.strip_prefix(prefix).filter(|rest| rest.len() == super::sale::LETTERS);
        match letters.filter(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            Some(_) => Self::invalid("The id provided does not exist"),
            None => Self::invalid(format!("{id} is not a valid id")),
        }
    }

    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        Self { code: "SERVER_ERROR", ..Self::general(500, cause.to_string()) }
    }

    /// The answer's body.
    pub(crate) fn body(&self) -> Value {
        let Cause { source, step, reason } = self.cause;
        let mut error = Map::new();
        error.insert("code".into(), self.code.into());
        error.insert("description".into(), self.description.as_str().into());
        error.insert("source".into(), source.into());
        error.insert("step".into(), step.into());
        error.insert("reason".into(), reason.into());
        error.insert("metadata".into(), json!({}));
        if let Some(field) = &self.field {
            error.insert("field".into(), field.as_str().into());
        }
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
