//! A text source: its units underlined, the cited ones marked.

use std::sync::Arc;

use attribution::record::SourceItem;
use leptos::prelude::*;

use super::desk::Desk;
use crate::shown::{Prompt, pieces};

/// The text in runs.
#[component]
pub fn TextSource(
    /// Sources and units.
    prompt: Arc<Prompt>,
    /// Index into the sources.
    source: usize,
) -> impl IntoView {
    let desk = Desk::around();
    let text = match prompt.sources.get(source).map(|own| &own.item) {
        Some(SourceItem::Text { text }) => text.as_str(),
        _ => "",
    };
    let runs = pieces(text, prompt.units_of(source));
    view! {
        <p class="text">
            {runs
                .into_iter()
                .map(|piece| match piece.unit {
                    None => piece.text.into_any(),
                    Some((index, id)) => view! {
                        <span
                            class="u"
                            class:cited=move || desk.cited(index)
                            id=format!("u-{id}")
                            data-unit=id
                            data-lit=move || desk.unit_lit(index)
                            tabindex=move || desk.tab_index(index)
                            role="group"
                            aria-label=move || desk.spoken(index)
                        >{piece.text}</span>
                    }
                    .into_any(),
                })
                .collect_view()}
        </p>
    }
}
