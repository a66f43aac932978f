//! The ring of segments: slots of a medium, chains of records over them, and the keys that move on.

use std::collections::{BTreeMap, BTreeSet};

use outrider_types::BootEpoch;
use outrider_wire::SIGNATURE_BYTES;

use super::config::{KEY_AREA_BYTES, SpoolConfig, SpoolKeys};
use super::entry::{CLOSE, Entry, Head, Heads};
use super::keys::KeyState;
use super::record::{
    self, At, BootMark, Chain, Found, HEADER_BYTES, Header, Purpose, RECORD_OVERHEAD_BYTES, RESUME_BYTES,
};
use super::seal::{ChainKey, RowKey, SEAL_INTERVAL, TAG_BYTES, derive};
use crate::storage::{Storage, StorageError};

/// Bytes kept free at a segment's end for the record that closes an interval.
pub(super) const CLOSE_BYTES: usize = RECORD_OVERHEAD_BYTES + 8;

/// What the spool wrote in this boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wear {
    /// Rows written.
    pub rows: u64,
    /// Bytes written, of rows and of everything else. The medium writes whole pages, which is more.
    pub bytes: u64,
    /// Flushes.
    pub flushes: u64,
    /// Segment heads and tombstones that the key store refused to sign.
    pub unsigned: u64,
}

impl Wear {
    /// Returns bytes written per row, or `None` before the first.
    #[must_use]
    pub const fn bytes_per_row(&self) -> Option<u64> {
        self.bytes.checked_div(self.rows)
    }
}

/// Boots that may follow each other in one segment. What a boot costs a lane is then at most a 64th of a segment (512
/// bytes of 32 KiB), and what is given up with one segment fits one statement.
pub(super) const SEGMENT_BOOTS_MAX: usize = 64;

/// One segment on the medium.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) header: Header,
    pub(super) slot: u64,
    /// Offset after the last whole record.
    pub(super) length: usize,
    /// Rows in it that are held.
    pub(super) live: u64,
    /// Boots that wrote in it, in order; the first is the header's. At most [`SEGMENT_BOOTS_MAX`].
    pub(super) boots: Vec<BootMark>,
}

impl Segment {
    pub(super) fn new(header: Header, slot: u64) -> Self {
        Self { header, slot, length: HEADER_BYTES, live: 0, boots: vec![header.boot()] }
    }
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u32,
    pub(super) length: u32,
    /// Which of the segment's boots wrote it.
    pub(super) boot: u32,
}

/// End of a chain, and the key of its next place.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    pub(super) head: Head,
    pub(super) key: ChainKey,
    /// Segment that is written.
    pub(super) active: Option<u64>,
    /// Segment of an earlier boot in which this one can go on.
    pub(super) left: Option<u64>,
    attempt: u8,
}

impl Tail {
    pub(super) const fn new(head: Head, key: ChainKey) -> Self {
        Self { head, key, active: None, left: None, attempt: 0 }
    }
}

/// Slots, chains and keys.
pub(super) struct Ring<S> {
    pub(super) storage: S,
    pub(super) config: SpoolConfig,
    pub(super) keys: SpoolKeys,
    pub(super) epoch: BootEpoch,
    pub(super) salt: u64,
    pub(super) generation: u64,
    pub(super) next_number: u64,
    pub(super) segments: BTreeMap<u64, Segment>,
    /// Slots that the medium would not give out: left alone for this boot.
    pub(super) unreadable: BTreeSet<u64>,
    pub(super) tails: [Tail; 4],
    pub(super) unflushed: u64,
    pub(super) key_version: u64,
    pub(super) stored: [u64; 4],
    pub(super) wear: Wear,
    pub(super) rows: RowKey,
}

impl<S> std::fmt::Debug for Ring<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("epoch", &self.epoch).field("wear", &self.wear).finish_non_exhaustive()
    }
}

impl<S: Storage> Ring<S> {
    pub(super) fn tail(&self, chain: Chain) -> &Tail {
        let [critical, batched, deferred, journal] = &self.tails;
        match chain.code() {
            0 => critical,
            1 => batched,
            2 => deferred,
            _ => journal,
        }
    }

    pub(super) fn tail_mut(&mut self, chain: Chain) -> &mut Tail {
        let [critical, batched, deferred, journal] = &mut self.tails;
        match chain.code() {
            0 => critical,
            1 => batched,
            2 => deferred,
            _ => journal,
        }
    }

    /// Returns the ends of all chains.
    pub(super) fn heads(&self) -> Heads {
        Chain::ALL.map(|chain| self.tail(chain).head)
    }

    pub(super) const fn slot_offset(&self, slot: u64) -> u64 {
        KEY_AREA_BYTES + slot * self.config.segment_bytes
    }

    pub(super) fn segment_bytes(&self) -> usize {
        usize::try_from(self.config.segment_bytes).unwrap_or(usize::MAX)
    }

