//! Payment references of bank transfers: written, checked and found.
//!
//! [`reference()`] writes what a buyer is to put into the transfer, and [`find_codes`] finds it again in what people and banks
//! made of it.

mod code;

pub use code::{REFERENCE_BITS, find_codes, parse, reference};
