//! Events of running traces: one subject per trace, in a stream that keeps them long enough for late viewers.
//! In: the log of a worker. Out: the same log on every machine where somebody looks at the trace.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::Stream;
use futures_util::StreamExt;
use tokio::sync::watch;

use super::nats;
use crate::error::ServerError;
use crate::id;
use crate::live::Live;

/// Every trace's subject begins like this.
pub(super) const EVENTS: &str = "omnitrace.events";

/// The id of a message's first event.
const FIRST: &str = "Omni-First";

/// Present where the message goes on in the next.
const MORE: &str = "Omni-More";

/// As many bytes of events go into one message at most; less than the usual message size of 1 MiB.
const MAX_MESSAGE_BYTES: usize = 512 << 10;

/// How long a worker tries to get an event out while the NATS server is away.
const PATIENCE: Duration = Duration::from_secs(60);

/// Publishes a log as it grows, until it is closed.
pub(super) async fn publish(js: Context, live: Arc<Live>) {
    let subject = format!("{EVENTS}.{}", live.id);
    let writer = id::fresh().unwrap_or_default();
    let mut grown = live.watch();
    let mut after = None;
    loop {
        // Marked before the log is read: what is appended in between wakes the wait below.
        grown.borrow_and_update();
        let batch = live.read(after);
        let mut events = batch.events.as_slice();
        while let Some((first, _)) = events.first() {
            // What has gathered since the last message goes together.
            let mut bytes = 0;
            let fits = events.iter().take_while(|(_, line)| {
                bytes += line.len() + 1;
                bytes <= MAX_MESSAGE_BYTES
            });
            let (now, later) = events.split_at(fits.count().max(1));
            let lines: Vec<&str> = now.iter().map(|(_, line)| &**line).collect();
            if let Err(error) = send(&js, &subject, &writer, *first, &lines.join("\n")).await {
                tracing::error!(id = %live.id, %error, "events are lost: viewers must reload");
            }
            events = later;
        }
        after = batch.events.last().map(|(id, _)| *id).or(after);
        if batch.closed || grown.changed().await.is_err() {
            return;
        }
    }
}

/// One or more messages; each is sent until the server has it, and counted once. `writer`: who sends the same ids again
/// under another name means other events.
pub(super) async fn send(
    js: &Context,
    subject: &str,
    writer: &str,
    first: u64,
    lines: &str,
) -> Result<(), ServerError> {
    let failed = "an event cannot be sent";
    let parts: Vec<&[u8]> = lines.as_bytes().chunks(MAX_MESSAGE_BYTES).collect();
    for (k, part) in parts.iter().enumerate() {
        let mut headers = HeaderMap::new();
        headers.insert(FIRST, first.to_string());
        headers.insert("Nats-Msg-Id", format!("{writer}.{subject}.{first}.{k}"));
        if k + 1 < parts.len() {
            headers.insert(MORE, "1");
        }
        let begun = tokio::time::Instant::now();
        loop {
            let payload = part.to_vec().into();
            let sent = js.publish_with_headers(subject.to_owned(), headers.clone(), payload);
            let stored = match sent.await {
                Ok(stored) => stored.await.map(drop),
                Err(error) => Err(error),
            };
            match stored {
                Ok(()) => break,
                Err(error) if begun.elapsed() > PATIENCE => return Err(nats(failed)(error)),
                Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
            }
        }
    }
    Ok(())
}

/// How far a mirror is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mirrored {
    /// Nothing known yet.
    Joining,
    /// It holds what the stream held when it began; `true` when that was anything.
    CaughtUp(bool),
}

/// Fills a mirror of a trace's log from the stream, until the log is closed or nobody else holds it.
pub(super) async fn mirror(
    stream: &Stream,
    live: &Live,
    told: &watch::Sender<Mirrored>,
    alone: &(impl Fn() -> bool + Sync),
) {
    while let Err(error) = fill(stream, live, told, alone).await {
        tracing::warn!(id = %live.id, %error, "the events of a trace are asked for again");
        if alone() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn fill(
    stream: &Stream,
    live: &Live,
    told: &watch::Sender<Mirrored>,
    alone: &(impl Fn() -> bool + Sync),
) -> Result<(), ServerError> {
    let failed = "events cannot be read";
    let wanted = pull::OrderedConfig {
        filter_subject: format!("{EVENTS}.{}", live.id),
        deliver_policy: DeliverPolicy::All,
        ..pull::OrderedConfig::default()
    };
    let consumer = stream.create_consumer(wanted).await.map_err(nats(failed))?;
    let there = consumer.cached_info().num_pending;
    if there == 0 {
        told.send_replace(Mirrored::CaughtUp(false));
    }
    let mut messages = consumer.messages().await.map_err(nats(failed))?;
    let mut seen = 0;
    let mut whole = Vec::new();
    let mut first_of_whole = None;
    while !live.closed() {
        let message = match tokio::time::timeout(Duration::from_secs(10), messages.next()).await {
            Ok(Some(message)) => message.map_err(nats(failed))?,
            Ok(None) => return Err(ServerError::Lost("a stream of events")),
            // Silence: every viewer may have left. Before, the mirror is kept: a viewer may be reconnecting.
            Err(_) if alone() => return Ok(()),
            Err(_) => continue,
        };
        let header = |name: &str| message.headers.as_ref().and_then(|all| all.get(name));
        let first: Option<u64> = header(FIRST).and_then(|first| first.as_str().parse().ok());
        // A worker killed in the middle of a long event left a part that has no end.
        if first != first_of_whole {
            whole.clear();
        }
        first_of_whole = first;
        whole.extend_from_slice(&message.payload);
        if header(MORE).is_none() {
            let lines = String::from_utf8_lossy(&whole);
            for (id, line) in (first.unwrap_or_default()..).zip(lines.lines()) {
                live.push_line(id, line.into());
            }
            whole.clear();
            first_of_whole = None;
        }
        seen += 1;
        if seen >= there {
            told.send_replace(Mirrored::CaughtUp(true));
        }
    }
    Ok(())
}
