//! The payment capability: money is authorised first and taken only once the places are secured.
//!
//! | file | use cases |
//! |---|---|
//! | [`payments`] | open a payment for an order, read it |
//! | [`refunds`] | give some of it back, ask again, see how far an event's refunds are |
//! | [`by_hand`] | transfers and cash: how they are paid, what is waited for, arrived, is owed |
//! | [`gift`] | gift cards: made, looked at, used |
//! | [`statements`] | bank statements, in which transfers are found |
//! | [`books`] | the ledger, revenue |
//! | [`webhook`] | what the provider reports |
//! | [`reports`] | what providers report, taken in |
//! | [`reconcile`] | what they say happened, beside our payments and books |
//! | [`worker`] | capture, void or refund when the booking's fate is known |
//! | `waiting` | what a provider could not be asked for, until it can |
//! | [`providers`] | the providers of this deployment |
//! | [`stripe`], [`razorpay`] | their adapters; `call` is what these share, `breaker` keeps them from asking who does not answer |
//!
//! Rules and the kept form are in [`tessera::payment`].

pub mod books;
mod breaker;
pub mod by_hand;
mod call;
pub mod gift;
pub mod payments;
pub mod providers;
pub mod razorpay;
pub mod reconcile;
pub mod refunds;
pub mod reports;
pub mod statements;
pub mod stripe;
mod waiting;
pub mod webhook;
pub mod worker;

use axum::extract::DefaultBodyLimit;
use providers::Providers;
use std::sync::Arc;
use tessera::app::App;
use tessera::config::ConfigError;
use tessera::queue::Worker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
#[must_use]
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(payments::of_order, payments::open))
        .routes(routes!(payments::one))
        .routes(routes!(refunds::make))
        .routes(routes!(refunds::retry))
        .routes(routes!(refunds::of_event))
        .routes(routes!(gift::make, gift::own))
        .routes(routes!(gift::one, gift::rewrite))
        .routes(routes!(gift::balance))
        .routes(routes!(by_hand::read, by_hand::write))
        .routes(routes!(by_hand::tell))
        .routes(routes!(by_hand::refund_made))
        .routes(routes!(by_hand::list))
        .routes(routes!(by_hand::find))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(statements::read))
                .layer(DefaultBodyLimit::max(statements::LARGEST)),
        )
        .routes(routes!(books::ledger))
        .routes(routes!(books::earned))
        .routes(routes!(books::earned_csv))
        .routes(routes!(payments::verify))
        .routes(routes!(webhook::stripe))
        .routes(routes!(webhook::razorpay))
}

/// The function that the gateway calls.
///
/// # Errors
/// Names the setting that is missing or malformed.
pub fn router(app: App) -> Result<axum::Router, ConfigError> {
    let providers = Arc::new(Providers::new(&app)?);
    Ok(tessera::http::serve(routes().layer(axum::Extension(providers)), app))
}

/// The function that queues call.
///
/// # Errors
/// Names the setting that is missing or malformed.
pub fn worker(app: App) -> Result<Worker, ConfigError> {
    let providers = Arc::new(Providers::new(&app)?);
    Ok(worker::worker(app, providers))
}
