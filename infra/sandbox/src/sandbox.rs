//! What payment sandboxes have in common: a store, switches, and events on their way to the shop.
//!
//! An event waits in the store until its receiver has taken it. What runs here only orders the waiting ones; after a
//! restart all that were not taken are due at once. An answer other than 2xx, a redirect included, is a failure.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use aws_lc_rs::hmac;
use futures_util::future::join_all;
use reqwest::Client;
use rusqlite::Connection;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::events::{self, Event};
use crate::switches::{Fault, SignWith, Switches};
use crate::trouble::Result;
use crate::{Clock, Storage, random, storage};

/// How long to leave the store alone after it failed.
const STORE_TROUBLE: Duration = Duration::from_secs(1);

/// What [`SignWith::Wrong`] signs with.
pub(crate) const WRONG_SECRET: &str = "a secret that nobody was given";

/// An event as it goes to the shop.
pub(crate) struct Letter {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// How a provider delivers.
pub(crate) struct Terms {
    pub(crate) webhook_url: Option<String>,
    pub(crate) clock: Clock,
    pub(crate) concurrency: usize,
    pub(crate) retry_first: Duration,
    pub(crate) retry_most: Duration,
    pub(crate) delivery_timeout: Duration,
    pub(crate) user_agent: &'static str,
    pub(crate) write: Write,
}

/// Writes and signs an event, given the text it is kept as.
pub(crate) type Write = Box<dyn Fn(&Event, String, SignWith) -> Letter + Send + Sync>;

/// What payment sandboxes have in common. Deliveries end when the last `Arc` is dropped.
pub(crate) struct Sandbox {
    terms: Terms,
    store: Mutex<Connection>,
    switches: Mutex<Switches>,
    webhook_url: Mutex<Option<String>>,
    schedule: Mutex<Schedule>,
    bell: Arc<Notify>,
    deliveries: Mutex<Option<AbortHandle>>,
    /// The idempotency keys of calls that are not answered yet.
    in_flight: Mutex<BTreeSet<String>>,
}

/// An idempotency key in use. Calls without a key claim nothing.
pub(crate) struct InFlight<'a> {
    sandbox: &'a Sandbox,
    key: Option<&'a str>,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            lock(&self.sandbox.in_flight).remove(key);
        }
    }
}

impl Sandbox {
    /// Opens or makes the store and starts the deliveries, those left undelivered by an earlier process included.
    pub(crate) fn open(storage: &Storage, schema: &str, terms: Terms) -> Result<Arc<Self>> {
        let runtime = tokio::runtime::Handle::try_current()?;
        let store = storage::open(storage, &[schema, events::SCHEMA].concat())?;
        let schedule = Schedule::of(events::undelivered(&store)?);
        let client = client(&terms)?;
        let sandbox = Arc::new(Self {
            webhook_url: Mutex::new(terms.webhook_url.clone()),
            terms,
            store: Mutex::new(store),
            switches: Mutex::default(),
            schedule: Mutex::new(schedule),
            bell: Arc::default(),
            deliveries: Mutex::default(),
            in_flight: Mutex::default(),
        });
        // The task holds no strong reference, or nothing would ever be dropped.
        let task = deliver(Arc::downgrade(&sandbox), Arc::clone(&sandbox.bell), client);
        *lock(&sandbox.deliveries) = Some(runtime.spawn(task).abort_handle());
        Ok(sandbox)
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Connection> {
        lock(&self.store)
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        (self.terms.clock)().div_euclid(1_000)
    }

    /// Claims an idempotency key until the claim is dropped; `None` if it is in use.
    pub(crate) fn claim<'a>(&'a self, key: Option<&'a str>) -> Option<InFlight<'a>> {
        let free = key.is_none_or(|key| lock(&self.in_flight).insert(key.to_owned()));
        free.then_some(InFlight { sandbox: self, key })
    }

    /// What befalls the next API call, used up by asking.
    pub(crate) fn take_fault(&self) -> Option<Fault> {
        lock(&self.switches).take_fault()
    }

    /// Asks the switches, and uses up what is counted.
    pub(crate) fn take(&self, counted: impl FnOnce(&mut Switches) -> bool) -> bool {
        counted(&mut lock(&self.switches))
    }

    pub(crate) fn switches(&self) -> Switches {
        lock(&self.switches).clone()
    }

    /// Changes the switches, or says what is out of bounds and changes nothing.
    pub(crate) fn switch(&self, change: impl FnOnce(&mut Switches)) -> std::result::Result<Switches, String> {
        let mut switches = lock(&self.switches);
        let mut changed = switches.clone();
        change(&mut changed);
        changed.check()?;
        switches.clone_from(&changed);
        drop(switches);
        self.bell.notify_one();
        Ok(changed)
    }

    /// Sets where events are delivered from now on, those waiting included.
    pub(crate) fn set_webhook_url(&self, url: Option<String>) {
        *lock(&self.webhook_url) = url;
        self.bell.notify_one();
    }

    /// Lets events go, given the sequences they are committed under.
    pub(crate) fn announce(&self, sequences: &[i64]) -> Result<()> {
        if !sequences.is_empty() {
            lock(&self.schedule).add(sequences, &mut lock(&self.switches))?;
            self.bell.notify_one();
        }
        Ok(())
    }

    /// Delivers an event now, whether it was delivered before or is held back; answers whether there is one.
    pub(crate) fn redeliver(&self, event: &str) -> Result<bool> {
        let Some(sequence) = events::sequence(&self.store(), event)? else { return Ok(false) };
        lock(&self.schedule).ask(sequence);
        self.bell.notify_one();
        Ok(true)
    }

    /// How many events are still to be delivered.
    pub(crate) fn undelivered(&self) -> Result<u64> {
        let count = "SELECT count(*) FROM event WHERE delivered IS NULL";
        Ok(self.store().query_row(count, [], |row| row.get(0))?)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.deliveries).take() {
            task.abort();
        }
    }
}

