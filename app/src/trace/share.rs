//! The link to what is seen: the pinned sentence stands in the URL.
//! In: the focus. Out: `?s=k`, and a button that copies it.

use leptos::prelude::*;
use wasm_bindgen::JsValue;

use super::desk::Desk;

/// Keeps `?s=k` in the address while a sentence is pinned. The first run changes nothing: the URL made the state.
pub fn keep_url(desk: Desk) {
    let pinned = Memo::new(move |_| desk.focus.with(|focus| focus.pinned_chunk()));
    Effect::new(move |before: Option<()>| {
        let pinned = pinned.get();
        if before.is_none() {
            return;
        }
        let location = window().location();
        let path = location.pathname().unwrap_or_default();
        let url = pinned.map_or(path.clone(), |chunk| format!("{path}?s={chunk}"));
        if let Ok(history) = window().history() {
            let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&url));
        }
    });
}

/// "Copy link": to the pinned sentence where there is one.
#[component]
pub fn CopyLink() -> impl IntoView {
    let desk = Desk::around();
    let copied = RwSignal::new(false);
    let copy = move |_| {
        if let Ok(url) = window().location().href() {
            let _ = window().navigator().clipboard().write_text(&url);
            copied.set(true);
            set_timeout(
                move || {
                    let _ = copied.try_set(false);
                },
                std::time::Duration::from_secs(2),
            );
        }
    };
    let words = move || match (copied.get(), desk.focus.with(|focus| focus.pinned_chunk())) {
        (true, _) => "Link copied".to_owned(),
        (false, Some(chunk)) => format!("Copy link to sentence {}", chunk + 1),
        (false, None) => "Copy link".to_owned(),
    };
    view! { <button type="button" class="button small needs-js" on:click=copy><span aria-live="polite">{words}</span></button> }
}
