//! Foreign events in JSON as a batch, so that rules of others can be matched against events of others.
//!
//! Every value becomes text in a column of its own. A value has several names: the path with full stops
//! (`Event.System.EventID`), its last part (`EventID`), and for the attribute of an XML element that was written as JSON
//! the element and the attribute (`Provider_Name`), as the Sigma specification names them. White space in names is
//! stripped, as there. A name that an event has several times means each of the values.

use outrider_model::catalogue::FieldKind;
use outrider_model::{EventBatch, EventRow, FieldColumn, FieldValue};
use outrider_types::{
    BootEpoch, EventId, EventTime, EventTypeId, IngestTime, Lane, Seq, Severity, TenantId, UnixMicros,
    VehicleId, VehicleMicros,
};
use serde_json::Value;

use crate::taxonomy::{ForeignFields, MESSAGE};

/// Event type of foreign events; the catalogue has none with this number.
pub(crate) const EVENT_TYPE: EventTypeId = EventTypeId(0);
/// Longest text of events.
pub const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most events of one text.
pub const EVENTS_MAX: usize = 10_000;
/// Most values of one event.
const VALUES_MAX: usize = 4_096;
/// Deepest nesting of an event; that of a log written as XML is six.
const DEPTH_MAX: usize = 32;

/// Why foreign events cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// The text is longer than [`TEXT_BYTES_MAX`].
    #[error("text has {bytes} bytes, more than {TEXT_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The text is not JSON.
    #[error("event {index} is not valid JSON")]
    Json {
        /// Position of the event, from 1.
        index: usize,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A value at the top is no object.
    #[error("event {index} is not an object")]
    Shape {
        /// Position of the event, from 1.
        index: usize,
    },
    /// An event has more than is read.
    #[error("event {index} has too many {what}")]
    TooLarge {
        /// Position of the event, from 1.
        index: usize,
        /// What there are too many of.
        what: &'static str,
    },
}

/// Foreign events with the names of their fields.
#[derive(Debug, Clone, Default)]
pub struct ForeignEvents {
    /// Names of the fields, for [`crate::Taxonomy::Foreign`].
    pub fields: ForeignFields,
    /// The events, sealed, in the order of the text.
    pub batch: EventBatch,
}

/// One value of an event: the parts of its path, and what it is.
#[derive(Debug, Clone)]
pub(crate) struct Leaf<'a> {
    path: Vec<Step<'a>>,
    /// The value; `None` for JSON's null, which is a field without a value.
    pub(crate) text: Option<String>,
}

impl<'a> Leaf<'a> {
    /// Collects the values of an event.
    pub(crate) fn of(index: usize, event: &'a Value) -> Result<Vec<Self>, ForeignError> {
        let index = index + 1;
        if !event.is_object() {
            return Err(ForeignError::Shape { index });
        }
        leaves(event).map_err(|what| ForeignError::TooLarge { index, what })
    }

    /// Returns the names of the value: the path, its last part, and element and attribute.
    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.path)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    Key(&'a str),
    /// Position in a list.
    Item(usize),
    /// Attributes of the element before.
    Attributes,
    /// Text of the element before.
    Text,
}

impl ForeignEvents {
    /// Reads events: objects one after another, with or without lines between them, or lists of objects.
    ///
    /// # Errors
    /// [`ForeignError`] for what is not JSON, not an object, or larger than is read.
    pub fn read(text: &str) -> Result<Self, ForeignError> {
        let events = parse(text)?;
        Self::from_values(&events)
    }

    /// Makes a batch of parsed events.
    ///
    /// # Errors
    /// [`ForeignError`] for an event that is not an object or larger than is read.
    pub fn from_values(events: &[Value]) -> Result<Self, ForeignError> {
        let mut made = Self::default();
        for (index, event) in events.iter().enumerate() {
            made.push_leaves(&Leaf::of(index, event)?)?;
        }
        made.batch.seal();
        Ok(made)
    }

