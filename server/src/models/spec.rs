//! What `--model` may say: the tiny model inside this program, a directory in the hub's layout, or an id on the hub.
//! In: such a word. Out: a [`ModelSpec`] that can be loaded.

use std::collections::BTreeMap;
use std::path::Path;

use app::data::ModelView;
use engine::{Model, ModelFiles, Precision, default_device};
use hub::{ModelId, Place, Wanted};
use serde_json::Value;

use super::pool::ModelStates;
use crate::error::ServerError;

/// What is asked of the hub for a model; nothing else is.
const WANTED: Wanted<'_> = Wanted {
    required: &["config.json", "tokenizer.json"],
    optional: &["generation_config.json", "preprocessor_config.json"],
    index: engine::INDEX_FILE,
    weights_of_index: engine::shards_of_index,
    single: engine::SINGLE_FILE,
};

/// The tiny model's name.
pub const TINY: &str = "tiny-omni";

/// The released package's default; a model whose `generation_config.json` says otherwise is obeyed.
const NO_REPEAT_NGRAM: u32 = 3;

include!(concat!(env!("OUT_DIR"), "/tiny_model.rs"));

/// A model that can be loaded.
#[derive(Debug, Clone)]
pub struct ModelSpec {
    /// What callers name it by.
    pub name: String,
    /// One sentence.
    pub about: String,
    place: ModelPlace,
}

/// Where a model is.
#[derive(Debug, Clone)]
enum ModelPlace {
    Here(ModelFiles),
    Hub(ModelId),
}

/// A model in memory.
pub struct LoadedModel {
    /// The engine's.
    pub model: Model,
    /// Its name in [`ModelSpec`].
    pub name: String,
    /// The n-gram block it is generated with where a request does not say.
    pub no_repeat_ngram: u32,
}

/// Why a model cannot be had; a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Neither a directory nor an id.
    #[error(
        "there is no model {0:?}: it is neither a directory with a config.json nor an id on the hub \
         (such as Qwen/Qwen2.5-Omni-7B)"
    )]
    NotFound(String),
    /// This build has none inside.
    #[error("this build carries no model: give one with --model DIR")]
    NoneInside,
    /// Two models would answer to one name.
    #[error("two models are named {0:?}: rename one of the directories")]
    SameName(String),
}

/// What `--model` stands for, in order; the tiny model when nothing is said.
pub fn specs(wanted: &[String]) -> Result<Vec<ModelSpec>, ModelError> {
    if wanted.is_empty() {
        return Ok(vec![tiny()?]);
    }
    let mut specs: Vec<ModelSpec> = Vec::new();
    for wanted in wanted {
        let spec = spec(wanted)?;
        if specs.iter().any(|known| known.name == spec.name) {
            return Err(ModelError::SameName(spec.name));
        }
        specs.push(spec);
    }
    Ok(specs)
}

