//! The three lanes of the vehicle gateway.

use core::fmt;

/// Urgency class of an event on its way to the cloud; each lane has its own sequence numbers and quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Sent at once.
    Critical,
    /// Sent with the next window.
    Batched,
    /// Sent over Wi-Fi or in the workshop.
    Deferred,
}

impl Lane {
    /// All lanes, most urgent first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Batched, Self::Deferred];

    /// Returns the lane's number on the wire and in the lake: 0, 1 or 2.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Critical => 0,
            Self::Batched => 1,
            Self::Deferred => 2,
        }
    }

    /// Returns the lane of a wire number, or `None` for an unknown one.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Critical),
            1 => Some(Self::Batched),
            2 => Some(Self::Deferred),
            _ => None,
        }
    }

    /// Returns the lane's word on the screen, in the API and in rules.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Batched => "batched",
            Self::Deferred => "deferred",
        }
    }

    /// Returns the lane of a word, or `None` for an unknown one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.word() == word)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_round_trip_and_the_next_code_is_unknown() {
        for lane in Lane::ALL {
            assert_eq!(Lane::from_code(lane.code()), Some(lane));
            assert_eq!(Lane::from_word(lane.word()), Some(lane));
        }
        assert_eq!(Lane::from_code(3), None);
    }
}
