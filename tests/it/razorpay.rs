//! Razorpay: the same ways as with Stripe, over a provider that speaks otherwise.

use crate::support::{Answer, Held, World, text};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tessera_sandbox::razorpay::{Outcome, Status};

async fn try_open(world: &World, held: &Held, order: &Value) -> Answer {
    let path = format!("/v1/orders/{}/payments", text(&order["id"]));
    world.post(&path).by(&held.token).json(json!({"provider": "razorpay"})).send().await
}

async fn open(world: &World, held: &Held, order: &Value) -> Value {
    try_open(world, held, order).await.ok()
}

fn pay(world: &World, payment: &Value, outcome: Outcome) -> tessera_sandbox::razorpay::Payment {
    world.whole.razorpay().pay(&text(&payment["razorpay_order_id"]), outcome).unwrap()
}

async fn read(world: &World, held: &Held, payment: &Value) -> Value {
    world.get(&format!("/v1/payments/{}", text(&payment["id"]))).by(&held.token).send().await.ok()
}

/// What all payments there have taken and kept.
fn kept(world: &World) -> i64 {
    let payments = world.whole.razorpay().payments(0, 50).unwrap();
    payments.iter().filter(|payment| payment.captured).map(|payment| payment.amount - payment.refunded).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_way_with_razorpay() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let held = world.hold(&sale, 2).await;
    let order = world.order(&held, "buyer@example.org").await;
    let payment = open(&world, &held, &order).await;
    assert!(text(&payment["razorpay_key_id"]).starts_with("rzp_test_"));
    assert!(payment["client_secret"].is_null());
    // A card that is declined, then one that is not.
    pay(&world, &payment, Outcome::Failure);
    world.settle().await;
    let declined = read(&world, &held, &payment).await;
    assert_eq!((&declined["status"], declined["declined"].is_string()), (&json!("open"), true));
    let paid = pay(&world, &payment, Outcome::Success);
    world.settle().await;
    let order = world.read_order(&held, &order).await;
    assert_eq!((&order["status"], world.tickets(&held, &order).await.len()), (&json!("confirmed"), 2));
    assert_eq!(world.whole.razorpay().payment(&paid.id).unwrap().status, Status::Captured);
    assert_eq!(
        (read(&world, &held, &payment).await["status"].clone(), kept(&world)),
        (json!("captured"), 5000)
    );
    // Some of it back, then all.
    let path = format!("/v1/payments/{}/refunds", text(&payment["id"]));
    let some = json!({"amount": {"amount": 1000, "currency": "EUR"}});
    world.post(&path).by(&sale.organiser.token).key("some").json(some).send().await.ok();
    world.settle().await;
    assert_eq!(kept(&world), 4000);
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    world.post(&cancel).by(&held.token).send().await.ok();
    world.settle().await;
    assert_eq!((read(&world, &held, &payment).await["status"].clone(), kept(&world)), (json!("refunded"), 0));
    assert_eq!((world.left(&sale).await, world.dead_letters()), (10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_checkout_answered_is_enough_where_reports_are_late() {
    let world = World::new().await;
    world.whole.razorpay().switch(|switches| switches.hold_webhooks = true).unwrap();
    let sale = world.sale(10, json!({})).await;
    let held = world.hold(&sale, 1).await;
    let order = world.order(&held, "a@example.org").await;
    let payment = open(&world, &held, &order).await;
    let paid = pay(&world, &payment, Outcome::Success);
    let signature = world.whole.razorpay().signature(&text(&payment["razorpay_order_id"]), &paid.id);
    let path = format!("/v1/payments/{}/verify", text(&payment["id"]));
    let verify = |charge: &str, signature: &str, by: &str| {
        let said = json!({"razorpay_payment_id": charge, "razorpay_signature": signature});
        world.post(&path).by(by).json(said).send()
    };
    verify(&paid.id, &"0".repeat(64), &held.token).await.refused(400, "signature_invalid");
    verify("pay_other", &signature, &held.token).await.refused(400, "signature_invalid");
    verify("../x", &signature, &held.token).await.refused(400, "invalid_input");
    verify(&paid.id, &signature, &sale.organiser.token).await.refused(404, "not_found");
    let known = verify(&paid.id, &signature, &held.token).await.ok();
    assert_eq!(known["status"], "authorized");
    world.whole.home().settle(std::time::Duration::from_secs(20)).await.unwrap();
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
    world.whole.razorpay().switch(|switches| switches.hold_webhooks = false).unwrap();
    world.settle().await;
    assert_eq!((kept(&world), world.sold(&sale).await, world.dead_letters()), (2500, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_five_times_out_of_order_and_lost_answers_end_the_same() {
    let world = World::new().await;
    world
        .whole
        .razorpay()
        .switch(|switches| {
            switches.webhook_duplicates = 4;
            switches.webhook_shuffle_ms = 300;
            switches.sign_with = tessera_sandbox::razorpay::SignWith::Previous;
        })
        .unwrap();
    let sale = world.sale(20, json!({})).await;
    let mut bought = Vec::new();
    for n in 0..5 {
        let held = world.hold(&sale, 1).await;
        let order = world.order(&held, &format!("b{n}@example.org")).await;
        // The answer to opening is lost, once: the order that was made is found.
        world.whole.razorpay().switch(|switches| switches.lose_next = 1).unwrap();
        let payment = open(&world, &held, &order).await;
        assert_eq!(world.whole.razorpay().orders(0, 50).unwrap().len(), n + 1);
        // And so is that to capturing.
        world.whole.razorpay().switch(|switches| switches.lose_next = 1).unwrap();
        pay(&world, &payment, Outcome::Success);
        world.settle().await;
        let order = world.read_order(&held, &order).await;
        bought.push((held, order));
    }
    let cancel = format!("/v1/bookings/{}/cancel", text(&bought[0].1["booking"]));
    world.whole.razorpay().switch(|switches| switches.lose_next = 1).unwrap();
    world.post(&cancel).by(&bought[0].0.token).send().await.ok();
    world.settle().await;
    for event in world.whole.razorpay().events(None, 0, 200).unwrap() {
        world.whole.razorpay().redeliver(&event.id).unwrap();
    }
    world.settle().await;
    assert_eq!((world.sold(&sale).await, world.left(&sale).await, kept(&world)), (4, 16, 4 * 2500));
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_gets_its_places_or_goes_back_by_itself() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let late = world.hold(&sale, 2).await;
    let late_order = world.order(&late, "late@example.org").await;
    let payment = open(&world, &late, &late_order).await;
    world.advance(SignedDuration::from_secs(700)).await;
    let quick = world.hold(&sale, 1).await;
    let quick_order = world.order(&quick, "quick@example.org").await;
    let quick_payment = open(&world, &quick, &quick_order).await;
    pay(&world, &quick_payment, Outcome::Success);
    world.settle().await;
    let paid = pay(&world, &payment, Outcome::Success);
    world.settle().await;
    assert_eq!(world.read_order(&late, &late_order).await["reason"], "places_gone");
    assert_eq!(read(&world, &late, &payment).await["status"], "voided");
    // Nobody takes it, and a day later it goes back.
    world.advance(SignedDuration::from_hours(25)).await;
    world.whole.razorpay().sweep().unwrap();
    world.settle().await;
    assert_eq!(world.whole.razorpay().payment(&paid.id).unwrap().status, Status::Refunded);
    assert_eq!((kept(&world), world.dead_letters()), (2500, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pays_twice_with_two_providers_pays_once() {
    let world = World::new().await;
    let sale = world.sale(4, json!({})).await;
    for first in ["stripe", "razorpay"] {
        let held = world.hold(&sale, 1).await;
        let order = world.order(&held, "a@example.org").await;
        let (one, two) = (world.payment(&held, &order).await, open(&world, &held, &order).await);
        match first {
            "stripe" => {
                world.pay(&one, "pm_card_visa");
                pay(&world, &two, Outcome::Success);
            }
            _ => {
                pay(&world, &two, Outcome::Success);
                world.pay(&one, "pm_card_visa");
            }
        }
        world.settle().await;
        assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
        let mut states = [
            read(&world, &held, &one).await["status"].clone(),
            read(&world, &held, &two).await["status"].clone(),
        ];
        states.sort_by_key(Value::to_string);
        assert_eq!(states, [json!("captured"), json!("voided")]);
    }
    let at_stripe: i64 =
        world.whole.stripe().payments(0, 10).unwrap().iter().map(|payment| payment.received).sum();
    assert_eq!((at_stripe + kept(&world), world.sold(&sale).await, world.dead_letters()), (5000, 2, 0));
    // The booking ends: what was paid for it goes back, whichever of them it was with.
    let bookings =
        world.get(&format!("/v1/events/{}/bookings", sale.event)).by(&sale.organiser.token).send().await.ok();
    for booking in bookings["items"].as_array().unwrap() {
        let path = format!("/v1/bookings/{}/cancel", text(&booking["id"]));
        world.post(&path).by(&sale.organiser.token).send().await.ok();
    }
    world.settle().await;
    let stripe = world.whole.stripe().payments(0, 10).unwrap();
    let at_stripe: i64 = stripe.iter().map(|payment| payment.received - payment.refunded).sum();
    assert_eq!((at_stripe + kept(&world), world.dead_letters()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_fails_is_asked_for_again_at_razorpay_too() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let held = world.hold(&sale, 1).await;
    let order = world.order(&held, "a@example.org").await;
    let payment = open(&world, &held, &order).await;
    pay(&world, &payment, Outcome::Success);
    world.settle().await;
    world.whole.razorpay().switch(|switches| switches.fail_refunds_next = 1).unwrap();
    let order = world.read_order(&held, &order).await;
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    world.post(&cancel).by(&held.token).send().await.ok();
    world.settle().await;
    let failed = read(&world, &held, &payment).await;
    assert_eq!((&failed["refunds"][0]["status"], kept(&world)), (&json!("failed"), 2500));
    world.advance(SignedDuration::from_hours(1)).await;
    world.whole.run_job("PaymentWorker", "refunds").await.unwrap();
    world.settle().await;
    assert_eq!((kept(&world), world.dead_letters()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_razorpay_signed_is_believed_and_a_provider_that_is_down_is_named() {
    let world = World::new().await;
    let body = r#"{"event":"payment.captured","payload":{}}"#;
    let send = |signature: &str| {
        world.post("/v1/webhooks/razorpay").header("X-Razorpay-Signature", signature).body(body).send()
    };
    send(&"0".repeat(64)).await.refused(400, "signature_invalid");
    send("x").await.refused(400, "signature_invalid");
    world.post("/v1/webhooks/razorpay").body(body).send().await.refused(400, "signature_invalid");
    let sale = world.sale(2, json!({})).await;
    let held = world.hold(&sale, 1).await;
    let order = world.order(&held, "a@example.org").await;
    world.whole.razorpay().switch(|switches| switches.fail_next = 6).unwrap();
    let down = try_open(&world, &held, &order).await;
    assert_eq!(down.header("retry-after"), "1");
    down.refused(503, "provider_unavailable");
    world.whole.razorpay().switch(|switches| switches.fail_next = 0).unwrap();
    assert_eq!(try_open(&world, &held, &order).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_let_go_and_is_taken_all_the_same_goes_back() {
    let world = World::new().await;
    let sale = world.sale(1, json!({})).await;
    let late = world.hold(&sale, 1).await;
    let order = world.order(&late, "late@example.org").await;
    let payment = open(&world, &late, &order).await;
    world.advance(SignedDuration::from_secs(700)).await;
    world.buy(&sale, 1, "quick@example.org").await;
    let paid = pay(&world, &payment, Outcome::Success);
    world.settle().await;
    assert_eq!(read(&world, &late, &payment).await["status"], "voided");
    // By hand, at Razorpay; or by a call of ours whose answer was lost.
    let capture = format!("{}/_razorpay/v1/payments/{}/capture", world.url, paid.id);
    let secrets = world.whole.home().secrets();
    let call = world.http.post(capture);
    let call = call.basic_auth(&secrets["razorpay_key_id"], Some(&secrets["razorpay_key_secret"]));
    let captured = call.json(&json!({"amount": 2500, "currency": "EUR"})).send().await.unwrap();
    assert!(captured.status().is_success());
    world.settle().await;
    assert_eq!(read(&world, &late, &payment).await["status"], "refunded");
    assert_eq!((kept(&world), world.sold(&sale).await, world.dead_letters()), (0, 1, 0));
}
