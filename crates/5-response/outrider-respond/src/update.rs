//! Life of an update order: from an engineer's proposal over a second person, the gate and the vehicle's trial to its end.

/// State of an update order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpdateState {
    /// One person proposed it.
    Proposed,
    /// A second person confirmed it; the gate has not judged.
    Confirmed,
    /// The gate said no.
    RefusedByGate,
    /// The gate gave a permit and a signed command waits for the vehicle.
    Permitted,
    /// The command went out with a reply; the vehicle has not answered.
    Sent,
    /// The vehicle obeys: it fetches the artifact, or has it on trial.
    Accepted,
    /// The vehicle uses it and is healthy.
    Done,
    /// The vehicle said no, or took it back.
    RefusedByVehicle,
    /// The time was over before its end.
    Expired,
    /// Somebody withdrew it before it was sent.
    Cancelled,
}

/// What can happen to an update order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpdateEvent {
    /// A second person confirmed it.
    PersonConfirmed,
    /// Somebody withdrew it.
    PersonCancelled,
    /// The gate refused.
    GateRefused,
    /// The gate permitted.
    GatePermitted,
    /// The command went out.
    CommandSent,
    /// The vehicle accepted.
    VehicleAccepted,
    /// The vehicle is healthy with it.
    VehicleDone,
    /// The vehicle refused, or took it back.
    VehicleRefused,
    /// The time is over, or the emergency stop voided the command.
    TimeOver,
}

/// An event that cannot happen in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to an update order that is {}", state.word())]
pub struct IllegalUpdateStep {
    /// State.
    pub state: UpdateState,
    /// Event.
    pub event: UpdateEvent,
}

impl UpdateState {
    /// Every state, in order.
    pub const ALL: [Self; 10] = [
        Self::Proposed,
        Self::Confirmed,
        Self::RefusedByGate,
        Self::Permitted,
        Self::Sent,
        Self::Accepted,
        Self::Done,
        Self::RefusedByVehicle,
        Self::Expired,
        Self::Cancelled,
    ];

    /// Returns the word used in API, database and on screen.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Confirmed => "confirmed",
            Self::RefusedByGate => "refused_by_gate",
            Self::Permitted => "permitted",
            Self::Sent => "sent",
            Self::Accepted => "accepted",
            Self::Done => "done",
            Self::RefusedByVehicle => "refused_by_vehicle",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the state of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Returns whether nothing is expected any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::RefusedByGate | Self::Done | Self::RefusedByVehicle | Self::Expired | Self::Cancelled => {
                true
            }
            Self::Proposed | Self::Confirmed | Self::Permitted | Self::Sent | Self::Accepted => false,
        }
    }

    /// Returns the state after an event. Receipts may come twice, and one may overtake another; what the vehicle says of
    /// its end holds also when the time was over, because a trial may outlast the command.
    ///
    /// # Errors
    /// [`IllegalUpdateStep`].
    pub const fn after(self, event: UpdateEvent) -> Result<Self, IllegalUpdateStep> {
        use UpdateEvent as E;
        match (self, event) {
            (Self::Proposed, E::PersonConfirmed) => Ok(Self::Confirmed),
            // From the moment it is sent the vehicle may already have obeyed.
            (Self::Proposed | Self::Confirmed | Self::Permitted, E::PersonCancelled) => Ok(Self::Cancelled),
            (Self::Confirmed, E::GateRefused) => Ok(Self::RefusedByGate),
            (Self::Confirmed, E::GatePermitted) => Ok(Self::Permitted),
            (Self::Permitted | Self::Sent, E::CommandSent) => Ok(Self::Sent),
            (Self::Sent | Self::Accepted, E::VehicleAccepted) => Ok(Self::Accepted),
            (Self::Sent | Self::Accepted | Self::Done | Self::Expired, E::VehicleDone) => Ok(Self::Done),
            (Self::Sent | Self::Accepted | Self::RefusedByVehicle | Self::Expired, E::VehicleRefused) => {
                Ok(Self::RefusedByVehicle)
            }
            (Self::Proposed | Self::Permitted | Self::Sent | Self::Accepted | Self::Expired, E::TimeOver) => {
                Ok(Self::Expired)
            }
            (
                Self::Proposed
                | Self::Confirmed
                | Self::RefusedByGate
                | Self::Permitted
                | Self::Sent
                | Self::Accepted
                | Self::Done
                | Self::RefusedByVehicle
                | Self::Expired
                | Self::Cancelled,
                event,
            ) => Err(IllegalUpdateStep { state: self, event }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use UpdateEvent as E;

    const EVENTS: [E; 9] = [
        E::PersonConfirmed,
        E::PersonCancelled,
        E::GateRefused,
        E::GatePermitted,
        E::CommandSent,
        E::VehicleAccepted,
        E::VehicleDone,
        E::VehicleRefused,
        E::TimeOver,
    ];

    #[test]
    fn the_straight_way_leads_to_done() {
        let steps =
            [E::PersonConfirmed, E::GatePermitted, E::CommandSent, E::VehicleAccepted, E::VehicleDone];
        assert_eq!(
            steps.into_iter().try_fold(UpdateState::Proposed, UpdateState::after),
            Ok(UpdateState::Done)
        );
    }

    #[test]
    fn nothing_is_sent_without_a_second_person_and_the_gate() {
        // Every path of at most six events from a proposal: whoever is sent was confirmed and permitted before.
        let mut paths = vec![(UpdateState::Proposed, Vec::new())];
        let mut sent = 0;
        for _ in 0..6 {
            let mut further = Vec::new();
            for (state, path) in &paths {
                for event in EVENTS {
                    let Ok(next) = state.after(event) else { continue };
                    let path: Vec<E> = path.iter().copied().chain([event]).collect();
                    if matches!(next, UpdateState::Sent | UpdateState::Accepted | UpdateState::Done)
                        && path.contains(&E::CommandSent)
                    {
                        sent += 1;
                        assert_eq!(path[..2], [E::PersonConfirmed, E::GatePermitted], "{path:?}");
                    }
                    further.push((next, path));
                }
            }
            paths = further;
        }
        assert!(sent > 10, "the branch was taken");
    }

    #[test]
    fn what_ended_by_a_person_or_the_gate_stays_ended_and_what_was_sent_cannot_be_cancelled() {
        for event in EVENTS {
            assert!(UpdateState::Cancelled.after(event).is_err());
            assert!(UpdateState::RefusedByGate.after(event).is_err());
        }
        for state in [UpdateState::Sent, UpdateState::Accepted, UpdateState::Done] {
            assert!(state.after(E::PersonCancelled).is_err());
        }
        assert_eq!(UpdateState::Expired.after(E::VehicleRefused), Ok(UpdateState::RefusedByVehicle));
    }

    #[test]
    fn words_round_trip() {
        assert!(UpdateState::ALL.iter().all(|state| UpdateState::from_word(state.word()) == Some(*state)));
        assert_eq!(UpdateState::ALL.iter().filter(|state| state.is_final()).count(), 5);
    }
}
