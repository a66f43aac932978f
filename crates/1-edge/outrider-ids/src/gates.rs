//! Which detector judges in which operating mode, and why.
//!
//! [`GATES`] is the whole table. Few entries are not [`Gate::Judges`], and none of a mode in which the vehicle is known
//! to drive. What a workshop or a flash excuses is excused only for what it must disturb: identifiers that fall silent
//! right after an ECU accepted a request that stops them, and the tester's own two identifiers. A faked session thus
//! lowers its own traces, and is itself said (`vehicle.service_mode`).

use outrider_types::{EventTypeId, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use crate::detector::Mode;
use crate::detector::mode::STOP_US;
use crate::observation::{FieldValue, Fields};

/// What gives an alarm, as far as modes and budgets tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Identifiers that the bus does not have.
    UnknownId,
    /// Lengths and kinds of frames that the identifier does not have.
    Length,
    /// Frames between those of a cycle.
    Cycle,
    /// More frames than usual of an identifier without a cycle.
    EventRate,
    /// Floods of an identifier or of the bus.
    Flood,
    /// Identifiers that stopped, one by one.
    Silence,
    /// Identifiers that stopped together.
    GroupSilence,
    /// Identifiers of another bus.
    Segment,
    /// Message counters learned on the road.
    Counter,
    /// Checksums.
    Checksum,
    /// Numbers that move as they never did.
    Payload,
    /// Numbers that stand still or lost their noise.
    Stuck,
    /// Payloads of an earlier time.
    Playback,
    /// Signals that no longer agree.
    Masquerade,
    /// Orders of identifiers that were never seen.
    Sequence,
    /// Error frames and bus off.
    Errors,
    /// The policy over diagnosis.
    Diagnosis,
    /// Everything else: what detectors say of themselves, and the detectors of other networks.
    Other,
}

/// What a detector may say in a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// What it says.
    Judges,
    /// At most low.
    Low,
    /// At most low, if an accepted request is the reason: see the row.
    LowIfAsked,
    /// Nothing.
    Off,
}

/// One row of [`GATES`].
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The detector.
    pub kind: Kind,
    /// What it may say, in the order of [`Mode::ALL`].
    pub gates: [Gate; Mode::COUNT],
    /// Why it does not judge everywhere.
    pub why: &'static str,
}

const J: Gate = Gate::Judges;
const L: Gate = Gate::Low;
const A: Gate = Gate::LowIfAsked;
const O: Gate = Gate::Off;

const ALWAYS: [Gate; Mode::COUNT] = [J; Mode::COUNT];

/// Detectors by mode.
#[rustfmt::skip]
pub static GATES: [Row; 18] = [
    //                              sleep start awake stand drive charge workshop flash
    row(Kind::UnknownId,    ALWAYS,                   "an identifier that does not belong here never does"),
    row(Kind::Length,       ALWAYS,                   "no mode changes the layout of a message"),
    row(Kind::Cycle,        [J, L, J, J, J, J, J, J], "ECUs that boot repeat what they have not said yet"),
    row(Kind::EventRate,    [J, L, J, J, J, J, L, L], "start-up and actuator tests make events that no drive has"),
    row(Kind::Flood,        [J, J, J, J, J, J, J, A], "a download comes as fast as the bus lets it, on the tester's own two identifiers"),
    row(Kind::Silence,      [O, L, J, J, J, J, A, A], "a sleeping network has no cycles, one that boots is not complete; ECUs that accepted a request to stop do"),
    row(Kind::GroupSilence, [O, L, J, J, J, J, A, A], "as for one identifier: communication control stops many"),
    row(Kind::Segment,      ALWAYS,                   "the gateway routes alike in every mode"),
    row(Kind::Counter,      [J, L, J, J, J, J, J, L], "ECUs that boot or were reset begin to count anew"),
    row(Kind::Checksum,     ALWAYS,                   "a checksum holds or not"),
    row(Kind::Payload,      [O, O, J, J, J, J, L, L], "signals leave their initial and invalid values, an actuator test moves them as no drive does"),
    row(Kind::Stuck,        [O, O, J, J, J, J, L, L], "as above, and measurements stop while an ECU is written"),
    row(Kind::Playback,     [O, O, J, J, J, J, L, L], "every start-up is like the last"),
    row(Kind::Masquerade,   [O, O, J, J, J, J, L, L], "signals agree once all have left their initial values"),
    row(Kind::Sequence,     [O, O, J, J, J, J, L, L], "ECUs boot in an order of their own; silenced ones leave gaps"),
    row(Kind::Errors,       ALWAYS,                   "nobody has a reason to make errors"),
    row(Kind::Diagnosis,    ALWAYS,                   "the policy has rules of its own for workshops and for driving"),
    row(Kind::Other,        ALWAYS,                   "not about the traffic of a mode"),
];

