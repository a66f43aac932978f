//! What is known of a vehicle's boots as such: when they were, how they began, what their anchors said.

use std::collections::BTreeMap;

use outrider_model::SaveError;
use outrider_types::{BootEpoch, EventTime, IngestTime, UnixMicros, VehicleMicros};
use outrider_wire::{AnchorStatement, Verifier, attest};

use crate::clock::{ClockQuality, ClockState, StartBounds, earlier};
use crate::finding::{Reason, Statement};
use crate::interval::{StateCursor, put_count};

/// Boots of which clock, anchor and books are kept a vehicle; what is known of an older one's time stands in the lake.
pub(crate) const BOOTS_MAX: usize = 16;
/// Statements of the anchor kept a boot: the first, and the latest.
const ANCHORS_KEPT: usize = 4;
/// No gateway runs for longer without a restart (guess); a reading beyond says nothing of other boots.
const BOOT_LONGEST: VehicleMicros = VehicleMicros(10 * 366 * 86_400_000_000);
/// Width above which a corrected time is worth a statement, in microseconds: a minute decides what came first.
const COARSE_US: u64 = 60_000_000;

/// Whether hardware vouches for what an anchor said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum AnchorProof {
    /// No anchor key of the vehicle is registered.
    Unchecked = 0,
    /// The registered key signed it.
    Proven = 1,
    /// It did not.
    Unproven = 2,
}

impl AnchorProof {
    fn of(said: &AnchorStatement<'_>, key: Option<&dyn Verifier>) -> Self {
        match key {
            None => Self::Unchecked,
            Some(key) if attest::is_proven(said, key) => Self::Proven,
            Some(_) => Self::Unproven,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Unchecked, Self::Proven, Self::Unproven].into_iter().find(|proof| *proof as u8 == code)
    }
}

/// What an anchor said in a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootAnchor {
    /// Its counter.
    pub counter: u64,
    /// 1 software, 2 TPM 2.0, 3 PKCS#11, others of a later version.
    pub kind: u8,
    /// First eight bytes of the hash over the spool's end.
    pub head: [u8; 8],
    /// Whether hardware vouches for it.
    pub proof: AnchorProof,
}

/// One boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BootBook {
    /// Its clock.
    pub clock: ClockState,
    /// When the first batch of it came.
    pub since: UnixMicros,
    /// Highest reading of its clock in a row.
    mono_max: VehicleMicros,
    /// It did not begin after this.
    start_latest: Option<UnixMicros>,
    /// First eight bytes of the hash over the ends that it found.
    previous: Option<[u8; 8]>,
    /// By counter.
    anchors: Vec<BootAnchor>,
}

/// A vehicle's boots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Boots {
    boots: BTreeMap<BootEpoch, BootBook>,
}

fn short(hash: &[u8; 32]) -> [u8; 8] {
    hash.first_chunk().copied().unwrap_or_default()
}

impl Boots {
    /// Returns the boot's book; boots beyond the bound are forgotten, oldest first, except the one at hand.
    pub(crate) fn book(&mut self, epoch: BootEpoch, ingest: IngestTime) -> &mut BootBook {
        if !self.boots.contains_key(&epoch) && self.boots.len() >= BOOTS_MAX {
            self.boots.pop_first();
        }
        self.boots.entry(epoch).or_insert_with(|| BootBook { since: ingest.0, ..BootBook::default() })
    }

    pub(crate) fn insert(&mut self, epoch: BootEpoch, book: BootBook) {
        self.boots.insert(epoch, book);
    }

    /// Returns a boot's book.
    #[must_use]
    pub fn get(&self, epoch: BootEpoch) -> Option<&BootBook> {
        self.boots.get(&epoch)
    }

