//! What a record says: kinds and their texts.

use outrider_types::{BootEpoch, ClockFix, ClockSource, Lane, Seq, UnixMicros, VehicleMicros};
use outrider_wire::{DropReason, Gap, SeqRange};

use super::anchor::{AnchorKind, Attestation};
use super::lost::{LostBoots, put_varint, varint};
use super::record::Cursor;
use super::seal::Seal;
use super::tombstone::Tombstone;

pub(super) const REASONS: usize = DropReason::ALL.len();

/// End of a chain: the next place, and the seal before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    pub(super) next_place: u64,
    pub(super) seal: Seal,
}

/// Ends of all chains, in the order of their codes.
pub(super) type Heads = [Head; 4];

/// Balance of a lane in a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Balance {
    pub(super) freed: u64,
    pub(super) last_seq: u64,
    pub(super) received: u64,
    pub(super) folded: u64,
    pub(super) drops: [u64; REASONS],
}

/// Versions of one kind of configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Floor {
    /// Highest version that was ever tried, healthy or not.
    pub tried: u64,
    /// Highest version that was healthy.
    pub good: u64,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    /// A row, as a batch of one. The only kind in a lane besides [`Entry::Close`].
    Event { seq: Seq, row: Vec<u8> },
    /// Balance of the lane, with what was acknowledged; takes the place of the one before. `told` says that the cloud has
    /// it.
    Balance { epoch: BootEpoch, lane: Lane, told: bool, balance: Balance },
    /// Numbers that are lost without a tombstone.
    Gap { epoch: BootEpoch, gap: Gap },
    /// Rows that were given up.
    Tombstone(Tombstone),
    /// A reading of both clocks.
    Fix { epoch: BootEpoch, fix: ClockFix },
    /// Nothing is left to say of the lane in this boot.
    Forgotten { epoch: BootEpoch, lane: Lane },
    /// First record of a boot: hash over the ends of all chains as the boot before left them.
    Boot { previous: [u8; 32] },
    /// The anchor is about to be raised to this value over these ends.
    Anchored { counter: u64, heads: Heads },
    /// What the anchor said afterwards.
    Attested(Attestation),
    /// Ends the key's interval early; what follows is sealed by the next key. The journal's names the ends of all chains.
    Close { at: VehicleMicros, heads: Option<Heads> },
    /// Boots of which nothing is held any more; takes the place of all that was said of them.
    LostBoots(LostBoots),
    /// The cloud has the account of the lost boots that begins with this one.
    LostTold { lane: Lane, first: BootEpoch },
    /// Versions of one kind of configuration below which the vehicle does not go back.
    Floor { kind: u8, floor: Floor },
    /// All that is known follows; nothing before is needed once the end is there.
    SnapshotBegin,
    /// All that is known was said.
    SnapshotEnd,
}

/// Kind of [`Entry::Close`], which scanning needs to know.
pub(super) const CLOSE: u8 = 10;

impl Entry {
    /// Returns kind and text.
    pub(super) fn emit(&self) -> (u8, Vec<u8>) {
        let mut out = Vec::new();
        let kind = match self {
            Self::Event { seq, row } => {
                out.extend(seq.0.to_le_bytes());
                out.extend(row);
                1
            }
            Self::Balance { epoch, lane, told, balance } => {
                put_lane(&mut out, *epoch, *lane);
                out.push(u8::from(*told));
                let Balance { freed, last_seq, received, folded, drops } = *balance;
                let numbers = [freed, last_seq, received, folded].into_iter().chain(drops);
                numbers.for_each(|number| put_varint(&mut out, number));
                2
            }
            Self::Gap { epoch, gap } => {
                put_lane(&mut out, *epoch, gap.lane);
                out.extend(gap.range.first().0.to_le_bytes());
                out.extend(gap.range.last().0.to_le_bytes());
                out.push(gap.reason.map_or(0, DropReason::code));
                3
            }
            Self::Tombstone(tombstone) => {
                out.extend(tombstone.emit());
                4
            }
            Self::Fix { epoch, fix } => {
                out.extend(epoch.0.to_le_bytes());
                out.extend(fix.mono.0.to_le_bytes());
                out.extend(fix.wall.0.to_le_bytes());
                out.extend(fix.error_us.to_le_bytes());
                out.push(fix.source.code());
                5
            }
            Self::Forgotten { epoch, lane } => {
                put_lane(&mut out, *epoch, *lane);
                6
            }
            Self::Boot { previous } => {
                out.extend(previous);
                7
            }
            Self::Anchored { counter, heads } => {
                out.extend(counter.to_le_bytes());
                put_heads(&mut out, heads);
                8
            }
            Self::Attested(attestation) => {
                out.push(attestation.kind.code());
                out.extend(attestation.counter.to_le_bytes());
                out.extend(attestation.head);
                out.extend(&attestation.proof);
                9
            }
            Self::Close { at, heads } => {
                out.extend(at.0.to_le_bytes());
                if let Some(heads) = heads {
                    put_heads(&mut out, heads);
                }
                CLOSE
            }
            Self::Floor { kind, floor } => {
                out.push(*kind);
                out.extend(floor.tried.to_le_bytes());
                out.extend(floor.good.to_le_bytes());
                13
            }
            Self::LostBoots(lost) => {
                out.extend(lost.emit());
                15
            }
            Self::LostTold { lane, first } => {
                put_lane(&mut out, *first, *lane);
                16
            }
            Self::SnapshotBegin => 11,
            Self::SnapshotEnd => 12,
        };
        (kind, out)
    }

