//! Traces of one model that take their decode steps together, on one thread.
//! In: generations that wait for a step. Out: each stepped as if it were alone, the weights read once for all.
//!
//! A trace is a future that waits for each of its steps. Whoever runs several polls each until it waits, then calls
//! [`Company::step`]. There is no runtime: nothing wakes anybody, nothing is concurrent.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::EngineError;
use crate::decoder::together::{self, Chosen};
use crate::model::Session;

/// A generation, given away until it was fed.
struct Waiting<'m> {
    session: Box<dyn Session + 'm>,
    chosen: u32,
    back: Rc<RefCell<Option<Back<'m>>>>,
}

/// The generation comes back, and whether it could be fed.
type Back<'m> = (Box<dyn Session + 'm>, Result<(), EngineError>);

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

    /// Feeds all that wait their tokens, in one pass over the weights where their decoder can. Returns how many.
    pub fn step(&self) -> usize {
        let mut now = self.waiting.take();
        let mut chosen: Vec<Chosen<'_, '_>> = (now.iter_mut())
            .map(|own| (own.session.as_mut(), own.chosen))
            .collect();
        let advanced = together::advance(&mut chosen);
        let count = now.len();
        for (own, advanced) in now.into_iter().zip(advanced) {
            *own.back.borrow_mut() = Some((own.session, advanced));
        }
        count
    }

    /// Feeds the chosen token.
    pub(crate) async fn advance(
        &self,
        session: Box<dyn Session + 'm>,
        chosen: u32,
    ) -> Result<Box<dyn Session + 'm>, EngineError> {
        let back = Rc::new(RefCell::new(None));
        self.waiting.borrow_mut().push(Waiting {
            session,
            chosen,
            back: back.clone(),
        });
        let (session, advanced): Back<'m> = std::future::poll_fn(|_| {
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
        advanced?;
        Ok(session)
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
