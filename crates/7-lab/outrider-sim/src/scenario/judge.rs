//! The account at the end: for every vehicle, boot and lane, where each observation went.

use std::collections::{BTreeMap, BTreeSet};

use outrider_gateway::spool::Tombstone;
use outrider_ingest::CLOUD_EPOCH;
use outrider_model::invariants;
use outrider_types::{BootEpoch, EventId, Lane, Seq, VehicleId};
use outrider_wire::BootCounts;

use super::cloud::{Cloud, Stored};
use super::ledger::{Boot, Ended, Ledger, Row, context};
use super::report::{Account, Report, Violation, lane_word};
use super::unit::Unit;

/// How old an observation may be that a power cut takes, by lane: the folding window, a second of group commit, and the
/// ticks between. The first of a critical event is durable at once; only its repeats wait.
const CUT_US: [u64; 3] = [3_500_000, 14_000_000, 65_000_000];

/// Judges one run.
pub(super) struct Judge<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) report: &'a mut Report,
    accounts: BTreeMap<Lane, Account>,
    /// Half the widths of the stated intervals, for the figures.
    widths: Vec<u64>,
    /// Rows and observations that accounts of boots cover.
    used: BTreeMap<Used, (u64, u64)>,
}

/// What covers a row that is nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Used {
    /// The account of its boot.
    Boot((VehicleId, BootEpoch, Lane)),
    /// Sums over its boot and others.
    Sums(VehicleId, Lane),
}

/// One boot and lane of one vehicle.
struct Case<'a> {
    unit: &'a Unit,
    epoch: BootEpoch,
    boot: &'a Boot,
    lane: Lane,
    tombstones: &'a [Tombstone],
    corrupt: &'a [(u64, u64)],
}

impl Case<'_> {
    fn violation(&self, invariant: &'static str, seen: impl Into<String>) -> Violation {
        Violation::of(invariant, seen).vehicle(self.unit.vehicle).lane(self.epoch, self.lane)
    }

    fn id(&self, seq: u64) -> EventId {
        EventId { vehicle: self.unit.vehicle, epoch: self.epoch, lane: self.lane, seq: Seq(seq) }
    }

    fn buried(&self, seq: u64) -> bool {
        self.tombstones.iter().any(|tombstone| tombstone.range.contains(Seq(seq)))
    }
}

impl<'a> Judge<'a> {
    pub(super) fn new(cloud: &'a Cloud, report: &'a mut Report) -> Self {
        Self { cloud, report, accounts: BTreeMap::new(), widths: Vec::new(), used: BTreeMap::new() }
    }

    /// Judges every vehicle; `trusted` leaves out those whose gateway an attacker owned.
    pub(super) fn vehicles(&mut self, units: &[Unit], owned: &BTreeSet<VehicleId>) {
        for unit in units.iter().filter(|unit| !owned.contains(&unit.vehicle)) {
            self.vehicle(unit);
        }
        self.accounts_of_boots();
        self.cloud_alone(units, owned);
        for (lane, account) in std::mem::take(&mut self.accounts) {
            self.report.accounts.insert(lane_word(lane), account);
        }
        self.widths.sort_unstable();
        let at = |part: usize| self.widths.get(self.widths.len() * part / 100).copied();
        let widths = [("interval_half_us_median", at(50)), ("interval_half_us_p99", at(99))];
        for (name, value) in widths {
            self.report.figures.insert(name, value.unwrap_or(0));
        }
        let widest = self.widths.last().copied().unwrap_or(0);
        self.report.figures.insert("interval_half_us_max", widest);
    }

    fn vehicle(&mut self, unit: &Unit) {
        let Ledger { boots, tombstones, corrupt } = &unit.ledger;
        for (epoch, boot) in boots {
            for lane in Lane::ALL {
                let key = (*epoch, lane);
                let case = Case {
                    unit,
                    epoch: *epoch,
                    boot,
                    lane,
                    tombstones: tombstones.get(&key).map_or(&[], Vec::as_slice),
                    corrupt: corrupt.get(&key).map_or(&[], Vec::as_slice),
                };
                self.lane(&case);
            }
        }
    }

