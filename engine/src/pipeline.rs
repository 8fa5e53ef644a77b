//! The flow of one trace, top to bottom: decode, lay out, encode, prefill, generate with taps, chunk, curate, record.
//! In: a model and a request. Out: events while it runs, and an [`Outcome`] with the record.

use std::ops::ControlFlow;

use attribution::event::TraceEvent;
use attribution::live::{ClosedChunk, LiveTrace};
use attribution::record::{
    ChildOf, Finish, RECORD_VERSION, Receipt, Record, Settings, SourceRole, Stage,
};
use candle_core::Tensor;

use crate::detokenize::Detokenizer;
use crate::faithfulness::rescore;
use crate::follow::Follower;
use crate::generate::generate_among;
use crate::looks;
use crate::model::{DecodedSource, DecodedTurn, Encoded, Family, Prompt};
use crate::sources::SourceDecoder;
use crate::{Company, EngineError, Item, Model, Outcome, RawScores, TraceRequest};

/// Generates an answer and traces it.
///
/// `observe` is called between decode steps; once it returns `Break` it is not called again, and the record of what
/// was generated so far comes back with [`Finish::Stopped`].
pub fn trace(
    model: &Model,
    request: &TraceRequest,
    observe: &mut dyn FnMut(TraceEvent) -> ControlFlow<()>,
) -> Result<Outcome, EngineError> {
    let company = Company::new();
    company.alone(trace_among(&company, model, request, observe))
}

/// [`trace`] in company: it waits for its decode steps, which are taken with those of the others, with the same result.
pub async fn trace_among<'m>(
    company: &Company<'m>,
    model: &'m Model,
    request: &TraceRequest,
    observe: &mut dyn FnMut(TraceEvent) -> ControlFlow<()>,
) -> Result<Outcome, EngineError> {
    let mut events = Events {
        observe,
        stopped: false,
    };
    let options = &request.options;
    let family = model.family.as_ref();

    let mut decoder = SourceDecoder::new(model, request);
    let turns = decode(request, &mut decoder, &mut events)?;
    let mut prompt = family.assemble(turns, request.system.as_deref(), &options.settings)?;
    check_length(model, &prompt, options.decoding.max_new_tokens)?;
    let kept = kept(&prompt, &request.without)?;
    events.send(TraceEvent::Sources {
        sources: prompt.layout.sources.clone(),
        units: prompt.layout.units.clone(),
    });

    let mut live = LiveTrace::in_chunks(
        &prompt.layout,
        options.method.clone(),
        options.settings.chunk,
    );
    let mut scores = options.keep_scores.then(|| RawScores {
        prompt: prompt.ids.len(),
        ..RawScores::default()
    });
    let (generated_ids, finish) = answer(
        company,
        model,
        request,
        (&prompt, kept.as_deref()),
        &mut live,
        &mut scores,
        &mut events,
    )
    .await?;
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
            settings: Some(Settings {
                system: request.system.clone().unwrap_or_default(),
                turns: std::mem::take(&mut prompt.turns),
                ..options.settings.clone()
            }),
            prompt_tokens: prompt.ids.len() as u32,
            created_unix_secs: 0,
            stage_secs: Vec::new(),
            finish,
        },
        child_of: kept.map(|_| ChildOf {
            id: String::new(),
            without: ascending(&request.without),
        }),
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

/// Every turn's items and the prompt text, decoded in the order in which the model reads them.
fn decode(
    request: &TraceRequest,
    decoder: &mut SourceDecoder<'_>,
    events: &mut Events<'_>,
) -> Result<Vec<DecodedTurn>, EngineError> {
    if request.prompt.is_empty() && request.items.is_empty() {
        return Err(EngineError::Request(
            "there is neither a prompt nor an item".to_owned(),
        ));
    }
    let earlier = request
        .history
        .iter()
        .map(|turn| turn.items.len())
        .sum::<usize>();
    let total = earlier + request.items.len();
    let mut number = 0;
    let mut next = |item: &Item| {
        number += 1;
        let source = decoder.decode(number, item)?;
        events.progress(Stage::Decode, number, total);
        Ok::<_, EngineError>(source)
    };
    let mut turns = Vec::with_capacity(request.history.len() + 1);
    for turn in &request.history {
        if turn.assistant && turn.items.iter().any(|item| !matches!(item, Item::Text(_))) {
            return Err(EngineError::Request(
                "a turn of the assistant holds text only".to_owned(),
            ));
        }
        turns.push(DecodedTurn {
            assistant: turn.assistant,
            sources: turn.items.iter().map(&mut next).collect::<Result<_, _>>()?,
        });
    }
    // The package puts the sound or the film of its own samples before the instruction.
    let package_order = request.options.settings.package_order;
    let timed = |item: &&Item| matches!(item, Item::Audio(_) | Item::Video(_));
    let (first, rest): (Vec<&Item>, Vec<&Item>) = request
        .items
        .iter()
        .partition(|item| package_order && timed(item));
    let mut sources = Vec::with_capacity(request.items.len() + 1);
    for item in first {
        sources.push(next(item)?);
    }
    if !request.prompt.is_empty() {
        sources.push(DecodedSource::Text {
            role: SourceRole::Prompt,
            text: request.prompt.clone(),
        });
    }
    for item in rest {
        sources.push(next(item)?);
    }
    turns.push(DecodedTurn {
        assistant: false,
        sources,
    });
    Ok(turns)
}

