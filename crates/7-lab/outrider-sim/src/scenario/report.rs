//! What a run says.

use std::collections::BTreeMap;

use outrider_types::{BootEpoch, Lane, VehicleId};
use serde::Serialize;

/// One thing that must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Invariant of `docs/invariants.md`, or what the scenario asks for.
    pub invariant: &'static str,
    /// Vehicle, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vehicle: Option<String>,
    /// Boot, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<u64>,
    /// Lane, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<&'static str>,
    /// Number in lane and boot, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// What was seen.
    pub seen: String,
}

/// Returns the word of a lane.
pub(super) const fn lane_word(lane: Lane) -> &'static str {
    match lane {
        Lane::Critical => "critical",
        Lane::Batched => "batched",
        Lane::Deferred => "deferred",
    }
}

impl Violation {
    /// A violation of the whole scenario.
    pub(super) fn of(invariant: &'static str, seen: impl Into<String>) -> Self {
        Self { invariant, vehicle: None, boot: None, lane: None, number: None, seen: seen.into() }
    }

    pub(super) fn vehicle(mut self, vehicle: VehicleId) -> Self {
        self.vehicle = Some(vehicle.to_string());
        self
    }

    pub(super) fn lane(mut self, boot: BootEpoch, lane: Lane) -> Self {
        (self.boot, self.lane) = (Some(boot.0), Some(lane_word(lane)));
        self
    }

    pub(super) const fn number(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }
}

/// What became of everything that the sensors of one lane saw, over all vehicles and boots.
///
/// `emitted = delivered + folded + tombstoned + refused + damaged + cut`, exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Observations of the sensors.
    pub emitted: u64,
    /// Rows in the lake.
    pub delivered: u64,
    /// Observations folded into those rows.
    pub folded: u64,
    /// Observations in rows that the vehicle gave up with a signed tombstone.
    pub tombstoned: u64,
    /// Observations that got no number, and were counted by reason.
    pub refused: u64,
    /// Observations whose number was used up by a write that failed, and told as a gap.
    pub damaged: u64,
    /// Observations that a power cut took before they were durable.
    pub cut: u64,
}

impl Account {
    /// Returns emitted − everything else.
    #[must_use]
    pub fn difference(&self) -> i128 {
        let rest =
            [self.delivered, self.folded, self.tombstoned, self.refused, self.damaged, self.cut].into_iter();
        i128::from(self.emitted) - rest.map(i128::from).sum::<i128>()
    }
}

/// Attacks of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AttackCount {
    /// How often it was done.
    pub fired: u64,
    /// How often the real code said so.
    pub detected: u64,
    /// What said so, with counts.
    pub by: BTreeMap<String, u64>,
}

/// Result of one run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Name of the scenario.
    pub scenario: String,
    /// Seed of the run.
    pub seed: u64,
    /// Size in percent of the file's.
    pub scale_percent: u64,
    /// What must not be; empty if all is well.
    pub violations: Vec<Violation>,
    /// Violations beyond those listed.
    pub violations_more: u64,
    /// Faults that happened, by kind.
    pub faults_fired: BTreeMap<String, u64>,
    /// Attacks that happened.
    pub attacks_fired: u64,
    /// Attacks among them that the real code detected.
    pub attacks_detected: u64,
    /// Attacks by kind.
    pub attacks: BTreeMap<String, AttackCount>,
    /// Attacks that nothing detected, in words.
    pub undetected: Vec<String>,
    /// Rows that were promised and are nowhere.
    pub lost: u64,
    /// Rows that the lake took twice.
    pub duplicated: u64,
    /// Rows that stand in another order in their lane than the vehicle gave them.
    pub reordered: u64,
    /// Hash over every step.
    pub trace_hash: String,
    /// Accounts by lane.
    pub accounts: BTreeMap<&'static str, Account>,
    /// Sizes of the run.
    pub figures: BTreeMap<&'static str, u64>,
}

/// Violations listed; more are counted.
const LISTED_MAX: usize = 50;

impl Report {
    pub(super) fn violate(&mut self, violation: Violation) {
        if self.violations.len() < LISTED_MAX {
            self.violations.push(violation);
        } else {
            self.violations_more += 1;
        }
    }

    pub(super) fn fault(&mut self, kind: &str, count: u64) {
        if count > 0 {
            *self.faults_fired.entry(kind.to_owned()).or_default() += count;
        }
    }

    /// Returns the report as one line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers, texts and maps by text")
    }

    /// Returns whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}
