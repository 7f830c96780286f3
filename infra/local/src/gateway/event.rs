//! The event a function gets: API Gateway's HTTP API, payload format 2.0.

use super::Target;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Version};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What a request does not say about itself.
pub(super) struct Surroundings<'a> {
    pub(super) from: SocketAddr,
    /// Decoded.
    pub(super) path: &'a str,
    pub(super) target: &'a Target,
    pub(super) at: Timestamp,
    pub(super) id: &'a str,
    pub(super) account: &'a str,
    pub(super) port: u16,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'a str,
    raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookies: Option<Vec<String>>,
    headers: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    path_parameters: &'a BTreeMap<String, String>,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    account_id: &'a str,
    api_id: &'static str,
    domain_name: &'a str,
    domain_prefix: &'a str,
    http: Http<'a>,
    request_id: &'a str,
    route_key: &'a str,
    stage: &'static str,
    time: String,
    time_epoch: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    protocol: &'static str,
    source_ip: String,
    user_agent: &'a str,
}

/// The path as API Gateway hands it on: decoded, and cut where a decoded `?` or `#` would begin something else.
pub(super) fn decode(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let end = decoded.find(['?', '#']).unwrap_or(decoded.len());
    decoded[..end].to_owned()
}

pub(super) fn build(parts: &Parts, body: &[u8], around: &Surroundings<'_>) -> serde_json::Result<Vec<u8>> {
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let host = text(HOST);
    let domain = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let query = parts.uri.query().unwrap_or_default();
    let (encoded, length) = (!is_text(&parts.headers), body.len());
    let (body, is_base64_encoded) = match std::str::from_utf8(body) {
        Ok("") => (None, false),
        Ok(text) if !encoded => (Some(text.to_owned()), false),
        _ => (Some(STANDARD.encode(body)), true),
    };
    let key = around.target.key.as_str();
    let event = Event {
        version: "2.0",
        route_key: key,
        raw_path: around.path,
        raw_query_string: query,
        cookies: cookies(&parts.headers),
        headers: headers(&parts.headers, around, length),
        query_string_parameters: parameters(query),
        path_parameters: &around.target.parameters,
        request_context: RequestContext {
            account_id: around.account,
            api_id: "local",
            domain_name: domain,
            domain_prefix: domain.split('.').next().unwrap_or_default(),
            http: Http {
                method: parts.method.as_str(),
                path: around.path,
                protocol: match parts.version {
                    Version::HTTP_10 => "HTTP/1.0",
                    Version::HTTP_2 => "HTTP/2.0",
                    _ => "HTTP/1.1",
                },
                source_ip: around.from.ip().to_canonical().to_string(),
                user_agent: text(USER_AGENT),
            },
            request_id: around.id,
            route_key: key,
            stage: "$default",
            time: around.at.to_zoned(TimeZone::UTC).strftime("%d/%b/%Y:%H:%M:%S %z").to_string(),
            time_epoch: around.at.as_millisecond(),
        },
        body,
        is_base64_encoded,
    };
    serde_json::to_vec(&event)
}

/// The types that API Gateway hands on as text; everything else, forms included, is base64.
fn is_text(headers: &HeaderMap) -> bool {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return false;
    }
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else { return false };
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || matches!(kind.as_str(), "application/json" | "application/javascript" | "application/xml")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
}

fn cookies(headers: &HeaderMap) -> Option<Vec<String>> {
    let all: Vec<String> = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| {
            String::from_utf8_lossy(line.as_bytes()).split(';').map(str::to_owned).collect::<Vec<_>>()
        })
        .map(|cookie| cookie.trim().to_owned())
        .filter(|cookie| !cookie.is_empty())
        .collect();
    (!all.is_empty()).then_some(all)
}

/// Lower-cased, several values joined by commas, with what API Gateway adds.
fn headers<'a>(
    headers: &'a HeaderMap,
    around: &Surroundings<'_>,
    length: usize,
) -> BTreeMap<&'a str, String> {
    let mut joined: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers {
        // Hop by hop, or kept elsewhere.
        if matches!(
            name.as_str(),
            "cookie" | "connection" | "keep-alive" | "transfer-encoding" | "te" | "upgrade"
        ) {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        match joined.entry(name.as_str()) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(value.into_owned());
            }
            std::collections::btree_map::Entry::Occupied(mut known) => {
                known.get_mut().push(',');
                known.get_mut().push_str(&value);
            }
        }
    }
    let ip = around.from.ip().to_canonical().to_string();
    let forwarded = match joined.get("x-forwarded-for") {
        Some(before) => format!("{before}, {ip}"),
        None => ip,
    };
    // Nobody reaches the service without one, and a function's URL is made of it.
    joined.entry("host").or_insert_with(|| format!("127.0.0.1:{}", around.port));
    joined.insert("x-forwarded-for", forwarded);
    joined.insert("x-forwarded-port", around.port.to_string());
    joined.insert("x-forwarded-proto", "http".to_owned());
    if !joined.contains_key("x-amzn-trace-id") {
        let random: String = around.id.chars().filter(|c| *c != '-').take(24).collect();
        joined.insert("x-amzn-trace-id", format!("Root=1-{:08x}-{random}", around.at.as_second()));
    }
    joined.entry("content-length").or_insert_with(|| length.to_string());
    joined
}

/// Decoded, several values joined by commas.
fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        joined
            .entry(name.into_owned())
            .and_modify(|known| {
                known.push(',');
                known.push_str(&value);
            })
            .or_insert_with(|| value.clone().into_owned());
    }
    joined
}
