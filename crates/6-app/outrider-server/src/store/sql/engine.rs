//! What the two databases differ in: connections, transactions, values and rows.
//!
//! Statements are written once, in the SQL that both know, with `?` or `?1` for values. Whatever writes begins with
//! [`Pool::begin`], which lets one writer in: SQLite by its own lock, PostgreSQL by an advisory lock that all nodes ask
//! for. What a transaction has read therefore stays true until it ends, on both.

mod statement;
mod value;

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Sqlite, SqliteConnection};

pub(in crate::store) use statement::{QueryBuilder, query, query_scalar};
pub(in crate::store) use value::{Row, Value};

/// Number of the lock under which PostgreSQL lets one writer in, and under which tables change: "outrider" in ASCII.
const WRITER: i64 = 0x6f75_7472_6964_6572;

/// Connections to one database.
#[derive(Debug, Clone)]
pub(in crate::store) enum Pool {
    /// To a file.
    Sqlite(SqlitePool),
    /// To a server.
    Postgres(PgPool),
}

impl Pool {
    /// Takes a connection.
    pub(super) async fn acquire(&self) -> sqlx::Result<Connection> {
        Ok(Connection(match self {
            Self::Sqlite(pool) => Kind::Sqlite(pool.acquire().await?),
            Self::Postgres(pool) => Kind::Postgres(Held { connection: pool.acquire().await?, begun: false }),
        }))
    }

    /// Begins to write; waits until no other writer is left.
    pub(super) async fn begin(&self) -> sqlx::Result<Transaction> {
        match self {
            Self::Sqlite(pool) => {
                let begun = pool.begin_with("BEGIN IMMEDIATE").await?;
                Ok(Transaction(Connection(Kind::SqliteTransaction(begun))))
            }
            Self::Postgres(pool) => {
                // The lock comes first: each later statement then sees what earlier writers committed.
                let begin = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE";
                let sql = format!("{begin}; SELECT pg_advisory_xact_lock({WRITER})");
                Self::begin_postgres(pool, sql).await
            }
        }
    }

    /// Begins to read one state of the database with several statements.
    pub(super) async fn snapshot(&self) -> sqlx::Result<Transaction> {
        match self {
            Self::Sqlite(pool) => Ok(Transaction(Connection(Kind::SqliteTransaction(pool.begin().await?)))),
            Self::Postgres(pool) => {
                Self::begin_postgres(pool, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY".to_owned())
                    .await
            }
        }
    }

    async fn begin_postgres(pool: &PgPool, sql: String) -> sqlx::Result<Transaction> {
        let mut held = Held { connection: pool.acquire().await?, begun: true };
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *held.connection).await?;
        Ok(Transaction(Connection(Kind::Postgres(held))))
    }

    /// Returns how large the database is.
    pub(super) async fn bytes(&self) -> sqlx::Result<i64> {
        let sql = match self {
            Self::Sqlite(_) => "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
            Self::Postgres(_) => "SELECT pg_database_size(current_database())",
        };
        query_scalar(sql).fetch_one(self).await
    }

    /// Closes all connections.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Connection that a pool lent.
#[derive(Debug)]
pub(in crate::store) struct Connection(Kind);

#[derive(Debug)]
enum Kind {
    Sqlite(PoolConnection<Sqlite>),
    SqliteTransaction(sqlx::Transaction<'static, Sqlite>),
    Postgres(Held),
}

/// Connection of one engine.
enum Raw<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Connection {
    fn raw(&mut self) -> Raw<'_> {
        match &mut self.0 {
            Kind::Sqlite(connection) => Raw::Sqlite(connection),
            Kind::SqliteTransaction(transaction) => Raw::Sqlite(transaction),
            Kind::Postgres(held) => Raw::Postgres(&mut held.connection),
        }
    }
}

/// Connection to PostgreSQL, closed if its transaction is not ended in good order.
///
/// A call may be given up at any point, even while `BEGIN` is on its way, so only the server knows whether a transaction
/// is open. A connection that goes back to the pool with an open one would hold the lock of writers, or lose what the
/// next call writes; closing it makes the server roll back.
#[derive(Debug)]
struct Held {
    connection: PoolConnection<Postgres>,
    begun: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.begun {
            self.connection.close_on_drop();
        }
    }
}

/// Open transaction; rolled back unless [`Transaction::commit`] is called.
#[derive(Debug)]
pub(in crate::store) struct Transaction(Connection);

impl Transaction {
    /// Makes what was written last.
    pub(super) async fn commit(self) -> sqlx::Result<()> {
        match self.0.0 {
            // A plain connection is never wrapped: nothing is open, so nothing is left to do.
            Kind::Sqlite(_) => Ok(()),
            Kind::SqliteTransaction(transaction) => transaction.commit().await,
            Kind::Postgres(mut held) => {
                sqlx::raw_sql("COMMIT").execute(&mut *held.connection).await?;
                held.begun = false;
                Ok(())
            }
        }
    }
}

impl Connection {
    /// Runs statements without values.
    pub(super) async fn run(&mut self, sql: String) -> sqlx::Result<()> {
        match self.raw() {
            Raw::Sqlite(connection) => {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
            }
            Raw::Postgres(connection) => {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
            }
        }
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

/// Where a statement runs.
#[derive(Debug)]
pub(in crate::store) enum Target<'c> {
    /// On any connection, as a transaction of its own.
    Pool(&'c Pool),
    /// On this one.
    Connection(&'c mut Connection),
}

impl<'c> From<&'c Pool> for Target<'c> {
    fn from(pool: &'c Pool) -> Self {
        Self::Pool(pool)
    }
}

impl<'c> From<&'c mut Connection> for Target<'c> {
    fn from(connection: &'c mut Connection) -> Self {
        Self::Connection(connection)
    }
}
