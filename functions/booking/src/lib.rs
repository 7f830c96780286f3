//! The booking capability
