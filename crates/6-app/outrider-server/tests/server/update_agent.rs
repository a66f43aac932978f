//! The vehicle's own program against the server: order, fetch, trial, receipt.

use outrider_agent::io::https::{HttpsLink, LinkFiles};
use outrider_agent::model_file::ModelTrust;
use outrider_agent::remote::{ArtifactTrust, ConfigStore, Provisioned, RealDisk, Remote, UpdateSection};
use outrider_agent::runtime::{Vehicle, VehicleKeys, VehicleParts};
use outrider_gateway::spool::{SoftwareAnchor, SpoolConfig};
use outrider_gateway::{Ed25519Signer, MemoryStorage, SecurityEvent, fold};
use outrider_types::{BootEpoch, Lane, Seed, VehicleMicros};
use outrider_wire::catalogue::event;
use serde_json::{Value, json};

use crate::harness::{Running, TENANT, TestVehicle};
use crate::update::{SIGNER, decide, order, policy, propose, two_engineers, upload};

const SECOND: u64 = 1_000_000;

struct Machine {
    vehicle: Vehicle<MemoryStorage>,
    link: HttpsLink,
    at: u64,
    _state: tempfile::TempDir,
}

impl Machine {
    fn new(running: &Running, vehicle: &TestVehicle) -> Self {
        let state = tempfile::tempdir().expect("a temporary folder");
        let keys = VehicleKeys {
            tenant: TENANT,
            vehicle: vehicle.id,
            batch: vehicle.key.to_bytes().into(),
            ack: running.server.keys().ack.public(),
            command: running.server.keys().command.public(),
        };
        let parts = VehicleParts {
            keys,
            storage: MemoryStorage::new(),
            state: state.path(),
            model: &[],
            capture_bytes_max: 1 << 20,
            seed: Seed::new(1),
            floor: BootEpoch(1),
            fold: fold::FoldConfig::default(),
            spool: SpoolConfig::default(),
            anchor: Box::new(SoftwareAnchor::in_memory(0)),
            spool_root: None,
            uplink: |config| config,
            poll_us: SECOND,
        };
        let mut machine = Vehicle::open(parts, VehicleMicros(0)).expect("it opens");
        let signer = Ed25519Signer::new(&SIGNER).public_key();
        let keys = vec![signer.iter().map(|byte| format!("{byte:02x}")).collect()];
        let section = UpdateSection { keys, platform: Some("P1".to_owned()) };
        let trust = ArtifactTrust::new(&section, TENANT, vehicle.id).expect("a key");
        let store = ConfigStore::open(&state.path().join("config"), Box::new(RealDisk)).expect("a folder");
        let remote = Remote::open(store, trust, ModelTrust::default(), Provisioned::default());
        machine.set_remote(remote.expect("writable"), VehicleMicros(0));
        let files = running.server.ca().issue_vehicle(vehicle.id).expect("a certificate");
        let ca = running.server.ca().certificate();
        let files = LinkFiles {
            ca: ca.as_bytes(),
            certificate: files.certificate.as_bytes(),
            key: files.key.as_bytes(),
        };
        let address =
            format!("https://localhost:{}", running.server.vehicle_addr.expect("it takes frames").port());
        let link = HttpsLink::new(&address, &files).expect("own files");
        Self { vehicle: machine, link, at: 1, _state: state }
    }

    /// Lets vehicle and cloud live for some seconds, with an exchange every fifteen.
    fn run(&mut self, running: &Running, seconds: u64) {
        for _ in 0..seconds / 15 {
            self.at += 15;
            running.world.wait_seconds(15);
            let now = VehicleMicros(self.at * SECOND);
            tokio::task::block_in_place(|| {
                self.vehicle.tick(now);
                self.vehicle.exchange(&mut self.link, now);
            });
        }
    }

    fn lane_of_unknown(&self) -> Lane {
        let seen = SecurityEvent::new(event::CAN_UNKNOWN_ID, VehicleMicros(0));
        self.vehicle.gateway().policies().handling(&seen).lane
    }
}

