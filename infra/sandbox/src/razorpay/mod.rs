//! A sandbox of Razorpay: orders, payments, refunds, webhooks, and the hosted checkout where a buyer pays.
//!
//! A Razorpay library works against it with its base address set to where [`router`] is mounted. What is shown in a
//! console, or done by a test in the same process, goes through the methods of [`Razorpay`].
//!
//! | module | holds |
//! |---|---|
//! | this one | [`Razorpay`], its options, and what a console asks |
//! | `sale` | the rules: how orders, payments and refunds change, which events that makes, how all are shown |
//! | `api` | the endpoints: parameters in, entities out |
//! | `wire` | [`router`]: keys, idempotency, faults, answers as Razorpay spells them |
//! | `page` | the checkout |
//! | `store` | what is kept |
//! | `params` | parameters as JSON or as a form |
//! | `error` | [`Error`] |
//!
//! An order can be tried several times, even by two buyers at once, and one attempt may be authorised after another
//! was captured: Razorpay then captures none of the rest, and gives them back when their time is over. What time alone
//! changes goes by [`RazorpayOptions::clock`], which is looked at before every call and every second; see
//! [`Razorpay::sweep`].
//!
//! Refunds can be made idempotent by the header `X-Refund-Idempotency`, and so they are here, for good; for orders and
//! captures Razorpay has nothing of the kind (`X-Payout-Idempotency` belongs to another product). A receipt makes a
//! refund unique as well. Receipts of orders are not unique here, as they are not in Razorpay's own examples.
//!
//! Left out, because nothing here needs them: partial payments, customers, saved cards and tokens, the details of cards
//! (`card_id` names none), offers, transfers, invoices, settlements, disputes, instant refunds (`speed: optimum` is
//! processed at normal speed, so `refund.speed_changed` never comes), disabling webhooks that fail for a day, an end
//! to how long a bank may be silent, rate limits. Of card numbers the checkout asks none.

mod api;
mod error;
mod page;
mod params;
mod sale;
mod store;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rusqlite::{Connection, Transaction};
use serde_json::Value;

pub use crate::events::Event;
pub use crate::switches::{SignWith, Switches};
pub use error::{Cause, Error, Result};
pub use sale::{Capture, Method, OrderStatus, Outcome, Status};
pub use wire::router;

use crate::sandbox::{Letter, Sandbox, Terms, WRONG_SECRET, hmac_hex};
use crate::{Clock, Storage, events};
use sale::{Attempt, Buyer, Sale};
use store::{Cut, Table};

/// How often to look what time has changed.
const GLANCE: Duration = Duration::from_secs(1);

/// What the sandbox is told about the world.
#[derive(Clone)]
pub struct RazorpayOptions {
    /// The key servers and checkouts name, such as `rzp_test_…`. Others are refused.
    pub key_id: String,
    /// Its secret: servers call with it, and it signs what the checkout hands to the shop.
    pub key_secret: String,
    /// The secret webhooks are signed with.
    pub webhook_secret: String,
    /// The secret before that; see [`SignWith`].
    pub previous_webhook_secret: Option<String>,
    /// Where events are delivered. While there is none, they wait; see also [`Razorpay::set_webhook_url`].
    pub webhook_url: Option<String>,
    /// Where [`router`] is mounted, as a buyer's browser reaches it, such as `http://127.0.0.1:3000/_razorpay`; without
    /// a slash at the end.
    pub base_url: String,
    /// The time: of events, and of what time alone changes. Waiting (delays, repetitions) goes by the machine's own.
    pub clock: Clock,
    /// The account that events name, `acc_…`.
    pub account_id: String,
    /// When payments are captured and when they go back, for orders that do not say.
    pub capture: Capture,
    /// How many deliveries run at once, at least 1. With 1, and no switch turned, events arrive in their order.
    pub concurrency: usize,
    /// The wait before a failed delivery is tried again. It doubles with each failure, up to `retry_most`.
    pub retry_first: Duration,
    /// The longest wait before a failed delivery is tried again.
    pub retry_most: Duration,
    /// How long a receiver may take to answer a delivery.
    pub delivery_timeout: Duration,
}

