//! What is logged, and what never is: credentials, codes, links, people's names and addresses, provider's secrets.
//!
//! The secrets are not guessed: they are what the test sent and received, what came by mail, and what the home was given.

use crate::logs::{WANTED, card_number};
use crate::support::{Held, Organiser, Sale, World, euros, text, uuid};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tessera_local::stores::faults::{Fault, Rule, Service};
use tessera_local::whole::WholeOptions;
use tessera_sandbox::razorpay::Outcome;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

const IBAN: &str = "DE89370400440532013000";
/// Never a secret's, and long enough to tell.
const CARD: &str = "4242424242424242";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Listens to the whole process from now on.
    fn listen() -> Self {
        let lines = Self::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).without_time();
        let layer = layer.with_writer(move || writer.clone()).with_filter(WANTED.parse::<Targets>().unwrap());
        let all = tracing_subscriber::registry().with(layer);
        tracing::subscriber::set_global_default(all).expect("nobody else listens: run this test alone");
        lines
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Members whose values are nobody else's business, wherever they are.
const SECRET: [&str; 19] = [
    "secret",
    "credential",
    "token",
    "idempotency_key",
    "access_token",
    "refresh_token",
    "guest_token",
    "quote",
    "password",
    "code",
    "email",
    "gift_card",
    "client_secret",
    "razorpay_signature",
    "signature",
    "holder",
    "iban",
    "phone",
    "raw",
];

