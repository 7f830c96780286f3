//! What can go wrong, under the names SQS gives it.

use std::fmt;

/// The kinds of refusal SQS knows, plus [`Code::InternalFailure`] for trouble in the store itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are SQS's own error names and say what they mean")]
pub enum Code {
    BatchEntryIdsNotDistinct,
    BatchRequestTooLong,
    EmptyBatchRequest,
    InternalFailure,
    InvalidAction,
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidBatchEntryId,
    InvalidMessageContents,
    InvalidParameterValue,
    MalformedRequest,
    MessageNotInflight,
    MissingParameter,
    QueueDoesNotExist,
    QueueNameExists,
    ReceiptHandleIsInvalid,
    ResourceNotFoundException,
    TooManyEntriesInBatchRequest,
    UnsupportedOperation,
}

impl Code {
    /// The shape name, as in `__type` of an answer and `Code` of a batch entry.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BatchEntryIdsNotDistinct => "BatchEntryIdsNotDistinct",
            Self::BatchRequestTooLong => "BatchRequestTooLong",
            Self::EmptyBatchRequest => "EmptyBatchRequest",
            Self::InternalFailure => "InternalFailure",
            Self::InvalidAction => "InvalidAction",
            Self::InvalidAttributeName => "InvalidAttributeName",
            Self::InvalidAttributeValue => "InvalidAttributeValue",
            Self::InvalidBatchEntryId => "InvalidBatchEntryId",
            Self::InvalidMessageContents => "InvalidMessageContents",
            Self::InvalidParameterValue => "InvalidParameterValue",
            Self::MalformedRequest => "SerializationException",
            Self::MessageNotInflight => "MessageNotInflight",
            Self::MissingParameter => "MissingParameter",
            Self::QueueDoesNotExist => "QueueDoesNotExist",
            Self::QueueNameExists => "QueueNameExists",
            Self::ReceiptHandleIsInvalid => "ReceiptHandleIsInvalid",
            Self::ResourceNotFoundException => "ResourceNotFoundException",
            Self::TooManyEntriesInBatchRequest => "TooManyEntriesInBatchRequest",
            Self::UnsupportedOperation => "UnsupportedOperation",
        }
    }

    /// The name the older query protocol used, which SDKs still read from `x-amzn-query-error`.
    #[must_use]
    pub fn query_name(self) -> &'static str {
        match self {
            Self::QueueDoesNotExist => "AWS.SimpleQueueService.NonExistentQueue",
            Self::QueueNameExists => "QueueAlreadyExists",
            Self::BatchEntryIdsNotDistinct => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            Self::BatchRequestTooLong => "AWS.SimpleQueueService.BatchRequestTooLong",
            Self::EmptyBatchRequest => "AWS.SimpleQueueService.EmptyBatchRequest",
            Self::InvalidBatchEntryId => "AWS.SimpleQueueService.InvalidBatchEntryId",
            Self::MessageNotInflight => "AWS.SimpleQueueService.MessageNotInflight",
            Self::TooManyEntriesInBatchRequest => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            Self::UnsupportedOperation => "AWS.SimpleQueueService.UnsupportedOperation",
            other => other.name(),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A refusal: its kind and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// Which of SQS's errors this is.
    pub code: Code,
    /// What was wrong, in a sentence.
    pub message: String,
}

/// The result of every operation here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn parameter(name: &str, value: impl fmt::Display, reason: &str) -> Self {
        let message = format!("Value {value} for parameter {name} is invalid. Reason: {reason}");
        Self::new(Code::InvalidParameterValue, message)
    }

    pub(crate) fn missing(name: &str) -> Self {
        Self::new(Code::MissingParameter, format!("The request must contain the parameter {name}."))
    }

    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        Self::new(Code::InternalFailure, cause.to_string())
    }
}

impl From<rusqlite::Error> for Error {
    fn from(cause: rusqlite::Error) -> Self {
        Self::internal(format_args!("queue store: {cause}"))
    }
}
