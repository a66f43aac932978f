//! The VIN vault: the only place that knows which pseudonym belongs to which VIN (PRIV-1).
//!
//! **In:** VINs of the registry import; pseudonyms that an authorised person wants resolved. **Out:** pseudonyms; a
//! [`Vin`] to whoever calls [`Vault::reveal`]. **Never:** a VIN in a log, an error or the case database.
//!
//! The file lies apart from case database and lake, and is useless without the master key, which lies in neither. For
//! each vehicle there is a data key of its own: it seals the VIN and goes into the pseudonym. When it is destroyed
//! ([`Vault::shred`]), no key that is left resolves or confirms the pseudonym.

mod file;
mod key;
mod names;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outrider_ingest::NameKey;
use outrider_ingest::registry::Vin;
use outrider_types::{TenantId, UnixMicros, VehicleId};

pub use key::MasterKey;
pub use names::VaultNames;

use crate::port::{Random, draw};
use crate::store::Scope;
use file::{NewPseudonym, NewVehicle, StoredEpoch, VaultFile};
use key::{DataKey, EpochKey, Sealed, Tag, TenantKeys};

/// Why the vault did not do as asked. No text holds a VIN.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The master key is not the one that the vault was made with.
    #[error("the master key is not that of this vault")]
    WrongKey,
    /// The vault does not know the pseudonym.
    #[error("the vault does not know the vehicle")]
    Unknown,
    /// The mapping was destroyed.
    #[error("the mapping of the vehicle was destroyed")]
    Shredded(UnixMicros),
    /// The tenant's first epoch has begun.
    #[error("the vault has pseudonyms of its own already")]
    Begun,
    /// A row does not open with its key.
    #[error("a row of the vault is damaged: {0}")]
    Damaged(&'static str),
    /// The file failed.
    #[error("vault failed: {0}")]
    File(#[from] sqlx::Error),
}

/// What the vault knows of a VIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookedUp {
    /// Its pseudonym.
    Known(VehicleId),
    /// The pseudonym that feeds gave it before there was a vault, and that it gets when it is registered.
    Former(VehicleId),
    /// Nothing.
    New,
}

/// Whether vehicles that are known keep their pseudonym when a new epoch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linking {
    /// They keep it: what was stored before and after belongs together.
    Keep,
    /// They get another one with the next import that names their VIN; only the vault can say that both are one.
    Break,
}

/// Who may see a VIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevealPolicy {
    /// Whether a second person must agree.
    pub is_two_person: bool,
    /// Hours until a request lapses, at most 720.
    pub hours: u32,
}

impl Default for RevealPolicy {
    fn default() -> Self {
        // A working day and the night behind it (guess).
        Self { is_two_person: true, hours: 24 }
    }
}

impl RevealPolicy {
    /// Microseconds until a request lapses.
    #[must_use]
    pub fn lapse_us(self) -> i64 {
        i64::from(self.hours.min(720)) * 3_600_000_000
    }
}

/// Where the vault is, and what opens it. The key is nowhere in the installation's folder.
#[derive(Debug, Clone)]
pub struct VaultConfig {
    /// File of the vault.
    pub path: PathBuf,
    /// Its master key.
    pub master: Arc<MasterKey>,
}

impl VaultConfig {
    /// Opens the vault.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub async fn open(&self, random: Arc<dyn Random>) -> Result<Vault, VaultError> {
        Vault::open(&self.path, self.master.clone(), random).await
    }
}

/// Pseudonyms of VINs, encrypted.
pub struct Vault {
    file: VaultFile,
    master: Arc<MasterKey>,
    random: Arc<dyn Random>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(..)")
    }
}

/// What the vault knows of one VIN.
struct KnownVehicle {
    number: i64,
    wrapped: Vec<u8>,
    newest: Option<(VehicleId, u32)>,
}

impl Vault {
    /// Opens the vault's file, making it where it is missing.
    ///
    /// # Errors
    /// [`VaultError::WrongKey`], [`VaultError::File`].
    pub async fn open(
        path: &Path,
        master: Arc<MasterKey>,
        random: Arc<dyn Random>,
    ) -> Result<Self, VaultError> {
        let file = VaultFile::open(path).await?;
        if !file.check(&master.check()).await? {
            return Err(VaultError::WrongKey);
        }
        Ok(Self { file, master, random })
    }