    /// Returns all books, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (BootEpoch, &BootBook)> {
        self.boots.iter().map(|(epoch, book)| (*epoch, book))
    }

    /// Returns when a boot began, by its neighbours and by when its rows came: boots follow each other, so an earlier
    /// one had ended before and a later one had not begun. O(boots).
    #[must_use]
    pub fn bounds(&self, epoch: BootEpoch, ingest: IngestTime) -> StartBounds {
        let book = self.boots.get(&epoch);
        let length = book.map_or(VehicleMicros(0), |book| book.mono_max);
        let mut latest = book.and_then(|book| book.start_latest).unwrap_or(ingest.0);
        for (_, later) in self.boots.range(next(epoch)..) {
            let fixed = later.clock.trusted_start().map(EventTime::latest);
            let began = [fixed, later.start_latest].into_iter().flatten().min();
            latest = latest.min(began.map_or(latest, |began| earlier(began, length)));
        }
        let mut earliest = None;
        for (_, before) in self.boots.range(..epoch) {
            let Some(began) = before.clock.trusted_start().map(EventTime::earliest) else { continue };
            let lasted = before.mono_max.0;
            let lasted = lasted.saturating_sub(lasted / 1_000_000 * outrider_types::ClockFix::DRIFT_PPM);
            earliest = earliest.max(Some(UnixMicros(began.0.saturating_add_unsigned(lasted))));
        }
        StartBounds { earliest, latest }
    }

    /// Returns event time and quality of a reading, by all that is known now.
    #[must_use]
    pub fn event_time(
        &self,
        epoch: BootEpoch,
        mono: VehicleMicros,
        ingest: IngestTime,
    ) -> (EventTime, ClockQuality) {
        let bounds = self.bounds(epoch, ingest);
        match self.boots.get(&epoch) {
            Some(book) => book.clock.event_time_within(mono, &bounds),
            None => ClockState::default().event_time_within(mono, &StartBounds::of_ingest(mono, ingest)),
        }
    }

    /// Returns the beginnings of all boots of which rows came, to find out which a new fix corrects.
    pub(crate) fn starts(&self) -> BTreeMap<BootEpoch, EventTime> {
        let told = self.boots.iter().filter_map(|(epoch, book)| Some((*epoch, book.start_latest?)));
        told.map(|(epoch, latest)| (epoch, self.event_time(epoch, VehicleMicros(0), IngestTime(latest)).0))
            .collect()
    }

    /// Returns the boots whose time is known clearly better than `before`: by half, or outside of what was thought.
    pub(crate) fn corrections(&self, before: &BTreeMap<BootEpoch, EventTime>) -> Vec<Statement> {
        let now = self.starts();
        let changed = before.iter().filter_map(|(epoch, before)| Some((*epoch, *before, *now.get(epoch)?)));
        changed
            .filter(|(_, before, now)| {
                let is_outside = now.best < before.earliest() || now.best > before.latest();
                let is_narrower = before.error_us > COARSE_US && now.error_us < before.error_us / 2;
                now.error_us <= before.error_us && (is_narrower || is_outside)
            })
            .map(|(epoch, before, now)| Statement::ClockCorrected { epoch, start: (before, now) })
            .collect()
    }

    /// Returns the boots whose anchor is not above that of an earlier boot of the same kind.
    pub(crate) fn anchors_behind(&self) -> Vec<Statement> {
        let mut highest: BTreeMap<u8, u64> = BTreeMap::new();
        let mut statements = Vec::new();
        for (epoch, book) in &self.boots {
            // Whoever makes up a high value must not put the true ones behind it.
            let anchors = book.anchors.iter().filter(|anchor| anchor.proof != AnchorProof::Unproven);
            let behind = anchors.clone().find_map(|anchor| {
                let highest = *highest.get(&anchor.kind)?;
                (anchor.counter <= highest).then_some((anchor.counter, highest))
            });
            if let Some(range) = behind {
                let reason = Reason::AnchorBehind;
                statements.push(Statement::Conflict {
                    reason,
                    epoch: *epoch,
                    lane: None,
                    range,
                    hashes: None,
                });
            }
            for anchor in anchors {
                let slot = highest.entry(anchor.kind).or_default();
                *slot = (*slot).max(anchor.counter);
            }
        }
        statements
    }
}

fn next(epoch: BootEpoch) -> BootEpoch {
    BootEpoch(epoch.0.saturating_add(1))
}