    fn lane(&mut self, case: &Case<'_>) {
        let mut account = Account::default();
        let mut settled: BTreeSet<u64> = BTreeSet::new();
        let emitted = case.boot.sights.values().filter(|sight| sight.lane == case.lane).count() as u64;
        account.emitted = emitted;
        let rows = case.boot.rows.range((case.lane, 0)..=(case.lane, u64::MAX));
        for ((_, seq), row) in rows {
            self.row(case, *seq, row, &mut account, &mut settled);
        }
        self.unconfirmed(case, &mut account, &mut settled);
        self.rest(case, &mut account, &settled);
        if account.difference() != 0 {
            let seen = format!("{account:?} differs by {}", account.difference());
            self.report.violate(case.violation("BAL-1", seen));
        }
        self.tombstones(case);
        self.heads(case, emitted);
        let sum = self.accounts.entry(case.lane).or_default();
        sum.emitted += account.emitted;
        sum.delivered += account.delivered;
        sum.folded += account.folded;
        sum.tombstoned += account.tombstoned;
        sum.refused += account.refused;
        sum.damaged += account.damaged;
        sum.cut += account.cut;
    }

    /// Settles one row that the gateway said it numbered.
    fn row(
        &mut self,
        case: &Case<'_>,
        seq: u64,
        row: &Row,
        account: &mut Account,
        settled: &mut BTreeSet<u64>,
    ) {
        let members = case.boot.members(case.lane, row.first, row.last);
        if let Some(stored) = self.cloud.lake.rows.get(&case.id(seq)) {
            self.content(case, seq, row, stored, members.len() as u64);
            account.delivered += 1;
            account.folded += members.len() as u64 - 1;
            settled.extend(members);
        } else if case.buried(seq) || self.is_closed(case, seq, members.len() as u64) {
            account.tombstoned += members.len() as u64;
            settled.extend(members);
        } else if row.durable {
            self.report.lost += 1;
            let is_corrupt = case.corrupt.iter().any(|(first, last)| (*first..=*last).contains(&seq));
            let what = if is_corrupt { "promised, then told as damaged" } else { "promised, and nowhere" };
            self.report.violate(case.violation("LOG-2", what).number(seq));
            settled.extend(members);
        }
    }

    /// Returns whether a signed account of the vehicle's boots covers a row, and counts it there.
    fn is_closed(&mut self, case: &Case<'_>, seq: u64, observations: u64) -> bool {
        let key = (case.unit.vehicle, case.epoch, case.lane);
        let used = if let Some(counts) = self.cloud.closed.get(&key) {
            if seq > counts.numbers {
                return false;
            }
            self.used.entry(Used::Boot(key)).or_default()
        } else {
            let sums = self.cloud.summed.get(&(key.0, key.2)).map_or(&[][..], Vec::as_slice);
            if !sums.iter().any(|(boots, ..)| boots.iter().any(|run| run.contains(case.epoch))) {
                return false;
            }
            self.used.entry(Used::Sums(key.0, key.2)).or_default()
        };
        *used = (used.0 + 1, used.1 + observations);
        true
    }

    /// An account names at least what is missing: exactly that, unless an acknowledgement or a boot's word was lost.
    fn accounts_of_boots(&mut self) {
        for (of, (rows, observations)) in std::mem::take(&mut self.used) {
            let (vehicle, told) = match of {
                Used::Boot(key @ (vehicle, ..)) => {
                    (vehicle, self.cloud.closed.get(&key).copied().unwrap_or_default())
                }
                Used::Sums(vehicle, lane) => {
                    let mut told = BootCounts::default();
                    let sums = self.cloud.summed.get(&(vehicle, lane)).map_or(&[][..], Vec::as_slice);
                    sums.iter().for_each(|(.., sum)| told.add(sum));
                    (vehicle, told)
                }
            };
            // What damage used up is counted by number, whatever was folded into it.
            let is_short = rows > told.evicted.saturating_add(told.corrupt)
                || (told.corrupt == 0 && observations > told.observations);
            if is_short {
                let seen = format!(
                    "{rows} rows with {observations} observations are missing, and {told:?} were told of {of:?}"
                );
                self.report.violate(Violation::of("LOG-5", seen).vehicle(vehicle));
            }
        }
    }

