//! The sandboxes as clients see them over HTTP, and as an embedding process does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what surprises a test fails it")]

mod balance;
mod durability;
mod faults;
mod idempotency;
mod mail;
mod page;
mod payments;
mod razorpay;
mod refusals;
mod webhooks;
mod world;
