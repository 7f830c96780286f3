//! The page where a buyer pays: a plain page for people, in the place of Stripe's own.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use minijinja::context;
use reqwest::Url;

use super::card::Card;
use super::error::Error;
use super::form::Form;
use super::intent::{Intent, Status};
use super::{Stripe, find};
use crate::page::{HEADERS, Page, major};

/// The page's template.
pub(crate) fn page() -> Result<Page, minijinja::Error> {
    Page::new(include_str!("pay.html"))
}

/// A buyer at the page.
struct Visit {
    intent: Intent,
    return_url: Option<Url>,
}

impl Visit {
    /// Lets in who knows the client secret. A wrong one looks like a payment that is not there.
    fn begin(stripe: &Stripe, id: &str, form: &Form) -> super::Result<Self> {
        let intent = find(&stripe.sandbox.store(), id)?;
        if form.get("client_secret") != Some(&intent.client_secret) {
            return Err(Error::no_such("payment_intent", id, "intent"));
        }
        let return_url = form.get("return_url").map(|url| {
            let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            url.ok_or_else(|| {
                Error::invalid("The return_url must be an http or https address.").param("return_url")
            })
        });
        Ok(Self { intent, return_url: return_url.transpose()? })
    }

    /// Where the buyer goes when all is said: back to the shop, told how it went as Stripe tells it, or to this page.
    fn onward(&self, status: &str) -> String {
        let secret = &self.intent.client_secret;
        let Some(mut url) = self.return_url.clone() else { return format!("?client_secret={secret}") };
        url.query_pairs_mut()
            .append_pair("payment_intent", &self.intent.id)
            .append_pair("payment_intent_client_secret", secret)
            .append_pair("redirect_status", status);
        url.into()
    }

    /// This page again.
    fn again(&self) -> String {
        let mut query = form_urlencoded::Serializer::for_suffix(String::from("?"), 1);
        query.append_pair("client_secret", &self.intent.client_secret);
        if let Some(url) = &self.return_url {
            query.append_pair("return_url", url.as_str());
        }
        query.finish()
    }
}

pub(crate) async fn show(
    State(stripe): State<Arc<Stripe>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let form = Form::parse(query.unwrap_or_default().as_bytes(), &[]);
    match Visit::begin(&stripe, &id, &form) {
        Ok(visit) => render(&stripe, &visit, StatusCode::OK, None),
        Err(error) => refuse(&stripe, &error),
    }
}

pub(crate) async fn act(
    State(stripe): State<Arc<Stripe>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let form = Form::parse(query.unwrap_or_default().as_bytes(), &body);
    let visit = match Visit::begin(&stripe, &id, &form) {
        Ok(visit) => visit,
        Err(error) => return refuse(&stripe, &error),
    };
    let return_url = visit.return_url.as_ref().map(Url::as_str);
    let with = |card: Option<&Card>| match card {
        Some(card) => stripe.pay(&id, card, return_url),
        None => Err(Error::invalid("Your card number is incorrect.").code("incorrect_number").status(402)),
    };
    let outcome = match form.get("action") {
        Some("pay") => with(form.get("number").map_or_else(|| Card::named("visa"), Card::numbered)),
        Some("decline") => with(Card::named("chargeDeclined")),
        Some("authenticate") => with(Card::named("authenticationRequired")),
        Some("approve") => stripe.authenticate(&id, true),
        Some("refuse") => stripe.authenticate(&id, false),
        Some("cancel") => stripe.cancel(&id),
        _ => Err(Error::invalid("No such action.").param("action")),
    };
    let to = match outcome {
        Ok(payment) => match payment.status {
            Status::RequiresAction => visit.again(),
            Status::Canceled => visit.onward("canceled"),
            Status::RequiresPaymentMethod | Status::RequiresConfirmation => visit.onward("failed"),
            Status::RequiresCapture | Status::Succeeded => visit.onward("succeeded"),
        },
        // A number nobody knows is a slip: the buyer stays here. A decline is an outcome.
        Err(error) if error.code == Some("incorrect_number") => {
            return render(&stripe, &visit, StatusCode::PAYMENT_REQUIRED, Some(&error.message));
        }
        Err(error) if error.status == 402 => visit.onward("failed"),
        // Done already, perhaps in another window: the page says how it stands.
        Err(error) if error.code == Some("payment_intent_unexpected_state") => visit.again(),
        Err(error) => return refuse(&stripe, &error),
    };
    (StatusCode::SEE_OTHER, HEADERS, [(header::LOCATION, to)]).into_response()
}

fn render(stripe: &Stripe, visit: &Visit, status: StatusCode, alert: Option<&str>) -> Response {
    let intent = &visit.intent;
    let step = match intent.status {
        Status::RequiresAction => "bank",
        Status::RequiresPaymentMethod | Status::RequiresConfirmation => "choose",
        Status::RequiresCapture | Status::Succeeded => "paid",
        Status::Canceled => "canceled",
    };
    let word = match intent.status {
        Status::Canceled => "canceled",
        Status::RequiresCapture | Status::Succeeded => "succeeded",
        _ => "failed",
    };
    let back = visit.return_url.as_ref().map(|_| visit.onward(word));
    let shop = visit.return_url.as_ref().and_then(Url::host_str);
    stripe.page.html(
        status,
        &context! {
            step,
            alert => alert.or(intent.last_message()),
            amount => major(intent.amount, &intent.currency),
            currency => intent.currency.to_ascii_uppercase(),
            description => intent.texts.get("description"),
            email => intent.texts.get("receipt_email"),
            id => &intent.id,
            client_secret => &intent.client_secret,
            return_url => visit.return_url.as_ref().map(Url::as_str),
            back,
            shop,
        },
    )
}

fn refuse(stripe: &Stripe, error: &Error) -> Response {
    if error.status == 500 {
        tracing::error!(%error, "the pay page failed");
    }
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let alert =
        if status == StatusCode::NOT_FOUND { "This payment link is not valid." } else { &error.message };
    stripe.page.html(status, &context! { step => "refused", alert })
}
