//! Patterns that make events of records: data, checked when they are read, matched in linear time.

use outrider_types::{EventTypeId, FieldKey, Severity, VehicleMicros};
use outrider_wire::catalogue::field;
use serde::Deserialize;

use super::LogRecord;
use crate::catalogue::{EVENTS, FIELDS};
use crate::event::Kind;
use crate::{HostEvent, Value};

/// Patterns at most.
const PATTERNS_MAX: usize = 512;
/// Bytes of a pattern file at most.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Texts of one pattern at most.
const TEXTS_MAX: usize = 32;
/// Words before an event that a program states itself: `security-event: NAME key=value …`.
const STATED: &str = "security-event: ";

/// Why a file of patterns is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// No TOML of this shape.
    #[error("{0}")]
    Shape(String),
    /// Too many patterns or texts, or a file that is too long.
    #[error("{what}: at most {max}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// A name that the catalogue does not have, or a value of another kind.
    #[error("pattern {pattern}: {name} is not {expected}")]
    Name {
        /// Pattern.
        pattern: String,
        /// What stands there.
        name: String,
        /// What should.
        expected: &'static str,
    },
    /// A template without text to look for between two captures.
    #[error("pattern {pattern}: two captures touch, or the template is empty")]
    Template {
        /// Pattern.
        pattern: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(default)]
    pattern: Vec<PatternText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PatternText {
    name: String,
    event: String,
    severity: Option<String>,
    #[serde(default)]
    tag: Vec<String>,
    #[serde(default)]
    has: Vec<String>,
    #[serde(default)]
    any: Vec<String>,
    template: Option<String>,
    #[serde(default)]
    keys: toml::Table,
    #[serde(default)]
    set: toml::Table,
    /// Records that must match, and ones that must not: read by the tests.
    #[serde(default)]
    samples: Vec<String>,
    #[serde(default)]
    near_misses: Vec<String>,
}

/// A capture: a field, or nothing for `<_>`.
#[derive(Debug, Clone, Copy)]
struct Capture(Option<(FieldKey, Kind)>);

/// Texts in order, each with the capture before it, and perhaps a capture at the end.
#[derive(Debug)]
struct Template {
    parts: Vec<(Option<Capture>, String)>,
    last: Option<Capture>,
}

#[derive(Debug)]
struct Pattern {
    name: String,
    event: EventTypeId,
    severity: Option<Severity>,
    tags: Vec<String>,
    has: Vec<String>,
    any: Vec<String>,
    template: Option<Template>,
    keys: Vec<(FieldKey, Kind, String)>,
    set: Vec<(FieldKey, Value)>,
    samples: Vec<String>,
    near_misses: Vec<String>,
}

/// Checked patterns; the first that matches is the one that counts.
#[derive(Debug, Default)]
pub struct Patterns(Vec<Pattern>);

impl Patterns {
    /// Reads a file of patterns.
    ///
    /// # Errors
    /// [`PatternError`], the first one.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(PatternError::TooMany { what: "bytes", max: FILE_BYTES_MAX });
        }
        let file: FileText = toml::from_str(text).map_err(|error| PatternError::Shape(error.to_string()))?;
        if file.pattern.len() > PATTERNS_MAX {
            return Err(PatternError::TooMany { what: "patterns", max: PATTERNS_MAX });
        }
        file.pattern.into_iter().map(check).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the patterns that come with the program.
    #[must_use]
    pub fn shipped() -> Self {
        let text = include_str!("../../../../../content/host/patterns.toml");
        Self::parse(text).expect("a test reads the shipped patterns")
    }

    /// Puts further patterns behind these.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes an event of a record, if a pattern says so or the record states one itself.
    #[must_use]
    pub fn judge(&self, record: &LogRecord, at: VehicleMicros) -> Option<HostEvent> {
        if let Some(event) = stated(&record.text, at) {
            return Some(event);
        }
        self.0.iter().find_map(|pattern| pattern.judge(record, at))
    }

    /// Returns each pattern's name, samples and near misses.
    pub fn samples(&self) -> impl Iterator<Item = (&str, &[String], &[String])> {
        self.0.iter().map(|pattern| (pattern.name.as_str(), &*pattern.samples, &*pattern.near_misses))
    }

    /// Returns the name of the pattern that a record matches first.
    #[must_use]
    pub fn name_of(&self, record: &LogRecord) -> Option<&str> {
        let found = self.0.iter().find(|pattern| pattern.judge(record, VehicleMicros(0)).is_some());
        found.map(|pattern| pattern.name.as_str())
    }
}

