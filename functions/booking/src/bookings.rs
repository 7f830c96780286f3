//! Bookings: places that are sold.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use tessera::app::App;
use tessera::auth::{Agent, Buyer, Caller, MaybeCaller};
use tessera::booking::{Booking, By, Line, Register, Subject, may_cancel, policy, store};
use tessera::db::{Listing, Query, Stored};
use tessera::error::{Code, Result};
use tessera::http::{Params, Path};
use tessera::id::{BookingId, EventId, OrderId, ServiceId, StoreId};
use tessera::identity::Action;
use tessera::money::Money;
use tessera::order::store::Link;
use tessera::page::{Page, Paging};

/// Where a booking stands.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BookingStatus)]
pub enum Status {
    /// The places are kept for money that was promised.
    Reserved,
    /// The places are sold.
    Confirmed,
    /// They were given back.
    Cancelled,
}

/// A booking.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Booking)]
pub struct View {
    /// The id.
    id: BookingId,
    /// Where it stands.
    status: Status,
    /// The order that pays.
    order: OrderId,
    /// What it is of.
    #[serde(flatten)]
    subject: Subject,
    /// The lines.
    lines: Vec<Line>,
    /// Their sum.
    total: Money,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    confirmed_at: Timestamp,
    /// Who cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_by: Option<By>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    cancelled_at: Option<Timestamp>,
    /// How much of the total goes back since.
    #[serde(skip_serializing_if = "Option::is_none")]
    back: Option<Money>,
}

fn view(register: &Register) -> Option<View> {
    let (booking, status, cancelled) = match register {
        Register::Ended { .. } | Register::Lost { .. } => return None,
        Register::Confirmed { booking } if booking.awaits.is_some() => (booking, Status::Reserved, None),
        Register::Confirmed { booking } => (booking, Status::Confirmed, None),
        Register::Cancelled { booking, by, back, at } => {
            let back = Some(back.unwrap_or_else(|| paid(booking))).filter(|_| *by != By::Moved);
            (booking, Status::Cancelled, Some((*by, *at, back)))
        }
    };
    let Booking { id, order, subject, lines, total, confirmed, .. } = booking.clone();
    let (cancelled_by, cancelled_at, back) =
        cancelled.map_or((None, None, None), |(by, at, back)| (Some(by), Some(at), back));
    Some(View {
        id,
        status,
        order,
        subject,
        lines,
        total,
        confirmed_at: confirmed,
        cancelled_by,
        cancelled_at,
        back,
    })
}

/// The view of a booking.
///
/// # Errors
/// `not_found` for what never became one.
pub(crate) fn shown(register: &Register) -> Result<View> {
    view(register).ok_or_else(|| Code::NotFound.into())
}

async fn page(app: &App, listing: Listing, of: String, paging: &Paging) -> Result<Json<Page<View>>> {
    let list = format!("bookings of {of}");
    let query = Query::of(listing, of).newest_first();
    Ok(Json(app.page(&list, query, paging, |register: &Register| Ok(view(register))).await?))
}

/// List my bookings, the newest first.
#[utoipa::path(get, path = "/v1/bookings", tag = "booking", security(("bearer" = [])), params(Paging),
    responses((status = 200, description = "A page of bookings", body = Page<View>)))]
pub async fn mine(
    State(app): State<App>,
    buyer: Buyer,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<View>>> {
    page(&app, Listing::First, buyer.to_string(), &paging).await
}

/// List the bookings of my organisation's event, the newest first.
#[utoipa::path(get, path = "/v1/events/{id}/bookings", tag = "booking", security(("bearer" = [])),
    params(("id" = EventId, Path, description = "The event"), Paging),
    responses((status = 200, description = "A page of bookings", body = Page<View>)))]
pub async fn of_event(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<EventId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<View>>> {
    sold_by(&app, &caller, Subject::Event(id), &paging).await
}

/// List the bookings of my organisation's service, the newest first.
#[utoipa::path(get, path = "/v1/services/{id}/bookings", tag = "booking", security(("bearer" = [])),
    params(("id" = ServiceId, Path, description = "The service"), Paging),
    responses((status = 200, description = "A page of bookings", body = Page<View>)))]
pub async fn of_service(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<ServiceId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<View>>> {
    sold_by(&app, &caller, Subject::Service(id), &paging).await
}

/// List the bookings of my organisation's store, the newest first.
#[utoipa::path(get, path = "/v1/stores/{id}/bookings", tag = "booking", security(("bearer" = [])),
    params(("id" = StoreId, Path, description = "The store"), Paging),
    responses((status = 200, description = "A page of bookings", body = Page<View>)))]
