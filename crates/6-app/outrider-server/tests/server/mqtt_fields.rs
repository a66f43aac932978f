//! What a public suite found, and more of its kind: text, properties, versions, and packets that are too long for their
//! client. Each case names the normative statement of OASIS MQTT 5.0.

use crate::harness::{TestVehicle, running};
use crate::mqtt::{Client, connect5, packet, publish, subscribe, text};
use crate::mqtt_rules::Expect::{Answer, End, LastWords};
use crate::mqtt_rules::{Case, case, check_all, raw_connect};

/// CONNECT with a user name and password, where the flags say so.
fn with_user(level: u8, flags: u8, id: &str, rest: &[&[u8]]) -> Vec<u8> {
    let none: &[u8] = if level == 5 { &[0] } else { &[] };
    raw_connect("MQTT", level, flags, &[none, &text(id), &rest.concat()].concat())
}

fn connect_cases(id: &str) -> Vec<Case> {
    let v5 = |properties: &[u8]| connect5(id, 2, 60, properties);
    let malformed = || LastWords(0x20, &[0, 0x81]);
    vec![
        case(
            "MQTT-1.5.4-2 the user name has no null character",
            with_user(5, 0x82, id, &[&text("a\0")]),
            malformed(),
        ),
        case("MQTT-1.5.4-2 neither in 3.1.1", with_user(4, 0x82, id, &[&text("a\0")]), End),
        case(
            "1.5.4 the user name has no control character",
            with_user(5, 0x82, id, &[&text("a\u{9f}")]),
            malformed(),
        ),
        case("MQTT-1.5.4-1 the user name is UTF-8", with_user(5, 0x82, id, &[&[0, 1, 0xff]]), malformed()),
        case(
            "3.1.3.6 a password is bytes",
            with_user(5, 0xc2, id, &[&text("a"), &[0, 2, 0, 0xff]]),
            Answer(0x20, &[0, 0]),
        ),
        case(
            "3.1.2.9 a password without a user name",
            with_user(5, 0x42, id, &[&text("secret")]),
            Answer(0x20, &[0, 0]),
        ),
        case(
            "MQTT-3.1.2-22 of 3.1.1: no password without a user name",
            with_user(4, 0x42, id, &[&text("secret")]),
            End,
        ),
        case(
            "MQTT-1.5.4-2 a user property has no null character",
            v5(&[0x26, 0, 1, 0, 0, 1, b'b']),
            malformed(),
        ),
        case("2.2.2.2 a property that does not exist", v5(&[0x7f, 0]), malformed()),
        case("2.2.2.2 a property that is cut off", v5(&[0x21, 0]), malformed()),
        case("MQTT-1.5.5-1 an identifier in two bytes", v5(&[0xa1, 0, 0, 9]), malformed()),
        case("3.1.2.11.7 problem information is 0 or 1", v5(&[0x17, 2]), LastWords(0x20, &[0, 0x82])),
        case("MQTT-3.1.2-24 no CONNACK for whom it is too long", v5(&[0x27, 0, 0, 0, 2]), End),
        case("MQTT-3.1.2-24 and one that fits", v5(&[0x27, 0, 0, 0, 18]), Answer(0x20, &[0, 0])),
        case("MQTT-3.1.2-24 by one byte not", v5(&[0x27, 0, 0, 0, 17]), End),
        case(
            "MQTT-3.1.2-24 neither a refusal that is too long",
            raw_connect("MQTT", 5, 2, &[&[5, 0x27, 0, 0, 0, 4][..], &text("somebody")].concat()),
            End,
        ),
        case("MQTT-2.2.2-1 the length of the properties", raw_connect("MQTT", 5, 2, &[0xff; 5]), malformed()),
    ]
}

