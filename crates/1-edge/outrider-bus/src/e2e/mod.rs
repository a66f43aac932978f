//! End-to-end protection: AUTOSAR profiles 1, 2, 4, 5, 11 and 22, and the checksum habits of car makers.
//!
//! [`Protection`] checks and writes the header of one message, [`Receiver`] follows the counter from message to
//! message, [`pattern`] has the checksums that no standard names. Source: AUTOSAR FO PRS E2EProtocol (R22-11),
//! chapter 6; its published examples are the golden vectors of the tests.

pub mod pattern;
mod repr;
mod state;
#[cfg(test)]
mod tests;

pub use repr::{DataIdMode, E2eError, Profile1, Profile2, Profile4, Profile5, Protection};
pub use state::{Receiver, Status, counter_gap};
