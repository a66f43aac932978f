//! Operating mode of a bus, told from the bus itself.
//!
//! **In:** frames, time, the speed, what testers achieved, and what the runtime is told from elsewhere. **Out:** a
//! [`Mode`], from which [`gates`](crate::gates) follow. **Never:** a mode that excuses anything while the vehicle is
//! known to drive: whoever can open a session or write frames could then switch detectors off.
//!
//! A mode changes when its evidence has held for a while, and driving at once. Every constant is a property of networks
//! and protocols, none of a vehicle.

use outrider_bus::uds::{Message, Nrc, Response, ServiceId, Session};
use outrider_types::VehicleMicros;

use super::SpeedReading;

/// Silence of a whole bus that is sleep, in microseconds: network management waits 1.5 to 5 s after its last message
/// before it lets a bus sleep.
pub(crate) const SLEEP_US: u64 = 5_000_000;
/// Silence after which even a bus whose vehicle was last seen to drive sleeps, in microseconds: nobody drives that long
/// without a bus, and a speed that was lost at the end of a drive must not hold the mode for days.
const SLEEP_DRIVING_US: u64 = 600_000_000;
/// Shortest start-up, in microseconds: ECUs boot within a second or two, and measure what they send a second later.
pub(crate) const START_MIN_US: u64 = 3_000_000;
/// Time without an identifier that comes back for the first time, after which a start-up is over, in microseconds.
const START_CALM_US: u64 = 2_000_000;
/// Longest start-up, in microseconds: what boots slower is judged while it does (guess).
pub(crate) const START_MAX_US: u64 = 15_000_000;
/// Time at rest that ends a drive, in microseconds: a forged standstill between honest readings never lasts so long.
pub(crate) const STAND_US: u64 = 3_000_000;
/// Time for which a session must be kept up to be a workshop, in microseconds: single requests are a dongle's.
pub(crate) const WORKSHOP_US: u64 = 3_000_000;
/// Time after the last answer in a session at which the workshop is over, in microseconds: six times S3 of ISO 14229-2,
/// so that a session that lapses and is opened again is one visit.
pub(crate) const WORKSHOP_HOLD_US: u64 = 30_000_000;
/// Time after the last sign of a download at which flashing is over, in microseconds: erasing takes long, but an ECU
/// then says every 5 s (P2* of ISO 14229-2) that it is still at work.
pub(crate) const FLASH_HOLD_US: u64 = 15_000_000;
/// Time after an accepted request that stops messages in which they may stop, in microseconds (guess: an ECU jumps into
/// its boot loader, or passes the request on, within a second).
pub(crate) const STOP_US: u64 = 2_000_000;
/// Silence in a session after which an ECU has left it: S3 of ISO 14229-2.
const SESSION_US: u64 = 5_000_000;

/// Operating mode of a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Silent; nobody is missed.
    Sleep,
    /// Just awake: identifiers come back, signals leave their initial and invalid values.
    StartUp,
    /// Awake; whether the vehicle moves is not known.
    Awake,
    /// Awake and at rest.
    Standing,
    /// Moves.
    Driving,
    /// At a charger, as the runtime is told by the charging connection.
    Charging,
    /// A tester works on it, or the runtime is told that a workshop does.
    Workshop,
    /// New software is written into an ECU.
    Flashing,
}

impl Mode {
    /// Number of modes.
    pub const COUNT: usize = 8;
    /// All modes, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Sleep,
        Self::StartUp,
        Self::Awake,
        Self::Standing,
        Self::Driving,
        Self::Charging,
        Self::Workshop,
        Self::Flashing,
    ];

    /// Returns the word in events and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::StartUp => "start-up",
            Self::Awake => "awake",
            Self::Standing => "standing",
            Self::Driving => "driving",
            Self::Charging => "charging",
            Self::Workshop => "workshop",
            Self::Flashing => "flashing",
        }
    }

    /// Place of the mode in [`Self::ALL`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Sleep => 0,
            Self::StartUp => 1,
            Self::Awake => 2,
            Self::Standing => 3,
            Self::Driving => 4,
            Self::Charging => 5,
            Self::Workshop => 6,
            Self::Flashing => 7,
        }
    }

    /// Returns whether somebody at the diagnostic connector is at work.
    pub(crate) const fn is_service(self) -> bool {
        matches!(self, Self::Workshop | Self::Flashing)
    }
}

/// What an ECU granted to a tester, as far as modes follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// Any answer, or the word that one will come.
    Answer,
    /// A session other than the default one.
    Session,
    /// A session in which software is written.
    Programming,
    /// Messages of this or of all ECUs are switched off.
    Silence,
    /// A piece of a download.
    Download,
    /// The end of what was begun: a reset, or the default session.
    End,
}

