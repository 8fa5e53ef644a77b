//! Composing a request: items, limits, sending.
//! In: what the visitor types, drops, pastes and picks. Out: `POST /api/traces`.

mod draft;
mod form;
mod item;
mod limits;
mod options;
mod request;

pub use form::Composer;
