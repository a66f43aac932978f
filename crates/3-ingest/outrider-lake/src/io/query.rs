//! Read-only SQL over the events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deltalake_core::arrow::datatypes::DataType;
use deltalake_core::datafusion::common::ScalarValue;
use deltalake_core::datafusion::error::DataFusionError;
use deltalake_core::datafusion::execution::context::{SQLOptions, SessionConfig, SessionContext};
use deltalake_core::datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use deltalake_core::datafusion::execution::memory_pool::GreedyMemoryPool;
use deltalake_core::datafusion::execution::runtime_env::RuntimeEnvBuilder;
use deltalake_core::datafusion::logical_expr::Cast;
use deltalake_core::datafusion::prelude::{DataFrame, Expr, coalesce, col, ident, lit};
use deltalake_core::datafusion::sql::parser::{DFParser, Statement};
use deltalake_core::datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use futures::StreamExt;
use outrider_types::{UnixMicros, VehicleId};
use serde_json::Value;

use super::lake::Lake;
use super::table::attach;
use crate::error::QueryError;
use crate::schema::{CORE, DIFFERENCES, VEHICLE_TIMES};
use crate::value::{kind, values};

/// Name of the only table.
const TABLE: &str = "events";

/// Longest query text, bytes.
const QUERY_BYTES_MAX: usize = 64 * 1_024;

/// What a query may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// Most rows that are returned; more set [`QueryResult::truncated`].
    pub rows_max: usize,
    /// Most bytes of result, roughly; more set [`QueryResult::truncated`].
    pub result_bytes_max: usize,
    /// Longest run time.
    pub time_max: Duration,
    /// Most memory for sorting, grouping and joining, bytes.
    pub memory_bytes_max: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            rows_max: 10_000,
            result_bytes_max: 32 * 1_024 * 1_024,
            time_max: Duration::from_secs(30),
            memory_bytes_max: 256 * 1_024 * 1_024,
        }
    }
}

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryColumn {
    /// Name.
    pub name: String,
    /// Type in a word: `int`, `float`, `text`, `bool`, `timestamp`, `date`, `binary` or `other`.
    pub kind: &'static str,
}

/// Result of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryResult {
    /// Columns in order.
    pub columns: Vec<QueryColumn>,
    /// Rows, one value a column. Times are RFC 3339 text, binary is lower-case hex.
    pub rows: Vec<Vec<Value>>,
    /// Whether rows were left out because of a limit.
    pub truncated: bool,
}

impl Lake {
    /// Runs one SELECT over the table `events`.
    ///
    /// # Errors
    /// [`QueryError`]: not valid, refused, over a limit, or failed.
    pub fn sql(&self, query: &str, limits: &QueryLimits) -> Result<QueryResult, QueryError> {
        self.shared.runtime.block_on(self.sql_async(query, limits))
    }

    /// Runs one SELECT over the table `events`.
    ///
    /// # Errors
    /// [`QueryError`]: not valid, refused, over a limit, or failed.
    pub async fn sql_async(&self, query: &str, limits: &QueryLimits) -> Result<QueryResult, QueryError> {
        let statement = parse(query)?;
        let work = async {
            let context = self.session(limits).await?;
            let state = context.state();
            let plan = state.statement_to_plan(statement).await.map_err(|error| failure(error, limits))?;
            SQLOptions::new()
                .with_allow_ddl(false)
                .with_allow_dml(false)
                .with_allow_statements(false)
                .verify_plan(&plan)
                .map_err(|error| QueryError::Refused(error.strip_backtrace()))?;
            let frame = context.execute_logical_plan(plan).await.map_err(|error| failure(error, limits))?;
            collect(frame, limits).await
        };
        within(limits, work).await
    }

    /// Returns one vehicle's events between two event times, both included, newest first.
    ///
    /// Columns of the catalogue without any value in the result are left out.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn vehicle_history(
        &self,
        vehicle: VehicleId,
        span: (UnixMicros, UnixMicros),
        limits: &QueryLimits,
    ) -> Result<QueryResult, QueryError> {
        self.shared.runtime.block_on(self.vehicle_history_async(vehicle, span, limits))
    }

    /// Returns one vehicle's events between two event times, both included, newest first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn vehicle_history_async(
        &self,
        vehicle: VehicleId,
        span: (UnixMicros, UnixMicros),
        limits: &QueryLimits,
    ) -> Result<QueryResult, QueryError> {
        let work = async {
            let context = self.session(limits).await?;
            let fail = |error| failure(error, limits);
            let at = |time: UnixMicros| {
                Expr::Literal(ScalarValue::TimestampMicrosecond(Some(time.0), Some("UTC".into())), None)
            };
            let filter = col("vehicle_id")
                .eq(lit(vehicle.to_string()))
                .and(col("event_time").gt_eq(at(span.0)))
                .and(col("event_time").lt_eq(at(span.1)));
            let order = vec![
                col("event_time").sort(false, false),
                col("epoch").sort(false, false),
                col("lane").sort(true, false),
                col("seq").sort(false, false),
            ];
            let frame = context.table(TABLE).await.and_then(|frame| frame.filter(filter));
            let frame = frame.and_then(|frame| frame.sort(order)).map_err(fail)?;
            collect(frame, limits).await.map(without_empty_columns)
        };
        within(limits, work).await
    }

    /// Creates a session that sees the newest state of the table and nothing else.
    pub(super) async fn session(&self, limits: &QueryLimits) -> Result<SessionContext, QueryError> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(limits.memory_bytes_max)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(|error| QueryError::Failed(error.strip_backtrace()))?;
        let mut config = SessionConfig::new().with_information_schema(false);
        let parquet = &mut config.options_mut().execution.parquet;
        parquet.pushdown_filters = true;
        parquet.reorder_filters = true;
        let context = SessionContext::new_with_config_rt(config, runtime);
        let table = self.fresh_table().await?;
        let session = Arc::new(context.state());
        let provider = table.table_provider().with_session(session).await;
        let provider = provider.map_err(|error| QueryError::Failed(error.strip_backtrace()))?;
        attach(&table, &context)?;
        let table = context.read_table(provider).and_then(in_full);
        table
            .and_then(|table| context.register_table(TABLE, table.into_view()))
            .map_err(|error| QueryError::Failed(error.strip_backtrace()))?;
        Ok(context)
    }
}

