//! How long traces are kept: by age, unless shared, and within a quota. In: a policy. Out: what is gone, with its files.

use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::params;

use super::Store;
use crate::error::ServerError;

/// What an operator promises about keeping; nothing given, nothing goes by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Days after which a trace goes, shared or not.
    pub keep_days: Option<u32>,
    /// Minutes after its end that a trace stays which nobody has shared.
    pub unshared_minutes: Option<u32>,
    /// Bytes that traces and files may take.
    pub quota_bytes: Option<u64>,
}

/// What a sweep took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Traces past their days.
    pub aged: usize,
    /// Traces that nobody shared.
    pub unshared: usize,
    /// Traces that made room.
    pub for_room: usize,
    /// Files that belong to no trace.
    pub orphans: usize,
}

impl Swept {
    /// Whether everything stayed.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A file is stored before the trace that names it: younger ones may still be waiting for theirs.
const ORPHAN_AGE: Duration = Duration::from_secs(3600);

/// A sweep for room goes on to this share of the quota, so that the next upload does not begin another one.
const ROOM_SHARE: f64 = 0.9;

/// Ended and a visitor's: the shipped examples belong to the program, and would only be made again.
const MAY_GO: &str = "gallery IS NULL AND state IN ('finished', 'failed')";

const UNSHARED: &str = "NOT EXISTS (SELECT 1 FROM shares WHERE shares.id = traces.id)";

impl Store {
    /// Takes away what the policy does not keep.
    pub fn sweep(&self, policy: &Policy) -> Result<Swept, ServerError> {
        let now = self.clock.now_unix_secs();
        let mut swept = Swept::default();
        if let Some(days) = policy.keep_days {
            let last = now.saturating_sub(u64::from(days) * 86_400);
            swept.aged = self.delete_all(&format!("{MAY_GO} AND created <= {last}"))?;
        }
        if let Some(minutes) = policy.unshared_minutes {
            let last = now.saturating_sub(u64::from(minutes) * 60);
            let due = format!("{MAY_GO} AND coalesce(ended, created) <= {last} AND {UNSHARED}");
            swept.unshared = self.delete_all(&due)?;
        }
        if let Some(quota) = policy.quota_bytes {
            swept.for_room = self.make_room(quota, now)?;
        }
        // Every file is looked at: once an hour is enough.
        let checked = self.orphans_checked.load(Ordering::Relaxed);
        if now.saturating_sub(checked) >= ORPHAN_AGE.as_secs() {
            self.orphans_checked.store(now, Ordering::Relaxed);
            swept.orphans = self.sweep_orphans(now)?;
        }
        if !swept.is_nothing() {
            self.let_go()?;
        }
        Ok(swept)
    }

