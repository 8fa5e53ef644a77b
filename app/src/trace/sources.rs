//! The sources, in prompt order.
//! In: the laid-out prompt, or until it is there the request. Out: one card per item.

use std::sync::Arc;

use attribution::label::source_label;
use attribution::record::{Modality, Source, SourceItem};
use leptos::prelude::*;

use crate::media::media_url;

use super::desk::Desk;
use super::source_image::ImageSource;
use super::source_sound::SoundSource;
use super::source_text::TextSource;
use super::source_video::VideoSource;
use crate::data::{ItemView, RequestView};
use crate::glyph::{Glyph, modality_name};
use crate::shown::Prompt;

/// All sources.
#[component]
pub fn Sources(
    /// Shown until the prompt is laid out.
    request: RequestView,
) -> impl IntoView {
    let desk = Desk::around();
    view! {
        <section class="sources" aria-label="Sources">
            <h2 class="eyebrow">"Sources"</h2>
            <div class="source-grid">
                {move || {
                    let prompt = desk.prompt.get();
                    if prompt.sources.is_empty() {
                        request.items.iter().cloned().map(|item| view! { <Waiting item/> }).collect_view().into_any()
                    } else {
                        (0..prompt.sources.len())
                            .map(|source| view! { <SourceCard prompt=prompt.clone() source/> })
                            .collect_view()
                            .into_any()
                    }
                }}
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn SourceCard(prompt: Arc<Prompt>, source: usize) -> impl IntoView {
    let desk = Desk::around();
    let Some(own) = prompt.sources.get(source).cloned() else {
        return ().into_any();
    };
    let modality = own.modality();
    let wide = is_wide(&prompt.sources, source);
    let label = source_label(&own);
    let body = match own.item.clone() {
        SourceItem::Text { .. } => view! { <TextSource prompt source/> }.into_any(),
        SourceItem::Image {
            media,
            name,
            width_px,
            height_px,
            ..
        } => view! { <ImageSource prompt source media name width_px height_px/> }.into_any(),
        SourceItem::Audio {
            media,
            duration_secs,
            peaks,
            transcript,
            ..
        } => view! { <SoundSource source media duration_secs peaks transcript/> }.into_any(),
        SourceItem::Video {
            media,
            duration_secs,
            width_px,
            height_px,
            peaks,
            thumbnails,
            ..
        } => {
            view! { <VideoSource source media duration_secs width_px height_px peaks thumbnails/> }
                .into_any()
        }
    };
    view! {
        <article class="card" class:wide=wide class:has=move || desk.source_lit(source) data-modality=modality_name(modality)>
            <h3 class="card-head"><Glyph modality/>{label}<span class="note">{note(&own)}</span></h3>
            {body}
        </article>
    }
    .into_any()
}

/// Pictures and short sounds stand in pairs; all else, and one left alone, takes the whole width.
fn is_wide(sources: &[Source], source: usize) -> bool {
    let pairs = |own: &Source| match &own.item {
        SourceItem::Image { .. } => true,
        SourceItem::Audio { duration_secs, .. } => *duration_secs <= 12.0,
        SourceItem::Text { .. } | SourceItem::Video { .. } => false,
    };
    if !sources.get(source).is_some_and(pairs) {
        return true;
    }
    let before = sources[..source]
        .iter()
        .rev()
        .take_while(|own| pairs(own))
        .count();
    // The first of a pair that has no second.
    before % 2 == 0 && !sources.get(source + 1).is_some_and(pairs)
}

fn note(source: &Source) -> String {
    match &source.item {
        SourceItem::Text { .. } => String::new(),
        SourceItem::Image { name, .. } => name.clone(),
        SourceItem::Audio {
            name,
            duration_secs,
            ..
        } => join(name, format!("{duration_secs:.1} s")),
        SourceItem::Video {
            name,
            duration_secs,
            fps,
            ..
        } => join(name, format!("{duration_secs:.1} s, seen at {fps} fps")),
    }
}

fn join(name: &str, rest: String) -> String {
    if name.is_empty() {
        rest
    } else {
        format!("{name} · {rest}")
    }
}

/// An item before the model has looked at it.
#[component]
fn Waiting(item: ItemView) -> impl IntoView {
    let media = |hash: &str| media_url(hash);
    let (modality, body) = match item {
        ItemView::Text { text } => (
            Modality::Text,
            view! { <p class="text">{text}</p> }.into_any(),
        ),
        ItemView::Image { hash, name } => (
            Modality::Image,
            view! { <div class="pic"><img src=media(&hash) alt=name/></div> }.into_any(),
        ),
        ItemView::Audio { hash, .. } => (
            Modality::Audio,
            view! { <audio controls preload="metadata" src=media(&hash)></audio> }.into_any(),
        ),
        ItemView::Video { hash, .. } => (
            Modality::Video,
            view! { <video controls preload="metadata" playsinline src=media(&hash)></video> }
                .into_any(),
        ),
    };
    let label = match modality {
        Modality::Text => "Text",
        Modality::Image => "Image",
        Modality::Audio => "Sound",
        Modality::Video => "Film",
    };
    view! {
        <article class="card has" data-modality=modality_name(modality)>
            <h3 class="card-head"><Glyph modality/>{label}</h3>
            {body}
        </article>
    }
}

#[cfg(test)]
mod tests {
    use attribution::record::{Grid, SourceRole};

    use super::*;

    fn source(item: SourceItem) -> Source {
        Source {
            role: SourceRole::Content,
            number: 1,
            item,
        }
    }

    #[test]
    fn pictures_stand_in_pairs_and_the_last_of_three_is_wide() {
        let text = source(SourceItem::Text {
            text: String::new(),
        });
        let picture = source(SourceItem::Image {
            media: String::new(),
            name: String::new(),
            width_px: 1,
            height_px: 1,
            grid: Grid { rows: 1, cols: 1 },
        });
        let long = source(SourceItem::Audio {
            media: String::new(),
            name: String::new(),
            duration_secs: 60.0,
            peaks: Vec::new(),
            transcript: None,
        });
        let row = [
            text,
            picture.clone(),
            picture.clone(),
            picture.clone(),
            long,
            picture,
        ];
        let wide: Vec<bool> = (0..7).map(|k| is_wide(&row, k)).collect();
        assert_eq!(wide, [true, false, false, true, true, true, true]);
    }
}
