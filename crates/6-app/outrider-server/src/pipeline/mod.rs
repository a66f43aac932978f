//! The worker, one thread for all partitions and one state of detection: from the event log to lake, findings, alerts and checkpoint.
//!
//! **In:** records of the event log. **Out:** rows in the lake, findings and alerts in the case database, gaps and
//! counters. **Never:** a loss or a repetition, whenever it is killed (LOG-3):
//!
//! * findings have deterministic ids and revisions, and writing one twice changes nothing;
//! * a lake commit carries the offset up to which it covers the log, and a replay skips what is covered;
//! * the checkpoint (offset, ingestion state, detection state) is one transaction, so a restart goes on from a
//!   moment at which all three belonged together.

mod backlog;
mod card;
pub mod correlator;
mod detection;
mod doorbell;
mod follow;
mod intake;
mod owners;
mod parts;
mod places;
mod restore;
mod running;
mod status;
mod worker;

pub use backlog::{Backlog, PartitionBacklog};
pub use correlator::CorrelatorParts;
pub use doorbell::Doorbell;
pub use follow::{FollowParts, follow};
pub use owners::Owners;
pub use parts::{PipelineConfig, PipelineError, PipelineParts};
pub use running::{RunningPipeline, start};
pub use status::{BusyTimes, PartitionStatus, PipelineStatus};
