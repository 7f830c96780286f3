//! The order capability
