//! Tombstones, anchor and boot statements in frames.

use outrider_wire::{BootEnd, TOMBSTONE_SIGNED_BYTES_MAX};

use super::*;
use crate::Write;

/// What the frames so far stated: each tombstone with whether the device key signed it, anchors, boot statements with
/// the epoch of their frame.
#[derive(Debug, Default)]
struct Stated {
    tombstones: Vec<(Lane, u64, u64, u64, bool)>,
    anchors: Vec<(u8, u64)>,
    boots: Vec<(u64, u64, bool, Vec<BootEnd>)>,
    gaps_before_tombstone: u64,
}

fn stated(cloud: &Cloud) -> Stated {
    let mut stated = Stated::default();
    let mut told = BTreeSet::new();
    for frame in &cloud.frames {
        let sealed = SealedEnvelope::parse(frame).expect("own frame");
        let envelope = sealed.open(&cloud.vehicle_key).expect("own frame");
        let header = envelope.header;
        let raw = codec::decode(header.dict, header.raw_bytes, envelope.payload).expect("own payload");
        let batch = Batch::parse(&raw).expect("own rows");
        for view in batch.tombstones().map(|view| view.expect("own rows")) {
            let mut text = [0; TOMBSTONE_SIGNED_BYTES_MAX];
            let text = view.signed(header.epoch, &mut text).expect("the longest fits");
            let is_signed = cloud.vehicle_key.verify(text, &view.head.signature);
            let rows: u64 = view.lost().map(|lost| lost.rows).sum();
            let range = view.head.range;
            told.extend((range.first().0..=range.last().0).map(|seq| (header.epoch, view.head.lane, seq)));
            stated.tombstones.push((view.head.lane, range.first().0, range.last().0, rows, is_signed));
        }
        for gap in batch.gaps().map(|gap| gap.expect("own rows")) {
            let all = gap.range.first().0..=gap.range.last().0;
            let untold = all.filter(|seq| !told.contains(&(header.epoch, gap.lane, *seq))).count();
            stated.gaps_before_tombstone += untold as u64;
        }
        stated
            .anchors
            .extend(batch.anchors().map(|anchor| anchor.expect("own rows")).map(|it| (it.kind, it.counter)));
        stated.boots.extend(batch.boots().map(|view| view.expect("own rows")).map(|view| {
            let head = view.head;
            (header.epoch.0, head.current.0, head.previous.is_some(), view.ends().collect())
        }));
    }
    stated
}

fn tight() -> Gateway<MemoryStorage> {
    let config = SpoolConfig {
        quota_bytes: [3 << 10, 2 << 10, 2 << 10],
        segment_bytes: 1 << 10,
        journal_bytes: 10 << 10,
    };
    // The device key is the batch key, as in the agent.
    let boot = Boot::in_memory(BootEpoch(1), 1, &[1; 32]);
    let (spool, _) = Spool::open(MemoryStorage::new(), config, boot).expect("the medium can be written");
    let uplink = Uplink::new(UplinkConfig::new(TenantId(1), VEHICLE, 1), Seed::new(5)).expect("memory");
    let fold = FoldConfig { window_us: [0; 3], ..FoldConfig::default() };
    let mut gateway = Gateway::new(fold, spool, uplink);
    // One sensor fills the medium here.
    gateway.set_policies(crate::LanePolicies::with_windows(&fold).without_shares());
    gateway
}

#[test]
fn what_was_evicted_is_told_with_signed_counts_before_or_with_its_gap_and_once() {
    let (mut gateway, mut cloud) = (tight(), Cloud::new());
    put(&mut gateway, Lane::Batched, 0..300);
    run(&mut gateway, &mut cloud, 10);
    run(&mut gateway, &mut cloud, 10 + 30 * SECOND);
    let first = stated(&cloud);
    assert!(!first.tombstones.is_empty(), "nothing was evicted");
    assert!(
        first.tombstones.iter().all(|(_, from, to, rows, signed)| *rows == to - from + 1 && *signed),
        "{first:?}"
    );
    assert_eq!(first.gaps_before_tombstone, 0);
    put(&mut gateway, Lane::Batched, 300..301);
    run(&mut gateway, &mut cloud, 100 * SECOND);
    run(&mut gateway, &mut cloud, 130 * SECOND);
    assert_eq!(stated(&cloud).tombstones.len(), first.tombstones.len(), "told once");
    let lost: u64 = first.tombstones.iter().map(|(_, from, to, _, _)| to - from + 1).sum();
    let got = cloud.rows[&(BootEpoch(1), Lane::Batched)].len() as u64;
    assert_eq!(got + lost, 301, "received and tombstoned are all");
}

