//! Who works: each worker says every few seconds that it is there and which models it has.
//! In: those signs of life. Out: models to choose from, and how many workers are at hand.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use app::data::{ModelState, ModelView};
use async_nats::jetstream::kv::{Operation, Store};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::{lines, nats};
use crate::error::ServerError;
use crate::store::{from_json, to_json};

/// How often a worker gives a sign of life.
pub(super) const BEAT: Duration = Duration::from_secs(2);

/// A worker not heard of for so long is gone.
pub(super) const GONE: Duration = Duration::from_secs(8);

/// A model that no worker has any more can still be asked for so long: a worker may just be restarting.
const REMEMBERED: Duration = Duration::from_secs(600);

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Here {
    /// The default first.
    pub(super) models: Vec<ModelView>,
    /// How many traces it makes at a time.
    #[serde(default = "one")]
    pub(super) together: u16,
}

/// An older program does not say.
fn one() -> u16 {
    1
}

/// A worker at hand.
#[derive(Debug, Clone)]
pub(super) struct Hands {
    pub(super) worker: String,
    /// Visitors' lines of its models.
    pub(super) lines: Vec<String>,
    /// How many traces it makes at a time.
    pub(super) together: usize,
}

/// The workers as this process has heard of them.
#[derive(Debug, Default)]
pub(super) struct Presence(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    workers: BTreeMap<String, (Instant, Here)>,
    models: BTreeMap<String, (Instant, ModelView)>,
}

impl Presence {
    /// A worker was heard of.
    fn heard(&self, worker: String, here: Here) {
        let now = Instant::now();
        let mut heard = self.lock();
        for model in &here.models {
            let mut model = model.clone();
            model.state = ModelState::Unloaded;
            heard.models.insert(model.name.clone(), (now, model));
        }
        heard.workers.insert(worker, (now, here));
    }

    /// A worker said goodbye.
    fn left(&self, worker: &str) {
        self.lock().workers.remove(worker);
    }

    /// Workers at hand.
    pub(super) fn workers(&self) -> u32 {
        let heard = self.lock();
        heard.alive().count() as u32
    }

    /// What each of the workers at hand takes.
    pub(super) fn hands(&self) -> Vec<Hands> {
        let heard = self.lock();
        let of = |(worker, here): (&String, &Here)| Hands {
            worker: worker.clone(),
            lines: (here.models.iter())
                .map(|model| lines::name(&model.name, false))
                .collect(),
            together: here.together.max(1).into(),
        };
        heard.alive().map(of).collect()
    }

    /// Every model of a worker, or one of the last minutes; the default first.
    pub(super) fn models(&self) -> Vec<ModelView> {
        let heard = self.lock();
        let remembered = heard.models.values();
        let mut models: Vec<ModelView> = remembered
            .filter(|(seen, _)| seen.elapsed() < REMEMBERED)
            .map(|(_, model)| model.clone())
            .collect();
        for model in &mut models {
            let states = heard.alive().flat_map(|(_, here)| &here.models);
            let states = states.filter(|other| other.name == model.name);
            let best = states
                .map(|other| &other.state)
                .max_by_key(|state| match state {
                    ModelState::Loaded { .. } => 4,
                    ModelState::Loading => 3,
                    ModelState::Unloaded => 2,
                    ModelState::Fetching => 1,
                    ModelState::Failed => 0,
                });
            if let Some(best) = best {
                model.state = best.clone();
            }
        }
        models.sort_by(|a, b| (!a.default, &a.name).cmp(&(!b.default, &b.name)));
        // Workers may differ in what they load first; a page has one default.
        for (k, model) in models.iter_mut().enumerate() {
            model.default = k == 0;
        }
        models
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        // Every change is a single insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    fn alive(&self) -> impl Iterator<Item = (&String, &Here)> {
        let fresh = self.workers.iter();
        fresh
            .filter(|(_, (seen, _))| seen.elapsed() < GONE)
            .map(|(worker, (_, here))| (worker, here))
    }
}

/// Says that a worker is there.
pub(super) async fn announce(bucket: &Store, worker: &str, here: &Here) -> Result<(), ServerError> {
    let put = bucket
        .put(worker, to_json("sign of life", here)?.into())
        .await;
    put.map(drop)
        .map_err(nats("a worker cannot say that it is there"))
}

/// Listens for ever; `first` is told once what was known at the begin has been read.
pub(super) async fn listen(
    bucket: Store,
    presence: &Presence,
    first: tokio::sync::oneshot::Sender<()>,
) {
    let mut first = Some(first);
    loop {
        if let Err(error) = hear(&bucket, presence, &mut first).await {
            tracing::warn!(%error, "the workers cannot be heard; trying again");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn hear(
    bucket: &Store,
    presence: &Presence,
    first: &mut Option<tokio::sync::oneshot::Sender<()>>,
) -> Result<(), ServerError> {
    let failed = "workers cannot be heard";
    let mut known = bucket.keys().await.map_err(nats(failed))?;
    while let Some(worker) = known.next().await {
        let worker = worker.map_err(nats(failed))?;
        if let Some(said) = bucket.get(worker.as_str()).await.map_err(nats(failed))? {
            presence.heard(
                worker,
                from_json("sign of life", &String::from_utf8_lossy(&said))?,
            );
        }
    }
    let mut signs = bucket.watch_all().await.map_err(nats(failed))?;
    if let Some(first) = first.take() {
        // Nobody may wait for it.
        let _ = first.send(());
    }
    while let Some(sign) = signs.next().await {
        let sign = sign.map_err(nats(failed))?;
        match sign.operation {
            Operation::Put => {
                match from_json("sign of life", &String::from_utf8_lossy(&sign.value)) {
                    Ok(here) => presence.heard(sign.key, here),
                    // Of another version of this program.
                    Err(error) => {
                        tracing::warn!(%error, worker = %sign.key, "a worker is not understood")
                    }
                }
            }
            Operation::Delete | Operation::Purge => presence.left(&sign.key),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, default: bool, state: ModelState) -> ModelView {
        ModelView {
            name: name.into(),
            about: "A model.".into(),
            default,
            state,
        }
    }

    #[test]
    fn models_are_those_of_all_workers_and_outlive_them() {
        let presence = Presence::default();
        assert_eq!((presence.workers(), presence.models().len()), (0, 0));
        let loaded = ModelState::Loaded {
            dtype: "bf16".into(),
            bytes: 7,
        };
        let here = |models| Here {
            models,
            together: 1,
        };
        let small = model("small", true, ModelState::Unloaded);
        presence.heard("a".into(), here(vec![small.clone()]));
        let large = model("large", false, loaded.clone());
        presence.heard("b".into(), here(vec![small, large]));
        let names = |models: Vec<ModelView>| {
            let named = models.into_iter().map(|model| (model.name, model.default));
            named.collect::<Vec<_>>()
        };
        let both = [("small".to_owned(), true), ("large".to_owned(), false)];
        assert_eq!(names(presence.models()), both);
        assert_eq!(presence.models()[1].state, loaded);
        assert_eq!(presence.workers(), 2);
        let hands = presence.hands();
        let taken: Vec<_> = hands.iter().map(|own| own.lines.len()).collect();
        assert_eq!(taken, [1, 2]);
        presence.left("a");
        presence.left("b");
        assert_eq!(presence.workers(), 0);
        assert_eq!(names(presence.models()), both, "a worker may be restarting");
        assert_eq!(presence.models()[1].state, ModelState::Unloaded);
    }
}
