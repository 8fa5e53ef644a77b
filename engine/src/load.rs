//! A model's files: a directory in the hub's layout, or bytes linked into the program.
//! In: where the files are. Out: their content, parsed JSON, a tokenizer. The weights are `weights`' part.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

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

impl From<PathBuf> for ModelFiles {
    fn from(dir: PathBuf) -> Self {
        Self::Dir(dir)
    }
}

impl From<&str> for ModelFiles {
    fn from(dir: &str) -> Self {
        Self::Dir(dir.into())
    }
}

/// Where models run: the first GPU of a build with `cuda`, else the CPU.
pub fn default_device() -> Result<candle_core::Device, EngineError> {
    #[cfg(feature = "cuda")]
    {
        let device = candle_core::Device::new_cuda(0).map_err(|error| {
            // Lines after the first are candle's backtrace.
            let reason = error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            EngineError::NoGpu { reason }
        })?;
        gpu::note(&device);
        Ok(device)
    }
    #[cfg(not(feature = "cuda"))]
    {
        Ok(candle_core::Device::Cpu)
    }
}

/// Memory of a GPU, in bytes: of all programs that use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Taken.
    pub used_bytes: u64,
    /// There is.
    pub total_bytes: u64,
}

/// Of the GPU on which this process runs models; `None` on a CPU, and before [`default_device`] was first asked for.
pub fn device_memory() -> Option<DeviceMemory> {
    #[cfg(feature = "cuda")]
    {
        gpu::memory()
    }
    #[cfg(not(feature = "cuda"))]
    {
        None
    }
}

#[cfg(feature = "cuda")]
mod gpu {
    //! The context of the GPU in use, kept to ask it for its memory: a process without models must not open one for that.

    use std::sync::{Arc, OnceLock};

    use candle_core::Device;
    use candle_core::cuda_backend::cudarc::driver::CudaContext;

    use super::DeviceMemory;

    static CONTEXT: OnceLock<Arc<CudaContext>> = OnceLock::new();

    pub(super) fn note(device: &Device) {
        if let Device::Cuda(device) = device {
            CONTEXT.get_or_init(|| device.cuda_stream().context().clone());
        }
    }

    pub(super) fn memory() -> Option<DeviceMemory> {
        let (free, total) = CONTEXT.get()?.mem_get_info().ok()?;
        Some(DeviceMemory {
            used_bytes: total.saturating_sub(free) as u64,
            total_bytes: total as u64,
        })
    }
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
    pub fn read(&self, file: &str) -> Result<Option<Cow<'static, [u8]>>, EngineError> {
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
}
