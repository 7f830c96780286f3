//! Holds: places kept for a buyer while they decide and pay.

use crate::basket::{Ask, Basket};
use crate::deal::{Deal, Sale};
use crate::{goods, times};
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tessera::app::App;
use tessera::auth::{Buyer, MaybeBuyer};
use tessera::booking::store::{self, Wish};
use tessera::booking::want::Want;
use tessera::booking::{Line, Quote, Subject};
use tessera::catalogue::store::Programme;
use tessera::clock::whole_second;
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, Input, Params, Path};
use tessera::id::{EventId, GuestId, HoldId, StoreId};
use tessera::money::Money;
use tessera::pool::{Claim, HoldKey, Pool, Turn, first_end};
use tessera::price::coupon::{CouponCode, Verdict};
use tessera::price::{Bill, Fee};
use tessera::room::Admission;
use tessera::sign::Purpose;
use tessera::text::hex;
use uuid::Uuid;

/// How long a hold lasts, seconds.
#[derive(Clone, Copy, Debug)]
pub struct Length(pub u32);

/// A basket.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Take {
    /// 1 to 20 lines, all of one event, of one service or of one store.
    #[schema(min_items = 1, max_items = 20)]
    lines: Vec<Ask>,
    /// The code of a private event.
    #[serde(default)]
    #[schema(max_length = 64)]
    code: Option<String>,
    /// Own holds that give way to this one: they end if it succeeds, and count as free while it is taken.
    #[serde(default)]
    #[schema(max_items = 10)]
    replaces: Vec<HoldId>,
    /// Whose stock it is, for products.
    #[serde(default)]
    store: Option<StoreId>,
    /// The beginning of the window in which products are to be delivered; without one they are fetched.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    delivery: Option<Timestamp>,
    /// From the event's waiting room, if it has one: the buyer's own.
    #[serde(default)]
    #[schema(max_length = 1000)]
    admission: Option<String>,
    /// Codes of coupons, up to 5. Those that take nothing off are left out, and the answer says why.
    #[serde(default)]
    #[schema(max_items = 5)]
    coupons: Vec<CouponCode>,
}

/// A hold.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Held {
    /// The id.
    id: HoldId,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires: Timestamp,
    /// The lines, priced.
    lines: Vec<Line>,
    /// Fees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fees: Vec<Fee>,
    /// What became of each coupon that was named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    coupons: Vec<Verdict>,
    /// What is to be paid: the lines without their discounts, the fees, and taxes that come on top.
    total: Money,
    /// The promise, signed: send it with the order. Opaque.
    quote: String,
    /// A guest's credential for everything that follows, valid for a day; only on a guest's first hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    guest_token: Option<String>,
}

/// Who holds, until when, with which request.
pub struct Who<'a> {
    /// Who, and whether they are a new guest.
    pub buyer: (Buyer, bool),
    /// Their hold.
    pub holder: HoldKey,
    /// Its end.
    pub until: Timestamp,
    /// Three digits of the request's print.
    pub print: u16,
    /// Own holds that give way.
    pub replaces: &'a [HoldKey],
    /// What marks their holds.
    pub tag: &'a [u8; 32],
}

impl Who<'_> {
    /// Their wish for these, as walk-ins, whatever the holds that give way may have elsewhere.
    #[must_use]
    pub fn wish<'a>(&'a self, wants: &'a [(Pool, Want)]) -> Wish<'a> {
        let Self { holder, until, print, replaces, .. } = *self;
        Wish { holder, wants, until, print, replaces, around: &[], turn: Turn::default() }
    }
}

/// Take a hold: everything in the basket or nothing. Guests send no credential and get one; their Idempotency-Key must be
/// a UUID, because it is all that tells them from each other. A key dies with its hold. Where the event has a waiting room,
/// the buyer's admission goes with it.
#[utoipa::path(post, path = "/v1/holds", tag = "booking", security(("bearer" = []), ()), request_body = Take,
    params(("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Held", body = Held)))]