    /// Appends an event; the batch must be sealed after the last.
    pub(crate) fn push_leaves(&mut self, leaves: &[Leaf<'_>]) -> Result<(), ForeignError> {
        let index = self.batch.rows() + 1;
        if index > EVENTS_MAX {
            return Err(ForeignError::TooLarge { index, what: "events before it" });
        }
        self.push_row(index);
        let message = leaves.iter().filter_map(|leaf| leaf.text.as_deref()).collect::<Vec<_>>().join("\n");
        if leaves.iter().any(|leaf| leaf.text.is_some()) {
            self.set(MESSAGE, &message);
        }
        for leaf in leaves {
            let mut place = place(&leaf.path);
            if leaf.text.is_none() {
                place.push('!');
            }
            let key = self.fields.column(&place);
            let key = key.ok_or(ForeignError::TooLarge { index, what: "different fields" })?;
            self.set(key, leaf.text.as_deref().unwrap_or_default());
            for name in leaf.names() {
                self.fields.name(name, key, leaf.text.is_some());
            }
        }
        Ok(())
    }

    fn push_row(&mut self, number: usize) {
        let at = UnixMicros(0);
        let mono = VehicleMicros(0);
        let vehicle = VehicleId([0; 16]);
        self.batch.push(&EventRow {
            tenant: TenantId(0),
            id: EventId { vehicle, epoch: BootEpoch(0), lane: Lane::Batched, seq: Seq(number as u64) },
            event_type: EVENT_TYPE,
            severity: Severity::Info,
            time: EventTime { best: at, error_us: 0 },
            ingest: IngestTime(at),
            mono,
            count: 1,
            span: (mono, mono),
            bus: None,
            context: &[],
        });
    }

    fn set(&mut self, key: outrider_types::FieldKey, text: &str) {
        let row = self.batch.rows() - 1;
        let column = self.batch.fields.entry(key).or_insert_with(|| FieldColumn::new(FieldKind::Text));
        // A place occurs once in an event, so the row has no value yet.
        column.set(row, FieldValue::Text(text));
    }
}

/// Parses the texts of events, without looking at them.
///
/// # Errors
/// [`ForeignError`] for what is not JSON or too long.
pub fn parse(text: &str) -> Result<Vec<Value>, ForeignError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ForeignError::TooLong { bytes: text.len() });
    }
    let mut events = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let index = events.len() + 1;
        let value = value.map_err(|source| ForeignError::Json { index, source })?;
        if let Value::Array(items) = value { events.extend(items) } else { events.push(value) }
    }
    Ok(events)
}

/// Collects the values of an event; nothing recurses.
fn leaves(event: &Value) -> Result<Vec<Leaf<'_>>, &'static str> {
    let mut found = Vec::new();
    let mut open = vec![(Vec::new(), event)];
    while let Some((path, value)) = open.pop() {
        if path.len() > DEPTH_MAX {
            return Err("levels");
        }
        let inside = |step| {
            let mut path: Vec<Step<'_>> = path.clone();
            path.push(step);
            path
        };
        let text = match value {
            Value::Null => None,
            Value::Object(entries) => {
                for (key, value) in entries.iter().rev() {
                    let path = match key.as_str() {
                        "#attributes" => inside(Step::Attributes),
                        "#text" => inside(Step::Text),
                        key => inside(Step::Key(key)),
                    };
                    open.push((path, value));
                }
                continue;
            }
            Value::Array(items) => {
                open.extend(items.iter().enumerate().rev().map(|(at, item)| (inside(Step::Item(at)), item)));
                if open.len() > VALUES_MAX {
                    return Err("values");
                }
                continue;
            }
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Number(number) => Some(canonical(&number.to_string())),
            Value::String(text) => Some(text.clone()),
        };
        found.push(Leaf { path, text });
        if found.len() > VALUES_MAX {
            return Err("values");
        }
    }
    Ok(found)
}

/// Writes a number in the one form in which numbers are compared as text: `7.0` is `7`.
pub(crate) fn canonical(number: &str) -> String {
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    match number.parse::<f64>() {
        Ok(value) if !is_plain && value.is_finite() => value.to_string(),
        _ => number.to_owned(),
    }
}

