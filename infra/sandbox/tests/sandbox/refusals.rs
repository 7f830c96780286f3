//! What the API refuses, and how it says so.

use reqwest::Method;

use crate::world::{Answer, PUBLISHABLE_KEY, SECRET_KEY, World, text};

#[tokio::test]
async fn a_call_needs_the_secret_key_as_bearer_or_as_basic_user() {
    let world = World::new().await;
    let list = async |headers: &[(&str, &str)]| {
        Answer::read(world.send(Method::GET, "/v1/payment_intents", headers, &[]).await.unwrap()).await
    };
    list(&[]).await.refused(401, "invalid_request_error", None);
    let wrong = list(&[("authorization", "Bearer sk_test_of_somebody_else")]).await;
    let error = wrong.refused(401, "invalid_request_error", None);
    assert!(!text(&error["message"]).contains("somebody"), "a key is not repeated");
    list(&[("authorization", &format!("Bearer {SECRET_KEY}"))]).await.ok();
    let response = world
        .client
        .get(format!("{}/v1/payment_intents", world.base))
        .basic_auth(SECRET_KEY, Some(""))
        .send()
        .await;
    Answer::read(response.unwrap()).await.ok();
}

#[tokio::test]
async fn a_browser_confirms_with_the_client_secret_and_sees_no_metadata() {
    let world = World::new().await;
    let (id, secret) = world.payment().await;
    world.post(&format!("payment_intents/{id}"), &[("metadata[order]", "7")]).await.ok();
    let confirm = async |path: &str, form: &[(&str, &str)]| {
        let form = [&[("key", PUBLISHABLE_KEY)], form].concat();
        Answer::read(world.send(Method::POST, path, &[], &form).await.unwrap()).await
    };
    let at = format!("/v1/payment_intents/{id}/confirm");
    confirm(&at, &[]).await.refused(400, "invalid_request_error", Some("parameter_missing"));
    confirm(&at, &[("client_secret", "pi_wrong")]).await.refused(
        400,
        "invalid_request_error",
        Some("payment_intent_invalid_parameter"),
    );
    let form = [("client_secret", secret.as_str()), ("payment_method", "pm_card_chargeDeclined")];
    let declined = confirm(&at, &form).await.refused(402, "card_error", Some("card_declined"));
    assert!(declined["payment_intent"].get("metadata").is_none());
    let form = [("client_secret", secret.as_str()), ("payment_method", "pm_card_visa")];
    let held = confirm(&at, &form).await.ok();
    assert_eq!(held["status"], "requires_capture");
    assert!(held.get("metadata").is_none());
    let capture = format!("/v1/payment_intents/{id}/capture");
    confirm(&capture, &form).await.refused(401, "invalid_request_error", Some("secret_key_required"));
}

#[tokio::test]
async fn parameters_are_checked_and_named() {
    let world = World::new().await;
    let long = "x".repeat(501);
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, &'a str);
    let cases: &[Case<'_>] = &[
        (&[("currency", "eur")], Some("parameter_missing"), "amount"),
        (&[("amount", "10")], Some("parameter_missing"), "currency"),
        (&[("amount", "ten"), ("currency", "eur")], Some("parameter_invalid_integer"), "amount"),
        (&[("amount", "0"), ("currency", "eur")], Some("parameter_invalid_integer"), "amount"),
        (&[("amount", "-5"), ("currency", "eur")], Some("parameter_invalid_integer"), "amount"),
        (&[("amount", "100000000"), ("currency", "eur")], Some("amount_too_large"), "amount"),
        (&[("amount", "10"), ("currency", "eux")], None, "currency"),
        (&[("amount", "10"), ("currency", "eur"), ("colour", "red")], Some("parameter_unknown"), "colour"),
        (&[("amount", "10"), ("currency", "eur"), ("capture_method", "later")], None, "capture_method"),
        (&[("amount", "10"), ("currency", "eur"), ("metadata[a]", &long)], None, "metadata[a]"),
        (
            &[("amount", "10"), ("currency", "eur"), ("payment_method", "pm_unknown")],
            Some("resource_missing"),
            "payment_method",
        ),
        (
            &[("amount", "10"), ("currency", "eur"), ("payment_method", "pm_card_visa"), ("confirm", "true")],
            None,
            "return_url",
        ),
    ];
    for (form, code, param) in cases {
        let error = world.post("payment_intents", form).await.refused(400, "invalid_request_error", *code);
        assert_eq!(error["param"], *param, "{form:?}");
    }
    assert!(world.stripe.payments(0, 10).unwrap().is_empty(), "a refused call makes nothing");
    assert!(world.stripe.events(None, 0, 10).unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_there_is_404_in_a_path_and_400_in_a_parameter() {
    let world = World::new().await;
    for path in ["payment_intents/pi_none", "refunds/re_none", "charges/ch_none", "events/evt_none"] {
        world.get(path, &[]).await.refused(404, "invalid_request_error", Some("resource_missing"));
    }
    world.get("customers", &[]).await.refused(404, "invalid_request_error", None);
    let list = world.get("payment_intents", &[("starting_after", "pi_none")]).await;
    list.refused(400, "invalid_request_error", Some("resource_missing"));
    world.get("payment_intents", &[("limit", "101")]).await.refused(
        400,
        "invalid_request_error",
        Some("parameter_invalid_integer"),
    );
    let (id, _) = world.payment().await;
    let expand = world.get(&format!("payment_intents/{id}"), &[("expand[]", "amount")]).await;
    expand.refused(400, "invalid_request_error", None);
}

#[tokio::test]
async fn every_answer_names_its_request_and_version() {
    let world = World::new().await;
    let first = world.get("payment_intents", &[]).await;
    let other = world.call(Method::GET, "payment_intents", &[("stripe-version", "2024-06-20")], &[]).await;
    assert!(first.header("request-id").unwrap().starts_with("req_"));
    assert_ne!(first.header("request-id"), other.header("request-id"));
    assert_eq!(other.header("stripe-version"), Some("2024-06-20"));
    assert!(first.header("stripe-version").is_some());
}

#[tokio::test]
async fn a_card_number_in_an_api_call_is_refused() {
    let world = World::new().await;
    let (id, _) = world.payment().await;
    let form =
        [("payment_method_data[type]", "card"), ("payment_method_data[card][number]", "4242424242424242")];
    let error = world.post(&format!("payment_intents/{id}/confirm"), &form).await;
    error.refused(400, "invalid_request_error", None);
    assert_eq!(world.status(&id).await, "requires_payment_method");
}
