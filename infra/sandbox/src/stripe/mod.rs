//! A sandbox of Stripe: payment intents, charges, refunds, events, webhooks, and the page where a buyer pays.
//!
//! A Stripe library works against it with its API address set to where [`router`] is mounted. What is shown in a
//! console, or done by a test in the same process, goes through the methods of [`Stripe`].
//!
//! | module | holds |
//! |---|---|
//! | this one | [`Stripe`], its options, and what a console asks |
//! | `intent` | the rules: how payments, charges and refunds change, which events that makes, how all are shown |
//! | `card` | the test cards and what each does |
//! | `api` | the endpoints: parameters in, objects out |
//! | `wire` | [`router`]: keys, idempotency, faults, answers as Stripe spells them |
//! | `page` | the pay page |
//! | `store` | what is kept |
//! | `form` | form-encoded parameters with nested keys |
//! | `error` | [`Error`] |
//!
//! Test cards go by Stripe's names (`pm_card_visa`, `pm_card_chargeDeclined`, `pm_card_authenticationRequired`, …);
//! card numbers are taken by the pay page alone, which keeps at most the name of the test card they belong to.
//!
//! Left out, because nothing here needs them: customers, saved cards, checkout sessions, disputes, payouts, balance
//! transactions but those of charges and refunds (at disposal at once, with one fee for all cards), search,
//! `charge.succeeded` and `charge.failed`, versions of the API (the version asked for is answered back, the shapes stay
//! the same), minimum amounts, rate limits. Text parameters that mean nothing here are shown again; structures that
//! mean nothing here, such as `shipping`, are accepted and ignored.

mod api;
mod card;
mod error;
mod form;
mod intent;
mod page;
mod store;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Transaction};

pub use crate::events::Event;
pub use crate::switches::{SignWith, Switches};
pub use error::{Error, Result};
pub use intent::Status;
pub use wire::router;

use crate::sandbox::{Letter, Sandbox, Terms, hmac_hex};
use crate::{Clock, Storage, events};
use card::Card;
use intent::{Confirmation, Intent};
use store::{Cause, Cut, Table};

/// What the sandbox is told about the world.
#[derive(Clone)]
pub struct StripeOptions {
    /// The key servers call with, such as `sk_test_…`. Others are refused.
    pub secret_key: String,
    /// The key browsers call with, such as `pk_test_…`: it confirms and reads one intent, given its client secret.
    pub publishable_key: String,
    /// The secret webhooks are signed with, such as `whsec_…`.
    pub webhook_secret: String,
    /// The secret before that; see [`SignWith`].
    pub previous_webhook_secret: Option<String>,
    /// Where events are delivered. While there is none, they wait; see also [`Stripe::set_webhook_url`].
    pub webhook_url: Option<String>,
    /// Where [`router`] is mounted, as a buyer's browser reaches it, such as `http://127.0.0.1:3000/_stripe`; without
    /// a slash at the end.
    pub base_url: String,
    /// The time: of events, of signatures, and for how long idempotent answers are kept. Waiting (delays,
    /// repetitions) goes by the machine's own.
    pub clock: Clock,
    /// The version events are written in.
    pub api_version: String,
    /// How many deliveries run at once, at least 1. With 1, and no switch turned, events arrive in their order.
    pub concurrency: usize,
    /// The wait before a failed delivery is tried again. It doubles with each failure, up to `retry_most`.
    pub retry_first: Duration,
    /// The longest wait before a failed delivery is tried again.
    pub retry_most: Duration,
    /// How long a receiver may take to answer a delivery.
    pub delivery_timeout: Duration,
}

