//! Signed frames: limits, lies and changed bits.

use outrider_types::{BootEpoch, Lane, Seq, TenantId, UnixMicros, VehicleId};
use outrider_wire::{
    Ack, Command, CommandHead, CommandId, DictId, Envelope, EnvelopeHeader, EvidenceHash, EvidenceWindow,
    FrameError, IntentHash, KEY_BYTES, KeyChange, Outcome, Parameters, PermitId, Receipt, RefuseReason,
    Reply, SealedAck, SealedCommand, SealedEnvelope, SealedKeyChange, SealedReceipt, SeqRange, UplinkFrame,
    Watermark, limits,
};

use crate::{Key, properties};

pub(crate) const VEHICLE: VehicleId = VehicleId(*b"vehicle-of-tests");

pub(crate) fn header(dict: DictId, raw_bytes: u32) -> EnvelopeHeader {
    EnvelopeHeader {
        dict,
        catalogue_id: 1,
        tenant: TenantId(42),
        vehicle: VEHICLE,
        epoch: BootEpoch(7),
        batch_number: 3,
        raw_bytes,
    }
}

pub(crate) fn envelope(header: EnvelopeHeader, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; Envelope::frame_bytes(payload.len())];
    let length = Envelope { header, payload }.emit(&Key::new(1), &mut out).expect("within all caps");
    assert_eq!(length, out.len());
    out
}

pub(crate) fn ack() -> Vec<u8> {
    let range = |first, last| SeqRange::new(Seq(first), Seq(last)).expect("ascending");
    let holes = [range(12, 12), range(15, 20)];
    let marks = [
        Watermark { epoch: BootEpoch(6), lane: Lane::Critical, contiguous: 10, holes: &holes },
        Watermark { epoch: BootEpoch(7), lane: Lane::Deferred, contiguous: 0, holes: &[] },
    ];
    let mut out = vec![0; Ack::frame_bytes(&marks)];
    let length =
        Ack::emit(VEHICLE, UnixMicros(1_700_000_000_000_000), &marks, &Key::new(2), &mut out).expect("room");
    out.truncate(length);
    out
}

pub(crate) fn command() -> Vec<u8> {
    let window =
        EvidenceWindow { epoch: BootEpoch(7), lane: Lane::Critical, seq: Seq(9), before_s: 30, after_s: 10 };
    command_of(&Parameters::RequestEvidence(window))
}

pub(crate) fn update() -> Vec<u8> {
    let kind = outrider_wire::ArtifactKind::Rules;
    command_of(&Parameters::Update(outrider_wire::UpdateOrder {
        kind,
        version: 3,
        sha256: [8; 32],
        bytes: 900,
    }))
}

fn command_of(parameters: &Parameters) -> Vec<u8> {
    let head = CommandHead {
        id: CommandId([1; 16]),
        tenant: TenantId(42),
        vehicle: VEHICLE,
        sequence: 5,
        not_before: UnixMicros(100),
        expires: UnixMicros(200),
        permit: PermitId([2; 16]),
        intent: IntentHash([3; 32]),
    };
    let mut out = vec![0; outrider_wire::COMMAND_BYTES_MAX];
    let length = Command::emit(&head, parameters, &Key::new(3), &mut out).expect("room");
    out.truncate(length);
    out
}

pub(crate) fn receipt(outcome: Outcome) -> Vec<u8> {
    let receipt =
        Receipt { command: CommandId([1; 16]), tenant: TenantId(42), vehicle: VEHICLE, sequence: 5, outcome };
    let mut out = vec![0; outrider_wire::RECEIPT_BYTES];
    assert_eq!(receipt.emit(&Key::new(1), &mut out), Ok(out.len()));
    let read = SealedReceipt::parse(&out).and_then(|sealed| sealed.open(&Key::new(1)));
    assert_eq!(read, Ok(receipt));
    out
}

pub(crate) fn reply() -> Vec<u8> {
    let (ack, command) = (ack(), command());
    let commands = [command.as_slice(), command.as_slice()];
    let mut out = vec![0; Reply::frame_bytes(&ack, &commands)];
    assert_eq!(Reply::emit(&ack, &commands, &mut out), Ok(out.len()));
    out
}

type Open = fn(&[u8]) -> Result<(), FrameError>;

#[test]
fn no_bit_of_a_signed_frame_can_change() {
    let cases: [(&str, Vec<u8>, Open); 4] = [
        ("batch", envelope(header(DictId::STORED, 3), b"row"), |bytes| {
            SealedEnvelope::parse(bytes)?.open(&Key::new(1)).map(|_| ())
        }),
        ("ack", ack(), |bytes| SealedAck::parse(bytes)?.open(&Key::new(2)).map(|_| ())),
        ("command", command(), |bytes| SealedCommand::parse(bytes)?.open(&Key::new(3)).map(|_| ())),
        ("receipt", receipt(Outcome::Failed), |bytes| {
            SealedReceipt::parse(bytes)?.open(&Key::new(1)).map(|_| ())
        }),
    ];
    for (name, good, open) in cases {
        assert_eq!(open(&good), Ok(()), "{name}");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&bad).is_err(), "{name} with bit {bit} changed");
        }
        for length in 0..good.len() {
            assert!(open(&good[..length]).is_err(), "{name} cut to {length}");
        }
        let longer = [good.as_slice(), &[0]].concat();
        assert!(open(&longer).is_err(), "{name} with a byte more");
    }
}

