//! The outbox capability
