//! LIN description files (ISO 17987-2), language versions 1.3 to 2.2 and ISO.

mod syntax;

use std::collections::BTreeMap;

use outrider_bus::can::ByteOrder;

use super::error::DescriptionError;
use super::model::{
    Cluster, Description, Format, Frame, FrameKey, LinSchedule, Medium, Place, Reason, ScheduleEntry,
    SharedSlot, Signal,
};
use super::{NAME_BYTES_MAX, VALUES_MAX, arxml, coding};
use syntax::{Statement, Word, statements};

/// Returns whether a text begins like an LDF file: its keyword stands before the first block.
pub(super) fn is_ldf(text: &str) -> bool {
    let head: String = text.chars().take(64 * 1024).take_while(|&character| character != '{').collect();
    head.contains("LIN_description_file") || head.contains("LIN_protocol_version")
}

/// Most signals of a frame: it has 64 bits.
const SIGNALS_MAX: usize = 64;

/// What a signal is before a frame places it.
struct Described {
    bits: u16,
    receivers: Vec<String>,
    kind: Option<usize>,
}

/// How the values of some signals are to be read.
#[derive(Default)]
struct Encoding {
    scale: Option<(f64, f64, f64, f64)>,
    unit: String,
    values: BTreeMap<i64, String>,
}

struct Import {
    description: Description,
    cluster: String,
    signals: BTreeMap<String, Described>,
    encodings: Vec<Encoding>,
    encoding_names: BTreeMap<String, usize>,
    frame_ids: BTreeMap<u8, Place>,
}

/// Reads an LDF file.
///
/// # Errors
/// [`DescriptionError::Ldf`] if its blocks cannot be told apart, [`DescriptionError::TooLarge`].
pub(super) fn parse(text: &str) -> Result<Description, DescriptionError> {
    if text.len() > syntax::FILE_BYTES_MAX {
        return Err(DescriptionError::TooLarge {
            bytes: text.len() as u64,
            bytes_max: syntax::FILE_BYTES_MAX as u64,
        });
    }
    let top = statements(text)?;
    let mut import = Import {
        description: Description::new(Format::Ldf),
        cluster: "LIN".to_owned(),
        signals: BTreeMap::new(),
        encodings: Vec::new(),
        encoding_names: BTreeMap::new(),
        frame_ids: BTreeMap::new(),
    };
    import.head(&top);
    // Frames need the signals, and signals their encodings, wherever the file has them.
    for section in
        ["Signal_encoding_types", "Nodes", "Signals", "Diagnostic_signals", "Signal_representation"]
    {
        for statement in top.iter().filter(|statement| statement.head() == section) {
            import.section(statement);
        }
    }
    for section in
        ["Frames", "Diagnostic_frames", "Sporadic_frames", "Event_triggered_frames", "Schedule_tables"]
    {
        for statement in top.iter().filter(|statement| statement.head() == section) {
            import.section(statement);
        }
    }
    import.rest(&top);
    import.cycles();
    Ok(import.description)
}

fn name(text: &str) -> String {
    text.chars().take(NAME_BYTES_MAX).collect()
}

/// Returns the only word of a part.
fn single<'a>(part: Option<&&[Word<'a>]>) -> Option<&'a str> {
    match part {
        Some([word]) => Some(word.text),
        _ => None,
    }
}

