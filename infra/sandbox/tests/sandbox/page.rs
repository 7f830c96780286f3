//! The pay page, as a buyer's browser uses it.

use std::path::Path;

use reqwest::{Method, Response};
use tessera_sandbox::Storage;

use crate::world::World;

const BACK: &str = "https://shop.example/orders/7?lang=en";

async fn press(world: &World, id: &str, secret: &str, form: &[(&str, &str)]) -> Response {
    let form = [&[("client_secret", secret), ("return_url", BACK)], form].concat();
    world.send(Method::POST, &format!("/pay/{id}"), &[], &form).await.unwrap()
}

fn location(response: &Response) -> &str {
    assert_eq!(response.status(), 303);
    response.headers()["location"].to_str().unwrap()
}

#[tokio::test]
async fn the_page_shows_amount_and_description_and_escapes_them() {
    let world = World::new().await;
    let (id, secret) = world.payment().await;
    world.post(&format!("payment_intents/{id}"), &[("description", "<script>alert(1)</script>")]).await.ok();
    let query = [("client_secret", secret.as_str()), ("return_url", "https://shop.example/\"><b>")];
    let response = world.send(Method::GET, &format!("/pay/{id}"), &[], &query).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let html = response.text().await.unwrap();
    assert!(html.contains("24.50") && html.contains("EUR"));
    assert!(html.contains("&lt;script&gt;"));
    assert!(!html.contains("<script") && !html.contains("<b>"));
    for button in ["pay", "decline", "authenticate", "cancel"] {
        assert!(html.contains(&format!("value=\"{button}\"")), "{button}");
    }
}

#[tokio::test]
async fn amounts_are_shown_in_the_currencys_own_units() {
    let world = World::new().await;
    for (amount, currency, shown) in
        [("1500", "jpy", ">1\u{2009}500 "), ("1500", "kwd", ">1.500 "), ("5", "eur", ">0.05 ")]
    {
        let made = world.post("payment_intents", &[("amount", amount), ("currency", currency)]).await.ok();
        let path = format!("/pay/{}", made["id"].as_str().unwrap());
        let query = [("client_secret", made["client_secret"].as_str().unwrap())];
        let html = world.send(Method::GET, &path, &[], &query).await.unwrap().text().await.unwrap();
        assert!(html.contains(shown), "{amount} {currency}");
    }
}

#[tokio::test]
async fn the_page_opens_only_with_the_client_secret() {
    let world = World::new().await;
    let (id, secret) = world.payment().await;
    let (_, other) = world.payment().await;
    for query in [&[][..], &[("client_secret", other.as_str())]] {
        let response = world.send(Method::GET, &format!("/pay/{id}"), &[], query).await.unwrap();
        assert_eq!(response.status(), 404);
    }
    let response = press(&world, &id, &other, &[("action", "pay")]).await;
    assert_eq!(response.status(), 404);
    assert_eq!(world.status(&id).await, "requires_payment_method");
    let response = press(&world, &id, &secret, &[("action", "steal")]).await;
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn the_way_back_must_be_a_web_address() {
    let world = World::new().await;
    let (id, secret) = world.payment().await;
    for url in
        ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "/relative", "//other.example"]
    {
        let form = [("client_secret", secret.as_str()), ("return_url", url), ("action", "pay")];
        let response = world.send(Method::POST, &format!("/pay/{id}"), &[], &form).await.unwrap();
        assert_eq!(response.status(), 400, "{url}");
    }
    assert_eq!(world.status(&id).await, "requires_payment_method");
}

#[tokio::test]
async fn each_button_does_what_it_says_and_leads_back_to_the_shop() {
    let world = World::new().await;
    for (action, status, word) in [
        ("pay", "requires_capture", "succeeded"),
        ("decline", "requires_payment_method", "failed"),
        ("cancel", "canceled", "canceled"),
    ] {
        let (id, secret) = world.payment().await;
        let response = press(&world, &id, &secret, &[("action", action), ("number", "")]).await;
        let end = format!(
            "{BACK}&payment_intent={id}&payment_intent_client_secret={secret}&redirect_status={word}"
        );
        assert_eq!(location(&response), end);
        assert_eq!(world.status(&id).await, status);
    }
}

#[tokio::test]
async fn authentication_asks_first_and_the_buyer_may_refuse() {
    let world = World::new().await;
    for (answer, status, word) in
        [("approve", "requires_capture", "succeeded"), ("refuse", "requires_payment_method", "failed")]
    {
        let (id, secret) = world.payment().await;
        let response = press(&world, &id, &secret, &[("action", "authenticate")]).await;
        assert!(location(&response).starts_with("?client_secret="), "back to this page");
        assert_eq!(world.status(&id).await, "requires_action");
        let query = [("client_secret", secret.as_str())];
        let page = world.send(Method::GET, &format!("/pay/{id}"), &[], &query).await.unwrap();
        assert!(page.text().await.unwrap().contains("value=\"approve\""));
        let response = press(&world, &id, &secret, &[("action", answer)]).await;
        assert!(location(&response).ends_with(&format!("redirect_status={word}")));
        assert_eq!(world.status(&id).await, status);
    }
}

#[tokio::test]
async fn without_a_way_back_the_page_shows_the_outcome() {
    let world = World::new().await;
    let (id, secret) = world.payment().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let press = async |action: &str| {
        let request = client.post(format!("{}/pay/{id}?client_secret={secret}", world.base));
        request.form(&[("action", action)]).send().await.unwrap().text().await.unwrap()
    };
    let declined = press("decline").await;
    assert!(declined.contains("Your card was declined.") && declined.contains("value=\"pay\""));
    assert!(press("pay").await.contains("Payment complete"));
    assert!(press("pay").await.contains("Payment complete"), "a second press changes nothing");
    assert_eq!(world.stripe.payment(&id).unwrap().capturable, 2450);
}

/// Looks for a number in every file of a folder.
fn found(folder: &Path, number: &str) -> bool {
    let files = std::fs::read_dir(folder).unwrap();
    let mut files = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.any(|bytes| bytes.windows(number.len()).any(|window| window == number.as_bytes()))
}

#[tokio::test]
async fn a_card_number_pays_or_is_declined_and_is_kept_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::with(&Storage::File(folder.path().join("stripe.db")), |_| {}).await;
    for (number, status) in [
        ("4242 4242 4242 4242", "requires_capture"),
        ("4000000000000002", "requires_payment_method"),
        ("4000-0025-0000-3155", "requires_action"),
        ("4111111111111111", "requires_payment_method"),
    ] {
        let (id, secret) = world.payment().await;
        press(&world, &id, &secret, &[("action", "pay"), ("number", number)]).await;
        assert_eq!(world.status(&id).await, status, "{number}");
        assert!(found(folder.path(), &id), "the search works");
        assert!(!found(folder.path(), number), "{number}");
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        assert!(!found(folder.path(), &digits), "{number}");
    }
    let (id, secret) = world.payment().await;
    let unknown = press(&world, &id, &secret, &[("action", "pay"), ("number", "4111111111111111")]).await;
    assert_eq!(unknown.status(), 402);
    let page = unknown.text().await.unwrap();
    assert!(page.contains("card number is incorrect") && !page.contains("4111111111111111"));
    assert_eq!(world.kinds(&id), ["payment_intent.created"]);
}
