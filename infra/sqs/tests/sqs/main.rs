//! The queues as a client sees them, through the AWS SDK, and as an embedding process does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what surprises a test fails it")]

mod batches;
mod dead_letters;
mod durability;
mod fifo;
mod home;
mod long_polls;
mod queues;
mod standard;
mod wire;
