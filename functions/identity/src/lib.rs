//! The identity capability: accounts, sessions, organisations.
//!
//! | file | use cases |
//! |---|---|
//! | [`account`] | sign up, prove the address, ask for a new code, who am I |
//! | [`session`] | sign in, refresh, list, sign out here, there, everywhere else |
//! | [`second_factor`] | switch it on and off, sign in with it |
//! | [`provider`] | sign in with Google or Apple, link and unlink them |
//! | [`reset`] | a new password by mail |
//! | [`credential`], [`address`] | another password, another address |
//! | [`profile`] | name and profile |
//! | [`export`] | all that is known of me, as one archive |
//! | [`erasure`] | the account is erased |
//! | [`organisation`] | found, list, members and their roles |
//! | [`team`] | members with roles in common |
//! | [`invitation`] | invite by address, accept, decline |
//! | [`key`] | API keys |
//! | [`audit`] | audit logs: read and proven |
//! | [`worker`] | audit logs: written; archives: made; those who are erased: forgotten |
//! | [`device`] | scanners and tills, paired by code |
//! | [`token`] | making access and refresh tokens, the published keys |
//! | [`password`] | argon2id |
//! | [`guess`] | how often somebody may try |
//! | [`owner`] | who is signed in, and still is |
//! | [`mailed`] | what is told by mail |
//!
//! Rules and the kept form are in [`tessera::identity`].

pub mod account;
pub mod address;
pub mod audit;
pub mod credential;
pub mod device;
pub mod erasure;
pub mod export;
pub mod guess;
pub mod invitation;
pub mod key;
pub mod mailed;
pub mod organisation;
pub mod owner;
pub mod password;
pub mod profile;
pub mod provider;
pub mod reset;
pub mod second_factor;
pub mod session;
pub mod team;
pub mod token;
pub mod worker;

use axum::Extension;
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
        .routes(routes!(account::sign_up))
        .routes(routes!(account::verify))
        .routes(routes!(account::new_code))
        .routes(routes!(account::me))
        .routes(routes!(profile::rename))
        .routes(routes!(profile::read, profile::write))
        .routes(routes!(export::ask))
        .routes(routes!(export::one))
        .routes(routes!(erasure::erase))
        .routes(routes!(reset::ask))
        .routes(routes!(reset::confirm))
        .routes(routes!(credential::change))
        .routes(routes!(address::ask))
        .routes(routes!(address::confirm))
        .routes(routes!(second_factor::enrol))
        .routes(routes!(second_factor::confirm))
        .routes(routes!(second_factor::switch_off))
        .routes(routes!(session::list, session::sign_in, session::sign_out_elsewhere))
        .routes(routes!(second_factor::sign_in))
        .routes(routes!(provider::nonce))
        .routes(routes!(provider::sign_in))
        .routes(routes!(provider::list, provider::link_mine))
        .routes(routes!(provider::unlink))
        .routes(routes!(session::refresh))
        .routes(routes!(session::sign_out_here))
        .routes(routes!(session::sign_out))
        .routes(routes!(organisation::list, organisation::found))
        .routes(routes!(organisation::members))
        .routes(routes!(organisation::set_member, organisation::remove_member))
        .routes(routes!(team::list, team::make))
        .routes(routes!(team::one, team::rewrite, team::remove))
        .routes(routes!(invitation::list, invitation::invite))
        .routes(routes!(invitation::take_back))
        .routes(routes!(invitation::mine))
        .routes(routes!(invitation::accept))
        .routes(routes!(invitation::decline))
        .routes(routes!(key::list, key::make))
        .routes(routes!(key::revoke))
        .routes(routes!(key::own))
        .routes(routes!(device::list, device::make))
        .routes(routes!(device::new_code))
        .routes(routes!(device::remove))
        .routes(routes!(device::pair))
        .routes(routes!(audit::mine))
        .routes(routes!(audit::of_organisation))
        .routes(routes!(audit::prove))
        .routes(routes!(audit::prove_mine))
        .routes(routes!(token::jwks))
}

/// The function that queues call.
///
/// # Errors
/// None: it needs no settings of its own.
pub fn worker(app: App) -> Result<Worker, ConfigError> {
    Ok(worker::worker(app))
}

/// The function that the gateway calls.
///
/// # Errors
/// Names the setting that is missing or malformed.
pub fn router(app: App) -> Result<axum::Router, ConfigError> {
    let issuer = Arc::new(token::Issuer::new(&app.config)?);
    let providers = Arc::new(provider::Providers::new(&app.config)?);
    Ok(tessera::http::serve(routes().layer(Extension(issuer)).layer(Extension(providers)), app))
}
