//! Every way a purchase can go: random schedules of buying, paying with two providers, in cash and by gift card, cancelling, refunding, time that passes, reports
//! that are late, lost, doubled and out of order, providers that fail and answers that are lost, and crashes at any store call.
//! However it went, at the end each order has its places or all of its money back, and provider, payments and books agree.
//!
//! A few schedules here; `SAGAS=100000 cargo nextest run -p tessera-tests saga` plays as many as that. `SAGA_SEED=17` plays one.

use crate::support::{Held, Organiser, Sale, World, text, uuid};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tessera_local::stores::faults::Side;
use tessera_sandbox::razorpay::Outcome;

/// xorshift64*: the same seed is the same schedule (Vigna, <https://arxiv.org/abs/1402.6246>).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// Somebody who buys, as far as they got.
#[derive(Default)]
struct Buyer {
    held: Option<Held>,
    order: Option<Value>,
    payments: BTreeMap<&'static str, Value>,
}

struct Play<'a> {
    world: &'a World,
    sale: Sale,
    /// Good for one ticket and a part of another.
    card: Value,
    buyers: Vec<Buyer>,
    crashes: u32,
    /// What became of payments: with whom, where they stand, whether a part was refunded by hand.
    seen: BTreeMap<String, u32>,
}

const PRICE: i64 = 2500;
const CAPACITY: u32 = 3;
const BUYERS: u64 = 5;
const CARD: i64 = 3300;

