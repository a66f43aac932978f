//! Life of an evidence request, from the analyst's wish to the hashed capture in the case.

/// State of an evidence request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvidenceState {
    /// An analyst asked; the gate has not judged.
    Requested,
    /// The gate said no.
    RefusedByGate,
    /// The gate gave a permit and a signed command waits for the vehicle.
    Permitted,
    /// The command went out with a reply; the vehicle has not answered.
    Sent,
    /// The vehicle obeys.
    Accepted,
    /// The vehicle said no.
    RefusedByVehicle,
    /// The capture is here and its hash is right.
    Received,
    /// The command became void before the capture came.
    Expired,
}

/// What can happen to an evidence request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvidenceEvent {
    /// The gate refused.
    GateRefused,
    /// The gate permitted.
    GatePermitted,
    /// The command went out.
    CommandSent,
    /// The vehicle accepted.
    VehicleAccepted,
    /// The vehicle refused.
    VehicleRefused,
    /// The capture arrived.
    CaptureReceived,
    /// The time is over.
    TimeOver,
}

/// An event that cannot happen in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to a request that is {}", state.word())]
pub struct IllegalStep {
    /// State.
    pub state: EvidenceState,
    /// Event.
    pub event: EvidenceEvent,
}

impl EvidenceState {
    /// Every state, in order.
    pub const ALL: [Self; 8] = [
        Self::Requested,
        Self::RefusedByGate,
        Self::Permitted,
        Self::Sent,
        Self::Accepted,
        Self::RefusedByVehicle,
        Self::Received,
        Self::Expired,
    ];

    /// Returns the word used in API, database and on screen.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::RefusedByGate => "refused_by_gate",
            Self::Permitted => "permitted",
            Self::Sent => "sent",
            Self::Accepted => "accepted",
            Self::RefusedByVehicle => "refused_by_vehicle",
            Self::Received => "received",
            Self::Expired => "expired",
        }
    }

    /// Returns the state of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Returns whether nothing can happen any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::RefusedByGate | Self::RefusedByVehicle | Self::Received | Self::Expired => true,
            Self::Requested | Self::Permitted | Self::Sent | Self::Accepted => false,
        }
    }

    /// Returns the state after an event. An event that repeats the state changes nothing: receipts and uploads
    /// may arrive twice, and a capture may overtake its receipt.
    ///
    /// # Errors
    /// [`IllegalStep`].
    pub const fn after(self, event: EvidenceEvent) -> Result<Self, IllegalStep> {
        use EvidenceEvent as E;
        match (self, event) {
            (Self::Requested, E::GateRefused) => Ok(Self::RefusedByGate),
            (Self::Requested, E::GatePermitted) => Ok(Self::Permitted),
            (Self::Permitted | Self::Sent, E::CommandSent) => Ok(Self::Sent),
            (Self::Permitted | Self::Sent | Self::Accepted, E::VehicleAccepted) => Ok(Self::Accepted),
            (Self::Permitted | Self::Sent | Self::Accepted | Self::RefusedByVehicle, E::VehicleRefused) => {
                Ok(Self::RefusedByVehicle)
            }
            // Evidence that comes after the time is over is still evidence.
            (
                Self::Permitted | Self::Sent | Self::Accepted | Self::Received | Self::Expired,
                E::CaptureReceived,
            ) => Ok(Self::Received),
            (Self::Permitted | Self::Sent | Self::Accepted | Self::Expired, E::TimeOver) => Ok(Self::Expired),
            (Self::Received, E::VehicleAccepted) => Ok(Self::Received),
            (
                Self::Requested
                | Self::RefusedByGate
                | Self::Permitted
                | Self::Sent
                | Self::Accepted
                | Self::RefusedByVehicle
                | Self::Received
                | Self::Expired,
                event,
            ) => Err(IllegalStep { state: self, event }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EvidenceEvent as E;

    #[test]
    fn the_straight_way_leads_to_the_capture() {
        let steps =
            [E::GatePermitted, E::CommandSent, E::VehicleAccepted, E::CaptureReceived, E::VehicleAccepted];
        let end = steps.into_iter().try_fold(EvidenceState::Requested, EvidenceState::after);
        assert_eq!(end, Ok(EvidenceState::Received));
    }

    #[test]
    fn nothing_reaches_a_vehicle_without_the_gate() {
        for event in [E::CommandSent, E::VehicleAccepted, E::CaptureReceived] {
            assert!(EvidenceState::Requested.after(event).is_err());
            assert!(EvidenceState::RefusedByGate.after(event).is_err());
        }
    }

    #[test]
    fn words_round_trip() {
        assert!(
            EvidenceState::ALL.iter().all(|state| EvidenceState::from_word(state.word()) == Some(*state))
        );
        assert_eq!(EvidenceState::ALL.iter().filter(|state| state.is_final()).count(), 4);
    }
}
