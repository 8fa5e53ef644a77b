//! The page: Leptos components, server-rendered and hydrated.
//! In: [`data`] through [`load`]. Out: HTML on the server, the same tree alive in the browser.
//!
//! The flow of one hover: the pointer enters a `[data-chunk]` or `[data-unit]` -> `trace::interact` names the target ->
//! [`focus`] says what lights up (pure, tested without a browser) -> every element reads its own `data-lit`.

// Leptos' `view!` nests types deeply.
#![recursion_limit = "512"]

pub mod badge;
mod compose;
pub mod data;
pub mod focus;
mod glyph;
pub mod live;
mod load;
mod pages;
mod send;
pub mod shown;
mod site;
mod stream;
mod theme;
mod trace;

pub use site::{App, shell};