const fn row(kind: Kind, gates: [Gate; Mode::COUNT], why: &'static str) -> Row {
    Row { kind, gates, why }
}

impl Kind {
    /// Number of kinds that have a budget: the detectors by habit.
    pub const BUDGETED: usize = 6;
    /// Detectors by habit, in the order of their numbers: what they judge by was learned within seconds on the road,
    /// and nobody vouches for its rate of false alarms. Everything else is a rule, a specification or a margin beyond
    /// all training saw, and is never withheld.
    pub const HABITS: [Self; Self::BUDGETED] =
        [Self::EventRate, Self::Payload, Self::Stuck, Self::Playback, Self::Masquerade, Self::Sequence];

    /// Returns the word of the detector.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::UnknownId => "unknown_id",
            Self::Length => "dlc",
            Self::Cycle => "cycle",
            Self::EventRate => "event_rate",
            Self::Flood => "flood",
            Self::Silence => "silence",
            Self::GroupSilence => "group_silence",
            Self::Segment => "segment",
            Self::Counter => "counter",
            Self::Checksum => "checksum",
            Self::Payload => "payload",
            Self::Stuck => "stuck",
            Self::Playback => "playback",
            Self::Masquerade => "masquerade",
            Self::Sequence => "sequence",
            Self::Errors => "errors",
            Self::Diagnosis => "diagnosis",
            Self::Other => "other",
        }
    }

    /// Place among the detectors by habit; `None` for one that is never withheld.
    pub(crate) const fn budgeted(self) -> Option<usize> {
        match self {
            Self::EventRate => Some(0),
            Self::Payload => Some(1),
            Self::Stuck => Some(2),
            Self::Playback => Some(3),
            Self::Masquerade => Some(4),
            Self::Sequence => Some(5),
            Self::UnknownId
            | Self::Length
            | Self::Cycle
            | Self::Flood
            | Self::Silence
            | Self::GroupSilence
            | Self::Segment
            | Self::Counter
            | Self::Checksum
            | Self::Errors
            | Self::Diagnosis
            | Self::Other => None,
        }
    }

    /// Returns the row of the table.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::UnknownId => 0,
            Self::Length => 1,
            Self::Cycle => 2,
            Self::EventRate => 3,
            Self::Flood => 4,
            Self::Silence => 5,
            Self::GroupSilence => 6,
            Self::Segment => 7,
            Self::Counter => 8,
            Self::Checksum => 9,
            Self::Payload => 10,
            Self::Stuck => 11,
            Self::Playback => 12,
            Self::Masquerade => 13,
            Self::Sequence => 14,
            Self::Errors => 15,
            Self::Diagnosis => 16,
            Self::Other => 17,
        }
    }

    /// Tells the detector from what it says: by its word, and by the event where it has none.
    pub(crate) fn of(event_type: EventTypeId, fields: &Fields) -> Self {
        let word = match fields.value(field::DETECTOR) {
            Some(FieldValue::Text(word)) => word,
            _ => "",
        };
        match event_type {
            event::CAN_PAYLOAD_ANOMALY | event::CAN_MASQUERADE => match word {
                "stuck" => Self::Stuck,
                "playback" => Self::Playback,
                "sequence" => Self::Sequence,
                "payload" => Self::Payload,
                _ if event_type == event::CAN_MASQUERADE => Self::Masquerade,
                _ => Self::Payload,
            },
            event::CAN_CYCLE_TIME if word == "event_rate" => Self::EventRate,
            event::CAN_CYCLE_TIME => Self::Cycle,
            event::CAN_SUSPENSION if matches!(word, "group_silence" | "network_silence") => {
                Self::GroupSilence
            }
            event::CAN_SUSPENSION => Self::Silence,
            event::CAN_UNKNOWN_ID => Self::UnknownId,
            event::CAN_FLOOD => Self::Flood,
            event::CAN_WRONG_DLC | event::CAN_REMOTE_FRAME => Self::Length,
            event::CAN_SEGMENT_VIOLATION => Self::Segment,
            event::CAN_COUNTER_JUMP => Self::Counter,
            event::CAN_CHECKSUM_MISMATCH => Self::Checksum,
            event::CAN_ERROR_BURST | event::CAN_BUS_OFF => Self::Errors,
            event::DIAG_SECURITY_ACCESS_DENIED
            | event::DIAG_SECURITY_ACCESS_BRUTE_FORCE
            | event::DIAG_SESSION_WHILE_DRIVING
            | event::DIAG_SERVICE_SCAN
            | event::DIAG_REQUEST_DOWNLOAD
            | event::DIAG_WRITE_OUTSIDE_WORKSHOP
            | event::DIAG_AUTHENTICATION_FAILED
            | event::DIAG_COMMUNICATION_CONTROL
            | event::DIAG_ECU_RESET
            | event::DIAG_ROUTINE_CONTROL
            | event::DIAG_DTC_CLEARED
            | event::DIAG_OUTPUT_CONTROL => Self::Diagnosis,
            _ => Self::Other,
        }
    }
}

