//! What the sandbox answers, beside the objects that Stripe documents.

use crate::support::{World, text};
use serde_json::{Value, json};

/// What Stripe documents (see `tests/fixtures/README.md`).
fn documented() -> Value {
    serde_json::from_str(include_str!("../fixtures/stripe.json")).unwrap()
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Members that are of another type than in the documented object, which has an example of each. What is nothing in one of them can be
/// of any type; what metadata has is the shop's.
fn differences(at: &str, answered: &Value, documented: &Value, found: &mut Vec<String>) {
    match (answered, documented) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(answered), Value::Object(documented)) => {
            for (name, value) in answered.iter().filter(|(name, _)| *name != "metadata") {
                match documented.get(name) {
                    Some(known) => differences(&format!("{at}.{name}"), value, known, found),
                    // At the top every member has an example; further in, only those of one variant.
                    None if !at.contains('.') => found.push(format!("{at}.{name} is not documented")),
                    None => {}
                }
            }
        }
        (answered, documented) if kind(answered) != kind(documented) => {
            found.push(format!("{at} is {}, documented is {}", kind(answered), kind(documented)));
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_answers_in_the_shapes_that_stripe_documents() {
    let world = World::new().await;
    let sale = world.sale(4, json!({})).await;
    // Declined, paid, and some of it given back; another one let go.
    let held = world.hold(&sale, 1).await;
    let order = world.order(&held, "a@example.org").await;
    let payment = world.payment(&held, &order).await;
    let intent = text(&payment["client_secret"]).split("_secret_").next().unwrap().to_owned();
    assert!(world.whole.stripe().confirm(&intent, "pm_card_chargeDeclined").is_err());
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    let path = format!("/v1/payments/{}/refunds", text(&payment["id"]));
    let some = json!({"amount": {"amount": 1000, "currency": "EUR"}});
    world.post(&path).by(&sale.organiser.token).key("some").json(some).send().await.ok();
    let gone = world.hold(&sale, 1).await;
    let order = world.order(&gone, "b@example.org").await;
    let payment = world.payment(&gone, &order).await;
    world.post(&format!("/v1/orders/{}/cancel", text(&order["id"]))).by(&gone.token).send().await.ok();
    world.settle().await;
    world.pay(&payment, "pm_card_visa");
    world.settle().await;

    let (documented, mut found, mut seen) = (documented(), Vec::new(), 0);
    let key = &world.whole.home().secrets()["stripe_secret_key"];
    for (list, name) in [
        ("payment_intents", "payment_intent"),
        ("charges", "charge"),
        ("refunds", "refund"),
        ("events", "event"),
    ] {
        let url = format!("{}/_stripe/v1/{list}?limit=100", world.url);
        let page: Value = world.http.get(url).bearer_auth(key).send().await.unwrap().json().await.unwrap();
        assert_eq!(
            (&page["object"], kind(&page["has_more"]), kind(&page["url"])),
            (&json!("list"), "bool", "text")
        );
        for item in page["data"].as_array().unwrap() {
            let (mut item, mut example) = (item.clone(), documented[name].clone());
            if name == "event" {
                // What an event is about is of the shape of that.
                let about = item["data"]["object"].take();
                let of = text(&about["object"]);
                differences(&of, &about, &documented[&of], &mut found);
                drop(example["data"]["object"].take());
            }
            differences(name, &item, &example, &mut found);
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
    found.sort();
    found.dedup();
    assert_eq!(found, Vec::<String>::new());
}