#[test]
fn an_acknowledgement_names_the_frame_that_it_answers_or_none() {
    let mark = Watermark { epoch: BootEpoch(6), lane: Lane::Critical, contiguous: 10, holes: &[] };
    let mut out = vec![0; Ack::frame_bytes(&[mark])];
    let length = Ack::emit_answer((VEHICLE, UnixMicros(5), [7; 16]), &[mark], &Key::new(2), &mut out);
    assert_eq!(length, Ok(out.len()));
    let answers = |bytes: &[u8]| {
        SealedAck::parse(bytes).and_then(|sealed| sealed.open(&Key::new(2))).map(|ack| ack.answers)
    };
    assert_eq!(answers(&out), Ok(Some([7; 16])));
    assert_eq!(answers(&ack()), Ok(None));
    out[40] ^= 1;
    assert_eq!(answers(&out), Err(FrameError::Signature), "what it answers is signed");
    out[4] = 3;
    assert_eq!(answers(&out), Err(FrameError::Version { expected: 2, got: 3 }));
}

#[test]
fn a_signature_of_one_key_or_kind_is_none_of_another() {
    let frame = ack();
    let sealed = SealedAck::parse(&frame).expect("well formed");
    assert_eq!(sealed.open(&Key::new(9)).err(), Some(FrameError::Signature));
    let error = SealedCommand::parse(&frame).err();
    assert_eq!(error, Some(FrameError::Magic { expected: *b"ORTC", got: *b"ORTA" }));
}

#[test]
fn an_envelope_that_lies_is_refused_with_expected_and_got() {
    let good = envelope(header(DictId(0x1234_5678), 4000), b"payload");
    let change = |offset: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[offset..offset + bytes.len()].copy_from_slice(bytes);
        SealedEnvelope::parse(&bad).err()
    };
    assert_eq!(change(0, b"ORTX"), Some(FrameError::Magic { expected: *b"ORTB", got: *b"ORTX" }));
    assert_eq!(change(4, &[2, 0]), Some(FrameError::Version { expected: 1, got: 2 }));
    assert_eq!(change(6, &[9, 0]), Some(FrameError::Suite { expected: 1, got: 9 }));
    assert_eq!(change(56, &[8, 0, 0, 0]), Some(FrameError::Length { offset: 56, expected: 7, got: 8 }));
    assert_eq!(change(56, &[6, 0, 0, 0]), Some(FrameError::Length { offset: 56, expected: 7, got: 6 }));
    let huge = FrameError::Cap { offset: 56, max: 1 << 20, got: u64::from(u32::MAX) };
    assert_eq!(change(56, &[0xFF; 4]), Some(huge));
    let bomb = limits::RAW_BYTES_MAX + 1;
    let capped = FrameError::Cap { offset: 52, max: u64::from(limits::RAW_BYTES_MAX), got: u64::from(bomb) };
    assert_eq!(change(52, &bomb.to_le_bytes()), Some(capped));
    assert_eq!(change(52, &limits::RAW_BYTES_MAX.to_le_bytes()), None, "the cap itself is allowed");
    assert_eq!(change(8, &[0; 4]), Some(FrameError::Length { offset: 52, expected: 7, got: 4000 }), "stored");
    let long = vec![0; limits::FRAME_BYTES_MAX + 1];
    let error = FrameError::Cap { offset: 0, max: 1 << 20, got: (1 << 20) + 1 };
    assert_eq!(SealedEnvelope::parse(&long).err(), Some(error));
}

