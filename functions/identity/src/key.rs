//! API keys: what a team's servers call with.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::{Account, Actor, Agent};
use tessera::db::Put;
use tessera::error::{Code, Result};
use tessera::http::{IdempotencyKey, Input, Path};
use tessera::id::{AccountId, KeyId, OrganisationId};
use tessera::identity::audit::{Act, Note};
use tessera::identity::thing::Kind;
use tessera::identity::{Action, ApiKey, Credential, Rights, store};
use tessera::sign::random;
use tessera::text::Text;
use tessera::used;

/// A key that is wanted.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeKey {
    /// What people call it.
    #[schema(example = "Web shop")]
    label: Text<1, 80>,
    /// As what.
    rights: Rights,
    /// Until when: a year from now if nothing is said, two at most.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
}

/// A key, without its secret.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ApiKey)]
pub struct View {
    /// The id.
    id: KeyId,
    /// What people call it.
    label: Text<1, 80>,
    /// How it begins.
    #[schema(example = "tsk_b7Xk20Qp")]
    begins: String,
    /// As what.
    rights: Rights,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    expires: Timestamp,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// Who made it.
    by: AccountId,
    /// Since when it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked: Option<Timestamp>,
    /// When it was last used, to the quarter of an hour; absent if never, or if this is no list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used: Option<Timestamp>,
}

fn view(key: ApiKey) -> View {
    let ApiKey { id, label, shown, rights, expires, created, by, revoked, .. } = key;
    View { id, label, begins: shown, rights, expires, created, by, revoked, last_used: None }
}

/// A new key.
#[derive(Serialize, utoipa::ToSchema)]
pub struct MadeKey {
    /// The key.
    #[serde(flatten)]
    key: View,
    /// Send it as `Authorization: Bearer …`. It is shown this once: a repeated request is answered without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// Make an API key. What it calls, it calls for the organisation, as what its rights say.
#[utoipa::path(post, path = "/v1/organisations/{id}/api-keys", tag = "identity", security(("bearer" = [])), request_body = MakeKey,
    params(("id" = OrganisationId, Path, description = "The organisation"), ("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats make no second key")),
    responses((status = 201, description = "Made", body = MadeKey)))]
pub async fn make(
    State(app): State<App>,
    caller: Account,
    Path(organisation): Path<OrganisationId>,
    key: IdempotencyKey,
    input: Input<MakeKey>,
) -> Result<(StatusCode, Json<MadeKey>)> {
    let (MakeKey { label, rights, expires }, now) = (input.value, app.clock.now());
    app.authorize(&Agent::Account(caller), Action::ManageMembers, organisation).await?;
    let name = Credential::name(&["key", &organisation.to_string(), &key.0]);
    let credential = Credential::new(Kind::Key, &name, &random()?)?;
    let new = ApiKey {
        id: KeyId::derive(&[&name]),
        organisation,
        label,
        shown: credential.shown(),
        hash: credential.hash(),
        rights: rights.shared()?,
        expires: ApiKey::end(expires, now)?,
        created: now,
        by: caller.id,
        revoked: None,
        print: input.print.clone(),
    };
    let noted = Note::new(organisation, Actor::Account(caller.id), Act::KeyMade, new.id).with(&new.rights);
    let put = app.db.put_new(new, vec![noted.into()], now).await?;
    let secret = match &put {
        Put::Done(_) => Some(credential.text),
        Put::Existed(_) => None,
    };
    let made = put.by_request(&input.print, |key| &key.print)?.value;
    Ok((StatusCode::CREATED, Json(MadeKey { key: view(made), secret })))
}

/// An organisation's keys.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Keys {
    items: Vec<View>,
}

/// List the API keys of an organisation, the oldest first.
#[utoipa::path(get, path = "/v1/organisations/{id}/api-keys", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation")),
    responses((status = 200, description = "Its keys", body = Keys)))]
pub async fn list(
    State(app): State<App>,
    caller: Account,
    Path(id): Path<OrganisationId>,
) -> Result<Json<Keys>> {
    app.authorize(&Agent::Account(caller), Action::ManageMembers, id).await?;
    let keys = store::keys(&app.db, id).await?;
    let uses = used::last(&app.db, keys.iter().map(|key| Actor::Key(key.value.id))).await?;
    let last = |id| uses.get(&Actor::Key(id)).copied();
    let listed = keys.into_iter().map(|key| View { last_used: last(key.value.id), ..view(key.value) });
    Ok(Json(Keys { items: listed.collect() }))
}

/// Revoke an API key. It is refused from its next request on.
#[utoipa::path(delete, path = "/v1/organisations/{id}/api-keys/{key}", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), ("key" = KeyId, Path, description = "The key")),
    responses((status = 204, description = "Revoked")))]
pub async fn revoke(
    State(app): State<App>,
    caller: Account,
    Path((organisation, id)): Path<(OrganisationId, KeyId)>,
) -> Result<StatusCode> {
    let now = app.clock.now();
    app.authorize(&Agent::Account(caller), Action::ManageMembers, organisation).await?;
    let key = store::key(&app.db, id).await?.filter(|key| key.value.organisation == organisation);
    let note = Note::new(organisation, Actor::Account(caller.id), Act::KeyRevoked, id);
    let rule = |key: &ApiKey| Ok(key.revoke(now));
    app.db.amend_noted(key.ok_or(Code::NotFound)?, now, &note, rule).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who a key or a device is.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Credential)]
pub struct Own {
    /// The key or device.
    id: Actor,
    /// For whom it calls.
    organisation: OrganisationId,
    /// As what.
    rights: Rights,
}

/// Who am I, for keys and devices.
#[utoipa::path(get, path = "/v1/credential", tag = "identity", security(("bearer" = [])),
    responses((status = 200, description = "The caller's key or device", body = Own)))]
pub async fn own(caller: Agent) -> Result<Json<Own>> {
    match caller {
        Agent::Thing(thing) => {
            Ok(Json(Own { id: thing.actor, organisation: thing.organisation, rights: thing.rights.clone() }))
        }
        Agent::Account(_) => Err(Code::WrongState.because("people read /v1/me")),
    }
}
