//! The event batch, its catalogue, findings and the ports between layers.
//!
//! **In:** rows from decoders. **Out:** the one batch shape ([`EventBatch`]) that enrichment, rules, lake and
//! screen share; [`Finding`]s; the traits at which layers meet ([`EventLog`], [`Stage`], [`Decoder`], [`Sink`]).
//! **Never:** I/O, a wall clock, a row turned into JSON. **Start reading** at [`EventBatch`].

mod balance;
mod batch;
pub mod catalogue;
mod column;
mod dictionary;
mod finding;
pub mod invariants;
mod ports;
mod registry;

pub use balance::{Balance, StageName};
pub use batch::{EventBatch, EventRow, FieldValue, RowRef, UNREGISTERED};
pub use column::{BoolColumn, FieldColumn, FieldValues, Presence, TextColumn};
pub use dictionary::Dictionary;
pub use finding::{Evidence, Finding, FindingId, GroupKey, Matched, RuleId, Window};
pub use ports::{
    AppendError, DecodeContext, Decoded, Decoder, EventLog, LOG_WRITERS_MAX, LogOffset, LogRecord,
    OwnerEpoch, Partition, PartitionOwner, Reject, SaveError, Sink, SinkError, Stage, Watermark,
};
pub use registry::{Connectivity, EcuEntry, MonitoringStage, Registration, VehicleRecord, VehicleRegistry};
