//! A served sandbox, a client for it, and a receiver of webhooks.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use reqwest::{Client, Method, Response};
use serde_json::Value;
use tessera_sandbox::stripe::{Stripe, StripeOptions, router};
use tessera_sandbox::{Clock, Storage};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(crate) const SECRET_KEY: &str = "sk_test_of_the_shop";
pub(crate) const PUBLISHABLE_KEY: &str = "pk_test_of_the_shop";
pub(crate) const WEBHOOK_SECRET: &str = "whsec_now";
pub(crate) const PREVIOUS_SECRET: &str = "whsec_before";
/// 2026-11-21, in milliseconds.
pub(crate) const NOW: i64 = 1_795_219_200_000;

/// Fails a test that would otherwise wait for ever.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("this never came")
}

/// Serves on a free port of loopback; answers `http://127.0.0.1:port`.
pub(crate) async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    format!("http://{address}")
}

pub(crate) struct World {
    pub(crate) stripe: Arc<Stripe>,
    /// Where the sandbox is mounted.
    pub(crate) base: String,
    pub(crate) client: Client,
    pub(crate) clock: Arc<AtomicI64>,
    pub(crate) hook: Hook,
}

/// What the API answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(&Storage::Memory, |_| {}).await
    }

    /// A sandbox with other options, mounted below a path as the local home does.
    pub(crate) async fn with(storage: &Storage, change: impl FnOnce(&mut StripeOptions)) -> Self {
        let hook = Hook::listen().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/_stripe", listener.local_addr().unwrap());
        let clock = Arc::new(AtomicI64::new(NOW));
        let hands = Arc::clone(&clock);
        let told: Clock = Arc::new(move || hands.load(Ordering::Relaxed));
        let mut options = StripeOptions::new(SECRET_KEY, WEBHOOK_SECRET, base.clone(), told);
        options.publishable_key = PUBLISHABLE_KEY.into();
        options.previous_webhook_secret = Some(PREVIOUS_SECRET.into());
        options.webhook_url = Some(hook.url.clone());
        options.retry_first = Duration::from_millis(1);
        options.retry_most = Duration::from_millis(20);
        change(&mut options);
        let stripe = Stripe::open(storage, options).unwrap();
        let router = Router::new().nest("/_stripe", router(Arc::clone(&stripe)));
        tokio::spawn(axum::serve(listener, router).into_future());
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self { stripe, base, client, clock, hook }
    }

    /// A call with these headers, without a key of its own.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> reqwest::Result<Response> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let url = match method {
            Method::GET => format!("{}{path}?{query}", self.base),
            _ => format!("{}{path}", self.base),
        };
        let mut request = self.client.request(method.clone(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if method == Method::GET { request } else { request.form(form) }.send().await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> Answer {
        let key = format!("Bearer {SECRET_KEY}");
        let headers = [&[("authorization", key.as_str())], headers].concat();
        Answer::read(self.send(method, &format!("/v1/{path}"), &headers, form).await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.call(Method::POST, path, &[], form).await
    }

    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        self.call(Method::GET, path, &[], query).await
    }

    /// A new payment of 24.50 EUR that is captured later, with its client secret.
    pub(crate) async fn payment(&self) -> (String, String) {
        let form = [
            ("amount", "2450"),
            ("currency", "eur"),
            ("capture_method", "manual"),
            ("payment_method_types[]", "card"),
            ("description", "Two places"),
        ];
        let made = self.post("payment_intents", &form).await.ok();
        (text(&made["id"]), text(&made["client_secret"]))
    }

    pub(crate) async fn confirm(&self, id: &str, method: &str) -> Answer {
        self.post(&format!("payment_intents/{id}/confirm"), &[("payment_method", method)]).await
    }

    /// A payment that was taken.
    pub(crate) async fn paid(&self) -> String {
        let (id, _) = self.payment().await;
        self.confirm(&id, "pm_card_visa").await.ok();
        self.post(&format!("payment_intents/{id}/capture"), &[]).await.ok();
        id
    }

    pub(crate) async fn status(&self, id: &str) -> String {
        text(&self.get(&format!("payment_intents/{id}"), &[]).await.ok()["status"])
    }

    /// The kinds of events there were of a payment, oldest first.
    pub(crate) fn kinds(&self, id: &str) -> Vec<String> {
        self.stripe.events(Some(id), 0, 100).unwrap().into_iter().rev().map(|event| event.kind).collect()
    }

    pub(crate) async fn switch(&self, json: &str) {
        let url = format!("{}/_switches", self.base);
        let response = self.client.post(url).body(json.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    }
}

impl Answer {
    pub(crate) async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.json().await.unwrap() }
    }

    /// The object of a call that must have passed.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{:#}", self.body);
        self.body
    }

    /// The error of a call that must have been refused so.
    pub(crate) fn refused(self, status: u16, kind: &str, code: Option<&str>) -> Value {
        let error = &self.body["error"];
        let seen = (self.status, error["type"].as_str(), error["code"].as_str());
        assert_eq!(seen, (status, Some(kind), code), "{:#}", self.body);
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
        error.clone()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// A webhook as it arrived.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// What the provider signs with, Stripe or Razorpay.
    pub(crate) signature: String,
    /// Razorpay's event's identifier, which its body does not tell.
    pub(crate) event_id: Option<String>,
    pub(crate) body: String,
}

impl Delivery {
    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        text(&self.event()["type"])
    }

    pub(crate) fn id(&self) -> String {
        text(&self.event()["id"])
    }
}

/// A receiver of webhooks, which answers what it is told to and 200 after that.
pub(crate) struct Hook {
    pub(crate) url: String,
    arrived: UnboundedReceiver<Delivery>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

type HookState = (UnboundedSender<Delivery>, Arc<Mutex<VecDeque<u16>>>);

impl Hook {
    pub(crate) async fn listen() -> Self {
        let (sender, arrived) = unbounded_channel();
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let state: HookState = (sender, Arc::clone(&answers));
        let url = serve(Router::new().route("/hook", post(take)).with_state(state)).await + "/hook";
        Self { url, arrived, answers }
    }

    pub(crate) fn answer(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    pub(crate) async fn next(&mut self) -> Delivery {
        soon(self.arrived.recv()).await.unwrap()
    }

    pub(crate) async fn next_many(&mut self, count: usize) -> Vec<Delivery> {
        let mut all = Vec::new();
        while all.len() < count {
            all.push(self.next().await);
        }
        all
    }

    /// Whether nothing has arrived that was not asked for.
    pub(crate) fn quiet(&mut self) -> bool {
        self.arrived.try_recv().is_err()
    }
}

async fn take(State((sender, answers)): State<HookState>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let signature = header("stripe-signature").or_else(|| header("x-razorpay-signature")).unwrap();
    let event_id = header("x-razorpay-event-id");
    let body = String::from_utf8(body.to_vec()).unwrap();
    let status = answers.lock().unwrap().pop_front().unwrap_or(200);
    sender.send(Delivery { signature, event_id, body }).unwrap();
    StatusCode::from_u16(status).unwrap()
}
