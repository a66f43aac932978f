//! Selections: maps of fields and values become predicates.

use std::collections::BTreeMap;

use crate::condition;
use crate::expr::Expr;
use crate::field::{FieldRef, ValueKind};
use crate::header;
use crate::modifier::{self, Operation, Subject};
use crate::pattern::Place;
use crate::placeholder::{self, ExpandError};
use crate::predicate::{Predicate, Same, Test, TextTest};
use crate::problem::{Position, Report};
use crate::taxonomy::Scope;
use crate::values::{expected, parse_bool};
use crate::yaml::{Entry, Node, Scalar, Value};

/// Most values of one item; the longest list of the public collection, names of malicious packages, has 1,092.
const VALUES_MAX: usize = 4_096;
/// Most predicates of one rule.
pub(crate) const PREDICATES_MAX: usize = 512;
/// Most parts of a condition once the selections stand in it.
const EXPRESSION_NODES_MAX: usize = 8_192;

/// Predicates and condition of a rule.
#[derive(Debug)]
pub(crate) struct Detection {
    pub(crate) predicates: Vec<Predicate>,
    pub(crate) condition: Expr,
    /// Fields with the place where each was first named.
    pub(crate) fields: Vec<(FieldRef, Position)>,
    /// Where the condition is written.
    pub(crate) condition_at: Position,
}

/// Reads the `detection` of a rule; `None` after an error was reported.
pub(crate) fn read(entry: &Entry, scope: Scope<'_>, report: &mut Report<'_>) -> Option<Detection> {
    let Value::Map(entries) = &entry.value.value else {
        report.error(entry.value.at, "rule.shape", "`detection` must be a map", "");
        return None;
    };
    let mut builder = Builder {
        predicates: Vec::new(),
        known: BTreeMap::new(),
        fields: Vec::new(),
        regexes: 0,
        scope,
        report,
    };
    let mut selections = Vec::new();
    for entry in entries.iter().filter(|entry| entry.key != "condition" && entry.key != "timeframe") {
        selections.push((entry.key.as_str(), builder.selection(&entry.value)));
    }
    if let Some(timeframe) = header::get(entries, "timeframe") {
        let hint = "write a second document with a `correlation`";
        builder.report.error(
            timeframe.key_at,
            "rule.unsupported",
            "`timeframe` is not part of Sigma 2",
            hint,
        );
    }
    let Some(line) = header::get(entries, "condition") else {
        let hint = "such as condition: selection";
        builder.report.error(entry.key_at, "rule.missing_condition", "`condition` is missing", hint);
        return None;
    };
    let condition = builder.condition(line, &selections)?;
    let Builder { predicates, fields, .. } = builder;
    report.is_clean().then_some(Detection { predicates, condition, fields, condition_at: line.value.at })
}

/// Reads the selections of one rule.
pub(crate) struct Builder<'a, 'r> {
    predicates: Vec<Predicate>,
    /// Positions of predicates by their keys.
    known: BTreeMap<String, usize>,
    fields: Vec<(FieldRef, Position)>,
    scope: Scope<'a>,
    /// Regular expressions so far.
    pub(crate) regexes: usize,
    pub(crate) report: &'a mut Report<'r>,
}

impl Builder<'_, '_> {
    /// Reads the condition, or several of which one must hold, and puts the selections in the place of their names.
    fn condition(&mut self, line: &Entry, selections: &[(&str, Option<Expr>)]) -> Option<Expr> {
        let (mut parts, mut used) = (Vec::new(), vec![false; selections.len()]);
        let nodes = list_of(&line.value);
        for node in nodes {
            let Value::Scalar(scalar) = &node.value else {
                let message = "`condition` must be text, or a list of texts";
                self.report.error(
                    node.at,
                    "rule.condition",
                    message,
                    "such as condition: selection and not filter",
                );
                continue;
            };
            if let Some(condition) = self.parse(scalar, node.at, selections) {
                used.iter_mut().zip(condition.used).for_each(|(used, here)| *used |= here);
                parts.push(condition.expr);
            }
        }
        if parts.len() < nodes.len() {
            return None;
        }
        for ((name, _), _) in selections.iter().zip(&used).filter(|(_, used)| !**used) {
            let message = format!("selection `{name}` is not used");
            self.report.warning(line.value.at, "lint.unused_selection", message, "");
        }
        let expr = match parts.len() {
            0 => {
                self.report.error(
                    line.value.at,
                    "rule.condition",
                    "`condition` is empty",
                    "name a selection",
                );
                return None;
            }
            1 => parts.pop()?,
            _ => Expr::Or(parts),
        };
        self.insert(expr, line.value.at, selections)
    }

