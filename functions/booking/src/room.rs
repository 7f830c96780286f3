//! The waiting room: a place in the line, how far the line has come, an admission, and a page to wait on.

use crate::hold::{Length, guest, guest_token};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::{Extension, Json};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};
use tessera::app::App;
use tessera::auth::MaybeBuyer;
use tessera::catalogue::Visibility;
use tessera::catalogue::store::Programme;
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, Input, Params, Path, cacheable, inline_source};
use tessera::id::EventId;
use tessera::limit::Class;
use tessera::room::{Admission, Fate, Line, Phase, Place, Room, Supply, WaitingRoom, store};
use tessera::sign::Purpose;

/// The code of a private event.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// The code of a private event.
    code: Option<String>,
}

/// Where a waiting room stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitingRoomStatus {
    /// Nobody can join yet.
    Closed,
    /// Who joins now takes part in the draw.
    Gathering,
    /// The draw is over; people are admitted one after the other.
    Running,
    /// Everything is sold and paid. Should something come back, it goes on.
    SoldOut,
    /// The sale is over.
    Ended,
    /// It is switched off: holds need no admission.
    Off,
}

/// How far a line has come: the same answer for everybody.
#[derive(Serialize, utoipa::ToSchema)]
pub struct WaitingRoomView {
    /// The event.
    event: EventId,
    /// Where it stands.
    status: WaitingRoomStatus,
    /// The how manieth line of this event. Places of another one are good for nothing.
    line: u32,
    /// Every position below is admitted.
    pointer: u64,
    /// How far the pointer went lately, positions a minute. A guess at the wait: the distance divided by it.
    pace: u64,
    /// The rules.
    #[serde(flatten)]
    rules: WaitingRoom,
    /// The time here: clocks of clients differ.
    #[schema(value_type = String, format = DateTime)]
    now: Timestamp,
}

/// The event, if the caller may see it, and it has or had a waiting room.
async fn visible(app: &App, id: EventId, code: Option<&str>) -> Result<(Arc<Programme>, Room)> {
    let programme = app.programme(id).await?;
    if !programme.event.visible_to(code) {
        return Code::NotFound.refuse();
    }
    let room = programme.event.room.clone().ok_or(Code::NotFound)?;
    Ok((programme, room))
}

fn status(room: &Room, line: &Line, over: bool, now: Timestamp) -> WaitingRoomStatus {
    match (room.on, over, room.rules.phase(now), line.supply) {
        (false, ..) => WaitingRoomStatus::Off,
        (true, true, ..) => WaitingRoomStatus::Ended,
        (true, false, Phase::Early, _) => WaitingRoomStatus::Closed,
        (true, false, Phase::Gathering, _) => WaitingRoomStatus::Gathering,
        (true, false, Phase::Running, Supply::Some) => WaitingRoomStatus::Running,
        (true, false, Phase::Running, Supply::SoldOut) => WaitingRoomStatus::SoldOut,
    }
}

/// Look how far the line has come. The answer is the same for everybody and may be kept for a second; nobody has to say who
/// they are. Compare `pointer` with the position you were given when you joined.
#[utoipa::path(get, path = "/v1/events/{id}/waiting-room", tag = "booking",
    params(("id" = EventId, Path, description = "The event"), Access),
    responses((status = 200, description = "How far it has come", body = WaitingRoomView), (status = 304, description = "As before")))]
