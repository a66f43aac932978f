//! AUTOSAR IDS frames: a foreign encoder's vectors, every border from both sides.

use std::fmt::Write as _;
use std::num::NonZeroU16;
use std::path::Path;

use proptest::prelude::*;

use outrider_wire::ids_frame::{
    ContextLayout, IdsContext, IdsFrameError, IdsMessage, IdsTimestamp, IdsVersion, IdsView, IdsmInstance,
    SensorInstance, SevId,
};

use crate::properties;

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).expect("hexadecimal"))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// Describes a message in the words of the vectors.
fn describe(message: &IdsMessage<'_>) -> [String; 5] {
    let head = format!(
        "{} {} {} {:04X} {}",
        message.version.code(),
        message.instance.get(),
        message.sensor.get(),
        message.event.get(),
        message.count
    );
    let dash = || "-".to_owned();
    let timestamp = message.timestamp.map_or_else(dash, |timestamp| match timestamp {
        IdsTimestamp::Autosar { seconds, nanos } => format!("{seconds}.{nanos:09}"),
        IdsTimestamp::Oem(bits) => format!("oem:{bits}"),
    });
    let layout = message.context.and_then(|context| context.layout).map_or_else(dash, |layout| {
        format!("{}{}", if layout.is_altered { "altered:" } else { "" }, layout.version)
    });
    let context = message.context.map_or_else(dash, |context| hex(context.bytes));
    [head, timestamp, layout, context, message.signature.map_or_else(dash, hex)]
}

fn parse(bytes: &[u8]) -> Result<IdsMessage<'_>, IdsFrameError> {
    let (view, rest) = IdsView::parse(bytes)?;
    assert!(rest.is_empty(), "{rest:?}");
    IdsMessage::parse(&view)
}

#[test]
fn a_foreign_encoders_golden_vectors_are_read_and_written_byte_for_byte() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/ids-frames/foreign.txt");
    let text = std::fs::read_to_string(path).expect("the vectors are part of the repository");
    let mut read = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        let bytes = unhex(parts[0]);
        let message = parse(&bytes).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(describe(&message).as_slice(), &parts[1..], "{line}");
        let mut out = vec![0xEE; bytes.len()];
        assert_eq!(message.emit(&mut out), Ok(bytes.len()), "{line}");
        assert_eq!(hex(&out), hex(&bytes));
        let short = bytes.len() - 1;
        assert_eq!(message.emit(&mut out[..short]), Err(IdsFrameError::Full { needed: bytes.len() }));
        for cut in 0..bytes.len() {
            let error = IdsView::parse(&bytes[..cut]).expect_err("a cut frame");
            assert!(matches!(error, IdsFrameError::Truncated { .. }), "{line} cut to {cut}: {error}");
        }
        read += 1;
    }
    assert!(read >= 10, "{read} vectors");
}

fn message(context: &[u8]) -> IdsMessage<'_> {
    IdsMessage {
        version: IdsVersion::V2,
        instance: IdsmInstance::new(1).expect("small"),
        sensor: SensorInstance::new(0).expect("small"),
        event: SevId::new(0x8001).expect("not the invalid one"),
        count: NonZeroU16::new(3).expect("not zero"),
        timestamp: None,
        context: Some(IdsContext {
            layout: Some(ContextLayout { version: 1, is_altered: false }),
            bytes: context,
        }),
        signature: None,
    }
}

#[test]
fn a_context_has_a_short_length_up_to_127_bytes_and_a_long_one_above() {
    for (length, expected) in [(1, "01"), (127, "7F"), (128, "80000080"), (70_000, "80011170")] {
        let context = vec![0xA5; length];
        let message = message(&context);
        let mut out = vec![0; message.frame_bytes()];
        assert_eq!(message.emit(&mut out), Ok(out.len()));
        assert_eq!(hex(&out[10..10 + expected.len() / 2]), expected);
        assert_eq!(parse(&out), Ok(message));
    }
    // A foreign encoder may write a long length where a short one would do.
    let long = unhex("2100408001000300 0001 80000001 AA");
    assert_eq!(parse(&long), Ok(message(&[0xAA])));
}

#[test]
fn frames_that_follow_each_other_are_taken_apart() {
    let bytes = unhex("1000408001000300 2000408001000100 FF");
    let (first, rest) = IdsView::parse(&bytes).expect("a frame");
    assert_eq!((first.version(), first.count(), first.signed().len()), (IdsVersion::V1, 3, 8));
    let (second, rest) = IdsView::parse(rest).expect("another");
    assert_eq!((second.version(), second.count()), (IdsVersion::V2, 1));
    assert_eq!(IdsView::parse(rest), Err(IdsFrameError::Truncated { offset: 0, needed: 8, got: 1 }));
}

