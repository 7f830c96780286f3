//! The waitlist: places that come back go to those who wait, in their order, and to nobody else.

use crate::support::{Answer, Held, Organiser, Sale, World, text, uuid};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tessera_local::stores::faults::Side;

/// Somebody on the waitlist.
struct Waiter {
    id: String,
    token: String,
    email: String,
}

async fn try_join(world: &World, sale: &Sale, offers: &[&str], quantity: u32, email: &str) -> Answer {
    let join = json!({"offers": offers, "quantity": quantity, "contact": {"name": "Grace", "email": email}});
    world.post(&format!("/v1/events/{}/waitlist", sale.event)).key(&uuid()).json(join).send().await
}

async fn join(world: &World, sale: &Sale, quantity: u32, name: &str) -> Waiter {
    let email = format!("{name}@example.org");
    let joined = try_join(world, sale, &[&sale.offer], quantity, &email).await.ok();
    world.settle().await;
    Waiter { id: text(&joined["id"]), token: text(&joined["guest_token"]), email }
}

impl Waiter {
    async fn see(&self, world: &World) -> Value {
        world.get(&format!("/v1/waitlist/{}", self.id)).by(&self.token).send().await.ok()
    }

    async fn status(&self, world: &World) -> String {
        text(&self.see(world).await["status"])
    }

    async fn accept(&self, world: &World) -> Answer {
        world.post(&format!("/v1/waitlist/{}/accept", self.id)).by(&self.token).send().await
    }

    async fn leave(&self, world: &World) -> Value {
        let left = world.post(&format!("/v1/waitlist/{}/leave", self.id)).by(&self.token).send().await.ok();
        world.settle().await;
        left
    }

    /// From the offer to the tickets.
    async fn buy(&self, world: &World) -> Value {
        let held = Held { token: self.token.clone(), hold: self.accept(world).await.ok() };
        let order = world.order(&held, &self.email).await;
        let payment = world.payment(&held, &order).await;
        world.pay(&payment, "pm_card_visa");
        world.settle().await;
        world.read_order(&held, &order).await
    }
}

async fn let_go(world: &World, held: &Held) {
    let release = format!("/v1/holds/{}/release", text(&held.hold["id"]));
    let quote = json!({"quote": held.hold["quote"]});
    assert_eq!(world.post(&release).by(&held.token).json(quote).send().await.status, 204);
    world.settle().await;
}

