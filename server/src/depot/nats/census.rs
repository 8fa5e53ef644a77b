//! Every open trace of the house, heard from the ledger's changes: who waits behind whom, how long, and whose it is.
//! In: entries as they change, and what traces took. Out: places, waits and counts, at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::datetime;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures_util::StreamExt;
use tokio::sync::oneshot;

use super::nats;
use super::presence::Hands;
use super::reach::Reach;
use super::records::{self, Entry, Stage};
use crate::admission::course::{self, Device, Done, Running, Waiting};
use crate::admission::{Elsewhere, Estimator, JobSize, Marks, Took};
use crate::error::ServerError;
use crate::store::from_json;

/// No trace is open for longer: what changed before need not be heard.
const LOOK_BACK: Duration = Duration::from_secs(24 * 3600);

/// What this process has heard.
#[derive(Debug, Default)]
pub(super) struct Census(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    open: BTreeMap<String, Open>,
    estimator: Estimator,
}

#[derive(Debug)]
struct Open {
    revision: u64,
    /// Of its first revision heard: who was accepted before whom.
    order: u64,
    line: String,
    /// The visitors' line of its model: whoever takes the one takes the other.
    queue: String,
    example: bool,
    size: JobSize,
    /// When its entry was stored.
    stored_unix_secs: u64,
    /// When its work began, once it has.
    since: Option<Instant>,
    /// Who has it, once it has begun.
    worker: String,
    by: String,
    client: Option<String>,
    address: Option<String>,
}

impl Census {
    /// An entry as it is since its revision, so many seconds ago, at this second since the epoch.
    pub(super) fn note(
        &self,
        id: &str,
        revision: u64,
        (age_secs, stored_unix_secs): (f64, u64),
        entry: Entry,
    ) {
        let mut heard = self.lock();
        let known = heard.open.get(id);
        if known.is_some_and(|known| known.revision >= revision) {
            return;
        }
        if entry.over() {
            heard.open.remove(id);
            return;
        }
        let begun = || Instant::now().checked_sub(Duration::from_secs_f64(age_secs.max(0.0)));
        let since = match entry.stage {
            Stage::Running => known.and_then(|known| known.since).or_else(begun),
            _ => None,
        };
        let open = Open {
            revision,
            order: known.map_or(revision, |known| known.order),
            queue: entry.line.replace("examples-", "jobs-"),
            line: entry.line,
            example: entry.gallery.is_some(),
            stored_unix_secs,
            size: entry.size,
            since,
            worker: entry.worker,
            by: entry.by,
            client: entry.client,
            address: entry.address,
        };
        heard.open.insert(id.to_owned(), open);
    }

    /// Open traces of which nothing has been heard since.
    pub(super) fn unchanged_since(&self, unix_secs: u64) -> Vec<String> {
        let heard = self.lock();
        let old = (heard.open.iter()).filter(|(_, open)| open.stored_unix_secs <= unix_secs);
        old.map(|(id, _)| id.clone()).collect()
    }

    /// A trace took so long that ended by itself.
    pub(super) fn learn(&self, size: &JobSize, took: Took) {
        self.lock().estimator.learn(size, took);
    }

    /// How many wait before a trace in its line; where it is not known here yet, all that wait there.
    pub(super) fn position(&self, id: &str, line: &str) -> u32 {
        let heard = self.lock();
        let own = heard.open.get(id).map_or(u64::MAX, |own| own.order);
        let before = |open: &&Open| open.line == line && open.since.is_none() && open.order < own;
        heard.open.values().filter(before).count() as u32
    }

    /// How many wait before a trace, while it is known to wait.
    pub(super) fn waiting(&self, id: &str) -> Option<u32> {
        let line = {
            let heard = self.lock();
            let open = heard.open.get(id).filter(|open| open.since.is_none())?;
            open.line.clone()
        };
        Some(self.position(id, &line))
    }

    /// Open traces of a client that others than `own` accepted.
    pub(super) fn elsewhere(&self, marks: &Marks, own: &str) -> Elsewhere {
        let heard = self.lock();
        let others = || heard.open.values().filter(|open| open.by != own);
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        Elsewhere {
            of_client: others()
                .filter(|open| same(&open.client, &marks.client))
                .count(),
            of_address: others()
                .filter(|open| same(&open.address, &marks.address))
                .count(),
        }
    }