/// One model.
pub fn spec(wanted: &str) -> Result<ModelSpec, ModelError> {
    let dir = Path::new(wanted);
    // A directory that lacks its config.json is still the one that was meant: its loader says what is missing.
    if dir.is_dir() {
        let name = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        let name = name.file_name().map_or_else(
            || wanted.to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        return Ok(ModelSpec {
            name,
            about: "A model of this server, loaded from its disk.".into(),
            place: ModelPlace::Here(ModelFiles::Dir(dir.to_owned())),
        });
    }
    if wanted == TINY {
        return tiny();
    }
    let id = ModelId::parse(wanted).ok_or_else(|| ModelError::NotFound(wanted.to_owned()))?;
    Ok(ModelSpec {
        name: wanted.to_owned(),
        about: "A model from the hub.".into(),
        place: ModelPlace::Hub(id),
    })
}

fn tiny() -> Result<ModelSpec, ModelError> {
    if TINY_MODEL.is_empty() {
        return Err(ModelError::NoneInside);
    }
    let files: BTreeMap<String, &'static [u8]> = TINY_MODEL
        .iter()
        .map(|(name, bytes)| ((*name).to_owned(), *bytes))
        .collect();
    let about = "A tiny model made for the synthetic world of the examples: coloured shapes, a dozen sounds, short spoken \
                 sentences. It answers anything, but understands nothing else.";
    Ok(ModelSpec {
        name: TINY.into(),
        about: about.into(),
        place: ModelPlace::Here(ModelFiles::Bytes(files)),
    })
}

impl ModelSpec {
    /// Whether both stand for the same files.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (ModelPlace::Here(ModelFiles::Dir(a)), ModelPlace::Here(ModelFiles::Dir(b))) => a == b,
            (ModelPlace::Here(ModelFiles::Bytes(_)), ModelPlace::Here(ModelFiles::Bytes(_))) => {
                true
            }
            (ModelPlace::Hub(a), ModelPlace::Hub(b)) => a == b,
            _ => false,
        }
    }

    /// What visitors are told about it.
    pub fn view(&self, default: bool, states: &ModelStates) -> ModelView {
        ModelView {
            name: self.name.clone(),
            about: self.about.clone(),
            default,
            state: states.of(&self.name),
        }
    }

    /// Whether its files may have to be fetched first.
    pub fn is_remote(&self) -> bool {
        matches!(self.place, ModelPlace::Hub(_))
    }

    /// Its files; those of a model on the hub are downloaded where the cache lacks them.
    pub fn files(&self) -> Result<ModelFiles, ServerError> {
        match &self.place {
            ModelPlace::Here(files) => Ok(files.clone()),
            ModelPlace::Hub(id) => {
                let place = Place::from_env();
                tracing::info!(model = %self.name, cache = %place.cache.display(), "looking for the model's files");
                let dir = hub::fetch(&place, id, &WANTED);
                Ok(ModelFiles::Dir(dir.map_err(|error| {
                    ServerError::Model {
                        name: self.name.clone(),
                        reason: error.to_string(),
                    }
                })?))
            }
        }
    }

    /// Loads it onto the CPU, or onto the first GPU of a build with `cuda`.
    pub fn load(
        &self,
        files: &ModelFiles,
        precision: Precision,
    ) -> Result<LoadedModel, ServerError> {
        let failed = |error: engine::EngineError| ServerError::Model {
            name: self.name.clone(),
            reason: error.to_string(),
        };
        let mut model = Model::load_as(files, &self.name, &default_device()?, Some(precision))
            .map_err(failed)?;
        model.hash = weights_hash(files)?;
        Ok(LoadedModel {
            model,
            name: self.name.clone(),
            no_repeat_ngram: no_repeat_ngram(files)?,
        })
    }
}

/// The model's own n-gram block, else the package's.
fn no_repeat_ngram(files: &ModelFiles) -> Result<u32, ServerError> {
    let Some(config) = files.read("generation_config.json")? else {
        return Ok(NO_REPEAT_NGRAM);
    };
    let config: Value = serde_json::from_slice(&config).map_err(|source| ServerError::Stored {
        what: "generation_config.json",
        source,
    })?;
    let own = config.get("no_repeat_ngram_size").and_then(Value::as_u64);
    Ok(own
        .and_then(|size| u32::try_from(size).ok())
        .unwrap_or(NO_REPEAT_NGRAM))
}

/// Hash over names and contents of the weight files that are read, in name order.
fn weights_hash(files: &ModelFiles) -> Result<String, ServerError> {
    let mut hasher = blake3::Hasher::new();
    let mut names = files.weight_files()?;
    names.sort();
    for name in names {
        hasher.update(name.as_bytes());
        match files {
            ModelFiles::Bytes(files) => {
                hasher.update(files.get(&name).copied().unwrap_or_default());
            }
            ModelFiles::Dir(dir) => {
                let path = dir.join(name);
                let mut file = std::fs::File::open(&path).map_err(ServerError::file(&path))?;
                hasher
                    .update_reader(&mut file)
                    .map_err(ServerError::file(&path))?;
            }
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}
