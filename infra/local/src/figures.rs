//! What actions cost: round trips and capacity units, counted by the store's own accounting beside what the design allows.
//!
//! Each action is done several times on a home that does nothing else; what most of the runs cost is the figure (now and
//! then one pays for reading the catalogue anew, as one in two seconds does).

use crate::stores::tamper::{Asked, Tamper};
use crate::whole::{Whole, WholeOptions};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tessera::telemetry::Tally;

/// Anything that keeps the figures from being counted.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How often each action is done.
const RUNS: usize = 7;
/// How long a home may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one action cost.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Cost {
    /// Calls to the store.
    pub round_trips: u64,
    /// Capacity units of calls that write, listings included.
    pub write_units: f64,
    /// Capacity units of calls that read.
    pub read_units: f64,
}

/// One action.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// What is done.
    pub action: &'static str,
    /// What it cost.
    pub cost: Cost,
    /// Round trips that the design allows, where it says.
    pub trips_allowed: Option<u64>,
    /// Write units that the design allows, where it says.
    pub writes_allowed: Option<f64>,
}

/// How the writes of many holds are spread over partition keys.
#[derive(Clone, PartialEq, Debug)]
pub struct Spread {
    /// What is sold.
    pub sale: &'static str,
    /// Writes that were counted.
    pub writes: usize,
    /// Partition keys that were written.
    pub keys: usize,
    /// The share of the key that was written most, 0 to 1.
    pub hottest: f64,
}

/// The figures of all actions.
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    /// In the order of a sale.
    pub rows: Vec<Row>,
    /// By kind of sale.
    pub spreads: Vec<Spread>,
}

impl Table {
    /// The cost of an action, by its name.
    #[must_use]
    pub fn of(&self, action: &str) -> Option<Cost> {
        self.rows.iter().find(|row| row.action == action).map(|row| row.cost)
    }

    /// Write units of the engine for one paid booking, when of a hundred holds seventy are paid and the others end
    /// because somebody needs their places: the bound is 3.3, listings not counted.
    #[must_use]
    pub fn paid_booking(&self) -> Option<f64> {
        let paid = 0.7;
        let writes = |action| Some(self.of(action)?.write_units);
        let (hold, expired) = (writes(HOLD)?, writes(EXPIRED)? - writes(HOLD)?);
        Some(hold / paid + expired * (1.0 - paid) / paid + writes(CONFIRM)? - LISTINGS)
    }
}

const HOLD: &str = "hold";
const SOLD_OUT: &str = "refused as sold out, within a second of knowing";
const EXPIRED: &str = "hold that needs the place of an expired one";
const CONFIRM: &str = "confirm a paid booking";
/// Costs more or less by who is faster.
pub const BROUGHT: &str = "bring units into a stock";
/// A booking is listed by its buyer and by its event.
const LISTINGS: f64 = 2.0;

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| action | round trips | allowed | write units | allowed | read units |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for Row { action, cost, trips_allowed, writes_allowed } in &self.rows {
            let Cost { round_trips, write_units, read_units } = cost;
            let trips = trips_allowed.map_or_else(String::new, |trips| trips.to_string());
            let writes = writes_allowed.map_or_else(String::new, |writes| writes.to_string());
            writeln!(f, "| {action} | {round_trips} | {trips} | {write_units} | {writes} | {read_units} |")?;
        }
        writeln!(f, "\n| holds on | writes to lanes | partition keys | share of the hottest |")?;
        writeln!(f, "|---|---|---|---|")?;
        for Spread { sale, writes, keys, hottest } in &self.spreads {
            writeln!(f, "| {sale} | {writes} | {keys} | {:.1} % |", hottest * 100.0)?;
        }
        let paid = self.paid_booking().unwrap_or(f64::NAN);
        writeln!(
            f,
            "\nWrite units of a paid booking at 70 % conversion, without listings: {paid:.2} (design: 3.3)"
        )
    }
}

/// A home and the people who use it.
struct Counter<'a> {
    whole: &'a Whole,
    http: reqwest::Client,
    keys: u32,
}

struct Person {
    token: String,
}

struct Sale {
    event: String,
    offer: String,
}

