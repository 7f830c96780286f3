//! Audit logs: everything that matters is in them once, in an order in which a change shows.

use crate::credentials::{long_code, sign_in};
use crate::support::{Organiser, World, euros, text};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tessera_local::stores::faults::Side;
use tessera_sqs::NewMessage;

async fn log(world: &World, owner: &Organiser) -> Vec<Value> {
    read(world, &format!("/v1/organisations/{}/audit", owner.organisation), &owner.token).await
}

/// All of a log, the oldest first.
async fn read(world: &World, path: &str, token: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("{path}?limit=7{cursor}")).by(token).send().await.ok();
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    all.reverse();
    all
}

async fn proof(world: &World, owner: &Organiser) -> Value {
    let path = format!("/v1/organisations/{}/audit/proof", owner.organisation);
    world.get(&path).by(&owner.token).send().await.ok()
}

fn acts(entries: &[Value]) -> Vec<String> {
    entries.iter().map(|entry| text(&entry["act"])).collect()
}

async fn keys(world: &World, owner: &Organiser, count: usize) {
    let path = format!("/v1/organisations/{}/api-keys", owner.organisation);
    let body = json!({"label": "key", "rights": {"role": "support"}});
    let make = |number: usize| {
        world.post(&path).by(&owner.token).key(&format!("k{number}")).json(body.clone()).send()
    };
    for answer in join_all((0..count).map(make)).await {
        answer.ok();
    }
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_in_the_log_by_whom_and_with_what() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let owner = &sale.organiser;
    let (_, order) = world.buy(&sale, 1, "grace@example.org").await;
    let helper = world.account("helper@example.org").await;
    let helper = text(&world.get("/v1/me").by(&text(&helper["access_token"])).send().await.ok()["id"]);
    let of = |path: &str| format!("/v1/organisations/{}/{path}", owner.organisation);
    let member = of(&format!("members/{helper}"));
    for role in ["manager", "manager", "accountant"] {
        let body = json!({"rights": {"role": role}});
        world.put(&member).by(&owner.token).json(body).send().await.ok();
    }
    assert_eq!(world.delete(&member).by(&owner.token).send().await.status, 204);
    let key = json!({"label": "key", "rights": {"role": "accountant"}});
    let key = world.post(&of("api-keys")).by(&owner.token).key("k").json(key).send().await.ok();
    // The key itself refunds some of the payment, twice with one name.
    let payments = format!("/v1/orders/{}/payments", text(&order["id"]));
    let payments = world.get(&payments).by(&owner.token).send().await.ok();
    let payment = text(&payments["items"][0]["id"]);
    for _ in 0..2 {
        let path = format!("/v1/payments/{payment}/refunds");
        let body = json!({"amount": euros(100)});
        world.post(&path).by(&text(&key["secret"])).key("r").json(body).send().await.ok();
    }
    for _ in 0..2 {
        world.post(&format!("/v1/events/{}/cancel", sale.event)).by(&owner.token).send().await.ok();
    }
    world.settle().await;
    let entries = log(&world, owner).await;
    let expected = [
        ("founded", &owner.account, &owner.organisation),
        ("member_set", &owner.account, &helper),
        ("member_set", &owner.account, &helper),
        ("member_removed", &owner.account, &helper),
        ("key_made", &owner.account, &text(&key["id"])),
        ("refund_made", &text(&key["id"]), &payment),
        ("event_cancelled", &owner.account, &sale.event),
    ];
    // Messages of several tables overtake each other: the order is that of writing down.
    let mut seen: Vec<_> =
        entries.iter().map(|entry| (text(&entry["act"]), text(&entry["by"]), text(&entry["what"]))).collect();
    let mut expected: Vec<_> =
        expected.map(|(act, by, what)| (act.to_owned(), by.clone(), what.clone())).to_vec();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    let set = entries.iter().find(|entry| entry["act"] == "member_set").unwrap();
    assert_eq!(set["detail"], r#"{"role":"manager"}"#);
    let proof = proof(&world, owner).await;
    assert_eq!((&proof["entries"], proof.get("broken_at")), (&json!(7), None));
    assert_eq!(proof["hash"], entries[6]["hash"]);
    // It is the owners' to read.
    let answer = world.get(&of("audit")).by(&text(&key["secret"])).send().await;
    answer.refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_numbered_without_a_gap_and_redeliveries_change_nothing() {
    let world = World::new().await;
    let owner = world.organiser("owner").await;
    keys(&world, &owner, 30).await;
    let before = log(&world, &owner).await;
    let numbers: Vec<_> = before.iter().map(|entry| entry["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=31).collect::<Vec<_>>());
    // Every message once more, all at once, and the first ones again after that.
    let again = |entry: &Value| {
        let note = json!({"of": owner.organisation, "by": entry["by"], "act": entry["act"], "what": entry["what"],
            "detail": entry["detail"]});
        let message = json!({"id": entry["id"], "at": entry["at"], "type": "audit.noted.v1", "data": note});
        NewMessage::new(message.to_string())
    };
    for entries in [&before[..], &before[..5]] {
        for entry in entries {
            world.whole.home().sqs().send("tessera-local-identity", &again(entry)).unwrap();
        }
        world.settle().await;
    }
    assert_eq!(log(&world, &owner).await, before);
    assert_eq!(proof(&world, &owner).await.get("broken_at"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_log_shows_where_it_is() {
    let world = World::new().await;
    let owner = world.organiser("owner").await;
    keys(&world, &owner, 6).await;
    world.advance(SignedDuration::from_mins(2)).await;
    let broken = async || proof(&world, &owner).await.get("broken_at").and_then(Value::as_u64);
    assert_eq!(broken().await, None);
    let entries = log(&world, &owner).await;
    let key =
        |entry: &Value| json!({"pk": {"S": format!("log#{}", owner.organisation)}, "sk": {"S": entry["id"]}});
    let table = "tessera-local-identity";
    let get = async |entry: &Value| {
        let wish = json!({"TableName": table, "Key": key(entry), "ConsistentRead": true});
        crate::pool::store(&world, "GetItem", wish).await["Item"].clone()
    };
    let put = async |item: &Value| {
        crate::pool::store(&world, "PutItem", json!({"TableName": table, "Item": item})).await;
    };
    // Somebody with access to the table rewrites who did it.
    let good = get(&entries[3]).await;
    let changed = good.to_string().replace(&owner.account, "acc_00000000000000000000000000");
    assert_ne!(changed, good.to_string());
    put(&serde_json::from_str(&changed).unwrap()).await;
    assert_eq!(broken().await, Some(4));
    put(&good).await;
    assert_eq!(broken().await, None);
    // An entry is taken out; the last ones are cut off.
    for (place, shown) in [(2, 3), (6, 7)] {
        let good = get(&entries[place]).await;
        let wish = json!({"TableName": table, "Key": key(&entries[place])});
        crate::pool::store(&world, "DeleteItem", wish).await;
        assert_eq!(broken().await, Some(shown));
        put(&good).await;
    }
    assert_eq!(broken().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_written_once_whatever_crashes() {
    for side in [Side::Before, Side::After] {
        let mut step = 1;
        loop {
            let world = World::new().await;
            let owner = world.organiser("owner").await;
            world.settle().await;
            let path = format!("/v1/organisations/{}/api-keys", owner.organisation);
            let body = json!({"label": "key", "rights": {"role": "support"}});
            let make = async || world.post(&path).by(&owner.token).key("k").json(body.clone()).send().await;
            let calls = world.crashing(Some((step, side)), make).await;
            assert_eq!(acts(&log(&world, &owner).await), ["founded", "key_made"], "{side:?} {step}");
            assert_eq!(proof(&world, &owner).await["entries"], 2);
            step += 1;
            if step > calls {
                assert!(calls >= 8, "{calls}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_who_signed_in_and_what_was_changed_about_it() {
    let world = World::new().await;
    let email = "ada@example.org";
    let first = world.account(email).await;
    let id = text(&world.get("/v1/me").by(&text(&first["access_token"])).send().await.ok()["id"]);
    world.settle().await;
    sign_in(&world, email, "another one").await.refused(401, "sign_in_failed");
    // What was replaced is shown again, late: somebody has stolen it.
    let renew = async |token: &Value| {
        world.post("/v1/sessions/refresh").json(json!({"refresh_token": token})).send().await
    };
    renew(&first["refresh_token"]).await.ok();
    world.advance(SignedDuration::from_mins(1)).await;
    renew(&first["refresh_token"]).await.refused(401, "session_ended");
    world.settle().await;
    world.post("/v1/accounts/reset").json(json!({"email": email})).send().await;
    let code = long_code(&world, email).await;
    let anew = json!({"email": email, "code": code, "password": "battery staple"});
    assert_eq!(world.post("/v1/accounts/reset/confirm").json(anew).send().await.status, 204);
    world.settle().await;
    let token = text(&sign_in(&world, email, "battery staple").await.ok()["access_token"]);
    world.settle().await;
    let change = json!({"current_password": "battery staple", "password": "correct horse"});
    assert_eq!(world.put("/v1/me/password").by(&token).json(change).send().await.status, 204);
    world.settle().await;
    for _ in 0..2 {
        assert_eq!(world.delete("/v1/sessions").by(&token).send().await.status, 204);
    }
    world.settle().await;
    let entries = read(&world, "/v1/me/audit", &token).await;
    let expected = [
        "address_proven",
        "signed_in",
        "token_reused",
        "password_reset",
        "signed_in",
        "password_changed",
        "signed_out_elsewhere",
        "signed_out_elsewhere",
    ];
    assert_eq!(acts(&entries), expected);
    let by_nobody = ["token_reused", "password_reset"];
    for entry in &entries {
        let nobody = by_nobody.contains(&entry["act"].as_str().unwrap());
        assert_eq!(entry["by"].as_str(), (!nobody).then_some(id.as_str()), "{entry}");
        assert!(!entry.to_string().contains('@'));
    }
    assert_eq!(entries[1]["detail"], "password");
    assert_eq!(entries[1]["what"], entries[2]["what"], "the session that was stolen");
    let proof = world.get("/v1/me/audit/proof").by(&token).send().await.ok();
    assert_eq!((&proof["entries"], proof.get("broken_at")), (&json!(8), None));
    // Nobody else reads it, and it is not in the log of an organisation.
    let other = world.organiser("other").await;
    let theirs = read(&world, "/v1/me/audit", &other.token).await;
    assert!(theirs.iter().all(|entry| entry["by"] == other.account.as_str()));
    assert_eq!(world.delete("/v1/sessions/current").by(&token).send().await.status, 204);
    world.get("/v1/me/audit").by(&token).send().await.refused(401, "session_ended");
}