fn event_named(name: &str) -> Option<EventTypeId> {
    EVENTS.iter().find(|(known, _)| *known == name).map(|(_, id)| *id)
}

fn field_named(name: &str) -> Option<(FieldKey, Kind)> {
    FIELDS.iter().find(|(known, _, _)| *known == name).map(|(_, key, kind)| (*key, *kind))
}

fn check(text: PatternText) -> Result<Pattern, PatternError> {
    let bad = |name: &str, expected| PatternError::Name {
        pattern: text.name.clone(),
        name: name.to_owned(),
        expected,
    };
    let lists = [&text.tag, &text.has, &text.any];
    if lists.iter().any(|list| list.len() > TEXTS_MAX) || text.keys.len() + text.set.len() > TEXTS_MAX {
        return Err(PatternError::TooMany { what: "texts of a pattern", max: TEXTS_MAX });
    }
    let severity = match &text.severity {
        None => None,
        Some(word) => Some(Severity::from_word(word).ok_or_else(|| bad(word, "a severity"))?),
    };
    let mut keys = Vec::new();
    for (name, key) in &text.keys {
        let (field, kind) = field_named(name).ok_or_else(|| bad(name, "a field"))?;
        keys.push((field, kind, key.as_str().ok_or_else(|| bad(name, "a text"))?.to_owned()));
    }
    let mut set = Vec::new();
    for (name, value) in &text.set {
        let (field, kind) = field_named(name).ok_or_else(|| bad(name, "a field"))?;
        let value = match (kind, value) {
            (Kind::Text, toml::Value::String(value)) => Value::text(value),
            (Kind::Int, toml::Value::Integer(value)) => Value::Int(*value),
            (Kind::Bool, toml::Value::Boolean(value)) => Value::Flag(*value),
            _ => return Err(bad(name, "a field of this kind")),
        };
        set.push((field, value));
    }
    let template =
        text.template.as_deref().map(|template| Template::parse(template, &text.name)).transpose()?;
    Ok(Pattern {
        event: event_named(&text.event).ok_or_else(|| bad(&text.event, "an event type"))?,
        severity,
        template,
        keys,
        set,
        tags: text.tag,
        has: text.has,
        any: text.any,
        samples: text.samples,
        near_misses: text.near_misses,
        name: text.name,
    })
}

impl Template {
    fn parse(text: &str, pattern: &str) -> Result<Self, PatternError> {
        let touching = || PatternError::Template { pattern: pattern.to_owned() };
        let (mut parts, mut pending, mut rest) = (Vec::new(), None, text);
        while let Some((literal, behind)) = rest.split_once('<') {
            let (name, behind) = behind.split_once('>').ok_or_else(touching)?;
            let capture = if name == "_" {
                Capture(None)
            } else {
                let found = field_named(name).ok_or_else(|| PatternError::Name {
                    pattern: pattern.to_owned(),
                    name: name.to_owned(),
                    expected: "a field",
                })?;
                Capture(Some(found))
            };
            if !literal.is_empty() {
                parts.push((pending.take(), literal.to_owned()));
            } else if pending.is_some() {
                return Err(touching());
            }
            if parts.len() > TEXTS_MAX {
                return Err(PatternError::TooMany { what: "texts of a template", max: TEXTS_MAX });
            }
            (pending, rest) = (Some(capture), behind);
        }
        if !rest.is_empty() {
            parts.push((pending.take(), rest.to_owned()));
        }
        if parts.is_empty() {
            return Err(touching());
        }
        Ok(Self { parts, last: pending })
    }

