//! Captures as the commands read them.

use std::path::Path;

use outrider_bus::can::TimedFrame;
use outrider_types::{BusId, UnixMicros};
use serde_json::{Value, json};

use super::{Failure, chain};
use crate::io::capture::{self, ReadOptions, Record};

/// What reading one capture came to.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) path: String,
    pub(super) frames: u64,
    pub(super) packets: u64,
    pub(super) xl: u64,
    pub(super) lin: u64,
    pub(super) flexray: u64,
    pub(super) start: Option<UnixMicros>,
    problems_total: u64,
    problems: Vec<String>,
}

impl Read {
    /// Problems with their places, and how many more there were.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut texts: Vec<String> =
            self.problems.iter().map(|text| format!("{}: {text}", self.path)).collect();
        let more = self.problems_total.saturating_sub(texts.len() as u64);
        if more > 0 {
            texts.push(format!("{}: {more} more problems", self.path));
        }
        texts
    }

    /// The capture has nothing of what was wanted.
    fn empty(&self, what: &str) -> Failure {
        let first = self.problems.first().map(|problem| format!(" ({problem})")).unwrap_or_default();
        Failure::input(format!("{}: capture contains no {what}{first}", self.path))
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "path": self.path,
            "frames": self.frames,
            "packets": self.packets,
            "xl": self.xl,
            "lin": self.lin,
            "flexray": self.flexray,
            "problems": self.problems_total,
        })
    }
}

/// Reads a capture to its end and hands out every CAN frame. A capture that becomes unreadable midway counts for
/// what it had.
pub(super) fn read(path: &Path, bus: BusId, mut each: impl FnMut(&TimedFrame)) -> Result<Read, Failure> {
    let read = read_all(path, bus, |record, _| match record {
        Record::Can(frame) => each(frame),
        Record::CanXl(_) | Record::Ethernet { .. } | Record::Lin(_) | Record::FlexRay(_) => {}
    })?;
    if read.frames == 0 { Err(read.empty("CAN frames")) } else { Ok(read) }
}

/// Reads a capture to its end and hands out every record.
pub(super) fn read_records(path: &Path, bus: BusId, mut each: impl FnMut(&Record)) -> Result<Read, Failure> {
    read_all(path, bus, |record, _| each(record))
}

/// Does the same and hands out what the capture says of each record, as [`capture::Capture::label`].
pub(super) fn read_all(
    path: &Path,
    bus: BusId,
    mut each: impl FnMut(&Record, Option<Option<&str>>),
) -> Result<Read, Failure> {
    let name = path.display().to_string();
    let options = ReadOptions { first_bus: bus, ..ReadOptions::default() };
    let mut capture = capture::open(path, &options)
        .map_err(|error| Failure::input(format!("{name}: {}", chain(&error))))?;
    let mut broken = None;
    while let Some(record) = capture.next() {
        match record {
            Ok(record) => each(&record, capture.label()),
            Err(error) => broken = Some(chain(&error)),
        }
    }
    let stats = capture.stats();
    let taken = stats.taken();
    let mut problems: Vec<String> = stats.first_problems.iter().map(ToString::to_string).collect();
    let broken_count = u64::from(broken.is_some());
    problems.extend(broken);
    let read = Read {
        path: name,
        frames: stats.frames,
        packets: stats.packets,
        xl: stats.xl,
        lin: stats.lin,
        flexray: stats.flexray,
        start: capture.start().map(|start| start.at),
        problems_total: stats.problems_total().saturating_add(broken_count),
        problems,
    };
    if taken == 0 { Err(read.empty("frames")) } else { Ok(read) }
}
