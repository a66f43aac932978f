//! The red team: attacks by somebody who owns the gateway from a time on. He has the medium, the vehicle's secret, the
//! device key and the current seal keys, but not K0. What detects him is the real code, never this file.
//!
//! Each attack has three stages, a day or two apart: the attacker looks around and keeps an image; he strikes; a workshop
//! audits the medium with K0 from escrow.

use std::collections::BTreeMap;

use outrider_gateway::spool::{Audit, Finding};
use outrider_gateway::{MemoryStorage, Storage};
use outrider_types::{EventId, Lane, Seed, Seq, UnixMicros, VehicleId};
use outrider_wire::catalogue::event;

use super::cloud::Cloud;
use super::flash::KEY_AREA_BYTES;
use super::plan::AttackPlan;
use super::report::AttackCount;
use super::unit::Unit;

const HOUR_US: u64 = 3600 * 1_000_000;

/// What an attacker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Puts the old image back; the anchor's counter is out of his reach.
    Rollback,
    /// Changes bytes of rows that were there when he came.
    Rewrite,
    /// Erases the rows written since he came.
    Truncate,
    /// Puts the lanes' old content back and leaves the journal as it is.
    Splice,
    /// Runs a second vehicle on a copy of the medium, with all keys and the counter, and lets it call the cloud.
    Clone,
    /// Writes a history of his own with the vehicle's real keys and a K0 of his own.
    ForgeHistory,
}

impl Kind {
    /// Every kind.
    pub(super) const ALL: [Self; 6] =
        [Self::Rollback, Self::Rewrite, Self::Truncate, Self::Splice, Self::Clone, Self::ForgeHistory];

    /// Returns the name in scenario files and results.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Rewrite => "rewrite",
            Self::Truncate => "truncate",
            Self::Splice => "splice",
            Self::Clone => "clone",
            Self::ForgeHistory => "forge_history",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Look,
    Strike,
    Inspect,
    Done,
}

struct Attack {
    kind: Kind,
    victim: usize,
    stage: Stage,
    image: MemoryStorage,
    /// The medium was as its vehicle wrote it before the strike: otherwise nothing found later counts.
    was_clean: bool,
    /// The strike changed something.
    fired: bool,
    boots_before: u64,
    /// What the audit found first.
    audited: Option<&'static str>,
    struck_at: UnixMicros,
}

/// All attacks on gateways of one run.
#[derive(Default)]
pub(super) struct Team {
    attacks: Vec<Attack>,
    random: Option<Seed>,
    pub(super) counts: BTreeMap<String, AttackCount>,
    pub(super) undetected: Vec<String>,
}

impl Team {
    /// Chooses a victim for each attack: every vehicle at most once, and never all of them.
    pub(super) fn new(plan: &AttackPlan, vehicles: usize, random: Seed) -> Self {
        let kinds: Vec<Kind> = plan.gateway.iter().filter_map(|word| Kind::from_word(word)).collect();
        let each = usize::try_from(plan.gateway_each).unwrap_or(0);
        let room = vehicles.saturating_sub(1);
        let attack = |number: usize, kind| Attack {
            kind,
            victim: number,
            stage: Stage::Look,
            image: MemoryStorage::new(),
            was_clean: false,
            fired: false,
            boots_before: 0,
            audited: None,
            struck_at: UnixMicros(0),
        };
        let attacks = (0..kinds.len() * each)
            .take(room)
            .map(|number| attack(number, kinds[number % kinds.len()]))
            .collect();
        Self { attacks, random: Some(random), ..Self::default() }
    }

    /// Returns each attack with the time since the beginning at which it comes first.
    pub(super) fn schedule(&mut self, span: u64) -> Vec<(usize, u64)> {
        let Some(random) = &mut self.random else { return Vec::new() };
        (0..self.attacks.len()).map(|number| (number, span / 4 + random.below(span / 8))).collect()
    }

    pub(super) fn victim(&self, attack: usize) -> usize {
        self.attacks.get(attack).map_or(0, |attack| attack.victim)
    }

