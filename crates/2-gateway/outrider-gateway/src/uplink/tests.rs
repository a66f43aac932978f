mod costs;
mod short;

use outrider_types::{ClockSource, TenantId, UnixMicros};
use outrider_wire::catalogue::{event, field};
use outrider_wire::{Batch, DictId, SealedEnvelope, SeqRange, Watermark, dictionary};

use super::*;
use crate::fold::FoldConfig;
use crate::spool::{Boot, SpoolConfig};
use crate::{Ed25519Signer, Ed25519Verifier, FieldValue, Gateway, MemoryStorage, SecurityEvent, codec};

const VEHICLE: VehicleId = VehicleId([7; 16]);
const SECOND: u64 = 1_000_000;

/// A cloud that keeps every row it gets, and answers as told.
struct Cloud {
    key: Ed25519Signer,
    vehicle_key: Ed25519Verifier,
    rows: BTreeMap<(BootEpoch, Lane), BTreeSet<u64>>,
    gaps: BTreeMap<(BootEpoch, Lane), BTreeSet<u64>>,
    frames: Vec<Vec<u8>>,
    heads: u64,
    fixes: u64,
    answers: Vec<AnswerAs>,
    lose: BTreeSet<u64>,
    edge: Option<short::Edge>,
    proofs: Vec<(BootEpoch, ShortProof)>,
}

#[derive(Debug, Clone, Copy)]
enum AnswerAs {
    Fail(u16),
    WrongKey,
    WrongVehicle,
    Nothing,
}

fn signer() -> Ed25519Signer {
    Ed25519Signer::new(&[1; 32])
}

impl Cloud {
    fn new() -> Self {
        Self {
            key: Ed25519Signer::new(&[2; 32]),
            vehicle_key: Ed25519Verifier::new(&signer().public_key()).expect("a real key"),
            rows: BTreeMap::new(),
            gaps: BTreeMap::new(),
            frames: Vec::new(),
            heads: 0,
            fixes: 0,
            answers: Vec::new(),
            lose: BTreeSet::new(),
            edge: None,
            proofs: Vec::new(),
        }
    }

    fn verifier(&self) -> Ed25519Verifier {
        Ed25519Verifier::new(&self.key.public_key()).expect("a real key")
    }

    fn take(&mut self, frame: &[u8]) {
        if outrider_wire::is_short(frame) {
            return self.take_short(frame);
        }
        let envelope = SealedEnvelope::parse(frame)
            .and_then(|sealed| sealed.open(&self.vehicle_key))
            .expect("the vehicle's signature");
        let header = envelope.header;
        let raw = codec::decode(header.dict, header.raw_bytes, envelope.payload).expect("own payload");
        let batch = Batch::parse(&raw).expect("own rows");
        for event in batch.events().map(|event| event.expect("own rows")) {
            if !self.lose.remove(&event.head.seq.0) {
                self.rows.entry((header.epoch, event.head.lane)).or_default().insert(event.head.seq.0);
            }
        }
        for gap in batch.gaps().map(|gap| gap.expect("own rows")) {
            self.gaps
                .entry((header.epoch, gap.lane))
                .or_default()
                .extend(gap.range.first().0..=gap.range.last().0);
        }
        self.proofs.extend(batch.proofs().map(|proof| (header.epoch, proof.expect("own rows"))));
        self.heads += batch.heads().count() as u64;
        self.fixes += batch.fixes().count() as u64;
    }

    fn answer(&self, key: &Ed25519Signer, vehicle: VehicleId) -> Vec<u8> {
        let none = BTreeSet::new();
        let mut marks = Vec::new();
        for (at, rows) in &self.rows {
            let gaps = self.gaps.get(at).unwrap_or(&none);
            let known = |seq: &u64| rows.contains(seq) || gaps.contains(seq);
            let contiguous = (1..).take_while(known).last().unwrap_or(0);
            let highest = rows.last().copied().unwrap_or(0);
            let missing = (contiguous + 1..=highest).filter(|seq| !known(seq));
            let holes: Vec<SeqRange> = missing.filter_map(|seq| SeqRange::new(Seq(seq), Seq(seq))).collect();
            marks.push((*at, contiguous, holes));
        }
        let marks: Vec<Watermark<'_>> = marks
            .iter()
            .map(|((epoch, lane), contiguous, holes)| Watermark {
                epoch: *epoch,
                lane: *lane,
                contiguous: *contiguous,
                holes,
            })
            .collect();
        let mut ack = vec![0; Ack::frame_bytes(&marks)];
        let answers = frame_digest(self.frames.last().expect("an answer to something"));
        Ack::emit_answer((vehicle, UnixMicros(1), answers), &marks, key, &mut ack).expect("within all caps");
        let mut reply = vec![0; Reply::frame_bytes(&ack, &[b"command"])];
        Reply::emit(&ack, &[b"command"], &mut reply).expect("within all caps");
        reply
    }
}

