//! Numbers, bytes and dates in text.

use outrider_bus::can::DATA_BYTES_MAX;

use super::ProblemReason;

/// Payload bytes read from text.
#[derive(Debug)]
pub(super) struct Payload {
    bytes: [u8; DATA_BYTES_MAX],
    len: usize,
}

impl Payload {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; DATA_BYTES_MAX], len: 0 }
    }

    pub(super) fn push(&mut self, byte: u8) -> Result<(), ProblemReason> {
        *self.bytes.get_mut(self.len).ok_or(ProblemReason::DataSurplus)? = byte;
        self.len += 1;
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Returns the first `len` bytes.
    pub(super) fn cut(mut self, len: usize) -> Self {
        self.len = self.len.min(len);
        self
    }

    /// Reads exactly `count` tokens as bytes in a base.
    pub(super) fn take<'a>(
        tokens: &mut impl Iterator<Item = &'a str>,
        count: usize,
        base: u32,
    ) -> Result<Self, ProblemReason> {
        let mut payload = Self::new();
        for _ in 0..count {
            let token = tokens.next().ok_or(ProblemReason::DataMissing)?;
            payload.push(number(token, base).ok_or(ProblemReason::Data)?)?;
        }
        Ok(payload)
    }
}

/// Reads an unsigned number without sign or prefix.
pub(super) fn number<T: TryFrom<u64>>(text: &str, base: u32) -> Option<T> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(text, base).ok().and_then(|value| T::try_from(value).ok())
}

/// Reads a decimal number `12.345` times ten to the `places`, cutting further digits; no sign, no exponent.
pub(super) fn scaled(text: &str, places: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty()
        || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let digits = whole.bytes().chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(places));
    let mut value = 0u64;
    for digit in digits {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some(value)
}

/// Reads digits two by two; dots between bytes are allowed.
pub(super) fn packed(text: &str) -> Result<Payload, ProblemReason> {
    let mut payload = Payload::new();
    let mut digits = text.bytes().filter(|&byte| byte != b'.');
    while let Some(high) = digits.next() {
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let low = digits.next().and_then(nibble).ok_or(ProblemReason::Data)?;
        payload.push(nibble(high).ok_or(ProblemReason::Data)? << 4 | low)?;
    }
    Ok(payload)
}

/// Reads base64 with padding (RFC 4648).
pub(super) fn unbase64(text: &str) -> Option<Payload> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut payload = Payload::new();
    let (mut held, mut bits) = (0u32, 0u32);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            payload.push(u8::try_from(held >> bits & 0xFF).ok()?).ok()?;
            held &= (1 << bits) - 1;
        }
    }
    Some(payload)
}

/// Reads `h:m:s[.fraction]` as microseconds.
pub(super) fn clock(text: &str) -> Option<u64> {
    let mut parts = text.splitn(3, ':');
    let hours: u64 = number(parts.next()?, 10).filter(|hours| *hours < 10_000)?;
    let minutes: u64 = number(parts.next()?, 10).filter(|minutes| *minutes < 60)?;
    let second_us = scaled(parts.next()?, 6).filter(|us| *us < 61_000_000)?;
    Some((hours * 60 + minutes) * 60_000_000 + second_us)
}

/// Reads `year-month-day h:m:s[.fraction]` as microseconds since 1970, a zone behind it ignored.
pub(super) fn iso_date(text: &str) -> Option<i64> {
    let (date, time) = text.trim().split_once(['T', ' '])?;
    let mut parts = date.splitn(3, ['-', '/']);
    let mut part = || number::<u32>(parts.next()?, 10).map(i64::from);
    let (year, month, day) = (part()?, part()?, part()?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let end = time.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, ':' | '.'));
    let time = clock(time.get(..end.unwrap_or(time.len()))?)?;
    Some(days(year, month, day) * 86_400_000_000 + i64::try_from(time).ok()?)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    // Algorithm: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_index = (month + 9) % 12;
    let day_of_year = (153 * month_index + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Number of a month by the first letters of its English or German name.
fn month(name: &str) -> Option<i64> {
    let lower = name.to_lowercase();
    let starts = |words: &[&str]| words.iter().any(|word| lower.starts_with(word));
    let months: [&[&str]; 12] = [
        &["jan"],
        &["feb"],
        &["mar", "mär", "mrz", "m\u{fffd}r"],
        &["apr"],
        &["may", "mai"],
        &["jun"],
        &["jul"],
        &["aug"],
        &["sep"],
        &["oct", "okt"],
        &["nov"],
        &["dec", "dez"],
    ];
    let index = months.iter().position(|words| starts(words))?;
    i64::try_from(index + 1).ok()
}

/// Reads `[weekday] month day h:m:s[.fraction] [am|pm] year` as microseconds since 1970, zone ignored.
pub(super) fn vector_date(text: &str) -> Option<i64> {
    let tokens: Vec<&str> = text.split_whitespace().take(8).collect();
    let at = tokens.iter().position(|token| token.contains(':')).filter(|&at| at >= 2)?;
    let (month_name, day) = (*tokens.get(at - 2)?, number::<u32>(tokens.get(at - 1)?, 10)?);
    let mut clock = tokens.get(at)?.splitn(3, ':');
    let mut hour = number::<u32>(clock.next()?, 10)?;
    let minute = number::<u32>(clock.next()?, 10)?;
    let second_us = scaled(clock.next().unwrap_or("0"), 6)?;
    let mut rest = tokens.get(at + 1..)?.iter();
    let mut year = *rest.next()?;
    let half = year.to_ascii_lowercase();
    if half == "am" || half == "pm" {
        hour = hour % 12 + if half == "pm" { 12 } else { 0 };
        year = rest.next()?;
    }
    let year = number::<u32>(year, 10)?;
    if hour > 23 || minute > 59 || second_us >= 61_000_000 || !(1..=31).contains(&day) || year > 9999 {
        return None;
    }
    let date = days(i64::from(year), month(month_name)?, i64::from(day));
    let minutes = i64::from(hour * 60 + minute);
    Some(date * 86_400_000_000 + minutes * 60_000_000 + i64::try_from(second_us).ok()?)
}

/// Reads an OLE date (days since 1899-12-30) as microseconds since 1970, zone ignored.
pub(super) fn ole_date(text: &str) -> Option<i64> {
    // Writers state 10 to 12 digits; 1e-12 of a day is 86.4 ns.
    let trillionths = scaled(text, 12)?;
    let micros = (u128::from(trillionths) * 864 + 5_000) / 10_000;
    i64::try_from(micros).ok()?.checked_sub(25_569 * 86_400_000_000)
}
