//! Content-addressed files: bytes -> `media/ab/<hash>`, written whole or not at all.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::ServerError;

/// Endings of files that are made from a stored one and go with it.
pub const DERIVED: [&str; 2] = ["peaks", "spectrum"];

/// As much of a file as its kind is told from.
const HEAD_BYTES: usize = 4096;

/// The media directory of a data directory.
#[derive(Debug)]
pub struct Blobs {
    root: PathBuf,
    temporary: PathBuf,
}

impl Blobs {
    /// Opens the directory, makes it where it is missing and removes what an interrupted write left behind.
    pub fn open(data_dir: &Path) -> Result<Self, ServerError> {
        let root = data_dir.join("media");
        let temporary = data_dir.join("incoming");
        if temporary.exists() {
            fs::remove_dir_all(&temporary).map_err(ServerError::file(&temporary))?;
        }
        for dir in [&root, &temporary] {
            fs::create_dir_all(dir).map_err(ServerError::file(dir))?;
        }
        Ok(Self { root, temporary })
    }

    /// The directories of a data directory that another process may be writing to; nothing in them is touched.
    pub fn beside(data_dir: &Path) -> Self {
        Self {
            root: data_dir.join("media"),
            temporary: data_dir.join("incoming"),
        }
    }

    /// A fresh path for an upload in progress, on the same file system as the final place.
    pub fn incoming(&self) -> Result<PathBuf, ServerError> {
        Ok(self.temporary.join(crate::id::fresh()?))
    }

    /// Stores bytes and returns their content hash.
    pub fn put(&self, bytes: &[u8]) -> Result<String, ServerError> {
        let hash = media::content_hash(bytes);
        self.put_named(&hash, bytes)?;
        Ok(hash)
    }

    /// Stores bytes whose content hash the caller already has.
    pub fn put_named(&self, hash: &str, bytes: &[u8]) -> Result<(), ServerError> {
        let path = self.incoming()?;
        let mut file = File::create_new(&path).map_err(ServerError::file(&path))?;
        file.write_all(bytes).map_err(ServerError::file(&path))?;
        drop(file);
        self.adopt_as(&path, hash)
    }

    /// Takes over a finished upload: hashes it and moves it to its place.
    pub fn adopt(&self, incoming: &Path) -> Result<String, ServerError> {
        let bytes = fs::read(incoming).map_err(ServerError::file(incoming))?;
        let hash = media::content_hash(&bytes);
        self.adopt_as(incoming, &hash)?;
        Ok(hash)
    }

    fn adopt_as(&self, incoming: &Path, hash: &str) -> Result<(), ServerError> {
        let target = self
            .place(hash)
            .ok_or_else(|| ServerError::MissingMedia(hash.to_owned()))?;
        if target.exists() {
            // Fresh again: a sweep for files without a trace passes it by until its new trace is there.
            let again = File::options().append(true).open(&target);
            again
                .and_then(|file| file.set_modified(SystemTime::now()))
                .map_err(ServerError::file(&target))?;
            return fs::remove_file(incoming).map_err(ServerError::file(incoming));
        }
        // Contents first, then the name, then the directory: after a power cut the name never leads to half a file.
        File::open(incoming)
            .and_then(|file| file.sync_all())
            .map_err(ServerError::file(incoming))?;
        let dir = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(dir).map_err(ServerError::file(dir))?;
        fs::rename(incoming, &target).map_err(ServerError::file(&target))?;
        File::open(dir)
            .and_then(|file| file.sync_all())
            .map_err(ServerError::file(dir))
    }

    /// Where a hash lives, if it is a hash at all and the file is there.
    pub fn path(&self, hash: &str) -> Option<PathBuf> {
        self.place(hash).filter(|path| path.is_file())
    }

    /// The whole file.
    pub fn read(&self, hash: &str) -> Result<Arc<[u8]>, ServerError> {
        let path = self
            .path(hash)
            .ok_or_else(|| ServerError::MissingMedia(hash.to_owned()))?;
        fs::read(&path)
            .map(Arc::from)
            .map_err(ServerError::file(path))
    }

    /// Bytes of a stored file; 0 where it is not there.
    pub fn len(&self, hash: &str) -> u64 {
        let file = self.path(hash).and_then(|path| fs::metadata(path).ok());
        file.map_or(0, |file| file.len())
    }

