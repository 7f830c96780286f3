//! The switches that make API calls fail.

use reqwest::Method;

use crate::world::{SECRET_KEY, World};

#[tokio::test]
async fn the_next_confirmations_are_declined_when_told_to() {
    let world = World::new().await;
    let (id, _) = world.payment().await;
    world.switch(r#"{"decline_next": 2}"#).await;
    for _ in 0..2 {
        world.confirm(&id, "pm_card_visa").await.refused(402, "card_error", Some("card_declined"));
    }
    world.confirm(&id, "pm_card_visa").await.ok();
    assert_eq!(world.stripe.switches().decline_next, 0);
}

#[tokio::test]
async fn a_card_that_is_declined_anyway_uses_up_no_decline() {
    let world = World::new().await;
    let (id, _) = world.payment().await;
    world.switch(r#"{"decline_next": 1}"#).await;
    world.confirm(&id, "pm_card_chargeDeclined").await.refused(402, "card_error", Some("card_declined"));
    assert_eq!(world.stripe.switches().decline_next, 1);
}

#[tokio::test]
async fn the_next_refunds_fail_when_told_to_after_they_were_answered() {
    let world = World::new().await;
    let id = world.paid().await;
    world.switch(r#"{"fail_refunds_next": 1}"#).await;
    let answered = world.post("refunds", &[("payment_intent", &id)]).await.ok();
    assert_eq!(answered["status"], "succeeded");
    assert_eq!(world.stripe.payment(&id).unwrap().refunded, 0);
    assert_eq!(world.kinds(&id).last().unwrap(), "refund.failed");
    world.post("refunds", &[("payment_intent", &id)]).await.ok();
    assert_eq!(world.stripe.payment(&id).unwrap().refunded, 2450);
}

#[tokio::test]
async fn calls_fail_as_often_as_told_and_do_nothing() {
    let world = World::new().await;
    let form = [("amount", "1"), ("currency", "eur")];
    let key = [("idempotency-key", "one")];
    world.switch(r#"{"fail_next": 2, "fail_status": 503}"#).await;
    for _ in 0..2 {
        let failed = world.call(Method::POST, "payment_intents", &key, &form).await;
        failed.refused(503, "api_error", None);
    }
    assert!(world.stripe.payments(0, 10).unwrap().is_empty());
    let passed = world.call(Method::POST, "payment_intents", &key, &form).await;
    assert_eq!(passed.header("idempotent-replayed"), None);
    passed.ok();
}

#[tokio::test]
async fn a_call_can_hang_and_come_to_nothing() {
    let world = World::new().await;
    world.switch(r#"{"hang_next": 1, "hang_ms": 1}"#).await;
    let form = [("amount", "1"), ("currency", "eur")];
    world.post("payment_intents", &form).await.refused(504, "api_error", None);
    assert!(world.stripe.payments(0, 10).unwrap().is_empty());
    world.post("payment_intents", &form).await.ok();
}

#[tokio::test]
async fn a_call_can_be_carried_out_and_its_answer_lost() {
    let world = World::new().await;
    world.switch(r#"{"lose_next": 1}"#).await;
    let key = format!("Bearer {SECRET_KEY}");
    let headers = [("authorization", key.as_str()), ("idempotency-key", "one")];
    let form = [("amount", "1"), ("currency", "eur")];
    let lost = match world.send(Method::POST, "/v1/payment_intents", &headers, &form).await {
        Ok(response) => response.bytes().await,
        Err(error) => Err(error),
    };
    assert!(lost.is_err(), "an answer came through: {lost:?}");
    assert_eq!(world.stripe.payments(0, 10).unwrap().len(), 1);
    // The caller asks again, as it should, and learns what came of it.
    let again = world.call(Method::POST, "payment_intents", &headers[1..], &form).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.ok()["id"], world.stripe.payments(0, 10).unwrap()[0].id.as_str());
    assert_eq!(world.stripe.payments(0, 10).unwrap().len(), 1);
}

#[tokio::test]
async fn a_misspelt_or_absurd_switch_is_refused_and_changes_nothing() {
    let world = World::new().await;
    for json in
        [r#"{"fail_nxt": 1}"#, r#"{"fail_next": 1, "fail_status": 200}"#, r#"{"hang_ms": 600001}"#, "[]"]
    {
        let url = format!("{}/_switches", world.base);
        let response = world.client.post(url).body(json).send().await.unwrap();
        assert_eq!(response.status(), 400, "{json}");
    }
    assert_eq!(world.stripe.switches(), tessera_sandbox::stripe::Switches::default());
}