impl Granted {
    /// Reads what a message grants; `None` for requests, refusals and services of emission checks, which dongles poll.
    pub(crate) fn read(message: &Message<'_>) -> Option<Self> {
        match message {
            Message::Request(_) => None,
            Message::Negative { nrc, .. } => (*nrc == Nrc::ResponsePending).then_some(Self::Answer),
            Message::Positive(response) => Self::of_answer(response),
        }
    }

    fn of_answer(response: &Response<'_>) -> Option<Self> {
        let service = response.service;
        if let Some(session) = response.session() {
            return Some(match session {
                Session::Default => Self::End,
                Session::Programming => Self::Programming,
                Session::Extended | Session::SafetySystem | Session::Unknown(_) => Self::Session,
            });
        }
        if service == ServiceId::DiagnosticSessionControl {
            return None;
        }
        let silences = response.payload.first().is_some_and(|sub| sub & 0x7F != 0);
        Some(if service == ServiceId::EcuReset {
            Self::End
        } else if service == ServiceId::RequestDownload || service == ServiceId::TransferData {
            Self::Download
        } else if service == ServiceId::CommunicationControl && silences {
            Self::Silence
        } else {
            Self::Answer
        })
    }
}

/// State machine of one bus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    mode: Mode,
    since: VehicleMicros,
    /// From when time is counted: the first frame or tick.
    begun: Option<VehicleMicros>,
    /// Latest frame.
    heard: Option<VehicleMicros>,
    /// First frame after the latest sleep, and the latest return of an identifier since.
    woke: VehicleMicros,
    newest: VehicleMicros,
    /// Latest word about motion since the bus woke, and since when the readings say that it stands.
    moves: Option<bool>,
    stood: Option<VehicleMicros>,
    charging: bool,
    workshop: bool,
    /// Since when a session is kept up, and the latest answer in it.
    session: Option<(VehicleMicros, VehicleMicros)>,
    flashed: Option<VehicleMicros>,
    /// Latest accepted request after which messages stop.
    stopped: Option<VehicleMicros>,
    counted: VehicleMicros,
    time_us: [u64; Mode::COUNT],
}

/// A change of mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) from: Mode,
    pub(super) to: Mode,
}

impl Operation {
    pub(super) const fn new() -> Self {
        Self {
            mode: Mode::Awake,
            since: VehicleMicros(0),
            begun: None,
            heard: None,
            woke: VehicleMicros(0),
            newest: VehicleMicros(0),
            moves: None,
            stood: None,
            charging: false,
            workshop: false,
            session: None,
            flashed: None,
            stopped: None,
            counted: VehicleMicros(0),
            time_us: [0; Mode::COUNT],
        }
    }

    pub(super) const fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns whether what comes now may become usual: not what a start-up or a flash brings.
    pub(super) const fn teaches(&self) -> bool {
        match self.mode {
            Mode::Sleep | Mode::StartUp | Mode::Flashing => false,
            Mode::Awake | Mode::Standing | Mode::Driving | Mode::Charging | Mode::Workshop => true,
        }
    }

    pub(super) const fn since(&self) -> VehicleMicros {
        self.since
    }

    /// First frame after the latest sleep; an identifier whose latest frame is older comes back with its next.
    pub(super) const fn woke(&self) -> VehicleMicros {
        self.woke
    }

    /// Time spent in each mode, in the order of [`Mode::ALL`], in microseconds.
    pub(super) const fn time_us(&self) -> [u64; Mode::COUNT] {
        self.time_us
    }

    /// Latest accepted request after which messages may stop.
    pub(super) const fn stopped(&self) -> Option<VehicleMicros> {
        self.stopped
    }

    pub(super) const fn charging(&mut self, charging: bool) {
        self.charging = charging;
    }

    pub(super) const fn workshop(&mut self, workshop: bool) {
        self.workshop = workshop;
    }

    /// Notes a frame; the first after a sleep begins a start-up.
    #[inline]
    pub(super) fn frame(&mut self, at: VehicleMicros) -> Option<Change> {
        // A bus that was silent from the first tick on slept, one that was never heard is caught in the middle.
        let last = self.heard.replace(at).or(self.begun);
        let begun = *self.begun.get_or_insert(at);
        if self.counted < begun {
            (self.counted, self.since) = (begun, begun);
        }
        let silent = at.micros_since(last?);
        if self.mode != Mode::Sleep && silent < self.sleep_us() {
            return None;
        }
        self.woke = at;
        self.newest = at;
        self.moves = None;
        self.stood = None;
        self.enter(at, Mode::StartUp)
    }

    /// Notes that an identifier comes for the first time since the bus woke.
    #[inline]
    pub(super) const fn returned(&mut self, at: VehicleMicros) {
        self.newest = at;
    }

