//! How often one caller may ask, whatever instance they meet; and that others do not notice.
//!
//! What one person does from many places, and many instances of one function, cannot be had through the one gateway of
//! a home. So these tests start more instances of a function over the home's stores, as Lambda does, and give them the events
//! that the gateway would make.

use crate::support::{Answer, World, text, uuid};
use futures_util::future::join_all;
use jiff::SignedDuration;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Context, LambdaEvent};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tessera::app::Process;
use tessera::limit::Class;
use tessera::limit::routes::{Routes, declared, operations};
use tessera::run::Handler;
use tessera_local::stores::faults::{Fault, Rule, Service};
use tessera_local::whole::{Whole, WholeOptions};
use tessera_local::{functions, openapi};
use tower::Service as _;

/// A world with the limits that a deployment has, but for these.
async fn world(limits: &str) -> World {
    let parameters = vec![("Limits".to_owned(), limits.to_owned())];
    World::with(WholeOptions { parameters, limits: None, ..WholeOptions::default() }).await
}

/// One more instance of a function.
#[derive(Clone)]
struct Instance(axum::Router);

impl Instance {
    fn of(world: &World, binary: &str) -> Self {
        let home = world.whole.home();
        let function = home.template().functions.iter().find(|function| function.binary == binary).unwrap();
        let endpoints = home.endpoints();
        // It says who it is, so that it may do no more than its policies say.
        let own = [
            ("AWS_REGION", "local"),
            ("AWS_ACCESS_KEY_ID", "k"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_SESSION_TOKEN", &function.logical),
            ("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb),
            ("AWS_ENDPOINT_URL_SQS", &endpoints.sqs),
            ("AWS_ENDPOINT_URL_S3", &endpoints.s3),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = function.environment.clone().into_iter().chain(own).collect();
        let process = Process::new(home.clock().clone(), Some(home.meter().clone()));
        match functions::build(binary, &config, &process).unwrap() {
            Handler::Api(router) => Self(router),
            Handler::Worker(_) => panic!("{binary} answers nobody"),
        }
    }

    fn many(world: &World, binary: &str, count: usize) -> Vec<Self> {
        (0..count).map(|_| Self::of(world, binary)).collect()
    }

    /// Asks from an address, with a credential if there is one.
    async fn ask(&self, from: &str, token: Option<&str>, request: (&str, &str, Value)) -> Answer {
        let (method, target, body) = request;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = json!({"host": "api.example.org", "content-type": "application/json",
            "x-forwarded-for": "203.0.113.99", "idempotency-key": uuid()});
        if let Some(token) = token {
            headers["authorization"] = json!(format!("Bearer {token}"));
        }
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": headers,
            "requestContext": {"accountId": "1", "apiId": "a", "domainName": "api.example.org", "domainPrefix": "api",
                "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": from, "userAgent": "test"},
                "requestId": "r", "routeKey": "$default", "stage": "$default", "time": "21/Nov/2026:00:00:00 +0000",
                "timeEpoch": 0},
            "body": body.to_string(), "isBase64Encoded": false
        });
        let payload: LambdaRequest = serde_json::from_value(event).unwrap();
        let answered =
            Adapter::from(self.0.clone()).call(LambdaEvent { payload, context: Context::default() });
        let answer = serde_json::to_value(answered.await.unwrap()).unwrap();
        let bytes = answer["body"].as_str().unwrap_or_default().as_bytes().to_vec();
        let headers = answer["headers"].as_object().unwrap().iter();
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), text(value).parse().unwrap()));
        Answer {
            status: answer["statusCode"].as_u64().unwrap().try_into().unwrap(),
            headers: headers.collect(),
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            bytes,
        }
    }

    /// A guess at a gift card: strict, and no work to speak of.
    async fn guess(&self, from: &str) -> Answer {
        self.ask(from, None, ("POST", "/v1/gift-cards/balance", nobodys_card())).await
    }

    /// A write that comes to nothing: fair use, and no work to speak of.
    async fn write(&self, from: &str, token: Option<&str>) -> Answer {
        self.ask(from, token, ("DELETE", "/v1/sessions/ses_x", Value::Null)).await
    }
}