impl StripeOptions {
    /// Everything that is not said here as usual: no webhook address, 32 deliveries at once, tried again after 0.2
    /// seconds up to 5, given up on after 10.
    pub fn new(
        secret_key: impl Into<String>,
        webhook_secret: impl Into<String>,
        base_url: impl Into<String>,
        clock: Clock,
    ) -> Self {
        Self {
            secret_key: secret_key.into(),
            publishable_key: "pk_test_sandbox".into(),
            webhook_secret: webhook_secret.into(),
            previous_webhook_secret: None,
            webhook_url: None,
            base_url: base_url.into().trim_end_matches('/').to_owned(),
            clock,
            api_version: "2026-10-28.endive".into(),
            concurrency: 32,
            retry_first: Duration::from_millis(200),
            retry_most: Duration::from_secs(5),
            delivery_timeout: Duration::from_secs(10),
        }
    }
}

/// A payment as a console shows it. Amounts are in the currency's smallest unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Stripe's identifier, `pi_…`.
    pub id: String,
    /// What is to be paid.
    pub amount: i64,
    /// What is set aside and not taken.
    pub capturable: i64,
    /// What was taken.
    pub received: i64,
    /// What of it went back.
    pub refunded: i64,
    /// Three small letters.
    pub currency: String,
    /// Where it stands.
    pub status: Status,
    /// What the shop wrote on it.
    pub metadata: BTreeMap<String, String>,
    /// What the shop says it is for.
    pub description: Option<String>,
    /// Where a receipt would go.
    pub receipt_email: Option<String>,
    /// What the buyer's browser shows to act on it.
    pub client_secret: String,
    /// Its refunds' identifiers, oldest first.
    pub refunds: Vec<String>,
    /// Seconds since 1970.
    pub created: i64,
}

impl From<&Intent> for Payment {
    fn from(intent: &Intent) -> Self {
        Self {
            id: intent.id.clone(),
            amount: intent.amount,
            capturable: intent.capturable(),
            received: intent.received,
            refunded: intent.refunded(),
            currency: intent.currency.clone(),
            status: intent.status,
            metadata: intent.metadata.clone(),
            description: intent.texts.get("description").cloned(),
            receipt_email: intent.texts.get("receipt_email").cloned(),
            client_secret: intent.client_secret.clone(),
            refunds: intent.refunds.iter().map(|refund| refund.id.clone()).collect(),
            created: intent.created,
        }
    }
}

/// The sandbox. Each method fails with status 500 if the store cannot be read or written, and has then changed
/// nothing.
pub struct Stripe {
    options: StripeOptions,
    sandbox: Arc<Sandbox>,
    page: crate::page::Page,
}

impl Stripe {
    /// Opens or makes the store and starts the deliveries, those left undelivered by an earlier process included.
    /// They end when the last `Arc` is dropped.
    ///
    /// # Errors
    /// Status 500 if the file cannot be opened, is no store, or belongs to a running process; if the HTTP client
    /// cannot be made; or if this is called outside of a tokio runtime.
    pub fn open(storage: &Storage, options: StripeOptions) -> Result<Arc<Self>> {
        let sandbox = Sandbox::open(storage, store::SCHEMA, terms(&options))?;
        let page = page::page().map_err(Error::internal)?;
        Ok(Arc::new(Self { options, sandbox, page }))
    }

