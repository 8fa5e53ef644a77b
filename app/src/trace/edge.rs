//! Lit sources that are off the screen: scrolled to for keyboard and badge, pointed at for the mouse.
//! In: the highlight and where elements lie. Out: markers "↓ Image 2", or a scroll.

use attribution::label;
use attribution::record::Modality;
use leptos::prelude::*;
use web_sys::{Element, ScrollBehavior, ScrollIntoViewOptions, ScrollLogicalPosition};

use super::desk::Desk;
use crate::focus::Target;
use crate::glyph::{Glyph, modality_name};

fn wide() -> bool {
    window()
        .match_media("(min-width: 861px)")
        .ok()
        .flatten()
        .is_some_and(|query| query.matches())
}

fn element_of(desk: Desk, unit: u32) -> Option<Element> {
    let id = desk
        .prompt
        .with_untracked(|prompt| prompt.units.get(unit as usize).map(|own| own.id.clone()))?;
    document().get_element_by_id(&desk.unit_dom_id(&id))
}

/// What must be seen to see a unit: its whole card where that fits, so that a picture comes with its film's time line.
fn stage_of(element: &Element) -> Element {
    let card = element.closest(".card").ok().flatten();
    let fits = |card: &Element| card.get_bounding_client_rect().height() < viewport_height() * 0.9;
    card.filter(fits).unwrap_or_else(|| element.clone())
}

fn viewport_height() -> f64 {
    window()
        .inner_height()
        .ok()
        .and_then(|height| height.as_f64())
        .unwrap_or(800.0)
}

/// Scrolls an element to where it can be seen, gently where the visitor allows motion.
pub fn scroll_to(element: &Element) {
    let calm = window()
        .match_media("(prefers-reduced-motion: reduce)")
        .ok()
        .flatten()
        .is_some_and(|q| q.matches());
    let options = ScrollIntoViewOptions::new();
    options.set_behavior(if calm {
        ScrollBehavior::Instant
    } else {
        ScrollBehavior::Smooth
    });
    options.set_block(ScrollLogicalPosition::Nearest);
    stage_of(element).scroll_into_view_with_scroll_into_view_options(&options);
}

/// Brings the first lit unit into view. Not on a narrow screen, where it would take the sentence away.
pub fn bring_into_view(desk: Desk) {
    if !wide() {
        return;
    }
    let first = desk.lit.with_untracked(|lit| lit.units.first().copied());
    if let Some(element) = first.and_then(|unit| element_of(desk, unit)) {
        scroll_to(&element);
    }
}

/// A lit source that lies off the screen.
#[derive(Debug, Clone, PartialEq)]
struct Away {
    up: bool,
    name: String,
    modality: Modality,
    unit: u32,
}

/// The markers: one per lit source off the screen, above or below. A click leads there; screen readers, which know no
/// screen, do not hear of them.
#[component]
pub fn EdgeMarkers() -> impl IntoView {
    let desk = Desk::around();
    let away = RwSignal::new(Vec::<Away>::new());
    let scrolled = RwSignal::new(0u32);
    Effect::new(move |_| {
        let handle = window_event_listener(leptos::ev::scroll, move |_| {
            if !away.with_untracked(Vec::is_empty) {
                scrolled.update(|count| *count = count.wrapping_add(1));
            }
        });
        on_cleanup(move || handle.remove());
    });
    Effect::new(move |_| {
        scrolled.track();
        let lit = desk.lit.get();
        let from_answer = matches!(lit.active, Some(Target::Chunk(_) | Target::Token(_)));
        let found = if from_answer && wide() {
            off_screen(desk, &lit.units)
        } else {
            Vec::new()
        };
        if away.with_untracked(|before| *before != found) {
            away.set(found);
        }
    });
    let stack = move |up: bool| {
        let own = away.get().into_iter().filter(move |own| own.up == up);
        own.map(|own| {
            let unit = own.unit;
            let go = move |event: leptos::ev::MouseEvent| {
                event.stop_propagation();
                if let Some(element) = element_of(desk, unit) {
                    scroll_to(&element);
                }
            };
            view! {
                <button type="button" class="edge" tabindex="-1" data-modality=modality_name(own.modality) on:click=go>
                    {if up { "↑ " } else { "↓ " }}<Glyph modality=own.modality/>{own.name}
                </button>
            }
        })
        .collect_view()
    };
    view! {
        <div class="edges up" aria-hidden="true">{move || stack(true)}</div>
        <div class="edges" aria-hidden="true">{move || stack(false)}</div>
    }
}

/// Of every source with lit units, the first unit, if none of them is on the screen.
fn off_screen(desk: Desk, units: &[u32]) -> Vec<Away> {
    let mut found: Vec<(u32, Option<Away>)> = Vec::new();
    for &unit in units {
        let about = desk.prompt.with_untracked(|prompt| {
            let own = prompt.units.get(unit as usize)?;
            let source = prompt.sources.get(own.source as usize)?;
            Some((own.source, label::source_label(source), source.modality()))
        });
        let (Some((source, name, modality)), Some(element)) = (about, element_of(desk, unit))
        else {
            continue;
        };
        let rect = stage_of(&element).get_bounding_client_rect();
        // Less than a hand's breadth of it counts as off the screen.
        let margin = rect.height().min(140.0);
        let up = rect.bottom() < margin;
        let away = (up || rect.top() > viewport_height() - margin).then_some(Away {
            up,
            name,
            modality,
            unit,
        });
        match found.iter_mut().find(|(known, _)| *known == source) {
            None => found.push((source, away)),
            Some((_, known)) if away.is_none() => *known = None,
            Some(_) => {}
        }
    }
    found.into_iter().filter_map(|(_, away)| away).collect()
}
