//! Audit logs: read, and proven.

use crate::owner::Owner;
use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tessera::app::App;
use tessera::auth::{Actor, Agent};
use tessera::error::{Code, Result};
use tessera::http::{Params, Path};
use tessera::id::{MessageId, OrganisationId};
use tessera::identity::audit::{Act, Entry, Log};
use tessera::identity::{Action, store};
use tessera::page::{Page, Paging};

/// An entry of an audit log.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AuditEntry)]
pub struct View {
    /// What told of it.
    id: MessageId,
    /// Which entry of the log; the first is 1.
    number: u64,
    /// When it was done.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who did it, if somebody who can be named.
    by: Option<Actor>,
    /// What.
    act: Act,
    /// With what.
    what: String,
    /// What else matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The hash of the entry before; empty for the first.
    previous: String,
    /// SHA-256 of the JSON array [previous, number, id, at, of, by, act, what, detail], absent ones null, `of` being the id
    /// of the account or organisation. Write the last one down elsewhere: nobody can change what led to it unnoticed.
    hash: String,
}

fn view(entry: &Entry) -> View {
    let Entry { id, number, at, by, act, what, detail, previous, hash, .. } = entry.clone();
    View { id, number, at, by, act, what, detail, previous, hash }
}

async fn page(app: &App, of: Log, paging: &Paging) -> Result<Json<Page<View>>> {
    let query = store::entries(of).newest_first();
    Ok(Json(app.page(&format!("audit of {of}"), query, paging, |entry: &Entry| Ok(Some(view(entry)))).await?))
}

/// Read my own audit log, the newest first.
#[utoipa::path(get, path = "/v1/me/audit", tag = "identity", security(("bearer" = [])), params(Paging),
    responses((status = 200, description = "A page of the log", body = Page<View>)))]
pub async fn mine(
    State(app): State<App>,
    caller: Owner,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<View>>> {
    page(&app, Log::Account(caller.id), &paging).await
}

/// Read my organisation's audit log, the newest first.
#[utoipa::path(get, path = "/v1/organisations/{id}/audit", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Paging),
    responses((status = 200, description = "A page of the log", body = Page<View>)))]
pub async fn of_organisation(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<View>>> {
    app.authorize(&caller, Action::ManageMembers, id).await?;
    page(&app, Log::Organisation(id), &paging).await
}

/// Whether a log is what it was when it was written.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AuditProof {
    /// How many entries were checked, from the first on.
    entries: u64,
    /// The first entry that does not fit to the one before it; absent if all do.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken_at: Option<u64>,
    /// The number of the last entry, as the head has it.
    last: u64,
    /// The hash of the last entry: all that was checked leads to it.
    hash: String,
}

/// Check my organisation's audit log, entry by entry.
#[utoipa::path(get, path = "/v1/organisations/{id}/audit/proof", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation")),
    responses((status = 200, description = "What was found", body = AuditProof)))]
pub async fn prove(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
) -> Result<Json<AuditProof>> {
    app.authorize(&caller, Action::ManageMembers, id).await?;
    proof(&app, Log::Organisation(id)).await
}

/// Check my own audit log, entry by entry.
#[utoipa::path(get, path = "/v1/me/audit/proof", tag = "identity", security(("bearer" = [])),
    responses((status = 200, description = "What was found", body = AuditProof)))]
pub async fn prove_mine(State(app): State<App>, caller: Owner) -> Result<Json<AuditProof>> {
    proof(&app, Log::Account(caller.id)).await
}

async fn proof(app: &App, of: Log) -> Result<Json<AuditProof>> {
    // The head first: what is written meanwhile comes after it.
    let head = store::head(&app.db, of).await?.ok_or(Code::NotFound)?;
    let (mut before, mut after, mut entries, mut broken_at) = (None::<Entry>, None, 0, None);
    'all: loop {
        let (found, next) = app.db.list::<Entry>(&store::entries(of), after).await?;
        for entry in found.into_iter().map(|entry| entry.value) {
            if before.as_ref().is_some_and(|before| before.number >= head.number) {
                break 'all;
            }
            let first = entries == 0 && entry.number != 1;
            if first || !entry.follows(before.as_ref()) {
                broken_at = Some(before.as_ref().map_or(1, |before| before.number + 1));
                break 'all;
            }
            entries += 1;
            before = Some(entry);
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    let fits = before.as_ref().is_some_and(|last| last.number == head.number && last.hash == head.hash);
    // The index lags a moment behind what was just written; what is cut off stays cut off.
    let settled = app.clock.now().duration_since(head.at) > SignedDuration::from_mins(1);
    if broken_at.is_none() && !fits && settled {
        broken_at = Some(before.as_ref().map_or(1, |last| (last.number + 1).min(head.number)));
    }
    Ok(Json(AuditProof { entries, broken_at, last: head.number, hash: head.hash }))
}
