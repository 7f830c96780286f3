//! Clients that ask again as soon as they are answered, and what is counted of it.

use super::Wanted;
use super::sales::Sale;
use super::table::Waits;
use crate::books::Fate;
use crate::ledger::OrderView;
use crate::provider::{Checkout, GOOD_CARD};
use crate::wire::{Answer, Call, Wire};
use crate::{DemoError, fresh_key};
use hdrhistogram::Histogram;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Between two looks at an order: the first pause, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));
/// How long a buyer looks before that counts as an error.
const PATIENCE: Duration = Duration::from_secs(60);
/// After an error, so that a server that is gone is not asked a thousand times a second.
const AFTER_AN_ERROR: Duration = Duration::from_millis(100);
/// The key with which browsers call the provider's sandbox.
const PUBLISHABLE_KEY: &str = "pk_test_sandbox";

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The whole of what it wants: for holds and refusals one request, for bookings everything below.
    All,
    /// Taking a place.
    Hold,
    /// Ordering.
    Order,
    /// Opening the payment.
    Payment,
    /// Paying at the provider's sandbox.
    Pay,
    /// From having paid until the order is confirmed and its ticket issued.
    Ticket,
}

impl Step {
    /// The steps of a booking, in their order.
    pub const OF_A_BOOKING: [Self; 5] = [Self::Hold, Self::Order, Self::Payment, Self::Pay, Self::Ticket];

    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Hold => "hold",
            Self::Order => "order",
            Self::Payment => "payment",
            Self::Pay => "pay",
            Self::Ticket => "ticket",
        }
    }
}

/// What is counted of one measurement.
#[derive(Debug)]
pub(crate) struct Counts {
    waits: Mutex<BTreeMap<Step, Histogram<u64>>>,
    answers: Mutex<BTreeMap<String, u64>>,
    fresh: Histogram<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A counter of a task that panicked is still a counter.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counts {
    /// Nothing counted yet. Waits are kept in microseconds, up to ten minutes, to two digits.
    ///
    /// # Errors
    /// If the library refuses these bounds.
    pub(crate) fn new() -> Result<Self, DemoError> {
        let fresh = Histogram::new_with_bounds(1, 600_000_000, 2)?;
        Ok(Self { waits: Mutex::default(), answers: Mutex::default(), fresh })
    }

    fn waited(&self, step: Step, time: Duration) {
        let mut waits = lock(&self.waits);
        let wait = waits.entry(step).or_insert_with(|| self.fresh.clone());
        wait.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    fn surprised(&self, what: String) {
        *lock(&self.answers).entry(what).or_default() += 1;
    }

    /// How long each step took.
    pub(crate) fn waits(&self) -> BTreeMap<Step, Waits> {
        lock(&self.waits).iter().map(|(step, wait)| (*step, Waits::of(wait))).collect()
    }

    /// Answers that nobody should get, by what was asked and the code.
    pub(crate) fn answers(&self) -> BTreeMap<String, u64> {
        lock(&self.answers).clone()
    }
}

/// Lets so many clients ask for `time`, and waits until they have finished what they have begun: how long that took
/// together. Each does at least one thing. The answers are in `counts`, the places in `sales`.
///
/// # Errors
/// [`DemoError::Task`] if a client breaks; [`DemoError::Random`].
pub(crate) async fn run(
    wire: &Arc<Wire>,
    wanted: Wanted,
    sales: &Arc<Vec<Sale>>,
    clients: usize,
    time: Duration,
    counts: &Arc<Counts>,
) -> Result<Duration, DemoError> {
    let began = Instant::now();
    let mut people = JoinSet::new();
    for number in 0..clients {
        let (wire, sales, counts) = (Arc::clone(wire), Arc::clone(sales), Arc::clone(counts));
        people.spawn(async move {
            // Each begins at another event and goes round.
            for sale in sales.iter().cycle().skip(number % sales.len().max(1)) {
                let client = Client { wire: &wire, sale, counts: &counts };
                if let Err(wrong) = Box::pin(client.once(wanted)).await {
                    counts.surprised(wrong.0);
                    tokio::time::sleep(AFTER_AN_ERROR).await;
                }
                if began.elapsed() >= time {
                    break;
                }
            }
        });
    }
    while let Some(done) = people.join_next().await {
        done?;
    }
    Ok(began.elapsed())
}

/// An answer that should not come: what was asked and the code.
#[derive(Debug)]
struct Wrong(String);

impl From<DemoError> for Wrong {
    fn from(error: DemoError) -> Self {
        Self(error.to_string())
    }
}

#[derive(Deserialize)]
struct Held {
    quote: String,
    guest_token: Option<String>,
}

#[derive(Deserialize)]
struct Placed {
    id: String,
}

#[derive(Deserialize)]
struct Opened {
    client_secret: String,
}

/// One client at one event.
#[derive(Clone, Copy)]
struct Client<'a> {
    wire: &'a Wire,
    sale: &'a Sale,
    counts: &'a Counts,
}

impl Client<'_> {
    /// Asks for one thing, as a guest that nobody knows yet.
    async fn once(self, wanted: Wanted) -> Result<(), Wrong> {
        let began = Instant::now();
        match wanted {
            Wanted::Holds => drop(self.hold().await?),
            Wanted::Refusals => self.refused().await?,
            Wanted::Bookings => self.book().await?,
        }
        self.counts.waited(Step::All, began.elapsed());
        Ok(())
    }

