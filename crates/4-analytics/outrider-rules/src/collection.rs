//! Rule collections: documents of a file that share parts (`action: global`, `reset`, `repeat`).

use std::sync::Arc;

use crate::header;
use crate::problem::{Position, Report};
use crate::suggest;
use crate::yaml::{Entry, NODES_MAX, Node, Value};

/// Most values of all documents of a load that are made of several: a document that is repeated ten thousand times
/// would otherwise grow a small file into a large set.
const MERGED_NODES_MAX: usize = 2_000_000;
/// Most bytes of texts that are kept with rules beside their own.
const SHARED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a load may still spend on documents that share parts.
#[derive(Debug)]
pub(crate) struct Budget {
    nodes: usize,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { nodes: MERGED_NODES_MAX, bytes: SHARED_BYTES_MAX }
    }
}

impl Budget {
    /// Appends a text that has a part in what a rule states; false if there is no room for it.
    pub(crate) fn append(&mut self, text: &mut Arc<str>, what: &str, other: &str) -> bool {
        let Some(left) = self.bytes.checked_sub(text.len() + other.len()) else { return false };
        self.bytes = left;
        *text = Arc::from(format!("{}\n--- # {what}\n{other}", text.trim_end_matches('\n')));
        true
    }
}

/// A document as it stands after the actions before it.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) entries: Vec<Entry>,
    pub(crate) text: Arc<str>,
}

/// Documents of one file so far.
#[derive(Debug, Default)]
pub(crate) struct Collection {
    global: Option<Document>,
    previous: Option<Document>,
}

impl Collection {
    /// Takes the next document of the file; `None` if it is none by itself, or after an error was reported.
    pub(crate) fn next(
        &mut self,
        document: Document,
        budget: &mut Budget,
        report: &mut Report<'_>,
    ) -> Option<Document> {
        let Some(action) = header::get(&document.entries, "action").cloned() else {
            return self.plain(document, budget, report);
        };
        let word = header::text(&action, report)?.to_owned();
        let mut document = document;
        document.entries.retain(|entry| entry.key != "action");
        match word.as_str() {
            "global" => {
                self.global = Some(document.clone());
                self.previous = Some(document);
                None
            }
            "reset" => {
                self.global = None;
                if let Some(entry) = document.entries.first() {
                    let message = "a document with `action: reset` has no other keys";
                    report.error(entry.key_at, "rule.collection", message, "write a document of its own");
                }
                None
            }
            "repeat" => self.repeat(document, action.key_at, budget, report),
            other => {
                let message = format!("unknown action `{other}`");
                let mut hint = suggest::nearest(other, ["global", "reset", "repeat"]);
                if hint.is_empty() {
                    "one of global, reset, repeat".clone_into(&mut hint);
                }
                report.error(action.value.at, "rule.collection", message, hint);
                None
            }
        }
    }

    fn plain(
        &mut self,
        mut document: Document,
        budget: &mut Budget,
        report: &mut Report<'_>,
    ) -> Option<Document> {
        // A pipeline is no rule, so it has no parts in common with rules.
        if let (Some(global), None) = (&self.global, header::get(&document.entries, "transformations")) {
            let at = document.entries.first().map_or(Position::START, |entry| entry.key_at);
            let mut conflicts = Vec::new();
            merge(&mut document.entries, &global.entries, &mut conflicts);
            for (key, at) in conflicts {
                let message = format!("`{key}` is in the global document, whose value counts");
                report.warning(at, "lint.collection", message, "leave it out of one of them");
            }
            let text = global.text.clone();
            spend(&mut document, "global", &text, at, budget, report)?;
        }
        self.previous = Some(document.clone());
        Some(document)
    }

    fn repeat(
        &mut self,
        document: Document,
        at: Position,
        budget: &mut Budget,
        report: &mut Report<'_>,
    ) -> Option<Document> {
        let Some(mut previous) = self.previous.clone() else {
            report.error(at, "rule.collection", "there is no document before it to repeat", "");
            return None;
        };
        merge(&mut previous.entries, &document.entries, &mut Vec::new());
        spend(&mut previous, "repeat", &document.text, at, budget, report)?;
        self.previous = Some(previous.clone());
        Some(previous)
    }
}

/// Takes a document that was made of two out of the budget.
fn spend(
    document: &mut Document,
    what: &str,
    other: &str,
    at: Position,
    budget: &mut Budget,
    report: &mut Report<'_>,
) -> Option<()> {
    let nodes = document.entries.iter().map(|entry| count(&entry.value) + 1).sum::<usize>();
    if nodes > NODES_MAX {
        let message = format!("document grows to {nodes} values, more than {NODES_MAX}");
        report.error(at, "yaml.too_large", message, "share less");
        return None;
    }
    let left = budget.nodes.checked_sub(nodes);
    if left.is_none() || !budget.append(&mut document.text, what, other) {
        let message = "the documents that share parts are too large together";
        report.error(at, "rule.too_many", message, "write fewer of them");
        return None;
    }
    budget.nodes = left.unwrap_or(0);
    Some(())
}

/// Counts the values of a tree, at most [`crate::yaml::DEPTH_MAX`] deep.
fn count(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| count(&entry.value) + 1).sum::<usize>(),
    }
}

/// Puts the entries of `over` into a map. Maps are joined key by key; of anything else the value of `over` counts.
/// Conflicts are the keys of `base` whose value was replaced.
fn merge(base: &mut Vec<Entry>, over: &[Entry], conflicts: &mut Vec<(String, Position)>) {
    for entry in over {
        let Some(known) = base.iter_mut().find(|known| known.key == entry.key) else {
            base.push(entry.clone());
            continue;
        };
        match (&mut known.value.value, &entry.value.value) {
            (Value::Map(inner), Value::Map(others)) => merge(inner, others, conflicts),
            (Value::Map(_) | Value::List(_) | Value::Scalar(_), _) => {
                conflicts.push((known.key.clone(), known.key_at));
                known.value = entry.value.clone();
            }
        }
    }
}
