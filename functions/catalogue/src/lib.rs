//! The catalogue capability: what is sold, and what is left of it.
//!
//! | file | use cases |
//! |---|---|
//! | [`event`] | create, edit, publish, cancel, list an organisation's |
//! | [`offer`] | add, edit |
//! | [`seating`] | venues and their sections; the seat maps of events, as data and as a picture |
//! | [`room`] | an event's waiting room: switch on, change, switch off |
//! | [`vendor`] | services and packages, their free times, comparison |
//! | [`retail`] | stores, products, shelves, delivery windows |
//! | [`pricing`] | taxes and fees of an organisation |
//! | [`coupons`] | coupons and batches of them |
//! | [`browse`] | the public's list and detail, with live availability |
//!
//! Rules and the kept form are in [`tessera::catalogue`].

pub mod browse;
pub mod coupons;
pub mod event;
pub mod offer;
pub mod pricing;
pub mod retail;
pub mod room;
pub mod seating;
pub mod vendor;

use tessera::app::App;
use tessera::config::ConfigError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
#[must_use]
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(browse::list, event::create))
        .routes(routes!(browse::detail, event::edit))
        .routes(routes!(event::publish))
        .routes(routes!(event::cancel))
        .routes(routes!(event::own))
        .routes(routes!(event::organisers_view))
        .routes(routes!(room::open, room::close))
        .routes(routes!(offer::add))
        .routes(routes!(offer::edit))
        .routes(routes!(vendor::list, vendor::found))
        .routes(routes!(vendor::compare))
        .routes(routes!(vendor::one, vendor::rewrite))
        .routes(routes!(vendor::times))
        .routes(routes!(vendor::add_package))
        .routes(routes!(vendor::rewrite_package))
        .routes(routes!(vendor::own))
        .routes(routes!(vendor::vendors_view))
        .routes(routes!(retail::list, retail::found))
        .routes(routes!(retail::one, retail::rewrite))
        .routes(routes!(retail::own))
        .routes(routes!(retail::owners_view))
        .routes(routes!(retail::add_product))
        .routes(routes!(retail::product, retail::rewrite_product))
        .routes(routes!(retail::products))
        .routes(routes!(retail::sold))
        .routes(routes!(retail::shelve))
        .routes(routes!(retail::windows))
        .routes(routes!(pricing::read, pricing::write))
        .routes(routes!(coupons::own, coupons::make))
        .routes(routes!(coupons::one, coupons::rewrite))
        .routes(routes!(coupons::codes))
        .routes(routes!(seating::found))
        .routes(routes!(seating::venue))
        .routes(routes!(seating::venues))
        .routes(routes!(seating::draw))
        .routes(routes!(seating::map))
        .routes(routes!(seating::image))
}

/// The function that the gateway calls.
///
/// # Errors
/// None today; settings are read here when there are any.
pub fn router(app: App) -> Result<axum::Router, ConfigError> {
    Ok(tessera::http::serve(routes(), app))
}
