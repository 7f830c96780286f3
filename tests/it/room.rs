//! Waiting rooms: who may take holds, in which order, and how fast.

use crate::support::{Answer, Sale, World, text, uuid};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tessera_local::stores::faults::{Fault, Rule, Service, Side};

/// Positions below are lots.
const LOTS: u64 = 1 << 32;

fn path(sale: &Sale) -> String {
    format!("/v1/events/{}/waiting-room", sale.event)
}

/// A sale whose doors opened a minute ago, and whose draw is in ten.
async fn sale(world: &World, capacity: u32, terms: Value, rules: Value) -> Sale {
    let sale = world.sale(capacity, terms).await;
    switch_on(world, &sale, rules).await.ok();
    world.advance(SignedDuration::from_secs(3)).await;
    sale
}

async fn switch_on(world: &World, sale: &Sale, more: Value) -> Answer {
    let at = |secs: i64| (world.whole.clock().now() + SignedDuration::from_secs(secs)).to_string();
    let mut rules = json!({"doors": at(-60), "starts": at(600), "per_minute": 60_000});
    for (name, value) in more.as_object().unwrap() {
        rules[name] = value.clone();
    }
    world.put(&path(sale)).by(&sale.organiser.token).json(rules).send().await
}

/// Past the draw, and past what functions still believe.
async fn draw(world: &World) {
    world.advance(SignedDuration::from_secs(600)).await;
}

async fn look(world: &World, sale: &Sale) -> Value {
    world.get(&path(sale)).send().await.ok()
}

/// Later by more than a line is believed: whoever looks now moves it.
async fn beat(world: &World, sale: &Sale) -> Value {
    world.advance(SignedDuration::from_millis(1_500)).await;
    look(world, sale).await
}

/// Somebody in the line.
#[derive(Clone, Debug)]
struct Waiting {
    token: String,
    place: String,
    position: u64,
}

fn try_join(world: &World, sale: &Sale, token: Option<&str>) -> impl Future<Output = Answer> {
    let call = world.post(&format!("{}/places", path(sale))).key(&uuid()).json(json!({}));
    match token {
        Some(token) => call.by(token),
        None => call,
    }
    .send()
}

async fn stand(world: &World, sale: &Sale) -> Waiting {
    let joined = try_join(world, sale, None).await.ok();
    let position = joined["position"].as_u64().unwrap();
    Waiting { token: text(&joined["guest_token"]), place: text(&joined["place"]), position }
}

async fn try_admit(world: &World, sale: &Sale, place: &str) -> Answer {
    world.post(&format!("{}/admissions", path(sale))).json(json!({"place": place})).send().await
}

async fn admission(world: &World, sale: &Sale, place: &str) -> String {
    text(&try_admit(world, sale, place).await.ok()["admission"])
}

async fn hold_with(world: &World, sale: &Sale, token: &str, admission: &str) -> Answer {
    let mut basket = world.basket(sale, 1);
    basket["admission"] = json!(admission);
    world.post("/v1/holds").by(token).key(&uuid()).json(basket).send().await
}

async fn item(world: &World, table: &str, pk: &str, sk: &str) -> Value {
    let key = json!({"pk": {"S": pk}, "sk": {"S": sk}});
    let parameters = json!({"TableName": format!("tessera-local-{table}"), "Key": key});
    crate::pool::store(world, "GetItem", parameters).await["Item"].clone()
}

