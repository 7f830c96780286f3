//! Gates: each ticket admits once. A refusal is an error, never a success with a note.

use axum::extract::State;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tessera::app::App;
use tessera::auth::{Actor, Agent};
use tessera::db::{Listing, Query};
use tessera::entry::{Entry, Look, Outcome, Ticket, Verifier, Window, invalid, store};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, Input, Params, Path};
use tessera::id::{EventId, ScanId, TicketId};
use tessera::identity::rights::Part;
use tessera::identity::{Action, Resource};
use tessera::page::{Page, Paging};
use tessera::text::Text;

/// What a gate saw.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// At which event.
    event: EventId,
    /// Which gate.
    #[schema(example = "north")]
    gate: Text<1, 40>,
    /// What the QR code said.
    #[schema(max_length = 400)]
    code: String,
}

/// Come in.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Admitted {
    /// Always `VALID`: everything else is a refusal.
    result: Outcome,
    /// The scan.
    scan: ScanId,
    /// The ticket.
    ticket: TicketId,
    /// Its number.
    number: String,
    /// The ticket type.
    offer_name: String,
    /// Its seat, with the section, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Stalls A-12")]
    seat: Option<String>,
    /// The name on it.
    holder: String,
}

/// Scan a ticket. 200 admits (`VALID`); 409 refuses, with `result` `USED` (and when and where) or `INVALID`. The
/// Idempotency-Key names the scan: repeating it, because the answer was lost, admits again.
#[utoipa::path(post, path = "/v1/scans", tag = "entry", security(("bearer" = [])), request_body = Scan,
    params(("Idempotency-Key" = IdempotencyKey, Header, description = "Names the scan")),
    responses((status = 200, description = "Admit", body = Admitted)))]
pub async fn scan(
    State(app): State<App>,
    Extension(verifier): Extension<Arc<Verifier>>,
    caller: Agent,
    key: IdempotencyKey,
    input: Input<Scan>,
) -> Result<Json<Admitted>> {
    let (Scan { event, gate, code }, now) = (input.value, app.clock.now());
    let programme = app.programme(event).await?;
    let organisation = programme.event.organisation;
    app.authorize(&caller, Action::Scan, Resource::of(organisation, Part::Gate(event, gate.clone()))).await?;
    let scan = ScanId::derive(&[&caller.actor().to_string(), &key.0]);
    let look = Look { scan, gate: gate.as_str(), window: Window::of(&programme.event)?, now };
    let named = verifier.check(&code, event);
    let ticket = named.as_ref().ok().copied();
    let admitted = match named {
        Ok(ticket) => admit(&app, ticket, &look).await,
        Err(refusal) => Err(refusal),
    };
    note(&app, caller.actor(), event, ticket, &look, &admitted).await?;
    let Ticket { id, number, offer_name, seat, holder, .. } = admitted?;
    Ok(Json(Admitted { result: Outcome::Valid, scan, ticket: id, number, offer_name, seat, holder }))
}

async fn admit(app: &App, ticket: TicketId, look: &Look<'_>) -> Result<Ticket> {
    let ticket = store::ticket(&app.db, ticket).await.map_err(|refusal| match refusal.code {
        Code::NotFound => invalid("there is no such ticket"),
        _ => refusal,
    })?;
    Ok(app.db.amend(ticket, look.now, |ticket| ticket.admit(look)).await?.value)
}

/// Every attempt that was decided is in the log. An admission is also in its ticket: should the function die between
/// the two writes, the repeated scan writes the line.
async fn note(
    app: &App,
    by: Actor,
    event: EventId,
    ticket: Option<TicketId>,
    look: &Look<'_>,
    admitted: &Result<Ticket>,
) -> Result<()> {
    let (outcome, why) = match admitted {
        Ok(_) => (Outcome::Valid, None),
        Err(Refusal { code: Code::TicketUsed, .. }) => (Outcome::Used, None),
        Err(Refusal { code: Code::TicketInvalid, detail, .. }) => (Outcome::Invalid, detail.clone()),
        // Nothing was decided.
        Err(_) => return Ok(()),
    };
    let at = match admitted {
        Ok(Ticket { state: tessera::entry::State::Used { at, .. }, .. }) => *at,
        _ => look.now,
    };
    let line = Entry { scan: look.scan, event, ticket, gate: look.gate.to_owned(), by, at, outcome, why };
    app.db.put_new(line, Vec::new(), look.now).await?;
    Ok(())
}

/// A line of the entry log.
#[derive(Serialize, utoipa::ToSchema)]
pub struct LogLine {
    /// The scan.
    scan: ScanId,
    /// What came of it.
    result: Outcome,
    /// Which ticket, if the code named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<TicketId>,
    /// Which gate.
    gate: String,
    /// Who scanned.
    by: Actor,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Read an event's entry log, the newest first.
#[utoipa::path(get, path = "/v1/events/{id}/entries", tag = "entry", security(("bearer" = [])),
    params(("id" = EventId, Path, description = "The event"), Paging),
    responses((status = 200, description = "A page of the log", body = Page<LogLine>)))]
pub async fn log(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<EventId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<LogLine>>> {
    app.programme_for(&caller, Action::ManageBookings, id).await?;
    let list = store::log(id);
    let query = Query::of(Listing::Primary, &list).newest_first();
    let line = |entry: &Entry| {
        let Entry { scan, ticket, gate, by, at, outcome, why, .. } = entry.clone();
        Ok(Some(LogLine { scan, result: outcome, ticket, gate, by, at, why }))
    };
    Ok(Json(app.page(&list, query, &paging, line).await?))
}
