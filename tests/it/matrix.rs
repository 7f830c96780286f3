//! The authorisation matrix: every route × every kind of caller, on resources of one organisation, seen from within and
//! from outside. The routes come from the description of the API; what each must answer to whom is said here, by hand,
//! and nowhere derived from the code that decides it.

use crate::media;
use crate::support::{Held, Organiser, Sale, World, euros, every_day, text, uuid};
use futures_util::future::join_all;
use image::ImageFormat;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a caller wants to do in an organisation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Do {
    Members,
    Devices,
    Sell,
    Bookings,
    Money,
    Cash,
    Scan,
}

/// Where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Whole,
    Event,
    Service,
    Store,
}

/// Who may pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    /// Everybody, whatever credential they bring along.
    Public,
    /// Everybody but servers and devices: those buy nothing.
    Shopper,
    /// Everybody who has something of their own: accounts and guests.
    Buyer,
    /// The buyer of this; whoever has no credential is told that it does not exist, unless a link opens it.
    Own,
    /// The buyer of this; whoever has no credential is asked for one.
    OwnKnown,
    /// The buyer of this, or those who may.
    OwnOr(Do, At),
    /// As before; whoever has no credential is asked for one.
    OwnKnownOr(Do, At),
    /// Whoever signed in.
    Person,
    /// The person whom this concerns.
    Self_,
    /// Those who may, people and things.
    Staff(Do, At),
    /// Those who may and are people.
    StaffPerson(Do, At),
    /// Servers and devices.
    Thing,
}

/// What a caller must hear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hears {
    /// Anything but the three below: the request was looked at.
    Yes,
    /// 401.
    Who,
    /// 403.
    Forbidden,
    /// 404.
    Nothing,
}

const PEOPLE_OUTSIDE: [&str; 4] = ["stranger", "buyer", "former member", "foreign owner"];
const PEOPLE_INSIDE: [&str; 13] = [
    "owner",
    "manager",
    "editor",
    "support",
    "accountant",
    "cashier",
    "gate",
    "event manager",
    "event gate",
    "north gate",
    "service editor",
    "store editor",
    "supporter by team",
];
const THINGS_INSIDE: [&str; 3] = ["manager key", "editor key", "event scanner"];
const NOBODIES: [&str; 5] = ["nobody", "guest", "garbage", "ended session", "foreign key"];

/// Who may do this there, by hand.
fn may(caller: &str, what: Do, at: At) -> bool {
    let whole: &[&str] = match what {
        Do::Members => &["owner"],
        Do::Devices => &["owner", "manager", "manager key"],
        Do::Sell => &["owner", "manager", "editor", "manager key", "editor key"],
        Do::Bookings => &["owner", "manager", "support", "supporter by team", "manager key"],
        Do::Money => &["owner", "manager", "accountant", "manager key"],
        Do::Cash => &["owner", "manager", "accountant", "cashier", "gate", "manager key"],
        Do::Scan => &["owner", "manager", "gate", "manager key"],
    };
    let here: &[&str] = match (what, at) {
        (Do::Members | Do::Devices, _) | (_, At::Whole) => &[],
        (Do::Sell | Do::Bookings | Do::Money, At::Event) => &["event manager"],
        (Do::Cash, At::Event) => &["event manager", "event gate", "event scanner"],
        (Do::Scan, At::Event) => &["event manager", "event gate", "event scanner", "north gate"],
        (Do::Sell, At::Service) => &["service editor"],
        (Do::Sell, At::Store) => &["store editor"],
        (Do::Bookings | Do::Money | Do::Cash | Do::Scan, At::Service | At::Store) => &[],
    };
    whole.contains(&caller) || here.contains(&caller)
}

fn is_thing(caller: &str) -> bool {
    THINGS_INSIDE.contains(&caller) || caller == "foreign key"
}

fn is_person(caller: &str) -> bool {
    PEOPLE_INSIDE.contains(&caller) || PEOPLE_OUTSIDE.contains(&caller)
}

fn staff(caller: &str, what: Do, at: At) -> Hears {
    if may(caller, what, at) {
        Hears::Yes
    } else if PEOPLE_INSIDE.contains(&caller) || THINGS_INSIDE.contains(&caller) {
        Hears::Forbidden
    } else if PEOPLE_OUTSIDE.contains(&caller) || caller == "foreign key" {
        Hears::Nothing
    } else {
        Hears::Who
    }
}

/// What a caller must hear; nothing is expected where a token of an ended session still passes for a quarter of an hour.
fn expected(caller: &str, access: Access) -> Option<Hears> {
    let hears = match access {
        Access::Public => Hears::Yes,
        _ if caller == "garbage" => Hears::Who,
        Access::Staff(what, at) => staff(caller, what, at),
        Access::StaffPerson(..) if is_thing(caller) => Hears::Who,
        Access::StaffPerson(what, at) => staff(caller, what, at),
        Access::OwnOr(..) | Access::OwnKnownOr(..) if caller == "buyer" => Hears::Yes,
        Access::OwnOr(..) if caller == "nobody" || caller == "guest" => Hears::Nothing,
        Access::OwnKnownOr(..) if caller == "guest" => Hears::Nothing,
        Access::OwnOr(what, at) | Access::OwnKnownOr(what, at) => staff(caller, what, at),
        // Where somebody signed in is asked for, their session is looked at.
        Access::Person | Access::Self_ if caller == "ended session" => Hears::Who,
        _ if caller == "ended session" => return None,
        Access::Thing if is_thing(caller) => Hears::Yes,
        // People are told where to look instead.
        Access::Thing if is_person(caller) => Hears::Yes,
        Access::Thing => Hears::Who,
        _ if is_thing(caller) => Hears::Who,
        Access::Shopper => Hears::Yes,
        Access::Buyer if caller == "nobody" => Hears::Who,
        Access::Buyer => Hears::Yes,
        Access::Own | Access::OwnKnown | Access::Self_ if caller == "buyer" => Hears::Yes,
        Access::OwnKnown if caller == "nobody" => Hears::Who,
        Access::Own | Access::OwnKnown => Hears::Nothing,
        Access::Person | Access::Self_ if !is_person(caller) => Hears::Who,
        Access::Person => Hears::Yes,
        Access::Self_ => Hears::Nothing,
    };
    Some(hears)
}

