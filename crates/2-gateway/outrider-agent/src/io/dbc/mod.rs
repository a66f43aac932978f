//! Import of CAN network descriptions (DBC files).
//!
//! **In:** the bytes of a DBC file. **Out:** a [`DbcModel`]: messages, signals and the cycle times the network's
//! designer stated, with every statement that was wrong listed by line. **Never:** one bad statement that costs
//! the others. **Start reading** at [`parse`].
//!
//! The file is cut into statements here and each is given to the `can-dbc` parser alone, because that parser
//! refuses a whole file for one statement it does not understand.

mod model;
mod statement;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use outrider_bus::can::{ByteOrder, CanId};

pub use model::{DbcError, DbcMessage, DbcModel, DbcProblem, DbcReason, DbcSignal, DbcValueKind, Multiplex};

use statement::{Keyword, Statement, Statements};

/// Longest DBC file, in bytes; a large vehicle's whole network has about 5 MiB.
pub const DBC_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Most problems kept; reading stops there, because such a file is no DBC file.
pub const DBC_PROBLEMS_MAX: usize = 1000;
/// Name of the message that holds signals of no message.
const INDEPENDENT: &str = "VECTOR__INDEPENDENT_SIG_MSG";

/// Reads a DBC file.
///
/// # Errors
/// [`DbcError`]: the file cannot be read, is empty, too large, or no DBC file at all.
pub fn open(path: &Path) -> Result<DbcModel, DbcError> {
    let bytes = std::fs::metadata(path).map_err(DbcError::Io)?.len();
    if bytes > DBC_BYTES_MAX {
        return Err(DbcError::TooLarge { bytes, bytes_max: DBC_BYTES_MAX });
    }
    parse(&std::fs::read(path).map_err(DbcError::Io)?)
}

/// Reads the bytes of a DBC file, UTF-8 or Latin-1.
///
/// # Errors
/// [`DbcError`]: empty, too large, or without a single DBC statement.
pub fn parse(bytes: &[u8]) -> Result<DbcModel, DbcError> {
    if bytes.len() as u64 > DBC_BYTES_MAX {
        return Err(DbcError::TooLarge { bytes: bytes.len() as u64, bytes_max: DBC_BYTES_MAX });
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    };
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    if text.trim().is_empty() {
        return Err(DbcError::Empty);
    }
    let mut import = Import::default();
    let mut statements = Statements::new(&text);
    while import.model.problems.len() < DBC_PROBLEMS_MAX {
        match statements.next() {
            Some(Ok(statement)) => {
                if import.statement(&statement) == Some(DbcReason::Syntax) {
                    statements.retry_behind_first_line();
                }
            }
            Some(Err(problem)) => import.model.problems.push(problem),
            None => break,
        }
    }
    import.finish()
}

/// Where signals that follow go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Current {
    /// No message has begun.
    #[default]
    None,
    /// The message at this index.
    Message(usize),
    /// A message that was refused; its signals go with it.
    Refused,
}

#[derive(Default)]
struct Import {
    model: DbcModel,
    current: Current,
    by_id: BTreeMap<CanId, usize>,
    cycle_default: Option<u32>,
    understood: u64,
}

impl Import {
    /// Takes one statement and returns why it was refused, if it was.
    fn statement(&mut self, statement: &Statement<'_>) -> Option<DbcReason> {
        let outcome = match statement.keyword {
            Keyword::Message => self.message(statement),
            Keyword::Signal => self.signal(statement),
            Keyword::Nodes | Keyword::Attribute | Keyword::AttributeDefault => self.other(statement),
            Keyword::Transmitters | Keyword::Values | Keyword::ValueType => self.other(statement),
            Keyword::Header => Ok(()),
            Keyword::Checked => parse_one(statement.text).map(|_| self.ignore(statement.word)),
            Keyword::Unused => {
                self.ignore(statement.word);
                Ok(())
            }
        };
        match outcome {
            Ok(()) => {
                self.understood += 1;
                None
            }
            Err((reason, detail)) => {
                self.model.problems.push(DbcProblem { line: statement.line, reason, detail });
                Some(reason)
            }
        }
    }

    fn ignore(&mut self, what: &str) {
        *self.model.ignored.entry(what.to_owned()).or_default() += 1;
    }

    fn message(&mut self, statement: &Statement<'_>) -> Result<(), (DbcReason, String)> {
        self.current = Current::Refused;
        let dbc = parse_one(statement.text)?;
        let message = dbc.messages.into_iter().next().ok_or_else(|| (DbcReason::Syntax, String::new()))?;
        if message.name == INDEPENDENT {
            self.ignore(INDEPENDENT);
            return Ok(());
        }
        // The parser cuts identifiers to their width, so the number is read again.
        let word = statement.text.split_whitespace().nth(1).and_then(|word| word.parse::<u32>().ok());
        let id = word.and_then(CanId::from_word);
        let id = id.ok_or_else(|| (DbcReason::Identifier, message.name.clone()))?;
        let bytes = u16::try_from(message.size).map_err(|_| (DbcReason::Length, message.name.clone()))?;
        if self.by_id.contains_key(&id) {
            return Err((DbcReason::Duplicate, format!("message {id}")));
        }
        self.current = Current::Message(self.model.messages.len());
        self.by_id.insert(id, self.model.messages.len());
        self.model.messages.push(DbcMessage {
            id,
            name: message.name,
            bytes,
            cycle_ms: None,
            transmitters: message.transmitter.into_iter().collect(),
            signals: Vec::new(),
            line: statement.line,
        });
        Ok(())
    }

