//! `outrider vehicle import`, `list`, `show` and `stage`: the registry, beside a server that runs or not.

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use outrider_ingest::registry::{FileFormat, FileOptions};
use outrider_lake::Progress;
use outrider_model::{MonitoringStage, Registration};
use outrider_server::api::dto::{self, VehicleImport};
use outrider_server::registry::{H3_RESOLUTION_MAX, ImportOptions, ImportProgress, ImportTarget, import};
use outrider_server::store::{
    EnrolmentStore as _, FleetStore as _, RegistryStore as _, Scope, Selection, SqlStore, StageChange,
    VehicleFilter, VehicleOrder,
};
use outrider_types::{Clock as _, TenantId, VehicleId};
use serde_json::json;

use super::progress::Bar;
use super::vault::VaultFiles;
use super::vehicle::Installation;
use super::{Failure, print, runtime};
use crate::ports::SystemClock;

/// Problems printed without `--json`.
const PROBLEMS_SHOWN: usize = 200;
/// Vehicles read at once for a list.
const PAGE: u32 = 500;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
    Json,
}

/// Registers vehicles. The same file again changes nothing; rows that are refused do not stop the others, and make the
/// exit code 1.
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    vault: VaultFiles,
    /// File, or - for standard input.
    file: PathBuf,
    /// Format; found out from the first byte if absent.
    #[arg(long)]
    format: Option<Format>,
    /// Write nothing; say what would be.
    #[arg(long)]
    dry_run: bool,
    /// Pass over columns that the registry does not know.
    #[arg(long)]
    ignore_unknown: bool,
    /// H3 resolution to which places are rounded.
    #[arg(long, default_value_t = H3_RESOLUTION_MAX, value_parser = clap::value_parser!(u8).range(0..=i64::from(H3_RESOLUTION_MAX)))]
    h3_resolution: u8,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Import {
    pub(super) fn run(self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::input(format!("{}: {error}", self.file.display()));
        let (reader, total): (Box<dyn std::io::Read + Send>, _) = if self.file.as_os_str() == "-" {
            (Box::new(std::io::stdin()), None)
        } else {
            let file = File::open(&self.file).map_err(failed)?;
            let total = file.metadata().map_err(failed)?.len();
            (Box::new(file), Some(total))
        };
        let format = self.format.map(|format| match format {
            Format::Csv => FileFormat::Csv,
            Format::Ndjson => FileFormat::Ndjson,
            Format::Json => FileFormat::Json,
        });
        let options = ImportOptions {
            file: FileOptions { format, ignore_unknown: self.ignore_unknown },
            is_dry: self.dry_run,
            h3_resolution: self.h3_resolution,
            by: "cli".to_owned(),
        };
        let (bar, begun) = (Bar::new(), Instant::now());
        let mut show = |at: ImportProgress| {
            // How much comes on standard input is not known.
            if let Some(total) = total {
                bar.show(Progress { step: "importing", done: at.bytes, total });
            }
        };
        let folder = &self.installation.folder;
        let report = runtime()?.block_on(async {
            let vault = self.vault.open(folder).await?;
            let store = SqlStore::of_folder(folder).await.map_err(Failure::failed)?;
            let scope = Scope { tenant: TenantId(self.installation.tenant), now: SystemClock.now() };
            let target = ImportTarget { store: &store, vault: vault.as_ref(), scope };
            let report = import(reader, target, &options, &mut show).await;
            store.close().await;
            if let Some(vault) = vault {
                vault.close().await;
            }
            report.map_err(Failure::failed)
        })?;
        self.say(&report, begun.elapsed().as_secs_f64())?;
        match (&report.unread, report.refused.values().sum::<u64>()) {
            (None, 0) => Ok(()),
            (Some(problem), _) => Err(Failure::failed(format!("line {}: {}", problem.line, problem.text))),
            (None, refused) => {
                Err(Failure::failed(format!("{refused} of {} rows were refused", report.rows)))
            }
        }
    }

    fn say(&self, report: &VehicleImport, seconds: f64) -> Result<(), Failure> {
        if self.json {
            let mut object = serde_json::to_value(report).map_err(Failure::failed)?;
            object["seconds"] = json!(seconds);
            return print(&format!("{object}\n"));
        }
        let mut text = String::new();
        for problem in report.problems.iter().take(PROBLEMS_SHOWN) {
            let lines = problem.last_line.map_or_else(String::new, |last| format!("-{last}"));
            text.push_str(&format!("line {}{lines}: {} ({})\n", problem.line, problem.text, problem.reason));
        }
        let more = report.problems.len().saturating_sub(PROBLEMS_SHOWN) as u64 + report.problems_left_out;
        if more > 0 {
            text.push_str(&format!("and {more} more; --json lists up to 10,000\n"));
        }
        let reasons: Vec<String> =
            report.refused.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        text.push_str(&format!(
            "{}{} rows in {seconds:.1} s: {} new, {} changed, {} unchanged, {} refused{}{}\n",
            if report.dry_run { "dry run: " } else { "" },
            report.rows,
            report.new,
            report.changed,
            report.unchanged,
            report.refused.values().sum::<u64>(),
            if reasons.is_empty() { "" } else { ": " },
            reasons.join(", "),
        ));
        print(&text)
    }
}