/// How often the line was written.
async fn version(world: &World, sale: &Sale) -> u64 {
    let line = item(world, "booking", &sale.event, "line#0001").await;
    line["v"]["N"].as_str().map_or(0, |version| version.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_joins_before_the_draw_has_one_lot_however_early_and_often() {
    let world = World::new().await;
    let sale = sale(&world, 5, json!({}), json!({})).await;
    let first = stand(&world, &sale).await;
    assert!(first.position < LOTS);
    world.advance(SignedDuration::from_secs(300)).await;
    let again = join_all((0..12).map(|_| try_join(&world, &sale, Some(&first.token)))).await;
    for answer in again {
        let again = answer.ok();
        assert_eq!(again["position"], first.position);
        assert!(again.get("guest_token").is_none());
    }
    let others = join_all((0..30).map(|_| stand(&world, &sale))).await;
    let lots: BTreeSet<u64> = others.iter().map(|one| one.position).collect();
    assert_eq!(lots.len(), 30);
    assert!(!lots.iter().copied().eq(others.iter().map(|one| one.position)), "not in the order of joining");
    // And after it the lot is still theirs.
    draw(&world).await;
    assert_eq!(try_join(&world, &sale, Some(&first.token)).await.ok()["position"], first.position);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_after_the_draw_stands_behind_in_the_order_of_arrival() {
    let world = World::new().await;
    let sale = sale(&world, 3, json!({}), json!({})).await;
    let lots = join_all((0..3).map(|_| stand(&world, &sale))).await;
    draw(&world).await;
    let mut arrived = Vec::new();
    for _ in 0..4 {
        arrived.push(stand(&world, &sale).await);
        world.advance(SignedDuration::from_millis(700)).await;
    }
    let positions: Vec<u64> = arrived.iter().map(|one| one.position).collect();
    assert!(positions.is_sorted() && positions[0] >= LOTS, "{positions:?}");
    let same = try_join(&world, &sale, Some(&arrived[1].token)).await.ok();
    assert_eq!(same["position"], positions[1], "a repeated join keeps its place");
    // Three places: the lots are in, nobody else is.
    let pointer = beat(&world, &sale).await["pointer"].as_u64().unwrap();
    assert!(lots.iter().all(|one| one.position < pointer) && pointer <= LOTS, "{pointer}");
    let refused = try_admit(&world, &sale, &arrived[0].place).await.refused(409, "not_admitted");
    assert_eq!(
        (refused["position"].as_u64(), refused["pointer"].as_u64()),
        (Some(positions[0]), Some(pointer))
    );
    // They stay away: the next three come in, the first come first.
    world.advance(SignedDuration::from_secs(150)).await;
    let pointer = beat(&world, &sale).await["pointer"].as_u64().unwrap();
    assert_eq!(pointer, positions[2] + 1);
    try_admit(&world, &sale, &arrived[3].place).await.refused(409, "not_admitted");
    let in_time = admission(&world, &sale, &arrived[2].place).await;
    hold_with(&world, &sale, &arrived[2].token, &in_time).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_people_for_fifty_places_come_in_one_after_the_other() {
    let world = World::new().await;
    let free = json!({"price": {"amount": 0, "currency": "EUR"}});
    let mut sale = sale(&world, 50, free, json!({})).await;
    let mut people = Vec::new();
    for _ in 0..10 {
        people.extend(join_all((0..30).map(|_| stand(&world, &sale))).await);
    }
    people.sort_by_key(|one| one.position);
    draw(&world).await;
    let (mut inside, mut pointer, mut took, mut bought) = (0, 0, 0, 0);
    for round in 0..40 {
        let room = beat(&world, &sale).await;
        let next = room["pointer"].as_u64().unwrap();
        assert!(next >= pointer, "never backwards");
        pointer = next;
        if room["status"] == "sold_out" {
            break;
        }
        assert_eq!(room["status"], "running");
        let admitted = people.iter().take_while(|one| one.position < pointer).count();
        // Every place that was there in this round has at most one person on the way to it.
        assert!(
            admitted - inside <= 50 - bought,
            "{admitted} admitted, {inside} before, {bought} places sold"
        );
        let came = join_all(people[inside..admitted].iter().map(async |one| {
            let admission = admission(&world, &sale, &one.place).await;
            let held = hold_with(&world, &sale, &one.token, &admission).await.ok();
            crate::support::Held { token: one.token.clone(), hold: held }
        }))
        .await;
        took += came.len();
        // Two of three buy, the others let their holds lapse.
        for held in came.iter().enumerate().filter(|(n, _)| n % 3 != 2).map(|(_, held)| held) {
            world.order(held, "one@example.org").await;
            bought += 1;
        }
        world.settle().await;
        inside = admitted;
        if let Some(next) = people.get(inside) {
            try_admit(&world, &sale, &next.place).await.refused(409, "not_admitted");
        }
        if bought == 50 || !came.is_empty() {
            world.advance(SignedDuration::from_secs(605)).await;
        }
        assert!(round < 39, "{inside} inside, {took} took, {bought} bought");
    }
    assert_eq!((bought, took), (50, inside), "whoever came in found a place");
    assert!(inside < 100, "{inside}: no more came in than places came free");
    assert_eq!(look(&world, &sale).await["status"], "sold_out");
    // Their session's token has run out in the meantime.
    let organiser = json!({"email": "organiser@example.org", "password": "correct horse"});
    sale.organiser.token =
        text(&world.post("/v1/sessions").json(organiser).send().await.ok()["access_token"]);
    assert_eq!(world.sold(&sale).await, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pace_is_kept() {
    let world = World::new().await;
    let sale = sale(&world, 100, json!({}), json!({"per_minute": 60})).await;
    let mut people = join_all((0..40).map(|_| stand(&world, &sale))).await;
    people.sort_by_key(|one| one.position);
    draw(&world).await;
    let admitted = async |room: Value| {
        let pointer = room["pointer"].as_u64().unwrap();
        people.iter().filter(|one| one.position < pointer).count()
    };
    let begun = world.whole.clock().now();
    let first = admitted(beat(&world, &sale).await).await;
    assert!((10..=12).contains(&first), "ten seconds' worth at once, not {first}");
    for _ in 0..5 {
        let now = admitted(beat(&world, &sale).await).await;
        let seconds = world.whole.clock().now().duration_since(begun).as_secs() as usize;
        assert!(now > first && now <= 13 + seconds, "{now} after {seconds} s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_want_the_buyers_own_admission_and_nothing_else() {
    let world = World::new().await;
    let sale = sale(&world, 10, json!({}), json!({})).await;
    let signed_in = text(&world.account("buyer@example.org").await["access_token"]);
    let guest = stand(&world, &sale).await;
    let joined = try_join(&world, &sale, Some(&signed_in)).await.ok();
    try_admit(&world, &sale, &guest.place).await.refused(409, "not_admitted");
    draw(&world).await;
    beat(&world, &sale).await;
    world.try_hold(&sale, 1).await.refused(403, "admission_needed");
    let (mine, theirs) = (
        admission(&world, &sale, &guest.place).await,
        admission(&world, &sale, &text(&joined["place"])).await,
    );
    let refused = async |token: &str, admission: &str| {
        hold_with(&world, &sale, token, admission).await.refused(403, "admission_needed");
    };
    refused(&guest.token, &theirs).await;
    refused(&signed_in, &mine).await;
    // A place is no admission, and neither is what somebody made up.
    refused(&guest.token, &guest.place).await;
    let mut forged = mine.clone().into_bytes();
    forged[20] = if forged[20] == b'A' { b'B' } else { b'A' };
    refused(&guest.token, std::str::from_utf8(&forged).unwrap()).await;
    hold_with(&world, &sale, &signed_in, &theirs).await.ok();
    // Under the same key the same hold, as long as the admission is good.
    let mut basket = world.basket(&sale, 1);
    basket["admission"] = json!(mine);
    let hold = || world.post("/v1/holds").by(&guest.token).key("k").json(basket.clone()).send();
    let first = hold().await.ok();
    assert_eq!(hold().await.ok()["id"], first["id"]);
    // Another event's is good for nothing here.
    let mut other = sale.clone();
    other.event = world.draft(&sale.organiser, json!({})).await;
    other.offer = world.offer(&sale.organiser, &other.event, json!({"capacity": 5})).await;
    switch_on(&world, &other, json!({})).await.ok();
    world.publish(&sale.organiser, &other.event).await;
    hold_with(&world, &other, &guest.token, &mine).await.refused(403, "admission_needed");
    try_admit(&world, &other, &guest.place).await.refused(400, "invalid_input");
    world.advance(SignedDuration::from_secs(16 * 60)).await;
    refused(&guest.token, &mine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_worth_one_admission_and_afterwards_one_stands_behind_the_others() {
    let world = World::new().await;
    let sale = sale(&world, 10, json!({}), json!({})).await;
    let one = stand(&world, &sale).await;
    draw(&world).await;
    beat(&world, &sale).await;
    let first = try_admit(&world, &sale, &one.place).await.ok();
    world.advance(SignedDuration::from_mins(7)).await;
    assert_eq!(try_admit(&world, &sale, &one.place).await.ok()["expires"], first["expires"]);
    let end: Timestamp = text(&first["expires"]).parse().unwrap();
    let left = end.duration_since(world.whole.clock().now());
    assert!(left < SignedDuration::from_secs(510) && left > SignedDuration::from_secs(400), "{left:?}");
    world.advance(left + SignedDuration::from_secs(1)).await;
    try_admit(&world, &sale, &one.place).await.refused(410, "place_gone");
    let joined = join_all((0..8).map(|_| try_join(&world, &sale, Some(&one.token)))).await;
    let positions: BTreeSet<u64> = joined
        .into_iter()
        .filter(|answer| answer.status == 201 || answer.code() != "busy")
        .map(|answer| answer.ok()["position"].as_u64().unwrap())
        .collect();
    assert_eq!(positions.len(), 1, "one new place: {positions:?}");
    assert!(*positions.first().unwrap() >= LOTS);
    let again = try_join(&world, &sale, Some(&one.token)).await.ok();
    world.advance(SignedDuration::from_secs(3)).await;
    look(&world, &sale).await;
    let admission = admission(&world, &sale, &text(&again["place"])).await;
    hold_with(&world, &sale, &one.token, &admission).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_costs_nothing_within_its_second() {
    let world = World::new().await;
    let sale = sale(&world, 10, json!({}), json!({})).await;
    stand(&world, &sale).await;
    draw(&world).await;
    let action = "GET /v1/events/{id}/waiting-room";
    let tally = || world.whole.home().meter().tallies()[action];
    for _ in 0..20 {
        beat(&world, &sale).await;
        let before = tally();
        let answers = join_all((0..10).map(|_| world.get(&path(&sale)).send())).await;
        let control = answers[0].header("cache-control").to_owned();
        assert_eq!(control, "public, max-age=1, s-maxage=1, stale-while-revalidate=2");
        let after = tally();
        assert_eq!(after.runs, before.runs + 10);
        if (after.round_trips, after.write_units) == (before.round_trips, before.write_units) {
            return;
        }
    }
    panic!("no burst of looks was free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_with_an_admission_is_one_round_trip_and_a_join_one_write() {
    let world = World::new().await;
    let sale = sale(&world, 400, json!({}), json!({})).await;
    let tally = |action: &str| world.whole.home().meter().tallies().get(action).copied().unwrap_or_default();
    let join = "POST /v1/events/{id}/waiting-room/places";
    let mut people = vec![stand(&world, &sale).await];
    let before = tally(join);
    people.extend(join_all((0..20).map(|_| stand(&world, &sale))).await);
    let after = tally(join);
    assert!((after.write_units - before.write_units - 20.0).abs() < 0.001, "{before:?} {after:?}");
    draw(&world).await;
    beat(&world, &sale).await;
    let mut admitted = Vec::new();
    for one in &people {
        admitted.push((one.token.clone(), admission(&world, &sale, &one.place).await));
    }
    for (token, admission) in admitted {
        let before = tally("POST /v1/holds");
        hold_with(&world, &sale, &token, &admission).await.ok();
        let after = tally("POST /v1/holds");
        let trips = after.round_trips - before.round_trips;
        if trips == 1 && (after.write_units - before.write_units - 1.0).abs() < 0.001 {
            return;
        }
    }
    panic!("no hold took one round trip");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_who_look_at_once_move_the_line_once() {
    let world = World::new().await;
    let sale = sale(&world, 10, json!({}), json!({"per_minute": 60})).await;
    join_all((0..20).map(|_| stand(&world, &sale))).await;
    draw(&world).await;
    let mut pointer = 0;
    for _ in 0..20 {
        world.advance(SignedDuration::from_millis(1_500)).await;
        let (before, began) = (version(&world, &sale).await, world.whole.clock().now());
        let looks = join_all((0..50).map(|_| look(&world, &sale))).await;
        let (after, took) = (version(&world, &sale).await, world.whole.clock().now().duration_since(began));
        // Once to claim it, once to move it. (In a burst that took longer than a second it is due again.)
        let once = if before == 0 { 2 } else { before + 2 };
        assert!(after >= once && after <= once + 2 * took.as_secs() as u64, "{before} {after} {took:?}");
        let seen: BTreeSet<u64> = looks.iter().map(|room| room["pointer"].as_u64().unwrap()).collect();
        assert!(*seen.first().unwrap() >= pointer, "never backwards: {seen:?} after {pointer}");
        pointer = look(&world, &sale).await["pointer"].as_u64().unwrap();
        assert!(pointer >= *seen.last().unwrap());
    }
    assert!(pointer > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mover_that_dies_is_relieved() {
    let world = World::new().await;
    let sale = sale(&world, 10, json!({}), json!({})).await;
    draw(&world).await;
    look(&world, &sale).await;
    let one = stand(&world, &sale).await;
    world.advance(SignedDuration::from_secs(3)).await;
    let before = version(&world, &sale).await;
    // The claim is written, its answer is lost, and when it is tried again the line is somebody's: nobody's.
    world.whole.home().faults().add(Rule {
        service: Some(Service::DynamoDb),
        operation: Some("PutItem".to_owned()),
        resource: Some("-booking".to_owned()),
        fault: Fault::DropAnswer,
        times: 1,
    });
    look(&world, &sale).await;
    assert_eq!(version(&world, &sale).await, before + 1, "claimed and not moved");
    try_admit(&world, &sale, &one.place).await.refused(409, "not_admitted");
    world.advance(SignedDuration::from_secs(4)).await;
    admission(&world, &sale, &one.place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_everybody_is_let_in_and_switched_on_again_it_is_another_line() {
    let world = World::new().await;
    let sale = sale(&world, 10, json!({}), json!({})).await;
    let one = stand(&world, &sale).await;
    world.try_hold(&sale, 1).await.refused(403, "admission_needed");
    let event = world.get(&format!("/v1/events/{}", sale.event)).send().await.ok();
    assert_eq!(event["waiting_room"]["per_minute"], 60_000);
    for _ in 0..2 {
        let off = world.delete(&path(&sale)).by(&sale.organiser.token).send().await;
        assert_eq!(off.status, 204);
    }
    world.advance(SignedDuration::from_secs(3)).await;
    world.try_hold(&sale, 1).await.ok();
    assert_eq!(look(&world, &sale).await["status"], "off");
    try_join(&world, &sale, None).await.refused(409, "wrong_state");
    try_admit(&world, &sale, &one.place).await.refused(409, "wrong_state");
    switch_on(&world, &sale, json!({})).await.ok();
    world.advance(SignedDuration::from_secs(3)).await;
    let room = look(&world, &sale).await;
    assert_eq!((&room["status"], &room["line"]), (&json!("gathering"), &json!(2)));
    try_admit(&world, &sale, &one.place).await.refused(410, "place_gone");
    let again = try_join(&world, &sale, Some(&one.token)).await.ok();
    assert_ne!(again["position"], one.position, "another line, another draw");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doors_and_the_end_of_the_sale_are_kept() {
    let world = World::new().await;
    let at = |secs: i64| (world.whole.clock().now() + SignedDuration::from_secs(secs)).to_string();
    let sale = world.sale(5, json!({"sale": {"closes": at(3_600)}})).await;
    world.get(&path(&sale)).send().await.refused(404, "not_found");
    switch_on(&world, &sale, json!({"doors": at(300)})).await.ok();
    world.advance(SignedDuration::from_secs(3)).await;
    assert_eq!(look(&world, &sale).await["status"], "closed");
    let refused = try_join(&world, &sale, None).await.refused(409, "doors_closed");
    assert!(refused["doors"].is_string());
    world.advance(SignedDuration::from_secs(300)).await;
    assert_eq!(look(&world, &sale).await["status"], "gathering");
    let one = stand(&world, &sale).await;
    world.advance(SignedDuration::from_secs(3_000)).await;
    assert_eq!(look(&world, &sale).await["status"], "running");
    beat(&world, &sale).await;
    // Never after the sale.
    let admitted = try_admit(&world, &sale, &one.place).await.ok();
    let (end, closes): (Timestamp, Timestamp) = (
        text(&admitted["expires"]).parse().unwrap(),
        world.whole.clock().now() + SignedDuration::from_secs(300),
    );
    assert!(end < closes, "{end}");
    world.advance(SignedDuration::from_secs(300)).await;
    assert_eq!(look(&world, &sale).await["status"], "ended");
    try_join(&world, &sale, None).await.refused(409, "sale_closed");
    try_admit(&world, &sale, &one.place).await.refused(410, "place_gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_only_accounts_may_join_guests_are_asked_to_sign_in() {
    let world = World::new().await;
    let sale = sale(&world, 5, json!({}), json!({"accounts_only": true})).await;
    try_join(&world, &sale, None).await.refused(401, "unauthenticated");
    let token = text(&world.account("buyer@example.org").await["access_token"]);
    let joined = try_join(&world, &sale, Some(&token)).await.ok();
    assert!(joined.get("guest_token").is_none());
    draw(&world).await;
    beat(&world, &sale).await;
    let admission = admission(&world, &sale, &text(&joined["place"])).await;
    // Their session has ended meanwhile; the admission is theirs alone all the same.
    let later = json!({"email": "buyer@example.org", "password": "correct horse"});
    let token = text(&world.post("/v1/sessions").json(later).send().await.ok()["access_token"]);
    hold_with(&world, &sale, &token, &admission).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_organiser_rules_a_room_and_the_draw_is_not_moved_once_it_is_near() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let other = world.organiser("other").await;
    let theirs = Sale { organiser: other.clone(), ..sale.clone() };
    switch_on(&world, &theirs, json!({})).await.refused(404, "not_found");
    world.delete(&path(&sale)).by(&other.token).send().await.refused(404, "not_found");
    world.put(&path(&sale)).json(json!({})).send().await.refused(401, "unauthenticated");
    let fault = |answer: Answer| text(&answer.refused(400, "invalid_input")["errors"][0]["pointer"]);
    assert_eq!(fault(switch_on(&world, &sale, json!({"per_minute": 0})).await), "/per_minute");
    assert_eq!(fault(switch_on(&world, &sale, json!({"shop": "http://x.example"})).await), "/shop");
    assert_eq!(fault(switch_on(&world, &sale, json!({"doors": "2199-01-01T00:00:00Z"})).await), "/starts");
    assert_eq!(fault(switch_on(&world, &sale, json!({"speed": 1})).await), "/speed");
    let rules = switch_on(&world, &sale, json!({})).await.ok();
    world.advance(SignedDuration::from_secs(3)).await;
    draw(&world).await;
    switch_on(&world, &sale, json!({})).await.refused(409, "wrong_state");
    let slower = json!({"doors": rules["doors"], "starts": rules["starts"], "per_minute": 1});
    assert_eq!(switch_on(&world, &sale, slower).await.ok()["per_minute"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_has_no_waiting_room() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let event = world.draft(&organiser, json!({"visibility": {"kind": "private", "code": "sesame"}})).await;
    let offer = world.offer(&organiser, &event, json!({"capacity": 5})).await;
    let sale = Sale { organiser: organiser.clone(), event: event.clone(), offer };
    switch_on(&world, &sale, json!({})).await.ok();
    let coded = format!("{}?code=sesame", path(&sale));
    world.get(&coded).send().await.refused(404, "not_found");
    world.publish(&organiser, &event).await;
    world.advance(SignedDuration::from_secs(3)).await;
    world.get(&path(&sale)).send().await.refused(404, "not_found");
    world.get(&format!("{}/page", path(&sale))).send().await.refused(404, "not_found");
    try_join(&world, &sale, None).await.refused(404, "not_found");
    assert_eq!(world.get(&coded).send().await.header("cache-control"), "public, max-age=0");
    let join = world.post(&format!("{}/places", path(&sale))).key(&uuid()).json(json!({"code": "sesame"}));
    join.send().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_runs_its_own_script_alone() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let event = world.draft(&organiser, json!({"name": "<script>alert(1)</script> & more"})).await;
    let offer = world.offer(&organiser, &event, json!({"capacity": 5})).await;
    let sale = Sale { organiser: organiser.clone(), event: event.clone(), offer };
    switch_on(&world, &sale, json!({})).await.ok();
    world.publish(&organiser, &event).await;
    world.advance(SignedDuration::from_secs(3)).await;
    let page = world.get(&format!("{}/page", path(&sale))).send().await;
    assert!(page.header("content-type").starts_with("text/html"));
    let html = String::from_utf8(page.bytes.clone()).unwrap();
    assert!(html.contains("<h1>&lt;script&gt;alert(1)&lt;/script&gt; &amp; more</h1>"));
    assert_eq!(html.matches("<script").count(), 1);
    assert!(html.contains("<noscript>") && html.contains("aria-live=\"polite\""));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"));
    let script = html.split_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
    assert!(policy.contains(&tessera::http::inline_source(script)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_on_the_way_from_the_line_to_a_hold_costs_nobody_their_place() {
    let world = World::new().await;
    let sale = sale(&world, 400, json!({}), json!({})).await;
    draw(&world).await;
    let through = async |crash: Option<(u64, Side)>| {
        let (join, hold) = (uuid(), uuid());
        let place = format!("{}/places", path(&sale));
        let calls = world
            .crashing(crash, async || {
                let joined = world.post(&place).key(&join).json(json!({})).send().await;
                if joined.status >= 300 {
                    return joined;
                }
                world.advance(SignedDuration::from_secs(2)).await;
                let admitted = try_admit(&world, &sale, &text(&joined.body["place"])).await;
                if admitted.status != 200 {
                    return admitted;
                }
                let mut basket = world.basket(&sale, 1);
                basket["admission"] = admitted.body["admission"].clone();
                let token = text(&joined.body["guest_token"]);
                world.post("/v1/holds").by(&token).key(&hold).json(basket).send().await
            })
            .await;
        // The place is the same one as before, and the hold too.
        let joined = world.post(&place).key(&join).json(json!({})).send().await.ok();
        let own = format!("/v1/holds?event={}", sale.event);
        let own = world.get(&own).by(&text(&joined["guest_token"])).send().await.ok();
        let items = own["items"].as_array().unwrap();
        assert_eq!((items.len(), &items[0]["places"]), (1, &json!(1)), "{crash:?}");
        calls
    };
    let calls = through(None).await + 2;
    for step in 1..=calls {
        for side in [Side::Before, Side::After] {
            through(Some((step, side))).await;
        }
    }
}
