//! Short links, and the deletion of a trace by who holds its key.

use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use crate::error::ServerError;
use crate::id;

/// Only a hash of the key is kept: who reads the database cannot delete over HTTP.
pub(super) fn keep_delete_key(
    database: &Connection,
    id: &str,
    key: &str,
) -> Result<(), ServerError> {
    let hash = blake3::hash(key.as_bytes()).to_hex();
    database.execute(
        "INSERT OR REPLACE INTO delete_keys (id, hash) VALUES (?1, ?2)",
        params![id, hash.as_str()],
    )?;
    Ok(())
}

impl Store {
    /// The short id of a trace seen like this; the same view always has the same.
    pub fn share(&self, id: &str, view: &str) -> Result<String, ServerError> {
        let short = id::of(&format!("{id}{view}"));
        self.lock().execute(
            "INSERT OR IGNORE INTO shares (short, id, view) VALUES (?1, ?2, ?3)",
            params![short, id, view],
        )?;
        Ok(short)
    }

    /// Trace and view of a short id.
    pub fn shared(&self, short: &str) -> Result<Option<(String, String)>, ServerError> {
        let row = self.lock().query_row(
            "SELECT id, view FROM shares WHERE short = ?1",
            [short],
            |row| Ok((row.get(0)?, row.get(1)?)),
        );
        Ok(row.optional()?)
    }

    /// Whether this key may delete this trace.
    pub fn may_delete(&self, id: &str, key: &str) -> Result<bool, ServerError> {
        let kept: Option<String> = self
            .lock()
            .query_row("SELECT hash FROM delete_keys WHERE id = ?1", [id], |row| {
                row.get(0)
            })
            .optional()?;
        let kept = kept.and_then(|hash| blake3::Hash::from_hex(hash).ok());
        // blake3 compares its hashes in constant time.
        Ok(kept == Some(blake3::hash(key.as_bytes())))
    }

    /// Deletes a trace with its short links and the reports about it, and every media file that no other trace needs.
    pub fn delete(&self, id: &str) -> Result<(), ServerError> {
        let mut database = self.lock();
        let change = database.transaction()?;
        let free: Vec<String> = {
            let mut rows = change.prepare(
                "SELECT hash FROM media_of AS own WHERE id = ?1
                 AND NOT EXISTS (SELECT 1 FROM media_of WHERE hash = own.hash AND id <> ?1)",
            )?;
            let hashes = rows.query_map([id], |row| row.get(0))?;
            hashes.collect::<Result<_, _>>()?
        };
        for table in [
            "traces",
            "shares",
            "delete_keys",
            "media_of",
            "reports",
            "truths",
            "children",
        ] {
            change.execute(&format!("DELETE FROM {table} WHERE id = ?1"), [id])?;
        }
        change.commit()?;
        // After the rows: a crash in between leaves files that a sweep finds, never rows whose files are gone.
        for hash in free {
            self.blobs.remove(&hash)?;
        }
        Ok(())
    }
}
