//! The waves: the rush, then those who pay late and those who come for what was given back.

use crate::books::Fate;
use crate::buyer::{Ending, Purchase, Shop};
use crate::plan::{self, Buyer, Conduct};
use crate::progress::Progress;
use crate::random::Random;
use crate::settle::settle;
use crate::staff::OnSale;
use crate::{DemoError, Options, clock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How many times the places that came back a later wave wants: enough for somebody to be refused.
const LATER_DEMAND: f64 = 1.4;
/// For how long no order may settle before the story goes on. What is still on its way is asked for again later: a server
/// that was killed leaves messages behind that its queues hand out again only after minutes.
const STILL: Duration = Duration::from_secs(20);
/// The same at the end of the sale, where the clock cannot be moved.
const STILL_AT_THE_END: Duration = Duration::from_secs(900);
/// Longer than any queue waits before it hands a message out again, seconds.
const REDELIVERY_SECONDS: i64 = 200;
/// How often the clock is moved for that: messages may have failed more than once.
const REDELIVERIES: u32 = 5;
/// How often the progress is shown.
const TICK: Duration = Duration::from_millis(250);

/// What all waves together came to.
#[derive(Debug, Default)]
pub(crate) struct Sale {
    pub(crate) purchases: Vec<Purchase>,
    /// Of every paid order.
    pub(crate) fates: BTreeMap<String, Fate>,
    /// Buyers who came.
    pub(crate) buyers: usize,
    /// Places paid for before anything came back.
    pub(crate) sold_in_rush: u32,
    /// What no buyer should have met.
    pub(crate) surprises: Vec<String>,
}

impl Sale {
    fn has(&self, purchase: &Purchase, fate: Fate) -> bool {
        self.fates.get(&purchase.order) == Some(&fate)
    }

    /// Places that were paid for and not given back: sold, or about to be.
    fn sold(&self) -> u32 {
        let sold = |purchase: &&Purchase| purchase.paid && !self.has(purchase, Fate::Released);
        self.purchases.iter().filter(sold).map(|purchase| purchase.places).sum()
    }

    /// Waits for what is not settled yet; whether everything is.
    async fn settle(
        &mut self,
        shop: &Arc<Shop>,
        still: Duration,
        progress: &Progress,
    ) -> Result<bool, DemoError> {
        let unsettled = |purchase: &&Purchase| {
            !self.fates.contains_key(&purchase.order) || self.has(purchase, Fate::Stuck)
        };
        let waiting: Vec<Purchase> = self.purchases.iter().filter(unsettled).cloned().collect();
        self.fates.extend(settle(shop, &waiting, still, progress).await?);
        Ok(!self.fates.values().any(|fate| *fate == Fate::Stuck))
    }

    /// Waits for everything, moving the clock to when queues hand out again what a killed server had begun.
    async fn settle_all(&mut self, shop: &Arc<Shop>, progress: &Progress) -> Result<(), DemoError> {
        for _ in 0..REDELIVERIES {
            if self.settle(shop, STILL, progress).await? {
                return Ok(());
            }
            if !clock::advance(&shop.wire, REDELIVERY_SECONDS).await? {
                break;
            }
        }
        self.settle(shop, STILL_AT_THE_END, progress).await?;
        Ok(())
    }

    /// A buyer who met something unforeseen spoils the books, not the demo; a server that is gone for good ends it.
    fn note<T>(&mut self, outcome: Result<T, DemoError>) -> Result<Option<T>, DemoError> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error @ (DemoError::Unreachable { .. } | DemoError::Random(_))) => Err(error),
            Err(error) => {
                self.surprises.push(format!("a buyer: {error}"));
                Ok(None)
            }
        }
    }
}

/// Sells until nothing is left, nobody comes any more, or the waves are used up; every paid order is settled then.
///
/// # Errors
/// [`DemoError::Unreachable`] if the server stays away.
pub(crate) async fn sell(
    options: &Options,
    shop: &Arc<Shop>,
    on_sale: &OnSale,
    progress: &Progress,
) -> Result<Sale, DemoError> {
    let mut sale = Sale::default();
    let rush = plan::rush(options.seed, options.capacity, options.demand, options.speed);
    wave("the rush", rush, Vec::new(), shop, options, &mut sale, progress).await?;
    sale.settle(shop, STILL, progress).await?;
    sale.sold_in_rush = sale.sold();
    progress.note(&format!(
        "the rush: {} of {} places sold, {} buyers refused",
        sale.sold_in_rush,
        options.capacity,
        shop.wire.tally.refused.get()
    ));

    progress.phase("until the last hold is over", 0);
    clock::past(&shop.wire, &on_sale.organiser, shop.wire.tally.last_hold()).await?;

    // Those who pay late meet the first who come for what is free again.
    let late = |purchase: &Purchase| purchase.conduct == Conduct::PaysLate && purchase.checkout.is_some();
    let (mut late, others) = sale.purchases.drain(..).partition(late);
    sale.purchases = others;
    for number in 1..=options.waves.max(1) {
        let left = if options.waves == 0 { 0 } else { options.capacity.saturating_sub(sale.sold()) };
        let late = std::mem::take(&mut late);
        if left == 0 && late.is_empty() {
            break;
        }
        let buyers = plan::later(options.seed, number, left, LATER_DEMAND, options.speed);
        wave(&format!("wave {}", number + 1), buyers, late, shop, options, &mut sale, progress).await?;
        sale.settle(shop, STILL, progress).await?;
    }
    sale.settle_all(shop, progress).await?;
    Ok(sale)
}

/// One wave: each buyer a task that sleeps until its time; `late` pay at moments spread over the wave.
async fn wave(
    name: &str,
    buyers: Vec<Buyer>,
    late: Vec<Purchase>,
    shop: &Arc<Shop>,
    options: &Options,
    sale: &mut Sale,
    progress: &Progress,
) -> Result<(), DemoError> {
    progress.phase(name, buyers.len() + late.len());
    sale.buyers += buyers.len();
    let until = buyers.last().map_or(Duration::ZERO, |buyer| buyer.arrives);
    let opened = Instant::now();
    let mut people = JoinSet::new();
    for buyer in buyers {
        let shop = Arc::clone(shop);
        people.spawn(async move {
            tokio::time::sleep(buyer.arrives.saturating_sub(opened.elapsed())).await;
            Box::pin(shop.visit(&buyer, opened)).await
        });
    }
    // Not the seed alone: the plan of the buyers draws from that.
    let mut moments = Random::new(options.seed, u64::MAX / 2);
    for mut purchase in late {
        let (shop, at) = (Arc::clone(shop), until.mul_f64(moments.unit()));
        people.spawn(async move {
            tokio::time::sleep(at).await;
            // Its order exists whatever the payment comes to.
            let paid = Box::pin(shop.pay(&mut purchase, None)).await;
            paid.map(|()| Ending::Ordered(Box::new(purchase)))
        });
    }
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            done = people.join_next() => {
                let Some(done) = done else { break };
                progress.step();
                match sale.note(done?)? {
                    Some(Ending::Ordered(purchase)) => sale.purchases.push(*purchase),
                    Some(Ending::Refused | Ending::LeftHold) | None => {}
                }
            }
            _ = tick.tick() => {
                let tally = &shop.wire.tally;
                progress.say(format!(
                    "{} of {} places paid, {} refused, {} places abandoned, {} requests repeated",
                    tally.sold.get(),
                    options.capacity,
                    tally.refused.get(),
                    tally.abandoned.get(),
                    tally.lost_answers.get() + tally.asked_to_wait.get(),
                ));
            }
        }
    }
    Ok(())
}
