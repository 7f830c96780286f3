//! An organisation's pictures: asked for, uploaded past us, and what came of it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tessera::app::App;
use tessera::auth::Agent;
use tessera::blobs::Announced;
use tessera::db::Stored;
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, Input, Params, Path};
use tessera::id::{OrganisationId, PictureId};
use tessera::identity::Action;
use tessera::limit::Class;
use tessera::media::{
    Drawn, Fault, File, MAX_BYTES, Picture, SIZES, State as PictureState, UPLOAD_MINUTES, store,
};
use tessera::page::{Page, Paging};
use tessera::text::Text;

/// A picture that is going to be uploaded.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskPicture {
    /// What is on it, for those who do not see it.
    #[schema(example = "The hall, lit in blue, seen from the balcony")]
    description: Text<1, 300>,
    /// Exactly what is going to be uploaded.
    file: File,
}

/// Where a picture stands.
#[derive(Clone, Copy, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PictureStatus)]
pub enum Status {
    /// It can be uploaded.
    Waiting,
    /// It was uploaded, and is being looked at.
    Checking,
    /// Everybody can see it.
    Ready,
    /// It is not shown.
    Refused,
}

/// How to upload a picture: one request, of exactly this.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Upload {
    /// The method.
    #[schema(example = "PUT")]
    method: &'static str,
    /// The address; whoever has it can upload.
    url: String,
    /// The headers it needs, besides the length that every client sends.
    headers: BTreeMap<String, String>,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// A picture in one size.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Image {
    /// Pixels.
    width: u32,
    /// Pixels.
    height: u32,
    /// Where everybody can see it, at this API.
    #[schema(example = "/v1/pictures/pic_01jz8x2k3m4n5p6q7r8s9tabcd/960")]
    path: String,
}

/// A picture.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Picture)]
pub struct View {
    /// The id.
    id: PictureId,
    /// Whose it is.
    organisation: OrganisationId,
    /// Where it stands.
    status: Status,
    /// What is on it.
    description: Text<1, 300>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// How to upload it, in answer to whoever asks for a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Upload>,
    /// Why it is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
    /// What everybody can see, the smallest first.
    images: Vec<Image>,
}

fn view(picture: &Picture) -> Option<View> {
    let (status, fault) = match picture.state {
        PictureState::Waiting => (Status::Waiting, None),
        PictureState::Sent { .. } => (Status::Checking, None),
        PictureState::Ready { .. } => (Status::Ready, None),
        PictureState::Refused { fault, .. } => (Status::Refused, Some(fault)),
        PictureState::Removed { .. } => return None,
    };
    let Picture { id, organisation, description, created, .. } = picture.clone();
    let image = |drawn: Drawn, size: u32| {
        let (width, height) = drawn.within(size);
        Image { width, height, path: format!("/v1/pictures/{id}/{size}") }
    };
    let images = picture.drawn().into_iter().flat_map(|drawn| SIZES.map(|size| image(drawn, size))).collect();
    Some(View { id, organisation, status, description, created, upload: None, fault, images })
}

fn shown(picture: &Picture) -> Result<Json<View>> {
    view(picture).map(Json).ok_or_else(|| Code::NotFound.into())
}

