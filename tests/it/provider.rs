//! Signing in with Google and Apple: who is let in, and into whose account.

use crate::credentials::sign_in;
use crate::second_factor::switched_on;
use crate::support::{Answer, World, text};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tessera_local::stores::faults::Side;

async fn nonce(world: &World) -> String {
    text(&world.post("/v1/sessions/nonce").send().await.ok()["nonce"])
}

fn claims(sub: &str, email: &str, nonce: &str) -> Value {
    json!({"sub": sub, "aud": "local", "email": email, "email_verified": true, "nonce": nonce})
}

fn merged(mut base: Value, more: Value) -> Value {
    crate::support::merge(&mut base, more);
    base
}

/// Shows a provider's word.
async fn show(world: &World, provider: &str, claims: Value, nonce: &str) -> Answer {
    let token = world.whole.issuer().token(provider, &claims).unwrap();
    let body = json!({"provider": provider, "id_token": token, "nonce": nonce});
    world.post("/v1/sessions/provider").json(body).send().await
}

/// Signs in as an app does.
async fn enter(world: &World, provider: &str, sub: &str, email: &str) -> Answer {
    let nonce = nonce(world).await;
    show(world, provider, claims(sub, email, &nonce), &nonce).await
}

async fn who(world: &World, session: &Answer) -> Value {
    world.get("/v1/me").by(&text(&session.body["access_token"])).send().await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_new_has_an_account_and_comes_back_to_it() {
    let world = World::new().await;
    let first = enter(&world, "google", "1", "grace@gmail.com").await;
    assert_eq!(first.status, 201);
    let me = who(&world, &first).await;
    assert_eq!((&me["email"], &me["name"]), (&json!("grace@gmail.com"), &json!("grace")));
    // They are who they are there, whatever address they have by now.
    let again = enter(&world, "google", "1", "grace.hopper@gmail.com").await;
    assert_eq!(who(&world, &again).await["id"], me["id"]);
    let nonce = nonce(&world).await;
    let body = merged(claims("2", "x9@privaterelay.appleid.com", &nonce), json!({"email_verified": "true"}));
    let token = world.whole.issuer().token("apple", &body).unwrap();
    let body =
        json!({"provider": "apple", "id_token": token, "nonce": nonce, "name": "Ada", "device": "phone"});
    let other = world.post("/v1/sessions/provider").json(body).send().await;
    let other = (who(&world, &other).await, text(&other.body["access_token"]));
    assert_eq!((&other.0["name"], &other.0["email"]), (&json!("Ada"), &json!("x9@privaterelay.appleid.com")));
    // It has no password, and nobody signs in with none.
    for password in ["", "        ", "correct horse"] {
        let answer = sign_in(&world, "grace@gmail.com", password).await;
        assert!([400, 401].contains(&answer.status), "{}", answer.status);
    }
    world.settle().await;
    let log = world.get("/v1/me/audit").by(&other.1).send().await.ok();
    let acts: Vec<_> = log["items"].as_array().unwrap().iter().map(|entry| text(&entry["act"])).collect();
    assert!(
        acts.contains(&"provider_linked".to_owned()) && acts.contains(&"signed_in".to_owned()),
        "{acts:?}"
    );
    assert_eq!(world.mail_to("grace@gmail.com").subject, "A sign-in was linked to your account");
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_linked_by_an_address_that_the_provider_speaks_for_and_by_no_other() {
    let world = World::new().await;
    let known = async |email: &str| {
        let session = world.account(email).await;
        text(&world.get("/v1/me").by(&text(&session["access_token"])).send().await.ok()["id"])
    };
    let ada = known("ada@gmail.com").await;
    let session = enter(&world, "google", "a", "Ada@gmail.com").await;
    assert_eq!(who(&world, &session).await["id"], ada.as_str());
    let eve = known("eve@example.org").await;
    // A Google account that somebody opened with an address which is another's now.
    enter(&world, "google", "e", "eve@example.org").await.refused(409, "wrong_state");
    let fresh = nonce(&world).await;
    let unverified = merged(claims("e", "eve@gmail.com", &fresh), json!({"email_verified": false}));
    show(&world, "google", unverified, &fresh).await.refused(409, "wrong_state");
    // With the domain's own Google it is theirs.
    let fresh = nonce(&world).await;
    let workspace = merged(claims("e", "eve@example.org", &fresh), json!({"hd": "example.org"}));
    let session = show(&world, "google", workspace, &fresh).await;
    assert_eq!(who(&world, &session).await["id"], eve.as_str());
    // Who signed up before with somebody's address, and never proved it, has nothing of it.
    let early = json!({"email": "bob@gmail.com", "password": "correct horse", "name": "Mallory"});
    assert_eq!(world.post("/v1/accounts").json(early).send().await.status, 202);
    let code = world.code_for("bob@gmail.com").await;
    let session = enter(&world, "google", "b", "bob@gmail.com").await;
    assert_eq!(who(&world, &session).await["name"], "bob");
    let proof = json!({"email": "bob@gmail.com", "code": code, "password": "correct horse"});
    world.post("/v1/accounts/verify").json(proof).send().await.refused(400, "code_wrong");
    sign_in(&world, "bob@gmail.com", "correct horse").await.refused(401, "sign_in_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_ours_not_now_or_not_the_first_time_lets_nobody_in() {
    let world = World::new().await;
    let now = world.whole.clock().now().as_second();
    for wrong in [
        json!({"aud": "another"}),
        json!({"iss": "https://evil.example"}),
        json!({"nonce": "mine"}),
        json!({"exp": now - 120}),
        json!({"iat": now - 7200}),
        json!({"sub": ""}),
    ] {
        let fresh = nonce(&world).await;
        let claims = merged(claims("1", "ada@gmail.com", &fresh), wrong.clone());
        let answer = show(&world, "google", claims, &fresh).await;
        assert_eq!((answer.status, answer.code()), (401, "sign_in_failed"), "{wrong}");
    }
    // A nonce of somebody else, an old one, one that was used.
    show(&world, "google", claims("1", "ada@gmail.com", "made.up"), "made.up")
        .await
        .refused(401, "sign_in_failed");
    let old = nonce(&world).await;
    world.advance(SignedDuration::from_mins(16)).await;
    show(&world, "google", claims("1", "ada@gmail.com", &old), &old).await.refused(401, "sign_in_failed");
    let once = nonce(&world).await;
    let word = claims("1", "ada@gmail.com", &once);
    let at_once = (0..5).map(|_| show(&world, "google", word.clone(), &once));
    let answers = futures_util::future::join_all(at_once).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    show(&world, "google", word, &once).await.refused(401, "sign_in_failed");
    // Google's word for Apple's, a changed one, one without a signature.
    let fresh = nonce(&world).await;
    let token = world.whole.issuer().token("google", &claims("1", "ada@gmail.com", &fresh)).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = world.whole.issuer().token("google", &claims("2", "eve@gmail.com", &fresh)).unwrap();
    let none = "eyJhbGciOiJub25lIn0";
    let body = signed.split_once('.').unwrap().1;
    for (provider, token) in [
        ("apple", token.clone()),
        ("google", format!("{}.{signature}", other.rsplit_once('.').unwrap().0)),
        ("google", format!("{none}.{body}.")),
        ("google", format!("{none}.{body}.{signature}")),
        ("google", "x".to_owned()),
    ] {
        let body = json!({"provider": provider, "id_token": token, "nonce": fresh});
        let answer = world.post("/v1/sessions/provider").json(body).send().await;
        assert_eq!((answer.status, answer.code()), (401, "sign_in_failed"), "{provider} {token}");
    }
    let body = json!({"provider": "google", "id_token": token, "nonce": fresh});
    assert_eq!(
        world.post("/v1/sessions/provider").json(body).send().await.status,
        201,
        "it was good all along"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_when_they_are_new_and_not_by_whoever_names_some() {
    let world = World::new().await;
    let issuer = world.whole.issuer().clone();
    assert_eq!(enter(&world, "google", "1", "ada@gmail.com").await.status, 201);
    assert_eq!(issuer.asked(), 1);
    for _ in 0..3 {
        assert_eq!(enter(&world, "google", "1", "ada@gmail.com").await.status, 201);
    }
    assert_eq!(issuer.asked(), 1);
    // Another key: those who have seen the old one a moment ago wait a minute.
    issuer.rotate().unwrap();
    enter(&world, "google", "1", "ada@gmail.com").await.refused(401, "sign_in_failed");
    assert_eq!(issuer.asked(), 1);
    world.advance(SignedDuration::from_secs(61)).await;
    assert_eq!(enter(&world, "google", "1", "ada@gmail.com").await.status, 201);
    assert_eq!(issuer.asked(), 2);
    // Keys that are old and cannot be had anew are still good; ones that nobody has seen are not made up.
    issuer.set_down(true);
    world.advance(SignedDuration::from_hours(7)).await;
    assert_eq!(enter(&world, "google", "1", "ada@gmail.com").await.status, 201);
    enter(&world, "apple", "1", "ada@icloud.com").await.refused(503, "unavailable");
    issuer.set_down(false);
    assert_eq!(enter(&world, "apple", "1", "ada@icloud.com").await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_and_links_are_made_and_undone_with_the_password() {
    let world = World::new().await;
    let token = text(&world.account("ada@example.org").await["access_token"]);
    let link = async |sub: &str, password: &str| {
        let nonce = nonce(&world).await;
        let id_token = world.whole.issuer().token("google", &claims(sub, "x@example.net", &nonce)).unwrap();
        let body = json!({"provider": "google", "id_token": id_token, "nonce": nonce, "password": password});
        world.post("/v1/me/providers").by(&token).json(body).send().await
    };
    link("7", "battery staple").await.refused(403, "password_wrong");
    for _ in 0..2 {
        assert_eq!(link("7", "correct horse").await.status, 204);
    }
    let linked = world.get("/v1/me/providers").by(&token).send().await.ok();
    assert_eq!(linked["items"].as_array().unwrap().len(), 1);
    let session = enter(&world, "google", "7", "x@example.net").await;
    assert_eq!(who(&world, &session).await["email"], "ada@example.org");
    // Somebody else's account at Google stays theirs.
    let eve = text(&world.account("eve@example.org").await["access_token"]);
    let nonce = nonce(&world).await;
    let id_token = world.whole.issuer().token("google", &claims("7", "x@example.net", &nonce)).unwrap();
    let body =
        json!({"provider": "google", "id_token": id_token, "nonce": nonce, "password": "correct horse"});
    world.post("/v1/me/providers").by(&eve).json(body).send().await.refused(409, "already_exists");
    switched_on(&world, &token).await;
    let challenged = enter(&world, "google", "7", "x@example.net").await;
    let problem = challenged.refused(401, "second_factor_needed");
    assert!(problem["challenge"].is_string());
    let off = async |password: &str| {
        let body = json!({"password": password});
        world.post("/v1/me/providers/google/unlink").by(&token).json(body).send().await
    };
    off("battery staple").await.refused(403, "password_wrong");
    assert_eq!(off("correct horse").await.status, 204);
    off("correct horse").await.refused(404, "not_found");
    enter(&world, "google", "7", "x@example.net").await.refused(409, "wrong_state");
    world.settle().await;
    assert_eq!(world.mail_to("ada@example.org").subject, "A sign-in was unlinked from your account");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_while_somebody_comes_the_first_time_leaves_one_account_that_is_theirs() {
    let world = World::new().await;
    let mut step = 1;
    loop {
        let (sub, email) = (format!("s{step}"), format!("person{step}@gmail.com"));
        let enter = async || enter(&world, "google", &sub, &email).await;
        let calls = world.crashing(Some((step, Side::After)), enter).await;
        let me = who(&world, &enter().await).await;
        assert_eq!(me["email"], email.as_str(), "{step}");
        assert_eq!(world.mail_to(&email).subject, "A sign-in was linked to your account", "{step}");
        step += 1;
        if step > calls {
            assert!(calls > 8, "{calls}");
            break;
        }
    }
    assert_eq!(world.dead_letters(), 0);
}
