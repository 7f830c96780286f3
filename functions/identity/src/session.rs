//! Sessions: one per device, refreshed by rotation, listed and ended by their owner.

use crate::guess;
use crate::owner::Owner;
use crate::password::Password;
use crate::second_factor::Challenge;
use crate::token::{Issuer, Presented, Tokens};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tessera::app::App;
use tessera::db::{Replace, Stored};
use tessera::error::{Code, Result};
use tessera::http::{Input, Path};
use tessera::id::SessionId;
use tessera::identity::audit::{Act, Note};
use tessera::identity::{Account, Refresh, Session, store};
use tessera::limit::Class;
use tessera::sign::random;
use tessera::text::{Email, Text, hex};

/// Credentials.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    email: Email,
    password: Password,
    /// What the device calls itself; taken from User-Agent if nothing is said.
    #[serde(default)]
    device: Option<Text<1, 200>>,
    /// A refresh token that this device had, however old: its tries are counted apart from those of others.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    known_device: Option<Text<0, 200>>,
}

/// Sign in. Unknown, unverified and wrong answer alike, after the same work; so does every address after too many tries.
#[utoipa::path(post, path = "/v1/sessions", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), request_body = SignIn,
    responses((status = 201, description = "Signed in", body = Tokens)))]
pub async fn sign_in(
    State(app): State<App>,
    Extension(issuer): Extension<Arc<Issuer>>,
    headers: HeaderMap,
    input: Input<SignIn>,
) -> Result<(StatusCode, Json<Tokens>)> {
    let (SignIn { email, password, device, known_device }, now) = (input.value, app.clock.now());
    let account = store::account_of(&app.db, &email).await?;
    let known = account.as_ref().map(|account| &account.value);
    let at = guess::at_sign_in(&app, &email, known, known_device.as_ref().map(Text::as_str)).await?;
    let counted = guess::count(&app, &at, now).await;
    // Whatever it is that keeps somebody out, the work is done, and done once.
    let account = account.filter(|account| account.value.is_active() && counted.is_ok());
    let hash = account.as_ref().and_then(|account| account.value.hash());
    let right = password.clone().matches(&app, hash).await?;
    let counted = counted?;
    let account = account.filter(|_| right).ok_or(Code::SignInFailed)?;
    guess::right(&app, counted, now).await?;
    let account = up_to_date(&app, account, password, now).await?;
    let device = device_name(device, &headers);
    if account.second_factor.is_on() {
        return Challenge::refuse(&app, &account, device, now);
    }
    begin(&app, &issuer, &account, device, "password", now).await
}

/// What a device calls itself, or its software does.
#[must_use]
pub fn device_name(said: Option<Text<1, 200>>, headers: &HeaderMap) -> String {
    let agent = || headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let said = said.map(|device| device.to_string());
    said.or_else(|| agent().map(|agent| agent.chars().take(200).collect())).unwrap_or_default()
}

/// The account with its password hashed as it would be today.
async fn up_to_date(
    app: &App,
    account: Stored<Account>,
    password: Password,
    now: Timestamp,
) -> Result<Account> {
    let old = account.value.password.clone();
    if !Password::is_outdated(&old) {
        return Ok(account.value);
    }
    let hash = password.hash(app).await?;
    let renew = |known: &Account| {
        Ok((known.password == old).then(|| Account { password: hash.clone(), ..known.clone() }))
    };
    Ok(app.db.amend(account, now, renew).await?.value)
}

/// Begins a session on a device; `how` its owner signed in is written down.
///
/// # Errors
/// The store's own.
pub async fn begin(
    app: &App,
    issuer: &Issuer,
    account: &Account,
    device: String,
    how: &str,
    now: Timestamp,
) -> Result<(StatusCode, Json<Tokens>)> {
    let session = Session {
        id: SessionId::new(now),
        account: account.id,
        device,
        salt: hex(random::<16>()?),
        generation: 1,
        rotated: now,
        created: now,
        ended: None,
        era: account.era,
    };
    let note = Note::own(account.id, Act::SignedIn, session.id).with(how);
    let session = app.db.put_new(session, vec![note.into()], now).await?.stored().value;
    Ok((StatusCode::CREATED, Json(issuer.tokens(app, &session, now)?)))
}

/// A refresh token.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    #[schema(max_length = 200)]
    refresh_token: String,
}

/// Get the next pair of tokens. Using a token again later than 20 seconds after it was replaced ends the session.
#[utoipa::path(post, path = "/v1/sessions/refresh", tag = "identity", extensions(("x-limit" = json!(Class::Write))), request_body = Renew,
    responses((status = 200, description = "The next pair", body = Tokens)))]
