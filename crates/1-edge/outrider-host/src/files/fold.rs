//! Changes on their way out: the first of a folder by name, the rest as a count of the folder. Every one is counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use outrider_types::VehicleMicros;
use outrider_wire::catalogue::{event, field};

use crate::outbox::Outbox;
use crate::people::People;
use crate::{HostEvent, Value};

/// Changes of one kind in one folder that are named in one window; an update of a package has more, an intruder who
/// hides among them is still counted.
const NAMED_MAX: u64 = 16;
/// Length of a window.
const WINDOW_US: u64 = 1_000_000;
/// Folders and kinds in one window; what has no room is counted for all folders together.
const FOLDS_MAX: usize = 1024;

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    Created,
    Modified,
    Attributes,
    Deleted,
    MovedAway,
    MovedIn,
    /// Found at the start: differs from the baseline.
    ChangedWhileOff,
    /// Found at the start: not there any more.
    Missing,
}

impl Action {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Attributes => "attributes",
            Self::Deleted => "deleted",
            Self::MovedAway => "moved away",
            Self::MovedIn => "moved in",
            Self::ChangedWhileOff => "changed while off",
            Self::Missing => "missing",
        }
    }
}

/// A change with what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) action: Action,
    pub(crate) path: PathBuf,
    pub(crate) process: u32,
    pub(crate) at: VehicleMicros,
    pub(crate) expected: Option<[u8; 32]>,
    pub(crate) observed: Option<[u8; 32]>,
}

#[derive(Debug)]
struct Fold {
    named: u64,
    counted: u64,
    first: VehicleMicros,
    last: VehicleMicros,
    process: u32,
}

/// The present window.
#[derive(Debug, Default)]
pub(crate) struct Folds {
    folds: BTreeMap<(PathBuf, Action), Fold>,
    began: Option<VehicleMicros>,
    /// Changes that became part of a count.
    pub(crate) folded: u64,
}

impl Folds {
    /// Takes a change: passes it on by name, or counts it.
    pub(crate) fn push(&mut self, change: &Change, people: &mut People, out: &mut Outbox) {
        self.began.get_or_insert(change.at);
        let folder = change.path.parent().unwrap_or(Path::new("/")).to_path_buf();
        let mut key = (folder, change.action);
        if !self.folds.contains_key(&key) && self.folds.len() >= FOLDS_MAX {
            key.0 = PathBuf::new();
        }
        let fold = self.folds.entry(key).or_insert(Fold {
            named: 0,
            counted: 0,
            first: change.at,
            last: change.at,
            process: change.process,
        });
        if fold.named < NAMED_MAX {
            fold.named += 1;
            out.push(named(change, people));
            return;
        }
        if fold.counted == 0 {
            fold.first = change.at;
        }
        fold.counted += 1;
        fold.last = change.at;
        self.folded += 1;
    }

    /// Ends the window when its time is over, and passes on its counts.
    pub(crate) fn tick(&mut self, now: VehicleMicros, people: &mut People, out: &mut Outbox) {
        if self.began.is_none_or(|began| now.micros_since(began) < WINDOW_US) {
            return;
        }
        self.began = None;
        for ((folder, action), fold) in std::mem::take(&mut self.folds) {
            if fold.counted == 0 {
                continue;
            }
            let path = folder.join("*");
            let mut event = HostEvent::new(event::HOST_FILE_MODIFIED, fold.first)
                .path(field::FILE_PATH, &path.to_string_lossy())
                .text(field::REASON, action.word())
                .text(field::PROCESS_NAME, &people.name(fold.process));
            event.last = fold.last;
            event.count = fold.counted;
            out.push(event);
        }
    }
}

fn named(change: &Change, people: &mut People) -> HostEvent {
    let mut event = HostEvent::new(event::HOST_FILE_MODIFIED, change.at)
        .path(field::FILE_PATH, &change.path.to_string_lossy())
        .text(field::REASON, change.action.word());
    if let Some(person) = people.meet(change.process) {
        event = event
            .text(field::PROCESS_NAME, &person.name)
            .with(field::USER_ID, Value::Int(person.user.into()));
    }
    for (key, hash) in [(field::SHA256_EXPECTED, change.expected), (field::SHA256_OBSERVED, change.observed)]
    {
        if let Some(hash) = hash {
            event = event.text(key, &hex(&hash));
        }
    }
    event
}

/// Writes bytes as lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc_fs::ProcRoot;

    #[test]
    fn the_first_are_named_the_rest_are_counted_and_none_is_lost() {
        let (mut folds, mut out) = (Folds::default(), Outbox::default());
        let mut people = People::new(ProcRoot::new(Path::new("/nowhere")));
        for number in 0..3000u64 {
            let change = Change {
                action: if number % 2 == 0 { Action::Deleted } else { Action::Created },
                path: PathBuf::from(format!("/etc/{}/{number}", number % 2000)),
                process: 1,
                at: VehicleMicros(number),
                expected: None,
                observed: None,
            };
            folds.push(&change, &mut people, &mut out);
        }
        folds.tick(VehicleMicros(WINDOW_US - 1), &mut people, &mut out);
        let early = out.totals()[0];
        assert!(early < 3000);
        folds.tick(VehicleMicros(WINDOW_US), &mut people, &mut out);
        assert_eq!(out.totals()[0], 3000);
        assert_eq!(folds.folded, 3000 - early);
        let folded = std::iter::from_fn(|| out.pop()).filter(|event| event.count > 1).count();
        assert_eq!(folded, 2, "folders beyond the bound share one count for each action");
    }
}
