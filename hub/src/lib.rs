//! Models by id from the hub (`Qwen/Qwen2.5-Omni-7B`), through the hub's own client and into its own cache.
//! In: an id and the names of the files that are wanted. Out: a directory in the hub's layout that holds them.
//!
//! Nothing but the files that were asked for by name is ever requested: no listing, no pickle, no shard that is not read.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

mod place;

pub use place::Place;

/// Which files of a model are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Files without which the model cannot be loaded.
    pub required: &'a [&'a str],
    /// Files that are taken where the model has them.
    pub optional: &'a [&'a str],
    /// The file that says which weight files there are, where the weights are in several.
    pub index: &'a str,
    /// The weight files of an index by its content, or what is wrong with it.
    pub weights_of_index: fn(&[u8]) -> Result<Vec<String>, String>,
    /// The weight file of a model without an index.
    pub single: &'a str,
}

/// A model on the hub: `owner/name`, or `owner/name@revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelId {
    repo: String,
    revision: String,
}

/// Why a model could not be had; a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// 401 or 403.
    #[error(
        "the hub does not give {file} of {id} without a token that may read it: accept the model's terms on its page if it \
         has any, then set HF_TOKEN or run `hf auth login`"
    )]
    Denied {
        /// Which model.
        id: String,
        /// Which file.
        file: String,
    },
    /// 404 for a file that must be there.
    #[error("the hub at {endpoint} has no {file} of {id}: check the id for a missing letter")]
    Missing {
        /// Which model.
        id: String,
        /// Which file.
        file: String,
        /// Where was asked.
        endpoint: String,
    },
    /// The network may not be used, and the cache is not complete.
    #[error(
        "{id} is not complete in the cache {cache} ({file} is missing) and HF_HUB_OFFLINE forbids to download it: unset it, or \
         download the model elsewhere and give its directory"
    )]
    Offline {
        /// Which model.
        id: String,
        /// Which file.
        file: String,
        /// Where was looked.
        cache: PathBuf,
    },
    /// Network or disk.
    #[error(
        "{file} of {id} could not be downloaded from {endpoint} into {cache}: {reason}. Try again (a download goes on where it \
         stopped), or download the model elsewhere and give its directory"
    )]
    Download {
        /// Which model.
        id: String,
        /// Which file.
        file: String,
        /// Where was asked.
        endpoint: String,
        /// Where it should go.
        cache: PathBuf,
        /// What happened.
        reason: String,
    },
    /// A downloaded file is not what it should be.
    #[error("{file} of {id} cannot be used: {reason}")]
    Unusable {
        /// Which model.
        id: String,
        /// Which file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

impl ModelId {
    /// Reads `owner/name` or `owner/name@revision`; `None` where it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let (repo, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (owner, name) = repo.split_once('/')?;
        (plain(owner) && plain(name) && plain(revision)).then(|| Self {
            repo: repo.to_owned(),
            revision: revision.to_owned(),
        })
    }

    fn repo(&self) -> Repo {
        Repo::with_revision(self.repo.clone(), RepoType::Model, self.revision.clone())
    }
}

/// A directory with everything wanted of a model: the cache's, completed by download.
///
/// A model that is complete in the cache is taken from there without asking the network.
pub fn fetch(place: &Place, id: &ModelId, wanted: &Wanted<'_>) -> Result<PathBuf, HubError> {
    if let Some(dir) = cached(place, id, wanted) {
        return Ok(dir);
    }
    let download = Download::new(place, id)?;
    // A model that was changed on the hub since a part of it was cached is completed anew from its newest state.
    for _ in 0..2 {
        download.all(wanted)?;
        if let Some(dir) = cached(place, id, wanted) {
            return Ok(dir);
        }
    }
    Err(failed(
        place,
        id,
        "the model",
        "it changes while it is downloaded",
    ))
}

/// The model's directory in the cache, where everything that it needs is there.
pub fn cached(place: &Place, id: &ModelId, wanted: &Wanted<'_>) -> Option<PathBuf> {
    let dir = snapshot(place, id)?;
    let weights = match std::fs::read(dir.join(wanted.index)) {
        Ok(index) => (wanted.weights_of_index)(&index).ok()?,
        Err(_) => vec![wanted.single.to_owned()],
    };
    let mut needed = wanted
        .required
        .iter()
        .copied()
        .chain(weights.iter().map(String::as_str));
    needed.all(|file| dir.join(file).is_file()).then_some(dir)
}

