//! The endpoints: parameters in, entities out.

use axum::http::Method as Verb;
use serde_json::{Value, json};

use super::error::{Error, Result};
use super::params::Params;
use super::sale::{Capture, MOST_MINUTES, Sale, Wish};
use super::store::{self, Cut, Table};
use super::{Work, find};
use crate::switches::Switches;

/// The shortest time after which a payment is captured or refunded, in minutes.
const LEAST_MINUTES: i64 = 12;

/// Finds the endpoint and runs it. `path` is what follows `/v1/`.
pub(crate) fn call(work: &mut Work<'_>, verb: &Verb, path: &str, params: &Params) -> Result<Value> {
    let segments: Vec<&str> = path.split('/').collect();
    match (verb.as_str(), segments.as_slice()) {
        ("POST", ["orders"]) => create_order(work, params),
        ("GET", ["orders"]) => list_orders(work, params),
        ("GET", ["orders", id]) => order(work, id, params),
        ("PATCH", ["orders", id]) => edit(work, Table::Sale, id, params),
        ("GET", ["orders", id, "payments"]) => payments_of(&find(work.tx, Table::Sale, id)?),
        ("GET", ["payments"]) => list(work, Table::Payment, None, params),
        ("GET", ["payments", id]) => read(work, Table::Payment, id),
        ("PATCH", ["payments", id]) => edit(work, Table::Payment, id, params),
        ("POST", ["payments", id, "capture"]) => capture(work, id, params),
        ("POST", ["payments", id, "refund"]) => refund(work, id, params),
        ("GET", ["payments", id, "refunds"]) => {
            find(work.tx, Table::Payment, id)?;
            list(work, Table::Refund, Some(id), params)
        }
        ("GET", ["payments", payment, "refunds", id]) => {
            let sale = find(work.tx, Table::Refund, id)?;
            let refund = sale.refund_of(id).ok().filter(|refund| refund.payment == *payment);
            Ok(sale.show_refund(refund.ok_or_else(|| Error::no_such("rfnd_", id))?))
        }
        ("POST", ["refunds"]) => refund(work, params.required("payment_id")?, params),
        ("GET", ["refunds"]) => list(work, Table::Refund, None, params),
        ("GET", ["refunds", id]) => read(work, Table::Refund, id),
        ("PATCH", ["refunds", id]) => edit(work, Table::Refund, id, params),
        _ => Err(Error::general(400, "The requested URL was not found on the server.")),
    }
}

fn create_order(work: &mut Work<'_>, params: &Params) -> Result<Value> {
    params.allow_only(&[
        "amount",
        "currency",
        "receipt",
        "notes",
        "partial_payment",
        "payment",
        "payment_capture",
    ])?;
    let currency = params.required("currency")?;
    if iso_currency::Currency::from_code(currency).is_none() {
        return Err(Error::invalid("Currency is not supported").field("currency"));
    }
    let amount = params.amount(currency)?.ok_or_else(|| Error::missing("amount"))?;
    if params.boolean("partial_payment")? == Some(true) {
        let message = "Partial payments are not enabled on this account.";
        return Err(Error::invalid(message).field("partial_payment"));
    }
    let mut sale = Sale::new(amount, currency, capture_settings(work, params)?, work.now)?;
    sale.receipt = params.receipt()?;
    sale.notes = params.notes()?.unwrap_or_default();
    work.keep(&mut sale)?;
    Ok(sale.show())
}

/// What the order says of captures, or what the account does. `payment_capture` is the older way to say it.
fn capture_settings(work: &Work<'_>, params: &Params) -> Result<Capture> {
    let account = work.razorpay.options.capture;
    let Some(payment) = params.below("payment")? else {
        let automatic_minutes = match params.boolean("payment_capture")? {
            Some(true) => Some(account.refund_minutes),
            Some(false) => None,
            None => account.automatic_minutes,
        };
        return Ok(Capture { automatic_minutes, ..account });
    };
    payment.allow_only(&["capture", "capture_options"])?;
    let automatic = match payment.required("capture")? {
        "automatic" => true,
        "manual" => false,
        _ => return Err(Error::invalid("The selected capture is invalid.").field("capture")),
    };
    let Some(options) = payment.below("capture_options")? else {
        let automatic_minutes = automatic.then_some(account.refund_minutes);
        return Ok(Capture { automatic_minutes, ..account });
    };
    options.allow_only(&["automatic_expiry_period", "manual_expiry_period", "refund_speed"])?;
    if !matches!(options.text("refund_speed")?, None | Some("normal" | "optimum")) {
        return Err(Error::invalid("The selected refund speed is invalid.").field("refund_speed"));
    }
    let minutes = |name: &str, least: i64| match options.integer(name)? {
        Some(given) if !(least..=MOST_MINUTES).contains(&given) => {
            let message =
                format!("The {} must be between {least} and {MOST_MINUTES}.", name.replace('_', " "));
            Err(Error::invalid(message).field(name))
        }
        given => Ok(given),
    };
    let given = minutes("automatic_expiry_period", LEAST_MINUTES)?;
    let refund_minutes = minutes("manual_expiry_period", given.unwrap_or(LEAST_MINUTES))?;
    let automatic_minutes = match (automatic, given) {
        (true, None) => return Err(Error::missing("automatic_expiry_period")),
        (true, given) => given,
        (false, _) => None,
    };
    Ok(Capture { automatic_minutes, refund_minutes: refund_minutes.unwrap_or(MOST_MINUTES) })
}