pub async fn look(
    State(app): State<App>,
    Extension(length): Extension<Length>,
    headers: HeaderMap,
    Path(id): Path<EventId>,
    Params(access): Params<Access>,
) -> Result<Response> {
    let now = app.clock.now();
    let (programme, room) = visible(&app, id, access.code.as_deref()).await?;
    let line = if room.on {
        store::line(&app, &programme, &room, length.duration(), now).await?
    } else {
        Line::new(id, &room, now)
    };
    let view = WaitingRoomView {
        event: id,
        status: status(&room, &line, programme.is_over(now)?, now),
        line: room.line,
        pointer: line.pointer,
        pace: line.pace(&room.rules, now),
        rules: room.rules,
        now,
    };
    // An answer that a code opened is not for shared caches.
    let public = programme.event.details.visibility == Visibility::Public;
    let mut response = cacheable(&headers, &view, u32::from(public))?;
    if public {
        let control = HeaderValue::from_static("public, max-age=1, s-maxage=1, stale-while-revalidate=2");
        response.headers_mut().insert(header::CACHE_CONTROL, control);
    }
    Ok(response)
}

/// Who joins.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinLine {
    /// The code of a private event.
    #[serde(default)]
    #[schema(max_length = 64)]
    code: Option<String>,
}

/// A place in a line.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PlaceInLine {
    /// The place, signed: ask for the admission with it. Opaque.
    place: String,
    /// Where it is: admitted once `pointer` is greater. Below 4294967296 it is a lot, otherwise that plus the milliseconds
    /// from the draw to the arrival.
    position: u64,
    /// The how manieth line of this event.
    line: u32,
    /// When the draw is.
    #[schema(value_type = String, format = DateTime)]
    starts: Timestamp,
    /// A guest's credential for everything that follows, valid for a day; only when a guest joins without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    guest_token: Option<String>,
}

/// Join the line. Joining again gives the same place: before the draw it is a lot, and neither coming early nor coming twice
/// changes it. Only when the time of the place is over is there a new one, behind the others. Guests send no credential and
/// get one; their Idempotency-Key must be a UUID.
#[utoipa::path(post, path = "/v1/events/{id}/waiting-room/places", tag = "booking", security(("bearer" = []), ()), request_body = JoinLine,
    params(("id" = EventId, Path, description = "The event"), ("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "In the line", body = PlaceInLine)))]
pub async fn join(
    State(app): State<App>,
    Extension(length): Extension<Length>,
    MaybeBuyer(caller): MaybeBuyer,
    Path(id): Path<EventId>,
    key: IdempotencyKey,
    input: Input<JoinLine>,
) -> Result<(StatusCode, Json<PlaceInLine>)> {
    let now = app.clock.now();
    let buyer = caller.map_or_else(|| guest(&app, &key), Ok)?;
    let (programme, room) = visible(&app, id, input.value.code.as_deref()).await?;
    on(&room)?;
    if programme.is_over(now)? {
        return Code::SaleClosed.refuse();
    }
    room.rules.may_join(buyer, now)?;
    let position = store::join(&app, &programme, &room, buyer, length.duration(), now).await?;
    let place = Place { event: id, line: room.line, buyer, position };
    let joined = PlaceInLine {
        place: app.sealer.seal(Purpose::Place, &place).map_err(|error| Code::Internal.caused_by(error))?,
        position,
        line: room.line,
        starts: room.rules.starts,
        guest_token: guest_token(&app, buyer, caller.is_none())?,
    };
    Ok((StatusCode::CREATED, Json(joined)))
}

fn on(room: &Room) -> Result<()> {
    match room.on {
        true => Ok(()),
        false => Err(Code::WrongState.because("the waiting room is switched off: holds need no admission")),
    }
}

/// Whose turn it is.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PresentPlace {
    /// The place.
    #[schema(max_length = 1000)]
    place: String,
}

/// An admission.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AdmissionView {
    /// The admission, signed: send it with holds. Good for the buyer who joined alone. Opaque.
    admission: String,
    /// Its end.
    #[schema(value_type = String, format = DateTime)]
    expires: Timestamp,
}

/// Be admitted. The place is the proof, so no other credential is asked for. Asking again gives the same end; after it,
/// the place is good for nothing and one joins again.
#[utoipa::path(post, path = "/v1/events/{id}/waiting-room/admissions", tag = "booking", extensions(("x-limit" = json!(Class::Write))), request_body = PresentPlace,
    params(("id" = EventId, Path, description = "The event")),
    responses((status = 200, description = "Admitted", body = AdmissionView)))]
