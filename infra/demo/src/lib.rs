//! A real on-sale against a running server, over HTTP alone.
//!
//! An organiser sets an event up, a crowd arrives on the curve of a sale that really happened, people pay, pay twice, pay
//! late and walk away, what they left is sold again, every ticket is scanned twice, and in the end the books of all
//! sides must balance. The server may be killed and started again at any moment: everything that is sent is safe to
//! repeat. [`run`] is the whole; [`Options`] say how large, [`Report`] what came of it.
//!
//! | module | holds |
//! |---|---|
//! | this one | [`Options`], [`DemoError`], [`run`]: the story from beginning to end |
//! | [`curve`] | when buyers arrive (pure) |
//! | [`plan`] | who they are and how they behave (pure) |
//! | `random` | the seeded numbers behind the plan (pure) |
//! | `tally` | latencies, the peak, the moment of sold out (pure) |
//! | [`load`] | another story: how much a server takes |
//! | [`books`] | what all sides say, and every way in which they can disagree (pure) |
//! | `report` | figures and the table (pure) |
//! | `wire` | requests that are repeated until they are answered |
//! | `staff` | the organiser, the gate person, and the event they set up |
//! | `buyer`, `provider` | one buyer's way, and paying at the provider's sandbox as a browser does |
//! | `crowd` | the waves of buyers, each a task of its own |
//! | `settle`, `clock` | waiting for paid orders, and for time to pass |
//! | `gate` | every ticket twice |
//! | `ledger` | fetches the books |
//! | `progress` | what is seen meanwhile |

pub mod books;
mod buyer;
mod clock;
mod crowd;
pub mod curve;
mod gate;
mod ledger;
pub mod load;
pub mod plan;
mod progress;
mod provider;
mod random;
mod report;
mod settle;
mod staff;
mod tally;
mod wire;

pub use report::{Cost, Report};
pub use tally::{Action, Latency};

use books::{Books, Fate, Fault};
use buyer::{Purchase, Shop};
use gate::Gate;
use plan::Conduct;
use progress::Progress;
use staff::OnSale;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Call, Wire};

/// How long the books may take to balance: mails are still on their way, availability is a second old.
const BALANCE: Duration = Duration::from_secs(90);
/// Only after this long without balance is the clock moved.
const TIDY_AFTER: Duration = Duration::from_secs(6);
/// How often a server tidies up what expired, and a second, seconds.
const TIDY_SECONDS: i64 = 301;

/// Which sale to run, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Where the server listens, `http://127.0.0.1:8080`.
    pub url: String,
    /// Places on sale, 10 to 100,000.
    pub capacity: u32,
    /// Plans the sale: the same seed brings the same people at the same times.
    pub seed: u64,
    /// Divides all times of the plan: 2.0 makes the crowd twice as fast. Above 0, at most 1,000.
    pub speed: f64,
    /// How many times the capacity the rush wants, 0.1 to 100. Below 1 there is no need to be refused.
    pub demand: f64,
    /// At most so many later waves for places that came back.
    pub waves: u32,
    /// Shows no progress and prints no table: the caller reads the [`Report`].
    pub quiet: bool,
    /// The key with which browsers call the provider's sandbox.
    pub publishable_key: String,
    /// The shop's key at the provider's sandbox. With it the books use the provider's whole list; without it, each
    /// payment as its buyer sees it.
    pub secret_key: Option<String>,
}

impl Options {
    /// The sale that was observed, at its own speed, against this server.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            capacity: curve::OBSERVED_TICKETS,
            seed: 1,
            speed: 1.0,
            demand: 1.6,
            waves: 4,
            quiet: false,
            publishable_key: "pk_test_sandbox".to_owned(),
            secret_key: None,
        }
    }

    /// A small sale for tests: 40 places, ten times as fast, without a sound.
    #[must_use]
    pub fn small(url: impl Into<String>) -> Self {
        Self { capacity: 40, speed: 10.0, quiet: true, ..Self::new(url) }
    }

    fn check(&self) -> Result<(), DemoError> {
        let wrong = |what: &str| Err(DemoError::Options(what.to_owned()));
        if !(10..=100_000).contains(&self.capacity) {
            return wrong("capacity must be between 10 and 100,000");
        }
        if !(self.speed > 0.0 && self.speed <= 1_000.0) {
            return wrong("speed must be above 0 and at most 1,000");
        }
        if !(0.1..=100.0).contains(&self.demand) {
            return wrong("demand must be between 0.1 and 100");
        }
        Ok(())
    }
}

