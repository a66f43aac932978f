//! JSON and lines as intervals, ranges and labels.

use std::collections::BTreeSet;

use outrider_bus::can::CanId;
use serde_json::{Map, Value};

use super::{INTERVALS_MAX, Interval, LabelError, LabelFile, Stamp};
use crate::io::capture::class_of;

/// Deepest nesting that is looked into.
const DEPTH_MAX: usize = 8;

const STARTS: &[&str] =
    &["start", "begin", "from", "starttime", "begintime", "attackstart", "injectionstart", "first", "t0"];
const ENDS: &[&str] =
    &["end", "stop", "to", "endtime", "stoptime", "attackend", "injectionend", "last", "t1", "finish"];
const PAIRS: &[&str] = &["interval", "injectioninterval", "attackinterval", "window", "span", "attackwindow"];
const CLASSES: &[&str] =
    &["class", "attack", "type", "label", "attacktype", "attackclass", "category", "kind"];
const NAMES: &[&str] = &["output", "file", "filename", "path", "trace", "log", "capture"];
const IDS: &[&str] = &["ids", "id", "canid", "canids", "arbitrationid", "injectionid", "targetid", "targets"];

/// What was said further out in a JSON file.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) capture: Option<String>,
    pub(super) class: Option<String>,
    /// Whether a list of words here is one label a frame.
    pub(super) is_frames: bool,
}

