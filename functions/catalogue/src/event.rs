//! An organiser's events.

use crate::browse;
use crate::offer::{self, OfferView};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::Agent;
use tessera::catalogue::{Details, Event, LocalTime, State as EventState, Visibility, store};
use tessera::db::{Listing, Query, Stored};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, IfMatch, Input, Params, Path, etag};
use tessera::id::{EventId, OrganisationId, PictureId};
use tessera::identity::Action;
use tessera::identity::audit::{Act, Note};
use tessera::media;
use tessera::message::Message;
use tessera::page::{Page, Paging};
use tessera::price::Place;
use tessera::room::WaitingRoom;
use tessera::text::Text;

/// A new event.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Who organises and is paid.
    organisation: OrganisationId,
    /// Its name.
    #[schema(example = "Midsummer Night")]
    name: Text<1, 200>,
    /// What to expect.
    description: Option<Text<0, 5000>>,
    /// The city it is found by.
    #[schema(example = "Berlin")]
    city: Text<1, 100>,
    /// Where exactly.
    #[schema(example = "Kulturhaus, Hauptstraße 1")]
    venue: Text<1, 300>,
    /// When it begins.
    starts: LocalTime,
    /// When it ends; twelve hours after the start if nothing is said.
    ends: Option<LocalTime>,
    /// Who may find it; everybody if nothing is said.
    #[serde(default)]
    visibility: Visibility,
    /// Where it is taxed, if not at the seller's home.
    tax_place: Option<Place>,
    /// A picture of it that is ready, the organisation's own.
    picture: Option<PictureId>,
}

/// Where an event stands.
#[derive(Clone, Copy, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EventStatus)]
pub enum Status {
    /// Being prepared.
    Draft,
    /// On sale in its offers' windows.
    Published,
    /// It will not take place.
    Cancelled,
}

/// An event.
#[derive(Serialize, utoipa::ToSchema)]
pub struct EventView {
    /// The id.
    id: EventId,
    /// Who organises.
    organisation: OrganisationId,
    /// Where it stands.
    status: Status,
    /// What is written about it.
    #[serde(flatten)]
    details: Details,
    /// The start as an instant.
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    /// The end as an instant.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// The rules of its waiting room, while that is on: holds need an admission.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_room: Option<WaitingRoom>,
    /// What is on its picture, for those who do not see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    picture_description: Option<Text<1, 300>>,
}

/// An event with its offers.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Full {
    /// The event.
    #[serde(flatten)]
    event: EventView,
    /// What it sells.
    offers: Vec<OfferView>,
}

impl EventView {
    /// The view of an event. The private code is shown to the organisation alone.
    ///
    /// # Errors
    /// As [`Event::starts`].
    pub fn new(event: &Event) -> Result<Self> {
        let status = match event.state {
            EventState::Draft => Status::Draft,
            EventState::Published { .. } => Status::Published,
            EventState::Cancelled { .. } => Status::Cancelled,
        };
        Ok(Self {
            id: event.id,
            organisation: event.organisation,
            status,
            details: event.details.clone(),
            starts_at: event.starts()?,
            ends_at: event.ends()?,
            waiting_room: event.waiting_room().map(|room| room.rules.clone()),
            picture_description: event.picture_description.clone(),
        })
    }
}

impl Full {
    /// An event with its offers.
    #[must_use]
    pub const fn new(event: EventView, offers: Vec<OfferView>) -> Self {
        Self { event, offers }
    }
}

fn answer(status: StatusCode, event: &Stored<Event>) -> Result<Response> {
    Ok((status, etag(event.version), Json(EventView::new(&event.value)?)).into_response())
}

/// Create an event as a draft.
#[utoipa::path(post, path = "/v1/events", tag = "catalogue", security(("bearer" = [])), request_body = Create,
    params(("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Created as a draft", body = EventView)))]
pub async fn create(
    State(app): State<App>,
    caller: Agent,
    key: IdempotencyKey,
    input: Input<Create>,
) -> Result<Response> {
    let (
        Create { organisation, name, description, city, venue, starts, ends, visibility, tax_place, picture },
        now,
    ) = (input.value, app.clock.now());
    let description = description.unwrap_or_default();
    let details = Details { name, description, city, venue, starts, ends, visibility, tax_place, picture };
    app.authorize(&caller, Action::ManageEvents, organisation).await?;
    details.check()?;
    let picture_description = shown_on(&app, picture, organisation).await?;
    let id = EventId::derive(&[&organisation.to_string(), &key.0]);
    let new = Event {
        id,
        organisation,
        details,
        state: EventState::Draft,
        created: now,
        print: input.print.clone(),
        room: None,
        picture_description,
    };
    let event = app.db.put_new(new, Vec::new(), now).await?.by_request(&input.print, |known| &known.print)?;
    answer(StatusCode::CREATED, &event)
}

