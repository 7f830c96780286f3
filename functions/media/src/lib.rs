//! The media capability: pictures of an organisation.
//!
//! | file | use cases |
//! |---|---|
//! | [`pictures`] | ask for a place to upload to, say that it was, see what came of it, remove |
//! | [`show`] | the picture, to everybody |
//! | [`worker`] | look at what was uploaded, forget what was removed |
//! | [`draw`] | a picture read with bounds, and drawn anew in every size |
//!
//! Rules and the kept form are in [`tessera::media`].

pub mod draw;
pub mod pictures;
pub mod show;
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
        .routes(routes!(pictures::of_organisation, pictures::ask))
        .routes(routes!(pictures::one, pictures::remove))
        .routes(routes!(pictures::sent))
        .routes(routes!(show::show))
}

/// The function that the gateway calls.
///
/// # Errors
/// None today; settings are read here when there are any.
pub fn router(app: App) -> Result<axum::Router, ConfigError> {
    Ok(tessera::http::serve(routes(), app))
}

/// The function that queues call.
///
/// # Errors
/// None today; settings are read here when there are any.
pub fn worker(app: App) -> Result<Worker, ConfigError> {
    Ok(Worker::of(app, worker::work, worker::tick))
}
