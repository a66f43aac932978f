//! JSON: one object a line, or one array of objects.

use std::fmt;
use std::io::Read;

use outrider_types::EcuId;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::patch::{Column, EcuColumn, RowBuilder};
use super::source::Source;
use super::{FileEntry, FileError, FileProblem, RECORD_BYTES_MAX, problem, structure};

/// One object a line.
pub(super) struct LinesFile {
    ignore_unknown: bool,
    line: Vec<u8>,
}

impl LinesFile {
    pub(super) const fn new(ignore_unknown: bool) -> Self {
        Self { ignore_unknown, line: Vec::new() }
    }

    /// Returns the next vehicle; empty lines are passed over.
    pub(super) fn next_entry<R: Read>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<Option<FileEntry>, FileError> {
        source.skip_space()?;
        let number = source.line();
        self.line.clear();
        while let Some(byte) = source.take()? {
            if byte == b'\n' {
                break;
            }
            if self.line.len() == RECORD_BYTES_MAX {
                source.skip_line()?;
                let text = format!("more than {RECORD_BYTES_MAX} bytes");
                return Ok(Some(FileEntry::Refused(vec![problem(number, "json.too_long", text)])));
            }
            self.line.push(byte);
        }
        if self.line.is_empty() {
            return Ok(None);
        }
        Ok(Some(row(number, &self.line, self.ignore_unknown)))
    }
}

/// One array of objects.
pub(super) struct ArrayFile {
    ignore_unknown: bool,
    object: Vec<u8>,
    is_first: bool,
}

impl ArrayFile {
    /// Takes the opening bracket.
    pub(super) fn open<R: Read>(source: &mut Source<R>, ignore_unknown: bool) -> Result<Self, FileError> {
        source.skip_space()?;
        let line = source.line();
        if source.take()? != Some(b'[') {
            return Err(structure(line, "json.no_array", "no array begins here"));
        }
        Ok(Self { ignore_unknown, object: Vec::new(), is_first: true })
    }

    /// Returns the next vehicle.
    pub(super) fn next_entry<R: Read>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<Option<FileEntry>, FileError> {
        source.skip_space()?;
        let is_first = std::mem::take(&mut self.is_first);
        let is_continued = !is_first && source.look(1)?.first() == Some(&b',');
        if is_continued {
            source.skip(1);
            source.skip_space()?;
        }
        let line = source.line();
        match source.take()? {
            Some(b'{') if is_first || is_continued => self.object(line, source).map(Some),
            Some(b']') if !is_continued => {
                source.skip_space()?;
                if source.look(1)?.is_empty() {
                    return Ok(None);
                }
                Err(structure(source.line(), "json.structure", "something stands behind the array"))
            }
            Some(_) | None => {
                Err(structure(line, "json.structure", "no object, or the file is cut off or lacks a comma"))
            }
        }
    }

    /// Reads an object whose opening brace was taken, to the brace that closes it.
    fn object<R: Read>(&mut self, line: u64, source: &mut Source<R>) -> Result<FileEntry, FileError> {
        self.object.clear();
        self.object.push(b'{');
        let (mut depth, mut is_text, mut is_escaped, mut is_long) = (1u64, false, false, false);
        while depth > 0 {
            let Some(byte) = source.take()? else {
                return Err(structure(line, "json.cut", "the object that begins here has no end"));
            };
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_text => is_escaped = true,
                b'"' => is_text = !is_text,
                b'{' | b'[' if !is_text => depth += 1,
                b'}' | b']' if !is_text => depth -= 1,
                _ => {}
            }
            is_long |= self.object.len() == RECORD_BYTES_MAX;
            if !is_long {
                self.object.push(byte);
            }
        }
        if is_long {
            let text = format!("more than {RECORD_BYTES_MAX} bytes");
            let last_line = source.line();
            return Ok(FileEntry::Refused(vec![FileProblem {
                line,
                last_line,
                reason: "json.too_long",
                text,
            }]));
        }
        Ok(row(line, &self.object, self.ignore_unknown))
    }
}

/// Members of an object in their order, so that one that is there twice is seen.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// Reads one object.
fn row(line: u64, bytes: &[u8], ignore_unknown: bool) -> FileEntry {
    let mut row = RowBuilder::new(line);
    let members = match serde_json::from_slice::<Members>(bytes) {
        Ok(Members(members)) => members,
        Err(error) => {
            // The library's own message may repeat a value.
            let at = line + error.line().saturating_sub(1) as u64;
            let text = format!("no JSON object: column {} of line {at}", error.column());
            row.refuse("json.syntax", text);
            return row.finish();
        }
    };
    let mut seen: Vec<&str> = Vec::new();
    for (number, (name, value)) in members.iter().enumerate() {
        if seen.contains(&name.as_str()) {
            row.refuse("json.twice", format!("member {} is there twice", number + 1));
            continue;
        }
        seen.push(name);
        if name == "ecus" {
            ecus(&mut row, value, ignore_unknown);
            continue;
        }
        match Column::from_name(name) {
            // One spelling: ECUs of JSON are objects.
            Some(Column::Ecu(..)) | None if ignore_unknown => {}
            Some(Column::Ecu(..)) | None => {
                row.refuse("field.unknown", format!("member {} is none of the registry", number + 1));
            }
            Some(Column::Features) => features(&mut row, value),
            Some(column) => match scalar(value) {
                Some(text) => row.set(column, &text),
                None => row.refuse("json.type", format!("member {} is neither text nor number", number + 1)),
            },
        }
    }
    row.finish()
}

/// Text of a value; null clears like an empty cell.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn features(row: &mut RowBuilder, value: &Value) {
    match value {
        Value::Null => row.features(std::iter::empty()),
        Value::Array(words) if words.iter().all(Value::is_string) => {
            row.features(words.iter().filter_map(Value::as_str));
        }
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            row.refuse("json.type", "features is no array of texts");
        }
    }
}

fn ecus(row: &mut RowBuilder, value: &Value, ignore_unknown: bool) {
    row.state_ecus();
    let list = match value {
        Value::Null => return,
        Value::Array(list) => list,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            return row.refuse("json.type", "ecus is no array");
        }
    };
    let mut seen = std::collections::BTreeSet::new();
    for (index, entry) in list.iter().enumerate() {
        let place = index + 1;
        let number = entry.get("ecu").and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok());
        let Some(ecu) = number.filter(|number| *number > 0).map(EcuId) else {
            row.refuse("field.ecu", format!("ecus, entry {place}: `ecu` is no number from 1 to 65535"));
            continue;
        };
        if !seen.insert(ecu) {
            row.refuse("field.ecu", format!("ecus, entry {place}: its number is there twice"));
            continue;
        }
        for (name, value) in entry.as_object().into_iter().flatten().filter(|(name, _)| *name != "ecu") {
            match (EcuColumn::from_name(name), scalar(value)) {
                (Some(part), Some(text)) => row.set(Column::Ecu(ecu, part), &text),
                (None, _) if ignore_unknown => {}
                (None, _) => row.refuse("field.unknown", format!("ecus, entry {place}: an unknown member")),
                (Some(_), None) => {
                    row.refuse("json.type", format!("ecus, entry {place}: neither text nor number"));
                }
            }
        }
    }
}