async fn proof(world: &World, sale: &Sale) -> Value {
    let event = world.get(&format!("/v1/events/{}", sale.event)).send().await.ok();
    let path = format!("/v1/pools/{}/proof", text(&event["offers"][0]["pool"]));
    world.get(&path).by(&sale.organiser.token).send().await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_comes_back_is_offered_to_the_first_in_line_by_mail_and_bought() {
    let world = World::new().await;
    let sale = world.sale(4, json!({})).await;
    let (a, _b) = (world.hold(&sale, 2).await, world.hold(&sale, 2).await);
    let (first, second) = (join(&world, &sale, 2, "first").await, join(&world, &sale, 2, "second").await);
    let seen = (first.see(&world).await, second.see(&world).await);
    assert_eq!(
        (&seen.0["ahead"], &seen.1["ahead"], &seen.1["status"]),
        (&json!(0), &json!(1), &json!("waiting"))
    );
    first.accept(&world).await.refused(409, "wrong_state");
    let_go(&world, &a).await;
    assert_eq!(
        (first.status(&world).await, second.status(&world).await),
        ("offered".into(), "waiting".into())
    );
    assert_eq!(second.see(&world).await["ahead"], 0);
    let mail = world.mail_to(&first.email);
    assert!(mail.subject.contains("Places for you"), "{}", mail.subject);
    assert!(world.mails_to(&second.email).is_empty());
    // The link of the mail is enough.
    let body = mail.text.as_deref().unwrap_or_default();
    let link = body.split_whitespace().find(|word| word.contains("/v1/waitlist/")).expect("a link");
    let path = &link[link.find("/v1/").unwrap()..];
    assert_eq!(world.get(path).send().await.ok()["status"], "offered");
    world.get(&path[..path.len() - 1]).send().await.refused(404, "not_found");
    assert_eq!(first.buy(&world).await["status"], "confirmed");
    assert_eq!(first.status(&world).await, "accepted");
    assert_eq!(proof(&world, &sale).await["differences"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_walk_in_slips_in_between() {
    let world = World::new().await;
    let sale = world.sale(6, json!({})).await;
    let holds = join_all((0..6).map(|_| world.hold(&sale, 1))).await;
    let mut waiters = Vec::new();
    for n in 0..4 {
        waiters.push(join(&world, &sale, 1, &format!("w{n}")).await);
    }
    // Places come back one by one while fifty walk-ins try without a pause.
    let (world, sale) = (&world, &sale);
    let back = async {
        for held in &holds[..3] {
            let release = format!("/v1/holds/{}/release", text(&held.hold["id"]));
            let quote = json!({"quote": held.hold["quote"]});
            assert_eq!(world.post(&release).by(&held.token).json(quote).send().await.status, 204);
        }
    };
    let rush = join_all((0..50).map(|_| world.try_hold(sale, 1)));
    let (answers, ()) = futures_util::future::join(rush, back).await;
    for answer in answers {
        let refusal = answer.refused(409, "sold_out");
        assert_eq!(refusal.get("waitlist").unwrap_or(&json!(true)), true);
    }
    world.settle().await;
    let mut standing = Vec::new();
    for waiter in &waiters {
        standing.push(waiter.status(world).await);
    }
    assert_eq!(standing, ["offered", "offered", "offered", "waiting"]);
    assert_eq!(proof(world, sale).await["differences"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_is_declined_or_forgotten_goes_to_the_next() {
    let world = World::new().await;
    let sale = world.sale(1, json!({})).await;
    let held = world.hold(&sale, 1).await;
    let mut waiters = Vec::new();
    for name in ["one", "two", "three"] {
        waiters.push(join(&world, &sale, 1, name).await);
    }
    let_go(&world, &held).await;
    assert_eq!(waiters[0].status(&world).await, "offered");
    assert_eq!(waiters[0].leave(&world).await["status"], "declined");
    assert_eq!(waiters[0].leave(&world).await["status"], "declined", "declining twice is declining");
    waiters[0].accept(&world).await.refused(409, "wrong_state");
    assert_eq!(waiters[1].status(&world).await, "offered");
    let quote = waiters[1].accept(&world).await.ok();
    world.advance(SignedDuration::from_secs(2 * 3600 + 1)).await;
    // Its time is over, also where nobody has come by yet; and it does not come again.
    assert_eq!(waiters[1].status(&world).await, "expired");
    waiters[1].accept(&world).await.refused(410, "hold_gone");
    let order = json!({"quote": quote["quote"], "contact": {"name": "Late", "email": "late@example.org"}});
    world.post("/v1/orders").by(&waiters[1].token).json(order).send().await.refused(410, "hold_gone");
    world.whole.run_job("BookingWorker", "tidy").await.unwrap();
    world.settle().await;
    assert_eq!(waiters[2].status(&world).await, "offered");
    assert_eq!(waiters[1].status(&world).await, "expired");
    assert_eq!(waiters[2].buy(&world).await["status"], "confirmed");
    let summary = format!("/v1/events/{}/waitlist/summary", sale.event);
    let session = json!({"email": "organiser@example.org", "password": "correct horse"});
    let token = text(&world.post("/v1/sessions").json(session).send().await.ok()["access_token"]);
    let summary = world.get(&summary).by(&token).send().await.ok();
    for (name, count) in
        [("accepted", 1), ("declined", 1), ("expired", 1), ("waiting", 0), ("accepted_percent", 33)]
    {
        assert_eq!(summary[name], count, "{summary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_booking_and_a_larger_pool_serve_the_line_too() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let (held, order) = world.buy(&sale, 2, "gone@example.org").await;
    let (first, second) = (join(&world, &sale, 2, "first").await, join(&world, &sale, 3, "second").await);
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    world.post(&cancel).by(&held.token).send().await.ok();
    world.settle().await;
    assert_eq!(
        (first.status(&world).await, second.status(&world).await),
        ("offered".into(), "waiting".into())
    );
    let event = world.get(&format!("/v1/events/{}", sale.event)).send().await.ok();
    let pool = format!("/v1/pools/{}", text(&event["offers"][0]["pool"]));
    world.put(&pool).by(&sale.organiser.token).json(json!({"capacity": 60})).send().await.ok();
    world.settle().await;
    assert_eq!(second.status(&world).await, "offered");
    // Nobody waits any more: the rest is anybody's.
    world.advance(SignedDuration::from_secs(3)).await;
    world.hold(&sale, 8).await;
    assert_eq!(proof(&world, &sale).await["differences"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fits_nobody_in_line_is_sold_to_whom_it_fits() {
    let world = World::new().await;
    let sale = world.sale(4, json!({})).await;
    let (one, rest) = (world.hold(&sale, 1).await, world.hold(&sale, 3).await);
    let party = join(&world, &sale, 3, "party").await;
    let_go(&world, &one).await;
    assert_eq!(party.status(&world).await, "waiting");
    world.advance(SignedDuration::from_secs(2)).await;
    // One place is no use to three people.
    world.hold(&sale, 1).await;
    let_go(&world, &rest).await;
    assert_eq!(party.status(&world).await, "offered");
    assert_eq!(proof(&world, &sale).await["differences"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fits_first_is_served_first_and_any_offer_will_do() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let event = world.draft(&organiser, json!({})).await;
    let stalls = world.offer(&organiser, &event, json!({"capacity": 2, "name": "Stalls"})).await;
    let balcony = world.offer(&organiser, &event, json!({"capacity": 2, "name": "Balcony"})).await;
    world.publish(&organiser, &event).await;
    let sale = Sale { organiser, event, offer: stalls.clone() };
    let upstairs = Sale { offer: balcony.clone(), ..sale.clone() };
    let (below, above) = (world.hold(&sale, 2).await, world.hold(&upstairs, 2).await);
    let both = try_join(&world, &sale, &[&stalls, &balcony], 2, "both@example.org").await.ok();
    let (id, token) = (text(&both["id"]), text(&both["guest_token"]));
    world.settle().await;
    let single = join(&world, &sale, 1, "single").await;
    let_go(&world, &above).await;
    let seen = world.get(&format!("/v1/waitlist/{id}")).by(&token).send().await.ok();
    assert_eq!((&seen["status"], &seen["offered"]), (&json!("offered"), &json!(balcony)));
    let_go(&world, &below).await;
    assert_eq!(single.status(&world).await, "offered");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_offered_once_the_sale_has_closed_and_no_offer_outlives_it() {
    let world = World::new().await;
    let closes = world.whole.clock().now() + SignedDuration::from_mins(30);
    let sale = world.sale(2, json!({"sale": {"closes": closes.to_string()}})).await;
    let (a, b) = (world.hold(&sale, 1).await, world.hold(&sale, 1).await);
    let (first, second) = (join(&world, &sale, 1, "first").await, join(&world, &sale, 1, "second").await);
    let_go(&world, &a).await;
    let until: jiff::Timestamp = text(&first.see(&world).await["until"]).parse().unwrap();
    assert!(until <= closes, "{until}");
    world.advance(SignedDuration::from_mins(31)).await;
    first.accept(&world).await.refused(410, "hold_gone");
    let _ = b;
    world.whole.run_job("BookingWorker", "tidy").await.unwrap();
    world.settle().await;
    assert_eq!(second.status(&world).await, "waiting");
    try_join(&world, &sale, &[&sale.offer], 1, "late@example.org").await.refused(409, "sale_closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_joins_when_it_is_sold_out_once_and_for_something_possible() {
    let world = World::new().await;
    let sale = world.sale(2, json!({"per_order": 2})).await;
    try_join(&world, &sale, &[&sale.offer], 1, "early@example.org").await.refused(409, "wrong_state");
    world.hold(&sale, 2).await;
    world.advance(SignedDuration::from_secs(2)).await;
    try_join(&world, &sale, &[&sale.offer], 3, "many@example.org").await.refused(409, "limit_reached");
    try_join(&world, &sale, &[], 1, "none@example.org").await.refused(400, "invalid_input");
    let token = text(&world.account("ada@example.org").await["access_token"]);
    let path = format!("/v1/events/{}/waitlist", sale.event);
    let wish = |quantity: u32| json!({"offers": [sale.offer], "quantity": quantity, "contact": {"name": "Ada", "email": "ada@example.org"}});
    let join = |quantity: u32| world.post(&path).by(&token).key(&uuid()).json(wish(quantity)).send();
    let calls = join_all((0..6).map(|_| join(1))).await;
    let ids: Vec<_> = calls.into_iter().map(|answer| text(&answer.ok()["id"])).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    join(2).await.refused(409, "already_exists");
    world.settle().await;
    let mine = world.get("/v1/waitlist").by(&token).send().await.ok();
    assert_eq!(mine["items"].as_array().unwrap().len(), 1);
    let one = format!("/v1/waitlist/{}", ids[0]);
    let stranger = text(&world.account("eve@example.org").await["access_token"]);
    world.get(&one).by(&stranger).send().await.refused(404, "not_found");
    world.post(&format!("{one}/leave")).by(&stranger).send().await.refused(404, "not_found");
    world.get(&path).by(&stranger).send().await.refused(404, "not_found");
    let listed = world.get(&path).by(&sale.organiser.token).send().await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    // After leaving one may come back, at the end.
    world.post(&format!("{one}/leave")).by(&token).send().await.ok();
    world.settle().await;
    assert_eq!(join(2).await.ok()["status"], "waiting");
    world.settle().await;
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_that_come_back_are_offered_together() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let venue = json!({"organisation": organiser.organisation, "name": "Hall"});
    let venue =
        text(&world.post("/v1/venues").by(&organiser.token).key("v").json(venue).send().await.ok()["id"]);
    let drawn = json!({"name": "Stalls", "rows": [{"label": "A", "seats": "...."}]});
    world.put(&format!("/v1/venues/{venue}/sections/S")).by(&organiser.token).json(drawn).send().await.ok();
    let sale = world.sale_of(&organiser, json!({"seats": {"venue": venue, "section": "S"}})).await;
    let pick = |seats: [&str; 2]| json!({"lines": [{"offer": sale.offer, "seats": seats}]});
    let hold = |basket: Value| world.post("/v1/holds").key(&uuid()).json(basket).send();
    let (left, _right) = (hold(pick(["A-1", "A-2"])).await.ok(), hold(pick(["A-3", "A-4"])).await.ok());
    let waiter = join(&world, &sale, 2, "pair").await;
    let_go(&world, &Held { token: text(&left["guest_token"]), hold: left }).await;
    let offered = waiter.accept(&world).await.ok();
    assert_eq!(offered["lines"][0]["seats"], json!(["A-1", "A-2"]));
    hold(pick(["A-1", "A-2"])).await.refused(409, "seat_taken");
    assert_eq!(waiter.buy(&world).await["status"], "confirmed");
    assert_eq!(proof(&world, &sale).await["differences"], json!([]));
}

/// One booking cancelled while two wait, with a crash at this store call from then on; who stands where in the end.
async fn cancelled_with_a_crash(world: &World, organiser: &Organiser, crash: Option<(u64, Side)>) -> u64 {
    let free = json!({"capacity": 1, "price": {"amount": 0, "currency": "EUR"}});
    let sale = world.sale_of(organiser, free).await;
    let (held, order) = world.buy(&sale, 1, "gone@example.org").await;
    let (first, second) = (join(world, &sale, 1, "first").await, join(world, &sale, 1, "second").await);
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    let calls = world.crashing(crash, async || world.post(&cancel).by(&held.token).send().await).await;
    assert_eq!(
        (first.status(world).await, second.status(world).await),
        ("offered".into(), "waiting".into()),
        "{crash:?}"
    );
    first.leave(world).await;
    assert_eq!(second.status(world).await, "offered", "{crash:?}");
    let proof = proof(world, &sale).await;
    assert_eq!((&proof["differences"], &proof["held"]), (&json!([]), &json!(1)), "{crash:?}");
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_while_places_are_passed_on_loses_neither_place_nor_turn() {
    let world = World::new().await;
    let organiser = world.organiser("organiser").await;
    let calls = cancelled_with_a_crash(&world, &organiser, None).await;
    assert!(calls > 15, "{calls} calls");
    // Nobody but the store is asked on the way: before a call is after the one before it.
    for step in 1..=calls {
        cancelled_with_a_crash(&world, &organiser, Some((step, Side::After))).await;
    }
    assert_eq!(world.dead_letters(), 0);
}
