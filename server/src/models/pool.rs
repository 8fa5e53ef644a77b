//! The models in memory: loaded on first use, the least recently used evicted when the next would not fit.
//! In: names. Out: loaded models, and for everyone else what state each is in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use app::data::ModelState;
use engine::Precision;

use super::LoadedModel;
use super::memory::shown;
use super::spec::{ModelError, ModelSpec, spec};
use crate::error::ServerError;

/// Every model of a process; owned by the thread that owns the device.
pub struct ModelPool {
    specs: Vec<ModelSpec>,
    precision: Option<Precision>,
    budget_bytes: u64,
    /// The least recently used first.
    loaded: Vec<Resident>,
    states: Arc<ModelStates>,
}

struct Resident {
    /// As it was asked for; the model itself knows what it became.
    asked: Option<Precision>,
    bytes: u64,
    model: LoadedModel,
}

/// What state each model is in, for those who do not own the device.
#[derive(Debug, Default)]
pub struct ModelStates(Mutex<Vec<(String, ModelState)>>);

impl ModelStates {
    /// Of the model of this name.
    pub fn of(&self, name: &str) -> ModelState {
        let states = self.lock();
        let found = states.iter().find(|(known, _)| known == name);
        found.map(|(_, state)| state.clone()).unwrap_or_default()
    }

