//! The red team: attacks on gateways by somebody who owns them. What detects them is the real code, never this file.

use std::collections::BTreeMap;

use outrider_types::{Seed, UnixMicros};

use super::cloud::Cloud;
use super::plan::AttackPlan;
use super::report::AttackCount;
use super::unit::Unit;

/// All attacks on gateways of one run.
#[derive(Default)]
pub(super) struct Team {
    pub(super) counts: BTreeMap<String, AttackCount>,
    pub(super) undetected: Vec<String>,
}

impl Team {
    pub(super) fn new(_plan: &AttackPlan, _vehicles: usize, _random: Seed) -> Self {
        Self::default()
    }

    pub(super) fn schedule(&self, _span: u64) -> Vec<(usize, u64)> {
        Vec::new()
    }

    pub(super) fn victim(&self, _attack: usize) -> usize {
        0
    }

    pub(super) fn strike(&mut self, _attack: usize, _at: UnixMicros, _unit: &mut Unit, _cloud: &mut Cloud) {}

    pub(super) fn again(&self, _attack: usize) -> Option<u64> {
        None
    }

    pub(super) fn inspect(&mut self, _units: &mut [Unit], _cloud: &mut Cloud) {}
}