    /// Compares a stored row with what the sensor saw.
    fn content(&mut self, case: &Case<'_>, seq: u64, row: &Row, stored: &Stored, count: u64) {
        let expected = context(case.unit.tag, row.first);
        if (stored.first, stored.last, stored.count) == (row.first, row.last, count)
            && stored.context == expected
        {
            self.time(case, seq, row.first, stored);
            return;
        }
        let mine = case.boot.rows.range((case.lane, 0)..=(case.lane, u64::MAX));
        let elsewhere = mine.clone().any(|(_, other)| other.first == stored.first);
        if elsewhere && stored.first != row.first {
            self.report.reordered += 1;
        }
        let seen = format!(
            "stored {}..{} × {}, numbered {}..{} × {count}",
            stored.first, stored.last, stored.count, row.first, row.last
        );
        self.report.violate(case.violation("LOG-1", seen).number(seq));
    }

    /// The true time must lie in the interval that the cloud states (TIME-1).
    fn time(&mut self, case: &Case<'_>, seq: u64, first: u64, stored: &Stored) {
        let Some(sight) = case.boot.sights.get(&first) else { return };
        self.widths.push(stored.time.error_us);
        if stored.time.earliest() <= sight.at && sight.at <= stored.time.latest() {
            return;
        }
        let seen =
            format!("true time {} is not in {} ± {} us", sight.at, stored.time.best, stored.time.error_us);
        self.report.violate(case.violation("TIME-1", seen).number(seq));
    }

    /// Rows in the lake that the gateway had no time to confirm, because power went in the middle of the append.
    fn unconfirmed(&mut self, case: &Case<'_>, account: &mut Account, settled: &mut BTreeSet<u64>) {
        let (first, last) = (case.id(1), case.id(u64::MAX));
        for (id, stored) in self.cloud.lake.rows.range(first..=last) {
            if case.boot.rows.contains_key(&(case.lane, id.seq.0)) {
                continue;
            }
            let members = case.boot.members(case.lane, stored.first, stored.last);
            let real = matches!(case.boot.ended, Ended::Cut(_))
                && stored.context == context(case.unit.tag, stored.first)
                && stored.count == members.len() as u64
                && members.iter().all(|member| !settled.contains(member));
            if real {
                account.delivered += 1;
                account.folded += stored.count.saturating_sub(1);
                settled.extend(members);
            } else {
                let seen = "stored, but the vehicle never numbered it";
                self.report.violate(case.violation("phantom", seen).number(id.seq.0));
            }
        }
    }

