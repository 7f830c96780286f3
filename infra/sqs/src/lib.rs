//! A small SQS-compatible queue server on SQLite, embedded by the local home.
//!
//! The AWS SDKs talk to [`router`] as they talk to SQS: the AWS JSON 1.0 protocol, standard and FIFO queues, long
//! polling, delays, batches, dead letters and their return, checksums, typed errors. Signatures are not checked:
//! serve it on loopback only. What runs in the same process (pollers, the console) calls the methods of [`Sqs`],
//! which the HTTP operations call too.
//!
//! | module | holds |
//! |---|---|
//! | this one | [`Sqs`]: every operation, in order, waiting included |
//! | `wire` | [`router`]: requests, batches, answers and errors as SQS spells them |
//! | `store` | the rules on what is stored: visibility, FIFO order, deduplication, redrive, retention |
//! | `queue` | queue names, attributes and redrive policies |
//! | `message` | messages, their limits, receipt handles and checksums |
//! | `error` | [`Error`] and its [`Code`] |
//!
//! An operation that was answered survives the death of the process (the log is written before the answer); the
//! last moments before a power cut may be lost. Left out, because nothing here needs them: permissions (a
//! `RedriveAllowPolicy` is kept, not enforced), tags, encryption, throttling and in-flight quotas,
//! `ReceiveRequestAttemptId`, and the 60 seconds between purges. What a template may set of these is accepted and
//! ignored, so that a template for SQS works unchanged.

mod error;
mod message;
mod queue;
mod store;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use error::{Code, Error, Result};
pub use message::{
    Attribute, Attributes, MAX_MESSAGE_BYTES, Message, NewMessage, Receive, Sent, md5_of_attributes,
    md5_of_body,
};
pub use store::{Counts, MoveTask};
pub use wire::router;

use queue::Queue;
use store::Store;

/// Milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Where queues and messages are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory, gone with the [`Sqs`].
    Memory,
    /// In this SQLite file (and its `-wal` beside it), made if it is not there, locked for this process.
    File(PathBuf),
}

/// What the server is told about the world.
#[derive(Clone)]
pub struct Options {
    /// The region in ARNs, "local" unless set.
    pub region: String,
    /// The account in ARNs and queue URLs, "000000000000" unless set.
    pub account: String,
    /// The beginning of queue URLs, without a slash at the end, such as `http://127.0.0.1:9324`.
    pub base_url: String,
    /// The time. Call [`Sqs::clock_moved`] when it jumps.
    pub clock: Clock,
}

impl Options {
    /// The usual region and account.
    pub fn new(base_url: impl Into<String>, clock: Clock) -> Self {
        let base_url = base_url.into().trim_end_matches('/').to_owned();
        Self { region: "local".into(), account: "000000000000".into(), base_url, clock }
    }
}

/// A queue as the console lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSummary {
    /// Its name, by which the methods of [`Sqs`] know it.
    pub name: String,
    /// Its URL, by which SDKs know it.
    pub url: String,
    /// Its ARN.
    pub arn: String,
    /// Whether it keeps the order of groups.
    pub fifo: bool,
    /// How many messages it holds.
    pub counts: Counts,
    /// The queue its dead letters go to.
    pub dead_letter_queue: Option<String>,
    /// The queues whose dead letters come here.
    pub dead_letter_sources: Vec<String>,
}

/// The queues. Methods name a queue by its name and fail with [`Code::QueueDoesNotExist`] if there is none; each
/// fails with [`Code::InternalFailure`] if the store cannot be read or written, and has then changed nothing.
pub struct Sqs {
    options: Options,
    store: Mutex<Store>,
}

impl Sqs {
    /// Opens or makes the store.
    ///
    /// # Errors
    /// [`Code::InternalFailure`] if the file cannot be opened, is no store, or belongs to a running process.
    pub fn open(storage: &Storage, options: Options) -> Result<Arc<Self>> {
        let path = match storage {
            Storage::Memory => None,
            Storage::File(path) => Some(path.as_path()),
        };
        Ok(Arc::new(Self { options, store: Mutex::new(Store::open(path)?) }))
    }

    /// Makes a queue with these attributes, or finds it, and answers its URL. A FIFO queue's name ends in `.fifo`
    /// and its attribute `FifoQueue` is `true`.
    ///
    /// # Errors
    /// [`Code::QueueNameExists`] if there is one with other values; [`Code::InvalidAttributeName`],
    /// [`Code::InvalidAttributeValue`] or [`Code::InvalidParameterValue`] for what SQS would refuse.
    pub fn create_queue(&self, name: &str, attributes: &BTreeMap<String, String>) -> Result<String> {
        self.store().create(name, attributes, self.now())?;
        Ok(self.url(name))
    }

