//! How much a running server takes: clients that ask for one thing again and again, counted, timed, and checked.
//!
//! Each measurement has its own events and its own number of clients; every client sends its next request when the one
//! before was answered. Nothing is repeated: an answer that should not come is counted by its code. What the time was
//! spent on is told for the server's process and for this one, and what it cost at the store by the server's meter. A
//! measurement is over when the server has come to rest, so that mails and tickets of one are not paid for by the next.
//!
//! It measures and judges nothing by time. It fails only if places were oversold or lost, or an answer was not the one
//! that is expected.
//!
//! | module | holds |
//! |---|---|
//! | this one | [`Options`], [`run`]: one measurement after the other |
//! | `sales` | the events on sale, and whether their places add up afterwards |
//! | `clients` | who asks, and what is counted |
//! | `process` | CPU time and memory of a process, where Linux tells |
//! | `table` | figures and tables (pure) |

mod clients;
mod process;
mod sales;
mod table;

pub use clients::Step;
pub use process::Used;
pub use table::{Load, Measured, Waits};

use crate::progress::Progress;
use crate::report::Cost;
use crate::wire::{CONNECTIONS, Wire};
use crate::{DemoError, tally};
use clients::Counts;
use process::Usage;
use sales::Organiser;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that clients may ask, seconds: with [`PLACES_A_SECOND`] the largest event there can be.
const LONGEST: u32 = 20;
/// Places on sale for each second of holds: more than can be taken in it.
const PLACES_A_SECOND: u32 = 5_000;
/// How long a server may take to come to rest.
const REST: Duration = Duration::from_secs(120);
/// For how long nothing may have been stored or read until that is called rest.
const STILL: Duration = Duration::from_secs(1);
/// Between two looks at the meter meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// What clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// One place, kept.
    Holds,
    /// One place where all are taken.
    Refusals,
    /// One place, from the hold until it is paid and its ticket issued.
    Bookings,
}

impl Wanted {
    /// All, in the order of measuring.
    pub const ALL: [Self; 3] = [Self::Holds, Self::Refusals, Self::Bookings];

    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Refusals => "refusals",
            Self::Bookings => "bookings",
        }
    }
}

/// A part of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// This, on one event that everybody wants.
    Hot(Wanted),
    /// All, on many events at once.
    Many,
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "many" {
            return Ok(Self::Many);
        }
        let hot = Wanted::ALL.into_iter().find(|wanted| wanted.word() == text).map(Self::Hot);
        hot.ok_or_else(|| "holds, refusals, bookings or many is expected".to_owned())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hot(wanted) => wanted.word(),
            Self::Many => "many",
        })
    }
}

/// What to measure, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Where the server listens. It must be a local home: the organiser's code is read from its mailbox.
    pub url: String,
    /// The server's process, if it runs on this machine; without it nothing is known of its CPU time and memory.
    pub server: Option<u32>,
    /// How many clients ask at once, 1 to 256 each: one round of measurements for each.
    pub clients: Vec<usize>,
    /// For how long they begin anew, seconds, 1 to 20. What they have begun they finish.
    pub seconds: u32,
    /// Only these parts; all if there are none.
    pub only: Vec<Part>,
    /// How many events "many" are, 1 to 200.
    pub events: usize,
    /// Shows no progress and prints no table: the caller reads the [`Load`].
    pub quiet: bool,
}

impl Options {
    /// Everything, with 16 and with 256 clients, five seconds each.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            server: None,
            clients: vec![16, 256],
            seconds: 5,
            only: Vec::new(),
            events: 50,
            quiet: false,
        }
    }

    fn check(&self) -> Result<(), DemoError> {
        let wrong = |what: String| Err(DemoError::Options(what));
        if self.clients.is_empty() || self.clients.iter().any(|clients| !(1..=CONNECTIONS).contains(clients))
        {
            return wrong(format!("clients must be between 1 and {CONNECTIONS}"));
        }
        if !(1..=LONGEST).contains(&self.seconds) {
            return wrong(format!("seconds must be between 1 and {LONGEST}"));
        }
        if !(1..=200).contains(&self.events) {
            return wrong("events must be between 1 and 200".to_owned());
        }
        Ok(())
    }

    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// What is asked for, on how many events, by how many clients; in the order of measuring.
    fn plan(&self) -> Vec<(Wanted, usize, usize)> {
        let mut plan = Vec::new();
        for clients in &self.clients {
            let hot = Wanted::ALL.into_iter().filter(|wanted| self.wants(Part::Hot(*wanted)));
            plan.extend(hot.map(|wanted| (wanted, 1, *clients)));
            if self.wants(Part::Many) {
                plan.extend(Wanted::ALL.map(|wanted| (wanted, self.events, *clients)));
            }
        }
        plan
    }

    /// Places of each event.
    fn capacity(&self, wanted: Wanted, events: usize) -> u32 {
        match wanted {
            Wanted::Refusals => 1,
            Wanted::Holds | Wanted::Bookings => {
                let all = self.seconds.saturating_mul(PLACES_A_SECOND);
                all.div_ceil(u32::try_from(events).unwrap_or(u32::MAX))
            }
        }
    }
}

