//! The cited source under its sentence, for narrow screens where sources and answer are not side by side.
//! In: a sentence's badges. Out: quotes, cut-out pictures, buttons that play. The style sheet hides it on wide screens.

use attribution::record::{Extent, SourceItem};
use leptos::prelude::*;

use crate::media::media_url;

use super::desk::{Desk, Play};
use crate::badge::{Badge, strongest_box};
use crate::focus::Target;
use crate::glyph::{Glyph, modality_name};

/// What the badges stand for.
#[component]
pub fn Peek(
    /// The sentence's badges.
    badges: Vec<Badge>,
) -> impl IntoView {
    let desk = Desk::around();
    let shown = desk.shown.get_untracked();
    let chunk = desk.lit.with_untracked(|lit| match lit.active {
        Some(Target::Chunk(chunk)) => chunk,
        _ => u32::MAX,
    });
    let rows = badges.into_iter().filter_map(|badge| {
        let unit = shown.prompt.units.get(badge.unit as usize)?;
        let source = shown.prompt.sources.get(unit.source as usize)?;
        let body = match (&source.item, &unit.extent) {
            (SourceItem::Text { text }, Extent::Text { start, end }) => {
                let quote = text.get(*start as usize..*end as usize).unwrap_or_default().trim().to_owned();
                view! { <q>{quote}</q> }.into_any()
            }
            (SourceItem::Image { media, .. }, _) if !media.is_empty() => {
                let spot = strongest_box(&shown, chunk, badge.unit).map(|found| {
                    let rect = found.rect_in_source;
                    let style = format!(
                        "left:{:.2}%;top:{:.2}%;width:{:.2}%;height:{:.2}%",
                        rect.x0 * 100.0, rect.y0 * 100.0, (rect.x1 - rect.x0) * 100.0, (rect.y1 - rect.y0) * 100.0
                    );
                    view! { <span class="spot" style=style></span> }
                });
                view! { <span class="peek-pic"><img src=media_url(media) alt=""/>{spot}</span> }.into_any()
            }
            (SourceItem::Video { thumbnails, duration_secs, .. }, _) => {
                let still = badge.play.and_then(|(_, start, end)| {
                    let share = (start + end) / 2.0 / duration_secs.max(0.001);
                    let at = (share * thumbnails.len() as f64) as usize;
                    thumbnails.get(at.min(thumbnails.len().saturating_sub(1))).cloned()
                });
                view! {
                    {still.map(|hash| view! { <span class="peek-pic"><img src=media_url(&hash) alt=""/></span> })}
                    <PlayButton desk badge=badge.clone()/>
                }
                .into_any()
            }
            _ => view! { <PlayButton desk badge=badge.clone()/> }.into_any(),
        };
        Some(view! {
            <span class="peek-row" data-modality=modality_name(badge.modality)>
                <span class="peek-name"><Glyph modality=badge.modality/>{badge.text.clone()}</span>
                {body}
            </span>
        })
    });
    view! { <span class="peek">{rows.collect_view()}</span> }
}

#[component]
fn PlayButton(desk: Desk, badge: Badge) -> impl IntoView {
    badge.play.map(|(source, start_secs, end_secs)| {
        let play = move |event: leptos::ev::MouseEvent| {
            event.stop_propagation();
            desk.play.set(Some(Play { source, start_secs, end_secs }));
        };
        view! { <button type="button" class="button small" on:click=play>"Play these seconds"</button> }
    })
}
