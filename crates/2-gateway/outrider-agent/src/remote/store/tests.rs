//! The power is cut at every call of every step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::*;

/// Files that survive a power cut, and what was done to them. `cut` counts down; at 0 the call fails, torn in one of
/// several ways, and so does every one after it.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Inner>>);

#[derive(Clone, Default)]
struct Inner {
    files: BTreeMap<PathBuf, Vec<u8>>,
    cut: Option<usize>,
    way: usize,
    calls: usize,
}

/// Ways in which the call that the power fails in may have happened: not at all, in half, in full.
const WAYS: usize = 3;

impl Memory {
    /// Returns whether the call is to be done in full, in half, or not at all, and fails it if the power is cut.
    fn call(&mut self) -> (usize, io::Result<()>) {
        let mut inner = self.0.lock().expect("one thread");
        inner.calls += 1;
        match inner.cut {
            Some(0) => (0, Err(io::Error::other("no power"))),
            Some(1) => {
                inner.cut = Some(0);
                (inner.way, Err(io::Error::other("power cut")))
            }
            Some(left) => {
                inner.cut = Some(left - 1);
                (2, Ok(()))
            }
            None => (2, Ok(())),
        }
    }

    fn files(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().expect("one thread")
    }
}

impl Disk for Memory {
    fn read(&mut self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.call().1?;
        Ok(self.files().files.get(path).cloned())
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (way, result) = self.call();
        match way {
            0 => {}
            1 => drop(self.files().files.insert(path.to_path_buf(), bytes[..bytes.len() / 2].to_vec())),
            _ => drop(self.files().files.insert(path.to_path_buf(), bytes.to_vec())),
        }
        result
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (way, result) = self.call();
        if way > 0 {
            self.files().files.remove(path);
        }
        result
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (way, result) = self.call();
        // A rename is whole or not at all.
        if way > 0 {
            let mut inner = self.files();
            if let Some(bytes) = inner.files.remove(from) {
                inner.files.insert(to.to_path_buf(), bytes);
            }
        }
        result
    }

    fn sync_folder(&mut self, _: &Path) -> io::Result<()> {
        self.call().1
    }
}

fn folder() -> &'static Path {
    Path::new("/config")
}

fn open(memory: &Memory) -> ConfigStore {
    ConfigStore::open(folder(), Box::new(memory.clone())).expect("there is power")
}

fn trial(kind: ArtifactKind, version: u64, before: u64) -> TrialOf {
    TrialOf { kind, version, before, starts: 0, sequence: version, usual_per_hour: 0 }
}

/// A vehicle with a good policy 1 in slot b and a good model 4 in slot a.
fn settled() -> Memory {
    let memory = Memory::default();
    let mut store = open(&memory);
    store.switch(trial(ArtifactKind::Policy, 1, 0), b"policy 1").expect("power");
    store.confirm().expect("power");
    store.switch(trial(ArtifactKind::Model, 4, 0), b"model 4").expect("power");
    store.confirm().expect("power");
    memory
}

/// Returns what a start finds: versions, and that the artifact of each is whole.
fn found(memory: &Memory) -> ([u64; 3], bool) {
    memory.files().cut = None;
    let mut store = open(memory);
    assert!(!store.is_damaged(), "a power cut never damages the pointer");
    for (kind, text) in [(ArtifactKind::Policy, "policy"), (ArtifactKind::Model, "model")] {
        let version = store.pointer().version(kind);
        let expected = (version > 0).then(|| format!("{text} {version}").into_bytes());
        assert_eq!(store.artifact(kind).expect("power"), expected);
    }
    (store.pointer().versions, store.pointer().trial.is_some())
}

