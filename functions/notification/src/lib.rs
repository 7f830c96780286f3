//! The notification capability
