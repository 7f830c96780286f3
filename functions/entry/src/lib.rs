//! entry
use tessera::app::App;
/// r
pub fn router(_: App) -> Result<axum::Router, tessera::config::ConfigError> { Ok(axum::Router::new()) }
/// w
pub fn worker(_: App) -> Result<tessera::queue::Worker, tessera::config::ConfigError> { Ok(tessera::queue::Worker::new(|_| Box::pin(async { Ok(serde_json::Value::Null) }))) }
