//! From a foreign value to a value of the catalogue.

use std::collections::BTreeMap;

use outrider_model::catalogue::FieldKind;
use outrider_types::{Severity, UnixMicros};
use serde::Deserialize;

use crate::doc::Doc;
use crate::record::Value;

/// Longest text of a field, bytes: what the catalogue allows on the wire.
pub(crate) const TEXT_BYTES_MAX: usize = 256;

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeForm {
    /// Seconds since 1970, whole or with a fraction.
    UnixS,
    /// Milliseconds since 1970.
    UnixMs,
    /// Microseconds since 1970.
    UnixUs,
    /// Nanoseconds since 1970.
    UnixNs,
    /// RFC 3339, with an offset.
    Rfc3339,
}

impl TimeForm {
    /// Reads a time; `None` for what is none or lies outside of the years 1970 to 9999.
    #[must_use]
    pub fn read(self, doc: &Doc) -> Option<UnixMicros> {
        // The last microsecond of the year 9999.
        const LATEST: i64 = 253_402_300_799_999_999;
        let micros = match self {
            Self::UnixS => match number(doc)? {
                Number::Int(seconds) => seconds.checked_mul(1_000_000)?,
                Number::Float(seconds) => whole(seconds * 1e6)?,
            },
            Self::UnixMs => match number(doc)? {
                Number::Int(millis) => millis.checked_mul(1_000)?,
                Number::Float(millis) => whole(millis * 1e3)?,
            },
            Self::UnixUs => number(doc)?.int()?,
            Self::UnixNs => number(doc)?.int()?.div_euclid(1_000),
            Self::Rfc3339 => rfc3339(doc.as_text()?)?,
        };
        (0..=LATEST).contains(&micros).then_some(UnixMicros(micros))
    }
}

fn rfc3339(text: &str) -> Option<i64> {
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000)).ok()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    fn int(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            Self::Float(value) => whole(value),
        }
    }
}

/// Returns the integer next to a number, if there is one.
fn whole(value: f64) -> Option<i64> {
    // 2^63 is the first number above; it has an exact representation.
    const END: f64 = 9_223_372_036_854_775_808.0;
    let rounded = value.round();
    #[expect(clippy::cast_possible_truncation, reason = "compared with the range of i64 before")]
    (-END..END).contains(&rounded).then_some(rounded as i64)
}

/// Returns the number that a value is or spells: decimal, or hexadecimal with `0x`.
fn number(doc: &Doc) -> Option<Number> {
    match doc {
        Doc::Int(value) => Some(Number::Int(*value)),
        Doc::Float(value) => Some(Number::Float(*value)),
        Doc::Text(text) => {
            let text = text.trim();
            if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
                return radix(digits, 16).map(Number::Int);
            }
            let int = text.parse().map(Number::Int).ok();
            int.or_else(|| text.parse().ok().filter(|value: &f64| value.is_finite()).map(Number::Float))
        }
        Doc::Null | Doc::Bool(_) | Doc::Bytes(_) | Doc::List(_) | Doc::Map(_) => None,
    }
}

/// Reads digits only: `from_str_radix` would take a sign, too.
fn radix(digits: &str, base: u32) -> Option<i64> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then(|| i64::from_str_radix(digits, base).ok()).flatten()
}

/// How a foreign value becomes a value of a field.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conversion {
    /// Base of a number that is a text without `0x`, 2 to 36.
    pub base: Option<u32>,
    /// Factor from the source's unit to the catalogue's: value × `scale` + `offset`.
    pub scale: Option<f64>,
    /// Added after the factor, in the catalogue's unit.
    pub offset: Option<f64>,
    /// Least value that is believed, in the catalogue's unit.
    pub min: Option<f64>,
    /// Largest value that is believed, in the catalogue's unit.
    pub max: Option<f64>,
    /// Words or numbers of the source and what they mean; with it, another word is no value.
    pub values: BTreeMap<String, Literal>,
}

/// A value in a package's table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Literal {
    /// Truth value.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Floating point.
    Float(f64),
    /// Text.
    Text(String),
}

impl From<&Literal> for Doc {
    fn from(literal: &Literal) -> Self {
        match literal {
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Int(value) => Self::Int(*value),
            Literal::Float(value) => Self::Float(*value),
            Literal::Text(value) => Self::Text(value.clone()),
        }
    }
}

