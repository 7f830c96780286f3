//! Devices: scanners and tills, paired by a code that somebody types in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::{Account, Actor, Agent};
use tessera::db::Stored;
use tessera::error::{Code, Result};
use tessera::http::{IdempotencyKey, Input, Path};
use tessera::id::{AccountId, DeviceId, OrganisationId};
use tessera::identity::audit::{Act, Note};
use tessera::identity::store::Pairing;
use tessera::identity::thing::{Kind, State as Stands};
use tessera::identity::{Action, Credential, Device, Rights, store};
use tessera::limit::Class;
use tessera::sign::{Purpose, random};
use tessera::text::{SPOKEN, Text, hex, typed_code};
use tessera::used;

/// A device that is wanted.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeDevice {
    /// What people call it.
    #[schema(example = "North gate 1")]
    label: Text<1, 80>,
    /// As what: gate, cashier, at an event, a gate, or in a store.
    rights: Rights,
}

/// Where a device stands.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DeviceStatus)]
pub enum Status {
    /// Its code waits to be typed in.
    Waiting,
    /// It works.
    Paired,
    /// It works no more.
    Removed,
}

/// A device.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Device)]
pub struct View {
    /// The id.
    id: DeviceId,
    /// For whom.
    organisation: OrganisationId,
    /// What people call it.
    label: Text<1, 80>,
    /// As what.
    rights: Rights,
    /// Where it stands.
    status: Status,
    /// Since when it is known.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// Who made it.
    by: AccountId,
    /// When it was last used, to the quarter of an hour; absent if never, or if this is no list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used: Option<Timestamp>,
}

fn view(device: Device) -> View {
    let Device { id, organisation, label, rights, state, created, by, .. } = device;
    let status = match state {
        Stands::Waiting { .. } => Status::Waiting,
        Stands::Paired { .. } => Status::Paired,
        Stands::Removed { .. } => Status::Removed,
    };
    View { id, organisation, label, rights, status, created, by, last_used: None }
}

/// A device and the code that pairs it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ToPair {
    /// The device.
    #[serde(flatten)]
    device: View,
    /// Type it in at the device: good once.
    #[schema(example = "7Q2K-94MX")]
    code: String,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

fn hash(app: &App, code: &str) -> String {
    let tag = app.sealer.tag(Purpose::PairingCode, typed_code(code).as_bytes());
    hex(tag)
}

/// A fresh code for a device: 40 random bits, for a quarter of an hour, by which it is found and which it alone confirms.
async fn fresh(app: &App, by: Account, device: Stored<Device>, now: Timestamp) -> Result<ToPair> {
    let letters: String =
        random::<8>()?.iter().map(|byte| char::from(SPOKEN[usize::from(byte % 32)])).collect();
    let (code, hash) = (format!("{}-{}", &letters[..4], &letters[4..]), hash(app, &letters));
    let Device { organisation, id, .. } = device.value;
    let note =
        Note::new(organisation, Actor::Account(by.id), Act::DeviceCodeMade, id).with(&device.value.rights);
    let rule = |device: &Device| device.await_pairing(hash.clone(), now).map(Some);
    let device = app.db.amend_noted(device, now, &note, rule).await?.value;
    let until = match device.state {
        Stands::Waiting { until, .. } => until,
        Stands::Paired { .. } | Stands::Removed { .. } => return Code::WrongState.refuse(),
    };
    // Until this is written the code leads nowhere; should the function die before, there is a next one.
    app.db.put_new(Pairing { code: hash, device: device.id, until }, Vec::new(), now).await?;
    Ok(ToPair { device: view(device), code, until })
}

/// Prepare a device: the code pairs it. A repeated request has a new code, and the one before is void.
#[utoipa::path(post, path = "/v1/organisations/{id}/devices", tag = "identity", security(("bearer" = [])), request_body = MakeDevice,
    params(("id" = OrganisationId, Path, description = "The organisation"), ("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats make no second device")),
    responses((status = 201, description = "Waits to be paired", body = ToPair)))]
