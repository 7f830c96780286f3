//! How an organisation's prices are taxed, and which fees come with them.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use tessera::app::App;
use tessera::auth::Agent;
use tessera::error::Result;
use tessera::http::{IfMatch, Input, Path, etag};
use tessera::id::OrganisationId;
use tessera::identity::Action;
use tessera::identity::audit::{Act, Note};
use tessera::price::{PriceRules, Pricing, store};

/// Read an organisation's price rules, with the ETag that a change needs; empty ones if none were written.
#[utoipa::path(get, path = "/v1/organisations/{id}/pricing", tag = "catalogue", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation")),
    responses((status = 200, description = "The rules", body = PriceRules)))]
pub async fn read(State(app): State<App>, caller: Agent, Path(id): Path<OrganisationId>) -> Result<Response> {
    app.authorize(&caller, Action::ManageEvents, id).await?;
    let known = store::pricing(&app.db, id).await?;
    let (version, rules) = known.map_or_else(Default::default, |known| (known.version, known.value.rules));
    Ok((etag(version), Json(rules)).into_response())
}

/// Write an organisation's price rules. What was quoted before stays as quoted; they count within a minute.
#[utoipa::path(put, path = "/v1/organisations/{id}/pricing", tag = "catalogue", security(("bearer" = [])), request_body = PriceRules,
    params(("id" = OrganisationId, Path, description = "The organisation"),
        ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "Written", body = PriceRules)))]
pub async fn write(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    version: IfMatch,
    input: Input<PriceRules>,
) -> Result<Response> {
    let (rules, now) = (input.value, app.clock.now());
    app.authorize(&caller, Action::ManageEvents, id).await?;
    rules.check()?;
    let next = Pricing { organisation: id, rules };
    let known = store::pricing(&app.db, id).await?;
    version.check(known.as_ref().map_or(0, |known| known.version))?;
    let note = Note::new(id, caller.actor(), Act::PricingWritten, id);
    let stored = app.db.overwrite(known.as_ref(), next, vec![note.into()], now).await?;
    Ok((etag(stored.version), Json(stored.value.rules)).into_response())
}
