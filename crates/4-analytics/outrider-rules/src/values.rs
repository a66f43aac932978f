//! Values of selections: texts of the document become tests of the field's kind.

use ipnet::IpNet;
use outrider_model::catalogue;
use outrider_types::{EventTypeId, Lane, Severity};
use regex::{Regex, RegexBuilder};

use crate::detection::Builder;
use crate::foreign;
use crate::modifier::{Operation, Subject};
use crate::moment::DatePart;
use crate::pattern::Pattern;
use crate::predicate::{Comparison, Numbers, Test, TextTest};
use crate::problem::Position;
use crate::suggest;
use crate::yaml::Scalar;

/// Largest compiled regular expression; the default of the library is 10 MiB.
const REGEX_BYTES_MAX: usize = 256 * 1024;
/// Most wildcards of one value; patterns that people write have fewer than ten, masks of identifiers 36.
const WILDCARDS_MAX: usize = 64;
/// Longest value with wildcards inside.
const PATTERN_BYTES_MAX: usize = 4_096;
/// Most regular expressions of one rule.
const REGEXES_MAX: usize = 64;

impl Builder<'_, '_> {
    fn bad_value(&mut self, at: Position, message: String, hint: impl Into<String>) {
        self.report.error(at, "rule.value", message, hint);
    }

    pub(crate) fn int(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<Test> {
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
                let message = format!("`{}` is not an integer, but `{}` is int", scalar.text, subject.name);
                self.bad_value(*at, message, "write 53 or 0x35; numbers have no wildcards");
                return None;
            };
            wanted.push(value);
        }
        wanted.sort_unstable();
        wanted.dedup();
        Some(Test::IntIn(wanted))
    }

    pub(crate) fn float(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<Test> {
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

    pub(crate) fn bool(&mut self, values: &[(&Scalar, Position)]) -> Option<bool> {
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

    pub(crate) fn severity(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<Test> {
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

    pub(crate) fn lane(&mut self, values: &[(&Scalar, Position)]) -> Option<u8> {
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
    pub(crate) fn event_types(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<Test> {
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

    pub(crate) fn text(&mut self, subject: &Subject, values: &[(&Scalar, Position)]) -> Option<TextTest> {
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
                let mut any = Vec::new();
                for (scalar, at) in values {
                    let texts = match subject.encoding.texts(&scalar.text) {
                        Ok(mut texts) => {
                            texts.extend(number_text(subject, scalar));
                            texts
                        }
                        Err((message, hint)) => {
                            self.bad_value(*at, message, hint);
                            return None;
                        }
                    };
                    let read = if subject.dashes { Pattern::with_dashes } else { Pattern::new };
                    for text in texts {
                        let pattern = read(&text, place, subject.cased);
                        self.check_wildcards(&pattern, &text, *at)?;
                        any.push(pattern);
                    }
                }
                Some(TextTest::Patterns { cased: subject.cased, any })
            }
            Operation::Compare(comparison) => {
                let [(scalar, at)] = values else { return None };
                let Some(bound) = parse_float(&scalar.text) else {
                    self.bad_value(*at, format!("`{}` is not a number", scalar.text), "");
                    return None;
                };
                Some(TextTest::Number(comparison, bound))
            }
            Operation::Exists => None,
        }
    }

    /// Reads the numbers with which a part of a date is compared.
    pub(crate) fn part(
        &mut self,
        part: DatePart,
        subject: &Subject,
        values: &[(&Scalar, Position)],
    ) -> Option<Numbers> {
        let mut wanted = Vec::new();
        let (lowest, highest) = part.range();
        for (scalar, at) in values {
            let number = parse_int(&scalar.text).filter(|number| (lowest..=highest).contains(number));
            let Some(number) = number else {
                let message = format!("`{}` is not a number of `{}`", scalar.text, part.word());
                self.bad_value(*at, message, format!("{lowest} to {highest}"));
                return None;
            };
            wanted.push(number);
        }
        if let (Operation::Compare(comparison), [bound]) = (subject.operation, wanted.as_slice()) {
            return Some(Numbers::Compare(comparison, *bound));
        }
        wanted.sort_unstable();
        wanted.dedup();
        Some(Numbers::In(wanted))
    }

    /// Refuses patterns whose wildcards would be tried in too many ways.
    fn check_wildcards(&mut self, pattern: &Pattern, text: &str, at: Position) -> Option<()> {
        let wildcards = pattern.wildcards();
        let message = if wildcards > WILDCARDS_MAX {
            format!("value has {wildcards} wildcards, more than {WILDCARDS_MAX}")
        } else if pattern.is_tried() && text.len() > PATTERN_BYTES_MAX {
            format!("value with wildcards has {} bytes, more than {PATTERN_BYTES_MAX}", text.len())
        } else {
            return Some(());
        };
        self.report.error(at, "rule.too_large", message, "every place of a value would be tried for it");
        None
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

/// Returns the one form of a fractional number, where numbers of events are compared as text.
fn number_text(subject: &Subject, scalar: &Scalar) -> Option<String> {
    let is_fraction = scalar.plain && scalar.text.contains('.') && parse_float(&scalar.text).is_some();
    (subject.field.is_foreign() && is_fraction).then(|| foreign::canonical(&scalar.text))
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
pub(crate) fn expected(test: &Test, values: &[(&Scalar, Position)]) -> String {
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

pub(crate) fn parse_bool(text: &str) -> Option<bool> {
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

pub(crate) fn parse_float(text: &str) -> Option<f64> {
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
