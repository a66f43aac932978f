//! What all formats share while reading.

use outrider_bus::can::{Frame, TimedFrame};
use outrider_types::{UnixMicros, VehicleMicros};

use super::channels::Channels;
use super::input::{Input, Line};
use super::label::Labels;
use super::{CaptureError, CaptureStart, CaptureStats, Place, ProblemReason, ReadOptions, Record};

/// Counts, channels, labels and the beginning of one capture.
pub(super) struct Context {
    pub(super) stats: CaptureStats,
    pub(super) channels: Channels,
    /// Channels of LIN and FlexRay are counted for themselves, as files and models do.
    pub(super) lin: Channels,
    pub(super) flexray: Channels,
    pub(super) labels: Labels,
    pub(super) start: Option<CaptureStart>,
    /// Unix time that is zero in the records, for formats that state absolute times.
    origin: Option<i64>,
}

impl Context {
    pub(super) fn new(options: &ReadOptions) -> Self {
        Self {
            stats: CaptureStats::default(),
            channels: Channels::new(options.first_bus, &options.buses),
            lin: Channels::new(options.first_bus, &options.buses),
            flexray: Channels::new(options.first_bus, &options.buses),
            labels: Labels::default(),
            start: None,
            origin: None,
        }
    }

    /// Turns an absolute time into one since the first record's.
    pub(super) fn since_first(&mut self, unix_us: i64) -> VehicleMicros {
        let origin = *self.origin.get_or_insert(unix_us);
        if self.start.is_none() {
            self.start = Some(CaptureStart { at: UnixMicros(origin), is_utc: true });
        }
        match u64::try_from(unix_us.saturating_sub(origin)) {
            Ok(micros) => VehicleMicros(micros),
            Err(_) => {
                self.stats.early += 1;
                VehicleMicros(0)
            }
        }
    }
}

/// A reader of one format.
pub(super) trait Source: Send {
    /// Returns the next record that is a frame, having counted everything before it.
    fn next(&mut self, input: &mut Input, context: &mut Context) -> Result<Option<Record>, CaptureError>;
}

/// What a line was.
pub(super) enum Parsed {
    /// A frame of CAN or CAN FD.
    Frame(TimedFrame),
    /// What was heard on another bus.
    Record(Record),
    /// Something understood that is no frame.
    Note,
    /// No record at all: a header, a comment, a blank line.
    Nothing,
}

/// Why a line is no good.
pub(super) enum LineError {
    /// Pass over it.
    Problem(ProblemReason),
    /// Nothing after it can be read.
    Fatal(CaptureError),
}

impl From<ProblemReason> for LineError {
    fn from(reason: ProblemReason) -> Self {
        Self::Problem(reason)
    }
}

/// A format of lines.
pub(super) trait LineFormat: Send {
    /// Reads one line.
    fn parse(&mut self, line: &str, number: u64, context: &mut Context) -> Result<Parsed, LineError>;
}

/// Reader of a format of lines.
pub(super) struct Lines<F>(pub(super) F);

impl<F: LineFormat> Source for Lines<F> {
    fn next(&mut self, input: &mut Input, context: &mut Context) -> Result<Option<Record>, CaptureError> {
        let mut line = Vec::new();
        loop {
            context.labels.clear();
            let outcome = match input.line(&mut line)? {
                Line::End => return Ok(None),
                Line::Whole => {
                    let text = String::from_utf8_lossy(&line);
                    let text = text.trim_start_matches('\u{feff}');
                    self.0.parse(text, input.line_number(), context)
                }
                Line::TooLong => Err(ProblemReason::LineTooLong.into()),
                Line::Cut => Err(ProblemReason::Truncated.into()),
            };
            match outcome {
                Ok(Parsed::Frame(frame)) => {
                    context.stats.records += 1;
                    return Ok(Some(Record::Can(frame)));
                }
                Ok(Parsed::Record(record)) => {
                    context.stats.records += 1;
                    return Ok(Some(record));
                }
                Ok(Parsed::Note) => {
                    context.stats.records += 1;
                    context.stats.skipped += 1;
                }
                Ok(Parsed::Nothing) => {}
                Err(LineError::Problem(reason)) => {
                    context.stats.records += 1;
                    context.stats.problem(Place::Line(input.line_number()), reason);
                }
                Err(LineError::Fatal(error)) => return Err(error),
            }
        }
    }
}

/// Turns a refused frame into a problem.
pub(super) fn built<E>(frame: Result<Frame, E>) -> Result<Frame, ProblemReason> {
    frame.map_err(|_| ProblemReason::Length)
}
