//! What things cost: taxes, fees and coupons, whose limits hold however many try at once.

use crate::stock::Shop;
use crate::support::{Answer, Held, Organiser, Sale, World, euros, merge, text, uuid};
use crate::vendor::Studio;
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tessera_local::stores::faults::Side;

async fn price_rules(world: &World, organiser: &Organiser, rules: Value) {
    let path = format!("/v1/organisations/{}/pricing", organiser.organisation);
    let known = world.get(&path).by(&organiser.token).send().await;
    let etag = known.header("etag").to_owned();
    known.ok();
    world.put(&path).by(&organiser.token).header("If-Match", &etag).json(rules).send().await.ok();
}

async fn try_coupon(world: &World, organiser: &Organiser, code: &str, terms: Value, more: Value) -> Answer {
    let mut new = json!({"code": code, "terms": terms});
    merge(&mut new, more);
    let path = format!("/v1/organisations/{}/coupons", organiser.organisation);
    world.post(&path).by(&organiser.token).json(new).send().await
}

async fn coupon(world: &World, organiser: &Organiser, code: &str, terms: Value) {
    try_coupon(world, organiser, code, terms, json!({})).await.ok();
}

async fn rewrite(world: &World, organiser: &Organiser, code: &str, terms: Value) {
    let path = format!("/v1/organisations/{}/coupons/{code}", organiser.organisation);
    let etag = world.get(&path).by(&organiser.token).send().await.header("etag").to_owned();
    world.put(&path).by(&organiser.token).header("If-Match", &etag).json(terms).send().await.ok();
}

async fn uses(world: &World, organiser: &Organiser, code: &str) -> u64 {
    let path = format!("/v1/organisations/{}/coupons/{code}", organiser.organisation);
    world.get(&path).by(&organiser.token).send().await.ok()["used"].as_u64().unwrap()
}

fn with(world: &World, sale: &Sale, quantity: u32, coupons: &[&str]) -> Value {
    let mut basket = world.basket(sale, quantity);
    basket["coupons"] = json!(coupons);
    basket
}

async fn hold(world: &World, by: Option<&str>, basket: Value) -> Answer {
    let call = world.post("/v1/holds").key(&uuid()).json(basket);
    match by {
        Some(token) => call.by(token),
        None => call,
    }
    .send()
    .await
}

