//! Which program is which function: the list of everything a home can run.

use crate::error::Unbuilt;
use tessera::app::{App, Process};
use tessera::config::Config;
use tessera::run::Handler;

/// Builds the function of a program's name, as its `main` would, with the settings that the template gives it.
///
/// # Errors
/// If there is no such program, or a setting it needs is missing or malformed.
pub fn build(binary: &str, config: &Config, process: &Process) -> Result<Handler, Unbuilt> {
    let app = App::new(config, process)?;
    Ok(match binary {
        "identity" => Handler::Api(identity::router(app)?),
        "identity-worker" => Handler::Worker(identity::worker(app)?),
        "catalogue" => Handler::Api(catalogue::router(app)?),
        "booking" => Handler::Api(booking::router(app)?),
        "booking-worker" => Handler::Worker(booking::worker(app)?),
        "order" => Handler::Api(order::router(app)?),
        "order-worker" => Handler::Worker(order::worker(app)?),
        "payment" => Handler::Api(payment::router(app)?),
        "payment-worker" => Handler::Worker(payment::worker(app)?),
        "entry" => Handler::Api(entry::router(app)?),
        "entry-worker" => Handler::Worker(entry::worker(app)?),
        "notification-worker" => Handler::Worker(notification::worker(app)?),
        "media" => Handler::Api(media::router(app)?),
        "media-worker" => Handler::Worker(media::worker(app)?),
        "outbox" => Handler::Worker(outbox::worker(app)?),
        "docs" => Handler::Api(docs::router(app)?),
        other => return Err(Unbuilt::Unknown(other.to_owned())),
    })
}
