//! The entry capability