pub async fn take(
    State(app): State<App>,
    Extension(Length(seconds)): Extension<Length>,
    MaybeBuyer(caller): MaybeBuyer,
    key: IdempotencyKey,
    input: Input<Take>,
) -> Result<(StatusCode, Json<Held>)> {
    let now = app.clock.now();
    let buyer = caller.map_or_else(|| guest(&app, &key), Ok)?;
    let who = buyer.to_string();
    let tag = store::tag(&app, &who);
    let holder = store::holder(&app, &who, &key.0);
    let (until, print) = (
        whole_second(now) + SignedDuration::from_secs(seconds.into()),
        u16::from_str_radix(&input.print[..3], 16).unwrap_or_default(),
    );
    bounded(&input.value)?;
    let replaces =
        input.value.replaces.iter().map(|hold| own_key(*hold, &tag)).collect::<Result<Vec<_>>>()?;
    let asked = &input.value;
    let who = Who { buyer: (buyer, caller.is_none()), holder, until, print, replaces: &replaces, tag: &tag };
    if let Some(wanted) = goods::wanted(&asked.lines, asked.store, asked.delivery)? {
        return Ok((
            StatusCode::CREATED,
            Json(Box::pin(goods::take(&app, &who, &wanted, &asked.coupons)).await?),
        ));
    }
    if let Some(wanted) = times::wanted(&asked.lines)? {
        return Ok((
            StatusCode::CREATED,
            Json(Box::pin(times::take(&app, &who, &wanted, &asked.coupons)).await?),
        ));
    }
    let programme = programme(&app, &input.value).await?;
    let Take { lines, admission, coupons, .. } = input.value;
    let basket = Basket::read(&app, &programme, lines).await?;
    if basket.needs_approval() {
        return Code::ApprovalNeeded.refuse();
    }
    admitted(&app, &programme, buyer, admission.as_deref(), now)?;
    let wants = basket.wants(&app, &tag).await?;
    let sale = sale(&programme);
    let mut deal = sale.price(&app, &who, basket.charges()?, &coupons, now).await?;
    let mut around = Vec::new();
    if !replaces.is_empty() {
        around = pools(&app, &programme, &tag).await?;
        around.extend(&deal.limits);
    }
    let wish = Wish { around: &around, ..who.wish(&wants) };
    let held = store::hold(&app, &wish, now).await;
    let claims = deal.and(&app, &who, held, now).await?;
    basket.note_seats(&mut deal.bill.lines, &claims);
    let expires = first_end(&claims, until);
    Ok((StatusCode::CREATED, Json(promised(&app, who.buyer, holder, &sale, deal, claims, expires)?)))
}

fn sale(programme: &Programme) -> Sale {
    let event = &programme.event;
    let (organisation, subject) = (event.organisation, Subject::Event(event.id));
    Sale { organisation, subject, place: event.details.tax_place.clone() }
}

/// What was taken for whom, priced and promised. A guest who sent no credential gets one.
///
/// # Errors
/// As [`Sale::plainly`].
pub(crate) async fn held(
    app: &App,
    basket: &Basket<'_>,
    programme: &Programme,
    (buyer, new): (Buyer, bool),
    holder: HoldKey,
    claims: Vec<Claim>,
    expires: Timestamp,
) -> Result<Held> {
    let sale = sale(programme);
    let mut deal = sale.plainly(app, basket.charges()?).await?;
    basket.note_seats(&mut deal.bill.lines, &claims);
    promised(app, (buyer, new), holder, &sale, deal, claims, expires)
}

/// The credential of a guest who sent none.
///
/// # Errors
/// `internal` if it cannot be signed.
pub(crate) fn guest_token(app: &App, buyer: Buyer, new: bool) -> Result<Option<String>> {
    match buyer {
        Buyer::Guest(guest) if new => app.guest_credential(guest, app.clock.now()).map(Some),
        Buyer::Guest(_) | Buyer::Account(_) => Ok(None),
    }
}

/// A hold and its quote.
///
/// # Errors
/// `internal` if it cannot be signed.
pub(crate) fn promised(
    app: &App,
    (buyer, new): (Buyer, bool),
    holder: HoldKey,
    sale: &Sale,
    deal: Deal,
    claims: Vec<Claim>,
    expires: Timestamp,
) -> Result<Held> {
    let (organisation, subject) = (sale.organisation, sale.subject);
    let Bill { lines, extras, total } = deal.bill;
    let quote =
        Quote { hold: holder.id(), buyer, organisation, subject, lines, extras, total, claims, expires };
    Ok(Held {
        id: quote.hold,
        expires,
        total,
        quote: app.sealer.seal(Purpose::Quote, &quote).map_err(|error| Code::Internal.caused_by(error))?,
        lines: quote.lines,
        fees: quote.extras.fees,
        coupons: deal.coupons,
        guest_token: guest_token(app, buyer, new)?,
    })
}

/// Checks the admission where there is a waiting room. That there is one is part of the event, and what an admission says is
/// sealed in it: nothing is read.
fn admitted(
    app: &App,
    programme: &Programme,
    buyer: Buyer,
    sealed: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    let Some(room) = programme.event.waiting_room() else { return Ok(()) };
    let shown = match sealed {
        None => None,
        Some(sealed) => {
            let shown: Option<Admission> = app.sealer.open(Purpose::Admission, sealed);
            Some(shown.ok_or_else(|| Code::AdmissionNeeded.because("this is no admission of ours"))?)
        }
    };
    room.admits(shown.as_ref(), programme.event.id, buyer, now)
}

/// A guest is who sends this key: 122 bits that nobody guesses, kept from being read back by the deployment's secret.
pub(crate) fn guest(app: &App, key: &IdempotencyKey) -> Result<Buyer> {
    let uuid = Uuid::parse_str(&key.0)
        .map_err(|_| Refusal::invalid("Idempotency-Key", "a guest's must be a UUID"))?;
    let secret = app.sealer.tag(Purpose::Guest, uuid.as_bytes());
    let hidden = hex(secret);
    Ok(Buyer::Guest(GuestId::derive(&[&hidden])))
}

