//! The API description of everything, made from the code of all capabilities.

use http::Method;
use tessera::error::Code;
use tessera::http::Problem;
use tessera::limit::routes::{EXTENSION, Routes};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

const TAGS: &[(&str, &str)] = &[
    ("identity", "Accounts, sessions, organisations."),
    ("catalogue", "Events and offers."),
    ("booking", "Holds and bookings: everything that can run out."),
    ("order", "From the quote to the tickets."),
    ("payment", "Authorised first, taken once the places are secured."),
    ("entry", "Tickets and gates."),
    ("docs", "This description."),
];

/// The description. Every operation can also answer with a problem document; which codes there are is in its schema.
#[must_use]
pub fn description() -> OpenApi {
    let all = [
        identity::routes(),
        catalogue::routes(),
        booking::routes(),
        order::routes(),
        payment::routes(),
        entry::routes(),
        docs::routes(),
    ];
    let mut api = all.into_iter().reduce(|all, one| all.merge(one)).unwrap_or_default().into_openapi();
    api.info = InfoBuilder::new()
        .title("Tessera")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Booking and selling: holds that never oversell, orders, payments, tickets, gates. What each request is counted as is in `x-limit`; how much of that is allowed, in the answer's `RateLimit-Policy`.",
        ))
        .license(Some(utoipa::openapi::LicenseBuilder::new().name("Apache-2.0").build()))
        .build();
    api.tags = Some(
        TAGS.iter()
            .map(|(name, text)| TagBuilder::new().name(*name).description(Some(*text)).build())
            .collect(),
    );
    let components = api.components.get_or_insert_default();
    let mut more = Vec::new();
    Problem::schemas(&mut more);
    more.push(("Problem".to_owned(), Problem::schema()));
    components.schemas.extend(more);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let codes: Vec<_> = Code::ALL.iter().map(|code| format!("{} {}", code.status(), code.code())).collect();
    let problem = ResponseBuilder::new()
        .description(format!("A problem document. Codes: {}.", codes.join(", ")))
        .content(
            "application/problem+json",
            ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build(),
        )
        .build();
    components.responses.insert("Problem".to_owned(), RefOr::T(problem));
    let limits = Routes::of(&api);
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in [
            (Method::GET, &mut item.get),
            (Method::POST, &mut item.post),
            (Method::PUT, &mut item.put),
            (Method::DELETE, &mut item.delete),
        ] {
            let (Some(operation), Some(limit)) = (operation, limits.find(&method, path)) else { continue };
            operation
                .responses
                .responses
                .insert("default".to_owned(), RefOr::Ref(Ref::from_response_name("Problem")));
            operation.extensions = Some([(EXTENSION, limit.class.word())].into_iter().collect());
        }
    }
    api
}

/// The description as it is committed.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn text() -> Result<String, serde_json::Error> {
    Ok(description().to_pretty_json()? + "\n")
}
