//! The same call twice.

use std::sync::atomic::Ordering;

use reqwest::Method;

use crate::world::{Answer, World, soon, text};

const FORM: [(&str, &str); 3] = [("amount", "2450"), ("currency", "eur"), ("payment_method_types[]", "card")];

async fn keyed(world: &World, key: &str, path: &str, form: &[(&str, &str)]) -> Answer {
    world.call(Method::POST, path, &[("idempotency-key", key)], form).await
}

#[tokio::test]
async fn a_repeated_call_gets_the_first_answer_and_does_nothing_more() {
    let world = World::new().await;
    let first = keyed(&world, "one", "payment_intents", &FORM).await;
    let turned = [FORM[2], FORM[0], FORM[1]];
    let again = keyed(&world, "one", "payment_intents", &turned).await;
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("original-request"), first.header("request-id"));
    assert_eq!(first.body, again.body);
    assert_eq!(world.stripe.payments(0, 10).unwrap().len(), 1);
    keyed(&world, "two", "payment_intents", &FORM).await.ok();
    assert_eq!(world.stripe.payments(0, 10).unwrap().len(), 2);
}

#[tokio::test]
async fn a_decline_is_repeated_too() {
    let world = World::new().await;
    let (id, _) = world.payment().await;
    let at = format!("payment_intents/{id}/confirm");
    let form = [("payment_method", "pm_card_chargeDeclined")];
    let first = keyed(&world, "pay", &at, &form).await;
    let again = keyed(&world, "pay", &at, &form).await;
    assert_eq!((first.status, again.status), (402, 402));
    assert_eq!(first.body, again.body);
    let failed = world.kinds(&id).iter().filter(|kind| *kind == "payment_intent.payment_failed").count();
    assert_eq!(failed, 1);
}

#[tokio::test]
async fn a_key_is_good_for_one_set_of_parameters() {
    let world = World::new().await;
    keyed(&world, "one", "payment_intents", &FORM).await.ok();
    let other = [("amount", "1"), FORM[1], FORM[2]];
    keyed(&world, "one", "payment_intents", &other).await.refused(400, "idempotency_error", None);
    keyed(&world, "one", "refunds", &FORM).await.refused(400, "idempotency_error", None);
    assert_eq!(world.stripe.payments(0, 10).unwrap().len(), 1);
}

#[tokio::test]
async fn a_call_refused_for_its_parameters_leaves_the_key_free() {
    let world = World::new().await;
    let wrong = keyed(&world, "one", "payment_intents", &FORM[..1]).await;
    wrong.refused(400, "invalid_request_error", Some("parameter_missing"));
    keyed(&world, "one", "payment_intents", &FORM).await.ok();
}

#[tokio::test]
async fn a_key_in_use_is_a_conflict_until_its_call_is_answered() {
    let world = World::new().await;
    world.switch(r#"{"api_delay_ms": 600000}"#).await;
    let slow = async { drop(keyed(&world, "one", "payment_intents", &FORM).await) };
    let impatient = async {
        // The first call has made its payment, and is not answered yet.
        while world.stripe.payments(0, 10).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        world.switch(r#"{"api_delay_ms": 0}"#).await;
        keyed(&world, "one", "payment_intents", &FORM).await
    };
    let conflict = tokio::select! {
        () = slow => panic!("answered too soon"),
        conflict = soon(impatient) => conflict,
    };
    conflict.refused(409, "idempotency_error", Some("idempotency_key_in_use"));
    // The first caller has hung up by now; its key is free, and its answer was kept.
    let again = soon(async {
        loop {
            let again = keyed(&world, "one", "payment_intents", &FORM).await;
            if again.status != 409 {
                return again;
            }
        }
    });
    let again = again.await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(text(&again.ok()["id"]), world.stripe.payments(0, 10).unwrap()[0].id);
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let world = World::new().await;
    keyed(&world, "one", "payment_intents", &FORM).await.ok();
    world.clock.fetch_add(86_399_000, Ordering::Relaxed);
    let again = keyed(&world, "one", "payment_intents", &FORM).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    world.clock.fetch_add(2_000, Ordering::Relaxed);
    keyed(&world, "one", "payment_intents", &FORM).await.ok();
    assert_eq!(world.stripe.payments(0, 10).unwrap().len(), 2);
}

#[tokio::test]
async fn ten_equal_calls_at_once_make_one_payment() {
    let world = World::new().await;
    let calls = (0..10).map(|_| keyed(&world, "one", "payment_intents", &FORM));
    for answer in futures_util::future::join_all(calls).await {
        assert!([200, 409].contains(&answer.status), "{:#}", answer.body);
    }
    assert_eq!(world.stripe.payments(0, 10).unwrap().len(), 1);
}