    /// The URL of a queue.
    ///
    /// # Errors
    /// If there is no such queue.
    pub fn queue_url(&self, name: &str) -> Result<String> {
        self.store().queue(name).map(|queue| self.url(&queue.name))
    }

    /// All queues with their counts, by name.
    ///
    /// # Errors
    /// If the store fails.
    pub fn queues(&self) -> Result<Vec<QueueSummary>> {
        let (store, now) = (self.store(), self.now());
        let summary = |queue: &Arc<Queue>| {
            Ok(QueueSummary {
                name: queue.name.clone(),
                url: self.url(&queue.name),
                arn: self.arn(&queue.name),
                fifo: queue.fifo,
                counts: store.counts(queue, now)?,
                dead_letter_queue: queue.redrive.as_ref().map(|redrive| redrive.target().to_owned()),
                dead_letter_sources: store.sources(&queue.name).map(|source| source.name.clone()).collect(),
            })
        };
        store.queues().map(summary).collect()
    }

    /// All attributes of a queue, settable and computed, under SQS's names.
    ///
    /// # Errors
    /// If there is no such queue.
    pub fn attributes(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let store = self.store();
        let queue = store.queue(name)?;
        let counts = store.counts(&queue, self.now())?;
        let computed = queue::COMPUTED.map(|attribute| {
            let value = match attribute {
                "ApproximateNumberOfMessages" => counts.visible.to_string(),
                "ApproximateNumberOfMessagesNotVisible" => counts.in_flight.to_string(),
                "ApproximateNumberOfMessagesDelayed" => counts.delayed.to_string(),
                "CreatedTimestamp" => (queue.created_ms / 1_000).to_string(),
                "LastModifiedTimestamp" => (queue.modified_ms / 1_000).to_string(),
                _ => self.arn(name),
            };
            (attribute.to_owned(), value)
        });
        Ok(queue.attributes.clone().into_iter().chain(computed).collect())
    }

    /// Changes attributes of a queue; an empty `RedrivePolicy` or `Policy` removes it.
    ///
    /// # Errors
    /// As [`Sqs::create_queue`].
    pub fn set_attributes(&self, name: &str, attributes: &BTreeMap<String, String>) -> Result<()> {
        self.store().set_attributes(name, attributes, self.now())
    }

    /// Deletes a queue and its messages. Those who wait for messages learn that it is gone.
    ///
    /// # Errors
    /// If there is no such queue.
    pub fn delete_queue(&self, name: &str) -> Result<()> {
        self.store().delete_queue(name)
    }