/// The hours of who never closes.
fn always() -> Vec<Value> {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    days.iter().map(|day| json!({"day": day, "from": "00:00:00", "until": "00:00:00"})).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Counter<'_> {
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        by: &str,
        body: Value,
    ) -> Result<(u16, Value), Failure> {
        self.keys += 1;
        // A guest's key is all that tells guests from each other.
        let key = format!("00000000-0000-4000-8000-{:012}", self.keys);
        let mut request = self.http.request(method, format!("{}{path}", self.whole.url()));
        if !by.is_empty() {
            request = request.bearer_auth(by);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.header("Idempotency-Key", key).send().await?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await?;
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    async fn ask(&mut self, method: Method, path: &str, by: &str, body: Value) -> Result<Value, Failure> {
        match self.send(method.clone(), path, by, body).await? {
            (status, answer) if status < 300 => Ok(answer),
            (status, answer) => Err(format!("{method} {path}: {status} {answer}").into()),
        }
    }

    async fn post(&mut self, path: &str, by: &str, body: Value) -> Result<Value, Failure> {
        self.ask(Method::POST, path, by, body).await
    }

    async fn settle(&self) -> Result<(), Failure> {
        self.whole.settle(PATIENCE).await.map_err(Into::into)
    }

    async fn organiser(&mut self) -> Result<Person, Failure> {
        let (email, password) = ("organiser@example.org", "counts every unit");
        let account = json!({"email": email, "password": password, "name": "Ada"});
        self.post("/v1/accounts", "", account).await?;
        self.settle().await?;
        let mail = self.whole.mail().list(Some(email), 0, 1)?.pop().ok_or("no mail came")?;
        let code = mail.subject.split(' ').next().unwrap_or_default();
        let proof = json!({"email": email, "code": code, "password": password});
        self.post("/v1/accounts/verify", "", proof).await?;
        let session = self.post("/v1/sessions", "", json!({"email": email, "password": password})).await?;
        Ok(Person { token: text(&session["access_token"]) })
    }

    async fn organisation(&mut self, by: &Person) -> Result<String, Failure> {
        Ok(text(&self.post("/v1/organisations", &by.token, json!({"name": "Org"})).await?["id"]))
    }

    async fn sale(&mut self, by: &Person, capacity: u32, price: u32) -> Result<Sale, Failure> {
        let organisation = self.organisation(by).await?;
        self.sale_of(by, &organisation, json!({"capacity": capacity}), price).await
    }

    /// An event on sale with one offer of this capacity, or of these seats.
    async fn sale_of(
        &mut self,
        by: &Person,
        organisation: &str,
        of: Value,
        price: u32,
    ) -> Result<Sale, Failure> {
        let starts =
            (self.whole.clock().now() + SignedDuration::from_hours(240)).strftime("%Y-%m-%dT%H:%M:%S");
        let event = json!({"organisation": organisation, "name": "Midsummer", "city": "Berlin", "venue": "Hall",
            "starts": {"local": starts.to_string(), "zone": "Europe/Berlin"}});
        let event = text(&self.post("/v1/events", &by.token, event).await?["id"]);
        let mut offer =
            json!({"name": "Standing", "price": {"amount": price, "currency": "EUR"}, "per_order": 40});
        for (name, value) in of.as_object().into_iter().flatten() {
            offer[name] = value.clone();
        }
        let offer = text(&self.post(&format!("/v1/events/{event}/offers"), &by.token, offer).await?["id"]);
        self.post(&format!("/v1/events/{event}/publish"), &by.token, Value::Null).await?;
        self.settle().await?;
        Ok(Sale { event, offer })
    }

    /// A section of twenty rows of twenty seats, on sale.
    async fn hall(&mut self, by: &Person) -> Result<Sale, Failure> {
        let organisation = self.organisation(by).await?;
        let venue = json!({"organisation": organisation, "name": "Hall"});
        let venue = text(&self.post("/v1/venues", &by.token, venue).await?["id"]);
        let row = |number: u32| json!({"label": number.to_string(), "seats": ".".repeat(20)});
        let drawn = json!({"name": "Stalls", "rows": (1..=20).map(row).collect::<Vec<_>>()});
        self.ask(Method::PUT, &format!("/v1/venues/{venue}/sections/S"), &by.token, drawn).await?;
        self.sale_of(by, &organisation, json!({"seats": {"venue": venue, "section": "S"}}), 0).await
    }

    /// A service that is open all day, with a package of an hour.
    async fn service(&mut self, by: &Person) -> Result<String, Failure> {
        let organisation = self.organisation(by).await?;
        let details = json!({"name": "Studio", "category": "photography", "city": "Berlin", "zone": "UTC",
            "hours": always()});
        let new = json!({"organisation": organisation, "details": details});
        let service = text(&self.post("/v1/services", &by.token, new).await?["id"]);
        let package = json!({"name": "Portrait", "minutes": 60, "price": {"amount": 100, "currency": "EUR"}});
        let path = format!("/v1/services/{service}/packages");
        let package = text(&self.post(&path, &by.token, package).await?["id"]);
        self.open(by, &format!("/v1/services/{service}"), &details).await?;
        Ok(package)
    }

    /// Opens a new service or store.
    async fn open(&self, by: &Person, path: &str, details: &Value) -> Result<(), Failure> {
        let request = self.http.request(Method::PUT, format!("{}{path}", self.whole.url()));
        let opened = request.bearer_auth(&by.token).header("If-Match", "\"v1\"");
        let answer = opened.json(&json!({"open": true, "details": details})).send().await?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("{path} was not opened").into()) }
    }

    /// A store that delivers at any hour, with so many products of which there are plenty, at a price of nothing: its id and theirs.
    async fn store(&mut self, by: &Person, count: u32) -> Result<(String, Vec<String>), Failure> {
        let organisation = self.organisation(by).await?;
        let details = json!({"name": "Corner", "city": "Berlin", "zone": "UTC", "hours": always(),
            "delivery": {"minutes": 60, "capacity": 48}});
        let new = json!({"organisation": organisation, "details": details});
        let store = text(&self.post("/v1/stores", &by.token, new).await?["id"]);
        self.open(by, &format!("/v1/stores/{store}"), &details).await?;
        let mut products = Vec::new();
        for number in 0..count {
            let name = format!("Product {number}");
            let terms = json!({"name": name, "price": {"amount": 0, "currency": "EUR"}});
            let new = json!({"organisation": organisation, "terms": terms});
            let product = text(&self.post("/v1/products", &by.token, new).await?["id"]);
            let path = format!("/v1/stores/{store}/products/{product}");
            self.ask(Method::PUT, &path, &by.token, json!({"listed": true})).await?;
            products.push(product);
        }
        self.settle().await?;
        for product in &products {
            self.bring(by, &store, product, 100).await?;
        }
        self.settle().await?;
        Ok((store, products))
    }

    async fn bring(&mut self, by: &Person, store: &str, product: &str, quantity: i64) -> Result<(), Failure> {
        let movement = json!({"quantity": quantity, "cause": "received"});
        self.post(&format!("/v1/stores/{store}/products/{product}/movements"), &by.token, movement)
            .await
            .map(drop)
    }

    async fn let_go(&mut self, hold: &Value) -> Result<(), Failure> {
        let by = text(&hold["guest_token"]);
        let release = format!("/v1/holds/{}/release", text(&hold["id"]));
        self.post(&release, &by, json!({"quote": hold["quote"]})).await.map(drop)
    }

    fn basket(sale: &Sale, quantity: u32) -> Value {
        json!({"lines": [{"offer": sale.offer, "quantity": quantity}]})
    }

    async fn hold(&mut self, sale: &Sale, quantity: u32) -> Result<Value, Failure> {
        self.post("/v1/holds", "", Self::basket(sale, quantity)).await
    }

    /// Orders what is held and pays, if it costs anything; until everything that follows has been done.
    async fn buy(&mut self, hold: &Value) -> Result<Value, Failure> {
        let by = text(&hold["guest_token"]);
        let contact = json!({"name": "Grace Hopper", "email": "grace@example.org"});
        let order = json!({"quote": hold["quote"], "contact": contact});
        let order = self.post("/v1/orders", &by, order).await?;
        let path = format!("/v1/orders/{}", text(&order["id"]));
        if order["total"]["amount"] != 0 {
            let payment = self.post(&format!("{path}/payments"), &by, json!({"provider": "stripe"})).await?;
            let secret = text(&payment["client_secret"]);
            let intent = secret.split("_secret_").next().unwrap_or_default();
            self.whole.stripe().confirm(intent, "pm_card_visa")?;
        }
        self.settle().await?;
        let order = self.ask(Method::GET, &path, &by, Value::Null).await?;
        if order["status"] == "confirmed" { Ok(order) } else { Err(format!("not confirmed: {order}").into()) }
    }

    fn look(&self) -> BTreeMap<String, Tally> {
        let tallies = self.whole.home().meter().tallies();
        tallies.into_iter().map(|(action, tally)| (action.to_string(), tally)).collect()
    }
}

