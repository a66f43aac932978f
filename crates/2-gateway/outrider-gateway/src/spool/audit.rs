//! What a verifier who holds K0 finds on a medium: the check that the vehicle itself cannot make, because it forgot the
//! keys. Reads only. O(medium).

use std::collections::{BTreeMap, BTreeSet};

use outrider_types::{BootEpoch, Lane, Seq};
use outrider_wire::{SeqRange, Verifier};

use super::config::{KEY_AREA_BYTES, SpoolConfig};
use super::entry::{CLOSE, Entry, Head, Heads};
use super::journal::head_hash;
use super::keys::{KEY_STATE_BYTES, KeyState};
use super::record::{self, Chain, Header, RESUME};
use super::seal::{ChainKey, SEAL_INTERVAL, TAG_BYTES, derive};
use crate::storage::{Storage, StorageError};

/// What a verifier holds.
pub struct Verifying<'a> {
    /// The vehicle's secret.
    pub secret: [u8; 32],
    /// K0 from escrow.
    pub root: [u8; 32],
    /// The device key.
    pub device: &'a dyn Verifier,
    /// The anchor's value, if it could be read.
    pub counter: Option<u64>,
    /// The anchor's own key, if it has one: then each attestation on the medium is checked, too.
    pub anchor: Option<&'a dyn Verifier>,
}

impl std::fmt::Debug for Verifying<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifying(..)")
    }
}

/// One thing that is not as the vehicle would have written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A copy of the stored keys is damaged. A power cut leaves at most one.
    KeyCopy(u64),
    /// A slot holds something that is no header. A power cut leaves this in one slot that is about to be used.
    Headless(u64),
    /// The two copies of a segment's header differ.
    HeaderCopies(u64),
    /// The device key did not sign a segment's head.
    UnsignedHead(u64),
    /// A segment's head is not sealed with the key of its place: written later than it says.
    ForgedHead(u64),
    /// A record is not sealed with the key of its place: written or changed later than it says.
    Forged(Chain, u64),
    /// Bytes of a segment that belong to no record.
    Damaged(Chain, u64),
    /// Records from this place on are missing, and nothing explains it.
    Missing(Chain, u64),
    /// What follows this place was not written after what stands before it.
    Broken(Chain, u64),
    /// The chain ends at this place, but the journal knew of more.
    Truncated(Chain, u64),
    /// Numbers that were given, are not there, not acknowledged and in no gap, from this one on.
    Unexplained(BootEpoch, Lane, Seq),
    /// The device key did not sign the tombstone of these numbers.
    UnsignedTombstone(BootEpoch, Lane, SeqRange),
    /// The device key did not sign the account of boots that are not held any more: lane, first and last of them.
    UnsignedLost(Lane, BootEpoch, BootEpoch),
    /// The first record of a boot does not continue the boot before.
    BootUnchained(BootEpoch),
    /// The attestation of this value is not the anchor's, or not over the ends that the journal names.
    FalseProof(u64),
    /// The counter is ahead of the spool.
    Rollback {
        /// What the anchor says.
        counter: u64,
        /// What the spool last raised it to.
        spool: u64,
    },
    /// The vehicle lost its seal keys and began anew: what was sealed before this generation could be cut there.
    KeysLost(u64),
}

/// Result of an audit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Records whose seal was checked and is right.
    pub sealed: u64,
    /// Rows among them, by boot, lane and number.
    pub rows: BTreeSet<(BootEpoch, Lane, u64)>,
    /// What was found; empty if the medium is as the vehicle wrote it.
    pub findings: Vec<Finding>,
}

/// What the journal says.
#[derive(Default)]
struct Told {
    last_seq: BTreeMap<(BootEpoch, Lane), u64>,
    freed: BTreeMap<(BootEpoch, Lane), u64>,
    gaps: BTreeMap<(BootEpoch, Lane), Vec<SeqRange>>,
    heads: Vec<Heads>,
    anchored: u64,
    /// Ends that the anchor was last raised over.
    raised: Option<[u8; 32]>,
    generation: u64,
    /// Boots and lanes of which a snapshot or what followed it has a balance.
    stated: BTreeSet<(BootEpoch, Lane)>,
    /// Boots below of which the last snapshot says nothing are done, except these.
    done_below: BootEpoch,
    done_except: BTreeSet<(BootEpoch, Lane)>,
    /// Boots and lanes of which nothing is left to say.
    closed: BTreeSet<(BootEpoch, Lane)>,
    /// Places missing in the journal, and where it goes on.
    holes: Vec<(u64, u64)>,
    /// First places of snapshots.
    snapshots: Vec<u64>,
}

/// One segment as it stands on the medium.
struct Read {
    slot: u64,
    header: Header,
    bytes: Vec<u8>,
}

