//! The HTTP edge: strict input, problem+json (RFC 9457), ETags, request ids, security headers. One place for each.

use crate::app::App;
use crate::auth::Caller;
use crate::error::{Code, Fault, Refusal, Result};
use crate::limit;
use crate::limit::routes::Routes;
use crate::telemetry::{self, Scope};
use crate::text::hex;
use crate::used;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::future::join;
use lambda_http::request::RequestContext;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::IpAddr;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// The largest JSON body, bytes.
pub const BODY_LIMIT: usize = 64 * 1024;
/// The header that carries the request id both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header by which a POST may be repeated.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The routes of one capability, ready to serve: request ids, logs, headers and the problem answers around them.
pub fn serve(routes: OpenApiRouter<App>, app: App) -> axum::Router {
    let (router, api) = routes.split_for_parts();
    let around_all = (app.clone(), Arc::new(Routes::of(&api)));
    router
        .fallback(|| async { Refusal::from(Code::NotFound) })
        .method_not_allowed_fallback(|| async { Refusal::from(Code::MethodNotAllowed) })
        .layer(axum::extract::DefaultBodyLimit::max(BODY_LIMIT))
        .layer(axum::middleware::from_fn_with_state(around_all, around))
        .with_state(app)
}

/// Everything that happens around a handler.
async fn around(
    axum::extract::State((app, routes)): axum::extract::State<(App, Arc<Routes>)>,
    mut request: Request,
    next: Next,
) -> Response {
    // Whoever it is, is found out once. A credential that is no good is refused where one is asked for.
    let caller = app.caller(request.headers()).await.ok().flatten();
    if let Some(caller) = caller.clone() {
        request.extensions_mut().insert(caller);
    }
    let given = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| sane(id));
    let id = given.map_or_else(
        || crate::id::MessageId::new(app.clock.now()).to_string().replacen("msg", "req", 1),
        str::to_owned,
    );
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
    let action: Arc<str> = format!("{} {route}", request.method()).into();
    let scope = Scope { correlation: Some(id.clone()), action: action.clone() };
    // What is no route is counted nowhere: the gateway does not let it through.
    let class = routes.find(request.method(), route).map(|route| route.class(request.uri().query()));
    let (address, who) = (address(&request), caller.as_ref().map(ToString::to_string));
    let answer = async {
        let Some(class) = class else { return next.run(request).await };
        let (notice, admitted) = limit::store::admit(&app, class, caller.as_ref(), address).await;
        let mut response = match admitted {
            Ok(()) => match caller {
                Some(Caller::Thing(thing)) => join(next.run(request), used::note(&app, thing.actor)).await.0,
                Some(Caller::Account(_) | Caller::Guest(_)) | None => next.run(request).await,
            },
            Err(refusal) => refusal.into_response(),
        };
        notice.write(response.headers_mut());
        response
    };
    let mut response = telemetry::within(scope, Box::pin(answer)).await;
    if let Some(meter) = &app.meter {
        meter.ran(&action);
    }
    let (status, who) = (response.status().as_u16(), who.as_deref());
    tracing::info!(request_id = id, action = &*action, who, status, "answered");
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    protect(headers);
    response
}

