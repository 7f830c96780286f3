//! What each condition of each write is good for.
//!
//! Nothing here is listed by hand. Eleven stories use everything that writes, with a hand on the wire to the tables that
//! collects the conditions it sees. Then
//!
//! - the stories are told with a **rival** who is faster at every single write: the same request, carried out just
//!   before (what a repeated request or message does), or a newer version of the item. All must end as without it;
//! - each condition in turn is made to hold always, and a story must notice. A condition that nobody would miss is either
//!   superfluous or not tested.
//!
//! What is watched besides the stories' own outcomes, at every write: versions grow by one and start at one, nothing is
//! written over that was to be new, and in every lane what is left and what its entries took sum to what it began with.

use crate::support::{Answer, World, every_day, text, uuid};
use futures_util::FutureExt;
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tessera_local::stores::tamper::{Asked, Tamper};

/// One condition of one kind of write.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Clause {
    /// Operation, table and kind of item.
    write: String,
    /// As written, without the numbers of placeholders.
    text: String,
}

/// A hand on the wire.
#[derive(Default)]
struct Wire {
    /// This condition holds always.
    weak: Option<Clause>,
    seen: Mutex<BTreeSet<Clause>>,
    /// What each lane had when it was first seen.
    lanes: Mutex<HashMap<String, i64>>,
    /// Where people began to wait anew.
    lines: Mutex<HashMap<String, i64>>,
    wrong: Mutex<Vec<String>>,
}

/// What a key is, without what makes it the key of one thing.
fn shape(key: &str) -> &str {
    let end = key.find(['_', '#']).unwrap_or(key.len());
    match key {
        "-" | "opened" | "cancelling" | "mailing" | "notification" => key,
        _ if key.starts_with("section#") => "section",
        _ if key.len() == 12 => "hold",
        _ if key.bytes().all(|byte| byte.is_ascii_digit()) => "number",
        _ if key.starts_with("20") => "instant",
        _ if key.starts_with("TS-") => "reference",
        _ => &key[..end],
    }
}

/// The conditions that must all hold: what stands between `AND`s outside of parentheses.
fn clauses(condition: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, character) in condition.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            'A' if depth == 0 && condition[at..].starts_with("AND ") => {
                found.push(condition[from..at].trim());
                from = at + 4;
            }
            _ => {}
        }
    }
    found.push(condition[from..].trim());
    found
}

fn numberless(clause: &str) -> String {
    clause.chars().filter(|character| !character.is_ascii_digit()).collect()
}

fn key_of(asked: &Asked) -> Value {
    let from = &asked.parameters[if asked.operation == "PutItem" { "Item" } else { "Key" }];
    json!({"pk": from["pk"], "sk": from["sk"]})
}

fn write_of(asked: &Asked) -> String {
    let table = asked.parameters["TableName"].as_str().unwrap().rsplit('-').next().unwrap();
    let key = key_of(asked);
    let part = |name: &str| shape(key[name]["S"].as_str().unwrap()).to_owned();
    format!("{} {table} {}/{}", asked.operation, part("pk"), part("sk"))
}

fn number(item: &Value, name: &str) -> Option<i64> {
    item[name]["N"].as_str().map(|text| text.parse().unwrap())
}

/// The places and the cells of a lane's entries.
fn taken(lane: &Value) -> (i64, u32) {
    let entries = lane.as_object().unwrap().iter().filter(|(name, _)| name.len() == 12);
    let mark = |mark: &Value| mark["N"].as_str().unwrap().parse::<u128>().unwrap();
    let marks = entries.map(|(_, entry)| mark(entry));
    marks.fold((0, 0), |(places, cells), mark| {
        (places + (mark % 100) as i64, cells + (mark / 1_000_000_000_000_000).count_ones())
    })
}

/// The cells of a lane that are marked as taken.
fn marked(lane: &Value) -> u32 {
    let cells =
        lane.as_object().unwrap().iter().filter(|(name, cell)| name.len() == 2 && cell["BOOL"] == true);
    cells.count() as u32
}

