//! The flow of one trace, top to bottom: decode, lay out, encode, prefill, generate with taps, chunk, curate, record.
//! In: a model and a request. Out: events while it runs, and an [`Outcome`] with the record.

use std::ops::ControlFlow;

use attribution::event::TraceEvent;
use attribution::live::{ClosedChunk, LiveTrace};
use attribution::record::{Finish, RECORD_VERSION, Receipt, Record, SourceRole, Stage};

use crate::detokenize::Detokenizer;
use crate::generate::generate;
use crate::model::{DecodedSource, Prompt};
use crate::sources::SourceDecoder;
use crate::{EngineError, Model, Outcome, RawScores, TraceRequest};

/// Generates an answer and traces it.
///
/// `observe` is called between decode steps; once it returns `Break` it is not called again, and the record of what
/// was generated so far comes back with [`Finish::Stopped`].
pub fn trace(
    model: &Model,
    request: &TraceRequest,
    observe: &mut dyn FnMut(TraceEvent) -> ControlFlow<()>,
) -> Result<Outcome, EngineError> {
    let mut events = Events {
        observe,
        stopped: false,
    };
    let options = &request.options;
    let family = model.family.as_ref();

    let mut decoder = SourceDecoder::new(family, options);
    let sources = decode(request, &mut decoder, &mut events)?;
    let prompt = family.assemble(sources, None)?;
    check_length(model, &prompt, options.decoding.max_new_tokens)?;
    events.send(TraceEvent::Sources {
        sources: prompt.layout.sources.clone(),
        units: prompt.layout.units.clone(),
    });

    let mut live = LiveTrace::new(&prompt.layout, options.method.clone());
    let mut scores = options.keep_scores.then(|| RawScores {
        prompt: prompt.ids.len(),
        ..RawScores::default()
    });
    let (generated_ids, finish) =
        answer(model, request, &prompt, &mut live, &mut scores, &mut events)?;
    let (closed, generated) = live.finish().map_err(attribution_error)?;
    for chunk in closed {
        events.send(chunk_event(chunk));
    }

    let record = Record {
        version: RECORD_VERSION,
        id: String::new(),
        sources: prompt.layout.sources,
        units: prompt.layout.units,
        response: generated.response,
        tokens: generated.tokens,
        chunks: generated.chunks,
        signals: generated.signals,
        method: options.method.clone(),
        attributions: generated.attributions,
        warnings: decoder
            .warnings
            .into_iter()
            .chain(prompt.warnings)
            .collect(),
        receipt: Receipt {
            model: model.name.clone(),
            model_hash: model.hash.clone(),
            dtype: model.precision.name().to_owned(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            decoding: options.decoding.clone(),
            prompt_tokens: prompt.ids.len() as u32,
            created_unix_secs: 0,
            stage_secs: Vec::new(),
            finish,
        },
    };
    Ok(Outcome {
        record,
        derived_media: decoder.derived_media,
        input_ids: prompt.ids,
        unit_of: prompt.layout.unit_of,
        generated_ids,
        scores,
    })
}

/// The prompt text and every item, decoded in order.
fn decode(
    request: &TraceRequest,
    decoder: &mut SourceDecoder<'_>,
    events: &mut Events<'_>,
) -> Result<Vec<DecodedSource>, EngineError> {
    if request.prompt.is_empty() && request.items.is_empty() {
        return Err(EngineError::Request(
            "there is neither a prompt nor an item".to_owned(),
        ));
    }
    let mut sources = Vec::with_capacity(request.items.len() + 1);
    if !request.prompt.is_empty() {
        sources.push(DecodedSource::Text {
            role: SourceRole::Prompt,
            text: request.prompt.clone(),
        });
    }
    for (index, item) in request.items.iter().enumerate() {
        sources.push(decoder.decode(index + 1, item)?);
        events.progress(Stage::Decode, index + 1, request.items.len());
    }
    Ok(sources)
}

/// Encodes, prefills and generates; every step goes through `live` as it happens.
fn answer(
    model: &Model,
    request: &TraceRequest,
    prompt: &Prompt,
    live: &mut LiveTrace<'_>,
    scores: &mut Option<RawScores>,
    events: &mut Events<'_>,
) -> Result<(Vec<u32>, Finish), EngineError> {
    let (family, decoding) = (model.family.as_ref(), &request.options.decoding);
    let mut encoded = Vec::with_capacity(prompt.inputs.len());
    for (index, input) in prompt.inputs.iter().enumerate() {
        if events.stopped {
            return Ok((Vec::new(), Finish::Stopped));
        }
        encoded.push(family.encode(input, &mut |_, _| {})?);
        events.progress(Stage::Encode, index + 1, prompt.inputs.len());
    }
    let embeds = family.embed(prompt, &encoded)?;
    drop(encoded);
    let max_new = decoding.max_new_tokens;
    let started = family.begin(prompt, &embeds, max_new as usize, &mut |done, total| {
        events.progress(Stage::Prefill, done, total);
        !events.stopped
    })?;
    let Some(mut session) = started else {
        return Ok((Vec::new(), Finish::Stopped));
    };
    events.progress(Stage::Generate, 0, max_new as usize);
    if events.stopped {
        return Ok((Vec::new(), Finish::Stopped));
    }
    let mut detokenizer = Detokenizer::new(&model.tokenizer);
    let mut index = 0;
    generate(
        session.as_mut(),
        &prompt.ids,
        family.end_ids(),
        decoding,
        &mut |step| {
            let mut text = detokenizer.push(step.id);
            if family.end_ids().contains(&step.id) || index + 1 == max_new {
                text += &detokenizer.finish();
            }
            if let Some(scores) = scores.as_mut() {
                scores.push(&step.scores);
            }
            let signals = [
                &step.scores.attmean[..],
                &step.scores.attraw,
                &step.scores.attgrads,
            ];
            let closed = live
                .push(step.id, &text, signals)
                .map_err(attribution_error)?;
            events.send(TraceEvent::Token { index, text });
            for chunk in closed {
                events.send(chunk_event(chunk));
            }
            index += 1;
            Ok(if events.stopped {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        },
    )
}

fn check_length(model: &Model, prompt: &Prompt, max_new_tokens: u32) -> Result<(), EngineError> {
    let (length, most) = (
        prompt.ids.len() + max_new_tokens as usize,
        model.family.max_positions(),
    );
    if length > most {
        return Err(EngineError::Request(format!(
            "the prompt has {} tokens and the answer may have {max_new_tokens}: together more than the {most} \
             that the model can read. Send shorter or fewer sources",
            prompt.ids.len()
        )));
    }
    Ok(())
}

fn chunk_event(closed: ClosedChunk) -> TraceEvent {
    let ClosedChunk {
        index,
        chunk,
        attribution,
        heat,
    } = closed;
    TraceEvent::Chunk {
        index,
        chunk,
        attribution,
        heat,
    }
}

fn attribution_error(error: attribution::AttributionError) -> EngineError {
    EngineError::Request(error.to_string())
}

/// Sends events until someone says stop.
struct Events<'a> {
    observe: &'a mut dyn FnMut(TraceEvent) -> ControlFlow<()>,
    stopped: bool,
}

impl Events<'_> {
    fn send(&mut self, event: TraceEvent) {
        if !self.stopped {
            self.stopped = (self.observe)(event).is_break();
        }
    }

    fn progress(&mut self, stage: Stage, done: usize, total: usize) {
        self.send(TraceEvent::Progress {
            stage,
            done: done as u32,
            total: total as u32,
        });
    }
}
