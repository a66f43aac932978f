//! The vault's SQLite file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use outrider_types::{TenantId, UnixMicros, VehicleId};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, Transaction};

use super::key::{Sealed, Tag};
use super::{KnownVehicle, VaultError};
use crate::store::Scope;

/// Version in `PRAGMA user_version`.
const VERSION: i64 = 2;
/// Tables of version 1, and what version 2 added.
const TABLES: &str = include_str!("schema.sql");
const NAMES: &str = include_str!("schema_names.sql");
/// Rows of one statement: five values each stay far below SQLite's limit of 32,766.
const ROWS_MAX: usize = 2000;

/// Epoch of a tenant.
pub(super) struct StoredEpoch {
    pub(super) epoch: u32,
    pub(super) wrapped: Sealed,
    pub(super) keeps: bool,
    pub(super) by_names: bool,
}

/// Vehicle that the vault did not know.
pub(super) struct NewVehicle {
    pub(super) number: i64,
    pub(super) tag: Tag,
    pub(super) wrapped: Sealed,
}

/// Pseudonym that the vault did not have.
pub(super) struct NewPseudonym {
    pub(super) id: VehicleId,
    pub(super) vehicle: i64,
    pub(super) epoch: u32,
    pub(super) sealed: Sealed,
}

/// What the file says of a pseudonym.
pub(super) struct Mapping {
    pub(super) vehicle: i64,
    pub(super) tag: Option<Tag>,
    pub(super) wrapped: Vec<u8>,
    pub(super) sealed: Option<Sealed>,
    pub(super) shredded: Option<UnixMicros>,
}

/// The file; one connection, because writers are rare and a reader must not hold back an erasure.
pub(super) struct VaultFile(SqlitePool);

