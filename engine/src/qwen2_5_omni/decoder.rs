//! The language model of the Thinker on either kind of device, and the generation that runs on it.
//! In: embeddings and TMRoPE positions. Out: a [`Session`] with logits and signals.

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::config::ThinkerConfig;
use super::decoder_device::{DeviceDecoder, DeviceState, StepOutput};
use super::rope::{Position, TimeHeightWidthRope};
use crate::EngineError;
use crate::cpu::{CpuDecoder, CpuState, DecoderShape, RotaryTables, Rows, floats};
use crate::faithfulness::rescore::Answer;
use crate::model::{Prompt, Session};
use crate::signals::{StepScores, Wanted};

/// The language model.
#[derive(Debug)]
pub(crate) struct Decoder {
    body: Body,
    rope: TimeHeightWidthRope,
}

#[derive(Debug)]
enum Body {
    /// Loops of our own over weights as stored.
    Cpu(CpuDecoder),
    /// Tensors on a GPU.
    Device(DeviceDecoder),
}

/// What came of scoring an answer again.
#[derive(Debug)]
pub(crate) enum Rescored {
    /// Per set of rows, per id.
    Done(Vec<Vec<f64>>),
    /// Someone said stop.
    Stopped,
    /// There is no such way here: token by token.
    NotHere,
}

/// A prompt, embedded.
pub(crate) struct Start<'a> {
    /// `[positions, hidden]`
    pub(crate) embeds: &'a Tensor,
    pub(crate) positions: &'a [Position],
    /// Position of the first generated token.
    pub(crate) next_position: u32,
    pub(crate) max_new_tokens: usize,
    pub(crate) wanted: Wanted,
}

impl Decoder {
    pub(crate) fn load(vb: &VarBuilder, config: &ThinkerConfig) -> Result<Self> {
        let text = &config.text_config;
        let body = if vb.device().is_cpu() {
            Body::Cpu(CpuDecoder::load(vb, shape(config))?)
        } else {
            Body::Device(DeviceDecoder::load(vb, config)?)
        };
        Ok(Self {
            body,
            rope: TimeHeightWidthRope::new(
                text.head_dim(),
                text.rope_theta(),
                &text.mrope_section(),
            ),
        })
    }

    /// The same by tensors, on the CPU too: what the loops are tested against.
    #[cfg(test)]
    pub(crate) fn load_as_on_a_device(vb: &VarBuilder, config: &ThinkerConfig) -> Result<Self> {
        Ok(Self {
            body: Body::Device(DeviceDecoder::load(vb, config)?),
            ..Self::load(vb, config)?
        })
    }

