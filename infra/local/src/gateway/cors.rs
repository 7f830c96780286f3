//! CORS as API Gateway does it where the template configures it: it answers preflights, and its headers replace the
//! function's own.

use crate::template::Cors;
use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The value of `Access-Control-Allow-Origin` for a caller, if it may call.
fn allowed(cors: &Cors, origin: &HeaderValue) -> Option<HeaderValue> {
    let origin_text = origin.to_str().ok()?;
    if cors.origins.iter().any(|one| one == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let scheme = |pattern: &str| {
        // `https://*` and `http://*` allow any host of that scheme.
        pattern
            .strip_suffix('*')
            .is_some_and(|start| start.ends_with("://") && origin_text.starts_with(start))
    };
    cors.origins.iter().any(|one| one == origin_text || scheme(one)).then(|| origin.clone())
}

fn put(headers: &mut HeaderMap, name: HeaderName, values: &[String]) {
    if let (false, Ok(value)) = (values.is_empty(), HeaderValue::from_str(&values.join(","))) {
        headers.insert(name, value);
    }
}

pub(super) fn preflight(cors: &Cors, origin: &HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let Some(allowed) = allowed(cors, origin) else { return response };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    put(headers, header::ACCESS_CONTROL_ALLOW_METHODS, &cors.methods);
    put(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, &cors.headers);
    if let Some(seconds) = cors.max_age {
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds));
    }
    credentials(cors, headers);
    response
}

pub(super) fn decorate(cors: &Cors, origin: &HeaderValue, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    let own: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    for name in own {
        headers.remove(name);
    }
    let Some(allowed) = allowed(cors, origin) else { return };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    put(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose);
    credentials(cors, headers);
}

fn credentials(cors: &Cors, headers: &mut HeaderMap) {
    if cors.credentials {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}
