//! The checkout: a plain page for people, in the place of Razorpay's own.
//!
//! A shop's page posts the order and the way back to `/v1/checkout/embedded`, as to Razorpay's hosted checkout. When
//! all is said, a form on the page takes the buyer back to the shop by POST, with a signature if the payment was
//! authorised and with the error otherwise; without scripts it takes the press of a button. Who gives up goes to
//! `cancel_url` by GET.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use minijinja::context;
use reqwest::Url;

use super::error::{Error, Result};
use super::params::Params;
use super::sale::{Buyer, Method, Outcome, Sale};
use super::store::Table;
use super::{Payment, Razorpay, Status, find};
use crate::page::{HEADERS, Page, major};

/// The page's template.
pub(crate) fn page() -> std::result::Result<Page, minijinja::Error> {
    Page::new(include_str!("pay.html"))
}

/// A buyer at the page.
struct Visit {
    sale: Sale,
    buyer: Buyer,
    /// The shop's name.
    name: Option<String>,
    callback_url: Option<Url>,
    cancel_url: Option<Url>,
}

/// What the page shows after an attempt to pay, or before.
#[derive(Default)]
struct Shown<'a> {
    payment: Option<&'a Payment>,
    alert: Option<&'a str>,
}

impl Visit {
    fn begin(razorpay: &Razorpay, order: &str, params: &Params) -> Result<Self> {
        if params.required("key_id")? != razorpay.options.key_id {
            return Err(Error::general(401, "The api key provided is invalid"));
        }
        let sale = find(&razorpay.sandbox.store(), Table::Sale, order)?;
        let currency = params.text("currency")?;
        if params.integer("amount")?.is_some_and(|amount| amount != sale.amount)
            || currency.is_some_and(|currency| currency != sale.currency)
        {
            let message = "Your payment amount is different from your order amount. To pay successfully, please try \
                           using right amount.";
            return Err(Error::invalid(message).field("amount"));
        }
        let prefill = params.below("prefill")?.unwrap_or_default();
        let buyer = Buyer {
            method: params.text("method")?.and_then(Method::named).unwrap_or_default(),
            email: prefill.text("email")?.map(Into::into),
            contact: prefill.text("contact")?.map(Into::into),
            description: params.text("description")?.map(Into::into),
            notes: params.notes()?.unwrap_or_default(),
        };
        let name = params.text("name")?.map(Into::into);
        let (callback_url, cancel_url) = (address(params, "callback_url")?, address(params, "cancel_url")?);
        Ok(Self { sale, buyer, name, callback_url, cancel_url })
    }

    /// What the page's forms carry on, since the page remembers nothing.
    fn hidden(&self, razorpay: &Razorpay) -> Vec<(String, String)> {
        let buyer = &self.buyer;
        let given = [
            ("key_id", Some(razorpay.options.key_id.clone())),
            ("name", self.name.clone()),
            ("description", buyer.description.clone()),
            ("callback_url", self.callback_url.as_ref().map(Url::to_string)),
            ("cancel_url", self.cancel_url.as_ref().map(Url::to_string)),
            ("prefill[email]", buyer.email.clone()),
            ("prefill[contact]", buyer.contact.clone()),
        ];
        let notes = buyer.notes.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
        let notes = notes.map(|(name, value)| (format!("notes[{name}]"), value.to_owned()));
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.chain(notes).collect()
    }
}

fn address(params: &Params, name: &str) -> Result<Option<Url>> {
    let Some(given) = params.text(name)? else { return Ok(None) };
    let url = Url::parse(given).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let refuse =
        || Error::invalid(format!("The {} must be an http or https address.", name.replace('_', " ")));
    url.map(Some).ok_or_else(|| refuse().field(name))
}

/// The checkout as a shop's form asks for it.
pub(crate) async fn embedded(State(razorpay): State<Arc<Razorpay>>, body: Bytes) -> Response {
    let visit = Params::parse(&[], &body)
        .and_then(|params| Visit::begin(&razorpay, params.required("order_id")?, &params));
    shown(&razorpay, visit)
}

/// The checkout as a link asks for it, which Razorpay has not: for consoles.
pub(crate) async fn show(
    State(razorpay): State<Arc<Razorpay>>,
    Path(order): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let visit = Params::parse(query.unwrap_or_default().as_bytes(), &[])
        .and_then(|params| Visit::begin(&razorpay, &order, &params));
    shown(&razorpay, visit)
}

fn shown(razorpay: &Razorpay, visit: Result<Visit>) -> Response {
    match visit {
        Ok(visit) => render(razorpay, &visit, &Shown::default()),
        Err(error) => refuse(razorpay, &error),
    }
}

