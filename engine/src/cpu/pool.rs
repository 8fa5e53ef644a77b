//! Threads that wait in a short spin for the next product of a step.
//! A job is a number of pieces. Each thread begins with a stretch of its own, the same one in jobs of the same size, so that
//! what it wrote is still in its cache; whoever is done helps the others, so that a slow thread holds nobody up.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::Thread;

/// Rounds of waiting before a worker sleeps: about the time between two tokens.
const SPINS: u32 = 20_000;
/// Rounds after which the one who waits gives its core away.
const SPINS_BEFORE_YIELD: u32 = 2_000;
/// Set in `gate` while workers may enter.
const OPEN: usize = 1 << (usize::BITS - 1);

/// Most kinds of pieces of one job.
const KINDS: usize = 2;

struct Job {
    /// Data, kind, piece.
    run: unsafe fn(*const (), usize, usize),
    data: *const (),
    pieces: [usize; KINDS],
}

/// The next piece of each kind in one thread's stretch; on a cache line of its own.
#[repr(align(64))]
#[derive(Default)]
struct Cursors([AtomicUsize; KINDS]);

struct Shared {
    job: UnsafeCell<Job>,
    /// Counts jobs.
    epoch: AtomicUsize,
    /// `OPEN`, and how many workers are inside the job.
    gate: AtomicUsize,
    /// By thread, the caller's first.
    cursors: Vec<Cursors>,
    panicked: AtomicBool,
    asleep: Vec<AtomicBool>,
}

// SAFETY: `job` is written only while the gate is shut and nobody is inside, and read only inside the gate.
unsafe impl Sync for Shared {}
// SAFETY: the pointers in `job` are used only while the caller of `run` waits.
unsafe impl Send for Shared {}

struct Pool {
    shared: &'static Shared,
    workers: Vec<Thread>,
    busy: Mutex<()>,
}

/// Threads that compute, the caller's included. `RAYON_NUM_THREADS` bounds them, as everywhere in candle.
pub(crate) fn threads() -> usize {
    pool().workers.len() + 1
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| {
        let wanted = candle_core::utils::get_num_threads().saturating_sub(1);
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            job: UnsafeCell::new(Job {
                run: |_, _, _| {},
                data: std::ptr::null(),
                pieces: [0; KINDS],
            }),
            epoch: AtomicUsize::new(0),
            gate: AtomicUsize::new(0),
            cursors: (0..=wanted).map(|_| Cursors::default()).collect(),
            panicked: AtomicBool::new(false),
            asleep: (0..wanted).map(|_| AtomicBool::new(false)).collect(),
        }));
        // Where threads cannot be had (wasm), the caller computes alone.
        let workers = (0..wanted)
            .map_while(|index| {
                std::thread::Builder::new()
                    .name(format!("product-{index}"))
                    .spawn(move || work(shared, index))
                    .ok()
                    .map(|handle| handle.thread().clone())
            })
            .collect();
        Pool {
            shared,
            workers,
            busy: Mutex::new(()),
        }
    })
}

fn work(shared: &Shared, index: usize) {
    let mut seen = 0;
    loop {
        let mut spins = 0;
        loop {
            let epoch = shared.epoch.load(Ordering::SeqCst);
            if epoch != seen {
                seen = epoch;
                break;
            }
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
                continue;
            }
            shared.asleep[index].store(true, Ordering::SeqCst);
            if shared.epoch.load(Ordering::SeqCst) == seen {
                std::thread::park();
            }
            shared.asleep[index].store(false, Ordering::SeqCst);
            spins = 0;
        }
        let entered = shared
            .gate
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |gate| {
                (gate & OPEN != 0).then_some(gate + 1)
            });
        if entered.is_ok() {
            // SAFETY: inside the gate; the caller waits until everybody has left.
            let job = unsafe { &*shared.job.get() };
            take_pieces(shared, job, index + 1);
            shared.gate.fetch_sub(1, Ordering::Release);
        }
    }
}

/// The pieces of one kind with which thread `thread` begins.
fn stretch(thread: usize, threads: usize, pieces: usize) -> std::ops::Range<usize> {
    pieces * thread / threads..pieces * (thread + 1) / threads
}

/// Thread `own` takes the pieces of its stretch, then what is left of the others'.
fn take_pieces(shared: &Shared, job: &Job, own: usize) {
    let threads = shared.cursors.len();
    let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for turn in 0..threads {
            let thread = (own + turn) % threads;
            for (kind, cursor) in shared.cursors[thread].0.iter().enumerate() {
                let end = stretch(thread, threads, job.pieces[kind]).end;
                while cursor.load(Ordering::Relaxed) < end {
                    let piece = cursor.fetch_add(1, Ordering::Relaxed);
                    if piece < end {
                        // SAFETY: `data` is the closure that `run` was made for, alive while the caller waits.
                        unsafe { (job.run)(job.data, kind, piece) };
                    }
                }
            }
        }
    }));
    if taken.is_err() {
        shared.panicked.store(true, Ordering::Relaxed);
    }
}

