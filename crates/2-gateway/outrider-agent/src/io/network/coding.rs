//! How raw values are to be read; ARXML and FIBEX say it in the same elements (ASAM Harmonised Data Objects).

use std::collections::BTreeMap;

use outrider_bus::can::ByteOrder;

use super::VALUES_MAX;
use super::arxml::number;
use super::model::{Reason, Signal};
use super::xml::Element;
use crate::io::dbc::{DbcValueKind, Multiplex};

/// Work that a signal or frame costs, in children looked at: it bounds how many a file can make.
pub(super) const SIGNAL_STEPS: u64 = 250;

/// Creates a signal whose physical value is its raw value.
pub(super) fn raw(name: String, start_bit: u16, bits: u16, order: ByteOrder) -> Signal {
    Signal {
        name,
        start_bit,
        bits,
        order,
        kind: DbcValueKind::Unsigned,
        factor: 1.0,
        offset: 0.0,
        min: 0.0,
        max: 0.0,
        unit: String::new(),
        receivers: Vec::new(),
        multiplex: Multiplex::Plain,
        values: BTreeMap::new(),
    }
}

/// Applies an encoding by its name; returns false if the name or the width is not known.
pub(super) fn encoding(word: Option<&str>, out: &mut Signal) -> bool {
    out.kind = match (word, out.bits) {
        (Some("2C" | "SIGNED"), _) => DbcValueKind::Signed,
        (Some("IEEE754" | "IEEE-FLOATING-TYPE"), 32) => DbcValueKind::Float32,
        (Some("IEEE754" | "IEEE-FLOATING-TYPE"), 64) => DbcValueKind::Float64,
        (
            Some("NONE" | "UNSIGNED" | "BOOLEAN" | "BIT" | "UTF-8" | "UTF-16" | "ISO-8859-1" | "ASCII")
            | None,
            _,
        ) => DbcValueKind::Unsigned,
        (Some(_), _) => return false,
    };
    true
}

/// Applies a computation method: one linear scale, limits, names of values.
pub(super) fn computation<'t>(
    method: Element<'t>,
    out: &mut Signal,
    problem: &mut dyn FnMut(Element<'t>, Reason, &str),
) {
    let Some(scales) = method.down(&["COMPU-INTERNAL-TO-PHYS", "COMPU-SCALES"]) else { return };
    let mut linear = 0;
    for scale in scales.all("COMPU-SCALE") {
        if let Some(text) = scale.value(&["COMPU-CONST", "VT"]) {
            let raw = scale
                .value(&["LOWER-LIMIT"])
                .and_then(|text| text.parse::<i64>().ok().or_else(|| i64::try_from(number(text)?).ok()));
            match raw {
                Some(_)
                    if scale
                        .value(&["UPPER-LIMIT"])
                        .is_some_and(|upper| Some(upper) != scale.value(&["LOWER-LIMIT"])) =>
                {
                    problem(scale, Reason::Unsupported, "only names of single values are read");
                }
                Some(raw) if out.values.len() < VALUES_MAX && scale.spend(SIGNAL_STEPS / 5) => {
                    out.values.insert(raw, text.chars().take(80).collect());
                }
                Some(_) | None => problem(scale, Reason::Value, text),
            }
            continue;
        }
        let Some(coefficients) = scale.child("COMPU-RATIONAL-COEFFS") else { continue };
        linear += 1;
        match (linear, line(coefficients)) {
            (1, Some((offset, factor))) => {
                (out.offset, out.factor) = (offset, factor);
                let limit = |name| scale.value(&[name]).and_then(|text| text.parse::<f64>().ok());
                if let (Some(lower), Some(upper)) = (limit("LOWER-LIMIT"), limit("UPPER-LIMIT")) {
                    let (one, other) = (lower * factor + offset, upper * factor + offset);
                    (out.min, out.max) = (one.min(other), one.max(other));
                }
            }
            _ => problem(scale, Reason::Unsupported, "only one linear scale is read"),
        }
    }
}

/// Returns offset and factor of rational coefficients that make a line.
fn line(coefficients: Element<'_>) -> Option<(f64, f64)> {
    let list = |name: &'static str| -> Option<Vec<f64>> {
        let values = coefficients.child(name).into_iter().flat_map(|list| list.all("V"));
        values.take(4).map(|value| value.text().parse::<f64>().ok().filter(|one| one.is_finite())).collect()
    };
    let divisor = match list("COMPU-DENOMINATOR")?.as_slice() {
        [] => 1.0,
        [divisor] if divisor.abs() > 0.0 => *divisor,
        _ => return None,
    };
    match list("COMPU-NUMERATOR")?.as_slice() {
        [offset] => Some((offset / divisor, 0.0)),
        [offset, factor] => Some((offset / divisor, factor / divisor)),
        _ => None,
    }
}
