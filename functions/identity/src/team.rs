//! Teams: members with roles in common.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::Agent;
use tessera::db::Stored;
use tessera::error::{Code, Result};
use tessera::http::{IdempotencyKey, IfMatch, Input, Path, etag};
use tessera::id::{OrganisationId, TeamId};
use tessera::identity::audit::{Act, Note};
use tessera::identity::rights::TEAMS;
use tessera::identity::{Action, Rights, Team, store};
use tessera::text::Text;

/// What a team is called and may do.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteTeam {
    /// What it is called.
    #[schema(example = "Stewards")]
    name: Text<1, 80>,
    /// As what.
    rights: Rights,
}

/// A team.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Team)]
pub struct View {
    /// The id.
    id: TeamId,
    /// What it is called.
    name: Text<1, 80>,
    /// As what.
    rights: Rights,
}

fn view(team: Stored<Team>) -> ([(HeaderName, String); 1], Json<View>) {
    let Team { id, name, rights, .. } = team.value;
    (etag(team.version), Json(View { id, name, rights }))
}

/// Make a team. Who is in it is said with each member.
#[utoipa::path(post, path = "/v1/organisations/{id}/teams", tag = "identity", security(("bearer" = [])), request_body = WriteTeam,
    params(("id" = OrganisationId, Path, description = "The organisation"), ("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Made", body = View)))]
pub async fn make(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    key: IdempotencyKey,
    input: Input<WriteTeam>,
) -> Result<impl IntoResponse> {
    let now = app.clock.now();
    app.authorize(&caller, Action::ManageMembers, id).await?;
    if store::teams(&app.db, id).await?.len() >= TEAMS {
        return Err(Code::LimitReached.because(format!("an organisation has at most {TEAMS} teams")));
    }
    let team = Team {
        id: TeamId::derive(&[&id.to_string(), &key.0]),
        organisation: id,
        name: input.value.name,
        rights: input.value.rights.shared()?,
        print: input.print.clone(),
    };
    let noted = Note::new(id, caller.actor(), Act::TeamSet, team.id).with(&team.rights);
    let made = app.db.put_new(team, vec![noted.into()], now).await?;
    let made = made.by_request(&input.print, |team| &team.print)?;
    Ok((StatusCode::CREATED, view(made)))
}

/// An organisation's teams.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Teams {
    items: Vec<View>,
}

/// List the teams of an organisation.
#[utoipa::path(get, path = "/v1/organisations/{id}/teams", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation")),
    responses((status = 200, description = "Its teams", body = Teams)))]
pub async fn list(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
) -> Result<Json<Teams>> {
    app.authorize(&caller, Action::ManageMembers, id).await?;
    let teams = store::teams(&app.db, id).await?;
    Ok(Json(Teams { items: teams.into_iter().map(|team| view(team).1.0).collect() }))
}

/// Read a team.
#[utoipa::path(get, path = "/v1/organisations/{id}/teams/{team}", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), ("team" = TeamId, Path, description = "The team")),
    responses((status = 200, description = "The team", body = View)))]
pub async fn one(
    State(app): State<App>,
    caller: Agent,
    Path((id, team)): Path<(OrganisationId, TeamId)>,
) -> Result<impl IntoResponse> {
    app.authorize(&caller, Action::ManageMembers, id).await?;
    Ok(view(store::team(&app.db, id, team).await?))
}

/// Change a team. It applies to its members' next requests.
#[utoipa::path(put, path = "/v1/organisations/{id}/teams/{team}", tag = "identity", security(("bearer" = [])), request_body = WriteTeam,
    params(("id" = OrganisationId, Path, description = "The organisation"), ("team" = TeamId, Path, description = "The team"),
        ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "Changed", body = View)))]
pub async fn rewrite(
    State(app): State<App>,
    caller: Agent,
    Path((id, team)): Path<(OrganisationId, TeamId)>,
    version: IfMatch,
    input: Input<WriteTeam>,
) -> Result<impl IntoResponse> {
    let now = app.clock.now();
    app.authorize(&caller, Action::ManageMembers, id).await?;
    let known = store::team(&app.db, id, team).await?;
    version.check(known.version)?;
    let WriteTeam { name, rights } = input.value;
    let next = Team { name, rights: rights.shared()?, ..known.value.clone() };
    let noted = Note::new(id, caller.actor(), Act::TeamSet, team).with(&next.rights);
    Ok(view(app.db.replace(&known, next, vec![noted.into()], now).await?.done()?))
}

/// Remove a team. What its members had by it alone ends with their next requests.
#[utoipa::path(delete, path = "/v1/organisations/{id}/teams/{team}", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), ("team" = TeamId, Path, description = "The team")),
    responses((status = 204, description = "Removed")))]
pub async fn remove(
    State(app): State<App>,
    caller: Agent,
    Path((id, team)): Path<(OrganisationId, TeamId)>,
) -> Result<StatusCode> {
    app.authorize(&caller, Action::ManageMembers, id).await?;
    let note = Note::new(id, caller.actor(), Act::TeamRemoved, team);
    let known = store::team(&app.db, id, team).await?;
    app.db.amend_noted(known, app.clock.now(), &note, |team| Ok(team.remove())).await?;
    Ok(StatusCode::NO_CONTENT)
}