    fn signal(&mut self, statement: &Statement<'_>) -> Result<(), (DbcReason, String)> {
        let index = match self.current {
            Current::None => return Err((DbcReason::Orphan, "signal before any message".to_owned())),
            Current::Refused => return Ok(()),
            Current::Message(index) => index,
        };
        let dbc = parse_one(&format!("BO_ 0 M: 8 N\n {}\n", statement.text.trim()))?;
        let signal = dbc.messages.into_iter().flat_map(|message| message.signals).next();
        let signal = signal.ok_or_else(|| (DbcReason::Syntax, String::new()))?;
        let name = signal.name.clone();
        let signal = DbcSignal::from_parsed(signal).ok_or_else(|| (DbcReason::Length, name.clone()))?;
        let Some(message) = self.model.messages.get_mut(index) else { return Ok(()) };
        if message.signals.iter().any(|other| other.name == name) {
            return Err((DbcReason::Duplicate, format!("signal {name}")));
        }
        let fits = signal.fits(message.bytes);
        message.signals.push(signal);
        if fits { Ok(()) } else { Err((DbcReason::Outside, name)) }
    }

    fn other(&mut self, statement: &Statement<'_>) -> Result<(), (DbcReason, String)> {
        let dbc = parse_one(statement.text)?;
        self.model.nodes.extend(dbc.nodes.into_iter().map(|node| node.0));
        for default in dbc.attribute_defaults {
            if default.name == "GenMsgCycleTime" {
                self.cycle_default = cycle(&default.value);
            }
        }
        for attribute in dbc.attribute_values_message {
            if attribute.name == "GenMsgCycleTime" {
                let value = cycle(&attribute.value);
                self.named(attribute.message_id)?.cycle_ms = value;
            }
        }
        for more in dbc.message_transmitters {
            let message = self.named(more.message_id)?;
            message.transmitters.extend(more.transmitter);
            message.transmitters.sort();
            message.transmitters.dedup();
        }
        for described in dbc.value_descriptions {
            if let can_dbc::ValueDescription::Signal { message_id, name, value_descriptions } = described {
                let signal = self.named_signal(message_id, &name)?;
                signal.values =
                    value_descriptions.into_iter().map(|value| (value.id, value.description)).collect();
            }
        }
        for typed in dbc.signal_extended_value_type_list {
            let signal = self.named_signal(typed.message_id, &typed.signal_name)?;
            signal.refine(typed.signal_extended_value_type);
        }
        Ok(())
    }

    fn named(&mut self, id: can_dbc::MessageId) -> Result<&mut DbcMessage, (DbcReason, String)> {
        let unknown = || (DbcReason::Orphan, format!("message {} is not described", id.raw()));
        let index = CanId::from_word(id.raw()).and_then(|id| self.by_id.get(&id)).copied();
        index.and_then(|index| self.model.messages.get_mut(index)).ok_or_else(unknown)
    }

    fn named_signal(
        &mut self,
        id: can_dbc::MessageId,
        name: &str,
    ) -> Result<&mut DbcSignal, (DbcReason, String)> {
        let message = self.named(id)?;
        let found = message.signals.iter_mut().find(|signal| signal.name == name);
        found.ok_or_else(|| (DbcReason::Orphan, format!("signal {name} is not described")))
    }

    fn finish(mut self) -> Result<DbcModel, DbcError> {
        if self.understood == 0 {
            let line = self.model.problems.first().map_or(1, |problem| problem.line);
            return Err(DbcError::NotDbc { line });
        }
        if let Some(default) = self.cycle_default {
            for message in &mut self.model.messages {
                message.cycle_ms = message.cycle_ms.or(Some(default));
            }
        }
        for message in &mut self.model.messages {
            // A cycle time of zero says that there is none.
            message.cycle_ms = message.cycle_ms.filter(|&cycle| cycle > 0);
        }
        Ok(self.model)
    }
}

/// Parses one statement alone.
fn parse_one(text: &str) -> Result<can_dbc::Dbc, (DbcReason, String)> {
    can_dbc::Dbc::try_from(format!("{text}\n").as_str()).map_err(|error| {
        // The parser's message draws the line and points at it; only what it expected is of use here.
        let text = error.to_string();
        let expected = text.lines().find_map(|line| line.trim().strip_prefix("= "));
        let short = expected.unwrap_or_else(|| text.lines().next().unwrap_or(""));
        (DbcReason::Syntax, short.chars().take(200).collect())
    })
}

fn cycle(value: &can_dbc::AttributeValue) -> Option<u32> {
    match value {
        can_dbc::AttributeValue::Uint(value) => u32::try_from(*value).ok(),
        can_dbc::AttributeValue::Int(value) => u32::try_from(*value).ok(),
        can_dbc::AttributeValue::Double(value) => format!("{:.0}", value.clamp(0.0, 4e9)).parse().ok(),
        can_dbc::AttributeValue::String(_) => None,
    }
}

/// Order of a signal's bits.
const fn order(order: can_dbc::ByteOrder) -> ByteOrder {
    match order {
        can_dbc::ByteOrder::LittleEndian => ByteOrder::Little,
        can_dbc::ByteOrder::BigEndian => ByteOrder::Big,
    }
}
