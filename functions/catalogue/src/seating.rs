//! Venues with their sections, and the seat maps of events.

use crate::browse::Access;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};
use tessera::app::App;
use tessera::auth::Agent;
use tessera::catalogue::{Event, Seats, State as EventState, Visibility};
use tessera::db::{Listing, Put, Query, Replace};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, Input, Params, Path, cacheable, cacheable_as, inline_source};
use tessera::id::{EventId, OrganisationId, PoolId, VenueId};
use tessera::identity::Action;
use tessera::page::{Page, Paging};
use tessera::pool::Lane;
use tessera::seating::{Drawn, Seating, Section, SectionCode, Status, Venue, picture, store};
use tessera::text::Text;

/// A new venue.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FoundVenue)]
pub struct Found {
    /// Who may sell it.
    organisation: OrganisationId,
    /// Its name.
    #[schema(example = "Kulturhaus")]
    name: Text<1, 200>,
}

/// A section of a venue.
#[derive(Serialize, utoipa::ToSchema)]
pub struct SectionView {
    /// Its code: names it in offers.
    #[schema(value_type = String, example = "STALLS", min_length = 1, max_length = 8)]
    code: SectionCode,
    /// How many seats can be sold.
    seats: u32,
    /// What is drawn.
    #[serde(flatten)]
    section: Section,
}

/// A venue.
#[derive(Serialize, utoipa::ToSchema)]
pub struct VenueView {
    /// The id.
    id: VenueId,
    /// Who may sell it.
    organisation: OrganisationId,
    /// Its name.
    name: Text<1, 200>,
    /// Its sections, by code; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    sections: Option<Vec<SectionView>>,
}

fn view(venue: &Venue, sections: Option<Vec<SectionView>>) -> VenueView {
    VenueView { id: venue.id, organisation: venue.organisation, name: venue.name.clone(), sections }
}

fn section_view(drawn: Drawn) -> SectionView {
    SectionView { code: drawn.code, seats: for_sale(&drawn.section), section: drawn.section }
}

fn for_sale(section: &Section) -> u32 {
    section.opening().iter().map(|(all, blocked)| all.without(*blocked).count()).sum()
}

async fn managed(app: &App, caller: &Agent, id: VenueId) -> Result<Venue> {
    let venue = store::venue(&app.db, id).await?.value;
    app.authorize(caller, Action::ManageEvents, venue.organisation).await?;
    Ok(venue)
}

/// Found a venue: a place with sections of seats.
#[utoipa::path(post, path = "/v1/venues", tag = "catalogue", security(("bearer" = [])), request_body = Found,
    params(("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Founded", body = VenueView)))]
pub async fn found(
    State(app): State<App>,
    caller: Agent,
    key: IdempotencyKey,
    input: Input<Found>,
) -> Result<(StatusCode, Json<VenueView>)> {
    let (Found { organisation, name }, now) = (input.value, app.clock.now());
    app.authorize(&caller, Action::ManageEvents, organisation).await?;
    let id = VenueId::derive(&[&organisation.to_string(), &key.0]);
    let new = Venue { id, organisation, name, created: now, print: input.print.clone() };
    let venue = app.db.put_new(new, Vec::new(), now).await?.by_request(&input.print, |known| &known.print)?;
    Ok((StatusCode::CREATED, Json(view(&venue.value, None))))
}

/// A venue with its sections.
#[utoipa::path(get, path = "/v1/venues/{id}", tag = "catalogue", security(("bearer" = [])),
    params(("id" = VenueId, Path, description = "The venue")),
    responses((status = 200, description = "The venue", body = VenueView)))]
pub async fn venue(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<VenueId>,
) -> Result<Json<VenueView>> {
    let venue = managed(&app, &caller, id).await?;
    let sections = store::sections(&app.db, id).await?.into_iter().map(|drawn| section_view(drawn.value));
    Ok(Json(view(&venue, Some(sections.collect()))))
}

/// List an organisation's venues, the newest first.
#[utoipa::path(get, path = "/v1/organisations/{id}/venues", tag = "catalogue", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Paging),
    responses((status = 200, description = "A page of venues", body = Page<VenueView>)))]
