mod labels;
mod simulated;

use outrider_bus::can::{CanId, Frame};
use outrider_types::{BusId, EventTypeId, VehicleMicros};

use super::*;
use crate::traffic::{Drive, DriveProfile, demo_network, generate};

fn drive(seed: u64, seconds: u64) -> Vec<TimedFrame> {
    let drive =
        Drive { profile: DriveProfile::City, start: VehicleMicros(0), length_us: seconds * 1_000_000 };
    generate(&demo_network(), seed, &drive).filter(|timed| timed.bus == BusId(0)).collect()
}

/// The same traffic as another vehicle would have it: all identifiers changed.
fn foreign(frames: &[TimedFrame]) -> Vec<TimedFrame> {
    let moved = |timed: &TimedFrame| {
        let id = CanId::standard(timed.frame.id()?.value() ^ 0x403)?;
        Some(TimedFrame { frame: Frame::classic(id, timed.frame.data()).ok()?, ..*timed })
    };
    frames.iter().filter_map(moved).collect()
}

fn clean(us: u64, scores: &[u32]) -> Clean {
    Clean { clean_us: us, alarms: scores.iter().copied().map(Score).collect(), ..Clean::default() }
}

const HOUR: u64 = 3_600_000_000;

#[test]
fn a_known_and_an_unknown_vehicle_are_judged_apart_and_the_coarse_attacks_found() {
    let settings = Settings { events_per_class: 2, ..Settings::default() };
    let mut bench = Bench::new(settings);
    bench.train(&drive(1, 20));
    bench.close_training().expect("a drive can be learned");
    bench.clean("known", &drive(2, 20)).expect("learned");
    bench.clean("unknown", &foreign(&drive(3, 20))).expect("its beginning can be learned");
    let outcome = bench.finish();
    assert_eq!(outcome.vehicles, 1);
    let known: Vec<bool> = outcome.captures.iter().map(|row| row.is_known).collect();
    assert_eq!(known, [true, false]);
    assert!(outcome.captures[0].id_share > 0.99 && outcome.captures[1].id_share < 0.6);
    for (capture, is_known) in [(0, true), (1, false)] {
        let own = || outcome.events.iter().filter(|event| event.capture == capture);
        assert!(own().all(|event| event.is_known == is_known));
        for attack in [Attack::Fabricate, Attack::Suspend, Attack::Flood, Attack::Fuzz] {
            let class = || own().filter(|event| event.class == attack.class());
            assert_eq!(class().count(), 2, "{attack:?}");
            assert_eq!(recall(class(), Score::ALARM), Some(1.0), "{attack:?} {capture}");
        }
        let frames = own().filter(|event| event.class == "fabrication").map(|event| event.frames);
        assert!(frames.clone().all(|frames| frames.hit > 0 && frames.quiet > 0));
    }
    let report = report::report(&outcome, None);
    assert_eq!(report["classes"].as_array().map(Vec::len), Some(Attack::ALL.len()));
    assert_eq!(report["false_alarms_per_hour"], 0.0);
    assert!(report["classes"][0]["recall_at_fa_per_hour"]["1"].is_number());
    assert!(
        report["confidence"].as_array().is_some_and(|notes| notes.len() >= 3),
        "a short capture must say so"
    );
}

#[test]
fn the_same_seed_gives_the_same_outcome_and_another_seed_other_attacks() {
    let run = |seed| {
        let mut bench = Bench::new(Settings { seed, events_per_class: 1, ..Settings::default() });
        bench.clean("capture", &drive(4, 9)).expect("its beginning can be learned");
        bench.finish()
    };
    let first = run(1);
    assert_eq!(first, run(1));
    assert_ne!(first.events, run(2).events);
}

#[test]
fn an_alarm_that_the_clean_capture_raises_too_is_no_credit() {
    let frames = drive(1, 8);
    let injector = Injector::new(&frames).expect("frames");
    let stretch = injector.attack(&AttackPlan::new(Attack::Fabricate, 1)).expect("a target");
    let alarm = |at: VehicleMicros, score: u32| Alarm {
        at,
        score: Score(score),
        bus: BusId(0),
        episode: 1,
        event_type: EventTypeId(7),
        can_id: stretch.labels.ids.first().copied(),
        mode: outrider_ids::Mode::Awake,
    };
    let at = stretch.labels.first.saturating_add(1000);
    let hits = |clean: &[Alarm]| {
        let run = Run {
            stretch: stretch.clone(),
            alarms: vec![alarm(at, 3000)],
            frames: FrameCount::default(),
            end_us: stretch.labels.end.0,
        };
        run.event(clean, Match { vehicle: None, id_share: 0.0 }, 0).hits
    };
    assert_eq!(hits(&[]), [Hit { score: Score(3000), delay_us: 1000, located: true }]);
    assert_eq!(hits(&[alarm(at, 3000)]), []);
    assert_eq!(hits(&[alarm(at, 2000)]).len(), 1, "the attack made it worse");
    assert_eq!(hits(&[alarm(VehicleMicros(0), 3000)]).len(), 1, "another time");
}

#[test]
fn a_threshold_keeps_the_rate_on_every_origin() {
    let scores = [Score(1), Score(2), Score(3)];
    let one = clean(HOUR, &[1, 1, 2]);
    assert_eq!(threshold(&scores, &[&one], 3.0), Score(1));
    assert_eq!(threshold(&scores, &[&one], 2.0), Score(2));
    assert_eq!(threshold(&scores, &[&one], 0.5), Score(3));
    let long = clean(100 * HOUR, &[3]);
    assert_eq!(threshold(&scores, &[&one, &long], 0.5), Score(3), "a hundred quiet hours excuse nothing");
    let worst = clean(HOUR / 4, &[3]);
    assert_eq!(threshold(&scores, &[&worst], 1.0), Score(u32::MAX));
}

#[test]
fn the_upper_limit_without_an_alarm_is_three_over_the_hours() {
    let none = clean(3 * HOUR, &[]).upper_95(Score::ALARM).expect("hours");
    assert!((none - 0.9986).abs() < 0.001, "{none}");
    // Exact limits of the Poisson distribution: 4.744 for one, 6.296 for two.
    for (alarms, limit) in [(1, 4.744), (2, 6.296)] {
        let got = clean(HOUR, &vec![4000; alarms]).upper_95(Score::ALARM).expect("hours");
        assert!((got - limit).abs() < 0.05, "{alarms}: {got}");
    }
    assert_eq!(clean(0, &[]).upper_95(Score::ALARM), None);
}

#[test]
fn frames_and_percentiles_are_counted_right() {
    let frames = FrameCount { hit: 3, missed: 1, wrong: 1, quiet: 95 };
    assert_eq!((frames.precision(), frames.recall(), frames.f1()), (Some(0.75), Some(0.75), Some(0.75)));
    assert_eq!(FrameCount::default().precision(), None);
    assert_eq!(percentile(&mut [5, 1, 3], 50), Some(3));
    assert_eq!(percentile(&mut [5, 1, 3, 4], 95), Some(5));
    assert_eq!(percentile(&mut [], 50), None);
}
