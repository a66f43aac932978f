//! Which numbers go together: section 2.
//!
//! A version (1), a zero byte, the number of numbers (2), the number of lines (2), two zero bytes; then the numbers,
//! ascending by identifier and place, and the lines, ascending by target and source. All places count from the front.
//!
//! | offset | bytes | number |
//! |---|---|---|
//! | 0 | 4 | identifier |
//! | 4 | 1 | place among the numbers of its payload |
//! | 5 | 1 | bits that are dropped so that sixteen are left |
//! | 6 | 1 | seconds in which it changed by a quarter of its largest change, held at 255 |
//! | 7 | 1 | zero |
//! | 8 | 4, 4 | lowest and highest value |
//! | 16 | 4 | largest change within a second |
//!
//! | offset | bytes | line |
//! |---|---|---|
//! | 0 | 1 | target: place of the number that is predicted |
//! | 1 | 1 | source: place of the number that predicts |
//! | 2 | 2 | zero |
//! | 4 | 4 | coefficient of determination, in 1/65536 |
//! | 8 | 8 | slope, in 1/65536, signed |
//! | 16 | 8 | value of the target at zero of the source, signed |
//! | 24 | 4 | largest deviation |
//! | 28 | 4, 4 | values of the source between which the line holds, signed |

use outrider_bus::can::CanId;

use super::super::bytes::{Cursor, array, u8_at, u16_at, u32_at, u64_at};
use super::payload::FIELDS_MAX;
use super::{VERSION, is_later};

/// Most numbers.
pub const NUMBERS_MAX: usize = crate::signals::SIGNALS_MAX;
/// Most lines to one number.
pub const LINES_EACH_MAX: usize = crate::signals::PREDICTORS_MAX;
/// Bytes of a number.
pub const NUMBER_BYTES: usize = 20;
/// Bytes of a line.
pub const LINE_BYTES: usize = 36;
const HEAD_BYTES: usize = 8;
const LINES_MAX: usize = NUMBERS_MAX * LINES_EACH_MAX;
/// Most bits that are dropped.
const DROP_MAX: u8 = crate::payload::WIDTH_MAX - 16;
/// Largest value of a number, before and after bits are dropped.
const VALUE_MAX: u32 = (1 << crate::payload::WIDTH_MAX) - 1;
/// Largest slope and offset that can mean anything: numbers of 24 bits.
const LINE_MAX: u64 = 1 << 48;

/// One number that is compared with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumberHabit {
    /// Identifier in whose payload it is.
    pub id: CanId,
    /// Its place among the numbers of that payload.
    pub field: u8,
    /// Bits that are dropped so that sixteen are left.
    pub drop: u8,
    /// Lowest value.
    pub low: u32,
    /// Highest value.
    pub high: u32,
    /// Largest change within a second.
    pub change_max: u32,
    /// Seconds in which it changed by a quarter of that, held at 255.
    pub lively_s: u8,
}

/// A straight line from one number to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineHabit {
    /// Place of the number that is predicted.
    pub target: u8,
    /// Place of the number that predicts.
    pub source: u8,
    /// Coefficient of determination, in 1/65536.
    pub quality_q16: u32,
    /// Change for each change of one of the source, in 1/65536.
    pub slope_q16: i64,
    /// Value at zero of the source.
    pub offset: i64,
    /// Largest deviation.
    pub deviation_max: u32,
    /// Lowest value of the source for which the line was seen to hold.
    pub low: i32,
    /// Highest.
    pub high: i32,
}

impl NumberHabit {
    /// Returns whether its values are possible.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        usize::from(self.field) < FIELDS_MAX
            && self.drop <= DROP_MAX
            && self.low <= self.high
            && self.high <= VALUE_MAX
            && self.change_max <= VALUE_MAX
    }

    /// Returns the record.
    #[must_use]
    pub fn record(&self) -> [u8; NUMBER_BYTES] {
        let mut out = [0; NUMBER_BYTES];
        let mut cursor = Cursor::new(&mut out);
        cursor.put(&self.id.word().to_le_bytes());
        cursor.put(&[self.field, self.drop, self.lively_s, 0]);
        for value in [self.low, self.high, self.change_max] {
            cursor.put(&value.to_le_bytes());
        }
        out
    }

    fn read(record: &[u8; NUMBER_BYTES]) -> Option<Self> {
        let number = Self {
            id: CanId::from_word(u32_at(record, 0))?,
            field: u8_at(record, 4),
            drop: u8_at(record, 5),
            low: u32_at(record, 8),
            high: u32_at(record, 12),
            change_max: u32_at(record, 16),
            lively_s: u8_at(record, 6),
        };
        (number.is_consistent() && u8_at(record, 7) == 0).then_some(number)
    }
}

