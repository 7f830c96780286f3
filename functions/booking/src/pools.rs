//! Pools, for those who sell from them: their size, and the proof of their books.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::Agent;
use tessera::booking::proof::{self, Proof};
use tessera::booking::{Subject, waitlist};
use tessera::catalogue::check_capacity;
use tessera::error::{Code, Result};
use tessera::http::{Input, Path};
use tessera::id::PoolId;
use tessera::identity::Action;
use tessera::pool::store::{self, Opened, Waited};

/// A pool's size.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Places in all, 1 to 100,000.
    #[schema(minimum = 1, maximum = 100_000)]
    capacity: u32,
}

/// A pool.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Pool)]
pub struct View {
    /// The id.
    id: PoolId,
    /// What it is of.
    #[serde(flatten)]
    subject: Subject,
    /// Places in all.
    capacity: u32,
    /// The items its places are spread over.
    lanes: u32,
}

/// A pool of the caller's organisation, read anew.
async fn managed(app: &App, caller: &Agent, id: PoolId, action: Action) -> Result<Opened> {
    let opened = match store::opened_pool(&app.db, id).await {
        Err(refusal) if refusal.code == Code::Opening => return Code::NotFound.refuse(),
        opened => opened?,
    };
    app.manages(caller, action, opened.subject).await?;
    Ok(opened)
}

/// Give a pool another size while it sells. It grows at once; it shrinks to no less than what is held and sold
/// (`below_taken` says how much that is). The same size again changes nothing.
#[utoipa::path(put, path = "/v1/pools/{id}", tag = "booking", security(("bearer" = [])), request_body = Size,
    params(("id" = PoolId, Path, description = "The pool")),
    responses((status = 200, description = "Resized", body = View)))]
pub async fn resize(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<PoolId>,
    input: Input<Size>,
) -> Result<Json<View>> {
    let capacity = input.value.capacity;
    check_capacity(capacity)?;
    managed(&app, &caller, id, Action::ManageEvents).await?;
    let Opened { id, subject, capacity, lanes, waited, .. } = store::resize(&app.db, id, capacity).await?;
    if let (Waited::Is(_), Subject::Event(event)) = (waited, subject) {
        waitlist::store::serve(&app, event).await?;
    }
    Ok(Json(View { id, subject, capacity, lanes }))
}

/// The proof of a pool: where every place is, recounted from the ledger of its lanes and from the bookings. `differences`
/// is empty, or something has to be put right; a scheduled job does so.
#[utoipa::path(get, path = "/v1/pools/{id}/proof", tag = "booking", security(("bearer" = [])),
    params(("id" = PoolId, Path, description = "The pool")),
    responses((status = 200, description = "The proof", body = Proof)))]
pub async fn prove(State(app): State<App>, caller: Agent, Path(id): Path<PoolId>) -> Result<Json<Proof>> {
    let opened = managed(&app, &caller, id, Action::ManageBookings).await?;
    Ok(Json(proof::prove(&app, &opened, app.clock.now()).await?))
}
