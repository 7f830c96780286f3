//! How payments, charges and refunds change.

use serde_json::json;

use crate::world::{World, text};

#[tokio::test]
async fn a_payment_is_made_authorised_and_captured_in_stripes_states() {
    let world = World::new().await;
    let (id, _) = world.payment().await;
    assert_eq!(world.status(&id).await, "requires_payment_method");

    let held = world.confirm(&id, "pm_card_visa").await.ok();
    assert_eq!(held["status"], "requires_capture");
    assert_eq!((&held["amount_capturable"], &held["amount_received"]), (&json!(2450), &json!(0)));

    let taken =
        world.post(&format!("payment_intents/{id}/capture"), &[("expand[]", "latest_charge")]).await.ok();
    assert_eq!(taken["status"], "succeeded");
    assert_eq!((&taken["amount_capturable"], &taken["amount_received"]), (&json!(0), &json!(2450)));
    assert_eq!(taken["latest_charge"]["captured"], true);
    assert_eq!(taken["latest_charge"]["payment_method_details"]["card"]["last4"], "4242");
    assert_eq!(
        world.kinds(&id),
        [
            "payment_intent.created",
            "payment_intent.amount_capturable_updated",
            "charge.captured",
            "payment_intent.succeeded"
        ]
    );
}

#[tokio::test]
async fn a_payment_captured_automatically_is_paid_at_once() {
    let world = World::new().await;
    let form = [
        ("amount", "900"),
        ("currency", "USD"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
        ("automatic_payment_methods[enabled]", "true"),
        ("automatic_payment_methods[allow_redirects]", "never"),
        ("metadata[order]", "7"),
    ];
    let paid = world.post("payment_intents", &form).await.ok();
    assert_eq!((&paid["status"], &paid["amount_received"]), (&json!("succeeded"), &json!(900)));
    assert_eq!((&paid["currency"], &paid["metadata"]), (&json!("usd"), &json!({"order": "7"})));
    // The first event shows the payment as it was first.
    let events = world.stripe.events(Some(&text(&paid["id"])), 0, 10).unwrap();
    assert_eq!(events.last().unwrap().body["data"]["object"]["status"], "requires_confirmation");
}

#[tokio::test]
async fn a_part_can_be_captured_but_no_more_than_was_authorised() {
    let world = World::new().await;
    let (id, _) = world.payment().await;
    world.confirm(&id, "pm_card_visa").await.ok();
    let capture = format!("payment_intents/{id}/capture");
    world.post(&capture, &[("amount_to_capture", "2451")]).await.refused(
        400,
        "invalid_request_error",
        Some("amount_too_large"),
    );
    let taken = world.post(&capture, &[("amount_to_capture", "2000")]).await.ok();
    assert_eq!((&taken["amount"], &taken["amount_received"]), (&json!(2450), &json!(2000)));
    let more = world.post("refunds", &[("payment_intent", &id), ("amount", "2001")]).await;
    more.refused(400, "invalid_request_error", None);
}

#[tokio::test]
async fn a_decline_leaves_the_payment_open_for_another_card() {
    let world = World::new().await;
    let (id, _) = world.payment().await;
    let declined = world.confirm(&id, "pm_card_chargeDeclinedInsufficientFunds").await;
    let error = declined.refused(402, "card_error", Some("card_declined"));
    assert_eq!(error["decline_code"], "insufficient_funds");
    assert_eq!(error["payment_intent"]["id"], id.as_str());
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    assert_eq!(error["payment_intent"]["last_payment_error"]["decline_code"], "insufficient_funds");

    let held = world.confirm(&id, "pm_card_visa").await.ok();
    assert_eq!((&held["status"], &held["last_payment_error"]), (&json!("requires_capture"), &json!(null)));
    assert!(world.kinds(&id).contains(&"payment_intent.payment_failed".into()));
}

#[tokio::test]
async fn a_declined_payment_made_and_confirmed_in_one_call_is_kept() {
    let world = World::new().await;
    let form = [
        ("amount", "900"),
        ("currency", "eur"),
        ("payment_method_types[]", "card"),
        ("confirm", "true"),
        ("payment_method", "pm_card_chargeDeclined"),
    ];
    let error = world.post("payment_intents", &form).await.refused(402, "card_error", Some("card_declined"));
    assert_eq!(world.status(&text(&error["payment_intent"]["id"])).await, "requires_payment_method");
}

#[tokio::test]
async fn a_card_that_needs_authentication_waits_for_the_buyer() {
    let world = World::new().await;
    let (id, _) = world.payment().await;
    let form =
        [("payment_method", "pm_card_authenticationRequired"), ("return_url", "https://shop.example/back")];
    let asked = world.post(&format!("payment_intents/{id}/confirm"), &form).await.ok();
    assert_eq!(asked["status"], "requires_action");
    let redirect = &asked["next_action"]["redirect_to_url"];
    assert_eq!(redirect["return_url"], "https://shop.example/back");
    assert!(text(&redirect["url"]).starts_with(&format!("{}/pay/{id}?", world.base)));

    world.stripe.authenticate(&id, false).unwrap();
    assert_eq!(world.status(&id).await, "requires_payment_method");
    world.post(&format!("payment_intents/{id}/confirm"), &form).await.ok();
    world.stripe.authenticate(&id, true).unwrap();
    assert_eq!(world.status(&id).await, "requires_capture");
    assert_eq!(world.kinds(&id).iter().filter(|kind| *kind == "payment_intent.requires_action").count(), 2);
}

/// Every operation in every state: what passes, and that the rest says how the payment stands.
#[tokio::test]
async fn an_operation_in_the_wrong_state_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let states = [
        ("requires_payment_method", ["confirm", "cancel"].as_slice()),
        ("requires_confirmation", &["confirm", "cancel"]),
        ("requires_action", &["confirm", "cancel"]),
        ("requires_capture", &["capture", "cancel"]),
        ("succeeded", &["refund"]),
        ("canceled", &[]),
    ];
    for (state, allowed) in states {
        for operation in ["confirm", "capture", "cancel", "refund"] {
            let (id, _) = world.payment().await;
            let at = format!("payment_intents/{id}");
            match state {
                "requires_confirmation" => {
                    drop(world.post(&at, &[("payment_method", "pm_card_visa")]).await.ok())
                }
                "requires_action" => drop(world.confirm(&id, "pm_card_authenticationRequired").await.ok()),
                "requires_capture" => drop(world.confirm(&id, "pm_card_visa").await.ok()),
                "succeeded" => {
                    world.confirm(&id, "pm_card_visa").await.ok();
                    world.post(&format!("{at}/capture"), &[]).await.ok();
                }
                "canceled" => drop(world.post(&format!("{at}/cancel"), &[]).await.ok()),
                _ => {}
            }
            assert_eq!(world.status(&id).await, state);
            let before = world.kinds(&id);
            let answer = match operation {
                "confirm" => world.confirm(&id, "pm_card_visa").await,
                "refund" => world.post("refunds", &[("payment_intent", &id)]).await,
                _ => world.post(&format!("{at}/{operation}"), &[]).await,
            };
            if allowed.contains(&operation) {
                answer.ok();
            } else {
                let code = Some("payment_intent_unexpected_state");
                let error = answer.refused(400, "invalid_request_error", code);
                assert_eq!(error["payment_intent"]["status"], state, "{operation}");
                assert_eq!(
                    (world.status(&id).await.as_str(), world.kinds(&id)),
                    (state, before),
                    "{operation}"
                );
            }
        }
    }
}

