//! Vendors' services: free times, booked without overlap, priced by rule, moved in one step.

use crate::support::{Answer, Held, Organiser, World, every_day, text, uuid};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tessera_local::stores::faults::Side;

/// A photographer in Berlin who works from nine to six, every day.
pub struct Studio {
    pub vendor: Organiser,
    pub service: String,
    pub package: String,
}

fn details(more: Value) -> Value {
    let hours = every_day("09:00:00", "18:00:00");
    let mut details = json!({"name": "Studio Linse", "category": "photography", "city": "Berlin", "zone": "Europe/Berlin", "hours": hours});
    for (name, value) in more.as_object().unwrap() {
        details[name] = value.clone();
    }
    details
}

impl Studio {
    async fn open(world: &World, more: Value, minutes: u32) -> Self {
        let vendor = world.organiser("vendor").await;
        Self::of(world, vendor, more, json!({"minutes": minutes})).await
    }

    pub async fn of(world: &World, vendor: Organiser, more: Value, package: Value) -> Self {
        let new = json!({"organisation": vendor.organisation, "details": details(more.clone())});
        let founded = world.post("/v1/services").by(&vendor.token).key(&uuid()).json(new).send().await;
        let (etag, service) = (founded.header("etag").to_owned(), text(&founded.ok()["id"]));
        let mut terms = json!({"name": "Portrait", "price": {"amount": 10_000, "currency": "EUR"}});
        for (name, value) in package.as_object().unwrap() {
            terms[name] = value.clone();
        }
        let path = format!("/v1/services/{service}/packages");
        let package = world.post(&path).by(&vendor.token).key(&uuid()).json(terms).send().await.ok();
        let open = json!({"open": true, "details": details(more)});
        let path = format!("/v1/services/{service}");
        world.put(&path).by(&vendor.token).header("If-Match", &etag).json(open).send().await.ok();
        Self { vendor, service, package: text(&package["id"]) }
    }

    /// So many hours after nine o'clock in Berlin, some days from now.
    pub fn at(&self, world: &World, days: i64, hours: i64) -> Timestamp {
        let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
        let day = zone.to_datetime(world.whole.clock().now() + SignedDuration::from_hours(24 * days)).date();
        zone.to_timestamp(day.at(9, 0, 0, 0)).unwrap() + SignedDuration::from_hours(hours)
    }

    pub fn basket(&self, starts: Timestamp) -> Value {
        json!({"lines": [{"package": self.package, "starts": starts.to_string()}]})
    }

    async fn hold(&self, world: &World, starts: Timestamp) -> Answer {
        world.post("/v1/holds").key(&uuid()).json(self.basket(starts)).send().await
    }

    async fn free(&self, world: &World, from: Timestamp, hours: i64, step: u32) -> Vec<Value> {
        world.advance(SignedDuration::from_secs(2)).await;
        let until = from + SignedDuration::from_hours(hours);
        let path = format!(
            "/v1/services/{}/times?package={}&from={from}&until={until}&step={step}",
            self.service, self.package
        );
        world.get(&path).send().await.ok()["items"].as_array().unwrap().clone()
    }

