//! The case database on a PostgreSQL server that is new, older, newer, elsewhere, or gone.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use outrider_server::store::{
    CommandStore as _, FleetStore as _, IdentityStore as _, PostgresUrl, SqlStore, StoreError,
};
use outrider_types::VehicleId;
use sqlx::{Connection as _, Executor as _};

use crate::postgres::{Fresh, server_folder, write_address};
use crate::store::SCOPE;

/// Numbers that were acknowledged before the server is killed.
const DRAWN_MIN: usize = 20;

async fn run(address: &str, sql: &'static str) {
    let mut connection = sqlx::PgConnection::connect(address).await.expect("the server runs");
    connection.execute(sql).await.expect("it runs");
    connection.close().await.expect("it closes");
}

#[tokio::test]
async fn tables_of_a_later_version_are_refused_and_left_alone() {
    let Some(fresh) = Fresh::new().await else { return };
    fresh.open().await.close().await;
    fresh.open().await.close().await;
    run(fresh.address(), "UPDATE case_database SET version = version + 1").await;
    let refused = SqlStore::connect(&fresh.url()).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    run(fresh.address(), "UPDATE case_database SET version = version - 1").await;
    let store = fresh.open().await;
    assert!(store.database_bytes().await.expect("it answers") > 0);
    store.close().await;
}

#[tokio::test]
async fn the_file_with_the_address_is_read_only_if_nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(fresh) = Fresh::new().await else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(!SqlStore::is_in(folder.path()));
    write_address(folder.path(), &fresh);
    assert!(SqlStore::is_in(folder.path()));
    SqlStore::of_folder(folder.path()).await.expect("it opens").close().await;
    assert!(!folder.path().join("cases.sqlite").exists(), "nothing is made beside it");
    let path = folder.path().join("cases.url");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("it is set");
    let refused = SqlStore::of_folder(folder.path()).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn the_certificate_of_the_server_is_checked() {
    let (Some(fresh), Some(folder)) = (Fresh::new().await, server_folder()) else { return };
    for (ca, is_good) in [("ca.pem", true), ("other.pem", false)] {
        let ca = folder.join("tls").join(ca);
        let url = format!("{}?sslmode=verify-full&sslrootcert={}", fresh.address(), ca.display());
        let opened = SqlStore::connect(&url.parse::<PostgresUrl>().expect("an address")).await;
        assert_eq!(opened.is_ok(), is_good, "{opened:?}");
        if let Ok(store) = opened {
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_told() {
    let Some(fresh) = Fresh::new().await else { return };
    let (head, tail) = fresh.address().split_once('@').expect("an address with a user");
    let (scheme, _) = head.rsplit_once(':').expect("a password");
    let url = format!("{scheme}:geheim@{tail}").parse::<PostgresUrl>().expect("an address");
    let error = SqlStore::connect(&url).await.expect_err("it is refused");
    assert!(!format!("{error} {error:?}").contains("geheim"), "{error:?}");
}

#[tokio::test]
async fn text_with_a_nul_is_kept_without_it() {
    let Some(fresh) = Fresh::new().await else { return };
    let store = fresh.open().await;
    let name = "a\0b";
    store
        .create_account(SCOPE, name, outrider_server::api::dto::Role::Analyst, "hash", false)
        .await
        .expect("it is made");
    let account = store.account(SCOPE, name).await.expect("it reads").expect("it is found again");
    assert_eq!(account.user.name, "a\u{2400}b");
    store.close().await;
}

/// Draws numbers until the server is gone; returns those that were acknowledged.
async fn draw(store: &SqlStore, vehicle: VehicleId, most: usize) -> Vec<u64> {
    let mut drawn = Vec::new();
    while drawn.len() < most {
        match store.next_command_sequence(SCOPE, vehicle).await {
            Ok(number) => drawn.push(number),
            Err(StoreError::Database(_)) => break,
            Err(error) => panic!("a lost server is a fault of the database, not {error:?}"),
        }
    }
    drawn
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_fail_a_call_and_come_back() {
    let Some(fresh) = Fresh::new().await else { return };
    let store = fresh.open().await;
    let vehicle = VehicleId([1; 16]);
    let mut last = 0;
    for _ in 0..5 {
        let kill = async {
            run(
                fresh.address(),
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await;
        };
        let (drawn, ()) = tokio::join!(draw(&store, vehicle, 200), kill);
        for number in drawn {
            assert!(number > last, "an acknowledged number was given out again");
            last = number;
        }
        // The pool finds out about each connection when it asks for it.
        let again = draw(&store, vehicle, 1).await;
        last = again.first().copied().unwrap_or(last);
    }
    assert!(!draw(&store, vehicle, 1).await.is_empty(), "it goes on by itself");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_neither_lock_nor_transaction() {
    let Some(fresh) = Fresh::new().await else { return };
    let store = fresh.open().await;
    let vehicle = VehicleId([1; 16]);
    for polls in 1..60_u32 {
        let mut call = Box::pin(store.next_command_sequence(SCOPE, vehicle));
        for _ in 0..polls {
            // Given up after this many steps: while it connects, waits for the lock, writes or commits.
            let is_done = std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready()));
            if is_done.await {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
    }
    assert!(!draw(&store, vehicle, 1).await.is_empty(), "no lock is left");
    store.close().await;
}

fn script(act: &str, folder: &Path, more: &[&str]) {
    let script = std::env::var_os("OUTRIDER_POSTGRES_SCRIPT").expect("the script names itself");
    let mut command = Command::new("bash");
    command.arg(script).arg(act).arg(folder).args(more).stdout(std::process::Stdio::null());
    assert!(command.status().expect("bash runs").success(), "{act}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_loses_nothing_it_acknowledged() {
    if std::env::var_os("OUTRIDER_POSTGRES_SCRIPT").is_none() || Fresh::new().await.is_none() {
        return;
    }
    // In /tmp: the server runs as another user, who must be able to come this far.
    let folder = tempfile::tempdir().expect("a temporary folder");
    script("start", folder.path(), &["durable"]);
    let fresh = Fresh::on(folder.path(), None).await;
    let store = fresh.open().await;
    let vehicle = VehicleId([1; 16]);
    let mut last = 0;
    for _ in 0..3 {
        let drawn_by_now = Arc::new(AtomicUsize::new(0));
        let (count, path) = (drawn_by_now.clone(), folder.path().to_owned());
        let crash = async move {
            for _ in 0..6000 {
                if count.load(Ordering::Relaxed) >= DRAWN_MIN {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::task::spawn_blocking(move || script("crash", &path, &[])).await.expect("it crashes");
        };
        let load = async {
            let mut drawn = Vec::new();
            loop {
                let some = draw(&store, vehicle, 1).await;
                if some.is_empty() && drawn.len() >= DRAWN_MIN {
                    return drawn;
                }
                drawn.extend(some);
                drawn_by_now.store(drawn.len(), Ordering::Relaxed);
            }
        };
        let (drawn, ()) = tokio::join!(load, crash);
        for number in drawn {
            assert!(number > last, "an acknowledged number was given out again");
            last = number;
        }
        script("restart", folder.path(), &[]);
    }
    let next = loop {
        if let Some(next) = draw(&store, vehicle, 1).await.first() {
            break *next;
        }
    };
    assert!(next > last);
    store.close().await;
    script("stop", folder.path(), &[]);
}