/// What is on the picture of an event, if everybody can see it.
async fn shown_on(app: &App, picture: Option<PictureId>, by: OrganisationId) -> Result<Option<Text<1, 300>>> {
    let Some(id) = picture else { return Ok(None) };
    let known = media::store::kept(&app.db, id).await?.map(|known| known.value);
    if let Some(known) = known.filter(|known| known.organisation == by && known.drawn().is_some()) {
        return Ok(Some(known.description));
    }
    Err(Refusal::invalid("/picture", "must be a picture of this organisation that is ready"))
}

/// The event, if the caller may manage it.
///
/// # Errors
/// `not_found` for strangers, `forbidden` for members without the right.
pub(crate) async fn managed(app: &App, caller: &Agent, id: EventId) -> Result<Stored<Event>> {
    let event = store::event(&app.db, id).await?;
    app.authorize(caller, Action::ManageEvents, &event.value).await?;
    Ok(event)
}

/// Replace what is written about an event. Buyers hear of another time, place or name by mail.
#[utoipa::path(put, path = "/v1/events/{id}", tag = "catalogue", security(("bearer" = [])), request_body = Details,
    params(("id" = EventId, Path, description = "The event"), ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "Replaced", body = EventView)))]
pub async fn edit(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<EventId>,
    version: IfMatch,
    input: Input<Details>,
) -> Result<Response> {
    let event = managed(&app, &caller, id).await?;
    version.check(event.version)?;
    let picture = input.value.picture;
    // One that was removed since does not stand in the way of other changes.
    let picture_description = match picture == event.value.details.picture {
        true => event.value.picture_description.clone(),
        false => shown_on(&app, picture, event.value.organisation).await?,
    };
    let (next, told) = event.value.edit(input.value)?;
    let next = Event { picture_description, ..next };
    replaced(&app, &event, next, told).await
}

/// A replacement that tolerates no other: the caller named a version.
async fn replaced(app: &App, event: &Stored<Event>, next: Event, told: Vec<Message>) -> Result<Response> {
    answer(StatusCode::OK, &app.db.replace(event, next, told, app.clock.now()).await?.done()?)
}

/// Put an event on sale. Publishing it again changes nothing.
#[utoipa::path(post, path = "/v1/events/{id}/publish", tag = "catalogue", security(("bearer" = [])),
    params(("id" = EventId, Path, description = "The event")),
    responses((status = 200, description = "Published", body = EventView)))]
pub async fn publish(State(app): State<App>, caller: Agent, Path(id): Path<EventId>) -> Result<Response> {
    let (event, now) = (managed(&app, &caller, id).await?, app.clock.now());
    let offers = store::offers(&app.db, id).await?.len();
    let change = app
        .db
        .change(event, now, |event| Ok(event.publish(offers, now)?.map(|(next, told)| (next, vec![told]))));
    answer(StatusCode::OK, &change.await?)
}

/// Call an event off. Every booking of it is cancelled and paid back; cancelling it again changes nothing.
#[utoipa::path(post, path = "/v1/events/{id}/cancel", tag = "catalogue", security(("bearer" = [])),
    params(("id" = EventId, Path, description = "The event")),
    responses((status = 200, description = "Cancelled", body = EventView)))]
pub async fn cancel(State(app): State<App>, caller: Agent, Path(id): Path<EventId>) -> Result<Response> {
    let (event, now) = (managed(&app, &caller, id).await?, app.clock.now());
    let note = Note::new(event.value.organisation, caller.actor(), Act::EventCancelled, id);
    answer(StatusCode::OK, &app.db.change(event, now, |event| Ok(note.on(event.cancel(now)))).await?)
}

/// List an organisation's events, the newest first.
#[utoipa::path(get, path = "/v1/organisations/{id}/events", tag = "catalogue", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Paging),
    responses((status = 200, description = "A page of events", body = Page<EventView>)))]
pub async fn own(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<EventView>>> {
    app.authorize(&caller, Action::ManageEvents, id).await?;
    let list = format!("events of {id}");
    let query = Query::of(Listing::Second, id).newest_first();
    Ok(Json(app.page(&list, query, &paging, |event: &Event| EventView::new(event).map(Some)).await?))
}

/// An event as its organiser sees it: drafts and private codes too, with the ETag that changes need.
#[utoipa::path(get, path = "/v1/organisations/{organisation}/events/{id}", tag = "catalogue", security(("bearer" = [])),
    params(("organisation" = OrganisationId, Path, description = "The organisation"), ("id" = EventId, Path, description = "The event")),
    responses((status = 200, description = "The event with its offers", body = Full)))]
pub async fn organisers_view(
    State(app): State<App>,
    caller: Agent,
    Path((organisation, id)): Path<(OrganisationId, EventId)>,
) -> Result<Response> {
    let event = managed(&app, &caller, id).await?;
    if event.value.organisation != organisation {
        return Code::NotFound.refuse();
    }
    let (now, mut offers) = (app.clock.now(), Vec::new());
    for offer in store::offers(&app.db, id).await? {
        let places = browse::places(&app, &event.value, &offer.value).await?;
        offers.push(offer::view(&offer.value, &event.value, Some(offer.version), places, now)?);
    }
    Ok((etag(event.version), Json(Full::new(EventView::new(&event.value)?, offers))).into_response())
}
