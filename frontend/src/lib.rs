//! The wasm entry of pages that show traces: brings them to life and nothing else.

use wasm_bindgen::prelude::wasm_bindgen;

/// Called by `/boot.js` once the module is there.
#[wasm_bindgen]
pub fn wake() {
    app::wake_traces();
}
