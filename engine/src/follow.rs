//! Follows a generation: asks each step what attention says of it, and takes the gradients of several steps at once.
//! In: the session after each step, and its token. Out: every step's signals, at most [`HELD`] steps late.

use attribution::layout::Layout;

use crate::EngineError;
use crate::model::Session;
use crate::signals::{Derived, HELD, StepScores};

/// One generation's follower.
#[derive(Debug)]
pub(crate) struct Follower<'k> {
    derived: Derived,
    /// Per prompt position, whether it is run; none where all are.
    kept: Option<&'k [bool]>,
    /// Steps whose gradients are still to come.
    held: usize,
}

impl<'k> Follower<'k> {
    /// Before the first step of a prompt.
    pub(crate) fn new(layout: &Layout, kept: Option<&'k [bool]>) -> Self {
        Self {
            kept,
            ..Self::of(Derived::new(layout))
        }
    }

    /// Of a prompt that is run as a whole.
    pub(crate) fn of(derived: Derived) -> Self {
        Self {
            derived,
            kept: None,
            held: 0,
        }
    }

    /// The step that the session ran last, its token being `chosen`.
    pub(crate) fn push(
        &mut self,
        session: &mut dyn Session,
        chosen: u32,
    ) -> Result<(), EngineError> {
        let attention = session.attention()?;
        let focused = self.derived.push(match self.kept {
            Some(kept) => attention.spread(kept),
            None => attention,
        });
        self.held += 1;
        session.hold(chosen, &focused)
    }

    /// The signals of all steps pushed since there were some, oldest first: once there are enough, or `now`.
    pub(crate) fn complete(
        &mut self,
        session: &mut dyn Session,
        now: bool,
    ) -> Result<Vec<StepScores>, EngineError> {
        if self.held == 0 || (self.held < HELD && !now) {
            return Ok(Vec::new());
        }
        self.held = 0;
        let gradients = session.gradients()?.into_iter();
        let gradients = gradients.map(|own| match self.kept {
            Some(kept) => own.spread(kept),
            None => own,
        });
        Ok(self.derived.complete(gradients.collect()))
    }
}
