//! Readers and writers of recorded bus traffic.
//!
//! **In:** PCAN TRC 1.0 to 2.1, candump logs and console text, Vector ASC and BLF, BUSMASTER logs, tables (CSV or
//! columns) with or without a header, text with named fields, pcap and pcapng (link types 1, 113, 210, 212 and 227),
//! each of them also gzip-compressed. CAN XL comes from candump and link type 227, LIN and FlexRay from ASC, BLF and
//! their own link types. **Out:** [`Record`]s in file order, one at a time, with memory
//! bounded by [`LINE_BYTES_MAX`] and [`RECORD_BYTES_MAX`]. **Never:** a panic on input, a bad line that stops
//! the rest, or a loss that is not counted: `records = taken + skipped + problems`
//! ([`CaptureStats::is_balanced`]). **Start reading** at [`open`].
//!
//! Times are microseconds since the capture began; [`Capture::start`] says when that was, where the file does.
//! Formats were written down from: PEAK, "PCAN trace file formats"; `can-utils` (`candump -l`); files of Vector
//! tools; the pcap and pcapng Internet drafts (draft-ietf-opsawg-pcap, -pcapng).

mod asc;
mod blf;
mod busmaster;
mod candump;
mod channels;
mod detect;
mod error;
mod input;
mod keyed;
mod label;
mod link;
mod pcap;
mod pcapng;
#[cfg(test)]
mod scheduled_tests;
mod source;
mod table;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
mod text;
mod trc;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use outrider_bus::can::{TimedFrame, XlHeader};
use outrider_bus::flexray::TimedFlexRay;
use outrider_bus::lin::TimedLin;
use outrider_types::{BusId, UnixMicros, VehicleMicros};

pub use candump::CandumpLines;
pub use detect::Format;
pub use error::{CaptureError, CaptureStats, ErrorClass, FIRST_PROBLEMS_MAX, Place, Problem, ProblemReason};
pub use input::{BYTES_MAX_DEFAULT, EXPANSION_MAX, LINE_BYTES_MAX, RECORD_BYTES_MAX};
pub use label::class_of;
pub use write::{write_candump, write_pcapng, write_scheduled, write_trc};

use source::{Context, Source};

/// Order of the identifier's bytes in SocketCAN records of pcap files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdOrder {
    /// Look at the first records and take the order that makes sense of more of them; big on a tie.
    #[default]
    Detect,
    /// As link type 227 is defined.
    Big,
    /// As some tools on little-endian machines write.
    Little,
}

/// How to read a capture.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Order of the identifier's bytes in SocketCAN records.
    pub id_order: IdOrder,
    /// Bus of a file without a bus column, and of the lowest channel of the others.
    pub first_bus: BusId,
    /// Buses of channels by name (`1`, `can0`, pcapng interface `0`); others get the number in their name, if
    /// it is free, else the next free one.
    pub buses: BTreeMap<String, BusId>,
    /// Most bytes to read, after decompression.
    pub bytes_max: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            id_order: IdOrder::Detect,
            first_bus: BusId(0),
            buses: BTreeMap::new(),
            bytes_max: BYTES_MAX_DEFAULT,
        }
    }
}

/// A CAN XL frame and when it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedXl {
    /// Time since the capture began.
    pub at: VehicleMicros,
    /// Bus it was seen on.
    pub bus: BusId,
    /// Its header.
    pub header: XlHeader,
    /// Its payload, 1 to 2048 bytes.
    pub payload: Vec<u8>,
}

/// One record of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A CAN or CAN FD frame.
    Can(TimedFrame),
    /// A CAN XL frame.
    CanXl(Box<TimedXl>),
    /// An Ethernet frame. In a Linux cooked capture the header is rebuilt, with a destination of zeros.
    Ethernet {
        /// Time since the capture began.
        at: VehicleMicros,
        /// Channel it was captured on.
        bus: BusId,
        /// The frame, as far as it was captured.
        bytes: Vec<u8>,
    },
    /// What was heard on LIN.
    Lin(TimedLin),
    /// What was heard on FlexRay.
    FlexRay(Box<TimedFlexRay>),
}

