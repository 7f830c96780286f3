//! Tickets, as their buyers see them.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tessera::app::App;
use tessera::auth::{Buyer, MaybeBuyer};
use tessera::calendar;
use tessera::entry::{Signer, State as TicketState, Ticket, store};
use tessera::error::{Code, Result};
use tessera::http::{Params, Path};
use tessera::id::{BookingId, EventId, OfferId, OrderId, TicketId};
use tessera::money::Money;
use tessera::order::store::Link;

/// Where a ticket stands.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TicketStatus)]
pub enum Status {
    /// Admits one person.
    Valid,
    /// Somebody has come in with it.
    Used,
    /// Admits nobody.
    Void,
}

/// A ticket.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Ticket)]
pub struct View {
    /// The id.
    id: TicketId,
    /// For reading aloud.
    #[schema(example = "7Q2K-94MX")]
    number: String,
    /// Where it stands.
    status: Status,
    /// What the QR code says: gates scan it. Whoever has it can come in.
    code: String,
    /// What it admits to.
    event: EventId,
    /// Its order.
    order: OrderId,
    /// Its booking.
    booking: BookingId,
    /// The ticket type.
    offer: OfferId,
    /// The ticket type's name.
    offer_name: String,
    /// Its seat, with the section, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Stalls A-12")]
    seat: Option<String>,
    /// Its price.
    price: Money,
    /// The name on it.
    holder: String,
    /// When it was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    used_at: Option<Timestamp>,
    /// Where it was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    gate: Option<String>,
}

fn view(ticket: Ticket, signer: &Signer) -> View {
    let code = signer.code(ticket.id, ticket.event);
    let (status, used_at, gate) = match ticket.state {
        TicketState::Valid => (Status::Valid, None, None),
        TicketState::Used { at, gate, .. } => (Status::Used, Some(at), Some(gate)),
        TicketState::Void { .. } => (Status::Void, None, None),
    };
    let Ticket { id, number, event, order, booking, offer, offer_name, seat, price, holder, .. } = ticket;
    View {
        id,
        number,
        status,
        code,
        event,
        order,
        booking,
        offer,
        offer_name,
        seat,
        price,
        holder,
        used_at,
        gate,
    }
}

/// Of which order, and by what right.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OfOrder {
    /// The order.
    order: OrderId,
    /// The secret of the order's link, instead of a credential.
    key: Option<String>,
}

/// An order's tickets.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Tickets {
    items: Vec<View>,
}

/// List an order's tickets: none until they are issued, moments after the order is confirmed.
#[utoipa::path(get, path = "/v1/tickets", tag = "entry", security(("bearer" = []), ()), params(OfOrder),
    responses((status = 200, description = "The tickets", body = Tickets)))]
pub async fn of_order(
    State(app): State<App>,
    Extension(signer): Extension<Arc<Signer>>,
    MaybeBuyer(caller): MaybeBuyer,
    Params(query): Params<OfOrder>,
) -> Result<Json<Tickets>> {
    app.order_for(query.order, caller, &Link { key: query.key }).await?;
    let tickets = store::tickets_of(&app.db, query.order).await?;
    Ok(Json(Tickets { items: tickets.into_iter().map(|ticket| view(ticket.value, &signer)).collect() }))
}

/// Read a ticket. With `.pdf` after the id, its document; with `.ics`, its calendar file.
#[utoipa::path(get, path = "/v1/tickets/{id}", tag = "entry", security(("bearer" = []), ()),
    params(("id" = String, Path, description = "The ticket, perhaps followed by .pdf or .ics"), Link),
    responses((status = 200, description = "The ticket, or one of its files",
        content((View = "application/json"), (String = "application/pdf"), (String = "text/calendar")))))]
pub async fn one(
    State(app): State<App>,
    Extension(signer): Extension<Arc<Signer>>,
    MaybeBuyer(caller): MaybeBuyer,
    Path(name): Path<String>,
    Params(link): Params<Link>,
) -> Result<Response> {
    let (id, form) = name.split_once('.').unwrap_or((&name, ""));
    let id: TicketId = id.parse().map_err(|_| Code::NotFound)?;
    let ticket = seen_by(&app, id, caller, &link).await?;
    match form {
        "" => Ok(Json(view(ticket, &signer)).into_response()),
        "pdf" => pdf(&app, &ticket).await,
        "ics" => ics(&app, &ticket).await,
        _ => Code::NotFound.refuse(),
    }
}

async fn seen_by(app: &App, id: TicketId, caller: Option<Buyer>, link: &Link) -> Result<Ticket> {
    let ticket = store::ticket(&app.db, id).await?.value;
    app.order_for(ticket.order, caller, link).await?;
    Ok(ticket)
}

async fn pdf(app: &App, ticket: &Ticket) -> Result<Response> {
    if matches!(ticket.state, TicketState::Void { .. }) {
        return Err(Code::WrongState.because("this ticket admits nobody"));
    }
    let bytes = app.blobs.get(&store::document(ticket.id)).await?.ok_or(Code::NotFound)?;
    Ok((file("application/pdf", &format!("{}.pdf", ticket.number)), bytes).into_response())
}

async fn ics(app: &App, ticket: &Ticket) -> Result<Response> {
    let event = &app.programme(ticket.event).await?.event;
    let url = format!("{}/v1/events/{}", app.config.optional("PUBLIC_URL").unwrap_or_default(), event.id);
    let text = calendar::file(event, &url, app.clock.now())?;
    Ok((file("text/calendar; charset=utf-8", &format!("{}.ics", ticket.number)), text).into_response())
}

fn file(kind: &str, name: &str) -> [(header::HeaderName, String); 2] {
    [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ]
}
