//! Weights by name: which files hold them, and each tensor read once, from its own place, into its final form.
//! In: a model's safetensors files, mapped or linked. Out: a candle `VarBuilder` whose errors name tensor, shape and file.
//!
//! Of an omni model only what reads and answers is read, never its voice: a shard that holds nothing else is not opened, nor
//! need it be there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::safetensors::{Load, MmapedSafetensors, SliceSafetensors};
use candle_core::{DType, Device, Error as TensorError, Result as TensorResult, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::load::ModelFiles;
use crate::{EngineError, Precision};

/// The one file of a small checkpoint.
pub const SINGLE_FILE: &str = "model.safetensors";
/// Says in which of many files a tensor is.
pub const INDEX_FILE: &str = "model.safetensors.index.json";

/// Up to these bytes of f32 weights a model is small.
const SMALL_BYTES: u64 = 2 << 30;

/// The speech half of an omni model: never read.
const UNREAD: [&str; 3] = ["talker.", "token2wav.", "tts."];

/// Tensor name -> the shard that holds it, without what is never read.
type Index = BTreeMap<String, String>;

/// The weight files that an index names for the parts that are read, each once, in tensor order.
/// In: the content of `model.safetensors.index.json`. Names that are not plain file names are refused.
pub fn shards_of_index(index: &[u8]) -> Result<Vec<String>, String> {
    Ok(shards(&parse_index(index)?))
}

fn parse_index(index: &[u8]) -> Result<Index, String> {
    #[derive(serde::Deserialize)]
    struct File {
        weight_map: Index,
    }
    let File { mut weight_map } =
        serde_json::from_slice(index).map_err(|error| error.to_string())?;
    weight_map.retain(|tensor, _| is_read(tensor));
    match weight_map.values().find(|shard| !is_plain_name(shard)) {
        Some(shard) => Err(format!("the shard {shard:?} is not a plain file name")),
        None if weight_map.is_empty() => {
            Err("it names no tensor but those of a voice, which is never read".to_owned())
        }
        None => Ok(weight_map),
    }
}

fn is_read(tensor: &str) -> bool {
    !UNREAD.iter().any(|prefix| tensor.starts_with(prefix))
}

/// Weights come from safetensors files only: nothing else is ever opened, least of all a pickle.
fn is_plain_name(shard: &str) -> bool {
    !shard.contains(['/', '\\']) && !shard.starts_with('.') && shard.ends_with(".safetensors")
}

fn shards(index: &Index) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let fresh = index.values().filter(|shard| seen.insert(*shard));
    fresh.cloned().collect()
}

impl ModelFiles {
    /// The weight files that are read, in order.
    pub fn weight_files(&self) -> Result<Vec<String>, EngineError> {
        Ok(self
            .index()?
            .map_or_else(|| vec![SINGLE_FILE.to_owned()], |index| shards(&index)))
    }

    /// Bytes that the weights take in memory once they are loaded; the headers of the files are read for it.
    pub fn weight_bytes(&self, precision: Precision) -> Result<u64, EngineError> {
        let size = precision.dtype().size_in_bytes() as u64;
        let counts = self.elements()?;
        Ok(counts.iter().map(|(_, elements)| elements * size).sum())
    }

    /// The precision in which a model runs on `device` where nobody chooses: bf16 on a GPU. On the CPU small models run in
    /// f32, which costs little and is exact; of a large one the files decide, since it may not fit otherwise.
    pub fn usual_precision(&self, device: &Device) -> Result<Precision, EngineError> {
        if !device.is_cpu() {
            return Ok(Precision::Bf16);
        }
        if self.weight_bytes(Precision::F32)? <= SMALL_BYTES {
            return Ok(Precision::F32);
        }
        let counts = self.elements()?;
        let of = |precision: &Precision| {
            let own = counts
                .iter()
                .filter(|(dtype, _)| *dtype == precision.dtype());
            own.map(|(_, elements)| *elements).sum::<u64>()
        };
        let most = Precision::ALL.iter().max_by_key(|precision| of(precision));
        Ok(most.copied().unwrap_or(Precision::F32))
    }

    /// Type and number of elements of every tensor that is read.
    fn elements(&self) -> Result<Vec<(DType, u64)>, EngineError> {
        let store = self.open_weights()?;
        Ok(store.shards.iter().flat_map(Shard::tensors).collect())
    }

    /// Opens the weights: [`SINGLE_FILE`], or every shard of the index that holds something that is read.
    pub(crate) fn weights(
        &self,
        dtype: DType,
        device: &Device,
    ) -> Result<VarBuilder<'static>, EngineError> {
        let store = Box::new(self.open_weights()?);
        Ok(VarBuilder::from_backend(store, dtype, device.clone()))
    }

    /// The file that stands for all weights in messages.
    pub(crate) fn weights_name(&self) -> &'static str {
        match self.read(INDEX_FILE) {
            Ok(Some(_)) => INDEX_FILE,
            _ => SINGLE_FILE,
        }
    }

    fn index(&self) -> Result<Option<Index>, EngineError> {
        self.read(INDEX_FILE)?
            .map(|bytes| parse_index(&bytes).map_err(|reason| self.failure(INDEX_FILE, reason)))
            .transpose()
    }

    fn open_weights(&self) -> Result<Store, EngineError> {
        let index = self.index()?;
        let names = self.weight_files()?;
        let shards = names
            .iter()
            .map(|name| self.open_shard(name, index.as_ref()))
            .collect::<Result<_, _>>()?;
        let place = |shard: &String| names.iter().position(|name| name == shard);
        let place_of = index.map(|index| {
            let places = index.into_iter();
            places
                .filter_map(|(tensor, shard)| Some((tensor, place(&shard)?)))
                .collect()
        });
        Ok(Store { shards, place_of })
    }

    fn open_shard(&self, name: &str, index: Option<&Index>) -> Result<Shard, EngineError> {
        let weights = match self {
            Self::Dir(dir) => {
                let path = dir.join(name);
                if !path.is_file() {
                    return Err(self.failure(name, missing(dir, name, index)));
                }
                Weights::Mapped(map(&path).map_err(|error| self.failure(name, broken(&error)))?)
            }
            Self::Bytes(files) => {
                let bytes: &'static [u8] = files
                    .get(name)
                    .copied()
                    .ok_or_else(|| self.failure(name, missing(Path::new(""), name, index)))?;
                let slices = SliceSafetensors::new(bytes)
                    .map_err(|error| self.failure(name, broken(&error)))?;
                Weights::Linked(slices)
            }
        };
        Ok(Shard {
            path: self.path_of(name),
            weights,
        })
    }
}

