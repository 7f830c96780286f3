//! Orders.

use crate::support::{World, text, uuid};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_free_order_confirms_without_anything_more() {
    let world = World::new().await;
    let sale = world.sale(5, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    let (held, order) = world.buy(&sale, 2, "free@example.org").await;
    assert_eq!(order["status"], "confirmed");
    let what: Vec<_> = order["history"].as_array().unwrap().iter().map(|step| text(&step["what"])).collect();
    assert_eq!(what, ["placed", "confirmed", "tickets_issued"]);
    assert_eq!(world.tickets(&held, &order).await.len(), 2);
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ordering_twice_is_one_order_and_other_data_is_refused() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let held = world.hold(&sale, 1).await;
    let first = world.order(&held, "a@example.org").await;
    assert_eq!(world.order(&held, "a@example.org").await["id"], first["id"]);
    let other = json!({"quote": held.hold["quote"], "contact": {"name": "Other", "email": "b@example.org"}});
    world.post("/v1/orders").by(&held.token).json(other).send().await.refused(422, "key_reused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_or_stolen_quote_orders_nothing() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let (held, thief) = (world.hold(&sale, 1).await, world.hold(&sale, 1).await);
    let order = |quote: &str| json!({"quote": quote, "contact": {"name": "X", "email": "x@example.org"}});
    let quote = text(&held.hold["quote"]);
    world.post("/v1/orders").by(&thief.token).json(order(&quote)).send().await.refused(400, "invalid_input");
    let (body, seal) = quote.split_once('.').unwrap();
    use base64::Engine;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let cheaper =
        String::from_utf8(engine.decode(body).unwrap()).unwrap().replace("\"amount\":2500", "\"amount\":1");
    let forged = format!("{}.{seal}", engine.encode(cheaper));
    world.post("/v1/orders").by(&held.token).json(order(&forged)).send().await.refused(400, "invalid_input");
    world.post("/v1/orders").json(order(&quote)).send().await.refused(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_reads_the_order_by_the_mailed_link() {
    let world = World::new().await;
    let sale = world.sale(5, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    let (_, order) = world.buy(&sale, 1, "guest@example.org").await;
    let mail = world.mail_to("guest@example.org").text.unwrap();
    let link = mail.lines().find_map(|line| line.strip_prefix("Your order: ")).expect("a link");
    let path = link.strip_prefix(&world.url).expect("our address").to_owned();
    assert_eq!(world.get(&path).send().await.ok()["id"], order["id"]);
    let key = path.split_once("key=").unwrap().1.to_owned();
    let tickets = world.get(&format!("/v1/tickets?order={}&key={key}", text(&order["id"]))).send().await.ok();
    assert_eq!(tickets["items"].as_array().unwrap().len(), 1);
    world.get(path.split('?').next().unwrap()).send().await.refused(404, "not_found");
    world.get(&path.replace("key=", "key=A")).send().await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_an_order_up_frees_its_places() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let held = world.hold(&sale, 2).await;
    let order = world.order(&held, "a@example.org").await;
    let cancel = format!("/v1/orders/{}/cancel", text(&order["id"]));
    for _ in 0..2 {
        assert_eq!(world.post(&cancel).by(&held.token).send().await.ok()["status"], "cancelled");
    }
    world.settle().await;
    assert_eq!(world.left(&sale).await, 2);
    let pay = format!("/v1/orders/{}/payments", text(&order["id"]));
    world
        .post(&pay)
        .by(&held.token)
        .json(json!({"provider": "stripe"}))
        .send()
        .await
        .refused(409, "wrong_state");
}

#[tokio::test(flavor = "multi_thread")]
async fn organisers_list_orders_and_strangers_do_not() {
    let world = World::new().await;
    let sale = world.sale(9, json!({})).await;
    for n in 0..3 {
        let held = world.hold(&sale, 1).await;
        world.order(&held, &format!("o{n}@example.org")).await;
    }
    let path = format!("/v1/events/{}/orders?limit=2", sale.event);
    let page = world.get(&path).by(&sale.organiser.token).send().await.ok();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["has_more"]), (2, &json!(true)));
    let other = world.organiser("other").await;
    world.get(&path).by(&other.token).send().await.refused(404, "not_found");
    let token = text(&world.account("buyer@example.org").await["access_token"]);
    assert_eq!(world.get("/v1/orders").by(&token).send().await.ok()["items"], json!([]));
    let hold = world.post("/v1/holds").by(&token).key(&uuid()).json(world.basket(&sale, 1)).send().await.ok();
    let order = json!({"quote": hold["quote"], "contact": {"name": "B", "email": "buyer@example.org"}});
    world.post("/v1/orders").by(&token).json(order).send().await.ok();
    assert_eq!(world.get("/v1/orders").by(&token).send().await.ok()["items"].as_array().unwrap().len(), 1);
}
