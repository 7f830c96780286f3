//! The first page: what is wrong, the clock, how much of everything there is, and the schedules.

use super::queues::Row;
use super::{Answer, Console, Failure, Fields, Shared, back, blocking, link};
use crate::{Home, HomeError};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest the clock is moved at once, seconds: a year.
const FARTHEST: u64 = 366 * 24 * 60 * 60;
/// How many payments are looked at for counting: the newest.
const COUNTED_PAYMENTS: u32 = 500;
/// The buttons that move the clock.
const STEPS: [(u64, &str); 4] = [(60, "+1 min"), (600, "+10 min"), (3_600, "+1 h"), (86_400, "+1 day")];

/// Something an operator should know before anything else.
#[derive(Serialize)]
pub(super) struct Trouble {
    /// Broken, rather than only switched on or waiting.
    pub(super) grave: bool,
    what: String,
    link: String,
}

/// Everything that is not as it should be. Asked for by every page, so it reads little.
pub(super) fn troubles(console: &Console, home: &Home) -> Result<Vec<Trouble>, Failure> {
    let mut troubles = Vec::new();
    let mut tell = |grave, what: String, link: String| troubles.push(Trouble { grave, what, link });
    if home.faults().crashed() {
        let what = "The stores have crashed on purpose: every call fails until their faults are cleared";
        tell(true, what.to_owned(), link("/faults", &[]));
    }
    for row in super::queues::rows(home)? {
        if let Some(dead) = row.dead.filter(|dead| dead.count > 0) {
            let what = format!("{} in {}", plural(dead.count, "dead letter"), dead.name);
            tell(true, what, dead.link);
        }
    }
    let failed = home.requests().iter().filter(|request| request.status >= 500).count();
    if failed > 0 {
        let what = format!("{} failed (5xx)", plural(failed, "recent request"));
        tell(true, what, link("/requests", &[("only", "5xx")]));
    }
    let rules = home.faults().rules();
    if !rules.is_empty() {
        let what = format!("{} switched on for the stores", plural(rules.len(), "fault"));
        tell(false, what, link("/faults", &[]));
    }
    for (on, whose) in [
        (super::faults::payment_switches(&console.stripe.switches())?, "payment provider"),
        (super::faults::mail_switches(&console.mail.switches())?, "mail service"),
    ] {
        if !on.is_empty() {
            let what = format!("The {whose} misbehaves on purpose: {}", on.join(", "));
            tell(false, what, link("/faults", &[]));
        }
    }
    let undelivered = console.stripe.undelivered()?;
    if undelivered > 0 {
        tell(false, format!("{} not delivered yet", plural(undelivered, "webhook")), link("/payments", &[]));
    }
    Ok(troubles)
}

fn plural(count: impl TryInto<i64>, what: &str) -> String {
    let count = count.try_into().unwrap_or(i64::MAX);
    format!("{} {what}{}", super::show::count(count), if count == 1 { "" } else { "s" })
}

#[derive(Serialize)]
struct Schedule {
    name: String,
    expression: String,
    next_ms: Option<i64>,
}

#[derive(Serialize, Default)]
struct Requests {
    total: usize,
    good: usize,
    refused: usize,
    failed: usize,
}

/// What the page reads from the stores.
struct Counted {
    queues: Vec<Row>,
    tables: BTreeMap<String, u64>,
    mails: u64,
    payments: BTreeMap<&'static str, u64>,
    undelivered: u64,
}

pub(super) async fn show(State(console): Shared, asked: Fields) -> Answer {
    let home = console.home()?;
    let read = console.clone();
    let counted = blocking(move || count(&read)).await?;
    let mut requests = Requests::default();
    for request in home.requests() {
        requests.total += 1;
        match request.status {
            ..400 => requests.good += 1,
            400..500 => requests.refused += 1,
            500.. => requests.failed += 1,
        }
    }
    let schedules: Vec<_> = home
        .schedules()
        .into_iter()
        .map(|(name, expression, next)| {
            let next_ms = next.map(jiff::Timestamp::as_millisecond);
            Schedule { name, expression, next_ms }
        })
        .collect();
    let live = asked.get("live").is_some();
    console.page(
        "overview.html",
        "Overview",
        &asked,
        context! {
            url => home.url(),
            data => console.data.as_ref().map(|data| data.display().to_string()),
            steps => STEPS,
            requests => Serde(requests),
            queues => Serde(counted.queues),
            tables => counted.tables,
            mails => counted.mails,
            payments => counted.payments,
            counted_payments => COUNTED_PAYMENTS,
            undelivered => counted.undelivered,
            calls => home.faults().calls(),
            schedules => Serde(schedules),
            live,
            live_at => "/console",
        },
    )
}

fn count(console: &Console) -> Result<Counted, Failure> {
    let home = console.home()?;
    let mut payments = BTreeMap::new();
    for payment in console.stripe.payments(0, COUNTED_PAYMENTS)? {
        *payments.entry(payment.status.name()).or_default() += 1;
    }
    Ok(Counted {
        queues: super::queues::rows(&home)?,
        tables: home.tables()?,
        mails: console.mail.count(None)?,
        payments,
        undelivered: console.stripe.undelivered()?,
    })
}

pub(super) async fn advance(State(console): Shared, body: Bytes) -> Result<Response, Failure> {
    let home = console.home()?;
    let seconds = Fields::parse(&body).get("seconds").and_then(|seconds| seconds.parse::<u64>().ok());
    let outcome = match seconds {
        Some(seconds @ 1..=FARTHEST) => home
            .advance(Duration::from_secs(seconds))
            .await
            .map(|()| format!("The clock is now at {} UTC.", super::show::time(console.now())))
            .map_err(|error: HomeError| error.to_string()),
        _ => Err("Say by how many seconds, at most a year.".to_owned()),
    };
    Ok(back("", outcome))
}

pub(super) async fn run(State(console): Shared, body: Bytes) -> Result<Response, Failure> {
    let home = console.home()?;
    let form = Fields::parse(&body);
    let name = form.get("name").unwrap_or_default();
    let outcome = home.run_schedule(name).await.map(|_| format!("{name} has run."));
    Ok(back("", outcome.map_err(|error| format!("{name}: {error}"))))
}
