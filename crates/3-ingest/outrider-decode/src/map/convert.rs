//! From a foreign value to a value of the catalogue.

use std::borrow::Cow;
use std::collections::BTreeMap;

use outrider_model::catalogue::FieldKind;
use outrider_types::{Severity, UnixMicros};
use serde::Deserialize;

use super::event::ValueRef;
use super::scalar::{Scalar, cut_short};
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
        self.time(doc.into())
    }

    pub(super) fn time(self, scalar: Scalar<'_>) -> Option<UnixMicros> {
        // The last microsecond of the year 9999.
        const LATEST: i64 = 253_402_300_799_999_999;
        let micros = match self {
            Self::UnixS => match number(scalar)? {
                Number::Int(seconds) => seconds.checked_mul(1_000_000)?,
                Number::Float(seconds) => whole(seconds * 1e6)?,
            },
            Self::UnixMs => match number(scalar)? {
                Number::Int(millis) => millis.checked_mul(1_000)?,
                Number::Float(millis) => whole(millis * 1e3)?,
            },
            Self::UnixUs => number(scalar)?.int()?,
            Self::UnixNs => number(scalar)?.int()?.div_euclid(1_000),
            Self::Rfc3339 => rfc3339(scalar.as_text()?)?,
        };
        (0..=LATEST).contains(&micros).then_some(UnixMicros(micros))
    }
}

fn rfc3339(text: &str) -> Option<i64> {
    if let Some(micros) = utc(text.as_bytes()) {
        return Some(micros);
    }
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000)).ok()
}