impl Conversion {
    /// Returns why the conversion itself is wrong.
    ///
    /// # Errors
    /// The words for the engineer.
    pub fn check(&self) -> Result<(), &'static str> {
        let numbers = [self.scale, self.offset, self.min, self.max];
        if numbers.iter().flatten().any(|number| !number.is_finite()) {
            return Err("a number is infinite or none");
        }
        if self.base.is_some_and(|base| !(2..=36).contains(&base)) {
            return Err("base is not 2 to 36");
        }
        if self.scale == Some(0.0) {
            return Err("scale is zero");
        }
        if self.min.zip(self.max).is_some_and(|(min, max)| min > max) {
            return Err("min is above max");
        }
        Ok(())
    }

    /// Makes a value of a kind; `None` for what is none.
    #[must_use]
    pub fn apply(&self, doc: &Doc, kind: FieldKind) -> Option<Value> {
        if !self.values.is_empty() {
            let literal = self.values.get(&word(doc)?)?;
            return plain(&Doc::from(literal), kind);
        }
        let is_numeric = matches!(kind, FieldKind::Int | FieldKind::Float);
        if !is_numeric {
            return plain(doc, kind);
        }
        let read = match (self.base, doc) {
            (Some(base), Doc::Text(text)) => Number::Int(radix(text.trim(), base)?),
            _ => number(doc)?,
        };
        if self.scale.is_none() && self.offset.is_none() && self.min.is_none() && self.max.is_none() {
            // Integers stay exact where nothing is to be computed.
            return plain_number(read, kind);
        }
        #[expect(clippy::cast_precision_loss, reason = "a physical value needs no more than 53 bits")]
        let raw = match read {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        };
        let value = raw.mul_add(self.scale.unwrap_or(1.0), self.offset.unwrap_or(0.0));
        let is_believed = value.is_finite()
            && self.min.is_none_or(|min| value >= min)
            && self.max.is_none_or(|max| value <= max);
        is_believed.then(|| plain_number(Number::Float(value), kind)).flatten()
    }
}

fn plain_number(number: Number, kind: FieldKind) -> Option<Value> {
    match (kind, number) {
        (FieldKind::Int, number) => number.int().map(Value::Int),
        (FieldKind::Float, Number::Float(value)) => Some(Value::Float(value)),
        #[expect(clippy::cast_precision_loss, reason = "a physical value needs no more than 53 bits")]
        (FieldKind::Float, Number::Int(value)) => Some(Value::Float(value as f64)),
        (FieldKind::Text | FieldKind::Bool, _) => None,
    }
}

/// Makes a value of a kind without any table or unit.
pub(crate) fn plain(doc: &Doc, kind: FieldKind) -> Option<Value> {
    match kind {
        FieldKind::Int | FieldKind::Float => plain_number(number(doc)?, kind),
        FieldKind::Text => word(doc).map(|text| Value::Text(cut(text, TEXT_BYTES_MAX))),
        FieldKind::Bool => match doc {
            Doc::Bool(value) => Some(Value::Bool(*value)),
            Doc::Int(0) => Some(Value::Bool(false)),
            Doc::Int(1) => Some(Value::Bool(true)),
            Doc::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" | "on" => Some(Value::Bool(true)),
                "false" | "no" | "0" | "off" => Some(Value::Bool(false)),
                _ => None,
            },
            Doc::Null | Doc::Int(_) | Doc::Float(_) | Doc::Bytes(_) | Doc::List(_) | Doc::Map(_) => None,
        },
    }
}

/// Returns the text of a value that is not made of others; bytes as hexadecimal digits.
pub(crate) fn word(doc: &Doc) -> Option<String> {
    match doc {
        Doc::Bool(value) => Some(value.to_string()),
        Doc::Int(value) => Some(value.to_string()),
        Doc::Float(value) => Some(value.to_string()),
        Doc::Text(value) => Some(value.clone()),
        Doc::Bytes(value) => Some(hex(value)),
        Doc::Null | Doc::List(_) | Doc::Map(_) => None,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Cuts a text to at most `bytes_max` bytes, between characters.
pub(crate) fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max.min(text.len())));
    text
}

