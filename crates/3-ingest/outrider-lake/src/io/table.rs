//! Opens the Delta table and brings its schema up to date.

use std::sync::Arc;

use deltalake_core::logstore::LogStoreRef;
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::SaveMode;
use deltalake_core::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use outrider_model::catalogue::Field;
use url::Url;

use super::durable::DurableFiles;
use crate::error::LakeError;
use crate::schema::{PARTITION_COLUMNS, STATISTICS_COLUMNS, columns, missing};

/// Table properties: how often the log is summed up, how long it is kept, and what it says of each file.
const PROPERTIES: [(&str, &str); 4] = [
    // Summing up costs as much as there are files; opening reads at most this many entries behind it.
    ("delta.checkpointInterval", "50"),
    ("delta.logRetentionDuration", "interval 2 days"),
    ("delta.enableExpiredLogCleanup", "true"),
    ("delta.deletedFileRetentionDuration", "interval 1 days"),
];

/// Opens the table, without loading it.
pub(super) fn connect(location: &str) -> Result<DeltaTable, LakeError> {
    let wrong = |reason: String| LakeError::Location { location: location.to_owned(), reason };
    let url = url_of(location).map_err(wrong)?;
    let mut builder = DeltaTableBuilder::from_url(url.clone()).map_err(|error| wrong(error.to_string()))?;
    if url.scheme() == "file" {
        builder = builder.with_storage_backend(Arc::new(DurableFiles::new()), url);
    }
    Ok(builder.build()?)
}

fn url_of(location: &str) -> Result<Url, String> {
    if location.contains("://") {
        let mut url = Url::parse(location).map_err(|error| error.to_string())?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        return Ok(url);
    }
    let path = std::path::absolute(location).map_err(|error| error.to_string())?;
    Url::from_directory_path(&path).map_err(|()| "not a path that a URL can express".to_owned())
}

/// Loads the table; creates it, or adds the columns that it lacks, if `write` is set.
pub(super) async fn open(location: &str, fields: &[Field], write: bool) -> Result<DeltaTable, LakeError> {
    let mut table = connect(location)?;
    if !table.verify_deltatable_existence().await? {
        if !write {
            return Err(LakeError::Absent { location: location.to_owned() });
        }
        match create(table.log_store(), fields).await {
            Ok(created) => return Ok(created),
            // Another process was quicker; its table is as good.
            Err(DeltaTableError::VersionAlreadyExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    table.load().await?;
    let schema = table.snapshot()?.schema();
    let present = schema.fields().map(|column| (column.name().clone(), column.data_type().clone())).collect();
    let absent = missing(&present, columns(fields))?;
    if write && !absent.is_empty() {
        return Ok(table.add_columns().with_fields(absent).await?);
    }
    Ok(table)
}

async fn create(log_store: LogStoreRef, fields: &[Field]) -> Result<DeltaTable, DeltaTableError> {
    let statistics = ("delta.dataSkippingStatsColumns".to_owned(), Some(STATISTICS_COLUMNS.join(",")));
    let properties = PROPERTIES.map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
    CreateBuilder::new()
        .with_log_store(log_store)
        .with_table_name("events")
        .with_comment("Security events of the fleet, one row an event")
        .with_columns(columns(fields))
        .with_partition_columns(PARTITION_COLUMNS)
        .with_save_mode(SaveMode::ErrorIfExists)
        .with_configuration(properties.into_iter().chain([statistics]))
        .await
}