/// The mode of a bus and what a tester was granted there, as far as gates depend on them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gates<S> {
    mode: Mode,
    stopped: Option<VehicleMicros>,
    /// The tester's identifiers: who asks and who answers.
    testers: [Option<S>; 2],
    /// Strikes that were lowered or left out.
    pub(crate) gated: u64,
}

impl<S: Copy + PartialEq> Gates<S> {
    /// Everything judges.
    pub(crate) const fn open() -> Self {
        Self { mode: Mode::Awake, stopped: None, testers: [None, None], gated: 0 }
    }

    /// Follows the mode of the bus.
    pub(crate) const fn set(&mut self, mode: Mode, stopped: Option<VehicleMicros>) {
        self.mode = mode;
        self.stopped = stopped;
    }

    /// Follows the conversation of the tester at work: `asks` is what the one that asks sends on.
    pub(crate) const fn tester(&mut self, who: S, asks: bool) {
        let [asking, answering] = &mut self.testers;
        if asks { *asking = Some(who) } else { *answering = Some(who) }
    }

    /// Returns what the tester at work asks on.
    pub(crate) const fn asking(&self) -> Option<S> {
        let [asking, _] = self.testers;
        asking
    }

    /// Returns what a detector may say now about a subject; never [`Gate::LowIfAsked`].
    pub(crate) fn gate(&self, at: VehicleMicros, kind: Kind, subject: S, fields: &Fields) -> Gate {
        let row = GATES.get(kind.index());
        let gate = row.and_then(|row| row.gates.get(self.mode.index())).copied().unwrap_or(Gate::Judges);
        match gate {
            Gate::Judges | Gate::Low | Gate::Off => gate,
            Gate::LowIfAsked if self.is_asked(at, kind, subject, fields) => Gate::Low,
            Gate::LowIfAsked => Gate::Judges,
        }
    }