impl LineHabit {
    /// Returns whether it goes from one of so many numbers to another, and its values are possible.
    #[must_use]
    pub fn is_consistent(&self, numbers: usize) -> bool {
        usize::from(self.target.max(self.source)) < numbers
            && self.target != self.source
            && self.quality_q16 <= 65_536
            && self.slope_q16.unsigned_abs() <= LINE_MAX
            && self.offset.unsigned_abs() <= LINE_MAX
            && self.deviation_max <= VALUE_MAX
            && self.low <= self.high
    }

    /// Returns the record.
    #[must_use]
    pub fn record(&self) -> [u8; LINE_BYTES] {
        let mut out = [0; LINE_BYTES];
        let mut cursor = Cursor::new(&mut out);
        cursor.put(&[self.target, self.source, 0, 0]);
        cursor.put(&self.quality_q16.to_le_bytes());
        cursor.put(&self.slope_q16.to_le_bytes());
        cursor.put(&self.offset.to_le_bytes());
        cursor.put(&self.deviation_max.to_le_bytes());
        cursor.put(&self.low.to_le_bytes());
        cursor.put(&self.high.to_le_bytes());
        out
    }

    fn read(record: &[u8; LINE_BYTES], numbers: usize) -> Option<Self> {
        let line = Self {
            target: u8_at(record, 0),
            source: u8_at(record, 1),
            quality_q16: u32_at(record, 4),
            slope_q16: u64_at(record, 8).cast_signed(),
            offset: u64_at(record, 16).cast_signed(),
            deviation_max: u32_at(record, 24),
            low: u32_at(record, 28).cast_signed(),
            high: u32_at(record, 32).cast_signed(),
        };
        (line.is_consistent(numbers) && u16_at(record, 2) == 0).then_some(line)
    }
}

/// Returns what stands before the numbers of a section, or `None` for more than there can be.
#[must_use]
pub fn together_head(numbers: usize, lines: usize) -> Option<[u8; HEAD_BYTES]> {
    let fits = numbers <= NUMBERS_MAX && lines <= LINES_MAX;
    let [a, b] = u16::try_from(numbers).ok().filter(|_| fits)?.to_le_bytes();
    let [c, d] = u16::try_from(lines).ok()?.to_le_bytes();
    Some([VERSION, 0, a, b, c, d, 0, 0])
}

/// Returns how many numbers and lines a section has; none of a version that is not known.
fn counts(section: &[u8]) -> (usize, usize) {
    if is_later(section) {
        return (0, 0);
    }
    (usize::from(u16_at(section, 2)).min(NUMBERS_MAX), usize::from(u16_at(section, 4)).min(LINES_MAX))
}

const fn line_at(numbers: usize, index: usize) -> usize {
    HEAD_BYTES
        .saturating_add(numbers.saturating_mul(NUMBER_BYTES))
        .saturating_add(index.saturating_mul(LINE_BYTES))
}

/// Returns the numbers of a checked section.
pub fn numbers(section: &[u8]) -> impl Iterator<Item = NumberHabit> + '_ {
    (0..counts(section).0).map_while(move |index| {
        let at = HEAD_BYTES.saturating_add(index.saturating_mul(NUMBER_BYTES));
        NumberHabit::read(&array(section, at)?)
    })
}

/// Returns the lines of a checked section.
pub fn lines(section: &[u8]) -> impl Iterator<Item = LineHabit> + '_ {
    let (numbers, lines) = counts(section);
    (0..lines).map_while(move |index| LineHabit::read(&array(section, line_at(numbers, index))?, numbers))
}

/// Checks a section of a model; a later version is not this reader's.
pub(in crate::model) fn check(section: &[u8]) -> Result<(), usize> {
    if is_later(section) {
        return Ok(());
    }
    let (said, (numbers, lines)) = ((u16_at(section, 2), u16_at(section, 4)), counts(section));
    let whole = u16_at(section, 0) == u16::from(VERSION)
        && (usize::from(said.0), usize::from(said.1)) == (numbers, lines)
        && u16_at(section, 6) == 0;
    if !whole || section.len() != line_at(numbers, lines) {
        return Err(0);
    }
    let mut previous = None;
    for index in 0..numbers {
        let at = HEAD_BYTES.saturating_add(index.saturating_mul(NUMBER_BYTES));
        let number = array(section, at).and_then(|record| NumberHabit::read(&record)).ok_or(at)?;
        let place = Some((number.id, number.field));
        if previous >= place {
            return Err(at);
        }
        previous = place;
    }
    let (mut previous, mut each) = (None, 0usize);
    for index in 0..lines {
        let at = line_at(numbers, index);
        let line = array(section, at).and_then(|record| LineHabit::read(&record, numbers)).ok_or(at)?;
        let same = previous.is_some_and(|(target, _)| target == line.target);
        each = if same { each.saturating_add(1) } else { 1 };
        if previous >= Some((line.target, line.source)) || each > LINES_EACH_MAX {
            return Err(at);
        }
        previous = Some((line.target, line.source));
    }
    Ok(())
}
