//! Names of vehicles, and bytes that stand in texts.

use base64::Engine as _;
use outrider_types::VehicleId;
use serde::Deserialize;

use crate::doc::Doc;
use crate::record::VehicleName;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NameKind {
    Vin,
    Id,
    Foreign,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoding {
    #[default]
    Plain,
    Base64,
    Hex,
}

/// Makes a vehicle's name of a text; `None` if it is none of its kind.
pub(super) fn vehicle_name(kind: NameKind, text: &str) -> Option<VehicleName> {
    match kind {
        NameKind::Vin => vin(text).map(VehicleName::Vin),
        NameKind::Id => text.parse::<VehicleId>().ok().map(VehicleName::Id),
        NameKind::Foreign => {
            (!text.is_empty() && text.len() <= 64).then(|| VehicleName::Foreign(text.to_owned()))
        }
    }
}

/// Returns the identification number in upper case if it has the shape of ISO 3779: 17 of A-Z and 0-9 without I, O and Q.
/// The check digit is not compared: only some markets use it.
pub(crate) fn vin(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_uppercase();
    let is_vin = text.len() == 17
        && text.bytes().all(|byte| {
            byte.is_ascii_digit() || byte.is_ascii_uppercase() && !matches!(byte, b'I' | b'O' | b'Q')
        });
    is_vin.then_some(text)
}

pub(super) fn bytes(doc: &Doc, encoding: Encoding) -> Option<Vec<u8>> {
    match (doc, encoding) {
        (Doc::Bytes(bytes), _) => Some(bytes.clone()),
        (Doc::Text(text), Encoding::Plain) => Some(text.as_bytes().to_vec()),
        (Doc::Text(text), Encoding::Base64) => {
            base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()
        }
        (Doc::Text(text), Encoding::Hex) => from_hex(text),
        (Doc::Null | Doc::Bool(_) | Doc::Int(_) | Doc::Float(_) | Doc::List(_) | Doc::Map(_), _) => None,
    }
}

/// Reads hexadecimal digits; spaces, colons and dashes between bytes are left out.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b' ' | b':' | b'-')).collect();
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}