impl RazorpayOptions {
    /// Everything that is not said here as usual: no webhook address, captured at once, refunded after five days, 32
    /// deliveries at once, tried again after 0.2 seconds up to 5, given up on after 5 as Razorpay does.
    pub fn new(
        key_id: impl Into<String>,
        key_secret: impl Into<String>,
        webhook_secret: impl Into<String>,
        base_url: impl Into<String>,
        clock: Clock,
    ) -> Self {
        Self {
            key_id: key_id.into(),
            key_secret: key_secret.into(),
            webhook_secret: webhook_secret.into(),
            previous_webhook_secret: None,
            webhook_url: None,
            base_url: base_url.into().trim_end_matches('/').to_owned(),
            clock,
            account_id: "acc_TesseraSandbox".into(),
            capture: Capture::default(),
            concurrency: 32,
            retry_first: Duration::from_millis(200),
            retry_most: Duration::from_secs(5),
            delivery_timeout: Duration::from_secs(5),
        }
    }
}

/// An order as a console shows it. Amounts are in the currency's smallest unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Razorpay's identifier, `order_…`.
    pub id: String,
    /// What is to be paid.
    pub amount: i64,
    /// What was paid, whatever went back since.
    pub paid: i64,
    /// Three capital letters.
    pub currency: String,
    /// What the shop calls it.
    pub receipt: Option<String>,
    /// Where it stands.
    pub status: OrderStatus,
    /// What the shop wrote on it.
    pub notes: BTreeMap<String, String>,
    /// Its payments' identifiers, oldest first.
    pub payments: Vec<String>,
    /// Seconds since 1970.
    pub created: i64,
}

/// A payment as a console shows it. Amounts are in the currency's smallest unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Razorpay's identifier, `pay_…`.
    pub id: String,
    /// The order it pays.
    pub order: String,
    /// What is to be paid.
    pub amount: i64,
    /// What of it went back.
    pub refunded: i64,
    /// Three capital letters.
    pub currency: String,
    /// Where it stands.
    pub status: Status,
    /// Whether it was taken, whatever went back since.
    pub captured: bool,
    /// By which means.
    pub method: Method,
    /// The buyer's address.
    pub email: Option<String>,
    /// Why it failed, in a sentence for the buyer.
    pub failure: Option<String>,
    /// Its refunds' identifiers, oldest first.
    pub refunds: Vec<String>,
    /// Seconds since 1970.
    pub created: i64,
}

impl From<&Sale> for Order {
    fn from(sale: &Sale) -> Self {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), Into::into);
        Self {
            id: sale.id.clone(),
            amount: sale.amount,
            paid: sale.paid(),
            currency: sale.currency.clone(),
            receipt: sale.receipt.clone(),
            status: sale.status(),
            notes: sale.notes.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            payments: sale.attempts.iter().map(|attempt| attempt.id.clone()).collect(),
            created: sale.created,
        }
    }
}

impl Payment {
    fn of(sale: &Sale, attempt: &Attempt) -> Self {
        let refunds = sale.refunds.iter().filter(|refund| refund.payment == attempt.id);
        Self {
            id: attempt.id.clone(),
            order: sale.id.clone(),
            amount: sale.amount,
            refunded: attempt.refunded,
            currency: sale.currency.clone(),
            status: attempt.status,
            captured: attempt.captured,
            method: attempt.method,
            email: attempt.email.clone(),
            failure: attempt.failure.as_ref().map(|failure| failure.description.clone()),
            refunds: refunds.map(|refund| refund.id.clone()).collect(),
            created: attempt.created,
        }
    }
}

/// The sandbox. Each method fails with status 500 if the store cannot be read or written, and has then changed
/// nothing.
pub struct Razorpay {
    options: RazorpayOptions,
    sandbox: Arc<Sandbox>,
    page: crate::page::Page,
}

impl Razorpay {
    /// Opens or makes the store and starts the deliveries, those left undelivered by an earlier process included.
    /// They end when the last `Arc` is dropped.
    ///
    /// # Errors
    /// Status 500 if the file cannot be opened, is no store, or belongs to a running process; if the HTTP client
    /// cannot be made; or if this is called outside of a tokio runtime.
    pub fn open(storage: &Storage, options: RazorpayOptions) -> Result<Arc<Self>> {
        let sandbox = Sandbox::open(storage, store::SCHEMA, terms(&options))?;
        let page = page::page().map_err(Error::internal)?;
        let razorpay = Arc::new(Self { options, sandbox, page });
        // Ends by itself once nobody else holds the sandbox.
        tokio::spawn(watch(Arc::downgrade(&razorpay)));
        Ok(razorpay)
    }

