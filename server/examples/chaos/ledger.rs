//! What the server promised: every accepted trace, and what its record was when it was first seen.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::program::{PATIENCE, Program};

/// Seen finished ones that are looked at again after a round.
const AGAIN: usize = 12;

#[derive(Debug, Clone, PartialEq)]
enum Seen {
    /// Accepted; not yet seen ended.
    Open,
    /// Its record's hash.
    Finished(blake3::Hash),
    /// The machine-readable reason.
    Failed(String),
}

#[derive(Default)]
pub struct Ledger {
    traces: BTreeMap<String, Seen>,
    looked: usize,
}

impl Ledger {
    pub fn accepted(&mut self, id: String) {
        self.traces.insert(id, Seen::Open);
    }

    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.traces.keys()
    }

    /// Every open trace ends well or plainly; what had ended is as it was.
    pub fn settle(&mut self, program: &Program, all: bool) -> Result<()> {
        let open: Vec<_> = self.of(|seen| *seen == Seen::Open);
        for id in open {
            let begun = Instant::now();
            loop {
                match look(program, &id)? {
                    Seen::Open => ensure!(begun.elapsed() < PATIENCE, "{id} never ends"),
                    seen => {
                        self.traces.insert(id, seen);
                        break;
                    }
                }
                std::thread::sleep(Duration::from_millis(30));
            }
        }
        let ended = self.of(|seen| *seen != Seen::Open);
        let count = if all {
            ended.len()
        } else {
            AGAIN.min(ended.len())
        };
        for step in 0..count {
            let id = &ended[(self.looked + step) % ended.len()];
            let seen = look(program, id)?;
            ensure!(
                self.traces[id] == seen,
                "{id} was {:?} and is {seen:?}",
                self.traces[id]
            );
            let page = program.get(&format!("/t/{id}"));
            ensure!(
                page.as_ref()
                    .is_some_and(|(status, html)| *status == 200 && html.contains("</html>")),
                "the page of {id} is not whole"
            );
        }
        self.looked += count;
        Ok(())
    }

    /// On a server whose database was damaged: the right record, or an error that says so; never another record.
    pub fn nothing_false(&self, program: &Program) -> Result<()> {
        for (id, seen) in &self.traces {
            let Some((status, body)) = program.get(&format!("/api/traces/{id}")) else {
                bail!("no answer about {id}");
            };
            match (status, seen) {
                (200, Seen::Finished(hash)) => {
                    ensure!(
                        blake3::hash(body.as_bytes()) == *hash,
                        "{id} shows a false record"
                    );
                }
                (200, _) => bail!("{id} was never finished and shows a record"),
                _ => plain(&body)?,
            }
        }
        Ok(())
    }

    fn of(&self, wanted: impl Fn(&Seen) -> bool) -> Vec<String> {
        let traces = self.traces.iter();
        traces
            .filter(|(_, seen)| wanted(seen))
            .map(|(id, _)| id.clone())
            .collect()
    }
}

fn look(program: &Program, id: &str) -> Result<Seen> {
    match program.get(&format!("/api/traces/{id}")) {
        Some((200, body)) => {
            let record: Value = serde_json::from_str(&body)?;
            let whole = record["receipt"].is_object() && record["chunks"].is_array();
            ensure!(whole, "{id} shows half a record: {body}");
            Ok(Seen::Finished(blake3::hash(body.as_bytes())))
        }
        Some((202, _)) => Ok(Seen::Open),
        Some((422, body)) => {
            plain(&body)?;
            let error: Value = serde_json::from_str(&body)?;
            Ok(Seen::Failed(error["code"].to_string()))
        }
        Some((status, body)) => bail!("{id} is lost: {status} {body}"),
        None => bail!("no answer about {id}: {}", program.log()?),
    }
}

/// An error people can read.
pub fn plain(body: &str) -> Result<()> {
    let error: Value = serde_json::from_str(body)?;
    let message = error["message"].as_str().unwrap_or_default();
    ensure!(
        error["code"].is_string() && message.contains(' '),
        "no plain error: {body}"
    );
    Ok(())
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finished = self.of(|seen| matches!(seen, Seen::Finished(_))).len();
        let failed = self.of(|seen| matches!(seen, Seen::Failed(_))).len();
        write!(f, "{finished} finished, {failed} failed plainly")
    }
}
