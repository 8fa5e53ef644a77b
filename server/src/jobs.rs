//! The queue and the one thread that owns the device: accepted traces in, events and stored records out.
//!
//! Visitors' traces go before shipped examples. A viewer is never waited for; no lock is held while a model runs.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use engine::Precision;

use crate::admission::{Estimator, JobSize, Took};
use crate::checks::Check;
use crate::error::ServerError;
use crate::live::Live;
use crate::store::{NewTrace, Pending, Store};

/// How many finished traces keep their events in memory, for viewers who were mid-way.
const KEPT_LOGS: usize = 64;

/// Expected seconds per question about a trace before any was measured.
const FIRST_GUESS_SECS: f64 = 5.0;

/// The queue, shared by the routes and the worker.
#[derive(Debug)]
pub struct Jobs {
    queue: Mutex<Queue>,
    /// Rung when a job arrives or the server goes down.
    wake: Condvar,
    capacity: usize,
    /// Traces that are made at a time.
    together: usize,
    /// No job begins any more.
    draining: AtomicBool,
    shutdown: AtomicBool,
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Arc<Live>>,
    /// Questions about finished traces, each with the number of waiting traces that came before it.
    checks: VecDeque<(usize, Check)>,
    background: VecDeque<Arc<Live>>,
    /// Places promised to requests that are being made durable.
    promised: usize,
    running: Vec<Arc<Live>>,
    ended: VecDeque<Arc<Live>>,
    /// What traces take, by their sizes.
    estimator: Estimator,
    /// What a question about a finished trace takes.
    check_secs: f64,
}

/// What the device thread does next.
pub enum Job {
    /// A trace to be made.
    Trace(Arc<Live>),
    /// A question about a finished one.
    Check(Check),
}

/// Where a job in memory stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Waiting behind so many.
    Queued(u32),
    /// The model is at it.
    Running,
    /// Over; its events are still in memory.
    Ended,
}

/// Why a job was not taken.
#[derive(Debug)]
pub enum Refused {
    /// Every place is taken; try again after so many seconds.
    Full {
        /// Seconds until a place is likely free.
        retry_after_secs: u64,
    },
    /// The server goes down for a restart.
    Closing,
    /// It could not be stored.
    Store(ServerError),
}

