//! Parts of a date: `event_time|hour`.

use outrider_types::UnixMicros;

/// Part of a date that a rule compares with numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatePart {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// Of the month, 1 to 31.
    Day,
    /// Of the year, 1 to 53; the first is the one with the year's first Thursday (ISO 8601).
    Week,
    /// 1 to 12.
    Month,
    /// Number of the year.
    Year,
}

impl DatePart {
    /// All parts.
    pub(crate) const ALL: [Self; 6] =
        [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// Returns the modifier.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Finds the part of a modifier.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.word() == word)
    }

    /// Returns the lowest and the highest number that a date can have there.
    pub(crate) const fn range(self) -> (i64, i64) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::Day => (1, 31),
            Self::Week => (1, 53),
            Self::Month => (1, 12),
            Self::Year => (0, 9999),
        }
    }

    /// Returns the part of a time, in UTC.
    pub(crate) fn of_time(self, time: UnixMicros) -> Option<i64> {
        self.of_text(&time.to_string())
    }

    /// Returns the part of a text that begins with a date, `2026-01-05T13:30:00Z` or `2026-01-05 13:30:00.5`, as it is
    /// written: zones are not converted. A date without a time of day has no hour and no minute.
    pub(crate) fn of_text(self, text: &str) -> Option<i64> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<i64> {
            let digits = bytes.get(from..to)?;
            let add = |sum: i64, digit: &u8| sum * 10 + i64::from(digit - b'0');
            digits.iter().all(u8::is_ascii_digit).then(|| digits.iter().fold(0, add))
        };
        let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let is_date = is(4, b"-") && is(7, b"-") && (1..=12).contains(&month);
        if !is_date || day < 1 || day > days_of(year, month) || is_number_longer(bytes) {
            return None;
        }
        let clock = || {
            let (hour, minute) = (number(11, 13)?, number(14, 16)?);
            (is(10, b"T t") && is(13, b":") && hour < 24 && minute < 60).then_some((hour, minute))
        };
        match self {
            Self::Minute => clock().map(|(_, minute)| minute),
            Self::Hour => clock().map(|(hour, _)| hour),
            Self::Day => Some(day),
            Self::Week => Some(week_of(year, month, day)),
            Self::Month => Some(month),
            Self::Year => Some(year),
        }
    }
}

/// Returns whether a digit follows the day, so that the text is not a date at all.
fn is_number_longer(bytes: &[u8]) -> bool {
    bytes.get(10).is_some_and(u8::is_ascii_digit)
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the day of the week of 1 January, Monday 0.
const fn first_weekday(year: i64) -> i64 {
    // 1 January of the year 1 was a Monday; each year since moved by its days modulo 7.
    let before = year - 1;
    (before * 365 + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400)).rem_euclid(7)
}

/// Returns how many weeks a year has: 53 if it begins or ends on a Thursday.
const fn weeks_of(year: i64) -> i64 {
    let first = first_weekday(year);
    if first == 3 || (first == 2 && is_leap(year)) { 53 } else { 52 }
}

fn week_of(year: i64, month: i64, day: i64) -> i64 {
    let day_of_year = (1..month).map(|month| days_of(year, month)).sum::<i64>() + day;
    let weekday = (first_weekday(year) + day_of_year - 1).rem_euclid(7);
    match (day_of_year - weekday + 9) / 7 {
        0 => weeks_of(year - 1),
        53 if weeks_of(year) == 52 => 1,
        week => week,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> [Option<i64>; 6] {
        DatePart::ALL.map(|part| part.of_text(text))
    }

    #[test]
    fn a_date_has_its_parts_as_written() {
        let of = |minute, hour, day, week, month, year| {
            [Some(minute), Some(hour), Some(day), Some(week), Some(month), Some(year)]
        };
        assert_eq!(parts("2026-01-05T00:07:00Z"), of(7, 0, 5, 2, 1, 2026));
        assert_eq!(parts("2025-10-22 20:30:29.319"), of(30, 20, 22, 43, 10, 2025));
        assert_eq!(parts("2026-02-28T23:59:59+11:00"), of(59, 23, 28, 9, 2, 2026));
        let day_only = parts("2024-02-29");
        assert_eq!(day_only, [None, None, Some(29), Some(9), Some(2), Some(2024)]);
        assert_eq!(DatePart::Hour.of_time(UnixMicros(1_767_571_200_000_000)), Some(0));
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        let week = |text| DatePart::Week.of_text(text);
        // The years around which the standard's examples turn.
        assert_eq!(week("2005-01-01"), Some(53));
        assert_eq!(week("2005-01-02"), Some(53));
        assert_eq!(week("2005-12-31"), Some(52));
        assert_eq!(week("2007-01-01"), Some(1));
        assert_eq!(week("2007-12-30"), Some(52));
        assert_eq!(week("2007-12-31"), Some(1));
        assert_eq!(week("2008-12-29"), Some(1));
        assert_eq!(week("2009-12-31"), Some(53));
        assert_eq!(week("2010-01-03"), Some(53));
        assert_eq!(week("2010-01-04"), Some(1));
    }

    #[test]
    fn what_is_no_date_has_no_parts() {
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-00-10",
            "2026-01-00",
            "26-01-05",
            "2026/01/05",
            "2026-01-051",
            "x026-01-05",
            "２026-01-05",
        ] {
            assert_eq!(parts(text), [None; 6], "{text}");
        }
        assert_eq!(parts("2026-01-05T24:00:00Z")[..2], [None; 2]);
        assert_eq!(parts("2026-01-05Txx:00")[..2], [None; 2]);
    }
}
