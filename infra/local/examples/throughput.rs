//! Serves a toy API until it is killed: `GET /hello` answers at once, `POST /things` writes one item to a table with
//! a stream that a worker reads. Point a load generator at the address it prints.
//!
//! `cargo run --release -p tessera-local --example throughput [DATA FOLDER]`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example")]

use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::routing::{get, post};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tessera::queue::Worker;
use tessera::run::Handler;
use tessera_local::{Home, Listen, Options, Registry};

const TEMPLATE: &str = "
Resources:
  Api:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: out/api
      Events:
        Any: {Type: HttpApi, Properties: {Path: '/{rest+}', Method: ANY}}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: out/worker
      Events:
        Changes: {Type: DynamoDB, Properties: {Stream: !GetAtt Things.StreamArn, StartingPosition: TRIM_HORIZON}}
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: things
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      StreamSpecification: {StreamViewType: NEW_IMAGE}
";

fn registry(read: Arc<AtomicU64>) -> Registry {
    Arc::new(move |binary, config, _process| {
        if binary == "worker" {
            let read = read.clone();
            return Ok(Handler::Worker(Worker::new(move |event| {
                let records = event["Records"].as_array().map_or(0, Vec::len);
                read.fetch_add(records as u64, Ordering::Relaxed);
                Box::pin(async { Ok(serde_json::Value::Null) })
            })));
        }
        let (key, secret) = Home::credentials();
        let client = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("local"))
            .credentials_provider(Credentials::new(key, secret, None, None, "example"))
            .endpoint_url(config.require("AWS_ENDPOINT_URL_DYNAMODB")?)
            .build();
        let (client, next) =
            (aws_sdk_dynamodb::Client::from_conf(client), Arc::new(AtomicU64::new(0)));
        let router = Router::new().route("/hello", get(|| async { "hello" })).route(
            "/things",
            post(move || {
                let (client, n) = (client.clone(), next.fetch_add(1, Ordering::Relaxed) % 1_000);
                async move {
                    let put = client.put_item().table_name("things");
                    let put = put.item("pk", AttributeValue::S(n.to_string())).send().await;
                    put.map(|_| "stored").map_err(|error| format!("{error:?}"))
                }
            }),
        );
        Ok(Handler::Api(router))
    })
}

#[tokio::main]
async fn main() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), TEMPLATE).unwrap();
    let mut options = Options::new(Listen::anywhere().unwrap());
    options.template = Some(file.path().to_owned());
    options.data = std::env::args().nth(1).map(Into::into);
    let read = Arc::new(AtomicU64::new(0));
    let home = Home::start(options, registry(read.clone())).await.unwrap();
    println!("{}", home.url());
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        println!("{} records read from the stream", read.load(Ordering::Relaxed));
    }
}
