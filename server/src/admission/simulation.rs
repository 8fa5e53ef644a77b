//! A queue on a simulated clock: do the expected waits come true?

use std::collections::VecDeque;

use super::estimate::{Estimator, GUESS, Progress, Took};
use super::size::JobSize;

/// A small seeded generator (SplitMix64): the same queue on every run.
struct Dice(u64);

impl Dice {
    /// In `0.0..1.0`.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.roll()
    }

    /// A job of one of four kinds, and what it will take: answers are as much as 60 % shorter or longer than usual, and the time
    /// before them 20 %.
    fn job(&mut self) -> (JobSize, Took) {
        let mut size = JobSize {
            model: "m".into(),
            text_bytes: self.between(20.0, 3000.0) as u64,
            max_new_tokens: 256,
            ..JobSize::default()
        };
        let mut front = 0.3 + size.text_bytes as f64 * 4e-4;
        let mut usual = 60.0;
        match (self.roll() * 4.0) as u32 {
            0 => {}
            1 => {
                size.counts[0] = 1 + (self.roll() * 4.0) as u32;
                size.bytes[0] = (f64::from(size.counts[0]) * self.between(1e5, 9e5)) as u64;
                front += 1.4 * f64::from(size.counts[0]);
                usual = 110.0;
            }
            2 => {
                size.counts[1] = 1;
                size.bytes[1] = self.between(2e5, 6e6) as u64;
                front += size.bytes[1] as f64 * 1.1e-6;
                usual = 40.0;
            }
            _ => {
                size.counts[2] = 1;
                size.bytes[2] = self.between(1e6, 2e7) as u64;
                front += 4.0 + size.bytes[2] as f64 * 0.9e-6;
                usual = 150.0;
            }
        }
        let tokens = (usual * self.between(0.4, 1.6)) as u32;
        let took = Took {
            front_secs: front * self.between(0.8, 1.2),
            answer_secs: f64::from(tokens) * 0.06 * self.between(0.95, 1.05),
            tokens,
        };
        (size, took)
    }
}

/// Expected and true waits.
type Waits = Vec<(f64, f64)>;

/// A job in the simulated queue: what it is, what it will take, when it came, and what was expected then.
struct Waiting {
    number: usize,
    size: JobSize,
    took: Took,
    came: f64,
    by_size: f64,
    by_mean: f64,
}

/// Runs a queue on a simulated clock: jobs arrive so often that three to eight wait (with more, the
/// chances of single jobs even out further). Returns (expected, true) waits of all that
/// came after the first 60, once by the estimator and once by a plain mean of the jobs' times.
fn simulate(seed: u64) -> (Waits, Waits) {
    let mut dice = Dice(seed);
    let mut estimator = Estimator::default();
    let (mut mean, mut ended) = (GUESS.secs(), 0);
    let (mut now, mut free_at) = (0.0, 0.0);
    let mut queue: VecDeque<Waiting> = VecDeque::new();
    let mut running: Option<(f64, JobSize, Took)> = None;
    let (mut sized, mut plain) = (Vec::new(), Vec::new());
    for number in 0..600 {
        // Until there is room for one more, the device works on.
        while queue.len() >= 3 + (dice.roll() * 5.0) as usize
            || (running.is_none() && !queue.is_empty())
        {
            now = f64::max(now, free_at);
            if let Some((_, size, took)) = running.take() {
                estimator.learn(&size, took);
                let secs = took.front_secs + took.answer_secs;
                mean = if ended == 0 {
                    secs
                } else {
                    0.7 * mean + 0.3 * secs
                };
                ended += 1;
            }
            if let Some(job) = queue.pop_front() {
                if job.number >= 60 {
                    sized.push((job.by_size, now - job.came));
                    plain.push((job.by_mean, now - job.came));
                }
                free_at = now + job.took.front_secs + job.took.answer_secs;
                running = Some((now, job.size, job.took));
            }
        }
        now = f64::min(now + dice.between(0.0, 6.0), f64::max(free_at, now));
        let (size, took) = dice.job();
        let progress = running.as_ref().map(|(begun, size, took)| {
            let secs = now - begun;
            let written = (secs - took.front_secs).max(0.0) / took.answer_secs;
            let tokens = (written * f64::from(took.tokens)) as u32;
            (size, Progress { secs, tokens })
        });
        let ahead = queue.len() + usize::from(running.is_some());
        let waits = estimator.waits(progress.into_iter(), queue.iter().map(|job| &job.size), 1);
        queue.push_back(Waiting {
            number,
            size,
            took,
            came: now,
            by_size: *waits.last().expect("one more than wait"),
            by_mean: ahead as f64 * mean,
        });
    }
    (sized, plain)
}