#[test]
fn an_acknowledgement_gives_back_its_watermarks_and_keeps_its_caps() {
    let frame = ack();
    let ack = SealedAck::parse(&frame).and_then(|sealed| sealed.open(&Key::new(2))).expect("just written");
    let marks: Vec<_> = ack
        .watermarks()
        .map(|mark| (mark.epoch.0, mark.lane, mark.contiguous, mark.holes().count()))
        .collect();
    assert_eq!(marks, [(6, Lane::Critical, 10, 2), (7, Lane::Deferred, 0, 0)]);
    let range = |first, last| SeqRange::new(Seq(first), Seq(last)).expect("ascending");
    let emit = |marks: &[Watermark<'_>]| {
        let mut out = vec![0; Ack::frame_bytes(marks)];
        Ack::emit(VEHICLE, UnixMicros(0), marks, &Key::new(2), &mut out)
    };
    let mark = Watermark { epoch: BootEpoch(1), lane: Lane::Critical, contiguous: 5, holes: &[] };
    for holes in [[range(5, 6), range(8, 9)], [range(7, 9), range(9, 10)], [range(10, 11), range(7, 8)]] {
        assert!(
            matches!(emit(&[Watermark { holes: &holes, ..mark }]), Err(FrameError::Value { .. })),
            "{holes:?}"
        );
    }
    let holes: Vec<SeqRange> =
        (0..=limits::HOLES_MAX as u64).map(|index| range(10 + 2 * index, 10 + 2 * index)).collect();
    assert!(emit(&[Watermark { holes: &holes[1..], ..mark }]).is_ok());
    assert!(matches!(emit(&[Watermark { holes: &holes, ..mark }]), Err(FrameError::Cap { .. })));
    assert!(emit(&vec![mark; limits::WATERMARKS_MAX]).is_ok());
    assert!(matches!(emit(&vec![mark; limits::WATERMARKS_MAX + 1]), Err(FrameError::Cap { .. })));
}

#[test]
fn a_reply_gives_back_its_parts_and_keeps_its_caps() {
    let (frame, command) = (reply(), command());
    let read = Reply::parse(&frame).expect("just written");
    assert_eq!(read.ack, ack());
    assert_eq!(read.commands().collect::<Vec<_>>(), [command.as_slice(); 2]);
    assert!(Reply::parse(&frame[..frame.len() - 1]).is_err());
    let mut out = vec![0; limits::REPLY_BYTES_MAX];
    let most = vec![command.as_slice(); limits::REPLY_COMMANDS_MAX];
    assert!(Reply::emit(&[], &most, &mut out).is_ok());
    let more = vec![command.as_slice(); limits::REPLY_COMMANDS_MAX + 1];
    assert!(matches!(Reply::emit(&[], &more, &mut out), Err(FrameError::Cap { .. })));
    assert!(matches!(
        Reply::emit(&vec![0; limits::REPLY_BYTES_MAX], &[], &mut out),
        Err(FrameError::Cap { .. })
    ));
}

#[test]
fn every_outcome_of_a_command_has_a_receipt() {
    for reason in RefuseReason::ALL {
        assert_eq!(RefuseReason::from_code(reason.code()), Some(reason));
        receipt(Outcome::Refused(Some(reason)));
    }
    receipt(Outcome::Accepted);
    receipt(Outcome::Done { evidence: EvidenceHash([4; 32]), bytes: u64::MAX });
    assert_eq!(UplinkFrame::kind(&receipt(Outcome::Failed)), Some(UplinkFrame::Receipt));
    assert_eq!(UplinkFrame::kind(&envelope(header(DictId::PLAIN, 0), &[])), Some(UplinkFrame::Batch));
    assert_eq!(UplinkFrame::kind(&command()), None);
}

#[test]
fn a_buffer_one_byte_too_short_is_refused() {
    let payload = [0; 10];
    let envelope = Envelope { header: header(DictId::PLAIN, 1), payload: &payload };
    let mut out = vec![0; Envelope::frame_bytes(payload.len()) - 1];
    assert!(matches!(envelope.emit(&Key::new(1), &mut out), Err(FrameError::Full(_))));
}

proptest::proptest! {
    #[test]
    fn any_bytes_behind_a_good_start_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        for magic in [b"ORTB", b"ORTA", b"ORTC", b"ORTR", b"ORTY"] {
            let frame = [magic.as_slice(), &[1, 0, 1, 0], &bytes].concat();
            properties::envelope(&frame);
            properties::ack(&frame);
            properties::command(&frame);
        }
    }
}

#[test]
fn a_change_of_key_wants_both_signatures_and_no_other_byte() {
    let change = KeyChange { tenant: TenantId(42), vehicle: VEHICLE, from: BootEpoch(9), key: [7; 32] };
    let mut frame = vec![0; KEY_BYTES];
    assert_eq!(change.emit(&Key::new(5), &Key::new(6), &mut frame), Ok(KEY_BYTES));
    assert_eq!(UplinkFrame::kind(&frame), Some(UplinkFrame::KeyChange));
    let open = |frame: &[u8], new: u8, old: u8| {
        SealedKeyChange::parse(frame).and_then(|sealed| sealed.open(&Key::new(new), &Key::new(old)))
    };
    assert_eq!(open(&frame, 5, 6), Ok(change));
    for (new, old) in [(6, 5), (5, 5), (6, 6)] {
        assert_eq!(open(&frame, new, old), Err(FrameError::Signature));
    }
    for at in 0..frame.len() {
        let mut changed = frame.clone();
        changed[at] ^= 1;
        assert!(open(&changed, 5, 6).is_err(), "byte {at}");
        assert!(open(&frame[..at], 5, 6).is_err(), "{at} bytes");
    }
    let mut short = vec![0; KEY_BYTES - 1];
    assert!(change.emit(&Key::new(5), &Key::new(6), &mut short).is_err());
}