pub async fn venues(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<VenueView>>> {
    app.authorize(&caller, Action::ManageEvents, id).await?;
    let list = format!("venues#{id}");
    let query = Query::of(Listing::Second, &list).newest_first();
    Ok(Json(app.page(&list, query, &paging, |venue: &Venue| Ok(Some(view(venue, None)))).await?))
}

/// Draw a section, or draw it anew. Events that sell it already keep it as it was.
#[utoipa::path(put, path = "/v1/venues/{id}/sections/{code}", tag = "catalogue", security(("bearer" = [])), request_body = Section,
    params(("id" = VenueId, Path, description = "The venue"), ("code" = String, Path, description = "The section: 1 to 8 letters and digits")),
    responses((status = 200, description = "Drawn", body = SectionView)))]
pub async fn draw(
    State(app): State<App>,
    caller: Agent,
    Path((id, code)): Path<(VenueId, String)>,
    input: Input<Section>,
) -> Result<Json<SectionView>> {
    let (section, now) = (input.value, app.clock.now());
    managed(&app, &caller, id).await?;
    let code = code_of(&code).ok_or(Code::NotFound)?;
    section.check()?;
    let drawn = Drawn { venue: id, code, section };
    for _ in 0..4 {
        let drawn_now = match app.db.put_new(drawn.clone(), Vec::new(), now).await? {
            Put::Done(_) => true,
            Put::Existed(known) => {
                matches!(app.db.replace(&known, drawn.clone(), Vec::new(), now).await?, Replace::Done(_))
            }
        };
        if drawn_now {
            return Ok(Json(section_view(drawn)));
        }
    }
    Code::Busy.refuse()
}

fn code_of(text: &str) -> Option<SectionCode> {
    Text::parse(text).ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// The pool of the seats that a new offer sells, and how many they are. The first offer of a section copies it into the
/// event.
///
/// # Errors
/// `invalid_input` when there is no such venue or section; the store's own.
pub(crate) async fn sell(app: &App, event: &Event, seats: &Seats, now: Timestamp) -> Result<(PoolId, u32)> {
    let venue = match store::venue(&app.db, seats.venue).await {
        Ok(venue) if venue.value.organisation == event.organisation => venue.value,
        Ok(_) => return Err(Refusal::invalid("/seats/venue", "is not a venue of the event's organisation")),
        Err(refusal) if refusal.code == Code::NotFound => {
            return Err(Refusal::invalid("/seats/venue", "is not a venue of the event's organisation"));
        }
        Err(refusal) => return Err(refusal),
    };
    if seats.kinds.is_empty() || seats.kinds.len() > 4 {
        return Err(Refusal::invalid("/seats/kinds", "must have 1 to 4 kinds"));
    }
    let drawn = store::section(&app.db, venue.id, seats.section.as_str()).await?;
    let drawn = drawn.ok_or_else(|| Refusal::invalid("/seats/section", "has not been drawn"))?.value;
    let pool = Seating::pool_of(event.id, venue.id, drawn.code.as_str());
    let seating = Seating { event: event.id, pool, code: drawn.code, section: drawn.section };
    // An offer that comes after the event was published finds the copy of an earlier one, or is refused there.
    let kept = match event.state {
        EventState::Draft => app.db.put_new(seating, Vec::new(), now).await?.stored().value,
        EventState::Published { .. } | EventState::Cancelled { .. } => seating,
    };
    Ok((pool, for_sale(&kept.section)))
}

/// A row of a section, with where its seats stand.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RowState {
    /// Its label.
    label: Text<1, 8>,
    /// The number of its first seat.
    first: u16,
    /// Its seats, as drawn.
    seats: Text<1, 100>,
    /// Where each stands, a letter below its seat's: `f` free, `h` held, `s` sold, `x` blocked, `_` no seat.
    #[schema(example = "fhhffs_ffffff")]
    states: String,
}

/// A section of an event, with where its seats stand.
#[derive(Serialize, utoipa::ToSchema)]
pub struct SectionState {
    /// Its code: offers name it.
    #[schema(value_type = String, example = "STALLS", min_length = 1, max_length = 8)]
    code: SectionCode,
    /// Its pool.
    pool: PoolId,
    /// Its name.
    name: Text<1, 100>,
    /// Its rows, the front row first.
    rows: Vec<RowState>,
}