/// One of several jobs that share the device.
struct Lane {
    size: JobSize,
    took: Took,
    begun: f64,
    front_left: f64,
    answer_left: f64,
}

impl Lane {
    fn progress(&self, now: f64) -> Progress {
        let written = 1.0 - self.answer_left / self.took.answer_secs;
        Progress {
            secs: now - self.begun,
            tokens: (written * f64::from(self.took.tokens)) as u32,
        }
    }
}

/// Lets the device work for at most so many seconds, until a job's front is done or an answer ends; for how long it did.
fn work(lanes: &mut [Lane], most: f64) -> f64 {
    if let Some(newcomer) = lanes.iter_mut().find(|lane| lane.front_left > 0.0) {
        let secs = most.min(newcomer.front_left);
        newcomer.front_left -= secs;
        return secs;
    }
    let count = lanes.len() as f64;
    let least = lanes.iter().map(|lane| lane.answer_left);
    let secs = most.min(least.fold(f64::INFINITY, f64::min) * count);
    if count > 0.0 {
        lanes
            .iter_mut()
            .for_each(|lane| lane.answer_left -= secs / count);
    }
    secs
}

/// Expected and true waits where answers of `together` jobs share the device.
fn simulate_lanes(seed: u64, together: usize) -> Waits {
    let mut dice = Dice(seed);
    let mut estimator = Estimator::default();
    let (mut now, mut sized) = (0.0, Vec::new());
    let mut queue: VecDeque<Waiting> = VecDeque::new();
    let mut lanes: Vec<Lane> = Vec::new();
    for number in 0..600 {
        let room = 3 + (dice.roll() * 5.0) as usize;
        let arrival = now + dice.between(0.0, 6.0);
        // Until there is room for one more, the device works on.
        loop {
            let ended = lanes.extract_if(.., |lane| lane.answer_left <= 1e-9);
            ended.for_each(|lane| estimator.learn(&lane.size, lane.took));
            let free = lanes.iter().all(|lane| lane.front_left <= 0.0);
            if free
                && lanes.len() < together
                && let Some(job) = queue.pop_front()
            {
                if job.number >= 60 {
                    sized.push((job.by_size, now - job.came));
                }
                lanes.push(Lane {
                    size: job.size,
                    front_left: job.took.front_secs,
                    answer_left: job.took.answer_secs,
                    took: job.took,
                    begun: now,
                });
                continue;
            }
            let full = queue.len() >= room;
            if lanes.is_empty() || (!full && now >= arrival) {
                break;
            }
            let most = if full { f64::INFINITY } else { arrival - now };
            now += work(&mut lanes, most);
        }
        now = f64::max(now, arrival);
        let (size, took) = dice.job();
        let running = lanes.iter().map(|lane| (&lane.size, lane.progress(now)));
        let waits = estimator.waits(running, queue.iter().map(|job| &job.size), together);
        queue.push_back(Waiting {
            number,
            size,
            took,
            came: now,
            by_size: *waits.last().expect("one more than wait"),
            by_mean: 0.0,
        });
    }
    sized
}

/// Which share of waits came within a fifth.
fn share_within_a_fifth(waits: &[(f64, f64)]) -> f64 {
    let near = |(expected, real): &&(f64, f64)| (expected - real).abs() <= 0.2 * real;
    waits.iter().filter(near).count() as f64 / waits.len() as f64
}

#[test]
fn four_of_five_waits_come_within_a_fifth_and_a_plain_mean_does_not_do_it() {
    for seed in 1..=5 {
        let (sized, plain) = simulate(seed);
        assert!(sized.len() > 500, "{}", sized.len());
        let (sized, plain) = (share_within_a_fifth(&sized), share_within_a_fifth(&plain));
        println!("seed {seed}: by size {sized:.3}, by the mean {plain:.3}");
        assert!(sized >= 0.8, "seed {seed}: {sized:.3}");
        assert!(
            plain < 0.5,
            "seed {seed}: the plain mean would do ({plain:.3})"
        );
    }
}

#[test]
fn so_they_do_where_several_are_made_at_a_time() {
    for (seed, together) in [(1, 1), (2, 2), (3, 4), (4, 4), (6, 4), (7, 4), (8, 2)] {
        let waits = simulate_lanes(seed, together);
        assert!(waits.len() > 500, "{}", waits.len());
        let near = share_within_a_fifth(&waits);
        println!("seed {seed}, {together} at a time: {near:.3}");
        assert!(near >= 0.8, "seed {seed}, {together} at a time: {near:.3}");
    }
}
