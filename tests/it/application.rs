//! Applications: who is let in is decided, and deciding takes the places.

use crate::support::{Answer, Held, Sale, World, text, uuid};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tessera_local::stores::faults::Side;

struct Applicant {
    id: String,
    token: String,
    email: String,
}

async fn sale(world: &World, capacity: u32) -> Sale {
    world.sale(capacity, json!({"approval": true, "price": {"amount": 0, "currency": "EUR"}})).await
}

async fn apply(world: &World, sale: &Sale, quantity: u32, name: &str) -> Applicant {
    let email = format!("{name}@example.org");
    let apply = json!({"offer": sale.offer, "quantity": quantity, "contact": {"name": name, "email": email}, "letter": "please"});
    let applied = world.post("/v1/applications").key(&uuid()).json(apply).send().await.ok();
    Applicant { id: text(&applied["id"]), token: text(&applied["guest_token"]), email }
}

impl Applicant {
    async fn see(&self, world: &World) -> Value {
        world.get(&format!("/v1/applications/{}", self.id)).by(&self.token).send().await.ok()
    }

    /// What the link in their mail leads to.
    fn link(&self, world: &World, what: &str) -> String {
        let mail = world.mail_to(&self.email).text.unwrap();
        let link = mail.split_whitespace().find(|word| word.contains("/v1/applications/")).unwrap();
        link[link.find("/v1/").unwrap()..].replace('?', &format!("/{what}?"))
    }

    async fn ask(&self, world: &World, what: &str) -> Answer {
        world.post(&format!("/v1/applications/{}/{what}", self.id)).by(&self.token).send().await
    }
}