/// One of everything, of one organisation.
struct Town {
    owner: Organiser,
    ids: BTreeMap<&'static str, String>,
    hold: Value,
    ticket: String,
    reference: String,
    card: String,
    session: String,
    refresh: String,
}

async fn person(world: &World, name: &str) -> (String, String) {
    let token = text(&world.account(&format!("{name}@example.org")).await["access_token"]);
    let account = text(&world.get("/v1/me").by(&token).send().await.ok()["id"]);
    (token, account)
}

/// Signs up `tag`'s buyer, founds `tag`'s organisation, and makes one of everything.
async fn town(world: &World, tag: &str, buyer: &str, session: &Value) -> Town {
    let owner = world.organiser(&format!("{tag}-owner")).await;
    let (token, organisation) = (owner.token.clone(), owner.organisation.clone());
    let mut ids: BTreeMap<&'static str, String> = BTreeMap::from([("organisation", organisation.clone())]);
    let post = async |path: String, body: Value| {
        let answer = world.post(&path).by(&token).key(&uuid()).json(body).send().await;
        (answer.header("etag").to_owned(), answer.ok())
    };
    let of = |path: &str| format!("/v1/organisations/{organisation}/{path}");

    let put = async |path: String, etag: &str, body: Value| {
        world.put(&path).by(&token).header("If-Match", etag).json(body).send().await.ok()
    };
    put(of("means"), "\"v0\"", json!({"cash": {"place": "Box office", "terms": {"within": 168}}})).await;
    let seller =
        json!({"name": "Hall", "address": ["Hof 1"], "country": "DE", "tax_numbers": [{"value": "1"}]});
    put(of("invoicing"), "\"v0\"", json!({"seller": seller, "prefix": "I-", "zone": "Europe/Berlin"})).await;

    // An event that sells, with what comes of it.
    let event = world.draft(&owner, json!({})).await;
    let offer = world.offer(&owner, &event, json!({"capacity": 20})).await;
    let free = json!({"capacity": 5, "approval": true, "price": {"amount": 0, "currency": "EUR"}});
    let approval = world.offer(&owner, &event, free).await;
    let last = world.offer(&owner, &event, json!({"capacity": 1})).await;
    world.publish(&owner, &event).await;
    let sale = Sale { organiser: owner.clone(), event: event.clone(), offer: offer.clone() };
    let hold = async |offer: &str| {
        let basket = json!({"lines": [{"offer": offer, "quantity": 1}]});
        world.post("/v1/holds").by(buyer).key(&uuid()).json(basket).send().await.ok()
    };
    let held = Held { token: buyer.to_owned(), hold: hold(&offer).await };
    let order = world.order(&held, "buyer@example.org").await;
    let payment = world.payment(&held, &order).await;
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    let order = world.read_order(&held, &order).await;
    let ticket = world.tickets(&held, &order).await.remove(0);
    let invoices =
        world.get(&format!("/v1/orders/{}/invoices", text(&order["id"]))).by(buyer).send().await.ok();
    let refunds = format!("/v1/payments/{}/refunds", text(&payment["id"]));
    let (_, refund) = post(refunds, json!({"amount": euros(100)})).await;
    let promised = Held { token: buyer.to_owned(), hold: hold(&offer).await };
    let cash_order = world.order(&promised, "buyer@example.org").await;
    let path = format!("/v1/orders/{}/payments", text(&cash_order["id"]));
    let cash = world.post(&path).by(buyer).json(json!({"provider": "cash"})).send().await.ok();
    world.settle().await;
    let third = Held { token: buyer.to_owned(), hold: hold(&offer).await };
    let other_order = world.order(&third, "buyer@example.org").await;
    let path = format!("/v1/orders/{}/payments", text(&other_order["id"]));
    let razorpay = world.post(&path).by(buyer).json(json!({"provider": "razorpay"})).send().await.ok();
    hold(&last).await;
    let contact = json!({"name": "Grace", "email": "buyer@example.org"});
    let join = json!({"offers": [last], "quantity": 1, "contact": contact});
    let path = format!("/v1/events/{event}/waitlist");
    let waiter = world.post(&path).by(buyer).key(&uuid()).json(join).send().await.ok();
    let apply = json!({"offer": approval, "quantity": 1, "contact": contact});
    let applied = world.post("/v1/applications").by(buyer).key(&uuid()).json(apply).send().await.ok();
    let details = world.get(&format!("/v1/events/{event}")).send().await.ok();
    let pool =
        details["offers"].as_array().unwrap().iter().find(|known| known["id"] == json!(offer)).unwrap();
    let own =
        world.get(&format!("/v1/organisations/{organisation}/events/{event}")).by(&token).send().await.ok();
    let pool = own["offers"]
        .as_array()
        .and_then(|offers| offers.iter().find(|known| known["id"] == json!(offer)))
        .map_or_else(|| pool["pool"].clone(), |offer| offer["pool"].clone());
    let hall = {
        let (_, venue) =
            post("/v1/venues".into(), json!({"organisation": organisation, "name": "Hall"})).await;
        ids.insert("venue", text(&venue["id"]));
        let section = json!({"name": "Stalls", "rows": [{"label": "A", "seats": "...."}]});
        let path = format!("/v1/venues/{}/sections/S", text(&venue["id"]));
        world.put(&path).by(&token).json(section).send().await.ok();
        let hall = world.draft(&owner, json!({"name": "Hall"})).await;
        let seats = json!({"seats": {"venue": venue["id"], "section": "S"}, "name": "Stalls"});
        ids.insert("stalls", world.offer(&owner, &hall, seats).await);
        world.publish(&owner, &hall).await;
        hall
    };

    // From now on with a waiting room; functions believe what they know for some seconds.
    let at = |seconds: i64| (world.whole.clock().now() + SignedDuration::from_secs(seconds)).to_string();
    let room = json!({"doors": at(-60), "starts": at(600), "per_minute": 60_000});
    world.put(&format!("/v1/events/{event}/waiting-room")).by(&token).json(room).send().await.ok();

    // A service and a store.
    let hours = every_day("09:00:00", "18:00:00");
    let details = json!({"name": "Studio", "category": "photography", "city": "Berlin", "zone": "Europe/Berlin", "hours": hours});
    let (etag, service) =
        post("/v1/services".into(), json!({"organisation": organisation, "details": details})).await;
    let path = format!("/v1/services/{}/packages", text(&service["id"]));
    let (_, package) = post(path, json!({"name": "Portrait", "minutes": 60, "price": euros(1000)})).await;
    let path = format!("/v1/services/{}", text(&service["id"]));
    put(path, &etag, json!({"open": true, "details": details})).await;
    let details = json!({"name": "Shop", "city": "Berlin", "address": "Torstraße 1", "zone": "Europe/Berlin", "hours": hours});
    let (etag, store) =
        post("/v1/stores".into(), json!({"organisation": organisation, "details": details})).await;
    let path = format!("/v1/stores/{}", text(&store["id"]));
    put(path, &etag, json!({"open": true, "details": details})).await;
    let terms = json!({"name": "Ibuprofen", "price": euros(450)});
    let (_, product) =
        post("/v1/products".into(), json!({"organisation": organisation, "terms": terms})).await;
    let path = format!("/v1/stores/{}/products/{}", text(&store["id"]), text(&product["id"]));
    world.put(&path).by(&token).json(json!({"listed": true})).send().await.ok();

    // What an organisation has besides.
    let off = json!({"off": {"percent": "10"}});
    let coupon = json!({"code": format!("{}10", tag.to_uppercase()), "terms": off});
    world.post(&of("coupons")).by(&token).json(coupon).send().await.ok();
    let (_, card) = post(of("gift-cards"), json!({"amount": euros(1000)})).await;
    let (_, team) = post(of("teams"), json!({"name": "Helpers", "rights": {"role": "support"}})).await;
    let invite = json!({"email": "buyer@example.org", "rights": {"role": "gate"}});
    let (_, invitation) = post(of("invitations"), invite).await;
    let (_, key) = post(of("api-keys"), json!({"label": "spare", "rights": {"role": "gate"}})).await;
    let (_, device) = post(of("devices"), json!({"label": "spare", "rights": {"role": "gate"}})).await;
    let spare = person(world, &format!("{tag}-spare")).await.1;
    let member = json!({"rights": {"role": "gate"}});
    world.put(&of(&format!("members/{spare}"))).by(&token).json(member).send().await.ok();
    world.settle().await;

    let photo = media::encoded(&media::photo(4, 3), ImageFormat::Png);
    let picture = media::taken(world, &sale.organiser, "image/png", &photo).await;
    for (name, value) in [
        ("offer", json!(offer)),
        ("approval", json!(approval)),
        ("order", order["id"].clone()),
        ("booking", order["booking"].clone()),
        ("payment", payment["id"].clone()),
        ("cash", cash["id"].clone()),
        ("razorpay", razorpay["id"].clone()),
        ("refund", refund["id"].clone()),
        ("ticket", ticket["id"].clone()),
        ("invoice", invoices["items"][0]["id"].clone()),
        ("hold", held.hold["id"].clone()),
        ("waiter", waiter["id"].clone()),
        ("application", applied["id"].clone()),
        ("pool", pool),
        ("hall", json!(hall)),
        ("service", service["id"].clone()),
        ("package", package["id"].clone()),
        ("store", store["id"].clone()),
        ("product", product["id"].clone()),
        ("coupon", json!(format!("{}10", tag.to_uppercase()))),
        ("card", card["id"].clone()),
        ("picture", picture["id"].clone()),
        ("team", team["id"].clone()),
        ("invitation", invitation["id"].clone()),
        ("key", key["id"].clone()),
        ("device", device["id"].clone()),
        ("member", json!(spare)),
    ] {
        assert!(value.is_string(), "{name}: {value}");
        ids.insert(name, text(&value));
    }
    ids.insert("event", event);
    Town {
        owner: sale.organiser,
        ids,
        hold: held.hold,
        ticket: text(&ticket["code"]),
        reference: text(&cash["promise"]["reference"]),
        card: text(&card["code"]),
        session: text(&session["session"]),
        refresh: text(&session["refresh_token"]),
    }
}

