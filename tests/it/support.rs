//! A world for one test: the whole backend in this process, and the people who use it.

use crate::logs::Watch;
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;
use tessera_local::stores::faults::Side;
use tessera_local::whole::{Whole, WholeOptions};
use uuid::Uuid;

/// How long a test waits for the queues to run empty before it says so. A guard against hanging, not a measure.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub whole: Whole,
    pub http: reqwest::Client,
    pub url: String,
    /// What was said from when somebody began to listen: bodies, credentials and keys, both ways.
    pub heard: Mutex<Option<Vec<Value>>>,
    /// Fails the test that logs a secret.
    _logs: Watch,
}

/// An answer, read to the end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The stable code of a problem document.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        self.body
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        self.body
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

/// A request under construction.
pub struct Call<'a> {
    request: reqwest::RequestBuilder,
    world: &'a World,
    said: Value,
}

impl Call<'_> {
    pub fn by(mut self, token: &str) -> Self {
        self.said["token"] = json!(token);
        self.request = self.request.bearer_auth(token);
        self
    }
    pub fn key(mut self, key: &str) -> Self {
        self.said["idempotency_key"] = json!(key);
        self.request = self.request.header("Idempotency-Key", key);
        self
    }
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }
    pub fn json(mut self, body: Value) -> Self {
        self.request = self.request.json(&body);
        self.said["sent"] = body;
        self
    }
    pub fn body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.request = self.request.body(body);
        self
    }
    pub async fn send(self) -> Answer {
        let response = self.request.send().await.expect("the home answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.expect("a whole answer").to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            eprintln!("500: {body}");
        }
        if let Some(heard) = self.world.heard.lock().unwrap().as_mut() {
            heard.extend([self.said, body.clone()]);
        }
        Answer { status: status.as_u16(), headers, body, bytes }
    }
}

