//! Distinct strings and their numbers.

use std::collections::BTreeMap;

/// Distinct strings of a text column, numbered in order of first appearance.
///
/// String predicates are evaluated once per entry, not once per row.
#[derive(Debug, Clone, Default)]
pub struct Dictionary {
    values: Vec<String>,
    places: Places,
}

impl PartialEq for Dictionary {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl Eq for Dictionary {}

impl Dictionary {
    /// Returns the code of a string, adding it if it is new. O(length), and O(log n) for strings that an attacker made
    /// so that they share one place.
    pub fn intern(&mut self, text: &str) -> u32 {
        let key = Key::new(text);
        if let Some(code) = self.places.find(key, text, &self.values) {
            return code;
        }
        let code = u32::try_from(self.values.len()).expect("a batch has fewer than 2^32 rows");
        self.values.push(text.to_owned());
        self.places.insert(key, code, &self.values);
        code
    }

    /// Returns the code of a string that is already there.
    #[must_use]
    pub fn code(&self, text: &str) -> Option<u32> {
        self.places.find(Key::new(text), text, &self.values)
    }

    /// Returns the string of a code.
    #[must_use]
    pub fn text(&self, code: u32) -> Option<&str> {
        self.values.get(code as usize).map(String::as_str)
    }

    /// Returns all strings in order of their codes.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }
}

/// Places that are looked at for one string. At most half of all places are taken, so that a longer row of taken ones
/// is rare, unless somebody makes it.
const STEPS_MAX: usize = 8;
/// Places of a dictionary with one string.
const PLACES_MIN: usize = 16;

/// Where strings are found: a table by hash, whose order nobody can see, since codes are numbers of appearance (DET-1).
#[derive(Debug, Clone, Default)]
struct Places {
    /// As many as a power of two, or none.
    entries: Vec<Entry>,
    /// Strings that found no place within [`STEPS_MAX`]: the hash has no secret, and the strings come from outside.
    crowded: BTreeMap<String, u32>,
}

/// A place.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    key: Key,
    /// Code plus one; 0 for a free place.
    code: u32,
}

/// What a string is compared by first: a short one as a whole, so that its text need not be looked up; a long one by its
/// length and hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Key([u64; 2]);

/// Bytes of a string that a key holds as a whole.
const SHORT_BYTES_MAX: usize = 15;

impl Key {
    fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let four = |part: Option<&[u8; 4]>| part.map_or(0, |part| u64::from(u32::from_le_bytes(*part)));
        let eight = |part: Option<&[u8; 8]>| part.map_or(0, |part| u64::from_le_bytes(*part));
        // Of a string between two sizes the last bytes are some of the first once more; with the length it is exact.
        let length = bytes.len() as u64;
        match bytes {
            [] => Self([0, 0]),
            [one] => Self([u64::from(*one), 1 << 56]),
            [one, two] => Self([u64::from(*one) | u64::from(*two) << 8, 2 << 56]),
            [one, two, three] => {
                Self([u64::from(*one) | u64::from(*two) << 8 | u64::from(*three) << 16, 3 << 56])
            }
            _ if bytes.len() < 8 => {
                Self([four(bytes.first_chunk()) | four(bytes.last_chunk()) << 32, length << 56])
            }
            _ if bytes.len() <= SHORT_BYTES_MAX => {
                // The last eight bytes without those that are in the first: at most seven.
                let rest = eight(bytes.last_chunk())
                    .checked_shr(128 - 8 * u32::try_from(bytes.len()).unwrap_or(0))
                    .unwrap_or(0);
                Self([eight(bytes.first_chunk()), rest | length << 56])
            }
            _ => {
                let (words, _) = bytes.as_chunks::<8>();
                let hash = words.iter().fold(length, |hash, word| mix(hash, u64::from_le_bytes(*word)));
                Self([mix(hash, eight(bytes.last_chunk())), u64::MAX])
            }
        }
    }

    /// Returns whether the key is the string.
    const fn is_whole(self) -> bool {
        self.0[1] != u64::MAX
    }

    fn hash(self) -> u64 {
        mix(mix(1, self.0[0]), self.0[1])
    }
}

