//! Orders, as buyers and organisers see them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::{Agent, Buyer, MaybeBuyer};
use tessera::booking::{self, Line, Quote, Register, Subject};
use tessera::db::{Listing, Put, Query};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{Input, Params, Path};
use tessera::id::{BookingId, EventId, HoldId, OrderId, OrganisationId, ServiceId, StoreId};
use tessera::identity::Action;
use tessera::money::Money;
use tessera::order::invoice::BillTo;
use tessera::order::store::Link;
use tessera::order::{Contact, Order, Reason, Refunded, State as OrderState, Status, Step};
use tessera::page::{Page, Paging};
use tessera::pool::HoldKey;
use tessera::price::{Discount, Fee};
use tessera::sign::Purpose;

/// What turns a hold into an order.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlaceOrder)]
pub struct Place {
    /// The hold's quote, as it came.
    #[schema(max_length = 20000)]
    quote: String,
    /// Who buys.
    contact: Contact,
    /// What is wanted on the invoice, if the seller issues any.
    #[serde(default)]
    invoice: Option<BillTo>,
}

/// An order.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Order)]
pub struct View {
    /// The id.
    id: OrderId,
    /// Where it stands.
    status: Status,
    /// The hold it came from.
    hold: HoldId,
    /// Who sells.
    organisation: OrganisationId,
    /// What it is of.
    #[serde(flatten)]
    subject: Subject,
    /// The lines.
    lines: Vec<Line>,
    /// Fees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fees: Vec<Fee>,
    /// Coupons, and what each took off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    coupons: Vec<UsedCoupon>,
    /// What is to be paid: the lines without their discounts, the fees, and taxes that come on top.
    total: Money,
    /// Who buys.
    contact: Contact,
    /// What was wanted on the invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice: Option<BillTo>,
    /// Until when the places are kept for payment.
    #[schema(value_type = String, format = DateTime)]
    pay_until: Timestamp,
    /// Once its places are sold, or reserved.
    #[serde(skip_serializing_if = "Option::is_none")]
    booking: Option<BookingId>,
    /// Once cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    /// What happened, in order.
    history: Vec<Step>,
    /// What went back of the money.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refunds: Vec<Refunded>,
}

/// A coupon that took something off.
#[derive(Serialize, utoipa::ToSchema)]
pub struct UsedCoupon {
    /// Its code.
    #[schema(example = "SUMMER10")]
    code: String,
    /// What it took off.
    amount: Money,
}

fn view(order: &Order, now: Timestamp) -> View {
    let Quote { hold, organisation, subject, lines, extras, total, expires, .. } = order.quote.clone();
    let coupon = |Discount { code, amount, .. }| UsedCoupon { code, amount };
    let (fees, coupons) = (extras.fees, extras.discounts.into_iter().map(coupon).collect());
    let (booking, reason) = match order.state {
        OrderState::Pending => (None, None),
        OrderState::Reserved { booking, .. } | OrderState::Confirmed { booking, .. } => (Some(booking), None),
        OrderState::Cancelled { reason, .. } => (None, Some(reason)),
    };
    let pay_until = match order.state {
        OrderState::Reserved { until, .. } => until,
        OrderState::Pending | OrderState::Confirmed { .. } | OrderState::Cancelled { .. } => expires,
    };
    let (id, status, contact, history) =
        (order.id, order.status(now), order.contact.clone(), order.history.clone());
    View {
        id,
        status,
        hold,
        organisation,
        subject,
        lines,
        fees,
        coupons,
        total,
        contact,
        invoice: order.bill_to.clone(),
        pay_until,
        booking,
        reason,
        history,
        refunds: order.refunds.clone(),
    }
}

/// Order what a hold keeps. A hold makes one order: sending it again answers with the first. An order that costs nothing
/// confirms at once; any other waits for its payment.
#[utoipa::path(post, path = "/v1/orders", tag = "order", security(("bearer" = [])), request_body = Place,
    responses((status = 201, description = "Placed", body = View)))]
