use crate::support::{GUARD, home, registry, stop};
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tessera::run::Handler;
use tessera_local::{Home, Registry};

const TEMPLATE: &str = "
Globals:
  HttpApi:
    CorsConfiguration: {AllowOrigins: [https://shop.example], AllowMethods: [GET, POST], MaxAge: 600}
Resources:
  Toy:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: out/toy
      Timeout: 1
      Events:
        Any: {Type: HttpApi, Properties: {Path: '/toy/{rest+}', Method: ANY}}
";

fn toy() -> Registry {
    let router = Router::new()
        .route(
            "/toy/echo/{name}",
            post(|Path(name): Path<String>, uri: Uri, headers: HeaderMap, body: Bytes| async move {
                let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
                axum::Json(json!({"name": name, "query": uri.query(), "cookie": header("cookie"),
                    "many": header("x-many"), "bytes": body.to_vec()}))
            }),
        )
        .route(
            "/toy/cookies",
            get(|| async {
                let mut headers = HeaderMap::new();
                headers.append("set-cookie", "a=1".parse().unwrap());
                headers.append("set-cookie", "b=2".parse().unwrap());
                headers.insert("x-own", "yes".parse().unwrap());
                (StatusCode::CREATED, headers, "made")
            }),
        )
        .route("/toy/bytes", get(|| async { vec![0_u8, 159, 146, 150] }))
        .route("/toy/large", get(|| async { "x".repeat(6 * 1024 * 1024) }))
        .route("/toy/panic", get(|| async { panic!("as asked") as &'static str }))
        .route(
            "/toy/never",
            get(|| async {
                std::future::pending::<()>().await;
                ""
            }),
        );
    registry(move |binary| (binary == "toy").then(|| Handler::Api(router.clone())))
}

async fn toy_home() -> Home {
    home(TEMPLATE, toy()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_arrives_as_it_was_sent_and_the_answer_as_it_was_given() {
    let home = toy_home().await;
    let http = reqwest::Client::new();
    let body = vec![0_u8, 255, 10];
    let echoed: Value = http
        .post(format!("{}/toy/echo/caf%C3%A9%20one?a=b%20c&a=d", home.url()))
        .header("cookie", "x=1; y=2")
        .header("x-many", "one")
        .header("x-many", "two")
        .header("content-type", "application/octet-stream")
        .body(body.clone())
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let expected = json!({"name": "café one", "query": "a=b%20c&a=d", "cookie": "x=1; y=2", "many": "one,two", "bytes": body});
    assert_eq!(echoed, expected);

    let made = http.get(format!("{}/toy/cookies", home.url())).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    assert_eq!(made.headers()["x-own"], "yes");
    let cookies: Vec<_> = made.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(made.text().await.unwrap(), "made");

    let bytes = http.get(format!("{}/toy/bytes", home.url())).send().await.unwrap();
    assert_eq!(bytes.bytes().await.unwrap().to_vec(), [0_u8, 159, 146, 150]);
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_refuses_is_refused_in_its_words() {
    let home = toy_home().await;
    let http = reqwest::Client::new();
    let get = |path: &str| http.get(format!("{}{path}", home.url()));
    for (request, status, words) in [
        (get("/elsewhere"), StatusCode::NOT_FOUND, "Not Found"),
        (get("/toy/panic"), StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        (get("/toy/large"), StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        (get("/toy/never"), StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        (
            http.post(format!("{}/toy/echo/x", home.url())).body(vec![0_u8; 10 * 1024 * 1024 + 1]),
            StatusCode::PAYLOAD_TOO_LARGE,
            "Request Entity Too Large",
        ),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.json::<Value>().await.unwrap(), json!({"message": words}));
    }
    let seen: Vec<_> = home.requests().into_iter().map(|one| (one.status, one.function)).collect();
    let toy = || Some("Toy".to_owned());
    assert_eq!(seen, [(413, toy()), (503, toy()), (500, toy()), (500, toy()), (404, None)]);
    home.settle(GUARD).await.unwrap();
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_says_which_pages_may_call() {
    let home = toy_home().await;
    let http = reqwest::Client::new();
    let url = format!("{}/toy/cookies", home.url());
    let preflight = |origin: &'static str| {
        let request = http.request(reqwest::Method::OPTIONS, &url).header("origin", origin);
        request.header("access-control-request-method", "GET").send()
    };
    let yes = preflight("https://shop.example").await.unwrap();
    assert_eq!(yes.status(), StatusCode::NO_CONTENT);
    assert_eq!(yes.headers()["access-control-allow-origin"], "https://shop.example");
    assert_eq!(yes.headers()["access-control-allow-methods"], "GET,POST");
    assert_eq!(yes.headers()["access-control-max-age"], "600");
    let no = preflight("https://evil.example").await.unwrap();
    assert!(!no.headers().contains_key("access-control-allow-origin"));
    let answer = http.get(&url).header("origin", "https://shop.example").send().await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://shop.example");
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plugged_routers_see_paths_without_their_prefix() {
    let home = toy_home().await;
    home.plug("/console", Router::new().fallback(|uri: Uri| async move { format!("console {uri}") }));
    home.plug("/console/deeper", Router::new().route("/", get(|| async { "deeper" })));
    let http = reqwest::Client::new();
    for (path, answer) in [
        ("/console", "console /"),
        ("/console/", "console /"),
        ("/console/a/b?c=d", "console /a/b?c=d"),
        ("/console/deeper", "deeper"),
        ("/consoles", r#"{"message":"Not Found"}"#),
        ("/_local/health", r#"{"status":"ok"}"#),
    ] {
        let text = http.get(format!("{}{path}", home.url())).send().await.unwrap().text().await.unwrap();
        assert_eq!(text, answer, "{path}");
    }
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_with_a_program_nobody_knows_does_not_start() {
    let error = crate::support::start(TEMPLATE, None, registry(|_| None)).await.unwrap_err();
    assert_eq!(error.to_string(), "line 6: function `Toy`: there is no program `toy`");
}
