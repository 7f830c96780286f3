//! Serves the sandboxes on loopback, Stripe below `/_stripe`, Razorpay below `/_razorpay` and mail below `/_mail`, kept
//! in memory or in the folder given: `cargo run -p tessera-sandbox --example serve -- port [webhook-url [folder]]`.
#![allow(clippy::disallowed_methods, reason = "a program of its own: here the clock is made")]
#![allow(clippy::print_stdout, reason = "an example that reports")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use tessera_sandbox::mail::Mail;
use tessera_sandbox::razorpay::{Razorpay, RazorpayOptions};
use tessera_sandbox::stripe::{Stripe, StripeOptions};
use tessera_sandbox::{Clock, Storage, mail, razorpay, stripe};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = format!("127.0.0.1:{}", arguments.next().unwrap_or_else(|| "12111".into()));
    let webhook_url = arguments.next().filter(|url| !url.is_empty());
    let folder = arguments.next();
    let storage = |name: &str| match &folder {
        Some(folder) => Storage::File(Path::new(folder).join(name)),
        None => Storage::Memory,
    };
    let clock: Clock = Arc::new(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    });
    let base_url = format!("http://{address}/_stripe");
    let mut options = StripeOptions::new("sk_test_sandbox", "whsec_sandbox", base_url, Arc::clone(&clock));
    options.webhook_url = webhook_url.clone();
    let base_url = format!("http://{address}/_razorpay");
    let (key, secret) = ("rzp_test_sandbox", "sandbox_secret");
    let mut rupees = RazorpayOptions::new(key, secret, "whsec_sandbox", base_url, Arc::clone(&clock));
    rupees.webhook_url = webhook_url;
    let router = Router::new()
        .nest("/_stripe", stripe::router(Stripe::open(&storage("stripe.db"), options)?))
        .nest("/_razorpay", razorpay::router(Razorpay::open(&storage("razorpay.db"), rupees)?))
        .nest("/_mail", mail::router(Mail::open(&storage("mail.db"), clock)?));
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("http://{address}/_stripe (sk_test_sandbox, whsec_sandbox), http://{address}/_mail");
    println!("http://{address}/_razorpay (rzp_test_sandbox:sandbox_secret, whsec_sandbox)");
    axum::serve(listener, router).await?;
    Ok(())
}
