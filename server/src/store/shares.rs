//! Short links, and the deletion of a trace by who holds its key.

use rusqlite::{OptionalExtension, params};

use super::Store;
use crate::error::ServerError;
use crate::id;

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

    /// Only a hash of the key is kept: who reads the database cannot delete over HTTP.
    pub(super) fn keep_delete_key(&self, id: &str, key: &str) -> Result<(), ServerError> {
        let hash = blake3::hash(key.as_bytes()).to_hex();
        self.lock().execute(
            "INSERT OR REPLACE INTO delete_keys (id, hash) VALUES (?1, ?2)",
            params![id, hash.as_str()],
        )?;
        Ok(())
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

    /// Deletes a trace with its short links, and every media file that no other trace names.
    pub fn delete(&self, id: &str) -> Result<(), ServerError> {
        let database = self.lock();
        let named: Option<(String, Option<String>)> = database
            .query_row(
                "SELECT request, record FROM traces WHERE id = ?1",
                [id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        for table in ["traces", "shares", "delete_keys"] {
            database.execute(&format!("DELETE FROM {table} WHERE id = ?1"), [id])?;
        }
        let (request, record) = named.unwrap_or_default();
        let mut hashes = self.blobs.named_in(&request);
        hashes.extend(self.blobs.named_in(&record.unwrap_or_default()));
        hashes.sort();
        hashes.dedup();
        for hash in hashes {
            let elsewhere: bool = database.query_row(
                "SELECT EXISTS (SELECT 1 FROM traces WHERE instr(request, ?1) > 0 OR instr(coalesce(record, ''), ?1) > 0)",
                [&hash],
                |row| row.get(0),
            )?;
            if !elsewhere {
                self.blobs.remove(&hash)?;
            }
        }
        Ok(())
    }
}
