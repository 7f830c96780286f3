//! Payments, as buyers see them.

use crate::providers::{HowToPay, Providers};
use crate::refunds::RefundView;
use crate::{by_hand, gift};
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tessera::app::App;
use tessera::auth::{Buyer, MaybeBuyer, MaybeCaller};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{Input, Params, Path};
use tessera::id::{OrderId, PaymentId};
use tessera::identity::Action;
use tessera::money::Money;
use tessera::order::Order;
use tessera::order::store::Link;
use tessera::payment::gift::GiftCode;
use tessera::payment::promise::{PayTo, PaymentMeans, Promise, Receipt};
use tessera::payment::store::Known;
use tessera::payment::{Fact, Intent, Payment, Provider, Status, store};
use tessera::price::Part;

/// How to pay.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Open {
    provider: Provider,
    /// The code of a gift card of this seller: it pays as much as it can, the provider is asked for the rest. If it pays all of it, the
    /// payment's provider is `gift`, whatever was chosen, and there is nothing more to do.
    #[serde(default)]
    gift_card: Option<GiftCode>,
    /// Where the provider's page sends the buyer afterwards: https, or http on this machine.
    #[serde(default)]
    #[schema(max_length = 500, pattern = "^https?://", example = "https://shop.example.org/paid")]
    return_url: Option<String>,
}

/// A payment.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Payment)]
pub struct View {
    /// The id.
    id: PaymentId,
    /// The order it pays.
    order: OrderId,
    /// Who moves the money.
    provider: Provider,
    /// How much.
    amount: Money,
    /// What of it a gift card pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    gift_credit: Option<Money>,
    /// Where it stands.
    status: Status,
    /// How much of it went back.
    refunded: Money,
    /// How much can still be refunded; what is owed already is not in it.
    remaining: Money,
    /// What it is for: lines, then fees. They sum to the amount.
    parts: Vec<Part>,
    /// Refunds, oldest first.
    refunds: Vec<RefundView>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    declined: Option<String>,
    /// What was promised, of transfers and cash.
    #[serde(skip_serializing_if = "Option::is_none")]
    promise: Option<PromiseView>,
    /// What was seen to arrive of it, for the seller.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    receipts: Vec<Receipt>,
    /// What is needed to pay, while it is open.
    #[serde(flatten)]
    how: HowToPay,
}

/// What was promised.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Promise)]
pub struct PromiseView {
    /// Where it is to be paid.
    to: PayTo,
    /// What is to be written into the transfer, or said at the counter.
    #[schema(example = "TS-7Q2K-94MX-3")]
    reference: String,
    /// Until when it is to be paid.
    #[schema(value_type = String, format = DateTime)]
    due: Timestamp,
    /// Until when the places are kept.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// What has arrived.
    received: Money,
    /// What is to go back because it was more than the amount, or came too late.
    #[serde(skip_serializing_if = "Option::is_none")]
    surplus: Option<Money>,
}

impl PromiseView {
    fn of(payment: &Payment) -> Option<Self> {
        let Promise { pay, due, until, .. } = payment.promise.clone()?;
        let reference = payment.intent.as_ref()?.id.clone();
        let surplus = Some(payment.surplus()).filter(|surplus| !surplus.is_zero());
        Some(Self { to: pay, reference, due, until, received: payment.received(), surplus })
    }
}

/// A payment as its seller sees it.
pub(crate) fn seen(payment: &Payment, providers: &Providers) -> View {
    View { receipts: payment.receipts.clone(), ..view(payment, providers, None) }
}

/// The view of a payment; for whoever may pay it, with what is needed to pay.
fn view(payment: &Payment, providers: &Providers, return_url: Option<&str>) -> View {
    let (status, captured) = (payment.status(), payment.remaining());
    let payable = payment.intent.as_ref().filter(|_| status == Status::Open);
    let remaining = match status {
        Status::Open | Status::Authorized | Status::Promised | Status::Voided => {
            Money { amount: 0, ..captured }
        }
        Status::Captured | Status::PartlyRefunded | Status::Refunded => captured,
    };
    View {
        id: payment.id,
        order: payment.order,
        provider: payment.provider,
        amount: payment.amount,
        gift_credit: payment.credit.map(|credit| credit.amount),
        status,
        refunded: payment.refunded(),
        remaining,
        parts: payment.parts.clone(),
        refunds: payment.refunds.iter().map(RefundView::new).collect(),
        declined: payment.declined.clone(),
        promise: PromiseView::of(payment),
        receipts: Vec::new(),
        how: payable.map(|intent| providers.how_to_pay(payment, intent, return_url)).unwrap_or_default(),
    }
}