    /// Hashes of the files that were written before a time.
    pub fn older_than(&self, before: SystemTime) -> Result<Vec<String>, ServerError> {
        let mut found = Vec::new();
        for dir in entries(&self.root)? {
            for file in entries(&dir)? {
                let written = fs::metadata(&file).and_then(|file| file.modified());
                let name = file.file_name().and_then(|name| name.to_str());
                if let (Ok(written), Some(name)) = (written, name)
                    && written < before
                    && self.place(name).is_some()
                {
                    found.push(name.to_owned());
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// What was made from a file and kept under one of the endings of [`DERIVED`].
    pub fn derived(&self, hash: &str, ending: &str) -> Option<PathBuf> {
        let path = self.place(hash)?.with_extension(ending);
        path.is_file().then_some(path)
    }

    /// Keeps what was made from a file, whole or not at all. It can be made again: no power cut is waited for.
    pub fn put_derived(
        &self,
        hash: &str,
        ending: &str,
        bytes: &[u8],
    ) -> Result<PathBuf, ServerError> {
        let target = self
            .place(hash)
            .ok_or_else(|| ServerError::MissingMedia(hash.to_owned()))?
            .with_extension(ending);
        let path = self.incoming()?;
        fs::write(&path, bytes).map_err(ServerError::file(&path))?;
        let dir = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(dir).map_err(ServerError::file(dir))?;
        fs::rename(&path, &target).map_err(ServerError::file(&target))?;
        Ok(target)
    }

    /// Every stored hash that stands in a text between quotes.
    pub fn named_in(&self, json: &str) -> Vec<String> {
        let stored = |part: &&str| self.path(part).is_some();
        json.split('"').filter(stored).map(str::to_owned).collect()
    }

    /// Removes a file and what was made from it; one that is not there is as good as removed.
    pub fn remove(&self, hash: &str) -> Result<(), ServerError> {
        for ending in DERIVED {
            if let Some(path) = self.derived(hash, ending) {
                fs::remove_file(&path).map_err(ServerError::file(path))?;
            }
        }
        match self.path(hash) {
            Some(path) => fs::remove_file(&path).map_err(ServerError::file(path)),
            None => Ok(()),
        }
    }

    /// Whether a word can be a content hash: lower-case hex of a fitting length.
    pub fn is_hash(word: &str) -> bool {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (16..=128).contains(&word.len()) && word.bytes().all(hex)
    }

    /// Only hashes reach the file system, so no name from outside can leave the directory.
    fn place(&self, hash: &str) -> Option<PathBuf> {
        Self::is_hash(hash).then(|| self.root.join(&hash[..2]).join(hash))
    }
}

/// What lies in a directory.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, ServerError> {
    let listed = fs::read_dir(dir).map_err(ServerError::file(dir))?;
    Ok(listed.flatten().map(|entry| entry.path()).collect())
}

/// Some bytes of a file.
pub fn part(path: &Path, range: std::ops::Range<u64>) -> Result<Vec<u8>, ServerError> {
    let len = range.end.saturating_sub(range.start);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| {
            file.seek(SeekFrom::Start(range.start))?;
            file.take(len).read_to_end(&mut bytes)
        })
        .map_err(ServerError::file(path))?;
    Ok(bytes)
}

/// What a file is, by its first bytes.
pub fn kind(path: &Path) -> Result<media::Kind, ServerError> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    File::open(path)
        .and_then(|file| file.take(HEAD_BYTES as u64).read_to_end(&mut head))
        .map_err(ServerError::file(path))?;
    Ok(media::sniff(&head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_outside_never_leaves_the_directory() {
        let dir = tempfile::tempdir().expect("temp dir");
        let blobs = Blobs::open(dir.path()).expect("open");
        for name in [
            "",
            "..",
            "../../../../etc/passwd",
            "ABCDEF0123456789",
            "0123456789abcde/",
            "é123456789abcdef0",
        ] {
            assert_eq!(blobs.path(name), None, "{name}");
        }
        let hash = blobs.put(b"hello").expect("put");
        assert_eq!(&*blobs.read(&hash).expect("read"), b"hello");
        assert_eq!(blobs.put(b"hello").expect("again"), hash);
    }
}
