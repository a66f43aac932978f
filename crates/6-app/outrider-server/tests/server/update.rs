//! Remote configuration from the upload to the vehicle's word, and everything that must not pass.

use ed25519_dalek::SigningKey;
use outrider_agent::remote::Draft;
use outrider_gateway::Ed25519Signer;
use outrider_types::{TenantId, VehicleId};
use outrider_wire::{
    ArtifactKind, CommandHead, EvidenceHash, Outcome, Parameters, RECEIPT_BYTES, Receipt, RefuseReason,
    Reply, SealedCommand, SignerError, UpdateOrder,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::client::{Answer, Browser};
use crate::harness::{NOW, Running, TENANT, TestVehicle, running};

/// Secret of the person who signs in these tests.
pub(crate) const SIGNER: [u8; 32] = [61; 32];
pub(crate) const POLICY: &str = "[[rule]]\nevent = 'can.unknown_id'\nlane = 'critical'\n";

pub(crate) struct Key<'a>(pub(crate) &'a SigningKey);

impl outrider_wire::Signer for Key<'_> {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        use ed25519_dalek::Signer as _;
        Ok(self.0.sign(message).to_bytes())
    }
}

struct Check([u8; 32]);

impl outrider_wire::Verifier for Check {
    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).expect("a real key");
        key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn draft(kind: ArtifactKind, version: u64) -> Draft<'static> {
    Draft { kind, version, tenant: TENANT, platform: None, vehicle: None, made_at: NOW }
}

fn sign(draft: &Draft<'_>, content: &[u8]) -> Vec<u8> {
    draft.sign(content, &Ed25519Signer::new(&SIGNER)).expect("right content")
}

/// A signed policy of a version.
pub(crate) fn policy(version: u64) -> Vec<u8> {
    sign(&draft(ArtifactKind::Policy, version), POLICY.as_bytes())
}

pub(crate) async fn upload(browser: &Browser, artifact: &[u8]) -> Answer {
    browser.send_bytes("/api/v1/artifacts", artifact).await
}

/// A server that knows the signer's key, with two engineers.
pub(crate) async fn two_engineers() -> (Running, Browser, Browser) {
    let running = running().await;
    let app = running.server.app();
    let public = SigningKey::from_bytes(&SIGNER).verifying_key().to_bytes();
    app.store.add_artifact_key(app.scope(), &public, "release team", "cli").await.expect("it is registered");
    let (eve, ben) = (running.user("eve", "engineer").await, running.user("ben", "engineer").await);
    (running, eve, ben)
}

