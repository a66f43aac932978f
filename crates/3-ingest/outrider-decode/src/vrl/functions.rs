//! The functions of the language: all there are. None reaches network, files, environment or clock, none takes a
//! closure, and what each returns is no larger than its arguments together, but for the bounds that are named here.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a function takes the kinds it names and refuses all others"
)]

use std::sync::Arc;

use ::vrl::compiler::function::{ArgumentList, Compiled, Example, FunctionCompileContext};
use ::vrl::compiler::prelude::{Context, Expression, FunctionExpression, Resolved, TypeDef, TypeState};
use ::vrl::compiler::value::kind;
use ::vrl::compiler::{Function, Parameter};
use ::vrl::value::{ObjectMap, Value};
use base64::Engine as _;
use ordered_float::NotNan;

/// Most parts that `split` makes, and most that `join` takes.
pub(super) const PARTS_MAX: usize = 256;
/// Largest text that `replace` makes, bytes.
pub(super) const REPLACED_BYTES_MAX: usize = 64 * 1_024;

type Body = fn(&[Value]) -> Result<Value, &'static str>;

/// One function: its name, its arguments, and what it does.
#[derive(Debug, Clone, Copy)]
struct Simple {
    name: &'static str,
    usage: &'static str,
    parameters: &'static [Parameter],
    returns: fn() -> TypeDef,
    returned: u16,
    body: Body,
}

impl Function for Simple {
    fn identifier(&self) -> &'static str {
        self.name
    }

    fn usage(&self) -> &'static str {
        self.usage
    }

    fn category(&self) -> &'static str {
        "decode"
    }

    fn return_kind(&self) -> u16 {
        self.returned
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn parameters(&self) -> &'static [Parameter] {
        self.parameters
    }

    fn compile(&self, _: &TypeState, _: &mut FunctionCompileContext, arguments: ArgumentList) -> Compiled {
        let arguments =
            self.parameters.iter().map(|parameter| arguments.required(parameter.keyword)).collect();
        Ok(Call { of: *self, arguments: Arc::new(arguments) }.as_expr())
    }
}

#[derive(Debug, Clone)]
struct Call {
    of: Simple,
    arguments: Arc<Vec<Box<dyn Expression>>>,
}

impl FunctionExpression for Call {
    fn resolve(&self, context: &mut Context) -> Resolved {
        let arguments: Result<Vec<Value>, _> =
            self.arguments.iter().map(|argument| argument.resolve(context)).collect();
        (self.of.body)(&arguments?).map_err(|reason| format!("{}: {reason}", self.of.name).into())
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        (self.of.returns)()
    }
}

const NUMBER: u16 = kind::INTEGER | kind::FLOAT;

/// Returns the text of an argument.
fn text(value: &Value) -> Result<std::borrow::Cow<'_, str>, &'static str> {
    match value {
        Value::Bytes(bytes) => Ok(String::from_utf8_lossy(bytes)),
        Value::String(text) => Ok(std::borrow::Cow::Borrowed(text)),
        _ => Err("not a text"),
    }
}

fn int(value: &Value) -> Result<i64, &'static str> {
    value.as_integer().ok_or("not an integer")
}

fn float(value: f64) -> Result<Value, &'static str> {
    NotNan::new(value).map(Value::Float).map_err(|_| "no number")
}

/// Applies to a number, whichever kind it has.
fn on_number(value: &Value, ints: fn(i64) -> i64, floats: fn(f64) -> f64) -> Result<Value, &'static str> {
    match value {
        Value::Integer(value) => Ok(Value::Integer(ints(*value))),
        Value::Float(value) => float(floats(value.into_inner())),
        _ => Err("not a number"),
    }
}

fn to_whole(value: f64) -> Result<Value, &'static str> {
    // 2^63 is the first number above; it has an exact representation.
    const END: f64 = 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "compared with the range of i64 before")]
    (-END..END).contains(&value).then_some(Value::Integer(value as i64)).ok_or("beyond 64 bits")
}

fn capture(arguments: &[Value]) -> Result<Value, &'static str> {
    let [value, Value::Regex(pattern)] = arguments else { return Err("not a regular expression") };
    let text = text(value)?;
    let found = pattern.captures(&text).ok_or("does not match")?;
    let mut groups = ObjectMap::new();
    for name in pattern.capture_names().flatten() {
        let value = found.name(name).map_or(Value::Null, |part| Value::from(part.as_str()));
        groups.insert(name.into(), value);
    }
    Ok(Value::Object(groups))
}

