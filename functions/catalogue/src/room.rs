//! The waiting room of an event: its rules are the organiser's and part of the event. Joining and admitting are booking's.

use crate::event::managed;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tessera::app::App;
use tessera::auth::Agent;
use tessera::error::{Code, Result};
use tessera::http::{Input, Path};
use tessera::id::EventId;
use tessera::room::WaitingRoom;

/// Switch an event's waiting room on, or change its rules. Functions follow within two seconds. Doors and draw stand from
/// ten seconds before the draw on; the pace may change at any time. Such a sale wants a limit `per_buyer` on its offers: an
/// admission is one person's, but it does not say how much they may buy.
#[utoipa::path(put, path = "/v1/events/{id}/waiting-room", tag = "catalogue", security(("bearer" = [])), request_body = WaitingRoom,
    params(("id" = EventId, Path, description = "The event")),
    responses((status = 200, description = "Switched on", body = WaitingRoom)))]
pub async fn open(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<EventId>,
    input: Input<WaitingRoom>,
) -> Result<Json<WaitingRoom>> {
    let (event, now) = (managed(&app, &caller, id).await?, app.clock.now());
    let change = app.db.amend(event, now, |event| event.open_room(input.value.clone(), now));
    let rules = change.await?.value.waiting_room().map(|room| room.rules.clone());
    Ok(Json(rules.ok_or(Code::WrongState)?))
}

/// Switch an event's waiting room off: everybody may take holds. Switched on again, it begins a new line. Switching it off
/// again changes nothing.
#[utoipa::path(delete, path = "/v1/events/{id}/waiting-room", tag = "catalogue", security(("bearer" = [])),
    params(("id" = EventId, Path, description = "The event")),
    responses((status = 204, description = "Switched off")))]
pub async fn close(State(app): State<App>, caller: Agent, Path(id): Path<EventId>) -> Result<StatusCode> {
    let (event, now) = (managed(&app, &caller, id).await?, app.clock.now());
    app.db.amend(event, now, |event| Ok(event.close_room())).await?;
    Ok(StatusCode::NO_CONTENT)
}
