#![doc = include_str!("../README.md")]

mod fleet;
mod machine;
pub mod scenario;
mod script;
mod truth;
mod world;

pub use fleet::{ClockFault, FleetPlan, MODEL_LINES, ModelLine, SimVehicle, TENANT};
pub use machine::{Drive, MachineError};
pub use script::{Attack, AttackKind, HOUR_US, MINUTE_US, Planned, Script};
pub use truth::{Detected, Stated, rules_of};
pub use world::{Links, StepReport, World, WorldConfig};
