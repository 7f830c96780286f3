//! A person's own credentials: which passwords are taken, forgotten ones, other ones, other addresses, and guesses.

use crate::pool::store;
use crate::support::{Answer, World, text};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tessera_local::stores::faults::Side;

const OLD: &str = "correct horse";
const NEW: &str = "battery staple";

/// The long code in the newest mail to somebody.
pub async fn long_code(world: &World, email: &str) -> String {
    world.settle().await;
    let mail = world.mail_to(email).text.unwrap();
    let is = |line: &&str| line.len() == 9 && line.as_bytes()[4] == b'-';
    mail.lines().map(str::trim).find(is).expect("a code").to_owned()
}

pub async fn sign_in(world: &World, email: &str, password: &str) -> Answer {
    world.post("/v1/sessions").json(json!({"email": email, "password": password})).send().await
}

async fn forgot(world: &World, email: &str) -> Answer {
    world.post("/v1/accounts/reset").json(json!({"email": email})).send().await
}

async fn set_anew(world: &World, email: &str, code: &str, password: &str) -> Answer {
    let body = json!({"email": email, "code": code, "password": password});
    world.post("/v1/accounts/reset/confirm").json(body).send().await
}

async fn subjects(world: &World, email: &str) -> Vec<String> {
    world.settle().await;
    world.mails_to(email).into_iter().map(|mail| mail.subject).collect()
}

fn access(session: &Value) -> String {
    text(&session["access_token"])
}

/// Another code that begins alike.
fn other_end(code: &str) -> String {
    let end: String = code[5..].chars().map(|c| if c == 'Z' { 'Y' } else { 'Z' }).collect();
    format!("{}-{end}", &code[..4])
}

