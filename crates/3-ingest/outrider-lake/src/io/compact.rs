//! Chooses small files to be merged into large ones in the order of vehicles, and puts the new ones in their place.

use std::collections::BTreeMap;

use deltalake_core::DeltaTable;
use deltalake_core::kernel::Action;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::protocol::DeltaOperation;

use super::lake::{Lake, conflicts};
use super::progress::{Progress, Watcher, unwatched};
use super::rewrite::{FILE_BYTES, Round, rewrite};
use super::table::layout;
use crate::error::LakeError;
use crate::schema::Layout;

/// Small files of a folder that make a rewrite worth while.
const FILES_MIN: usize = 2;

/// Most bytes rewritten in one commit, so that a commit that loses against another loses little.
const ROUND_BYTES: i64 = 1_024 * 1_024 * 1_024;

/// Bytes of rows without a bucket that are worth sixteen files: 1 MiB each. A day that never gets so large stays in a
/// few files that are sorted as well.
const SPLIT_BYTES: i64 = 16 * 1_024 * 1_024;

/// Passes of a whole compaction: split, merge, merge what the merging left.
const PASSES_MAX: u32 = 4;

/// How much a compaction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compaction {
    /// What is worth its cost while more rows come: each row is rewritten a logarithmic number of times.
    Growing,
    /// All that can be: afterwards each bucket of a day has one file, or files of full size.
    Whole,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactReport {
    /// Folders that were rewritten.
    pub folders: u64,
    /// Files replaced.
    pub files_before: u64,
    /// Files written instead.
    pub files_after: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of the files replaced.
    pub bytes_before: u64,
    /// Bytes of the files written.
    pub bytes_after: u64,
    /// Folders that were left alone because a file's bytes are not those that were written; `verify` names the files.
    pub damaged: u64,
    /// Folders that another process rewrote at the same time; its files stay, ours are left to vacuum.
    pub overtaken: u64,
}

impl Lake {
    /// Merges small files, sorted by vehicle and event time. Queries and stores go on meanwhile.
    ///
    /// # Errors
    /// [`LakeError`]; folders done before the error stay done, no row is lost or doubled.
    pub fn compact(&self) -> Result<CompactReport, LakeError> {
        self.compact_with(Compaction::Growing, &unwatched)
    }

    /// Merges files, sorted by vehicle and event time, and says how far it is. Queries and stores go on meanwhile.
    ///
    /// # Errors
    /// [`LakeError`]; folders done before the error stay done, no row is lost or doubled.
    pub fn compact_with(&self, how: Compaction, watch: Watcher<'_>) -> Result<CompactReport, LakeError> {
        self.shared.runtime.block_on(self.compact_async(how, watch))
    }

    /// Merges files, sorted by vehicle and event time, and says how far it is. Queries and stores go on meanwhile.
    ///
    /// # Errors
    /// [`LakeError`]; folders done before the error stay done, no row is lost or doubled.
    pub async fn compact_async(
        &self,
        how: Compaction,
        watch: Watcher<'_>,
    ) -> Result<CompactReport, LakeError> {
        if !self.shared.write {
            return Err(LakeError::ReadOnly);
        }
        let mut report = CompactReport::default();
        let passes = if how == Compaction::Whole { PASSES_MAX } else { 1 };
        for _ in 0..passes {
            let table = self.fresh_table().await?;
            let rounds = rounds(&table, how)?;
            let bytes = |round: &Round| u64::try_from(round.bytes).unwrap_or(0);
            let total = rounds.iter().map(bytes).sum();
            let mut done = 0;
            if rounds.is_empty() {
                break;
            }
            for round in rounds {
                watch(Progress { step: "compacting bytes", done, total });
                done += bytes(&round);
                Box::pin(self.compact_round(&table, round, &mut report)).await?;
            }
            watch(Progress { step: "compacting bytes", done, total });
        }
        Ok(report)
    }

    async fn compact_round(
        &self,
        table: &DeltaTable,
        round: Round,
        report: &mut CompactReport,
    ) -> Result<(), LakeError> {
        let adds = match rewrite(table, &round).await {
            Err(LakeError::Damaged { .. }) => {
                report.damaged += 1;
                return Ok(());
            }
            other => other?,
        };
        let files = (round.removes.len() as u64, adds.len() as u64);
        let bytes_after = adds.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum::<u64>();
        let removes = round.removes.into_iter().map(Action::Remove);
        let actions = removes.chain(adds.into_iter().map(Action::Add)).collect();
        let target_size = i64::try_from(FILE_BYTES).unwrap_or(i64::MAX);
        let operation = DeltaOperation::Optimize { predicate: None, target_size };
        let mut state = self.shared.state.lock().await;
        // LOG-3: removal and addition are one entry of the log. Before it, the old files are the table; after it, the new.
        if let Err(error) = state.commit(CommitProperties::default(), actions, operation).await {
            if !conflicts(&error) {
                return Err(error);
            }
            report.overtaken += 1;
            return Ok(());
        }
        report.folders += 1;
        report.files_before += files.0;
        report.files_after += files.1;
        report.rows += round.rows;
        report.bytes_before += u64::try_from(round.bytes).unwrap_or(0);
        report.bytes_after += bytes_after;
        Ok(())
    }

