//! One source unit as a focusable mark over its source. `painter` changes it when something lights up.

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
    let state = desk.unit_state(index);
    view! {
        <button
            type="button"
            class=if state.cited { format!("{class} cited") } else { class.to_owned() }
            id=desk.unit_dom_id(&id)
            data-unit=id
            data-lit=state.lit.then_some("")
            tabindex=state.tab_index
            aria-label=state.spoken
            style=style
        ></button>
    }
    .into_any()
}