    async fn book(&self, world: &World, starts: Timestamp, email: &str) -> (Held, Value) {
        let hold = self.hold(world, starts).await.ok();
        let held = Held { token: text(&hold["guest_token"]), hold };
        let order = world.order(&held, email).await;
        let payment = world.payment(&held, &order).await;
        world.pay(&payment, "pm_card_visa");
        world.settle().await;
        let order = world.read_order(&held, &order).await;
        (held, order)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_found_held_paid_and_gone_from_the_calendar() {
    let world = World::new().await;
    let studio = Studio::open(&world, json!({"buffer_after": 30}), 60).await;
    let nine = studio.at(&world, 5, 0);
    let free = studio.free(&world, nine, 10, 60).await;
    assert_eq!(free.len(), 9, "nine to six, an hour each");
    assert_eq!((&free[0]["starts"], &free[0]["units"]), (&json!(nine.to_string()), &json!(1)));
    let eleven = nine + SignedDuration::from_hours(2);
    let (held, order) = studio.book(&world, eleven, "face@example.org").await;
    assert_eq!((&order["status"], &order["service"]), (&json!("confirmed"), &json!(studio.service)));
    assert_eq!(order["lines"][0]["slot"]["starts"], json!(eleven.to_string()));
    let mail = world.mail_to("face@example.org");
    assert!(mail.subject.contains("Studio Linse"), "{}", mail.subject);
    assert!(mail.text.unwrap().contains("11:00"));
    // The hour itself, and what would reach into it with its own buffer or begin in the buffer after it.
    let free = studio.free(&world, nine, 10, 30).await;
    let starts: Vec<_> = free.iter().map(|time| text(&time["starts"])).collect();
    for (half_hours, expected) in [(1, true), (2, false), (3, false), (4, false), (6, false), (7, true)] {
        let at = nine + SignedDuration::from_mins(30 * half_hours);
        assert_eq!(starts.contains(&at.to_string()), expected, "{at}");
    }
    studio.hold(&world, eleven + SignedDuration::from_mins(30)).await.refused(409, "slot_taken");
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    world.post(&cancel).by(&held.token).send().await.ok();
    world.settle().await;
    assert_eq!(studio.free(&world, nine, 10, 60).await.len(), 9);
    assert!(world.mail_to("face@example.org").subject.starts_with("Cancelled"));
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_overlapping_bookings_of_one_unit_one_wins_and_two_units_serve_two() {
    let world = World::new().await;
    for units in [1, 2] {
        let vendor = world.organiser(&format!("vendor{units}")).await;
        let studio = Studio::of(&world, vendor, json!({"units": units}), json!({"minutes": 120})).await;
        // They overlap each other in chains; the one in the middle reaches over noon, and over two lanes.
        let nine = studio.at(&world, 7, 0);
        let wishes = (0..12).map(|n| nine + SignedDuration::from_mins(150 + 15 * (n % 4)));
        let answers = join_all(wishes.map(|starts| studio.hold(&world, starts))).await;
        let held = answers.iter().filter(|answer| answer.status == 201).count();
        assert!(held <= units && held > 0, "{held} of {units}");
        for answer in answers.into_iter().filter(|answer| answer.status != 201) {
            assert!(
                matches!((answer.status, answer.code()), (409, "slot_taken") | (410, "hold_gone")),
                "{}",
                answer.body
            );
        }
        // Whoever asks in peace gets what is left, and no more.
        let mut all = held;
        while studio.hold(&world, nine + SignedDuration::from_mins(150)).await.status == 201 {
            all += 1;
        }
        assert_eq!(all, units);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_hold_of_a_time_is_the_same_hold() {
    let world = World::new().await;
    let studio = Studio::open(&world, json!({"units": 3}), 60).await;
    let (key, ten) = (uuid(), studio.at(&world, 3, 1));
    let ask = || world.post("/v1/holds").key(&key).json(studio.basket(ten)).send();
    let first = ask().await.ok();
    let again = ask().await.ok();
    assert_eq!((&first["id"], &first["quote"]), (&again["id"], &again["quote"]));
    assert_eq!(studio.free(&world, ten, 1, 60).await[0]["units"], 2);
    let other = studio.basket(ten + SignedDuration::from_hours(2));
    world.post("/v1/holds").key(&key).json(other).send().await.refused(422, "key_reused");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_time_is_anybodys_after_its_hold() {
    let world = World::new().await;
    let studio = Studio::open(&world, json!({}), 60).await;
    let ten = studio.at(&world, 3, 1);
    studio.hold(&world, ten).await.ok();
    studio.hold(&world, ten).await.refused(409, "slot_taken");
    world.advance(SignedDuration::from_secs(601)).await;
    assert_eq!(studio.free(&world, ten, 1, 60).await.len(), 1);
    studio.hold(&world, ten).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_moves_in_one_step_and_nobody_else_gets_either_time_meanwhile() {
    let world = World::new().await;
    let studio = Studio::open(&world, json!({}), 60).await;
    let (ten, two, four) = (studio.at(&world, 4, 1), studio.at(&world, 4, 5), studio.at(&world, 4, 7));
    let (held, order) = studio.book(&world, ten, "mover@example.org").await;
    let path = format!("/v1/bookings/{}/reschedule", text(&order["booking"]));
    let new = |starts: Timestamp| {
        world.post("/v1/holds").by(&held.token).key(&uuid()).json(studio.basket(starts)).send()
    };
    let quote = json!({"quote": new(two).await.ok()["quote"]});
    let moved = world.post(&path).by(&held.token).json(quote.clone()).send().await.ok();
    assert_eq!(
        (&moved["status"], &moved["lines"][0]["slot"]["starts"]),
        (&json!("confirmed"), &json!(two.to_string()))
    );
    let again = world.post(&path).by(&held.token).json(quote).send().await.ok();
    assert_eq!(again["id"], moved["id"], "moving twice is moving");
    world.settle().await;
    assert!(world.mail_to("mover@example.org").text.unwrap().contains("14:00"));
    assert_eq!(world.read_order(&held, &order).await["booking"], moved["id"]);
    let old = world.get(&path.replace("/reschedule", "")).by(&held.token).send().await.ok();
    assert_eq!((&old["status"], &old["cancelled_by"]), (&json!("cancelled"), &json!("moved")));
    studio.hold(&world, ten).await.ok();
    studio.hold(&world, two).await.refused(409, "slot_taken");
    // Of two moves at once, one arrives.
    let path = format!("/v1/bookings/{}/reschedule", text(&moved["id"]));
    let quotes = [new(four).await.ok(), new(studio.at(&world, 5, 0)).await.ok()];
    let moves = quotes
        .iter()
        .map(|hold| world.post(&path).by(&held.token).json(json!({"quote": hold["quote"]})).send());
    let answers = join_all(moves).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    world.settle().await;
    let order = world.read_order(&held, &order).await;
    let mine = world.get("/v1/bookings").by(&held.token).send().await.ok();
    let confirmed: Vec<_> =
        mine["items"].as_array().unwrap().iter().filter(|booking| booking["status"] == "confirmed").collect();
    assert_eq!(confirmed.len(), 1);
    assert_eq!(confirmed[0]["id"], order["booking"]);
    // The money goes back once, from wherever it is now.
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    world.post(&cancel).by(&held.token).send().await.ok();
    world.settle().await;
    let payments = world.whole.stripe().payments(0, 20).unwrap();
    assert_eq!(payments.iter().map(|payment| payment.received - payment.refunded).sum::<i64>(), 0);
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_is_not_paid_yet_moves_and_its_money_finds_it() {
    let world = World::new().await;
    let studio = Studio::open(&world, json!({}), 60).await;
    let means = json!({"cash": {"place": "At the studio.", "terms": {"within": 720}}});
    let path = format!("/v1/organisations/{}/means", studio.vendor.organisation);
    world.put(&path).by(&studio.vendor.token).header("If-Match", "\"v0\"").json(means).send().await.ok();
    let (ten, two) = (studio.at(&world, 4, 1), studio.at(&world, 4, 5));
    let hold = studio.hold(&world, ten).await.ok();
    let held = Held { token: text(&hold["guest_token"]), hold };
    let order = world.order(&held, "cash@example.org").await;
    let path = format!("/v1/orders/{}/payments", text(&order["id"]));
    let payment = world.post(&path).by(&held.token).json(json!({"provider": "cash"})).send().await.ok();
    assert_eq!(payment["promise"]["due"], ten.to_string(), "it is due when it begins");
    world.settle().await;
    let order = world.read_order(&held, &order).await;
    let path = format!("/v1/bookings/{}/reschedule", text(&order["booking"]));
    let new = world.post("/v1/holds").by(&held.token).key(&uuid()).json(studio.basket(two)).send().await.ok();
    let moved = json!({"quote": new["quote"]});
    let moved = world.post(&path).by(&held.token).json(moved).send().await.ok();
    assert_eq!((&moved["status"], moved["id"] != order["booking"]), (&json!("reserved"), true));
    world.settle().await;
    let order = world.read_order(&held, &order).await;
    assert_eq!((&order["status"], &order["booking"]), (&json!("reserved"), &moved["id"]));
    let path = format!("/v1/payments/{}/receipts", text(&payment["id"]));
    let all = json!({"amount": payment["amount"]});
    world.post(&path).by(&studio.vendor.token).key("all").json(all).send().await.ok();
    world.settle().await;
    let order = world.read_order(&held, &order).await;
    assert_eq!((&order["status"], &order["booking"]), (&json!("confirmed"), &moved["id"]));
    let booking =
        world.get(&format!("/v1/bookings/{}", text(&moved["id"]))).by(&held.token).send().await.ok();
    assert_eq!(
        (&booking["status"], &booking["lines"][0]["slot"]["starts"]),
        (&json!("confirmed"), &json!(two.to_string()))
    );
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_stays_where_it_is_when_the_new_time_is_not_to_be_had() {
    let world = World::new().await;
    let weekend = json!({"prices": [{"name": "evening", "from": "17:00:00", "percent": 50}]});
    let studio = Studio::open(&world, weekend, 60).await;
    let (ten, two, five) = (studio.at(&world, 4, 1), studio.at(&world, 4, 5), studio.at(&world, 4, 8));
    let (held, order) = studio.book(&world, ten, "stay@example.org").await;
    let path = format!("/v1/bookings/{}/reschedule", text(&order["booking"]));
    let hold = |starts: Timestamp| {
        world.post("/v1/holds").by(&held.token).key(&uuid()).json(studio.basket(starts)).send()
    };
    let to = |hold: &Value| world.post(&path).by(&held.token).json(json!({"quote": hold["quote"]})).send();
    to(&hold(five).await.ok()).await.refused(409, "wrong_state");
    let expired = hold(two).await.ok();
    world.advance(SignedDuration::from_secs(601)).await;
    to(&expired).await.refused(410, "hold_gone");
    let stranger = studio.hold(&world, two).await.ok();
    to(&stranger).await.refused(400, "invalid_input");
    let own = world.get(&path.replace("/reschedule", "")).by(&held.token).send().await.ok();
    assert_eq!(
        (&own["status"], &own["lines"][0]["slot"]["starts"]),
        (&json!("confirmed"), &json!(ten.to_string()))
    );
    studio.hold(&world, ten).await.refused(409, "slot_taken");
}

/// One booking moved, with a crash at this store call from then on.
async fn moved_with_a_crash(world: &World, studio: &Studio, day: i64, crash: Option<(u64, Side)>) -> u64 {
    let (ten, two) = (studio.at(world, day, 1), studio.at(world, day, 5));
    let (held, order) = studio.book(world, ten, "crash@example.org").await;
    let new = world.post("/v1/holds").by(&held.token).key(&uuid()).json(studio.basket(two)).send().await.ok();
    let path = format!("/v1/bookings/{}/reschedule", text(&order["booking"]));
    let quote = json!({"quote": new["quote"]});
    let calls = world
        .crashing(crash, async || world.post(&path).by(&held.token).json(quote.clone()).send().await)
        .await;
    let order = world.read_order(&held, &order).await;
    let booking =
        world.get(&format!("/v1/bookings/{}", text(&order["booking"]))).by(&held.token).send().await.ok();
    assert_eq!(
        (&booking["status"], &booking["lines"][0]["slot"]["starts"]),
        (&json!("confirmed"), &json!(two.to_string())),
        "{crash:?}"
    );
    studio.hold(world, ten).await.ok();
    studio.hold(world, two).await.refused(409, "slot_taken");
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_while_a_booking_moves_leaves_it_at_one_time() {
    let world = World::new().await;
    let studio = Studio::open(&world, json!({}), 60).await;
    let calls = moved_with_a_crash(&world, &studio, 2, None).await;
    assert!(calls > 10, "{calls} calls");
    let mut day = 3;
    for step in 1..=calls {
        for side in [Side::Before, Side::After] {
            moved_with_a_crash(&world, &studio, day, Some((step, side))).await;
            day += 1;
        }
    }
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_found_by_city_and_compared() {
    let world = World::new().await;
    let vendor = world.organiser("vendor").await;
    let rule = json!({"prices": [{"name": "early", "until": "10:00:00", "percent": -20}]});
    let linse = Studio::of(&world, vendor.clone(), rule, json!({"minutes": 60})).await;
    let pair = json!({"minutes": 120, "price": {"amount": 15_000, "currency": "EUR"}, "guests_to": 20});
    let blende = Studio::of(&world, vendor.clone(), json!({"name": "Blende Acht"}), pair).await;
    let caterer = json!({"name": "Caterer", "category": "catering"});
    Studio::of(&world, vendor.clone(), caterer, json!({"minutes": 240})).await;
    let list = world.get("/v1/services?city=berlin&category=photography").send().await.ok();
    let names: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|service| text(&service["name"])).collect();
    assert_eq!(names, ["Blende Acht", "Studio Linse"]);
    let day = linse.at(&world, 6, -9);
    let path =
        format!("/v1/services/compare?services={},{}&guests=10&day={day}", linse.service, blende.service);
    let compared = world.get(&path).send().await.ok();
    let first = |place: usize| compared["items"][place]["matching"][0].clone();
    assert_eq!(
        (&first(0)["per_hour"]["amount"], &first(1)["per_hour"]["amount"]),
        (&json!(10_000), &json!(7_500))
    );
    assert_eq!(
        (&first(0)["first_free"]["price"]["amount"], &first(0)["first_free"]["rules"]),
        (&json!(8_000), &json!(["early"]))
    );
    let many = world.get(&path.replace("guests=10", "guests=50")).send().await.ok();
    assert_eq!(many["items"][1]["matching"], json!([]), "not for so many guests");
    world
        .get(&format!("/v1/services/compare?services={}", linse.service))
        .send()
        .await
        .refused(400, "invalid_input");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_its_vendors_and_what_is_asked_wrongly_is_named() {
    let world = World::new().await;
    let studio = Studio::open(&world, json!({"notice_hours": 24}), 60).await;
    let stranger = world.organiser("stranger").await;
    let path = format!("/v1/services/{}", studio.service);
    let body = json!({"open": false, "details": details(json!({}))});
    world
        .put(&path)
        .by(&stranger.token)
        .header("If-Match", "\"v1\"")
        .json(body.clone())
        .send()
        .await
        .refused(404, "not_found");
    world
        .put(&path)
        .by(&studio.vendor.token)
        .header("If-Match", "\"v1\"")
        .json(body.clone())
        .send()
        .await
        .refused(412, "version_changed");
    let wrong = json!({"organisation": studio.vendor.organisation, "details": details(json!({"units": 99}))});
    world
        .post("/v1/services")
        .by(&studio.vendor.token)
        .key("w")
        .json(wrong)
        .send()
        .await
        .refused(400, "invalid_input");
    for (days, hours) in [(0, 1), (5, -2), (5, 9), (400, 1)] {
        studio.hold(&world, studio.at(&world, days, hours)).await.refused(400, "invalid_input");
    }
    let odd = studio.at(&world, 5, 1) + SignedDuration::from_mins(7);
    studio.hold(&world, odd).await.refused(400, "invalid_input");
    let mut both = studio.basket(studio.at(&world, 5, 1));
    both["lines"][0]["quantity"] = json!(2);
    world.post("/v1/holds").key(&uuid()).json(both).send().await.refused(400, "invalid_input");
    // A closed service is found and booked by nobody.
    let own = format!("/v1/organisations/{}/services/{}", studio.vendor.organisation, studio.service);
    let seen = world.get(&own).by(&studio.vendor.token).send().await;
    world
        .put(&path)
        .by(&studio.vendor.token)
        .header("If-Match", seen.header("etag"))
        .json(body)
        .send()
        .await
        .ok();
    world.get(&path).send().await.refused(404, "not_found");
    studio.hold(&world, studio.at(&world, 5, 1)).await.refused(404, "not_found");
}
