//! Organisations and who may do what in them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::Account;
use tessera::error::{Code, Result};
use tessera::http::{IdempotencyKey, Input, Path};
use tessera::id::{AccountId, OrganisationId};
use tessera::identity::{Action, Member, Organisation, Role, store};
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
    /// What the caller may do.
    role: Role,
    /// Since when it exists.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
}

/// Found an organisation; the caller becomes its owner.
#[utoipa::path(post, path = "/v1/organisations", tag = "identity", security(("bearer" = [])), request_body = Found,
    params(("Idempotency-Key" = String, Header, description = "Repeats are answered alike")),
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
    let owner = Member { organisation: id, account: caller.id, role: Role::Owner, since: now };
    app.db.put_new(owner, Vec::new(), now).await?;
    let new = Organisation { id, name: input.value.name, created: now, print: input.print.clone() };
    let organisation =
        app.db.put_new(new, Vec::new(), now).await?.by_request(&input.print, |known| &known.print)?.value;
    Ok((StatusCode::CREATED, Json(view(organisation, Role::Owner))))
}

fn view(organisation: Organisation, role: Role) -> View {
    View { id: organisation.id, name: organisation.name, role, created: organisation.created }
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
        let Member { organisation, role, .. } = member.value;
        Ok::<_, tessera::error::Refusal>(view(store::organisation(&app.db, organisation).await?.value, role))
    });
    Ok(Json(Organisations { items: try_join_all(views).await? }))
}

/// A member.
#[derive(Serialize, utoipa::ToSchema)]
pub struct MemberView {
    /// Who.
    account: AccountId,
    /// As what.
    role: Role,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// An organisation's members.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Members {
    items: Vec<MemberView>,
}

fn member_view(member: &Member) -> MemberView {
    MemberView { account: member.account, role: member.role, since: member.since }
}

/// List the members of an organisation.
#[utoipa::path(get, path = "/v1/organisations/{id}/members", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation")),
    responses((status = 200, description = "Its members", body = Members)))]
pub async fn members(
    State(app): State<App>,
    caller: Account,
    Path(id): Path<OrganisationId>,
) -> Result<Json<Members>> {
    app.authorize(caller.id, Action::ManageMembers, id).await?;
    let members = store::members(&app.db, id).await?;
    Ok(Json(Members { items: members.iter().map(|member| member_view(&member.value)).collect() }))
}

/// A role to give.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Give {
    role: Role,
}

/// Add a member or change a role. It applies to the member's next request.
#[utoipa::path(put, path = "/v1/organisations/{id}/members/{account}", tag = "identity", security(("bearer" = [])),
    request_body = Give,
    params(("id" = OrganisationId, Path, description = "The organisation"), ("account" = AccountId, Path, description = "Who")),
    responses((status = 200, description = "The member", body = MemberView)))]
pub async fn set_member(
    State(app): State<App>,
    caller: Account,
    Path((id, account)): Path<(OrganisationId, AccountId)>,
    input: Input<Give>,
) -> Result<Json<MemberView>> {
    let (now, role) = (app.clock.now(), input.value.role);
    app.authorize(caller.id, Action::ManageMembers, id).await?;
    not_oneself(caller, account)?;
    store::account(&app.db, account).await?;
    let new = Member { organisation: id, account, role, since: now };
    let stored = app.db.put_new(new, Vec::new(), now).await?.stored();
    let rule = |member: &Member| Ok((member.role != role).then(|| Member { role, ..member.clone() }));
    Ok(Json(member_view(&app.db.amend(stored, now, rule).await?.value)))
}

/// Remove a member. It applies to the member's next request.
#[utoipa::path(delete, path = "/v1/organisations/{id}/members/{account}", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), ("account" = AccountId, Path, description = "Who")),
    responses((status = 204, description = "Removed")))]
pub async fn remove_member(
    State(app): State<App>,
    caller: Account,
    Path((id, account)): Path<(OrganisationId, AccountId)>,
) -> Result<StatusCode> {
    app.authorize(caller.id, Action::ManageMembers, id).await?;
    not_oneself(caller, account)?;
    let member = store::member(&app.db, id, account).await?.ok_or(Code::NotFound)?;
    app.db.delete(&member).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An owner cannot demote or remove themselves: an organisation keeps at least one owner, without counting.
fn not_oneself(caller: Account, account: AccountId) -> Result<()> {
    if caller.id == account { Err(Code::WrongState.because("another owner must do that")) } else { Ok(()) }
}
