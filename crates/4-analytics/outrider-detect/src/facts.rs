//! One match of a rule, on its way from the first stage to the second.

use outrider_model::Matched;
use outrider_types::{EventId, EventTime, IngestTime};

use crate::config::DetectorConfig;
use crate::reason;

/// What counting needs to know of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts<'a> {
    pub(crate) id: EventId,
    pub(crate) time: EventTime,
    pub(crate) ingest: IngestTime,
    /// Empty if the registry has none.
    pub(crate) model: &'a str,
}

impl Facts<'_> {
    /// Judges the event time by the event itself, so that the order of arrival cannot show.
    pub(crate) fn usable(&self, config: &DetectorConfig, length_us: i64) -> Result<(), &'static str> {
        let age = self.ingest.0.0.saturating_sub(self.time.best.0);
        if age > config.horizon_us {
            return Err(reason::BEYOND_HORIZON);
        }
        if age < config.future_us.saturating_neg() {
            return Err(reason::FUTURE);
        }
        if self.time.error_us > length_us.unsigned_abs() / 2 {
            return Err(reason::TIME_UNCERTAIN);
        }
        Ok(())
    }
}

/// One match that counts, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Match<'a> {
    /// Number of the plan that it counts for.
    pub(crate) plan: usize,
    /// Number of the event in its batch; the same number is the same event.
    pub(crate) row: usize,
    pub(crate) facts: Facts<'a>,
    /// Tenant and group.
    pub(crate) key: &'a [u8],
    /// The counted value, where values are counted.
    pub(crate) value: Option<&'a [u8]>,
}

/// Takes the matches of one batch.
pub(crate) trait Sink {
    /// Takes a match; `explain` is only called if the conditions that it met are needed.
    fn take(&mut self, it: &Match<'_>, explain: impl FnOnce() -> Option<Vec<Matched>>);
}

/// Longest text of an explanation in bytes; a longer one is cut.
const EXPLAINED_BYTES_MAX: usize = 4096;

/// Cuts texts that are too long to be carried about.
pub(crate) fn bounded(mut matched: Vec<Matched>) -> Vec<Matched> {
    for it in &mut matched {
        for text in [&mut it.field, &mut it.operator, &mut it.expected, &mut it.observed] {
            text.truncate(text.floor_char_boundary(EXPLAINED_BYTES_MAX));
        }
    }
    matched
}

/// Appends a part of a group's key.
pub(crate) fn write_part(key: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a field of a batch is shorter than 4 GiB");
    key.extend_from_slice(&length.to_le_bytes());
    key.extend_from_slice(bytes);
}

/// Returns whether a key is a tenant and this many parts, of which those marked are pseudonyms or empty.
pub(crate) fn is_key(mut key: &[u8], parts: impl IntoIterator<Item = bool>) -> bool {
    let mut take = |bytes: usize| {
        let (head, rest) = key.split_at_checked(bytes)?;
        key = rest;
        Some(head)
    };
    if take(4).is_none() {
        return false;
    }
    for is_vehicle in parts {
        let Some(length) = take(4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()) else { return false };
        let length = u32::from_le_bytes(length) as usize;
        let Some(part) = take(length) else { return false };
        if if is_vehicle { length != 16 } else { core::str::from_utf8(part).is_err() } {
            return false;
        }
    }
    key.is_empty()
}