pub(crate) async fn act(
    State(razorpay): State<Arc<Razorpay>>,
    Path(order): Path<String>,
    body: Bytes,
) -> Response {
    let visited = Params::parse(&[], &body)
        .and_then(|params| Visit::begin(&razorpay, &order, &params).map(|visit| (visit, params)));
    let (visit, params) = match visited {
        Ok(visited) => visited,
        Err(error) => return refuse(&razorpay, &error),
    };
    if matches!(params.text("action"), Ok(Some("cancel"))) {
        return cancel(&razorpay, &visit);
    }
    match press(&razorpay, &visit, &params) {
        Ok(payment) => {
            // Read anew: the attempt has changed the order.
            let sale = find(&razorpay.sandbox.store(), Table::Sale, &order);
            let visit = Visit { sale: sale.unwrap_or(visit.sale), ..visit };
            render(&razorpay, &visit, &Shown { payment: Some(&payment), alert: None })
        }
        Err(error) if error.status == 400 => {
            let alert = error.description.as_str();
            render(&razorpay, &visit, &Shown { payment: None, alert: Some(alert) })
        }
        Err(error) => refuse(&razorpay, &error),
    }
}

/// Does what a button says.
fn press(razorpay: &Razorpay, visit: &Visit, params: &Params) -> Result<Payment> {
    let pay = |outcome| razorpay.try_to_pay(&visit.sale.id, outcome, visit.buyer.clone());
    let answer = |approve| {
        let payment = params.required("payment_id")?;
        visit.sale.attempt(payment)?;
        razorpay.answer(payment, approve)
    };
    match params.text("action")? {
        Some("pay") => pay(Outcome::Success),
        Some("decline") => pay(Outcome::Failure),
        Some("wait") => pay(Outcome::Silence),
        Some("approve") => answer(true),
        Some("refuse") => answer(false),
        _ => Err(Error::invalid("No such action.").field("action")),
    }
}

fn cancel(razorpay: &Razorpay, visit: &Visit) -> Response {
    match &visit.cancel_url {
        Some(url) => (StatusCode::SEE_OTHER, HEADERS, [(header::LOCATION, url.to_string())]).into_response(),
        None => html(razorpay, visit, "canceled", &Shown::default(), Vec::new()),
    }
}

fn render(razorpay: &Razorpay, visit: &Visit, result: &Shown<'_>) -> Response {
    let order = &visit.sale.id;
    let (step, back) = match result.payment {
        None if visit.sale.paid() > 0 => ("paid", Vec::new()),
        None => ("choose", Vec::new()),
        Some(payment) => match payment.status {
            Status::Created => ("bank", Vec::new()),
            Status::Failed => ("failed", failure(&visit.sale, &payment.id)),
            Status::Authorized | Status::Captured | Status::Refunded => {
                ("paid", success(razorpay, order, &payment.id))
            }
        },
    };
    html(razorpay, visit, step, result, back)
}

fn success(razorpay: &Razorpay, order: &str, payment: &str) -> Vec<(String, String)> {
    vec![
        ("razorpay_payment_id".into(), payment.into()),
        ("razorpay_order_id".into(), order.into()),
        ("razorpay_signature".into(), razorpay.signature(order, payment)),
    ]
}

fn failure(sale: &Sale, payment: &str) -> Vec<(String, String)> {
    let failure = sale.attempt(payment).ok().and_then(|attempt| attempt.failure.as_ref());
    failure.map(|failure| failure.pairs(&sale.id, payment)).unwrap_or_default()
}

fn html(
    razorpay: &Razorpay,
    visit: &Visit,
    step: &str,
    result: &Shown<'_>,
    back: Vec<(String, String)>,
) -> Response {
    let Visit { sale, buyer, .. } = visit;
    razorpay.page.html(
        StatusCode::OK,
        &context! {
            step,
            alert => result.alert.or(result.payment.and_then(|payment| payment.failure.as_deref())),
            amount => major(sale.amount, &sale.currency.to_ascii_lowercase()),
            currency => &sale.currency,
            description => buyer.description.as_ref().or(visit.name.as_ref()),
            email => &buyer.email,
            id => &sale.id,
            action => format!("{}/pay/{}", razorpay.options.base_url, sale.id),
            hidden => visit.hidden(razorpay),
            method => buyer.method.name(),
            payment => result.payment.map(|payment| &payment.id),
            callback => visit.callback_url.as_ref().filter(|_| !back.is_empty()).map(Url::as_str),
            back,
            shop => visit.callback_url.as_ref().and_then(Url::host_str),
        },
    )
}

fn refuse(razorpay: &Razorpay, error: &Error) -> Response {
    if error.status == 500 {
        tracing::error!(%error, "the checkout failed");
    }
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    razorpay.page.html(status, &context! { step => "refused", alert => &error.description })
}
