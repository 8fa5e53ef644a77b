//! Views of stored sounds: made when first asked for, one at a time, and kept beside the file that they are of.
//! In: a content hash. Out: the path of a file of tiles, or a sentence that says why there is none.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use media::view::{self, HEADER_BYTES, Shape};
use tokio::sync::Semaphore;

use crate::blobs;
use crate::depot::Depot;
use crate::error::{ApiError, ServerError, sentence};

/// Most files that are remembered as having no view; beyond it all are forgotten and may be tried again.
const MAX_REFUSED: usize = 512;

/// What is drawn of a sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// Lowest and highest sample per column.
    Peaks,
    /// Levels per band and column.
    Spectrum,
}

impl View {
    /// From its name in an address.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "peaks" => Some(Self::Peaks),
            "spectrum" => Some(Self::Spectrum),
            _ => None,
        }
    }

    /// The ending of its file.
    fn ending(self) -> &'static str {
        match self {
            Self::Peaks => blobs::DERIVED[0],
            Self::Spectrum => blobs::DERIVED[1],
        }
    }
}

/// Makes views.
pub struct Views {
    depot: Arc<dyn Depot>,
    limits: media::Limits,
    /// One is made at a time: a page asks for several tiles at once, and decoding takes a whole core.
    turn: Arc<Semaphore>,
    refused: Mutex<BTreeMap<(String, View), String>>,
}

impl Views {
    /// For the files of a depot.
    pub fn new(depot: Arc<dyn Depot>, limits: media::Limits) -> Self {
        Self {
            depot,
            limits,
            turn: Arc::new(Semaphore::new(1)),
            refused: Mutex::default(),
        }
    }

    /// The file of a view, made where it is missing.
    pub async fn file(self: &Arc<Self>, hash: &str, view: View) -> Result<PathBuf, ApiError> {
        let lost = |_| ApiError::from(ServerError::Lost("a view"));
        let (own, name) = (self.clone(), hash.to_owned());
        let known = tokio::task::spawn_blocking(move || own.known(&name, view));
        if let Some(path) = known.await.map_err(lost)?? {
            return Ok(path);
        }
        let permit = self.turn.clone().acquire_owned().await.map_err(|_| {
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The server is restarting. Try again in a moment.",
            )
        })?;
        let (own, hash) = (self.clone(), hash.to_owned());
        // The permit goes along: who hangs up does not let the next one in before this one is made.
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            own.make(&hash, view)
        })
        .await
        .map_err(lost)?
    }

    /// What needs no work: a view that is there, or a refusal that is remembered.
    fn known(&self, hash: &str, view: View) -> Result<Option<PathBuf>, ApiError> {
        if self.depot.media(hash)?.is_none() {
            return Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "unknown_media",
                "There is no file under this address.",
            ));
        }
        if let Some(path) = self.depot.files().derived(hash, view.ending()) {
            return Ok(Some(path));
        }
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.get(&(hash.to_owned(), view)) {
            Some(message) => Err(cannot(message)),
            None => Ok(None),
        }
    }

    fn make(&self, hash: &str, view: View) -> Result<PathBuf, ApiError> {
        // While this one waited for its turn, another may have made it.
        if let Some(path) = self.known(hash, view)? {
            return Ok(path);
        }
        let bytes = self.depot.media_bytes(hash)?;
        let made = match view {
            View::Peaks => view::peaks(&bytes, &self.limits),
            View::Spectrum => {
                let peaks = self.make(hash, View::Peaks)?;
                view::spectrum(&bytes, &self.limits, &shape(&peaks)?)
            }
        };
        match made {
            Ok(tiles) => {
                let files = self.depot.files();
                let path = files.put_derived(hash, view.ending(), &tiles)?;
                // What was deleted meanwhile takes this along.
                if self.depot.media(hash)?.is_none() {
                    files.remove(hash)?;
                }
                Ok(path)
            }
            Err(error) => {
                let message = sentence(&format!("this file has no sound to draw: {error}"));
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                if refused.len() >= MAX_REFUSED {
                    refused.clear();
                }
                refused.insert((hash.to_owned(), view), message.clone());
                Err(cannot(&message))
            }
        }
    }
}

fn cannot(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "no_view", message)
}

/// The header of a file of tiles.
pub fn shape(path: &std::path::Path) -> Result<Shape, ServerError> {
    let head = blobs::part(path, 0..HEADER_BYTES as u64)?;
    Shape::read(&head).ok_or(ServerError::Lost("the header of a view"))
}