    fn parse(
        &mut self,
        scalar: &Scalar,
        at: Position,
        selections: &[(&str, Option<Expr>)],
    ) -> Option<condition::Condition> {
        let names: Vec<&str> = selections.iter().map(|(name, _)| *name).collect();
        match condition::parse(&scalar.text, &names) {
            Ok(condition) => Some(condition),
            Err(error) => {
                let offset = u32::try_from(error.offset).unwrap_or(u32::MAX);
                let column = scalar
                    .inset
                    .map_or(at.column, |inset| at.column.saturating_add(inset).saturating_add(offset));
                let at = Position { line: at.line, column };
                self.report.error(at, "rule.condition", error.message, error.hint);
                None
            }
        }
    }

    /// Puts selections in the place of their names, within the caps of a rule.
    fn insert(&mut self, expr: Expr, at: Position, selections: &[(&str, Option<Expr>)]) -> Option<Expr> {
        let size = size_of(&expr, selections);
        if size > EXPRESSION_NODES_MAX {
            let message = format!("condition grows to {size} parts, more than {EXPRESSION_NODES_MAX}");
            self.report.error(at, "rule.too_large", message, "split the rule");
            return None;
        }
        let expr = substitute(expr, selections)?;
        if expr.depth() > Expr::DEPTH_MAX {
            let message = format!("condition is nested more than {} levels deep", Expr::DEPTH_MAX);
            self.report.error(at, "rule.too_large", message, "");
            return None;
        }
        Some(expr)
    }

    /// Reads one selection: a map, or a list of maps and keywords of which one must hold.
    fn selection(&mut self, node: &Node) -> Option<Expr> {
        match &node.value {
            Value::Map(entries) if !entries.is_empty() => self.map(entries),
            Value::List(items) if !items.is_empty() => self.alternatives(items),
            Value::Scalar(scalar) if !scalar.is_null() => self.keywords(&[(scalar, node.at)], node.at),
            Value::Map(_) | Value::List(_) | Value::Scalar(_) => {
                self.report.error(node.at, "rule.shape", "selection is empty", "name at least one field");
                None
            }
        }
    }

    fn alternatives(&mut self, items: &[Node]) -> Option<Expr> {
        let (mut parts, mut words, mut fine) = (Vec::new(), Vec::new(), true);
        for item in items {
            match &item.value {
                Value::Map(entries) if !entries.is_empty() => {
                    let part = self.map(entries);
                    fine &= part.is_some();
                    parts.extend(part);
                }
                Value::Scalar(scalar) if !scalar.is_null() => words.push((scalar, item.at)),
                Value::Map(_) | Value::List(_) | Value::Scalar(_) => {
                    let hint = "a list holds maps of fields, or keywords";
                    self.report.error(item.at, "rule.shape", "this is neither a map nor a keyword", hint);
                    fine = false;
                }
            }
        }
        if let [(_, at), ..] = words.as_slice() {
            let part = self.keywords(&words, *at);
            fine &= part.is_some();
            parts.extend(part);
        }
        if !fine {
            return None;
        }
        if parts.len() == 1 { parts.pop() } else { Some(Expr::Or(parts)) }
    }

    /// Reads words of which one must be somewhere in the event.
    fn keywords(&mut self, words: &[(&Scalar, Position)], at: Position) -> Option<Expr> {
        let subjects = modifier::read("", at, self.scope, self.report)?;
        self.values(&subjects, words)
    }

    fn map(&mut self, entries: &[Entry]) -> Option<Expr> {
        let parts: Vec<Option<Expr>> = entries.iter().map(|entry| self.item(entry)).collect();
        parts.into_iter().collect::<Option<Vec<Expr>>>().map(Expr::And)
    }

    fn item(&mut self, entry: &Entry) -> Option<Expr> {
        let subjects = modifier::read(&entry.key, entry.key_at, self.scope, self.report)?;
        let subject = subjects.first()?;
        if !entry.key.starts_with('|') {
            subjects.iter().for_each(|subject| self.name(subject.field, entry.key_at));
        }
        let mut values = Vec::new();
        for item in list_of(&entry.value) {
            let Value::Scalar(scalar) = &item.value else {
                self.report.error(item.at, "rule.shape", "a value must be text, a number or null", "");
                return None;
            };
            values.push((scalar, item.at));
        }
        let written;
        if subject.expand {
            written = self.expand(&values)?;
            values = written.iter().map(|(scalar, at)| (scalar, *at)).collect();
        }
        if values.is_empty() || values.len() > VALUES_MAX {
            let message = format!("an item needs 1 to {VALUES_MAX} values");
            self.report.error(entry.value.at, "rule.values", message, "");
            return None;
        }
        if subject.all && values.len() == 1 {
            let message = "`all` needs several values";
            self.report.error(entry.value.at, "rule.modifier", message, "leave `all` out");
            return None;
        }
        let is_equality = subject.operation == Operation::Equal(Place::Whole) && !subject.reference;
        if subject.all && is_equality && !values.iter().all(|(scalar, _)| has_wildcard(&scalar.text)) {
            let message = "a field has one value, which cannot equal all of several";
            let hint = "`all` goes with wildcards, contains, startswith, endswith, re or cidr";
            self.report.error(entry.key_at, "rule.kind", message, hint);
            return None;
        }
        let expr = self.values(&subjects, &values)?;
        Some(if subject.negated { Expr::Not(Box::new(expr)) } else { expr })
    }