/// Does `step` with the power cut at each of its calls, in each way; returns what starts found.
fn cut(from: &Memory, step: impl Fn(&mut ConfigStore)) -> Vec<([u64; 3], bool)> {
    let mut seen = Vec::new();
    for way in 0..WAYS {
        for at in 1.. {
            let memory = Memory(Arc::new(Mutex::new(from.files().clone())));
            let mut store = open(&memory);
            {
                let mut inner = memory.files();
                (inner.cut, inner.way) = (Some(at), way);
            }
            step(&mut store);
            let was_cut = memory.files().cut == Some(0);
            seen.push(found(&memory));
            if !was_cut {
                assert!(at > 2, "the power was cut in between");
                break;
            }
        }
    }
    seen
}

#[test]
fn a_power_cut_at_any_call_of_a_switch_leaves_the_old_or_the_new_whole() {
    let seen = cut(&settled(), |store| {
        let _ = store.switch(trial(ArtifactKind::Policy, 2, 1), b"policy 2");
    });
    let (old, new) = (([1, 0, 4], false), ([2, 0, 4], true));
    assert!(seen.iter().all(|one| *one == old || *one == new), "{seen:?}");
    assert!(seen.contains(&old) && seen.contains(&new) && seen.len() > 25, "{}", seen.len());
}

#[test]
fn a_power_cut_at_any_call_of_an_end_leaves_the_trial_or_its_end() {
    let memory = settled();
    open(&memory).switch(trial(ArtifactKind::Model, 5, 4), b"model 5").expect("power");
    let on_trial = ([1, 0, 5], true);
    let confirmed = cut(&memory, |store| {
        let _ = store.confirm();
    });
    assert!(confirmed.iter().all(|one| *one == on_trial || *one == ([1, 0, 5], false)), "{confirmed:?}");
    let returned = cut(&memory, |store| {
        let _ = store.take_back(ReturnReason::EventRate, UnixMicros(1));
    });
    assert!(returned.iter().all(|one| *one == on_trial || *one == ([1, 0, 4], false)), "{returned:?}");
    assert!(returned.contains(&([1, 0, 4], false)) && returned.contains(&on_trial));
}

#[test]
fn three_starts_without_health_end_in_the_last_good_one_even_if_each_is_killed() {
    let memory = settled();
    open(&memory).switch(trial(ArtifactKind::Model, 5, 4), b"model 5").expect("power");
    for start in 1..=STARTS_MAX {
        let mut store = open(&memory);
        store.count_start().expect("power");
        let starts = store.pointer().trial.map(|trial| trial.starts);
        assert_eq!(starts, Some(start), "killed before it was healthy");
    }
    let mut store = open(&memory);
    store.count_start().expect("power");
    assert_eq!((store.pointer().trial, store.pointer().versions), (None, [1, 0, 4]));
    let last = store.pointer().last_return.expect("it is said");
    assert_eq!((last.version, last.reason, last.is_told), (5, ReturnReason::Starts, false));
    assert_eq!(store.pointer().ended, Some(Ended { sequence: 5, is_good: false }));
    assert_eq!(store.artifact(ArtifactKind::Model).expect("power"), Some(b"model 4".to_vec()));
    let floor = store.pointer().floor(ArtifactKind::Model);
    assert_eq!((floor.tried, floor.good), (5, 4), "it is not tried again");
}

#[test]
fn one_is_on_trial_at_a_time() {
    let memory = settled();
    let mut store = open(&memory);
    store.switch(trial(ArtifactKind::Model, 5, 4), b"model 5").expect("power");
    let second = store.switch(trial(ArtifactKind::Policy, 2, 1), b"policy 2");
    assert!(matches!(second, Err(StoreError::Busy)));
    store.forget_starts().expect("power");
    store.confirm().expect("power");
    assert!(matches!(store.confirm(), Err(StoreError::NoTrial)));
}

#[test]
fn a_damaged_pointer_is_said_and_nothing_is_believed() {
    let memory = settled();
    memory.files().files.insert(folder().join("active"), b"ORCF".to_vec());
    let mut store = open(&memory);
    assert!(store.is_damaged() && *store.pointer() == Pointer::default());
    assert_eq!(store.artifact(ArtifactKind::Model).expect("power"), None);
}