    /// Up to `most` orders after the first `skip`, newest first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn orders(&self, skip: u32, most: u32) -> Result<Vec<Order>> {
        let store = self.sandbox.store();
        let ids = store::list(&store, Table::Sale, &Cut { skip, most, ..Cut::default() })?;
        ids.iter().map(|id| find(&store, Table::Sale, id).map(|sale| Order::from(&sale))).collect()
    }

    /// One order.
    ///
    /// # Errors
    /// Status 400 if there is none with this identifier.
    pub fn order(&self, id: &str) -> Result<Order> {
        find(&self.sandbox.store(), Table::Sale, id).map(|sale| Order::from(&sale))
    }

    /// Up to `most` payments after the first `skip`, newest first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn payments(&self, skip: u32, most: u32) -> Result<Vec<Payment>> {
        let store = self.sandbox.store();
        let ids = store::list(&store, Table::Payment, &Cut { skip, most, ..Cut::default() })?;
        ids.iter().map(|id| payment(&find(&store, Table::Payment, id)?, id)).collect()
    }

    /// One payment.
    ///
    /// # Errors
    /// Status 400 if there is none with this identifier.
    pub fn payment(&self, id: &str) -> Result<Payment> {
        payment(&find(&self.sandbox.store(), Table::Payment, id)?, id)
    }

    /// Tries to pay an order as a buyer with a card would. Another payment of it may be under way, even authorised. A
    /// declined payment is an outcome, not an error.
    ///
    /// # Errors
    /// Status 400 for an unknown order or one that is paid.
    pub fn pay(&self, order: &str, outcome: Outcome) -> Result<Payment> {
        self.try_to_pay(order, outcome, Buyer::default())
    }

    /// Answers in the place of a bank that was silent. A payment that failed because of the silence can be approved
    /// still: Razorpay calls that late authorisation.
    ///
    /// # Errors
    /// Status 400 for an unknown payment or one whose bank has answered.
    pub fn answer(&self, payment: &str, approve: bool) -> Result<Payment> {
        self.change(Table::Payment, payment, |sale, work| {
            sale.answer(payment, approve, work.now)?;
            Ok(payment.to_owned())
        })
    }

    /// Lets a refund fail that was answered as made, as a bank may days later. Does nothing if it has failed.
    ///
    /// # Errors
    /// Status 400 for an unknown refund.
    pub fn fail_refund(&self, id: &str) -> Result<Payment> {
        self.change(Table::Refund, id, |sale, _| {
            sale.fail_refund(id)?;
            Ok(sale.refund_of(id)?.payment.clone())
        })
    }

    /// What the checkout hands to the shop for a payment: hexadecimal HMAC-SHA256, with the key's secret, of the
    /// order's identifier, a bar, and the payment's.
    #[must_use]
    pub fn signature(&self, order: &str, payment: &str) -> String {
        hmac_hex(&self.options.key_secret, &format!("{order}|{payment}"))
    }

    /// The address of the page where a buyer pays this order; the way back can be added as `callback_url`, and
    /// `cancel_url`.
    #[must_use]
    pub fn pay_url(&self, order: &str) -> String {
        format!("{}/pay/{order}?key_id={}", self.options.base_url, self.options.key_id)
    }

    /// Does what the time has brought: payments whose bank was silent for ten minutes have failed, and those that
    /// nobody captured in their time are refunded, by a refund of a payment that shows `captured: false`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn sweep(&self) -> Result<()> {
        let now = self.sandbox.now();
        if store::due(&self.sandbox.store(), now)?.is_empty() {
            return Ok(());
        }
        self.within(|work| {
            for mut sale in store::due(work.tx, now)? {
                sale.pass_time(now)?;
                work.keep(&mut sale)?;
            }
            Ok(())
        })
    }

    /// Up to `most` events after the first `skip`, newest first, of one payment or of all.
    ///
    /// # Errors
    /// If the store fails.
    pub fn events(&self, payment: Option<&str>, skip: u32, most: u32) -> Result<Vec<Event>> {
        Ok(events::list(&self.sandbox.store(), payment, skip, most)?)
    }

    /// Delivers an event now, whether it was delivered before or is held back, under the same `x-razorpay-event-id`.
    ///
    /// # Errors
    /// Status 400 for an unknown event.
    pub fn redeliver(&self, event: &str) -> Result<()> {
        let found = self.sandbox.redeliver(event)?;
        if found { Ok(()) } else { Err(Error::no_such("", event)) }
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

    /// Tries to pay, unless a switch declines it.
    fn try_to_pay(&self, order: &str, outcome: Outcome, buyer: Buyer) -> Result<Payment> {
        self.change(Table::Sale, order, |sale, work| {
            let pays = outcome == Outcome::Success && sale.status() != OrderStatus::Paid;
            let declined = pays && self.sandbox.take(Switches::take_decline);
            sale.pay(if declined { Outcome::Failure } else { outcome }, buyer, work.now)
        })
    }

    /// Changes one order and keeps it, with the events that makes; answers the payment that `change` names.
    fn change(
        &self,
        table: Table,
        id: &str,
        change: impl FnOnce(&mut Sale, &Work<'_>) -> Result<String>,
    ) -> Result<Payment> {
        self.transact(|work| {
            let mut sale = find(work.tx, table, id)?;
            let changed = change(&mut sale, work)?;
            work.keep(&mut sale)?;
            payment(&sale, &changed)
        })
    }

    /// Runs one operation in one transaction, after what time has brought.
    fn transact<T>(&self, operation: impl FnOnce(&mut Work<'_>) -> Result<T>) -> Result<T> {
        self.sweep()?;
        self.within(operation)
    }

    fn within<T>(&self, operation: impl FnOnce(&mut Work<'_>) -> Result<T>) -> Result<T> {
        let mut store = self.sandbox.store();
        let tx = store.transaction()?;
        let mut work = Work { razorpay: self, tx: &tx, now: self.sandbox.now(), events: Vec::new() };
        let outcome = operation(&mut work)?;
        let events = work.events;
        tx.commit()?;
        self.sandbox.announce(&events)?;
        Ok(outcome)
    }
}

/// One operation under way.
struct Work<'a> {
    razorpay: &'a Razorpay,
    tx: &'a Transaction<'a>,
    /// Seconds since 1970.
    now: i64,
    /// The sequences of the events it made.
    events: Vec<i64>,
}

impl Work<'_> {
    /// Keeps an order as an operation left it.
    fn keep(&mut self, sale: &mut Sale) -> Result<()> {
        let account = &self.razorpay.options.account_id;
        self.events.extend(store::save(self.tx, sale, account, self.now)?);
        Ok(())
    }
}

/// How Razorpay delivers.
fn terms(options: &RazorpayOptions) -> Terms {
    let signing = options.clone();
    Terms {
        webhook_url: options.webhook_url.clone(),
        clock: Arc::clone(&options.clock),
        concurrency: options.concurrency,
        retry_first: options.retry_first,
        retry_most: options.retry_most,
        delivery_timeout: options.delivery_timeout,
        user_agent: "Razorpay-Webhook/v1",
        write: Box::new(move |event, body, sign_with| {
            let current = signing.webhook_secret.as_str();
            let secret = match sign_with {
                SignWith::Current | SignWith::Both => current,
                SignWith::Previous => signing.previous_webhook_secret.as_deref().unwrap_or(current),
                SignWith::Wrong => WRONG_SECRET,
            };
            let headers = vec![
                ("content-type", "application/json".into()),
                ("x-razorpay-event-id", event.id.clone()),
                ("x-razorpay-signature", hmac_hex(secret, &body)),
            ];
            Letter { headers, body }
        }),
    }
}

/// Looks what time has changed, for as long as the sandbox is there.
async fn watch(razorpay: Weak<Razorpay>) {
    loop {
        tokio::time::sleep(GLANCE).await;
        let Some(strong) = razorpay.upgrade() else { return };
        if let Err(error) = strong.sweep() {
            tracing::error!(%error, "payments wait for their time: the payment store does not work");
        }
    }
}

fn find(db: &Connection, table: Table, id: &str) -> Result<Sale> {
    let prefix = match table {
        Table::Sale => "order_",
        Table::Payment => "pay_",
        Table::Refund => "rfnd_",
    };
    store::sale_of(db, table, id)?.ok_or_else(|| Error::no_such(prefix, id))
}

fn payment(sale: &Sale, id: &str) -> Result<Payment> {
    Ok(Payment::of(sale, sale.attempt(id)?))
}