    /// Closes the file.
    pub async fn close(&self) {
        self.file.close().await;
    }

    /// Name of a VIN in the file.
    fn tag(&self, tenant: TenantId, vin: &Vin) -> Tag {
        self.master.tenant(tenant).tag(vin)
    }

    /// Returns what is known of VINs, in their order; changes nothing.
    ///
    /// # Errors
    /// [`VaultError::File`], [`VaultError::Damaged`].
    pub async fn look_up(&self, scope: Scope, vins: &[&Vin]) -> Result<Vec<LookedUp>, VaultError> {
        let keys = self.master.tenant(scope.tenant);
        let tags: Vec<Tag> = vins.iter().map(|vin| keys.tag(vin)).collect();
        let mut connection = self.file.read().await?;
        let linked = self.file.linked_since(&mut connection, scope.tenant).await?;
        let known = self.file.find(&mut connection, scope.tenant, &tags).await?;
        let newest = |tag: &Tag| known.get(tag).and_then(|it| it.newest).filter(|(_, at)| *at >= linked);
        let epoch = self.file.newest_epoch(&mut connection, scope.tenant).await?;
        let key = epoch.map(|epoch| EpochKey::of(&keys, &epoch)).transpose()?;
        let former = match &key {
            None => BTreeMap::new(),
            Some(key) => self.former(&mut connection, key, scope.tenant, vins).await?,
        };
        let each = tags.iter().zip(vins).map(|(tag, vin)| match (newest(tag), former.get(vin.expose())) {
            (Some((id, _)), _) => LookedUp::Known(id),
            (None, Some(id)) => LookedUp::Former(*id),
            (None, None) => LookedUp::New,
        });
        Ok(each.collect())
    }

    /// Returns how often pseudonyms that were given went out of use, by whichever program: while the number stays, what
    /// was looked up holds.
    ///
    /// # Errors
    /// [`VaultError::File`].
    pub async fn changes(&self) -> Result<i64, VaultError> {
        self.file.changes().await
    }

    /// Returns the pseudonyms that VINs have, in their order. A VIN that has none gets a stand-in, the same each time, which
    /// is stored nowhere and is nobody's pseudonym: for rehearsals.
    ///
    /// # Errors
    /// As [`Vault::look_up`].
    pub async fn stand_ins(&self, scope: Scope, vins: &[&Vin]) -> Result<Vec<VehicleId>, VaultError> {
        let keys = self.master.tenant(scope.tenant);
        let found = self.look_up(scope, vins).await?;
        let each = found.into_iter().zip(vins).map(|(found, vin)| match found {
            LookedUp::Known(id) | LookedUp::Former(id) => id,
            LookedUp::New => VehicleId(keys.tag(vin)),
        });
        Ok(each.collect())
    }

    /// Returns the pseudonyms of VINs in their order, making those that are missing, all in one transaction. The same
    /// VIN may come twice.
    ///
    /// # Errors
    /// [`VaultError::File`], [`VaultError::Damaged`]; nothing was made.
    pub async fn assign(&self, scope: Scope, vins: &[&Vin]) -> Result<Vec<VehicleId>, VaultError> {
        let keys = self.master.tenant(scope.tenant);
        let mut transaction = self.file.begin().await?;
        let (epoch, epoch_key) = self.current_epoch(&mut transaction, &keys, scope).await?;
        let linked = self.file.linked_since(&mut transaction, scope.tenant).await?;
        let former = self.former(&mut transaction, &epoch_key, scope.tenant, vins).await?;
        let tags: Vec<Tag> = vins.iter().map(|vin| keys.tag(vin)).collect();
        let mut known = self.file.find(&mut transaction, scope.tenant, &tags).await?;
        let mut number = self.file.last_number(&mut transaction).await?;
        let (mut vehicles, mut pseudonyms, mut assigned) = (Vec::new(), Vec::new(), Vec::new());
        for (vin, tag) in vins.iter().zip(tags) {
            let entry = known.get(&tag);
            if let Some((id, _)) = entry.and_then(|entry| entry.newest).filter(|(_, at)| *at >= linked) {
                assigned.push(id);
                continue;
            }
            let (owner, data) = match entry {
                Some(entry) => (entry.number, keys.unwrap_data(&tag, &entry.wrapped)?),
                None => {
                    number += 1;
                    let data = DataKey(draw::<32>(&*self.random));
                    let wrapped = keys.wrap_data(&tag, &data, draw(&*self.random));
                    vehicles.push(NewVehicle { number, tag, wrapped });
                    (number, data)
                }
            };
            let id = former.get(vin.expose()).copied().unwrap_or_else(|| epoch_key.pseudonym(&data, vin));
            let sealed = data.seal(scope.tenant, id, vin, draw(&*self.random));
            pseudonyms.push(NewPseudonym { id, vehicle: owner, epoch, sealed });
            let wrapped = entry.map_or_else(Vec::new, |entry| entry.wrapped.clone());
            known.insert(tag, KnownVehicle { number: owner, wrapped, newest: Some((id, epoch)) });
            assigned.push(id);
        }
        self.file.insert(&mut transaction, scope, &vehicles, &pseudonyms).await?;
        transaction.commit().await?;
        Ok(assigned)
    }