fn bounded(basket: &Take) -> Result<()> {
    if !(1..=20).contains(&basket.lines.len()) {
        return Err(Refusal::invalid("/lines", "must have 1 to 20 lines"));
    }
    if basket.replaces.len() > 10 {
        return Err(Refusal::invalid("/replaces", "must have at most 10 holds"));
    }
    Ok(())
}

async fn programme(app: &App, basket: &Take) -> Result<std::sync::Arc<Programme>> {
    let first = basket.lines.first().and_then(|line| line.offer);
    let first = first.ok_or_else(|| Refusal::invalid("/lines/0", "must say which offer or package"))?;
    let programme = app.programme_of(first).await?;
    // What may not be seen is not there: drafts have no visitors, private events only those with the code.
    if programme.event.visible_to(basket.code.as_deref()) { Ok(programme) } else { Code::NotFound.refuse() }
}

fn own_key(hold: HoldId, tag: &[u8; 32]) -> Result<HoldKey> {
    HoldKey::of(hold).filter(|key| key.belongs_to(tag)).ok_or_else(|| Code::NotFound.into())
}

/// Every pool in which a buyer may hold something of this event.
async fn pools(app: &App, programme: &Programme, tag: &[u8; 32]) -> Result<Vec<Pool>> {
    let mut pools: Vec<Pool> = Vec::new();
    for offer in &programme.offers {
        let allowance = offer.terms.per_buyer.map(|limit| Pool::allowance(offer.id, tag, limit));
        for pool in std::iter::once(app.opened(offer.pool).await?.pool()).chain(allowance) {
            if !pools.contains(&pool) {
                pools.push(pool);
            }
        }
    }
    Ok(pools)
}

/// Of which event.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OfEvent {
    /// The event.
    event: EventId,
}

/// A hold of the caller, as the lanes tell of it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct OwnHold {
    /// The id.
    id: HoldId,
    /// Places.
    places: u32,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires: Timestamp,
}

/// The caller's holds.
#[derive(Serialize, utoipa::ToSchema)]
pub struct OwnHolds {
    items: Vec<OwnHold>,
}

/// List my own holds of an event that are neither over nor decided: an abandoned basket can be let go or replaced.
#[utoipa::path(get, path = "/v1/holds", tag = "booking", security(("bearer" = [])), params(OfEvent),
    responses((status = 200, description = "My holds", body = OwnHolds)))]
pub async fn own(
    State(app): State<App>,
    buyer: Buyer,
    Params(query): Params<OfEvent>,
) -> Result<Json<OwnHolds>> {
    let (now, who) = (app.clock.now(), buyer.to_string());
    let programme = app.programme(query.event).await?;
    let mut found: BTreeMap<HoldKey, OwnHold> = BTreeMap::new();
    let pools = pools(&app, &programme, &store::tag(&app, &who)).await?;
    for pool in pools.into_iter().filter(|pool| !matches!(pool, Pool::Quota { .. })) {
        for (key, claim) in store::own_holds(&app, &pool, &who, now).await? {
            let expires = claim.m.until().unwrap_or(now);
            let hold = found.entry(key).or_insert(OwnHold { id: key.id(), places: 0, expires });
            hold.places += claim.m.quantity;
        }
    }
    Ok(Json(OwnHolds { items: found.into_values().collect() }))
}

/// Where to look for a hold that is let go.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LetGo {
    /// Its quote: says where its places are.
    #[serde(default)]
    #[schema(max_length = 20000)]
    quote: Option<String>,
    /// Without a quote, its event: every pool of it is looked through.
    #[serde(default)]
    event: Option<EventId>,
}

/// Let a hold go. Letting go again changes nothing.
#[utoipa::path(post, path = "/v1/holds/{id}/release", tag = "booking", security(("bearer" = [])), request_body = LetGo,
    params(("id" = HoldId, Path, description = "The hold")), responses((status = 204, description = "Let go")))]
pub async fn release(
    State(app): State<App>,
    buyer: Buyer,
    Path(id): Path<HoldId>,
    input: Input<LetGo>,
) -> Result<StatusCode> {
    let now = app.clock.now();
    let tag = store::tag(&app, &buyer.to_string());
    let holder = own_key(id, &tag)?;
    match input.value {
        LetGo { quote: Some(sealed), .. } => {
            let quote: Option<Quote> = app.sealer.open(Purpose::Quote, &sealed);
            let quote = quote
                .filter(|quote| quote.hold == id && quote.buyer == buyer)
                .ok_or_else(|| Refusal::invalid("/quote", "is not the quote of this hold"))?;
            store::let_go(&app, holder, now).await?;
            store::give_back(&app, holder, &quote.claims).await?;
        }
        LetGo { event: Some(event), .. } => {
            let programme = app.programme(event).await?;
            store::let_go(&app, holder, now).await?;
            store::clear(&app, &pools(&app, &programme, &tag).await?, holder).await?;
        }
        LetGo { .. } => return Err(Refusal::invalid("/quote", "the quote or the event is needed")),
    }
    Ok(StatusCode::NO_CONTENT)
}
