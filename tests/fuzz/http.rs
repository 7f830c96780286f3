//! What API Gateway hands to Lambda, through the very conversion that runs there, into our stack.

use crate::{app, play};
use axum::Json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Context, LambdaEvent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tessera::app::App;
use tessera::http::{IdempotencyKey, IfMatch, Input, Params, Path, serve};
use tessera::id::EventId;
use tessera::limit::Class;
use tessera::page::{Paging, Period};
use tessera::run::mended;
use tessera::text::{Email, Text};
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Said {
    name: Text<1, 20>,
    email: Email,
    parts: Vec<Option<u32>>,
}

/// Everything that a request may have, and nothing that asks a store.
#[utoipa::path(post, path = "/v1/echo/{id}", tag = "fuzz", extensions(("x-limit" = json!(Class::Open))), responses((status = 200)))]
async fn echo(
    Path(id): Path<EventId>,
    Params(paging): Params<Paging>,
    IdempotencyKey(key): IdempotencyKey,
    IfMatch(version): IfMatch,
    input: Input<Said>,
) -> Json<Value> {
    Json(
        json!({"id": id, "limit": paging.limit, "key": key, "version": version, "said": input.value, "print": input.print}),
    )
}

#[utoipa::path(get, path = "/v1/echo", tag = "fuzz", extensions(("x-limit" = json!(Class::Open))), responses((status = 200)))]
async fn listing(Params(period): Params<Period>) -> tessera::error::Result<Json<Value>> {
    let (from, until, paging) = period.checked()?;
    Ok(Json(json!({"from": from, "until": until, "cursor": paging.cursor})))
}

fn event(method: &str, path: &str, query: &str, more: Value) -> String {
    let mut event = json!({
        "version": "2.0", "routeKey": format!("{method} {path}"), "rawPath": path, "rawQueryString": query,
        "cookies": ["a=b", "c=d"],
        "headers": {
            "host": "api.example.org", "x-forwarded-proto": "https", "content-type": "application/json; charset=utf-8",
            "idempotency-key": "\"k-1\"", "if-match": "\"v1\"", "authorization": "Bearer e30.e30.e30", "x-request-id": "request-1",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        },
        "queryStringParameters": {"limit": "5"}, "pathParameters": {"id": "evt_06f5k2v8s1xg4w7m3q9c0hrtbn"}, "stageVariables": {"a": "b"},
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": "api.example.org", "domainPrefix": "api",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test"},
            "requestId": "r", "routeKey": format!("{method} {path}"), "stage": "$default",
            "time": "21/Nov/2026:00:00:00 +0000", "timeEpoch": 1_795_219_200_000_u64
        },
        "isBase64Encoded": false
    });
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event.to_string()
}

#[test]
fn gateway_event() {
    let app = app();
    let routes = OpenApiRouter::<App>::new().routes(routes!(echo)).routes(routes!(listing));
    let router = serve(routes, app);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answer = |request: LambdaRequest| -> Value {
        let adapter = Adapter::from(router.clone());
        let answer = runtime.block_on(adapter.oneshot(LambdaEvent::new(mended(request), Context::default())));
        serde_json::to_value(answer.unwrap()).unwrap()
    };
    let path = "/v1/echo/evt_06f5k2v8s1xg4w7m3q9c0hrtbn";
    let body = r#"{"name":"Ada","email":"ada@example.org","parts":[1,null,4294967295]}"#;
    let packed = STANDARD.encode(body);
    let samples = [
        event("POST", path, "limit=5&cursor=a.b", json!({"body": body})),
        event("POST", path, "", json!({"body": packed, "isBase64Encoded": true})),
        event("GET", "/v1/echo", "from=2026-01-01T00:00:00Z&until=9999-12-30T21:59:59Z", json!({})),
        event("GET", "/v1/echo", "from=9999-12-30T20:00:00Z&until=9999-12-30T21:59:59Z", json!({})),
        event("DELETE", "/v1/nowhere%2F..", "%00=%ff&a=b&a=c", json!({})),
    ];
    assert_eq!(answer(serde_json::from_str(&samples[0]).unwrap())["statusCode"], 200);
    assert_eq!(answer(serde_json::from_str(&samples[1]).unwrap())["statusCode"], 200);
    play(samples, |bytes: &[u8]| {
        // What is no event never comes to us. Path, domain and encoding are what the gateway says: lambda_http 1.3 panics at a domain
        // that is none, a path without a root, and a body that is no base 64 but said to be.
        let Ok(mut event) = serde_json::from_slice::<Value>(bytes) else { return };
        if let Some(context) = event.pointer_mut("/requestContext/domainName") {
            *context = json!("api.example.org");
        }
        let decodes = event["isBase64Encoded"] != true
            || event["body"].as_str().is_none_or(|body| STANDARD.decode(body).is_ok());
        let rooted = event["rawPath"].as_str().is_some_and(|path| path.starts_with('/'));
        if !rooted || !decodes {
            return;
        }
        let Ok(request) = serde_json::from_value::<LambdaRequest>(event) else { return };
        let answer = answer(request);
        let status = answer["statusCode"].as_u64().unwrap();
        assert!(status < 500, "{answer} to {}", String::from_utf8_lossy(bytes));
        assert!(answer["headers"]["x-request-id"].is_string(), "{answer}");
    });
}
