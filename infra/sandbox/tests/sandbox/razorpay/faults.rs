//! The switches that make calls and payments fail.

use reqwest::Method;
use serde_json::{Value, json};
use tessera_sandbox::razorpay::{Outcome, Status, Switches};

use super::World;

#[tokio::test]
async fn the_next_payments_are_declined_when_told_to() {
    let world = World::new().await;
    let order = world.order_with(&json!({})).await;
    world.switch(r#"{"decline_next": 1}"#).await;
    assert_eq!(world.pay(&order, Outcome::Silence).status, Status::Created, "uses up no decline");
    assert_eq!(world.pay(&order, Outcome::Failure).status, Status::Failed, "nor does this");
    assert_eq!(world.razorpay.switches().decline_next, 1);
    assert_eq!(world.pay(&order, Outcome::Success).status, Status::Failed);
    assert_eq!(world.pay(&order, Outcome::Success).status, Status::Captured);
}

#[tokio::test]
async fn the_next_refunds_fail_when_told_to_after_they_were_answered() {
    let world = World::new().await;
    let id = world.paid().await;
    world.switch(r#"{"fail_refunds_next": 1}"#).await;
    assert_eq!(world.refund(&id, &json!({"amount": 24501})).await.status, 400, "uses up no failure");
    let answered = world.refund(&id, &json!({})).await.ok();
    assert_eq!(answered["status"], "pending");
    let refund = answered["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("refunds/{refund}")).await.ok()["status"], "failed");
    assert_eq!(world.kinds(&id)[3..], ["refund.created", "refund.failed"]);
    assert_eq!(world.razorpay.payment(&id).unwrap().refunded, 0);
    assert_eq!(world.refund(&id, &json!({})).await.ok()["status"], "processed");
}

#[tokio::test]
async fn calls_fail_as_often_as_told_and_do_nothing() {
    let world = World::new().await;
    let body = json!({"amount": 24500, "currency": "INR"});
    for (status, code) in [(503, "SERVER_ERROR"), (502, "GATEWAY_ERROR"), (429, "BAD_REQUEST_ERROR")] {
        world.switch(&json!({"fail_next": 1, "fail_status": status}).to_string()).await;
        let failed = world.post("orders", &body).await;
        assert_eq!((failed.status, &failed.body["error"]["code"]), (status, &json!(code)));
    }
    assert!(world.razorpay.orders(0, 10).unwrap().is_empty());
    world.post("orders", &body).await.ok();
}

#[tokio::test]
async fn a_call_can_hang_and_come_to_nothing() {
    let world = World::new().await;
    world.switch(r#"{"hang_next": 1, "hang_ms": 1}"#).await;
    let hung = world.post("orders", &json!({"amount": 100, "currency": "INR"})).await;
    assert_eq!((hung.status, &hung.body["error"]["code"]), (504, &json!("GATEWAY_ERROR")));
    assert!(world.razorpay.orders(0, 10).unwrap().is_empty());
}

#[tokio::test]
async fn a_capture_can_be_carried_out_and_its_answer_lost() {
    let world = World::new().await;
    let (_, id) = world.authorized().await;
    world.switch(r#"{"lose_next": 1}"#).await;
    let body = json!({"amount": 24500, "currency": "INR"});
    let lost = match world.send(Method::POST, &format!("payments/{id}/capture"), &[], Some(&body)).await {
        Ok(response) => response.bytes().await,
        Err(error) => Err(error),
    };
    assert!(lost.is_err(), "an answer came through: {lost:?}");
    assert_eq!(world.razorpay.payment(&id).unwrap().status, Status::Captured);
    // The caller asks again, and learns what came of it.
    world.capture(&id).await.refused(400, "This payment has already been captured");
}

#[tokio::test]
async fn a_refund_whose_answer_was_lost_is_learnt_by_its_key() {
    let world = World::new().await;
    let id = world.paid().await;
    world.switch(r#"{"lose_next": 1}"#).await;
    let (path, headers) = (format!("payments/{id}/refund"), [("x-refund-idempotency", "0123456789")]);
    let body = json!({"amount": 100});
    let ask = async || {
        world.send(Method::POST, &path, &headers, Some(&body)).await?.error_for_status()?.text().await
    };
    assert!(ask().await.is_err(), "an answer came through");
    let answer: Value = serde_json::from_str(&ask().await.unwrap()).unwrap();
    let payment = world.razorpay.payment(&id).unwrap();
    assert_eq!((payment.refunded, payment.refunds.len()), (100, 1));
    assert_eq!(answer["id"], payment.refunds[0].as_str());
}

#[tokio::test]
async fn a_misspelt_or_absurd_switch_is_refused_and_changes_nothing() {
    let world = World::new().await;
    for json in [r#"{"fail_nxt": 1}"#, r#"{"fail_status": 200}"#, r#"{"webhook_duplicates": 101}"#, "[]"] {
        let url = format!("{}/_switches", world.base);
        let response = world.client.post(url).body(json).send().await.unwrap();
        assert_eq!(response.status(), 400, "{json}");
    }
    assert_eq!(world.razorpay.switches(), Switches::default());
}
