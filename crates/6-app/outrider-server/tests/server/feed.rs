//! Feeds of foreign events: who is let in, what is durable before the answer, and that nothing counts twice.

use std::io::Write as _;

use outrider_decode::{Files, Package, VehicleName};
use outrider_ingest::{FeedId, FeedRecord};
use outrider_model::{EventLog as _, Partition};
use outrider_server::server::RunningServer;
use outrider_server::vehicle::open_name_key;
use outrider_types::IngestTime;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::client::{Answer, exchange};
use crate::harness::{NOW, Running, TENANT, TestVehicle, World, running_with, settle};

pub(crate) const VIN: &str = "WVWZZZ1JZ3W386752";

/// The shipped decoder of events as JSON.
pub(crate) fn decoder() -> Package {
    let file = |name: &str, content: &str| (name.to_owned(), content.as_bytes().to_vec());
    Package::from_files(Files::from([
        file("decoder.toml", include_str!("../../../../../content/decoders/outrider-json/decoder.toml")),
        file("mapping.vrl", include_str!("../../../../../content/decoders/outrider-json/mapping.vrl")),
        file("golden/one.in", ""),
        file("golden/one.json", "{}"),
    ]))
    .expect("a package")
}

/// A server with a decoder and a feed; returns the feed's credential.
async fn with_feed(extra: Value) -> (Running, String) {
    let running = running_with(|config| config.decoders = vec![decoder()]).await;
    let mut request = json!({"name": "backend", "format": "outrider.json"});
    request.as_object_mut().expect("an object").extend(extra.as_object().cloned().unwrap_or_default());
    let created = running.admin.post("/api/v1/feeds", request).await;
    assert_eq!(created.status, 200, "{}", String::from_utf8_lossy(&created.body));
    let token = created.json()["token"].as_str().expect("a credential").to_owned();
    (running, token)
}

