//! Deliveries: when each event is sent, how it is signed, and what becomes of it.
//!
//! An event waits in the store until its receiver has taken it. What runs here only orders the waiting ones; after a
//! restart all that were not taken are due at once. An answer other than 2xx, a redirect included, is a failure.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use aws_lc_rs::hmac;
use futures_util::future::join_all;
use reqwest::Client;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::error::{Error, Result};
use super::switches::{SignWith, Switches};
use super::{Stripe, StripeOptions, lock, store, wire};
use crate::random;

/// How long to leave the store alone after it failed.
const STORE_TROUBLE: Duration = Duration::from_secs(1);

/// Which events are sent when.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// Those that wait, soonest first, and of these the oldest first.
    waiting: BinaryHeap<Reverse<(Instant, i64)>>,
    /// Those asked for one by one, which neither wait nor are held.
    asked: VecDeque<i64>,
}

impl Schedule {
    /// Everything due now.
    pub(crate) fn of(sequences: Vec<i64>) -> Self {
        let now = Instant::now();
        let waiting = sequences.into_iter().map(|sequence| Reverse((now, sequence))).collect();
        Self { waiting, asked: VecDeque::new() }
    }

    /// What has just happened.
    pub(crate) fn add(&mut self, sequences: &[i64], switches: &Switches) -> Result<()> {
        let now = Instant::now() + Duration::from_millis(switches.webhook_delay_ms);
        for sequence in sequences {
            let shuffled = match switches.webhook_shuffle_ms {
                0 => 0,
                most => random::up_to(most)?,
            };
            self.waiting.push(Reverse((now + Duration::from_millis(shuffled), *sequence)));
        }
        Ok(())
    }

    pub(crate) fn ask(&mut self, sequence: i64) {
        self.asked.push_back(sequence);
    }

    fn again(&mut self, sequence: i64, wait: Duration) {
        self.waiting.push(Reverse((Instant::now() + wait, sequence)));
    }

    /// Takes the next that is to be sent now, and says whether it was asked for.
    fn take(&mut self, hold: bool) -> Option<(i64, bool)> {
        if let Some(sequence) = self.asked.pop_front() {
            return Some((sequence, true));
        }
        let due = !hold && self.waiting.peek().is_some_and(|Reverse((at, _))| *at <= Instant::now());
        let Reverse((_, sequence)) = if due { self.waiting.pop()? } else { return None };
        Some((sequence, false))
    }

    /// When the next becomes due, if one waits and may go.
    fn next(&self, hold: bool) -> Option<Instant> {
        self.waiting.peek().filter(|_| !hold).map(|Reverse((at, _))| *at)
    }
}

/// One delivery.
struct Delivery {
    sequence: i64,
    asked: bool,
    /// The failures before this one.
    failures: u32,
    url: String,
    signature: String,
    body: String,
    copies: usize,
}

/// How a delivery went.
struct Outcome {
    sequence: i64,
    asked: bool,
    failures: u32,
    status: Option<u16>,
    trouble: Option<String>,
}