    /// `[ids, hidden]`
    pub(crate) fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        match &self.body {
            Body::Cpu(decoder) => {
                let rows = decoder.embed(ids)?;
                Tensor::from_vec(rows, (ids.len(), ()), &Device::Cpu)
            }
            Body::Device(decoder) => decoder.embed(ids),
        }
    }

    /// Bytes of weights that one decode step reads.
    pub(crate) fn step_bytes(&self) -> usize {
        match &self.body {
            Body::Cpu(decoder) => decoder.step_bytes(),
            Body::Device(decoder) => decoder.step_bytes(),
        }
    }

    /// Bytes of keys and values that one decode step reads at `context` positions.
    pub(crate) fn cache_bytes(&self, context: usize) -> usize {
        match &self.body {
            Body::Cpu(decoder) => decoder.cache_bytes(context),
            Body::Device(decoder) => decoder.cache_bytes(context),
        }
    }

    /// A generation after a prompt that was not read: its keys and values are random. On a GPU the prompt is read.
    pub(crate) fn pretend(&self, start: &Start<'_>) -> Result<Option<Box<dyn Session + '_>>> {
        let Body::Cpu(decoder) = &self.body else {
            return self.begin(start, &mut |_, _| true);
        };
        let mut state = decoder.state(start.positions.len(), start.wanted);
        let mut noise = 1u32;
        let rows: Vec<f32> = (0..start.positions.len() * decoder.key_width())
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect();
        state.pretend(&rows);
        Ok(Some(Box::new(CpuSession {
            decoder,
            rope: &self.rope,
            state,
            position: start.next_position,
            start: start.next_position,
        })))
    }

    /// [`crate::model::Family::rescore`] by whole rows; [`Rescored::NotHere`] where the weights are on a GPU.
    pub(crate) fn rescore(
        &self,
        prompt: &Prompt,
        embeds: &Tensor,
        answer: &Answer<'_>,
        kept: &[Vec<bool>],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Rescored> {
        let Body::Cpu(decoder) = &self.body else {
            return Ok(Rescored::NotHere);
        };
        let mut positions = prompt.positions.clone();
        let fed = &answer.ids[..answer.ids.len().saturating_sub(1)];
        positions.extend((prompt.next_position..).zip(fed).map(|(at, _)| [at; 3]));
        let angles = self.rope.angles(&positions);
        let mut rows = floats(embeds)?;
        rows.extend(decoder.embed(fed)?);
        let rows = Rows {
            embeds: &rows,
            rotary: &RotaryTables::new(&angles, self.rope.width()),
            prompt: prompt.positions.len(),
        };
        let scored = decoder.rescore(&rows, answer, kept, go_on);
        Ok(scored.map_or(Rescored::Stopped, Rescored::Done))
    }

    /// Runs the prompt; `layer_done(done, total)` returns whether to go on. `None` when it said no.
    pub(crate) fn begin(
        &self,
        start: &Start<'_>,
        layer_done: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Box<dyn Session + '_>>> {
        match &self.body {
            Body::Cpu(decoder) => {
                let angles = self.rope.angles(start.positions);
                let rotary = RotaryTables::new(&angles, self.rope.width());
                let mut state = decoder.state(start.positions.len(), start.wanted);
                let embeds = floats(start.embeds)?;
                if !decoder.prefill(&mut state, embeds, &rotary, layer_done) {
                    return Ok(None);
                }
                Ok(Some(Box::new(CpuSession {
                    decoder,
                    rope: &self.rope,
                    state,
                    position: start.next_position,
                    start: start.next_position,
                })))
            }
            Body::Device(decoder) => {
                let started = decoder.prefill(start, &self.rope, layer_done)?;
                Ok(started.map(|(state, output)| -> Box<dyn Session + '_> {
                    Box::new(DeviceSession {
                        decoder,
                        rope: &self.rope,
                        state,
                        output,
                        position: start.next_position,
                        start: start.next_position,
                    })
                }))
            }
        }
    }
}

fn shape(config: &ThinkerConfig) -> DecoderShape {
    let text = &config.text_config;
    DecoderShape {
        hidden: text.hidden_size,
        inner: text.intermediate_size,
        layers: text.num_hidden_layers,
        heads: text.num_attention_heads,
        kv_heads: text.num_key_value_heads,
        head_dim: text.head_dim(),
        vocabulary: text.vocab_size,
        norm_eps: text.rms_norm_eps as f32,
        tied: config.tied(),
    }
}

/// One generation on the CPU.
struct CpuSession<'a> {
    decoder: &'a CpuDecoder,
    rope: &'a TimeHeightWidthRope,
    state: CpuState,
    position: u32,
    /// Position of the first generated token.
    start: u32,
}

impl Session for CpuSession<'_> {
    fn logits(&self) -> &[f32] {
        &self.state.logits
    }

    fn signals(&self, chosen: u32) -> std::result::Result<StepScores, EngineError> {
        Ok(self.decoder.signals(&self.state, chosen))
    }

    fn advance(&mut self, chosen: u32) -> std::result::Result<(), EngineError> {
        let angles = self.rope.angles(&[[self.position; 3]]);
        let rotary = RotaryTables::new(&angles, self.rope.width());
        let embed = self.decoder.embed(&[chosen])?;
        self.decoder
            .step(&mut self.state, &embed, rotary.cos(0), rotary.sin(0));
        self.position += 1;
        Ok(())
    }

    fn rewind(&mut self, wanted: Wanted) {
        self.state.rewind(wanted);
        self.position = self.start;
    }
}

/// One generation on a GPU.
struct DeviceSession<'a> {
    decoder: &'a DeviceDecoder,
    rope: &'a TimeHeightWidthRope,
    state: DeviceState,
    output: StepOutput,
    position: u32,
    /// Position of the first generated token.
    start: u32,
}

