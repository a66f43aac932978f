//! Workers, correlators and API in processes of their own say what one process says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outrider_model::{EventLog, LogOffset, OwnerEpoch, Partition};
use outrider_server::edge::{self, RunningEdge};
use outrider_server::hub::Resume;
use outrider_server::pipeline::PipelineError;
use outrider_server::port::Ports;
use outrider_server::roles::{Logs, RunningRole, start_correlators, start_workers};
use outrider_server::server::{self, Backends, RuleText, RunningServer, ServerConfig, StartError};
use outrider_server::store::{AlertFilter, AlertOrder, FleetStore as _, Scope, SqlStore};
use outrider_types::{IngestTime, Seed};

use crate::client::{exchange, vehicle_stream};
use crate::harness::{MemoryLog, NOW, RULE, SeededRandom, TENANT, TestVehicle, World, settle};

/// Beside the rule on single vehicles, one over several.
const FLEET: &str = "\
---
title: Security access denied on several vehicles
id: 22222222-2222-4222-8222-222222222222
status: test
correlation:
  type: value_count
  rules: [denied]
  group-by: [model_line]
  timespan: 7d
  condition:
    field: vehicle_id
    gte: 3
generate: true
level: critical
tags:
  - unr155.18.3
";
const EVENT_PARTITIONS: u16 = 4;
const PARTS: u16 = 2;
const VEHICLES: u8 = 6;

fn config(folder: &Path) -> ServerConfig {
    let mut config = ServerConfig::loopback(folder);
    config.rules = vec![RuleText { name: "roles.yml".to_owned(), text: format!("{RULE}{FLEET}") }];
    config.pipeline.linger = Duration::ZERO;
    config.pipeline.idle = Duration::from_millis(10);
    config.pipeline.checkpoint_every = Duration::from_millis(20);
    config
}

fn ports(world: &World) -> Ports {
    Ports {
        clock: world.clock.clone(),
        random: Arc::new(SeededRandom(Mutex::new(Seed::new(7)))),
        crypto: Arc::new(rustls::crypto::ring::default_provider()),
    }
}

fn vehicles() -> Vec<TestVehicle> {
    (1..=VEHICLES).map(TestVehicle::unregistered).collect()
}

/// An installation whose roles are apart.
struct Cluster {
    world: World,
    sightings: Arc<MemoryLog>,
    folder: tempfile::TempDir,
}

