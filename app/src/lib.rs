//! The page: Leptos components. The server renders whole documents; in the browser only the [`alive`] parts run.
//! In: [`data`]. Out: HTML on the server, and the same tree alive in the browser where there is something to do.
//!
//! The flow of one hover: the pointer enters a `[data-chunk]` or `[data-unit]` -> `trace::interact` names the target ->
//! [`focus`] says what lights up (pure, tested without a browser) -> every element reads its own `data-lit`.

// Leptos' `view!` nests types deeply.
#![recursion_limit = "512"]

mod alive;
pub mod badge;
#[cfg(feature = "ssr")]
pub mod beside;
#[cfg(feature = "ssr")]
pub mod charts;
pub mod compare;
mod compose;
pub mod data;
#[cfg(feature = "ssr")]
pub mod evaluation;
pub mod focus;
mod glyph;
pub mod lens;
pub mod live;
mod media;
#[cfg(feature = "ssr")]
mod pages;
pub mod scope;
pub mod send;
pub mod shown;
#[cfg(feature = "ssr")]
mod site;
mod stream;
#[cfg(feature = "ssr")]
mod theme;
mod trace;

#[cfg(feature = "browser")]
pub use alive::{wake_composer, wake_traces};
#[cfg(feature = "ssr")]
pub use site::{App, origin_of, shell};
