//! The waitlist: join, see one's place, accept, leave; and how it goes, for organisers.

use crate::basket::{Ask, Basket};
use crate::hold::{Held, guest, guest_token, held};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::{Agent, Buyer, MaybeBuyer};
use tessera::booking::Register;
use tessera::booking::store::{let_go, registers_of, tag};
use tessera::booking::waitlist::{State as Standing, Waiter, check, store};
use tessera::db::{Listing, Put, Query, Stored};
use tessera::error::{Code, Result};
use tessera::http::{IdempotencyKey, Input, Params, Path};
use tessera::id::{AccountId, EventId, OfferId, WaiterId};
use tessera::identity::Action;
use tessera::message::Message;
use tessera::order::Contact;
use tessera::order::store::Link;
use tessera::page::{Page, Paging};
use tessera::pool::HoldKey;

/// What somebody would wait for.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// Any of these would do, the first best: 1 to 5 offers of the event.
    #[schema(min_items = 1, max_items = 5)]
    offers: Vec<OfferId>,
    /// Places, 1 to 40: all of them or none.
    #[schema(minimum = 1, maximum = 40)]
    quantity: u32,
    /// Whom to write to when places come back.
    contact: Contact,
    /// The code of a private event.
    #[serde(default)]
    #[schema(max_length = 64)]
    code: Option<String>,
}

/// Where somebody stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WaitlistStatus)]
pub enum Status {
    /// In line.
    Waiting,
    /// Places are kept for them: accept before they are passed on.
    Offered,
    /// They took them.
    Accepted,
    /// They did not want them.
    Declined,
    /// They let the time go by.
    Expired,
    /// They left the line.
    Left,
}

/// Somebody on the waitlist.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = WaitlistPlace)]
pub struct View {
    /// The id.
    id: WaiterId,
    /// Of which event.
    event: EventId,
    /// Where they stand.
    status: Status,
    /// What would do.
    offers: Vec<OfferId>,
    /// How many places.
    quantity: u32,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    joined_at: Timestamp,
    /// How many are before them; absent beyond a hundred, in lists, and once it is their turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead: Option<usize>,
    /// What is offered to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    offered: Option<OfferId>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// A guest's credential for everything that follows, valid for a day; only when joining.
    #[serde(skip_serializing_if = "Option::is_none")]
    guest_token: Option<String>,
}

fn status(waiter: &Waiter, taken: bool, now: Timestamp) -> Status {
    match &waiter.state {
        Standing::Waiting => Status::Waiting,
        Standing::Offered { .. } if taken => Status::Accepted,
        Standing::Offered { offered } if offered.until <= now => Status::Expired,
        Standing::Offered { .. } => Status::Offered,
        Standing::Declined { .. } => Status::Declined,
        Standing::Left { .. } => Status::Left,
    }
}

fn view(waiter: &Waiter, taken: bool, ahead: Option<usize>, now: Timestamp) -> View {
    let offered = match &waiter.state {
        Standing::Offered { offered } => Some(offered),
        Standing::Waiting | Standing::Declined { .. } | Standing::Left { .. } => None,
    };
    let Waiter { id, event, offers, quantity, joined, .. } = waiter.clone();
    View {
        id,
        event,
        status: status(waiter, taken, now),
        offers,
        quantity,
        joined_at: joined,
        ahead,
        offered: offered.map(|offered| offered.offer),
        until: offered.map(|offered| offered.until),
        guest_token: None,
    }
}

async fn shown(app: &App, waiter: &Waiter) -> Result<View> {
    let ahead = match waiter.state {
        Standing::Waiting => store::before(&app.db, waiter).await?,
        Standing::Offered { .. } | Standing::Declined { .. } | Standing::Left { .. } => None,
    };
    Ok(view(waiter, store::accepted(app, waiter).await?, ahead, app.clock.now()))
}

/// The waiter, for whoever waits or has the link of the mail.
async fn seen_by(app: &App, id: WaiterId, caller: Option<Buyer>, link: &Link) -> Result<Stored<Waiter>> {
    let waiter = store::waiter(&app.db, id).await?;
    let may = caller == Some(waiter.value.buyer) || app.opens(&id, link);
    if may { Ok(waiter) } else { Code::NotFound.refuse() }
}

/// Join the waitlist of an event: for when it is sold out. One place in line for each buyer; places that come back are offered
/// in the order of joining, to whom they fit. Joining again changes nothing while one waits; after leaving, declining or
/// letting an offer go by, it is a new place at the end.
#[utoipa::path(post, path = "/v1/events/{id}/waitlist", tag = "booking", security(("bearer" = []), ()), request_body = Join,
    params(("id" = EventId, Path, description = "The event"),
        ("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike; a guest's must be a UUID")),
    responses((status = 201, description = "In line", body = View)))]
