//! Carries rows from tier to tier, and deletes them when they are old enough and nobody holds them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use deltalake_core::DeltaTable;
use deltalake_core::datafusion::common::ScalarValue;
use deltalake_core::datafusion::prelude::{Expr, col, lit};
use deltalake_core::kernel::Action;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::protocol::DeltaOperation;
use outrider_types::UnixMicros;

use super::compact::Compaction;
use super::lake::{Lake, conflicts};
use super::progress::{Progress, Watcher};
use super::rewrite::{FILE_BYTES, Round, rewrite, session};
use super::table::{attach, layout};
use crate::error::LakeError;
use crate::hold::Hold;
use crate::tier::{Retention, Tier};

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Days that a report names one by one; all are counted.
const DAYS_TOLD_MAX: usize = 1_000;

/// What a retention did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetainReport {
    /// Whether nothing was changed.
    pub is_dry_run: bool,
    /// Holds that are in force.
    pub holds: u64,
    /// Files written again for a later tier, before.
    pub moved_files: u64,
    /// Their size before.
    pub moved_bytes: u64,
    /// Their size after; 0 in a dry run.
    pub moved_bytes_after: u64,
    /// Rows deleted.
    pub deleted_rows: u64,
    /// Files that left the table, or were written again without some of their rows.
    pub deleted_files: u64,
    /// Their size.
    pub deleted_bytes: u64,
    /// Rows that were due and are kept by a hold.
    pub held_rows: u64,
    /// Days that another process changed at the same time; the next run does them.
    pub overtaken: u64,
    /// The first days on which something is to be done.
    pub days: Vec<RetainDay>,
}

/// One day of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetainDay {
    /// Tenant.
    pub tenant: String,
    /// Ingest date.
    pub date: String,
    /// `warm`, `cold` or `delete`.
    pub act: &'static str,
    /// Rows that it is about.
    pub rows: u64,
    /// Rows of them that a hold keeps.
    pub held: u64,
}

/// Files of one folder.
#[derive(Default)]
struct Folder {
    files: Vec<File>,
}

struct File {
    path: String,
    size: u64,
    rows: u64,
}

/// Folders of one day of one tenant, by their values in all partition columns.
type Days = BTreeMap<(String, String), BTreeMap<Vec<Option<String>>, Folder>>;

impl Lake {
    /// Applies a retention as of a moment.
    ///
    /// # Errors
    /// [`LakeError`]; days done before the error stay done. No row is deleted if a hold cannot be read.
    pub fn retain(
        &self,
        retention: &Retention,
        now: UnixMicros,
        is_dry_run: bool,
        watch: Watcher<'_>,
    ) -> Result<RetainReport, LakeError> {
        self.shared.runtime.block_on(self.retain_async(retention, now, is_dry_run, watch))
    }

    /// Applies a retention as of a moment. Files that leave the table are deleted by a later vacuum.
    ///
    /// # Errors
    /// [`LakeError`]; days done before the error stay done. No row is deleted if a hold cannot be read.
    pub async fn retain_async(
        &self,
        retention: &Retention,
        now: UnixMicros,
        is_dry_run: bool,
        watch: Watcher<'_>,
    ) -> Result<RetainReport, LakeError> {
        if !self.shared.write {
            return Err(LakeError::ReadOnly);
        }
        retention.check()?;
        let mut report =
            RetainReport { is_dry_run, holds: self.holds().await?.len() as u64, ..RetainReport::default() };
        let is_due = |age: i64| retention.is_over(age) || retention.tier(age) > Tier::Hot;
        let keys: Vec<_> = days(&self.fresh_table().await?)?.into_keys().collect();
        let due: Vec<_> = keys
            .into_iter()
            .filter_map(|key| Some((age(&key.1, now)?, key)))
            .filter(|(age, _)| is_due(*age))
            .collect();
        if !is_dry_run && due.iter().any(|(age, _)| !retention.is_over(*age)) {
            // A later tier is a rewrite anyway: of whole buckets, not of what came in small pieces.
            Box::pin(self.compact_async(Compaction::Whole, watch)).await?;
        }
        let total = due.len() as u64;
        for (done, (age, key)) in (0..).zip(due) {
            watch(Progress { step: "days of retention", done, total });
            if retention.is_over(age) {
                Box::pin(self.delete_day(&key, &mut report)).await?;
            } else {
                Box::pin(self.move_day(&key, retention.tier(age), &mut report)).await?;
            }
        }
        watch(Progress { step: "days of retention", done: total, total });
        Ok(report)
    }