/// The snapshot that the revision points at; for a full commit hash, that commit's.
fn snapshot(place: &Place, id: &ModelId) -> Option<PathBuf> {
    let repo = place.cache.join(id.repo().folder_name());
    let commit = std::fs::read_to_string(repo.join("refs").join(&id.revision))
        .unwrap_or_else(|_| id.revision.clone());
    let dir = repo.join("snapshots").join(commit.trim());
    dir.is_dir().then_some(dir)
}

/// One model being completed.
struct Download<'a> {
    place: &'a Place,
    id: &'a ModelId,
    repo: ApiRepo,
}

impl<'a> Download<'a> {
    fn new(place: &'a Place, id: &'a ModelId) -> Result<Self, HubError> {
        let api = ApiBuilder::from_cache(Cache::new(place.cache.clone()))
            .with_endpoint(place.endpoint.clone())
            .with_token(place.token.clone())
            .with_progress(place.progress)
            .with_retries(3)
            .build()
            .map_err(|error| failed(place, id, "the model", &error.to_string()))?;
        let repo = api.repo(id.repo());
        Ok(Self { place, id, repo })
    }

    fn all(&self, wanted: &Wanted<'_>) -> Result<(), HubError> {
        for file in wanted.required {
            self.require(file)?;
        }
        for file in wanted.optional {
            self.get(file)?;
        }
        let weights = match self.get(wanted.index)? {
            Some(path) => self.weights_of(&path, wanted)?,
            None => vec![wanted.single.to_owned()],
        };
        for file in &weights {
            self.require(file)?;
        }
        Ok(())
    }

    fn weights_of(&self, index: &Path, wanted: &Wanted<'_>) -> Result<Vec<String>, HubError> {
        let unusable = |reason: String| HubError::Unusable {
            id: self.id.repo.clone(),
            file: wanted.index.to_owned(),
            reason,
        };
        let bytes = std::fs::read(index).map_err(|error| unusable(error.to_string()))?;
        (wanted.weights_of_index)(&bytes).map_err(unusable)
    }

    fn require(&self, file: &str) -> Result<PathBuf, HubError> {
        self.get(file)?.ok_or_else(|| HubError::Missing {
            id: self.id.repo.clone(),
            file: file.to_owned(),
            endpoint: self.place.endpoint.clone(),
        })
    }

    /// A file, from the cache where it is there; `None` where the hub has none.
    fn get(&self, file: &str) -> Result<Option<PathBuf>, HubError> {
        let local = snapshot(self.place, self.id).map(|dir| dir.join(file));
        if let Some(path) = local.filter(|path| path.is_file()) {
            return Ok(Some(path));
        }
        if self.place.offline {
            return Err(HubError::Offline {
                id: self.id.repo.clone(),
                file: file.to_owned(),
                cache: self.place.cache.clone(),
            });
        }
        match self.repo.download(file) {
            Ok(path) => Ok(Some(path)),
            Err(error) => match status(&error) {
                Some(404) => Ok(None),
                Some(401 | 403) => Err(HubError::Denied {
                    id: self.id.repo.clone(),
                    file: file.to_owned(),
                }),
                _ => Err(failed(self.place, self.id, file, &error.to_string())),
            },
        }
    }
}

fn failed(place: &Place, id: &ModelId, file: &str, reason: &str) -> HubError {
    HubError::Download {
        id: id.repo.clone(),
        file: file.to_owned(),
        endpoint: place.endpoint.clone(),
        cache: place.cache.clone(),
        reason: reason.to_owned(),
    }
}

fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(code) => Some(code),
            _ => None,
        },
        ApiError::TooManyRetries(last) => status(last),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_paths() {
        assert!(ModelId::parse("Qwen/Qwen2.5-Omni-7B").is_some());
        let pinned = ModelId::parse("Qwen/Qwen2.5-Omni-7B@abc123").map(|id| (id.repo, id.revision));
        assert_eq!(
            pinned,
            Some(("Qwen/Qwen2.5-Omni-7B".into(), "abc123".into()))
        );
        for path in [
            "models",
            "/models/x",
            "./x",
            "../x",
            "a/b/c",
            "a/",
            "a/..",
            "a/b@",
            "a b/c",
            "C:\\x/y",
        ] {
            assert_eq!(ModelId::parse(path), None, "{path}");
        }
    }
}