impl Transport for Cloud {
    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, TransportError> {
        self.frames.push(frame.to_vec());
        match self.answers.pop() {
            Some(AnswerAs::Fail(0)) => Err(TransportError::TimedOut),
            Some(AnswerAs::Fail(status)) => Err(TransportError::Refused { status }),
            Some(AnswerAs::WrongKey) => Ok(self.answer(&Ed25519Signer::new(&[9; 32]), VEHICLE)),
            Some(AnswerAs::WrongVehicle) => Ok(self.answer(&self.key, VehicleId([8; 16]))),
            Some(AnswerAs::Nothing) => Ok(Vec::new()),
            None => {
                self.take(frame);
                Ok(self.answer(&self.key, VEHICLE))
            }
        }
    }

    fn session(&mut self) -> Option<ShortSession> {
        self.edge.as_ref().map(short::Edge::session)
    }
}

fn gateway_on(storage: MemoryStorage) -> Gateway<MemoryStorage> {
    let (spool, _) = Spool::open(storage, SpoolConfig::default(), Boot::in_memory(BootEpoch(1), 1, &[9; 32]))
        .expect("the medium can be written");
    let uplink = Uplink::new(UplinkConfig::new(TenantId(1), VEHICLE, 1), Seed::new(5)).expect("memory");
    let fold = FoldConfig { window_us: [0; 3], ..FoldConfig::default() };
    let mut gateway = Gateway::new(fold, spool, uplink);
    gateway.set_policies(crate::LanePolicies::with_windows(&fold).without_shares());
    gateway
}

fn gateway() -> Gateway<MemoryStorage> {
    gateway_on(MemoryStorage::new())
}

fn put(gateway: &mut Gateway<MemoryStorage>, lane: Lane, marks: std::ops::Range<u64>) {
    for mark in marks {
        let event = SecurityEvent::new(event::CAN_UNKNOWN_ID, VehicleMicros(mark))
            .with(field::CAN_ID, FieldValue::Uint(mark));
        assert_eq!(gateway.receive(SecurityEvent { lane, ..event }, VehicleMicros(mark)).rows.len(), 1);
    }
}

fn run(gateway: &mut Gateway<MemoryStorage>, cloud: &mut Cloud, now: u64) -> ExchangeReport {
    let verifier = cloud.verifier();
    let keys = Keys { batch: &signer(), ack: &verifier };
    gateway.exchange(cloud, keys, VehicleMicros(now), 100)
}

fn held(gateway: &Gateway<MemoryStorage>, lane: Lane) -> u64 {
    gateway.spool().held_after(gateway.spool().epoch(), lane, 0).0
}

#[test]
fn critical_rows_go_at_once_batched_ones_with_the_window_deferred_ones_without_meter() {
    let (mut gateway, mut cloud) = (gateway(), Cloud::new());
    put(&mut gateway, Lane::Deferred, 0..3);
    put(&mut gateway, Lane::Batched, 0..3);
    put(&mut gateway, Lane::Critical, 0..3);
    let report = run(&mut gateway, &mut cloud, 10);
    assert_eq!((report.answered, report.freed, report.commands.len()), (1, 3, 1));
    assert_eq!((held(&gateway, Lane::Critical), held(&gateway, Lane::Batched)), (0, 3));
    assert_eq!(run(&mut gateway, &mut cloud, 10 + 30 * SECOND - 1).answered, 0);
    assert_eq!(run(&mut gateway, &mut cloud, 10 + 30 * SECOND).freed, 3);
    assert_eq!((held(&gateway, Lane::Batched), held(&gateway, Lane::Deferred)), (0, 3));
    gateway.set_link(Link::Unmetered);
    assert_eq!(run(&mut gateway, &mut cloud, 31 * SECOND).freed, 3);
    assert_eq!(run(&mut gateway, &mut cloud, 32 * SECOND).answered, 0, "nothing is due");
}

#[test]
fn many_batched_rows_do_not_wait_for_the_window() {
    let (mut gateway, mut cloud) = (gateway(), Cloud::new());
    put(&mut gateway, Lane::Batched, 0..1200);
    let report = run(&mut gateway, &mut cloud, 10);
    assert_eq!(report.answered, 3, "{:?}", report.error);
    assert_eq!(held(&gateway, Lane::Batched), 0);
}

