//! Copies of media on this machine's disk, bounded: when they take too much, those that nobody used for longest go.
//! In: files that were used. Out: which copies go.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::blobs::{Blobs, DERIVED};
use crate::error::ServerError;

/// A copy that was used so recently stays, whatever it weighs: somebody may be about to open it.
const IN_USE: Duration = Duration::from_secs(30);

/// Room is made down to this share of the bound, so that the next copy does not begin it again.
const ROOM_SHARE: f64 = 0.9;

/// A file that no trace names after so long was uploaded in vain.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// Copies and what they weigh.
#[derive(Debug)]
pub(super) struct Shelf {
    most_bytes: u64,
    in_use: Duration,
    copies: Mutex<Copies>,
}

#[derive(Debug, Default)]
struct Copies {
    bytes: u64,
    /// By hash: bytes with what is made from them, and when they were last used.
    known: BTreeMap<String, (u64, Instant)>,
}

impl Shelf {
    pub(super) fn new(most_bytes: u64) -> Self {
        Self {
            most_bytes,
            in_use: IN_USE,
            copies: Mutex::default(),
        }
    }

    /// A copy was used, or has come; others go where it is too much.
    pub(super) fn used(&self, blobs: &Blobs, hash: &str) -> Result<(), ServerError> {
        let derived = DERIVED
            .iter()
            .filter_map(|ending| blobs.derived(hash, ending));
        let derived = derived.filter_map(|path| path.metadata().ok());
        let bytes = blobs.len(hash) + derived.map(|file| file.len()).sum::<u64>();
        let going = {
            let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let before = copies.known.insert(hash.to_owned(), (bytes, now));
            copies.bytes += bytes;
            copies.bytes -= before.map_or(0, |(bytes, _)| bytes);
            copies.over(self.most_bytes, now, self.in_use)
        };
        for hash in going {
            blobs.remove(&hash)?;
        }
        Ok(())
    }

    /// The file is gone everywhere.
    pub(super) fn gone(&self, hash: &str) {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        copies.forget(hash);
    }

    /// Removes files that were stored here and that no trace came to name.
    pub(super) fn tidy(&self, blobs: &Blobs) -> Result<usize, ServerError> {
        let mut gone = 0;
        for hash in blobs.older_than(SystemTime::now() - FORGOTTEN)? {
            let known = {
                let copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
                copies.known.contains_key(&hash)
            };
            if !known {
                blobs.remove(&hash)?;
                gone += 1;
            }
        }
        Ok(gone)
    }
}

impl Copies {
    fn forget(&mut self, hash: &str) {
        if let Some((bytes, _)) = self.known.remove(hash) {
            self.bytes -= bytes;
        }
    }

    /// Takes out what goes.
    fn over(&mut self, most_bytes: u64, now: Instant, in_use: Duration) -> Vec<String> {
        let mut going = Vec::new();
        if self.bytes <= most_bytes {
            return going;
        }
        let mut by_use: Vec<(Instant, String)> = (self.known.iter())
            .filter(|(_, (_, used))| now.duration_since(*used) >= in_use && *used < now)
            .map(|(hash, (_, used))| (*used, hash.clone()))
            .collect();
        by_use.sort();
        let goal = (most_bytes as f64 * ROOM_SHARE) as u64;
        for (_, hash) in by_use {
            if self.bytes <= goal {
                break;
            }
            self.forget(&hash);
            going.push(hash);
        }
        going
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_used_for_longest_goes_first() {
        let dir = tempfile::tempdir().expect("temp dir");
        let blobs = Blobs::open(dir.path()).expect("open");
        let shelf = Shelf {
            in_use: Duration::ZERO,
            ..Shelf::new(2500)
        };
        let put = |name: &str| {
            let mut bytes = name.as_bytes().to_vec();
            bytes.resize(1000, b'.');
            let hash = blobs.put(&bytes).expect("put");
            shelf.used(&blobs, &hash).expect("used");
            hash
        };
        let here = |hash: &str| blobs.path(hash).is_some();
        let (a, b) = (put("a"), put("b"));
        shelf.used(&blobs, &a).expect("used");
        let c = put("c");
        assert_eq!([here(&a), here(&b), here(&c)], [true, false, true]);
        // What is made from a copy counts with it and goes with it.
        let peaks = vec![0; 600];
        blobs.put_derived(&a, DERIVED[0], &peaks).expect("put");
        shelf.used(&blobs, &a).expect("used");
        assert_eq!([here(&a), here(&c)], [true, false]);
        shelf.gone(&a);
        blobs.remove(&a).expect("removed");
        let (d, e) = (put("d"), put("e"));
        assert_eq!([here(&d), here(&e)], [true, true]);
        assert_eq!(shelf.tidy(&blobs).expect("tidy"), 0);
    }

    #[test]
    fn what_is_in_use_stays_and_what_was_sent_in_vain_goes() {
        let dir = tempfile::tempdir().expect("temp dir");
        let blobs = Blobs::open(dir.path()).expect("open");
        let shelf = Shelf::new(1);
        let hash = blobs.put(b"in use").expect("put");
        shelf.used(&blobs, &hash).expect("used");
        let other = blobs.put(b"another").expect("put");
        shelf.used(&blobs, &other).expect("used");
        assert!(blobs.path(&hash).is_some());
        let vain = blobs.put(b"refused").expect("put");
        let old = SystemTime::now() - FORGOTTEN - Duration::from_secs(60);
        for hash in [&vain, &hash] {
            let path = blobs.path(hash).expect("there");
            let file = std::fs::File::options().append(true).open(path);
            file.and_then(|file| file.set_modified(old)).expect("aged");
        }
        assert_eq!(shelf.tidy(&blobs).expect("tidy"), 1);
        assert!(blobs.path(&vain).is_none() && blobs.path(&hash).is_some());
    }
}
