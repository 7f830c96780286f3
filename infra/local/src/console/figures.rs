//! The meter: what each action costs at the store.

use super::{Answer, Fields, Shared};
use axum::extract::State;
use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;

#[derive(Serialize)]
struct Row {
    action: String,
    runs: u64,
    round_trips: f64,
    write_units: f64,
    read_units: f64,
}

pub(super) async fn show(State(console): Shared, asked: Fields) -> Answer {
    let tallies = console.home()?.meter().tallies();
    let rows: Vec<_> = tallies
        .into_iter()
        .map(|(action, tally)| Row {
            action: if action.is_empty() { "(outside of any action)".to_owned() } else { action.to_string() },
            runs: tally.runs,
            round_trips: u32::try_from(tally.round_trips).map_or(f64::INFINITY, f64::from),
            write_units: tally.write_units,
            read_units: tally.read_units,
        })
        .collect();
    console.page("figures.html", "Figures", &asked, context! { rows => Serde(rows) })
}
