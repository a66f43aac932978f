//! Records of the systemd journal (systemd.io, "Journal Export Formats"; journalctl(1), `-o json`).

use super::{LogRecord, Piece};

/// Text fields that name the speaker, the best first.
const SPEAKERS: [&str; 3] = ["SYSLOG_IDENTIFIER", "_COMM", "_SYSTEMD_UNIT"];

/// Reads a line of JSON.
pub(super) fn json(line: &str) -> Option<Option<LogRecord>> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = value.as_object()?;
    let tag = SPEAKERS.iter().find_map(|name| fields.get(*name)?.as_str()).unwrap_or("").to_owned();
    let text = match fields.get("MESSAGE") {
        Some(serde_json::Value::String(text)) => text.clone(),
        // What is not UTF-8 comes as a list of bytes.
        Some(serde_json::Value::Array(bytes)) => {
            let bytes: Vec<u8> = bytes
                .iter()
                .map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()).unwrap_or(b'?'))
                .collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => return Some(None),
    };
    Some(Some(LogRecord { tag, text }))
}

/// Reads an export record: lines `NAME=value`, or `NAME`, a length of 8 bytes (little endian), bytes, and a blank line.
pub(super) fn export(rest: &[u8]) -> Piece {
    let (mut at, mut text, mut speakers) = (0, None, [const { None }; SPEAKERS.len()]);
    loop {
        let Some(length) = rest[at..].iter().position(|byte| *byte == b'\n') else { return Piece::More };
        let line = &rest[at..at + length];
        at += length + 1;
        if line.is_empty() {
            let tag = speakers.into_iter().flatten().next().unwrap_or_default();
            return Piece::Taken(at, text.map(|text| LogRecord { tag, text }));
        }
        let (name, value) = match line.iter().position(|byte| *byte == b'=') {
            Some(end) => (&line[..end], &line[end + 1..]),
            None => {
                let Some(head) = rest.get(at..at + 8).and_then(|head| <[u8; 8]>::try_from(head).ok()) else {
                    return Piece::More;
                };
                let Some(end) = usize::try_from(u64::from_le_bytes(head))
                    .ok()
                    .and_then(|size| (at + 8).checked_add(size))
                else {
                    return Piece::Rejected(at);
                };
                match rest.get(at + 8..end) {
                    Some(value) if rest.get(end).is_none_or(|byte| *byte == b'\n') => {
                        if end >= rest.len() {
                            return Piece::More;
                        }
                        at = end + 1;
                        (line, value)
                    }
                    Some(_) => return Piece::Rejected(at),
                    None if end > super::RECORD_BYTES_MAX => return Piece::Rejected(at),
                    None => return Piece::More,
                }
            }
        };
        if name == b"MESSAGE" {
            text = Some(String::from_utf8_lossy(value).into_owned());
        } else if let Some(place) = SPEAKERS.iter().position(|speaker| speaker.as_bytes() == name) {
            speakers[place] = Some(String::from_utf8_lossy(value).into_owned());
        }
    }
}
