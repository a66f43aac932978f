//! What the detectors of scheduled buses think of one thing heard.

/// Which rule was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Nobody sends this.
    Unknown,
    /// It is not where the schedule has it.
    Schedule,
    /// It has another length than its owner gives it.
    Length,
    /// A response comes from somebody else, collides, or is missing.
    Response,
    /// A slot carries flags that are not its own.
    Flags,
    /// Damage comes in bursts.
    Errors,
    /// The bus is woken or put to sleep too often, or against its master's will.
    Sleep,
    /// Node addresses are tried one after the other.
    Scan,
}

impl Rule {
    /// Returns the word of the rule.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Schedule => "schedule",
            Self::Length => "length",
            Self::Response => "response",
            Self::Flags => "flags",
            Self::Errors => "errors",
            Self::Sleep => "sleep",
            Self::Scan => "scan",
        }
    }
}

/// Judgement on one thing heard; unlike an [`Observation`](crate::Observation), it is given for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The rule that it breaks; `None` for an ordinary one.
    pub rule: Option<Rule>,
}

impl Verdict {
    /// Nothing unusual.
    pub const ORDINARY: Self = Self { rule: None };

    /// Keeps the rule that was broken first.
    pub(crate) const fn or(self, rule: Rule) -> Self {
        if self.rule.is_some() { self } else { Self { rule: Some(rule) } }
    }

    /// Returns whether a rule is broken.
    #[must_use]
    pub const fn is_flagged(self) -> bool {
        self.rule.is_some()
    }
}
