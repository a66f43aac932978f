//! Feeds and the registry call a vehicle the same where there is a vault, and its VIN can be forgotten by both.

use std::sync::{Arc, Mutex};

use outrider_server::server::ServerConfig;
use outrider_server::store::Scope;
use outrider_server::vault::{MasterKey, Vault, VaultConfig};
use outrider_server::vehicle::open_name_key;
use outrider_types::{Seed, VehicleId};
use serde_json::{Value, json};

use crate::client::Browser;
use crate::feed::{bearer, decoder, event, send};
use crate::harness::{NOW, PASSWORD, Running, SeededRandom, TENANT, running_with};
use crate::registry::with_vault_and;

const VIN: &str = crate::feed::VIN;

/// Registers a feed; returns its credential.
async fn feed(running: &Running, name: &str, takes_unregistered: bool) -> String {
    let request = json!({"name": name, "format": "outrider.json", "takes_unregistered": takes_unregistered});
    let created = running.admin.post("/api/v1/feeds", request).await;
    created.json()["token"].as_str().expect("a credential").to_owned()
}

/// Sends one event of the VIN; returns the vehicles of all rows so far, newest last.
async fn sent(running: &Running, (name, token): (&str, &str), number: u32) -> Vec<String> {
    let body = event("diag.security_access_denied", number);
    let answer = send(&running.server, name, &bearer(token), body.as_bytes()).await;
    assert_eq!(answer.status, 202);
    running.settle().await;
    let rows = running.world.lake.ids();
    rows.iter().map(|id| id.chars().take(32).collect()).collect()
}

async fn imported(running: &Running) -> Value {
    let file = format!("vin,model_line\n{VIN},Aster\n");
    running.admin.send_bytes("/api/v1/vehicles/import", file.as_bytes()).await.json()
}

async fn registered(running: &Running) -> Vec<String> {
    let list = running.admin.get("/api/v1/vehicles").await.json();
    let items = list["items"].as_array().expect("a list").clone();
    items.iter().map(|item| item["vehicle_id"].as_str().expect("a pseudonym").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vehicle_imported_by_its_vin_is_the_one_that_a_feed_names_until_it_is_destroyed() {
    let running = with_vault_and(|config| config.decoders = vec![decoder()]).await;
    let (strict, open) = (feed(&running, "strict", false).await, feed(&running, "open", true).await);
    assert!(sent(&running, ("strict", &strict), 1).await.is_empty(), "nobody registered it");
    let vault = running.server.app().vin_vault.clone().expect("there is one");
    let scope = Scope { tenant: TENANT, now: NOW };
    let vin = outrider_ingest::registry::Vin::parse(VIN).expect("a VIN");
    let known = vault.look_up(scope, &[&vin]).await.expect("it reads");
    assert_eq!(known, [outrider_server::vault::LookedUp::New], "a feed that may bring nobody fills no vault");
    assert_eq!(imported(&running).await["new"], 1);
    let vehicle = registered(&running).await.pop().expect("a vehicle");
    assert_eq!(sent(&running, ("strict", &strict), 2).await, std::slice::from_ref(&vehicle));
    assert_eq!(sent(&running, ("open", &open), 3).await, [vehicle.clone(), vehicle.clone()]);
    let path = format!("/api/v1/vehicles/{vehicle}/shred");
    assert_eq!(running.admin.post(&path, json!({"reason": "the owner asked"})).await.status, 200);
    assert_eq!(sent(&running, ("strict", &strict), 4).await.len(), 2, "nobody registered who that is now");
    let after = sent(&running, ("open", &open), 5).await;
    assert_eq!(after.len(), 3);
    assert_ne!(after[2], vehicle, "the same VIN is another vehicle");
    assert_eq!(imported(&running).await["new"], 1);
    assert!(registered(&running).await.contains(&after[2]));
    running.server.shutdown().await;
}

/// Makes a vault beside an installation that had feeds before, and starts the server with it.
async fn restarted_with_vault(running: Running, keeps: bool) -> Running {
    let Running { world, server, folder, .. } = running;
    server.shutdown().await;
    let random = Arc::new(SeededRandom(Mutex::new(Seed::new(11))));
    let master = Arc::new(MasterKey::generate(&*random));
    let path = folder.path().join("vault/vins.sqlite");
    let vault = Vault::open(&path, master.clone(), random).await.expect("a vault");
    if keeps {
        let names = open_name_key(&folder.path().join("secrets"), &mut || [0; 32]).expect("a key");
        vault.take_over(Scope { tenant: TENANT, now: NOW }, &names).await.expect("it is new");
    }
    vault.close().await;
    let set = |config: &mut ServerConfig| {
        config.decoders = vec![decoder()];
        config.vault = Some(VaultConfig { path, master });
    };
    let server = world.start_with(folder.path(), set).await;
    let mut admin = Browser::new(server.api_addr);
    assert_eq!(admin.login("admin", PASSWORD).await.status, 200);
    Running { world, server, admin, folder }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vehicles_that_feeds_named_before_there_was_a_vault_keep_their_pseudonyms_or_not_as_was_said() {
    for keeps in [true, false] {
        let running = running_with(|config| config.decoders = vec![decoder()]).await;
        let token = feed(&running, "open", true).await;
        let before = sent(&running, ("open", &token), 1).await.pop().expect("a row");
        let id: VehicleId = before.parse().expect("a pseudonym");
        let file = format!("vehicle_id,model_line\n{id},Aster\n");
        let report = running.admin.send_bytes("/api/v1/vehicles/import", file.as_bytes()).await.json();
        assert_eq!(report["new"], 1);
        let strict = feed(&running, "strict", false).await;
        let running = restarted_with_vault(running, keeps).await;
        let rows = sent(&running, ("strict", &strict), 2).await;
        let expected = if keeps { vec![before.clone(); 2] } else { vec![before.clone()] };
        assert_eq!(rows, expected, "whether its VIN is still the registered one");
        let row = sent(&running, ("open", &token), 3).await.pop().expect("a row");
        assert_eq!(row == before, keeps);
        let report = imported(&running).await;
        assert_eq!(
            (&report["new"], &report["unchanged"]),
            (&json!(u8::from(!keeps)), &json!(u8::from(keeps)))
        );
        running.server.shutdown().await;
    }
}
