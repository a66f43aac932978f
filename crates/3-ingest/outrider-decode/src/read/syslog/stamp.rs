//! Times of RFC 3164 and ISO 8601 at the start of a message.

use crate::read::budget::{Budget, Fields};
use crate::{Doc, ReadError};

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Names of zones that no host has (guess: those of the examples of RFC 3164 and of where cars are made).
const ZONES: [&[u8]; 18] = [
    b"UTC", b"GMT", b"Z", b"WET", b"CET", b"CEST", b"EET", b"EEST", b"BST", b"EST", b"EDT", b"CST", b"CDT",
    b"MST", b"MDT", b"PST", b"PDT", b"JST",
];

/// Parts of a time without a full date: `Oct 11 22:14:15`, with what senders add.
#[derive(Debug, Default)]
pub(super) struct Stamp<'a> {
    year: Option<u16>,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    microsecond: Option<u32>,
    zone: Option<&'a [u8]>,
}

/// Walks over the bytes of a time.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.bytes.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    fn blanks(&mut self) -> Option<()> {
        self.take(b' ')?;
        while self.take(b' ').is_some() {}
        Some(())
    }

    /// Reads `least` to `most` digits that another digit does not follow.
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let digits = self.rest().iter().take(most + 1).take_while(|byte| byte.is_ascii_digit()).count();
        if digits < least || digits > most {
            return None;
        }
        let value = std::str::from_utf8(&self.rest()[..digits]).ok()?.parse().ok()?;
        self.at += digits;
        Some(value)
    }

    fn below(&mut self, least: usize, end: u32) -> Option<u8> {
        let value = self.number(least, 2).filter(|&value| value < end)?;
        u8::try_from(value).ok()
    }

    fn try_year(&mut self) -> Option<u16> {
        let start = self.at;
        let year = self.number(4, 4).filter(|year| (1970..2200).contains(year));
        if year.is_none() || !self.rest().first().is_none_or(|byte| matches!(byte, b' ' | b':')) {
            self.at = start;
            return None;
        }
        year.and_then(|year| u16::try_from(year).ok())
    }
}

impl<'a> Stamp<'a> {
    /// Reads a time; returns it and its length.
    pub(super) fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let mut walk = Walk { bytes, at: 0 };
        let mut stamp = Self::default();
        // `*` and `.`: Cisco's marks of a clock that is not set or not synchronised.
        if walk.take(b'*').is_none() {
            let _ = walk.take(b'.');
        }
        stamp.year = walk.try_year();
        if stamp.year.is_some() {
            walk.blanks()?;
        }
        let name = walk.rest().get(..3)?;
        let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
        stamp.month = u8::try_from(month + 1).ok()?;
        walk.at += 3;
        walk.blanks()?;
        stamp.day = walk.below(1, 32).filter(|&day| day > 0)?;
        walk.blanks()?;
        if stamp.year.is_none() {
            stamp.year = walk.try_year();
            if stamp.year.is_some() {
                walk.blanks()?;
            }
        }
        stamp.hour = walk.below(1, 24)?;
        walk.take(b':')?;
        stamp.minute = walk.below(2, 60)?;
        walk.take(b':')?;
        // 60: a leap second.
        stamp.second = walk.below(2, 61)?;
        if walk.take(b'.').or_else(|| walk.take(b',')).is_some() {
            stamp.microsecond = Some(walk.fraction()?);
        }
        stamp.behind(&mut walk);
        Some((stamp, walk.at))
    }

    /// Takes a year or the name of a zone behind the time, if they are there.
    fn behind(&mut self, walk: &mut Walk<'a>) {
        let start = walk.at;
        if walk.take(b' ').is_none() {
            return;
        }
        if self.year.is_none() {
            self.year = walk.try_year();
            if self.year.is_some() {
                return;
            }
        }
        let end =
            walk.rest().iter().position(|byte| matches!(byte, b' ' | b':')).unwrap_or(walk.rest().len());
        let word = &walk.rest()[..end];
        let is_offset = matches!(word, [b'+' | b'-', rest @ ..]
            if matches!(rest.len(), 4 | 5) && rest.iter().all(|byte| byte.is_ascii_digit()));
        if ZONES.contains(&word) || is_offset {
            self.zone = Some(word);
            walk.at += end;
            let start = walk.at;
            if self.year.is_none() && walk.take(b' ').is_some() {
                self.year = walk.try_year();
                if self.year.is_none() {
                    walk.at = start;
                }
            }
        } else {
            walk.at = start;
        }
    }

    /// Makes a map of it.
    pub(super) fn into_doc(self, budget: &mut Budget, outer: usize) -> Result<Doc, ReadError> {
        let mut doc = Fields::begin(budget, outer)?;
        if let Some(year) = self.year {
            doc.int(budget, "year", year)?;
        }
        doc.int(budget, "month", self.month)?;
        doc.int(budget, "day", self.day)?;
        doc.int(budget, "hour", self.hour)?;
        doc.int(budget, "minute", self.minute)?;
        doc.int(budget, "second", self.second)?;
        if let Some(microsecond) = self.microsecond {
            doc.int(budget, "microsecond", microsecond)?;
        }
        if let Some(zone) = self.zone {
            let zone = budget.text_or_bytes(zone)?;
            doc.put(budget, "zone", zone)?;
        }
        Ok(doc.end())
    }
}

impl Walk<'_> {
    /// Reads 1 to 9 digits behind the point as microseconds.
    fn fraction(&mut self) -> Option<u32> {
        let start = self.at;
        let value = self.number(1, 9)?;
        let digits = u32::try_from(self.at - start).ok()?;
        Some(if digits <= 6 { value * 10u32.pow(6 - digits) } else { value / 10u32.pow(digits - 6) })
    }
}

/// Reads a full date and time, `2003-10-11T22:14:15.003Z` or with a blank instead of `T`; returns its length and what is
/// behind it. The values are not judged: the mapping reads them.
pub(super) fn iso(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut walk = Walk { bytes, at: 0 };
    walk.number(4, 4)?;
    walk.take(b'-')?;
    walk.number(2, 2)?;
    walk.take(b'-')?;
    walk.number(2, 2)?;
    walk.take(b'T').or_else(|| walk.take(b' '))?;
    walk.number(2, 2)?;
    walk.take(b':')?;
    walk.number(2, 2)?;
    walk.take(b':')?;
    walk.number(2, 2)?;
    if walk.take(b'.').or_else(|| walk.take(b',')).is_some() {
        walk.number(1, 9)?;
    }
    if walk.take(b'Z').is_none() && walk.take(b'+').or_else(|| walk.take(b'-')).is_some() {
        walk.number(2, 2)
            .and_then(|_| {
                walk.take(b':')?;
                walk.number(2, 2)
            })
            .or_else(|| walk.number(4, 4))?;
    }
    if !walk.rest().first().is_none_or(|byte| matches!(byte, b' ' | b':')) {
        return None;
    }
    Some((walk.at, walk.rest()))
}
