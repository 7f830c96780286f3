//! How money goes back.

use serde_json::json;
use tessera_sandbox::razorpay::Status;

use super::{World, ids};
use crate::world::{NOW, text};

#[tokio::test]
async fn a_payment_is_refunded_in_parts_and_never_beyond_what_was_taken() {
    let world = World::new().await;
    let id = world.paid().await;
    let body = json!({"amount": 10000, "speed": "normal", "notes": {"why": "rain"}, "receipt": "refund 1"});
    let part = world.refund(&id, &body).await.ok();
    let refund = text(&part["id"]);
    assert!(refund.starts_with("rfnd_"), "{refund}");
    let expected = json!({
        "id": refund, "entity": "refund", "amount": 10000, "currency": "INR", "payment_id": id,
        "notes": {"why": "rain"}, "receipt": "refund 1", "acquirer_data": {"arn": null}, "created_at": NOW / 1_000,
        "batch_id": null, "status": "processed", "speed_processed": "normal", "speed_requested": "normal",
    });
    assert_eq!(part, expected);
    assert_eq!(world.get(&format!("refunds/{refund}")).await.ok(), expected);
    let payment = world.get(&format!("payments/{id}")).await.ok();
    assert_eq!((&payment["status"], &payment["refund_status"]), (&json!("captured"), &json!("partial")));
    assert_eq!(payment["amount_refunded"], 10000);

    let beyond = world.refund(&id, &json!({"amount": 14501})).await;
    beyond.refused(400, "The refund amount provided is greater than amount captured");
    let rest = world.refund(&id, &json!({})).await.ok();
    assert_eq!((&rest["amount"], &rest["notes"]), (&json!(14500), &json!([])));
    let payment = world.get(&format!("payments/{id}")).await.ok();
    assert_eq!((&payment["status"], &payment["refund_status"]), (&json!("refunded"), &json!("full")));
    assert_eq!((&payment["amount_refunded"], &payment["captured"]), (&json!(24500), &json!(true)));
    world
        .refund(&id, &json!({"amount": 100}))
        .await
        .refused(400, "The payment has been fully refunded already");
    let kinds = world.kinds(&id);
    assert_eq!(kinds[3..], ["refund.created", "refund.processed", "refund.created", "refund.processed"]);
}

#[tokio::test]
async fn only_a_captured_payment_is_refunded() {
    let world = World::new().await;
    let (_, id) = world.authorized().await;
    let early = world.refund(&id, &json!({})).await;
    early.refused(400, "The payment status should be captured for action to be taken");
}

#[tokio::test]
async fn a_receipt_refunds_once() {
    let world = World::new().await;
    let [one, other] = [world.paid().await, world.paid().await];
    let body = json!({"amount": 100, "receipt": "refund 1"});
    world.refund(&one, &body).await.ok();
    for payment in [&one, &other] {
        let again = world.refund(payment, &body).await.refused(400, "The receipt has already been taken.");
        assert_eq!(again["field"], "receipt");
    }
    assert_eq!(world.razorpay.payment(&one).unwrap().refunded, 100);
    assert_eq!(world.razorpay.payment(&other).unwrap().refunded, 0);
}

#[tokio::test]
async fn a_refund_that_fails_later_makes_room_for_another() {
    let world = World::new().await;
    let id = world.paid().await;
    let refund = text(&world.refund(&id, &json!({})).await.ok()["id"]);
    for _ in 0..2 {
        let payment = world.razorpay.fail_refund(&refund).unwrap();
        assert_eq!((payment.status, payment.refunded), (Status::Captured, 0));
    }
    assert_eq!(world.get(&format!("refunds/{refund}")).await.ok()["status"], "failed");
    assert_eq!(world.kinds(&id)[3..], ["refund.created", "refund.processed", "refund.failed"]);
    world.refund(&id, &json!({})).await.ok();
    assert_eq!(world.razorpay.payment(&id).unwrap().status, Status::Refunded);
    assert_eq!(world.razorpay.fail_refund("rfnd_00000000000000").unwrap_err().status, 400);
}

#[tokio::test]
async fn refunds_are_listed_of_one_payment_and_of_all() {
    let world = World::new().await;
    let [one, other] = [world.paid().await, world.paid().await];
    let first = text(&world.refund(&one, &json!({"amount": 100})).await.ok()["id"]);
    // The endpoint without the payment in its path.
    let body = json!({"payment_id": other, "amount": 200});
    let second = text(&world.post("refunds", &body).await.ok()["id"]);
    assert_eq!(ids(&world.get("refunds").await.ok()), [second.clone(), first.clone()]);
    assert_eq!(ids(&world.get("refunds?count=1&skip=1").await.ok()), std::slice::from_ref(&first));
    assert_eq!(ids(&world.get(&format!("payments/{one}/refunds")).await.ok()), std::slice::from_ref(&first));
    assert_eq!(world.get(&format!("payments/{one}/refunds/{first}")).await.ok()["amount"], 100);
    let wrong = world.get(&format!("payments/{one}/refunds/{second}")).await;
    wrong.refused(400, "The id provided does not exist");
    let none = world.get("payments/pay_00000000000000/refunds").await;
    none.refused(400, "The id provided does not exist");
    assert_eq!(world.razorpay.payment(&one).unwrap().refunds, [first]);
}
