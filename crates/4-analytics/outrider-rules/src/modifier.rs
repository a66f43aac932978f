//! What follows a field name: `speed_kmh|gte`.

use crate::encoding::{Base64, Encoding, Utf16};
use crate::field::{FieldRef, ValueKind};
use crate::header::find_field;
use crate::pattern::Place;
use crate::predicate::Comparison;
use crate::problem::{Position, Report};
use crate::suggest;

/// How the values of an item are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Equality, or a pattern at a place.
    Equal(Place),
    /// Regular expression with the flags `i`, `m` and `s`.
    Regex {
        /// Case does not count.
        i: bool,
        /// `^` and `$` match at lines.
        m: bool,
        /// `.` matches a line's end.
        s: bool,
    },
    /// Address in a network.
    Network,
    /// Order of numbers.
    Compare(Comparison),
    /// Whether there is a value.
    Exists,
}

impl Operation {
    /// Returns the word in explanations.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Equal(Place::Whole) => "equals",
            Self::Equal(Place::Start) => "startswith",
            Self::Equal(Place::End) => "endswith",
            Self::Equal(Place::Inside) => "contains",
            Self::Regex { .. } => "re",
            Self::Network => "cidr",
            Self::Compare(Comparison::Less) => "lt",
            Self::Compare(Comparison::AtMost) => "lte",
            Self::Compare(Comparison::Greater) => "gt",
            Self::Compare(Comparison::AtLeast) => "gte",
            Self::Exists => "exists",
        }
    }
}

/// A field with its modifiers, checked against each other and against the kind of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) field: FieldRef,
    pub(crate) operation: Operation,
    /// All values must hold, not one.
    pub(crate) all: bool,
    /// Case counts.
    pub(crate) cased: bool,
    /// A hyphen or slash that begins a word stands for every dash.
    pub(crate) dashes: bool,
    /// How values are encoded first.
    pub(crate) encoding: Encoding,
    /// The whole is negated.
    pub(crate) negated: bool,
    /// Where the key was written.
    pub(crate) at: Position,
}

impl Subject {
    /// Returns the operator in explanations.
    pub(crate) fn operator(&self) -> String {
        let dashes = if self.dashes { "windash|" } else { "" };
        format!("{}{dashes}{}", self.encoding.word(), self.operation.word())
    }
}

const KNOWN: [&str; 23] = [
    "all",
    "base64",
    "base64offset",
    "cased",
    "cidr",
    "contains",
    "endswith",
    "exists",
    "gt",
    "gte",
    "i",
    "lt",
    "lte",
    "m",
    "neq",
    "re",
    "s",
    "startswith",
    "utf16",
    "utf16be",
    "utf16le",
    "wide",
    "windash",
];

/// Modifiers of Sigma 2.1 that are not evaluated.
const NOT_SUPPORTED: [&str; 8] = ["minute", "hour", "day", "week", "month", "year", "expand", "fieldref"];

/// Reads `field|modifier|modifier`; `None` after an error was reported.
pub(crate) fn read(key: &str, at: Position, report: &mut Report<'_>) -> Option<Subject> {
    let mut parts = key.split('|');
    let name = parts.next().unwrap_or_default();
    let mut column = at.column;
    let mut advance = |part: &str| {
        column = column.saturating_add(u32::try_from(part.chars().count() + 1).unwrap_or(u32::MAX));
        Position { line: at.line, column }
    };
    let mut place = advance(name);
    let field = find_field(name, at, report);
    let mut chain = Chain::default();
    let mut fine = true;
    for word in parts {
        fine &= chain.add(word, place, report);
        place = advance(word);
    }
    let field = field?;
    if !fine {
        return None;
    }
    let subject = Subject {
        field,
        operation: chain.operation.unwrap_or(Operation::Equal(Place::Whole)),
        all: chain.all,
        cased: chain.cased,
        dashes: chain.dashes,
        encoding: chain.encoding,
        negated: chain.negated,
        at,
    };
    (check_rewriting(&subject, report) && check_kind(&subject, report)).then_some(subject)
}

#[derive(Default)]
struct Chain {
    operation: Option<Operation>,
    all: bool,
    cased: bool,
    dashes: bool,
    encoding: Encoding,
    negated: bool,
}

impl Chain {
    /// Adds one modifier; false after an error was reported.
    fn add(&mut self, word: &str, at: Position, report: &mut Report<'_>) -> bool {
        let operation = match word {
            "contains" => Operation::Equal(Place::Inside),
            "startswith" => Operation::Equal(Place::Start),
            "endswith" => Operation::Equal(Place::End),
            "re" => Operation::Regex { i: false, m: false, s: false },
            "cidr" => Operation::Network,
            "gt" => Operation::Compare(Comparison::Greater),
            "gte" => Operation::Compare(Comparison::AtLeast),
            "lt" => Operation::Compare(Comparison::Less),
            "lte" => Operation::Compare(Comparison::AtMost),
            "exists" => Operation::Exists,
            "utf16le" | "wide" => return self.add_utf16(Utf16::Little, word, at, report),
            "utf16be" => return self.add_utf16(Utf16::Big, word, at, report),
            "utf16" => return self.add_utf16(Utf16::Marked, word, at, report),
            "base64" => return self.add_base64(Base64::Alone, word, at, report),
            "base64offset" => return self.add_base64(Base64::Anywhere, word, at, report),
            _ => return self.add_option(word, at, report),
        };
        if let Some(before) = self.operation {
            let message = format!("`{word}` cannot follow `{}`", before.word());
            report.error(at, "rule.modifier", message, "use two items");
            return false;
        }
        self.operation = Some(operation);
        true
    }