/// Open a payment for an order, or get the one that is open: an order is paid once. Nothing more is needed from the
/// client after the buyer has paid at the provider. A provider that does not answer is refused with `provider_unavailable`; `others` are
/// those that do.
#[utoipa::path(post, path = "/v1/orders/{id}/payments", tag = "payment", security(("bearer" = []), ()), request_body = Open,
    params(("id" = OrderId, Path, description = "The order"), Link),
    responses((status = 201, description = "Open", body = View)))]
pub async fn open(
    State(app): State<App>,
    Extension(providers): Extension<Arc<Providers>>,
    MaybeBuyer(caller): MaybeBuyer,
    Path(id): Path<OrderId>,
    Params(link): Params<Link>,
    input: Input<Open>,
) -> Result<(StatusCode, Json<View>)> {
    let (Open { provider, gift_card, return_url }, now) = (input.value, app.clock.now());
    check(return_url.as_deref())?;
    let order = app.order_for(id, caller, &link).await?.value;
    // What people move and what a card pays may have been opened before, and decided since: it is what it was.
    let known = match provider.is_by_hand() || provider == Provider::Gift || gift_card.is_some() {
        true => store::payments_of(&app.db, &[id]).await?,
        false => Vec::new(),
    };
    let by_card = |payment: &Payment| payment.provider == Provider::Gift && gift_card.is_some();
    let given = |payment: &Payment| payment.provider == provider || by_card(payment);
    let settled = |payment: &Payment| payment.promise.is_some() || payment.provider == Provider::Gift;
    if let Some(known) = known.iter().find(|known| given(&known.value) && settled(&known.value))
        && known.value.intent.is_some()
    {
        return Ok((StatusCode::CREATED, Json(view(&known.value, &providers, None))));
    }
    order.may_pay(now)?;
    let new = match gift_card {
        Some(code) => gift::with_card(&app, &order, &known, provider, &code, now).await?,
        None if provider == Provider::Gift => {
            return Err(Refusal::invalid("/gift_card", "is needed to pay by gift card"));
        }
        None => Payment::new(&order, provider, now),
    };
    let payment = match new.provider {
        Provider::Transfer | Provider::Cash => promise(&app, &order, new, now).await?,
        Provider::Gift => given_all(&app, new, now).await?,
        Provider::Stripe | Provider::Razorpay => at_provider(&app, &providers, new, now).await?,
    };
    Ok((StatusCode::CREATED, Json(view(&payment, &providers, return_url.as_deref()))))
}

/// Opens a payment at its provider, once.
async fn at_provider(app: &App, providers: &Providers, new: Payment, now: Timestamp) -> Result<Payment> {
    let payment = app.db.put_new(new, Vec::new(), now).await?.stored();
    if payment.value.intent.is_some() {
        return Ok(payment.value);
    }
    let intent = match providers.open(&payment.value).await {
        Err(refusal) if refusal.code == Code::ProviderUnavailable => {
            let mut others = providers.in_service(payment.value.provider).await;
            let means = store::means(&app.db, payment.value.organisation).await?;
            others.extend(means.iter().flat_map(|known| known.value.means.offered()));
            return Err(refusal.with("others", others));
        }
        opened => opened?,
    };
    // Razorpay reports what happened to its order, which does not say whose it is.
    if payment.value.provider == Provider::Razorpay {
        let known = Known { name: intent.id.clone(), payment: payment.value.id };
        app.db.put_new(known, Vec::new(), now).await?;
    }
    let rule = |payment: &Payment| {
        let opened = Payment { intent: Some(intent.clone()), ..payment.clone() };
        Ok(payment.intent.is_none().then_some((opened, Vec::new())))
    };
    Ok(app.db.change(payment, now, rule).await?.value)
}

/// A payment of which a gift card pays all: nobody else is asked.
async fn given_all(app: &App, new: Payment, now: Timestamp) -> Result<Payment> {
    let payment = app.db.put_new(new, Vec::new(), now).await?.stored();
    let card = payment.value.credit.map(|credit| credit.card.to_string()).ok_or(Code::NotFound)?;
    let rule = |payment: &Payment| {
        let intent = Some(Intent { id: card.clone(), client_secret: None });
        let ready = Fact::Authorized { amount: payment.charged(), charge: None };
        Payment { intent, ..payment.clone() }.learn(&ready, now)
    };
    Ok(app.db.change(payment, now, rule).await?.value)
}

/// Promises a payment that no provider moves, under a reference of its own.
async fn promise(app: &App, order: &Order, new: Payment, now: Timestamp) -> Result<Payment> {
    let promise = by_hand::promise(app, order, new.provider, now).await?;
    let intent = by_hand::reference(app, new.id, now).await?;
    let payment = app.db.put_new(new, Vec::new(), now).await?.stored();
    let rule = |payment: &Payment| {
        Ok(Payment { intent: Some(intent.clone()), ..payment.clone() }.promised(promise.clone(), now))
    };
    Ok(app.db.change(payment, now, rule).await?.value)
}