pub async fn of_store(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<StoreId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<View>>> {
    sold_by(&app, &caller, Subject::Store(id), &paging).await
}

async fn sold_by(app: &App, caller: &Agent, subject: Subject, paging: &Paging) -> Result<Json<Page<View>>> {
    app.manages(caller, Action::ManageBookings, subject).await?;
    page(app, Listing::Second, subject.to_string(), paging).await
}

/// A booking for its buyer, whoever has its order's link, or its organiser.
async fn seen_by(
    app: &App,
    id: BookingId,
    caller: Option<Caller>,
    link: &Link,
) -> Result<(Stored<Register>, Booking, By)> {
    let (register, booking) = store::booking(&app.db, id).await?;
    let buyer = caller.as_ref().and_then(Caller::buyer);
    if buyer == Some(booking.buyer) {
        return Ok((register, booking, By::Buyer));
    }
    if link.key.is_some() && app.order_for(booking.order, buyer, link).await.is_ok() {
        return Ok((register, booking, By::Buyer));
    }
    let agent = caller.and_then(Caller::agent).ok_or(Code::NotFound)?;
    app.authorize(&agent, Action::ManageBookings, &booking).await?;
    Ok((register, booking, By::Organiser))
}

/// Read a booking.
#[utoipa::path(get, path = "/v1/bookings/{id}", tag = "booking", security(("bearer" = []), ()),
    params(("id" = BookingId, Path, description = "The booking"), Link),
    responses((status = 200, description = "The booking", body = View)))]
pub async fn one(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    Path(id): Path<BookingId>,
    Params(link): Params<Link>,
) -> Result<Json<View>> {
    let (register, ..) = seen_by(&app, id, caller, &link).await?;
    shown(&register.value).map(Json)
}

/// When it begins: until then its buyer may cancel.
async fn starts(app: &App, booking: &Booking) -> Result<Timestamp> {
    match booking.subject {
        Subject::Event(event) => app.programme(event).await?.event.starts(),
        Subject::Service(_) => Ok(booking.starts().unwrap_or(Timestamp::MAX)),
        // What is delivered can be cancelled until then; what is fetched may be out of the door by now.
        Subject::Store(_) => Ok(booking.starts().unwrap_or(Timestamp::MIN)),
    }
}

/// What was paid for it, as far as it matters here: money that was promised comes all at once.
fn paid(booking: &Booking) -> Money {
    let amount = if booking.awaits.is_some() { 0 } else { booking.total.amount };
    Money { amount, ..booking.total }
}

/// How much of the money goes back if it is cancelled now by these, if it is not all of it.
fn back(booking: &Booking, by: By, starts: Timestamp, now: Timestamp) -> Option<Money> {
    let back = match by {
        By::Buyer => policy::back(&booking.lines, booking.total, starts, now),
        By::Organiser | By::Event | By::Payment | By::Moved => booking.total,
    };
    Some(back).filter(|back| *back != booking.total)
}

/// What cancelling would do.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Cancellation {
    /// How much of the total would go back.
    back: Money,
}

/// What I would get back if I cancelled now. Nothing is changed.
#[utoipa::path(get, path = "/v1/bookings/{id}/cancellation", tag = "booking", security(("bearer" = []), ()),
    params(("id" = BookingId, Path, description = "The booking"), Link),
    responses((status = 200, description = "What would go back", body = Cancellation)))]
pub async fn cancellation(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    Path(id): Path<BookingId>,
    Params(link): Params<Link>,
) -> Result<Json<Cancellation>> {
    let now = app.clock.now();
    let (register, booking, by) = seen_by(&app, id, caller, &link).await?;
    if !matches!(register.value, Register::Confirmed { .. }) {
        return Err(Code::WrongState.because("it is cancelled already"));
    }
    let starts = starts(&app, &booking).await?;
    may_cancel(by, starts, now)?;
    let back = back(&booking, by, starts, now).filter(|_| booking.awaits.is_none());
    Ok(Json(Cancellation { back: back.unwrap_or_else(|| paid(&booking)) }))
}

/// Cancel a booking: its places go back on sale, its tickets admit nobody, its money goes back: all of it, or what the policy says it was bought under if its buyer cancels. Buyers may until the
/// event begins, organisers at any time. Cancelling it again changes nothing.
#[utoipa::path(post, path = "/v1/bookings/{id}/cancel", tag = "booking", security(("bearer" = []), ()),
    params(("id" = BookingId, Path, description = "The booking"), Link),
    responses((status = 200, description = "Cancelled", body = View)))]
pub async fn cancel(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    Path(id): Path<BookingId>,
    Params(link): Params<Link>,
) -> Result<Json<View>> {
    let now = app.clock.now();
    let (register, booking, by) = seen_by(&app, id, caller, &link).await?;
    let starts = starts(&app, &booking).await?;
    may_cancel(by, starts, now)?;
    let back = back(&booking, by, starts, now);
    let register = store::finish_move(&app, register, now).await?;
    let register = app.db.change(register, now, |register| register.cancel_for(by, back, now)).await?;
    shown(&register.value).map(Json)
}
