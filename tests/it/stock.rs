//! Stores: products held, paid, delivered and brought back; stock that comes and goes, and that settles.

use crate::support::{Answer, Held, Organiser, World, every_day, text, uuid};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tessera::id::{ProductId, StoreId};
use tessera_local::stores::faults::Side;

/// A corner shop in Berlin that is open from eight to ten, every day.
pub struct Shop {
    pub owner: Organiser,
    pub store: String,
}

pub fn details(more: &Value) -> Value {
    let hours = every_day("08:00:00", "22:00:00");
    let mut details = json!({"name": "Corner Pharmacy", "city": "Berlin", "address": "Torstraße 1", "zone": "Europe/Berlin",
        "hours": hours});
    for (name, value) in more.as_object().unwrap() {
        details[name] = value.clone();
    }
    details
}

impl Shop {
    pub async fn open(world: &World, more: Value) -> Self {
        let owner = world.organiser("owner").await;
        let new = json!({"organisation": owner.organisation, "details": details(&more)});
        let founded = world.post("/v1/stores").by(&owner.token).key(&uuid()).json(new).send().await;
        let (etag, store) = (founded.header("etag").to_owned(), text(&founded.ok()["id"]));
        let open = json!({"open": true, "details": details(&more)});
        let path = format!("/v1/stores/{store}");
        world.put(&path).by(&owner.token).header("If-Match", &etag).json(open).send().await.ok();
        Self { owner, store }
    }

    /// The same, its owner signed in anew.
    pub async fn signed_in(&self, world: &World) -> Self {
        let credentials = json!({"email": "owner@example.org", "password": "correct horse"});
        let session = world.post("/v1/sessions").json(credentials).send().await.ok();
        let owner = Organiser { token: text(&session["access_token"]), ..self.owner.clone() };
        Self { owner, store: self.store.clone() }
    }

    /// A product with so many units on the shelf; its id and its stock.
    pub async fn product(&self, world: &World, units: i64, terms: Value, shelf: Value) -> (String, String) {
        let mut product = json!({"name": "Ibuprofen", "price": {"amount": 450, "currency": "EUR"}});
        for (name, value) in terms.as_object().unwrap() {
            product[name] = value.clone();
        }
        let new = json!({"organisation": self.owner.organisation, "terms": product});
        let added = world.post("/v1/products").by(&self.owner.token).key(&uuid()).json(new).send().await;
        let id = text(&added.ok()["id"]);
        let pool = self.shelve(world, &id, shelf).await;
        if units > 0 {
            let moved = self.bring(world, &id, &uuid(), units, "received").await.ok();
            assert_eq!(moved["done"], units);
        }
        (id, pool)
    }

    pub async fn shelve(&self, world: &World, product: &str, more: Value) -> String {
        let mut shelf = json!({"listed": true});
        for (name, value) in more.as_object().unwrap() {
            shelf[name] = value.clone();
        }
        let path = format!("/v1/stores/{}/products/{product}", self.store);
        let shelf = world.put(&path).by(&self.owner.token).json(shelf).send().await.ok();
        world.settle().await;
        text(&shelf["pool"])
    }

    pub async fn bring(&self, world: &World, product: &str, key: &str, quantity: i64, cause: &str) -> Answer {
        let path = format!("/v1/stores/{}/products/{product}/movements", self.store);
        let movement = json!({"quantity": quantity, "cause": cause});
        world.post(&path).by(&self.owner.token).key(key).json(movement).send().await
    }

    pub fn basket(&self, lines: &[(&str, u32)]) -> Value {
        let lines: Vec<_> = lines
            .iter()
            .map(|(product, quantity)| json!({"product": product, "quantity": quantity}))
            .collect();
        json!({"store": self.store, "lines": lines})
    }

    pub async fn hold(&self, world: &World, lines: &[(&str, u32)]) -> Answer {
        world.post("/v1/holds").key(&uuid()).json(self.basket(lines)).send().await
    }