#[tokio::test]
async fn cancelling_gives_back_what_was_set_aside() {
    let world = World::new().await;
    let (id, _) = world.payment().await;
    world.confirm(&id, "pm_card_visa").await.ok();
    let form = [("cancellation_reason", "abandoned"), ("expand[]", "latest_charge")];
    let canceled = world.post(&format!("payment_intents/{id}/cancel"), &form).await.ok();
    assert_eq!(
        (&canceled["status"], &canceled["cancellation_reason"]),
        (&json!("canceled"), &json!("abandoned"))
    );
    assert_eq!(
        (&canceled["amount_capturable"], &canceled["latest_charge"]["refunded"]),
        (&json!(0), &json!(true))
    );
    assert!(world.kinds(&id).ends_with(&["charge.refunded".into(), "payment_intent.canceled".into()]));
}

#[tokio::test]
async fn refunds_add_up_to_what_was_taken_and_no_further() {
    let world = World::new().await;
    let id = world.paid().await;
    let first = world
        .post("refunds", &[("payment_intent", &id), ("amount", "450"), ("metadata[line]", "1")])
        .await
        .ok();
    assert_eq!((&first["amount"], &first["status"]), (&json!(450), &json!("succeeded")));
    let charge = text(&first["charge"]);
    world.post("refunds", &[("charge", &charge), ("amount", "2001")]).await.refused(
        400,
        "invalid_request_error",
        None,
    );
    let rest = world.post("refunds", &[("charge", &charge)]).await.ok();
    assert_eq!(rest["amount"], 2000);
    let again = world.post("refunds", &[("payment_intent", &id)]).await;
    again.refused(400, "invalid_request_error", Some("charge_already_refunded"));

    let charge = world.get(&format!("charges/{charge}"), &[]).await.ok();
    assert_eq!((&charge["refunded"], &charge["amount_refunded"]), (&json!(true), &json!(2450)));
    let listed = world.get("refunds", &[("payment_intent", &id)]).await.ok();
    assert_eq!(listed["data"][0]["id"], rest["id"]);
    let at = format!("refunds/{}", text(&first["id"]));
    let changed = world.post(&at, &[("metadata[line]", ""), ("metadata[why]", "rain")]).await.ok();
    assert_eq!(changed["metadata"], json!({"why": "rain"}));
    assert_eq!(world.get(&at, &[]).await.ok()["metadata"], json!({"why": "rain"}));
    assert_eq!(world.kinds(&id).iter().filter(|kind| *kind == "charge.refunded").count(), 2);
    assert_eq!(world.kinds(&id).last().unwrap(), "refund.updated");
}