impl Record {
    /// Returns the time since the capture began.
    #[must_use]
    pub fn at(&self) -> VehicleMicros {
        match self {
            Self::Can(frame) => frame.at,
            Self::CanXl(frame) => frame.at,
            Self::Ethernet { at, .. } => *at,
            Self::Lin(heard) => heard.at,
            Self::FlexRay(heard) => heard.at,
        }
    }
}

/// When a capture began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureStart {
    /// The time the file states.
    pub at: UnixMicros,
    /// Whether it is UTC; if not, it is the recording computer's local time of an unknown zone.
    pub is_utc: bool,
}

/// An open capture: an iterator over its records.
///
/// A bad line or record is counted in [`Capture::stats`] and passed over. An `Err` item is something reading
/// cannot go on after, and the last item.
pub struct Capture {
    input: input::Input,
    context: Context,
    source: Box<dyn Source>,
    format: Format,
    is_done: bool,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture").field("format", &self.format).field("stats", self.stats()).finish()
    }
}

/// Opens a capture file and detects its format, by content first, then by the file's extension.
///
/// # Errors
/// [`CaptureError`]: the file cannot be read, is empty, of no known format, or its header is wrong.
pub fn open(path: &Path, options: &ReadOptions) -> Result<Capture, CaptureError> {
    let file = File::open(path).map_err(CaptureError::Io)?;
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    read(Box::new(file), extension, options)
}

/// Reads a capture from anywhere; `extension` is the hint for content that does not say what it is.
///
/// # Errors
/// As [`open`].
pub fn read(
    reader: Box<dyn Read + Send>,
    extension: Option<&str>,
    options: &ReadOptions,
) -> Result<Capture, CaptureError> {
    let mut input = input::Input::new(reader, options.bytes_max)?;
    let format = detect::detect(input.head(), extension)?;
    let mut context = Context::new(options);
    let source: Box<dyn Source> = match format {
        Format::Trc => Box::new(source::Lines(trc::Trc::default())),
        Format::Candump => Box::new(source::Lines(candump::Candump)),
        Format::Asc => Box::new(source::Lines(asc::Asc::default())),
        Format::BusMaster => Box::new(source::Lines(busmaster::BusMaster::default())),
        Format::Keyed => Box::new(source::Lines(keyed::Keyed)),
        Format::Table => {
            let table = detect::table(input.head()).ok_or(CaptureError::UnknownFormat)?;
            Box::new(source::Lines(table))
        }
        Format::Blf => Box::new(blf::Blf::begin(&mut input, &mut context)?),
        Format::Pcap => Box::new(pcap::Packets::new(pcap::Pcap::begin(&mut input)?, options.id_order)),
        Format::PcapNg => Box::new(pcap::Packets::new(pcapng::PcapNg::default(), options.id_order)),
    };
    Ok(Capture { input, context, source, format, is_done: false })
}

impl Capture {
    /// Returns the counts so far; complete once the iterator has ended.
    #[must_use]
    pub const fn stats(&self) -> &CaptureStats {
        &self.context.stats
    }

    /// Returns the format that was detected.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Returns what the capture says of the record that came out last: nothing (`None`), that it is ordinary
    /// (`Some(None)`), or the class of the attack it belongs to.
    #[must_use]
    pub fn label(&self) -> Option<Option<&str>> {
        self.context.labels.current.map(|index| index.map(|index| self.context.labels.class(index)))
    }

    /// Returns when the capture began, as far as it was read and says so.
    #[must_use]
    pub const fn start(&self) -> Option<CaptureStart> {
        self.context.start
    }

    /// Returns the buses given to the channels seen so far.
    #[must_use]
    pub const fn buses(&self) -> &BTreeMap<String, BusId> {
        self.context.channels.assigned()
    }
}

impl Iterator for Capture {
    type Item = Result<Record, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        match self.source.next(&mut self.input, &mut self.context) {
            Ok(Some(record)) => {
                match record {
                    Record::Can(_) => self.context.stats.frames += 1,
                    Record::CanXl(_) => self.context.stats.xl += 1,
                    Record::Ethernet { .. } => self.context.stats.packets += 1,
                    Record::Lin(_) => self.context.stats.lin += 1,
                    Record::FlexRay(_) => self.context.stats.flexray += 1,
                }
                Some(Ok(record))
            }
            Ok(None) => {
                self.is_done = true;
                None
            }
            Err(error) => {
                self.is_done = true;
                Some(Err(error))
            }
        }
    }
}