impl BootBook {
    /// Notes that rows up to a reading came at a time.
    pub(crate) fn hear(&mut self, mono: VehicleMicros, ingest: IngestTime) {
        if mono > BOOT_LONGEST {
            return;
        }
        self.mono_max = self.mono_max.max(mono);
        let began = earlier(ingest.0, mono);
        self.start_latest = Some(self.start_latest.map_or(began, |known| known.min(began)));
    }

    /// Notes how it began; false if it was said to have begun otherwise.
    pub(crate) fn begin(&mut self, previous: &[u8; 32]) -> bool {
        *self.previous.get_or_insert(short(previous)) == short(previous)
    }

    /// Notes what the anchor said; returns what does not hold of it: that the key signed it, and that the same value was
    /// over the same end before.
    pub(crate) fn take_anchor(
        &mut self,
        said: &AnchorStatement<'_>,
        key: Option<&dyn Verifier>,
    ) -> Option<Reason> {
        let proof = AnchorProof::of(said, key);
        let anchor = BootAnchor { counter: said.counter, kind: said.kind, head: short(&said.head), proof };
        let unproven = (proof == AnchorProof::Unproven).then_some(Reason::AnchorUnproven);
        let same = |held: &&mut BootAnchor| (held.kind, held.counter) == (anchor.kind, anchor.counter);
        if let Some(held) = self.anchors.iter_mut().find(same) {
            if held.head != anchor.head {
                return unproven.or(Some(Reason::AnchorRepeated));
            }
            // A key that was registered since then says more; what was not proven once stays so.
            held.proof = held.proof.max(proof);
            return unproven;
        }
        let place = self.anchors.partition_point(|held| *held < anchor);
        self.anchors.insert(place, anchor);
        if self.anchors.len() > ANCHORS_KEPT {
            // The lowest is compared with earlier boots, the highest ones with later boots.
            self.anchors.remove(1);
        }
        unproven
    }

    /// Returns what the anchor said last.
    #[must_use]
    pub fn anchor(&self) -> Option<&BootAnchor> {
        self.anchors.last()
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        self.clock.save(out);
        out.extend_from_slice(&self.since.0.to_le_bytes());
        out.extend_from_slice(&self.mono_max.0.to_le_bytes());
        out.push(u8::from(self.start_latest.is_some()));
        out.extend_from_slice(&self.start_latest.unwrap_or_default().0.to_le_bytes());
        out.push(u8::from(self.previous.is_some()));
        out.extend_from_slice(&self.previous.unwrap_or_default());
        put_count(out, self.anchors.len());
        for anchor in &self.anchors {
            out.extend_from_slice(&anchor.counter.to_le_bytes());
            out.push(anchor.kind);
            out.extend_from_slice(&anchor.head);
            out.push(anchor.proof as u8);
        }
    }

    /// Reads a book; `has_proofs` from version 3 of the vehicle's state on.
    pub(crate) fn load(cursor: &mut StateCursor<'_>, has_proofs: bool) -> Result<Self, SaveError> {
        let clock = ClockState::load(cursor)?;
        let since = UnixMicros(cursor.array().map(i64::from_le_bytes)?);
        let mono_max = VehicleMicros(cursor.u64()?);
        let has_start = cursor.u8()? == 1;
        let start = UnixMicros(cursor.array().map(i64::from_le_bytes)?);
        let has_previous = cursor.u8()? == 1;
        let previous = cursor.array()?;
        let mut anchors = Vec::new();
        for _ in 0..cursor.u32()? {
            let (counter, kind, head) = (cursor.u64()?, cursor.u8()?, cursor.array()?);
            let proof = if has_proofs { cursor.u8()? } else { AnchorProof::Unchecked as u8 };
            let proof = AnchorProof::from_code(proof).ok_or(cursor.damaged())?;
            anchors.push(BootAnchor { counter, kind, head, proof });
        }
        Ok(Self {
            clock,
            since,
            mono_max,
            start_latest: has_start.then_some(start),
            previous: has_previous.then_some(previous),
            anchors,
        })
    }

    /// Makes a book of what version 1 of the state kept.
    pub(crate) fn of_version_1(clock: ClockState, since: UnixMicros) -> Self {
        Self { clock, since, ..Self::default() }
    }
}
