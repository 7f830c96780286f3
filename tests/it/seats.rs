//! Seats: drawn, picked, seated together, blocked, and never sold twice.

use crate::support::{Answer, Held, Organiser, World, text, uuid};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tessera_local::stores::faults::Side;

/// An event on sale whose seats are these rows, with one offer of all of them.
struct Hall {
    organiser: Organiser,
    event: String,
    offer: String,
    venue: String,
}

fn rows(rows: &[&str]) -> Value {
    let row = |(place, seats): (usize, &&str)| json!({"label": char::from(b'A' + place as u8).to_string(), "seats": seats});
    json!({"name": "Stalls", "rows": rows.iter().enumerate().map(row).collect::<Vec<_>>()})
}

impl Hall {
    async fn open(world: &World, drawn: &[&str]) -> Self {
        let organiser = world.organiser("organiser").await;
        let venue = venue(world, &organiser, drawn).await;
        let event = world.draft(&organiser, json!({})).await;
        let seats = json!({"seats": {"venue": venue, "section": "S"}, "name": "Stalls"});
        let offer = world.offer(&organiser, &event, seats).await;
        world.publish(&organiser, &event).await;
        Self { organiser, event, offer, venue }
    }

    fn pick(&self, seats: &[&str]) -> Value {
        json!({"lines": [{"offer": self.offer, "seats": seats}]})
    }

    fn best(&self, quantity: u32) -> Value {
        json!({"lines": [{"offer": self.offer, "quantity": quantity}]})
    }

    /// Where every seat stands, row by row.
    async fn states(&self, world: &World) -> Vec<String> {
        world.advance(SignedDuration::from_secs(3)).await;
        let map = world.get(&format!("/v1/events/{}/seats", self.event)).send().await.ok();
        map["sections"][0]["rows"].as_array().unwrap().iter().map(|row| text(&row["states"])).collect()
    }

    async fn change(&self, world: &World, change: Value) -> Answer {
        let path = format!("/v1/events/{}/seats/changes", self.event);
        world.post(&path).by(&self.organiser.token).json(change).send().await
    }

    async fn pool(&self, world: &World) -> String {
        let map = world.get(&format!("/v1/events/{}/seats", self.event)).send().await.ok();
        text(&map["sections"][0]["pool"])
    }

    async fn proof(&self, world: &World) -> Value {
        let path = format!("/v1/pools/{}/proof", self.pool(world).await);
        world.get(&path).by(&self.organiser.token).send().await.ok()
    }
}

async fn venue(world: &World, organiser: &Organiser, drawn: &[&str]) -> String {
    let new = json!({"organisation": organiser.organisation, "name": "Kulturhaus"});
    let venue = world.post("/v1/venues").by(&organiser.token).key(&uuid()).json(new).send().await.ok();
    let venue = text(&venue["id"]);
    let path = format!("/v1/venues/{venue}/sections/S");
    world.put(&path).by(&organiser.token).json(rows(drawn)).send().await.ok();
    venue
}

async fn hold(world: &World, basket: Value) -> Answer {
    world.post("/v1/holds").key(&uuid()).json(basket).send().await
}

