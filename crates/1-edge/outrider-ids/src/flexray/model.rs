//! What is normal on a FlexRay cluster, and its bytes in a vehicle model.
//!
//! Section: version (1 byte, 1), clusters (1). A cluster: number (1), 0 (1), slots of the static segment or 0 if not
//! known (2), rows (2), 0 (2); a row: slot (2), payload in words (1), [flags](flag) (1), cycles (8, one a bit from the
//! lowest), slots ascending. All little endian.

use outrider_types::BusId;

/// Version of the section.
const VERSION: u8 = 1;
/// Most clusters of a model (guess: vehicles have one or two).
pub const CLUSTERS_MAX: usize = 8;
/// Most slots with frames: a cycle of 5 ms at 10 Mbit/s has room for about half as many.
pub const ROWS_MAX: usize = 512;
const HEAD_BYTES: usize = 8;
const ROW_BYTES: usize = 12;

/// Flags of a slot.
pub mod flag {
    /// Its frames are sync frames.
    pub const SYNC: u8 = 0x01;
    /// Its frames are startup frames.
    pub const STARTUP: u8 = 0x02;
    /// Both flags are known; without this they are learned on the road.
    pub const FLAGS_KNOWN: u8 = 0x04;
    /// All flags there are.
    pub(super) const ALL: u8 = 0x07;
}

/// What is normal for one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotFacts {
    /// The slot, 1 to 2047.
    pub slot: u16,
    /// Payload in words: of each frame in the static segment, of the longest in the dynamic one.
    pub words: u8,
    /// Flags of [`flag`].
    pub flags: u8,
    /// Cycles in which it belongs to somebody, one a bit from the lowest.
    pub cycles: u64,
}

/// What is normal on one cluster.
#[derive(Debug, Clone, Copy)]
pub struct FlexRayModel<'a> {
    /// The cluster.
    pub bus: BusId,
    /// Slots of the static segment, or 0 if not known.
    pub static_slots: u16,
    rows: &'a [u8],
}

impl FlexRayModel<'_> {
    /// Returns the slots, ascending.
    pub fn rows(&self) -> impl Iterator<Item = SlotFacts> + '_ {
        self.rows.chunks_exact(ROW_BYTES).filter_map(|row| {
            let cycles = row.get(4..)?.first_chunk().copied().map(u64::from_le_bytes)?;
            let &[low, high, words, flags] = row.first_chunk::<4>()?;
            Some(SlotFacts { slot: u16::from_le_bytes([low, high]), words, flags, cycles })
        })
    }
}

fn short(bytes: &[u8], at: usize) -> Result<u16, usize> {
    let raw = bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
    raw.map(u16::from_le_bytes).ok_or(bytes.len())
}

fn is_other_version(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|&version| version != VERSION)
}

/// Checks a section, O(n).
///
/// # Errors
/// The offset of what is wrong. A section of another version is right, and empty for this program.
pub fn check(bytes: &[u8]) -> Result<(), usize> {
    if is_other_version(bytes) {
        return Ok(());
    }
    let count = usize::from(*bytes.get(1).ok_or(bytes.len())?);
    if count > CLUSTERS_MAX {
        return Err(1);
    }
    let mut at = 2usize;
    let mut previous = None;
    for _ in 0..count {
        let bus = *bytes.get(at).ok_or(bytes.len())?;
        let rows = usize::from(short(bytes, at.saturating_add(4))?);
        let spare = (bytes.get(at.saturating_add(1)), short(bytes, at.saturating_add(6))?);
        if previous.is_some_and(|previous| previous >= bus) || rows > ROWS_MAX || spare != (Some(&0), 0) {
            return Err(at);
        }
        previous = Some(bus);
        at = at.saturating_add(HEAD_BYTES);
        let end = at.saturating_add(rows.saturating_mul(ROW_BYTES));
        let model =
            FlexRayModel { bus: BusId(bus), static_slots: 0, rows: bytes.get(at..end).ok_or(bytes.len())? };
        let mut before = 0;
        let mut offset = at;
        for row in model.rows() {
            if row.slot <= before
                || row.slot > 0x7FF
                || row.words > 0x7F
                || row.flags & !flag::ALL != 0
                || row.cycles == 0
            {
                return Err(offset);
            }
            before = row.slot;
            offset = offset.saturating_add(ROW_BYTES);
        }
        at = end;
    }
    if at == bytes.len() { Ok(()) } else { Err(at) }
}

/// Clusters of a checked section, ascending.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clusters<'a> {
    rest: &'a [u8],
    left: u8,
}

impl<'a> Clusters<'a> {
    /// Takes the bytes of a section; what [`check`] refuses gives nothing.
    #[must_use]
    pub fn new(section: &'a [u8]) -> Self {
        if check(section).is_err() || is_other_version(section) {
            return Self::default();
        }
        Self { rest: section.get(2..).unwrap_or(&[]), left: section.get(1).copied().unwrap_or(0) }
    }
}

impl<'a> Iterator for Clusters<'a> {
    type Item = FlexRayModel<'a>;

    fn next(&mut self) -> Option<FlexRayModel<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (head, rest) = self.rest.split_at_checked(HEAD_BYTES)?;
        let count = usize::from(short(head, 4).ok()?);
        let (rows, rest) = rest.split_at_checked(count.saturating_mul(ROW_BYTES))?;
        self.rest = rest;
        Some(FlexRayModel { bus: BusId(*head.first()?), static_slots: short(head, 2).ok()?, rows })
    }
}

/// One cluster to be written.
#[derive(Debug, Clone, Copy)]
pub struct ClusterDraft<'a> {
    /// The cluster.
    pub bus: BusId,
    /// Slots of the static segment, or 0 if not known.
    pub static_slots: u16,
    /// Slots, ascending.
    pub rows: &'a [SlotFacts],
}

/// Writes a section into a buffer and returns its size in bytes, or `None` if it is too small or the drafts are not
/// what a section can hold.
#[must_use]
pub fn write(clusters: &[ClusterDraft<'_>], out: &mut [u8]) -> Option<usize> {
    let mut at = 0usize;
    let mut put = |bytes: &[u8]| {
        let end = at.saturating_add(bytes.len());
        if let Some(slot) = out.get_mut(at..end) {
            slot.copy_from_slice(bytes);
        }
        at = end;
    };
    put(&[VERSION, u8::try_from(clusters.len()).ok()?]);
    for cluster in clusters {
        put(&[cluster.bus.0, 0]);
        put(&cluster.static_slots.to_le_bytes());
        put(&u16::try_from(cluster.rows.len()).ok()?.to_le_bytes());
        put(&[0; 2]);
        for row in cluster.rows {
            put(&row.slot.to_le_bytes());
            put(&[row.words, row.flags]);
            put(&row.cycles.to_le_bytes());
        }
    }
    check(out.get(..at)?).ok().map(|()| at)
}
