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

/// A GET with everything that is joined, split or decoded on the way.
fn get_of_everything() -> Request<&'static [u8]> {
    Request::get("/v1/events/caf%C3%A9%20one?city=K%C3%B6ln&tag=a&tag=b%2Cc&empty=")
        .header("Host", "api.example.com:3000")
        .header("User-Agent", "test/1")
        .header("Accept", "application/json")
        .header("X-Many", "one")
        .header("X-Many", "two")
        .header("Cookie", "session=abc; theme=dark")
        .body(&b""[..])
        .unwrap()
}

#[test]
fn a_get_with_cookies_and_repeated_parameters_is_the_recorded_event() {
    let request = get_of_everything();
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

/// What a function's router sees of an event: method, path, query, headers but for those the way adds, parameters, body.
fn seen(event: &str) -> Value {
    use lambda_http::RequestExt;
    let request = lambda_http::request::from_str(event).unwrap();
    let added = [
        "content-length",
        "cookie",
        "x-amzn-trace-id",
        "x-forwarded-for",
        "x-forwarded-port",
        "x-forwarded-proto",
    ];
    let headers: BTreeMap<String, String> = request
        .headers()
        .iter()
        .filter(|(name, _)| !added.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let query = request.query_string_parameters();
    let query: BTreeMap<&str, Vec<&str>> =
        query.iter().map(|(name, _)| (name, query.all(name).unwrap())).collect();
    let path = request.path_parameters();
    let path: BTreeMap<&str, &str> = path.iter().collect();
    let cookies: Vec<_> =
        request.headers().get_all("cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
    json!({
        "method": request.method().as_str(), "path": request.uri().path(), "query": query, "parameters": path,
        "headers": headers, "cookies": cookies.join("; "), "body": request.body().as_ref(),
    })
}

/// Recorded with SAM CLI 1.170 (`sam local start-api`) from a function that answers with its event. Its form is cruder
/// than the service's: names of headers keep their case, cookies come twice, forms come as text, bodies that are not
/// UTF-8 are answered with 502. What a function makes of it must be the same.
#[test]
fn a_function_sees_what_sam_local_would_have_shown_it() {
    let routes: &[(&str, &str)] = &[("get", "/v1/events/{id}"), ("any", "/v1/{rest+}")];
    let post = Request::post("/v1/events")
        .header("host", "127.0.0.1:3000")
        .header("content-type", "application/json; charset=utf-8")
        .body(r#"{"name": "Zoë"}"#.as_bytes());
    let form = Request::put("/v1/anything")
        .header("host", "localhost:3000")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-forwarded-for", "198.51.100.1")
        .body(&b"a=1&b=2"[..]);
    for (request, recorded) in [
        (Ok(get_of_everything()), include_str!("tests/sam/get.json")),
        (post, include_str!("tests/sam/post.json")),
        (form, include_str!("tests/sam/form.json")),
    ] {
        assert_eq!(seen(&event_for(routes, request.unwrap()).to_string()), seen(recorded));
    }
}
