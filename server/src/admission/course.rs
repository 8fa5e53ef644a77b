//! Who begins when, on one device or on several. In: which jobs each device takes, what runs, who waits. Out: seconds until
//! each begins.
//!
//! A device makes one job at a time, or several of one line: then what comes before a first token is done one by one, and
//! answers share the device. Whoever waits takes the device of its line that has room first.

use super::estimate::{Expected, Progress};

/// Courses that a queue is imagined to take where places are free in an order that nobody knows.
const COURSES: usize = 7;

/// One that takes longer than usual has as likely as not a good way to go: this part of what it has done.
const LATE_SHARE: f64 = 0.15;

/// What makes traces.
#[derive(Debug, Clone, Copy)]
pub struct Device<'a> {
    /// The lines that it takes; none: all of them.
    pub lines: Option<&'a [String]>,
    /// Jobs of one line that it makes at a time.
    pub together: usize,
}

/// How far a running job has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Done {
    /// On this machine, where its tokens are seen.
    Seen(Progress),
    /// Elsewhere: nothing but the seconds since its begin is known.
    Secs(f64),
}

/// A job that runs.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// The line that it came from.
    pub line: &'a str,
    /// What it takes from begin to end.
    pub expected: Expected,
    /// How far it has come.
    pub done: Done,
    /// The most tokens that its answer may have.
    pub most_tokens: u32,
    /// Which of the devices has it, where that is known.
    pub device: Option<usize>,
}

/// A job that waits.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'a> {
    /// The line that it waits in.
    pub line: &'a str,
    /// What it will take.
    pub expected: Expected,
}