    /// Bytes of files and of the database, without what deletions have left free in it.
    pub fn used_bytes(&self) -> Result<u64, ServerError> {
        let database = self.lock();
        let files: i64 = database.query_row(
            "SELECT coalesce(sum(bytes), 0) FROM (SELECT max(bytes) AS bytes FROM media_of GROUP BY hash)",
            [],
            |row| row.get(0),
        )?;
        let pragma = |name: &str| -> rusqlite::Result<i64> {
            database.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
        };
        let pages = pragma("page_count")? - pragma("freelist_count")?;
        let bytes = files.saturating_add(pages.saturating_mul(pragma("page_size")?));
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    fn delete_all(&self, which: &str) -> Result<usize, ServerError> {
        let ids = self.ids(&format!("SELECT id FROM traces WHERE {which}"))?;
        for id in &ids {
            self.delete(id)?;
        }
        Ok(ids.len())
    }

    /// What has lain long and weighs much goes first; what somebody shared goes last.
    fn make_room(&self, quota: u64, now: u64) -> Result<usize, ServerError> {
        if self.used_bytes()? <= quota {
            return Ok(0);
        }
        let weight = "length(request) + coalesce(length(record), 0)
                      + coalesce((SELECT sum(bytes) FROM media_of WHERE media_of.id = traces.id), 0)";
        let ids = self.ids(&format!(
            "SELECT id FROM traces WHERE {MAY_GO}
             ORDER BY {UNSHARED} DESC, (max({now} - created, 0) + 1) * ({weight}) DESC, number"
        ))?;
        let goal = (quota as f64 * ROOM_SHARE) as u64;
        let mut gone = 0;
        for id in ids {
            if self.used_bytes()? <= goal {
                break;
            }
            self.delete(&id)?;
            gone += 1;
        }
        Ok(gone)
    }

    fn sweep_orphans(&self, now: u64) -> Result<usize, ServerError> {
        let before = UNIX_EPOCH + Duration::from_secs(now).saturating_sub(ORPHAN_AGE);
        let mut gone = 0;
        for hash in self.blobs.older_than(before)? {
            let database = self.lock();
            let named: bool = database.query_row(
                "SELECT EXISTS (SELECT 1 FROM media_of WHERE hash = ?1)",
                params![hash],
                |row| row.get(0),
            )?;
            if !named {
                self.blobs.remove(&hash)?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// Deleted rows leave the write-ahead log and the file, not only the tables.
    pub fn let_go(&self) -> Result<(), ServerError> {
        let database = self.lock();
        // Both answer with rows that nobody needs; a reader that holds a page back leaves it to the next sweep.
        for pragma in [
            "PRAGMA incremental_vacuum",
            "PRAGMA wal_checkpoint(TRUNCATE)",
        ] {
            let mut statement = database.prepare(pragma)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(())
    }

    fn ids(&self, query: &str) -> Result<Vec<String>, ServerError> {
        let database = self.lock();
        let mut rows = database.prepare(query)?;
        let ids = rows.query_map([], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::clock::Clock;
    use crate::store::NewTrace;

    /// Every byte of every file under a directory.
    fn all_bytes(dir: &Path) -> Vec<u8> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                all.extend(all_bytes(&path));
            } else {
                all.extend(std::fs::read(path).expect("a file"));
            }
        }
        all
    }

    fn holds(dir: &Path, mark: &str) -> bool {
        all_bytes(dir)
            .windows(mark.len())
            .any(|part| part == mark.as_bytes())
    }

    struct House {
        dir: tempfile::TempDir,
        now: Arc<AtomicU64>,
        store: Store,
    }

    impl House {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("temp dir");
            // The files' own times are real: the clock begins at the real time, too.
            let now = Arc::new(AtomicU64::new(Clock::default().now_unix_secs()));
            let shown = now.clone();
            let clock = Clock::of(move || shown.load(Ordering::Relaxed));
            let store = Store::open_at(dir.path(), clock).expect("open");
            Self { dir, now, store }
        }

        fn pass(&self, secs: u64) {
            self.now.fetch_add(secs, Ordering::Relaxed);
        }

        /// A finished trace of a file of so many bytes.
        fn trace(&self, id: &str, mark: &str, bytes: usize) -> String {
            let mut file = mark.as_bytes().to_vec();
            file.resize(bytes.max(mark.len()), b'.');
            let hash = self.store.blobs.put(&file).expect("put");
            let mut new = NewTrace::small(id);
            new.request.prompt = mark.into();
            new.request.items = vec![app::data::ItemView::Image {
                hash: hash.clone(),
                name: "a".into(),
            }];
            self.store.accept(&new).expect("accept");
            self.store.begin(id).expect("begin");
            let derived = self.store.blobs.put(format!("derived {mark}").as_bytes());
            let record = format!(
                "{{\"media\":\"{}\",\"said\":\"{mark}\"}}",
                derived.expect("put")
            );
            self.store.finish(id, &record, 1).expect("finish");
            hash
        }

        fn left(&self) -> Vec<String> {
            self.store
                .ids("SELECT id FROM traces ORDER BY number")
                .expect("ids")
        }
    }

    #[test]
    fn what_nobody_shared_is_gone_from_the_disk_after_its_minutes() {
        let house = House::new();
        let policy = Policy {
            unshared_minutes: Some(15),
            ..Policy::default()
        };
        house.trace("kept", "MARK-OF-THE-SHARED-ONE", 5000);
        house.store.share("kept", "").expect("share");
        house.trace("gone", "MARK-OF-THE-OTHER", 5000);
        house
            .store
            .accept(&NewTrace::small("waiting"))
            .expect("accept");
        house.pass(14 * 60 + 59);
        assert!(house.store.sweep(&policy).expect("sweep").is_nothing());
        assert!(holds(house.dir.path(), "MARK-OF-THE-OTHER"));
        house.pass(1);
        let swept = house.store.sweep(&policy).expect("sweep");
        assert_eq!(swept.unshared, 1);
        assert_eq!(house.left(), ["kept", "waiting"]);
        // Neither a file nor a byte of the database or its log is left.
        assert!(!holds(house.dir.path(), "MARK-OF-THE-OTHER"));
        assert!(holds(house.dir.path(), "MARK-OF-THE-SHARED-ONE"));
    }

    #[test]
    fn days_count_for_shared_ones_too_and_examples_stay() {
        let house = House::new();
        let policy = Policy {
            keep_days: Some(2),
            ..Policy::default()
        };
        house.trace("old", "OLD", 10);
        house.store.share("old", "?s=1").expect("share");
        let mut example = NewTrace::small("example");
        example.gallery = Some("seed 1".into());
        house.store.accept(&example).expect("accept");
        house.store.finish("example", "{}", 1).expect("finish");
        house.pass(86_400);
        house.trace("new", "NEW", 10);
        house.pass(86_400);
        assert_eq!(house.store.sweep(&policy).expect("sweep").aged, 1);
        assert_eq!(house.left(), ["example", "new"]);
        assert!(
            house
                .store
                .sweep(&Policy::default())
                .expect("sweep")
                .is_nothing()
        );
    }

    #[test]
    fn room_is_made_by_the_old_and_heavy_first_and_the_shared_last() {
        let house = House::new();
        let shared = house.trace("shared", "S", 400_000);
        house.store.share("shared", "").expect("share");
        house.pass(100);
        house.trace("small", "A", 1_000);
        house.trace("large", "B", 400_000);
        house.pass(100);
        house.trace("new", "C", 100_000);
        let used = house.store.used_bytes().expect("used");
        assert!(used > 901_000, "{used}");
        let policy = |quota| Policy {
            quota_bytes: Some(quota),
            ..Policy::default()
        };
        assert!(
            house
                .store
                .sweep(&policy(used))
                .expect("sweep")
                .is_nothing()
        );
        let swept = house.store.sweep(&policy(used - 1)).expect("sweep");
        assert_eq!(swept.for_room, 1);
        assert_eq!(house.left(), ["shared", "small", "new"]);
        house.store.sweep(&policy(1)).expect("sweep");
        assert!(house.left().is_empty());
        assert_eq!(house.store.blobs.path(&shared), None);
    }

    #[test]
    fn files_without_a_trace_go_after_an_hour() {
        let house = House::new();
        let orphan = house
            .store
            .blobs
            .put(b"uploaded, then refused")
            .expect("put");
        let named = house.trace("x", "X", 10);
        assert!(
            house
                .store
                .sweep(&Policy::default())
                .expect("sweep")
                .is_nothing()
        );
        house.pass(3700);
        assert_eq!(
            house
                .store
                .sweep(&Policy::default())
                .expect("sweep")
                .orphans,
            1
        );
        assert_eq!(house.store.blobs.path(&orphan), None);
        assert!(house.store.blobs.path(&named).is_some());
    }

    #[test]
    fn a_database_of_the_version_before_is_taken_over() {
        let dir = tempfile::tempdir().expect("temp dir");
        let hash = crate::blobs::Blobs::open(dir.path())
            .and_then(|blobs| blobs.put(b"a file"))
            .expect("put");
        let old = rusqlite::Connection::open(dir.path().join("omnitrace.sqlite")).expect("open");
        old.execute_batch(&format!(
            "CREATE TABLE traces (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,
                 state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, request TEXT NOT NULL, options TEXT NOT NULL,
                 task TEXT NOT NULL DEFAULT '', gallery TEXT, record TEXT, error_code TEXT, error_message TEXT,
                 last_event INTEGER NOT NULL DEFAULT 0);
             INSERT INTO traces (id, created, state, request, options, record)
                 VALUES ('old', 5, 'finished', '{{\"prompt\":\"p\",\"items\":[{{\"kind\":\"image\",\"hash\":\"{hash}\",\"name\":\"\"}}],\"model\":\"m\"}}', '{{}}', '{{}}');"
        ))
        .expect("an old database");
        drop(old);
        let store = Store::open(dir.path()).expect("open");
        let policy = Policy {
            unshared_minutes: Some(1),
            ..Policy::default()
        };
        assert!(store.load("old").expect("load").is_some());
        assert_eq!(store.sweep(&policy).expect("sweep").unshared, 1);
        assert_eq!(store.blobs.path(&hash), None, "its file was known");
        drop(store);
        let newer = rusqlite::Connection::open(dir.path().join("omnitrace.sqlite")).expect("open");
        newer.pragma_update(None, "user_version", 99).expect("set");
        assert!(matches!(
            Store::open(dir.path()),
            Err(ServerError::NewerData)
        ));
    }
}