    /// Writes out the placeholders of values.
    fn expand(&mut self, values: &[(&Scalar, Position)]) -> Option<Vec<(Scalar, Position)>> {
        let mut written = Vec::new();
        for (scalar, at) in values {
            let texts =
                placeholder::expand(&scalar.text, VALUES_MAX, &|name| self.scope.applied.placeholder(name));
            let (message, hint) = match texts {
                Ok(texts) if written.len() + texts.len() <= VALUES_MAX => {
                    written.extend(texts.into_iter().map(|text| (Scalar { text, ..(*scalar).clone() }, *at)));
                    continue;
                }
                Ok(_) | Err(ExpandError::TooMany) => {
                    (format!("placeholders stand for more than {VALUES_MAX} values"), "shorten their lists")
                }
                Err(ExpandError::Unknown(name)) => {
                    let hint = "a pipeline with value_placeholders gives them in its vars";
                    (format!("placeholder `{name}` has no values"), hint)
                }
            };
            self.report.error(*at, "rule.placeholder", message, hint);
            return None;
        }
        Some(written)
    }

    /// Remembers where a field was first named.
    fn name(&mut self, field: FieldRef, at: Position) {
        if !self.fields.iter().any(|(known, _)| *known == field) {
            self.fields.push((field, at));
        }
    }

    /// Makes a test for each field of a name; one of them must hold.
    fn each(
        &mut self,
        subjects: &[Subject],
        mut make: impl FnMut(&mut Self, &Subject) -> Option<Expr>,
    ) -> Option<Expr> {
        let mut parts = Vec::new();
        for subject in subjects {
            parts.push(make(self, subject)?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Expr::Or(parts)) }
    }

    /// Turns the values of an item into tests: null is absence, the others share one predicate a field.
    fn values(&mut self, subjects: &[Subject], values: &[(&Scalar, Position)]) -> Option<Expr> {
        let subject = subjects.first()?;
        let (nulls, others): (Vec<_>, Vec<_>) = values.iter().partition(|(scalar, _)| scalar.is_null());
        let mut parts = Vec::new();
        if let Some((_, at)) = nulls.first() {
            let is_equality = subject.operation == Operation::Equal(Place::Whole);
            if !is_equality || subject.reference || subject.part.is_some() {
                let message = format!("`{}` cannot be compared with null", subject.operator());
                self.report.error(*at, "rule.values", message, "");
                return None;
            }
            parts.push(Expr::Not(Box::new(self.existence(subjects)?)));
        }
        if subject.operation == Operation::Exists {
            return self.exists(subjects, &others);
        }
        if subject.all {
            for value in &others {
                let value = std::slice::from_ref(value);
                parts.push(self.tests(subjects, value)?);
            }
            return Some(Expr::And(parts));
        }
        if let Operation::Compare(_) = subject.operation
            && let [_, (_, at), ..] = others.as_slice()
        {
            self.report.error(*at, "rule.values", "a comparison takes one value", "keep the wider bound");
            return None;
        }
        if !others.is_empty() {
            parts.push(self.tests(subjects, &others)?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Expr::Or(parts)) }
    }

    fn exists(&mut self, subjects: &[Subject], values: &[(&Scalar, Position)]) -> Option<Expr> {
        let [(scalar, at)] = values else {
            let at = subjects.first().map_or(Position::START, |subject| subject.at);
            self.report.error(at, "rule.values", "`exists` takes true or false", "");
            return None;
        };
        let Some(wanted) = parse_bool(&scalar.text) else {
            self.report.error(*at, "rule.values", "`exists` takes true or false", "");
            return None;
        };
        let exists = self.existence(subjects)?;
        Some(if wanted { exists } else { Expr::Not(Box::new(exists)) })
    }

    /// One of the fields has a value.
    fn existence(&mut self, subjects: &[Subject]) -> Option<Expr> {
        self.each(subjects, |this, subject| {
            this.predicate(subject, Test::Exists, "exists", "a value".to_owned())
        })
    }