    /// Returns whether a text fits into the chain's active segment, with room left to close its interval.
    pub(super) fn fits(&self, chain: Chain, text_bytes: usize) -> bool {
        let tail = self.tail(chain);
        let Some(segment) = tail.active.and_then(|number| self.segments.get(&number)) else { return false };
        let end = segment.length + RECORD_OVERHEAD_BYTES + text_bytes + CLOSE_BYTES;
        // The place is 16 bits; closing an interval may use up a whole one.
        let places = tail.head.next_place.saturating_sub(segment.header.first_place) + 2 * SEAL_INTERVAL;
        end <= self.segment_bytes() && places <= u64::from(u16::MAX)
    }

    /// Returns whether a text could stand in any segment.
    pub(super) fn could_fit(&self, text_bytes: usize) -> bool {
        HEADER_BYTES + RECORD_OVERHEAD_BYTES + text_bytes + CLOSE_BYTES <= self.segment_bytes()
    }

    /// Returns the number of the segment that holds the chain's end: it cannot go before another is begun.
    pub(super) fn newest(&self, chain: Chain) -> Option<u64> {
        let mut of_chain = self.segments.iter().rev().filter(|(_, segment)| segment.header.chain == chain);
        of_chain.next().map(|(number, _)| *number)
    }

    /// Begins a segment in a slot whose old content nobody needs; what says so is made durable first.
    pub(super) fn begin_segment(
        &mut self,
        chain: Chain,
        slot: u64,
        purpose: Purpose,
    ) -> Result<(), StorageError> {
        self.flush()?;
        let Head { next_place, seal: previous } = self.tail(chain).head;
        let mut header = Header {
            chain,
            purpose,
            number: self.next_number,
            epoch: self.epoch,
            salt: self.salt,
            generation: self.generation,
            first_place: next_place,
            before: self.newest(chain).unwrap_or(0),
            previous,
            seal: [0; TAG_BYTES],
        };
        // A number is used once, whether the write succeeds or not: nonces hang on it.
        self.next_number += 1;
        let signature = self.keys.signer.sign(&header.signed_bytes());
        self.wear.unsigned += u64::from(signature.is_err());
        let signature = signature.unwrap_or([0; SIGNATURE_BYTES]);
        let key = self.tail(chain).key.clone();
        let bytes = header.emit(&signature, &self.keys.secret, &key);
        self.segments.retain(|_, segment| segment.slot != slot);
        self.write(self.slot_offset(slot), &bytes)?;
        self.flush_medium()?;
        self.segments.insert(header.number, Segment::new(header, slot));
        let tail = self.tail_mut(chain);
        tail.head.seal = header.seal;
        tail.active = Some(header.number);
        tail.left = None;
        tail.attempt = 0;
        Ok(())
    }

    /// Goes on in the segment that an earlier boot left, if a text fits behind it. Returns whether it does; it is tried
    /// once a chain and boot. Not durable before a flush.
    ///
    /// Rows of this boot are encrypted with a key of their own from there on, so that no nonce is used twice, whatever a
    /// power cut left behind the segment's last whole record.
    pub(super) fn resume(&mut self, chain: Chain, text_bytes: usize) -> Result<bool, StorageError> {
        let Some(number) = self.tail_mut(chain).left.take() else { return Ok(false) };
        let (head, key) = (self.tail(chain).head, self.tail(chain).key.clone());
        let boot = BootMark { epoch: self.epoch, salt: self.salt };
        let segment_bytes = self.segment_bytes();
        let Some(segment) = self.segments.get(&number) else { return Ok(false) };
        let end = segment.length + RESUME_BYTES + RECORD_OVERHEAD_BYTES + text_bytes + CLOSE_BYTES;
        let places = head.next_place.saturating_sub(segment.header.first_place);
        let Some(place) = u16::try_from(places + 2 * SEAL_INTERVAL + 1)
            .ok()
            .and_then(|_| u16::try_from(places).ok())
            .filter(|_| end <= segment_bytes && segment.boots.len() < SEGMENT_BOOTS_MAX)
        else {
            return Ok(false);
        };
        let at = At { offset: segment.length, attempt: 0, place, previous: head.seal };
        let (bytes, seal) = record::emit_resume(&segment.header, &self.keys.secret, &key, at, boot);
        let offset = self.slot_offset(segment.slot) + segment.length as u64;
        if let Err(error) = self.write(offset, &bytes) {
            // Without its marker it is no record.
            let _ = self.write(offset, &[0; 8]);
            return Err(error);
        }
        if let Some(segment) = self.segments.get_mut(&number) {
            segment.length += bytes.len();
            segment.boots.push(boot);
        }
        let next_place = head.next_place + 1;
        let tail = self.tail_mut(chain);
        tail.head = Head { next_place, seal };
        tail.active = Some(number);
        tail.attempt = 0;
        tail.key.evolve_to(next_place / SEAL_INTERVAL);
        Ok(true)
    }