/// Why the demo did not come to a good end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// An option is out of its bounds.
    #[error("{0}")]
    Options(String),
    /// The server did not answer for two minutes, however often it was asked.
    #[error("{what}: no answer for two minutes: {cause}")]
    Unreachable {
        /// The request.
        what: String,
        /// The last failure.
        #[source]
        cause: reqwest::Error,
    },
    /// An answer that the story has no place for.
    #[error("{what} was answered {status}: {why}")]
    Unexpected {
        /// The request.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of the answer, or what is wrong with it.
        why: String,
    },
    /// A mail that must come did not.
    #[error("mail: {0}")]
    Mail(String),
    /// The operating system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// The latencies cannot be kept.
    #[error("latencies: {0}")]
    Latencies(#[from] hdrhistogram::CreationError),
    /// A part of the demo itself broke.
    #[error("a task of the demo broke: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// The table could not be printed.
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
    /// A load that was not answered as it should be.
    #[error("not as it should be: {}", faults.join("; "))]
    Load {
        /// What is wrong, in words.
        faults: Vec<String>,
        /// The figures all the same.
        load: Box<load::Load>,
    },
    /// The books do not balance.
    #[error("the books do not balance: {}", listed(faults))]
    Unbalanced {
        /// Every fault that was found.
        faults: Vec<Fault>,
        /// The figures all the same.
        report: Box<Report>,
    },
}

/// The first faults in words, and how many more there are.
fn listed(faults: &[Fault]) -> String {
    let shown: Vec<String> = faults.iter().take(20).map(ToString::to_string).collect();
    match faults.len().saturating_sub(shown.len()) {
        0 => shown.join("; "),
        more => format!("{}; and {more} more", shown.join("; ")),
    }
}

/// A key that nobody guesses: a version 4 UUID.
fn fresh_key() -> Result<String, DemoError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(DemoError::Random)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
}

/// Runs the sale. It prints its progress on standard error and the table on standard output, unless it is to be quiet.
///
/// It needs a Tokio runtime with time and I/O; one thread is enough.
///
/// # Errors
/// [`DemoError::Unbalanced`] names every book that does not balance; all others mean that the story could not be told
/// to its end.
pub async fn run(options: Options) -> Result<Report, DemoError> {
    options.check()?;
    let wire = Wire::new(&options.url, options.seed, tally::Tally::new()?)?;
    let progress = Progress::new(options.quiet);
    let outcome = Box::pin(story(&options, wire, &progress)).await;
    progress.end();
    let (report, faults) = outcome?;
    if !options.quiet {
        writeln!(std::io::stdout().lock(), "{report}")?;
    }
    if faults.is_empty() {
        return Ok(report);
    }
    Err(DemoError::Unbalanced { faults, report: Box::new(report) })
}

async fn story(
    options: &Options,
    wire: Wire,
    progress: &Progress,
) -> Result<(Report, Vec<Fault>), DemoError> {
    let tag: String = fresh_key()?.chars().take(8).collect();
    let before = meter(&wire).await?;
    progress.phase("setting up", 0);
    let on_sale = Arc::new(OnSale::set_up(&wire, options, &tag).await?);
    let shop = Arc::new(Shop {
        wire,
        event: on_sale.event.clone(),
        offer: on_sale.offer.clone(),
        publishable_key: options.publishable_key.clone(),
        tag,
        speed: options.speed,
    });

    let sale = Box::pin(crowd::sell(options, &shop, &on_sale, progress)).await?;
    let mut gate = gate::scan_all(&shop, &on_sale, &sale.purchases, &sale.fates, progress).await?;
    gate.capacity = options.capacity;
    gate.surprises.extend(sale.surprises.iter().cloned());

    progress.phase("checking the books", 0);
    let (books, mails) = balance(options, &shop, &on_sale, &sale.purchases, &gate).await?;
    let mut costs = meter(&shop.wire).await?;
    for (action, cost) in &mut costs {
        *cost = cost.since(before.get(action).copied().unwrap_or_default());
    }
    costs.retain(|_, cost| cost.runs > 0.0 || cost.round_trips > 0.0);
    let report = report(&shop, &sale, &gate, &books, mails, costs);
    Ok((report, books.faults()))
}

