//! Logging in, staying in, being locked out.

use serde_json::json;

use crate::client::Browser;
use crate::harness::{PASSWORD, World, running};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_administrator_must_change_the_password_and_is_made_once() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a temporary folder"));
    let server = world.start(folder.path()).await;
    let first = server.first_admin_password.clone().expect("the first start makes an administrator");
    let mut admin = Browser::new(server.api_addr);
    let login = admin.login("admin", &first).await;
    assert_eq!(login.json()["user"]["must_change_password"], json!(true));
    let cookie = login.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let refused = admin.get("/api/v1/overview").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "password_change_required"));
    let same = admin.post("/api/v1/session/password", json!({"old": first, "new": first})).await;
    assert_eq!(same.status, 422);
    let changed = admin.post("/api/v1/session/password", json!({"old": first, "new": PASSWORD})).await;
    assert_eq!(changed.json()["user"]["must_change_password"], json!(false));
    assert_eq!(admin.get("/api/v1/overview").await.status, 200);
    server.shutdown().await;
    let again = world.start(folder.path()).await;
    assert_eq!(again.first_admin_password, None);
    assert_eq!(Browser::new(again.api_addr).login("admin", &first).await.status, 401);
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_locks_the_account_for_longer_and_longer() {
    let running = running().await;
    let mut stranger = Browser::new(running.server.api_addr);
    for _ in 0..5 {
        assert_eq!(stranger.login("admin", "wrong password").await.status, 401);
    }
    let locked = stranger.login("admin", PASSWORD).await;
    assert_eq!(
        (locked.status, locked.code().as_str()),
        (401, "refused"),
        "the right password is locked out too, and nobody learns that the account exists"
    );
    running.world.wait_seconds(31);
    assert_eq!(stranger.login("admin", "wrong password").await.status, 401);
    running.world.wait_seconds(31);
    assert_eq!(stranger.login("admin", PASSWORD).await.status, 401, "the second lock is longer");
    running.world.wait_seconds(31);
    assert_eq!(stranger.login("admin", PASSWORD).await.status, 200);
    assert_eq!(stranger.login("nobody", "wrong password").await.code(), "refused", "as for a wrong password");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_when_idle_and_after_a_shift() {
    let running = running().await;
    assert_eq!(running.admin.get("/api/v1/session").await.status, 200);
    running.world.wait_seconds(3599);
    assert_eq!(running.admin.get("/api/v1/session").await.status, 200, "used within the hour");
    running.world.wait_seconds(3601);
    assert_eq!(running.admin.get("/api/v1/session").await.status, 401, "idle for more than an hour");
    let mut second = Browser::new(running.server.api_addr);
    assert_eq!(second.login("admin", PASSWORD).await.status, 200);
    for _ in 0..12 {
        running.world.wait_seconds(3590);
        assert_eq!(second.get("/api/v1/session").await.status, 200);
    }
    running.world.wait_seconds(130);
    assert_eq!(second.get("/api/v1/session").await.status, 401, "twelve hours are over");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logging_out_and_being_disabled_end_sessions() {
    let running = running().await;
    let mut ada = running.user("ada", "analyst").await;
    let out = ada.send("DELETE", "/api/v1/session", None).await;
    assert_eq!(out.status, 204);
    assert_eq!(ada.get("/api/v1/session").await.status, 401);
    assert_eq!(ada.login("ada", PASSWORD).await.status, 200);
    let disabled = running.admin.send("PATCH", "/api/v1/users/ada", Some(json!({"disabled": true}))).await;
    assert_eq!(disabled.json()["disabled"], json!(true));
    assert_eq!(ada.get("/api/v1/session").await.status, 401);
    assert_eq!(ada.login("ada", PASSWORD).await.status, 401);
    let last = running.admin.send("PATCH", "/api/v1/users/admin", Some(json!({"role": "analyst"}))).await;
    assert_eq!(last.status, 409, "the last administrator stays");
    running.server.shutdown().await;
}
