//! The payment provider: payments, and whether their events arrived.

use super::{Answer, Fields, Shared, back, blocking, link, mask, segment};
use crate::Home;
use axum::body::Bytes;
use axum::extract::{Path, State};
use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;
use tessera_sandbox::stripe::{Event, Payment, Status};

/// Payments on one page, and events of one payment.
const PAGE: u32 = 25;

#[derive(Serialize)]
struct Shown {
    id: String,
    link: String,
    status: &'static str,
    /// How it is coloured: `good`, `bad` or nothing.
    mood: &'static str,
    amount: i64,
    capturable: i64,
    received: i64,
    refunded: i64,
    currency: String,
    description: Option<String>,
    receipt_email: Option<String>,
    payment_id: Option<String>,
    order_id: Option<String>,
    /// Where the tables show these two.
    payment_link: Option<String>,
    order_link: Option<String>,
    created_ms: i64,
    /// Where a buyer could pay now.
    pay: Option<String>,
}

impl Shown {
    fn new(payment: &Payment, home: &Home) -> Self {
        let kept = |id: &str, word: &str| {
            let id = payment.metadata.get(id)?;
            let table = home.template().tables.iter().find(|table| table.name.ends_with(word))?;
            Some(link(&format!("/tables/{}", segment(&table.name)), &[("pk", id)]))
        };
        let (mood, payable) = match payment.status {
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => {
                ("", true)
            }
            Status::RequiresCapture => ("warn", false),
            Status::Succeeded => ("good", false),
            Status::Canceled => ("soft", false),
        };
        let pay = payable.then(|| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("client_secret", &payment.client_secret);
            format!("/_stripe/pay/{}?{}", segment(&payment.id), query.finish())
        });
        Self {
            id: payment.id.clone(),
            link: link(&at(&payment.id), &[]),
            status: payment.status.name(),
            mood,
            amount: payment.amount,
            capturable: payment.capturable,
            received: payment.received,
            refunded: payment.refunded,
            currency: payment.currency.clone(),
            description: payment.description.clone(),
            receipt_email: payment.receipt_email.clone(),
            payment_id: payment.metadata.get("payment_id").cloned(),
            order_id: payment.metadata.get("order_id").cloned(),
            payment_link: kept("payment_id", "-payment"),
            order_link: kept("order_id", "-order"),
            created_ms: payment.created.saturating_mul(1_000),
            pay,
        }
    }
}

fn at(id: &str) -> String {
    format!("/payments/{}", segment(id))
}

pub(super) async fn list(State(console): Shared, asked: Fields) -> Answer {
    let (page, read) = (asked.page(), console.clone());
    // One more than is shown says whether there is another page.
    let (mut payments, undelivered) = blocking(move || {
        let payments = read.stripe.payments((page - 1).saturating_mul(PAGE), PAGE + 1)?;
        Ok((payments, read.stripe.undelivered()?))
    })
    .await?;
    let shown = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let more = payments.len() > shown;
    payments.truncate(shown);
    let home = console.home()?;
    let payments: Vec<_> = payments.iter().map(|payment| Shown::new(payment, &home)).collect();
    let switches = console.stripe.switches();
    console.page(
        "payments.html",
        "Payments",
        &asked,
        context! {
            payments => Serde(payments),
            undelivered, more,
            here => page,
            pages_at => link("/payments", &[]) + "?",
            stripe_switches => Serde(switches),
            form_back => "payments",
        },
    )
}

#[derive(Serialize)]
struct Happened {
    id: String,
    kind: String,
    created_ms: i64,
    delivered_ms: Option<i64>,
    attempts: u32,
    status: Option<u16>,
    trouble: Option<String>,
    body: String,
}

impl From<Event> for Happened {
    fn from(event: Event) -> Self {
        Self {
            id: event.id,
            kind: event.kind,
            created_ms: event.created.saturating_mul(1_000),
            delivered_ms: event.delivered_ms,
            attempts: event.attempts,
            status: event.status,
            trouble: event.trouble,
            body: mask::laid_out(&mask::masked(event.body)),
        }
    }
}

pub(super) async fn one(State(console): Shared, Path(id): Path<String>, asked: Fields) -> Answer {
    let (page, read, wanted) = (asked.page(), console.clone(), id.clone());
    let (payment, mut events) = blocking(move || {
        let payment = read.stripe.payment(&wanted)?;
        Ok((payment, read.stripe.events(Some(&wanted), (page - 1).saturating_mul(PAGE), PAGE + 1)?))
    })
    .await?;
    let shown = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let more = events.len() > shown;
    events.truncate(shown);
    let events: Vec<_> = events.into_iter().map(Happened::from).collect();
    let path = at(&id);
    console.page(
        "payments_one.html",
        &id,
        &asked,
        context! {
            payment => Serde(Shown::new(&payment, &console.home()?)),
            metadata => payment.metadata,
            refunds => payment.refunds,
            events => Serde(events),
            more,
            here => page,
            pages_at => link(&path, &[]) + "?",
            at => link(&path, &[]),
        },
    )
}

pub(super) async fn redeliver(State(console): Shared, Path(id): Path<String>, body: Bytes) -> Answer {
    let form = Fields::parse(&body);
    let event = form.get("event").unwrap_or_default();
    let outcome = console.stripe.redeliver(event).map(|()| format!("{event} is being delivered again."));
    Ok(back(&at(&id), outcome.map_err(|error| error.message)))
}
