//! Channels of a capture and the buses they are.

use std::collections::{BTreeMap, BTreeSet};

use outrider_types::BusId;

use super::ProblemReason;

/// Longest channel name that is kept; Linux interface names have at most 15 bytes.
const NAME_BYTES_MAX: usize = 64;

/// Table from channel names to buses, at most 256 long.
#[derive(Debug, Default)]
pub(super) struct Channels {
    first: u8,
    given: BTreeMap<String, BusId>,
    assigned: BTreeMap<String, BusId>,
    used: BTreeSet<BusId>,
}

impl Channels {
    pub(super) fn new(first: BusId, given: &BTreeMap<String, BusId>) -> Self {
        let used = given.values().copied().collect();
        Self { first: first.0, given: given.clone(), assigned: BTreeMap::new(), used }
    }

    /// Returns the bus of a file that has no channels.
    pub(super) const fn only(&self) -> BusId {
        BusId(self.first)
    }

    pub(super) const fn assigned(&self) -> &BTreeMap<String, BusId> {
        &self.assigned
    }

    /// Returns the bus of a channel numbered from `base`, giving it one if it is new.
    pub(super) fn bus(&mut self, name: &str, base: u8) -> Result<BusId, ProblemReason> {
        if let Some(&bus) = self.assigned.get(name) {
            return Ok(bus);
        }
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(ProblemReason::Channel);
        }
        let bus = match self.given.get(name) {
            Some(&bus) => bus,
            None => self.free(name, base)?,
        };
        self.assigned.insert(name.to_owned(), bus);
        self.used.insert(bus);
        Ok(bus)
    }

    fn free(&self, name: &str, base: u8) -> Result<BusId, ProblemReason> {
        let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = name.strip_prefix(prefix).and_then(|digits| digits.parse::<u8>().ok());
        let wanted = number.and_then(|number| number.saturating_sub(base).checked_add(self.first)).map(BusId);
        if let Some(bus) = wanted.filter(|bus| !self.used.contains(bus)) {
            return Ok(bus);
        }
        let mut numbers = (self.first..=u8::MAX).map(BusId);
        numbers.find(|bus| !self.used.contains(bus)).ok_or(ProblemReason::Channels)
    }
}