    /// Returns the table in its newest version.
    pub(super) async fn fresh_table(&self) -> Result<DeltaTable, LakeError> {
        let mut state = self.shared.state.lock().await;
        state.table.update_state().await?;
        Ok(state.table.clone())
    }
}

/// Groups the files of each folder that are to be rewritten by size, smallest first.
fn rounds(table: &DeltaTable, how: Compaction) -> Result<Vec<Round>, LakeError> {
    let layout = layout(table)?;
    let mut folders: BTreeMap<Vec<Option<String>>, Vec<_>> = BTreeMap::new();
    let small = i64::try_from(FILE_BYTES / 2).unwrap_or(i64::MAX);
    let snapshot = table.snapshot()?;
    let log = snapshot.log_data();
    for file in log.iter() {
        let (size, Some(_)) = (file.size(), file.num_records()) else { continue };
        let values = file.partition_values_map();
        let value = |column: &&str| values.get(*column).cloned().flatten();
        let key: Vec<_> = layout.partition_columns().iter().map(value).collect();
        if size < small || is_tail(layout, &key) {
            folders.entry(key).or_default().push((size, file));
        }
    }
    let mut all = Vec::new();
    for (key, mut files) in folders {
        files.sort_by_key(|(size, file)| (*size, file.path().into_owned()));
        let mut rounds: Vec<Round> = Vec::new();
        for (size, file) in files {
            if !rounds.last().is_some_and(|round| joins(round.bytes, size, how)) {
                rounds.push(Round::new(layout, file.partition_values_map()));
            }
            if let Some(round) = rounds.last_mut() {
                round.push(&file);
            }
        }
        for mut round in rounds {
            round.split = is_tail(layout, &key) && (how == Compaction::Whole || round.bytes >= SPLIT_BYTES);
            if round.split || round.files.len() >= FILES_MIN {
                all.push(round);
            }
        }
    }
    Ok(all)
}

/// Whether a folder holds rows of all vehicles that are to be split into buckets.
fn is_tail(layout: Layout, key: &[Option<String>]) -> bool {
    layout >= Layout::Two && key.last().is_some_and(Option::is_none)
}

/// Whether a file is merged with the smaller ones of a round. A file more than twice as large as all of them waits until
/// they have grown: each row is rewritten a logarithmic number of times, not once a minute, and the files of a folder
/// stay logarithmically few.
fn joins(round_bytes: i64, size: i64, how: Compaction) -> bool {
    (how == Compaction::Whole || size <= round_bytes.saturating_mul(2))
        && round_bytes.saturating_add(size) <= ROUND_BYTES
}

#[cfg(test)]
mod tests {
    use super::{Compaction, joins};

    /// Merges what belongs together until nothing does; returns the bytes written.
    fn merge(files: &mut Vec<i64>) -> i64 {
        files.sort_unstable();
        let (mut left, mut written) = (Vec::new(), 0);
        let mut round: Vec<i64> = Vec::new();
        for size in files.drain(..).chain([i64::MAX]) {
            if round.is_empty() || !joins(round.iter().sum(), size, Compaction::Growing) {
                let sum: i64 = round.iter().sum();
                written += if round.len() > 1 { sum } else { 0 };
                left.extend((sum > 0).then_some(sum));
                round.clear();
            }
            round.extend((size < i64::MAX).then_some(size));
        }
        *files = left;
        written
    }

    #[test]
    fn merging_every_minute_rewrites_a_row_a_few_times_and_keeps_files_few() {
        let (mut files, mut written, minutes) = (Vec::new(), 0, 1_000);
        for _ in 0..minutes {
            files.push(1_000);
            written += merge(&mut files);
            assert!(files.len() <= 10, "{files:?}");
        }
        assert_eq!(files.iter().sum::<i64>(), minutes * 1_000, "nothing is left out");
        let times = written / (minutes * 1_000);
        assert!(
            (1..=20).contains(&times),
            "each byte was written {times} times; merging all would take {}",
            minutes / 2
        );
    }
}