    /// Makes the hashes under a key of feeds' names the pseudonyms of the tenant's first epoch, so that vehicles that feeds
    /// named before there was a vault stay what they are. Whoever has that key can confirm such a pseudonym by trying
    /// VINs, until an epoch that breaks begins.
    ///
    /// # Errors
    /// [`VaultError::Begun`], [`VaultError::File`].
    pub async fn take_over(&self, scope: Scope, names: &NameKey) -> Result<(), VaultError> {
        let keys = self.master.tenant(scope.tenant);
        let mut transaction = self.file.begin().await?;
        if self.file.newest_epoch(&mut transaction, scope.tenant).await?.is_some() {
            return Err(VaultError::Begun);
        }
        let key = EpochKey::by_names(names);
        self.begin_epoch(&mut transaction, &keys, scope, (1, Linking::Keep), &key).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Returns which VINs have a pseudonym from before there was a vault, by the VIN's text; none once it was destroyed.
    async fn former<'a>(
        &self,
        connection: &mut sqlx::SqliteConnection,
        key: &EpochKey,
        tenant: TenantId,
        vins: &[&'a Vin],
    ) -> Result<BTreeMap<&'a str, VehicleId>, VaultError> {
        let Some(names) = key.names() else { return Ok(BTreeMap::new()) };
        let mut former: BTreeMap<&str, VehicleId> =
            vins.iter().map(|vin| (vin.expose(), names.of_vin(tenant, vin))).collect();
        let ids: Vec<VehicleId> = former.values().copied().collect();
        let taken = self.file.taken(connection, tenant, &ids).await?;
        former.retain(|_, id| !taken.contains(id));
        Ok(former)
    }

    /// Begins the next epoch of a tenant: VINs that are new get their pseudonym with a new key. Old pseudonyms resolve
    /// as before. Returns the number of the epoch.
    ///
    /// # Errors
    /// [`VaultError::File`].
    pub async fn rotate(&self, scope: Scope, linking: Linking) -> Result<u32, VaultError> {
        let keys = self.master.tenant(scope.tenant);
        let mut transaction = self.file.begin().await?;
        let (epoch, _) = self.current_epoch(&mut transaction, &keys, scope).await?;
        let next = epoch + 1;
        let key = EpochKey::draw(&*self.random);
        self.begin_epoch(&mut transaction, &keys, scope, (next, linking), &key).await?;
        self.file.count_change(&mut transaction).await?;
        transaction.commit().await?;
        Ok(next)
    }

    /// Says that a pseudonym can be resolved.
    ///
    /// # Errors
    /// [`VaultError::Unknown`], [`VaultError::Shredded`], [`VaultError::File`].
    pub async fn holds(&self, scope: Scope, vehicle: VehicleId) -> Result<(), VaultError> {
        let mut connection = self.file.begin().await?;
        let row = self.file.mapping(&mut connection, scope.tenant, vehicle).await?;
        match row.ok_or(VaultError::Unknown)?.shredded {
            Some(at) => Err(VaultError::Shredded(at)),
            None => Ok(()),
        }
    }

