//! A person's own data: a profile, all that is known of them as one archive, and that they are forgotten when they ask for it.

use crate::credentials::sign_in;
use crate::pool::store;
use crate::support::{Answer, Held, Sale, World, text, uuid};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use tessera::db::Table;
use tessera::identity::account::SWEEP_MINUTES;
use tessera_local::stores::faults::Side;

/// Words by which somebody would be recognised.
const TRACES: [&str; 4] = ["grace@example.org", "Grace Hopper", "Grace H.", "I keep bees"];

/// Half an hour, after which all is gone through once more: until then the last mail to them stands beside the account.
async fn second_look(world: &World) {
    world.settle().await;
    world.advance(SignedDuration::from_mins(SWEEP_MINUTES + 15)).await;
    world.settle().await;
}

/// Where something of them is still written, in any table.
async fn traces(world: &World, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for table in Table::ALL {
        let name = format!("tessera-local-{}", table.word());
        let mut from = Value::Null;
        loop {
            let mut wish = json!({"TableName": name});
            if !from.is_null() {
                wish["ExclusiveStartKey"] = from;
            }
            let page = store(world, "Scan", wish).await;
            for item in page["Items"].as_array().unwrap() {
                let written = item.to_string();
                found.extend(
                    words.iter().filter(|word| written.contains(**word)).map(|_| format!("{name}: {item}")),
                );
            }
            from = page["LastEvaluatedKey"].clone();
            if from.is_null() {
                break;
            }
        }
    }
    found
}

async fn erase(world: &World, token: &str, password: &str) -> Answer {
    world.post("/v1/me/erasure").by(token).json(json!({"password": password})).send().await
}