pub async fn refresh(
    State(app): State<App>,
    Extension(issuer): Extension<Arc<Issuer>>,
    input: Input<Renew>,
) -> Result<Json<Tokens>> {
    let now = app.clock.now();
    let presented = Presented::parse(&input.value.refresh_token)?;
    let session = store::session(&app.db, presented.session).await?.ok_or(Code::SessionEnded)?;
    if !presented.is_genuine(&app, &session.value) {
        return Code::SessionEnded.refuse();
    }
    let account = store::account(&app.db, session.value.account).await?;
    if !session.value.is_live(&account.value, now) {
        return Code::SessionEnded.refuse();
    }
    let session = rotate(&app, session, presented.generation, now).await?;
    Ok(Json(issuer.tokens(&app, &session, now)?))
}

/// Two requests with the same token may run at once: the loser of the write looks again and gets the same successor.
async fn rotate(app: &App, mut session: Stored<Session>, generation: u32, now: Timestamp) -> Result<Session> {
    for _ in 0..4 {
        let (next, good) = match session.value.refresh(generation, now)? {
            Refresh::Same => return Ok(session.value),
            Refresh::Rotate(next) => (next, true),
            Refresh::Revoke(next) => (next, false),
        };
        let note = Note { by: None, ..Note::own(next.account, Act::TokenReused, next.id) };
        let told = if good { Vec::new() } else { vec![note.into()] };
        session = match app.db.replace(&session, next, told, now).await? {
            Replace::Done(stored) if good => return Ok(stored.value),
            Replace::Done(stored) => {
                tracing::warn!(session = %stored.value.id, "a replaced refresh token was used again: the session is ended");
                return Code::SessionEnded.refuse();
            }
            Replace::Changed(Some(current)) => current,
            Replace::Changed(None) => return Code::SessionEnded.refuse(),
        };
    }
    Code::Busy.refuse()
}

/// A session, as its owner sees it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Session)]
pub struct View {
    /// The session.
    id: SessionId,
    /// What the device calls itself.
    device: String,
    /// When the person signed in.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// When its token was last renewed.
    #[schema(value_type = String, format = DateTime)]
    renewed: Timestamp,
    /// Whether it is the one that asks.
    current: bool,
}

/// The caller's sessions.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Sessions {
    items: Vec<View>,
}

/// List my sessions.
#[utoipa::path(get, path = "/v1/sessions", tag = "identity", security(("bearer" = [])),
    responses((status = 200, description = "The sessions that have not ended", body = Sessions)))]
pub async fn list(State(app): State<App>, owner: Owner) -> Result<Json<Sessions>> {
    let now = app.clock.now();
    let sessions = store::sessions(&app.db, owner.id).await?;
    let live = sessions.into_iter().map(|session| session.value);
    let live = live.filter(|session| session.is_live(&owner.account.value, now));
    let view = |session: Session| View {
        id: session.id,
        device: session.device,
        created: session.created,
        renewed: session.rotated,
        current: session.id == owner.session.value.id,
    };
    Ok(Json(Sessions { items: live.map(view).collect() }))
}

/// Sign out everywhere else: every session ends but the one that asks.
#[utoipa::path(delete, path = "/v1/sessions", tag = "identity", security(("bearer" = [])),
    responses((status = 204, description = "Signed out")))]
pub async fn sign_out_elsewhere(State(app): State<App>, owner: Owner) -> Result<StatusCode> {
    let (now, here) = (app.clock.now(), &owner.session.value);
    let rule = |account: &Account| {
        owner.lasts(account, now)?;
        Ok(Some(account.clone().in_new_era(Some(here.id))))
    };
    let note = Note::own(owner.id, Act::SignedOutElsewhere, here.id);
    app.db.amend_noted(owner.account.clone(), now, &note, rule).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sign out this device.
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "identity", security(("bearer" = [])),
    responses((status = 204, description = "Signed out")))]
pub async fn sign_out_here(State(app): State<App>, owner: Owner) -> Result<StatusCode> {
    end(&app, &owner, owner.session.value.id).await
}

/// Sign out one of my devices.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "identity", security(("bearer" = [])),
    params(("id" = SessionId, Path, description = "The session")), responses((status = 204, description = "Signed out")))]
pub async fn sign_out(State(app): State<App>, owner: Owner, Path(id): Path<SessionId>) -> Result<StatusCode> {
    end(&app, &owner, id).await
}

async fn end(app: &App, owner: &Owner, id: SessionId) -> Result<StatusCode> {
    let now = app.clock.now();
    let session = store::session(&app.db, id).await?.filter(|session| session.value.account == owner.id);
    let session = session.ok_or(Code::NotFound)?;
    let note = Note::own(owner.id, Act::SignedOut, id);
    app.db.amend_noted(session, now, &note, |session| Ok(session.sign_out(now))).await?;
    Ok(StatusCode::NO_CONTENT)
}
