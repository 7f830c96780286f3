//! How an organisation's invoices look. Without these settings none are issued.

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
use tessera::order::invoice::{InvoiceSettings, Invoicing, store};

/// Read an organisation's invoice settings, with the ETag that a change needs; `null` if none were written, and then no invoices are
/// issued.
#[utoipa::path(get, path = "/v1/organisations/{id}/invoicing", tag = "order", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation")),
    responses((status = 200, description = "The settings", body = Option<InvoiceSettings>)))]
pub async fn read(State(app): State<App>, caller: Agent, Path(id): Path<OrganisationId>) -> Result<Response> {
    app.authorize(&caller, Action::ManageMoney, id).await?;
    let known = store::invoicing(&app.db, id).await?;
    let version = known.as_ref().map_or(0, |known| known.version);
    Ok((etag(version), Json(known.map(|known| known.value.settings))).into_response())
}

/// Write an organisation's invoice settings. What is sold from then on has an invoice when it is paid, and a credit note for each
/// refund; what was sold before has none. Documents that were issued stay as they are, and numbers go on.
#[utoipa::path(put, path = "/v1/organisations/{id}/invoicing", tag = "order", security(("bearer" = [])),
    request_body = InvoiceSettings,
    params(("id" = OrganisationId, Path, description = "The organisation"),
        ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "Written", body = InvoiceSettings)))]
pub async fn write(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    version: IfMatch,
    input: Input<InvoiceSettings>,
) -> Result<Response> {
    let (settings, now) = (input.value, app.clock.now());
    app.authorize(&caller, Action::ManageMoney, id).await?;
    settings.check()?;
    let next = Invoicing { organisation: id, settings };
    let known = store::invoicing(&app.db, id).await?;
    version.check(known.as_ref().map_or(0, |known| known.version))?;
    let note = Note::new(id, caller.actor(), Act::InvoicingWritten, id);
    let stored = app.db.overwrite(known.as_ref(), next, vec![note.into()], now).await?;
    Ok((etag(stored.version), Json(stored.value.settings)).into_response())
}
