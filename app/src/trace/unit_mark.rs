//! One source unit as a focusable mark over its source.

use leptos::prelude::*;

use super::desk::Desk;

/// A `[data-unit]` button: a bin of a time line, a region of a picture.
#[component]
pub fn UnitMark(
    /// Index into the prompt's units.
    index: u32,
    /// The unit's name in the record.
    id: String,
    /// What kind of mark it is, for the stylesheet.
    class: &'static str,
    /// Where it lies, as inline style.
    style: String,
) -> impl IntoView {
    let desk = Desk::around();
    view! {
        <button
            type="button"
            class=class
            class:cited=move || desk.cited(index)
            id=format!("u-{id}")
            data-unit=id
            data-lit=move || desk.unit_lit(index)
            tabindex=move || desk.tab_index(index)
            aria-label=move || desk.spoken(index)
            style=style
        ></button>
    }
}