/// Proposes an artifact for a vehicle; returns the rollout.
pub(crate) async fn propose(by: &Browser, artifact: &[u8], vehicle: &TestVehicle) -> Value {
    let body = json!({
        "sha256": hex(&Sha256::digest(artifact)), "vehicle_ids": [vehicle.id.to_string()],
        "reason": "unknown ids come at once",
    });
    let answer = by.post("/api/v1/rollouts", body).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

pub(crate) async fn decide(by: &Browser, rollout: &Value, word: &str) -> Answer {
    let path = format!("/api/v1/rollouts/{}/{word}", rollout["id"].as_str().expect("an id"));
    by.post(&path, json!({"reason": "reviewed"})).await
}

/// The order of a rollout's only vehicle.
pub(crate) async fn order(running: &Running, rollout: &Value) -> Value {
    let path = format!("/api/v1/rollouts/{}", rollout["id"].as_str().expect("an id"));
    running.admin.get(&path).await.json()["orders"][0].clone()
}

/// Uploads, proposes and has it confirmed.
async fn ordered(
    running: &Running,
    pair: (&Browser, &Browser),
    artifact: &[u8],
    vehicle: &TestVehicle,
) -> Value {
    assert_eq!(upload(pair.0, artifact).await.status, 200);
    let rollout = propose(pair.0, artifact, vehicle).await;
    assert_eq!(decide(pair.1, &rollout, "confirm").await.status, 200);
    let order = order(running, &rollout).await;
    assert_eq!(order["state"], json!("permitted"), "{order}");
    rollout
}

/// Fetches the commands that wait for a vehicle.
async fn commands(running: &Running, vehicle: &TestVehicle) -> Vec<(CommandHead, UpdateOrder)> {
    let reply = running.uplink(vehicle, &vehicle.batch(1..=1)).await.body;
    let check = Check(running.server.keys().command.public());
    let read = |frame: &[u8]| {
        let command = SealedCommand::parse(frame).expect("a command").open(&check).expect("signed");
        match command.parameters().expect("parameters") {
            Parameters::Update(order) => (command.head, order),
            other @ Parameters::RequestEvidence(_) => panic!("no update: {other:?}"),
        }
    };
    Reply::parse(&reply).expect("a reply").commands().map(read).collect()
}

async fn receipt(running: &Running, vehicle: &TestVehicle, head: &CommandHead, outcome: Outcome) -> Answer {
    let receipt =
        Receipt { command: head.id, tenant: TENANT, vehicle: vehicle.id, sequence: head.sequence, outcome };
    let mut out = vec![0; RECEIPT_BYTES];
    receipt.emit(&Key(&vehicle.key), &mut out).expect("it fits");
    running.uplink(vehicle, &out).await
}

async fn fetch(running: &Running, vehicle: &TestVehicle, sha256: &str, range: &str) -> Answer {
    let head = format!("GET /v1/artifacts/{sha256} HTTP/1.1\r\n{range}");
    running.request(vehicle, &head, b"").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_goes_from_the_upload_over_two_persons_and_the_gate_to_the_vehicles_word() {
    let (running, eve, ben) = two_engineers().await;
    let vehicle = running.vehicle(1).await;
    let artifact = policy(3);
    let sha256 = hex(&Sha256::digest(&artifact));
    let stored = upload(&eve, &artifact).await.json();
    assert_eq!((&stored["sha256"], &stored["payload_checked"]), (&json!(sha256), &json!(true)));
    assert_eq!((&stored["signer"], &stored["uploaded_by"]), (&json!("release team"), &json!("eve")));
    assert_eq!(upload(&ben, &artifact).await.json(), stored, "the same one again changes nothing");
    let rollout = propose(&eve, &artifact, &vehicle).await;
    assert_eq!(commands(&running, &vehicle).await, [], "one person alone sends nothing");
    assert_eq!(fetch(&running, &vehicle, &sha256, "Range: bytes=0-9\r\n").await.status, 404);
    let same = decide(&eve, &rollout, "confirm").await;
    assert_eq!((same.status, same.code().as_str()), (409, "conflict"), "not the one who proposed");
    let analyst = running.user("ann", "analyst").await;
    assert_eq!(decide(&analyst, &rollout, "confirm").await.status, 403);
    let confirmed = decide(&ben, &rollout, "confirm").await.json();
    assert_eq!(confirmed["confirmed_by"], json!("ben"));
    assert_eq!(confirmed["states"], json!([{"state": "permitted", "orders": 1}]));
    let told = commands(&running, &vehicle).await;
    let (head, told) = &told[0];
    assert_eq!((hex(&told.sha256), told.version, told.kind), (sha256.clone(), 3, ArtifactKind::Policy));
    assert_eq!(order(&running, &rollout).await["state"], json!("sent"));
    assert_eq!(receipt(&running, &vehicle, head, Outcome::Accepted).await.status, 200);
    let mut whole = Vec::new();
    while whole.len() < artifact.len() {
        let range = format!("Range: bytes={}-{}\r\n", whole.len(), whole.len() + 99);
        let piece = fetch(&running, &vehicle, &sha256, &range).await;
        assert_eq!(piece.status, 206, "{}", piece.head);
        let last = whole.len() + piece.body.len() - 1;
        let expected = format!("bytes {}-{last}/{}", whole.len(), artifact.len());
        assert_eq!(piece.header("content-range"), Some(expected));
        whole.extend(piece.body);
    }
    assert_eq!(whole, artifact);
    let done = Outcome::Done { evidence: EvidenceHash(told.sha256), bytes: u64::from(told.bytes) };
    let other = Outcome::Done { evidence: EvidenceHash([1; 32]), bytes: 1 };
    assert_eq!(receipt(&running, &vehicle, head, other).await.code(), "receipt.artifact");
    assert_eq!(receipt(&running, &vehicle, head, done).await.status, 200);
    let order = order(&running, &rollout).await;
    let steps: Vec<&str> =
        order["steps"].as_array().expect("steps").iter().filter_map(|step| step["state"].as_str()).collect();
    assert_eq!(steps, ["proposed", "confirmed", "permitted", "sent", "accepted", "done"]);
    // After its end: the artifact is not to be had, receipts change nothing, and nothing is sent again.
    assert_eq!(fetch(&running, &vehicle, &sha256, "Range: bytes=0-9\r\n").await.status, 404);
    let late = Outcome::Refused(Some(RefuseReason::Unhealthy));
    assert_eq!(receipt(&running, &vehicle, head, late).await.status, 200);
    assert_eq!(self::order(&running, &rollout).await["state"], json!("done"));
    assert_eq!(commands(&running, &vehicle).await, []);
    let downloads = running.server.app().exchange.downloads();
    assert_eq!((downloads.dropped().get("artifact.unknown"), downloads.difference()), (Some(&2), 0));
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_for_this_owner_by_a_registered_key_is_not_stored() {
    let (running, eve, _) = two_engineers().await;
    let good = policy(1);
    let stranger = draft(ArtifactKind::Policy, 1).sign(b"", &Ed25519Signer::new(&[9; 32])).expect("content");
    let foreign = sign(&Draft { tenant: TenantId(2), ..draft(ArtifactKind::Policy, 1) }, b"");
    let mut damaged = good.clone();
    damaged[120] ^= 1;
    let mut swapped = good.clone();
    // The content of another policy under the old signature.
    swapped[8] = 2;
    let zero = outrider_wire::ArtifactHead {
        kind: ArtifactKind::Policy,
        tenant: TENANT,
        version: 1,
        made_at: NOW,
        platform: None,
        vehicle: None,
        key: Sha256::digest(SigningKey::from_bytes(&SIGNER).verifying_key().to_bytes())[..8]
            .try_into()
            .expect("eight bytes"),
    };
    let emit = |payload: &[u8]| {
        let mut out = vec![0; outrider_wire::Artifact::frame_bytes(payload.len())];
        let signer = SigningKey::from_bytes(&SIGNER);
        outrider_wire::Artifact::emit(&zero, payload, &Key(&signer), &mut out).expect("it fits");
        out
    };
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("nothing", Vec::new(), 422, "artifact.frame"),
        ("unknown key", stranger, 422, "artifact.unknown_key"),
        ("wrong tenant", foreign, 422, "artifact.wrong_tenant"),
        ("damaged", damaged, 422, "artifact.signature"),
        ("another kind", swapped, 422, "artifact.signature"),
        ("cut", good[..good.len() - 1].to_vec(), 422, "artifact.frame"),
        ("no policy", emit(b"no policy"), 422, "artifact.payload"),
        ("too long", vec![0; (8 << 20) + 1], 413, "body"),
    ];
    for (name, bytes, status, code) in cases {
        let answer = upload(&eve, &bytes).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{name}");
    }
    let mut seed = outrider_types::Seed::new(3);
    for round in 0..200usize {
        // Random bytes, and a good artifact with a few of its bytes changed.
        let mut bytes = if round % 2 == 0 { vec![0; round] } else { good.clone() };
        let changes = if round % 2 == 0 { bytes.len() } else { 1 + round % 5 };
        for _ in 0..changes {
            let place = usize::try_from(seed.next_u64()).unwrap_or(0) % bytes.len().max(1);
            bytes[place] ^= u8::try_from(seed.next_u64() & 0xFF).expect("a byte") | 1;
        }
        if bytes != good {
            assert_eq!(upload(&eve, &bytes).await.status, 422, "round {round}");
        }
    }
    assert_eq!(running.admin.get("/api/v1/artifacts").await.json()["total"], json!(0));
    let files = std::fs::read_dir(running.folder.path().join("artifacts")).expect("a folder").count();
    assert_eq!(files, 0, "no bytes of it stay");
    // A key that is withdrawn takes its artifacts with it, those that are stored included.
    assert_eq!(upload(&eve, &good).await.status, 200);
    let app = running.server.app();
    let key = app.store.artifact_keys(app.scope()).await.expect("they are read")[0].shown.key_id.clone();
    app.store.withdraw_artifact_key(app.scope(), &key, "cli").await.expect("it is withdrawn");
    assert_eq!(upload(&eve, &policy(2)).await.code(), "artifact.unknown_key");
    let vehicle = running.vehicle(1).await;
    let body = json!({"sha256": hex(&Sha256::digest(&good)), "vehicle_ids": [vehicle.id.to_string()], "reason": "x"});
    assert_eq!(eve.post("/api/v1/rollouts", body).await.code(), "artifact.unknown_key");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_vehicle_of_an_order_reads_the_artifact_and_only_in_ranges() {
    let (running, eve, ben) = two_engineers().await;
    let (vehicle, other) = (running.vehicle(1).await, running.vehicle(2).await);
    let artifact = policy(1);
    let sha256 = hex(&Sha256::digest(&artifact));
    ordered(&running, (&eve, &ben), &artifact, &vehicle).await;
    assert_eq!(fetch(&running, &vehicle, &sha256, "Range: bytes=0-9\r\n").await.status, 404, "not told yet");
    assert_eq!(commands(&running, &vehicle).await.len(), 1);
    let whole = artifact.len();
    let cases: [(String, u16, usize); 8] = [
        ("Range: bytes=0-9\r\n".to_owned(), 206, 10),
        (format!("Range: bytes={}-{}\r\n", whole - 1, whole + 500), 206, 1),
        (format!("Range: bytes={whole}-{}\r\n", whole + 9), 416, 0),
        ("Range: bytes=18446744073709551610-18446744073709551614\r\n".to_owned(), 416, 0),
        (String::new(), 400, 0),
        ("Range: bytes=0-\r\n".to_owned(), 400, 0),
        ("Range: bytes=-5\r\n".to_owned(), 400, 0),
        ("Range: bytes=0-1,4-5\r\n".to_owned(), 400, 0),
    ];
    for (range, status, bytes) in cases {
        let answer = fetch(&running, &vehicle, &sha256, &range).await;
        assert_eq!(answer.status, status, "{range}");
        assert!(status != 206 || answer.body.len() == bytes, "{range}");
    }
    let range = "Range: bytes=0-9\r\n";
    let theirs = fetch(&running, &other, &sha256, range).await;
    let nothing = fetch(&running, &other, &"0".repeat(64), range).await;
    assert_eq!((theirs.status, nothing.status), (404, 404), "another vehicle's order");
    assert_eq!(theirs.body, nothing.body, "not even whether it exists");
    for path in ["..%2fcases.sqlite", "../cases.sqlite", "", "x/y"] {
        assert_eq!(fetch(&running, &vehicle, path, range).await.status, 404, "{path}");
    }
    // A vehicle that is suspended reads nothing any more.
    let path = format!("/api/v1/vehicles/{}/suspend", vehicle.id);
    assert_eq!(running.admin.post(&path, json!({"reason": "stolen"})).await.status, 200);
    assert_eq!(fetch(&running, &vehicle, &sha256, range).await.status, 403);
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_names_vehicles_that_the_artifact_is_for() {
    let (running, eve, ben) = two_engineers().await;
    let (vehicle, other) = (running.vehicle(1).await, running.vehicle(2).await);
    let only = sign(&Draft { vehicle: Some(other.id), ..draft(ArtifactKind::Policy, 1) }, b"");
    let platform = sign(&Draft { platform: Some("P2"), ..draft(ArtifactKind::Policy, 1) }, b"");
    let fine = sign(&Draft { platform: Some("P1"), ..draft(ArtifactKind::Policy, 2) }, b"");
    for artifact in [&only, &platform, &fine] {
        assert_eq!(upload(&eve, artifact).await.status, 200);
    }
    let try_it = async |artifact: &[u8], more: Value| {
        let mut body = json!({"sha256": hex(&Sha256::digest(artifact)), "reason": "x"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let answer = eve.post("/api/v1/rollouts", body).await;
        let text = if answer.status == 200 { String::new() } else { answer.json()["message"].to_string() };
        (answer.status, text)
    };
    let named = |id: VehicleId| json!({"vehicle_ids": [id.to_string()]});
    assert!(try_it(&only, named(vehicle.id)).await.1.contains("is for vehicle"));
    assert!(try_it(&platform, named(vehicle.id)).await.1.contains("is for platform"));
    assert!(try_it(&fine, named(VehicleId([77; 16]))).await.1.contains("not registered"));
    assert_eq!(try_it(&fine, json!({})).await.0, 422);
    assert_eq!(
        try_it(&fine, json!({"platform": "P1", "vehicle_ids": [vehicle.id.to_string()]})).await.0,
        422
    );
    assert_eq!(try_it(&fine, json!({"platform": "P3"})).await.0, 422, "nobody is of it");
    assert_eq!(try_it(&[0; 3], named(vehicle.id)).await.0, 404, "it is not stored");
    // Of a platform everybody who can.
    let body = json!({"sha256": hex(&Sha256::digest(&fine)), "platform": "P1", "reason": "all"});
    let rollout = eve.post("/api/v1/rollouts", body).await.json();
    assert_eq!(rollout["vehicles"], json!(2));
    assert_eq!(
        decide(&ben, &rollout, "confirm").await.json()["states"],
        json!([{"state": "permitted", "orders": 2}])
    );
    // The vehicle takes it back: the version is used up, for the cloud, too.
    let (head, _) = commands(&running, &vehicle).await.remove(0);
    let unhealthy = Outcome::Refused(Some(RefuseReason::Unhealthy));
    assert_eq!(receipt(&running, &vehicle, &head, unhealthy).await.status, 200);
    let (status, text) = try_it(&fine, named(vehicle.id)).await;
    assert!(status == 422 && text.contains("has tried version 2"), "{status} {text}");
    assert_eq!(try_it(&fine, named(other.id)).await.0, 200, "the other one has not");
    let configuration =
        running.admin.get(&format!("/api/v1/vehicles/{}/configuration", vehicle.id)).await.json();
    assert_eq!(configuration["orders"][0]["reasons"], json!(["unhealthy"]));
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_the_emergency_stop_hold_for_both_kinds_of_command() {
    let (running, eve, ben) = two_engineers().await;
    let vehicle = running.vehicle(1).await;
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(1..=3)).await.status, 200);
    running.settle().await;
    // An update in flight holds a request for evidence up, and the other way round.
    let first = ordered(&running, (&eve, &ben), &policy(1), &vehicle).await;
    let evidence = crate::uplink::request_evidence(&running, &vehicle, 1).await;
    assert_eq!(evidence["reasons"], json!(["command_in_flight"]));
    let cancelled = decide(&eve, &first, "cancel").await.json();
    assert_eq!(cancelled["states"], json!([{"state": "cancelled", "orders": 1}]));
    assert_eq!(commands(&running, &vehicle).await, [], "what was withdrawn does not leave");
    assert_eq!(decide(&eve, &first, "cancel").await.status, 409, "once");
    let evidence = crate::uplink::request_evidence(&running, &vehicle, 1).await;
    assert_eq!(evidence["state"], json!("permitted"));
    assert_eq!(upload(&eve, &policy(2)).await.status, 200);
    let second = propose(&eve, &policy(2), &vehicle).await;
    decide(&ben, &second, "confirm").await;
    assert_eq!(order(&running, &second).await["reasons"], json!(["command_in_flight"]));
    // The stop voids what waits; nothing is permitted, sent, or given out while it is set.
    let third_vehicle = running.vehicle(3).await;
    let third = ordered(&running, (&eve, &ben), &policy(3), &third_vehicle).await;
    let fourth_vehicle = running.vehicle(4).await;
    let fourth = ordered(&running, (&eve, &ben), &policy(4), &fourth_vehicle).await;
    let (head, told) = commands(&running, &fourth_vehicle).await.remove(0);
    assert_eq!(receipt(&running, &fourth_vehicle, &head, Outcome::Accepted).await.status, 200);
    assert_eq!(eve.post("/api/v1/stop", json!({"reason": "wrong policy"})).await.status, 200);
    assert_eq!(order(&running, &third).await["state"], json!("expired"));
    assert_eq!(order(&running, &fourth).await["state"], json!("accepted"), "the vehicle has it");
    let piece = fetch(&running, &fourth_vehicle, &hex(&told.sha256), "Range: bytes=0-9\r\n").await;
    assert_eq!((piece.status, piece.code().as_str()), (503, "stopped"), "it waits, it is not refused");
    assert_eq!(commands(&running, &third_vehicle).await, []);
    let during = propose(&eve, &policy(3), &third_vehicle).await;
    decide(&ben, &during, "confirm").await;
    assert_eq!(order(&running, &during).await["reasons"], json!(["stopped"]));
    for by in [&eve, &ben] {
        assert_eq!(by.post("/api/v1/stop/release", json!({"reason": "withdrawn"})).await.status, 200);
    }
    assert_eq!(
        fetch(&running, &fourth_vehicle, &hex(&told.sha256), "Range: bytes=0-9\r\n").await.status,
        206
    );
    assert_eq!(
        decide(&eve, &fourth, "cancel").await.status,
        409,
        "a vehicle that obeys cannot be called back"
    );
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_leaves_states_that_go_on_and_proposals_lapse() {
    let (running, eve, ben) = two_engineers().await;
    let (vehicle, other) = (running.vehicle(1).await, running.vehicle(2).await);
    let permitted = ordered(&running, (&eve, &ben), &policy(1), &vehicle).await;
    // Confirmed, as by a program that was killed before anything was judged.
    let confirmed = propose(&eve, &policy(1), &other).await;
    let store = &running.server.app().store;
    let decision = outrider_server::store::Decision { by: "ben", reason: "reviewed" };
    let id = confirmed["id"].as_str().expect("an id");
    assert_eq!(
        store.confirm_rollout(running.server.app().scope(), id, decision).await.expect("it is").len(),
        1
    );
    let waiting = propose(&eve, &policy(1), &other).await;
    let Running { world, server, admin: _, folder } = running;
    server.shutdown().await;
    let server = world.start(folder.path()).await;
    let mut admin = Browser::new(server.api_addr);
    assert_eq!(admin.login("admin", crate::harness::PASSWORD).await.status, 200);
    let mut running = Running { world, server, admin, folder };
    for _ in 0..400 {
        if order(&running, &confirmed).await["state"] != json!("confirmed") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(order(&running, &confirmed).await["state"], json!("permitted"));
    assert_eq!(
        commands(&running, &vehicle).await.len(),
        1,
        "what was signed before the crash leaves after it"
    );
    assert_eq!(order(&running, &permitted).await["state"], json!("sent"));
    assert_eq!(commands(&running, &vehicle).await.len(), 1, "and again, until the vehicle answers");
    running.world.wait_seconds(86_401);
    // A day ends sessions, too.
    assert_eq!(running.admin.login("admin", crate::harness::PASSWORD).await.status, 200);
    running.server.app().updates.sweep().await.expect("it sweeps");
    assert_eq!(order(&running, &permitted).await["state"], json!("expired"));
    assert_eq!(commands(&running, &vehicle).await, []);
    assert_eq!(order(&running, &waiting).await["state"], json!("proposed"), "a proposal waits a week");
    running.world.wait_seconds(7 * 86_400);
    assert_eq!(running.admin.login("admin", crate::harness::PASSWORD).await.status, 200);
    let mut ben = Browser::new(running.server.api_addr);
    assert_eq!(ben.login("ben", crate::harness::PASSWORD).await.status, 200);
    assert_eq!(decide(&ben, &waiting, "confirm").await.status, 409, "its time is over");
    running.server.app().updates.sweep().await.expect("it sweeps");
    assert_eq!(order(&running, &waiting).await["state"], json!("expired"));
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_names_every_reason_against_a_confirmed_order() {
    let (running, eve, ben) = two_engineers().await;
    let mute = TestVehicle::unregistered(5);
    let entry = outrider_server::store::VehicleEntry { capabilities: Vec::new(), ..mute.entry() };
    running.server.register(vec![entry]).await.expect("it is registered");
    let artifact = policy(1);
    assert_eq!(upload(&eve, &artifact).await.status, 200);
    let rollout = propose(&eve, &artifact, &mute).await;
    // The file is damaged, and the proposer's account disabled, between the two persons.
    let file = running.folder.path().join("artifacts").join(hex(&Sha256::digest(&artifact)));
    std::fs::write(file, b"torn").expect("it writes");
    let disable = json!({"disabled": true});
    assert_eq!(running.admin.send("PATCH", "/api/v1/users/eve", Some(disable)).await.status, 200);
    assert_eq!(decide(&ben, &rollout, "confirm").await.status, 200);
    let order = order(&running, &rollout).await;
    assert_eq!(order["state"], json!("refused_by_gate"));
    assert_eq!(order["reasons"], json!(["requester_disabled", "not_capable", "unknown_artifact"]));
    let app = running.server.app();
    assert!(app.store.vehicle_entry(app.scope(), mute.id).await.is_ok());
    running.server.shutdown().await;
}
