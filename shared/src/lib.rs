//! Tessera's shared crate: what every capability is made of.
//!
//! Functions depend on edges and stores, those on rules, those on the vocabulary. Never back.
//!
//! | layer | modules |
//! |---|---|
//! | vocabulary, pure | [`id`] [`money`] [`clock`] [`text`] [`error`] [`message`] [`page`] |
//! | capabilities: rules (pure) and `store` (the kept form) | [`identity`] [`catalogue`] [`seating`] [`vendor`] [`retail`] [`price`] [`booking`] [`order`] [`payment`] [`entry`] [`notification`] [`media`] [`outbox`] |
//! | capacity and its waiting room, written by booking alone | [`pool`] [`room`] |
//! | how often callers may ask | [`limit`] |
//! | documents | [`calendar`] [`sheet`] |
//! | edges | [`app`] [`config`] [`http`] [`auth`] [`sign`] [`queue`] [`run`] [`db`] [`telemetry`] [`used`], and by feature `blobs`, `mail` |
//!
//! Start with [`pool`] if you want to know why a place is never sold twice, with [`message`] if you want to know how
//! capabilities hear of each other, and with [`db`] for the form in which everything is kept.

pub mod app;
pub mod auth;
#[cfg(feature = "blobs")]
pub mod blobs;
pub mod booking;
pub mod calendar;
pub mod catalogue;
pub mod clock;
pub mod config;
pub mod db;
pub mod entry;
pub mod error;
pub mod http;
pub mod id;
pub mod identity;
pub mod limit;
#[cfg(feature = "mail")]
pub mod mail;
pub mod media;
pub mod message;
pub mod money;
pub mod notification;
pub mod order;
pub mod outbox;
pub mod page;
pub mod payment;
pub mod pool;
pub mod price;
pub mod queue;
pub mod retail;
pub mod room;
pub mod run;
pub mod seating;
pub mod sheet;
pub mod sign;
pub mod telemetry;
pub mod text;
pub mod used;
pub mod vendor;
