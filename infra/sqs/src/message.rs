//! Messages: what is sent and received, the limits they keep to, and their checksums.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::queue::Queue;

/// The largest message, and the largest batch, in bytes: 1 MiB, attributes included.
pub const MAX_MESSAGE_BYTES: usize = 1_048_576;
/// The most attributes one message carries.
const MAX_ATTRIBUTES: usize = 10;

/// Message attributes by name, in the order their checksum wants them.
pub type Attributes = BTreeMap<String, Attribute>;

/// One message attribute, as on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Attribute {
    /// `String`, `Number` or `Binary`, optionally followed by a dot and a label of one's own.
    pub data_type: String,
    /// The value of a String or Number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// The value of a Binary, in standard base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<String>,
}

impl Attribute {
    /// A String attribute; an empty value is refused when it is sent.
    #[must_use]
    pub fn string(value: impl Into<String>) -> Self {
        Self { data_type: "String".into(), string_value: Some(value.into()), binary_value: None }
    }

    /// A Binary attribute; an empty value is refused when it is sent.
    #[must_use]
    pub fn binary(value: &[u8]) -> Self {
        Self { data_type: "Binary".into(), string_value: None, binary_value: Some(STANDARD.encode(value)) }
    }

    /// The transport type (1 text, 2 binary) and the bytes of the value.
    fn value(&self) -> Option<(u8, Vec<u8>)> {
        match (&self.string_value, &self.binary_value) {
            (Some(text), None) => Some((1, text.clone().into_bytes())),
            (None, Some(encoded)) => STANDARD.decode(encoded).ok().map(|bytes| (2, bytes)),
            _ => None,
        }
    }
}

/// A message to send. [`NewMessage::new`] fills everything but the body with "not given".
#[derive(Clone, Debug, Default)]
pub struct NewMessage {
    /// 1 byte to 1 MiB of text, of the characters XML 1.0 allows.
    pub body: String,
    /// 0 to 900 seconds during which nobody receives it; the queue's own delay if absent. Standard queues only.
    pub delay_seconds: Option<i64>,
    /// Up to ten attributes.
    pub attributes: Attributes,
    /// The `AWSTraceHeader` system attribute.
    pub trace_header: Option<String>,
    /// The group whose order is kept; required by FIFO queues. 1 to 128 letters, digits and punctuation.
    pub group_id: Option<String>,
    /// What makes a second send within five minutes a repetition of the first; FIFO queues only.
    pub deduplication_id: Option<String>,
}

impl NewMessage {
    /// A message with this body and nothing else.
    pub fn new(body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// The bytes counted against the limits: body, attribute names, types and values.
    pub(crate) fn size(&self) -> usize {
        let attribute = |(name, a): (&String, &Attribute)| {
            let value = a.value().map_or(0, |(_, bytes)| bytes.len());
            name.len() + a.data_type.len() + value
        };
        self.body.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }

    /// Refuses what SQS refuses, and answers the deduplication id that holds for a FIFO queue.
    pub(crate) fn check(&self, queue: &Queue) -> Result<Option<String>> {
        if self.body.is_empty() {
            return Err(Error::missing("MessageBody"));
        }
        check_characters(&self.body)?;
        self.attributes.iter().try_for_each(|(name, attribute)| check_attribute(name, attribute))?;
        if self.attributes.len() > MAX_ATTRIBUTES {
            return Err(Error::new(
                Code::InvalidParameterValue,
                format!(
                    "Number of message attributes [{}] exceeds the allowed maximum [10].",
                    self.attributes.len()
                ),
            ));
        }
        let limit = queue.number("MaximumMessageSize");
        if i64::try_from(self.size()).unwrap_or(i64::MAX) > limit {
            let message = format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
            );
            return Err(Error::new(Code::InvalidParameterValue, message));
        }
        if let Some(delay) = self.delay_seconds {
            if !(0..=900).contains(&delay) {
                return Err(Error::parameter("DelaySeconds", delay, "DelaySeconds must be >= 0 and <= 900."));
            }
            if queue.fifo && delay > 0 {
                return Err(Error::parameter("DelaySeconds", delay, WRONG_QUEUE_TYPE));
            }
        }
        for (name, id) in
            [("MessageGroupId", &self.group_id), ("MessageDeduplicationId", &self.deduplication_id)]
        {
            let bad =
                |id: &&String| !(1..=128).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_graphic());
            if let Some(id) = id.as_ref().filter(bad) {
                let reason = format!(
                    "{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
                );
                return Err(Error::parameter(name, id, &reason));
            }
        }
        match (queue.fifo, &self.deduplication_id) {
            (false, Some(id)) => Err(Error::parameter("MessageDeduplicationId", id, WRONG_QUEUE_TYPE)),
            (false, None) => Ok(None),
            (true, _) if self.group_id.is_none() => Err(Error::missing("MessageGroupId")),
            (true, Some(id)) => Ok(Some(id.clone())),
            (true, None) if queue.flag("ContentBasedDeduplication") => {
                let sum = digest::digest(&digest::SHA256, self.body.as_bytes());
                Ok(Some(hex(sum.as_ref())))
            }
            (true, None) => Err(Error::new(
                Code::InvalidParameterValue,
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId \
                 provided explicitly",
            )),
        }
    }
}

