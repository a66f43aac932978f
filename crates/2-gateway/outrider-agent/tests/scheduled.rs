//! Every attack on LIN and FlexRay is found in generated traffic, and hours of it without attack raise no alarm.

use outrider_agent::inject::scheduled::{ScheduledAttack, ScheduledPlan, attack};
use outrider_agent::io::capture::Record;
use outrider_agent::replay::{ReplayEvent, ScheduledReplay};
use outrider_agent::scheduled::{ScheduleSections, ScheduledEdge};
use outrider_agent::traffic::{FlexRayTraffic, LinTraffic};
use outrider_types::{BusId, EventTypeId, Severity};
use outrider_wire::catalogue::event;

/// Static slots of the clusters of these tests: a small one.
const SLOTS: u16 = 16;

fn stream(is_lin: bool, seed: u64, seconds: u64) -> Box<dyn Iterator<Item = Record>> {
    let within = move |at: u64| at < seconds * 1_000_000;
    if is_lin {
        let traffic = LinTraffic::drawn(seed, BusId(0));
        Box::new(traffic.take_while(move |one| within(one.at.0)).map(Record::Lin))
    } else {
        let traffic = FlexRayTraffic::drawn(seed, BusId(0), SLOTS);
        Box::new(traffic.take_while(move |one| within(one.at.0)).map(|one| Record::FlexRay(Box::new(one))))
    }
}

fn generated(is_lin: bool, seed: u64, seconds: u64) -> Vec<Record> {
    stream(is_lin, seed, seconds).collect()
}

/// Replays records over detectors that know nothing; returns the events, how many records there were, and how many of
/// them were flagged.
fn replay(records: impl Iterator<Item = Record>) -> (Vec<ReplayEvent>, u64, u64) {
    let mut replay = ScheduledReplay::new(ScheduledEdge::new(ScheduleSections::default()));
    let (mut taken, mut flagged) = (0, 0);
    for record in records {
        let verdict = match record {
            Record::Lin(heard) => replay.tick(heard.at, |edge| edge.lin(&heard)),
            Record::FlexRay(heard) => replay.tick(heard.at, |edge| edge.flexray(&heard)),
            Record::Can(_) | Record::CanXl(_) | Record::Ethernet { .. } => continue,
        };
        taken += 1;
        flagged += u64::from(verdict.is_flagged());
    }
    (replay.finish().0, taken, flagged)
}

/// What an attack must be said as.
fn expected(attack: ScheduledAttack) -> &'static [EventTypeId] {
    match attack {
        ScheduledAttack::LinUnknown => &[event::LIN_UNKNOWN_FRAME, event::LIN_SECOND_MASTER],
        ScheduledAttack::LinSecondMaster => &[event::LIN_SECOND_MASTER],
        ScheduledAttack::LinPublisher => &[event::LIN_PUBLISHER_MISMATCH],
        ScheduledAttack::LinCollision => &[event::LIN_RESPONSE_COLLISION],
        ScheduledAttack::LinSilence => &[event::LIN_SLAVE_SILENT],
        ScheduledAttack::LinScan => &[event::LIN_DIAGNOSTIC_SCAN],
        ScheduledAttack::LinSleep | ScheduledAttack::LinWakeUp => &[event::LIN_SLEEP_ABUSE],
        ScheduledAttack::FlexRayOccupy | ScheduledAttack::FlexRayCycle => &[event::FLEXRAY_SLOT_VIOLATION],
        ScheduledAttack::FlexRaySilence => &[event::FLEXRAY_FRAME_MISSING],
        ScheduledAttack::FlexRayLength => &[event::FLEXRAY_LENGTH_VIOLATION],
        ScheduledAttack::FlexRayFlags => &[event::FLEXRAY_FLAG_VIOLATION],
        ScheduledAttack::FlexRayErrors => &[event::FLEXRAY_ERROR_BURST],
        ScheduledAttack::FlexRayRepeat => &[event::FLEXRAY_ORDER_VIOLATION],
    }
}

#[test]
fn every_attack_is_an_alarm_during_it_and_nothing_is_before() {
    for &kind in ScheduledAttack::ALL {
        let mut found = 0;
        let mut tried = 0;
        for seed in 1..=3 {
            let seconds = if kind.is_lin() { 60 } else { 12 };
            let clean = generated(kind.is_lin(), seed, seconds);
            // A cluster without a shared slot offers no foreign cycle.
            let plan =
                ScheduledPlan { attack: kind, seed, start_us: Some(seconds * 600_000), length_us: None };
            let Ok(attacked) = attack(&clean, &plan) else { continue };
            tried += 1;
            assert!(attacked.counts.iter().sum::<u64>() > 0 && attacked.records != clean);
            let (start, end) = (attacked.start, attacked.end);
            let (events, _, flagged) = replay(attacked.records.into_iter());
            let alarms: Vec<&ReplayEvent> =
                events.iter().filter(|event| event.severity >= Severity::Medium).collect();
            let early = alarms.iter().find(|event| event.severe_at < start);
            assert!(early.is_none(), "{} seed {seed}: {early:?}", kind.word());
            let is_said = alarms.iter().any(|event| {
                expected(kind).contains(&event.event_type) && event.severe_at.0 <= end.0 + 1_000_000
            });
            found += u32::from(is_said);
            assert!(flagged > 0 || kind == ScheduledAttack::FlexRaySilence, "{} seed {seed}", kind.word());
        }
        assert!(tried >= 1 && found == tried, "{}: {found} of {tried}", kind.word());
    }
}

#[test]
fn hours_without_attack_raise_no_alarm() {
    // An hour of each of three LIN buses, which sleep three times in it, and ten minutes of two clusters.
    for (is_lin, seed) in [(true, 1), (true, 2), (true, 3), (false, 1), (false, 2)] {
        let (seconds, least) = if is_lin { (3600, 100_000) } else { (600, 500_000) };
        let (events, taken, _) = replay(stream(is_lin, seed, seconds));
        assert!(taken > least, "{taken}");
        let alarms: Vec<_> = events.iter().filter(|event| event.severity >= Severity::Medium).collect();
        assert!(alarms.is_empty(), "LIN: {is_lin}, seed {seed}: {alarms:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_traffic_and_another_one_another() {
    for is_lin in [true, false] {
        let once = generated(is_lin, 7, 3);
        assert!(once.len() > 100 && once == generated(is_lin, 7, 3) && once != generated(is_lin, 8, 3));
        assert!(once.windows(2).all(|pair| pair[0].at().0 <= pair[1].at().0 + 400));
    }
}
