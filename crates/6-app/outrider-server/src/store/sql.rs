//! The case database in SQL: one writer at a time, readers beside it.

mod alert;
mod alert_action;
mod alert_filter;
mod alert_finding;
mod case;
mod command;
mod correlation;
mod engine;
mod enrolment;
mod enrolment_read;
mod evidence;
mod feed;
mod fleet;
mod identity;
mod overview;
mod progress;
mod quarantine;
mod registry;
mod reveal;
mod rollout;
mod server;
mod stop;
mod tables;
mod update;

use std::path::Path;
use std::time::Duration;

use outrider_types::UnixMicros;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

pub use self::server::PostgresUrl;

use self::engine::{Pool, QueryBuilder, Row, Transaction, Value};
use super::{StoreError, StoreResult};
use crate::api::dto::{Severity, Timestamp};

/// Connections for reading: a page of the dashboard asks for about four things at once.
const READERS: u32 = 4;

/// Case database in one SQLite file, or on a PostgreSQL server that several nodes share.
#[derive(Debug, Clone)]
pub struct SqlStore {
    write: Pool,
    read: Pool,
}

impl SqlStore {
    /// Opens the file, making it and its tables where they are missing.
    ///
    /// # Errors
    /// [`StoreError::Database`]; [`StoreError::Conflict`] if the file was written by another version.
    pub async fn open(path: &Path) -> StoreResult<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10));
        let write = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        tables::upgrade_file(&write).await?;
        let read =
            SqlitePoolOptions::new().max_connections(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self { write: Pool::Sqlite(write), read: Pool::Sqlite(read) })
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// Begins a writing transaction.
    async fn begin(&self) -> StoreResult<Transaction> {
        Ok(self.write.begin().await?)
    }
}

/// Number as the database stores it, held at the end of its range.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Count as stored; a negative one reads as 0.
fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Number of a severity in the database: order is badness.
const fn severity_code(severity: Severity) -> i64 {
    match severity {
        Severity::Info => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

/// Severity of a stored number.
fn severity_of(code: i64) -> Option<Severity> {
    Severity::ALL.iter().copied().find(|severity| severity_code(*severity) == code)
}

/// Reads a severity.
fn severity(row: &Row, column: &'static str) -> StoreResult<Severity> {
    let code: i64 = row.try_get(column)?;
    severity_of(code).ok_or_else(|| StoreError::Damaged { what: column, value: code.to_string() })
}

/// Reads a word.
fn word<T>(row: &Row, column: &'static str, parse: impl Fn(&str) -> Option<T>) -> StoreResult<T> {
    let text: String = row.try_get(column)?;
    parse(&text).ok_or(StoreError::Damaged { what: column, value: text })
}

/// Reads a word that may be missing.
fn word_opt<T>(row: &Row, column: &'static str, parse: impl Fn(&str) -> Option<T>) -> StoreResult<Option<T>> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| parse(&text).ok_or(StoreError::Damaged { what: column, value: text })).transpose()
}

/// Reads a count.
fn number(row: &Row, column: &'static str) -> StoreResult<u64> {
    Ok(count(row.try_get(column)?))
}

/// Reads a time.
fn time(row: &Row, column: &'static str) -> StoreResult<Timestamp> {
    Ok(Timestamp(UnixMicros(row.try_get(column)?)))
}

/// Reads a time that may be missing.
fn time_opt(row: &Row, column: &'static str) -> StoreResult<Option<Timestamp>> {
    let micros: Option<i64> = row.try_get(column)?;
    Ok(micros.map(|micros| Timestamp(UnixMicros(micros))))
}

/// Reads JSON.
fn json<T: serde::de::DeserializeOwned>(row: &Row, column: &'static str) -> StoreResult<T> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|_| StoreError::Damaged { what: column, value: text })
}

/// Writes JSON.
fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("rows hold no map with keys that are no text")
}

/// Splits a cursor `<value>.<id>` into its parts.
fn cursor_parts(cursor: &str) -> StoreResult<(i64, &str)> {
    cursor
        .split_once('.')
        .and_then(|(value, id)| Some((value.parse().ok()?, id)))
        .ok_or_else(|| StoreError::Invalid("the cursor is none of this list".to_owned()))
}

/// Appends `column IN (…)` for a list that is not empty.
fn any_of<T: Into<Value>>(query: &mut QueryBuilder, column: &'static str, values: impl Iterator<Item = T>) {
    let mut values = values.peekable();
    if values.peek().is_none() {
        return;
    }
    query.push(" AND ").push(column).push(" IN (");
    for (index, value) in values.enumerate() {
        if index > 0 {
            query.push(", ");
        }
        query.push_bind(value);
    }
    query.push(")");
}

/// Pattern for `LIKE … ESCAPE '\'` that finds a text anywhere.
fn like(text: &str) -> String {
    let escaped = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}
