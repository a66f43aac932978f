//! Showing and destroying VINs over the API, and that nothing else tells one.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use outrider_server::store::{NewReveal, REVEALS_OPEN_MAX};
use outrider_server::vault::RevealPolicy;
use serde_json::json;

use crate::client::Browser;
use crate::harness::Running;
use crate::registry::with_vault_and;

const VIN: &str = "WVWZZZ1JZXW000001";

/// Registers one vehicle and returns its pseudonym.
async fn imported(running: &Running) -> String {
    let file = format!("vin,model_line\n{VIN},Aster\n");
    assert_eq!(running.admin.send_bytes("/api/v1/vehicles/import", file.as_bytes()).await.json()["new"], 1);
    let list = running.admin.get("/api/v1/vehicles").await.json();
    list["items"][0]["vehicle_id"].as_str().expect("a pseudonym").to_owned()
}

async fn asked(browser: &Browser, vehicle: &str) -> String {
    let answer =
        browser.post(&format!("/api/v1/vehicles/{vehicle}/reveal"), json!({"reason": "recall"})).await;
    assert_eq!(answer.status, 200);
    answer.json()["id"].as_str().expect("an id").to_owned()
}

async fn act(browser: &Browser, request: &str, act: &str) -> crate::client::Answer {
    browser.post(&format!("/api/v1/reveal-requests/{request}/{act}"), json!({})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vin_is_shown_once_to_who_asked_after_another_person_agreed() {
    let running = with_vault_and(|_| ()).await;
    let vehicle = imported(&running).await;
    let (eve, bob) = (running.user("eve", "engineer").await, running.user("bob", "engineer").await);
    let ann = running.user("ann", "analyst").await;
    let path = format!("/api/v1/vehicles/{vehicle}/reveal");
    assert_eq!(ann.post(&path, json!({"reason": "curious"})).await.status, 403);
    assert_eq!(eve.post(&path, json!({"reason": " "})).await.code(), "invalid");
    let request = asked(&eve, &vehicle).await;
    assert_eq!(act(&eve, &request, "open").await.status, 409, "nobody agreed");
    assert_eq!(act(&eve, &request, "approve").await.status, 409, "who asked cannot agree");
    assert_eq!(act(&bob, &request, "approve").await.json()["state"], "approved");
    assert_eq!(act(&bob, &request, "open").await.status, 409, "only who asked may open it");
    assert_eq!(act(&eve, &request, "open").await.json()["vin"], VIN);
    assert_eq!(act(&eve, &request, "open").await.status, 409, "once");
    let lapsed = asked(&eve, &vehicle).await;
    assert_eq!(act(&bob, &lapsed, "approve").await.status, 200);
    running.world.wait_seconds(24 * 3600);
    // Sessions have lapsed with the request.
    let (mut eve, mut bob) = (Browser::new(running.server.api_addr), Browser::new(running.server.api_addr));
    assert_eq!(eve.login("eve", crate::harness::PASSWORD).await.status, 200);
    assert_eq!(bob.login("bob", crate::harness::PASSWORD).await.status, 200);
    assert_eq!(act(&eve, &lapsed, "open").await.status, 409, "its time is over");
    let states = eve.get("/api/v1/reveal-requests").await.json();
    let states: Vec<_> = states.as_array().expect("a list").iter().map(|it| it["state"].clone()).collect();
    assert_eq!(states, ["lapsed", "opened"]);
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_person_is_enough_the_request_is_open_at_once_and_still_a_request() {
    let running =
        with_vault_and(|config| config.reveal = RevealPolicy { is_two_person: false, hours: 1 }).await;
    let vehicle = imported(&running).await;
    let request = asked(&running.admin, &vehicle).await;
    assert_eq!(act(&running.admin, &request, "open").await.json()["vin"], VIN);
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_person_may_opens_nothing_once_two_are_asked_for_and_nobody_is_called_the_policy() {
    let running = with_vault_and(|_| ()).await;
    let vehicle = imported(&running).await;
    let app = running.server.app();
    let request = NewReveal {
        id: "reveal-1".to_owned(),
        vehicle: vehicle.parse().expect("a pseudonym"),
        reason: "recall".to_owned(),
        by: "admin".to_owned(),
        expires: app.scope().now.saturating_add(3_600_000_000),
        is_two_person: false,
    };
    let written = app.store.request_reveal(app.scope(), &request).await.expect("it is written");
    assert_eq!(written.approved_by.as_deref(), Some("policy"), "asked for while one person was enough");
    assert_eq!(act(&running.admin, "reveal-1", "open").await.status, 409);
    for name in ["policy", "cli"] {
        let user = json!({"name": name, "role": "engineer", "password": crate::harness::PASSWORD});
        assert_ne!(
            running.admin.post("/api/v1/users", user).await.status,
            200,
            "{name} is no name of a person"
        );
    }
    for number in 2..=REVEALS_OPEN_MAX {
        let request = NewReveal { id: format!("reveal-{number}"), ..request.clone() };
        app.store.request_reveal(app.scope(), &request).await.expect("it is written");
    }
    let path = format!("/api/v1/vehicles/{vehicle}/reveal");
    assert_eq!(running.admin.post(&path, json!({"reason": "one more"})).await.status, 409);
    let eve = running.user("eve", "engineer").await;
    assert_eq!(eve.post(&path, json!({"reason": "of her own"})).await.status, 200);
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shredded_vehicle_stays_registered_and_resolves_no_more() {
    let running = with_vault_and(|_| ()).await;
    let vehicle = imported(&running).await;
    let (eve, bob) = (running.user("eve", "engineer").await, running.user("bob", "engineer").await);
    let pending = asked(&eve, &vehicle).await;
    assert_eq!(act(&bob, &pending, "approve").await.status, 200);
    let path = format!("/api/v1/vehicles/{vehicle}/shred");
    assert_eq!(eve.post(&path, json!({"reason": "owner asked"})).await.status, 403);
    let gone = running.admin.post(&path, json!({"reason": "owner asked"})).await;
    assert_eq!(gone.json()["vehicle_ids"], json!([vehicle]));
    assert_eq!(act(&eve, &pending, "open").await.code(), "vault.shredded", "an old permission opens nothing");
    let again = eve.post(&format!("/api/v1/vehicles/{vehicle}/reveal"), json!({"reason": "x"})).await;
    assert_eq!((again.status, again.code()), (410, "vault.shredded".to_owned()));
    assert_eq!(running.admin.get(&format!("/api/v1/vehicles/{vehicle}")).await.status, 200);
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_vault_there_is_nothing_to_show() {
    let running = crate::harness::running().await;
    let path = format!("/api/v1/vehicles/{:032x}/reveal", 1);
    assert_eq!(running.admin.post(&path, json!({"reason": "x"})).await.code(), "vault.none");
    running.server.shutdown().await;
}

/// Log that is kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_logs_nor_files_hold_a_vin_that_came_in_and_was_shown() {
    let log = Kept::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    // Of the whole program: the server's work runs on threads of its own.
    tracing::subscriber::set_global_default(subscriber).expect("no other test of this program sets one");
    let running = with_vault_and(|_| ()).await;
    let vehicle = imported(&running).await;
    let bad = format!("vin,model_line\n{VIN}1,x\n{VIN},{VIN}\n\"{VIN}\"x,y\n");
    let report = running.admin.send_bytes("/api/v1/vehicles/import", bad.as_bytes()).await;
    assert_eq!(report.json()["refused"]["vin.length"], 1);
    assert!(!holds(&report.body, VIN), "no answer repeats one");
    let (eve, bob) = (running.user("eve", "engineer").await, running.user("bob", "engineer").await);
    let request = asked(&eve, &vehicle).await;
    assert_eq!(act(&bob, &request, "approve").await.status, 200);
    assert_eq!(act(&eve, &request, "open").await.json()["vin"], VIN);
    let mut folders = vec![running.folder.path().to_path_buf()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            assert!(!holds(&std::fs::read(&path).expect("a file"), VIN), "{} holds it", path.display());
        }
    }
    assert!(files > 5);
    running.server.shutdown().await;
    let said = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(holds(&said, &vehicle) || said.len() > 10_000, "the log was kept");
    assert!(!holds(&said, VIN), "the log holds it");
}