impl VaultFile {
    pub(super) async fn open(path: &Path) -> Result<Self, VaultError> {
        make_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Truncate)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON")
            .pragma("temp_store", "MEMORY")
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
        let missing: &[&'static str] = match version {
            0 => &[TABLES, NAMES],
            1 => &[NAMES],
            VERSION => &[],
            _ => return Err(VaultError::Damaged("tables of another version")),
        };
        for part in missing {
            sqlx::raw_sql(*part).execute(&mut *transaction).await?;
        }
        sqlx::raw_sql("PRAGMA user_version = 2").execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Self(pool))
    }

    pub(super) async fn close(&self) {
        self.0.close().await;
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, VaultError> {
        Ok(self.0.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Begins to read without keeping writers out.
    pub(super) async fn read(&self) -> Result<Transaction<'static, Sqlite>, VaultError> {
        Ok(self.0.begin().await?)
    }

    /// Compares the check value; the first one is kept.
    pub(super) async fn check(&self, value: &[u8; 32]) -> Result<bool, VaultError> {
        let mut transaction = self.begin().await?;
        let kept: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT value FROM vault_check").fetch_optional(&mut *transaction).await?;
        let Some(kept) = kept else {
            sqlx::query("INSERT INTO vault_check (value) VALUES (?)")
                .bind(value.as_slice())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            return Ok(true);
        };
        Ok(kept == value)
    }

    pub(super) async fn newest_epoch(
        &self,
        connection: &mut SqliteConnection,
        tenant: TenantId,
    ) -> Result<Option<StoredEpoch>, VaultError> {
        let row = sqlx::query(
            "SELECT epoch, wrapped, keeps, by_names FROM vault_epoch WHERE tenant = ? ORDER BY epoch DESC LIMIT 1",
        )
        .bind(i64::from(tenant.0))
        .fetch_optional(connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(StoredEpoch {
            epoch: row.try_get("epoch")?,
            wrapped: row.try_get("wrapped")?,
            keeps: row.try_get("keeps")?,
            by_names: row.try_get("by_names")?,
        }))
    }

    /// Returns the first epoch whose pseudonyms are still in use: the newest one that broke with those before it.
    pub(super) async fn linked_since(
        &self,
        connection: &mut SqliteConnection,
        tenant: TenantId,
    ) -> Result<u32, VaultError> {
        let query = "SELECT coalesce(max(epoch), 0) FROM vault_epoch WHERE tenant = ? AND keeps = 0";
        Ok(sqlx::query_scalar(query).bind(i64::from(tenant.0)).fetch_one(connection).await?)
    }

    pub(super) async fn insert_epoch(
        &self,
        connection: &mut SqliteConnection,
        scope: Scope,
        epoch: &StoredEpoch,
    ) -> Result<(), VaultError> {
        sqlx::query(
            "INSERT INTO vault_epoch (tenant, epoch, wrapped, keeps, by_names, begun_at) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(epoch.epoch)
        .bind(&epoch.wrapped)
        .bind(epoch.keeps)
        .bind(epoch.by_names)
        .bind(scope.now.0)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Returns what is known of some VINs, with the newest pseudonym of each.
    pub(super) async fn find(
        &self,
        connection: &mut SqliteConnection,
        tenant: TenantId,
        tags: &[Tag],
    ) -> Result<BTreeMap<Tag, KnownVehicle>, VaultError> {
        let mut known = BTreeMap::new();
        for some in tags.chunks(ROWS_MAX) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "SELECT v.tag, v.number, v.wrapped, p.vehicle_id, max(p.epoch) AS epoch FROM vault_vehicle v \
                 LEFT JOIN vault_pseudonym p ON p.vehicle = v.number WHERE v.tenant = ",
            );
            query.push_bind(i64::from(tenant.0)).push(" AND v.tag IN (");
            let mut list = query.separated(", ");
            for tag in some {
                list.push_bind(tag.to_vec());
            }
            list.push_unseparated(") GROUP BY v.number");
            for row in query.build().fetch_all(&mut *connection).await? {
                let id: Option<Vec<u8>> = row.try_get("vehicle_id")?;
                let epoch: Option<u32> = row.try_get("epoch")?;
                let newest = id.zip(epoch).map(|(id, epoch)| Ok::<_, VaultError>((vehicle_id(id)?, epoch)));
                let vehicle = KnownVehicle {
                    number: row.try_get("number")?,
                    wrapped: row.try_get("wrapped")?,
                    newest: newest.transpose()?,
                };
                known.insert(tag(row.try_get("tag")?)?, vehicle);
            }
        }
        Ok(known)
    }

    /// Returns the highest number ever given to a vehicle.
    pub(super) async fn last_number(&self, connection: &mut SqliteConnection) -> Result<i64, VaultError> {
        let query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'vault_vehicle'";
        Ok(sqlx::query_scalar(query).fetch_one(connection).await?)
    }

    pub(super) async fn insert(
        &self,
        connection: &mut SqliteConnection,
        scope: Scope,
        vehicles: &[NewVehicle],
        pseudonyms: &[NewPseudonym],
    ) -> Result<(), VaultError> {
        let tenant = i64::from(scope.tenant.0);
        for some in vehicles.chunks(ROWS_MAX) {
            let mut query =
                QueryBuilder::<Sqlite>::new("INSERT INTO vault_vehicle (number, tenant, tag, wrapped) ");
            query.push_values(some, |mut row, vehicle| {
                row.push_bind(vehicle.number).push_bind(tenant);
                row.push_bind(vehicle.tag.to_vec()).push_bind(vehicle.wrapped.clone());
            });
            query.build().execute(&mut *connection).await?;
        }
        for some in pseudonyms.chunks(ROWS_MAX) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "INSERT INTO vault_pseudonym (tenant, vehicle_id, vehicle, epoch, sealed, made_at) ",
            );
            query.push_values(some, |mut row, pseudonym| {
                row.push_bind(tenant).push_bind(pseudonym.id.0.to_vec()).push_bind(pseudonym.vehicle);
                row.push_bind(pseudonym.epoch).push_bind(pseudonym.sealed.clone()).push_bind(scope.now.0);
            });
            query.build().execute(&mut *connection).await?;
        }
        Ok(())
    }

    pub(super) async fn mapping(
        &self,
        connection: &mut SqliteConnection,
        tenant: TenantId,
        vehicle: VehicleId,
    ) -> Result<Option<Mapping>, VaultError> {
        let row = sqlx::query(
            "SELECT p.vehicle, p.sealed, p.shredded_at, v.tag, v.wrapped FROM vault_pseudonym p \
             LEFT JOIN vault_vehicle v ON v.number = p.vehicle WHERE p.tenant = ? AND p.vehicle_id = ?",
        )
        .bind(i64::from(tenant.0))
        .bind(vehicle.0.as_slice())
        .fetch_optional(connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Mapping {
            vehicle: row.try_get("vehicle")?,
            tag: row.try_get::<Option<Vec<u8>>, _>("tag")?.map(tag).transpose()?,
            wrapped: row.try_get::<Option<Vec<u8>>, _>("wrapped")?.unwrap_or_default(),
            sealed: row.try_get("sealed")?,
            shredded: row.try_get::<Option<i64>, _>("shredded_at")?.map(UnixMicros),
        }))
    }

    /// Returns which of some pseudonyms the file has, resolvable or not.
    pub(super) async fn taken(
        &self,
        connection: &mut SqliteConnection,
        tenant: TenantId,
        ids: &[VehicleId],
    ) -> Result<BTreeSet<VehicleId>, VaultError> {
        let mut taken = BTreeSet::new();
        for some in ids.chunks(ROWS_MAX) {
            let mut query =
                QueryBuilder::<Sqlite>::new("SELECT vehicle_id FROM vault_pseudonym WHERE tenant = ");
            query.push_bind(i64::from(tenant.0)).push(" AND vehicle_id IN (");
            let mut list = query.separated(", ");
            for id in some {
                list.push_bind(id.0.to_vec());
            }
            list.push_unseparated(")");
            for row in query.build().fetch_all(&mut *connection).await? {
                taken.insert(vehicle_id(row.try_get("vehicle_id")?)?);
            }
        }
        Ok(taken)
    }

    /// Returns all pseudonyms of a vehicle, by epoch.
    pub(super) async fn pseudonyms(
        &self,
        connection: &mut SqliteConnection,
        vehicle: i64,
    ) -> Result<BTreeMap<u32, VehicleId>, VaultError> {
        let rows = sqlx::query("SELECT epoch, vehicle_id FROM vault_pseudonym WHERE vehicle = ?")
            .bind(vehicle)
            .fetch_all(connection)
            .await?;
        rows.into_iter()
            .map(|row| Ok((row.try_get("epoch")?, vehicle_id(row.try_get("vehicle_id")?)?)))
            .collect()
    }

    /// Returns how often pseudonyms that were given went out of use.
    pub(super) async fn changes(&self) -> Result<i64, VaultError> {
        Ok(sqlx::query_scalar("SELECT times FROM vault_change").fetch_one(&self.0).await?)
    }

    /// Counts that pseudonyms went out of use.
    pub(super) async fn count_change(&self, connection: &mut SqliteConnection) -> Result<(), VaultError> {
        sqlx::query("UPDATE vault_change SET times = times + 1").execute(connection).await?;
        Ok(())
    }

    /// Takes away everything that leads from the vehicle's pseudonyms to its VIN.
    pub(super) async fn shred(
        &self,
        connection: &mut SqliteConnection,
        vehicle: i64,
        now: UnixMicros,
    ) -> Result<(), VaultError> {
        sqlx::query("UPDATE vault_pseudonym SET sealed = NULL, shredded_at = ? WHERE vehicle = ?")
            .bind(now.0)
            .bind(vehicle)
            .execute(&mut *connection)
            .await?;
        sqlx::query("DELETE FROM vault_vehicle WHERE number = ?").bind(vehicle).execute(connection).await?;
        Ok(())
    }
}

/// Makes the file, if it is missing, so that only its owner can read it; SQLite gives its journal the same rights.
fn make_private(path: &Path) -> Result<(), VaultError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(sqlx::Error::Io)?;
    }
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(sqlx::Error::Io(error).into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn vehicle_id(bytes: Vec<u8>) -> Result<VehicleId, VaultError> {
    bytes.try_into().map(VehicleId).map_err(|_| VaultError::Damaged("pseudonym"))
}

fn tag(bytes: Vec<u8>) -> Result<Tag, VaultError> {
    bytes.try_into().map_err(|_| VaultError::Damaged("tag"))
}
