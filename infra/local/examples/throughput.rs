//! How many requests a second the home answers on this machine, load generator included: `GET /hello` answers at once,
//! `POST /things` writes one item to a table with a stream that a worker reads.
//!
//! `cargo run --release -p tessera-local --example throughput [DATA FOLDER]`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example")]

use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::routing::{get, post};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tessera::queue::Worker;
use tessera::run::Handler;
use tessera_local::{Home, Listen, Options, Registry};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

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
        let (client, next) = (aws_sdk_dynamodb::Client::from_conf(client), Arc::new(AtomicU64::new(0)));
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

/// One connection that asks the same again and again; how many answers it got is the answer.
async fn ask(address: String, request: String, end: Instant) -> u64 {
    let socket = TcpStream::connect(&address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let mut socket = BufReader::new(socket);
    let mut answered = 0;
    while Instant::now() < end {
        socket.get_mut().write_all(request.as_bytes()).await.unwrap();
        let (mut line, mut length, mut status) = (String::new(), 0, String::new());
        loop {
            line.clear();
            socket.read_line(&mut line).await.unwrap();
            if status.is_empty() {
                status = line.clone();
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await.unwrap();
        assert!(status.contains("200"), "{status}{}", String::from_utf8_lossy(&body));
        answered += 1;
    }
    answered
}

async fn measure(home: &Home, connections: usize, method: &str, path: &str) {
    let address = home.url().trim_start_matches("http://").to_owned();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
    let seconds = 5;
    let end = Instant::now() + Duration::from_secs(seconds);
    let all: Vec<_> =
        (0..connections).map(|_| tokio::spawn(ask(address.clone(), request.clone(), end))).collect();
    let mut answered = 0;
    for one in all {
        answered += one.await.unwrap();
    }
    println!("{method} {path}, {connections} connections: {} a second", answered / seconds);
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
    for connections in [1, 32] {
        measure(&home, connections, "GET", "/hello").await;
        measure(&home, connections, "POST", "/things").await;
    }
    home.settle(Duration::from_secs(60)).await.unwrap();
    println!("{} records read from the stream", read.load(Ordering::Relaxed));
    home.stop(Duration::from_secs(10)).await.unwrap();
}
