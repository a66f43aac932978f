//! Values that are searched in an encoded form: `utf16le`, `base64`, `base64offset`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// UTF-16 of a value, before base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Utf16 {
    /// Low byte first; `wide` is another name of it.
    Little,
    /// High byte first.
    Big,
    /// Low byte first, after a byte order mark.
    Marked,
}

/// Base64 of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base64 {
    /// Of the value and nothing else.
    Alone,
    /// Of the value somewhere in a longer text: what it looks like at each of three offsets.
    Anywhere,
}

/// How values are encoded before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Encoding {
    pub(crate) utf16: Option<Utf16>,
    pub(crate) base64: Option<Base64>,
}

/// Shortest value of which something is left at every offset, bytes.
const ANYWHERE_BYTES_MIN: usize = 2;

impl Encoding {
    /// Returns the texts that stand for a value, as rules write them.
    ///
    /// # Errors
    /// What is wrong with the value, and what to do.
    pub(crate) fn texts(self, value: &str) -> Result<Vec<String>, (String, &'static str)> {
        let Some(base64) = self.base64 else { return Ok(vec![value.to_owned()]) };
        let plain = plain(value).ok_or_else(|| {
            ("a wildcard cannot be encoded".to_owned(), "write \\* for a star that is meant")
        })?;
        let bytes = match self.utf16 {
            None => plain.into_bytes(),
            Some(Utf16::Little) => plain.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Some(Utf16::Big) => plain.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Some(Utf16::Marked) => {
                [0xFEFF].into_iter().chain(plain.encode_utf16()).flat_map(u16::to_le_bytes).collect()
            }
        };
        match base64 {
            Base64::Alone => Ok(vec![STANDARD.encode(bytes)]),
            Base64::Anywhere if bytes.len() < ANYWHERE_BYTES_MIN => {
                let message = format!("`{value}` is too short to be found in base64");
                Err((message, "two bytes are the least"))
            }
            Base64::Anywhere => Ok((0..3).map(|offset| shifted(&bytes, offset)).collect()),
        }
    }

    /// Returns the word in explanations, with the bar behind it; empty if nothing is encoded.
    pub(crate) const fn word(self) -> &'static str {
        match (self.utf16, self.base64) {
            (_, None) => "",
            (None, Some(Base64::Alone)) => "base64|",
            (None, Some(Base64::Anywhere)) => "base64offset|",
            (Some(Utf16::Little), Some(Base64::Alone)) => "utf16le|base64|",
            (Some(Utf16::Little), Some(Base64::Anywhere)) => "utf16le|base64offset|",
            (Some(Utf16::Big), Some(Base64::Alone)) => "utf16be|base64|",
            (Some(Utf16::Big), Some(Base64::Anywhere)) => "utf16be|base64offset|",
            (Some(Utf16::Marked), Some(Base64::Alone)) => "utf16|base64|",
            (Some(Utf16::Marked), Some(Base64::Anywhere)) => "utf16|base64offset|",
        }
    }
}

/// Takes the meaning from backslashes; `None` if there is a wildcard.
fn plain(value: &str) -> Option<String> {
    let mut plain = String::with_capacity(value.len());
    let mut rest = value.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\\' if matches!(rest.peek(), Some('*' | '?' | '\\')) => plain.extend(rest.next()),
            '*' | '?' => return None,
            other => plain.push(other),
        }
    }
    Some(plain)
}

/// Returns the characters of base64 that hold nothing but bits of `bytes`, if they begin `offset` bytes behind a group of
/// three.
fn shifted(bytes: &[u8], offset: usize) -> String {
    let padded: Vec<u8> = std::iter::repeat_n(0, offset).chain(bytes.iter().copied()).collect();
    let encoded = STANDARD.encode(&padded);
    // A character holds six bits: the first whole one behind the padding, and the last whole one of the value.
    let (from, to) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
    encoded.get(from..to).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(utf16: Option<Utf16>, base64: Base64, value: &str) -> Vec<String> {
        Encoding { utf16, base64: Some(base64) }.texts(value).expect("it can be encoded")
    }

    #[test]
    fn encodings_are_those_of_the_standards() {
        // RFC 4648, section 10.
        assert_eq!(texts(None, Base64::Alone, "foobar"), ["Zm9vYmFy"]);
        assert_eq!(texts(None, Base64::Alone, "fooba"), ["Zm9vYmE="]);
        assert_eq!(texts(Some(Utf16::Little), Base64::Alone, "hi"), ["aABpAA=="]);
        assert_eq!(texts(Some(Utf16::Big), Base64::Alone, "hi"), ["AGgAaQ=="]);
        assert_eq!(texts(Some(Utf16::Marked), Base64::Alone, "hi"), ["//5oAGkA"]);
        assert_eq!(texts(None, Base64::Anywhere, "foo"), ["Zm9v", "Zvb", "mb2"]);
        assert_eq!(texts(None, Base64::Alone, r"a\*\\b"), [STANDARD.encode(r"a*\b")]);
        assert!(Encoding { utf16: None, base64: Some(Base64::Alone) }.texts("a*").is_err());
        assert!(Encoding { utf16: None, base64: Some(Base64::Anywhere) }.texts("a").is_err());
    }

    proptest! {
        #[test]
        fn a_value_is_found_in_every_text_that_holds_it(
            before in proptest::collection::vec(any::<u8>(), 0..9),
            value in "[ -)+->@-\\[\\]-~äß€]{2,12}",
            after in proptest::collection::vec(any::<u8>(), 0..9),
        ) {
            let whole: Vec<u8> = before.iter().chain(value.as_bytes()).chain(&after).copied().collect();
            let encoded = STANDARD.encode(whole);
            let offset = before.len() % 3;
            let found = texts(None, Base64::Anywhere, &value);
            prop_assert!(encoded.contains(&found[offset]), "{found:?} in {encoded}");
            prop_assert!(found.iter().all(|text| !text.is_empty()));
        }
    }
}
