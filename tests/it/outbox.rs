//! From what is stored to who is told.

use crate::support::World;
use jiff::SignedDuration;
use serde_json::json;
use tessera_sqs::NewMessage;

#[tokio::test(flavor = "multi_thread")]
async fn one_poison_message_among_ten_stops_nobody_else() {
    let world = World::new().await;
    let sale = world.sale(50, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    let sqs = world.whole.home().sqs();
    for poison in [
        "not json",
        r#"{"id":"msg_00000000000000000000000000","at":"2027-01-01T00:00:00Z","type":"nobody.knows.v9","data":{}}"#,
    ] {
        sqs.send("tessera-local-order", &NewMessage::new(poison)).unwrap();
    }
    let mut orders = Vec::new();
    for n in 0..9 {
        let held = world.hold(&sale, 1).await;
        let order = world.order(&held, &format!("b{n}@example.org")).await;
        orders.push((held, order));
    }
    world.settle().await;
    for (held, order) in &orders {
        assert_eq!(world.read_order(held, order).await["status"], "confirmed");
    }
    let dead = sqs.peek("tessera-local-order-dead", 0, 10).unwrap();
    assert_eq!(dead.len(), 2);
    // maxReceiveCount is five: five tries by the worker; the sixth receive moved it.
    assert!(dead.iter().all(|message| message.body.contains("nobody.knows") || message.body == "not json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_finds_what_the_stream_did_not_carry_and_repeating_it_does_no_harm() {
    let world = World::new().await;
    let sale = world.sale(5, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    // Nothing reaches a queue: as if the outbox's function had been switched off.
    world.whole.home().sqs().purge("tessera-local-booking").unwrap();
    let (_, order) = world.buy(&sale, 1, "guest@example.org").await;
    assert_eq!((order["status"].as_str(), world.sold(&sale).await), (Some("confirmed"), 1));
    world.advance(SignedDuration::from_hours(2)).await;
    world.whole.run_job("OutboxFunction", "sweep").await.unwrap();
    world.settle().await;
    let confirmations = world.mails_to("guest@example.org");
    assert_eq!(confirmations.len(), 1, "messages that were sent again told nobody twice");
    assert_eq!(world.dead_letters(), 0);
}
