//! The AWS JSON 1.0 protocol: what SDKs send and expect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Code, Error, Result};
use crate::message::{
    Attribute, Attributes, MAX_MESSAGE_BYTES, Message, NewMessage, Receive, md5_of_attributes,
};
use crate::queue::{COMPUTED, name_in_arn};
use crate::store::MoveTask;
use crate::{Sqs, md5_of_body};

/// A batch of 1 MiB in the worst JSON spelling (six characters for one), and the names around it.
const MAX_REQUEST_BYTES: usize = 8 * MAX_MESSAGE_BYTES;

/// Serves the queues to SDKs: give a client this server's address as its `endpoint_url`, and any credentials.
/// Every path answers, for some SDKs post to the queue's URL.
pub fn router(sqs: Arc<Sqs>) -> Router {
    Router::new().fallback(answer).layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)).with_state(sqs)
}

async fn answer(State(sqs): State<Arc<Sqs>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.strip_prefix("AmazonSQS.")).unwrap_or_default();
    let json = ("content-type", "application/x-amz-json-1.0");
    match operate(&sqs, operation, &body).await {
        Ok(answer) => ([json], answer.to_string()).into_response(),
        Err(error) => {
            let (status, fault) = match error.code {
                Code::InternalFailure => {
                    tracing::error!(operation, %error, "the queue store failed");
                    (StatusCode::INTERNAL_SERVER_ERROR, "Receiver")
                }
                _ => (StatusCode::BAD_REQUEST, "Sender"),
            };
            let query_error = format!("{};{fault}", error.code.query_name());
            let kind = format!("com.amazonaws.sqs#{}", error.code);
            let text = json!({"__type": kind, "message": error.message}).to_string();
            (status, [json, ("x-amzn-query-error", &query_error)], text).into_response()
        }
    }
}

async fn operate(sqs: &Sqs, operation: &str, body: &[u8]) -> Result<Value> {
    match operation {
        "CreateQueue" => create_queue(sqs, read(body)?),
        "GetQueueUrl" => {
            let asked: NamedQueue = read(body)?;
            Ok(json!({"QueueUrl": sqs.queue_url(&required(asked.queue_name, "QueueName")?)?}))
        }
        "ListQueues" => list_queues(sqs, &read(body)?),
        "DeleteQueue" => sqs.delete_queue(&read::<AtQueue>(body)?.name()?).map(nothing),
        "PurgeQueue" => sqs.purge(&read::<AtQueue>(body)?.name()?).map(nothing),
        "GetQueueAttributes" => get_attributes(sqs, &read(body)?),
        "SetQueueAttributes" => {
            let asked: SetAttributes = read(body)?;
            sqs.set_attributes(&asked.queue.name()?, &asked.attributes).map(nothing)
        }
        "SendMessage" => {
            let asked: Send = read(body)?;
            value(&sqs.send(&asked.queue.name()?, &asked.message.into_message()?)?)
        }
        "SendMessageBatch" => send_batch(sqs, read(body)?),
        "ReceiveMessage" => receive(sqs, read(body)?).await,
        "DeleteMessage" => {
            let asked: Handle = read(body)?;
            sqs.delete(&asked.queue.name()?, &required(asked.receipt_handle, "ReceiptHandle")?).map(nothing)
        }
        "DeleteMessageBatch" => {
            let asked: Batch<HandleEntry> = read(body)?;
            let handles: Vec<&str> =
                asked.entries()?.iter().map(|e| e.entry.receipt_handle.as_str()).collect();
            asked.answer(sqs.delete_batch(&asked.queue.name()?, &handles)?)
        }
        "ChangeMessageVisibility" => {
            let asked: Handle = read(body)?;
            let handle = required(asked.receipt_handle, "ReceiptHandle")?;
            let seconds = required(asked.visibility_timeout, "VisibilityTimeout")?;
            sqs.change_visibility(&asked.queue.name()?, &handle, seconds).map(nothing)
        }
        "ChangeMessageVisibilityBatch" => {
            let asked: Batch<HandleEntry> = read(body)?;
            let change = |e: &Entry<HandleEntry>| {
                let seconds = required(e.entry.visibility_timeout, "VisibilityTimeout")?;
                Ok((e.entry.receipt_handle.clone(), seconds))
            };
            let changes: Vec<(String, i64)> = asked.entries()?.iter().map(change).collect::<Result<_>>()?;
            let changes: Vec<(&str, i64)> = changes.iter().map(|(handle, s)| (handle.as_str(), *s)).collect();
            asked.answer(sqs.change_visibility_batch(&asked.queue.name()?, &changes)?)
        }
        "ListDeadLetterSourceQueues" => list_sources(sqs, &read(body)?),
        "StartMessageMoveTask" => start_move(sqs, read(body)?),
        "ListMessageMoveTasks" => list_moves(sqs, read(body)?),
        "CancelMessageMoveTask" => cancel_move(sqs, read(body)?),
        other => {
            let message = format!("The action {other} is not valid for this endpoint.");
            Err(Error::new(Code::InvalidAction, message))
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|cause| Error::new(Code::MalformedRequest, cause.to_string()))
}

fn value(answer: &impl Serialize) -> Result<Value> {
    serde_json::to_value(answer).map_err(Error::internal)
}

fn nothing((): ()) -> Value {
    json!({})
}

fn required<T>(given: Option<T>, name: &str) -> Result<T> {
    given.ok_or_else(|| Error::missing(name))
}

/// The queue an operation is about; its URL may name any host, the name is its last part.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AtQueue {
    queue_url: Option<String>,
}