fn number<T: TryFrom<u64>>(part: Option<&&[Word<'_>]>) -> Option<T> {
    arxml::number(single(part)?).and_then(|number| T::try_from(number).ok())
}

fn float(part: Option<&&[Word<'_>]>) -> Option<f64> {
    single(part)?.parse().ok().filter(|value: &f64| value.is_finite())
}

impl Import {
    fn problem(
        &mut self,
        statement: &Statement<'_>,
        section: &str,
        reason: Reason,
        detail: impl Into<String>,
    ) {
        self.description.problem(statement.place, section, reason, detail);
    }

    fn head(&mut self, top: &[Statement<'_>]) {
        let mut bit_rate = None;
        for statement in top {
            match statement.head() {
                "LIN_speed" => {
                    let value =
                        statement.parts("=").first().and_then(|part| part.first()).map(|word| word.text);
                    bit_rate = value.and_then(|value| arxml::whole(value.parse().ok()?, 1000.0));
                    if bit_rate.is_none() {
                        self.problem(statement, "LIN_speed", Reason::Value, "");
                    }
                }
                "LIN_protocol_version" => {
                    let version =
                        statement.parts("=").first().and_then(|part| part.first()).map(|word| word.text);
                    self.description.has_enhanced_checksums =
                        version.map(|version| !version.starts_with('1'));
                }
                "Channel_name" => {
                    if let Some(channel) = single(statement.parts("=").first()) {
                        self.cluster = name(channel);
                    }
                }
                _ => {}
            }
        }
        let cluster = Cluster { bit_rate, ..Cluster::new(self.cluster.clone(), Medium::Lin) };
        self.description.clusters.push(cluster);
    }

    fn section(&mut self, section: &Statement<'_>) {
        for statement in section.inside() {
            match section.head() {
                "Nodes" => self.node(statement),
                "Signals" | "Diagnostic_signals" => self.signal(statement),
                "Signal_encoding_types" => self.encoding(statement),
                "Signal_representation" => self.representation(statement),
                "Frames" | "Diagnostic_frames" => self.frame(statement, section.head()),
                "Sporadic_frames" => self.shared(statement, false),
                "Event_triggered_frames" => self.shared(statement, true),
                "Schedule_tables" => self.schedule(statement),
                _ => {}
            }
        }
    }

    fn node(&mut self, statement: &Statement<'_>) {
        let parts = statement.parts(":");
        let names = match statement.head() {
            // Behind the master stand its time base and jitter.
            "Master" | "Slaves" => parts.iter().filter_map(|part| single(Some(part))),
            other => return self.problem(statement, "Nodes", Reason::Unsupported, other),
        };
        self.description.nodes.extend(names.map(name));
    }

    fn signal(&mut self, statement: &Statement<'_>) {
        let parts = statement.parts(":");
        let signal = statement.head();
        let Some(bits) = number::<u16>(parts.first()).filter(|bits| (1..=64).contains(bits)) else {
            return self.problem(statement, "Signals", Reason::Value, signal);
        };
        // Initial value and publisher stand before those who read it; diagnostic signals have neither.
        let receivers =
            parts.iter().skip(3).take(64).filter_map(|part| single(Some(part))).map(name).collect();
        let described = Described { bits, receivers, kind: None };
        if self.signals.insert(name(signal), described).is_some() {
            self.problem(statement, "Signals", Reason::Duplicate, signal);
        }
    }

    fn encoding(&mut self, statement: &Statement<'_>) {
        let mut encoding = Encoding::default();
        for value in statement.inside() {
            let parts: Vec<&[Word<'_>]> =
                value.words.split(|word| !word.is_string && word.text == ",").collect();
            match value.head() {
                "logical_value" => match number::<i64>(parts.get(1)) {
                    Some(raw) if encoding.values.len() < VALUES_MAX => {
                        let text = single(parts.get(2)).unwrap_or_default();
                        encoding.values.insert(raw, name(text));
                    }
                    Some(_) | None => self.problem(value, "logical_value", Reason::Value, statement.head()),
                },
                "physical_value" => {
                    let numbers: Vec<f64> = (1..5).filter_map(|at| float(parts.get(at))).collect();
                    match numbers.as_slice() {
                        [low, high, scale, offset] if encoding.scale.is_none() => {
                            encoding.scale = Some((*low, *high, *scale, *offset));
                            encoding.unit = name(single(parts.get(5)).unwrap_or_default());
                        }
                        [_, _, _, _] => {
                            self.problem(
                                value,
                                "physical_value",
                                Reason::Unsupported,
                                "only one range is read",
                            );
                        }
                        _ => self.problem(value, "physical_value", Reason::Value, statement.head()),
                    }
                }
                "bcd_value" | "ascii_value" => {
                    self.problem(value, "Signal_encoding_types", Reason::Unsupported, value.head());
                }
                other => self.problem(value, "Signal_encoding_types", Reason::Syntax, other),
            }
        }
        self.encoding_names.insert(name(statement.head()), self.encodings.len());
        self.encodings.push(encoding);
    }

    fn representation(&mut self, statement: &Statement<'_>) {
        let Some(&encoding) = self.encoding_names.get(statement.head()) else {
            return self.problem(statement, "Signal_representation", Reason::Dangling, statement.head());
        };
        for part in statement.parts(":") {
            match single(Some(&part)).and_then(|signal| self.signals.get_mut(signal)) {
                Some(described) => described.kind = Some(encoding),
                None => {
                    let what = part.first().map_or("", |word| word.text);
                    self.description.problem(
                        statement.place,
                        "Signal_representation",
                        Reason::Dangling,
                        what,
                    );
                }
            }
        }
    }

    fn frame(&mut self, statement: &Statement<'_>, section: &str) {
        let parts = statement.parts(":");
        let Some(id) = number::<u8>(parts.first()).filter(|&id| id < 64) else {
            return self.problem(statement, section, Reason::Value, statement.head());
        };
        if let Some(first) = self.frame_ids.insert(id, statement.place) {
            self.frame_ids.insert(id, first);
            return self.problem(
                statement,
                section,
                Reason::Duplicate,
                format!("identifier {id}, first in {first}"),
            );
        }
        let is_diagnostic = section == "Diagnostic_frames";
        let stated = number::<u16>(parts.get(2)).filter(|bytes| (1..=8).contains(bytes));
        // Version 1.3 may leave the length to the identifier; diagnostic frames always have eight bytes.
        let bytes = stated.unwrap_or(match id {
            _ if is_diagnostic => 8,
            0..=31 => 2,
            32..=47 => 4,
            _ => 8,
        });
        let mut frame = Frame {
            name: name(statement.head()),
            cluster: self.cluster.clone(),
            key: FrameKey::Lin(id),
            is_fd: false,
            bytes,
            cycle_us: None,
            senders: single(parts.get(1)).map(name).into_iter().collect(),
            signals: Vec::new(),
            place: statement.place,
        };
        for placed in statement.inside() {
            if frame.signals.len() >= SIGNALS_MAX {
                self.problem(placed, section, Reason::Outside, "more signals than bits");
                break;
            }
            let words: Vec<&[Word<'_>]> =
                placed.words.split(|word| !word.is_string && word.text == ",").collect();
            let Some(start_bit) = number::<u16>(words.get(1)) else {
                self.problem(placed, section, Reason::Value, placed.head());
                continue;
            };
            let Some(signal) = self.placed(placed.head(), start_bit) else {
                self.problem(placed, section, Reason::Dangling, placed.head());
                continue;
            };
            if !signal.fits(bytes) {
                self.problem(placed, section, Reason::Outside, placed.head());
            }
            frame.signals.push(signal);
        }
        self.description.frames.push(frame);
    }

    fn placed(&self, signal: &str, start_bit: u16) -> Option<Signal> {
        let described = self.signals.get(signal)?;
        let encoding = described.kind.and_then(|kind| self.encodings.get(kind));
        let (low, high, factor, offset) =
            encoding.and_then(|encoding| encoding.scale).unwrap_or((0.0, 0.0, 1.0, 0.0));
        Some(Signal {
            factor,
            offset,
            min: low * factor + offset,
            max: high * factor + offset,
            unit: encoding.map_or_else(String::new, |encoding| encoding.unit.clone()),
            receivers: described.receivers.clone(),
            values: encoding.map_or_else(BTreeMap::new, |encoding| encoding.values.clone()),
            ..coding::raw(name(signal), start_bit, described.bits, ByteOrder::Little)
        })
    }

    /// Reads `name: frame, …` of a sporadic slot, or `name: [table,] identifier, frame, …` of an event-triggered one.
    fn shared(&mut self, statement: &Statement<'_>, is_event: bool) {
        let parts = statement.parts(":");
        let at = parts.iter().position(|part| number::<u8>(Some(part)).is_some_and(|id| id < 64));
        let (id, rest) = match at.filter(|_| is_event) {
            Some(at) => (number::<u8>(parts.get(at)), at + 1),
            None if is_event => {
                return self.problem(statement, "Event_triggered_frames", Reason::Value, statement.head());
            }
            None => (None, 0),
        };
        let frames =
            parts.iter().skip(rest).take(SIGNALS_MAX).filter_map(|part| single(Some(part))).map(name);
        let slot = SharedSlot { name: name(statement.head()), id, frames: frames.collect() };
        self.description.shared_slots.push(slot);
    }

    fn schedule(&mut self, statement: &Statement<'_>) {
        let mut schedule =
            LinSchedule { name: name(statement.head()), cluster: self.cluster.clone(), entries: Vec::new() };
        for entry in statement.inside() {
            // `frame delay 10 ms`, or a command with its arguments before the delay.
            let at = entry.words.iter().position(|word| word.text == "delay");
            let delay =
                at.and_then(|at| entry.words.get(at + 1)).and_then(|word| word.text.parse::<f64>().ok());
            match delay.and_then(|ms| arxml::whole(ms, 1000.0)) {
                Some(delay_us) => {
                    schedule.entries.push(ScheduleEntry { frame: name(entry.head()), delay_us });
                }
                None => self.problem(entry, "Schedule_tables", Reason::Value, entry.head()),
            }
        }
        self.description.schedules.push(schedule);
    }

    /// Counts the sections that nothing was taken from.
    fn rest(&mut self, top: &[Statement<'_>]) {
        const READ: [&str; 14] = [
            "LIN_description_file",
            "LIN_speed",
            "Channel_name",
            "Nodes",
            "Signals",
            "Diagnostic_signals",
            "Signal_encoding_types",
            "Signal_representation",
            "Frames",
            "Diagnostic_frames",
            "Sporadic_frames",
            "Event_triggered_frames",
            "Schedule_tables",
            "LIN_protocol_version",
        ];
        const ADMINISTRATIVE: [&str; 3] =
            ["LIN_language_version", "LDF_file_revision", "LIN_sig_byte_order_little_endian"];
        for statement in top {
            let head = statement.head();
            if !READ.contains(&head) && !ADMINISTRATIVE.contains(&head) {
                self.description.pass_over(head, statement.place);
            }
        }
    }

    /// Works out how often a frame comes: the shortest of the tables that have it.
    fn cycles(&mut self) {
        for frame in &mut self.description.frames {
            let cycles = self.description.schedules.iter().filter_map(|schedule| {
                let total: u64 =
                    schedule.entries.iter().map(|entry| entry.delay_us).fold(0, u64::saturating_add);
                let count = schedule.entries.iter().filter(|entry| entry.frame == frame.name).count() as u64;
                total.checked_div(count)
            });
            frame.cycle_us = cycles.filter(|&us| us > 0).min();
        }
    }
}
