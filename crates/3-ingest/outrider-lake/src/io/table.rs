//! Opens the Delta table and brings its schema up to date.

use std::sync::Arc;

use deltalake_core::datafusion::execution::context::SessionContext;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::kernel::{Action, Metadata};
use deltalake_core::logstore::{
    LogStoreFactory, LogStoreRef, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use object_store::ObjectStore;
use outrider_model::catalogue::Field;
use url::Url;

use super::durable::DurableFiles;
use super::file::fill;
use super::lake::LakeConfig;
use super::metered::{Metered, Reads};
use super::s3::bucket;
use crate::error::LakeError;
use crate::schema::{LAYOUT_PROPERTY, Layout, STATISTICS_COLUMNS, columns, missing};

/// Table properties: how often the log is summed up, how long it is kept, and what it says of each file.
const PROPERTIES: [(&str, &str); 4] = [
    // Summing up costs as much as there are files; opening reads at most this many entries behind it.
    ("delta.checkpointInterval", "50"),
    ("delta.logRetentionDuration", "interval 2 days"),
    ("delta.enableExpiredLogCleanup", "true"),
    ("delta.deletedFileRetentionDuration", "interval 1 days"),
];

/// Makes logs over stores that refuse to replace an object when they are asked to create it.
#[derive(Debug)]
struct ConditionalLog;

impl LogStoreFactory for ConditionalLog {
    fn with_options(
        &self,
        prefixed_store: ObjectStoreRef,
        root_store: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> Result<LogStoreRef, DeltaTableError> {
        Ok(default_logstore(prefixed_store, root_store, location, options))
    }
}

/// Where the table's files are.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    /// Location as configured.
    location: String,
    url: Url,
    /// Store whose paths start at the root of the URL.
    root: Arc<dyn ObjectStore>,
    /// What was read from it.
    reads: Arc<Reads>,
}

impl Storage {
    /// Returns the storage of a configured location.
    pub(super) fn of(config: &LakeConfig) -> Result<Self, LakeError> {
        let location = &config.location;
        let wrong = |reason: String| LakeError::Location { location: config.shown(), reason };
        let url = url_of(location).map_err(wrong)?;
        let root: Arc<dyn ObjectStore> = match url.scheme() {
            "file" => Arc::new(DurableFiles::new()),
            "s3" => bucket(&url, &config.s3).map_err(wrong)?,
            other => return Err(wrong(format!("{other}:// is not supported"))),
        };
        let reads = Arc::new(Reads::default());
        let root = Arc::new(Metered::new(root, Arc::clone(&reads)));
        Ok(Self { location: config.shown(), url, root, reads })
    }

    /// Returns a storage whose root is given.
    #[cfg(test)]
    pub(super) fn on(location: &str, root: Arc<dyn ObjectStore>) -> Result<Self, LakeError> {
        let wrong = |reason: String| LakeError::Location { location: location.to_owned(), reason };
        let (url, reads) = (url_of(location).map_err(wrong)?, Arc::new(Reads::default()));
        Ok(Self { location: location.to_owned(), url, root, reads })
    }

    /// Returns the counters of what is read.
    pub(super) fn reads(&self) -> Arc<Reads> {
        Arc::clone(&self.reads)
    }

    /// Returns the table, without loading it.
    fn connect(&self) -> Result<DeltaTable, LakeError> {
        // The table library asks for a log by the scheme of the URL; ours is the one for stores that refuse to replace.
        let scheme = Url::parse(&format!("{}://", self.url.scheme())).map_err(|error| {
            LakeError::Location { location: self.location.clone(), reason: error.to_string() }
        })?;
        logstore_factories().entry(scheme).or_insert_with(|| Arc::new(ConditionalLog));
        let builder = DeltaTableBuilder::from_url(self.url.clone())?;
        Ok(builder.with_storage_backend(Arc::clone(&self.root), self.url.clone()).build()?)
    }
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
pub(super) async fn open(storage: &Storage, fields: &[Field], write: bool) -> Result<DeltaTable, LakeError> {
    let mut table = storage.connect()?;
    if !table.verify_deltatable_existence().await? {
        if !write {
            return Err(LakeError::Absent { location: storage.location.clone() });
        }
        match create(table.log_store(), fields).await {
            Ok(created) => return Ok(created),
            // Another process may have been quicker, which the library says in one of several ways; its table is as good.
            Err(error) if !table.verify_deltatable_existence().await? => return Err(error.into()),
            Err(_) => {}
        }
    }
    table.load().await?;
    if write {
        layout(&table)?;
    }
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
    let layout = (LAYOUT_PROPERTY.to_owned(), Some(Layout::NEWEST.number().to_string()));
    let properties = PROPERTIES.map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
    CreateBuilder::new()
        .with_log_store(log_store)
        .with_table_name("events")
        .with_comment("Security events of the fleet, one row an event")
        .with_columns(columns(fields))
        .with_partition_columns(Layout::NEWEST.partition_columns().iter().copied())
        .with_save_mode(SaveMode::ErrorIfExists)
        // Tried again, it would become a second description of a table that another process has made meanwhile.
        .with_commit_properties(CommitProperties::default().with_max_retries(0))
        // Our own property is unknown to the library.
        .with_raise_if_key_not_exists(false)
        .with_configuration(properties.into_iter().chain([statistics, layout]))
        .await
}

/// Returns the table's layout.
pub(super) fn layout(table: &DeltaTable) -> Result<Layout, LakeError> {
    let metadata = table.snapshot()?.metadata();
    Layout::of_property(metadata.configuration().get(LAYOUT_PROPERTY).map(String::as_str))
}

/// Returns what brings a table of the first layout to the newest: its description, and each file named again with no
/// bucket. A file named again replaces its entry, and no byte of it changes.
pub(super) fn upgrade(table: &DeltaTable) -> Result<(Vec<Action>, DeltaOperation), LakeError> {
    let snapshot = table.snapshot()?;
    let failed = |error: serde_json::Error| LakeError::Table(DeltaTableError::from(error));
    let mut metadata = serde_json::to_value(snapshot.metadata()).map_err(failed)?;
    metadata["partitionColumns"] = Layout::NEWEST.partition_columns().into();
    metadata["configuration"][LAYOUT_PROPERTY] = Layout::NEWEST.number().to_string().into();
    let metadata: Metadata = serde_json::from_value(metadata).map_err(failed)?;
    let mut actions = vec![Action::Metadata(metadata)];
    for file in snapshot.log_data().iter() {
        #[expect(deprecated, reason = "the entry itself is wanted, to be written again")]
        let add = file.add_action();
        actions.push(Action::Add(deltalake_core::kernel::Add { data_change: false, ..add }));
    }
    fill(&mut actions, Layout::NEWEST);
    let property = (LAYOUT_PROPERTY.to_owned(), Layout::NEWEST.number().to_string());
    let operation = DeltaOperation::SetTableProperties { properties: [property].into_iter().collect() };
    Ok((actions, operation))
}

/// Lets a session read the table's files from the table's own store: the engine has one for local files of its own, whose
/// reads nobody would count.
pub(super) fn attach(table: &DeltaTable, context: &SessionContext) -> Result<(), LakeError> {
    table.update_datafusion_session(&context.state())?;
    context.register_object_store(table.table_url(), table.log_store().root_object_store(None));
    Ok(())
}