impl Outcome {
    fn taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

pub(crate) fn client(options: &StripeOptions) -> Result<Client> {
    Client::builder()
        .timeout(options.delivery_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent("Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .build()
        .map_err(Error::internal)
}

/// Delivers for as long as the sandbox is there.
pub(crate) async fn deliver(stripe: Weak<Stripe>, bell: Arc<Notify>, client: Client) {
    let mut running: JoinSet<Outcome> = JoinSet::new();
    loop {
        let Some(sandbox) = stripe.upgrade() else { return };
        let next = match start(&sandbox, &client, &mut running) {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "webhooks wait: the payment store cannot be read");
                Some(Instant::now() + STORE_TROUBLE)
            }
        };
        drop(sandbox);
        let due = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        let first = tokio::select! {
            () = bell.notified() => None,
            () = due => None,
            Some(first) = running.join_next() => Some(first),
        };
        // All that ended meanwhile are noted in one write.
        let ended = first.into_iter().chain(std::iter::from_fn(|| running.try_join_next()));
        let ended: Vec<Outcome> = ended
            .filter_map(|outcome| {
                outcome.inspect_err(|error| tracing::error!(%error, "a webhook delivery broke off")).ok()
            })
            .collect();
        if ended.is_empty() {
            continue;
        }
        let Some(sandbox) = stripe.upgrade() else { return };
        if let Err(error) = settle(&sandbox, &ended) {
            tracing::error!(%error, "deliveries are repeated: the payment store cannot be written");
            let mut schedule = lock(&sandbox.schedule);
            ended.iter().for_each(|outcome| schedule.again(outcome.sequence, STORE_TROUBLE));
        }
    }
}

/// Starts as many deliveries as are due and may run; answers when the next is due, if there is room for it.
fn start(stripe: &Stripe, client: &Client, running: &mut JoinSet<Outcome>) -> Result<Option<Instant>> {
    let Some(url) = lock(&stripe.webhook_url).clone() else { return Ok(None) };
    let switches = stripe.switches();
    while running.len() < stripe.options.concurrency.max(1) {
        let Some((sequence, asked)) = lock(&stripe.schedule).take(switches.hold_webhooks) else {
            return Ok(lock(&stripe.schedule).next(switches.hold_webhooks));
        };
        let read = store::event_at(&lock(&stripe.store), sequence);
        let event = match read {
            Ok(event) => event,
            Err(error) => {
                lock(&stripe.schedule).again(sequence, STORE_TROUBLE);
                return Err(error);
            }
        };
        // One that was asked for while it waited has been taken already.
        let Some(mut event) = event.filter(|event| asked || event.delivered_ms.is_none()) else { continue };
        if let Some(object) = event.body.as_object_mut() {
            object.insert("pending_webhooks".into(), 1.into());
        }
        let body = wire::pretty(&event.body);
        let delivery = Delivery {
            sequence,
            asked,
            failures: event.attempts,
            url: url.clone(),
            signature: sign(&stripe.options, switches.sign_with, &body),
            body,
            copies: 1 + usize::try_from(switches.webhook_duplicates).unwrap_or(0),
        };
        running.spawn(send(client.clone(), delivery));
    }
    Ok(None)
}

/// Sends all copies at once; one that is taken is enough.
async fn send(client: Client, delivery: Delivery) -> Outcome {
    let copies = (0..delivery.copies).map(|_| {
        let request = client
            .post(&delivery.url)
            .header("content-type", "application/json; charset=utf-8")
            .header("cache-control", "no-cache")
            .header("stripe-signature", &delivery.signature)
            .body(delivery.body.clone());
        async move { request.send().await.map(|response| response.status()) }
    });
    let answers = join_all(copies).await;
    let taken = answers.iter().flatten().find(|status| status.is_success());
    let status = taken.or_else(|| answers.iter().flatten().next()).map(reqwest::StatusCode::as_u16);
    let trouble = match status {
        Some(_) => None,
        None => {
            answers.into_iter().find_map(|answer| answer.err()).map(|error| error.without_url().to_string())
        }
    };
    let Delivery { sequence, asked, failures, .. } = delivery;
    Outcome { sequence, asked, failures, status, trouble }
}

/// Notes how deliveries went, and lets those that failed wait for another.
fn settle(stripe: &Stripe, ended: &[Outcome]) -> Result<()> {
    let now = (stripe.options.clock)();
    let mut store = lock(&stripe.store);
    let tx = store.transaction()?;
    for outcome in ended {
        let delivered = outcome.taken().then_some(now);
        store::note_attempt(&tx, outcome.sequence, delivered, outcome.status, outcome.trouble.as_deref())?;
    }
    tx.commit()?;
    drop(store);
    for outcome in ended.iter().filter(|outcome| !outcome.taken() && !outcome.asked) {
        let doubled = stripe.options.retry_first.saturating_mul(1 << outcome.failures.min(16));
        lock(&stripe.schedule).again(outcome.sequence, doubled.min(stripe.options.retry_most));
    }
    Ok(())
}

/// The `Stripe-Signature` header: the time in seconds, and per secret an HMAC over time, dot and body.
fn sign(options: &StripeOptions, with: SignWith, body: &str) -> String {
    let now = (options.clock)().div_euclid(1_000);
    let previous = options.previous_webhook_secret.as_ref();
    let secrets = match with {
        SignWith::Current => [Some(&options.webhook_secret), None],
        SignWith::Previous => [None, previous],
        SignWith::Both => [Some(&options.webhook_secret), previous],
    };
    let payload = format!("{now}.{body}");
    let mut header = format!("t={now}");
    for secret in secrets.into_iter().flatten() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        header.push_str(",v1=");
        for byte in hmac::sign(&key, payload.as_bytes()).as_ref() {
            header.push_str(&format!("{byte:02x}"));
        }
    }
    header
}
