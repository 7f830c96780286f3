//! The server's clock: a local home lets it be moved; anywhere else the demo waits like everybody.

use crate::DemoError;
use crate::staff::Staff;
use crate::wire::{Call, Wire};
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

/// Moves the clock by `seconds`; `false` if this server does not let anybody. Should the answer be lost, it is moved
/// twice: nothing in the story depends on the exact time.
///
/// # Errors
/// [`DemoError::Unexpected`] if the server refuses; as [`Wire::send`].
pub(crate) async fn advance(wire: &Wire, seconds: i64) -> Result<bool, DemoError> {
    let call = Call::post("/_local/clock").json(&json!({"advance_seconds": seconds}));
    let answer = wire.send(&call).await?;
    match answer.status {
        404 | 405 => Ok(false),
        _ if answer.is_success() => Ok(true),
        _ => Err(answer.unexpected()),
    }
}

/// Comes back when the server's clock is past `moment`: at once where the clock can be moved.
///
/// # Errors
/// As [`advance`].
pub(crate) async fn past(wire: &Wire, reader: &Staff, moment: i64) -> Result<Timestamp, DemoError> {
    let now = reader.sign_in(wire).await?;
    // Two seconds more: marks of holds are whole seconds.
    let missing = moment - now.as_second() + 2;
    let Ok(wait @ 1..) = u64::try_from(missing) else { return Ok(now) };
    if !advance(wire, missing).await? {
        tokio::time::sleep(Duration::from_secs(wait)).await;
    }
    reader.sign_in(wire).await
}
