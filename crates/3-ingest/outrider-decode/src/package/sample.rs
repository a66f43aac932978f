//! Golden samples: what bytes must become.

use serde_json::{Value as Json, json};

use super::{Files, PackageError};
use crate::diff::{Difference, differences};
use crate::record::{Decoded, FormatDecoder};
use crate::shape::to_json;

const FOLDER: &str = "golden/";

/// Result of one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleOutcome {
    /// Name of the sample.
    pub name: String,
    /// Where the result is not as expected; empty if it is.
    pub differences: Vec<Difference>,
    /// What was made of it, in the shape of the expected result.
    pub observed: Json,
}

/// Results of all samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SampleReport {
    /// One a sample, ascending by name.
    pub outcomes: Vec<SampleOutcome>,
}

impl SampleReport {
    /// Returns whether every sample is as expected, and there is one.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        !self.outcomes.is_empty() && self.outcomes.iter().all(|outcome| outcome.differences.is_empty())
    }
}

pub(super) fn names(files: &Files) -> impl Iterator<Item = &str> {
    files.keys().filter_map(|name| name.strip_prefix(FOLDER)?.strip_suffix(".in"))
}

/// Checks that samples are pairs of input and readable result, and that there is one.
pub(super) fn check(files: &Files) -> Result<(), PackageError> {
    let mut count = 0;
    for name in names(files) {
        count += 1;
        let expected = files.get(&format!("{FOLDER}{name}.json"));
        if expected.is_none_or(|bytes| serde_json::from_slice::<Json>(bytes).is_err()) {
            return Err(PackageError::Sample(name.to_owned()));
        }
    }
    let results = files.keys().filter(|name| name.starts_with(FOLDER) && name.ends_with(".json"));
    for result in results {
        if !files.contains_key(&format!("{}.in", result.trim_end_matches(".json"))) {
            return Err(PackageError::Sample(result.clone()));
        }
    }
    if count == 0 { Err(PackageError::NoSample) } else { Ok(()) }
}

/// Decodes all samples.
pub(super) fn run(files: &Files, decoder: &dyn FormatDecoder) -> SampleReport {
    let outcomes = names(files).map(|name| {
        let input = files.get(&format!("{FOLDER}{name}.in")).map(Vec::as_slice).unwrap_or_default();
        let observed = result(&decoder.decode(input));
        let expected = files.get(&format!("{FOLDER}{name}.json"));
        let expected = expected.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or(Json::Null);
        SampleOutcome { name: name.to_owned(), differences: differences(&expected, &observed), observed }
    });
    SampleReport { outcomes: outcomes.collect() }
}

/// Writes what a decoder made of an input, as samples have it.
pub(crate) fn result(decoded: &Decoded) -> Json {
    let outputs: Vec<Json> = decoded.outputs.iter().map(|(_, output)| to_json(output)).collect();
    let refusals: Vec<Json> = decoded.refusals.iter().map(|refusal| json!(refusal.reason)).collect();
    let mut result = json!({ "outputs": outputs, "refused": refusals, "ignored": decoded.ignored });
    if !decoded.notes.is_empty() {
        result["notes"] = json!(decoded.notes);
    }
    result
}
