//! Applications: apply, decide one or many, accept, withdraw.

use crate::basket::{Ask, Basket};
use crate::hold::{Held, guest, guest_token, held};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::{Agent, Buyer, MaybeBuyer};
use tessera::booking::application::{
    Application, Decision, Kept, State as Standing, Verdict, application, list_of, list_of_buyer,
};
use tessera::booking::store::{Wish, clear, give_back, hold, let_go, tag};
use tessera::catalogue::store::Programme;
use tessera::clock::whole_second;
use tessera::db::{Listing, Put, Query, Stored};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, Input, Params, Path};
use tessera::id::{AccountId, ApplicationId, EventId, OfferId};
use tessera::identity::Action;
use tessera::order::Contact;
use tessera::order::store::Link;
use tessera::page::{Page, Paging};
use tessera::pool::{Pool, Turn, first_end};
use tessera::text::Text;

/// What somebody asks for.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// An offer that is sold to approved applicants.
    offer: OfferId,
    /// Places, 1 to 40.
    #[schema(minimum = 1, maximum = 40)]
    quantity: u32,
    /// Whom to write to.
    contact: Contact,
    /// What the organiser should know.
    #[serde(default)]
    letter: Text<0, 2000>,
    /// The code of a private event.
    #[serde(default)]
    #[schema(max_length = 64)]
    code: Option<String>,
}

/// Where an application stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ApplicationStatus)]
pub enum Status {
    /// Nobody has decided.
    Pending,
    /// Places are kept: accept and order before they run out.
    Approved,
    /// Not let in.
    Declined,
    /// Taken back by the applicant.
    Withdrawn,
}

/// An application.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Application)]
pub struct View {
    /// The id.
    id: ApplicationId,
    /// Of which event.
    event: EventId,
    /// For what.
    offer: OfferId,
    /// How many places.
    quantity: u32,
    /// Where it stands.
    status: Status,
    /// Whom to write to.
    contact: Contact,
    /// What they say.
    letter: Text<0, 2000>,
    /// When they asked.
    #[schema(value_type = String, format = DateTime)]
    asked_at: Timestamp,
    /// Until when an approval can be accepted and ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Why it was declined, if a reason was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Text<1, 500>>,
    /// What was decided and by whom; for the organisation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Decision>>,
    /// A guest's credential for everything that follows, valid for a day; only when applying.
    #[serde(skip_serializing_if = "Option::is_none")]
    guest_token: Option<String>,
}

fn view(application: &Application, audit: bool) -> View {
    let Application { id, event, offer, quantity, contact, letter, asked, state, history, .. } =
        application.clone();
    let (status, until) = match state {
        Standing::Pending => (Status::Pending, None),
        Standing::Approved { until, .. } => (Status::Approved, Some(until)),
        Standing::Declined => (Status::Declined, None),
        Standing::Withdrawn => (Status::Withdrawn, None),
    };
    let reason = history.last().filter(|_| status == Status::Declined).and_then(|last| last.reason.clone());
    let history = audit.then_some(history);
    View {
        id,
        event,
        offer,
        quantity,
        status,
        contact,
        letter,
        asked_at: asked,
        until,
        reason,
        history,
        guest_token: None,
    }
}

/// Apply for an offer that is sold to approved applicants. One application for each buyer and offer; applying again changes
/// nothing, unless it was withdrawn or its approval ran out.
#[utoipa::path(post, path = "/v1/applications", tag = "booking", security(("bearer" = []), ()), request_body = Apply,
    params(("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike; a guest's must be a UUID")),
    responses((status = 201, description = "Applied", body = View)))]
