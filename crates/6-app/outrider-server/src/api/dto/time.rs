//! Times as the API writes them.

use outrider_types::UnixMicros;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// Moment in UTC, written as `2026-01-05T00:00:00.000000Z`.
///
/// Reads RFC 3339 with `Z` or a numeric offset and 0 to 9 fraction digits (digits after the sixth are cut off).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-01-05T00:00:00.000000Z")]
pub struct Timestamp(pub UnixMicros);

impl Timestamp {
    /// Reads RFC 3339 text, or returns `None` where it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let date_time = text.get(..19)?;
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if separators
            .iter()
            .any(|&(at, wanted)| bytes.get(at).is_none_or(|got| got.to_ascii_uppercase() != wanted))
        {
            return None;
        }
        let number = |from: usize, to: usize| digits(date_time.get(from..to)?);
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let (micros, offset) = fraction(text.get(19..)?)?;
        let offset_seconds = offset_seconds(offset)?;
        let seconds =
            days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_seconds;
        Some(Self(UnixMicros(seconds * 1_000_000 + micros)))
    }
}

/// Reads a number made of digits only.
fn digits(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Splits `.123456Z` into microseconds and the zone.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 || count > 9 {
        return None;
    }
    let (fraction, zone) = rest.split_at(count);
    let mut micros = digits(&fraction[..count.min(6)])?;
    for _ in count.min(6)..6 {
        micros *= 10;
    }
    Some((micros, zone))
}

/// Reads `Z` or `+02:00` as seconds east of UTC.
fn offset_seconds(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match zone.as_bytes().first()? {
        b'+' => (1, &zone[1..]),
        b'-' => (-1, &zone[1..]),
        _ => return None,
    };
    let (hour, minute) = rest.split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    let (hour, minute) = (digits(hour)?, digits(minute)?);
    (hour <= 23 && minute <= 59).then_some(sign * (hour * 3600 + minute * 60))
}

/// Number of days of a month of the Gregorian calendar.
fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a day of the Gregorian calendar (Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `days_from_civil`); four-digit years cannot overflow.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl From<UnixMicros> for Timestamp {
    fn from(micros: UnixMicros) -> Self {
        Self(micros)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("expected an RFC 3339 time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_times_read_back() {
        for micros in [0, -1, 1_709_210_096_000_007, 4_102_444_800_000_000] {
            let text = UnixMicros(micros).to_string();
            assert_eq!(Timestamp::parse(&text), Some(Timestamp(UnixMicros(micros))), "{text}");
        }
    }

    #[test]
    fn offsets_and_short_fractions_are_understood() {
        assert_eq!(Timestamp::parse("1970-01-01T02:00:00.5+02:00"), Some(Timestamp(UnixMicros(500_000))));
        assert_eq!(Timestamp::parse("1969-12-31t23:30:00-00:30"), Some(Timestamp(UnixMicros(0))));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,40}") {
            let _ = Timestamp::parse(&text);
        }

        #[test]
        fn every_time_of_four_digit_years_reads_back(micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
            let text = UnixMicros(micros).to_string();
            proptest::prop_assert_eq!(Timestamp::parse(&text), Some(Timestamp(UnixMicros(micros))));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "1970-01-01",
            "1970-13-01T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00+2:00",
            "1970-01-01T00:00:0éZ",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
