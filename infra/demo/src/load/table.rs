//! Figures, and the tables that show them.

use super::Wanted;
use super::clients::Step;
use super::process::Used;
use crate::report::Cost;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How long something took, over all that succeeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// How many there were.
    pub count: u64,
    /// Half took less.
    pub p50: Duration,
    /// Nine of ten took less.
    pub p90: Duration,
    /// Ninety-nine of a hundred took less.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Waits {
    /// Reads what was kept in microseconds.
    pub(crate) fn of(wait: &Histogram<u64>) -> Self {
        let quantile = |share| Duration::from_micros(wait.value_at_quantile(share));
        Self {
            count: wait.len(),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            max: Duration::from_micros(wait.max()),
        }
    }
}

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// What the clients asked for.
    pub wanted: Wanted,
    /// On how many events.
    pub events: usize,
    /// How many clients there were.
    pub clients: usize,
    /// Until the last answer.
    pub elapsed: Duration,
    /// How long each step took, as far as it succeeded.
    pub waits: BTreeMap<Step, Waits>,
    /// Answers that nobody should get, by what was asked and the code.
    pub answers: BTreeMap<String, u64>,
    /// What is wrong with the places afterwards, in words.
    pub faults: Vec<String>,
    /// What the server's process used until it had come to rest, where that is known.
    pub server: Option<Used>,
    /// What this process used meanwhile, where that is known.
    pub own: Option<Used>,
    /// The server's accounting by action, schedules aside; empty where it does not tell.
    pub costs: BTreeMap<String, Cost>,
    /// How long the server went on working after the last answer: mails, and messages nobody waits for.
    pub rest: Duration,
}

impl Measured {
    /// How often clients got what they asked for.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.waits.get(&Step::All).map_or(0, |waits| waits.count)
    }

    /// Answers that nobody should get.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.answers.values().sum()
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of some seconds")]
    fn each(&self, sum: f64) -> f64 {
        sum / (self.done() as f64).max(1.0)
    }

    fn name(&self) -> String {
        let events = if self.events == 1 { "1 event".to_owned() } else { format!("{} events", self.events) };
        format!("{} | {events} | {}", self.wanted.word(), self.clients)
    }
}

/// Everything that was measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Load {
    /// In the order of measuring.
    pub measured: Vec<Measured>,
    /// Server and clients are one process: its CPU time and memory are those of both.
    pub together: bool,
}

impl Load {
    /// What is not as it should be, in words; nothing that depends on time.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for measured in &self.measured {
            let name = format!("{}, {} clients", measured.wanted.word(), measured.clients);
            let answers = measured.answers.iter().map(|(what, times)| format!("{name}: {times} × {what}"));
            faults.extend(answers);
            faults.extend(measured.faults.iter().map(|fault| format!("{name}: {fault}")));
        }
        faults
    }
}

/// Milliseconds with one digit behind the point.
fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1_000.0)
}

/// Mebibytes, whole.
const fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1024 * 1024)
}

/// What is known, and a dash for what is not.
fn or_dash(known: Option<String>) -> String {
    known.unwrap_or_else(|| "–".to_owned())
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nWhat came through: for how many a second, and how long each took, in milliseconds\n")?;
        writeln!(f, "| what | on | clients | done | a second | p50 | p90 | p99 | max | errors |")?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|---|")?;
        for measured in &self.measured {
            let waits = measured.waits.get(&Step::All).copied().unwrap_or_default();
            #[allow(clippy::cast_precision_loss, reason = "counts of some seconds")]
            let rate = waits.count as f64 / measured.elapsed.as_secs_f64().max(f64::EPSILON);
            let [p50, p90, p99, max] = [waits.p50, waits.p90, waits.p99, waits.max].map(milliseconds);
            let (name, count, errors) = (measured.name(), waits.count, measured.errors());
            writeln!(f, "| {name} | {count} | {rate:.0} | {p50} | {p90} | {p99} | {max} | {errors} |")?;
        }
        self.steps(f)?;
        self.costs(f)
    }
}

