//! The flow of one trace, top to bottom: decode, lay out, encode, prefill, generate with taps, chunk, curate, record.

// pub fn trace(model: &Model, request: &TraceRequest, observe: &mut dyn FnMut(TraceEvent) -> std::ops::ControlFlow<()>) -> Result<Outcome, EngineError>
// `observe` is called between decode steps; Break stops within one step and yields a record with Finish::Stopped.
