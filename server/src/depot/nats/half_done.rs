//! What a process leaves that dies in the middle of something: its work is cut off at every place where it waits for NATS, and
//! the sweep must make a whole of it or nothing. With a real nats-server.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use app::data::ItemView;
use tempfile::{TempDir, tempdir};

use super::nats_server::NatsServer;
use super::records::{self, Stage};
use super::traces::REMOVED;
use super::{Nats, NatsArgs, events, reach};
use crate::clock::Clock;
use crate::depot::Depot;
use crate::store::{NewTrace, Policy, Swept};

/// Longer than a sweep lets half-done things be; the test's clock stands still while what is stored grows older.
const LEFT_SECS: u64 = 3600 + 600;

/// More waits than any of these works has.
const MOST_WAITS: usize = 400;

/// A web process whose clock a test turns; its server is killed when dropped.
struct House {
    web: Nats,
    now: Arc<AtomicU64>,
    nats: NatsServer,
    _dir: TempDir,
}

impl House {
    fn open() -> Self {
        let (nats, dir) = (NatsServer::start(), tempdir().expect("a directory"));
        let now = Arc::new(AtomicU64::new(Clock::default().now_unix_secs()));
        let web = web(&nats, &dir, "web", &now);
        Self {
            web,
            now,
            nats,
            _dir: dir,
        }
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.web.wait(work)
    }

    fn sweep(&self) -> Swept {
        self.web.sweep(&Policy::default()).expect("a sweep")
    }

    fn pass(&self, secs: u64) {
        self.now.fetch_add(secs, Ordering::Relaxed);
    }

    /// A question with a picture of its own, and so long that it lies in the object store as well.
    fn question(&self, id: &str, long: bool) -> NewTrace {
        let mut new = NewTrace::small(id);
        let hash = (self.web.files().put(picture(id).as_bytes())).expect("put");
        let name = "a.png".to_owned();
        new.request.items = vec![ItemView::Image { hash, name }];
        if long {
            new.request.prompt = noise(2 << 20);
        }
        new
    }

    /// Lets a work begin and ends it at its n-th wait; whether it came to its end before.
    fn cut<T>(&self, work: impl Future<Output = T>, waits: usize) -> Option<T> {
        self.wait(async {
            let (mut work, mut left) = (pin!(work), waits);
            let done = std::future::poll_fn(|context| match work.as_mut().poll(context) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending if left == 0 => Poll::Ready(None),
                Poll::Pending => {
                    left -= 1;
                    Poll::Pending
                }
            });
            let done = done.await;
            // What was handed to the system before the end still goes out.
            self.web.reach.client.flush().await.expect("flushed");
            done
        })
    }

    /// Everything that is kept of a trace, by where it is kept.
    fn left_of(&self, id: &str, new: &NewTrace) -> BTreeMap<&'static str, bool> {
        let reach = &self.web.reach;
        let ItemView::Image { hash, .. } = &new.request.items[0] else {
            panic!("a picture");
        };
        self.wait(async {
            let subject = format!("{}.{id}", events::EVENTS);
            let event = reach.events.get_last_raw_message_by_subject(&subject).await;
            BTreeMap::from([
                ("entry", reach.ledger.get(id).await.expect("read").is_some()),
                (
                    "question",
                    reach.questions.get(id).await.expect("read").is_some(),
                ),
                (
                    "record",
                    reach.records.get(id).await.expect("read").is_some(),
                ),
                ("mention", reach.media.named(hash).await.expect("read")),
                (
                    "picture",
                    reach.media.objects.has(hash).await.expect("read"),
                ),
                ("event", event.is_ok()),
                (
                    "note",
                    records::read(&reach.underway, id)
                        .await
                        .expect("read")
                        .is_some(),
                ),
            ])
        })
    }

    /// Parts of objects, and the names of objects.
    fn objects(&self) -> [(usize, usize); 2] {
        let reach = &self.web.reach;
        [&reach.media.objects, &reach.records.large].map(|objects| {
            self.wait(async {
                let (parts, mut names) = (objects.parts().await.expect("parts").len(), 0);
                let count = async |_: &_, _| {
                    names += 1;
                    Ok(())
                };
                objects.each(count).await.expect("names");
                (parts, names)
            })
        })
    }

    fn has_job(&self, id: &str) -> bool {
        self.wait(async {
            let entry = self.web.reach.ledger.get(id).await.expect("read");
            let line = entry.expect("an entry").line;
            let line = self.web.reach.lines.line(&line).await.expect("a line");
            line.holds(id).await.expect("read")
        })
    }
}

