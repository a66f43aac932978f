//! Selections: maps of fields and values become predicates.

use ipnet::IpNet;
use outrider_model::catalogue;
use outrider_types::{EventTypeId, Lane, Severity};
use regex::{Regex, RegexBuilder};

use crate::condition;
use crate::expr::Expr;
use crate::field::{FieldRef, ValueKind};
use crate::header;
use crate::modifier::{self, Operation, Subject};
use crate::pattern::{Pattern, Place};
use crate::predicate::{Comparison, Predicate, Test, TextTest};
use crate::problem::{Position, Report};
use crate::suggest;
use crate::yaml::{Entry, Node, Scalar, Value};

/// Most values of one item.
const VALUES_MAX: usize = 1_000;
/// Most predicates of one rule.
const PREDICATES_MAX: usize = 512;
/// Most parts of a condition once the selections stand in it.
const EXPRESSION_NODES_MAX: usize = 8_192;
/// Largest compiled regular expression; the default of the library is 10 MiB.
const REGEX_BYTES_MAX: usize = 256 * 1024;
/// Most regular expressions of one rule.
const REGEXES_MAX: usize = 64;

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
    let mut builder = Builder { predicates: Vec::new(), fields: Vec::new(), regexes: 0, report };
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

struct Builder<'a, 'r> {
    predicates: Vec<Predicate>,
    fields: Vec<(FieldRef, Position)>,
    regexes: usize,
    report: &'a mut Report<'r>,
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
        self.predicate(subject, test, subject.operation.word(), expected)
    }

    fn predicate(&mut self, subject: &Subject, test: Test, operator: &str, expected: String) -> Option<Expr> {
        let made = Predicate { field: subject.field, test, operator: operator.to_owned(), expected };
        let key = made.key();
        let index =
            self.predicates.iter().position(|predicate| predicate.key() == key).unwrap_or_else(|| {
                self.predicates.push(made);
                self.predicates.len() - 1
            });
        if index >= PREDICATES_MAX {
            let message = format!("a rule has at most {PREDICATES_MAX} tests");
            self.report.error(subject.at, "rule.too_large", message, "split the rule");
            return None;
        }
        Some(Expr::Test(u32::try_from(index).expect("PREDICATES_MAX is below 2^32")))
    }

    fn bad_value(&mut self, at: Position, message: String, hint: impl Into<String>) {
        self.report.error(at, "rule.value", message, hint);
    }

    fn int(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<Test> {
        if let (Operation::Compare(comparison), [(scalar, at)]) = (subject.operation, values) {
            if let Some(bound) = parse_int(&scalar.text) {
                return Some(Test::IntCompare(comparison, bound));
            }
            let Some(bound) = parse_float(&scalar.text) else {
                self.bad_value(*at, format!("`{}` is not a number", scalar.text), "");
                return None;
            };
            return Some(int_bound(comparison, bound));
        }
        let mut wanted = Vec::new();
        for (scalar, at) in values {
            let Some(value) = parse_int(&scalar.text) else {
                let message = format!("`{}` is not an integer, but `{}` is int", scalar.text, subject.field);
                self.bad_value(*at, message, "write 53 or 0x35; numbers have no wildcards");
                return None;
            };
            wanted.push(value);
        }
        wanted.sort_unstable();
        wanted.dedup();
        Some(Test::IntIn(wanted))
    }

    fn float(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<Test> {
        let mut wanted = Vec::new();
        for (scalar, at) in values {
            let Some(value) = parse_float(&scalar.text) else {
                self.bad_value(*at, format!("`{}` is not a number", scalar.text), "");
                return None;
            };
            wanted.push(value);
        }
        match (subject.operation, wanted.as_slice()) {
            (Operation::Compare(comparison), [bound]) => Some(Test::FloatCompare(comparison, *bound)),
            _ => Some(Test::FloatIn(wanted)),
        }
    }

    fn bool(&mut self, values: &[(&Scalar, Position)]) -> Option<bool> {
        let [(scalar, at)] = values else {
            let at = values.first().map_or(Position::START, |(_, at)| *at);
            self.bad_value(
                at,
                "a truth value takes one of true and false".to_owned(),
                "use exists: true for both",
            );
            return None;
        };
        let value = parse_bool(&scalar.text);
        if value.is_none() {
            self.bad_value(*at, format!("`{}` is neither true nor false", scalar.text), "");
        }
        value
    }

    fn severity(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<Test> {
        let mut mask = 0u8;
        for (scalar, at) in values {
            let word = scalar.text.to_ascii_lowercase();
            let Some(bound) = Severity::from_word(&word) else {
                let words = Severity::ALL.map(Severity::word).join(", ");
                self.bad_value(*at, format!("`{word}` is not a severity"), format!("one of {words}"));
                return None;
            };
            for severity in Severity::ALL {
                let holds = match subject.operation {
                    Operation::Compare(comparison) => comparison.holds(severity, bound),
                    Operation::Equal(_)
                    | Operation::Regex { .. }
                    | Operation::Network
                    | Operation::Exists => severity == bound,
                };
                mask |= u8::from(holds) << severity.code();
            }
        }
        Some(Test::Codes(mask))
    }

    fn lane(&mut self, values: &[(&Scalar, Position)]) -> Option<u8> {
        let mut mask = 0u8;
        for (scalar, at) in values {
            let word = scalar.text.to_ascii_lowercase();
            let Some(lane) = Lane::from_word(&word) else {
                let words = Lane::ALL.map(Lane::word).join(", ");
                self.bad_value(*at, format!("`{word}` is not a lane"), format!("one of {words}"));
                return None;
            };
            mask |= 1 << lane.code();
        }
        Some(mask)
    }

    /// Evaluates a test on event types once, over the catalogue.
    fn event_types(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<Test> {
        let mut types: Vec<EventTypeId> = Vec::new();
        for value in values {
            let test = self.text(subject, std::slice::from_ref(value))?;
            let before = types.len();
            types.extend(
                catalogue::EVENT_TYPES.iter().filter(|entry| test.holds(entry.name)).map(|entry| entry.id),
            );
            if types.len() == before {
                let names = catalogue::EVENT_TYPES.iter().map(|entry| entry.name);
                let mut hint = suggest::nearest(&value.0.text, names);
                if hint.is_empty() {
                    "event types are listed in docs/book/event-types.md".clone_into(&mut hint);
                }
                self.bad_value(value.1, format!("no event type matches `{}`", value.0.text), hint);
                return None;
            }
        }
        types.sort_unstable();
        types.dedup();
        Some(Test::EventTypes(types))
    }

    fn text(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<TextTest> {
        match subject.operation {
            Operation::Regex { i, m, s } => {
                let mut any = Vec::new();
                for (scalar, at) in values {
                    any.push(self.regex(&scalar.text, (i, m, s), *at)?);
                }
                Some(TextTest::Regexes(any))
            }
            Operation::Network => {
                let mut any = Vec::new();
                for (scalar, at) in values {
                    let Ok(network) = scalar.text.parse::<IpNet>() else {
                        let message = format!("`{}` is not a network", scalar.text);
                        self.bad_value(*at, message, "such as 10.0.0.0/8 or fd00::/8");
                        return None;
                    };
                    any.push(network);
                }
                Some(TextTest::Networks(any))
            }
            Operation::Equal(place) => {
                let any = values
                    .iter()
                    .map(|(scalar, _)| Pattern::new(&scalar.text, place, subject.cased))
                    .collect();
                Some(TextTest::Patterns { cased: subject.cased, any })
            }
            Operation::Compare(_) | Operation::Exists => None,
        }
    }

    fn regex(&mut self, text: &str, (i, m, s): (bool, bool, bool), at: Position) -> Option<Regex> {
        self.regexes += 1;
        if self.regexes > REGEXES_MAX {
            let message = format!("a rule has at most {REGEXES_MAX} regular expressions");
            self.report.error(at, "rule.too_large", message, "use contains or startswith");
            return None;
        }
        let flags: String =
            [(i, 'i'), (m, 'm'), (s, 's')].iter().filter(|(set, _)| *set).map(|(_, c)| c).collect();
        let source = if flags.is_empty() { text.to_owned() } else { format!("(?{flags}){text}") };
        let built = RegexBuilder::new(&source)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(4 * REGEX_BYTES_MAX)
            .build();
        match built {
            Ok(regex) => Some(regex),
            Err(error) => {
                // The library draws the pattern on several lines and ends with the reason.
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
                let message = format!("regular expression is refused: {reason}");
                let foreign = reason.starts_with("look-around") || reason.starts_with("backreference");
                let hint = if foreign { "look-around and back-references are not part of Sigma" } else { "" };
                self.report.error(at, "rule.bad_regex", message, hint);
                None
            }
        }
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

/// Turns a fractional bound on integers into a whole one.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float saturates to the range of the integer, as a bound should"
)]
fn int_bound(comparison: Comparison, bound: f64) -> Test {
    match comparison {
        Comparison::Less | Comparison::AtLeast => Test::IntCompare(comparison, bound.ceil() as i64),
        Comparison::Greater | Comparison::AtMost => Test::IntCompare(comparison, bound.floor() as i64),
    }
}

/// Words for the explanation; a bound on integers also says what would not have been enough.
fn expected(test: &Test, values: &[(&Scalar, Position)]) -> String {
    const SHOWN: usize = 8;
    if let Test::IntCompare(comparison, bound) = test {
        let outside = match comparison {
            Comparison::Less | Comparison::Greater => *bound,
            Comparison::AtMost => bound.saturating_add(1),
            Comparison::AtLeast => bound.saturating_sub(1),
        };
        return format!("{bound} ({outside} would not match)");
    }
    let mut text =
        values.iter().take(SHOWN).map(|(scalar, _)| scalar.text.as_str()).collect::<Vec<_>>().join(", ");
    if values.len() > SHOWN {
        text.push_str(&format!(" and {} more", values.len() - SHOWN));
    }
    text
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) if !hex.starts_with(['+', '-']) => i64::from_str_radix(hex, 16).ok()?,
        Some(_) => return None,
        None if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        None => return None,
    };
    if negative { value.checked_neg() } else { Some(value) }
}

fn parse_float(text: &str) -> Option<f64> {
    if let Some(value) = parse_int(text) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a bound on a physical value needs no more than 53 bits"
        )]
        return Some(value as f64);
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    text.parse::<f64>().ok().filter(|value| is_number && value.is_finite())
}
