//! The identity capability
