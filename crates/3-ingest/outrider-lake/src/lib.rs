#![doc = include_str!("../README.md")]

mod convert;
mod encode;
mod error;
mod hold;
mod io;
mod schema;
mod tier;
mod value;

pub use error::{ErrorClass, LakeError, QueryError};
pub use hold::{HOLD_TEXT_MAX, HOLD_VEHICLES_MAX, Hold, Release};
pub use io::{
    CompactReport, Compaction, Lake, LakeConfig, LakeSink, LakeStats, Progress, QueryColumn, QueryLimits,
    QueryResult, RetainDay, RetainReport, S3Config, Secret, VacuumReport, VerifyDepth, VerifyReport, Watcher,
    unwatched,
};
pub use schema::{ColumnDoc, Layout, column_docs};
pub use tier::{RETENTION_DAYS_MAX, Retention};
