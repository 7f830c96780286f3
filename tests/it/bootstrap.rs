//! Each function's own program, started as Lambda starts it: against a Runtime API, with its environment, given one real
//! event. The Runtime API is two routes, served here.

use crate::support::World;
use serde_json::{Value, json};
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Builds every program once; cargo says where they are.
pub fn programs() -> std::path::PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut build = std::process::Command::new(cargo);
    // With the tests, so that dependencies have the features they were just built with and nothing is built twice.
    build.current_dir(root).args(["build", "--quiet", "--workspace", "--bins", "--tests"]);
    assert!(build.status().unwrap().success(), "the programs build");
    // target/debug/deps/it-… → target/debug
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned()
}

async fn read_request(socket: &mut tokio::net::TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = socket.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |text| text.parse().unwrap());
        if head.contains("transfer-encoding: chunked") && !bytes.ends_with(b"0\r\n\r\n") {
            continue;
        }
        if bytes.len() >= end + 4 + length || read == 0 {
            return (head, bytes[end + 4..].to_vec());
        }
    }
}

/// Serves one event and takes its answer.
async fn invoke(listener: &TcpListener, event: &Value) -> Value {
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        loop {
            let (head, body) = read_request(&mut socket).await;
            if head.is_empty() {
                break;
            }
            if head.starts_with("get") {
                let body = event.to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 1\r\nLambda-Runtime-Deadline-Ms: 32503680000000\r\n\
                     Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:x:1:function:f\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                socket.write_all(answer.as_bytes()).await.unwrap();
                continue;
            }
            let path = head.lines().next().unwrap().to_owned();
            socket.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            assert!(path.contains("/response"), "{path}: {}", String::from_utf8_lossy(&body));
            let text = String::from_utf8(body).unwrap();
            let json = &text[text.find('{').unwrap_or(0)..=text.rfind(['}', 'l']).unwrap_or(0)];
            return serde_json::from_str(json).unwrap_or(Value::String(text.clone()));
        }
    }
}

fn http_event(method: &str, path: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": format!("{method} {path}"), "rawPath": path, "rawQueryString": "",
        "headers": {"host": "api.example.org", "x-forwarded-proto": "https"},
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": "api.example.org", "domainPrefix": "api",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test"},
            "requestId": "r", "routeKey": format!("{method} {path}"), "stage": "$default",
            "time": "21/Nov/2026:00:00:00 +0000", "timeEpoch": 1_795_219_200_000_u64
        },
        "isBase64Encoded": false
    })
}

fn sqs_event(body: &str) -> Value {
    json!({"Records": [{
        "messageId": "m-1", "receiptHandle": "h", "body": body, "md5OfBody": "x", "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {}, "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:x:1:q", "awsRegion": "x"
    }]})
}

/// What each program is asked, and what its answer must show.
fn questions() -> Vec<(&'static str, Value, &'static str, Value)> {
    let refused = |path| http_event("GET", path);
    let poison = || sqs_event("not a message");
    let failed = || json!([{"itemIdentifier": "m-1"}]);
    vec![
        ("identity", http_event("GET", "/.well-known/jwks.json"), "/statusCode", json!(200)),
        ("catalogue", refused("/v1/events/evt_x"), "/statusCode", json!(404)),
        ("booking", refused("/v1/bookings"), "/statusCode", json!(401)),
        ("order", refused("/v1/orders"), "/statusCode", json!(401)),
        ("payment", refused("/v1/payments/pay_01kb0000000000000000000000"), "/statusCode", json!(401)),
        ("entry", refused("/v1/tickets/x"), "/statusCode", json!(404)),
        ("media", refused("/v1/pictures/x"), "/statusCode", json!(401)),
        ("docs", http_event("GET", "/openapi.json"), "/statusCode", json!(200)),
        ("identity-worker", poison(), "/batchItemFailures", failed()),
        ("booking-worker", poison(), "/batchItemFailures", failed()),
        ("order-worker", poison(), "/batchItemFailures", failed()),
        ("payment-worker", poison(), "/batchItemFailures", failed()),
        ("entry-worker", poison(), "/batchItemFailures", failed()),
        ("notification-worker", poison(), "/batchItemFailures", failed()),
        ("media-worker", poison(), "/batchItemFailures", failed()),
        ("outbox", json!({"Records": []}), "/batchItemFailures", json!([])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_program_answers_a_real_event_of_the_lambda_runtime() {
    let programs = tokio::task::spawn_blocking(programs).await.unwrap();
    let world = Arc::new(World::new().await);
    let home = world.whole.home();
    let template = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let asked = questions();
    let named = template.lines().filter(|line| line.trim().starts_with("Binary: ")).count();
    assert_eq!(asked.len(), named, "each program of the template is asked");
    for (program, event, pointer, expected) in asked {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let function = home.template().functions.iter().find(|function| function.binary == program).unwrap();
        let mut child = tokio::process::Command::new(programs.join(program))
            .env_clear()
            .envs(&function.environment)
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", listener.local_addr().unwrap().to_string()),
                ("AWS_LAMBDA_FUNCTION_NAME", program.to_owned()),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
                ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "s".to_owned()),
                ("AWS_LAMBDA_LOG_GROUP_NAME", "g".to_owned()),
                ("AWS_REGION", "local".to_owned()),
                ("AWS_ACCESS_KEY_ID", "k".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "s".to_owned()),
                ("AWS_ENDPOINT_URL_DYNAMODB", home.endpoints().dynamodb.clone()),
                ("AWS_ENDPOINT_URL_SQS", home.endpoints().sqs.clone()),
                ("AWS_ENDPOINT_URL_S3", home.endpoints().s3.clone()),
            ])
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let answer = tokio::select! {
            answer = invoke(&listener, &event) => answer,
            ended = child.wait() => panic!("{program} ended: {ended:?}"),
        };
        assert_eq!(answer.pointer(pointer), Some(&expected), "{program}: {answer}");
        child.kill().await.unwrap();
    }
}
