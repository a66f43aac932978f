//! Compression dictionaries: immutable, content-addressed, kept for ever.

use core::fmt;

/// How the payload of an envelope is coded.
///
/// 0: as it is. 1: zstd without dictionary. Otherwise zstd with the dictionary whose SHA-256 begins with these four
/// bytes, big endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DictId(pub u32);

impl DictId {
    /// Payload is the rows as they are.
    pub const STORED: Self = Self(0);
    /// Payload is one zstd frame without dictionary.
    pub const PLAIN: Self = Self(1);
}

impl fmt::Display for DictId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// One released dictionary.
#[derive(Debug, Clone, Copy)]
pub struct Dictionary {
    /// Content address.
    pub id: DictId,
    /// Bytes for the compressor and the decompressor.
    pub bytes: &'static [u8],
}

/// Dictionary that this version writes with.
pub static V1: Dictionary = Dictionary { id: DictId(0x18C8_05CD), bytes: include_bytes!("../dict/v1.zdict") };

/// Dictionary of [`crate::ShortCoding::BLOCK_V1`]: for single rows, trained by `tools/dictionary`.
pub static SHORT_V1: Dictionary =
    Dictionary { id: DictId(0xD414_815B), bytes: include_bytes!("../dict/short1.zdict") };

/// All released dictionaries of batches, oldest first; append only.
pub static ALL: &[&Dictionary] = &[&V1];

/// Returns the dictionary with this content address, or `None`.
#[must_use]
pub fn find(id: DictId) -> Option<&'static Dictionary> {
    ALL.iter().copied().find(|dictionary| dictionary.id == id)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn every_dictionary_stands_under_its_content_address() {
        for dictionary in ALL.iter().copied().chain([&SHORT_V1]) {
            let digest = Sha256::digest(dictionary.bytes);
            let id = digest.first_chunk::<4>().map(|head| u32::from_be_bytes(*head));
            assert_eq!(id, Some(dictionary.id.0));
            assert!(dictionary.id > DictId::PLAIN);
            assert!((4 << 10..=16 << 10).contains(&dictionary.bytes.len()));
        }
        assert_eq!(find(V1.id).map(|found| found.bytes), Some(V1.bytes));
        assert!(find(DictId::PLAIN).is_none());
    }
}
