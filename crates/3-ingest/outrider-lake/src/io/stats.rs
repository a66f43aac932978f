//! How large the table is, from its log alone.

use super::lake::Lake;
use crate::error::LakeError;

/// Size of the table as of its newest version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LakeStats {
    /// Newest version of the table; 0 is the empty one.
    pub version: i64,
    /// Data files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their size.
    pub bytes: u64,
    /// Newest ingest time of a file, milliseconds since 1970, if there is a file.
    pub newest_ms: Option<i64>,
}

impl Lake {
    /// Returns the size of the table without reading a data file; O(files).
    ///
    /// # Errors
    /// [`LakeError`].
    pub fn stats(&self) -> Result<LakeStats, LakeError> {
        self.shared.runtime.block_on(self.stats_async())
    }

    /// Returns the size of the table without reading a data file; O(files).
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn stats_async(&self) -> Result<LakeStats, LakeError> {
        let table = self.fresh_table().await?;
        let mut stats = LakeStats {
            version: table.version().map_or(0, |version| i64::try_from(version).unwrap_or(i64::MAX)),
            ..LakeStats::default()
        };
        for file in table.snapshot()?.log_data().iter() {
            stats.files += 1;
            stats.rows += file.num_records().map_or(0, |rows| rows as u64);
            stats.bytes += u64::try_from(file.size()).unwrap_or(0);
            stats.newest_ms = stats.newest_ms.max(Some(file.modification_time()));
        }
        Ok(stats)
    }
}
