//! Decoders of the Llama kind, shared by the families: on either kind of device, and the generation that runs on them.
//! In: embeddings and positions. Out: a [`Session`] with logits and signals.

mod alone;
mod device;
mod rope;
mod session;
mod shape;
pub(crate) mod together;

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;

pub(crate) use self::alone::LanguageModel;
use self::device::DeviceDecoder;
pub(crate) use self::rope::{Position, Rope};
use self::session::{Backend, Generation};
pub(crate) use self::shape::DecoderShape;
pub(crate) use self::together::Seat;
use crate::cpu::{CpuDecoder, CpuState, RotaryTables, Rows, Turn, floats};
use crate::faithfulness::rescore::Answer;
use crate::model::{Prompt, Session};
use crate::signals::{StepAttention, StepGradients, Wanted};

/// The language model.
#[derive(Debug)]
pub(crate) struct Decoder {
    body: Body,
    rope: Rope,
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
    /// `vb` stands at the language model's root: `model.layers...`, `model.embed_tokens`, `lm_head`.
    pub(crate) fn load(vb: &VarBuilder, shape: DecoderShape, rope: Rope) -> Result<Self> {
        let body = if vb.device().is_cpu() {
            Body::Cpu(CpuDecoder::load(vb, shape)?)
        } else {
            Body::Device(DeviceDecoder::load(vb, shape)?)
        };
        Ok(Self { body, rope })
    }

    /// The same by tensors, on the CPU too: what the loops are tested against.
    #[cfg(test)]
    pub(crate) fn load_as_on_a_device(
        vb: &VarBuilder,
        shape: DecoderShape,
        rope: Rope,
    ) -> Result<Self> {
        let body = Body::Device(DeviceDecoder::load(vb, shape)?);
        Ok(Self { body, rope })
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
        let session = Generation::from_state(decoder, &self.rope, start, state);
        Ok(Some(session))
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
    pub(crate) fn begin<'a>(
        &'a self,
        start: &Start<'_>,
        layer_done: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Box<dyn Session + 'a>>> {
        match &self.body {
            Body::Cpu(decoder) => Generation::begin(decoder, &self.rope, start, layer_done),
            Body::Device(decoder) => Generation::begin(decoder, &self.rope, start, layer_done),
        }
    }
}

impl Backend for CpuDecoder {
    type State = CpuState;

    fn read(
        &self,
        start: &Start<'_>,
        rope: &Rope,
        layer_done: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<CpuState>> {
        let rotary = RotaryTables::new(&rope.angles(start.positions), rope.width());
        let mut state = self.state(start.positions.len(), start.wanted);
        let done = self.prefill(&mut state, floats(start.embeds)?, &rotary, layer_done);
        Ok(done.then_some(state))
    }

    fn feed(&self, state: &mut CpuState, id: u32, position: u32, rope: &Rope) -> Result<()> {
        let rotary = RotaryTables::new(&rope.angles(&[[position; 3]]), rope.width());
        let embed = self.embed(&[id])?;
        self.step(&mut [Turn {
            state,
            embed: &embed,
            cos: rotary.cos(0),
            sin: rotary.sin(0),
        }]);
        Ok(())
    }

    fn logits<'s>(&self, state: &'s CpuState) -> &'s [f32] {
        &state.logits
    }

    fn attention(&self, state: &CpuState) -> Result<StepAttention> {
        Ok(state.attention())
    }

    fn hold(&self, state: &mut CpuState, chosen: u32, layers: &[usize]) -> Result<()> {
        CpuDecoder::hold(self, state, chosen, layers);
        Ok(())
    }

    fn gradients(&self, state: &mut CpuState) -> Result<Vec<StepGradients>> {
        Ok(self.take_back(state))
    }

    fn seat<'s>(
        &'s self,
        state: &'s mut CpuState,
        position: &'s mut u32,
        rope: &'s Rope,
    ) -> Option<Seat<'s>> {
        Some(Seat {
            decoder: self,
            rope,
            state,
            position,
        })
    }

    fn rewind(&self, state: &mut CpuState, wanted: Wanted) {
        state.rewind(wanted);
    }
}

#[cfg(test)]
mod tests;
