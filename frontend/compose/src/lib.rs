//! The wasm entry of the composer. A module of its own: who reads a trace does not load it.

use wasm_bindgen::prelude::wasm_bindgen;

/// Called by `/boot.js` once the module is there.
#[wasm_bindgen]
pub fn wake() {
    app::wake_composer();
}
