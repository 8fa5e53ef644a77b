//! The wasm entry: hydrates the page and nothing else.
