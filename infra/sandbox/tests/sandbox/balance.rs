//! What the shop's balance with Stripe says of charges and refunds.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::world::{NOW, World, text};

#[tokio::test]
async fn a_captured_charge_comes_into_the_balance_less_its_fee() {
    let world = World::new().await;
    let (id, _) = world.payment().await;
    let held = world.confirm(&id, "pm_card_visa").await.ok();
    let charge = text(&held["latest_charge"]);
    let shown = world.get(&format!("charges/{charge}"), &[]).await.ok();
    assert_eq!(shown["balance_transaction"], json!(null), "nothing has come in");
    assert_eq!(world.get("balance_transactions", &[]).await.ok()["data"], json!([]));

    world.post(&format!("payment_intents/{id}/capture"), &[("amount_to_capture", "2000")]).await.ok();
    let expand = [("expand[]", "balance_transaction")];
    let shown = world.get(&format!("charges/{charge}"), &expand).await.ok();
    let moved = &shown["balance_transaction"];
    let expected = json!({
        "id": moved["id"], "object": "balance_transaction", "amount": 2000, "available_on": NOW / 1_000,
        "balance_type": "payments", "created": NOW / 1_000, "currency": "eur", "description": "Two places",
        "exchange_rate": null, "fee": 53, "net": 1947, "reporting_category": "charge", "source": charge,
        "status": "available", "type": "charge",
        "fee_details": [{"amount": 53, "application": null, "currency": "eur", "type": "stripe_fee",
                         "description": "Stripe processing fees"}],
    });
    assert_eq!(moved, &expected);
    assert!(text(&moved["id"]).starts_with("txn_"));
    let found = world.get(&format!("balance_transactions/{}", text(&moved["id"])), &[]).await.ok();
    assert_eq!(found, expected);
    world.get("balance_transactions/txn_none", &[]).await.refused(
        404,
        "invalid_request_error",
        Some("resource_missing"),
    );
}

#[tokio::test]
async fn fees_are_rounded_half_up() {
    let world = World::new().await;
    // 1.4 per cent of 250 is 3.5, of 249 is 3.486, of 1 is 0.014.
    for (amount, fee) in [("250", 29), ("249", 28), ("1", 25), ("100000", 1_425)] {
        let form = [
            ("amount", amount),
            ("currency", "eur"),
            ("payment_method_types[]", "card"),
            ("confirm", "true"),
            ("payment_method", "pm_card_visa"),
            ("expand[]", "latest_charge.balance_transaction"),
        ];
        let paid = world.post("payment_intents", &form).await.ok();
        assert_eq!(paid["latest_charge"]["balance_transaction"]["fee"], fee, "{amount}");
    }
}

#[tokio::test]
async fn a_refund_leaves_the_balance_without_its_fee_and_comes_back_if_it_fails() {
    let world = World::new().await;
    let id = world.paid().await;
    let form = [("payment_intent", id.as_str()), ("amount", "500"), ("expand[]", "balance_transaction")];
    let refund = world.post("refunds", &form).await.ok();
    let moved = &refund["balance_transaction"];
    assert_eq!((&moved["amount"], &moved["net"], &moved["fee"]), (&json!(-500), &json!(-500), &json!(0)));
    assert_eq!((&moved["type"], &moved["reporting_category"]), (&json!("refund"), &json!("refund")));
    assert_eq!((&moved["source"], &moved["fee_details"]), (&refund["id"], &json!([])));
    // It is there from the first that is told of the refund.
    let events = world.stripe.events(Some(&id), 0, 10).unwrap();
    let created = events.iter().find(|event| event.kind == "refund.created").unwrap();
    assert_eq!(created.body["data"]["object"]["balance_transaction"], moved["id"]);

    let refund = text(&refund["id"]);
    world.stripe.fail_refund(&refund).unwrap();
    let expand = [("expand[]", "failure_balance_transaction")];
    let failed = world.get(&format!("refunds/{refund}"), &expand).await.ok();
    let back = &failed["failure_balance_transaction"];
    assert_eq!((&back["amount"], &back["type"]), (&json!(500), &json!("refund_failure")));
    let all = world.get("balance_transactions", &[]).await.ok();
    let nets: i64 = all["data"].as_array().unwrap().iter().map(|one| one["net"].as_i64().unwrap()).sum();
    assert_eq!(nets, 2450 - 59, "the fee is all that is missing");
}

#[tokio::test]
async fn the_balance_is_listed_by_time_type_and_source() {
    let world = World::new().await;
    let id = world.paid().await;
    world.clock.fetch_add(60_000, Ordering::Relaxed);
    let refund = text(&world.post("refunds", &[("payment_intent", &id)]).await.ok()["id"]);
    world.paid().await;
    let list = async |query: &[(&str, &str)]| {
        let list = world.get("balance_transactions", query).await.ok();
        assert_eq!((&list["object"], &list["url"]), (&json!("list"), &json!("/v1/balance_transactions")));
        let all = list["data"].as_array().unwrap().iter();
        all.map(|one| (text(&one["type"]), text(&one["id"]))).collect::<Vec<_>>()
    };
    let all = list(&[]).await;
    let kinds: Vec<_> = all.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["charge", "refund", "charge"]);
    assert_eq!(list(&[("type", "refund")]).await, all[1..2]);
    assert_eq!(list(&[("source", &refund)]).await, all[1..2]);
    let later = (NOW / 1_000 + 1).to_string();
    assert_eq!(list(&[("created[gte]", &later)]).await, all[..2]);
    assert_eq!(list(&[("created[lt]", &later)]).await, all[2..]);
    assert_eq!(list(&[("limit", "1"), ("starting_after", &all[0].1)]).await, all[1..2]);
    let expanded = world.get("balance_transactions", &[("expand[]", "data.source")]).await.ok();
    assert_eq!(expanded["data"][1]["source"]["object"], "refund");
    assert_eq!(expanded["data"][2]["source"]["object"], "charge");
}
