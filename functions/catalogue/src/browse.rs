//! What the public sees: events by city, an event with live availability. Caches may keep it for a second or a few.

use crate::event::{EventView, Full};
use crate::offer;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use tessera::app::App;
use tessera::catalogue::{Event, Offer, State as EventState, Visibility, store};
use tessera::clock::sortable;
use tessera::db::{Listing, Query};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{Params, Path, cacheable};
use tessera::id::EventId;
use tessera::page::{Page, Paging};
use tessera::pool::store::Kind;
use tessera::text::Text;

/// What to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The city, in any case.
    city: Text<1, 100>,
    /// Only events that begin at or after this instant; now if nothing is said.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// At most so many items, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List a city's published events, the next one first.
#[utoipa::path(get, path = "/v1/events", tag = "catalogue", params(Search),
    responses((status = 200, description = "A page of events", body = Page<EventView>), (status = 304, description = "As before")))]
pub async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    Params(search): Params<Search>,
) -> Result<Response> {
    let paging = Paging { limit: search.limit, cursor: search.cursor };
    let city = store::city(search.city.as_str());
    let from = search.from.unwrap_or_else(|| app.clock.now());
    let query = Query::of(Listing::First, &city).from(sortable(from));
    let page = app.page(&city, query, &paging, |event: &Event| EventView::new(event).map(Some)).await?;
    cacheable(&headers, &page, 5)
}

/// The code of a private event.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// The code of a private event.
    pub(crate) code: Option<String>,
}

/// An event with its offers and what is left of them.
#[utoipa::path(get, path = "/v1/events/{id}", tag = "catalogue",
    params(("id" = EventId, Path, description = "The event"), Access),
    responses((status = 200, description = "The event", body = Full), (status = 304, description = "As before")))]
pub async fn detail(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<EventId>,
    Params(access): Params<Access>,
) -> Result<Response> {
    let now = app.clock.now();
    let programme = app.programme(id).await?;
    if !programme.event.visible_to(access.code.as_deref()) {
        return Code::NotFound.refuse();
    }
    let mut offers = Vec::with_capacity(programme.offers.len());
    for known in &programme.offers {
        let places = places(&app, &programme.event, known).await?;
        offers.push(offer::view(known, &programme.event, None, places, now)?);
    }
    // An answer that a code opened is not for shared caches.
    let seconds = if programme.event.details.visibility == Visibility::Public { 1 } else { 0 };
    cacheable(&headers, &Full::new(EventView::new(&programme.event)?, offers), seconds)
}

/// The size of an offer's pool as it is now, and what is left of it; both as opened while it is not on sale.
pub(crate) async fn places(app: &App, event: &Event, offer: &Offer) -> Result<(u32, Option<u32>)> {
    if !matches!(event.state, EventState::Published { .. }) {
        return Ok((offer.capacity, None));
    }
    let counted = async {
        let opened = app.opened(offer.pool).await?;
        let lanes = app.lanes(&opened.pool()).await?;
        // Seats are blocked and opened while they sell: their lanes say how many there are.
        let capacity = match opened.kind {
            Kind::Seats | Kind::Stock => lanes.iter().map(|lane| lane.capacity).sum(),
            Kind::Places => opened.capacity,
        };
        Ok::<_, Refusal>((capacity, Some(lanes.iter().map(|lane| lane.available).sum())))
    };
    match counted.await {
        Err(refusal) if refusal.code == Code::Opening => Ok((offer.capacity, None)),
        counted => counted,
    }
}
