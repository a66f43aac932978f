//! A vehicle's days: it sleeps, starts, drives, charges, is serviced and flashed.

use outrider_bus::can::TimedFrame;
use outrider_types::{BusId, Seed, VehicleMicros};

use super::tester::{Job, Tester};
use super::{Drive, DriveProfile, Platform, Traffic};

/// Operating mode of a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// The network is silent, but for somebody who wakes part of it for seconds.
    Sleep,
    /// ECUs come up one after the other.
    StartUp,
    /// On the road, standing at lights too.
    Driving,
    /// At a charger.
    Charging,
    /// A tester is connected.
    Workshop,
    /// New software is written; ordinary messages are switched off meanwhile.
    Flashing,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 6] =
        [Self::Sleep, Self::StartUp, Self::Driving, Self::Charging, Self::Workshop, Self::Flashing];

    /// Returns the word in reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::StartUp => "start-up",
            Self::Driving => "driving",
            Self::Charging => "charging",
            Self::Workshop => "workshop",
            Self::Flashing => "flashing",
        }
    }
}

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
/// Longest time an ECU needs to send its first frame, in microseconds.
const BOOT_US: u64 = 700_000;
/// Mean time between two partial wake-ups of a sleeping network, in microseconds.
const WAKE_UP_US: u64 = 12 * MINUTE;

/// The order of a vehicle's life; the second number is how often in 20 rounds it happens.
const ROUND: [(Mode, u64); 9] = [
    (Mode::StartUp, 20),
    (Mode::Driving, 20),
    (Mode::Charging, 8),
    (Mode::StartUp, 20),
    (Mode::Driving, 20),
    (Mode::Sleep, 20),
    (Mode::StartUp, 3),
    (Mode::Workshop, 3),
    (Mode::Flashing, 3),
];

/// The frames of a vehicle's life, in the order of time, without an end.
///
/// The first round goes through all modes, shortened, so that what learns from it has seen them.
#[derive(Debug)]
pub struct Life {
    traffic: Traffic,
    platform: Platform,
    seed: Seed,
    mode: Mode,
    until_us: u64,
    step: usize,
    round: u64,
    tester: Option<Tester>,
    /// When part of a sleeping network wakes next, and until when.
    wake: Option<(u64, u64)>,
    profile_until_us: u64,
    silenced: bool,
}

impl Life {
    /// Begins a life of a platform.
    #[must_use]
    pub fn new(platform: &Platform, seed: u64) -> Self {
        let seed = Seed::new(seed);
        let drive = Drive { profile: DriveProfile::Parked, start: VehicleMicros(0), length_us: u64::MAX };
        Self {
            traffic: Traffic::asleep(&platform.network, seed, &drive, platform.habits),
            platform: platform.clone(),
            seed: seed.fork(0x4C69_6665),
            mode: Mode::Sleep,
            until_us: SECOND,
            step: 0,
            round: 0,
            tester: None,
            wake: None,
            profile_until_us: SECOND,
            silenced: false,
        }
    }

    /// Returns the mode of the latest frame.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Length of a mode, in microseconds.
    fn length(&mut self, mode: Mode) -> u64 {
        let (low, high) = match mode {
            Mode::Sleep => (20 * MINUTE, 60 * MINUTE),
            Mode::StartUp => (2 * SECOND, 5 * SECOND),
            Mode::Driving => (8 * MINUTE, 50 * MINUTE),
            Mode::Charging => (15 * MINUTE, 45 * MINUTE),
            Mode::Workshop => (5 * MINUTE, 15 * MINUTE),
            Mode::Flashing => (2 * MINUTE, 4 * MINUTE),
        };
        let length = low + self.seed.below(high - low);
        if self.round == 0 && mode != Mode::StartUp { length / 4 } else { length }
    }

    /// Goes on to the next mode.
    fn advance(&mut self) {
        let at = self.until_us;
        let mode = loop {
            let Some((mode, often)) = ROUND.get(self.step).copied() else {
                self.step = 0;
                self.round += 1;
                continue;
            };
            self.step += 1;
            if self.round == 0 || self.seed.chance(often, 20) {
                break mode;
            }
        };
        self.until_us = at.saturating_add(self.length(mode));
        let was_asleep = self.mode == Mode::Sleep;
        self.mode = mode;
        self.wake = (mode == Mode::Sleep).then(|| self.next_wake(at));
        let job = match mode {
            Mode::Workshop => Some(Job::Service),
            Mode::Flashing => Some(Job::Flash),
            Mode::Sleep | Mode::StartUp | Mode::Driving | Mode::Charging => None,
        };
        let seed = self.seed.fork(at);
        self.tester = job.map(|job| Tester::new(job, self.platform.diagnosis, at, seed));
        self.silenced = false;
        self.profile_until_us = at;
        self.switch(at, was_asleep);
    }

    fn next_wake(&mut self, at: u64) -> (u64, u64) {
        let from = at.saturating_add(WAKE_UP_US / 2 + self.seed.below(WAKE_UP_US));
        (from, from + 2 * SECOND + self.seed.below(3 * SECOND))
    }