/// Reads the form that most sources write: `2026-01-05T08:15:30.123456Z`, the fraction with up to nine digits or none. `None`
/// for every other, for what is no such time, and for years before 1970.
fn utc(text: &[u8]) -> Option<i64> {
    let (head, tail) = text.split_first_chunk::<19>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] = *head else {
        return None;
    };
    let pair = |one: u8, two: u8| {
        let (one, two) = (one.wrapping_sub(b'0'), two.wrapping_sub(b'0'));
        (one < 10 && two < 10).then(|| i64::from(one * 10 + two))
    };
    let (year, month, day) = (pair(y1, y2)? * 100 + pair(y3, y4)?, pair(m1, m2)?, pair(d1, d2)?);
    let (hour, minute, second) = (pair(h1, h2)?, pair(n1, n2)?, pair(s1, s2)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    // A leap second is for the other reader.
    let is_time = year >= 1970
        && (1..=12).contains(&month)
        && (1..=days).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let fraction = tail.strip_suffix(b"Z")?;
    let micros = match fraction.split_first() {
        None => 0,
        Some((b'.', digits)) if (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {
            (0..6).fold(0, |sum, place| sum * 10 + digits.get(place).map_or(0, |byte| i64::from(byte - b'0')))
        }
        Some(_) => return None,
    };
    if !is_time {
        return None;
    }
    // Days since 1970 of a year that begins in March, so that the day which only some years have is its last.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros)
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
fn number(scalar: Scalar<'_>) -> Option<Number> {
    match scalar {
        Scalar::Int(value) => Some(Number::Int(value)),
        Scalar::Float(value) => Some(Number::Float(value)),
        Scalar::Text(text) => {
            let text = text.trim();
            if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
                return radix(digits, 16).map(Number::Int);
            }
            let int = text.parse().map(Number::Int).ok();
            int.or_else(|| text.parse().ok().filter(|value: &f64| value.is_finite()).map(Number::Float))
        }
        Scalar::Null | Scalar::Bool(_) | Scalar::Bytes(_) | Scalar::Composite => None,
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

/// The conversion that computes nothing.
pub(super) static PLAIN: Conversion =
    Conversion { base: None, scale: None, offset: None, min: None, max: None, values: BTreeMap::new() };

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
        self.convert(doc.into(), kind).map(Value::from)
    }

    /// As [`Conversion::apply`], without a copy of a text.
    pub(super) fn convert<'a>(&'a self, scalar: Scalar<'a>, kind: FieldKind) -> Option<ValueRef<'a>> {
        if !self.values.is_empty() {
            let literal = self.values.get(scalar.word()?.as_ref())?;
            return plain_value(Scalar::from(literal), kind);
        }
        let is_numeric = matches!(kind, FieldKind::Int | FieldKind::Float);
        if !is_numeric {
            return plain_value(scalar, kind);
        }
        let read = match (self.base, scalar) {
            (Some(base), Scalar::Text(text)) => Number::Int(radix(text.trim(), base)?),
            _ => number(scalar)?,
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

fn plain_number<'a>(number: Number, kind: FieldKind) -> Option<ValueRef<'a>> {
    match (kind, number) {
        (FieldKind::Int, number) => number.int().map(ValueRef::Int),
        (FieldKind::Float, Number::Float(value)) => Some(ValueRef::Float(value)),
        #[expect(clippy::cast_precision_loss, reason = "a physical value needs no more than 53 bits")]
        (FieldKind::Float, Number::Int(value)) => Some(ValueRef::Float(value as f64)),
        (FieldKind::Text | FieldKind::Bool, _) => None,
    }
}

/// Makes a value of a kind without any table or unit.
pub(crate) fn plain(doc: &Doc, kind: FieldKind) -> Option<Value> {
    plain_value(doc.into(), kind).map(Value::from)
}

fn plain_value(scalar: Scalar<'_>, kind: FieldKind) -> Option<ValueRef<'_>> {
    match kind {
        FieldKind::Int | FieldKind::Float => plain_number(number(scalar)?, kind),
        FieldKind::Text => scalar.word().map(|text| ValueRef::Text(cut_short(text, TEXT_BYTES_MAX))),
        FieldKind::Bool => match scalar {
            Scalar::Bool(value) => Some(ValueRef::Bool(value)),
            Scalar::Int(0) => Some(ValueRef::Bool(false)),
            Scalar::Int(1) => Some(ValueRef::Bool(true)),
            Scalar::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" | "on" => Some(ValueRef::Bool(true)),
                "false" | "no" | "0" | "off" => Some(ValueRef::Bool(false)),
                _ => None,
            },
            Scalar::Null | Scalar::Int(_) | Scalar::Float(_) | Scalar::Bytes(_) | Scalar::Composite => None,
        },
    }
}

/// Returns the text of a value that is not made of others; bytes as hexadecimal digits.
pub(crate) fn word(doc: &Doc) -> Option<String> {
    Scalar::from(doc).word().map(Cow::into_owned)
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
    const WORDS: [(Severity, &[&str]); 5] = [
        (Severity::Info, &["info", "informational", "notice", "debug"]),
        (Severity::Low, &["low", "minor"]),
        (Severity::Medium, &["medium", "warning", "moderate"]),
        (Severity::High, &["high", "major", "error"]),
        (Severity::Critical, &["critical", "fatal", "alert", "emergency", "very-high"]),
    ];
    let is_word =
        |(_, words): &&(Severity, &[&str])| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    WORDS.iter().find(is_word).map(|(severity, _)| *severity)
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
        fn the_usual_form_of_a_time_is_read_as_the_library_reads_it(
            text in "(0000|0001|1600|1900|1969|1970|2000|2023|2024|2100|9999)-(0[0-9]|1[0-3])-([0-3][0-9])T([0-2][0-9]):([0-6][0-9]):([0-6][0-9])(\\.[0-9]{0,10})?(Z|z|\\+00:00)?",
        ) {
            if let Some(micros) = utc(text.as_bytes()) {
                let time = time::OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc3339);
                let nanos = time.expect("a time").unix_timestamp_nanos();
                prop_assert_eq!(i128::from(micros), nanos.div_euclid(1_000), "{}", text);
            }
        }

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
