//! The thread that owns the device: loads the default model, has the examples made, then works until the house goes down.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use attribution::event::TraceEvent;
use engine::TraceRequest;
use tokio::sync::{oneshot, watch};

use crate::admission::{JobSize, Took};
use crate::config::{Limits, ModelsConfig};
use crate::depot::Work;
use crate::ears::Ears;
use crate::error::ServerError;
use crate::gallery;
use crate::metrics::Metrics;
use crate::models::{self, LoadedModel, ModelPool, ModelSpec, ModelStates};
use crate::sample::Options;
use crate::worker::{Site, Worker};

/// What a model is asked before anybody else asks it.
const WARM_UP: &str = "Describe what there is.\n";

const WARM_UP_TOKENS: u32 = 8;

/// A first answer of a few tokens: finds out whether the model works at all, fills caches, and tells its pace.
pub fn warm_up(loaded: &LoadedModel, limits: &Limits) -> Result<Took, ServerError> {
    let options = Options {
        max_new_tokens: Some(WARM_UP_TOKENS),
        ..Options::default()
    };
    let request = TraceRequest {
        system: None,
        history: Vec::new(),
        prompt: WARM_UP.to_owned(),
        items: Vec::new(),
        transcripts: BTreeMap::new(),
        without: Vec::new(),
        options: options.resolve(&limits.media, limits.max_new_tokens, loaded.no_repeat_ngram),
    };
    let begun = Instant::now();
    let mut first = None;
    let mut observe = |event: TraceEvent| {
        if matches!(event, TraceEvent::Token { .. }) {
            first.get_or_insert_with(Instant::now);
        }
        ControlFlow::Continue(())
    };
    let outcome = engine::pipeline::trace(&loaded.model, &request, &mut observe)?;
    let ended = Instant::now();
    let first = first.unwrap_or(ended);
    Ok(Took {
        front_secs: (first - begun).as_secs_f64(),
        answer_secs: (ended - first).as_secs_f64(),
        tokens: outcome.record.tokens.len() as u32,
    })
}

/// The models of a process, before its device thread runs.
pub struct Rig {
    /// The default first.
    pub specs: Vec<ModelSpec>,
    /// Which of them are in memory.
    pub states: Arc<ModelStates>,
    /// True once the default model is loaded.
    pub loaded: watch::Receiver<bool>,
    models: ModelPool,
    ears: Ears,
    tell_loaded: watch::Sender<bool>,
}

impl Rig {
    /// Nothing is loaded yet; models on the hub other than the default are fetched from now on.
    pub fn new(config: &ModelsConfig) -> Result<Self> {
        let specs = models::specs(&config.wanted)?;
        let budget = (config.model_memory).unwrap_or_else(models::memory::default_bytes);
        let models = ModelPool::new(specs.clone(), config.dtype, budget);
        let states = models.states();
        // The default model is fetched and loaded by the device's thread: without it the server is not ready anyway.
        let remote: Vec<ModelSpec> = (specs.iter().skip(1))
            .filter(|spec| spec.is_remote())
            .cloned()
            .collect();
        models::fetch_ahead(remote, states.clone(), |spec| spec.files().map(drop))?;
        let (tell_loaded, loaded) = watch::channel(false);
        Ok(Self {
            ears: Ears::new(config.asr_model.as_deref())?,
            specs,
            states,
            loaded,
            models,
            tell_loaded,
        })
    }

    /// Starts the thread; the receiver hears how it ended. `slots`: the examples to be made, none where another makes them;
    /// `together`: how many traces are made at a time.
    pub fn spawn(
        self,
        depot: Arc<dyn Work>,
        limits: Limits,
        slots: Vec<gallery::Slot>,
        metrics: Arc<Metrics>,
        together: usize,
    ) -> Result<oneshot::Receiver<Result<(), ServerError>>> {
        let (ended, receiver) = oneshot::channel();
        let device = Device {
            depot,
            default: self.specs.into_iter().next(),
            models: self.models,
            ears: self.ears,
            limits,
            slots,
            metrics,
            together,
            ready: self.tell_loaded,
        };
        std::thread::Builder::new()
            .name("device".into())
            .spawn(move || {
                // Nobody may be listening any more when the process goes down.
                let _ = ended.send(device.run());
            })
            .context("no thread for the model")?;
        Ok(receiver)
    }
}

/// What the device thread has.
struct Device {
    depot: Arc<dyn Work>,
    default: Option<ModelSpec>,
    models: ModelPool,
    ears: Ears,
    limits: Limits,
    slots: Vec<gallery::Slot>,
    metrics: Arc<Metrics>,
    together: usize,
    ready: watch::Sender<bool>,
}

impl Device {
    fn run(mut self) -> Result<(), ServerError> {
        if let Some(default) = self.default.take() {
            let loaded = self.models.get(&default.name, None)?;
            tracing::info!(model = %default.name, dtype = %loaded.model.precision, "model loaded");
            let took = warm_up(loaded, &self.limits)?;
            let size = JobSize {
                model: default.name.clone(),
                text_bytes: WARM_UP.len() as u64,
                max_new_tokens: WARM_UP_TOKENS,
                ..JobSize::default()
            };
            self.depot.warmed_up(&size, took);
            tracing::info!(model = %default.name, secs = took.front_secs + took.answer_secs, "model warmed up");
            let origin = gallery::Origin {
                model: default.name,
                model_hash: loaded.model.hash.clone(),
            };
            self.make_examples(origin)?;
        }
        self.ready.send_replace(true);
        let depot = self.depot.clone();
        let site = Site {
            depot: self.depot,
            limits: self.limits,
            metrics: self.metrics,
        };
        Worker {
            site,
            models: self.models,
            ears: self.ears,
            together: self.together,
        }
        .run();
        depot.leave();
        Ok(())
    }

    /// Renders missing examples beside the work: a visitor's trace need not wait for a film to be drawn.
    fn make_examples(&self, origin: gallery::Origin) -> Result<(), ServerError> {
        let (depot, slots) = (self.depot.clone(), self.slots.clone());
        let spawned = std::thread::Builder::new()
            .name("gallery".into())
            .spawn(move || {
                for slot in &slots {
                    if depot.shutting_down() {
                        return;
                    }
                    if let Err(error) = gallery::ensure(&*depot, slot, &origin) {
                        tracing::error!(id = %slot.id, %error, "an example could not be made");
                    }
                }
            });
        spawned.map(drop).map_err(|_| ServerError::Lost("a thread"))
    }
}
