//! The home as its tests and its console use it: toy functions behind the real gateway, queues, streams and clock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod api;
mod data;
mod faults;
mod program;
mod queues;
mod schedules;
mod streams;
mod support;