pub(crate) async fn send(server: &RunningServer, name: &str, headers: &str, body: &[u8]) -> Answer {
    let stream = TcpStream::connect(server.api_addr).await.expect("the server listens");
    exchange(stream, &format!("POST /v1/feeds/{name} HTTP/1.1\r\n{headers}"), body).await
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Registers the vehicle whose VIN the tests send.
async fn register(running: &Running) -> TestVehicle {
    let key = open_name_key(&running.folder.path().join("secrets"), &mut || [0; 32]).expect("a key");
    let id = key.of_name(TENANT, FeedId(1), &VehicleName::Vin(VIN.to_owned()));
    let vehicle = TestVehicle { id, ..TestVehicle::unregistered(3) };
    running.server.register(vec![vehicle.entry()]).await.expect("it is registered");
    vehicle
}

pub(crate) fn event(event_type: &str, key: u32) -> String {
    format!(
        "{{\"vehicle\":{{\"vin\":\"{VIN}\"}},\"time\":1799999999000000,\"type\":\"{event_type}\",\"key\":\"{key}\"}}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feeds_events_reach_rules_and_lake_under_the_vehicles_pseudonym() {
    let (running, token) = with_feed(json!({})).await;
    let vehicle = register(&running).await;
    let body = event("diag.security_access_denied", 1) + &event("acme.door_forced", 2);
    let answer = send(&running.server, "backend", &bearer(&token), body.as_bytes()).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json()["bytes"], json!(body.len()));
    // Durable before the answer: the log has it, whatever the worker does.
    assert_eq!(running.world.log.end(Partition(0)).expect("memory").0, 1);
    running.settle().await;
    assert_eq!(running.world.lake.types(), ["diag.security_access_denied", "foreign.unclassified"]);
    assert!(running.world.lake.ids().iter().all(|id| id.starts_with(&vehicle.id.to_string())));
    let alerts = running.admin.get("/api/v1/alerts").await.json();
    assert_eq!(alerts["total"], json!(1), "the rule of the tests saw it");
    for path in ["/api/v1/health", "/api/v1/feeds", "/api/v1/alerts"] {
        let text = String::from_utf8(running.admin.get(path).await.body).expect("text");
        assert!(!text.contains(VIN) && !text.contains(&token), "{path}");
    }
    let health = running.admin.get("/api/v1/health").await.json();
    let stages = health["stages"].as_array().expect("stages");
    assert!(stages.iter().all(|stage| stage["balanced"] == json!(true)), "{health}");
    let documents = stages.iter().find(|stage| stage["stage"] == json!("feed_documents")).expect("a stage");
    assert_eq!((&documents["received"], &documents["passed"]), (&json!(2), &json!(2)));
    let decoder = running.admin.get("/api/v1/decoders").await.json()[0]["documents"].clone();
    assert_eq!((&decoder["received"], &decoder["passed"]), (&json!(2), &json!(2)), "{decoder}");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_feeds_own_credential_lets_it_in_and_only_while_it_is_enabled() {
    let (running, token) = with_feed(json!({})).await;
    let other = json!({"name": "other", "format": "outrider.json"});
    let theirs = running.admin.post("/api/v1/feeds", other.clone()).await.json()["token"].clone();
    assert_eq!(running.admin.post("/api/v1/feeds", other).await.status, 409, "the name is taken");
    let theirs = theirs.as_str().expect("a credential");
    let body = event("can.unknown_id", 1);
    for (name, headers) in [
        ("backend", String::new()),
        ("backend", bearer("")),
        ("backend", bearer(theirs)),
        ("backend", bearer(&token.to_uppercase())),
        ("backend", format!("Authorization: Basic {token}\r\n")),
        ("backend", format!("Cookie: {}\r\nX-CSRF-Token: {}\r\n", running.admin.cookie, running.admin.csrf)),
        ("nobody", bearer(&token)),
        ("nobody", bearer("0")),
    ] {
        let answer = send(&running.server, name, &headers, body.as_bytes()).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{name} {headers}");
    }
    let state = |enabled| json!({"enabled": enabled, "reason": "the backend is being repaired"});
    assert_eq!(running.admin.post("/api/v1/feeds/backend/state", state(false)).await.status, 200);
    let answer = send(&running.server, "backend", &bearer(&token), body.as_bytes()).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "feed.disabled"));
    assert_eq!(running.admin.post("/api/v1/feeds/backend/state", state(true)).await.status, 200);
    let rotated = running.admin.post("/api/v1/feeds/backend/credential", json!({})).await.json();
    let answer = send(&running.server, "backend", &bearer(&token), body.as_bytes()).await;
    assert_eq!(answer.status, 401, "the credential before is void");
    let fresh = rotated["token"].as_str().expect("a credential");
    assert_eq!(send(&running.server, "backend", &bearer(fresh), body.as_bytes()).await.status, 202);
    assert_eq!(running.world.log.end(Partition(0)).expect("memory").0, 1, "nothing else was stored");
    assert_eq!(running.admin.post("/api/v1/feeds/nobody/state", state(true)).await.status, 404);
    for wrong in [
        json!({"name": "Backend", "format": "x"}),
        json!({"name": "b", "format": "X"}),
        json!({"name": "b", "format": "x", "body_bytes_max": 2_000_000}),
        json!({"name": "b", "format": "x", "requests_per_minute_max": 0}),
    ] {
        assert_eq!(running.admin.post("/api/v1/feeds", wrong.clone()).await.status, 422, "{wrong}");
    }
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_beyond_the_caps_are_refused_and_counted() {
    let limits = json!({"body_bytes_max": 1000, "requests_per_minute_max": 9});
    let (running, token) = with_feed(limits).await;
    let with = |encoding: &str| format!("{}Content-Encoding: {encoding}\r\n", bearer(&token));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![b' '; 8 << 20]).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let zstd = zstd::bulk::compress(&vec![b' '; 8 << 20], 19).expect("it compresses");
    let small = zstd::bulk::compress(event("can.unknown_id", 1).as_bytes(), 3).expect("it compresses");
    let cases: [(String, &[u8], u16, &str); 8] = [
        (bearer(&token), &[b' '; 1001], 413, "feed.too_large"),
        (bearer(&token), &vec![b' '; 2 << 20], 413, "body"),
        (with("gzip"), &gzip, 413, "feed.too_large"),
        (with("zstd"), &zstd, 413, "feed.too_large"),
        (with("gzip"), b"no such thing", 422, "feed.compressed"),
        (with("br"), b"x", 415, "feed.encoding"),
        (bearer(&token), b"", 422, "feed.empty"),
        (with("zstd"), &small, 202, ""),
    ];
    for (headers, body, status, code) in cases {
        let answer = send(&running.server, "backend", &headers, body).await;
        let got = if answer.status == 202 { String::new() } else { answer.code() };
        assert_eq!((answer.status, got.as_str()), (status, code), "{headers}");
    }
    // Two requests of the nine are left: the one that was too large for the listener took none.
    let two = [202, 202, 429];
    for (number, expected) in two.into_iter().enumerate() {
        let body = event("can.unknown_id", 10 + u32::try_from(number).expect("small"));
        let answer = send(&running.server, "backend", &bearer(&token), body.as_bytes()).await;
        assert_eq!(answer.status, expected, "{number}");
    }
    running.world.wait_seconds(7);
    let (headers, body) = (bearer(&token), event("can.unknown_id", 20));
    let answer = send(&running.server, "backend", &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 202, "the minute goes on");
    running.settle().await;
    let feed = running.admin.get("/api/v1/feeds").await.json()[0].clone();
    assert_eq!((&feed["requests"]["received"], &feed["requests"]["passed"]), (&json!(11), &json!(4)));
    assert_eq!(feed["requests"]["dropped"]["feed.too_large"], json!(3));
    assert_eq!(feed["requests"]["balanced"], json!(true));
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_vehicle_that_nobody_registered_are_set_aside_without_showing_its_name() {
    let (running, token) = with_feed(json!({})).await;
    let body = event("can.unknown_id", 1) + "no json\n";
    assert_eq!(send(&running.server, "backend", &bearer(&token), body.as_bytes()).await.status, 202);
    running.settle().await;
    assert!(running.world.lake.ids().is_empty());
    let page = running.admin.get("/api/v1/quarantine").await;
    assert!(
        !String::from_utf8_lossy(&page.body)
            .contains(&VIN.as_bytes().iter().map(|b| format!("{b:02x}")).collect::<String>())
    );
    let page = page.json();
    let mut reasons: Vec<_> =
        page["items"].as_array().expect("items").iter().map(|item| item["reason"].clone()).collect();
    reasons.sort_by_key(Value::to_string);
    assert_eq!(reasons, [json!("feed.vehicle_unknown"), json!("json.syntax")]);
    let item = &page["items"][0];
    assert_eq!(
        (&item["feed"], &item["format"], &item["excerpt_hex"]),
        (&json!("backend"), &json!("outrider.json"), &json!(""))
    );
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_sent_again_after_a_crash_counts_once() {
    let (running, token) = with_feed(json!({"takes_unregistered": true})).await;
    let body = [event("can.unknown_id", 1), event("can.flood", 2)].concat();
    // Killed between the append and the answer: the log has the body, and the feed knows nothing.
    let record = FeedRecord {
        tenant: TENANT,
        feed: FeedId(1),
        received: NOW,
        content_type: "",
        body: body.as_bytes(),
    };
    running.world.log.append(Partition(0), IngestTime(NOW), &[&record.emit()], &[]).expect("memory");
    let Running { world, server, folder, .. } = running;
    server.shutdown().await;
    let start = |world: World| {
        let folder = folder.path().to_path_buf();
        async move { world.start_with(&folder, |config| config.decoders = vec![decoder()]).await }
    };
    let server = start(world.clone()).await;
    assert_eq!(send(&server, "backend", &bearer(&token), body.as_bytes()).await.status, 202);
    settle(&server, &world).await;
    let stored = world.lake.ids();
    assert_eq!(stored.len(), 2);
    server.shutdown().await;
    // The memory of bodies survives a restart.
    let server = start(world.clone()).await;
    assert_eq!(send(&server, "backend", &bearer(&token), body.as_bytes()).await.status, 202);
    settle(&server, &world).await;
    assert_eq!(world.lake.ids(), stored);
    let counts = server.app().pipeline.with_ingest(|worker| worker.feed_counts()[&FeedId(1)].clone());
    assert_eq!(counts.bodies.dropped()["duplicate"], 1);
    server.shutdown().await;
}

/// Waits until the worker has stored so many events.
async fn stored(running: &Running, events: usize) {
    for _ in 0..2000 {
        if running.world.lake.ids().len() >= events {
            running.settle().await;
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("only {} events were stored", running.world.lake.ids().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_set_aside_is_taken_again_after_the_fix_and_only_once() {
    let (running, token) = with_feed(json!({})).await;
    let body = [event("can.unknown_id", 1), event("can.flood", 2), "no json\n".to_owned()].concat();
    assert_eq!(send(&running.server, "backend", &bearer(&token), body.as_bytes()).await.status, 202);
    running.settle().await;
    let summary = running.admin.get("/api/v1/quarantine/summary").await.json();
    let group = |reason: &str| {
        let groups = summary["groups"].as_array().expect("groups");
        groups.iter().find(|group| group["reason"] == json!(reason)).cloned().expect("a group")
    };
    let unknown = group("feed.vehicle_unknown");
    assert_eq!(
        (&unknown["units"], &unknown["open"], &unknown["feed"]),
        (&json!(2), &json!(1), &json!("backend"))
    );
    assert_eq!(group("json.syntax")["format"], json!("outrider.json"));
    // The bytes name a vehicle: an engineer may see them, and that is written down.
    let list = running.admin.get("/api/v1/quarantine?reason=json.syntax").await.json();
    let id = list["items"][0]["id"].as_str().expect("an id");
    let content = running.admin.get(&format!("/api/v1/quarantine/{id}/content")).await;
    assert_eq!(content.body, b"no json");
    assert_eq!(running.admin.get("/api/v1/quarantine/999/content").await.status, 404);
    assert_eq!(
        running.admin.post("/api/v1/quarantine/replays", json!({})).await.status,
        422,
        "all of it is too easy"
    );
    register(&running).await;
    let replay = json!({"reason": "feed.vehicle_unknown"});
    let result = running.admin.post("/api/v1/quarantine/replays", replay.clone()).await.json();
    assert_eq!(result["requested"], json!(1));
    stored(&running, 2).await;
    let ids = running.world.lake.ids();
    let again = running.admin.post("/api/v1/quarantine/replays", replay).await.json();
    assert_eq!(again["requested"], json!(0));
    let list = running.admin.get("/api/v1/quarantine?reason=feed.vehicle_unknown").await.json();
    let item = &list["items"][0];
    assert_eq!((&item["passed"], &item["refused"], &item["bytes"]), (&json!(2), &json!(0), &json!(0)));
    // What is still wrong is set aside again, as an entry of its own.
    let result = running.admin.post("/api/v1/quarantine/replays", json!({"ids": [id]})).await.json();
    assert_eq!(result["requested"], json!(1));
    for _ in 0..2000 {
        let list = running.admin.get("/api/v1/quarantine?reason=json.syntax").await.json();
        if list["total"] == json!(2) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let list = running.admin.get("/api/v1/quarantine?reason=json.syntax&open=true").await.json();
    assert_eq!(list["total"], json!(1));
    assert_ne!(list["items"][0]["id"], json!(id));
    assert_eq!(running.world.lake.ids(), ids);
    let health = running.admin.get("/api/v1/health").await.json();
    let stages = health["stages"].as_array().expect("stages");
    assert!(stages.iter().all(|stage| stage["balanced"] == json!(true)), "{health}");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decoders_are_listed_with_the_feeds_of_their_format() {
    let (running, _) = with_feed(json!({})).await;
    let other = json!({"name": "another", "format": "arcsight.cef"});
    assert_eq!(running.admin.post("/api/v1/feeds", other).await.status, 200);
    let listed = running.admin.get("/api/v1/decoders").await.json();
    let [decoder] = listed.as_array().expect("a list").as_slice() else { panic!("one decoder: {listed}") };
    assert_eq!(decoder["format"], json!("outrider.json"));
    assert_eq!((&decoder["samples"], &decoder["feeds"]), (&json!(1), &json!(["backend"])));
    assert!(decoder.get("release_from").is_none(), "any release");
    assert_eq!(decoder["documents"]["received"], json!(0));
}