pub async fn apply(
    State(app): State<App>,
    MaybeBuyer(caller): MaybeBuyer,
    key: IdempotencyKey,
    input: Input<Apply>,
) -> Result<(StatusCode, Json<View>)> {
    let (Apply { offer, quantity, contact, letter, code }, now) = (input.value, app.clock.now());
    let programme = app.programme_of(offer).await?;
    if !programme.event.visible_to(code.as_deref()) {
        return Code::NotFound.refuse();
    }
    let basket = Basket::read(&app, &programme, vec![Ask::of(offer, quantity)]).await?;
    if !basket.needs_approval() {
        return Err(Refusal::invalid("/offer", "needs no application: take a hold"));
    }
    let buyer = caller.map_or_else(|| guest(&app, &key), Ok)?;
    let id = ApplicationId::derive(&[&offer.to_string(), &buyer.to_string()]);
    let (event, organisation) = (programme.event.id, programme.event.organisation);
    let (turn, asked, state, history) = (1, now, Standing::Pending, Vec::new());
    let new = Application {
        id,
        event,
        organisation,
        offer,
        quantity,
        buyer,
        contact,
        letter,
        turn,
        asked,
        state,
        history,
    };
    let kept = match app.db.put_new(new.clone(), Vec::new(), now).await? {
        Put::Done(kept) => kept.value,
        Put::Existed(known) => app.db.change(known, now, |known| Ok(known.ask_again(&new, now))).await?.value,
    };
    if kept.quantity != quantity {
        return Err(Code::AlreadyExists.because("you have applied for another number: withdraw first"));
    }
    let mut view = view(&kept, false);
    view.guest_token = guest_token(&app, buyer, caller.is_none())?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// List my applications, the newest first.
#[utoipa::path(get, path = "/v1/applications", tag = "booking", security(("bearer" = [])), params(Paging),
    responses((status = 200, description = "A page of applications", body = Page<View>)))]
pub async fn mine(
    State(app): State<App>,
    buyer: Buyer,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<View>>> {
    let list = list_of_buyer(buyer);
    let query = Query::of(Listing::First, &list).newest_first();
    Ok(Json(app.page(&list, query, &paging, |known: &Application| Ok(Some(view(known, false)))).await?))
}

/// Withdraws what an account that was erased has applied for, and forgets who it was.
///
/// # Errors
/// The store's own.
pub async fn forget(app: &App, account: AccountId) -> Result<()> {
    let now = app.clock.now();
    let applies = Query::of(Listing::First, list_of_buyer(Buyer::Account(account)));
    for known in app.db.list_all::<Application>(&applies).await? {
        take_back(app, &known.value).await?;
        let known = match known.value.state {
            Standing::Pending | Standing::Approved { .. } => {
                app.db.change(known, now, Application::withdraw).await?
            }
            Standing::Declined | Standing::Withdrawn => known,
        };
        app.db.amend(known, now, |known| Ok(known.without_person())).await?;
    }
    Ok(())
}

/// Which applications.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OfStatus {
    /// Those that stand so; pending ones if nothing is said.
    status: Option<Status>,
    /// At most so many items, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List the applications for my organisation's event, those who asked first first.
#[utoipa::path(get, path = "/v1/events/{id}/applications", tag = "booking", security(("bearer" = [])),
    params(("id" = EventId, Path, description = "The event"), OfStatus),
    responses((status = 200, description = "A page of applications", body = Page<View>)))]
pub async fn of_event(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<EventId>,
    Params(query): Params<OfStatus>,
) -> Result<Json<Page<View>>> {
    app.programme_for(&caller, Action::ManageBookings, id).await?;
    let word = match query.status.unwrap_or(Status::Pending) {
        Status::Pending => "pending",
        Status::Approved => "approved",
        Status::Declined => "declined",
        Status::Withdrawn => "withdrawn",
    };
    let list = list_of(id, word);
    let paging = Paging { limit: query.limit, cursor: query.cursor };
    let query = Query::of(Listing::Second, &list);
    Ok(Json(app.page(&list, query, &paging, |known: &Application| Ok(Some(view(known, true)))).await?))
}

/// What is decided about one application.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// Which.
    application: ApplicationId,
    /// What.
    verdict: Verdict,
    /// Why: the applicant is told.
    #[serde(default)]
    reason: Option<Text<1, 500>>,
}

/// Decisions.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decisions {
    /// 1 to 50, carried out in this order, each by itself.
    #[schema(min_items = 1, max_items = 50)]
    decisions: Vec<Decide>,
    /// How long approved places are kept, hours, 1 to 336; never past the end of the sale.
    #[serde(default = "three_days")]
    #[schema(minimum = 1, maximum = 336, default = 72)]
    hours: u32,
}

const fn three_days() -> u32 {
    72
}

