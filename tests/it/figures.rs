//! Counted, not timed: round trips and capacity units of each action, from the store's own accounting.

use crate::support::World;
use serde_json::json;
use std::collections::BTreeMap;
use tessera::telemetry::Tally;
use tessera_local::figures::BROUGHT;

/// What one action cost since `before`, per run.
fn since(
    before: &BTreeMap<std::sync::Arc<str>, Tally>,
    after: &BTreeMap<std::sync::Arc<str>, Tally>,
    action: &str,
) -> (f64, f64, f64) {
    let was = before.get(action).copied().unwrap_or_default();
    let is = after.get(action).copied().unwrap_or_else(|| panic!("{action} never ran: {:?}", after.keys()));
    #[allow(clippy::cast_precision_loss)]
    let (runs, trips) = ((is.runs - was.runs) as f64, (is.round_trips - was.round_trips) as f64);
    (trips / runs, (is.write_units - was.write_units) / runs, (is.read_units - was.read_units) / runs)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_one_round_trip_and_one_write_unit() {
    let world = World::new().await;
    let sale = world.sale(5_000, json!({})).await;
    world.hold(&sale, 1).await;
    // The catalogue is read anew every two seconds, which may fall into a batch of ten, but not into all of them.
    for _ in 0..20 {
        let before = world.whole.home().meter().tallies();
        for _ in 0..10 {
            world.try_hold(&sale, 1).await.ok();
        }
        let after = world.whole.home().meter().tallies();
        let (trips, writes, reads) = since(&before, &after, "POST /v1/holds");
        assert!((writes - 1.0).abs() < 0.001, "{writes} write units");
        if (trips, reads) == (1.0, 0.0) {
            return;
        }
    }
    panic!("no batch of holds took one round trip each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sold_out_answer_costs_nothing_within_its_second() {
    let world = World::new().await;
    let sale = world.sale(1, json!({})).await;
    world.hold(&sale, 1).await;
    // A frozen moment: the verdict is believed for one second of the home's clock, so ask until a whole burst falls
    // into one.
    for _ in 0..20 {
        world.try_hold(&sale, 1).await.refused(409, "sold_out");
        let before = world.whole.home().meter().tallies();
        for _ in 0..5 {
            world.try_hold(&sale, 1).await.refused(409, "sold_out");
        }
        let after = world.whole.home().meter().tallies();
        if since(&before, &after, "POST /v1/holds") == (0.0, 0.0, 0.0) {
            return;
        }
    }
    panic!("no burst of refusals was free");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_costs_what_the_table_says() {
    let table = tessera_local::figures::count().await.unwrap();
    println!("{table}");
    for row in &table.rows {
        let (trips, writes) = (row.cost.round_trips, row.cost.write_units);
        assert!(row.trips_allowed.is_none_or(|allowed| trips <= allowed), "{row:#?}");
        assert!(row.writes_allowed.is_none_or(|allowed| writes <= allowed), "{row:#?}");
    }
    let paid = table.paid_booking().unwrap();
    assert!(paid <= 3.3, "{paid} write units for a paid booking");
    // What was counted, the whole purchase and what is raced for apart: more than this is a change somebody should know of.
    let alone = table.rows[..table.rows.len() - 1].iter().filter(|row| row.action != BROUGHT);
    let counted: Vec<_> = alone.map(|row| (row.cost.round_trips, row.cost.write_units)).collect();
    let pinned = [
        (1, 1.0),
        (3, 2.0),
        (1, 1.0),
        (1, 1.0),
        (1, 1.0),
        (3, 1.0),
        (5, 1.0),
        (4, 1.0),
        (14, 11.0),
        (16, 24.0),
        (13, 7.0),
        (0, 0.0),
        (9, 2.0),
        (3, 3.0),
        (4, 4.0),
        (2, 2.0),
        (4, 4.0),
    ];
    assert_eq!(counted, pinned, "{table}");
    // A lane's partition takes 1,000 write units a second. With so many keys, evenly used, so many thousand holds a second.
    let keys: Vec<usize> = table.spreads.iter().map(|spread| spread.keys).collect();
    assert_eq!(keys[..4], [1, 5, 44, 1], "{table}");
    assert_eq!(keys[5], 10, "{table}");
    let most = [1.0, 0.35, 0.06, 1.0, 1.0, 0.2];
    for (spread, most) in table.spreads.iter().zip(most) {
        assert!(spread.hottest <= most, "{table}");
    }
}
