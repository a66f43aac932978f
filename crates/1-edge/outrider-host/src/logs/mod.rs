//! Security logs of other programs: bytes become records, and patterns make events of some of them.

pub(crate) mod dlt;
mod journal;
pub(crate) mod pattern;
mod source;
#[cfg(test)]
mod tests;

use serde::Deserialize;

pub(crate) use source::LogSource;

/// Longest record in bytes; a longer one is rejected, and reading goes on behind it.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 10;

/// Format of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// Plain lines, such as syslog.
    Text,
    /// Lines of auditd: `type=… msg=audit(…): …`.
    Audit,
    /// Records of `/dev/kmsg`.
    Kernel,
    /// `journalctl -o json`.
    JournalJson,
    /// `journalctl -o export`.
    JournalExport,
    /// AUTOSAR DLT version 1 as a `dlt-daemon` sends it.
    Dlt,
}

impl LogKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Text, Self::Audit, Self::Kernel, Self::JournalJson, Self::JournalExport, Self::Dlt];
}

/// One record of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Who says it: audit type, syslog identifier, `APID CTID` of DLT; empty if the format has none.
    pub tag: String,
    /// What is said.
    pub text: String,
}

/// What a look at the beginning of the buffer found.
pub(crate) enum Piece {
    /// More bytes are needed.
    More,
    /// This many bytes are a record, or something understood that is none.
    Taken(usize, Option<LogRecord>),
    /// This many bytes are nothing.
    Rejected(usize),
}

/// Turns bytes of one format into records, whatever pieces they come in.
#[derive(Debug)]
pub struct Decoder {
    kind: LogKind,
    buffer: Vec<u8>,
    /// The rest of a record that was too long is passed over.
    is_skipping: bool,
    /// Records and understood pieces.
    pub taken: u64,
    /// Pieces that were nothing.
    pub rejected: u64,
}

impl Decoder {
    /// Creates a decoder.
    #[must_use]
    pub const fn new(kind: LogKind) -> Self {
        Self { kind, buffer: Vec::new(), is_skipping: false, taken: 0, rejected: 0 }
    }

    /// Takes bytes and gives every complete record to `take`. Memory is bounded by twice 64 KiB.
    pub fn feed(&mut self, bytes: &[u8], take: &mut dyn FnMut(LogRecord)) {
        for part in bytes.chunks(RECORD_BYTES_MAX) {
            self.buffer.extend_from_slice(part);
            self.drain(take);
        }
    }

    /// Forgets a record that has begun, as after a lost connection.
    pub fn reset(&mut self) {
        if !self.buffer.is_empty() {
            self.rejected += 1;
        }
        self.buffer.clear();
        self.is_skipping = false;
    }

    fn drain(&mut self, take: &mut dyn FnMut(LogRecord)) {
        let mut at = 0;
        while let Some(rest) = self.buffer.get(at..).filter(|rest| !rest.is_empty()) {
            let piece = if self.is_skipping { skip(self.kind, rest) } else { piece(self.kind, rest) };
            match piece {
                Piece::More if rest.len() > RECORD_BYTES_MAX => {
                    self.rejected += 1;
                    self.is_skipping = true;
                    at = self.buffer.len();
                }
                Piece::More => break,
                Piece::Taken(length, record) => {
                    at += length;
                    if !std::mem::take(&mut self.is_skipping) {
                        self.taken += 1;
                        if let Some(record) = record {
                            take(record);
                        }
                    }
                }
                Piece::Rejected(length) => {
                    at += length.max(1);
                    self.rejected += 1;
                }
            }
        }
        self.buffer.drain(..at.min(self.buffer.len()));
    }
}

/// Looks for the end of a record that was too long.
fn skip(kind: LogKind, rest: &[u8]) -> Piece {
    let end = match kind {
        LogKind::Text | LogKind::Audit | LogKind::Kernel | LogKind::JournalJson => {
            rest.iter().position(|byte| *byte == b'\n').map(|end| end + 1)
        }
        LogKind::JournalExport => rest.windows(2).position(|two| two == b"\n\n").map(|end| end + 2),
        // A message of DLT is always shorter than the bound.
        LogKind::Dlt => Some(0),
    };
    match end {
        Some(end) => Piece::Taken(end, None),
        // The last byte may be the first half of the end.
        None => Piece::Rejected(rest.len().saturating_sub(1)),
    }
}

fn piece(kind: LogKind, rest: &[u8]) -> Piece {
    match kind {
        LogKind::Text => {
            line(rest, |text| Some(Some(LogRecord { tag: String::new(), text: text.to_owned() })))
        }
        LogKind::Audit => line(rest, audit),
        LogKind::Kernel => line(rest, kernel),
        LogKind::JournalJson => line(rest, journal::json),
        LogKind::JournalExport => journal::export(rest),
        LogKind::Dlt => dlt::piece(rest),
    }
}

/// Takes a line; `read` returns `None` for one that is malformed and `Some(None)` for one that is no record.
fn line(rest: &[u8], read: impl FnOnce(&str) -> Option<Option<LogRecord>>) -> Piece {
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Piece::More };
    let text = String::from_utf8_lossy(&rest[..end]);
    let text = text.trim_end_matches('\r');
    if text.is_empty() {
        return Piece::Taken(end + 1, None);
    }
    match read(text) {
        Some(record) => Piece::Taken(end + 1, record),
        None => Piece::Rejected(end + 1),
    }
}

/// `type=AVC msg=audit(1364481363.243:24287): avc:  denied …`, perhaps with `node=…` before.
fn audit(text: &str) -> Option<Option<LogRecord>> {
    let (_, behind) = text.split_once("type=")?;
    let (tag, behind) = behind.split_once(' ')?;
    let (_, body) = behind.strip_prefix("msg=audit(")?.split_once("):")?;
    Some(Some(LogRecord { tag: tag.to_owned(), text: body.trim_start().to_owned() }))
}

/// `6,339,5140900,-;text`; lines that begin with a space say more of the record before.
fn kernel(text: &str) -> Option<Option<LogRecord>> {
    if text.starts_with(' ') {
        return Some(None);
    }
    let (head, body) = text.split_once(';')?;
    let is_head = head.split(',').take(3).filter(|word| word.parse::<u64>().is_ok()).count() == 3;
    is_head.then(|| Some(LogRecord { tag: "kernel".to_owned(), text: body.to_owned() }))
}
