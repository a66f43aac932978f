//! ARXML: system description or ECU extract, service deployments, security extract; releases 4.0 to R24-11.
//!
//! Elements are found by name wherever they stand, and references by the path of short names. What the extraction never
//! looks at is counted by [`super::xml::Tree::count_unused`].

mod frames;
mod protection;
mod security;
mod services;
mod signals;

use std::collections::BTreeMap;

pub(super) use frames::flexray_key;

use super::NAME_BYTES_MAX;
use super::model::{Description, Format, Reason};
use super::xml::{Element, Tree};

/// Longest path of short names that can be referred to.
const PATH_BYTES_MAX: usize = 512;

/// Elements that say nothing about a network; they are not counted as not understood.
const ADMINISTRATIVE: [&str; 12] = [
    "SHORT-NAME",
    "SHORT-NAME-FRAGMENTS",
    "SHORT-NAME-PATTERN",
    "LONG-NAME",
    "DESC",
    "INTRODUCTION",
    "CATEGORY",
    "ADMIN-DATA",
    "ANNOTATIONS",
    "FILE-INFO-COMMENT",
    "REFERENCE-BASES",
    "UUID",
];

/// Extraction of one file.
struct Extract<'t> {
    tree: &'t Tree,
    /// Elements by the path of their short names.
    by_path: BTreeMap<String, Element<'t>>,
    description: Description,
}

/// Reads everything that is understood out of a tree whose root is `AUTOSAR`.
pub(super) fn extract(tree: &Tree) -> Description {
    let mut extract =
        Extract { tree, by_path: BTreeMap::new(), description: Description::new(Format::Arxml) };
    extract.index();
    for node in tree.root().descendants("ECU-INSTANCE") {
        let name = short_name(node);
        extract.description.nodes.push(name);
    }
    extract.clusters();
    extract.protections();
    extract.secured();
    extract.services();
    extract.security_events();
    let mut description = extract.description;
    tree.count_unused(&mut description, &ADMINISTRATIVE);
    description
}

/// Returns the short name without marking it.
fn short_name(element: Element<'_>) -> String {
    let name = element.peek().find(|child| child.name() == "SHORT-NAME");
    name.map_or_else(String::new, |name| name.text().chars().take(NAME_BYTES_MAX).collect())
}

impl<'t> Extract<'t> {
    /// Finds the path of every element that has a short name.
    fn index(&mut self) {
        let mut paths: BTreeMap<usize, String> = BTreeMap::new();
        for element in self.tree.elements() {
            let name = short_name(element);
            if name.is_empty() || element.name() == "SHORT-NAME" {
                continue;
            }
            let mut above = element.parent();
            let prefix = loop {
                match above {
                    None => break "",
                    Some(parent) => match paths.get(&parent.index()) {
                        Some(path) => break path.as_str(),
                        None => above = parent.parent(),
                    },
                }
            };
            let path = format!("{prefix}/{name}");
            if path.len() > PATH_BYTES_MAX {
                self.problem(element, Reason::Value, format!("path is longer than {PATH_BYTES_MAX} bytes"));
                continue;
            }
            paths.insert(element.index(), path.clone());
            if self.by_path.contains_key(&path) {
                // Splittable elements stand in several places under one path; the first one has what others refer to.
                continue;
            }
            self.by_path.insert(path, element);
        }
    }

    fn problem(&mut self, element: Element<'_>, reason: Reason, detail: impl Into<String>) {
        self.description.problem(element.place(), element.name(), reason, detail);
    }

    /// Follows a reference; a dangling one is a problem.
    fn follow(&mut self, reference: Element<'t>) -> Option<Element<'t>> {
        let target = self.by_path.get(reference.text()).copied();
        match target {
            Some(target) => Some(target.mark()),
            None => {
                self.problem(reference, Reason::Dangling, reference.text());
                None
            }
        }
    }

    /// Follows the reference in the child at a path, if there is one.
    fn follow_at(&mut self, element: Element<'t>, names: &[&'static str]) -> Option<Element<'t>> {
        let reference = element.down(names)?;
        self.follow(reference)
    }

    /// Reads a whole number of a child that may be absent; one that is out of range is a problem.
    fn number<T: TryFrom<u64>>(&mut self, element: Element<'t>, names: &[&'static str]) -> Option<T> {
        let value = element.down(names).filter(|value| !value.text().is_empty())?;
        let number = number(value.text()).and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            self.problem(value, Reason::Value, value.text());
        }
        number
    }

    /// Reads a whole number that has to be there.
    fn needed<T: TryFrom<u64>>(&mut self, element: Element<'t>, name: &'static str) -> Option<T> {
        if element.value(&[name]).is_none() {
            self.problem(element, Reason::Missing, name);
            return None;
        }
        self.number(element, &[name])
    }
}

/// Reads a whole number as AUTOSAR writes it: decimal, `0x…` or `0b…`.
pub(super) fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok();
    }
    if let Some(digits) = text.strip_prefix("0b").or_else(|| text.strip_prefix("0B")) {
        return u64::from_str_radix(digits, 2).ok();
    }
    text.parse().ok().or_else(|| whole(text.parse().ok()?, 1.0))
}

/// Multiplies and rounds to a whole number; `None` if it is negative, not finite or too large.
pub(super) fn whole(value: f64, factor: f64) -> Option<u64> {
    let value = value * factor;
    if !(0.0..1e18).contains(&value) {
        return None;
    }
    // Formatting rounds without a cast that could lose what it must not.
    format!("{value:.0}").parse().ok()
}

/// Reads seconds as microseconds; zero says that there is no time.
pub(super) fn micros(seconds: &str) -> Option<u64> {
    whole(seconds.trim().parse().ok()?, 1e6).filter(|&us| us > 0)
}

/// Returns the name of the ECU that an element belongs to.
fn ecu_of(element: Element<'_>) -> Option<String> {
    owner(element, "ECU-INSTANCE").map(short_name)
}

/// Returns the nearest element of a name above another.
fn owner<'t>(element: Element<'t>, name: &str) -> Option<Element<'t>> {
    let mut above = element.parent();
    while let Some(parent) = above {
        if parent.name() == name {
            return Some(parent);
        }
        above = parent.parent();
    }
    None
}