/// One route, what it needs, and who may use it.
struct Row {
    route: &'static str,
    /// What stands for the places in its path.
    path: Vec<String>,
    query: String,
    body: Option<Value>,
    raw: Option<(&'static str, &'static str)>,
    access: Access,
}

impl Row {
    fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    fn raw(mut self, kind: &'static str, body: &'static str) -> Self {
        self.raw = Some((kind, body));
        self
    }

    fn url(&self, last: Option<&str>) -> String {
        let mut url = self.route.split_once(' ').unwrap().1.to_owned();
        for (place, id) in self.path.iter().enumerate() {
            let id = last.filter(|_| place + 1 == self.path.len()).unwrap_or(id);
            let (start, end) = (url.find('{').unwrap(), url.find('}').unwrap());
            url.replace_range(start..=end, id);
        }
        assert!(!url.contains('{'), "{url}");
        url + &self.query
    }

    async fn ask(&self, world: &World, by: Option<&str>, last: Option<&str>) -> (u16, String) {
        let method = Method::from_bytes(self.route.split_once(' ').unwrap().0.as_bytes()).unwrap();
        let mut call = world.call(method, &self.url(last)).key(&uuid()).header("If-Match", "\"v999\"");
        if let Some(token) = by {
            call = call.by(token);
        }
        let call = match (&self.body, self.raw) {
            (Some(body), _) => call.json(body.clone()),
            (None, Some((kind, body))) => call.header("content-type", kind).body(body),
            (None, None) => call,
        };
        let answer = call.send().await;
        (answer.status, answer.code().to_owned())
    }
}

