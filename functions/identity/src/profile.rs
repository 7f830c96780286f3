//! What people tell about themselves: their name, and a profile that is read and written as one document.

use crate::owner::Owner;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tessera::app::App;
use tessera::error::Result;
use tessera::http::{IfMatch, Input, etag};
use tessera::identity::profile::Kept;
use tessera::identity::{Account, Profile, store};
use tessera::text::Text;

/// Another name.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    name: Text<1, 120>,
}

/// Change my name. What was sold before keeps the name it was sold to.
#[utoipa::path(put, path = "/v1/me/name", tag = "identity", security(("bearer" = [])), request_body = Rename,
    responses((status = 204, description = "Changed")))]
pub async fn rename(State(app): State<App>, owner: Owner, input: Input<Rename>) -> Result<StatusCode> {
    let (name, now) = (input.value.name, app.clock.now());
    let rule = |known: &Account| {
        owner.lasts(known, now)?;
        Ok((known.name != name).then(|| Account { name: name.clone(), ..known.clone() }))
    };
    app.db.amend(owner.account.clone(), now, rule).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Read my profile, with the ETag that a change needs.
#[utoipa::path(get, path = "/v1/me/profile", tag = "identity", security(("bearer" = [])),
    responses((status = 200, description = "The profile", body = Profile)))]
pub async fn read(State(app): State<App>, owner: Owner) -> Result<Response> {
    let known = store::profile(&app.db, owner.id).await?;
    let version = known.as_ref().map_or(0, |known| known.version);
    Ok((etag(version), Json(known.map(|known| known.value.profile).unwrap_or_default())).into_response())
}

/// Write my profile.
#[utoipa::path(put, path = "/v1/me/profile", tag = "identity", security(("bearer" = [])), request_body = Profile,
    params(("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "Written", body = Profile)))]
pub async fn write(
    State(app): State<App>,
    owner: Owner,
    version: IfMatch,
    input: Input<Profile>,
) -> Result<Response> {
    let (profile, now) = (input.value, app.clock.now());
    profile.check()?;
    let known = store::profile(&app.db, owner.id).await?;
    version.check(known.as_ref().map_or(0, |known| known.version))?;
    let next = Kept { account: owner.id, profile };
    let stored = app.db.overwrite(known.as_ref(), next, Vec::new(), now).await?;
    Ok((etag(stored.version), Json(stored.value.profile)).into_response())
}
