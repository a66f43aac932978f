//! The vehicle's own gateway and MQTT client against the edge: short frames, proofs, commands, resumption.

use std::time::Duration;

use outrider_agent::io::https::LinkFiles;
use outrider_agent::io::mqtt::client::Identity;
use outrider_agent::io::mqtt::{MqttLink, TlsDial, Version};
use outrider_agent::runtime::CloudLink as _;
use outrider_gateway::spool::{Boot, Spool, SpoolConfig};
use outrider_gateway::uplink::{Keys, Uplink, UplinkConfig};
use outrider_gateway::{
    Ed25519Signer, Ed25519Verifier, FieldValue, Gateway, MemoryStorage, SecurityEvent, fold,
};
use outrider_types::{BootEpoch, Lane, Seed, VehicleMicros};
use outrider_wire::Reply;
use outrider_wire::catalogue::{event, field};

use crate::harness::{Running, TENANT, TestVehicle, running};

const SECOND: u64 = 1_000_000;

struct Vehicle {
    gateway: Gateway<MemoryStorage>,
    link: MqttLink<TlsDial>,
    batch: Ed25519Signer,
    ack: Ed25519Verifier,
}

impl Vehicle {
    fn new(running: &Running, vehicle: &TestVehicle, version: Version) -> Self {
        let files = running.server.ca().issue_vehicle(vehicle.id).expect("a certificate is issued");
        let ca = running.server.ca().certificate();
        let files = LinkFiles {
            ca: ca.as_bytes(),
            certificate: files.certificate.as_bytes(),
            key: files.key.as_bytes(),
        };
        let dial =
            TlsDial::new(&format!("mqtts://{}", running.server.mqtt_addr.expect("it takes frames")), &files)
                .expect("own files");
        let identity = Identity {
            version,
            client_id: vehicle.id.to_string(),
            up: "v1/up".to_owned(),
            down: "v1/down".to_owned(),
            keep_alive_s: 60,
        };
        let boot = Boot::in_memory(BootEpoch(4), 1, &[9; 32]);
        let (spool, _) = Spool::open(MemoryStorage::new(), SpoolConfig::default(), boot).expect("a medium");
        let uplink = Uplink::new(UplinkConfig::new(TENANT, vehicle.id, 1), Seed::new(5)).expect("memory");
        let windows = fold::FoldConfig { window_us: [0; 3], ..fold::FoldConfig::default() };
        Self {
            gateway: Gateway::new(windows, spool, uplink),
            link: MqttLink::new(dial, identity, false, Seed::new(1)).with_patience(Duration::from_secs(20)),
            batch: Ed25519Signer::new(&vehicle.key.to_bytes()),
            ack: Ed25519Verifier::new(&running.server.keys().ack.public()).expect("a real key"),
        }
    }

    /// Sends a critical event at a second of the boot; returns the rows freed.
    fn critical(&mut self, at: u64) -> u64 {
        let now = VehicleMicros(at * SECOND);
        let event = SecurityEvent::new(event::DIAG_SECURITY_ACCESS_DENIED, now)
            .with(field::CAN_ID, FieldValue::Uint(at));
        self.gateway.receive(SecurityEvent { lane: Lane::Critical, ..event }, now);
        let keys = Keys { batch: &self.batch, ack: &self.ack };
        let report = self.gateway.exchange(&mut self.link, keys, now, 8);
        assert!(report.error.is_none(), "{:?}", report.error);
        report.freed
    }
}

async fn quarantined(running: &Running) -> String {
    running.user("engineer", "engineer").await.get("/api/v1/quarantine").await.json().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_in_short_frames_are_stored_freed_and_proved() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let mut machine = Vehicle::new(&running, &vehicle, Version::V5);
    tokio::task::block_in_place(|| {
        for at in 1..=10 {
            assert_eq!(machine.critical(at), 1);
        }
        // The first opened the session; then each went in a short frame.
        assert_eq!(machine.gateway.uplink_counters().short_frames, 9);
        assert_eq!(machine.gateway.uplink().unproved_rows(), 9);
        assert_eq!(machine.critical(901), 1);
        assert_eq!((machine.gateway.uplink().unproved_rows(), machine.link.state().sessions), (0, 1));
    });
    running.settle().await;
    assert_eq!(running.world.lake.ids().len(), 11);
    assert!(!quarantined(&running).await.contains("short"), "what the vehicle proves fits");
    drop(machine);
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_version_sends_batches_and_gets_its_commands_unasked() {
    for version in [Version::V3, Version::V5] {
        let running = running().await;
        let vehicle = running.vehicle(1).await;
        let mut machine = Vehicle::new(&running, &vehicle, version);
        tokio::task::block_in_place(|| {
            assert_eq!(machine.critical(1) + machine.critical(2), 2);
            assert!(machine.link.tells_commands());
        });
        running.settle().await;
        crate::uplink::request_evidence(&running, &vehicle, 2).await;
        let told = tokio::task::block_in_place(|| {
            for _ in 0..2000 {
                if let Some(reply) = machine.link.unasked().pop() {
                    return Reply::parse(&reply).map(|reply| reply.commands().count());
                }
            }
            panic!("no command came");
        });
        let shorts = u64::from(version == Version::V5);
        assert_eq!((told, machine.gateway.uplink_counters().short_frames), (Ok(1), shorts));
        running.server.shutdown().await;
    }
}
