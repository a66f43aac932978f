//! Instructions a frame, counted by valgrind: unlike nanoseconds they are the same on a busy machine.
//!
//! A program is run twice under `valgrind --tool=cachegrind`, on the same frames but as many fewer the first time; the
//! difference of the two counts is the work on the frames between. Making the frames, learning the model and starting
//! the program are in both and fall out.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Why instructions cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum InstructionsError {
    /// There is no valgrind on this machine.
    #[error("valgrind is not installed")]
    Absent,
    /// Valgrind, or the program below it, cannot be started.
    #[error("valgrind cannot be started: {0}")]
    Start(#[source] io::Error),
    /// Valgrind ended without a count; its last line says why.
    #[error("valgrind gave no count: {0}")]
    NoCount(String),
    /// Too few frames for a difference.
    #[error("there are too few frames")]
    Frames,
}

/// Returns the instructions that the detectors take for a frame, on average over the last three quarters of `frames`
/// frames: `receive`, fetching what was said and the share of `tick`. `bench` is a program whose `bench edge` is this
/// bench; takes seconds of processor time.
///
/// # Errors
/// [`InstructionsError`] if there is no valgrind, or it cannot run the program.
pub fn instructions_per_frame(bench: &Path, seconds: u64, frames: u64) -> Result<u64, InstructionsError> {
    let few = frames / 4;
    let between = frames.saturating_sub(few);
    if few == 0 {
        return Err(InstructionsError::Frames);
    }
    let arguments = |frames: u64| {
        [
            "bench",
            "edge",
            "--untimed",
            "--json",
            "--seconds",
            &seconds.to_string(),
            "--frames",
            &frames.to_string(),
        ]
        .map(str::to_owned)
    };
    instructions_each(bench, &arguments(few), &arguments(frames), between)
}

/// Returns the instructions of one of `between` pieces of work that the program does with `many` as its arguments and not
/// with `few`; takes seconds of processor time.
///
/// # Errors
/// [`InstructionsError`], as [`instructions_per_frame`].
pub fn instructions_each(
    bench: &Path,
    few: &[String],
    many: &[String],
    between: u64,
) -> Result<u64, InstructionsError> {
    if between == 0 {
        return Err(InstructionsError::Frames);
    }
    let short = count(bench, few)?;
    let long = count(bench, many)?;
    Ok(long.saturating_sub(short) / between)
}

/// Counts the instructions of one run.
fn count(bench: &Path, arguments: &[String]) -> Result<u64, InstructionsError> {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(bench)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            let absent = error.kind() == io::ErrorKind::NotFound;
            if absent { InstructionsError::Absent } else { InstructionsError::Start(error) }
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    let count = if output.status.success() { references(&said) } else { None };
    count.ok_or_else(|| InstructionsError::NoCount(said.lines().last().unwrap_or_default().to_owned()))
}

/// Reads the count from what cachegrind says at its end, `==1== I   refs:      1,234,567`.
fn references(said: &str) -> Option<u64> {
    let line = said.lines().rev().find(|line| line.contains("I ") && line.contains("refs:"))?;
    let digits: String = line.rsplit(':').next()?.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_the_last_lines_of_both_shapes_and_from_nothing_else() {
        assert_eq!(
            references("==7== Command: x\n==7== \n==7== I   refs:      12,345,678\n"),
            Some(12_345_678)
        );
        assert_eq!(references("==7== I refs:        9\n"), Some(9), "as newer versions print it");
        assert_eq!(references("valgrind: failed to start\n"), None);
        assert_eq!(references("==7== I   refs:      none\n"), None);
    }

    #[test]
    fn too_few_frames_are_refused_before_anything_is_started() {
        let refused = instructions_per_frame(Path::new("/nonexistent"), 1, 3);
        assert!(matches!(refused, Err(InstructionsError::Frames)), "{refused:?}");
    }
}
