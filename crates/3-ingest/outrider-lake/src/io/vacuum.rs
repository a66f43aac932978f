//! Deletes files that no version of the table needs any more.

use std::time::Duration;

use deltalake_core::operations::vacuum::VacuumMode;

use super::durable::sweep;
use super::lake::Lake;
use crate::error::LakeError;

/// What a vacuum deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VacuumReport {
    /// Files deleted.
    pub files: u64,
}

impl Lake {
    /// Deletes files that no version younger than the retention needs; the retention is at least that of the
    /// configuration.
    ///
    /// # Errors
    /// [`LakeError`].
    pub fn vacuum(&self, retention: Duration) -> Result<VacuumReport, LakeError> {
        self.shared.runtime.block_on(self.vacuum_async(retention))
    }

    /// Deletes files that no version younger than the retention needs; the retention is at least that of the
    /// configuration.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn vacuum_async(&self, retention: Duration) -> Result<VacuumReport, LakeError> {
        if !self.shared.write {
            return Err(LakeError::ReadOnly);
        }
        self.vacuum_after(retention.max(self.shared.config.retention_min)).await
    }

    async fn vacuum_after(&self, retention: Duration) -> Result<VacuumReport, LakeError> {
        let table = self.fresh_table().await?;
        let root = table.table_url().clone();
        let millis = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let retention = chrono::Duration::try_milliseconds(millis).unwrap_or(chrono::Duration::MAX);
        let (_, metrics) = table
            .vacuum()
            .with_retention_period(retention)
            .with_enforce_retention_duration(false)
            // Also files that were written but, because of a crash, never named by the log.
            .with_mode(VacuumMode::Full)
            .await?;
        self.shared.state.lock().await.table.update_state().await?;
        let mut files = metrics.files_deleted.len() as u64;
        if let Ok(folder) = root.to_file_path() {
            let age = std::time::Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
            let swept = tokio::task::spawn_blocking(move || sweep(&folder, age)).await;
            files += swept.map_err(std::io::Error::other).flatten().map_err(|error| LakeError::Location {
                location: root.to_string(),
                reason: error.to_string(),
            })?;
        }
        Ok(VacuumReport { files })
    }
}