    pub async fn pay(&self, world: &World, basket: Value, email: &str) -> (Held, Value) {
        let hold = world.post("/v1/holds").key(&uuid()).json(basket).send().await.ok();
        let held = Held { token: text(&hold["guest_token"]), hold };
        let order = world.order(&held, email).await;
        if order["total"]["amount"] != 0 {
            let payment = world.payment(&held, &order).await;
            world.pay(&payment, "pm_card_visa");
        }
        world.settle().await;
        let order = world.read_order(&held, &order).await;
        assert_eq!(order["status"], "confirmed");
        (held, order)
    }

    /// What the public is shown, a moment later.
    pub async fn shown(&self, world: &World) -> Vec<Value> {
        world.advance(SignedDuration::from_secs(2)).await;
        let path = format!("/v1/stores/{}/products", self.store);
        world.get(&path).send().await.ok()["items"].as_array().unwrap().clone()
    }

    pub async fn left(&self, world: &World, product: &str) -> u64 {
        let shown = self.shown(world).await;
        let good = shown.iter().find(|good| good["id"] == product).expect("it is sold");
        good["available"].as_u64().unwrap()
    }

    /// The books of a stock; they always balance.
    pub async fn proof(&self, world: &World, pool: &str) -> Value {
        let path = format!("/v1/pools/{pool}/proof");
        let proof = world.get(&path).by(&self.signed_in(world).await.owner.token).send().await.ok();
        assert_eq!(proof["differences"], json!([]));
        proof
    }

    /// Everything that is sold and whose hold is over leaves the lanes.
    pub async fn settle(&self, world: &World) {
        world.advance(SignedDuration::from_secs(700)).await;
        world.whole.run_job("BookingWorker", "tidy").await.unwrap();
        world.settle().await;
    }

    /// Nine o'clock in the morning, some days from now.
    pub fn nine(world: &World, days: i64) -> Timestamp {
        let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
        let day = zone.to_datetime(world.whole.clock().now() + SignedDuration::from_hours(24 * days)).date();
        zone.to_timestamp(day.at(9, 0, 0, 0)).unwrap()
    }
}

