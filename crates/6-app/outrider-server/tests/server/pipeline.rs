//! The worker over restarts: nothing lost, nothing twice.

use std::collections::BTreeSet;
use std::path::Path;

use outrider_model::{
    EventLog as _, Evidence, Finding, FindingId, GroupKey, LogOffset, Partition, RuleId, Window,
};
use outrider_server::server::RunningServer;
use outrider_server::store::{
    AlertFilter, AlertOrder, AlertStore as _, FindingInput, FindingOwner, ProgressStore as _, RuleCard,
    Scope, SqlStore,
};
use serde_json::json;

use crate::client::exchange;
use crate::client::vehicle_stream;
use crate::harness::{NOW, TENANT, TestVehicle, World, running, settle};

/// Copies the case database with its journal.
async fn copy(from: &Path, to: &Path) {
    for name in ["cases.sqlite", "cases.sqlite-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).expect("it is copied");
        }
    }
    crate::postgres::copy(from, to).await;
}

/// What an analyst sees of all alerts, without what only counts writes.
async fn alerts(server: &RunningServer) -> Vec<serde_json::Value> {
    let app = server.app();
    let page =
        app.store.alerts(app.scope(), &AlertFilter::default(), (AlertOrder::LastAt, false), None, 500).await;
    let mut values: Vec<_> = page
        .expect("alerts are listed")
        .items
        .iter()
        .map(|alert| serde_json::to_value(alert).expect("an alert is JSON"))
        .collect();
    for value in &mut values {
        value.as_object_mut().expect("an object").remove("revision");
    }
    values.sort_by_key(|value| value["id"].to_string());
    values
}