/// Collects the secrets of what was said, with where they were found.
fn collect(at: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            // The code of a problem document is for everybody.
            let problem = members.contains_key("title") && members.contains_key("status");
            let person = members.contains_key("email");
            for (name, value) in members {
                let secret = SECRET.contains(&name.as_str()) || (person && name == "name");
                if let (true, false, Some(text)) = (secret, problem, value.as_str()) {
                    found.entry(text.to_owned()).or_insert_with(|| format!("{at}.{name}"));
                }
                collect(&format!("{at}.{name}"), value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(at, item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
}

/// Whether a text has another one in it, which, if it is short, is not just a part of a word.
fn has(text: &str, part: &str) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.match_indices(part).any(|(at, _)| {
        part.len() > 12
            || !(word(text[..at].chars().next_back()) || word(text[at + part.len()..].chars().next()))
    })
}

/// Signs up with mistakes, signs in with mistakes, refreshes, and refreshes with what was used up.
async fn accounts(world: &World) {
    let email = "nina.simone@example.org";
    let account = json!({"email": email, "password": "feeling good 1965", "name": "Nina Simone"});
    world.post("/v1/accounts").json(account).send().await.ok();
    let code = world.code_for(email).await;
    let wrong = json!({"email": email, "code": "0000-0000", "password": "feeling good 1965"});
    world.post("/v1/accounts/verify").json(wrong).send().await.refused(400, "code_wrong");
    let proof = json!({"email": email, "code": code, "password": "feeling good 1965"});
    assert_eq!(world.post("/v1/accounts/verify").json(proof).send().await.status, 204);
    let wrong = json!({"email": email, "password": "feeling bad 1965"});
    world.post("/v1/sessions").json(wrong).send().await.refused(401, "sign_in_failed");
    let malformed = json!({"email": [email], "password": "feeling good 1965"});
    world.post("/v1/sessions").json(malformed).send().await.refused(400, "invalid_input");
    let right = json!({"email": email, "password": "feeling good 1965"});
    let session = world.post("/v1/sessions").json(right).send().await.ok();
    let refresh = json!({"refresh_token": session["refresh_token"]});
    let next = world.post("/v1/sessions/refresh").json(refresh.clone()).send().await.ok();
    world
        .post("/v1/sessions/refresh")
        .json(json!({"refresh_token": next["refresh_token"]}))
        .send()
        .await
        .ok();
    world.advance(SignedDuration::from_mins(1)).await;
    world.post("/v1/sessions/refresh").json(refresh).send().await.refused(401, "session_ended");
    let token = text(&session["access_token"]);
    world.get("/v1/me").by(&token).send().await;
    world.get("/v1/me").by(&format!("{token}x")).send().await.refused(401, "token_invalid");
}

/// A server's key and a scanner that is paired, used, and used wrongly; and somebody who is invited.
async fn things(world: &World, seller: &Organiser) {
    let of = |what: &str| format!("/v1/organisations/{}/{what}", seller.organisation);
    let make = async |what: &str, wish: Value| {
        world.post(&of(what)).by(&seller.token).key(&uuid()).json(wish).send().await.ok()
    };
    let gate = json!({"label": "North", "rights": {"role": "gate"}});
    let key = text(&make("api-keys", gate.clone()).await["secret"]);
    let code = make("devices", gate).await["code"].clone();
    let wrong = world.post("/v1/devices/pair").json(json!({"code": "7Q2K-94MX"})).send().await;
    assert!((400..500).contains(&wrong.status), "{}", wrong.body);
    let paired = world.post("/v1/devices/pair").json(json!({"code": code})).send().await.ok();
    for token in [key, text(&paired["credential"])] {
        world.get("/v1/credential").by(&token).send().await.ok();
        let last = if token.ends_with('0') { "1" } else { "0" };
        let forged = format!("{}{last}", &token[..token.len() - 1]);
        world.get("/v1/credential").by(&forged).send().await.refused(401, "token_invalid");
    }
    make("invitations", json!({"email": "bessie@example.org", "rights": {"role": "gate"}})).await;
    world.settle().await;
}

async fn ordered(world: &World, sale: &Sale, email: &str) -> (Held, Value) {
    let held = world.hold(sale, 1).await;
    let order = world.order(&held, email).await;
    (held, order)
}

async fn opens(world: &World, (held, order): &(Held, Value), wish: Value) -> Value {
    let path = format!("/v1/orders/{}/payments", text(&order["id"]));
    world.post(&path).by(&held.token).json(wish).send().await.ok()
}

/// Buys by card, is declined first, reads by the mailed link; with the other provider; with a gift card; by transfer.
async fn purchases(world: &World, sale: &Sale) -> Vec<String> {
    let seller = &sale.organiser;
    let buyer = ordered(world, sale, "miles@example.org").await;
    let payment = opens(world, &buyer, json!({"provider": "stripe"})).await;
    let intent = text(&payment["client_secret"]).split("_secret_").next().unwrap().to_owned();
    assert!(world.whole.stripe().confirm(&intent, "pm_card_chargeDeclined").is_err());
    world.settle().await;
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    let mail = world.mail_to("miles@example.org").text.unwrap();
    let link = mail.lines().find_map(|line| line.strip_prefix("Your order: ")).expect("a link");
    let path = link.strip_prefix(&world.url).expect("our address").to_owned();
    world.get(&path).send().await.ok();
    world.get(&path.replace("key=", "key=A")).send().await.refused(404, "not_found");
    let forged = world.post("/v1/webhooks/stripe").header("Stripe-Signature", "t=1,v1=00");
    forged.body("{\"email\":\"miles@example.org\"}").send().await.refused(400, "signature_invalid");

    let other = ordered(world, sale, "alice.coltrane@example.org").await;
    let payment = opens(world, &other, json!({"provider": "razorpay"})).await;
    let paid = world.whole.razorpay().pay(&text(&payment["razorpay_order_id"]), Outcome::Success).unwrap();
    let verify = json!({"razorpay_payment_id": paid.id, "razorpay_signature": "ab".repeat(32)});
    let path = format!("/v1/payments/{}/verify", text(&payment["id"]));
    world.post(&path).by(&other.0.token).json(verify).send().await.refused(400, "signature_invalid");
    world.settle().await;

    let path = format!("/v1/organisations/{}/gift-cards", seller.organisation);
    let wish = json!({"amount": euros(2500), "note": "for Ella"});
    let card = world.post(&path).by(&seller.token).key(&uuid()).json(wish).send().await.ok();
    for code in [card["code"].clone(), json!("7Q2K-94MX-0V5T-DGW8"), json!("not a code")] {
        let look = json!({"organisation": seller.organisation, "code": code});
        world.post("/v1/gift-cards/balance").json(look).send().await;
    }
    let gifted = ordered(world, sale, "ella@example.org").await;
    opens(world, &gifted, json!({"provider": "gift", "gift_card": card["code"]})).await;
    world.settle().await;

    let terms = json!({"within": 168, "before": 48, "grace": 24, "remind": 24});
    let means = json!({"transfer": {"account": {"holder": "Birdland GmbH", "iban": IBAN}, "terms": terms}, "cash": null});
    let path = format!("/v1/organisations/{}/means", seller.organisation);
    let etag = world.get(&path).by(&seller.token).send().await.header("etag").to_owned();
    world.put(&path).by(&seller.token).header("If-Match", &etag).json(means).send().await.ok();
    let promised = ordered(world, sale, "thelonious@example.org").await;
    let payment = opens(world, &promised, json!({"provider": "transfer"})).await;
    world.settle().await;
    let file = format!(
        "\"Auftragskonto\";\"Buchungstag\";\"Verwendungszweck\";\"Beguenstigter/Zahlungspflichtiger\";\"Betrag\";\"Waehrung\"\n\
         \"{IBAN}\";\"01.12.26\";\"{}\";\"Thelonious Monk\";\"25,00\";\"EUR\"\n\
         \"{IBAN}\";\"01.12.26\";\"nothing of ours\";\"Thelonious Monk\";\"{CARD}\";\"EUR\"\n",
        text(&payment["promise"]["reference"])
    );
    let path = format!("/v1/organisations/{}/statements", seller.organisation);
    let read = world.post(&path).by(&seller.token).header("Content-Type", "text/csv").body(file);
    drop(read.send().await);
    world.settle().await;

    // Somebody writes a card's number where it does not belong.
    let held = world.hold(sale, 1).await;
    let contact = json!({"name": "Charles Mingus", "email": "mingus@example.org", "card": CARD});
    let order = json!({"quote": held.hold["quote"], "contact": contact});
    world.post("/v1/orders").by(&held.token).json(order).send().await.refused(400, "invalid_input");

    let tickets = world.tickets(&buyer.0, &buyer.1).await;
    tickets.iter().map(|ticket| text(&ticket["code"])).collect()
}

/// Admits once, is too late, and meets what is no ticket.
async fn gate(world: &World, sale: &Sale, codes: &[String]) {
    world.advance(SignedDuration::from_hours(30 * 24 - 3)).await;
    let seller = world.sign_in("organiser", &sale.organiser).await;
    let scan = async |code: &str| {
        let scan = json!({"event": sale.event, "gate": "north", "code": code});
        world.post("/v1/scans").by(&seller.token).key(&uuid()).json(scan).send().await
    };
    for code in codes {
        assert_eq!(scan(code).await.status, 200);
        scan(code).await.refused(409, "ticket_used");
        let forged = format!("{}AAAA", &code[..code.len() - 4]);
        scan(&forged).await.refused(409, "ticket_invalid");
    }
    scan("miles@example.org").await.refused(409, "ticket_invalid");
}

/// What is logged when something is out of reach: each table and the others for a while, then all of it goes on.
async fn outages(world: &World, sale: &Sale) {
    let faults = world.whole.home().faults();
    let rule = |service, resource: Option<&str>, fault| Rule {
        service: Some(service),
        operation: None,
        resource: resource.map(str::to_owned),
        fault,
        times: 12,
    };
    let tables = [
        "identity",
        "catalogue",
        "pool",
        "booking",
        "order",
        "payment",
        "entry",
        "notification",
        "media",
        "limit",
    ];
    for (number, table) in tables.into_iter().enumerate() {
        faults.add(rule(Service::DynamoDb, Some(&format!("-{table}")), Fault::InternalError));
        let email = format!("dizzy{number}@example.org");
        let credentials = json!({"email": email, "password": "salt peanuts 1945"});
        drop(world.post("/v1/sessions").json(credentials).send().await);
        // The first of them may pass without being counted; the second may not.
        for _ in 0..2 {
            drop(world.delete("/v1/sessions/ses_x").send().await);
        }
        for _ in 0..4 {
            let held = world.try_hold(sale, 1).await;
            let Some(token) = held.body["guest_token"].as_str() else { continue };
            let contact = json!({"name": "Dizzy Gillespie", "email": email});
            let order = json!({"quote": held.body["quote"], "contact": contact});
            let order = world.post("/v1/orders").by(token).json(order).send().await;
            let path = format!("/v1/orders/{}/payments", order.body["id"].as_str().unwrap_or("x"));
            let payment = world.post(&path).by(token).json(json!({"provider": "stripe"})).send().await;
            if payment.status == 201 {
                world.pay(&payment.body, "pm_card_visa");
                break;
            }
        }
        world.settle().await;
        faults.clear();
    }
    for service in [Service::S3, Service::Sqs] {
        faults.add(rule(service, None, Fault::Throttle));
    }
    let barred = vec!["sonny@example.org".to_owned()];
    world.whole.mail().switch(|switches| (switches.fail_next, switches.reject) = (2, barred)).unwrap();
    world.whole.stripe().switch(|switches| switches.fail_next = 2).unwrap();
    let buyer = ordered(world, sale, "sonny@example.org").await;
    let payment = opens(world, &buyer, json!({"provider": "stripe"})).await;
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    faults.clear();
    world.settle().await;
    world.whole.mail().switch(|switches| switches.reject.clear()).unwrap();
    assert!(world.mails_to("sonny@example.org").is_empty(), "the service has refused it, and said to whom");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_somebodys_secret_is_ever_logged() {
    let lines = Lines::listen();
    // With the deployment's own limits, so that their store is asked.
    let world = World::with(WholeOptions { limits: None, ..WholeOptions::default() }).await;
    *world.heard.lock().unwrap() = Some(Vec::new());
    let sale = world.sale(50, json!({})).await;
    accounts(&world).await;
    things(&world, &sale.organiser).await;
    let codes = purchases(&world, &sale).await;
    outages(&world, &sale).await;
    gate(&world, &sale, &codes).await;
    world.settle().await;

    let mut secrets = BTreeMap::new();
    for said in world.heard.lock().unwrap().iter().flatten() {
        collect("", said, &mut secrets);
    }
    let mails = world.whole.mail().list(None, 0, 1_000).unwrap();
    for mail in &mails {
        for to in &mail.recipients {
            secrets.insert(to.clone(), "a mail's recipient".to_owned());
        }
        let is_code = |word: &&str| {
            let sign = |byte: u8| byte == b'-' || byte.is_ascii_uppercase() || byte.is_ascii_digit();
            word.len() == 9 && word.as_bytes()[4] == b'-' && word.bytes().all(sign)
        };
        for code in mail.subject.split_whitespace().filter(is_code) {
            secrets.insert(code.to_owned(), "a mailed code".to_owned());
        }
        for key in mail.text.as_deref().unwrap_or_default().split("key=").skip(1) {
            let key = key.split_whitespace().next().unwrap_or_default();
            secrets.insert(key.to_owned(), "a mailed link".to_owned());
        }
    }
    let public = ["access_public_keys", "razorpay_key_id"];
    for (name, value) in world.whole.home().secrets() {
        for part in value.split(',').filter(|part| part.len() > 8 && !public.contains(&name.as_str())) {
            secrets.insert(part.to_owned(), format!("the home's {name}"));
        }
    }
    secrets.insert("Thelonious Monk".to_owned(), "a bank statement".to_owned());
    secrets.insert(CARD.to_owned(), "a card".to_owned());
    // What nobody would call a secret, and whoever tests wrote into a member of that name.
    secrets.retain(|secret, _| !["org", "not a code", "code"].contains(&secret.as_str()));
    let kinds = ["access_token", "refresh_token", "guest_token", "password", ".code", "quote", "mailed code"];
    for kind in kinds.into_iter().chain(["mailed link", "email", "name", "client_secret", "iban", "stripe"]) {
        assert!(secrets.values().any(|at| at.contains(kind)), "no {kind} was collected");
    }
    assert!(secrets.len() > 80, "{}", secrets.len());

    let logged = lines.text();
    let of =
        |level: &str| logged.lines().filter(|line| line.contains(&format!("\"level\":\"{level}\""))).count();
    println!(
        "{} lines, {} secrets, {} errors, {} warnings",
        logged.lines().count(),
        secrets.len(),
        of("ERROR"),
        of("WARN")
    );
    assert!(logged.lines().count() > 300 && of("ERROR") > 5 && of("WARN") > 3);
    assert!(logged.contains("\"action\":\"POST /v1/holds\"") && logged.contains("booking.confirmed.v1"));
    let refused = |line: &str| line.contains("\"answered\"") && line.contains("\"status\":4");
    assert!(
        logged.lines().any(|line| refused(line) && line.contains("\"who\":\"acc_")),
        "who was refused is told"
    );
    assert!(logged.contains("a request was not counted"), "who was not counted is told of");
    let mut leaks = Vec::new();
    for line in logged.lines() {
        for (secret, from) in secrets.iter().filter(|(secret, _)| has(line, secret)) {
            leaks.push(format!("{from} ({secret}) in {line}"));
        }
        if let Some(number) = words(line).find(|word| card_number(word)) {
            leaks.push(format!("a card's number ({number}) in {line}"));
        }
    }
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks[..leaks.len().min(12)].join("\n"));
}
