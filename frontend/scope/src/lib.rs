//! The wasm entry of the magnifier over time lines. A module of its own: it comes when someone reaches for one.

use wasm_bindgen::prelude::wasm_bindgen;

/// Called by `/boot.js` once per `[data-scope]` element.
#[wasm_bindgen]
pub fn draw(element: web_sys::HtmlElement) {
    app::scope::draw_scope(element);
}