fn nobodys_card() -> Value {
    json!({"organisation": "org_01kb0000000000000000000000", "code": "7Q2K-94MX-0V5T-DGW8"})
}

fn through(answers: &[Answer]) -> usize {
    let through = answers.iter().filter(|answer| answer.status != 429).count();
    assert!(answers.iter().all(|answer| answer.status < 500), "{answers:?}");
    through
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_guesses_at_once_as_many_get_through_as_are_allowed_whatever_instance_they_meet() {
    // So slow that nothing comes back while this runs.
    let world = world("gift_card_address=60/86400").await;
    let instances = Instance::many(&world, "payment", 8);
    let asks = (0..200).map(|number| instances[number % 8].guess("192.0.2.1"));
    assert_eq!(through(&join_all(asks).await), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn fair_use_lets_one_more_through_for_each_instance_and_none_on_one() {
    let world = world("write=60/86400").await;
    let tokens = [world.account("a@example.org").await, world.account("b@example.org").await];
    let [one, other] = tokens.map(|tokens| text(&tokens["access_token"]));
    let instances = Instance::many(&world, "identity", 8);
    let asks = (0..200).map(|_| instances[0].write("192.0.2.1", Some(&one)));
    assert_eq!(through(&join_all(asks).await), 60);
    let asks = (0..200).map(|number| instances[number % 8].write("192.0.2.1", Some(&other)));
    let through = through(&join_all(asks).await);
    assert!((60..=68).contains(&through), "{through}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_told_when_to_come_again_and_may_then() {
    let world = world("").await;
    let (one, other) = (Instance::of(&world, "payment"), Instance::of(&world, "payment"));
    let first = one.guess("192.0.2.1").await;
    assert_eq!(first.status, 404, "{}", first.body);
    assert_eq!(first.header("ratelimit-policy"), r#""gift_card_address";q=60;w=300"#);
    assert_eq!(first.header("ratelimit"), r#""gift_card_address";r=59;t=5"#);
    for _ in 1..60 {
        one.guess("192.0.2.1").await;
    }
    for instance in [&other, &one] {
        let refused = instance.guess("192.0.2.1").await;
        let wait: i64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=5).contains(&wait), "{wait}");
        let left = refused.header("ratelimit");
        assert!(left.starts_with(r#""gift_card_address";r=0;t="#), "{left}");
        let request = refused.header("x-request-id").to_owned();
        let problem = refused.refused(429, "too_many_requests");
        assert_eq!(problem["request_id"], request);
        world.advance(SignedDuration::from_secs(wait)).await;
        assert_eq!(instance.guess("192.0.2.1").await.status, 404, "it was promised");
    }
    // A minute later twelve have come back, five minutes later all.
    world.advance(SignedDuration::from_secs(300)).await;
    assert_eq!(other.guess("192.0.2.1").await.header("ratelimit"), r#""gift_card_address";r=59;t=5"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_do_not_notice_and_one_household_has_one_limit_whatever_its_addresses() {
    let world = world("gift_card_address=3/86400,write=10/86400").await;
    let (one, other) = (Instance::of(&world, "payment"), Instance::of(&world, "payment"));
    for from in ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::3"] {
        assert_eq!(one.guess(from).await.status, 404);
    }
    for from in ["2001:db8:1:2::1", "2001:db8:1:2::4"] {
        other.guess(from).await.refused(429, "too_many_requests");
    }
    // Next door, and an old address; what the sender writes into a header is nobody's address.
    for from in ["2001:db8:1:3::1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"] {
        assert_eq!(other.guess(from).await.status, 404, "{from}");
    }
    one.guess("192.0.2.1").await.refused(429, "too_many_requests");

    // Two at one address with accounts of their own.
    let tokens = [world.account("a@example.org").await, world.account("b@example.org").await];
    let [busy, calm] = tokens.map(|tokens| text(&tokens["access_token"]));
    let instance = Instance::of(&world, "identity");
    for _ in 0..10 {
        assert_eq!(instance.write("192.0.2.9", Some(&busy)).await.status, 404);
    }
    // From elsewhere it is the same account.
    instance.write("192.0.2.10", Some(&busy)).await.refused(429, "too_many_requests");
    assert_eq!(instance.write("192.0.2.9", Some(&calm)).await.status, 404);
    assert_eq!(instance.write("192.0.2.9", None).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_kind_of_request_does_not_use_up_another() {
    let world = world("write=10/86400,read=10/86400,sign_in_address=2/86400").await;
    let token = text(&world.account("a@example.org").await["access_token"]);
    // The two of the sign-up: the code, and the password.
    let credentials = json!({"email": "a@example.org", "password": "correct horse"});
    let again = world.post("/v1/sessions").json(credentials).send().await;
    assert_eq!(again.header("ratelimit-policy"), r#""sign_in_address";q=2;w=86400"#);
    again.refused(429, "too_many_requests");
    let instance = Instance::of(&world, "identity");
    for _ in 0..10 {
        assert_eq!(instance.write("192.0.2.1", Some(&token)).await.status, 404);
    }
    instance.write("192.0.2.1", Some(&token)).await.refused(429, "too_many_requests");
    let read = instance.ask("192.0.2.1", Some(&token), ("GET", "/v1/me", Value::Null)).await;
    assert_eq!((read.status, read.header("ratelimit-policy")), (200, r#""read";q=10;w=86400"#));
    // A credential that is no good is nobody's.
    let read = instance.ask("192.0.2.1", Some("a.b.c"), ("GET", "/v1/me", Value::Null)).await;
    assert_eq!((read.status, read.header("ratelimit-policy")), (401, r#""read_address";q=1200;w=60"#));
    // What everybody may keep is not counted.
    let keys = instance.ask("192.0.2.1", None, ("GET", "/.well-known/jwks.json", Value::Null)).await;
    assert_eq!((keys.status, keys.header("ratelimit-policy")), (200, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_the_address_is_counted_where_it_is_tried() {
    let world = world("link_address=2/86400").await;
    let order = Instance::of(&world, "order");
    let path = "/v1/orders/ord_01kb0000000000000000000000";
    for _ in 0..2 {
        let tried = order.ask("192.0.2.1", None, ("GET", &format!("{path}?key=a.b"), Value::Null)).await;
        assert_eq!(tried.header("ratelimit-policy"), r#""link_address";q=2;w=86400"#);
        assert!(matches!(tried.status, 401 | 404), "{}", tried.body);
    }
    let catalogue = Instance::of(&world, "catalogue");
    let event = ("GET", "/v1/events/evt_01kb0000000000000000000000?code=friends", Value::Null);
    catalogue.ask("192.0.2.1", None, event).await.refused(429, "too_many_requests");
    let tried = order.ask("192.0.2.1", None, ("GET", path, Value::Null)).await;
    assert_eq!(tried.header("ratelimit-policy"), r#""read_address";q=1200;w=60"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_of_limits_fair_use_passes_and_strict_classes_are_refused() {
    let world = world("").await;
    let token = text(&world.account("a@example.org").await["access_token"]);
    for fault in [Fault::InternalError, Fault::Throttle, Fault::DropCall] {
        world.whole.home().faults().add(Rule {
            service: Some(Service::DynamoDb),
            operation: None,
            resource: Some("-limit".to_owned()),
            fault,
            times: 1_000,
        });
        for _ in 0..3 {
            world.delete("/v1/sessions/ses_x").by(&token).send().await.refused(404, "not_found");
            world.get("/v1/me").by(&token).send().await.ok();
        }
        let refused = world.post("/v1/gift-cards/balance").json(nobodys_card()).send().await;
        assert_eq!(refused.header("retry-after"), "1");
        refused.refused(503, "unavailable");
        world.whole.home().faults().clear();
    }
    // It is there again, and nothing of this was counted.
    let credentials = json!({"email": "a@example.org", "password": "correct horse"});
    world.post("/v1/sessions").json(credentials).send().await.ok();
}

/// Round trips and write units of one action since the last look.
fn spent(world: &World, action: &str, before: &mut (u64, f64)) -> (u64, f64) {
    let tally = world.whole.home().meter().tallies().get(action).copied().unwrap_or_default();
    let spent = (tally.round_trips - before.0, tally.write_units - before.1);
    *before = (tally.round_trips, tally.write_units);
    spent
}

#[tokio::test(flavor = "multi_thread")]
async fn what_counting_costs_is_what_the_front_page_says() {
    let world = world("gift_card_address=3/86400,write=10/86400").await;
    let sale = world.sale(5_000, json!({})).await;
    let booking = Instance::of(&world, "booking");
    let hold = ("POST", "/v1/holds", world.basket(&sale, 1));
    // The instance has read the catalogue.
    booking.ask("192.0.2.1", None, hold.clone()).await.ok();
    let mut before = (0, 0.0);
    spent(&world, "POST /v1/holds", &mut before);
    // A hold of somebody who asks for the first time is one round trip and one write, as if nobody counted.
    booking.ask("192.0.2.2", None, hold.clone()).await.ok();
    assert_eq!(spent(&world, "POST /v1/holds", &mut before), (1, 1.0));
    // Who comes again at once costs one write more each time.
    for _ in 0..2 {
        booking.ask("192.0.2.2", None, hold.clone()).await.ok();
        assert_eq!(spent(&world, "POST /v1/holds", &mut before), (2, 2.0));
    }

    let (one, other) = (Instance::of(&world, "payment"), Instance::of(&world, "payment"));
    let (action, mut before) = ("POST /v1/gift-cards/balance", (0, 0.0));
    let mut guess = async |instance: &Instance| {
        let status = instance.guess("192.0.2.1").await.status;
        (status, spent(&world, action, &mut before).1)
    };
    assert_eq!(guess(&one).await, (404, 1.0), "strict: one write each time");
    assert_eq!(guess(&one).await, (404, 1.0));
    assert_eq!(guess(&other).await, (404, 2.0), "who does not know what others took learns it by a refusal");
    assert_eq!(guess(&other).await, (429, 0.0), "who knows that nothing is left writes nothing");
    assert_eq!(guess(&one).await, (429, 1.0), "who does not know learns it by one refusal");
    assert_eq!(guess(&one).await, (429, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_setting_keeps_the_home_from_starting_and_is_named() {
    let parameters = vec![("Limits".to_owned(), "write=fast".to_owned())];
    let refused = Whole::start(WholeOptions { parameters, ..WholeOptions::default() }).await;
    let error = refused.err().expect("it does not start").to_string();
    assert!(error.contains("LIMITS") && error.contains("write=fast"), "{error}");
}

/// What may be asked without a credential is counted as somebody has decided, not as it happens.
#[test]
fn every_route_has_its_class_and_those_without_a_credential_say_so() {
    let raw = [
        identity::routes(),
        catalogue::routes(),
        booking::routes(),
        order::routes(),
        payment::routes(),
        entry::routes(),
        media::routes(),
        docs::routes(),
    ];
    let api = raw.into_iter().reduce(|all, one| all.merge(one)).unwrap().into_openapi();
    let routes = Routes::of(&api);
    let mut of_each = BTreeSet::new();
    for (path, item) in &api.paths.paths {
        for (_, method, operation) in operations(item) {
            let route = routes.find(&method, path).unwrap();
            of_each.insert(route.class);
            // A class that is named is one that there is.
            let named = operation.extensions.as_ref().and_then(|all| all.get("x-limit"));
            assert_eq!(named.is_some(), declared(operation).is_some(), "{method} {path}: {named:?}");
            let cached = operation.responses.responses.contains_key("304");
            let open_to_all = operation.security.is_none();
            if open_to_all && !cached {
                assert!(named.is_some(), "{method} {path} wants no credential: say what it is counted as");
            }
            assert!(route.class != Class::Open || open_to_all, "{method} {path} is not for everybody");
        }
    }
    // Links are counted by their address, not by their route.
    let all: BTreeSet<Class> = Class::ALL.iter().copied().filter(|class| *class != Class::Link).collect();
    assert_eq!(of_each, all);
    assert_eq!(routes.all().len(), Routes::of(&openapi::description()).all().len());
}
