//! Inviting people into an organisation, by address; and their answers.

use crate::organisation::known_teams;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::future::{try_join, try_join_all};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::{Account, Actor, Agent};
use tessera::db::{Put, Stored};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, Input, Path};
use tessera::id::{AccountId, InvitationId, OrganisationId, TeamId};
use tessera::identity::audit::{Act, Note};
use tessera::identity::invitation::State as Answer;
use tessera::identity::rights::Part;
use tessera::identity::{Action, Invitation, Member, Rights, store};
use tessera::limit::Class;
use tessera::message::Message;
use tessera::text::{Email, Text};

/// How many invitations may be open at once: each is a mail to somebody who did not ask for one.
const OPEN: usize = 50;

/// Who is invited, as what.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// To whom.
    email: Email,
    /// By themselves.
    #[serde(default)]
    rights: Rights,
    /// Whose roles they are to have as well.
    #[serde(default)]
    #[schema(max_items = 20)]
    teams: Vec<TeamId>,
}

/// Where an invitation stands.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InvitationStatus)]
pub enum Status {
    /// Nobody has answered.
    Open,
    /// Accepted.
    Accepted,
    /// Declined, or taken back.
    Closed,
    /// Nobody answered in time.
    Expired,
}

/// An invitation.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Invitation)]
pub struct View {
    /// The id.
    id: InvitationId,
    /// Into which organisation.
    organisation: OrganisationId,
    /// To whom.
    email: Email,
    /// By themselves.
    rights: Rights,
    /// Whose roles as well.
    teams: Vec<TeamId>,
    /// Who invites.
    by: AccountId,
    /// Where it stands.
    status: Status,
    /// Until when it can be accepted.
    #[schema(value_type = String, format = DateTime)]
    ends: Timestamp,
}

fn view(invitation: Invitation, now: Timestamp) -> View {
    let ends = invitation.ends();
    let status = match invitation.state {
        Answer::Open if invitation.is_open(now) => Status::Open,
        Answer::Open => Status::Expired,
        Answer::Accepted { .. } => Status::Accepted,
        Answer::Closed { .. } => Status::Closed,
    };
    let Invitation { id, organisation, email, rights, teams, by, .. } = invitation;
    View { id, organisation, email, rights, teams, by, status, ends }
}

/// Invite somebody by address. Whoever has proven that address finds the invitation with their account and may accept it.
#[utoipa::path(post, path = "/v1/organisations/{id}/invitations", tag = "identity", extensions(("x-limit" = json!(Class::Mail))), security(("bearer" = [])), request_body = Invite,
    params(("id" = OrganisationId, Path, description = "The organisation"), ("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "A mail is on its way", body = View)))]
pub async fn invite(
    State(app): State<App>,
    caller: Account,
    Path(organisation): Path<OrganisationId>,
    key: IdempotencyKey,
    input: Input<Invite>,
) -> Result<(StatusCode, Json<View>)> {
    let (Invite { email, rights, teams }, now) = (input.value, app.clock.now());
    app.authorize(&Agent::Account(caller), Action::ManageMembers, organisation).await?;
    if !teams.is_empty() {
        known_teams(&app, organisation, &teams).await?;
    }
    let open = store::invitations(&app.db, organisation).await?;
    if open.iter().filter(|invitation| invitation.value.is_open(now)).count() >= OPEN {
        return Err(Code::LimitReached.because(format!("at most {OPEN} invitations may be open")));
    }
    let (inviter, host) =
        try_join(store::account(&app.db, caller.id), store::organisation(&app.db, organisation)).await?;
    let invitation = Invitation {
        id: InvitationId::derive(&[&organisation.to_string(), &key.0]),
        organisation,
        email,
        rights,
        teams,
        by: caller.id,
        created: now,
        state: Answer::Open,
        print: input.print.clone(),
    };
    // What it would lead to must be within its bounds.
    let nobody = Member {
        organisation,
        account: caller.id,
        rights: Rights::default(),
        teams: Vec::new(),
        since: now,
        invitation: None,
    };
    nobody.with(invitation.rights.clone(), invitation.teams.clone())?;
    let told = Message::InvitationMade {
        invitation: invitation.id,
        email: invitation.email.as_str().to_owned(),
        organisation: host.value.name.to_string(),
        by: inviter.value.name.to_string(),
    };
    let noted = Note::new(organisation, Actor::Account(caller.id), Act::Invited, invitation.id);
    let made = app.db.put_new(invitation, vec![told, noted.into()], now).await?;
    let made = made.by_request(&input.print, |invitation| &invitation.print)?;
    Ok((StatusCode::CREATED, Json(view(made.value, now))))
}

/// Invitations.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Invitations {
    items: Vec<View>,
}

/// List the invitations of an organisation, answered or not.
#[utoipa::path(get, path = "/v1/organisations/{id}/invitations", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation")),
    responses((status = 200, description = "Its invitations", body = Invitations)))]
pub async fn list(
    State(app): State<App>,
    caller: Account,
    Path(id): Path<OrganisationId>,
) -> Result<Json<Invitations>> {
    let now = app.clock.now();
    app.authorize(&Agent::Account(caller), Action::ManageMembers, id).await?;
    let invitations = store::invitations(&app.db, id).await?;
    let items = invitations.into_iter().map(|invitation| view(invitation.value, now)).collect();
    Ok(Json(Invitations { items }))
}

