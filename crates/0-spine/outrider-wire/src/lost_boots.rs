//! The closing account of boots of which a vehicle holds no rows any more: many boots of one lane in one signed text.
//!
//! ```text
//! lane u8, first boot, last boot - first, boots, six sums,
//! kinds u8, then of each kind: event_type u16, severity u8, rows, observations
//! runs, then of each run: boots left out before it (none before the first, else at least one), boots in it
//! without runs, until the end, of each boot: boot less the one before (the first: less the first boot), six counts
//! ```
//!
//! Little endian; what has no type is a varint in its shortest form, seven bits a byte, lowest first. The signature covers
//! [`SIGN_LOST_BOOTS`] and the text as sent.
//!
//! A text lists its boots, or it has their sums and says in runs of which boots they are: of none of the boots in a run does
//! the vehicle hold anything, and what it gave up of them and did not tell before is in the sums.

use outrider_types::{BootEpoch, EventTypeId, Lane, Severity};

use crate::SIGNATURE_BYTES;
use crate::fault::RowFault;
use crate::limits::{LOST_BOOTS_BYTES_MAX, LOST_BOOTS_KINDS_MAX, LOST_BOOTS_LISTED_MAX};
use crate::pb::{Full, RawValue, Reader, Sink};
use crate::statement::LostRows;

/// Bytes before the text in what its signature covers.
pub const SIGN_LOST_BOOTS: &[u8] = b"outrider spool lost boots 2\0";

/// What a vehicle counted of a lane in a boot, or over several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BootCounts {
    /// Numbers given.
    pub numbers: u64,
    /// Observations handed to the lane.
    pub received: u64,
    /// Observations that never got a number, for whatever reason.
    pub refused: u64,
    /// Rows given up of which the cloud was not told before.
    pub evicted: u64,
    /// Observations in those rows.
    pub observations: u64,
    /// Numbers that damage used up of which the cloud was not told before.
    pub corrupt: u64,
}

impl BootCounts {
    /// Returns the counts in the order of the text.
    #[must_use]
    pub const fn numbers(&self) -> [u64; 6] {
        [self.numbers, self.received, self.refused, self.evicted, self.observations, self.corrupt]
    }

    const fn of([numbers, received, refused, evicted, observations, corrupt]: [u64; 6]) -> Self {
        Self { numbers, received, refused, evicted, observations, corrupt }
    }

    /// Adds the counts of another.
    pub const fn add(&mut self, other: &Self) {
        self.numbers = self.numbers.saturating_add(other.numbers);
        self.received = self.received.saturating_add(other.received);
        self.refused = self.refused.saturating_add(other.refused);
        self.evicted = self.evicted.saturating_add(other.evicted);
        self.observations = self.observations.saturating_add(other.observations);
        self.corrupt = self.corrupt.saturating_add(other.corrupt);
    }

    /// Returns the observations that were folded into other rows: received = numbers + folded + refused.
    #[must_use]
    pub const fn folded(&self) -> u64 {
        self.received.saturating_sub(self.numbers).saturating_sub(self.refused)
    }
}

/// One boot of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostBoot {
    /// Boot.
    pub epoch: BootEpoch,
    /// What was counted in it.
    pub counts: BootCounts,
}

/// Boots that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootRun {
    /// First.
    pub first: BootEpoch,
    /// Last.
    pub last: BootEpoch,
}

impl BootRun {
    /// Returns whether a boot is one of these.
    #[must_use]
    pub const fn contains(&self, epoch: BootEpoch) -> bool {
        self.first.0 <= epoch.0 && epoch.0 <= self.last.0
    }
}

/// A statement about boots of one lane, borrowed from the batch.
#[derive(Debug, Clone, Copy)]
pub struct LostBootsView<'a> {
    /// Lane.
    pub lane: Lane,
    /// First boot that it is about.
    pub first: BootEpoch,
    /// Last boot that it is about.
    pub last: BootEpoch,
    /// Boots that it is about: some of those between first and last, or of those in runs.
    pub boots: u64,
    /// Sums over them.
    pub sum: BootCounts,
    /// The device key's signature; zeros if it could not sign.
    pub signature: [u8; SIGNATURE_BYTES],
    /// The text that was signed, without [`SIGN_LOST_BOOTS`].
    pub text: &'a [u8],
    kinds: Text<'a>,
    runs: Text<'a>,
    each: Text<'a>,
}