/// Mixes eight bytes into a hash; no secret, see [`Places::crowded`].
fn mix(hash: u64, word: u64) -> u64 {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let product = u128::from(hash.rotate_left(5) ^ word) * u128::from(FACTOR);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

impl Places {
    fn find(&self, key: Key, text: &str, values: &[String]) -> Option<u32> {
        for place in steps(key.hash(), self.entries.len()) {
            let entry = self.entries.get(place)?;
            let code = entry.code.checked_sub(1)?;
            let is_it = || key.is_whole() || values.get(code as usize).is_some_and(|value| value == text);
            if entry.key == key && is_it() {
                return Some(code);
            }
        }
        self.crowded.get(text).copied()
    }

    /// Adds a code whose string is the last of `values`.
    fn insert(&mut self, key: Key, code: u32, values: &[String]) {
        if values.len() * 2 > self.entries.len() {
            let places = (values.len() * 4).next_power_of_two().max(PLACES_MIN);
            let before = std::mem::replace(&mut self.entries, vec![Entry::default(); places]);
            let crowded = std::mem::take(&mut self.crowded);
            for entry in before.into_iter().filter(|entry| entry.code != 0) {
                self.put(entry.key, entry.code - 1, values);
            }
            for (text, code) in crowded {
                self.put(Key::new(&text), code, values);
            }
        }
        self.put(key, code, values);
    }

    fn put(&mut self, key: Key, code: u32, values: &[String]) {
        for place in steps(key.hash(), self.entries.len()) {
            if let Some(free @ Entry { code: 0, .. }) = self.entries.get_mut(place) {
                *free = Entry { key, code: code + 1 };
                return;
            }
        }
        if let Some(value) = values.get(code as usize) {
            self.crowded.insert(value.clone(), code);
        }
    }
}

/// Returns the places of a hash among `places`.
fn steps(hash: u64, places: usize) -> impl Iterator<Item = usize> {
    let mask = places.saturating_sub(1);
    #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 2^32 places")]
    let first = hash as usize;
    (0..STEPS_MAX.min(places)).map(move |step| first.wrapping_add(step) & mask)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strings_that_share_a_place_keep_their_codes() {
        // Found by trying, as an attacker would.
        let wanted = Key::new("0").hash();
        let same: Vec<String> = (0u32..400_000)
            .map(|number| number.to_string())
            .filter(|text| (Key::new(text).hash() ^ wanted) & 0x3ff == 0)
            .collect();
        assert!(same.len() > 2 * STEPS_MAX, "{} strings", same.len());
        let mut dictionary = Dictionary::default();
        let codes: Vec<u32> = same.iter().map(|text| dictionary.intern(text)).collect();
        assert!(!dictionary.places.crowded.is_empty(), "nothing was crowded");
        assert!(codes.iter().copied().eq(0..u32::try_from(same.len()).expect("few")));
        for (text, code) in same.iter().zip(codes) {
            assert_eq!((dictionary.code(text), dictionary.intern(text)), (Some(code), code), "{text}");
        }
        assert_eq!(dictionary.code("not there"), None);
        assert_eq!(Dictionary::default().code(""), None);
    }

    proptest! {
        #[test]
        fn short_strings_with_one_key_are_one_string(one in "[ab\0]{0,16}", two in "[ab\0]{0,16}") {
            let (first, second) = (Key::new(&one), Key::new(&two));
            if first.is_whole() && second.is_whole() {
                prop_assert_eq!(first == second, one == two);
            }
            prop_assert_eq!(first.is_whole(), one.len() <= SHORT_BYTES_MAX);
        }

        #[test]
        fn codes_are_numbers_of_first_appearance(texts in prop::collection::vec("[a-c]{0,3}|\\PC{0,20}", 0..300)) {
            let mut dictionary = Dictionary::default();
            let mut model: Vec<String> = Vec::new();
            for text in &texts {
                let place = model.iter().position(|have| have == text).unwrap_or_else(|| {
                    model.push(text.clone());
                    model.len() - 1
                });
                prop_assert_eq!(dictionary.intern(text) as usize, place);
            }
            prop_assert_eq!(dictionary.values(), model.as_slice());
        }
    }
}
