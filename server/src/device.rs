//! The thread that owns the device: loads the default model, has the examples made, then works until the house goes down.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::{oneshot, watch};

use crate::config::Limits;
use crate::depot::Work;
use crate::ears::Ears;
use crate::error::ServerError;
use crate::gallery;
use crate::metrics::Metrics;
use crate::models::{ModelPool, ModelSpec};
use crate::worker::Worker;

/// What the device thread needs.
pub struct Device {
    /// Where jobs come from and records go.
    pub depot: Arc<dyn Work>,
    /// Loaded at once.
    pub default: Option<ModelSpec>,
    /// All models, used by this thread alone.
    pub models: ModelPool,
    /// Speech recognition.
    pub ears: Ears,
    /// Bounds for the decoders and for generation.
    pub limits: Limits,
    /// The examples to be made; none where another makes them.
    pub slots: Vec<gallery::Slot>,
    /// What the operator watches.
    pub metrics: Arc<Metrics>,
    /// Told once the default model is loaded.
    pub ready: watch::Sender<bool>,
}

impl Device {
    /// Starts the thread; the receiver hears how it ended.
    pub fn spawn(self) -> Result<oneshot::Receiver<Result<(), ServerError>>> {
        let (ended, receiver) = oneshot::channel();
        std::thread::Builder::new()
            .name("device".into())
            .spawn(move || {
                // Nobody may be listening any more when the process goes down.
                let _ = ended.send(self.run());
            })
            .context("no thread for the model")?;
        Ok(receiver)
    }

    fn run(mut self) -> Result<(), ServerError> {
        if let Some(default) = self.default.take() {
            let loaded = self.models.get(&default.name, None)?;
            tracing::info!(model = %default.name, dtype = %loaded.model.precision, "model loaded");
            let origin = gallery::Origin {
                model: default.name,
                model_hash: loaded.model.hash.clone(),
            };
            self.make_examples(origin)?;
        }
        self.ready.send_replace(true);
        Worker {
            depot: self.depot,
            models: self.models,
            ears: self.ears,
            limits: self.limits,
            metrics: self.metrics,
        }
        .run();
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
