//! Lets concurrent callers share one commit.
//!
//! There is no thread of its own: the first caller that finds the queue idle commits for everybody who waits, while
//! later callers queue up for the next round. Each caller has at most one job in the queue, so the queue is bounded
//! by the number of callers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Shares commits; `J` is what a caller brings and `R` what it gets back.
#[derive(Debug)]
pub(crate) struct Group<J, R> {
    queue: Mutex<Queue<J, R>>,
    done: Condvar,
}

#[derive(Debug)]
struct Queue<J, R> {
    waiting: VecDeque<(u64, usize, J)>,
    results: BTreeMap<u64, R>,
    next_ticket: u64,
    committing: bool,
}

/// Cap of one commit; the first job is taken whatever its weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupLimits {
    /// Most jobs.
    pub(crate) jobs_max: usize,
    /// Most weight, bytes.
    pub(crate) weight_max: usize,
}

/// Releases the callers of a round whose commit did not return, so that a bug ends in errors and not in a standstill.
struct Round<'a, J, R: Clone> {
    group: &'a Group<J, R>,
    tickets: Vec<u64>,
    lost: R,
}

impl<J, R: Clone> Drop for Round<'_, J, R> {
    fn drop(&mut self) {
        let mut queue = self.group.lock();
        for ticket in self.tickets.drain(..) {
            queue.results.insert(ticket, self.lost.clone());
        }
        queue.committing = false;
        self.group.done.notify_all();
    }
}

impl<J, R: Clone> Group<J, R> {
    pub(crate) const fn new() -> Self {
        Self {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                results: BTreeMap::new(),
                next_ticket: 0,
                committing: false,
            }),
            done: Condvar::new(),
        }
    }

    /// Runs `commit` over this job and those that wait beside it, in order of arrival, and returns this job's result.
    ///
    /// `commit` returns one result a job; `lost` stands for one that it failed to give.
    pub(crate) fn submit(
        &self,
        job: J,
        weight: usize,
        limits: GroupLimits,
        lost: R,
        commit: impl Fn(Vec<J>) -> Vec<R>,
    ) -> R {
        let mut queue = self.lock();
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.waiting.push_back((ticket, weight, job));
        loop {
            if let Some(result) = queue.results.remove(&ticket) {
                return result;
            }
            if queue.committing {
                queue = self.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (tickets, jobs) = take_round(&mut queue, limits);
            queue.committing = true;
            drop(queue);
            let mut round = Round { group: self, tickets, lost: lost.clone() };
            let results = commit(jobs);
            let tickets = std::mem::take(&mut round.tickets);
            queue = self.lock();
            let mut results = results.into_iter();
            for ticket in tickets {
                queue.results.insert(ticket, results.next().unwrap_or_else(|| lost.clone()));
            }
            drop(queue);
            drop(round);
            queue = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<J, R>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_round<J, R>(queue: &mut Queue<J, R>, limits: GroupLimits) -> (Vec<u64>, Vec<J>) {
    let (mut tickets, mut jobs, mut weight) = (Vec::new(), Vec::new(), 0_usize);
    while let Some((_, next, _)) = queue.waiting.front() {
        weight = weight.saturating_add(*next);
        if !jobs.is_empty() && (jobs.len() >= limits.jobs_max || weight > limits.weight_max) {
            break;
        }
        let Some((ticket, _, job)) = queue.waiting.pop_front() else { break };
        tickets.push(ticket);
        jobs.push(job);
    }
    (tickets, jobs)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    const LIMITS: GroupLimits = GroupLimits { jobs_max: 3, weight_max: 100 };

    #[test]
    fn every_caller_gets_its_own_result_and_rounds_keep_to_the_caps() {
        let group: Group<u32, u32> = Group::new();
        let (largest, rounds) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let started = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for caller in 0..16_u32 {
                let (group, largest, rounds, started) = (&group, &largest, &rounds, &started);
                scope.spawn(move || {
                    for turn in 0..50 {
                        let job = caller * 1_000 + turn;
                        let result = group.submit(job, 10, LIMITS, u32::MAX, |jobs| {
                            // The first round holds everybody up, so that later ones have several jobs.
                            while !started.load(Ordering::Acquire) {
                                if group.lock().waiting.len() == 15 {
                                    started.store(true, Ordering::Release);
                                }
                                std::thread::yield_now();
                            }
                            largest.fetch_max(jobs.len(), Ordering::Relaxed);
                            rounds.fetch_add(1, Ordering::Relaxed);
                            jobs.into_iter().map(|job| job + 7).collect()
                        });
                        assert_eq!(result, job + 7);
                    }
                });
            }
        });
        assert_eq!(largest.load(Ordering::Relaxed), LIMITS.jobs_max, "fifteen callers waited for round two");
        assert!(rounds.load(Ordering::Relaxed) < 16 * 50, "some rounds were shared");
        assert!(group.lock().results.is_empty());
    }

    #[test]
    fn a_heavy_job_goes_alone() {
        let mut queue: Queue<u8, u8> =
            Queue { waiting: VecDeque::new(), results: BTreeMap::new(), next_ticket: 0, committing: false };
        queue.waiting.extend([(0, 500, 0), (1, 60, 1), (2, 40, 2), (3, 1, 3)]);
        let limits = GroupLimits { jobs_max: 9, weight_max: 100 };
        assert_eq!(take_round(&mut queue, limits).0, [0]);
        assert_eq!(take_round(&mut queue, limits).0, [1, 2]);
        assert_eq!(take_round(&mut queue, limits).0, [3]);
    }

    #[test]
    fn a_commit_that_panics_leaves_the_queue_usable() {
        let group: Group<u8, u8> = Group::new();
        let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            group.submit(1, 1, LIMITS, 0, |_| panic!("engine bug"))
        }));
        assert!(attempt.is_err());
        assert_eq!(group.submit(2, 1, LIMITS, 0, |jobs| jobs), 2);
    }
}