impl Cluster {
    async fn new() -> Self {
        let cluster = Self {
            world: World::of(usize::from(EVENT_PARTITIONS)),
            sightings: Arc::new(MemoryLog::of(usize::from(PARTS))),
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        crate::postgres::place(cluster.folder.path()).await;
        let store = SqlStore::of_folder(cluster.folder.path()).await.expect("the database opens");
        let entries: Vec<_> = vehicles().iter().map(TestVehicle::entry).collect();
        let scope = Scope { tenant: TENANT, now: NOW };
        store.put_vehicles(scope, &entries).await.expect("they are registered");
        store.close().await;
        cluster
    }

    fn logs(&self) -> Logs {
        Logs { events: self.world.log.clone(), sightings: self.sightings.clone() }
    }

    fn config(&self) -> ServerConfig {
        config(self.folder.path())
    }

    async fn workers(&self) -> RunningRole {
        let world = self.world.clone();
        let started =
            start_workers(self.config(), ports(&self.world), self.logs(), Arc::new(move || world.sink()));
        started.await.expect("the workers start")
    }

    async fn correlators(&self) -> RunningRole {
        let started = start_correlators(self.config(), ports(&self.world), self.logs());
        started.await.expect("the correlators start")
    }

    async fn edge(&self) -> RunningEdge {
        let started = edge::start(self.config(), ports(&self.world), self.world.log.clone());
        started.await.expect("the edge starts")
    }

    /// Starts a process with API, and the rest of the roles if it works.
    async fn server(&self, works: bool) -> Result<RunningServer, StartError> {
        let backends = Backends {
            log: self.world.log.clone(),
            sink: works.then(|| self.world.sink()),
            history: Arc::new(self.world.lake.clone()),
        };
        server::start(self.config(), ports(&self.world), backends).await
    }

    /// Waits until everything is worked off, counted and written down.
    async fn settle(&self, api: &RunningServer, correlators: &[&RunningRole]) {
        settle(api, &self.world).await;
        let ends: Vec<LogOffset> = (0..PARTS)
            .map(|part| self.sightings.end(Partition(part)).expect("memory does not fail"))
            .collect();
        for _ in 0..2000 {
            let mut done = BTreeSet::new();
            for correlator in correlators {
                for (part, status) in correlator.owners().statuses() {
                    if status.checkpoint >= ends[usize::from(part.0)] {
                        done.insert(part);
                    }
                }
            }
            if done.len() == usize::from(PARTS) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("a correlator stands still");
    }
}

async fn send(addr: std::net::SocketAddr, api: &RunningServer, vehicle: &TestVehicle, frame: &[u8]) {
    let files = api.ca().issue_vehicle(vehicle.id).expect("a certificate");
    let stream = vehicle_stream(addr, Some(&files), api.ca().certificate()).await;
    let answer = exchange(stream.expect("it is let in"), "POST /v1/uplink HTTP/1.1\r\n", frame).await;
    assert_eq!(answer.status, 200);
}

/// What an analyst sees of all alerts, but for identities and what counts writes.
async fn alerts(server: &RunningServer) -> Vec<serde_json::Value> {
    let app = server.app();
    let filter = AlertFilter::default();
    let page = app.store.alerts(app.scope(), &filter, (AlertOrder::LastAt, false), None, 500).await;
    let value = |alert| {
        let mut value = serde_json::to_value(alert).expect("an alert is JSON");
        let object = value.as_object_mut().expect("an object");
        ["id", "revision", "detected_at"].iter().for_each(|name| _ = object.remove(*name));
        value
    };
    let mut values: Vec<_> = page.expect("alerts are listed").items.iter().map(value).collect();
    values.sort_by_key(ToString::to_string);
    values
}

/// Waits until the live stream has told of every alert as it stands; none is told again as it was before.
async fn hears_every_alert(server: &RunningServer, since: u64) {
    let app = server.app();
    let filter = AlertFilter::default();
    let page = app.store.alerts(app.scope(), &filter, (AlertOrder::LastAt, false), None, 500).await;
    let revision = |alert: &serde_json::Value| alert["revision"].as_u64().expect("a revision");
    let expected: BTreeMap<String, u64> =
        page.expect("they are listed").items.into_iter().map(|alert| (alert.id, alert.revision)).collect();
    assert!(!expected.is_empty());
    let mut told = BTreeMap::new();
    for _ in 0..2000 {
        let Resume::Messages(messages) = app.hub.after(since) else { panic!("the ring is large enough") };
        told.clear();
        for message in messages.iter().filter(|message| message.event == "alert") {
            let alert: serde_json::Value = serde_json::from_str(&message.data).expect("an alert is JSON");
            let before = told.insert(alert["id"].as_str().expect("an id").to_owned(), revision(&alert));
            assert!(before < Some(revision(&alert)), "{alert} after {before:?}");
        }
        if told == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("told {told:?} of {expected:?}");
}

/// Batches of a round, of all vehicles.
fn batches(round: u64) -> impl Iterator<Item = (TestVehicle, Vec<u8>)> {
    vehicles().into_iter().map(move |vehicle| {
        let batch = vehicle.batch(round * 3 + 1..=round * 3 + 3);
        (vehicle, batch)
    })
}

/// What one process with all roles says of so many rounds.
async fn alone(rounds: u64) -> (Vec<serde_json::Value>, Vec<String>) {
    let cluster = Cluster::new().await;
    let server = cluster.server(true).await.expect("it starts");
    let addr = server.vehicle_addr.expect("it takes frames");
    for round in 0..rounds {
        for (vehicle, batch) in batches(round) {
            send(addr, &server, &vehicle, &batch).await;
        }
    }
    settle(&server, &cluster.world).await;
    let said = alerts(&server).await;
    server.shutdown().await;
    let mut ids = cluster.world.lake.ids();
    ids.sort();
    (said, ids)
}

fn epoch() -> OwnerEpoch {
    OwnerEpoch(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn roles_apart_say_what_one_process_says_while_partitions_move() {
    let cluster = Cluster::new().await;
    let api = cluster.server(false).await.expect("the api starts");
    assert_eq!(api.vehicle_addr, None, "frames are taken elsewhere");
    let heard_from = api.app().hub.latest();
    let edge = cluster.edge().await;
    let (one, two) = (cluster.workers().await, cluster.workers().await);
    let (left, right) = (cluster.correlators().await, cluster.correlators().await);
    let all: Vec<Partition> = (0..EVENT_PARTITIONS).map(Partition).collect();
    all.iter().for_each(|partition| one.owner().acquire(*partition, epoch()));
    (0..PARTS).for_each(|part| left.owner().acquire(Partition(part), epoch()));
    for round in 0..12 {
        for (vehicle, batch) in batches(round) {
            send(edge.vehicle_addr, &api, &vehicle, &batch).await;
        }
        // Partitions go to and fro, in order and by force: a former owner may not know yet.
        let moved = Partition(u16::try_from(round % 4).expect("small"));
        let (from, to) = if round % 8 < 4 { (&one, &two) } else { (&two, &one) };
        let part = Partition(moved.0 % PARTS);
        let (giver, taker) = if round % 4 < 2 { (&left, &right) } else { (&right, &left) };
        if round % 3 == 0 {
            to.owner().acquire(moved, epoch());
            taker.owner().acquire(part, epoch());
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        let (from, giver) = (from.owner(), giver.owner());
        tokio::task::spawn_blocking(move || {
            from.hand_over(&[moved]);
            giver.lose(&[part]);
        })
        .await
        .expect("it gives up");
        to.owner().acquire(moved, epoch());
        taker.owner().acquire(part, epoch());
    }
    cluster.settle(&api, &[&left, &right]).await;
    let (said, mut ids) = (alerts(&api).await, cluster.world.lake.ids());
    ids.sort();
    let (expected, rows) = Box::pin(alone(12)).await;
    assert_eq!(ids, rows, "every row once");
    assert_eq!(said, expected);
    assert!(said.iter().any(|alert| alert["vehicle_count"] == 6), "the fleet's alert: {said:?}");
    hears_every_alert(&api, heard_from).await;
    // The api has what the workers wrote down of each vehicle.
    let vehicle = vehicles().remove(0).id;
    let lanes = api.app().pipeline.with_ingest(|worker| worker.lanes(vehicle));
    assert_eq!(lanes.iter().map(|lane| lane.contiguous).max(), Some(36));
    for role in [one, two, left, right] {
        role.shutdown().await;
    }
    edge.shutdown().await;
    api.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_began_correlators_go_on_with_and_it_does_not_come_back() {
    let cluster = Cluster::new().await;
    let server = cluster.server(true).await.expect("it starts");
    let addr = server.vehicle_addr.expect("it takes frames");
    // Two vehicles are one too few for the fleet's rule.
    for (vehicle, batch) in batches(0).take(2) {
        send(addr, &server, &vehicle, &batch).await;
    }
    settle(&server, &cluster.world).await;
    server.shutdown().await;
    let api = cluster.server(false).await.expect("the api starts");
    let edge = cluster.edge().await;
    let (workers, correlators) = (cluster.workers().await, cluster.correlators().await);
    (0..EVENT_PARTITIONS).for_each(|partition| workers.owner().acquire(Partition(partition), epoch()));
    (0..PARTS).for_each(|part| correlators.owner().acquire(Partition(part), epoch()));
    let (vehicle, batch) = batches(0).nth(2).expect("six");
    send(edge.vehicle_addr, &api, &vehicle, &batch).await;
    cluster.settle(&api, &[&correlators]).await;
    let said = alerts(&api).await;
    let fleet = said.iter().find(|alert| alert["rule_id"] == "22222222-2222-4222-8222-222222222222");
    assert_eq!(fleet.expect("the third vehicle completes it")["vehicle_count"], 3);
    workers.shutdown().await;
    correlators.shutdown().await;
    edge.shutdown().await;
    api.shutdown().await;
    let back = cluster.server(true).await;
    assert!(matches!(back.err(), Some(StartError::Pipeline(PipelineError::Correlators))));
}

/// Asks for counters with a token, over a connection of its own.
async fn scrape(addr: Option<std::net::SocketAddr>, head: &str, token: &str) -> (u16, String) {
    let stream = tokio::net::TcpStream::connect(addr.expect("it shows counters")).await.expect("it listens");
    let answer = exchange(stream, &format!("{head}Authorization: Bearer {token}\r\n"), b"").await;
    (answer.status, String::from_utf8(answer.body).expect("text"))
}

/// Sums the series of a metric that carry a label.
fn sum(page: &str, metric: &str, label: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with(metric) && line.contains(label));
    lines.map(|line| line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number")).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_process_shows_its_counters_and_none_falls_when_partitions_move() {
    let cluster = Cluster::new().await;
    let api = cluster.server(false).await.expect("the api starts");
    let loopback = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    let config = || ServerConfig { monitor: loopback, ..cluster.config() };
    let (ports, world) = (|| ports(&cluster.world), cluster.world.clone());
    let sinks: outrider_server::roles::Sinks = Arc::new(move || world.sink());
    let edge = edge::start(config(), ports(), cluster.world.log.clone()).await.expect("the edge starts");
    let one = start_workers(config(), ports(), cluster.logs(), sinks.clone()).await.expect("a worker");
    let two = start_workers(cluster.config(), ports(), cluster.logs(), sinks).await.expect("another");
    assert_eq!(two.monitor_addr, None, "nobody asked for it");
    let left = start_correlators(config(), ports(), cluster.logs()).await.expect("a correlator");
    (0..EVENT_PARTITIONS).for_each(|partition| one.owner().acquire(Partition(partition), epoch()));
    (0..PARTS).for_each(|part| left.owner().acquire(Partition(part), epoch()));
    for (vehicle, batch) in batches(0) {
        send(edge.vehicle_addr, &api, &vehicle, &batch).await;
    }
    cluster.settle(&api, &[&left]).await;
    let token = std::fs::read_to_string(cluster.folder.path().join("secrets/metrics.token"));
    let token = token.expect("a token was drawn").trim().to_owned();
    let get = "GET /metrics HTTP/1.1\r\n";
    for wrong in ["", "x", &token[1..], &format!("{token}0")] {
        assert_eq!(scrape(one.monitor_addr, get, wrong).await, (401, String::new()));
    }
    assert_eq!(scrape(one.monitor_addr, "GET /livez HTTP/1.1\r\n", "").await, (200, "ok\n".to_owned()));
    assert_eq!(scrape(one.monitor_addr, "POST /metrics HTTP/1.1\r\n", &token).await.0, 405);
    assert_eq!(scrape(one.monitor_addr, "GET /api/v1/health HTTP/1.1\r\n", &token).await.0, 404);
    let page = |addr| {
        let token = &token;
        async move {
            let (status, page) = scrape(addr, get, token).await;
            assert_eq!(status, 200);
            page
        }
    };
    let events = f64::from(VEHICLES) * 3.0;
    let edge_page = page(edge.monitor_addr).await;
    let frames = sum(&edge_page, "outrider_stage_passed_units_total", "stage=\"uplink\"");
    assert!((frames - f64::from(VEHICLES)).abs() < 0.5, "{edge_page}");
    let before = page(one.monitor_addr).await;
    for (metric, label, expected) in [
        ("outrider_stage_passed_units_total", "stage=\"ingest_events\"", events),
        ("outrider_stage_passed_units_total", "stage=\"lake\"", events),
        ("outrider_stage_unbalanced", "", 0.0),
        ("outrider_owned_partitions", "", f64::from(EVENT_PARTITIONS)),
        ("outrider_log_lag_records", "", 0.0),
        ("outrider_worker_stuck", "", 0.0),
    ] {
        let seen = sum(&before, metric, label);
        assert!((seen - expected).abs() < 0.5, "{metric} {seen}, not {expected}: {before}");
    }
    let said = page(left.monitor_addr).await;
    assert!(sum(&said, "outrider_detect_findings_total", "") >= 1.0, "{said}");
    assert!(sum(&said, "outrider_stage_passed_units_total", "stage=\"sightings\"") >= 1.0, "{said}");
    // Half of the partitions go elsewhere; what was counted on them stays counted.
    let (gone, owner) = ([Partition(0), Partition(1)], one.owner());
    tokio::task::spawn_blocking(move || owner.hand_over(&gone)).await.expect("it gives up");
    gone.iter().for_each(|partition| two.owner().acquire(*partition, epoch()));
    let after = page(one.monitor_addr).await;
    let counted = sum(&after, "outrider_stage_passed_units_total", "stage=\"ingest_events\"");
    assert!((counted - events).abs() < 0.5, "{after}");
    assert!(
        sum(&after, "outrider_worker_busy_seconds_total", "")
            >= sum(&before, "outrider_worker_busy_seconds_total", "")
    );
    assert!((sum(&after, "outrider_owned_partitions", "") - 2.0).abs() < 0.5, "{after}");
    for role in [one, two, left] {
        role.shutdown().await;
    }
    edge.shutdown().await;
    api.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_sightings_that_nobody_can_read_stop_nothing() {
    let cluster = Cluster::new().await;
    let api = cluster.server(false).await.expect("the api starts");
    let correlators = cluster.correlators().await;
    for part in (0..PARTS).map(Partition) {
        for bytes in [&b""[..], b"no sightings", &[1; 300], &[0xff; 15]] {
            cluster.sightings.append(part, IngestTime(NOW), &[bytes], &[]).expect("memory does not fail");
        }
        correlators.owner().acquire(part, epoch());
    }
    cluster.settle(&api, &[&correlators]).await;
    for status in correlators.owners().statuses().into_values() {
        assert_eq!((status.trouble, status.batches.difference()), (None, 0));
        assert_eq!(status.batches.quarantined().values().sum::<u64>(), 4);
    }
    correlators.shutdown().await;
    api.shutdown().await;
}
