//! Import of the registry and the stages of monitoring over the API.

use std::sync::{Arc, Mutex};

use outrider_server::server::ServerConfig;
use outrider_server::vault::{MasterKey, VaultConfig};
use outrider_types::{Seed, VehicleId};
use serde_json::json;

use crate::harness::{Running, SeededRandom, running_with};

const FILE: &str = "vin;model_line;platform;region;stage;ecu.1.name;ecu.1.supplier\n\
                    WVWZZZ1JZXW000001;Aster;P1;DE;planned;gateway;ACME\n\
                    WVWZZZ1JZXW000002;Begonia;P2;FR;;gateway;ACME\n\
                    1M8GDM9A1KP042788;Aster;P1;US;;;\n";

/// A server with a vault.
async fn with_vault() -> Running {
    with_vault_and(|_| ()).await
}

/// A server with a vault and other limits.
pub(crate) async fn with_vault_and(set: impl FnOnce(&mut ServerConfig)) -> Running {
    let master = MasterKey::generate(&SeededRandom(Mutex::new(Seed::new(11))));
    running_with(|config| {
        set(config);
        let path = config.folder.join("vault/vins.sqlite");
        config.vault = Some(VaultConfig { path, master: Arc::new(master) });
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_imported_over_the_api_and_its_vehicles_are_listed() {
    let running = with_vault().await;
    let engineer = running.user("eve", "engineer").await;
    let rehearsal = engineer.send_bytes("/api/v1/vehicles/import?dry_run=true", FILE.as_bytes()).await;
    assert_eq!(rehearsal.json()["new"], 2);
    assert_eq!(engineer.get("/api/v1/vehicles").await.json()["total"], 0, "a rehearsal registers nobody");
    let answer = engineer.send_bytes("/api/v1/vehicles/import", FILE.as_bytes()).await;
    assert_eq!(answer.status, 200);
    let report = answer.json();
    assert_eq!((&report["rows"], &report["new"]), (&json!(3), &json!(2)));
    assert_eq!(report["refused"], json!({"vin.check_digit": 1}));
    assert_eq!(report["problems"][0]["line"], 4);
    let again = engineer.send_bytes("/api/v1/vehicles/import", FILE.as_bytes()).await.json();
    assert_eq!((&again["new"], &again["unchanged"]), (&json!(0), &json!(2)));
    let planned = engineer.get("/api/v1/vehicles?stage=planned").await.json();
    assert_eq!((&planned["total"], &planned["items"][0]["model_line"]), (&json!(1), &json!("Aster")));
    let id = planned["items"][0]["vehicle_id"].as_str().expect("a pseudonym").to_owned();
    let vehicle = engineer.get(&format!("/api/v1/vehicles/{id}")).await.json();
    assert_eq!(vehicle["ecus"][0]["supplier"], "ACME");
    let known: VehicleId = id.parse().expect("a pseudonym");
    assert!(running.server.app().directory.is_in(known).is_ok(), "the listeners know it at once");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_filtered_list_hold_each_vehicle_once() {
    let running = with_vault().await;
    let rows: String = (1..=25u32).map(|number| format!("{:032x},Aster,P1\n", number * 7)).collect();
    let file = format!("vehicle_id,model_line,platform\n{rows}");
    assert_eq!(running.admin.send_bytes("/api/v1/vehicles/import", file.as_bytes()).await.json()["new"], 25);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/vehicles?platform=P1&sort=vehicle_id&limit=10{cursor}");
        let page = running.admin.get(&path).await.json();
        assert_eq!(page["total"], 25);
        let items = page["items"].as_array().expect("a list").clone();
        seen.extend(items.iter().map(|item| item["vehicle_id"].as_str().expect("an id").to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<String> = (1..=25u32).map(|number| format!("{:032x}", number * 7)).collect();
    assert_eq!(seen, expected);
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stages_are_changed_by_engineers_with_a_reason_and_conditions_of_one_kind() {
    let running = with_vault().await;
    let path = "/api/v1/vehicles/stage";
    running.admin.send_bytes("/api/v1/vehicles/import", FILE.as_bytes()).await;
    let whole = json!({"stage": "pilot", "reason": "first line", "model_line": "Aster"});
    assert_eq!(running.admin.post(path, whole.clone()).await.json()["changed"], 1);
    assert_eq!(running.user("ann", "analyst").await.post(path, whole).await.status, 403);
    for bad in [
        json!({"stage": "pilot", "reason": "x"}),
        json!({"stage": "pilot", "reason": " ", "model_line": "Aster"}),
        json!({"stage": "soon", "reason": "x", "model_line": "Aster"}),
        json!({"stage": "pilot", "reason": "x", "model_line": "Aster", "vehicle_ids": ["00"]}),
        json!({"stage": "pilot", "reason": "x", "colour": "red"}),
        json!({"stage": "pilot", "reason": "x", "vehicle_ids": [format!("{:032x}", 9)]}),
    ] {
        let answer = running.admin.post(path, bad.clone()).await;
        assert!((400..500).contains(&answer.status), "{bad}: {}", answer.status);
    }
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_files_are_answered() {
    let running = with_vault().await;
    for (file, unread) in [
        (&b"\xFF\xFEv\0"[..], "file.utf16"),
        (b"", "csv.no_header"),
        (b"WVWZZZ1JZXW000001;Aster\n", "csv.header"),
        (b"[1]", "json.structure"),
    ] {
        let report = running.admin.send_bytes("/api/v1/vehicles/import", file).await.json();
        assert_eq!(report["unread"]["reason"], unread);
        assert_eq!(report["rows"], 0);
    }
    let answer = running.admin.send_bytes("/api/v1/vehicles/import?format=xls", b"").await;
    assert_eq!(answer.code(), "invalid");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vehicle_that_nobody_registered_is_listed_and_has_a_page_once_it_came() {
    let running = with_vault().await;
    let stranger = crate::harness::TestVehicle::unregistered(9);
    let path = format!("/api/v1/vehicles/{}", stranger.id);
    assert_eq!(running.admin.get(&path).await.status, 404, "it left no trace");
    assert_eq!(running.admin.get("/api/v1/vehicles/unregistered").await.json(), json!([]));
    let refused = running.uplink(&stranger, &stranger.batch(1..=1)).await;
    assert_eq!(refused.code(), "vehicle.unknown");
    let listed = running.admin.get("/api/v1/vehicles/unregistered").await.json();
    assert_eq!(listed[0]["vehicle_id"], stranger.id.to_string());
    assert!(listed[0]["refusals"].as_u64().is_some_and(|refusals| refusals >= 1));
    let page = running.admin.get(&path).await;
    assert_eq!((page.status, &page.json()["registered"]), (200, &json!(false)));
    assert_eq!(running.admin.get(&format!("{path}/timeline")).await.status, 200);
    running.server.register(vec![stranger.entry()]).await.expect("it is registered");
    assert_eq!(running.admin.get(&path).await.json()["registered"], true);
    assert_eq!(running.admin.get("/api/v1/vehicles/unregistered").await.json(), json!([]));
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_vehicle_that_is_not_monitored_are_stored_and_raise_no_alert() {
    let running = with_vault().await;
    let vehicle = running.vehicle(1).await;
    let stage = |stage: &str| json!({"stage": stage, "reason": "x", "vehicle_ids": [vehicle.id.to_string()]});
    let path = "/api/v1/vehicles/stage";
    assert_eq!(running.admin.post(path, stage("planned")).await.json()["changed"], 1);
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(1..=3)).await.status, 200);
    running.settle().await;
    assert_eq!(running.world.lake.ids().len(), 3, "they are stored");
    assert_eq!(running.admin.get("/api/v1/alerts").await.json()["total"], 0);
    assert_eq!(running.admin.post(path, stage("pilot")).await.json()["changed"], 1);
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(4..=4)).await.status, 200);
    running.settle().await;
    assert_eq!(running.admin.get("/api/v1/alerts").await.json()["total"], 1, "from then on it is monitored");
    running.server.shutdown().await;
}
