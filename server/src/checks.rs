//! Questions about finished traces: what happens to a chunk when sources are taken away.
//! In: a trace's id and a question, queued with the traces. Out: the answer, to whoever waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use attribution::record::Record;
use engine::faithfulness::{Faithfulness, Question, Replay};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::error::{ServerError, failure_of};
use crate::store::{from_json, to_json};
use crate::worker::Worker;

/// A question in the queue. Dropping it tells whoever waits that there will be no answer.
#[derive(Debug)]
pub struct Check {
    /// The trace.
    pub id: String,
    /// What is asked.
    pub question: Question,
    answer: oneshot::Sender<Answer>,
}

/// What a question comes back with: the answer as JSON, or why there is none.
pub type Answer = Result<String, CheckError>;

/// The answer's fields.
#[derive(Debug, Serialize)]
struct Checked {
    #[serde(flatten)]
    faithfulness: Faithfulness,
    /// Wall time on the device thread, laying out and encoding included.
    secs: f64,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckError {
    /// The model that made the record is not the one that is here now.
    ModelChanged,
    /// Code and sentence.
    Failed(String, String),
}

impl Check {
    /// A question, and where its answer arrives.
    pub fn new(id: String, question: Question) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, receiver) = oneshot::channel();
        let check = Self {
            id,
            question,
            answer,
        };
        (check, receiver)
    }

    /// Answers where the device is elsewhere; who asked may have left meanwhile.
    pub fn reply(self, answer: Answer) {
        let _ = self.answer.send(answer);
    }

    /// Resolves when nobody waits for the answer any more.
    pub async fn deserted(&mut self) {
        self.answer.closed().await;
    }
}

impl Worker {
    /// Answers, unless nobody waits any more.
    pub(crate) fn check(&mut self, check: Check) {
        if check.answer.is_closed() {
            return;
        }
        let begun = Instant::now();
        let asked = self.faithfulness(&check).and_then(|asked| match asked {
            Some(Ok(faithfulness)) => {
                let secs = begun.elapsed().as_secs_f64();
                let checked = Checked { faithfulness, secs };
                Ok(Some(Ok(to_json("measurement", &checked)?)))
            }
            Some(Err(error)) => Ok(Some(Err(error))),
            None => Ok(None),
        });
        let answer = match asked {
            // Nobody waits, or the server goes down.
            Ok(None) => return,
            Ok(Some(answer)) => answer,
            Err(error) => {
                let (code, message) = failure_of(&error);
                Err(CheckError::Failed(code.to_owned(), message))
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
        let stored = (self.site.depot.load(&check.id)?).ok_or(ServerError::Lost("the trace"))?;
        let json =
            (self.site.depot.record_json(&check.id)?).ok_or(ServerError::Lost("the record"))?;
        let record: Record = from_json("record", &json)?;
        let (name, dtype) = (stored.request.model.clone(), stored.options.dtype);
        if !self.models.knows(&name) {
            return Ok(Some(Err(CheckError::ModelChanged)));
        }
        let model = self.models.get(&name, dtype)?;
        let request = self.site.request(&mut self.ears, model, stored)?;
        let receipt = &record.receipt;
        // Records from before the precision was noted have none.
        let dtype = [model.model.precision.name(), ""];
        if model.model.hash != receipt.model_hash || !dtype.contains(&receipt.dtype.as_str()) {
            return Ok(Some(Err(CheckError::ModelChanged)));
        }
        let mut go_on = || !check.answer.is_closed() && !self.site.depot.shutting_down();
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