/// Counts writes of lanes by partition key.
#[derive(Default)]
struct Lanes(Mutex<BTreeMap<String, usize>>);

#[async_trait::async_trait]
impl Tamper for Lanes {
    async fn before(&self, asked: &mut Asked) -> Vec<Asked> {
        let table = asked.parameters["TableName"].as_str().unwrap_or_default();
        if asked.operation == "UpdateItem" && table.ends_with("-pool") {
            let key = asked.parameters["Key"]["pk"]["S"].as_str().unwrap_or_default().to_owned();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
        }
        Vec::new()
    }

    fn after(&self, _: &Asked, _: &Value) {}
}

/// Holds by so many buyers, and how their writes were spread.
async fn spread(
    counter: &mut Counter<'_>,
    sale: &'static str,
    baskets: impl Iterator<Item = Value>,
) -> Result<Spread, Failure> {
    let lanes = Arc::new(Lanes::default());
    counter.whole.home().faults().tamper(Some(lanes.clone()));
    for basket in baskets {
        counter.post("/v1/holds", "", basket).await?;
    }
    counter.whole.home().faults().tamper(None);
    let counted = lanes.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (writes, most) = (counted.values().sum::<usize>(), counted.values().max().copied().unwrap_or(0));
    Ok(Spread { sale, writes, keys: counted.len(), hottest: most as f64 / writes.max(1) as f64 })
}