/// Returns the place of a value, which no other value of the event has.
fn place(path: &[Step<'_>]) -> String {
    let mut place = String::new();
    for step in path {
        match step {
            Step::Key(key) => place.push_str(&format!("{key:?}")),
            Step::Item(at) => place.push_str(&format!("[{at}]")),
            Step::Attributes => place.push('@'),
            Step::Text => place.push('='),
        }
    }
    place
}

/// Returns the names of a value: the path, its last part, and element and attribute.
fn names(path: &[Step<'_>]) -> Vec<String> {
    let keys: Vec<String> = path
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.split_whitespace().collect::<String>()),
            Step::Item(_) | Step::Attributes | Step::Text => None,
        })
        .collect();
    let mut names = vec![keys.join(".")];
    let is_attribute = path.iter().rev().nth(1) == Some(&Step::Attributes);
    match keys.as_slice() {
        [.., element, attribute] if is_attribute => names.push(format!("{element}_{attribute}")),
        [_, .., last] => names.push(last.clone()),
        _ => {}
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(events: &ForeignEvents, name: &str, row: usize) -> Vec<String> {
        let columns = events.fields.find(name);
        columns.iter().filter_map(|it| it.text_of(&events.batch, row)).map(|it| it.into_owned()).collect()
    }

    #[test]
    fn values_have_the_names_of_the_specification() {
        let events = ForeignEvents::read(
            r##"{"Event": {"System": {"Provider": {"#attributes": {"Name": "P"}}, "EventID": 7, "Nothing": null},
                "EventData": {"New Value": 1.50, "Empty": "", "Flag": true, "Data": {"#text": ["a", "b"]}}}}
               {"EventID": 8.0}"##,
        )
        .expect("two events");
        let of = |name| value(&events, name, 0);
        assert_eq!(of("EventID"), ["7"]);
        assert_eq!(of("Event.System.EventID"), ["7"]);
        assert_eq!(of("Provider_Name"), ["P"]);
        assert_eq!(of("NewValue"), ["1.5"]);
        assert_eq!(of("Empty"), [""]);
        assert_eq!(of("Flag"), ["true"]);
        assert_eq!(of("Data"), ["a", "b"]);
        assert_eq!(of("Nothing"), [""; 0]);
        assert_eq!(of("NoSuch"), [""; 0]);
        assert_eq!(value(&events, "EventID", 1), ["8"]);
        assert_eq!(value(&events, "Provider_Name", 1), [""; 0]);
        assert_eq!(events.batch.rows(), 2);
    }

    #[test]
    fn what_is_no_event_is_refused_with_its_place() {
        let message = |text: &str| ForeignEvents::read(text).expect_err("it is refused").to_string();
        assert_eq!(message("{} 7"), "event 2 is not an object");
        assert_eq!(message("[{}, {}, []]"), "event 3 is not an object");
        assert_eq!(message("{} {"), "event 2 is not valid JSON");
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(40), "]".repeat(40));
        assert_eq!(message(&deep), "event 1 has too many levels");
        let wide = format!("{{\"a\":[{}1]}}", "1,".repeat(VALUES_MAX));
        assert_eq!(message(&wide), "event 1 has too many values");
        let many = "{}".repeat(EVENTS_MAX + 1);
        assert_eq!(message(&many), format!("event {} has too many events before it", EVENTS_MAX + 1));
        assert!(ForeignEvents::read(&many[2..]).is_ok());
        let long = " ".repeat(TEXT_BYTES_MAX + 1);
        assert!(message(&long).starts_with("text has 8388609 bytes"));
    }

    #[test]
    fn numbers_have_one_form() {
        assert_eq!(canonical("7.0"), "7");
        assert_eq!(canonical("-0.50"), "-0.5");
        assert_eq!(canonical("12345678901234567890123"), "12345678901234567890123");
        assert_eq!(canonical("1e3"), "1000");
    }
}
