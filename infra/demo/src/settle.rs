//! Waiting until every paid order is settled.

use crate::DemoError;
use crate::books::Fate;
use crate::buyer::{Purchase, Shop};
use crate::ledger::OrderView;
use crate::progress::Progress;
use crate::tally::Count;
use crate::wire::Call;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Between two looks at an order: the first pause, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// When an order last settled.
#[derive(Debug)]
struct Pulse {
    last: Mutex<Instant>,
    still: Duration,
}

impl Pulse {
    fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_still(&self) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > self.still
    }
}

/// The fate of every paid order among these; [`Fate::Stuck`] for those that had not settled when for `still` none did.
///
/// # Errors
/// As [`crate::wire::Wire::send`].
pub(crate) async fn settle(
    shop: &Arc<Shop>,
    purchases: &[Purchase],
    still: Duration,
    progress: &Progress,
) -> Result<BTreeMap<String, Fate>, DemoError> {
    let paid: Vec<&Purchase> = purchases.iter().filter(|purchase| purchase.paid).collect();
    progress.phase("settling", paid.len());
    let pulse = Arc::new(Pulse { last: Mutex::new(Instant::now()), still });
    let sold = Arc::new(Count::default());
    let mut waiting = JoinSet::new();
    for purchase in paid {
        let (shop, purchase, pulse, sold) =
            (Arc::clone(shop), purchase.clone(), Arc::clone(&pulse), Arc::clone(&sold));
        waiting.spawn(async move {
            let fate = wait(&shop, &purchase, &pulse).await?;
            if fate == Fate::Confirmed {
                sold.add(purchase.places);
            }
            Ok::<_, DemoError>((purchase.order, fate))
        });
    }
    let mut fates = BTreeMap::new();
    while let Some(done) = waiting.join_next().await {
        fates.extend([done??]);
        progress.step();
        progress.say(format!("{} places with tickets", sold.get()));
    }
    Ok(fates)
}

async fn wait(shop: &Shop, purchase: &Purchase, pulse: &Pulse) -> Result<Fate, DemoError> {
    let mut pause = PAUSES.0;
    loop {
        let call = Call::get(format!("/v1/orders/{}", purchase.order)).bearer(purchase.token.as_str());
        let view: OrderView = shop.wire.send(&call).await?.value()?;
        let fate = view.fate(true);
        if fate != Fate::Stuck {
            pulse.beat();
            return Ok(fate);
        }
        if pulse.is_still() {
            return Ok(fate);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}
