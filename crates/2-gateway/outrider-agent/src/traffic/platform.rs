//! Vehicle platforms drawn by a seed: other identifiers, cycles, jitter, layouts and checks, the same physics.

use std::collections::{BTreeMap, BTreeSet};

use outrider_bus::can::{ByteOrder, CanId};
use outrider_types::Seed;

use super::sender::Habits;
use crate::inject::pick;
use crate::io::dbc::{DbcMessage, DbcModel, DbcSignal, DbcValueKind, Multiplex};

/// Cycles of messages, in milliseconds, as networks have them: many fast ones of the drive, slow ones of the body.
const DRIVE_CYCLES_MS: [u32; 5] = [10, 20, 25, 40, 50];
const BODY_CYCLES_MS: [u32; 5] = [50, 100, 200, 500, 1000];

/// Signals of one message of the drive: name, bits, factor, offset, signed.
type Known = (&'static str, u16, f64, f64, bool);

const DRIVE: [&[Known]; 9] = [
    &[("VehicleSpeedMeasured", 16, 0.01, 0.0, false), ("StandStill", 8, 1.0, 0.0, false)],
    &[
        ("VehicleSpeedMeasuredFront", 16, 0.02, 0.0, false),
        ("VehicleSpeedMeasuredRear", 16, 0.02, 0.0, false),
    ],
    &[("EngineSpeedMeasured", 16, 0.25, 0.0, false), ("EngineTorqueMeasured", 16, 0.1, -100.0, false)],
    &[("AcceleratorPedalMeasured", 8, 0.5, 0.0, false), ("BrakePedal", 8, 1.0, 0.0, false)],
    &[("BrakePressureMeasured", 16, 0.05, 0.0, false)],
    &[("SteeringAngleMeasured", 16, 0.1, 0.0, true), ("YawRateMeasured", 16, 0.01, 0.0, true)],
    &[("LongitudinalAccelMeasured", 16, 0.01, 0.0, true), ("LateralAccelMeasured", 16, 0.01, 0.0, true)],
    &[("GearActual", 8, 1.0, 0.0, false), ("GearLever", 8, 1.0, 0.0, false)],
    &[("Odometer", 16, 1.0, 0.0, false), ("ClockSeconds", 16, 1.0, 0.0, false)],
];

const CHARGE: [&[Known]; 3] = [
    &[("ChargeCurrentMeasured", 16, 0.1, 0.0, false), ("ChargeLevel", 16, 0.01, 0.0, false)],
    &[("ChargeCurrentMeasuredPlug", 16, 0.5, 0.0, false), ("TemperatureCell", 8, 1.0, 0.0, false)],
    &[("TemperaturePlug", 8, 1.0, 0.0, false), ("ChargeState", 2, 1.0, 0.0, false)],
];

/// A vehicle platform.
#[derive(Debug, Clone)]
pub struct Platform {
    pub(super) network: DbcModel,
    pub(super) habits: Habits,
    /// Identifiers of the diagnostic connector: request and response.
    pub(super) diagnosis: (CanId, CanId),
}

/// What is drawn once for a whole platform.
struct Style {
    order: ByteOrder,
    extended: bool,
    check: Option<&'static str>,
    protected_percent: u64,
}

impl Platform {
    /// Returns its network description.
    #[must_use]
    pub const fn description(&self) -> &DbcModel {
        &self.network
    }

    /// Draws a platform; the same seed gives the same one.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut seed = Seed::new(seed).fork(0x506C_6174);
        let style = Style {
            order: if seed.chance(1, 2) { ByteOrder::Big } else { ByteOrder::Little },
            extended: seed.chance(1, 4),
            check: pick(&[Some("Checksum"), Some("ChecksumXor"), Some("ChecksumSum"), None], &mut seed)
                .flatten(),
            protected_percent: 20 + seed.below(60),
        };
        let habits = Habits {
            jitter_permille: 2 + seed.below(80),
            jitter_us_max: 200 + seed.below(3_000),
            drift_ppm: 20 + seed.below(150),
            late_one_in: 2_000 + seed.below(20_000),
            extra_one_in: if seed.chance(1, 2) { 3_000 + seed.below(5_000) } else { 0 },
            event_us: 10_000_000 + seed.below(60_000_000),
            noise_steps: u32::try_from(seed.below(4)).unwrap_or(0),
            invalid_frames: seed.below(40),
        };
        let mut messages = Vec::new();
        for known in DRIVE {
            let cycle = pick(&DRIVE_CYCLES_MS, &mut seed);
            messages.push(message(format!("PtDrive{}", messages.len()), known, cycle, &style, &mut seed));
        }
        // What else the drive says: nobody outside the maker knows what it means.
        for _ in 0..4 + seed.below(8) {
            let cycle = pick(&DRIVE_CYCLES_MS, &mut seed);
            messages.push(message(format!("PtDrive{}", messages.len()), &[], cycle, &style, &mut seed));
        }
        for _ in 0..15 + seed.below(25) {
            let bus = if seed.chance(1, 3) { "Bd" } else { "Pt" };
            let cycle = pick(&BODY_CYCLES_MS, &mut seed);
            messages.push(message(format!("{bus}Body{}", messages.len()), &[], cycle, &style, &mut seed));
        }
        for known in CHARGE {
            messages.push(message(
                format!("PtCharge{}", messages.len()),
                known,
                Some(100),
                &style,
                &mut seed,
            ));
        }
        for bus in ["Pt", "Bd"] {
            messages.push(message(
                format!("{bus}Network{}", messages.len()),
                &[],
                Some(500),
                &style,
                &mut seed,
            ));
            for _ in 0..2 + seed.below(3) {
                messages.push(message(format!("{bus}Event{}", messages.len()), &[], None, &style, &mut seed));
            }
        }
        number(&mut messages, &style, &mut seed);
        let unit = u32::try_from(seed.below(8)).unwrap_or(0);
        let standard = |value: u32| CanId::standard(value).unwrap_or_default();
        let extended = |value: u32| CanId::extended(value).unwrap_or_default();
        let diagnosis = if style.extended {
            (extended(0x18DA_00F1 | (unit + 0x10) << 8), extended(0x18DA_F100 | (unit + 0x10)))
        } else {
            (standard(0x7E0 + unit), standard(0x7E8 + unit))
        };
        let network = DbcModel { messages, ..DbcModel::default() };
        Self { network, habits, diagnosis }
    }
}

