//! One test on one field.

use std::net::IpAddr;

use ipnet::IpNet;
use outrider_model::{EventBatch, FieldValues};
use outrider_types::{EventTypeId, UnixMicros};
use regex::Regex;

use crate::field::{CoreField, FieldRef};
use crate::moment::DatePart;
use crate::pattern::{Pattern, Place, fold_case};
use crate::values::parse_float;

/// Order of a number to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// Below the bound.
    Less,
    /// At or below the bound.
    AtMost,
    /// Above the bound.
    Greater,
    /// At or above the bound.
    AtLeast,
}

impl Comparison {
    pub(crate) fn holds<T: PartialOrd>(self, value: T, bound: T) -> bool {
        match self {
            Self::Less => value < bound,
            Self::AtMost => value <= bound,
            Self::Greater => value > bound,
            Self::AtLeast => value >= bound,
        }
    }
}

/// Test on a whole number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// It is one of these, ascending.
    In(Vec<i64>),
    /// It compares.
    Compare(Comparison, i64),
}

impl Numbers {
    pub(crate) fn holds(&self, value: i64) -> bool {
        match self {
            Self::In(wanted) => wanted.binary_search(&value).is_ok(),
            Self::Compare(comparison, bound) => comparison.holds(value, *bound),
        }
    }
}

/// Comparison of two fields of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Same {
    /// The other field.
    pub(crate) other: FieldRef,
    /// Where the other value must be.
    pub(crate) place: Place,
    /// Whether case counts.
    pub(crate) cased: bool,
}

impl Same {
    /// Returns whether a row holds the other field's value in a field. An event without one of them does not.
    pub(crate) fn holds_at(self, field: FieldRef, batch: &EventBatch, row: usize) -> bool {
        let (Some(value), Some(other)) = (field.text_of(batch, row), self.other.text_of(batch, row)) else {
            return false;
        };
        let compare = |value: &str, other: &str| match self.place {
            Place::Whole => value == other,
            Place::Start => value.starts_with(other),
            Place::End => value.ends_with(other),
            Place::Inside => value.contains(other),
        };
        if self.cased { compare(&value, &other) } else { compare(&fold_case(&value), &fold_case(&other)) }
    }
}

/// Test on a value. A missing value meets none of them.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    /// There is a value.
    Exists,
    /// The integer is one of these, ascending.
    IntIn(Vec<i64>),
    /// The integer compares.
    IntCompare(Comparison, i64),
    /// The number is one of these.
    FloatIn(Vec<f64>),
    /// The number compares.
    FloatCompare(Comparison, f64),
    /// The truth value is this.
    Bool(bool),
    /// The bit of the severity's or lane's code is set.
    Codes(u8),
    /// The event type is one of these, ascending.
    EventTypes(Vec<EventTypeId>),
    /// The text meets the test.
    Text(TextTest),
    /// The part of the time meets the test.
    Part(DatePart, Numbers),
    /// The value of another field is the same, or in it.
    Same(Same),
}

/// Test on text.
#[derive(Debug, Clone)]
pub(crate) enum TextTest {
    /// One of the patterns matches; the value is folded first unless `cased`.
    Patterns {
        /// Whether case counts.
        cased: bool,
        /// The patterns.
        any: Vec<Pattern>,
    },
    /// One of the expressions finds something; flags are written into the expressions.
    Regexes(Vec<Regex>),
    /// The text is an address in one of the networks.
    Networks(Vec<IpNet>),
    /// The text is a number that compares.
    Number(Comparison, f64),
    /// The text begins with a date of which the part meets the test.
    Part(DatePart, Numbers),
}

impl TextTest {
    /// Returns whether a value meets the test. Allocates if the value has to be folded.
    pub(crate) fn holds(&self, value: &str) -> bool {
        match self {
            Self::Patterns { cased: true, any } => any.iter().any(|pattern| pattern.matches(value)),
            Self::Patterns { cased: false, any } => {
                let folded = fold_case(value);
                any.iter().any(|pattern| pattern.matches(&folded))
            }
            Self::Regexes(any) => any.iter().any(|regex| regex.is_match(value)),
            Self::Networks(any) => value
                .parse::<IpAddr>()
                .is_ok_and(|address| any.iter().any(|network| network.contains(&address))),
            Self::Number(comparison, bound) => {
                parse_float(value.trim()).is_some_and(|value| comparison.holds(value, *bound))
            }
            Self::Part(part, numbers) => part.of_text(value).is_some_and(|value| numbers.holds(value)),
        }
    }
}

/// A test on a field, with the words of the rule.
#[derive(Debug, Clone)]
pub(crate) struct Predicate {
    /// Field that is tested.
    pub(crate) field: FieldRef,
    /// Name of the field as the explanation shows it.
    pub(crate) name: String,
    /// The test.
    pub(crate) test: Test,
    /// Operator as the explanation shows it.
    pub(crate) operator: String,
    /// What the rule asks for, as the explanation shows it.
    pub(crate) expected: String,
}

