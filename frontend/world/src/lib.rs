//! The wasm module of `/world`: compose a sample of the synthetic world with the `world` crate itself.
//! In: what a visitor places, arranges and asks. Out: a specification, sent to `POST /api/world`; the server renders it again.

#![recursion_limit = "512"]

mod ask;
mod bench;
mod conversation;
mod film;
mod mixed;
mod paint;
mod picture;
mod said;
mod sound;
mod starters;
mod track;

use leptos::mount::mount_to;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::HtmlElement;

/// Called by `/boot.js` once the module is there.
#[wasm_bindgen]
pub fn wake() {
    let part = document().query_selector("[data-alive=world]");
    let part = part.ok().flatten().and_then(|part| part.dyn_into().ok());
    if let Some(part) = part {
        let part: HtmlElement = part;
        part.set_inner_html("");
        mount_to(part, || view! { <bench::Composer/> }).forget();
    }
    if let Some(root) = document().document_element() {
        let _ = root.set_attribute("data-hydrated", "");
    }
}
