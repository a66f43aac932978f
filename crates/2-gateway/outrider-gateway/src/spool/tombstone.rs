//! The signed statement of what was given up.

use outrider_types::{BootEpoch, EventTypeId, Lane, Seq, Severity, VehicleMicros};
use outrider_wire::{Batch, DropReason, EventHead, SIGNATURE_BYTES, SeqRange, Signer, Verifier};

use super::record::Cursor;

/// Most kinds that a tombstone counts apart; the rest is counted under event type 0 without severity. More than a
/// vehicle reports in one segment (guess).
pub const TOMBSTONE_KINDS_MAX: usize = 32;

const SIGN_TOMBSTONE: &[u8] = b"outrider spool tombstone 1\0";

/// Rows of one type and severity that were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Event type; 0 stands for several, and for rows that could not be read.
    pub event_type: EventTypeId,
    /// Severity as the row said it.
    pub severity: Option<Severity>,
    /// Rows.
    pub rows: u64,
    /// Observations folded into them, at least one each.
    pub observations: u64,
}

/// Rows of a lane and boot that were given up for newer ones; durable before their space is used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// Boot.
    pub epoch: BootEpoch,
    /// Lane.
    pub lane: Lane,
    /// Their numbers.
    pub range: SeqRange,
    /// Why.
    pub reason: DropReason,
    /// When the earliest was first seen; 0 if none could be read.
    pub first: VehicleMicros,
    /// When the latest was last seen.
    pub last: VehicleMicros,
    /// Seal of the last record given up: the next record of the chain follows it.
    pub last_tag: [u8; 16],
    /// Counts, ascending by type and severity; at most [`TOMBSTONE_KINDS_MAX`] and one.
    pub lost: Vec<Lost>,
    /// The device key's signature; zeros if it could not sign.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl Tombstone {
    /// Begins a tombstone of numbers whose rows are added with [`Tombstone::add`].
    pub(super) fn new(epoch: BootEpoch, lane: Lane, range: SeqRange, last_tag: [u8; 16]) -> Self {
        Self {
            epoch,
            lane,
            range,
            reason: DropReason::Evicted,
            first: VehicleMicros(0),
            last: VehicleMicros(0),
            last_tag,
            lost: Vec::new(),
            signature: [0; SIGNATURE_BYTES],
        }
    }

    /// Counts a row; one that cannot be read counts as one observation of type 0.
    pub(super) fn add(&mut self, row: Option<&[u8]>) {
        let head = row.and_then(|row| {
            Batch::parse(row).ok()?.events().next().and_then(Result::ok).map(|event| event.head)
        });
        let Some(EventHead { event_type, severity, first, last, count, .. }) = head else {
            self.count(Lost { event_type: EventTypeId(0), severity: None, rows: 1, observations: 1 });
            return;
        };
        self.count(Lost { event_type, severity, rows: 1, observations: count });
        self.see(first, last);
    }

    fn see(&mut self, first: VehicleMicros, last: VehicleMicros) {
        if self.first.0 == 0 || first < self.first {
            self.first = first;
        }
        self.last = self.last.max(last);
    }

    fn count(&mut self, lost: Lost) {
        let key = |lost: &Lost| (lost.event_type, lost.severity.map_or(0, Severity::code));
        match self.lost.binary_search_by_key(&key(&lost), key) {
            Ok(at) => {
                if let Some(slot) = self.lost.get_mut(at) {
                    slot.rows = slot.rows.saturating_add(lost.rows);
                    slot.observations = slot.observations.saturating_add(lost.observations);
                }
            }
            Err(at) if self.lost.len() < TOMBSTONE_KINDS_MAX || key(&lost) == (EventTypeId(0), 0) => {
                self.lost.insert(at, lost);
            }
            Err(_) => self.count(Lost { event_type: EventTypeId(0), severity: None, ..lost }),
        }
    }

    /// Takes in a tombstone whose numbers follow or precede this one's; false if they do not touch.
    pub(super) fn join(&mut self, other: &Self) -> bool {
        let (before, after) = if self.range < other.range { (&*self, other) } else { (other, &*self) };
        let touches = (self.epoch, self.lane, self.reason) == (other.epoch, other.lane, other.reason)
            && before.range.last().next() == Some(after.range.first());
        let Some(range) = SeqRange::new(before.range.first(), after.range.last()).filter(|_| touches) else {
            return false;
        };
        self.last_tag = after.last_tag;
        self.range = range;
        for lost in &other.lost {
            self.count(*lost);
        }
        if other.last.0 > 0 {
            self.see(other.first, other.last);
        }
        true
    }

    /// Returns the rows that it counts: as many as its numbers.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.lost.iter().map(|lost| lost.rows).sum()
    }

    fn content(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend([self.lane.code(), self.reason.code()]);
        let numbers = [self.epoch.0, self.range.first().0, self.range.last().0, self.first.0, self.last.0];
        out.extend(numbers.into_iter().flat_map(u64::to_le_bytes));
        out.extend(self.last_tag);
        for lost in &self.lost {
            out.extend(lost.event_type.0.to_le_bytes());
            out.push(lost.severity.map_or(0, Severity::code));
            out.extend(lost.rows.to_le_bytes());
            out.extend(lost.observations.to_le_bytes());
        }
        out
    }

    /// Signs it as it is now; false if the key store refused, which leaves zeros.
    pub(super) fn sign(&mut self, signer: &dyn Signer) -> bool {
        let signed = signer.sign(&[SIGN_TOMBSTONE, &self.content()].concat());
        self.signature = signed.unwrap_or([0; SIGNATURE_BYTES]);
        signed.is_ok()
    }

    /// Returns whether the device key signed this.
    #[must_use]
    pub fn is_signed(&self, verifier: &dyn Verifier) -> bool {
        verifier.verify(&[SIGN_TOMBSTONE, &self.content()].concat(), &self.signature)
    }

    pub(super) fn emit(&self) -> Vec<u8> {
        let mut out = self.signature.to_vec();
        out.extend(self.content());
        out
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(text);
        let signature = cursor.array()?;
        let lane = Lane::from_code(cursor.u8()?)?;
        let reason = DropReason::from_code(u64::from(cursor.u8()?))?;
        let epoch = BootEpoch(cursor.u64()?);
        let range = SeqRange::new(Seq(cursor.u64()?), Seq(cursor.u64()?))?;
        let (first, last) = (VehicleMicros(cursor.u64()?), VehicleMicros(cursor.u64()?));
        let last_tag = cursor.array()?;
        let mut lost = Vec::new();
        while !cursor.0.is_empty() {
            let event_type = EventTypeId(u16::from_le_bytes(cursor.array()?));
            let severity = match cursor.u8()? {
                0 => None,
                code => Some(Severity::from_code(code)?),
            };
            lost.push(Lost { event_type, severity, rows: cursor.u64()?, observations: cursor.u64()? });
        }
        (lost.len() <= TOMBSTONE_KINDS_MAX + 1).then_some(Self {
            epoch,
            lane,
            range,
            reason,
            first,
            last,
            last_tag,
            lost,
            signature,
        })
    }
}
