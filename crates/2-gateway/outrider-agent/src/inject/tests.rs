use super::*;
use crate::traffic::{Drive, DriveProfile, demo_network, generate};

fn traffic() -> Vec<TimedFrame> {
    let drive = Drive { profile: DriveProfile::City, start: VehicleMicros(0), length_us: 6_000_000 };
    generate(&demo_network(), 5, &drive).collect()
}

fn plan(attack: Attack, seed: u64) -> AttackPlan {
    AttackPlan { attack, seed, start_us: None, length_us: None, id: None, rate_hz: None }
}

#[test]
fn labels_account_for_every_frame_and_the_same_seed_gives_the_same_frames() {
    let clean = traffic();
    for attack in Attack::ALL {
        let (frames, labels) = inject(&clean, &plan(attack, 9)).expect("a target");
        assert!(labels.injected + labels.removed > 0, "{attack:?}");
        assert_eq!(frames.len() as u64 + labels.removed, clean.len() as u64 + labels.injected, "{attack:?}");
        assert!(frames.is_sorted_by_key(|timed| timed.at), "{attack:?}");
        assert_eq!(inject(&clean, &plan(attack, 9)).expect("a target").0, frames, "{attack:?}");
        let before = |frames: &[TimedFrame]| frames.iter().filter(|timed| timed.at < labels.start).count();
        assert_eq!(before(&frames), before(&clean), "{attack:?}");
    }
}

#[test]
fn a_suspended_identifier_is_gone_and_others_are_as_they_were() {
    let clean = traffic();
    let (frames, labels) = inject(&clean, &plan(Attack::Suspend, 1)).expect("a target");
    let target = labels.ids[0];
    let is_target = |timed: &&TimedFrame| timed.frame.id() == Some(target);
    assert!(frames.iter().filter(is_target).all(|timed| timed.at < labels.start || timed.at > labels.end));
    let others = |frames: &[TimedFrame]| frames.iter().filter(|timed| !is_target(timed)).count();
    assert_eq!(others(&frames), others(&clean));
}

#[test]
fn a_flood_leaves_no_room_for_two_frames_at_once() {
    let (frames, labels) = inject(&traffic(), &plan(Attack::Flood, 1)).expect("a target");
    let own: Vec<_> = frames
        .iter()
        .filter(|timed| timed.bus == labels.bus && timed.at >= labels.start && timed.at <= labels.end)
        .collect();
    assert!(own.windows(2).all(|pair| pair[1].at.0 - pair[0].at.0 >= 200));
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let clean = traffic();
    assert_eq!(inject(&[], &plan(Attack::Flood, 1)), Err(InjectError::NoFrames));
    let late = AttackPlan { start_us: Some(60_000_000), ..plan(Attack::Flood, 1) };
    assert!(matches!(inject(&clean, &late), Err(InjectError::Start { .. })));
    let absent = CanId::standard(0x7AB).expect("eleven bits");
    let absent = AttackPlan { id: Some(absent), ..plan(Attack::Suspend, 1) };
    assert!(matches!(inject(&clean, &absent), Err(InjectError::Id { .. })));
    let much = AttackPlan { rate_hz: Some(u32::MAX), ..plan(Attack::Fabricate, 1) };
    assert!(matches!(inject(&clean, &much), Err(InjectError::TooManyFrames { .. })));
    let short = AttackPlan { length_us: Some(0), ..plan(Attack::Flood, 1) };
    assert_eq!(inject(&clean, &short), Err(InjectError::Length));
}