#[derive(Debug, Clone, Copy)]
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0u64;
        let mut shift = 0u32;
        loop {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7F);
            let shifted = bits.checked_shl(shift)?;
            if shifted.checked_shr(shift) != Some(bits) {
                return None;
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return (byte != 0 || shift == 0).then_some(number);
            }
            shift = shift.checked_add(7)?;
        }
    }

    fn counts(&mut self) -> Option<BootCounts> {
        let mut numbers = [0; 6];
        for slot in &mut numbers {
            *slot = self.varint()?;
        }
        Some(BootCounts::of(numbers))
    }

    fn kind(&mut self) -> Option<LostRows> {
        let event_type = EventTypeId(u16::from_le_bytes(self.array()?));
        let severity = match self.u8()? {
            0 => None,
            code => Some(Severity::from_code(code)?),
        };
        Some(LostRows { event_type, severity, rows: self.varint()?, observations: self.varint()? })
    }

    /// Reads a run behind one that ends with `before`; the first of a text begins at `first`.
    fn run(&mut self, first: BootEpoch, before: Option<BootEpoch>) -> Option<BootRun> {
        let (left_out, boots) = (self.varint()?, self.varint()?);
        let begin = match before {
            Some(before) if left_out > 0 => before.0.checked_add(left_out)?.checked_add(1)?,
            None if left_out == 0 => first.0,
            _ => return None,
        };
        let last = begin.checked_add(boots.checked_sub(1)?)?;
        Some(BootRun { first: BootEpoch(begin), last: BootEpoch(last) })
    }

    fn boot(&mut self, before: BootEpoch) -> Option<LostBoot> {
        let epoch = BootEpoch(before.0.checked_add(self.varint()?)?);
        Some(LostBoot { epoch, counts: self.counts()? })
    }

    /// Returns whether the rest lists so many boots between first and last, ascending, with these sums.
    fn is_list(mut self, first: BootEpoch, last: BootEpoch, boots: u64, sum: &BootCounts) -> bool {
        let (mut listed, mut counted, mut before) = (0usize, BootCounts::default(), None);
        while !self.0.is_empty() {
            let Some(one) = self.boot(before.unwrap_or(first)) else { return false };
            if one.epoch > last || before.is_some_and(|before| before >= one.epoch) {
                return false;
            }
            before = Some(one.epoch);
            listed = listed.saturating_add(1);
            counted.add(&one.counts);
        }
        listed <= LOST_BOOTS_LISTED_MAX && u64::try_from(listed) == Ok(boots) && counted == *sum
    }
}

impl<'a> LostBootsView<'a> {
    /// Reads a text; `None` unless every byte has its meaning, boots ascend and lie between first and last, listed boots
    /// are as many as it is about and their counts the sums, or runs reach from first to last and have room for the boots.
    #[must_use]
    pub fn parse(text: &'a [u8], signature: [u8; SIGNATURE_BYTES]) -> Option<Self> {
        if text.len() > LOST_BOOTS_BYTES_MAX {
            return None;
        }
        let mut rest = Text(text);
        let lane = Lane::from_code(rest.u8()?)?;
        let first = BootEpoch(rest.varint()?);
        let last = BootEpoch(first.0.checked_add(rest.varint()?)?);
        let boots = rest.varint()?;
        let sum = rest.counts()?;
        let count = usize::from(rest.u8()?);
        if count > LOST_BOOTS_KINDS_MAX.saturating_add(1) {
            return None;
        }
        let kinds = rest;
        for _ in 0..count {
            rest.kind()?;
        }
        let kinds = Text(kinds.0.get(..kinds.0.len().checked_sub(rest.0.len())?)?);
        let count = rest.varint()?;
        let runs = rest;
        let (mut covered, mut before) = (0u64, None);
        for _ in 0..count {
            let run = rest.run(first, before)?;
            covered = covered.checked_add(run.last.0.checked_sub(run.first.0)?.checked_add(1)?)?;
            before = Some(run.last);
        }
        let runs = Text(runs.0.get(..runs.0.len().checked_sub(rest.0.len())?)?);
        let each = rest;
        let is_whole = if count > 0 {
            rest.0.is_empty() && before == Some(last) && boots <= covered
        } else {
            rest.is_list(first, last, boots, &sum)
        };
        (is_whole && boots > 0).then_some(Self {
            lane,
            first,
            last,
            boots,
            sum,
            signature,
            text,
            kinds,
            runs,
            each,
        })
    }

    /// Returns the rows given up by type and severity; only their sums go by boot.
    pub fn lost(&self) -> impl Iterator<Item = LostRows> + use<'a> {
        let mut rest = self.kinds;
        core::iter::from_fn(move || rest.kind())
    }

    /// Returns the boots that the sums are of, ascending; nothing if each is listed.
    pub fn runs(&self) -> impl Iterator<Item = BootRun> + use<'a> {
        let mut rest = self.runs;
        let (first, mut before) = (self.first, None);
        core::iter::from_fn(move || {
            let run = (!rest.0.is_empty()).then(|| rest.run(first, before)).flatten()?;
            before = Some(run.last);
            Some(run)
        })
    }

    /// Returns each boot, ascending; nothing if only the sums are known any more.
    pub fn each(&self) -> impl Iterator<Item = LostBoot> + use<'a> {
        let mut rest = self.each;
        let mut before = self.first;
        core::iter::from_fn(move || {
            let one = rest.boot(before)?;
            before = one.epoch;
            Some(one)
        })
    }

    /// Returns whether it lists its boots one by one.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        !self.each.0.is_empty()
    }
}

pub(crate) fn read(bytes: &[u8], start: usize) -> Result<LostBootsView<'_>, RowFault> {
    let (mut signature, mut text) = ([0; SIGNATURE_BYTES], [].as_slice());
    let mut reader = Reader::new(bytes, start);
    while let Some(part) = reader.field().map_err(RowFault::Structure)? {
        match (part.number, part.value) {
            (1, RawValue::Bytes { bytes, .. }) => text = bytes,
            (2, RawValue::Bytes { bytes, .. }) => {
                signature = bytes
                    .try_into()
                    .map_err(|_| RowFault::Length { max: SIGNATURE_BYTES, got: bytes.len() })?;
            }
            (1 | 2, _) => return Err(RowFault::Structure(part.mismatch())),
            _ => {}
        }
    }
    LostBootsView::parse(text, signature).ok_or(RowFault::Range)
}

pub(crate) fn put<S: Sink>(sink: &mut S, text: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> Result<(), Full> {
    sink.bytes(1, text)?;
    sink.bytes(2, signature)
}
