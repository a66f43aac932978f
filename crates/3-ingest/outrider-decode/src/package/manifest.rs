//! What a package says of itself.

use std::cmp::Ordering;
use std::fmt;

use serde::Deserialize;

use super::each::Each;
use crate::map::is_namespace;
use crate::read::ReaderSpec;

/// What a package says of itself: `decoder.toml`.
#[derive(Debug)]
pub struct Manifest {
    /// Name of the package, unique in an installation: `a-z`, `0-9`, `-`, `_` and `.`, at most 64.
    pub name: String,
    /// Version.
    pub version: Version,
    /// Format that it decodes, such as `acme.tcu/2`.
    pub format: String,
    /// Platforms of vehicles that it is for; all if empty.
    pub platforms: Vec<String>,
    /// Software releases that it is for.
    pub releases: ReleaseRange,
    /// Namespace of fields that the catalogue does not have.
    pub namespace: String,
    /// Who answers for it.
    pub owner: String,
    /// Licence of its files.
    pub licence: String,
    /// What it is, in a sentence.
    pub description: String,
    pub(super) reader: ReaderSpec,
    pub(super) each: Option<Each>,
    pub(super) mapping: String,
}

/// Why a manifest is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("decoder.toml: {0}")]
pub struct ManifestError(String);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    name: String,
    version: String,
    format: String,
    #[serde(default)]
    platforms: Vec<String>,
    #[serde(default)]
    releases: RangeText,
    namespace: String,
    owner: String,
    licence: String,
    #[serde(default)]
    description: String,
    reader: toml::Table,
    each: Option<EachText>,
    mapping: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EachText {
    list: String,
    #[serde(rename = "as")]
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeText {
    from: Option<String>,
    to: Option<String>,
}

impl Manifest {
    pub(super) fn parse(text: &str) -> Result<Self, ManifestError> {
        let text: Text = toml::from_str(text).map_err(|error| ManifestError(error.to_string()))?;
        let wrong = |what: &str, why: &str| ManifestError(format!("{what}: {why}"));
        let is_word = |word: &str, others: &str| {
            (1..=64).contains(&word.len())
                && word.chars().all(|letter| {
                    letter.is_ascii_lowercase() || letter.is_ascii_digit() || others.contains(letter)
                })
        };
        if !is_word(&text.name, "-_.") {
            return Err(wrong("name", "1 to 64 of a-z, 0-9, -, _ and ."));
        }
        if !is_word(&text.format, "-_./+") {
            return Err(wrong("format", "1 to 64 of a-z, 0-9, -, _, ., / and +"));
        }
        if !is_namespace(&text.namespace) {
            return Err(wrong("namespace", "1 to 32 of a-z, 0-9 and _, beginning with a letter"));
        }
        let version =
            Version::parse(&text.version).ok_or_else(|| wrong("version", "not three numbers, as 1.0.0"))?;
        for (what, value) in [("owner", &text.owner), ("licence", &text.licence)] {
            if value.trim().is_empty() {
                return Err(wrong(what, "is empty"));
            }
        }
        if !text.mapping.ends_with(".vrl") && !text.mapping.ends_with(".toml") {
            return Err(wrong("mapping", "a file whose name ends in .toml or .vrl"));
        }
        let releases =
            ReleaseRange { from: text.releases.from.map(Release), to: text.releases.to.map(Release) };
        if releases.from.as_ref().zip(releases.to.as_ref()).is_some_and(|(from, to)| from > to) {
            return Err(wrong("releases", "from is above to"));
        }
        let reader: ReaderSpec = text
            .reader
            .try_into()
            .map_err(|error: toml::de::Error| ManifestError(format!("reader: {error}")))?;
        Ok(Self {
            name: text.name,
            version,
            format: text.format,
            platforms: text.platforms,
            releases,
            namespace: text.namespace,
            owner: text.owner,
            licence: text.licence,
            description: text.description,
            reader,
            each: text.each.map(|each| Each { list: each.list, name: each.name }),
            mapping: text.mapping,
        })
    }
}

/// Version of a package: three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Reads `1.2.3`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| {
            let is_plain = part.bytes().all(|byte| byte.is_ascii_digit());
            is_plain.then(|| part.parse().ok()).flatten()
        });
        let version = Self(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A vehicle's software release, ordered as people read it: runs of digits as numbers, the rest as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release(pub String);

impl PartialOrd for Release {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Release {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut left, mut right) = (self.0.as_str(), other.0.as_str());
        loop {
            match (left.is_empty(), right.is_empty()) {
                (true, true) => return self.0.cmp(&other.0),
                (true, false) => return Ordering::Less,
                (false, true) => return Ordering::Greater,
                (false, false) => {}
            }
            let (one, one_rest) = run(left);
            let (two, two_rest) = run(right);
            let is_number = |run: &str| run.starts_with(|first: char| first.is_ascii_digit());
            let order = if is_number(one) && is_number(two) {
                let (one, two) = (one.trim_start_matches('0'), two.trim_start_matches('0'));
                one.len().cmp(&two.len()).then_with(|| one.cmp(two))
            } else {
                one.cmp(two)
            };
            if order != Ordering::Equal {
                return order;
            }
            (left, right) = (one_rest, two_rest);
        }
    }
}

/// Splits off the first run of digits, or of anything else.
fn run(text: &str) -> (&str, &str) {
    let is_digits = text.starts_with(|first: char| first.is_ascii_digit());
    let end = text.find(|letter: char| letter.is_ascii_digit() != is_digits).unwrap_or(text.len());
    text.split_at(end)
}

/// Releases from one to another, both included; open where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseRange {
    /// First release.
    pub from: Option<Release>,
    /// Last release.
    pub to: Option<Release>,
}

impl ReleaseRange {
    /// Returns whether the range says anything.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// Returns whether a release is in the range; an unknown one only is in an open one.
    #[must_use]
    pub fn contains(&self, release: Option<&str>) -> bool {
        let Some(release) = release.map(|release| Release(release.to_owned())) else { return self.is_open() };
        self.from.as_ref().is_none_or(|from| *from <= release)
            && self.to.as_ref().is_none_or(|to| release <= *to)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn releases_are_ordered_as_people_read_them() {
        let order = ["1.2", "1.10", "1.10.1", "1.10b", "2.0-rc1", "10"];
        for pair in order.windows(2) {
            assert!(Release(pair[0].to_owned()) < Release(pair[1].to_owned()), "{pair:?}");
        }
        let range =
            ReleaseRange { from: Some(Release("1.2".to_owned())), to: Some(Release("1.10".to_owned())) };
        assert!(range.contains(Some("1.9")) && range.contains(Some("1.10")) && !range.contains(Some("1.11")));
        assert!(!range.contains(None) && ReleaseRange::default().contains(None));
    }

    proptest! {
        #[test]
        fn the_order_of_releases_is_an_order(one in "[0-9a.]{0,6}", two in "[0-9a.]{0,6}", three in "[0-9a.]{0,6}") {
            let [one, two, three] = [one, two, three].map(Release);
            prop_assert_eq!(one.cmp(&two), two.cmp(&one).reverse());
            prop_assert_eq!(one.cmp(&two) == Ordering::Equal, one == two);
            if one <= two && two <= three {
                prop_assert!(one <= three);
            }
        }
    }
}
