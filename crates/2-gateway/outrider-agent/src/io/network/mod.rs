//! Import of network descriptions: ARXML, FIBEX, LDF and DBC files into one [`Description`].
//!
//! **In:** the bytes of a file somebody else made. **Out:** what was understood, and a list of what was not, by element
//! and place. **Never:** an element that is in neither, an entity that is expanded, a file that costs more than its caps.
//! **Start reading** at [`parse`].
//!
//! The content decides the format. ARXML and FIBEX share one XML tree ([`xml`]) with caps on size, depth, elements and
//! attributes and without document type definitions. Every element that the extraction looks at is marked; at the end,
//! what is not marked is what was not understood. A fixed schema would know more of ARXML, but weighs as much as the
//! whole vehicle program and refuses the vendor's extensions that real extracts are full of.

mod arxml;
mod coding;
mod error;
mod fibex;
mod from_dbc;
mod ldf;
mod model;
mod offers;
mod protected;
mod report;
#[cfg(test)]
mod tests;
mod xml;

use std::path::Path;

pub use error::DescriptionError;
pub use model::{
    Cluster, ContextProps, Description, E2eProtection, Format, Frame, FrameKey, LinSchedule, Medium,
    NotUnderstood, Offer, Place, Problem, Reason, ScheduleEntry, SecuredPdu, SecurityEventSpec, Service,
    SharedSlot, Signal,
};
pub use offers::Offers;
pub use protected::{PduPlace, Protections};
pub use report::{json, text};

/// Longest description, in bytes; an ECU extract of a large vehicle has about 40 MiB.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most problems kept; further ones are counted.
pub const PROBLEMS_MAX: usize = 1000;
/// Names of values of one signal that are kept.
pub(crate) const VALUES_MAX: usize = 1024;
/// Longest name that is kept, in bytes; AUTOSAR's own limit is 128.
pub(crate) const NAME_BYTES_MAX: usize = 256;

/// Reads a description.
///
/// # Errors
/// [`DescriptionError`].
pub fn open(path: &Path) -> Result<Description, DescriptionError> {
    let bytes = std::fs::metadata(path).map_err(DescriptionError::Io)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(DescriptionError::TooLarge { bytes, bytes_max: FILE_BYTES_MAX });
    }
    parse(&std::fs::read(path).map_err(DescriptionError::Io)?)
}

/// Reads the bytes of a description of any format.
///
/// # Errors
/// [`DescriptionError`]: empty, too large, of no known format, or damaged beyond reading on.
pub fn parse(bytes: &[u8]) -> Result<Description, DescriptionError> {
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(DescriptionError::TooLarge { bytes: bytes.len() as u64, bytes_max: FILE_BYTES_MAX });
    }
    let text = decode(bytes)?;
    let begin = text.trim_start();
    if begin.is_empty() {
        return Err(DescriptionError::Empty);
    }
    if begin.starts_with('<') {
        let tree = xml::Tree::parse(&text)?;
        return match tree.root().name() {
            "AUTOSAR" => Ok(arxml::extract(&tree)),
            "FIBEX" => Ok(fibex::extract(&tree)),
            other => Err(DescriptionError::Root { element: other.chars().take(80).collect() }),
        };
    }
    if ldf::is_ldf(begin) {
        return ldf::parse(&text);
    }
    let dbc = crate::io::dbc::parse(bytes).map_err(DescriptionError::Dbc)?;
    Ok(from_dbc::convert(dbc))
}

/// Turns the bytes into text: UTF-8, UTF-16 with a byte order mark, or else Latin-1 where the format has no encoding.
fn decode(bytes: &[u8]) -> Result<String, DescriptionError> {
    let wide = |order: fn([u8; 2]) -> u16, rest: &[u8]| {
        let units = rest.chunks_exact(2).map(|pair| order([pair[0], pair[1]]));
        char::decode_utf16(units).collect::<Result<String, _>>().map_err(|_| DescriptionError::Encoding)
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(u16::from_le_bytes, rest),
        [0xFE, 0xFF, rest @ ..] => wide(u16::from_be_bytes, rest),
        [0xEF, 0xBB, 0xBF, rest @ ..] => decode(rest),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Ok(bytes.iter().map(|&byte| char::from(byte)).collect()),
        },
    }
}
