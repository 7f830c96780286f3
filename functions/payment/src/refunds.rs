//! Refunds, as those see and decide them who handle a seller's money.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tessera::app::App;
use tessera::auth::Agent;
use tessera::booking;
use tessera::db::{Listing, Query, Stored};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, Input, Path};
use tessera::id::{EventId, OrderId, PaymentId, RefundId};
use tessera::identity::Action;
use tessera::identity::audit::{Act, Note};
use tessera::money::Money;
use tessera::order::Order;
use tessera::payment::refund::{Back, New, Refund, RefundState, Wanted, Why};
use tessera::payment::{Payment, store};
use tessera::text::Text;

/// Where a refund stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// The provider is to be asked.
    Due,
    /// The provider has begun.
    Pending,
    /// The money went back.
    Done,
    /// The provider could not do it; it is asked again.
    Failed,
}

impl RefundStatus {
    const fn of(state: &RefundState) -> Self {
        match state {
            RefundState::Due { .. } => Self::Due,
            RefundState::Pending { .. } => Self::Pending,
            RefundState::Done { .. } => Self::Done,
            RefundState::Failed { .. } => Self::Failed,
        }
    }
}

/// A refund.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Refund)]
pub struct RefundView {
    /// The id.
    id: RefundId,
    /// How much.
    amount: Money,
    /// Of which parts of the payment.
    parts: Vec<Back>,
    /// Why.
    why: Why,
    /// What the seller said about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Text<1, 500>>,
    /// When it was decided.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Where it stands.
    status: RefundStatus,
    /// Asked for the how-many-th time.
    attempt: u32,
    /// Why the last attempt failed, in the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl RefundView {
    /// The view of a refund.
    pub(crate) fn new(refund: &Refund) -> Self {
        let Refund { id, amount, backs, why, reason, at, state, .. } = refund.clone();
        let (status, attempt) = (RefundStatus::of(&state), state.attempt());
        let failure = match state {
            RefundState::Failed { code, .. } => Some(code),
            RefundState::Due { .. } | RefundState::Pending { .. } | RefundState::Done { .. } => None,
        };
        Self { id, amount, parts: backs, why, reason, at, status, attempt, failure }
    }
}

/// A line of which something is to go back.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundLine {
    /// Which part of the payment, from 0: its lines, then its fees.
    #[schema(maximum = 30)]
    part: u32,
    /// How much of it. Say either this, `quantity` or nothing: then all that is left of it goes back.
    #[serde(default)]
    amount: Option<i64>,
    /// For so many of its places or units.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 40)]
    quantity: Option<u32>,
}

/// What is to go back.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeRefund {
    /// So much, of everything alike. Say either this or `lines`.
    #[serde(default)]
    amount: Option<Money>,
    /// Of these.
    #[serde(default)]
    #[schema(max_items = 30)]
    lines: Vec<RefundLine>,
    /// Why: the buyer is told.
    #[serde(default)]
    reason: Option<Text<1, 500>>,
}

/// Refund some of a payment, or all that is left of it. The places stay sold: to give those back, too, cancel the booking. Several
/// refunds of one payment can follow each other; together they are never more than was paid.
#[utoipa::path(post, path = "/v1/payments/{id}/refunds", tag = "payment", security(("bearer" = [])), request_body = MakeRefund,
    params(("id" = PaymentId, Path, description = "The payment"), ("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Owed: the provider is asked next", body = RefundView)))]
pub async fn make(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<PaymentId>,
    key: IdempotencyKey,
    input: Input<MakeRefund>,
) -> Result<(StatusCode, Json<RefundView>)> {
    let (MakeRefund { amount, lines, reason }, now) = (input.value, app.clock.now());
    let payment = managed(&app, &caller, id).await?;
    if lines.len() > 30 {
        return Err(Refusal::invalid("/lines", "must be at most 30"));
    }
    // The request is in the id: the same key with another request is another refund, and refused by its print.
    let refund = RefundId::derive(&[&id.to_string(), &key.0]);
    let quantities = match lines.iter().any(|line| line.quantity.is_some()) {
        true => quantities(&app, payment.value.order).await?,
        false => Vec::new(),
    };
    let wanted = |payment: &Payment| match (amount, lines.is_empty()) {
        (Some(amount), true) => Ok(Wanted::Amount(amount)),
        (None, true) => Ok(Wanted::Amount(payment.remaining())),
        (None, false) => of_lines(payment, &lines, &quantities),
        (Some(_), false) => Err(Refusal::invalid("/amount", "say either amount or lines")),
    };
    let (by, print) = (Some(caller.actor()), Some(input.print.clone()));
    let note = Note::new(payment.value.organisation, caller.actor(), Act::RefundMade, id).with(refund);
    let rule = |payment: &Payment| match payment.refund(refund) {
        Some(known) if known.print != print => Code::KeyReused.refuse(),
        Some(_) => Ok(None),
        None => {
            let (why, reason, print) = (Why::Seller, reason.clone(), print.clone());
            let owed =
                payment.owe(New { id: refund, wanted: wanted(payment)?, why, reason, by, print }, now)?;
            Ok(note.on(owed))
        }
    };
    let payment = app.db.change(payment, now, rule).await?.value;
    let made = payment.refund(refund).ok_or(Code::NotFound)?;
    Ok((StatusCode::CREATED, Json(RefundView::new(made))))
}

