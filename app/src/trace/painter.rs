//! What is lit and cited, written to the units' elements: only to those where something changed.
//! In: the highlight and who cites whom. Out: `data-lit`, `cited`, names and tab order of unit elements.
//!
//! A film of an hour has thousands of units. If each of them listened to the highlight, pointing at a sentence would wake
//! all; so they are rendered as they are, and one effect per trace changes the few that differ.

use leptos::prelude::*;
use web_sys::{Element, HtmlElement};

use super::desk::Desk;
use crate::focus::{FocusIndex, Highlight, Target};

/// Keeps the units of a trace painted. Runs in the browser only, as all effects do.
pub fn paint_units(desk: Desk) {
    Effect::new(move |before: Option<Highlight>| {
        let now = desk.lit.get();
        let before = before.unwrap_or_default();
        for &unit in before.units.iter().filter(|unit| !now.unit(**unit)) {
            with_element(desk, unit, |element| {
                let _ = element.remove_attribute("data-lit");
            });
        }
        for &unit in now.units.iter().filter(|unit| !before.unit(**unit)) {
            with_element(desk, unit, |element| {
                let _ = element.set_attribute("data-lit", "");
            });
        }
        let of_token = |lit: &Highlight| matches!(lit.active, Some(Target::Token(_)));
        if of_token(&before) || of_token(&now) {
            for &unit in before.units.iter().chain(&now.units) {
                with_element(desk, unit, |element| {
                    paint_share(element, desk.token_share(unit))
                });
            }
        }
        now
    });
    Effect::new(move |before: Option<FocusIndex>| {
        let now = desk.index.get();
        let before = before.unwrap_or_default();
        let units = desk.prompt.with(|prompt| prompt.units.len() as u32);
        for unit in (0..units).filter(|unit| now.chunks_of(*unit) != before.chunks_of(*unit)) {
            with_element(desk, unit, |element| {
                let cited = !now.chunks_of(unit).is_empty();
                let _ = element.class_list().toggle_with_force("cited", cited);
                let _ = element.set_attribute("tabindex", if cited { "0" } else { "-1" });
                let _ = element.set_attribute("aria-label", &desk.spoken(unit));
            });
        }
        now
    });
}

/// How much of the token that is pointed at the unit holds.
fn paint_share(element: &Element, share: Option<f64>) {
    use wasm_bindgen::JsCast;
    let Some(element) = element.dyn_ref::<HtmlElement>() else {
        return;
    };
    match share {
        Some(share) => {
            let _ = element.style().set_property("--m", &format!("{share:.3}"));
            let _ = element.set_attribute("data-share", &format!("{:.0} %", share * 100.0));
        }
        None => {
            let _ = element.style().remove_property("--m");
            let _ = element.remove_attribute("data-share");
        }
    }
}

fn with_element(desk: Desk, unit: u32, change: impl FnOnce(&Element)) {
    let id = desk.prompt.with_untracked(|prompt| {
        prompt
            .units
            .get(unit as usize)
            .map(|own| desk.unit_dom_id(&own.id))
    });
    if let Some(element) = id.and_then(|id| document().get_element_by_id(&id)) {
        change(&element);
    }
}