/// Reads a severity: a word of this product, or a word that sources commonly use.
#[must_use]
pub(crate) fn severity(text: &str) -> Option<Severity> {
    match text.to_ascii_lowercase().as_str() {
        "info" | "informational" | "notice" | "debug" => Some(Severity::Info),
        "low" | "minor" => Some(Severity::Low),
        "medium" | "warning" | "moderate" => Some(Severity::Medium),
        "high" | "major" | "error" => Some(Severity::High),
        "critical" | "fatal" | "alert" | "emergency" | "very-high" => Some(Severity::Critical),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Doc {
        Doc::Text(text.to_owned())
    }

    #[test]
    fn times_are_read_in_each_form_and_refused_outside_of_their_range() {
        let time = |form: TimeForm, doc: Doc| form.read(&doc).map(|time| time.0);
        assert_eq!(time(TimeForm::UnixS, Doc::Int(1_700_000_000)), Some(1_700_000_000_000_000));
        assert_eq!(time(TimeForm::UnixS, text("1700000000.25")), Some(1_700_000_000_250_000));
        assert_eq!(time(TimeForm::UnixMs, text("1700000000250")), Some(1_700_000_000_250_000));
        assert_eq!(time(TimeForm::UnixNs, Doc::Int(1_700_000_000_000_001_999)), Some(1_700_000_000_000_001));
        assert_eq!(time(TimeForm::Rfc3339, text("2023-11-14T22:13:20.25Z")), Some(1_700_000_000_250_000));
        assert_eq!(
            time(TimeForm::Rfc3339, text("2023-11-15T00:13:20.25+02:00")),
            Some(1_700_000_000_250_000)
        );
        for (form, doc) in [
            (TimeForm::UnixS, Doc::Int(-1)),
            (TimeForm::UnixS, Doc::Int(i64::MAX)),
            (TimeForm::UnixS, Doc::Float(1e300)),
            (TimeForm::Rfc3339, text("2023-11-14T22:13:20")),
            (TimeForm::UnixS, Doc::Bool(true)),
        ] {
            assert_eq!(time(form, doc.clone()), None, "{form:?} {doc:?}");
        }
    }

    #[test]
    fn units_tables_and_bounds_make_values() {
        let knots = Conversion { scale: Some(1.852), ..Conversion::default() };
        assert_eq!(knots.apply(&Doc::Int(10), FieldKind::Float), Some(Value::Float(18.52)));
        assert_eq!(knots.apply(&Doc::Int(10), FieldKind::Int), Some(Value::Int(19)), "rounded");
        let bounded = Conversion { min: Some(0.0), max: Some(300.0), ..Conversion::default() };
        assert_eq!(bounded.apply(&Doc::Int(301), FieldKind::Int), None);
        let hex = Conversion { base: Some(16), ..Conversion::default() };
        assert_eq!(hex.apply(&text("7E0"), FieldKind::Int), Some(Value::Int(0x7e0)));
        assert_eq!(hex.apply(&text("-1"), FieldKind::Int), None);
        assert_eq!(Conversion::default().apply(&text("0x7e0"), FieldKind::Int), Some(Value::Int(0x7e0)));
        let exact = Conversion::default().apply(&Doc::Int(i64::MAX), FieldKind::Int);
        assert_eq!(exact, Some(Value::Int(i64::MAX)), "no detour by floating point");
        let values = BTreeMap::from([("3".to_owned(), Literal::Text("extended".to_owned()))]);
        let table = Conversion { values, ..Conversion::default() };
        assert_eq!(table.apply(&Doc::Int(3), FieldKind::Text), Some(Value::Text("extended".to_owned())));
        assert_eq!(table.apply(&Doc::Int(4), FieldKind::Text), None);
        for bad in [
            Conversion { scale: Some(0.0), ..Conversion::default() },
            Conversion { base: Some(37), ..Conversion::default() },
            Conversion { offset: Some(f64::NAN), ..Conversion::default() },
            Conversion { min: Some(2.0), max: Some(1.0), ..Conversion::default() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_number_and_text_ends_in_a_value_or_none(number in any::<f64>(), words in "\\PC{0,300}", scale in any::<f64>()) {
            let conversion = Conversion { scale: Some(scale), ..Conversion::default() };
            for kind in [FieldKind::Int, FieldKind::Float, FieldKind::Text, FieldKind::Bool] {
                for doc in [Doc::Float(number), Doc::Text(words.clone())] {
                    if let Some(Value::Float(value)) = conversion.apply(&doc, kind) {
                        prop_assert!(value.is_finite());
                    }
                    if let Some(Value::Text(value)) = conversion.apply(&doc, kind) {
                        prop_assert!(value.len() <= TEXT_BYTES_MAX);
                    }
                }
            }
            for form in [TimeForm::UnixS, TimeForm::UnixMs, TimeForm::UnixUs, TimeForm::UnixNs, TimeForm::Rfc3339] {
                let _ = form.read(&Doc::Float(number));
                let _ = form.read(&Doc::Text(words.clone()));
            }
        }
    }
}