fn web(nats: &NatsServer, dir: &TempDir, name: &str, now: &Arc<AtomicU64>) -> Nats {
    let args = NatsArgs {
        nats: Some(nats.url().to_owned()),
        ..NatsArgs::default()
    };
    let shown = now.clone();
    let clock = Clock::of(move || shown.load(Ordering::Relaxed));
    Nats::web(&args, 1000, &dir.path().join(name), clock).expect("a web process")
}

fn picture(id: &str) -> String {
    format!("the picture of {id}.")
}

/// Whether a text stands in any file under a directory.
fn holds(dir: &Path, text: &str) -> bool {
    let entries = std::fs::read_dir(dir).expect("a directory");
    entries.flatten().map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return holds(&path, text);
        }
        // Gone since it was listed.
        let bytes = std::fs::read(path).unwrap_or_default();
        (bytes.windows(text.len())).any(|part| part == text.as_bytes())
    })
}

/// Letters that compress badly.
fn noise(bytes: usize) -> String {
    let mut dice = 7_u32;
    let letter = |_| {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + (dice >> 24) as u8 % 90)
    };
    (0..bytes).map(letter).collect()
}

/// All that there is of a waiting trace, or of one that is gone.
fn all_or_nothing(there: bool) -> BTreeMap<&'static str, bool> {
    let kept = ["entry", "question", "mention", "picture"].map(|what| (what, there));
    let not = ["record", "event", "note"].map(|what| (what, false));
    kept.into_iter().chain(not).collect()
}

#[test]
fn accepting_that_is_cut_off_anywhere_leaves_a_whole_trace_or_none() {
    for long in [false, true] {
        let house = House::open();
        let mut cut = Vec::new();
        for waits in 0..MOST_WAITS {
            let id = format!("cut-{waits}");
            let new = house.question(&id, long);
            let done = house.cut(house.web.accept(&new), waits);
            cut.push((id, new));
            if let Some(done) = done {
                assert!(done.expect("accepted"));
                break;
            }
        }
        let (last, _) = cut.last().expect("one");
        assert!(house.has_job(last), "not cut off any more");
        // What may still be under way is let be; nothing is shown without its question.
        let left = |(id, new): &(String, NewTrace)| house.left_of(id, new);
        let before: Vec<_> = cut.iter().map(left).collect();
        assert_eq!(house.sweep(), Swept::default());
        assert_eq!(cut.iter().map(left).collect::<Vec<_>>(), before);
        for left in &before {
            assert!(!left["entry"] || left["question"] && left["picture"]);
        }
        assert!(before.iter().any(|left| left["note"] && !left["entry"]));

        house.pass(LEFT_SECS);
        house.sweep();
        let mut whole = 0;
        for (before, one) in before.iter().zip(&cut) {
            let after = left(one);
            assert_eq!(
                after,
                all_or_nothing(before["entry"]),
                "{}: {before:?}",
                one.0
            );
            if after["entry"] {
                assert!(house.has_job(&one.0), "{}", one.0);
                whole += 1;
            } else if !long {
                assert!(!holds(house.nats.dir(), &picture(&one.0)), "{}", one.0);
            }
        }
        // Not even parts of files that nobody had named yet.
        let large = if long { whole } else { 0 };
        assert_eq!(house.objects(), [(whole, whole), (large, large)]);
        house.pass(LEFT_SECS);
        assert_eq!(house.sweep(), Swept::default(), "nothing is left to do");
    }
}

#[test]
fn deleting_that_is_cut_off_anywhere_is_finished() {
    let house = House::open();
    let mut cut = Vec::new();
    for waits in 0..MOST_WAITS {
        let id = format!("cut-{waits}");
        let new = house.question(&id, false);
        let deleted = async {
            let reach = &house.web.reach;
            assert!(house.web.accept(&new).await.expect("accepted"));
            reach.records.put(&id, "{}").await.expect("stored");
            let (subject, writer) = (format!("{}.{id}", events::EVENTS), "w");
            for first in [1_000_000, 1_000_001] {
                let sent = events::send(&reach.js, &subject, writer, first, "{}").await;
                sent.expect("sent");
            }
        };
        house.wait(deleted);
        let done = house.cut(house.web.delete_now(&id), waits);
        let there = house.wait(house.web.reach.ledger.get(&id)).expect("read");
        // Untouched, or on its way out.
        let whole = there.is_some_and(|entry| entry.code != REMOVED);
        let noted = records::read(&house.web.reach.underway, &id);
        let noted = house.wait(noted).expect("read").is_some();
        cut.push((id, new, whole && !noted));
        if done.is_some() {
            break;
        }
    }
    // The dead's holds on files go by themselves after a minute, which nobody needs to wait for here.
    let holds = &house.web.reach.holds.stream;
    house.wait(holds.purge().into_future()).expect("gone");
    house.pass(LEFT_SECS);
    house.sweep();
    let mut whole = 0;
    for (id, new, untouched) in &cut {
        let left = house.left_of(id, new);
        if left["entry"] {
            // The note alone was written, or not even that: whoever asked was not told that it is gone.
            let open = house.wait(house.web.reach.ledger.get(id)).expect("read");
            assert_ne!(open.expect("an entry").code, REMOVED);
            assert!(house.has_job(id));
            whole += 1;
        } else {
            assert!(!untouched, "{id}");
            assert_eq!(left, all_or_nothing(false), "{id}");
        }
    }
    assert!(whole < cut.len() / 2, "{whole} of {}", cut.len());
    assert_eq!(house.objects(), [(whole, whole), (0, 0)]);
}