/// What was added between two looks under these actions; under any, if none is named.
fn between(before: &BTreeMap<String, Tally>, after: &BTreeMap<String, Tally>, actions: &[&str]) -> Cost {
    let mut sum = Cost::default();
    for (action, is) in after {
        // The outbox and the schedules have a pace of their own.
        let wanted = match actions {
            [] => !action.starts_with("schedule ") && !action.is_empty(),
            some => some.contains(&action.as_str()),
        };
        if wanted {
            let was = before.get(action).copied().unwrap_or_default();
            sum.round_trips += is.round_trips - was.round_trips;
            sum.write_units += is.write_units - was.write_units;
            sum.read_units += is.read_units - was.read_units;
        }
    }
    sum
}

/// What most runs cost.
fn usual(costs: &[Cost]) -> Cost {
    let often = |cost: &&Cost| costs.iter().filter(|other| other == cost).count();
    costs.iter().max_by_key(often).copied().unwrap_or_default()
}

/// Counts on a fresh home. Takes some seconds.
///
/// # Errors
/// Whatever keeps a step from being done.
pub async fn count() -> Result<Table, Failure> {
    let parameters = vec![("HoldSeconds".to_owned(), "60".to_owned())];
    let whole = Whole::start(WholeOptions { parameters, ..WholeOptions::default() }).await?;
    let counted = count_on(&whole).await;
    whole.stop(PATIENCE).await?;
    counted
}

