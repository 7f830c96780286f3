//! Which program is which function: the list of everything a home can run.

use crate::error::Unbuilt;
use tessera::app::Process;
use tessera::config::Config;
use tessera::run::Handler;

/// Builds the function of a program's name.
///
/// Capabilities are wired here, one line for each program that the template names:
///
/// ```ignore
/// let app = || App::new(config, process);
/// match binary {
///     "booking" => Ok(Handler::Api(booking::router(app()?)?)),
///     "booking-worker" => Ok(Handler::Worker(booking::worker(app()?)?)),
///     _ => Err(Unbuilt::Unknown(binary.to_owned())),
/// }
/// ```
///
/// # Errors
/// If there is no such program, or a setting it needs is missing.
pub fn build(binary: &str, config: &Config, process: &Process) -> Result<Handler, Unbuilt> {
    tracing::debug!(binary, ?config, clock = ?process.clock, "building a function");
    Err(Unbuilt::Unknown(binary.to_owned()))
}
