//! What the API refuses, and how it says so.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, KEY, SECRET, World};
use crate::world::text;

#[tokio::test]
async fn a_call_needs_the_key_and_its_secret_spelt_as_basic() {
    let world = World::new().await;
    let url = format!("{}/v1/orders", world.base);
    let bare = Answer::read(world.client.get(&url).send().await.unwrap()).await;
    let error = bare.refused(401, "Please provide your api key for authentication purposes.");
    assert_eq!(error["source"], "NA");
    let as_who = async |id: &str, secret: &str| {
        let request = world.client.get(&url).basic_auth(id, Some(secret));
        Answer::read(request.send().await.unwrap()).await
    };
    as_who("rzp_test_of_others", SECRET).await.refused(401, "The api key provided is invalid");
    as_who(KEY, "guessed").await.refused(401, "Authentication failed");
    as_who(KEY, "").await.refused(401, "Authentication failed");
    as_who(KEY, SECRET).await.ok();
    let header = world.client.get(&url).basic_auth(KEY, Some(SECRET)).build().unwrap();
    let header = header.headers()["authorization"].to_str().unwrap().replacen("Basic", "basic", 1);
    let small = world.client.get(&url).header("authorization", header).send().await.unwrap();
    Answer::read(small).await.refused(401, "Authentication failed");
}

#[tokio::test]
async fn parameters_are_checked_and_named() {
    let world = World::new().await;
    let notes: Value =
        (0..16).map(|at| (at.to_string(), Value::from("x"))).collect::<serde_json::Map<_, _>>().into();
    let options = |options: Value| json!({"capture": "automatic", "capture_options": options});
    for (change, field, description) in [
        (json!({"amount": null}), "amount", "The amount field is required."),
        (json!({"amount": "ten"}), "amount", "The amount must be an integer."),
        (json!({"amount": 10.5}), "amount", "The amount must be an integer."),
        (json!({"amount": 99}), "amount", "The amount must be at least INR 1.00"),
        (json!({"amount": -1}), "amount", "The amount must be at least INR 1.00"),
        (json!({"amount": 999, "currency": "KWD"}), "amount", "The amount must be at least KWD 1.000"),
        (json!({"amount": 50_000_000_001_i64}), "amount", "Amount exceeds maximum amount allowed."),
        (json!({"currency": null}), "currency", "The currency field is required."),
        (json!({"currency": "RUPEE"}), "currency", "Currency is not supported"),
        (json!({"currency": 7}), "currency", "The currency must be a string."),
        (json!({"receipt": "x".repeat(41)}), "receipt", "The receipt may not be greater than 40 characters."),
        (json!({"notes": notes}), "notes", "Number of fields in notes should be less than or equal to 15"),
        (json!({"notes": {"a": "x".repeat(257)}}), "notes", "notes.a must be a text of up to 256 characters"),
        (json!({"notes": {"a": {}}}), "notes", "notes.a must be a text of up to 256 characters"),
        (json!({"notes": "rain"}), "notes", "The notes must be an array."),
        (
            json!({"partial_payment": true}),
            "partial_payment",
            "Partial payments are not enabled on this account.",
        ),
        (
            json!({"partial_payment": "no"}),
            "partial_payment",
            "The partial_payment field must be true or false.",
        ),
        (json!({"colour": "red"}), "colour", "colour is/are not required and should not be sent"),
        (json!({"payment": "manual"}), "payment", "The payment must be an array."),
        (json!({"payment": {"capture": "later"}}), "capture", "The selected capture is invalid."),
        (
            json!({"payment": options(json!({"refund_speed": "normal"}))}),
            "automatic_expiry_period",
            "The automatic expiry period field is required.",
        ),
        (
            json!({"payment": options(json!({"automatic_expiry_period": 11}))}),
            "automatic_expiry_period",
            "The automatic expiry period must be between 12 and 7200.",
        ),
        (
            json!({"payment": options(json!({"automatic_expiry_period": 60, "manual_expiry_period": 59}))}),
            "manual_expiry_period",
            "The manual expiry period must be between 60 and 7200.",
        ),
        (
            json!({"payment": options(json!({"automatic_expiry_period": 60, "refund_speed": "soon"}))}),
            "refund_speed",
            "The selected refund speed is invalid.",
        ),
    ] {
        let mut body = json!({"amount": 24500, "currency": "INR"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let error = world.post("orders", &body).await.refused(400, description);
        assert_eq!(error["field"], field, "{change}");
        assert_eq!(error["reason"], "input_validation_failed");
    }
    assert!(world.razorpay.orders(0, 10).unwrap().is_empty(), "a refused call makes nothing");
}

#[tokio::test]
async fn refunds_are_checked_too() {
    let world = World::new().await;
    let id = world.paid().await;
    for (body, description) in [
        (json!({"amount": 99}), "The amount must be at least INR 1.00"),
        (json!({"speed": "soon"}), "The selected speed is invalid."),
        (json!({"colour": "red"}), "colour is/are not required and should not be sent"),
    ] {
        world.refund(&id, &body).await.refused(400, description);
    }
    assert_eq!(world.razorpay.payment(&id).unwrap().refunded, 0);
}

#[tokio::test]
async fn what_is_not_there_is_400() {
    let world = World::new().await;
    for (kind, prefix) in [("orders", "order"), ("payments", "pay"), ("refunds", "rfnd")] {
        let unknown = world.get(&format!("{kind}/{prefix}_00000000000000")).await;
        unknown.refused(400, "The id provided does not exist");
        let odd = world.get(&format!("{kind}/{prefix}_7")).await;
        odd.refused(400, &format!("{prefix}_7 is not a valid id"));
    }
    world.get("customers").await.refused(400, "The requested URL was not found on the server.");
    let elsewhere = world.client.get(format!("{}/v2/orders", world.base)).send().await.unwrap();
    Answer::read(elsewhere).await.refused(400, "The requested URL was not found on the server.");
    let delete = world.send(Method::DELETE, "orders/order_00000000000000", &[], None).await.unwrap();
    Answer::read(delete).await.refused(400, "The requested URL was not found on the server.");
}

#[tokio::test]
async fn a_page_of_a_list_has_one_to_a_hundred_entities() {
    let world = World::new().await;
    for list in ["orders", "payments", "refunds"] {
        world.get(&format!("{list}?count=100")).await.ok();
        let many = world.get(&format!("{list}?count=101")).await;
        assert_eq!(many.refused(400, "The count must be at most 100.")["field"], "count");
        world.get(&format!("{list}?count=0")).await.refused(400, "The count must be at least 1.");
        world.get(&format!("{list}?skip=-1")).await.refused(400, "The skip must be at least 0.");
        world.get(&format!("{list}?from=today")).await.refused(400, "The from must be an integer.");
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused() {
    let world = World::new().await;
    let request = world.client.post(format!("{}/v1/orders", world.base)).basic_auth(KEY, Some(SECRET));
    let answer = Answer::read(request.body(r#"{"amount": 100,"#).send().await.unwrap()).await;
    assert_eq!(answer.status, 400);
    assert!(text(&answer.body["error"]["description"]).starts_with("The request body is no JSON"));
}
