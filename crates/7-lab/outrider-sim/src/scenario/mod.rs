//! Scenarios: a seeded world in which the real gateway, the real acceptor and the real worker live through faults and
//! attacks, and an account at the end that must come out exactly.
//!
//! **In:** a scenario file and a seed. **Out:** a [`Report`]. Same file, seed and scale give the same
//! [`Report::trace_hash`]. Start reading at [`run`], then `field` (what happens when), then `judge` (what must hold).

mod clock;
mod cloud;
mod field;
mod flash;
mod judge;
mod ledger;
mod path;
mod plan;
mod red;
mod report;
mod storm;
#[cfg(test)]
mod tests;
mod trace;
mod unit;

use std::collections::BTreeSet;

use outrider_types::Seed;

pub use self::plan::{
    AttackPlan, ClockWord, CloudPlan, FlashPlan, LinkWord, NetworkPlan, Plan, PlanError, Profile, Range,
    StormPlan,
};
pub use self::report::{Account, AttackCount, Report, Violation};
use field::Field;
use judge::Judge;

/// Runs a scenario at a scale in percent of the file's size.
#[must_use]
pub fn run(plan: &Plan, seed: u64, scale_percent: u64) -> Report {
    let mut report = Report { scenario: plan.name.clone(), seed, scale_percent, ..Report::default() };
    match plan.storm {
        Some(storm) => storm::run(storm, Seed::new(seed), scale_percent, &mut report),
        None => fleet(plan, Seed::new(seed), scale_percent, &mut report),
    }
    for kind in &plan.require {
        if report.faults_fired.get(kind).copied().unwrap_or(0) == 0 {
            let seen = format!("{kind} did not happen: the run shows nothing about it");
            report.violate(Violation::of("fired", seen));
        }
    }
    report
}

fn fleet(plan: &Plan, seed: Seed, scale_percent: u64, report: &mut Report) {
    let mut field = Field::new(plan, seed, scale_percent);
    field.run();
    for vehicle in &field.stuck {
        let unit = &field.units[*vehicle];
        let seen = "still holds rows or counters after all chances to deliver";
        report.violate(Violation::of("delivery", seen).vehicle(unit.vehicle));
    }
    let owned: BTreeSet<_> = field.red.owned().map(|victim| field.units[victim].vehicle).collect();
    audit_clean(plan, &field, report);
    Judge::new(&field.cloud, report).vehicles(&field.units, &owned);
    for (kind, count) in &field.network.faults {
        report.fault(kind, *count);
    }
    let sum = |of: fn(&unit::Unit) -> u64| field.units.iter().map(of).sum::<u64>();
    report.fault("power_cut", sum(|unit| unit.cut_count));
    report.fault("power_cut_while_booting", sum(|unit| unit.torn_boots));
    report.fault("write_lost", sum(|unit| unit.cuts.lost));
    report.fault("write_torn", sum(|unit| unit.cuts.torn));
    report.fault("write_reordered", sum(|unit| unit.cuts.reordered));
    report.fault("device_refuses", field.refusals);
    report.fault("cloud_crash", field.cloud.counts.crashes);
    report.fault("cloud_crash_before_reply", field.cloud.counts.crashes_before_reply);
    for (kind, count) in &field.clocks {
        report.fault(kind, *count);
    }
    let evicted: u64 = field
        .units
        .iter()
        .flat_map(|unit| unit.ledger.tombstones.values().flatten())
        .map(outrider_gateway::spool::Tombstone::rows)
        .sum();
    let told = field.cloud.closed.len() as u64;
    report.fault("boot_listed", told);
    let summed = field.cloud.summed.values().flatten().map(|(_, boots, _)| *boots).sum();
    report.fault("boot_summed", summed);
    let listed: u64 = field.cloud.closed.values().map(|counts| counts.evicted).sum();
    let sums: u64 = field.cloud.summed.values().flatten().map(|(.., sum)| sum.evicted).sum();
    report.fault("evicted_row", evicted + listed + sums);
    for (kind, count) in field.network.attacks.iter().chain(&field.red.counts) {
        report.attacks_fired += count.fired;
        report.attacks_detected += count.detected;
        report.attacks.insert(kind.clone(), count.clone());
    }
    report.undetected = field.red.undetected.clone();
    for (kind, count) in report.attacks.clone() {
        if count.fired != count.detected {
            let seen = format!("{kind}: {} of {} detected", count.detected, count.fired);
            report.violate(Violation::of("detection", seen));
        }
    }
    figures(plan, &field, report);
    report.trace_hash = field.trace.hex();
}

/// No audit may accuse a vehicle that nobody owned. Power cuts leave traces that an audit cannot tell from damage, and
/// says so; such fleets are left out.
fn audit_clean(plan: &Plan, field: &Field<'_>, report: &mut Report) {
    if plan.attack.gateway.is_empty() || plan.profile.iter().any(|profile| profile.cut_per_mille > 0) {
        return;
    }
    let owned: BTreeSet<usize> = field.red.owned().collect();
    let mut audits = 0;
    for (_, unit) in field.units.iter().enumerate().filter(|(index, _)| !owned.contains(index)) {
        audits += 1;
        for finding in unit.audit().iter().flat_map(|audit| &audit.findings) {
            let seen = format!("an audit accuses a vehicle that nobody touched: {}", red::word(finding));
            report.violate(Violation::of("false_alarm", seen).vehicle(unit.vehicle));
        }
    }
    report.figures.insert("clean_audits", audits);
}

fn figures(plan: &Plan, field: &Field<'_>, report: &mut Report) {
    let counts = &field.cloud.counts;
    let sum = |of: fn(&unit::Unit) -> u64| field.units.iter().map(of).sum::<u64>();
    let figures = [
        ("vehicles", field.units.len() as u64),
        ("simulated_hours", plan.hours),
        ("boots", sum(|unit| unit.boots)),
        ("events", report.accounts.values().map(|account| account.emitted).sum()),
        ("rows", field.cloud.lake.rows.len() as u64),
        ("frames", counts.frames),
        ("frame_bytes", counts.frame_bytes),
        ("frames_appended", counts.appended),
        ("frames_without_news", counts.without_news),
        ("frames_refused", counts.refused.values().sum()),
        ("flash_bytes_written", sum(unit::Unit::bytes_written)),
        ("steps", field.trace.steps),
        ("drain_rounds", field.drain_rounds),
    ];
    report.figures.extend(figures);
}