#[test]
fn a_critical_frame_without_balance_brings_the_tombstones_of_its_gaps() {
    let (mut gateway, mut cloud) = (tight(), Cloud::new());
    put(&mut gateway, Lane::Critical, 0..200);
    cloud.answers = vec![AnswerAs::Nothing];
    run(&mut gateway, &mut cloud, 1_000);
    run(&mut gateway, &mut cloud, 2 * SECOND);
    let stated = stated(&cloud);
    assert!(stated.tombstones.len() >= 2, "what was not answered is told again: {stated:?}");
    assert_eq!(stated.gaps_before_tombstone, 0);
}

#[test]
fn a_boot_says_once_how_it_began_and_each_time_which_it_is() {
    let mut gateway = gateway();
    put(&mut gateway, Lane::Batched, 0..5);
    gateway.shut_down();
    let storage = gateway.parts_mut().0.storage().clone();
    let (mut gateway, mut cloud) = (gateway_on(storage), Cloud::new());
    put(&mut gateway, Lane::Batched, 0..1);
    run(&mut gateway, &mut cloud, 10);
    run(&mut gateway, &mut cloud, 10 + 30 * SECOND);
    put(&mut gateway, Lane::Batched, 1..2);
    run(&mut gateway, &mut cloud, 100 * SECOND);
    run(&mut gateway, &mut cloud, 130 * SECOND);
    let stated = stated(&cloud);
    let heads: Vec<_> = stated.boots.iter().map(|(of, current, told, _)| (*of, *current, *told)).collect();
    assert_eq!(heads, [(1, 2, false), (2, 2, true), (2, 2, false)]);
    let end = BootEnd { epoch: BootEpoch(1), lane: Lane::Batched, last_seq: 5 };
    assert_eq!(stated.boots[1].3, [end]);
    assert_eq!(stated.anchors, [(1, gateway.spool().attestation().expect("software").counter)]);
}

#[test]
fn what_was_sent_is_on_the_medium() {
    let (mut gateway, mut cloud) = (gateway_on(MemoryStorage::recording()), Cloud::new());
    put(&mut gateway, Lane::Batched, 0..5);
    cloud.answers = vec![AnswerAs::Fail(0)];
    run(&mut gateway, &mut cloud, 10);
    run(&mut gateway, &mut cloud, 10 + 30 * SECOND);
    assert_eq!(cloud.frames.len(), 1, "the frame is under way");
    // The power is cut while the frame is under way: nothing but what was flushed is there.
    let writes = gateway.spool().storage().writes();
    let flushed = writes.iter().rposition(|write| *write == Write::Flush).expect("the boot was flushed");
    let mut storage = MemoryStorage::new();
    for write in &writes[..flushed] {
        if let Write::At(offset, bytes) = write {
            storage.put(*offset, bytes);
        }
    }
    let (mut gateway, mut cloud) = (gateway_on(storage), Cloud::new());
    put(&mut gateway, Lane::Batched, 0..1);
    run(&mut gateway, &mut cloud, 10);
    run(&mut gateway, &mut cloud, 10 + 30 * SECOND);
    let ends: Vec<_> = stated(&cloud).boots.into_iter().flat_map(|(.., ends)| ends).collect();
    assert_eq!(
        ends.iter().map(|end| end.last_seq).collect::<Vec<_>>(),
        [5],
        "the counter did not run backwards"
    );
}