/// Reads the books until they balance, or for as long as they can be expected to. What expired is counted as free only
/// when somebody needs it or the server tidies up: where the clock can be moved, that hour comes sooner.
async fn balance(
    options: &Options,
    shop: &Arc<Shop>,
    on_sale: &OnSale,
    purchases: &[Purchase],
    gate: &Gate,
) -> Result<(Books, usize), DemoError> {
    let (began, mut tidied) = (Instant::now(), false);
    loop {
        let secret_key = options.secret_key.as_deref();
        let (books, mails) = ledger::read(shop, on_sale, secret_key, purchases, gate).await?;
        let faults = books.faults();
        // An oversell does not go away by waiting, nor does a surprise.
        let hopeless = |fault: &Fault| matches!(fault, Fault::Oversold { .. } | Fault::Surprise(_));
        if faults.is_empty() || faults.iter().any(hopeless) || began.elapsed() > BALANCE {
            return Ok((books, mails));
        }
        let places = faults.iter().any(|fault| matches!(fault, Fault::Places { .. }));
        if places && !tidied && began.elapsed() > TIDY_AFTER {
            tidied = true;
            clock::advance(&shop.wire, TIDY_SECONDS).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The server's own accounting; empty where it has none.
async fn meter(wire: &Wire) -> Result<BTreeMap<String, Cost>, DemoError> {
    let answer = wire.send(&Call::get("/_local/meter")).await?;
    if !answer.is_success() {
        return Ok(BTreeMap::new());
    }
    answer.value()
}

fn report(
    shop: &Shop,
    sale: &crowd::Sale,
    gate: &Gate,
    books: &Books,
    mails: usize,
    costs: BTreeMap<String, Cost>,
) -> Report {
    let tally = &shop.wire.tally;
    let count =
        |fits: &dyn Fn(&Purchase) -> bool| sale.purchases.iter().filter(|purchase| fits(purchase)).count();
    let late = |fate| {
        let ended = |purchase: &Purchase| sale.fates.get(&purchase.order) == Some(&fate);
        count(&|purchase| purchase.conduct == Conduct::PaysLate && ended(purchase))
    };
    let stuck = |order: &&books::Order| order.fate == Fate::Stuck;
    Report {
        capacity: books.capacity,
        sold: books.sold(),
        oversold: books.oversold(),
        left: books.left,
        buyers: sale.buyers,
        refused: tally.refused.get(),
        refusals: tally.refusals.get(),
        abandoned: tally.abandoned.get(),
        returned: books.capacity.saturating_sub(sale.sold_in_rush),
        resold: books.sold().saturating_sub(sale.sold_in_rush),
        late_sold: late(Fate::Confirmed),
        late_released: late(Fate::Released)
            + count(&|purchase| purchase.conduct == Conduct::PaysLate && !purchase.paid),
        declined: tally.declined.get(),
        clicked_twice: count(&|purchase| purchase.conduct == Conduct::PaysTwice),
        paid_twice: books.paid_twice().len(),
        stuck: books.orders.values().filter(stuck).count(),
        tickets: books.issued(),
        mails,
        scans_refused: gate.refused,
        peak: tally.peak(),
        sold_out: tally.taken(books.capacity),
        lost_answers: tally.lost_answers.get(),
        asked_to_wait: tally.asked_to_wait.get(),
        latencies: tally.latencies(),
        costs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_bounds() {
        let good = Options::new("http://127.0.0.1:1");
        assert!(good.check().is_ok());
        assert!(Options::small("http://127.0.0.1:1").check().is_ok());
        assert!(Options { capacity: 9, ..good.clone() }.check().is_err());
        assert!(Options { speed: 0.0, ..good.clone() }.check().is_err());
        assert!(Options { speed: f64::NAN, ..good.clone() }.check().is_err());
        assert!(Options { demand: 0.0, ..good }.check().is_err());
    }

    #[test]
    fn keys_are_version_4_uuids_and_never_the_same() {
        let (one, two) = (fresh_key().unwrap(), fresh_key().unwrap());
        assert_ne!(one, two);
        assert_eq!(uuid::Uuid::parse_str(&one).unwrap().get_version_num(), 4);
    }

    #[test]
    fn an_unbalanced_book_says_which_and_not_a_thousand_times() {
        let faults: Vec<Fault> = (0..25).map(|n| Fault::Stuck(format!("ord_{n}"))).collect();
        let error = DemoError::Unbalanced { faults, report: Box::default() }.to_string();
        assert!(error.contains("ord_0 is stuck") && error.ends_with("and 5 more"), "{error}");
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_at_once() {
        assert!(matches!(run(Options::small("nonsense")).await, Err(DemoError::Options(_))));
        assert!(matches!(run(Options::small("ftp://x.org")).await, Err(DemoError::Options(_))));
    }
}
