//! Which CAN frames are protected, and how, as far as a vehicle can check it.

use std::collections::BTreeMap;

use outrider_bus::can::{ByteOrder, CanId};
use outrider_bus::e2e::{DataIdMode, Profile1, Profile2, Profile4, Profile5, Protection};
use outrider_bus::secoc::Layout;
use outrider_ids::model::protection::{Guard, ProtectedFrame};

use super::model::{Description, E2eProtection, FrameKey};

/// Largest step of a counter where the description says nothing (guess): two lost frames.
const STEP_MAX: u8 = 3;

/// Place of a PDU in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PduPlace {
    /// Index of the frame in [`Description::frames`].
    pub frame: usize,
    /// Name of the PDU, or of the one inside a secured PDU.
    pub pdu: String,
    /// First byte in the frame.
    pub start: u16,
    /// Bytes, if stated.
    pub bytes: Option<u16>,
}

/// What a vehicle can check, and what is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protections {
    /// Protected frames, ascending, one a CAN identifier.
    pub frames: Vec<ProtectedFrame>,
    /// What is left out, each with its reason.
    pub left_out: Vec<String>,
}

impl Description {
    /// Returns which CAN frames are protected as the vehicle's detectors can check it.
    #[must_use]
    pub fn protected(&self) -> Protections {
        let mut found: BTreeMap<CanId, ProtectedFrame> = BTreeMap::new();
        let mut left_out = Vec::new();
        for one in &self.protections {
            let name = format!("E2E protection {} of {}", one.name, one.pdu);
            self.add(&one.pdu, &name, |bytes| e2e(one, bytes), &mut found, &mut left_out);
        }
        for one in &self.secured {
            let name = format!("secured PDU {}", one.name);
            let guard = |bytes: Option<u32>| {
                let bits = |bits: Option<u32>, what| {
                    bits.ok_or(format!("{what} is not stated"))
                        .and_then(|bits| u16::try_from(bits).map_err(|_| format!("{what} of {bits} bits")))
                };
                let freshness = bits(one.freshness_tx_bits, "length of the freshness sent")?;
                let mac = bits(one.auth_tx_bits, "length of the authenticator sent")?;
                let layout = Layout::new(freshness, mac).ok_or("its trailer has no whole bytes")?;
                Ok((Guard::Secured(layout), 0, one.bytes.or(bytes), 1))
            };
            self.add(&one.name, &name, guard, &mut found, &mut left_out);
        }
        Protections { frames: found.into_values().collect(), left_out }
    }

    /// Finds the frames of a PDU and what protects them there.
    fn add(
        &self,
        pdu: &str,
        name: &str,
        guard: impl Fn(Option<u32>) -> Result<Guarded, String>,
        found: &mut BTreeMap<CanId, ProtectedFrame>,
        left_out: &mut Vec<String>,
    ) {
        let mut places: Vec<PduPlace> = self.pdus.iter().filter(|place| place.pdu == pdu).cloned().collect();
        if places.is_empty() {
            places = self.signals_of(pdu);
        }
        let mut on_can = false;
        for place in places {
            let Some(frame) = self.frames.get(place.frame) else { continue };
            let FrameKey::Can(id) = frame.key else { continue };
            on_can = true;
            let one = guard(place.bytes.map(u32::from)).and_then(|guarded| placed(id, &place, guarded));
            match one {
                Err(reason) => left_out.push(format!("{name}, frame {}: {reason}", frame.name)),
                Ok(one) => match found.get(&id) {
                    None => drop(found.insert(id, one)),
                    // The same frame may be triggered on several clusters.
                    Some(before) if *before == one => {}
                    Some(_) => left_out.push(format!(
                        "{name}, frame {}: the frame has another protection, and one is checked",
                        frame.name
                    )),
                },
            }
        }
        if !on_can {
            left_out.push(format!("{name}: in no CAN frame whose layout is known"));
        }
    }

    /// Finds signals of a name that are whole bytes: a transformer protects what it packs into one.
    fn signals_of(&self, name: &str) -> Vec<PduPlace> {
        let mut places = Vec::new();
        for (index, frame) in self.frames.iter().enumerate() {
            for signal in frame.signals.iter().filter(|signal| signal.name == name) {
                let is_bytes = signal.order == ByteOrder::Little
                    && signal.start_bit.is_multiple_of(8)
                    && signal.bits.is_multiple_of(8);
                if is_bytes {
                    places.push(PduPlace {
                        frame: index,
                        pdu: name.to_owned(),
                        start: signal.start_bit / 8,
                        bytes: Some(signal.bits / 8),
                    });
                }
            }
        }
        places
    }
}