    /// Seconds until a trace begins; `None` when it does not wait, or no worker takes its line.
    pub(super) fn wait_secs(&self, id: &str, workers: &[Hands]) -> Option<f64> {
        let heard = self.lock();
        if heard.open.get(id)?.since.is_some() {
            return None;
        }
        let (ids, waits) = heard.waits(workers, None);
        let place = ids.iter().position(|known| *known == id)?;
        waits[place]
    }

    /// Seconds until the next visitor's trace begins, and until a new one in this line would.
    pub(super) fn waits_of_line(&self, line: &str, workers: &[Hands]) -> (f64, f64) {
        let heard = self.lock();
        let (_, waits) = heard.waits(workers, Some(line));
        let known = |wait: Option<&Option<f64>>| wait.copied().flatten().unwrap_or(0.0);
        (known(waits.first()), known(waits.last()))
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        // Every change is a single insertion, removal or sum.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// Who waits, in turn, and how long; `new`: a line that one more would join.
    fn waits(&self, workers: &[Hands], new: Option<&str>) -> (Vec<&str>, Vec<Option<f64>>) {
        let (mut running, mut waiting) = (Vec::new(), Vec::new());
        for (id, open) in &self.open {
            let expected = self.estimator.expect(&open.size);
            match open.since {
                Some(since) => running.push(Running {
                    line: &open.queue,
                    expected,
                    done: Done::Secs(since.elapsed().as_secs_f64()),
                    most_tokens: open.size.max_new_tokens,
                    device: workers.iter().position(|own| own.worker == open.worker),
                }),
                None => waiting.push((open.example, open.order, id.as_str(), open, expected)),
            }
        }
        waiting.sort_by_key(|(example, order, ..)| (*example, *order));
        let ids = waiting.iter().map(|(_, _, id, ..)| *id).collect();
        let mut jobs: Vec<Waiting<'_>> = (waiting.iter())
            .map(|(_, _, _, open, expected)| Waiting {
                line: &open.queue,
                expected: *expected,
            })
            .collect();
        if let Some(line) = new {
            // Behind the visitors, before the examples.
            jobs.truncate(waiting.iter().filter(|(example, ..)| !example).count());
            let expected = self.estimator.expect(&JobSize::default());
            jobs.push(Waiting { line, expected });
        }
        let devices: Vec<Device<'_>> = (workers.iter())
            .map(|own| Device {
                lines: Some(&own.lines),
                together: own.together,
            })
            .collect();
        (ids, course::waits(&devices, &running, &jobs))
    }
}

/// Listens to the ledger for ever; `first` is told once what was there at the begin has been heard.
pub(super) async fn listen(reach: Arc<Reach>, first: oneshot::Sender<()>) {
    let mut first = Some(first);
    loop {
        if let Err(error) = hear(&reach, &mut first).await {
            tracing::warn!(%error, "the open traces cannot be heard of; trying again");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn hear(reach: &Reach, first: &mut Option<oneshot::Sender<()>>) -> Result<(), ServerError> {
    let failed = "the ledger cannot be read";
    let begin = datetime::now() - LOOK_BACK;
    let wanted = pull::OrderedConfig {
        filter_subject: format!("$KV.{}.>", reach.ledger.0.name),
        deliver_policy: DeliverPolicy::ByStartTime { start_time: begin },
        ..pull::OrderedConfig::default()
    };
    let stream = &reach.ledger.0.stream;
    let consumer = stream.create_consumer(wanted).await.map_err(nats(failed))?;
    let mut there = consumer.cached_info().num_pending;
    let mut messages = consumer.messages().await.map_err(nats(failed))?;
    // What was missed is told again; what was removed meanwhile is not.
    reach.census.lock().open.clear();
    loop {
        if there == 0
            && let Some(first) = first.take()
        {
            // Nobody may wait for it.
            let _ = first.send(());
        }
        let Some(message) = messages.next().await else {
            return Err(ServerError::Lost("the changes of the ledger"));
        };
        let message = message.map_err(nats(failed))?;
        let info = message.info().map_err(nats(failed))?;
        let age = datetime::now() - info.published;
        there = there.saturating_sub(1).min(info.pending);
        let id = records::key_in(&message.subject);
        // A marker of a deletion has no payload.
        if message.payload.is_empty() {
            continue;
        }
        match from_json("trace", &String::from_utf8_lossy(&message.payload)) {
            Ok(entry) => {
                let stored = u64::try_from(info.published.unix_timestamp()).unwrap_or(0);
                let when = (age.as_seconds_f64(), stored);
                (reach.census).note(id, info.stream_sequence, when, entry);
            }
            // Of a newer version of this program.
            Err(error) => tracing::warn!(%error, id, "an entry is not understood"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(stage: Stage, line: &str) -> Entry {
        Entry {
            stage,
            line: line.into(),
            by: "left".into(),
            client: Some("ann".into()),
            size: JobSize {
                model: "m".into(),
                max_new_tokens: 10,
                ..JobSize::default()
            },
            ..Entry::default()
        }
    }

    #[test]
    fn places_and_counts_follow_the_ledger() {
        let census = Census::default();
        census.note("a", 1, (0.0, 0), entry(Stage::Queued, "jobs-m"));
        census.note("b", 2, (0.0, 0), entry(Stage::Queued, "jobs-m"));
        census.note("c", 3, (0.0, 0), entry(Stage::Queued, "jobs-n"));
        assert_eq!(census.position("b", "jobs-m"), 1);
        assert_eq!(census.position("unknown", "jobs-m"), 2);
        census.note("a", 4, (0.0, 0), entry(Stage::Running, "jobs-m"));
        assert_eq!(census.position("b", "jobs-m"), 0);
        // Put back, it has its old place again; what is older than what is known is no news.
        census.note("a", 6, (0.0, 0), entry(Stage::Queued, "jobs-m"));
        census.note("a", 5, (0.0, 0), entry(Stage::Failed, "jobs-m"));
        assert_eq!(census.position("b", "jobs-m"), 1);
        let marks = |client: &str| Marks {
            client: Some(client.into()),
            address: None,
        };
        assert_eq!(census.elsewhere(&marks("ann"), "right").of_client, 3);
        assert_eq!(
            census.elsewhere(&marks("ann"), "left"),
            Elsewhere::default()
        );
        assert_eq!(
            census.elsewhere(&marks("ben"), "right"),
            Elsewhere::default()
        );
        census.note("b", 7, (0.0, 0), entry(Stage::Finished, "jobs-m"));
        assert_eq!(census.elsewhere(&marks("ann"), "right").of_client, 2);
    }

    #[test]
    fn waits_are_told_from_what_traces_took() {
        let census = Census::default();
        let size = entry(Stage::Queued, "").size;
        let took = Took {
            front_secs: 1.0,
            answer_secs: 1.0,
            tokens: 10,
        };
        for _ in 0..8 {
            census.learn(&size, took);
        }
        census.note("a", 1, (0.5, 0), entry(Stage::Running, "jobs-m"));
        for (k, id) in ["b", "c", "d"].into_iter().enumerate() {
            census.note(id, 2 + k as u64, (0.0, 0), entry(Stage::Queued, "jobs-m"));
        }
        let hands = |worker: usize| Hands {
            worker: worker.to_string(),
            lines: vec!["jobs-m".to_owned()],
            together: 1,
        };
        let workers = |count: usize| (0..count).map(hands).collect::<Vec<_>>();
        let wait = |id, count| census.wait_secs(id, &workers(count));
        let near =
            |wait: Option<f64>, secs: f64| wait.is_some_and(|wait| (wait - secs).abs() < 0.2);
        assert_eq!(wait("a", 1), None);
        assert!(
            near(wait("b", 1), 1.5) && near(wait("c", 1), 3.5),
            "{:?}",
            wait("c", 1)
        );
        assert!(
            near(wait("b", 2), 0.0) && near(wait("c", 2), 1.5),
            "{:?}",
            wait("c", 2)
        );
        assert_eq!(wait("b", 0), None);
        let (next, new) = census.waits_of_line("jobs-m", &workers(1));
        assert!(
            near(Some(next), 1.5) && near(Some(new), 7.5),
            "{next} {new}"
        );
    }
}
