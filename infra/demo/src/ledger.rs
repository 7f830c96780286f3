//! Fetches what every side says: the API as the organiser, the provider, the mailbox, the entry log.

use crate::books::{Books, Fate, Intent, Order};
use crate::buyer::{Purchase, Shop};
use crate::gate::Gate;
use crate::staff::{OnSale, Page, Staff};
use crate::wire::{Call, Wire};
use crate::{DemoError, provider};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::task::JoinSet;

/// An order, as the API shows it.
#[derive(Debug, Deserialize)]
pub(crate) struct OrderView {
    pub(crate) id: String,
    status: String,
    reason: Option<String>,
    lines: Vec<Line>,
    total: Money,
    contact: Contact,
    history: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Line {
    quantity: u32,
}

#[derive(Debug, Deserialize)]
struct Money {
    amount: i64,
}

#[derive(Debug, Deserialize)]
struct Contact {
    email: String,
}

#[derive(Debug, Deserialize)]
struct Step {
    what: String,
}

#[derive(Deserialize)]
struct BookingView {
    order: String,
    status: String,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct EntryLine {
    result: String,
    ticket: Option<String>,
}

#[derive(Deserialize)]
struct ListPage<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Mailbox {
    total: u64,
    messages: Vec<Mail>,
}

#[derive(Deserialize)]
struct Mail {
    id: String,
    subject: String,
    recipients: Vec<String>,
}

impl OrderView {
    /// Where it stands. An order whose buyer paid is not done when its time is over: the money must still end as places
    /// or go back.
    pub(crate) fn fate(&self, paid: bool) -> Fate {
        let has = |what: &str| self.history.iter().any(|step| step.what == what);
        match (self.status.as_str(), self.reason.as_deref()) {
            ("confirmed", _) if has("paid") && has("tickets_issued") => Fate::Confirmed,
            ("cancelled", Some("places_gone")) if has("payment_voided") || has("refunded") => Fate::Released,
            ("expired", _) if !paid => Fate::Expired,
            _ => Fate::Stuck,
        }
    }