pub async fn join(
    State(app): State<App>,
    MaybeBuyer(caller): MaybeBuyer,
    Path(event): Path<EventId>,
    key: IdempotencyKey,
    input: Input<Join>,
) -> Result<(StatusCode, Json<View>)> {
    let (Join { offers, quantity, contact, code }, now) = (input.value, app.clock.now());
    check(&offers, quantity)?;
    let programme = app.programme(event).await?;
    if !programme.event.visible_to(code.as_deref()) {
        return Code::NotFound.refuse();
    }
    let buyer = caller.map_or_else(|| guest(&app, &key), Ok)?;
    for offer in &offers {
        let ask = Ask::of(*offer, quantity);
        let basket = Basket::read(&app, &programme, vec![ask]).await?;
        if basket.needs_approval() {
            return Code::ApprovalNeeded.refuse();
        }
        if basket.has_room(&app).await? {
            return Err(Code::WrongState.because("there are places left: take a hold"));
        }
    }
    let id = WaiterId::derive(&[&event.to_string(), &buyer.to_string()]);
    let organisation = programme.event.organisation;
    let state = Standing::Waiting;
    let new =
        Waiter { id, event, organisation, buyer, contact, offers, quantity, turn: 1, joined: now, state };
    let told = vec![Message::WaitlistJoined { waiter: id }];
    let waiter = match app.db.put_new(new.clone(), told, now).await? {
        Put::Done(waiter) => waiter.value,
        Put::Existed(known) => app.db.change(known, now, |known| Ok(known.rejoin(&new, now))).await?.value,
    };
    if (&waiter.offers, waiter.quantity) != (&new.offers, new.quantity) {
        return Err(Code::AlreadyExists.because("you are in line for something else: leave first"));
    }
    let mut view = shown(&app, &waiter).await?;
    view.guest_token = guest_token(&app, buyer, caller.is_none())?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// List the waitlists I am or was on, the newest first.
#[utoipa::path(get, path = "/v1/waitlist", tag = "booking", security(("bearer" = [])), params(Paging),
    responses((status = 200, description = "A page of them", body = Page<View>)))]
pub async fn mine(
    State(app): State<App>,
    buyer: Buyer,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<View>>> {
    page(&app, Listing::First, store::list_of_buyer(buyer), &paging).await
}

/// List who waits, or has waited, for my organisation's event, the newest first.
#[utoipa::path(get, path = "/v1/events/{id}/waitlist", tag = "booking", security(("bearer" = [])),
    params(("id" = EventId, Path, description = "The event"), Paging),
    responses((status = 200, description = "A page of them", body = Page<View>)))]
pub async fn of_event(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<EventId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<View>>> {
    app.programme_for(&caller, Action::ManageBookings, id).await?;
    page(&app, Listing::Second, store::list_of_event(id), &paging).await
}

/// Has an account that was erased leave every line, and forgets who it was.
///
/// # Errors
/// The store's own.
pub async fn forget(app: &App, account: AccountId) -> Result<()> {
    let now = app.clock.now();
    let waits = Query::of(Listing::First, store::list_of_buyer(Buyer::Account(account)));
    for waiter in app.db.list_all::<Waiter>(&waits).await? {
        let waiter = give_up(app, waiter, now).await?;
        app.db.amend(waiter, now, |waiter| Ok(waiter.without_person())).await?;
    }
    Ok(())
}

async fn page(app: &App, listing: Listing, of: String, paging: &Paging) -> Result<Json<Page<View>>> {
    let query = Query::of(listing, &of).newest_first();
    let found = app.page(&of, query, paging, |waiter: &Waiter| Ok(Some(waiter.clone()))).await?;
    let now = app.clock.now();
    let taken = taken(app, &found.items).await?;
    Ok(Json(found.map(|waiter| view(&waiter, taken.contains(&waiter.id), None, now))))
}

/// Which of them took what they were offered.
async fn taken(app: &App, waiters: &[Waiter]) -> Result<Vec<WaiterId>> {
    let offered = waiters.iter().filter(|waiter| matches!(waiter.state, Standing::Offered { .. }));
    let holders: Vec<(WaiterId, HoldKey)> =
        offered.map(|waiter| (waiter.id, waiter.holder(&tag(app, &waiter.buyer.to_string())))).collect();
    let registers = registers_of(&app.db, holders.iter().map(|(_, holder)| *holder)).await?;
    let became = |holder: &HoldKey| {
        registers.get(holder).is_some_and(|register| match register {
            Register::Confirmed { .. } | Register::Cancelled { .. } => true,
            Register::Ended { .. } | Register::Lost { .. } => false,
        })
    };
    Ok(holders.into_iter().filter(|(_, holder)| became(holder)).map(|(id, _)| id).collect())
}

/// How a waitlist goes.
#[derive(Default, Serialize, utoipa::ToSchema)]
pub struct Summary {
    /// In line now.
    waiting: u32,
    /// Places they wait for.
    places: u32,
    /// Deciding on an offer now.
    offered: u32,
    /// Took what they were offered.
    accepted: u32,
    /// Did not want it.
    declined: u32,
    /// Let the time go by.
    expired: u32,
    /// Left before their turn.
    left: u32,
    /// Of a hundred offers that ended, how many were accepted; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_percent: Option<u32>,
    /// Whether there are more than the 5,000 that were counted, the newest first.
    more: bool,
}

/// How the waitlist of my organisation's event goes: its length, and what became of its offers.
#[utoipa::path(get, path = "/v1/events/{id}/waitlist/summary", tag = "booking", security(("bearer" = [])),
    params(("id" = EventId, Path, description = "The event")),
    responses((status = 200, description = "The figures", body = Summary)))]
