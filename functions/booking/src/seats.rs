//! Seats, for those who sell them: blocked and opened while they sell.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::Agent;
use tessera::booking::waitlist;
use tessera::error::{Refusal, Result};
use tessera::http::{Input, Path};
use tessera::id::EventId;
use tessera::identity::Action;
use tessera::pool::store::{self, Waited};
use tessera::seating::SectionCode;

/// Seats to take off sale, or to put on sale.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The section.
    #[schema(value_type = String, example = "STALLS", min_length = 1, max_length = 8)]
    section: SectionCode,
    /// Seats that nobody shall have.
    #[serde(default)]
    #[schema(max_items = 200, example = json!(["A-1"]))]
    block: Vec<String>,
    /// Blocked seats that are for sale again.
    #[serde(default)]
    #[schema(max_items = 200)]
    open: Vec<String>,
}

/// What came of it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Changed {
    /// Seats that somebody holds or has: they were left as they are.
    taken: Vec<String>,
}

/// Block seats of an event, or open blocked ones, while they sell. A seat that somebody holds or has stays theirs and is named in
/// the answer. Repeating it changes nothing.
#[utoipa::path(post, path = "/v1/events/{id}/seats/changes", tag = "booking", security(("bearer" = [])), request_body = Change,
    params(("id" = EventId, Path, description = "The event")),
    responses((status = 200, description = "Changed", body = Changed)))]
pub async fn change(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<EventId>,
    input: Input<Change>,
) -> Result<Json<Changed>> {
    let Change { section, block, open } = input.value;
    if block.len() + open.len() > 200 {
        return Err(Refusal::invalid("/block", "at most 200 seats at once"));
    }
    let programme = app.programme_for(&caller, Action::ManageEvents, id).await?;
    let here = |offer: &&tessera::catalogue::Offer| {
        offer.seats.as_ref().is_some_and(|seats| seats.section == section)
    };
    let offer = programme.offers.iter().find(here);
    let pool = offer.ok_or_else(|| Refusal::invalid("/section", "is not sold at this event"))?.pool;
    let seating = app.seating(id, pool).await?;
    let mut taken = Vec::new();
    for (name, blocked) in block.iter().map(|name| (name, true)).chain(open.iter().map(|name| (name, false)))
    {
        let seat = seating.section.seat(name);
        let seat = seat.ok_or_else(|| Refusal::invalid("/block", format!("there is no seat {name}")))?;
        let pool = seating.as_pool();
        if store::block(&app.db, &pool, seat.lane, seat.cell, blocked).await? {
            continue;
        }
        // It was so already, or somebody has it.
        if blocked && !store::read_one(&app.db, &pool, seat.lane).await?.blocked.has(seat.cell) {
            taken.push(name.clone());
        }
    }
    if let (false, Waited::Is(_)) = (open.is_empty(), store::opened_pool(&app.db, pool).await?.waited) {
        waitlist::store::serve(&app, id).await?;
    }
    Ok(Json(Changed { taken }))
}
