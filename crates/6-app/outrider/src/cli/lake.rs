//! `outrider lake`.

mod keep;
mod place;

use clap::{Args, Subcommand};
use outrider_lake::{CompactReport, Compaction, VerifyDepth};
use serde_json::json;

pub(crate) use self::place::{LakeAt, Place};
use super::progress::Bar;
use super::{Failure, print, runtime};

/// Keeps the table of events; may run beside a running system.
#[derive(Debug, Args)]
pub(crate) struct LakeCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Merge all small files in the order of vehicles, so that one vehicle's history is a few pages.
    ///
    /// JSON fields: folders, files_before, files_after, rows, bytes_before, bytes_after, overtaken, damaged.
    Compact(Compact),
    /// Hold the table against its log: files, sizes, statistics, folders, and that no event is there twice.
    ///
    /// Ends with 1 if something is wrong. JSON fields: is_sound, files, rows, bytes, missing, different, misplaced,
    /// damaged, doubled, unreferenced, unreferenced_bytes, faults.
    Verify(Verify),
    /// Bring a table of an earlier program to the newest layout, without rewriting rows; stop earlier programs before.
    ///
    /// JSON fields: layout, is_changed.
    Upgrade(Upgrade),
    /// Carry old rows to smaller files and delete those that are due, by the days given or by the policy.
    ///
    /// JSON fields: is_dry_run, holds, moved_files, moved_bytes, moved_bytes_after, deleted_rows, deleted_files,
    /// deleted_bytes, held_rows, overtaken, days (tenant, date, act, rows, held).
    Retain(keep::Retain),
    /// Show or set the retention that the running system applies once a day.
    ///
    /// JSON fields: warm_after_days, cold_after_days, delete_after_days.
    Policy(keep::Policy),
    /// Set, list and release legal holds.
    Hold(keep::HoldCommand),
    /// Delete files that no version of the table younger than some hours needs.
    ///
    /// JSON fields: files.
    Vacuum(keep::Vacuum),
}

#[derive(Debug, Args)]
struct Compact {
    #[command(flatten)]
    place: Place,
    /// Only what the running system would merge now.
    #[arg(long)]
    growing: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Verify {
    #[command(flatten)]
    place: Place,
    /// Only log, files and their descriptions; identities are not compared.
    #[arg(long, conflicts_with = "deep")]
    quick: bool,
    /// Also read every byte: checksums and values.
    #[arg(long)]
    deep: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Upgrade {
    #[command(flatten)]
    place: Place,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl LakeCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Compact(compact) => compact.run(),
            What::Verify(verify) => verify.run(),
            What::Upgrade(upgrade) => upgrade.run(),
            What::Retain(retain) => retain.run(),
            What::Policy(policy) => policy.run(),
            What::Hold(hold) => hold.run(),
            What::Vacuum(vacuum) => vacuum.run(),
        }
    }
}

impl Compact {
    fn run(&self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let lake = self.place.write(&runtime)?;
        let how = if self.growing { Compaction::Growing } else { Compaction::Whole };
        let bar = Bar::new();
        let report = lake.compact_with(how, &|progress| bar.show(progress)).map_err(Failure::failed)?;
        let object = json!({
            "folders": report.folders, "files_before": report.files_before, "files_after": report.files_after,
            "rows": report.rows, "bytes_before": report.bytes_before, "bytes_after": report.bytes_after,
            "overtaken": report.overtaken, "damaged": report.damaged,
        });
        if self.json {
            print(&format!("{object}\n"))?;
        } else {
            print(&text_of(&report))?;
        }
        if report.damaged > 0 {
            return Err(Failure::failed("files are damaged: see outrider lake verify --deep"));
        }
        Ok(())
    }
}

fn text_of(report: &CompactReport) -> String {
    format!(
        "{} rows of {} files ({} bytes) are in {} files now ({} bytes)\n",
        report.rows, report.files_before, report.bytes_before, report.files_after, report.bytes_after
    )
}

impl Verify {
    fn run(&self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let lake = self.place.read(&runtime)?;
        let depth = match (self.quick, self.deep) {
            (true, _) => VerifyDepth::Files,
            (false, true) => VerifyDepth::Bytes,
            (false, false) => VerifyDepth::Rows,
        };
        let bar = Bar::new();
        let report = lake.verify(depth, &|progress| bar.show(progress)).map_err(Failure::failed)?;
        let object = json!({
            "is_sound": report.is_sound(), "files": report.files, "rows": report.rows, "bytes": report.bytes,
            "missing": report.missing, "different": report.different, "misplaced": report.misplaced,
            "damaged": report.damaged, "doubled": report.doubled, "unreferenced": report.unreferenced,
            "unreferenced_bytes": report.unreferenced_bytes, "faults": report.faults,
        });
        if self.json {
            print(&format!("{object}\n"))?;
        } else {
            let mut text =
                format!("{} rows in {} files, {} bytes\n", report.rows, report.files, report.bytes);
            text.push_str(&format!(
                "not part of the newest version: {} files, {} bytes\n",
                report.unreferenced, report.unreferenced_bytes
            ));
            for fault in &report.faults {
                text.push_str(&format!("wrong: {fault}\n"));
            }
            print(&text)?;
        }
        if report.is_sound() { Ok(()) } else { Err(Failure::failed("the table is not what its log says")) }
    }
}

impl Upgrade {
    fn run(&self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let lake = self.place.write(&runtime)?;
        let is_changed = lake.upgrade().map_err(Failure::failed)?;
        let layout = lake.layout().map_err(Failure::failed)?.number();
        if self.json {
            return print(&format!("{}\n", json!({"layout": layout, "is_changed": is_changed})));
        }
        print(&format!("layout {layout}{}\n", if is_changed { "" } else { ", as before" }))
    }
}
