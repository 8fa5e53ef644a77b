//! The server and the command line of OmniTrace; `main` only calls [`cli::run`].
//! In: HTTP requests or files of samples. Out: traces, live and as records that last.

// Leptos nests the types of a page's views deeply.
#![recursion_limit = "512"]

pub mod admission;
pub mod assets;
pub mod blobs;
pub mod checks;
pub mod cli;
pub mod clock;
pub mod config;
pub mod depot;
pub mod device;
pub mod ears;
pub mod error;
pub mod figure;
pub mod gallery;
pub mod id;
pub mod jobs;
pub mod keeper;
pub mod live;
pub mod metrics;
pub mod models;
mod round;
pub mod routes;
pub mod sample;
pub mod serve;
pub mod sse;
pub mod store;
pub mod tokens;
pub mod truth;
pub mod views;
pub mod work;
pub mod worker;
