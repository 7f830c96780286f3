//! The checkout, as a buyer's browser uses it.

use std::collections::BTreeMap;

use reqwest::Response;
use serde_json::{Value, json};
use tessera_sandbox::razorpay::{Method, Status};

use super::{KEY, SECRET, World};
use crate::webhooks::hmac;

const BACK: &str = "https://shop.example/paid?order=7&lang=en";
const AWAY: &str = "https://shop.example/cart";

/// The fields of a form on a page, by the address it posts to.
fn form(html: &str, action: &str) -> BTreeMap<String, String> {
    let action = format!("action=\"{}\"", action.replace('&', "&amp;").replace('/', "&#x2f;"));
    let start = html.find(&action).unwrap_or_else(|| panic!("no form with {action}: {html}"));
    let form = &html[start..start + html[start..].find("</form>").unwrap()];
    let attribute = |tag: &str, name: &str| {
        let start = tag.find(&format!("{name}=\""))? + name.len() + 2;
        let value = &tag[start..start + tag[start..].find('"')?];
        let value = value.replace("&quot;", "\"").replace("&#x2f;", "/").replace("&#x27;", "'");
        Some(value.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    };
    let inputs = form.split("<input").skip(1);
    inputs.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?))).collect()
}

async fn html(response: Response) -> String {
    assert_eq!(response.status(), 200);
    assert!(response.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    response.text().await.unwrap()
}

impl World {
    /// Opens the checkout as a shop's form does.
    async fn checkout(&self, order: &str, more: &[(&str, &str)]) -> Response {
        let form = [
            ("key_id", KEY),
            ("order_id", order),
            ("name", "The shop"),
            ("description", "Two places"),
            ("prefill[email]", "ada@example.com"),
            ("prefill[contact]", "+919876543210"),
            ("notes[table]", "7"),
            ("callback_url", BACK),
            ("cancel_url", AWAY),
        ];
        let request = self.client.post(format!("{}/v1/checkout/embedded", self.base));
        request.form(&[&form, more].concat()).send().await.unwrap()
    }

    /// Presses a button of the page.
    async fn press(&self, page: &str, order: &str, more: &[(&str, &str)]) -> Response {
        let action = format!("{}/pay/{order}", self.base);
        let mut fields = form(page, &action);
        fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.client.post(action).form(&fields).send().await.unwrap()
    }
}

#[tokio::test]
async fn a_buyer_pays_and_is_taken_back_with_a_signature() {
    let world = World::new().await;
    let order = world.order().await;
    let page = html(world.checkout(&order, &[("amount", "24500"), ("currency", "INR")]).await).await;
    assert!(page.contains("245.00") && page.contains("INR") && page.contains("Two places"));
    for button in ["pay", "wait", "decline", "cancel"] {
        assert!(page.contains(&format!("value=\"{button}\"")), "{button}");
    }
    let page = html(world.press(&page, &order, &[("action", "pay"), ("method", "upi")]).await).await;
    assert!(page.contains("Payment complete"));
    let back = form(&page, BACK);
    let payment = &back["razorpay_payment_id"];
    assert_eq!(back["razorpay_order_id"], order);
    assert_eq!(back["razorpay_signature"], hmac(SECRET, &format!("{order}|{payment}")));
    assert_eq!(back["razorpay_signature"], world.razorpay.signature(&order, payment));
    assert_eq!(back.len(), 3);
    let seen = world.get(&format!("payments/{payment}")).await.ok();
    assert_eq!((&seen["status"], &seen["method"]), (&json!("authorized"), &json!("upi")));
    assert_eq!((&seen["email"], &seen["contact"]), (&json!("ada@example.com"), &json!("+919876543210")));
    assert_eq!((&seen["description"], &seen["notes"]), (&json!("Two places"), &json!({"table": "7"})));
    assert_eq!((&seen["vpa"], &seen["card_id"]), (&json!("success@razorpay"), &json!(null)));
    assert_eq!(world.razorpay.payment(payment).unwrap().method, Method::Upi);
}

#[tokio::test]
async fn a_failure_takes_the_error_back_or_lets_the_buyer_try_again() {
    let world = World::new().await;
    let order = world.order().await;
    let page = html(world.checkout(&order, &[]).await).await;
    let page = html(world.press(&page, &order, &[("action", "decline")]).await).await;
    let back = form(&page, BACK);
    assert_eq!(back["error[code]"], "BAD_REQUEST_ERROR");
    assert_eq!((back["error[source]"].as_str(), back["error[reason]"].as_str()), ("bank", "payment_failed"));
    assert!(back["error[description]"].contains("declined"));
    let metadata: Value = serde_json::from_str(&back["error[metadata]"]).unwrap();
    let failed = world.razorpay.payments(0, 1).unwrap().remove(0);
    assert_eq!(metadata, json!({"order_id": order, "payment_id": failed.id}));
    assert!(!page.contains("razorpay_signature"), "no signature for what was not paid");
    // On the same page.
    let page = html(world.press(&page, &order, &[("action", "pay")]).await).await;
    assert!(form(&page, BACK).contains_key("razorpay_signature"));
    assert_eq!(world.razorpay.order(&order).unwrap().payments.len(), 2);
}

#[tokio::test]
async fn a_bank_can_be_silent_and_answer_later() {
    let world = World::new().await;
    for (answer, field, status) in
        [("approve", "razorpay_signature", Status::Authorized), ("refuse", "error[code]", Status::Failed)]
    {
        let order = world.order().await;
        let page = html(world.checkout(&order, &[]).await).await;
        let page = html(world.press(&page, &order, &[("action", "wait")]).await).await;
        assert!(page.contains("The bank has not answered") && !page.contains("razorpay_signature"));
        let payment = world.razorpay.order(&order).unwrap().payments.remove(0);
        assert_eq!(world.razorpay.payment(&payment).unwrap().status, Status::Created);
        let page = html(world.press(&page, &order, &[("action", answer)]).await).await;
        assert!(form(&page, BACK).contains_key(field), "{answer}");
        assert_eq!(world.razorpay.payment(&payment).unwrap().status, status);
    }
}

#[tokio::test]
async fn who_gives_up_goes_to_the_shops_page_for_it() {
    let world = World::new().await;
    let order = world.order().await;
    let page = html(world.checkout(&order, &[]).await).await;
    let left = world.press(&page, &order, &[("action", "cancel")]).await;
    assert_eq!((left.status().as_u16(), left.headers()["location"].to_str().unwrap()), (303, AWAY));
    assert_eq!(world.status(&order).await, "created");
}

#[tokio::test]
async fn a_link_opens_the_page_too_and_without_a_way_back_it_shows_the_outcome() {
    let world = World::new().await;
    let order = world.order_with(&json!({})).await;
    let page = html(world.client.get(world.razorpay.pay_url(&order)).send().await.unwrap()).await;
    let paid = html(world.press(&page, &order, &[("action", "pay")]).await).await;
    assert!(paid.contains("Payment complete") && !paid.contains("razorpay_signature"));
    // A second press, perhaps in another window, pays nothing.
    let again = html(world.press(&page, &order, &[("action", "pay")]).await).await;
    assert!(again.contains("already paid"), "{again}");
    assert_eq!(world.razorpay.order(&order).unwrap().payments.len(), 1);
}

#[tokio::test]
async fn the_page_opens_only_for_the_shops_key_and_the_orders_amount() {
    let world = World::new().await;
    let order = world.order().await;
    for (more, status) in [
        (("key_id", "rzp_test_of_others"), 401),
        (("key_id", ""), 400),
        (("order_id", "order_00000000000000"), 400),
        (("amount", "1"), 400),
        (("currency", "USD"), 400),
        (("callback_url", "javascript:alert(1)"), 400),
        (("cancel_url", "//other.example"), 400),
    ] {
        let response = world.checkout(&order, &[more]).await;
        assert_eq!(response.status(), status, "{more:?}");
    }
    let page = html(world.checkout(&order, &[]).await).await;
    let other = html(world.press(&page, &order, &[("action", "steal")]).await).await;
    assert!(other.contains("No such action."));
    assert!(world.razorpay.payments(0, 10).unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_is_only_for_a_payment_of_this_order() {
    let world = World::new().await;
    let [mine, other] = [world.order().await, world.order().await];
    let foreign = world.pay(&other, tessera_sandbox::razorpay::Outcome::Silence).id;
    let page = html(world.checkout(&mine, &[]).await).await;
    world.press(&page, &mine, &[("action", "approve"), ("payment_id", &foreign)]).await;
    assert_eq!(world.razorpay.payment(&foreign).unwrap().status, Status::Created);
}

#[tokio::test]
async fn the_page_escapes_what_it_shows() {
    let world = World::new().await;
    let order = world.order().await;
    let more =
        [("description", "<script>alert(1)</script>"), ("callback_url", "https://shop.example/\"><b>")];
    let page = html(world.checkout(&order, &more).await).await;
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script") && !page.contains("<b>"));
}
