//! Sessions: one per device, refreshed by rotation, listed and ended by their owner.

use crate::password::Password;
use crate::token::{Issuer, Presented, Tokens};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tessera::app::App;
use tessera::auth::Account;
use tessera::db::{Replace, Stored};
use tessera::error::{Code, Result};
use tessera::http::{Input, Path};
use tessera::id::SessionId;
use tessera::identity::{Refresh, Session, store};
use tessera::sign::random;
use tessera::text::{Email, Text};

/// Credentials.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    email: Email,
    password: Password,
    /// What the device calls itself; taken from User-Agent if nothing is said.
    #[serde(default)]
    device: Option<Text<1, 200>>,
}

/// Sign in. Unknown, unverified and wrong answer alike, after the same work.
#[utoipa::path(post, path = "/v1/sessions", tag = "identity", request_body = SignIn,
    responses((status = 201, description = "Signed in", body = Tokens)))]
pub async fn sign_in(
    State(app): State<App>,
    Extension(issuer): Extension<Arc<Issuer>>,
    headers: HeaderMap,
    input: Input<SignIn>,
) -> Result<(StatusCode, Json<Tokens>)> {
    let (SignIn { email, password, device }, now) = (input.value, app.clock.now());
    let account = store::account_of(&app.db, &email)
        .await?
        .map(|account| account.value)
        .filter(|account| account.is_active());
    let right = password.matches(account.as_ref().map(|account| account.password.clone())).await?;
    let account = account.filter(|_| right).ok_or(Code::SignInFailed)?;
    let agent = || {
        headers
            .get(header::USER_AGENT)
            .and_then(|agent| agent.to_str().ok())
            .map(|agent| agent.chars().take(200).collect())
    };
    let session = Session {
        id: SessionId::new(now),
        account: account.id,
        device: device.map(|device| device.to_string()).or_else(agent).unwrap_or_default(),
        salt: random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect(),
        generation: 1,
        rotated: now,
        created: now,
        ended: None,
    };
    let session = app.db.put_new(session, Vec::new(), now).await?.stored().value;
    Ok((StatusCode::CREATED, Json(issuer.tokens(&app, &session, now)?)))
}

/// A refresh token.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    #[schema(max_length = 200)]
    refresh_token: String,
}

/// Get the next pair of tokens. Using a token again later than 20 seconds after it was replaced ends the session.
#[utoipa::path(post, path = "/v1/sessions/refresh", tag = "identity", request_body = Renew,
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
        session = match app.db.replace(&session, next, Vec::new(), now).await? {
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
pub async fn list(State(app): State<App>, caller: Account) -> Result<Json<Sessions>> {
    let now = app.clock.now();
    let sessions = store::sessions(&app.db, caller.id).await?;
    let live = sessions.into_iter().map(|session| session.value).filter(|session| !session.is_over(now));
    let view = |session: Session| View {
        id: session.id,
        device: session.device,
        created: session.created,
        renewed: session.rotated,
        current: session.id == caller.session,
    };
    Ok(Json(Sessions { items: live.map(view).collect() }))
}

/// Sign out this device. Its access token stays good for at most 15 minutes.
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "identity", security(("bearer" = [])),
    responses((status = 204, description = "Signed out")))]
pub async fn sign_out_here(State(app): State<App>, caller: Account) -> Result<StatusCode> {
    end(&app, caller, caller.session).await
}

/// Sign out one of my devices.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "identity", security(("bearer" = [])),
    params(("id" = SessionId, Path, description = "The session")), responses((status = 204, description = "Signed out")))]
pub async fn sign_out(
    State(app): State<App>,
    caller: Account,
    Path(id): Path<SessionId>,
) -> Result<StatusCode> {
    end(&app, caller, id).await
}

async fn end(app: &App, caller: Account, id: SessionId) -> Result<StatusCode> {
    let now = app.clock.now();
    let session = store::session(&app.db, id).await?.filter(|session| session.value.account == caller.id);
    let session = session.ok_or(Code::NotFound)?;
    app.db.amend(session, now, |session| Ok(session.sign_out(now))).await?;
    Ok(StatusCode::NO_CONTENT)
}