fn seats(hold: &Value) -> Vec<String> {
    let lines = hold["lines"].as_array().unwrap().iter();
    lines.flat_map(|line| line["seats"].as_array().into_iter().flatten().map(text)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picked_seat_is_held_paid_and_printed_on_the_ticket() {
    let world = World::new().await;
    let hall = Hall::open(&world, &["....", "...."]).await;
    let held = hold(&world, hall.pick(&["A-2", "B-3"])).await.ok();
    assert_eq!(seats(&held), ["A-2", "B-3"]);
    assert_eq!(held["lines"][0]["section"], "Stalls");
    assert_eq!(hall.states(&world).await, ["fhff", "ffhf"]);
    let held = Held { token: text(&held["guest_token"]), hold: held };
    let order = world.order(&held, "seated@example.org").await;
    let payment = world.payment(&held, &order).await;
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    world.advance(SignedDuration::from_secs(601)).await;
    world.whole.run_job("BookingWorker", "tidy").await.unwrap();
    assert_eq!(
        hall.states(&world).await,
        ["fsff", "ffsf"],
        "sold, and still when the time of the hold is over"
    );
    let tickets = world.tickets(&held, &order).await;
    let printed: BTreeSet<_> = tickets.iter().map(|ticket| text(&ticket["seat"])).collect();
    assert_eq!(printed, BTreeSet::from(["Stalls A-2".to_owned(), "Stalls B-3".to_owned()]));
    let bookings = world.get("/v1/bookings").by(&held.token).send().await.ok();
    let cancel = format!("/v1/bookings/{}/cancel", text(&bookings["items"][0]["id"]));
    world.post(&cancel).by(&held.token).send().await.ok();
    world.settle().await;
    assert_eq!(hall.states(&world).await, ["ffff", "ffff"]);
    assert_eq!(hall.proof(&world).await["differences"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_who_wants_a_and_b_and_who_wants_b_and_c_one_wins() {
    let world = World::new().await;
    let hall = Hall::open(&world, &["..................."]).await;
    for round in 0..6 {
        let (a, b, c) =
            (format!("A-{}", 3 * round + 1), format!("A-{}", 3 * round + 2), format!("A-{}", 3 * round + 3));
        let wishes =
            (0..12).map(|n| if n % 2 == 0 { [a.as_str(), b.as_str()] } else { [b.as_str(), c.as_str()] });
        let answers = join_all(wishes.map(|wish| hold(&world, hall.pick(&wish)))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "round {round}");
        for answer in answers.into_iter().filter(|answer| answer.status != 201) {
            let refusal = answer.refused(409, "seat_taken");
            assert!(refusal["seats"].as_array().unwrap().contains(&json!(b)), "{refusal}");
        }
    }
    assert_eq!(hall.proof(&world).await["differences"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_over_several_rows_are_held_whole_or_not_at_all() {
    let world = World::new().await;
    let hall = Hall::open(&world, &["...", "...", "..."]).await;
    hold(&world, hall.pick(&["B-2"])).await.ok();
    let refusal = hold(&world, hall.pick(&["A-1", "B-2", "C-3"])).await.refused(409, "seat_taken");
    assert_eq!(refusal["seats"], json!(["B-2"]));
    assert_eq!(hall.states(&world).await, ["fff", "fhf", "fff"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parties_are_seated_together_until_the_last_seat_is_gone() {
    let world = World::new().await;
    let hall = Hall::open(&world, &["......", "......"]).await;
    assert_eq!(seats(&hold(&world, hall.best(2)).await.ok()), ["A-3", "A-4"]);
    // Twenty parties of two at once for the five pairs that are left: nobody is given half, no seat twice.
    let answers = join_all((0..20).map(|_| hold(&world, hall.best(2)))).await;
    let (held, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    for answer in refused {
        assert!(
            matches!((answer.status, answer.code()), (409, "sold_out") | (503, "busy")),
            "{}",
            answer.body
        );
    }
    let given: Vec<String> = held.into_iter().flat_map(|answer| seats(&answer.body)).collect();
    let different: BTreeSet<_> = given.iter().collect();
    assert_eq!(given.len(), different.len(), "a seat was given twice: {given:?}");
    while hold(&world, hall.best(1)).await.status == 201 {}
    assert_eq!(hall.states(&world).await, ["hhhhhh", "hhhhhh"]);
    hold(&world, hall.best(1)).await.refused(409, "sold_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_hold_of_best_seats_has_the_same_seats() {
    let world = World::new().await;
    let hall = Hall::open(&world, &["........", "........"]).await;
    let key = uuid();
    let ask = || world.post("/v1/holds").key(&key).json(hall.best(3)).send();
    let answers = join_all((0..8).map(|_| ask())).await;
    let given: BTreeSet<_> = answers.into_iter().map(|answer| seats(&answer.ok())).collect();
    assert_eq!(given.len(), 1);
    hold(&world, hall.best(4)).await.ok();
    assert!(given.contains(&seats(&ask().await.ok())));
    world.post("/v1/holds").key(&key).json(hall.best(2)).send().await.refused(422, "key_reused");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_seat_is_anybodys_after_its_time() {
    let world = World::new().await;
    let hall = Hall::open(&world, &["..."]).await;
    let abandoned = hold(&world, hall.pick(&["A-1", "A-2"])).await.ok();
    world.advance(SignedDuration::from_secs(601)).await;
    assert_eq!(hall.states(&world).await, ["fff"]);
    hold(&world, hall.pick(&["A-2", "A-3"])).await.ok();
    assert_eq!(hall.states(&world).await, ["fhh"]);
    let late = json!({"quote": abandoned["quote"], "contact": {"name": "Late", "email": "late@example.org"}});
    world
        .post("/v1/orders")
        .by(&text(&abandoned["guest_token"]))
        .json(late)
        .send()
        .await
        .refused(410, "hold_gone");
    assert_eq!(hall.proof(&world).await["differences"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_comes_late_gets_its_own_seats_or_none() {
    let world = World::new().await;
    let hall = Hall::open(&world, &["...."]).await;
    let mut late = Vec::new();
    for seats in [["A-1", "A-2"], ["A-3", "A-4"]] {
        let held = hold(&world, hall.pick(&seats)).await.ok();
        let held = Held { token: text(&held["guest_token"]), hold: held };
        let order = world.order(&held, "late@example.org").await;
        let payment = world.payment(&held, &order).await;
        late.push((held, order, payment));
    }
    world.advance(SignedDuration::from_secs(601)).await;
    // Somebody takes a seat of the first; the second's are free, but their hold has ended.
    hold(&world, hall.pick(&["A-2"])).await.ok();
    world.whole.run_job("BookingWorker", "tidy").await.unwrap();
    for (_, _, payment) in &late {
        world.pay(payment, "pm_card_visa");
    }
    world.settle().await;
    let status =
        [world.read_order(&late[0].0, &late[0].1).await, world.read_order(&late[1].0, &late[1].1).await];
    assert_eq!((&status[0]["status"], &status[1]["status"]), (&json!("cancelled"), &json!("confirmed")));
    assert_eq!(hall.states(&world).await, ["fhhh"]);
    assert_eq!(hall.proof(&world).await["differences"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_for_wheelchairs_go_to_those_who_say_so_with_company_beside_them() {
    let world = World::new().await;
    let hall = Hall::open(&world, &["ac.."]).await;
    hold(&world, hall.pick(&["A-1"])).await.refused(400, "invalid_input");
    hold(&world, hall.best(3)).await.refused(409, "sold_out");
    let with =
        |quantity: u32| json!({"lines": [{"offer": hall.offer, "quantity": quantity, "wheelchairs": 1}]});
    assert_eq!(seats(&hold(&world, with(2)).await.ok()), ["A-1", "A-2"]);
    hold(&world, with(1)).await.refused(409, "sold_out");
    assert_eq!(hall.states(&world).await, ["hhff"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_of_one_section_share_its_seats_and_sell_their_kinds() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let venue = venue(&world, &organiser, &["vv..", "...."]).await;
    let event = world.draft(&organiser, json!({})).await;
    let of = |name: &str, kinds: Value| json!({"seats": {"venue": venue, "section": "S", "kinds": kinds}, "name": name});
    let vip = world.offer(&organiser, &event, of("VIP", json!(["vip"]))).await;
    let adult = world.offer(&organiser, &event, of("Adult", json!(["regular"]))).await;
    let child = world.offer(&organiser, &event, of("Child", json!(["regular"]))).await;
    world.publish(&organiser, &event).await;
    let line = |offer: &str, quantity: u32| json!({"offer": offer, "quantity": quantity});
    // One basket of three offers is one hold; a family's seats are not the VIP ones.
    let family = json!({"lines": [line(&adult, 2), line(&child, 1), line(&vip, 1)]});
    let held = hold(&world, family).await.ok();
    let given: Vec<Vec<String>> = held["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["seats"].as_array().unwrap().iter().map(text).collect())
        .collect();
    assert_eq!(given.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1]);
    assert!(given[2][0] == "A-1" || given[2][0] == "A-2", "{given:?}");
    assert!(given[0].iter().chain(&given[1]).all(|seat| seat != "A-1" && seat != "A-2"), "{given:?}");
    hold(&world, json!({"lines": [{"offer": adult, "seats": ["A-2"]}]})).await.refused(400, "invalid_input");
    hold(&world, json!({"lines": [line(&vip, 2)]})).await.refused(409, "sold_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_are_blocked_and_opened_while_they_sell_but_never_taken_from_somebody() {
    let world = World::new().await;
    let hall = Hall::open(&world, &["x..."]).await;
    hold(&world, hall.pick(&["A-1"])).await.refused(409, "seat_taken");
    hold(&world, hall.pick(&["A-3"])).await.ok();
    let changed =
        hall.change(&world, json!({"section": "S", "block": ["A-2", "A-3"], "open": ["A-1"]})).await.ok();
    assert_eq!(changed["taken"], json!(["A-3"]));
    assert_eq!(hall.states(&world).await, ["fxhf"]);
    let again = hall.change(&world, json!({"section": "S", "block": ["A-2"], "open": ["A-1"]})).await.ok();
    assert_eq!(again["taken"], json!([]));
    let event = world.get(&format!("/v1/events/{}", hall.event)).send().await.ok();
    assert_eq!((&event["offers"][0]["capacity"], &event["offers"][0]["available"]), (&json!(3), &json!(2)));
    hold(&world, hall.pick(&["A-2"])).await.refused(409, "seat_taken");
    hold(&world, hall.pick(&["A-1", "A-4"])).await.ok();
    hold(&world, hall.best(1)).await.refused(409, "sold_out");
    assert_eq!(hall.proof(&world).await["differences"], json!([]));
    hall.change(&world, json!({"section": "Z", "block": ["A-2"]})).await.refused(400, "invalid_input");
    let stranger = world.organiser("stranger").await;
    let path = format!("/v1/events/{}/seats/changes", hall.event);
    let change = json!({"section": "S", "block": ["A-4"]});
    world.post(&path).by(&stranger.token).json(change).send().await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_drawn_anew_does_not_move_the_seats_of_an_event_that_sells() {
    let world = World::new().await;
    let hall = Hall::open(&world, &["...."]).await;
    let path = format!("/v1/venues/{}/sections/S", hall.venue);
    world.put(&path).by(&hall.organiser.token).json(rows(&["..", ".."])).send().await.ok();
    world.put(&path).by(&hall.organiser.token).json(rows(&["?"])).send().await.refused(400, "invalid_input");
    assert_eq!(hall.states(&world).await, ["ffff"]);
    hold(&world, hall.pick(&["A-4"])).await.ok();
    let venue = world.get(&format!("/v1/venues/{}", hall.venue)).by(&hall.organiser.token).send().await.ok();
    assert_eq!((&venue["sections"][0]["seats"], &venue["sections"][0]["code"]), (&json!(4), &json!("S")));
    let stranger = world.organiser("stranger").await;
    world
        .get(&format!("/v1/venues/{}", hall.venue))
        .by(&stranger.token)
        .send()
        .await
        .refused(404, "not_found");
    world.put(&path).by(&stranger.token).json(rows(&[".."])).send().await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_named() {
    let world = World::new().await;
    let hall = Hall::open(&world, &["...."]).await;
    let both = json!({"lines": [{"offer": hall.offer, "seats": ["A-1"], "quantity": 2}]});
    for basket in [
        hall.pick(&["A-9"]),
        hall.pick(&["A-1", "A-1"]),
        hall.pick(&[]),
        both,
        json!({"lines": [{"offer": hall.offer, "quantity": 1, "wheelchairs": 2}]}),
    ] {
        hold(&world, basket).await.refused(400, "invalid_input");
    }
    let standing = world.sale_of(&hall.organiser, json!({"capacity": 5})).await;
    hold(&world, json!({"lines": [{"offer": standing.offer, "seats": ["A-1"]}]}))
        .await
        .refused(400, "invalid_input");
    let path = format!("/v1/pools/{}", hall.pool(&world).await);
    world
        .put(&path)
        .by(&hall.organiser.token)
        .json(json!({"capacity": 9}))
        .send()
        .await
        .refused(409, "wrong_state");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_shows_every_seat_and_where_it_stands() {
    let world = World::new().await;
    let hall = Hall::open(&world, &["ac.vx"]).await;
    hold(&world, hall.pick(&["A-4"])).await.ok();
    world.advance(SignedDuration::from_secs(3)).await;
    let picture = world.get(&format!("/v1/events/{}/seats.svg", hall.event)).send().await;
    assert_eq!((picture.status, picture.header("content-type")), (200, "image/svg+xml"));
    let svg = String::from_utf8(picture.bytes.clone()).unwrap();
    for title in ["A-1, wheelchair space, free", "A-4, VIP seat, on hold", "A-5, seat, not for sale"] {
        assert!(svg.contains(title), "{title}");
    }
    let path = format!("/v1/events/{}/seats.svg", hall.event);
    let again = world.get(&path).header("If-None-Match", picture.header("etag")).send().await;
    assert_eq!(again.status, 304);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_while_seats_are_blocked_opened_and_sold_leaves_a_true_map() {
    let world = World::new().await;
    let hall = Hall::open(&world, &["....", "x..."]).await;
    let told = async |there: bool, crash: Option<(u64, Side)>| {
        // One seat is opened and another blocked, there and back; a third is held.
        let (open, block) = if there { ("B-1", "B-4") } else { ("B-4", "B-1") };
        let change = json!({"section": "S", "open": [open], "block": [block]});
        let key = uuid();
        let calls = world
            .crashing(crash, async || {
                let changed = hall.change(&world, change.clone()).await;
                match changed.status {
                    200 => world.post("/v1/holds").key(&key).json(hall.pick(&["A-2"])).send().await,
                    _ => changed,
                }
            })
            .await;
        let expected = if there { ["fhff", "fffx"] } else { ["fhff", "xfff"] };
        assert_eq!(hall.states(&world).await, expected, "{crash:?}");
        assert_eq!(hall.proof(&world).await["differences"], json!([]), "{crash:?}");
        // Whoever was not answered asks again under the same key and lets go.
        let held = world.post("/v1/holds").key(&key).json(hall.pick(&["A-2"])).send().await.ok();
        let release = format!("/v1/holds/{}/release", text(&held["id"]));
        let quote = json!({"quote": held["quote"]});
        let let_go = world.post(&release).by(&text(&held["guest_token"])).json(quote).send().await;
        assert_eq!(let_go.status, 204);
        calls
    };
    let calls = told(true, None).await + 2;
    told(false, None).await;
    for step in 1..=calls {
        for side in [Side::Before, Side::After] {
            told(true, Some((step, side))).await;
            told(false, Some((step, side))).await;
        }
    }
}
