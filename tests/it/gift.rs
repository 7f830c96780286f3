//! Gift cards: all of an order, a part of it, fought for, given back, and who may see what.

use crate::support::{Answer, Held, Organiser, Sale, World, euros, merge, text, uuid};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tessera_local::stores::faults::Side;
use tessera_sandbox::razorpay::Outcome;

async fn card(world: &World, seller: &Organiser, amount: i64, more: Value) -> Value {
    let mut wish = json!({"amount": euros(amount)});
    merge(&mut wish, more);
    let path = format!("/v1/organisations/{}/gift-cards", seller.organisation);
    world.post(&path).by(&seller.token).key(&uuid()).json(wish).send().await.ok()
}

async fn left(world: &World, seller: &Organiser, card: &Value) -> i64 {
    let look = json!({"organisation": seller.organisation, "code": card["code"]});
    let balance = world.post("/v1/gift-cards/balance").json(look).send().await.ok();
    balance["left"]["amount"].as_i64().unwrap()
}

async fn open(world: &World, held: &Held, order: &Value, provider: &str, code: &Value) -> Answer {
    let path = format!("/v1/orders/{}/payments", text(&order["id"]));
    let wish = json!({"provider": provider, "gift_card": code});
    world.post(&path).by(&held.token).json(wish).send().await
}

async fn ordered(world: &World, sale: &Sale, quantity: u32) -> (Held, Value) {
    let held = world.hold(sale, quantity).await;
    let order = world.order(&held, &format!("{}@example.org", uuid())).await;
    (held, order)
}

async fn seen(world: &World, seller: &Organiser, payment: &Value) -> Value {
    world.get(&format!("/v1/payments/{}", text(&payment["id"]))).by(&seller.token).send().await.ok()
}

async fn refund(world: &World, seller: &Organiser, payment: &Value, amount: i64) -> Value {
    let path = format!("/v1/payments/{}/refunds", text(&payment["id"]));
    let made = world.post(&path).by(&seller.token).key(&uuid()).json(json!({"amount": euros(amount)})).send();
    let made = made.await.ok();
    world.settle().await;
    made
}