/// Every route. Those that end something come last.
fn rows(world: &World, town: &Town) -> Vec<Row> {
    use Access::{
        Buyer, Own, OwnKnown, OwnKnownOr, OwnOr, Person, Public, Self_, Shopper, Staff, StaffPerson, Thing,
    };
    use At::{Event, Service, Store, Whole};
    use Do::{Bookings, Cash, Devices, Members, Money, Scan, Sell};
    let id = |name: &str| town.ids.get(name).unwrap_or_else(|| panic!("no {name}")).clone();
    let row = |route: &'static str, path: &[&str], access: Access| {
        let path = path.iter().map(|name| id(name)).collect();
        Row { route, path, query: String::new(), body: None, raw: None, access }
    };
    let now = world.whole.clock().now();
    let (from, until) = (now - SignedDuration::from_hours(24), now + SignedDuration::from_hours(24));
    let period = format!("?from={from}&until={until}");
    let hours = every_day("09:00:00", "18:00:00");
    let starts = json!({"local": world.local(SignedDuration::from_hours(24 * 30)), "zone": "Europe/Berlin"});
    let event = json!({"name": "Midsummer", "city": "Berlin", "venue": "Hof", "starts": starts});
    let mut new_event = event.clone();
    new_event["organisation"] = json!(id("organisation"));
    let service = json!({"name": "Studio", "category": "photography", "city": "Berlin", "zone": "Europe/Berlin", "hours": hours});
    let store = json!({"name": "Shop", "city": "Berlin", "address": "Torstraße 1", "zone": "Europe/Berlin", "hours": hours});
    let package = json!({"name": "Portrait", "minutes": 60, "price": euros(1000)});
    let product = json!({"name": "Ibuprofen", "price": euros(450)});
    let rights = json!({"rights": {"role": "gate"}});
    let contact = json!({"name": "Grace", "email": "g@example.org"});
    let team = json!({"name": "Helpers", "rights": {"role": "support"}});
    let seller =
        json!({"name": "Hall", "address": ["Hof 1"], "country": "DE", "tax_numbers": [{"value": "1"}]});
    let at = |seconds: i64| (now + SignedDuration::from_secs(seconds)).to_string();
    vec![
        row("GET /.well-known/jwks.json", &[], Public),
        row("GET /docs", &[], Public),
        row("GET /openapi.json", &[], Public),
        row("POST /v1/accounts", &[], Public)
            .body(json!({"email": "new@example.org", "password": "correct horse", "name": "New"})),
        row("POST /v1/accounts/code", &[], Public).body(json!({"email": "new@example.org"})),
        row("POST /v1/accounts/verify", &[], Public)
            .body(json!({"email": "new@example.org", "code": "0000-0000", "password": "correct horse"})),
        row("POST /v1/accounts/reset", &[], Public).body(json!({"email": "new@example.org"})),
        row("POST /v1/accounts/reset/confirm", &[], Public)
            .body(json!({"email": "new@example.org", "code": "0000-0000", "password": "correct horse"})),
        row("GET /v1/me", &[], Person),
        row("GET /v1/me/audit", &[], Person),
        row("GET /v1/me/audit/proof", &[], Person),
        row("PUT /v1/me/name", &[], Person),
        row("GET /v1/me/profile", &[], Person),
        row("PUT /v1/me/profile", &[], Person),
        row("POST /v1/me/erasure", &[], Person),
        row("POST /v1/sessions/nonce", &[], Public),
        row("POST /v1/sessions/provider", &[], Public),
        row("GET /v1/me/providers", &[], Person),
        row("POST /v1/me/providers", &[], Person),
        row("POST /v1/me/providers/{provider}/unlink", &["provider"], Person),
        row("POST /v1/me/exports", &[], Person),
        row("GET /v1/me/exports/{id}", &["export"], Self_),
        // What is asked for here is refused to everybody: a change would end the others' questions.
        row("PUT /v1/me/password", &[], Person)
            .body(json!({"current_password": "correct horse", "password": "password1"})),
        row("POST /v1/me/email", &[], Person).body(json!({"email": "nowhere", "password": "correct horse"})),
        row("POST /v1/me/email/confirm", &[], Person).body(json!({"code": "0000-0000"})),
        row("POST /v1/me/second-factor", &[], Person).body(json!({"password": "short"})),
        row("POST /v1/me/second-factor/confirm", &[], Person).body(json!({"code": "000000"})),
        row("POST /v1/me/second-factor/off", &[], Person)
            .body(json!({"password": "correct horse", "code": "000000"})),
        row("POST /v1/sessions/second-factor", &[], Public)
            .body(json!({"challenge": "x.y", "code": "000000"})),
        row("GET /v1/sessions", &[], Person),
        row("POST /v1/sessions/refresh", &[], Public).body(json!({"refresh_token": town.refresh})),
        row("GET /v1/credential", &[], Thing),
        row("POST /v1/devices/pair", &[], Public).body(json!({"code": "0000-0000"})),
        row("GET /v1/organisations", &[], Person),
        row("POST /v1/organisations", &[], Person).body(json!({"name": "Another"})),
        row("GET /v1/invitations", &[], Person),
        row("GET /v1/organisations/{id}/members", &["organisation"], Staff(Members, Whole)),
        row(
            "PUT /v1/organisations/{id}/members/{account}",
            &["organisation", "member"],
            Staff(Members, Whole),
        )
        .body(rights.clone()),
        row("GET /v1/organisations/{id}/audit", &["organisation"], Staff(Members, Whole)),
        row("GET /v1/organisations/{id}/audit/proof", &["organisation"], Staff(Members, Whole)),
        row("GET /v1/organisations/{id}/teams", &["organisation"], Staff(Members, Whole)),
        row("POST /v1/organisations/{id}/teams", &["organisation"], Staff(Members, Whole)).body(team.clone()),
        row("GET /v1/organisations/{id}/teams/{team}", &["organisation", "team"], Staff(Members, Whole)),
        row("PUT /v1/organisations/{id}/teams/{team}", &["organisation", "team"], Staff(Members, Whole))
            .body(team),
        row("GET /v1/organisations/{id}/invitations", &["organisation"], StaffPerson(Members, Whole)),
        row("POST /v1/organisations/{id}/invitations", &["organisation"], StaffPerson(Members, Whole))
            .body(json!({"email": "x@example.org", "rights": {"role": "gate"}})),
        row("GET /v1/organisations/{id}/api-keys", &["organisation"], StaffPerson(Members, Whole)),
        row("POST /v1/organisations/{id}/api-keys", &["organisation"], StaffPerson(Members, Whole))
            .body(json!({"label": "x", "rights": {"role": "gate"}})),
        row("GET /v1/organisations/{id}/devices", &["organisation"], StaffPerson(Devices, Whole)),
        row("POST /v1/organisations/{id}/devices", &["organisation"], StaffPerson(Devices, Whole))
            .body(json!({"label": "x", "rights": {"role": "gate"}})),
        row(
            "POST /v1/organisations/{id}/devices/{device}/code",
            &["organisation", "device"],
            StaffPerson(Devices, Whole),
        ),
        // What is sold.
        row("GET /v1/events", &[], Public).query("?city=berlin"),
        row("POST /v1/events", &[], Staff(Sell, Whole)).body(new_event),
        row("GET /v1/events/{id}", &["event"], Public),
        row("PUT /v1/events/{id}", &["event"], Staff(Sell, Event)).body(event),
        row("POST /v1/events/{id}/offers", &["event"], Staff(Sell, Event))
            .body(json!({"name": "More", "price": euros(1), "capacity": 1})),
        row("PUT /v1/events/{id}/offers/{offer}", &["event", "offer"], Staff(Sell, Event))
            .body(json!({"name": "Standing", "price": euros(2500)})),
        row("POST /v1/events/{id}/publish", &["event"], Staff(Sell, Event)),
        row("GET /v1/organisations/{id}/events", &["organisation"], Staff(Sell, Whole)),
        row(
            "GET /v1/organisations/{organisation}/events/{id}",
            &["organisation", "event"],
            Staff(Sell, Event),
        ),
        row("GET /v1/events/{id}/seats", &["hall"], Public),
        row("GET /v1/events/{id}/seats.svg", &["hall"], Public),
        row("POST /v1/events/{id}/seats/changes", &["event"], Staff(Sell, Event))
            .body(json!({"section": "S", "block": ["A-1"]})),
        row("PUT /v1/events/{id}/waiting-room", &["event"], Staff(Sell, Event))
            .body(json!({"doors": at(-60), "starts": at(600), "per_minute": 60_000})),
        row("GET /v1/events/{id}/waiting-room", &["event"], Public),
        row("GET /v1/events/{id}/waiting-room/page", &["event"], Public),
        row("POST /v1/events/{id}/waiting-room/places", &["event"], Shopper).body(json!({})),
        row("POST /v1/events/{id}/waiting-room/admissions", &["event"], Public).body(json!({"place": "x.y"})),
        row("PUT /v1/pools/{id}", &["pool"], Staff(Sell, Event)).body(json!({"capacity": 25})),
        row("GET /v1/pools/{id}/proof", &["pool"], Staff(Bookings, Event)),
        row("POST /v1/venues", &[], Staff(Sell, Whole))
            .body(json!({"organisation": id("organisation"), "name": "Hall"})),
        row("GET /v1/venues/{id}", &["venue"], Staff(Sell, Whole)),
        row("PUT /v1/venues/{id}/sections/{code}", &["venue", "section"], Staff(Sell, Whole))
            .body(json!({"name": "Stalls", "rows": [{"label": "A", "seats": "...."}]})),
        row("GET /v1/organisations/{id}/venues", &["organisation"], Staff(Sell, Whole)),
        row("GET /v1/services", &[], Public).query("?city=berlin"),
        row("GET /v1/services/compare", &[], Public).query(format!("?services={}", id("service"))),
        row("POST /v1/services", &[], Staff(Sell, Whole))
            .body(json!({"organisation": id("organisation"), "details": service})),
        row("GET /v1/services/{id}", &["service"], Public),
        row("GET /v1/services/{id}/times", &["service"], Public)
            .query(format!("{period}&package={}", id("package"))),
        row("PUT /v1/services/{id}", &["service"], Staff(Sell, Service))
            .body(json!({"open": true, "details": service})),
        row("POST /v1/services/{id}/packages", &["service"], Staff(Sell, Service)).body(package.clone()),
        row("PUT /v1/services/{id}/packages/{package}", &["service", "package"], Staff(Sell, Service))
            .body(package),
        row("GET /v1/organisations/{id}/services", &["organisation"], Staff(Sell, Whole)),
        row(
            "GET /v1/organisations/{organisation}/services/{id}",
            &["organisation", "service"],
            Staff(Sell, Service),
        ),
        row("GET /v1/stores", &[], Public).query("?city=berlin"),
        row("POST /v1/stores", &[], Staff(Sell, Whole))
            .body(json!({"organisation": id("organisation"), "details": store})),
        row("GET /v1/stores/{id}", &["store"], Public),
        row("PUT /v1/stores/{id}", &["store"], Staff(Sell, Store))
            .body(json!({"open": true, "details": store})),
        row("GET /v1/stores/{id}/products", &["store"], Public),
        row("PUT /v1/stores/{id}/products/{product}", &["store", "product"], Staff(Sell, Store))
            .body(json!({"listed": true})),
        row("GET /v1/stores/{id}/windows", &["store"], Public).query(period.clone()),
        row(
            "GET /v1/stores/{id}/products/{product}/movements",
            &["store", "product"],
            Staff(Bookings, Store),
        ),
        row("POST /v1/stores/{id}/products/{product}/movements", &["store", "product"], Staff(Sell, Store))
            .body(json!({"quantity": 1, "cause": "received"})),
        row("GET /v1/organisations/{id}/stores", &["organisation"], Staff(Sell, Whole)),
        row(
            "GET /v1/organisations/{organisation}/stores/{id}",
            &["organisation", "store"],
            Staff(Sell, Store),
        ),
        row("POST /v1/products", &[], Staff(Sell, Whole))
            .body(json!({"organisation": id("organisation"), "terms": product})),
        row("GET /v1/products/{id}", &["product"], Staff(Sell, Whole)),
        row("PUT /v1/products/{id}", &["product"], Staff(Sell, Whole)).body(product),
        row("GET /v1/organisations/{id}/products", &["organisation"], Staff(Sell, Whole)),
        row("GET /v1/organisations/{id}/pictures", &["organisation"], Staff(Sell, Whole)),
        row("POST /v1/organisations/{id}/pictures", &["organisation"], Staff(Sell, Whole))
            .body(json!({"description": "Hall", "file": {"content_type": "image/png", "bytes": 1, "sha256": DIGEST}})),
        row("GET /v1/pictures/{id}", &["picture"], Staff(Sell, Whole)),
        row("POST /v1/pictures/{id}/sent", &["picture"], Staff(Sell, Whole)),
        row("GET /v1/pictures/{id}/{size}", &["picture", "size"], Public),
        row("GET /v1/organisations/{id}/pricing", &["organisation"], Staff(Sell, Whole)),
        row("PUT /v1/organisations/{id}/pricing", &["organisation"], Staff(Sell, Whole)).body(json!({})),
        row("GET /v1/organisations/{id}/coupons", &["organisation"], Staff(Sell, Whole)),
        row("POST /v1/organisations/{id}/coupons", &["organisation"], Staff(Sell, Whole))
            .body(json!({"code": "X10", "terms": {"off": {"percent": "10"}}})),
        row("GET /v1/organisations/{id}/coupons/{code}", &["organisation", "coupon"], Staff(Sell, Whole)),
        row("PUT /v1/organisations/{id}/coupons/{code}", &["organisation", "coupon"], Staff(Sell, Whole))
            .body(json!({"off": {"percent": "10"}})),
        row(
            "GET /v1/organisations/{id}/coupons/{code}/codes",
            &["organisation", "coupon"],
            Staff(Sell, Whole),
        ),
        // What is bought.
        row("POST /v1/holds", &[], Shopper).body(json!({"lines": [{"offer": id("offer"), "quantity": 1}]})),
        row("GET /v1/holds", &[], Buyer).query(format!("?event={}", id("event"))),
        row("POST /v1/holds/{id}/release", &["hold"], OwnKnown).body(json!({"quote": town.hold["quote"]})),
        row("POST /v1/orders", &[], Buyer).body(json!({"quote": town.hold["quote"], "contact": contact})),
        row("GET /v1/orders", &[], Buyer),
        row("GET /v1/orders/{id}", &["order"], Own),
        row("POST /v1/orders/{id}/cancel", &["order"], Own),
        row("GET /v1/orders/{id}/payments", &["order"], OwnOr(Money, Event)),
        row("POST /v1/orders/{id}/payments", &["order"], Own).body(json!({"provider": "stripe"})),
        row("GET /v1/orders/{id}/invoices", &["order"], OwnOr(Money, Event)),
        row("GET /v1/invoices/{id}", &["invoice"], OwnOr(Money, Event)),
        row("GET /v1/payments/{id}", &["payment"], OwnKnownOr(Money, Event)),
        row("GET /v1/tickets", &[], Own).query(format!("?order={}", id("order"))),
        row("GET /v1/tickets/{id}", &["ticket"], Own),
        row("GET /v1/bookings", &[], Buyer),
        row("GET /v1/bookings/{id}", &["booking"], OwnOr(Bookings, Event)),
        row("GET /v1/bookings/{id}/cancellation", &["booking"], OwnOr(Bookings, Event)),
        row("POST /v1/bookings/{id}/reschedule", &["booking"], OwnKnown)
            .body(json!({"quote": town.hold["quote"]})),
        row("GET /v1/waitlist", &[], Buyer),
        row("GET /v1/waitlist/{id}", &["waiter"], Own),
        row("POST /v1/events/{id}/waitlist", &["event"], Shopper)
            .body(json!({"offers": [id("offer")], "quantity": 1, "contact": contact})),
        row("GET /v1/applications", &[], Buyer),
        row("GET /v1/applications/{id}", &["application"], Own),
        row("POST /v1/applications", &[], Shopper)
            .body(json!({"offer": id("approval"), "quantity": 1, "contact": contact})),
        row("POST /v1/gift-cards/balance", &[], Public)
            .body(json!({"organisation": id("organisation"), "code": town.card})),
        row("POST /v1/webhooks/stripe", &[], Public).body(json!({})),
        row("POST /v1/webhooks/razorpay", &[], Public).body(json!({})),
        // What was sold.
        row("GET /v1/events/{id}/bookings", &["event"], Staff(Bookings, Event)),
        row("GET /v1/events/{id}/orders", &["event"], Staff(Bookings, Event)),
        row("GET /v1/services/{id}/bookings", &["service"], Staff(Bookings, Service)),
        row("GET /v1/services/{id}/orders", &["service"], Staff(Bookings, Service)),
        row("GET /v1/stores/{id}/bookings", &["store"], Staff(Bookings, Store)),
        row("GET /v1/stores/{id}/orders", &["store"], Staff(Bookings, Store)),
        row("GET /v1/events/{id}/waitlist", &["event"], Staff(Bookings, Event)),
        row("GET /v1/events/{id}/waitlist/summary", &["event"], Staff(Bookings, Event)),
        row("GET /v1/events/{id}/applications", &["event"], Staff(Bookings, Event)),
        row("POST /v1/events/{id}/applications/decisions", &["event"], Staff(Bookings, Event))
            .body(json!({"decisions": [{"application": id("application"), "verdict": "decline"}]})),
        row("GET /v1/events/{id}/entries", &["event"], Staff(Bookings, Event)),
        row("GET /v1/events/{id}/refunds", &["event"], Staff(Money, Event)),
        row("POST /v1/scans", &[], Staff(Scan, Event))
            .body(json!({"event": id("event"), "gate": "north", "code": town.ticket})),
        row("POST /v1/payments/{id}/refunds", &["payment"], Staff(Money, Event))
            .body(json!({"amount": euros(1)})),
        row("POST /v1/payments/{id}/refunds/{refund}/retry", &["payment", "refund"], Staff(Money, Event)),
        row("POST /v1/payments/{id}/refunds/{refund}/made", &["payment", "refund"], Staff(Money, Event)),
        row("POST /v1/payments/{id}/receipts", &["cash"], Staff(Cash, Event))
            .body(json!({"amount": euros(1)})),
        row("POST /v1/payments/{id}/verify", &["razorpay"], OwnKnown)
            .body(json!({"razorpay_payment_id": "pay_x", "razorpay_signature": "00"})),
        row("GET /v1/organisations/{id}/payments", &["organisation"], Staff(Money, Whole))
            .query("?list=awaited"),
        row(
            "GET /v1/organisations/{id}/payments/{reference}",
            &["organisation", "reference"],
            Staff(Cash, Event),
        ),
        row("POST /v1/organisations/{id}/statements", &["organisation"], Staff(Money, Whole))
            .raw("text/csv", "date,amount,currency,text\n"),
        row("GET /v1/organisations/{id}/means", &["organisation"], Staff(Money, Whole)),
        row("PUT /v1/organisations/{id}/means", &["organisation"], Staff(Money, Whole)).body(json!({})),
        row("GET /v1/organisations/{id}/invoicing", &["organisation"], Staff(Money, Whole)),
        row("PUT /v1/organisations/{id}/invoicing", &["organisation"], Staff(Money, Whole))
            .body(json!({"seller": seller})),
        row("GET /v1/organisations/{id}/invoices", &["organisation"], Staff(Money, Whole))
            .query(period.clone()),
        row("GET /v1/organisations/{id}/invoices.csv", &["organisation"], Staff(Money, Whole))
            .query(period.clone()),
        row("GET /v1/organisations/{id}/ledger", &["organisation"], Staff(Money, Whole))
            .query(period.clone()),
        row("GET /v1/organisations/{id}/revenue", &["organisation"], Staff(Money, Whole))
            .query(format!("{period}&by=day")),
        row("GET /v1/organisations/{id}/revenue.csv", &["organisation"], Staff(Money, Whole))
            .query(format!("{period}&by=day")),
        row("GET /v1/organisations/{id}/gift-cards", &["organisation"], Staff(Money, Whole)),
        row("POST /v1/organisations/{id}/gift-cards", &["organisation"], Staff(Money, Whole))
            .body(json!({"amount": euros(100)})),
        row("GET /v1/organisations/{id}/gift-cards/{card}", &["organisation", "card"], Staff(Money, Whole)),
        row("PUT /v1/organisations/{id}/gift-cards/{card}", &["organisation", "card"], Staff(Money, Whole))
            .body(json!({})),
        // What ends something.
        row("POST /v1/waitlist/{id}/accept", &["waiter"], Own),
        row("POST /v1/waitlist/{id}/leave", &["waiter"], Own),
        row("POST /v1/applications/{id}/accept", &["application"], Own),
        row("POST /v1/applications/{id}/withdraw", &["application"], Own),
        row("POST /v1/bookings/{id}/cancel", &["booking"], OwnOr(Bookings, Event)),
        row("DELETE /v1/pictures/{id}", &["picture"], Staff(Sell, Whole)),
        row("DELETE /v1/events/{id}/waiting-room", &["event"], Staff(Sell, Event)),
        row("POST /v1/events/{id}/cancel", &["event"], Staff(Sell, Event)),
        row(
            "DELETE /v1/organisations/{id}/invitations/{invitation}",
            &["organisation", "invitation"],
            StaffPerson(Members, Whole),
        ),
        row("DELETE /v1/organisations/{id}/teams/{team}", &["organisation", "team"], Staff(Members, Whole)),
        row(
            "DELETE /v1/organisations/{id}/api-keys/{key}",
            &["organisation", "key"],
            StaffPerson(Members, Whole),
        ),
        row(
            "DELETE /v1/organisations/{id}/devices/{device}",
            &["organisation", "device"],
            StaffPerson(Devices, Whole),
        ),
        row(
            "DELETE /v1/organisations/{id}/members/{account}",
            &["organisation", "member"],
            Staff(Members, Whole),
        ),
        // It was taken back: the buyer remains a buyer.
        row("POST /v1/invitations/{id}/accept", &["invitation"], Self_),
        row("POST /v1/invitations/{id}/decline", &["invitation"], Self_),
        row("DELETE /v1/sessions", &[], Person),
        row("DELETE /v1/sessions/{id}", &["session"], Self_),
        row("POST /v1/sessions", &[], Public)
            .body(json!({"email": "buyer@example.org", "password": "correct horse"})),
    ]
}

