//! Traces of one model that are made together: a decode step is taken for all of them, and others join between two steps.
//! In: a first trace, and those that come. Out: events and records, each as if its trace were made alone.
//!
//! All of it happens on the one thread that owns the device. While a newcomer's sources are read and its prompt runs, the
//! others take a step wherever it reports progress, so that nobody's answer stands still for a whole prompt.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use engine::{Company, company};

use crate::ears::Ears;
use crate::error::ServerError;
use crate::live::Live;
use crate::models::LoadedModel;
use crate::store::Stored;
use crate::worker::{Begun, End, Site, StageClock};

/// What a trace has taken of the device: steps that it took with others count in parts.
#[derive(Debug)]
pub(crate) struct Spent {
    begun: Instant,
    done_secs: Cell<f64>,
    /// Since when this thread has been at it alone.
    at_it: Cell<Option<Instant>>,
}

impl Spent {
    /// This thread is at it from now on.
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            done_secs: Cell::new(0.0),
            at_it: Cell::new(Some(now)),
        }
    }

    /// Its part of what was done for several; below zero, what was not its own cost.
    pub(crate) fn add(&self, secs: f64) {
        self.done_secs.set(self.done_secs.get() + secs);
    }

    /// Seconds so far.
    pub(crate) fn secs(&self) -> f64 {
        let now = (self.at_it.get()).map_or(0.0, |since| since.elapsed().as_secs_f64());
        self.done_secs.get() + now
    }

    /// Seconds since its begin, those of others included.
    pub(crate) fn wall_secs(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    fn go_on(&self) {
        self.done_secs.set(self.secs());
        self.at_it.set(Some(Instant::now()));
    }

    fn pause(&self) {
        self.done_secs.set(self.secs());
        self.at_it.set(None);
    }
}

/// A trace that is being made.
struct Lane<'r> {
    live: Arc<Live>,
    spent: Rc<Spent>,
    attempt: Pin<Box<dyn Future<Output = Result<End, ServerError>> + 'r>>,
}

/// The traces that are being made.
pub(crate) struct Round<'r, 'm> {
    site: &'r Site,
    model: &'m LoadedModel,
    ears: &'r mut Ears,
    lanes: Lanes<'r, 'm>,
}

/// Those of them that wait for a step.
struct Lanes<'r, 'm> {
    site: &'r Site,
    company: &'r Company<'m>,
    all: Rc<RefCell<Vec<Lane<'r>>>>,
}

impl Clone for Lanes<'_, '_> {
    fn clone(&self) -> Self {
        Self {
            all: self.all.clone(),
            ..*self
        }
    }
}

impl<'r, 'm: 'r> Round<'r, 'm> {
    /// Nobody is there yet.
    pub(crate) fn new(
        site: &'r Site,
        model: &'m LoadedModel,
        company: &'r Company<'m>,
        ears: &'r mut Ears,
    ) -> Self {
        let all = Rc::default();
        Self {
            site,
            model,
            ears,
            lanes: Lanes { site, company, all },
        }
    }

    /// Traces that are not done.
    pub(crate) fn len(&self) -> usize {
        self.lanes.all.borrow().len()
    }

    /// A trace of this model out of the queue.
    pub(crate) fn join(&mut self, live: Arc<Live>) {
        let spent = Spent::start();
        match self.site.depot.begin(&live) {
            Ok(stored) => {
                self.site.metrics.begun(live.waited_secs(), true);
                self.enter(live, stored, spent);
            }
            Err(error) => self.site.conclude(live, Err(error), &spent),
        }
    }

    /// Reads what is asked and runs the prompt, while the others go on.
    pub(crate) fn enter(&mut self, live: Arc<Live>, stored: Stored, spent: Spent) {
        let clock = StageClock::start();
        let child_of = stored.child_of.clone();
        let request = match self.site.request(self.ears, self.model, stored) {
            Ok(request) => request,
            Err(error) => return self.site.conclude(live, Err(error), &spent),
        };
        let spent = Rc::new(spent);
        let (site, company, model) = (self.site, self.lanes.company, self.model);
        let begun = Begun {
            live: live.clone(),
            request,
            child_of,
            clock,
        };
        let (own, lanes) = (spent.clone(), self.lanes.clone());
        let others = move || lanes.meanwhile(&own);
        let attempt = site.attempt(company, model, begun, spent.clone(), others);
        let mut lane = Lane {
            live,
            spent,
            attempt: Box::pin(attempt),
        };
        match lane.go_on(site) {
            Some(end) => site.conclude(lane.live, end, &lane.spent),
            None => self.lanes.all.borrow_mut().push(lane),
        }
    }

    /// A decode step for all.
    pub(crate) fn turn(&self) {
        self.lanes.turn();
    }
}

impl Lanes<'_, '_> {
    /// A token for each of the others, while a newcomer, whose seconds these are not, is at work.
    fn meanwhile(&self, newcomer: &Spent) {
        // A trace that is no newcomer any more is one of those that are being taken a step further.
        if (self.all.try_borrow()).is_ok_and(|all| !all.is_empty()) {
            newcomer.pause();
            self.turn();
            newcomer.go_on();
        }
    }

    fn turn(&self) {
        let begun = Instant::now();
        // As with a single trace: a bug that one meets must not end the service. Those whose step is lost will find out.
        if catch_unwind(AssertUnwindSafe(|| self.company.step())).is_err() {
            tracing::error!("a decode step broke off");
        }
        let mut all = self.all.borrow_mut();
        let each = begun.elapsed().as_secs_f64() / all.len().max(1) as f64;
        let mut k = 0;
        while let Some(lane) = all.get_mut(k) {
            lane.spent.add(each);
            match lane.go_on(self.site) {
                None => k += 1,
                Some(end) => {
                    let lane = all.remove(k);
                    self.site.conclude(lane.live, end, &lane.spent);
                }
            }
        }
    }
}

impl Lane<'_> {
    /// Lets the trace go on until it waits, or to its end.
    fn go_on(&mut self, site: &Site) -> Option<Result<End, ServerError>> {
        self.spent.go_on();
        // A panic is a bug, but one visitor's input must not end the service for all: the model is only read, never left
        // half-changed.
        let attempt = self.attempt.as_mut();
        let polled = catch_unwind(AssertUnwindSafe(|| company::poll(attempt)));
        self.spent.pause();
        match polled {
            Ok(Poll::Pending) => None,
            Ok(Poll::Ready(end)) => Some(end),
            Err(_) if site.interrupted(&self.live) => Some(Ok(End::Interrupted)),
            Err(_) => Some(Err(ServerError::Lost("the model"))),
        }
    }
}
