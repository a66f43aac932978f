//! Steps over JSON text: strings and numbers, eight bytes at a time.

/// How a string ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StringEnd {
    /// At this quotation mark; no escape before it.
    Plain(usize),
    /// At this quotation mark; there are escapes.
    Escaped(usize),
}

/// A number as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// Integer of 64 bits.
    Int(i64),
    /// Fraction or exponent, finite.
    Float(f64),
}

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Marks the lowest byte below `bound`, and maybe bytes above it; `bound` is at most 128.
const fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(ONES * bound as u64) & !word & HIGHS
}

/// Marks the bytes that end a run of plain characters: quotation marks, backslashes and control characters. The lowest
/// mark is right; those above it may be not.
const fn marks(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    below(quote, 1) | below(backslash, 1) | below(word, 0x20)
}

/// Returns the place of the first quotation mark, backslash or control character from `at` on.
fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some((word, _)) = bytes.get(at..).and_then(<[u8]>::split_first_chunk::<8>) {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map(|place| at + place)
}

/// Finds the end of the string whose text begins at `at`; `None` if it has none, or holds a control character.
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> Option<StringEnd> {
    let mut has_escape = false;
    loop {
        at = special(bytes, at)?;
        match bytes.get(at)? {
            b'"' if has_escape => return Some(StringEnd::Escaped(at)),
            b'"' => return Some(StringEnd::Plain(at)),
            b'\\' => {
                has_escape = true;
                at += 2;
            }
            _ => return None,
        }
    }
}

/// Most digits of a number that fits 64 bits whatever they are.
const DIGITS_SAFE: usize = 18;

/// Reads the number that begins at `at` (RFC 8259, clause 6) and returns it with the place behind it. `None` if there is
/// none, and for those whose digits neither kind keeps.
pub(super) fn number(text: &str, at: usize) -> Option<(Number, usize)> {
    let bytes = text.as_bytes();
    let is_negative = bytes.get(at) == Some(&b'-');
    let first = at + usize::from(is_negative);
    let mut end = first;
    let mut value: i64 = 0;
    for digit in
        bytes.get(first..)?.iter().map(|byte| byte.wrapping_sub(b'0')).take_while(|digit| *digit < 10)
    {
        // Wraps only where there are more digits than are safe, and then it is not used.
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
        end += 1;
    }
    if end == first || (bytes.get(first) == Some(&b'0') && end > first + 1) {
        return None;
    }
    if !matches!(bytes.get(end), Some(b'.' | b'e' | b'E')) {
        if end - first > DIGITS_SAFE {
            return text.get(at..end)?.parse().ok().map(|value| (Number::Int(value), end));
        }
        return Some((Number::Int(if is_negative { -value } else { value }), end));
    }
    let end = fraction(bytes, end)?;
    let value: f64 = text.get(at..end)?.parse().ok()?;
    value.is_finite().then_some((Number::Float(value), end))
}

/// Returns the place behind the number that begins at `at`, as [`number`] does, for those whose value nobody asks.
pub(super) fn number_end(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let first = at + usize::from(bytes.get(at) == Some(&b'-'));
    let digits = bytes.get(first..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // Few digits and no exponent: whatever the value, it fits.
    let is_plain = digits == 1 || ((1..=DIGITS_SAFE).contains(&digits) && bytes.get(first) != Some(&b'0'));
    let end = first + digits;
    match bytes.get(end) {
        Some(b'.') if is_plain => {
            let count = bytes.get(end + 1..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let end = end + 1 + count;
            if count > 0 && !matches!(bytes.get(end), Some(b'e' | b'E')) {
                return Some(end);
            }
        }
        Some(b'e' | b'E') => {}
        Some(_) | None if is_plain => return Some(end),
        Some(_) | None => {}
    }
    number(text, at).map(|(_, end)| end)
}

/// Returns the place behind the fraction and the exponent that begin at `at`.
fn fraction(bytes: &[u8], mut at: usize) -> Option<usize> {
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
        at = digits(at + 1 + usize::from(sign))?;
    }
    Some(at)
}

/// Returns the place of the first byte from `at` on that is no blank of JSON.
#[inline]
pub(super) fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    if bytes.get(at).is_none_or(|byte| *byte > b' ') {
        return at;
    }
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_as_the_standard_has_them() {
        let read = |text: &str| number(text, 0);
        assert_eq!(read("-0,"), Some((Number::Int(0), 2)));
        assert_eq!(read("9223372036854775807"), Some((Number::Int(i64::MAX), 19)));
        assert_eq!(read("-9223372036854775808"), Some((Number::Int(i64::MIN), 20)));
        assert_eq!(read("1.50}"), Some((Number::Float(1.5), 4)));
        assert_eq!(read("1e3"), Some((Number::Float(1000.0), 3)));
        for refused in ["", "-", "01", "1.", ".5", "1e", "1e+", "+1", "9223372036854775808", "1e400", "x"] {
            assert_eq!((read(refused), number_end(refused, 0)), (None, None), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn a_number_ends_where_it_ends_whether_its_value_is_asked_or_not(text in "-?[0-9]{0,22}[.eE+-]{0,2}[0-9]{0,4}[eE,]?[0-9]?") {
            prop_assert_eq!(number_end(&text, 0), number(&text, 0).map(|(_, end)| end));
        }

        #[test]
        fn the_end_of_a_string_is_where_a_simple_walk_finds_it(
            bytes in prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\')], 0..40),
            from in 0usize..40,
        ) {
            let walk = || {
                let (mut at, mut has_escape) = (from, false);
                loop {
                    match bytes.get(at)? {
                        b'"' if has_escape => return Some(StringEnd::Escaped(at)),
                        b'"' => return Some(StringEnd::Plain(at)),
                        b'\\' => { has_escape = true; at += 2; }
                        0..0x20 => return None,
                        _ => at += 1,
                    }
                }
            };
            prop_assert_eq!(string_end(&bytes, from), walk());
        }
    }
}