    /// Up to `most` payments after the first `skip`, newest first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn payments(&self, skip: u32, most: u32) -> Result<Vec<Payment>> {
        let store = self.sandbox.store();
        let ids = store::list(&store, Table::Payment, &Cut { skip, most, ..Cut::default() })?;
        let payments = ids.iter().map(|id| store::payment(&store, id));
        payments
            .filter_map(|payment| payment.map(|payment| payment.as_ref().map(Payment::from)).transpose())
            .collect()
    }

    /// One payment.
    ///
    /// # Errors
    /// Status 404 if there is none with this identifier.
    pub fn payment(&self, id: &str) -> Result<Payment> {
        find(&self.sandbox.store(), id).map(|intent| Payment::from(&intent))
    }

    /// Pays as a buyer would, with a test payment method such as `pm_card_visa`.
    ///
    /// # Errors
    /// Status 404 for an unknown payment, 400 for an unknown payment method or a payment that cannot be paid, 402 if
    /// the card is declined.
    pub fn confirm(&self, id: &str, payment_method: &str) -> Result<Payment> {
        let card = Card::of_payment_method(payment_method)
            .ok_or_else(|| Error::no_such("PaymentMethod", payment_method, "payment_method").status(400))?;
        self.pay(id, card, None)
    }

    /// Answers the bank's question in the buyer's place.
    ///
    /// # Errors
    /// Status 404 for an unknown payment, 400 for one that does not wait for this.
    pub fn authenticate(&self, id: &str, approve: bool) -> Result<Payment> {
        self.change(id, |intent, work| intent.authenticate(approve, work.now, &self.options.base_url))
    }

    /// Gives up a payment.
    ///
    /// # Errors
    /// Status 404 for an unknown payment, 400 for one that is paid or given up.
    pub fn cancel(&self, id: &str) -> Result<Payment> {
        let reason = Some("requested_by_customer");
        self.change(id, |intent, work| intent.cancel(reason, work.now, &self.options.base_url))
    }

    /// Lets a refund fail that was answered as succeeded, as a bank may days later. Does nothing if it has failed.
    ///
    /// # Errors
    /// Status 404 for an unknown refund.
    pub fn fail_refund(&self, id: &str) -> Result<Payment> {
        self.transact(self.cause(), |work| {
            let found = store::payment_of(work.tx, Table::Refund, id)?;
            let mut intent = found.ok_or_else(|| Error::no_such("refund", id, "id"))?;
            let at = intent.refunds.iter().position(|refund| refund.id == id);
            let outcome = at.map_or(Ok(()), |at| intent.fail_refund(at, work.now));
            work.keep(&mut intent, outcome)?;
            Ok(Payment::from(&intent))
        })
    }

    /// Up to `most` events after the first `skip`, newest first, of one payment or of all.
    ///
    /// # Errors
    /// If the store fails.
    pub fn events(&self, payment: Option<&str>, skip: u32, most: u32) -> Result<Vec<Event>> {
        let events = events::list(&self.sandbox.store(), payment, skip, most)?;
        Ok(events.into_iter().map(store::shown).collect())
    }

    /// Delivers an event now, whether it was delivered before or is held back.
    ///
    /// # Errors
    /// Status 404 for an unknown event.
    pub fn redeliver(&self, event: &str) -> Result<()> {
        let found = self.sandbox.redeliver(event)?;
        if found { Ok(()) } else { Err(Error::no_such("event", event, "id")) }
    }

    /// How many events are still to be delivered.
    ///
    /// # Errors
    /// If the store fails.
    pub fn undelivered(&self) -> Result<u64> {
        Ok(self.sandbox.undelivered()?)
    }

    /// How it misbehaves now.
    #[must_use]
    pub fn switches(&self) -> Switches {
        self.sandbox.switches()
    }

    /// Changes how it misbehaves.
    ///
    /// # Errors
    /// Status 400, with nothing changed, if a value is out of the bounds that [`Switches`] states.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) -> Result<Switches> {
        self.sandbox.switch(change).map_err(Error::invalid)
    }

    /// Sets where events are delivered from now on, those waiting included.
    pub fn set_webhook_url(&self, url: Option<String>) {
        self.sandbox.set_webhook_url(url);
    }

    /// Pays with a card, unless a switch declines it.
    fn pay(&self, id: &str, card: &Card, return_url: Option<&str>) -> Result<Payment> {
        self.change(id, |intent, work| {
            if intent.unpaid() {
                intent.attach(card, work.now)?;
            }
            let decline = work.decline(intent);
            intent.confirm(Confirmation { decline, return_url }, work.now, &self.options.base_url)
        })
    }

    /// Changes one payment and keeps it, with the events that makes.
    fn change(&self, id: &str, change: impl FnOnce(&mut Intent, &Work<'_>) -> Result<()>) -> Result<Payment> {
        self.transact(self.cause(), |work| {
            let mut intent = find(work.tx, id)?;
            let outcome = change(&mut intent, work);
            work.keep(&mut intent, outcome)?;
            Ok(Payment::from(&intent))
        })
    }

    /// What was done without an API call.
    fn cause(&self) -> Cause<'_> {
        Cause { request: None, idempotency_key: None, api_version: &self.options.api_version }
    }

    /// Runs one operation in one transaction. A refusal that is an outcome, such as a decline, is kept as well.
    fn transact<T>(&self, cause: Cause<'_>, operation: impl FnOnce(&mut Work<'_>) -> Result<T>) -> Result<T> {
        let mut store = self.sandbox.store();
        let tx = store.transaction()?;
        let mut work = Work { stripe: self, tx: &tx, cause, now: self.sandbox.now(), events: Vec::new() };
        let outcome = operation(&mut work);
        let events = work.events;
        if outcome.is_ok() || outcome.as_ref().is_err_and(Error::acted) {
            tx.commit()?;
            self.sandbox.announce(&events)?;
        }
        outcome
    }
}

