//! The text of a layout, and what is checked before it reads anything.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::map::Literal;

/// Most types of a layout, and most fields of a type (guess: the largest layouts in public use have about 200).
const TYPES_MAX: usize = 256;
const FIELDS_MAX: usize = 512;

/// Order of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Endian {
    #[default]
    Big,
    Little,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    /// Type that an input begins with.
    root: String,
    /// Order of bytes where a field does not say.
    #[serde(default)]
    endian: Endian,
    /// Whether the root stands again and again until the input ends.
    #[serde(default)]
    repeat: bool,
    #[serde(rename = "type")]
    types: BTreeMap<String, Vec<FieldText>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FieldText {
    name: String,
    uint: Option<u32>,
    int: Option<u32>,
    float: Option<u32>,
    bool: Option<bool>,
    pad: Option<SizeText>,
    text: Option<LengthText>,
    bytes: Option<LengthText>,
    #[serde(rename = "type")]
    of: Option<String>,
    switch: Option<String>,
    cases: BTreeMap<String, String>,
    default: Option<String>,
    /// Length of a nested value, bytes: what it does not read is skipped, what it would read beyond is an error.
    size: Option<SizeText>,
    count: Option<SizeText>,
    until_end: bool,
    endian: Option<Endian>,
    equals: Option<i64>,
    scale: Option<f64>,
    offset: Option<f64>,
    values: BTreeMap<String, Literal>,
    when: Option<WhenText>,
    at: Option<SizeText>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum SizeText {
    Fixed(u32),
    From(FromText),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FromText {
    field: String,
    #[serde(default = "one")]
    times: i64,
    #[serde(default)]
    add: i64,
}

const fn one() -> i64 {
    1
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum LengthText {
    Size(SizeText),
    Word(WordText),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WordText {
    /// Everything that is left.
    Rest,
    /// Up to a zero byte, which is not part of it.
    Zero,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WhenText {
    field: String,
    #[serde(default = "all")]
    mask: i64,
    equals: Option<i64>,
    not: Option<i64>,
}

const fn all() -> i64 {
    -1
}

/// A size, in bytes, elements or bits as its place says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Size {
    Fixed(u32),
    From { field: String, times: i64, add: i64 },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Length {
    Size(Size),
    Rest,
    Zero,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Uint(u32),
    Int(u32),
    Float(u32),
    Bool,
    Pad(Size),
    Text(Length),
    Bytes(Length),
    Type(usize),
    Switch { on: String, cases: BTreeMap<i64, usize>, default: Option<usize> },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Times {
    Once,
    Count(Size),
    UntilEnd,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct When {
    pub(super) field: String,
    pub(super) mask: i64,
    pub(super) equals: Option<i64>,
    pub(super) not: Option<i64>,
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) times: Times,
    pub(super) size: Option<Size>,
    pub(super) at: Option<Size>,
    pub(super) endian: Endian,
    pub(super) equals: Option<i64>,
    pub(super) linear: Option<(f64, f64)>,
    pub(super) values: BTreeMap<i64, Literal>,
    pub(super) when: Option<When>,
}

/// A checked layout.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) root: usize,
    pub(super) repeat: bool,
    pub(super) types: Vec<Vec<Field>>,
}

/// Why a text is no layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The text is no TOML, or has keys that a layout does not have.
    #[error("layout: {0}")]
    Syntax(String),
    /// A part is wrong.
    #[error("layout: {place}: {reason}")]
    Part {
        /// Where: type, number of the field and its name.
        place: String,
        /// Why, in words.
        reason: String,
    },
}

fn part(place: impl Into<String>, reason: impl Into<String>) -> LayoutError {
    LayoutError::Part { place: place.into(), reason: reason.into() }
}

pub(super) fn parse(text: &str) -> Result<Spec, LayoutError> {
    let text: Text = toml::from_str(text).map_err(|error| LayoutError::Syntax(error.to_string()))?;
    if text.types.len() > TYPES_MAX {
        return Err(part("type", format!("more than {TYPES_MAX} types")));
    }
    let names: BTreeMap<&str, usize> =
        text.types.keys().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    let root =
        *names.get(text.root.as_str()).ok_or_else(|| part("root", format!("no type `{}`", text.root)))?;
    let mut types = Vec::new();
    for (name, fields) in &text.types {
        if fields.len() > FIELDS_MAX {
            return Err(part(name, format!("more than {FIELDS_MAX} fields")));
        }
        let mut made = Vec::new();
        for (index, of) in fields.iter().enumerate() {
            let place = format!("type {name}, field {} ({})", index + 1, of.name);
            made.push(field(of, text.endian, &names).map_err(|reason| part(place, reason))?);
        }
        types.push(made);
    }
    Ok(Spec { root, repeat: text.repeat, types })
}

fn size(text: &SizeText) -> Size {
    match text {
        SizeText::Fixed(size) => Size::Fixed(*size),
        SizeText::From(from) => Size::From { field: from.field.clone(), times: from.times, add: from.add },
    }
}

fn length(text: &LengthText) -> Length {
    match text {
        LengthText::Size(text) => Length::Size(size(text)),
        LengthText::Word(WordText::Rest) => Length::Rest,
        LengthText::Word(WordText::Zero) => Length::Zero,
    }
}

fn shape(of: &FieldText, names: &BTreeMap<&str, usize>) -> Result<Shape, String> {
    let known = |name: &String| names.get(name.as_str()).copied().ok_or_else(|| format!("no type `{name}`"));
    let bits = |bits: u32| (1..=64).contains(&bits).then_some(bits).ok_or("a number has 1 to 64 bits");
    let mut shapes = Vec::new();
    if let Some(width) = of.uint {
        shapes.push(Shape::Uint(bits(width)?));
    }
    if let Some(width) = of.int {
        shapes.push(Shape::Int(bits(width)?));
    }
    if let Some(width) = of.float {
        shapes.push(Shape::Float(
            matches!(width, 32 | 64).then_some(width).ok_or("a float has 32 or 64 bits")?,
        ));
    }
    if of.bool == Some(true) {
        shapes.push(Shape::Bool);
    }
    shapes.extend(of.pad.as_ref().map(|text| Shape::Pad(size(text))));
    shapes.extend(of.text.as_ref().map(|text| Shape::Text(length(text))));
    shapes.extend(of.bytes.as_ref().map(|text| Shape::Bytes(length(text))));
    if let Some(name) = &of.of {
        shapes.push(Shape::Type(known(name)?));
    }
    if let Some(on) = &of.switch {
        let mut cases = BTreeMap::new();
        for (value, name) in &of.cases {
            cases.insert(integer(value)?, known(name)?);
        }
        let default = of.default.as_ref().map(known).transpose()?;
        shapes.push(Shape::Switch { on: on.clone(), cases, default });
    }
    match (shapes.pop(), shapes.is_empty()) {
        (Some(shape), true) => Ok(shape),
        _ => Err("exactly one of uint, int, float, bool, pad, text, bytes, type, switch".to_owned()),
    }
}

fn integer(text: &str) -> Result<i64, String> {
    let parsed = text
        .strip_prefix("0x")
        .map_or_else(|| text.parse().ok(), |digits| i64::from_str_radix(digits, 16).ok());
    parsed.ok_or_else(|| format!("`{text}` is no integer"))
}

fn field(of: &FieldText, endian: Endian, names: &BTreeMap<&str, usize>) -> Result<Field, String> {
    let shape = shape(of, names)?;
    if of.name.is_empty() != matches!(shape, Shape::Pad(_)) {
        return Err("every field but a pad has a name".to_owned());
    }
    let times = match (&of.count, of.until_end) {
        (None, false) => Times::Once,
        (Some(count), false) => Times::Count(size(count)),
        (None, true) => Times::UntilEnd,
        (Some(_), true) => return Err("either count or until_end".to_owned()),
    };
    let is_number = matches!(shape, Shape::Uint(_) | Shape::Int(_) | Shape::Float(_));
    let numbers = [of.scale, of.offset];
    if numbers.iter().any(Option::is_some) && !is_number {
        return Err("scale and offset are for numbers".to_owned());
    }
    if numbers.iter().flatten().any(|number| !number.is_finite()) {
        return Err("a number is infinite or none".to_owned());
    }
    let linear =
        numbers.iter().any(Option::is_some).then(|| (of.scale.unwrap_or(1.0), of.offset.unwrap_or(0.0)));
    let values: Result<BTreeMap<i64, Literal>, String> =
        of.values.iter().map(|(word, value)| Ok((integer(word)?, value.clone()))).collect();
    let when = of.when.as_ref().map(|when| When {
        field: when.field.clone(),
        mask: when.mask,
        equals: when.equals,
        not: when.not,
    });
    Ok(Field {
        name: of.name.clone(),
        shape,
        times,
        size: of.size.as_ref().map(size),
        at: of.at.as_ref().map(size),
        endian: of.endian.unwrap_or(endian),
        equals: of.equals,
        linear,
        values: values?,
        when,
    })
}
