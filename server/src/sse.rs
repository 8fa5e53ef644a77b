//! `GET /api/traces/{id}/events`: a trace's events as server-sent events, resumable by id, at each viewer's own pace.
//!
//! Ids run from 0 and grow; after a restart of the server they continue at the next million, and the events begin again
//! with `queued`, which resets whatever a page has drawn. Resume with the header `Last-Event-ID` (browsers do so by
//! themselves) or `?after=ID`. Once the last event has been delivered the answer is 204, which ends a browser's retries.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use attribution::event::TraceEvent;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::watch;

use crate::live::Live;
use crate::store::{State, Stored};

/// A browser waits this long before it reconnects.
const RETRY: Duration = Duration::from_millis(1000);

/// Proxies close silent connections after a minute or less.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The id after which to resume: `?after=` before the header.
pub fn resume_after(query: Option<u64>, headers: &HeaderMap) -> Option<u64> {
    query.or_else(|| {
        headers
            .get("last-event-id")?
            .to_str()
            .ok()?
            .trim()
            .parse()
            .ok()
    })
}

/// The events of a job in memory.
pub fn live(live: Arc<Live>, after: Option<u64>) -> Response {
    let batch = live.read(after);
    if batch.closed && batch.events.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    let grown = live.watch();
    let events = stream::unfold(
        Viewer {
            live,
            grown,
            after,
            ended: false,
        },
        Viewer::next,
    )
    .flat_map(stream::iter);
    respond(events)
}

/// The last event of a trace that is no longer in memory.
pub fn stored(stored: Stored, after: Option<u64>) -> Response {
    let event = match stored.state {
        State::Finished => TraceEvent::Done,
        State::Failed { code, message } => TraceEvent::Failed { code, message },
        // Accepted but neither queued nor running: the server goes down.
        State::Open => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    if after.is_some_and(|after| after >= stored.last_event) {
        return StatusCode::NO_CONTENT.into_response();
    }
    match serde_json::to_string(&event) {
        Ok(line) => respond(stream::iter([Ok(sse_event(stored.last_event, &line))])),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// One viewer's place in a log.
struct Viewer {
    live: Arc<Live>,
    grown: watch::Receiver<()>,
    after: Option<u64>,
    ended: bool,
}

impl Viewer {
    async fn next(mut self) -> Option<(Vec<Result<Event, Infallible>>, Self)> {
        if self.ended {
            return None;
        }
        loop {
            // Marked before the log is read: what is appended in between wakes the wait below.
            self.grown.borrow_and_update();
            let batch = self.live.read(self.after);
            self.ended = batch.closed;
            if let Some((id, _)) = batch.events.last() {
                self.after = Some(*id);
                let events = batch
                    .events
                    .iter()
                    .map(|(id, line)| Ok(sse_event(*id, line)))
                    .collect();
                return Some((events, self));
            }
            if self.ended || self.grown.changed().await.is_err() {
                return None;
            }
        }
    }
}

fn sse_event(id: u64, line: &str) -> Event {
    Event::default().id(id.to_string()).retry(RETRY).data(line)
}

fn respond(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would collect tokens into blocks.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
