//! Keys that every rule document has: identity, words about the rule, tags.

use outrider_model::RuleId;
use outrider_types::Severity;

use crate::field::{FieldRef, ValueKind};
use crate::ir::{Header, SourceText, Status};
use crate::problem::{Position, Report};
use crate::suggest;
use crate::yaml::{Entry, Node, Value};

/// Longest title in bytes.
const TITLE_BYTES_MAX: usize = 256;

/// Identities of the threats of UN R155 Annex 5, Table A1, in the order of the table.
#[rustfmt::skip]
pub(crate) const UNR155_THREATS: [&str; 67] = [
    "1.1", "1.2", "1.3", "2.1", "3.1", "3.2", "3.3", "3.4", "3.5", "4.1", "4.2", "5.1", "5.2", "5.3",
    "5.4", "5.5", "6.1", "6.2", "6.3", "7.1", "7.2", "8.1", "8.2", "9.1", "10.1", "11.1", "11.2", "11.3",
    "11.4", "12.1", "12.2", "12.3", "12.4", "13.1", "15.1", "15.2", "16.1", "16.2", "16.3", "17.1", "18.1",
    "18.2", "18.3", "19.1", "19.2", "19.3", "20.1", "20.2", "20.3", "20.4", "20.5", "21.1", "22.2", "23.1",
    "24.1", "25.1", "25.2", "26.1", "26.2", "26.3", "27.1", "28.1", "28.2", "29.1", "29.2", "31.1", "32.1",
];

/// Keys that a document may have at its top.
const KEYS: [&str; 22] = [
    "title",
    "id",
    "related",
    "name",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "logsource",
    "detection",
    "fields",
    "falsepositives",
    "level",
    "tags",
    "scope",
    "group-by",
    "correlation",
    "generate",
];

/// Top of a document: a map with known keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Top<'a> {
    pub(crate) at: Position,
    pub(crate) entries: &'a [Entry],
}

impl<'a> Top<'a> {
    /// Returns the value of a key.
    pub(crate) fn get(self, key: &str) -> Option<&'a Entry> {
        get(self.entries, key)
    }

    /// Returns the text of a key, or reports that the key holds something else.
    pub(crate) fn text(self, key: &str, report: &mut Report<'_>) -> Option<&'a str> {
        text(self.get(key)?, report)
    }
}

/// Finds a key of a map.
pub(crate) fn get<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.key == key)
}

/// Returns the text of an entry, or reports that it holds something else.
pub(crate) fn text<'a>(entry: &'a Entry, report: &mut Report<'_>) -> Option<&'a str> {
    match &entry.value.value {
        Value::Scalar(scalar) if !scalar.is_null() => Some(scalar.text.trim()),
        Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
            report.error(entry.value.at, "rule.shape", format!("`{}` must be text", entry.key), "");
            None
        }
    }
}

/// Returns the texts of an entry that holds one text or a list of texts, with their positions.
pub(crate) fn texts<'a>(entry: &'a Entry, report: &mut Report<'_>) -> Vec<(&'a str, Position)> {
    let items: &[Node] = match &entry.value.value {
        Value::List(items) => items,
        Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(&entry.value),
    };
    let mut found = Vec::new();
    for item in items {
        match &item.value {
            Value::Scalar(scalar) if !scalar.is_null() => found.push((scalar.text.as_str(), item.at)),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
                report.error(item.at, "rule.shape", format!("`{}` must hold texts", entry.key), "");
            }
        }
    }
    found
}

/// Checks the keys and reads the header. `None` after an error was reported.
pub(crate) fn read(top: Top<'_>, source: SourceText, report: &mut Report<'_>) -> Option<Header> {
    for entry in top.entries {
        if !KEYS.contains(&entry.key.as_str()) {
            let message = format!("unknown key `{}`", entry.key);
            report.warning(entry.key_at, "rule.unknown_key", message, suggest::nearest(&entry.key, KEYS));
        }
    }
    let id = read_id(top, report);
    let title = read_title(top, report);
    let level = read_level(top, report);
    let status = read_status(top, report);
    let tags = read_tags(top, report);
    let list = |key: &str, report: &mut Report<'_>| -> Vec<String> {
        top.get(key)
            .map(|entry| texts(entry, report).into_iter().map(|(text, _)| text.to_owned()).collect())
            .unwrap_or_default()
    };
    let mut optional = |key: &str| top.text(key, report).map(str::to_owned);
    let name = optional("name");
    let description = optional("description");
    let author = optional("author");
    if description.is_none() {
        let hint = "say what it means and what to look at first";
        report.warning(top.at, "lint.description", "the rule has no description", hint);
    }
    Some(Header {
        id: RuleId(id?),
        name,
        title: title?,
        description: description.unwrap_or_default(),
        level: level?,
        status: status?,
        tags,
        author: author.unwrap_or_default(),
        references: list("references", report),
        falsepositives: list("falsepositives", report),
        source,
    })
}

fn read_id(top: Top<'_>, report: &mut Report<'_>) -> Option<String> {
    let hint = "every rule needs a UUID of its own, such as 5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b21";
    let Some(entry) = top.get("id") else {
        report.error(top.at, "rule.missing_id", "`id` is missing", hint);
        return None;
    };
    let id = text(entry, report)?.to_ascii_lowercase();
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    if parts != [8, 4, 4, 4, 12] || !id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()) {
        report.error(entry.value.at, "rule.bad_id", format!("`{id}` is not a UUID"), hint);
        return None;
    }
    Some(id)
}