    /// Returns the vehicles whose gateway somebody owned: their own word is no truth any more.
    pub(super) fn owned(&self) -> impl Iterator<Item = usize> + '_ {
        self.attacks.iter().map(|attack| attack.victim)
    }

    /// Returns how long until an attack's next stage.
    pub(super) fn again(&mut self, attack: usize) -> Option<u64> {
        let random = self.random.as_mut()?;
        match self.attacks.get(attack)?.stage {
            Stage::Look | Stage::Done => None,
            Stage::Strike => Some(24 * HOUR_US + random.below(24 * HOUR_US)),
            Stage::Inspect => Some(6 * HOUR_US + random.below(6 * HOUR_US)),
        }
    }

    /// Does an attack's next stage; the vehicle is off.
    pub(super) fn strike(&mut self, attack: usize, at: UnixMicros, unit: &mut Unit) {
        let Some(mut random) = self.random else { return };
        let Some(one) = self.attacks.get_mut(attack) else { return };
        match one.stage {
            Stage::Look => {
                one.image = unit.flash().cells().clone();
                one.stage = Stage::Strike;
            }
            Stage::Strike => {
                one.was_clean = unit.audit().is_some_and(|audit| audit.findings.is_empty());
                one.boots_before = unit.epoch.0;
                one.struck_at = at;
                one.fired = one.act(unit, &mut random);
                self.random = Some(random);
                one.stage = Stage::Inspect;
            }
            Stage::Inspect => {
                one.stage = Stage::Done;
                let audit = unit.audit().filter(|_| one.was_clean);
                one.audited = audit.and_then(|audit| first_finding(&audit));
            }
            Stage::Done => {}
        }
    }

    /// Returns the clone that an attack has just made, to call the cloud in its vehicle's name.
    pub(super) fn twin(&self, attack: usize, unit: &Unit) -> Option<Unit> {
        let one = self.attacks.get(attack)?;
        (one.kind == Kind::Clone && one.stage == Stage::Inspect).then(|| unit.twin())
    }

    /// Asks everybody who may have noticed, once all is delivered.
    pub(super) fn conclude(&mut self, units: &[Unit], cloud: &Cloud) {
        for one in self.attacks.iter().filter(|one| one.fired) {
            let Some(unit) = units.get(one.victim) else { continue };
            let count = self.counts.entry(one.kind.word().to_owned()).or_default();
            count.fired += 1;
            let mut by: Vec<String> = one.audited.iter().map(|finding| format!("audit: {finding}")).collect();
            by.extend(reported(cloud, unit.vehicle, one.boots_before));
            if one.kind == Kind::Clone {
                by.extend(stated(cloud, unit.vehicle));
            }
            if by.is_empty() {
                let seen = format!("{} of {} at {}", one.kind.word(), unit.vehicle, one.struck_at);
                self.undetected.push(seen);
                continue;
            }
            count.detected += 1;
            for witness in by {
                *count.by.entry(witness).or_default() += 1;
            }
        }
    }

    /// Inspects what was struck and not inspected yet, when the fleet comes back.
    pub(super) fn inspect_all(&mut self, at: UnixMicros, units: &mut [Unit]) {
        for attack in 0..self.attacks.len() {
            let victim = self.victim(attack);
            if let (Some(unit), Some(Stage::Inspect)) =
                (units.get_mut(victim), self.attacks.get(attack).map(|one| one.stage))
            {
                self.strike(attack, at, unit);
            }
        }
    }
}

/// Returns what in the cloud says that something is wrong with a vehicle since a boot: a row of its own program about its
/// spool.
fn reported(cloud: &Cloud, vehicle: VehicleId, after: u64) -> Option<String> {
    let id =
        |epoch, lane, seq| EventId { vehicle, epoch: outrider_types::BootEpoch(epoch), lane, seq: Seq(seq) };
    let rows =
        cloud.lake.rows.range(id(after + 1, Lane::Critical, 0)..=id(u64::MAX, Lane::Deferred, u64::MAX));
    let mut rows = rows.into_iter();
    let told = rows.any(|(_, row)| row.event_type == event::GATEWAY_SPOOL_CORRUPTION);
    told.then(|| "gateway.spool_corruption".to_owned())
}

/// Returns what the cloud itself stated of a vehicle that lives twice.
fn stated(cloud: &Cloud, vehicle: VehicleId) -> Vec<String> {
    let id =
        |seq| EventId { vehicle, epoch: outrider_ingest::CLOUD_EPOCH, lane: Lane::Critical, seq: Seq(seq) };
    let rows = cloud.lake.rows.range(id(0)..=id(u64::MAX)).map(|(_, row)| row.event_type);
    let kinds: std::collections::BTreeSet<&'static str> = rows
        .filter_map(|kind| match kind {
            event::INGEST_EQUIVOCATION => Some("ingest.equivocation"),
            event::INGEST_COUNTER_ROLLBACK => Some("ingest.counter_rollback"),
            _ => None,
        })
        .collect();
    kinds.into_iter().map(str::to_owned).collect()
}