/// The seats of an event.
#[derive(Serialize, utoipa::ToSchema)]
pub struct SeatMap {
    /// Its sections.
    sections: Vec<SectionState>,
}

/// An event's sections that the caller may see, in the order of its offers, each with its lanes as they were within the last
/// second. Before the sale opens every seat shows as blocked.
async fn seen(app: &App, id: EventId, access: &Access) -> Result<(Event, Vec<(Seating, Arc<Vec<Lane>>)>)> {
    let programme = app.programme(id).await?;
    if !programme.event.visible_to(access.code.as_deref()) {
        return Code::NotFound.refuse();
    }
    let mut sections: Vec<(Seating, Arc<Vec<Lane>>)> = Vec::new();
    for offer in programme.offers.iter().filter(|offer| offer.seats.is_some()) {
        if sections.iter().any(|(seating, _)| seating.pool == offer.pool) {
            continue;
        }
        let seating = app.seating(id, offer.pool).await?;
        let lanes = match app.lanes(&seating.as_pool()).await {
            Err(refusal) if refusal.code == Code::Opening => Arc::default(),
            lanes => lanes?,
        };
        sections.push((Seating::clone(&seating), lanes));
    }
    Ok((programme.event.clone(), sections))
}

fn seconds(event: &Event) -> u32 {
    // An answer that a code opened is not for shared caches.
    if event.details.visibility == Visibility::Public { 1 } else { 0 }
}

/// The seat maps of an event, with where every seat stands; a second old at most.
#[utoipa::path(get, path = "/v1/events/{id}/seats", tag = "catalogue",
    params(("id" = EventId, Path, description = "The event"), Access),
    responses((status = 200, description = "The seats", body = SeatMap), (status = 304, description = "As before")))]
pub async fn map(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<EventId>,
    Params(access): Params<Access>,
) -> Result<Response> {
    let (event, sections) = seen(&app, id, &access).await?;
    let now = app.clock.now();
    let section = |(seating, lanes): (Seating, Arc<Vec<Lane>>)| {
        let states = Status::rows(&seating.section, &lanes, now);
        let Section { name, rows } = seating.section;
        let row = |(row, states): (tessera::seating::Row, String)| RowState {
            label: row.label,
            first: row.first,
            seats: row.seats,
            states,
        };
        let rows = rows.into_iter().zip(states).map(row).collect();
        SectionState { code: seating.code, pool: seating.pool, name, rows }
    };
    cacheable(&headers, &SeatMap { sections: sections.into_iter().map(section).collect() }, seconds(&event))
}

/// The policy of the picture: its own style, by its hash. As an image it may be on any page.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = inline_source(picture::STYLE);
    format!(
        "default-src 'none'; style-src {style}; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
    )
});

/// The seat maps of an event as a picture.
#[utoipa::path(get, path = "/v1/events/{id}/seats.svg", tag = "catalogue",
    params(("id" = EventId, Path, description = "The event"), Access),
    responses((status = 200, description = "The seats, drawn", content_type = "image/svg+xml", body = String), (status = 304, description = "As before")))]
pub async fn image(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<EventId>,
    Params(access): Params<Access>,
) -> Result<Response> {
    let (event, sections) = seen(&app, id, &access).await?;
    let now = app.clock.now();
    let (seatings, lanes): (Vec<Seating>, Vec<Arc<Vec<Lane>>>) = sections.into_iter().unzip();
    let status = |section: usize, seat: &tessera::seating::Seat<'_>| {
        let lane = lanes[section].get(seat.lane as usize);
        lane.map_or(Status::Blocked, |lane| Status::of(lane, seat.cell, now))
    };
    let drawn = picture::draw(event.details.name.as_str(), &seatings, status);
    let policy = [("content-security-policy", POLICY.as_str())];
    Ok((policy, cacheable_as(&headers, "image/svg+xml", drawn.into_bytes(), seconds(&event))).into_response())
}
