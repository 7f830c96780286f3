//! The sandbox of Razorpay: a served one, and a client for it.

mod durability;
mod faults;
mod idempotency;
mod orders;
mod page;
mod payments;
mod refunds;
mod refusals;
mod time;
mod webhooks;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tessera_sandbox::razorpay::{Outcome, Payment, Razorpay, RazorpayOptions, router};
use tessera_sandbox::{Clock, Storage};
use tokio::net::TcpListener;

use crate::world::{Hook, NOW, soon, text};

const KEY: &str = "rzp_test_of_the_shop";
const SECRET: &str = "the secret of the key";
const WEBHOOK_SECRET: &str = "the secret of the hook";
const PREVIOUS_SECRET: &str = "the secret before";
/// A minute on the clock of the sandbox, in milliseconds.
const MINUTE: i64 = 60_000;

struct World {
    razorpay: Arc<Razorpay>,
    /// Where the sandbox is mounted.
    base: String,
    client: Client,
    clock: Arc<AtomicI64>,
    hook: Hook,
}

/// What the API answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: Value,
}

impl World {
    async fn new() -> Self {
        Self::with(&Storage::Memory, |_| {}).await
    }

    /// One event at a time, so that they arrive in their order.
    async fn in_order() -> Self {
        Self::with(&Storage::Memory, |options| options.concurrency = 1).await
    }

    /// A sandbox with other options, mounted below a path as the local home does.
    async fn with(storage: &Storage, change: impl FnOnce(&mut RazorpayOptions)) -> Self {
        let hook = Hook::listen().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/_razorpay", listener.local_addr().unwrap());
        let clock = Arc::new(AtomicI64::new(NOW));
        let hands = Arc::clone(&clock);
        let told: Clock = Arc::new(move || hands.load(Ordering::Relaxed));
        let mut options = RazorpayOptions::new(KEY, SECRET, WEBHOOK_SECRET, base.clone(), told);
        options.previous_webhook_secret = Some(PREVIOUS_SECRET.into());
        options.webhook_url = Some(hook.url.clone());
        options.retry_first = Duration::from_millis(1);
        options.retry_most = Duration::from_millis(20);
        change(&mut options);
        let razorpay = Razorpay::open(storage, options).unwrap();
        let router = Router::new().nest("/_razorpay", router(Arc::clone(&razorpay)));
        tokio::spawn(axum::serve(listener, router).into_future());
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self { razorpay, base, client, clock, hook }
    }

    fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> reqwest::Result<Response> {
        let mut request = self.client.request(method, format!("{}/v1/{path}", self.base));
        request = request.basic_auth(KEY, Some(SECRET));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        request.send().await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::read(self.send(Method::POST, path, &[], Some(body)).await.unwrap()).await
    }

    async fn patch(&self, path: &str, body: &Value) -> Answer {
        Answer::read(self.send(Method::PATCH, path, &[], Some(body)).await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::read(self.send(Method::GET, path, &[], None).await.unwrap()).await
    }

    /// A new order of 245.00 INR with these other parameters.
    async fn order_with(&self, more: &Value) -> String {
        let mut body = json!({"amount": 24500, "currency": "INR", "receipt": "order 7"});
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        text(&self.post("orders", &body).await.ok()["id"])
    }

    /// A new order whose payments the shop captures itself.
    async fn order(&self) -> String {
        self.order_with(&json!({"payment": {"capture": "manual"}})).await
    }

    /// A payment that was authorised and not captured, and its order.
    async fn authorized(&self) -> (String, String) {
        let order = self.order().await;
        let payment = self.pay(&order, Outcome::Success).id;
        (order, payment)
    }

    /// A payment that was captured.
    async fn paid(&self) -> String {
        let order = self.order_with(&json!({})).await;
        self.pay(&order, Outcome::Success).id
    }

    fn pay(&self, order: &str, outcome: Outcome) -> Payment {
        self.razorpay.pay(order, outcome).unwrap()
    }

    async fn capture(&self, payment: &str) -> Answer {
        self.post(&format!("payments/{payment}/capture"), &json!({"amount": 24500, "currency": "INR"})).await
    }

    async fn refund(&self, payment: &str, body: &Value) -> Answer {
        self.post(&format!("payments/{payment}/refund"), body).await
    }

    async fn status(&self, order: &str) -> String {
        text(&self.get(&format!("orders/{order}")).await.ok()["status"])
    }

    /// The kinds of events there were of a payment, oldest first.
    fn kinds(&self, payment: &str) -> Vec<String> {
        let events = self.razorpay.events(Some(payment), 0, 100).unwrap();
        events.into_iter().rev().map(|event| event.kind).collect()
    }

    async fn switch(&self, json: &str) {
        let url = format!("{}/_switches", self.base);
        let response = self.client.post(url).body(json.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    }

    /// Until no more than this many events wait to be taken.
    async fn left(&self, events: u64) {
        soon(async {
            while self.razorpay.undelivered().unwrap() > events {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

impl Answer {
    async fn read(response: Response) -> Self {
        Self { status: response.status().as_u16(), body: response.json().await.unwrap() }
    }

    /// The entity of a call that must have passed.
    fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{:#}", self.body);
        self.body
    }

    /// The error of a call that must have been refused in these words.
    fn refused(self, status: u16, description: &str) -> Value {
        let error = &self.body["error"];
        let seen = (self.status, error["code"].as_str(), error["description"].as_str());
        assert_eq!(seen, (status, Some("BAD_REQUEST_ERROR"), Some(description)), "{:#}", self.body);
        for name in ["source", "step", "reason"] {
            assert!(error[name].is_string(), "{name}");
        }
        assert_eq!(error["metadata"], json!({}));
        error.clone()
    }
}

/// The identifiers in a collection.
fn ids(collection: &Value) -> Vec<String> {
    assert_eq!(collection["entity"], "collection");
    let items = collection["items"].as_array().unwrap();
    assert_eq!(collection["count"], items.len());
    items.iter().map(|item| text(&item["id"])).collect()
}
