//! Reads and checks `content/catalogue`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

/// One field of security events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Field {
    pub(crate) key: u16,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) unit: String,
    pub(crate) title: String,
}

/// One type of security event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Event {
    pub(crate) id: u16,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) severity: String,
    pub(crate) lane: String,
    /// Whether a policy may move it to a lane of lower rank.
    #[serde(default = "yes")]
    pub(crate) lowerable: bool,
    pub(crate) fields: Vec<String>,
    pub(crate) unr155: Vec<String>,
    pub(crate) ocsf: u16,
    #[serde(default)]
    pub(crate) autosar_sev: Option<String>,
    /// Numbers that AUTOSAR gives to security events of this kind.
    #[serde(default)]
    pub(crate) autosar_ids: Vec<u16>,
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    field: Vec<Field>,
    #[serde(default)]
    event: Vec<Event>,
}

/// The whole catalogue: fields by key, events by id.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) fields: BTreeMap<u16, Field>,
    pub(crate) events: BTreeMap<u16, Event>,
}

/// Names that the lake's own columns already have.
const RESERVED: [&str; 25] = [
    "tenant",
    "vehicle_id",
    "epoch",
    "lane",
    "seq",
    "event_type",
    "severity",
    "event_time",
    "event_time_error_us",
    "ingest_time",
    "vehicle_us",
    "count",
    "first_us",
    "last_us",
    "bus",
    "ecu",
    "model_line",
    "platform",
    "model_year",
    "monitoring",
    "region",
    "release",
    "h3",
    "context",
    "late",
];

/// Reads every file of the folder and reports every problem at once.
pub(crate) fn load(folder: &Path) -> Result<Catalogue, Vec<String>> {
    let mut problems = Vec::new();
    let mut catalogue = Catalogue { fields: BTreeMap::new(), events: BTreeMap::new() };
    let mut files: Vec<_> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) => return Err(vec![format!("{}: {error}", folder.display())]),
    };
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|end| end == "toml")) {
        let place = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                problems.push(format!("{place}: {error}"));
                continue;
            }
        };
        match toml::from_str::<Document>(&text) {
            Ok(document) => take(document, &place, &mut catalogue, &mut problems),
            Err(error) => problems.push(format!("{place}: {error}")),
        }
    }
    check(&catalogue, &mut problems);
    if problems.is_empty() { Ok(catalogue) } else { Err(problems) }
}

fn take(document: Document, place: &str, catalogue: &mut Catalogue, problems: &mut Vec<String>) {
    for field in document.field {
        if let Some(old) = catalogue.fields.insert(field.key, field) {
            problems.push(format!("{place}: field key {} stands twice", old.key));
        }
    }
    for event in document.event {
        if let Some(old) = catalogue.events.insert(event.id, event) {
            problems.push(format!("{place}: event id {} stands twice", old.id));
        }
    }
}

fn check(catalogue: &Catalogue, problems: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    for field in catalogue.fields.values() {
        let legal =
            field.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !legal || field.name.is_empty() || RESERVED.contains(&field.name.as_str()) {
            problems.push(format!("field {}: name {:?} is not allowed", field.key, field.name));
        }
        if !names.insert(field.name.as_str()) {
            problems.push(format!("field {}: name {:?} stands twice", field.key, field.name));
        }
        if !["int", "float", "text", "bool"].contains(&field.kind.as_str()) {
            problems.push(format!(
                "field {}: type {:?} is none of int, float, text, bool",
                field.key, field.kind
            ));
        }
        if field.key == 0 {
            problems.push("field key 0 means unspecified".to_owned());
        }
    }
    let mut titles = BTreeSet::new();
    let mut sevs = BTreeSet::new();
    for event in catalogue.events.values() {
        let place = format!("event {} ({})", event.id, event.name);
        if event.id == 0 || event.name.split('.').count() != 2 {
            problems.push(format!("{place}: needs an id above 0 and a name of the form domain.fact"));
        }
        if !titles.insert(event.name.as_str()) {
            problems.push(format!("{place}: name stands twice"));
        }
        if !["info", "low", "medium", "high", "critical"].contains(&event.severity.as_str()) {
            problems.push(format!("{place}: severity {:?} is unknown", event.severity));
        }
        if !["critical", "batched", "deferred"].contains(&event.lane.as_str()) {
            problems.push(format!("{place}: lane {:?} is unknown", event.lane));
        }
        for field in event.fields.iter().filter(|field| !names.contains(field.as_str())) {
            problems.push(format!("{place}: field {field:?} is not in fields.toml"));
        }
        for id in &event.autosar_ids {
            if *id >= 0x8000 || !sevs.insert(*id) {
                problems.push(format!("{place}: AUTOSAR number {id} is not below 0x8000, or stands twice"));
            }
        }
        if event.unr155.is_empty() {
            problems.push(format!("{place}: no UN R155 Annex 5 threat is named"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_catalogue_has_no_problem_and_at_least_sixty_event_types() {
        let catalogue = load(&crate::root().join("content/catalogue")).expect("the catalogue is checked in");
        assert!(catalogue.events.len() >= 60, "{} event types", catalogue.events.len());
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let document: Document = toml::from_str(
            "[[event]]\nid = 0\nname = \"x\"\ntitle = \"\"\ndescription = \"\"\nseverity = \"bad\"\nlane = \"l\"\nfields = [\"no\"]\nunr155 = []\nocsf = 0",
        )
        .expect("the text is TOML");
        let mut catalogue = Catalogue { fields: BTreeMap::new(), events: BTreeMap::new() };
        let mut problems = Vec::new();
        take(document, "x.toml", &mut catalogue, &mut problems);
        check(&catalogue, &mut problems);
        assert_eq!(problems.len(), 5, "{problems:#?}");
    }
}
