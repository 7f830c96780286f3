//! How events reach the shop.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use aws_lc_rs::digest::{SHA256, digest};
use tessera_sandbox::Storage;

use crate::world::{Delivery, Hook, NOW, PREVIOUS_SECRET, WEBHOOK_SECRET, World, soon, text};

/// HMAC-SHA256 by its definition (RFC 2104), so that the check shares nothing with what it checks.
pub(crate) fn hmac(secret: &str, message: &str) -> String {
    let mut key = secret.as_bytes().to_vec();
    key.resize(64, 0);
    let padded = |pad: u8| key.iter().map(move |byte| byte ^ pad);
    let inner: Vec<u8> = padded(0x36).chain(message.bytes()).collect();
    let inner = digest(&SHA256, &inner);
    let outer: Vec<u8> = padded(0x5c).chain(inner.as_ref().iter().copied()).collect();
    digest(&SHA256, &outer).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The header that these secrets make at this time.
fn expected(delivery: &Delivery, seconds: i64, secrets: &[&str]) -> String {
    let signed =
        secrets.iter().map(|secret| format!(",v1={}", hmac(secret, &format!("{seconds}.{}", delivery.body))));
    format!("t={seconds}{}", signed.collect::<String>())
}

async fn in_order() -> World {
    World::with(&Storage::Memory, |options| options.concurrency = 1).await
}

#[tokio::test]
async fn an_event_arrives_signed_with_the_secret_over_time_and_body() {
    let mut world = World::new().await;
    let (id, _) = world.payment().await;
    let delivery = world.hook.next().await;
    assert_eq!(delivery.signature, expected(&delivery, NOW / 1_000, &[WEBHOOK_SECRET]));
    let event = delivery.event();
    assert_eq!((&event["object"], &event["type"]), (&"event".into(), &"payment_intent.created".into()));
    assert_eq!((&event["livemode"], &event["pending_webhooks"]), (&false.into(), &1.into()));
    assert_eq!(event["created"], NOW / 1_000);
    assert_eq!(event["data"]["object"]["id"], id.as_str());
    assert!(text(&event["request"]["id"]).starts_with("req_"));
    assert!(text(&event["id"]).starts_with("evt_"));
    assert!(event["api_version"].is_string());
    // Stripe breaks lines, so nobody gets away with writing the JSON anew before checking.
    assert_ne!(delivery.body, event.to_string());
}

#[tokio::test]
async fn the_previous_secret_signs_alone_or_beside_the_new_one() {
    let mut world = World::new().await;
    world.switch(r#"{"sign_with": "both"}"#).await;
    world.payment().await;
    let delivery = world.hook.next().await;
    assert_eq!(delivery.signature, expected(&delivery, NOW / 1_000, &[WEBHOOK_SECRET, PREVIOUS_SECRET]));
    world.switch(r#"{"sign_with": "previous"}"#).await;
    world.clock.fetch_add(5_000, Ordering::Relaxed);
    world.payment().await;
    let delivery = world.hook.next().await;
    assert_eq!(delivery.signature, expected(&delivery, NOW / 1_000 + 5, &[PREVIOUS_SECRET]));
}

#[tokio::test]
async fn events_can_be_signed_with_a_secret_nobody_knows() {
    let mut world = World::new().await;
    world.switch(r#"{"sign_with": "wrong"}"#).await;
    world.payment().await;
    let forged = world.hook.next().await;
    for secret in [WEBHOOK_SECRET, PREVIOUS_SECRET] {
        assert_ne!(forged.signature, expected(&forged, NOW / 1_000, &[secret]));
    }
}

#[tokio::test]
async fn a_dropped_event_comes_when_it_is_asked_for() {
    let mut world = in_order().await;
    world.switch(r#"{"drop_webhooks_next": 1}"#).await;
    let dropped = world.payment().await.0;
    let told = world.payment().await.0;
    let paid = |delivery: &Delivery| text(&delivery.event()["data"]["object"]["id"]);
    assert_eq!(paid(&world.hook.next().await), told);
    let event = &world.stripe.events(Some(&dropped), 0, 1).unwrap()[0];
    assert_eq!((event.attempts, event.delivered_ms), (0, None));
    world.stripe.redeliver(&event.id).unwrap();
    assert_eq!(paid(&world.hook.next().await), dropped);
}

#[tokio::test]
async fn a_delivery_is_repeated_until_it_is_taken() {
    let mut world = World::new().await;
    world.hook.answer(&[500, 302, 404, 429, 500]);
    world.payment().await;
    let all = world.hook.next_many(6).await;
    assert_eq!(all.iter().map(Delivery::id).collect::<BTreeSet<_>>().len(), 1);
    assert!(all.iter().all(|one| one.body == all[0].body), "every attempt has the same body");
    settled(&world).await;
    let event = &world.stripe.events(None, 0, 10).unwrap()[0];
    assert_eq!((event.attempts, event.status, event.delivered_ms), (6, Some(200), Some(NOW)));
    assert_eq!(event.body["pending_webhooks"], 0);
    assert!(world.hook.quiet());
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_tried_again_when_it_is() {
    let mut world = World::with(&Storage::Memory, |options| {
        // A port nobody listens on.
        options.webhook_url = Some("http://127.0.0.1:9/hook".into());
    })
    .await;
    world.payment().await;
    soon(async {
        while world.stripe.events(None, 0, 1).unwrap()[0].attempts < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let event = &world.stripe.events(None, 0, 1).unwrap()[0];
    assert!(event.trouble.is_some() && event.status.is_none() && event.delivered_ms.is_none());
    world.stripe.set_webhook_url(Some(world.hook.url.clone()));
    assert_eq!(world.hook.next().await.kind(), "payment_intent.created");
}

#[tokio::test]
async fn events_without_an_address_wait_for_one() {
    let mut world = World::with(&Storage::Memory, |options| options.webhook_url = None).await;
    world.payment().await;
    assert_eq!(world.stripe.undelivered().unwrap(), 1);
    world.stripe.set_webhook_url(Some(world.hook.url.clone()));
    world.hook.next().await;
}

#[tokio::test]
async fn held_events_wait_to_be_released_or_asked_for() {
    let mut world = in_order().await;
    world.switch(r#"{"hold_webhooks": true}"#).await;
    let id = world.paid().await;
    let events = world.stripe.events(Some(&id), 0, 10).unwrap();
    assert_eq!((events.len(), world.stripe.undelivered().unwrap()), (4, 4));

    // The last that happened first: the shop hears of the payment before it hears of its beginning.
    world.stripe.redeliver(&events[0].id).unwrap();
    assert_eq!(world.hook.next().await.kind(), "payment_intent.succeeded");
    soon(async {
        while world.stripe.undelivered().unwrap() > 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(world.hook.quiet());
    world.switch(r#"{"hold_webhooks": false}"#).await;
    let rest: Vec<_> = world.hook.next_many(3).await.iter().map(Delivery::kind).collect();
    assert_eq!(
        rest,
        ["payment_intent.created", "payment_intent.amount_capturable_updated", "charge.captured"],
        "what was asked for is not sent again"
    );
    settled(&world).await;
    assert!(world.hook.quiet());
}

#[tokio::test]
async fn a_delivered_event_can_be_delivered_again() {
    let mut world = World::new().await;
    world.payment().await;
    let first = world.hook.next().await;
    settled(&world).await;
    world.stripe.redeliver(&first.id()).unwrap();
    assert_eq!(world.hook.next().await.body, first.body);
    assert_eq!(world.stripe.redeliver("evt_none").unwrap_err().status, 404);
}

#[tokio::test]
async fn deliveries_can_be_duplicated() {
    let mut world = World::new().await;
    world.switch(r#"{"webhook_duplicates": 4}"#).await;
    world.payment().await;
    let all = world.hook.next_many(5).await;
    assert!(all.iter().all(|one| one.body == all[0].body && one.signature == all[0].signature));
    settled(&world).await;
    assert!(world.hook.quiet());
}

#[tokio::test]
async fn one_at_a_time_events_keep_their_order_and_shuffled_they_do_not() {
    let mut world = in_order().await;
    for (switches, same) in [("{}", true), (r#"{"webhook_shuffle_ms": 1000}"#, false)] {
        world.switch(switches).await;
        let mut made = Vec::new();
        for _ in 0..20 {
            made.push(world.payment().await.0);
        }
        let arrived = world.hook.next_many(20).await;
        let arrived: Vec<_> = arrived.iter().map(|one| text(&one.event()["data"]["object"]["id"])).collect();
        assert_eq!(arrived == made, same, "{switches}");
        assert_eq!(arrived.iter().collect::<BTreeSet<_>>(), made.iter().collect::<BTreeSet<_>>());
    }
}

#[tokio::test]
async fn deliveries_can_be_delayed() {
    let mut world = in_order().await;
    world.switch(r#"{"webhook_delay_ms": 600000}"#).await;
    let late = world.payment().await.0;
    world.switch(r#"{"webhook_delay_ms": 0}"#).await;
    let early = world.payment().await.0;
    assert_eq!(
        text(&world.hook.next().await.event()["data"]["object"]["id"]),
        early,
        "it overtakes the delayed one"
    );
    assert!(world.hook.quiet());
    let waiting = world.stripe.events(Some(&late), 0, 1).unwrap();
    assert_eq!((waiting[0].attempts, waiting[0].delivered_ms), (0, None));
    world.stripe.redeliver(&waiting[0].id).unwrap();
    world.hook.next().await;
}

#[tokio::test]
async fn the_receiver_may_be_slow_without_holding_up_the_others() {
    let world = World::with(&Storage::Memory, |options| options.concurrency = 8).await;
    // Takes nothing before eight are there at once.
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(8));
    let wait = move || {
        let barrier = std::sync::Arc::clone(&barrier);
        async move {
            barrier.wait().await;
        }
    };
    let url = crate::world::serve(axum::Router::new().route("/", axum::routing::post(wait))).await;
    world.stripe.set_webhook_url(Some(url));
    for _ in 0..8 {
        world.payment().await;
    }
    settled(&world).await;
}

#[tokio::test]
async fn a_receiver_that_redirects_has_not_taken_the_event() {
    let mut world = World::new().await;
    let other = Hook::listen().await;
    let target = other.url.clone();
    let redirect =
        axum::routing::post(move || std::future::ready(axum::response::Redirect::temporary(&target)));
    let url = crate::world::serve(axum::Router::new().route("/", redirect)).await;
    world.stripe.set_webhook_url(Some(url));
    world.payment().await;
    soon(async {
        while world.stripe.events(None, 0, 1).unwrap()[0].attempts < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(world.stripe.events(None, 0, 1).unwrap()[0].status, Some(307));
    world.stripe.set_webhook_url(Some(world.hook.url.clone()));
    world.hook.next().await;
}

/// Until everything that happened has been taken.
async fn settled(world: &World) {
    soon(async {
        while world.stripe.undelivered().unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
