//! Vehicles over MQTT: frames in, replies out, takeovers, limits. Packets are written as bytes in the tests.

use std::time::Duration;

use outrider_server::vehicle::LinkFinding;
use outrider_wire::Reply;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::client::vehicle_stream;
use crate::harness::{Running, TestVehicle, running};
use crate::uplink::acknowledged;

/// An MQTT client that knows nothing by itself.
pub(crate) struct Client {
    pub(crate) stream: TlsStream<TcpStream>,
}

/// A packet: first byte and body.
pub(crate) type Packet = (u8, Vec<u8>);

/// Packs a packet with its length.
pub(crate) fn packet(first: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let (mut out, mut left) = (vec![first], body.len());
    loop {
        let byte = u8::try_from(left & 0x7f).expect("seven bits");
        left >>= 7;
        out.push(if left > 0 { byte | 0x80 } else { byte });
        if left == 0 {
            break;
        }
    }
    out.extend(body);
    out
}

/// Text with its length.
pub(crate) fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("short").to_be_bytes();
    [length.as_slice(), text.as_bytes()].concat()
}

/// CONNECT of MQTT 5 with clean start, these flags and properties.
pub(crate) fn connect5(client_id: &str, flags: u8, keep_alive: u16, properties: &[u8]) -> Vec<u8> {
    let length = [u8::try_from(properties.len()).expect("short")];
    let head = [&text("MQTT")[..], &[5, flags], &keep_alive.to_be_bytes()].concat();
    packet(0x10, &[&head, &length, properties, &text(client_id)])
}

/// CONNECT of MQTT 3.1.1 with a clean session.
pub(crate) fn connect3(client_id: &str) -> Vec<u8> {
    packet(0x10, &[&text("MQTT"), &[4, 2, 0, 60], &text(client_id)])
}

/// PUBLISH with QoS 1, without properties in 3.1.1 and with none in 5.
pub(crate) fn publish(version: u8, topic: &str, id: u16, payload: &[u8]) -> Vec<u8> {
    let none: &[u8] = if version == 5 { &[0] } else { &[] };
    packet(0x32, &[&text(topic), &id.to_be_bytes(), none, payload])
}

/// SUBSCRIBE to one topic with QoS 1.
pub(crate) fn subscribe(version: u8, id: u16, filter: &str) -> Vec<u8> {
    let none: &[u8] = if version == 5 { &[0] } else { &[] };
    packet(0x82, &[&id.to_be_bytes(), none, &text(filter), &[1]])
}

impl Client {
    /// Makes the TLS connection of a vehicle.
    pub(crate) async fn open(running: &Running, vehicle: &TestVehicle) -> Self {
        let files = running.server.ca().issue_vehicle(vehicle.id).expect("a certificate is issued");
        let stream = vehicle_stream(
            running.server.mqtt_addr.expect("it takes frames"),
            Some(&files),
            running.server.ca().certificate(),
        );
        Self { stream: stream.await.expect("the listener admits it") }
    }

