//! Four proofs of the capacity engine, each of a kind that the others cannot give.
//!
//! | module | what it checks | how |
//! |---|---|---|
//! | [`model`] | the design: every interleaving of store calls, crashes and repeated messages, in small worlds | stateright visits every state |
//! | [`line`], [`moving`], [`stock`], [`numbering`] | the waitlist's hand-over, the moving of a booking, stock that settles, numbers of invoices, as [`replay`] runs them | the same |
//! | [`histories`] | the engine itself on a local home | recorded histories are checked for linearizability |
//! | [`simulate`] | what a sale at 20,000 requests a second costs | a simulation of discrete events, with the real lane-choosing code |
//!
//! Each runs in two sizes ([`Size`]): `ci` in every test run, `night` when there is time. The program `proof` prints what
//! was checked as a table; the tests assert it.
#![allow(
    unreachable_pub,
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub mod histories;
pub mod line;
pub mod model;
pub mod moving;
pub mod numbering;
pub mod replay;
pub mod simulate;
pub mod stock;

/// How much is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Size {
    /// Well under a minute.
    Ci,
    /// As much as a night allows.
    Night,
}
