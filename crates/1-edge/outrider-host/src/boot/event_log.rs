//! The firmware's event log (TCG PC Client Platform Firmware Profile, clause 10), little endian.
//!
//! First a `TCG_PCR_EVENT` (register, type: u32, SHA-1 digest of 20 bytes, size: u32, data) that holds the list of
//! digest algorithms, then `TCG_PCR_EVENT2` (register, type, count: u32, digests each behind a u16, size: u32, data).

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// Events at most; real logs have some hundred.
const EVENTS_MAX: usize = 65_536;
/// Algorithms at most; the registry has fewer.
const ALGORITHMS_MAX: u32 = 16;
const SHA256: u16 = 0x000B;
/// `EV_NO_ACTION`: not extended.
const NO_ACTION: u32 = 3;
/// `EV_EFI_VARIABLE_DRIVER_CONFIG`.
const VARIABLE: u32 = 0x8000_0001;
const SIGNATURE: &[u8] = b"Spec ID Event03\0";

/// What a log says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventLog {
    /// SHA-256 registers as they follow from the events.
    pub registers: BTreeMap<u32, [u8; 32]>,
    /// Whether the firmware's variable `SecureBoot` was on; `None` if it was not measured.
    pub secure_boot: Option<bool>,
    /// Events read.
    pub events: usize,
}

/// Why a log cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventLogError {
    /// It does not begin with the list of algorithms.
    #[error("no crypto-agile event log")]
    Header,
    /// The bytes end inside an event.
    #[error("event at byte {at} is cut")]
    Truncated {
        /// Offset of the event.
        at: usize,
    },
    /// A digest of an algorithm that the list does not have, so that its length is not known.
    #[error("event at byte {at} has a digest of unknown algorithm {algorithm:#06x}")]
    Algorithm {
        /// Offset of the event.
        at: usize,
        /// Number of the algorithm.
        algorithm: u16,
    },
    /// More events than a firmware makes.
    #[error("more than {EVENTS_MAX} events")]
    TooMany,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let size = usize::try_from(self.u32()?).ok()?;
        self.take(size)
    }
}

/// Reads a log and replays its events.
///
/// # Errors
/// [`EventLogError`].
pub fn parse(bytes: &[u8]) -> Result<EventLog, EventLogError> {
    let mut reader = Reader { bytes, at: 0 };
    let sizes = algorithms(&mut reader).ok_or(EventLogError::Header)?;
    let mut log = EventLog::default();
    // The kernel's file ends with its last event; a firmware's memory may go on with zeros.
    while reader.at < bytes.len() && bytes[reader.at..].iter().any(|byte| *byte != 0) {
        if log.events >= EVENTS_MAX {
            return Err(EventLogError::TooMany);
        }
        event(&mut reader, &sizes, &mut log)?;
        log.events += 1;
    }
    Ok(log)
}

/// Reads the first event: bytes of each algorithm's digest.
fn algorithms(reader: &mut Reader<'_>) -> Option<BTreeMap<u16, usize>> {
    reader.take(28)?;
    let mut head = Reader { bytes: reader.sized()?, at: 0 };
    // Signature, platform class, versions, size of a word.
    if head.take(SIGNATURE.len())? != SIGNATURE {
        return None;
    }
    head.take(8)?;
    let count = head.u32().filter(|count| *count <= ALGORITHMS_MAX)?;
    (0..count).map(|_| Some((head.u16()?, usize::from(head.u16()?)))).collect()
}

fn event(
    reader: &mut Reader<'_>,
    sizes: &BTreeMap<u16, usize>,
    log: &mut EventLog,
) -> Result<(), EventLogError> {
    let at = reader.at;
    let cut = EventLogError::Truncated { at };
    let (register, kind) = (reader.u32().ok_or(cut)?, reader.u32().ok_or(cut)?);
    let count = reader.u32().filter(|count| *count <= ALGORITHMS_MAX).ok_or(cut)?;
    let mut digest = None;
    for _ in 0..count {
        let algorithm = reader.u16().ok_or(cut)?;
        let size = *sizes.get(&algorithm).ok_or(EventLogError::Algorithm { at, algorithm })?;
        let bytes = reader.take(size).ok_or(cut)?;
        if algorithm == SHA256 {
            digest = Some(bytes);
        }
    }
    let data = reader.sized().ok_or(cut)?;
    if kind == VARIABLE && register == 7 {
        log.secure_boot = secure_boot(data).or(log.secure_boot);
    }
    if let Some(digest) = digest.filter(|_| kind != NO_ACTION && register < 24) {
        let value = log.registers.entry(register).or_insert([0; 32]);
        *value = Sha256::new().chain_update(&value[..]).chain_update(digest).finalize().into();
    }
    Ok(())
}