fn read_title(top: Top<'_>, report: &mut Report<'_>) -> Option<String> {
    let Some(entry) = top.get("title") else {
        let hint = "say in a few words what the finding states";
        report.error(top.at, "rule.missing_title", "`title` is missing", hint);
        return None;
    };
    let title = text(entry, report)?;
    if title.is_empty() || title.len() > TITLE_BYTES_MAX {
        let message = format!("`title` must have 1 to {TITLE_BYTES_MAX} bytes");
        report.error(entry.value.at, "rule.bad_title", message, "");
        return None;
    }
    Some(title.to_owned())
}

fn read_level(top: Top<'_>, report: &mut Report<'_>) -> Option<Severity> {
    const WORDS: [&str; 5] = ["informational", "low", "medium", "high", "critical"];
    let Some(entry) = top.get("level") else {
        report.warning(top.at, "lint.level", "`level` is missing, medium is used", "");
        return Some(Severity::Medium);
    };
    let word = text(entry, report)?;
    let level = WORDS.contains(&word).then(|| Severity::from_word(word)).flatten();
    if level.is_none() {
        let message = format!("unknown level `{word}`");
        report.error(entry.value.at, "rule.bad_level", message, format!("one of {}", WORDS.join(", ")));
    }
    level
}

fn read_status(top: Top<'_>, report: &mut Report<'_>) -> Option<Status> {
    let Some(entry) = top.get("status") else { return Some(Status::Experimental) };
    let word = text(entry, report)?;
    let status = Status::ALL.into_iter().find(|status| status.word() == word);
    if status.is_none() {
        let words = Status::ALL.map(Status::word).join(", ");
        let message = format!("unknown status `{word}`");
        report.error(entry.value.at, "rule.bad_status", message, format!("one of {words}"));
    }
    status
}

fn read_tags(top: Top<'_>, report: &mut Report<'_>) -> Vec<String> {
    let tags = top.get("tags").map(|entry| texts(entry, report)).unwrap_or_default();
    for (tag, at) in &tags {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        let shape = tag.split_once('.').is_some_and(|(space, name)| {
            !space.is_empty()
                && !name.is_empty()
                && space.bytes().all(allowed)
                && name.bytes().all(|byte| allowed(byte) || byte == b'.')
        });
        if !shape {
            let hint = "lower case, namespace, full stop, name, such as unr155.18.3";
            report.error(*at, "rule.bad_tag", format!("`{tag}` is not a tag"), hint);
        } else if let Some(threat) = tag.strip_prefix("unr155.")
            && !UNR155_THREATS.contains(&threat)
        {
            let message = format!("UN R155 Annex 5, Table A1 has no threat {threat}");
            report.error(*at, "rule.unknown_threat", message, suggest::nearest(threat, UNR155_THREATS));
        }
    }
    if !tags.iter().any(|(tag, _)| tag.starts_with("unr155.")) {
        let hint = "add a tag such as unr155.18.3, so that coverage of UN R155 can be shown";
        report.warning(top.at, "lint.unr155", "no tag names a threat of UN R155", hint);
    }
    tags.into_iter().map(|(tag, _)| tag.to_owned()).collect()
}

/// Most fields of a group.
const GROUP_FIELDS_MAX: usize = 8;

/// Reads a list of fields that form a group.
pub(crate) fn read_group(entry: &Entry, report: &mut Report<'_>) -> Option<Vec<FieldRef>> {
    let names = texts(entry, report);
    if names.len() > GROUP_FIELDS_MAX {
        let message = format!("a group has at most {GROUP_FIELDS_MAX} fields");
        report.error(entry.value.at, "rule.group", message, "");
        return None;
    }
    let mut fields = Vec::new();
    for (name, at) in names {
        let Some(field) = find_field(name, at, report) else { continue };
        let kind = field.kind();
        if matches!(kind, ValueKind::Float | ValueKind::Time) {
            let hint = "such values hardly ever repeat, so each would be a group of its own";
            let word = if kind == ValueKind::Float { "floating point" } else { "a time" };
            report.error(at, "rule.group", format!("`{name}` is {word} and cannot form groups"), hint);
        } else if fields.contains(&field) {
            report.error(at, "rule.group", format!("`{name}` appears twice"), "");
        } else {
            fields.push(field);
        }
    }
    report.is_clean().then_some(fields)
}

/// Finds a field or reports that there is none.
pub(crate) fn find_field(name: &str, at: Position, report: &mut Report<'_>) -> Option<FieldRef> {
    let field = FieldRef::from_name(name);
    if field.is_none() {
        let names = crate::field::CoreField::ALL
            .into_iter()
            .map(crate::field::CoreField::name)
            .chain(outrider_model::catalogue::FIELDS.iter().map(|field| field.name));
        let mut hint = suggest::nearest(name, names);
        if hint.is_empty() {
            "fields are listed in docs/book/event-types.md".clone_into(&mut hint);
        }
        report.error(at, "rule.unknown_field", format!("unknown field `{name}`"), hint);
    }
    field
}
