//! Which decoder reads what: by format, the vehicle's platform and its software release.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::package::Package;

/// Packages that are in use, at most one version a name.
#[derive(Debug, Clone, Default)]
pub struct DecoderTable {
    by_format: BTreeMap<String, Vec<Arc<Package>>>,
}

impl DecoderTable {
    /// Creates a table; of two packages of one name the higher version stays.
    #[must_use]
    pub fn new(packages: impl IntoIterator<Item = Package>) -> Self {
        let mut newest: BTreeMap<String, Package> = BTreeMap::new();
        for package in packages {
            let name = package.manifest().name.clone();
            let is_newer =
                newest.get(&name).is_none_or(|have| have.manifest().version < package.manifest().version);
            if is_newer {
                newest.insert(name, package);
            }
        }
        let mut by_format: BTreeMap<String, Vec<Arc<Package>>> = BTreeMap::new();
        for package in newest.into_values() {
            by_format.entry(package.manifest().format.clone()).or_default().push(Arc::new(package));
        }
        Self { by_format }
    }

    /// Returns the package for a payload: the one that says most about it. A stated platform counts more than stated
    /// releases; of two that say the same, the first name in the alphabet decides, so that the choice never depends on the
    /// order of uploads.
    #[must_use]
    pub fn select(
        &self,
        format: &str,
        platform: Option<&str>,
        release: Option<&str>,
    ) -> Option<&Arc<Package>> {
        let fits = |package: &&Arc<Package>| {
            let manifest = package.manifest();
            let is_platform = manifest.platforms.is_empty()
                || platform.is_some_and(|platform| manifest.platforms.iter().any(|known| known == platform));
            is_platform && manifest.releases.contains(release)
        };
        let rank = |package: &&Arc<Package>| {
            let manifest = package.manifest();
            (
                !manifest.platforms.is_empty(),
                !manifest.releases.is_open(),
                std::cmp::Reverse(manifest.name.clone()),
            )
        };
        self.by_format.get(format)?.iter().filter(fits).max_by_key(rank)
    }

    /// Returns every package, by format and name.
    pub fn packages(&self) -> impl Iterator<Item = &Arc<Package>> {
        self.by_format.values().flatten()
    }
}
