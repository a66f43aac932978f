//! The current seal keys on the medium, encrypted under the vehicle's secret.

use super::record::{Chain, Cursor};
use super::seal::{ChainKey, RowKey, TAG_BYTES, derive};

const MAGIC: [u8; 4] = *b"ORSK";
const HEAD_BYTES: usize = 4 + 8 + 8;
const TEXT_BYTES: usize = 8 + 4 * 40;
/// Bytes of one copy.
pub(super) const KEY_STATE_BYTES: usize = HEAD_BYTES + TEXT_BYTES + TAG_BYTES;

/// The current key of each chain.
#[derive(Debug, Clone)]
pub(super) struct KeyState {
    pub(super) generation: u64,
    /// Grows with every change; the higher of two copies counts.
    pub(super) version: u64,
    pub(super) keys: [ChainKey; 4],
}

fn wrap(secret: &[u8; 32], head: &[u8]) -> RowKey {
    // Version and salt make a key of its own for each change, so the nonce may stay the same.
    RowKey::from_key(&derive(secret, b"outrider spool keys", head))
}

impl KeyState {
    /// Returns the first keys of a generation.
    pub(super) fn begin(root: &[u8; 32], generation: u64) -> Self {
        let keys = Chain::ALL.map(|chain| ChainKey::first(root, chain.code()));
        Self { generation, version: 0, keys }
    }

    pub(super) fn emit(&self, secret: &[u8; 32], salt: u64) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(salt.to_le_bytes());
        let head = out.clone();
        out.reserve(TEXT_BYTES + TAG_BYTES);
        out.extend(self.generation.to_le_bytes());
        for key in &self.keys {
            out.extend(key.index.to_le_bytes());
            out.extend(key.key.iter());
        }
        wrap(secret, &head).encrypt([0; 12], &[&head], &mut out, HEAD_BYTES);
        out
    }

    pub(super) fn parse(bytes: &[u8], secret: &[u8; 32]) -> Option<Self> {
        let (head, text) = bytes.get(..KEY_STATE_BYTES)?.split_at_checked(HEAD_BYTES)?;
        let mut cursor = Cursor(head);
        if cursor.array()? != MAGIC {
            return None;
        }
        let version = cursor.u64()?;
        let text = zeroize::Zeroizing::new(wrap(secret, head).decrypt([0; 12], &[head], text)?);
        let mut cursor = Cursor(&text);
        let mut state = Self { version, ..Self::begin(&[0; 32], cursor.u64()?) };
        for key in &mut state.keys {
            key.index = cursor.u64()?;
            *key.key = cursor.array()?;
        }
        Some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_as_stored_and_no_changed_byte_passes() {
        let mut state = KeyState::begin(&[9; 32], 2);
        state.version = 5;
        state.keys[3].evolve_to(7);
        let bytes = state.emit(&[1; 32], 11);
        assert_eq!(bytes.len(), KEY_STATE_BYTES);
        let back = KeyState::parse(&bytes, &[1; 32]).expect("whole");
        assert_eq!((back.generation, back.version, back.keys[3].index), (2, 5, 7));
        assert_eq!(back.keys[3].key, state.keys[3].key);
        assert!(KeyState::parse(&bytes, &[2; 32]).is_none());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(KeyState::parse(&changed, &[1; 32]).is_none(), "byte {at}");
        }
    }
}