pub async fn summary(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<EventId>,
) -> Result<Json<Summary>> {
    app.programme_for(&caller, Action::ManageBookings, id).await?;
    let (now, query) = (app.clock.now(), Query::of(Listing::Second, store::list_of_event(id)).newest_first());
    let (mut sum, mut after) = (Summary::default(), None);
    for _ in 0..50 {
        let (found, next): (Vec<Stored<Waiter>>, _) = app.db.list(&query.clone().limit(100), after).await?;
        let waiters: Vec<Waiter> = found.into_iter().map(|waiter| waiter.value).collect();
        let taken = taken(&app, &waiters).await?;
        for waiter in &waiters {
            match status(waiter, taken.contains(&waiter.id), now) {
                Status::Waiting => {
                    sum.waiting += 1;
                    sum.places += waiter.quantity;
                }
                Status::Offered => sum.offered += 1,
                Status::Accepted => sum.accepted += 1,
                Status::Declined => sum.declined += 1,
                Status::Expired => sum.expired += 1,
                Status::Left => sum.left += 1,
            }
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    sum.more = after.is_some();
    let ended = sum.accepted + sum.declined + sum.expired;
    sum.accepted_percent = (sum.accepted * 100).checked_div(ended);
    Ok(Json(sum))
}

/// My place on a waitlist: how many are before me, or what I am offered and until when.
#[utoipa::path(get, path = "/v1/waitlist/{id}", tag = "booking", security(("bearer" = []), ()),
    params(("id" = WaiterId, Path, description = "My place"), Link),
    responses((status = 200, description = "Where I stand", body = View)))]
pub async fn one(
    State(app): State<App>,
    MaybeBuyer(caller): MaybeBuyer,
    Path(id): Path<WaiterId>,
    Params(link): Params<Link>,
) -> Result<Json<View>> {
    let waiter = seen_by(&app, id, caller, &link).await?;
    Ok(Json(shown(&app, &waiter.value).await?))
}

/// Accept what I am offered: the answer is a hold with its quote, to be ordered before the offer ends. It can be asked for again
/// until then, and ordered once.
#[utoipa::path(post, path = "/v1/waitlist/{id}/accept", tag = "booking", security(("bearer" = []), ()),
    params(("id" = WaiterId, Path, description = "My place"), Link),
    responses((status = 200, description = "Held", body = Held)))]
pub async fn accept(
    State(app): State<App>,
    MaybeBuyer(caller): MaybeBuyer,
    Path(id): Path<WaiterId>,
    Params(link): Params<Link>,
) -> Result<Json<Held>> {
    let waiter = seen_by(&app, id, caller, &link).await?.value;
    let offered = waiter.offered(app.clock.now())?;
    let programme = app.programme(waiter.event).await?;
    let basket = Basket::read(&app, &programme, vec![Ask::of(offered.offer, waiter.quantity)]).await?;
    let holder = waiter.holder(&tag(&app, &waiter.buyer.to_string()));
    let guest = caller.is_none();
    Ok(Json(
        held(&app, &basket, &programme, (waiter.buyer, guest), holder, offered.claims.clone(), offered.until)
            .await?,
    ))
}

/// Leave the waitlist, or decline what I am offered: it is passed on at once. Leaving again changes nothing.
#[utoipa::path(post, path = "/v1/waitlist/{id}/leave", tag = "booking", security(("bearer" = []), ()),
    params(("id" = WaiterId, Path, description = "My place"), Link),
    responses((status = 200, description = "Where I stand", body = View)))]
pub async fn leave(
    State(app): State<App>,
    MaybeBuyer(caller): MaybeBuyer,
    Path(id): Path<WaiterId>,
    Params(link): Params<Link>,
) -> Result<Json<View>> {
    let (waiter, now) = (seen_by(&app, id, caller, &link).await?, app.clock.now());
    Ok(Json(shown(&app, &give_up(&app, waiter, now).await?.value).await?))
}

/// Leaves the line, or declines what was offered.
async fn give_up(app: &App, waiter: Stored<Waiter>, now: Timestamp) -> Result<Stored<Waiter>> {
    if matches!(waiter.value.state, Standing::Offered { .. }) {
        // The register first, as ever: what has been paid for meanwhile is not declined.
        let_go(app, waiter.value.holder(&tag(app, &waiter.value.buyer.to_string())), now).await?;
    }
    app.db.change(waiter, now, |waiter| Ok(waiter.leave(now))).await
}
