//! Short numbers for repeated byte strings.

/// Table of byte strings, numbered in order of first appearance.
///
/// Numbers depend on the order of arrival, so nothing outside this crate sees them and nothing is ordered by
/// them. The hash is keyed and only decides the place in the table, never a result.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interner {
    arena: Vec<u8>,
    /// Length of every string, or 0 if they differ.
    width: usize,
    strings: u32,
    /// End of each string in `arena`, if their lengths differ.
    ends: Vec<u32>,
    /// Upper half: part of the hash; lower half: number + 1; 0 is empty. A power of two long.
    slots: Vec<u64>,
    key: u64,
}

impl Interner {
    /// Creates an empty table.
    pub(crate) fn new(key: u64) -> Self {
        Self { key, ..Self::default() }
    }

    /// Creates an empty table of strings that are all `width` bytes long; it needs no list of lengths.
    pub(crate) fn of_width(width: usize, key: u64) -> Self {
        Self { key, width, ..Self::default() }
    }

    /// Creates an empty table with the same key and width.
    pub(crate) fn emptied(&self) -> Self {
        Self::of_width(self.width, self.key)
    }

    /// Returns the key of the hash.
    pub(crate) const fn key(&self) -> u64 {
        self.key
    }

    /// Returns the number of strings.
    pub(crate) fn len(&self) -> usize {
        self.strings as usize
    }

    /// Returns a string; empty for an unknown number.
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        let index = id as usize;
        if self.width > 0 {
            return self.arena.get(index * self.width..(index + 1) * self.width).unwrap_or(&[]);
        }
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.arena.get(start as usize..end as usize).unwrap_or(&[])
    }

    /// Returns the number of a string that is there.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<u32> {
        if self.slots.is_empty() { None } else { self.probe(bytes, self.hash(bytes)).ok() }
    }

    /// Returns the number of a string, adding it if it is new; `None` if the table is full (4 GiB of text).
    pub(crate) fn intern(&mut self, bytes: &[u8]) -> Option<u32> {
        if self.slots.is_empty() {
            self.slots = vec![0; 16];
        }
        let hash = self.hash(bytes);
        let slot = match self.probe(bytes, hash) {
            Ok(id) => return Some(id),
            Err(slot) => slot,
        };
        let id = Some(self.strings).filter(|id| *id < u32::MAX - 1)?;
        if self.width == 0 {
            self.ends.push(u32::try_from(self.arena.len() + bytes.len()).ok()?);
        } else {
            assert_eq!(bytes.len(), self.width, "every string of this table has one length");
        }
        self.arena.extend_from_slice(bytes);
        self.strings += 1;
        self.slots[slot] = hash & !LOW | u64::from(id + 1);
        if self.len() * 4 > self.slots.len() * 3 {
            self.grow();
        }
        Some(id)
    }

    /// Returns every string in order of its number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.strings).map(|id| self.get(id))
    }

    /// Finds the number of a string, or the empty slot where it belongs.
    fn probe(&self, bytes: &[u8], hash: u64) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut place = (hash >> 32) as usize & mask;
        loop {
            let slot = self.slots[place];
            if slot == 0 {
                return Err(place);
            }
            if slot & !LOW == hash & !LOW {
                let id = u32::try_from((slot & LOW) - 1).expect("the lower half is 32 bits");
                if self.get(id) == bytes {
                    return Ok(id);
                }
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        let mut slots = vec![0u64; mask + 1];
        for slot in self.slots.iter().copied().filter(|slot| *slot != 0) {
            let mut place = (slot >> 32) as usize & mask;
            while slots[place] != 0 {
                place = (place + 1) & mask;
            }
            slots[place] = slot;
        }
        self.slots = slots;
    }

    fn hash(&self, bytes: &[u8]) -> u64 {
        hash(self.key, bytes)
    }
}

/// Multiplies and folds eight bytes at a time; the same on every machine.
pub(crate) fn hash(key: u64, bytes: &[u8]) -> u64 {
    let mut state = key ^ 0x9E37_79B9_7F4A_7C15 ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = fold(state ^ u64::from_le_bytes(word), 0xD6E8_FEB8_6659_FD93);
    }
    fold(state, 0xA076_1D64_78BD_642F)
}

const LOW: u64 = 0xFFFF_FFFF;

#[expect(clippy::cast_possible_truncation, reason = "both halves of the product are wanted")]
const fn fold(left: u64, right: u64) -> u64 {
    let product = (left as u128).wrapping_mul(right as u128);
    (product as u64) ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_keeps_its_number_while_the_table_grows() {
        let mut fixed = Interner::of_width(4, 7);
        let mut table = Interner::new(7);
        for number in 0..5000u32 {
            assert_eq!(fixed.intern(&number.to_le_bytes()), Some(number));
            assert_eq!(table.intern(&number.to_le_bytes()), Some(number));
        }
        assert_eq!(table.intern(b""), Some(5000));
        for number in 0..5000u32 {
            assert_eq!(table.find(&number.to_le_bytes()), Some(number));
            assert_eq!(table.get(number), number.to_le_bytes());
            assert_eq!(
                (fixed.find(&number.to_le_bytes()), fixed.get(number)),
                (Some(number), table.get(number))
            );
        }
        assert_eq!((fixed.find(b"newer"), fixed.get(5000), fixed.len()), (None, &[][..], 5000));
        assert_eq!((table.find(b"new"), table.get(9999), table.len()), (None, &[][..], 5001));
    }
}