impl LabelFile {
    pub(super) fn walk(&mut self, value: &Value, place: &Place, depth: usize) -> Result<(), LabelError> {
        if depth > DEPTH_MAX {
            return Ok(());
        }
        match value {
            Value::Array(items) => {
                if let Some((start, end)) = pair(items, None) {
                    let class = items.get(2).and_then(Value::as_str).and_then(class_of);
                    return self.add(start, end, class, BTreeSet::new(), place);
                }
                let is_label = |item: &Value| item.is_string() || item.is_number() || item.is_boolean();
                if place.is_frames && !items.is_empty() && items.iter().all(is_label) {
                    let word = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
                    self.frames = items.iter().map(|item| class_of(&word(item))).collect();
                    return Ok(());
                }
                items.iter().try_for_each(|item| self.walk(item, place, depth + 1))
            }
            Value::Object(object) => self.object(object, place, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn object(&mut self, object: &Map<String, Value>, place: &Place, depth: usize) -> Result<(), LabelError> {
        let text = |names: &[&str]| {
            names.iter().find_map(|name| {
                let (_, value) = object.iter().find(|(key, _)| plain(key) == *name)?;
                value.as_str().map(str::to_owned)
            })
        };
        let place = Place {
            capture: text(NAMES).or_else(|| place.capture.clone()),
            class: text(CLASSES).and_then(|class| class_of(&class)).or_else(|| place.class.clone()),
            is_frames: false,
        };
        for (key, list) in [("attack_frames", true), ("answer_frames", false)] {
            for item in object.get(key).and_then(Value::as_array).into_iter().flatten() {
                let number = |index: usize| {
                    item.get(index).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok())
                };
                if let (Some(first), Some(count)) = (number(0), number(1)) {
                    let ranges = if list { &mut self.ranges } else { &mut self.answers };
                    ranges.push((first, count, place.capture.clone()));
                }
            }
        }
        // An object that lists its events sums them up itself.
        if let Some(events) = object.get("events").filter(|events| events.is_array()) {
            return self.walk(events, &place, depth + 1);
        }
        let stamp_of =
            |names: &[&str]| object.iter().find_map(|(key, value)| stamp(value, unit_of(key, names)?));
        let paired = object.iter().find_map(|(key, value)| {
            let unit = unit_of(key, PAIRS)?;
            pair(value.as_array()?, unit)
        });
        let both = stamp_of(STARTS).zip(stamp_of(ENDS)).or(paired);
        if let Some((start, end)) = both {
            let found = object.iter().filter(|(key, _)| IDS.contains(&plain(key).as_str()));
            let ids = found.flat_map(|(_, value)| ids(value)).collect();
            return self.add(start, end, place.class.clone(), ids, &place);
        }
        for (key, value) in object.iter().filter(|(_, value)| value.is_object() || value.is_array()) {
            if matches!(key.as_str(), "attack_frames" | "answer_frames") {
                continue;
            }
            let is_list = matches!(
                plain(key).as_str(),
                "events" | "intervals" | "attacks" | "captures" | "labels" | "frames" | "files"
            );
            let is_frames =
                matches!(plain(key).as_str(), "labels" | "frames" | "framelabels" | "truth" | "y");
            let inner =
                if is_list { place.clone() } else { Place { capture: Some(key.clone()), ..place.clone() } };
            self.walk(value, &Place { is_frames, ..inner }, depth + 1)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        start: Stamp,
        end: Stamp,
        class: Option<String>,
        ids: BTreeSet<CanId>,
        place: &Place,
    ) -> Result<(), LabelError> {
        if self.intervals.len() >= INTERVALS_MAX {
            return Err(LabelError::TooMany);
        }
        let capture = place.capture.clone();
        let class = class.or_else(|| place.class.clone());
        self.intervals.push(Interval { start, end, class, capture, ids });
        Ok(())
    }

    /// Reads lines: intervals below a header or with two numbers each, or one label a line.
    pub(super) fn rows(&mut self, text: &str) -> Result<(), LabelError> {
        let lines =
            || text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let Some((_, first)) = lines().next() else { return Err(LabelError::Nothing) };
        let delimiter =
            [',', ';', '\t'].into_iter().find(|delimiter| first.contains(*delimiter)).unwrap_or(',');
        let split = |line: &str| -> Vec<String> {
            line.split(delimiter).take(32).map(|cell| cell.trim().trim_matches('"').to_owned()).collect()
        };
        let header = split(first);
        let find = |names: &[&str]| {
            header.iter().enumerate().find_map(|(index, name)| Some((index, unit_of(name, names)?)))
        };
        let plain_column =
            |names: &[&str]| header.iter().position(|name| names.contains(&plain(name).as_str()));
        let named = find(STARTS).zip(find(ENDS));
        let is_bare = header.len() >= 2 && header.iter().take(2).all(|cell| number(cell).is_some());
        if let Some(((start, start_unit), (end, end_unit))) =
            named.or(is_bare.then_some(((0, None), (1, None))))
        {
            let class = if is_bare { Some(2) } else { plain_column(CLASSES) };
            let (capture, id) = (plain_column(NAMES), plain_column(IDS));
            for (line, row) in lines().skip(usize::from(!is_bare)) {
                let cells = split(row);
                let cell =
                    |index: usize| cells.get(index).map(String::as_str).filter(|cell| !cell.is_empty());
                let at = |index: usize, unit| Some(Stamp { nanos: number(cell(index)?)?, unit });
                let (Some(from), Some(to)) = (at(start, start_unit), at(end, end_unit)) else {
                    return Err(LabelError::Row { line: line + 1 });
                };
                let place = Place { capture: capture.and_then(cell).map(str::to_owned), ..Place::default() };
                let found = id.and_then(cell).map(id_list).unwrap_or_default();
                self.add(from, to, class.and_then(cell).and_then(class_of), found, &place)?;
            }
            return Ok(());
        }
        let column = plain_column(CLASSES).or_else(|| plain_column(&["flag", "y", "truth", "anomaly"]));
        let has_header = column.is_some();
        // One label a frame, in the last column where no header says otherwise.
        for (_, row) in lines().skip(usize::from(has_header)) {
            let cells = split(row);
            let cell = column.map_or_else(|| cells.last(), |column| cells.get(column));
            self.frames.push(class_of(cell.map_or("", String::as_str)));
        }
        Ok(())
    }
}

/// A name without case and separators.
fn plain(name: &str) -> String {
    name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Unit in the name of a field that begins with one of `names`; `None` if it does not.
fn unit_of(name: &str, names: &[&str]) -> Option<Option<i128>> {
    let plain = plain(name);
    names.iter().find_map(|known| match plain.strip_prefix(known)? {
        "" => Some(None),
        "s" | "sec" | "seconds" => Some(Some(1_000_000_000)),
        "ms" | "millis" | "milliseconds" => Some(Some(1_000_000)),
        "us" | "micros" | "microseconds" => Some(Some(1_000)),
        "ns" | "nanos" | "nanoseconds" => Some(Some(1)),
        _ => None,
    })
}

fn stamp(value: &Value, unit: Option<i128>) -> Option<Stamp> {
    let nanos = match value {
        Value::Number(written) => number(&written.to_string())?,
        Value::String(text) => number(text)?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(Stamp { nanos, unit })
}

fn pair(items: &[Value], unit: Option<i128>) -> Option<(Stamp, Stamp)> {
    let is_pair = items.len() == 2 || items.len() == 3 && items.get(2).is_some_and(Value::is_string);
    let (start, end) = (stamp(items.first()?, unit)?, stamp(items.get(1)?, unit)?);
    is_pair.then_some((start, end))
}

/// Reads a decimal number exactly, in billionths.
fn number(text: &str) -> Option<i128> {
    let text = text.trim();
    if text.contains(['e', 'E']) {
        let value: f64 = text.parse().ok().filter(|value: &f64| value.abs() < 1e20)?;
        #[expect(clippy::cast_possible_truncation, reason = "below 1e29, which fits")]
        return Some((value * 1e9) as i128);
    }
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 20 || !all_digits {
        return None;
    }
    let billionths = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let value =
        whole.bytes().chain(billionths).fold(0i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    Some(sign * value)
}

fn ids(value: &Value) -> BTreeSet<CanId> {
    match value {
        Value::Array(items) => items.iter().take(4096).flat_map(ids_of).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            ids_of(value)
        }
    }
}

fn ids_of(value: &Value) -> BTreeSet<CanId> {
    match value {
        Value::String(text) => id_list(text),
        Value::Number(number) => {
            let id = number.as_u64().and_then(|id| u32::try_from(id).ok());
            id.and_then(|id| CanId::standard(id).or_else(|| CanId::extended(id))).into_iter().collect()
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => BTreeSet::new(),
    }
}

/// Hexadecimal identifiers with anything between them.
fn id_list(text: &str) -> BTreeSet<CanId> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let value =
        |word: &str| u32::from_str_radix(word.trim_start_matches("0x").trim_start_matches("0X"), 16).ok();
    let id = |word: &str| {
        let value = value(word)?;
        if word.len() >= 8 {
            CanId::extended(value)
        } else {
            CanId::standard(value).or_else(|| CanId::extended(value))
        }
    };
    words.filter_map(id).collect()
}
