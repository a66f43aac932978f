//! Handlers, one an operation.

pub(super) mod alert;
pub(super) mod case;
pub(super) mod completeness;
pub(super) mod feed;
pub(super) mod fleet;
pub(super) mod platform;
pub(super) mod quarantine;
pub(super) mod registry;
pub(super) mod reveal;
pub(super) mod session;
pub(super) mod stop;
pub(super) mod stream;
pub(super) mod update;
pub(super) mod user;
pub(super) mod vehicle;
pub(super) mod vehicle_identity;

use super::error::ApiFailure;

/// Items of a page where the caller does not say.
const LIMIT_DEFAULT: u32 = 100;
/// Items of a page at most.
const LIMIT_MAX: u32 = 500;

/// Checks the number of items wanted.
fn limit(wanted: Option<u32>) -> Result<u32, ApiFailure> {
    match wanted {
        None => Ok(LIMIT_DEFAULT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(_) => Err(ApiFailure::invalid(format!("`limit` is 1 to {LIMIT_MAX}"))),
    }
}

/// Reads words separated by commas.
fn words<T>(name: &str, text: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, ApiFailure> {
    let parts =
        text.into_iter().flat_map(|text| text.split(',')).map(str::trim).filter(|word| !word.is_empty());
    parts
        .map(|word| {
            parse(word).ok_or_else(|| ApiFailure::invalid(format!("`{name}` does not know {word:?}")))
        })
        .collect()
}

/// Splits a search text into at most eight words.
fn search(text: Option<&str>) -> Vec<String> {
    text.into_iter().flat_map(str::split_whitespace).take(8).map(str::to_owned).collect()
}

/// Splits `-column` into column and direction; true is descending.
fn direction(sort: &str) -> (&str, bool) {
    sort.strip_prefix('-').map_or((sort, false), |column| (column, true))
}

/// Checks the length of a text in characters.
fn text(name: &str, text: &str, max: usize) -> Result<(), ApiFailure> {
    let length = text.trim().chars().count();
    if length == 0 || length > max {
        return Err(ApiFailure::invalid(format!("`{name}` has 1 to {max} characters")));
    }
    Ok(())
}
