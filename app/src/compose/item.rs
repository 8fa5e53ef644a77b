//! One item of the composer: a text field or a file with its preview, and its place in the order.

use attribution::record::Modality;
use leptos::html::Textarea;
use leptos::prelude::*;

use super::draft::{Draft, DraftContent, Drafts, size};
use crate::glyph::{Glyph, modality_name};

/// The row.
#[component]
pub fn ItemRow(
    /// The item.
    draft: Draft,
    /// The list that it is in.
    drafts: Drafts,
) -> impl IntoView {
    let key = draft.key;
    let place = move || {
        drafts
            .items
            .with(|items| items.iter().position(|d| d.key == key).unwrap_or_default())
    };
    let first = move || place() == 0;
    let last = move || {
        drafts
            .items
            .with(|items| items.last().is_none_or(|d| d.key == key))
    };
    let field = NodeRef::<Textarea>::new();
    if let DraftContent::Text(text) = &draft.content {
        keep_typed(field, *text);
    }
    let (modality, head, body) = match draft.content {
        DraftContent::Text(text) => (
            Modality::Text,
            "Text".to_owned(),
            view! {
                <textarea
                    node_ref=field
                    rows="3"
                    aria-label=move || format!("Text, item {}", place() + 1)
                    placeholder="Words for the model to read: a conversation, a question, answer options …"
                    on:input=move |event| text.set(event_target_value(&event))
                ></textarea>
            }
            .into_any(),
        ),
        DraftContent::Media { modality, name, bytes, preview, .. } => {
            let body = match modality {
                Modality::Image => view! { <img src=preview alt=format!("Preview of {name}")/> }.into_any(),
                Modality::Audio => view! { <audio controls src=preview></audio> }.into_any(),
                _ => view! { <video controls playsinline src=preview></video> }.into_any(),
            };
            (modality, format!("{name} · {}", size(bytes)), body)
        }
    };
    let remove_name = format!("Remove {head}");
    view! {
        <li class="item" data-modality=modality_name(modality)>
            <div class="item-head">
                <Glyph modality/>
                <span class="item-name">{head}</span>
                <button type="button" class="icon" aria-label="Move up" disabled=first on:click=move |_| drafts.shift(key, -1)>"↑"</button>
                <button type="button" class="icon" aria-label="Move down" disabled=last on:click=move |_| drafts.shift(key, 1)>"↓"</button>
                <button type="button" class="icon" aria-label=remove_name on:click=move |_| drafts.remove(key)>"×"</button>
            </div>
            {body}
        </li>
    }
    .into_any()
}

/// What was typed before the page came alive is taken over; what was dropped as text is filled in.
fn keep_typed(field: NodeRef<Textarea>, text: RwSignal<String>) {
    Effect::new(move |_| {
        let Some(field) = field.get() else { return };
        let typed = field.value();
        if typed.is_empty() {
            field.set_value(&text.get_untracked());
        } else {
            text.set(typed);
        }
    });
}
