//! Databases on a real PostgreSQL, which `scripts/postgres.sh test` starts and stops.
//!
//! Without it (no `OUTRIDER_POSTGRES`) what needs one says so and passes, unless `OUTRIDER_NEED_POSTGRES` is set. With
//! it, every server of the other tests keeps its cases there, so that all of them run on both databases.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use outrider_server::store::{PostgresUrl, SqlStore};
use sqlx::{Connection as _, Executor as _};

static NAMES: AtomicU32 = AtomicU32::new(0);

/// A database that no other test uses.
pub(crate) struct Fresh(String);

impl Fresh {
    /// Makes one on the server that the environment names.
    #[expect(clippy::print_stdout, reason = "a skipped test says so")]
    pub(crate) async fn new() -> Option<Self> {
        let Some(folder) = server_folder() else {
            assert!(std::env::var_os("OUTRIDER_NEED_POSTGRES").is_none(), "PostgreSQL is needed");
            println!("SKIPPED: no PostgreSQL; run scripts/postgres.sh test");
            return None;
        };
        Some(Self::on(&folder, None).await)
    }

    /// Makes one on the server of a folder, empty or with what another one holds that nobody uses.
    pub(crate) async fn on(folder: &Path, template: Option<&str>) -> Self {
        let server = std::fs::read_to_string(folder.join("url")).expect("the script wrote it");
        let server = server.trim();
        let name = format!("case{}_{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed));
        let mut connection = sqlx::PgConnection::connect(server).await.expect("the server runs");
        let sql = match template {
            Some(template) => format!("CREATE DATABASE {name} TEMPLATE {template}"),
            None => format!("CREATE DATABASE {name}"),
        };
        connection.execute(sqlx::AssertSqlSafe(sql)).await.expect("it is made");
        connection.close().await.expect("it closes");
        let (head, _) = server.rsplit_once('/').expect("an address has a path");
        Self(format!("{head}/{name}"))
    }

    pub(crate) fn url(&self) -> PostgresUrl {
        self.address().parse().expect("an address")
    }

    pub(crate) fn address(&self) -> &str {
        &self.0
    }

    pub(crate) async fn open(&self) -> SqlStore {
        SqlStore::connect(&self.url()).await.expect("it opens")
    }
}

/// Folder of the server that the environment names.
pub(crate) fn server_folder() -> Option<PathBuf> {
    std::env::var_os("OUTRIDER_POSTGRES").map(PathBuf::from)
}

/// Makes an installation keep its cases on the server, if there is one; a second start finds them again.
pub(crate) async fn place(folder: &Path) {
    let path = folder.join("cases.url");
    if server_folder().is_none() || path.exists() || folder.join("cases.sqlite").exists() {
        return;
    }
    write_address(folder, &Fresh::new().await.expect("there is a server"));
}

/// Makes another installation keep a copy of the cases that one has on the server, if it has them there.
pub(crate) async fn copy(from: &Path, to: &Path) {
    let Ok(address) = std::fs::read_to_string(from.join("cases.url")) else { return };
    let (_, name) = address.rsplit_once('/').expect("an address has a path");
    let server = server_folder().expect("it is on the server");
    write_address(to, &Fresh::on(&server, Some(name)).await);
}

pub(crate) fn write_address(folder: &Path, fresh: &Fresh) {
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    let mut file = options.open(folder.join("cases.url")).expect("a new file");
    std::io::Write::write_all(&mut file, fresh.address().as_bytes()).expect("it is written");
}
