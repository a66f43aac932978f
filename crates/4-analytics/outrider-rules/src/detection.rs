//! Selections: maps of fields and values become predicates.

use std::collections::BTreeMap;

use crate::condition;
use crate::expr::Expr;
use crate::field::{FieldRef, ValueKind};
use crate::header;
use crate::modifier::{self, Operation, Subject};
use crate::pattern::Place;
use crate::predicate::{Predicate, Test};
use crate::problem::{Position, Report};
use crate::values::{expected, parse_bool};
use crate::yaml::{Entry, Node, Scalar, Value};

/// Most values of one item.
const VALUES_MAX: usize = 1_000;
/// Most predicates of one rule.
const PREDICATES_MAX: usize = 512;
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
pub(crate) fn read(entry: &Entry, report: &mut Report<'_>) -> Option<Detection> {
    let Value::Map(entries) = &entry.value.value else {
        report.error(entry.value.at, "rule.shape", "`detection` must be a map", "");
        return None;
    };
    let mut builder =
        Builder { predicates: Vec::new(), known: BTreeMap::new(), fields: Vec::new(), regexes: 0, report };
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
    /// Regular expressions so far.
    pub(crate) regexes: usize,
    pub(crate) report: &'a mut Report<'r>,
}

impl Builder<'_, '_> {
    /// Reads the condition and puts the selections in the place of their names.
    fn condition(&mut self, line: &Entry, selections: &[(&str, Option<Expr>)]) -> Option<Expr> {
        let at = line.value.at;
        let scalar = match &line.value.value {
            Value::Scalar(scalar) => scalar,
            Value::List(_) | Value::Map(_) => {
                let hint = "join several conditions with or";
                self.report.error(at, "rule.condition", "`condition` must be one text", hint);
                return None;
            }
        };
        let names: Vec<&str> = selections.iter().map(|(name, _)| *name).collect();
        let condition = match condition::parse(&scalar.text, &names) {
            Ok(condition) => condition,
            Err(error) => {
                let offset = u32::try_from(error.offset).unwrap_or(u32::MAX);
                let column = scalar
                    .inset
                    .map_or(at.column, |inset| at.column.saturating_add(inset).saturating_add(offset));
                let at = Position { line: at.line, column };
                self.report.error(at, "rule.condition", error.message, error.hint);
                return None;
            }
        };
        for ((name, _), _) in selections.iter().zip(&condition.used).filter(|(_, used)| !**used) {
            let message = format!("selection `{name}` is not used");
            self.report.warning(at, "lint.unused_selection", message, "");
        }
        let size = size_of(&condition.expr, selections);
        if size > EXPRESSION_NODES_MAX {
            let message = format!("condition grows to {size} parts, more than {EXPRESSION_NODES_MAX}");
            self.report.error(at, "rule.too_large", message, "split the rule");
            return None;
        }
        let expr = substitute(condition.expr, selections)?;
        if expr.depth() > Expr::DEPTH_MAX {
            let message = format!("condition is nested more than {} levels deep", Expr::DEPTH_MAX);
            self.report.error(at, "rule.too_large", message, "");
            return None;
        }
        Some(expr)
    }

    /// Reads one selection: a map, or a list of maps of which one must hold.
    fn selection(&mut self, node: &Node) -> Option<Expr> {
        match &node.value {
            Value::Map(entries) if !entries.is_empty() => self.map(entries),
            Value::List(items) if !items.is_empty() => {
                let mut parts = Vec::new();
                let mut fine = true;
                for item in items {
                    let part = match &item.value {
                        Value::Map(entries) if !entries.is_empty() => self.map(entries),
                        Value::Map(_) | Value::List(_) | Value::Scalar(_) => {
                            self.keyword(item.at);
                            None
                        }
                    };
                    fine &= part.is_some();
                    parts.extend(part);
                }
                fine.then_some(Expr::Or(parts))
            }
            Value::Scalar(scalar) if !scalar.is_null() => {
                self.keyword(node.at);
                None
            }
            Value::Map(_) | Value::List(_) | Value::Scalar(_) => {
                self.report.error(node.at, "rule.shape", "selection is empty", "name at least one field");
                None
            }
        }
    }

