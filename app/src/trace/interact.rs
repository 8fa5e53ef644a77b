//! Pointer and keyboard: one place for all of it, by delegation at the trace's root.
//! In: DOM events. Out: the focus state, and DOM focus for the arrow keys.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, KeyboardEvent, MouseEvent};

use super::desk::{Desk, Play};
use super::edge::bring_into_view;
use crate::badge::badges;
use crate::focus::{Target, step};

fn element_of(event: &Event) -> Option<Element> {
    event.target()?.dyn_into::<Element>().ok()
}

fn target_in(desk: Desk, element: &Element) -> Option<Target> {
    let named = element
        .closest("[data-token],[data-chunk],[data-unit]")
        .ok()
        .flatten()?;
    if let Some(token) = named.get_attribute("data-token") {
        return token.parse().ok().map(Target::Token);
    }
    if let Some(chunk) = named.get_attribute("data-chunk") {
        return chunk.parse().ok().map(Target::Chunk);
    }
    let id = named.get_attribute("data-unit")?;
    desk.prompt
        .with_untracked(|prompt| prompt.unit_by_id(&id))
        .map(Target::Unit)
}

fn target_of(desk: Desk, event: &Event) -> Option<Target> {
    target_in(desk, &element_of(event)?)
}

fn set(desk: Desk, change: impl FnOnce(&mut crate::focus::Focus)) {
    let before = desk.focus.get_untracked();
    let mut after = before;
    change(&mut after);
    if before != after {
        desk.focus.set(after);
    }
}

/// The pointer is over something else.
pub fn hover(desk: Desk, event: &MouseEvent) {
    let target = target_of(desk, event);
    set(desk, |focus| focus.hover = target);
}

/// The pointer left the trace.
pub fn leave(desk: Desk) {
    set(desk, |focus| focus.hover = None);
}

/// The keyboard focus came to a chunk or unit. A mouse click focuses too, but is not the keyboard's doing.
pub fn focus_in(desk: Desk, event: &web_sys::FocusEvent) {
    let visible =
        element_of(event).is_some_and(|element| element.matches(":focus-visible").unwrap_or(false));
    let target = target_of(desk, event).filter(|_| visible);
    set(desk, |focus| focus.keyboard = target);
    if let Some(Target::Chunk(_) | Target::Token(_)) = target {
        bring_into_view(desk);
    }
}

/// The keyboard focus left.
pub fn focus_out(desk: Desk) {
    set(desk, |focus| focus.keyboard = None);
}

/// A click pins what it hits; on nothing, it lets go. A badge pins its sentence and leads to its source.
pub fn click(desk: Desk, event: &MouseEvent) {
    let Some(element) = element_of(event) else {
        return;
    };
    if element.closest("[data-badge]").ok().flatten().is_some() {
        event.prevent_default();
        if let Some(target) = target_in(desk, &element) {
            set(desk, |focus| focus.pin = Some(target));
            if let Some(unit) = element
                .closest("[data-badge]")
                .ok()
                .flatten()
                .and_then(|b| b.get_attribute("href"))
            {
                lead_to(unit.trim_start_matches('#'));
            }
        }
        return;
    }
    match target_in(desk, &element) {
        Some(target) => {
            // Releasing by mouse must not leave the sentence lit by the focus that the click gave it.
            set(desk, |focus| {
                focus.toggle_pin(target);
                focus.keyboard = None;
            });
        }
        None => {
            let busy = element
                .closest(".peek,.panel,a,button,input,label,summary,video,audio,select,textarea")
                .ok()
                .flatten();
            if busy.is_none() {
                set(desk, |focus| focus.pin = None);
            }
        }
    }
}

fn lead_to(id: &str) {
    if let Some(element) = document().get_element_by_id(id) {
        super::edge::scroll_to(&element);
    }
}

/// The magnifier shows something else: the address holds it.
pub fn zoomed(desk: Desk, event: &Event) {
    let zoom = element_of(event).and_then(|element| element.get_attribute("data-zoom"));
    desk.zoom.set(zoom.filter(|zoom| !zoom.is_empty()));
}

