//! What the latest traces took, as their records say. Out: what a new process estimates waits by.

use attribution::record::{Finish, Stage};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Store, from_json};
use crate::admission::{JobSize, Took};
use crate::error::ServerError;

impl Store {
    /// Sizes of the latest traces that ended by themselves, and what they took, the oldest first.
    pub fn recent(&self, most: u32) -> Result<Vec<(JobSize, Took)>, ServerError> {
        let database = self.lock();
        let mut rows = database.prepare(
            "SELECT request, options, record FROM traces WHERE state = 'finished' AND record IS NOT NULL
             ORDER BY number DESC LIMIT ?1",
        )?;
        let rows = rows.query_map([most], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut recent = Vec::new();
        for row in rows {
            let (request, options, record): (String, String, String) = row?;
            // A record of another version tells nothing; it is no reason not to start.
            let ended = from_json::<Ended>("record", &record).ok();
            if let Some(took) = ended.and_then(|ended| ended.took()) {
                recent.push((self.size(&request, &options), took));
            }
        }
        recent.reverse();
        Ok(recent)
    }
}

/// Of a record, what its making took.
#[derive(Deserialize)]
struct Ended {
    tokens: Vec<IgnoredAny>,
    receipt: EndedReceipt,
}

#[derive(Deserialize)]
struct EndedReceipt {
    stage_secs: Vec<(Stage, f64)>,
    finish: Finish,
}

impl Ended {
    fn took(&self) -> Option<Took> {
        let (answer, front): (Vec<_>, Vec<_>) =
            (self.receipt.stage_secs.iter()).partition(|(stage, _)| *stage == Stage::Generate);
        let sum = |stages: &[&(Stage, f64)]| stages.iter().map(|(_, secs)| secs).sum();
        (self.receipt.finish != Finish::Stopped && !front.is_empty()).then(|| Took {
            front_secs: sum(&front),
            answer_secs: sum(&answer),
            tokens: self.tokens.len() as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::NewTrace;

    #[test]
    fn what_ended_by_itself_is_remembered_in_order() {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = Store::open(dir.path()).expect("open");
        let record = |generate: f64, finish: &str| {
            format!(
                "{{\"tokens\": [1, {{}}], \"receipt\": {{\"stage_secs\": [[\"decode\", 0.5], [\"prefill\", 1.5],
                   [\"generate\", {generate}]], \"finish\": \"{finish}\"}}}}"
            )
        };
        for (id, record) in [
            ("first", record(1.0, "end")),
            ("stopped", record(2.0, "stopped")),
            ("other", "{}".to_owned()),
            ("last", record(3.0, "length")),
        ] {
            store.accept(&NewTrace::small(id)).expect("accept");
            store.finish(id, &record, 1).expect("finish");
        }
        let recent = store.recent(10).expect("recent");
        let took: Vec<_> = recent.iter().map(|(_, took)| took.answer_secs).collect();
        assert_eq!(took, [1.0, 3.0]);
        assert_eq!((recent[0].1.front_secs, recent[0].1.tokens), (2.0, 2));
        assert_eq!(recent[0].0.model, "m");
        assert_eq!(store.recent(1).expect("recent").len(), 1);
    }
}