/// Take an invitation back. Once it was accepted, remove the member instead.
#[utoipa::path(delete, path = "/v1/organisations/{id}/invitations/{invitation}", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), ("invitation" = InvitationId, Path, description = "The invitation")),
    responses((status = 204, description = "Taken back")))]
pub async fn take_back(
    State(app): State<App>,
    caller: Account,
    Path((organisation, id)): Path<(OrganisationId, InvitationId)>,
) -> Result<StatusCode> {
    let now = app.clock.now();
    app.authorize(&Agent::Account(caller), Action::ManageMembers, organisation).await?;
    close(&app, caller, store::invitation(&app.db, organisation, id).await?, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn close(
    app: &App,
    by: Account,
    invitation: Stored<Invitation>,
    now: Timestamp,
) -> Result<Stored<Invitation>> {
    let Invitation { organisation, id, .. } = invitation.value;
    let note = Note::new(organisation, Actor::Account(by.id), Act::InvitationClosed, id);
    app.db.amend_noted(invitation, now, &note, |invitation| invitation.close(now)).await
}

/// An invitation, as the invited one sees it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Invited {
    /// Who invites, by name.
    organisation_name: Text<1, 120>,
    /// What to.
    invitation: View,
}

/// What I am invited to.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Inviting {
    items: Vec<Invited>,
}

async fn to_me(app: &App, caller: Account) -> Result<Vec<Stored<Invitation>>> {
    let account = store::live_session(&app.db, caller, app.clock.now()).await?.0.value;
    // Nobody signs in before the address is proven; this asks again because so much hangs on it.
    if account.is_active() { store::invitations_to(&app.db, &account.email).await } else { Ok(Vec::new()) }
}

/// List the invitations to my address that I can answer.
#[utoipa::path(get, path = "/v1/invitations", tag = "identity", security(("bearer" = [])),
    responses((status = 200, description = "Those that are open", body = Inviting)))]
pub async fn mine(State(app): State<App>, caller: Account) -> Result<Json<Inviting>> {
    let now = app.clock.now();
    let open = to_me(&app, caller).await?.into_iter().map(|invitation| invitation.value);
    let shown = open.filter(|invitation| invitation.is_open(now)).map(async |invitation| {
        let organisation = store::organisation(&app.db, invitation.organisation).await?.value;
        Ok::<_, Refusal>(Invited { organisation_name: organisation.name, invitation: view(invitation, now) })
    });
    Ok(Json(Inviting { items: try_join_all(shown).await? }))
}

async fn of_mine(app: &App, caller: Account, id: InvitationId) -> Result<Stored<Invitation>> {
    let found = to_me(app, caller).await?.into_iter().find(|invitation| invitation.value.id == id);
    found.ok_or_else(|| Code::NotFound.into())
}

/// Accept an invitation to my address. Accepting again changes nothing, even after I was removed.
#[utoipa::path(post, path = "/v1/invitations/{id}/accept", tag = "identity", security(("bearer" = [])),
    params(("id" = InvitationId, Path, description = "The invitation")),
    responses((status = 200, description = "Accepted", body = View)))]
pub async fn accept(
    State(app): State<App>,
    caller: Account,
    Path(id): Path<InvitationId>,
) -> Result<Json<View>> {
    let now = app.clock.now();
    let invitation = of_mine(&app, caller, id).await?;
    let Invitation { organisation, by, .. } = invitation.value;
    // An owner who was removed invites nobody any more.
    let inviter = store::member(&app.db, organisation, by).await?;
    let may = inviter.is_some_and(|member| member.value.rights.allow(Action::ManageMembers, &Part::Whole));
    if !may {
        return Err(Code::WrongState.because("who invited you is no longer an owner"));
    }
    let member = store::member(&app.db, organisation, caller.id).await?;
    let (new, _) = invitation.value.accept(caller.id, now)?;
    if let Some(known) = &member {
        known.value.invited(&new)?;
    }
    let note = Note::new(organisation, Actor::Account(caller.id), Act::InvitationAccepted, id);
    // The invitation first: taken back in this instant, it leads nowhere. Should the function die between the two, the
    // repeated request finds its way.
    let accepted = |invitation: &Invitation| {
        let (_, next) = invitation.accept(caller.id, now)?;
        Ok(Some(next).filter(|next| next != invitation))
    };
    let invitation = app.db.amend_noted(invitation, now, &note, accepted).await?;
    let (new, _) = invitation.value.accept(caller.id, now)?;
    if let Put::Existed(known) = app.db.put_new(new.clone(), Vec::new(), now).await? {
        app.db.amend(known, now, |known| known.invited(&new)).await?;
    }
    Ok(Json(view(invitation.value, now)))
}

/// Decline an invitation to my address.
#[utoipa::path(post, path = "/v1/invitations/{id}/decline", tag = "identity", security(("bearer" = [])),
    params(("id" = InvitationId, Path, description = "The invitation")),
    responses((status = 200, description = "Declined", body = View)))]
pub async fn decline(
    State(app): State<App>,
    caller: Account,
    Path(id): Path<InvitationId>,
) -> Result<Json<View>> {
    let now = app.clock.now();
    let invitation = of_mine(&app, caller, id).await?;
    let invitation = close(&app, caller, invitation, now).await?;
    Ok(Json(view(invitation.value, now)))
}