#[test]
fn reserved_bits_are_ignored_and_illegal_values_are_not() {
    let reserved = unhex("28004080010003FF");
    assert!(parse(&reserved).is_ok(), "flag bit 3 and the last byte are reserved");
    let cases = [
        ("0000408001000300", IdsFrameError::Version { got: 0 }),
        ("3000408001000300", IdsFrameError::Version { got: 3 }),
        ("200040FFFF000300", IdsFrameError::Event),
        ("2000408001000000", IdsFrameError::Count),
        ("2200408001000300 3B9ACA0000000000", IdsFrameError::Timestamp),
        ("2100408001000300 0001 00", IdsFrameError::Context),
        ("2400408001000300 0000", IdsFrameError::Signature),
        (
            "2100408001000300 0001 FFFFFFFF AA",
            IdsFrameError::Truncated { offset: 14, needed: 0x7FFF_FFFF, got: 1 },
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(&unhex(text)), Err(expected), "{text}");
    }
    assert!(parse(&unhex("2200408001000300 3B9AC9FF00000000")).is_ok(), "one nanosecond less");
}

#[test]
fn what_no_frame_can_hold_is_not_written() {
    let mut out = vec![0; 70_000];
    let plain = IdsMessage { context: None, ..message(&[1]) };
    let oem = IdsMessage { timestamp: Some(IdsTimestamp::Oem(1 << 63)), ..plain };
    assert_eq!(oem.emit(&mut out), Err(IdsFrameError::Timestamp));
    let late =
        IdsMessage { timestamp: Some(IdsTimestamp::Autosar { seconds: 0, nanos: 1_000_000_000 }), ..plain };
    assert_eq!(late.emit(&mut out), Err(IdsFrameError::Timestamp));
    assert_eq!(message(&[]).emit(&mut out), Err(IdsFrameError::Context));
    let old = IdsMessage { version: IdsVersion::V1, ..message(&[1]) };
    assert_eq!(old.emit(&mut out), Err(IdsFrameError::Context), "version 1 has no layout");
    let endless = vec![0; 65_536];
    assert_eq!(
        IdsMessage { signature: Some(&endless), ..plain }.emit(&mut out),
        Err(IdsFrameError::Signature)
    );
    assert_eq!(IdsmInstance::new(1024), Err(IdsFrameError::Instance));
    assert_eq!(SensorInstance::new(64), Err(IdsFrameError::Instance));
    assert_eq!(SevId::new(0xFFFF), Err(IdsFrameError::Event));
    assert!(SevId::new(0x8000).is_ok_and(SevId::is_oem) && !SevId::new(0x7FFF).is_ok_and(SevId::is_oem));
}

proptest! {
    #[test]
    fn any_bytes_are_frames_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        properties::ids_frames(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_right_head_too(flags in 0u8..16, tail in proptest::collection::vec(any::<u8>(), 7..64)) {
        let mut bytes = vec![0x20 | flags];
        bytes.extend(tail);
        properties::ids_frames(&bytes);
    }

    #[test]
    fn what_is_written_is_read_again(
        (is_v2, instance, sensor, event) in (any::<bool>(), 0u16..1024, 0u8..64, 0u16..0xFFFF),
        count in 1u16..,
        timestamp in proptest::option::of((any::<bool>(), any::<u32>(), 0u32..1_000_000_000)),
        context in proptest::option::of((0u16..0x8000, any::<bool>(), proptest::collection::vec(any::<u8>(), 1..300))),
        signature in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..80)),
    ) {
        let message = IdsMessage {
            version: if is_v2 { IdsVersion::V2 } else { IdsVersion::V1 },
            instance: IdsmInstance::new(instance).expect("in range"),
            sensor: SensorInstance::new(sensor).expect("in range"),
            event: SevId::new(event).expect("in range"),
            count: NonZeroU16::new(count).expect("in range"),
            timestamp: timestamp.map(|(is_oem, seconds, nanos)| match is_oem {
                true => IdsTimestamp::Oem(u64::from(seconds) << 31 | u64::from(nanos)),
                false => IdsTimestamp::Autosar { seconds, nanos },
            }),
            context: context.as_ref().map(|(version, is_altered, bytes)| IdsContext {
                layout: is_v2.then_some(ContextLayout { version: *version, is_altered: *is_altered }),
                bytes,
            }),
            signature: signature.as_deref(),
        };
        let mut out = vec![0; message.frame_bytes()];
        prop_assert_eq!(message.emit(&mut out), Ok(out.len()));
        prop_assert_eq!(parse(&out), Ok(message));
    }
}