    /// Returns the holds that are in force.
    async fn holds(&self) -> Result<Vec<Hold>, LakeError> {
        let all = self.holds_async().await?;
        Ok(all.into_iter().filter(|(_, release)| release.is_none()).map(|(hold, _)| hold).collect())
    }

    async fn delete_day(&self, key: &(String, String), report: &mut RetainReport) -> Result<(), LakeError> {
        let table = self.fresh_table().await?;
        let Some(folders) = days(&table)?.remove(key) else { return Ok(()) };
        // RET-1: asked again for each day, so that a hold set meanwhile counts.
        let held = held(&self.holds().await?);
        let files = || folders.values().flat_map(|folder| &folder.files);
        let rows: u64 = files().map(|file| file.rows).sum();
        let kept = match &held {
            Some(held) => {
                count(&table, files().map(|file| file.path.clone()).collect(), held.clone()).await?
            }
            None => 0,
        };
        report.held_rows += kept;
        tell(report, key, "delete", rows, kept);
        if kept == rows {
            return Ok(());
        }
        if report.is_dry_run {
            report.deleted_rows += rows - kept;
            report.deleted_files += files().count() as u64;
            report.deleted_bytes += files().map(|file| file.size).sum::<u64>();
            return Ok(());
        }
        for (values, folder) in folders {
            let round_rows: u64 = folder.files.iter().map(|file| file.rows).sum();
            let kept = match &held {
                Some(held) => {
                    count(&table, folder.files.iter().map(|file| file.path.clone()).collect(), held.clone())
                        .await?
                }
                None => 0,
            };
            if kept == round_rows {
                continue;
            }
            let mut round = round(&table, &values, &folder)?;
            round.rows = kept;
            round.filter = held.clone().filter(|_| kept > 0);
            let adds = if kept > 0 { rewrite(&table, &round).await? } else { Vec::new() };
            let (files, bytes) = (round.removes.len() as u64, round.bytes);
            let removes = round
                .removes
                .into_iter()
                .map(|remove| Action::Remove(deltalake_core::kernel::Remove { data_change: true, ..remove }));
            let actions = removes.chain(adds.into_iter().map(Action::Add)).collect();
            let predicate = Some(format!("tenant = {} AND ingest_date = '{}'", key.0, key.1));
            if !self.replace(actions, DeltaOperation::Delete { predicate }).await? {
                report.overtaken += 1;
                continue;
            }
            report.deleted_rows += round_rows - kept;
            report.deleted_files += files;
            report.deleted_bytes += u64::try_from(bytes).unwrap_or(0);
        }
        Ok(())
    }

    async fn move_day(
        &self,
        key: &(String, String),
        tier: Tier,
        report: &mut RetainReport,
    ) -> Result<(), LakeError> {
        let table = self.fresh_table().await?;
        let Some(folders) = days(&table)?.remove(key) else { return Ok(()) };
        for (values, mut folder) in folders {
            folder.files.retain(|file| Tier::of(&file.path) < tier);
            if folder.files.is_empty() {
                continue;
            }
            let rows = folder.files.iter().map(|file| file.rows).sum();
            let mut round = round(&table, &values, &folder)?;
            round.tier = tier;
            report.moved_files += folder.files.len() as u64;
            report.moved_bytes += u64::try_from(round.bytes).unwrap_or(0);
            tell(report, key, tier.word(), rows, 0);
            if report.is_dry_run {
                continue;
            }
            let adds = rewrite(&table, &round).await?;
            report.moved_bytes_after +=
                adds.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum::<u64>();
            let actions: Vec<Action> = round
                .removes
                .into_iter()
                .map(Action::Remove)
                .chain(adds.into_iter().map(Action::Add))
                .collect();
            let target_size = i64::try_from(FILE_BYTES).unwrap_or(i64::MAX);
            if !self.replace(actions, DeltaOperation::Optimize { predicate: None, target_size }).await? {
                report.overtaken += 1;
            }
        }
        Ok(())
    }