/// Returns the kind of an audit's first finding.
fn first_finding(audit: &Audit) -> Option<&'static str> {
    audit.findings.first().map(word)
}

/// Returns the word of a finding.
pub(super) const fn word(finding: &Finding) -> &'static str {
    match finding {
        Finding::KeyCopy(_) => "key copy",
        Finding::Headless(_) => "no head",
        Finding::HeaderCopies(_) => "heads differ",
        Finding::UnsignedHead(_) => "unsigned head",
        Finding::ForgedHead(_) => "forged head",
        Finding::Forged(..) => "forged record",
        Finding::Damaged(..) => "damaged",
        Finding::Missing(..) => "missing",
        Finding::Broken(..) => "broken chain",
        Finding::Truncated(..) => "truncated",
        Finding::Unexplained(..) => "unexplained numbers",
        Finding::UnsignedTombstone(..) => "unsigned tombstone",
        Finding::UnsignedLost(..) => "unsigned account",
        Finding::BootUnchained(_) => "boot unchained",
        Finding::Rollback { .. } => "rollback",
        Finding::KeysLost(_) => "keys lost",
        Finding::FalseProof(_) => "false proof",
    }
}

impl Attack {
    /// Strikes; returns whether anything changed.
    fn act(&self, unit: &mut Unit, random: &mut Seed) -> bool {
        match self.kind {
            Kind::Rollback => {
                let same = differing(&self.image, unit.flash().cells(), 0, unit.config.device_bytes());
                *unit.flash().cells_mut() = self.image.clone();
                !same.is_empty()
            }
            Kind::Rewrite => self.rewrite(unit, random),
            Kind::Truncate => self.undo_lanes(unit, |_| 0),
            Kind::Splice => self.undo_lanes(unit, |at| self.image.byte(at)),
            // What it does is seen by the cloud only; see `Team::twin`.
            Kind::Clone => true,
            Kind::ForgeHistory => {
                let forged = unit.forged_history(random);
                *unit.flash().cells_mut() = forged;
                true
            }
        }
    }

    /// Changes up to eight bytes in a row that both images have.
    fn rewrite(&self, unit: &Unit, random: &mut Seed) -> bool {
        let config = unit.config;
        let begin = KEY_AREA_BYTES + config.journal_bytes;
        let mut flash = unit.flash();
        let slots = (config.device_bytes() - begin) / config.segment_bytes;
        let cells = flash.cells_mut();
        // Slots that hold a segment which was there when the attacker came.
        let old: Vec<u64> = (0..slots)
            .map(|slot| begin + slot * config.segment_bytes)
            .filter(|at| {
                (0..172).any(|byte| self.image.byte(at + byte) != 0)
                    && (0..600).all(|byte| self.image.byte(at + byte) == cells.byte(at + byte))
            })
            .collect();
        let place = usize::try_from(random.below(old.len() as u64)).unwrap_or(0);
        let Some(slot) = old.get(place) else { return false };
        // Behind both copies of the head, where the first records stand.
        let at = slot + 344 + random.below(200);
        if (0..8).all(|byte| cells.byte(at + byte) == 0) {
            return false;
        }
        for byte in 0..8 {
            let changed = cells.byte(at + byte) ^ (random.next_u64().to_le_bytes()[0] | 1);
            cells.put(at + byte, &[changed]);
        }
        true
    }

    /// Puts something else where lanes were written since the attacker came.
    fn undo_lanes(&self, unit: &Unit, instead: impl Fn(u64) -> u8) -> bool {
        let begin = KEY_AREA_BYTES + unit.config.journal_bytes;
        let mut flash = unit.flash();
        let changed = differing(&self.image, flash.cells(), begin, unit.config.device_bytes());
        for at in &changed {
            flash.cells_mut().put(*at, &[instead(*at)]);
        }
        !changed.is_empty()
    }
}

/// Returns the places at which two media differ.
fn differing(left: &MemoryStorage, right: &MemoryStorage, from: u64, to: u64) -> Vec<u64> {
    let mut places = Vec::new();
    let step = 4096;
    let mut at = from;
    while at < to {
        let length = usize::try_from((to - at).min(step)).unwrap_or(0);
        let (one, two) = (left.read(at, length), right.read(at, length));
        if let (Ok(one), Ok(two)) = (one, two)
            && one != two
        {
            let bytes = one.iter().zip(&two).enumerate();
            places.extend(bytes.filter(|(_, (one, two))| one != two).map(|(byte, _)| at + byte as u64));
        }
        at += step;
    }
    places
}
