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

/// Turns the name by which a source knows a vehicle into the pseudonym by which everything above ingestion does (PRIV-1).
pub trait Pseudonyms: Send + Sync {
    /// Returns the pseudonym; `None` if the name has none here.
    fn pseudonym(&self, tenant: TenantId, feed: FeedId, name: &VehicleName) -> Option<VehicleId>;
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
    /// A VIN has one pseudonym whichever feed names it; a source's own name has one in its feed only.
    fn pseudonym(&self, tenant: TenantId, feed: FeedId, name: &VehicleName) -> Option<VehicleId> {
        Some(match name {
            VehicleName::Vin(vin) => self.hash(tenant, b"vin\n", vin),
            VehicleName::Id(id) => *id,
            VehicleName::Foreign(name) => {
                let [a, b, c, d] = feed.0.to_le_bytes();
                self.hash(tenant, &[b'f', b'e', b'e', b'd', a, b, c, d, b'\n'], name)
            }
        })
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

    pub(crate) fn pseudonym(&self, feed: &Feed, name: &VehicleName) -> Option<VehicleId> {
        self.names.as_ref()?.pseudonym(feed.tenant, feed.id, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vin_has_one_pseudonym_in_all_feeds_of_a_tenant_and_a_foreign_name_one_in_each() {
        let key = NameKey::new([7; 32]);
        let of = |tenant, feed, name: &VehicleName| key.pseudonym(TenantId(tenant), FeedId(feed), name);
        let vin = VehicleName::Vin("WVWZZZ1JZ3W386752".to_owned());
        let foreign = VehicleName::Foreign("WVWZZZ1JZ3W386752".to_owned());
        assert_eq!(of(1, 1, &vin), of(1, 2, &vin));
        assert_ne!(of(1, 1, &vin), of(2, 1, &vin), "tenants cannot be joined");
        assert_ne!(of(1, 1, &foreign), of(1, 2, &foreign));
        assert_ne!(of(1, 1, &vin), of(1, 1, &foreign));
        assert_ne!(NameKey::new([8; 32]).pseudonym(TenantId(1), FeedId(1), &vin), of(1, 1, &vin));
        let id = VehicleName::Id(VehicleId([3; 16]));
        assert_eq!(of(1, 1, &id), Some(VehicleId([3; 16])));
        assert!(!format!("{key:?}").contains('7'));
    }
}
