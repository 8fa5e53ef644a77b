//! Reports of abuse, and takedown: what visitors tell the operator, and what the operator removes.

use rusqlite::{OptionalExtension, params};

use super::Store;
use crate::error::ServerError;

/// Reports taken in an hour, of one trace and of all.
const MAX_AN_HOUR: (u32, u32) = (5, 100);

/// What somebody said about a trace.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// By which it is dismissed.
    pub number: i64,
    /// The trace.
    pub id: String,
    /// Seconds since the Unix epoch.
    pub created_unix_secs: u64,
    /// In their own words.
    pub reason: String,
}

impl Store {
    /// Keeps a report for the operator; false when too many came within the hour.
    pub fn report(&self, id: &str, reason: &str) -> Result<bool, ServerError> {
        let now = self.clock.now_unix_secs();
        let database = self.lock();
        let (of_it, of_all): (u32, u32) = database.query_row(
            "SELECT coalesce(sum(id = ?1), 0), count(*) FROM reports WHERE created > ?2",
            params![id, now.saturating_sub(3600)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if of_it >= MAX_AN_HOUR.0 || of_all >= MAX_AN_HOUR.1 {
            return Ok(false);
        }
        database.execute(
            "INSERT INTO reports (id, created, reason) VALUES (?1, ?2, ?3)",
            params![id, now, reason],
        )?;
        Ok(true)
    }

    /// Every open report, the oldest first.
    pub fn reports(&self) -> Result<Vec<Report>, ServerError> {
        let database = self.lock();
        let mut rows =
            database.prepare("SELECT number, id, created, reason FROM reports ORDER BY number")?;
        let reports = rows.query_map([], |row| {
            Ok(Report {
                number: row.get(0)?,
                id: row.get(1)?,
                created_unix_secs: row.get(2)?,
                reason: row.get(3)?,
            })
        })?;
        Ok(reports.collect::<Result<_, _>>()?)
    }

    /// Closes a report; false when there is none of this number.
    pub fn dismiss(&self, number: i64) -> Result<bool, ServerError> {
        let changed = self
            .lock()
            .execute("DELETE FROM reports WHERE number = ?1", [number])?;
        Ok(changed > 0)
    }

    /// Removes a trace with everything that belongs to it, whatever its state, and closes the reports about it; false when
    /// it is not there. Its address says from then on that it was removed.
    pub fn take_down(&self, id: &str) -> Result<bool, ServerError> {
        let known = self.load(id)?.is_some();
        if known {
            let now = self.clock.now_unix_secs();
            self.lock().execute(
                "INSERT OR REPLACE INTO removed (id, at) VALUES (?1, ?2)",
                params![id, now],
            )?;
            self.delete(id)?;
            self.let_go()?;
        }
        Ok(known)
    }

    /// Whether the operator removed it.
    pub fn was_taken_down(&self, id: &str) -> Result<bool, ServerError> {
        let found = self
            .lock()
            .query_row("SELECT 1 FROM removed WHERE id = ?1", [id], |_| Ok(()));
        Ok(found.optional()?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::{NewTrace, State};

    #[test]
    fn reports_are_bounded_and_a_takedown_is_final_in_every_state() {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = Store::open_at(dir.path(), Clock::of(|| 1_000_000)).expect("open");
        store.accept(&NewTrace::small("bad")).expect("accept");
        for k in 0..MAX_AN_HOUR.0 {
            assert!(store.report("bad", &format!("reason {k}")).expect("report"));
        }
        assert!(!store.report("bad", "once more").expect("report"));
        assert!(store.report("other", "x").expect("report"));
        assert_eq!(store.reports().expect("reports").len(), 6);
        assert!(store.dismiss(6).expect("dismiss") && !store.dismiss(6).expect("dismiss"));

        store.begin("bad").expect("begin");
        assert!(store.take_down("bad").expect("takedown"));
        // The model was at it: what it brings home is not kept.
        store.finish("bad", "{}", 3).expect("finish");
        assert!(store.load("bad").expect("load").is_none());
        assert!(store.was_taken_down("bad").expect("asked"));
        assert!(store.reports().expect("reports").is_empty());
        assert!(!store.take_down("never").expect("takedown"));
        assert!(!store.was_taken_down("never").expect("asked"));
        store.accept(&NewTrace::small("good")).expect("accept");
        let good = store.load("good").expect("load").expect("there");
        assert_eq!(good.state, State::Open);
    }
}