fn from_unix(arguments: &[Value]) -> Result<Value, &'static str> {
    let [value, unit] = arguments else { return Err("two arguments") };
    let (value, unit) = (int(value)?, text(unit)?);
    let time = match unit.as_ref() {
        "s" => chrono::DateTime::from_timestamp(value, 0),
        "ms" => chrono::DateTime::from_timestamp_millis(value),
        "us" => chrono::DateTime::from_timestamp_micros(value),
        "ns" => Some(chrono::DateTime::from_timestamp_nanos(value)),
        _ => return Err("unit is not s, ms, us or ns"),
    };
    time.map(Value::Timestamp).ok_or("out of range")
}

fn parse_time(arguments: &[Value]) -> Result<Value, &'static str> {
    let [value, format] = arguments else { return Err("two arguments") };
    let (value, format) = (text(value)?, text(format)?);
    // Without an offset in the format it is UTC.
    let time = chrono::DateTime::parse_from_str(&value, &format).map(|time| time.to_utc());
    let time =
        time.or_else(|_| chrono::NaiveDateTime::parse_from_str(&value, &format).map(|time| time.and_utc()));
    time.map(Value::Timestamp).map_err(|_| "no time of this format")
}

macro_rules! functions {
    ($($name:literal ($($argument:literal : $kind:expr),*) -> $returns:expr, $returned:expr, $usage:literal, $body:expr;)*) => {
        const ALL: &[Simple] = &[$(Simple {
            name: $name,
            usage: $usage,
            parameters: const { &[$(Parameter::required($argument, $kind, "")),*] },
            returns: || $returns,
            returned: $returned,
            body: $body,
        }),*];
    };
}