pub async fn admit(
    State(app): State<App>,
    Extension(length): Extension<Length>,
    Path(id): Path<EventId>,
    input: Input<PresentPlace>,
) -> Result<Json<AdmissionView>> {
    let now = app.clock.now();
    let place: Option<Place> = app.sealer.open(Purpose::Place, &input.value.place);
    let place = place
        .filter(|place| place.event == id)
        .ok_or_else(|| Refusal::invalid("/place", "is not a place in this event's line"))?;
    let programme = app.programme(id).await?;
    let room = programme.event.room.as_ref().ok_or(Code::NotFound)?;
    on(room)?;
    room.rules.may_be(place.buyer)?;
    if place.line != room.line {
        return Code::PlaceGone.refuse();
    }
    let line = store::line(&app, &programme, room, length.duration(), now).await?;
    let until = match line.fate(place.position, now) {
        Fate::Admitted { until } => until,
        Fate::Over => return Code::PlaceGone.refuse(),
        Fate::Waiting => {
            let waiting = Refusal::from(Code::NotAdmitted).with("position", place.position);
            return Err(waiting.with("pointer", line.pointer).with("ask_again_after_seconds", 2));
        }
    };
    let admission = Admission { event: id, line: room.line, buyer: place.buyer, until };
    let sealed = app.sealer.seal(Purpose::Admission, &admission);
    Ok(Json(AdmissionView {
        admission: sealed.map_err(|error| Code::Internal.caused_by(error))?,
        expires: until,
    }))
}

const PAGE: &str = include_str!("room.html");

/// The policy of the page: its own script and style, by their hashes, and requests to where it came from.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let inline = |tag: &str| {
        let text =
            PAGE.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")));
        inline_source(text.map_or("", |(text, _)| text))
    };
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; base-uri 'none'; object-src 'none'; form-action 'none'; frame-ancestors 'none'",
        inline("script"),
        inline("style")
    )
});

/// A page on which a browser can wait: it joins, looks how far the line has come, and is admitted. It keeps its place in the
/// browser's session. Where only accounts may join, send people here with `#access_token=…`.
#[utoipa::path(get, path = "/v1/events/{id}/waiting-room/page", tag = "booking", extensions(("x-limit" = json!(Class::Open))),
    params(("id" = EventId, Path, description = "The event"), Access),
    responses((status = 200, description = "The page", content_type = "text/html", body = String)))]
pub async fn page(
    State(app): State<App>,
    Path(id): Path<EventId>,
    Params(access): Params<Access>,
) -> Result<impl IntoResponse> {
    let (programme, _) = visible(&app, id, access.code.as_deref()).await?;
    let control = match programme.event.details.visibility {
        Visibility::Public => "public, max-age=30",
        Visibility::Private { .. } => "no-store",
    };
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY.as_str()), (header::CACHE_CONTROL, control)];
    Ok((headers, Html(PAGE.replace("{{ name }}", &escaped(programme.event.details.name.as_str())))))
}

/// Text as it may stand in HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

impl Length {
    /// As a duration.
    #[must_use]
    pub fn duration(self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_script_and_one_style_and_the_policy_names_them() {
        assert_eq!((PAGE.matches("<script").count(), PAGE.matches("<style").count()), (1, 1));
        let allowed: Vec<_> = POLICY.split("'sha256-").skip(1).map(|rest| rest.split('\'').next()).collect();
        assert_eq!(allowed.len(), 2);
        assert!(allowed.iter().all(|hash| hash.is_some_and(|hash| hash.len() == 44)), "{allowed:?}");
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://") && !PAGE.contains(" style="));
    }

    #[test]
    fn a_name_stays_text() {
        assert_eq!(escaped("<b>\"Sun\" & 'Sea'"), "&lt;b&gt;&quot;Sun&quot; &amp; &#39;Sea&#39;");
    }
}