    /// Settles the sights that are in no row that arrived or was buried.
    fn rest(&mut self, case: &Case<'_>, account: &mut Account, settled: &BTreeSet<u64>) {
        let left: Vec<u64> = case
            .boot
            .sights
            .iter()
            .filter(|(mono, sight)| sight.lane == case.lane && !settled.contains(mono))
            .map(|(mono, _)| *mono)
            .collect();
        // Numbers that the ledger does not know but a tombstone covers: half-appended, then evicted.
        let buried: u64 =
            case.tombstones
                .iter()
                .map(|tombstone| {
                    let known = case.boot.rows.range(
                        (case.lane, tombstone.range.first().0)..=(case.lane, tombstone.range.last().0),
                    );
                    let known: u64 =
                        known.map(|(_, row)| case.boot.observations(case.lane, row.first, row.last)).sum();
                    let told: u64 = tombstone.lost.iter().map(|lost| lost.observations).sum();
                    told.saturating_sub(known)
                })
                .sum();
        let mut left = left;
        let told = buried.min(left.len() as u64);
        account.tombstoned += told;
        left.drain(..usize::try_from(told).unwrap_or(0));
        match case.boot.ended {
            Ended::Cut(at) => {
                account.cut += left.len() as u64;
                let allowed = CUT_US[usize::from(case.lane.code())];
                let oldest = left.first().filter(|oldest| at.saturating_sub(**oldest) > allowed);
                if let (Some(oldest), false) = (oldest, case.boot.was_refused) {
                    let seen = format!("a power cut at {at} took what was seen at {oldest}");
                    self.report.violate(case.violation("LOG-2", seen));
                }
            }
            Ended::Clean | Ended::Running => {
                let refused = case.boot.refused.get(&case.lane).copied().unwrap_or(0);
                account.refused += refused.min(left.len() as u64);
                let damaged = left.len() as u64 - account.refused;
                let told: u64 = case
                    .corrupt
                    .iter()
                    .flat_map(|(first, last)| *first..=*last)
                    .filter(|seq| !case.boot.rows.contains_key(&(case.lane, *seq)))
                    .count() as u64;
                // A number that a failed write used up may stand for several folded sights, never for none.
                if (damaged > 0) != (told > 0) || damaged < told || refused > account.refused {
                    let seen = format!(
                        "{} sights are in no row, {refused} refused, {told} numbers damaged",
                        left.len()
                    );
                    self.report.violate(case.violation("BAL-1", seen));
                }
                account.damaged += damaged;
            }
        }
    }

    /// A tombstone counts what it buries, and is signed by the vehicle.
    fn tombstones(&mut self, case: &Case<'_>) {
        if case.unit.critical_kept && case.lane == Lane::Critical && !case.tombstones.is_empty() {
            let seen = "critical rows were given up, although the lane's quota holds them";
            self.report.violate(case.violation("LOG-5", seen));
        }
        if case.tombstones.is_empty() {
            return;
        }
        let verifier = case.unit.verifier();
        for tombstone in case.tombstones {
            let (first, last) = (tombstone.range.first().0, tombstone.range.last().0);
            let rows: u64 = tombstone.rows();
            let observations: u64 = tombstone.lost.iter().map(|lost| lost.observations).sum();
            let known = case.boot.rows.range((case.lane, first)..=(case.lane, last));
            let truth: Vec<u64> =
                known.map(|(_, row)| case.boot.observations(case.lane, row.first, row.last)).collect();
            let whole = truth.len() as u64 == tombstone.range.count();
            let wrong = !tombstone.is_signed(&verifier)
                || rows != tombstone.range.count()
                || (whole && truth.iter().sum::<u64>() != observations);
            if wrong {
                let seen = format!(
                    "tombstone of {first}..={last}: {rows} rows, {observations} observations, truth {} in {}",
                    truth.iter().sum::<u64>(),
                    truth.len()
                );
                self.report.violate(case.violation("LOG-5", seen).number(first));
            }
        }
    }

    /// What the vehicle said of its lane must add up, and be what its sensors saw.
    fn heads(&mut self, case: &Case<'_>, emitted: u64) {
        if let Some(received) = case.boot.received.get(&case.lane)
            && *received != emitted
        {
            let seen = format!("sensors saw {emitted}, the gateway counted {received}");
            self.report.violate(case.violation("BAL-1", seen));
        }
        if let Some(told) = self.cloud.told.get(&(case.unit.vehicle, case.epoch, case.lane))
            && told.received != told.last_seq + told.folded + told.unnumbered
        {
            self.report.violate(case.violation("BAL-1", format!("the lane's head says {told:?}")));
        }
    }

