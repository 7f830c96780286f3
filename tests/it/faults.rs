//! Crashes: the process dies before or after any call to any store, and the same books come out in the end.
//!
//! The calls are not listed by hand. A run counts them; then the same story is told once for each call and side, with a
//! home in which from that call on every store is out of reach (as a killed process would leave it), until it "starts
//! again". A new call in the flow is a new crash here without anybody writing it.

use crate::support::{Held, Sale, World, text, uuid};
use serde_json::{Value, json};
use tessera_local::stores::faults::Side;
use tessera_sandbox::stripe::Status;

/// Asks until it is answered: what a client with an idempotent request does when a server has died.
async fn insist(world: &World, what: &str, call: impl AsyncFn() -> crate::support::Answer) -> Value {
    for _ in 0..30 {
        let answer = call().await;
        if answer.status < 500 {
            return answer.ok();
        }
        // The crashed process starts again.
        world.whole.home().faults().clear();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{what} was never answered");
}

/// One sale told with a crash at a call: hold, order, pay, all insisting.
async fn story(world: &World, sale: &Sale, name: &str) -> (Held, Value) {
    let key = uuid();
    let hold = insist(world, "hold", async || {
        world.post("/v1/holds").key(&key).json(world.basket(sale, 2)).send().await
    })
    .await;
    let held = Held { token: text(&hold["guest_token"]), hold };
    let body = json!({"quote": held.hold["quote"], "contact": {"name": name, "email": format!("{name}@example.org")}});
    let order = insist(world, "order", async || {
        world.post("/v1/orders").by(&held.token).json(body.clone()).send().await
    })
    .await;
    let path = format!("/v1/orders/{}/payments", text(&order["id"]));
    let open = async || world.post(&path).by(&held.token).json(json!({"provider": "stripe"})).send().await;
    let payment = insist(world, "payment", open).await;
    world.pay(&payment, "pm_card_visa");
    (held, order)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_or_after_any_store_call_of_a_purchase_loses_and_doubles_nothing() {
    let world = World::new().await;
    let sale = world.sale(5_000, json!({})).await;
    let faults = world.whole.home().faults();
    let before = faults.calls();
    let (held, order) = story(&world, &sale, "measure").await;
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
    let calls = faults.calls() - before;
    assert!(calls > 15, "{calls} calls");

    let mut told = 1;
    for step in 1..=calls {
        for side in [Side::Before, Side::After] {
            let name =
                format!("crash{step}{}", if matches!(side, Side::Before) { "before" } else { "after" });
            faults.crash_at(faults.calls() + step, side);
            let (held, order) = story(&world, &sale, &name).await;
            world.revive().await;
            told += 1;
            let order = world.read_order(&held, &order).await;
            assert_eq!(order["status"], "confirmed", "{name}: {order}");
            assert_eq!(world.tickets(&held, &order).await.len(), 2, "{name}");
            assert!(!world.mails_to(&format!("{name}@example.org")).is_empty(), "{name}: no mail");
        }
    }
    let payments = world.whole.stripe().payments(0, 1_000).unwrap();
    assert_eq!(payments.len(), told, "one payment each");
    assert!(payments.iter().all(|payment| payment.status == Status::Succeeded && payment.received == 5_000));
    assert_eq!(world.sold(&sale).await, 2 * told as u64);
    assert_eq!(world.dead_letters(), 0);
    // A hold whose answer was lost and whose retry reached another lane leaves a stray entry until its time is over.
    world.advance(jiff::SignedDuration::from_secs(601)).await;
    world.whole.run_job("BookingWorker", "tidy").await.unwrap();
    assert_eq!(world.left(&sale).await, 5_000 - 2 * told as u64, "places sold + left = capacity");
}
