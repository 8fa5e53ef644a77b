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
                    Some((index, id)) => {
                        let state = desk.unit_state(index);
                        view! {
                            <span
                                class=if state.cited { "u cited" } else { "u" }
                                id=desk.unit_dom_id(&id)
                                data-unit=id
                                data-lit=state.lit.then_some("")
                                tabindex=state.tab_index
                                role="group"
                                aria-label=state.spoken
                            >{piece.text}</span>
                        }
                        .into_any()
                    }
                })
                .collect_view()}
        </p>
    }
}
