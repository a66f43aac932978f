//! PostgreSQL servers: where they are, and how they are reached.

use std::fmt;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};

use super::engine::Pool;
use super::{READERS, SqlStore, tables};
use crate::store::{StoreError, StoreResult};

/// Connections for writing: one writes, and the next one is ready to.
const WRITERS: u32 = 2;
/// Longest wait for a free connection or for a new one.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// What each session asks of the server. The wait for the lock of writers is that for SQLite's; a node that stops in the
/// middle of a transaction loses it, so that it holds up the others no longer than that.
const SESSION: [(&str, &str); 5] = [
    ("statement_timeout", "60s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("tcp_keepalives_idle", "15"),
    ("tcp_user_timeout", "30000"),
];
/// Name of the file that says where the case database of an installation is; without it, it is in the folder.
const ADDRESS: &str = "cases.url";
/// Name of the case database in a folder.
const FILE: &str = "cases.sqlite";
/// Bytes of an address: far more than one needs.
const ADDRESS_BYTES_MAX: u64 = 4096;
/// Parameters that an address may have; the driver would log those that it does not know.
const PARAMETERS: [&str; 9] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "dbname", "user", "application_name"];

/// Address of a PostgreSQL database; it may hold a password, so it is never shown whole.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PostgresUrl(…)")
    }
}

impl FromStr for PostgresUrl {
    type Err = StoreError;

    /// Reads `postgres://user:password@host:port/database?parameters`.
    ///
    /// # Errors
    /// [`StoreError::Invalid`], which never holds a part of the address but the name of a parameter.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(StoreError::Invalid(
                "the address of a database begins with postgres:// or postgresql://".to_owned(),
            ));
        }
        let parameters = text.split_once('?').map_or("", |(_, parameters)| parameters);
        for name in parameters.split('&').filter_map(|part| part.split('=').next()) {
            if !name.is_empty() && !PARAMETERS.contains(&name) {
                // A mistyped name may be a part of a password.
                return Err(StoreError::Invalid(format!(
                    "the address of the database has a parameter that is none of {}",
                    PARAMETERS.join(", ")
                )));
            }
        }
        let url = Self(text.to_owned());
        url.options()?;
        Ok(url)
    }
}

impl PostgresUrl {
    /// Reads the address, and asks for a verified server wherever the way to it leaves this machine.
    fn options(&self) -> StoreResult<PgConnectOptions> {
        let options = PgConnectOptions::from_str(&self.0).map_err(|_| {
            StoreError::Invalid("the address of the database or a parameter of it cannot be read".to_owned())
        })?;
        let host = options.get_host();
        let is_here = options.get_socket().is_some()
            || host.starts_with('/')
            || host == "localhost"
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let options = match options.get_ssl_mode() {
            _ if is_here => options,
            PgSslMode::Prefer => options.ssl_mode(PgSslMode::VerifyFull),
            PgSslMode::Disable | PgSslMode::Allow => {
                return Err(StoreError::Invalid(
                    "a database on another machine is reached with TLS only: sslmode=verify-full, verify-ca or require"
                        .to_owned(),
                ));
            }
            PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => options,
        };
        Ok(options.options(SESSION))
    }
}

async fn pool(options: PgConnectOptions, connections: u32) -> sqlx::Result<PgPool> {
    PgPoolOptions::new().max_connections(connections).acquire_timeout(CONNECT_MAX).connect_with(options).await
}

impl SqlStore {
    /// Connects to a server, making the tables where they are missing.
    ///
    /// # Errors
    /// [`StoreError::Database`]; [`StoreError::Conflict`] if the tables were written by another version, or if the
    /// database holds no UTF-8.
    pub async fn connect(url: &PostgresUrl) -> StoreResult<Self> {
        let options = url.options()?;
        let write = pool(options.clone(), WRITERS).await?;
        tables::upgrade_server(&Pool::Postgres(write.clone())).await?;
        let read = pool(options.options([("default_transaction_read_only", "on")]), READERS).await?;
        Ok(Self { write: Pool::Postgres(write), read: Pool::Postgres(read) })
    }