    /// Returns whether what a detector has to say is what a tester asked for.
    fn is_asked(&self, at: VehicleMicros, kind: Kind, subject: S, fields: &Fields) -> bool {
        if kind == Kind::Flood {
            return self.testers.contains(&Some(subject));
        }
        let Some(stopped) = self.stopped else { return false };
        let silent_us = match fields.value(field::GAP_US) {
            Some(FieldValue::Int(gap)) => u64::try_from(gap).unwrap_or(0),
            // A group says nothing of its gap, and is said within the limit of its slowest member.
            _ => STOP_US,
        };
        // The last message before the silence may be a cycle older than the request.
        let grace_us = match fields.value(field::GAP_EXPECTED_US) {
            Some(FieldValue::Int(cycle)) => u64::try_from(cycle).unwrap_or(0).saturating_mul(2),
            _ => STOP_US,
        };
        let fell_silent = at.0.saturating_sub(silent_us);
        let (from, to) = (stopped.0.saturating_sub(grace_us), stopped.0.saturating_add(STOP_US));
        (from..=to).contains(&fell_silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: VehicleMicros = VehicleMicros(100_000_000);

    fn gates(mode: Mode, stopped: Option<u64>) -> Gates<Option<u32>> {
        let mut gates = Gates::open();
        gates.set(mode, stopped.map(VehicleMicros));
        gates
    }

    #[test]
    fn rows_stand_where_their_detectors_look_for_them_and_modes_where_theirs_do() {
        for (index, row) in GATES.iter().enumerate() {
            assert_eq!(row.kind.index(), index, "{:?}", row.kind);
        }
        for (index, mode) in Mode::ALL.into_iter().enumerate() {
            assert_eq!(mode.index(), index);
        }
        for (index, kind) in Kind::HABITS.into_iter().enumerate() {
            assert_eq!(kind.budgeted(), Some(index));
        }
        let budgeted = GATES.iter().filter(|row| row.kind.budgeted().is_some()).count();
        assert_eq!(budgeted, Kind::BUDGETED);
    }

    #[test]
    fn nothing_is_gated_while_the_vehicle_drives_stands_or_charges() {
        for row in &GATES {
            for mode in [Mode::Awake, Mode::Standing, Mode::Driving, Mode::Charging] {
                assert_eq!(row.gates[mode.index()], Gate::Judges, "{:?} in {mode:?}", row.kind);
            }
        }
    }

    #[test]
    fn no_mode_gates_what_breaks_a_rule() {
        use Kind::{Checksum, Diagnosis, Errors, Length, Segment, UnknownId};
        for kind in [UnknownId, Length, Segment, Checksum, Errors, Diagnosis] {
            assert_eq!(GATES[kind.index()].gates, ALWAYS, "{kind:?}");
        }
    }

    #[test]
    fn a_flash_excuses_the_flood_of_its_own_identifiers_only() {
        let mut gates = gates(Mode::Flashing, None);
        gates.tester(Some(0x7E0), true);
        gates.tester(Some(0x7E8), false);
        let gate = |id| gates.gate(AT, Kind::Flood, id, &Fields::new());
        assert_eq!([gate(Some(0x7E0)), gate(Some(0x7E8))], [Gate::Low, Gate::Low]);
        assert_eq!([gate(Some(0)), gate(None)], [Gate::Judges, Gate::Judges]);
        let mut driving = gates;
        driving.set(Mode::Driving, None);
        assert_eq!(driving.gate(AT, Kind::Flood, Some(0x7E0), &Fields::new()), Gate::Judges);
    }

    #[test]
    fn a_stop_is_excused_if_it_follows_an_accepted_request_and_not_before_or_long_after() {
        let fields =
            |silent_us| Fields::new().int(field::GAP_US, silent_us).int(field::GAP_EXPECTED_US, 20_000);
        // Said at 100 s, after a silence of 300 ms: it began at 99.7 s.
        let gate = |mode, stopped| gates(mode, stopped).gate(AT, Kind::Silence, Some(1), &fields(300_000));
        for mode in [Mode::Workshop, Mode::Flashing] {
            assert_eq!(gate(mode, Some(99_000_000)), Gate::Low);
            assert_eq!(gate(mode, Some(99_720_000)), Gate::Low, "its last message was before the request");
            assert_eq!(gate(mode, Some(99_800_000)), Gate::Judges, "it stopped before the request");
            assert_eq!(gate(mode, Some(97_600_000)), Gate::Judges, "it stopped long after it");
            assert_eq!(gate(mode, None), Gate::Judges);
        }
        assert_eq!(gate(Mode::Standing, Some(99_000_000)), Gate::Judges);
    }

    #[test]
    fn detectors_are_told_by_their_words_and_events() {
        let of = |event_type, word| Kind::of(event_type, &Fields::new().text(field::DETECTOR, word));
        assert_eq!(of(event::CAN_CYCLE_TIME, "event_rate"), Kind::EventRate);
        assert_eq!(of(event::CAN_CYCLE_TIME, "cycle_cusum"), Kind::Cycle);
        assert_eq!(of(event::CAN_MASQUERADE, "stuck"), Kind::Stuck);
        assert_eq!(of(event::CAN_MASQUERADE, "masquerade"), Kind::Masquerade);
        assert_eq!(of(event::CAN_PAYLOAD_ANOMALY, "payload"), Kind::Payload);
        assert_eq!(of(event::CAN_SUSPENSION, "network_silence"), Kind::GroupSilence);
        assert_eq!(of(event::CAN_SUSPENSION, "absence"), Kind::Silence);
        assert_eq!(of(event::DIAG_ECU_RESET, ""), Kind::Diagnosis);
    }
}
