//! What a bus does habitually: the sections of [`SectionKind::PAYLOAD`](super::SectionKind::PAYLOAD),
//! [`SectionKind::TOGETHER`](super::SectionKind::TOGETHER) and
//! [`SectionKind::CALIBRATION`](super::SectionKind::CALIBRATION).
//!
//! They are the detectors' own state at the end of training, without what belongs to the moment. Each is checked alone
//! when the model is read: what a checked section says lies inside its payload, its range and its bounds. What the
//! second says of the first (which number of which identifier) is compared when detectors are made of them; a number
//! that is not there is left out, with its lines, and counted.

mod payload;
mod pools;
#[cfg(test)]
mod tests;
mod together;

pub use payload::{
    CHECKS_MAX, CheckHabit, FIELDS_MAX, FieldHabit, PAYLOAD_BYTES_MAX, PAYLOADS_MAX, PayloadHabit,
    payload_head, payloads,
};
pub use pools::{HABIT_NAMES, POOL_BYTES_MAX, POOLS_MAX, PoolHabit, STEPS, pool_head, pools};
pub use together::{
    LINE_BYTES, LINES_EACH_MAX, LineHabit, NUMBER_BYTES, NUMBERS_MAX, NumberHabit, lines, numbers,
    together_head,
};

pub(super) use payload::check as check_payload;
pub(crate) use payload::{CRC, NIBBLES};
pub(super) use pools::check as check_pools;
pub(super) use together::check as check_together;

/// Version of all three sections.
const VERSION: u8 = 1;

/// Returns whether a section is of a version that came later.
fn is_later(section: &[u8]) -> bool {
    section.first().is_some_and(|&version| version > VERSION)
}
