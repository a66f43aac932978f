//! Storage on one machine: the embedded event log and the lake in a folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use outrider_detect::DetectorConfig;
use outrider_lake::{
    Compaction, Lake, LakeConfig, LakeError, QueryError, QueryLimits, QueryResult, Retention, unwatched,
};
use outrider_log::{EmbeddedConfig, EmbeddedLog, OpenError};
use outrider_model::{EventLog, Sink, catalogue};
use outrider_types::{Clock, EventId, EventTypeId, TenantId, UnixMicros, VehicleId};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::api::dto::{
    Event, FieldValue, LakeHealth, Lane, Scalar, Severity, SqlColumn, SqlResult, Timestamp, UnclassifiedType,
};
use crate::port::{EventHistory, HistoryError, PartCount, TimelineSpan};
use crate::server::Backends;

/// Answers about the table's size are kept this long: the overview asks every second.
const HEALTH_US: i64 = 2_000_000;
/// Unneeded files are looked for this often: it lists the whole table.
const HOUR_US: i64 = 3_600_000_000;
/// The retention is applied this often; it counts in days.
const DAY_US: i64 = 86_400_000_000;
/// Replaced files are kept for the queries and readers of a day.
const RETENTION: Duration = Duration::from_secs(86_400);
/// Longest query of a person.
const SQL_TIME: Duration = Duration::from_secs(15);
/// Lines of the list of types that the catalogue does not have.
const TYPES_MAX: usize = 1000;

