//! The same refund twice.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, World};
use crate::world::soon;

const KEY: &str = "550e8400-e29b_41d4";

async fn keyed(world: &World, key: &str, payment: &str, body: &Value) -> Answer {
    let headers = [("x-refund-idempotency", key)];
    let path = format!("payments/{payment}/refund");
    Answer::read(world.send(Method::POST, &path, &headers, Some(body)).await.unwrap()).await
}

#[tokio::test]
async fn a_repeated_refund_gets_the_first_answer_and_gives_nothing_more() {
    let world = World::new().await;
    let id = world.paid().await;
    let first = keyed(&world, KEY, &id, &json!({"amount": 100, "notes": {"b": "1", "a": "2"}})).await.ok();
    let again = keyed(&world, KEY, &id, &json!({"notes": {"a": "2", "b": "1"}, "amount": 100})).await.ok();
    assert_eq!(first, again);
    assert_eq!(world.razorpay.payment(&id).unwrap().refunded, 100);
    keyed(&world, "another-key", &id, &json!({"amount": 100})).await.ok();
    // Without a key each call is another refund.
    world.refund(&id, &json!({"amount": 100})).await.ok();
    assert_eq!(world.razorpay.payment(&id).unwrap().refunded, 300);
}

#[tokio::test]
async fn a_key_is_good_for_one_refund() {
    let world = World::new().await;
    let [one, other] = [world.paid().await, world.paid().await];
    let body = json!({"amount": 100});
    keyed(&world, KEY, &one, &body).await.ok();
    let different = "Different request with the same idempotency key has already been processed.";
    keyed(&world, KEY, &one, &json!({"amount": 200})).await.refused(409, different);
    keyed(&world, KEY, &other, &body).await.refused(409, different);
    assert_eq!(world.razorpay.payment(&one).unwrap().refunded, 100);
    assert_eq!(world.razorpay.payment(&other).unwrap().refunded, 0);
}

#[tokio::test]
async fn a_refused_refund_leaves_the_key_free() {
    let world = World::new().await;
    let (_, id) = world.authorized().await;
    let early = keyed(&world, KEY, &id, &json!({})).await;
    early.refused(400, "The payment status should be captured for action to be taken");
    world.capture(&id).await.ok();
    keyed(&world, KEY, &id, &json!({})).await.ok();
}

#[tokio::test]
async fn a_key_has_ten_characters_and_only_some() {
    let world = World::new().await;
    let id = world.paid().await;
    let short = keyed(&world, "123456789", &id, &json!({})).await;
    short.refused(400, "The idempotency key must be at least 10 characters long.");
    let odd = keyed(&world, "1234567890!", &id, &json!({})).await;
    odd.refused(
        400,
        "The idempotency key must only contain alphanumeric characters, underscores, and hyphens",
    );
    assert_eq!(world.razorpay.payment(&id).unwrap().refunded, 0);
}

#[tokio::test]
async fn a_key_in_use_is_a_conflict_until_its_call_is_answered() {
    let world = World::new().await;
    let id = world.paid().await;
    let body = json!({"amount": 100});
    world.switch(r#"{"api_delay_ms": 600000}"#).await;
    let slow = async { drop(keyed(&world, KEY, &id, &body).await) };
    let impatient = async {
        // The first call has made its refund, and is not answered yet.
        while world.razorpay.payment(&id).unwrap().refunded == 0 {
            tokio::task::yield_now().await;
        }
        world.switch(r#"{"api_delay_ms": 0}"#).await;
        keyed(&world, KEY, &id, &body).await
    };
    let conflict = tokio::select! {
        () = slow => panic!("answered too soon"),
        conflict = soon(impatient) => conflict,
    };
    conflict.refused(409, "Another request with the same idempotency key is still in progress.");
    assert_eq!(world.razorpay.payment(&id).unwrap().refunded, 100);
}