async fn count_on(whole: &Whole) -> Result<Table, Failure> {
    let mut counter = Counter { whole, http: reqwest::Client::new(), keys: 0 };
    let organiser = counter.organiser().await?;
    let mut rows = Vec::new();
    let mut row = |action, costs: &[Cost], trips_allowed, writes_allowed| {
        rows.push(Row { action, cost: usual(costs), trips_allowed, writes_allowed });
    };

    let sale = counter.sale(&organiser, 5_000, 2_500).await?;
    let mut holds = Vec::new();
    let mut confirms = Vec::new();
    let mut purchases = Vec::new();
    let mut cancels = Vec::new();
    let mut releases = Vec::new();
    for _ in 0..RUNS {
        let before = counter.look();
        let hold = counter.hold(&sale, 1).await?;
        holds.push(between(&before, &counter.look(), &["POST /v1/holds"]));
        let order = counter.buy(&hold).await?;
        let after = counter.look();
        confirms.push(between(&before, &after, &["booking payment.authorized.v1"]));
        purchases.push(between(&before, &after, &[]));
        let by = text(&hold["guest_token"]);
        counter.post(&format!("/v1/bookings/{}/cancel", text(&order["booking"])), &by, Value::Null).await?;
        counter.settle().await?;
        let cancelled = ["POST /v1/bookings/{id}/cancel", "booking booking.cancelled.v1"];
        cancels.push(between(&after, &counter.look(), &cancelled));

        let hold = counter.hold(&sale, 1).await?;
        let before = counter.look();
        counter.let_go(&hold).await?;
        releases.push(between(&before, &counter.look(), &["POST /v1/holds/{id}/release"]));
    }
    row(HOLD, &holds, Some(1), Some(1.0));

    let organisation = counter.organisation(&organiser).await?;
    let terms = json!({"off": {"percent": "10"}, "uses": 5_000});
    let path = format!("/v1/organisations/{organisation}/coupons");
    counter.post(&path, &organiser.token, json!({"code": "TENTH", "terms": terms})).await?;
    let cheaper = counter.sale_of(&organiser, &organisation, json!({"capacity": 5_000}), 2_500).await?;
    let mut coupons = Vec::new();
    for _ in 0..RUNS {
        let mut basket = Counter::basket(&cheaper, 1);
        basket["coupons"] = json!(["TENTH"]);
        let before = counter.look();
        counter.post("/v1/holds", "", basket).await?;
        coupons.push(between(&before, &counter.look(), &["POST /v1/holds"]));
    }
    row("hold with a coupon of 5,000 uses", &coupons, None, Some(2.0));

    for (action, capacity) in
        [("hold at an event of 50 places", 50), ("hold at an event of 50,000 places", 50_000)]
    {
        let sale = counter.sale(&organiser, capacity, 0).await?;
        let mut holds = Vec::new();
        for _ in 0..RUNS {
            let before = counter.look();
            counter.hold(&sale, 1).await?;
            holds.push(between(&before, &counter.look(), &["POST /v1/holds"]));
        }
        row(action, &holds, Some(1), Some(1.0));
    }

    let hall = counter.hall(&organiser).await?;
    let (mut picked, mut best) = (Vec::new(), Vec::new());
    for number in 1..=RUNS {
        let before = counter.look();
        let seats = [format!("20-{}", 2 * number), format!("20-{}", 2 * number + 1)];
        counter.post("/v1/holds", "", json!({"lines": [{"offer": hall.offer, "seats": seats}]})).await?;
        let after = counter.look();
        picked.push(between(&before, &after, &["POST /v1/holds"]));
        counter.hold(&hall, 2).await?;
        best.push(between(&after, &counter.look(), &["POST /v1/holds"]));
    }
    row("hold two seats, picked", &picked, Some(1), Some(1.0));
    row("hold the best two seats of 400 together", &best, None, Some(1.0));

    let package = counter.service(&organiser).await?;
    let mut times = Vec::new();
    let midnight =
        (whole.clock().now() + SignedDuration::from_hours(72)).strftime("%Y-%m-%dT00:00:00Z").to_string();
    let midnight: jiff::Timestamp = midnight.parse()?;
    for hour in 0..RUNS {
        let before = counter.look();
        let starts = midnight + SignedDuration::from_hours(hour.try_into()?);
        let line = json!({"package": package, "starts": starts.to_string()});
        counter.post("/v1/holds", "", json!({"lines": [line]})).await?;
        times.push(between(&before, &counter.look(), &["POST /v1/holds"]));
    }
    row("hold a time", &times, None, Some(1.0));

    let (store, products) = counter.store(&organiser, 10).await?;
    let (mut one, mut ten, mut back, mut brought) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let before = counter.look();
        counter.bring(&organiser, &store, &products[0], 1).await?;
        counter.settle().await?;
        let moved = ["POST /v1/stores/{id}/products/{product}/movements", "booking stock.moved.v1"];
        brought.push(between(&before, &counter.look(), &moved));
        let line = |product: &String| json!({"product": product, "quantity": 1});
        let basket = json!({"store": store, "lines": [line(&products[0])]});
        let before = counter.look();
        counter.post("/v1/holds", "", basket).await?;
        one.push(between(&before, &counter.look(), &["POST /v1/holds"]));
        let lines: Vec<_> = products.iter().map(line).collect();
        let basket = json!({"store": store, "lines": lines, "delivery": midnight.to_string()});
        let before = counter.look();
        let hold = counter.post("/v1/holds", "", basket).await?;
        ten.push(between(&before, &counter.look(), &["POST /v1/holds"]));
        let (order, by) = (counter.buy(&hold).await?, text(&hold["guest_token"]));
        let before = counter.look();
        counter.post(&format!("/v1/bookings/{}/cancel", text(&order["booking"])), &by, Value::Null).await?;
        counter.settle().await?;
        let cancelled = ["POST /v1/bookings/{id}/cancel", "booking booking.cancelled.v1"];
        back.push(between(&before, &counter.look(), &cancelled));
    }
    row("hold a product", &one, None, Some(1.0));
    row("hold ten products and a delivery window", &ten, None, Some(11.0));
    row("cancel that, booked", &back, None, None);
    // The request and its message race for the same work here, a few milliseconds apart: no more than both.
    row(BROUGHT, &brought, Some(16), Some(9.0));

    let mut passed = Vec::new();
    for _ in 0..RUNS {
        let sale = counter.sale(&organiser, 1, 0).await?;
        let held = counter.hold(&sale, 1).await?;
        for name in ["first", "second"] {
            let contact = json!({"name": name, "email": format!("{name}@example.org")});
            let wish = json!({"offers": [sale.offer], "quantity": 1, "contact": contact});
            counter.post(&format!("/v1/events/{}/waitlist", sale.event), "", wish).await?;
            counter.settle().await?;
        }
        let before = counter.look();
        counter.let_go(&held).await?;
        passed.push(between(&before, &counter.look(), &["POST /v1/holds/{id}/release"]));
    }
    row("let a hold go that somebody waits for, and offer it to them", &passed, None, None);

    let mut refusals = Vec::new();
    let small = counter.sale(&organiser, 1, 0).await?;
    counter.hold(&small, 1).await?;
    counter.send(Method::POST, "/v1/holds", "", Counter::basket(&small, 1)).await?;
    for _ in 0..RUNS {
        let before = counter.look();
        let (status, refused) =
            counter.send(Method::POST, "/v1/holds", "", Counter::basket(&small, 1)).await?;
        if status != 409 {
            return Err(format!("its only place is held, and yet: {status} {refused}").into());
        }
        refusals.push(between(&before, &counter.look(), &["POST /v1/holds"]));
    }
    row(SOLD_OUT, &refusals, Some(0), Some(0.0));

    let mut expired = Vec::new();
    while expired.len() < RUNS {
        let sale = counter.sale(&organiser, 2, 0).await?;
        let kept = counter.hold(&sale, 1).await?;
        counter.buy(&kept).await?;
        counter.hold(&sale, 1).await?;
        let tidied = |look: &BTreeMap<String, Tally>| look.get("schedule tidy").map_or(0, |tally| tally.runs);
        let earlier = counter.look();
        whole.advance(SignedDuration::from_secs(61)).await;
        counter.settle().await?;
        let before = counter.look();
        counter.hold(&sale, 1).await?;
        let after = counter.look();
        // The tidy, every five minutes, may have been quicker than the buyer.
        if tidied(&earlier) == tidied(&after) {
            expired.push(between(&before, &after, &["POST /v1/holds"]));
        }
    }
    row(EXPIRED, &expired, None, Some(2.0));
    row(CONFIRM, &confirms, None, Some(1.0 + LISTINGS));

    let free = counter.sale(&organiser, 5_000, 0).await?;
    let mut registrations = Vec::new();
    for _ in 0..RUNS {
        let before = counter.look();
        let hold = counter.hold(&free, 1).await?;
        counter.buy(&hold).await?;
        let engine = ["POST /v1/holds", "booking order.free_placed.v1"];
        registrations.push(between(&before, &counter.look(), &engine));
    }
    row("hold and confirm a free booking", &registrations, None, Some(2.0 + LISTINGS));
    row("let a hold go", &releases, None, Some(2.0));
    row("cancel a booking", &cancels, None, Some(2.0 + LISTINGS));
    row("paid purchase, all capabilities, mail included", &purchases, None, None);

    let mut spreads = Vec::new();
    for (name, capacity, holds) in
        [("50 places", 50, 40), ("5,000 places", 5_000, 480), ("50,000 places", 50_000, 480)]
    {
        let sale = counter.sale(&organiser, capacity, 0).await?;
        let baskets = (0..holds).map(|_| Counter::basket(&sale, 1));
        spreads.push(spread(&mut counter, name, baskets).await?);
    }
    let seats = (0..160).map(|_| Counter::basket(&hall, 2));
    spreads.push(spread(&mut counter, "400 seats, the best two", seats).await?);
    let hour = |hour: i64| (midnight + SignedDuration::from_hours(24 + hour)).to_string();
    let times = (0..160).map(|nth| json!({"lines": [{"package": package, "starts": hour(nth)}]}));
    spreads.push(spread(&mut counter, "the times of a week of one service", times).await?);
    let goods = (0..160).map(
        |nth| json!({"store": store, "lines": [{"product": products[nth % products.len()], "quantity": 1}]}),
    );
    spreads.push(spread(&mut counter, "ten products of a store", goods).await?);
    Ok(Table { rows, spreads })
}
