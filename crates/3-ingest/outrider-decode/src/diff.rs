//! Where two results differ, and the shadow run of a decoder beside another.

mod hide;

use std::collections::BTreeMap;

use serde_json::Value as Json;

use self::hide::Names;
use crate::record::{FormatDecoder, Output};
use crate::shape::to_json;

/// Most differences that are kept of one comparison.
const DIFFERENCES_MAX: usize = 64;

/// One place at which two results differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Path, such as `outputs[0].fields.can_id`.
    pub path: String,
    /// Expected, or of the old decoder; `None` if there is nothing.
    pub before: Option<Json>,
    /// Observed, or of the new decoder; `None` if there is nothing.
    pub after: Option<Json>,
}

/// Compares two values and returns the places at which they differ, at most 64.
#[must_use]
pub fn differences(before: &Json, after: &Json) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(before, after, &mut String::new(), &mut found);
    found
}

fn compare(before: &Json, after: &Json, path: &mut String, found: &mut Vec<Difference>) {
    if before == after || found.len() == DIFFERENCES_MAX {
        return;
    }
    let length = path.len();
    let note = |path: &str, before: Option<&Json>, after: Option<&Json>, found: &mut Vec<Difference>| {
        if found.len() < DIFFERENCES_MAX {
            found.push(Difference { path: path.to_owned(), before: before.cloned(), after: after.cloned() });
        }
    };
    match (before, after) {
        (Json::Object(one), Json::Object(two)) => {
            let names: std::collections::BTreeSet<&String> = one.keys().chain(two.keys()).collect();
            for name in names {
                if length > 0 {
                    path.push('.');
                }
                path.push_str(name);
                match (one.get(name), two.get(name)) {
                    (Some(one), Some(two)) => compare(one, two, path, found),
                    (one, two) => note(path, one, two, found),
                }
                path.truncate(length);
            }
        }
        (Json::Array(one), Json::Array(two)) => {
            for index in 0..one.len().max(two.len()) {
                path.push_str(&format!("[{index}]"));
                match (one.get(index), two.get(index)) {
                    (Some(one), Some(two)) => compare(one, two, path, found),
                    (one, two) => note(path, one, two, found),
                }
                path.truncate(length);
            }
        }
        _ => note(path, Some(before), Some(after), found),
    }
}

/// What a shadow run found: two decoders over the same inputs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShadowReport {
    /// Inputs read.
    pub inputs: u64,
    /// Documents of which both made the same.
    pub same: u64,
    /// Documents of which they made different things.
    pub changed: u64,
    /// Documents that only the old one understood.
    pub lost: u64,
    /// Documents that only the new one understood.
    pub gained: u64,
    /// Documents that neither understood.
    pub refused: u64,
    /// Documents by the place at which results differ, indices left out: `fields.can_id` → 12. What is beyond 256 places
    /// stands under `…`: sources may name their own fields as they like.
    pub places: BTreeMap<String, u64>,
    /// Reasons of the new one's refusals.
    pub reasons: BTreeMap<&'static str, u64>,
    /// The first differences, with the number of their input from 0: without names of vehicles and without bytes, and
    /// with nothing long, so that they may be kept and shown (PRIV-1).
    pub examples: Vec<(u64, Difference)>,
}

/// A new decoder beside the old one.
#[derive(Debug)]
pub struct Shadow<'a> {
    old: &'a dyn FormatDecoder,
    new: &'a dyn FormatDecoder,
    report: ShadowReport,
}

impl<'a> Shadow<'a> {
    /// Most examples of a report.
    const EXAMPLES_MAX: usize = 32;
    /// Most places of a report: more than a mapping has lines (guess).
    const PLACES_MAX: usize = 256;
    /// Place of what is beyond.
    const OTHER_PLACES: &'static str = "…";

    /// Begins a run.
    #[must_use]
    pub fn new(old: &'a dyn FormatDecoder, new: &'a dyn FormatDecoder) -> Self {
        Self { old, new, report: ShadowReport::default() }
    }

    /// Decodes one input with both and compares document by document.
    pub fn input(&mut self, bytes: &[u8]) {
        let number = self.report.inputs;
        self.report.inputs += 1;
        let (old, new) = (self.old.decode(bytes), self.new.decode(bytes));
        for refusal in &new.refusals {
            *self.report.reasons.entry(refusal.reason).or_default() += 1;
        }
        let (before, after) = (by_place(&old.outputs), by_place(&new.outputs));
        let places: std::collections::BTreeSet<usize> = before.keys().chain(after.keys()).copied().collect();
        for place in &places {
            match (before.get(place), after.get(place)) {
                (Some(one), Some(two)) => {
                    let found = differences(&to_json(one), &to_json(two));
                    if found.is_empty() {
                        self.report.same += 1;
                    } else {
                        self.report.changed += 1;
                        self.note(number, &found, &Names::of([Some(one), Some(two)]));
                    }
                }
                (Some(_), None) => self.report.lost += 1,
                (None, Some(_)) => self.report.gained += 1,
                (None, None) => {}
            }
        }
        self.report.refused += old
            .documents()
            .max(new.documents())
            .saturating_sub(places.len() as u64)
            .saturating_sub(old.ignored.min(new.ignored));
    }

    fn note(&mut self, number: u64, found: &[Difference], names: &Names<'_>) {
        let mut seen = std::collections::BTreeSet::new();
        for difference in found {
            let mut place = difference.path.clone();
            while let Some((before, rest)) = place.split_once('[') {
                place = format!("{before}{}", rest.split_once(']').map_or("", |(_, after)| after));
            }
            place = names.text(&place);
            if self.report.places.len() >= Self::PLACES_MAX && !self.report.places.contains_key(&place) {
                Self::OTHER_PLACES.clone_into(&mut place);
            }
            if seen.insert(place.clone()) {
                *self.report.places.entry(place).or_default() += 1;
            }
            if self.report.examples.len() < Self::EXAMPLES_MAX {
                self.report.examples.push((number, names.hide(difference)));
            }
        }
    }

    /// Ends the run.
    #[must_use]
    pub fn finish(self) -> ShadowReport {
        self.report
    }
}

fn by_place(outputs: &[(usize, Output)]) -> BTreeMap<usize, &Output> {
    outputs.iter().map(|(index, output)| (*index, output)).collect()
}