impl Wire {
    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// Who was faster: the same request, or a newer version, or, when it is the fate of an entry that is not asked after, its
    /// release.
    fn rival(&self, asked: &Asked, condition: &str) -> Option<Asked> {
        let (key, table) = (key_of(asked), &asked.parameters["TableName"]);
        let other = |parameters: Value| Asked { operation: "UpdateItem".to_owned(), parameters };
        if condition.contains("v = :v") {
            // Odd versions only: what is written again is let through.
            let odd = number(&asked.parameters["ExpressionAttributeValues"], ":v").unwrap() % 2 == 1;
            // What an item told goes with its next version. If each new version told it again, and each who heard it wrote another,
            // two who are at it at once would never end.
            return odd.then(|| {
                other(json!({"TableName": table, "Key": key,
                    "UpdateExpression": "SET v = v + :one REMOVE #out", "ExpressionAttributeNames": {"#out": "out"}, "ConditionExpression": "attribute_exists(v)",
                    "ExpressionAttributeValues": {":one": {"N": "1"}}}))
            });
        }
        let given = &asked.parameters;
        let weak = self.weak.as_ref().map_or("", |weak| &weak.text);
        if weak == "n = :n" && condition.contains("n = :n") {
            // Somebody else has made another lane.
            let known = number(&given["ExpressionAttributeValues"], ":n").unwrap();
            self.lanes.lock().unwrap().insert(key.to_string(), known + 1);
            return Some(other(
                json!({"TableName": table, "Key": key, "UpdateExpression": "SET n = n + :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}}}),
            ));
        }
        if matches!(weak, "w = :w" | "w = :o" | "(attribute_not_exists(w) OR w < :w)")
            && clauses(condition).iter().any(|clause| numberless(clause) == weak)
        {
            // Somebody has begun to wait anew.
            let given = &given["ExpressionAttributeValues"];
            let newer = given
                .as_object()
                .unwrap()
                .keys()
                .filter_map(|name| number(given, name))
                .map(i64::abs)
                .max()
                .unwrap()
                + 1;
            self.lines.lock().unwrap().insert(key.to_string(), newer);
            return Some(other(json!({"TableName": table, "Key": key, "UpdateExpression": "SET w = :w",
                "ExpressionAttributeValues": {":w": {"N": newer.to_string()}}})));
        }
        if weak.contains("t < :t") && condition.contains("t < :t") {
            // Somebody has found out later.
            let later = number(&given["ExpressionAttributeValues"], ":t").unwrap() + 5_000;
            self.lanes.lock().unwrap().insert(key.to_string(), later);
            let mut rival = asked.clone();
            rival.parameters["ExpressionAttributeValues"][":t"]["N"] = later.to_string().into();
            return Some(rival);
        }
        if weak == "#j = :k" && condition.contains("#j = :k") {
            // The same person joined anew a moment later.
            let mut rival = asked.clone();
            let later = number(&given["ExpressionAttributeValues"], ":j").unwrap() + 5;
            let entry = given["ExpressionAttributeNames"]["#j"].as_str()?;
            self.lanes.lock().unwrap().insert(format!("{key}{entry}"), later);
            rival.parameters["ExpressionAttributeValues"][":j"]["N"] = later.to_string().into();
            return Some(rival);
        }
        let values = &given["ExpressionAttributeValues"];
        let least = number(values, ":l").or_else(|| number(values, ":l0"));
        let least = least.filter(|least| (1..=99).contains(least));
        if let (true, Some(least)) = (weak == "a >= :l" && condition.contains("a >= :l"), least) {
            // Somebody buys all that is left, which is to be taken away.
            let stock = key["pk"]["S"].as_str().is_some_and(|key| key.starts_with("stock:"));
            let room = if stock { ", f = f - :o" } else { "" };
            let mut values = json!({":l": {"N": least.to_string()}});
            if stock {
                values[":o"] = json!({"N": "1"});
            }
            return Some(other(json!({"TableName": table, "Key": key,
                "UpdateExpression": format!("SET a = a - :l, #h = :l{room}"), "ConditionExpression": "a = :l",
                "ExpressionAttributeNames": {"#h": "AAAAAAAAAAAA"},
                "ExpressionAttributeValues": values})));
        }
        if let Some(entry) = self
            .weak
            .as_ref()
            .and_then(|weak| weak.text.strip_suffix(" = :s").or(weak.text.strip_suffix(" = :d")))
            && condition.contains(&format!("{entry}0"))
        {
            let name = given["ExpressionAttributeNames"][&format!("{entry}0")].as_str()?;
            let mark = &given["ExpressionAttributeValues"][&format!("{}0", entry.replace('#', ":"))];
            let (places, _) = taken(&json!({name: mark}));
            return Some(other(json!({"TableName": table, "Key": key,
                "UpdateExpression": "SET a = a + :q REMOVE #h", "ConditionExpression": "#h = :m",
                "ExpressionAttributeNames": {"#h": name},
                "ExpressionAttributeValues": {":q": {"N": places.to_string()}, ":m": mark}})));
        }
        Some(asked.clone())
    }
}

#[async_trait::async_trait]
impl Tamper for Wire {
    async fn before(&self, asked: &mut Asked) -> Vec<Asked> {
        if !matches!(asked.operation.as_str(), "PutItem" | "UpdateItem" | "DeleteItem") {
            return Vec::new();
        }
        let write = write_of(asked);
        // Who asks how often is no part of these stories: `limit.rs` has its own.
        if write.starts_with("UpdateItem limit ") {
            return Vec::new();
        }
        let Some(condition) = asked.parameters["ConditionExpression"].as_str().map(str::to_owned) else {
            self.wrong(format!("{write} has no condition"));
            return Vec::new();
        };
        let rival = self.rival(asked, &condition);
        let mut weakened = Vec::new();
        for clause in clauses(&condition) {
            let known = Clause { write: write.clone(), text: numberless(clause) };
            weakened.push(match &self.weak {
                // All values stay in use, or the request would be refused as malformed.
                Some(weak) if *weak == known => format!("({clause} OR attribute_not_exists(never))"),
                _ => clause.to_owned(),
            });
            self.seen.lock().unwrap().insert(known);
        }
        asked.parameters["ConditionExpression"] = weakened.join(" AND ").into();
        let wanted = if asked.operation == "UpdateItem" { "ALL_NEW" } else { "ALL_OLD" };
        asked.parameters["ReturnValues"] = wanted.into();
        rival.into_iter().collect()
    }

    fn after(&self, asked: &Asked, answered: &Value) {
        if asked.parameters["ReturnValues"].is_null() {
            return;
        }
        let write = write_of(asked);
        let lane = |item: &Value| {
            let (places, cells) = taken(item);
            if let Some(used) = number(item, "u") {
                if used != places {
                    self.wrong(format!("{write}: entries took {places}, {used} are noted"));
                }
                return;
            }
            let held = item.as_object().unwrap().iter().filter(|(name, mark)| {
                // Marks of no units are no holds.
                name.len() == 12 && !mark["N"].as_str().unwrap().ends_with("00")
            });
            let held = held.count() as i64;
            if number(item, "f").is_some_and(|room| room + held != 44) {
                self.wrong(format!("{write}: {held} holds, and room for {}", item["f"]));
            }
            let left = number(item, "a").unwrap();
            let now = left + places;
            let key = format!("{}{}", asked.parameters["TableName"], key_of(asked));
            // A pool's lane says how many it has; an allowance has what it was first seen with.
            let first = *self.lanes.lock().unwrap().entry(key).or_insert(now);
            let began = number(item, "c").unwrap_or(first);
            if cells != marked(item) {
                self.wrong(format!("{write}: entries have {cells} cells, {} are marked", marked(item)));
            }
            if began != now || left < 0 {
                self.wrong(format!("{write}: began with {began}, now {now} of which {left} are left"));
            }
        };
        if answered.get("__type").is_some() {
            // A refused condition shows the item as it is.
            let item = &answered["Item"];
            if item["a"].is_object() {
                lane(item);
            }
            if let Some(lanes) = number(item, "n") {
                self.lanes.lock().unwrap().insert(key_of(asked).to_string(), lanes);
            }
            return;
        }
        let item = &answered["Attributes"];
        let newer = self.lines.lock().unwrap().get(&key_of(asked).to_string()).copied();
        if newer.is_some_and(|newer| number(item, "w").is_none_or(|now| now.abs() < newer)) {
            self.wrong(format!("{write}: forgot that people wait"));
        }
        match asked.operation.as_str() {
            "PutItem" => {
                let new = &asked.parameters["Item"];
                let (is, was) = (number(new, "v"), number(item, "v"));
                if !item.is_null() && is.is_none_or(|is| was != Some(is - 1))
                    || item.is_null() && is > Some(1)
                {
                    self.wrong(format!("{write}: version {is:?} was written over {was:?}"));
                }
                if new["a"].is_object() {
                    lane(new);
                }
            }
            "DeleteItem" => {
                let read = number(&asked.parameters["ExpressionAttributeValues"], ":v");
                if !item.is_null() && number(item, "v") != read {
                    self.wrong(format!("{write}: version {read:?} was read, another deleted"));
                }
            }
            // Newer verdicts replace older ones, and what is told twice is as true.
            _ if write == "UpdateItem pool sold/-" => {
                let (told, key) = (number(item, "t").unwrap(), key_of(asked).to_string());
                let before = self.lanes.lock().unwrap().insert(key, told);
                if before.is_some_and(|before| before > told) {
                    self.wrong(format!("{write}: {before:?} was newer than {told}"));
                }
            }
            _ if write == "UpdateItem pool opened/pol" => {
                let (lanes, key) = (number(item, "n").unwrap(), key_of(asked).to_string());
                let before = self.lanes.lock().unwrap().insert(key, lanes);
                if before.is_some_and(|before| before > lanes) {
                    self.wrong(format!("{write}: of {before:?} lanes {lanes} are left"));
                }
            }
            // A place in a waiting room is replaced by nothing but what was told apart from it.
            _ if write == "UpdateItem pool room/number" => {
                let given = &asked.parameters;
                let entry = given["ExpressionAttributeNames"]["#j"].as_str().unwrap();
                let (is, instead) =
                    (number(item, entry).unwrap(), number(&given["ExpressionAttributeValues"], ":k"));
                let key = format!("{}{entry}", key_of(asked));
                let before = self.lanes.lock().unwrap().insert(key, is);
                if before.is_some_and(|before| before != is && Some(before) != instead) {
                    self.wrong(format!("{write}: {before:?} was replaced by {is}, not {instead:?}"));
                }
            }
            _ if write.starts_with("UpdateItem pool") => lane(item),
            // Counted, and told apart from what it is about, in `limit.rs`.
            _ if write.starts_with("UpdateItem limit ") => {}
            other => self.wrong(format!("{other} {write} is not known here")),
        }
    }
}

/// Repeats what was refused only because somebody was faster.
async fn insist(call: impl AsyncFn() -> Answer) -> Value {
    for _ in 0..10 {
        let answer = call().await;
        if !matches!(answer.status, 412 | 503) {
            return answer.ok();
        }
        // Whoever carries out the same message is faster, too.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("somebody is always faster");
}

/// The organiser's access token, anew: tokens end after a quarter of an hour.
async fn signed_in(world: &World) -> String {
    let credentials = json!({"email": "organiser@example.org", "password": "correct horse"});
    let session = async || world.post("/v1/sessions").json(credentials.clone()).send().await;
    text(&insist(session).await["access_token"])
}

async fn people(world: &World) {
    let owner = world.organiser("owner").await;
    let sign_up = json!({"email": "helper@example.org", "password": "wrong horse", "name": "H"});
    world.post("/v1/accounts").json(sign_up.clone()).send().await.ok();
    world.settle().await;
    let helper = world.account("helper@example.org").await;
    world.post("/v1/accounts").json(sign_up).send().await.ok();
    world.post("/v1/accounts/code").json(json!({"email": "helper@example.org"})).send().await.ok();
    let token = text(&helper["access_token"]);
    let account = text(&world.get("/v1/me").by(&token).send().await.ok()["id"]);
    let member = format!("/v1/organisations/{}/members/{account}", owner.organisation);
    for role in ["manager", "gate", "gate"] {
        let put =
            async || world.put(&member).by(&owner.token).json(json!({"rights": {"role": role}})).send().await;
        assert_eq!(insist(put).await["rights"]["role"], role);
    }
    insist(async || world.delete(&member).by(&owner.token).send().await).await;
    let refresh = json!({"refresh_token": helper["refresh_token"]});
    let next = insist(async || world.post("/v1/sessions/refresh").json(refresh.clone()).send().await).await;
    assert_ne!(next["refresh_token"], helper["refresh_token"]);
    let out = async || world.delete("/v1/sessions/current").by(&token).send().await;
    insist(out).await;
    let refresh = json!({"refresh_token": next["refresh_token"]});
    world.post("/v1/sessions/refresh").json(refresh).send().await.refused(401, "session_ended");
    world.settle().await;
}

async fn edit(
    world: &World,
    token: &str,
    read: &str,
    path: &str,
    body: &Value,
    etag: impl Fn(&Answer) -> String,
) {
    let put = async || {
        let seen = world.get(read).by(token).send().await;
        world.put(path).by(token).header("If-Match", &etag(&seen)).json(body.clone()).send().await
    };
    insist(put).await;
}

async fn sale(world: &World) {
    let organiser = world.organiser("organiser").await;
    let starts = json!({"local": world.local(SignedDuration::from_hours(3)), "zone": "Europe/Berlin"});
    let event = world.draft(&organiser, json!({"starts": starts})).await;
    let offer = world.offer(&organiser, &event, json!({"capacity": 60, "per_buyer": 5})).await;
    let read = format!("/v1/organisations/{}/events/{event}", organiser.organisation);
    let header = |answer: &Answer| answer.header("etag").to_owned();
    // Its seller issues invoices; how they look is written twice.
    let invoicing = format!("/v1/organisations/{}/invoicing", organiser.organisation);
    for prefix in ["A-", "B-"] {
        let seller = json!({"name": "Hall", "address": ["1"], "country": "DE"});
        let settings = json!({"seller": seller, "prefix": prefix});
        edit(world, &organiser.token, &invoicing, &invoicing, &settings, header).await;
    }
    let details = json!({"name": "Midsummer", "city": "Berlin", "venue": "Hall", "starts": starts});
    edit(world, &organiser.token, &read, &format!("/v1/events/{event}"), &details, header).await;
    let terms = json!({"name": "Standing", "price": {"amount": 2500, "currency": "EUR"}, "per_buyer": 6});
    let offer_etag = |answer: &Answer| text(&answer.body["offers"][0]["etag"]);
    let path = format!("/v1/events/{event}/offers/{offer}");
    edit(world, &organiser.token, &read, &path, &terms, offer_etag).await;
    world.publish(&organiser, &event).await;
    let mut sale = crate::support::Sale { organiser, event, offer };

    // Bought, admitted, told of a new place, cancelled.
    let (held, order) = world.buy(&sale, 2, "first@example.org").await;
    assert_eq!(order["status"], "confirmed");
    let ticket = text(&world.tickets(&held, &order).await[0]["code"]);
    let scan = json!({"event": sale.event, "gate": "north", "code": ticket});
    let key = uuid();
    let admit =
        async || world.post("/v1/scans").by(&sale.organiser.token).key(&key).json(scan.clone()).send().await;
    assert_eq!(insist(admit).await["result"], "VALID");
    let moved = json!({"name": "Midsummer", "city": "Berlin", "venue": "Garden", "starts": starts});
    edit(world, &sale.organiser.token, &read, &format!("/v1/events/{}", sale.event), &moved, header).await;
    world.settle().await;
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    insist(async || world.post(&cancel).by(&held.token).send().await).await;
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "cancelled");

    // Resized, up and down.
    let event = world.get(&format!("/v1/events/{}", sale.event)).send().await.ok();
    let pool = format!("/v1/pools/{}", text(&event["offers"][0]["pool"]));
    for capacity in [130, 60] {
        insist(async || {
            world.put(&pool).by(&sale.organiser.token).json(json!({"capacity": capacity})).send().await
        })
        .await;
    }
    world.advance(SignedDuration::from_secs(3)).await;

    // Let go, replaced, given up.
    let gone = world.hold(&sale, 3).await;
    let release = format!("/v1/holds/{}/release", text(&gone.hold["id"]));
    let quote = json!({"quote": gone.hold["quote"]});
    assert_eq!(world.post(&release).by(&gone.token).json(quote).send().await.status, 204);
    let first = world.hold(&sale, 3).await;
    let mut basket = world.basket(&sale, 4);
    basket["replaces"] = json!([first.hold["id"]]);
    world.post("/v1/holds").by(&first.token).key("b").json(basket).send().await.ok();
    let held = world.hold(&sale, 2).await;
    let order = world.order(&held, "second@example.org").await;
    let give_up = format!("/v1/orders/{}/cancel", text(&order["id"]));
    insist(async || world.post(&give_up).by(&held.token).send().await).await;
    world.settle().await;

    // Kept; and paid when the places were gone.
    let (kept, kept_order) = world.buy(&sale, 2, "kept@example.org").await;
    let late = world.hold(&sale, 2).await;
    let late_order = world.order(&late, "late@example.org").await;
    let payment = world.payment(&late, &late_order).await;
    world.advance(SignedDuration::from_secs(700)).await;
    let others: Vec<_> = join_all((0..14).map(|_| world.hold(&sale, 4))).await;
    world.hold(&sale, 2).await;
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    assert_eq!(world.read_order(&late, &late_order).await["status"], "cancelled");
    drop(others);
    world.advance(SignedDuration::from_secs(700)).await;
    // Access tokens have ended by now.
    sale.organiser.token = signed_in(world).await;
    world.whole.run_job("BookingWorker", "tidy").await.unwrap();
    assert_eq!((world.left(&sale).await, world.sold(&sale).await), (58, 2));

    let off = format!("/v1/events/{}/cancel", sale.event);
    insist(async || world.post(&off).by(&sale.organiser.token).send().await).await;
    world.settle().await;
    assert_eq!(world.read_order(&kept, &kept_order).await["status"], "cancelled");
    assert_eq!(world.sold(&sale).await, 0);
    let payments = world.whole.stripe().payments(0, 20).unwrap();
    assert_eq!(payments.iter().map(|payment| payment.received - payment.refunded).sum::<i64>(), 0);
    // Two were sold and paid, and all of it went back.
    let now = world.whole.clock().now();
    let (from, until) = (now - SignedDuration::from_hours(2), now + SignedDuration::from_hours(1));
    let issued =
        format!("/v1/organisations/{}/invoices?from={from}&until={until}", sale.organiser.organisation);
    let issued = world.get(&issued).by(&sale.organiser.token).send().await.ok();
    let numbers: Vec<_> =
        issued["items"].as_array().unwrap().iter().map(|paper| text(&paper["number"])).collect();
    assert_eq!(numbers, ["B-00001", "B-00002", "B-00003", "B-00004"]);
    for (email, papers) in [("first@example.org", 2), ("kept@example.org", 2), ("late@example.org", 0)] {
        let mails = world.mails_to(email);
        let told = mails.iter().filter(|mail| mail.subject.contains(" B-0")).count();
        assert_eq!(told, papers, "{email}");
    }
    assert_eq!(world.dead_letters(), 0);
}

async fn rush(world: &World) {
    let sale = world.sale(7, json!({"per_buyer": 3})).await;
    let token = text(&world.account("greedy@example.org").await["access_token"]);
    let keys: Vec<_> = (0..10).map(|_| uuid()).collect();
    let greedy = keys
        .iter()
        .map(|key| world.post("/v1/holds").by(&token).key(key).json(world.basket(&sale, 1)).send());
    assert!(join_all(greedy).await.iter().filter(|answer| answer.status == 201).count() <= 3);
    let calls = (0..40).map(|_| world.try_hold(&sale, 1));
    assert!(join_all(calls).await.iter().filter(|answer| answer.status == 201).count() <= 7);
}

/// A pool of two partitions, sold out.
async fn crowd(world: &World) {
    let sale = world.sale(1_200, json!({"per_order": 40})).await;
    for _ in 0..30 {
        world.hold(&sale, 40).await;
    }
    for _ in 0..2 {
        world.try_hold(&sale, 1).await.refused(409, "sold_out");
        world.advance(SignedDuration::from_secs(2)).await;
    }
}

/// A hall of two rows: seats drawn twice, picked, fought for, seated, sold, let go, blocked.
async fn hall(world: &World) {
    let organiser = world.organiser("organiser").await;
    let venue = json!({"organisation": organiser.organisation, "name": "Hall"});
    let found =
        async || world.post("/v1/venues").by(&organiser.token).key("v").json(venue.clone()).send().await;
    let venue = text(&insist(found).await["id"]);
    let section = format!("/v1/venues/{venue}/sections/S");
    for rows in [["..", ".."], ["......", "....x."]] {
        let rows: Vec<_> = rows
            .iter()
            .zip(["A", "B"])
            .map(|(seats, label)| json!({"label": label, "seats": seats}))
            .collect();
        let drawn = json!({"name": "Stalls", "rows": rows});
        insist(async || world.put(&section).by(&organiser.token).json(drawn.clone()).send().await).await;
    }
    let event = world.draft(&organiser, json!({})).await;
    let free = json!({"amount": 0, "currency": "EUR"});
    let terms = |name: &str| json!({"seats": {"venue": venue, "section": "S"}, "name": name, "price": free});
    let offer = world.offer(&organiser, &event, terms("Adult")).await;
    // The second offer finds the section copied.
    world
        .put(&section)
        .by(&organiser.token)
        .json(json!({"name": "Stalls", "rows": [{"label": "A", "seats": "."}]}))
        .send()
        .await;
    world.offer(&organiser, &event, terms("Child")).await;
    world.publish(&organiser, &event).await;
    let sale = crate::support::Sale { organiser, event, offer };
    let pick = |seats: [&str; 2]| json!({"lines": [{"offer": sale.offer, "seats": seats}]});
    let hold = |basket: Value| world.post("/v1/holds").key(&uuid()).json(basket).send();

    let (held, order) = world.buy(&sale, 2, "first@example.org").await;
    assert_eq!(
        (&order["status"], &held.hold["lines"][0]["seats"]),
        (&json!("confirmed"), &json!(["A-3", "A-4"]))
    );
    hold(pick(["A-4", "A-5"])).await.refused(409, "seat_taken");
    let fought =
        join_all([["B-1", "B-2"], ["B-2", "B-3"], ["B-1", "B-3"]].map(|seats| hold(pick(seats)))).await;
    assert_eq!(fought.iter().filter(|answer| answer.status == 201).count(), 1);
    let change = format!("/v1/events/{}/seats/changes", sale.event);
    let changes = json!({"section": "S", "block": ["A-1", "A-3"], "open": ["B-5"]});
    let changed = world.post(&change).by(&sale.organiser.token).json(changes).send().await.ok();
    assert_eq!(changed["taken"], json!(["A-3"]));
    world.advance(SignedDuration::from_secs(700)).await;
    // Ended holds give way, the sold one does not.
    hold(pick(["B-1", "B-2"])).await.ok();
    hold(pick(["A-3", "B-3"])).await.refused(409, "seat_taken");
    world.whole.run_job("BookingWorker", "tidy").await.unwrap();
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    insist(async || world.post(&cancel).by(&held.token).send().await).await;
    world.settle().await;
    hold(pick(["A-3", "A-4"])).await.ok();
    world.advance(SignedDuration::from_secs(3)).await;
    let seen = world.get(&format!("/v1/events/{}", sale.event)).send().await.ok();
    assert_eq!((&seen["offers"][0]["capacity"], &seen["offers"][0]["available"]), (&json!(11), &json!(7)));
    let pool = format!("/v1/pools/{}/proof", text(&seen["offers"][0]["pool"]));
    let proof = world.get(&pool).by(&signed_in(world).await).send().await.ok();
    assert_eq!((&proof["differences"], &proof["held"]), (&json!([]), &json!(4)));
    assert_eq!(world.dead_letters(), 0);
}

/// A sold-out evening with people waiting: passed on, declined, forgotten, left, and a pool that grows for them. And another
/// one, to which only approved guests come.
async fn line(world: &World) {
    let free = json!({"amount": 0, "currency": "EUR"});
    let sale = world.sale(48, json!({"price": free, "per_order": 40})).await;
    let (big, small) = (world.hold(&sale, 40).await, world.hold(&sale, 8).await);
    let join = async |name: &str, quantity: u32| {
        let wish = json!({"offers": [sale.offer], "quantity": quantity,
            "contact": {"name": name, "email": format!("{name}@example.org")}});
        let key = uuid();
        let path = format!("/v1/events/{}/waitlist", sale.event);
        let joined = insist(async || world.post(&path).key(&key).json(wish.clone()).send().await).await;
        world.settle().await;
        (format!("/v1/waitlist/{}", text(&joined["id"])), text(&joined["guest_token"]))
    };
    let status =
        async |(path, token): &(String, String)| text(&world.get(path).by(token).send().await.ok()["status"]);
    let let_go = async |held: &crate::support::Held| {
        let path = format!("/v1/holds/{}/release", text(&held.hold["id"]));
        let quote = json!({"quote": held.hold["quote"]});
        let release = async || world.post(&path).by(&held.token).json(quote.clone()).send().await;
        insist(release).await;
        world.settle().await;
    };
    let (first, second, third) = (join("first", 8).await, join("second", 8).await, join("third", 40).await);
    let_go(&small).await;
    assert_eq!((status(&first).await, status(&second).await), ("offered".into(), "waiting".into()));
    world.try_hold(&sale, 1).await.refused(409, "sold_out");
    let leave = async |(path, token): &(String, String)| {
        insist(async || world.post(&format!("{path}/leave")).by(token).send().await).await;
        world.settle().await;
    };
    leave(&first).await;
    assert_eq!(status(&second).await, "offered");
    let_go(&big).await;
    assert_eq!(status(&third).await, "offered");
    // Nobody waits: what the pool grows by is anybody's.
    let event = world.get(&format!("/v1/events/{}", sale.event)).send().await.ok();
    let pool = format!("/v1/pools/{}", text(&event["offers"][0]["pool"]));
    let resize = async |capacity: u32| {
        insist(async || {
            world.put(&pool).by(&sale.organiser.token).json(json!({"capacity": capacity})).send().await
        })
        .await;
        world.settle().await;
        world.advance(SignedDuration::from_secs(3)).await;
    };
    resize(50).await;
    world.hold(&sale, 2).await;
    // Somebody waits again, and the pool grows by less than they want, then by enough.
    let fourth = join("fourth", 30).await;
    resize(60).await;
    assert_eq!(status(&fourth).await, "waiting");
    // Ten places are no use to thirty people.
    world.hold(&sale, 4).await;
    resize(90).await;
    assert_eq!(status(&fourth).await, "offered");
    // The second never came; whoever joins next gets their places.
    let fifth = join("fifth", 14).await;
    world.advance(SignedDuration::from_secs(2 * 3600 + 1)).await;
    // As the schedule does, which comes again.
    let mut tidied = world.whole.run_job("BookingWorker", "tidy").await;
    for _ in 0..3 {
        if tidied.is_ok() {
            break;
        }
        tidied = world.whole.run_job("BookingWorker", "tidy").await;
    }
    tidied.unwrap();
    world.settle().await;
    assert_eq!((status(&second).await, status(&fifth).await), ("expired".into(), "offered".into()));
    leave(&fifth).await;
    leave(&fifth).await;
    assert_eq!(status(&fifth).await, "declined");

    let organiser = crate::support::Organiser { token: signed_in(world).await, ..sale.organiser.clone() };
    let club = world.sale_of(&organiser, json!({"capacity": 1, "approval": true})).await;
    let mut asked = Vec::new();
    for name in ["ada", "eve"] {
        let wish = json!({"offer": club.offer, "quantity": 1, "contact": {"name": name, "email": format!("{name}@example.org")}});
        let key = uuid();
        asked.push(
            insist(async || world.post("/v1/applications").key(&key).json(wish.clone()).send().await).await,
        );
    }
    let decide = async |verdict: &str| {
        let decision = |known: &Value| json!({"application": known["id"], "verdict": verdict});
        let decisions = json!({"decisions": asked.iter().map(decision).collect::<Vec<_>>()});
        let path = format!("/v1/events/{}/applications/decisions", club.event);
        let results =
            insist(async || world.post(&path).by(&organiser.token).json(decisions.clone()).send().await)
                .await;
        world.settle().await;
        results["results"].clone()
    };
    let results = decide("approve").await;
    assert_eq!((&results[0]["status"], &results[1]["refused"]), (&json!("approved"), &json!("sold_out")));
    assert_eq!(decide("decline").await[0]["status"], "declined");
    assert_eq!(world.left(&club).await, 1);
    assert_eq!(world.dead_letters(), 0);
}

/// A waiting room: a lot, an arrival, their turns, and a second one.
async fn wait(world: &World) {
    let sale = world.sale(4, json!({})).await;
    let room = format!("/v1/events/{}/waiting-room", sale.event);
    let at = |secs: i64| (world.whole.clock().now() + SignedDuration::from_secs(secs)).to_string();
    let rules = json!({"doors": at(-60), "starts": at(60), "per_minute": 600});
    insist(async || world.put(&room).by(&sale.organiser.token).json(rules.clone()).send().await).await;
    world.advance(SignedDuration::from_secs(3)).await;
    let join = async |key: &str| {
        let path = format!("{room}/places");
        insist(async || world.post(&path).key(key).json(json!({})).send().await).await
    };
    let (early, late) = (uuid(), uuid());
    let lot = join(&early).await;
    world.advance(SignedDuration::from_secs(60)).await;
    let arrival = join(&late).await;
    world.advance(SignedDuration::from_secs(4)).await;
    for (key, place) in [(&early, &lot), (&late, &arrival)] {
        assert_eq!(join(key).await["position"], place["position"]);
    }
    // Somebody else may have been faster to move it, and then it is moved a little later.
    let admit = async |place: &Value| {
        let path = format!("{room}/admissions");
        for _ in 0..8 {
            world.advance(SignedDuration::from_secs(4)).await;
            let answer = world.post(&path).json(json!({"place": place["place"]})).send().await;
            if answer.status == 200 {
                return text(&answer.body["admission"]);
            }
        }
        panic!("nobody is admitted");
    };
    for place in [&lot, &arrival] {
        let mut basket = world.basket(&sale, 1);
        basket["admission"] = json!(admit(place).await);
        let token = text(&place["guest_token"]);
        world.post("/v1/holds").by(&token).key(&uuid()).json(basket).send().await.ok();
    }
    world.advance(SignedDuration::from_secs(16 * 60)).await;
    let again = join(&late).await;
    assert_ne!(again["position"], arrival["position"]);
    admit(&again).await;
    // Access tokens have ended by now.
    let token = signed_in(world).await;
    insist(async || world.delete(&room).by(&token).send().await).await;
}

/// Money that a gift card pays, and that people move: told in two parts; and never, so that the places go back, and then all at once, which goes back too.
async fn promise(world: &World) {
    let sale = world.sale(3, json!({})).await;
    let means = format!("/v1/organisations/{}/means", sale.organiser.organisation);
    let header = |answer: &Answer| answer.header("etag").to_owned();
    for holder in ["Hal", "Hall"] {
        let account = json!({"holder": holder, "iban": "DE89370400440532013000"});
        let terms = json!({"within": 24, "remind": 12});
        let body = json!({"transfer": {"account": account, "terms": terms}});
        edit(world, &sale.organiser.token, &means, &means, &body, header).await;
    }
    let reserve = async |email: &str| {
        let held = world.hold(&sale, 1).await;
        let order = world.order(&held, email).await;
        let path = format!("/v1/orders/{}/payments", text(&order["id"]));
        let open =
            async || world.post(&path).by(&held.token).json(json!({"provider": "transfer"})).send().await;
        let payment = insist(open).await;
        world.settle().await;
        assert_eq!(world.read_order(&held, &order).await["status"], "reserved");
        (held, order, payment)
    };
    let tell = async |payment: &Value, key: &str, amount: i64| {
        let path = format!("/v1/payments/{}/receipts", text(&payment["id"]));
        let (token, receipt) =
            (signed_in(world).await, json!({"amount": {"amount": amount, "currency": "EUR"}}));
        let told =
            insist(async || world.post(&path).by(&token).key(key).json(receipt.clone()).send().await).await;
        world.settle().await;
        told
    };
    // A gift card, written anew, pays for a guest, and a part for another, who cancels.
    let cards = format!("/v1/organisations/{}/gift-cards", sale.organiser.organisation);
    let fifty = json!({"amount": {"amount": 4000, "currency": "EUR"}});
    let make =
        async || world.post(&cards).by(&sale.organiser.token).key("card").json(fifty.clone()).send().await;
    let card = insist(make).await;
    let path = format!("{cards}/{}", text(&card["id"]));
    edit(world, &sale.organiser.token, &path, &path, &json!({"note": "for a friend"}), header).await;
    let buy = async |provider: &str| {
        let held = world.hold(&sale, 1).await;
        let order = world.order(&held, "gift@example.org").await;
        let path = format!("/v1/orders/{}/payments", text(&order["id"]));
        let wish = json!({"provider": provider, "gift_card": card["code"]});
        let payment =
            insist(async || world.post(&path).by(&held.token).json(wish.clone()).send().await).await;
        if payment["provider"] == "stripe" {
            world.pay(&payment, "pm_card_visa");
        }
        world.settle().await;
        let order = world.read_order(&held, &order).await;
        assert_eq!(order["status"], "confirmed");
        (held, order)
    };
    for (held, order) in [buy("gift").await, buy("stripe").await] {
        let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
        insist(async || world.post(&cancel).by(&held.token).send().await).await;
        world.settle().await;
    }
    let left = world.get(&path).by(&sale.organiser.token).send().await.ok()["left"]["amount"].clone();
    assert_eq!(left, 4000);
    let (held, order, payment) = reserve("kept@example.org").await;
    tell(&payment, "one", 1000).await;
    assert_eq!(tell(&payment, "two", 1500).await["promise"]["received"]["amount"], 2500);
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
    assert_eq!(world.tickets(&held, &order).await.len(), 1);
    let (_, _, broken) = reserve("broken@example.org").await;
    for hours in [13, 12] {
        world.advance(SignedDuration::from_hours(hours)).await;
        world.settle().await;
    }
    let reminders = world.mails_to("broken@example.org");
    assert_eq!(reminders.iter().filter(|mail| mail.subject.starts_with("Still")).count(), 1);
    assert_eq!(world.left(&sale).await, 2);
    let late = tell(&broken, "late", 2500).await;
    assert_eq!(late["status"], "captured");
    let (token, path) = (signed_in(world).await, format!("/v1/payments/{}", text(&broken["id"])));
    let refund = text(&world.get(&path).by(&token).send().await.ok()["refunds"][0]["id"]);
    let made = format!("{path}/refunds/{refund}/made");
    insist(async || world.post(&made).by(&token).send().await).await;
    world.settle().await;
    assert_eq!(world.get(&path).by(&token).send().await.ok()["status"], "refunded");
    let now = world.whole.clock().now();
    let (from, until) = (now - SignedDuration::from_hours(48), now + SignedDuration::from_hours(1));
    let ledger =
        format!("/v1/organisations/{}/ledger?from={from}&until={until}", sale.organiser.organisation);
    let books = world.get(&ledger).by(&token).send().await.ok();
    // Three receipts, two payments, a refund; and two of each with the card.
    assert_eq!(books["items"].as_array().unwrap().len(), 10);
    assert_eq!(world.dead_letters(), 0);
}

/// A studio: its service and package written and rewritten, a time held, booked, moved, fought for, cancelled.
async fn studio(world: &World) {
    let vendor = world.organiser("organiser").await;
    let hours = every_day("00:00:00", "00:00:00");
    let details =
        json!({"name": "Studio", "category": "photography", "city": "Berlin", "zone": "UTC", "hours": hours});
    let new = json!({"organisation": vendor.organisation, "details": details});
    let found = async || world.post("/v1/services").by(&vendor.token).key("s").json(new.clone()).send().await;
    let service = text(&insist(found).await["id"]);
    let terms = json!({"name": "Portrait", "minutes": 60, "price": {"amount": 0, "currency": "EUR"}});
    let packages = format!("/v1/services/{service}/packages");
    let add = async || world.post(&packages).by(&vendor.token).key("p").json(terms.clone()).send().await;
    let package = text(&insist(add).await["id"]);
    let read = format!("/v1/organisations/{}/services/{service}", vendor.organisation);
    let header = |answer: &Answer| answer.header("etag").to_owned();
    let open = json!({"open": true, "details": details});
    edit(world, &vendor.token, &read, &format!("/v1/services/{service}"), &open, header).await;
    let of_package = |answer: &Answer| text(&answer.body["packages"][0]["etag"]);
    edit(world, &vendor.token, &read, &format!("{packages}/{package}"), &terms, of_package).await;

    let noon = (world.whole.clock().now() + SignedDuration::from_hours(72))
        .strftime("%Y-%m-%dT12:00:00Z")
        .to_string();
    let noon: jiff::Timestamp = noon.parse().unwrap();
    let at = |minutes: i64| {
        let starts = (noon + SignedDuration::from_mins(minutes)).to_string();
        json!({"lines": [{"package": package, "starts": starts}]})
    };
    let hold = |minutes: i64| world.post("/v1/holds").key(&uuid()).json(at(minutes)).send();
    // Over noon and over two lanes.
    let first = hold(-30).await.ok();
    hold(0).await.refused(409, "slot_taken");
    let held = crate::support::Held { token: text(&first["guest_token"]), hold: first };
    let order = world.order(&held, "face@example.org").await;
    world.settle().await;
    let order = world.read_order(&held, &order).await;
    assert_eq!(order["status"], "confirmed");
    let other = world.post("/v1/holds").by(&held.token).key(&uuid()).json(at(120)).send().await.ok();
    let path = format!("/v1/bookings/{}/reschedule", text(&order["booking"]));
    // One key is one time, in the same half day as well.
    let key = uuid();
    world.post("/v1/holds").key(&key).json(at(240)).send().await.ok();
    world.post("/v1/holds").key(&key).json(at(360)).send().await.refused(422, "key_reused");
    let quote = json!({"quote": other["quote"]});
    let moved = insist(async || world.post(&path).by(&held.token).json(quote.clone()).send().await).await;
    world.settle().await;
    let order = world.read_order(&held, &order).await;
    assert_eq!((&order["booking"], &moved["status"]), (&moved["id"], &json!("confirmed")));
    hold(120).await.refused(409, "slot_taken");
    let fought = join_all([hold(-30), hold(0), hold(-60)]).await;
    assert!((1..=2).contains(&fought.iter().filter(|answer| answer.status == 201).count()));
    world.advance(SignedDuration::from_secs(700)).await;
    // Ended holds give way, the booked one does not.
    hold(0).await.ok();
    hold(150).await.refused(409, "slot_taken");
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    insist(async || world.post(&cancel).by(&held.token).send().await).await;
    world.settle().await;
    hold(120).await.ok();
    assert_eq!(world.dead_letters(), 0);
}

/// A shop: its shelves, what comes and goes, what is held, fought for, sold, taken out of the stock, brought back.
async fn shop(world: &World) {
    let owner = world.organiser("organiser").await;
    let hours = every_day("00:00:00", "00:00:00");
    let details = json!({"name": "Corner", "city": "Berlin", "zone": "UTC", "hours": hours,
        "delivery": {"minutes": 60, "capacity": 2}});
    let new = json!({"organisation": owner.organisation, "details": details});
    let found = async || world.post("/v1/stores").by(&owner.token).key("s").json(new.clone()).send().await;
    let store = text(&insist(found).await["id"]);
    let read = format!("/v1/organisations/{}/stores/{store}", owner.organisation);
    let header = |answer: &Answer| answer.header("etag").to_owned();
    let open = json!({"open": true, "details": details});
    edit(world, &owner.token, &read, &format!("/v1/stores/{store}"), &open, header).await;
    let terms = json!({"name": "Pills", "price": {"amount": 0, "currency": "EUR"}});
    let new = json!({"organisation": owner.organisation, "terms": terms});
    let add = async || world.post("/v1/products").by(&owner.token).key("p").json(new.clone()).send().await;
    let product = text(&insist(add).await["id"]);
    let path = format!("/v1/products/{product}");
    edit(world, &owner.token, &path, &path, &terms, header).await;
    let shelve = async |baskets: u32| {
        let (path, token) = (format!("/v1/stores/{store}/products/{product}"), signed_in(world).await);
        let shelf = json!({"listed": true, "baskets": baskets});
        let shelf = insist(async || world.put(&path).by(&token).json(shelf.clone()).send().await).await;
        world.settle().await;
        text(&shelf["pool"])
    };
    let pool = shelve(44).await;
    let bring = async |quantity: i64| {
        let (path, token, key) =
            (format!("/v1/stores/{store}/products/{product}/movements"), signed_in(world).await, uuid());
        let movement = json!({"quantity": quantity, "cause": "counted"});
        let moved =
            insist(async || world.post(&path).by(&token).key(&key).json(movement.clone()).send().await).await;
        assert_eq!(moved["done"], quantity);
        world.settle().await;
    };
    bring(6).await;
    bring(-1).await;
    let noon = world.whole.clock().now() + SignedDuration::from_hours(72);
    let noon = noon.strftime("%Y-%m-%dT12:00:00Z").to_string();
    let basket = |quantity: u32| json!({"store": store, "delivery": noon, "lines": [{"product": product, "quantity": quantity}]});
    let hold = |quantity: u32| world.post("/v1/holds").key(&uuid()).json(basket(quantity)).send();
    let buy = async |quantity: u32, key: &str| {
        let hold = world.post("/v1/holds").key(key).json(basket(quantity)).send().await.ok();
        let held = crate::support::Held { token: text(&hold["guest_token"]), hold };
        let order = world.order(&held, "buyer@example.org").await;
        world.settle().await;
        let order = world.read_order(&held, &order).await;
        assert_eq!(order["status"], "confirmed");
        (held, order)
    };
    let cancel = async |(held, order): &(crate::support::Held, Value)| {
        let path = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
        insist(async || world.post(&path).by(&held.token).send().await).await;
        world.settle().await;
    };
    // Until the lanes have nothing left that is over, as the schedule does, which comes again.
    let tidy = async || {
        world.advance(SignedDuration::from_secs(700)).await;
        let mut tidied = Err(String::new());
        for _ in 0..4 {
            tidied = world.whole.run_job("BookingWorker", "tidy").await;
            if tidied.is_ok() {
                break;
            }
        }
        tidied.unwrap();
        world.settle().await;
    };
    let left = async |expected: u64| {
        world.advance(SignedDuration::from_secs(2)).await;
        let shown = world.get(&format!("/v1/stores/{store}/products")).send().await.ok();
        assert_eq!(shown["items"][0]["available"], expected);
    };
    let windows = async |expected: u64| {
        let path = format!("/v1/stores/{store}/windows?from={noon}&until={}", noon.replace("12:00", "13:00"));
        assert_eq!(world.get(&path).send().await.ok()["items"][0]["left"], expected);
    };

    // Fought for: five units, and two orders in a window.
    let fetched = || {
        let basket = json!({"store": store, "lines": [{"product": product, "quantity": 1}]});
        world.post("/v1/holds").key(&uuid()).json(basket).send()
    };
    let held = |answers: Vec<Answer>| answers.iter().filter(|answer| answer.status == 201).count();
    assert!(held(join_all((0..20).map(|_| hold(1))).await) <= 2);
    world.advance(SignedDuration::from_secs(700)).await;
    assert!(held(join_all((0..40).map(|_| fetched())).await) <= 5);
    world.advance(SignedDuration::from_secs(700)).await;
    hold(6).await.refused(409, "sold_out");
    let gone = hold(5).await.ok();
    hold(1).await.refused(409, "sold_out");
    let release = format!("/v1/holds/{}/release", text(&gone["id"]));
    let quote = json!({"quote": gone["quote"]});
    let token = text(&gone["guest_token"]);
    for _ in 0..2 {
        assert_eq!(world.post(&release).by(&token).json(quote.clone()).send().await.status, 204);
    }
    left(5).await;
    windows(2).await;
    // Sold and out of the stock; its key used again; sold and still in it. Both come back.
    let key = uuid();
    let first = buy(2, &key).await;
    tidy().await;
    left(3).await;
    let second = buy(1, &uuid()).await;
    hold(1).await.refused(409, "slot_taken");
    cancel(&second).await;
    left(3).await;
    world.post("/v1/holds").key(&key).json(basket(2)).send().await;
    cancel(&first).await;
    left(5).await;
    tidy().await;
    left(5).await;
    // What came back once does not come back when its marks have gone.
    world.advance(SignedDuration::from_hours(1)).await;
    tidy().await;
    windows(2).await;
    // All of it goes, and comes again; in no more baskets at once than there is room for.
    bring(-5).await;
    bring(65).await;
    assert!(held(join_all((0..50).map(|_| fetched())).await) <= 44);
    tidy().await;
    left(65).await;
    shelve(60).await;
    bring(20).await;
    left(85).await;
    let proof = format!("/v1/pools/{pool}/proof");
    let proof = world.get(&proof).by(&signed_in(world).await).send().await.ok();
    assert_eq!(
        (&proof["differences"], &proof["capacity"], &proof["lanes"]),
        (&json!([]), &json!(85), &json!(2))
    );
    assert_eq!(world.dead_letters(), 0);
}

/// A provider that is down: its circuit opens, is probed in vain, closes; and what was to be done there is done.
async fn outage(world: &World) {
    let organiser = world.organiser("organiser").await;
    let sale = world.sale_of(&organiser, json!({"capacity": 10})).await;
    let hold = async || {
        let held = world.hold(&sale, 1).await;
        let order = world.order(&held, "a@example.org").await;
        (held, order)
    };
    let ((held, order), (other, other_order)) = (hold().await, hold().await);
    let path = format!("/v1/orders/{}/payments", text(&other_order["id"]));
    let stripe = json!({"provider": "stripe"});
    let open = async || world.post(&path).by(&other.token).json(stripe.clone()).send().await;
    let down = |calls: u32| {
        world.whole.stripe().switch(|switches| switches.fail_next = calls).unwrap();
    };
    let payment = world.payment(&held, &order).await;
    // A row that ends, and one that does not.
    down(2);
    open().await.ok();
    down(1_000);
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    let third = hold().await;
    let path = format!("/v1/orders/{}/payments", text(&third.1["id"]));
    let open = async || world.post(&path).by(&third.0.token).json(stripe.clone()).send().await;
    for _ in 0..3 {
        open().await.refused(503, "provider_unavailable");
    }
    world.advance(SignedDuration::from_secs(10)).await;
    open().await.refused(503, "provider_unavailable");
    down(0);
    world.advance(SignedDuration::from_secs(20)).await;
    insist(open).await;
    for _ in 0..2 {
        world.advance(SignedDuration::from_secs(10)).await;
        world.whole.run_job("PaymentWorker", "resume").await.unwrap();
        world.settle().await;
    }
    let path = format!("/v1/payments/{}", text(&payment["id"]));
    assert_eq!(world.get(&path).by(&held.token).send().await.ok()["status"], "captured");
    assert_eq!(world.dead_letters(), 0);
}

const STORIES: [&str; 11] =
    ["people", "sale", "rush", "crowd", "hall", "line", "wait", "studio", "shop", "promise", "outage"];

/// Tells a story until its end or until something is wrong with it; what that was is the answer.
async fn tell(story: &'static str, wire: Arc<Wire>) -> Option<String> {
    let watched = wire.clone();
    let telling = async move {
        let world = World::new().await;
        world.whole.home().faults().tamper(Some(wire));
        match story {
            "people" => people(&world).await,
            "sale" => sale(&world).await,
            "crowd" => crowd(&world).await,
            "hall" => hall(&world).await,
            "line" => line(&world).await,
            "wait" => wait(&world).await,
            "studio" => studio(&world).await,
            "shop" => shop(&world).await,
            "promise" => promise(&world).await,
            "outage" => outage(&world).await,
            _ => rush(&world).await,
        }
    };
    let mut told = std::pin::pin!(AssertUnwindSafe(telling).catch_unwind());
    loop {
        tokio::select! {
            ended = &mut told => {
                let failed = ended.err().map(|panic| match panic.downcast::<String>() {
                    Ok(why) => format!("{story}: {why}"),
                    Err(_) => format!("{story} panicked"),
                });
                return watched.wrong.lock().unwrap().first().cloned().or(failed);
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                if let Some(wrong) = watched.wrong.lock().unwrap().first() {
                    return Some(wrong.clone());
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_survives_a_rival_who_is_faster() {
    for story in STORIES {
        assert_eq!(tell(story, Arc::default()).await, None, "{story}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_condition_is_missed_by_somebody() {
    // A story that goes wrong on purpose need not tell at length what it missed.
    static QUIET: AtomicBool = AtomicBool::new(false);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        // Other tests may run in this process, too.
        let ours = thread.name().is_none_or(|name| name.contains("mutants") || name.starts_with("tokio"));
        if !(ours && QUIET.load(Ordering::SeqCst)) {
            before(panic);
        }
    }));
    let mut survived = Vec::new();
    let mut known: BTreeSet<Clause> = BTreeSet::new();
    for story in STORIES {
        let wire = Arc::new(Wire::default());
        assert_eq!(tell(story, wire.clone()).await, None);
        QUIET.store(true, Ordering::SeqCst);
        let seen = wire.seen.lock().unwrap().clone();
        for weak in seen.into_iter().filter(|weak| !known.contains(weak)).collect::<Vec<_>>() {
            let wire = Arc::new(Wire { weak: Some(weak.clone()), ..Wire::default() });
            let missed = tell(story, wire.clone()).await;
            // Some writes are made only by those who lose many races in a row: told again, it may not come to that.
            let came = wire.seen.lock().unwrap().contains(&weak);
            let nobody = if came { "NOT MISSED" } else { "it did not come to that" };
            let what = missed.as_deref().unwrap_or(nobody);
            println!("{story:<7} {:<40} {:<50} {what}", weak.write, weak.text);
            match missed {
                Some(_) => {
                    survived.retain(|other| *other != weak);
                    known.insert(weak);
                }
                None if came => survived.push(weak),
                None => {}
            }
        }
        QUIET.store(false, Ordering::SeqCst);
    }
    assert!(known.len() > 30, "{} conditions", known.len());
    assert_eq!(survived, [], "nobody missed these");
}
