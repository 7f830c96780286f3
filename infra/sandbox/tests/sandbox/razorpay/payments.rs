//! How payments are authorised, captured, refused, and authorised late.

use serde_json::json;
use tessera_sandbox::razorpay::{Outcome, Status};

use super::{MINUTE, World, ids};
use crate::world::{NOW, text};

#[tokio::test]
async fn a_payment_is_authorised_and_captured_by_the_shop() {
    let world = World::new().await;
    let (order, id) = world.authorized().await;
    let held = world.get(&format!("payments/{id}")).await.ok();
    assert!(id.starts_with("pay_") && id.len() == 18, "{id}");
    assert_eq!((&held["status"], &held["captured"]), (&json!("authorized"), &json!(false)));
    assert_eq!((&held["entity"], &held["order_id"]), (&json!("payment"), &json!(order)));
    assert_eq!((&held["fee"], &held["tax"], &held["method"]), (&json!(null), &json!(null), &json!("card")));
    assert_eq!((&held["amount_refunded"], &held["refund_status"]), (&json!(0), &json!(null)));
    assert_eq!((&held["error_code"], &held["notes"]), (&json!(null), &json!([])));
    assert!(held["acquirer_data"]["auth_code"].is_string());

    let taken = world.capture(&id).await.ok();
    assert_eq!((&taken["status"], &taken["captured"]), (&json!("captured"), &json!(true)));
    // Two per cent are 490, and 18 per cent of that 88.2.
    assert_eq!((&taken["fee"], &taken["tax"]), (&json!(578), &json!(88)));
    assert_eq!(world.kinds(&id), ["payment.authorized", "payment.captured", "order.paid"]);
    let seen = world.razorpay.payment(&id).unwrap();
    assert_eq!((seen.status, seen.captured, seen.created), (Status::Captured, true, NOW / 1_000));
}

#[tokio::test]
async fn fees_are_those_of_razorpays_own_examples() {
    let world = World::new().await;
    for (amount, fee, tax) in [(479_030, 11_305, 1_724), (100, 2, 0)] {
        let order = world.order_with(&json!({"amount": amount})).await;
        let id = world.pay(&order, Outcome::Success).id;
        let taken = world.get(&format!("payments/{id}")).await.ok();
        assert_eq!((&taken["fee"], &taken["tax"]), (&json!(fee), &json!(tax)), "{amount}");
    }
}

#[tokio::test]
async fn payments_are_captured_at_once_unless_order_or_account_say_otherwise() {
    let world = World::new().await;
    let at_once = world.paid().await;
    assert_eq!(world.razorpay.payment(&at_once).unwrap().status, Status::Captured);
    assert_eq!(world.kinds(&at_once), ["payment.authorized", "payment.captured", "order.paid"]);
    for (settings, status) in [
        (json!({"payment_capture": 0}), Status::Authorized),
        (json!({"payment_capture": true}), Status::Captured),
        (json!({"payment": {"capture": "manual"}}), Status::Authorized),
        (json!({"payment": {"capture": "automatic"}}), Status::Captured),
        (
            json!({"payment": {"capture": "automatic", "capture_options":
                {"automatic_expiry_period": 12, "manual_expiry_period": 7200, "refund_speed": "optimum"}}}),
            Status::Captured,
        ),
    ] {
        let order = world.order_with(&settings).await;
        assert_eq!(world.pay(&order, Outcome::Success).status, status, "{settings}");
    }
    let patient = World::with(&tessera_sandbox::Storage::Memory, |options| {
        options.capture.automatic_minutes = None;
    })
    .await;
    let held = patient.paid().await;
    assert_eq!(patient.razorpay.payment(&held).unwrap().status, Status::Authorized);
}

#[tokio::test]
async fn a_capture_takes_the_whole_amount_once() {
    let world = World::new().await;
    let (_, id) = world.authorized().await;
    let capture = async |body| world.post(&format!("payments/{id}/capture"), &body).await;
    let less = capture(json!({"amount": 24499, "currency": "INR"})).await;
    let error = less.refused(400, "Capture amount must be equal to the amount authorized");
    assert_eq!(error["field"], "amount");
    let more = capture(json!({"amount": 24501, "currency": "INR"})).await;
    more.refused(400, "Capture amount must be equal to the amount authorized");
    let words = capture(json!({"amount": "all", "currency": "INR"})).await;
    words.refused(400, "The amount must be an integer.");
    capture(json!({"currency": "INR"})).await.refused(400, "The amount field is required.");
    let other = capture(json!({"amount": 24500, "currency": "USD"})).await;
    other.refused(400, "Payment currency does not match the currency of capture");
    assert_eq!(world.kinds(&id), ["payment.authorized"], "a refusal changes nothing");
    world.capture(&id).await.ok();
    world.capture(&id).await.refused(400, "This payment has already been captured");
    world.refund(&id, &json!({})).await.ok();
    world.capture(&id).await.refused(400, "This payment has already been captured");
    assert_eq!(world.kinds(&id).iter().filter(|kind| *kind == "payment.captured").count(), 1);
}