struct Auditor<'a> {
    with: &'a Verifying<'a>,
    told: Told,
    audit: Audit,
    /// Next place and seal after each record and each segment's head.
    ends: BTreeSet<(Chain, u64, [u8; TAG_BYTES])>,
    last: BTreeMap<Chain, u64>,
    /// A boot's first record, until the ends that it found are named.
    boot: Option<(BootEpoch, Head, [u8; 32])>,
    /// The boot that writes the journal, and the journal's end as it found it.
    began: Option<(BootEpoch, Head)>,
    /// Inside of a snapshot, which repeats what was said before.
    repeats: bool,
    /// Places missing between segments: chain, boot and last number before, boot and first number after.
    holes: Vec<Hole>,
}

#[derive(Clone, Copy)]
struct Hole {
    chain: Chain,
    place: u64,
    before: Option<(BootEpoch, u64)>,
    after: Option<(BootEpoch, u64)>,
}

impl Audit {
    /// Audits a medium that was laid out with `config`.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    pub fn of<S: Storage>(
        storage: &S,
        config: SpoolConfig,
        with: &Verifying<'_>,
    ) -> Result<Self, StorageError> {
        let config = config.bounded();
        let mut auditor = Auditor {
            with,
            told: Told::default(),
            audit: Self::default(),
            ends: BTreeSet::new(),
            last: BTreeMap::new(),
            boot: None,
            began: None,
            repeats: false,
            holes: Vec::new(),
        };
        for copy in 0..2 {
            let bytes = storage.read(copy * KEY_AREA_BYTES / 2, KEY_STATE_BYTES)?;
            if KeyState::parse(&bytes, &with.secret).is_none() {
                auditor.find(Finding::KeyCopy(copy));
            }
        }
        let mut segments = Vec::new();
        for slot in 0..config.slots() {
            let length = usize::try_from(config.segment_bytes).unwrap_or(usize::MAX);
            let bytes = storage.read(KEY_AREA_BYTES + slot * config.segment_bytes, length)?;
            segments.extend(auditor.head(slot, bytes));
        }
        segments.sort_unstable_by_key(|segment| segment.header.number);
        auditor.told.generation = segments.iter().map(|segment| segment.header.generation).max().unwrap_or(0);
        for chain in Chain::ALL.into_iter().rev() {
            auditor.chain(chain, segments.iter().filter(|segment| segment.header.chain == chain));
        }
        auditor.conclude();
        Ok(auditor.audit)
    }
}