/// What came of one decision.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Decided {
    /// Which.
    application: ApplicationId,
    /// Where it stands now; absent when it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    /// Why it was refused: a code of the error catalogue (`sold_out`, `wrong_state`, `hold_decided`, `not_found`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// What came of all of them.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AllDecided {
    /// In the order they were asked for.
    results: Vec<Decided>,
}

/// Decide applications, one or many. Approving takes the places: when there are not enough, that one is refused and stays
/// pending. Deciding the same again changes nothing.
#[utoipa::path(post, path = "/v1/events/{id}/applications/decisions", tag = "booking", security(("bearer" = [])), request_body = Decisions,
    params(("id" = EventId, Path, description = "The event")),
    responses((status = 200, description = "What came of each", body = AllDecided)))]
pub async fn decide(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<EventId>,
    input: Input<Decisions>,
) -> Result<Json<AllDecided>> {
    let Decisions { decisions, hours } = input.value;
    if !(1..=50).contains(&decisions.len()) {
        return Err(Refusal::invalid("/decisions", "must have 1 to 50 decisions"));
    }
    if !(1..=336).contains(&hours) {
        return Err(Refusal::invalid("/hours", "must be between 1 and 336"));
    }
    let programme = app.programme_for(&caller, Action::ManageBookings, id).await?;
    let mut results = Vec::with_capacity(decisions.len());
    for Decide { application, verdict, reason } in decisions {
        let decision = Decision { verdict, by: caller.actor(), at: app.clock.now(), reason };
        let outcome = match decide_one(&app, &programme, application, decision, hours).await {
            Ok(known) => Decided { application, status: Some(view(&known, false).status), refused: None },
            Err(refusal) if refusal.code.status() < 500 => {
                Decided { application, status: None, refused: Some(refusal.code.code().to_owned()) }
            }
            Err(refusal) => return Err(refusal),
        };
        results.push(outcome);
    }
    Ok(Json(AllDecided { results }))
}

async fn decide_one(
    app: &App,
    programme: &Programme,
    id: ApplicationId,
    decision: Decision,
    hours: u32,
) -> Result<Application> {
    let (known, now) = (application(&app.db, id).await?, app.clock.now());
    if known.value.event != programme.event.id {
        return Code::NotFound.refuse();
    }
    match decision.verdict {
        Verdict::Decline => {
            take_back(app, &known.value).await?;
            Ok(app.db.change(known, now, |known| known.decline(decision.clone())).await?.value)
        }
        Verdict::Approve => {
            // The places first: an approval that is told has them.
            let kept = keep(app, programme, &known.value, hours).await?;
            let turn = known.value.turn;
            match app
                .db
                .change(known.clone(), now, |known| known.approve(turn, &kept, decision.clone()))
                .await
            {
                Ok(known) => Ok(known.value),
                Err(refusal) => {
                    if refusal.code == Code::WrongState {
                        // Another decision may have found some of the same places: those are the applicant's.
                        let theirs = application(&app.db, id).await?.value.has(turn).to_vec();
                        let strays: Vec<_> =
                            kept.claims.into_iter().filter(|claim| !theirs.contains(claim)).collect();
                        give_back(app, holder(app, &known.value), &strays).await?;
                    }
                    Err(refusal)
                }
            }
        }
    }
}

fn holder(app: &App, known: &Application) -> tessera::pool::HoldKey {
    known.holder(&tag(app, &known.buyer.to_string()))
}

/// Takes the places of an application that may be approved.
async fn keep(app: &App, programme: &Programme, known: &Application, hours: u32) -> Result<Kept> {
    let now = app.clock.now();
    match &known.state {
        Standing::Pending => {}
        Standing::Approved { claims, until } => return Ok(Kept { claims: claims.clone(), until: *until }),
        Standing::Declined | Standing::Withdrawn => {
            return Err(Code::WrongState.because("it has been decided or withdrawn"));
        }
    }
    let basket = Basket::read(app, programme, vec![Ask::of(known.offer, known.quantity)]).await?;
    let wants = basket.wants(app, &tag(app, &known.buyer.to_string())).await?;
    let until = basket.closes(programme)?.min(now + SignedDuration::from_hours(hours.into()));
    let until = whole_second(until);
    let holder = holder(app, known);
    let wish =
        Wish { holder, wants: &wants, until, print: 0, replaces: &[], around: &[], turn: Turn::default() };
    let claims = hold(app, &wish, now).await?;
    Ok(Kept { until: first_end(&claims, until), claims })
}