/// Ask for a place to upload a picture to. It takes one file, of exactly the size, type and digest that are said here, once, within 15
/// minutes; then say that it was sent. The same request again gives another address until something was.
#[utoipa::path(post, path = "/v1/organisations/{id}/pictures", tag = "media", security(("bearer" = [])), request_body = AskPicture,
    extensions(("x-limit" = json!(Class::Upload))),
    params(("id" = OrganisationId, Path, description = "The organisation"),
        ("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "It can be uploaded", body = View)))]
pub async fn ask(
    State(app): State<App>,
    caller: Agent,
    Path(organisation): Path<OrganisationId>,
    key: IdempotencyKey,
    input: Input<AskPicture>,
) -> Result<(StatusCode, Json<View>)> {
    let (AskPicture { description, file }, now) = (input.value, app.clock.now());
    app.authorize(&caller, Action::ManageEvents, organisation).await?;
    if !(1..=MAX_BYTES).contains(&file.bytes) {
        return Err(Refusal::invalid("/file/bytes", format!("must be from 1 to {MAX_BYTES}")));
    }
    let id = PictureId::derive(&[&organisation.to_string(), &key.0]);
    let (state, print) = (PictureState::Waiting, input.print.clone());
    let new = Picture { id, organisation, description, file, state, created: now, print };
    let picture =
        app.db.put_new(new, Vec::new(), now).await?.by_request(&input.print, |known| &known.print)?.value;
    let mut answer = shown(&picture)?;
    if picture.is_awaited(now) {
        answer.upload = Some(upload(&app, &picture, now).await?);
    }
    Ok((StatusCode::CREATED, answer))
}

async fn upload(app: &App, picture: &Picture, now: Timestamp) -> Result<Upload> {
    let File { content_type, bytes, sha256 } = &picture.file;
    let announced =
        Announced { content_type: content_type.media_type(), bytes: *bytes, sha256: sha256.as_str() };
    let lasts = SignedDuration::from_mins(UPLOAD_MINUTES);
    let (url, headers) =
        app.blobs.admit(&store::upload(picture.id), &announced, lasts.unsigned_abs()).await?;
    Ok(Upload { method: "PUT", url, headers, until: now + lasts })
}

async fn managed(app: &App, caller: &Agent, id: PictureId) -> Result<Stored<Picture>> {
    let picture = store::picture(&app.db, id).await?;
    app.authorize(caller, Action::ManageEvents, &picture.value).await?;
    Ok(picture)
}

/// Say that a picture was uploaded. It is looked at, and ready moments later. Saying it again changes nothing.
#[utoipa::path(post, path = "/v1/pictures/{id}/sent", tag = "media", security(("bearer" = [])),
    extensions(("x-limit" = json!(Class::Upload))),
    params(("id" = PictureId, Path, description = "The picture")),
    responses((status = 200, description = "It is being looked at, or was", body = View)))]
pub async fn sent(State(app): State<App>, caller: Agent, Path(id): Path<PictureId>) -> Result<Json<View>> {
    let (picture, now) = (managed(&app, &caller, id).await?, app.clock.now());
    let waits = matches!(picture.value.state, PictureState::Waiting);
    if waits && !app.blobs.has(&store::upload(id)).await? {
        return Err(Code::WrongState.because("nothing was uploaded"));
    }
    shown(&app.db.change(picture, now, |picture| picture.send(now)).await?.value)
}

/// Read where a picture of mine stands.
#[utoipa::path(get, path = "/v1/pictures/{id}", tag = "media", security(("bearer" = [])),
    params(("id" = PictureId, Path, description = "The picture")),
    responses((status = 200, description = "Where it stands", body = View)))]
pub async fn one(State(app): State<App>, caller: Agent, Path(id): Path<PictureId>) -> Result<Json<View>> {
    shown(&managed(&app, &caller, id).await?.value)
}

/// List an organisation's pictures, the newest first.
#[utoipa::path(get, path = "/v1/organisations/{id}/pictures", tag = "media", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Paging),
    responses((status = 200, description = "A page of pictures", body = Page<View>)))]
pub async fn of_organisation(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<View>>> {
    app.authorize(&caller, Action::ManageEvents, id).await?;
    let list = format!("pictures of {id}");
    Ok(Json(app.page(&list, store::of_organisation(id), &paging, |picture| Ok(view(picture))).await?))
}

/// Remove a picture. Nobody sees it any more, once caches have forgotten it: an hour at most.
#[utoipa::path(delete, path = "/v1/pictures/{id}", tag = "media", security(("bearer" = [])),
    params(("id" = PictureId, Path, description = "The picture")),
    responses((status = 204, description = "Removed")))]
pub async fn remove(State(app): State<App>, caller: Agent, Path(id): Path<PictureId>) -> Result<StatusCode> {
    let (picture, now) = (managed(&app, &caller, id).await?, app.clock.now());
    app.db.change(picture, now, |picture| Ok(picture.remove(now))).await?;
    Ok(StatusCode::NO_CONTENT)
}