#[test]
fn an_open_trace_whose_job_was_lost_gets_one_again() {
    let house = House::open();
    let lost = async |id: &str| {
        let entry = house.web.reach.ledger.get(id).await.expect("read");
        let line = entry.expect("an entry").line;
        let line = house.web.reach.lines.line(&line).await.expect("a line");
        line.leave(id).await.expect("gone");
    };
    house.wait(async {
        for id in ["waits", "runs", "ended", "fine"] {
            let new = NewTrace::small(id);
            assert!(house.web.accept(&new).await.expect("accepted"));
        }
        for id in ["waits", "runs", "ended"] {
            lost(id).await;
        }
        for (id, stage) in [("runs", Stage::Running), ("ended", Stage::Finished)] {
            let begin = |entry: &mut records::Entry| {
                entry.stage = stage;
                true
            };
            let begun = house.web.reach.ledger.modify(id, begin).await;
            assert!(begun.expect("changed").is_some());
        }
    });
    // The ledger's news of it.
    let heard = || house.web.place("runs") == Some(crate::jobs::Place::Running);
    while !heard() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    house.sweep();
    assert!(!house.has_job("waits"), "it may be under way");
    house.pass(LEFT_SECS);
    house.sweep();
    house.sweep();
    let jobs = ["waits", "runs", "ended", "fine"].map(|id| house.has_job(id));
    assert_eq!(jobs, [true, true, false, true]);
}

#[test]
fn files_that_nobody_names_go_and_named_ones_stay() {
    let house = House::open();
    let new = house.question("named", false);
    assert!(house.wait(house.web.accept(&new)).expect("accepted"));
    let hash = house.web.files().put(b"an orphan").expect("put");
    let objects = &house.web.reach.media.objects;
    house
        .wait(objects.put(&hash, b"an orphan"))
        .expect("stored");
    assert_eq!(house.sweep(), Swept::default());
    assert!(house.wait(objects.has(&hash)).expect("read"));
    house.pass(LEFT_SECS);
    assert_eq!(house.sweep().orphans, 1);
    assert!(!house.wait(objects.has(&hash)).expect("read"));
    assert_eq!(house.web.media(&hash).expect("read"), None);
    assert!(house.web.files().path(&hash).is_none(), "nor is its copy");
    assert_eq!(house.left_of("named", &new), all_or_nothing(true));
    // Once a day is enough.
    house
        .wait(objects.put(&hash, b"an orphan"))
        .expect("stored");
    house.pass(LEFT_SECS);
    assert_eq!(house.sweep().orphans, 0);
    house.pass(24 * 3600);
    assert_eq!(house.sweep().orphans, 1);
}

#[test]
fn one_note_that_is_not_understood_holds_nothing_up() {
    let house = House::open();
    let new = house.question("cut", false);
    assert!(house.cut(house.web.accept(&new), 4).is_none());
    let underway = &house.web.reach.underway;
    house
        .wait(underway.put("a-note", "of a newer program".into()))
        .expect("put");
    // How far it came depends on how many answers came at once.
    let entered = house.left_of("cut", &new)["entry"];
    house.pass(LEFT_SECS);
    house.sweep();
    assert_eq!(house.left_of("cut", &new), all_or_nothing(entered));
}

#[test]
fn one_sweeps_and_another_when_it_is_gone() {
    let house = House::open();
    let other = web(&house.nats, &house._dir, "other", &house.now);
    let duty = || [&house.web, &other].map(|web| web.on_duty().expect("an answer"));
    assert_eq!(duty(), [true, false]);
    assert_eq!(duty(), [true, false]);
    // As the entry goes by itself a minute after its holder's last sign.
    house
        .wait(records::erase(
            &house.web.reach.holds,
            super::sweeping::DUTY,
        ))
        .expect("gone");
    assert!(other.on_duty().expect("an answer"));
    assert_eq!(duty(), [false, true]);
    let bucket = house.wait(house.web.reach.js.get_stream("KV_omnitrace-holds"));
    let age = bucket.expect("a bucket").cached_info().config.max_age;
    assert_eq!(age, reach::HELD);
}
