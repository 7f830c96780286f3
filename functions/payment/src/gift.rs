//! Gift cards: made and watched by sellers, looked at and used by whoever has the code.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::Agent;
use tessera::catalogue::MAX_PRICE;
use tessera::db::{Listing, Put, Query, Stored};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, IfMatch, Input, Params, Path, etag};
use tessera::id::{GiftCardId, OrganisationId};
use tessera::identity::Action;
use tessera::identity::audit::{Act, Note};
use tessera::limit::Class;
use tessera::money::Money;
use tessera::order::Order;
use tessera::page::{Page, Paging};
use tessera::payment::gift::{Credit, GiftCard, GiftCode, Use};
use tessera::payment::store::{cards_of, gift_card};
use tessera::payment::{Payment, Provider};
use tessera::sign::Purpose;
use tessera::text::Text;

/// A gift card that is to be made.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeGiftCard {
    /// How much it is good for.
    amount: Money,
    /// Until when; for ever if nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
    /// For the seller alone.
    #[serde(default)]
    note: Option<Text<1, 200>>,
}

/// A gift card, as its seller sees it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = GiftCard)]
pub struct CardView {
    /// The id.
    id: GiftCardId,
    /// Its code, once: in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "7Q2K-94MX-0V5T-DGW8")]
    code: Option<String>,
    /// The last characters of its code.
    #[schema(example = "DGW8")]
    ending: String,
    /// How much it was made for.
    amount: Money,
    /// How much is left; what is held for a payment is not in it.
    left: Money,
    /// Until when it can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
    /// Whether it is stopped.
    stopped: bool,
    /// What its seller wrote about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<Text<1, 200>>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// Which payments have something of it; those to which all of it was given back are forgotten by and by.
    uses: Vec<Use>,
}

fn view(card: &GiftCard, code: Option<&GiftCode>, now: Timestamp) -> CardView {
    let left = card.left(now);
    let GiftCard { id, ending, amount, expires, stopped, note, created, uses, .. } = card.clone();
    let code = code.map(ToString::to_string);
    CardView { id, code, ending, amount, left, expires, stopped, note, created, uses }
}

/// Make a gift card. Its code is in the answer, and nowhere else: whoever has it has the money. The same key answers with the same card.
#[utoipa::path(post, path = "/v1/organisations/{id}/gift-cards", tag = "payment", security(("bearer" = [])), request_body = MakeGiftCard,
    params(("id" = OrganisationId, Path, description = "The organisation"), ("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Made", body = CardView)))]
pub async fn make(
    State(app): State<App>,
    caller: Agent,
    Path(organisation): Path<OrganisationId>,
    key: IdempotencyKey,
    input: Input<MakeGiftCard>,
) -> Result<(StatusCode, Json<CardView>)> {
    let (MakeGiftCard { amount, expires, note }, now) = (input.value, app.clock.now());
    app.authorize(&caller, Action::ManageMoney, organisation).await?;
    if !(1..=MAX_PRICE).contains(&amount.amount) {
        return Err(Refusal::invalid(
            "/amount/amount",
            "must be more than 0, and no more than a price can be",
        ));
    }
    // From the key: a repeated request finds its card, though the code is kept nowhere.
    let code =
        GiftCode::of(&app.sealer.tag(Purpose::GiftCode, format!("{organisation}\0{}", key.0).as_bytes()));
    let (id, written) = (code.card(organisation), code.to_string());
    let ending = written[written.len() - 4..].to_owned();
    let new = GiftCard {
        id,
        organisation,
        amount,
        ending,
        expires,
        stopped: false,
        note,
        by: caller.actor(),
        created: now,
        uses: Vec::new(),
        print: input.print.clone(),
    };
    let noted = Note::new(organisation, caller.actor(), Act::GiftCardMade, id).with(amount);
    match app.db.put_new(new, vec![noted.into()], now).await? {
        Put::Existed(known) if known.value.print != input.print => Code::KeyReused.refuse(),
        put => Ok((StatusCode::CREATED, Json(view(&put.stored().value, Some(&code), now)))),
    }
}

/// List my organisation's gift cards, the newest first.
#[utoipa::path(get, path = "/v1/organisations/{id}/gift-cards", tag = "payment", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Paging),
    responses((status = 200, description = "A page of cards", body = Page<CardView>)))]
pub async fn own(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<CardView>>> {
    app.authorize(&caller, Action::ManageMoney, id).await?;
    let (list, now) = (cards_of(id), app.clock.now());
    let query = Query::of(Listing::First, &list).newest_first();
    Ok(Json(app.page(&list, query, &paging, |card: &GiftCard| Ok(Some(view(card, None, now)))).await?))
}

async fn managed(
    app: &App,
    caller: &Agent,
    organisation: OrganisationId,
    id: GiftCardId,
) -> Result<Stored<GiftCard>> {
    app.authorize(caller, Action::ManageMoney, organisation).await?;
    let card = gift_card(&app.db, id).await?;
    if card.value.organisation == organisation { Ok(card) } else { Code::NotFound.refuse() }
}

/// Read one of my organisation's gift cards, with the ETag that a change needs.
#[utoipa::path(get, path = "/v1/organisations/{id}/gift-cards/{card}", tag = "payment", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), ("card" = GiftCardId, Path, description = "The card")),
    responses((status = 200, description = "The card", body = CardView)))]
pub async fn one(
    State(app): State<App>,
    caller: Agent,
    Path((organisation, id)): Path<(OrganisationId, GiftCardId)>,
) -> Result<Response> {
    let card = managed(&app, &caller, organisation, id).await?;
    Ok((etag(card.version), Json(view(&card.value, None, app.clock.now()))).into_response())
}