    pub(super) fn set(&self, name: &str, state: ModelState) {
        let mut states = self.lock();
        match states.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = state,
            None => states.push((name.to_owned(), state)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, ModelState)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ModelPool {
    /// Nothing is loaded yet. `precision`: where a request does not say; `None`: each model's usual one.
    pub fn new(specs: Vec<ModelSpec>, precision: Option<Precision>, budget_bytes: u64) -> Self {
        Self {
            specs,
            precision,
            budget_bytes,
            loaded: Vec::new(),
            states: Arc::default(),
        }
    }

    /// Shared with the routes.
    pub fn states(&self) -> Arc<ModelStates> {
        self.states.clone()
    }

    /// Whether there is a model of this name.
    pub fn knows(&self, name: &str) -> bool {
        self.specs.iter().any(|spec| spec.name == name)
    }

    /// Makes sure that there is the model that `wanted` stands for; its name.
    pub fn admit(&mut self, wanted: &str) -> Result<String, ModelError> {
        let spec = spec(wanted)?;
        let name = spec.name.clone();
        match self.specs.iter().find(|known| known.name == name) {
            Some(known) if !known.same_place(&spec) => Err(ModelError::SameName(name)),
            Some(_) => Ok(name),
            None => {
                self.specs.push(spec);
                Ok(name)
            }
        }
    }

    /// A model, loaded where it is not yet.
    pub fn get(
        &mut self,
        name: &str,
        precision: Option<Precision>,
    ) -> Result<&LoadedModel, ServerError> {
        let asked = precision.or(self.precision);
        let here = |resident: &Resident| resident.model.name == name && resident.asked == asked;
        let resident = match self.loaded.iter().position(here) {
            Some(place) => self.loaded.remove(place),
            None => self.load(name, asked)?,
        };
        self.loaded.push(resident);
        match self.loaded.last() {
            Some(resident) => Ok(&resident.model),
            None => Err(ServerError::Lost("a model")),
        }
    }

    fn load(&mut self, name: &str, asked: Option<Precision>) -> Result<Resident, ServerError> {
        let found = self.specs.iter().find(|spec| spec.name == name);
        let spec = found.cloned().ok_or_else(|| ServerError::Model {
            name: name.to_owned(),
            reason: "it is not configured".to_owned(),
        })?;
        self.states.set(name, ModelState::Loading);
        let loaded = self.make_room(&spec, asked);
        match &loaded {
            Ok(resident) => self.states.set(
                name,
                ModelState::Loaded {
                    dtype: resident.model.model.precision.name().to_owned(),
                    bytes: resident.bytes,
                },
            ),
            Err(_) => self.states.set(name, ModelState::Failed),
        }
        loaded
    }

    /// Evicts until the model fits, then loads it.
    fn make_room(
        &mut self,
        spec: &ModelSpec,
        asked: Option<Precision>,
    ) -> Result<Resident, ServerError> {
        let failed = |reason: String| ServerError::Model {
            name: spec.name.clone(),
            reason,
        };
        let files = spec.files()?;
        let engine = |error: engine::EngineError| failed(error.to_string());
        let precision = match asked {
            Some(precision) => precision,
            None => files
                .usual_precision(&engine::default_device()?)
                .map_err(engine)?,
        };
        let bytes = files.weight_bytes(precision).map_err(engine)?;
        if bytes > self.budget_bytes {
            return Err(failed(format!(
                "its weights take {} and models may take {} together. Allow more with --model-memory, or choose a smaller \
                 --dtype",
                shown(bytes),
                shown(self.budget_bytes)
            )));
        }
        let in_use =
            |loaded: &[Resident]| loaded.iter().map(|resident| resident.bytes).sum::<u64>();
        while !self.loaded.is_empty() && in_use(&self.loaded) + bytes > self.budget_bytes {
            let evicted = self.loaded.remove(0);
            tracing::info!(model = %evicted.model.name, "evicted: memory is short");
            if self
                .loaded
                .iter()
                .all(|other| other.model.name != evicted.model.name)
            {
                self.states.set(&evicted.model.name, ModelState::Unloaded);
            }
        }
        tracing::info!(model = %spec.name, weights = %shown(bytes), "loading");
        let model = spec.load(&files, precision)?;
        Ok(Resident {
            asked,
            bytes,
            model,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(pool: &ModelPool, name: &str) -> &'static str {
        match pool.states.of(name) {
            ModelState::Unloaded => "unloaded",
            ModelState::Fetching => "fetching",
            ModelState::Loading => "loading",
            ModelState::Loaded { .. } => "loaded",
            ModelState::Failed => "failed",
        }
    }

    #[test]
    fn models_are_loaded_on_first_use_and_the_least_recently_used_goes() {
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/qwen/checkpoint");
        let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tiny-omni");
        let wanted = [fixture.to_owned(), tiny.to_owned()];
        let specs = super::super::specs(&wanted).expect("two models");
        let bytes: Vec<u64> = specs
            .iter()
            .map(|spec| {
                let files = spec.files().expect("here");
                files.weight_bytes(Precision::F32).expect("whole")
            })
            .collect();
        let mut pool = ModelPool::new(specs, None, bytes[0].max(bytes[1]) + 1000);
        assert_eq!(state(&pool, "tiny-omni"), "unloaded");
        pool.get("checkpoint", None).expect("loads");
        assert_eq!(
            [state(&pool, "checkpoint"), state(&pool, "tiny-omni")],
            ["loaded", "unloaded"]
        );
        pool.get("tiny-omni", None).expect("loads");
        assert_eq!(
            [state(&pool, "checkpoint"), state(&pool, "tiny-omni")],
            ["unloaded", "loaded"]
        );

        // In half the bytes both fit; what was used last stays.
        let half = Some(Precision::Bf16);
        pool.budget_bytes = bytes.iter().sum::<u64>() / 2 + 1000;
        pool.get("checkpoint", half).expect("loads");
        pool.get("tiny-omni", half).expect("loads");
        assert_eq!(
            [state(&pool, "checkpoint"), state(&pool, "tiny-omni")],
            ["loaded", "loaded"]
        );
        let model = &pool.get("checkpoint", half).expect("is there").model;
        assert_eq!(model.precision, Precision::Bf16);
        assert_eq!(pool.loaded.len(), 2);

        pool.budget_bytes = 1000;
        let error = pool
            .get("checkpoint", None)
            .err()
            .expect("too large")
            .to_string();
        assert!(
            error.contains("--model-memory") && error.contains("checkpoint"),
            "{error}"
        );
        assert_eq!(state(&pool, "checkpoint"), "failed");
    }
}