/// What protects a PDU, bytes to skip in it, bytes covered, largest step.
type Guarded = (Guard, u32, Option<u32>, u8);

fn placed(id: CanId, place: &PduPlace, guarded: Guarded) -> Result<ProtectedFrame, String> {
    let (guard, skip, bytes, step_max) = guarded;
    let start = u32::from(place.start).saturating_add(skip);
    let bytes = bytes.ok_or("its length is not stated")?;
    let small = |value: u32| u8::try_from(value).map_err(|_| format!("{value} bytes are no CAN frame"));
    let frame = ProtectedFrame {
        id,
        guard,
        start: small(start)?,
        bytes: small(bytes)?,
        step_max,
        counts: true,
        repeats: false,
        faults: false,
    };
    if frame.is_consistent() { Ok(frame) } else { Err("its header does not fit the frame".to_owned()) }
}

/// Returns a number of bits in whole bytes.
fn in_bytes(bits: u32, what: &str) -> Result<u16, String> {
    u16::try_from(bits / 8)
        .ok()
        .filter(|_| bits.is_multiple_of(8))
        .ok_or_else(|| format!("{what} at bit {bits} is at no byte"))
}

fn e2e(one: &E2eProtection, pdu_bytes: Option<u32>) -> Result<Guarded, String> {
    let number: String = one.profile.chars().filter(char::is_ascii_digit).collect();
    let skip = in_bytes(one.offset_bit.unwrap_or(0), "its protected part")?;
    let data_bytes = match one.data_bits {
        Some(bits) => Some(u32::from(in_bytes(bits, "end of its data")?)),
        None => pdu_bytes.map(|bytes| bytes.saturating_sub(skip.into())),
    };
    let data_id = || one.data_ids.first().copied().ok_or("it has no data identifier".to_owned());
    let short =
        |id: u32| u16::try_from(id).map_err(|_| format!("data identifier {id} has more than 16 bits"));
    let header = in_bytes(one.header_bit.unwrap_or(0), "its header")?;
    let protection = match number.trim_start_matches('0') {
        "1" | "11" => {
            let crc_byte = nibble_header(one, header)?;
            Protection::P01(Profile1 { data_id: short(data_id()?)?, mode: mode(one)?, crc_byte })
        }
        "2" | "22" => {
            let ids: Result<Vec<u8>, _> = one.data_ids.iter().map(|&id| u8::try_from(id)).collect();
            let data_ids: [u8; 16] = ids
                .ok()
                .and_then(|ids| ids.try_into().ok())
                .ok_or_else(|| format!("it has {} data identifiers, not 16 of a byte", one.data_ids.len()))?;
            Protection::P02(Profile2 { data_ids, crc_byte: nibble_header(one, header)? })
        }
        "4" => Protection::P04(Profile4 { data_id: data_id()?, offset: header }),
        "5" => Protection::P05(Profile5 { data_id: short(data_id()?)?, offset: header }),
        _ => return Err(format!("profile {:?} is not checked", one.profile)),
    };
    let step_max = one.max_delta.map_or(STEP_MAX, |delta| u8::try_from(delta).unwrap_or(u8::MAX).max(1));
    Ok((Guard::E2e(protection), skip.into(), data_bytes, step_max))
}

/// Returns the byte of the checksum if the counter is in the low nibble behind it, as is checked.
fn nibble_header(one: &E2eProtection, header: u16) -> Result<u16, String> {
    let crc_bit = one.crc_bit.unwrap_or(u32::from(header) * 8);
    let counter_bit = one.counter_bit.unwrap_or(crc_bit.saturating_add(8));
    let crc_byte = in_bytes(crc_bit, "its checksum")?;
    if counter_bit != crc_bit.saturating_add(8) {
        return Err(format!("counter at bit {counter_bit} is not behind the checksum at bit {crc_bit}"));
    }
    Ok(crc_byte)
}

fn mode(one: &E2eProtection) -> Result<DataIdMode, String> {
    match one.data_id_mode.as_deref() {
        // Variant 1A is the one that most descriptions mean; training shows if it is another.
        None | Some("0" | "ALL-16-BIT") => Ok(DataIdMode::Both),
        Some("1" | "ALTERNATING-8-BIT") => Ok(DataIdMode::Alternating),
        Some("2" | "LOWER-8-BIT") => Ok(DataIdMode::Low),
        Some("3" | "LOWER-12-BIT") => Ok(DataIdMode::Nibble),
        Some(other) => Err(format!("data identifier mode {other:?} is not known")),
    }
}
