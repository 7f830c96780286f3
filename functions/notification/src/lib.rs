//! The notification capability: what people are told by mail.
//!
//! | file | what |
//! |---|---|
//! | [`worker`] | which message leads to which mail to whom |
//! | [`account`] | mails about an account itself |
//! | [`mail`] | one mail: rendered, sent, remembered |
//!
//! Templates are in `templates/`, one per kind of mail, plain text first and HTML beside it. Rules and the kept form
//! are in [`tessera::notification`].

pub mod account;
pub mod mail;
pub mod worker;

use mail::Post;
use std::sync::Arc;
use tessera::app::App;
use tessera::config::ConfigError;
use tessera::queue::Worker;

/// The function that queues call.
///
/// # Errors
/// Names the setting that is missing.
pub fn worker(app: App) -> Result<Worker, ConfigError> {
    let post = Arc::new(Post::new(&app.config)?);
    Ok(Worker::with(app, post, worker::work, worker::tick))
}
