//! Newline-delimited JSON by a table, without a document for each line.
//!
//! [`JsonSpec`](crate::JsonSpec) and [`FieldMap`] are the reference: a line that has anything rare in it (a repeated or
//! escaped key, a number of more than 64 bits, the vehicle's name in another field, whatever is wrong or beyond a bound)
//! is handed to them, and nothing is decided here. What is left is most lines of most sources: plain objects whose
//! members repeat from line to line.

mod line;
mod scan;
mod shape;

use std::borrow::Cow;

use self::line::Line;
use self::shape::Shape;
use crate::doc::ReadLimits;
use crate::map::{EventRef, FieldMap, NameRef, TypeRef, ValueRef};
use crate::record::{NAME_BYTES_MIN, find};

/// What a line became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// An event, which was handed on.
    Event,
    /// Nothing, on purpose.
    Ignored,
    /// Nothing yet: the reader and the table must say.
    Unclear,
}

/// An event and where its foreign fields are.
pub(crate) struct Event<'s> {
    pub(crate) event: EventRef<'s>,
    line: &'s Line<'s>,
    shape: &'s Shape<'s>,
    /// Whether every value that a field of the table was to take was taken.
    is_all: bool,
}

impl Event<'_> {
    /// Returns about how many bytes it takes as a record, as [`Output::weight`](crate::Output) has it.
    pub(crate) fn weight(&self) -> usize {
        let text = |value: &ValueRef<'_>| if let ValueRef::Text(text) = value { text.len() } else { 0 };
        let fields: usize = self.event.fields.iter().map(|(_, value)| 32 + text(value)).sum();
        let extensions = self.extensions().map(|(_, name, text)| 48 + name.len() + text.len());
        256 + fields + extensions.sum::<usize>() + self.event.context.len()
    }

    /// Returns whether every foreign field and its name is shorter than a name.
    fn is_shorter(&self, name: &[u8]) -> bool {
        self.is_all && self.line.longest() < name.len() && self.shape.longest() < name.len()
    }

    /// Returns the foreign fields in the order of the line.
    pub(crate) fn extensions(&self) -> impl Iterator<Item = Extension<'_>> {
        let fields = self.line.extensions(self.shape, &self.event, self.is_all);
        fields.map(|(node, name, text)| (node.index(), name, text))
    }
}

/// A foreign field: a number that stays the same for its name within one input, its name and its text.
pub(crate) type Extension<'s> = (usize, &'s str, Cow<'s, str>);

/// Reads lines of one input.
#[derive(Debug)]
pub(crate) struct LineReader<'a> {
    map: &'a FieldMap,
    shape: Shape<'a>,
    line: Line<'a>,
}

impl<'a> LineReader<'a> {
    /// Begins an input; `None` if the table is not for events.
    pub(crate) fn new(map: &'a FieldMap, limits: &ReadLimits) -> Option<Self> {
        let reader = || Self { map, shape: Shape::new(map), line: Line::new(map.paths().len(), *limits) };
        map.is_for_events().then(reader)
    }

    /// Reads one line and hands the event on, if it is one; `take` may leave it.
    pub(crate) fn read(&mut self, line: &'a str, take: &mut dyn FnMut(&Event<'_>) -> bool) -> Made {
        if self.line.read(line, &mut self.shape).is_none() {
            return Made::Unclear;
        }
        if self.map.is_ignored(&self.line) {
            return Made::Ignored;
        }
        self.line.join(self.map.key_paths());
        let Ok(event) = self.map.event(&self.line) else { return Made::Unclear };
        let is_all = event.fields.len() == self.line.filled(self.map.field_count());
        let made = Event { event, line: &self.line, shape: &self.shape, is_all };
        if is_named(&made) || !take(&made) { Made::Unclear } else { Made::Event }
    }
}

/// Returns whether an event repeats its vehicle's name where it must not stand (PRIV-1), or might.
fn is_named(made: &Event<'_>) -> bool {
    let event = &made.event;
    let name = match &event.vehicle {
        Some(NameRef::Vin(name) | NameRef::Foreign(name)) if name.len() >= NAME_BYTES_MIN => name.as_bytes(),
        Some(NameRef::Vin(_) | NameRef::Foreign(_) | NameRef::Id(_)) | None => return false,
    };
    let holds = |text: &str| find(text.as_bytes(), name).is_some();
    matches!(&event.event_type, TypeRef::Unknown(word) if holds(word))
        || event.ecu.as_ref().is_some_and(|ecu| holds(ecu))
        || event.fields.iter().any(|(_, value)| matches!(value, ValueRef::Text(text) if holds(text)))
        || find(&event.context, name).is_some()
        || (!made.is_shorter(name) && made.extensions().any(|(_, key, text)| holds(key) || holds(&text)))
}
