//! Hours of generated traffic through all operating modes, for rates that no short recording can show.
//!
//! Each platform is learned from one short life and judged on others of other seeds. Frames are made and judged one
//! at a time; nothing is kept but counts and the first false alarms.

use std::collections::BTreeMap;

use outrider_bus::can::TimedFrame;
use outrider_types::{Seed, VehicleMicros};

use super::garage::learner;
use super::score::Clean;
use super::{Accounts, Alarm, Probe, Score, highest};
use crate::edge::Edge;
use crate::learn::LearnError;
use crate::traffic::{Life, Mode, Platform};

/// What a platform is learned from, in microseconds: its first round goes through all modes in less.
const LEARN_US: u64 = 3600 * 1_000_000;
/// Longest life that is judged in one piece, in microseconds: a day.
const LIFE_US: u64 = 24 * 3600 * 1_000_000;
/// Time between two ticks of the detectors while no frame comes, in microseconds.
const IDLE_TICK_US: u64 = 1_000_000;
/// False alarms kept for people to look at.
const FIRST_ALARMS_MAX: usize = 100;
/// Frames between two looks at the alarms.
const LOOK_FRAMES: u64 = 4096;

/// One operating mode's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModePart {
    /// Time spent in it, in microseconds.
    pub clean_us: u64,
    /// False alarms during it, of at least [`Score::ALARM`].
    pub false_alarms: u64,
}

/// What the simulated hours came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Simulated {
    /// All of it.
    pub clean: Clean,
    /// By operating mode.
    pub modes: BTreeMap<Mode, ModePart>,
    /// Time by operating mode and by what the detectors held it for, in microseconds.
    pub told: BTreeMap<(Mode, outrider_ids::Mode), u64>,
    /// What the detectors by habit used of their budgets.
    pub accounts: Accounts,
    /// Frames judged.
    pub frames: u64,
    /// Platforms.
    pub platforms: u32,
    /// The first false alarms, with the platform's number and the mode.
    pub first_alarms: Vec<(u32, Mode, Alarm)>,
}

/// Lets platforms live for `length_us` together and counts what the detectors hold against them; `habits` says whether
/// their models carry habits, and `progress` is told
/// the time lived so far. Takes time in proportion to the length and memory that does not depend on it.
///
/// # Errors
/// [`LearnError`]: a drawn platform cannot be learned.
pub fn simulate(
    seed: u64,
    length_us: u64,
    platforms: u32,
    habits: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Simulated, LearnError> {
    let mut simulated = Simulated { platforms, ..Simulated::default() };
    let share = length_us / u64::from(platforms.max(1));
    for number in 0..platforms {
        let seed = Seed::new(seed).fork(u64::from(number)).next_u64();
        let platform = Platform::drawn(seed);
        let mut learner = learner(habits);
        // Every other platform has a network description, so that its speed is known.
        if number % 2 == 1 {
            learner.add_database(platform.description().clone());
        }
        for frame in Life::new(&platform, seed).take_while(|frame| frame.at.0 < LEARN_US) {
            learner.add(&frame);
        }
        let model = learner.finish()?.model;
        let (mut left, mut life) = (share, 1u64);
        while left > 0 {
            let piece = left.min(LIFE_US);
            let edge = Edge::new(&model).expect("the learner writes models that parse");
            let life_seed = Seed::new(seed).fork(life).next_u64();
            simulated.live(number, Probe::new(edge), Life::new(&platform, life_seed), piece, progress);
            left -= piece;
            life += 1;
        }
    }
    Ok(simulated)
}

impl Simulated {
    /// Judges one life.
    fn live(
        &mut self,
        platform: u32,
        mut probe: Probe,
        mut life: Life,
        length_us: u64,
        progress: &mut dyn FnMut(u64),
    ) {
        let before = self.clean.clean_us;
        let mut last = VehicleMicros(0);
        let mut seen = 0;
        while let Some(frame) = life.next() {
            let end = frame.at.0 >= length_us;
            let at = if end { VehicleMicros(length_us) } else { frame.at };
            idle(&mut probe, last, at);
            // A network that sleeps has no frame to say so, and only one that sleeps pauses for so long.
            let gap_us = at.micros_since(last);
            let of = if gap_us > IDLE_TICK_US { Mode::Sleep } else { life.mode() };
            self.modes.entry(of).or_default().clean_us += gap_us;
            *self.told.entry((of, probe.mode())).or_default() += gap_us;
            // An alarm while no frame came is one of the pause.
            seen = self.note(platform, of, probe.alarms(), seen);
            last = at;
            if end {
                break;
            }
            self.judge(&mut probe, &frame);
            seen = self.note(platform, life.mode(), probe.alarms(), seen);
            if self.frames.is_multiple_of(LOOK_FRAMES) {
                progress(before.saturating_add(at.0));
            }
        }
        self.note(platform, life.mode(), probe.alarms(), seen);
        self.clean.clean_us = before.saturating_add(length_us);
        self.clean.alarms.extend(highest(probe.alarms()));
        self.clean.alarmed_us += probe.alarmed_us();
        probe.edge().into_iter().for_each(|edge| self.accounts.add(edge));
        progress(self.clean.clean_us);
    }

    fn judge(&mut self, probe: &mut Probe, frame: &TimedFrame) {
        let flagged = probe.receive(frame);
        self.frames += 1;
        self.clean.frames.add(false, flagged);
    }

    /// Notes the alarms from `seen` on and returns how many there are.
    fn note(&mut self, platform: u32, mode: Mode, alarms: &[Alarm], seen: usize) -> usize {
        for (index, alarm) in
            alarms.iter().enumerate().skip(seen).filter(|(_, alarm)| alarm.score >= Score::ALARM)
        {
            let same = |other: &Alarm| {
                other.score >= Score::ALARM && (other.bus, other.episode) == (alarm.bus, alarm.episode)
            };
            if alarms.get(..index).is_some_and(|before| before.iter().rev().take(64).any(same)) {
                continue; // it only turned out worse
            }
            self.modes.entry(mode).or_default().false_alarms += 1;
            if self.first_alarms.len() < FIRST_ALARMS_MAX {
                self.first_alarms.push((platform, mode, *alarm));
            }
        }
        alarms.len()
    }
}

/// Lets time pass without frames, as while the network sleeps.
fn idle(probe: &mut Probe, from: VehicleMicros, to: VehicleMicros) {
    let mut at = from.saturating_add(IDLE_TICK_US);
    while at < to {
        probe.tick(at);
        at = at.saturating_add(IDLE_TICK_US);
    }
}
