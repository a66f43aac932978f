//! Judges the timing detectors on a bus that nobody knows, recorded by loggers as they are: stamps of a millisecond,
//! stamps in batches, jitter, stalls, lost frames. Nothing may be said of ordinary traffic, and attacks are found.
#![expect(clippy::print_stdout, reason = "the table is what an evaluation is for")]

use outrider_agent::edge::Edge;
use outrider_agent::inject::{Attack, AttackPlan, inject};
use outrider_agent::replay::{ReplayEvent, replay};
use outrider_agent::traffic::{Life, Mode, Platform};
use outrider_bus::can::TimedFrame;
use outrider_types::{BusId, EventTypeId, Seed, Severity, VehicleMicros};
use outrider_wire::catalogue::event;

const SECOND: u64 = 1_000_000;
/// Length of a recording, and when its attack begins.
const LENGTH_US: u64 = 24 * SECOND;
const ATTACK_US: u64 = 8 * SECOND;
/// Platforms, and attacks of each kind on each.
const PLATFORMS: u64 = 3;
const SEEDS: u64 = 2;

/// What a logger does to a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Logger {
    Exact,
    /// Stamps of a millisecond.
    Millisecond,
    /// Frames are handed over every 10 ms and stamped then.
    Batches,
    /// Stamps up to 5 ms late.
    Jitter,
    /// Every few seconds nothing for 200 ms, then all at once.
    Stalls,
    /// Every few seconds nothing for 200 ms, and what came then is lost.
    Gaps,
    /// One frame in a hundred is lost.
    Loss,
    /// One frame in two thousand is lost: too few to be seen among the longest gaps of the bus.
    RareLoss,
}

impl Logger {
    const ALL: [Self; 8] = [
        Self::Exact,
        Self::Millisecond,
        Self::Batches,
        Self::Jitter,
        Self::Stalls,
        Self::Gaps,
        Self::Loss,
        Self::RareLoss,
    ];

    fn record(self, frames: &[TimedFrame]) -> Vec<TimedFrame> {
        let mut seed = Seed::new(11);
        let mut out = frames.to_vec();
        // Stalls: the next one, and the end of the latest.
        let (mut next, mut until) = (3 * SECOND / 2, 0);
        let mut stalled = |at: u64, seed: &mut Seed| {
            if at >= next {
                until = next + 200_000;
                next = until + 2 * SECOND + seed.below(4 * SECOND);
            }
            (at < until).then_some(until)
        };
        match self {
            Self::Exact => {}
            Self::Millisecond => out.iter_mut().for_each(|timed| timed.at.0 -= timed.at.0 % 1000),
            Self::Batches => out.iter_mut().for_each(|timed| timed.at.0 += 10_000 - timed.at.0 % 10_000),
            Self::Jitter => {
                let mut last = 0;
                for timed in &mut out {
                    last = last.max(timed.at.0 + seed.below(5001));
                    timed.at.0 = last;
                }
            }
            Self::Stalls => {
                for timed in &mut out {
                    timed.at.0 = stalled(timed.at.0, &mut seed).unwrap_or(timed.at.0);
                }
            }
            Self::Gaps => out.retain(|timed| stalled(timed.at.0, &mut seed).is_none()),
            Self::Loss => out.retain(|_| !seed.chance(1, 100)),
            Self::RareLoss => out.retain(|_| !seed.chance(1, 2000)),
        }
        assert_eq!(out == frames, self == Self::Exact, "{self:?} must have done something");
        assert!(out.is_sorted_by_key(|timed| timed.at));
        out
    }
}

/// A stretch of a drive of a drawn platform, on its first bus.
fn drive(number: u64) -> Vec<TimedFrame> {
    let seed = Seed::new(77).fork(number).next_u64();
    let mut life = Life::new(&Platform::drawn(seed), seed);
    let mut begin = None;
    let mut out = Vec::new();
    while let Some(timed) = life.next() {
        if life.mode() != Mode::Driving {
            continue;
        }
        // A minute into it, when it moves.
        let begin = *begin.get_or_insert(timed.at.0 + 60 * SECOND);
        let at = VehicleMicros(timed.at.0.saturating_sub(begin));
        if at.0 > LENGTH_US {
            break;
        }
        if timed.at.0 >= begin && timed.bus == BusId(0) {
            out.push(TimedFrame { at, ..timed });
        }
    }
    out
}

/// What this test is about: everything that follows from times, and from who is there.
const KINDS: [EventTypeId; 7] = [
    event::CAN_UNKNOWN_ID,
    event::CAN_WRONG_DLC,
    event::CAN_CYCLE_TIME,
    event::CAN_FLOOD,
    event::CAN_SUSPENSION,
    event::CAN_BUS_OFF,
    event::CAN_ERROR_BURST,
];

fn alarms(frames: &[TimedFrame]) -> Vec<ReplayEvent> {
    let mut events = replay(Edge::untrained(), frames);
    events.retain(|seen| seen.severity > Severity::Low && KINDS.contains(&seen.event_type));
    events
}

#[test]
fn poor_time_stamps_raise_no_alarm_and_hide_no_attack() {
    let drives: Vec<_> = (0..PLATFORMS).map(drive).collect();
    let mut failures = Vec::new();
    for logger in Logger::ALL {
        for (number, frames) in drives.iter().enumerate() {
            let wrong = alarms(&logger.record(frames));
            failures.extend(wrong.iter().map(|seen| format!("{logger:?} {number}: {seen:?}")));
        }
        for attack in [Attack::Fabricate, Attack::Suspend, Attack::Flood, Attack::Fuzz, Attack::BusOff] {
            let (mut found, mut runs) = (0, 0);
            for frames in &drives {
                for seed in 0..SEEDS {
                    let plan = AttackPlan { start_us: Some(ATTACK_US), ..AttackPlan::new(attack, seed) };
                    let (attacked, labels) = inject(frames, &plan).expect("a drive offers a target");
                    let seen = alarms(&logger.record(&attacked));
                    runs += 1;
                    found += u32::from(seen.iter().any(|one| one.severe_at >= labels.start));
                }
            }
            println!("{logger:?} {}: {found} of {runs}", attack.word());
            if found * 10 < runs * 9 {
                failures.push(format!("{logger:?} {}: only {found} of {runs}", attack.word()));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