impl Load {
    fn steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bookings: Vec<_> =
            self.measured.iter().filter(|measured| measured.wanted == Wanted::Bookings).collect();
        if bookings.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nThe steps of a booking: p50 / p99 in milliseconds\n")?;
        writeln!(f, "| what | on | clients | {} |", Step::OF_A_BOOKING.map(Step::word).join(" | "))?;
        writeln!(f, "|---|---|---{}|", "|---".repeat(Step::OF_A_BOOKING.len()))?;
        for measured in bookings {
            let cells = Step::OF_A_BOOKING.map(|step| {
                let waits = measured.waits.get(&step).copied().unwrap_or_default();
                format!("{} / {}", milliseconds(waits.p50), milliseconds(waits.p99))
            });
            writeln!(f, "| {} | {} |", measured.name(), cells.join(" | "))?;
        }
        Ok(())
    }

    fn costs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nWhat one took: milliseconds of CPU time, calls and capacity units at the store; all that follows from it \
             included. Memory in MiB.\n"
        )?;
        let server = if self.together { "CPU server and clients" } else { "CPU server" };
        writeln!(
            f,
            "| what | on | clients | {server} | of it tables | CPU clients | memory | round trips | write units | \
             read units | at rest after |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|---|---|")?;
        for measured in &self.measured {
            let each = |time: Duration| format!("{:.2}", measured.each(time.as_secs_f64() * 1_000.0));
            let used = |part: fn(&Used) -> Duration| or_dash(measured.server.as_ref().map(part).map(each));
            let own = measured.own.filter(|_| !self.together).map(|own| each(own.cpu));
            let memory =
                measured.server.map(|used| format!("{} → {}", mebibytes(used.before), mebibytes(used.after)));
            let sum = |part: fn(&Cost) -> f64| {
                let known = !measured.costs.is_empty() || measured.wanted == Wanted::Refusals;
                let sum = measured.each(measured.costs.values().map(part).sum());
                or_dash(known.then(|| format!("{sum:.2}")))
            };
            writeln!(
                f,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {:.1} s |",
                measured.name(),
                used(|used| used.cpu),
                used(|used| used.store),
                or_dash(own),
                or_dash(memory),
                sum(|cost| cost.round_trips),
                sum(|cost| cost.write_units),
                sum(|cost| cost.read_units),
                measured.rest.as_secs_f64()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        let ms = Duration::from_millis;
        let all = Waits { count: 400, p50: ms(3), p90: ms(5), p99: ms(8), max: ms(13) };
        let cost = Cost { runs: 400.0, round_trips: 400.0, write_units: 600.0, read_units: 0.0 };
        Measured {
            wanted: Wanted::Holds,
            events: 1,
            clients: 16,
            elapsed: ms(2_000),
            waits: [(Step::All, all)].into(),
            answers: BTreeMap::new(),
            faults: Vec::new(),
            server: Some(Used { cpu: ms(1_000), store: ms(200), before: 1 << 20, after: 3 << 20 }),
            own: Some(Used { cpu: ms(100), store: ms(0), before: 1, after: 1 }),
            costs: [("POST /v1/holds".to_owned(), cost)].into(),
            rest: ms(300),
        }
    }

    #[test]
    fn the_tables_show_rates_waits_and_shares() {
        let text = Load { measured: vec![measured()], together: false }.to_string();
        assert!(text.contains("| holds | 1 event | 16 | 400 | 200 | 3.0 | 5.0 | 8.0 | 13.0 | 0 |"), "{text}");
        let took = "| holds | 1 event | 16 | 2.50 | 0.50 | 0.25 | 1 → 3 | 1.00 | 1.50 | 0.00 | 0.3 s |";
        assert!(text.contains(took), "{text}");
        assert!(!text.contains("steps"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_one_process_is_not_told_apart() {
        let stranger = Measured { server: None, costs: BTreeMap::new(), ..measured() };
        let text = Load { measured: vec![stranger], together: false }.to_string();
        assert!(text.contains("| – | – | 0.25 | – | – | – | – |"), "{text}");
        let text = Load { measured: vec![measured()], together: true }.to_string();
        assert!(text.contains("CPU server and clients") && text.contains("| 2.50 | 0.50 | – |"), "{text}");
    }

    #[test]
    fn a_booking_shows_its_steps() {
        let booking = Measured { wanted: Wanted::Bookings, ..measured() };
        let text = Load { measured: vec![booking], together: false }.to_string();
        assert!(text.contains("| hold | order | payment | pay | ticket |"), "{text}");
    }

    #[test]
    fn only_answers_and_places_are_faults() {
        let good = measured();
        assert!(Load { measured: vec![good.clone()], together: false }.faults().is_empty());
        let answers = [("hold: 503 busy".to_owned(), 3)].into();
        let bad = Measured { answers, faults: vec!["evt_1: 3 places taken of 2".to_owned()], ..good };
        let faults = Load { measured: vec![bad], together: false }.faults();
        assert_eq!(
            faults,
            ["holds, 16 clients: 3 × hold: 503 busy", "holds, 16 clients: evt_1: 3 places taken of 2"]
        );
    }
}
