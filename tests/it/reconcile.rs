//! Reconciliation: what providers say happened, beside our payments and books.

use crate::support::{Held, World, text};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tessera_sandbox::razorpay::Outcome;

async fn opened(world: &World, held: &Held, order: &Value, provider: &str) -> Value {
    let path = format!("/v1/orders/{}/payments", text(&order["id"]));
    world.post(&path).by(&held.token).json(json!({"provider": provider})).send().await.ok()
}

fn pay(world: &World, payment: &Value, provider: &str) {
    match provider {
        "stripe" => drop(world.pay(payment, "pm_card_visa")),
        _ => {
            drop(world.whole.razorpay().pay(&text(&payment["razorpay_order_id"]), Outcome::Success).unwrap())
        }
    }
}

async fn reconcile(world: &World) -> Result<(), String> {
    let done = world.whole.run_job("PaymentWorker", "reconcile").await;
    quiet(world).await;
    done
}

/// Until nothing is left to do here, whatever providers have not been able to report.
async fn quiet(world: &World) {
    world.whole.home().settle(std::time::Duration::from_secs(60)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn money_of_which_no_report_came_is_found() {
    for provider in ["stripe", "razorpay"] {
        let world = World::new().await;
        world.whole.stripe().switch(|switches| switches.hold_webhooks = true).unwrap();
        world.whole.razorpay().switch(|switches| switches.hold_webhooks = true).unwrap();
        let sale = world.sale(10, json!({})).await;
        let held = world.hold(&sale, 2).await;
        let order = world.order(&held, "a@example.org").await;
        let payment = opened(&world, &held, &order, provider).await;
        pay(&world, &payment, provider);
        quiet(&world).await;
        assert_eq!(world.read_order(&held, &order).await["status"], "pending", "{provider}");
        // Too fresh to be missed; a little later it is.
        reconcile(&world).await.unwrap();
        assert_eq!(world.read_order(&held, &order).await["status"], "pending", "{provider}");
        world.advance(SignedDuration::from_mins(7)).await;
        reconcile(&world).await.unwrap();
        let order = world.read_order(&held, &order).await;
        assert_eq!(order["status"], "confirmed", "{provider}");
        // Nor does a refund's end need its report.
        world
            .post(&format!("/v1/bookings/{}/cancel", text(&order["booking"])))
            .by(&held.token)
            .send()
            .await
            .ok();
        quiet(&world).await;
        world.advance(SignedDuration::from_mins(7)).await;
        reconcile(&world).await.unwrap();
        let order = world.read_order(&held, &order).await;
        assert_eq!(order["refunds"][0]["amount"]["amount"], 5000, "{provider}");
        // Again and again it finds nothing more.
        world.advance(SignedDuration::from_hours(3)).await;
        reconcile(&world).await.unwrap();
        assert_eq!(world.dead_letters(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_done_while_a_provider_was_down_is_done_later() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let held = world.hold(&sale, 1).await;
    let order = world.order(&held, "a@example.org").await;
    let payment = opened(&world, &held, &order, "stripe").await;
    world.whole.stripe().switch(|switches| switches.fail_next = 1000).unwrap();
    pay(&world, &payment, "stripe");
    world.settle().await;
    // It is down for this, too: comparing is put off, and nobody is called for that.
    reconcile(&world).await.unwrap();
    assert_eq!(world.dead_letters(), 0);
    world.whole.stripe().switch(|switches| switches.fail_next = 0).unwrap();
    world.advance(SignedDuration::from_mins(7)).await;
    reconcile(&world).await.unwrap();
    let path = format!("/v1/payments/{}", text(&payment["id"]));
    assert_eq!(world.get(&path).by(&held.token).send().await.ok()["status"], "captured");
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_was_not_compared_with_for_days_is_an_alarm() {
    let world = World::new().await;
    world.whole.stripe().switch(|switches| switches.fail_next = 1000).unwrap();
    // The first look is a day back.
    for hours in [0, 20] {
        world.advance(SignedDuration::from_hours(hours)).await;
        reconcile(&world).await.unwrap();
    }
    world.advance(SignedDuration::from_hours(6)).await;
    assert!(reconcile(&world).await.is_err());
    world.whole.stripe().switch(|switches| switches.fail_next = 0).unwrap();
    world.advance(SignedDuration::from_mins(6)).await;
    reconcile(&world).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_the_provider_knows_nothing_of_is_an_alarm() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    world.buy(&sale, 1, "real@example.org").await;
    let held = world.hold(&sale, 1).await;
    let order = world.order(&held, "a@example.org").await;
    let payment = opened(&world, &held, &order, "stripe").await;
    world.advance(SignedDuration::from_mins(7)).await;
    reconcile(&world).await.unwrap();
    // Signed as it should be, but nothing of it is true.
    let intent = text(&payment["client_secret"]).split("_secret_").next().unwrap().to_owned();
    let object = json!({"id": intent, "status": "succeeded", "currency": "eur", "metadata": {"payment_id": payment["id"]}});
    let body =
        json!({"id": "evt_x", "type": "payment_intent.succeeded", "data": {"object": object}}).to_string();
    let time = world.whole.clock().now().as_second();
    let key = aws_lc_rs::hmac::Key::new(
        aws_lc_rs::hmac::HMAC_SHA256,
        world.whole.stripe_webhook_secret().as_bytes(),
    );
    let tag = aws_lc_rs::hmac::sign(&key, format!("{time}.{body}").as_bytes());
    let hex = tessera::text::hex(tag);
    let forged = world.post("/v1/webhooks/stripe").header("Stripe-Signature", &format!("t={time},v1={hex}"));
    assert_eq!(forged.body(body).send().await.status, 204);
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
    world.advance(SignedDuration::from_mins(7)).await;
    assert!(reconcile(&world).await.is_err());
    assert!(reconcile(&world).await.is_err(), "until it is explained");
    world.pay(&payment, "pm_card_visa");
    let paid = world.whole.stripe().payments(0, 1).unwrap().remove(0);
    let capture = format!("{}/_stripe/v1/payment_intents/{}/capture", world.url, paid.id);
    let key = &world.whole.home().secrets()["stripe_secret_key"];
    assert!(world.http.post(capture).bearer_auth(key).send().await.unwrap().status().is_success());
    world.settle().await;
    reconcile(&world).await.unwrap();
}
