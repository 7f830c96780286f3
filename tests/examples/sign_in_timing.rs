//! How long each answer to a sign-in takes: what an attacker with a stopwatch learns about who has an account.
//!
//! `cargo run -p tessera-tests --release --example sign_in_timing [ROUNDS]`
//!
//! Kinds are asked in turn, each round in another order, so that whatever else the machine does hits all of them. Addresses
//! that wait after too many tries are many, and asked in turn, so that those of the other kinds never wait.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "an example")]

use jiff::SignedDuration;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tessera_local::whole::{Whole, WholeOptions};

const PASSWORD: &str = "correct horse";
const KINDS: [&str; 5] = ["unknown", "wrong password", "unverified", "locked, known", "locked, unknown"];

struct Client {
    http: reqwest::Client,
    whole: Whole,
}

impl Client {
    async fn post(&self, path: &str, body: Value) -> (u16, Duration) {
        let begun = Instant::now();
        let answer = self.http.post(format!("{}{path}", self.whole.url())).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        answer.bytes().await.unwrap();
        (status, begun.elapsed())
    }

    async fn sign_up(&self, email: &str) {
        let body = json!({"email": email, "password": PASSWORD, "name": "Ada"});
        assert_eq!(self.post("/v1/accounts", body).await.0, 202);
    }

    async fn account(&self, email: &str) {
        self.sign_up(email).await;
        self.whole.settle(Duration::from_secs(60)).await.unwrap();
        let subject = self.whole.mail().list(Some(email), 0, 1).unwrap()[0].subject.clone();
        let code = subject.split(' ').next().unwrap().to_owned();
        let proof = json!({"email": email, "code": code, "password": PASSWORD});
        assert_eq!(self.post("/v1/accounts/verify", proof).await.0, 204);
    }

    async fn guess(&self, email: &str) -> (u16, Duration) {
        self.post("/v1/sessions", json!({"email": email, "password": "wrong horse"})).await
    }

    /// Until the next guess waits for a quarter of an hour.
    async fn lock(&self, emails: &[&str]) {
        for _ in 0..16 {
            self.whole.advance(SignedDuration::from_mins(16)).await;
            for email in emails {
                assert_eq!(self.guess(email).await.0, 401);
            }
        }
    }
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

#[tokio::main]
async fn main() {
    let rounds: usize = std::env::args().nth(1).map_or(200, |text| text.parse().unwrap());
    let whole = Whole::start(WholeOptions::default()).await.unwrap();
    let client = Client { http: reqwest::Client::new(), whole };
    // Four guesses at an address are free: as many addresses as it takes.
    let many = rounds.div_ceil(4);
    for at in 0..many {
        client.account(&format!("known{at}@example.org")).await;
        client.sign_up(&format!("waiting{at}@example.org")).await;
    }
    client.account("locked@example.org").await;
    let mut times: [Vec<Duration>; KINDS.len()] = Default::default();
    for round in 0..rounds {
        if round % 40 == 0 {
            // They wait for minutes, and rounds take some: anew.
            client.whole.advance(SignedDuration::from_hours(25)).await;
            client.lock(&["locked@example.org", "nobody@example.org"]).await;
        }
        let own = round / 4;
        for place in 0..KINDS.len() {
            let kind = (place + round) % KINDS.len();
            let (email, expected) = match kind {
                0 => (format!("unknown{own}@example.org"), 401),
                1 => (format!("known{own}@example.org"), 401),
                2 => (format!("waiting{own}@example.org"), 401),
                3 => ("locked@example.org".to_owned(), 429),
                _ => ("nobody@example.org".to_owned(), 429),
            };
            let (status, took) = client.guess(&email).await;
            assert_eq!(status, expected, "{email}");
            times[kind].push(took);
        }
    }
    println!("{rounds} rounds, milliseconds\n\n| answer to | median | middle half |\n|---|---|---|");
    for (kind, times) in KINDS.iter().zip(&mut times) {
        let median = median(times);
        let at = |quarter: usize| times[times.len() * quarter / 4].as_secs_f64() * 1e3;
        println!("| {kind} | {median:.2} | {:.2} to {:.2} |", at(1), at(3));
    }
}