impl Play<'_> {
    /// The seller, signed in anew: tokens end. Nobody while the home lies where it crashed.
    async fn seller(&self) -> Option<Organiser> {
        let credentials = json!({"email": "organiser@example.org", "password": "correct horse"});
        let session = self.world.post("/v1/sessions").json(credentials).send().await;
        let token = session.body["access_token"].as_str()?.to_owned();
        Some(Organiser { token, ..self.sale.organiser.clone() })
    }

    /// Something happens: mostly somebody goes on with what they want; then whatever can come between.
    async fn step(&mut self, chance: &mut Chance) {
        let (world, who) = (self.world, chance.below(BUYERS) as usize);
        // Where it crashed it soon begins again.
        if chance.below(2) == 0 {
            world.whole.home().faults().clear();
        }
        match chance.below(24) {
            0..=11 => self.go_on(who, chance).await,
            12 => self.open(who, chance).await,
            13 => self.give_up(who).await,
            14 => self.cancel(who, chance).await,
            15..=16 => self.refund(who, chance).await,
            17..=18 => world.advance(SignedDuration::from_secs(chance.below(60) as i64)).await,
            19 => world.advance(SignedDuration::from_secs(chance.below(900) as i64)).await,
            20 => self.disturb(chance),
            21 if self.crashes < 4 => {
                let faults = world.whole.home().faults();
                let side = if chance.below(2) == 0 { Side::Before } else { Side::After };
                faults.crash_at(faults.calls() + 1 + chance.below(20), side);
                self.crashes += 1;
            }
            _ => {
                world.whole.home().faults().clear();
                drop(world.whole.home().settle(std::time::Duration::from_millis(chance.below(400))).await);
            }
        }
    }

    /// Holds, orders, opens a payment, pays: whichever is next.
    async fn go_on(&mut self, who: usize, chance: &mut Chance) {
        let (world, buyer) = (self.world, &mut self.buyers[who]);
        match (&buyer.held, &buyer.order, buyer.payments.is_empty()) {
            (None, ..) => {
                let held = world.try_hold(&self.sale, 1).await;
                if held.status == 201 {
                    buyer.held = Some(Held { token: text(&held.body["guest_token"]), hold: held.body });
                }
            }
            (Some(held), None, _) => {
                let order = json!({"quote": held.hold["quote"], "contact": {"name": "Grace", "email": "g@example.org"}});
                let order = world.post("/v1/orders").by(&held.token).json(order).send().await;
                match order.status {
                    201 => buyer.order = Some(order.body),
                    // Too late: they try again.
                    410 => buyer.held = None,
                    _ => {}
                }
            }
            (Some(_), Some(_), true) => self.open(who, chance).await,
            (Some(_), Some(_), false) => self.pay(who, chance).await,
        }
    }

    /// With one provider or another, perhaps with the card that everybody has.
    async fn open(&mut self, who: usize, chance: &mut Chance) {
        let provider = ["stripe", "stripe", "razorpay", "cash"][chance.below(4) as usize];
        let (world, buyer) = (self.world, &mut self.buyers[who]);
        let mut wish = json!({"provider": provider});
        if chance.below(3) == 0 {
            wish["gift_card"] = self.card["code"].clone();
        }
        let (Some(held), Some(order)) = (&buyer.held, &buyer.order) else { return };
        let path = format!("/v1/orders/{}/payments", text(&order["id"]));
        let opened = world.post(&path).by(&held.token).json(wish).send().await;
        if opened.status == 201 {
            buyer.payments.insert(provider, opened.body);
        }
    }

    /// What the buyer sees of it is their business; some of these are refused.
    async fn pay(&self, who: usize, chance: &mut Chance) {
        let (world, good) = (self.world, chance.below(4) > 0);
        for (provider, payment) in &self.buyers[who].payments {
            match *provider {
                "stripe" => {
                    let secret = payment["client_secret"].as_str().unwrap_or_default();
                    let intent = secret.split("_secret_").next().unwrap_or_default();
                    let card = if good { "pm_card_visa" } else { "pm_card_chargeDeclined" };
                    drop(world.whole.stripe().confirm(intent, card));
                }
                "razorpay" => {
                    let order = payment["razorpay_order_id"].as_str().unwrap_or_default();
                    let outcome = if good { Outcome::Success } else { Outcome::Failure };
                    drop(world.whole.razorpay().pay(order, outcome));
                }
                _ => {
                    let Some(seller) = self.seller().await else { return };
                    let path = format!("/v1/payments/{}/receipts", text(&payment["id"]));
                    let amount = if good { PRICE } else { 1_000 };
                    let seen = json!({"amount": {"amount": amount, "currency": "EUR"}});
                    world.post(&path).by(&seller.token).key(&uuid()).json(seen).send().await;
                }
            }
        }
    }

    async fn give_up(&self, who: usize) {
        let (Some(held), Some(order)) = (&self.buyers[who].held, &self.buyers[who].order) else { return };
        let path = format!("/v1/orders/{}/cancel", text(&order["id"]));
        self.world.post(&path).by(&held.token).send().await;
    }

    async fn cancel(&self, who: usize, chance: &mut Chance) {
        let (Some(held), Some(order)) = (&self.buyers[who].held, &self.buyers[who].order) else { return };
        let path = format!("/v1/orders/{}", text(&order["id"]));
        let read = self.world.get(&path).by(&held.token).send().await;
        let Some(booking) = read.body["booking"].as_str() else { return };
        let by = match chance.below(2) {
            0 => held.token.clone(),
            _ => match self.seller().await {
                Some(seller) => seller.token,
                None => return,
            },
        };
        self.world.post(&format!("/v1/bookings/{booking}/cancel")).by(&by).send().await;
    }

    async fn refund(&self, who: usize, chance: &mut Chance) {
        let Some(seller) = self.seller().await else { return };
        for payment in self.buyers[who].payments.values() {
            let path = format!("/v1/payments/{}/refunds", text(&payment["id"]));
            let amount = json!({"amount": {"amount": 1 + chance.below(900), "currency": "EUR"}});
            self.world.post(&path).by(&seller.token).key(&uuid()).json(amount).send().await;
        }
    }

    /// Providers fail, lose answers, and report late, twice and in any order; now and then one is down until this is turned again.
    fn disturb(&self, chance: &mut Chance) {
        let fail = if chance.below(4) == 0 { 1_000 } else { chance.below(3) as u32 };
        let (lose, refunds) = (chance.below(3) as u32, chance.below(2) as u32);
        let (twice, shuffle, hold) = (chance.below(3) as u32, chance.below(200), chance.below(3) == 0);
        self.world
            .whole
            .stripe()
            .switch(|switches| {
                (switches.fail_next, switches.lose_next, switches.fail_refunds_next) = (fail, lose, refunds);
                (switches.webhook_duplicates, switches.webhook_shuffle_ms) = (twice, shuffle);
                switches.hold_webhooks = hold;
            })
            .unwrap();
        self.world
            .whole
            .razorpay()
            .switch(|switches| {
                (switches.fail_next, switches.lose_next, switches.fail_refunds_next) = (lose, fail, refunds);
                (switches.webhook_duplicates, switches.webhook_shuffle_ms) = (twice, shuffle);
                switches.hold_webhooks = hold;
            })
            .unwrap();
    }

    /// Everything works again, and whatever was begun ends.
    async fn end(&self) {
        let world = self.world;
        world.whole.home().faults().clear();
        world
            .whole
            .stripe()
            .switch(|switches| *switches = tessera_sandbox::stripe::Switches::default())
            .unwrap();
        world
            .whole
            .razorpay()
            .switch(|switches| *switches = tessera_sandbox::razorpay::Switches::default())
            .unwrap();
        world.advance(SignedDuration::from_secs(700)).await;
        world.settle().await;
        for _ in 0..3 {
            world.whole.run_job("BookingWorker", "tidy").await.unwrap();
            // One probe, then the rest.
            world.whole.run_job("PaymentWorker", "resume").await.unwrap();
            world.settle().await;
            world.whole.run_job("PaymentWorker", "resume").await.unwrap();
            world.settle().await;
            world.whole.run_job("PaymentWorker", "refunds").await.unwrap();
            world.whole.run_job("PaymentWorker", "reconcile").await.unwrap();
            world.settle().await;
            // A refund is asked for again after an hour.
            world.advance(SignedDuration::from_hours(1)).await;
            world.settle().await;
        }
    }

    /// What is to be paid back by hand is paid back: refunds, and money that is for nothing.
    async fn pay_back(&self) {
        let (world, seller) = (self.world, self.seller().await.expect("everything works again"));
        let path = format!("/v1/organisations/{}/payments?list=owed&limit=100", seller.organisation);
        let owed = world.get(&path).by(&seller.token).send().await.ok();
        for payment in owed["items"].as_array().unwrap() {
            let path = format!("/v1/payments/{}", text(&payment["id"]));
            if let Some(surplus) = payment["promise"]["surplus"].as_object() {
                let out = json!({"way": "out", "amount": surplus});
                let told = format!("{path}/receipts");
                world.post(&told).by(&seller.token).key(&uuid()).json(out).send().await.ok();
            }
            for refund in payment["refunds"].as_array().unwrap() {
                let made = format!("{path}/refunds/{}/made", text(&refund["id"]));
                world.post(&made).by(&seller.token).send().await.ok();
            }
        }
        world.settle().await;
    }

    async fn check(&mut self, seed: u64) {
        let (world, seller) = (self.world, self.seller().await.expect("everything works again"));
        let read = async |path: String| world.get(&path).by(&seller.token).send().await.ok();
        let path = format!("/v1/organisations/{}/gift-cards/{}", seller.organisation, text(&self.card["id"]));
        let card = read(path).await;
        // What each payment has of the card.
        let uses: BTreeMap<String, i64> = card["uses"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|used| used["until"].is_null())
            .map(|used| {
                let backs = used["backs"].as_array().into_iter().flatten();
                let back: i64 = backs.map(|back| back["amount"].as_i64().unwrap()).sum();
                (text(&used["payment"]), used["amount"].as_i64().unwrap() - back)
            })
            .collect();
        let mut by_card = 0;
        let (mut confirmed, mut kept) = (0, 0);
        for buyer in &self.buyers {
            let Some(order) = &buyer.order else { continue };
            let id = text(&order["id"]);
            let orders = read(format!("/v1/events/{}/orders?limit=100", self.sale.event)).await;
            let order = orders["items"]
                .as_array()
                .unwrap()
                .iter()
                .find(|other| other["id"] == order["id"])
                .unwrap()
                .clone();
            // An order that was cancelled does not name its booking.
            let bookings = read(format!("/v1/events/{}/bookings?limit=100", self.sale.event)).await;
            let mut bookings = bookings["items"].as_array().unwrap().iter();
            let booking = bookings.find(|booking| booking["order"] == order["id"]).cloned();
            let payments = read(format!("/v1/orders/{id}/payments")).await;
            let mut net = 0;
            for payment in payments["items"].as_array().unwrap() {
                let about = format!("seed {seed}: {order} {payment}");
                let there = match payment["provider"].as_str() {
                    Some("stripe") => {
                        let all = world.whole.stripe().payments(0, 500).unwrap();
                        let one = all.iter().find(|one| {
                            one.metadata.get("payment_id")
                                == payment["id"].as_str().map(str::to_owned).as_ref()
                        });
                        one.map_or(0, |one| {
                            assert_eq!(one.capturable, 0, "{about}");
                            one.received - one.refunded
                        })
                    }
                    Some("cash") => {
                        // Nothing was promised if whoever promised it died.
                        let receipts = payment["promise"]["received"]["amount"].as_i64().unwrap_or(0);
                        let refunds = payment["refunds"].as_array().unwrap().iter();
                        let back: i64 =
                            refunds.map(|refund| refund["amount"]["amount"].as_i64().unwrap()).sum();
                        let charged = PRICE - payment["gift_credit"]["amount"].as_i64().unwrap_or(0);
                        // What it charged goes back first, the card's part after that.
                        receipts - back.min(charged)
                    }
                    Some("gift") => 0,
                    _ => {
                        let all = world.whole.razorpay().payments(0, 500).unwrap();
                        let orders = world.whole.razorpay().orders(0, 500).unwrap();
                        let ours =
                            orders.iter().filter(|order| order.receipt.as_deref() == payment["id"].as_str());
                        let ids: Vec<_> = ours.flat_map(|order| order.payments.clone()).collect();
                        let taken = all.iter().filter(|one| one.captured && ids.contains(&one.id));
                        taken.map(|one| one.amount - one.refunded).sum()
                    }
                };
                let of_card = uses.get(payment["id"].as_str().unwrap()).copied().unwrap_or(0);
                let there = there + of_card;
                by_card += of_card;
                let refunds = payment["refunds"].as_array().unwrap();
                let word = |name: &str| payment[name].as_str().unwrap().to_owned();
                *self.seen.entry(format!("{} {}", word("provider"), word("status"))).or_default() += 1;
                *self.seen.entry(format!("refunds {}", refunds.len().min(2))).or_default() += 1;
                if payment["gift_credit"].is_object() && of_card > 0 {
                    *self.seen.entry("with a gift card".to_owned()).or_default() += 1;
                }
                assert!(refunds.iter().all(|refund| refund["status"] == "done"), "{about}");
                let taken =
                    matches!(payment["status"].as_str(), Some("captured" | "partly_refunded" | "refunded"));
                let here = if taken { PRICE - payment["refunded"]["amount"].as_i64().unwrap() } else { 0 };
                assert_eq!(here, there, "{about}");
                assert!(
                    !["authorized", "promised"].contains(&payment["status"].as_str().unwrap()),
                    "{about}"
                );
                net += here;
            }
            let given: i64 = payments["items"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|payment| payment["refunds"].as_array().unwrap())
                .filter(|refund| refund["why"] != "booking")
                .map(|refund| refund["amount"]["amount"].as_i64().unwrap())
                .sum();
            let about = format!("seed {seed}: {order} {booking:?} {payments}");
            match (order["status"].as_str().unwrap(), &booking) {
                ("confirmed", Some(booking)) => {
                    assert_eq!(
                        (booking["status"].as_str(), net),
                        (Some("confirmed"), PRICE - given),
                        "{about}"
                    );
                    confirmed += 1;
                }
                (_, Some(booking)) if !has(&order, "confirmed") && has(&order, "reserved") => {
                    // It was given back before it was paid: whatever came, went.
                    assert_eq!((booking["status"].as_str(), net), (Some("cancelled"), 0), "{about}");
                }
                (_, Some(booking)) => {
                    assert_eq!(booking["status"], "cancelled", "{about}");
                    let back = booking["back"]["amount"].as_i64().unwrap();
                    assert_eq!(net, (PRICE - given - back).max(0), "{about}");
                }
                (_, None) => assert_eq!(net, 0, "{about}"),
            }
            kept += net;
        }
        assert_eq!(card["left"]["amount"], CARD - by_card, "seed {seed}: {card}");
        assert_eq!(
            world.sold(&Sale { organiser: seller.clone(), ..self.sale.clone() }).await,
            confirmed,
            "seed {seed}"
        );
        assert_eq!(world.left(&self.sale).await, u64::from(CAPACITY) - confirmed, "seed {seed}");
        let now = world.whole.clock().now();
        let (from, until) = (now - SignedDuration::from_hours(24 * 300), now + SignedDuration::from_hours(1));
        let (mut at_providers, mut cursor) = (0, String::new());
        loop {
            let path = format!(
                "/v1/organisations/{}/ledger?from={from}&until={until}&limit=100{cursor}",
                seller.organisation
            );
            let page = read(path).await;
            for entry in page["items"].as_array().unwrap() {
                let postings = entry["postings"].as_array().unwrap();
                assert_eq!(
                    postings.iter().map(|posting| posting["amount"].as_i64().unwrap()).sum::<i64>(),
                    0
                );
                if entry["event"] == json!(self.sale.event) {
                    let is_money = |posting: &&Value| {
                        posting["account"]["provider"].is_string() || posting["account"] == "gift_cards"
                    };
                    let ours = postings.iter().filter(is_money);
                    at_providers += ours.map(|posting| posting["amount"].as_i64().unwrap()).sum::<i64>();
                }
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(at_providers, kept, "seed {seed}: the books say what the providers have");
    }
}

/// Whether this is in an order's history.
fn has(order: &Value, what: &str) -> bool {
    order["history"].as_array().unwrap().iter().any(|step| step["what"] == what)
}

async fn play(world: &World, organiser: &Organiser, seed: u64) -> BTreeMap<String, u32> {
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let policy = json!({"steps": [{"hours": 1, "percent": (chance.below(3) * 50).to_string()}]});
    let organiser = world.sign_in("organiser", organiser).await;
    let sale = world.sale_of(&organiser, json!({"capacity": CAPACITY, "refund": policy})).await;
    let buyers = (0..BUYERS).map(|_| Buyer::default()).collect();
    let cards = format!("/v1/organisations/{}/gift-cards", organiser.organisation);
    let amount = json!({"amount": {"amount": CARD, "currency": "EUR"}});
    let card = world.post(&cards).by(&organiser.token).key(&uuid()).json(amount).send().await.ok();
    let mut play = Play { world, sale, card, buyers, crashes: 0, seen: BTreeMap::new() };
    for _ in 0..80 {
        play.step(&mut chance).await;
    }
    play.end().await;
    play.pay_back().await;
    play.check(seed).await;
    play.seen
}

#[tokio::test(flavor = "multi_thread")]
async fn however_it_goes_each_order_has_its_places_or_its_money() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SAGA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SAGAS").unwrap_or(10),
    };
    let (mut world, mut organiser, mut seen) = (World::new().await, None, BTreeMap::<String, u32>::new());
    let many = if seeds.end - seeds.start >= 10 { seeds.end - seeds.start } else { 0 };
    for seed in seeds {
        // A fresh home now and then: lists grow long.
        if seed % 25 == 24 {
            (world, organiser) = (World::new().await, None);
        }
        if organiser.is_none() {
            let seller = world.organiser("organiser").await;
            // Cash is waited for an hour.
            let means = json!({"cash": {"place": "At the door.", "terms": {"within": 1}}});
            let path = format!("/v1/organisations/{}/means", seller.organisation);
            world.put(&path).by(&seller.token).header("If-Match", "\"v0\"").json(means).send().await.ok();
            organiser = Some(seller);
        }
        for (what, times) in play(&world, organiser.as_ref().unwrap(), seed).await {
            *seen.entry(what).or_default() += times;
        }
        assert_eq!(world.dead_letters(), 0, "seed {seed}");
    }
    println!("{seen:#?}");
    // Schedules in which nothing happens prove nothing. What ten of them are about differs from run to run; fifty have everything.
    let of = |words: [&str; 2]| {
        let about = |known: &str| words.iter().all(|word| known.contains(word));
        seen.iter().filter(|(known, _)| about(known)).map(|(_, times)| times).sum::<u32>()
    };
    // About 2.5 and 1.9 a schedule.
    assert!(u64::from(of(["captured", ""]) + of(["refunded", " "])) >= many, "{seen:#?}");
    assert!(u64::from(of(["refunds 1", ""]) + of(["refunds 2", ""])) >= many / 2, "{seen:#?}");
    let everything = ["stripe", "razorpay", "cash", "gift"]
        .iter()
        .flat_map(|with| [[with, "captured"], [with, "refunded"]])
        .chain([["voided", ""]]);
    for what in everything.filter(|_| many >= 50) {
        assert!(of(what) > 0, "none {what:?}: {seen:#?}");
    }
}
