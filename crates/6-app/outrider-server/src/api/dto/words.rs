//! Closed word lists of the API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Declares an enum whose variants are `snake_case` words in JSON and in the database.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every word, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the word as the API and the database write it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
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
    /// How bad something is, least bad first.
    Severity {
        /// Worth recording, not worth a look.
        Info = "info",
        /// Worth a look when there is time.
        Low = "low",
        /// Worth a look today.
        Medium = "medium",
        /// Worth a look now.
        High = "high",
        /// A vehicle or a fleet may be in danger.
        Critical = "critical",
    }
}

words! {
    /// Whether a vehicle is let in.
    VehicleState {
        /// Let in.
        Active = "active",
        /// Kept out until somebody resumes it.
        Suspended = "suspended",
        /// Kept out for good: its keys are not trusted.
        Revoked = "revoked",
        /// Kept out for good: it was scrapped, or belongs to somebody else.
        Retired = "retired",
    }
}

words! {
    /// Where a vehicle stands in its life, as the maker or the authority states it.
    Registration {
        /// Built, not on the road yet.
        Produced = "produced",
        /// On the road.
        Registered = "registered",
        /// Taken off the road.
        Deregistered = "deregistered",
        /// Does not exist any more.
        Scrapped = "scrapped",
    }
}

words! {
    /// How far the roll-out of monitoring has come for a vehicle.
    MonitoringStage {
        /// Not to be monitored.
        OutOfScope = "out_of_scope",
        /// To be monitored later.
        Planned = "planned",
        /// Monitored with the first vehicles of its line.
        Pilot = "pilot",
        /// Monitored.
        Full = "full",
    }
}

words! {
    /// Where a request to show a VIN stands.
    RevealState {
        /// A second person must agree.
        Waiting = "waiting",
        /// Who asked may open it, once.
        Approved = "approved",
        /// The VIN was shown.
        Opened = "opened",
        /// Its time is over.
        Lapsed = "lapsed",
    }
}

words! {
    /// Where an alert stands in triage.
    AlertStatus {
        /// Nobody has taken it.
        New = "new",
        /// Somebody owns it.
        Acknowledged = "acknowledged",
        /// Judged, with a disposition.
        Closed = "closed",
    }
}

words! {
    /// What an alert or a case turned out to be.
    Disposition {
        /// An attack or a violation, as the rule says.
        TruePositive = "true_positive",
        /// What the rule says, but permitted: a test, a workshop, a known tool.
        BenignTruePositive = "benign_true_positive",
        /// The rule was wrong.
        FalsePositive = "false_positive",
        /// A defect, not an attack.
        HardwareFault = "hardware_fault",
        /// Already told by another alert.
        Duplicate = "duplicate",
        /// Cannot be decided with what is known.
        Indeterminate = "indeterminate",
    }
}

words! {
    /// Where a case stands.
    CaseStatus {
        /// Opened, nobody has started.
        New = "new",
        /// Somebody works on it.
        Investigating = "investigating",
        /// Closed with a disposition.
        Closed = "closed",
    }
}

words! {
    /// Where a request for evidence stands between analyst, gate and vehicle.
    EvidenceState {
        /// Asked for, not yet judged.
        Requested = "requested",
        /// The safety gate said no; `reasons` says why.
        RefusedByGate = "refused_by_gate",
        /// The gate issued a permit; the command waits for the vehicle.
        Permitted = "permitted",
        /// The signed command left with a reply to the vehicle.
        Sent = "sent",
        /// The vehicle took the command.
        Accepted = "accepted",
        /// The vehicle refused the command; `reasons` says why.
        RefusedByVehicle = "refused_by_vehicle",
        /// The capture is here and its hash holds.
        Received = "received",
        /// Nothing came before the command expired.
        Expired = "expired",
    }
}

words! {
    /// What an artifact configures.
    ArtifactKind {
        /// Lanes, windows, fair shares, budgets.
        Policy = "policy",
        /// Filters of qualification and patterns of logs.
        Rules = "rules",
        /// Vehicle model.
        Model = "model",
    }
}

words! {
    /// Where an update order stands between two persons, gate and vehicle.
    UpdateState {
        /// One person proposed it.
        Proposed = "proposed",
        /// A second person confirmed it; not yet judged.
        Confirmed = "confirmed",
        /// The safety gate said no; `reasons` says why.
        RefusedByGate = "refused_by_gate",
        /// The gate issued a permit; the command waits for the vehicle.
        Permitted = "permitted",
        /// The signed command left with a reply to the vehicle.
        Sent = "sent",
        /// The vehicle fetches the artifact, or has it on trial.
        Accepted = "accepted",
        /// The vehicle uses it and is healthy.
        Done = "done",
        /// The vehicle refused it or took it back; `reasons` says why.
        RefusedByVehicle = "refused_by_vehicle",
        /// The time was over before its end.
        Expired = "expired",
        /// Somebody withdrew it before it was sent.
        Cancelled = "cancelled",
    }
}

