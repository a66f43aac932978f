//! What must hold for any bytes; the fuzz targets run the same functions. Each returns true if the bytes were accepted,
//! so that a test can tell that both ways were gone.

use outrider_types::{BootEpoch, VehicleId};
use outrider_wire::ids_frame::{IdsMessage, IdsView};
use outrider_wire::policy::{Policy, may_take};
use outrider_wire::short_row::{SHAPES_V1, pack, unpack};
use outrider_wire::{
    Ack, Artifact, Batch, BatchWriter, Command, Envelope, Reply, RowError, SHORT_TAG_BYTES, SIGNATURE_BYTES,
    SealedAck, SealedArtifact, SealedCommand, SealedEdgeRecord, SealedEnvelope, SealedReceipt, SealedShort,
    ShortPlace, Signer, SignerError, TOMBSTONE_SIGNED_BYTES_MAX, Tagger, Verifier, Watermark, is_short,
    limits,
};

/// Takes every signature and signs with the one that it was made from.
struct Anything([u8; SIGNATURE_BYTES]);

impl Anything {
    fn of(frame: &[u8]) -> Self {
        Self(frame.last_chunk().copied().unwrap_or([0; SIGNATURE_BYTES]))
    }
}

impl Verifier for Anything {
    fn verify(&self, _: &[u8], _: &[u8; SIGNATURE_BYTES]) -> bool {
        true
    }
}