    fn add_utf16(&mut self, utf16: Utf16, word: &str, at: Position, report: &mut Report<'_>) -> bool {
        let is_first = self.operation.is_none() && self.encoding == Encoding::default();
        if !is_first {
            report.error(
                at,
                "rule.modifier",
                format!("`{word}` comes first"),
                format!("write {word}|base64|…"),
            );
        }
        self.encoding.utf16 = Some(utf16);
        is_first
    }

    fn add_base64(&mut self, base64: Base64, word: &str, at: Position, report: &mut Report<'_>) -> bool {
        let is_fine = self.operation.is_none() && self.encoding.base64.is_none();
        if !is_fine {
            let message = format!("`{word}` comes once, before what is compared");
            report.error(at, "rule.modifier", message, format!("write {word}|contains"));
        }
        self.encoding.base64 = Some(base64);
        is_fine
    }

    fn add_option(&mut self, word: &str, at: Position, report: &mut Report<'_>) -> bool {
        let repeated = match word {
            "all" => std::mem::replace(&mut self.all, true),
            "cased" => std::mem::replace(&mut self.cased, true),
            "windash" => std::mem::replace(&mut self.dashes, true),
            "neq" => std::mem::replace(&mut self.negated, true),
            "i" | "m" | "s" => {
                let Some(Operation::Regex { i, m, s }) = &mut self.operation else {
                    let message = format!("`{word}` is a flag of `re`");
                    report.error(at, "rule.modifier", message, format!("write re|{word}"));
                    return false;
                };
                let flag = match word {
                    "i" => i,
                    "m" => m,
                    _ => s,
                };
                std::mem::replace(flag, true)
            }
            _ if NOT_SUPPORTED.contains(&word) => {
                let message = format!("modifier `{word}` is not supported");
                report.error(
                    at,
                    "rule.unsupported_modifier",
                    message,
                    "see docs/book/rules.md for the subset",
                );
                return false;
            }
            _ => {
                let message = format!("unknown modifier `{word}`");
                report.error(at, "rule.unknown_modifier", message, suggest::nearest(word, KNOWN));
                return false;
            }
        };
        if repeated {
            report.error(at, "rule.modifier", format!("`{word}` appears twice"), "");
        }
        !repeated
    }
}

/// Checks what is done with values before they are compared.
fn check_rewriting(subject: &Subject, report: &mut Report<'_>) -> bool {
    let is_rewritten = subject.dashes || subject.encoding != Encoding::default();
    let refuse = |report: &mut Report<'_>, message: &str, hint: &str| {
        report.error(subject.at, "rule.modifier", message, hint);
        false
    };
    if is_rewritten
        && (subject.field.kind() != ValueKind::Text || !matches!(subject.operation, Operation::Equal(_)))
    {
        let message = "only text that is compared as it stands is encoded or has dashes";
        return refuse(report, message, "with equality, contains, startswith or endswith");
    }
    if subject.encoding.utf16.is_some() && subject.encoding.base64.is_none() {
        return refuse(report, "a text field holds no bytes of UTF-16", "add base64 or base64offset");
    }
    if subject.dashes && subject.encoding.base64.is_some() {
        return refuse(report, "`windash` and base64 exclude each other", "");
    }
    true
}

/// Checks that the kind of the field can be compared so.
fn check_kind(subject: &Subject, report: &mut Report<'_>) -> bool {
    let kind = subject.field.kind();
    let mut refuse = |message: String, hint: &str| {
        report.error(subject.at, "rule.kind", message, hint);
        false
    };
    let word = subject.operation.word();
    let is_text = matches!(kind, ValueKind::Text | ValueKind::EventType);
    if subject.cased && !(is_text && matches!(subject.operation, Operation::Equal(_))) {
        return refuse(
            "`cased` needs a text field without `re` or `cidr`".to_owned(),
            "`re` minds case anyway",
        );
    }
    if subject.all && (!is_text || matches!(subject.operation, Operation::Equal(Place::Whole))) {
        let hint = "`all` goes with contains, startswith, endswith, re or cidr";
        return refuse("a field has one value, which cannot equal all of several".to_owned(), hint);
    }
    match subject.operation {
        Operation::Equal(Place::Whole) => true,
        Operation::Exists => {
            if subject.negated || subject.all {
                return refuse("`exists` takes no other modifier".to_owned(), "write exists: false");
            }
            true
        }
        Operation::Equal(_) | Operation::Regex { .. } | Operation::Network if !is_text => {
            let message = format!("`{word}` needs text, but `{}` is {}", subject.field, kind.word());
            refuse(message, "compare with equality, gt, gte, lt or lte")
        }
        Operation::Network if kind == ValueKind::EventType => {
            refuse("an event type is not an address".to_owned(), "")
        }
        Operation::Compare(_) if subject.negated => {
            refuse(format!("`neq` cannot follow `{word}`"), "use the opposite comparison")
        }
        Operation::Compare(_) if !matches!(kind, ValueKind::Int | ValueKind::Float | ValueKind::Severity) => {
            refuse(format!("`{word}` needs a number, but `{}` is {}", subject.field, kind.word()), "")
        }
        Operation::Equal(_) | Operation::Regex { .. } | Operation::Network | Operation::Compare(_) => true,
    }
}