/// Seconds until each waiting job begins, in the order in which they wait. `None`: no device takes its line.
pub fn waits<'a>(
    devices: &[Device<'a>],
    running: &[Running<'a>],
    waiting: &[Waiting<'a>],
) -> Vec<Option<f64>> {
    let alone = devices.iter().map(|device| device.together).sum::<usize>() < 2;
    if alone {
        return course(devices, running, waiting, &|_| 1.0);
    }
    // A place is free when the first of several jobs ends, which is sooner than they do on average: the mean of a few
    // courses in which each answer is longer or shorter than usual.
    let mut waits = vec![Some(0.0); waiting.len()];
    for course_number in 0..COURSES {
        let offset = course_number as f64 / COURSES as f64;
        let stretch = |job: usize| 0.5 + (job as f64 * 0.618_034 + offset).fract();
        let one = course(devices, running, waiting, &stretch);
        for (wait, secs) in waits.iter_mut().zip(one) {
            *wait = wait
                .zip(secs)
                .map(|(wait, secs)| wait + secs / COURSES as f64);
        }
    }
    waits
}

/// One course that a queue may take: answers are as many times as long as usual as `stretch` says of each job.
fn course<'a>(
    devices: &[Device<'a>],
    running: &[Running<'a>],
    waiting: &[Waiting<'a>],
    stretch: &dyn Fn(usize) -> f64,
) -> Vec<Option<f64>> {
    let expect = |job: usize, expected: &Expected| Expected {
        tokens: expected.tokens * stretch(job),
        ..*expected
    };
    let mut at_work: Vec<Shared<'a>> = devices.iter().map(Shared::idle).collect();
    let mut left_behind = Vec::new();
    let known = |job: &&(usize, &Running<'a>)| job.1.device.is_some_and(|k| k < devices.len());
    let numbered: Vec<(usize, &Running<'a>)> = running.iter().enumerate().collect();
    let sorted = (numbered.iter().filter(known)).chain(numbered.iter().filter(|job| !known(job)));
    for (number, job) in sorted {
        let of = |place: usize| at_work[place].takes(job.line);
        let place = (job.device.filter(|place| *place < devices.len()))
            // Where it is not known which device has it: one that may.
            .or_else(|| (0..devices.len()).find(|place| of(*place) && at_work[*place].has_room()));
        match place {
            Some(place) => {
                let company = running.iter().filter(|other| other.device == Some(place));
                let expected = expect(*number, &job.expected);
                let (front, answer) = left_secs(&expected, job, company.count());
                at_work[place].add(job.line, front, answer);
            }
            // Its device is gone: it is the first to be made again.
            None => left_behind.push((*number, job)),
        }
    }
    at_work.iter_mut().for_each(Shared::look_ahead);
    for (number, job) in left_behind {
        begin(&mut at_work, job.line, &expect(number, &job.expected));
    }
    (running.len()..)
        .zip(waiting)
        .map(|(number, job)| begin(&mut at_work, job.line, &expect(number, &job.expected)))
        .collect()
}

/// Gives a job to the device that has room for it first; when that is.
fn begin<'a>(at_work: &mut [Shared<'a>], line: &'a str, expected: &Expected) -> Option<f64> {
    let able = at_work.iter_mut().filter(|device| device.takes(line));
    let device = able.min_by(|a, b| a.free_at(line).total_cmp(&b.free_at(line)))?;
    device.work_until(device.room_for(line));
    let begins = device.now_secs;
    device.add(
        line,
        expected.front_secs,
        expected.token_secs * expected.tokens,
    );
    device.look_ahead();
    Some(begins)
}

/// What is left of a running job before its first token, and of its answer. `company`: jobs that share its device.
fn left_secs(expected: &Expected, job: &Running<'_>, company: usize) -> (f64, f64) {
    let secs = match job.done {
        Done::Seen(done) => {
            let answer = expected.answer_left_secs(done, job.most_tokens);
            return (expected.front_left_secs(done), answer);
        }
        Done::Secs(secs) => secs,
    };
    let answer = expected.token_secs * expected.tokens;
    let written = (secs - expected.front_secs).max(0.0) / company.max(1) as f64;
    let late = LATE_SHARE * secs.min(expected.secs());
    let front = (expected.front_secs - secs).max(0.0);
    match written > 0.0 {
        true => (front, (answer - written).max(late)),
        false => (front, answer),
    }
}

/// A device that several answers share.
#[derive(Debug)]
struct Shared<'a> {
    device: Device<'a>,
    /// Whose jobs it has.
    line: &'a str,
    now_secs: f64,
    /// What is left of each answer, were it alone.
    left: Vec<f64>,
    /// When there is room for one more of its line, and when for one of another.
    free_at: [f64; 2],
}

impl<'a> Shared<'a> {
    fn idle(device: &Device<'a>) -> Self {
        Self {
            device: *device,
            line: "",
            now_secs: 0.0,
            left: Vec::new(),
            free_at: [0.0; 2],
        }
    }

    fn takes(&self, line: &str) -> bool {
        (self.device.lines).is_none_or(|lines| lines.iter().any(|own| own == line))
    }

    fn has_room(&self) -> bool {
        self.left.len() < self.device.together.max(1)
    }

    /// How many it may have when a job of this line begins: another line's wait until all of this one's have ended.
    fn room_for(&self, line: &str) -> usize {
        match line == self.line {
            true => self.device.together.max(1),
            false => 1,
        }
    }

    fn free_at(&self, line: &str) -> f64 {
        self.free_at[usize::from(line != self.line)]
    }

    /// One more job: what comes before its first token is done at once, and holds the others up.
    fn add(&mut self, line: &'a str, front_secs: f64, answer_secs: f64) {
        self.line = line;
        self.now_secs += front_secs;
        self.left.push(answer_secs);
    }

    /// Works until there is room for one more of `room`.
    fn work_until(&mut self, room: usize) {
        self.left.sort_by(|a, b| b.total_cmp(a));
        while self.left.len() >= room
            && let Some(least) = self.left.pop()
        {
            self.now_secs += least * (self.left.len() + 1) as f64;
            self.left.iter_mut().for_each(|secs| *secs -= least);
        }
    }

    /// Finds out when there will be room.
    fn look_ahead(&mut self) {
        let (now_secs, left) = (self.now_secs, self.left.clone());
        self.work_until(self.device.together.max(1));
        let of_line = self.now_secs;
        self.work_until(1);
        self.free_at = [of_line, self.now_secs];
        (self.now_secs, self.left) = (now_secs, left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(front_secs: f64) -> Expected {
        Expected {
            front_secs,
            token_secs: 0.0,
            tokens: 0.0,
        }
    }

    fn job(line: &str, secs: f64) -> Waiting<'_> {
        Waiting {
            line,
            expected: takes(secs),
        }
    }

    fn runs(line: &str, secs: f64, device: Option<usize>) -> Running<'_> {
        Running {
            line,
            expected: takes(secs),
            done: Done::Secs(0.0),
            most_tokens: 9,
            device,
        }
    }

    fn device(lines: &[String], together: usize) -> Device<'_> {
        Device {
            lines: Some(lines),
            together,
        }
    }

    fn near(found: &[Option<f64>], wanted: &[Option<f64>]) {
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(wanted) {
            let same = match (found, wanted) {
                (Some(found), Some(wanted)) => (found - wanted).abs() < 1e-9,
                (found, wanted) => found == wanted,
            };
            assert!(same, "{found:?}, {wanted:?}");
        }
    }

    #[test]
    fn each_takes_the_device_that_is_free_first() {
        let (one, both) = (["a".to_owned()], ["a".to_owned(), "b".to_owned()]);
        let devices = [device(&one, 1), device(&both, 1)];
        let running = [runs("a", 4.0, None), runs("b", 1.0, None)];
        let waiting = [job("a", 2.0), job("b", 5.0), job("a", 1.0), job("c", 1.0)];
        let found = waits(&devices, &running, &waiting);
        near(&found, &[Some(1.0), Some(3.0), Some(4.0), None]);
        near(&waits(&[], &running, &waiting[..1]), &[None]);
        // Three run where only two work any more: the third is made again before anybody else's turn.
        let running = ["a"; 3].map(|line| runs(line, 4.0, None));
        let found = waits(&devices, &running, &[waiting[0], waiting[0]]);
        near(&found, &[Some(4.0), Some(6.0)]);
        // Which device has a job matters where they take different lines.
        let running = [runs("a", 4.0, Some(1))];
        near(
            &waits(&devices, &running, &waiting[..2]),
            &[Some(0.0), Some(4.0)],
        );
    }

    #[test]
    fn answers_share_a_device_and_another_line_waits_for_all_of_them() {
        let both = ["a".to_owned(), "b".to_owned()];
        let writes = |secs: f64| Expected {
            front_secs: 1.0,
            token_secs: secs,
            tokens: 1.0,
        };
        let devices = [device(&both, 2)];
        let running = [2.0, 6.0].map(|secs| Running {
            expected: writes(secs),
            done: Done::Seen(Progress {
                secs: 1.0,
                tokens: 0,
            }),
            device: Some(0),
            ..runs("a", 0.0, None)
        });
        let waiting = [job("a", 0.0), job("b", 1.0)];
        // Two and six seconds alone: the first ends after four, the other after eight.
        let found = course(&devices, &running, &waiting, &|_| 1.0);
        near(&found, &[Some(4.0), Some(8.0)]);
        // Elsewhere, nine seconds after the begin, of which one came before two that were shared by four.
        let running = [2.0, 6.0].map(|secs| Running {
            expected: writes(secs),
            done: Done::Secs(3.0),
            device: Some(0),
            ..runs("a", 0.0, None)
        });
        let found = course(&devices, &running, &waiting, &|_| 1.0);
        near(&found, &[Some(2.0), Some(6.0)]);
    }
}
