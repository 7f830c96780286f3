//! Queues: their names, attributes and limits.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use tokio::sync::Notify;

use crate::error::{Code, Error, Result};

/// The attributes with a number: name, least, most, and the value of a new queue.
const NUMBERS: [(&str, i64, i64, i64); 5] = [
    ("DelaySeconds", 0, 900, 0),
    ("MaximumMessageSize", 1_024, 1_048_576, 1_048_576),
    ("MessageRetentionPeriod", 60, 1_209_600, 345_600),
    ("ReceiveMessageWaitTimeSeconds", 0, 20, 0),
    ("VisibilityTimeout", 0, 43_200, 30),
];

/// The attributes that are kept and answered but change nothing here: no keys, no callers to allow or deny.
const KEPT: [&str; 5] = [
    "Policy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
];

/// The attributes computed when asked for.
pub(crate) const COMPUTED: [&str; 6] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];

/// A queue's settings, held in memory beside their row in the store.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) fifo: bool,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) redrive: Option<Redrive>,
    pub(crate) created_ms: i64,
    pub(crate) modified_ms: i64,
    /// Rung whenever a long poller has reason to read again.
    pub(crate) arrivals: Arc<Notify>,
}

/// Where messages go that were received too often.
#[derive(Clone, Debug)]
pub(crate) struct Redrive {
    pub(crate) target_arn: String,
    /// How often a message may be received here, 1 to 1000.
    pub(crate) max_receive_count: i64,
}

impl Redrive {
    /// Reads a redrive policy; SQS takes the count as a number or as text.
    fn parse(policy: &str) -> Result<Self> {
        let refuse = |reason: &str| Error::parameter("RedrivePolicy", policy, reason);
        let read: RedriveJson = serde_json::from_str(policy)
            .map_err(|_| refuse("It must be a JSON object with deadLetterTargetArn and maxReceiveCount."))?;
        let count = read.max_receive_count.as_i64();
        let count = count.or_else(|| read.max_receive_count.as_str()?.parse().ok());
        let max_receive_count = count
            .filter(|count| (1..=1_000).contains(count))
            .ok_or_else(|| refuse("Invalid value for maxReceiveCount: must be between 1 and 1000."))?;
        Ok(Self { target_arn: read.dead_letter_target_arn, max_receive_count })
    }

    /// One spelling for equal policies, so that creating a queue twice compares equal.
    fn to_json(&self) -> String {
        json!({"deadLetterTargetArn": self.target_arn, "maxReceiveCount": self.max_receive_count}).to_string()
    }

    /// The name of the dead-letter queue.
    pub(crate) fn target(&self) -> &str {
        name_in_arn(&self.target_arn)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedriveJson {
    dead_letter_target_arn: String,
    max_receive_count: serde_json::Value,
}

impl Queue {
    pub(crate) fn new(id: i64, name: &str, attributes: BTreeMap<String, String>, times: (i64, i64)) -> Self {
        Self {
            id,
            name: name.to_owned(),
            fifo: attributes.contains_key("FifoQueue"),
            redrive: attributes.get("RedrivePolicy").and_then(|policy| Redrive::parse(policy).ok()),
            attributes,
            created_ms: times.0,
            modified_ms: times.1,
            arrivals: Arc::new(Notify::new()),
        }
    }

    /// A numeric attribute. Every queue has all of [`NUMBERS`]: they were checked on the way in.
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.attributes.get(name).and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.attributes.get(name).is_some_and(|value| value == "true")
    }

    /// Messages sent at or before this time have expired.
    pub(crate) fn retention_edge(&self, now: i64) -> i64 {
        now - self.number("MessageRetentionPeriod") * 1_000
    }
}

/// The attributes of a new queue that was given none.
pub(crate) fn default_attributes(fifo: bool) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        NUMBERS.iter().map(|(name, _, _, start)| ((*name).to_owned(), start.to_string())).collect();
    all.insert("SqsManagedSseEnabled".into(), "true".into());
    if fifo {
        all.insert("ContentBasedDeduplication".into(), "false".into());
        all.insert("DeduplicationScope".into(), "queue".into());
        all.insert("FifoThroughputLimit".into(), "perQueue".into());
        all.insert("FifoQueue".into(), "true".into());
    }
    all
}

/// 1 to 80 letters, digits, hyphens and underscores, and `.fifo` at the end exactly if it is a FIFO queue.
pub(crate) fn check_name(name: &str, fifo: bool) -> Result<()> {
    let stem = name.strip_suffix(".fifo");
    let letters = stem.unwrap_or(name);
    if name.len() > 80
        || letters.is_empty()
        || !letters.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    {
        let reason = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.";
        return Err(Error::parameter("QueueName", name, reason));
    }
    if stem.is_some() != fifo {
        let reason = "The name of a FIFO queue, and of no other, must end with the .fifo suffix.";
        return Err(Error::parameter("QueueName", name, reason));
    }
    Ok(())
}

/// Checks attributes given to a queue and brings them into the form in which they are kept and compared.
/// An empty value means "none". The dead-letter queue named by a redrive policy is checked by the store.
pub(crate) fn check_attributes(
    given: &BTreeMap<String, String>,
    fifo: bool,
) -> Result<BTreeMap<String, String>> {
    given.iter().map(|(name, value)| Ok((name.clone(), check_attribute(name, value, fifo)?))).collect()
}

fn check_attribute(name: &str, value: &str, fifo: bool) -> Result<String> {
    let invalid =
        || Error::new(Code::InvalidAttributeValue, format!("Invalid value for the parameter {name}."));
    let unknown = || Error::new(Code::InvalidAttributeName, format!("Unknown Attribute {name}."));
    let one_of = |choices: &[&str]| {
        if choices.contains(&value) { Ok(value.to_owned()) } else { Err(invalid()) }
    };
    if let Some((_, least, most, _)) = NUMBERS.iter().find(|(known, ..)| *known == name) {
        let number = value.parse::<i64>().ok().filter(|number| (least..=most).contains(&number));
        return number.map(|number| number.to_string()).ok_or_else(invalid);
    }
    match name {
        "RedrivePolicy" if value.is_empty() => Ok(String::new()),
        "RedrivePolicy" => Redrive::parse(value).map(|redrive| redrive.to_json()),
        "FifoQueue" if fifo => one_of(&["true"]),
        "ContentBasedDeduplication" if fifo => one_of(&["true", "false"]),
        "DeduplicationScope" if fifo => one_of(&["queue", "messageGroup"]),
        "FifoThroughputLimit" if fifo => one_of(&["perQueue", "perMessageGroupId"]),
        _ if KEPT.contains(&name) => Ok(value.to_owned()),
        _ => Err(unknown()),
    }
}

/// The queue's name: the last part of `arn:aws:sqs:region:account:name`.
pub(crate) fn name_in_arn(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}