    /// Deletes all messages of a queue, those in flight included.
    ///
    /// # Errors
    /// If there is no such queue.
    pub fn purge(&self, name: &str) -> Result<()> {
        self.store().purge(name)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// [`Code::InvalidMessageContents`], [`Code::InvalidParameterValue`] or [`Code::MissingParameter`] for what SQS
    /// would refuse.
    pub fn send(&self, queue: &str, message: &NewMessage) -> Result<Sent> {
        only(self.send_batch(queue, std::slice::from_ref(message))?)
    }

    /// Sends several messages in one write, each with its own answer, in their order.
    ///
    /// # Errors
    /// For the whole: if there is no such queue. For each: as [`Sqs::send`].
    pub fn send_batch(&self, queue: &str, messages: &[NewMessage]) -> Result<Vec<Result<Sent>>> {
        self.store().send(queue, messages, self.now())
    }

    /// Receives up to ten messages, waiting for a first one as long as `how` or the queue says. The wait ends when
    /// that time has passed by the clock handed in or by the machine's, whichever is first, so that a clock that
    /// stands still holds nobody. Dropping the future loses no message.
    ///
    /// # Errors
    /// [`Code::InvalidParameterValue`] for a number out of its range.
    pub async fn receive(&self, queue: &str, how: &Receive) -> Result<Vec<Message>> {
        let (start, started) = (self.now(), Instant::now());
        loop {
            // Registered before reading (a `Notified` counts from its making), so that what arrives in between rings.
            let settings = self.store().queue(queue)?;
            let arrival = settings.arrivals.notified();
            let now = self.now();
            let (messages, next) = self.store().receive(queue, how, now)?;
            let wait =
                how.wait_seconds.unwrap_or_else(|| settings.number("ReceiveMessageWaitTimeSeconds")) * 1_000;
            let passed = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX).max(now - start);
            if !messages.is_empty() || passed >= wait {
                return Ok(messages);
            }
            // Until the wait is over, or a delayed or invisible message becomes visible.
            let rest = (wait - passed).min(next.map_or(i64::MAX, |next| next - now)).max(1);
            let rest = Duration::from_millis(rest.unsigned_abs());
            tokio::select! {
                () = arrival => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Deletes a received message. One that is already gone is no error.
    ///
    /// # Errors
    /// [`Code::ReceiptHandleIsInvalid`] for what is no handle of this queue; [`Code::InvalidParameterValue`] if the
    /// queue is FIFO and the message is no longer in flight with this handle.
    pub fn delete(&self, queue: &str, receipt_handle: &str) -> Result<()> {
        only(self.delete_batch(queue, &[receipt_handle])?)
    }

    /// Deletes several received messages in one write, each with its own answer, in their order.
    ///
    /// # Errors
    /// For the whole: if there is no such queue. For each: as [`Sqs::delete`].
    pub fn delete_batch(&self, queue: &str, receipt_handles: &[&str]) -> Result<Vec<Result<()>>> {
        self.store().delete(queue, receipt_handles, self.now())
    }

    /// Lets a received message become visible again `seconds` (0 to 43,200) from now.
    ///
    /// # Errors
    /// [`Code::MessageNotInflight`], [`Code::ReceiptHandleIsInvalid`], or [`Code::InvalidParameterValue`] if the
    /// message is gone, was received again, or would stay invisible for more than 12 hours.
    pub fn change_visibility(&self, queue: &str, receipt_handle: &str, seconds: i64) -> Result<()> {
        only(self.change_visibility_batch(queue, &[(receipt_handle, seconds)])?)
    }

    /// Changes several messages' visibility in one write, each with its own answer, in their order.
    ///
    /// # Errors
    /// For the whole: if there is no such queue. For each: as [`Sqs::change_visibility`].
    pub fn change_visibility_batch(&self, queue: &str, batch: &[(&str, i64)]) -> Result<Vec<Result<()>>> {
        self.store().change_visibility(queue, batch, self.now())
    }

    /// Up to `most` messages of a queue after the first `skip`, in the order of their sending, whatever their
    /// state, without receiving them.
    ///
    /// # Errors
    /// If there is no such queue.
    pub fn peek(&self, queue: &str, skip: u32, most: u32) -> Result<Vec<Message>> {
        self.store().peek(queue, skip.into(), most.into(), self.now())
    }

    /// Moves all visible messages of a dead-letter queue to `destination`, or each to the queue it failed in. They
    /// become new messages. Messages whose queue is unknown stay and are counted.
    ///
    /// # Errors
    /// [`Code::InvalidParameterValue`] if no queue's dead letters come here, or `destination` is of another type.
    pub fn move_back(&self, dead_letters: &str, destination: Option<&str>) -> Result<MoveTask> {
        self.store().move_back(dead_letters, destination, None, self.now())
    }

    /// Moves one message, as [`Sqs::move_back`] moves all.
    ///
    /// # Errors
    /// As [`Sqs::move_back`], and [`Code::InvalidParameterValue`] if no visible message has this id.
    pub fn move_back_one(
        &self,
        dead_letters: &str,
        message_id: &str,
        destination: Option<&str>,
    ) -> Result<MoveTask> {
        self.store().move_back(dead_letters, destination, Some(message_id), self.now())
    }

    /// Tells that the clock handed in has jumped: everyone who waits reads again.
    pub fn clock_moved(&self) {
        self.store().queues().for_each(|queue| queue.arrivals.notify_waiters());
    }

    fn now(&self) -> i64 {
        (self.options.clock)()
    }

    /// A panic in another thread leaves the store usable: its transaction was rolled back on the way.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.options.base_url, self.options.account)
    }

    fn arn(&self, name: &str) -> String {
        format!("arn:aws:sqs:{}:{}:{name}", self.options.region, self.options.account)
    }
}

/// The answer to a batch of one.
fn only<T>(answers: Vec<Result<T>>) -> Result<T> {
    let none = || Err(Error::internal("a batch of one had no answer"));
    answers.into_iter().next().unwrap_or_else(none)
}