/// A panic in another thread leaves what is locked usable: its transaction was rolled back on the way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// HMAC-SHA256 as small hexadecimal digits.
pub(crate) fn hmac_hex(secret: &str, message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, message.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Which events are sent when.
#[derive(Debug, Default)]
struct Schedule {
    /// Those that wait, soonest first, and of these the oldest first.
    waiting: BinaryHeap<Reverse<(Instant, i64)>>,
    /// Those asked for one by one, which neither wait nor are held.
    asked: VecDeque<i64>,
}

impl Schedule {
    /// Everything due now.
    fn of(sequences: Vec<i64>) -> Self {
        let now = Instant::now();
        let waiting = sequences.into_iter().map(|sequence| Reverse((now, sequence))).collect();
        Self { waiting, asked: VecDeque::new() }
    }

    /// What has just happened.
    fn add(&mut self, sequences: &[i64], switches: &mut Switches) -> Result<()> {
        let now = Instant::now() + Duration::from_millis(switches.webhook_delay_ms);
        for sequence in sequences {
            if switches.take_drop() {
                continue;
            }
            let shuffled = match switches.webhook_shuffle_ms {
                0 => 0,
                most => random::up_to(most)?,
            };
            self.waiting.push(Reverse((now + Duration::from_millis(shuffled), *sequence)));
        }
        Ok(())
    }

    fn ask(&mut self, sequence: i64) {
        self.asked.push_back(sequence);
    }

    fn again(&mut self, sequence: i64, wait: Duration) {
        self.waiting.push(Reverse((Instant::now() + wait, sequence)));
    }

    /// Takes the next that is to be sent now, and says whether it was asked for.
    fn take(&mut self, hold: bool) -> Option<(i64, bool)> {
        if let Some(sequence) = self.asked.pop_front() {
            return Some((sequence, true));
        }
        let due = !hold && self.waiting.peek().is_some_and(|Reverse((at, _))| *at <= Instant::now());
        let Reverse((_, sequence)) = if due { self.waiting.pop()? } else { return None };
        Some((sequence, false))
    }

    /// When the next becomes due, if one waits and may go.
    fn next(&self, hold: bool) -> Option<Instant> {
        self.waiting.peek().filter(|_| !hold).map(|Reverse((at, _))| *at)
    }
}

/// One delivery.
struct Delivery {
    sequence: i64,
    asked: bool,
    /// The failures before this one.
    failures: u32,
    url: String,
    letter: Letter,
    copies: usize,
}

/// How a delivery went.
struct Outcome {
    sequence: i64,
    asked: bool,
    failures: u32,
    status: Option<u16>,
    trouble: Option<String>,
}

impl Outcome {
    fn taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

fn client(terms: &Terms) -> Result<Client> {
    let client = Client::builder()
        .timeout(terms.delivery_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(terms.user_agent);
    Ok(client.build()?)
}

/// Delivers for as long as the sandbox is there.
async fn deliver(sandbox: Weak<Sandbox>, bell: Arc<Notify>, client: Client) {
    let mut running: JoinSet<Outcome> = JoinSet::new();
    loop {
        let Some(strong) = sandbox.upgrade() else { return };
        let next = match start(&strong, &client, &mut running) {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "webhooks wait: the payment store cannot be read");
                Some(Instant::now() + STORE_TROUBLE)
            }
        };
        drop(strong);
        let due = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        let first = tokio::select! {
            () = bell.notified() => None,
            () = due => None,
            Some(first) = running.join_next() => Some(first),
        };
        // All that ended meanwhile are noted in one write.
        let ended = first.into_iter().chain(std::iter::from_fn(|| running.try_join_next()));
        let ended: Vec<Outcome> = ended
            .filter_map(|outcome| {
                outcome.inspect_err(|error| tracing::error!(%error, "a webhook delivery broke off")).ok()
            })
            .collect();
        if ended.is_empty() {
            continue;
        }
        let Some(strong) = sandbox.upgrade() else { return };
        if let Err(error) = settle(&strong, &ended) {
            tracing::error!(%error, "deliveries are repeated: the payment store cannot be written");
            let mut schedule = lock(&strong.schedule);
            ended.iter().for_each(|outcome| schedule.again(outcome.sequence, STORE_TROUBLE));
        }
    }
}

/// Starts as many deliveries as are due and may run; answers when the next is due, if there is room for it.
fn start(sandbox: &Sandbox, client: &Client, running: &mut JoinSet<Outcome>) -> Result<Option<Instant>> {
    let Some(url) = lock(&sandbox.webhook_url).clone() else { return Ok(None) };
    let switches = sandbox.switches();
    while running.len() < sandbox.terms.concurrency.max(1) {
        let Some((sequence, asked)) = lock(&sandbox.schedule).take(switches.hold_webhooks) else {
            return Ok(lock(&sandbox.schedule).next(switches.hold_webhooks));
        };
        let read = events::at(&sandbox.store(), sequence);
        let event = match read {
            Ok(event) => event,
            Err(error) => {
                lock(&sandbox.schedule).again(sequence, STORE_TROUBLE);
                return Err(error);
            }
        };
        // One that was asked for while it waited has been taken already.
        let due = event.filter(|(event, _)| asked || event.delivered_ms.is_none());
        let Some((event, text)) = due else { continue };
        let delivery = Delivery {
            sequence,
            asked,
            failures: event.attempts,
            url: url.clone(),
            letter: (sandbox.terms.write)(&event, text, switches.sign_with),
            copies: 1 + usize::try_from(switches.webhook_duplicates).unwrap_or(0),
        };
        running.spawn(send(client.clone(), delivery));
    }
    Ok(None)
}

/// Sends all copies at once; one that is taken is enough.
async fn send(client: Client, delivery: Delivery) -> Outcome {
    let copies = (0..delivery.copies).map(|_| {
        let mut request = client.post(&delivery.url).body(delivery.letter.body.clone());
        for (name, value) in &delivery.letter.headers {
            request = request.header(*name, value);
        }
        async move { request.send().await.map(|response| response.status()) }
    });
    let answers = join_all(copies).await;
    let taken = answers.iter().flatten().find(|status| status.is_success());
    let status = taken.or_else(|| answers.iter().flatten().next()).map(reqwest::StatusCode::as_u16);
    let trouble = match status {
        Some(_) => None,
        None => {
            answers.into_iter().find_map(|answer| answer.err()).map(|error| error.without_url().to_string())
        }
    };
    let Delivery { sequence, asked, failures, .. } = delivery;
    Outcome { sequence, asked, failures, status, trouble }
}

/// Notes how deliveries went, and lets those that failed wait for another.
fn settle(sandbox: &Sandbox, ended: &[Outcome]) -> Result<()> {
    let now = (sandbox.terms.clock)();
    let mut store = sandbox.store();
    let tx = store.transaction()?;
    for outcome in ended {
        let delivered = outcome.taken().then_some(now);
        events::note_attempt(&tx, outcome.sequence, delivered, outcome.status, outcome.trouble.as_deref())?;
    }
    tx.commit()?;
    drop(store);
    for outcome in ended.iter().filter(|outcome| !outcome.taken() && !outcome.asked) {
        let doubled = sandbox.terms.retry_first.saturating_mul(1 << outcome.failures.min(16));
        lock(&sandbox.schedule).again(outcome.sequence, doubled.min(sandbox.terms.retry_most));
    }
    Ok(())
}
