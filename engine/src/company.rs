//! Traces of one model that take their decode steps together, on one thread.
//! In: generations that wait for a step. Out: each stepped as if it were alone, the weights read once for all.
//!
//! A trace is a future that waits in two places of each token: for its signals, and for the next step. Whoever runs several
//! polls each until it waits, then calls [`Company::step`]. There is no runtime: nothing wakes anybody, nothing is concurrent.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::EngineError;
use crate::decoder::together::{self, Chosen};
use crate::model::Session;
use crate::signals::StepScores;

/// What a generation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Signals,
    Advance,
}

/// A generation, given away until its wish is fulfilled.
struct Waiting<'m> {
    session: Box<dyn Session + 'm>,
    chosen: u32,
    wish: Wish,
    back: Rc<RefCell<Option<Back<'m>>>>,
}

/// The generation comes back, with its signals where they were wished for.
type Back<'m> = (
    Box<dyn Session + 'm>,
    Result<Option<StepScores>, EngineError>,
);

/// The generations that wait for a step.
#[derive(Default)]
pub struct Company<'m> {
    waiting: RefCell<Vec<Waiting<'m>>>,
}

impl std::fmt::Debug for Company<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Company of {}", self.waiting.borrow().len())
    }
}

impl<'m> Company<'m> {
    /// Nobody is there yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does for all that wait what comes next, in one pass over the weights where their decoder can: signals if anybody
    /// wishes for them, otherwise the decode step. Returns for how many.
    pub fn step(&self) -> usize {
        let mut now = self.waiting.take();
        let wish = match now.iter().any(|own| own.wish == Wish::Signals) {
            true => Wish::Signals,
            false => Wish::Advance,
        };
        let later = now.extract_if(.., |own| own.wish != wish);
        *self.waiting.borrow_mut() = later.collect();
        let mut chosen: Vec<Chosen<'_, '_>> = (now.iter_mut())
            .map(|own| (own.session.as_mut(), own.chosen))
            .collect();
        let done: Vec<_> = match wish {
            Wish::Signals => (together::signals(&mut chosen).into_iter())
                .map(|scores| scores.map(Some))
                .collect(),
            Wish::Advance => (together::advance(&mut chosen).into_iter())
                .map(|advanced| advanced.map(|()| None))
                .collect(),
        };
        let count = now.len();
        for (own, done) in now.into_iter().zip(done) {
            *own.back.borrow_mut() = Some((own.session, done));
        }
        count
    }

    /// Every signal of this step, its token being `chosen`.
    pub(crate) async fn signals(
        &self,
        session: Box<dyn Session + 'm>,
        chosen: u32,
    ) -> Result<(Box<dyn Session + 'm>, StepScores), EngineError> {
        let (session, scores) = self.wish(session, chosen, Wish::Signals).await?;
        Ok((session, scores.unwrap_or_default()))
    }

    /// Feeds the chosen token.
    pub(crate) async fn advance(
        &self,
        session: Box<dyn Session + 'm>,
        chosen: u32,
    ) -> Result<Box<dyn Session + 'm>, EngineError> {
        Ok(self.wish(session, chosen, Wish::Advance).await?.0)
    }

    async fn wish(
        &self,
        session: Box<dyn Session + 'm>,
        chosen: u32,
        wish: Wish,
    ) -> Result<(Box<dyn Session + 'm>, Option<StepScores>), EngineError> {
        let back = Rc::new(RefCell::new(None));
        self.waiting.borrow_mut().push(Waiting {
            session,
            chosen,
            wish,
            back: back.clone(),
        });
        let (session, done): Back<'m> = std::future::poll_fn(|_| {
            if let Some(back) = back.take() {
                return Poll::Ready(Ok(back));
            }
            match Rc::strong_count(&back) {
                // A step that panicked took it along.
                1 => Poll::Ready(Err(EngineError::Lost)),
                _ => Poll::Pending,
            }
        })
        .await?;
        Ok((session, done?))
    }

    /// Runs one trace to its end, without company.
    pub(crate) fn alone<T>(&self, trace: impl Future<Output = T>) -> T {
        let mut trace = pin!(trace);
        loop {
            match poll(trace.as_mut()) {
                Poll::Ready(done) => return done,
                Poll::Pending => self.step(),
            };
        }
    }
}

/// Lets a trace go on until it waits for a step.
pub fn poll<F: Future + ?Sized>(trace: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    trace.poll(&mut Context::from_waker(Waker::noop()))
}
