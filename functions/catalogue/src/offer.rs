//! Offers of an event.

use crate::event::managed;
use crate::seating;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::Agent;
use tessera::booking::policy::RefundPolicy;
use tessera::catalogue::{
    Event, Offer, Sale, SaleStatus, Seats, State as EventState, Terms, check_capacity, store,
};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, IfMatch, Input, Path, etag};
use tessera::id::{EventId, OfferId, PoolId};
use tessera::money::Money;
use tessera::price::TaxCode;
use tessera::text::Text;

/// A new offer: with a capacity of its own, drawing from another offer's pool, or of seats.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// Places of its own, 1 to 100,000. Say either this, `pool` or `seats`.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100_000)]
    capacity: Option<u32>,
    /// The pool of another offer of the event, to share it.
    #[serde(default)]
    pool: Option<PoolId>,
    /// The seats it sells. Offers of one section share its seats.
    #[serde(default)]
    seats: Option<Seats>,
    /// The ticket type.
    #[schema(example = "Standing")]
    name: Text<1, 100>,
    /// Price of one place.
    price: Money,
    /// When it may be bought.
    #[serde(default)]
    sale: Sale,
    /// At most so many in one order, 1 to 40; 10 if nothing is said.
    #[schema(minimum = 1, maximum = 40)]
    per_order: Option<u32>,
    /// At most so many for one buyer over all orders, 1 to 40.
    #[schema(minimum = 1, maximum = 40)]
    per_buyer: Option<u32>,
    /// Whether it is sold to approved applicants alone.
    #[serde(default)]
    approval: bool,
    /// What it is for the tax office; `standard` if nothing is said.
    #[serde(default)]
    tax_code: Option<TaxCode>,
    /// What comes back if a buyer cancels; everything if nothing is said.
    #[serde(default)]
    refund: Option<RefundPolicy>,
}

/// An offer.
#[derive(Serialize, utoipa::ToSchema)]
pub struct OfferView {
    /// The id: name it in a hold.
    id: OfferId,
    /// Its event.
    event: EventId,
    /// The capacity it draws from.
    pool: PoolId,
    /// The pool's size.
    capacity: u32,
    /// The seats it sells, if it sells seats.
    #[serde(skip_serializing_if = "Option::is_none")]
    seats: Option<Seats>,
    /// Places left in the pool, a second old at most; absent where it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<u32>,
    /// Where the sale stands.
    sale_status: SaleStatus,
    /// The ETag that a change of this offer needs; for its organisation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// What is written about it.
    #[serde(flatten)]
    terms: Terms,
}

/// The view of an offer: `places` are the size of its pool and, where it was asked for, what is left of it.
///
/// # Errors
/// As [`Event::starts`].
pub fn view(
    offer: &Offer,
    event: &Event,
    version: Option<u64>,
    (capacity, available): (u32, Option<u32>),
    now: Timestamp,
) -> Result<OfferView> {
    Ok(OfferView {
        id: offer.id,
        event: offer.event,
        pool: offer.pool,
        capacity,
        seats: offer.seats.clone(),
        available,
        sale_status: offer.sale_status(event, now)?,
        etag: version.map(|version| format!("\"v{version}\"")),
        terms: offer.terms.clone(),
    })
}

/// Add an offer to a draft. Offers that share a pool sell the same places at different terms.
#[utoipa::path(post, path = "/v1/events/{id}/offers", tag = "catalogue", security(("bearer" = [])), request_body = Add,
    params(("id" = EventId, Path, description = "The event"), ("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Added", body = OfferView)))]
pub async fn add(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<EventId>,
    key: IdempotencyKey,
    input: Input<Add>,
) -> Result<Response> {
    let (add, now) = (input.value, app.clock.now());
    let Add { capacity, pool, seats, name, price, sale, per_order, per_buyer, approval, tax_code, refund } =
        add;
    let per_order = per_order.unwrap_or(10);
    let terms = Terms { name, price, sale, per_order, per_buyer, approval, tax_code, refund };
    let event = managed(&app, &caller, id).await?.value;
    terms.check()?;
    let siblings = store::offers(&app.db, id).await?;
    if let Some(other) =
        siblings.iter().find(|other| other.value.terms.price.currency != terms.price.currency)
    {
        let currency = other.value.terms.price.currency.code();
        return Err(Refusal::invalid("/price/currency", format!("the event's offers are in {currency}")));
    }
    let offer = OfferId::derive(&[&id.to_string(), &key.0]);
    let (pool, capacity) = match (capacity, pool, &seats) {
        (Some(capacity), None, None) => (PoolId::from_uuid(offer.uuid()), capacity),
        (None, Some(pool), None) => {
            let owner = siblings.iter().find(|other| other.value.pool == pool && other.value.seats.is_none());
            let owner = owner.ok_or_else(|| Refusal::invalid("/pool", "is not a pool of this event"))?;
            (pool, owner.value.capacity)
        }
        (None, None, Some(seats)) => seating::sell(&app, &event, seats, now).await?,
        _ => return Err(Refusal::invalid("/capacity", "say either capacity, pool or seats")),
    };
    check_capacity(capacity)?;
    let print = input.print.clone();
    let new = Offer { id: offer, event: id, pool, capacity, seats, terms, created: now, print };
    // Pools are opened when the event is published: an offer with a pool of its own cannot come later.
    let known = siblings.iter().any(|other| other.value.id == offer);
    let shares = siblings.iter().any(|other| other.value.pool == pool && other.value.id != offer);
    match event.state {
        EventState::Cancelled { .. } => return Err(Code::WrongState.because("the event is cancelled")),
        EventState::Published { .. } if !known && !shares => {
            return Err(Code::WrongState
                .because("the event is published: only offers that share a pool can be added"));
        }
        EventState::Draft | EventState::Published { .. } => {}
    }
    let offer = app.db.put_new(new, Vec::new(), now).await?.by_request(&input.print, |known| &known.print)?;
    let body = view(&offer.value, &event, Some(offer.version), (offer.value.capacity, None), now)?;
    Ok((StatusCode::CREATED, etag(offer.version), Json(body)).into_response())
}

/// Replace an offer's terms. What was quoted before stays as quoted. The currency stays.
#[utoipa::path(put, path = "/v1/events/{id}/offers/{offer}", tag = "catalogue", security(("bearer" = [])), request_body = Terms,
    params(("id" = EventId, Path, description = "The event"), ("offer" = OfferId, Path, description = "The offer"),
        ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "Replaced", body = OfferView)))]
pub async fn edit(
    State(app): State<App>,
    caller: Agent,
    Path((id, offer)): Path<(EventId, OfferId)>,
    version: IfMatch,
    input: Input<Terms>,
) -> Result<Response> {
    let (terms, now) = (input.value, app.clock.now());
    let event = managed(&app, &caller, id).await?.value;
    terms.check()?;
    let offer = store::offer(&app.db, id, offer).await?;
    version.check(offer.version)?;
    if terms.price.currency != offer.value.terms.price.currency {
        return Err(Refusal::invalid("/price/currency", "cannot change"));
    }
    let next = Offer { terms, ..offer.value.clone() };
    let offer = app.db.replace(&offer, next, Vec::new(), now).await?.done()?;
    let body = view(&offer.value, &event, Some(offer.version), (offer.value.capacity, None), now)?;
    Ok((etag(offer.version), Json(body)).into_response())
}
