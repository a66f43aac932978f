//! Reads rule files into a rule set and reports every problem of all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::collection::{Budget, Collection, Document};
use crate::correlation::resolve;
use crate::correlation::{self, Draft, Referents};
use crate::filter::{self, Room};
use crate::header::{self, Top};
use crate::ir::{Correlation, Header, Rule, RuleIndex, RuleSet, SourceText, Status};
use crate::pipeline::{self, PIPELINES_MAX, Pipeline};
use crate::problem::{Position, Problem, ProblemLevel, Report};
use crate::rule::{self, Context};
use crate::taxonomy::Taxonomy;
use crate::yaml::{self, Chunk, Value};

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
/// Order of rules and correlations is that of files and documents. Pipelines and filters among the documents apply to
/// the rules of all files. A document with errors is left out and disables no other, except correlations that name it.
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

/// A document that was read, in its place.
struct Read {
    file: Arc<str>,
    line: u32,
    at: Position,
    document: Document,
}

impl Read {
    fn has(&self, key: &str) -> bool {
        header::get(&self.document.entries, key).is_some()
    }

    fn top(&self) -> Top<'_> {
        Top { at: self.at, entries: &self.document.entries }
    }

    fn source(&self) -> SourceText {
        SourceText { file: Arc::clone(&self.file), line: self.line, yaml: Arc::clone(&self.document.text) }
    }
}

#[derive(Default)]
struct Loader<'a> {
    taxonomy: Taxonomy<'a>,
    read: Vec<Read>,
    rules: Vec<Rule>,
    drafts: Vec<Draft>,
    referents: Referents,
    taken: Taken,
    documents: usize,
    budget: Budget,
    problems: Vec<Problem>,
}

impl Loader<'_> {
    fn file(&mut self, file: RuleFile<'_>) {
        let name: Arc<str> = Arc::from(file.name);
        if file.text.len() > FILE_BYTES_MAX {
            let message = format!("file has {} bytes, more than {FILE_BYTES_MAX}", file.text.len());
            let mut report = Report::new(name, &mut self.problems);
            report.error(Position::START, "yaml.too_large", message, "split the file");
            return;
        }
        let mut collection = Collection::default();
        for chunk in yaml::split(file.text) {
            self.documents += 1;
            if self.documents > DOCUMENTS_MAX {
                let message = format!("more than {DOCUMENTS_MAX} documents; the rest is not read");
                let mut report = Report::new(name, &mut self.problems);
                let at = Position { line: chunk.line, column: 1 };
                report.error(at, "rule.too_many", message, "remove rules that are not needed");
                return;
            }
            self.document(&name, chunk, &mut collection);
        }
    }

    fn document(&mut self, file: &Arc<str>, chunk: Chunk<'_>, collection: &mut Collection) {
        let mut report = Report::new(Arc::clone(file), &mut self.problems);
        let root = match yaml::parse(chunk) {
            Ok(Some(root)) => root,
            Ok(None) => return,
            Err(error) => return report.error(error.at, error.code, error.message, error.hint),
        };
        let at = root.at;
        let Value::Map(entries) = root.value else {
            return report.error(at, "rule.shape", "a rule must be a map", "begin with title: …");
        };
        let document = Document { entries, text: Arc::from(chunk.text) };
        if let Some(document) = collection.next(document, &mut self.budget, &mut report) {
            self.read.push(Read { file: Arc::clone(file), line: chunk.line, at, document });
        }
    }

    /// Takes the pipelines out of what was read.
    fn pipelines(&mut self) -> Vec<Pipeline> {
        let mut pipelines = Vec::new();
        for read in self.read.extract_if(.., |read| read.has("transformations")) {
            let mut report = Report::new(Arc::clone(&read.file), &mut self.problems);
            if pipelines.len() == PIPELINES_MAX {
                let message = format!("more than {PIPELINES_MAX} pipelines; this one is not used");
                report.error(read.at, "rule.too_many", message, "join pipelines");
                continue;
            }
            pipelines.extend(pipeline::read(read.top(), Arc::clone(&read.document.text), &mut report));
        }
        pipeline::order(&mut pipelines);
        pipelines
    }

    fn rule(&mut self, read: &Read, context: Context<'_>) {
        let mut report = Report::new(Arc::clone(&read.file), &mut self.problems);
        let top = read.top();
        if read.has("correlation") {
            let draft = correlation::read(top, read.source(), &mut report);
            let usable = draft.filter(|draft| admit(&draft.header, top, &mut self.taken, &mut report));
            match usable {
                Some(draft) => {
                    self.referents.correlations.push(draft.header.id.0.clone());
                    self.referents.correlations.extend(draft.header.name.clone());
                    self.drafts.push(draft);
                }
                None => forget(top, &mut self.referents.broken),
            }
            return;
        }
        let rule = rule::read(top, read.source(), context, &mut self.budget, &mut report);
        let usable = rule.filter(|rule| admit(&rule.header, top, &mut self.taken, &mut report));
        match usable {
            Some(rule) => self.rules.push(rule),
            None => forget(top, &mut self.referents.broken),
        }
    }

    fn filters(&mut self, filters: &[Read], context: Context<'_>) {
        let mut room = Room::default();
        for read in filters {
            let mut report = Report::new(Arc::clone(&read.file), &mut self.problems);
            let Some(filter) = filter::read(read.top(), &read.document.text, context, &mut report) else {
                continue;
            };
            let means = (&mut room, &mut self.budget);
            filter::apply(&filter, &mut self.rules, &self.referents, means, &mut report);
        }
    }

    fn finish(mut self) -> Loaded {
        let pipelines = self.pipelines();
        let context = Context { taxonomy: self.taxonomy, pipelines: &pipelines };
        let (filters, rules): (Vec<Read>, Vec<Read>) =
            std::mem::take(&mut self.read).into_iter().partition(|read| read.has("filter"));
        for read in rules {
            self.rule(&read, context);
        }
        self.filters(&filters, context);
        let mut correlations: Vec<Correlation> = Vec::new();
        self.referents.rules = correlation::names(&self.rules);
        for draft in self.drafts {
            let source = draft.header.source.clone();
            let mut report = Report::new(source.file, &mut self.problems);
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
