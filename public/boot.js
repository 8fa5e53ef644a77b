// Starts the page's wasm. A file, not an inline script, so that the content security policy stays strict.
import init, { hydrate } from "/pkg/omnitrace.js";
await init({ module_or_path: "/pkg/omnitrace_bg.wasm" });
hydrate();
