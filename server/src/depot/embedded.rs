//! One machine: SQLite and files for what lasts, a queue in memory for what is going on.

use std::path::PathBuf;
use std::sync::Arc;

use app::data::ModelView;
use attribution::event::TraceEvent;
use engine::Precision;
use tokio::sync::watch;

use super::{Depot, Load, Stopped, Work};
use crate::admission::{JobSize, Took};
use crate::blobs::Blobs;
use crate::checks::Check;
use crate::error::ServerError;
use crate::jobs::{Job, Jobs, Place, Refused};
use crate::live::Live;
use crate::models::{ModelSpec, ModelStates};
use crate::store::{Child, NewTrace, Pending, Policy, Report, Store, Stored, Swept};
use crate::truth::Truth;

/// Traces of the last life by which the first waits of this one are told.
const REMEMBERED: u32 = 48;

/// The data directory, the queue and the models of one process.
pub struct Embedded {
    store: Store,
    jobs: Jobs,
    models: Vec<ModelSpec>,
    states: Arc<ModelStates>,
    /// True once the default model is loaded.
    ready: watch::Receiver<bool>,
}

impl Embedded {
    /// Queues what the last process left; `models`: the default first.
    pub fn new(
        store: Store,
        jobs: Jobs,
        models: Vec<ModelSpec>,
        states: Arc<ModelStates>,
        ready: watch::Receiver<bool>,
    ) -> Result<Self, ServerError> {
        for (size, took) in store.recent(REMEMBERED)? {
            jobs.learn(&size, took);
        }
        for pending in store.recover()? {
            jobs.requeue(&pending);
        }
        Ok(Self {
            store,
            jobs,
            models,
            states,
            ready,
        })
    }
}

impl Depot for Embedded {
    fn submit(&self, new: &NewTrace) -> Result<(), Refused> {
        self.jobs.submit(&self.store, new)
    }

    fn submit_example(&self, new: &NewTrace) -> Result<(), ServerError> {
        self.store.accept(new)?;
        self.jobs.requeue(&Pending {
            id: new.id.clone(),
            attempts: 0,
            background: true,
            size: JobSize::of(&new.request, &new.options, &self.store.blobs),
        });
        Ok(())
    }

    fn ask(&self, check: Check) -> Result<(), Refused> {
        self.jobs.ask(check)
    }

    fn place(&self, id: &str) -> Option<Place> {
        self.jobs.find(id).map(|(_, place)| place)
    }

    fn follow(&self, id: &str) -> Result<Option<Arc<Live>>, ServerError> {
        Ok(self.jobs.find(id).map(|(live, _)| live))
    }

    fn stop(&self, id: &str) -> Result<Stopped, ServerError> {
        if let Some(live) = self.jobs.withdraw(id) {
            let message = "This trace was stopped before the model began.";
            (self.store).fail(id, "stopped", message, live.next_event())?;
            live.push(&TraceEvent::Failed {
                code: "stopped".into(),
                message: message.into(),
            });
            return Ok(Stopped::Withdrawn);
        }
        match self.jobs.find(id) {
            Some((live, Place::Running)) => {
                live.stop();
                self.store.note_stop(id)?;
                Ok(Stopped::Stopping)
            }
            Some((_, Place::Queued(_))) => Ok(Stopped::Busy),
            Some((_, Place::Ended)) => Ok(Stopped::Ended),
            None => Ok(match self.store.load(id)? {
                Some(_) => Stopped::Ended,
                None => Stopped::Unknown,
            }),
        }
    }

    fn load(&self, id: &str) -> Result<Option<Stored>, ServerError> {
        self.store.load(id)
    }

    fn record_json(&self, id: &str) -> Result<Option<String>, ServerError> {
        self.store.record_json(id)
    }

    fn truth(&self, id: &str) -> Result<Option<Truth>, ServerError> {
        self.store.truth(id)
    }

    fn children(&self, id: &str) -> Result<Vec<Child>, ServerError> {
        self.store.children(id)
    }

    fn gallery_origin(&self, id: &str) -> Result<Option<String>, ServerError> {
        self.store.gallery_origin(id)
    }

    fn share(&self, id: &str, view: &str) -> Result<String, ServerError> {
        self.store.share(id, view)
    }

