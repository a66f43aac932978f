#![doc = include_str!("../README.md")]

mod command;
mod evidence;
mod gate;
mod intent;
mod update;
mod words;

pub use command::{Command, CommandError, CommandSequence};
pub use evidence::{EvidenceEvent, EvidenceState, IllegalStep};
pub use gate::{GateContext, GatePolicy, Permit, PermitId, Refusal, RefusalCode, SafetyGate};
pub use intent::{
    Action, ConfigKind, Configuration, EffectClass, EvidenceWindow, Intent, IntentHash, IntentId,
};
pub use update::{IllegalUpdateStep, UpdateEvent, UpdateState};
pub use words::{AlertStatus, CaseStatus, Disposition, Role};
