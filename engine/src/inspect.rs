//! Every intermediate quantity of one generation, for comparing an implementation with another.
//! In: decoded sources. Out: ids, positions, features, embeddings, logits and raw signals.

use std::ops::ControlFlow;

use attribution::record::{Decoding, Grid, Settings, SourceItem, SourceRole};
use attribution::time::TimeBins;
use candle_core::DType;

use crate::follow::Follower;
use crate::generate::generate;
use crate::model::{DecodedSource, DecodedTurn, EncoderInput, Sound};
pub use crate::preprocess::Rgb;
pub use crate::preprocess::mel::Mel;
pub use crate::preprocess::patches::Patches;
pub use crate::preprocess::resample::resample;
use crate::{EngineError, Model, RawScores};

/// A source, already decoded.
#[derive(Debug, Clone)]
pub enum InspectSource {
    /// Text.
    Text(String),
    /// A picture.
    Image(Rgb),
    /// Mono sound and its rate.
    Audio(Vec<f32>, u32),
    /// The frames that the model sees, mono sound with its rate, and the film's seconds.
    Film(Vec<Rgb>, Option<(Vec<f32>, u32)>, f64),
    /// What follows belongs to a further turn; whether the model wrote it.
    Turn(bool),
}

/// Everything between sources and answer. Matrices are row-major.
#[derive(Debug)]
pub struct Inspection {
    /// Placeholders repeated.
    pub input_ids: Vec<u32>,
    /// Time, height, width of each.
    pub positions: Vec<[u32; 3]>,
    /// Unit of each, none where it is special or untraceable.
    pub unit_of: Vec<Option<u32>>,
    /// Of each sound, films' sounds included, in prompt order.
    pub mels: Vec<Mel>,
    /// Of each picture and film, in prompt order.
    pub patches: Vec<Patches>,
    /// Encoder outputs in prompt order: `[tokens, hidden]`; a film's pictures stand before its sound.
    pub embeds: Vec<Vec<f32>>,
    /// `[P, hidden]`
    pub inputs_embeds: Vec<f32>,
    /// Per step `[vocabulary]`, before any rule.
    pub logits: Vec<Vec<f32>>,
    /// The end id included.
    pub generated_ids: Vec<u32>,
    /// `[T, P]` each.
    pub scores: RawScores,
}

/// Which frames of a film of `frames` at `fps` a model sees.
pub fn frame_indices(model: &Model, frames: usize, fps: f64) -> Vec<usize> {
    model
        .family
        .frame_indices(frames, fps, &Settings::default())
}

/// Runs one generation and keeps everything.
pub fn inspect(
    model: &Model,
    sources: Vec<InspectSource>,
    system: Option<&str>,
    decoding: &Decoding,
) -> Result<Inspection, EngineError> {
    let begun = |assistant| DecodedTurn {
        assistant,
        sources: Vec::new(),
    };
    let (mut turns, mut turn) = (Vec::new(), begun(false));
    for source in sources {
        if let InspectSource::Turn(assistant) = source {
            turns.push(std::mem::replace(&mut turn, begun(assistant)));
        } else {
            turn.sources.extend(decoded(model, source)?);
        }
    }
    turns.push(turn);
    let prompt = model.family.assemble(turns, system, &Settings::default())?;
    let encoded = prompt
        .inputs
        .iter()
        .map(|input| model.family.encode(input, &mut |_, _| {}))
        .collect::<Result<Vec<_>, _>>()?;
    let embeds = model.family.embed(&prompt, &encoded)?;
    let flat =
        |tensor: &candle_core::Tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
    let max_new = decoding.max_new_tokens as usize;
    let session = model
        .family
        .begin(&prompt, &embeds, max_new, &mut |_, _| true)?
        .ok_or_else(|| EngineError::Request("stopped".to_owned()))?;
    let mut scores = RawScores {
        prompt: prompt.ids.len(),
        ..RawScores::default()
    };
    let mut logits = Vec::new();
    let mut follower = Follower::new(&prompt.layout, None);
    let (generated_ids, _) = generate(
        session,
        model.family.seen_by_ngram_rule(&prompt.ids),
        model.family.end_ids(),
        decoding,
        &mut |step| {
            logits.push(step.session.logits().to_vec());
            follower.push(step.session, step.id)?;
            let steps = follower.complete(step.session, true)?;
            steps.iter().for_each(|step| scores.push(step));
            Ok(ControlFlow::Continue(()))
        },
    )?;
    let embeds_flat = encoded
        .iter()
        .filter_map(|one| one.embeds.as_ref())
        .map(flat)
        .collect::<Result<_, _>>()?;
    let inputs_embeds = flat(&embeds)?;
    let (mut mels, mut patches) = (Vec::new(), Vec::new());
    for input in prompt.inputs {
        match input {
            EncoderInput::Sounds(sounds) => mels.extend(sounds),
            EncoderInput::Patches { patches: cut, .. } => patches.push(cut),
        }
    }
    Ok(Inspection {
        input_ids: prompt.ids,
        positions: prompt.positions,
        unit_of: prompt.layout.unit_of,
        mels,
        patches,
        embeds: embeds_flat,
        inputs_embeds,
        logits,
        generated_ids,
        scores,
    })
}

/// Nothing for what is no source.
fn decoded(model: &Model, source: InspectSource) -> Result<Option<DecodedSource>, EngineError> {
    let empty = String::new;
    let grid = Grid { rows: 0, cols: 0 };
    Ok(Some(match source {
        InspectSource::Turn(_) => return Ok(None),
        InspectSource::Text(text) => DecodedSource::Text {
            role: SourceRole::Content,
            text,
        },
        InspectSource::Image(picture) => DecodedSource::Image {
            item: SourceItem::Image {
                media: empty(),
                name: empty(),
                width_px: picture.width_px as u32,
                height_px: picture.height_px as u32,
                grid,
            },
            picture,
        },
        InspectSource::Audio(samples, rate_hz) => {
            let duration_secs = samples.len() as f64 / f64::from(rate_hz);
            let item = SourceItem::Audio {
                media: empty(),
                name: empty(),
                duration_secs,
                peaks: Vec::new(),
                transcript: None,
            };
            DecodedSource::Audio {
                item,
                sound: Sound { samples, rate_hz },
                bins: TimeBins::uniform(duration_secs, 1.0),
            }
        }
        InspectSource::Film(frames, sound, duration_secs) => {
            let (width_px, height_px) = frames.first().map_or((0, 0), |frame| {
                (frame.width_px as u32, frame.height_px as u32)
            });
            let item = SourceItem::Video {
                media: empty(),
                name: empty(),
                duration_secs,
                width_px,
                height_px,
                fps: frames.len() as f64 / duration_secs.max(1e-6),
                grid,
                peaks: Vec::new(),
                thumbnails: Vec::new(),
            };
            let sound = sound.map(|(samples, rate_hz)| Sound { samples, rate_hz });
            let count = frames.len();
            let frames = frames
                .iter()
                .map(|frame| model.family.fit_frame(frame, count, &Settings::default()))
                .collect::<Result<_, _>>()?;
            DecodedSource::Film {
                item,
                frames,
                duration_secs,
                sound,
            }
        }
    }))
}
