//! The catalogue capability