#[test]
fn an_answer_that_is_not_believed_frees_nothing_and_the_same_rows_come_again() {
    for answer in [
        AnswerAs::WrongKey,
        AnswerAs::WrongVehicle,
        AnswerAs::Nothing,
        AnswerAs::Fail(0),
        AnswerAs::Fail(503),
    ] {
        let (mut gateway, mut cloud) = (gateway(), Cloud::new());
        put(&mut gateway, Lane::Critical, 0..3);
        cloud.answers = vec![answer];
        let report = run(&mut gateway, &mut cloud, 10);
        assert!(report.error.is_some() && report.commands.is_empty(), "{answer:?}");
        assert_eq!(held(&gateway, Lane::Critical), 3, "{answer:?}");
        assert_eq!(run(&mut gateway, &mut cloud, 11).answered, 0, "too soon after a failure");
        assert_eq!(run(&mut gateway, &mut cloud, 10 + SECOND).freed, 3, "{answer:?}");
        assert_eq!(cloud.frames.len(), 2);
    }
}

#[test]
fn a_row_that_the_cloud_lost_is_sent_again_and_only_that_one() {
    let (mut gateway, mut cloud) = (gateway(), Cloud::new());
    put(&mut gateway, Lane::Critical, 0..10);
    cloud.lose.insert(4);
    let report = run(&mut gateway, &mut cloud, 10);
    assert_eq!((report.answered, report.freed), (2, 10));
    assert_eq!(gateway.uplink_counters().rows, 11);
    assert!(cloud.lose.is_empty());
}

#[test]
fn rows_without_progress_are_sent_again_after_a_while() {
    let (mut gateway, mut cloud) = (gateway(), Cloud::new());
    put(&mut gateway, Lane::Critical, 0..3);
    // The last row is no hole: only time tells that it is missing.
    cloud.lose.insert(3);
    assert_eq!(run(&mut gateway, &mut cloud, 10).freed, 2);
    assert_eq!(run(&mut gateway, &mut cloud, 100 * SECOND).answered, 0);
    assert_eq!(run(&mut gateway, &mut cloud, 121 * SECOND).freed, 1);
}

#[test]
fn a_row_that_the_cloud_cannot_take_does_not_hold_up_the_others() {
    let (mut gateway, mut cloud) = (gateway(), Cloud::new());
    put(&mut gateway, Lane::Critical, 0..4);
    cloud.answers = vec![AnswerAs::Fail(422); 3];
    let mut now = 10;
    for _ in 0..3 {
        assert!(run(&mut gateway, &mut cloud, now).error.is_some());
        now += 600 * SECOND;
        if gateway.uplink_counters().set_aside > 0 {
            break;
        }
    }
    assert_eq!(gateway.uplink_counters().set_aside, 1);
    run(&mut gateway, &mut cloud, now);
    let got = &cloud.rows[&(BootEpoch(1), Lane::Critical)];
    assert!(got.contains(&2) && got.contains(&4), "{got:?}");
}

#[test]
fn a_past_boot_delivers_its_rows_its_clock_and_its_balance() {
    let mut gateway = gateway();
    let fix =
        ClockFix { mono: VehicleMicros(1), wall: UnixMicros(2), error_us: 3, source: ClockSource::Gnss };
    gateway.add_fix(fix).expect("room");
    put(&mut gateway, Lane::Batched, 0..5);
    gateway.shut_down();
    let (spool, _) = gateway.parts_mut();
    let storage = spool.storage().clone();
    drop(gateway);
    let (mut gateway, mut cloud) = (gateway_on(storage), Cloud::new());
    assert_eq!(gateway.spool().epochs(), [BootEpoch(1)]);
    let report = run(&mut gateway, &mut cloud, 10);
    assert_eq!((report.freed, report.error.is_none()), (5, true));
    assert_eq!((cloud.fixes, cloud.heads > 0), (1, true));
    assert_eq!(cloud.rows[&(BootEpoch(1), Lane::Batched)].len(), 5);
    assert_eq!(gateway.spool().epochs(), [], "nothing is left to say");
}

#[test]
fn a_payload_is_decoded_to_its_stated_length_or_not_at_all() {
    let raw = vec![7; 5000];
    let (dict, payload) = Encoder::new().expect("memory").encode(&raw).expect("memory");
    assert_eq!(dict, dictionary::V1.id);
    assert_eq!(codec::decode(dict, 5000, &payload).expect("own payload"), raw);
    assert_eq!(codec::decode(dict, 4999, &payload).map_err(|error| error.code()), Err("payload.zstd"));
    assert_eq!(codec::decode(dict, 5001, &payload).map_err(|error| error.code()), Err("payload.length"));
    assert_eq!(
        codec::decode(DictId(5), 5000, &payload).map_err(|error| error.code()),
        Err("payload.dictionary")
    );
    assert_eq!(codec::decode(dict, u32::MAX, &payload).map_err(|error| error.code()), Err("payload.cap"));
    let (dict, payload) = Encoder::new().expect("memory").encode(b"x").expect("memory");
    assert_eq!((dict, payload), (DictId::STORED, b"x".to_vec()));
}

mod statements;
