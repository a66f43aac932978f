//! Tenzir, a program of others, on the same file and rules.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::Failure;

/// Where a pipeline names its file.
const PLACE: &str = "\"EVENTS_FILE\"";

/// What came of a pipeline.
#[derive(Debug)]
pub(super) struct Run {
    /// User and system time of the program and of what it started, all of it: with its start.
    pub(super) cpu: f64,
    /// Rows that each rule matched, by the rule's number from 1.
    pub(super) matches: BTreeMap<usize, u64>,
}

/// An installed Tenzir.
#[derive(Debug)]
pub(super) struct Tenzir {
    program: PathBuf,
    folder: PathBuf,
}

impl Tenzir {
    /// Looks for a program: `given`, or `tenzir` in the folders of `PATH`. A given one that is not there is an error.
    pub(super) fn find(given: Option<&Path>, folder: &Path) -> Result<Option<Self>, Failure> {
        let of = |program: PathBuf| Self { program, folder: folder.to_path_buf() };
        if let Some(given) = given {
            let is_there = given.is_file();
            return if is_there {
                Ok(Some(of(given.to_path_buf())))
            } else {
                Err(Failure::input(format!("{} is no program", given.display())))
            };
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found =
            std::env::split_paths(&path).map(|folder| folder.join("tenzir")).find(|file| file.is_file());
        Ok(found.map(of))
    }

    /// Runs a pipeline that reads `events` and ends in one row of counts.
    pub(super) fn run(&self, pipeline: &str, events: &Path) -> Result<Run, Failure> {
        let events = serde_json::to_string(&events.to_string_lossy()).map_err(Failure::failed)?;
        if !pipeline.contains(PLACE) {
            return Err(Failure::failed("the pipeline names no file"));
        }
        let text = format!("{}\nto_stdout {{ write_ndjson }}\n", pipeline.replace(PLACE, &events));
        let file = self.folder.join("pipeline.tql");
        std::fs::write(&file, text).map_err(Failure::failed)?;
        let before = children_seconds()?;
        let output = Command::new(&self.program)
            .arg("-f")
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::failed(format!("{}: {error}", self.program.display())))?;
        let cpu = children_seconds()? - before;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Failure::failed(format!("tenzir ended with {}: {said}", output.status)));
        }
        let matches = counts(&String::from_utf8_lossy(&output.stdout)).map_err(Failure::failed)?;
        Ok(Run { cpu, matches })
    }
}

/// User and system seconds of processes that this one started and waited for; resolution 10 ms.
fn children_seconds() -> Result<f64, Failure> {
    super::stat_seconds(13)
}

/// Reads the row of counts: `r01` to `r50`.
fn counts(text: &str) -> Result<BTreeMap<usize, u64>, String> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err("tenzir printed another number of rows than one".to_owned());
    };
    let row: BTreeMap<String, u64> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let number = |name: &str| name.strip_prefix('r').and_then(|rest| rest.parse().ok());
    row.into_iter()
        .map(|(name, count)| Ok((number(&name).ok_or_else(|| format!("{name} is no rule"))?, count)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_of_counts_is_read_and_nothing_else() {
        assert_eq!(counts("{\"r01\":3,\"r50\":0}\n"), Ok(BTreeMap::from([(1, 3), (50, 0)])));
        for wrong in
            ["", "{\"r01\":3}\n{\"r01\":3}\n", "{\"x\":3}", "{\"r01\":null}", "{\"r01\":-1}", "r01: 3"]
        {
            assert!(counts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_program_that_is_given_must_be_there() {
        let folder = std::env::temp_dir();
        assert!(Tenzir::find(Some(&folder.join("no-such-tenzir")), &folder).is_err());
        assert!(Tenzir::find(Some(&folder), &folder).is_err(), "a folder is no program");
    }
}
