//! The payment capability
