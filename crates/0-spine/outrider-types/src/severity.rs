//! How bad an event, finding or alert is.

use core::fmt;

/// Severity, from harmless to critical. The order of the variants is the order of badness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth recording, not worth a look.
    Info,
    /// Worth a look when there is time.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth a look now.
    High,
    /// A vehicle or a fleet may be in danger.
    Critical,
}

impl Severity {
    /// All severities, least bad first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Returns the number on the wire and in the lake: 1 (info) to 5 (critical); 0 is unspecified.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Info => 1,
            Self::Low => 2,
            Self::Medium => 3,
            Self::High => 4,
            Self::Critical => 5,
        }
    }

    /// Returns the severity of a wire number, or `None` for an unknown one.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Info),
            2 => Some(Self::Low),
            3 => Some(Self::Medium),
            4 => Some(Self::High),
            5 => Some(Self::Critical),
            _ => None,
        }
    }

    /// Returns the word on the screen, in the API and in rules (Sigma `level`; `info` is `informational` there).
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Returns the severity of a word, or `None` for an unknown one; `informational` is `info`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        if word == "informational" {
            return Some(Self::Info);
        }
        Self::ALL.into_iter().find(|severity| severity.word() == word)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_round_trip_and_order_is_badness() {
        for severity in Severity::ALL {
            assert_eq!(Severity::from_code(severity.code()), Some(severity));
            assert_eq!(Severity::from_word(severity.word()), Some(severity));
        }
        assert_eq!(Severity::from_code(0), None);
        assert!(Severity::Info < Severity::Critical);
    }
}
