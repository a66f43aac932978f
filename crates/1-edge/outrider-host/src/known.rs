//! Names that are normal on this host: learned once, then frozen, kept over restarts.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use outrider_types::VehicleMicros;

use crate::sensor::{Degradation, Turn};

/// Names at most; an ECU runs a few hundred programs.
const NAMES_MAX: usize = 8192;
/// Bytes of a baseline file at most.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// In the baseline.
    Known,
    /// Not in the baseline, which is being learned: it is now.
    Learned,
    /// Not in the baseline.
    Unknown,
}

/// A baseline of names, one a line in its file.
#[derive(Debug)]
pub(crate) struct Known {
    path: PathBuf,
    names: BTreeSet<Box<str>>,
    learns_until: Option<VehicleMicros>,
    /// Names that found no room while learning; they will be called unknown.
    pub(crate) left_out: u64,
}

impl Known {
    /// Opens a baseline; without a file it is learned until `learns_until`.
    ///
    /// # Errors
    /// The file is there and cannot be read, or is larger than a baseline can be.
    pub(crate) fn open(path: &Path, learns_until: VehicleMicros) -> io::Result<Self> {
        let mut known =
            Self { path: path.to_path_buf(), names: BTreeSet::new(), learns_until: None, left_out: 0 };
        match fs::metadata(path) {
            Ok(facts) if facts.len() > FILE_BYTES_MAX => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "baseline is too large"));
            }
            Ok(_) => {
                let text = fs::read(path)?;
                let text = String::from_utf8_lossy(&text);
                known.names.extend(text.lines().take(NAMES_MAX).map(Box::from));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => known.learns_until = Some(learns_until),
            Err(error) => return Err(error),
        }
        Ok(known)
    }

    /// Returns whether it is still learned.
    pub(crate) const fn is_learning(&self) -> bool {
        self.learns_until.is_some()
    }

    /// Returns the number of names.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Judges a name; while learning, adds it.
    pub(crate) fn judge(&mut self, name: &str) -> Verdict {
        if self.names.contains(name) {
            return Verdict::Known;
        }
        if self.learns_until.is_none() {
            return Verdict::Unknown;
        }
        if self.names.len() >= NAMES_MAX || name.contains('\n') {
            self.left_out = self.left_out.saturating_add(1);
        } else {
            self.names.insert(name.into());
        }
        Verdict::Learned
    }

    /// Ends the learning when its time is over and writes the file. A baseline that cannot be written is declared, and
    /// holds until the next start.
    pub(crate) fn keep(&mut self, turn: &mut Turn<'_>, degradation: &mut Degradation) {
        if self.tick(turn.now).is_err() {
            degradation.set("baseline not kept", turn.now, turn.out);
        }
    }

    /// # Errors
    /// The file cannot be written; the baseline holds until the next start all the same.
    fn tick(&mut self, now: VehicleMicros) -> io::Result<()> {
        if self.learns_until.is_none_or(|until| now < until) {
            return Ok(());
        }
        self.learns_until = None;
        write(&self.path, self.names.iter().map(|name| &**name))
    }
}

/// Writes lines whole or not at all.
pub(crate) fn write<'a>(path: &Path, lines: impl Iterator<Item = &'a str>) -> io::Result<()> {
    write_owned(path, &mut lines.map(str::to_owned))
}

/// Writes lines whole or not at all; each is made when it is written.
pub(crate) fn write_owned(path: &Path, lines: &mut dyn Iterator<Item = String>) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = path.with_extension("new");
    let mut file = io::BufWriter::new(fs::File::create(&fresh)?);
    for line in lines {
        writeln!(file, "{line}")?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_learned_once_and_hold_after_a_restart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("programs");
        let mut known = Known::open(&path, VehicleMicros(10)).expect("it opens");
        assert_eq!(known.judge("/bin/sh"), Verdict::Learned);
        assert_eq!(known.judge("/bin/sh"), Verdict::Known);
        known.tick(VehicleMicros(9)).expect("nothing to write");
        assert!(known.is_learning() && !path.exists());
        known.tick(VehicleMicros(10)).expect("it writes");
        assert_eq!(known.judge("/tmp/x"), Verdict::Unknown);
        let mut again = Known::open(&path, VehicleMicros(10)).expect("it opens");
        assert!(!again.is_learning());
        assert_eq!((again.judge("/bin/sh"), again.judge("/tmp/x")), (Verdict::Known, Verdict::Unknown));
    }
}
