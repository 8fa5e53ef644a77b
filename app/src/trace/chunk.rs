//! One sentence of the answer with its badges.
//! In: its index. Out: a focusable `[data-chunk]`; badges are plain links to their units without JavaScript.

use attribution::label::label_of;
use leptos::prelude::*;

use super::desk::Desk;
use super::peek::Peek;
use crate::badge::{Badge, badges};
use crate::focus::Target;
use crate::glyph::{Glyph, modality_name};
use crate::shown::{Shown, Word};

/// From this share of a sentence's attention outside every source on, it is said.
const MOSTLY: f64 = 0.5;

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
    let outside = move || {
        let share = desk
            .shown
            .with(|shown| shown.outside.get(chunk as usize).copied().flatten());
        share.filter(|share| *share >= MOSTLY && open.get())
    };
    view! {
        {move || text(|(before, ..)| before.to_owned())}
        <span class="s" class:pinned=pinned id=format!("{}s{chunk}", desk.prefix) data-chunk=chunk.to_string() data-lit=lit tabindex="0">
            <span class="words" data-text="">{move || {
                if desk.tokens.get() {
                    view! { <Tokens chunk/> }.into_any()
                } else {
                    text(|(_, body, _)| body.to_owned()).into_any()
                }
            }}</span>
            <span class="badges">
                {move || {
                    let own = own.get();
                    if own.is_empty() {
                        view! { <span class="b none">"no source found"</span> }.into_any()
                    } else {
                        own.into_iter().map(|badge| view! { <BadgeView badge/> }).collect_view().into_any()
                    }
                }}
                {move || outside().map(|share| view! {
                    <span class="b prior" title="Attention that went to no source: to the answer so far and to the frame of the prompt">
                        {format!("{:.0} % from the language model itself", share * 100.0)}
                    </span>
                })}
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
        <a class="b" href=format!("#{}", Desk::around().unit_dom_id(&unit_id)) data-badge="" data-modality=modality_name(modality)>
            <span class="sr">{spoken_before}</span>
            <Glyph modality/>
            {text}
        </a>
    }
}

/// The tokens of a sentence, each underlined by how sure its source is. The first one of a sentence is in the tab order;
/// arrow keys lead to the others.
#[component]
fn Tokens(chunk: u32) -> impl IntoView {
    let desk = Desk::around();
    let words = Memo::new(move |_| {
        desk.shown.with(|shown| {
            let strongest = |word: &Word| word.units.first().map_or(0.0, |best| best.1);
            let most = shown.words.iter().map(strongest).fold(0.0, f64::max);
            let row = |(k, word): (u32, &Word)| {
                let text = shown.response.get(word.start as usize..word.end as usize);
                let level = if most > 0.0 {
                    strongest(word) / most
                } else {
                    0.0
                };
                (
                    k,
                    text.unwrap_or_default().to_owned(),
                    level,
                    named(shown, word),
                )
            };
            shown.words_of(chunk).map(row).collect::<Vec<_>>()
        })
    });
    move || {
        let tokens = words.get().into_iter().enumerate();
        tokens
            .map(|(place, (token, text, level, about))| {
                // White space stays outside the mark, as between words it would be underlined too.
                let body = text.trim_start().to_owned();
                let gap = text[..text.len() - body.len()].to_owned();
                let gap = (!gap.is_empty() && place > 0).then_some(gap);
                view! {
                    {gap}
                    <span class="t" data-token=token.to_string() tabindex=if place == 0 { "0" } else { "-1" }
                        title=about style=format!("--c-token:{:.0}%", 12.0 + level * 88.0)>{body}</span>
                }
            })
            .collect_view()
    }
}

/// "NOUN · Image 1 62 %, T3 20 %".
fn named(shown: &Shown, word: &Word) -> String {
    let all: f64 = word.units.iter().map(|(_, score)| score).sum();
    let units = word.units.iter().take(3).map(|(unit, score)| {
        let name = label_of(&shown.prompt.sources, &shown.prompt.units, *unit);
        format!("{name} {:.0} %", score / all * 100.0)
    });
    let units: Vec<String> = units.collect();
    if units.is_empty() {
        format!("{} · no source", word.pos)
    } else {
        format!("{} · {}", word.pos, units.join(", "))
    }
}
