//! Progress of long work on standard error.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use outrider_lake::Progress;

/// Cells of the bar on a terminal.
const CELLS: u64 = 30;
/// Percent between two lines where standard error is no terminal.
const LINE_PERCENT: u64 = 10;

/// Shows how far work is: a bar on a terminal, a line every ten percent elsewhere.
#[derive(Debug)]
pub(crate) struct Bar {
    is_terminal: bool,
    /// Step and percent that were shown last.
    last: Mutex<Option<(&'static str, u64)>>,
}

impl Bar {
    /// Creates a bar on standard error.
    pub(crate) fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), last: Mutex::new(None) }
    }

    /// Shows progress if it is more than a percent further than before.
    pub(crate) fn show(&self, progress: Progress) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let percent = percent(progress);
        if let Some(text) = text(*last, progress, percent, self.is_terminal) {
            // Nobody reads it: the work goes on.
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
            *last = Some((progress.step, percent));
        }
    }
}

fn percent(progress: Progress) -> u64 {
    let part = u128::from(progress.done) * 100 / u128::from(progress.total.max(1));
    if progress.total == 0 { 100 } else { u64::try_from(part.min(100)).unwrap_or(100) }
}

/// Returns what is written, if something is.
fn text(
    last: Option<(&'static str, u64)>,
    progress: Progress,
    percent: u64,
    is_terminal: bool,
) -> Option<String> {
    let same = last.filter(|(step, _)| *step == progress.step).map(|(_, percent)| percent);
    let step = progress.step;
    if is_terminal {
        let full = usize::try_from(percent * CELLS / 100).unwrap_or(0);
        let bar = format!("{}{}", "#".repeat(full), ".".repeat(usize::try_from(CELLS).unwrap_or(0) - full));
        let end = if percent == 100 { "\n" } else { "" };
        return (same != Some(percent)).then(|| format!("\r{step:<22} [{bar}] {percent:>3} %{end}"));
    }
    let is_due = same.is_none_or(|before| percent / LINE_PERCENT > before / LINE_PERCENT);
    is_due.then(|| format!("{step}: {percent} %\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_every_ten_percent_and_a_bar_every_percent() {
        let at = |done| Progress { step: "checking files", done, total: 250 };
        let line = |last, done| text(last, at(done), percent(at(done)), false);
        assert_eq!(line(None, 0).as_deref(), Some("checking files: 0 %\n"));
        assert_eq!(line(Some(("checking files", 0)), 24), None);
        assert_eq!(line(Some(("checking files", 0)), 25).as_deref(), Some("checking files: 10 %\n"));
        assert!(line(Some(("other", 90)), 25).is_some(), "another step begins anew");
        let bar = text(Some(("checking files", 9)), at(125), 50, true).expect("moved");
        assert!(
            bar.starts_with("\rchecking files") && bar.contains("[###############...............]  50 %"),
            "{bar}"
        );
        assert_eq!(text(Some(("checking files", 50)), at(125), 50, true), None);
        let none = Progress { step: "checking files", done: 0, total: 0 };
        assert_eq!(percent(none), 100, "nothing to do is done");
    }
}
