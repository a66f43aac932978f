//! Everything of this crate that touches storage.

mod compact;
mod durable;
mod lake;
mod query;
mod stats;
mod table;

pub use compact::{CompactReport, VacuumReport};
pub use lake::{Lake, LakeConfig, LakeSink};
pub use query::{QueryColumn, QueryLimits, QueryResult};
pub use stats::LakeStats;