const WRONG_QUEUE_TYPE: &str = "The request include parameter that is not valid for this queue type.";

/// What a send answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Sent {
    /// The message's id; a repeated FIFO send answers the first one's.
    pub message_id: String,
    /// MD5 of the body, in hexadecimal.
    #[serde(rename = "MD5OfMessageBody")]
    pub md5_of_body: String,
    /// MD5 of the attributes, if there are any.
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    pub md5_of_attributes: Option<String>,
    /// MD5 of the system attributes, if there are any.
    #[serde(rename = "MD5OfMessageSystemAttributes", skip_serializing_if = "Option::is_none")]
    pub md5_of_system_attributes: Option<String>,
    /// Twenty digits, growing with every message of a FIFO queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence_number: Option<String>,
}

impl Sent {
    pub(crate) fn new(message: &NewMessage, message_id: String, sequence_number: Option<String>) -> Self {
        let system: Attributes = message
            .trace_header
            .iter()
            .map(|trace| ("AWSTraceHeader".to_owned(), Attribute::string(trace)))
            .collect();
        Self {
            message_id,
            md5_of_body: md5_of_body(&message.body),
            md5_of_attributes: md5_of_attributes(&message.attributes),
            md5_of_system_attributes: md5_of_attributes(&system),
            sequence_number,
        }
    }
}

/// How to receive. The default is SQS's: one message, and the queue's own timeouts.
#[derive(Clone, Copy, Debug)]
pub struct Receive {
    /// At most so many messages, 1 to 10.
    pub max: i64,
    /// Seconds, 0 to 43,200, until a message received and not deleted is seen again.
    pub visibility_seconds: Option<i64>,
    /// Seconds, 0 to 20, to wait for a first message.
    pub wait_seconds: Option<i64>,
}

impl Default for Receive {
    fn default() -> Self {
        Self { max: 1, visibility_seconds: None, wait_seconds: None }
    }
}

impl Receive {
    pub(crate) fn check(&self) -> Result<()> {
        let ranges = [
            ("MaxNumberOfMessages", Some(self.max), 1, 10),
            ("VisibilityTimeout", self.visibility_seconds, 0, 43_200),
            ("WaitTimeSeconds", self.wait_seconds, 0, 20),
        ];
        for (name, value, low, high) in ranges {
            if let Some(value) = value.filter(|value| !(low..=high).contains(value)) {
                let reason = format!("Must be between {low} and {high}, if provided.");
                return Err(Error::parameter(name, value, &reason));
            }
        }
        Ok(())
    }
}

/// A message as stored, received or peeked at. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The id its send answered.
    pub message_id: String,
    /// What deletes it or changes its visibility; `None` when only peeked at.
    pub receipt_handle: Option<String>,
    /// The body.
    pub body: String,
    /// The attributes it was sent with.
    pub attributes: Attributes,
    /// When it was sent (or moved, where SQS counts its retention anew).
    pub sent_ms: i64,
    /// From when on it may be received.
    pub visible_ms: i64,
    /// When it was first received, if ever.
    pub first_received_ms: Option<i64>,
    /// How often it was received, this time included.
    pub receive_count: i64,
    /// Its group.
    pub group_id: Option<String>,
    /// Its deduplication id.
    pub deduplication_id: Option<String>,
    /// Twenty digits; FIFO queues only.
    pub sequence_number: Option<String>,
    /// The `AWSTraceHeader` it was sent with.
    pub trace_header: Option<String>,
    /// The name of the queue it failed in, when it was moved here as a dead letter.
    pub dead_letter_source: Option<String>,
}

