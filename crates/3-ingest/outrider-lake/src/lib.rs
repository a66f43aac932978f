#![doc = include_str!("../README.md")]

mod convert;
mod encode;
mod error;
mod io;
mod schema;
mod value;

pub use error::{ErrorClass, LakeError, QueryError};
pub use io::{
    CompactReport, Lake, LakeConfig, LakeSink, LakeStats, QueryColumn, QueryLimits, QueryResult, VacuumReport,
};
pub use schema::column_names;
