//! What a decoder says of one event, before the cloud knows whose vehicle it is.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use outrider_model::EventBatch;
use outrider_types::{EventTypeId, FieldKey, Severity, UnixMicros, VehicleId};

use crate::columns::{Columns, Host};

/// How a foreign source names a vehicle. No `Debug` or error shows the name (PRIV-1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VehicleName {
    /// Vehicle identification number, ISO 3779: 17 characters.
    Vin(String),
    /// The pseudonym of this installation.
    Id(VehicleId),
    /// The source's own name, such as a telematics unit's serial number; unique within the source.
    Foreign(String),
}

impl VehicleName {
    /// Takes a text for a VIN, in upper case, if it has the shape of one; the check digit is not compared.
    #[must_use]
    pub fn vin(text: &str) -> Option<Self> {
        crate::map::vin(text).map(Self::Vin)
    }
}

impl fmt::Debug for VehicleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vin(_) => f.write_str("Vin(hidden)"),
            Self::Id(id) => id.fmt(f),
            Self::Foreign(_) => f.write_str("Foreign(hidden)"),
        }
    }
}

/// Value of a catalogue field, owned.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Integer.
    Int(i64),
    /// Floating point.
    Float(f64),
    /// Text.
    Text(String),
    /// Truth value.
    Bool(bool),
}

/// Type of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeName {
    /// Type of the catalogue.
    Known(EventTypeId),
    /// Name that the catalogue does not have; the event is kept as `foreign.unclassified`, searchable, and listed for the
    /// engineer.
    Unknown(String),
}

/// One event as a decoder understood it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Vehicle; `None` where the session already says it.
    pub vehicle: Option<VehicleName>,
    /// Wall time that the source states; `None` becomes a wide interval, never "now" (TIME-1).
    pub time: Option<UnixMicros>,
    /// Half the interval around `time`, microseconds, if the source states it; the feed's own otherwise.
    pub time_error_us: Option<u64>,
    /// Type.
    pub event_type: TypeName,
    /// Severity; the catalogue's if absent.
    pub severity: Option<Severity>,
    /// Observations that it stands for, at least 1.
    pub count: u32,
    /// Number of the bus.
    pub bus: Option<u8>,
    /// Name of the ECU.
    pub ecu: Option<String>,
    /// The source's own key of the event: two events of one source with one key are one event.
    pub key: Option<String>,
    /// Catalogue fields.
    pub fields: Vec<(FieldKey, Value)>,
    /// Fields that the catalogue does not have, `namespace.name` and text.
    pub extensions: Vec<(String, String)>,
    /// Bytes to keep with the event.
    pub context: Vec<u8>,
}

impl Record {
    /// Creates a record of a type, without anything else.
    #[must_use]
    pub fn new(event_type: TypeName) -> Self {
        Self {
            vehicle: None,
            time: None,
            time_error_us: None,
            event_type,
            severity: None,
            count: 1,
            bus: None,
            ecu: None,
            key: None,
            fields: Vec::new(),
            extensions: Vec::new(),
            context: Vec::new(),
        }
    }
}

/// What stands where a vehicle's name stood.
pub(crate) const CONCEALED: &str = "(vehicle)";
/// Shortest foreign name that is searched for: shorter ones are parts of ordinary words (guess).
pub(crate) const NAME_BYTES_MIN: usize = 6;

impl Record {
    /// Takes the vehicle's own name out of everything but `vehicle` and `key`: above ingestion there is only the pseudonym
    /// (PRIV-1), and sources like to repeat the name in their fields. The case of letters does not matter.
    pub fn conceal(&mut self, vehicle: &VehicleName) {
        let (VehicleName::Vin(name) | VehicleName::Foreign(name)) = vehicle else { return };
        if name.len() < NAME_BYTES_MIN {
            return;
        }
        if let TypeName::Unknown(word) = &mut self.event_type {
            conceal_text(word, name);
        }
        self.ecu.iter_mut().for_each(|ecu| conceal_text(ecu, name));
        for (_, value) in &mut self.fields {
            if let Value::Text(text) = value {
                conceal_text(text, name);
            }
        }
        for (key, text) in &mut self.extensions {
            conceal_text(key, name);
            conceal_text(text, name);
        }
        // Bytes keep their places, so that what they mean stays readable.
        while let Some(at) = find(&self.context, name.as_bytes()) {
            self.context.iter_mut().skip(at).take(name.len()).for_each(|byte| *byte = b'*');
        }
    }
}

/// Finds a name, whatever the case of its ASCII letters.
pub(crate) fn find(bytes: &[u8], name: &[u8]) -> Option<usize> {
    let first = name.first()?.to_ascii_lowercase();
    bytes.windows(name.len()).position(|window| {
        window.first().is_some_and(|byte| byte.to_ascii_lowercase() == first)
            && window.eq_ignore_ascii_case(name)
    })
}

pub(crate) fn conceal_text(text: &mut String, name: &str) {
    let mut from = 0;
    while let Some(at) = find(text.as_bytes().get(from..).unwrap_or_default(), name.as_bytes()) {
        // Bytes equal to a name in all but case of ASCII letters begin and end where characters do.
        text.replace_range(from + at..from + at + name.len(), CONCEALED);
        from += at + CONCEALED.len();
    }
}

