//! The link to what is seen: the pinned sentence stands in the URL.
//! In: the focus. Out: `?s=k`, and a button that copies it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

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

/// What became of the last press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copied {
    No,
    Yes,
    /// No clipboard (a page without https has none), or the visitor said no.
    Refused,
}

/// "Copy link": to the pinned sentence where there is one.
#[component]
pub fn CopyLink() -> impl IntoView {
    let desk = Desk::around();
    let copied = RwSignal::new(Copied::No);
    let copy = move |_| {
        let clipboard = window().navigator().clipboard();
        let (Ok(url), false) = (
            window().location().href(),
            AsRef::<JsValue>::as_ref(&clipboard).is_undefined(),
        ) else {
            copied.set(Copied::Refused);
            return;
        };
        spawn_local(async move {
            let done = JsFuture::from(clipboard.write_text(&url)).await;
            let _ = copied.try_set(if done.is_ok() {
                Copied::Yes
            } else {
                Copied::Refused
            });
            let again = move || {
                let _ = copied.try_set(Copied::No);
            };
            set_timeout(again, std::time::Duration::from_secs(3));
        });
    };
    let words = move || match (copied.get(), desk.focus.with(|focus| focus.pinned_chunk())) {
        (Copied::Yes, _) => "Link copied".to_owned(),
        (Copied::Refused, _) => "Copy it from the address bar".to_owned(),
        (Copied::No, Some(chunk)) => format!("Copy link to sentence {}", chunk + 1),
        (Copied::No, None) => "Copy link".to_owned(),
    };
    view! { <button type="button" class="button small needs-js" on:click=copy><span aria-live="polite">{words}</span></button> }
}
