//! Who may do what: roles in parts, teams, invitations, API keys and devices.

use crate::support::{Organiser, World, text};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tessera_local::stores::faults::Side;

/// Somebody who is nobody's member: their token and account.
async fn person(world: &World, name: &str) -> (String, String) {
    let token = text(&world.account(&format!("{name}@example.org")).await["access_token"]);
    let account = text(&world.get("/v1/me").by(&token).send().await.ok()["id"]);
    (token, account)
}

async fn appoint(world: &World, owner: &Organiser, account: &str, body: Value) {
    let path = format!("/v1/organisations/{}/members/{account}", owner.organisation);
    world.put(&path).by(&owner.token).json(body).send().await.ok();
}

async fn bookings(world: &World, token: &str, event: &str) -> (u16, String) {
    let answer = world.get(&format!("/v1/events/{event}/bookings")).by(token).send().await;
    (answer.status, answer.code().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_at_one_event_reaches_that_event_alone() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let other = world.sale_of(&sale.organiser, json!({"capacity": 5})).await;
    let (token, account) = person(&world, "helper").await;
    assert_eq!(bookings(&world, &token, &sale.event).await, (404, "not_found".into()));
    let grant = json!({"rights": {"grants": [{"role": "support", "event": sale.event}]}});
    appoint(&world, &sale.organiser, &account, grant).await;
    assert_eq!(bookings(&world, &token, &sale.event).await.0, 200);
    assert_eq!(bookings(&world, &token, &other.event).await, (403, "forbidden".into()));
    let whole = format!("/v1/organisations/{}/events", sale.organiser.organisation);
    world.get(&whole).by(&token).send().await.refused(403, "forbidden");
    // Supporting is not editing.
    let publish = format!("/v1/events/{}/cancel", sale.event);
    world.post(&publish).by(&token).send().await.refused(403, "forbidden");
    // Another role, and it may do that, too; a role at a foreign event is of no use anywhere.
    let foreign = world.organiser("other").await;
    let theirs = world.sale_of(&foreign, json!({"capacity": 5})).await;
    let grant = json!({"rights": {"grants": [{"role": "manager", "event": theirs.event}]}});
    appoint(&world, &sale.organiser, &account, grant).await;
    assert_eq!(bookings(&world, &token, &theirs.event).await, (404, "not_found".into()));
    assert_eq!(bookings(&world, &token, &sale.event).await, (403, "forbidden".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_lend_their_roles_until_they_are_removed() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let owner = &sale.organiser;
    let (token, account) = person(&world, "steward").await;
    let teams = format!("/v1/organisations/{}/teams", owner.organisation);
    let stewards = json!({"name": "Stewards", "rights": {"role": "gate"}});
    let made = world.post(&teams).by(&owner.token).key("t").json(stewards.clone()).send().await;
    let tag = made.header("etag").to_owned();
    let team = text(&made.ok()["id"]);
    let again = world.post(&teams).by(&owner.token).key("t").json(stewards).send().await.ok();
    assert_eq!(again["id"], json!(team));
    appoint(&world, owner, &account, json!({"teams": [team]})).await;
    assert_eq!(bookings(&world, &token, &sale.event).await, (403, "forbidden".into()));
    let path = format!("{teams}/{team}");
    let support =
        json!({"name": "Stewards", "rights": {"grants": [{"role": "support", "event": sale.event}]}});
    let put = || world.put(&path).by(&owner.token).json(support.clone());
    put().send().await.refused(428, "version_required");
    put().header("If-Match", &tag).send().await.ok();
    put().header("If-Match", &tag).send().await.refused(412, "version_changed");
    assert_eq!(bookings(&world, &token, &sale.event).await.0, 200);
    assert_eq!(world.get(&path).by(&owner.token).send().await.ok()["rights"]["grants"][0]["role"], "support");
    assert_eq!(world.delete(&path).by(&owner.token).send().await.status, 204);
    assert_eq!(bookings(&world, &token, &sale.event).await, (403, "forbidden".into()));
    let unknown = json!({"teams": [team]});
    let member = format!("/v1/organisations/{}/members/{account}", owner.organisation);
    let problem =
        world.put(&member).by(&owner.token).json(unknown).send().await.refused(400, "invalid_input");
    assert_eq!(problem["errors"][0]["pointer"], "/teams/0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_needs_something_to_be_and_parts_have_no_owner() {
    let world = World::new().await;
    let owner = world.organiser("owner").await;
    let (_, account) = person(&world, "helper").await;
    let member = format!("/v1/organisations/{}/members/{account}", owner.organisation);
    let event = "evt_00000000000000000000000000";
    for (body, pointer) in [
        (json!({}), ""),
        (json!({"role": "gate"}), "/role"),
        (json!({"rights": {"role": "king"}}), "/rights/role"),
        (json!({"rights": {"grants": [{"role": "owner", "event": event}]}}), "/rights/grants/0"),
        (json!({"rights": {"grants": [{"role": "gate", "gate": "north"}]}}), "/rights/grants/0"),
        (json!({"rights": {"everything": true}}), "/rights/everything"),
    ] {
        let problem =
            world.put(&member).by(&owner.token).json(body).send().await.refused(400, "invalid_input");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_may_do_nothing_more_for_an_organisation() {
    let world = World::new().await;
    let owner = world.organiser("owner").await;
    let events = format!("/v1/organisations/{}/events", owner.organisation);
    world.get(&events).by(&owner.token).send().await.ok();
    assert_eq!(world.delete("/v1/sessions/current").by(&owner.token).send().await.status, 204);
    world.get(&events).by(&owner.token).send().await.refused(401, "session_ended");
}

async fn invite(world: &World, owner: &Organiser, email: &str, body: Value) -> Value {
    let path = format!("/v1/organisations/{}/invitations", owner.organisation);
    let mut body = body;
    body["email"] = json!(email);
    let made = world.post(&path).by(&owner.token).key(email).json(body).send().await.ok();
    // Its mail comes before those that are asked for next.
    world.settle().await;
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_proven_the_address_may_accept_and_nobody_else() {
    let world = World::new().await;
    let owner = world.organiser("owner").await;
    let made = invite(&world, &owner, "ada@example.org", json!({"rights": {"role": "manager"}})).await;
    world.settle().await;
    let mail = world.mail_to("ada@example.org");
    assert_eq!(mail.subject, "Ada Lovelace invites you to owner");
    // The invited one has no account yet: signing up with the address is enough.
    let (ada, account) = person(&world, "ada").await;
    let (eve, _) = person(&world, "eve").await;
    let mine = world.get("/v1/invitations").by(&ada).send().await.ok();
    assert_eq!(mine["items"][0]["organisation_name"], "owner");
    assert_eq!(mine["items"][0]["invitation"]["id"], made["id"]);
    assert_eq!(world.get("/v1/invitations").by(&eve).send().await.ok()["items"], json!([]));
    let accept = format!("/v1/invitations/{}/accept", text(&made["id"]));
    world.post(&accept).by(&eve).send().await.refused(404, "not_found");
    let events = format!("/v1/organisations/{}/events", owner.organisation);
    world.get(&events).by(&ada).send().await.refused(404, "not_found");
    assert_eq!(world.post(&accept).by(&ada).send().await.ok()["status"], "accepted");
    world.get(&events).by(&ada).send().await.ok();
    // Accepted once: after the member was removed, the old invitation brings nobody back; a new one does.
    let member = format!("/v1/organisations/{}/members/{account}", owner.organisation);
    assert_eq!(world.delete(&member).by(&owner.token).send().await.status, 204);
    world.post(&accept).by(&ada).send().await.ok();
    world.get(&events).by(&ada).send().await.refused(404, "not_found");
    world.delete(&member).by(&owner.token).send().await.refused(404, "not_found");
    let path = format!("/v1/organisations/{}/invitations", owner.organisation);
    let body = json!({"email": "ADA@example.org", "rights": {"role": "gate"}});
    let anew = world.post(&path).by(&owner.token).key("again").json(body).send().await.ok();
    let accept = format!("/v1/invitations/{}/accept", text(&anew["id"]));
    world.post(&accept).by(&ada).send().await.ok();
    world.get(&events).by(&ada).send().await.refused(403, "forbidden");
    let third = json!({"email": "ada@example.org", "rights": {"role": "manager"}});
    let third = world.post(&path).by(&owner.token).key("third").json(third).send().await.ok();
    let accept = format!("/v1/invitations/{}/accept", text(&third["id"]));
    world.post(&accept).by(&ada).send().await.refused(409, "already_exists");
    world.get(&events).by(&ada).send().await.refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_ends_when_it_is_taken_back_declined_late_or_its_owner_is_gone() {
    let world = World::new().await;
    let owner = world.organiser("owner").await;
    let (ada, account) = person(&world, "ada").await;
    let rights = || json!({"rights": {"role": "gate"}});
    let path = format!("/v1/organisations/{}/invitations", owner.organisation);
    let make = async |key: &str, by: &str| {
        let mut body = rights();
        body["email"] = json!("ada@example.org");
        text(&world.post(&path).by(by).key(key).json(body).send().await.ok()["id"])
    };
    let accept =
        async |id: &str, by: &str| world.post(&format!("/v1/invitations/{id}/accept")).by(by).send().await;

    let back = make("back", &owner.token).await;
    assert_eq!(world.delete(&format!("{path}/{back}")).by(&owner.token).send().await.status, 204);
    accept(&back, &ada).await.refused(409, "wrong_state");
    let declined = make("declined", &owner.token).await;
    world.post(&format!("/v1/invitations/{declined}/decline")).by(&ada).send().await.ok();
    accept(&declined, &ada).await.refused(409, "wrong_state");

    // A second owner invites, and is removed.
    let (second, second_account) = person(&world, "second").await;
    appoint(&world, &owner, &second_account, json!({"rights": {"role": "owner"}})).await;
    let orphan = make("orphan", &second).await;
    appoint(&world, &owner, &second_account, json!({"rights": {"role": "manager"}})).await;
    accept(&orphan, &ada).await.refused(409, "wrong_state");

    let late = make("late", &owner.token).await;
    world.advance(SignedDuration::from_hours(24 * 14)).await;
    let ada = text(
        &world
            .post("/v1/sessions")
            .json(json!({"email": "ada@example.org", "password": "correct horse"}))
            .send()
            .await
            .ok()["access_token"],
    );
    accept(&late, &ada).await.refused(409, "wrong_state");
    let owner = world.sign_in("owner", &owner).await;
    let statuses = world.get(&path).by(&owner.token).send().await.ok();
    let statuses: std::collections::BTreeMap<_, _> = statuses["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (text(&item["id"]), text(&item["status"])))
        .collect();
    assert_eq!((statuses[&back].as_str(), statuses[&late].as_str()), ("closed", "expired"));
    let member = format!("/v1/organisations/{}/members/{account}", owner.organisation);
    world.delete(&member).by(&owner.token).send().await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_survives_a_crash_at_every_store_call() {
    for side in [Side::Before, Side::After] {
        let mut step = 1;
        loop {
            let world = World::new().await;
            let owner = world.organiser("owner").await;
            let made =
                invite(&world, &owner, "ada@example.org", json!({"rights": {"role": "manager"}})).await;
            let (ada, _) = person(&world, "ada").await;
            let accept = format!("/v1/invitations/{}/accept", text(&made["id"]));
            let calls =
                world.crashing(Some((step, side)), async || world.post(&accept).by(&ada).send().await).await;
            let events = format!("/v1/organisations/{}/events", owner.organisation);
            world.get(&events).by(&ada).send().await.ok();
            step += 1;
            if step > calls {
                assert!(calls >= 6, "{calls}");
                break;
            }
        }
    }
}

async fn key(world: &World, owner: &Organiser, name: &str, rights: Value) -> Value {
    let path = format!("/v1/organisations/{}/api-keys", owner.organisation);
    let body = json!({"label": name, "rights": rights});
    world.post(&path).by(&owner.token).key(name).json(body).send().await.ok()
}

async fn last_use(world: &World, owner: &Organiser, id: &str) -> Option<String> {
    let list = format!("/v1/organisations/{}/api-keys", owner.organisation);
    let keys = world.get(&list).by(&owner.token).send().await.ok();
    let keys = keys["items"].as_array().unwrap().clone();
    keys.into_iter().find(|key| key["id"] == id).unwrap().get("last_used").map(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_calls_for_its_organisation_as_what_it_is_until_it_is_revoked() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let owner = &sale.organiser;
    let made = key(&world, owner, "shop", json!({"role": "support"})).await;
    let secret = text(&made["secret"]);
    assert!(secret.starts_with("tsk_") && secret.starts_with(&text(&made["begins"])) && secret.len() == 50);
    assert_eq!(bookings(&world, &secret, &sale.event).await.0, 200);
    let own = world.get("/v1/credential").by(&secret).send().await.ok();
    assert_eq!((&own["id"], &own["organisation"]), (&made["id"], &json!(owner.organisation)));
    let cancel = format!("/v1/events/{}/cancel", sale.event);
    world.post(&cancel).by(&secret).send().await.refused(403, "forbidden");
    // It is no person and no buyer, and it knows no other organisation.
    world.get("/v1/me").by(&secret).send().await.refused(401, "unauthenticated");
    world
        .post("/v1/holds")
        .key("h")
        .by(&secret)
        .json(world.basket(&sale, 1))
        .send()
        .await
        .refused(401, "unauthenticated");
    let foreign = world.organiser("other").await;
    let theirs = world.sale_of(&foreign, json!({"capacity": 5})).await;
    assert_eq!(bookings(&world, &secret, &theirs.event).await, (404, "not_found".into()));
    // Mistyped, and of another secret.
    let mistyped = format!("{}x", &secret[..secret.len() - 1]);
    let before = world.whole.home().faults().calls();
    assert_eq!(bookings(&world, &mistyped, &sale.event).await, (401, "token_invalid".into()));
    assert_eq!(world.whole.home().faults().calls(), before, "a mistyped key costs no store call");
    // Shown once.
    let again = key(&world, owner, "shop", json!({"role": "support"})).await;
    assert_eq!((&again["id"], again.get("secret")), (&made["id"], None));
    let list = format!("/v1/organisations/{}/api-keys", owner.organisation);
    let listed = world.get(&list).by(&owner.token).send().await;
    assert!(!String::from_utf8_lossy(&listed.bytes).contains(&secret[12..44]));
    let listed = listed.ok();
    assert_eq!(listed["items"][0]["begins"], made["begins"]);
    // When it was last used is known to the quarter of an hour, and so is that it was not.
    let unused = text(&key(&world, owner, "drawer", json!({"role": "support"})).await["id"]);
    assert_eq!(last_use(&world, owner, &unused).await, None);
    let (id, first) = (text(&made["id"]), last_use(&world, owner, &text(&made["id"])).await.unwrap());
    world.advance(SignedDuration::from_mins(14)).await;
    let owner = &world.sign_in("organiser", owner).await;
    assert_eq!(bookings(&world, &secret, &sale.event).await.0, 200);
    assert_eq!(last_use(&world, owner, &id).await.unwrap(), first);
    world.advance(SignedDuration::from_mins(1)).await;
    assert_eq!(bookings(&world, &secret, &sale.event).await.0, 200);
    assert!(last_use(&world, owner, &id).await.unwrap() > first);
    let path = format!("{list}/{}", text(&made["id"]));
    world.delete(&path).by(&foreign.token).send().await.refused(404, "not_found");
    let theirs = format!("/v1/organisations/{}/api-keys/{}", foreign.organisation, text(&made["id"]));
    world.delete(&theirs).by(&foreign.token).send().await.refused(404, "not_found");
    assert_eq!(world.delete(&path).by(&owner.token).send().await.status, 204);
    assert_eq!(bookings(&world, &secret, &sale.event).await, (401, "token_invalid".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_owns_nothing_and_ends() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let owner = &sale.organiser;
    let path = format!("/v1/organisations/{}/api-keys", owner.organisation);
    for rights in [json!({"role": "owner"}), json!({})] {
        let body = json!({"label": "x", "rights": rights});
        world.post(&path).by(&owner.token).key("x").json(body).send().await.refused(400, "invalid_input");
    }
    let expires = world.whole.clock().now() + SignedDuration::from_mins(5);
    let body = json!({"label": "brief", "rights": {"role": "support"}, "expires": expires});
    let made = world.post(&path).by(&owner.token).key("brief").json(body).send().await.ok();
    let secret = text(&made["secret"]);
    assert_eq!(bookings(&world, &secret, &sale.event).await.0, 200);
    world.advance(SignedDuration::from_mins(5)).await;
    assert_eq!(bookings(&world, &secret, &sale.event).await, (401, "token_invalid".into()));
    // A manager makes no keys.
    let (token, account) = person(&world, "manager").await;
    appoint(&world, owner, &account, json!({"rights": {"role": "manager"}})).await;
    let body = json!({"label": "x", "rights": {"role": "manager"}});
    world.post(&path).by(&token).key("m").json(body).send().await.refused(403, "forbidden");
}

async fn device(world: &World, token: &str, organisation: &str, label: &str, rights: Value) -> Value {
    let path = format!("/v1/organisations/{organisation}/devices");
    let body = json!({"label": label, "rights": rights});
    world.post(&path).by(token).key(label).json(body).send().await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_is_paired_by_code_once_and_scans_at_its_gate_alone() {
    let world = World::new().await;
    let sale = world.sale(5, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    let owner = &sale.organiser;
    let (held, order) = world.buy(&sale, 2, "grace@example.org").await;
    let tickets = world.tickets(&held, &order).await;
    let rights = json!({"grants": [{"role": "gate", "event": sale.event, "gate": "north"}]});
    let made = device(&world, &owner.token, &owner.organisation, "North-1", rights).await;
    assert_eq!(made["status"], "waiting");
    let pair = |code: &str| world.post("/v1/devices/pair").json(json!({"code": code})).send();
    pair("0000-0000").await.refused(400, "code_wrong");
    // Two devices try at once, typed as people type.
    let typed = text(&made["code"]).to_lowercase().replace('-', " ");
    let mut answers = join_all((0..6).map(|_| pair(&typed))).await;
    answers.sort_by_key(|answer| answer.status);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(answers[1..].iter().all(|answer| answer.code() == "code_wrong"));
    let credential = text(&answers[0].body["credential"]);
    assert!(credential.starts_with("tsd_"));
    pair(&typed).await.refused(400, "code_wrong");

    let scan = async |by: &str, gate: &str, ticket: &Value, key: &str| {
        let body = json!({"event": sale.event, "gate": gate, "code": ticket["code"]});
        world.post("/v1/scans").by(by).key(key).json(body).send().await
    };
    world.advance(SignedDuration::from_hours(30 * 24)).await;
    scan(&credential, "south", &tickets[0], "s").await.refused(403, "forbidden");
    assert_eq!(scan(&credential, "north", &tickets[0], "a").await.ok()["result"], "VALID");
    scan(&credential, "north", &tickets[0], "b").await.refused(409, "ticket_used");
    let owner = world.sign_in("organiser", owner).await;
    let log = world.get(&format!("/v1/events/{}/entries", sale.event)).by(&owner.token).send().await.ok();
    assert_eq!(log["items"][0]["by"], made["id"]);

    // Lost: a new code voids what it had at once; removed, it is paired by none.
    let path = format!("/v1/organisations/{}/devices/{}", owner.organisation, text(&made["id"]));
    let anew = world.post(&format!("{path}/code")).by(&owner.token).send().await.ok();
    scan(&credential, "north", &tickets[1], "c").await.refused(401, "token_invalid");
    let second = text(&pair(&text(&anew["code"])).await.ok()["credential"]);
    scan(&second, "north", &tickets[1], "d").await.ok();
    assert_eq!(world.delete(&path).by(&owner.token).send().await.status, 204);
    scan(&second, "north", &tickets[1], "e").await.refused(401, "token_invalid");
    world.post(&format!("{path}/code")).by(&owner.token).send().await.refused(409, "wrong_state");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_pairs_devices_that_are_no_more_than_gate_or_cashier() {
    let world = World::new().await;
    let owner = world.organiser("owner").await;
    let (token, account) = person(&world, "manager").await;
    appoint(&world, &owner, &account, json!({"rights": {"role": "manager"}})).await;
    let made = device(&world, &token, &owner.organisation, "Till", json!({"role": "cashier"})).await;
    // A repeated request has a new code, and the one before is void.
    let again = device(&world, &token, &owner.organisation, "Till", json!({"role": "cashier"})).await;
    assert_eq!(made["id"], again["id"]);
    let pair =
        async |made: &Value| world.post("/v1/devices/pair").json(json!({"code": made["code"]})).send().await;
    pair(&made).await.refused(400, "code_wrong");
    world.advance(SignedDuration::from_mins(15)).await;
    pair(&again).await.refused(400, "code_wrong");
    let path = format!("/v1/organisations/{}/devices", owner.organisation);
    let owner = world.sign_in("owner", &owner).await;
    let body = json!({"label": "Till 2", "rights": {"role": "manager"}});
    world.post(&path).by(&owner.token).key("2").json(body).send().await.refused(400, "invalid_input");
    let listed = world.get(&path).by(&owner.token).send().await.ok();
    assert_eq!(
        (&listed["items"][0]["label"], &listed["items"][0]["status"]),
        (&json!("Till"), &json!("waiting"))
    );
}