/// The policy of what is no page: nothing is loaded from it, nothing frames it.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";
/// Of documents that browsers show by means of their own, which a stricter one would forbid them.
const DOCUMENT: &str = "base-uri 'none'; object-src 'none'; frame-ancestors 'none'";
/// Whether a page of another site may have this in it: only what is for everybody.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The headers that every answer has (OWASP ASVS 5.0, V3.4). What a handler has said stays.
fn protect(headers: &mut HeaderMap) {
    let always = [
        (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Answers differ by it where the gateway allows several origins, and caches must know.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let pdf = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/pdf");
    let usual = [
        (header::CONTENT_SECURITY_POLICY, if pdf { DOCUMENT } else { NO_PAGE }),
        (RESOURCE_POLICY, "same-origin"),
        // Private unless a handler said otherwise.
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in usual {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Where a request comes from, as the gateway saw it. Headers would say what their sender likes.
fn address(request: &Request) -> Option<IpAddr> {
    match request.extensions().get::<RequestContext>()? {
        RequestContext::ApiGatewayV2(context) => context.http.source_ip.as_deref()?.parse().ok(),
        // No other gateway calls us.
        _ => None,
    }
}

fn sane(id: &str) -> bool {
    (8..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// The problem document, RFC 9457.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The page that explains the code.
    #[schema(example = "/docs#sold_out")]
    pub r#type: String,
    /// One short sentence for people.
    #[schema(example = "Sold out")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 409)]
    pub status: u16,
    /// About this occurrence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The stable code: compare this.
    #[schema(example = "sold_out")]
    pub code: &'static str,
    /// Name it when you report the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The faults of an invalid input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// Further members, by code.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            let level_is_error = self.code.status() >= 500;
            if level_is_error {
                tracing::error!(code = self.code.code(), %cause, request_id = telemetry::correlation(), "refused");
            } else {
                tracing::info!(code = self.code.code(), %cause, request_id = telemetry::correlation(), "refused");
            }
        }
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let problem = Problem {
            r#type: format!("/docs#{}", self.code.code()),
            title: self.code.title(),
            status: self.code.status(),
            detail: self.detail,
            code: self.code.code(),
            request_id: telemetry::correlation(),
            errors: self.faults,
            extra: self.extra,
        };
        let mut response = (status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.code.retryable() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after.unwrap_or(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A JSON body, strictly read, with the print of its bytes: by it a repeated request is told from another one.
#[derive(Debug, Clone)]
pub struct Input<T> {
    /// The value.
    pub value: T,
    /// 64 bits of SHA-256 over the body as it was sent, in hexadecimal.
    pub print: String,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = Refusal;
    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let json =
            request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(
                |kind| {
                    let essence = kind.split(';').next().unwrap_or_default().trim();
                    essence.eq_ignore_ascii_case("application/json")
                },
            );
        if !json {
            return Code::MediaType.refuse();
        }
        let bytes = Bytes::from_request(request, state).await.map_err(too_large)?;
        Ok(Self { value: parse(&bytes)?, print: print(&bytes) })
    }
}

/// 64 bits of SHA-256, in hexadecimal.
#[must_use]
pub fn print(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    hex(&digest.as_ref()[..8])
}

/// Bytes that could not be read: too many, or the connection broke.
#[must_use]
pub fn too_large(rejection: BytesRejection) -> Refusal {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Code::TooLarge.into()
    } else {
        Code::InvalidInput.caused_by(rejection)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    // What is described as an object would also be read from a list of its fields in their order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Refusal::invalid("", "must be an object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer: String = error
            .path()
            .iter()
            .map(|segment| match segment {
                serde_path_to_error::Segment::Seq { index } => format!("/{index}"),
                serde_path_to_error::Segment::Map { key } => {
                    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
                }
                serde_path_to_error::Segment::Enum { variant } => format!("/{variant}"),
                serde_path_to_error::Segment::Unknown => String::new(),
            })
            .collect();
        Refusal::invalid(pointer, error.into_inner().to_string())
    })?;
    reader.end().map_err(|error| Refusal::invalid("", error.to_string()))?;
    Ok(value)
}

/// Path parameters. What does not parse does not exist.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value)).map_err(|error| Code::NotFound.caused_by(error))
    }
}

/// Query parameters.
#[derive(Debug, Clone)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|axum::extract::Query(value)| Self(value)).map_err(|error| {
            use std::error::Error;
            Refusal::invalid("query", error.source().map_or_else(|| error.to_string(), ToString::to_string))
        })
    }
}

/// The required `Idempotency-Key`, quoted or bare, 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub String);

impl utoipa::PartialSchema for IdempotencyKey {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .min_length(Some(1))
            .max_length(Some(255))
            .pattern(Some("^[!-~]*$"))
            .examples([serde_json::json!("0b9f7f5e-6a53-4d0c-9a39-6a4f5f0f5d61")])
            .into()
    }
}
impl utoipa::ToSchema for IdempotencyKey {}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let fault = |detail: &str| Refusal::invalid("Idempotency-Key", detail);
        let header = parts.headers.get(&IDEMPOTENCY_KEY).ok_or_else(|| fault("this header is required"))?;
        let text = header.to_str().map_err(|_| fault("must be visible ASCII"))?.trim();
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        if bare.is_empty() || bare.len() > 255 || !bare.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(fault("must be 1 to 255 visible ASCII characters"));
        }
        Ok(Self(bare.to_owned()))
    }
}

