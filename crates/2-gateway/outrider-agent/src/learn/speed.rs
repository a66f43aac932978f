//! Which signal carries the vehicle's speed.

use std::collections::BTreeSet;

use outrider_bus::can::{ByteOrder, CanId};
use outrider_ids::model::SpeedSignal;

use crate::io::dbc::{DbcModel, DbcSignal, DbcValueKind, Multiplex};

/// Words of signals that are about speed, but not the vehicle's.
const OTHER_SPEEDS: [&str; 19] = [
    "limit", "set", "target", "max", "min", "fan", "motor", "wheel", "map", "wiper", "engine", "blower",
    "cruise", "warn", "shaft", "pump", "turbo", "unit", "stat",
];

/// Chooses the best speed signal among those whose message was seen on the bus; name and place.
pub(super) fn choose(databases: &[DbcModel], seen: &BTreeSet<CanId>) -> Option<(String, SpeedSignal)> {
    let messages = databases.iter().flat_map(|database| &database.messages);
    let signals = messages
        .filter(|message| seen.contains(&message.id))
        .flat_map(|message| message.signals.iter().map(|signal| (message.id, signal)));
    let ranked = signals.filter_map(|(id, signal)| {
        let kmh = unit_kmh(&signal.unit)?;
        let score = score(signal)?;
        Some((score, id, signal, kmh))
    });
    // The highest score; of equals the lowest identifier, which has the highest priority on the bus.
    let (_, id, signal, kmh) = ranked.max_by_key(|(score, id, ..)| (*score, std::cmp::Reverse(*id)))?;
    Some((signal.name.clone(), place(id, signal, kmh)?))
}

/// Speed of one unit in km/h, or `None` if it is no unit of speed.
fn unit_kmh(unit: &str) -> Option<f64> {
    match unit.trim().to_ascii_lowercase().as_str() {
        "km/h" | "kmh" | "kph" | "kmph" => Some(1.0),
        "mph" | "mi/h" => Some(1.609_344),
        "m/s" => Some(3.6),
        _ => None,
    }
}

/// Returns how likely a signal is the vehicle's speed, or `None` if it is not.
fn score(signal: &DbcSignal) -> Option<u32> {
    let name = signal.name.to_ascii_lowercase();
    let name = name.replace('_', "");
    if !name.contains("speed") && !name.contains("velocity") {
        return None;
    }
    if OTHER_SPEEDS.iter().any(|word| name.contains(word)) || !(8..=32).contains(&signal.bits) {
        return None;
    }
    match (signal.multiplex, signal.kind) {
        (Multiplex::Plain, DbcValueKind::Unsigned | DbcValueKind::Signed) => {}
        (Multiplex::Plain, DbcValueKind::Float32 | DbcValueKind::Float64)
        | (Multiplex::Selector | Multiplex::Selected(_) | Multiplex::SelectedSelector(_), _) => return None,
    }
    // A satellite receiver knows the speed too, but late and not in a tunnel.
    let named = if name.contains("gps") {
        0
    } else if name.contains("vehiclespeed") || name.contains("vehspeed") {
        4
    } else if name.contains("veh") {
        2
    } else {
        1
    };
    Some(named * 100 + u32::from(signal.bits))
}

fn place(id: CanId, signal: &DbcSignal, kmh: f64) -> Option<SpeedSignal> {
    Some(SpeedSignal {
        id,
        start_bit: signal.start_bit,
        bits: u8::try_from(signal.bits).ok()?,
        big_endian: signal.order == ByteOrder::Big,
        signed: signal.kind == DbcValueKind::Signed,
        scale_nano_kmh: nano(signal.factor * kmh)?,
        offset_nano_kmh: nano(signal.offset * kmh)?,
    })
}

/// Turns a value into billionths, or returns `None` if it is no speed of anything.
fn nano(value: f64) -> Option<i64> {
    if !value.is_finite() || value.abs() > 1e6 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most 10^15 after the check above")]
    let whole = (value * 1e9).round() as i64;
    Some(whole)
}