/// What a missing weight file was expected to hold, or what lies there instead.
fn missing(dir: &Path, name: &str, index: Option<&Index>) -> String {
    if let Some(index) = index {
        let mut held = index.iter().filter(|(_, shard)| *shard == name);
        let first = held.next().map(|(tensor, _)| tensor.as_str());
        return format!(
            "the file is missing; {INDEX_FILE} says that it holds {} and {} more tensors. Complete the download",
            first.unwrap_or_default(),
            held.count()
        );
    }
    let pickle = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
    let other = if pickle.iter().any(|pickle| dir.join(pickle).exists()) {
        ". There is a pickle (pytorch_model.bin), which is never opened: convert it to safetensors"
    } else {
        ""
    };
    format!(
        "the file is missing, and so is {INDEX_FILE}: weights are read from safetensors files{other}"
    )
}

fn broken(error: &TensorError) -> String {
    format!("this is not a whole safetensors file ({error}). Download it again")
}

#[allow(unsafe_code)]
fn map(path: &Path) -> TensorResult<MmapedSafetensors> {
    // SAFETY: the mapping is read only while weights are copied out of it; a model's files are not
    // rewritten while it loads. Mapping saves holding every shard in memory twice.
    unsafe { MmapedSafetensors::new(path) }
}

/// Weights by name.
struct Store {
    shards: Vec<Shard>,
    /// From the index, where there is one.
    place_of: Option<BTreeMap<String, usize>>,
}

struct Shard {
    path: PathBuf,
    weights: Weights,
}

enum Weights {
    Mapped(MmapedSafetensors),
    Linked(SliceSafetensors<'static>),
}

impl Shard {
    fn holds(&self, name: &str) -> bool {
        match &self.weights {
            Weights::Mapped(map) => map.get(name).is_ok(),
            Weights::Linked(slice) => slice.get(name).is_ok(),
        }
    }

    fn load(&self, name: &str, device: &Device) -> TensorResult<Tensor> {
        match &self.weights {
            Weights::Mapped(map) => map.get(name)?.load(device),
            Weights::Linked(slice) => slice.get(name)?.load(device),
        }
    }

    /// Type and number of elements of what is read of this shard; types that candle does not know are left out.
    fn tensors(&self) -> Vec<(DType, u64)> {
        let views = match &self.weights {
            Weights::Mapped(map) => map.tensors(),
            Weights::Linked(slice) => slice.tensors(),
        };
        let counts = views.into_iter().filter_map(|(name, view)| {
            let dtype = DType::try_from(view.dtype()).ok()?;
            let elements = view.shape().iter().map(|side| *side as u64).product();
            is_read(&name).then_some((dtype, elements))
        });
        counts.collect()
    }
}

impl Store {
    fn find(&self, name: &str) -> Option<&Shard> {
        match &self.place_of {
            Some(places) => self.shards.get(*places.get(name)?),
            None => self.shards.first(),
        }
        .filter(|shard| shard.holds(name))
    }

    /// Why a tensor is not to be had: what was expected, and where.
    fn absent(&self, name: &str, expected: &str) -> TensorError {
        let place = match &self.place_of {
            None => self
                .shards
                .first()
                .map(|shard| format!("{} does not hold it", shard.path.display())),
            Some(places) => places
                .get(name)
                .and_then(|place| self.shards.get(*place))
                .map(|shard| {
                    format!(
                        "{INDEX_FILE} says that {} holds it, but it does not",
                        shard.path.display()
                    )
                }),
        };
        let place = place.unwrap_or_else(|| format!("{INDEX_FILE} does not name it"));
        TensorError::Msg(format!("the tensor {name}{expected} is missing: {place}"))
    }

    fn read(
        &self,
        name: &str,
        expected: &str,
        dtype: DType,
        device: &Device,
    ) -> TensorResult<(Tensor, &Shard)> {
        let shard = self.find(name).ok_or_else(|| self.absent(name, expected))?;
        // One tensor at a time is held in two forms, and only where the wanted precision is not the stored one.
        Ok((shard.load(name, device)?.to_dtype(dtype)?, shard))
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
        let expected = format!(" of shape {:?}", shape.dims());
        let (tensor, shard) = self.read(name, &expected, dtype, device)?;
        if tensor.shape() != &shape {
            return Err(TensorError::Msg(format!(
                "the tensor {name} should have the shape {:?} by config.json, in {} it has {:?}",
                shape.dims(),
                shard.path.display(),
                tensor.dims(),
            )));
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> TensorResult<Tensor> {
        Ok(self.read(name, "", dtype, device)?.0)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}