impl Predicate {
    /// Returns a text that two predicates share exactly if they test the same.
    pub(crate) fn key(&self) -> String {
        format!("{:?} {:?}", self.field, self.test)
    }

    /// Tests one row directly, without an index. The batch must be sealed.
    pub(crate) fn holds_at(&self, batch: &EventBatch, row: usize) -> bool {
        match &self.test {
            Test::Exists => self.field.text_of(batch, row).is_some(),
            Test::IntIn(values) => {
                int_of(self.field, batch, row).is_some_and(|value| values.binary_search(&value).is_ok())
            }
            Test::IntCompare(comparison, bound) => {
                int_of(self.field, batch, row).is_some_and(|value| comparison.holds(value, *bound))
            }
            Test::FloatIn(values) => float_of(self.field, batch, row).is_some_and(|value| {
                values.iter().any(|wanted| wanted.partial_cmp(&value) == Some(std::cmp::Ordering::Equal))
            }),
            Test::FloatCompare(comparison, bound) => {
                float_of(self.field, batch, row).is_some_and(|value| comparison.holds(value, *bound))
            }
            Test::Bool(wanted) => bool_of(self.field, batch, row) == Some(*wanted),
            Test::Codes(mask) => {
                code_of(self.field, batch, row).is_some_and(|code| code < 8 && mask >> code & 1 == 1)
            }
            Test::EventTypes(types) => {
                batch.event_type.get(row).is_some_and(|id| types.binary_search(&EventTypeId(*id)).is_ok())
            }
            Test::Text(test) => self.field.text_of(batch, row).is_some_and(|text| test.holds(&text)),
            Test::Part(part, numbers) => part_of(*part, batch, row).is_some_and(|value| numbers.holds(value)),
            Test::Same(same) => same.holds_at(self.field, batch, row),
        }
    }

    /// Returns what the test says of a row whose event type is known: for the event type's own field the
    /// answer, otherwise nothing.
    pub(crate) fn known_for(&self, event_type: EventTypeId) -> Option<bool> {
        match &self.test {
            Test::EventTypes(types) => Some(types.binary_search(&event_type).is_ok()),
            Test::Exists if self.field == FieldRef::Core(CoreField::EventType) => Some(true),
            Test::Exists
            | Test::IntIn(_)
            | Test::IntCompare(..)
            | Test::FloatIn(_)
            | Test::FloatCompare(..)
            | Test::Bool(_)
            | Test::Codes(_)
            | Test::Text(_)
            | Test::Part(..)
            | Test::Same(_) => None,
        }
    }
}

/// Returns a part of the time at which the event of a row happened.
pub(crate) fn part_of(part: DatePart, batch: &EventBatch, row: usize) -> Option<i64> {
    part.of_time(UnixMicros(*batch.event_time.get(row)?))
}

fn int_of(field: FieldRef, batch: &EventBatch, row: usize) -> Option<i64> {
    match field {
        FieldRef::Core(CoreField::Bus) => {
            batch.bus.get(row).filter(|bus| **bus >= 0).map(|bus| i64::from(*bus))
        }
        FieldRef::Core(CoreField::ModelYear) => {
            batch.model_year.get(row).filter(|year| **year >= 0).map(|year| i64::from(*year))
        }
        FieldRef::Core(CoreField::Count) => batch.count.get(row).map(|count| i64::from(*count)),
        FieldRef::Core(_) => None,
        FieldRef::Catalogue(key) => {
            let column = batch.fields.get(&key).filter(|column| column.presence.get(row))?;
            match &column.values {
                FieldValues::Int(values) => values.get(row).copied(),
                FieldValues::Float(_) | FieldValues::Text(_) | FieldValues::Bool(_) => None,
            }
        }
    }
}

fn float_of(field: FieldRef, batch: &EventBatch, row: usize) -> Option<f64> {
    let FieldRef::Catalogue(key) = field else { return None };
    let column = batch.fields.get(&key).filter(|column| column.presence.get(row))?;
    match &column.values {
        FieldValues::Float(values) => values.get(row).copied(),
        FieldValues::Int(_) | FieldValues::Text(_) | FieldValues::Bool(_) => None,
    }
}

fn bool_of(field: FieldRef, batch: &EventBatch, row: usize) -> Option<bool> {
    let FieldRef::Catalogue(key) = field else { return None };
    let column = batch.fields.get(&key).filter(|column| column.presence.get(row))?;
    match &column.values {
        FieldValues::Bool(values) => values.values.get(row).copied(),
        FieldValues::Int(_) | FieldValues::Float(_) | FieldValues::Text(_) => None,
    }
}

fn code_of(field: FieldRef, batch: &EventBatch, row: usize) -> Option<u8> {
    match field {
        FieldRef::Core(CoreField::Severity) => batch.severity.get(row).copied(),
        FieldRef::Core(CoreField::Lane) => batch.lane.get(row).copied(),
        FieldRef::Core(_) | FieldRef::Catalogue(_) => None,
    }
}