    /// Resolves a pseudonym of any epoch. The caller must be authorised and leave a trace.
    ///
    /// # Errors
    /// [`VaultError::Unknown`], [`VaultError::Shredded`], [`VaultError::Damaged`], [`VaultError::File`].
    pub async fn reveal(&self, scope: Scope, vehicle: VehicleId) -> Result<Vin, VaultError> {
        let keys = self.master.tenant(scope.tenant);
        let mut connection = self.file.begin().await?;
        let row = self.file.mapping(&mut connection, scope.tenant, vehicle).await?;
        let row = row.ok_or(VaultError::Unknown)?;
        if let Some(at) = row.shredded {
            return Err(VaultError::Shredded(at));
        }
        let (Some(tag), Some(sealed)) = (row.tag, row.sealed) else {
            return Err(VaultError::Damaged("a mapping without its key"));
        };
        keys.unwrap_data(&tag, &row.wrapped)?.open(scope.tenant, vehicle, &sealed)
    }

    /// Returns all pseudonyms of the vehicle behind one of them, by epoch.
    ///
    /// # Errors
    /// [`VaultError::Unknown`], [`VaultError::Shredded`], [`VaultError::File`].
    pub async fn linked(
        &self,
        scope: Scope,
        vehicle: VehicleId,
    ) -> Result<BTreeMap<u32, VehicleId>, VaultError> {
        let mut connection = self.file.begin().await?;
        let row = self.file.mapping(&mut connection, scope.tenant, vehicle).await?;
        let row = row.ok_or(VaultError::Unknown)?;
        match row.shredded {
            Some(at) => Err(VaultError::Shredded(at)),
            None => Ok(self.file.pseudonyms(&mut connection, row.vehicle).await?),
        }
    }

    /// Destroys the data key of the vehicle behind a pseudonym, and with it what every one of its pseudonyms said. That it
    /// happened stays known. Returns the pseudonyms.
    ///
    /// # Errors
    /// [`VaultError::Unknown`], [`VaultError::Shredded`] if that was done before, [`VaultError::File`].
    pub async fn shred(&self, scope: Scope, vehicle: VehicleId) -> Result<Vec<VehicleId>, VaultError> {
        let mut transaction = self.file.begin().await?;
        let row = self.file.mapping(&mut transaction, scope.tenant, vehicle).await?;
        let row = row.ok_or(VaultError::Unknown)?;
        if let Some(at) = row.shredded {
            return Err(VaultError::Shredded(at));
        }
        let pseudonyms = self.file.pseudonyms(&mut transaction, row.vehicle).await?;
        self.file.shred(&mut transaction, row.vehicle, scope.now).await?;
        self.file.count_change(&mut transaction).await?;
        transaction.commit().await?;
        Ok(pseudonyms.into_values().collect())
    }

    /// Returns the newest epoch with its key; the first one begins here.
    async fn current_epoch(
        &self,
        connection: &mut sqlx::SqliteConnection,
        keys: &TenantKeys,
        scope: Scope,
    ) -> Result<(u32, EpochKey), VaultError> {
        if let Some(stored) = self.file.newest_epoch(connection, scope.tenant).await? {
            return Ok((stored.epoch, EpochKey::of(keys, &stored)?));
        }
        let key = EpochKey::draw(&*self.random);
        self.begin_epoch(connection, keys, scope, (1, Linking::Keep), &key).await?;
        Ok((1, key))
    }

    async fn begin_epoch(
        &self,
        connection: &mut sqlx::SqliteConnection,
        keys: &TenantKeys,
        scope: Scope,
        (epoch, linking): (u32, Linking),
        key: &EpochKey,
    ) -> Result<(), VaultError> {
        let wrapped: Sealed = keys.wrap_epoch(epoch, key, draw(&*self.random));
        let (keeps, by_names) = (linking == Linking::Keep, key.names().is_some());
        let stored = StoredEpoch { epoch, wrapped, keeps, by_names };
        self.file.insert_epoch(connection, scope, &stored).await
    }
}

/// Bytes of a tenant, for what is authenticated beside a secret.
const fn tenant_bytes(tenant: TenantId) -> [u8; 4] {
    tenant.0.to_be_bytes()
}

#[cfg(test)]
mod tests;
