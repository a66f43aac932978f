//! Keys of the vault and what is made with them: HMAC-SHA-256 and AES-256-GCM.

use outrider_ingest::NameKey;
use outrider_ingest::registry::Vin;
use outrider_types::{TenantId, VehicleId};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use zeroize::{Zeroize as _, Zeroizing};

use super::file::StoredEpoch;
use super::{VaultError, tenant_bytes};
use crate::port::{Random, draw};

/// Nonce and ciphertext with its tag.
pub(super) type Sealed = Vec<u8>;

/// Name of a VIN in the file: the same VIN of the same tenant has the same one in every epoch.
pub(super) type Tag = [u8; 16];

/// The secret from which everything else follows; lies outside of the vault's folder.
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// Draws a key.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        Self(draw::<32>(random))
    }

    /// Reads a key from its text, 64 hexadecimal digits with white space around; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let key = outrider_types::hex_decode::<32>(text.trim()).ok()?;
        // The text of a file that somebody made by hand.
        (key != [0; 32]).then_some(Self(key))
    }

    /// Returns the text that [`MasterKey::parse`] reads, for the file it is kept in.
    #[must_use]
    pub fn expose_text(&self) -> Zeroizing<String> {
        Zeroizing::new(crate::hex(&self.0))
    }

    /// Value in the file by which a wrong key is known.
    pub(super) fn check(&self) -> [u8; 32] {
        self.derive(b"outrider vault check", TenantId(0))
    }

    /// Keys of one tenant.
    pub(super) fn tenant(&self, tenant: TenantId) -> TenantKeys {
        let index = self.derive(b"outrider vault index", tenant);
        let wrap = Zeroizing::new(self.derive(b"outrider vault wrap", tenant));
        TenantKeys { tenant, index: hmac::Key::new(hmac::HMAC_SHA256, &index), wrap: cipher(&wrap) }
    }

    fn derive(&self, label: &[u8], tenant: TenantId) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        mac::<32>(&key, &[label, &tenant_bytes(tenant)])
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// What follows from the master key for one tenant.
pub(super) struct TenantKeys {
    tenant: TenantId,
    index: hmac::Key,
    wrap: LessSafeKey,
}

impl TenantKeys {
    /// Name of a VIN in the file.
    pub(super) fn tag(&self, vin: &Vin) -> Tag {
        mac(&self.index, &[vin.expose().as_bytes()])
    }

    pub(super) fn wrap_epoch(&self, epoch: u32, key: &EpochKey, nonce: [u8; NONCE_LEN]) -> Sealed {
        seal(&self.wrap, nonce, &self.epoch_aad(epoch), key.bytes())
    }

    fn unwrap_epoch(&self, epoch: u32, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        open::<32>(&self.wrap, &self.epoch_aad(epoch), sealed)
            .map(Zeroizing::new)
            .ok_or(VaultError::Damaged("epoch key"))
    }

    pub(super) fn wrap_data(&self, tag: &Tag, key: &DataKey, nonce: [u8; NONCE_LEN]) -> Sealed {
        seal(&self.wrap, nonce, &self.data_aad(tag), &key.0)
    }

    pub(super) fn unwrap_data(&self, tag: &Tag, sealed: &[u8]) -> Result<DataKey, VaultError> {
        open::<32>(&self.wrap, &self.data_aad(tag), sealed)
            .map(DataKey)
            .ok_or(VaultError::Damaged("data key"))
    }

    fn epoch_aad(&self, epoch: u32) -> Vec<u8> {
        [b"epoch".as_slice(), &tenant_bytes(self.tenant), &epoch.to_be_bytes()].concat()
    }

    fn data_aad(&self, tag: &Tag) -> Vec<u8> {
        [b"data".as_slice(), &tenant_bytes(self.tenant), tag].concat()
    }
}

/// Key of the pseudonyms of one tenant and epoch.
pub(super) enum EpochKey {
    /// The vault's own.
    Own(Zeroizing<[u8; 32]>),
    /// That of feeds' names, from before there was a vault.
    Names(NameKey),
}

impl EpochKey {
    pub(super) fn draw(random: &dyn Random) -> Self {
        Self::Own(Zeroizing::new(draw::<32>(random)))
    }

    pub(super) fn by_names(names: &NameKey) -> Self {
        Self::Names(NameKey::new(*names.expose()))
    }

    /// Opens a stored key.
    pub(super) fn of(keys: &TenantKeys, stored: &StoredEpoch) -> Result<Self, VaultError> {
        let key = keys.unwrap_epoch(stored.epoch, &stored.wrapped)?;
        Ok(if stored.by_names { Self::Names(NameKey::new(*key)) } else { Self::Own(key) })
    }

    /// The key of feeds' names, if this is one.
    pub(super) const fn names(&self) -> Option<&NameKey> {
        match self {
            Self::Own(_) => None,
            Self::Names(names) => Some(names),
        }
    }

    fn bytes(&self) -> &[u8; 32] {
        match self {
            Self::Own(key) => key,
            Self::Names(names) => names.expose(),
        }
    }

    /// Pseudonym of a VIN: a keyed hash over the VIN and the vehicle's data key, so that it can be neither computed nor
    /// confirmed once the data key is destroyed.
    pub(super) fn pseudonym(&self, data: &DataKey, vin: &Vin) -> VehicleId {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.bytes());
        VehicleId(mac(&key, &[b"outrider pseudonym", &data.0, vin.expose().as_bytes()]))
    }
}

/// Key of one vehicle.
pub(super) struct DataKey(pub(super) [u8; 32]);

impl DataKey {
    pub(super) fn seal(
        &self,
        tenant: TenantId,
        vehicle: VehicleId,
        vin: &Vin,
        nonce: [u8; NONCE_LEN],
    ) -> Sealed {
        seal(&cipher(&self.0), nonce, &vin_aad(tenant, vehicle), vin.expose().as_bytes())
    }

    pub(super) fn open(
        &self,
        tenant: TenantId,
        vehicle: VehicleId,
        sealed: &[u8],
    ) -> Result<Vin, VaultError> {
        let bytes = open::<17>(&cipher(&self.0), &vin_aad(tenant, vehicle), sealed).map(Zeroizing::new);
        bytes.and_then(|bytes| Vin::from_stored(&*bytes)).ok_or(VaultError::Damaged("mapping"))
    }
}

impl Drop for DataKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

fn vin_aad(tenant: TenantId, vehicle: VehicleId) -> Vec<u8> {
    [b"vin".as_slice(), &tenant_bytes(tenant), &vehicle.0].concat()
}

/// First `N` bytes of the keyed hash over some parts.
fn mac<const N: usize>(key: &hmac::Key, parts: &[&[u8]]) -> [u8; N] {
    let mut context = hmac::Context::with_key(key);
    parts.iter().for_each(|part| context.update(part));
    let tag = context.sign();
    tag.as_ref().first_chunk().copied().expect("no more than 32 bytes are asked for")
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key of AES-256 has 32 bytes"))
}

fn seal(key: &LessSafeKey, nonce: [u8; NONCE_LEN], aad: &[u8], plain: &[u8]) -> Sealed {
    let mut text = Zeroizing::new(plain.to_vec());
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut text)
        .expect("a few bytes are below the cipher's limit");
    [&nonce[..], &text, tag.as_ref()].concat()
}

fn open<const N: usize>(key: &LessSafeKey, aad: &[u8], sealed: &[u8]) -> Option<[u8; N]> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut text = Zeroizing::new(text.to_vec());
    let plain = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut text).ok()?;
    (&*plain).try_into().ok()
}
