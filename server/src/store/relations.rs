//! What belongs to a trace besides its record: what is true of it, and which traces repeat its question without some sources.

use attribution::record::ChildOf;
use rusqlite::{Connection, OptionalExtension, params};

use super::{State, Store, from_json, state_of, to_json};
use crate::error::ServerError;
use crate::truth::Truth;

/// A trace made from another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its id.
    pub id: String,
    /// What it leaves out, as indices into the units of both.
    pub without: Vec<u32>,
    /// Where it stands.
    pub state: State,
}

pub(super) fn keep_truth(
    database: &Connection,
    id: &str,
    truth: &Truth,
) -> Result<(), ServerError> {
    let truth = to_json("truth", truth)?;
    database.execute(
        "INSERT OR REPLACE INTO truths (id, truth) VALUES (?1, ?2)",
        params![id, truth],
    )?;
    Ok(())
}

pub(super) fn keep_child(
    database: &Connection,
    id: &str,
    child_of: &ChildOf,
) -> Result<(), ServerError> {
    let without = to_json("list of units", &child_of.without)?;
    database.execute(
        "INSERT OR REPLACE INTO children (id, parent, without) VALUES (?1, ?2, ?3)",
        params![id, child_of.id, without],
    )?;
    Ok(())
}

/// From the two columns of the table.
pub(super) fn child_of(
    row: (Option<String>, Option<String>),
) -> Result<Option<ChildOf>, ServerError> {
    let (Some(id), Some(without)) = row else {
        return Ok(None);
    };
    let without = from_json("list of units", &without)?;
    Ok(Some(ChildOf { id, without }))
}

impl Store {
    /// What is true of a trace, where that is known.
    pub fn truth(&self, id: &str) -> Result<Option<Truth>, ServerError> {
        let row: Option<String> = self
            .lock()
            .query_row("SELECT truth FROM truths WHERE id = ?1", [id], |row| {
                row.get(0)
            })
            .optional()?;
        row.map(|json| from_json("truth", &json)).transpose()
    }

    /// The traces that repeat this one's question, in the order of their acceptance.
    pub fn children(&self, id: &str) -> Result<Vec<Child>, ServerError> {
        let database = self.lock();
        let mut rows = database.prepare(
            "SELECT children.id, children.without, state, error_code, error_message
             FROM children JOIN traces ON traces.id = children.id WHERE parent = ?1 ORDER BY number",
        )?;
        let rows = rows.query_map([id], |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?, state_of(row, 2)?))
        })?;
        rows.map(|row| {
            let (id, without, state) = row?;
            Ok(Child {
                id,
                without: from_json("list of units", &without)?,
                state,
            })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::NewTrace;
    use super::*;

    #[test]
    fn children_are_listed_until_they_are_deleted_and_outlive_their_parent() {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = Store::open(dir.path()).expect("open");
        store.accept(&NewTrace::small("parent")).expect("accept");
        let child_of = ChildOf {
            id: "parent".into(),
            without: vec![1, 4],
        };
        for id in ["first", "second"] {
            let new = NewTrace {
                child_of: Some(child_of.clone()),
                ..NewTrace::small(id)
            };
            store.accept(&new).expect("accept");
        }
        let ids = || -> Vec<String> {
            let all = store.children("parent").expect("children");
            all.into_iter().map(|own| own.id).collect()
        };
        assert_eq!(ids(), ["first", "second"]);
        let loaded = store.load("first").expect("load").expect("there");
        assert_eq!(loaded.child_of.as_ref(), Some(&child_of));
        store.delete("first").expect("delete");
        assert_eq!(ids(), ["second"]);
        store.delete("parent").expect("delete");
        let loaded = store.load("second").expect("load").expect("there");
        assert_eq!(loaded.child_of, Some(child_of));
        assert!(store.load("parent").expect("load").is_none());
    }
}
