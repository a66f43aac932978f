//! Which format a capture has.

use super::CaptureError;
use super::table::Table;
use super::{candump, keyed, pcap};

/// Format of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// PCAN trace.
    Trc,
    /// candump log or console text.
    Candump,
    /// Vector ASCII log.
    Asc,
    /// pcap.
    Pcap,
    /// pcapng.
    PcapNg,
    /// A table: comma-separated values or columns of text.
    Table,
    /// Text with named fields in every line.
    Keyed,
    /// BUSMASTER log.
    BusMaster,
    /// Vector binary log.
    Blf,
}

/// Beginnings of formats that are recognised only to say that they are not read.
const UNSUPPORTED: &[(&[u8], &str)] =
    &[(b"MDF ", "ASAM MDF"), (b"UnFinMF ", "ASAM MDF"), (b"BZh", "bzip2-compressed")];

/// Detects the format by content, then by extension.
pub(super) fn detect(head: &[u8], extension: Option<&str>) -> Result<Format, CaptureError> {
    if head.starts_with(&[0x0A, 0x0D, 0x0D, 0x0A]) {
        return Ok(Format::PcapNg);
    }
    if pcap::is_magic(head) {
        return Ok(Format::Pcap);
    }
    if head.starts_with(b"LOGG") {
        return Ok(Format::Blf);
    }
    if let Some((_, format)) = UNSUPPORTED.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(CaptureError::UnsupportedFormat { format });
    }
    if let Some(format) = detect_text(head) {
        return Ok(format);
    }
    match extension {
        Some("trc") => Ok(Format::Trc),
        Some("asc") => Ok(Format::Asc),
        Some("log" | "candump") => Ok(Format::Candump),
        Some("pcap" | "pcapng" | "cap") => {
            Err(CaptureError::Header { offset: 0, expected: "a pcap or pcapng magic number" })
        }
        _ => Err(CaptureError::UnknownFormat),
    }
}

/// Looks at the first lines that say anything.
fn detect_text(head: &[u8]) -> Option<Format> {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}');
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()).take(16) {
        let lower = line.to_ascii_lowercase();
        if lower.starts_with(";$fileversion") || line.starts_with(';') {
            return Some(Format::Trc);
        }
        if lower.starts_with("date ") || lower.starts_with("base ") {
            return Some(Format::Asc);
        }
        if lower.starts_with("***busmaster") {
            return Some(Format::BusMaster);
        }
        if candump::is_line(line) {
            return Some(Format::Candump);
        }
        if keyed::is_line(line) {
            return Some(Format::Keyed);
        }
    }
    table(head).map(|_| Format::Table)
}

/// Recognises a table; the last line of the head may be cut and is left out if it is not the only one.
pub(super) fn table(head: &[u8]) -> Option<Table> {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}');
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or(text);
    let lines: Vec<&str> = whole.lines().collect();
    Table::detect(&lines)
}