    fn keyword(&mut self, at: Position) {
        let hint = "events have fields and no message text; name the field, such as reason|contains: word";
        self.report.error(at, "rule.keywords", "keyword lists are not supported", hint);
    }

    fn map(&mut self, entries: &[Entry]) -> Option<Expr> {
        let parts: Vec<Option<Expr>> = entries.iter().map(|entry| self.item(entry)).collect();
        parts.into_iter().collect::<Option<Vec<Expr>>>().map(Expr::And)
    }

    fn item(&mut self, entry: &Entry) -> Option<Expr> {
        let subject = modifier::read(&entry.key, entry.key_at, self.report)?;
        if !self.fields.iter().any(|(field, _)| *field == subject.field) {
            self.fields.push((subject.field, entry.key_at));
        }
        let mut values = Vec::new();
        for item in list_of(&entry.value) {
            let Value::Scalar(scalar) = &item.value else {
                self.report.error(item.at, "rule.shape", "a value must be text, a number or null", "");
                return None;
            };
            values.push((scalar, item.at));
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
        let expr = self.values(&subject, &values)?;
        Some(if subject.negated { Expr::Not(Box::new(expr)) } else { expr })
    }

    /// Turns the values of an item into tests: null is absence, the others share one predicate.
    fn values(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<Expr> {
        let (nulls, others): (Vec<_>, Vec<_>) = values.iter().partition(|(scalar, _)| scalar.is_null());
        let mut parts = Vec::new();
        if let Some((_, at)) = nulls.first() {
            if subject.operation != Operation::Equal(Place::Whole) {
                let message = format!("`{}` cannot be compared with null", subject.operation.word());
                self.report.error(*at, "rule.values", message, "");
                return None;
            }
            let exists = self.predicate(subject, Test::Exists, "exists", "a value".to_owned())?;
            parts.push(Expr::Not(Box::new(exists)));
        }
        if subject.operation == Operation::Exists {
            return self.exists(subject, &others);
        }
        if subject.all {
            for value in &others {
                parts.push(self.test(subject, std::slice::from_ref(value))?);
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
            parts.push(self.test(subject, &others)?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Expr::Or(parts)) }
    }

    fn exists(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<Expr> {
        let [(scalar, at)] = values else {
            self.report.error(subject.at, "rule.values", "`exists` takes true or false", "");
            return None;
        };
        let Some(wanted) = parse_bool(&scalar.text) else {
            self.report.error(*at, "rule.values", "`exists` takes true or false", "");
            return None;
        };
        let exists = self.predicate(subject, Test::Exists, "exists", "a value".to_owned())?;
        Some(if wanted { exists } else { Expr::Not(Box::new(exists)) })
    }

    /// Makes one predicate of values that are joined by or.
    fn test(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<Expr> {
        let test = match subject.field.kind() {
            ValueKind::Int => self.int(subject, values)?,
            ValueKind::Float => self.float(subject, values)?,
            ValueKind::Bool => Test::Bool(self.bool(values)?),
            ValueKind::Severity => self.severity(subject, values)?,
            ValueKind::Lane => Test::Codes(self.lane(values)?),
            ValueKind::EventType => self.event_types(subject, values)?,
            ValueKind::Text => Test::Text(self.text(subject, values)?),
        };
        let expected = expected(&test, values);
        self.predicate(subject, test, &subject.operator(), expected)
    }

    fn predicate(&mut self, subject: &Subject, test: Test, operator: &str, expected: String) -> Option<Expr> {
        let made = Predicate { field: subject.field, test, operator: operator.to_owned(), expected };
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

fn list_of(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(node),
    }
}