#[test]
fn an_answer_to_another_frame_frees_nothing_and_tells_nothing() {
    let (mut gateway, mut cloud) = (gateway(), Cloud::new());
    put(&mut gateway, Lane::Critical, 0..3);
    let verifier = cloud.verifier();
    let (spool, uplink) = gateway.parts_mut();
    let first = uplink.next_frame(spool, &signer(), VehicleMicros(10)).expect("healthy").expect("rows");
    cloud.take(&first.bytes);
    cloud.frames.push(first.bytes);
    let late = cloud.answer(&cloud.key, VEHICLE);
    // The answer is late, and the vehicle has something else under way.
    uplink.on_failure(&TransportError::TimedOut, VehicleMicros(20));
    let fix = ClockFix {
        mono: VehicleMicros(30),
        wall: UnixMicros(1_800_000_000_000_000),
        error_us: 5,
        source: ClockSource::Gnss,
    };
    spool.add_fix(fix).expect("room");
    let at = VehicleMicros(5 * SECOND);
    let second = uplink.next_frame(spool, &signer(), at).expect("healthy").expect("the same rows, and a fix");
    let refused = uplink.on_reply(spool, &late, &verifier, at);
    assert_eq!(refused, Err(ReplyError::OtherFrame));
    assert_eq!(spool.held_after(BootEpoch(1), Lane::Critical, 0).0, 3, "signed, true, and for another frame");
    assert!(spool.is_unreported(BootEpoch(1)));
    let third =
        uplink.next_frame(spool, &signer(), VehicleMicros(30 * SECOND)).expect("healthy").expect("again");
    cloud.take(&third.bytes);
    cloud.frames.push(third.bytes);
    assert_eq!(cloud.fixes, 1, "what the second frame stated is stated again");
    let reply = cloud.answer(&cloud.key, VEHICLE);
    assert!(
        second.rows == 3 && uplink.on_reply(spool, &reply, &verifier, VehicleMicros(31 * SECOND)).is_ok()
    );
    assert_eq!(spool.held_after(BootEpoch(1), Lane::Critical, 0).0, 0);
}

/// Boots on a small medium, one row a lane each.
fn boots(count: u64) -> MemoryStorage {
    let config = SpoolConfig { quota_bytes: [4 << 10; 3], segment_bytes: 2 << 10, journal_bytes: 24 << 10 };
    let mut storage = MemoryStorage::new();
    for boot in 0..count {
        let keys = Boot::in_memory(BootEpoch(1), boot, &[1; 32]);
        let (mut spool, _) = Spool::open(storage, config, keys).expect("the medium can be written");
        for lane in Lane::ALL {
            let event = SecurityEvent::new(event::CAN_UNKNOWN_ID, VehicleMicros(boot));
            spool.append(&SecurityEvent { lane, ..event }).expect("the oldest make room");
        }
        spool.sync().expect("no faults");
        storage = spool.into_storage();
    }
    storage
}

#[test]
fn boots_that_were_closed_are_told_with_signed_counts_and_once() {
    let config = SpoolConfig { quota_bytes: [4 << 10; 3], segment_bytes: 2 << 10, journal_bytes: 24 << 10 };
    let (spool, _) =
        Spool::open(boots(200), config, Boot::in_memory(BootEpoch(1), 999, &[1; 32])).expect("memory");
    let closed: u64 = spool.lost_boots().map(|lost| lost.boots).sum();
    assert!(closed > 300, "of 600 boots and lanes: {closed}");
    let uplink = Uplink::new(UplinkConfig::new(TenantId(1), VEHICLE, 1), Seed::new(5)).expect("memory");
    let mut gateway = Gateway::new(FoldConfig::default(), spool, uplink);
    gateway.set_link(Link::Unmetered);
    let mut cloud = Cloud::new();
    for second in 1..40 {
        run(&mut gateway, &mut cloud, second * 60 * SECOND);
    }
    assert_eq!(gateway.spool().lost_boots().count(), 0);
    let mut told = 0;
    for frame in &cloud.frames {
        let envelope = SealedEnvelope::parse(frame).and_then(|sealed| sealed.open(&cloud.vehicle_key));
        let header = envelope.expect("own frame").header;
        let raw = codec::decode(header.dict, header.raw_bytes, envelope.expect("own frame").payload);
        let raw = raw.expect("own payload");
        for view in Batch::parse(&raw).expect("own rows").lost_boots().map(|view| view.expect("legal")) {
            let text = [outrider_wire::SIGN_LOST_BOOTS, view.text].concat();
            assert!(cloud.vehicle_key.verify(&text, &view.signature));
            told += view.boots;
        }
    }
    assert_eq!(told, closed);
    let got: u64 = cloud.rows.values().map(|rows| rows.len() as u64).sum();
    let apart: u64 = stated(&cloud).tombstones.iter().map(|(_, from, to, ..)| to - from + 1).sum();
    assert_eq!(got + apart + closed, 600, "each row is received, in a tombstone, or in an account");
}