    /// What the cloud must hold by itself: nothing twice, nothing of nobody, nothing acknowledged and gone, no hole.
    fn cloud_alone(&mut self, units: &[Unit], owned: &BTreeSet<VehicleId>) {
        let lake = &self.cloud.lake;
        self.report.duplicated += lake.duplicated.len() as u64;
        for id in &lake.duplicated {
            let seen = "the lake took it twice";
            let violation = Violation::of("LOG-3", seen).vehicle(id.vehicle).lane(id.epoch, id.lane);
            self.report.violate(violation.number(id.seq.0));
        }
        let boots: BTreeSet<(VehicleId, BootEpoch)> = units
            .iter()
            .flat_map(|unit| unit.ledger.boots.keys().map(|epoch| (unit.vehicle, *epoch)))
            .collect();
        // What the cloud states of a vehicle stands under a boot of its own.
        let phantoms = lake
            .rows
            .keys()
            .filter(|id| id.epoch != CLOUD_EPOCH)
            .filter(|id| !owned.contains(&id.vehicle) && !boots.contains(&(id.vehicle, id.epoch)));
        for id in phantoms {
            let violation = Violation::of("phantom", "a row of a boot that never was");
            let violation = violation.vehicle(id.vehicle).lane(id.epoch, id.lane).number(id.seq.0);
            self.report.violate(violation);
        }
        self.acknowledged(owned);
        let replayed = self.cloud.replay();
        let missing = lake.rows.keys().filter(|id| !replayed.contains(id)).count();
        let extra = replayed.iter().filter(|id| !lake.rows.contains_key(id)).count();
        if missing + extra > 0 {
            let seen = format!("a second reading of the log lacks {missing} rows and has {extra} more");
            self.report.violate(Violation::of("LOG-3", seen));
        }
        for (number, (batches, rows)) in self.cloud.all_balances().iter().enumerate() {
            if let Err(violation) = invariants::balanced([("batches", batches), ("rows", rows)]) {
                let seen = format!("worker {number}: {}", violation.seen);
                self.report.violate(Violation::of("BAL-1", seen));
            }
        }
        let is_owned = |vehicle: Option<VehicleId>| vehicle.is_some_and(|vehicle| owned.contains(&vehicle));
        for entry in self.cloud.quarantine.iter().filter(|entry| !is_owned(entry.vehicle)) {
            let seen = format!("quarantined for {}: {}", entry.reason, entry.place);
            self.report.violate(Violation::of("phantom", seen));
        }
    }

    /// Everything below a signed watermark is stored, or was declared lost with a signature (LOG-2, LOG-4).
    ///
    /// A hole of a vehicle that somebody owned is what the cloud has to show, and is counted.
    fn acknowledged(&mut self, owned: &BTreeSet<VehicleId>) {
        for ((vehicle, epoch, lane), contiguous) in &self.cloud.signed {
            let state = self.cloud.received(*vehicle).and_then(|received| {
                received.lanes().find(|(of, each, _)| of == epoch && each == lane).map(|(_, _, state)| state)
            });
            let is_old = |seq| {
                self.cloud.received(*vehicle).is_some_and(|known| known.contains(*epoch, *lane, Seq(seq)))
            };
            if state.is_none() && is_old(u64::MAX) {
                // More boots came since than the cloud remembers; it takes nothing of this one any more.
                continue;
            }
            let Some(state) = state else {
                let seen = "acknowledged, and the worker knows nothing of it";
                let violation = Violation::of("LOG-2", seen).vehicle(*vehicle).lane(*epoch, *lane);
                self.report.violate(violation);
                continue;
            };
            let id = |seq| EventId { vehicle: *vehicle, epoch: *epoch, lane: *lane, seq: Seq(seq) };
            for seq in 1..=*contiguous {
                if !self.cloud.lake.rows.contains_key(&id(seq)) && !state.lost.contains(seq) {
                    let violation = Violation::of("LOG-2", "acknowledged, and not in the lake");
                    self.report.violate(violation.vehicle(*vehicle).lane(*epoch, *lane).number(seq));
                    break;
                }
            }
            if owned.contains(vehicle) {
                let holes = self.report.figures.entry("holes_of_owned_vehicles").or_default();
                *holes += state.holes().count() as u64;
                continue;
            }
            for (first, last) in state.holes() {
                let seen = format!("a hole up to {last} that nobody explains");
                let violation = Violation::of("LOG-4", seen).vehicle(*vehicle).lane(*epoch, *lane);
                self.report.violate(violation.number(first));
            }
        }
    }
}
