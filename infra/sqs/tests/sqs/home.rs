//! The server under test: served on a free loopback port, spoken to by the AWS SDK, with a clock the test moves.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use tessera_sqs::{Options, Sqs, Storage, router};

/// The first moment of every test.
pub(crate) const START_MS: i64 = 1_800_000_000_000;

pub(crate) struct Home {
    pub(crate) sqs: Arc<Sqs>,
    pub(crate) client: Client,
    pub(crate) url: String,
    clock: Arc<AtomicI64>,
}

impl Home {
    pub(crate) async fn new() -> Self {
        Self::on(&Storage::Memory).await
    }

    /// With a clock that moves with the test runtime's own.
    pub(crate) async fn running() -> Self {
        let started = tokio::time::Instant::now();
        let clock = move || START_MS + i64::try_from(started.elapsed().as_millis()).unwrap();
        Self::with(&Storage::Memory, Arc::new(clock), Arc::default()).await
    }

    pub(crate) async fn on(storage: &Storage) -> Self {
        let clock = Arc::new(AtomicI64::new(START_MS));
        Self::with(storage, reader(&clock), clock).await
    }

    async fn with(storage: &Storage, now: tessera_sqs::Clock, clock: Arc<AtomicI64>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sqs = Sqs::open(storage, Options::new(&url, now)).unwrap();
        let app = router(Arc::clone(&sqs));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("local"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(&url)
            .retry_config(RetryConfig::disabled())
            .build();
        Self { sqs, client: Client::from_conf(config), url, clock }
    }

    pub(crate) fn pass_ms(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
        self.sqs.clock_moved();
    }

    pub(crate) fn pass_seconds(&self, seconds: i64) {
        self.pass_ms(seconds * 1_000);
    }

    /// Makes a queue with these attributes and answers its URL.
    pub(crate) async fn queue(&self, name: &str, attributes: &[(&str, &str)]) -> String {
        let mut create = self.client.create_queue().queue_name(name);
        for (name, value) in attributes {
            create = create.attributes(QueueAttributeName::from(*name), *value);
        }
        create.send().await.unwrap().queue_url.unwrap()
    }

    /// A FIFO queue that takes the body for the deduplication id.
    pub(crate) async fn fifo(&self, name: &str, attributes: &[(&str, &str)]) -> String {
        let mut all = vec![("FifoQueue", "true"), ("ContentBasedDeduplication", "true")];
        all.extend(attributes);
        self.queue(name, &all).await
    }

    /// A queue that gives up on a message after so many receipts, and its dead-letter queue.
    pub(crate) async fn with_dead_letters(&self, max_receive_count: u32) -> (String, String) {
        let dead = self.queue("dead", &[]).await;
        let policy = policy("dead", max_receive_count);
        (self.queue("live", &[("RedrivePolicy", &policy), ("VisibilityTimeout", "0")]).await, dead)
    }

    pub(crate) async fn send(&self, url: &str, body: &str) -> String {
        let sent = self.client.send_message().queue_url(url).message_body(body).send().await.unwrap();
        sent.message_id.unwrap()
    }

    pub(crate) async fn send_in_group(&self, url: &str, group: &str, body: &str) -> String {
        let send = self.client.send_message().queue_url(url).message_body(body).message_group_id(group);
        send.send().await.unwrap().message_id.unwrap()
    }

    /// Up to ten messages with all that is known of them, without waiting.
    pub(crate) async fn receive(&self, url: &str) -> Vec<Message> {
        self.receive_most(url, 10).await
    }

    pub(crate) async fn receive_most(&self, url: &str, most: i32) -> Vec<Message> {
        let receive = self.client.receive_message().queue_url(url).max_number_of_messages(most);
        let receive = receive.message_system_attribute_names(MessageSystemAttributeName::All);
        receive.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default()
    }

    pub(crate) async fn bodies(&self, url: &str) -> Vec<String> {
        self.receive(url).await.into_iter().map(|message| message.body.unwrap()).collect()
    }

    pub(crate) async fn delete(&self, url: &str, message: &Message) {
        let handle = message.receipt_handle.clone().unwrap();
        self.client.delete_message().queue_url(url).receipt_handle(handle).send().await.unwrap();
    }

    pub(crate) async fn attributes(&self, url: &str) -> HashMap<String, String> {
        let get = self.client.get_queue_attributes().queue_url(url);
        let got = get.attribute_names(QueueAttributeName::All).send().await.unwrap();
        got.attributes.unwrap().into_iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect()
    }

    /// Ready, in flight and delayed messages, as the attributes count them.
    pub(crate) async fn counts(&self, url: &str) -> [u32; 3] {
        let all = self.attributes(url).await;
        ["", "NotVisible", "Delayed"]
            .map(|kind| all[&format!("ApproximateNumberOfMessages{kind}")].parse().unwrap())
    }
}

pub(crate) fn reader(clock: &Arc<AtomicI64>) -> tessera_sqs::Clock {
    let clock = Arc::clone(clock);
    Arc::new(move || clock.load(Ordering::SeqCst))
}

pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:sqs:local:000000000000:{name}")
}

pub(crate) fn policy(dead_letters: &str, max_receive_count: u32) -> String {
    format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":{max_receive_count}}}"#, arn(dead_letters))
}

pub(crate) fn system(message: &Message, name: MessageSystemAttributeName) -> Option<String> {
    message.attributes.as_ref()?.get(&name).cloned()
}

/// The error code the SDK read from a refusal.
pub(crate) fn code<T, E: ProvideErrorMetadata>(answer: Result<T, E>) -> String {
    match answer {
        Ok(_) => "accepted".to_owned(),
        Err(refusal) => refusal.code().unwrap_or("none").to_owned(),
    }
}