/// Runs `f(0)` to `f(pieces - 1)`, each once, on any thread; returns when all are done.
/// What `f` computes must not depend on which thread runs it.
pub(crate) fn run<F: Fn(usize) + Sync>(pieces: usize, f: F) {
    run_kinds([pieces, 0], |_, piece| f(piece));
}

/// Runs `f(kind, piece)` for each piece of each kind; otherwise as [`run`].
pub(crate) fn run_kinds<F: Fn(usize, usize) + Sync>(pieces: [usize; KINDS], f: F) {
    let pool = pool();
    // Another thread's job, or a job within a job: alone then.
    let busy = pool.busy.try_lock();
    if pieces.iter().sum::<usize>() < 2 || pool.workers.is_empty() || busy.is_err() {
        drop(busy);
        for (kind, &pieces) in pieces.iter().enumerate() {
            (0..pieces).for_each(|piece| f(kind, piece));
        }
        return;
    }
    unsafe fn call<F: Fn(usize, usize)>(data: *const (), kind: usize, piece: usize) {
        // SAFETY: the job below pairs this with a pointer to an `F`.
        unsafe { (*data.cast::<F>())(kind, piece) }
    }
    let shared = pool.shared;
    // SAFETY: the gate is shut and empty (the end of this function), and the lock is held.
    let job = unsafe {
        *shared.job.get() = Job {
            run: call::<F>,
            data: (&raw const f).cast(),
            pieces,
        };
        &*shared.job.get()
    };
    let threads = shared.cursors.len();
    for (thread, cursors) in shared.cursors.iter().enumerate() {
        for (cursor, pieces) in cursors.0.iter().zip(pieces) {
            cursor.store(stretch(thread, threads, pieces).start, Ordering::Relaxed);
        }
    }
    shared.gate.store(OPEN, Ordering::Release);
    shared.epoch.fetch_add(1, Ordering::SeqCst);
    for (asleep, worker) in shared.asleep.iter().zip(&pool.workers) {
        if asleep.load(Ordering::SeqCst) {
            worker.unpark();
        }
    }
    take_pieces(shared, job, 0);
    shared.gate.fetch_and(!OPEN, Ordering::AcqRel);
    let mut spins = 0;
    while shared.gate.load(Ordering::Acquire) != 0 {
        spins += 1;
        if spins < SPINS_BEFORE_YIELD {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
    drop(busy);
    assert!(
        !shared.panicked.swap(false, Ordering::Relaxed),
        "a piece of a parallel product panicked"
    );
}

/// A pointer that pieces of a job write through, each to places of its own.
pub(crate) struct Shares<T>(*mut T);

// By hand: what it points at need not be `Clone`.
impl<T> Clone for Shares<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shares<T> {}

// SAFETY: whoever makes pieces keeps what they write apart.
unsafe impl<T: Send> Send for Shares<T> {}
// SAFETY: likewise.
unsafe impl<T: Send> Sync for Shares<T> {}

impl<T> Shares<T> {
    pub(crate) fn new(slice: &mut [T]) -> Self {
        Self::to(slice.as_mut_ptr())
    }

    /// Of places that need not be initialized.
    pub(crate) fn to(first: *mut T) -> Self {
        Self(first)
    }

    /// Row `index` of rows of `width`.
    ///
    /// # Safety
    /// The row lies within the slice; no other piece touches it while it is used.
    pub(crate) unsafe fn row<'a>(self, index: usize, width: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(index * width), width) }
    }

    /// The place of element `index`.
    ///
    /// # Safety
    /// `index` lies within the slice; no other piece touches what is written there.
    pub(crate) unsafe fn at(self, index: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(index) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_runs_once_even_when_jobs_nest_and_race() {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for pieces in [0, 1, 2, 7, 100] {
                        let counts: Vec<AtomicUsize> =
                            (0..pieces * 3).map(|_| AtomicUsize::new(0)).collect();
                        run(pieces, |piece| {
                            run(3, |inner| {
                                counts[piece * 3 + inner].fetch_add(1, Ordering::Relaxed);
                            });
                        });
                        assert!(counts.iter().all(|n| n.load(Ordering::Relaxed) == 1));
                    }
                });
            }
        });
        assert!(threads() >= 1);
    }

    #[test]
    fn kinds_are_told_apart_and_stretches_cover_every_piece() {
        for pieces in [[0, 0], [1, 0], [0, 5], [3, 40]] {
            let counts = pieces.map(|n| (0..n).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
            run_kinds(pieces, |kind, piece| {
                counts[kind][piece].fetch_add(1, Ordering::Relaxed);
            });
            assert!(
                counts
                    .iter()
                    .flatten()
                    .all(|n| n.load(Ordering::Relaxed) == 1)
            );
        }
        for threads in 1..7 {
            let covered: Vec<usize> = (0..threads).flat_map(|t| stretch(t, threads, 11)).collect();
            assert_eq!(covered, (0..11).collect::<Vec<_>>());
        }
    }
}