async fn confirmed(running: &Running, version: u64, vehicle: &TestVehicle) -> Value {
    let app = running.server.app();
    // A second pair of people for each rollout would prove nothing more.
    let (eve, ben) = (login(running, "eve").await, login(running, "ben").await);
    assert_eq!(upload(&eve, &policy(version)).await.status, 200);
    let rollout = propose(&eve, &policy(version), vehicle).await;
    assert_eq!(decide(&ben, &rollout, "confirm").await.status, 200);
    assert!(app.updates.judge().await.is_ok());
    rollout
}

async fn login(running: &Running, name: &str) -> crate::client::Browser {
    let mut browser = crate::client::Browser::new(running.server.api_addr);
    assert_eq!(browser.login(name, crate::harness::PASSWORD).await.status, 200);
    browser
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_fetches_tries_and_keeps_a_policy_and_refuses_an_older_one() {
    let (running, _, _) = two_engineers().await;
    let vehicle = running.vehicle(1).await;
    let mut machine = Machine::new(&running, &vehicle);
    machine.run(&running, 30);
    let rollout = confirmed(&running, 5, &vehicle).await;
    machine.run(&running, 30);
    let trial = order(&running, &rollout).await;
    assert_eq!((&trial["state"], machine.lane_of_unknown()), (&json!("accepted"), Lane::Critical));
    machine.run(&running, 120);
    let done = order(&running, &rollout).await;
    assert_eq!(done["state"], json!("done"), "{done}");
    assert_eq!(machine.vehicle.config_state().policy, 5);
    running.settle().await;
    assert!(running.world.lake.types().contains(&"config.applied".to_owned()));
    // The cloud does not know of a version that the vehicle tried under another cloud: the vehicle refuses by itself.
    let stale = TestVehicle { id: vehicle.id, key: vehicle.key.clone() };
    let known = confirmed_below(&running, &stale).await;
    machine.run(&running, 30);
    let refused = order(&running, &known).await;
    assert_eq!(
        (&refused["state"], &refused["reasons"]),
        (&json!("refused_by_vehicle"), &json!(["rollback"]))
    );
    let configuration =
        running.admin.get(&format!("/api/v1/vehicles/{}/configuration", vehicle.id)).await.json();
    assert_eq!(configuration["is_capable"], json!(true));
    assert_eq!(configuration["orders"].as_array().map(Vec::len), Some(2));
    running.server.shutdown().await;
}

/// Orders version 4 past the cloud's own check of what the vehicle tried.
async fn confirmed_below(running: &Running, vehicle: &TestVehicle) -> Value {
    use outrider_server::store::{Decision, NewRollout};
    use sha2::{Digest as _, Sha256};
    let eve = login(running, "eve").await;
    assert_eq!(upload(&eve, &policy(4)).await.status, 200);
    let sha256: String = Sha256::digest(policy(4)).iter().map(|byte| format!("{byte:02x}")).collect();
    let body = json!({"sha256": sha256, "vehicle_ids": [vehicle.id.to_string()], "reason": "older"});
    assert_eq!(eve.post("/api/v1/rollouts", body).await.status, 422, "the cloud knows better");
    let (app, id) = (running.server.app(), "rollout-below");
    let new = NewRollout {
        id: id.to_owned(),
        sha256,
        reason: "older".to_owned(),
        by: "eve".to_owned(),
        lapses: app.scope().now.saturating_add(1_000_000_000),
        orders: vec![("update-below".to_owned(), vehicle.id)],
    };
    app.store.propose_rollout(app.scope(), &new).await.expect("it is written");
    let decision = Decision { by: "ben", reason: "reviewed" };
    app.store.confirm_rollout(app.scope(), id, decision).await.expect("it is confirmed");
    app.updates.judge().await.expect("it is judged");
    json!({"id": id})
}