fn order(work: &Work<'_>, id: &str, params: &Params) -> Result<Value> {
    params.allow_only(&["expand"])?;
    shown_order(&find(work.tx, Table::Sale, id)?, params)
}

/// An order, with its payments where they are asked for.
fn shown_order(sale: &Sale, params: &Params) -> Result<Value> {
    let mut object = sale.show();
    if params.words("expand").iter().any(|word| word.split('.').next() == Some("payments")) {
        object["payments"] = payments_of(sale)?;
    }
    Ok(object)
}

fn payments_of(sale: &Sale) -> Result<Value> {
    Ok(collection(sale.attempts.iter().rev().map(|attempt| sale.show_payment(attempt)).collect()))
}

fn list_orders(work: &Work<'_>, params: &Params) -> Result<Value> {
    params.allow_only(&["from", "to", "count", "skip", "receipt", "authorized", "expand"])?;
    let cut =
        Cut { receipt: params.text("receipt")?, authorized: params.boolean("authorized")?, ..cut(params)? };
    let ids = store::list(work.tx, Table::Sale, &cut)?;
    let orders = ids.iter().map(|id| shown_order(&find(work.tx, Table::Sale, id)?, params));
    Ok(collection(orders.collect::<Result<_>>()?))
}

fn list(work: &Work<'_>, table: Table, payment: Option<&str>, params: &Params) -> Result<Value> {
    params.allow_only(&["from", "to", "count", "skip", "expand"])?;
    let ids = store::list(work.tx, table, &Cut { payment, ..cut(params)? })?;
    Ok(collection(ids.iter().map(|id| read(work, table, id)).collect::<Result<_>>()?))
}

/// The page that is asked for: ten entities unless said otherwise, a hundred at most.
fn cut(params: &Params) -> Result<Cut<'static>> {
    let count = params.integer("count")?.unwrap_or(10);
    let most = u32::try_from(count).ok().filter(|count| (1..=100).contains(count));
    let most = most.ok_or_else(|| {
        let bound = if count < 1 { "at least 1" } else { "at most 100" };
        Error::invalid(format!("The count must be {bound}.")).field("count")
    })?;
    let skip = u32::try_from(params.integer("skip")?.unwrap_or(0));
    let skip = skip.map_err(|_| Error::invalid("The skip must be at least 0.").field("skip"))?;
    let created = (params.integer("from")?, params.integer("to")?);
    Ok(Cut { created, skip, most, ..Cut::default() })
}

fn collection(items: Vec<Value>) -> Value {
    json!({"entity": "collection", "count": items.len(), "items": items})
}

fn read(work: &Work<'_>, table: Table, id: &str) -> Result<Value> {
    show(&find(work.tx, table, id)?, table, id)
}

fn show(sale: &Sale, table: Table, id: &str) -> Result<Value> {
    Ok(match table {
        Table::Sale => sale.show(),
        Table::Payment => sale.show_payment(sale.attempt(id)?),
        Table::Refund => sale.show_refund(sale.refund_of(id)?),
    })
}

/// Changes notes, which is all that can be changed.
fn edit(work: &mut Work<'_>, table: Table, id: &str, params: &Params) -> Result<Value> {
    params.allow_only(&["notes"])?;
    let mut sale = find(work.tx, table, id)?;
    let notes = params.notes()?.ok_or_else(|| Error::missing("notes"))?;
    match table {
        Table::Sale => sale.notes = notes,
        Table::Payment => sale.attempt_mut(id)?.notes = notes,
        Table::Refund => {
            if let Some(refund) = sale.refunds.iter_mut().find(|refund| refund.id == id) {
                refund.notes = notes;
            }
        }
    }
    work.keep(&mut sale)?;
    show(&sale, table, id)
}

fn capture(work: &mut Work<'_>, id: &str, params: &Params) -> Result<Value> {
    params.allow_only(&["amount", "currency"])?;
    let mut sale = find(work.tx, Table::Payment, id)?;
    let amount = params.integer("amount")?.ok_or_else(|| Error::missing("amount"))?;
    sale.capture(id, amount, params.text("currency")?)?;
    work.keep(&mut sale)?;
    show(&sale, Table::Payment, id)
}

fn refund(work: &mut Work<'_>, id: &str, params: &Params) -> Result<Value> {
    params.allow_only(&["amount", "speed", "notes", "receipt", "payment_id"])?;
    let mut sale = find(work.tx, Table::Payment, id)?;
    let speed = params.text("speed")?;
    if !matches!(speed, None | Some("normal" | "optimum")) {
        return Err(Error::invalid("The selected speed is invalid.").field("speed"));
    }
    let wish = Wish {
        amount: params.amount(&sale.currency)?,
        speed: speed.map(Into::into),
        notes: params.notes()?.unwrap_or_default(),
        receipt: params.receipt()?,
    };
    if let Some(receipt) = &wish.receipt
        && store::receipt_taken(work.tx, receipt)?
    {
        return Err(Error::invalid("The receipt has already been taken.").field("receipt"));
    }
    let fails = || work.razorpay.sandbox.take(Switches::take_refund_failure);
    let refund = sale.refund(id, wish, fails, work.now)?;
    // One that fails is answered as it looked at first: the failure is news for later.
    let first = sale.happenings.iter().find(|happening| happening.kind == "refund.created");
    let first = first.and_then(|happening| happening.objects.first()).map(|(_, object)| object.clone());
    work.keep(&mut sale)?;
    first.map_or_else(|| show(&sale, Table::Refund, &refund), Ok)
}