impl Jobs {
    /// An empty queue that takes `capacity` waiting jobs, of which `together` are made at a time.
    pub fn new(capacity: usize, together: usize) -> Self {
        Self {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                checks: VecDeque::new(),
                background: VecDeque::new(),
                promised: 0,
                running: Vec::new(),
                ended: VecDeque::new(),
                estimator: Estimator::default(),
                check_secs: FIRST_GUESS_SECS,
            }),
            wake: Condvar::new(),
            capacity,
            together,
            draining: AtomicBool::new(false),
            shutdown: AtomicBool::new(false),
        }
    }

    /// Stores a trace, then queues it. On return it survives a crash.
    pub fn submit(&self, store: &Store, new: &NewTrace) -> Result<(), Refused> {
        {
            let mut queue = self.lock();
            self.check(&queue)?;
            queue.promised += 1;
        }
        // The disk is waited for without the lock; the promised place keeps the bound exact meanwhile.
        let stored = store.accept(new);
        let size = JobSize::of(&new.request, &new.options, &store.blobs);
        let mut queue = self.lock();
        queue.promised -= 1;
        stored.map_err(Refused::Store)?;
        queue
            .waiting
            .push_back(Arc::new(Live::sized(new.id.clone(), 0, size)));
        queue.tell_positions();
        drop(queue);
        self.wake.notify_one();
        Ok(())
    }

    /// Queues a question about a finished trace, in turn with the traces and within the same bound. It is not stored: who
    /// asks waits for the answer.
    pub fn ask(&self, check: Check) -> Result<(), Refused> {
        let mut queue = self.lock();
        if self.shutting_down() {
            // Dropping it says so to whoever waits.
            return Ok(());
        }
        self.check(&queue)?;
        let before = queue.waiting.len();
        queue.checks.push_back((before, check));
        drop(queue);
        self.wake.notify_one();
        Ok(())
    }

    /// Queues a stored trace without asking for room: after a restart, or a shipped example.
    pub fn requeue(&self, pending: &Pending) {
        let live = Live::sized(pending.id.clone(), pending.attempts, pending.size.clone());
        let live = Arc::new(live);
        let mut queue = self.lock();
        if pending.background {
            queue.background.push_back(live);
        } else {
            queue.waiting.push_back(live);
        }
        queue.tell_positions();
        drop(queue);
        self.wake.notify_one();
    }

    /// A job in memory and where it stands.
    pub fn find(&self, id: &str) -> Option<(Arc<Live>, Place)> {
        let queue = self.lock();
        let waiting = (0u32..)
            .zip(queue.in_order())
            .find(|(_, live)| live.id == id);
        waiting
            .map(|(position, live)| (live.clone(), Place::Queued(position)))
            .or_else(|| {
                queue
                    .running
                    .iter()
                    .find(|live| live.id == id)
                    .map(|live| (live.clone(), Place::Running))
            })
            // The latest first: a shipped example may have been made twice.
            .or_else(|| {
                queue
                    .ended
                    .iter()
                    .rev()
                    .find(|live| live.id == id)
                    .map(|live| (live.clone(), Place::Ended))
            })
    }

    /// Takes a waiting job out of the queue, so that it never runs.
    pub fn withdraw(&self, id: &str) -> Option<Arc<Live>> {
        let mut queue = self.lock();
        let Queue {
            waiting,
            background,
            checks,
            ..
        } = &mut *queue;
        let place = |line: &VecDeque<Arc<Live>>| line.iter().position(|live| live.id == id);
        let live = match place(waiting) {
            Some(k) => {
                // Questions behind it move up.
                for (before, _) in checks.iter_mut().filter(|(before, _)| *before > k) {
                    *before -= 1;
                }
                waiting.remove(k)
            }
            None => place(background).and_then(|k| background.remove(k)),
        }?;
        queue.keep(live.clone());
        queue.tell_positions();
        Some(live)
    }

    /// Traces that are over and whose events are still in memory.
    pub fn ended_ids(&self) -> Vec<String> {
        let queue = self.lock();
        queue.ended.iter().map(|live| live.id.clone()).collect()
    }

    /// Forgets the events of a trace that is over: it was deleted.
    pub fn forget(&self, id: &str) {
        self.lock().ended.retain(|live| live.id != id);
    }

    /// Waiting jobs (shipped examples apart), and the seconds a new one would wait.
    pub fn load(&self) -> (u32, f64) {
        let queue = self.lock();
        let wait_secs = queue.waits(self.together).last().copied().unwrap_or(0.0);
        (queue.waiting.len() as u32, wait_secs)
    }

    /// Seconds until a waiting trace begins; `None` when it does not wait.
    pub fn wait_secs(&self, id: &str) -> Option<f64> {
        let queue = self.lock();
        let place = queue.waiting.iter().position(|live| live.id == id)?;
        queue.waits(self.together).get(place).copied()
    }

    /// Seconds until a place in the queue is free.
    pub fn retry_after_secs(&self) -> u64 {
        self.lock().retry_after_secs(self.together)
    }

    /// What a trace took that ended by itself: the next estimates know.
    pub fn learn(&self, size: &JobSize, took: Took) {
        self.lock().estimator.learn(size, took);
    }

    /// Blocks until there is a job; `None` when the server goes down.
    pub fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if self.shutting_down() || self.draining() {
                return None;
            }
            if let Some((0, _)) = queue.checks.front() {
                return queue.checks.pop_front().map(|(_, check)| Job::Check(check));
            }
            if let Some(live) = queue.begin_trace() {
                return Some(Job::Trace(live));
            }
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next job, if it is a trace by this model in this precision; at once.
    pub fn next_like(&self, model: &str, dtype: Option<Precision>) -> Option<Arc<Live>> {
        let mut queue = self.lock();
        if self.shutting_down() || self.draining() {
            return None;
        }
        let question = matches!(queue.checks.front(), Some((0, _)));
        let next = queue.in_order().next().filter(|_| !question)?;
        if next.size.model != model || next.size.dtype != dtype {
            return None;
        }
        queue.begin_trace()
    }

    /// A running job is over.
    pub fn ended(&self, live: Arc<Live>) {
        let mut queue = self.lock();
        queue.running.retain(|running| !Arc::ptr_eq(running, &live));
        queue.keep(live);
    }

    /// A question about a trace was answered; it took so long.
    pub fn answered(&self, secs: f64) {
        let mut queue = self.lock();
        queue.check_secs = 0.7 * queue.check_secs + 0.3 * secs;
    }

    /// From now on no job begins and none is accepted; whether one is at work, which may end.
    pub fn drain(&self) -> bool {
        self.draining.store(true, Ordering::Relaxed);
        let busy = !self.lock().running.is_empty();
        self.wake.notify_all();
        busy
    }

    /// Whether [`Self::drain`] was called.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn check(&self, queue: &Queue) -> Result<(), Refused> {
        if self.draining() {
            return Err(Refused::Closing);
        }
        queue.check_room(self.capacity, self.together)
    }

    /// Stops the worker within one decode step and ends every viewer's stream; nothing accepted is lost.
    pub fn shut_down(&self) {
        self.shutdown.store(true, Ordering::Relaxed);
        let mut queue = self.lock();
        // Whoever waits for an answer is told at once: dropping a question answers it.
        queue.checks.clear();
        for live in queue.in_order().chain(&queue.running) {
            live.close();
        }
        drop(queue);
        self.wake.notify_all();
    }

    /// Whether [`Self::shut_down`] was called.
    pub fn shutting_down(&self) -> bool {
        self.shutdown.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Each critical section leaves the queue whole at every point where it could panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn check_room(&self, capacity: usize, together: usize) -> Result<(), Refused> {
        if self.waiting.len() + self.checks.len() + self.promised < capacity {
            return Ok(());
        }
        Err(Refused::Full {
            retry_after_secs: self.retry_after_secs(together),
        })
    }

    /// A place is free when the next one begins.
    fn retry_after_secs(&self, together: usize) -> u64 {
        let secs = self.waits(together).first().copied().unwrap_or(0.0);
        secs.ceil().clamp(1.0, 3600.0) as u64
    }

    /// Seconds until each waiting trace begins, and last until a new one would.
    fn waits(&self, together: usize) -> Vec<f64> {
        let running = self.running.iter();
        let running = running.map(|live| (&live.size, live.progress()));
        let waiting = self.waiting.iter().map(|live| &live.size);
        let mut waits = self.estimator.waits(running, waiting, together);
        for (k, wait) in waits.iter_mut().enumerate() {
            let before = self.checks.iter().filter(|(before, _)| *before <= k);
            *wait += before.count() as f64 * self.check_secs;
        }
        waits
    }

    /// The next trace, which runs from now on.
    fn begin_trace(&mut self) -> Option<Arc<Live>> {
        let live = self.take_trace()?;
        live.begin();
        self.running.push(live.clone());
        self.tell_positions();
        Some(live)
    }

    /// The next trace: visitors' first.
    fn take_trace(&mut self) -> Option<Arc<Live>> {
        let Some(live) = self.waiting.pop_front() else {
            return self.background.pop_front();
        };
        for (before, _) in &mut self.checks {
            *before = before.saturating_sub(1);
        }
        Some(live)
    }

    fn in_order(&self) -> impl Iterator<Item = &Arc<Live>> {
        self.waiting.iter().chain(&self.background)
    }

    fn tell_positions(&self) {
        for (position, live) in (0u32..).zip(self.in_order()) {
            live.push_position(position);
        }
    }

    fn keep(&mut self, live: Arc<Live>) {
        self.ended.push_back(live);
        if self.ended.len() > KEPT_LOGS {
            self.ended.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next job's id; a question's with a mark.
    fn next(jobs: &Jobs) -> String {
        match jobs.next() {
            Some(Job::Trace(live)) => live.id.clone(),
            Some(Job::Check(check)) => format!("?{}", check.id),
            None => "none".into(),
        }
    }

    #[test]
    fn questions_keep_their_turn_and_count_against_the_bound() {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = Store::open(dir.path()).expect("open");
        let jobs = Jobs::new(5, 1);
        let ask = |id: &str| {
            let (check, answer) = Check::new(id.into(), engine::faithfulness::Question::new(0));
            jobs.ask(check).map(|()| answer)
        };
        let submit = |id: &str| jobs.submit(&store, &NewTrace::small(id));
        submit("a").expect("room");
        submit("b").expect("room");
        let _first = ask("a").expect("room");
        submit("c").expect("room");
        let second = ask("b").expect("room");
        assert!(matches!(ask("c"), Err(Refused::Full { .. })));
        assert!(jobs.withdraw("a").is_some());
        assert_eq!([next(&jobs), next(&jobs)], ["b", "?a"]);
        jobs.shut_down();
        assert!(second.blocking_recv().is_err(), "nobody waits for ever");
    }

    #[test]
    fn a_full_queue_refuses_and_examples_wait_for_visitors() {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = Store::open(dir.path()).expect("open");
        let jobs = Jobs::new(2, 1);
        jobs.requeue(&Pending {
            id: "example".into(),
            attempts: 0,
            background: true,
            size: JobSize::default(),
        });
        jobs.submit(&store, &NewTrace::small("a")).expect("room");
        jobs.submit(&store, &NewTrace::small("b")).expect("room");
        assert!(matches!(
            jobs.submit(&store, &NewTrace::small("c")),
            Err(Refused::Full {
                retry_after_secs: 1..
            })
        ));
        assert!(
            store.load("c").expect("load").is_none(),
            "what was refused is not stored"
        );
        assert_eq!(
            jobs.find("example").map(|(_, place)| place),
            Some(Place::Queued(2))
        );

        assert_eq!(next(&jobs), "a");
        assert_eq!(jobs.find("a").map(|(_, place)| place), Some(Place::Running));
        assert_eq!(
            jobs.find("b").map(|(_, place)| place),
            Some(Place::Queued(0))
        );
        assert!(
            jobs.withdraw("a").is_none(),
            "what runs is stopped, not withdrawn"
        );
        assert!(jobs.withdraw("b").is_some());
        assert_eq!(next(&jobs), "example");
        jobs.shut_down();
        assert!(jobs.next().is_none());
    }
}