/// Measures. It prints its progress on standard error and the tables on standard output, unless it is to be quiet.
///
/// It needs a Tokio runtime with time and I/O.
///
/// # Errors
/// [`DemoError::Load`] if places were oversold or lost, or an answer was not the expected one; the tables are printed all
/// the same. All others mean that it could not be measured to the end.
pub async fn run(options: Options) -> Result<Load, DemoError> {
    options.check()?;
    let wire = Arc::new(Wire::new(&options.url, 1, tally::Tally::new()?)?);
    let progress = Progress::new(options.quiet);
    let measured = Box::pin(measure_all(&options, &wire, &progress)).await;
    progress.end();
    let load = Load { measured: measured?, together: options.server == Some(std::process::id()) };
    if !options.quiet {
        writeln!(std::io::stdout().lock(), "{load}")?;
    }
    match load.faults() {
        faults if faults.is_empty() => Ok(load),
        faults => Err(DemoError::Load { faults, load: Box::new(load) }),
    }
}

async fn measure_all(
    options: &Options,
    wire: &Arc<Wire>,
    progress: &Progress,
) -> Result<Vec<Measured>, DemoError> {
    progress.phase("setting up", 0);
    let organiser = Organiser::join(wire).await?;
    let mut measured = Vec::new();
    for (wanted, events, clients) in options.plan() {
        progress.phase(&format!("{}, {events} events, {clients} clients", wanted.word()), 0);
        measured.push(Box::pin(measure(options, wire, &organiser, wanted, events, clients)).await?);
    }
    Ok(measured)
}

async fn measure(
    options: &Options,
    wire: &Arc<Wire>,
    organiser: &Organiser,
    wanted: Wanted,
    events: usize,
    clients: usize,
) -> Result<Measured, DemoError> {
    let sales = Arc::new(organiser.open(wire, events, options.capacity(wanted, events)).await?);
    if wanted == Wanted::Refusals {
        sales::sell_out(wire, &sales).await?;
    }
    let (before, _) = rest(wire).await?;
    let usage = || (options.server.and_then(Usage::of), Usage::of(std::process::id()));
    let (server, own) = usage();

    let counts = Arc::new(Counts::new()?);
    let time = Duration::from_secs(options.seconds.into());
    let elapsed = clients::run(wire, wanted, &sales, clients, time, &counts).await?;
    let answered = Instant::now();
    let (after, last) = rest(wire).await?;

    let (server_after, own_after) = usage();
    let mut costs = after;
    for (action, cost) in &mut costs {
        *cost = cost.since(before.get(action).copied().unwrap_or_default());
    }
    costs.retain(|_, cost| cost.runs > 0.0 || cost.round_trips > 0.0);
    let mut measured = Measured {
        wanted,
        events,
        clients,
        elapsed,
        waits: counts.waits(),
        answers: counts.answers(),
        faults: Vec::new(),
        server: Usage::between(server, server_after),
        own: Usage::between(own, own_after),
        costs,
        rest: last.saturating_duration_since(answered),
    };
    measured.faults = organiser.check(wire, wanted, &sales, measured.done()).await?;
    Ok(measured)
}

/// Waits until nothing happens any more: what everything cost by then, schedules aside, and when that last changed.
async fn rest(wire: &Wire) -> Result<(BTreeMap<String, Cost>, Instant), DemoError> {
    let began = Instant::now();
    let mut known = meter(wire).await?;
    let mut changed = began;
    loop {
        tokio::time::sleep(LOOK).await;
        let now = meter(wire).await?;
        if now != known {
            (known, changed) = (now, Instant::now());
        }
        if changed.elapsed() >= STILL {
            return Ok((known, changed));
        }
        if began.elapsed() > REST {
            let why = format!("it has not come to rest within {} s", REST.as_secs());
            return Err(DemoError::Unexpected { what: "GET /_local/meter".to_owned(), status: 200, why });
        }
    }
}

async fn meter(wire: &Wire) -> Result<BTreeMap<String, Cost>, DemoError> {
    let mut costs = crate::meter(wire).await?;
    // These come when it is time, whatever the clients do.
    costs.retain(|action, _| !action.starts_with("schedule "));
    Ok(costs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_chosen_by_their_words() {
        let mut options = Options::new("http://127.0.0.1:1");
        assert_eq!(options.plan().len(), 12);
        options.only = vec!["holds".parse().unwrap(), "many".parse().unwrap()];
        options.clients = vec![4];
        let all = [
            (Wanted::Holds, 1, 4),
            (Wanted::Holds, 50, 4),
            (Wanted::Refusals, 50, 4),
            (Wanted::Bookings, 50, 4),
        ];
        assert_eq!(options.plan(), all);
        assert!("tickets".parse::<Part>().is_err());
    }

    #[test]
    fn there_are_more_places_than_can_be_taken_and_events_no_larger_than_allowed() {
        let options = Options { seconds: LONGEST, ..Options::new("http://127.0.0.1:1") };
        assert_eq!(options.capacity(Wanted::Holds, 1), 100_000);
        assert_eq!(options.capacity(Wanted::Bookings, 50), 2_000);
        assert_eq!(options.capacity(Wanted::Refusals, 50), 1);
    }

    #[test]
    fn options_have_bounds() {
        let good = Options::new("http://127.0.0.1:1");
        assert!(good.check().is_ok());
        assert!(Options { clients: vec![], ..good.clone() }.check().is_err());
        assert!(Options { clients: vec![16, 257], ..good.clone() }.check().is_err());
        assert!(Options { seconds: 0, ..good.clone() }.check().is_err());
        assert!(Options { events: 0, ..good }.check().is_err());
    }
}