impl Session for DeviceSession<'_> {
    fn logits(&self) -> &[f32] {
        &self.output.logits
    }

    fn signals(&self, chosen: u32) -> std::result::Result<StepScores, EngineError> {
        Ok(self.decoder.signals(&self.state, &self.output, chosen)?)
    }

    fn advance(&mut self, chosen: u32) -> std::result::Result<(), EngineError> {
        let rotary = self
            .rope
            .tables(&[[self.position; 3]], self.decoder.like())?;
        self.output = self.decoder.step(&mut self.state, chosen, &rotary)?;
        self.position += 1;
        Ok(())
    }

    fn rewind(&mut self, wanted: Wanted) {
        self.state.rewind(wanted);
        self.position = self.start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::BenchShape;
    use crate::load::ModelFiles;
    use candle_core::DType;

    /// Largest difference, in parts of the largest value.
    fn distance(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        let top = a.iter().fold(1e-12f32, |top, x| top.max(x.abs()));
        let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs() / top);
        apart.fold(0.0, f32::max)
    }

    /// Logits and signals of a prompt and two tokens after it.
    fn run(decoder: &Decoder, prompt: usize) -> Vec<(Vec<f32>, StepScores)> {
        let ids: Vec<u32> = (0..prompt as u32).map(|i| i * 37 % 256).collect();
        let positions: Vec<Position> = (0..prompt as u32).map(|i| [i, i / 3, i / 7]).collect();
        let embeds = decoder.embed(&ids).expect("embeds");
        let start = Start {
            embeds: &embeds,
            positions: &positions,
            next_position: prompt as u32,
            max_new_tokens: 4,
            wanted: Wanted::Everything,
        };
        let mut session = decoder
            .begin(&start, &mut |_, _| true)
            .expect("runs")
            .expect("is not stopped");
        let mut steps = Vec::new();
        for id in [11, 12, 13] {
            let scores = session.signals(id).expect("signals");
            steps.push((session.logits().to_vec(), scores));
            session.advance(id).expect("advances");
        }
        steps
    }

    #[test]
    fn loops_and_tensors_agree_over_several_blocks() {
        let files = ModelFiles::Bytes(Default::default());
        let config = ThinkerConfig::from_value(&files, BenchShape::Tiny.config()).expect("config");
        let vb = crate::bench::random_weights(DType::F32, &Device::Cpu);
        let loops = Decoder::load(&vb, &config).expect("loads");
        let tensors = Decoder::load_as_on_a_device(&vb, &config).expect("loads");
        // One token; within a block of keys; over two blocks of rows and three of keys.
        for prompt in [1, 100, 700] {
            for (ours, theirs) in run(&loops, prompt).iter().zip(run(&tensors, prompt)) {
                let pairs = [
                    (&ours.0, &theirs.0),
                    (&ours.1.attmean, &theirs.1.attmean),
                    (&ours.1.attraw, &theirs.1.attraw),
                    (&ours.1.attgrads, &theirs.1.attgrads),
                ];
                for (index, (ours, theirs)) in pairs.into_iter().enumerate() {
                    let apart = distance(theirs, ours);
                    assert!(apart < 5e-5, "prompt {prompt}, quantity {index}: {apart}");
                }
            }
        }
    }

    #[test]
    fn untraced_steps_choose_alike_and_a_rewound_generation_repeats() {
        let files = ModelFiles::Bytes(Default::default());
        let config = ThinkerConfig::from_value(&files, BenchShape::Tiny.config()).expect("config");
        let vb = crate::bench::random_weights(DType::BF16, &Device::Cpu);
        let decoder = Decoder::load(&vb, &config).expect("loads");
        let ids: Vec<u32> = (0..300).collect();
        let positions: Vec<Position> = ids.iter().map(|&i| [i; 3]).collect();
        let embeds = decoder.embed(&ids).expect("embeds");
        let start = Start {
            embeds: &embeds,
            positions: &positions,
            next_position: 300,
            max_new_tokens: 4,
            wanted: Wanted::Everything,
        };
        let mut session = decoder
            .begin(&start, &mut |_, _| true)
            .expect("runs")
            .expect("is not stopped");
        let mut logits = Vec::new();
        for wanted in [Wanted::Everything, Wanted::Nothing, Wanted::Attention] {
            session.rewind(wanted);
            session.advance(5).expect("advances");
            session.advance(6).expect("advances");
            logits.push(session.logits().to_vec());
            let scores = session.signals(7).expect("signals");
            let gradients = if wanted == Wanted::Everything { 300 } else { 0 };
            assert_eq!(scores.attgrads.len(), gradients);
            let mass: f32 = scores.attmean.iter().sum();
            assert_eq!(mass > 0.9, wanted != Wanted::Nothing, "{mass}");
        }
        assert!(logits.iter().all(|l| *l == logits[0]));
    }
}