async fn send(server: &RunningServer, vehicle: &TestVehicle, frame: &[u8]) {
    let files = server.ca().issue_vehicle(vehicle.id).expect("a certificate");
    let stream = vehicle_stream(
        server.vehicle_addr.expect("it takes frames"),
        Some(&files),
        server.ca().certificate(),
    )
    .await;
    let answer = exchange(stream.expect("it is let in"), "POST /v1/uplink HTTP/1.1\r\n", frame).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_from_an_old_checkpoint_loses_and_repeats_nothing() {
    replay(World::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_over_several_partitions_loses_and_repeats_nothing_either() {
    let partitions: BTreeSet<Partition> =
        (1..=3).map(|number| Partition::of(outrider_types::VehicleId([number; 16]), 4)).collect();
    assert!(partitions.len() > 1, "the vehicles are in several partitions: {partitions:?}");
    replay(World::of(4)).await;
}

async fn replay(world: World) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let old = tempfile::tempdir().expect("a temporary folder");
    let server = world.start(folder.path()).await;
    let vehicles: Vec<TestVehicle> = (1..=3)
        .map(|number| TestVehicle {
            id: outrider_types::VehicleId([number; 16]),
            key: ed25519_dalek::SigningKey::from_bytes(&[number; 32]),
        })
        .collect();
    server.register(vehicles.iter().map(TestVehicle::entry).collect()).await.expect("they are registered");
    send(&server, &vehicles[0], &vehicles[0].batch(1..=3)).await;
    settle(&server, &world).await;
    server.shutdown().await;
    // The state of now is what a crash later throws the database back to.
    copy(folder.path(), old.path()).await;
    let server = world.start(folder.path()).await;
    for vehicle in &vehicles {
        send(&server, vehicle, &vehicle.batch(2..=9)).await;
        settle(&server, &world).await;
    }
    let (seen, stored) = (alerts(&server).await, world.lake.ids());
    assert_eq!((seen.len(), stored.len()), (3, 9 + 8 + 8));
    server.shutdown().await;
    // The lake and the log are ahead of the database, as after a crash before the checkpoint.
    let server = world.start(old.path()).await;
    settle(&server, &world).await;
    assert_eq!(world.lake.ids(), stored, "the lake has nothing twice");
    assert_eq!(alerts(&server).await, seen, "the alerts are the same");
    // What comes now is stored: the replay has caught up.
    send(&server, &vehicles[0], &vehicles[0].batch(10..=12)).await;
    settle(&server, &world).await;
    let ids = world.lake.ids();
    assert_eq!(ids.len(), stored.len() + 3);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_gone_although_the_lake_had_them_stop_nothing() {
    let (world, folder) = (World::of(4), tempfile::tempdir().expect("a temporary folder"));
    let old = tempfile::tempdir().expect("a temporary folder");
    let server = world.start(folder.path()).await;
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let vehicle = TestVehicle { id: outrider_types::VehicleId([1; 16]), key };
    server.register(vec![vehicle.entry()]).await.expect("it is registered");
    send(&server, &vehicle, &vehicle.batch(1..=3)).await;
    settle(&server, &world).await;
    server.shutdown().await;
    copy(folder.path(), old.path()).await;
    let server = world.start(folder.path()).await;
    send(&server, &vehicle, &vehicle.batch(4..=6)).await;
    settle(&server, &world).await;
    let lake = world.lake.0.lock().expect("no test panics here").clone();
    send(&server, &vehicle, &vehicle.batch(7..=9)).await;
    settle(&server, &world).await;
    server.shutdown().await;
    // A crash before the checkpoint and before the last commit; then the log lost what the lake has and the checkpoint
    // does not: behind the checkpoint comes a record that the lake lacks.
    *world.lake.0.lock().expect("no test panics here") = lake;
    world.log.lose(Partition::of(vehicle.id, 4), 1);
    let server = world.start(old.path()).await;
    settle(&server, &world).await;
    let ids = world.lake.ids();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (9, 9));
    send(&server, &vehicle, &vehicle.batch(10..=12)).await;
    settle(&server, &world).await;
    assert_eq!(world.lake.ids().len(), 12);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_on_one_folder_the_first_is_fenced_and_nothing_is_lost_or_twice() {
    let (world, folder) = (World::of(4), tempfile::tempdir().expect("a temporary folder"));
    let first = world.start(folder.path()).await;
    let vehicles: Vec<TestVehicle> = (1..=3).map(TestVehicle::unregistered).collect();
    first.register(vehicles.iter().map(TestVehicle::entry).collect()).await.expect("they are registered");
    for vehicle in &vehicles {
        send(&first, vehicle, &vehicle.batch(1..=3)).await;
    }
    settle(&first, &world).await;
    // Somebody starts it twice. Both workers see the same records from now on, and take other steps.
    let second = world.start(folder.path()).await;
    for round in 1..=10 {
        for vehicle in &vehicles {
            send(&first, vehicle, &vehicle.batch(round * 3 + 1..=round * 3 + 3)).await;
        }
    }
    settle(&second, &world).await;
    let mut status = first.app().pipeline.status();
    for _ in 0..2000 {
        if status.is_fenced {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        status = first.app().pipeline.status();
    }
    assert!(status.is_fenced, "{status:?}");
    assert!(status.trouble.is_some_and(|trouble| trouble.contains("another worker has taken over")));
    settle(&second, &world).await;
    assert_eq!(second.app().pipeline.status().trouble, None);
    let ids = world.lake.ids();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (99, 99));
    let seen = alerts(&second).await;
    first.shutdown().await;
    second.shutdown().await;
    // One worker alone says the same.
    let (alone, folder) = (World::of(4), tempfile::tempdir().expect("a temporary folder"));
    let server = alone.start(folder.path()).await;
    server.register(vehicles.iter().map(TestVehicle::entry).collect()).await.expect("they are registered");
    for vehicle in &vehicles {
        send(&server, vehicle, &vehicle.batch(1..=33)).await;
    }
    settle(&server, &alone).await;
    assert_eq!(alerts(&server).await.len(), seen.len());
    let mut expected = alone.lake.ids();
    let mut found = ids;
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_a_former_owner_overtook_in_the_lake_begins_again_and_has_nothing_twice() {
    let vehicle = TestVehicle::unregistered(1);
    let part = Partition(0);
    // What the vehicle sends, as records, and as rows.
    let (twin, folder) = (World::new(), tempfile::tempdir().expect("a temporary folder"));
    let server = twin.start(folder.path()).await;
    server.register(vec![vehicle.entry()]).await.expect("it is registered");
    for seqs in [1..=3, 4..=6, 7..=9] {
        send(&server, &vehicle, &vehicle.batch(seqs)).await;
    }
    settle(&server, &twin).await;
    server.shutdown().await;
    let records = twin.log.read(part, LogOffset(0), 10, usize::MAX).expect("memory does not fail");
    let rows = twin.lake.0.lock().expect("no test panics here").1.clone();
    assert_eq!((records.len(), rows.len()), (3, 9));

    let (world, folder) = (World::new(), tempfile::tempdir().expect("a temporary folder"));
    let server = world.start(folder.path()).await;
    server.register(vec![vehicle.entry()]).await.expect("it is registered");
    let append = |records: &[&[u8]]| world.log.append(part, outrider_types::IngestTime(NOW), records, &[]);
    append(&[&records[0].bytes]).expect("memory does not fail");
    settle(&server, &world).await;
    // The former owner still stores the second record; this one takes the second and the third in one step.
    {
        let mut lake = world.lake.0.lock().expect("no test panics here");
        lake.1.extend(rows[3..6].iter().cloned());
        lake.0.insert(part, LogOffset(2));
    }
    append(&[&records[1].bytes, &records[2].bytes]).expect("memory does not fail");
    settle(&server, &world).await;
    let ids = world.lake.ids();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (9, 9));
    let status = server.app().pipeline.status();
    assert_eq!((status.trouble, status.is_fenced), (None, false));
    let dropped = status.lake.dropped().get("stored_before").copied();
    assert_eq!(dropped, Some(3), "it really went back, and detected what was stored before");
    server.shutdown().await;
}

/// A finding of the tests' rule that only a step before the crash stated.
fn ghost(number: u8) -> Finding {
    Finding {
        id: FindingId([number; 16]),
        tenant: TENANT,
        rule: RuleId("rule-ghost".to_owned()),
        group: GroupKey(vec![("vehicle_id".to_owned(), number.to_string())]),
        window: Window { from: NOW, to: NOW },
        revision: 1,
        late: false,
        severity: outrider_types::Severity::High,
        threshold: None,
        value: None,
        event_count: 1,
        vehicle_count: 1,
        model_line: None,
        evidence: Evidence { matched: Vec::new(), events: Vec::new(), vehicles: Vec::new() },
        detected_at: NOW,
        withdrawn: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finding_that_only_a_step_before_the_crash_stated_is_taken_back() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a temporary folder"));
    let old = tempfile::tempdir().expect("a temporary folder");
    let server = world.start(folder.path()).await;
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let vehicle = TestVehicle { id: outrider_types::VehicleId([1; 16]), key };
    server.register(vec![vehicle.entry()]).await.expect("it is registered");
    send(&server, &vehicle, &vehicle.batch(1..=3)).await;
    settle(&server, &world).await;
    server.shutdown().await;
    copy(folder.path(), old.path()).await;
    let server = world.start(folder.path()).await;
    send(&server, &vehicle, &vehicle.batch(4..=6)).await;
    settle(&server, &world).await;
    server.shutdown().await;
    // The database goes back to the checkpoint, but what was stated after it is there: one statement within the part
    // of the log that is replayed, one of a record that never came.
    let store = SqlStore::of_folder(old.path()).await.expect("it opens");
    let rule = RuleCard {
        id: RuleId("rule-ghost".to_owned()),
        title: "Ghost".to_owned(),
        tags: Vec::new(),
        quiet_us: 0,
    };
    let scope = Scope { tenant: TENANT, now: NOW };
    let epoch = store.take_over(scope, &[Partition(0)]).await.expect("it takes over");
    for (number, next) in [(7, LogOffset(2)), (8, LogOffset(9))] {
        let finding = ghost(number);
        let input = FindingInput { finding: &finding, rule: &rule };
        assert_eq!(
            store
                .record_findings(scope, FindingOwner::Whole(epoch), &[input], next)
                .await
                .expect("it writes")
                .len(),
            1
        );
    }
    store.close().await;
    let server = world.start(old.path()).await;
    settle(&server, &world).await;
    let app = server.app();
    let standing = app.store.findings_stated(scope, LogOffset(0)).await.expect("it reads");
    let is_standing = |number: u8| standing.iter().any(|(id, _)| *id == FindingId([number; 16]).to_string());
    assert!(!is_standing(7), "the replay passed its offset without it");
    assert!(is_standing(8), "the replay has not come so far");
    assert_eq!(standing.len(), 2, "the finding of the events themselves stands");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_changes_no_alert_and_keeps_what_the_analyst_decided() {
    let running = running().await;
    let vehicle = running.vehicle(4).await;
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(1..=4)).await.status, 200);
    running.settle().await;
    let list = running.admin.get("/api/v1/alerts?status=new").await.json();
    assert_eq!(list["total"], json!(1));
    let alert = list["items"][0].clone();
    assert_eq!((&alert["severity"], &alert["vehicle_count"]), (&json!("high"), &json!(1)));
    let id = alert["id"].as_str().expect("an alert has an id").to_owned();
    let act = json!({"action": "acknowledge", "selection": {"ids": [id]}, "note": "mine"});
    assert_eq!(running.admin.post("/api/v1/alerts/actions", act).await.json()["changed"], json!(1));
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(1..=7)).await.status, 200);
    running.settle().await;
    let detail = running.admin.get(&format!("/api/v1/alerts/{id}")).await.json();
    assert_eq!((&detail["status"], &detail["owner"]), (&json!("acknowledged"), &json!("admin")));
    assert_eq!(detail["event_count"], json!(7));
    assert_eq!(detail["evidence_events"].as_array().map(Vec::len), Some(7));
    assert!(
        detail["explanation"]["summary"].as_str().is_some_and(|text| text.contains("Security access denied"))
    );
    let close = json!({"action": "close", "selection": {"ids": [id]}, "disposition": "false_positive"});
    assert_eq!(running.admin.post("/api/v1/alerts/actions", close).await.json()["changed"], json!(1));
    let health = running.admin.get("/api/v1/health").await.json();
    assert!(
        health["stages"]
            .as_array()
            .is_some_and(|stages| stages.iter().all(|stage| stage["balanced"] == json!(true))),
        "{health}"
    );
    assert_eq!(health["log"]["lag_records"], json!(0));
    running.server.shutdown().await;
    let server = running.world.start(running.folder.path()).await;
    let after = alerts(&server).await;
    assert_eq!((&after[0]["status"], &after[0]["disposition"]), (&json!("closed"), &json!("false_positive")));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_screens_agree_on_what_happened() {
    let running = running().await;
    let vehicle = running.vehicle(5).await;
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(1..=4)).await.status, 200);
    running.settle().await;
    let overview = running.admin.get("/api/v1/overview").await.json();
    assert_eq!((&overview["open"]["high"], &overview["events_stored"]), (&json!(1), &json!(4)));
    assert_eq!(overview["vehicles"], json!({"known": 1, "reporting_24h": 1, "silent": 0}));
    assert_eq!(overview["rate"].as_array().map(Vec::len), Some(60));
    let vehicles = running.admin.get("/api/v1/vehicles?model_line=Aster").await.json();
    assert_eq!((&vehicles["total"], &vehicles["items"][0]["connectivity"]), (&json!(1), &json!("online")));
    let one = running.admin.get(&format!("/api/v1/vehicles/{}", vehicle.id)).await.json();
    assert_eq!((&one["lanes"][0]["contiguous_seq"], &one["open_alerts"]), (&json!(4), &json!(1)));
    let timeline =
        running.admin.get(&format!("/api/v1/vehicles/{}/timeline?limit=3", vehicle.id)).await.json();
    assert_eq!(
        (timeline["items"].as_array().map(Vec::len), &timeline["next_cursor"]),
        (Some(3), &json!("3"))
    );
    let regions = running.admin.get("/api/v1/fleet/regions").await.json();
    assert_eq!((&regions[0]["region"], &regions[0]["events_24h"]), (&json!("DE"), &json!(4)));
    let rules = running.admin.get("/api/v1/rules").await.json();
    assert_eq!((&rules[0]["kind"], &rules[0]["alerts"]), (&json!("match"), &json!(1)));
    let catalogue = running.admin.get("/api/v1/catalogue").await.json();
    assert!(catalogue["event_types"].as_array().is_some_and(|types| types.len() > 10));
    running.server.shutdown().await;
}
