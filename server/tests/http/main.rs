//! The real server over real HTTP with the real tiny model: in-process on a free port, with a data directory of its own.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at the first surprise"
)]

mod admission;
mod backup;
mod composed;
mod faithfulness;
mod guard;
mod house;
mod live;
mod logs;
mod media;
mod metrics;
mod minicpm;
mod models;
mod nats;
mod nats_server;
mod pages;
mod privacy;
mod refusals;
mod retention;
mod share;
mod survival;
mod together;
mod views;
mod without;
