//! Reads rule files into a rule set and reports every problem of all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::correlation::{self, Draft, Referents};
use crate::header::{self, Top};
use crate::ir::{Correlation, Header, Rule, RuleIndex, RuleSet, SourceText, Status};
use crate::problem::{Position, Problem, ProblemLevel, Report};
use crate::taxonomy::Taxonomy;
use crate::yaml::{self, Chunk, Value};
use crate::{correlation::resolve, rule};

/// Largest rule file.
pub const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most documents of one load; three times the public Sigma collection.
pub const DOCUMENTS_MAX: usize = 10_000;

/// Text of one rule file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleFile<'a> {
    /// Name for messages, such as `can-injection.yml`.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// What came of a load.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// Every rule and correlation without errors.
    pub rules: RuleSet,
    /// Every problem of every file, by file and position.
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// Returns the problems that disable a rule.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| problem.level == ProblemLevel::Error)
    }
}

/// Reads, checks and compiles rule files, each of one or more YAML documents.
///
/// Order of rules and correlations is that of files and documents. A document with errors is left out and
/// disables no other, except correlations that name it.
#[must_use]
pub fn load(files: &[RuleFile<'_>]) -> Loaded {
    load_with(files, Taxonomy::Vehicle)
}

/// Reads rule files whose fields are those of a taxonomy, as [`load`] does.
#[must_use]
pub fn load_with(files: &[RuleFile<'_>], taxonomy: Taxonomy<'_>) -> Loaded {
    let mut loader = Loader { taxonomy, ..Loader::default() };
    for file in files {
        loader.file(*file);
    }
    loader.finish()
}

/// Who took an id or a name.
type Taken = BTreeMap<String, (Arc<str>, u32)>;

#[derive(Default)]
struct Loader<'a> {
    taxonomy: Taxonomy<'a>,
    rules: Vec<Rule>,
    drafts: Vec<Draft>,
    referents: Referents,
    taken: Taken,
    documents: usize,
    problems: Vec<Problem>,
}

impl Loader<'_> {
    fn file(&mut self, file: RuleFile<'_>) {
        let name: Arc<str> = Arc::from(file.name);
        if file.text.len() > FILE_BYTES_MAX {
            let message = format!("file has {} bytes, more than {FILE_BYTES_MAX}", file.text.len());
            let mut report = Report::new(name, 1, &mut self.problems);
            report.error(Position::START, "yaml.too_large", message, "split the file");
            return;
        }
        for chunk in yaml::split(file.text) {
            self.documents += 1;
            if self.documents > DOCUMENTS_MAX {
                let message = format!("more than {DOCUMENTS_MAX} documents; the rest is not read");
                let mut report = Report::new(name, chunk.line, &mut self.problems);
                report.error(Position::START, "rule.too_many", message, "remove rules that are not needed");
                return;
            }
            self.document(&name, chunk);
        }
    }

    fn document(&mut self, file: &Arc<str>, chunk: Chunk<'_>) {
        let mut report = Report::new(Arc::clone(file), chunk.line, &mut self.problems);
        let root = match yaml::parse(chunk.text) {
            Ok(Some(root)) => root,
            Ok(None) => return,
            Err(error) => return report.error(error.at, error.code, error.message, error.hint),
        };
        let Value::Map(entries) = &root.value else {
            return report.error(root.at, "rule.shape", "a rule must be a map", "begin with title: …");
        };
        let top = Top { at: root.at, entries };
        let source = SourceText { file: Arc::clone(file), line: chunk.line, yaml: Arc::from(chunk.text) };
        if let Some(entry) = top.get("filter").or_else(|| top.get("action")) {
            let message = format!("documents with `{}` are not supported", entry.key);
            return report.error(
                entry.key_at,
                "rule.unsupported",
                message,
                "put the exception into the rule",
            );
        }
        if top.get("correlation").is_some() {
            let draft = correlation::read(top, source, &mut report);
            let usable = draft.filter(|draft| admit(&draft.header, top, &mut self.taken, &mut report));
            match usable {
                Some(draft) => {
                    self.referents.correlations.push(draft.header.id.0.clone());
                    self.referents.correlations.extend(draft.header.name.clone());
                    self.drafts.push(draft);
                }
                None => forget(top, &mut self.referents.broken),
            }
        } else {
            let rule = rule::read(top, source, self.taxonomy, &mut report);
            let usable = rule.filter(|rule| admit(&rule.header, top, &mut self.taken, &mut report));
            match usable {
                Some(rule) => self.rules.push(rule),
                None => forget(top, &mut self.referents.broken),
            }
        }
    }

    fn finish(mut self) -> Loaded {
        let mut correlations: Vec<Correlation> = Vec::new();
        self.referents.rules = correlation::names(&self.rules);
        for draft in self.drafts {
            let source = draft.header.source.clone();
            let mut report = Report::new(source.file, source.line, &mut self.problems);
            correlations.extend(resolve(draft, &self.rules, &self.referents, &mut report));
        }
        // A rule that serves only correlations states nothing by itself, as Sigma has it.
        let mut users: BTreeMap<RuleIndex, bool> = BTreeMap::new();
        for correlation in &correlations {
            for rule in &correlation.rules {
                *users.entry(*rule).or_insert(false) |= correlation.generate;
            }
        }
        for (index, generate) in users {
            if let Some(rule) = self.rules.get_mut(index.0 as usize) {
                rule.generate = generate;
            }
        }
        self.problems.sort();
        Loaded { rules: RuleSet::new(self.rules, correlations), problems: self.problems }
    }
}

/// Checks that id and name are free and that the rule wants to be evaluated.
fn admit(header: &Header, top: Top<'_>, taken: &mut Taken, report: &mut Report<'_>) -> bool {
    for (word, key) in [(Some(header.id.0.as_str()), "id"), (header.name.as_deref(), "name")] {
        let Some(word) = word else { continue };
        if let Some((file, line)) = taken.get(word) {
            let at = top.get(key).map_or(top.at, |entry| entry.value.at);
            let message = format!("`{key}` {word} is taken by the rule at {file}:{line}");
            report.error(at, "rule.duplicate", message, "give every rule its own");
        } else {
            taken.insert(word.to_owned(), (Arc::clone(&header.source.file), header.source.line));
        }
    }
    match header.status {
        Status::Stable | Status::Test | Status::Experimental => report.is_clean(),
        Status::Deprecated | Status::Unsupported => {
            let at = top.get("status").map_or(top.at, |entry| entry.value.at);
            let message = format!("status is {}, so the rule is not evaluated", header.status.word());
            report.warning(at, "lint.not_evaluated", message, "");
            false
        }
    }
}

/// Remembers id and name of a document that is left out, for better messages.
fn forget(top: Top<'_>, broken: &mut Vec<String>) {
    for key in ["id", "name"] {
        if let Some(entry) = header::get(top.entries, key)
            && let Value::Scalar(scalar) = &entry.value.value
        {
            broken.push(scalar.text.clone());
        }
    }
}