pub async fn make(
    State(app): State<App>,
    caller: Account,
    Path(organisation): Path<OrganisationId>,
    key: IdempotencyKey,
    input: Input<MakeDevice>,
) -> Result<(StatusCode, Json<ToPair>)> {
    let (MakeDevice { label, rights }, now) = (input.value, app.clock.now());
    app.authorize(&Agent::Account(caller), Action::ManageDevices, organisation).await?;
    let name = Credential::name(&["device", &organisation.to_string(), &key.0]);
    let new = Device {
        id: DeviceId::derive(&[&name]),
        organisation,
        label,
        name,
        rights: rights.of_a_device()?,
        // No code leads here before the first one is made.
        state: Stands::Waiting { code: String::new(), until: now },
        created: now,
        by: caller.id,
        print: input.print.clone(),
    };
    let device = app.db.put_new(new, Vec::new(), now).await?;
    let device = device.by_request(&input.print, |device| &device.print)?;
    match device.value.state {
        Stands::Waiting { .. } => Ok((StatusCode::CREATED, Json(fresh(&app, caller, device, now).await?))),
        Stands::Paired { .. } | Stands::Removed { .. } => {
            Err(Code::AlreadyExists.because("it is paired: ask for a new code to pair it anew"))
        }
    }
}

async fn managed(
    app: &App,
    caller: Account,
    organisation: OrganisationId,
    id: DeviceId,
) -> Result<Stored<Device>> {
    app.authorize(&Agent::Account(caller), Action::ManageDevices, organisation).await?;
    let device = store::device(&app.db, id).await?.filter(|device| device.value.organisation == organisation);
    device.ok_or_else(|| Code::NotFound.into())
}

/// A new code for a device: to pair it anew. What it had is void at once.
#[utoipa::path(post, path = "/v1/organisations/{id}/devices/{device}/code", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), ("device" = DeviceId, Path, description = "The device")),
    responses((status = 200, description = "Waits to be paired", body = ToPair)))]
pub async fn new_code(
    State(app): State<App>,
    caller: Account,
    Path((organisation, id)): Path<(OrganisationId, DeviceId)>,
) -> Result<Json<ToPair>> {
    let device = managed(&app, caller, organisation, id).await?;
    Ok(Json(fresh(&app, caller, device, app.clock.now()).await?))
}

/// An organisation's devices.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Devices {
    items: Vec<View>,
}

/// List the devices of an organisation, the oldest first.
#[utoipa::path(get, path = "/v1/organisations/{id}/devices", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation")),
    responses((status = 200, description = "Its devices", body = Devices)))]
pub async fn list(
    State(app): State<App>,
    caller: Account,
    Path(id): Path<OrganisationId>,
) -> Result<Json<Devices>> {
    app.authorize(&Agent::Account(caller), Action::ManageDevices, id).await?;
    let devices = store::devices(&app.db, id).await?;
    let uses = used::last(&app.db, devices.iter().map(|device| Actor::Device(device.value.id))).await?;
    let last = |id| uses.get(&Actor::Device(id)).copied();
    let listed =
        devices.into_iter().map(|device| View { last_used: last(device.value.id), ..view(device.value) });
    Ok(Json(Devices { items: listed.collect() }))
}

/// Remove a device, lost or not. It is refused from its next request on.
#[utoipa::path(delete, path = "/v1/organisations/{id}/devices/{device}", tag = "identity", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), ("device" = DeviceId, Path, description = "The device")),
    responses((status = 204, description = "Removed")))]
pub async fn remove(
    State(app): State<App>,
    caller: Account,
    Path((organisation, id)): Path<(OrganisationId, DeviceId)>,
) -> Result<StatusCode> {
    let (device, now) = (managed(&app, caller, organisation, id).await?, app.clock.now());
    let note = Note::new(organisation, Actor::Account(caller.id), Act::DeviceRemoved, id);
    app.db.amend_noted(device, now, &note, |device| Ok(device.remove(now))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The code that was typed in.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// As shown; dashes and small letters do not matter.
    #[schema(example = "7Q2K-94MX")]
    code: Text<8, 20>,
}

/// A paired device.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Paired {
    /// The device.
    #[serde(flatten)]
    device: View,
    /// Send it as `Authorization: Bearer …`. It is shown this once.
    credential: String,
}

/// Pair this device with the code that its organisation shows. A code is good once; if the answer is lost, ask for a new
/// one.
#[utoipa::path(post, path = "/v1/devices/pair", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), request_body = Pair,
    responses((status = 200, description = "Paired", body = Paired)))]
pub async fn pair(State(app): State<App>, input: Input<Pair>) -> Result<Json<Paired>> {
    let now = app.clock.now();
    let hash = hash(&app, input.value.code.as_str());
    let device = store::waiting(&app.db, &hash).await?;
    let credential = Credential::new(Kind::Device, &device.value.name, &random()?)?;
    let Device { organisation, id, .. } = device.value;
    let note = Note::new(organisation, Actor::Device(id), Act::DevicePaired, id);
    let rule = |device: &Device| device.pair(&hash, credential.hash(), now).map(Some);
    let device = app.db.amend_noted(device, now, &note, rule).await?.value;
    Ok(Json(Paired { device: view(device), credential: credential.text }))
}
