//! The entry capability: tickets, their documents, and gates.
//!
//! | file | use cases |
//! |---|---|
//! | [`tickets`] | an order's tickets, one ticket, its PDF and calendar file |
//! | [`scan`] | admit or refuse at a gate, the entry log |
//! | [`worker`] | issue tickets for a booking, void them when it is cancelled |
//! | [`document`] | a ticket on paper; only the worker carries the fonts |
//!
//! Rules and the kept form are in [`tessera::entry`].

pub mod document;
pub mod scan;
pub mod tickets;
pub mod worker;

use axum::Extension;
use std::sync::Arc;
use tessera::app::App;
use tessera::config::ConfigError;
use tessera::entry::{Signer, Verifier};
use tessera::queue::Worker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
#[must_use]
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(tickets::of_order))
        .routes(routes!(tickets::one))
        .routes(routes!(scan::scan))
        .routes(routes!(scan::log))
}

/// The function that the gateway calls.
///
/// # Errors
/// Names the setting that is missing or malformed.
pub fn router(app: App) -> Result<axum::Router, ConfigError> {
    let verifier = Arc::new(Verifier::new(&app.config)?);
    let signer = Arc::new(Signer::new(&app.config)?);
    Ok(tessera::http::serve(routes().layer(Extension(verifier)).layer(Extension(signer)), app))
}

/// The function that queues call.
///
/// # Errors
/// Names the setting that is missing or malformed.
pub fn worker(app: App) -> Result<Worker, ConfigError> {
    let signer = Arc::new(Signer::new(&app.config)?);
    Ok(worker::worker(app, signer))
}
