//! `outrider sim run`: scenarios of faults and attacks on the vehicle's way to the cloud.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use outrider_sim::scenario::{Plan, Report, run};

use super::{Failure, print};

/// Runs scenario files: a seeded fleet lives through faults and attacks, and every observation is accounted for.
#[derive(Debug, Args)]
pub(crate) struct Sim {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Run one scenario; the same file, seed and scale give the same `trace_hash`.
    Run(Run),
}

/// JSON fields: scenario, seed, `scale_percent`, violations, `faults_fired`, `attacks_fired`, `attacks_detected`, attacks,
/// undetected, lost, duplicated, reordered, `trace_hash`, accounts, figures. With --seeds, one object a line.
#[derive(Debug, Args)]
struct Run {
    /// The scenario, such as `scenarios/offline-weeks.toml`.
    file: PathBuf,
    /// Decides everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds to run, from `--seed` on.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Size of the fleet in percent of the file's.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    scale: u64,
    /// Print one JSON object a seed.
    #[arg(long)]
    json: bool,
}

impl Sim {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Act::Run(run) = self.act;
        run.run()
    }
}

impl Run {
    fn run(&self) -> Result<(), Failure> {
        let text = std::fs::read_to_string(&self.file)
            .map_err(|error| Failure::input(format!("{}: {error}", self.file.display())))?;
        let plan = Plan::parse(&text)
            .map_err(|error| Failure::input(format!("{}: {error}", self.file.display())))?;
        let mut bad = Vec::new();
        for seed in self.seed..self.seed.saturating_add(self.seeds) {
            tracing::info!(scenario = plan.name, seed, "scenario begins");
            let report = run(&plan, seed, self.scale);
            if self.json {
                print(&format!("{}\n", report.json()))?;
            } else {
                print(&words(&report))?;
            }
            if !report.is_good() {
                bad.push(seed);
            }
        }
        if bad.is_empty() {
            return Ok(());
        }
        Err(Failure::failed(format!("{}: violations with seeds {bad:?}", plan.name)))
    }
}

/// Says the result to a person.
fn words(report: &Report) -> String {
    let faults: u64 = report.faults_fired.values().sum();
    let mut text = format!(
        "{} seed {}: {} violations, {faults} faults, {} of {} attacks detected, trace {}\n",
        report.scenario,
        report.seed,
        report.violations.len(),
        report.attacks_detected,
        report.attacks_fired,
        report.trace_hash,
    );
    for (lane, account) in &report.accounts {
        text += &format!(
            "  {lane}: {} seen = {} rows + {} folded + {} in tombstones + {} refused + {} damaged + {} cut\n",
            account.emitted,
            account.delivered,
            account.folded,
            account.tombstoned,
            account.refused,
            account.damaged,
            account.cut,
        );
    }
    for violation in &report.violations {
        let place = [
            violation.vehicle.as_ref().map(|vehicle| format!(" vehicle {vehicle}")),
            violation.boot.map(|boot| format!(" boot {boot}")),
            violation.lane.map(|lane| format!(" lane {lane}")),
            violation.number.map(|number| format!(" number {number}")),
        ];
        let place: String = place.into_iter().flatten().collect();
        text += &format!("  {}{place}: {}\n", violation.invariant, violation.seen);
    }
    for attack in &report.undetected {
        text += &format!("  undetected: {attack}\n");
    }
    text
}
