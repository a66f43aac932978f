//! `outrider lake retain`, `policy`, `hold` and `vacuum`: how long rows are kept.

use std::time::Duration;

use clap::{Args, Subcommand};
use outrider_lake::{Hold, Release, RetainReport, Retention};
use outrider_server::api::dto::Timestamp;
use outrider_types::{Clock as _, TenantId, UnixMicros, VehicleId};
use serde_json::json;

use super::Place;
use crate::cli::progress::Bar;
use crate::cli::{Failure, print, runtime};
use crate::ports::SystemClock;

/// Days from tier to tier.
#[derive(Debug, Args)]
struct Days {
    /// Days after which rows are written again, smaller.
    #[arg(long, value_name = "N")]
    warm_days: Option<u32>,
    /// Days after which they are written again, as small as it gets.
    #[arg(long, value_name = "N")]
    cold_days: Option<u32>,
    /// Days after which they are deleted, unless a hold keeps them.
    #[arg(long, value_name = "N")]
    delete_days: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct Retain {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    days: Days,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Policy {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    days: Days,
    /// Keep everything as it is, for ever.
    #[arg(long, conflicts_with_all = ["warm_days", "cold_days", "delete_days"])]
    none: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct HoldCommand {
    #[command(subcommand)]
    what: HoldWhat,
}

#[derive(Debug, Subcommand)]
enum HoldWhat {
    /// Keep rows whatever the retention says, until the hold is released.
    Set(HoldSet),
    /// Show every hold that was ever set.
    ///
    /// JSON fields: holds (id, reason, case, vehicles, tenant, from, to, set_by, set_at, released_by, released_at,
    /// release_reason).
    List(HoldList),
    /// Release a hold; it stays in the list.
    Release(HoldRelease),
}

#[derive(Debug, Args)]
struct HoldSet {
    /// Its name: letters, digits and hyphens.
    id: String,
    #[command(flatten)]
    place: Place,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Who sets it.
    #[arg(long)]
    by: String,
    /// Case that it belongs to.
    #[arg(long)]
    case: Option<String>,
    /// Pseudonym of a vehicle; several times. Without one, every vehicle is held.
    #[arg(long, value_name = "VEHICLE")]
    vehicle: Vec<VehicleId>,
    /// Tenant; without it, every tenant.
    #[arg(long)]
    tenant: Option<u32>,
    /// First event time, RFC 3339.
    #[arg(long)]
    from: Option<String>,
    /// Last event time, RFC 3339.
    #[arg(long)]
    to: Option<String>,
}

#[derive(Debug, Args)]
struct HoldList {
    #[command(flatten)]
    place: Place,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct HoldRelease {
    /// Its name.
    id: String,
    #[command(flatten)]
    place: Place,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Who releases it.
    #[arg(long)]
    by: String,
}

#[derive(Debug, Args)]
pub(super) struct Vacuum {
    #[command(flatten)]
    place: Place,
    /// Hours for which replaced files are kept, for queries that still read them; at least one.
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Days {
    fn given(&self) -> Option<Retention> {
        let retention = Retention {
            warm_after_days: self.warm_days,
            cold_after_days: self.cold_days,
            delete_after_days: self.delete_days,
        };
        (retention != Retention::default()).then_some(retention)
    }
}

impl Retain {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let lake = self.place.write(&runtime)?;
        let retention = match self.days.given() {
            Some(retention) => retention,
            None => runtime.block_on(lake.retention_async()).map_err(Failure::input)?,
        };
        let bar = Bar::new();
        let watch = |progress| bar.show(progress);
        let report =
            lake.retain(&retention, SystemClock.now(), self.dry_run, &watch).map_err(Failure::failed)?;
        if self.json { print(&json_of(&report)) } else { print(&text_of(&report)) }
    }
}

fn json_of(report: &RetainReport) -> String {
    let days: Vec<_> = report
        .days
        .iter()
        .map(|day| {
            json!({"tenant": day.tenant, "date": day.date, "act": day.act, "rows": day.rows, "held": day.held})
        })
        .collect();
    let object = json!({
        "is_dry_run": report.is_dry_run, "holds": report.holds, "moved_files": report.moved_files,
        "moved_bytes": report.moved_bytes, "moved_bytes_after": report.moved_bytes_after,
        "deleted_rows": report.deleted_rows, "deleted_files": report.deleted_files,
        "deleted_bytes": report.deleted_bytes, "held_rows": report.held_rows, "overtaken": report.overtaken,
        "days": days,
    });
    format!("{object}\n")
}

fn text_of(report: &RetainReport) -> String {
    let mut text = String::new();
    for day in &report.days {
        let held = if day.held > 0 { format!(", {} of them held", day.held) } else { String::new() };
        text.push_str(&format!(
            "{}  tenant {}  {:<6}  {} rows{held}\n",
            day.date, day.tenant, day.act, day.rows
        ));
    }
    let did = if report.is_dry_run { "would delete" } else { "deleted" };
    text.push_str(&format!(
        "{did} {} rows ({} files, {} bytes); {} rows are kept by {} holds\n",
        report.deleted_rows, report.deleted_files, report.deleted_bytes, report.held_rows, report.holds
    ));
    let moved = if report.is_dry_run { "would write again" } else { "wrote again" };
    text.push_str(&format!("{moved} {} files, {} bytes", report.moved_files, report.moved_bytes));
    text.push_str(&if report.is_dry_run {
        "\n".to_owned()
    } else {
        format!(", now {} bytes\n", report.moved_bytes_after)
    });
    text
}

impl Policy {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let new = if self.none { Some(Retention::default()) } else { self.days.given() };
        let retention = match new {
            Some(retention) => {
                let lake = self.place.write(&runtime)?;
                runtime.block_on(lake.set_retention_async(&retention)).map_err(Failure::input)?;
                retention
            }
            None => {
                let lake = self.place.read(&runtime)?;
                runtime.block_on(lake.retention_async()).map_err(Failure::input)?
            }
        };
        if self.json {
            let object = json!({
                "warm_after_days": retention.warm_after_days, "cold_after_days": retention.cold_after_days,
                "delete_after_days": retention.delete_after_days,
            });
            return print(&format!("{object}\n"));
        }
        let days =
            |days: Option<u32>| days.map_or_else(|| "never".to_owned(), |days| format!("after {days} days"));
        print(&format!(
            "warm    {}\ncold    {}\ndelete  {}\n",
            days(retention.warm_after_days),
            days(retention.cold_after_days),
            days(retention.delete_after_days)
        ))
    }
}

fn time(text: Option<&String>, name: &str) -> Result<Option<UnixMicros>, Failure> {
    let parse = |text: &String| {
        let time = Timestamp::parse(text).map(|time| time.0);
        time.ok_or_else(|| Failure::input(format!("{name} is not an RFC 3339 time")))
    };
    text.map(parse).transpose()
}

impl HoldCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.what {
            HoldWhat::Set(set) => set.run(),
            HoldWhat::List(list) => list.run(),
            HoldWhat::Release(release) => release.run(),
        }
    }
}

impl HoldSet {
    fn run(self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let hold = Hold {
            from: time(self.from.as_ref(), "--from")?,
            to: time(self.to.as_ref(), "--to")?,
            id: self.id,
            reason: self.reason,
            case: self.case,
            vehicles: self.vehicle,
            tenant: self.tenant.map(TenantId),
            set_by: self.by,
            set_at: SystemClock.now(),
        };
        let lake = self.place.write(&runtime)?;
        runtime.block_on(lake.hold_async(&hold)).map_err(Failure::input)?;
        print(&format!("hold {} is set\n", hold.id))
    }
}

impl HoldList {
    fn run(&self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let lake = self.place.read(&runtime)?;
        let holds = runtime.block_on(lake.holds_async()).map_err(Failure::input)?;
        if self.json {
            let holds: Vec<_> = holds
                .iter()
                .map(|(hold, release)| {
                    let vehicles: Vec<String> = hold.vehicles.iter().map(ToString::to_string).collect();
                    json!({
                        "id": hold.id, "reason": hold.reason, "case": hold.case, "vehicles": vehicles,
                        "tenant": hold.tenant.map(|tenant| tenant.0), "from": hold.from.map(|time| time.to_string()),
                        "to": hold.to.map(|time| time.to_string()), "set_by": hold.set_by,
                        "set_at": hold.set_at.to_string(), "released_by": release.as_ref().map(|release| &release.by),
                        "released_at": release.as_ref().map(|release| release.at.to_string()),
                        "release_reason": release.as_ref().map(|release| &release.reason),
                    })
                })
                .collect();
            return print(&format!("{}\n", json!({"holds": holds})));
        }
        let mut text = String::new();
        for (hold, release) in &holds {
            let vehicles =
                if hold.vehicles.is_empty() { "all".to_owned() } else { hold.vehicles.len().to_string() };
            let state = match release {
                Some(release) => format!("released {} by {}: {}", release.at, release.by, release.reason),
                None => "in force".to_owned(),
            };
            text.push_str(&format!(
                "{}  {vehicles} vehicles  set {} by {}: {}  ({state})\n",
                hold.id, hold.set_at, hold.set_by, hold.reason
            ));
        }
        print(&text)
    }
}

impl HoldRelease {
    fn run(self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let lake = self.place.write(&runtime)?;
        let release = Release { by: self.by, reason: self.reason, at: SystemClock.now() };
        runtime.block_on(lake.release_async(&self.id, &release)).map_err(Failure::input)?;
        print(&format!("hold {} is released\n", self.id))
    }
}

impl Vacuum {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let lake = self.place.write(&runtime)?;
        let kept = Duration::from_secs(u64::from(self.hours.max(1)) * 3_600);
        let report = lake.vacuum(kept).map_err(Failure::failed)?;
        if self.json {
            return print(&format!("{}\n", json!({"files": report.files})));
        }
        print(&format!("{} files deleted\n", report.files))
    }
}
