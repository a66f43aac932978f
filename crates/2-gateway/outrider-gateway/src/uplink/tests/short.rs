//! Short frames and their proofs.

use outrider_wire::{SealedShort, ShortPlace};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::short::SessionTagger;

/// The other end of a session.
pub(super) struct Edge {
    pub(super) id: u64,
    pub(super) frames: u64,
    epoch: Option<BootEpoch>,
    pub(super) rows: Vec<(u64, Vec<u8>)>,
}

impl Edge {
    pub(super) fn new(id: u64) -> Self {
        Self { id, frames: 0, epoch: None, rows: Vec::new() }
    }

    fn tagger(&self) -> SessionTagger {
        SessionTagger::new([u8::try_from(self.id).expect("small"); 32])
    }

    pub(super) fn session(&self) -> ShortSession {
        ShortSession { id: self.id, tagger: self.tagger() }
    }
}

impl Cloud {
    pub(super) fn take_short(&mut self, bytes: &[u8]) {
        let edge = self.edge.as_mut().expect("a session");
        let place = ShortPlace { vehicle: VEHICLE, number: edge.frames };
        let sealed = SealedShort::parse(bytes).expect("own frame");
        let frame = sealed.open(&edge.tagger(), place).expect("the session's key and number");
        edge.frames += 1;
        let opened = frame.opening.map(|opening| opening.epoch);
        assert!(opened.is_none() || opened != edge.epoch, "told twice");
        edge.epoch = opened.or(edge.epoch);
        let epoch = edge.epoch.expect("told in the first frame");
        let row = ShortCodec::new()
            .and_then(|mut codec| codec.decode(frame.coding, frame.row).map_err(io::Error::other));
        let row = row.expect("own row");
        let event = Batch::parse(&row).expect("own row").events().next().expect("one").expect("own row");
        edge.rows.push((event.head.seq.0, row.clone()));
        self.rows.entry((epoch, event.head.lane)).or_default().insert(event.head.seq.0);
    }

    fn chain(&self) -> [u8; 32] {
        let rows = &self.edge.as_ref().expect("a session").rows;
        rows.iter().fold([0; 32], |chain, (_, row)| {
            Sha256::new().chain_update(chain).chain_update(Sha256::digest(row)).finalize().into()
        })
    }
}

fn with_edge() -> (Gateway<MemoryStorage>, Cloud) {
    let mut cloud = Cloud::new();
    cloud.edge = Some(Edge::new(1));
    (gateway(), cloud)
}

fn shorts(gateway: &Gateway<MemoryStorage>) -> u64 {
    gateway.uplink_counters().short_frames
}

#[test]
fn a_critical_row_alone_goes_in_a_short_frame_and_is_freed_by_the_signed_answer() {
    let (mut gateway, mut cloud) = with_edge();
    for at in 0..3 {
        put(&mut gateway, Lane::Critical, at..at + 1);
        let report = run(&mut gateway, &mut cloud, 10 + at);
        assert_eq!((report.answered, report.freed), (1, 1), "{:?}", report.error);
    }
    assert_eq!((shorts(&gateway), held(&gateway, Lane::Critical)), (3, 0));
    assert!(cloud.frames.iter().all(|frame| frame.len() < 60), "{:?}", cloud.frames.iter().map(Vec::len));
    assert_eq!(gateway.parts_mut().1.unproved_rows(), 3);
}

#[test]
fn the_next_report_proves_what_went_in_short_frames_once() {
    let (mut gateway, mut cloud) = with_edge();
    for at in 0..3 {
        put(&mut gateway, Lane::Critical, at..at + 1);
        run(&mut gateway, &mut cloud, 10 + at);
    }
    let chain = cloud.chain();
    run(&mut gateway, &mut cloud, 900 * SECOND);
    let range = SeqRange::new(Seq(1), Seq(3)).expect("ascending");
    assert_eq!(cloud.proofs, [(BootEpoch(1), ShortProof { lane: Lane::Critical, range, chain })]);
    assert_eq!(gateway.parts_mut().1.unproved_rows(), 0);
    put(&mut gateway, Lane::Critical, 9..10);
    run(&mut gateway, &mut cloud, 901 * SECOND);
    assert_eq!((shorts(&gateway), cloud.proofs.len()), (4, 1));
}

