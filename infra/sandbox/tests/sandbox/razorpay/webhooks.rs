//! How events reach the shop.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tessera_sandbox::razorpay::Outcome;

use super::{PREVIOUS_SECRET, WEBHOOK_SECRET, World};
use crate::webhooks::hmac;
use crate::world::{Delivery, NOW, text};

fn kind(delivery: &Delivery) -> String {
    text(&delivery.event()["event"])
}

#[tokio::test]
async fn an_event_arrives_signed_over_its_very_bytes() {
    let mut world = World::in_order().await;
    let order = world.order_with(&json!({"notes": {"back": "https://shop.example/é"}})).await;
    let payment = world.pay(&order, Outcome::Success).id;
    let all = world.hook.next_many(3).await;
    assert_eq!(
        all.iter().map(kind).collect::<Vec<_>>(),
        ["payment.authorized", "payment.captured", "order.paid"]
    );
    for delivery in &all {
        assert_eq!(delivery.signature, hmac(WEBHOOK_SECRET, &delivery.body));
    }
    let event = all[2].event();
    assert_eq!((&event["entity"], &event["account_id"]), (&json!("event"), &json!("acc_TesseraSandbox")));
    assert_eq!(
        (&event["contains"], &event["created_at"]),
        (&json!(["payment", "order"]), &json!(NOW / 1_000))
    );
    assert_eq!(event["payload"]["payment"]["entity"]["id"], payment.as_str());
    assert_eq!(event["payload"]["order"]["entity"]["status"], "paid");
    assert_eq!(event["payload"]["order"]["entity"]["notes"]["back"], "https://shop.example/é");
    // The pictures are of their moments.
    assert_eq!(all[0].event()["payload"]["payment"]["entity"]["status"], "authorized");
    assert_eq!(all[1].event()["payload"]["payment"]["entity"]["status"], "captured");
    assert_eq!(all[1].event()["contains"], json!(["payment"]));
    // As PHP writes it, so nobody gets away with writing the JSON anew before checking.
    assert!(all[2].body.contains(r"https:\/\/shop.example\/\u00e9"), "{}", all[2].body);
    assert!(all[2].body.starts_with(r#"{"entity":"event","account_id":"#));
    assert_ne!(all[2].body, event.to_string());
    let ids: BTreeSet<_> = all.iter().map(|one| one.event_id.clone().unwrap()).collect();
    assert_eq!(ids.len(), 3, "each event has an identifier of its own");
    assert!(ids.iter().all(|id| id.len() == 14));
}

#[tokio::test]
async fn refunds_and_failures_are_told_with_their_payment() {
    let mut world = World::in_order().await;
    let order = world.order_with(&json!({})).await;
    world.pay(&order, Outcome::Failure);
    let failed = world.hook.next().await.event();
    assert_eq!(failed["event"], "payment.failed");
    assert_eq!(failed["payload"]["payment"]["entity"]["error_reason"], "payment_failed");
    let id = world.pay(&order, Outcome::Success).id;
    world.hook.next_many(3).await;
    world.refund(&id, &json!({"amount": 500})).await.ok();
    let both = world.hook.next_many(2).await;
    assert_eq!(both.iter().map(kind).collect::<Vec<_>>(), ["refund.created", "refund.processed"]);
    let event = both[1].event();
    assert_eq!(event["contains"], json!(["refund", "payment"]));
    assert_eq!(event["payload"]["refund"]["entity"]["amount"], 500);
    assert_eq!(event["payload"]["payment"]["entity"]["refund_status"], "partial");
}

#[tokio::test]
async fn the_previous_secret_or_a_wrong_one_can_sign() {
    let mut world = World::new().await;
    let pay = async |world: &mut World| {
        let order = world.order().await;
        world.pay(&order, Outcome::Success);
        world.hook.next().await
    };
    for (switch, secret) in
        [("previous", PREVIOUS_SECRET), ("both", WEBHOOK_SECRET), ("current", WEBHOOK_SECRET)]
    {
        world.switch(&json!({"sign_with": switch}).to_string()).await;
        let delivery = pay(&mut world).await;
        assert_eq!(delivery.signature, hmac(secret, &delivery.body), "{switch}");
    }
    world.switch(r#"{"sign_with": "wrong"}"#).await;
    let forged = pay(&mut world).await;
    assert!(
        [WEBHOOK_SECRET, PREVIOUS_SECRET].iter().all(|secret| forged.signature != hmac(secret, &forged.body))
    );
}

#[tokio::test]
async fn a_delivery_is_repeated_with_the_same_identifier_until_it_is_taken() {
    let mut world = World::new().await;
    world.hook.answer(&[500, 302, 404, 429]);
    world.authorized().await;
    let all = world.hook.next_many(5).await;
    assert!(all.iter().all(|one| one.body == all[0].body && one.event_id == all[0].event_id));
    world.left(0).await;
    let event = &world.razorpay.events(None, 0, 10).unwrap()[0];
    assert_eq!((event.attempts, event.status, event.delivered_ms), (5, Some(200), Some(NOW)));
    assert_eq!(Some(&event.id), all[0].event_id.as_ref());
    world.razorpay.redeliver(&event.id).unwrap();
    let again = world.hook.next().await;
    assert_eq!((again.event_id, again.body), (all[0].event_id.clone(), all[0].body.clone()));
    assert_eq!(world.razorpay.redeliver("00000000000000").unwrap_err().status, 400);
}

#[tokio::test]
async fn held_events_are_delivered_in_any_order_that_is_asked_for() {
    let mut world = World::in_order().await;
    world.switch(r#"{"hold_webhooks": true}"#).await;
    let id = world.paid().await;
    let events = world.razorpay.events(Some(&id), 0, 10).unwrap();
    assert_eq!((events.len(), world.razorpay.undelivered().unwrap()), (3, 3));
    // Twice, so that one that is not held would come in between.
    for _ in 0..2 {
        world.razorpay.redeliver(&events[0].id).unwrap();
        assert_eq!(kind(&world.hook.next().await), "order.paid");
        world.left(2).await;
    }
    assert_eq!(world.razorpay.undelivered().unwrap(), 2);
    world.switch(r#"{"hold_webhooks": false}"#).await;
    let rest: Vec<_> = world.hook.next_many(2).await.iter().map(kind).collect();
    assert_eq!(rest, ["payment.authorized", "payment.captured"]);
    world.left(0).await;
    assert!(world.hook.quiet());
}

#[tokio::test]
async fn deliveries_can_be_dropped_duplicated_and_shuffled() {
    let mut world = World::in_order().await;
    world.switch(r#"{"drop_webhooks_next": 2, "webhook_duplicates": 2}"#).await;
    let id = world.paid().await;
    let copies = world.hook.next_many(3).await;
    assert!(copies.iter().all(|one| kind(one) == "order.paid" && one.event_id == copies[0].event_id));
    world.left(2).await;
    assert_eq!(world.razorpay.undelivered().unwrap(), 2);
    let dropped = world.razorpay.events(Some(&id), 2, 1).unwrap();
    assert_eq!((dropped[0].kind.as_str(), dropped[0].attempts), ("payment.authorized", 0));
    world.switch(r#"{"webhook_duplicates": 0}"#).await;
    world.razorpay.redeliver(&dropped[0].id).unwrap();
    assert_eq!(kind(&world.hook.next().await), "payment.authorized");

    world.switch(r#"{"webhook_shuffle_ms": 1000}"#).await;
    let mut made = Vec::new();
    for _ in 0..20 {
        made.push(world.authorized().await.1);
    }
    let arrived = world.hook.next_many(20).await;
    let id_of = |one: &Delivery| text(&one.event()["payload"]["payment"]["entity"]["id"]);
    let arrived: Vec<String> = arrived.iter().map(id_of).collect();
    assert_ne!(arrived, made);
    assert_eq!(arrived.iter().collect::<BTreeSet<_>>(), made.iter().collect::<BTreeSet<_>>());
}

#[tokio::test]
async fn deliveries_can_be_delayed() {
    let mut world = World::in_order().await;
    world.switch(r#"{"webhook_delay_ms": 600000}"#).await;
    let (_, late) = world.authorized().await;
    world.switch(r#"{"webhook_delay_ms": 0}"#).await;
    let (_, early) = world.authorized().await;
    let first: Value = world.hook.next().await.event();
    assert_eq!(first["payload"]["payment"]["entity"]["id"], early.as_str());
    assert!(world.hook.quiet());
    assert_eq!(world.razorpay.events(Some(&late), 0, 1).unwrap()[0].attempts, 0);
}

#[tokio::test]
async fn events_without_an_address_wait_for_one() {
    let mut world =
        World::with(&tessera_sandbox::Storage::Memory, |options| options.webhook_url = None).await;
    world.authorized().await;
    assert_eq!(world.razorpay.undelivered().unwrap(), 1);
    world.razorpay.set_webhook_url(Some(world.hook.url.clone()));
    world.hook.next().await;
}
