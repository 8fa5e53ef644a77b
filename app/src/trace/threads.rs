//! Threads from what is pointed at in the answer to its sources.
//! In: the highlight and where elements lie. Out: curves over the page, one per lit unit on the screen; wide screens only.

use attribution::record::Modality;
use leptos::prelude::*;
use web_sys::Element;

use super::desk::Desk;
use crate::focus::Target;
use crate::glyph::modality_name;

/// Most threads at once: more would hide what they lead to.
const MAX_THREADS: usize = 8;

/// The curves; decoration, so screen readers do not hear of it.
#[component]
pub fn Threads() -> impl IntoView {
    let desk = Desk::around();
    let curves = RwSignal::new(Vec::<(Modality, String)>::new());
    let moved = RwSignal::new(0u32);
    Effect::new(move |_| {
        let again = move || {
            if curves.try_with_untracked(|curves| !curves.is_empty()) == Some(true) {
                moved.update(|count| *count = count.wrapping_add(1));
            }
        };
        let scrolled = window_event_listener(leptos::ev::scroll, move |_| again());
        let resized = window_event_listener(leptos::ev::resize, move |_| again());
        on_cleanup(move || {
            scrolled.remove();
            resized.remove();
        });
    });
    Effect::new(move |_| {
        moved.track();
        let lit = desk.lit.get();
        let wanted = desk.threads.get()
            && matches!(lit.active, Some(Target::Chunk(_) | Target::Token(_)))
            && wide();
        if !wanted {
            if !curves.with_untracked(Vec::is_empty) {
                curves.set(Vec::new());
            }
            return;
        }
        // After this frame's layout: badges and tokens have their places then.
        request_animation_frame(move || {
            if let Some(active) = lit.active {
                let _ = curves.try_set(drawn(desk, active, &lit.units));
            }
        });
    });
    view! {
        <svg class="threads" aria-hidden="true" focusable="false">
            {move || curves.get().into_iter().map(|(modality, path)| view! {
                <path data-modality=modality_name(modality) d=path></path>
            }).collect_view()}
        </svg>
    }
}

fn wide() -> bool {
    let query = window().match_media("(min-width: 861px)").ok().flatten();
    query.is_some_and(|query| query.matches())
}

fn element(selector: &str) -> Option<Element> {
    document().query_selector(selector).ok().flatten()
}

/// One curve per unit that is on the screen, from the badge or token to the unit's edge.
fn drawn(desk: Desk, active: Target, units: &[u32]) -> Vec<(Modality, String)> {
    let root = match active {
        Target::Token(token) => element(&format!(".trace [data-token=\"{token}\"]")),
        Target::Chunk(chunk) => document().get_element_by_id(&format!("{}s{chunk}", desk.prefix)),
        Target::Unit(_) => None,
    };
    let Some(root) = root else { return Vec::new() };
    let height = window()
        .inner_height()
        .ok()
        .and_then(|h| h.as_f64())
        .unwrap_or(800.0);
    let about: Vec<(String, Modality)> = desk.prompt.with_untracked(|prompt| {
        let of = |unit: &u32| {
            let own = prompt.units.get(*unit as usize)?;
            let source = prompt.sources.get(own.source as usize)?;
            Some((desk.unit_dom_id(&own.id), source.modality()))
        };
        units.iter().filter_map(of).collect()
    });
    let curve = |(id, modality): (String, Modality)| {
        let there = document().get_element_by_id(&id)?;
        let badge = root
            .query_selector(&format!("a[href=\"#{id}\"]"))
            .ok()
            .flatten();
        let (from, to) = (
            badge.as_ref().unwrap_or(&root).get_bounding_client_rect(),
            there.get_bounding_client_rect(),
        );
        let (y0, y1) = (
            from.top() + from.height() / 2.0,
            to.top() + to.height() / 2.0,
        );
        let on_screen = |y: f64| (8.0..height - 8.0).contains(&y);
        if !on_screen(y0) || !on_screen(y1) || to.width() <= 0.0 {
            return None;
        }
        // From the edge of the answer's column, level with the badge: over the words it would be in the way.
        let column = root.closest(".body").ok().flatten();
        let edge = column.map_or(from.left(), |column| {
            column.get_bounding_client_rect().left() - 5.0
        });
        // Of a zoomed time line a bin may lie outside.
        let lane = there.closest(".lane").ok().flatten();
        let seen = lane.map_or(to.clone(), |lane| lane.get_bounding_client_rect());
        let right = to.right().min(seen.right()).max(seen.left());
        let (x0, x1) = (edge, right.min(edge - 24.0));
        let bend = ((x0 - x1) * 0.5).max(24.0);
        Some((
            modality,
            format!(
                "M{x0:.1} {y0:.1}C{:.1} {y0:.1} {:.1} {y1:.1} {x1:.1} {y1:.1}",
                x0 - bend,
                x1 + bend
            ),
        ))
    };
    about
        .into_iter()
        .take(MAX_THREADS)
        .filter_map(curve)
        .collect()
}