/// Reads `UEFI_VARIABLE_DATA`: name space of 16 bytes, length of the name in characters and of the data (u64 each), name
/// in UTF-16, data.
fn secure_boot(data: &[u8]) -> Option<bool> {
    let mut reader = Reader { bytes: data, at: 0 };
    reader.take(16)?;
    let mut length = || usize::try_from(u64::from_le_bytes(reader.take(8)?.try_into().ok()?)).ok();
    let (characters, bytes) = (length()?, length()?);
    let name = reader.take(characters.checked_mul(2)?)?;
    let is_it =
        name.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]])).eq("SecureBoot".encode_utf16());
    let value = reader.take(bytes)?;
    is_it.then(|| value.first().is_some_and(|byte| *byte == 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Vec<u8> {
        let mut data = SIGNATURE.to_vec();
        data.extend([0; 8]);
        data.extend(2u32.to_le_bytes());
        for (algorithm, size) in [(4u16, 20u16), (SHA256, 32)] {
            data.extend(algorithm.to_le_bytes());
            data.extend(size.to_le_bytes());
        }
        data.push(0);
        let mut out = vec![0; 4];
        out.extend(NO_ACTION.to_le_bytes());
        out.extend([0; 20]);
        out.extend(u32::try_from(data.len()).expect("it is short").to_le_bytes());
        out.extend(data);
        out
    }

    fn event(register: u32, kind: u32, digest: u8, data: &[u8]) -> Vec<u8> {
        let mut out = register.to_le_bytes().to_vec();
        out.extend(kind.to_le_bytes());
        out.extend(2u32.to_le_bytes());
        out.extend(4u16.to_le_bytes());
        out.extend([digest; 20]);
        out.extend(SHA256.to_le_bytes());
        out.extend([digest; 32]);
        out.extend(u32::try_from(data.len()).expect("it is short").to_le_bytes());
        out.extend(data);
        out
    }

    fn variable(value: u8) -> Vec<u8> {
        let mut out = vec![7; 16];
        out.extend(10u64.to_le_bytes());
        out.extend(1u64.to_le_bytes());
        "SecureBoot".encode_utf16().for_each(|unit| out.extend(unit.to_le_bytes()));
        out.push(value);
        out
    }

    #[test]
    fn registers_follow_from_the_events() {
        let mut bytes = header();
        bytes.extend(event(0, 8, 1, b"version"));
        bytes.extend(event(0, 8, 2, b""));
        bytes.extend(event(7, VARIABLE, 3, &variable(0)));
        bytes.extend(event(0, NO_ACTION, 9, b"not extended"));
        let log = parse(&bytes).expect("it is a log");
        let extend = |value: [u8; 32], digest: [u8; 32]| -> [u8; 32] {
            Sha256::digest([value, digest].concat()).into()
        };
        assert_eq!(log.registers[&0], extend(extend([0; 32], [1; 32]), [2; 32]));
        assert_eq!((log.events, log.secure_boot), (4, Some(false)));
    }

    #[test]
    fn damage_is_refused_with_its_place() {
        let whole = [header(), event(0, 8, 1, b"x")].concat();
        let at = header().len();
        assert_eq!(parse(&whole[..whole.len() - 1]), Err(EventLogError::Truncated { at }));
        let mut other = whole.clone();
        other[at + 12] = 5;
        assert_eq!(parse(&other), Err(EventLogError::Algorithm { at, algorithm: 5 }));
        assert_eq!(parse(b"no log"), Err(EventLogError::Header));
        assert_eq!(parse(&[whole, vec![0; 100]].concat()).map(|log| log.events), Ok(1));
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&[header(), bytes].concat());
        }
    }
}
