//! Keys of the spool: one that reads rows, and chains of keys that seal them and are forgotten.

use hmac::{Hmac, KeyInit, Mac};
use outrider_types::BootEpoch;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of an AEAD tag, and of a seal.
pub(super) const TAG_BYTES: usize = 16;

/// A seal: HMAC-SHA256 cut to 16 bytes, as RFC 2104 allows (half of the output).
pub(super) type Seal = [u8; TAG_BYTES];

/// A 32-byte key that is wiped when it is dropped.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// Places that one seal key covers. From the measured prototype: one evolution costs as much as one seal, so that 32
/// make it a thirtieth, and a thief who takes the key can rewrite at most the last 32 records of a chain.
pub const SEAL_INTERVAL: u64 = 32;

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Key {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length is a key");
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Derives a key for one purpose: HMAC-SHA256 as a pseudo-random function of label and context.
pub(super) fn derive(secret: &[u8; 32], label: &[u8], context: &[u8]) -> Key {
    hmac(secret, &[label, &[0], context])
}

/// Returns the seal of a message in parts; the caller makes the parts unambiguous.
pub(super) fn seal(key: &[u8; 32], parts: &[&[u8]]) -> Seal {
    let full = hmac(key, parts);
    let mut out = [0; TAG_BYTES];
    for (to, from) in out.iter_mut().zip(full.iter()) {
        *to = *from;
    }
    out
}

/// The seal key of one chain at one interval.
#[derive(Clone)]
pub(super) struct ChainKey {
    pub(super) index: u64,
    pub(super) key: Key,
}

impl std::fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChainKey({})", self.index)
    }
}

impl ChainKey {
    /// Returns the first key of a chain under a root.
    pub(super) fn first(root: &[u8; 32], chain: u8) -> Self {
        Self { index: 0, key: derive(root, b"outrider spool chain", &[chain]) }
    }

    /// Moves on to the key of `index`, never back; the keys before it are wiped. O(steps).
    pub(super) fn evolve_to(&mut self, index: u64) {
        while self.index < index {
            self.key = hmac(&self.key, &[b"next"]);
            self.index += 1;
        }
    }
}

/// What seals records of one boot against whoever has the medium, but not the vehicle's secret.
pub(super) struct RowKey(LessSafeKey);

impl RowKey {
    pub(super) fn new(secret: &[u8; 32], epoch: BootEpoch, salt: u64) -> Self {
        let context = [epoch.0.to_le_bytes(), salt.to_le_bytes()].concat();
        Self::from_key(&derive(secret, b"outrider spool rows", &context))
    }

    pub(super) fn from_key(key: &Key) -> Self {
        // A key of this algorithm has 32 bytes, which the type holds.
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_slice()).expect("32 bytes are a key");
        Self(LessSafeKey::new(key))
    }

    /// Encrypts the bytes of `out` from `start` on and appends the tag.
    pub(super) fn encrypt(&self, nonce: [u8; 12], aad: &[&[u8]], out: &mut Vec<u8>, start: usize) {
        let aad = Aad::from(aad.concat());
        let text = out.get_mut(start..).unwrap_or_default();
        // The only error is a text of 2^38 bytes; records have at most 64 KiB.
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, text)
            .expect("records are shorter than the cipher's limit");
        out.extend_from_slice(tag.as_ref());
    }

    /// Decrypts text with its tag; `None` if it is not what was written there.
    pub(super) fn decrypt(&self, nonce: [u8; 12], aad: &[&[u8]], text: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = text.to_vec();
        let aad = Aad::from(aad.concat());
        let length = self.0.open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut bytes).ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_evolve_forward_only_and_differ_between_chains() {
        let mut key = ChainKey::first(&[1; 32], 0);
        let other = ChainKey::first(&[1; 32], 1);
        assert_ne!(key.key, other.key);
        let first = key.key.clone();
        key.evolve_to(3);
        let third = key.clone();
        key.evolve_to(2);
        assert_eq!((key.index, &key.key), (3, &third.key));
        assert_ne!(first, third.key);
        // RFC 4231, test case 2: the function under all of this.
        let mut jefe = [0; 32];
        jefe[..4].copy_from_slice(b"Jefe");
        assert_eq!(hmac(&jefe, &[b"what do ya want ", b"for nothing?"])[..4], [0x5b, 0xdc, 0xc1, 0x46]);
    }

    #[test]
    fn a_record_opens_only_in_its_place() {
        let key = RowKey::new(&[1; 32], BootEpoch(1), 2);
        let mut out = b"headtext".to_vec();
        key.encrypt([0; 12], &[b"aad"], &mut out, 4);
        assert_eq!(key.decrypt([0; 12], &[b"aad"], &out[4..]), Some(b"text".to_vec()));
        assert_eq!(key.decrypt([1; 12], &[b"aad"], &out[4..]), None);
        assert_eq!(key.decrypt([0; 12], &[b"abd"], &out[4..]), None);
        let other = RowKey::new(&[1; 32], BootEpoch(1), 3);
        assert_eq!(other.decrypt([0; 12], &[b"aad"], &out[4..]), None);
    }
}
