//! What a process that is killed leaves behind.

use reqwest::Method;
use serde_json::json;
use tessera_sandbox::Storage;
use tessera_sandbox::razorpay::{Razorpay, RazorpayOptions, Status};

use super::{Answer, MINUTE, World};
use crate::durability::as_killed;

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let before = World::with(&Storage::File(folder.path().join("razorpay.db")), |options| {
        options.webhook_url = None;
    })
    .await;
    let id = before.paid().await;
    let (_, held) = before.authorized().await;
    let (path, body) = (format!("payments/{id}/refund"), json!({"amount": 100, "receipt": "refund 1"}));
    let headers = [("x-refund-idempotency", "0123456789")];
    let keyed = async |world: &World| {
        Answer::read(world.send(Method::POST, &path, &headers, Some(&body)).await.unwrap()).await.ok()
    };
    let refund = keyed(&before).await;

    let mut after = World::with(&as_killed(folder.path(), "razorpay.db"), |_| {}).await;
    assert_eq!(keyed(&after).await, refund);
    after.refund(&id, &body).await.refused(400, "The receipt has already been taken.");
    assert_eq!(after.razorpay.payment(&id).unwrap(), before.razorpay.payment(&id).unwrap());
    assert_eq!(after.razorpay.orders(0, 10).unwrap(), before.razorpay.orders(0, 10).unwrap());

    // The events that nobody had taken are delivered.
    let events = before.razorpay.events(None, 0, 100).unwrap();
    let mut undelivered: Vec<_> = events.into_iter().map(|event| event.id).collect();
    let arrived = after.hook.next_many(undelivered.len()).await;
    let mut arrived: Vec<_> = arrived.into_iter().map(|one| one.event_id.unwrap()).collect();
    undelivered.sort();
    arrived.sort();
    assert_eq!(arrived, undelivered);

    // And what was waiting for its time still is.
    after.pass(7_200 * MINUTE);
    after.razorpay.sweep().unwrap();
    assert_eq!(after.razorpay.payment(&held).unwrap().status, Status::Refunded);
}

#[tokio::test]
async fn a_store_is_free_again_once_its_sandbox_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::File(folder.path().join("razorpay.db"));
    let options =
        RazorpayOptions::new("key", "secret", "hook", "http://localhost", std::sync::Arc::new(|| 0));
    let first = Razorpay::open(&storage, options.clone()).unwrap();
    assert_eq!(Razorpay::open(&storage, options.clone()).err().unwrap().status, 500);
    drop(first);
    Razorpay::open(&storage, options).unwrap();
}