    /// Reads a text; `None` for anything that [`Entry::emit`] does not write.
    pub(super) fn parse(kind: u8, text: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(text);
        let entry = match kind {
            1 => {
                let seq = Seq(cursor.u64().filter(|seq| *seq != 0)?);
                return Some(Self::Event { seq, row: cursor.0.to_vec() });
            }
            2 => {
                let (epoch, lane) = lane(&mut cursor)?;
                let told = match cursor.u8()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                };
                let mut balance = Balance {
                    freed: varint(&mut cursor)?,
                    last_seq: varint(&mut cursor)?,
                    received: varint(&mut cursor)?,
                    folded: varint(&mut cursor)?,
                    drops: [0; REASONS],
                };
                for slot in &mut balance.drops {
                    *slot = varint(&mut cursor)?;
                }
                Self::Balance { epoch, lane, told, balance }
            }
            3 => {
                let (epoch, lane) = lane(&mut cursor)?;
                let range = SeqRange::new(Seq(cursor.u64()?), Seq(cursor.u64()?))?;
                let reason = DropReason::from_code(u64::from(cursor.u8()?));
                Self::Gap { epoch, gap: Gap { lane, range, reason } }
            }
            4 => return Tombstone::parse(text).map(Self::Tombstone),
            5 => Self::Fix {
                epoch: BootEpoch(cursor.u64()?),
                fix: ClockFix {
                    mono: VehicleMicros(cursor.u64()?),
                    wall: UnixMicros(i64::from_le_bytes(cursor.array()?)),
                    error_us: cursor.u64()?,
                    source: ClockSource::from_code(cursor.u8()?),
                },
            },
            6 => {
                let (epoch, lane) = lane(&mut cursor)?;
                Self::Forgotten { epoch, lane }
            }
            7 => Self::Boot { previous: cursor.array()? },
            8 => Self::Anchored { counter: cursor.u64()?, heads: heads(&mut cursor)? },
            9 => {
                let kind = AnchorKind::from_code(cursor.u8()?)?;
                let (counter, head) = (cursor.u64()?, cursor.array()?);
                let proof = std::mem::take(&mut cursor.0).to_vec();
                Self::Attested(Attestation { kind, counter, head, proof })
            }
            CLOSE => {
                let at = VehicleMicros(cursor.u64()?);
                let heads = if cursor.0.is_empty() { None } else { Some(heads(&mut cursor)?) };
                Self::Close { at, heads }
            }
            11 => Self::SnapshotBegin,
            12 => Self::SnapshotEnd,
            13 => {
                Self::Floor { kind: cursor.u8()?, floor: Floor { tried: cursor.u64()?, good: cursor.u64()? } }
            }
            15 => return LostBoots::parse(text).map(Self::LostBoots),
            16 => {
                let (first, lane) = lane(&mut cursor)?;
                Self::LostTold { lane, first }
            }
            _ => return None,
        };
        cursor.0.is_empty().then_some(entry)
    }
}

fn put_lane(out: &mut Vec<u8>, epoch: BootEpoch, lane: Lane) {
    out.push(lane.code());
    out.extend(epoch.0.to_le_bytes());
}

fn lane(cursor: &mut Cursor<'_>) -> Option<(BootEpoch, Lane)> {
    let lane = Lane::from_code(cursor.u8()?)?;
    Some((BootEpoch(cursor.u64()?), lane))
}

pub(super) fn put_heads(out: &mut Vec<u8>, heads: &Heads) {
    for head in heads {
        out.extend(head.next_place.to_le_bytes());
        out.extend(head.seal);
    }
}

fn heads(cursor: &mut Cursor<'_>) -> Option<Heads> {
    let mut heads = Heads::default();
    for head in &mut heads {
        *head = Head { next_place: cursor.u64()?, seal: cursor.array()? };
    }
    Some(heads)
}