#[test]
fn what_a_short_frame_cannot_carry_goes_in_a_batch() {
    let (mut gateway, mut cloud) = with_edge();
    put(&mut gateway, Lane::Critical, 0..4);
    assert_eq!(run(&mut gateway, &mut cloud, 10).answered, 1, "four rows are shorter together");
    assert_eq!(shorts(&gateway), 0);
    put(&mut gateway, Lane::Critical, 4..5);
    put(&mut gateway, Lane::Batched, 0..1);
    assert_eq!(run(&mut gateway, &mut cloud, 11).answered, 1);
    assert_eq!(shorts(&gateway), 1, "the batched row waits for its window");
    put(&mut gateway, Lane::Critical, 5..6);
    run(&mut gateway, &mut cloud, 11 + 30 * SECOND);
    assert_eq!(shorts(&gateway), 1, "the window has ended: all goes together");
    let fix = ClockFix {
        mono: VehicleMicros(40 * SECOND),
        wall: UnixMicros(1),
        error_us: 1,
        source: ClockSource::Gnss,
    };
    gateway.add_fix(fix).expect("the medium can be written");
    put(&mut gateway, Lane::Critical, 6..7);
    run(&mut gateway, &mut cloud, 41 * SECOND);
    assert_eq!((shorts(&gateway), cloud.fixes), (1, 1), "a new reading of the clock goes first");
    let mut large = SecurityEvent::new(event::CAN_UNKNOWN_ID, VehicleMicros(42 * SECOND));
    large.lane = Lane::Critical;
    let mut noise = Seed::new(1);
    large.context = (0..1000).map(|_| u8::try_from(noise.below(256)).expect("a byte")).collect();
    gateway.receive(large, VehicleMicros(42 * SECOND));
    assert_eq!(run(&mut gateway, &mut cloud, 42 * SECOND).freed, 1);
    assert_eq!(shorts(&gateway), 1, "a long row");
}

#[test]
fn another_session_begins_anew_and_an_unanswered_row_is_not_proved_twice() {
    let (mut gateway, mut cloud) = with_edge();
    put(&mut gateway, Lane::Critical, 0..1);
    run(&mut gateway, &mut cloud, 10);
    cloud.answers = vec![AnswerAs::Fail(0)];
    put(&mut gateway, Lane::Critical, 1..2);
    assert!(run(&mut gateway, &mut cloud, 11).error.is_some());
    let before = cloud.edge.replace(Edge::new(2)).expect("a session");
    run(&mut gateway, &mut cloud, 11 + 2 * SECOND);
    let edge = cloud.edge.as_mut().expect("a session");
    assert_eq!((edge.frames, edge.rows.len()), (1, 1), "told the boot again, counted from 0");
    let rows = [before.rows, std::mem::take(&mut edge.rows)].concat();
    edge.rows = rows;
    let chain = cloud.chain();
    run(&mut gateway, &mut cloud, 900 * SECOND);
    assert_eq!(cloud.proofs.len(), 1);
    assert_eq!(cloud.proofs[0].1.chain, chain);
}

#[test]
fn proofs_survive_a_restart_and_are_sent_for_the_boot_that_is_over() {
    let (mut gateway, mut cloud) = with_edge();
    put(&mut gateway, Lane::Critical, 0..2);
    run(&mut gateway, &mut cloud, 10);
    let saved = gateway.parts_mut().1.save();
    let (mut other, mut later) = (self::gateway(), Cloud::new());
    let uplink = other.parts_mut().1;
    for broken in [&saved[1..], &saved[..saved.len() - 1], &[], &[saved.clone(), vec![0]].concat()] {
        assert!(!uplink.restore(broken, VehicleMicros(0)));
    }
    assert_eq!(uplink.unproved_rows(), 0);
    assert!(uplink.restore(&saved, VehicleMicros(0)));
    assert_eq!(uplink.unproved_rows(), 2);
    run(&mut other, &mut later, 900 * SECOND);
    assert_eq!(
        (later.proofs.len(), later.proofs.first().map(|proof| proof.1.chain)),
        (1, Some(cloud.chain()))
    );
}

#[test]
fn a_refused_short_frame_is_not_the_rows_fault_and_the_row_goes_in_a_batch() {
    let (mut gateway, mut cloud) = with_edge();
    cloud.answers = vec![AnswerAs::Fail(400)];
    put(&mut gateway, Lane::Critical, 0..1);
    assert!(run(&mut gateway, &mut cloud, 10).error.is_some());
    assert_eq!(run(&mut gateway, &mut cloud, 10 + 2 * SECOND).freed, 1);
    assert_eq!((shorts(&gateway), gateway.uplink_counters().set_aside), (1, 0));
    put(&mut gateway, Lane::Critical, 1..2);
    run(&mut gateway, &mut cloud, 13 * SECOND);
    assert_eq!(shorts(&gateway), 1, "not again in this session");
    cloud.edge = Some(Edge::new(2));
    put(&mut gateway, Lane::Critical, 2..3);
    run(&mut gateway, &mut cloud, 14 * SECOND);
    assert_eq!(shorts(&gateway), 2);
}
