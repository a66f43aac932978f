//! The property of MQTT sessions over the corpus of its fuzz target, and over what chance makes of it.

use std::path::Path;

use proptest::prelude::*;

use crate::mqtt::{connect3, connect5, packet, publish, subscribe, text};
use crate::mqtt_property::mqtt_session;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/mqtt_session")
}

/// Sessions from which the corpus was made; each begins with the options of the property.
fn sessions() -> Vec<(&'static str, Vec<u8>)> {
    let id = "ab".repeat(16);
    let all = |parts: &[&[u8]]| [&[0x27][..], &parts.concat()].concat();
    let refused = |parts: &[&[u8]]| [&[0x2f][..], &parts.concat()].concat();
    let (five, three) = (connect5(&id, 2, 60, &[]), connect3(&id));
    let properties = connect5(&id, 2, 0, &[0x11, 0, 0, 1, 0, 0x21, 0, 9, 0x27, 0, 0, 1, 0, 0x17, 0]);
    vec![
        (
            "five",
            all(&[&five, &subscribe(5, 1, "v1/down"), &publish(5, "v1/up", 2, b"ORTB"), &[0xc0, 0, 0xe0, 0]]),
        ),
        (
            "three",
            all(&[
                &three,
                &subscribe(3, 1, "v1/down"),
                &publish(3, "v1/up", 2, b"ORTB"),
                &[0xc0, 0, 0xe0, 0],
            ]),
        ),
        (
            "five-refused",
            refused(&[&five, &publish(5, "v1/up", 2, b"ORTB"), &publish(5, "v1/up", 3, b"ORTBx")]),
        ),
        ("three-refused", refused(&[&three, &publish(3, "v1/up", 2, b"ORTB")])),
        (
            "properties",
            all(&[
                &properties,
                &packet(0x32, &[&text("v1/up"), &[0, 1, 7, 0x26, 0, 1, b'a', 0, 1, b'b'], b"x"]),
            ]),
        ),
        (
            "filters",
            all(&[
                &five,
                &packet(
                    0x82,
                    &[&[0, 3, 0], &text("v1/+"), &[1], &text("$share/a/b"), &[0], &text("v1/down"), &[0]],
                ),
                &packet(0xa2, &[&[0, 4, 0], &text("v1/down"), &text("b")]),
            ]),
        ),
        (
            "will",
            all(&[&packet(
                0x10,
                &[&text("MQTT"), &[5, 6, 0, 60, 0], &text(&id), &[0], &text("t"), &text("m")],
            )]),
        ),
        (
            "user",
            all(&[&packet(0x10, &[&text("MQTT"), &[5, 0xc2, 0, 60, 0], &text(&id), &text("u"), &text("p")])]),
        ),
        ("alias", all(&[&five, &packet(0x32, &[&text("v1/up"), &[0, 9, 3, 0x23, 0, 1], b"x"])])),
        ("disconnect", all(&[&five, &packet(0xe0, &[&[4, 5, 0x11, 0, 0, 0, 0]])])),
        ("half", all(&[&five, &publish(5, "v1/up", 2, b"ORTB")[..9]])),
        ("length", all(&[&five, &[0x32, 0xff, 0xff, 0xff, 0x7f]])),
        ("acknowledgements", all(&[&five, &packet(0x40, &[&[0, 1, 0, 0]])])),
        ("level", all(&[&packet(0x10, &[&text("MQTT"), &[9, 2, 0, 60, 0]])])),
        ("full", [&[0x01][..], &five].concat()),
        ("older", all(&[&packet(0x10, &[&text("MQIsdp"), &[3, 2, 0, 60], &text(&id)])])),
        (
            "null",
            all(&[&packet(
                0x10,
                &[&text("MQTT"), &[5, 0xc2, 0, 60, 0], &text(&id), &text("a\0"), &text("p")],
            )]),
        ),
        (
            "short",
            refused(&[
                &connect5(&id, 2, 60, &[0x27, 0, 0, 0, 18]),
                &publish(5, "v1/up", 2, b"ORTB"),
                &subscribe(5, 0, "v1/down"),
            ]),
        ),
        ("expiry", all(&[&five, &packet(0xe0, &[&[0, 5, 0x11, 0, 0, 0, 1]])])),
    ]
}

#[test]
fn the_corpus_holds() {
    for (name, bytes) in sessions() {
        let path = folder().join(name);
        if !path.exists() {
            std::fs::write(&path, &bytes).expect("the corpus can be written");
        }
        assert_eq!(std::fs::read(&path).expect("it is there"), bytes, "{name} is what it was made of");
    }
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).expect("the corpus is there") {
        let bytes = std::fs::read(entry.expect("it can be read").path()).expect("it can be read");
        mqtt_session(&bytes);
        count += 1;
    }
    assert!(count >= sessions().len());
}

proptest! {
    /// One byte of a good session changed, or its end cut off.
    #[test]
    fn a_damaged_session_holds(which in 0usize..19, at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
        let mut bytes = sessions().swap_remove(which).1;
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(1 + cut.max(1) % length);
        mqtt_session(&bytes);
        let mut whole = sessions().swap_remove(which).1;
        whole[at % length] = byte;
        mqtt_session(&whole);
    }

    /// Packets of any type with any content behind a good CONNECT.
    #[test]
    fn any_packets_hold(
        options in any::<u8>(),
        is_five in any::<bool>(),
        parts in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..60)), 0..6),
    ) {
        let id = "ab".repeat(16);
        let mut bytes = vec![options | 7];
        bytes.extend(if is_five { connect5(&id, 2, 60, &[]) } else { connect3(&id) });
        for (first, body) in parts {
            bytes.extend(packet(first, &[&body]));
        }
        mqtt_session(&bytes);
    }

    /// Any bytes at all.
    #[test]
    fn any_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        mqtt_session(&bytes);
    }
}