    /// Connects with MQTT 5 or 3.1.1 and subscribes to replies.
    pub(crate) async fn ready(running: &Running, vehicle: &TestVehicle, version: u8) -> Self {
        let mut client = Self::open(running, vehicle).await;
        let id = vehicle.id.to_string();
        client.send(&if version == 5 { connect5(&id, 2, 60, &[]) } else { connect3(&id) }).await;
        let (first, body) = client.packet().await.expect("CONNACK");
        assert_eq!((first, &body[..2]), (0x20, &[0, 0][..]));
        client.send(&subscribe(version, 1, "v1/down")).await;
        let (first, body) = client.packet().await.expect("SUBACK");
        assert_eq!((first, body[0], body[1], body.last()), (0x90, 0, 1, Some(&0)));
        client
    }

    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server reads");
        self.stream.flush().await.expect("the server reads");
    }

    /// Reads a packet; `None` at the end of the connection.
    pub(crate) async fn packet(&mut self) -> Option<Packet> {
        let first = self.stream.read_u8().await.ok()?;
        let (mut length, mut shift) = (0usize, 0);
        loop {
            let byte = self.stream.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((first, body))
    }

    /// Reads a PUBLISH on `v1/down` and returns its payload.
    pub(crate) async fn reply(&mut self, version: u8) -> Vec<u8> {
        let (first, body) = self.packet().await.expect("a reply");
        assert_eq!((first, &body[..9]), (0x30, &text("v1/down")[..]));
        body[if version == 5 { 10 } else { 9 }..].to_vec()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_is_durable_when_it_is_acknowledged_and_the_reply_follows() {
    use outrider_model::EventLog as _;
    for version in [3, 5] {
        let running = running().await;
        let vehicle = running.vehicle(1).await;
        let mut client = Client::ready(&running, &vehicle, version).await;
        let id = vehicle.id.to_string();
        for (number, topic) in [(7u16, "v1/up".to_owned()), (8, format!("v1/{id}/up"))] {
            let rows = u64::from(number - 7) * 3;
            client.send(&publish(version, &topic, number, &vehicle.batch(rows + 1..=rows + 3))).await;
            let (first, body) = client.packet().await.expect("PUBACK");
            assert_eq!((first, body), (0x40, number.to_be_bytes().to_vec()));
            let end = running.world.log.end(outrider_model::Partition(0)).expect("memory does not fail");
            assert_eq!(end.0, u64::from(number - 6), "in the log before the acknowledgement");
            let reply = client.reply(version).await;
            assert_eq!(acknowledged(&running, &vehicle, &reply), rows + 3);
        }
        running.settle().await;
        assert_eq!(running.world.lake.ids().len(), 6);
        let status = running.server.app().exchange.links().status();
        assert_eq!((status.sessions, status.handshakes_full, status.packets["publish"]), (1, 1, 2));
        running.server.shutdown().await;
        let end = client.packet().await;
        assert_eq!(end, (version == 5).then(|| (0xe0, vec![0x8b])), "the server says that it stops");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_come_in_the_order_of_the_frames_and_a_bad_frame_stops_no_good_one() {
    let running = running().await;
    let (vehicle, other) = (running.vehicle(1).await, running.vehicle(2).await);
    let mut client = Client::ready(&running, &vehicle, 5).await;
    let mut burst = Vec::new();
    for number in 1..=4u16 {
        burst.extend(publish(5, "v1/up", number, &vehicle.batch(1..=u64::from(number))));
    }
    burst.extend(publish(5, "v1/up", 5, b"garbage"));
    burst.extend(publish(5, "v1/up", 6, &other.batch(1..=2)));
    burst.extend(publish(5, "v1/up", 7, &vehicle.batch(1..=5)));
    client.send(&burst).await;
    for number in 1..=4u8 {
        assert_eq!(client.packet().await.expect("PUBACK"), (0x40, vec![0, number]));
        let reply = client.reply(5).await;
        assert_eq!(acknowledged(&running, &vehicle, &reply), u64::from(number));
    }
    let (_, body) = client.packet().await.expect("PUBACK");
    assert_eq!(body[..3], [0, 5, 0x99], "payload format invalid");
    assert!(String::from_utf8_lossy(&body).contains("frame.unknown"));
    let (_, body) = client.packet().await.expect("PUBACK");
    assert_eq!(body[..3], [0, 6, 0x87], "not authorised: another vehicle's frame");
    assert_eq!(client.packet().await.expect("PUBACK"), (0x40, vec![0, 7]));
    assert_eq!(acknowledged(&running, &vehicle, &client.reply(5).await), 5);
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_frame_ends_a_session_of_the_older_version() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let mut client = Client::ready(&running, &vehicle, 3).await;
    client.send(&publish(3, "v1/up", 1, b"garbage")).await;
    assert_eq!(client.packet().await, None, "no acknowledgement for what was not kept");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_comes_unasked_while_the_session_is_silent() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let mut client = Client::ready(&running, &vehicle, 5).await;
    client.send(&publish(5, "v1/up", 1, &vehicle.batch(1..=3))).await;
    assert_eq!(client.packet().await.expect("PUBACK").0, 0x40);
    let first = client.reply(5).await;
    assert_eq!(Reply::parse(&first).expect("a reply").commands().count(), 0);
    running.settle().await;
    crate::uplink::request_evidence(&running, &vehicle, 2).await;
    let reply = client.reply(5).await;
    let reply = Reply::parse(&reply).expect("a reply");
    assert_eq!((reply.ack.len(), reply.commands().count()), (0, 1));
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_connection_takes_over() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let mut first = Client::ready(&running, &vehicle, 5).await;
    let mut second = Client::ready(&running, &vehicle, 5).await;
    let (head, body) = first.packet().await.expect("DISCONNECT");
    assert_eq!((head, body[0]), (0xe0, 0x8e));
    assert_eq!(first.packet().await, None);
    second.send(&publish(5, "v1/up", 1, &vehicle.batch(1..=1))).await;
    assert_eq!(second.packet().await.expect("PUBACK").0, 0x40);
    let links = running.server.app().exchange.links().clone();
    assert_eq!(
        (links.status().sessions, links.take_findings()),
        (1, Vec::new()),
        "one address is no finding"
    );
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_places_that_throw_each_other_out_are_a_finding() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let files = running.server.ca().issue_vehicle(vehicle.id).expect("a certificate is issued");
    let ca = running.server.ca().certificate();
    // The whole of 127/8 is this machine: another address without another machine.
    let mut sessions = Vec::new();
    for number in 0..4u8 {
        let source = if number % 2 == 0 { [127, 0, 0, 2] } else { [127, 0, 0, 1] };
        let stream = crate::client::vehicle_stream_from(
            source,
            running.server.mqtt_addr.expect("it takes frames"),
            &files,
            ca,
        )
        .await;
        let mut client = Client { stream: stream.expect("the listener admits it") };
        client.send(&connect5(&vehicle.id.to_string(), 2, 60, &[])).await;
        assert_eq!(client.packet().await.expect("CONNACK").0, 0x20);
        sessions.push(client);
    }
    let links = running.server.app().exchange.links();
    let LinkFinding::CertificateInTwoPlaces { vehicle: whose, takeovers, .. } =
        links.take_findings().remove(0);
    assert_eq!((whose, takeovers, links.status().findings), (vehicle.id, 3, 1));
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_vehicle_a_strange_name_and_a_full_house_are_refused() {
    let running = crate::harness::running_with(|config| config.mqtt.sessions_max = 1).await;
    let vehicle = running.vehicle(1).await;
    let stranger = TestVehicle::unregistered(9);
    let cases = [(&stranger, stranger.id.to_string(), 0x87u8), (&vehicle, "somebody".to_owned(), 0x85)];
    for (vehicle, name, code) in cases {
        let mut client = Client::open(&running, vehicle).await;
        client.send(&connect5(&name, 2, 60, &[])).await;
        let (first, body) = client.packet().await.expect("CONNACK");
        assert_eq!((first, body[..2].to_vec()), (0x20, vec![0, code]));
        assert_eq!(client.packet().await, None);
    }
    let _seat = Client::ready(&running, &vehicle, 5).await;
    let other = running.vehicle(2).await;
    let mut client = Client::open(&running, &other).await;
    client.send(&connect5("", 2, 60, &[])).await;
    let (_, body) = client.packet().await.expect("CONNACK");
    assert_eq!(body[..2], [0, 0x97]);
    assert!(String::from_utf8_lossy(&body).contains("retry after "));
    // Who is connected may come again.
    let _again = Client::ready(&running, &vehicle, 5).await;
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_half_packets_and_a_missing_connect_end_the_connection() {
    let running =
        crate::harness::running_with(|config| config.mqtt.listener.patience = Duration::from_millis(50))
            .await;
    let vehicle = running.vehicle(1).await;
    let mut mute = Client::open(&running, &vehicle).await;
    assert_eq!(mute.packet().await, None);
    let mut half = Client::ready(&running, &vehicle, 5).await;
    half.send(&publish(5, "v1/up", 1, &vehicle.batch(1..=3))[..20]).await;
    assert_eq!(half.packet().await.map(|(first, body)| (first, body[0])), Some((0xe0, 0x80)));
    let mut silent = Client::open(&running, &vehicle).await;
    silent.send(&connect5("", 2, 1, &[])).await;
    assert_eq!(silent.packet().await.expect("CONNACK").0, 0x20);
    assert_eq!(silent.packet().await, Some((0xe0, vec![0x8d])), "one and a half seconds of silence");
    let refusals = running.server.app().exchange.links().status().refusals;
    let count = |word: &str| refusals.get(word).copied();
    assert_eq!((count("connect.slow"), count("packet.slow")), (Some(1), Some(1)));
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vehicle_above_its_rate_is_slowed_over_mqtt_and_refused_over_https() {
    use outrider_server::vehicle::admission::{Rate, VehicleRate};
    let rate = VehicleRate {
        frames: Rate { per_second: 1, burst: 1 },
        bytes: Rate { per_second: 1 << 20, burst: 1 << 20 },
    };
    let running = crate::harness::running_with(|config| config.vehicle_rate = rate).await;
    let (vehicle, other) = (running.vehicle(1).await, running.vehicle(2).await);
    let mut client = Client::ready(&running, &vehicle, 5).await;
    let frame = vehicle.batch(1..=1);
    client.send(&[1u16, 2, 3].map(|number| publish(5, "v1/up", number, &frame)).concat()).await;
    for number in 1..=3u8 {
        assert_eq!(client.packet().await.expect("PUBACK"), (0x40, vec![0, number]));
        client.reply(5).await;
    }
    let waited = running.server.app().exchange.links().status().refusals["frame.waited"];
    assert!(waited >= 1, "of three frames at once and one a second, one waited at least: {waited}");
    let mut statuses = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let answer = running.uplink(&other, &other.batch(1..=1)).await;
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after").as_deref(), Some("10"));
            assert_eq!(answer.code(), "frame.rate");
        }
        statuses.insert(answer.status);
        if statuses.len() == 2 {
            break;
        }
    }
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 429]);
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_above_the_bound_are_refused_before_they_cost_anything() {
    use outrider_server::vehicle::admission::{HandshakeLimits, Rate};
    let limits = HandshakeLimits { underway_max: 4, rate: Rate { per_second: 1, burst: 2 } };
    let running = crate::harness::running_with(|config| config.mqtt.listener.handshakes = limits).await;
    let vehicle = running.vehicle(1).await;
    let files = running.server.ca().issue_vehicle(vehicle.id).expect("a certificate is issued");
    let (mut admitted, mut refused) = (0, 0);
    for _ in 0..10 {
        match vehicle_stream(
            running.server.mqtt_addr.expect("it takes frames"),
            Some(&files),
            running.server.ca().certificate(),
        )
        .await
        {
            Ok(_) => admitted += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(admitted >= 2 && refused >= 1, "{admitted} admitted, {refused} refused");
    assert_eq!(running.server.app().exchange.links().status().handshakes_refused, refused);
    running.server.shutdown().await;
}
