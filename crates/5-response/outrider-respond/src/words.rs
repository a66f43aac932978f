//! Words of triage: who, which state, which outcome. The same words in code, API, database and on screen.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word used in API, database and on screen.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Returns the value of a word, or `None` for an unknown one.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }
    };
}

words! {
    /// What a person may do; the policy table of the server says which role may do what.
    Role {
        /// Reads, triages, works on cases, asks for evidence.
        Analyst = "analyst",
        /// Also rules, queries and quarantine.
        Engineer = "engineer",
        /// Also users.
        Admin = "admin",
    }
}

words! {
    /// State of an alert.
    AlertStatus {
        /// Nobody has looked at it.
        New = "new",
        /// Somebody owns it.
        Acknowledged = "acknowledged",
        /// It has a disposition.
        Closed = "closed",
    }
}

words! {
    /// Outcome of an alert or a case.
    Disposition {
        /// An attack or a breach of policy.
        TruePositive = "true_positive",
        /// It happened as stated, and was allowed.
        BenignTruePositive = "benign_true_positive",
        /// It did not happen as stated.
        FalsePositive = "false_positive",
        /// A failing part, not an attacker.
        HardwareFault = "hardware_fault",
        /// The same as another one.
        Duplicate = "duplicate",
        /// It cannot be known.
        Indeterminate = "indeterminate",
    }
}

words! {
    /// State of a case.
    CaseStatus {
        /// Nobody works on it.
        New = "new",
        /// Somebody works on it.
        Investigating = "investigating",
        /// It has a disposition.
        Closed = "closed",
    }
}

impl AlertStatus {
    /// Returns whether an alert may go from this state to another.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::New, Self::Acknowledged | Self::Closed)
            | (Self::Acknowledged, Self::New | Self::Closed)
            | (Self::Closed, Self::Acknowledged) => true,
            (Self::New, Self::New)
            | (Self::Acknowledged, Self::Acknowledged)
            | (Self::Closed, Self::New | Self::Closed) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_an_unknown_word_is_none() {
        assert!(Disposition::ALL.iter().all(|value| Disposition::from_word(value.word()) == Some(*value)));
        assert!(Role::ALL.iter().all(|value| Role::from_word(value.word()) == Some(*value)));
        assert_eq!(Role::from_word("root"), None);
    }

    #[test]
    fn a_closed_alert_can_only_be_reopened_as_owned() {
        assert!(AlertStatus::Closed.may_become(AlertStatus::Acknowledged));
        assert!(!AlertStatus::Closed.may_become(AlertStatus::New));
        assert!(!AlertStatus::New.may_become(AlertStatus::New));
    }
}
