//! Names that feeds use, looked up in the vault.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use outrider_decode::VehicleName;
use outrider_ingest::registry::Vin;
use outrider_ingest::{Feed, NameKey, NamesUnavailable, Pseudonyms};
use outrider_types::{Clock, TenantId, VehicleId};
use tokio::runtime::Handle;

use super::key::Tag;
use super::{LookedUp, Vault, VaultError};
use crate::store::Scope;
use crate::vehicle::Directory;

/// VINs that are remembered, by a keyed hash: some 20 MB; when there are more, it begins anew (guess: those that the
/// feeds of a large fleet name within minutes).
const REMEMBERED_MAX: usize = 262_144;

/// Pseudonyms of feeds where there is a vault: of VINs the vault's, so that a VIN is the same vehicle whoever names it and
/// none any more once it was destroyed; of other names the hash under their key.
///
/// Waits for the vault's file, so it must be asked from a thread that is not the runtime's.
pub struct VaultNames {
    vault: Arc<Vault>,
    names: NameKey,
    directory: Arc<Directory>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    remembered: Mutex<Remembered>,
}

/// What was looked up while nothing went out of use.
#[derive(Default)]
struct Remembered {
    changes: Option<i64>,
    ids: BTreeMap<(TenantId, Tag), VehicleId>,
}

impl VaultNames {
    /// Names in `vault`, those that are no VINs under `names`; `runtime` waits for the file.
    #[must_use]
    pub fn new(
        (vault, names): (Arc<Vault>, NameKey),
        directory: Arc<Directory>,
        clock: Arc<dyn Clock>,
        runtime: Handle,
    ) -> Self {
        Self { vault, names, directory, clock, runtime, remembered: Mutex::default() }
    }

    /// Looks a VIN up. A feed that may not bring vehicles makes no pseudonyms either: it could fill the vault.
    async fn of_vin(&self, feed: &Feed, vin: &Vin) -> Result<Option<VehicleId>, VaultError> {
        let scope = Scope { tenant: feed.tenant, now: self.clock.now() };
        let is_made = match self.vault.look_up(scope, &[vin]).await?.first() {
            Some(LookedUp::Known(id)) => return Ok(Some(*id)),
            Some(LookedUp::Former(id)) => feed.takes_unregistered || self.directory.is_registered(*id),
            Some(LookedUp::New) | None => feed.takes_unregistered,
        };
        if is_made { Ok(self.vault.assign(scope, &[vin]).await?.first().copied()) } else { Ok(None) }
    }
}

impl Pseudonyms for VaultNames {
    fn begin_body(&self) {
        let changes = self.runtime.block_on(self.vault.changes()).ok();
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if changes.is_none() || remembered.changes != changes {
            *remembered = Remembered { changes, ids: BTreeMap::new() };
        }
    }

    fn pseudonym(&self, feed: &Feed, name: &VehicleName) -> Result<Option<VehicleId>, NamesUnavailable> {
        let VehicleName::Vin(text) = name else {
            return Ok(Some(self.names.of_name(feed.tenant, feed.id, name)));
        };
        let Some(vin) = Vin::from_stored(text.as_bytes()) else { return Ok(None) };
        let key = (feed.tenant, self.vault.tag(feed.tenant, &vin));
        let remembered =
            self.remembered.lock().unwrap_or_else(PoisonError::into_inner).ids.get(&key).copied();
        if remembered.is_some() {
            return Ok(remembered);
        }
        let found = self.runtime.block_on(self.of_vin(feed, &vin)).map_err(|error| {
            tracing::error!(%error, "the vault does not tell a feed's vehicle");
            NamesUnavailable
        })?;
        if let Some(id) = found {
            let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            if remembered.ids.len() >= REMEMBERED_MAX {
                remembered.ids.clear();
            }
            remembered.ids.insert(key, id);
        }
        Ok(found)
    }
}