impl AtQueue {
    fn name(&self) -> Result<String> {
        let url = self.queue_url.as_deref().filter(|url| !url.is_empty());
        let url = required(url, "QueueUrl")?.trim_end_matches('/');
        Ok(url.rsplit('/').next().unwrap_or(url).to_owned())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamedQueue {
    queue_name: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

fn create_queue(sqs: &Sqs, asked: NamedQueue) -> Result<Value> {
    let name = required(asked.queue_name, "QueueName")?;
    Ok(json!({"QueueUrl": sqs.create_queue(&name, &asked.attributes)?}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(flatten)]
    queue: AtQueue,
    queue_name_prefix: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

impl Page {
    /// The URLs of those of `names` (sorted) that are on this page, and the token of the next one: the last name.
    fn cut(&self, sqs: &Sqs, names: Vec<String>, member: &str) -> Result<Value> {
        let most = self.max_results.unwrap_or(1_000);
        if !(1..=1_000).contains(&most) {
            return Err(Error::parameter("MaxResults", most, "Must be between 1 and 1000, if provided."));
        }
        let after =
            match &self.next_token {
                None => String::new(),
                Some(token) => URL_SAFE_NO_PAD
                    .decode(token)
                    .ok()
                    .and_then(|name| String::from_utf8(name).ok())
                    .ok_or_else(|| Error::parameter("NextToken", token, "Invalid or expired next token."))?,
            };
        let mut rest = names.into_iter().filter(|name| *name > after);
        let page: Vec<String> = rest.by_ref().take(most).collect();
        let urls: Vec<String> = page.iter().map(|name| sqs.url(name)).collect();
        let mut answer = json!({ member: urls });
        if let (Some(_), Some(_), Some(last)) = (self.max_results, rest.next(), page.last()) {
            answer["NextToken"] = URL_SAFE_NO_PAD.encode(last).into();
        }
        Ok(answer)
    }
}

fn list_queues(sqs: &Sqs, asked: &Page) -> Result<Value> {
    let prefix = asked.queue_name_prefix.as_deref().unwrap_or_default();
    let names = sqs
        .store()
        .queues()
        .map(|queue| queue.name.clone())
        .filter(|name| name.starts_with(prefix))
        .collect();
    asked.cut(sqs, names, "QueueUrls")
}

fn list_sources(sqs: &Sqs, asked: &Page) -> Result<Value> {
    let target = asked.queue.name()?;
    let store = sqs.store();
    store.queue(&target)?;
    let names = store.sources(&target).map(|queue| queue.name.clone()).collect();
    // SQS spells this one member with a small letter.
    asked.cut(sqs, names, "queueUrls")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetAttributes {
    #[serde(flatten)]
    queue: AtQueue,
    #[serde(default)]
    attribute_names: Vec<String>,
}

/// Every attribute a queue may have; asking for one it has not is no error.
const OPTIONAL: [&str; 10] = [
    "Policy",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "FifoQueue",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
];

fn get_attributes(sqs: &Sqs, asked: &GetAttributes) -> Result<Value> {
    let mut all = sqs.attributes(&asked.queue.name()?)?;
    let known = |name: &str| all.contains_key(name) || OPTIONAL.contains(&name) || COMPUTED.contains(&name);
    if let Some(name) = asked.attribute_names.iter().find(|name| *name != "All" && !known(name)) {
        return Err(Error::new(Code::InvalidAttributeName, format!("Unknown Attribute {name}.")));
    }
    if !asked.attribute_names.iter().any(|name| name == "All") {
        all.retain(|name, _| asked.attribute_names.contains(name));
    }
    Ok(if all.is_empty() { json!({}) } else { json!({"Attributes": all}) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetAttributes {
    #[serde(flatten)]
    queue: AtQueue,
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEntry {
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: Attributes,
    #[serde(default)]
    message_system_attributes: BTreeMap<String, Attribute>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

impl SendEntry {
    fn into_message(mut self) -> Result<NewMessage> {
        let trace = self.message_system_attributes.remove("AWSTraceHeader");
        if let Some(name) = self.message_system_attributes.keys().next() {
            let message = format!("Message system attribute name '{name}' is invalid.");
            return Err(Error::new(Code::InvalidParameterValue, message));
        }
        Ok(NewMessage {
            body: required(self.message_body, "MessageBody")?,
            delay_seconds: self.delay_seconds,
            attributes: self.message_attributes,
            trace_header: trace.and_then(|trace| trace.string_value),
            group_id: self.message_group_id,
            deduplication_id: self.message_deduplication_id,
        })
    }
}

#[derive(Deserialize)]
struct Send {
    #[serde(flatten)]
    queue: AtQueue,
    #[serde(flatten)]
    message: SendEntry,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Handle {
    #[serde(flatten)]
    queue: AtQueue,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HandleEntry {
    receipt_handle: String,
    visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
struct Entry<T> {
    #[serde(rename = "Id")]
    id: String,
    #[serde(flatten)]
    entry: T,
}

#[derive(Deserialize)]
struct Batch<T> {
    #[serde(flatten)]
    queue: AtQueue,
    #[serde(rename = "Entries", default = "Vec::new")]
    entries: Vec<Entry<T>>,
}

impl<T> Batch<T> {
    /// The entries, if there are 1 to 10 with proper, distinct ids.
    fn entries(&self) -> Result<&[Entry<T>]> {
        let refuse = |code, message: String| Err(Error::new(code, message));
        if self.entries.is_empty() {
            let message = "There should be at least one entry in the request.";
            return refuse(Code::EmptyBatchRequest, message.into());
        }
        if self.entries.len() > 10 {
            let message = format!(
                "Maximum number of entries per request are 10. You have sent {}.",
                self.entries.len()
            );
            return refuse(Code::TooManyEntriesInBatchRequest, message);
        }
        let mut ids = BTreeSet::new();
        for Entry { id, .. } in &self.entries {
            let proper = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            if !(1..=80).contains(&id.len()) || !id.bytes().all(proper) {
                let message = "A batch entry id can only contain alphanumeric characters, hyphens and \
                               underscores. It can be at most 80 letters long.";
                return refuse(Code::InvalidBatchEntryId, message.into());
            }
            if !ids.insert(id) {
                return refuse(Code::BatchEntryIdsNotDistinct, format!("Id {id} repeated."));
            }
        }
        Ok(&self.entries)
    }

    /// Each entry's result under its id.
    fn answer<A: Serialize>(&self, answers: Vec<Result<A>>) -> Result<Value> {
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (Entry { id, .. }, answer) in self.entries.iter().zip(answers) {
            match answer {
                Ok(done) => {
                    let mut done = value(&done)?;
                    if done.is_null() {
                        done = json!({});
                    }
                    done["Id"] = id.as_str().into();
                    successful.push(done);
                }
                Err(Error { code, message }) => failed.push(
                    json!({"Id": id, "Code": code.query_name(), "Message": message, "SenderFault": true}),
                ),
            }
        }
        Ok(json!({"Successful": successful, "Failed": failed}))
    }
}

fn send_batch(sqs: &Sqs, asked: Batch<SendEntry>) -> Result<Value> {
    asked.entries()?;
    let queue = asked.queue.name()?;
    // A missing body is refused by the store as an empty one is, for its entry alone.
    let mut messages = Vec::new();
    let mut ids = Vec::new();
    for Entry { id, mut entry } in asked.entries {
        entry.message_body.get_or_insert_default();
        messages.push(entry.into_message()?);
        ids.push(Entry { id, entry: () });
    }
    let size: usize = messages.iter().map(NewMessage::size).sum();
    if size > MAX_MESSAGE_BYTES {
        let message = format!(
            "Batch requests cannot be longer than {MAX_MESSAGE_BYTES} bytes. You have sent {size} bytes."
        );
        return Err(Error::new(Code::BatchRequestTooLong, message));
    }
    Batch { queue: asked.queue, entries: ids }.answer(sqs.send_batch(&queue, &messages)?)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveMessage {
    #[serde(flatten)]
    queue: AtQueue,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    /// The older spelling of the next.
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

async fn receive(sqs: &Sqs, asked: ReceiveMessage) -> Result<Value> {
    let mut system = asked.message_system_attribute_names;
    system.extend(asked.attribute_names);
    if let Some(name) = system.iter().find(|name| !SYSTEM_ATTRIBUTES.contains(&name.as_str())) {
        return Err(Error::new(Code::InvalidAttributeName, format!("Unknown Attribute {name}.")));
    }
    let how = Receive {
        max: asked.max_number_of_messages.unwrap_or(1),
        visibility_seconds: asked.visibility_timeout,
        wait_seconds: asked.wait_time_seconds,
    };
    let messages = sqs.receive(&asked.queue.name()?, &how).await?;
    let show = |message| received(sqs, message, &system, &asked.message_attribute_names);
    let messages: Vec<Value> = messages.into_iter().map(show).collect();
    Ok(if messages.is_empty() { json!({}) } else { json!({"Messages": messages}) })
}

const SYSTEM_ATTRIBUTES: [&str; 10] = [
    "All",
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
];

fn received(sqs: &Sqs, message: Message, system: &[String], wanted: &[String]) -> Value {
    let mut shown = json!({
        "MessageId": message.message_id,
        "ReceiptHandle": message.receipt_handle,
        "MD5OfBody": md5_of_body(&message.body),
        "Body": message.body,
    });
    let asked = |name: &str| system.iter().any(|asked| asked == "All" || asked == name);
    let attributes: BTreeMap<&str, String> = [
        ("SenderId", Some(sqs.options.account.clone())),
        ("SentTimestamp", Some(message.sent_ms.to_string())),
        ("ApproximateReceiveCount", Some(message.receive_count.to_string())),
        ("ApproximateFirstReceiveTimestamp", message.first_received_ms.map(|at| at.to_string())),
        ("SequenceNumber", message.sequence_number),
        ("MessageDeduplicationId", message.deduplication_id),
        ("MessageGroupId", message.group_id),
        ("AWSTraceHeader", message.trace_header),
        ("DeadLetterQueueSourceArn", message.dead_letter_source.map(|name| sqs.arn(&name))),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.filter(|_| asked(name)).map(|value| (name, value)))
    .collect();
    if !attributes.is_empty() {
        shown["Attributes"] = json!(attributes);
    }
    let matches = |name: &str, pattern: &str| match pattern.strip_suffix(".*") {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == "All" || pattern == name,
    };
    let mut attributes = message.attributes;
    attributes.retain(|name, _| wanted.iter().any(|pattern| matches(name, pattern)));
    if let Some(sum) = md5_of_attributes(&attributes) {
        shown["MD5OfMessageAttributes"] = sum.into();
        shown["MessageAttributes"] = json!(attributes);
    }
    shown
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Move {
    source_arn: Option<String>,
    destination_arn: Option<String>,
    max_results: Option<i64>,
    task_handle: Option<String>,
}

/// A queue named by ARN that is not there is `ResourceNotFoundException` to these operations.
fn found<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| match error.code {
        Code::QueueDoesNotExist => no_resource("The resource that you specified for the ARN doesn't exist."),
        _ => error,
    })
}

fn no_resource(message: &str) -> Error {
    Error::new(Code::ResourceNotFoundException, message)
}

fn start_move(sqs: &Sqs, asked: Move) -> Result<Value> {
    let source = required(asked.source_arn, "SourceArn")?;
    let destination = asked.destination_arn.as_deref().map(name_in_arn);
    let task = found(sqs.move_back(name_in_arn(&source), destination))?;
    Ok(json!({"TaskHandle": task_handle(&task)}))
}

fn task_handle(task: &MoveTask) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", task.number, task.source))
}

fn list_moves(sqs: &Sqs, asked: Move) -> Result<Value> {
    let source = required(asked.source_arn, "SourceArn")?;
    let most = asked.max_results.unwrap_or(1);
    if !(1..=10).contains(&most) {
        return Err(Error::parameter("MaxResults", most, "Must be between 1 and 10, if provided."));
    }
    let store = sqs.store();
    found(store.queue(name_in_arn(&source)))?;
    let show = |task: MoveTask| {
        let mut shown = json!({
            "SourceArn": sqs.arn(&task.source),
            "Status": if task.stayed == 0 { "COMPLETED" } else { "FAILED" },
            "ApproximateNumberOfMessagesMoved": task.moved,
            "ApproximateNumberOfMessagesToMove": task.moved + task.stayed,
            "StartedTimestamp": task.started_ms,
        });
        if let Some(destination) = &task.destination {
            shown["DestinationArn"] = sqs.arn(destination).into();
        }
        if task.stayed > 0 {
            shown["FailureReason"] = "CouldNotDetermineMessageSource".into();
        }
        shown
    };
    let tasks: Vec<Value> =
        store.move_tasks(Some(name_in_arn(&source)), most)?.into_iter().map(show).collect();
    Ok(json!({ "Results": tasks }))
}

/// Moves happen at once, so there is never one left to cancel.
fn cancel_move(sqs: &Sqs, asked: Move) -> Result<Value> {
    let handle = required(asked.task_handle, "TaskHandle")?;
    let known = sqs.store().move_tasks(None, i64::MAX)?.iter().any(|task| task_handle(task) == handle);
    Err(if known {
        Error::new(Code::UnsupportedOperation, "Only active tasks can be cancelled.")
    } else {
        no_resource("The task handle does not exist.")
    })
}