    /// Finds every text behind the one before, leftmost first, and takes the words between.
    fn fill(&self, text: &str, mut event: HostEvent) -> Option<HostEvent> {
        let mut at = 0;
        for (index, (capture, literal)) in self.parts.iter().enumerate() {
            let begin = text.get(at..)?.find(literal.as_str())? + at;
            if let Some(capture) = capture {
                let between = &text[at..begin];
                // Before the first text there may be anything, such as a time stamp.
                let word = if index == 0 { between.split_whitespace().next_back()? } else { between };
                event = capture.put(word, event)?;
            }
            at = begin + literal.len();
        }
        match self.last {
            None => Some(event),
            Some(capture) => capture.put(text[at..].split_whitespace().next()?, event),
        }
    }
}

impl Capture {
    /// Adds the captured word; `None` if it is none or not of the field's kind.
    fn put(self, word: &str, event: HostEvent) -> Option<HostEvent> {
        let Some((key, kind)) = self.0 else { return Some(event) };
        if word.is_empty() || word.contains(char::is_whitespace) {
            return None;
        }
        Some(event.with(key, value(key, kind, word)?))
    }
}

/// Returns a word as the value of a field, or `None` if it is not of the field's kind.
fn value(key: FieldKey, kind: Kind, word: &str) -> Option<Value> {
    match kind {
        Kind::Int => {
            let number = match word.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16).ok(),
                None => word.parse().ok(),
            };
            number.map(Value::Int)
        }
        Kind::Bool => word.parse().ok().map(Value::Flag),
        // Logs of an ECU carry whole numbers; fractions belong to signals.
        Kind::Float => None,
        Kind::Text if key == field::PROTOCOL => Some(Value::text(&word.to_lowercase())),
        Kind::Text if key == field::FILE_PATH => Some(Value::path(word)),
        Kind::Text => Some(Value::text(word)),
    }
}

impl Pattern {
    fn judge(&self, record: &LogRecord, at: VehicleMicros) -> Option<HostEvent> {
        let text = record.text.as_str();
        // A format without tags has them in its text, if at all.
        let is_tagged = self.tags.is_empty()
            || record.tag.is_empty()
            || self.tags.iter().any(|tag| match tag.strip_suffix('*') {
                Some(begin) => record.tag.starts_with(begin),
                None => record.tag == *tag,
            });
        let matches = is_tagged
            && self.has.iter().all(|part| text.contains(part.as_str()))
            && (self.any.is_empty() || self.any.iter().any(|part| text.contains(part.as_str())));
        if !matches {
            return None;
        }
        let mut event = HostEvent::new(self.event, at);
        event.severity = self.severity;
        if let Some(template) = &self.template {
            event = template.fill(text, event)?;
        }
        for (key, kind, name) in &self.keys {
            if let Some(value) = find(text, name).and_then(|word| value(*key, *kind, word)) {
                event = event.with(*key, value);
            }
        }
        for (key, value) in &self.set {
            event = event.with(*key, value.clone());
        }
        Some(event)
    }
}

/// Finds `name=value` or `name="value"` where a word can begin.
fn find<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    if name.is_empty() {
        return None;
    }
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find(name).map(|at| at + from) {
        from = at + name.len();
        let begins = text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let Some(behind) = text[from..].strip_prefix('=').filter(|_| begins) else { continue };
        let quoted = behind.strip_prefix('"').and_then(|behind| behind.split('"').next());
        let word = quoted.or_else(|| behind.split([' ', '\t', ',', ')', '\'', '"']).next())?;
        return (!word.is_empty()).then_some(word);
    }
    None
}

/// Reads an event that a program states itself. Fields that the catalogue does not have are left out.
fn stated(text: &str, at: VehicleMicros) -> Option<HostEvent> {
    let (_, behind) = text.split_once(STATED)?;
    let name = behind.split_whitespace().next()?;
    let mut event = HostEvent::new(event_named(name)?, at);
    let mut rest = &behind[behind.find(name)? + name.len()..];
    for _ in 0..TEXTS_MAX {
        let Some((before, _)) = rest.split_once('=') else { break };
        let key = before.split_whitespace().next_back().unwrap_or("");
        let word = find(&rest[before.len() - key.len()..], key);
        if let (Some((field, kind)), Some(word)) = (field_named(key), word)
            && let Some(value) = value(field, kind, word)
        {
            event = event.with(field, value);
        }
        let taken = before.len() + 1 + word.map_or(0, str::len);
        // Behind a quoted value, its two marks are left, which are no names.
        rest = rest.get(taken..).unwrap_or("");
    }
    Some(event)
}