fn check(return_url: Option<&str>) -> Result<()> {
    let Some(text) = return_url else { return Ok(()) };
    let fault = || Refusal::invalid("/return_url", "must be an https URL of at most 500 characters");
    let url = reqwest::Url::parse(text).map_err(|_| fault())?;
    let near = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let good = text.len() <= 500 && (url.scheme() == "https" || (url.scheme() == "http" && near));
    if good { Ok(()) } else { Err(fault()) }
}

/// Read a payment: its buyer, or whoever handles the seller's money.
#[utoipa::path(get, path = "/v1/payments/{id}", tag = "payment", security(("bearer" = [])),
    params(("id" = PaymentId, Path, description = "The payment")),
    responses((status = 200, description = "The payment", body = View)))]
pub async fn one(
    State(app): State<App>,
    Extension(providers): Extension<Arc<Providers>>,
    MaybeCaller(caller): MaybeCaller,
    Path(id): Path<PaymentId>,
) -> Result<Json<View>> {
    let caller = caller.ok_or(Code::Unauthenticated)?;
    let payment = store::payment(&app.db, id).await?.value;
    if caller.buyer() == Some(payment.buyer) {
        return Ok(Json(view(&payment, &providers, None)));
    }
    let agent = caller.agent().ok_or(Code::NotFound)?;
    app.authorize(&agent, Action::ManageMoney, &payment).await?;
    Ok(Json(seen(&payment, &providers)))
}

/// An order's payments.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Payments {
    /// One with each provider that was tried.
    items: Vec<View>,
    /// With whom the order can be paid, whether or not it still can be.
    offered: Vec<Provider>,
}

/// List an order's payments: for its buyer, whoever has its link, or whoever handles the seller's money.
#[utoipa::path(get, path = "/v1/orders/{id}/payments", tag = "payment", security(("bearer" = []), ()),
    params(("id" = OrderId, Path, description = "The order"), Link),
    responses((status = 200, description = "The payments", body = Payments)))]
pub async fn of_order(
    State(app): State<App>,
    Extension(providers): Extension<Arc<Providers>>,
    MaybeCaller(caller): MaybeCaller,
    Path(id): Path<OrderId>,
    Params(link): Params<Link>,
) -> Result<Json<Payments>> {
    let order = app.order_or_money(id, caller, &link).await?.value;
    let payments = store::payments_of(&app.db, &[id]).await?;
    let means = store::means(&app.db, order.quote.organisation).await?.map(|known| known.value.means);
    Ok(Json(Payments {
        items: payments.iter().map(|payment| view(&payment.value, &providers, None)).collect(),
        offered: providers.offered().chain(means.iter().flat_map(PaymentMeans::offered)).collect(),
    }))
}

/// What Razorpay's checkout handed to the buyer's browser.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The attempt: `pay_…`.
    #[schema(max_length = 64)]
    razorpay_payment_id: String,
    /// The signature over it and the order.
    #[schema(max_length = 64)]
    razorpay_signature: String,
}

/// Tell that I have paid at Razorpay, with what its checkout answered. Nobody has to: Razorpay reports it as well; but whoever does
/// need not wait for that.
#[utoipa::path(post, path = "/v1/payments/{id}/verify", tag = "payment", security(("bearer" = [])), request_body = Verify,
    params(("id" = PaymentId, Path, description = "The payment")),
    responses((status = 200, description = "Where it stands", body = View)))]
pub async fn verify(
    State(app): State<App>,
    Extension(providers): Extension<Arc<Providers>>,
    caller: Buyer,
    Path(id): Path<PaymentId>,
    input: Input<Verify>,
) -> Result<Json<View>> {
    let (Verify { razorpay_payment_id: charge, razorpay_signature }, now) = (input.value, app.clock.now());
    let payment = store::payment(&app.db, id).await?;
    let intent = payment.value.intent.clone().filter(|_| payment.value.provider == Provider::Razorpay);
    let Some(intent) = intent.filter(|_| payment.value.buyer == caller) else {
        return Code::NotFound.refuse();
    };
    // It becomes part of an address.
    if charge.len() > 64 || !charge.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(Refusal::invalid("/razorpay_payment_id", "is no name of a payment"));
    }
    let fact = providers.razorpay()?.verified(&intent, &charge, &razorpay_signature).await?;
    let payment = match fact {
        Some(fact) => app.db.change(payment, now, |payment| payment.learn(&fact, now)).await?,
        None => payment,
    };
    Ok(Json(view(&payment.value, &providers, None)))
}