/// A person who has bought, waits, and has applied for something.
async fn known_everywhere(world: &World, sale: &Sale) -> (String, Held, Value) {
    let token = text(&world.account("grace@example.org").await["access_token"]);
    let body = json!({"name": "Grace H."});
    assert_eq!(world.put("/v1/me/name").by(&token).json(body).send().await.status, 204);
    let home = json!({"label": "Home", "name": "Grace Hopper", "lines": ["Hof 1"], "country": "US"});
    let profile = json!({"phone": "+12025550123", "addresses": [home]});
    let read = world.get("/v1/me/profile").by(&token).send().await;
    let etag = read.header("etag").to_owned();
    world.put("/v1/me/profile").by(&token).header("if-match", &etag).json(profile).send().await.ok();
    let basket = world.basket(sale, 2);
    let hold = world.post("/v1/holds").by(&token).key(&uuid()).json(basket).send().await.ok();
    let held = Held { token: token.clone(), hold };
    let order = world.order(&held, "grace@example.org").await;
    let payment = world.payment(&held, &order).await;
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    // All of it is sold now, and she waits for more.
    let contact = json!({"name": "Grace Hopper", "email": "grace@example.org"});
    let join = json!({"offers": [sale.offer], "quantity": 1, "contact": contact});
    let line = format!("/v1/events/{}/waitlist", sale.event);
    world.post(&line).by(&token).key(&uuid()).json(join).send().await.ok();
    let chosen = world.sale_of(&sale.organiser, json!({"capacity": 3, "approval": true})).await;
    let apply = json!({"offer": chosen.offer, "quantity": 1, "contact": contact, "letter": "I keep bees"});
    world.post("/v1/applications").by(&token).key(&uuid()).json(apply).send().await.ok();
    world.settle().await;
    (token, held, order)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_erased_is_nowhere_any_more_and_the_books_stay() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let (token, held, order) = known_everywhere(&world, &sale).await;
    for word in TRACES {
        assert!(!traces(&world, &[word]).await.is_empty(), "{word} is written somewhere before");
    }
    let tickets = world.tickets(&held, &order).await;
    assert_eq!(tickets[0]["holder"], "Grace Hopper");
    let books = world.books(&sale.organiser).await.1.len();
    erase(&world, &token, "battery staple").await.refused(403, "password_wrong");
    assert_eq!(erase(&world, &token, "correct horse").await.status, 204);
    world.settle().await;
    let farewell = traces(&world, &TRACES).await;
    assert!(farewell.iter().all(|trace| trace.contains("farewell")), "{farewell:?}");
    erase(&world, &token, "correct horse").await.refused(401, "session_ended");
    sign_in(&world, "grace@example.org", "correct horse").await.refused(401, "sign_in_failed");
    let farewell = world.mail_to("grace@example.org");
    assert_eq!(farewell.subject, "Your account was erased");
    second_look(&world).await;
    assert_eq!(traces(&world, &TRACES).await, Vec::<String>::new());
    let organiser = world.sign_in("organiser", &sale.organiser).await;
    let sale = Sale { organiser, ..sale };
    // What was sold is sold, to nobody in particular, and admits.
    let path = format!("/v1/events/{}/orders", sale.event);
    let known = world.get(&path).by(&sale.organiser.token).send().await.ok();
    let known = &known["items"][0];
    assert_eq!((&known["status"], &known["contact"]["name"]), (&json!("confirmed"), &json!("Anonymous")));
    assert_eq!(world.books(&sale.organiser).await.1.len(), books);
    let ticket = store(&world, "Scan", json!({"TableName": "tessera-local-entry"})).await;
    assert!(ticket.to_string().contains("Anonymous"));
    // Nobody waits any more, and what is cancelled is told to nobody.
    let line = format!("/v1/events/{}/waitlist", sale.event);
    let line = world.get(&line).by(&sale.organiser.token).send().await.ok();
    assert_eq!(line["items"][0]["status"], "left");
    let mails = world.mails_to("grace@example.org").len();
    let cancel = format!("/v1/events/{}/cancel", sale.event);
    world.post(&cancel).by(&sale.organiser.token).send().await.ok();
    world.settle().await;
    assert_eq!(world.mails_to("grace@example.org").len(), mails);
    assert_eq!(world.mails_to("nobody@erased.invalid").len(), 0);
    let known = world.get(&path).by(&sale.organiser.token).send().await.ok();
    assert_eq!(known["items"][0]["refunds"][0]["amount"], order["total"], "the money goes back as ever");
    // The address is free: whoever has it begins anew.
    let again = text(&world.account("grace@example.org").await["access_token"]);
    let orders = world.get("/v1/orders").by(&again).send().await.ok();
    assert_eq!(orders["items"], json!([]));
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_by_a_token_that_is_still_good_goes_with_the_second_look() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let token = text(&world.account("grace@example.org").await["access_token"]);
    let hold = world.post("/v1/holds").by(&token).key(&uuid()).json(world.basket(&sale, 1)).send().await.ok();
    assert_eq!(erase(&world, &token, "correct horse").await.status, 204);
    world.settle().await;
    // Buying asks only for the token, which lasts a few minutes longer than the account.
    world.order(&Held { token, hold }, "grace@example.org").await;
    world.settle().await;
    assert_eq!(traces(&world, &["Grace Hopper"]).await.len(), 1);
    world.advance(SignedDuration::from_mins(SWEEP_MINUTES - 1)).await;
    world.settle().await;
    assert_eq!(traces(&world, &["Grace Hopper"]).await.len(), 1, "the token may still be used");
    second_look(&world).await;
    assert_eq!(traces(&world, &TRACES).await, Vec::<String>::new());
    assert_eq!(world.mails_to("nobody@erased.invalid").len(), 0);
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_are_removed_first_and_members_leave_with_their_account() {
    let world = World::new().await;
    let (owner, other) = (world.organiser("owner").await, world.organiser("other").await);
    let problem = erase(&world, &owner.token, "correct horse").await.refused(409, "wrong_state");
    assert!(text(&problem["detail"]).contains("another owner"));
    let member =
        |organisation: &str, account: &str| format!("/v1/organisations/{organisation}/members/{account}");
    let body = json!({"rights": {"role": "owner"}});
    let path = member(&owner.organisation, &other.account);
    world.put(&path).by(&owner.token).json(body).send().await.ok();
    let body = json!({"rights": {"role": "support"}});
    let path = member(&owner.organisation, &owner.account);
    world.put(&path).by(&other.token).json(body).send().await.ok();
    assert_eq!(erase(&world, &owner.token, "correct horse").await.status, 204);
    world.settle().await;
    let path = format!("/v1/organisations/{}/members", owner.organisation);
    let members = world.get(&path).by(&other.token).send().await.ok();
    assert_eq!(members["items"].as_array().unwrap().len(), 1);
    // The organisation's log stays whole, and names an id of which nothing is known.
    let path = format!("/v1/organisations/{}/audit", owner.organisation);
    let log = world.get(&path).by(&other.token).send().await.ok();
    assert_eq!(log["items"][0]["act"], "member_removed");
    assert_eq!(log["items"][0]["by"], owner.account.as_str());
    let proof = world.get(&format!("{path}/proof")).by(&other.token).send().await.ok();
    assert_eq!(proof.get("broken_at"), None);
    second_look(&world).await;
    assert_eq!(traces(&world, &["owner@example.org"]).await, Vec::<String>::new());
}

/// Fetches an archive: its files by name.
async fn fetch(world: &World, url: &Value) -> BTreeMap<String, Vec<u8>> {
    let answer = world.http.get(text(url)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["content-disposition"].to_str().unwrap().contains("my-data.zip"));
    let bytes = answer.bytes().await.unwrap().to_vec();
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut files = BTreeMap::new();
    for place in 0..zip.len() {
        let mut file = zip.by_index(place).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        files.insert(file.name().unwrap().into_owned(), bytes);
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_known_of_somebody_is_one_archive_for_them_alone() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let (token, held, order) = known_everywhere(&world, &sale).await;
    let ask = async |password: &str| {
        let body = json!({"password": password});
        world.post("/v1/me/exports").by(&token).key("all").json(body).send().await
    };
    ask("battery staple").await.refused(403, "password_wrong");
    let asked = ask("correct horse").await.ok();
    world.settle().await;
    assert_eq!(ask("correct horse").await.ok()["id"], asked["id"], "once");
    let path = format!("/v1/me/exports/{}", text(&asked["id"]));
    let ready = world.get(&path).by(&token).send().await.ok();
    assert_eq!(ready["status"], "ready");
    assert_eq!(world.mail_to("grace@example.org").subject, "Your data are ready");
    let files = fetch(&world, &ready["url"]).await;
    assert!(ready["bytes"].as_u64().unwrap() > 1000);
    let read = |name: &str| serde_json::from_slice::<Value>(&files[&format!("{name}.json")]).unwrap();
    assert_eq!(read("account")["email"], "grace@example.org");
    assert_eq!(read("profile")["addresses"][0]["name"], "Grace Hopper");
    assert_eq!(read("orders")[0]["id"], order["id"]);
    assert_eq!(read("tickets").as_array().unwrap().len(), 2);
    assert_eq!(read("bookings").as_array().unwrap().len(), 1);
    assert_eq!(read("payments")[0]["state"]["is"], "captured");
    assert_eq!(read("waitlists")[0]["contact"]["name"], "Grace Hopper");
    assert_eq!(read("applications")[0]["letter"], "I keep bees");
    assert_eq!(read("audit")[0]["act"], "address_proven");
    assert_eq!((read("memberships"), read("invoices")), (json!([]), json!([])));
    assert_eq!(read("sessions").as_array().unwrap().len(), 1);
    for ticket in world.tickets(&held, &order).await {
        assert!(files[&format!("documents/tickets/{}.pdf", text(&ticket["id"]))].starts_with(b"%PDF"));
    }
    for (name, bytes) in &files {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("argon2") && !text.contains("salt"), "{name}");
    }
    // It is nobody else's, and gone with its owner, also for who has the link.
    let other = text(&world.account("eve@example.org").await["access_token"]);
    world.get(&path).by(&other).send().await.refused(404, "not_found");
    assert_eq!(erase(&world, &token, "correct horse").await.status, 204);
    world.settle().await;
    let gone = world.http.get(text(&ready["url"])).send().await.unwrap();
    assert_eq!(gone.status(), 404);
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_made_whatever_crashes_and_ends_after_a_week() {
    let world = World::new().await;
    let token = text(&world.account("ada@example.org").await["access_token"]);
    world.settle().await;
    let mut step = 1;
    loop {
        let (key, body) = (format!("k{step}"), json!({"password": "correct horse"}));
        let ask = async || world.post("/v1/me/exports").by(&token).key(&key).json(body.clone()).send().await;
        let calls = world.crashing(Some((step, Side::After)), ask).await;
        let id = text(&ask().await.ok()["id"]);
        let ready = world.get(&format!("/v1/me/exports/{id}")).by(&token).send().await.ok();
        assert_eq!(ready["status"], "ready", "{step}");
        assert!(fetch(&world, &ready["url"]).await.contains_key("account.json"));
        step += 1;
        if step > calls {
            assert!(calls > 15, "{calls}");
            break;
        }
    }
    assert_eq!(world.dead_letters(), 0);
    let ask = json!({"password": "correct horse"});
    let id = text(&world.post("/v1/me/exports").by(&token).key("old").json(ask).send().await.ok()["id"]);
    world.advance(SignedDuration::from_hours(24 * 7)).await;
    let token = text(&sign_in(&world, "ada@example.org", "correct horse").await.ok()["access_token"]);
    world.get(&format!("/v1/me/exports/{id}")).by(&token).send().await.refused(404, "not_found");
}

async fn erase_with_a_crash(world: &World, sale: &Sale, name: &str, crash: Option<(u64, Side)>) -> u64 {
    let email = format!("{name}@example.org");
    let token = text(&world.account(&email).await["access_token"]);
    let hold = world.post("/v1/holds").by(&token).key(&uuid()).json(world.basket(sale, 1)).send().await.ok();
    world.order(&Held { token: token.clone(), hold }, &email).await;
    world.settle().await;
    let calls = world
        .crashing(crash, async || {
            let answer = erase(world, &token, "correct horse").await;
            // The answer was lost: the session has ended with the account.
            if answer.status == 401 { world.get("/v1/events").send().await } else { answer }
        })
        .await;
    second_look(world).await;
    assert_eq!(traces(world, &[&email]).await, Vec::<String>::new(), "{crash:?}");
    assert_eq!(world.mail_to(&email).subject, "Your account was erased", "{crash:?}");
    world.account(&email).await;
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_while_somebody_is_erased_forgets_them_all_the_same() {
    let world = World::new().await;
    let sale = world.sale(500, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    let calls = erase_with_a_crash(&world, &sale, "first", None).await;
    assert!(calls > 10, "{calls} calls");
    for step in 1..=calls {
        // Before a call is after the one before it.
        erase_with_a_crash(&world, &sale, &format!("leaver{step}"), Some((step, Side::After))).await;
    }
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_its_owners_and_written_over_only_by_who_has_read_it() {
    let world = World::new().await;
    let token = text(&world.account("ada@example.org").await["access_token"]);
    let read = async || world.get("/v1/me/profile").by(&token).send().await;
    assert_eq!(read().await.body, json!({"addresses": []}));
    let write = async |etag: &str, body: Value| {
        world.put("/v1/me/profile").by(&token).header("if-match", etag).json(body).send().await
    };
    let none = read().await.header("etag").to_owned();
    let written = write(&none, json!({"language": "de-AT", "zone": "Europe/Vienna"})).await;
    let etag = written.header("etag").to_owned();
    assert_eq!(written.ok()["zone"], "Europe/Vienna");
    write(&none, json!({})).await.refused(412, "version_changed");
    let bad = write(&etag, json!({"phone": "12345678", "zone": "Mars"})).await.refused(400, "invalid_input");
    assert_eq!(bad["errors"].as_array().unwrap().len(), 2);
    write(&etag, json!({"shoe_size": 44})).await.refused(400, "invalid_input");
    assert_eq!(read().await.body["language"], "de-AT");
    let body = json!({"name": "Countess of Lovelace"});
    assert_eq!(world.put("/v1/me/name").by(&token).json(body).send().await.status, 204);
    let me = world.get("/v1/me").by(&token).send().await.ok();
    assert_eq!(me["name"], "Countess of Lovelace");
}