pub async fn place(
    State(app): State<App>,
    buyer: Buyer,
    input: Input<Place>,
) -> Result<(StatusCode, Json<View>)> {
    let now = app.clock.now();
    let quote: Option<Quote> = app.sealer.open(Purpose::Quote, &input.value.quote);
    let quote = quote
        .filter(|quote| quote.buyer == buyer)
        .ok_or_else(|| Refusal::invalid("/quote", "is not a quote of yours"))?;
    if let Some(known) =
        app.db.get::<Order>(&tessera::db::Key::new(OrderId::from_uuid(quote.hold.uuid()), "-")).await?
    {
        return answer(&known.value, &input.print, now);
    }
    // An Idempotency-Key that was used again after its hold had ended leads to a hold that can never be confirmed:
    // better to hear of it before paying than after.
    let register = match HoldKey::of(quote.hold) {
        Some(holder) => booking::store::register_of(&app.db, holder).await?,
        None => None,
    };
    match register.map(|register| register.value) {
        None => {}
        Some(Register::Ended { .. } | Register::Lost { .. }) => return Code::HoldGone.refuse(),
        Some(Register::Confirmed { .. } | Register::Cancelled { .. }) => return Code::HoldDecided.refuse(),
    }
    let Place { contact, invoice, .. } = input.value;
    invoice.as_ref().map_or(Ok(()), BillTo::check)?;
    let (order, told) = Order::place(quote, contact, invoice, input.print.clone(), now)?;
    match app.db.put_new(order, told, now).await? {
        Put::Done(order) | Put::Existed(order) => answer(&order.value, &input.print, now),
    }
}

fn answer(order: &Order, print: &str, now: Timestamp) -> Result<(StatusCode, Json<View>)> {
    if order.print != print {
        return Err(Code::KeyReused.because("this hold has been ordered with other data"));
    }
    Ok((StatusCode::CREATED, Json(view(order, now))))
}

/// Read an order.
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "order", security(("bearer" = []), ()),
    params(("id" = OrderId, Path, description = "The order"), Link),
    responses((status = 200, description = "The order", body = View)))]
pub async fn one(
    State(app): State<App>,
    MaybeBuyer(caller): MaybeBuyer,
    Path(id): Path<OrderId>,
    Params(link): Params<Link>,
) -> Result<Json<View>> {
    let order = app.order_for(id, caller, &link).await?;
    Ok(Json(view(&order.value, app.clock.now())))
}

/// Give up an order before it is paid. Its places go back on sale. Giving up again changes nothing.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", tag = "order", security(("bearer" = []), ()),
    params(("id" = OrderId, Path, description = "The order"), Link),
    responses((status = 200, description = "Given up", body = View)))]
pub async fn give_up(
    State(app): State<App>,
    MaybeBuyer(caller): MaybeBuyer,
    Path(id): Path<OrderId>,
    Params(link): Params<Link>,
) -> Result<Json<View>> {
    let now = app.clock.now();
    let order = app.order_for(id, caller, &link).await?;
    let order = app.db.change(order, now, |order| order.give_up(now)).await?;
    Ok(Json(view(&order.value, now)))
}

async fn page(app: &App, listing: Listing, of: String, paging: &Paging) -> Result<Json<Page<View>>> {
    let (list, now) = (format!("orders of {of}"), app.clock.now());
    let query = Query::of(listing, of).newest_first();
    Ok(Json(app.page(&list, query, paging, |order: &Order| Ok(Some(view(order, now)))).await?))
}

/// List my orders, the newest first.
#[utoipa::path(get, path = "/v1/orders", tag = "order", security(("bearer" = [])), params(Paging),
    responses((status = 200, description = "A page of orders", body = Page<View>)))]
pub async fn mine(
    State(app): State<App>,
    buyer: Buyer,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<View>>> {
    page(&app, Listing::First, buyer.to_string(), &paging).await
}

/// List the orders of my organisation's event, the newest first.
#[utoipa::path(get, path = "/v1/events/{id}/orders", tag = "order", security(("bearer" = [])),
    params(("id" = EventId, Path, description = "The event"), Paging),
    responses((status = 200, description = "A page of orders", body = Page<View>)))]
pub async fn of_event(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<EventId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<View>>> {
    sold_by(&app, &caller, Subject::Event(id), &paging).await
}

/// List the orders of my organisation's service, the newest first.
#[utoipa::path(get, path = "/v1/services/{id}/orders", tag = "order", security(("bearer" = [])),
    params(("id" = ServiceId, Path, description = "The service"), Paging),
    responses((status = 200, description = "A page of orders", body = Page<View>)))]
pub async fn of_service(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<ServiceId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<View>>> {
    sold_by(&app, &caller, Subject::Service(id), &paging).await
}

/// List the orders of my organisation's store, the newest first.
#[utoipa::path(get, path = "/v1/stores/{id}/orders", tag = "order", security(("bearer" = [])),
    params(("id" = StoreId, Path, description = "The store"), Paging),
    responses((status = 200, description = "A page of orders", body = Page<View>)))]
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
