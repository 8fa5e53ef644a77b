//! Who begins when, with several workers. In: which lines each worker takes, what runs, who waits. Out: seconds until each.

/// A job in its line, and what it takes; of a running one what is left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Job<'a> {
    pub(super) line: &'a str,
    pub(super) secs: f64,
}

/// Seconds until each waiting job begins, in the order in which they wait: each takes the worker of its line that is free
/// first. `None`: no worker takes its line.
pub(super) fn until_each(
    workers: &[Vec<String>],
    running: &[Job<'_>],
    waiting: &[Job<'_>],
) -> Vec<Option<f64>> {
    let takes = |worker: usize, line: &str| workers[worker].iter().any(|own| own == line);
    let mut free_at: Vec<Option<f64>> = vec![None; workers.len()];
    for job in running {
        // Which worker has it is not known: one that may. A worker that is gone has left its job behind.
        let idle = (0..workers.len()).find(|k| free_at[*k].is_none() && takes(*k, job.line));
        if let Some(worker) = idle {
            free_at[worker] = Some(job.secs);
        }
    }
    let mut free_at: Vec<f64> = free_at.into_iter().map(|at| at.unwrap_or(0.0)).collect();
    let begin = |job: &Job<'_>| {
        let able = (0..workers.len()).filter(|k| takes(*k, job.line));
        let worker = able.min_by(|a, b| free_at[*a].total_cmp(&free_at[*b]))?;
        let at = free_at[worker];
        free_at[worker] += job.secs;
        Some(at)
    };
    waiting.iter().map(begin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(line: &str, secs: f64) -> Job<'_> {
        Job { line, secs }
    }

    #[test]
    fn each_takes_the_worker_that_is_free_first() {
        let workers = [vec!["a".to_owned()], vec!["a".to_owned(), "b".to_owned()]];
        let running = [job("a", 4.0), job("b", 1.0)];
        let waiting = [job("a", 2.0), job("b", 5.0), job("a", 1.0), job("c", 1.0)];
        let waits = until_each(&workers, &running, &waiting);
        assert_eq!(waits, [Some(1.0), Some(3.0), Some(4.0), None]);
        let none = until_each(&[], &running, &waiting[..1]);
        assert_eq!(none, [None]);
        // Three run where only two work any more: one of them is without a worker, and nobody waits for it.
        let running = [job("a", 4.0), job("a", 4.0), job("a", 4.0)];
        assert_eq!(until_each(&workers, &running, &waiting[..1]), [Some(4.0)]);
    }
}
