#![doc = include_str!("../README.md")]

mod backoff;
pub mod codec;
mod command;
mod command_store;
mod crypto;
mod event;
pub mod fair;
mod file_storage;
pub mod fold;
mod gateway;
mod lanes;
mod memory_storage;
mod sensor;
pub mod short;
pub mod spool;
mod storage;
pub mod uplink;

pub use backoff::Backoff;
pub use command::{Accepted, CommandCaps, CommandContext, LastCommand, Refused, Verdict, judge, receipt};
pub use command_store::{CommandStore, CommandStoreError};
pub use crypto::{EcdsaP256Verifier, Ed25519Signer, Ed25519Verifier, PublicKeyError};
pub use event::{FieldValue, SecurityEvent};
pub use file_storage::FileStorage;
pub use gateway::{GROUP_COMMIT_US, Gateway, HEARTBEAT_US, Numbered, Outcome};
pub use lanes::{Handling, LanePolicies};
pub use memory_storage::{Faults, MemoryStorage, Write};
pub use sensor::{SENSORS, Sensor};
pub use storage::{Storage, StorageError};
