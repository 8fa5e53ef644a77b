//! One generation on a decoder, whatever runs it.
//! In: a decoder that has read the prompt. Out: a [`Session`] with logits and signals.

use candle_core::Result;

use super::Start;
use super::rope::Rope;
use super::together::Seat;
use crate::EngineError;
use crate::model::Session;
use crate::signals::{StepAttention, StepGradients, Wanted};

/// What runs a decoder: loops of our own on the CPU, tensors on a GPU.
pub(crate) trait Backend {
    /// What one generation keeps: caches, taps, and the logits of the last position.
    type State;

    /// Runs the prompt; `layer_done(done, total)` returns whether to go on. `None` when it said no.
    fn read(
        &self,
        start: &Start<'_>,
        rope: &Rope,
        layer_done: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Self::State>>;

    /// Feeds one generated token at `position`.
    fn feed(&self, state: &mut Self::State, id: u32, position: u32, rope: &Rope) -> Result<()>;

    /// `[vocabulary]`, before any rule.
    fn logits<'s>(&self, state: &'s Self::State) -> &'s [f32];

    /// What attention says of the position fed last.
    fn attention(&self, state: &Self::State) -> Result<StepAttention>;

    /// Keeps the position fed last, the last thing that is asked of it, its token being `chosen`.
    fn hold(&self, state: &mut Self::State, chosen: u32, layers: &[usize]) -> Result<()>;

    /// For each position held since the last call: AttGrads, and what the values of its `layers` add to the logit of `chosen`,
    /// summed over layers, in each the mean over heads and never below 0, the last norm's scale taken as it was.
    fn gradients(&self, state: &mut Self::State) -> Result<Vec<StepGradients>>;

    /// Back to the end of the prompt, computing what is `wanted` from there. Nothing is held.
    fn rewind(&self, state: &mut Self::State, wanted: Wanted);

    /// A place in a step with other generations, where there is such a step: with the same results as alone.
    fn seat<'s>(
        &'s self,
        _state: &'s mut Self::State,
        _position: &'s mut u32,
        _rope: &'s Rope,
    ) -> Option<Seat<'s>> {
        None
    }
}

/// One generation.
pub(super) struct Generation<'a, B: Backend> {
    pub(super) backend: &'a B,
    pub(super) rope: &'a Rope,
    pub(super) state: B::State,
    /// Of the token that is fed next.
    pub(super) position: u32,
    /// Of the first generated token.
    pub(super) start: u32,
}

impl<'a, B: Backend> Generation<'a, B> {
    /// After `start` was read; `None` when `layer_done` said stop.
    pub(super) fn begin(
        backend: &'a B,
        rope: &'a Rope,
        start: &Start<'_>,
        layer_done: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Box<dyn Session + 'a>>> {
        let state = backend.read(start, rope, layer_done)?;
        Ok(state.map(|state| Self::from_state(backend, rope, start, state)))
    }

    /// From a state that stands at the end of the prompt.
    pub(super) fn from_state(
        backend: &'a B,
        rope: &'a Rope,
        start: &Start<'_>,
        state: B::State,
    ) -> Box<dyn Session + 'a> {
        Box::new(Self {
            backend,
            rope,
            state,
            position: start.next_position,
            start: start.next_position,
        })
    }
}

impl<B: Backend> Session for Generation<'_, B> {
    fn logits(&self) -> &[f32] {
        self.backend.logits(&self.state)
    }

    fn attention(&self) -> std::result::Result<StepAttention, EngineError> {
        Ok(self.backend.attention(&self.state)?)
    }

    fn hold(&mut self, chosen: u32, layers: &[usize]) -> std::result::Result<(), EngineError> {
        Ok(self.backend.hold(&mut self.state, chosen, layers)?)
    }

    fn gradients(&mut self) -> std::result::Result<Vec<StepGradients>, EngineError> {
        Ok(self.backend.gradients(&mut self.state)?)
    }

    fn advance(&mut self, chosen: u32) -> std::result::Result<(), EngineError> {
        self.backend
            .feed(&mut self.state, chosen, self.position, self.rope)?;
        self.position += 1;
        Ok(())
    }

    fn rewind(&mut self, wanted: Wanted) {
        self.backend.rewind(&mut self.state, wanted);
        self.position = self.start;
    }

    fn seat(&mut self) -> Option<Seat<'_>> {
        let (state, position) = (&mut self.state, &mut self.position);
        self.backend.seat(state, position, self.rope)
    }
}
