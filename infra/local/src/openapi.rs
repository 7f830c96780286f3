//! The API description of everything, made from the code of all capabilities.

use http::Method;
use std::collections::HashMap;
use tessera::error::Code;
use tessera::http::{IdempotencyKey, Problem};
use tessera::limit::routes::{EXTENSION, Routes};
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, Schema};
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
    ("media", "Pictures."),
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
        media::routes(),
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
    // Headers are not looked through for schemas.
    more.push((IdempotencyKey::name().into_owned(), IdempotencyKey::schema()));
    components.schemas.extend(more);
    let closed: HashMap<_, _> = components.schemas.iter().filter_map(opened).collect();
    components.schemas.values_mut().for_each(|schema| open(schema, &closed));
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

/// A schema that refuses all fields that it does not know, as it is where there are others.
fn opened((name, schema): (&String, &RefOr<Schema>)) -> Option<(String, RefOr<Schema>)> {
    let RefOr::T(Schema::Object(object)) = schema else { return None };
    let closed =
        matches!(object.additional_properties.as_deref(), Some(AdditionalProperties::FreeForm(false)));
    let mut object = object.clone();
    object.additional_properties = None;
    closed.then(|| (Ref::from_schema_name(name).ref_location, object.into()))
}

/// What is written flat into another object has the fields of both; a reference to a schema that refuses all fields but its own would
/// say that nothing is both (JSON Schema, core §10.3.2.3). So its fields are listed where it is flattened.
fn open(schema: &mut RefOr<Schema>, closed: &HashMap<String, RefOr<Schema>>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => object.properties.values_mut().for_each(|field| open(field, closed)),
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                open(items, closed);
            }
        }
        Schema::OneOf(one) => one.items.iter_mut().for_each(|item| open(item, closed)),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(|item| open(item, closed)),
        Schema::AllOf(all) => {
            for item in &mut all.items {
                match item {
                    RefOr::Ref(name) => {
                        if let Some(object) = closed.get(&name.ref_location) {
                            *item = object.clone();
                        }
                    }
                    RefOr::T(_) => open(item, closed),
                }
            }
        }
        _ => {}
    }
}

/// The description as it is committed.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn text() -> Result<String, serde_json::Error> {
    Ok(description().to_pretty_json()? + "\n")
}