    /// Opens the case database of an installation: the server that `cases.url` in its folder names, else the file
    /// `cases.sqlite` there.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if `cases.url` holds no address or may be read by other users; as of [`SqlStore::open`] and
    /// [`SqlStore::connect`].
    pub async fn of_folder(folder: &Path) -> StoreResult<Self> {
        match address(&folder.join(ADDRESS))? {
            Some(url) => Self::connect(&url).await,
            None => Self::open(&folder.join(FILE)).await,
        }
    }

    /// Returns whether an installation has a case database already, as far as its folder tells.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        folder.join(ADDRESS).exists() || folder.join(FILE).exists()
    }
}

/// Reads the address in a file, if the file is there.
fn address(path: &Path) -> StoreResult<Option<PostgresUrl>> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::Invalid(format!("{}: {error}", path.display()))),
    };
    let unreadable = |error| StoreError::Invalid(format!("{}: {error}", path.display()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            let text = format!("{}: other users may read it; run chmod 600", path.display());
            return Err(StoreError::Invalid(text));
        }
    }
    let mut text = String::new();
    file.take(ADDRESS_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    text.trim().parse().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> Option<&'static str> {
        let options = url.parse::<PostgresUrl>().ok()?.options().expect("it was read before");
        Some(match options.get_ssl_mode() {
            PgSslMode::Disable => "disable",
            PgSslMode::Allow => "allow",
            PgSslMode::Prefer => "prefer",
            PgSslMode::Require => "require",
            PgSslMode::VerifyCa => "verify-ca",
            PgSslMode::VerifyFull => "verify-full",
        })
    }

    #[test]
    fn a_server_elsewhere_is_verified_and_never_reached_in_the_clear() {
        for (url, expected) in [
            ("postgres://u@127.0.0.1/d", Some("prefer")),
            ("postgres://u@[::1]/d", Some("prefer")),
            ("postgres://u@localhost:5433/d?sslmode=disable", Some("disable")),
            ("postgres://u@%2Frun%2Fpostgresql/d", Some("prefer")),
            ("postgres://u@db.example/d", Some("verify-full")),
            ("postgresql://u@10.0.0.7/d", Some("verify-full")),
            ("postgres://u@localhost.example/d", Some("verify-full")),
            ("postgres://u@db.example/d?sslmode=prefer", Some("verify-full")),
            ("postgres://u@db.example/d?sslmode=verify-ca&sslrootcert=/ca.pem", Some("verify-ca")),
            ("postgres://u@db.example/d?sslmode=require", Some("require")),
            ("postgres://u@db.example/d?sslmode=disable", None),
            ("postgres://u@db.example/d?sslmode=allow", None),
            ("postgres://u@127.0.0.1/d?host=db.example&sslmode=disable", None),
            ("mysql://u@127.0.0.1/d", None),
            ("postgres://u@127.0.0.1:port/d", None),
            ("postgres://u@127.0.0.1/d?passwd=x", None),
            ("postgres://u@127.0.0.1/d?options=-c%20fsync%3Doff", None),
        ] {
            assert_eq!(mode(url), expected, "{url}");
        }
    }

    #[test]
    fn neither_the_address_nor_an_error_about_it_shows_the_password() {
        let url: PostgresUrl = "postgres://ada:geheim@127.0.0.1/d".parse().expect("an address");
        assert_eq!(format!("{url:?}").matches("geheim").count(), 0);
        for bad in [
            "postgres://ada:geheim@127.0.0.1:geheim/d",
            "postgres://ada:geheim@db.example/d?sslmode=disable",
            "postgres://ada@127.0.0.1/d?geheim=1",
            "postgres://ada@127.0.0.1/d?sslmode=geheim",
            "geheim",
        ] {
            let error = bad.parse::<PostgresUrl>().expect_err("it is refused");
            assert!(!format!("{error} {error:?}").contains("geheim"), "{error:?}");
        }
    }
}
