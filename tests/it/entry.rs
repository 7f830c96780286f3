//! Tickets and gates.

use crate::support::{Answer, Held, Sale, World, text, uuid};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};

/// An event that begins in two hours, with its gates open, and tickets for it.
async fn at_the_gate(world: &World, tickets: u32) -> (Sale, Held, Vec<Value>) {
    let organiser = world.organiser("organiser").await;
    let starts = json!({"local": world.local(SignedDuration::from_hours(2)), "zone": "Europe/Berlin"});
    let event = world.draft(&organiser, json!({"starts": starts})).await;
    let offer = world
        .offer(&organiser, &event, json!({"capacity": 50, "price": {"amount": 0, "currency": "EUR"}}))
        .await;
    world.publish(&organiser, &event).await;
    let sale = Sale { organiser, event, offer };
    let (held, order) = world.buy(&sale, tickets, "guest@example.org").await;
    let tickets = world.tickets(&held, &order).await;
    (sale, held, tickets)
}

async fn scan(world: &World, sale: &Sale, token: &str, key: &str, code: &str) -> Answer {
    let scan = json!({"event": sale.event, "gate": "north", "code": code});
    world.post("/v1/scans").by(token).key(key).json(scan).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_admits_once_and_says_when_and_where_it_was_used() {
    let world = World::new().await;
    let (sale, _, tickets) = at_the_gate(&world, 1).await;
    let (code, token) = (text(&tickets[0]["code"]), &sale.organiser.token);
    let admitted = scan(&world, &sale, token, "s1", &code).await.ok();
    assert_eq!((&admitted["result"], &admitted["holder"]), (&json!("VALID"), &json!("Grace Hopper")));
    scan(&world, &sale, token, "s1", &code).await.ok();
    let refused = scan(&world, &sale, token, "s2", &code).await.refused(409, "ticket_used");
    assert_eq!((&refused["result"], &refused["gate"]), (&json!("USED"), &json!("north")));
    assert!(refused["used_at"].is_string());
    let log = world.get(&format!("/v1/events/{}/entries", sale.event)).by(token).send().await.ok();
    let results: Vec<_> = log["items"].as_array().unwrap().iter().map(|line| text(&line["result"])).collect();
    assert_eq!(results, ["USED", "VALID"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_gates_at_once_admit_one() {
    let world = World::new().await;
    let (sale, _, tickets) = at_the_gate(&world, 1).await;
    let code = text(&tickets[0]["code"]);
    let keys: Vec<_> = (0..20).map(|n| format!("gate-{n}")).collect();
    let answers =
        join_all(keys.iter().map(|key| scan(&world, &sale, &sale.organiser.token, key, &code))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.code() == "ticket_used").count(), 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_ticket_for_this_gate_is_invalid() {
    let world = World::new().await;
    let (sale, held, tickets) = at_the_gate(&world, 2).await;
    let (code, token) = (text(&tickets[0]["code"]), &sale.organiser.token);
    let invalid = async |code: &str| {
        let refused = scan(&world, &sale, token, &uuid(), code).await.refused(409, "ticket_invalid");
        assert_eq!(refused["result"], "INVALID");
        text(&refused["detail"])
    };
    assert_eq!(invalid("hello").await, "this is no ticket code");
    let mut forged = code.clone().into_bytes();
    forged[40] = if forged[40] == b'A' { b'B' } else { b'A' };
    assert_eq!(invalid(std::str::from_utf8(&forged).unwrap()).await, "the signature is wrong");
    let mut other = sale.clone();
    other.event = world.draft(&sale.organiser, json!({})).await;
    let refused = scan(&world, &other, token, &uuid(), &code).await.refused(409, "ticket_invalid");
    assert_eq!(refused["detail"], "a ticket for another event");
    let booking = text(&tickets[1]["booking"]);
    world.post(&format!("/v1/bookings/{booking}/cancel")).by(&held.token).send().await.ok();
    world.settle().await;
    assert_eq!(invalid(&code).await, "the booking was cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_open_four_hours_before_and_close_at_the_end() {
    let world = World::new().await;
    let sale = world.sale(5, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    let (held, order) = world.buy(&sale, 2, "guest@example.org").await;
    let tickets = world.tickets(&held, &order).await;
    let token = &sale.organiser.token;
    let early =
        scan(&world, &sale, token, &uuid(), &text(&tickets[0]["code"])).await.refused(409, "ticket_invalid");
    assert_eq!(early["detail"], "gates are not open yet");
    world.advance(SignedDuration::from_hours(30 * 24 - 3)).await;
    let credentials = json!({"email": "organiser@example.org", "password": "correct horse"});
    let token = text(&world.post("/v1/sessions").json(credentials.clone()).send().await.ok()["access_token"]);
    scan(&world, &sale, &token, &uuid(), &text(&tickets[0]["code"])).await.ok();
    world.advance(SignedDuration::from_hours(16)).await;
    let token = text(&world.post("/v1/sessions").json(credentials).send().await.ok()["access_token"]);
    let late =
        scan(&world, &sale, &token, &uuid(), &text(&tickets[1]["code"])).await.refused(409, "ticket_invalid");
    assert_eq!(late["detail"], "the event is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_organisers_people_scan() {
    let world = World::new().await;
    let (sale, held, tickets) = at_the_gate(&world, 1).await;
    let code = text(&tickets[0]["code"]);
    let other = world.organiser("other").await;
    scan(&world, &sale, &other.token, "k", &code).await.refused(404, "not_found");
    scan(&world, &sale, &held.token, "k", &code).await.refused(401, "unauthenticated");
    let member = format!("/v1/organisations/{}/members/{}", sale.organiser.organisation, other.account);
    world.put(&member).by(&sale.organiser.token).json(json!({"rights": {"role": "gate"}})).send().await.ok();
    scan(&world, &sale, &other.token, "k", &code).await.ok();
    world
        .get(&format!("/v1/events/{}/entries", sale.event))
        .by(&other.token)
        .send()
        .await
        .refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_comes_as_pdf_and_as_calendar_file_to_its_buyer_alone() {
    let world = World::new().await;
    let (_, held, tickets) = at_the_gate(&world, 1).await;
    let path = format!("/v1/tickets/{}", text(&tickets[0]["id"]));
    let pdf = world.get(&format!("{path}.pdf")).by(&held.token).send().await;
    assert_eq!((pdf.status, pdf.header("content-type")), (200, "application/pdf"));
    assert!(pdf.bytes.starts_with(b"%PDF-") && pdf.bytes.len() < 60_000, "{}", pdf.bytes.len());
    let ics = world.get(&format!("{path}.ics")).by(&held.token).send().await;
    assert_eq!(ics.header("content-type"), "text/calendar; charset=utf-8");
    assert!(String::from_utf8(ics.bytes).unwrap().contains("BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin"));
    for form in ["", ".pdf", ".ics"] {
        world.get(&format!("{path}{form}")).send().await.refused(404, "not_found");
    }
    world.get(&format!("{path}.exe")).by(&held.token).send().await.refused(404, "not_found");
}