/// Ends the hold of an application, if it has not become a booking, and gives its places back: those that its approval names,
/// or whatever an approval that was never noted had taken.
async fn take_back(app: &App, known: &Application) -> Result<()> {
    let holder = holder(app, known);
    match &known.state {
        Standing::Approved { claims, .. } => {
            let_go(app, holder, app.clock.now()).await?;
            give_back(app, holder, claims).await
        }
        Standing::Pending => {
            let_go(app, holder, app.clock.now()).await?;
            let programme = app.programme(known.event).await?;
            let who = tag(app, &known.buyer.to_string());
            let mut pools = Vec::new();
            for offer in programme.offers.iter().filter(|offer| offer.id == known.offer) {
                pools.push(app.opened(offer.pool).await?.pool());
                pools.extend(offer.terms.per_buyer.map(|limit| Pool::allowance(offer.id, &who, limit)));
            }
            clear(app, &pools, holder).await
        }
        Standing::Declined | Standing::Withdrawn => Ok(()),
    }
}

async fn seen_by(
    app: &App,
    id: ApplicationId,
    caller: Option<Buyer>,
    link: &Link,
) -> Result<Stored<Application>> {
    let known = application(&app.db, id).await?;
    let may = caller == Some(known.value.buyer) || app.opens(&id, link);
    if may { Ok(known) } else { Code::NotFound.refuse() }
}

/// My application, and what was decided.
#[utoipa::path(get, path = "/v1/applications/{id}", tag = "booking", security(("bearer" = []), ()),
    params(("id" = ApplicationId, Path, description = "My application"), Link),
    responses((status = 200, description = "Where it stands", body = View)))]
pub async fn one(
    State(app): State<App>,
    MaybeBuyer(caller): MaybeBuyer,
    Path(id): Path<ApplicationId>,
    Params(link): Params<Link>,
) -> Result<Json<View>> {
    Ok(Json(view(&seen_by(&app, id, caller, &link).await?.value, false)))
}

/// Accept an approval: the answer is a hold with its quote, to be ordered before the approval runs out. It can be asked for
/// again until then, and ordered once.
#[utoipa::path(post, path = "/v1/applications/{id}/accept", tag = "booking", security(("bearer" = []), ()),
    params(("id" = ApplicationId, Path, description = "My application"), Link),
    responses((status = 200, description = "Held", body = Held)))]
pub async fn accept(
    State(app): State<App>,
    MaybeBuyer(caller): MaybeBuyer,
    Path(id): Path<ApplicationId>,
    Params(link): Params<Link>,
) -> Result<Json<Held>> {
    let known = seen_by(&app, id, caller, &link).await?.value;
    let Kept { claims, until } = known.kept(app.clock.now())?;
    let programme = app.programme(known.event).await?;
    let basket = Basket::read(&app, &programme, vec![Ask::of(known.offer, known.quantity)]).await?;
    let buyer = (known.buyer, caller.is_none());
    let held = held(&app, &basket, &programme, buyer, holder(&app, &known), claims, until);
    Ok(Json(held.await?))
}

/// Withdraw my application. What was kept for it goes back; withdrawing again changes nothing.
#[utoipa::path(post, path = "/v1/applications/{id}/withdraw", tag = "booking", security(("bearer" = []), ()),
    params(("id" = ApplicationId, Path, description = "My application"), Link),
    responses((status = 200, description = "Withdrawn", body = View)))]
pub async fn withdraw(
    State(app): State<App>,
    MaybeBuyer(caller): MaybeBuyer,
    Path(id): Path<ApplicationId>,
    Params(link): Params<Link>,
) -> Result<Json<View>> {
    let (known, now) = (seen_by(&app, id, caller, &link).await?, app.clock.now());
    take_back(&app, &known.value).await?;
    Ok(Json(view(&app.db.change(known, now, Application::withdraw).await?.value, false)))
}
