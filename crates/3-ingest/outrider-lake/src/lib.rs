//! The event lake: Delta tables, Parquet and SQL. The only home of arrow.
