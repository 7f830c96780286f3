//! What time alone changes.

use serde_json::json;
use tessera_sandbox::razorpay::{Outcome, Status};

use super::{MINUTE, World};
use crate::world::{soon, text};

#[tokio::test]
async fn a_payment_nobody_captures_goes_back_after_five_days() {
    let mut world = World::in_order().await;
    let (order, id) = world.authorized().await;
    world.pass(7_200 * MINUTE - 1_000);
    assert_eq!(world.get(&format!("payments/{id}")).await.ok()["status"], "authorized");
    world.pass(1_000);
    let gone = world.get(&format!("payments/{id}")).await.ok();
    assert_eq!((&gone["status"], &gone["captured"]), (&json!("refunded"), &json!(false)));
    assert_eq!((&gone["amount_refunded"], &gone["refund_status"]), (&json!(24500), &json!("full")));
    assert_eq!(world.status(&order).await, "attempted");
    assert_eq!(world.kinds(&id), ["payment.authorized", "refund.created", "refund.processed"]);
    world.hook.next().await;
    let event = world.hook.next().await.event();
    assert_eq!(event["event"], "refund.created");
    // By this a shop tells it from a refund of its own.
    assert_eq!(event["payload"]["payment"]["entity"]["captured"], false);
    assert_eq!(event["payload"]["refund"]["entity"]["amount"], 24500);
    let late = world.capture(&id).await;
    late.refused(400, "Only payments which have been authorized and not yet captured can be captured");
}

#[tokio::test]
async fn an_order_can_say_how_long_its_payments_wait() {
    let world = World::new().await;
    let settings = json!({"payment": {"capture": "manual", "capture_options": {"manual_expiry_period": 20}}});
    let order = world.order_with(&settings).await;
    let id = world.pay(&order, Outcome::Success).id;
    world.pass(20 * MINUTE);
    world.razorpay.sweep().unwrap();
    assert_eq!(world.razorpay.payment(&id).unwrap().status, Status::Refunded);
    let short = World::with(&tessera_sandbox::Storage::Memory, |options| {
        options.capture.automatic_minutes = None;
        options.capture.refund_minutes = 1;
    })
    .await;
    let id = short.paid().await;
    short.pass(MINUTE);
    short.razorpay.sweep().unwrap();
    assert_eq!(short.razorpay.payment(&id).unwrap().status, Status::Refunded);
}

#[tokio::test]
async fn what_was_captured_in_time_stays() {
    let world = World::new().await;
    let (_, id) = world.authorized().await;
    world.capture(&id).await.ok();
    world.pass(8_000 * MINUTE);
    world.razorpay.sweep().unwrap();
    assert_eq!(world.razorpay.payment(&id).unwrap().status, Status::Captured);
}

#[tokio::test]
async fn a_silent_bank_means_failure_after_ten_minutes_and_may_still_approve() {
    let world = World::new().await;
    let order = world.order_with(&json!({})).await;
    let id = world.pay(&order, Outcome::Silence).id;
    world.pass(10 * MINUTE - 1_000);
    assert_eq!(world.get(&format!("payments/{id}")).await.ok()["status"], "created");
    world.pass(1_000);
    let failed = world.get(&format!("payments/{id}")).await.ok();
    assert_eq!((&failed["status"], &failed["error_reason"]), (&json!("failed"), &json!("payment_timed_out")));
    let late = world.razorpay.answer(&id, true).unwrap();
    assert_eq!((late.status, late.failure), (Status::Captured, None));
    assert_eq!(world.kinds(&id), ["payment.failed", "payment.authorized", "payment.captured", "order.paid"]);
}

#[tokio::test]
async fn a_payment_authorised_after_the_time_for_it_is_not_captured_by_itself() {
    let world = World::new().await;
    let options = json!({"automatic_expiry_period": 12, "manual_expiry_period": 60});
    let settings = json!({"payment": {"capture": "automatic", "capture_options": options}});
    for (minutes, status) in [(12, Status::Captured), (13, Status::Authorized)] {
        let order = world.order_with(&settings).await;
        let id = world.pay(&order, Outcome::Silence).id;
        world.pass(minutes * MINUTE);
        assert_eq!(world.razorpay.answer(&id, true).unwrap().status, status, "{minutes}");
    }
}

#[tokio::test]
async fn an_automatic_refund_that_fails_is_not_made_again() {
    let world = World::new().await;
    let (_, id) = world.authorized().await;
    world.pass(7_200 * MINUTE);
    world.razorpay.sweep().unwrap();
    let refund = world.razorpay.payment(&id).unwrap().refunds[0].clone();
    assert_eq!(world.razorpay.fail_refund(&refund).unwrap().status, Status::Authorized);
    world.razorpay.sweep().unwrap();
    assert_eq!(world.razorpay.payment(&id).unwrap().refunds, [refund]);
}

#[tokio::test]
async fn time_is_looked_at_without_being_asked() {
    let mut world = World::in_order().await;
    let (_, id) = world.authorized().await;
    assert_eq!(text(&world.hook.next().await.event()["event"]), "payment.authorized");
    world.pass(7_200 * MINUTE);
    let event = soon(world.hook.next()).await.event();
    assert_eq!(event["event"], "refund.created");
    assert_eq!(event["payload"]["payment"]["entity"]["id"], id.as_str());
}
