//! The tables, and how those of earlier versions become those of this one.

use rusqlite::{Connection, params};

use crate::blobs::Blobs;
use crate::error::ServerError;

/// `PRAGMA user_version` of a database that this program wrote.
const VERSION: i64 = 2;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS traces (
        number        INTEGER PRIMARY KEY AUTOINCREMENT,
        id            TEXT NOT NULL UNIQUE,
        created       INTEGER NOT NULL,
        state         TEXT NOT NULL CHECK (state IN ('queued', 'running', 'finished', 'failed')),
        attempts      INTEGER NOT NULL DEFAULT 0,
        request       TEXT NOT NULL,
        options       TEXT NOT NULL,
        task          TEXT NOT NULL DEFAULT '',
        gallery       TEXT,
        record        TEXT,
        error_code    TEXT,
        error_message TEXT,
        last_event    INTEGER NOT NULL DEFAULT 0,
        ended         INTEGER
    );
    CREATE TABLE IF NOT EXISTS shares (
        short         TEXT PRIMARY KEY,
        id            TEXT NOT NULL,
        view          TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS delete_keys (
        id            TEXT PRIMARY KEY,
        hash          TEXT NOT NULL
    );
    -- Which trace needs which file.
    CREATE TABLE IF NOT EXISTS media_of (
        hash          TEXT NOT NULL,
        id            TEXT NOT NULL,
        bytes         INTEGER NOT NULL,
        PRIMARY KEY (hash, id)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS reports (
        number        INTEGER PRIMARY KEY AUTOINCREMENT,
        id            TEXT NOT NULL,
        created       INTEGER NOT NULL,
        reason        TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS removed (
        id            TEXT PRIMARY KEY,
        at            INTEGER NOT NULL
    );
    -- What is true of a sample of the synthetic world.
    CREATE TABLE IF NOT EXISTS truths (
        id            TEXT PRIMARY KEY,
        truth         TEXT NOT NULL
    );
    -- Which trace repeats which, and without what.
    CREATE TABLE IF NOT EXISTS children (
        id            TEXT PRIMARY KEY,
        parent        TEXT NOT NULL,
        without       TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS children_by_parent ON children (parent);
    CREATE INDEX IF NOT EXISTS traces_by_state ON traces (state);
    CREATE INDEX IF NOT EXISTS media_by_trace ON media_of (id);
    CREATE INDEX IF NOT EXISTS shares_by_trace ON shares (id);
";

/// Settings of a connection, then the tables; all or nothing.
pub(super) fn prepare(database: &mut Connection, blobs: &Blobs) -> Result<(), ServerError> {
    // Before the first table is made, or it has no effect: room that a deletion frees goes back to the disk.
    database.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: with WAL, anything less may lose an accepted trace in a power cut.
    database.pragma_update(None, "synchronous", "FULL")?;
    // What is deleted is overwritten, not only forgotten.
    database.pragma_update(None, "secure_delete", "ON")?;
    // The command line may look in while the server writes.
    database.pragma_update(None, "busy_timeout", 10_000)?;
    let version: i64 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == VERSION {
        return Ok(());
    }
    if version > VERSION {
        return Err(ServerError::NewerData);
    }
    let change = database.transaction()?;
    change.execute_batch(TABLES)?;
    let ended: bool = change.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info('traces') WHERE name = 'ended')",
        [],
        |row| row.get(0),
    )?;
    if !ended {
        change.execute_batch(
            "ALTER TABLE traces ADD COLUMN ended INTEGER;
             UPDATE traces SET ended = created WHERE state IN ('finished', 'failed');",
        )?;
    }
    note_old_media(&change, blobs)?;
    change.pragma_update(None, "user_version", VERSION)?;
    Ok(change.commit()?)
}

/// Traces from before `media_of` name their files in what was asked and answered.
fn note_old_media(database: &Connection, blobs: &Blobs) -> Result<(), ServerError> {
    let mut rows = database.prepare("SELECT id, request, coalesce(record, '') FROM traces")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        for json in [row.get::<_, String>(1)?, row.get::<_, String>(2)?] {
            note_media(database, blobs, &id, &json)?;
        }
    }
    Ok(())
}

/// Notes every stored file that a JSON text names as one that the trace needs.
pub(super) fn note_media(
    database: &Connection,
    blobs: &Blobs,
    id: &str,
    json: &str,
) -> Result<(), ServerError> {
    for hash in blobs.named_in(json) {
        let bytes = i64::try_from(blobs.len(&hash)).unwrap_or(i64::MAX);
        database.execute(
            "INSERT OR IGNORE INTO media_of (hash, id, bytes) VALUES (?1, ?2, ?3)",
            params![hash, id, bytes],
        )?;
    }
    Ok(())
}