/// Gives every message an identifier: fast ones low, as priorities demand, unique, with gaps.
fn number(messages: &mut [DbcMessage], style: &Style, seed: &mut Seed) {
    let mut taken = BTreeSet::new();
    for message in messages {
        let rank = match message.cycle_ms {
            Some(ms @ 0..100) => u64::from(ms),
            Some(ms) => 100 + u64::from(ms) / 5,
            None => 350,
        };
        loop {
            let value = u32::try_from(0x60 + rank * 3 + seed.below(0x140)).unwrap_or(0x7FF);
            let id = if style.extended {
                CanId::extended(0x0C00_0000 | value << 8 | u32::try_from(seed.below(0x40)).unwrap_or(0))
            } else {
                CanId::standard(value.min(0x6FF))
            };
            let id = id.unwrap_or_default();
            if taken.insert(id) {
                message.id = id;
                break;
            }
        }
    }
}

/// Lays out one message: known signals, or drawn ones; then a counter and a checksum, if it is protected.
fn message(
    name: String,
    known: &[Known],
    cycle_ms: Option<u32>,
    style: &Style,
    seed: &mut Seed,
) -> DbcMessage {
    let is_protected = style.check.is_some() && seed.below(100) < style.protected_percent;
    let room: u16 = if is_protected { 6 } else { 8 };
    let mut signals: Vec<DbcSignal> = Vec::new();
    let mut at = 0;
    let mut put =
        |signals: &mut Vec<DbcSignal>, name: String, bits: u16, factor: f64, offset: f64, signed: bool| {
            let bytes = bits.div_ceil(8);
            if at + bytes > room {
                return false;
            }
            signals.push(signal(name, at, bits, (factor, offset, signed), style.order));
            at += bytes;
            true
        };
    for &(name, bits, factor, offset, signed) in known {
        put(&mut signals, name.to_owned(), bits, factor, offset, signed);
    }
    let is_paged = known.is_empty() && cycle_ms.is_some() && seed.chance(1, 8);
    if is_paged {
        let pages = 2 + u16::try_from(seed.below(6)).unwrap_or(0);
        put(&mut signals, "PageSelector".to_owned(), 8, 1.0, 0.0, false);
        if let Some(selector) = signals.last_mut() {
            selector.max = f64::from(pages);
        }
        put(&mut signals, "PagedValue".to_owned(), 16, 1.0, 0.0, false);
        put(&mut signals, "PagedState".to_owned(), 8, 1.0, 0.0, false);
    }
    // Beside what is known, and in messages of the body alone: temperatures, levels, switches.
    let others = if known.is_empty() { 2 + seed.below(5) } else { seed.below(3) };
    for index in 0..others {
        let bits = pick(&[2, 4, 8, 8, 10, 12, 16], seed).unwrap_or(8);
        let factor = if bits <= 2 { 1.0 } else { 0.5 };
        if !put(&mut signals, format!("Walk{index}"), bits, factor, 0.0, false) {
            break;
        }
    }
    let mut bytes = at.max(1);
    if let Some(check) = style.check.filter(|_| is_protected) {
        let bits = if seed.chance(1, 3) { 8 } else { 4 };
        signals.push(signal("AliveCounter".to_owned(), 6, bits, (1.0, 0.0, false), ByteOrder::Little));
        signals.push(signal(format!("Alive{check}"), 7, 8, (1.0, 0.0, false), ByteOrder::Little));
        bytes = 8;
    } else if seed.chance(1, 2) {
        bytes = 8;
    }
    DbcMessage { id: CanId::default(), name, bytes, cycle_ms, transmitters: Vec::new(), signals, line: 0 }
}

fn signal(
    name: String,
    byte: u16,
    bits: u16,
    (factor, offset, signed): (f64, f64, bool),
    order: ByteOrder,
) -> DbcSignal {
    let order = if bits < 8 { ByteOrder::Little } else { order };
    let span = f64::from((1u32 << bits) - 1) * factor;
    // The highest bit of a big-endian signal, the lowest of a little-endian one.
    let start_bit = byte * 8 + if order == ByteOrder::Big { 7 } else { 0 };
    let unit = if name.starts_with("VehicleSpeed") { "km/h".to_owned() } else { String::new() };
    DbcSignal {
        name,
        start_bit,
        bits,
        order,
        kind: if signed { DbcValueKind::Signed } else { DbcValueKind::Unsigned },
        factor,
        offset,
        min: offset,
        max: offset + span,
        unit,
        receivers: Vec::new(),
        multiplex: Multiplex::Plain,
        values: BTreeMap::new(),
    }
}
