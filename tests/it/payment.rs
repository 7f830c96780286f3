//! Payments: the places are secured before money is taken, and late money ends as places or goes back.

use crate::support::{World, text};
use jiff::SignedDuration;
use serde_json::json;
use tessera_sandbox::stripe::Status;

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_way_from_the_hold_to_the_gate() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let (held, order) = world.buy(&sale, 2, "buyer@example.org").await;
    assert_eq!(order["status"], "confirmed");
    let mut what: Vec<_> =
        order["history"].as_array().unwrap().iter().map(|step| text(&step["what"])).collect();
    what.sort();
    assert_eq!(what, ["confirmed", "paid", "placed", "tickets_issued"]);
    let payments = world.whole.stripe().payments(0, 10).unwrap();
    assert_eq!((payments.len(), payments[0].status, payments[0].received), (1, Status::Succeeded, 5000));
    let mail = world.mail_to("buyer@example.org");
    assert_eq!(mail.subject, "Your tickets for Midsummer");
    let types: Vec<_> = mail.attachments.iter().map(|file| file.media_type.as_str()).collect();
    assert_eq!(types, ["application/pdf", "application/pdf", "text/calendar"]);
    assert_eq!(world.tickets(&held, &order).await.len(), 2);
    assert_eq!((world.left(&sale).await, world.dead_letters()), (8, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_may_be_tried_again_on_the_same_payment() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let held = world.hold(&sale, 1).await;
    let order = world.order(&held, "a@example.org").await;
    let payment = world.payment(&held, &order).await;
    let intent = text(&payment["client_secret"]).split("_secret_").next().unwrap().to_owned();
    assert!(world.whole.stripe().confirm(&intent, "pm_card_chargeDeclined").is_err());
    world.settle().await;
    let path = format!("/v1/payments/{}", text(&payment["id"]));
    let read = world.get(&path).by(&held.token).send().await.ok();
    assert_eq!((&read["status"], read["declined"].is_string()), (&json!("open"), true));
    assert_eq!(world.payment(&held, &order).await["client_secret"], payment["client_secret"]);
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
    assert_eq!(world.get(&path).by(&held.token).send().await.ok()["status"], "captured");
}

#[tokio::test(flavor = "multi_thread")]
async fn four_clicks_open_one_payment() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let held = world.hold(&sale, 1).await;
    let order = world.order(&held, "a@example.org").await;
    let payments = futures_util::future::join_all((0..4).map(|_| world.payment(&held, &order))).await;
    assert!(payments.iter().all(|payment| payment["client_secret"] == payments[0]["client_secret"]));
    assert_eq!(world.whole.stripe().payments(0, 10).unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_gets_its_places_while_nobody_has_taken_them() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let held = world.hold(&sale, 2).await;
    let order = world.order(&held, "late@example.org").await;
    let payment = world.payment(&held, &order).await;
    world.advance(SignedDuration::from_secs(700)).await;
    assert_eq!(world.read_order(&held, &order).await["status"], "expired");
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
    assert_eq!((world.sold(&sale).await, world.left(&sale).await), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_gets_other_places_if_there_are_any_left() {
    let world = World::new().await;
    let sale = world.sale(4, json!({})).await;
    let held = world.hold(&sale, 2).await;
    let order = world.order(&held, "late@example.org").await;
    let payment = world.payment(&held, &order).await;
    world.advance(SignedDuration::from_secs(700)).await;
    world.whole.run_job("BookingWorker", "tidy").await.unwrap();
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    let order = world.read_order(&held, &order).await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!((world.sold(&sale).await, world.left(&sale).await), (2, 2));
    assert_eq!(world.tickets(&held, &order).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_goes_back_when_the_places_are_gone() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let late = world.hold(&sale, 2).await;
    let late_order = world.order(&late, "late@example.org").await;
    let payment = world.payment(&late, &late_order).await;
    world.advance(SignedDuration::from_secs(700)).await;
    let (_, quick) = world.buy(&sale, 2, "quick@example.org").await;
    assert_eq!(quick["status"], "confirmed");
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    let order = world.read_order(&late, &late_order).await;
    assert_eq!((&order["status"], &order["reason"]), (&json!("cancelled"), &json!("places_gone")));
    let intent = text(&payment["client_secret"]).split("_secret_").next().unwrap().to_owned();
    let paid = world.whole.stripe().payment(&intent).unwrap();
    assert_eq!((paid.status, paid.received), (Status::Canceled, 0));
    assert!(world.mail_to("late@example.org").subject.starts_with("No places left"));
    assert_eq!((world.sold(&sale).await, world.dead_letters()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn money_for_an_order_that_was_given_up_goes_back() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let held = world.hold(&sale, 2).await;
    let order = world.order(&held, "a@example.org").await;
    let payment = world.payment(&held, &order).await;
    world.post(&format!("/v1/orders/{}/cancel", text(&order["id"]))).by(&held.token).send().await.ok();
    world.settle().await;
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    let intent = text(&payment["client_secret"]).split("_secret_").next().unwrap().to_owned();
    assert_eq!(world.whole.stripe().payment(&intent).unwrap().status, Status::Canceled);
    assert_eq!((world.sold(&sale).await, world.left(&sale).await), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_paid_booking_pays_back_in_full() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let (held, order) = world.buy(&sale, 2, "a@example.org").await;
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    world.post(&cancel).by(&sale.organiser.token).send().await.ok();
    world.settle().await;
    let paid = &world.whole.stripe().payments(0, 10).unwrap()[0];
    assert_eq!((paid.received, paid.refunded), (5000, 5000));
    let order = world.read_order(&held, &order).await;
    let what: Vec<_> = order["history"].as_array().unwrap().iter().map(|step| text(&step["what"])).collect();
    assert!(what.contains(&"refunded".to_owned()) && what.contains(&"cancelled".to_owned()), "{what:?}");
    assert!(world.mail_to("a@example.org").text.unwrap().contains("by the organiser"));
    assert_eq!(world.left(&sale).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_five_times_and_out_of_order_end_the_same() {
    let world = World::new().await;
    world
        .whole
        .stripe()
        .switch(|switches| {
            switches.webhook_duplicates = 4;
            switches.webhook_shuffle_ms = 300;
        })
        .unwrap();
    let sale = world.sale(20, json!({})).await;
    let mut bought = Vec::new();
    for n in 0..6 {
        bought.push(world.buy(&sale, 1, &format!("b{n}@example.org")).await);
    }
    let cancel = format!("/v1/bookings/{}/cancel", text(&bought[0].1["booking"]));
    world.post(&cancel).by(&bought[0].0.token).send().await.ok();
    world.settle().await;
    // Every event once more, the oldest last.
    for event in world.whole.stripe().events(None, 0, 200).unwrap() {
        world.whole.stripe().redeliver(&event.id).unwrap();
    }
    world.settle().await;
    assert_eq!((world.sold(&sale).await, world.left(&sale).await), (5, 15));
    for (n, (held, order)) in bought.iter().enumerate() {
        let order = world.read_order(held, order).await;
        assert_eq!(order["status"], if n == 0 { "cancelled" } else { "confirmed" });
        let confirmations = world
            .mails_to(&format!("b{n}@example.org"))
            .into_iter()
            .filter(|mail| mail.subject.starts_with("Your tickets"));
        assert_eq!(confirmations.count(), 1);
    }
    let payments = world.whole.stripe().payments(0, 20).unwrap();
    assert_eq!(payments.iter().map(|payment| payment.received - payment.refunded).sum::<i64>(), 5 * 2500);
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_or_loses_answers_costs_nobody_anything() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let held = world.hold(&sale, 1).await;
    let order = world.order(&held, "a@example.org").await;
    // Down for the whole patience of one call: a clear answer, and the same request works later.
    world.whole.stripe().switch(|switches| switches.fail_next = 3).unwrap();
    let path = format!("/v1/orders/{}/payments", text(&order["id"]));
    let down = world.post(&path).by(&held.token).json(json!({"provider": "stripe"})).send().await;
    assert_eq!(down.header("retry-after"), "1");
    down.refused(503, "provider_unavailable");
    // The answer is lost after the intent was made: the repeated call finds it.
    world.whole.stripe().switch(|switches| switches.lose_next = 1).unwrap();
    let payment = world.payment(&held, &order).await;
    assert_eq!(world.whole.stripe().payments(0, 10).unwrap().len(), 1);
    // The same for the capture: what does not get through waits for a few minutes.
    world
        .whole
        .stripe()
        .switch(|switches| {
            switches.fail_next = 1;
            switches.lose_next = 1;
        })
        .unwrap();
    let secret = text(&payment["client_secret"]);
    world.whole.stripe().confirm(secret.split("_secret_").next().unwrap(), "pm_card_visa").unwrap();
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
    for _ in 0..2 {
        world.whole.run_job("PaymentWorker", "resume").await.unwrap();
        world.settle().await;
    }
    let payments = world.whole.stripe().payments(0, 10).unwrap();
    assert_eq!((payments.len(), payments[0].received), (1, 2500));
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_signed_webhooks_are_believed() {
    let world = World::new().await;
    let body = r#"{"id":"evt_1","type":"payment_intent.succeeded","data":{"object":{}}}"#;
    let send = |signature: &str| {
        world
            .post("/v1/webhooks/stripe")
            .header("Stripe-Signature", signature)
            .header("content-type", "application/json")
            .body(body)
            .send()
    };
    send("t=1,v1=00").await.refused(400, "signature_invalid");
    send(&format!("t={},v1={}", world.whole.clock().now().as_second(), "0".repeat(64)))
        .await
        .refused(400, "signature_invalid");
    let unsigned = world.post("/v1/webhooks/stripe").body(body).send().await;
    unsigned.refused(400, "signature_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_signed_with_the_previous_secret_are_believed() {
    let world = World::new().await;
    world
        .whole
        .stripe()
        .switch(|switches| switches.sign_with = tessera_sandbox::stripe::SignWith::Previous)
        .unwrap();
    let sale = world.sale(2, json!({})).await;
    let (_, order) = world.buy(&sale, 1, "a@example.org").await;
    assert_eq!(order["status"], "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_may_arrive_base64_encoded_with_odd_white_space() {
    // API Gateway encodes bodies whose content type it does not know as text. The signature is over the raw bytes.
    let world = World::new().await;
    let body = "{ \"id\":\"evt_1\",\r\n  \"type\":\"charge.updated\", \"data\" : {\"object\":{}} }\n";
    let time = world.whole.clock().now().as_second();
    let key = aws_lc_rs::hmac::Key::new(
        aws_lc_rs::hmac::HMAC_SHA256,
        world.whole.stripe_webhook_secret().as_bytes(),
    );
    let tag = aws_lc_rs::hmac::sign(&key, format!("{time}.{body}").as_bytes());
    let hex = tessera::text::hex(tag);
    let call = world.post("/v1/webhooks/stripe").header("Stripe-Signature", &format!("t={time},v1={hex}"));
    let answer = call.header("content-type", "application/octet-stream").body(body).send().await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}