pub(crate) fn sequence_number(sequence: i64) -> String {
    format!("{sequence:020}")
}

/// The contents of a receipt handle: which message, in which queue, and the how-manieth receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) queue: i64,
    pub(crate) sequence: i64,
    pub(crate) count: i64,
}

impl Receipt {
    pub(crate) fn handle(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}.{}.{}", self.queue, self.sequence, self.count))
    }

    /// Reads a handle given out by queue `queue`; anything else is `ReceiptHandleIsInvalid`.
    pub(crate) fn parse(handle: &str, queue: i64) -> Result<Self> {
        let read = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(handle).ok()?).ok()?;
            let mut parts = text.splitn(3, '.').map(|part| part.parse::<i64>().ok());
            Some(Self { queue: parts.next()??, sequence: parts.next()??, count: parts.next()?? })
        };
        read().filter(|receipt| receipt.queue == queue).ok_or_else(|| {
            let message = format!("The input receipt handle \"{handle}\" is not a valid receipt handle.");
            Error::new(Code::ReceiptHandleIsInvalid, message)
        })
    }
}

/// MD5 of a body, in hexadecimal.
#[must_use]
pub fn md5_of_body(body: &str) -> String {
    hex(&Md5::digest(body.as_bytes()))
}

/// MD5 of attributes as SQS computes it, `None` without any: sorted by name, each name, type and value behind
/// its length in four big-endian bytes, the value's transport type (1 text, 2 binary) before its length.
#[must_use]
pub fn md5_of_attributes(attributes: &Attributes) -> Option<String> {
    let mut sum = Md5::new();
    let mut part = |bytes: &[u8], transport: &[u8]| {
        sum.update(transport);
        // Lengths are bounded by MAX_MESSAGE_BYTES, far below 2^32.
        sum.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        sum.update(bytes);
    };
    for (name, attribute) in attributes {
        let (transport, value) = attribute.value().unwrap_or((1, Vec::new()));
        part(name.as_bytes(), &[]);
        part(attribute.data_type.as_bytes(), &[]);
        part(&value, &[transport]);
    }
    (!attributes.is_empty()).then(|| hex(&sum.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).collect()
}

/// Refuses the characters SQS refuses: those XML 1.0 cannot carry.
fn check_characters(text: &str) -> Result<()> {
    let allowed = |c: char| match c {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => other >= ' ',
    };
    match text.chars().find(|&c| !allowed(c)) {
        None => Ok(()),
        Some(c) => Err(Error::new(
            Code::InvalidMessageContents,
            format!("Invalid binary character '#x{:X}' was found in the message.", u32::from(c)),
        )),
    }
}

fn check_attribute(name: &str, attribute: &Attribute) -> Result<()> {
    let refuse = |what: &str| Err(Error::new(Code::InvalidParameterValue, what.to_owned()));
    let lower = name.to_ascii_lowercase();
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if !(1..=256).contains(&name.len())
        || !name.bytes().all(word)
        || name.starts_with('.')
        || name.ends_with('.')
        || name.contains("..")
        || lower.starts_with("aws.")
        || lower.starts_with("amazon.")
    {
        return refuse(&format!("The message attribute name '{name}' is invalid."));
    }
    let kind = attribute.data_type.split('.').next().unwrap_or_default();
    if attribute.data_type.len() > 256 || !matches!(kind, "String" | "Number" | "Binary") {
        return refuse(&format!(
            "The type of message (user) attribute '{name}' is invalid. You must use only the following \
             supported type prefixes: Binary, Number, String."
        ));
    }
    match attribute.value() {
        Some((transport, bytes)) if !bytes.is_empty() && (transport == 2) == (kind == "Binary") => {}
        _ => {
            return refuse(&format!(
                "The message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
            ));
        }
    }
    let text = attribute.string_value.as_deref().unwrap_or_default();
    check_characters(text)?;
    if kind == "Number" && !text.parse::<f64>().is_ok_and(f64::is_finite) {
        return refuse(&format!("Can't cast the value of message (user) attribute '{name}' to a number."));
    }
    Ok(())
}
