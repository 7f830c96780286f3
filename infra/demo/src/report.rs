//! What came of it: figures, and the table that shows them.

use crate::tally::Latency;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What the server's own accounting says of one action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct Cost {
    /// How often it ran to its end.
    pub runs: f64,
    /// Calls to the store.
    pub round_trips: f64,
    /// Write units consumed.
    pub write_units: f64,
    /// Read units consumed.
    pub read_units: f64,
}

/// The figures of one demo.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// Places there were.
    pub capacity: u32,
    /// Places sold, by the organiser's bookings.
    pub sold: u32,
    /// Places sold beyond the capacity: 0 when the books balance.
    pub oversold: u32,
    /// Places left, by the public page.
    pub left: u32,
    /// Buyers who came, in all waves.
    pub buyers: usize,
    /// Buyers who went without places.
    pub refused: u64,
    /// Answers "sold out"; a buyer may hear it twice.
    pub refusals: u64,
    /// Places that buyers held or ordered and abandoned.
    pub abandoned: u64,
    /// Places that were not sold in the rush and came back when their holds had ended.
    pub returned: u32,
    /// Of these, places that were sold afterwards.
    pub resold: u32,
    /// Orders paid after their hold that got places.
    pub late_sold: usize,
    /// Orders paid after their hold whose money was let go.
    pub late_released: usize,
    /// Cards that were declined at first.
    pub declined: u64,
    /// Orders whose buyer pressed "pay" twice.
    pub clicked_twice: usize,
    /// Orders for which money was taken twice: 0 when the books balance.
    pub paid_twice: usize,
    /// Orders that reached no end: 0 when the books balance.
    pub stuck: usize,
    /// Tickets issued.
    pub tickets: usize,
    /// Mails sent in this run, the staff's codes included.
    pub mails: usize,
    /// Second scans that were refused.
    pub scans_refused: u64,
    /// The most purchases paid within one second of the rush.
    pub peak: usize,
    /// From the opening until the last place was held; `None` if that never was.
    pub sold_out: Option<Duration>,
    /// Requests that were repeated because no answer came.
    pub lost_answers: u64,
    /// Requests that were repeated because the server said "later".
    pub asked_to_wait: u64,
    /// How long each action took.
    pub latencies: Vec<Latency>,
    /// The server's accounting by action; empty where it does not tell.
    pub costs: BTreeMap<String, Cost>,
}

impl Cost {
    /// What was added since an earlier look. A server that was restarted in between counts from nothing again.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        if self.runs < before.runs || self.round_trips < before.round_trips {
            return self;
        }
        Self {
            runs: self.runs - before.runs,
            round_trips: self.round_trips - before.round_trips,
            write_units: self.write_units - before.write_units,
            read_units: self.read_units - before.read_units,
        }
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "  {name:<38} {value}")
}

/// Milliseconds with one digit behind the point.
fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1_000.0)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nThe sale")?;
        row(f, "places", self.capacity)?;
        row(f, "sold", self.sold)?;
        row(f, "oversold", self.oversold)?;
        row(f, "left", self.left)?;
        row(f, "buyers who came", self.buyers)?;
        row(f, "buyers refused (answers sold out)", format!("{} ({})", self.refused, self.refusals))?;
        row(f, "places abandoned", self.abandoned)?;
        row(f, "places back after the rush, resold", format!("{}, {}", self.returned, self.resold))?;
        let late = format!("{} / {}", self.late_sold, self.late_released);
        row(f, "late payers: got places / released", late)?;
        row(f, "cards declined at first", self.declined)?;
        let twice = format!("{} / {}", self.clicked_twice, self.paid_twice);
        row(f, "paid with two clicks / taken twice", twice)?;
        row(f, "orders stuck", self.stuck)?;
        row(f, "tickets issued", self.tickets)?;
        row(f, "mails sent", self.mails)?;
        row(f, "second scans refused", self.scans_refused)?;
        row(f, "peak purchases in one second", self.peak)?;
        match self.sold_out {
            Some(time) => row(f, "all places taken after", format!("{:.1} s", time.as_secs_f64()))?,
            None => row(f, "all places taken after", "not in the rush")?,
        }
        row(
            f,
            "requests repeated: lost / told later",
            format!("{} / {}", self.lost_answers, self.asked_to_wait),
        )?;
        writeln!(f, "\nHow long people waited, in milliseconds")?;
        writeln!(f, "  {:<10}{:>8}{:>10}{:>10}{:>10}{:>10}", "action", "count", "p50", "p90", "p99", "max")?;
        for Latency { action, count, p50, p90, p99, max } in &self.latencies {
            let [p50, p90, p99, max] = [*p50, *p90, *p99, *max].map(milliseconds);
            writeln!(f, "  {:<10}{count:>8}{p50:>10}{p90:>10}{p99:>10}{max:>10}", action.word())?;
        }
        if self.costs.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nWhat it cost at the store, for one run on average")?;
        let (trips, writes, reads) = ("round trips", "write units", "read units");
        writeln!(f, "  {:<44}{:>8}{trips:>13}{writes:>13}{reads:>12}", "action", "runs")?;
        for (action, Cost { runs, round_trips, write_units, read_units }) in &self.costs {
            let each = |sum: f64| sum / runs.max(1.0);
            let (trips, writes, reads) = (each(*round_trips), each(*write_units), each(*read_units));
            writeln!(f, "  {action:<44}{runs:>8.0}{trips:>13.2}{writes:>13.2}{reads:>12.2}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Action;

    #[test]
    fn the_table_shows_every_figure_and_leaves_out_what_is_not_known() {
        let ms = Duration::from_millis;
        let latency =
            Latency { action: Action::Hold, count: 9, p50: ms(3), p90: ms(5), p99: ms(8), max: ms(13) };
        let mut report = Report { capacity: 40, sold: 40, latencies: vec![latency], ..Report::default() };
        let text = report.to_string();
        assert!(text.contains("hold") && text.contains("13.0"), "{text}");
        assert!(text.contains("not in the rush") && !text.contains("write units"), "{text}");
        let cost = Cost { runs: 4.0, round_trips: 4.0, write_units: 6.0, read_units: 0.0 };
        report.costs.insert("POST /v1/holds".to_owned(), cost);
        assert!(report.to_string().contains("1.50"));
    }

    #[test]
    fn a_restarted_meter_counts_from_nothing() {
        let cost = |runs| Cost { runs, round_trips: runs, write_units: runs, read_units: runs };
        assert_eq!(cost(9.0).since(cost(4.0)), cost(5.0));
        assert_eq!(cost(3.0).since(cost(4.0)), cost(3.0));
    }
}
