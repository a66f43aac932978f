//! `outrider rule`: detection rules, on the engineer's machine.

mod conformance;
mod samples;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, read_capped};

/// Tests detection rules.
#[derive(Debug, Args)]
pub(crate) struct Rule {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Check the rules of a folder, and run the hits and near misses beside them.
    ///
    /// JSON fields: rules, correlations, errors, warnings, problems, samples (rule, file, passed, why), without_cases, passed.
    /// Exit code 1 if a rule has an error, a sample does not do what its name says, or a rule has no hit or no near miss.
    Test {
        /// Folder with rule files; its folder tests/NAME holds hit*.toml and near-miss*.toml of the rule NAME.
        folder: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Match Sigma rules of others against events of others: each must fire on its events, and not on what is derived from
    /// them so that it must not.
    ///
    /// JSON fields: cases, passed, failed, events, events_fired, negatives, negatives_fired, positives,
    /// positives_silent, failures (case, why), without_negatives (cases), and of all rules over all events at once pack (rules, events, fired,
    /// disagreements). Exit code 1 if a case failed or the pack disagrees with its rules one by one.
    Conformance {
        /// Folder of cases: a folder each, with rule.yml, event.json and, if there is one, info.yml.
        folder: PathBuf,
        /// Pipeline that says what the fields of the rules are called in the events; several times.
        #[arg(long)]
        pipeline: Vec<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

impl Rule {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.act {
            Act::Test { folder, json } => samples::run(&folder, json),
            Act::Conformance { folder, pipeline, json } => conformance::run(&folder, &pipeline, json),
        }
    }
}

/// Returns what a folder holds, sorted.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fail = |error| Failure::input(format!("{}: {error}", folder.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        paths.push(entry.map_err(fail)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Reads a text file of at most so many bytes.
fn text(path: &Path, bytes_max: usize) -> Result<String, Failure> {
    let bytes = read_capped(path, bytes_max)?;
    String::from_utf8(bytes).map_err(|error| Failure::input(format!("{}: {error}", path.display())))
}
