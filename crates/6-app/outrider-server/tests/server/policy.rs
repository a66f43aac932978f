//! Who may do what: the whole table, route by route and role by role.

use outrider_server::api::dto::Role;
use outrider_server::api::route::{Access, Operation};
use outrider_server::metrics::{CONTENT_TYPE, TOKEN_FILE};
use serde_json::json;
use tokio::net::TcpStream;

use crate::client::{Browser, exchange};
use crate::harness::running;

/// Path of a route with identities that do not exist.
fn path(route: &str) -> String {
    route
        .replace("{id}", "none")
        .replace("{rid}", "none")
        .replace("{name}", "nobody")
        .replace("{feed}", "nobody")
        .replace("{sha256}", "none")
}

/// Whether the guard let a request through to its handler.
fn is_admitted(status: u16, code: &str) -> bool {
    !(status == 401 && code == "unauthenticated" || status == 403)
}

async fn admitted(browser: &Browser, operation: Operation) -> bool {
    let route = operation.route();
    if operation == Operation::Stream {
        // An open stream never ends; a parameter that does not fit ends it behind the guard.
        let answer = browser.get("/api/v1/stream?last_event_id=x").await;
        return is_admitted(answer.status, &answer.code());
    }
    let body = route.body.map(|_| json!({}));
    let answer = browser.send(route.method.name(), &path(route.path), body).await;
    let code = if answer.status >= 400 { answer.code() } else { String::new() };
    is_admitted(answer.status, &code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_admits_exactly_the_roles_of_the_table() {
    let running = running().await;
    let mut checked = 0;
    for role in Role::ALL {
        let browser = running.user(&format!("user-{}", role.word()), role.word()).await;
        for operation in Operation::ALL {
            // Logging out would end the session under test; it has a test of its own.
            if *operation == Operation::Logout {
                continue;
            }
            let expected = match operation.route().access {
                Access::Public | Access::AnySession => true,
                Access::Role(needed) => *role >= needed,
                // A session is no credential of a feed.
                Access::Feed => false,
                // The monitoring system's token is not a session, and a session is not its token.
                Access::Monitor => false,
            };
            let got = admitted(&browser, *operation).await;
            assert_eq!(got, expected, "{} as {}", operation.route().id, role.word());
            checked += 1;
        }
    }
    assert_eq!(checked, 3 * (Operation::ALL.len() - 1));
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_session_only_public_routes_answer() {
    let running = running().await;
    let stranger = Browser::new(running.server.api_addr);
    for operation in Operation::ALL {
        let is_public = operation.route().access == Access::Public;
        assert_eq!(admitted(&stranger, *operation).await, is_public, "{}", operation.route().id);
    }
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counters_need_the_token_and_follow_what_is_received() {
    let running = running().await;
    let file = running.folder.path().join("secrets").join(TOKEN_FILE);
    let token = std::fs::read_to_string(file).expect("a token was drawn");
    let get = async |authorization: &str| {
        let stream = TcpStream::connect(running.server.api_addr).await.expect("the server listens");
        exchange(stream, &format!("GET /metrics HTTP/1.1\r\nAuthorization: {authorization}\r\n"), b"").await
    };
    for wrong in ["Bearer x", "Basic x", &format!("Bearer {}0", token.trim())] {
        let answer = get(wrong).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{wrong}");
    }
    let vehicle = running.vehicle(1).await;
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(1..=5)).await.status, 200);
    running.settle().await;
    let answer = get(&format!("Bearer {}", token.trim())).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type").as_deref(), Some(CONTENT_TYPE));
    let page = String::from_utf8(answer.body).expect("text");
    for line in [
        "outrider_stage_received_units_total{stage=\"uplink\",unit=\"frames\"} 1",
        "outrider_stage_passed_units_total{stage=\"ingest_events\",unit=\"events\"} 5",
        "outrider_stage_unbalanced{stage=\"lake\"} 0",
        "outrider_log_lag_records{partition=\"0\"} 0",
        "outrider_worker_stuck 0",
    ] {
        assert!(page.lines().any(|each| each == line), "{line}\n{page}");
    }
    let busy = page
        .lines()
        .find_map(|line| line.strip_prefix("outrider_worker_busy_seconds_total{stage=\"decode\"} "));
    assert!(busy.is_some_and(|seconds| seconds.parse::<f64>().is_ok_and(|seconds| seconds > 0.0)), "{page}");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_needs_the_csrf_token() {
    let running = running().await;
    let mut browser = running.admin.clone();
    let token = std::mem::take(&mut browser.csrf);
    for wrong in [String::new(), "0".repeat(64), token[..63].to_owned()] {
        browser.csrf = wrong;
        for operation in Operation::ALL {
            let route = operation.route();
            if !route.method.changes() || matches!(route.access, Access::Public | Access::Feed) {
                continue;
            }
            let answer = browser.send(route.method.name(), &path(route.path), Some(json!({}))).await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "csrf"), "{}", route.id);
        }
    }
    assert_eq!(browser.get("/api/v1/overview").await.status, 200, "reading needs no token");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_paths_are_refused_and_every_answer_has_the_headers() {
    let running = running().await;
    let missing = running.admin.get("/api/v1/nothing").await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "not_found"));
    assert_eq!(running.admin.get("/assets/nothing.js").await.status, 404);
    let shell = running.admin.get("/alerts").await;
    assert_eq!(shell.status, 200);
    for answer in [missing, shell] {
        assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy").as_deref(), Some("no-referrer"));
        assert!(
            answer
                .header("content-security-policy")
                .is_some_and(|policy| policy.contains("default-src 'none'"))
        );
    }
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_fit_is_refused_as_json() {
    let running = running().await;
    let cases = [
        ("/api/v1/cases", json!({"title": "", "severity": "high"}), 422, "invalid"),
        ("/api/v1/cases", json!({"title": "x", "severity": "worst"}), 422, "body"),
        ("/api/v1/cases", json!({"title": "x", "severity": "high", "extra": 1}), 422, "body"),
        ("/api/v1/alerts/actions", json!({"action": "close", "selection": {}}), 422, "invalid"),
        ("/api/v1/sql", json!({"query": "select 1", "limit": 0}), 422, "invalid"),
        (
            "/api/v1/users",
            json!({"name": "Ada", "role": "analyst", "password": PASSWORDS[0]}),
            422,
            "invalid",
        ),
        (
            "/api/v1/users",
            json!({"name": "ada", "role": "analyst", "password": PASSWORDS[1]}),
            422,
            "invalid",
        ),
    ];
    for (path, body, status, code) in cases {
        let answer = running.admin.post(path, body.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path} {body}");
    }
    let large =
        running.admin.post("/api/v1/cases", json!({"title": "x".repeat(2 << 20), "severity": "high"})).await;
    assert_eq!(large.status, 413);
    running.server.shutdown().await;
}

const PASSWORDS: [&str; 2] = ["long enough to pass", "short"];
