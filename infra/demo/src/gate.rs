//! The gate: every ticket is scanned twice; the first time it admits, the second time it must not.

use crate::books::Fate;
use crate::buyer::{Purchase, Shop};
use crate::progress::Progress;
use crate::staff::OnSale;
use crate::tally::Action;
use crate::wire::Call;
use crate::{DemoError, clock, fresh_key};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Scanners at the entrance.
const SCANNERS: usize = 32;
/// How long before the start gates admit.
const EARLY: SignedDuration = SignedDuration::from_hours(4);

/// What the gate saw.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub(crate) capacity: u32,
    /// Tickets of each order, by id.
    pub(crate) tickets: BTreeMap<String, Vec<String>>,
    /// Second scans that were refused.
    pub(crate) refused: u64,
    /// What was not as it must be.
    pub(crate) surprises: Vec<String>,
}

#[derive(Deserialize)]
struct Tickets {
    items: Vec<Ticket>,
}

#[derive(Clone, Deserialize)]
struct Ticket {
    id: String,
    code: String,
}

#[derive(Deserialize)]
struct Admitted {
    result: String,
}

/// What one order's people met at the gate.
struct Met {
    order: String,
    tickets: Vec<String>,
    refused: u64,
    surprises: Vec<String>,
}

/// Scans everything that was sold.
///
/// # Errors
/// As [`crate::wire::Wire::send`]; [`DemoError::Unexpected`] if tickets cannot be read or the event is over.
pub(crate) async fn scan_all(
    shop: &Arc<Shop>,
    on_sale: &Arc<OnSale>,
    purchases: &[Purchase],
    fates: &BTreeMap<String, Fate>,
    progress: &Progress,
) -> Result<Gate, DemoError> {
    let now = clock::past(&shop.wire, &on_sale.gate, (on_sale.starts - EARLY).as_second()).await?;
    let mut gate = Gate::default();
    if now >= on_sale.ends {
        gate.surprises.push("the event was over before its gates were reached".to_owned());
        return Ok(gate);
    }
    let sold: Vec<&Purchase> =
        purchases.iter().filter(|purchase| fates.get(&purchase.order) == Some(&Fate::Confirmed)).collect();
    progress.phase("gates: every ticket twice", sold.len());
    let scanners = Arc::new(Semaphore::new(SCANNERS));
    let mut queue = JoinSet::new();
    for purchase in sold {
        let (shop, on_sale, purchase, scanners) =
            (Arc::clone(shop), Arc::clone(on_sale), purchase.clone(), Arc::clone(&scanners));
        queue.spawn(async move {
            // Never closed; a closed one would mean that nobody scans any more.
            let _scanner = scanners.acquire().await.map_err(|error| DemoError::Options(error.to_string()))?;
            enter(&shop, &on_sale, &purchase).await
        });
    }
    while let Some(met) = queue.join_next().await {
        let Met { order, tickets, refused, surprises } = met??;
        gate.tickets.insert(order, tickets);
        gate.refused += refused;
        gate.surprises.extend(surprises);
        progress.step();
        progress.say(format!("{} second scans refused", gate.refused));
    }
    Ok(gate)
}

async fn enter(shop: &Shop, on_sale: &OnSale, purchase: &Purchase) -> Result<Met, DemoError> {
    let call = Call::get("/v1/tickets").query("order", purchase.order.as_str());
    let Tickets { items } = shop.wire.send(&call.bearer(purchase.token.as_str())).await?.value()?;
    let mut met = Met {
        order: purchase.order.clone(),
        tickets: items.iter().map(|ticket| ticket.id.clone()).collect(),
        refused: 0,
        surprises: Vec::new(),
    };
    for Ticket { id, code } in items {
        for (time, gate) in ["first", "second"].into_iter().zip(["north", "south"]) {
            let call = Call::post("/v1/scans").key(fresh_key()?).timed(Action::Scan);
            let call = call.json(&json!({"event": on_sale.event, "gate": gate, "code": code}));
            let answer = on_sale.gate.send(&shop.wire, call).await?;
            let admitted =
                answer.is_success() && answer.value::<Admitted>()?.result.eq_ignore_ascii_case("valid");
            let used = answer.status == 409 && answer.is("ticket_used");
            match time {
                "first" if admitted => {}
                "second" if used => met.refused += 1,
                _ => met.surprises.push(format!("{id}, {time} scan: {}", answer.unexpected())),
            }
        }
    }
    Ok(met)
}