/// How many places or units each line of an order has.
async fn quantities(app: &App, order: OrderId) -> Result<Vec<u32>> {
    let order = tessera::order::store::order(&app.db, order).await?.value;
    Ok(order.quote.lines.iter().map(|line| line.quantity).collect())
}

fn of_lines(payment: &Payment, lines: &[RefundLine], quantities: &[u32]) -> Result<Wanted> {
    let rests = payment.rests();
    let mut wanted = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let fault = |detail: &str| Refusal::invalid(format!("/lines/{place}"), detail);
        let at = line.part as usize;
        let (part, rest) =
            payment.parts.get(at).zip(rests.get(at)).ok_or_else(|| fault("there is no such part"))?;
        let amount = match (line.amount, line.quantity) {
            (Some(_), Some(_)) => return Err(fault("say either amount or quantity")),
            (Some(amount), None) if amount > 0 => amount,
            (Some(_), None) => return Err(fault("must be more than 0")),
            (None, None) => *rest,
            (None, Some(quantity)) => {
                let all = quantities.get(at).copied().ok_or_else(|| fault("a fee has no quantity"))?;
                if !(1..=all).contains(&quantity) {
                    return Err(fault("has fewer than that"));
                }
                // The last of several unequal shares is what is left.
                let share = part.gross * i64::from(quantity) / i64::from(all);
                if quantity == all { part.gross } else { share }
            }
        };
        wanted.push((line.part, amount));
    }
    Ok(Wanted::Parts(wanted))
}

async fn managed(app: &App, caller: &Agent, id: PaymentId) -> Result<Stored<Payment>> {
    let payment = store::payment(&app.db, id).await?;
    app.authorize(caller, Action::ManageMoney, &payment.value).await?;
    Ok(payment)
}

/// Ask the provider once more for a refund that failed. One that did not fail is left alone.
#[utoipa::path(post, path = "/v1/payments/{id}/refunds/{refund}/retry", tag = "payment", security(("bearer" = [])),
    params(("id" = PaymentId, Path, description = "The payment"), ("refund" = RefundId, Path, description = "The refund")),
    responses((status = 200, description = "Where it stands", body = RefundView)))]
pub async fn retry(
    State(app): State<App>,
    caller: Agent,
    Path((id, refund)): Path<(PaymentId, RefundId)>,
) -> Result<Json<RefundView>> {
    let now = app.clock.now();
    let payment = managed(&app, &caller, id).await?;
    let payment = app.db.change(payment, now, |payment| payment.retry(refund)).await?.value;
    Ok(Json(RefundView::new(payment.refund(refund).ok_or(Code::NotFound)?)))
}

/// How many refunds stand where, and how much they are.
#[derive(Default, Serialize, utoipa::ToSchema)]
pub struct RefundCount {
    /// How many.
    count: u32,
    /// How much, by currency, minor units.
    amounts: BTreeMap<String, i64>,
}

/// How far the refunds of an event have come.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RefundProgress {
    /// Orders that were looked at.
    orders: u32,
    /// Of them, those whose booking is still to be cancelled, if the event is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    bookings_left: Option<u32>,
    /// Refunds that the provider is still to be asked for.
    due: RefundCount,
    /// Refunds that the provider works at.
    pending: RefundCount,
    /// Refunds that are done.
    done: RefundCount,
    /// Refunds that failed and are asked for again.
    failed: RefundCount,
    /// Whether all orders were looked at; the newest 5,000 are.
    complete: bool,
}

/// How far the refunds of my organisation's event have come: all of them after it was called off.
#[utoipa::path(get, path = "/v1/events/{id}/refunds", tag = "payment", security(("bearer" = [])),
    params(("id" = EventId, Path, description = "The event")),
    responses((status = 200, description = "How far they have come", body = RefundProgress)))]
pub async fn of_event(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<EventId>,
) -> Result<Json<RefundProgress>> {
    const PAGES: u32 = 50;
    let programme = app.programme_for(&caller, Action::ManageMoney, id).await?;
    let off = matches!(programme.event.state, tessera::catalogue::State::Cancelled { .. });
    let query = Query::of(Listing::Second, booking::Subject::Event(id)).newest_first();
    let (mut after, mut orders, mut left, mut complete) = (None, 0, 0, false);
    let mut counts: BTreeMap<RefundStatus, RefundCount> = BTreeMap::new();
    for _ in 0..PAGES {
        let (found, next) = app.db.list::<Order>(&query, after).await?;
        let ids: Vec<OrderId> = found.iter().map(|order| order.value.id).collect();
        orders += u32::try_from(ids.len()).unwrap_or(u32::MAX);
        left += found.iter().filter(|order| order.value.is_confirmed()).count();
        for payment in store::payments_of(&app.db, &ids).await? {
            for refund in &payment.value.refunds {
                let count = counts.entry(RefundStatus::of(&refund.state)).or_default();
                count.count += 1;
                *count.amounts.entry(refund.amount.currency.code().to_owned()).or_default() +=
                    refund.amount.amount;
            }
        }
        complete = next.is_none();
        if complete {
            break;
        }
        after = next;
    }
    let mut of = |status| counts.remove(&status).unwrap_or_default();
    Ok(Json(RefundProgress {
        orders,
        bookings_left: off.then_some(u32::try_from(left).unwrap_or(u32::MAX)),
        due: of(RefundStatus::Due),
        pending: of(RefundStatus::Pending),
        done: of(RefundStatus::Done),
        failed: of(RefundStatus::Failed),
        complete,
    }))
}
