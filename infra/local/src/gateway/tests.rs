use super::*;
use crate::invoke::Activity;
use crate::template::{self, Settings, Template};
use axum::routing::any;
use serde_json::{Value, json};
use tessera::app::Process;
use tessera::config::Config;
use tessera::run::Handler;

fn functions(routes: &[(&str, &str)]) -> Vec<Arc<Function>> {
    let mut events = String::new();
    for (place, (method, path)) in routes.iter().enumerate() {
        events.push_str(&format!(
            "        E{place}: {{Type: HttpApi, Properties: {{Path: \"{path}\", Method: {method}}}}}\n"
        ));
    }
    let source = format!(
        "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: out/echo\n      Events:\n{events}        Rest: {{Type: HttpApi}}\n"
    );
    let settings = Settings {
        region: "local".into(),
        account: "000000000000".into(),
        stack: "tessera".into(),
        url: "http://127.0.0.1:3000".into(),
        queues: "http://127.0.0.1:9324".into(),
        parameters: BTreeMap::new(),
        offered: BTreeMap::new(),
        secrets: BTreeMap::new(),
    };
    let template = Template::read(&source, &settings).unwrap();
    let registry: crate::Registry =
        Arc::new(|_, _, _| Ok(Handler::Api(Router::new().fallback(any(|| async { "" })))));
    let make = |function: &template::Function| {
        let activity = Arc::new(Activity::default());
        let process = Process::default();
        let made =
            Function::new(function.clone(), &Config::default(), &process, &registry, &activity, &settings);
        Arc::new(made.unwrap())
    };
    template.functions.iter().map(make).collect()
}

/// The event for a request, on a home at port 3000, at a fixed time, with a fixed id.
fn event_for(routes: &[(&str, &str)], request: Request<&[u8]>) -> Value {
    let routes = Routes::new(&functions(routes));
    let (parts, body) = request.into_parts();
    let path = event::decode(parts.uri.path());
    let target = routes.find(parts.method.as_str(), &path).unwrap();
    let around = event::Surroundings {
        from: "203.0.113.7:51234".parse().unwrap(),
        path: &path,
        target: &target,
        at: "2026-11-21T01:40:07.25Z".parse().unwrap(),
        id: "1ac06eee-f687-44ec-9036-dfd49d0be0a3",
        account: "000000000000",
        port: 3000,
    };
    serde_json::from_slice(&event::build(&parts, body, &around).unwrap()).unwrap()
}

fn same(event: &Value, fixture: &str) {
    let expected: Value = serde_json::from_str(fixture).unwrap();
    let (event, expected) = (event.as_object().unwrap(), expected.as_object().unwrap());
    for (name, value) in expected {
        assert_eq!(event.get(name), Some(value), "{name}");
    }
    let more: Vec<_> = event.keys().filter(|name| !expected.contains_key(*name)).collect();
    assert!(more.is_empty(), "{more:?}");
}

#[test]
fn a_get_with_cookies_and_repeated_parameters_is_the_recorded_event() {
    let request = Request::get("/v1/events/caf%C3%A9%20one?city=K%C3%B6ln&tag=a&tag=b%2Cc&empty=")
        .header("Host", "api.example.com:3000")
        .header("User-Agent", "test/1")
        .header("Accept", "application/json")
        .header("X-Many", "one")
        .header("X-Many", "two")
        .header("Cookie", "session=abc; theme=dark")
        .body(&b""[..])
        .unwrap();
    same(&event_for(&[("get", "/v1/events/{id}")], request), include_str!("tests/get.json"));
}

#[test]
fn a_post_of_json_is_the_recorded_event() {
    let body = r#"{"name": "Zoë"}"#.as_bytes();
    let request = Request::post("/v1/events")
        .header("host", "127.0.0.1:3000")
        .header("content-type", "application/json; charset=utf-8")
        .header("content-length", body.len())
        .body(body)
        .unwrap();
    same(&event_for(&[("any", "/v1/{rest+}")], request), include_str!("tests/post.json"));
}

#[test]
fn a_form_is_base64_and_an_unknown_path_is_the_default_route() {
    let request = Request::put("/anything")
        .header("host", "localhost:3000")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-forwarded-for", "198.51.100.1")
        .body(&b"a=1&b=2"[..])
        .unwrap();
    same(&event_for(&[("get", "/v1/events")], request), include_str!("tests/form.json"));
}

#[test]
fn bodies_are_text_only_where_their_type_says_so() {
    for (kind, encoding, body, text) in [
        ("application/json", None, &b"{}"[..], true),
        ("application/problem+json", None, b"{}", true),
        ("text/plain; charset=utf-8", None, b"x", true),
        ("application/xml", None, b"<a/>", true),
        ("application/octet-stream", None, b"x", false),
        ("image/png", None, b"x", false),
        ("application/json", Some("gzip"), b"x", false),
        ("application/json", None, b"\xff", false),
    ] {
        let mut request = Request::post("/").header("content-type", kind);
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        let event = event_for(&[], request.body(body).unwrap());
        assert_eq!(event["isBase64Encoded"], json!(!text), "{kind} {encoding:?}");
    }
}

#[test]
fn the_most_specific_route_wins() {
    let routes = Routes::new(&functions(&[
        ("any", "/{proxy+}"),
        ("get", "/pets/{proxy+}"),
        ("get", "/pets/{id}"),
        ("get", "/pets/dog"),
        ("any", "/pets/dog"),
        ("get", "/pets/{id}/owner"),
    ]));
    for (method, path, key) in [
        ("GET", "/pets/dog", "GET /pets/dog"),
        ("POST", "/pets/dog", "ANY /pets/dog"),
        ("GET", "/pets/cat", "GET /pets/{id}"),
        ("GET", "/pets/cat/owner", "GET /pets/{id}/owner"),
        ("GET", "/pets/cat/owner/name", "GET /pets/{proxy+}"),
        ("DELETE", "/pets/cat", "ANY /{proxy+}"),
        ("GET", "/pets/", "ANY /{proxy+}"),
        ("GET", "/", "$default"),
    ] {
        assert_eq!(routes.find(method, path).unwrap().key, key, "{method} {path}");
    }
    let greedy = routes.find("GET", "/pets/cat/owner/name").unwrap();
    assert_eq!(greedy.parameters, BTreeMap::from([("proxy".to_owned(), "cat/owner/name".to_owned())]));
}