/// The required `If-Match`: the version that the caller read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(pub u64);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let header = parts.headers.get(header::IF_MATCH).ok_or(Code::VersionRequired)?;
        let version = header
            .to_str()
            .ok()
            .and_then(|text| text.trim().strip_prefix("\"v")?.strip_suffix('"')?.parse().ok());
        // An ETag we never gave cannot be the present one.
        version.map(Self).ok_or_else(|| Code::VersionChanged.into())
    }
}

impl IfMatch {
    /// Whether this is the version that is stored.
    ///
    /// # Errors
    /// `version_changed`.
    pub fn check(self, version: u64) -> Result<()> {
        if self.0 == version { Ok(()) } else { Code::VersionChanged.refuse() }
    }
}

/// The ETag of a version.
#[must_use]
pub fn etag(version: u64) -> [(HeaderName, String); 1] {
    [(header::ETAG, format!("\"v{version}\""))]
}

/// A public answer that caches may keep for `seconds`; 304 when the caller has it already.
///
/// # Errors
/// `internal` if the body cannot be written.
pub fn cacheable(request: &HeaderMap, body: &impl Serialize, seconds: u32) -> Result<Response> {
    let json = serde_json::to_vec(body).map_err(|error| Code::Internal.caused_by(error))?;
    Ok(cacheable_as(request, "application/json", json, seconds))
}

/// As [`cacheable`], of another kind.
#[must_use]
pub fn cacheable_as(request: &HeaderMap, kind: &'static str, body: Vec<u8>, seconds: u32) -> Response {
    let tag = format!("\"{}\"", print(&body));
    let control = format!("public, max-age={seconds}");
    let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known =
        known.flat_map(|list| list.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag);
    let everybody = "cross-origin".to_owned();
    let headers = [(header::ETAG, tag), (header::CACHE_CONTROL, control), (RESOURCE_POLICY, everybody)];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(header::CONTENT_TYPE, kind)], body).into_response()
}

/// The source expression by which a content policy allows exactly this inline script or style (CSP3 §2.3.1).
#[must_use]
pub fn inline_source(text: &str) -> String {
    use base64::Engine;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    format!("'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its parsing is of interest")]
    struct Line {
        quantity: u32,
    }

    #[test]
    fn a_fault_is_pointed_at() {
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code, reason = "only its parsing is of interest")]
        struct Basket {
            lines: Vec<Line>,
        }
        let refusal = parse::<Basket>(br#"{"lines":[{"quantity":1},{"quantity":-1}]}"#).unwrap_err();
        assert_eq!(refusal, Code::InvalidInput);
        assert_eq!(refusal.faults[0].pointer, "/lines/1/quantity");
        assert_eq!(parse::<Line>(b" [1]").unwrap_err(), Code::InvalidInput, "a list is no object");
        let refusal = parse::<Line>(br#"{"quantity":1,"price":0}"#).unwrap_err();
        assert!(refusal.faults[0].detail.contains("unknown field"), "{refusal:?}");
        assert!(parse::<Line>(br#"{"quantity":1} trailing"#).is_err());
    }

    #[tokio::test]
    async fn a_key_may_be_quoted_or_bare_and_must_be_there() {
        async fn key(value: Option<&str>) -> Result<IdempotencyKey> {
            let mut request = axum::http::Request::builder();
            if let Some(value) = value {
                request = request.header("Idempotency-Key", value);
            }
            IdempotencyKey::from_request_parts(&mut request.body(()).unwrap().into_parts().0, &()).await
        }
        assert_eq!(key(Some("\"k-1\"")).await.unwrap(), key(Some("k-1")).await.unwrap());
        assert!(key(None).await.is_err());
        assert!(key(Some("\"\"")).await.is_err());
        assert!(key(Some(&"k".repeat(256))).await.is_err());
    }

    #[test]
    fn a_reader_who_has_the_answer_gets_304() {
        let first = cacheable(&HeaderMap::new(), &"body", 5).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(cacheable(&headers, &"body", 5).unwrap().status(), StatusCode::NOT_MODIFIED);
        assert_eq!(cacheable(&headers, &"other", 5).unwrap().status(), StatusCode::OK);
    }
}