/// Conditions on vehicles.
#[derive(Debug, Args)]
struct Conditions {
    /// Model line.
    #[arg(long)]
    model_line: Option<String>,
    /// Platform.
    #[arg(long)]
    platform: Option<String>,
    /// Model year.
    #[arg(long)]
    model_year: Option<u16>,
    /// Region.
    #[arg(long)]
    region: Option<String>,
}

impl Conditions {
    fn filter(self) -> VehicleFilter {
        VehicleFilter {
            model_line: self.model_line,
            platform: self.platform,
            model_year: self.model_year,
            region: self.region,
            ..VehicleFilter::default()
        }
    }
}

fn stage(text: &str) -> Result<MonitoringStage, String> {
    let words = MonitoringStage::ALL.map(MonitoringStage::word).join(", ");
    MonitoringStage::from_word(text).ok_or_else(|| format!("one of {words}"))
}

fn registration(text: &str) -> Result<Registration, String> {
    let words = Registration::ALL.map(Registration::word).join(", ");
    Registration::from_word(text).ok_or_else(|| format!("one of {words}"))
}

/// Lists vehicles by pseudonym.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    conditions: Conditions,
    /// Software release.
    #[arg(long)]
    release: Option<String>,
    /// Stage of monitoring.
    #[arg(long, value_parser = stage)]
    stage: Option<MonitoringStage>,
    /// Where it stands in its life.
    #[arg(long, value_parser = registration)]
    registration: Option<Registration>,
    /// Beginning of the pseudonym.
    #[arg(long)]
    prefix: Option<String>,
    /// Most vehicles printed; 0 for all.
    #[arg(long, default_value_t = 100)]
    limit: u64,
}

impl List {
    pub(super) fn run(self) -> Result<(), Failure> {
        let filter = VehicleFilter {
            prefix: self.prefix,
            release: self.release,
            stage: self.stage.and_then(|stage| dto::MonitoringStage::from_word(stage.word())),
            registration: self.registration.and_then(|it| dto::Registration::from_word(it.word())),
            ..self.conditions.filter()
        };
        let (mut cursor, mut left) = (None::<String>, if self.limit == 0 { u64::MAX } else { self.limit });
        while left > 0 {
            let limit = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
            let page = self.installation.with(async |store, scope| {
                store.vehicles(scope, &filter, (VehicleOrder::Id, false), cursor.as_deref(), limit).await
            })?;
            let mut text = String::new();
            for vehicle in &page.items {
                text.push_str(&serde_json::to_string(vehicle).map_err(Failure::failed)?);
                text.push('\n');
            }
            print(&text)?;
            left -= page.items.len() as u64;
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// Prints what is known of one vehicle.
pub(super) fn show(installation: &Installation, vehicle: VehicleId) -> Result<(), Failure> {
    let (identity, entry, summary) = installation.with(async |store, scope| {
        let identity = store.vehicle_identity(scope, vehicle).await?;
        let entry = store.vehicle_entry(scope, vehicle).await?;
        Ok((identity, entry, store.vehicle_summaries(scope, &[vehicle]).await?.pop()))
    })?;
    let mut object = serde_json::to_value(&identity).map_err(Failure::failed)?;
    object["registry"] = serde_json::to_value(&summary).map_err(Failure::failed)?;
    object["registry"]["features"] = json!(entry.record.features);
    let ecu = |ecu: &outrider_model::EcuEntry| json!({"ecu": ecu.ecu.0, "name": ecu.name, "supplier": ecu.supplier, "software": ecu.software, "bus": ecu.bus});
    object["registry"]["ecus"] = entry.record.ecus.iter().map(ecu).collect();
    print(&format!("{object}\n"))
}

/// Moves vehicles to a stage of monitoring: those that are named, or all that fulfil the conditions.
#[derive(Debug, Args)]
pub(super) struct Stage {
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    conditions: Conditions,
    /// Stage: out_of_scope, planned, pilot or full.
    #[arg(value_parser = stage)]
    stage: MonitoringStage,
    /// Pseudonyms.
    vehicles: Vec<VehicleId>,
    /// Why; goes into the audit trail.
    #[arg(long)]
    reason: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Stage {
    pub(super) fn run(self) -> Result<(), Failure> {
        let filter = self.conditions.filter();
        let selection = match (self.vehicles.is_empty(), filter == VehicleFilter::default()) {
            (false, true) => Selection::Vehicles(self.vehicles),
            (true, false) => Selection::Filter(filter),
            (true, true) | (false, false) => {
                return Err(Failure::input("name either vehicles or conditions"));
            }
        };
        let change = StageChange { selection, stage: self.stage, by: "cli".to_owned(), reason: self.reason };
        let changed =
            self.installation.with(async |store, scope| store.change_stage(scope, &change).await)?;
        if self.json {
            return print(&format!("{}\n", json!({"changed": changed})));
        }
        print(&format!("{changed} vehicles are {} now\n", self.stage.word()))
    }
}
