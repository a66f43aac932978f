//! Looking at changed files, and at all files in a scan, and comparing them with the baseline.

use std::path::PathBuf;

use outrider_types::VehicleMicros;

use super::baseline::Entry;
use super::check::{self, Hashing, Opened};
use super::fold::{Action, Change};
use super::{Files, Turn};
use crate::sensor::FULL;

/// Changed files that wait at most.
const CHECKS_MAX: usize = 1024;
/// Bytes hashed in one turn: 40 MB a second at ten turns, a tenth of a core.
const BYTES_PER_TURN: u64 = 4 << 20;
/// Files looked at in one turn.
const FILES_PER_TURN: usize = 1024;

/// A changed file that waits to be looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    action: Action,
    process: u32,
    at: VehicleMicros,
    due: VehicleMicros,
}

/// A file whose hash is under way.
pub(super) struct Job {
    path: PathBuf,
    /// `None` in a scan.
    check: Option<Check>,
    hashing: Box<Hashing>,
}

impl Files {
    /// Notes that a file is to be looked at; a second change before that is part of the first.
    pub(super) fn enqueue(
        &mut self,
        path: PathBuf,
        action: Action,
        process: u32,
        at: VehicleMicros,
        due: VehicleMicros,
    ) {
        if let Some(check) = self.checks.get_mut(&path) {
            check.due = check.due.min(due);
            check.action = check.action.min(action);
            self.counts.quiet += 1;
            return;
        }
        self.counts.waiting += 1;
        self.checks.insert(path, Check { action, process, at, due });
    }

    /// Looks at files within the bounds of a turn.
    pub(super) fn work(&mut self, turn: &mut Turn<'_>) {
        // What does not fit into the queue is reported without a hash.
        while self.checks.len() > CHECKS_MAX {
            let Some((path, check)) = self.checks.pop_first() else { break };
            self.counts.waiting -= 1;
            self.degradation.drop(1);
            self.degradation.set("unhashed", turn.now, turn.out);
            self.finish_gone(path, check, turn);
        }
        let mut budget = BYTES_PER_TURN;
        for _ in 0..FILES_PER_TURN {
            if budget == 0 {
                return;
            }
            if let Some(mut job) = self.hashing.take() {
                match job.hashing.step(&mut budget) {
                    Ok(None) => self.hashing = Some(job),
                    Ok(Some(entry)) => self.finish(job.path, job.check, Some(entry), turn),
                    Err(_) => self.finish(job.path, job.check, None, turn),
                }
            } else if let Some((path, check)) = self.next_due(turn.now) {
                self.begin(path, Some(check), turn);
            } else if self.scan.is_busy() {
                match self.scan.next() {
                    Some(path) if self.is_excluded(&path) => {}
                    Some(path) => {
                        self.counts.received += 1;
                        self.counts.waiting += 1;
                        self.begin(path, None, turn);
                    }
                    None => self.end_scan(turn),
                }
            } else {
                if self.checks.is_empty() && !self.is_suspended {
                    self.degradation.set(FULL, turn.now, turn.out);
                }
                return;
            }
        }
    }

    fn next_due(&mut self, now: VehicleMicros) -> Option<(PathBuf, Check)> {
        let path = self.checks.iter().find(|(_, check)| check.due <= now).map(|(path, _)| path.clone())?;
        self.checks.remove_entry(&path)
    }

    fn begin(&mut self, path: PathBuf, check: Option<Check>, turn: &mut Turn<'_>) {
        match check::open(&path, self.config.hash_bytes_max) {
            Ok(Opened::Whole(entry)) => self.finish(path, check, Some(entry), turn),
            Ok(Opened::Begun(hashing)) => self.hashing = Some(Job { path, check, hashing }),
            Ok(Opened::TooLarge) | Err(_) => self.finish(path, check, None, turn),
        }
    }

    /// Judges a file by what it is now; `None` could not be looked at.
    fn finish(&mut self, path: PathBuf, check: Option<Check>, entry: Option<Entry>, turn: &mut Turn<'_>) {
        self.counts.waiting -= 1;
        let name = path.to_string_lossy().into_owned();
        let known = self.baseline.find(&name);
        match (check, entry) {
            (Some(check), None) => self.finish_gone(path, check, turn),
            (None, None) => {
                // It is there but cannot be read, or is too large: no change that could be told.
                self.baseline.see(&name);
                self.unhashed += 1;
                self.counts.quiet += 1;
            }
            (check, Some(entry)) => {
                self.baseline.see(&name);
                if known.is_none() && self.baseline.is_learning() {
                    self.baseline.insert(&name, entry);
                    self.counts.quiet += 1;
                    return;
                }
                match self.verdict(check, known, entry) {
                    None => self.counts.quiet += 1,
                    Some(action) => {
                        let change = Change {
                            action,
                            path,
                            process: check.map_or(0, |check| check.process),
                            at: check.map_or(turn.now, |check| check.at),
                            expected: known.map(|known| known.sha256),
                            observed: Some(entry.sha256),
                        };
                        self.report(change, turn);
                    }
                }
            }
        }
    }

    fn verdict(&self, check: Option<Check>, known: Option<Entry>, entry: Entry) -> Option<Action> {
        let usual = match check {
            Some(check) => check.action,
            None if self.scan.is_again => Action::Modified,
            None => Action::ChangedWhileOff,
        };
        let Some(known) = known else {
            // In a scan, a file that found no place in the baseline is no change.
            return (check.is_some() || self.baseline.left_out == 0).then_some(usual);
        };
        if known.sha256 != entry.sha256 {
            return Some(if usual == Action::Attributes { Action::Modified } else { usual });
        }
        (known.mode != entry.mode || known.user != entry.user).then_some(Action::Attributes)
    }

    /// Reports a change of a file that cannot be looked at any more.
    pub(super) fn finish_gone(&mut self, path: PathBuf, check: Check, turn: &mut Turn<'_>) {
        if check.action == Action::Attributes {
            self.counts.quiet += 1;
            return;
        }
        self.unhashed += 1;
        let expected = self.baseline.find(&path.to_string_lossy()).map(|known| known.sha256);
        let change = Change {
            action: check.action,
            path,
            process: check.process,
            at: check.at,
            expected,
            observed: None,
        };
        self.report(change, turn);
    }

    fn end_scan(&mut self, turn: &mut Turn<'_>) {
        self.scan.end();
        let mut missing = Vec::new();
        let kept = self.baseline.end(|path, entry| missing.push((PathBuf::from(path), entry.sha256)));
        if kept.is_err() {
            self.degradation.set("baseline not kept", turn.now, turn.out);
        }
        for (path, sha256) in missing {
            self.counts.received += 1;
            let change = Change {
                action: Action::Missing,
                path,
                process: 0,
                at: turn.now,
                expected: Some(sha256),
                observed: None,
            };
            self.report(change, turn);
        }
    }
}
