//! Money that no provider moves, for those who handle a seller's: how else buyers can pay, what is waited for, what arrived, what is to
//! be paid back.

use crate::payments::{View, seen};
use crate::providers::Providers;
use crate::refunds::RefundView;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use std::sync::Arc;
use tessera::app::App;
use tessera::auth::Agent;
use tessera::booking::Subject;
use tessera::db::{Listing, Query, Stored};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, IfMatch, Input, Params, Path, etag};
use tessera::id::{OrganisationId, PaymentId, RefundId};
use tessera::identity::Action;
use tessera::identity::audit::{Act, Note};
use tessera::money::Money;
use tessera::order::Order;
use tessera::page::{Page, Paging};
use tessera::payment::promise::{Means, PaymentMeans, Promise, REFERENCE, Receipt, Way};
use tessera::payment::store::{ByHand, Known, by_hand, known, means};
use tessera::payment::{Intent, Payment, Provider, store};
use tessera::text::Text;

/// Read how my organisation's buyers can pay besides the providers, with the ETag that a change needs.
#[utoipa::path(get, path = "/v1/organisations/{id}/means", tag = "payment", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation")),
    responses((status = 200, description = "The means", body = PaymentMeans)))]
pub async fn read(State(app): State<App>, caller: Agent, Path(id): Path<OrganisationId>) -> Result<Response> {
    app.authorize(&caller, Action::ManageMoney, id).await?;
    let known = means(&app.db, id).await?;
    let (version, means) = known.map_or_else(Default::default, |known| (known.version, known.value.means));
    Ok((etag(version), Json(means)).into_response())
}

/// Write how my organisation's buyers can pay besides the providers. What was promised before stays as it was promised.
#[utoipa::path(put, path = "/v1/organisations/{id}/means", tag = "payment", security(("bearer" = [])), request_body = PaymentMeans,
    params(("id" = OrganisationId, Path, description = "The organisation"),
        ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "Written", body = PaymentMeans)))]
pub async fn write(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    version: IfMatch,
    input: Input<PaymentMeans>,
) -> Result<Response> {
    app.authorize(&caller, Action::ManageMoney, id).await?;
    input.value.check()?;
    let (next, now) = (Means { organisation: id, means: input.value }, app.clock.now());
    let known = means(&app.db, id).await?;
    version.check(known.as_ref().map_or(0, |known| known.version))?;
    let note = Note::new(id, caller.actor(), Act::MeansWritten, id);
    let stored = app.db.overwrite(known.as_ref(), next, vec![note.into()], now).await?;
    Ok((etag(stored.version), Json(stored.value.means)).into_response())
}

/// What whoever pays an order with this promises.
///
/// # Errors
/// `invalid_input` if the seller does not offer it; `wrong_state` if it is too late for it.
pub(crate) async fn promise(app: &App, order: &Order, with: Provider, now: Timestamp) -> Result<Promise> {
    let quote = &order.quote;
    let slots = quote.lines.iter().filter_map(|line| line.slot).map(|slot| slot.starts);
    let starts = match quote.subject {
        Subject::Event(event) => Some(app.programme(event).await?.event.starts()?),
        Subject::Service(_) | Subject::Store(_) => slots.min(),
    };
    let means = means(&app.db, quote.organisation).await?.map(|known| known.value.means).unwrap_or_default();
    let promise = means.promise(with, starts, now)?;
    promise.ok_or_else(|| Refusal::invalid("/provider", "is not offered by this seller"))
}

/// The reference of a payment, by which its money is known when it arrives: the same whenever it is asked for.
///
/// # Errors
/// `busy` if eight references in a row are taken; the store's own.
pub(crate) async fn reference(app: &App, payment: PaymentId, now: Timestamp) -> Result<Intent> {
    for nth in 0..8 {
        let bits = PaymentId::derive(&[&payment.to_string(), &nth.to_string()]).uuid().as_u128();
        let bits = u64::try_from(bits & ((1 << tessera_statement::REFERENCE_BITS) - 1)).unwrap_or(0);
        let name = tessera_statement::reference(REFERENCE, bits);
        let taken = app.db.put_new(Known { name: name.clone(), payment }, Vec::new(), now).await?.stored();
        if taken.value.payment == payment {
            return Ok(Intent { id: name, client_secret: None });
        }
    }
    Code::Busy.refuse()
}

/// A payment for whoever may say that its money is here: cash is taken at doors and counters, too.
async fn handled(app: &App, caller: &Agent, payment: Stored<Payment>) -> Result<Stored<Payment>> {
    let action = match payment.value.provider {
        Provider::Cash => Action::TakeCash,
        Provider::Stripe | Provider::Razorpay | Provider::Transfer | Provider::Gift => Action::ManageMoney,
    };
    app.authorize(caller, action, &payment.value).await?;
    Ok(payment)
}

/// Money that was seen.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TellReceipt {
    /// Which way it went.
    #[serde(default)]
    way: Way,
    /// How much.
    amount: Money,
    /// The day of the bank, if it is known: a statement that has the same money is then known to have it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date)]
    booked: Option<Date>,
    /// Anything that helps to find it again.
    #[serde(default)]
    note: Option<Text<1, 200>>,
}

