//! One sentence of the answer with its badges.
//! In: its index. Out: a focusable `[data-chunk]`; badges are plain links to their units without JavaScript.

use leptos::prelude::*;

use super::desk::Desk;
use super::peek::Peek;
use crate::badge::{Badge, badges};
use crate::focus::Target;
use crate::glyph::{Glyph, modality_name};

/// A chunk.
#[component]
pub fn ChunkView(
    /// Its index.
    chunk: u32,
) -> impl IntoView {
    let desk = Desk::around();
    // An empty string would be rendered as a space, hence the options.
    let text = move |part: fn((&str, &str, &str)) -> String| {
        desk.shown
            .with(|shown| Some(part(shown.chunk_text(chunk))).filter(|text| !text.is_empty()))
    };
    let own = Memo::new(move |_| desk.shown.with(|shown| badges(shown, chunk)));
    let lit = move || desk.lit.with(|lit| lit.chunk(chunk)).then_some("");
    let pinned = move || {
        desk.focus
            .with(|focus| focus.pin == Some(Target::Chunk(chunk)))
    };
    let open = Memo::new(move |_| {
        desk.lit
            .with(|lit| lit.active == Some(Target::Chunk(chunk)))
    });
    view! {
        {move || text(|(before, ..)| before.to_owned())}
        <span class="s" class:pinned=pinned id=format!("s{chunk}") data-chunk=chunk.to_string() data-lit=lit tabindex="0">
            <span class="words" data-text="">{move || text(|(_, body, _)| body.to_owned())}</span>
            <span class="badges">
                {move || {
                    let own = own.get();
                    if own.is_empty() {
                        view! { <span class="b none">"no source found"</span> }.into_any()
                    } else {
                        own.into_iter().map(|badge| view! { <BadgeView badge/> }).collect_view().into_any()
                    }
                }}
            </span>
        </span>
        // Beside the sentence, not in it: a block inside would tear its highlight.
        {move || open.get().then(|| view! { <Peek badges=own.get()/> })}
        {move || text(|(.., after)| after.to_owned())}
    }
    .into_any()
}

#[component]
fn BadgeView(badge: Badge) -> impl IntoView {
    let Badge {
        modality,
        text,
        spoken_before,
        unit_id,
        ..
    } = badge;
    view! {
        <a class="b" href=format!("#u-{unit_id}") data-badge="" data-modality=modality_name(modality)>
            <span class="sr">{spoken_before}</span>
            <Glyph modality/>
            {text}
        </a>
    }
}