fn at_stripe(world: &World) -> (i64, i64) {
    let payments = world.whole.stripe().payments(0, 100).unwrap();
    payments.iter().fold((0, 0), |sum, payment| (sum.0 + payment.received, sum.1 + payment.refunded))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_pays_all_of_it_needs_no_provider() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let seller = &sale.organiser;
    let card = card(&world, seller, 6000, json!({"note": "for Ada"})).await;
    let code = text(&card["code"]);
    assert_eq!((code.len(), &card["ending"]), (19, &json!(code[15..])));
    assert_eq!(left(&world, seller, &card).await, 6000);
    let (held, order) = ordered(&world, &sale, 2).await;
    let sloppy = json!(code.to_lowercase().replace('-', " "));
    let payment = open(&world, &held, &order, "stripe", &sloppy).await.ok();
    assert_eq!(
        (&payment["provider"], &payment["status"], &payment["gift_credit"]),
        (&json!("gift"), &json!("authorized"), &euros(5000))
    );
    assert_eq!(left(&world, seller, &card).await, 1000);
    world.settle().await;
    assert_eq!(open(&world, &held, &order, "gift", &json!(code)).await.ok()["status"], "captured");
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
    assert_eq!(world.tickets(&held, &order).await.len(), 2);
    assert_eq!(at_stripe(&world), (0, 0));
    assert_eq!(
        world.books(seller).await.0,
        BTreeMap::from([("gift_cards".into(), 5000), ("sales".into(), -5000)])
    );

    // A part of it, then all that is left.
    assert_eq!(refund(&world, seller, &payment, 1500).await["status"], "due");
    assert_eq!(left(&world, seller, &card).await, 2500);
    let order = world.read_order(&held, &order).await;
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    world.post(&cancel).by(&held.token).send().await.ok();
    world.settle().await;
    assert_eq!(left(&world, seller, &card).await, 6000);
    assert_eq!(seen(&world, seller, &payment).await["status"], "refunded");
    assert_eq!(world.books(seller).await.0, BTreeMap::new());
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_pays_what_it_can_and_the_provider_the_rest() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let seller = &sale.organiser;
    let card = card(&world, seller, 2000, json!({})).await;
    for provider in ["stripe", "razorpay"] {
        let (held, order) = ordered(&world, &sale, 2).await;
        let short = open(&world, &held, &order, "gift", &card["code"]).await.refused(400, "invalid_input");
        assert_eq!(short["left"], euros(2000));
        let payment = open(&world, &held, &order, provider, &card["code"]).await.ok();
        assert_eq!((&payment["gift_credit"], &payment["amount"]), (&euros(2000), &euros(5000)));
        assert_eq!(left(&world, seller, &card).await, 0, "held");
        assert_eq!(open(&world, &held, &order, provider, &card["code"]).await.ok()["id"], payment["id"]);
        match provider {
            "stripe" => drop(world.pay(&payment, "pm_card_visa")),
            _ => drop(
                world.whole.razorpay().pay(&text(&payment["razorpay_order_id"]), Outcome::Success).unwrap(),
            ),
        }
        world.settle().await;
        assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
        let books = world.books(seller).await.0;
        assert_eq!(
            (books[&format!("provider:{provider}")], books["gift_cards"], books["sales"]),
            (3000, 2000, -5000)
        );
        // What the provider took goes back first.
        refund(&world, seller, &payment, 1000).await;
        assert_eq!(left(&world, seller, &card).await, 0);
        refund(&world, seller, &payment, 2500).await;
        assert_eq!(left(&world, seller, &card).await, 500);
        assert_eq!(seen(&world, seller, &payment).await["remaining"], euros(1500));
        refund(&world, seller, &payment, 1500).await;
        assert_eq!(left(&world, seller, &card).await, 2000);
        assert_eq!(world.books(seller).await.0, BTreeMap::new());
    }
    assert_eq!(at_stripe(&world), (3000, 3000));
    for _ in 0..2 {
        world.advance(SignedDuration::from_mins(16)).await;
        world.whole.run_job("PaymentWorker", "reconcile").await.unwrap();
    }
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_for_what_the_card_leaves() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let seller = &sale.organiser;
    let means = json!({"cash": {"place": "At the door.", "terms": {"within": 24}}});
    let path = format!("/v1/organisations/{}/means", seller.organisation);
    world.put(&path).by(&seller.token).header("If-Match", "\"v0\"").json(means).send().await.ok();
    let card = card(&world, seller, 2000, json!({})).await;
    let (held, order) = ordered(&world, &sale, 1).await;
    let payment = open(&world, &held, &order, "cash", &card["code"]).await.ok();
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "reserved");
    assert!(world.mails_to(&text(&order["contact"]["email"]))[0].text.as_ref().unwrap().contains("5.00 EUR"));
    // Nobody comes: the card has its part again.
    assert_eq!(left(&world, seller, &card).await, 0);
    world.advance(SignedDuration::from_hours(25)).await;
    world.settle().await;
    assert_eq!(left(&world, seller, &card).await, 2000);
    let seller = world.sign_in("organiser", seller).await;
    assert_eq!(seen(&world, &seller, &payment).await["status"], "voided");
    let (held, order) = ordered(&world, &sale, 1).await;
    let payment = open(&world, &held, &order, "cash", &card["code"]).await.ok();
    let told = format!("/v1/payments/{}/receipts", text(&payment["id"]));
    world.settle().await;
    world.post(&told).by(&seller.token).key("all").json(json!({"amount": euros(500)})).send().await.ok();
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
    let books = world.books(&seller).await.0;
    assert_eq!((books["provider:cash"], books["gift_cards"], books["sales"]), (500, 2000, -2500));
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_who_have_one_card_as_many_buy_with_it_as_it_is_good_for() {
    let world = World::new().await;
    let sale = world.sale(20, json!({})).await;
    let seller = &sale.organiser;
    let card = card(&world, seller, 3 * 2500, json!({})).await;
    let tries = join_all((0..10).map(|_| async {
        let (held, order) = ordered(&world, &sale, 1).await;
        let answer = open(&world, &held, &order, "gift", &card["code"]).await;
        (held, order, answer)
    }))
    .await;
    let paid: Vec<_> = tries.iter().filter(|(_, _, answer)| answer.status == 201).collect();
    assert_eq!(paid.len(), 3, "{tries:?}");
    world.settle().await;
    for (held, order, answer) in &tries {
        let status = world.read_order(held, order).await["status"].clone();
        assert_eq!(status, if answer.status == 201 { "confirmed" } else { "pending" });
    }
    assert_eq!((left(&world, seller, &card).await, world.sold(&sale).await), (0, 3));
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_was_emptied_before_the_rest_was_paid_lets_the_rest_go() {
    let world = World::new().await;
    let sale = world.sale(20, json!({})).await;
    let seller = &sale.organiser;
    let card = card(&world, seller, 2000, json!({})).await;
    let (held, order) = ordered(&world, &sale, 1).await;
    let payment = open(&world, &held, &order, "stripe", &card["code"]).await.ok();
    // Its hold and that of the places are over; somebody else uses the card.
    world.advance(SignedDuration::from_mins(30)).await;
    assert_eq!(left(&world, seller, &card).await, 2000);
    let (other, others) = ordered(&world, &sale, 1).await;
    let second = open(&world, &other, &others, "stripe", &card["code"]).await.ok();
    world.pay(&second, "pm_card_visa");
    world.settle().await;
    assert_eq!(world.read_order(&other, &others).await["status"], "confirmed");
    // Now the first one pays.
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    let seller = world.sign_in("organiser", seller).await;
    assert_eq!(seen(&world, &seller, &payment).await["status"], "voided");
    assert_eq!(at_stripe(&world), (500, 0));
    let path = format!("/v1/organisations/{}/gift-cards/{}", seller.organisation, text(&card["id"]));
    let known = world.get(&path).by(&seller.token).send().await.ok();
    assert_eq!(known["uses"].as_array().unwrap().len(), 1);
    assert_eq!(known["uses"][0]["payment"], second["id"]);
    // With the card full again, late money still buys what is left of the places.
    let (held, order) = ordered(&world, &sale, 1).await;
    let full = self::card(&world, &seller, 2000, json!({})).await;
    let late = open(&world, &held, &order, "stripe", &full["code"]).await.ok();
    world.advance(SignedDuration::from_mins(30)).await;
    world.pay(&late, "pm_card_visa");
    world.settle().await;
    assert_eq!(left(&world, &seller, &full).await, 0);
    let sold = Sale { organiser: world.sign_in("organiser", &seller).await, ..sale.clone() };
    assert_eq!(world.sold(&sold).await, 2);
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what_with_a_card_and_what_is_said_of_a_wrong_one() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let seller = &sale.organiser;
    let path = format!("/v1/organisations/{}/gift-cards", seller.organisation);
    let key = uuid();
    let make = |amount: i64| {
        world.post(&path).by(&seller.token).key(&key).json(json!({"amount": euros(amount)})).send()
    };
    let (first, again) = (make(2000).await.ok(), make(2000).await.ok());
    assert_eq!((&first["id"], &first["code"]), (&again["id"], &again["code"]));
    make(3000).await.refused(422, "key_reused");
    let bad = json!({"amount": euros(0)});
    world.post(&path).by(&seller.token).key(&uuid()).json(bad).send().await.refused(400, "invalid_input");
    let listed = world.get(&path).by(&seller.token).send().await.ok();
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["code"]), (1, &Value::Null));
    let one = format!("{path}/{}", text(&first["id"]));
    let read = world.get(&one).by(&seller.token).send().await;
    let etag = read.header("etag").to_owned();
    assert_eq!(read.ok()["code"], Value::Null);

    let stranger = world.organiser("stranger").await;
    for at in [&path, &one] {
        world.get(at).by(&stranger.token).send().await.refused(404, "not_found");
        world.get(at).send().await.refused(401, "unauthenticated");
    }
    let elsewhere = one.replace(&seller.organisation, &stranger.organisation);
    world.get(&elsewhere).by(&stranger.token).send().await.refused(404, "not_found");
    let look = |organisation: &str, code: &str| json!({"organisation": organisation, "code": code});
    let balance = |body: Value| world.post("/v1/gift-cards/balance").json(body).send();
    balance(look(&stranger.organisation, first["code"].as_str().unwrap())).await.refused(404, "not_found");
    balance(look(&seller.organisation, "AAAA-AAAA-AAAA-AAAA")).await.refused(404, "not_found");
    balance(look(&seller.organisation, "AAAA")).await.refused(400, "invalid_input");

    // Stopped, then expired, then good again; of another currency; none at all.
    let (held, order) = ordered(&world, &sale, 1).await;
    let rewrite = async |etag: &str, body: Value| {
        world.put(&one).by(&seller.token).header("If-Match", etag).json(body).send().await
    };
    let stopped = rewrite(&etag, json!({"stopped": true})).await;
    rewrite(&etag, json!({})).await.refused(412, "version_changed");
    let why = open(&world, &held, &order, "stripe", &first["code"]).await.refused(400, "invalid_input");
    assert_eq!(why["errors"][0], json!({"pointer": "/gift_card", "detail": "is stopped"}));
    let past = world.whole.clock().now() - SignedDuration::from_secs(1);
    let expired = rewrite(stopped.header("etag"), json!({"expires": past.to_string()})).await;
    let why = open(&world, &held, &order, "stripe", &first["code"]).await.refused(400, "invalid_input");
    assert_eq!(why["errors"][0]["detail"], "has expired");
    rewrite(expired.header("etag"), json!({})).await.ok();
    let yen = json!({"amount": {"amount": 9000, "currency": "JPY"}});
    let yen = world.post(&path).by(&seller.token).key(&uuid()).json(yen).send().await.ok();
    open(&world, &held, &order, "stripe", &yen["code"]).await.refused(400, "invalid_input");
    let wrong = json!("AAAA-AAAA-AAAA-AAAA");
    open(&world, &held, &order, "stripe", &wrong).await.refused(400, "invalid_input");
    let plain = format!("/v1/orders/{}/payments", text(&order["id"]));
    let without = json!({"provider": "gift"});
    world.post(&plain).by(&held.token).json(without).send().await.refused(400, "invalid_input");
    // Opened without it, it stays without it, and the card keeps what it has.
    world.payment(&held, &order).await;
    open(&world, &held, &order, "stripe", &first["code"]).await.refused(409, "wrong_state");
    assert_eq!(left(&world, seller, &first).await, 2000);
}

