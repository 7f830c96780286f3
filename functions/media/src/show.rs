//! Pictures, as everybody sees them.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use tessera::app::App;
use tessera::error::{Code, Result};
use tessera::http::{Path, cacheable_as};
use tessera::id::PictureId;
use tessera::media::{Form, SIZES, store};

/// How long caches may keep one, seconds: so long a removed picture may still be seen. What is at an address never changes.
const KEPT_SECONDS: u32 = 3600;

/// See a picture: its longest edge has 320, 960 or 1920 pixels, or fewer if it never had as many.
#[utoipa::path(get, path = "/v1/pictures/{id}/{size}", tag = "media",
    params(("id" = PictureId, Path, description = "The picture"),
        ("size" = u32, Path, description = "320, 960 or 1920")),
    responses((status = 200, description = "The picture",
        content((Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"))), (status = 304, description = "As before")))]
pub async fn show(
    State(app): State<App>,
    headers: HeaderMap,
    Path((id, size)): Path<(PictureId, u32)>,
) -> Result<Response> {
    if !SIZES.contains(&size) {
        return Code::NotFound.refuse();
    }
    let bytes = app.blobs.get(&store::drawing(id, size)).await?.ok_or(Code::NotFound)?;
    let form = Form::of(&bytes).ok_or_else(|| Code::Internal.caused_by("a drawing is no picture"))?;
    let name = format!("inline; filename=\"{id}-{size}.{}\"", form.extension());
    let picture = cacheable_as(&headers, form.media_type(), bytes, KEPT_SECONDS);
    Ok(([(header::CONTENT_DISPOSITION, name)], picture).into_response())
}
