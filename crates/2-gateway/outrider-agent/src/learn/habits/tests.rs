use outrider_bus::can::Frame;
use outrider_ids::HabitStats;
use outrider_ids::model::habits::{lines, payloads, pools};
use outrider_ids::model::{
    self, BusDraft, BusModel, ModelDraft, ModelHead, SectionDraft, SectionKind, VehicleModel,
};
use outrider_types::Severity;

use super::*;
use crate::edge::Edge;
use crate::inject::{Attack, AttackPlan, Masquerade, inject};
use crate::learn::Learner;
use crate::replay::{Replay, ReplayEvent, replay};
use crate::traffic::{Platform, drive};

const SECOND: u64 = 1_000_000;
/// Length of a drive that says enough.
const LEARNED: u64 = 330 * SECOND;
const HABITS: [SectionKind; 3] = [SectionKind::PAYLOAD, SectionKind::TOGETHER, SectionKind::CALIBRATION];

fn learned(captures: &[Vec<TimedFrame>]) -> Vec<u8> {
    let mut learner = Learner::new(ModelHead::default());
    captures.iter().for_each(|capture| learner.add_capture(capture));
    learner.finish().expect("frames").model
}

/// The same model without habits, as it was written before.
fn without(bytes: &[u8]) -> Vec<u8> {
    let model = VehicleModel::parse(bytes).expect("a model");
    let buses: Vec<BusModel<'_>> = model.buses().collect();
    let ids: Vec<Vec<_>> = buses.iter().map(|bus| bus.ids().collect()).collect();
    let pairs: Vec<Vec<_>> = buses.iter().map(|bus| bus.pairs().collect()).collect();
    let sections: Vec<Vec<SectionDraft<'_>>> =
        buses.iter().map(|bus| bus.sections().filter(|(kind, _)| !HABITS.contains(kind)).collect()).collect();
    let drafts: Vec<BusDraft<'_>> = (0..buses.len())
        .map(|n| BusDraft { facts: buses[n].facts(), ids: &ids[n], pairs: &pairs[n], sections: &sections[n] })
        .collect();
    let draft = ModelDraft { head: *model.head(), buses: &drafts, sections: &[] };
    let mut out = vec![0; model::encoded_bytes(&draft)];
    model::write(&draft, &mut out).expect("read before");
    out
}

fn alarms(events: &[ReplayEvent]) -> usize {
    events.iter().filter(|event| event.severity > Severity::Low).count()
}

fn edge(model: &[u8]) -> Edge {
    Edge::new(model).expect("just written")
}

fn stats(edge: &Edge) -> HabitStats {
    edge.operations().fold(HabitStats::default(), |sum, one| HabitStats {
        known: sum.known + one.habits.known,
        on_trial: sum.on_trial + one.habits.on_trial,
        refused: sum.refused + one.habits.refused,
        left_out: sum.left_out + one.habits.left_out,
    })
}

#[test]
fn what_was_learned_of_a_drive_fits_the_next_one_and_another_layout_is_learned_anew() {
    let platform = Platform::drawn(5);
    let model = learned(&[drive(&platform, 1, LEARNED)]);
    let parsed = VehicleModel::parse(&model).expect("just written");
    let sections = |kind| parsed.buses().filter_map(move |bus| bus.section(kind));
    let all = sections(SectionKind::PAYLOAD).flat_map(payloads).count();
    let between = sections(SectionKind::TOGETHER).flat_map(lines).count();
    assert!(all > 10 && between > 0, "{all} payloads, {between} lines");
    assert!(sections(SectionKind::CALIBRATION).flat_map(pools).all(|pool| pool.seconds <= 330));
    let fresh = stats(&edge(&model));
    assert_eq!((fresh.on_trial as usize, fresh.left_out), (all, 0));
    let lived = |frames: &[TimedFrame]| {
        let mut replay = Replay::new(edge(&model));
        for frame in frames {
            replay.pass_time(frame.at);
            replay.receive(frame);
        }
        let (events, edge) = replay.finish();
        (alarms(&events), stats(&edge))
    };
    let next = drive(&platform, 2, 15 * SECOND);
    let (said, known) = lived(&next);
    assert!(known.known as usize * 10 >= all * 8 && known.refused as usize * 10 <= all, "{known:?} of {all}");
    assert_eq!(said, alarms(&replay(edge(&without(&model)), &next)));
    // Another release of the software: the bytes of every payload in the opposite order.
    let turned: Vec<TimedFrame> = next
        .iter()
        .map(|timed| {
            let data: Vec<u8> = timed.frame.data().iter().rev().copied().collect();
            let id = timed.frame.id().expect("data frames only");
            TimedFrame { frame: Frame::classic(id, &data).expect("as long as before"), ..*timed }
        })
        .collect();
    let (said, refused) = lived(&turned);
    // Not all: a number that rests for eight frames contradicts nobody.
    assert!(refused.refused as usize * 3 > all, "{refused:?} of {all}");
    assert!(said * 10 <= all, "{said} alarms");
}