/// Tell that money of a transfer or cash payment has arrived, all of it or a part; or that what was over or too late was paid back
/// (`"way": "out"`). Once enough has arrived the payment is captured and its places are sold. Gate staff may tell of cash.
#[utoipa::path(post, path = "/v1/payments/{id}/receipts", tag = "payment", security(("bearer" = [])), request_body = TellReceipt,
    params(("id" = PaymentId, Path, description = "The payment"), ("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Noted", body = View)))]
pub async fn tell(
    State(app): State<App>,
    Extension(providers): Extension<Arc<Providers>>,
    caller: Agent,
    Path(id): Path<PaymentId>,
    key: IdempotencyKey,
    input: Input<TellReceipt>,
) -> Result<(StatusCode, Json<View>)> {
    let payment = handled(&app, &caller, store::payment(&app.db, id).await?).await?;
    let (TellReceipt { way, amount, booked, note }, now) = (input.value, app.clock.now());
    let receipt =
        Receipt { id: format!("told/{}", key.0), way, amount, booked, note, by: caller.actor(), at: now };
    let note = Note::new(payment.value.organisation, caller.actor(), Act::ReceiptTold, id);
    let rule = |payment: &Payment| Ok(note.on(payment.receive(receipt.clone(), now)?));
    let payment = app.db.change(payment, now, rule).await?.value;
    Ok((StatusCode::CREATED, Json(seen(&payment, &providers))))
}

/// Tell that a refund of a transfer or cash payment was paid back. Telling it again changes nothing.
#[utoipa::path(post, path = "/v1/payments/{id}/refunds/{refund}/made", tag = "payment", security(("bearer" = [])),
    params(("id" = PaymentId, Path, description = "The payment"), ("refund" = RefundId, Path, description = "The refund")),
    responses((status = 200, description = "Where it stands", body = RefundView)))]
pub async fn refund_made(
    State(app): State<App>,
    caller: Agent,
    Path((id, refund)): Path<(PaymentId, RefundId)>,
) -> Result<Json<RefundView>> {
    let (payment, now) = (handled(&app, &caller, store::payment(&app.db, id).await?).await?, app.clock.now());
    let by = caller.actor().to_string();
    let note = Note::new(payment.value.organisation, caller.actor(), Act::ReceiptTold, id).with(refund);
    let rule = |payment: &Payment| Ok(note.on(payment.refund_made(refund, &by, now)?));
    let payment = app.db.change(payment, now, rule).await?.value;
    Ok(Json(RefundView::new(payment.refund(refund).ok_or(Code::NotFound)?)))
}

/// Which list.
#[derive(Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Those that are waited for, or those of which something is to be paid back by hand.
    #[param(inline)]
    list: ByHand,
    /// At most so many items, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List my organisation's transfer and cash payments that wait for something, the oldest first.
#[utoipa::path(get, path = "/v1/organisations/{id}/payments", tag = "payment", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Which),
    responses((status = 200, description = "A page of payments", body = Page<View>)))]
pub async fn list(
    State(app): State<App>,
    Extension(providers): Extension<Arc<Providers>>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(which): Params<Which>,
) -> Result<Json<Page<View>>> {
    app.authorize(&caller, Action::ManageMoney, id).await?;
    let Which { list, limit, cursor } = which;
    let (partition, paging) = (by_hand(id, list), Paging { limit, cursor });
    let query = Query::of(Listing::Second, partition.clone());
    let shown = |payment: &Payment| Ok(Some(seen(payment, &providers)));
    Ok(Json(app.page(&partition, query, &paging, shown).await?))
}

/// Find the payment of my organisation that has this reference, as its buyer wrote it: with or without dashes.
#[utoipa::path(get, path = "/v1/organisations/{id}/payments/{reference}", tag = "payment", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"),
        ("reference" = String, Path, description = "The reference", example = "TS-7Q2K-94MX-3")),
    responses((status = 200, description = "The payment", body = View)))]
pub async fn find(
    State(app): State<App>,
    Extension(providers): Extension<Arc<Providers>>,
    caller: Agent,
    Path((id, text)): Path<(OrganisationId, String)>,
) -> Result<Json<View>> {
    let bits = tessera_statement::parse(&text, REFERENCE).ok_or(Code::NotFound)?;
    let payment = of_reference(&app, id, &tessera_statement::reference(REFERENCE, bits)).await?;
    let payment = handled(&app, &caller, payment.ok_or(Code::NotFound)?).await?;
    Ok(Json(seen(&payment.value, &providers)))
}

/// An organisation's payment of this reference.
///
/// # Errors
/// The store's own.
pub(crate) async fn of_reference(
    app: &App,
    organisation: OrganisationId,
    reference: &str,
) -> Result<Option<Stored<Payment>>> {
    let Some(id) = known(&app.db, reference).await? else { return Ok(None) };
    let payment = store::payment(&app.db, id).await?;
    Ok(Some(payment).filter(|payment| payment.value.organisation == organisation))
}
