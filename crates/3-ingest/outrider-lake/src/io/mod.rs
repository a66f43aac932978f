//! Everything of this crate that touches storage.

mod compact;
mod durable;
#[cfg(test)]
mod faults;
mod file;
mod holds;
mod lake;
mod metered;
mod progress;
mod query;
mod retain;
mod rewrite;
mod s3;
mod stats;
mod table;
mod vacuum;
mod verify;

pub use compact::{CompactReport, Compaction};
pub use lake::{Lake, LakeConfig, LakeSink};
pub use progress::{Progress, Watcher, unwatched};
pub use query::{QueryColumn, QueryLimits, QueryResult};
pub use retain::{RetainDay, RetainReport};
pub use s3::{S3Config, Secret};
pub use stats::LakeStats;
pub use vacuum::VacuumReport;
pub use verify::{VerifyDepth, VerifyReport};