#[test]
fn a_vehicle_that_is_known_is_judged_from_the_first_seconds() {
    let (mut known, mut before, mut runs) = (0, 0, 0);
    for seed in 1..=3 {
        let platform = Platform::drawn(seed);
        let model = learned(&[drive(&platform, 1, LEARNED)]);
        let plain = without(&model);
        let next = drive(&platform, 2, 12 * SECOND);
        let (silent, silent_before) =
            (alarms(&replay(edge(&model), &next)), alarms(&replay(edge(&plain), &next)));
        assert!(silent <= silent_before, "{silent} alarms on a clean drive, {silent_before} without habits");
        for attack in 0..8 {
            let plan = AttackPlan {
                start_us: Some(3 * SECOND),
                length_us: Some(5 * SECOND),
                ..AttackPlan::new(Attack::Masquerade(Masquerade::Random), attack)
            };
            let Ok((attacked, _)) = inject(&next, &plan) else { continue };
            runs += 1;
            known += usize::from(alarms(&replay(edge(&model), &attacked)) > silent);
            before += usize::from(alarms(&replay(edge(&plain), &attacked)) > silent_before);
        }
    }
    assert!(known >= 3 && before == 0, "{known} of {runs}, {before} without habits");
}

#[test]
fn short_captures_add_up_and_nothing_is_compared_across_their_ends() {
    let platform = Platform::drawn(7);
    let whole = drive(&platform, 1, 60 * SECOND);
    let pieces: Vec<Vec<TimedFrame>> = (0..10)
        .map(|n| {
            let from = whole[0].at.0 + n * 6 * SECOND;
            whole.iter().filter(|timed| (from..from + 5 * SECOND).contains(&timed.at.0)).copied().collect()
        })
        .collect();
    let habits = |captures: &[Vec<TimedFrame>]| {
        let mut learner = HabitLearner::new(BusId(0));
        let mut ids = BTreeSet::new();
        for capture in captures {
            for timed in capture.iter().filter(|timed| timed.bus == BusId(0)) {
                ids.extend(timed.frame.id());
                learner.add(timed);
            }
            learner.end_capture();
        }
        assert!(!learner.is_enough(), "a minute is not");
        payloads(&learner.sections(&ids).payload).collect::<Vec<_>>()
    };
    assert!(
        habits(&pieces[..1]).iter().all(|habit| habit.fields[0].is_none()),
        "five seconds show no number"
    );
    let (together, at_once) = (habits(&pieces), habits(&[whole]));
    let numbers = |of: &[PayloadHabit]| of.iter().flat_map(|habit| habit.fields.iter().flatten()).count();
    assert!(numbers(&together) * 3 >= numbers(&at_once) * 2, "{} {}", numbers(&together), numbers(&at_once));
    // A second of driving was left out between the pieces: no step may be larger for it.
    let widest = |of: &[PayloadHabit], id: CanId| {
        of.iter()
            .filter(|habit| habit.id == id)
            .flat_map(|habit| habit.fields.iter().flatten())
            .map(|field| field.step_max)
            .max()
    };
    let wider =
        at_once.iter().filter(|habit| widest(&together, habit.id) > widest(&at_once, habit.id)).count();
    assert!(wider * 5 <= at_once.len(), "{wider} of {}", at_once.len());
}

#[test]
fn an_identifier_with_payloads_of_several_lengths_has_no_habits() {
    let mut frames = drive(&Platform::drawn(7), 1, LEARNED);
    let known = |frames: &[TimedFrame]| {
        let model = learned(&[frames.to_vec()]);
        let parsed = VehicleModel::parse(&model).expect("just written");
        let sections = parsed.buses().filter_map(|bus| bus.section(SectionKind::PAYLOAD));
        sections.flat_map(payloads).map(|habit| habit.id).collect::<Vec<_>>()
    };
    let before = known(&frames);
    let first = before[0];
    let other = frames.iter_mut().find(|timed| timed.frame.id() == Some(first)).expect("it came");
    other.frame = Frame::classic(first, &[1]).expect("one byte fits");
    let after = known(&frames);
    assert!(
        !after.contains(&first) && after.len() + 1 >= before.len(),
        "{} of {}",
        after.len(),
        before.len()
    );
}

#[test]
fn models_without_habits_are_read_as_before() {
    for name in ["v1.bin", "v2.bin"] {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/vehicle_model");
        let bytes = std::fs::read(path.join(name)).expect("the corpus is part of the repository");
        assert_eq!(stats(&edge(&bytes)), HabitStats::default(), "{name}");
    }
}
