//! The shipped examples: seeds of the synthetic world, traced for real by the loaded model at the first start.

use app::data::{ItemView, RequestView};
use serde_json::Value;
use world::{Split, Task};

use crate::admission::Marks;
use crate::blobs::Blobs;
use crate::depot::Depot;
use crate::error::ServerError;
use crate::sample::{Block, Options, Sample};
use crate::store::{NewTrace, State};
use crate::truth::Truth;

/// Seeds per task, in gallery order. None was seen in training: the world keeps the public's samples apart.
const SEEDS: [(Task, [u64; 2]); 6] = [
    (Task::VisualQa, [3, 11]),
    (Task::Dialogue, [1, 4]),
    (Task::AudioQa, [2, 7]),
    (Task::Speech, [1, 5]),
    (Task::VideoQa, [2, 6]),
    (Task::Mixed, [1, 8]),
];

/// One shipped example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The same on every server: `visual-qa-1`.
    pub id: String,
    /// What kind.
    pub task: Task,
    /// Which.
    pub seed: u64,
}

/// With what the examples are made; a change makes them anew.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The default model.
    pub model: String,
    /// Its weights.
    pub model_hash: String,
}

/// Every shipped example, in gallery order.
pub fn slots() -> Vec<Slot> {
    let numbered = |task: Task, k: usize, seed: u64| Slot {
        id: format!("{}-{}", task.name(), k + 1),
        task,
        seed,
    };
    SEEDS
        .into_iter()
        .flat_map(|(task, seeds)| {
            seeds
                .into_iter()
                .enumerate()
                .map(move |(k, seed)| numbered(task, k, seed))
        })
        .collect()
}

/// Queues an example that is missing, failed, or made by something else than this program with this model.
pub fn ensure(depot: &dyn Depot, slot: &Slot, origin: &Origin) -> Result<(), ServerError> {
    let made_from = format!(
        "{} {} seed {}, with its truth",
        env!("CARGO_PKG_VERSION"),
        origin.model_hash,
        slot.seed
    );
    let failed = matches!(depot.load(&slot.id)?, Some(stored) if matches!(stored.state, State::Failed { .. }));
    if !failed && depot.gallery_origin(&slot.id)?.as_ref() == Some(&made_from) {
        return Ok(());
    }
    let sample = sample(slot.task, slot.seed)?;
    depot.submit_example(&NewTrace {
        id: slot.id.clone(),
        request: request(depot.files(), &sample, origin.model.clone())?,
        options: Options::default(),
        task: slot.task.name().to_owned(),
        gallery: Some(made_from),
        delete_key: None,
        truth: Some(Truth::of(&sample, None)),
        child_of: None,
        marks: Marks::default(),
    })
}

/// The public's sample of a seed.
pub fn sample(task: Task, seed: u64) -> Result<world::Sample, ServerError> {
    world::generate(task, seed, Split::Eval).map_err(failed)
}

fn failed(error: world::WorldError) -> ServerError {
    ServerError::World(error.to_string())
}

/// A sample of the world as a request, its media stored.
pub fn request(
    blobs: &Blobs,
    sample: &world::Sample,
    model: String,
) -> Result<RequestView, ServerError> {
    let rendered = world::files::render(sample).map_err(failed)?;
    // Through the same form as everyone's requests: what the gallery shows, anyone can send.
    let form: Value = crate::store::from_json("sample", &rendered.sample_json)?;
    let sample = Sample::parse(&form).map_err(|error| ServerError::World(error.0))?;
    let mut items = Vec::with_capacity(sample.blocks.len());
    for block in sample.blocks {
        items.push(match block {
            Block::Text(text) => ItemView::Text { text },
            Block::Media(kind, name) => {
                let file = rendered.files.iter().find(|(known, _)| *known == name);
                let (_, bytes) =
                    file.ok_or_else(|| ServerError::World(format!("it names no file {name:?}")))?;
                kind.item(blobs.put(bytes)?, name)
            }
        });
    }
    Ok(RequestView {
        prompt: sample.prompt,
        items,
        model,
        ..RequestView::default()
    })
}

/// A seed for a surprise.
pub fn fresh_seed() -> Result<u64, ServerError> {
    getrandom::u64().map_err(ServerError::Random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_has_two_examples_under_ids_of_at_most_twelve_letters() {
        let slots = slots();
        for task in Task::ALL {
            assert!(
                slots.iter().filter(|slot| slot.task == task).count() >= 2,
                "{task}"
            );
        }
        let mut ids: Vec<_> = slots.iter().map(|slot| slot.id.as_str()).collect();
        assert!(ids.iter().all(|id| id.len() <= 12));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), slots.len());
    }
}