/// Bought with a card and a payment, cancelled, with a crash at a store call of either half.
async fn with_a_crash(
    world: &World,
    sale: &Sale,
    card: &Value,
    (half, all): (usize, bool),
    crash: Option<(u64, Side)>,
) -> u64 {
    let of = |nth: usize| crash.filter(|_| half == nth);
    let quantity = if all { 1 } else { 3 };
    let (held, order) = ordered(world, sale, quantity).await;
    let buying = world
        .crashing(of(0), async || {
            let answer = open(world, &held, &order, "stripe", &card["code"]).await;
            if answer.status == 201 && answer.body["provider"] == "stripe" && answer.body["status"] == "open"
            {
                world.pay(&answer.body, "pm_card_visa");
            }
            answer
        })
        .await;
    let order = world.read_order(&held, &order).await;
    assert_eq!(order["status"], "confirmed", "{crash:?}");
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    let cancelling = world.crashing(of(1), async || world.post(&cancel).by(&held.token).send().await).await;
    assert_eq!(left(world, &sale.organiser, card).await, 5000, "{crash:?}");
    [buying, cancelling][half]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_from_opening_to_the_way_back_leaves_the_card_as_it_was() {
    let world = World::new().await;
    let sale = world.sale(1_000, json!({})).await;
    let card = card(&world, &sale.organiser, 5000, json!({})).await;
    for (half, all) in [(0, true), (1, false)] {
        let calls = with_a_crash(&world, &sale, &card, (half, all), None).await;
        for step in 1..=calls + 1 {
            for side in [Side::Before, Side::After] {
                with_a_crash(&world, &sale, &card, (half, all), Some((step, side))).await;
            }
        }
    }
    let (received, refunded) = at_stripe(&world);
    assert_eq!(received, refunded);
    let seller = world.sign_in("organiser", &sale.organiser).await;
    let path = format!("/v1/organisations/{}/gift-cards/{}", seller.organisation, text(&card["id"]));
    let known = world.get(&path).by(&seller.token).send().await.ok();
    assert_eq!(known["left"], euros(5000));
    assert_eq!(world.dead_letters(), 0);
}
