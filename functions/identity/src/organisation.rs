//! Organisations and who may do what in them.

use crate::owner::Owner as Account;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::{Actor, Agent};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, Input, Path};
use tessera::id::{AccountId, OrganisationId, TeamId};
use tessera::identity::audit::{Act, Note};
use tessera::identity::{Action, Member, Organisation, Rights, Role, store};
use tessera::text::Text;

/// A new organisation.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FoundOrganisation)]
pub struct Found {
    name: Text<1, 120>,
}

/// An organisation, as its member sees it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Organisation)]
pub struct View {
    /// The id.
    id: OrganisationId,
    /// Its name, as buyers read it.
    name: Text<1, 120>,
    /// What the caller has by themselves.
    rights: Rights,
    /// Whose roles they have as well.
    teams: Vec<TeamId>,
    /// Since when it exists.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
}

/// Found an organisation; the caller becomes its owner.
#[utoipa::path(post, path = "/v1/organisations", tag = "identity", security(("bearer" = [])), request_body = Found,
    params(("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Founded", body = View)))]
pub async fn found(
    State(app): State<App>,
    caller: Account,
    key: IdempotencyKey,
    input: Input<Found>,
) -> Result<(StatusCode, Json<View>)> {
    let now = app.clock.now();
    let id = OrganisationId::derive(&[&caller.id.to_string(), &key.0]);
    // The owner first: should the function die between the two writes, the repeated request finds its way.
    let owner = Member {
        organisation: id,
        account: caller.id,
        rights: Rights::of(Role::Owner),
        teams: Vec::new(),
        since: now,
        invitation: None,
    };
    app.db.put_new(owner.clone(), Vec::new(), now).await?;
    let new = Organisation { id, name: input.value.name, created: now, print: input.print.clone() };
    let noted = Note::new(id, Actor::Account(caller.id), Act::Founded, id);
    let organisation = app
        .db
        .put_new(new, vec![noted.into()], now)
        .await?
        .by_request(&input.print, |known| &known.print)?
        .value;
    Ok((StatusCode::CREATED, Json(view(organisation, owner))))
}

fn view(organisation: Organisation, member: Member) -> View {
    let (Organisation { id, name, created, .. }, Member { rights, teams, .. }) = (organisation, member);
    View { id, name, rights, teams, created }
}

/// The caller's organisations.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Organisations {
    items: Vec<View>,
}

/// List my organisations.
#[utoipa::path(get, path = "/v1/organisations", tag = "identity", security(("bearer" = [])),
    responses((status = 200, description = "Those the caller is a member of", body = Organisations)))]
pub async fn list(State(app): State<App>, caller: Account) -> Result<Json<Organisations>> {
    let memberships = store::memberships(&app.db, caller.id).await?;
    let views = memberships.into_iter().map(async |member| {
        let organisation = store::organisation(&app.db, member.value.organisation).await?.value;
        Ok::<_, tessera::error::Refusal>(view(organisation, member.value))
    });
    Ok(Json(Organisations { items: try_join_all(views).await? }))
}

/// A member.
#[derive(Serialize, utoipa::ToSchema)]
pub struct MemberView {
    /// Who.
    account: AccountId,
    /// What they have by themselves.
    rights: Rights,
    /// Whose roles they have as well.
    teams: Vec<TeamId>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// An organisation's members.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Members {
    items: Vec<MemberView>,
}

fn member_view(member: Member) -> MemberView {
    let Member { account, rights, teams, since, .. } = member;
    MemberView { account, rights, teams, since }
}

/// List the members of an organisation.
#[utoipa::path(get, path = "/v1/organisations/{id}/members", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation")),
    responses((status = 200, description = "Its members", body = Members)))]
pub async fn members(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
) -> Result<Json<Members>> {
    app.authorize(&caller, Action::ManageMembers, id).await?;
    let members = store::members(&app.db, id).await?;
    Ok(Json(Members { items: members.into_iter().map(|member| member_view(member.value)).collect() }))
}

/// What a member is to have.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Give {
    /// By themselves.
    #[serde(default)]
    rights: Rights,
    /// Whose roles they are to have as well.
    #[serde(default)]
    #[schema(max_items = 20)]
    teams: Vec<TeamId>,
}

/// These teams exist: a slip of the pen would otherwise give nothing, silently.
///
/// # Errors
/// `invalid_input`; the store's own.
pub(crate) async fn known_teams(app: &App, id: OrganisationId, teams: &[TeamId]) -> Result<()> {
    let known = store::teams(&app.db, id).await?;
    match teams.iter().position(|team| !known.iter().any(|known| known.value.id == *team)) {
        Some(place) => Err(Refusal::invalid(format!("/teams/{place}"), "is no team of this organisation")),
        None => Ok(()),
    }
}

/// Add a member, or change what a member may do. It applies to the member's next request.
#[utoipa::path(put, path = "/v1/organisations/{id}/members/{account}", tag = "identity", security(("bearer" = [])),
    request_body = Give,
    params(("id" = OrganisationId, Path, description = "The organisation"), ("account" = AccountId, Path, description = "Who")),
    responses((status = 200, description = "The member", body = MemberView)))]
pub async fn set_member(
    State(app): State<App>,
    caller: Agent,
    Path((id, account)): Path<(OrganisationId, AccountId)>,
    input: Input<Give>,
) -> Result<Json<MemberView>> {
    let (Give { rights, teams }, now) = (input.value, app.clock.now());
    app.authorize(&caller, Action::ManageMembers, id).await?;
    not_oneself(&caller, account)?;
    store::account(&app.db, account).await?;
    if !teams.is_empty() {
        known_teams(&app, id, &teams).await?;
    }
    let none = Rights::default();
    let new =
        Member { organisation: id, account, rights: none, teams: Vec::new(), since: now, invitation: None };
    let new = new.with(rights, teams)?;
    let note = Note::new(id, caller.actor(), Act::MemberSet, account).with(&new.rights);
    let stored = app.db.put_new(new.clone(), vec![note.clone().into()], now).await?.stored();
    let rule = |member: &Member| {
        let since = if member.is_gone() { now } else { member.since };
        let next = Member { since, ..member.clone() }.with(new.rights.clone(), new.teams.clone())?;
        Ok(Some(next).filter(|next| next != member))
    };
    Ok(Json(member_view(app.db.amend_noted(stored, now, &note, rule).await?.value)))
}

/// Remove a member. It applies to the member's next request.
#[utoipa::path(delete, path = "/v1/organisations/{id}/members/{account}", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), ("account" = AccountId, Path, description = "Who")),
    responses((status = 204, description = "Removed")))]
pub async fn remove_member(
    State(app): State<App>,
    caller: Agent,
    Path((id, account)): Path<(OrganisationId, AccountId)>,
) -> Result<StatusCode> {
    app.authorize(&caller, Action::ManageMembers, id).await?;
    not_oneself(&caller, account)?;
    let member = store::member(&app.db, id, account).await?.filter(|member| !member.value.is_gone());
    let note = Note::new(id, caller.actor(), Act::MemberRemoved, account);
    let rule = |member: &Member| Ok(member.remove());
    app.db.amend_noted(member.ok_or(Code::NotFound)?, app.clock.now(), &note, rule).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An owner cannot demote or remove themselves: an organisation keeps at least one owner, without counting.
fn not_oneself(caller: &Agent, account: AccountId) -> Result<()> {
    if caller.actor() == Actor::Account(account) {
        Err(Code::WrongState.because("another owner must do that"))
    } else {
        Ok(())
    }
}