#[tokio::test]
async fn a_refund_that_fails_later_can_be_made_again() {
    let world = World::new().await;
    let (id, _) = world.payment().await;
    world.confirm(&id, "pm_card_refundFail").await.ok();
    world.post(&format!("payment_intents/{id}/capture"), &[]).await.ok();
    let made = world.post("refunds", &[("payment_intent", &id)]).await.ok();
    assert_eq!(made["status"], "succeeded");
    let later = world.get(&format!("refunds/{}", text(&made["id"])), &[]).await.ok();
    assert_eq!(later["status"], "failed");
    assert_eq!(world.stripe.payment(&id).unwrap().refunded, 0);
    world.post("refunds", &[("payment_intent", &id)]).await.ok();

    let good = world.paid().await;
    let refund = text(&world.post("refunds", &[("payment_intent", &good)]).await.ok()["id"]);
    assert_eq!(world.stripe.payment(&good).unwrap().refunded, 2450);
    assert_eq!(world.stripe.fail_refund(&refund).unwrap().refunded, 0);
}

#[tokio::test]
async fn an_unpaid_payment_can_be_changed_and_metadata_always() {
    let world = World::new().await;
    let (id, _) = world.payment().await;
    let at = format!("payment_intents/{id}");
    let changed =
        world.post(&at, &[("amount", "100"), ("metadata[a]", "1"), ("metadata[b]", "2")]).await.ok();
    assert_eq!((&changed["amount"], &changed["metadata"]), (&json!(100), &json!({"a": "1", "b": "2"})));
    world.confirm(&id, "pm_card_visa").await.ok();
    let amount = world.post(&at, &[("amount", "200")]).await;
    amount.refused(400, "invalid_request_error", Some("payment_intent_unexpected_state"));
    let changed = world.post(&at, &[("metadata[a]", ""), ("description", "")]).await.ok();
    assert_eq!((&changed["metadata"], &changed["description"]), (&json!({"b": "2"}), &json!(null)));
}

#[tokio::test]
async fn lists_are_newest_first_and_paged_both_ways() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, world.payment().await.0);
    }
    let list = async |query: &[(&str, &str)]| {
        let page = world.get("payment_intents", query).await.ok();
        let ids: Vec<_> = page["data"].as_array().unwrap().iter().map(|one| text(&one["id"])).collect();
        (ids, page["has_more"].as_bool().unwrap())
    };
    assert_eq!(list(&[("limit", "2")]).await, (ids[..2].to_vec(), true));
    assert_eq!(list(&[("limit", "2"), ("starting_after", &ids[1])]).await, (ids[2..4].to_vec(), true));
    assert_eq!(list(&[("limit", "2"), ("starting_after", &ids[3])]).await, (ids[4..].to_vec(), false));
    assert_eq!(list(&[("limit", "2"), ("ending_before", &ids[3])]).await, (ids[1..3].to_vec(), true));
    assert_eq!(list(&[("created[gt]", "1795219200")]).await, (vec![], false));
    assert_eq!(list(&[("created[gte]", "1795219200")]).await, (ids.clone(), false));
    let events = world.get("events", &[("type", "payment_intent.created"), ("limit", "100")]).await.ok();
    assert_eq!(events["data"].as_array().unwrap().len(), 5);
    let none = world.get("events", &[("types[]", "refund.created")]).await.ok();
    assert_eq!(none["data"], json!([]));
    assert_eq!(
        world.stripe.payments(1, 2).unwrap().iter().map(|one| &one.id).collect::<Vec<_>>(),
        [&ids[1], &ids[2]]
    );
}