    /// Starts and stops messages as the mode has them.
    fn switch(&mut self, at: u64, all_boot: bool) {
        let mode = self.mode;
        let partial = self.wake.is_some_and(|(from, until)| (from..until).contains(&at));
        let silenced = self.silenced;
        let sends = |name: &str| {
            let is = |part: &str| name.contains(part);
            match mode {
                Mode::Sleep => partial && is("Network"),
                Mode::Flashing if silenced => is("Network") || is("Drive0"),
                Mode::Charging => !is("Drive") || is("Drive0"),
                Mode::StartUp | Mode::Driving | Mode::Workshop | Mode::Flashing => !is("Charge"),
            }
        };
        let due: std::collections::BTreeSet<usize> =
            self.traffic.due.iter().map(|(_, index)| *index).collect();
        let mut stopped = Vec::new();
        for (index, sender) in self.traffic.senders.iter_mut().enumerate() {
            match (sends(&sender.name), due.contains(&index)) {
                (true, false) => {
                    let boot =
                        if all_boot { self.seed.below(BOOT_US) } else { self.seed.below(BOOT_US / 10) };
                    let first = sender.wake(at, boot);
                    self.traffic.due.insert((first, index));
                }
                (false, true) => stopped.push(index),
                (true, true) | (false, false) => {}
            }
        }
        self.traffic.due.retain(|(_, index)| !stopped.contains(index));
    }

    /// Lets the driver choose another road, or stand.
    fn steer(&mut self, at: u64) {
        let (profile, minutes) = match self.mode {
            Mode::Driving if self.seed.chance(1, 3) => (DriveProfile::Highway, 12),
            Mode::Driving => (DriveProfile::City, 8),
            Mode::Sleep | Mode::StartUp | Mode::Charging | Mode::Workshop | Mode::Flashing => {
                (DriveProfile::Parked, 60)
            }
        };
        self.traffic.motion.turn_to(profile, self.mode == Mode::Charging);
        self.profile_until_us = at.saturating_add(MINUTE + self.seed.below(minutes * MINUTE));
        // The last stretch of a drive ends in a standstill.
        let rest = self.until_us.saturating_sub(at);
        if self.mode == Mode::Driving && rest < 2 * MINUTE {
            self.traffic.motion.turn_to(DriveProfile::Parked, false);
            self.profile_until_us = self.until_us;
        } else if self.mode == Mode::Driving {
            self.profile_until_us = self.profile_until_us.min(self.until_us.saturating_sub(90 * SECOND));
        }
    }

    /// The next moment at which something but a message changes.
    fn turn(&mut self) -> u64 {
        let mut turn = self.until_us.min(self.profile_until_us.max(1));
        if let Some((from, until)) = self.wake {
            let now = self.traffic.motion.at_us();
            turn = turn.min(if now < from { from } else { until });
        }
        turn
    }
}

/// Longest piece of a drive that [`drive`] cuts out, in microseconds: the shortest drive is longer.
pub const DRIVE_US_MAX: u64 = 6 * MINUTE;

/// Cuts a piece out of a drive of a platform, as a logger that is plugged in on the road records it: it begins at any
/// moment after the first twenty seconds, perhaps at a light. At most [`DRIVE_US_MAX`] long.
#[must_use]
pub fn drive(platform: &Platform, seed: u64, length_us: u64) -> Vec<TimedFrame> {
    let length_us = length_us.min(DRIVE_US_MAX);
    let after_us = 20 * SECOND + Seed::new(seed).fork(0x4375_7421).below(MINUTE);
    let mut life = Life::new(platform, seed);
    let (mut frames, mut begun): (Vec<TimedFrame>, Option<VehicleMicros>) = (Vec::new(), None);
    while let Some(frame) = life.next() {
        // The first round is shortened.
        if life.round == 0 || life.mode() != Mode::Driving {
            (frames, begun) = (Vec::new(), None);
            continue;
        }
        let since_us = frame.at.micros_since(*begun.get_or_insert(frame.at));
        if since_us >= after_us.saturating_add(length_us) {
            break;
        }
        if since_us >= after_us {
            frames.push(frame);
        }
    }
    frames
}

impl Iterator for Life {
    type Item = TimedFrame;

    fn next(&mut self) -> Option<TimedFrame> {
        loop {
            let turn = self.turn();
            let tester = self.tester.as_mut().and_then(Tester::due);
            let end = tester.map_or(turn, |due| due.min(turn));
            if let Some(frame) = self.traffic.next_before(end) {
                return Some(frame);
            }
            if let Some(due) = tester.filter(|due| *due < turn) {
                if let Some(free_at) = self.traffic.busy_until(0, due) {
                    self.tester.as_mut()?.wait_until(free_at);
                    continue;
                }
                let frame = self.tester.as_mut()?.take()?;
                let silences = self.tester.as_ref().is_some_and(Tester::silences_others);
                if silences != self.silenced {
                    self.silenced = silences;
                    self.switch(due, false);
                }
                return Some(TimedFrame { at: VehicleMicros(due), bus: BusId(0), frame });
            }
            self.traffic.motion.advance(turn);
            if turn >= self.until_us {
                self.advance();
            } else if turn == self.profile_until_us {
                self.steer(turn);
            } else {
                self.switch(turn, false);
                if let Some((_, until)) = self.wake.filter(|(_, until)| *until <= turn) {
                    self.wake = Some(self.next_wake(until));
                }
            }
        }
    }
}
