//! What each watched file was when the host was known to be good.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::fold::hex;
use crate::known;

/// Bytes of a baseline file at most.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// One file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) sha256: [u8; 32],
    /// Permissions and kind.
    pub(super) mode: u32,
    pub(super) user: u32,
    /// Seen by the scan that is under way.
    pub(super) is_seen: bool,
}

/// Files by path. One line each on disk: hash, mode, user, path.
#[derive(Debug)]
pub(super) struct Baseline {
    path: PathBuf,
    files: BTreeMap<Box<str>, Entry>,
    files_max: usize,
    /// There was no file: what the first scan finds is the baseline.
    is_learning: bool,
    /// Files that found no room.
    pub(super) left_out: u64,
}

impl Baseline {
    /// # Errors
    /// The file is there and cannot be read, or is none.
    pub(super) fn open(path: &Path, files_max: usize) -> io::Result<Self> {
        let mut baseline = Self {
            path: path.to_path_buf(),
            files: BTreeMap::new(),
            files_max,
            is_learning: false,
            left_out: 0,
        };
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                baseline.is_learning = true;
                return Ok(baseline);
            }
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::new(file.take(FILE_BYTES_MAX));
        let (mut line, mut number) = (String::new(), 0);
        while reader.read_line(&mut line)? > 0 {
            number += 1;
            let (path, entry) = parse(line.trim_end_matches('\n')).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("line {number} is no file of a baseline"))
            })?;
            baseline.insert(path, entry);
            line.clear();
        }
        Ok(baseline)
    }

    pub(super) const fn is_learning(&self) -> bool {
        self.is_learning
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn find(&self, path: &str) -> Option<Entry> {
        self.files.get(path).copied()
    }

    /// Adds a file, if there is room.
    pub(super) fn insert(&mut self, path: &str, entry: Entry) {
        if self.files.len() >= self.files_max || path.contains('\n') {
            self.left_out = self.left_out.saturating_add(1);
        } else {
            self.files.insert(path.into(), entry);
        }
    }

    pub(super) fn see(&mut self, path: &str) {
        if let Some(entry) = self.files.get_mut(path) {
            entry.is_seen = true;
        }
    }

    /// Begins a scan: nothing is seen yet.
    pub(super) fn begin(&mut self) {
        self.files.values_mut().for_each(|entry| entry.is_seen = false);
    }

    /// Ends a scan: calls `missing` with what was not seen; after the first one, the baseline is kept.
    ///
    /// # Errors
    /// The baseline cannot be written.
    pub(super) fn end(&mut self, mut missing: impl FnMut(&str, &Entry)) -> io::Result<()> {
        if !self.is_learning {
            self.files
                .iter()
                .filter(|(_, entry)| !entry.is_seen)
                .for_each(|(path, entry)| missing(path, entry));
            return Ok(());
        }
        self.is_learning = false;
        let mut lines = self
            .files
            .iter()
            .map(|(path, entry)| format!("{} {:o} {} {path}", hex(&entry.sha256), entry.mode, entry.user));
        known::write_owned(&self.path, &mut lines)
    }
}

fn parse(line: &str) -> Option<(&str, Entry)> {
    let mut words = line.splitn(4, ' ');
    let sha256 = outrider_types::hex_decode::<32>(words.next()?).ok()?;
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let user = words.next()?.parse().ok()?;
    Some((words.next()?, Entry { sha256, mode, user, is_seen: false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_learned_once_and_tells_what_is_missing_later() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("files");
        let entry = Entry { sha256: [0xAB; 32], mode: 0o100_644, user: 7, is_seen: true };
        let mut baseline = Baseline::open(&path, 2).expect("it opens");
        assert!(baseline.is_learning());
        for name in ["/etc/a b", "/etc/c", "/etc/d"] {
            baseline.insert(name, entry);
        }
        assert_eq!(baseline.left_out, 1);
        baseline.end(|_, _| panic!("a first scan misses nothing")).expect("it writes");
        let mut again = Baseline::open(&path, 2).expect("it opens");
        assert!(!again.is_learning());
        assert_eq!(again.find("/etc/a b"), Some(Entry { is_seen: false, ..entry }));
        again.begin();
        again.see("/etc/c");
        let mut missing = Vec::new();
        again.end(|path, _| missing.push(path.to_owned())).expect("nothing to write");
        assert_eq!(missing, ["/etc/a b"]);
        fs::write(&path, "rubbish\n").expect("it writes");
        assert!(Baseline::open(&path, 2).is_err());
    }
}
