//! SQLite: one writer, readers beside it, write-ahead log.

mod alert;
mod alert_action;
mod alert_filter;
mod alert_finding;
mod case;
mod command;
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
mod stop;
mod update;

use std::path::Path;
use std::time::Duration;

use outrider_types::UnixMicros;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{QueryBuilder, Row, Sqlite, Transaction};

use super::{StoreError, StoreResult};
use crate::api::dto::{Severity, Timestamp};

/// Version of the tables in `PRAGMA user_version`.
const SCHEMA_VERSION: i64 = 8;
/// Tables of version 2, and what each later version added.
const TABLES: &str = include_str!("schema.sql");
const IDENTITY: &str = include_str!("schema_identity.sql");
const UPDATE: &str = include_str!("schema_update.sql");
const ANCHOR: &str = include_str!("schema_anchor.sql");
const FEED: &str = include_str!("schema_feed.sql");
const REGISTRY: &str = include_str!("schema_registry.sql");
const REVEAL: &str = include_str!("schema_reveal.sql");
/// Version with which each part came, ascending.
const PARTS: [(i64, &str); 7] = [
    (2, TABLES),
    (3, IDENTITY),
    (4, UPDATE),
    (5, ANCHOR),
    (6, FEED),
    (7, REGISTRY),
    (SCHEMA_VERSION, REVEAL),
];
/// Connections for reading: a page of the dashboard asks for about four things at once.
const READERS: u32 = 4;

/// Case database in one SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    write: SqlitePool,
    read: SqlitePool,
}

impl SqliteStore {
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
        let mut transaction = write.begin_with("BEGIN IMMEDIATE").await?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
        if version != 0 && !(PARTS[0].0..=SCHEMA_VERSION).contains(&version) {
            return Err(StoreError::Conflict(format!(
                "tables of version {version}, expected {SCHEMA_VERSION}"
            )));
        }
        for (_, part) in PARTS.iter().filter(|(since, _)| *since > version) {
            sqlx::raw_sql(*part).execute(&mut *transaction).await?;
        }
        sqlx::raw_sql("PRAGMA user_version = 8").execute(&mut *transaction).await?;
        transaction.commit().await?;
        let read =
            SqlitePoolOptions::new().max_connections(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self { write, read })
    }

    /// Closes the file.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// Begins a writing transaction.
    async fn begin(&self) -> StoreResult<Transaction<'static, Sqlite>> {
        Ok(self.write.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Number as SQLite stores it, held at the end of its range.
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
fn severity(row: &SqliteRow, column: &'static str) -> StoreResult<Severity> {
    let code: i64 = row.try_get(column)?;
    severity_of(code).ok_or_else(|| StoreError::Damaged { what: column, value: code.to_string() })
}

/// Reads a word.
fn word<T>(row: &SqliteRow, column: &'static str, parse: impl Fn(&str) -> Option<T>) -> StoreResult<T> {
    let text: String = row.try_get(column)?;
    parse(&text).ok_or(StoreError::Damaged { what: column, value: text })
}

/// Reads a word that may be missing.
fn word_opt<T>(
    row: &SqliteRow,
    column: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> StoreResult<Option<T>> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| parse(&text).ok_or(StoreError::Damaged { what: column, value: text })).transpose()
}

/// Reads a count.
fn number(row: &SqliteRow, column: &'static str) -> StoreResult<u64> {
    Ok(count(row.try_get(column)?))
}

/// Reads a time.
fn time(row: &SqliteRow, column: &'static str) -> StoreResult<Timestamp> {
    Ok(Timestamp(UnixMicros(row.try_get(column)?)))
}

/// Reads a time that may be missing.
fn time_opt(row: &SqliteRow, column: &'static str) -> StoreResult<Option<Timestamp>> {
    let micros: Option<i64> = row.try_get(column)?;
    Ok(micros.map(|micros| Timestamp(UnixMicros(micros))))
}

