//! How a worker takes a job: visitors' before examples, its models in turn; what is over already is passed over.
//! In: messages of its lines. Out: jobs in its hand, with a lease that is kept up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_nats::jetstream::{AckKind, Message};
use attribution::event::TraceEvent;
use engine::Precision;
use tokio::task::JoinHandle;

use super::lines::Ticket;
use super::records::{Entry, Stage};
use super::work::{Bench, End, InHand};
use super::{Nats, events, lines, nats, questions};
use crate::checks::Check;
use crate::error::ServerError;
use crate::jobs::Job;
use crate::live::{ATTEMPT_STRIDE, Live};
use crate::store::{MAX_ATTEMPTS, from_json};

/// Who joins the traces that are being made.
pub(super) enum Company {
    Joins(Arc<Live>),
    /// Nobody waits.
    Nobody,
    /// Another model's trace, or a question, comes first: once those that are being made have ended.
    AnothersTurn,
}

/// How long the last events of a trace may take to get out.
const FLUSH: Duration = Duration::from_secs(90);

impl Nats {
    /// The next job of any of this worker's lines: visitors' before examples, the models in turn.
    pub(super) async fn look(&self, bench: &Bench) -> Result<Option<Job>, ServerError> {
        let begun = Instant::now();
        let first = bench.turn.fetch_add(1, Ordering::Relaxed);
        for example in [false, true] {
            for k in 0..bench.models.len() {
                let model = &bench.models[(first + k) % bench.models.len()];
                let line = self
                    .reach
                    .lines
                    .line(&lines::name(&model.name, example))
                    .await?;
                // What is over already is passed over.
                while let Some(message) = line.next().await? {
                    if let Some(job) = self.take(bench, message, begun).await? {
                        return Ok(Some(job));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Who joins the traces of a model that are being made: the next of its line, where the turn is nobody else's.
    pub(super) async fn look_for_company(
        &self,
        bench: &Bench,
        model: &str,
        dtype: Option<Precision>,
    ) -> Result<Company, ServerError> {
        let begun = Instant::now();
        for example in [false, true] {
            let others = bench.models.iter().enumerate();
            for (k, other) in others.filter(|(_, other)| other.name != model) {
                let name = lines::name(&other.name, example);
                if self.reach.lines.line(&name).await?.waiting().await? > 0 {
                    bench.turn.store(k, Ordering::Relaxed);
                    return Ok(Company::AnothersTurn);
                }
            }
            let line = self.reach.lines.line(&lines::name(model, example)).await?;
            while let Some(message) = line.next().await? {
                if !self.joins(&message, dtype).await? {
                    // Where it stood, for whoever is free first.
                    say(&message, AckKind::Nak(None)).await?;
                    self.ring().await?;
                    return Ok(Company::AnothersTurn);
                }
                if let Some(Job::Trace(live)) = self.take(bench, message, begun).await? {
                    return Ok(Company::Joins(live));
                }
            }
        }
        Ok(Company::Nobody)
    }

    /// Whether a job may join traces in this precision. What is no trace to be made any more may: it is passed over.
    async fn joins(
        &self,
        message: &Message,
        dtype: Option<Precision>,
    ) -> Result<bool, ServerError> {
        match from_json("job", &String::from_utf8_lossy(&message.payload)) {
            Ok(Ticket::Trace(id)) => {
                let entry = self.reach.ledger.get(&id).await?;
                Ok(entry.is_none_or(|entry| entry.over() || entry.size.dtype == dtype))
            }
            Ok(Ticket::Question(_)) => Ok(false),
            Err(_) => Ok(true),
        }
    }

    /// A job out of a message, which was asked for at `begun`; `None` when there is nothing to do any more.
    async fn take(
        &self,
        bench: &Bench,
        message: Message,
        begun: Instant,
    ) -> Result<Option<Job>, ServerError> {
        let ticket = from_json("job", &String::from_utf8_lossy(&message.payload));
        match ticket {
            Ok(Ticket::Trace(id)) => self.take_trace(bench, id, message, begun).await,
            Ok(Ticket::Question(asked)) => self.take_question(asked, message).await,
            Err(error) => {
                tracing::error!(%error, "a job is not understood and thrown away");
                say(&message, AckKind::Term).await?;
                Ok(None)
            }
        }
    }

    async fn take_trace(
        &self,
        bench: &Bench,
        id: String,
        message: Message,
        begun: Instant,
    ) -> Result<Option<Job>, ServerError> {
        let info = message.info().map_err(nats("a job cannot be read"))?;
        let delivery = u32::try_from(info.delivered).unwrap_or(1).max(1);
        let now = self.reach.clock.now_unix_secs();
        let changed = self
            .reach
            .ledger
            .modify(&id, |entry| begin(entry, &bench.id, delivery, now));
        let Some((entry, _)) = changed.await? else {
            // Deleted meanwhile.
            say(&message, AckKind::Ack).await?;
            return Ok(None);
        };
        let attempt = delivery.max(entry.delivery);
        let live = Arc::new(Live::sized(id, attempt, entry.size.clone()));
        let end = match entry.stage {
            Stage::Running => None,
            Stage::Finished => Some(TraceEvent::Done),
            Stage::Failed | Stage::Queued => Some(TraceEvent::Failed {
                code: entry.code,
                message: entry.message,
            }),
        };
        // Whatever an attempt before this one has shown begins again.
        live.push_position(0);
        if entry.stop {
            live.stop();
        }
        let publisher = tokio::spawn(events::publish(self.reach.js.clone(), live.clone()));
        if let Some(end) = end {
            // Its worker died after the record was stored, or too often: viewers are told.
            live.push(&end);
            flush(publisher).await;
            say(&message, AckKind::Ack).await?;
            return Ok(None);
        }
        live.begin();
        let message = Arc::new(message);
        let lease = tokio::spawn(hold(message.clone(), self.reach.lines.lease / 3));
        let mut in_hand = bench.in_hand();
        for stale in in_hand.iter().filter(|own| own.live.id == live.id) {
            // This worker's own lease ran out, as where NATS was away: what it began before is of no use any more.
            stale.live.stop();
        }
        in_hand.push(InHand {
            live: live.clone(),
            message,
            lease,
            publisher,
            end: End::Open,
            asking_secs: begun.elapsed().as_secs_f64(),
            took: None,
        });
        drop(in_hand);
        Ok(Some(Job::Trace(live)))
    }

    async fn take_question(
        &self,
        asked: questions::Asked,
        message: Message,
    ) -> Result<Option<Job>, ServerError> {
        let client = self.reach.client.clone();
        if !questions::awaited(&client, &asked.subject).await {
            say(&message, AckKind::Ack).await?;
            return Ok(None);
        }
        let (check, answer) = Check::new(asked.id, asked.question);
        let message = Arc::new(message);
        let lease = tokio::spawn(hold(message.clone(), self.reach.lines.lease / 3));
        tokio::spawn(async move {
            let brought = questions::bring(&client, &asked.subject, answer).await;
            lease.abort();
            let kind = match brought {
                Ok(true) => AckKind::Ack,
                // This worker goes down: another answers.
                Ok(false) => AckKind::Nak(None),
                Err(error) => {
                    tracing::error!(%error, "an answer is lost");
                    AckKind::Ack
                }
            };
            if let Err(error) = say(&message, kind).await {
                tracing::warn!(%error, "a question may be answered twice");
            }
        });
        Ok(Some(Job::Check(check)))
    }
}

/// The entry's change when a job is handed out; `false` when nothing is left to do.
fn begin(entry: &mut Entry, worker: &str, delivery: u32, now_unix_secs: u64) -> bool {
    if entry.over() {
        return false;
    }
    // NATS counts a job anew that was lost and queued again; attempts go on.
    let delivery = delivery.max(entry.delivery + 1);
    let last = u64::from(delivery) * ATTEMPT_STRIDE + 1;
    if entry.stage == Stage::Running && entry.stop {
        let message = "This trace was stopped, and its worker was interrupted before it could keep the answer so far.";
        entry.fail("stopped", message, last, now_unix_secs);
        return true;
    }
    if entry.stage == Stage::Running && entry.attempts >= MAX_ATTEMPTS {
        let message = format!(
            "Its worker was interrupted {} times while making this trace, so it is not tried again. Please send it once more.",
            entry.attempts
        );
        entry.fail("interrupted", &message, last, now_unix_secs);
        return true;
    }
    entry.stage = Stage::Running;
    entry.attempts += 1;
    entry.delivery = delivery;
    worker.clone_into(&mut entry.worker);
    true
}

/// Tells the queue about a message.
async fn say(message: &Message, kind: AckKind) -> Result<(), ServerError> {
    let said = message.ack_with(kind).await;
    said.map_err(nats("the queue cannot be told"))
}

/// Says again and again that the job is in good hands.
async fn hold(message: Arc<Message>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        if let Err(error) = say(&message, AckKind::Progress).await {
            tracing::warn!(%error, "the lease on a job may run out");
        }
    }
}

/// Waits until every event is out.
pub(super) async fn flush(publisher: JoinHandle<()>) {
    if tokio::time::timeout(FLUSH, publisher).await.is_err() {
        tracing::error!("the last events of a trace did not get out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_handed_out_until_three_workers_died_of_it() {
        let mut entry = Entry::default();
        for delivery in 1..=3 {
            assert!(begin(&mut entry, "w", delivery, 1));
            assert_eq!((entry.stage, entry.delivery), (Stage::Running, delivery));
        }
        assert!(begin(&mut entry, "w", 4, 7));
        assert_eq!(
            (entry.stage, entry.code.as_str()),
            (Stage::Failed, "interrupted")
        );
        assert_eq!(
            (entry.last_event, entry.ended_unix_secs),
            (4_000_001, Some(7))
        );
        assert!(!begin(&mut entry, "w", 5, 8), "what is over stays as it is");

        // What was to stop when its worker died does not begin again.
        let mut entry = Entry::default();
        assert!(begin(&mut entry, "w", 1, 1));
        entry.stop = true;
        assert!(begin(&mut entry, "w", 2, 2));
        assert_eq!(
            (entry.stage, entry.code.as_str()),
            (Stage::Failed, "stopped")
        );
    }
}