    fn shared(&self, short: &str) -> Result<Option<(String, String)>, ServerError> {
        self.store.shared(short)
    }

    fn may_delete(&self, id: &str, key: &str) -> Result<bool, ServerError> {
        self.store.may_delete(id, key)
    }

    fn delete(&self, id: &str) -> Result<(), ServerError> {
        self.store.delete(id)?;
        self.store.let_go()?;
        self.jobs.forget(id);
        Ok(())
    }

    fn sweep(&self, policy: &Policy) -> Result<Swept, ServerError> {
        let swept = self.store.sweep(policy)?;
        // The command line may have taken one down, too.
        for id in self.jobs.ended_ids() {
            if self.store.load(&id)?.is_none() {
                self.jobs.forget(&id);
            }
        }
        Ok(swept)
    }

    fn used_bytes(&self) -> Result<u64, ServerError> {
        self.store.used_bytes()
    }

    fn report(&self, id: &str, reason: &str) -> Result<bool, ServerError> {
        self.store.report(id, reason)
    }

    fn reports(&self) -> Result<Vec<Report>, ServerError> {
        self.store.reports()
    }

    fn take_down(&self, id: &str) -> Result<bool, ServerError> {
        let known = self.store.take_down(id)?;
        // It may be running: nobody shall watch it any more, and the device has better to do.
        if let (true, Some((live, _))) = (known, self.jobs.find(id)) {
            live.stop();
            live.close();
            self.jobs.withdraw(id);
            self.jobs.forget(id);
        }
        Ok(known)
    }

    fn was_taken_down(&self, id: &str) -> Result<bool, ServerError> {
        self.store.was_taken_down(id)
    }

    fn files(&self) -> &Blobs {
        &self.store.blobs
    }

    fn media(&self, hash: &str) -> Result<Option<PathBuf>, ServerError> {
        Ok(self.store.blobs.path(hash))
    }

    fn models(&self) -> Vec<ModelView> {
        (self.models.iter().enumerate())
            .map(|(k, model)| model.view(k == 0, &self.states))
            .collect()
    }

    fn load_now(&self) -> Load {
        let (queued, wait_secs) = self.jobs.load();
        Load {
            queued,
            wait_secs,
            free_in_secs: self.jobs.retry_after_secs(),
            workers: None,
        }
    }

    fn wait_secs(&self, id: &str) -> Option<f64> {
        self.jobs.wait_secs(id)
    }

    fn ready(&self) -> bool {
        *self.ready.borrow() && !self.jobs.shutting_down() && !self.jobs.draining()
    }

    fn drain(&self) -> bool {
        self.jobs.drain()
    }

    fn shut_down(&self) {
        self.jobs.shut_down();
    }

    fn shutting_down(&self) -> bool {
        self.jobs.shutting_down()
    }
}

impl Work for Embedded {
    fn next(&self) -> Option<Job> {
        self.jobs.next()
    }

    fn next_like(&self, model: &str, dtype: Option<Precision>) -> Option<Arc<Live>> {
        self.jobs.next_like(model, dtype)
    }

    fn begin(&self, live: &Live) -> Result<Stored, ServerError> {
        self.store.begin(&live.id)?;
        (self.store.load(&live.id)?).ok_or(ServerError::Lost("the stored request"))
    }

    fn finish(&self, live: &Live, record: &str) -> Result<(), ServerError> {
        self.store.finish(&live.id, record, live.next_event())
    }

    fn fail(&self, live: &Live, code: &str, message: &str) -> Result<(), ServerError> {
        (self.store).fail(&live.id, code, message, live.next_event())
    }

    fn put_back(&self, live: &Live) -> Result<(), ServerError> {
        self.store.put_back(&live.id)
    }

    fn ended(&self, live: Arc<Live>, _secs: f64) {
        self.jobs.ended(live);
    }

    fn learn(&self, live: &Live, took: Took) {
        self.jobs.learn(&live.size, took);
    }

    fn warmed_up(&self, size: &JobSize, took: Took) {
        self.jobs.learn(size, took);
    }

    fn answered(&self, secs: f64) {
        self.jobs.answered(secs);
    }
}