/// What can be changed of a gift card.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RewriteGiftCard {
    /// Until when it can be used; for ever if nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
    /// Whether it is stopped: because its code was stolen, for example.
    #[serde(default)]
    stopped: bool,
    /// For the seller alone.
    #[serde(default)]
    note: Option<Text<1, 200>>,
}

/// Stop one of my organisation's gift cards, let it be used again, or longer. Payments that have something of it keep it.
#[utoipa::path(put, path = "/v1/organisations/{id}/gift-cards/{card}", tag = "payment", security(("bearer" = [])), request_body = RewriteGiftCard,
    params(("id" = OrganisationId, Path, description = "The organisation"), ("card" = GiftCardId, Path, description = "The card"),
        ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "Rewritten", body = CardView)))]
pub async fn rewrite(
    State(app): State<App>,
    caller: Agent,
    Path((organisation, id)): Path<(OrganisationId, GiftCardId)>,
    version: IfMatch,
    input: Input<RewriteGiftCard>,
) -> Result<Response> {
    let (RewriteGiftCard { expires, stopped, note }, now) = (input.value, app.clock.now());
    let card = managed(&app, &caller, organisation, id).await?;
    version.check(card.version)?;
    let next = GiftCard { expires, stopped, note, ..card.value.clone() };
    let noted = Note::new(organisation, caller.actor(), Act::GiftCardChanged, id);
    let card = app.db.replace(&card, next, vec![noted.into()], now).await?.done()?;
    Ok((etag(card.version), Json(view(&card.value, None, now))).into_response())
}

/// Which card.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GiftCardLook {
    /// Whose it is.
    organisation: OrganisationId,
    /// What is written on it.
    code: GiftCode,
}

/// What is on a gift card.
#[derive(Serialize, utoipa::ToSchema)]
pub struct GiftCardBalance {
    /// How much is left.
    left: Money,
    /// Until when it can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
    /// Whether its seller has stopped it.
    stopped: bool,
}

/// Look what is left on a gift card, for whoever has its code. (A POST, so that codes are in no address and no log.)
#[utoipa::path(post, path = "/v1/gift-cards/balance", tag = "payment", extensions(("x-limit" = json!(Class::GiftCard))), request_body = GiftCardLook,
    responses((status = 200, description = "What is left", body = GiftCardBalance)))]
pub async fn balance(State(app): State<App>, input: Input<GiftCardLook>) -> Result<Json<GiftCardBalance>> {
    let GiftCardLook { organisation, code } = input.value;
    let card = gift_card(&app.db, code.card(organisation)).await?.value;
    let left = card.left(app.clock.now());
    Ok(Json(GiftCardBalance { left, expires: card.expires, stopped: card.stopped }))
}

/// What is held for a payment that is not authorised yet is held so much longer than its places: who pays in the last second is
/// heard of a little later.
const LONGER: SignedDuration = SignedDuration::from_mins(15);

/// The payment of an order of which a gift card pays a part, which is held from now on: with the provider that was chosen, or with
/// nobody if the card pays all of it. One that is `known` already stays as it is.
///
/// # Errors
/// `invalid_input` for a card that is not this seller's or cannot be used, or that does not pay all of what is to be paid by it
/// alone; `wrong_state` for an order whose payment was opened otherwise.
pub(crate) async fn with_card(
    app: &App,
    order: &Order,
    known: &[Stored<Payment>],
    chosen: Provider,
    code: &GiftCode,
    now: Timestamp,
) -> Result<Payment> {
    let unknown = || Refusal::invalid("/gift_card", "is none of this seller's");
    let id = code.card(order.quote.organisation);
    // Opened before: what is left on the card now says nothing about it.
    for payment in known {
        let credit = payment.value.credit;
        let same = payment.value.provider == chosen || payment.value.provider == Provider::Gift;
        if same && credit.is_some_and(|credit| credit.card == id) {
            return Ok(payment.value.clone());
        }
    }
    let card = match gift_card(&app.db, id).await {
        Err(refusal) if refusal.code == Code::NotFound => return Err(unknown()),
        card => card?,
    };
    card.value.usable(now)?;
    let (left, total) = (card.value.left(now), order.quote.total);
    if left.currency != total.currency {
        return Err(Refusal::invalid("/gift_card", "is of another currency"));
    }
    let (provider, amount) = match (left.amount >= total.amount, chosen) {
        (true, _) => (Provider::Gift, total.amount),
        (false, Provider::Gift) => {
            let short =
                Refusal::invalid("/provider", "the gift card does not pay all of it: say who does the rest");
            return Err(short.with("left", left));
        }
        (false, Provider::Stripe | Provider::Razorpay | Provider::Transfer | Provider::Cash) => {
            (chosen, left.amount)
        }
    };
    let payment = Payment::new(order, provider, now);
    let (of, until) = (payment.id, order.quote.expires + LONGER);
    let card = app.db.amend(card, now, |card| card.hold(of, amount, until, now)).await?;
    let credit = Some(Credit { card: id, amount: Money { amount, ..total }, claimed: false });
    let stored = app.db.put_new(Payment { credit, ..payment }, Vec::new(), now).await?.stored().value;
    if stored.credit.map(|credit| credit.card) != Some(id) {
        app.db.amend(card, now, |card| Ok(card.release(of))).await?;
        return Err(Code::WrongState
            .because("it was opened without this gift card: give the order up, and order again"));
    }
    Ok(stored)
}