/// Why storage cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Event log.
    #[error("event log: {0}")]
    Log(#[from] OpenError),
    /// Lake.
    #[error("lake: {0}")]
    Lake(#[from] LakeError),
    /// Thread that opens it.
    #[error("thread: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl Backends {
    /// Opens the event log below a folder and the lake where its configuration says, making them where they are missing.
    ///
    /// # Errors
    /// [`EmbeddedError`].
    pub async fn embedded(
        folder: &Path,
        lake: LakeConfig,
        clock: Arc<dyn Clock>,
        tenant: TenantId,
    ) -> Result<Self, EmbeddedError> {
        let runtime = Handle::current();
        let log_folder = folder.join("log");
        let opened = tokio::task::spawn_blocking(move || -> Result<(EmbeddedLog, Lake), EmbeddedError> {
            let log = EmbeddedLog::open(EmbeddedConfig::new(log_folder, 1))?;
            let lake = Lake::open(&lake, runtime)?;
            Ok((log, lake))
        });
        let (log, lake) = opened.await??;
        let sink: Option<Box<dyn Sink + Send>> = Some(Box::new(lake.sink()));
        Ok(Self { log: Arc::new(log), sink, history: Arc::new(LakeHistory::new(lake, clock, tenant)) })
    }
}

impl Backends {
    /// Opens the lake beside an event log that is elsewhere.
    ///
    /// # Errors
    /// [`EmbeddedError`].
    pub async fn with_log(
        log: Arc<dyn EventLog>,
        lake: LakeConfig,
        clock: Arc<dyn Clock>,
        tenant: TenantId,
    ) -> Result<Self, EmbeddedError> {
        let lake = open_lake(lake).await?;
        let sink: Option<Box<dyn Sink + Send>> = Some(Box::new(lake.sink()));
        Ok(Self { log, sink, history: Arc::new(LakeHistory::new(lake, clock, tenant)) })
    }

    /// The same for a process that writes nothing into the lake: others work.
    ///
    /// # Errors
    /// [`EmbeddedError`].
    pub async fn of_others(
        log: Arc<dyn EventLog>,
        lake: LakeConfig,
        clock: Arc<dyn Clock>,
        tenant: TenantId,
    ) -> Result<Self, EmbeddedError> {
        let lake = open_lake(lake).await?;
        Ok(Self { log, sink: None, history: Arc::new(LakeHistory::new(lake, clock, tenant)) })
    }
}

/// Opens the lake.
///
/// # Errors
/// [`EmbeddedError`].
pub async fn open_lake(config: LakeConfig) -> Result<Lake, EmbeddedError> {
    let runtime = Handle::current();
    Ok(tokio::task::spawn_blocking(move || Lake::open(&config, runtime)).await??)
}

/// Opens the event log below a folder, without the lake; for a process that only takes frames.
///
/// # Errors
/// [`EmbeddedError`]; one is that another process has the log open.
pub async fn open_log(folder: &Path) -> Result<Arc<dyn EventLog>, EmbeddedError> {
    let folder = folder.join("log");
    let opened = tokio::task::spawn_blocking(move || EmbeddedLog::open(EmbeddedConfig::new(folder, 1)));
    Ok(Arc::new(opened.await??))
}

/// Stored events, read from the lake by SQL.
pub struct LakeHistory {
    lake: Lake,
    clock: Arc<dyn Clock>,
    tenant: TenantId,
    health: Mutex<Option<(UnixMicros, LakeHealth)>>,
    /// When unneeded files were deleted last, and when the retention was applied last.
    kept_at: Mutex<(Option<UnixMicros>, Option<UnixMicros>)>,
}

impl LakeHistory {
    /// Creates a reader over a lake.
    #[must_use]
    pub fn new(lake: Lake, clock: Arc<dyn Clock>, tenant: TenantId) -> Self {
        Self { lake, clock, tenant, health: Mutex::new(None), kept_at: Mutex::default() }
    }

    async fn query(&self, sql: &str, rows_max: usize) -> Result<QueryResult, HistoryError> {
        let limits = QueryLimits { rows_max, time_max: SQL_TIME, ..QueryLimits::default() };
        self.lake.sql_async(sql, &limits).await.map_err(|error| failure(&error))
    }
}

impl LakeHistory {
    /// Applies the retention that is kept beside the table, if there is one.
    async fn retain(&self, now: UnixMicros) -> Result<(), LakeError> {
        let retention = self.lake.retention_async().await?;
        if retention == Retention::default() {
            return Ok(());
        }
        let report = self.lake.retain_async(&retention, now, false, &unwatched).await?;
        tracing::info!(
            deleted = report.deleted_rows,
            held = report.held_rows,
            moved_files = report.moved_files,
            "retention applied"
        );
        Ok(())
    }
}

/// Turns a lake's refusal into what the API may say.
fn failure(error: &QueryError) -> HistoryError {
    match error {
        QueryError::Timeout { .. } => HistoryError::Timeout { seconds: SQL_TIME.as_secs() },
        QueryError::Failed(_) | QueryError::Lake(_) => HistoryError::Storage(error.to_string()),
        QueryError::Invalid(_) | QueryError::Refused(_) | QueryError::Memory { .. } => {
            HistoryError::Question(error.to_string())
        }
    }
}

#[async_trait]
impl EventHistory for LakeHistory {
    async fn events(&self, ids: &[EventId]) -> Result<Vec<Event>, HistoryError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let tenant = self.tenant;
        let one = |id: &EventId| {
            let EventId { vehicle, epoch, lane, seq } = id;
            format!("(vehicle_id = '{vehicle}' AND epoch = {epoch} AND lane = '{lane}' AND seq = {seq})")
        };
        let any = ids.iter().map(one).collect::<Vec<_>>().join(" OR ");
        let sql = format!("SELECT * FROM events WHERE tenant = {tenant} AND ({any})");
        let found = events(&self.query(&sql, ids.len()).await?);
        let mut by_id: BTreeMap<String, Event> =
            found.into_iter().map(|event| (event.id.clone(), event)).collect();
        Ok(ids.iter().filter_map(|id| by_id.remove(&id.to_string())).collect())
    }

    async fn timeline(
        &self,
        span: TimelineSpan,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<Event>, HistoryError> {
        let TimelineSpan { vehicle, from, to } = span;
        let tenant = self.tenant;
        let sql = format!(
            "SELECT * FROM events WHERE tenant = {tenant} AND vehicle_id = '{vehicle}' AND event_time >= '{from}' \
             AND event_time < '{to}' ORDER BY event_time DESC, epoch DESC, lane, seq DESC LIMIT {limit} OFFSET {offset}"
        );
        Ok(events(&self.query(&sql, limit as usize).await?))
    }

    async fn latest(
        &self,
        vehicle: VehicleId,
        event_type: EventTypeId,
        since: UnixMicros,
        limit: u32,
    ) -> Result<Vec<Event>, HistoryError> {
        let Some(entry) = catalogue::event_type(event_type) else { return Ok(Vec::new()) };
        let (tenant, name) = (self.tenant, entry.name);
        let sql = format!(
            "SELECT * FROM events WHERE tenant = {tenant} AND vehicle_id = '{vehicle}' AND event_type = '{name}' \
             AND event_time >= '{since}' ORDER BY event_time DESC, epoch DESC, lane, seq DESC LIMIT {limit}"
        );
        Ok(events(&self.query(&sql, limit as usize).await?))
    }

    async fn part_counts(
        &self,
        vehicle: VehicleId,
        since: UnixMicros,
    ) -> Result<Vec<PartCount>, HistoryError> {
        let tenant = self.tenant;
        let sql = format!(
            "SELECT bus, ecu, count(*) AS events, max(severity) AS worst FROM events WHERE tenant = {tenant} \
             AND vehicle_id = '{vehicle}' AND event_time >= '{since}' GROUP BY bus, ecu"
        );
        let result = self.query(&sql, 1000).await?;
        let part = |row: &Vec<Value>| PartCount {
            bus: row.first().and_then(Value::as_i64).unwrap_or(-1),
            ecu: row.get(1).and_then(Value::as_str).map(str::to_owned),
            events: row.get(2).and_then(Value::as_u64).unwrap_or(0),
            worst: row.get(3).and_then(Value::as_i64).and_then(severity),
        };
        Ok(result.rows.iter().map(part).collect())
    }

    async fn unclassified(&self, since: UnixMicros) -> Result<Vec<UnclassifiedType>, HistoryError> {
        let tenant = self.tenant;
        let sql = format!(
            "SELECT foreign_type, feed, platform, count(*) AS events, count(DISTINCT vehicle_id) AS vehicles, \
             min(ingest_time) AS first_at, max(ingest_time) AS last_at FROM events WHERE tenant = {tenant} \
             AND event_type = 'foreign.unclassified' AND ingest_time >= '{since}' \
             GROUP BY foreign_type, feed, platform ORDER BY events DESC, foreign_type, feed, platform LIMIT {TYPES_MAX}"
        );
        let result = self.query(&sql, TYPES_MAX).await?;
        let columns: BTreeMap<&str, usize> =
            result.columns.iter().enumerate().map(|(index, column)| (column.name.as_str(), index)).collect();
        let types = result.rows.iter().filter_map(|row| {
            let row = Row { columns: &columns, row };
            Some(UnclassifiedType {
                foreign_type: row.text("foreign_type").unwrap_or_default().to_owned(),
                feed: row.text("feed").unwrap_or_default().to_owned(),
                platform: row.text("platform").filter(|it| !it.is_empty()).map(str::to_owned),
                events: row.number("events")?,
                vehicles: row.number("vehicles")?,
                first_at: row.time("first_at")?,
                last_at: row.time("last_at")?,
            })
        });
        Ok(types.collect())
    }

    async fn sql(&self, query: &str, limit: u32) -> Result<SqlResult, HistoryError> {
        let started = self.clock.now();
        let result = self.query(query, limit as usize).await?;
        let column = |column: &outrider_lake::QueryColumn| SqlColumn {
            name: column.name.clone(),
            kind: column.kind.to_owned(),
        };
        Ok(SqlResult {
            columns: result.columns.iter().map(column).collect(),
            rows: result.rows,
            truncated: result.truncated,
            elapsed_ms: u64::try_from(self.clock.now().micros_since(started) / 1000).unwrap_or(0),
        })
    }

    async fn maintain(&self) -> Result<(), HistoryError> {
        let failed = |error: LakeError| HistoryError::Storage(error.to_string());
        let report = self.lake.compact_async(Compaction::Growing, &unwatched).await.map_err(failed)?;
        if report.files_before > 0 {
            tracing::info!(files = report.files_before, folders = report.folders, "small files merged");
        }
        if report.damaged > 0 {
            tracing::error!(
                folders = report.damaged,
                "files of the lake are damaged: run outrider lake verify --deep"
            );
        }
        let now = self.clock.now();
        let (vacuumed, retained) = *self.kept_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due =
            |last: Option<UnixMicros>, every| last.is_none_or(|last| now.micros_since(last) >= every);
        if is_due(retained, DAY_US) {
            self.retain(now).await.map_err(failed)?;
            self.kept_at.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(now);
        }
        if is_due(vacuumed, HOUR_US) {
            let vacuum = self.lake.vacuum_async(RETENTION).await.map_err(failed)?;
            if vacuum.files > 0 {
                tracing::info!(files = vacuum.files, "replaced files deleted");
            }
            self.kept_at.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(now);
        }
        Ok(())
    }

    async fn health(&self) -> Result<LakeHealth, HistoryError> {
        let now = self.clock.now();
        let kept = self.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, health)) = kept.filter(|(at, _)| (0..HEALTH_US).contains(&now.micros_since(*at))) {
            tracing::trace!(%at, "size of the lake taken from memory");
            return Ok(health);
        }
        let stats =
            self.lake.stats_async().await.map_err(|error| HistoryError::Storage(error.to_string()))?;
        let health = LakeHealth {
            version: stats.version,
            rows: stats.rows,
            files: stats.files,
            bytes: stats.bytes,
            last_commit_at: stats.newest_ms.map(|ms| Timestamp(UnixMicros(ms.saturating_mul(1000)))),
        };
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, health.clone()));
        Ok(health)
    }
}