/// Reads JSON.
fn json<T: serde::de::DeserializeOwned>(row: &SqliteRow, column: &'static str) -> StoreResult<T> {
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
fn any_of<T>(query: &mut QueryBuilder<Sqlite>, column: &'static str, values: impl Iterator<Item = T>)
where
    T: for<'q> sqlx::Encode<'q, Sqlite> + sqlx::Type<Sqlite> + Send + 'static,
{
    let mut values = values.peekable();
    if values.peek().is_none() {
        return;
    }
    query.push(" AND ").push(column).push(" IN (");
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value);
    }
    list.push_unseparated(")");
}

/// Pattern for `LIKE … ESCAPE '\'` that finds a text anywhere.
fn like(text: &str) -> String {
    let escaped = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

#[cfg(test)]
mod tests {
    use outrider_types::TenantId;

    use super::*;
    use crate::store::{
        FeedStore as _, FleetStore as _, IdentityStore as _, RegistryMark, Scope, UpdateStore as _,
    };

    async fn older(path: &Path, version: i64, schemas: &[&'static str]) {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.expect("a file");
        for schema in schemas {
            sqlx::raw_sql(*schema).execute(&pool).await.expect("the tables of that version");
            if *schema == TABLES {
                sqlx::raw_sql(
                    "INSERT INTO vehicle (tenant, id, model_line, platform, model_year, release, region, connectivity, ecus, buses, \
                     capabilities, revision) VALUES (1, '000102030405060708090a0b0c0d0e0f', 'Aster', 'P1', 2026, '24.1', 'DE', \
                     'cellular', '[[2,\"gateway\",1,\"1.0\"]]', '[]', '[]', 3)",
                )
                .execute(&pool)
                .await
                .expect("a vehicle");
            }
        }
        sqlx::query("INSERT INTO user_account VALUES (1, 'ada', 'engineer', 'hash', 0, 0, 0, 0, NULL, 5)")
            .execute(&pool)
            .await
            .expect("a row");
        let mut mark = QueryBuilder::<Sqlite>::new("PRAGMA user_version = ");
        mark.push(version).build().execute(&pool).await.expect("a mark");
        pool.close().await;
    }

    #[tokio::test]
    async fn databases_of_earlier_versions_get_the_new_tables_and_keep_their_rows() {
        let scope = Scope { tenant: TenantId(1), now: UnixMicros(7) };
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (index, (version, _)) in PARTS.iter().enumerate().take(PARTS.len() - 1) {
            let schemas: Vec<&'static str> = PARTS.iter().take(index + 1).map(|(_, part)| *part).collect();
            let path = folder.path().join(format!("{version}.sqlite"));
            older(&path, *version, &schemas).await;
            for _ in 0..2 {
                let store = SqliteStore::open(&path).await.expect("it is taken over");
                assert!(store.account(scope, "ada").await.expect("it reads").is_some(), "from {version}");
                store.add_artifact_key(scope, &[9; 32], "key", "cli").await.expect("the tables are there");
                assert_eq!(store.artifact_keys(scope).await.expect("they read").len(), 1);
                assert_eq!(store.feeds(scope).await.expect("they read"), []);
                let (vehicles, _) =
                    store.registered_vehicles(scope, RegistryMark::default(), 10).await.expect("they read");
                let record = &vehicles.first().expect("it is there").record;
                let ecu = record.ecus.first().expect("its ecu went along");
                assert_eq!(
                    (ecu.name.as_str(), ecu.software.as_str(), ecu.supplier.as_str()),
                    ("gateway", "1.0", "")
                );
                assert_eq!((record.stage.word(), record.registration.word()), ("full", "registered"));
                store.close().await;
            }
        }
        let newer = folder.path().join("newer.sqlite");
        older(&newer, SCHEMA_VERSION + 1, &[TABLES]).await;
        assert!(matches!(SqliteStore::open(&newer).await, Err(StoreError::Conflict(_))));
    }
}