    /// Notes what an ECU granted. While the vehicle drives it grants nothing here: the policy over diagnosis speaks.
    pub(super) fn granted(&mut self, at: VehicleMicros, what: Granted) {
        if self.moves == Some(true) {
            return;
        }
        let kept = self.session.filter(|(_, last)| at.micros_since(*last) <= SESSION_US);
        match what {
            Granted::Answer => self.session = kept.map(|(first, _)| (first, at)).or(self.session),
            Granted::Session => self.session = Some((kept.map_or(at, |(first, _)| first), at)),
            Granted::Programming => {
                self.session = Some((kept.map_or(at, |(first, _)| first), at));
                self.flashed = Some(at);
                self.stopped = Some(at);
            }
            Granted::Silence => {
                self.session = kept.map(|(first, _)| (first, at)).or(self.session);
                self.stopped = Some(at);
            }
            Granted::Download => {
                self.session = Some((kept.map_or(at, |(first, _)| first), at));
                self.flashed = Some(at);
            }
            // After a reset the ECU boots: its messages stop, and come back.
            Granted::End => {
                self.flashed = None;
                self.stopped = Some(at);
            }
        }
    }

    /// Returns whether an ECU is being written now.
    pub(super) fn is_flashed(&self, now: VehicleMicros) -> bool {
        self.moves != Some(true) && self.flashed.is_some_and(|at| now.micros_since(at) < FLASH_HOLD_US)
    }

    /// Lets time pass and returns a change of mode.
    pub(super) fn tick(&mut self, now: VehicleMicros, speed: Option<SpeedReading>) -> Option<Change> {
        if self.begun.is_none() {
            self.begun = Some(now);
            (self.counted, self.since) = (now, now);
        }
        self.count(now);
        self.watch(now, speed);
        let next = self.next(now);
        self.enter(now, next)
    }

    /// Starts over after the clock was set back; the mode stays.
    pub(super) const fn restart(&mut self, at: VehicleMicros) {
        let (mode, moves, time_us) = (self.mode, self.moves, self.time_us);
        let (charging, workshop) = (self.charging, self.workshop);
        *self = Self { mode, moves, time_us, charging, workshop, ..Self::new() };
        (self.begun, self.heard) = (Some(at), Some(at));
        (self.since, self.counted, self.woke, self.newest) = (at, at, at, at);
    }

    fn enter(&mut self, at: VehicleMicros, next: Mode) -> Option<Change> {
        if next == self.mode {
            return None;
        }
        self.count(at);
        let from = core::mem::replace(&mut self.mode, next);
        self.since = at;
        Some(Change { from, to: next })
    }

    fn count(&mut self, now: VehicleMicros) {
        if let Some(time_us) = self.time_us.get_mut(self.mode.index()) {
            *time_us = time_us.saturating_add(now.micros_since(self.counted));
        }
        self.counted = self.counted.max(now);
    }

    /// Follows the speed: driving at once, rest after a while, and without a reading what was known last.
    fn watch(&mut self, now: VehicleMicros, speed: Option<SpeedReading>) {
        match speed.and_then(|reading| reading.is_driving(now)) {
            Some(true) => (self.moves, self.stood) = (Some(true), None),
            Some(false) => {
                let stood = *self.stood.get_or_insert(now);
                if self.moves.is_none() || now.micros_since(stood) >= STAND_US {
                    self.moves = Some(false);
                }
            }
            // A gap in the readings is no rest: it begins again behind it.
            None => self.stood = None,
        }
    }

    const fn sleep_us(&self) -> u64 {
        if matches!(self.moves, Some(true)) { SLEEP_DRIVING_US } else { SLEEP_US }
    }

    fn next(&self, now: VehicleMicros) -> Mode {
        let silent = now.micros_since(self.heard.or(self.begun).unwrap_or(now));
        if silent >= self.sleep_us() {
            return Mode::Sleep;
        }
        if self.mode == Mode::Sleep {
            return Mode::Sleep;
        }
        if self.moves == Some(true) {
            return Mode::Driving;
        }
        if self.mode == Mode::StartUp && !self.is_started(now) {
            return Mode::StartUp;
        }
        let recent = |at: VehicleMicros, hold_us| now.micros_since(at) < hold_us;
        if self.is_flashed(now) {
            return Mode::Flashing;
        }
        let visited = self.session.is_some_and(|(first, last)| {
            recent(last, WORKSHOP_HOLD_US)
                && (self.mode.is_service() || last.micros_since(first) >= WORKSHOP_US)
        });
        if self.workshop || visited {
            return Mode::Workshop;
        }
        if self.charging {
            return Mode::Charging;
        }
        if self.moves == Some(false) { Mode::Standing } else { Mode::Awake }
    }

    fn is_started(&self, now: VehicleMicros) -> bool {
        let age = now.micros_since(self.woke);
        let calm = now.micros_since(self.newest) >= START_CALM_US;
        age >= START_MAX_US || age >= START_MIN_US && calm
    }
}

#[cfg(test)]
mod tests;