impl Auditor<'_> {
    fn find(&mut self, finding: Finding) {
        if !self.audit.findings.contains(&finding) {
            self.audit.findings.push(finding);
        }
    }

    fn head(&mut self, slot: u64, bytes: Vec<u8>) -> Option<Read> {
        let (header, same) = Header::read(&bytes, &self.with.secret);
        let Some(header) = header else {
            if bytes.iter().take(record::HEADER_BYTES).any(|byte| *byte != 0) {
                self.find(Finding::Headless(slot));
            }
            return None;
        };
        if !same {
            self.find(Finding::HeaderCopies(slot));
        }
        let signature = Header::signature(&bytes)?;
        if !self.with.device.verify(&header.signed_bytes(), &signature) {
            self.find(Finding::UnsignedHead(slot));
        }
        Some(Read { slot, header, bytes })
    }

    fn key(&self, chain: Chain, generation: u64) -> ChainKey {
        let root = if generation == 0 {
            zeroize::Zeroizing::new(self.with.root)
        } else {
            derive(&self.with.secret, b"outrider spool root again", &generation.to_le_bytes())
        };
        ChainKey::first(&root, chain.code())
    }

    fn chain<'r>(&mut self, chain: Chain, segments: impl Iterator<Item = &'r Read>) {
        let mut key: Option<(u64, ChainKey)> = None;
        let mut expected: Option<Head> = None;
        let mut before = None;
        let mut open: Option<Hole> = None;
        let mut last: Option<u64> = None;
        for segment in segments {
            let header = &segment.header;
            if key.as_ref().is_none_or(|(generation, _)| *generation != header.generation) {
                if header.generation > 0 {
                    self.find(Finding::KeysLost(header.generation));
                }
                key = Some((header.generation, self.key(chain, header.generation)));
                expected = (header.first_place == 0).then_some(Head::default());
            }
            let Some((_, key)) = &mut key else { continue };
            key.evolve_to(header.first_place / SEAL_INTERVAL);
            if !Header::is_sealed(&segment.bytes, header, key) {
                self.find(Finding::ForgedHead(segment.slot));
            }
            if let Some(head) = expected {
                if header.first_place < head.next_place
                    || (header.first_place == head.next_place && header.previous != head.seal)
                {
                    self.find(Finding::Broken(chain, header.first_place));
                }
                if header.first_place > head.next_place {
                    let place = head.next_place;
                    if Some(header.before) == last {
                        // None stood between.
                        self.find(Finding::Missing(chain, place));
                    } else if chain == Chain::Journal {
                        // Its oldest segments go first, and parts of snapshots that were broken off before a whole one.
                        self.told.holes.push((place, header.first_place));
                    } else {
                        open = open.or(Some(Hole { chain, place, before, after: None }));
                    }
                }
            }
            let mut head = Head { next_place: header.first_place, seal: header.seal };
            if header.generation == self.told.generation {
                self.ends.insert((chain, header.first_place, header.previous));
                self.ends.insert((chain, head.next_place, head.seal));
            }
            if chain == Chain::Journal && self.began.is_none_or(|(boot, _)| boot != header.epoch) {
                let found = Head { next_place: header.first_place, seal: header.previous };
                let is_hole = expected.is_some_and(|head| header.first_place > head.next_place);
                self.began = (!is_hole).then_some((header.epoch, found));
            }
            for found in record::scan(header, &self.with.secret, &segment.bytes) {
                if found.skipped > 0 {
                    self.find(Finding::Damaged(chain, head.next_place));
                }
                if found.place != head.next_place {
                    self.find(Finding::Missing(chain, head.next_place));
                }
                if found.previous != head.seal {
                    self.find(Finding::Broken(chain, found.place));
                }
                key.evolve_to(found.place / SEAL_INTERVAL);
                if found.is_sealed(header, &segment.bytes, key) {
                    self.audit.sealed += 1;
                } else {
                    self.find(Finding::Forged(chain, found.place));
                }
                let next_place = if found.kind == CLOSE {
                    (found.place / SEAL_INTERVAL + 1) * SEAL_INTERVAL
                } else {
                    found.place + 1
                };
                let entry = Entry::parse(found.kind, &found.text);
                let epoch = found.boot.epoch;
                if found.kind == RESUME && chain == Chain::Journal {
                    self.began = Some((epoch, Head { next_place: found.place, seal: found.previous }));
                }
                if let (Some(Entry::Event { seq, .. }), Chain::Lane(lane)) = (&entry, chain) {
                    self.audit.rows.insert((epoch, lane, seq.0));
                    before = Some((epoch, seq.0));
                    self.holes.extend(open.take().map(|hole| Hole { after: before, ..hole }));
                }
                head = Head { next_place, seal: found.seal };
                if header.generation == self.told.generation {
                    self.ends.insert((chain, next_place, found.seal));
                }
                self.tell((header, epoch), entry);
            }
            expected = Some(head);
            last = Some(header.number);
            self.last.insert(chain, head.next_place);
        }
        self.holes.extend(open);
    }

    fn tell(&mut self, (header, by): (&Header, BootEpoch), entry: Option<Entry>) {
        match entry {
            Some(Entry::Balance { epoch, lane, balance, .. }) => {
                self.told.stated.insert((epoch, lane));
                let last = self.told.last_seq.entry((epoch, lane)).or_default();
                *last = (*last).max(balance.last_seq);
                let freed = self.told.freed.entry((epoch, lane)).or_default();
                *freed = (*freed).max(balance.freed);
            }
            Some(Entry::Gap { epoch, gap }) => {
                self.told.gaps.entry((epoch, gap.lane)).or_default().push(gap.range);
            }
            Some(Entry::Tombstone(tombstone)) => {
                if !tombstone.is_signed(self.with.device) {
                    let (epoch, lane) = (tombstone.epoch, tombstone.lane);
                    self.find(Finding::UnsignedTombstone(epoch, lane, tombstone.range));
                }
                let gaps = self.told.gaps.entry((tombstone.epoch, tombstone.lane)).or_default();
                gaps.push(tombstone.range);
            }
            Some(Entry::Forgotten { epoch, lane }) => {
                self.told.closed.insert((epoch, lane));
            }
            Some(Entry::Boot { previous }) => {
                // A snapshot that a crash broke off ends here, too.
                self.repeats = false;
                self.boot =
                    self.began.filter(|(epoch, _)| *epoch == by).map(|(_, found)| (by, found, previous));
            }
            Some(Entry::Anchored { counter, heads }) => {
                // Only the first after a boot names the ends that the boot found.
                if let Some((epoch, boot, previous)) = self.boot.take_if(|_| !self.repeats) {
                    let [critical, batched, deferred, _] = heads;
                    if epoch == by && head_hash(&[critical, batched, deferred, boot]) != previous {
                        self.find(Finding::BootUnchained(epoch));
                    }
                }
                self.told.anchored = self.told.anchored.max(counter);
                self.told.raised = Some(head_hash(&heads));
                if header.generation == self.told.generation {
                    self.told.heads.push(heads);
                }
            }
            Some(Entry::SnapshotBegin) => {
                self.repeats = true;
                self.told.stated.clear();
                self.told.snapshots.push(header.first_place);
            }
            Some(Entry::SnapshotEnd) => {
                self.repeats = false;
                self.told.done_below = by;
                self.told.done_except = self.told.stated.clone();
            }
            Some(Entry::LostBoots(lost)) => {
                if !lost.is_signed(self.with.device) {
                    self.find(Finding::UnsignedLost(lost.lane, lost.first, lost.last));
                }
                for one in &lost.each {
                    self.told.closed.insert((one.epoch, lost.lane));
                }
            }
            Some(Entry::Close { heads: Some(heads), .. }) if header.generation == self.told.generation => {
                self.told.heads.push(heads);
            }
            Some(Entry::Attested(attestation)) => {
                let is_right = self.told.raised.is_none_or(|head| head == attestation.head)
                    && self.with.anchor.is_none_or(|key| attestation.is_proven(key));
                if !is_right {
                    self.find(Finding::FalseProof(attestation.counter));
                }
            }
            Some(
                Entry::Event { .. }
                | Entry::Fix { .. }
                | Entry::LostTold { .. }
                | Entry::Floor { .. }
                | Entry::Close { .. },
            )
            | None => {}
        }
    }

    /// Returns whether nothing of a boot's lane need stand on the medium any more.
    fn is_done(&self, epoch: BootEpoch, lane: Lane) -> bool {
        self.told.closed.contains(&(epoch, lane))
            || (epoch < self.told.done_below && !self.told.done_except.contains(&(epoch, lane)))
    }

    /// Returns whether a number may be missing.
    fn is_explained(&self, epoch: BootEpoch, lane: Lane, seq: u64) -> bool {
        self.is_done(epoch, lane)
            || self.told.freed.get(&(epoch, lane)).is_some_and(|freed| seq <= *freed)
            || self
                .told
                .gaps
                .get(&(epoch, lane))
                .is_some_and(|gaps| gaps.iter().any(|range| range.contains(Seq(seq))))
    }

    fn conclude(&mut self) {
        for (place, end) in std::mem::take(&mut self.told.holes) {
            // What stands before a snapshot is needless.
            if !self.told.snapshots.iter().any(|snapshot| *snapshot >= end) {
                self.find(Finding::Missing(Chain::Journal, place));
            }
        }
        for hole in std::mem::take(&mut self.holes) {
            // Segments go as a whole, and with them numbers: a hole without missing numbers was cut.
            let missing = match (hole.chain, hole.before, hole.after) {
                (Chain::Journal, _, _) => continue,
                (_, Some((boot, first)), Some((other, last))) if boot == other => last > first + 1,
                (Chain::Lane(lane), Some((boot, first)), after) => {
                    let given = self.told.last_seq.get(&(boot, lane)).copied().unwrap_or(0);
                    // A boot between them, of which nothing may be left, explains it as well.
                    self.is_done(boot, lane)
                        || given > first
                        || after.is_some_and(|(other, seq)| seq > 1 || other.0 > boot.0 + 1)
                }
                (Chain::Lane(_), None, _) => true,
            };
            if !missing {
                self.find(Finding::Missing(hole.chain, hole.place));
            }
        }
        let mut last = self.told.last_seq.clone();
        for (epoch, lane, seq) in &self.audit.rows {
            let slot = last.entry((*epoch, *lane)).or_default();
            *slot = (*slot).max(*seq);
        }
        for ((epoch, lane), last) in last {
            let gone = (1..=last).find(|seq| {
                !self.audit.rows.contains(&(epoch, lane, *seq)) && !self.is_explained(epoch, lane, *seq)
            });
            if let Some(seq) = gone {
                self.find(Finding::Unexplained(epoch, lane, Seq(seq)));
            }
        }
        for heads in std::mem::take(&mut self.told.heads) {
            for (chain, head) in Chain::ALL.into_iter().zip(heads) {
                let end = self.last.get(&chain).copied().unwrap_or(0);
                let place = head.next_place;
                let known =
                    self.ends.range((chain, place, [0; TAG_BYTES])..=(chain, place, [0xFF; TAG_BYTES]));
                let differs =
                    known.clone().count() > 0 && !known.clone().any(|(_, _, seal)| *seal == head.seal);
                if chain != Chain::Journal && end < head.next_place {
                    self.find(Finding::Truncated(chain, end));
                } else if differs {
                    self.find(Finding::Broken(chain, place));
                }
            }
        }
        let spool = self.told.anchored;
        if let Some(counter) = self.with.counter.filter(|counter| *counter > spool) {
            self.find(Finding::Rollback { counter, spool });
        }
    }
}
