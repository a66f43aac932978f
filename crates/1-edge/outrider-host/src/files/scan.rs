//! One pass over all watched folders, a few files in each turn.

use std::fs::ReadDir;
use std::path::PathBuf;

/// Folders that are still to be listed, and the one that is being listed.
#[derive(Debug, Default)]
pub(super) struct Scan {
    folders: Vec<PathBuf>,
    open: Option<ReadDir>,
    is_busy: bool,
    /// A pass after the first one, because of a gap.
    pub(super) is_again: bool,
    passes: u64,
}

impl Scan {
    /// Begins a pass.
    pub(super) fn begin(&mut self, folders: Vec<PathBuf>) {
        self.is_again = self.passes > 0;
        (self.folders, self.open, self.is_busy) = (folders, None, true);
    }

    pub(super) const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Returns the next file, or `None` when the pass is over.
    pub(super) fn next(&mut self) -> Option<PathBuf> {
        loop {
            if let Some(entries) = &mut self.open {
                for entry in entries.flatten() {
                    if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        return Some(entry.path());
                    }
                }
                self.open = None;
            }
            let folder = self.folders.pop()?;
            // A folder that is gone has no files; the baseline tells what is missing.
            self.open = std::fs::read_dir(folder).ok();
        }
    }

    /// Ends the pass.
    pub(super) const fn end(&mut self) {
        self.is_busy = false;
        self.passes = self.passes.saturating_add(1);
    }
}