/// What became of each coupon: the amount, or why not.
fn verdicts(hold: &Value) -> Vec<Value> {
    let verdict = |verdict: &Value| match verdict["why"].is_string() {
        true => verdict["why"].clone(),
        false => verdict["amount"]["amount"].clone(),
    };
    hold["coupons"].as_array().unwrap().iter().map(verdict).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_takes_something_off_and_its_use_comes_back_with_the_places() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    coupon(&world, &sale.organiser, "Summer 10", json!({"off": {"percent": "10"}, "uses": 2})).await;
    let answer = hold(&world, None, with(&world, &sale, 2, &["summer10", "NONE"])).await.ok();
    assert_eq!(verdicts(&answer), [json!(500), json!("unknown")]);
    let line = &answer["lines"][0];
    assert_eq!((&line["amount"]["amount"], &line["discount"]["amount"]), (&json!(5000), &json!(500)));
    assert_eq!(answer["total"], euros(4500));
    assert_eq!(uses(&world, &sale.organiser, "SUMMER10").await, 1);

    let held = Held { token: text(&answer["guest_token"]), hold: answer };
    let order = world.order(&held, "a@example.org").await;
    assert_eq!(
        (&order["total"], &order["coupons"]),
        (&euros(4500), &json!([{"code": "SUMMER10", "amount": euros(500)}]))
    );
    let payment = world.payment(&held, &order).await;
    assert_eq!(world.pay(&payment, "pm_card_visa").amount, 4500);
    world.settle().await;
    let order = world.read_order(&held, &order).await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(uses(&world, &sale.organiser, "SUMMER10").await, 1);
    let booking = format!("/v1/bookings/{}", text(&order["booking"]));
    let shown = world.get(&booking).by(&held.token).send().await.ok();
    assert_eq!((&shown["total"], &shown["lines"][0]["discount"]), (&euros(4500), &euros(500)));
    world.post(&format!("{booking}/cancel")).by(&held.token).send().await.ok();
    world.settle().await;
    assert_eq!(uses(&world, &sale.organiser, "SUMMER10").await, 0);
    assert_eq!(world.whole.stripe().payments(0, 1).unwrap()[0].refunded, 4500);
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_try_at_once_as_many_have_the_discount_as_may_and_the_others_are_told() {
    let world = World::new().await;
    let sale = world.sale(40, json!({})).await;
    coupon(&world, &sale.organiser, "FIRST-FIVE", json!({"off": {"amount": euros(1000)}, "uses": 5})).await;
    let try_one = |_| hold(&world, None, with(&world, &sale, 1, &["FIRST-FIVE"]));
    let holds: Vec<Value> = join_all((0..20).map(try_one)).await.into_iter().map(Answer::ok).collect();
    let cheap = holds.iter().filter(|hold| hold["total"] == euros(1500)).count();
    assert_eq!(cheap, 5);
    let dear: Vec<_> = holds.iter().filter(|hold| hold["total"] == euros(2500)).collect();
    assert_eq!(dear.len(), 15);
    assert!(dear.iter().all(|hold| verdicts(hold) == ["used_up"]));
    assert_eq!(uses(&world, &sale.organiser, "FIRST-FIVE").await, 5);
    // Another limit counts for those who come now; that it was reached is believed for a second.
    rewrite(&world, &sale.organiser, "FIRST-FIVE", json!({"off": {"amount": euros(1000)}, "uses": 6})).await;
    world.advance(SignedDuration::from_secs(2)).await;
    let six = [try_one(0).await.ok(), try_one(0).await.ok()];
    assert_eq!((verdicts(&six[0]), verdicts(&six[1])), (vec![json!(1000)], vec![json!("used_up")]));
    // A hold that is forgotten gives its use back.
    world.advance(SignedDuration::from_secs(700)).await;
    assert_eq!(verdicts(&try_one(0).await.ok()), [json!(1000)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_buyer_uses_it_as_often_as_one_may() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let terms = json!({"off": {"percent": "20"}, "uses": 3, "per_buyer": 1});
    coupon(&world, &sale.organiser, "WELCOME", terms).await;
    let basket = || with(&world, &sale, 1, &["WELCOME"]);
    assert_eq!(verdicts(&hold(&world, None, basket()).await.ok()), ["sign_in_needed"]);
    let ada = text(&world.account("ada@example.org").await["access_token"]);
    let key = uuid();
    let first = world.post("/v1/holds").by(&ada).key(&key).json(basket()).send().await.ok();
    let again = world.post("/v1/holds").by(&ada).key(&key).json(basket()).send().await.ok();
    assert_eq!((verdicts(&first), &again["total"]), (vec![json!(500)], &euros(2000)));
    assert_eq!(uses(&world, &sale.organiser, "WELCOME").await, 1, "one request, one use");
    assert_eq!(verdicts(&hold(&world, Some(&ada), basket()).await.ok()), ["used_by_you"]);
    // A basket that gives way to another gives its use to it.
    let mut instead = with(&world, &sale, 2, &["WELCOME"]);
    instead["replaces"] = json!([first["id"]]);
    assert_eq!(verdicts(&hold(&world, Some(&ada), instead).await.ok()), [json!(1000)]);
    assert_eq!(uses(&world, &sale.organiser, "WELCOME").await, 1);
    // What was taken for another's refused use is nobody's for long: two more may use it.
    world.advance(SignedDuration::from_secs(700)).await;
    let bob = text(&world.account("bob@example.org").await["access_token"]);
    assert_eq!(verdicts(&hold(&world, Some(&bob), basket()).await.ok()), [json!(500)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_is_not_lost_with_places_that_are_not_to_be_had() {
    let world = World::new().await;
    let sale = world.sale(1, json!({})).await;
    coupon(&world, &sale.organiser, "HALF", json!({"off": {"percent": "50"}, "uses": 5})).await;
    hold(&world, None, with(&world, &sale, 2, &["HALF"])).await.refused(409, "sold_out");
    assert_eq!(uses(&world, &sale.organiser, "HALF").await, 0);
    let held = hold(&world, None, with(&world, &sale, 1, &["HALF"])).await.ok();
    assert_eq!(held["total"], euros(1250));
    let path = format!("/v1/holds/{}/release", text(&held["id"]));
    let quote = json!({"quote": held["quote"]});
    world.post(&path).by(&text(&held["guest_token"])).json(quote).send().await;
    assert_eq!(uses(&world, &sale.organiser, "HALF").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_needs_the_use_of_its_coupon_too() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    coupon(&world, &sale.organiser, "ONCE", json!({"off": {"percent": "50"}, "uses": 1})).await;
    let mut late = Vec::new();
    for name in ["one", "two"] {
        let hold = hold(&world, None, with(&world, &sale, 1, &["ONCE"])).await.ok();
        assert_eq!(verdicts(&hold), [json!(1250)], "{name}");
        let held = Held { token: text(&hold["guest_token"]), hold };
        let order = world.order(&held, &format!("{name}@example.org")).await;
        let payment = world.payment(&held, &order).await;
        late.push((held, order, payment));
        world.advance(SignedDuration::from_secs(700)).await;
    }
    world.whole.run_job("BookingWorker", "tidy").await.unwrap();
    for (_, _, payment) in &late {
        world.pay(payment, "pm_card_visa");
        world.settle().await;
    }
    let mut status = Vec::new();
    let credentials = json!({"email": "organiser@example.org", "password": "correct horse"});
    let session = world.post("/v1/sessions").json(credentials).send().await.ok();
    let mut sale = sale.clone();
    sale.organiser.token = text(&session["access_token"]);
    for (held, order, _) in &late {
        status.push(text(&world.read_order(held, order).await["status"]));
    }
    assert_eq!(status, ["confirmed", "cancelled"], "the use was there once");
    assert_eq!((uses(&world, &sale.organiser, "ONCE").await, world.sold(&sale).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_costs_nothing_with_a_coupon_confirms_at_once() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    coupon(&world, &sale.organiser, "GUESTLIST", json!({"off": {"percent": "100"}})).await;
    let hold = hold(&world, None, with(&world, &sale, 2, &["GUESTLIST"])).await.ok();
    let held = Held { token: text(&hold["guest_token"]), hold };
    let order = world.order(&held, "a@example.org").await;
    world.settle().await;
    let order = world.read_order(&held, &order).await;
    assert_eq!((&order["status"], &order["total"]), (&json!("confirmed"), &euros(0)));
    assert_eq!(world.tickets(&held, &order).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_a_code_for_each_customer() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let organiser = &sale.organiser;
    let terms = json!({"off": {"amount": euros(500)}});
    let made = try_coupon(&world, organiser, "VIP", terms.clone(), json!({"codes": 50})).await.ok();
    assert_eq!((&made["codes"], &made["used"]), (&json!(50), &Value::Null));
    let path = format!("/v1/organisations/{}/coupons/VIP/codes", organiser.organisation);
    let csv = world.get(&path).by(&organiser.token).send().await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"VIP.csv\"");
    let text = String::from_utf8(csv.bytes).unwrap();
    let codes: Vec<&str> = text.split("\r\n").skip(1).filter(|line| !line.is_empty()).collect();
    assert_eq!(codes.len(), 50);

    let of = |code: &str| hold(&world, None, with(&world, &sale, 1, &[code]));
    let typed = codes[7].to_lowercase().replace('0', "o");
    assert_eq!(verdicts(&of(&typed).await.ok()), [json!(500)]);
    assert_eq!(verdicts(&of(codes[7]).await.ok()), ["used_up"], "each code once");
    assert_eq!(verdicts(&of(codes[8]).await.ok()), [json!(500)]);
    let last = if codes[9].ends_with('7') { "8" } else { "7" };
    let wrong = format!("{}{last}", &codes[9][..codes[9].len() - 1]);
    assert_eq!(verdicts(&of(&wrong).await.ok()), ["unknown"]);
    assert_eq!(verdicts(&of("VIP").await.ok()), ["unknown"], "the batch's own code names nothing");
    // One that got into wrong hands is stopped.
    let stopped = json!({"off": {"percent": "1"}, "active": false});
    coupon(&world, organiser, codes[10], stopped).await;
    assert_eq!(verdicts(&of(codes[10]).await.ok()), ["stopped"]);
    // So are all of them.
    let mut off = terms;
    off["active"] = json!(false);
    rewrite(&world, organiser, "VIP", off).await;
    assert_eq!(verdicts(&of(codes[11]).await.ok()), ["stopped"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn coupons_are_their_organisations_own() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let other = world.organiser("other").await;
    let terms = json!({"off": {"percent": "10"}});
    coupon(&world, &other, "THEIRS", terms.clone()).await;
    let mine = hold(&world, None, with(&world, &sale, 1, &["THEIRS"])).await.ok();
    assert_eq!(verdicts(&mine), ["unknown"]);

    let again = try_coupon(&world, &other, "THEIRS", terms.clone(), json!({})).await;
    assert_eq!(again.status, 201, "the same request again");
    let changed = json!({"off": {"percent": "11"}});
    try_coupon(&world, &other, "theirs", changed.clone(), json!({})).await.refused(409, "already_exists");
    let spy = Organiser { organisation: other.organisation.clone(), ..sale.organiser.clone() };
    try_coupon(&world, &spy, "SPY", terms, json!({})).await.refused(404, "not_found");
    for path in ["coupons", "coupons/THEIRS", "coupons/THEIRS/codes", "pricing"] {
        let path = format!("/v1/organisations/{}/{path}", other.organisation);
        world.get(&path).by(&spy.token).send().await.refused(404, "not_found");
        world.get(&path).send().await.refused(401, "unauthenticated");
    }
    let path = format!("/v1/organisations/{}/coupons", other.organisation);
    let list = world.get(&path).by(&other.token).send().await.ok();
    assert_eq!(list["items"][0]["code"], "THEIRS");
    let one = format!("{path}/THEIRS");
    world.put(&one).by(&other.token).json(changed.clone()).send().await.refused(428, "version_required");
    let stale = world.put(&one).by(&other.token).header("If-Match", "\"v9\"").json(changed).send().await;
    stale.refused(412, "version_changed");
    world.get(&format!("{one}/codes")).by(&other.token).send().await.refused(409, "wrong_state");
    let bad = try_coupon(&world, &other, "BAD", json!({"off": {"percent": "0"}, "uses": 0}), json!({})).await;
    assert_eq!(bad.refused(400, "invalid_input")["errors"].as_array().unwrap().len(), 2);
    try_coupon(&world, &other, "B", json!({"off": {"percent": "1"}}), json!({}))
        .await
        .refused(400, "invalid_input");
    let many = with(&world, &sale, 1, &["AAA", "BBB", "CCC", "DDD", "EEE", "FFF"]);
    hold(&world, None, many).await.refused(400, "invalid_input");
}

#[tokio::test(flavor = "multi_thread")]
async fn taxes_and_fees_are_in_every_kind_of_basket() {
    let world = World::new().await;
    let store = Shop::open(&world, json!({})).await;
    let seller = store.owner.clone();
    let rate = |code: &str, place: &str, percent: &str| json!({"code": code, "place": place, "name": "VAT", "percent": percent});
    let rates =
        json!([rate("standard", "DE", "19"), rate("reduced", "DE", "7"), rate("standard", "AT", "20")]);
    let fee = json!({"name": "Service", "percent": "5", "each": euros(10), "paid_by": "buyer"});
    let tax = json!({"included": true, "place": "DE", "rates": rates});
    price_rules(&world, &seller, json!({"tax": tax, "fees": [fee]})).await;
    coupon(&world, &seller, "TEN", json!({"off": {"percent": "10"}})).await;

    let (product, _) = store.product(&world, 10, json!({"tax_code": "reduced"}), json!({})).await;
    let mut basket = store.basket(&[(&product, 2)]);
    basket["coupons"] = json!(["TEN"]);
    let goods = hold(&world, None, basket).await.ok();
    let (line, fee) = (&goods["lines"][0], &goods["fees"][0]);
    let left = line["amount"]["amount"].as_i64().unwrap() - line["discount"]["amount"].as_i64().unwrap();
    assert_eq!((line["tax"]["percent"].as_str(), fee["tax"]["percent"].as_str()), (Some("7"), Some("19")));
    let service = fee["amount"]["amount"].as_i64().unwrap();
    assert_eq!(goods["total"]["amount"], left + service);
    assert_eq!(verdicts(&goods).len(), 1);

    let studio = Studio::of(&world, seller.clone(), json!({"tax_place": "AT"}), json!({"minutes": 60})).await;
    let time = hold(&world, None, studio.basket(studio.at(&world, 3, 0))).await.ok();
    let tax = &time["lines"][0]["tax"];
    assert_eq!(
        (tax["percent"].as_str(), tax["amount"]["amount"].as_i64()),
        (Some("20"), Some(1667)),
        "in 100.00"
    );
    assert_eq!(time["total"], euros(10_000 + 500 + 10));

    let event = world.draft(&seller, json!({"tax_place": "US-NY"})).await;
    let offer = world.offer(&seller, &event, json!({"capacity": 5})).await;
    world.publish(&seller, &event).await;
    let sale = Sale { organiser: seller.clone(), event, offer };
    let untaxed = world.try_hold(&sale, 1).await.refused(409, "tax_unknown");
    assert!(untaxed["detail"].as_str().unwrap().contains("US-NY"));
    let tax = json!({"included": false, "place": "US", "rates": [rate("standard", "US", "0"), rate("standard", "US-NY", "8.875")]});
    price_rules(&world, &seller, json!({"tax": tax})).await;
    world.advance(SignedDuration::from_secs(61)).await;
    let held = world.hold(&sale, 1).await;
    assert_eq!(held.hold["total"], euros(2500 + 222));
    let order = world.order(&held, "a@example.org").await;
    let payment = world.payment(&held, &order).await;
    assert_eq!(world.pay(&payment, "pm_card_visa").amount, 2722);
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_approved_is_sold_with_its_taxes() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let rate = json!({"code": "standard", "place": "DE", "name": "VAT", "percent": "19"});
    price_rules(&world, &organiser, json!({"tax": {"included": false, "place": "DE", "rates": [rate]}}))
        .await;
    let sale = world.sale_of(&organiser, json!({"capacity": 1, "approval": true})).await;
    let ada = text(&world.account("ada@example.org").await["access_token"]);
    let contact = json!({"name": "Ada", "email": "ada@example.org"});
    let apply = json!({"offer": sale.offer, "quantity": 1, "contact": contact});
    let applied = world.post("/v1/applications").by(&ada).key(&uuid()).json(apply).send().await.ok();
    let id = text(&applied["id"]);
    let path = format!("/v1/events/{}/applications/decisions", sale.event);
    let decisions = json!({"decisions": [{"application": id, "verdict": "approve"}]});
    world.post(&path).by(&organiser.token).json(decisions).send().await.ok();
    world.settle().await;
    let held = world.post(&format!("/v1/applications/{id}/accept")).by(&ada).send().await.ok();
    assert_eq!((&held["total"], &held["lines"][0]["tax"]["amount"]), (&euros(2975), &euros(475)));
}

#[tokio::test(flavor = "multi_thread")]
async fn price_rules_are_written_once_at_a_time() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let path = format!("/v1/organisations/{}/pricing", organiser.organisation);
    let write = |version: &str| {
        world.put(&path).by(&organiser.token).header("If-Match", version).json(json!({})).send()
    };
    assert_eq!(world.get(&path).by(&organiser.token).send().await.header("etag"), "\"v0\"");
    let (one, two) = futures_util::future::join(write("\"v0\""), write("\"v0\"")).await;
    let mut both = [one.status, two.status];
    both.sort_unstable();
    assert_eq!(both, [200, 412]);
    write("\"v0\"").await.refused(412, "version_changed");
    assert_eq!(write("\"v1\"").await.header("etag"), "\"v2\"");
    let wrong = json!({"tax": {"included": true, "place": "DE", "rates": []}});
    let bad = world.put(&path).by(&organiser.token).header("If-Match", "\"v2\"").json(wrong).send().await;
    bad.refused(400, "invalid_input");
    let unknown = json!({"tax": {"included": true, "place": "Germany", "rates": []}});
    let bad = world.put(&path).by(&organiser.token).header("If-Match", "\"v2\"").json(unknown).send().await;
    bad.refused(400, "invalid_input");
}

/// A hold with two coupons that ends in a booking, with a crash at this store call: how many calls there were.
async fn bought_with_a_crash(world: &World, sale: &Sale, crash: Option<(u64, Side)>) -> u64 {
    let (key, basket) = (uuid(), with(world, sale, 1, &["ONE", "TWO"]));
    let calls = world
        .crashing(crash, async || world.post("/v1/holds").key(&key).json(basket.clone()).send().await)
        .await;
    let hold = world.post("/v1/holds").key(&key).json(basket).send().await.ok();
    assert_eq!((verdicts(&hold), &hold["total"]), (vec![json!(1250), json!(1000)], &euros(250)), "{crash:?}");
    let held = Held { token: text(&hold["guest_token"]), hold };
    let order = world.order(&held, "a@example.org").await;
    let payment = world.payment(&held, &order).await;
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed", "{crash:?}");
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_while_coupons_are_used_neither_loses_a_use_nor_gives_one_twice() {
    let world = World::new().await;
    let sale = world.sale(1_000, json!({})).await;
    let stackable = |off: Value| json!({"off": off, "uses": 1_000, "stackable": true});
    coupon(&world, &sale.organiser, "ONE", stackable(json!({"percent": "50"}))).await;
    coupon(&world, &sale.organiser, "TWO", stackable(json!({"amount": euros(1000)}))).await;
    let calls = bought_with_a_crash(&world, &sale, None).await;
    let mut bought = 1;
    for step in 1..=calls + 1 {
        for side in [Side::Before, Side::After] {
            bought_with_a_crash(&world, &sale, Some((step, side))).await;
            bought += 1;
        }
    }
    assert!(calls >= 4, "coupons, two uses, a place: {calls}");
    assert_eq!(world.sold(&sale).await, bought);
    for code in ["ONE", "TWO"] {
        assert_eq!(uses(&world, &sale.organiser, code).await, bought, "{code}");
    }
    assert_eq!(world.dead_letters(), 0);
}
