//! Events and offers.

use crate::support::{World, text, uuid};
use jiff::SignedDuration;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_drafted_offered_published_and_found_in_its_city() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let event = world.draft(&organiser, json!({"city": "Köln"})).await;
    let path = format!("/v1/events/{event}");
    world.get(&path).send().await.refused(404, "not_found");
    let publish = format!("{path}/publish");
    world.post(&publish).by(&organiser.token).send().await.refused(409, "wrong_state");
    world.offer(&organiser, &event, json!({"capacity": 60})).await;
    world.publish(&organiser, &event).await;
    world.advance(SignedDuration::from_secs(3)).await;
    let shown = world.get(&path).send().await.ok();
    assert_eq!((&shown["status"], &shown["offers"][0]["available"]), (&json!("published"), &json!(60)));
    assert_eq!(shown["offers"][0]["sale_status"], "open");
    assert!(shown["offers"][0]["etag"].is_null(), "for the organiser only");
    world.get("/v1/events").send().await.refused(400, "invalid_input");
    for city in ["K%C3%B6ln", "k%C3%96LN"] {
        let found = world.get(&format!("/v1/events?city={city}")).send().await.ok();
        assert_eq!(found["items"][0]["id"], json!(event), "{found}");
    }
    world.post(&publish).by(&organiser.token).send().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_paged_by_signed_cursors() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    for hour in 0..5 {
        let starts =
            json!({"local": world.local(SignedDuration::from_hours(700 + hour)), "zone": "Europe/Berlin"});
        let event = world.draft(&organiser, json!({"starts": starts, "city": "Bonn"})).await;
        world.offer(&organiser, &event, json!({"capacity": 1})).await;
        world.publish(&organiser, &event).await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/events?city=Bonn&limit=2".to_owned();
    loop {
        let page = world.get(&path).send().await.ok();
        seen.extend(page["items"].as_array().unwrap().iter().map(|event| text(&event["starts_at"])));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/events?city=Bonn&limit=2&cursor={cursor}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted());
    world.get("/v1/events?city=Bonn&cursor=forged.x").send().await.refused(400, "invalid_input");
    world.get("/v1/events?city=Bonn&limit=101").send().await.refused(400, "invalid_input");
    world.get("/v1/events?city=Bonn&limit=two").send().await.refused(400, "invalid_input");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_need_the_version_that_was_read() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let event = world.draft(&organiser, json!({})).await;
    let read = format!("/v1/organisations/{}/events/{event}", organiser.organisation);
    let etag = world.get(&read).by(&organiser.token).send().await.header("etag").to_owned();
    let details = json!({"name": "Winter", "city": "Berlin", "venue": "Hall",
        "starts": {"local": world.local(SignedDuration::from_hours(800)), "zone": "Europe/Berlin"}});
    let path = format!("/v1/events/{event}");
    let edit = || world.put(&path).by(&organiser.token).json(details.clone());
    edit().send().await.refused(428, "version_required");
    edit().header("If-Match", "\"v9\"").send().await.refused(412, "version_changed");
    let changed = edit().header("If-Match", &etag).send().await;
    assert_ne!(changed.header("etag"), etag);
    assert_eq!(changed.ok()["name"], "Winter");
    edit().header("If-Match", &etag).send().await.refused(412, "version_changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn public_answers_are_revalidated_without_a_body() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    world.advance(SignedDuration::from_secs(3)).await;
    let path = format!("/v1/events/{}", sale.event);
    let first = world.get(&path).send().await;
    assert_eq!(first.header("cache-control"), "public, max-age=1");
    let again = world.get(&path).header("If-None-Match", first.header("etag")).send().await;
    assert_eq!((again.status, again.bytes.len()), (304, 0));
    world.hold(&sale, 1).await;
    world.advance(SignedDuration::from_secs(3)).await;
    assert_eq!(world.get(&path).header("If-None-Match", first.header("etag")).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_event_needs_its_code_and_is_not_listed() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let event = world
        .draft(&organiser, json!({"visibility": {"kind": "private", "code": "sesame"}, "city": "Ulm"}))
        .await;
    world.offer(&organiser, &event, json!({"capacity": 1})).await;
    world.publish(&organiser, &event).await;
    world.get(&format!("/v1/events/{event}")).send().await.refused(404, "not_found");
    world.get(&format!("/v1/events/{event}?code=wrong")).send().await.refused(404, "not_found");
    world.advance(SignedDuration::from_secs(3)).await;
    world.get(&format!("/v1/events/{event}?code=sesame")).send().await.ok();
    assert_eq!(world.get("/v1/events?city=Ulm").send().await.ok()["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_finds_nothing_to_change() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let other = world.organiser("other").await;
    let event = format!("/v1/events/{}", sale.event);
    world.post(&format!("{event}/publish")).by(&other.token).send().await.refused(404, "not_found");
    world.post(&format!("{event}/cancel")).by(&other.token).send().await.refused(404, "not_found");
    world.post(&format!("{event}/cancel")).send().await.refused(401, "unauthenticated");
    let offer = json!({"name": "x", "price": {"amount": 1, "currency": "EUR"}, "capacity": 1});
    world
        .post(&format!("{event}/offers"))
        .by(&other.token)
        .key("k")
        .json(offer)
        .send()
        .await
        .refused(404, "not_found");
    let theft = json!({"organisation": sale.organiser.organisation, "name": "x", "city": "x", "venue": "x",
        "starts": {"local": "2030-01-01T10:00:00", "zone": "Europe/Berlin"}});
    world.post("/v1/events").by(&other.token).key("k").json(theft).send().await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_times_and_terms_are_named() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let mut event = json!({"organisation": organiser.organisation, "name": "x", "city": "x", "venue": "x",
        "starts": {"local": "2027-03-28T02:30:00", "zone": "Europe/Berlin"}});
    let create = |event: &serde_json::Value| {
        world.post("/v1/events").by(&organiser.token).key(&uuid()).json(event.clone()).send()
    };
    assert_eq!(create(&event).await.refused(400, "invalid_input")["errors"][0]["pointer"], "/starts");
    event["starts"]["local"] = json!("2027-06-01T10:00:00");
    event["surprise"] = json!(1);
    create(&event).await.refused(400, "invalid_input");
    let draft = world.draft(&organiser, json!({})).await;
    let path = format!("/v1/events/{draft}/offers");
    let add =
        |offer: serde_json::Value| world.post(&path).by(&organiser.token).key(&uuid()).json(offer).send();
    let price = json!({"amount": 100, "currency": "EUR"});
    add(json!({"name": "x", "price": price})).await.refused(400, "invalid_input");
    add(json!({"name": "x", "price": price, "capacity": 0})).await.refused(400, "invalid_input");
    add(json!({"name": "x", "price": {"amount": 1.5, "currency": "EUR"}, "capacity": 1}))
        .await
        .refused(400, "invalid_input");
    add(json!({"name": "x", "price": {"amount": -1, "currency": "EUR"}, "capacity": 1}))
        .await
        .refused(400, "invalid_input");
    add(json!({"name": "x", "price": price, "capacity": 1})).await.ok();
    let yen = json!({"name": "y", "price": {"amount": 100, "currency": "JPY"}, "capacity": 1});
    assert_eq!(add(yen).await.refused(400, "invalid_input")["errors"][0]["pointer"], "/price/currency");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_terms_apply_to_new_holds_and_old_quotes_stay() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let old = world.hold(&sale, 1).await;
    let read = format!("/v1/organisations/{}/events/{}", sale.organiser.organisation, sale.event);
    let view = world.get(&read).by(&sale.organiser.token).send().await.ok();
    let terms = json!({"name": "Standing", "price": {"amount": 9900, "currency": "EUR"}});
    let path = format!("/v1/events/{}/offers/{}", sale.event, sale.offer);
    let edit =
        world.put(&path).by(&sale.organiser.token).header("If-Match", &text(&view["offers"][0]["etag"]));
    edit.json(terms).send().await.ok();
    world.advance(SignedDuration::from_secs(3)).await;
    assert_eq!(world.hold(&sale, 1).await.hold["total"]["amount"], 9900);
    assert_eq!(world.order(&old, "old@example.org").await["total"]["amount"], 2500);
}