async fn cancel(world: &World, held: &Held, order: &Value) -> Answer {
    let path = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    let answer = world.post(&path).by(&held.token).send().await;
    world.settle().await;
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn products_are_found_held_paid_delivered_and_cancelled() {
    let world = World::new().await;
    let delivery = json!({"minutes": 60, "capacity": 2, "notice_minutes": 30});
    let shop = Shop::open(&world, json!({"delivery": delivery})).await;
    let (pills, _) = shop.product(&world, 10, json!({"sku": "IBU"}), json!({})).await;
    let reduced = json!({"price": {"amount": 199, "currency": "EUR"}});
    let (plaster, pool) = shop.product(&world, 5, json!({"name": "Plaster"}), reduced).await;
    let found = world.get("/v1/stores?city=berlin").send().await.ok();
    assert_eq!(found["items"][0]["id"], json!(shop.store));
    let shown = shop.shown(&world).await;
    assert_eq!(shown.len(), 2);
    let good = shown.iter().find(|good| good["id"] == plaster).unwrap();
    assert_eq!(
        (&good["price"]["amount"], &good["available"], &good["pool"]),
        (&json!(199), &json!(5), &json!(pool))
    );

    let nine = Shop::nine(&world, 1);
    let windows = format!(
        "/v1/stores/{}/windows?from={nine}&until={}",
        shop.store,
        nine + SignedDuration::from_hours(2)
    );
    let free = world.get(&windows).send().await.ok();
    assert_eq!(
        (&free["items"][0]["starts"], &free["items"][0]["left"]),
        (&json!(nine.to_string()), &json!(2))
    );
    // Two lines of one product add up.
    let mut basket = shop.basket(&[(&pills, 2), (&plaster, 1), (&pills, 1)]);
    basket["delivery"] = json!(nine.to_string());
    let (held, order) = shop.pay(&world, basket, "ill@example.org").await;
    assert_eq!((&order["store"], &order["total"]["amount"]), (&json!(shop.store), &json!(3 * 450 + 199)));
    let lines = order["lines"].as_array().unwrap();
    assert_eq!((lines.len(), &lines[0]["product"], &lines[0]["quantity"]), (2, &json!(pills), &json!(3)));
    assert_eq!(lines[0]["slot"]["starts"], json!(nine.to_string()));
    let mail = world.mail_to("ill@example.org");
    assert_eq!(mail.subject, "Your order from Corner Pharmacy");
    let said = mail.text.unwrap();
    assert!(said.contains("between 09:00 and 10:00 (Europe/Berlin)"), "{said}");
    assert_eq!((shop.left(&world, &pills).await, shop.left(&world, &plaster).await), (7, 4));
    assert_eq!(world.get(&windows).send().await.ok()["items"][0]["left"], 1);

    let orders = format!("/v1/stores/{}/orders", shop.store);
    let seen = world.get(&orders).by(&shop.owner.token).send().await.ok();
    assert_eq!(seen["items"][0]["id"], order["id"]);
    let bookings = format!("/v1/stores/{}/bookings", shop.store);
    let seen = world.get(&bookings).by(&shop.owner.token).send().await.ok();
    assert_eq!(seen["items"][0]["id"], order["booking"]);
    world
        .get(&orders)
        .by(&text(&world.account("nosy@example.org").await["access_token"]))
        .send()
        .await
        .refused(404, "not_found");

    assert_eq!(cancel(&world, &held, &order).await.ok()["status"], "cancelled");
    assert!(world.mail_to("ill@example.org").subject.starts_with("Cancelled"));
    assert_eq!((shop.left(&world, &pills).await, shop.left(&world, &plaster).await), (10, 5));
    assert_eq!(world.get(&windows).send().await.ok()["items"][0]["left"], 2);
    let payments = world.whole.stripe().payments(0, 20).unwrap();
    assert_eq!(payments.iter().map(|payment| payment.received - payment.refunded).sum::<i64>(), 0);
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_units_are_sold_once_and_all_of_them() {
    let world = World::new().await;
    let shop = Shop::open(&world, json!({})).await;
    // On three lanes.
    let (pills, pool) = shop.product(&world, 20, json!({}), json!({"baskets": 120})).await;
    let lines = [(pills.as_str(), 1)];
    let answers = join_all((0..60).map(|_| shop.hold(&world, &lines))).await;
    let held = answers.iter().filter(|answer| answer.status == 201).count();
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.refused(409, "sold_out");
    }
    assert_eq!(held, 20);
    let proof = shop.proof(&world, &pool).await;
    assert_eq!((&proof["capacity"], &proof["held"], &proof["free"]), (&json!(20), &json!(20), &json!(0)));
    world.advance(SignedDuration::from_secs(601)).await;
    shop.hold(&world, &[(&pills, 20)]).await.ok();
    shop.hold(&world, &lines).await.refused(409, "sold_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_basket_is_held_whole_or_not_at_all() {
    let world = World::new().await;
    let delivery = json!({"minutes": 60, "capacity": 1});
    let shop = Shop::open(&world, json!({"delivery": delivery})).await;
    let (pills, _) = shop.product(&world, 3, json!({}), json!({})).await;
    let (plaster, _) = shop.product(&world, 1, json!({"name": "Plaster"}), json!({})).await;
    let nine = Shop::nine(&world, 1);
    let basket = |pills_wanted: u32, plasters: u32| {
        let mut basket = shop.basket(&[(&pills, pills_wanted), (&plaster, plasters)]);
        basket["delivery"] = json!(nine.to_string());
        world.post("/v1/holds").key(&uuid()).json(basket).send()
    };
    basket(3, 2).await.refused(409, "sold_out");
    world.settle().await;
    assert_eq!((shop.left(&world, &pills).await, shop.left(&world, &plaster).await), (3, 1));
    // Neither units nor the window were kept by the refused one.
    let key = uuid();
    let mut whole = shop.basket(&[(&pills, 3), (&plaster, 1)]);
    whole["delivery"] = json!(nine.to_string());
    let ask = || world.post("/v1/holds").key(&key).json(whole.clone()).send();
    let first = ask().await.ok();
    assert_eq!(ask().await.ok()["quote"], first["quote"], "a repeated request finds its own");
    basket(1, 1).await.refused(409, "slot_taken");
    let release = format!("/v1/holds/{}/release", text(&first["id"]));
    let quote = json!({"quote": first["quote"]});
    let token = text(&first["guest_token"]);
    for _ in 0..2 {
        assert_eq!(world.post(&release).by(&token).json(quote.clone()).send().await.status, 204);
    }
    assert_eq!((shop.left(&world, &pills).await, shop.left(&world, &plaster).await), (3, 1));
    basket(3, 1).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sold_leaves_the_stock_and_comes_back_once() {
    let world = World::new().await;
    let shop = Shop::open(&world, json!({"delivery": {"minutes": 60, "capacity": 9}})).await;
    let (pills, pool) = shop.product(&world, 6, json!({}), json!({})).await;
    let basket = |quantity: u32| {
        let mut basket = shop.basket(&[(&pills, quantity)]);
        basket["delivery"] = json!(Shop::nine(&world, 2).to_string());
        basket
    };
    let (early, early_order) = shop.pay(&world, basket(2), "early@example.org").await;
    shop.settle(&world).await;
    let proof = shop.proof(&world, &pool).await;
    assert_eq!(
        (&proof["capacity"], &proof["free"], &proof["sold"]),
        (&json!(4), &json!(4), &json!(0)),
        "two are out of the door"
    );
    let (late, late_order) = shop.pay(&world, basket(1), "late@example.org").await;
    assert_eq!(shop.proof(&world, &pool).await["sold"], 1);

    // One had left the lane, one had not; and the message of each comes again, soon and much later.
    let told = |order: &Value| {
        json!({"id": "msg_06f5k2v8s1xg4w7m3q9c0hrtbn", "at": "2026-11-21T12:00:00Z", "type": "booking.cancelled.v1",
            "data": {"booking": order["booking"], "order": order["id"]}})
        .to_string()
    };
    let queue = world.whole.home().sqs().queues().unwrap().into_iter().map(|queue| queue.name);
    let queue = queue.into_iter().find(|name| name.ends_with("-booking")).unwrap();
    let again = async || {
        for order in [&early_order, &late_order] {
            let message = tessera_sqs::NewMessage { body: told(order), ..tessera_sqs::NewMessage::default() };
            world.whole.home().sqs().send(&queue, &message).unwrap();
        }
        world.settle().await;
    };
    cancel(&world, &early, &early_order).await.ok();
    cancel(&world, &late, &late_order).await.ok();
    again().await;
    let back = shop.proof(&world, &pool).await;
    assert_eq!((&back["capacity"], &back["free"], &back["sold"]), (&json!(6), &json!(6), &json!(0)));
    world.advance(SignedDuration::from_hours(2)).await;
    shop.settle(&world).await;
    again().await;
    let back = shop.proof(&world, &pool).await;
    assert_eq!(
        (&back["capacity"], &back["free"]),
        (&json!(6), &json!(6)),
        "not once more when its mark is gone"
    );
    shop.hold(&world, &[(&pills, 6)]).await.ok();
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_comes_and_goes_and_what_is_held_or_sold_stays() {
    let world = World::new().await;
    let shop = Shop::open(&world, json!({})).await;
    let (pills, pool) = shop.product(&world, 0, json!({}), json!({"baskets": 100})).await;
    shop.hold(&world, &[(&pills, 1)]).await.refused(409, "sold_out");
    let key = uuid();
    for _ in 0..2 {
        assert_eq!(shop.bring(&world, &pills, &key, 9, "received").await.ok()["done"], 9);
    }
    shop.bring(&world, &pills, &key, 8, "received").await.refused(422, "key_reused");
    world.settle().await;
    assert_eq!(shop.left(&world, &pills).await, 9, "once, however often it is told");
    shop.hold(&world, &[(&pills, 5)]).await.ok();
    let refused = shop.bring(&world, &pills, &uuid(), -5, "damaged").await.refused(409, "below_taken");
    assert_eq!(refused["free"], 4);
    assert_eq!(shop.bring(&world, &pills, &uuid(), -4, "damaged").await.ok()["done"], -4);
    shop.hold(&world, &[(&pills, 1)]).await.refused(409, "sold_out");
    let path = format!("/v1/stores/{}/products/{pills}/movements", shop.store);
    let seen = world.get(&path).by(&shop.owner.token).send().await.ok();
    let seen: Vec<_> = seen["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|movement| (movement["quantity"].clone(), movement["cause"].clone()))
        .collect();
    assert_eq!(seen, [(json!(-4), json!("damaged")), (json!(9), json!("received"))]);
    // Who has no business there, what is no movement, and what is no stock.
    let stranger = text(&world.account("stranger@example.org").await["access_token"]);
    let one = json!({"quantity": 1, "cause": "received"});
    world.post(&path).by(&stranger).key("k").json(one.clone()).send().await.refused(404, "not_found");
    world.post(&path).key("k").json(one.clone()).send().await.refused(401, "unauthenticated");
    for quantity in [0, 1_000_001] {
        shop.bring(&world, &pills, &uuid(), quantity, "lost").await.refused(400, "invalid_input");
    }
    let size = json!({"capacity": 5});
    world
        .put(&format!("/v1/pools/{pool}"))
        .by(&shop.owner.token)
        .json(size)
        .send()
        .await
        .refused(409, "wrong_state");
    let nobodys = ProductId::derive(&["nobody's"]).to_string();
    shop.bring(&world, &nobodys, &uuid(), 1, "received").await.refused(404, "not_found");
    // What cannot be told apart from a repeated request is one movement; ten others at once are ten.
    let many = join_all((0..10).map(|n| {
        let (shop, world, pills) = (&shop, &world, &pills);
        async move { shop.bring(world, pills, &format!("many{n}"), 3, "received").await.ok() }
    }));
    assert_eq!(many.await.len(), 10);
    assert_eq!(shop.left(&world, &pills).await, 30);
    shop.settle(&world).await;
    world.advance(SignedDuration::from_hours(1)).await;
    shop.settle(&world).await;
    assert_eq!(shop.proof(&world, &pool).await["capacity"], 35, "the five that were held are back, too");
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_is_full_of_holds_makes_room_of_what_was_sold_and_grows() {
    let world = World::new().await;
    let shop = Shop::open(&world, json!({})).await;
    let free = json!({"price": {"amount": 0, "currency": "EUR"}});
    let (pills, pool) = shop.product(&world, 200, free, json!({})).await;
    let one = [(pills.as_str(), 1)];
    // 44 baskets, of which three are paid.
    for _ in 0..41 {
        shop.hold(&world, &one).await.ok();
    }
    for n in 0..3 {
        shop.pay(&world, shop.basket(&one), &format!("paid{n}@example.org")).await;
    }
    shop.hold(&world, &one).await.refused(503, "busy");
    world.advance(SignedDuration::from_secs(61)).await;
    for _ in 0..3 {
        shop.hold(&world, &one).await.ok();
    }
    shop.hold(&world, &one).await.refused(503, "busy");
    assert_eq!(shop.proof(&world, &pool).await["capacity"], 197, "what was sold has left");
    shop.shelve(&world, &pills, json!({"baskets": 60})).await;
    shop.bring(&world, &pills, &uuid(), 100, "received").await.ok();
    shop.hold(&world, &one).await.ok();
    // What is held comes back, in both lanes.
    let left = shop.left(&world, &pills).await;
    shop.settle(&world).await;
    assert_eq!(shop.left(&world, &pills).await, left + 45);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_takes_as_many_as_it_has_room_for_also_when_that_changes() {
    let world = World::new().await;
    let delivery = |capacity: u32| json!({"delivery": {"minutes": 30, "capacity": capacity}});
    let shop = Shop::open(&world, delivery(3)).await;
    let (pills, _) = shop.product(&world, 100, json!({}), json!({})).await;
    let at = |starts: Timestamp| {
        let mut basket = shop.basket(&[(&pills, 1)]);
        basket["delivery"] = json!(starts.to_string());
        world.post("/v1/holds").key(&uuid()).json(basket).send()
    };
    let nine = Shop::nine(&world, 1);
    let answers = join_all((0..10).map(|_| at(nine))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
    at(nine).await.refused(409, "slot_taken");
    at(nine + SignedDuration::from_mins(30)).await.ok();
    let own = format!("/v1/organisations/{}/stores/{}", shop.owner.organisation, shop.store);
    for (capacity, more) in [(5, 2), (2, 0)] {
        let etag = world.get(&own).by(&shop.owner.token).send().await.header("etag").to_owned();
        let next = json!({"open": true, "details": details(&delivery(capacity))});
        let path = format!("/v1/stores/{}", shop.store);
        world.put(&path).by(&shop.owner.token).header("If-Match", &etag).json(next).send().await.ok();
        world.advance(SignedDuration::from_secs(2)).await;
        if more > 0 {
            world.advance(SignedDuration::from_secs(300)).await;
        }
        for _ in 0..more {
            at(nine).await.ok();
        }
        at(nine).await.refused(409, "slot_taken");
    }
    // Five have it, two may: when three of five are over, there is no room yet; when all are, there is.
    world.advance(SignedDuration::from_secs(300)).await;
    at(nine).await.refused(409, "slot_taken");
    world.advance(SignedDuration::from_secs(301)).await;
    at(nine).await.ok();
    at(nine).await.ok();
    at(nine).await.refused(409, "slot_taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_comes_late_gets_the_same_products_if_they_are_there() {
    let world = World::new().await;
    let shop = Shop::open(&world, json!({"delivery": {"minutes": 60, "capacity": 1}})).await;
    let (pills, _) = shop.product(&world, 2, json!({}), json!({})).await;
    let nine = Shop::nine(&world, 1);
    for (taken, status) in [(false, "confirmed"), (true, "cancelled")] {
        let mut basket = shop.basket(&[(&pills, 1)]);
        if !taken {
            basket["delivery"] = json!(nine.to_string());
        }
        let hold = world.post("/v1/holds").key(&uuid()).json(basket).send().await.ok();
        let held = Held { token: text(&hold["guest_token"]), hold };
        let order = world.order(&held, "late@example.org").await;
        let payment = world.payment(&held, &order).await;
        world.advance(SignedDuration::from_secs(700)).await;
        world.whole.run_job("BookingWorker", "tidy").await.unwrap();
        if taken {
            shop.hold(&world, &[(&pills, 1)]).await.ok();
        }
        world.pay(&payment, "pm_card_visa");
        world.settle().await;
        assert_eq!(world.read_order(&held, &order).await["status"], status);
    }
    assert_eq!(world.mail_to("late@example.org").subject, "Out of stock: Corner Pharmacy");
    assert_eq!(shop.left(&world, &pills).await, 0);
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_is_cancelled_by_the_store_alone() {
    let world = World::new().await;
    let shop = Shop::open(&world, json!({})).await;
    let (pills, _) = shop.product(&world, 2, json!({}), json!({})).await;
    let (held, order) = shop.pay(&world, shop.basket(&[(&pills, 2)]), "walker@example.org").await;
    assert!(world.mail_to("walker@example.org").text.unwrap().contains("fetched at Torstraße 1, Berlin"));
    cancel(&world, &held, &order).await.refused(409, "wrong_state");
    let path = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    world.post(&path).by(&shop.owner.token).send().await.ok();
    world.settle().await;
    assert_eq!(shop.left(&world, &pills).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_baskets_of_products_are_refused() {
    let world = World::new().await;
    let shop =
        Shop::open(&world, json!({"delivery": {"minutes": 60, "capacity": 1, "notice_minutes": 60}})).await;
    let (pills, _) = shop.product(&world, 50, json!({"per_order": 4}), json!({})).await;
    let (gone, _) = shop.product(&world, 5, json!({"name": "Gone"}), json!({})).await;
    shop.shelve(&world, &gone, json!({"listed": false})).await;
    assert_eq!(shop.shown(&world).await.len(), 1);
    let sale = world.sale_of(&shop.owner, json!({"capacity": 5})).await;
    let hold = |basket: Value| world.post("/v1/holds").key(&uuid()).json(basket).send();
    let with = |name: &str, value: Value| {
        let mut basket = shop.basket(&[(&pills, 1)]);
        basket[name] = value;
        basket
    };
    hold(shop.basket(&[(&pills, 3), (&pills, 2)])).await.refused(409, "limit_reached");
    for wrong in [
        json!({"lines": [{"product": pills, "quantity": 1}]}),
        shop.basket(&[]),
        shop.basket(&[(&pills, 0)]),
        shop.basket(&[(&pills, 41)]),
        shop.basket(&[(&gone, 1)]),
        shop.basket(&[(&ProductId::derive(&["nobody's"]).to_string(), 1)]),
        json!({"store": shop.store, "lines": [{"offer": sale.offer, "quantity": 1}]}),
        json!({"store": shop.store, "lines": [{"product": pills, "quantity": 1, "wheelchairs": 1}]}),
        with("delivery", json!((Shop::nine(&world, 1) + SignedDuration::from_mins(30)).to_string())),
        with("delivery", json!(Shop::nine(&world, 30).to_string())),
        json!({"lines": [{"offer": sale.offer, "quantity": 1}, {"product": pills, "quantity": 1}]}),
    ] {
        hold(wrong).await.refused(400, "invalid_input");
    }
    hold(with("store", json!(StoreId::derive(&["nobody's"]).to_string()))).await.refused(404, "not_found");
    let own = format!("/v1/organisations/{}/stores/{}", shop.owner.organisation, shop.store);
    let etag = world.get(&own).by(&shop.owner.token).send().await.header("etag").to_owned();
    let closed = json!({"open": false, "details": details(&json!({}))});
    let path = format!("/v1/stores/{}", shop.store);
    world.put(&path).by(&shop.owner.token).header("If-Match", &etag).json(closed.clone()).send().await.ok();
    world
        .put(&path)
        .by(&shop.owner.token)
        .header("If-Match", &etag)
        .json(closed)
        .send()
        .await
        .refused(412, "version_changed");
    shop.hold(&world, &[(&pills, 1)]).await.refused(404, "not_found");
    world.get(&format!("{path}/products")).send().await.refused(404, "not_found");
    // Another organisation's product is on nobody else's shelf.
    let other = world.organiser("other").await;
    let product = json!({"organisation": other.organisation, "terms": {"name": "Theirs", "price": {"amount": 1, "currency": "EUR"}}});
    let theirs =
        text(&world.post("/v1/products").by(&other.token).key("p").json(product).send().await.ok()["id"]);
    let shelf = format!("/v1/stores/{}/products/{theirs}", shop.store);
    world
        .put(&shelf)
        .by(&shop.owner.token)
        .json(json!({"listed": true}))
        .send()
        .await
        .refused(404, "not_found");
    let shelf = format!("/v1/stores/{}/products/{pills}", shop.store);
    for wrong in [
        json!({"listed": true, "baskets": 0}),
        json!({"listed": true, "price": {"amount": 1, "currency": "USD"}}),
    ] {
        world.put(&shelf).by(&shop.owner.token).json(wrong).send().await.refused(400, "invalid_input");
    }
}

/// Units come, a basket is paid, settles and is cancelled, with a crash at this store call of it all from then on.
async fn moved_with_a_crash(
    world: &World,
    shop: &Shop,
    (pills, pool): &(String, String),
    settled: bool,
    crash: Option<(u64, Side)>,
) -> u64 {
    let shop = &shop.signed_in(world).await;
    let before = shop.proof(world, pool).await["capacity"].as_u64().unwrap();
    let mut basket = shop.basket(&[(pills, 2)]);
    basket["delivery"] = json!(Shop::nine(world, 5).to_string());
    let (held, order) = shop.pay(world, basket, "crash@example.org").await;
    // Its units have left the lane by then, or not.
    if settled {
        shop.settle(world).await;
    }
    let token = shop.signed_in(world).await.owner.token;
    let path = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    let key = uuid();
    let calls = world
        .crashing(crash, async || {
            let movement = json!({"quantity": 4, "cause": "received"});
            let stock = format!("/v1/stores/{}/products/{pills}/movements", shop.store);
            let moved = world.post(&stock).by(&token).key(&key).json(movement).send().await;
            if moved.status != 201 {
                return moved;
            }
            world.post(&path).by(&held.token).send().await
        })
        .await;
    let proof = shop.proof(world, pool).await;
    assert_eq!((&proof["capacity"], &proof["free"]), (&json!(before + 4), &json!(before + 4)), "{crash:?}");
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_while_units_come_in_and_back_neither_loses_nor_makes_any() {
    let world = World::new().await;
    let delivery = json!({"minutes": 60, "capacity": 1000, "horizon_days": 60});
    let shop = Shop::open(&world, json!({"delivery": delivery})).await;
    let free = json!({"price": {"amount": 0, "currency": "EUR"}});
    let product = shop.product(&world, 3, free, json!({"baskets": 60})).await;
    for settled in [false, true] {
        let calls = moved_with_a_crash(&world, &shop, &product, settled, None).await;
        assert!(calls > 10, "{calls} calls");
        for step in 1..=calls {
            for side in [Side::Before, Side::After] {
                moved_with_a_crash(&world, &shop, &product, settled, Some((step, side))).await;
            }
        }
    }
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_books_of_a_stock_are_found_and_put_right() {
    let world = World::new().await;
    let shop = Shop::open(&world, json!({})).await;
    let (pills, pool) = shop.product(&world, 9, json!({}), json!({})).await;
    shop.hold(&world, &[(&pills, 2)]).await.ok();
    for damage in ["SET a = a + :n", "SET f = f - :n"] {
        let key = json!({"pk": {"S": format!("stock:{pool}#0")}, "sk": {"S": "0000"}});
        let parameters = json!({"TableName": "tessera-local-pool", "Key": key, "UpdateExpression": damage,
            "ExpressionAttributeValues": {":n": {"N": "3"}}});
        crate::pool::store(&world, "UpdateItem", parameters).await;
        let path = format!("/v1/pools/{pool}/proof");
        let proof = world.get(&path).by(&shop.owner.token).send().await.ok();
        assert_eq!(proof["differences"][0]["is"], "sum", "{damage}: {proof}");
        world.whole.run_job("BookingWorker", "prove").await.unwrap();
        let proof = shop.proof(&world, &pool).await;
        assert_eq!((&proof["capacity"], &proof["free"], &proof["held"]), (&json!(9), &json!(7), &json!(2)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_moves_to_another_window_and_its_units_stay_counted() {
    let world = World::new().await;
    let shop = Shop::open(&world, json!({"delivery": {"minutes": 60, "capacity": 1}})).await;
    let (pills, pool) = shop.product(&world, 5, json!({}), json!({})).await;
    let (before, after) = (Shop::nine(&world, 2), Shop::nine(&world, 3));
    let at = |starts: Timestamp| {
        let mut basket = shop.basket(&[(&pills, 2)]);
        basket["delivery"] = json!(starts.to_string());
        basket
    };
    let (held, order) = shop.pay(&world, at(before), "mover@example.org").await;
    // Its units have left the lane by the time it moves.
    shop.settle(&world).await;
    let path = format!("/v1/bookings/{}/reschedule", text(&order["booking"]));
    let to = async |basket: Value| {
        let hold = world.post("/v1/holds").by(&held.token).key(&uuid()).json(basket).send().await.ok();
        world.post(&path).by(&held.token).json(json!({"quote": hold["quote"]})).send().await
    };
    to(shop.basket(&[(&pills, 2)])).await.refused(400, "invalid_input");
    world.advance(SignedDuration::from_secs(601)).await;
    let moved = to(at(after)).await.ok();
    world.settle().await;
    assert_eq!(moved["lines"][0]["slot"]["starts"], json!(after.to_string()));
    assert!(world.mail_to("mover@example.org").subject.starts_with("Moved"));
    assert_eq!(shop.left(&world, &pills).await, 3);
    world.advance(SignedDuration::from_hours(2)).await;
    shop.settle(&world).await;
    let proof = shop.proof(&world, &pool).await;
    assert_eq!((&proof["capacity"], &proof["free"]), (&json!(3), &json!(3)), "two are sold, once");
    // The old window is free, the new one is not.
    world.post("/v1/holds").key(&uuid()).json(at(before)).send().await.ok();
    world.post("/v1/holds").key(&uuid()).json(at(after)).send().await.refused(409, "slot_taken");
    assert_eq!(world.dead_letters(), 0);
}