functions! {
    "abs"("value": NUMBER) -> TypeDef::integer().or_float().infallible(), NUMBER, "Absolute value.",
        |of| on_number(&of[0], i64::saturating_abs, f64::abs);
    "round"("value": NUMBER) -> TypeDef::integer().or_float().infallible(), NUMBER, "Nearest whole number.",
        |of| on_number(&of[0], |value| value, f64::round);
    "floor"("value": NUMBER) -> TypeDef::integer().or_float().infallible(), NUMBER, "Next whole number below.",
        |of| on_number(&of[0], |value| value, f64::floor);
    "to_int"("value": kind::ANY) -> TypeDef::integer().fallible(), kind::INTEGER,
        "Integer of a number (cut), a decimal or 0x text, a truth value, or a time in microseconds.",
        |of| match &of[0] {
            Value::Integer(value) => Ok(Value::Integer(*value)),
            Value::Float(value) => to_whole(value.trunc()),
            Value::Boolean(value) => Ok(Value::Integer(i64::from(*value))),
            Value::Timestamp(time) => Ok(Value::Integer(time.timestamp_micros())),
            other => {
                let text = text(other)?;
                let text = text.trim();
                let parsed = text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| i64::from_str_radix(digits, 16));
                parsed.map(Value::Integer).map_err(|_| "no integer")
            }
        };
    "to_float"("value": kind::ANY) -> TypeDef::float().fallible(), kind::FLOAT, "Floating point of a number or decimal text.",
        |of| match &of[0] {
            #[expect(clippy::cast_precision_loss, reason = "what the caller asks for")]
            Value::Integer(value) => float(*value as f64),
            Value::Float(value) => Ok(Value::Float(*value)),
            other => text(other)?.trim().parse().map_err(|_| "no number").and_then(float),
        };
    "to_bool"("value": kind::ANY) -> TypeDef::boolean().fallible(), kind::BOOLEAN,
        "Truth value of true, false, yes, no, on, off, 1 and 0.",
        |of| match &of[0] {
            Value::Boolean(value) => Ok(Value::Boolean(*value)),
            Value::Integer(value @ (0 | 1)) => Ok(Value::Boolean(*value == 1)),
            other => match text(other)?.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok(Value::Boolean(true)),
                "false" | "no" | "off" | "0" => Ok(Value::Boolean(false)),
                _ => Err("no truth value"),
            },
        };
    "to_string"("value": kind::ANY) -> TypeDef::bytes().fallible(), kind::BYTES, "Text of a value that is not made of others.",
        |of| match &of[0] {
            Value::Null => Ok(Value::from("")),
            Value::Integer(value) => Ok(Value::from(value.to_string())),
            Value::Float(value) => Ok(Value::from(value.to_string())),
            Value::Boolean(value) => Ok(Value::from(value.to_string())),
            Value::Timestamp(time) => Ok(Value::from(time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))),
            other => text(other).map(|text| Value::from(text.into_owned())),
        };
    "parse_int"("value": kind::BYTES, "base": kind::INTEGER) -> TypeDef::integer().fallible(), kind::INTEGER,
        "Integer of digits in a base of 2 to 36.",
        |of| {
            let base = u32::try_from(int(&of[1])?).ok().filter(|base| (2..=36).contains(base)).ok_or("base is not 2 to 36")?;
            i64::from_str_radix(text(&of[0])?.trim(), base).map(Value::Integer).map_err(|_| "no integer")
        };
    "multiply"("value": NUMBER, "by": NUMBER) -> TypeDef::float().fallible(), kind::FLOAT, "Product of two numbers, floating point.",
        |of| {
            let number = |value: &Value| match value {
                #[expect(clippy::cast_precision_loss, reason = "the result is floating point")]
                Value::Integer(value) => Ok(*value as f64),
                Value::Float(value) => Ok(value.into_inner()),
                _ => Err("not a number"),
            };
            float(number(&of[0])? * number(&of[1])?)
        };
    "bit_and"("value": kind::INTEGER, "mask": kind::INTEGER) -> TypeDef::integer().infallible(), kind::INTEGER, "Bits that both have.",
        |of| Ok(Value::Integer(int(&of[0])? & int(&of[1])?));
    "shift_right"("value": kind::INTEGER, "bits": kind::INTEGER) -> TypeDef::integer().fallible(), kind::INTEGER,
        "Bits moved towards the lowest by 0 to 63 places; zeros follow.",
        |of| {
            let bits = u32::try_from(int(&of[1])?).ok().filter(|bits| *bits < 64).ok_or("not 0 to 63 bits")?;
            Ok(Value::Integer((int(&of[0])?.cast_unsigned() >> bits).cast_signed()))
        };
    "object"("value": kind::ANY) -> TypeDef::object(::vrl::value::kind::Collection::any()).fallible(), kind::OBJECT, "The value, if it is an object.",
        |of| if let Value::Object(_) = &of[0] { Ok(of[0].clone()) } else { Err("not an object") };
    "list"("value": kind::ANY) -> TypeDef::array(::vrl::value::kind::Collection::any()).fallible(), kind::ARRAY, "The value, if it is a list.",
        |of| if let Value::Array(_) = &of[0] { Ok(of[0].clone()) } else { Err("not a list") };
    "upcase"("value": kind::BYTES) -> TypeDef::bytes().infallible(), kind::BYTES, "ASCII letters in upper case.",
        |of| Ok(Value::from(text(&of[0])?.to_ascii_uppercase()));
    "downcase"("value": kind::BYTES) -> TypeDef::bytes().infallible(), kind::BYTES, "ASCII letters in lower case.",
        |of| Ok(Value::from(text(&of[0])?.to_ascii_lowercase()));
    "trim"("value": kind::BYTES) -> TypeDef::bytes().infallible(), kind::BYTES, "Without white space at both ends.",
        |of| Ok(Value::from(text(&of[0])?.trim()));
    "length"("value": kind::BYTES | kind::ARRAY | kind::OBJECT) -> TypeDef::integer().infallible(), kind::INTEGER,
        "Bytes of a text, or entries.",
        |of| {
            let length = match &of[0] {
                Value::Array(values) => values.len(),
                Value::Object(entries) => entries.len(),
                Value::Bytes(bytes) => bytes.len(),
                other => text(other)?.len(),
            };
            i64::try_from(length).map(Value::Integer).map_err(|_| "too long")
        };
    "contains"("value": kind::BYTES, "part": kind::BYTES) -> TypeDef::boolean().infallible(), kind::BOOLEAN, "Whether a text holds another.",
        |of| Ok(Value::Boolean(text(&of[0])?.contains(text(&of[1])?.as_ref())));
    "starts_with"("value": kind::BYTES, "part": kind::BYTES) -> TypeDef::boolean().infallible(), kind::BOOLEAN, "Whether a text begins so.",
        |of| Ok(Value::Boolean(text(&of[0])?.starts_with(text(&of[1])?.as_ref())));
    "ends_with"("value": kind::BYTES, "part": kind::BYTES) -> TypeDef::boolean().infallible(), kind::BOOLEAN, "Whether a text ends so.",
        |of| Ok(Value::Boolean(text(&of[0])?.ends_with(text(&of[1])?.as_ref())));
    "slice"("value": kind::BYTES, "from": kind::INTEGER, "to": kind::INTEGER) -> TypeDef::bytes().fallible(), kind::BYTES,
        "Bytes `from` to, not including, `to` of a text; both between characters.",
        |of| {
            let text = text(&of[0])?;
            let at = |value: &Value| usize::try_from(int(value)?).map_err(|_| "below zero");
            text.get(at(&of[1])?..at(&of[2])?).map(Value::from).ok_or("outside of the text")
        };
    "split"("value": kind::BYTES, "by": kind::BYTES) -> TypeDef::array(::vrl::value::kind::Collection::any()).fallible(), kind::ARRAY,
        "Parts of a text, at most 256.",
        |of| {
            let (text, by) = (text(&of[0])?, text(&of[1])?);
            if by.is_empty() {
                return Err("nothing to split by");
            }
            let parts: Vec<Value> = text.split(by.as_ref()).take(PARTS_MAX + 1).map(Value::from).collect();
            if parts.len() > PARTS_MAX { Err("more than 256 parts") } else { Ok(Value::Array(parts)) }
        };
    "replace"("value": kind::BYTES, "what": kind::BYTES, "with": kind::BYTES) -> TypeDef::bytes().fallible(), kind::BYTES,
        "Every occurrence replaced; the result has at most 64 KiB.",
        |of| {
            let (text, what, with) = (text(&of[0])?, text(&of[1])?, text(&of[2])?);
            if what.is_empty() {
                return Err("nothing to replace");
            }
            let grown = text.len().saturating_add(text.matches(what.as_ref()).count().saturating_mul(with.len()));
            if grown > REPLACED_BYTES_MAX { Err("the result is too long") } else { Ok(Value::from(text.replace(what.as_ref(), &with))) }
        };
    "matches"("value": kind::BYTES, "pattern": kind::REGEX) -> TypeDef::boolean().fallible(), kind::BOOLEAN, "Whether a regular expression is found.",
        |of| {
            let [value, Value::Regex(pattern)] = of else { return Err("not a regular expression") };
            Ok(Value::Boolean(pattern.is_match(&text(value)?)))
        };
    "capture"("value": kind::BYTES, "pattern": kind::REGEX) -> TypeDef::object(::vrl::value::kind::Collection::any()).fallible(), kind::OBJECT,
        "Named groups of the first match.", capture;
    "lookup"("object": kind::OBJECT, "key": kind::BYTES) -> TypeDef::any().infallible(), kind::ANY, "Value under a key, or null.",
        |of| {
            let Value::Object(entries) = &of[0] else { return Err("not an object") };
            Ok(entries.get(text(&of[1])?.as_ref()).cloned().unwrap_or(Value::Null))
        };
    "hex"("value": kind::BYTES) -> TypeDef::bytes().infallible(), kind::BYTES, "Hexadecimal digits of bytes.",
        |of| match &of[0] {
            Value::Bytes(bytes) => Ok(Value::from(crate::map::hex(bytes))),
            other => Ok(Value::from(crate::map::hex(text(other)?.as_bytes()))),
        };
    "unhex"("value": kind::BYTES) -> TypeDef::bytes().fallible(), kind::BYTES, "Bytes of hexadecimal digits.",
        |of| crate::map::from_hex(&text(&of[0])?).map(|bytes| Value::Bytes(bytes.into())).ok_or("no hexadecimal digits");
    "base64"("value": kind::BYTES) -> TypeDef::bytes().fallible(), kind::BYTES, "Bytes of base64 text.",
        |of| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text(&of[0])?.trim());
            bytes.map(|bytes| Value::Bytes(bytes.into())).map_err(|_| "no base64")
        };
    "from_unix"("value": kind::INTEGER, "unit": kind::BYTES) -> TypeDef::timestamp().fallible(), kind::TIMESTAMP,
        "Time of a number of s, ms, us or ns since 1970.", from_unix;
    "parse_time"("value": kind::BYTES, "format": kind::BYTES) -> TypeDef::timestamp().fallible(), kind::TIMESTAMP,
        "Time of a text by a strftime format; UTC if the format has no offset.", parse_time;
}

/// Returns every function of the language.
pub(super) fn all() -> Vec<Box<dyn Function>> {
    ALL.iter().map(|function| Box::new(*function) as Box<dyn Function>).collect()
}

/// Returns how many times the size of its arguments a function's result may have, and the bytes beside; `None` for a name
/// that is no function.
pub(super) fn growth(name: &str) -> Option<(u64, u64)> {
    if !ALL.iter().any(|function| function.name == name) {
        return None;
    }
    Some(match name {
        "hex" => (2, 0),
        "replace" => (1, REPLACED_BYTES_MAX as u64),
        // A value in a list takes more than its text.
        "split" => (1, 64 * PARTS_MAX as u64),
        _ => (1, 64),
    })
}

/// Returns the names and usages, for documentation.
#[must_use]
pub fn vrl_functions() -> Vec<(String, &'static str)> {
    let words = |function: &Simple| {
        let arguments: Vec<&str> = function.parameters.iter().map(|parameter| parameter.keyword).collect();
        (format!("{}({})", function.name, arguments.join(", ")), function.usage)
    };
    ALL.iter().map(words).collect()
}
