//! Sends, then receives and deletes, as fast as one process can, on a file in the folder given or a temporary one:
//! `cargo run --release -p tessera-sqs --example throughput [-- folder]`.
#![allow(clippy::print_stdout, reason = "an example that reports")]

use std::sync::Arc;
use std::time::Instant;

use tessera_sqs::{NewMessage, Options, Receive, Result, Sqs, Storage};

const MESSAGES: u32 = 50_000;

#[tokio::main]
async fn main() -> Result<()> {
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
    for end in ["", "-wal"] {
        if let Err(cause) = std::fs::remove_file(format!("{}{end}", file.display())) {
            println!("{}{end}: {cause}", file.display());
        }
    }
    Ok(())
}

fn report(name: &str, what: &str, start: Instant) {
    let rate = f64::from(MESSAGES) / start.elapsed().as_secs_f64();
    println!("{name:>6}: {rate:>8.0}/s {what}");
}
