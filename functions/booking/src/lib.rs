//! The booking capability: everything that can run out is taken, kept and given back here.
//!
//! | file | use cases |
//! |---|---|
//! | [`hold`] | take a hold, list my own, let go |
//! | [`basket`] | what a hold is asked for: offers, seats |
//! | [`deal`] | what a basket costs, with coupons |
//! | [`goods`] | hold products from a store's stock, and room in a delivery window |
//! | [`movements`] | what comes into stock, and what leaves it |
//! | [`times`] | hold times of a service, move a booking to another time |
//! | [`seats`] | block and open seats |
//! | [`bookings`] | mine, an event's, one, cancel |
//! | [`waitlist`] | join, see one's place, accept, leave; how it goes |
//! | [`applications`] | apply, decide one or many, accept, withdraw |
//! | [`pools`] | resize a pool, prove its books |
//! | [`room`] | a waiting room: look, join, be admitted, and the page to wait on |
//! | [`worker`] | open pools, decide holds, free places, cancel an event's bookings; the scheduled `tidy` and `prove` |
//!
//! The engine is in [`tessera::pool`] (lanes) and [`tessera::booking`] (registers and the flow over both).

pub mod applications;
pub mod basket;
pub mod bookings;
pub mod deal;
pub mod goods;
pub mod hold;
pub mod movements;
pub mod pools;
pub mod room;
pub mod seats;
pub mod times;
pub mod waitlist;
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
        .routes(routes!(hold::own, hold::take))
        .routes(routes!(hold::release))
        .routes(routes!(bookings::mine))
        .routes(routes!(bookings::one))
        .routes(routes!(bookings::cancellation))
        .routes(routes!(bookings::cancel))
        .routes(routes!(times::reschedule))
        .routes(routes!(bookings::of_event))
        .routes(routes!(bookings::of_service))
        .routes(routes!(bookings::of_store))
        .routes(routes!(movements::of_pool, movements::bring))
        .routes(routes!(pools::resize))
        .routes(routes!(pools::prove))
        .routes(routes!(seats::change))
        .routes(routes!(waitlist::of_event, waitlist::join))
        .routes(routes!(waitlist::summary))
        .routes(routes!(waitlist::mine))
        .routes(routes!(waitlist::one))
        .routes(routes!(waitlist::accept))
        .routes(routes!(waitlist::leave))
        .routes(routes!(applications::mine, applications::apply))
        .routes(routes!(applications::one))
        .routes(routes!(applications::accept))
        .routes(routes!(applications::withdraw))
        .routes(routes!(applications::of_event))
        .routes(routes!(applications::decide))
        .routes(routes!(room::look))
        .routes(routes!(room::join))
        .routes(routes!(room::admit))
        .routes(routes!(room::page))
}

/// The function that the gateway calls.
///
/// # Errors
/// Names the setting that is malformed.
pub fn router(app: App) -> Result<axum::Router, ConfigError> {
    let length = hold::Length(app.config.number("HOLD_SECONDS", 600)?);
    Ok(tessera::http::serve(routes().layer(axum::Extension(length)), app))
}

/// The function that queues and schedules call.
///
/// # Errors
/// None today.
pub fn worker(app: App) -> Result<Worker, ConfigError> {
    Ok(Worker::of(app, worker::work, worker::tick))
}
