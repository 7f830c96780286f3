//! Scenarios over HTTP: each module is a capability, each test a sentence about what a user notices.
#![allow(
    unreachable_pub,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs
)]

mod application;
mod asvs;
mod audit;
mod booking;
mod bootstrap;
mod catalogue;
mod circuit;
mod credentials;
mod demo;
mod docs;
mod entry;

mod faults;
mod figures;
mod gift;
mod identity;
mod invoice;
mod limit;
mod load;
mod logs;
mod matrix;
mod media;
mod mutants;
mod notification;
mod order;
mod outbox;
mod payment;
mod person;
mod pool;
mod price;
mod provider;
mod razorpay;
mod reconcile;
mod redaction;
mod refund;
mod rights;
mod room;
mod saga;
mod seats;
mod second_factor;
mod security;
mod stock;
mod stripe;
mod support;
mod tidy;
mod transfer;
mod vendor;
mod waitlist;