async fn decide(world: &World, sale: &Sale, verdict: &str, of: &[&Applicant], reason: &str) -> Vec<Value> {
    let decision =
        |applicant: &&Applicant| json!({"application": applicant.id, "verdict": verdict, "reason": reason});
    let decisions = json!({"decisions": of.iter().map(decision).collect::<Vec<_>>(), "hours": 24});
    let path = format!("/v1/events/{}/applications/decisions", sale.event);
    let results = world.post(&path).by(&sale.organiser.token).json(decisions).send().await.ok();
    world.settle().await;
    results["results"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_approved_is_told_accepts_and_gets_a_ticket() {
    let world = World::new().await;
    let sale = sale(&world, 3).await;
    world.try_hold(&sale, 1).await.refused(409, "approval_needed");
    let (ada, eve) = (apply(&world, &sale, 2, "ada").await, apply(&world, &sale, 1, "eve").await);
    ada.ask(&world, "accept").await.refused(409, "wrong_state");
    let list = format!("/v1/events/{}/applications", sale.event);
    let pending = world.get(&list).by(&sale.organiser.token).send().await.ok();
    let asked: Vec<_> = pending["items"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect();
    assert_eq!(asked, [ada.id.clone(), eve.id.clone()], "who asked first comes first");
    assert_eq!(decide(&world, &sale, "approve", &[&ada], "welcome").await[0]["status"], "approved");
    assert_eq!(decide(&world, &sale, "decline", &[&eve], "full of friends").await[0]["status"], "declined");
    assert_eq!(world.left(&sale).await, 1, "approval takes the places");
    assert!(world.mail_to(&ada.email).subject.starts_with("You are in"));
    let mail = world.mail_to(&eve.email);
    assert!(mail.text.unwrap().contains("full of friends"));
    assert_eq!(eve.see(&world).await["reason"], "full of friends");
    let held = Held { token: ada.token.clone(), hold: ada.ask(&world, "accept").await.ok() };
    let order = world.order(&held, &ada.email).await;
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
    assert_eq!(world.tickets(&held, &order).await.len(), 2);
    // What has become a booking is cancelled as one, not declined.
    assert_eq!(decide(&world, &sale, "decline", &[&ada], "sorry").await[0]["refused"], "hold_decided");
    ada.ask(&world, "withdraw").await.refused(409, "hold_decided");
    let approved = world.get(&format!("{list}?status=approved")).by(&sale.organiser.token).send().await.ok();
    let audit = &approved["items"][0]["history"][0];
    assert_eq!(
        (&audit["verdict"], &audit["by"], &audit["reason"]),
        (&json!("approve"), &json!(sale.organiser.account), &json!("welcome"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_applications_for_the_last_places_only_as_many_pass_as_there_are() {
    let world = World::new().await;
    let sale = sale(&world, 3).await;
    let mut applicants = Vec::new();
    for n in 0..8 {
        applicants.push(apply(&world, &sale, 1, &format!("a{n}")).await);
    }
    // One at a time by eight members of the team at once, and twice.
    let (world, sale) = (&world, &sale);
    for _ in 0..2 {
        let one =
            |applicant| async move { decide(world, sale, "approve", &[applicant], "x").await.remove(0) };
        let results = join_all(applicants.iter().map(one)).await;
        assert_eq!(results.iter().filter(|result| result["status"] == "approved").count(), 3, "{results:?}");
        assert_eq!(results.iter().filter(|result| result["refused"] == "sold_out").count(), 5, "{results:?}");
    }
    // Many at once, in their order: one is taken back, and the first of the others gets it.
    let mut approved = Vec::new();
    for applicant in &applicants {
        if applicant.see(world).await["status"] == "approved" {
            approved.push(applicant);
        }
    }
    assert_eq!(decide(world, sale, "decline", &approved[..1], "no").await[0]["status"], "declined");
    // "Sold out" is believed for a second.
    world.advance(SignedDuration::from_secs(2)).await;
    let pending: Vec<_> =
        applicants.iter().filter(|other| !approved.iter().any(|one| one.id == other.id)).collect();
    let results = decide(world, sale, "approve", &pending, "x").await;
    assert_eq!(results[0]["status"], "approved");
    assert!(results[1..].iter().all(|result| result["refused"] == "sold_out"), "{results:?}");
    assert_eq!(world.left(sale).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_runs_out_and_one_may_ask_again_but_not_after_a_refusal() {
    let world = World::new().await;
    let sale = sale(&world, 1).await;
    let (slow, other) = (apply(&world, &sale, 1, "slow").await, apply(&world, &sale, 1, "other").await);
    decide(&world, &sale, "approve", &[&slow], "x").await;
    assert_eq!(decide(&world, &sale, "approve", &[&other], "x").await[0]["refused"], "sold_out");
    let hold = slow.ask(&world, "accept").await.ok();
    world.advance(SignedDuration::from_hours(25)).await;
    let accept = slow.link(&world, "accept");
    world.post(&accept).send().await.refused(410, "hold_gone");
    let order = json!({"quote": hold["quote"], "contact": {"name": "S", "email": slow.email}});
    let renewed = |applicant: &Applicant| json!({"offer": sale.offer, "quantity": 1, "contact": {"name": "S", "email": applicant.email}});
    // The guests' credentials have ended; their links have not.
    world.post("/v1/orders").by(&slow.token).json(order).send().await.refused(401, "token_invalid");
    let session = json!({"email": "organiser@example.org", "password": "correct horse"});
    let mut sale = sale.clone();
    sale.organiser.token = text(&world.post("/v1/sessions").json(session).send().await.ok()["access_token"]);
    assert_eq!(decide(&world, &sale, "approve", &[&other], "x").await[0]["status"], "approved");
    assert_eq!(world.post(&other.link(&world, "withdraw")).send().await.ok()["status"], "withdrawn");
    assert_eq!(world.left(&sale).await, 1, "what was kept is free again");
    let token = text(&world.account("ada@example.org").await["access_token"]);
    let ask = || world.post("/v1/applications").by(&token).key(&uuid()).json(renewed(&slow)).send();
    let mine = ask().await.ok();
    let withdraw = format!("/v1/applications/{}/withdraw", text(&mine["id"]));
    world.post(&withdraw).by(&token).send().await.ok();
    world.post(&withdraw).by(&token).send().await.ok();
    assert_eq!(ask().await.ok()["status"], "pending");
    let again = Applicant { id: text(&mine["id"]), token: token.clone(), email: slow.email.clone() };
    decide(&world, &sale, "decline", &[&again], "no").await;
    assert_eq!(ask().await.ok()["status"], "declined", "asking again changes nothing");
    world.post(&withdraw).by(&token).send().await.refused(409, "wrong_state");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_organiser_decides_and_only_the_applicant_sees() {
    let world = World::new().await;
    let sale = sale(&world, 2).await;
    let ada = apply(&world, &sale, 1, "ada").await;
    let stranger = world.organiser("stranger").await;
    let path = format!("/v1/events/{}/applications", sale.event);
    world.get(&path).by(&stranger.token).send().await.refused(404, "not_found");
    let decisions = json!({"decisions": [{"application": ada.id, "verdict": "approve"}]});
    world
        .post(&format!("{path}/decisions"))
        .by(&stranger.token)
        .json(decisions.clone())
        .send()
        .await
        .refused(404, "not_found");
    world
        .get(&format!("/v1/applications/{}", ada.id))
        .by(&stranger.token)
        .send()
        .await
        .refused(404, "not_found");
    // Another event's application is not decided here.
    let other = world.sale_of(&stranger, json!({"capacity": 1, "approval": true})).await;
    let elsewhere = format!("/v1/events/{}/applications/decisions", other.event);
    let result = world.post(&elsewhere).by(&stranger.token).json(decisions).send().await.ok();
    assert_eq!(result["results"][0]["refused"], "not_found");
    let open = world.sale_of(&sale.organiser, json!({"capacity": 1})).await;
    let apply =
        json!({"offer": open.offer, "quantity": 1, "contact": {"name": "A", "email": "a@example.org"}});
    world.post("/v1/applications").key(&uuid()).json(apply).send().await.refused(400, "invalid_input");
    for wrong in [json!({"decisions": []}), json!({"decisions": [], "hours": 0})] {
        world
            .post(&format!("{path}/decisions"))
            .by(&sale.organiser.token)
            .json(wrong)
            .send()
            .await
            .refused(400, "invalid_input");
    }
}

/// Somebody is approved, accepts and orders, with a crash at this store call from then on.
async fn let_in_with_a_crash(world: &World, sale: &Sale, name: &str, crash: Option<(u64, Side)>) -> u64 {
    let guest = apply(world, sale, 1, name).await;
    let decisions = json!({"decisions": [{"application": guest.id, "verdict": "approve"}], "hours": 24});
    let path = format!("/v1/events/{}/applications/decisions", sale.event);
    let calls = world
        .crashing(crash, async || {
            let decided = world.post(&path).by(&sale.organiser.token).json(decisions.clone()).send().await;
            if decided.body["results"][0]["status"] != "approved" {
                return Answer { status: 503, ..decided };
            }
            let held = guest.ask(world, "accept").await;
            if held.status != 200 {
                return held;
            }
            let contact = json!({"name": name, "email": guest.email});
            let order = json!({"quote": held.body["quote"], "contact": contact});
            world.post("/v1/orders").by(&guest.token).json(order).send().await
        })
        .await;
    let mine = world.get("/v1/orders").by(&guest.token).send().await.ok();
    assert_eq!(
        (&mine["items"][0]["status"], &mine["items"][1]),
        (&json!("confirmed"), &Value::Null),
        "{crash:?}"
    );
    assert!(!world.mails_to(&guest.email).is_empty(), "{crash:?}: no mail");
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_while_somebody_is_let_in_takes_one_place() {
    let world = World::new().await;
    let sale = sale(&world, 300).await;
    let calls = let_in_with_a_crash(&world, &sale, "first", None).await;
    assert!(calls > 10, "{calls} calls");
    let mut told = 1;
    for step in 1..=calls {
        for side in [Side::Before, Side::After] {
            let_in_with_a_crash(&world, &sale, &format!("guest{told}"), Some((step, side))).await;
            told += 1;
        }
    }
    assert_eq!((world.left(&sale).await, world.sold(&sale).await), (300 - told, told));
    assert_eq!(world.dead_letters(), 0);
}
