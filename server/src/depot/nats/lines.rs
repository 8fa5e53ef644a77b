//! The lines that jobs wait in: one work queue per model for visitors, one for the shipped examples.
//! In: jobs under their ids. Out: each to one worker at a time, again and again until one says that it is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, RetentionPolicy, Stream};
use async_nats::jetstream::{Context, Message};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::nats;
use crate::error::ServerError;
use crate::store::to_json;

/// A server that says nothing for so long has not heard the question.
const SILENCE: Duration = Duration::from_secs(5);

/// All of a line's workers share this consumer.
const CONSUMER: &str = "workers";

/// What waits in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ticket {
    /// A trace by id; what is asked is in the records.
    Trace(String),
    /// A question about one; see `questions`.
    Question(super::questions::Asked),
}

/// The name of a model's line: `jobs-<hash>`, or `examples-<hash>`.
pub(super) fn name(model: &str, example: bool) -> String {
    let hash = blake3::hash(model.as_bytes()).to_hex();
    let kind = if example { "examples" } else { "jobs" };
    format!("{kind}-{}", &hash[..16])
}

/// One line.
#[derive(Clone)]
pub(super) struct Line {
    stream: Stream,
    consumer: PullConsumer,
    subject: String,
}

/// The lines that this process has met.
pub(super) struct Lines {
    pub(super) js: Context,
    pub(super) replicas: usize,
    /// A job whose worker has not been heard of for so long goes to another.
    pub(super) lease: Duration,
    pub(super) known: Mutex<BTreeMap<String, Arc<Line>>>,
}

impl Lines {
    /// A line by its name, made where it is missing.
    pub(super) async fn line(&self, name: &str) -> Result<Arc<Line>, ServerError> {
        let mut known = self.known.lock().await;
        if let Some(line) = known.get(name) {
            return Ok(line.clone());
        }
        let failed = "a queue cannot be made";
        let subject = format!("omnitrace.{name}");
        let config = Config {
            name: format!("omnitrace-{name}"),
            subjects: vec![format!("{subject}.*")],
            retention: RetentionPolicy::WorkQueue,
            num_replicas: self.replicas,
            ..Config::default()
        };
        let stream = (self.js.get_or_create_stream(config).await).map_err(nats(failed))?;
        let consumer = pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.lease,
            // Attempts are counted in the records, where an orderly shutdown does not count.
            max_deliver: -1,
            max_ack_pending: -1,
            ..pull::Config::default()
        };
        let consumer = stream.get_or_create_consumer(CONSUMER, consumer).await;
        let line = Arc::new(Line {
            consumer: consumer.map_err(nats(failed))?,
            stream,
            subject,
        });
        known.insert(name.to_owned(), line.clone());
        Ok(line)
    }

    /// Puts a ticket at the end of a line. On return it survives a crash.
    pub(super) async fn join(
        &self,
        name: &str,
        id: &str,
        ticket: &Ticket,
    ) -> Result<(), ServerError> {
        self.send(name, id, ticket, HeaderMap::new()).await
    }

    /// The same for a trace whose ticket was lost; when two do so in the same minute, it has one all the same.
    pub(super) async fn join_again(&self, name: &str, id: &str) -> Result<(), ServerError> {
        let mut once = HeaderMap::new();
        once.insert("Nats-Msg-Id", format!("again.{id}"));
        let ticket = Ticket::Trace(id.to_owned());
        self.send(name, id, &ticket, once).await
    }

    async fn send(
        &self,
        name: &str,
        id: &str,
        ticket: &Ticket,
        headers: HeaderMap,
    ) -> Result<(), ServerError> {
        let line = self.line(name).await?;
        let failed = "a job cannot be queued";
        let subject = format!("{}.{id}", line.subject);
        let payload = to_json("job", ticket)?.into();
        let sent = (self.js).publish_with_headers(subject, headers, payload);
        let stored = sent.await.map_err(nats(failed))?;
        stored.await.map(drop).map_err(nats(failed))
    }
}

impl Line {
    /// The next job, if there is one now.
    pub(super) async fn next(&self) -> Result<Option<Message>, ServerError> {
        let failed = "the queue cannot be read";
        let fetch = self.consumer.fetch().max_messages(1);
        let mut batch = fetch.messages().await.map_err(nats(failed))?;
        // A server that dies before it answers never does; what it may have sent is handed out again.
        let next = tokio::time::timeout(SILENCE, batch.next()).await;
        let next = next.map_err(nats(failed))?;
        next.transpose().map_err(nats(failed))
    }

    /// Takes a job out, wherever it stands.
    pub(super) async fn leave(&self, id: &str) -> Result<(), ServerError> {
        let failed = "a job cannot be withdrawn";
        // By its number: to purge its subject makes nats-server 2.9 forget every other job of the line.
        let Some(own) = self.number(id).await? else {
            return Ok(());
        };
        match self.stream.delete_message(own).await {
            Ok(_) => Ok(()),
            // A worker was faster, and finds that it is over.
            Err(_) if self.number(id).await?.is_none() => Ok(()),
            Err(error) => Err(nats(failed)(error)),
        }
    }

    /// The number under which a job waits, if it does.
    async fn number(&self, id: &str) -> Result<Option<u64>, ServerError> {
        let subject = format!("{}.{id}", self.subject);
        match self.stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => Ok(Some(message.sequence)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(nats("the queue cannot be read")(error)),
        }
    }

    /// Whether a job stands in it, waiting or with a worker.
    pub(super) async fn holds(&self, id: &str) -> Result<bool, ServerError> {
        Ok(self.number(id).await?.is_some())
    }

    /// How many wait in it, not yet with a worker.
    pub(super) async fn waiting(&self) -> Result<u64, ServerError> {
        let info = self.consumer.get_info().await;
        let info = info.map_err(nats("the queue cannot be read"))?;
        Ok(info.num_pending)
    }
}