    /// Makes a test of values that are joined by or, for each field of a name; one of the fields must meet it.
    fn tests(&mut self, subjects: &[Subject], values: &[(&Scalar, Position)]) -> Option<Expr> {
        let mut made: Option<(ValueKind, Test, String)> = None;
        self.each(subjects, |this, subject| {
            if subject.reference {
                return this.references(subject, values);
            }
            let kind = subject.field.kind();
            // Fields of one kind share the test, which is costly to make if it has regular expressions.
            let (test, expected) = match &made {
                Some((known, test, expected)) if *known == kind => (test.clone(), expected.clone()),
                _ => {
                    let test = this.test(subject, values)?;
                    let expected = expected(&test, values);
                    made = Some((kind, test.clone(), expected.clone()));
                    (test, expected)
                }
            };
            this.predicate(subject, test, &subject.operator(), expected)
        })
    }

    /// Reads values that are joined by or.
    fn test(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<Test> {
        Some(match (subject.field.kind(), subject.part) {
            (ValueKind::Time, part) => Test::Part(part?, self.part(part?, subject, values)?),
            (_, Some(part)) => Test::Text(TextTest::Part(part, self.part(part, subject, values)?)),
            (ValueKind::Int, None) => self.int(subject, values)?,
            (ValueKind::Float, None) => self.float(subject, values)?,
            (ValueKind::Bool, None) => Test::Bool(self.bool(values)?),
            (ValueKind::Severity, None) => self.severity(subject, values)?,
            (ValueKind::Lane, None) => Test::Codes(self.lane(values)?),
            (ValueKind::EventType, None) => self.event_types(subject, values)?,
            (ValueKind::Text, None) => Test::Text(self.text(subject, values)?),
        })
    }

    /// Compares with the values of other fields, of which one must do.
    fn references(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<Expr> {
        let Operation::Equal(place) = subject.operation else { return None };
        let mut parts = Vec::new();
        for (scalar, at) in values {
            for (other, _) in self.scope.find(&scalar.text, *at, self.report)? {
                self.name(other, *at);
                let (left, right) = (subject.field.kind(), other.kind());
                let is_number = |kind| matches!(kind, ValueKind::Int | ValueKind::Float);
                if left != right && !(is_number(left) && is_number(right)) {
                    let (left, right) = (left.word(), right.word());
                    let message = format!("`{}` is {left} and `{}` is {right}", subject.name, scalar.text);
                    self.report.error(*at, "rule.kind", message, "compare fields of one kind");
                    return None;
                }
                let test = Test::Same(Same { other, place, cased: subject.cased });
                let expected = format!("the value of {}", scalar.text);
                parts.push(self.predicate(subject, test, &subject.operator(), expected)?);
            }
        }
        if parts.len() == 1 { parts.pop() } else { Some(Expr::Or(parts)) }
    }

    fn predicate(&mut self, subject: &Subject, test: Test, operator: &str, expected: String) -> Option<Expr> {
        let (field, name) = (subject.field, subject.name.clone());
        let made = Predicate { field, name, test, operator: operator.to_owned(), expected };
        let next = self.predicates.len();
        let index = *self.known.entry(made.key()).or_insert(next);
        if index == next {
            self.predicates.push(made);
        }
        if index >= PREDICATES_MAX {
            let message = format!("a rule has at most {PREDICATES_MAX} tests");
            self.report.error(subject.at, "rule.too_large", message, "split the rule");
            return None;
        }
        Some(Expr::Test(u32::try_from(index).expect("PREDICATES_MAX is below 2^32")))
    }
}

/// Puts selections in the place of their positions; `None` if one of them has errors.
fn substitute(expr: Expr, selections: &[(&str, Option<Expr>)]) -> Option<Expr> {
    let all = |parts: Vec<Expr>| -> Option<Vec<Expr>> {
        parts.into_iter().map(|part| substitute(part, selections)).collect()
    };
    match expr {
        Expr::And(parts) => all(parts).map(Expr::And),
        Expr::Or(parts) => all(parts).map(Expr::Or),
        Expr::Not(part) => substitute(*part, selections).map(|part| Expr::Not(Box::new(part))),
        Expr::Test(index) => selections.get(index as usize).and_then(|(_, selection)| selection.clone()),
    }
}

/// Counts the parts that [`substitute`] would make.
fn size_of(expr: &Expr, selections: &[(&str, Option<Expr>)]) -> usize {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => {
            parts.iter().fold(1, |sum, part| sum.saturating_add(size_of(part, selections)))
        }
        Expr::Not(part) => size_of(part, selections).saturating_add(1),
        Expr::Test(index) => {
            let selection = selections.get(*index as usize).and_then(|(_, selection)| selection.as_ref());
            selection.map_or(1, Expr::size)
        }
    }
}

/// Returns whether a value has a wildcard that is not escaped.
fn has_wildcard(text: &str) -> bool {
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => drop(rest.next()),
            '*' | '?' => return true,
            _ => {}
        }
    }
    false
}

fn list_of(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(node),
    }
}
