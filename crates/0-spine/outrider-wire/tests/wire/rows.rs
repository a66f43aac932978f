//! Rows, compared with prost.

use outrider_types::{
    BootEpoch, BusId, ClockFix, ClockSource, EcuId, EventTypeId, FieldKey, Lane, Seq, Severity, UnixMicros,
    VehicleMicros,
};
use outrider_wire::{
    AnchorStatement, Batch, BatchError, BatchWriter, BootEnd, BootHead, DropCount, DropReason, EventHead,
    Field, Gap, LaneHead, LostBootsView, LostRows, Refusal, RowFault, SIGNATURE_BYTES, SeqRange,
    StructureError, TombstoneHead, Value, WriteError, limits,
};
use proptest::prelude::*;
use prost::Message;

use crate::properties;

/// The messages of `batch.proto`, written by hand so that no protoc is needed.
pub(crate) mod pb {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct EventBatch {
        #[prost(message, repeated, tag = "1")]
        pub(crate) events: Vec<Event>,
        #[prost(message, repeated, tag = "2")]
        pub(crate) fixes: Vec<ClockFix>,
        #[prost(message, repeated, tag = "3")]
        pub(crate) heads: Vec<LaneHead>,
        #[prost(message, repeated, tag = "4")]
        pub(crate) gaps: Vec<Gap>,
        #[prost(message, repeated, tag = "6")]
        pub(crate) tombstones: Vec<Tombstone>,
        #[prost(message, repeated, tag = "7")]
        pub(crate) anchors: Vec<AnchorStatement>,
        #[prost(message, repeated, tag = "8")]
        pub(crate) boots: Vec<BootStatement>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Tombstone {
        #[prost(uint32, tag = "1")]
        pub(crate) lane: u32,
        #[prost(uint64, tag = "2")]
        pub(crate) first_seq: u64,
        #[prost(uint64, tag = "3")]
        pub(crate) last_seq: u64,
        #[prost(uint32, tag = "4")]
        pub(crate) reason: u32,
        #[prost(uint64, tag = "5")]
        pub(crate) first_us: u64,
        #[prost(uint64, tag = "6")]
        pub(crate) last_us: u64,
        #[prost(bytes = "vec", tag = "7")]
        pub(crate) last_tag: Vec<u8>,
        #[prost(bytes = "vec", tag = "8")]
        pub(crate) signature: Vec<u8>,
        #[prost(message, repeated, tag = "9")]
        pub(crate) lost: Vec<LostRows>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(crate) struct LostRows {
        #[prost(uint32, tag = "1")]
        pub(crate) event_type: u32,
        #[prost(uint32, tag = "2")]
        pub(crate) severity: u32,
        #[prost(uint64, tag = "3")]
        pub(crate) rows: u64,
        #[prost(uint64, tag = "4")]
        pub(crate) observations: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct AnchorStatement {
        #[prost(uint32, tag = "1")]
        pub(crate) kind: u32,
        #[prost(uint64, tag = "2")]
        pub(crate) counter: u64,
        #[prost(bytes = "vec", tag = "3")]
        pub(crate) head: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        pub(crate) proof: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct BootStatement {
        #[prost(uint64, tag = "1")]
        pub(crate) current_epoch: u64,
        #[prost(bytes = "vec", tag = "2")]
        pub(crate) previous_head: Vec<u8>,
        #[prost(message, repeated, tag = "3")]
        pub(crate) ends: Vec<BootEnd>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(crate) struct BootEnd {
        #[prost(uint64, tag = "1")]
        pub(crate) epoch: u64,
        #[prost(uint32, tag = "2")]
        pub(crate) lane: u32,
        #[prost(uint64, tag = "3")]
        pub(crate) last_seq: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Event {
        #[prost(uint32, tag = "1")]
        pub(crate) event_type: u32,
        #[prost(uint32, tag = "2")]
        pub(crate) lane: u32,
        #[prost(uint64, tag = "3")]
        pub(crate) seq_step: u64,
        #[prost(sint64, tag = "4")]
        pub(crate) mono_step: i64,
        #[prost(uint32, tag = "5")]
        pub(crate) severity: u32,
        #[prost(uint32, tag = "6")]
        pub(crate) bus: u32,
        #[prost(uint32, tag = "7")]
        pub(crate) ecu: u32,
        #[prost(uint64, tag = "8")]
        pub(crate) repeats: u64,
        #[prost(uint64, tag = "9")]
        pub(crate) span_us: u64,
        #[prost(message, repeated, tag = "10")]
        pub(crate) fields: Vec<Field>,
        #[prost(bytes = "vec", tag = "11")]
        pub(crate) context: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Field {
        #[prost(uint32, tag = "1")]
        pub(crate) key: u32,
        #[prost(oneof = "Value", tags = "2, 3, 4, 5, 6, 7")]
        pub(crate) value: Option<Value>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Value {
        #[prost(uint64, tag = "2")]
        Uint(u64),
        #[prost(sint64, tag = "3")]
        Sint(i64),
        #[prost(string, tag = "4")]
        Text(String),
        #[prost(bytes = "vec", tag = "5")]
        Bytes(Vec<u8>),
        #[prost(double, tag = "6")]
        Double(f64),
        #[prost(bool, tag = "7")]
        Flag(bool),
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(crate) struct ClockFix {
        #[prost(uint64, tag = "1")]
        pub(crate) mono_us: u64,
        #[prost(sint64, tag = "2")]
        pub(crate) wall_us: i64,
        #[prost(uint64, tag = "3")]
        pub(crate) error_us: u64,
        #[prost(uint32, tag = "4")]
        pub(crate) source: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct LaneHead {
        #[prost(uint32, tag = "1")]
        pub(crate) lane: u32,
        #[prost(uint64, tag = "2")]
        pub(crate) first_seq: u64,
        #[prost(uint64, tag = "3")]
        pub(crate) last_seq: u64,
        #[prost(uint64, tag = "4")]
        pub(crate) received: u64,
        #[prost(uint64, tag = "5")]
        pub(crate) folded: u64,
        #[prost(message, repeated, tag = "6")]
        pub(crate) drops: Vec<Drop>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(crate) struct Drop {
        #[prost(uint32, tag = "1")]
        pub(crate) reason: u32,
        #[prost(uint64, tag = "2")]
        pub(crate) count: u64,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(crate) struct Gap {
        #[prost(uint32, tag = "1")]
        pub(crate) lane: u32,
        #[prost(uint64, tag = "2")]
        pub(crate) first_seq: u64,
        #[prost(uint64, tag = "3")]
        pub(crate) last_seq: u64,
        #[prost(uint32, tag = "4")]
        pub(crate) reason: u32,
    }
}

fn value() -> impl Strategy<Value = pb::Value> {
    prop_oneof![
        any::<u64>().prop_map(pb::Value::Uint),
        any::<i64>().prop_map(pb::Value::Sint),
        "[a-zé\u{1F697}]{0,8}".prop_map(pb::Value::Text),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(pb::Value::Bytes),
        any::<f64>().prop_map(pb::Value::Double),
        any::<bool>().prop_map(pb::Value::Flag),
    ]
}

prop_compose! {
    fn event()(
        event_type in 1u32..=65_535, lane in 0u32..3, seq_step in prop_oneof![Just(0u64), 0u64..1000],
        mono_step in 0i64..1_000_000_000, severity in 0u32..8, bus in 0u32..=256, ecu in 0u32..=65_535,
        repeats in prop_oneof![Just(0u64), any::<u32>().prop_map(u64::from)], span_us in 0u64..1_000_000,
        fields in prop::collection::vec((1u32..=65_535, value()), 0..5),
        context in prop::collection::vec(any::<u8>(), 0..20),
    ) -> pb::Event {
        let fields = fields.into_iter().map(|(key, value)| pb::Field { key, value: Some(value) }).collect();
        pb::Event { event_type, lane, seq_step, mono_step, severity, bus, ecu, repeats, span_us, fields, context }
    }
}

prop_compose! {
    /// A batch that holds statements only.
    fn statements()(
        tombstones in prop::collection::vec(
            ((0u32..3, 1u64..100, 0u64..100, 0u32..8), any::<[u64; 2]>(), any::<[u8; 16]>(), any::<u8>(),
             prop::collection::vec((0u32..=65_535, 0u32..=5, any::<[u64; 2]>()), 0..4)), 0..3),
        anchors in prop::collection::vec((0u32..256, any::<u64>(), any::<[u8; 32]>(), prop::collection::vec(any::<u8>(), 0..40)), 0..3),
        boots in prop::collection::vec((any::<u64>(), any::<Option<[u8; 32]>>(), prop::collection::vec((any::<u64>(), 0u32..3, any::<u64>()), 0..4)), 0..2),
    ) -> pb::EventBatch {
        let lost = |kinds: Vec<(u32, u32, [u64; 2])>| kinds.into_iter()
            .map(|(event_type, severity, [rows, observations])| pb::LostRows { event_type, severity, rows, observations })
            .collect();
        pb::EventBatch {
            tombstones: tombstones.into_iter().map(|((lane, first_seq, more, reason), [first_us, last_us], tag, signed, kinds)| pb::Tombstone {
                lane, first_seq, last_seq: first_seq + more, reason, first_us, last_us,
                last_tag: tag.to_vec(), signature: vec![signed; 64], lost: lost(kinds),
            }).collect(),
            anchors: anchors.into_iter().map(|(kind, counter, head, proof)| pb::AnchorStatement { kind, counter, head: head.to_vec(), proof }).collect(),
            boots: boots.into_iter().map(|(current_epoch, previous, ends)| pb::BootStatement {
                current_epoch,
                previous_head: previous.map_or_else(Vec::new, |head| head.to_vec()),
                ends: ends.into_iter().map(|(epoch, lane, last_seq)| pb::BootEnd { epoch, lane, last_seq }).collect(),
            }).collect(),
            ..pb::EventBatch::default()
        }
    }
}

/// What our reader sees, as the second implementation's messages.
fn ours(bytes: &[u8]) -> pb::EventBatch {
    let batch = Batch::parse(bytes).expect("well formed");
    let mut seqs = [0u64; 3];
    let mut mono = 0u64;
    let events = batch.events().map(|event| {
        let event = event.expect("well formed");
        let head = event.head;
        let lane = usize::from(head.lane.code());
        let seq_step = head.seq.0 - seqs[lane] - 1;
        seqs[lane] = head.seq.0;
        let mono_step = head.first.0.wrapping_sub(mono).cast_signed();
        mono = head.first.0;
        let fields = event.fields().map(|field| {
            let value = match field.value {
                Value::Uint(value) => pb::Value::Uint(value),
                Value::Sint(value) => pb::Value::Sint(value),
                Value::Text(text) => pb::Value::Text(text.to_owned()),
                Value::Bytes(bytes) => pb::Value::Bytes(bytes.to_vec()),
                Value::Double(value) => pb::Value::Double(value),
                Value::Flag(flag) => pb::Value::Flag(flag),
            };
            pb::Field { key: u32::from(field.key.0), value: Some(value) }
        });
        pb::Event {
            event_type: u32::from(head.event_type.0),
            lane: u32::from(head.lane.code()),
            seq_step,
            mono_step,
            severity: head.severity.map_or(0, |severity| u32::from(severity.code())),
            bus: head.bus.map_or(0, |bus| u32::from(bus.0) + 1),
            ecu: u32::from(head.ecu.0),
            repeats: head.count - 1,
            span_us: head.last.0 - head.first.0,
            fields: fields.collect(),
            context: event.context.to_vec(),
        }
    });
    let reason = |reason: Option<DropReason>| reason.map_or(0, |reason| u32::from(reason.code()));
    pb::EventBatch {
        events: events.collect(),
        fixes: batch
            .fixes()
            .map(|fix| fix.expect("well formed"))
            .map(|fix| pb::ClockFix {
                mono_us: fix.mono.0,
                wall_us: fix.wall.0,
                error_us: fix.error_us,
                source: u32::from(fix.source.code()),
            })
            .collect(),
        heads: batch
            .heads()
            .map(|view| view.expect("well formed"))
            .map(|view| pb::LaneHead {
                lane: u32::from(view.head.lane.code()),
                first_seq: view.head.first_seq,
                last_seq: view.head.last_seq,
                received: view.head.received,
                folded: view.head.folded,
                drops: view
                    .drops()
                    .map(|drop| pb::Drop { reason: reason(drop.reason), count: drop.count })
                    .collect(),
            })
            .collect(),
        gaps: batch
            .gaps()
            .map(|gap| gap.expect("well formed"))
            .map(|gap| pb::Gap {
                lane: u32::from(gap.lane.code()),
                first_seq: gap.range.first().0,
                last_seq: gap.range.last().0,
                reason: reason(gap.reason),
            })
            .collect(),
        tombstones: batch
            .tombstones()
            .map(|view| view.expect("well formed"))
            .map(|view| pb::Tombstone {
                lane: u32::from(view.head.lane.code()),
                first_seq: view.head.range.first().0,
                last_seq: view.head.range.last().0,
                reason: reason(view.head.reason),
                first_us: view.head.first.0,
                last_us: view.head.last.0,
                last_tag: view.head.last_tag.to_vec(),
                signature: view.head.signature.to_vec(),
                lost: view.lost().map(|lost| their_lost(&lost)).collect(),
            })
            .collect(),
        anchors: batch
            .anchors()
            .map(|anchor| anchor.expect("well formed"))
            .map(|anchor| pb::AnchorStatement {
                kind: u32::from(anchor.kind),
                counter: anchor.counter,
                head: anchor.head.to_vec(),
                proof: anchor.proof.to_vec(),
            })
            .collect(),
        boots: batch
            .boots()
            .map(|view| view.expect("well formed"))
            .map(|view| pb::BootStatement {
                current_epoch: view.head.current.0,
                previous_head: view.head.previous.map_or_else(Vec::new, |head| head.to_vec()),
                ends: view
                    .ends()
                    .map(|end| pb::BootEnd {
                        epoch: end.epoch.0,
                        lane: u32::from(end.lane.code()),
                        last_seq: end.last_seq,
                    })
                    .collect(),
            })
            .collect(),
    }
}

fn their_lost(lost: &LostRows) -> pb::LostRows {
    pb::LostRows {
        event_type: u32::from(lost.event_type.0),
        severity: lost.severity.map_or(0, |severity| u32::from(severity.code())),
        rows: lost.rows,
        observations: lost.observations,
    }
}

/// Writes with our writer what our reader sees.
fn rewrite(bytes: &[u8]) -> Vec<u8> {
    let batch = Batch::parse(bytes).expect("well formed");
    let mut buffer = vec![0; 1 << 16];
    let mut writer = BatchWriter::new(&mut buffer);
    for event in batch.events().map(|event| event.expect("well formed")) {
        writer.event(&event.head, event.fields(), event.context).expect("room");
    }
    for fix in batch.fixes() {
        writer.fix(&fix.expect("well formed")).expect("room");
    }
    for view in batch.heads().map(|view| view.expect("well formed")) {
        writer.head(&view.head, &view.drops().collect::<Vec<_>>()).expect("room");
    }
    for gap in batch.gaps() {
        writer.gap(&gap.expect("well formed")).expect("room");
    }
    for view in batch.tombstones().map(|view| view.expect("well formed")) {
        writer.tombstone(&view.head, view.lost()).expect("room");
    }
    for anchor in batch.anchors() {
        writer.anchor(&anchor.expect("well formed")).expect("room");
    }
    for view in batch.boots().map(|view| view.expect("well formed")) {
        writer.boot(&view.head, view.ends()).expect("room");
    }
    writer.finish().to_vec()
}

proptest! {
    #[test]
    fn both_implementations_read_and_write_the_same(
        events in prop::collection::vec(event(), 0..8),
        fixes in prop::collection::vec((any::<u64>(), any::<i64>(), any::<u64>(), 0u32..5), 0..3),
        heads in prop::collection::vec((0u32..3, any::<[u64; 4]>(), prop::collection::vec((1u32..8, any::<u64>()), 0..3)), 0..4),
        gaps in prop::collection::vec((0u32..3, 1u64..100, 0u64..100, 0u32..8), 0..3),
        statements in statements(),
    ) {
        let mut theirs = pb::EventBatch {
            events,
            fixes: fixes.into_iter().map(|(mono_us, wall_us, error_us, source)| pb::ClockFix { mono_us, wall_us, error_us, source }).collect(),
            heads: heads.into_iter().map(|(lane, [first_seq, last_seq, received, folded], drops)| pb::LaneHead {
                lane, first_seq, last_seq, received, folded,
                drops: drops.into_iter().map(|(reason, count)| pb::Drop { reason, count }).collect(),
            }).collect(),
            gaps: gaps.into_iter().map(|(lane, first_seq, more, reason)| pb::Gap { lane, first_seq, last_seq: first_seq + more, reason }).collect(),
            ..statements
        };
        let bytes = theirs.encode_to_vec();
        for event in &mut theirs.events {
            // Severities of a later version read as "the catalogue's default".
            if event.severity > 5 {
                event.severity = 0;
            }
        }
        prop_assert_eq!(&ours(&bytes), &theirs);
        let rewritten = rewrite(&bytes);
        prop_assert_eq!(pb::EventBatch::decode(rewritten.as_slice()).expect("our output is valid"), theirs.clone());
        prop_assert_eq!(rewritten, theirs.encode_to_vec(), "even the bytes agree");
    }

    #[test]
    fn changed_bytes_never_panic_and_what_we_accept_the_other_accepts(
        events in prop::collection::vec(event(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = pb::EventBatch { events, ..pb::EventBatch::default() }.encode_to_vec();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        properties::rows(&bytes);
        if let Ok(batch) = Batch::parse(&bytes)
            && batch.events().all(|event| event.is_ok())
            && batch.fixes().all(|fix| fix.is_ok())
            && batch.heads().all(|head| head.is_ok())
            && batch.gaps().all(|gap| gap.is_ok())
            && batch.tombstones().all(|view| view.is_ok())
            && batch.anchors().all(|anchor| anchor.is_ok())
            && batch.boots().all(|view| view.is_ok())
        {
            let theirs = pb::EventBatch::decode(bytes.as_slice()).expect("what we accept is valid protobuf");
            prop_assert_eq!(theirs.events.len(), batch.event_count() as usize);
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        properties::rows(&bytes);
    }
}

pub(crate) fn head(lane: Lane, seq: u64, at: u64) -> EventHead {
    EventHead {
        event_type: EventTypeId(100),
        lane,
        seq: Seq(seq),
        severity: Some(Severity::High),
        bus: Some(BusId(255)),
        ecu: EcuId(7),
        first: VehicleMicros(at),
        last: VehicleMicros(at + 5),
        count: 3,
    }
}

/// A batch with one of everything.
pub(crate) fn sample() -> Vec<u8> {
    let mut buffer = [0; 1024];
    let mut writer = BatchWriter::new(&mut buffer);
    let fields = [
        Field { key: FieldKey(1), value: Value::Uint(0x7DF) },
        Field { key: FieldKey(2), value: Value::Sint(-40) },
        Field { key: FieldKey(3), value: Value::Text("bremse ü") },
        Field { key: FieldKey(4), value: Value::Bytes(&[0, 255]) },
        Field { key: FieldKey(5), value: Value::Double(-0.5) },
        Field { key: FieldKey(6), value: Value::Flag(false) },
    ];
    writer.event(&head(Lane::Critical, 9, 1_000), fields.into_iter(), &[1, 2, 3]).expect("room");
    writer.event(&head(Lane::Batched, 1, 900), [].into_iter(), &[]).expect("room");
    writer.event(&head(Lane::Critical, 12, 5_000_000_000), [].into_iter(), &[]).expect("room");
    let fix =
        ClockFix { mono: VehicleMicros(10), wall: UnixMicros(-5), error_us: 1, source: ClockSource::Gnss };
    writer.fix(&fix).expect("room");
    let lane_head = LaneHead { lane: Lane::Deferred, first_seq: 4, last_seq: 9, received: 30, folded: 20 };
    writer.head(&lane_head, &[DropCount { reason: Some(DropReason::QuotaFull), count: 1 }]).expect("room");
    let range = SeqRange::new(Seq(10), Seq(11)).expect("ascending");
    writer.gap(&Gap { lane: Lane::Critical, range, reason: Some(DropReason::Evicted) }).expect("room");
    writer.finish().to_vec()
}

#[test]
fn a_row_that_does_not_fit_leaves_the_batch_as_it_was() {
    let mut buffer = [0; 40];
    let mut writer = BatchWriter::new(&mut buffer);
    writer.event(&head(Lane::Batched, 1, 0), [].into_iter(), &[]).expect("room");
    let used = writer.used();
    let full = writer.event(&head(Lane::Batched, 2, 0), [].into_iter(), &[7; 40]);
    assert!(matches!(full, Err(WriteError::Full(_))), "{full:?}");
    assert_eq!(writer.used(), used);
    writer.event(&head(Lane::Batched, 2, 0), [].into_iter(), &[]).expect("the number is still free");
    let seqs: Vec<u64> = Batch::parse(writer.finish())
        .expect("own output")
        .events()
        .map(|event| event.expect("own output").head.seq.0)
        .collect();
    assert_eq!(seqs, [1, 2]);
}

#[test]
fn the_writer_refuses_what_no_reader_takes() {
    let mut buffer = [0; 8192];
    let mut writer = BatchWriter::new(&mut buffer);
    let good = head(Lane::Batched, 5, 100);
    writer.event(&good, [].into_iter(), &[]).expect("room");
    let refused = |result: Result<(), WriteError>| match result {
        Err(WriteError::Refused(refusal)) => Some(refusal),
        Ok(()) | Err(WriteError::Full(_) | WriteError::TooMany) => None,
    };
    let mut put = |head: &EventHead| refused(writer.event(head, [].into_iter(), &[]));
    assert_eq!(put(&good), Some(Refusal::Order));
    let next = EventHead { seq: Seq(6), ..good };
    assert_eq!(put(&EventHead { event_type: EventTypeId(0), ..next }), Some(Refusal::Head));
    assert_eq!(put(&EventHead { count: 0, ..next }), Some(Refusal::Head));
    assert_eq!(put(&EventHead { last: VehicleMicros(99), ..next }), Some(Refusal::Head));
    let far = VehicleMicros(u64::MAX);
    assert_eq!(put(&EventHead { first: far, last: far, ..next }), Some(Refusal::Head));
    let field = |key| Field { key: FieldKey(key), value: Value::Flag(true) };
    assert_eq!(refused(writer.event(&next, [field(0)].into_iter(), &[])), Some(Refusal::Fields));
    let fields = vec![field(1); usize::from(limits::FIELDS_MAX)];
    writer.event(&next, fields.iter().copied(), &[]).expect("the cap itself is allowed");
    let more = fields.iter().copied().chain([field(1)]);
    let next = EventHead { seq: Seq(7), ..good };
    assert_eq!(refused(writer.event(&next, more, &[])), Some(Refusal::Fields));
    assert_eq!(
        refused(writer.event(&next, [].into_iter(), &[0; limits::CONTEXT_BYTES_MAX + 1])),
        Some(Refusal::Length)
    );
    let long = [0; limits::VALUE_BYTES_MAX + 1];
    let bytes = |length| Field { key: FieldKey(1), value: Value::Bytes(&long[..length]) };
    assert_eq!(refused(writer.event(&next, [bytes(long.len())].into_iter(), &[])), Some(Refusal::Length));
    writer.event(&next, [bytes(long.len() - 1)].into_iter(), &[]).expect("the cap itself is allowed");
}

fn faults(batch: &pb::EventBatch) -> Vec<Option<RowFault>> {
    let bytes = batch.encode_to_vec();
    let batch = Batch::parse(&bytes).expect("the outer structure is whole");
    batch.events().map(|event| event.err().map(|error| error.fault)).collect()
}

#[test]
fn a_row_with_bad_content_is_rejected_and_the_next_keeps_its_number() {
    let good = pb::Event { event_type: 1, lane: 1, ..pb::Event::default() };
    let field = |key, value| vec![pb::Field { key, value: Some(value) }];
    let long = "x".repeat(limits::VALUE_BYTES_MAX + 1);
    let cases = [
        (pb::Event { lane: 3, ..good.clone() }, RowFault::Lane { got: 3 }),
        (pb::Event { event_type: 0, ..good.clone() }, RowFault::EventType { got: 0 }),
        (pb::Event { event_type: 65_536, ..good.clone() }, RowFault::EventType { got: 65_536 }),
        (pb::Event { bus: 257, ..good.clone() }, RowFault::Place { got: 257 }),
        (pb::Event { ecu: 65_536, ..good.clone() }, RowFault::Place { got: 65_536 }),
        (pb::Event { repeats: u64::MAX, ..good.clone() }, RowFault::Count),
        (pb::Event { span_us: u64::MAX, mono_step: 1, ..good.clone() }, RowFault::Count),
        (pb::Event { fields: field(0, pb::Value::Flag(true)), ..good.clone() }, RowFault::Key { got: 0 }),
        (
            pb::Event { fields: field(65_536, pb::Value::Flag(true)), ..good.clone() },
            RowFault::Key { got: 65_536 },
        ),
        (
            pb::Event { fields: field(1, pb::Value::Text(long.clone())), ..good.clone() },
            RowFault::Length { max: limits::VALUE_BYTES_MAX, got: long.len() },
        ),
        (
            pb::Event { context: vec![0; limits::CONTEXT_BYTES_MAX + 1], ..good.clone() },
            RowFault::Length { max: limits::CONTEXT_BYTES_MAX, got: limits::CONTEXT_BYTES_MAX + 1 },
        ),
        (
            pb::Event { fields: vec![field(1, pb::Value::Flag(true))[0].clone(); 65], ..good.clone() },
            RowFault::Fields { max: limits::FIELDS_MAX },
        ),
    ];
    for (bad, fault) in cases {
        let last = pb::Event { seq_step: 3, ..good.clone() };
        let batch = pb::EventBatch { events: vec![bad, last], ..pb::EventBatch::default() };
        assert_eq!(faults(&batch), [Some(fault), None]);
        let bytes = batch.encode_to_vec();
        let seq =
            Batch::parse(&bytes).expect("whole").events().flatten().next().expect("the good row").head.seq;
        // A row of an unknown lane has no number in ours; the others used number 1.
        assert_eq!(seq, Seq(if fault == (RowFault::Lane { got: 3 }) { 4 } else { 5 }));
    }
}

#[test]
fn a_row_whose_numbers_overflow_ends_the_reading() {
    let good = pb::Event { event_type: 1, ..pb::Event::default() };
    for bad in [pb::Event { seq_step: u64::MAX, ..good.clone() }, pb::Event { mono_step: -1, ..good.clone() }]
    {
        let batch = pb::EventBatch { events: vec![bad, good.clone()], ..pb::EventBatch::default() };
        assert_eq!(faults(&batch), [Some(RowFault::Overflow)]);
    }
}

#[test]
fn broken_structure_ends_the_reading_and_names_the_offset() {
    // Second row: field 1 with wire type 5 where a varint belongs.
    let bytes = [0x0A, 2, 0x08, 1, 0x0A, 5, 0x0D, 1, 2, 3, 4, 0x0A, 2, 0x08, 1];
    let results: Vec<_> = Batch::parse(&bytes).expect("whole").events().collect();
    let [Ok(_), Err(error)] = results.as_slice() else { panic!("{results:?}") };
    assert_eq!(error.fault, RowFault::Structure(StructureError::WireType { offset: 6, field: 1, got: 5 }));
    assert_eq!((error.index, error.offset, error.is_fatal()), (1, 6, true));
    let lying = [0x0A, 3, 0x08, 1];
    let truncated = StructureError::Truncated { offset: 2, needed: 3, got: 2 };
    assert_eq!(Batch::parse(&lying).err(), Some(BatchError::Structure(truncated)));
    assert_eq!(
        Batch::parse(&[0x0B]).err(),
        Some(BatchError::Structure(StructureError::WireType { offset: 0, field: 1, got: 3 }))
    );
    assert_eq!(
        Batch::parse(&[0x00, 0]).err(),
        Some(BatchError::Structure(StructureError::FieldNumber { offset: 0 }))
    );
    assert_eq!(
        Batch::parse(&[0x80; 11]).err(),
        Some(BatchError::Structure(StructureError::Varint { offset: 0 }))
    );
}

#[test]
fn fields_of_a_later_version_are_skipped_and_values_counted() {
    // Unknown field 99 in batch and row, unknown value kind 15 in a field.
    let field = [0x08, 7, 0x78, 1];
    let mut row = vec![0x08, 1, 0x9A, 0x06, 2, 9, 9, 0x52, 4];
    row.extend(field);
    let mut bytes = vec![0x9A, 0x06, 1, 0, 0x0A, u8::try_from(row.len()).expect("short")];
    bytes.extend(row);
    let event = Batch::parse(&bytes).expect("whole").events().next().expect("one row").expect("readable");
    assert_eq!((event.unread_fields, event.fields().count()), (1, 0));
}

#[test]
fn more_rows_than_allowed_are_refused_as_a_whole() {
    let row = [0x0A, 0];
    let most = row.repeat(limits::EVENTS_MAX as usize);
    assert_eq!(Batch::parse(&most).map(|batch| batch.event_count()).ok(), Some(limits::EVENTS_MAX));
    let more = row.repeat(limits::EVENTS_MAX as usize + 1);
    assert_eq!(Batch::parse(&more).err(), Some(BatchError::TooMany { field: 1, max: limits::EVENTS_MAX }));
    let gaps = [0x22, 0].repeat(limits::GAPS_MAX as usize + 1);
    assert_eq!(Batch::parse(&gaps).err(), Some(BatchError::TooMany { field: 4, max: limits::GAPS_MAX }));
}

/// One of each statement, with every field set.
pub(crate) fn statement_sample() -> Vec<u8> {
    let mut buffer = [0; 2048];
    let mut writer = BatchWriter::new(&mut buffer);
    let head = TombstoneHead {
        lane: Lane::Batched,
        range: SeqRange::new(Seq(5), Seq(9)).expect("ascending"),
        reason: Some(DropReason::Evicted),
        first: VehicleMicros(1_000),
        last: VehicleMicros(9_000),
        last_tag: [0xAB; 16],
        signature: [0x5A; SIGNATURE_BYTES],
    };
    let lost = [
        LostRows { event_type: EventTypeId(0), severity: None, rows: 1, observations: 1 },
        LostRows { event_type: EventTypeId(100), severity: Some(Severity::High), rows: 4, observations: 40 },
    ];
    writer.tombstone(&head, lost.into_iter()).expect("room");
    writer.anchor(&AnchorStatement { kind: 1, counter: 77, head: [7; 32], proof: &[] }).expect("room");
    writer.anchor(&AnchorStatement { kind: 2, counter: 78, head: [8; 32], proof: b"proof" }).expect("room");
    let ends =
        [Lane::Critical, Lane::Deferred].map(|lane| BootEnd { epoch: BootEpoch(6), lane, last_seq: 12 });
    writer
        .boot(&BootHead { current: BootEpoch(7), previous: Some([9; 32]) }, ends.into_iter())
        .expect("room");
    writer.finish().to_vec()
}

#[test]
fn a_tombstone_signs_the_same_text_as_the_spool() {
    let bytes = statement_sample();
    let batch = Batch::parse(&bytes).expect("well formed");
    let view = batch.tombstones().next().expect("one").expect("well formed");
    let mut out = [0; 1024];
    let text = view.signed(BootEpoch(3), &mut out).expect("room");
    let mut expected = b"outrider spool tombstone 1\0".to_vec();
    expected.extend([1, 5]);
    expected.extend([3u64, 5, 9, 1_000, 9_000].into_iter().flat_map(u64::to_le_bytes));
    expected.extend([0xAB; 16]);
    for (event_type, severity, rows, observations) in [(0u16, 0, 1u64, 1u64), (100, 4, 4, 40)] {
        expected.extend(event_type.to_le_bytes());
        expected.push(severity);
        expected.extend([rows, observations].into_iter().flat_map(u64::to_le_bytes));
    }
    assert_eq!(text, expected);
}

#[test]
fn a_statement_with_a_wrong_length_or_too_many_parts_is_refused_alone() {
    let good = pb::Tombstone {
        first_seq: 1,
        last_seq: 1,
        last_tag: vec![0; 16],
        signature: vec![0; 64],
        ..pb::Tombstone::default()
    };
    let short = pb::Tombstone { last_tag: vec![0; 15], ..good.clone() };
    let kinds = |count| pb::Tombstone { lost: vec![pb::LostRows::default(); count], ..good.clone() };
    let empty = pb::Tombstone { last_seq: 0, ..good.clone() };
    let (most, more) = (kinds(33), kinds(34));
    let tombstones = vec![good, short, most, more, empty];
    let anchors = vec![pb::AnchorStatement { head: vec![0; 32], proof: vec![0; 513], ..Default::default() }];
    let ends = vec![pb::BootEnd::default(); 33];
    let boots = vec![pb::BootStatement { ends, ..Default::default() }];
    let batch = pb::EventBatch { tombstones, anchors, boots, ..Default::default() };
    let bytes = batch.encode_to_vec();
    let read = Batch::parse(&bytes).expect("the structure is fine");
    assert_eq!(
        read.tombstones().map(|view| view.is_ok()).collect::<Vec<_>>(),
        [true, false, true, false, false]
    );
    assert!(read.anchors().all(|anchor| anchor.is_err()));
    assert!(read.boots().all(|view| view.is_err()));
    let many = pb::EventBatch { boots: vec![pb::BootStatement::default(); 2], ..Default::default() };
    let refused = Batch::parse(&many.encode_to_vec()).map(|batch| batch.event_count());
    assert_eq!(refused, Err(BatchError::TooMany { field: 8, max: 1 }));
}

/// A text of two boots with one kind, as `docs` lays it out.
fn lost_boots_text() -> Vec<u8> {
    // Batched, boots 5 to 300, two of them; sums; one kind; then both boots.
    let mut text = vec![1, 5, 0xA7, 2, 2, 7, 9, 1, 4, 5, 0, 1, 100, 0, 3, 4, 5, 0];
    text.extend([0, 3, 4, 1, 2, 3, 0]);
    text.extend([0xA7, 2, 4, 5, 0, 2, 2, 0]);
    text
}

#[test]
fn an_account_of_lost_boots_gives_back_what_was_written() {
    let text = lost_boots_text();
    let mut out = [0; 256];
    let mut writer = BatchWriter::new(&mut out);
    writer.lost_boots(&text, &[9; 64]).expect("room");
    let batch = Batch::parse(writer.finish()).expect("just written");
    let view = batch.lost_boots().next().expect("one").expect("legal");
    assert_eq!((view.lane, view.first.0, view.last.0, view.boots), (Lane::Batched, 5, 300, 2));
    assert_eq!((view.text, view.signature, view.is_listed()), (text.as_slice(), [9; 64], true));
    let each: Vec<_> = view.each().map(|one| (one.epoch.0, one.counts.numbers())).collect();
    assert_eq!(each, [(5, [3, 4, 1, 2, 3, 0]), (300, [4, 5, 0, 2, 2, 0])]);
    assert_eq!((view.sum.numbers(), view.sum.folded()), ([7, 9, 1, 4, 5, 0], 1));
    let lost: Vec<_> = view.lost().map(|lost| (lost.event_type.0, lost.rows, lost.observations)).collect();
    assert_eq!((lost.as_slice(), view.runs().next()), (&[(100, 4, 5)][..], None));
}

/// The same, with only the sums of seven boots in three runs: 5 and 6, 100 to 103, 300.
fn summed_boots_text() -> Vec<u8> {
    let mut text = lost_boots_text();
    text.truncate(17);
    text[4] = 7;
    text.extend([3, 0, 2, 93, 4, 0xC4, 1, 1]);
    text
}

#[test]
fn sums_over_lost_boots_say_which_boots_they_are_of() {
    let text = summed_boots_text();
    let view = LostBootsView::parse(&text, [0; 64]).expect("legal");
    let runs: Vec<_> = view.runs().map(|run| (run.first.0, run.last.0)).collect();
    assert_eq!(runs, [(5, 6), (100, 103), (300, 300)]);
    assert_eq!((view.boots, view.is_listed(), view.each().next()), (7, false, None));
    let six = [&text[..4], &[6], &text[5..]].concat();
    assert!(LostBootsView::parse(&six, [0; 64]).is_some(), "one of them may be told elsewhere");
    for (at, byte, why) in [
        (4, 8, "more boots than the runs have"),
        (17, 2, "a run less than said"),
        (17, 4, "a run more than said"),
        (18, 1, "a first run that does not begin at the first boot"),
        (19, 0, "a run of none"),
        (20, 0, "a run right behind the one before"),
        (24, 2, "a run beyond the last boot"),
        (2, 0xA6, "a last boot that is in no run"),
    ] {
        let mut text = text.clone();
        text[at] = byte;
        assert!(LostBootsView::parse(&text, [0; 64]).is_none(), "{why}");
    }
    for cut in 0..text.len() {
        assert!(LostBootsView::parse(&text[..cut], [0; 64]).is_none(), "cut at {cut}");
    }
    let mut all = vec![1, 0];
    all.extend([0xFF; 9]);
    all.extend([1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    all.extend([0xFF; 9]);
    all.push(1);
    assert!(
        LostBootsView::parse(&all, [0; 64]).is_none(),
        "boot 0 to 2^64 - 2 as a run, and one more as the last"
    );
}

#[test]
fn an_account_of_lost_boots_that_contradicts_itself_is_refused() {
    let good = lost_boots_text();
    let parse = |text: &[u8]| LostBootsView::parse(text, [0; 64]).is_some();
    assert!(parse(&good));
    for cut in 0..good.len() {
        assert!(!parse(&good[..cut]), "cut at {cut}");
    }
    let changed = |at: usize, byte: u8| {
        let mut text = good.clone();
        text[at] = byte;
        parse(&text)
    };
    assert!(!changed(0, 7), "no such lane");
    assert!(!changed(4, 3), "three boots, and two listed");
    assert!(!changed(5, 8), "sums that are not those of the boots");
    assert!(!changed(25, 0xA8), "a boot behind the last");
    assert!(!parse(&[good.as_slice(), &[0]].concat()), "a byte too many");
    let none = [1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(!parse(&none), "about no boot");
}
