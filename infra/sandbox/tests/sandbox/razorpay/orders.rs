//! How orders are made, read and listed.

use reqwest::Method;
use serde_json::json;
use tessera_sandbox::razorpay::{OrderStatus, Outcome};

use super::{Answer, KEY, MINUTE, SECRET, World, ids};
use crate::world::{NOW, text};

#[tokio::test]
async fn an_order_looks_as_razorpay_shows_one() {
    let world = World::new().await;
    let body = json!({"amount": 5000, "currency": "INR", "receipt": "receipt#1", "notes": {"seat": "A/7", "rows": 2},
                      "partial_payment": false});
    let made = world.post("orders", &body).await.ok();
    let id = text(&made["id"]);
    assert!(id.starts_with("order_") && id.len() == 20, "{id}");
    let expected = json!({
        "id": id, "entity": "order", "amount": 5000, "amount_paid": 0, "amount_due": 5000, "currency": "INR",
        "receipt": "receipt#1", "offer_id": null, "status": "created", "attempts": 0,
        "notes": {"seat": "A/7", "rows": 2}, "created_at": NOW / 1_000,
    });
    assert_eq!(made, expected);
    assert_eq!(world.get(&format!("orders/{id}")).await.ok(), expected);
    // Without notes PHP writes an empty list.
    let bare = world.post("orders", &json!({"amount": "100", "currency": "INR"})).await.ok();
    assert_eq!((&bare["notes"], &bare["receipt"], &bare["amount"]), (&json!([]), &json!(null), &json!(100)));
}

#[tokio::test]
async fn an_order_can_be_made_by_a_form_too() {
    let world = World::new().await;
    let form = [
        ("amount", "24500"),
        ("currency", "INR"),
        ("notes[order]", "7"),
        ("payment[capture]", "automatic"),
        ("payment[capture_options][automatic_expiry_period]", "12"),
        ("payment[capture_options][refund_speed]", "normal"),
    ];
    let request = world.client.post(format!("{}/v1/orders", world.base)).basic_auth(KEY, Some(SECRET));
    let made = Answer::read(request.form(&form).send().await.unwrap()).await.ok();
    assert_eq!((&made["amount"], &made["notes"]), (&json!(24500), &json!({"order": "7"})));
    // Razorpay's own example of a PATCH sends JSON and does not say so.
    let request = world.client.patch(format!("{}/v1/orders/{}", world.base, text(&made["id"])));
    let request = request.basic_auth(KEY, Some(SECRET)).body(r#" {"notes": {"order": "8"}}"#);
    let edited = Answer::read(request.send().await.unwrap()).await.ok();
    assert_eq!(edited["notes"], json!({"order": "8"}));
}

#[tokio::test]
async fn an_order_goes_from_created_to_attempted_to_paid_and_stays_paid() {
    let world = World::new().await;
    let order = world.order().await;
    assert_eq!(world.status(&order).await, "created");
    world.pay(&order, Outcome::Failure);
    assert_eq!(world.status(&order).await, "attempted");
    let payment = world.pay(&order, Outcome::Success).id;
    let attempted = world.get(&format!("orders/{order}")).await.ok();
    assert_eq!((&attempted["status"], &attempted["attempts"]), (&json!("attempted"), &json!(2)));
    assert_eq!((&attempted["amount_paid"], &attempted["amount_due"]), (&json!(0), &json!(24500)));
    world.capture(&payment).await.ok();
    let paid = world.get(&format!("orders/{order}")).await.ok();
    assert_eq!(
        (&paid["status"], &paid["amount_paid"], &paid["amount_due"]),
        (&json!("paid"), &json!(24500), &json!(0))
    );
    world.refund(&payment, &json!({})).await.ok();
    assert_eq!(world.status(&order).await, "paid");
    let seen = world.razorpay.order(&order).unwrap();
    assert_eq!((seen.status, seen.paid, seen.payments.len()), (OrderStatus::Paid, 24500, 2));
    assert_eq!(world.razorpay.orders(0, 10).unwrap(), [seen]);
}

#[tokio::test]
async fn orders_are_listed_by_page_time_receipt_and_authorisation() {
    let world = World::new().await;
    let mut made = Vec::new();
    for receipt in ["one", "two", "one"] {
        made.push(world.order_with(&json!({"receipt": receipt, "payment": {"capture": "manual"}})).await);
        world.pass(MINUTE);
    }
    let [first, second, third] = [&made[0], &made[1], &made[2]];
    let list = async |query: &str| ids(&world.get(&format!("orders?{query}")).await.ok());
    assert_eq!(list("").await, [third, second, first].map(String::clone));
    assert_eq!(list("count=1&skip=1").await, std::slice::from_ref(second));
    assert_eq!(list("receipt=one").await, [third.clone(), first.clone()]);
    let (from, to) = (NOW / 1_000 + 1, NOW / 1_000 + 60);
    assert_eq!(list(&format!("from={from}&to={to}")).await, std::slice::from_ref(second));
    world.pay(first, Outcome::Failure);
    world.pay(second, Outcome::Success);
    assert_eq!(list("authorized=1").await, std::slice::from_ref(second));
    assert_eq!(list("authorized=0").await, [third.clone(), first.clone()]);
    let expanded = world.get("orders?receipt=two&expand[]=payments").await.ok();
    assert_eq!(ids(&expanded["items"][0]["payments"]).len(), 1);
}

#[tokio::test]
async fn the_payments_of_an_order_are_all_attempts_newest_first() {
    let world = World::new().await;
    let order = world.order().await;
    let failed = world.pay(&order, Outcome::Failure).id;
    let held = world.pay(&order, Outcome::Success).id;
    let payments = world.get(&format!("orders/{order}/payments")).await.ok();
    assert_eq!(ids(&payments), [held, failed]);
    assert_eq!(payments["items"][1]["status"], "failed");
    world.get("orders/order_00000000000000/payments").await.refused(400, "The id provided does not exist");
}

#[tokio::test]
async fn nothing_but_notes_can_be_changed() {
    let world = World::new().await;
    let payment = world.paid().await;
    let refund = text(&world.refund(&payment, &json!({"amount": 100})).await.ok()["id"]);
    let order = world.razorpay.payment(&payment).unwrap().order;
    for path in [format!("orders/{order}"), format!("payments/{payment}"), format!("refunds/{refund}")] {
        let changed = world.patch(&path, &json!({"notes": {"who": "Ada"}})).await.ok();
        assert_eq!(changed["notes"], json!({"who": "Ada"}), "{path}");
        assert_eq!(world.get(&path).await.ok()["notes"], json!({"who": "Ada"}), "{path}");
        let other = world.patch(&path, &json!({"amount": 1})).await;
        other.refused(400, "amount is/are not required and should not be sent");
        world.patch(&path, &json!({})).await.refused(400, "The notes field is required.");
    }
    let cleared = world.patch(&format!("orders/{order}"), &json!({"notes": []})).await.ok();
    assert_eq!(cleared["notes"], json!([]));
    let put = world.send(Method::PUT, &format!("orders/{order}"), &[], Some(&json!({}))).await.unwrap();
    Answer::read(put).await.refused(400, "The requested URL was not found on the server.");
}
