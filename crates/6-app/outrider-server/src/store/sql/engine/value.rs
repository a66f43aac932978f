//! Values that go into statements, and rows that come out.

use std::borrow::Cow;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

/// Value of a statement. A missing one keeps its type, because PostgreSQL asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Value {
    /// Number; truth is 0 or 1.
    Int(Option<i64>),
    /// Text.
    Text(Option<String>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
}

/// Text as PostgreSQL can hold it: it has no NUL, which becomes the picture of one.
///
/// Text may come from a vehicle. Without this, a NUL in it would make every attempt to write it fail.
pub(super) fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{2400}") } else { text }
}

macro_rules! values {
    ($($from:ty => $variant:ident($value:ident) $inner:expr;)+) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                Self::$variant($inner)
            }
        }
    )+};
}

values! {
    i64 => Int(value) Some(value);
    &i64 => Int(value) Some(*value);
    bool => Int(value) Some(i64::from(value));
    Option<i64> => Int(value) value;
    &str => Text(value) Some(value.to_owned());
    &&str => Text(value) Some((*value).to_owned());
    &String => Text(value) Some(value.clone());
    String => Text(value) Some(value);
    Cow<'_, str> => Text(value) Some(value.into_owned());
    Option<&str> => Text(value) value.map(str::to_owned);
    &Option<String> => Text(value) value.clone();
    Option<String> => Text(value) value;
    &[u8] => Bytes(value) Some(value.to_vec());
    &Vec<u8> => Bytes(value) Some(value.clone());
    Vec<u8> => Bytes(value) Some(value);
    Option<Vec<u8>> => Bytes(value) value;
}

/// Row that a statement returned.
#[derive(Debug)]
pub(in crate::store) enum Row {
    /// Of SQLite.
    Sqlite(SqliteRow),
    /// Of PostgreSQL.
    Postgres(PgRow),
}

impl Row {
    /// Reads a column by its name, or by its place.
    ///
    /// # Errors
    /// [`sqlx::Error`] if there is none, or if it holds something else.
    pub(in crate::store) fn try_get<T: Column>(&self, column: impl Place) -> sqlx::Result<T> {
        match self {
            Self::Sqlite(row) => T::sqlite(row, column),
            Self::Postgres(row) => T::postgres(row, column),
        }
    }
}

/// Name or number of a column.
pub(in crate::store) trait Place:
    sqlx::ColumnIndex<SqliteRow> + sqlx::ColumnIndex<PgRow> + Copy
{
}

impl<T: sqlx::ColumnIndex<SqliteRow> + sqlx::ColumnIndex<PgRow> + Copy> Place for T {}

/// What a column can be read as.
pub(in crate::store) trait Column: Sized {
    fn sqlite(row: &SqliteRow, column: impl Place) -> sqlx::Result<Self>;
    fn postgres(row: &PgRow, column: impl Place) -> sqlx::Result<Self>;
}

impl Column for Option<i64> {
    fn sqlite(row: &SqliteRow, column: impl Place) -> sqlx::Result<Self> {
        row.try_get(column)
    }

    /// Numbers in statements are shorter than those in columns, and comparisons have a type of their own.
    fn postgres(row: &PgRow, column: impl Place) -> sqlx::Result<Self> {
        let value = row.try_get_raw(column)?;
        match value.type_info().name() {
            "INT4" => Ok(row.try_get::<Option<i32>, _>(column)?.map(i64::from)),
            "BOOL" => Ok(row.try_get::<Option<bool>, _>(column)?.map(i64::from)),
            _ => row.try_get(column),
        }
    }
}

impl Column for Option<bool> {
    fn sqlite(row: &SqliteRow, column: impl Place) -> sqlx::Result<Self> {
        row.try_get(column)
    }

    fn postgres(row: &PgRow, column: impl Place) -> sqlx::Result<Self> {
        Ok(<Option<i64> as Column>::postgres(row, column)?.map(|value| value != 0))
    }
}

macro_rules! columns {
    ($($of:ty),+) => {$(
        impl Column for $of {
            fn sqlite(row: &SqliteRow, column: impl Place) -> sqlx::Result<Self> {
                row.try_get(column)
            }

            fn postgres(row: &PgRow, column: impl Place) -> sqlx::Result<Self> {
                row.try_get(column)
            }
        }
    )+};
}

columns!(String, Option<String>, Vec<u8>, Option<Vec<u8>>);

macro_rules! required {
    ($($of:ty),+) => {$(
        impl Column for $of {
            fn sqlite(row: &SqliteRow, column: impl Place) -> sqlx::Result<Self> {
                row.try_get(column)
            }

            fn postgres(row: &PgRow, column: impl Place) -> sqlx::Result<Self> {
                <Option<$of> as Column>::postgres(row, column)?
                    .ok_or_else(|| sqlx::Error::Decode("a value is missing".into()))
            }
        }
    )+};
}

required!(i64, bool);
