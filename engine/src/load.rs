//! A model's files: a directory in the hub's layout, or bytes linked into the program.
//! In: where the files are. Out: parsed JSON, a tokenizer, and weights by name (safetensors, one file or many).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::safetensors::{MmapedSafetensors, SliceSafetensors};
use candle_core::{DType, Device, Result as TensorResult, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use serde::de::DeserializeOwned;

use crate::EngineError;

/// Where a model's files are.
#[derive(Debug, Clone)]
pub enum ModelFiles {
    /// A directory in the hub's layout; weights are memory-mapped.
    Dir(PathBuf),
    /// File name -> content, as linked into the program.
    Bytes(BTreeMap<String, &'static [u8]>),
}

impl ModelFiles {
    /// A path that names `file` in messages.
    pub(crate) fn path_of(&self, file: &str) -> PathBuf {
        match self {
            Self::Dir(dir) => dir.join(file),
            Self::Bytes(_) => PathBuf::from("(built in)").join(file),
        }
    }

    pub(crate) fn failure(&self, file: &str, reason: impl ToString) -> EngineError {
        EngineError::ModelFile {
            path: self.path_of(file),
            reason: reason.to_string(),
        }
    }

    /// The content of a file, or `None` where there is none.
    pub(crate) fn read(&self, file: &str) -> Result<Option<Cow<'static, [u8]>>, EngineError> {
        match self {
            Self::Bytes(files) => Ok(files.get(file).map(|bytes| Cow::Borrowed(*bytes))),
            Self::Dir(dir) => match std::fs::read(dir.join(file)) {
                Ok(bytes) => Ok(Some(Cow::Owned(bytes))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(self.failure(file, error)),
            },
        }
    }

    /// The content of a file that must be there.
    pub(crate) fn require(&self, file: &str) -> Result<Cow<'static, [u8]>, EngineError> {
        self.read(file)?
            .ok_or_else(|| self.failure(file, "the file is missing"))
    }

    /// A JSON file that must be there.
    pub(crate) fn json<T: DeserializeOwned>(&self, file: &str) -> Result<T, EngineError> {
        serde_json::from_slice(&self.require(file)?).map_err(|error| self.failure(file, error))
    }

    /// A JSON file, or the default where there is none.
    pub(crate) fn json_or_default<T: DeserializeOwned + Default>(
        &self,
        file: &str,
    ) -> Result<T, EngineError> {
        match self.read(file)? {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| self.failure(file, error))
            }
            None => Ok(T::default()),
        }
    }

    /// The fast tokenizer (`tokenizer.json`).
    pub(crate) fn tokenizer(&self) -> Result<tokenizers::Tokenizer, EngineError> {
        let bytes = self.require("tokenizer.json")?;
        tokenizers::Tokenizer::from_bytes(&bytes)
            .map_err(|error| self.failure("tokenizer.json", error))
    }

    /// Opens the weights: `model.safetensors`, or every shard named in its index.
    pub(crate) fn weights(
        &self,
        dtype: DType,
        device: &Device,
    ) -> Result<VarBuilder<'static>, EngineError> {
        let shards = self.shard_names()?;
        let store = match self {
            Self::Dir(dir) => Store::Mapped(map_shards(dir, &shards).map_err(|error| {
                self.failure(
                    shards.first().map_or("model.safetensors", String::as_str),
                    error,
                )
            })?),
            Self::Bytes(files) => Store::Slices(
                shards
                    .iter()
                    .map(|shard| {
                        let bytes: &'static [u8] = files
                            .get(shard)
                            .copied()
                            .ok_or_else(|| self.failure(shard, "the file is missing"))?;
                        SliceSafetensors::new(bytes).map_err(|error| self.failure(shard, error))
                    })
                    .collect::<Result<_, _>>()?,
            ),
        };
        Ok(VarBuilder::from_backend(
            Box::new(store),
            dtype,
            device.clone(),
        ))
    }

    /// The weight files, in index order without repetition.
    fn shard_names(&self) -> Result<Vec<String>, EngineError> {
        #[derive(serde::Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        const INDEX: &str = "model.safetensors.index.json";
        if self.read(INDEX)?.is_none() {
            return Ok(vec!["model.safetensors".to_owned()]);
        }
        let index: Index = self.json(INDEX)?;
        let mut shards: Vec<String> = Vec::new();
        for (tensor, shard) in index.weight_map {
            // The speech half of an omni model is never read: its shards need not even be there.
            if tensor.starts_with("talker.") || tensor.starts_with("token2wav.") {
                continue;
            }
            if shard.contains(['/', '\\']) {
                return Err(
                    self.failure(INDEX, format!("shard {shard:?} is not a plain file name"))
                );
            }
            if !shards.contains(&shard) {
                shards.push(shard);
            }
        }
        Ok(shards)
    }
}

#[allow(unsafe_code)]
fn map_shards(dir: &Path, shards: &[String]) -> TensorResult<MmapedSafetensors> {
    let paths: Vec<PathBuf> = shards.iter().map(|shard| dir.join(shard)).collect();
    // SAFETY: the mapping is read only while weights are copied out of it; a model's files are not
    // rewritten while it loads. Mapping saves holding every shard in memory twice.
    unsafe { MmapedSafetensors::multi(&paths) }
}

/// Weights by name.
enum Store {
    Mapped(MmapedSafetensors),
    Slices(Vec<SliceSafetensors<'static>>),
}

impl Store {
    fn load(&self, name: &str, device: &Device) -> TensorResult<Tensor> {
        match self {
            Self::Mapped(map) => map.load(name, device),
            Self::Slices(slices) => slices
                .iter()
                .find(|slice| slice.get(name).is_ok())
                .ok_or_else(|| candle_core::Error::CannotFindTensor {
                    path: name.to_owned(),
                })?
                .load(name, device),
        }
    }
}

impl SimpleBackend for Store {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> TensorResult<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if tensor.shape() != &shape {
            return Err(candle_core::Error::Msg(format!(
                "tensor {name} has the shape {:?}, the config wants {shape:?}",
                tensor.shape()
            )));
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> TensorResult<Tensor> {
        self.load(name, device)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        match self {
            Self::Mapped(map) => map.get(name).is_ok(),
            Self::Slices(slices) => slices.iter().any(|slice| slice.get(name).is_ok()),
        }
    }
}
