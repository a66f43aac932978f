//! Statements with their values.

use std::fmt::{Display, Write as _};
use std::marker::PhantomData;

use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Postgres, Sqlite};

use super::value::{Column, without_nul};
use super::{Connection, Raw, Row, Target, Value};

/// Text of a statement.
#[derive(Debug, Clone)]
enum Sql {
    /// Written in this crate.
    Fixed(&'static str),
    /// Put together from parts that were written in this crate; what comes from outside is a value.
    Built(String),
}

/// Statement with its values.
#[derive(Debug, Clone)]
pub(in crate::store) struct Query {
    sql: Sql,
    values: Vec<Value>,
}

/// Makes a statement.
pub(in crate::store) fn query(sql: &'static str) -> Query {
    Query { sql: Sql::Fixed(sql), values: Vec::new() }
}

/// Makes a statement of which the first column is wanted.
pub(in crate::store) fn query_scalar<T: Column>(sql: &'static str) -> QueryScalar<T> {
    QueryScalar { query: query(sql), column: PhantomData }
}

impl Query {
    /// Adds the next value.
    pub(in crate::store) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it; returns how many rows it changed.
    pub(in crate::store) async fn execute<'c>(self, target: impl Into<Target<'c>>) -> sqlx::Result<u64> {
        let mut lent = None;
        match connection(target.into(), &mut lent).await?.raw() {
            Raw::Sqlite(connection) => Ok(self.sqlite().execute(connection).await?.rows_affected()),
            Raw::Postgres(connection) => Ok(self.postgres().execute(connection).await?.rows_affected()),
        }
    }

    /// Runs it; returns all rows.
    pub(in crate::store) async fn fetch_all<'c>(
        self,
        target: impl Into<Target<'c>>,
    ) -> sqlx::Result<Vec<Row>> {
        let mut lent = None;
        match connection(target.into(), &mut lent).await?.raw() {
            Raw::Sqlite(connection) => {
                Ok(self.sqlite().fetch_all(connection).await?.into_iter().map(Row::Sqlite).collect())
            }
            Raw::Postgres(connection) => {
                Ok(self.postgres().fetch_all(connection).await?.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Runs it; returns the first row.
    pub(in crate::store) async fn fetch_optional<'c>(
        self,
        target: impl Into<Target<'c>>,
    ) -> sqlx::Result<Option<Row>> {
        let mut lent = None;
        match connection(target.into(), &mut lent).await?.raw() {
            Raw::Sqlite(connection) => Ok(self.sqlite().fetch_optional(connection).await?.map(Row::Sqlite)),
            Raw::Postgres(connection) => {
                Ok(self.postgres().fetch_optional(connection).await?.map(Row::Postgres))
            }
        }
    }

    /// Runs it; returns the first row, which must be there.
    pub(in crate::store) async fn fetch_one<'c>(self, target: impl Into<Target<'c>>) -> sqlx::Result<Row> {
        self.fetch_optional(target).await?.ok_or(sqlx::Error::RowNotFound)
    }

    fn sqlite(self) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
        let mut query = match self.sql {
            Sql::Fixed(sql) => sqlx::query(sql),
            Sql::Built(sql) => sqlx::query(AssertSqlSafe(sql)),
        };
        for value in self.values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }

    fn postgres(self) -> sqlx::query::Query<'static, Postgres, PgArguments> {
        let sql = match &self.sql {
            Sql::Fixed(sql) => numbered(sql),
            Sql::Built(sql) => numbered(sql),
        };
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in self.values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value.map(without_nul)),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }
}

/// Returns the connection of a target, taking one from its pool where it names none.
async fn connection<'c>(
    target: Target<'c>,
    lent: &'c mut Option<Connection>,
) -> sqlx::Result<&'c mut Connection> {
    match target {
        Target::Connection(connection) => Ok(connection),
        Target::Pool(pool) => Ok(lent.insert(pool.acquire().await?)),
    }
}

/// Writes the places of values as PostgreSQL wants them: `?` in order, or `?3` by number, becomes `$3`.
///
/// O(length). Text in quotes stays as it is.
fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let (mut is_quoted, mut last) = (false, 0_usize);
    let mut rest = sql.chars().peekable();
    while let Some(sign) = rest.next() {
        is_quoted ^= sign == '\'';
        if sign != '?' || is_quoted {
            out.push(sign);
            continue;
        }
        out.push('$');
        if rest.peek().is_none_or(|next| !next.is_ascii_digit()) {
            last += 1;
            write!(out, "{last}").expect("a string takes all text");
        }
    }
    out
}

