//! The docs capability