words! {
    /// What a user may do.
    Role {
        /// Reads, triages, keeps cases, requests evidence.
        Analyst = "analyst",
        /// Also reads rules and quarantine and runs SQL.
        Engineer = "engineer",
        /// Also manages users.
        Admin = "admin",
    }
}

words! {
    /// Urgency class of an event on its way to the cloud.
    Lane {
        /// Sent at once.
        Critical = "critical",
        /// Sent with the next window.
        Batched = "batched",
        /// Sent over Wi-Fi or in the workshop.
        Deferred = "deferred",
    }
}

words! {
    /// When a vehicle was last heard of.
    Connectivity {
        /// Heard of in the last five minutes.
        Online = "online",
        /// Heard of in the last 24 hours.
        Recent = "recent",
        /// Not heard of for more than 24 hours.
        Silent = "silent",
        /// Registered, never heard of.
        Never = "never",
    }
}

words! {
    /// What is known of a hole in a lane's numbers; one that was filled is none any more.
    GapState {
        /// Missing, still in time.
        Open = "open",
        /// The vehicle said, signed, that it dropped them.
        Tombstoned = "tombstoned",
        /// Missing for too long.
        Overdue = "overdue",
    }
}

words! {
    /// Whether the account of a lane balances: received + tombstoned + folded = counted.
    AccountState {
        /// To the last observation.
        Balanced = "balanced",
        /// Something is still to come.
        Waiting = "waiting",
        /// Whole by number, not to the observation.
        Inexact = "inexact",
        /// Whole, and the sums differ.
        Mismatch = "mismatch",
        /// The boot is so old that its books are closed.
        Closed = "closed",
    }
}

words! {
    /// What a map cell is coloured by.
    MapLayer {
        /// Open alerts.
        Alerts = "alerts",
        /// Security events of the last 24 hours.
        Events = "events",
        /// Vehicles.
        Vehicles = "vehicles",
    }
}

words! {
    /// How a rule decides.
    RuleKind {
        /// Fires on one event.
        Match = "match",
        /// Counts events in a window.
        EventCount = "event_count",
        /// Counts different values in a window.
        ValueCount = "value_count",
        /// Several rules match in a window.
        Temporal = "temporal",
        /// Several rules match in a window, in their order.
        TemporalOrdered = "temporal_ordered",
    }
}

words! {
    /// What an entry of a case's timeline tells.
    TimelineKind {
        /// The case was opened.
        Opened = "opened",
        /// An alert was added.
        AlertAdded = "alert_added",
        /// Somebody wrote a note.
        Note = "note",
        /// A request for evidence moved on.
        Evidence = "evidence",
        /// The case changed its status.
        Status = "status",
        /// The case was closed.
        Closed = "closed",
    }
}

words! {
    /// What waits for a person.
    WaitingKind {
        /// A critical or high alert nobody has taken.
        Alert = "alert",
        /// A request for evidence that has not come to its end.
        EvidenceRequest = "evidence_request",
        /// A case nobody has started.
        Case = "case",
    }
}

words! {
    /// What to do with the selected alerts.
    AlertActionKind {
        /// Take them; the caller becomes owner.
        Acknowledge = "acknowledge",
        /// Give them back to the queue.
        Unacknowledge = "unacknowledge",
        /// Judge them; needs a disposition.
        Close = "close",
        /// Open closed ones again.
        Reopen = "reopen",
        /// Give them to `owner`.
        Assign = "assign",
        /// Add them to the case `case_id`.
        AddToCase = "add_to_case",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that database, JSON and document spell every word alike.
    macro_rules! check_words {
        ($($name:ident),*) => {$(
            for value in $name::ALL {
                assert_eq!($name::from_word(value.word()), Some(*value));
                let json = serde_json::to_string(value).expect("an enum of words is JSON");
                assert_eq!(json, format!("\"{}\"", value.word()));
                let schema = serde_json::to_string(&<$name as utoipa::PartialSchema>::schema()).expect("a schema is JSON");
                assert!(schema.contains(&json), "{schema} lacks {json}");
            }
        )*};
    }

    #[test]
    fn database_json_and_document_spell_every_word_alike() {
        check_words!(
            Severity,
            AlertStatus,
            Disposition,
            CaseStatus,
            EvidenceState,
            ArtifactKind,
            UpdateState,
            Role,
            Lane,
            Connectivity,
            GapState,
            AccountState,
            MapLayer,
            RuleKind,
            TimelineKind,
            WaitingKind,
            AlertActionKind
        );
        assert_eq!(Disposition::from_word("TRUE_POSITIVE"), None);
    }

    #[test]
    fn severities_are_ordered_by_badness() {
        assert!(Severity::Info < Severity::Critical);
    }
}
