//! Accounts, sessions, organisations.

use crate::support::{World, text};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_in_before_the_address_is_proven() {
    let world = World::new().await;
    let account = json!({"email": "ada@example.org", "password": "correct horse", "name": "Ada"});
    world.post("/v1/accounts").json(account).send().await.ok();
    let credentials = json!({"email": "ada@example.org", "password": "correct horse"});
    world.post("/v1/sessions").json(credentials.clone()).send().await.refused(401, "sign_in_failed");
    let code = world.code_for("ada@example.org").await;
    let wrong = json!({"email": "ada@example.org", "code": "0000-0000", "password": "correct horse"});
    world.post("/v1/accounts/verify").json(wrong).send().await.refused(400, "code_wrong");
    let proof = json!({"email": "ADA@example.org", "code": code, "password": "correct horse"});
    assert_eq!(world.post("/v1/accounts/verify").json(proof.clone()).send().await.status, 204);
    world.post("/v1/accounts/verify").json(proof).send().await.refused(400, "code_wrong");
    assert_eq!(world.post("/v1/sessions").json(credentials).send().await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_expires_and_a_new_one_replaces_it() {
    let world = World::new().await;
    let account = json!({"email": "ada@example.org", "password": "correct horse", "name": "Ada"});
    world.post("/v1/accounts").json(account).send().await.ok();
    let old = world.code_for("ada@example.org").await;
    world.advance(SignedDuration::from_mins(15)).await;
    let proof = |code: &str| json!({"email": "ada@example.org", "code": code, "password": "correct horse"});
    world.post("/v1/accounts/verify").json(proof(&old)).send().await.refused(400, "code_wrong");
    world.post("/v1/accounts/code").json(json!({"email": "ada@example.org"})).send().await.ok();
    let new = world.code_for("ada@example.org").await;
    assert_eq!(world.post("/v1/accounts/verify").json(proof(&new)).send().await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_alike_for_known_and_unknown_addresses() {
    let world = World::new().await;
    world.account("known@example.org").await;
    let sign_up = |email: &str| json!({"email": email, "password": "another horse", "name": "Eve"});
    let known = world.post("/v1/accounts").json(sign_up("known@example.org")).send().await;
    let unknown = world.post("/v1/accounts").json(sign_up("unknown@example.org")).send().await;
    assert_eq!((known.status, known.body), (unknown.status, unknown.body));
    let code = |email: &str| json!({"email": email});
    let known = world.post("/v1/accounts/code").json(code("known@example.org")).send().await;
    let unknown = world.post("/v1/accounts/code").json(code("nobody@example.org")).send().await;
    assert_eq!((known.status, known.body), (unknown.status, unknown.body));
    let sign_in = |email: &str| json!({"email": email, "password": "wrong horse"});
    let known = world.post("/v1/sessions").json(sign_in("known@example.org")).send().await;
    let unknown = world.post("/v1/sessions").json(sign_in("nobody@example.org")).send().await;
    assert_eq!((known.status, known.code()), (unknown.status, unknown.code()));
    // Signing up over a proven account changed nothing but sent a hint.
    world.settle().await;
    assert_eq!(world.mail_to("known@example.org").subject, "You already have an account");
    let right = json!({"email": "known@example.org", "password": "correct horse"});
    assert_eq!(world.post("/v1/sessions").json(right).send().await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_rotates_and_its_late_reuse_ends_the_session() {
    let world = World::new().await;
    let first = world.account("ada@example.org").await;
    let refresh = async |token: &serde_json::Value| {
        world.post("/v1/sessions/refresh").json(json!({"refresh_token": token})).send().await
    };
    let second = refresh(&first["refresh_token"]).await.ok();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    // The answer was lost: within the grace the same successor comes back.
    assert_eq!(refresh(&first["refresh_token"]).await.ok()["refresh_token"], second["refresh_token"]);
    world.advance(SignedDuration::from_secs(30)).await;
    refresh(&first["refresh_token"]).await.refused(401, "session_ended");
    refresh(&second["refresh_token"]).await.refused(401, "session_ended");
    refresh(&json!("ses_x.1.AA")).await.refused(401, "session_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_refreshes_at_once_get_the_same_successor() {
    let world = World::new().await;
    let first = world.account("ada@example.org").await;
    let body = json!({"refresh_token": first["refresh_token"]});
    let answers =
        join_all((0..6).map(|_| world.post("/v1/sessions/refresh").json(body.clone()).send())).await;
    let tokens: Vec<_> = answers.into_iter().map(|answer| answer.ok()["refresh_token"].clone()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_by_their_owner_alone() {
    let world = World::new().await;
    let phone = world.account("ada@example.org").await;
    let credentials = json!({"email": "ada@example.org", "password": "correct horse", "device": "Laptop"});
    let laptop = world.post("/v1/sessions").json(credentials).send().await.ok();
    let token = text(&phone["access_token"]);
    let sessions = world.get("/v1/sessions").by(&token).send().await.ok();
    assert_eq!(sessions["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&sessions["items"][1]["device"], &sessions["items"][0]["current"]),
        (&json!("Laptop"), &json!(true))
    );
    let other = text(&world.account("eve@example.org").await["access_token"]);
    let path = format!("/v1/sessions/{}", text(&laptop["session"]));
    world.delete(&path).by(&other).send().await.refused(404, "not_found");
    assert_eq!(world.delete(&path).by(&token).send().await.status, 204);
    let body = json!({"refresh_token": laptop["refresh_token"]});
    world.post("/v1/sessions/refresh").json(body).send().await.refused(401, "session_ended");
    assert_eq!(world.delete("/v1/sessions/current").by(&token).send().await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_ends_after_fifteen_minutes() {
    let world = World::new().await;
    let token = text(&world.account("ada@example.org").await["access_token"]);
    world.get("/v1/me").by(&token).send().await.ok();
    world.advance(SignedDuration::from_secs(15 * 60 + 10)).await;
    world.get("/v1/me").by(&token).send().await.refused(401, "token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_apply_to_the_next_request() {
    let world = World::new().await;
    let owner = world.organiser("owner").await;
    let helper = world.account("helper@example.org").await;
    let helper = text(&helper["access_token"]);
    let account = text(&world.get("/v1/me").by(&helper).send().await.ok()["id"]);
    let member = format!("/v1/organisations/{}/members/{account}", owner.organisation);
    let events = format!("/v1/organisations/{}/events", owner.organisation);
    world.get(&events).by(&helper).send().await.refused(404, "not_found");
    world.put(&member).by(&owner.token).json(json!({"rights": {"role": "manager"}})).send().await.ok();
    world.get(&events).by(&helper).send().await.ok();
    let members = format!("/v1/organisations/{}/members", owner.organisation);
    world.get(&members).by(&helper).send().await.refused(403, "forbidden");
    world.put(&member).by(&owner.token).json(json!({"rights": {"role": "gate"}})).send().await.ok();
    world.get(&events).by(&helper).send().await.refused(403, "forbidden");
    assert_eq!(world.get(&members).by(&owner.token).send().await.ok()["items"].as_array().unwrap().len(), 2);
    assert_eq!(world.delete(&member).by(&owner.token).send().await.status, 204);
    world.get(&events).by(&helper).send().await.refused(404, "not_found");
    let own = format!("/v1/organisations/{}/members/{}", owner.organisation, owner.account);
    world
        .put(&own)
        .by(&owner.token)
        .json(json!({"rights": {"role": "gate"}}))
        .send()
        .await
        .refused(409, "wrong_state");
    assert_eq!(
        world.get("/v1/organisations").by(&owner.token).send().await.ok()["items"][0]["rights"]["role"],
        "owner"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn founding_twice_with_one_key_founds_once() {
    let world = World::new().await;
    let token = text(&world.account("ada@example.org").await["access_token"]);
    let found =
        |name: &str| world.post("/v1/organisations").by(&token).key("k").json(json!({"name": name})).send();
    let first = found("Analytical Engines").await.ok();
    assert_eq!(found("Analytical Engines").await.ok()["id"], first["id"]);
    found("Difference Engines").await.refused(422, "key_reused");
    assert_eq!(
        world.get("/v1/organisations").by(&token).send().await.ok()["items"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_sign_ups_name_their_fields() {
    let world = World::new().await;
    for (body, pointer) in [
        (json!({"email": "ada", "password": "correct horse", "name": "Ada"}), "/email"),
        (json!({"email": "a@b.org", "password": "short", "name": "Ada"}), "/password"),
        (json!({"email": "a@b.org", "password": "correct horse", "name": " "}), "/name"),
        (json!({"email": "a@b.org", "password": "correct horse", "name": "Ada", "role": "admin"}), "/role"),
    ] {
        let problem = world.post("/v1/accounts").json(body).send().await.refused(400, "invalid_input");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}