/// Statement of which the first column is wanted.
#[derive(Debug, Clone)]
pub(in crate::store) struct QueryScalar<T> {
    query: Query,
    column: PhantomData<fn() -> T>,
}

impl<T: Column> QueryScalar<T> {
    /// Adds the next value.
    pub(in crate::store) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.query = self.query.bind(value);
        self
    }

    /// Runs it; returns the column of the first row, which must be there.
    pub(in crate::store) async fn fetch_one<'c>(self, target: impl Into<Target<'c>>) -> sqlx::Result<T> {
        self.query.fetch_one(target).await?.try_get(0)
    }

    /// Runs it; returns the column of the first row.
    pub(in crate::store) async fn fetch_optional<'c>(
        self,
        target: impl Into<Target<'c>>,
    ) -> sqlx::Result<Option<T>> {
        self.query.fetch_optional(target).await?.map(|row| row.try_get(0)).transpose()
    }

    /// Runs it; returns the column of all rows.
    pub(in crate::store) async fn fetch_all<'c>(self, target: impl Into<Target<'c>>) -> sqlx::Result<Vec<T>> {
        self.query.fetch_all(target).await?.iter().map(|row| row.try_get(0)).collect()
    }
}

/// Statement that is put together from parts.
#[derive(Debug)]
pub(in crate::store) struct QueryBuilder {
    sql: String,
    values: Vec<Value>,
}

impl QueryBuilder {
    /// Begins with a text.
    pub(in crate::store) fn new(sql: &'static str) -> Self {
        Self { sql: sql.to_owned(), values: Vec::new() }
    }

    /// Appends a text that was written in this crate.
    pub(in crate::store) fn push(&mut self, sql: impl Display) -> &mut Self {
        write!(self.sql, "{sql}").expect("a string takes all text");
        self
    }

    /// Appends a value.
    pub(in crate::store) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.sql.push('?');
        self.values.push(value.into());
        self
    }

    /// Appends `VALUES (…), (…)`.
    pub(in crate::store) fn push_values<T>(
        &mut self,
        rows: impl IntoIterator<Item = T>,
        mut row_of: impl FnMut(&mut Values<'_>, T),
    ) -> &mut Self {
        self.sql.push_str("VALUES ");
        for (index, row) in rows.into_iter().enumerate() {
            self.sql.push_str(if index == 0 { "(" } else { ", (" });
            row_of(&mut Values { query: self, is_first: true }, row);
            self.sql.push(')');
        }
        self
    }

    /// Returns the statement and leaves an empty one.
    pub(in crate::store) fn build(&mut self) -> Query {
        Query { sql: Sql::Built(std::mem::take(&mut self.sql)), values: std::mem::take(&mut self.values) }
    }

    /// Returns the statement, of which the first column is wanted, and leaves an empty one.
    pub(in crate::store) fn build_query_scalar<T: Column>(&mut self) -> QueryScalar<T> {
        QueryScalar { query: self.build(), column: PhantomData }
    }
}

/// Values of one row that is being appended.
#[derive(Debug)]
pub(in crate::store) struct Values<'q> {
    query: &'q mut QueryBuilder,
    is_first: bool,
}

impl Values<'_> {
    /// Appends a value.
    pub(in crate::store) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        if !std::mem::take(&mut self.is_first) {
            self.query.push(", ");
        }
        self.query.push_bind(value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_numbered_and_quoted_text_stays() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT 1"),
            ("a = ? AND b = ?", "a = $1 AND b = $2"),
            ("a = ?2 AND b = ?1 AND c = ?12", "a = $2 AND b = $1 AND c = $12"),
            ("a = '?' AND b = ?", "a = '?' AND b = $1"),
            ("a = 'it''s ?' AND b LIKE ? ESCAPE '\\'", "a = 'it''s ?' AND b LIKE $1 ESCAPE '\\'"),
        ] {
            assert_eq!(numbered(sql), expected);
        }
    }
}
