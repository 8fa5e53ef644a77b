//! Lit sources that are off the screen: scrolled to for keyboard and badge, pointed at for the mouse.
//! In: the highlight and where elements lie. Out: a marker "↓ Image 2", or a scroll.

use attribution::label;
use leptos::prelude::*;
use web_sys::{Element, ScrollBehavior, ScrollIntoViewOptions, ScrollLogicalPosition};

use super::desk::Desk;
use crate::focus::Target;

fn wide() -> bool {
    window()
        .match_media("(min-width: 861px)")
        .ok()
        .flatten()
        .is_some_and(|query| query.matches())
}

fn lit_element(desk: Desk) -> Option<(u32, Element)> {
    let unit = desk.lit.with_untracked(|lit| lit.units.first().copied())?;
    let id = desk
        .prompt
        .with_untracked(|prompt| prompt.units.get(unit as usize).map(|own| own.id.clone()))?;
    Some((unit, document().get_element_by_id(&format!("u-{id}"))?))
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
    if let Some((_, element)) = lit_element(desk) {
        scroll_to(&element);
    }
}

/// The marker; only the pointer needs it, so screen readers do not hear of it.
#[component]
pub fn EdgeMarker() -> impl IntoView {
    let desk = Desk::around();
    let marker = RwSignal::new(None::<(bool, String)>);
    Effect::new(move |_| {
        let from_chunk = desk
            .lit
            .with(|lit| matches!(lit.active, Some(Target::Chunk(_))));
        let found = if from_chunk && wide() {
            lit_element(desk)
        } else {
            None
        };
        marker.set(found.and_then(|(unit, element)| {
            let rect = stage_of(&element).get_bounding_client_rect();
            // Less than a hand's breadth of it counts as off the screen.
            let margin = rect.height().min(140.0);
            let up = rect.bottom() < margin;
            (up || rect.top() > viewport_height() - margin).then(|| {
                let name = desk.prompt.with_untracked(|prompt| {
                    let own = prompt.units.get(unit as usize)?;
                    Some(label::source_label(
                        prompt.sources.get(own.source as usize)?,
                    ))
                });
                (up, name.unwrap_or_default())
            })
        }));
    });
    view! {
        {move || marker.get().map(|(up, name)| view! {
            <div class="edge" class:up=up aria-hidden="true">{if up { "↑ " } else { "↓ " }}{name}</div>
        })}
    }
}