    async fn hold(self) -> Result<Held, Wrong> {
        let call = Call::post("/v1/holds").key(fresh_key()?).json(&self.sale.basket());
        let answer = self.send("hold", &call).await?;
        if answer.is_success() {
            self.sale.taken.add(1);
        }
        read("hold", &answer)
    }

    async fn refused(self) -> Result<(), Wrong> {
        let call = Call::post("/v1/holds").key(fresh_key()?).json(&self.sale.basket());
        let answer = self.send("hold", &call).await?;
        if answer.is_success() {
            // One too many: the places will not add up.
            self.sale.taken.add(1);
        }
        if answer.status == 409 && answer.is("sold_out") { Ok(()) } else { Err(wrong("hold", &answer)) }
    }

    /// From the hold to the ticket.
    async fn book(self) -> Result<(), Wrong> {
        let Held { quote, guest_token } = self.timed(Step::Hold, self.hold()).await?;
        let token = guest_token.ok_or_else(|| Wrong("hold: a guest got no credential".to_owned()))?;

        let contact = json!({"name": "Ada Lovelace", "email": "ada@example.org"});
        let order = Call::post("/v1/orders").json(&json!({"quote": quote, "contact": contact}));
        let Placed { id } = self.timed(Step::Order, self.ask("order", order, &token)).await?;

        let payment = Call::post(format!("/v1/orders/{id}/payments")).json(&json!({"provider": "stripe"}));
        let Opened { client_secret } =
            self.timed(Step::Payment, self.ask("payment", payment, &token)).await?;

        let checkout =
            Checkout::new(client_secret).ok_or_else(|| Wrong("payment: no client secret".to_owned()))?;
        let pay = checkout.confirm(PUBLISHABLE_KEY, GOOD_CARD);
        let paid = self.timed(Step::Pay, self.send("pay", &pay)).await?;
        if !paid.is_success() {
            return Err(wrong("pay", &paid));
        }
        self.timed(Step::Ticket, self.ticket(&id, &token)).await
    }

    /// Looks at the order until it is confirmed and its ticket issued.
    async fn ticket(self, order: &str, token: &str) -> Result<(), Wrong> {
        let (began, mut pause) = (Instant::now(), PAUSES.0);
        while began.elapsed() < PATIENCE {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
            let view: OrderView = self.ask("look", Call::get(format!("/v1/orders/{order}")), token).await?;
            match view.fate(true) {
                Fate::Confirmed => return Ok(()),
                Fate::Stuck => {}
                Fate::Released | Fate::Expired => return Err(Wrong("ticket: places gone".to_owned())),
            }
        }
        Err(Wrong(format!("ticket: none within {} s", PATIENCE.as_secs())))
    }

    async fn ask<T: DeserializeOwned>(self, what: &str, call: Call, token: &str) -> Result<T, Wrong> {
        let answer = self.send(what, &call.bearer(token)).await?;
        read(what, &answer)
    }

    async fn send(self, what: &str, call: &Call) -> Result<Answer, Wrong> {
        self.wire.once(call).await?.ok_or_else(|| Wrong(format!("{what}: no answer")))
    }

    /// Counts how long a step takes that succeeds.
    async fn timed<T>(self, step: Step, work: impl Future<Output = Result<T, Wrong>>) -> Result<T, Wrong> {
        let began = Instant::now();
        let done = work.await?;
        self.counts.waited(step, began.elapsed());
        Ok(done)
    }
}

fn wrong(what: &str, answer: &Answer) -> Wrong {
    let code = answer.code().unwrap_or_default();
    Wrong(format!("{what}: {} {code}", answer.status).trim_end().to_owned())
}

fn read<T: DeserializeOwned>(what: &str, answer: &Answer) -> Result<T, Wrong> {
    if !answer.is_success() {
        return Err(wrong(what, answer));
    }
    answer.json().map_err(|_| Wrong(format!("{what}: {} in another shape", answer.status)))
}
