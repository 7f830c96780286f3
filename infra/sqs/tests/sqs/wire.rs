//! The protocol below the SDK: targets, headers and the spelling of errors.

use std::sync::Arc;

use crate::home::START_MS;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tessera_sqs::{Options, Sqs, Storage, router};
use tower::ServiceExt as _;

struct Answer {
    status: StatusCode,
    query_error: Option<String>,
    body: serde_json::Value,
}

async fn post(path: &str, operation: &str, body: &str) -> Answer {
    let options = Options::new("http://localhost:9324/", Arc::new(|| START_MS));
    let sqs = Sqs::open(&Storage::Memory, options).unwrap();
    sqs.create_queue("orders", &[].into()).unwrap();
    let request = Request::post(path)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("AmazonSQS.{operation}"))
        .body(Body::from(body.to_owned()))
        .unwrap();
    let answer = router(sqs).oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/x-amz-json-1.0");
    Answer {
        status: answer.status(),
        query_error: answer.headers().get("x-amzn-query-error").map(|v| v.to_str().unwrap().to_owned()),
        body: serde_json::from_slice(&to_bytes(answer.into_body(), usize::MAX).await.unwrap()).unwrap(),
    }
}

#[tokio::test]
async fn a_refusal_is_a_400_with_its_type_and_its_older_code() {
    let answer = post("/", "GetQueueUrl", r#"{"QueueName":"nothing"}"#).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.body["__type"], "com.amazonaws.sqs#QueueDoesNotExist");
    assert_eq!(answer.body["message"], "The specified queue does not exist.");
    assert_eq!(answer.query_error.as_deref(), Some("AWS.SimpleQueueService.NonExistentQueue;Sender"));
}

#[tokio::test]
async fn unknown_actions_broken_bodies_and_missing_parameters_are_told_apart() {
    for (operation, body, expected) in [
        ("BrewCoffee", "{}", "InvalidAction;Sender"),
        ("SendMessage", "{", "SerializationException;Sender"),
        ("SendMessage", r#"{"QueueUrl":7}"#, "SerializationException;Sender"),
        ("SendMessage", r#"{"MessageBody":"x"}"#, "MissingParameter;Sender"),
        ("SendMessage", r#"{"QueueUrl":"orders"}"#, "MissingParameter;Sender"),
        ("DeleteMessage", r#"{"QueueUrl":"orders"}"#, "MissingParameter;Sender"),
        ("CreateQueue", "{}", "MissingParameter;Sender"),
    ] {
        let answer = post("/", operation, body).await;
        assert_eq!((answer.status, answer.query_error.as_deref()), (StatusCode::BAD_REQUEST, Some(expected)));
    }
}

#[tokio::test]
async fn a_queue_is_known_by_the_end_of_its_url_on_whatever_host_and_path() {
    for url in ["http://elsewhere:1/000000000000/orders", "https://sqs.local/000000000000/orders", "orders"] {
        let body = serde_json::json!({"QueueUrl": url, "MessageBody": "x"}).to_string();
        let answer = post("/000000000000/orders", "SendMessage", &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{url}");
        assert_eq!(answer.body["MD5OfMessageBody"], "9dd4e461268c8034f5c8564e155c67a6");
    }
}

#[tokio::test]
async fn an_empty_receive_answers_an_empty_object() {
    let answer = post("/", "ReceiveMessage", r#"{"QueueUrl":"orders"}"#).await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, serde_json::json!({})));
}
