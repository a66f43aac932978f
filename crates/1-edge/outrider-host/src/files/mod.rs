//! File integrity: every change below the watched folders, hashed and compared with a baseline.
//!
//! One mark for each folder, so that nothing else on the file system costs anything. Folders are found by the identity
//! in the event and never opened by it, so that the rights to do so can be given up after the start.
//!
//! Steps of degradation, each counted: a change that finds no place in the queue of checks is reported without hash
//! (`unhashed`); many changes in one folder become a count ([`fold`]); when events come faster than they are read for
//! so long that the kernel's queue is a danger, the watch ends until it is read empty (`watch suspended`), and then all
//! files are compared with the baseline, as they are after an overflow of a bounded queue (`queue overflow`).

pub(crate) mod baseline;
pub(crate) mod check;
pub(crate) mod event;
pub(crate) mod fold;
mod judge;
mod scan;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use outrider_types::VehicleMicros;

use self::baseline::Baseline;
use self::event::{FileRecord, FileRecords};
use self::fold::{Action, Change, Folds};
use self::judge::Check;
use self::scan::Scan;
use self::tree::Tree;
use crate::config::FilesConfig;
use crate::sensor::{Counts, Degradation, Sensor, SensorState, Turn};
use crate::sys::fanotify::{self, GroupKind};

/// Bytes of one read: some 600 events.
const READ_BYTES: usize = 64 << 10;
/// Reads in one turn.
const READS_PER_TURN: usize = 64;
/// Bytes of waiting events at which the watch is suspended: 200,000 events, some 40 MiB of the kernel's memory.
const WAITING_BYTES_MAX: u64 = 200_000 * 24;

const CLOSE_WRITE: u64 = libc::FAN_CLOSE_WRITE;
const ATTRIB: u64 = libc::FAN_ATTRIB;
const CREATE: u64 = libc::FAN_CREATE;
const DELETE: u64 = libc::FAN_DELETE;
const MOVED_FROM: u64 = libc::FAN_MOVED_FROM;
const MOVED_TO: u64 = libc::FAN_MOVED_TO;
const OVERFLOW: u64 = libc::FAN_Q_OVERFLOW;
const ON_FOLDER: u64 = libc::FAN_ONDIR;

/// The sensor.
pub(crate) struct Files {
    group: File,
    kind: GroupKind,
    config: FilesConfig,
    tree: Tree,
    baseline: Baseline,
    scan: Scan,
    /// Changed files that wait to be looked at, by path.
    checks: BTreeMap<PathBuf, Check>,
    hashing: Option<judge::Job>,
    folds: Folds,
    buffer: Vec<u8>,
    counts: Counts,
    degradation: Degradation,
    is_suspended: bool,
    unhashed: u64,
    unresolved: u64,
    unwatched: u64,
}

impl Files {
    /// Opens the group and watches every folder, while there are rights.
    ///
    /// # Errors
    /// No fanotify, a folder that is not there, or a baseline that cannot be read.
    pub(crate) fn open(mut config: FilesConfig, baseline: &Path, state: &Path) -> io::Result<Self> {
        let (group, kind) = fanotify::group()?;
        // What this program writes itself is no news.
        config.exclude.push(state.to_path_buf());
        let baseline = Baseline::open(baseline, config.files_max)?;
        let mut files = Self {
            group,
            kind,
            tree: Tree::default(),
            baseline,
            scan: Scan::default(),
            checks: BTreeMap::new(),
            hashing: None,
            folds: Folds::default(),
            buffer: vec![0; READ_BYTES],
            counts: Counts::default(),
            degradation: Degradation::new("host.files"),
            is_suspended: false,
            unhashed: 0,
            unresolved: 0,
            unwatched: 0,
            config,
        };
        for path in files.config.paths.clone() {
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            fanotify::watch(&files.group, &path).map_err(named)?;
            let identity = fanotify::identity(&path).map_err(named)?;
            files.tree.add_root(identity.clone(), &path);
            files.watch_below(path.clone(), identity, None);
        }
        files.baseline.begin();
        files.scan.begin(files.tree.paths());
        Ok(files)
    }