/// Severity of its number in the lake.
fn severity(code: i64) -> Option<Severity> {
    let code = u8::try_from(code).ok()?;
    outrider_types::Severity::from_code(code).map(crate::rulebook::severity)
}

/// Turns rows into events; a row that lacks a core column is left out.
fn events(result: &QueryResult) -> Vec<Event> {
    let columns: BTreeMap<&str, usize> =
        result.columns.iter().enumerate().map(|(index, column)| (column.name.as_str(), index)).collect();
    result.rows.iter().filter_map(|row| Row { columns: &columns, row }.event()).collect()
}

/// One row with the names of its columns.
struct Row<'a> {
    columns: &'a BTreeMap<&'a str, usize>,
    row: &'a [Value],
}

impl<'a> Row<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.columns.get(name).and_then(|index| self.row.get(*index)).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.as_u64()
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        Timestamp::parse(self.text(name)?)
    }

    fn event(&self) -> Option<Event> {
        let lane = Lane::from_word(self.text("lane")?)?;
        let code = outrider_types::Lane::from_word(lane.word())?.code();
        let (vehicle, epoch, seq) = (self.text("vehicle_id")?, self.number("epoch")?, self.number("seq")?);
        let (event_time, ingest_time) = (self.time("event_time")?, self.time("ingest_time")?);
        let name = self.text("event_type")?;
        let title = catalogue::event_type_by_name(name).map_or(name, |entry| entry.title);
        Some(Event {
            id: format!("{vehicle}.{epoch}.{code}.{seq}"),
            event_type: name.to_owned(),
            title: title.to_owned(),
            severity: severity(self.get("severity")?.as_i64()?)?,
            lane,
            vehicle_id: vehicle.to_owned(),
            model_line: self.text("model_line").map(str::to_owned),
            event_time,
            event_time_error_us: self.number("event_time_error_us").unwrap_or(0),
            vehicle_us: self.number("vehicle_us"),
            corrected: false,
            ingest_time,
            late: ingest_time.0.micros_since(event_time.0) >= DetectorConfig::default().late_after_us,
            count: self.number("count").unwrap_or(1),
            bus: self.get("bus").and_then(Value::as_i64).and_then(|bus| u32::try_from(bus).ok()),
            ecu: self.text("ecu").map(str::to_owned),
            fields: self.fields(),
            context_hex: self.text("context").filter(|hex| !hex.is_empty()).map(str::to_owned),
        })
    }

    fn fields(&self) -> BTreeMap<String, FieldValue> {
        let fields = catalogue::FIELDS.iter().filter_map(|field| {
            let value = scalar(self.get(field.name)?)?;
            let unit = Some(field.unit.to_owned()).filter(|unit| !unit.is_empty());
            Some((field.name.to_owned(), FieldValue { value, unit }))
        });
        fields.collect()
    }
}

/// Value of a field as JSON can say it without losing digits.
fn scalar(value: &Value) -> Option<Scalar> {
    /// Whole numbers beyond this lose digits in JavaScript.
    const SAFE: i64 = 1 << 53;
    match value {
        Value::Bool(value) => Some(Scalar::Bool(*value)),
        Value::String(text) => Some(Scalar::Text(text.clone())),
        Value::Number(number) => match number.as_i64() {
            Some(value) if (-SAFE..=SAFE).contains(&value) => Some(Scalar::Integer(value)),
            Some(value) => Some(Scalar::Text(value.to_string())),
            None => number.as_f64().map(Scalar::Number),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
