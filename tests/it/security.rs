//! Tokens that must be refused, and headers that must be there.

use crate::credentials::sign_in;
use crate::second_factor;
use crate::support::{Answer, World, text, uuid};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tessera_local::secrets::{self, Step};
use tessera_local::whole::WholeOptions;

/// Signs any claims with the deployment's own key: what an attacker without the key cannot even do.
fn forge(world: &World, header: &Header, claims: &Value) -> String {
    use aws_lc_rs::signature::Ed25519KeyPair;
    let seed = STANDARD.decode(&world.whole.home().secrets()["access_private_key"]).unwrap();
    let der = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap().to_pkcs8v1().unwrap();
    jsonwebtoken::encode(header, claims, &EncodingKey::from_ed_der(der.as_ref())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_tokens_with_every_claim_right_are_accepted() {
    let world = World::new().await;
    let good = text(&world.account("ada@example.org").await["access_token"]);
    let header = jsonwebtoken::decode_header(&good).unwrap();
    let body = good.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
    let me = async |token: &str| world.get("/v1/me").by(token).send().await;
    me(&forge(&world, &header, &claims)).await.ok();

    for name in ["iss", "aud", "sub", "exp", "nbf"] {
        let mut missing = claims.clone();
        missing.as_object_mut().unwrap().remove(name);
        me(&forge(&world, &header, &missing)).await.refused(401, "token_invalid");
    }
    let now = world.whole.clock().now().as_second();
    for (name, value) in
        [("iss", json!("other")), ("aud", json!("other")), ("nbf", json!(now + 60)), ("exp", json!(now - 60))]
    {
        let mut wrong = claims.clone();
        wrong[name] = value;
        me(&forge(&world, &header, &wrong)).await.refused(401, "token_invalid");
    }
    for typ in [None, Some("JWT".to_owned())] {
        me(&forge(&world, &Header { typ, ..header.clone() }, &claims)).await.refused(401, "token_invalid");
    }
    let critical = Header { crit: Some(vec!["exp".to_owned()]), ..header.clone() };
    me(&forge(&world, &critical, &claims)).await.refused(401, "token_invalid");
    let unknown = Header { kid: Some("other".to_owned()), ..header.clone() };
    me(&forge(&world, &unknown, &claims)).await.refused(401, "token_invalid");
    // The public key as an HMAC secret, and no signature at all.
    let secret = EncodingKey::from_secret(world.whole.home().secrets()["access_public_keys"].as_bytes());
    let confused = Header { alg: Algorithm::HS256, ..header.clone() };
    me(&jsonwebtoken::encode(&confused, &claims, &secret).unwrap()).await.refused(401, "token_invalid");
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    me(&format!("{none}.{body}.")).await.refused(401, "token_invalid");
    let mut changed = good.clone().into_bytes();
    let last = changed.len() - 5;
    changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
    me(std::str::from_utf8(&changed).unwrap()).await.refused(401, "token_invalid");
    world.get("/v1/me").header("Authorization", "Basic eA==").send().await.refused(401, "token_invalid");
    let problem = world.get("/v1/me").send().await;
    assert_eq!(problem.header("www-authenticate"), "Bearer");
    problem.refused(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_credential_ends_and_opens_nothing_else() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let held = world.hold(&sale, 1).await;
    world.get("/v1/me").by(&held.token).send().await.refused(401, "unauthenticated");
    world.get("/v1/orders").by(&held.token).send().await.ok();
    world.get("/v1/orders").by(&text(&held.hold["quote"])).send().await.refused(401, "token_invalid");
    world.advance(SignedDuration::from_hours(24)).await;
    world.get("/v1/orders").by(&held.token).send().await.refused(401, "token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_keys_check_our_tokens() {
    let world = World::new().await;
    let token = text(&world.account("ada@example.org").await["access_token"]);
    let keys = world.get("/.well-known/jwks.json").send().await;
    assert_eq!(keys.header("cache-control"), "public, max-age=300");
    let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
    assert_eq!(
        (&keys.body["keys"][0]["kid"], &keys.body["keys"][0]["crv"]),
        (&json!(kid), &json!("Ed25519"))
    );
    assert!(keys.body["keys"][0].get("d").is_none(), "no private part");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_its_request_id_and_the_security_headers() {
    let world = World::new().await;
    let answer = world.get("/v1/me").header("x-request-id", "from-the-client-1").send().await;
    assert_eq!(answer.header("x-request-id"), "from-the-client-1");
    assert_eq!(answer.body["request_id"], "from-the-client-1");
    let answer = world.get("/v1/me").header("x-request-id", "bad id <script>").send().await;
    assert!(answer.header("x-request-id").starts_with("req_"));
    for (name, value) in [
        ("strict-transport-security", "max-age=63072000; includeSubDomains"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), value);
    }
}

/// Which headers of OWASP ASVS 5.0, V3.4, an answer lacks.
fn lacks(answer: &Answer) -> Vec<&'static str> {
    let public = answer.header("cache-control").starts_with("public");
    let resource = answer.header("cross-origin-resource-policy");
    let policy = answer.header("content-security-policy");
    let page = answer.header("content-type").starts_with("text/html");
    let needed = [
        ("HSTS", answer.header("strict-transport-security") == "max-age=63072000; includeSubDomains"),
        ("nosniff", answer.header("x-content-type-options") == "nosniff"),
        ("no referrer", answer.header("referrer-policy") == "no-referrer"),
        ("a cache policy", public || answer.header("cache-control") == "no-store"),
        ("a resource policy", resource == "same-origin" || (public && resource == "cross-origin")),
        ("an opener policy", answer.header("cross-origin-opener-policy") == "same-origin"),
        ("vary", answer.header("vary") == "origin"),
        ("an id", !answer.header("x-request-id").is_empty()),
        ("no frame", policy.contains("frame-ancestors 'none'")),
        ("nothing else", policy.starts_with("default-src 'none';") && !policy.contains("unsafe")),
        ("no base", !page || policy.contains("base-uri 'none'") && policy.contains("object-src 'none'")),
        ("a type", answer.bytes.is_empty() || !answer.header("content-type").is_empty()),
    ];
    needed.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_routes_answer_has_the_headers_that_protect_it() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let (mut seen, api) = (0, serde_json::to_value(tessera_local::openapi::description()).unwrap());
    for (path, methods) in api["paths"].as_object().unwrap() {
        let path: String =
            path.split('{').enumerate().fold(String::new(), |path, (place, part)| match place {
                0 => part.to_owned(),
                _ => path + &sale.event + part.split_once('}').unwrap().1,
            });
        for method in methods.as_object().unwrap().keys() {
            let method: reqwest::Method = method.to_uppercase().parse().unwrap();
            for token in [None, Some(&sale.organiser.token)] {
                let mut call = world.call(method.clone(), &path).key(&uuid());
                if let Some(token) = token {
                    call = call.by(token);
                }
                let call = if method == "GET" { call } else { call.json(json!({})) };
                let answer = call.send().await;
                assert_eq!(lacks(&answer), Vec::<&str>::new(), "{method} {path}: {:?}", answer.headers);
                seen += 1;
            }
        }
    }
    assert!(seen > 250, "{seen}");
    // What browsers may keep, and what they are told to keep.
    let event = world.get(&format!("/v1/events/{}", sale.event)).send().await;
    assert_eq!(event.header("cross-origin-resource-policy"), "cross-origin");
    let same = world.get(&format!("/v1/events/{}", sale.event)).header("If-None-Match", event.header("etag"));
    let same = same.send().await;
    assert_eq!((same.status, lacks(&same)), (304, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_named_origins_may_call_and_those_of_others_may_not() {
    let parameters =
        vec![("AllowedOrigins".to_owned(), "https://shop.example.org,http://localhost:5173".to_owned())];
    let world = World::with(WholeOptions { parameters, ..WholeOptions::default() }).await;
    let ask = async |origin: &str| {
        let preflight = world
            .call(reqwest::Method::OPTIONS, "/v1/holds")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization,idempotency-key");
        (preflight.send().await, world.get("/v1/me").header("Origin", origin).send().await)
    };
    for origin in ["https://shop.example.org", "http://localhost:5173"] {
        let (preflight, answer) = ask(origin).await;
        assert_eq!(preflight.status, 204);
        for answered in [&preflight, &answer] {
            assert_eq!(answered.header("access-control-allow-origin"), origin);
            assert_eq!(answered.header("access-control-allow-credentials"), "", "nothing goes by cookies");
        }
        assert_eq!(preflight.header("access-control-max-age"), "7200");
        let list = |answer: &Answer, name| -> BTreeSet<String> {
            answer.header(name).split(',').map(|one| one.trim().to_lowercase()).collect()
        };
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(list(&preflight, "access-control-allow-methods"), of(&["get", "post", "put", "delete"]));
        // Every header that a handler reads and a browser would not send without being asked.
        let sent = [
            "authorization",
            "content-type",
            "idempotency-key",
            "if-match",
            "if-none-match",
            "traceparent",
            "x-request-id",
        ];
        assert_eq!(list(&preflight, "access-control-allow-headers"), of(&sent));
        let read = [
            "content-disposition",
            "etag",
            "location",
            "ratelimit",
            "ratelimit-policy",
            "retry-after",
            "x-request-id",
        ];
        assert_eq!(list(&answer, "access-control-expose-headers"), of(&read));
    }
    for origin in [
        "https://example.org",
        "http://shop.example.org",
        "https://shop.example.org:8443",
        "https://shop.example.org.evil.example",
        "https://evil.example/https://shop.example.org",
        "https://SHOP.example.org",
        "null",
        "*",
    ] {
        let (preflight, answer) = ask(origin).await;
        for answered in [&preflight, &answer] {
            let names = answered.headers.keys().map(reqwest::header::HeaderName::as_str);
            let allowed: Vec<_> = names.filter(|name| name.starts_with("access-control")).collect();
            assert!(allowed.is_empty(), "{origin}: {allowed:?}");
        }
    }
}

/// What a deployment can be told: origins by name, never all of them, and never with credentials.
#[test]
fn no_origin_is_a_wildcard() {
    let template = include_str!("../../template.yaml");
    let api =
        template.split("CorsConfiguration:").nth(1).unwrap().split("DefaultRouteSettings").next().unwrap();
    assert!(api.contains("AllowOrigins: !Ref AllowedOrigins") && !api.contains('*'), "{api}");
    assert!(!api.contains("AllowCredentials"), "{api}");
    let parameter = template.split("  AllowedOrigins:\n").nth(1).unwrap().split("  Limits:").next().unwrap();
    assert!(parameter.contains("AllowedPattern: \"^(https://[a-z0-9.-]+|"), "{parameter}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_a_problem_document_too() {
    let world = World::new().await;
    world.get("/v1/events/evt_x").send().await.refused(404, "not_found");
    world.get("/v1/events/ord_00000000000000000000000000").send().await.refused(404, "not_found");
    let unknown = world.get("/v1/nothing").send().await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_may_do_no_more_than_its_policies_say() {
    let written = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let (before, catalogue) = written.split_once("\n  CatalogueFunction:\n").unwrap();
    let poorer = catalogue.replacen(", dynamodb:PutItem]", "]", 1);
    assert_ne!(poorer, catalogue);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("template.yaml");
    std::fs::write(&path, format!("{before}\n  CatalogueFunction:\n{poorer}")).unwrap();
    let world = World::with(WholeOptions { template: Some(path), ..WholeOptions::default() }).await;
    // Identity may write, the catalogue may read, and not write.
    let organiser = world.organiser("organiser").await;
    assert_eq!(world.get("/v1/events?city=berlin").send().await.status, 200);
    let event = json!({"organisation": organiser.organisation, "name": "Midsummer", "city": "Berlin", "venue": "Hall",
        "starts": {"local": "2027-06-01T19:30:00", "zone": "Europe/Berlin"}});
    let refused = world.post("/v1/events").by(&organiser.token).key("e").json(event).send().await;
    assert!(refused.status >= 500, "{}", refused.body);
}

/// The home with its secrets one step on.
async fn stepped(world: World, folder: &std::path::Path, step: Step) -> World {
    world.whole.stop(Duration::from_secs(10)).await.unwrap();
    let path = folder.join("secrets.json");
    let known = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let next = secrets::step(known, step).unwrap();
    std::fs::write(&path, serde_json::to_vec(&next).unwrap()).unwrap();
    World::with(WholeOptions { data: Some(folder.to_owned()), ..WholeOptions::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_secrets_are_replaced_while_everybody_stays_signed_in() {
    let folder = tempfile::tempdir().unwrap();
    let options = WholeOptions { data: Some(folder.path().to_owned()), ..WholeOptions::default() };
    let world = World::with(options).await;
    let session = world.account("ada@example.org").await;
    let old = text(&session["access_token"]);
    // What was sealed with the old secret: a refresh token, and the secret of a second factor.
    let bob = world.account("bob@example.org").await;
    let (bob, app) = second_factor::switched_on(&world, &text(&bob["access_token"])).await;
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let me = async |world: &World, token: &str| world.get("/v1/me").by(token).send().await;
    let refresh = async |world: &World, session: &Value| {
        let body = json!({"refresh_token": session["refresh_token"]});
        world.post("/v1/sessions/refresh").json(body).send().await
    };

    let world = stepped(world, folder.path(), Step::Add).await;
    me(&world, &old).await.ok();
    let still = sign_in(&world, "ada@example.org", "correct horse").await.ok();
    assert_eq!(kid(&text(&still["access_token"])), kid(&old), "published before it is used");
    assert_eq!(world.get("/.well-known/jwks.json").send().await.ok()["keys"].as_array().unwrap().len(), 2);

    let world = stepped(world, folder.path(), Step::Switch).await;
    me(&world, &old).await.ok();
    let fresh = sign_in(&world, "ada@example.org", "correct horse").await.ok();
    let new = text(&fresh["access_token"]);
    assert_ne!(kid(&new), kid(&old));
    me(&world, &new).await.ok();
    let followed = refresh(&world, &session).await.ok();
    me(&world, &text(&followed["access_token"])).await.ok();
    me(&world, &bob).await.ok();
    second_factor::signs_in(&world, "bob@example.org", &app).await;

    let world = stepped(world, folder.path(), Step::RetireKeys).await;
    me(&world, &old).await.refused(401, "token_invalid");
    me(&world, &new).await.ok();
    let followed = refresh(&world, &followed).await.ok();
    let late = refresh(&world, &still).await.ok();

    let world = stepped(world, folder.path(), Step::RetireSecrets).await;
    refresh(&world, &followed).await.ok();
    refresh(&world, &late).await.ok();
    refresh(&world, &fresh).await.ok();
    // It was encrypted anew when it was used after the switch. This home's clock began anew, too: later than that code.
    world.advance(SignedDuration::from_secs(180)).await;
    second_factor::signs_in(&world, "bob@example.org", &app).await;
}