/// Encodes, prefills and generates; every step goes through `live` as it happens. Of the prompt only the kept positions are
/// run, where not all are: absence is a mask, as in [`crate::faithfulness`].
async fn answer<'m>(
    company: &Company<'m>,
    model: &'m Model,
    request: &TraceRequest,
    (prompt, kept): (&Prompt, Option<&[bool]>),
    live: &mut LiveTrace<'_>,
    scores: &mut Option<RawScores>,
    events: &mut Events<'_>,
) -> Result<(Vec<u32>, Finish), EngineError> {
    let (family, decoding) = (model.family.as_ref(), &request.options.decoding);
    let Some((embeds, encoded)) = embed(family, prompt, events)? else {
        return Ok((Vec::new(), Finish::Stopped));
    };
    looks::show(prompt, &encoded, live)?;
    drop(encoded);
    let max_new = decoding.max_new_tokens;
    let part = kept.map(|kept| rescore::without(prompt, &embeds, kept));
    let part = part.transpose()?;
    let (run, embeds) = match &part {
        Some((run, embeds)) => (run, embeds),
        None => (prompt, &embeds),
    };
    let started = family.begin(run, embeds, max_new as usize, &mut |done, total| {
        events.progress(Stage::Prefill, done, total);
        !events.stopped
    })?;
    let Some(session) = started else {
        return Ok((Vec::new(), Finish::Stopped));
    };
    events.progress(Stage::Generate, 0, max_new as usize);
    if events.stopped {
        return Ok((Vec::new(), Finish::Stopped));
    }
    let mut detokenizer = Detokenizer::new(&model.tokenizer);
    let mut follower = Follower::new(&prompt.layout, kept);
    let mut index = 0;
    // Tokens that wait for their signals.
    let mut waiting: Vec<(u32, String)> = Vec::new();
    generate_among(
        company,
        session,
        family.seen_by_ngram_rule(&run.ids),
        family.end_ids(),
        decoding,
        &mut |step| {
            follower.push(step.session, step.id)?;
            let mut text = detokenizer.push(step.id);
            let ends = family.end_ids().contains(&step.id) || index + 1 == max_new;
            if ends {
                text += &detokenizer.finish();
            }
            events.send(TraceEvent::Token {
                index,
                text: text.clone(),
            });
            // A chunk may be over: on a slow model nobody shall wait for further tokens to see its sources.
            let closes = !text.is_empty() && waiting.iter().any(|(_, text)| may_end(text));
            waiting.push((step.id, text));
            index += 1;
            let now = ends || closes || events.stopped;
            let steps = follower.complete(step.session, now)?;
            let traced = waiting.drain(..steps.len());
            for ((id, text), step) in traced.zip(steps) {
                if let Some(scores) = scores.as_mut() {
                    scores.push(&step);
                }
                let closed = live.push(id, &text, step.signals());
                for chunk in closed.map_err(attribution_error)? {
                    events.send(chunk_event(chunk));
                }
            }
            Ok(if events.stopped {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        },
    )
    .await
}

/// Whether a chunk may end within this text: where none does, its sources only come a little sooner than they must.
fn may_end(text: &str) -> bool {
    let ends = |own: char| !own.is_alphanumeric() && !matches!(own, ' ' | ',' | '\'' | '-');
    text.contains(ends)
}

/// Per prompt position: whether it stays; none where everything does.
fn kept(prompt: &Prompt, without: &[u32]) -> Result<Option<Vec<bool>>, EngineError> {
    let known = prompt.layout.units.len();
    if let Some(unit) = without.iter().find(|unit| **unit as usize >= known) {
        return Err(EngineError::Request(format!(
            "there is no unit {unit} to leave out: the prompt has {known}, counted from 0"
        )));
    }
    Ok((!without.is_empty()).then(|| rescore::kept(prompt, without)))
}

fn ascending(units: &[u32]) -> Vec<u32> {
    let mut units = units.to_vec();
    units.sort_unstable();
    units.dedup();
    units
}

/// Everything before prefill: the prompt of a request, laid out and embedded.
pub(crate) fn prepare(
    model: &Model,
    request: &TraceRequest,
) -> Result<(Prompt, Tensor), EngineError> {
    let mut events = Events {
        observe: &mut |_| ControlFlow::Continue(()),
        stopped: false,
    };
    let family = model.family.as_ref();
    let turns = decode(
        request,
        &mut SourceDecoder::new(model, request),
        &mut events,
    )?;
    let settings = &request.options.settings;
    let prompt = family.assemble(turns, request.system.as_deref(), settings)?;
    let embeds = embed(family, &prompt, &mut events)?;
    let stopped = || EngineError::Request("encoding was stopped".to_owned());
    Ok((prompt, embeds.ok_or_else(stopped)?.0))
}

/// Encodes the prompt's inputs and puts them in their places; `None` where someone said stop.
fn embed(
    family: &dyn Family,
    prompt: &Prompt,
    events: &mut Events<'_>,
) -> Result<Option<(Tensor, Vec<Encoded>)>, EngineError> {
    let mut encoded = Vec::with_capacity(prompt.inputs.len());
    for (index, input) in prompt.inputs.iter().enumerate() {
        if events.stopped {
            return Ok(None);
        }
        encoded.push(family.encode(input, &mut |_, _| {})?);
        events.progress(Stage::Encode, index + 1, prompt.inputs.len());
    }
    let embeds = family.embed(prompt, &encoded)?;
    Ok(Some((embeds, encoded)))
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
