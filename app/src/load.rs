//! Server functions: how pages get [`crate::data`], on the server directly and in the browser over HTTP.
//! In: an id. Out: serialisable views; the same value hydrates what the server rendered.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::{GalleryCard, LimitsView, ModelView, TraceView};

/// What `/` shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HomeView {
    /// The shipped examples.
    pub gallery: Vec<GalleryCard>,
    /// The first finished one, in full.
    pub example: Option<TraceView>,
}

/// What `/new` shows beside the form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComposeView {
    /// Models to choose from.
    pub models: Vec<ModelView>,
    /// Limits and queue.
    pub limits: LimitsView,
}

#[cfg(feature = "ssr")]
fn source() -> Result<std::sync::Arc<dyn crate::data::PageData>, ServerFnError> {
    use_context().ok_or_else(|| ServerFnError::new("The server lent no page data."))
}

/// One trace; none where the id is unknown.
#[server(prefix = "/page", endpoint = "trace")]
pub async fn load_trace(id: String) -> Result<Option<TraceView>, ServerFnError> {
    Ok(source()?.trace(&id))
}

/// The gallery and the example on top of it.
#[server(prefix = "/page", endpoint = "home")]
pub async fn load_home() -> Result<HomeView, ServerFnError> {
    let data = source()?;
    let gallery = data.gallery();
    let example = gallery
        .iter()
        .filter(|card| !card.first_sentence.is_empty())
        .find_map(|card| data.trace(&card.id).filter(|trace| trace.record.is_some()));
    Ok(HomeView { gallery, example })
}

/// Models, limits and queue.
#[server(prefix = "/page", endpoint = "compose")]
pub async fn load_compose() -> Result<ComposeView, ServerFnError> {
    let data = source()?;
    Ok(ComposeView {
        models: data.models(),
        limits: data.limits(),
    })
}
