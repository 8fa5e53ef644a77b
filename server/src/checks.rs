//! Questions about finished traces: what happens to a chunk when sources are taken away.
//! In: a trace's id and a question, queued with the traces. Out: the answer, to whoever waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use attribution::record::Record;
use engine::faithfulness::{Faithfulness, Question, Replay};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::error::{ServerError, failure_of};
use crate::store::from_json;
use crate::worker::Worker;

/// A question in the queue. Dropping it tells whoever waits that there will be no answer.
#[derive(Debug)]
pub struct Check {
    /// The trace.
    pub id: String,
    /// What is asked.
    pub question: Question,
    answer: oneshot::Sender<Result<Checked, CheckError>>,
}

/// An answer.
#[derive(Debug, Serialize)]
pub struct Checked {
    #[serde(flatten)]
    faithfulness: Faithfulness,
    /// Wall time on the device thread, laying out and encoding included.
    secs: f64,
}

/// Why there is none.
#[derive(Debug)]
pub enum CheckError {
    /// The model that made the record is not the one that is here now.
    ModelChanged,
    /// Code and sentence.
    Failed(&'static str, String),
}

impl Check {
    /// A question, and where its answer arrives.
    pub fn new(
        id: String,
        question: Question,
    ) -> (Self, oneshot::Receiver<Result<Checked, CheckError>>) {
        let (answer, receiver) = oneshot::channel();
        let check = Self {
            id,
            question,
            answer,
        };
        (check, receiver)
    }
}

impl Worker {
    /// Answers, unless nobody waits any more.
    pub(crate) fn check(&mut self, check: Check) {
        if check.answer.is_closed() {
            return;
        }
        let begun = Instant::now();
        let answer = match self.faithfulness(&check) {
            // Nobody waits, or the server goes down.
            Ok(None) => return,
            Ok(Some(Ok(faithfulness))) => Ok(Checked {
                faithfulness,
                secs: begun.elapsed().as_secs_f64(),
            }),
            Ok(Some(Err(error))) => Err(error),
            Err(error) => {
                let (code, message) = failure_of(&error);
                Err(CheckError::Failed(code, message))
            }
        };
        tracing::info!(id = %check.id, secs = format!("{:.2}", begun.elapsed().as_secs_f64()), "removal measured");
        // Who asked may have left meanwhile.
        let _ = check.answer.send(answer);
    }

    /// `None` when it was broken off.
    fn faithfulness(
        &mut self,
        check: &Check,
    ) -> Result<Option<Result<Faithfulness, CheckError>>, ServerError> {
        let stored = (self.store.load(&check.id)?).ok_or(ServerError::Lost("the trace"))?;
        let json = (self.store.record_json(&check.id)?).ok_or(ServerError::Lost("the record"))?;
        let record: Record = from_json("record", &json)?;
        let (name, dtype) = (stored.request.model.clone(), stored.options.dtype);
        if !self.models.knows(&name) {
            return Ok(Some(Err(CheckError::ModelChanged)));
        }
        let request = self.request(stored)?;
        let model = self.models.get(&name, dtype)?;
        let receipt = &record.receipt;
        // Records from before the precision was noted have none.
        let dtype = [model.model.precision.name(), ""];
        if model.model.hash != receipt.model_hash || !dtype.contains(&receipt.dtype.as_str()) {
            return Ok(Some(Err(CheckError::ModelChanged)));
        }
        let mut go_on = || !check.answer.is_closed() && !self.jobs.shutting_down();
        // As for traces: a bug met by one visitor must not end the service for all.
        let asked = catch_unwind(AssertUnwindSafe(|| {
            Replay::open(&model.model, &request, &record)?.ask(&check.question, &mut go_on)
        }));
        match asked {
            Ok(asked) => Ok(asked?.map(Ok)),
            Err(_) => Err(ServerError::Lost("the model")),
        }
    }
}
