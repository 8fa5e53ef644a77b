//! Which models a process has: the tiny one inside this program, a directory in the hub's layout, or an id in the hub's
//! local cache. In: what `--model` says. Out: loaded models by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::{Device, Model, ModelFiles};
use serde_json::Value;

use crate::error::ServerError;

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
    files: ModelFiles,
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

/// Every model of a process; owned by the thread that owns the device.
pub struct LoadedModels(Vec<LoadedModel>);

/// Why a model cannot be had; a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Neither a directory nor a cached id.
    #[error(
        "there is no model {wanted:?}: it is neither a directory with a config.json nor in the hub's cache ({cache}). \
         Download it first (for example `hf download {wanted}`) or give its directory"
    )]
    NotFound {
        /// As given.
        wanted: String,
        /// Where was looked.
        cache: String,
    },
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
    if dir.join("config.json").is_file() {
        let name = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        let name = name.file_name().map_or_else(
            || wanted.to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        return Ok(external(name, dir.to_owned()));
    }
    if wanted == TINY {
        return tiny();
    }
    let cache = hub_cache();
    match cached(&cache, wanted) {
        Some(dir) => Ok(external(wanted.to_owned(), dir)),
        None => Err(ModelError::NotFound {
            wanted: wanted.to_owned(),
            cache: cache.display().to_string(),
        }),
    }
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
        files: ModelFiles::Bytes(files),
    })
}

fn external(name: String, dir: PathBuf) -> ModelSpec {
    ModelSpec {
        name,
        about: "A model of this server, loaded from its disk.".into(),
        files: ModelFiles::Dir(dir),
    }
}

fn hub_cache() -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("HF_HUB_CACHE")
        .or_else(|| set("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/huggingface/hub")))
        .unwrap_or_default()
}

/// The snapshot that `main` points at, else the only one there is.
fn cached(cache: &Path, id: &str) -> Option<PathBuf> {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('\\');
    let (owner, name) = id
        .split_once('/')
        .filter(|(owner, name)| plain(owner) && plain(name) && !name.contains('/'))?;
    let repo = cache.join(format!("models--{owner}--{name}"));
    let snapshots = repo.join("snapshots");
    let main = std::fs::read_to_string(repo.join("refs/main"))
        .ok()
        .map(|commit| snapshots.join(commit.trim()));
    main.into_iter()
        .chain(
            std::fs::read_dir(&snapshots)
                .ok()?
                .filter_map(|entry| Some(entry.ok()?.path())),
        )
        .find(|dir| dir.join("config.json").is_file())
}

impl ModelSpec {
    /// Loads it onto the CPU, or onto the first GPU of a build with `cuda`.
    pub fn load(&self) -> Result<LoadedModel, ServerError> {
        let mut model = Model::load(&self.files, &self.name, &device()?)?;
        model.hash = self.weights_hash()?;
        Ok(LoadedModel {
            model,
            name: self.name.clone(),
            no_repeat_ngram: self.no_repeat_ngram()?,
        })
    }

    /// The model's own n-gram block, else the package's.
    fn no_repeat_ngram(&self) -> Result<u32, ServerError> {
        let Some(config) = self.read("generation_config.json")? else {
            return Ok(NO_REPEAT_NGRAM);
        };
        let config: Value =
            serde_json::from_slice(&config).map_err(|source| ServerError::Stored {
                what: "generation_config.json",
                source,
            })?;
        let own = config.get("no_repeat_ngram_size").and_then(Value::as_u64);
        Ok(own
            .and_then(|size| u32::try_from(size).ok())
            .unwrap_or(NO_REPEAT_NGRAM))
    }

    fn read(&self, file: &str) -> Result<Option<Vec<u8>>, ServerError> {
        match &self.files {
            ModelFiles::Bytes(files) => Ok(files.get(file).map(|bytes| bytes.to_vec())),
            ModelFiles::Dir(dir) => {
                let path = dir.join(file);
                if !path.is_file() {
                    return Ok(None);
                }
                std::fs::read(&path)
                    .map(Some)
                    .map_err(ServerError::file(path))
            }
        }
    }

    /// Hash over the weight files' names and contents, in name order.
    fn weights_hash(&self) -> Result<String, ServerError> {
        let mut hasher = blake3::Hasher::new();
        match &self.files {
            ModelFiles::Bytes(files) => {
                for (name, bytes) in files
                    .iter()
                    .filter(|(name, _)| name.ends_with(".safetensors"))
                {
                    hasher.update(name.as_bytes()).update(bytes);
                }
            }
            ModelFiles::Dir(dir) => {
                let mut names: Vec<PathBuf> = std::fs::read_dir(dir)
                    .map_err(ServerError::file(dir))?
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .filter(|path| path.extension().is_some_and(|kind| kind == "safetensors"))
                    .collect();
                names.sort();
                for path in names {
                    let name = path
                        .file_name()
                        .map(|name| name.to_string_lossy().into_owned())
                        .unwrap_or_default();
                    hasher.update(name.as_bytes());
                    let mut file = std::fs::File::open(&path).map_err(ServerError::file(&path))?;
                    hasher
                        .update_reader(&mut file)
                        .map_err(ServerError::file(&path))?;
                }
            }
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}

fn device() -> Result<Device, ServerError> {
    #[cfg(feature = "cuda")]
    {
        Device::new_cuda(0).map_err(|error| ServerError::Engine(error.into()))
    }
    #[cfg(not(feature = "cuda"))]
    {
        Ok(Device::Cpu)
    }
}

impl LoadedModels {
    /// Loads every model, in order.
    pub fn load(specs: &[ModelSpec]) -> Result<Self, ServerError> {
        specs
            .iter()
            .map(ModelSpec::load)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// By name.
    pub fn get(&self, name: &str) -> Option<&LoadedModel> {
        self.0.iter().find(|loaded| loaded.name == name)
    }

    /// The default's weight hash.
    pub fn default_hash(&self) -> &str {
        self.0.first().map_or("", |loaded| &loaded.model.hash)
    }
}