    fn places(&self) -> u32 {
        self.lines.iter().map(|line| line.quantity).sum()
    }
}

/// All pages of an organiser's list.
async fn pages<T: DeserializeOwned>(wire: &Wire, staff: &Staff, path: &str) -> Result<Vec<T>, DemoError> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let mut call = Call::get(path).query("limit", "100");
        if let Some(cursor) = cursor {
            call = call.query("cursor", cursor);
        }
        let ListPage { items, next_cursor } = staff.send(wire, call).await?.value::<ListPage<T>>()?;
        all.extend(items);
        cursor = next_cursor;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

/// What was mailed in this run.
#[derive(Debug, Default)]
struct Mailed {
    ids: BTreeSet<String>,
    confirmed: BTreeSet<String>,
}

/// Reads the mailbox from the newest on, as far as it is this run's.
async fn mailed(wire: &Wire, tag: &str) -> Result<Mailed, DemoError> {
    let (mut found, mut skip, ours) = (Mailed::default(), 0_u64, format!(".{tag}@"));
    loop {
        let call = Call::get("/_ses/messages").query("limit", "200").query("skip", skip.to_string());
        let Mailbox { total, messages } = wire.send(&call).await?.value()?;
        skip += u64::try_from(messages.len()).unwrap_or(u64::MAX);
        let mut mine = 0;
        let seen = messages.len();
        for mail in messages {
            if mail.recipients.iter().any(|address| address.contains(&ours)) {
                mine += 1;
                if mail.subject.starts_with("Your tickets") {
                    found.confirmed.extend(mail.recipients);
                }
                found.ids.insert(mail.id);
            }
        }
        if mine == 0 || seen == 0 || skip >= total {
            return Ok(found);
        }
    }
}

/// The provider's entries: from its list where the shop's key is at hand, otherwise one by one as the buyers see them.
async fn intents(
    shop: &Arc<Shop>,
    secret_key: Option<&str>,
    orders: &BTreeMap<String, Order>,
    purchases: &[Purchase],
) -> Result<Vec<Intent>, DemoError> {
    if let Some(secret_key) = secret_key {
        return provider::list(&shop.wire, secret_key, |order| orders.contains_key(order)).await;
    }
    let mut asked = JoinSet::new();
    for purchase in purchases {
        let Some(checkout) = purchase.checkout.clone() else { continue };
        let (shop, order) = (Arc::clone(shop), purchase.order.clone());
        asked.spawn(async move { checkout.entry(&shop.wire, &shop.publishable_key, &order).await });
    }
    let mut intents = Vec::new();
    while let Some(answer) = asked.join_next().await {
        intents.push(answer??);
    }
    Ok(intents)
}

/// Places in confirmed bookings of an event, as its organiser reads them.
///
/// # Errors
/// As [`Wire::send`], and if an answer has another shape.
pub(crate) async fn sold(wire: &Wire, organiser: &Staff, event: &str) -> Result<u32, DemoError> {
    let bookings: Vec<BookingView> = pages(wire, organiser, &format!("/v1/events/{event}/bookings")).await?;
    let confirmed = bookings.into_iter().filter(|booking| booking.status == "confirmed");
    Ok(confirmed.flat_map(|booking| booking.lines).map(|line| line.quantity).sum())
}

/// The whole of the books, and how many mails were sent.
///
/// # Errors
/// As [`Wire::send`], and if an answer has another shape.
pub(crate) async fn read(
    shop: &Arc<Shop>,
    on_sale: &OnSale,
    secret_key: Option<&str>,
    purchases: &[Purchase],
    gate: &Gate,
) -> Result<(Books, usize), DemoError> {
    let (wire, organiser, event) = (&shop.wire, &on_sale.organiser, &on_sale.event);
    let paid: BTreeSet<&str> =
        purchases.iter().filter(|purchase| purchase.paid).map(|purchase| &*purchase.order).collect();
    let views: Vec<OrderView> = pages(wire, organiser, &format!("/v1/events/{event}/orders")).await?;
    let order = |view: OrderView| {
        let (fate, places) = (view.fate(paid.contains(&*view.id)), view.places());
        let email = view.contact.email.to_lowercase();
        (view.id, Order { fate, places, total: view.total.amount, email })
    };
    let orders: BTreeMap<String, Order> = views.into_iter().map(order).collect();
    let bookings: Vec<BookingView> = pages(wire, organiser, &format!("/v1/events/{event}/bookings")).await?;
    let confirmed = bookings.into_iter().filter(|booking| booking.status == "confirmed");
    let places = |booking: BookingView| (booking.order, booking.lines.iter().map(|line| line.quantity).sum());
    let page: Page = on_sale.page(wire).await?.value()?;
    let left = page.offers.first().and_then(|offer| offer.available).unwrap_or_default();
    let log: Vec<EntryLine> = pages(wire, organiser, &format!("/v1/events/{event}/entries")).await?;
    let with = |result: &'static str| log.iter().filter(move |line| line.result.eq_ignore_ascii_case(result));
    let refused_as_used = u64::try_from(with("used").count()).unwrap_or(u64::MAX);
    let admitted = with("valid").filter_map(|line| line.ticket.clone()).collect();
    let Mailed { ids, confirmed: confirmed_by_mail } = mailed(wire, &shop.tag).await?;
    let books = Books {
        capacity: gate.capacity,
        left,
        intents: intents(shop, secret_key, &orders, purchases).await?,
        orders,
        known: purchases.iter().map(|purchase| purchase.order.clone()).collect(),
        bookings: confirmed.map(places).collect(),
        tickets: gate.tickets.clone(),
        confirmed_by_mail,
        admitted,
        refused_as_used,
        surprises: gate.surprises.clone(),
    };
    Ok((books, ids.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(status: &str, reason: Option<&str>, history: &[&str]) -> OrderView {
        let history: Vec<_> =
            history.iter().map(|what| serde_json::json!({"what": what, "at": "-"})).collect();
        serde_json::from_value(serde_json::json!({
            "id": "ord_1", "status": status, "reason": reason, "history": history,
            "lines": [{"quantity": 2, "offer": "ofr_1"}, {"quantity": 1}],
            "total": {"amount": 10_500, "currency": "EUR"},
            "contact": {"name": "Ada", "email": "Ada@example.org"},
        }))
        .unwrap()
    }

    #[test]
    fn an_order_is_settled_only_when_money_and_tickets_are() {
        assert_eq!(view("confirmed", None, &["placed", "confirmed"]).fate(true), Fate::Stuck);
        assert_eq!(view("confirmed", None, &["confirmed", "paid"]).fate(true), Fate::Stuck);
        let done = view("confirmed", None, &["confirmed", "paid", "tickets_issued"]);
        assert_eq!((done.fate(true), done.places()), (Fate::Confirmed, 3));
    }

    #[test]
    fn places_gone_is_settled_once_the_money_is_let_go() {
        let gone = |history: &[&str]| view("cancelled", Some("places_gone"), history).fate(true);
        assert_eq!(gone(&["placed", "cancelled"]), Fate::Stuck);
        assert_eq!(gone(&["placed", "cancelled", "payment_voided"]), Fate::Released);
    }

    #[test]
    fn time_over_is_an_end_only_without_money() {
        assert_eq!(view("expired", None, &["placed"]).fate(false), Fate::Expired);
        assert_eq!(view("expired", None, &["placed"]).fate(true), Fate::Stuck);
        assert_eq!(view("pending", None, &["placed"]).fate(false), Fate::Stuck);
    }
}
