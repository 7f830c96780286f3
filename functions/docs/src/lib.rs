//! The API description, for machines at `/openapi.json` and for people at `/docs`.
//!
//! The description is made from the code of all capabilities by `cargo run -- openapi` and committed beside this file,
//! so that a change of the contract shows in review; a test compares the two. The page is rendered here, from the
//! description and the error catalogue: no script, nothing fetched from elsewhere.

use axum::http::header;
use axum::response::{Html, IntoResponse};
use minijinja::{Environment, Value, context};
use std::sync::LazyLock;
use tessera::app::App;
use tessera::config::ConfigError;
use tessera::error::{Code, Result};
use tessera::http::inline_source;
use tessera::limit::Class;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The committed description.
pub const DESCRIPTION: &str = include_str!("../openapi.json");

/// The routes.
#[must_use]
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(description)).routes(routes!(page))
}

/// The function that the gateway calls.
///
/// # Errors
/// None today.
pub fn router(app: App) -> Result<axum::Router, ConfigError> {
    Ok(tessera::http::serve(routes(), app))
}

/// The OpenAPI description of everything.
#[utoipa::path(get, path = "/openapi.json", tag = "docs", extensions(("x-limit" = json!(Class::Open))),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object)))]
pub async fn description() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=300")],
        DESCRIPTION,
    )
}

/// The page for people.
#[utoipa::path(get, path = "/docs", tag = "docs", extensions(("x-limit" = json!(Class::Open))),
    responses((status = 200, description = "The API, readable", content_type = "text/html", body = String)))]
pub async fn page() -> Result<impl IntoResponse> {
    let page = PAGE.as_ref().map_err(|error| Code::Internal.caused_by(error.clone()))?;
    let headers =
        [(header::CONTENT_SECURITY_POLICY, POLICY.as_str()), (header::CACHE_CONTROL, "public, max-age=300")];
    Ok((headers, Html(page.as_str())))
}

/// Its own style, by its hash, and nothing else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = TEMPLATE.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>"));
    format!(
        "default-src 'none'; style-src {}; base-uri 'none'; object-src 'none'; form-action 'none'; frame-ancestors 'none'",
        inline_source(style.map_or("", |(style, _)| style))
    )
});

const TEMPLATE: &str = include_str!("page.html");

static PAGE: LazyLock<Result<String, String>> = LazyLock::new(|| render().map_err(|error| error.to_string()));

/// Follows a `#/components/schemas/Name` reference to the name.
fn referred(schema: &Value) -> Option<String> {
    let reference = schema.get_attr("$ref").ok()?;
    Some(reference.as_str()?.rsplit('/').next()?.to_owned())
}

/// What a schema is, in a word or two: a link to its own entry, or its type.
fn kind(schema: &Value) -> Value {
    let attribute = |name: &str| schema.get_attr(name).ok().filter(|value| !value.is_undefined());
    if let Some(name) = referred(schema) {
        return Value::from_safe_string(format!("<a href=\"#schema-{name}\">{name}</a>"));
    }
    if let Some(items) = attribute("items") {
        return Value::from_safe_string(format!("list of {}", kind(&items)));
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(options) = attribute(choice).and_then(|options| options.try_iter().ok()) {
            let kinds: Vec<String> = options.map(|option| kind(&option).to_string()).collect();
            return Value::from_safe_string(kinds.join(" or "));
        }
    }
    if let Some(kinds) = attribute("type") {
        let format = attribute("format").map(|format| format!(" ({format})")).unwrap_or_default();
        let words = match kinds.try_iter() {
            Ok(each) if kinds.as_str().is_none() => {
                each.map(|kind| kind.to_string()).collect::<Vec<_>>().join(" or ")
            }
            _ => kinds.to_string(),
        };
        return Value::from(format!("{words}{format}"));
    }
    Value::from("any")
}

fn render() -> Result<String, minijinja::Error> {
    let mut templates = Environment::new();
    templates.add_filter("kind", |schema: Value| kind(&schema));
    templates.add_template("page.html", TEMPLATE)?;
    let description: serde_json::Value = serde_json::from_str(DESCRIPTION)
        .map_err(|error| minijinja::Error::new(minijinja::ErrorKind::BadSerialization, error.to_string()))?;
    let errors: Vec<_> = Code::ALL
        .iter()
        .map(|code| context! { code => code.code(), status => code.status(), title => code.title(), advice => code.advice(), retry => code.retryable() })
        .collect();
    templates
        .get_template("page.html")?
        .render(context! { api => Value::from(minijinja::value::Serde(&description)), errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_every_operation_and_every_code() {
        let page = render().unwrap();
        for code in Code::ALL {
            assert!(page.contains(&format!("id=\"{}\"", code.code())), "{}", code.code());
        }
        let description: serde_json::Value = serde_json::from_str(DESCRIPTION).unwrap();
        for (path, _) in description["paths"].as_object().unwrap() {
            assert!(page.contains(&path.replace('/', "&#x2f;")) || page.contains(path.as_str()), "{path}");
        }
    }
}