/// How Stripe delivers.
fn terms(options: &StripeOptions) -> Terms {
    let signing = options.clone();
    Terms {
        webhook_url: options.webhook_url.clone(),
        clock: Arc::clone(&options.clock),
        concurrency: options.concurrency,
        retry_first: options.retry_first,
        retry_most: options.retry_most,
        delivery_timeout: options.delivery_timeout,
        user_agent: "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        write: Box::new(move |event, _, sign_with| {
            let body = wire::pretty(&event.body);
            let headers = vec![
                ("content-type", "application/json; charset=utf-8".into()),
                ("cache-control", "no-cache".into()),
                ("stripe-signature", sign(&signing, sign_with, &body)),
            ];
            Letter { headers, body }
        }),
    }
}

/// The `Stripe-Signature` header: the time in seconds, and per secret an HMAC over time, dot and body.
fn sign(options: &StripeOptions, with: SignWith, body: &str) -> String {
    let now = (options.clock)().div_euclid(1_000);
    let current = Some(options.webhook_secret.as_str());
    let previous = options.previous_webhook_secret.as_deref();
    let secrets = match with {
        SignWith::Current => [current, None],
        SignWith::Previous => [None, previous],
        SignWith::Both => [current, previous],
        SignWith::Wrong => [Some(crate::sandbox::WRONG_SECRET), None],
    };
    let signatures = secrets.into_iter().flatten();
    let signatures = signatures.map(|secret| format!(",v1={}", hmac_hex(secret, &format!("{now}.{body}"))));
    format!("t={now}{}", signatures.collect::<String>())
}

/// One operation under way.
struct Work<'a> {
    stripe: &'a Stripe,
    tx: &'a Transaction<'a>,
    cause: Cause<'a>,
    /// Seconds since 1970.
    now: i64,
    /// The sequences of the events it made.
    events: Vec<i64>,
}

impl Work<'_> {
    /// Keeps a payment as an operation left it, if that is an outcome and not only a refusal.
    fn keep<T>(&mut self, intent: &mut Intent, outcome: Result<T>) -> Result<T> {
        if outcome.is_ok() || outcome.as_ref().is_err_and(|error| error.status == 402) {
            self.events.extend(store::save(self.tx, intent, self.cause, self.now)?);
        }
        outcome
    }

    /// The decline that a switch puts in the card's place, used up if the payment would have gone on otherwise.
    fn decline(&self, intent: &Intent) -> Option<card::Decline> {
        let pays = intent.unpaid() && intent.card().is_some_and(|card| card.declines().is_none());
        (pays && self.stripe.sandbox.take(Switches::take_decline)).then_some(card::GENERIC)
    }
}

fn find(db: &Connection, id: &str) -> Result<Intent> {
    store::payment(db, id)?.ok_or_else(|| Error::no_such("payment_intent", id, "intent"))
}