/// Guesses until the next one waits for minutes. The answer is how many were looked at.
pub async fn exhaust(world: &World, guess: impl AsyncFn() -> Answer) -> u32 {
    let mut looked_at = 0;
    loop {
        let answer = guess().await;
        if answer.status != 429 {
            looked_at += 1;
            continue;
        }
        let wait: i64 = answer.header("retry-after").parse().unwrap();
        answer.refused(429, "too_many_tries");
        if wait > 100 {
            return looked_at;
        }
        world.advance(SignedDuration::from_secs(wait)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_that_are_guessed_first_are_refused_whoever_has_an_account() {
    let world = World::new().await;
    let ada = access(&world.account("ada@example.org").await);
    for password in ["password1", "QWERTYUIOP", "ada@example.org", "Lovelace1815", "tessera2027"] {
        for email in ["ada@example.org", "lovelace@example.org"] {
            let sign_up = json!({"email": email, "password": password, "name": "Ada Lovelace"});
            let refused = world.post("/v1/accounts").json(sign_up).send().await;
            let problem = refused.refused(400, "invalid_input");
            assert_eq!(problem["errors"][0]["pointer"], "/password", "{problem}");
        }
        let change = json!({"current_password": OLD, "password": password});
        let refused = world.put("/v1/me/password").by(&ada).json(change).send().await;
        assert_eq!(refused.refused(400, "invalid_input")["errors"][0]["pointer"], "/password");
    }
    for email in ["ada@example.org", "nobody@example.org"] {
        set_anew(&world, email, "0000-0000", "password1").await.refused(400, "invalid_input");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_set_anew_by_mail_and_every_session_ends_at_once() {
    let world = World::new().await;
    let (phone, email) = (world.account("ada@example.org").await, "ada@example.org");
    let laptop = sign_in(&world, email, OLD).await.ok();
    let found = world.post("/v1/organisations").by(&access(&phone)).key("o").json(json!({"name": "Engines"}));
    let events = format!("/v1/organisations/{}/events", text(&found.send().await.ok()["id"]));
    world.get(&events).by(&access(&laptop)).send().await.ok();
    forgot(&world, "ADA@example.org").await.ok();
    let code = long_code(&world, email).await;
    assert_eq!(set_anew(&world, email, &code.to_lowercase().replace('-', ""), NEW).await.status, 204);
    for session in [&phone, &laptop] {
        let token = access(session);
        // The last of them is another function's.
        for path in ["/v1/me", "/v1/sessions", "/v1/organisations", "/v1/invitations", &events] {
            world.get(path).by(&token).send().await.refused(401, "session_ended");
        }
        world.delete("/v1/sessions/current").by(&token).send().await.refused(401, "session_ended");
        let refresh = json!({"refresh_token": session["refresh_token"]});
        world.post("/v1/sessions/refresh").json(refresh).send().await.refused(401, "session_ended");
    }
    sign_in(&world, email, OLD).await.refused(401, "sign_in_failed");
    let new = sign_in(&world, email, NEW).await.ok();
    let sessions = world.get("/v1/sessions").by(&access(&new)).send().await.ok();
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1, "those that ended are not listed");
    set_anew(&world, email, &code, "once more, please").await.refused(400, "code_wrong");
    assert_eq!(subjects(&world, email).await[0], "Your password was set anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_a_new_password_is_answered_alike_and_mails_only_who_proved_the_address() {
    let world = World::new().await;
    world.account("known@example.org").await;
    let waiting = json!({"email": "waiting@example.org", "password": OLD, "name": "W"});
    world.post("/v1/accounts").json(waiting).send().await.ok();
    let mut answers = Vec::new();
    for email in ["known@example.org", "waiting@example.org", "nobody@example.org"] {
        let (asked, tried) = (forgot(&world, email).await, set_anew(&world, email, "0000-0000", NEW).await);
        let mut problem = tried.body.clone();
        problem["request_id"] = Value::Null;
        answers.push((asked.status, asked.body, tried.status, problem));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(subjects(&world, "known@example.org").await[0], "A new password for you");
    assert_eq!(subjects(&world, "waiting@example.org").await.len(), 1, "the code that proves the address");
    assert!(subjects(&world, "nobody@example.org").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_who_has_the_mail_can_use_a_code_up_or_make_it_stale() {
    let world = World::new().await;
    let email = "ada@example.org";
    world.account(email).await;
    forgot(&world, email).await.ok();
    let code = long_code(&world, email).await;
    // Whoever does not have the mail asks again and again, and guesses.
    for guess in ["0000-0000", "", "ABCD-EFGH", "7Q2K-94MX", "1", "2", "3"] {
        set_anew(&world, email, guess, NEW).await.refused(400, "code_wrong");
        forgot(&world, email).await.ok();
    }
    assert_eq!(long_code(&world, email).await, code, "the same code is mailed again");
    assert_eq!(set_anew(&world, email, &code, NEW).await.status, 204);

    // Five slips by whoever has it use it up, even the right one after them; a new one can be had at once.
    forgot(&world, email).await.ok();
    let code = long_code(&world, email).await;
    for _ in 0..5 {
        set_anew(&world, email, &other_end(&code), OLD).await.refused(400, "code_wrong");
    }
    set_anew(&world, email, &code, OLD).await.refused(400, "code_wrong");
    forgot(&world, email).await.ok();
    let next = long_code(&world, email).await;
    assert_ne!(next, code);
    world.advance(SignedDuration::from_mins(15)).await;
    set_anew(&world, email, &next, OLD).await.refused(400, "code_wrong");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_code_that_is_mailed_stands_in_the_table() {
    let world = World::new().await;
    let ada = access(&world.account("ada@example.org").await);
    let sign_up = json!({"email": "eve@example.org", "password": OLD, "name": "Eve"});
    world.post("/v1/accounts").json(sign_up).send().await.ok();
    forgot(&world, "ada@example.org").await.ok();
    let reset = long_code(&world, "ada@example.org").await;
    let to = json!({"email": "ada@example.net", "password": OLD});
    world.post("/v1/me/email").by(&ada).json(to).send().await.ok();
    let codes = [world.code_for("eve@example.org").await, reset, long_code(&world, "ada@example.net").await];
    let items = store(&world, "Scan", json!({"TableName": "tessera-local-identity"})).await.to_string();
    assert!(items.contains("account.code_requested.v1") && items.contains("salt"), "it was looked at");
    for code in codes {
        assert!(!items.contains(&code), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_changed_with_the_present_one_and_every_other_session_ends() {
    let world = World::new().await;
    let email = "ada@example.org";
    let (phone, laptop) = (world.account(email).await, sign_in(&world, email, OLD).await.ok());
    let change = async |current: &str, new: &str| {
        let body = json!({"current_password": current, "password": new});
        world.put("/v1/me/password").by(&access(&phone)).json(body).send().await
    };
    forgot(&world, email).await.ok();
    let code = long_code(&world, email).await;
    change("wrong horse", NEW).await.refused(403, "password_wrong");
    world.get("/v1/me").by(&access(&laptop)).send().await.ok();
    assert_eq!(change(OLD, NEW).await.status, 204);
    world.get("/v1/me").by(&access(&laptop)).send().await.refused(401, "session_ended");
    world.get("/v1/me").by(&access(&phone)).send().await.ok();
    let refresh = json!({"refresh_token": phone["refresh_token"]});
    world.post("/v1/sessions/refresh").json(refresh).send().await.ok();
    sign_in(&world, email, OLD).await.refused(401, "sign_in_failed");
    sign_in(&world, email, NEW).await.ok();
    set_anew(&world, email, &code, "by an old mail").await.refused(400, "code_wrong");
    assert_eq!(subjects(&world, email).await[0], "Your password was changed");
    // Whoever found the device unlocked guesses: slowed down, and the owner signs in as ever.
    assert_eq!(exhaust(&world, async || change("wrong horse", OLD).await).await, 12);
    change(NEW, OLD).await.refused(429, "too_many_tries");
    sign_in(&world, email, NEW).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_changes_of_a_password_at_once_leave_one_of_them_and_its_session() {
    let world = World::new().await;
    let email = "ada@example.org";
    let sessions = [world.account(email).await, sign_in(&world, email, OLD).await.ok()];
    let passwords = ["first of the two", "second of the two"];
    let change = |at: usize| {
        let body = json!({"current_password": OLD, "password": passwords[at]});
        world.put("/v1/me/password").by(&access(&sessions[at])).json(body).send()
    };
    let (one, two) = tokio::join!(change(0), change(1));
    let won = if one.status == 204 { 0 } else { 1 };
    assert!([one.status, two.status].contains(&204), "{} {}", one.body, two.body);
    assert_eq!(sign_in(&world, email, passwords[won]).await.status, 201);
    let alive =
        join_all(sessions.iter().map(|session| world.get("/v1/me").by(&access(session)).send())).await;
    assert_eq!(alive.iter().filter(|answer| answer.status == 200).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_everywhere_else_leaves_the_session_that_asks() {
    let world = World::new().await;
    let email = "ada@example.org";
    let here = world.account(email).await;
    let others = [sign_in(&world, email, OLD).await.ok(), sign_in(&world, email, OLD).await.ok()];
    for _ in 0..2 {
        assert_eq!(world.delete("/v1/sessions").by(&access(&here)).send().await.status, 204);
    }
    for other in &others {
        world.get("/v1/me").by(&access(other)).send().await.refused(401, "session_ended");
        world.delete("/v1/sessions").by(&access(other)).send().await.refused(401, "session_ended");
    }
    let sessions = world.get("/v1/sessions").by(&access(&here)).send().await.ok();
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1);
    let later = sign_in(&world, email, OLD).await.ok();
    world.get("/v1/me").by(&access(&later)).send().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_slowed_down_alike_whether_there_is_an_account_or_not() {
    let world = World::new().await;
    let session = world.account("known@example.org").await;
    let mut told = Vec::new();
    for email in ["known@example.org", "nobody@example.org"] {
        let looked_at = exhaust(&world, async || sign_in(&world, email, "wrong horse").await).await;
        let mut problem = sign_in(&world, email, OLD).await;
        problem.body["request_id"] = Value::Null;
        told.push((looked_at, problem.status, problem.body));
    }
    assert_eq!(told[0], told[1]);
    // Five are free, then 1, 2, 4, 8, 16, 32, 64 seconds.
    assert_eq!(told[0].0, 12);
    // The right password waits, too; sessions that exist do not.
    let token = access(&session);
    world.get("/v1/me").by(&token).send().await.ok();
    let refresh = json!({"refresh_token": session["refresh_token"]});
    world.post("/v1/sessions/refresh").json(refresh).send().await.ok();
    world.advance(SignedDuration::from_secs(900)).await;
    sign_in(&world, "known@example.org", OLD).await.ok();
    // Success ends the row.
    for _ in 0..4 {
        sign_in(&world, "known@example.org", "wrong horse").await.refused(401, "sign_in_failed");
    }
    sign_in(&world, "known@example.org", OLD).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_guesses_at_once_come_to_five() {
    let world = World::new().await;
    for email in ["known@example.org", "nobody@example.org"] {
        if email.starts_with("known") {
            world.account(email).await;
        }
        let answers = join_all((0..50).map(|_| sign_in(&world, email, "wrong horse"))).await;
        let mut tally: BTreeMap<u16, u32> = BTreeMap::new();
        answers.iter().for_each(|answer| *tally.entry(answer.status).or_default() += 1);
        // Seconds pass while fifty are answered: some more.
        assert!(tally[&401] <= 10 && tally[&429] >= 35, "{tally:?}");
        assert!(tally.keys().all(|status| [401, 429, 503].contains(status)), "{tally:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_by_mail_can_be_set_while_sign_in_is_slowed_down_and_ends_that() {
    let world = World::new().await;
    let email = "ada@example.org";
    world.account(email).await;
    exhaust(&world, async || sign_in(&world, email, "wrong horse").await).await;
    forgot(&world, email).await.ok();
    let code = long_code(&world, email).await;
    set_anew(&world, email, &other_end(&code), NEW).await.refused(400, "code_wrong");
    sign_in(&world, email, NEW).await.refused(429, "too_many_tries");
    assert_eq!(set_anew(&world, email, &code, NEW).await.status, 204);
    sign_in(&world, email, NEW).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_signed_in_before_is_not_kept_out_by_who_guesses() {
    let world = World::new().await;
    let email = "ada@example.org";
    let ours = world.account(email).await;
    let theirs = world.account("eve@example.org").await;
    let by = async |device: &Value, password: &str| {
        let body = json!({"email": email, "password": password, "known_device": device});
        world.post("/v1/sessions").json(body).send().await
    };
    let token = access(&ours);
    assert_eq!(world.delete("/v1/sessions/current").by(&token).send().await.status, 204);
    exhaust(&world, async || sign_in(&world, email, "wrong horse").await).await;
    for unknown in [&theirs["refresh_token"], &json!("ses_x.1.AA"), &json!("")] {
        by(unknown, OLD).await.refused(429, "too_many_tries");
    }
    by(&ours["refresh_token"], OLD).await.ok();
    // It has as many tries as anybody.
    assert_eq!(exhaust(&world, async || by(&ours["refresh_token"], "wrong horse").await).await, 12);
    by(&ours["refresh_token"], OLD).await.refused(429, "too_many_tries");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_sign_in_costs_the_work_of_one_password() {
    let world = World::new().await;
    world.account("known@example.org").await;
    let waiting = json!({"email": "waiting@example.org", "password": OLD, "name": "W"});
    world.post("/v1/accounts").json(waiting).send().await.ok();
    for email in ["locked@example.org", "known@example.org", "locked@example.org"] {
        exhaust(&world, async || sign_in(&world, email, "wrong horse").await).await;
    }
    let work = || {
        let tallies = world.whole.home().meter().tallies();
        tallies.get("POST /v1/sessions").map_or(0, |tally| tally.passwords)
    };
    let mut before = work();
    for (email, password, status) in [
        ("known@example.org", OLD, 429),
        ("locked@example.org", OLD, 429),
        ("nobody@example.org", OLD, 401),
        ("waiting@example.org", OLD, 401),
        ("waiting@example.org", "wrong horse", 401),
    ] {
        assert_eq!(sign_in(&world, email, password).await.status, status, "{email}");
        assert_eq!(work() - before, 1, "{email} {password}");
        before = work();
    }
    world.advance(SignedDuration::from_mins(15)).await;
    assert_eq!(sign_in(&world, "known@example.org", "wrong horse").await.status, 401);
    world.advance(SignedDuration::from_mins(15)).await;
    assert_eq!(sign_in(&world, "known@example.org", OLD).await.status, 201);
    assert_eq!(work() - before, 2, "the wrong password and the right one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_of_yesterdays_parameters_is_made_anew_when_its_owner_signs_in() {
    use argon2::password_hash::PasswordHasher;
    let world = World::new().await;
    let session = world.account("ada@example.org").await;
    let id = text(&world.get("/v1/me").by(&access(&session)).send().await.ok()["id"]);
    let params = argon2::Params::new(12_288, 1, 1, None).unwrap();
    let weak = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let weak = weak.hash_password(OLD.as_bytes()).unwrap().to_string();
    let key = json!({"pk": {"S": id}, "sk": {"S": "-"}});
    let hash = async || {
        let read = json!({"TableName": "tessera-local-identity", "Key": key});
        text(&store(&world, "GetItem", read).await["Item"]["d"]["M"]["password"]["S"])
    };
    let update = json!({"TableName": "tessera-local-identity", "Key": key, "UpdateExpression": "SET d.password = :p",
        "ExpressionAttributeValues": {":p": {"S": weak}}});
    store(&world, "UpdateItem", update).await;
    sign_in(&world, "ada@example.org", "wrong horse").await.refused(401, "sign_in_failed");
    assert_eq!(hash().await, weak, "not by a wrong password");
    sign_in(&world, "ada@example.org", OLD).await.ok();
    let strong = hash().await;
    assert!(strong.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{strong}");
    sign_in(&world, "ada@example.org", OLD).await.ok();
    assert_eq!(hash().await, strong);
    world.get("/v1/me").by(&access(&session)).send().await.ok();
}

async fn want_address(world: &World, token: &str, email: &str) -> Answer {
    world.post("/v1/me/email").by(token).json(json!({"email": email, "password": OLD})).send().await
}

async fn prove_address(world: &World, token: &str, code: &str) -> Answer {
    world.post("/v1/me/email/confirm").by(token).json(json!({"code": code})).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_moves_to_an_address_that_is_proven_and_its_old_one_is_free() {
    let world = World::new().await;
    let (old, new) = ("ada@example.org", "ada@example.net");
    let token = access(&world.account(old).await);
    let wrong = json!({"email": new, "password": "wrong horse"});
    world.post("/v1/me/email").by(&token).json(wrong).send().await.refused(403, "password_wrong");
    want_address(&world, &token, "ADA@example.org").await.refused(400, "invalid_input");
    want_address(&world, &token, new).await.ok();
    let code = long_code(&world, new).await;
    let notice = world.mail_to(old);
    assert_eq!(notice.subject, "Another address for your account");
    assert!(!notice.text.unwrap().contains(&code));
    prove_address(&world, &token, "0000-0000").await.refused(400, "code_wrong");
    sign_in(&world, new, OLD).await.refused(401, "sign_in_failed");
    assert_eq!(prove_address(&world, &token, &code).await.status, 204);
    prove_address(&world, &token, &code).await.refused(400, "code_wrong");
    assert_eq!(world.get("/v1/me").by(&token).send().await.ok()["email"], new, "the session goes on");
    sign_in(&world, new, OLD).await.ok();
    sign_in(&world, old, OLD).await.refused(401, "sign_in_failed");
    assert_eq!(subjects(&world, old).await[0], "Your account has another address");
    // Somebody else may have the old one now, and the account moves on to a third.
    let other = access(&world.account(old).await);
    let me = async |token: &str| text(&world.get("/v1/me").by(token).send().await.ok()["id"]);
    assert_ne!(me(&other).await, me(&token).await);
    want_address(&world, &token, "ada@example.com").await.ok();
    let code = long_code(&world, "ada@example.com").await;
    assert_eq!(prove_address(&world, &token, &code).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_an_address_is_taken_is_told_to_its_owner_alone() {
    let world = World::new().await;
    let eve = access(&world.account("eve@example.org").await);
    world.account("ada@example.org").await;
    let taken = want_address(&world, &eve, "ada@example.org").await;
    let free = want_address(&world, &eve, "free@example.org").await;
    assert_eq!((taken.status, taken.body), (free.status, free.body));
    assert_eq!(subjects(&world, "ada@example.org").await[0], "This address has an account already");
    let hint = world.mail_to("ada@example.org").text.unwrap();
    assert!(!hint.lines().any(|line| line.len() == 9 && line.as_bytes()[4] == b'-'), "no code: {hint}");
    sign_in(&world, "ada@example.org", OLD).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_nobody_proved_goes_to_who_does() {
    let world = World::new().await;
    let ada = access(&world.account("ada@example.org").await);
    let squatter = json!({"email": "ada@example.net", "password": "squatters horse", "name": "Eve"});
    world.post("/v1/accounts").json(squatter).send().await.ok();
    let verify = world.code_for("ada@example.net").await;
    want_address(&world, &ada, "ada@example.net").await.ok();
    let code = long_code(&world, "ada@example.net").await;
    assert_eq!(prove_address(&world, &ada, &code).await.status, 204);
    let late = json!({"email": "ada@example.net", "code": verify, "password": "squatters horse"});
    world.post("/v1/accounts/verify").json(late).send().await.refused(400, "code_wrong");
    sign_in(&world, "ada@example.net", "squatters horse").await.refused(401, "sign_in_failed");
    sign_in(&world, "ada@example.net", OLD).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_who_prove_one_new_address_at_once_exactly_one_has_it() {
    let world = World::new().await;
    for round in 0..4 {
        let new = format!("new{round}@example.net");
        let mut moving = Vec::new();
        for name in ["ada", "bob", "cid"] {
            let email = format!("{name}{round}@example.org");
            let token = access(&world.account(&email).await);
            want_address(&world, &token, &new).await.ok();
            moving.push((token, long_code(&world, &new).await, email));
        }
        let answers =
            join_all(moving.iter().map(|(token, code, _)| prove_address(&world, token, code))).await;
        let mut owners = Vec::new();
        for ((token, _, old), answer) in moving.iter().zip(&answers) {
            let email = text(&world.get("/v1/me").by(token).send().await.ok()["email"]);
            assert_eq!(answer.status == 204, email == new, "{} {}", answer.status, answer.body);
            if email == new {
                owners.push(old);
            } else {
                assert_eq!(email, *old);
            }
            assert_eq!(sign_in(&world, &email, OLD).await.status, 201, "everybody has an address");
        }
        assert_eq!(owners.len(), 1, "{owners:?}");
    }
}

/// Somebody moves, with a crash at this store call from then on; then somebody else signs up where they were.
async fn move_with_a_crash(world: &World, name: &str, crash: Option<(u64, Side)>) -> u64 {
    let (old, new) = (format!("{name}@example.org"), format!("{name}@example.net"));
    let token = access(&world.account(&old).await);
    want_address(world, &token, &new).await.ok();
    let code = long_code(world, &new).await;
    let calls = world
        .crashing(crash, async || {
            let answer = prove_address(world, &token, &code).await;
            // The answer was lost, and the code is used up: the account says what came of it.
            let me = world.get("/v1/me").by(&token).send().await;
            if me.body["email"] == new.as_str() { me } else { answer }
        })
        .await;
    assert_eq!(sign_in(world, &new, OLD).await.status, 201, "{crash:?}");
    sign_in(world, &old, OLD).await.refused(401, "sign_in_failed");
    let other = access(&world.account(&old).await);
    let me = async |token: &str| text(&world.get("/v1/me").by(token).send().await.ok()["id"]);
    assert_ne!(me(&other).await, me(&token).await, "{crash:?}");
    assert!(
        subjects(world, &old).await.contains(&"Your account has another address".to_owned()),
        "{crash:?}"
    );
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_while_an_account_moves_leaves_each_address_with_one_account() {
    let world = World::new().await;
    let calls = move_with_a_crash(&world, "first", None).await;
    assert!(calls > 5, "{calls} calls");
    let mut told = 1;
    for step in 1..=calls {
        for side in [Side::Before, Side::After] {
            move_with_a_crash(&world, &format!("mover{told}"), Some((step, side))).await;
            told += 1;
        }
    }
    assert_eq!(world.dead_letters(), 0);
}

/// Somebody who was guessed at sets a new password, with a crash at this store call from then on.
async fn reset_with_a_crash(world: &World, name: &str, crash: Option<(u64, Side)>) -> u64 {
    let email = format!("{name}@example.org");
    let token = access(&world.account(&email).await);
    for _ in 0..6 {
        sign_in(world, &email, "wrong horse").await;
    }
    forgot(world, &email).await.ok();
    let code = long_code(world, &email).await;
    let calls = world
        .crashing(crash, async || {
            let answer = set_anew(world, &email, &code, NEW).await;
            // The answer was lost, and the code is used up: whoever tries the new password finds that it is set.
            if answer.code() == "code_wrong" { sign_in(world, &email, NEW).await } else { answer }
        })
        .await;
    world.get("/v1/me").by(&token).send().await.refused(401, "session_ended");
    sign_in(world, &email, NEW).await.ok();
    let told = subjects(world, &email).await;
    assert!(told.contains(&"Your password was set anew".to_owned()), "{crash:?}: {told:?}");
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_while_a_password_is_set_anew_sets_it_and_lets_its_owner_in() {
    let world = World::new().await;
    let calls = reset_with_a_crash(&world, "first", None).await;
    assert!(calls > 4, "{calls} calls");
    let mut told = 1;
    for step in 1..=calls {
        for side in [Side::Before, Side::After] {
            reset_with_a_crash(&world, &format!("owner{told}"), Some((step, side))).await;
            told += 1;
        }
    }
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signed_up_first_with_somebody_elses_address_does_not_come_in_by_their_password() {
    let world = World::new().await;
    let sign_up = async |password: &str, name: &str| {
        let body = json!({"email": "ada@example.org", "password": password, "name": name});
        world.post("/v1/accounts").json(body).send().await.ok();
        world.code_for("ada@example.org").await
    };
    let first = sign_up("correct battery", "Ada").await;
    // Eve signs up with Ada's address before Ada has typed her code, and again, and asks for codes.
    let second = sign_up("squatters horse", "Eve").await;
    world.post("/v1/accounts/code").json(json!({"email": "ada@example.org"})).send().await.ok();
    assert_eq!(
        (&first, &first),
        (&second, &world.code_for("ada@example.org").await),
        "what arrived stays good"
    );
    let proof = json!({"email": "ada@example.org", "code": first, "password": "correct battery"});
    assert_eq!(world.post("/v1/accounts/verify").json(proof).send().await.status, 204);
    sign_in(&world, "ada@example.org", "squatters horse").await.refused(401, "sign_in_failed");
    sign_in(&world, "ada@example.org", "correct battery").await.ok();
}
