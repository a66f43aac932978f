//! The publish side against normative statements of OASIS MQTT 5.0 (and 3.1.1 where it differs), with raw bytes.
//!
//! Each case sends bytes and compares what comes back, in hexadecimal. Cases that end a connection say so; the list of
//! what is refused by design is in `docs/book/mqtt.md`.

use crate::harness::{Running, TestVehicle, running};
use crate::mqtt::{Client, Packet, connect3, connect5, packet, publish, subscribe, text};

/// What must come back.
pub(crate) enum Expect {
    /// The connection ends without a packet.
    End,
    /// A packet with this first byte whose body begins like this; then the end of the connection.
    LastWords(u8, &'static [u8]),
    /// A packet with this first byte whose body begins like this, and the connection goes on.
    Answer(u8, &'static [u8]),
}
use Expect::{Answer, End, LastWords};

pub(crate) struct Case {
    statement: &'static str,
    bytes: Vec<u8>,
    expect: Expect,
}

pub(crate) fn case(statement: &'static str, bytes: Vec<u8>, expect: Expect) -> Case {
    Case { statement, bytes, expect }
}

fn begins(packet: Option<&Packet>, first: u8, body: &[u8]) -> bool {
    packet.is_some_and(|(kind, bytes)| *kind == first && bytes.starts_with(body))
}

/// Runs a case on a fresh connection, after `before` was answered with one packet each; returns what is wrong.
async fn check(running: &Running, vehicle: &TestVehicle, before: &[Vec<u8>], case: Case) -> Option<String> {
    let mut client = Client::open(running, vehicle).await;
    for bytes in before {
        client.send(bytes).await;
        assert!(client.packet().await.is_some(), "{}: the way there", case.statement);
    }
    client.send(&case.bytes).await;
    let answer = client.packet().await;
    let wrong = match case.expect {
        End => answer.is_some(),
        LastWords(first, body) => !begins(answer.as_ref(), first, body) || client.packet().await.is_some(),
        Answer(first, body) => {
            let is_begun = begins(answer.as_ref(), first, body);
            client.send(&[0xc0, 0]).await;
            !is_begun || client.packet().await != Some((0xd0, Vec::new()))
        }
    };
    wrong.then(|| format!("{}: {answer:02x?}", case.statement))
}

/// Runs all cases.
pub(crate) async fn check_all(
    before: impl Fn(&str) -> Vec<Vec<u8>>,
    cases: impl Fn(&str, &[u8]) -> Vec<Case>,
) {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let id = vehicle.id.to_string();
    let mut wrong = Vec::new();
    for case in cases(&id, &vehicle.batch(1..=1)) {
        wrong.extend(check(&running, &vehicle, &before(&id), case).await);
    }
    assert_eq!(wrong, Vec::<String>::new());
    running.server.shutdown().await;
}

/// CONNECT of MQTT 5 with any variable header and payload.
pub(crate) fn raw_connect(name: &str, level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    packet(0x10, &[&text(name), &[level, flags, 0, 60], rest])
}

fn connect_cases(id: &str) -> Vec<Case> {
    let named = text(id);
    let v5 = |properties: &[u8]| connect5(id, 2, 60, properties);
    let will = [&[0][..], &named, &[0], &text("t"), &text("m")].concat();
    vec![
        case("MQTT-3.1.0-1 the first packet is CONNECT", vec![0xc0, 0], End),
        case("MQTT-3.1.2-1 the protocol name is MQTT", raw_connect("MQTU", 5, 2, &named), End),
        case(
            "by design: MQTT 3.1, which is told in its own words",
            raw_connect("MQIsdp", 3, 2, &named),
            LastWords(0x20, &[0, 1]),
        ),
        case(
            "MQTT-3.1.2-2 of 3.1.1: an earlier version is told in its own words",
            raw_connect("MQTT", 3, 2, &named),
            LastWords(0x20, &[0, 1]),
        ),
        case(
            "MQTT-3.1.2-2 an unknown version is named",
            raw_connect("MQTT", 6, 2, &[0]),
            LastWords(0x20, &[0, 0x84]),
        ),
        case(
            "MQTT-3.1.2-3 the reserved flag is zero",
            raw_connect("MQTT", 5, 3, &[&[0][..], &named].concat()),
            LastWords(0x20, &[0, 0x81]),
        ),
        case("MQTT-3.1.2-3 the reserved flag is zero, 3.1.1", raw_connect("MQTT", 4, 3, &named), End),
        case(
            "MQTT-2.1.3-1 the flags of CONNECT are zero",
            packet(0x11, &[&text("MQTT"), &[5, 2, 0, 60, 0], &named]),
            End,
        ),
        case(
            "MQTT-3.1.2-11 no will QoS without will",
            raw_connect("MQTT", 5, 0x0a, &[&[0][..], &named].concat()),
            LastWords(0x20, &[0, 0x81]),
        ),
        case(
            "MQTT-3.1.2-12 will QoS 3 is malformed",
            raw_connect("MQTT", 5, 0x1e, &will),
            LastWords(0x20, &[0, 0x81]),
        ),
        case(
            "MQTT-3.1.2-13 no will retain without will",
            raw_connect("MQTT", 5, 0x22, &[&[0][..], &named].concat()),
            LastWords(0x20, &[0, 0x81]),
        ),
        case(
            "by design: a will is refused",
            raw_connect("MQTT", 5, 0x06, &will),
            LastWords(0x20, &[0, 0x83]),
        ),
        case(
            "MQTT-3.1.3-1 the payload has what the flags say",
            raw_connect("MQTT", 5, 0x82, &[&[0][..], &named].concat()),
            LastWords(0x20, &[0, 0x81]),
        ),
        case(
            "MQTT-3.1.3-4 the client identifier is UTF-8",
            raw_connect("MQTT", 5, 2, &[0, 0, 2, 0xc0, 0x80]),
            LastWords(0x20, &[0, 0x81]),
        ),
        case(
            "MQTT-3.1.3-8 another identifier is refused",
            connect5("someone", 2, 60, &[]),
            LastWords(0x20, &[0, 0x85]),
        ),
        case("MQTT-3.1.3-8 the same in 3.1.1", connect3("someone"), LastWords(0x20, &[0, 2])),
        case(
            "MQTT-3.1.3-8 of 3.1.1: no identifier needs a clean session",
            packet(0x10, &[&text("MQTT"), &[4, 0, 0, 60, 0, 0]]),
            LastWords(0x20, &[0, 2]),
        ),
        case("3.1.2.11.3 Receive Maximum of zero", v5(&[0x21, 0, 0]), LastWords(0x20, &[0, 0x82])),
        case("3.1.2.11.4 Maximum Packet Size of zero", v5(&[0x27, 0, 0, 0, 0]), LastWords(0x20, &[0, 0x82])),
        case("3.1.2.11.3 Receive Maximum twice", v5(&[0x21, 0, 9, 0x21, 0, 9]), LastWords(0x20, &[0, 0x82])),
        case("2.2.2.2 a property of another packet", v5(&[0x23, 0, 9]), LastWords(0x20, &[0, 0x81])),
        case(
            "by design: no authentication but the certificate",
            v5(&[0x15, 0, 1, b'x']),
            LastWords(0x20, &[0, 0x8c]),
        ),
        case("MQTT-1.5.5-1 a length in more bytes than needed", [&[0x10, 0x80, 0][..]].concat(), End),
        case("1.5.5 a length of five bytes", vec![0x10, 0xff, 0xff, 0xff, 0xff, 1], End),
        case("a CONNECT above the cap", vec![0x10, 0xff, 0xff, 0x7f], End),
        case(
            "bytes behind the end of CONNECT",
            raw_connect("MQTT", 5, 2, &[&[0][..], &named, b"x"].concat()),
            LastWords(0x20, &[0, 0x81]),
        ),
        case(
            "MQTT-3.2.2-1 the first answer is CONNACK, no session is present (MQTT-3.2.2-2)",
            v5(&[]),
            Answer(0x20, &[0, 0]),
        ),
        case(
            "MQTT-3.2.2-2 no session is present though one was wanted",
            connect5(id, 0, 60, &[0x11, 0, 0, 1, 0]),
            Answer(0x20, &[0, 0]),
        ),
        case("3.1.1: CONNACK of two bytes", connect3(id), Answer(0x20, &[0, 0])),
        case(
            "MQTT-3.1.3-6 an identifier may be left to the server",
            connect5("", 2, 60, &[]),
            Answer(0x20, &[0, 0]),
        ),
    ]
}

fn session_cases(id: &str, batch: &[u8]) -> Vec<Case> {
    let up = text("v1/up");
    let qos1 = |rest: &[&[u8]]| packet(0x32, &[&[&up[..], &[0, 9]].concat(), &rest.concat()]);
    let other = format!("v1/{}/up", "0".repeat(32));
    vec![
        case("MQTT-3.1.0-2 a second CONNECT", connect5(id, 2, 60, &[]), LastWords(0xe0, &[0x82])),
        case(
            "MQTT-3.3.4-1 QoS 1 is answered with PUBACK",
            publish(5, "v1/up", 9, batch),
            Answer(0x40, &[0, 9]),
        ),
        case(
            "MQTT-3.3.4-1 also when it was sent before",
            packet(0x3a, &[&up, &[0, 9, 0], batch]),
            Answer(0x40, &[0, 9]),
        ),
        case("MQTT-3.3.1-4 QoS 3", packet(0x36, &[&up, &[0, 9, 0], batch]), LastWords(0xe0, &[0x81])),
        case("MQTT-3.3.1-2 DUP with QoS 0", packet(0x38, &[&up, &[0], batch]), LastWords(0xe0, &[0x81])),
        case(
            "MQTT-3.2.2-11 QoS 2 is above the maximum that was announced",
            packet(0x34, &[&up, &[0, 9, 0], batch]),
            LastWords(0xe0, &[0x9b]),
        ),
        case(
            "MQTT-3.2.2-14 retained messages were announced as not available",
            packet(0x33, &[&up, &[0, 9, 0], batch]),
            LastWords(0xe0, &[0x9a]),
        ),
        case(
            "MQTT-2.2.1-3 the identifier is not zero",
            packet(0x32, &[&up, &[0, 0, 0], batch]),
            LastWords(0xe0, &[0x82]),
        ),
        case(
            "MQTT-3.3.2-1 the topic is UTF-8",
            packet(0x32, &[&[0, 2, 0xc0, 0x80], &[0, 9, 0], batch]),
            LastWords(0xe0, &[0x81]),
        ),
        case(
            "MQTT-1.5.4-2 the topic has no null character",
            packet(0x32, &[&text("a\0b"), &[0, 9, 0], batch]),
            LastWords(0xe0, &[0x81]),
        ),
        case(
            "MQTT-3.3.2-2 the topic has no wildcards",
            publish(5, "v1/+", 9, batch),
            LastWords(0xe0, &[0x81]),
        ),
        case("MQTT-4.7.3-1 the topic is not empty", publish(5, "", 9, batch), LastWords(0xe0, &[0x82])),
        case(
            "MQTT-3.3.2-9 a topic alias above the maximum, which is zero",
            qos1(&[&[3, 0x23, 0, 1], batch]),
            LastWords(0xe0, &[0x94]),
        ),
        case(
            "MQTT-3.3.2-8 a topic alias of zero",
            qos1(&[&[3, 0x23, 0, 0], batch]),
            LastWords(0xe0, &[0x82]),
        ),
        case(
            "MQTT-3.3.4-6 no subscription identifier from a client",
            qos1(&[&[2, 0x0b, 1], batch]),
            LastWords(0xe0, &[0x82]),
        ),
        case(
            "MQTT-3.3.2-14 no wildcards in a response topic",
            qos1(&[&[4, 0x08, 0, 1, b'#'], batch]),
            LastWords(0xe0, &[0x82]),
        ),
        case(
            "3.3.2.3.2 a payload format that does not exist",
            qos1(&[&[2, 0x01, 2], batch]),
            LastWords(0xe0, &[0x82]),
        ),
        case(
            "3.3.2.3.3 an expiry twice",
            qos1(&[&[10, 2, 0, 0, 0, 9, 2, 0, 0, 0, 9], batch]),
            LastWords(0xe0, &[0x82]),
        ),
        case(
            "3.3.2.3 properties that are longer than the packet",
            qos1(&[&[0x7f]]),
            LastWords(0xe0, &[0x81]),
        ),
        case("properties above the cap", packet(0x32, &[&up, &[0, 9, 0x81, 0x40]]), LastWords(0xe0, &[0x95])),
        case(
            "user properties are read over",
            qos1(&[&[7, 0x26, 0, 1, b'a', 0, 1, b'b'], batch]),
            Answer(0x40, &[0, 9]),
        ),
        case(
            "3.3.2.3.2 payload format and content type are read over",
            qos1(&[&[6, 1, 0, 3, 0, 1, b'b'], batch]),
            Answer(0x40, &[0, 9]),
        ),
        case(
            "MQTT-3.1.2-24 a packet above the size that was announced",
            vec![0x32, 0xff, 0xff, 0xff, 0x7f],
            LastWords(0xe0, &[0x95]),
        ),
        case(
            "MQTT-3.3.5-2 a topic that is not the vehicle's",
            publish(5, &other, 9, batch),
            Answer(0x40, &[0, 9, 0x87]),
        ),
        case(
            "MQTT-3.3.5-2 a topic that does not exist",
            publish(5, "somewhere", 9, batch),
            Answer(0x40, &[0, 9, 0x87]),
        ),
        case("4.13 a payload that is no frame", publish(5, "v1/up", 9, b"x"), Answer(0x40, &[0, 9, 0x99])),
        case(
            "MQTT-3.8.4-1 SUBSCRIBE is answered; QoS 0 is granted (MQTT-3.8.4-7)",
            subscribe(5, 3, "v1/down"),
            Answer(0x90, &[0, 3, 0, 0]),
        ),
        case(
            "MQTT-3.8.4-6 one code a filter, in order",
            packet(0x82, &[&[0, 3, 0], &text("v1/down"), &[1], &text("a"), &[0]]),
            Answer(0x90, &[0, 3, 0, 0, 0x87]),
        ),
        case("by design: wildcards are refused", subscribe(5, 3, "v1/#"), Answer(0x90, &[0, 3, 0, 0xa2])),
        case(
            "by design: shared subscriptions are refused",
            subscribe(5, 3, "$share/a/v1/down"),
            Answer(0x90, &[0, 3, 0, 0x9e]),
        ),
        case(
            "MQTT-3.8.3-4 no local on a shared subscription",
            packet(0x82, &[&[0, 3, 0], &text("$share/a/b"), &[4]]),
            LastWords(0xe0, &[0x82]),
        ),
        case(
            "by design: another vehicle's replies",
            subscribe(5, 3, &other.replace("up", "down")),
            Answer(0x90, &[0, 3, 0, 0x87]),
        ),
        case(
            "MQTT-3.8.1-1 the flags of SUBSCRIBE are 2",
            packet(0x80, &[&[0, 3, 0], &text("v1/down"), &[1]]),
            LastWords(0xe0, &[0x81]),
        ),
        case("MQTT-3.8.3-2 SUBSCRIBE has a filter", packet(0x82, &[&[0, 3, 0]]), LastWords(0xe0, &[0x82])),
        case(
            "MQTT-3.8.3-5 the reserved option bits are zero",
            packet(0x82, &[&[0, 3, 0], &text("v1/down"), &[0xc1]]),
            LastWords(0xe0, &[0x81]),
        ),
        case(
            "MQTT-2.2.1-3 SUBSCRIBE with identifier zero",
            subscribe(5, 0, "v1/down"),
            LastWords(0xe0, &[0x82]),
        ),
        case(
            "by design: no subscription identifiers",
            packet(0x82, &[&[0, 3, 2, 0x0b, 1], &text("v1/down"), &[1]]),
            LastWords(0xe0, &[0xa1]),
        ),
        case(
            "MQTT-3.10.4-4 UNSUBSCRIBE is answered",
            packet(0xa2, &[&[0, 4, 0], &text("v1/down")]),
            Answer(0xb0, &[0, 4, 0, 0x11]),
        ),
        case(
            "MQTT-3.10.1-1 the flags of UNSUBSCRIBE are 2",
            packet(0xa0, &[&[0, 4, 0], &text("v1/down")]),
            LastWords(0xe0, &[0x81]),
        ),
        case("MQTT-3.10.3-2 UNSUBSCRIBE has a filter", packet(0xa2, &[&[0, 4, 0]]), LastWords(0xe0, &[0x82])),
        case("MQTT-3.12.4-1 PINGREQ is answered", vec![0xc0, 0], Answer(0xd0, &[])),
        case("MQTT-2.1.3-1 the flags of PINGREQ are zero", vec![0xc1, 0], LastWords(0xe0, &[0x81])),
        case("MQTT-3.14.4-2 DISCONNECT ends the connection", vec![0xe0, 0], End),
        case("3.14.2.1 with a reason", vec![0xe0, 1, 4], End),
        case("MQTT-3.14.1-1 the flags of DISCONNECT are zero", vec![0xe2, 0], LastWords(0xe0, &[0x81])),
        case("3.14.2.1 a reason that does not exist", vec![0xe0, 1, 0x7f], LastWords(0xe0, &[0x81])),
        case("by design: no enhanced authentication", packet(0xf0, &[&[0x18, 0]]), LastWords(0xe0, &[0x82])),
        case("4.8 an acknowledgement for nothing", packet(0x40, &[&[0, 1]]), LastWords(0xe0, &[0x82])),
        case(
            "2.1.2 the reserved packet type, known by its first byte",
            vec![0x0a, 0xc0],
            LastWords(0xe0, &[0x82]),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_keeps_the_rules() {
    check_all(|_| Vec::new(), |id, _| connect_cases(id)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_keeps_the_rules() {
    check_all(|id| vec![connect5(id, 2, 60, &[])], session_cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_version_keeps_the_rules() {
    check_all(|id| vec![connect3(id)], older_cases).await;
}

fn older_cases(id: &str, batch: &[u8]) -> Vec<Case> {
    let up = text("v1/up");
    vec![
        case(
            "MQTT-3.3.4-1 QoS 1 is answered with PUBACK",
            publish(3, "v1/up", 9, batch),
            Answer(0x40, &[0, 9]),
        ),
        case("by design: QoS 2 ends the connection", packet(0x34, &[&up, &[0, 9], batch]), End),
        case("by design: so does a retained message", packet(0x33, &[&up, &[0, 9], batch]), End),
        case("MQTT-3.3.5-2 and a topic that is not the vehicle's", publish(3, "somewhere", 9, batch), End),
        case("MQTT-3.8.4-6 a filter that is refused", subscribe(3, 3, "v1/#"), Answer(0x90, &[0, 3, 0x80])),
        case("MQTT-3.8.4-1 the filter that is granted", subscribe(3, 3, "v1/down"), Answer(0x90, &[0, 3, 0])),
        case("MQTT-3.8.3-4 QoS 3 of a subscription", packet(0x82, &[&[0, 3], &text("v1/down"), &[3]]), End),
        case("MQTT-3.10.4-4 UNSUBACK", packet(0xa2, &[&[0, 4], &text("v1/down")]), Answer(0xb0, &[0, 4])),
        case("MQTT-3.14.4-3 DISCONNECT", vec![0xe0, 0], End),
        case("MQTT-3.1.0-2 a second CONNECT", connect3(id), End),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connack_announces_what_is_not_possible() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let mut client = Client::open(&running, &vehicle).await;
    client.send(&connect5("", 2, 0, &[])).await;
    let (_, body) = client.packet().await.expect("CONNACK");
    // Receive Maximum 8, Maximum QoS 1, Retain Available 0, Wildcard 0, Subscription Identifiers 0, Shared 0.
    let needles: [&[u8]; 6] = [&[0x21, 0, 8], &[0x24, 1], &[0x25, 0], &[0x28, 0], &[0x29, 0], &[0x2a, 0]];
    for needle in needles {
        assert!(body.windows(needle.len()).any(|window| window == needle), "{needle:02x?} in {body:02x?}");
    }
    // MQTT-3.1.2-21: a keep-alive of zero is replaced by 1,200 s; MQTT-3.1.3-7: the identifier that was assigned.
    assert!(body.windows(3).any(|window| window == [0x13, 0x04, 0xb0]), "{body:02x?}");
    let assigned = [&[0x12][..], &text(&vehicle.id.to_string())].concat();
    assert!(body.windows(assigned.len()).any(|window| window == assigned), "{body:02x?}");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_packet_is_longer_than_the_client_takes() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let mut client = Client::open(&running, &vehicle).await;
    // MQTT-3.1.2-24: 60 bytes; a reply has more.
    client.send(&connect5("", 2, 60, &[0x27, 0, 0, 0, 60])).await;
    assert_eq!(client.packet().await.expect("CONNACK").0, 0x20);
    client.send(&subscribe(5, 1, "v1/down")).await;
    assert_eq!(client.packet().await.expect("SUBACK").0, 0x90);
    client.send(&publish(5, "v1/up", 1, &vehicle.batch(1..=1))).await;
    assert_eq!(client.packet().await.expect("PUBACK"), (0x40, vec![0, 1]));
    client.send(&[0xc0, 0]).await;
    assert_eq!(client.packet().await, Some((0xd0, Vec::new())), "no reply came between");
    client.send(&[0xe0, 0]).await;
    assert_eq!(client.packet().await, None);
    running.settle().await;
    for _ in 0..200 {
        if running.server.app().exchange.links().status().replies_unsent > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    running.server.shutdown().await;
}