impl Signer for Anything {
    fn sign(&self, _: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignerError> {
        Ok(self.0)
    }
}

/// Frame after frame is read to the end; what is legal, written and read again is the same.
pub(crate) fn ids_frames(bytes: &[u8]) -> bool {
    let (mut rest, mut all) = (bytes, !bytes.is_empty());
    while !rest.is_empty() {
        let Ok((view, behind)) = IdsView::parse(rest) else { return false };
        assert!(behind.len() < rest.len() && view.signed().len() <= rest.len());
        match IdsMessage::parse(&view) {
            Ok(message) => {
                let mut out = vec![0; message.frame_bytes()];
                let length = message.emit(&mut out).expect("what was read can be written");
                let (again, none) = IdsView::parse(&out[..length]).expect("own output");
                assert!(none.is_empty());
                assert_eq!(IdsMessage::parse(&again), Ok(message));
            }
            Err(_) => all = false,
        }
        rest = behind;
    }
    all
}

/// Rows are read to their end; what was read, written and read again is the same.
pub(crate) fn rows(bytes: &[u8]) -> bool {
    let Ok(batch) = Batch::parse(bytes) else { return false };
    assert!(batch.event_count() <= limits::EVENTS_MAX);
    let results: Vec<_> = batch.events().collect();
    let fatal = results.iter().filter(|row| row.as_ref().is_err_and(RowError::is_fatal)).count();
    assert!(fatal <= 1 && results.len() <= batch.event_count() as usize);
    assert!(fatal == 1 || results.len() == batch.event_count() as usize, "every row is yielded");

    let mut events = batch.events();
    loop {
        let mut fields = Vec::new();
        let Some(event) = events.next_with(|field| fields.push(field)) else { break };
        if let Ok(event) = event {
            let debug = format!("{:?}", event.fields().collect::<Vec<_>>());
            assert_eq!(format!("{fields:?}"), debug, "read at once or later");
        }
    }

    let good: Vec<_> = results.into_iter().flatten().collect();
    let mut buffer = vec![0; bytes.len() * 4 + 64];
    let mut writer = BatchWriter::new(&mut buffer);
    for event in &good {
        assert!(event.fields().count() <= usize::from(limits::FIELDS_MAX));
        writer.event(&event.head, event.fields(), event.context).expect("what was read can be written");
    }
    let mut state = 0;
    for fix in batch.fixes().flatten() {
        writer.fix(&fix).expect("what was read can be written");
        state += 1;
    }
    for view in batch.heads().flatten() {
        let drops: Vec<_> = view.drops().collect();
        writer.head(&view.head, &drops).expect("what was read can be written");
        state += 1;
    }
    for gap in batch.gaps().flatten() {
        writer.gap(&gap).expect("what was read can be written");
        state += 1;
    }
    let mut statements = Vec::new();
    for view in batch.tombstones().flatten() {
        writer.tombstone(&view.head, view.lost()).expect("what was read can be written");
        assert!(view.signed(BootEpoch(1), &mut [0; TOMBSTONE_SIGNED_BYTES_MAX]).is_ok(), "the longest fits");
        statements.push((format!("{:?}", view.head), format!("{:?}", view.lost().collect::<Vec<_>>())));
    }
    for anchor in batch.anchors().flatten() {
        writer.anchor(&anchor).expect("what was read can be written");
        statements.push((format!("{anchor:?}"), String::new()));
    }
    for view in batch.boots().flatten() {
        writer.boot(&view.head, view.ends()).expect("what was read can be written");
        statements.push((format!("{:?}", view.head), format!("{:?}", view.ends().collect::<Vec<_>>())));
    }
    for view in batch.lost_boots().flatten() {
        writer.lost_boots(view.text, &view.signature).expect("what was read can be written");
        let mut sum = outrider_wire::BootCounts::default();
        view.each().for_each(|one| sum.add(&one.counts));
        assert!(!view.is_listed() || sum == view.sum);
        let mut covered = 0;
        view.runs().for_each(|run| covered += run.last.0 - run.first.0 + 1);
        assert!(view.is_listed() != (covered > 0) && (view.is_listed() || view.boots <= covered));
        assert!(view.each().count() <= limits::LOST_BOOTS_LISTED_MAX);
        statements.push((format!("{:?}", view.text), format!("{:?}", view.signature)));
    }
    for proof in batch.proofs().flatten() {
        writer.proof(&proof).expect("what was read can be written");
        state += 1;
    }
    let again = Batch::parse(writer.finish()).expect("own output");
    let told = again
        .tombstones()
        .flatten()
        .map(|view| (format!("{:?}", view.head), format!("{:?}", view.lost().collect::<Vec<_>>())));
    let told = told.chain(again.anchors().flatten().map(|anchor| (format!("{anchor:?}"), String::new())));
    let told = told.chain(
        again
            .boots()
            .flatten()
            .map(|view| (format!("{:?}", view.head), format!("{:?}", view.ends().collect::<Vec<_>>()))),
    );
    let lost = again.lost_boots().flatten();
    let told = told.chain(lost.map(|view| (format!("{:?}", view.text), format!("{:?}", view.signature))));
    assert_eq!(told.collect::<Vec<_>>(), statements);
    let reread: Vec<_> = again.events().map(|event| event.expect("own output")).collect();
    assert_eq!(good.len(), reread.len());
    for (one, other) in good.iter().zip(&reread) {
        assert_eq!((one.head, one.context), (other.head, other.context));
        // Text, because a double may be no number.
        let text = |event: &outrider_wire::EventView<'_>| format!("{:?}", event.fields().collect::<Vec<_>>());
        assert_eq!(text(one), text(other));
    }
    let kept = again.fixes().count() + again.heads().count() + again.gaps().count() + again.proofs().count();
    assert_eq!(kept, state);
    fatal == 0 && good.len() + state + statements.len() > 0
}

/// Returns the tag that it was made with.
struct AnyTag([u8; SHORT_TAG_BYTES]);

impl Tagger for AnyTag {
    fn tag(&self, _: [&[u8]; 4]) -> [u8; SHORT_TAG_BYTES] {
        self.0
    }
}

/// An accepted short frame, written and read again, is the same; an accepted edge record is the same byte for byte.
pub(crate) fn short(bytes: &[u8]) -> bool {
    if let Ok(sealed) = SealedEdgeRecord::parse(bytes) {
        let anything = Anything::of(bytes);
        let record = sealed.open(&anything).expect("takes every signature");
        let mut out = vec![0; bytes.len()];
        assert_eq!(record.emit(&anything, &mut out), Ok(bytes.len()));
        assert_eq!(out, bytes);
        return true;
    }
    let Ok(sealed) = SealedShort::parse(bytes) else { return false };
    assert!(is_short(bytes));
    let tagger = AnyTag(bytes.last_chunk().copied().expect("a frame has a tag"));
    let place = ShortPlace { vehicle: VehicleId([1; 16]), number: 0 };
    let frame = sealed.open(&tagger, place).expect("takes every tag");
    let mut out = vec![0; limits::FRAME_BYTES_MAX];
    let mut buffer = vec![0; limits::EVENT_BYTES_MAX];
    let mut writer = BatchWriter::new(&mut buffer);
    if unpack(SHAPES_V1, frame.row, &mut writer).is_ok() {
        let row = writer.finish();
        let event = Batch::parse(row).expect("own output").events().next().expect("one").expect("own output");
        let (mut compact, mut back) = (vec![0; limits::EVENT_BYTES_MAX], vec![0; limits::EVENT_BYTES_MAX]);
        let length = pack(SHAPES_V1, &event, &mut compact).expect("what was read can be written");
        let mut writer = BatchWriter::new(&mut back);
        unpack(SHAPES_V1, &compact[..length], &mut writer).expect("own output");
        assert_eq!(writer.finish(), row);
    }
    // A number may come in more bytes than it needs, never in fewer.
    let length = frame.emit(&tagger, place, &mut out).expect("what was read can be written");
    assert!(length <= bytes.len());
    let again = SealedShort::parse(&out[..length]).and_then(|sealed| sealed.open(&tagger, place));
    assert_eq!(again, Ok(frame));
    true
}

/// An accepted envelope is written again to the same bytes.
pub(crate) fn envelope(bytes: &[u8]) -> bool {
    let Ok(sealed) = SealedEnvelope::parse(bytes) else { return false };
    let anything = Anything::of(bytes);
    let envelope: Envelope<'_> = sealed.open(&anything).expect("takes every signature");
    let mut out = vec![0; bytes.len()];
    assert_eq!(envelope.emit(&anything, &mut out), Ok(bytes.len()));
    assert_eq!(out, bytes);
    assert!(envelope.header.raw_bytes <= limits::RAW_BYTES_MAX);
    true
}

/// An accepted command is written again to the same bytes, if its kind is known.
pub(crate) fn command(bytes: &[u8]) -> bool {
    let receipt = SealedReceipt::parse(bytes).is_ok();
    let Ok(sealed) = SealedCommand::parse(bytes) else { return receipt };
    let anything = Anything::of(bytes);
    let command = sealed.open(&anything).expect("takes every signature");
    if let Ok(parameters) = command.parameters() {
        let mut out = vec![0; bytes.len()];
        assert_eq!(Command::emit(&command.head, &parameters, &anything, &mut out), Ok(bytes.len()));
        assert_eq!(out, bytes);
    }
    true
}

/// An accepted acknowledgement is written again to the same bytes; so is a reply.
pub(crate) fn ack(bytes: &[u8]) -> bool {
    let reply = Reply::parse(bytes).is_ok_and(|reply| {
        let commands: Vec<&[u8]> = reply.commands().collect();
        let mut out = vec![0; bytes.len()];
        assert_eq!(Reply::emit(reply.ack, &commands, &mut out), Ok(bytes.len()));
        assert_eq!(out, bytes);
        ack(reply.ack);
        true
    });
    let Ok(sealed) = SealedAck::parse(bytes) else { return reply };
    let anything = Anything::of(bytes);
    let ack = sealed.open(&anything).expect("takes every signature");
    let holes: Vec<Vec<_>> = ack.watermarks().map(|mark| mark.holes().collect()).collect();
    let marks: Vec<Watermark<'_>> = ack
        .watermarks()
        .zip(&holes)
        .map(|(mark, holes)| Watermark {
            epoch: mark.epoch,
            lane: mark.lane,
            contiguous: mark.contiguous,
            holes,
        })
        .collect();
    let mut out = vec![0; bytes.len()];
    let emitted = match ack.answers {
        Some(answers) => Ack::emit_answer((ack.vehicle, ack.issued, answers), &marks, &anything, &mut out),
        None => Ack::emit(ack.vehicle, ack.issued, &marks, &anything, &mut out),
    };
    assert_eq!(emitted, Ok(bytes.len()));
    assert_eq!(out, bytes);
    true
}

/// An accepted policy is written again to the same bytes, and lowers nothing that the catalogue holds.
pub(crate) fn policy(bytes: &[u8]) -> bool {
    let Ok(policy) = Policy::parse(bytes) else { return false };
    let rules: Vec<_> = policy.rules().collect();
    for rule in &rules {
        assert!(rule.lane.is_none_or(|lane| may_take(rule.event_type, lane)), "{rule:?}");
    }
    let mut out = vec![0; bytes.len()];
    assert_eq!(Policy::emit(&policy.head, &rules, &mut out), Ok(bytes.len()));
    assert_eq!(out, bytes);
    true
}

/// An accepted artifact is written again to the same bytes.
pub(crate) fn artifact(bytes: &[u8]) -> bool {
    let Ok(sealed) = SealedArtifact::parse(bytes) else { return false };
    let anything = Anything::of(bytes);
    let artifact = sealed.open(&anything).expect("takes every signature");
    let mut out = vec![0; bytes.len()];
    assert_eq!(Artifact::emit(&artifact.head, artifact.payload, &anything, &mut out), Ok(bytes.len()));
    assert_eq!(out, bytes);
    true
}