    fn is_excluded(&self, path: &Path) -> bool {
        self.config.exclude.iter().any(|excluded| path.starts_with(excluded))
    }

    /// Watches every folder below one. Files found there on the way become checks, if a change made the folder appear.
    fn watch_below(&mut self, path: PathBuf, identity: Box<[u8]>, found: Option<(u32, VehicleMicros)>) {
        let mut open = vec![(path, identity)];
        while let Some((folder, parent)) = open.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                if self.is_excluded(&path) {
                    continue;
                }
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    if let Some((process, at)) = found {
                        self.counts.received += 1;
                        self.enqueue(path, Action::Created, process, at, at);
                    }
                    continue;
                }
                if self.tree.is_full() {
                    self.unwatched += 1;
                    continue;
                }
                let watched = fanotify::watch(&self.group, &path).and_then(|()| fanotify::identity(&path));
                match watched {
                    Ok(identity) => {
                        self.tree.add(identity.clone(), &parent, &entry.file_name());
                        open.push((path, identity));
                    }
                    // Gone again, or a file system without identities.
                    Err(_) => self.unwatched += 1,
                }
            }
        }
    }

    fn read_events(&mut self, turn: &mut Turn<'_>) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut is_empty = false;
        for _ in 0..READS_PER_TURN {
            match self.group.read(&mut buffer) {
                Ok(length) => {
                    for record in FileRecords::new(&buffer[..length]) {
                        match record {
                            Ok(record) => self.take(&record, turn),
                            Err(_) => {
                                self.counts.received += 1;
                                self.counts.rejected += 1;
                            }
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    is_empty = true;
                    break;
                }
            }
        }
        self.buffer = buffer;
        if is_empty && self.is_suspended {
            self.resume();
        } else if !is_empty && !self.is_suspended && fanotify::waiting_bytes(&self.group) > WAITING_BYTES_MAX
        {
            self.is_suspended = fanotify::unwatch_all(&self.group).is_ok();
            if self.is_suspended {
                self.counts.lost += 1;
                self.degradation.drop(1);
                self.degradation.set("watch suspended", turn.now, turn.out);
            }
        }
    }

    /// Watches again and compares everything with the baseline.
    fn resume(&mut self) {
        self.is_suspended = false;
        for path in self.tree.paths() {
            if fanotify::watch(&self.group, &path).is_err() {
                self.unwatched += 1;
            }
        }
        self.rescan();
    }

    fn rescan(&mut self) {
        self.baseline.begin();
        self.scan.begin(self.tree.paths());
    }

    /// Takes one event: every bit in its mask is one occurrence.
    fn take(&mut self, record: &FileRecord<'_>, turn: &mut Turn<'_>) {
        if record.mask & OVERFLOW != 0 {
            self.counts.lost += 1;
            self.degradation.drop(1);
            self.degradation.set("queue overflow", turn.now, turn.out);
            self.rescan();
            return;
        }
        let bits = record.mask & (CLOSE_WRITE | ATTRIB | CREATE | DELETE | MOVED_FROM | MOVED_TO);
        self.counts.received += u64::from(bits.count_ones());
        let folder = record.folder.and_then(|folder| self.tree.path(folder));
        let Some(folder) = folder else {
            // A folder that was removed, or one beyond the bound.
            self.unresolved += 1;
            self.counts.quiet += u64::from(bits.count_ones());
            return;
        };
        let path = folder.join(OsStr::from_bytes(record.name));
        if record.name.is_empty() || self.is_excluded(&path) {
            self.counts.quiet += u64::from(bits.count_ones());
            return;
        }
        if record.mask & ON_FOLDER != 0 {
            self.take_folder(record, &path, bits, turn);
        } else {
            self.take_file(record, &path, bits, turn);
        }
    }

    fn take_file(&mut self, record: &FileRecord<'_>, path: &Path, bits: u64, turn: &mut Turn<'_>) {
        let (process, now) = (record.process, turn.now);
        for (bit, action) in
            [(CREATE, Action::Created), (MOVED_TO, Action::MovedIn), (CLOSE_WRITE, Action::Modified)]
        {
            if bits & bit != 0 {
                // A file that has just been made is usually still being written.
                let due =
                    if bit == CREATE && bits & CLOSE_WRITE == 0 { now.saturating_add(200_000) } else { now };
                self.enqueue(path.to_path_buf(), action, process, now, due);
            }
        }
        let is_gone = bits & (DELETE | MOVED_FROM) != 0;
        if bits & ATTRIB != 0 {
            if is_gone {
                // Losing a name is a change of attributes, too.
                self.counts.quiet += 1;
            } else {
                self.enqueue(path.to_path_buf(), Action::Attributes, process, now, now);
            }
        }
        for (bit, action) in [(MOVED_FROM, Action::MovedAway), (DELETE, Action::Deleted)] {
            if bits & bit != 0 {
                if let Some(check) = self.checks.remove(path) {
                    self.counts.waiting -= 1;
                    self.finish_gone(path.to_path_buf(), check, turn);
                }
                self.report(
                    Change {
                        action,
                        path: path.to_path_buf(),
                        process,
                        at: now,
                        expected: None,
                        observed: None,
                    },
                    turn,
                );
            }
        }
    }

    fn take_folder(&mut self, record: &FileRecord<'_>, path: &Path, bits: u64, turn: &mut Turn<'_>) {
        let change = |action| Change {
            action,
            path: path.to_path_buf(),
            process: record.process,
            at: turn.now,
            expected: None,
            observed: None,
        };
        let actions = [
            (CREATE, Action::Created),
            (MOVED_TO, Action::MovedIn),
            (MOVED_FROM, Action::MovedAway),
            (DELETE, Action::Deleted),
        ];
        let changes: Vec<Change> =
            actions.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, action)| change(*action)).collect();
        self.counts.quiet += u64::from((bits & (ATTRIB | CLOSE_WRITE)).count_ones());
        // A folder that moves stays watched; if it moves out of sight, it keeps the last path that it had here.
        if bits & DELETE != 0
            && let Some(target) = record.target
        {
            self.tree.remove(target);
        }
        if bits & (CREATE | MOVED_TO) != 0 && bits & DELETE == 0 {
            self.folder_appeared(record, path, turn.now);
        }
        changes.into_iter().for_each(|change| self.report(change, turn));
    }

    fn folder_appeared(&mut self, record: &FileRecord<'_>, path: &Path, now: VehicleMicros) {
        if self.tree.is_full() {
            self.unwatched += 1;
            return;
        }
        let identity = match record.target {
            Some(target) => Ok(Box::from(target)),
            None => fanotify::identity(path),
        };
        let (Ok(identity), Some(parent)) = (identity, record.folder) else { return };
        let is_known = self.tree.contains(&identity);
        self.tree.add(identity.clone(), parent, OsStr::from_bytes(record.name));
        if is_known {
            return;
        }
        // Watched first, listed then: what is made between is in both.
        if fanotify::watch(&self.group, path).is_err() {
            self.unwatched += 1;
            return;
        }
        self.watch_below(path.to_path_buf(), identity, Some((record.process, now)));
    }

    fn report(&mut self, change: Change, turn: &mut Turn<'_>) {
        self.counts.reported += 1;
        self.folds.push(&change, turn.people, turn.out);
    }
}

impl Sensor for Files {
    fn name(&self) -> &'static str {
        "host.files"
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.group.as_fd())
    }

    fn turn(&mut self, turn: &mut Turn<'_>) {
        self.read_events(turn);
        self.work(turn);
        self.folds.tick(turn.now, turn.people, turn.out);
    }

    fn state(&self) -> SensorState {
        SensorState::new(self.name(), self.degradation.step(), self.counts)
            .with("folders", self.tree.len() as u64)
            .with("baseline_files", self.baseline.len() as u64)
            .with("baseline_left_out", self.baseline.left_out)
            .with("learning", u64::from(self.baseline.is_learning()))
            .with("scanning", u64::from(self.scan.is_busy()))
            .with("folded", self.folds.folded)
            .with("unhashed", self.unhashed)
            .with("unresolved", self.unresolved)
            .with("unwatched", self.unwatched)
            .with("exact_names", u64::from(self.kind.has_target))
            .with("unlimited_queue", u64::from(self.kind.is_unlimited))
            .with("degradations", self.degradation.changes)
    }
}
