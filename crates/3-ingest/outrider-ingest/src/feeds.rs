//! What the worker knows of the feeds: whose they are, what they speak, and how their vehicles are called here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use outrider_decode::{DecoderTable, VehicleName};
use outrider_types::{TenantId, VehicleId};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::feed::FeedId;
use crate::registry::Vin;

/// Reason of what names a vehicle that has no pseudonym here.
pub(crate) const UNKNOWN: &str = "feed.vehicle_unknown";
/// Reason of what waits until names can be looked up.
pub(crate) const UNAVAILABLE: &str = "feed.names_unavailable";

/// One registered feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// Number.
    pub id: FeedId,
    /// Owner of its vehicles.
    pub tenant: TenantId,
    /// Name, for people and in the field `feed`.
    pub name: String,
    /// Format of its bodies.
    pub format: String,
    /// Platform of its vehicles, to choose among decoders of one format.
    pub platform: Option<String>,
    /// Software release of its vehicles, to choose among decoders of one format.
    pub release: Option<String>,
    /// Half the interval around a time that the source states without saying how well it knows it.
    pub clock_error_us: u64,
    /// Whether events of vehicles are taken that nobody registered.
    pub takes_unregistered: bool,
}

/// Names cannot be looked up now; later they can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("names of vehicles cannot be looked up now")]
pub struct NamesUnavailable;

/// Turns the name by which a source knows a vehicle into the pseudonym by which everything above ingestion does (PRIV-1).
pub trait Pseudonyms: Send + Sync {
    /// Begins a body: what changed before is seen in it.
    fn begin_body(&self) {}

    /// Returns the pseudonym of a name of a feed; `None` if it has none here. One that does not exist yet is made where the
    /// feed may bring vehicles that nobody registered. An answer may cost a look into a file: a body asks once for a name.
    ///
    /// # Errors
    /// [`NamesUnavailable`].
    fn pseudonym(&self, feed: &Feed, name: &VehicleName) -> Result<Option<VehicleId>, NamesUnavailable>;
}

/// Pseudonyms by keyed hash: without the key nobody can tell which name one belongs to, nor try names out.
pub struct NameKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameKey(..)")
    }
}

impl NameKey {
    /// Takes a key that nobody can guess.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// Returns the pseudonym of a name. A VIN has one whichever feed names it; a source's own name has one in its feed only.
    #[must_use]
    pub fn of_name(&self, tenant: TenantId, feed: FeedId, name: &VehicleName) -> VehicleId {
        match name {
            VehicleName::Vin(vin) => self.hash(tenant, b"vin\n", vin),
            VehicleName::Id(id) => *id,
            VehicleName::Foreign(name) => {
                let [a, b, c, d] = feed.0.to_le_bytes();
                self.hash(tenant, &[b'f', b'e', b'e', b'd', a, b, c, d, b'\n'], name)
            }
        }
    }

    /// Returns the pseudonym of a VIN, the same as by [`NameKey::of_name`].
    #[must_use]
    pub fn of_vin(&self, tenant: TenantId, vin: &Vin) -> VehicleId {
        self.hash(tenant, b"vin\n", vin.expose())
    }

    /// Shows the key, for a vault that takes its pseudonyms over.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn hash(&self, tenant: TenantId, kind: &[u8], name: &str) -> VehicleId {
        let mut hash =
            <Hmac<Sha256>>::new_from_slice(self.0.as_slice()).expect("HMAC takes a key of any length");
        for part in [b"outrider vehicle name\n".as_slice(), &tenant.0.to_le_bytes(), kind, name.as_bytes()] {
            hash.update(part);
        }
        let mut id = [0; 16];
        id.iter_mut().zip(hash.finalize().into_bytes()).for_each(|(to, from)| *to = from);
        VehicleId(id)
    }
}

impl Pseudonyms for NameKey {
    /// Every name has a pseudonym, made or not.
    fn pseudonym(&self, feed: &Feed, name: &VehicleName) -> Result<Option<VehicleId>, NamesUnavailable> {
        Ok(Some(self.of_name(feed.tenant, feed.id, name)))
    }
}

/// All feeds, the decoders in use, and the pseudonyms; replaced as a whole when one of them changes.
#[derive(Clone, Default)]
pub struct Feeds {
    feeds: BTreeMap<FeedId, Feed>,
    decoders: Arc<DecoderTable>,
    names: Option<Arc<dyn Pseudonyms>>,
}

impl fmt::Debug for Feeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Feeds({} feeds)", self.feeds.len())
    }
}

impl Feeds {
    /// Creates the set.
    #[must_use]
    pub fn new(
        feeds: impl IntoIterator<Item = Feed>,
        decoders: Arc<DecoderTable>,
        names: Arc<dyn Pseudonyms>,
    ) -> Self {
        let feeds = feeds.into_iter().map(|feed| (feed.id, feed)).collect();
        Self { feeds, decoders, names: Some(names) }
    }

    /// Returns a feed.
    #[must_use]
    pub fn feed(&self, id: FeedId) -> Option<&Feed> {
        self.feeds.get(&id)
    }

    /// Returns the decoders in use.
    #[must_use]
    pub const fn decoders(&self) -> &Arc<DecoderTable> {
        &self.decoders
    }

    pub(crate) fn begin_body(&self) {
        if let Some(names) = &self.names {
            names.begin_body();
        }
    }

    /// Returns what a feed's name is called here, or why it is not.
    pub(crate) fn pseudonym(&self, feed: &Feed, name: &VehicleName) -> Result<VehicleId, &'static str> {
        let Some(names) = &self.names else { return Err(UNKNOWN) };
        match names.pseudonym(feed, name) {
            Ok(found) => found.ok_or(UNKNOWN),
            Err(NamesUnavailable) => Err(UNAVAILABLE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vin_has_one_pseudonym_in_all_feeds_of_a_tenant_and_a_foreign_name_one_in_each() {
        let key = NameKey::new([7; 32]);
        let of = |tenant, feed, name: &VehicleName| key.of_name(TenantId(tenant), FeedId(feed), name);
        let vin = VehicleName::Vin("WVWZZZ1JZ3W386752".to_owned());
        let foreign = VehicleName::Foreign("WVWZZZ1JZ3W386752".to_owned());
        assert_eq!(of(1, 1, &vin), of(1, 2, &vin));
        assert_ne!(of(1, 1, &vin), of(2, 1, &vin), "tenants cannot be joined");
        assert_ne!(of(1, 1, &foreign), of(1, 2, &foreign));
        assert_ne!(of(1, 1, &vin), of(1, 1, &foreign));
        assert_ne!(NameKey::new([8; 32]).of_name(TenantId(1), FeedId(1), &vin), of(1, 1, &vin));
        let id = VehicleName::Id(VehicleId([3; 16]));
        assert_eq!(of(1, 1, &id), VehicleId([3; 16]));
        let parsed = Vin::parse("WVWZZZ1JZ3W386752").expect("a VIN");
        assert_eq!(key.of_vin(TenantId(1), &parsed), of(1, 1, &vin));
        assert!(!format!("{key:?}").contains('7'));
    }
}