#[tokio::test]
async fn a_declined_payment_says_why_and_leaves_the_order_open() {
    let world = World::new().await;
    let order = world.order_with(&json!({})).await;
    let failed = world.pay(&order, Outcome::Failure);
    assert_eq!(failed.status, Status::Failed);
    let shown = world.get(&format!("payments/{}", failed.id)).await.ok();
    assert_eq!(shown["error_code"], "BAD_REQUEST_ERROR");
    assert_eq!(
        (&shown["error_source"], &shown["error_step"]),
        (&json!("bank"), &json!("payment_authorization"))
    );
    assert_eq!(shown["error_reason"], "payment_failed");
    assert_eq!(shown["error_description"], failed.failure.unwrap().as_str());
    assert_eq!(world.kinds(&failed.id), ["payment.failed"]);
    let never = world.capture(&failed.id).await;
    never.refused(400, "Only payments which have been authorized and not yet captured can be captured");
    let paid = world.pay(&order, Outcome::Success);
    assert_eq!((paid.status, world.status(&order).await.as_str()), (Status::Captured, "paid"));
    let refused = world.razorpay.pay(&order, Outcome::Success).unwrap_err();
    assert!(refused.description.contains("already paid"), "{refused}");
}

#[tokio::test]
async fn of_two_authorised_payments_one_is_captured_and_the_other_goes_back() {
    let world = World::new().await;
    let order = world.order().await;
    let [first, second] = [(), ()].map(|()| world.pay(&order, Outcome::Success).id);
    assert_eq!(world.get(&format!("orders/{order}")).await.ok()["attempts"], 2);
    world.capture(&second).await.ok();
    let paid = "Your payment has been declined as the order is already paid. Please initiate the payment with a new \
                order.";
    world.capture(&first).await.refused(400, paid);
    assert_eq!(world.razorpay.payment(&first).unwrap().status, Status::Authorized);
    world.pass(7_200 * MINUTE);
    let gone = world.get(&format!("payments/{first}")).await.ok();
    assert_eq!((&gone["status"], &gone["captured"]), (&json!("refunded"), &json!(false)));
    assert_eq!(world.get(&format!("payments/{second}")).await.ok()["status"], "captured");
}

#[tokio::test]
async fn one_whose_bank_answers_after_the_order_was_paid_is_not_captured() {
    let world = World::new().await;
    let order = world.order_with(&json!({})).await;
    let slow = world.pay(&order, Outcome::Silence);
    assert_eq!((slow.status, world.kinds(&slow.id).len()), (Status::Created, 0));
    world.pay(&order, Outcome::Success);
    let late = world.razorpay.answer(&slow.id, true).unwrap();
    assert_eq!(late.status, Status::Authorized);
    assert_eq!(world.kinds(&slow.id), ["payment.authorized"]);
}

#[tokio::test]
async fn a_silent_bank_answers_in_the_end() {
    let world = World::new().await;
    for (approve, status) in [(true, Status::Captured), (false, Status::Failed)] {
        let order = world.order_with(&json!({})).await;
        let payment = world.pay(&order, Outcome::Silence).id;
        assert_eq!(world.razorpay.answer(&payment, approve).unwrap().status, status);
        assert_eq!(world.razorpay.answer(&payment, approve).unwrap_err().status, 400, "it has answered");
    }
}

#[tokio::test]
async fn payments_are_listed_by_page_and_time() {
    let world = World::new().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(world.paid().await);
        world.pass(MINUTE);
    }
    made.reverse();
    let list = async |query: &str| ids(&world.get(&format!("payments?{query}")).await.ok());
    assert_eq!(list("").await, made);
    assert_eq!(list("count=2").await, made[..2]);
    assert_eq!(list("count=2&skip=2").await, made[2..]);
    assert_eq!(list(&format!("from={}", NOW / 1_000 + 1)).await, made[..2]);
    assert_eq!(list(&format!("to={}", NOW / 1_000)).await, made[2..]);
    let seen: Vec<_> = world.razorpay.payments(1, 1).unwrap().into_iter().map(|one| one.id).collect();
    assert_eq!(seen, made[1..2]);
    assert_eq!(text(&world.get(&format!("payments/{}", made[0])).await.ok()["id"]), made[0]);
}