    /// Puts files in the place of others in one entry; false if another process took one of these first.
    async fn replace(&self, actions: Vec<Action>, operation: DeltaOperation) -> Result<bool, LakeError> {
        let mut state = self.shared.state.lock().await;
        match state.commit(CommitProperties::default(), actions, operation).await {
            Ok(()) => Ok(true),
            Err(error) if conflicts(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Age of an ingest date in whole days; none for a date that cannot be read, which then never ends.
fn age(date: &str, now: UnixMicros) -> Option<i64> {
    let date = date.parse::<NaiveDate>().ok()?;
    let day = date.signed_duration_since(NaiveDate::default()).num_days();
    Some(now.0.div_euclid(DAY_US) - day)
}

fn days(table: &DeltaTable) -> Result<Days, LakeError> {
    let layout = layout(table)?;
    let mut days = Days::new();
    let snapshot = table.snapshot()?;
    for file in snapshot.log_data().iter() {
        let values = file.partition_values_map();
        let value = |column: &str| values.get(column).cloned().flatten();
        let (Some(tenant), Some(date)) = (value("tenant"), value("ingest_date")) else { continue };
        // Without a number of rows it cannot be proved that none was lost.
        let Some(rows) = file.num_records() else { continue };
        let folder = layout.partition_columns().iter().map(|column| value(column)).collect();
        let folder: &mut Folder = days.entry((tenant, date)).or_default().entry(folder).or_default();
        folder.files.push(File {
            path: file.path().into_owned(),
            size: u64::try_from(file.size()).unwrap_or(0),
            rows: rows as u64,
        });
    }
    Ok(days)
}

fn round(table: &DeltaTable, values: &[Option<String>], folder: &Folder) -> Result<Round, LakeError> {
    let layout = layout(table)?;
    let paths: BTreeSet<&str> = folder.files.iter().map(|file| file.path.as_str()).collect();
    let snapshot = table.snapshot()?;
    let files = snapshot.log_data();
    let mut round = Round::new(
        layout,
        layout.partition_columns().iter().map(|&name| name.to_owned()).zip(values.iter().cloned()).collect(),
    );
    for file in files.iter().filter(|file| paths.contains(file.path().as_ref())) {
        round.push(&file);
    }
    Ok(round)
}

/// Returns what a row must be to be held; none if nothing is.
fn held(holds: &[Hold]) -> Option<Expr> {
    let time = |time: UnixMicros| {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(time.0), Some("UTC".into())), None)
    };
    let one = |hold: &Hold| {
        let mut held = lit(true);
        if !hold.vehicles.is_empty() {
            let vehicles = hold.vehicles.iter().map(|vehicle| lit(vehicle.to_string())).collect();
            held = held.and(col("vehicle_id").in_list(vehicles, false));
        }
        if let Some(tenant) = hold.tenant {
            held = held.and(col("tenant").eq(lit(i64::from(tenant.0))));
        }
        if let Some(from) = hold.from {
            held = held.and(col("event_time").gt_eq(time(from)));
        }
        if let Some(to) = hold.to {
            held = held.and(col("event_time").lt_eq(time(to)));
        }
        held
    };
    holds.iter().map(one).reduce(Expr::or)
}

/// Counts the rows of some files that are held.
async fn count(table: &DeltaTable, paths: Vec<String>, held: Expr) -> Result<u64, LakeError> {
    let context = session()?;
    let provider =
        table.table_provider().with_session(Arc::new(context.state())).with_file_paths(paths).await?;
    attach(table, &context)?;
    Ok(context.read_table(provider)?.filter(held)?.count().await? as u64)
}

fn tell(report: &mut RetainReport, key: &(String, String), act: &'static str, rows: u64, held: u64) {
    if let Some(day) = report.days.last_mut()
        && (day.tenant.as_str(), day.date.as_str(), day.act) == (key.0.as_str(), key.1.as_str(), act)
    {
        day.rows += rows;
        day.held += held;
        return;
    }
    if report.days.len() < DAYS_TOLD_MAX {
        report.days.push(RetainDay { tenant: key.0.clone(), date: key.1.clone(), act, rows, held });
    }
}
