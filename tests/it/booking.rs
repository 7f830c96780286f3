//! Holds and bookings.

use crate::support::{World, text, uuid};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::json;
use std::sync::atomic::Ordering;
use tessera_local::stores::faults::{Fault, Rule, Service};
use tessera_local::stores::tamper::{Asked, Tamper};

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_buyers_for_fifty_places_get_exactly_fifty() {
    let world = World::new().await;
    // Twenty sales in one world: each is its own pool, and a race lost once in a hundred shows.
    let mut sale = world.sale(50, json!({})).await;
    for round in 0..20 {
        if round > 0 {
            sale.event = world.draft(&sale.organiser, json!({})).await;
            sale.offer = world.offer(&sale.organiser, &sale.event, json!({"capacity": 50})).await;
            world.publish(&sale.organiser, &sale.event).await;
        }
        let calls = (0..200).map(|_| world.try_hold(&sale, 1));
        let answers = join_all(calls).await;
        let held = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(held, 50, "round {round}");
        let refused = answers.into_iter().filter(|answer| answer.status != 201);
        for answer in refused {
            assert!(
                matches!((answer.status, answer.code()), (409, "sold_out") | (503, "busy")),
                "{}",
                answer.body
            );
        }
        assert_eq!(world.left(&sale).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_hold_is_the_same_hold_and_another_basket_under_its_key_is_refused() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let key = uuid();
    let first = world.post("/v1/holds").key(&key).json(world.basket(&sale, 2)).send().await.ok();
    let again =
        world.post("/v1/holds").key(&format!("\"{key}\"")).json(world.basket(&sale, 2)).send().await.ok();
    assert_eq!(
        (&first["id"], &first["expires"], &first["quote"]),
        (&again["id"], &again["expires"], &again["quote"])
    );
    world.post("/v1/holds").key(&key).json(world.basket(&sale, 3)).send().await.refused(422, "key_reused");
    assert_eq!(world.left(&sale).await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_the_last_places_is_not_told_that_they_are_sold_out() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let key = uuid();
    let first = world.post("/v1/holds").key(&key).json(world.basket(&sale, 2)).send().await.ok();
    world.try_hold(&sale, 1).await.refused(409, "sold_out");
    // The answer was lost, and the request comes again within the second in which "sold out" is believed.
    let again = world.post("/v1/holds").key(&key).json(world.basket(&sale, 2)).send().await.ok();
    assert_eq!(again["id"], first["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn double_clicks_at_once_hold_once() {
    let world = World::new().await;
    let sale = world.sale(200, json!({})).await;
    let key = uuid();
    let calls = (0..10).map(|_| world.post("/v1/holds").key(&key).json(world.basket(&sale, 2)).send());
    let ids: Vec<_> = join_all(calls).await.into_iter().map(|answer| text(&answer.ok()["id"])).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(world.left(&sale).await, 198);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_hold_gives_way_to_the_next_buyer_without_any_sweep() {
    let world = World::new().await;
    let sale = world.sale(3, json!({})).await;
    let abandoned = world.hold(&sale, 3).await;
    world.try_hold(&sale, 1).await.refused(409, "sold_out");
    world.advance(SignedDuration::from_secs(601)).await;
    world.hold(&sale, 2).await;
    let order =
        json!({"quote": abandoned.hold["quote"], "contact": {"name": "Late", "email": "late@example.org"}});
    world.post("/v1/orders").by(&abandoned.token).json(order).send().await.refused(410, "hold_gone");
    assert_eq!(world.left(&sale).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scheduled_tidy_returns_abandoned_places_and_keeps_sold_ones() {
    let world = World::new().await;
    let sale = world.sale(10, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    world.buy(&sale, 4, "kept@example.org").await;
    world.hold(&sale, 3).await;
    world.advance(SignedDuration::from_secs(601)).await;
    world.whole.run_job("BookingWorker", "tidy").await.unwrap();
    assert_eq!((world.left(&sale).await, world.sold(&sale).await), (6, 4));
    world.whole.run_job("BookingWorker", "tidy").await.unwrap();
    assert_eq!(world.left(&sale).await, 6, "nothing is given back twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_dies_with_its_hold() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let key = uuid();
    let hold = world.post("/v1/holds").key(&key).json(world.basket(&sale, 2)).send().await.ok();
    let token = text(&hold["guest_token"]);
    let release = format!("/v1/holds/{}/release", text(&hold["id"]));
    let let_go = |how: serde_json::Value| world.post(&release).by(&token).json(how).send();
    assert_eq!(let_go(json!({"quote": hold["quote"]})).await.status, 204);
    assert_eq!(let_go(json!({"event": sale.event})).await.status, 204, "letting go twice is letting go");
    let_go(json!({})).await.refused(400, "invalid_input");
    let other = world.hold(&sale, 1).await;
    let_go(json!({"quote": other.hold["quote"]})).await.refused(400, "invalid_input");
    let theirs = json!({"quote": other.hold["quote"]});
    world
        .post(&format!("/v1/holds/{}/release", text(&other.hold["id"])))
        .by(&token)
        .json(theirs)
        .send()
        .await
        .refused(404, "not_found");
    world
        .post(&format!("/v1/holds/{}/release", text(&other.hold["id"])))
        .by(&other.token)
        .json(json!({"event": sale.event}))
        .send()
        .await;
    assert_eq!(world.left(&sale).await, 2);
    // The same key may be answered by a fresh entry, but nothing can be ordered with it.
    let again = world.post("/v1/holds").key(&key).json(world.basket(&sale, 2)).send().await;
    if again.status == 201 {
        let order = json!({"quote": again.body["quote"], "contact": {"name": "X", "email": "x@example.org"}});
        world.post("/v1/orders").by(&token).json(order).send().await.refused(410, "hold_gone");
    } else {
        again.refused(410, "hold_gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_basket_is_found_and_replaced() {
    let world = World::new().await;
    let sale = world.sale(4, json!({})).await;
    let first = world.hold(&sale, 3).await;
    let list = format!("/v1/holds?event={}", sale.event);
    let own = world.get(&list).by(&first.token).send().await.ok();
    assert_eq!((&own["items"][0]["id"], &own["items"][0]["places"]), (&first.hold["id"], &json!(3)));
    // Four are only there if the own three count as free.
    let mut basket = world.basket(&sale, 4);
    world
        .post("/v1/holds")
        .by(&first.token)
        .key("a")
        .json(basket.clone())
        .send()
        .await
        .refused(409, "sold_out");
    basket["replaces"] = json!([first.hold["id"]]);
    let second = world.post("/v1/holds").by(&first.token).key("b").json(basket.clone()).send().await.ok();
    let own = world.get(&list).by(&first.token).send().await.ok();
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    assert_eq!(own["items"][0]["id"], second["id"]);
    // A stranger can neither see nor replace it.
    let mut theft = world.basket(&sale, 1);
    theft["replaces"] = json!([second["id"]]);
    world.post("/v1/holds").key(&uuid()).json(theft).send().await.refused(404, "not_found");
    let order = json!({"quote": first.hold["quote"], "contact": {"name": "X", "email": "x@example.org"}});
    world.post("/v1/orders").by(&first.token).json(order).send().await.refused(410, "hold_gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_fits_beside_gives_the_old_places_back() {
    let world = World::new().await;
    let sale = world.sale(100, json!({})).await;
    let first = world.hold(&sale, 3).await;
    let mut basket = world.basket(&sale, 2);
    basket["replaces"] = json!([first.hold["id"]]);
    world.post("/v1/holds").by(&first.token).key("b").json(basket).send().await.ok();
    assert_eq!(world.left(&sale).await, 98);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_basket_of_two_pools_is_held_whole_or_not_at_all() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let event = world.draft(&organiser, json!({})).await;
    let big = world.offer(&organiser, &event, json!({"capacity": 100})).await;
    let small = world.offer(&organiser, &event, json!({"capacity": 2, "name": "Balcony"})).await;
    world.publish(&organiser, &event).await;
    let basket = |quantity: u32| json!({"lines": [{"offer": big, "quantity": 5}, {"offer": small, "quantity": quantity}]});
    world.post("/v1/holds").key(&uuid()).json(basket(3)).send().await.refused(409, "sold_out");
    let event_path = format!("/v1/events/{event}");
    let left = |answer: serde_json::Value| -> Vec<u64> {
        answer["offers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|offer| offer["available"].as_u64().unwrap())
            .collect()
    };
    world.advance(SignedDuration::from_secs(3)).await;
    assert_eq!(left(world.get(&event_path).send().await.ok()), [100, 2], "half a basket was given back");
    world.post("/v1/holds").key(&uuid()).json(basket(2)).send().await.ok();
    world.advance(SignedDuration::from_secs(3)).await;
    assert_eq!(left(world.get(&event_path).send().await.ok()), [95, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_that_share_a_pool_share_its_places() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let event = world.draft(&organiser, json!({})).await;
    let adult = world.offer(&organiser, &event, json!({"capacity": 10})).await;
    let view = world
        .get(&format!("/v1/organisations/{}/events/{event}", organiser.organisation))
        .by(&organiser.token)
        .send()
        .await
        .ok();
    let pool = &view["offers"][0]["pool"];
    let child = world.offer(&organiser, &event, json!({"pool": pool, "name": "Child"})).await;
    world.publish(&organiser, &event).await;
    // Two lines on one pool are added up before the hold: six and six are twelve.
    let basket =
        |a: u32, b: u32| json!({"lines": [{"offer": adult, "quantity": a}, {"offer": child, "quantity": b}]});
    world.post("/v1/holds").key(&uuid()).json(basket(6, 6)).send().await.refused(409, "sold_out");
    let hold = world.post("/v1/holds").key(&uuid()).json(basket(6, 4)).send().await.ok();
    assert_eq!(hold["lines"].as_array().unwrap().len(), 2);
    world
        .post("/v1/holds")
        .key(&uuid())
        .json(basket(1, 0).clone())
        .send()
        .await
        .refused(400, "invalid_input");
    let one = json!({"lines": [{"offer": child, "quantity": 1}]});
    world.post("/v1/holds").key(&uuid()).json(one).send().await.refused(409, "sold_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_is_split_over_lanes_at_the_very_end_of_a_sale() {
    let world = World::new().await;
    // Two lanes of 25.
    let sale = world.sale(50, json!({})).await;
    for _ in 0..23 {
        world.hold(&sale, 2).await;
    }
    assert_eq!(world.left(&sale).await, 4);
    let party = world.hold(&sale, 4).await;
    assert_eq!(world.left(&sale).await, 0);
    let release = format!("/v1/holds/{}/release", text(&party.hold["id"]));
    let how = json!({"event": sale.event});
    assert_eq!(world.post(&release).by(&party.token).json(how).send().await.status, 204);
    assert_eq!(world.left(&sale).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_per_order_and_per_buyer_hold_under_racing() {
    let world = World::new().await;
    let sale = world.sale(100, json!({"per_order": 4, "per_buyer": 5})).await;
    world.try_hold(&sale, 5).await.refused(409, "limit_reached");
    let double =
        json!({"lines": [{"offer": sale.offer, "quantity": 3}, {"offer": sale.offer, "quantity": 3}]});
    world.post("/v1/holds").key(&uuid()).json(double).send().await.refused(409, "limit_reached");
    let token = text(&world.account("buyer@example.org").await["access_token"]);
    let calls = (0..12).map(|n| {
        world.post("/v1/holds").by(&token).key(&format!("k{n}")).json(world.basket(&sale, 1)).send()
    });
    let held = join_all(calls).await.into_iter().filter(|answer| answer.status == 201).count();
    assert_eq!(held, 5);
    assert_eq!(world.left(&sale).await, 95, "refused holds gave their places back");
    // Another buyer has an allowance of their own.
    assert_eq!(world.hold(&sale, 4).await.hold["lines"][0]["quantity"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_limit_per_buyer_counts_for_who_has_bought_already() {
    let world = World::new().await;
    let sale = world.sale(50, json!({"per_buyer": 2})).await;
    let token = text(&world.account("fan@example.org").await["access_token"]);
    let hold = |quantity: u32| {
        world.post("/v1/holds").by(&token).key(&uuid()).json(world.basket(&sale, quantity)).send()
    };
    hold(2).await.ok();
    hold(1).await.refused(409, "limit_reached");
    for (limit, more) in [(5, 3), (1, 0)] {
        let read = format!("/v1/organisations/{}/events/{}", sale.organiser.organisation, sale.event);
        let seen = world.get(&read).by(&sale.organiser.token).send().await.ok();
        let terms =
            json!({"name": "Standing", "price": {"amount": 2500, "currency": "EUR"}, "per_buyer": limit});
        let offer = format!("/v1/events/{}/offers/{}", sale.event, sale.offer);
        let etag = text(&seen["offers"][0]["etag"]);
        world.put(&offer).by(&sale.organiser.token).header("If-Match", &etag).json(terms).send().await.ok();
        world.advance(SignedDuration::from_secs(3)).await;
        if more > 0 {
            hold(more).await.ok();
        }
        hold(1).await.refused(409, "limit_reached");
    }
    // Five are held, one may be: when they have gone, one is to be had.
    world.advance(SignedDuration::from_secs(601)).await;
    hold(1).await.ok();
    hold(1).await.refused(409, "limit_reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_cancels_and_the_place_is_sold_again() {
    let world = World::new().await;
    let sale = world.sale(1, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    let (held, order) = world.buy(&sale, 1, "first@example.org").await;
    let booking = text(&order["booking"]);
    let (stranger, path) = (world.account("stranger@example.org").await, format!("/v1/bookings/{booking}"));
    let stranger = text(&stranger["access_token"]);
    world.post(&format!("{path}/cancel")).by(&stranger).send().await.refused(404, "not_found");
    for _ in 0..2 {
        let cancelled = world.post(&format!("{path}/cancel")).by(&held.token).send().await.ok();
        assert_eq!(
            (&cancelled["status"], &cancelled["cancelled_by"]),
            (&json!("cancelled"), &json!("buyer"))
        );
    }
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "cancelled");
    assert_eq!(world.tickets(&held, &order).await[0]["status"], "void");
    let (_, again) = world.buy(&sale, 1, "second@example.org").await;
    assert_eq!(again["status"], "confirmed");
    assert_eq!(world.sold(&sale).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_is_seen_by_its_buyer_and_its_organiser_alone() {
    let world = World::new().await;
    let sale = world.sale(10, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    let (held, order) = world.buy(&sale, 2, "guest@example.org").await;
    let path = format!("/v1/bookings/{}", text(&order["booking"]));
    assert_eq!(world.get(&path).by(&held.token).send().await.ok()["status"], "confirmed");
    assert_eq!(world.get(&path).by(&sale.organiser.token).send().await.ok()["status"], "confirmed");
    let other = world.organiser("other").await;
    world.get(&path).by(&other.token).send().await.refused(404, "not_found");
    world.get(&path).send().await.refused(404, "not_found");
    world
        .get(&format!("/v1/events/{}/bookings", sale.event))
        .by(&other.token)
        .send()
        .await
        .refused(404, "not_found");
    let mine = world.get("/v1/bookings").by(&held.token).send().await.ok();
    assert_eq!(mine["items"][0]["id"], order["booking"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_event_cancels_every_booking_and_sells_nothing_more() {
    let world = World::new().await;
    let sale = world.sale(200, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    // More bookings than one page of cancelling.
    let buyers = join_all((0..60).map(|n| {
        let (world, sale) = (&world, &sale);
        async move {
            let held = world.hold(sale, 1).await;
            let order = world.order(&held, &format!("b{n}@example.org")).await;
            (held, order)
        }
    }))
    .await;
    world.settle().await;
    assert_eq!(world.sold(&sale).await, 60);
    world.post(&format!("/v1/events/{}/cancel", sale.event)).by(&sale.organiser.token).send().await.ok();
    world.settle().await;
    assert_eq!(world.sold(&sale).await, 0);
    for (n, (held, order)) in buyers.iter().enumerate() {
        assert_eq!(world.read_order(held, order).await["status"], "cancelled");
        assert!(world.mail_to(&format!("b{n}@example.org")).subject.starts_with("Cancelled"));
    }
    world.advance(SignedDuration::from_secs(3)).await;
    world.try_hold(&sale, 1).await.refused(409, "sale_closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_are_refused_outside_the_sale_and_for_what_may_not_be_seen() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let opens = (world.whole.clock().now() + SignedDuration::from_mins(10)).to_string();
    let event = world.draft(&organiser, json!({"visibility": {"kind": "private", "code": "sesame"}})).await;
    let offer = world.offer(&organiser, &event, json!({"capacity": 5, "sale": {"opens": opens}})).await;
    let basket = |code: Option<&str>| json!({"lines": [{"offer": offer, "quantity": 1}], "code": code});
    world.post("/v1/holds").key(&uuid()).json(basket(Some("sesame"))).send().await.refused(404, "not_found");
    world.publish(&organiser, &event).await;
    world.advance(SignedDuration::from_secs(3)).await;
    world.post("/v1/holds").key(&uuid()).json(basket(None)).send().await.refused(404, "not_found");
    let early = world
        .post("/v1/holds")
        .key(&uuid())
        .json(basket(Some("sesame")))
        .send()
        .await
        .refused(409, "sale_not_open");
    assert!(early["sale_opens"].is_string());
    world.advance(SignedDuration::from_mins(10)).await;
    world.post("/v1/holds").key(&uuid()).json(basket(Some("sesame"))).send().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_baskets_are_named_field_by_field() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let call = |body: serde_json::Value| world.post("/v1/holds").key(&uuid()).json(body).send();
    let pointer =
        |answer: crate::support::Answer| text(&answer.refused(400, "invalid_input")["errors"][0]["pointer"]);
    assert_eq!(pointer(call(json!({"lines": []})).await), "/lines");
    assert_eq!(
        pointer(call(json!({"lines": [{"offer": sale.offer, "quantity": 0}]})).await),
        "/lines/0/quantity"
    );
    assert_eq!(pointer(call(json!({"lines": [{"offer": "ofr_x", "quantity": 1}]})).await), "/lines/0/offer");
    assert_eq!(
        pointer(call(json!({"lines": [{"offer": sale.offer, "quantity": 1, "price": 0}]})).await),
        "/lines/0/price"
    );
    let unknown = json!({"lines": [{"offer": "ofr_00000000000000000000000000", "quantity": 1}]});
    call(unknown).await.refused(404, "not_found");
    assert_eq!(pointer(world.post("/v1/holds").json(world.basket(&sale, 1)).send().await), "Idempotency-Key");
    assert_eq!(
        pointer(world.post("/v1/holds").key("1").json(world.basket(&sale, 1)).send().await),
        "Idempotency-Key"
    );
    world.post("/v1/holds").key(&uuid()).body("{}").send().await.refused(415, "media_type");
    let long = format!("{{\"lines\":[],\"code\":\"{}\"}}", "x".repeat(70_000));
    let answer = world
        .post("/v1/holds")
        .key(&uuid())
        .header("content-type", "application/json")
        .body(long)
        .send()
        .await;
    answer.refused(413, "too_large");
}

/// Holds one confirmation of a booking back at the wire until something else has been carried out.
struct HoldBack {
    /// Which confirmation.
    which: std::sync::atomic::AtomicUsize,
    /// What is waited for, and how often.
    until: fn(&Asked) -> bool,
    times: std::sync::atomic::AtomicUsize,
    happened: tokio::sync::Notify,
    reached: tokio::sync::Notify,
}

impl HoldBack {
    fn of(which: usize, times: usize, until: fn(&Asked) -> bool) -> std::sync::Arc<Self> {
        let (happened, reached) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
        std::sync::Arc::new(Self { which: which.into(), until, times: times.into(), happened, reached })
    }
}

#[async_trait::async_trait]
impl Tamper for HoldBack {
    async fn before(&self, asked: &mut Asked) -> Vec<Asked> {
        let confirms = asked.parameters["Item"]["d"]["M"]["is"]["S"] == "confirmed";
        if confirms && self.which.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.reached.notify_one();
            self.happened.notified().await;
        }
        Vec::new()
    }

    fn after(&self, asked: &Asked, _: &serde_json::Value) {
        if (self.until)(asked) && self.times.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.happened.notify_one();
        }
    }
}

/// The cancelling of an event lists its bookings.
fn lists_an_event(asked: &Asked) -> bool {
    let event = |value: &serde_json::Value| value["S"].as_str().is_some_and(|key| key.starts_with("evt_"));
    let values = asked.parameters["ExpressionAttributeValues"].as_object();
    asked.parameters["IndexName"] == "second" && values.is_some_and(|values| values.values().any(event))
}

/// A hold is let go for good.
fn lets_go(asked: &Asked) -> bool {
    let register = &asked.parameters["Item"]["d"]["M"];
    register["is"]["S"] == "ended" && register["why"]["S"] == "released"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_that_slips_past_the_cancelling_of_its_event_is_cancelled_all_the_same() {
    let world = World::new().await;
    let sale = world.sale(5, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    let held = world.hold(&sale, 1).await;
    let wire = HoldBack::of(1, 1, lists_an_event);
    world.whole.home().faults().tamper(Some(wire.clone()));
    // And its answer is lost: the repeated write finds a booking that is there already.
    world.whole.home().faults().add(Rule {
        service: Some(Service::DynamoDb),
        operation: Some("PutItem".to_owned()),
        resource: Some("-booking".to_owned()),
        fault: Fault::DropAnswer,
        times: 1,
    });
    let order = world.order(&held, "a@example.org").await;
    wire.reached.notified().await;
    world.post(&format!("/v1/events/{}/cancel", sale.event)).by(&sale.organiser.token).send().await.ok();
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "cancelled");
    assert_eq!(world.sold(&sale).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_given_up_while_its_late_money_finds_other_places_keeps_none() {
    let world = World::new().await;
    let sale = world.sale(4, json!({})).await;
    let held = world.hold(&sale, 2).await;
    let order = world.order(&held, "late@example.org").await;
    let payment = world.payment(&held, &order).await;
    world.advance(SignedDuration::from_secs(700)).await;
    world.whole.run_job("BookingWorker", "tidy").await.unwrap();
    // The money has taken a second hold and is about to confirm it, when the buyer gives up: both holds are let go.
    let wire = HoldBack::of(2, 2, lets_go);
    world.whole.home().faults().tamper(Some(wire.clone()));
    world.pay(&payment, "pm_card_visa");
    wire.reached.notified().await;
    world.post(&format!("/v1/orders/{}/cancel", text(&order["id"]))).by(&held.token).send().await.ok();
    world.settle().await;
    let order = world.read_order(&held, &order).await;
    assert_eq!((&order["status"], &order["reason"]), (&json!("cancelled"), &json!("buyer")));
    let payments = world.whole.stripe().payments(0, 10).unwrap();
    assert_eq!((payments.len(), payments[0].received), (1, 0));
    assert_eq!((world.sold(&sale).await, world.dead_letters()), (0, 0));
    world.advance(SignedDuration::from_secs(700)).await;
    world.whole.run_job("BookingWorker", "tidy").await.unwrap();
    assert_eq!(world.left(&sale).await, 4);
}
