//! Makes, confirms and captures payments over loopback HTTP as fast as one process can, sixteen clients at once, on a
//! file in the folder given or a temporary one, while every event is delivered to a receiver in the same process:
//! `cargo run --release -p tessera-sandbox --example sandbox_throughput [-- folder]`.
#![allow(clippy::print_stdout, reason = "an example that reports")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use reqwest::Client;
use tessera_sandbox::Storage;
use tessera_sandbox::stripe::{Stripe, StripeOptions, router};

const CLIENTS: u32 = 16;
const EACH: u32 = 500;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let file = folder.join(format!("throughput-{}.db", std::process::id()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut options =
        StripeOptions::new("sk_test", "whsec", format!("http://{address}"), Arc::new(|| 1_800_000_000_000));
    options.webhook_url = Some(format!("http://{address}/hook"));
    let stripe = Stripe::open(&Storage::File(file.clone()), options)?;
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let hook = move || {
        counter.fetch_add(1, Ordering::Relaxed);
        std::future::ready(())
    };
    let router = Router::new().route("/hook", post(hook)).merge(router(Arc::clone(&stripe)));
    let server = tokio::spawn(axum::serve(listener, router).into_future());

    let start = Instant::now();
    let clients = (0..CLIENTS).map(|client| tokio::spawn(buy(format!("http://{address}/v1"), client)));
    for client in clients.collect::<Vec<_>>() {
        client.await?.map_err(|error| error.to_string())?;
    }
    let took = start.elapsed().as_secs_f64();
    let payments = f64::from(CLIENTS * EACH);
    println!("{:.0} payments/s ({payments} in {took:.2} s), three calls each", payments / took);
    let meanwhile = taken.load(Ordering::Relaxed);
    while stripe.undelivered()? > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let all = taken.load(Ordering::Relaxed);
    println!("{meanwhile} events delivered meanwhile, {all} after {:.2} s", start.elapsed().as_secs_f64());
    server.abort();
    drop(stripe);
    if let Err(cause) = std::fs::remove_file(&file) {
        println!("{} stays: {cause}", file.display());
    }
    Ok(())
}

async fn buy(api: String, number: u32) -> Result<(), Box<dyn Error + Send + Sync>> {
    let client = Client::builder().no_proxy().build()?;
    let call = async |path: String, step: String, form: &[(&str, &str)]| {
        let request = client.post(format!("{api}/{path}")).bearer_auth("sk_test");
        let response = request.header("idempotency-key", step).form(form).send().await?.error_for_status()?;
        response.json::<serde_json::Value>().await
    };
    for count in 0..EACH {
        let step = |name: &str| format!("{number}-{count}-{name}");
        let form = [
            ("amount", "2450"),
            ("currency", "eur"),
            ("capture_method", "manual"),
            ("payment_method_types[]", "card"),
            ("metadata[order]", "7"),
        ];
        let intent = call("payment_intents".into(), step("create"), &form).await?;
        let id = intent["id"].as_str().unwrap_or_default();
        let confirm = [("payment_method", "pm_card_visa")];
        call(format!("payment_intents/{id}/confirm"), step("confirm"), &confirm).await?;
        call(format!("payment_intents/{id}/capture"), step("capture"), &[]).await?;
    }
    Ok(())
}
