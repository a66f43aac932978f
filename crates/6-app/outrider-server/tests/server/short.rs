//! Short frames over a real TLS session: taken under the exporter's key, once and in order.

use hmac::{Hmac, KeyInit as _, Mac as _};
use outrider_server::vehicle::{SHORT_PROPERTY, SHORT_VERSION};
use outrider_types::{BootEpoch, EcuId, Lane, Seq, VehicleMicros};
use outrider_wire::{
    BatchWriter, EventHead, Opening, SHORT_EXPORTER_LABEL, SHORT_FRAME_BYTES_MAX, SHORT_TAG_BYTES, SeqRange,
    ShortCoding, ShortFrame, ShortPlace, ShortProof, Tagger,
};
use sha2::{Digest as _, Sha256};

use crate::harness::{TestVehicle, running};
use crate::mqtt::{Client, connect5, publish, text};
use crate::uplink::acknowledged;

struct Session([u8; 32]);

impl Tagger for Session {
    fn tag(&self, parts: [&[u8]; 4]) -> [u8; SHORT_TAG_BYTES] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes()[..SHORT_TAG_BYTES].try_into().expect("eight of 32")
    }
}

fn session(client: &Client) -> Session {
    let (_, connection) = client.stream.get_ref();
    let key = connection.export_keying_material([0; 32], SHORT_EXPORTER_LABEL, None);
    Session(key.expect("the handshake is over"))
}

/// A row as it stands in a spool.
fn row(seq: u64) -> Vec<u8> {
    let denied = outrider_model::catalogue::event_type_by_name("diag.security_access_denied");
    let at = VehicleMicros(1_000_000 * seq);
    let head = EventHead {
        event_type: denied.expect("the catalogue has it").id,
        lane: Lane::Critical,
        seq: Seq(seq),
        severity: None,
        bus: None,
        ecu: EcuId(2),
        first: at,
        last: at,
        count: 1,
    };
    let mut buffer = vec![0; 256];
    let mut writer = BatchWriter::new(&mut buffer);
    writer.event(&head, std::iter::empty(), b"").expect("room");
    writer.finish().to_vec()
}

fn frame(vehicle: &TestVehicle, session: &Session, number: u64, seq: u64) -> Vec<u8> {
    let opening = (number == 0).then_some(Opening { epoch: BootEpoch(4), catalogue_id: 1 });
    let row = row(seq);
    let frame = ShortFrame { opening, coding: ShortCoding::STORED, row: &row[2..] };
    let mut out = vec![0; SHORT_FRAME_BYTES_MAX];
    let place = ShortPlace { vehicle: vehicle.id, number };
    let length = frame.emit(session, place, &mut out).expect("room");
    out.truncate(length);
    out
}

/// A batch without rows that proves rows 1 to `last`.
fn proof(vehicle: &TestVehicle, last: u64, change: u8) -> Vec<u8> {
    let chain = (1..=last).fold([change; 32], |chain, seq| {
        Sha256::new().chain_update(chain).chain_update(Sha256::digest(row(seq))).finalize().into()
    });
    let range = SeqRange::new(Seq(1), Seq(last)).expect("ascending");
    let mut buffer = vec![0; 256];
    let mut writer = BatchWriter::new(&mut buffer);
    writer.proof(&ShortProof { lane: Lane::Critical, range, chain }).expect("room");
    let rows = writer.finish().to_vec();
    vehicle.seal(&rows, &rows, outrider_wire::DictId::STORED, &vehicle.key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_frame_is_durable_acknowledged_and_in_the_lake_and_a_replay_ends_the_session() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let mut client = Client::ready(&running, &vehicle, 5).await;
    let key = session(&client);
    for number in 0..3u16 {
        let short = frame(&vehicle, &key, u64::from(number), u64::from(number) + 1);
        client.send(&publish(5, "v1/up", number + 10, &short)).await;
        assert_eq!(client.packet().await.expect("PUBACK"), (0x40, (number + 10).to_be_bytes().to_vec()));
        let reply = client.reply(5).await;
        assert_eq!(acknowledged(&running, &vehicle, &reply), u64::from(number) + 1);
    }
    running.settle().await;
    assert_eq!(running.world.lake.ids().len(), 3);
    let again = frame(&vehicle, &key, 1, 2);
    client.send(&publish(5, "v1/up", 20, &again)).await;
    let (_, body) = client.packet().await.expect("PUBACK");
    assert_eq!(body[..3], [0, 20, 0x87], "not authorised");
    assert_eq!(client.packet().await, None, "the session has ended");
    // Another session has another key.
    let mut client = Client::ready(&running, &vehicle, 5).await;
    assert_ne!(session(&client).0, key.0);
    client.send(&publish(5, "v1/up", 2, &frame(&vehicle, &key, 0, 9))).await;
    assert_eq!(client.packet().await.expect("PUBACK").1[..3], [0, 2, 0x87]);
    assert_eq!(client.packet().await, None);
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_proof_sets_the_rows_aside_and_a_right_one_does_not() {
    for (change, forged) in [(0, 0), (1, 1)] {
        let running = running().await;
        let vehicle = running.vehicle(1).await;
        let mut client = Client::ready(&running, &vehicle, 5).await;
        let key = session(&client);
        client.send(&publish(5, "v1/up", 2, &frame(&vehicle, &key, 0, 1))).await;
        assert_eq!(client.packet().await.expect("PUBACK").0, 0x40);
        client.reply(5).await;
        client.send(&publish(5, "v1/up", 3, &proof(&vehicle, 1, change))).await;
        assert_eq!(client.packet().await.expect("PUBACK"), (0x40, vec![0, 3]));
        client.reply(5).await;
        running.settle().await;
        assert_eq!(running.world.lake.ids().len(), 1, "the row stays");
        let answer = running.user("engineer", "engineer").await.get("/api/v1/quarantine").await;
        let said = answer.json().to_string();
        assert_eq!((answer.status, said.matches("short.forged").count()), (200, forged), "{said}");
        running.server.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_edge_says_that_it_takes_short_frames_and_https_does_not_take_them() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let mut client = Client::open(&running, &vehicle).await;
    client.send(&connect5(&vehicle.id.to_string(), 2, 60, &[])).await;
    let (_, body) = client.packet().await.expect("CONNACK");
    let pair = [&[0x26][..], &text(SHORT_PROPERTY), &text(SHORT_VERSION)].concat();
    assert!(body.windows(pair.len()).any(|window| window == pair), "{body:02x?}");
    let short = frame(&vehicle, &session(&client), 0, 1);
    assert_eq!(running.uplink(&vehicle, &short).await.status, 400);
    running.server.shutdown().await;
}