/// Returns the table as queries see it: vehicle times in full, whichever way a file keeps them.
fn in_full(table: DataFrame) -> Result<DataFrame, DataFusionError> {
    let names: Vec<String> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
    // Only an older program's table that is open for reading lacks them.
    if !DIFFERENCES.iter().all(|name| names.iter().any(|there| there == name)) {
        return Ok(table);
    }
    let [offset, before, after] = DIFFERENCES.map(ident);
    let [vehicle, first, last] = VEHICLE_TIMES.map(ident);
    let event = Expr::Cast(Cast::new(Box::new(ident("event_time")), DataType::Int64));
    let vehicle = coalesce(vec![vehicle, event - offset]);
    let first = coalesce(vec![first, vehicle.clone() - before]);
    let last = coalesce(vec![last, vehicle.clone() + after]);
    let times = VEHICLE_TIMES.into_iter().zip([vehicle, first, last]);
    let mut times: BTreeMap<&str, Expr> = times.map(|(name, time)| (name, time.alias(name))).collect();
    let seen = names.iter().filter(|name| !DIFFERENCES.contains(&name.as_str()));
    let columns = seen.map(|name| times.remove(name.as_str()).unwrap_or_else(|| ident(name)));
    table.select(columns.collect::<Vec<Expr>>())
}

async fn within<T>(
    limits: &QueryLimits,
    work: impl Future<Output = Result<T, QueryError>>,
) -> Result<T, QueryError> {
    let timeout = || QueryError::Timeout { limit_ms: limits.time_max.as_millis() };
    tokio::time::timeout(limits.time_max, Box::pin(work)).await.unwrap_or_else(|_| Err(timeout()))
}

/// Accepts exactly one query.
fn parse(query: &str) -> Result<Statement, QueryError> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(QueryError::Invalid(format!("longer than {QUERY_BYTES_MAX} bytes")));
    }
    let mut statements =
        DFParser::parse_sql(query).map_err(|error| QueryError::Invalid(error.strip_backtrace()))?;
    let Some(statement) = statements.pop_front() else {
        return Err(QueryError::Invalid("no statement".to_owned()));
    };
    if !statements.is_empty() {
        return Err(QueryError::Refused("more than one statement".to_owned()));
    }
    if let Statement::Statement(inner) = &statement
        && matches!(**inner, SqlStatement::Query(_))
    {
        return Ok(statement);
    }
    Err(QueryError::Refused(first_word(&statement.to_string())))
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

fn failure(error: DataFusionError, limits: &QueryLimits) -> QueryError {
    let text = error.strip_backtrace();
    let root = error.find_root();
    if matches!(root, DataFusionError::ResourcesExhausted(_)) {
        return QueryError::Memory { limit_bytes: limits.memory_bytes_max };
    }
    let theirs = matches!(
        root,
        DataFusionError::SQL(..) | DataFusionError::Plan(_) | DataFusionError::SchemaError(..)
    );
    if theirs { QueryError::Invalid(text) } else { QueryError::Failed(text) }
}

async fn collect(frame: DataFrame, limits: &QueryLimits) -> Result<QueryResult, QueryError> {
    let fail = |error| failure(error, limits);
    let fetch = limits.rows_max.saturating_add(1);
    let frame = frame.limit(0, Some(fetch)).map_err(fail)?;
    let columns: Vec<QueryColumn> = frame
        .schema()
        .fields()
        .iter()
        .map(|field| QueryColumn { name: field.name().clone(), kind: kind(field.data_type()) })
        .collect();
    let mut stream = frame.execute_stream().await.map_err(fail)?;
    let mut result = QueryResult { columns, rows: Vec::new(), truncated: false };
    let mut bytes = 0_usize;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(fail)?;
        bytes = bytes.saturating_add(batch.get_array_memory_size());
        let room = limits.rows_max - result.rows.len();
        result.truncated = batch.num_rows() > room;
        let rows = batch.num_rows().min(room);
        result.rows.extend(values(&batch.slice(0, rows)).map_err(fail)?);
        if result.truncated {
            break;
        }
        if bytes > limits.result_bytes_max {
            result.truncated = stream.next().await.is_some();
            break;
        }
    }
    Ok(result)
}

fn without_empty_columns(result: QueryResult) -> QueryResult {
    let core = |name: &str| CORE.iter().any(|(core, _)| *core == name);
    let keep: Vec<bool> = result
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| core(&column.name) || result.rows.iter().any(|row| !row[index].is_null()))
        .collect();
    let kept = |index: usize| keep.get(index).copied().unwrap_or(false);
    let columns = result.columns.into_iter().enumerate().filter(|(index, _)| kept(*index));
    let rows = result.rows.into_iter().map(|row| {
        row.into_iter().enumerate().filter(|(index, _)| kept(*index)).map(|(_, value)| value).collect()
    });
    QueryResult {
        columns: columns.map(|(_, column)| column).collect(),
        rows: rows.collect(),
        truncated: result.truncated,
    }
}
