//! Where the events of a rule come from.

use outrider_model::catalogue::{self, EventType};

use crate::header;
use crate::problem::{Position, Report};
use crate::suggest;
use crate::yaml::{Entry, Value};

const HINT: &str = "such as logsource: {product: vehicle, category: can}";

/// Words of a log source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Logsource {
    pub(crate) product: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) service: Option<String>,
}

impl Logsource {
    /// Returns whether every word of `wanted` is the word here.
    pub(crate) fn is_within(&self, wanted: &Self) -> bool {
        let agrees = |wanted: &Option<String>, word: &Option<String>| wanted.is_none() || wanted == word;
        agrees(&wanted.product, &self.product)
            && agrees(&wanted.category, &self.category)
            && agrees(&wanted.service, &self.service)
    }
}

/// A log source of a document, with the places of its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) words: Logsource,
    at: Position,
    category_at: Position,
    service_at: Position,
}

/// Reads a log source; `None` after an error was reported.
pub(crate) fn read(entry: Option<&Entry>, top_at: Position, report: &mut Report<'_>) -> Option<Written> {
    let Some(entry) = entry else {
        report.error(top_at, "rule.missing_logsource", "`logsource` is missing", HINT);
        return None;
    };
    let Value::Map(entries) = &entry.value.value else {
        report.error(entry.value.at, "rule.shape", "`logsource` must be a map", HINT);
        return None;
    };
    for entry in entries {
        if !["product", "category", "service", "definition"].contains(&entry.key.as_str()) {
            let message = format!("unknown key `{}` of the log source", entry.key);
            report.warning(entry.key_at, "rule.unknown_key", message, "");
        }
    }
    let mut fine = true;
    let mut word = |key: &str| {
        let entry = header::get(entries, key)?;
        let word = header::text(entry, report).map(str::to_owned);
        fine &= word.is_some();
        word
    };
    let words = Logsource { product: word("product"), category: word("category"), service: word("service") };
    let place = |key: &str| header::get(entries, key).map_or(entry.value.at, |entry| entry.value.at);
    let (category_at, service_at) = (place("category"), place("service"));
    fine.then_some(Written { words, at: entry.value.at, category_at, service_at })
}

/// Returns the event types of a log source of vehicles. `words` are those that stand now; the places are those of
/// the document.
pub(crate) fn event_types(
    words: &Logsource,
    written: &Written,
    report: &mut Report<'_>,
) -> Option<Vec<&'static EventType>> {
    if words.product.as_deref() != Some("vehicle") {
        let hint = format!("{HINT}, or change_logsource in a pipeline");
        report.error(written.at, "rule.logsource", "`product` must be vehicle", hint);
        return None;
    }
    let (category, service) = (words.category.as_deref(), words.service.as_deref());
    let domains = || catalogue::EVENT_TYPES.iter().filter_map(|entry| entry.name.split_once('.'));
    if let Some(category) = category
        && !domains().any(|(domain, _)| domain == category)
    {
        let hint = suggest::nearest(category, domains().map(|(domain, _)| domain));
        let message = format!("no event type has the category `{category}`");
        report.error(written.category_at, "rule.logsource", message, hint);
        return None;
    }
    let types: Vec<_> = catalogue::EVENT_TYPES
        .iter()
        .filter(|entry| {
            let (domain, fact) = entry.name.split_once('.').unwrap_or((entry.name, ""));
            category.is_none_or(|category| category == domain)
                && service.is_none_or(|service| service == fact)
        })
        .collect();
    if let (Some(service), true) = (service, types.is_empty()) {
        let hint = suggest::nearest(service, domains().map(|(_, fact)| fact));
        let message = format!("no event type has the service `{service}`");
        report.error(written.service_at, "rule.logsource", message, hint);
        return None;
    }
    Some(types)
}
