//! The last requests to the API.

use super::{Answer, Fields, Shared};
use crate::gateway::Recorded;
use axum::extract::State;
use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;

#[derive(Serialize)]
struct Row {
    at_ms: i64,
    class: u16,
    #[serde(flatten)]
    request: Recorded,
}

pub(super) async fn list(State(console): Shared, asked: Fields) -> Answer {
    let all = console.home()?.requests();
    let only = asked.get("only").filter(|only| ["4xx", "5xx", "slow"].contains(only));
    // The slowest first; otherwise the newest.
    let fits = |request: &Recorded| match only {
        Some("4xx") => (400..500).contains(&request.status),
        Some("5xx") => request.status >= 500,
        _ => true,
    };
    let (total, failed) = (all.len(), all.iter().filter(|request| request.status >= 500).count());
    let refused = all.iter().filter(|request| (400..500).contains(&request.status)).count();
    let mut times: Vec<u64> = all.iter().map(|request| request.ms).collect();
    times.sort_unstable();
    let percentile =
        |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    let mut rows: Vec<_> = all.into_iter().filter(fits).collect();
    if only == Some("slow") {
        rows.sort_by_key(|request| std::cmp::Reverse(request.ms));
    }
    let rows: Vec<_> = rows
        .into_iter()
        .map(|request| Row { at_ms: request.at.as_millisecond(), class: request.status / 100, request })
        .collect();
    let live = asked.get("live").is_some();
    console.page(
        "requests.html",
        "Requests",
        &asked,
        context! {
            rows => Serde(rows),
            total, failed, refused, only,
            half => percentile(50),
            most => percentile(95),
            slowest => times.last(),
            live,
            live_at => "/console/requests",
        },
    )
}