fn session_cases(_: &str, batch: &[u8]) -> Vec<Case> {
    let malformed = || LastWords(0xe0, &[0x81]);
    let protocol = || LastWords(0xe0, &[0x82]);
    let filter = |properties: &[u8], filter: &str, options: u8| {
        let length = [u8::try_from(properties.len()).expect("short")];
        packet(0x82, &[&[0, 3], &length, properties, &text(filter), &[options]])
    };
    vec![
        case("1.5.4 a topic has no control character", publish(5, "v1/\u{1}", 9, batch), malformed()),
        case("1.5.4 and nothing that is no character", publish(5, "v1/\u{1ffff}", 9, batch), malformed()),
        case(
            "1.5.4 all other characters are fine",
            publish(5, "\u{fffd}\u{2a6d4}", 9, batch),
            Answer(0x40, &[0, 9, 0x87]),
        ),
        case(
            "2.2.2.2 a property of another packet",
            packet(0x32, &[&text("v1/up"), &[0, 9, 2, 0x24, 0], batch]),
            malformed(),
        ),
        case("2.2.2.2 the same of SUBSCRIBE", filter(&[0x24, 0], "v1/down", 0), malformed()),
        case(
            "2.2.2.2 the same of UNSUBSCRIBE",
            packet(0xa2, &[&[0, 4, 2, 0x0b, 1], &text("v1/down")]),
            malformed(),
        ),
        case("2.2.2.2 the same of DISCONNECT", packet(0xe0, &[&[0, 2, 0x24, 0]]), malformed()),
        case(
            "3.14.2.2.3 a reason twice",
            packet(0xe0, &[&[0, 8, 0x1f, 0, 1, b'a', 0x1f, 0, 1, b'b']]),
            protocol(),
        ),
        case(
            "3.14.2.2.2 no session when it leaves, if none was asked for when it came",
            packet(0xe0, &[&[0, 5, 0x11, 0, 0, 0, 1]]),
            protocol(),
        ),
        case("3.14.2.2.2 none is fine", packet(0xe0, &[&[0, 5, 0x11, 0, 0, 0, 0]]), End),
        case("MQTT-1.5.5-1 a subscription identifier", filter(&[0x0b, 0x80, 0], "v1/down", 0), malformed()),
        case("3.8.2.1.2 which is not zero", filter(&[0x0b, 0], "v1/down", 0), protocol()),
        case("3.8.3.1 QoS 3", filter(&[], "v1/down", 3), protocol()),
        case("3.8.3.1 retain handling 3", filter(&[], "v1/down", 0x30), protocol()),
        case("3.8.3.1 the other options", filter(&[], "v1/down", 0x2e), Answer(0x90, &[0, 3, 0, 0])),
        case("MQTT-4.7.3-1 a filter is not empty", filter(&[], "", 0), malformed()),
        case("MQTT-4.8.2-2 a shared subscription has a filter", filter(&[], "$share/a/", 0), protocol()),
        case("MQTT-4.8.2-1 and a name", filter(&[], "$share//b", 0), protocol()),
        case("MQTT-4.8.2-2 without wildcards", filter(&[], "$share/+/b", 0), protocol()),
        case(
            "more filters than are read",
            packet(0x82, &[&[0, 3, 0], &[0, 1, b'a', 0].repeat(9)]),
            LastWords(0xe0, &[0x95]),
        ),
        case("4.13 CONNACK from a client", packet(0x20, &[&[0, 0, 0]]), protocol()),
        case("4.13 SUBACK from a client", packet(0x90, &[&[0, 1, 0, 0]]), protocol()),
        case("4.13 UNSUBACK from a client", packet(0xb0, &[&[0, 1, 0, 0]]), protocol()),
        case("4.13 PINGRESP from a client", vec![0xd0, 0], protocol()),
        case("MQTT-2.1.3-1 the flags of PUBREL are 2", packet(0x60, &[&[0, 1]]), malformed()),
        case("4.8 PUBREL for nothing", packet(0x62, &[&[0, 1]]), protocol()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_is_read_field_by_field() {
    check_all(|_| Vec::new(), |id, _| connect_cases(id)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_are_read_field_by_field() {
    check_all(|id| vec![connect5(id, 2, 60, &[])], session_cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asked_for_a_session_may_ask_again_when_it_leaves() {
    let leaves = packet(0xe0, &[&[0, 5, 0x11, 0, 0, 0, 1]]);
    check_all(
        |id| vec![connect5(id, 2, 60, &[0x11, 0, 0, 0, 9])],
        |_, _| vec![case("3.14.2.2.2", leaves.clone(), End)],
    )
    .await;
}

/// The last packet of a session with these properties of CONNECT, after these bytes.
async fn answer(properties: &[u8], bytes: &[u8]) -> Vec<u8> {
    let running = running().await;
    let vehicle: TestVehicle = running.vehicle(1).await;
    let mut client = Client::open(&running, &vehicle).await;
    client.send(&connect5(&vehicle.id.to_string(), 2, 60, properties)).await;
    let (first, body) = client.packet().await.expect("CONNACK");
    assert_eq!((first, body[1]), (0x20, 0));
    client.send(bytes).await;
    let (_, body) = client.packet().await.expect("an answer");
    running.server.shutdown().await;
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reason_is_left_out_where_it_is_not_wanted_or_too_long() {
    let elsewhere = publish(5, "somewhere", 9, b"x");
    let nothing = subscribe(5, 0, "v1/down");
    let short = [0x27, 0, 0, 0, 18];
    assert!(answer(&[], &elsewhere).await.len() > 4, "PUBACK with a reason");
    // MQTT-3.1.2-29: not wanted; MQTT-3.4.2-2: too long.
    assert_eq!(answer(&[0x17, 0], &elsewhere).await, [0, 9, 0x87]);
    assert_eq!(answer(&short, &elsewhere).await, [0, 9, 0x87]);
    assert!(answer(&[], &nothing).await.len() > 2, "DISCONNECT with a reason");
    // MQTT-3.14.2-3: too long.
    assert_eq!(answer(&short, &nothing).await, [0x82]);
}
