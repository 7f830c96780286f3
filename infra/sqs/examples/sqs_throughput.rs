//! Sends, then receives and deletes, as fast as one process can, on a file in the folder given or a temporary one:
//! `cargo run --release -p tessera-sqs --example sqs_throughput [-- folder]`.
#![allow(clippy::print_stdout, reason = "an example that reports")]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use axum::serve::ListenerExt as _;
use tessera_sqs::{NewMessage, Options, Receive, Sqs, Storage, router};

const MESSAGES: u32 = 50_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let file = folder.join(format!("throughput-{}.db", std::process::id()));
    for (name, storage) in [("memory", Storage::Memory), ("file", Storage::File(file.clone()))] {
        let sqs = Sqs::open(&storage, Options::new("http://localhost", Arc::new(|| 1_800_000_000_000)))?;
        sqs.create_queue("orders", &[].into())?;
        let message = NewMessage::new("x".repeat(500));

        let start = Instant::now();
        for _ in 0..MESSAGES {
            sqs.send("orders", &message)?;
        }
        report(name, "sends", start);

        let start = Instant::now();
        for _ in 0..MESSAGES {
            for message in sqs.receive("orders", &Receive::default()).await? {
                sqs.delete("orders", &message.receipt_handle.unwrap_or_default())?;
            }
        }
        report(name, "receives and deletes, one by one", start);

        let start = Instant::now();
        for _ in 0..MESSAGES / 10 {
            sqs.send_batch("orders", &vec![message.clone(); 10])?;
        }
        report(name, "sends in tens", start);

        let ten = Receive { max: 10, ..Receive::default() };
        let start = Instant::now();
        for _ in 0..MESSAGES / 10 {
            let got = sqs.receive("orders", &ten).await?;
            let handles: Vec<&str> = got.iter().filter_map(|m| m.receipt_handle.as_deref()).collect();
            sqs.delete_batch("orders", &handles)?;
        }
        report(name, "receives and deletes in tens", start);
    }
    if let Err(cause) = std::fs::remove_file(&file) {
        println!("{} stays: {cause}", file.display());
    }
    over_http().await
}

/// The same through the AWS SDK and loopback HTTP, with sixteen clients; most of the time is the SDK's.
async fn over_http() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let sqs = Sqs::open(&Storage::Memory, Options::new(&url, Arc::new(|| 1_800_000_000_000)))?;
    let queue = sqs.create_queue("orders", &[].into())?;
    let app = router(sqs);
    let server = tokio::spawn(async move { axum::serve(listener.tap_io(nodelay), app).await });
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("local"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(&url)
        .build();
    let client = aws_sdk_sqs::Client::from_conf(config);
    let start = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (client, queue) = (client.clone(), queue.clone());
        clients.spawn(async move {
            for _ in 0..MESSAGES / 16 {
                client.send_message().queue_url(&queue).message_body("x".repeat(500)).send().await?;
            }
            Ok::<_, aws_sdk_sqs::Error>(())
        });
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    report("http", "sends", start);
    server.abort();
    Ok(())
}

fn nodelay(stream: &mut tokio::net::TcpStream) {
    if let Err(cause) = stream.set_nodelay(true) {
        println!("without TCP_NODELAY: {cause}");
    }
}

fn report(name: &str, what: &str, start: Instant) {
    let rate = f64::from(MESSAGES) / start.elapsed().as_secs_f64();
    println!("{name:>6}: {rate:>8.0}/s {what}");
}