/// Arrow keys move, Enter pins, Space plays the cited seconds.
pub fn key(desk: Desk, event: &KeyboardEvent) {
    if event.ctrl_key() || event.alt_key() || event.meta_key() {
        return;
    }
    let Some(element) = element_of(event) else {
        return;
    };
    let by = match event.key().as_str() {
        "ArrowRight" | "ArrowDown" => 1,
        "ArrowLeft" | "ArrowUp" => -1,
        _ => 0,
    };
    // Only the chunk or unit itself: a slider or a player inside the trace keeps its own keys.
    let own = ["data-chunk", "data-unit", "data-token"]
        .iter()
        .any(|name| element.has_attribute(name));
    let Some(target) = target_in(desk, &element).filter(|_| own) else {
        return;
    };
    if by != 0 {
        event.prevent_default();
        move_on(desk, target, by, &element);
        return;
    }
    let button = element.tag_name() == "BUTTON";
    match event.key().as_str() {
        "Enter" if !button => {
            event.prevent_default();
            set(desk, |focus| focus.toggle_pin(target));
        }
        " " => {
            event.prevent_default();
            if let Some(play) = first_interval(desk, target) {
                desk.play.set(Some(play));
            } else {
                set(desk, |focus| focus.toggle_pin(target));
            }
        }
        _ => {}
    }
}

fn move_on(desk: Desk, target: Target, by: i32, from: &Element) {
    let pinned = desk.focus.with_untracked(|focus| focus.pin.is_some());
    match target {
        Target::Token(token) => {
            let next = token.saturating_add_signed(by);
            focus_on(from, &format!("[data-token=\"{next}\"]"));
        }
        Target::Chunk(chunk) => {
            let count = desk.shown.with_untracked(|shown| shown.chunks.len() as u32);
            let Some(next) = step(Some(chunk), by, count) else {
                return;
            };
            if pinned {
                set(desk, |focus| focus.pin = Some(Target::Chunk(next)));
            }
            focus_on(from, &format!("[data-chunk=\"{next}\"]"));
        }
        Target::Unit(unit) => {
            let next = desk.prompt.with_untracked(|prompt| {
                let next = unit.saturating_add_signed(by);
                let source = |k: u32| prompt.units.get(k as usize).map(|own| own.source);
                (source(next) == source(unit)).then(|| prompt.units[next as usize].id.clone())
            });
            if let Some(id) = next {
                focus_on(from, &format!("[data-unit=\"{id}\"]"));
            }
        }
    }
}

fn focus_on(from: &Element, selector: &str) {
    let found = from
        .closest(".trace")
        .ok()
        .flatten()
        .and_then(|root| root.query_selector(selector).ok().flatten());
    if let Some(element) = found.and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
        let _ = element.focus();
    }
}

fn first_interval(desk: Desk, target: Target) -> Option<Play> {
    let (source, start_secs, end_secs) = match target {
        Target::Chunk(chunk) => desk.shown.with_untracked(|shown| {
            badges(shown, chunk)
                .into_iter()
                .find_map(|badge| badge.play)
        })?,
        Target::Token(_) => return None,
        Target::Unit(unit) => desk.prompt.with_untracked(|prompt| {
            let own = prompt.units.get(unit as usize)?;
            match own.extent {
                attribution::record::Extent::Time {
                    start_secs,
                    end_secs,
                    ..
                } => Some((own.source, start_secs, end_secs)),
                _ => None,
            }
        })?,
    };
    Some(Play {
        source,
        start_secs,
        end_secs,
    })
}

/// Esc lets go, wherever the keyboard focus is.
pub fn release_on_escape(desk: Desk) {
    Effect::new(move |_| {
        let handle = window_event_listener(leptos::ev::keydown, move |event| {
            if event.key() == "Escape" {
                set(desk, crate::focus::Focus::release);
            }
        });
        on_cleanup(move || handle.remove());
    });
}
