//! To come.
use crate::Size;
#[must_use]
pub fn print(_: Size) -> bool { true }