/// Bytes in another format inside an envelope: decoded by the decoder of their format, the vehicle's platform and its
/// software release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Vehicle.
    pub vehicle: VehicleName,
    /// Name of the format.
    pub format: String,
    /// When the source received or made it.
    pub time: Option<UnixMicros>,
    /// The source's own key of the payload.
    pub key: Option<String>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What a decoder makes of one document.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// An event.
    Event(Record),
    /// An envelope around another format.
    Payload(Payload),
}

impl Output {
    /// Returns about how many bytes it takes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Event(record) => {
                let text = |value: &Value| if let Value::Text(text) = value { text.len() } else { 0 };
                let fields: usize = record.fields.iter().map(|(_, value)| 32 + text(value)).sum();
                let extensions = record.extensions.iter().map(|(name, text)| 48 + name.len() + text.len());
                256 + fields + extensions.sum::<usize>() + record.context.len()
            }
            Self::Payload(payload) => 256 + payload.format.len() + payload.bytes.len(),
        }
    }
}

/// What could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Reason from a closed list, `part.fact`.
    pub reason: &'static str,
    /// Where and why, in words; never holds the input's texts.
    pub place: String,
    /// Number of the document in the input, from 0.
    pub number: usize,
    /// Numbers of all documents that were made of the same bytes; more than one where a list was taken apart.
    pub of: Range<usize>,
    /// Those bytes, for a replay after a fix; a whole input at most. Empty if an earlier refusal holds them.
    pub raw: Vec<u8>,
}

/// All that a decoder made of one input; documents = outputs + refusals + ignored (BAL-1).
///
/// Every document has a number, refused and ignored ones too, so that the number of one does not depend on what became of
/// those before it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decoded {
    /// Events and payloads with the number of their document in the input, ascending.
    pub outputs: Vec<(usize, Output)>,
    /// What was refused.
    pub refusals: Vec<Refusal>,
    /// Documents that the decoder's mapping leaves out on purpose.
    pub ignored: u64,
    /// What was wrong beside documents that were read all the same, such as a member that stood twice; by reason.
    pub notes: BTreeMap<&'static str, u64>,
}

impl Decoded {
    /// Returns how many documents the input held.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.outputs.len() as u64 + self.refusals.len() as u64 + self.ignored
    }
}

/// All that a decoder made of one input whose events went to a batch; documents = rows + declined + outputs + refusals +
/// ignored (BAL-1).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Appended {
    /// Events that became rows.
    pub rows: u64,
    /// Events that the host did not place.
    pub declined: u64,
    /// Payloads, refusals and the rest.
    pub others: Decoded,
}

impl Appended {
    /// Returns how many documents the input held.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.rows + self.declined + self.others.documents()
    }
}

/// Turns the bytes of one format into records; total: no input makes it panic, loop or grow beyond its bounds.
pub trait FormatDecoder: fmt::Debug + Send + Sync {
    /// Returns the name and version of the decoder, such as `builtin.cef@1` or `acme.gen3@1.4.0`; kept with each row.
    fn id(&self) -> &str;

    /// Decodes one input.
    fn decode(&self, bytes: &[u8]) -> Decoded;

    /// Decodes one input and appends its events to the columns of a batch, as `host` places them; the rows are those that
    /// [`FormatDecoder::decode`] gives, in their order. The batch is not sealed.
    fn decode_batch(&self, bytes: &[u8], host: &mut dyn Host, batch: &mut EventBatch) -> Appended {
        let mut decoded = self.decode(bytes);
        let mut columns = Columns::new(batch, host);
        for (document, output) in std::mem::take(&mut decoded.outputs) {
            match output {
                Output::Event(record) => columns.record(document, &record),
                Output::Payload(_) => decoded.outputs.push((document, output)),
            }
        }
        let (rows, declined) = columns.finish();
        Appended { rows, declined, others: decoded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vehicles_name_is_in_no_field() {
        let vin = VehicleName::Vin("WVWZZZ1JZ3W386752".to_owned());
        let mut record = Record::new(TypeName::Unknown("x wvwzzz1jz3w386752".to_owned()));
        record.ecu = Some("WVWZZZ1JZ3W386752/gateway".to_owned());
        record.fields.push((FieldKey(1), Value::Text("é WVWZZZ1JZ3W386752 WVWZZZ1JZ3W386752".to_owned())));
        record.extensions.push(("a.WVWZZZ1JZ3W386752".to_owned(), "Wvwzzz1jz3w386752".to_owned()));
        record.context = b"..WVWZZZ1JZ3W386752.".to_vec();
        record.conceal(&vin);
        let shown = format!("{record:?} {}", String::from_utf8_lossy(&record.context));
        assert!(!shown.to_ascii_uppercase().contains("WVWZZZ"), "{shown}");
        assert_eq!(record.ecu.as_deref(), Some("(vehicle)/gateway"));
        assert_eq!(record.context.len(), 20);
        let before = record.clone();
        record.conceal(&VehicleName::Foreign("x".to_owned()));
        assert_eq!(record, before, "a name of one letter is everywhere");
        // A name that is part of what replaces it must not go on for ever.
        record.conceal(&VehicleName::Foreign("vehicle".to_owned()));
    }
}
