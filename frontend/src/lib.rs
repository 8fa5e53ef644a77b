//! The wasm entry: hydrates the page and nothing else.

use wasm_bindgen::prelude::wasm_bindgen;

/// Called by `/boot.js` once the module is there.
#[wasm_bindgen]
pub fn hydrate() {
    leptos::mount::hydrate_body(app::App);
}