/// Of no bytes at all (FIPS 180-2).
const DIGEST: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// Ends the session of whoever asks: it would end all the others' questions.
const APART: [&str; 1] = ["DELETE /v1/sessions/current"];

/// Everybody there is, by name, with what they call with.
async fn callers(
    world: &World,
    own: &mut Town,
    foreign: &Town,
    buyer: &str,
) -> Vec<(String, Option<String>)> {
    let owner = own.owner.clone();
    let (event, service, store) = (&own.ids["event"], &own.ids["service"], &own.ids["store"]);
    let of = |path: &str| format!("/v1/organisations/{}/{path}", owner.organisation);
    let team = json!({"name": "Support", "rights": {"role": "support"}});
    let team =
        world.post(&of("teams")).by(&owner.token).key("team").json(team).send().await.ok()["id"].clone();
    let elsewhere = json!({"role": "manager", "event": foreign.ids["event"]});
    let mut all = vec![
        ("nobody".to_owned(), None),
        ("garbage".to_owned(), Some("garbage.in.here".to_owned())),
        ("buyer".to_owned(), Some(buyer.to_owned())),
        ("owner".to_owned(), Some(owner.token.clone())),
        ("foreign owner".to_owned(), Some(foreign.owner.token.clone())),
    ];
    let basket = json!({"lines": [{"offer": foreign.ids["stalls"], "quantity": 1}]});
    let guest = world.post("/v1/holds").key(&uuid()).json(basket).send().await.ok();
    all.push(("guest".to_owned(), Some(text(&guest["guest_token"]))));
    let members = [
        ("manager", json!({"rights": {"role": "manager"}})),
        ("editor", json!({"rights": {"role": "editor"}})),
        ("support", json!({"rights": {"role": "support"}})),
        ("accountant", json!({"rights": {"role": "accountant"}})),
        ("cashier", json!({"rights": {"role": "cashier"}})),
        ("gate", json!({"rights": {"role": "gate", "grants": [elsewhere]}})),
        ("event manager", json!({"rights": {"grants": [{"role": "manager", "event": event}]}})),
        ("event gate", json!({"rights": {"grants": [{"role": "gate", "event": event}]}})),
        ("north gate", json!({"rights": {"grants": [{"role": "gate", "event": event, "gate": "north"}]}})),
        ("service editor", json!({"rights": {"grants": [{"role": "editor", "service": service}]}})),
        ("store editor", json!({"rights": {"grants": [{"role": "editor", "store": store}]}})),
        ("supporter by team", json!({"teams": [team]})),
        ("former member", json!({"rights": {"role": "manager"}})),
        ("ended session", json!({"rights": {"role": "owner"}})),
    ];
    for (name, rights) in members {
        let (token, account) = person(world, &name.replace(' ', "-")).await;
        let path = of(&format!("members/{account}"));
        world.put(&path).by(&owner.token).json(rights).send().await.ok();
        match name {
            "former member" => assert_eq!(world.delete(&path).by(&owner.token).send().await.status, 204),
            "ended session" => {
                assert_eq!(world.delete("/v1/sessions/current").by(&token).send().await.status, 204);
            }
            _ => {}
        }
        all.push((name.to_owned(), Some(token)));
    }
    all.push(("stranger".to_owned(), Some(person(world, "stranger").await.0)));
    let key = async |of: &Organiser, role: &str| {
        let path = format!("/v1/organisations/{}/api-keys", of.organisation);
        let body = json!({"label": role, "rights": {"role": role}});
        let made = world.post(&path).by(&of.token).key(&uuid()).json(body).send().await.ok();
        Some(text(&made["secret"]))
    };
    all.push(("manager key".to_owned(), key(&owner, "manager").await));
    all.push(("editor key".to_owned(), key(&owner, "editor").await));
    all.push(("foreign key".to_owned(), key(&foreign.owner, "manager").await));
    let body = json!({"label": "scanner", "rights": {"grants": [{"role": "gate", "event": event}]}});
    let made = world.post(&of("devices")).by(&owner.token).key("scanner").json(body).send().await.ok();
    let paired = world.post("/v1/devices/pair").json(json!({"code": made["code"]})).send().await.ok();
    all.push(("event scanner".to_owned(), Some(text(&paired["credential"]))));
    // Those who hear no come first, so that what is changed is changed last.
    own.ids.insert("section", "S".to_owned());
    own.ids.insert("size", "320".to_owned());
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_every_kind_of_caller_as_it_must() {
    let world = World::new().await;
    let session = world.account("buyer@example.org").await;
    let credentials = json!({"email": "buyer@example.org", "password": "correct horse"});
    let spare = world.post("/v1/sessions").json(credentials).send().await.ok();
    let buyer = text(&session["access_token"]);
    let mut own = town(&world, "own", &buyer, &spare).await;
    let foreign = town(&world, "foreign", &buyer, &spare).await;
    let callers = callers(&world, &mut own, &foreign, &buyer).await;
    let known: BTreeSet<_> = callers.iter().map(|(name, _)| name.as_str()).collect();
    let named: BTreeSet<_> =
        PEOPLE_INSIDE.iter().chain(&PEOPLE_OUTSIDE).chain(&THINGS_INSIDE).chain(&NOBODIES).copied().collect();
    assert_eq!(known, named);
    world.advance(SignedDuration::from_secs(3)).await;
    own.ids.insert("reference", own.reference.clone());
    own.ids.insert("session", own.session.clone());
    own.ids.insert("provider", "google".to_owned());
    let ask = json!({"password": "correct horse"});
    let export = world.post("/v1/me/exports").by(&buyer).key("all").json(ask).send().await.ok();
    own.ids.insert("export", text(&export["id"]));

    let rows = rows(&world, &own);
    let api = serde_json::to_value(tessera_local::openapi::description()).unwrap();
    let mut routes = BTreeSet::new();
    for (path, methods) in api["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let listed: BTreeSet<_> = rows.iter().map(|row| row.route).chain(APART).map(str::to_owned).collect();
    assert_eq!(listed, routes, "every route has its row");

    let (mut cells, mut wrong) = (0, Vec::new());
    for row in &rows {
        let judged =
            callers.iter().filter_map(|(name, token)| Some((name, token, expected(name, row.access)?)));
        let (mut passes, refused): (Vec<_>, Vec<_>) = judged.partition(|(.., hears)| *hears == Hears::Yes);
        let (method, path) = row.route.split_once(' ').unwrap();
        let described = match row.access {
            Access::Public => Value::Null,
            Access::Shopper | Access::Own | Access::OwnOr(..) => json!([{"bearer": []}, {}]),
            _ => json!([{"bearer": []}]),
        };
        let security = &api["paths"][path][method.to_lowercase()]["security"];
        if *security != described {
            wrong.push(format!("{} is described as {security}", row.route));
        }
        let answers =
            join_all(refused.iter().map(|(_, token, _)| row.ask(&world, token.as_deref(), None))).await;
        for ((name, _, hears), (status, code)) in refused.iter().zip(answers) {
            cells += 1;
            let right = match hears {
                Hears::Who => status == 401,
                Hears::Forbidden => (status, code.as_str()) == (403, "forbidden"),
                Hears::Nothing => (status, code.as_str()) == (404, "not_found"),
                Hears::Yes => false,
            };
            if !right {
                wrong.push(format!("{} by {name}: {status} {code}, must be {hears:?}", row.route));
            }
        }
        // What is of somebody else does not exist under this roof either.
        let deep = row.path.len() > 1 && matches!(row.access, Access::Staff(..) | Access::StaffPerson(..));
        let there = row.path.last().and_then(|last| own.ids.iter().find(|(_, id)| *id == last));
        let other = there.and_then(|(name, _)| match *name {
            "reference" => Some(foreign.reference.clone()),
            "section" | "member" => None,
            name => foreign.ids.get(name).cloned(),
        });
        if let Some(other) = other.filter(|_| deep) {
            cells += 1;
            let (status, code) = row.ask(&world, Some(&own.owner.token), Some(&other)).await;
            if (status, code.as_str()) != (404, "not_found") {
                wrong.push(format!("{} with a foreign id: {status} {code}", row.route));
            }
        }
        // The owner last: whoever else may end something should find it.
        passes.sort_by_key(|(name, ..)| name.as_str() == "owner");
        let mut ended = false;
        for (name, token, _) in passes {
            cells += 1;
            let (status, code) = row.ask(&world, token.as_deref(), None).await;
            let gone = ended && row.route.starts_with("DELETE");
            ended |= status == 204;
            let admission = code == "admission_needed";
            if status >= 500
                || (matches!(status, 401 | 403)
                    && !admission
                    && code != "sign_in_failed"
                    && code != "session_ended")
                || (status == 404 && !gone)
            {
                wrong.push(format!("{} by {name}: {status} {code}, must pass", row.route));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cells} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cells > 3_000, "{cells}");
    println!("{} routes, {} callers, {cells} answers", rows.len(), callers.len());
}
