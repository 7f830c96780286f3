//! The order capability: from the signed quote to the tickets.
//!
//! | file | use cases |
//! |---|---|
//! | [`orders`] | place, read, list, give up |
//! | [`invoicing`] | how a seller's invoices look |
//! | [`invoices`] | an order's invoices and credit notes, a seller's, their PDFs, a sheet of them |
//! | [`worker`] | what happened elsewhere, noted in the order; invoices and credit notes issued |
//! | [`document`] | an invoice on paper; only the worker carries the fonts |
//!
//! Rules and the kept form are in [`tessera::order`].

pub mod document;
pub mod invoices;
pub mod invoicing;
pub mod orders;
pub mod worker;

use tessera::app::App;
use tessera::config::ConfigError;
use tessera::queue::Worker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
#[must_use]
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(orders::mine, orders::place))
        .routes(routes!(orders::one))
        .routes(routes!(orders::give_up))
        .routes(routes!(orders::of_event))
        .routes(routes!(orders::of_service))
        .routes(routes!(orders::of_store))
        .routes(routes!(invoicing::read, invoicing::write))
        .routes(routes!(invoices::one))
        .routes(routes!(invoices::of_order))
        .routes(routes!(invoices::of_organisation))
        .routes(routes!(invoices::sheet))
}

/// The function that the gateway calls.
///
/// # Errors
/// None today.
pub fn router(app: App) -> Result<axum::Router, ConfigError> {
    Ok(tessera::http::serve(routes(), app))
}

/// The function that queues call.
///
/// # Errors
/// None today.
pub fn worker(app: App) -> Result<Worker, ConfigError> {
    Ok(Worker::of(app, worker::work, worker::tick))
}
