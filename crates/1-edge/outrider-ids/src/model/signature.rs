//! Signatures behind a model file.
//!
//! A file is a CAN model, an Ethernet model, or the first and then the second; up to [`SIGNATURES_MAX`] signatures may
//! follow the last. Each covers the file up to its own bytes, its algorithm and key included. This crate finds them and
//! checks none: keys and cryptography belong to the program that loads the file.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | [`MAGIC`] |
//! | 8 | 2 | algorithm |
//! | 10 | 2 | bytes of the signature |
//! | 12 | 8 | first bytes of the SHA-256 of the public key |
//! | 20 | | the signature |

use super::bytes::{Cursor, array, u16_at};

/// First bytes of a signature.
pub const MAGIC: [u8; 8] = *b"OUTRSIGN";
/// What is signed begins with these bytes, so that a signature of a model is never one of something else.
pub const DOMAIN: [u8; 32] = *b"Outrider vehicle model file v1\0\0";
/// Most signatures of a file: today's algorithm and the one that replaces it, by two parties.
pub const SIGNATURES_MAX: usize = 4;
/// Most bytes of a signature: the 7,856 of SLH-DSA-SHA2-128s, the largest small one of FIPS 205, rounded up.
pub const SIGNATURE_BYTES_MAX: usize = 8192;
/// Bytes before those of the signature.
pub const HEAD_BYTES: usize = 20;

/// How a file is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Algorithm(pub u16);

impl Algorithm {
    /// Ed25519 of RFC 8032.
    pub const ED25519: Self = Self(1);
}

/// Beginning of the SHA-256 of a public key; tells keys apart, proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

/// One signature of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature<'a> {
    /// How it was made.
    pub algorithm: Algorithm,
    /// Whose it says it is.
    pub key: KeyId,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// How many bytes of what follows the model are before it, and are covered like the model is.
    pub behind_bytes: usize,
}

/// Signatures that follow a model, in the order of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signatures<'a> {
    behind: &'a [u8],
    at: usize,
}

impl<'a> Signatures<'a> {
    /// Checks what follows a model, or returns `None` if that is anything but signatures.
    pub(super) fn parse(behind: &'a [u8]) -> Option<Self> {
        let all = Self { behind, at: 0 };
        let mut walk = all;
        for _ in 0..SIGNATURES_MAX {
            if walk.next().is_none() {
                break;
            }
        }
        (walk.at == behind.len()).then_some(all)
    }

    /// Returns the bytes of all signatures together.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.behind.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.behind.is_empty()
    }
}

impl<'a> Iterator for Signatures<'a> {
    type Item = Signature<'a>;

    fn next(&mut self) -> Option<Signature<'a>> {
        let block = self.behind.get(self.at..)?;
        let size = usize::from(u16_at(block, 10));
        if array(block, 0) != Some(MAGIC) || size == 0 || size > SIGNATURE_BYTES_MAX {
            return None;
        }
        let bytes = block.get(HEAD_BYTES..HEAD_BYTES.saturating_add(size))?;
        let behind_bytes = self.at.saturating_add(HEAD_BYTES);
        self.at = behind_bytes.saturating_add(size);
        Some(Signature {
            algorithm: Algorithm(u16_at(block, 8)),
            key: KeyId(array(block, 12)?),
            bytes,
            behind_bytes,
        })
    }
}

/// Returns the bytes that go before a signature of so many bytes, or `None` if no file holds one of that size.
#[must_use]
pub fn head(algorithm: Algorithm, key: KeyId, signature_bytes: usize) -> Option<[u8; HEAD_BYTES]> {
    if signature_bytes == 0 || signature_bytes > SIGNATURE_BYTES_MAX {
        return None;
    }
    let mut out = [0; HEAD_BYTES];
    let mut cursor = Cursor::new(&mut out);
    cursor.put(&MAGIC);
    cursor.put(&algorithm.0.to_le_bytes());
    cursor.count(signature_bytes);
    cursor.put(&key.0);
    Some(out)
}