    /// Appends a record to the chain's active segment; the caller has made room. Not durable before a flush.
    ///
    /// # Errors
    /// The storage's error, and whether a part of the record may stand on the medium as if it were whole.
    pub(super) fn append(&mut self, chain: Chain, entry: &Entry) -> Result<Place, (StorageError, bool)> {
        let (kind, text) = entry.emit();
        let tail = self.tail(chain);
        let Some(segment) = tail.active.and_then(|number| self.segments.get(&number)) else {
            return Err((StorageError::Full, false));
        };
        let (number, slot, length) = (segment.header.number, segment.slot, segment.length);
        let boot = segment.boots.len().saturating_sub(1);
        let head = tail.head;
        let place = u16::try_from(head.next_place.saturating_sub(segment.header.first_place))
            .map_err(|_| (StorageError::Full, false))?;
        let at = At { offset: segment.length, attempt: tail.attempt, place, previous: head.seal };
        let (bytes, seal) = record::emit(&segment.header, &self.rows, &tail.key, at, (kind, &text));
        if length + bytes.len() > self.segment_bytes() {
            return Err((StorageError::Full, false));
        }
        let offset = self.slot_offset(slot) + length as u64;
        if let Err(error) = self.write(offset, &bytes) {
            // Without its marker it is no record.
            let undone = self.write(offset, &[0; 8]).is_ok();
            let tail = self.tail_mut(chain);
            match tail.attempt.checked_add(1).filter(|_| undone) {
                Some(attempt) => tail.attempt = attempt,
                None => tail.active = None,
            }
            return Err((error, !undone));
        }
        if let Some(segment) = self.segments.get_mut(&number) {
            segment.length += bytes.len();
        }
        let next_place = if kind == CLOSE {
            (head.next_place / SEAL_INTERVAL + 1) * SEAL_INTERVAL
        } else {
            head.next_place + 1
        };
        let tail = self.tail_mut(chain);
        tail.head = Head { next_place, seal };
        tail.attempt = 0;
        tail.key.evolve_to(next_place / SEAL_INTERVAL);
        let small = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Place { segment: number, offset: small(length), length: small(bytes.len()), boot: small(boot) })
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.unflushed += bytes.len() as u64;
        self.wear.bytes += bytes.len() as u64;
        self.storage.write(offset, bytes)
    }

    fn flush_medium(&mut self) -> Result<(), StorageError> {
        self.wear.flushes += 1;
        self.storage.flush()?;
        self.unflushed = 0;
        Ok(())
    }

    /// Makes all records durable, then forgets the keys that sealed them if an interval ended.
    pub(super) fn flush(&mut self) -> Result<(), StorageError> {
        if self.unflushed > 0 {
            self.flush_medium()?;
        }
        let indexes = self.tails.each_ref().map(|tail| tail.key.index);
        if indexes == self.stored && self.key_version > 0 {
            return Ok(());
        }
        // Records are durable, so the stored keys never run ahead of them. The second copy is written once the first is
        // durable, and durable itself before the first is written again.
        self.key_version += 1;
        let keys = self.tails.each_ref().map(|tail| tail.key.clone());
        let state = KeyState { generation: self.generation, version: self.key_version, keys };
        let bytes = state.emit(&self.keys.secret, self.salt);
        self.write(0, &bytes)?;
        self.flush_medium()?;
        self.write(KEY_AREA_BYTES / 2, &bytes)?;
        self.stored = indexes;
        Ok(())
    }

    /// Reads the record at a place; `None` if it is damaged or gone.
    pub(super) fn read(&self, place: Place) -> Result<Option<Found>, StorageError> {
        let Some(segment) = self.segments.get(&place.segment) else { return Ok(None) };
        let offset = usize::try_from(place.offset).unwrap_or(usize::MAX).max(HEADER_BYTES);
        let length = usize::try_from(place.length).unwrap_or(0);
        let begin = self.slot_offset(segment.slot) + (offset - TAG_BYTES) as u64;
        let bytes = self.storage.read(begin, length + TAG_BYTES)?;
        let boot = segment.boots.get(usize::try_from(place.boot).unwrap_or(usize::MAX)).copied();
        let secret = &self.keys.secret;
        let found = boot.and_then(|boot| {
            record::read(&segment.header, secret, (boot, &boot.rows(secret)), offset, &bytes)
        });
        Ok(found)
    }

    /// Reads a segment; returns its bytes and records.
    pub(super) fn scan(&self, segment: &Segment) -> Result<Vec<Found>, StorageError> {
        let bytes = self.storage.read(self.slot_offset(segment.slot), self.segment_bytes())?;
        Ok(record::scan(&segment.header, &self.keys.secret, &bytes).collect())
    }
}

/// Returns the root of the seal keys of a generation: K0 of the first, what the vehicle's secret gives after a loss.
pub(super) fn root(keys: &SpoolKeys, generation: u64) -> super::seal::Key {
    if generation == 0 {
        keys.root.clone()
    } else {
        derive(&keys.secret, b"outrider spool root again", &generation.to_le_bytes())
    }
}
