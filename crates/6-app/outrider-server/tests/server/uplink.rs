//! What vehicles may send, and what becomes of the rest.

use ed25519_dalek::SigningKey;
use outrider_server::store::VehicleEntry;
use outrider_types::{Lane, VehicleId};
use outrider_wire::attest::{token_proof, token_signed};
use outrider_wire::{
    AnchorStatement, BatchWriter, CommandId, DictId, Outcome, RECEIPT_BYTES, Receipt, RefuseReason, Reply,
    SealedAck, SealedCommand, SignerError, low_s,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::client::{exchange, vehicle_stream};
use crate::harness::{Running, TENANT, TestVehicle, running};

struct Key<'a>(&'a SigningKey);

impl outrider_wire::Signer for Key<'_> {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        use ed25519_dalek::Signer as _;
        Ok(self.0.sign(message).to_bytes())
    }
}

struct Check([u8; 32]);

impl outrider_wire::Verifier for Check {
    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).expect("a key");
        key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

/// Contiguous number of the critical lane that a reply acknowledges.
pub(crate) fn acknowledged(running: &Running, vehicle: &TestVehicle, reply: &[u8]) -> u64 {
    let reply = Reply::parse(reply).expect("a reply");
    let sealed = SealedAck::parse(reply.ack).expect("an acknowledgement");
    let ack = sealed.open(&Check(running.server.keys().ack.public())).expect("signed by the cloud");
    assert_eq!(ack.vehicle, vehicle.id);
    let mark = ack.watermarks().find(|mark| mark.lane == Lane::Critical);
    mark.expect("the lane is acknowledged").contiguous
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_batch_is_acknowledged_with_a_signature_and_a_resend_changes_nothing() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let first = running.uplink(&vehicle, &vehicle.batch(1..=3)).await;
    assert_eq!(first.status, 200);
    assert_eq!(acknowledged(&running, &vehicle, &first.body), 3);
    let again = running.uplink(&vehicle, &vehicle.batch(1..=3)).await;
    assert_eq!(acknowledged(&running, &vehicle, &again.body), 3);
    running.settle().await;
    assert_eq!(running.world.lake.ids().len(), 3);
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_input_has_its_code_is_counted_and_stops_nobody() {
    let running = running().await;
    let (vehicle, other) = (running.vehicle(1).await, running.vehicle(2).await);
    let good = vehicle.batch(1..=3);
    let rows = vehicle.rows(1..=3);
    let stranger = SigningKey::from_bytes(&[99; 32]);
    let mut lying = good.clone();
    lying[56] ^= 1;
    let zeros = vec![0; 4 << 20];
    let mut bomb_rows = zeros.clone();
    bomb_rows.truncate(64);
    let bomb = zstd::bulk::compress(&zeros, 19).expect("zeros compress");
    let cases: Vec<(&str, u16, &str, Vec<u8>)> = vec![
        ("garbage", 400, "frame.unknown", b"garbage".to_vec()),
        ("nothing", 400, "frame.unknown", Vec::new()),
        ("wrong signature", 403, "batch.signature", vehicle.seal(&rows, &rows, DictId::STORED, &stranger)),
        ("other vehicle", 403, "batch.wrong_vehicle", other.batch(1..=3)),
        ("length lies", 400, "batch.frame", lying),
        ("torn", 400, "batch.frame", good[..good.len() - 1].to_vec()),
        ("zstd bomb", 400, "batch.decompress", vehicle.seal(&bomb_rows, &bomb, DictId::PLAIN, &vehicle.key)),
        (
            "unknown dictionary",
            400,
            "batch.unknown_dictionary",
            vehicle.seal(&rows, &rows, DictId(77), &vehicle.key),
        ),
        ("oversized", 413, "body.too_large", vec![0; (1 << 20) + 1]),
    ];
    for (name, status, code, frame) in &cases {
        let answer = running.uplink(&vehicle, frame).await;
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{name}");
        let fine = running.uplink(&other, &other.batch(1..=2)).await;
        assert_eq!(fine.status, 200, "another vehicle after {name}");
    }
    let frames = running.server.app().exchange.frames();
    for (name, _, code, _) in &cases {
        assert!(frames.dropped().get(code).is_some_and(|count| *count > 0), "{name}: {frames}");
    }
    assert_eq!(frames.passed(), cases.len() as u64);
    assert_eq!(frames.difference(), 0, "{frames}");
    running.settle().await;
    assert_eq!(running.world.lake.ids().len(), 2, "of the other vehicle only");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_clients_of_the_installation_are_let_in() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let address = running.server.vehicle_addr.expect("it takes frames");
    let ca = running.server.ca().certificate().to_owned();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (clock, random) = (running.server.app().clock.clone(), running.server.app().random.clone());
    let foreign = outrider_server::vehicle::VehicleCa::open(folder.path(), clock, random).expect("a CA");
    let forged = foreign.issue_vehicle(vehicle.id).expect("a certificate");
    for files in [None, Some(&forged)] {
        // TLS 1.3 tells the client of the refusal with the first answer.
        let Ok(stream) = vehicle_stream(address, files, &ca).await else { continue };
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = stream;
        let _ = stream.write_all(b"GET /v1/livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer).await;
        assert!(read.is_err() || answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    }
    let unregistered = TestVehicle { id: VehicleId([8; 16]), key: SigningKey::from_bytes(&[8; 32]) };
    let answer = running.uplink(&unregistered, &unregistered.batch(1..=1)).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "vehicle.unknown"));
    let files = running.server.ca().issue_vehicle(vehicle.id).expect("a certificate");
    let stream = vehicle_stream(address, Some(&files), &ca).await.expect("it is let in");
    assert_eq!(exchange(stream, "GET /v1/livez HTTP/1.1\r\n", b"").await.status, 200);
    running.server.shutdown().await;
}

/// Opens a case and asks for evidence of an event.
pub(crate) async fn request_evidence(
    running: &Running,
    vehicle: &TestVehicle,
    seq: u64,
) -> serde_json::Value {
    let case = running.admin.post("/api/v1/cases", json!({"title": "look", "severity": "high"})).await.json();
    let path = format!("/api/v1/cases/{}/evidence-requests", case["id"].as_str().expect("a case has an id"));
    let body = json!({
        "vehicle_id": vehicle.id.to_string(), "event_id": vehicle.event(seq).to_string(),
        "seconds_before": 10, "seconds_after": 5,
    });
    let answer = running.admin.post(&path, body).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

/// State of a request, as its case tells.
async fn state(running: &Running, request: &serde_json::Value) -> serde_json::Value {
    let path = format!("/api/v1/cases/{}", request["case_id"].as_str().expect("it has a case"));
    running.admin.get(&path).await.json()["evidence"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_goes_from_the_wish_over_the_gate_to_the_bytes() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(1..=3)).await.status, 200);
    running.settle().await;
    let request = request_evidence(&running, &vehicle, 2).await;
    assert_eq!((&request["state"], &request["sequence"]), (&json!("permitted"), &json!(1)));
    // The command comes with the next reply, signed by the command key.
    let reply = running.uplink(&vehicle, &vehicle.batch(1..=3)).await.body;
    let frames: Vec<Vec<u8>> =
        Reply::parse(&reply).expect("a reply").commands().map(<[u8]>::to_vec).collect();
    assert_eq!(frames.len(), 1);
    let sealed = SealedCommand::parse(&frames[0]).expect("a command");
    let command =
        sealed.open(&Check(running.server.keys().command.public())).expect("signed by the command key");
    assert_eq!((command.head.vehicle, command.head.tenant, command.head.sequence), (vehicle.id, TENANT, 1));
    assert_eq!(state(&running, &request).await["state"], json!("sent"));
    let mut receipt = vec![0; RECEIPT_BYTES];
    let accepted = Receipt {
        command: command.head.id,
        tenant: TENANT,
        vehicle: vehicle.id,
        sequence: 1,
        outcome: Outcome::Accepted,
    };
    accepted.emit(&Key(&vehicle.key), &mut receipt).expect("it fits");
    assert_eq!(running.uplink(&vehicle, &receipt).await.status, 200);
    assert_eq!(state(&running, &request).await["state"], json!("accepted"));
    let capture = b"(0.1) can0 123#00".to_vec();
    let hash = hex(&Sha256::digest(&capture));
    let head = |hash: &str| {
        let command = request["command_id"].as_str().expect("it has a command");
        format!("PUT /v1/evidence/{command} HTTP/1.1\r\nX-SHA256: {hash}\r\nContent-Type: text/plain\r\n")
    };
    let wrong = running.request(&vehicle, &head(&"0".repeat(64)), &capture).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "evidence.hash"));
    let other = running.vehicle(2).await;
    assert_eq!(
        running.request(&other, &head(&hash), &capture).await.status,
        403,
        "another vehicle's command"
    );
    assert_eq!(running.request(&vehicle, &head(&hash), &capture).await.status, 200);
    assert_eq!(running.request(&vehicle, &head(&hash), &capture).await.status, 200, "a repeat is harmless");
    let uploads = running.server.app().exchange.uploads();
    assert_eq!((uploads.received(), uploads.passed(), uploads.difference()), (4, 2, 0), "{uploads}");
    let received = state(&running, &request).await;
    assert_eq!((&received["state"], &received["sha256"]), (&json!("received"), &json!(hash)));
    let path = format!(
        "/api/v1/cases/{}/evidence-requests/{}/content",
        request["case_id"].as_str().expect("a case"),
        request["id"].as_str().expect("an id")
    );
    let content = running.admin.get(&path).await;
    assert_eq!(content.body, capture);
    assert!(content.header("content-disposition").is_some_and(|value| value.starts_with("attachment")));
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_refuses_what_it_cannot_know_and_a_vehicle_may_refuse_too() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(1..=3)).await.status, 200);
    running.settle().await;
    let unknown = request_evidence(&running, &vehicle, 77).await;
    assert_eq!(
        (&unknown["state"], &unknown["reasons"]),
        (&json!("refused_by_gate"), &json!(["unknown_event"]))
    );
    let first = request_evidence(&running, &vehicle, 1).await;
    assert_eq!(first["state"], json!("permitted"));
    let second = request_evidence(&running, &vehicle, 2).await;
    assert_eq!(second["reasons"], json!(["command_in_flight"]));
    let command = first["command_id"].as_str().expect("it has a command");
    let refused = Receipt {
        command: CommandId(outrider_types::hex_decode(command).expect("hexadecimal")),
        tenant: TENANT,
        vehicle: vehicle.id,
        sequence: 1,
        outcome: Outcome::Refused(Some(RefuseReason::NotAvailable)),
    };
    let mut receipt = vec![0; RECEIPT_BYTES];
    refused.emit(&Key(&SigningKey::from_bytes(&[50; 32])), &mut receipt).expect("it fits");
    let forged = running.uplink(&vehicle, &receipt).await;
    assert_eq!((forged.status, forged.code().as_str()), (400, "receipt.signature"));
    refused.emit(&Key(&vehicle.key), &mut receipt).expect("it fits");
    assert_eq!(running.uplink(&vehicle, &receipt).await.status, 200);
    let after = state(&running, &first).await;
    assert_eq!(
        (&after["state"], &after["reasons"]),
        (&json!("refused_by_vehicle"), &json!(["not_available"]))
    );
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_emergency_stop_holds_every_command_and_needs_two_to_release() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(1..=3)).await.status, 200);
    running.settle().await;
    let (ann, eve, ben) = (
        running.user("ann", "analyst").await,
        running.user("eve", "engineer").await,
        running.user("ben", "engineer").await,
    );
    assert_eq!(eve.post("/api/v1/stop/release", json!({"reason": "early"})).await.status, 409, "not set");
    let before = request_evidence(&running, &vehicle, 1).await;
    assert_eq!(before["state"], json!("permitted"));
    let set = ann.post("/api/v1/stop", json!({"reason": "wrong campaign"})).await;
    assert_eq!((set.status, &set.json()["set_by"]), (200, &json!("ann")), "any analyst may stop");
    assert_eq!(state(&running, &before).await["state"], json!("expired"), "what waited is void");
    let reply = running.uplink(&vehicle, &vehicle.batch(1..=3)).await.body;
    assert_eq!(Reply::parse(&reply).expect("a reply").commands().count(), 0, "nothing leaves");
    let during = request_evidence(&running, &vehicle, 2).await;
    assert_eq!(during["reasons"], json!(["stopped"]));
    let release = json!({"reason": "campaign withdrawn"});
    assert_eq!(ann.post("/api/v1/stop/release", release.clone()).await.status, 403, "not an analyst");
    let half = eve.post("/api/v1/stop/release", release.clone()).await.json();
    assert_eq!((&half["is_set"], &half["release"]["by"]), (&json!(true), &json!("eve")));
    assert_eq!(eve.post("/api/v1/stop/release", release.clone()).await.status, 409, "not alone");
    let again = ann.post("/api/v1/stop", json!({"reason": "no, wait"})).await.json();
    assert_eq!((&again["reason"], &again["release"]), (&json!("wrong campaign"), &json!(null)));
    assert_eq!(eve.post("/api/v1/stop/release", release.clone()).await.json()["is_set"], json!(true));
    running.server.shutdown().await;
    let server = running.world.start(running.folder.path()).await;
    let mut ben_again = crate::client::Browser::new(server.api_addr);
    assert_eq!(ben_again.login("ben", crate::harness::PASSWORD).await.status, 200);
    assert_eq!(ben_again.get("/api/v1/stop").await.json()["is_set"], json!(true), "it survives a restart");
    assert_eq!(ben_again.post("/api/v1/stop/release", release).await.json(), json!({"is_set": false}));
    drop(ben);
    server.shutdown().await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_row_under_a_known_number_is_a_finding_and_what_the_edge_saw_is_one() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    running.uplink(&vehicle, &vehicle.batch(1..=3)).await;
    running.settle().await;
    // The same number, signed by the same key, with another content.
    let other = vehicle.rows_with(2..=2, b"rewritten");
    let frame = vehicle.seal(&other, &other, DictId::STORED, &vehicle.key);
    let answer = running.uplink(&vehicle, &frame).await;
    assert_eq!(acknowledged(&running, &vehicle, &answer.body), 3, "acknowledged like any row that is there");
    let note = outrider_ingest::Note::CertificateUsedTwice { before: "a".to_owned(), now: "b".to_owned() };
    running.server.app().exchange.note(vehicle.id, note).expect("the log takes it");
    running.settle().await;
    let said: Vec<String> = running.world.lake.types();
    assert!(said.contains(&"ingest.equivocation".to_owned()), "{said:?}");
    assert!(said.contains(&"ingest.certificate_used_twice".to_owned()), "{said:?}");
    let get = async |path: String| running.admin.get(&path).await.json();
    let list = get("/api/v1/quarantine".to_owned()).await;
    assert_eq!(list["items"][0]["reason"], "row.equivocation");
    let known = get(format!("/api/v1/vehicles/{}/completeness", vehicle.id)).await;
    assert_eq!(
        (&known["lanes"][0]["received"], &known["lanes"][0]["state"]),
        (&json!(3), &json!("balanced"))
    );
    let health = get("/api/v1/ingest".to_owned()).await;
    assert_eq!((&health["vehicles"], &health["findings"]), (&json!(1), &json!(2)));
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_anchor_key_says_which_counters_hardware_vouches_for() {
    let random = SystemRandom::new();
    let secret = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("random");
    let token = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, secret.as_ref(), &random)
        .expect("just made");
    let running = running().await;
    let vehicle = TestVehicle::unregistered(1);
    let anchor_key = token.public_key().as_ref().try_into().expect("an uncompressed point");
    let entry = VehicleEntry { anchor_key: Some(anchor_key), ..vehicle.entry() };
    running.server.register(vec![entry]).await.expect("it is registered");
    let head = [5; 32];
    let said = |counter: u64, proof: &[u8]| {
        let mut buffer = vec![0; 4096];
        let mut writer = BatchWriter::new(&mut buffer);
        writer.anchor(&AnchorStatement { kind: 3, counter, head, proof }).expect("there is room");
        let rows = writer.finish().to_vec();
        vehicle.seal(&rows, &rows, DictId::STORED, &vehicle.key)
    };
    let signed = token.sign(&random, &token_signed(7, true, &head)).expect("random");
    let signature = low_s(signed.as_ref().try_into().expect("r and s"));
    let last = async || {
        running.settle().await;
        let path = format!("/api/v1/vehicles/{}/completeness", vehicle.id);
        let boots = running.admin.get(&path).await.json()["boots"].clone();
        (boots[0]["anchor"]["counter"].clone(), boots[0]["anchor"]["proof"].clone())
    };
    running.uplink(&vehicle, &said(7, &token_proof(7, true, &head, &signature))).await;
    assert_eq!(last().await, (json!(7), json!("proven")));
    assert!(!running.world.lake.types().contains(&"ingest.contradiction".to_owned()));
    running.uplink(&vehicle, &said(8, &token_proof(8, true, &head, &signature))).await;
    assert_eq!(last().await, (json!(8), json!("unproven")));
    assert!(running.world.lake.types().contains(&"ingest.contradiction".to_owned()));
    running.server.shutdown().await;
}