pub fn euros(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

pub fn uuid() -> String {
    let bytes = tessera::sign::random::<16>().unwrap();
    Uuid::from_bytes(bytes).to_string()
}

/// An organiser with an organisation.
#[derive(Clone)]
pub struct Organiser {
    pub token: String,
    pub account: String,
    pub organisation: String,
}

/// A published event with one offer.
#[derive(Clone)]
pub struct Sale {
    pub organiser: Organiser,
    pub event: String,
    pub offer: String,
}

/// A guest with a hold.
#[derive(Clone, Debug)]
pub struct Held {
    pub token: String,
    pub hold: Value,
}

impl World {
    pub async fn new() -> Self {
        Self::with(WholeOptions::default()).await
    }

    pub async fn with(options: WholeOptions) -> Self {
        // What the functions log is shown when somebody asks for it.
        if std::env::var_os("RUST_LOG").is_some() {
            tessera::telemetry::start();
        }
        let logs = Watch::begin();
        let whole = Whole::start(options).await.expect("the home starts");
        let http = reqwest::Client::builder()
            .pool_max_idle_per_host(256)
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self { url: whole.url().to_owned(), whole, http, heard: Mutex::default(), _logs: logs }
    }

    pub fn call(&self, method: Method, path: &str) -> Call<'_> {
        let request = self.http.request(method, format!("{}{path}", self.url));
        Call { request, world: self, said: json!({}) }
    }
    pub fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }
    pub fn post(&self, path: &str) -> Call<'_> {
        self.call(Method::POST, path)
    }
    pub fn put(&self, path: &str) -> Call<'_> {
        self.call(Method::PUT, path)
    }
    pub fn delete(&self, path: &str) -> Call<'_> {
        self.call(Method::DELETE, path)
    }

    /// Waits until every stream is read and every queue is empty.
    #[track_caller]
    pub fn settle(&self) -> impl Future<Output = ()> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            if let Err(error) = self.whole.settle(PATIENCE).await {
                let mut busiest: Vec<_> = self.whole.home().meter().tallies().into_iter().collect();
                busiest.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.round_trips));
                busiest.truncate(6);
                panic!("not settled at {caller}: {error}; most was asked of the store by {busiest:?}");
            }
        }
    }

    /// Repeats a call until it succeeds, with a crash at this store call from now on, if there is to be one; until all
    /// that follows from it has been done. The answer is how many store calls there were.
    pub async fn crashing(&self, crash: Option<(u64, Side)>, call: impl AsyncFn() -> Answer) -> u64 {
        let faults = self.whole.home().faults();
        let before = faults.calls();
        if let Some((step, side)) = crash {
            faults.crash_at(before + step, side);
        }
        for _ in 0..30 {
            if matches!(call().await.status, 200..300) {
                break;
            }
            faults.clear();
        }
        self.revive().await;
        faults.calls() - before
    }

    /// Waits until everything is done or has crashed, and starts again whatever crashed, until all of it is done. What waits for the
    /// clock for longer is not waited for.
    pub async fn revive(&self) {
        let faults = self.whole.home().faults();
        let end = tokio::time::Instant::now() + Duration::from_secs(1);
        while !faults.crashed() && tokio::time::Instant::now() < end {
            if self.whole.settle(Duration::from_millis(10)).await.is_ok() {
                break;
            }
        }
        if faults.crashed() {
            // What was under way fails.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        faults.clear();
        // A message that failed comes again a second later.
        self.advance(SignedDuration::from_secs(2)).await;
        self.settle().await;
    }

    pub async fn advance(&self, by: SignedDuration) {
        self.whole.advance(by).await;
    }

    /// The newest mail to an address.
    pub fn mail_to(&self, email: &str) -> tessera_sandbox::mail::Message {
        self.mails_to(email).into_iter().next().expect("a mail")
    }
    pub fn mails_to(&self, email: &str) -> Vec<tessera_sandbox::mail::Message> {
        self.whole.mail().list(Some(email), 0, 100).unwrap()
    }

    pub async fn code_for(&self, email: &str) -> String {
        self.settle().await;
        let subject = self.mail_to(email).subject;
        subject.split_whitespace().next().unwrap().to_owned()
    }

    /// Signs up, proves the address, signs in: the answer of signing in.
    pub async fn account(&self, email: &str) -> Value {
        let account = json!({"email": email, "password": "correct horse", "name": "Ada Lovelace"});
        assert_eq!(self.post("/v1/accounts").json(account).send().await.status, 202);
        let code = self.code_for(email).await;
        let proof = json!({"email": email, "code": code, "password": "correct horse"});
        assert_eq!(self.post("/v1/accounts/verify").json(proof).send().await.status, 204);
        self.post("/v1/sessions").json(json!({"email": email, "password": "correct horse"})).send().await.ok()
    }

    pub async fn organiser(&self, name: &str) -> Organiser {
        let tokens = self.account(&format!("{name}@example.org")).await;
        let token = tokens["access_token"].as_str().unwrap().to_owned();
        let account = text(&self.get("/v1/me").by(&token).send().await.ok()["id"]);
        let organisation = self
            .post("/v1/organisations")
            .by(&token)
            .key("org")
            .json(json!({"name": name}))
            .send()
            .await
            .ok();
        Organiser { token, account, organisation: text(&organisation["id"]) }
    }

    /// The organiser of this name, signed in anew: tokens end.
    pub async fn sign_in(&self, name: &str, organiser: &Organiser) -> Organiser {
        let credentials = json!({"email": format!("{name}@example.org"), "password": "correct horse"});
        let session = self.post("/v1/sessions").json(credentials).send().await.ok();
        Organiser { token: text(&session["access_token"]), ..organiser.clone() }
    }

    /// Every account of an organisation with what is in it, in all; and the entries, each of which sums to zero.
    pub async fn books(&self, seller: &Organiser) -> (BTreeMap<String, i64>, Vec<Value>) {
        let now = self.whole.clock().now();
        let (from, until) = (now - SignedDuration::from_hours(24 * 60), now + SignedDuration::from_hours(1));
        let path =
            format!("/v1/organisations/{}/ledger?from={from}&until={until}&limit=100", seller.organisation);
        let page = self.get(&path).by(&seller.token).send().await.ok();
        let mut accounts = BTreeMap::new();
        let entries = page["items"].as_array().unwrap().clone();
        for entry in &entries {
            let postings = entry["postings"].as_array().unwrap();
            let sum = postings.iter().map(|posting| posting["amount"].as_i64().unwrap()).sum::<i64>();
            assert_eq!(sum, 0, "{entry}");
            for posting in postings {
                let account = posting["account"].to_string().replace(['"', '{', '}'], "");
                *accounts.entry(account).or_default() += posting["amount"].as_i64().unwrap();
            }
        }
        accounts.retain(|_, amount| *amount != 0);
        (accounts, entries)
    }

    pub async fn draft(&self, organiser: &Organiser, more: Value) -> String {
        let mut event = json!({
            "organisation": organiser.organisation, "name": "Midsummer", "city": "Berlin", "venue": "Kulturhaus, Hof 1",
            "starts": {"local": self.local(SignedDuration::from_hours(30 * 24)), "zone": "Europe/Berlin"}
        });
        merge(&mut event, more);
        text(&self.post("/v1/events").by(&organiser.token).key(&uuid()).json(event).send().await.ok()["id"])
    }

    /// A local time in Berlin so far from now.
    pub fn local(&self, from_now: SignedDuration) -> String {
        let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
        zone.to_datetime(self.whole.clock().now() + from_now).strftime("%Y-%m-%dT%H:%M:%S").to_string()
    }

    pub async fn offer(&self, organiser: &Organiser, event: &str, more: Value) -> String {
        let mut offer = json!({"name": "Standing", "price": {"amount": 2500, "currency": "EUR"}});
        merge(&mut offer, more);
        let path = format!("/v1/events/{event}/offers");
        text(&self.post(&path).by(&organiser.token).key(&uuid()).json(offer).send().await.ok()["id"])
    }

    pub async fn publish(&self, organiser: &Organiser, event: &str) {
        self.post(&format!("/v1/events/{event}/publish")).by(&organiser.token).send().await.ok();
        self.settle().await;
    }

    /// An event on sale, its one offer with this capacity and these terms.
    pub async fn sale(&self, capacity: u32, more: Value) -> Sale {
        let organiser = self.organiser("organiser").await;
        let mut terms = json!({"capacity": capacity});
        merge(&mut terms, more);
        self.sale_of(&organiser, terms).await
    }

    /// As [`Self::sale`], of an organiser that is there already.
    pub async fn sale_of(&self, organiser: &Organiser, terms: Value) -> Sale {
        let event = self.draft(organiser, json!({})).await;
        let offer = self.offer(organiser, &event, terms).await;
        self.publish(organiser, &event).await;
        Sale { organiser: organiser.clone(), event, offer }
    }

    pub fn basket(&self, sale: &Sale, quantity: u32) -> Value {
        json!({"lines": [{"offer": sale.offer, "quantity": quantity}]})
    }

    /// A new guest's try to hold so many.
    pub fn try_hold(&self, sale: &Sale, quantity: u32) -> impl Future<Output = Answer> + '_ {
        self.post("/v1/holds").key(&uuid()).json(self.basket(sale, quantity)).send()
    }

    /// A guest's hold.
    pub async fn hold(&self, sale: &Sale, quantity: u32) -> Held {
        let hold = self.try_hold(sale, quantity).await.ok();
        Held { token: text(&hold["guest_token"]), hold }
    }

    pub async fn order(&self, held: &Held, email: &str) -> Value {
        let order = json!({"quote": held.hold["quote"], "contact": {"name": "Grace Hopper", "email": email}});
        self.post("/v1/orders").by(&held.token).json(order).send().await.ok()
    }

    pub async fn payment(&self, held: &Held, order: &Value) -> Value {
        let path = format!("/v1/orders/{}/payments", text(&order["id"]));
        self.post(&path).by(&held.token).json(json!({"provider": "stripe"})).send().await.ok()
    }

    /// What the buyer's browser does at the provider.
    pub fn pay(&self, payment: &Value, method: &str) -> tessera_sandbox::stripe::Payment {
        let secret = text(&payment["client_secret"]);
        let intent = secret.split("_secret_").next().unwrap().to_owned();
        self.whole.stripe().confirm(&intent, method).unwrap()
    }

    /// From the hold to the tickets.
    pub async fn buy(&self, sale: &Sale, quantity: u32, email: &str) -> (Held, Value) {
        let held = self.hold(sale, quantity).await;
        let order = self.order(&held, email).await;
        if order["total"]["amount"] != 0 {
            let payment = self.payment(&held, &order).await;
            self.pay(&payment, "pm_card_visa");
        }
        self.settle().await;
        let order = self.read_order(&held, &order).await;
        (held, order)
    }

    pub async fn read_order(&self, held: &Held, order: &Value) -> Value {
        self.get(&format!("/v1/orders/{}", text(&order["id"]))).by(&held.token).send().await.ok()
    }

    pub async fn tickets(&self, held: &Held, order: &Value) -> Vec<Value> {
        let path = format!("/v1/tickets?order={}", text(&order["id"]));
        self.get(&path).by(&held.token).send().await.ok()["items"].as_array().unwrap().clone()
    }

    /// What is left of a sale, as the public sees it a second later.
    pub async fn left(&self, sale: &Sale) -> u64 {
        self.advance(SignedDuration::from_secs(3)).await;
        let event = self.get(&format!("/v1/events/{}", sale.event)).send().await.ok();
        event["offers"][0]["available"].as_u64().expect("a number of places")
    }

    /// Places in confirmed bookings, as the organiser sees them.
    pub async fn sold(&self, sale: &Sale) -> u64 {
        let (mut sold, mut cursor) = (0, String::new());
        loop {
            let path = format!("/v1/events/{}/bookings?limit=100{cursor}", sale.event);
            let page = self.get(&path).by(&sale.organiser.token).send().await.ok();
            for booking in
                page["items"].as_array().unwrap().iter().filter(|booking| booking["status"] == "confirmed")
            {
                sold += booking["lines"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|line| line["quantity"].as_u64().unwrap())
                    .sum::<u64>();
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return sold,
            }
        }
    }

    pub fn dead_letters(&self) -> u64 {
        let dead = self.whole.dead_letters().unwrap();
        if dead > 0 {
            let sqs = self.whole.home().sqs();
            for queue in sqs.queues().unwrap().iter().filter(|queue| queue.name.ends_with("-dead")) {
                for message in sqs.peek(&queue.name, 0, 10).unwrap() {
                    eprintln!("in {}: {}", queue.name, message.body);
                }
            }
        }
        dead
    }
}

/// Working hours, the same on every day.
pub fn every_day(from: &str, until: &str) -> Vec<Value> {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    days.iter().map(|day| json!({"day": day, "from": from, "until": until})).collect()
}

#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("text expected: {value}")).to_owned()
}

pub fn merge(base: &mut Value, more: Value) {
    for (name, value) in more.as_object().unwrap() {
        base[name] = value.clone();
    }
}
